"""Ops that only move elements: broadcast, reshape, permute, slice, flip, update, concat. (Gather and scatter: `indexed`.)

Their vjps are written with each other, so that the same rule, applied to booleans, moves a liveness predicate (adding is or-ing: see
`sum_over`). `broadcast` only adds axes; stretching an axis of size 1 is a reshape that drops it, then a broadcast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dfg.dims import DimLike, suggest_fact
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPAQUE, OPS, Attr, Axes, Case, Op, Reject, RuleContext, define, full, tensor
from dfg.types import BOOL, TensorType, Type


def sum_over(ct: Value, axes: tuple[int, ...]) -> Value:
    """The sum over axes, or for booleans whether any holds."""
    if not axes:
        return ct
    return OPS["any" if ct.dtype is BOOL else "sum"](ct, axes=axes)


# --- broadcast -------------------------------------------------------------------------------------------------------------------


def _broadcast_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    shape, dims = attrs
    if len(dims) != t.rank or list(dims) != sorted(set(dims)) or any(not 0 <= d < len(shape) for d in dims):
        raise InferError("bad-argument", f"`broadcast` places each of {t.rank} axes once, in order; not at {dims}")
    for axis, d in enumerate(dims):
        if cx.equal_sizes(t.shape[axis], shape[d]) is not True:
            raise InferError("shape-mismatch", f"`broadcast` puts axis {axis} of {t} where the size is {shape[d]}", [(0, f"this is {t}")])
    return t if shape == t.shape else TensorType(t.dtype, shape)


def _broadcast_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    dims = y.attrs[1]
    return [sum_over(ct, tuple(k for k in range(y.rank) if k not in dims))]


def _broadcast(xp: Any, x: Any, *, shape: tuple[int, ...], dims: tuple[int, ...]) -> Any:
    inner = [1] * len(shape)
    for axis, d in enumerate(dims):
        inner[d] = x.shape[axis]
    return xp.broadcast_to(xp.reshape(x, tuple(inner)), shape)


broadcast = define(
    Op(
        "broadcast",
        "The same elements repeated along new axes; `dims` says where the operand's axes go.",
        _broadcast_infer,
        _broadcast_vjp,
        attrs=(Attr("shape", "shape"), Attr("dims", "dims")),
        evaluate=_broadcast,
        axes=lambda v: (tuple(v.attrs[1]),),
        linear=(True,),
        moves=True,
        repeats=True,
        view=True,
        cost=lambda v: 0,
        samples=lambda rng: [
            Case((rng.normal(size=s),), (("shape", r), ("dims", d)))
            for s, r, d in [((), (3, 2), ()), ((3,), (3, 2), (0,)), ((2,), (3, 2), (1,)), ((2, 0), (2, 3, 0), (0, 2))]
        ],
        rejects=(Reject(("f64[3]",), (("shape", (2, 4)), ("dims", (1,))), "shape-mismatch"),),
    )
)


def broadcast_along(v: Value, shape: tuple[DimLike, ...], dims: tuple[int, ...]) -> Value:
    return v if v.shape == shape else broadcast(v, shape=shape, dims=dims)


def expand_reduced(v: Value, shape: tuple[DimLike, ...], axes: Sequence[int]) -> Value:
    """A reduction's result back at the operand's shape."""
    return broadcast_along(v, shape, tuple(k for k in range(len(shape)) if k not in axes))


# --- reshape ---------------------------------------------------------------------------------------------------------------------


def size_product(sizes: Sequence[DimLike]) -> DimLike:
    total: DimLike = 1
    for d in sizes:
        total = total * d
    return total


def _reshape_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    shape = attrs[0]
    old, new = size_product(t.shape), size_product(shape)
    equal = cx.equal_sizes(old, new)
    if equal is not True:
        target = TensorType(t.dtype, shape)
        raise InferError(
            "shape-mismatch" if equal is False else "dim-unproved",
            f"cannot reshape {t} of {old} elements to {target} of {new}",
            [(0, f"this is {t}")],
            dim_fact=None if equal is False else suggest_fact(old, new),
        )
    return TensorType(t.dtype, shape)


def reshape_groups(old: Sequence[DimLike], new: Sequence[DimLike]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Split a reshape into the smallest runs of axes with equal sizes: pairs of (old axes, new axes)."""
    groups: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        if i < len(old) and j < len(new) and old[i] == new[j]:
            groups.append(((i,), (j,)))
            i, j = i + 1, j + 1
            continue
        if i < len(old) and old[i] == 1:
            groups.append(((i,), ()))
            i += 1
            continue
        if j < len(new) and new[j] == 1:
            groups.append(((), (j,)))
            j += 1
            continue
        a, b = i + 1, j + 1
        while (left := size_product(old[i:a])) != (right := size_product(new[j:b])):
            # Grow the side that is known to be the smaller; with named sizes, the one that has fewer axes.
            shorter = left < right if isinstance(left, int) and isinstance(right, int) and left and right else a - i <= b - j
            if a < len(old) and (shorter or b >= len(new)):
                a += 1
            elif b < len(new):
                b += 1
            else:
                break
        groups.append((tuple(range(i, min(a, len(old)))), tuple(range(j, min(b, len(new))))))
        i, j = a, b
    return groups


def _reshape_axes(v: Value) -> Axes:
    result: list[int | str] = [OPAQUE] * v.operands[0].rank
    for old, new in reshape_groups(v.operands[0].shape, v.shape):
        if len(old) == 1 and len(new) == 1:
            result[old[0]] = new[0]
    return (tuple(result),)


reshape: Op = define(
    Op(
        "reshape",
        "The same elements in the same order under another shape.",
        _reshape_infer,
        lambda cx, ct, y: [reshape(ct, shape=y.operands[0].shape)],
        attrs=(Attr("shape", "shape"),),
        evaluate=lambda xp, x, *, shape: xp.reshape(x, shape),
        axes=_reshape_axes,
        linear=(True,),
        moves=True,
        view=True,
        into="np.copyto({out}.reshape({0}.shape), {0})",
        cost=lambda v: 0,
        samples=lambda rng: [
            Case((rng.normal(size=s),), (("shape", r),))
            for s, r in [((6,), (2, 3)), ((2, 3), (3, 2)), ((2, 1, 3), (2, 3)), ((0, 3), (0,)), ((), (1, 1)), ((4, 2, 3), (4, 6))]
        ],
        rejects=(Reject(("f64[3]",), (("shape", (4,)),), "shape-mismatch"),),
    )
)


def emit_reshape(v: Value, shape: tuple[DimLike, ...]) -> Value:
    return v if v.shape == shape else reshape(v, shape=shape)


# --- permute, flip -----------------------------------------------------------------------------------------------------------------


def _permute_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    perm = attrs[0]
    if sorted(perm) != list(range(t.rank)):
        raise InferError("bad-argument", f"{list(perm)} is not an order of the {t.rank} axes of {t}", [(0, f"this is {t}")])
    return TensorType(t.dtype, tuple(t.shape[p] for p in perm))


def inverse(perm: Sequence[int]) -> tuple[int, ...]:
    result = [0] * len(perm)
    for k, p in enumerate(perm):
        result[p] = k
    return tuple(result)


permute: Op = define(
    Op(
        "permute",
        "The axes in another order: axis k of the result is axis `perm[k]` of the operand.",
        _permute_infer,
        lambda cx, ct, y: [permute(ct, perm=inverse(y.attrs[0]))],
        attrs=(Attr("perm", "perm"),),
        evaluate=lambda xp, x, *, perm: xp.transpose(x, perm),
        axes=lambda v: (inverse(v.attrs[0]),),
        linear=(True,),
        moves=True,
        view=True,
        cost=lambda v: 0,
        samples=lambda rng: [
            Case((rng.normal(size=s),), (("perm", p),)) for s, p in [((2, 3), (1, 0)), ((2, 3, 4), (1, 2, 0)), ((2, 0), (1, 0)), ((), ())]
        ],
        rejects=(Reject(("f64[3, 2]",), (("perm", (0, 0)),), "bad-argument"),),
    )
)


def emit_permute(v: Value, perm: Sequence[int]) -> Value:
    return v if list(perm) == list(range(v.rank)) else permute(v, perm=tuple(perm))


def check_axes(t: TensorType, axes: Sequence[int]) -> None:
    if list(axes) != sorted(set(axes)) or any(not 0 <= a < t.rank for a in axes):
        raise InferError("bad-argument", f"{list(axes)} are not distinct axes, in order, of {t}", [(0, f"this is {t}")])


def _flip_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    check_axes(t, attrs[0])
    return t


flip: Op = define(
    Op(
        "flip",
        "The elements in reverse order along axes.",
        _flip_infer,
        lambda cx, ct, y: [flip(ct, axes=y.attrs[0])],
        attrs=(Attr("axes", "axes"),),
        evaluate=lambda xp, x, *, axes: xp.flip(x, axes),
        linear=(True,),
        moves=True,
        view=True,
        cost=lambda v: 0,
        axes=lambda v: (tuple(OPAQUE if k in v.attrs[0] else k for k in range(v.rank)),),
        samples=lambda rng: [
            Case((rng.normal(size=s),), (("axes", a),)) for s, a in [((3,), (0,)), ((2, 3), (0, 1)), ((2, 3, 2), (1,)), ((0,), (0,))]
        ],
        rejects=(Reject(("f64[3]",), (("axes", (1,)),), "bad-argument"),),
    )
)

# --- slice and update ----------------------------------------------------------------------------------------------------------------


def _window(cx: Graph, t: TensorType, starts: Sequence[DimLike], sizes: Sequence[DimLike], strides: Sequence[int]) -> None:
    if not len(starts) == len(sizes) == len(strides) == t.rank:
        raise InferError("bad-argument", f"a slice of {t} has {t.rank} starts, sizes and strides")
    for axis, (start, size, stride) in enumerate(zip(starts, sizes, strides, strict=True)):
        full_size = t.shape[axis]
        if stride < 1:
            raise InferError("bad-argument", f"the stride of a slice is at least 1, not {stride}")
        if start == 0 and size == full_size and stride == 1:
            continue
        marks = [(0, f"axis {axis} of {t} has size {full_size}")]
        cx.need(start, 0, f"a slice starts inside axis {axis}", "out-of-bounds", marks)
        cx.need(size, 0, f"a slice of axis {axis} does not end before it starts", "out-of-bounds", marks)
        if size != 0:
            cx.need(full_size, start + (size - 1) * stride + 1, f"a slice ends inside axis {axis}", "out-of-bounds", marks)


def _slice_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    starts, sizes, strides = attrs
    _window(cx, t, starts, sizes, strides)
    return TensorType(t.dtype, tuple(sizes))


def _index(starts: Sequence[int], sizes: Sequence[int], strides: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(a, a + max(0, (n - 1) * s + 1) if n else a, s) for a, n, s in zip(starts, sizes, strides, strict=True))


def _slice_axes(v: Value) -> Axes:
    x = v.operands[0]
    starts, sizes, strides = v.attrs
    return (tuple(k if starts[k] == 0 and sizes[k] == x.shape[k] and strides[k] == 1 else OPAQUE for k in range(x.rank)),)


SLICE_ATTRS = (Attr("starts", "per_axis", 0), Attr("sizes", "per_axis", "size"), Attr("strides", "per_axis", 1))
_SLICES: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = [
    ((5,), (1,), (3,), (1,)),
    ((5, 3), (0, 1), (3, 2), (2, 1)),
    ((4,), (2,), (0,), (1,)),
    ((2, 3, 4), (0, 0, 1), (2, 3, 2), (1, 1, 2)),
]
slice_op = define(
    Op(
        "slice",
        "A window of each axis: `sizes` elements from `starts` in steps of `strides`.",
        _slice_infer,
        lambda cx, ct, y: [update(full(ct.graph, 0, y.operands[0].type.with_dtype(ct.dtype)), ct, starts=y.attrs[0], strides=y.attrs[2])],
        attrs=SLICE_ATTRS,
        evaluate=lambda xp, x, *, starts, sizes, strides: x[_index(starts, sizes, strides)],
        axes=_slice_axes,
        linear=(True,),
        moves=True,
        partial=True,
        view=True,
        cost=lambda v: 0,
        samples=lambda rng: [Case((rng.normal(size=s),), (("starts", a), ("sizes", n), ("strides", t))) for s, a, n, t in _SLICES],
        rejects=(Reject(("f64[3]",), (("starts", (2,)), ("sizes", (2,)), ("strides", (1,))), "out-of-bounds"),),
    )
)


def _update_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t, u = tensor(operands[0]), tensor(operands[1])
    if t.dtype is not u.dtype or t.rank != u.rank:
        raise InferError("shape-mismatch", f"{u} cannot be put into {t}", [(0, f"this is {t}"), (1, f"this is {u}")])
    _window(cx, t, attrs[0], u.shape, attrs[1])
    return t


def _update_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    starts, strides = y.attrs
    v = y.operands[1]
    return [
        update(ct, full(ct.graph, 0, v.type.with_dtype(ct.dtype)), starts=starts, strides=strides) if cx.need[0] else None,
        slice_op(ct, starts=starts, sizes=v.shape, strides=strides) if cx.need[1] else None,
    ]


def _update(xp: Any, x: Any, v: Any, *, starts: Any, strides: Any) -> Any:
    result = xp.array(x, copy=True)
    result[_index(starts, v.shape, strides)] = v
    return result


def _update_axes(v: Value) -> Axes:
    x, u = v.operands
    lanes = tuple(k if v.attrs[0][k] == 0 and u.shape[k] == x.shape[k] and v.attrs[1][k] == 1 else OPAQUE for k in range(x.rank))
    return (lanes, lanes)


update: Op = define(
    Op(
        "update",
        "The first operand with a window of it replaced by the second.",
        _update_infer,
        _update_vjp,
        attrs=(SLICE_ATTRS[0], SLICE_ATTRS[2]),
        arity=2,
        evaluate=_update,
        axes=_update_axes,
        linear=(True, True),
        moves=True,
        partial=True,
        cost=lambda v: 0,
        samples=lambda rng: [Case((rng.normal(size=s), rng.normal(size=n)), (("starts", a), ("strides", t))) for s, a, n, t in _SLICES],
        rejects=(Reject(("f64[3]", "f64[2]"), (("starts", (2,)), ("strides", (1,))), "out-of-bounds"),),
    )
)

# --- concat --------------------------------------------------------------------------------------------------------------------------


def _concat_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    axis = attrs[0]
    types = [tensor(o) for o in operands]
    first = types[0]
    if not 0 <= axis < first.rank:
        raise InferError("bad-argument", f"{first} has no axis {axis} to join along", [(0, f"this is {first}")])
    total: DimLike = 0
    for k, t in enumerate(types):
        if t.rank != first.rank or t.dtype is not first.dtype:
            raise InferError("shape-mismatch", f"cannot join {first} and {t}", [(0, f"this is {first}"), (k, f"this is {t}")])
        for a in range(first.rank):
            if a != axis and (equal := cx.equal_sizes(first.shape[a], t.shape[a])) is not True:
                fact = None if equal is False else suggest_fact(first.shape[a], t.shape[a])
                raise InferError(
                    "shape-mismatch" if equal is False else "dim-unproved",
                    f"cannot join {first} and {t} along axis {axis}: axis {a} differs",
                    [(0, f"axis {a} is {first.shape[a]}"), (k, f"axis {a} is {t.shape[a]}")],
                    dim_fact=fact,
                )
        total = total + t.shape[axis]
    return TensorType(first.dtype, (*first.shape[:axis], total, *first.shape[axis + 1 :]))


def _concat_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    axis = y.attrs[0]
    offset: DimLike = 0
    result: list[Value | None] = []
    for k, o in enumerate(y.operands):
        starts = tuple(offset if a == axis else 0 for a in range(o.rank))
        result.append(slice_op(ct, starts=starts, sizes=o.shape, strides=(1,) * o.rank) if cx.need[k] else None)
        offset = offset + o.shape[axis]
    return result


_CONCATS: list[tuple[list[tuple[int, ...]], int]] = [([(2,), (3,)], 0), ([(2, 1), (2, 3), (2, 0)], 1), ([(2, 3)], 0)]
concat = define(
    Op(
        "concat",
        "The operands joined along an axis.",
        _concat_infer,
        _concat_vjp,
        attrs=(Attr("axis", "axis"),),
        arity=None,
        evaluate=lambda xp, *xs, axis: xp.concatenate(xs, axis=axis),
        into=lambda out, *xs, axis: f"np.concatenate([{', '.join(xs)}], axis={axis}, out={out})",
        axes=lambda v: tuple(tuple(OPAQUE if k == v.attrs[0] else k for k in range(o.rank)) for o in v.operands),
        moves=True,
        linear=(True,),
        cost=lambda v: 0,
        samples=lambda rng: [
            Case(tuple(rng.normal(size=s) for s in shapes), (("axis", a),)) for shapes, a in _CONCATS
        ],
        rejects=(Reject(("f64[3, 2]", "f64[3, 3]"), (("axis", 0),), "shape-mismatch"),),
    )
)
