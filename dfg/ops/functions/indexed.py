"""Taking and putting by index arrays: NumPy's `take` forms, the neural-network `gather` and `scatter_add`, `embedding`, `one_hot`."""

from __future__ import annotations

from typing import Any

from dfg.dims import DimLike
from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.elementwise import emit_cast
from dfg.ops.functions.common import count_of
from dfg.ops.functions.expr import Expr
from dfg.ops.functions.shaping import counts, take_axis, window
from dfg.ops.movement import broadcast_along, emit_permute, emit_reshape, inverse
from dfg.ops.surface import Arg, Axis, DTypeArg, Literal, OptionalArg, Size, Surface, axis_number, dtype_of, function, plain, size_of
from dfg.types import BOOL, I64


def index_of(cx: Surface, x: Any, name: str, argument: str = "indices") -> Value:
    """An index array as i64."""
    v = cx.value(x)
    if v.dtype.kind != "int":
        raise InferError(
            "wrong-dtype",
            f"`{name}` takes an index array of integers, not {v.type}",
            [(argument, f"this is {v.type}")],
            help="a mask selects through `where`" if v.dtype.kind == "bool" else "`i64(…)` converts",
        )
    return emit_cast(v, I64)


@function("take")
def take(cx: Surface, x: Arg, indices: Arg, axis: Axis = None) -> Value:
    """Elements at indices along an axis, which the axes of the indices replace; without an axis, of the flattened tensor."""
    v, i = cx.value(x), index_of(cx, indices, "take")
    if plain(axis) is None:
        return OPS["gather"](emit_reshape(v, (count_of(v, range(v.rank)),)), i, axes=(0,), batch=0)
    return take_axis(v, i, axis_number(axis, v.rank, "take"))


def _same_elsewhere(cx: Surface, v: Value, i: Value, k: int, name: str) -> tuple[Value, Value]:
    """An operand and an index array broadcast together on all axes but one."""
    if v.rank != i.rank:
        raise InferError(
            "rank-mismatch", f"`{name}` takes an index array of the rank of {v.type}, not {i.type}", [("x", f"this is {v.type}"), ("indices", f"this is {i.type}")]
        )
    stand_ins = [cx.full(tuple(1 if a == k else d for a, d in enumerate(w.shape)), Literal("bool", False), BOOL) for w in (v, i)]
    common = cx.broadcast(stand_ins, name)[0].shape
    return tuple(cx.stretch(w, tuple(w.shape[k] if a == k else d for a, d in enumerate(common))) for w in (v, i))  # type: ignore[return-value]


def _rows(v: Value, i: Value, k: int) -> tuple[Value, Value, list[int]]:
    """Operand and indices with the indexed axis last, and the order that puts it there."""
    order = [*[a for a in range(v.rank) if a != k], k]
    return emit_permute(v, order), emit_permute(i, order), order


@function("take_along_axis")
def take_along_axis(cx: Surface, x: Arg, indices: Arg, axis: Axis = -1) -> Value:
    """result[..., j, ...] = x[..., indices[..., j, ...], ...] along an axis, the others broadcast; with axis none, of both flattened."""
    v, i = cx.value(x), index_of(cx, indices, "take_along_axis")
    if plain(axis) is None:
        v, i = (emit_reshape(w, (count_of(w, range(w.rank)),)) for w in (v, i))
        axis = 0
    k = axis_number(axis, v.rank, "take_along_axis")
    if v.rank == i.rank and any(cx.graph.equal_sizes(p, q) is not True for a, (p, q) in enumerate(zip(v.shape, i.shape, strict=True)) if a != k):
        v, i = _same_elsewhere(cx, v, i, k, "take_along_axis")
    if v.rank != i.rank:
        v, i = _same_elsewhere(cx, v, i, k, "take_along_axis")
    a, b, order = _rows(v, i, k)
    return emit_permute(OPS["gather"](a, b, axes=(a.rank - 1,), batch=a.rank - 1), inverse(order))


def _cropped(cx: Surface, v: Value, shape: tuple[DimLike, ...], k: int, name: str, argument: str) -> Value:
    """`v` cut to the shape of an index array on all axes but one."""
    for a, d in enumerate(shape):
        if a != k and cx.graph.equal_sizes(v.shape[a], d) is not True:
            cx.graph.need(v.shape[a], d, f"`{name}`: the index array is not longer than axis {a}", "shape-mismatch", [(argument, f"axis {a} is {v.shape[a]}")])
            v = window(v, a, 0, d)
    return v


def _flat_rank(cx: Surface, v: Value, i: Value, axis: Any, name: str) -> tuple[Value, Value, int, tuple[DimLike, ...]]:
    """Operand, indices and axis, scalars as vectors of one element; and the shape of the result."""
    shape = i.shape
    v1 = emit_reshape(v, (1,)) if v.rank == 0 else v
    i1 = emit_reshape(i, (1,)) if i.rank == 0 else i
    k = axis_number(axis, v1.rank, name)
    if v1.rank != i1.rank:
        raise InferError(
            "rank-mismatch", f"`{name}` takes an index array of the rank of {v.type}, not {i.type}", [("x", f"this is {v.type}"), ("index", f"this is {i.type}")]
        )
    return v1, i1, k, shape


@function("gather")
def gather(cx: Surface, x: Arg, axis: Axis, index: Arg) -> Value:
    """result[i, j, ...] = x[i, index[i, j, ...], ...] on an axis; the index array may be shorter than x on the others."""
    v, i = cx.value(x), index_of(cx, index, "gather", "index")
    v, i, k, shape = _flat_rank(cx, v, i, axis, "gather")
    v = _cropped(cx, v, i.shape, k, "gather", "x")
    a, b, order = _rows(v, i, k)
    made = emit_permute(OPS["gather"](a, b, axes=(a.rank - 1,), batch=a.rank - 1), inverse(order))
    return emit_reshape(made, shape)


def _scatter(cx: Surface, x: Arg, axis: Any, index: Arg, src: Arg, mode: str, name: str) -> Value:
    v, i = cx.value(x), index_of(cx, index, name, "index")
    outer = v.shape
    s = cx.promote((src, v), name)[0] if not isinstance(src, Value) else cx.cast(src, v.dtype, f"put into {v.dtype}")
    v, i, k, _ = _flat_rank(cx, v, i, axis, name)
    s = emit_reshape(s, (1,) * i.rank) if s.rank == 0 else s
    if s.rank != i.rank:
        raise InferError("rank-mismatch", f"`{name}` takes elements of the rank of the index array, not {s.type}", [("src", f"this is {s.type}")])
    s = cx.stretch(s, i.shape) if any(d == 1 != e for d, e in zip(s.shape, i.shape, strict=True)) else s
    for a, d in enumerate(i.shape):
        if cx.graph.equal_sizes(s.shape[a], d) is not True:
            cx.graph.need(s.shape[a], d, f"`{name}`: there is an element for each index", "shape-mismatch", [("src", f"axis {a} is {s.shape[a]}")])
            s = window(s, a, 0, d)
    part = _cropped(cx, v, i.shape, k, name, "x")
    a_, b_, order = _rows(part, i, k)
    put = OPS["scatter"](a_, emit_permute(s, order), b_, axes=(a_.rank - 1,), batch=a_.rank - 1, mode=mode)
    put = emit_permute(put, inverse(order))
    if put.shape != v.shape:
        put = OPS["update"](v, put, starts=(0,) * v.rank, strides=(1,) * v.rank)
    return emit_reshape(put, outer)


@function("scatter_add")
def scatter_add(cx: Surface, x: Arg, axis: Axis, index: Arg, src: Arg) -> Value:
    """x with src[i, j, ...] added at x[i, index[i, j, ...], ...] on an axis; all of repeated indices add."""
    return _scatter(cx, x, axis, index, src, "add", "scatter_add")


@function("scatter_set", "put_along_axis")
def scatter_set(cx: Surface, x: Arg, axis: Axis, index: Arg, src: Arg) -> Value:
    """x with src[i, j, ...] put at x[i, index[i, j, ...], ...] on an axis; the last of repeated indices wins."""
    return _scatter(cx, x, axis, index, src, "set", "scatter_set")


@function("index_add")
def index_add(cx: Surface, x: Arg, axis: Axis, index: Arg, src: Arg, alpha: Arg = 1) -> Value:
    """x with alpha * src added to its slices at indices along an axis; all of repeated indices add."""
    v, i = cx.value(x), index_of(cx, index, "index_add", "index")
    outer = v.shape
    s = Expr(cx, cx.cast(cx.value(src), v.dtype, f"put into {v.dtype}")) * Expr(cx, alpha)
    made = s.v if s.dtype is v.dtype else cx.cast(s.v, v.dtype, f"put into {v.dtype}")
    v = emit_reshape(v, (1,)) if v.rank == 0 else v
    made = emit_reshape(made, (1,)) if made.rank == 0 else made
    i = emit_reshape(i, (1,)) if i.rank == 0 else i
    k = axis_number(axis, v.rank, "index_add")
    front = [k, *[a for a in range(v.rank) if a != k]]
    wanted = (*i.shape, *[d for a, d in enumerate(v.shape) if a != k])
    made = emit_permute(made, front) if made.rank == v.rank else made
    return emit_reshape(OPS["scatter"](v, cx.stretch(made, wanted), i, axes=(k,), batch=0, mode="add"), outer)


@function("embedding")
def embedding(cx: Surface, weight: Arg, indices: Arg) -> Value:
    """The rows of a table at indices."""
    return take_axis(cx.value(weight), index_of(cx, indices, "embedding"), 0)


@function("one_hot")
def one_hot(cx: Surface, x: Arg, num_classes: Size, dtype: DTypeArg = None) -> Value:
    """A new last axis that is 1 at the place that x names and 0 elsewhere, of i64 unless a dtype is given; all 0 for a place outside."""
    i = index_of(cx, x, "one_hot", "x")
    shape = (*i.shape, size_of(num_classes, "one_hot", "num_classes"))
    places = broadcast_along(counts(cx, shape[-1]), shape, (i.rank,))
    hit = OPS["equal"](broadcast_along(i, shape, tuple(range(i.rank))), places)
    return emit_cast(hit, dtype_of(dtype, "one_hot") or I64)


@function("bincount")
def bincount(cx: Surface, x: Arg, weights: OptionalArg = None, minlength: Size = None) -> Value:
    """How often each number below `minlength` (which is needed) stands in x, or the sum of its weights."""
    i = index_of(cx, x, "bincount", "x")
    if plain(minlength) is None:
        raise InferError("missing-argument", "`bincount` needs `minlength`: how many numbers there are is known before running", help="bincount(x, minlength=10)")
    ones = cx.full(i.shape, Literal("int", 1), I64) if weights is None else cx.value(weights)
    zeros = cx.full((size_of(minlength, "bincount", "minlength"),), Literal("int", 0), ones.dtype)
    return OPS["scatter"](zeros, cx.stretch(ones, i.shape), i, axes=(0,), batch=0, mode="add")
