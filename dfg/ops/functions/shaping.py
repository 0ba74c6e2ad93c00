"""Rearranging: joining, splitting, repeating, rolling, padding, triangles, diagonals, windows. Sizes may be symbolic; how many parts there are is static."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dfg.dims import DimLike, suggest_fact
from dfg.ir import InferError, Value
from dfg.ops.base import OPS, make_constant
from dfg.ops.functions.common import count_of
from dfg.ops.functions.expr import Expr, made
from dfg.ops.movement import broadcast_along, emit_permute, emit_reshape, size_product
from dfg.ops.surface import (
    Arg,
    Args,
    Axis,
    AxisList,
    Literal,
    Size,
    Static,
    Surface,
    Word,
    axis_number,
    function,
    plain,
    shape_of,
    size_of,
)
from dfg.types import I64


def whole(x: Any, name: str, argument: str) -> int:
    """A static whole number."""
    k = plain(x)
    if isinstance(k, float) and k.is_integer():
        k = int(k)
    if isinstance(k, bool) or not isinstance(k, int):
        raise InferError("bad-argument", f"`{name}` takes a whole number as `{argument}`", [(argument, "this one")])
    return k


def window(v: Value, axis: int, start: DimLike, size: DimLike) -> Value:
    """A slice of one axis."""
    if start == 0 and size == v.shape[axis]:
        return v
    starts = tuple(start if k == axis else 0 for k in range(v.rank))
    return OPS["slice"](v, starts=starts, sizes=tuple(size if k == axis else d for k, d in enumerate(v.shape)), strides=(1,) * v.rank)


def take_axis(v: Value, rows: Value, axis: int) -> Value:
    """`v` with one axis replaced by its elements at indices of any shape."""
    taken = OPS["gather"](v, rows, axes=(axis,), batch=0)
    k = rows.rank
    return emit_permute(taken, [*range(k, k + axis), *range(k), *range(k + axis, taken.rank)])


def counts(cx: Surface, size: DimLike) -> Value:
    """The numbers from 0 below a size."""
    return cx.graph.emit(OPS["iota"], (), (size, I64))


def at_least_rank(cx: Surface, v: Value, rank: int) -> Value:
    return emit_reshape(v, (*((1,) * (rank - v.rank)), *v.shape)) if v.rank < rank else v


# --- joining -------------------------------------------------------------------------------------------------------------------------


def _promoted(cx: Surface, arrays: Args, name: str) -> list[Value]:
    if not arrays:
        raise InferError("bad-argument", f"`{name}` joins at least one tensor", [("arrays", "this list is empty")])
    return cx.promote(arrays, name)


@function("hstack")
def hstack(cx: Surface, arrays: Args) -> Value:
    """The tensors joined along axis 1, vectors along axis 0."""
    values = [at_least_rank(cx, v, 1) for v in _promoted(cx, arrays, "hstack")]
    return made(cx, "concat", [values], {"axis": 0 if values[0].rank == 1 else 1})


@function("vstack")
def vstack(cx: Surface, arrays: Args) -> Value:
    """The tensors joined along axis 0, vectors as rows."""
    return made(cx, "concat", [[at_least_rank(cx, v, 2) for v in _promoted(cx, arrays, "vstack")]], {"axis": 0})


@function("dstack")
def dstack(cx: Surface, arrays: Args) -> Value:
    """The tensors joined along axis 2, matrices as [m, n, 1], vectors as [1, n, 1]."""
    values = []
    for v in _promoted(cx, arrays, "dstack"):
        v = at_least_rank(cx, v, 2)
        values.append(emit_reshape(v, (*v.shape, 1)) if v.rank == 2 else v)
    return made(cx, "concat", [values], {"axis": 2})


@function("column_stack")
def column_stack(cx: Surface, arrays: Args) -> Value:
    """The tensors joined along axis 1, vectors as columns."""
    values = []
    for v in _promoted(cx, arrays, "column_stack"):
        v = at_least_rank(cx, v, 1)
        values.append(emit_reshape(v, (*v.shape, 1)) if v.rank == 1 else v)
    return made(cx, "concat", [values], {"axis": 1})


# --- splitting -----------------------------------------------------------------------------------------------------------------------


def _pieces(v: Value, sizes: Sequence[DimLike], axis: int) -> tuple[Value, ...]:
    result = []
    start: DimLike = 0
    for n in sizes:
        result.append(window(v, axis, start, n))
        start = start + n
    return tuple(result)


def _static_size(v: Value, axis: int, name: str) -> int:
    n = v.shape[axis]
    if not isinstance(n, int):
        raise InferError(
            "not-static",
            f"`{name}`: how many parts axis {axis} of {v.type} gives depends on the size {n}",
            [(0, f"this is {v.type}")],
            help="a `scan` goes over an axis of any size",
        )
    return n


@function("narrow")
def narrow(cx: Surface, x: Arg, axis: Axis, start: Size, length: Size) -> Value:
    """The part of an axis that begins at `start` and has the given length."""
    v = cx.value(x)
    k = axis_number(axis, v.rank, "narrow")
    first, size = size_of(start, "narrow", "start"), size_of(length, "narrow", "length")
    for low, high, argument in ((first, 0, "start"), (size, 0, "length"), (v.shape[k], first + size, "length")):
        cx.graph.need(low, high, f"`narrow` stays within axis {k}", "out-of-bounds", [(argument, f"axis {k} has size {v.shape[k]}")])
    return window(v, k, first, size)


@function("split")
def split(cx: Surface, x: Arg, indices_or_sections: Static, axis: Axis = 0) -> tuple[Value, ...]:
    """As `np.split`: so many equal parts along an axis, or parts that begin at the given places."""
    v = cx.value(x)
    k = axis_number(axis, v.rank, "split")
    given = plain(indices_or_sections)
    n = v.shape[k]
    if isinstance(given, tuple):
        places = [size_of(p, "split", "indices_or_sections") for p in given]
        bounds: list[DimLike] = [0]
        for p in places:
            if isinstance(p, int) and p < 0:
                p = n + p
            if isinstance(p, int) and isinstance(n, int):
                p = min(max(p, 0), n)
            bounds.append(p)
        bounds.append(n)
        sizes = [b - a if not (isinstance(a, int) and isinstance(b, int)) else max(b - a, 0) for a, b in zip(bounds, bounds[1:], strict=False)]
        return tuple(window(v, k, a, d) for a, d in zip(bounds, sizes, strict=False))
    parts = whole(given, "split", "indices_or_sections")
    if parts < 1 or cx.graph.equal_sizes(n // parts * parts, n) is not True:
        proved = isinstance(n, int) or parts < 1
        raise InferError(
            "shape-mismatch" if proved else "dim-unproved",
            f"`split` cannot cut axis {k} of {v.type} into {parts} equal parts",
            [("x", f"axis {k} is {n}")],
            dim_fact=None if proved else f"dim {n} % {parts} == 0",
        )
    return _pieces(v, [n // parts] * parts, k)


@function("split_sizes")
def split_sizes(cx: Surface, x: Arg, sizes: Static, axis: Axis = 0) -> tuple[Value, ...]:
    """Parts of the given sizes along an axis; of one size, as many parts as there are, the last one smaller."""
    v = cx.value(x)
    k = axis_number(axis, v.rank, "split_sizes")
    given = plain(sizes)
    if isinstance(given, tuple):
        wanted = [size_of(p, "split_sizes", "sizes") for p in given]
        total: DimLike = 0
        for d in wanted:
            total = total + d
        if (equal := cx.graph.equal_sizes(total, v.shape[k])) is not True:
            raise InferError(
                "shape-mismatch" if equal is False else "dim-unproved",
                f"`split_sizes`: the sizes make {total}, and axis {k} of {v.type} has {v.shape[k]}",
                [("sizes", "this one")],
                dim_fact=None if equal is False else suggest_fact(total, v.shape[k]),
            )
        return _pieces(v, wanted, k)
    step = whole(given, "split_sizes", "sizes")
    if step < 1:
        raise InferError("bad-argument", "`split_sizes` takes sizes above 0", [("sizes", "this one")])
    n = _static_size(v, k, "split_sizes")
    return _pieces(v, [min(step, n - s) for s in range(0, max(n, 1), step)], k)


@function("chunk")
def chunk(cx: Surface, x: Arg, chunks: Static, axis: Axis = 0) -> tuple[Value, ...]:
    """At most so many parts of one size along an axis, the last one smaller."""
    v = cx.value(x)
    k = axis_number(axis, v.rank, "chunk")
    parts = whole(chunks, "chunk", "chunks")
    if parts < 1:
        raise InferError("bad-argument", "`chunk` makes at least one part", [("chunks", "this one")])
    n = v.shape[k]
    if not isinstance(n, int) and cx.graph.equal_sizes(n // parts * parts, n) is True:
        return _pieces(v, [n // parts] * parts, k)
    size = -(-_static_size(v, k, "chunk") // parts)
    return split_sizes(cx, v, size, k) if size else (v,) * parts


@function("array_split")
def array_split(cx: Surface, x: Arg, sections: Static, axis: Axis = 0) -> tuple[Value, ...]:
    """So many parts along an axis, the first ones longer by one where it does not divide."""
    v = cx.value(x)
    k = axis_number(axis, v.rank, "array_split")
    n, parts = v.shape[k], whole(sections, "array_split", "sections")
    if not isinstance(n, int) or parts < 1:
        raise InferError("not-static" if parts > 0 else "bad-argument", f"`array_split` cuts an axis of a known size into parts, not axis {k} of {v.type}", [("x", f"axis {k} is {n}")])
    low, more = divmod(n, parts)
    result = []
    start = 0
    for i in range(parts):
        size = low + (i < more)
        result.append(window(v, k, start, size))
        start += size
    return tuple(result)


@function("unstack")
def unstack(cx: Surface, x: Arg, axis: Axis = 0) -> tuple[Value, ...]:
    """The elements along an axis as tensors without it."""
    v = cx.value(x)
    k = axis_number(axis, v.rank, "unstack")
    n = _static_size(v, k, "unstack")
    shape = tuple(d for a, d in enumerate(v.shape) if a != k)
    return tuple(emit_reshape(window(v, k, i, 1), shape) for i in range(n))


# --- order of axes -------------------------------------------------------------------------------------------------------------------


@function("swapaxes")
def swapaxes(cx: Surface, x: Arg, axis1: Axis, axis2: Axis) -> Value:
    """Two axes exchanged."""
    v = cx.value(x)
    if v.rank == 0:
        return v
    i, j = axis_number(axis1, v.rank, "swapaxes", "axis1"), axis_number(axis2, v.rank, "swapaxes", "axis2")
    order = list(range(v.rank))
    order[i], order[j] = j, i
    return emit_permute(v, order)


@function("moveaxis")
def moveaxis(cx: Surface, x: Arg, source: AxisList, destination: AxisList) -> Value:
    """Axes at other places, the rest in their order."""
    v = cx.value(x)

    def numbers(given: Any, argument: str) -> list[int]:
        items = plain(given)
        found = [axis_number(k, v.rank, "moveaxis", argument) for k in (items if isinstance(items, tuple) else (items,))]
        if len(set(found)) != len(found):
            raise InferError("bad-argument", f"`moveaxis`: an axis is named twice in `{argument}`", [(argument, "this one")])
        return found

    old, new = numbers(source, "source"), numbers(destination, "destination")
    if len(old) != len(new):
        raise InferError("bad-argument", "`moveaxis` takes as many places as axes", [("destination", "this one")])
    order = [k for k in range(v.rank) if k not in old]
    for place, axis in sorted(zip(new, old, strict=True)):
        order.insert(place, axis)
    return emit_permute(v, order)


@function("flatten", "ravel")
def flatten(cx: Surface, x: Arg, start_axis: Axis = 0, end_axis: Axis = -1) -> Value:
    """The axes from one to another as one axis; all of them by default."""
    v = cx.value(x)
    if v.rank == 0:
        return emit_reshape(v, (1,))
    i, j = axis_number(start_axis, v.rank, "flatten", "start_axis"), axis_number(end_axis, v.rank, "flatten", "end_axis")
    if j < i:
        raise InferError("bad-argument", "`flatten` ends at an axis that is not before its first", [("end_axis", "this one")])
    return emit_reshape(v, (*v.shape[:i], size_product(v.shape[i : j + 1]), *v.shape[j + 1 :]))


@function("rot90")
def rot90(cx: Surface, x: Arg, k: Static = 1, axes: Static = (0, 1)) -> Value:
    """Turned by 90 degrees, k times, from the first of two axes towards the second."""
    v = cx.value(x)
    given = plain(axes)
    if not isinstance(given, tuple) or len(given) != 2:
        raise InferError("bad-argument", "`rot90` takes two axes", [("axes", "this one")])
    i, j = (axis_number(a, v.rank, "rot90", "axes") for a in given)
    if i == j:
        raise InferError("bad-argument", "`rot90` takes two different axes", [("axes", "this one")])
    turns = whole(k, "rot90", "k") % 4
    if turns == 0:
        return v
    if turns == 2:
        return OPS["flip"](v, axes=tuple(sorted((i, j))))
    if turns == 1:
        return swapaxes(cx, OPS["flip"](v, axes=(j,)), i, j)
    return OPS["flip"](swapaxes(cx, v, i, j), axes=(j,))


@function("fliplr")
def fliplr(cx: Surface, x: Arg) -> Value:
    """Axis 1 in reverse order."""
    return made(cx, "flip", [cx.value(x)], {"axis": 1})


@function("flipud")
def flipud(cx: Surface, x: Arg) -> Value:
    """Axis 0 in reverse order."""
    return made(cx, "flip", [cx.value(x)], {"axis": 0})


@function("atleast_1d")
def atleast_1d(cx: Surface, x: Arg) -> Value:
    """A scalar as a vector of one element; anything else as it is."""
    return at_least_rank(cx, cx.value(x), 1)


@function("atleast_2d")
def atleast_2d(cx: Surface, x: Arg) -> Value:
    """With axes of size 1 in front up to rank 2."""
    return at_least_rank(cx, cx.value(x), 2)


# --- repeating, rolling ----------------------------------------------------------------------------------------------------------------


@function("broadcast_arrays")
def broadcast_arrays(cx: Surface, *arrays: Arg) -> tuple[Value, ...]:
    """The tensors stretched to their common shape."""
    if len(arrays) == 1 and isinstance(arrays[0], list | tuple):
        arrays = tuple(arrays[0])
    values = [cx.value(a) for a in arrays]
    return tuple(cx.broadcast(values, "broadcast_arrays")) if values else ()


@function("tile")
def tile(cx: Surface, x: Arg, reps: Static) -> Value:
    """The whole repeated along each axis; `reps` is aligned with the last axes."""
    v = cx.value(x)
    times: list[DimLike] = list(shape_of(reps, "tile", "reps"))
    for n in times:
        cx.graph.need(n, 0, "`tile` repeats", "bad-argument", [("reps", "this one")])
    v = at_least_rank(cx, v, len(times))
    times = [*[1] * (v.rank - len(times)), *times]
    wide: list[DimLike] = []
    dims: list[int] = []
    for n, d in zip(times, v.shape, strict=True):
        if n != 1:
            wide.append(n)
        dims.append(len(wide))
        wide.append(d)
    return emit_reshape(broadcast_along(v, tuple(wide), tuple(dims)), tuple(n * d for n, d in zip(times, v.shape, strict=True)))


MOST_REPEATS = 50_000_000
"""Where each of the repeated elements is taken from is a constant of the graph."""


@function("repeat")
def repeat(cx: Surface, x: Arg, repeats: Static, axis: Axis = None) -> Value:
    """Each element repeated along an axis, all by one number or each by its own; without an axis, of the flattened tensor."""
    v = cx.value(x)
    if plain(axis) is None:
        v = emit_reshape(v, (count_of(v, range(v.rank)),))
        k = 0
    else:
        k = axis_number(axis, v.rank, "repeat")
    given = plain(repeats)
    if isinstance(given, tuple) and len(given) == 1:
        given = given[0]
    if isinstance(given, tuple):
        times = [whole(n, "repeat", "repeats") for n in given]
        if min(times, default=0) < 0 or cx.graph.equal_sizes(len(times), v.shape[k]) is not True:
            raise InferError("bad-argument", f"`repeat` takes {v.shape[k]} numbers that are not negative", [("repeats", "this one")])
        if sum(times) > MOST_REPEATS:
            raise InferError("too-large", f"`repeat` with a number for each element makes at most {MOST_REPEATS:,} places, not {sum(times)}", [("repeats", "this one")])
        return take_axis(v, make_constant(cx.graph, np.repeat(np.arange(len(times)), times), I64), k)
    n = size_of(given, "repeat", "repeats")
    cx.graph.need(n, 0, "`repeat` repeats", "bad-argument", [("repeats", "this one")])
    if n == 1:
        return v
    shape = (*v.shape[: k + 1], n, *v.shape[k + 1 :])
    wide = broadcast_along(v, shape, (*range(k + 1), *range(k + 2, v.rank + 1)))
    return emit_reshape(wide, (*v.shape[:k], v.shape[k] * n, *v.shape[k + 1 :]))


def roll_axis(cx: Surface, v: Value, shift: DimLike, k: int) -> Value:
    n = v.shape[k]
    if isinstance(n, int) and isinstance(shift, int):
        if n == 0 or shift % n == 0:
            return v
        shift = shift % n
    elif shift == 0:
        return v
    elif not (isinstance(shift, int) and cx.graph.facts.at_least(n, abs(shift)) is True):
        # A size that may be below the shift: by remainder.
        rows = Expr(cx, counts(cx, n)) - Expr(cx, shift)
        return take_axis(v, rows.call("remainder", Expr(cx, n)).v, k)
    elif shift < 0:
        shift = n + shift
    return OPS["concat"](window(v, k, n - shift, shift), window(v, k, 0, n - shift), axis=k)


@function("roll")
def roll(cx: Surface, x: Arg, shift: Static, axis: AxisList = None) -> Value:
    """The elements moved along axes, what falls off the end coming in at the front; without an axis, of the flattened tensor."""
    v = cx.value(x)
    shifts = plain(shift)
    shifts = shifts if isinstance(shifts, tuple) else (shifts,)
    moves = [size_of(s, "roll", "shift") for s in shifts]
    given = plain(axis)
    if given is None:
        total: DimLike = 0
        for s in moves:
            total = total + s
        flat = emit_reshape(v, (count_of(v, range(v.rank)),))
        return emit_reshape(roll_axis(cx, flat, total, 0), v.shape)
    axes = given if isinstance(given, tuple) else (given,)
    if len(moves) != len(axes):
        if len(moves) == 1:
            moves = moves * len(axes)
        elif len(axes) == 1:
            axes = axes * len(moves)
        else:
            raise InferError("bad-argument", "`roll` takes as many shifts as axes", [("shift", "this one")])
    for s, a in zip(moves, axes, strict=True):
        v = roll_axis(cx, v, s, axis_number(a, v.rank, "roll"))
    return v


# --- padding -------------------------------------------------------------------------------------------------------------------------

_PADDING = {"constant": "constant", "edge": "edge", "reflect": "reflect", "symmetric": "symmetric", "wrap": "wrap", "replicate": "edge", "circular": "wrap"}


def _widths(cx: Surface, v: Value, pad_width: Any) -> list[tuple[DimLike, DimLike]]:
    given = plain(pad_width)
    if not isinstance(given, tuple):
        given = ((given, given),) * v.rank
    elif len(given) == 2 and not any(isinstance(g, tuple) for g in given):
        given = (given,) * v.rank
    pairs = []
    for g in given:
        pair = g if isinstance(g, tuple) else (g, g)
        if len(pair) == 1:
            pair = pair * 2
        if len(pair) != 2:
            raise InferError("bad-argument", "`pad` takes [before, after] for each axis", [("pad_width", "this one")])
        pairs.append((size_of(pair[0], "pad", "pad_width"), size_of(pair[1], "pad", "pad_width")))
    if len(pairs) == 1:
        pairs = pairs * v.rank
    if len(pairs) != v.rank:
        raise InferError("bad-argument", f"`pad` takes [before, after] for each of {v.rank} axes", [("pad_width", "this one")])
    return pairs


def _source_rows(cx: Surface, n: DimLike, before: DimLike, after: DimLike, mode: str) -> Value:
    """For each place of a padded axis the place that it repeats."""
    if isinstance(n, int) and isinstance(before, int) and isinstance(after, int):
        words: dict[str, Any] = {"mode": mode}
        return make_constant(cx.graph, np.pad(np.arange(n), (before, after), **words), I64)
    place = Expr(cx, counts(cx, n + before + after)) - Expr(cx, before)
    size = Expr(cx, n)
    if mode == "edge":
        return place.call("clip", 0, size - 1).v
    if mode == "wrap":
        return place.call("remainder", size).v
    period = 2 * size - 2 if mode == "reflect" else 2 * size
    # An axis of one element reflects into itself.
    turned = place.call("remainder", period.call("maximum", 1))
    last = period if mode == "reflect" else period - 1
    return (turned < size).where(turned, last - turned).v


def _by_pieces(v: Value, axis: int, before: DimLike, after: DimLike, kind: str) -> Value | None:
    """Padding by slices that are joined, whose gradient adds slices; None where it is not sure that the axis is long enough to repeat only once."""
    n = v.shape[axis]
    skip = 1 if kind == "reflect" else 0
    if kind != "edge" and not all(v.graph.facts.at_least(n, d + skip) for d in (before, after)):
        return None

    def piece(width: DimLike, first: bool) -> Value:
        if kind == "edge":
            one = window(v, axis, 0 if first else n - 1, 1)
            rest = [k for k in range(v.rank) if k != axis]
            narrow = emit_reshape(one, tuple(v.shape[k] for k in rest))
            return broadcast_along(narrow, tuple(width if k == axis else d for k, d in enumerate(v.shape)), tuple(rest))
        if kind == "wrap":
            return window(v, axis, n - width if first else 0, width)
        return OPS["flip"](window(v, axis, skip if first else n - width - skip, width), axes=(axis,))

    parts = [*([piece(before, True)] if before != 0 else []), v, *([piece(after, False)] if after != 0 else [])]
    return OPS["concat"](*parts, axis=axis)


@function("pad")
def pad(cx: Surface, x: Arg, pad_width: Static, mode: Word = "constant", constant_values: Arg = 0) -> Value:
    """More elements before and after along each axis: constant ones, or by "edge", "reflect", "symmetric", "wrap" those that are there.
    A negative width crops."""
    v = cx.value(x)
    kind = _PADDING.get(plain(mode) if isinstance(plain(mode), str) else "")
    if kind is None:
        raise InferError("bad-argument", f"`pad` takes {', '.join(map(repr, _PADDING))} as `mode`", [("mode", "this one")])
    pairs = _widths(cx, v, pad_width)
    for k, (b, a) in enumerate(pairs):
        crop_before = -b if isinstance(b, int) and b < 0 else 0
        crop_after = -a if isinstance(a, int) and a < 0 else 0
        v = window(v, k, crop_before, v.shape[k] - crop_before - crop_after)
    pairs = [(0 if isinstance(b, int) and b < 0 else b, 0 if isinstance(a, int) and a < 0 else a) for b, a in pairs]
    if all(b == 0 and a == 0 for b, a in pairs):
        return v
    if kind != "constant":
        for k, (b, a) in enumerate(pairs):
            if b == 0 and a == 0:
                continue
            cx.graph.need(v.shape[k], 1, f"`pad` of an empty axis has nothing to repeat, axis {k}", "empty-axis", [("x", f"axis {k} is {v.shape[k]}")])
            joined = _by_pieces(v, k, b, a, kind)
            v = take_axis(v, _source_rows(cx, v.shape[k], b, a, kind), k) if joined is None else joined
        return v
    for b, a in pairs:
        for d in (b, a):
            cx.graph.need(d, 0, "a symbolic padding is not negative", "bad-argument", [("pad_width", "this one")])
    shape = tuple(d + b + a for d, (b, a) in zip(v.shape, pairs, strict=True))
    if isinstance(constant_values, int | float):
        constant_values = Literal.of(constant_values)
    if isinstance(constant_values, Literal) and not (constant_values.kind == "float" and v.dtype.kind != "float"):
        filler = cx.literal(constant_values, v.dtype)
    else:
        filler = Expr(cx, constant_values).call("astype", v.dtype).v
    return OPS["update"](broadcast_along(filler, shape, ()), v, starts=tuple(b for b, _ in pairs), strides=(1,) * v.rank)
