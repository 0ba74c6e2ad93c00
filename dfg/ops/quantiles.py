"""Order statistics that interpolate: `quantile`, `percentile`, `median` and their NaN-ignoring forms, made of `sort` and gathers.

A row that holds a NaN gives NaN, as in NumPy. The gradient goes to the two neighbours in the order, by their weights, and to a computed `q`.
Methods are those of NumPy (Hyndman and Fan 1996, "Sample quantiles in statistical packages") that interpolate, and lower, higher, midpoint, nearest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dfg.dims import DimLike
from dfg.ir import InferError, Value
from dfg.ops.base import OPS, const_value, full_like
from dfg.ops.elementwise import emit_cast, equal, isnan, less, size_value, where
from dfg.ops.indexed import gather
from dfg.ops.movement import broadcast_along, emit_permute, emit_reshape, sum_over
from dfg.ops.ordering import sort, window_of
from dfg.ops.surface import Arg, AxisList, Flag, Literal, Surface, Word, axis_numbers, function, plain
from dfg.types import I64

METHODS: dict[str, tuple[float, float]] = {
    "linear": (1.0, 1.0),
    "hazen": (0.5, 0.5),
    "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
    "interpolated_inverted_cdf": (0.0, 1.0),
}
"""The plotting positions of the interpolating methods."""
STEPPED = ("lower", "higher", "midpoint", "nearest")


def rows_last(cx: Surface, x: Any, axis: Any, name: str) -> tuple[Value, tuple[int, ...], Value]:
    """The operand (floating), the axes to work over, and a form of it whose last axis holds them all."""
    (v,) = cx.promote((x,), name, floating=True)
    axes = axis_numbers(axis, v.rank, name)
    kept = [k for k in range(v.rank) if k not in axes]
    count: DimLike = 1
    for a in axes:
        count = count * v.shape[a]
    cx.graph.need(count, 1, f"`{name}` of no elements has no value", "empty-axis", [("x", f"this is {v.type}")])
    return v, axes, emit_reshape(emit_permute(v, [*kept, *axes]), (*[v.shape[k] for k in kept], count))


def with_axes(made: Value, v: Value, axes: tuple[int, ...], keepdims: Any, lead: int = 0) -> Value:
    """A result over the kept axes (after `lead` others) with the worked ones at size 1 if asked for."""
    if not plain(keepdims):
        return made
    return emit_reshape(made, (*made.shape[:lead], *[1 if k in axes else d for k, d in enumerate(v.shape)]))


def _poisoned(ordered: Value, made: Value, dims: tuple[int, ...]) -> Value:
    """NaN where a row holds one: sorting puts it last."""
    n = ordered.shape[-1]
    last = window_of(ordered, ordered.rank - 1, n - 1, 1)
    last = emit_reshape(last, last.shape[:-1])
    return where(broadcast_along(isnan(last), made.shape, dims), full_like(made, np.nan), made)


def _between(low: Value, high: Value, t: Value) -> Value:
    """NumPy's interpolation, which keeps order and gives both ends exactly."""
    gap = high - low
    near = less(t, full_like(t, 0.5))
    made = where(near, low + gap * t, high - gap * (1 - t))
    # Where the weight is 0 an infinite neighbour does not count.
    return where(equal(t, full_like(t, 0)) | equal(low, high), low, made)


def _quantile(cx: Surface, x: Any, q: Any, axis: Any, keepdims: Any, method: Any, name: str, scale: float, ignore: bool) -> Value:
    word = plain(method)
    if word not in METHODS and word not in STEPPED:
        raise InferError(
            "bad-argument", f'`{name}` has no method "{word}"', [("method", "this one")], help=f"methods are {', '.join((*METHODS, *STEPPED))}"
        )
    v, axes, rows = rows_last(cx, x, axis, name)
    place = cx.literal(Literal("float", q.value), rows.dtype) if isinstance(q, Literal) else emit_cast(q, rows.dtype)
    if scale != 1:
        place = place / full_like(place, scale)
    known = const_value(place)
    if known is not None and not bool(np.all((known >= 0) & (known <= 1))):
        raise InferError("bad-argument", f"`{name}` takes `q` from 0 to {scale:g}", [("q", "this one")])
    ordered = sort(rows, axis=rows.rank - 1, descending=False)
    n = rows.shape[-1]
    lanes = rows.shape[:-1]
    shape = (*place.shape, *lanes)
    dims = tuple(range(place.rank, len(shape)))
    p = broadcast_along(place, shape, tuple(range(place.rank)))
    if ignore:
        there = emit_cast(~isnan(rows), I64)
        counted = broadcast_along(sum_over(there, (rows.rank - 1,)), shape, dims)
    else:
        counted = broadcast_along(size_value(cx.graph, n, I64), shape, ())
    count = emit_cast(counted, rows.dtype)
    if word in METHODS:
        alpha, beta = METHODS[word]
        virtual = p * (count - 1) if word == "linear" else count * p + (alpha + p * (1 - alpha - beta)) - 1
        virtual = OPS["minimum"](OPS["maximum"](virtual, full_like(virtual, 0)), OPS["maximum"](count - 1, full_like(virtual, 0)))
    else:
        virtual = p * (count - 1)
    whole = emit_cast(OPS["stop_gradient"](virtual), I64)  # toward zero: the floor, since it is not negative
    part = virtual - emit_cast(whole, rows.dtype)
    zero, one = full_like(whole, 0), full_like(whole, 1)
    upper = where(part > 0, whole + one, whole)
    top = OPS["maximum"](counted - one, zero)
    upper = OPS["minimum"](upper, top)
    if word == "lower":
        upper = whole
    elif word == "higher":
        whole = upper
    elif word == "nearest":
        # NumPy rounds a half to the even place.
        even = equal(OPS["remainder"](whole, full_like(whole, 2)), zero)
        half = full_like(part, 0.5)
        whole = upper = where(less(part, half) | (equal(part, half) & even), whole, upper)
    low = _pick(ordered, whole, place.rank)
    if word in ("lower", "higher", "nearest"):
        made = low
    else:
        high = _pick(ordered, upper, place.rank)
        weight = where(part > 0, full_like(part, 0.5), full_like(part, 0)) if word == "midpoint" else part
        made = _between(low, high, weight)
    if ignore:
        none = broadcast_along(equal(sum_over(there, (rows.rank - 1,)), full_like(sum_over(there, (rows.rank - 1,)), 0)), shape, dims)
        made = where(none, full_like(made, np.nan), made)
    else:
        made = _poisoned(ordered, made, dims)
    return with_axes(made, v, axes, keepdims, place.rank)


def _pick(ordered: Value, places: Value, lead: int) -> Value:
    """Elements of the rows at places whose first `lead` axes come from `q`."""
    r = places.rank
    moved = emit_permute(places, [*range(lead, r), *range(lead)])
    taken = gather(ordered, moved, axes=(ordered.rank - 1,), batch=ordered.rank - 1)
    return emit_permute(taken, [*range(r - lead, r), *range(r - lead)])


@function("quantile")
def quantile(cx: Surface, x: Arg, q: Arg, axis: AxisList = None, keepdims: Flag = False, method: Word = "linear") -> Value:
    """The `q`-quantile over axes (all by default), `q` from 0 to 1; for a list of them they are the leading axis of the result. Methods as in NumPy."""
    return _quantile(cx, x, q, axis, keepdims, method, "quantile", 1.0, False)


@function("percentile")
def percentile(cx: Surface, x: Arg, q: Arg, axis: AxisList = None, keepdims: Flag = False, method: Word = "linear") -> Value:
    """The quantile over axes (all by default) for `q` in percent."""
    return _quantile(cx, x, q, axis, keepdims, method, "percentile", 100.0, False)


@function("nanquantile")
def nanquantile(cx: Surface, x: Arg, q: Arg, axis: AxisList = None, keepdims: Flag = False, method: Word = "linear") -> Value:
    """The quantile over axes of the elements that are not NaN; NaN where there is none."""
    return _quantile(cx, x, q, axis, keepdims, method, "nanquantile", 1.0, True)


@function("nanmedian")
def nanmedian(cx: Surface, x: Arg, axis: AxisList = None, keepdims: Flag = False) -> Value:
    """The median over axes of the elements that are not NaN; NaN where there is none."""
    return _quantile(cx, x, Literal("float", 0.5), axis, keepdims, "linear", "nanmedian", 1.0, True)


@function("median")
def median(cx: Surface, x: Arg, axis: AxisList = None, keepdims: Flag = False) -> Value:
    """The median over axes (all by default): the mean of the middle two of an even number of elements."""
    v, axes, rows = rows_last(cx, x, axis, "median")
    n = rows.shape[-1]
    ordered = sort(rows, axis=rows.rank - 1, descending=False)
    low, high = (window_of(ordered, rows.rank - 1, k, 1) for k in ((n - 1) // 2, n // 2))
    low, high = (emit_reshape(e, rows.shape[:-1]) for e in (low, high))
    made = low if low is high else low * 0.5 + high * 0.5
    return with_axes(_poisoned(ordered, made, tuple(range(made.rank))), v, axes, keepdims)


