"""Tensors put together and taken apart by places known while compiling: `block_diag`, `delete`, `insert`; and `lexsort`, the order by several keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dfg.dims import DimLike
from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.functions.common import count_of
from dfg.ops.indexing import Window, getitem
from dfg.ops.movement import emit_permute, emit_reshape
from dfg.ops.ordering import take_along
from dfg.ops.surface import Arg, Args, Axis, Literal, Static, Surface, axis_number, function, plain


@function("block_diag")
def block_diag(cx: Surface, *arrays: Arg) -> Value:
    """The matrix with the given ones along its diagonal, 0 elsewhere; a vector counts as a row."""
    given = tuple(arrays[0]) if len(arrays) == 1 and isinstance(arrays[0], list | tuple) else arrays
    if not given:
        raise InferError("bad-argument", "`block_diag` takes at least one matrix", [])
    blocks: list[Value] = []
    for k, v in enumerate(cx.promote(given, "block_diag")):
        if v.rank > 2:
            raise InferError("rank-mismatch", f"`block_diag` takes matrices, not {v.type}", [(k, f"this is {v.type}")])
        blocks.append(emit_reshape(v, (*(1,) * (2 - v.rank), *v.shape)))
    rows: DimLike = sum((b.shape[0] for b in blocks), start=0)
    columns: DimLike = sum((b.shape[1] for b in blocks), start=0)
    dtype = blocks[0].dtype
    made = cx.full((rows, columns), Literal("bool", False) if dtype.kind == "bool" else Literal("int", 0), dtype)
    top: DimLike = 0
    left: DimLike = 0
    for b in blocks:
        made = OPS["update"](made, b, starts=(top, left), strides=(1, 1))
        top, left = top + b.shape[0], left + b.shape[1]
    return made


def _along(cx: Surface, x: Any, axis: Any, name: str) -> tuple[Value, int]:
    v = cx.value(x)
    if plain(axis) is None:
        return emit_reshape(v, (count_of(v, range(v.rank)),)), 0
    return v, axis_number(axis, v.rank, name)


def _places(obj: Any, size: DimLike, name: str) -> list[int]:
    """Whole numbers known while compiling, each counted from the start where the size is known; else all from one end."""
    given = plain(obj)
    listed = [plain(i) for i in given] if isinstance(given, list | tuple) else [given]
    if any(isinstance(i, bool) or not isinstance(i, int) for i in listed):
        raise InferError("bad-argument", f"`{name}` takes whole numbers known while compiling as `obj`", [("obj", "this one")])
    if isinstance(size, int):
        return [i + size if i < 0 else i for i in listed]
    if any(i < 0 for i in listed) and any(i >= 0 for i in listed):
        raise InferError(
            "bad-argument", f"`{name}` counts the places of an axis of size {size} all from its start or all from its end", [("obj", "these do both")]
        )
    return listed


def _piece(cx: Surface, v: Value, axis: int, start: int | None, stop: int | None) -> Value:
    return getitem(cx, v, [*[Window()] * axis, Window(start, stop)])


def _joined(parts: Sequence[Value], axis: int) -> Value:
    return OPS["concat"](*parts, axis=axis) if len(parts) > 1 else parts[0]


@function("delete")
def delete(cx: Surface, x: Arg, obj: Static, axis: Axis = None) -> Value:
    """Without the elements at places of an axis that are known while compiling (of the flattened tensor without one)."""
    v, k = _along(cx, x, axis, "delete")
    places = sorted(set(_places(obj, v.shape[k], "delete")))
    if not places:
        return v
    cx.graph.need(v.shape[k], places[-1] + 1 if places[0] >= 0 else -places[0], f"`delete` takes places inside axis {k}", "out-of-bounds", [("obj", f"axis {k} has size {v.shape[k]}")])
    if isinstance(v.shape[k], int) and places[0] < 0:
        raise InferError("out-of-bounds", f"`delete` takes places inside axis {k} of {v.type}", [("obj", f"axis {k} has size {v.shape[k]}")])
    edges: list[int | None] = [None, *places]
    ends: list[int | None] = [*places, None]
    parts = []
    for start, stop in zip(edges, ends, strict=True):
        first = None if start is None else start + 1
        if start == -1 or (first is not None and first == stop):
            continue  # nothing behind the last one, or between neighbours
        parts.append(_piece(cx, v, k, first, stop))
    return _joined(parts, k)


@function("insert")
def insert(cx: Surface, x: Arg, obj: Static, values: Arg, axis: Axis = None) -> Value:
    """With elements before places of an axis that are known while compiling (of the flattened tensor without one): for one place all of `values`, for a list one of
    them at each, in the order given where places repeat. As `np.insert`."""
    v, k = _along(cx, x, axis, "insert")
    several = isinstance(plain(obj), list | tuple)
    places = _places(obj, v.shape[k], "insert")
    new = cx.cast(cx.value(values), v.dtype, f"put into {v.dtype}") if not isinstance(values, Literal) else cx.literal(values, v.dtype)
    new = emit_reshape(new, (*(1,) * (v.rank - new.rank), *new.shape)) if new.rank < v.rank else new
    if new.rank > v.rank:
        raise InferError("rank-mismatch", f"`insert` takes values of at most the rank of {v.type}, not {new.type}", [("values", f"this is {new.type}")])
    if not several:
        # NumPy takes the first axis of the values as the one that is inserted along.
        new = emit_permute(new, [*range(1, k + 1), 0, *range(k + 1, v.rank)])
    count: DimLike = len(places) if several else new.shape[k]
    new = cx.stretch(new, tuple(count if a == k else d for a, d in enumerate(v.shape)))
    order = sorted(range(len(places)), key=lambda i: places[i])
    size = v.shape[k]
    for i in places:
        fits = 0 <= i <= size if isinstance(size, int) else None
        if fits is False:
            raise InferError("out-of-bounds", f"`insert` takes places inside axis {k} of {v.type}", [("obj", f"axis {k} has size {size}")])
    parts: list[Value] = []
    last: int | None = None
    for i in order:
        if last is None or places[i] != last:
            parts.append(_piece(cx, v, k, last, places[i]))
        last = places[i]
        parts.append(_piece(cx, new, k, i, i + 1) if several else new)
    parts.append(_piece(cx, v, k, last, None))
    return _joined(parts, k)


@function("lexsort")
def lexsort(cx: Surface, keys: Args, axis: Axis = -1) -> Value:
    """The order along an axis by several keys of one shape, the last one first: a stable sort by each in turn. As `np.lexsort`."""
    values = [cx.value(v) for v in keys]
    if not values or values[0].rank == 0:
        raise InferError("bad-argument", "`lexsort` takes at least one key, which is no scalar", [("keys", "this list")])
    first = values[0]
    for i, v in enumerate(values):
        if v.rank != first.rank or any(cx.graph.equal_sizes(a, b) is not True for a, b in zip(v.shape, first.shape, strict=True)):
            raise InferError("shape-mismatch", f"`lexsort` takes keys of one shape, not {first.type} and {v.type}", [(0, f"this is {first.type}"), (i, f"this is {v.type}")])
    k = axis_number(axis, first.rank, "lexsort")
    made = OPS["argsort"](first, axis=k, descending=False)
    for v in values[1:]:
        made = take_along(made, OPS["argsort"](take_along(v, made, k), axis=k, descending=False), k)
    return made
