"""Pooling over the last axes: the largest element or the mean of each window, adaptive pooling, and interpolation.

No window is copied: `max_pool` goes over the window's places one axis at a time, and means are convolutions with ones.
Of elements of a window that tie, the first one in row order wins and gets the cotangent. Padding takes no part in a maximum; a window that
holds nothing but padding gives the least number of its dtype.

>>> from dfg.ops import get
>>> get("max_pool").evaluate(np, np.array([1.0, 3.0, 2.0]), window=(2,), sizes=(2,), before=(0,), strides=(1,), dilation=(1,))
array([3., 3.])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dfg.dims import DimLike
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPS, Case, NoGradient, Op, Reject, RuleContext, check_dtype, define, full, full_like, tensor
from dfg.ops.contract import LETTERS, canonical, contract
from dfg.ops.convolution import conv
from dfg.ops.convolutions import pads, per_axis, windows_of
from dfg.ops.elementwise import emit_cast, where
from dfg.ops.indexed import scatter
from dfg.ops.movement import broadcast_along, emit_permute, emit_reshape
from dfg.ops.surface import Arg, Flag, Shape, Size, Static, Surface, Word, function, plain
from dfg.ops.windows import WINDOWS_ATTRS, check_windows, entries, inside, last_opaque
from dfg.types import BOOL, I64, NUMERIC, TensorType, Type

# --- largest elements ----------------------------------------------------------------------------------------------------------------------


def _pool_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    window, sizes, before, strides, dilation = attrs
    check_dtype("max_pool", t, NUMERIC)
    n = check_windows("max_pool", t, strides, dilation, window, sizes, before)
    for d in sizes:
        cx.need(d, 0, "a size is never negative", "bad-argument")
    for k in window:
        cx.need(k, 1, "the maximum of an empty window has no value", "empty-axis")
    return t.with_shape((*t.shape[: t.rank - n], *sizes))


def _least(dtype: np.dtype) -> Any:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _pooled(xp: Any, x: Any, window: Any, sizes: Any, before: Any, strides: Any, dilation: Any, places: bool) -> tuple[Any, Any]:
    """The largest elements, and their places in the flattened last axes (-1 for none): axis by axis from the last, first ones winning."""
    n = len(window)
    lead = x.ndim - n
    best: Any = x
    where_: Any = None
    if places:
        counts = xp.arange(int(np.prod(x.shape[lead:])), dtype=np.int64).reshape(x.shape[lead:])
        where_ = xp.broadcast_to(counts, x.shape)
    for i in reversed(range(n)):
        axis = lead + i
        shape = (*best.shape[:axis], sizes[i], *best.shape[axis + 1 :])
        made = xp.full(shape, _least(x.dtype), x.dtype)
        at = xp.full(shape, -1, np.int64) if places else None
        for k in range(window[i]):
            there, here = inside(sizes[i], best.shape[axis], k * dilation[i] - before[i], strides[i])
            if there.stop <= there.start:
                continue
            to, source = (*[slice(None)] * axis, there), best[(*[slice(None)] * axis, here)]
            if at is not None:
                found = where_[(*[slice(None)] * axis, here)]
                ahead = (source > made[to]) | ((at[to] < 0) & (found >= 0))
                if x.dtype.kind == "f":
                    ahead |= xp.isnan(source) & ~xp.isnan(made[to])
                at[to] = xp.where(ahead, found, at[to])
            xp.maximum(made[to], source, out=made[to])
        best, where_ = made, at
    return best, where_


def _pool(xp: Any, x: Any, *, window: Any, sizes: Any, before: Any, strides: Any, dilation: Any) -> Any:
    return xp.array(_pooled(xp, x, window, sizes, before, strides, dilation, False)[0])


def _pool_place(xp: Any, x: Any, *, window: Any, sizes: Any, before: Any, strides: Any, dilation: Any) -> Any:
    return xp.array(_pooled(xp, x, window, sizes, before, strides, dilation, True)[1])


def _pool_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    x = y.operands[0]
    n = len(y.attrs[0])
    lead = x.rank - n
    places = max_pool_place(x, **y.attributes)
    held = places >= 0
    kept = held & ct if ct.dtype is BOOL else where(held, ct, full_like(ct, 0))
    places = OPS["maximum"](places, full_like(places, 0))
    total: DimLike = 1
    for d in x.shape[lead:]:
        total = total * d
    board = full(x.graph, 0, TensorType(ct.dtype, (*x.shape[:lead], total)))
    made = scatter(board, kept, places, axes=(lead,), batch=lead, mode="add")
    return [emit_reshape(made, x.shape)]


def _pool_samples(rng: np.random.Generator) -> list[Case]:
    rows: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = [
        ((5,), (2,), (4,), (0,), (1,), (1,)),
        ((2, 5), (3,), (3,), (1,), (2,), (1,)),
        ((2, 2, 4, 5), (2, 2), (3, 2), (1, 0), (1, 3), (2, 1)),
        ((1, 3, 2, 3), (2, 3, 1), (2, 1, 2), (0, 1, 0), (1, 1, 2), (1, 1, 1)),
        ((0, 4), (2,), (3,), (0,), (1,), (1,)),
    ]
    names = ("window", "sizes", "before", "strides", "dilation")
    result = [Case((rng.permutation(int(np.prod(r[0]))).reshape(r[0]) * 0.1,), tuple(zip(names, r[1:], strict=True))) for r in rows]
    odd = np.array([[1.0, np.nan, 2.0, 2.0, -np.inf], [3.0, 3.0, np.nan, np.nan, 1.0]])
    result.append(Case((odd,), tuple(zip(names, rows[1][1:], strict=True)), wrt=()))
    result.append(Case((rng.integers(0, 3, (2, 5)),), tuple(zip(names, rows[1][1:], strict=True)), wrt=()))
    # The last window holds only padding.
    result.append(Case((rng.permutation(4) * 0.1,), (("window", (2,)), ("sizes", (3,)), ("before", (0,)), ("strides", (2,)), ("dilation", (1,))), wrt=()))
    return result


_POOL_REJECTS = (
    Reject(("f64[]",), (("window", (2,)), ("sizes", (1,)), ("before", (0,)), ("strides", (1,)), ("dilation", (1,))), "rank-mismatch"),
    Reject(("f64[3]",), (("window", (0,)), ("sizes", (1,)), ("before", (0,)), ("strides", (1,)), ("dilation", (1,))), "empty-axis"),
    Reject(("bool[3]",), (("window", (1,)), ("sizes", (1,)), ("before", (0,)), ("strides", (1,)), ("dilation", (1,))), "wrong-dtype"),
)


def _window_count(v: Value) -> DimLike:
    total: DimLike = v.type.size
    for k in v.attrs[0]:
        total = total * k
    return total


max_pool = define(
    Op(
        "max_pool",
        "The largest element of each window over the last axes; the first of those that tie gets the cotangent.",
        _pool_infer,
        _pool_vjp,
        attrs=WINDOWS_ATTRS,
        evaluate=_pool,
        axes=lambda v: last_opaque(v, len(v.attrs[0])),
        linear=(True,),
        moves=True,
        partial=True,
        # Axis by axis: no step in between is larger than the operand or the result along the other axes.
        workspace=lambda v: (2 * v.type.size + v.operands[0].type.size * _ratio(v)) * v.dtype.size,
        cost=_window_count,
        samples=_pool_samples,
        formula="y[t] = max over k of x[t * stride + k * dilation - before]",
        rejects=_POOL_REJECTS,
    )
)

max_pool_place = define(
    Op(
        "max_pool_place",
        "Where the largest element of each window over the last axes is, counted in these axes flattened; the first of those that tie, -1 for none.",
        lambda cx, operands, attrs: _pool_infer(cx, operands, attrs).with_dtype(I64),  # type: ignore[union-attr]
        NoGradient("a place is an integer"),
        attrs=WINDOWS_ATTRS,
        evaluate=_pool_place,
        axes=lambda v: last_opaque(v, len(v.attrs[0])),
        workspace=lambda v: (2 * v.type.size + v.operands[0].type.size * _ratio(v)) * 32,
        cost=_window_count,
        samples=_pool_samples,
        rejects=_POOL_REJECTS,
    )
)


def _ratio(v: Value) -> DimLike:
    """A bound of how much longer than the operand a step in between can be: by axes whose windows are more than their elements."""
    n = len(v.attrs[0])
    x = v.operands[0]
    total: DimLike = 1
    for size, d in list(zip(v.attrs[1], x.shape[x.rank - n :], strict=True))[1:]:
        if not v.graph.facts.at_least(d, size):
            total = total * (size + 1)
    return total


def _declare_pool(op: Op) -> None:
    def f(cx: Surface, x: Arg, window: Shape, sizes: Shape, before: Static, strides: Static, dilation: Static) -> Value:
        given = {n: entries(a, op.name, n) for n, a in zip(("window", "sizes", "before", "strides", "dilation"), (window, sizes, before, strides, dilation), strict=True)}
        return op(cx.value(x), **given)

    f.__doc__ = op.doc
    function(op.name)(f)


_declare_pool(max_pool)
_declare_pool(max_pool_place)


# --- the functions ---------------------------------------------------------------------------------------------------------------------


def _pooling(
    cx: Surface, name: str, n: int, x: Value, kernel_size: Any, stride: Any, padding: Any, dilation: Any
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], list[tuple[DimLike, DimLike]], tuple[DimLike, ...]]:
    """Window, strides, dilation, padding and sizes of a pooling."""
    if x.rank < n:
        raise InferError("rank-mismatch", f"`{name}` works over the last {n} axes, and {x.type} has not so many", [("x", f"this is {x.type}")])
    k = per_axis(kernel_size, n, name, "kernel_size")
    s = k if plain(stride) is None else per_axis(stride, n, name, "stride")
    d = per_axis(dilation, n, name, "dilation")
    reach = [(a - 1) * e + 1 for a, e in zip(k, d, strict=True)]
    pad = pads(padding, n, name, reach)
    for (p, q), r in zip(pad, reach, strict=True):
        if any(isinstance(e, int) and 2 * e > r for e in (p, q)) and plain(padding) != "same":
            raise InferError("bad-argument", f"`{name}` pads by at most half of the window of {r}", [("padding", "this one")])
    first = x.rank - n
    sizes = tuple(windows_of(cx, name, x.shape[first + i], pad[i], reach[i], s[i], first + i, x.type) for i in range(n))
    return k, s, d, pad, sizes


def _summed(v: Value, n: int, window: tuple[int, ...], sizes: tuple[DimLike, ...], before: tuple[DimLike, ...], strides: tuple[int, ...]) -> Value:
    """Sums of windows: a convolution with ones."""
    ones = full(v.graph, 1, TensorType(v.dtype, window))
    lead = LETTERS[: v.rank - n]
    return conv(v, ones, subs=canonical(f"{lead},->{lead}"), before=before, sizes=sizes, strides=strides, spread=(1,) * n, dilation=(1,) * n)


def _declare(n: int) -> None:
    words = ("one axis", "two axes", "three axes")[n - 1]

    def largest(cx: Surface, x: Arg, kernel_size: Size, stride: Size = None, padding: Static = 0, dilation: Size = 1) -> Value:
        v = cx.value(x)
        k, s, d, pad, sizes = _pooling(cx, f"max_pool{n}d", n, v, kernel_size, stride, padding, dilation)
        return max_pool(v, window=k, sizes=sizes, before=tuple(p for p, _ in pad), strides=s, dilation=d)

    largest.__doc__ = f"The largest element of each window over the last {words}; windows follow one another unless `stride` is given. Padding takes no part."
    function(f"max_pool{n}d")(largest)

    def mean(
        cx: Surface, x: Arg, kernel_size: Size, stride: Size = None, padding: Static = 0, count_include_pad: Flag = True, divisor_override: Static = None
    ) -> Value:
        name = f"avg_pool{n}d"
        (v,) = cx.promote((x,), name, floating=True)
        k, s, _, pad, sizes = _pooling(cx, name, n, v, kernel_size, stride, padding, 1)
        before = tuple(p for p, _ in pad)
        total = _summed(v, n, k, sizes, before, s)
        by = plain(divisor_override)
        if by is not None:
            if isinstance(by, bool) or not isinstance(by, int | float) or by == 0:
                raise InferError("bad-argument", f"`{name}` takes a number other than 0 as `divisor_override`", [("divisor_override", "this one")])
            return total / by
        if plain(count_include_pad) or all(p == 0 and q == 0 for p, q in pad):
            return total / float(np.prod(k))
        inside = full(v.graph, 1, TensorType(v.dtype, v.shape[v.rank - n :]))
        counts = _summed(inside, n, k, sizes, before, s)
        return total / broadcast_along(counts, total.shape, tuple(range(v.rank - n, v.rank)))

    mean.__doc__ = (
        f"The mean of each window over the last {words}; windows follow one another unless `stride` is given. Padding counts as zeros, or not at all with "
        "`count_include_pad=false`."
    )
    function(f"avg_pool{n}d")(mean)

    def adaptive_mean(cx: Surface, x: Arg, output_size: Static) -> Value:
        name = f"adaptive_avg_pool{n}d"
        (v,) = cx.promote((x,), name, floating=True)
        for axis, o in _outputs(name, n, v, output_size):
            v = _weighted(v, axis, _spans(cx, v, axis, o))
        return v

    adaptive_mean.__doc__ = f"Means over the last {words} of windows chosen so that `output_size` (none: as it is) of them cover each axis: from floor(i n / o) to ceil((i + 1) n / o)."
    function(f"adaptive_avg_pool{n}d")(adaptive_mean)

    def adaptive_largest(cx: Surface, x: Arg, output_size: Static) -> Value:
        name = f"adaptive_max_pool{n}d"
        v = cx.value(x)
        for axis, o in _outputs(name, n, v, output_size):
            size = v.shape[axis]
            cx.graph.need(size, 1, f"`{name}` of an empty axis has no value", "empty-axis", [("x", f"this is {v.type}")])
            v = _largest_of_spans(cx, v, axis, o)
        return v

    adaptive_largest.__doc__ = f"The largest elements over the last {words} of windows chosen so that `output_size` of them cover each axis."
    function(f"adaptive_max_pool{n}d")(adaptive_largest)


def _outputs(name: str, n: int, v: Value, output_size: Any) -> list[tuple[int, int]]:
    """The axes that change, and the sizes they get."""
    if v.rank < n:
        raise InferError("rank-mismatch", f"`{name}` works over the last {n} axes, and {v.type} has not so many", [("x", f"this is {v.type}")])
    given = plain(output_size)
    items = given if isinstance(given, tuple) else (given,) * n
    if len(items) != n or any(o is not None and (isinstance(o, bool) or not isinstance(o, int) or o < 1) for o in items):
        raise InferError("bad-argument", f"`{name}` takes an integer of at least 1 or none, or {n} of them, as `output_size`", [("output_size", "this one")])
    return [(v.rank - n + i, o) for i, o in enumerate(items) if o is not None and v.shape[v.rank - n + i] != o]


def _bounds(cx: Surface, n: DimLike, o: int) -> tuple[Value, Value]:
    """Where the windows that cover an axis begin and end."""
    g = cx.graph
    places = g.emit(OPS["iota"], (), (o, I64))
    size = broadcast_along(g.emit(OPS["dim"], (), (n,)), places.shape, ())
    starts = OPS["floor_divide"](places * size, full_like(places, o))
    ends = OPS["floor_divide"]((places + 1) * size + (o - 1), full_like(places, o))
    return starts, ends


def _spans(cx: Surface, v: Value, axis: int, o: int) -> Value:
    """The weights [o, n] of means over the windows that cover an axis."""
    n = v.shape[axis]
    starts, ends = _bounds(cx, n, o)
    shape = (o, n)
    at = broadcast_along(cx.graph.emit(OPS["iota"], (), (n, I64)), shape, (1,))
    inside = (at >= broadcast_along(starts, shape, (0,))) & (at < broadcast_along(ends, shape, (0,)))
    share = 1 / emit_cast(ends - starts, v.dtype)
    return where(inside, broadcast_along(share, shape, (0,)), full(cx.graph, 0, TensorType(v.dtype, shape)))


def _weighted(v: Value, axis: int, weights: Value) -> Value:
    """Sums along an axis with the rows of a matrix as weights."""
    names = LETTERS[: v.rank]
    new = LETTERS[v.rank]
    return contract(v, weights, subs=canonical(f"{names},{new}{names[axis]}->{names.replace(names[axis], new)}"))


def _largest_of_spans(cx: Surface, v: Value, axis: int, o: int) -> Value:
    n = v.shape[axis]
    starts, ends = _bounds(cx, n, o)
    longest = (n + o - 1) // o + 1
    shape = (o, longest)
    steps = broadcast_along(cx.graph.emit(OPS["iota"], (), (longest, I64)), shape, (1,))
    last = broadcast_along(ends - 1, shape, (0,))
    at = OPS["minimum"](broadcast_along(starts, shape, (0,)) + steps, last)
    taken = OPS["gather"](v, at, axes=(axis,), batch=0)
    made = OPS["max"](taken, axes=(1,))
    rest = [k for k in range(v.rank) if k != axis]
    return emit_permute(made, [0 if k == axis else 1 + rest.index(k) for k in range(v.rank)])


for _n in (1, 2, 3):
    _declare(_n)


@function("interpolate")
def interpolate(cx: Surface, x: Arg, size: Static, mode: Word = "nearest", align_corners: Flag = False) -> Value:
    """[batch, channels, sizes] at other sizes, by the nearest element or linearly along each axis ("linear", "bilinear", "trilinear"; with `align_corners`
    the ends fall on the ends)."""
    (v,) = cx.promote((x,), "interpolate", floating=True)
    word = plain(mode)
    if word not in ("nearest", "linear", "bilinear", "trilinear"):
        raise InferError("bad-argument", f'`interpolate` has no mode "{word}"', [("mode", "this one")], help='modes are "nearest", "linear", "bilinear", "trilinear"')
    given = plain(size)
    n = v.rank - 2
    items = given if isinstance(given, tuple) else (given,) * n
    if v.rank < 3 or len(items) != n or any(isinstance(o, bool) or not isinstance(o, int) or o < 1 for o in items):
        raise InferError("bad-argument", f"`interpolate` takes an integer of at least 1 for each axis behind the channels of {v.type} as `size`", [("size", "this one")])
    for i, o in enumerate(items):
        axis = 2 + i
        if v.shape[axis] == o:
            continue
        cx.graph.need(v.shape[axis], 1, "`interpolate` of an empty axis has no value", "empty-axis", [("x", f"this is {v.type}")])
        if word == "nearest":
            starts, _ = _bounds(cx, v.shape[axis], o)
            made = OPS["gather"](v, starts, axes=(axis,), batch=0)
            rest = [k for k in range(v.rank) if k != axis]
            v = emit_permute(made, [0 if k == axis else 1 + rest.index(k) for k in range(v.rank)])
        else:
            v = _weighted(v, axis, _tent(cx, v, axis, o, bool(plain(align_corners))))
    return v


def _tent(cx: Surface, v: Value, axis: int, o: int, corners: bool) -> Value:
    """The weights [o, n] of linear interpolation."""
    g, n, dtype = cx.graph, v.shape[axis], v.dtype
    places = g.emit(OPS["iota"], (), (o, dtype))
    last = g.emit(OPS["dim"], (), (n - 1,))
    top = broadcast_along(emit_cast(last, dtype), places.shape, ())
    if corners:
        at = places * top / float(max(o - 1, 1))
    else:
        at = (places + 0.5) * ((top + 1) / float(o)) - 0.5
    at = OPS["minimum"](OPS["maximum"](at, full_like(at, 0)), top)
    shape = (o, n)
    gap = broadcast_along(at, shape, (0,)) - broadcast_along(g.emit(OPS["iota"], (), (n, dtype)), shape, (1,))
    return OPS["maximum"](1 - OPS["maximum"](gap, -gap), full(g, 0, TensorType(dtype, shape)))


