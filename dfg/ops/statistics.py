"""Reductions with rules of their own: `prod` (exact where elements are 0, at every order), `logsumexp`, `vector_norm` and `std` (smallest-norm subgradients), and
`linear_recurrence`, from which exclusive products, hence the gradients of `prod`, are made without a division.

>>> from dfg.ops import get
>>> get("linear_recurrence").formula
'y[t] = a[t] * y[t - 1] + b[t]'
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dfg.dims import DimLike
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPAQUE, OPS, Attr, Axes, Case, Op, Reject, RuleContext, check_dtype, define, full, full_like, make_constant, tensor
from dfg.ops.elementwise import emit_cast, equal, exp, size_value, where
from dfg.ops.math import isinf
from dfg.ops.movement import (
    broadcast_along,
    check_axes,
    concat,
    emit_permute,
    emit_reshape,
    expand_reduced,
    flip,
    inverse,
    size_product,
    slice_op,
    sum_over,
)
from dfg.ops.reduce import reduced_axes, reduction
from dfg.types import FLOATING, I64, NUMERIC, TensorType, Type

# --- linear recurrences ----------------------------------------------------------------------------------------------------------------


def _recurrence_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    a, b = tensor(operands[0]), tensor(operands[1])
    check_dtype("linear_recurrence", a, FLOATING)
    if a != b:
        raise InferError(
            "shape-mismatch", f"`linear_recurrence` takes operands of one type, not {a} and {b}", [(0, f"this is {a}"), (1, f"this is {b}")]
        )
    check_axes(a, (attrs[0],))
    return a


def _shifted(x: Value, axis: int, fill: float, forward: bool) -> Value:
    """The element before each along an axis (after each, if not `forward`); `fill` where there is none. Right for an empty axis too."""
    one = tuple(1 if k == axis else d for k, d in enumerate(x.shape))
    edge = full(x.graph, fill, x.type.with_shape(one))
    joined = concat(edge, x, axis=axis) if forward else concat(x, edge, axis=axis)
    starts = tuple(0 if forward or k != axis else 1 for k in range(x.rank))
    return slice_op(joined, starts=starts, sizes=x.shape, strides=(1,) * x.rank)


def running_lives(v: Value, pred: Value | None) -> Sequence[Value | None]:
    """Of results that run along an axis: an element reaches its own place and those that follow."""
    if pred is None:
        return [None] * len(v.operands)
    back = not (v.attrs[1] if len(v.attrs) > 1 else False)
    return [OPS["cumulative_max"](pred, axis=v.attrs[0], reverse=back)] * len(v.operands)


def reaching(cx: RuleContext, y: Value, factor: Value) -> Value:
    """A factor of a running result with 0 where it reaches no live place: what follows the last one may hold anything."""
    (live, *_) = running_lives(y, cx.live)
    return factor if live is None else where(live, factor, full_like(factor, 0))


def _recurrence_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    a = reaching(cx, y, y.operands[0])
    axis, reverse = y.attrs
    g = linear_recurrence(_shifted(a, axis, 0, reverse), ct, axis=axis, reverse=not reverse)
    return [g * _shifted(y, axis, 0, not reverse) if cx.need[0] else None, g if cx.need[1] else None]


def _one_by_one(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    made = np.array(b, copy=True)
    for t in range(1, len(made)):
        made[t] += a[t] * made[t - 1]
    return made


def _recurrence(xp: Any, a: Any, b: Any, *, axis: int, reverse: bool) -> Any:
    """Long axes by doubling: log2(n) passes over pairs (product, value). Where that overflows on the way, step by step."""
    p, q = np.moveaxis(np.asarray(a), axis, 0), np.moveaxis(np.asarray(b), axis, 0)
    if reverse:
        p, q = p[::-1], q[::-1]
    n = len(p)
    if n <= 32:
        made = _one_by_one(p, q)
    else:
        product, made = np.array(p, copy=True), np.array(q, copy=True)
        k = 1
        while k < n:
            made[k:] += product[k:] * made[:-k]
            product[k:] *= product[:-k].copy()
            k *= 2
        if not (np.isfinite(made).all() and np.isfinite(product).all()):
            made = _one_by_one(p, q)
    if reverse:
        made = made[::-1]
    return np.ascontiguousarray(np.moveaxis(made, 0, axis)).reshape(np.shape(b))


def _recurrence_axes(v: Value) -> Axes:
    lanes = tuple(OPAQUE if k == v.attrs[0] else k for k in range(v.rank))
    return (lanes, lanes)


_RECURRENCES: list[tuple[tuple[int, ...], int, bool]] = [
    ((5,), 0, False),
    ((5,), 0, True),
    ((2, 4), 1, False),
    ((4, 2, 3), 0, True),
    ((40, 2), 0, False),
    ((0, 2), 0, False),
    ((1, 3), 0, True),
]
linear_recurrence = define(
    Op(
        "linear_recurrence",
        "Along an axis, each result is the one before times a, plus b: products, sums and discounted sums. `reverse` goes from the last to the first.",
        _recurrence_infer,
        _recurrence_vjp,
        attrs=(Attr("axis", "axis"), Attr("reverse", "bool")),
        arity=2,
        evaluate=_recurrence,
        axes=_recurrence_axes,
        lives=running_lives,
        workspace=lambda v: 3 * v.type.size * v.dtype.size,
        cost=lambda v: 2 * v.type.size,
        samples=lambda rng: [
            Case((rng.uniform(-1, 1, s), rng.normal(size=s)), (("axis", a), ("reverse", r))) for s, a, r in _RECURRENCES
        ],
        rejects=(
            Reject(("f64[3]", "f64[4]"), (("axis", 0), ("reverse", False)), "shape-mismatch"),
            Reject(("f64[3]", "f64[3]"), (("axis", 1), ("reverse", False)), "bad-argument"),
            Reject(("i64[3]", "i64[3]"), (("axis", 0), ("reverse", False)), "wrong-dtype"),
        ),
        formula="y[t] = a[t] * y[t - 1] + b[t]",
    )
)


def exclusive_product(x: Value, axis: int) -> Value:
    """For each element the product of all others along an axis: what is before it times what is after it."""
    count = x.graph.emit(OPS["iota"], (), (x.shape[axis], I64))
    first = equal(count, full_like(count, 0))
    start = broadcast_along(emit_cast(first, x.dtype), x.shape, (axis,))
    before = linear_recurrence(_shifted(x, axis, 1, True), start, axis=axis, reverse=False)
    after = linear_recurrence(_shifted(x, axis, 1, False), flip(start, axes=(axis,)), axis=axis, reverse=True)
    return before * after


def _prod_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    x, axes = y.operands[0], y.attrs[0]
    kept = [k for k in range(x.rank) if k not in axes]
    order = [*kept, *axes]
    turned = emit_permute(x, order)
    shape = (*[x.shape[k] for k in kept], size_product([x.shape[k] for k in axes]))
    others = emit_reshape(exclusive_product(emit_reshape(turned, shape), len(kept)), turned.shape)
    return [expand_reduced(ct, x.shape, axes) * emit_permute(others, inverse(order))]


prod_op = reduction(
    "prod",
    "Product over axes; 1 over an empty axis. The gradient is exact also where elements are 0, at every order.",
    "prod",
    NUMERIC,
    _prod_vjp,
    formula="product of x over axes",
)

# --- log-sum-exp, norm, deviation ------------------------------------------------------------------------------------------------------


def _over_axes(
    name: str,
    doc: str,
    evaluate: Callable[..., Any],
    vjp: Callable[[RuleContext, Value, Value], Sequence[Value | None]],
    formula: str,
    more: tuple[Attr, ...] = (),
    settings: Sequence[tuple[tuple[str, Any], ...]] = ((),),
    empty: bool = True,
) -> Op:
    def infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
        t = tensor(operands[0])
        check_dtype(name, t, FLOATING)
        check_axes(t, attrs[0])
        return TensorType(t.dtype, tuple(d for k, d in enumerate(t.shape) if k not in attrs[0]))

    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((4,), (0,)), ((2, 3), (0,)), ((2, 3, 2), (0, 2)), ((2, 3), (0, 1)), ((1, 3), (1,))]
    if empty:
        shapes += [((0, 2), (0,)), ((2, 0), (0,)), ((3,), ())]

    def cases(rng: np.random.Generator) -> list[Case]:
        return [
            Case((rng.normal(size=s),), (("axes", a), *extra), order=0 if any(s[k] == 0 for k in a) else 2) for extra in settings for s, a in shapes
        ]

    return define(
        Op(
            name,
            doc,
            infer,
            vjp,
            attrs=(Attr("axes", "axes"), *more),
            evaluate=evaluate,
            axes=lambda v: reduced_axes(v.operands[0].rank, v.attrs[0]),
            workspace=lambda v: 2 * v.operands[0].type.size * v.dtype.size,
            cost=lambda v: 4 * v.operands[0].type.size,
            samples=cases,
            formula=formula,
            rejects=(
                Reject(("f64[3]",), (("axes", (1,)), *settings[0]), "bad-argument"),
                Reject(("i64[3]",), (("axes", (0,)), *settings[0]), "wrong-dtype"),
            ),
        )
    )


def _logsumexp(xp: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
    if not axes:
        return xp.array(x, copy=True)
    most = xp.max(x, axis=axes, keepdims=True, initial=-np.inf)
    most = xp.where(xp.isfinite(most), most, 0).astype(x.dtype, copy=False)
    return xp.log(xp.sum(xp.exp(x - most), axis=axes, dtype=x.dtype)) + xp.reshape(most, tuple(n for k, n in enumerate(x.shape) if k not in axes))


def _logsumexp_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    """The softmax of x. Where the result is infinite: equal shares of the infinite elements for inf, nothing for -inf."""
    x, axes = y.operands[0], y.attrs[0]
    top = expand_reduced(y, x.shape, axes)
    share = exp(x - top)
    if cx.kinks == "dfg":
        hit = equal(x, full_like(x, np.inf))
        ones = emit_cast(hit, x.dtype)
        total = sum_over(ones, axes)
        count = expand_reduced(OPS["maximum"](total, full_like(total, 1)), x.shape, axes)
        share = where(isinf(top), where(hit, ones / count, full_like(x, 0)), share)
    return [expand_reduced(ct, x.shape, axes) * share]


logsumexp_op = _over_axes(
    "logsumexp",
    "log(sum(exp(x))) over axes without overflow; -inf over an empty axis. Its gradient is the softmax; 0 where all elements are -inf.",
    _logsumexp,
    _logsumexp_vjp,
    "ln(sum of e ** x over axes)",
)


def _norm_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    x, axes = y.operands[0], y.attrs[0]
    length = expand_reduced(y, x.shape, axes)
    unit = x / length
    if cx.kinks != "jax":
        zero = full_like(length, 0)
        unit = where(equal(length, zero), zero, unit)
    return [expand_reduced(ct, x.shape, axes) * unit]


norm_op = _over_axes(
    "vector_norm",
    "Square root of the sum of squares over axes. Its gradient at 0 is 0.",
    lambda xp, x, *, axes: xp.sqrt(xp.sum(x * x, axis=axes, dtype=x.dtype)) if axes else xp.abs(x),
    _norm_vjp,
    "sqrt(sum of x ** 2 over axes)",
)


def size_over(v: Value, axes: Sequence[int]) -> DimLike:
    return size_product([v.shape[k] for k in axes])


def degrees(x: Value, axes: Sequence[int], correction: float) -> Value:
    """The number of elements over axes less the correction, at least 0, as a scalar of the dtype of x."""
    count = size_over(x, axes)
    if isinstance(count, int):
        return make_constant(x.graph, max(count - correction, 0), x.dtype)
    scalar = size_value(x.graph, count, x.dtype)
    return scalar if correction == 0 else OPS["maximum"](scalar - correction, full_like(scalar, 0))


def mean_over(x: Value, axes: tuple[int, ...]) -> Value:
    total = sum_over(x, axes)
    return total / broadcast_along(degrees(x, axes, 0), total.shape, ())


def _std(xp: Any, x: Any, *, axes: tuple[int, ...], correction: float) -> Any:
    count = int(np.prod([x.shape[k] for k in axes], dtype=np.int64))
    centred = x - xp.sum(x, axis=axes, keepdims=True, dtype=x.dtype) / x.dtype.type(count)
    total = xp.sum(centred * centred, axis=axes, dtype=x.dtype)
    return xp.sqrt(total / x.dtype.type(max(count - correction, 0)))


def _std_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    x = y.operands[0]
    axes, correction = y.attrs
    centred = x - expand_reduced(mean_over(x, axes), x.shape, axes)
    spread = expand_reduced(y, x.shape, axes)
    unit = centred / spread
    if cx.kinks == "dfg":
        zero = full_like(spread, 0)
        unit = where(equal(spread, zero), zero, unit)
    return [expand_reduced(ct / broadcast_along(degrees(x, axes, correction), ct.shape, ()), x.shape, axes) * unit]


std_op = _over_axes(
    "std",
    "Standard deviation over axes: square root of the sum of squared differences from the mean, over their number less `correction`. Its gradient for equal elements is 0.",
    _std,
    _std_vjp,
    "sqrt(sum of (x - mean) ** 2 / (n - correction))",
    more=(Attr("correction", "float"),),
    settings=[(("correction", 0.0),), (("correction", 1.0),)],
    empty=False,
)
