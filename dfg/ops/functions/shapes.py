"""Shapes: reshape, permute, broadcast, join, flip."""

from __future__ import annotations

from dfg.dims import DimLike
from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.functions.common import count_of
from dfg.ops.movement import emit_permute, emit_reshape
from dfg.ops.surface import Arg, Args, Axis, AxisList, Shape, Surface, axis_number, axis_numbers, function, plain, shape_of


@function("reshape")
def reshape(cx: Surface, x: Arg, shape: Shape) -> Value:
    """The same elements in the same order under another shape; one size may be -1."""
    v = cx.value(x)
    sizes = list(shape_of(shape, "reshape"))
    if -1 in sizes:
        k = sizes.index(-1)
        if sizes.count(-1) > 1:
            raise InferError("bad-argument", "`reshape` can work out one size, not two", [("shape", "this one")])
        rest: DimLike = 1
        for d in sizes[:k] + sizes[k + 1 :]:
            rest = rest * d
        total = count_of(v, range(v.rank))
        if rest == 0:
            raise InferError("bad-argument", "`reshape` cannot work out a size beside one that is 0", [("shape", "this one")])
        sizes[k] = total // rest
    return emit_reshape(v, tuple(sizes))


@function("permute_dims", "transpose")
def permute_dims(cx: Surface, x: Arg, axes: AxisList = None) -> Value:
    """The axes in another order; reversed by default."""
    v = cx.value(x)
    given = plain(axes)
    if given is None:
        return emit_permute(v, range(v.rank)[::-1])
    wanted = list(given) if isinstance(given, tuple) else [given]
    order = [axis_number(a, v.rank, "permute_dims", "axes") for a in wanted]
    if sorted(order) != list(range(v.rank)):
        raise InferError("bad-argument", f"`permute_dims` takes each of {v.rank} axes once, not {wanted}", [("axes", "this one")])
    return emit_permute(v, order)


@function("matrix_transpose")
def matrix_transpose(cx: Surface, x: Arg) -> Value:
    """The last two axes exchanged."""
    v = cx.value(x)
    if v.rank < 2:
        raise InferError("rank-mismatch", f"`matrix_transpose` takes rank 2 or more, not {v.type}", [("x", f"this is {v.type}")])
    return emit_permute(v, [*range(v.rank - 2), v.rank - 1, v.rank - 2])


@function("broadcast_to")
def broadcast_to(cx: Surface, x: Arg, shape: Shape) -> Value:
    """Repeated to a shape, as broadcasting does."""
    return cx.stretch(cx.value(x), shape_of(shape, "broadcast_to"))


@function("concat", "concatenate")
def concat(cx: Surface, arrays: Args, axis: Axis = 0) -> Value:
    """The tensors joined along an axis that they have; with axis none they are flattened first."""
    if not arrays:
        raise InferError("bad-argument", "`concat` joins at least one tensor", [("arrays", "this list is empty")])
    values = cx.promote(arrays, "concat")
    if plain(axis) is None:
        values = [emit_reshape(v, (count_of(v, range(v.rank)),)) for v in values]
        axis = 0
    k = axis_number(axis, values[0].rank, "concat")
    return OPS["concat"](*values, axis=k) if len(values) > 1 else values[0]


@function("stack")
def stack(cx: Surface, arrays: Args, axis: Axis = 0) -> Value:
    """The tensors, of one shape, joined along a new axis."""
    if not arrays:
        raise InferError("bad-argument", "`stack` joins at least one tensor", [("arrays", "this list is empty")])
    values = cx.promote(arrays, "stack")
    first = values[0]
    for i, v in enumerate(values):
        if v.rank != first.rank or any(cx.graph.equal_sizes(a, b) is not True for a, b in zip(v.shape, first.shape, strict=True)):
            raise InferError(
                "shape-mismatch",
                f"elements of one shape are stacked, not {first.type} and {v.type}",
                [(0, f"this is {first.type}"), (i, f"this is {v.type}")],
            )
    k = axis_number(axis, first.rank + 1, "stack")
    shape = (*first.shape[:k], 1, *first.shape[k:])
    raised = [emit_reshape(v, shape) for v in values]
    return OPS["concat"](*raised, axis=k) if len(raised) > 1 else raised[0]


@function("expand_dims")
def expand_dims(cx: Surface, x: Arg, axis: AxisList = 0) -> Value:
    """New axes of size 1, where they are in the result."""
    v = cx.value(x)
    given = plain(axis)
    count = len(given) if isinstance(given, tuple) else 1
    # `none` is not all axes here.
    axes = axis_numbers(given, v.rank + count, "expand_dims") if given is not None else (axis_number(given, v.rank + 1, "expand_dims"),)
    rest = iter(v.shape)
    return emit_reshape(v, tuple(1 if k in axes else next(rest) for k in range(v.rank + count)))


@function("squeeze")
def squeeze(cx: Surface, x: Arg, axis: AxisList = None) -> Value:
    """Without axes of size 1 (all of literal size 1 by default)."""
    v = cx.value(x)
    axes = tuple(k for k, d in enumerate(v.shape) if d == 1) if plain(axis) is None else axis_numbers(axis, v.rank, "squeeze")
    for k in axes:
        if v.shape[k] != 1:
            raise InferError(
                "bad-argument", f"`squeeze` drops axes of size 1, and axis {k} of {v.type} has size {v.shape[k]}", [("axis", "this one")]
            )
    return emit_reshape(v, tuple(d for k, d in enumerate(v.shape) if k not in axes))


@function("flip")
def flip(cx: Surface, x: Arg, axis: AxisList = None) -> Value:
    """The elements in reverse order along axes (all by default)."""
    v = cx.value(x)
    axes = axis_numbers(axis, v.rank, "flip")
    return OPS["flip"](v, axes=axes) if axes else v
