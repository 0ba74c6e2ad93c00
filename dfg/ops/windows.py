"""Windows over the last axes: `windows` copies every one (im2col), `overlap_add` adds them up where they overlap; each is the transpose of the other.

>>> from dfg.ops import get
>>> get("windows").evaluate(np, np.arange(4.0), window=(2,), sizes=(3,), before=(0,), strides=(1,), dilation=(1,))
array([[0., 1.],
       [1., 2.],
       [2., 3.]])
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dfg.dims import DimLike
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPAQUE, Attr, Axes, Case, Op, Reject, RuleContext, check_dtype, define, tensor
from dfg.ops.convolutions import pads, per_axis, windows_of
from dfg.ops.movement import emit_reshape
from dfg.ops.surface import Arg, Shape, Size, Static, Surface, function, shape_of
from dfg.types import ANY, TensorType, Type

# Attributes are one entry for each window axis; a batch axis in front changes none of them.
WINDOWS_ATTRS = tuple(Attr(n, "int") for n in ("window", "sizes", "before", "strides", "dilation"))
OVERLAP_ATTRS = tuple(Attr(n, "int") for n in ("sizes", "before", "strides", "dilation"))


def check_windows(name: str, t: TensorType, strides: Sequence[Any], dilation: Sequence[Any], *others: Sequence[Any], extra: int = 0) -> int:
    n = len(strides)
    if len({n, len(dilation), *[len(o) for o in others]}) > 1 or any(not isinstance(k, int) or k < 1 for k in (*strides, *dilation)):
        raise InferError("bad-argument", f"`{name}` takes a stride and a dilation of at least 1, and the like, for each of {n} axes")
    if t.rank < n + extra:
        raise InferError("rank-mismatch", f"`{name}` over {n} axes does not fit {t}", [(0, f"this is {t}")])
    return n


def inside(count: int, size: int, start: int, stride: int) -> tuple[slice, slice]:
    """Which of `count` places start + t * stride lie in an axis: the t, and the places."""
    first = max(0, -(start // stride)) if start < 0 else 0
    last = min(count, (size - 1 - start) // stride + 1) if size else 0
    last = max(last, first)
    return slice(first, last), slice(start + first * stride, start + last * stride, stride)


def _taps(window: Sequence[int], counts: Sequence[int], sizes: Sequence[int], before: Sequence[int], strides: Sequence[int], dilation: Sequence[int]) -> Iterator[
    tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]
]:
    """For each element of a window: its place in it, the windows in which it lies in the operand, and where it lies there."""
    for tap in np.ndindex(*window):
        pairs = [inside(c, s, k * d - p, t) for c, s, k, d, p, t in zip(counts, sizes, tap, dilation, before, strides, strict=True)]
        if all(t.stop > t.start for t, _ in pairs):
            yield tap, tuple(t for t, _ in pairs), tuple(p for _, p in pairs)


# --- windows and overlap_add -------------------------------------------------------------------------------------------------------------


def _windows_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    window, sizes, before, strides, dilation = attrs
    n = check_windows("windows", t, strides, dilation, window, sizes, before)
    for d in (*window, *sizes):
        cx.need(d, 0, "a size is never negative", "bad-argument")
    return t.with_shape((*t.shape[: t.rank - n], *sizes, *window))


def _windows(xp: Any, x: Any, *, window: Any, sizes: Any, before: Any, strides: Any, dilation: Any) -> Any:
    lead = x.shape[: x.ndim - len(window)]
    made = xp.zeros((*lead, *sizes, *window), x.dtype)
    every = [slice(None)] * len(lead)
    if math.prod(sizes) < math.prod(window):
        # Fewer windows than elements of one: the two change places, and so do their steps.
        for place, there, here in _taps(sizes, window, x.shape[len(lead) :], before, dilation, strides):
            made[(*every, *place, *there)] = x[(..., *here)]
        return made
    for tap, there, here in _taps(window, sizes, x.shape[len(lead) :], before, strides, dilation):
        made[(*every, *there, *tap)] = x[(..., *here)]
    return made


def _windows_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    window, _, before, strides, dilation = y.attrs
    x = y.operands[0]
    return [overlap_add(ct, sizes=x.shape[x.rank - len(window) :], before=before, strides=strides, dilation=dilation)]


def _window_samples(rng: np.random.Generator) -> list[Case]:
    rows: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = [
        ((5,), (2,), (4,), (0,), (1,), (1,)),
        ((2, 5), (3,), (3,), (1,), (2,), (1,)),
        ((2, 1, 4, 5), (2, 2), (3, 2), (0, 1), (1, 3), (2, 1)),
        ((2, 3), (2,), (7,), (3,), (1,), (1,)),
        ((0, 4), (2,), (3,), (0,), (1,), (1,)),
        ((2, 0), (2,), (2,), (1,), (1,), (1,)),
        ((4,), (1,), (2,), (-1,), (2,), (1,)),
        ((2, 7), (4,), (2,), (1,), (2,), (1,)),
        ((1, 5, 6), (3, 4), (2, 2), (0, 1), (1, 2), (2, 1)),
    ]
    names = ("window", "sizes", "before", "strides", "dilation")
    result = [Case((rng.normal(size=r[0]),), tuple(zip(names, r[1:], strict=True))) for r in rows]
    result.append(Case((rng.random((2, 5)) < 0.5,), tuple(zip(names, rows[1][1:], strict=True)), wrt=()))
    return result


def last_opaque(v: Value, n: int) -> Axes:
    x = v.operands[0]
    return ((*range(x.rank - n), *[OPAQUE] * n),)


windows = define(
    Op(
        "windows",
        "Every window over the last axes, as new last axes: place t and element k hold x[t * stride + k * dilation - before], zero outside. As large as all windows together.",
        _windows_infer,
        _windows_vjp,
        attrs=WINDOWS_ATTRS,
        evaluate=_windows,
        axes=lambda v: last_opaque(v, len(v.attrs[0])),
        linear=(True,),
        moves=True,
        partial=True,
        workspace=lambda v: v.type.size * v.dtype.size,
        cost=lambda v: 0,
        samples=_window_samples,
        formula="y[t, k] = x[t * stride + k * dilation - before]",
        rejects=(
            Reject(("f64[]",), (("window", (2,)), ("sizes", (1,)), ("before", (0,)), ("strides", (1,)), ("dilation", (1,))), "rank-mismatch"),
            Reject(("f64[3]",), (("window", (2,)), ("sizes", (1,)), ("before", (0,)), ("strides", (0,)), ("dilation", (1,))), "bad-argument"),
        ),
    )
)


def _overlap_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    sizes, before, strides, dilation = attrs
    n = check_windows("overlap_add", t, strides, dilation, sizes, before)
    if t.rank < 2 * n:
        raise InferError("rank-mismatch", f"`overlap_add` takes windows over {n} axes, not {t}", [(0, f"this is {t}")])
    check_dtype("overlap_add", t, ANY)
    for d in sizes:
        cx.need(d, 0, "a size is never negative", "bad-argument")
    return t.with_shape((*t.shape[: t.rank - 2 * n], *sizes))


def _overlap_add(xp: Any, x: Any, *, sizes: Any, before: Any, strides: Any, dilation: Any) -> Any:
    n = len(sizes)
    lead = x.ndim - 2 * n
    made = xp.zeros((*x.shape[:lead], *sizes), x.dtype)
    places, window = x.shape[lead : lead + n], x.shape[lead + n :]
    few = math.prod(places) < math.prod(window)
    for k, there, here in _taps(places, window, sizes, before, dilation, strides) if few else _taps(window, places, sizes, before, strides, dilation):
        part = x[(*[slice(None)] * lead, *(k + there if few else there + k))]
        if x.dtype == bool:
            made[(..., *here)] |= part
        else:
            made[(..., *here)] += part
    return made


def _overlap_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    sizes, before, strides, dilation = y.attrs
    n = len(sizes)
    x = y.operands[0]
    lead = x.rank - 2 * n
    return [windows(ct, window=x.shape[lead + n :], sizes=x.shape[lead : lead + n], before=before, strides=strides, dilation=dilation)]


def _overlap_samples(rng: np.random.Generator) -> list[Case]:
    result = []
    for c in _window_samples(rng):
        attrs = dict(c.attrs)
        shape = (*c.operands[0].shape[: c.operands[0].ndim - len(attrs["window"])], *attrs["sizes"], *attrs["window"])
        sizes = c.operands[0].shape[c.operands[0].ndim - len(attrs["window"]) :]
        given = (("sizes", sizes), ("before", attrs["before"]), ("strides", attrs["strides"]), ("dilation", attrs["dilation"]))
        bools = c.operands[0].dtype == bool
        result.append(Case((rng.random(shape) < 0.5 if bools else rng.normal(size=shape),), given, wrt=() if bools else None))
    return result


overlap_add = define(
    Op(
        "overlap_add",
        "Windows over axes added up where they overlap: the transpose of `windows`.",
        _overlap_infer,
        _overlap_vjp,
        attrs=OVERLAP_ATTRS,
        evaluate=_overlap_add,
        axes=lambda v: last_opaque(v, 2 * len(v.attrs[0])),
        linear=(True,),
        moves=True,
        partial=True,
        workspace=lambda v: 2 * v.type.size * v.dtype.size,
        cost=lambda v: v.operands[0].type.size,
        samples=_overlap_samples,
        rejects=(Reject(("f64[3]",), (("sizes", (2,)), ("before", (0,)), ("strides", (1,)), ("dilation", (1,))), "rank-mismatch"),),
    )
)


def entries(x: Any, name: str, argument: str) -> tuple[DimLike, ...]:
    return shape_of(x, name, argument)


@function("windows")
def windows_(cx: Surface, x: Arg, window: Shape, sizes: Shape, before: Static, strides: Static, dilation: Static) -> Value:
    """Every window over the last axes, as new last axes: place t and element k hold x[t * stride + k * dilation - before], zero outside."""
    given = {n: entries(a, "windows", n) for n, a in zip(("window", "sizes", "before", "strides", "dilation"), (window, sizes, before, strides, dilation), strict=True)}
    return windows(cx.value(x), **given)


@function("overlap_add")
def overlap_add_(cx: Surface, x: Arg, sizes: Shape, before: Static, strides: Static, dilation: Static) -> Value:
    """Windows added up where they overlap, the transpose of `windows`: the last axes of `x` are the windows' elements, those before them the places."""
    given = {n: entries(a, "overlap_add", n) for n, a in zip(("sizes", "before", "strides", "dilation"), (sizes, before, strides, dilation), strict=True)}
    return overlap_add(cx.value(x), **given)


@function("im2col", "unfold")
def im2col(cx: Surface, x: Arg, kernel_size: Size, dilation: Size = 1, padding: Static = 0, stride: Size = 1) -> Value:
    """The windows over the last two axes of [batch, channels, height, width] (the batch may be missing) as columns: [batch, channels * window, places]."""
    v = cx.value(x)
    if v.rank not in (3, 4):
        raise InferError("rank-mismatch", f"`im2col` takes [batch, channels, height, width], with or without the batch, not {v.type}", [("x", f"this is {v.type}")])
    w = emit_reshape(v, (1, *v.shape)) if v.rank == 3 else v
    k, s, d = (per_axis(p, 2, "im2col", m) for p, m in ((kernel_size, "kernel_size"), (stride, "stride"), (dilation, "dilation")))
    reach = [(a - 1) * e + 1 for a, e in zip(k, d, strict=True)]
    pad = pads(padding, 2, "im2col", reach)
    sizes = tuple(windows_of(cx, "im2col", w.shape[2 + i], pad[i], reach[i], s[i], 2 + i, w.type) for i in range(2))
    # One window for each element of the kernel, over all places: the elements come in front of the places without a copy.
    made = windows(w, window=sizes, sizes=k, before=tuple(p for p, _ in pad), strides=d, dilation=s)
    made = emit_reshape(made, (w.shape[0], w.shape[1] * (k[0] * k[1]), sizes[0] * sizes[1]))
    return emit_reshape(made, made.shape[1:]) if v.rank == 3 else made


@function("col2im", "fold")
def col2im(cx: Surface, x: Arg, output_size: Shape, kernel_size: Size, dilation: Size = 1, padding: Static = 0, stride: Size = 1) -> Value:
    """Columns [batch, channels * window, places] (the batch may be missing) added up where their windows overlap: the transpose of `im2col`."""
    v = cx.value(x)
    if v.rank not in (2, 3):
        raise InferError("rank-mismatch", f"`col2im` takes [batch, channels * window, places], with or without the batch, not {v.type}", [("x", f"this is {v.type}")])
    w = emit_reshape(v, (1, *v.shape)) if v.rank == 2 else v
    k, s, d = (per_axis(p, 2, "col2im", m) for p, m in ((kernel_size, "kernel_size"), (stride, "stride"), (dilation, "dilation")))
    out = shape_of(output_size, "col2im", "output_size")
    if len(out) != 2:
        raise InferError("bad-argument", "`col2im` takes a height and a width as `output_size`", [("output_size", "this one")])
    reach = [(a - 1) * e + 1 for a, e in zip(k, d, strict=True)]
    pad = pads(padding, 2, "col2im", reach)
    sizes = tuple(windows_of(cx, "col2im", out[i], pad[i], reach[i], s[i], i, w.type) for i in range(2))
    channels = w.shape[1] // (k[0] * k[1])
    split = emit_reshape(w, (w.shape[0], channels, *k, *sizes))
    made = overlap_add(split, sizes=out, before=tuple(p for p, _ in pad), strides=d, dilation=s)
    return emit_reshape(made, made.shape[1:]) if v.rank == 2 else made


