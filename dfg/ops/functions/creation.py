"""Tensors made from numbers: zeros, ones, full, arange, linspace, eye."""

from __future__ import annotations

import math
from typing import Any

from dfg.dims import DimLike
from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.elementwise import emit_cast
from dfg.ops.functions.common import dim_value
from dfg.ops.movement import broadcast_along
from dfg.ops.surface import Arg, DTypeArg, Flag, Literal, Shape, Size, Static, Surface, dtype_of, function, plain, shape_of, size_of
from dfg.types import I64


@function("zeros")
def zeros(cx: Surface, shape: Shape, dtype: DTypeArg = None) -> Value:
    """A tensor of zeros, of the default float unless a dtype is given."""
    return cx.full(shape_of(shape, "zeros"), Literal("float", 0.0, "0"), dtype_of(dtype, "zeros"))


@function("ones")
def ones(cx: Surface, shape: Shape, dtype: DTypeArg = None) -> Value:
    """A tensor of ones, of the default float unless a dtype is given."""
    return cx.full(shape_of(shape, "ones"), Literal("float", 1.0, "1"), dtype_of(dtype, "ones"))


@function("full")
def full(cx: Surface, shape: Shape, fill_value: Arg, dtype: DTypeArg = None) -> Value:
    """A tensor whose every element is `fill_value`."""
    d = dtype_of(dtype, "full")
    sizes = shape_of(shape, "full")
    if isinstance(fill_value, Literal):
        return cx.full(sizes, fill_value, d)
    v = fill_value if d is None else emit_cast(fill_value, d)
    return cx.stretch(v, sizes)


def _like(name: str, value: float) -> None:
    def f(cx: Surface, x: Arg, dtype: DTypeArg = None) -> Value:
        v = cx.value(x)
        return cx.full(v.shape, Literal("int", int(value), str(int(value))), dtype_of(dtype, name) or v.dtype)

    f.__doc__ = f"A tensor of {name.removesuffix('_like')} of the shape and dtype of `x`."
    function(name, elementwise=True)(f)


_like("zeros_like", 0)
_like("ones_like", 1)


@function("full_like", elementwise=True)
def full_like(cx: Surface, x: Arg, fill_value: Arg, dtype: DTypeArg = None) -> Value:
    """A tensor of the shape and dtype of `x` whose every element is `fill_value`."""
    v = cx.value(x)
    return full(cx, v.shape, fill_value, dtype_of(dtype, "full_like") or v.dtype)


@function("arange")
def arange(cx: Surface, start: Static, stop: Static = None, step: Static = 1, dtype: DTypeArg = None) -> Value:
    """The numbers from `start` (0 if one argument is given) below `stop` in steps. Bounds and steps are static."""
    a, b, s = plain(start), plain(stop), plain(step)
    if b is None:
        a, b = 0, a
    for k, argument in ((a, "start"), (b, "stop"), (s, "step")):
        if isinstance(k, Value) or k is None or isinstance(k, str | tuple | bool):
            raise InferError(
                "not-static" if isinstance(k, Value) else "bad-argument",
                f"`arange` takes numbers known while compiling as `{argument}`",
                [(argument, "this one")],
            )
    d = dtype_of(dtype, "arange")
    if any(isinstance(k, float) for k in (a, b, s)):
        if not all(isinstance(k, int | float) for k in (a, b, s)):
            raise InferError("bad-argument", "`arange` of a named size takes integers", [("step", "this one")])
        if s == 0:
            raise InferError("bad-argument", "`arange` takes a step that is not 0", [("step", "this one")])
        if not all(math.isfinite(k) for k in (a, b, s)):
            raise InferError("bad-argument", "`arange` takes finite numbers", [("stop", "this one")])
        n = max(0, math.ceil((b - a) / s))
        kind = d or cx.default_float
        counts = cx.graph.emit(OPS["iota"], (), (n, kind))
        return (
            counts * float(s) + float(a)
            if kind.floating
            else emit_cast(cx.graph.emit(OPS["iota"], (), (n, cx.default_float)) * float(s) + float(a), kind)
        )
    if not isinstance(s, int) or s == 0:
        raise InferError("bad-argument", "`arange` takes an integer step that is not 0", [("step", "this one")])
    size: DimLike = (b - a + s - 1) // s if s > 0 else (a - b - s - 1) // -s
    if isinstance(size, int):
        size = max(0, size)
    counts = cx.graph.emit(OPS["iota"], (), (size, d or I64))
    if s != 1:
        counts = counts * s
    if a != 0:
        first = dim_value(cx, a, counts.dtype)
        counts = counts + broadcast_along(first, counts.shape, ())
    return counts


def _offset(x: Any, name: str) -> int:
    """The number of a diagonal: 0 is the main one."""
    k = plain(x)
    if isinstance(k, bool) or not isinstance(k, int):
        raise InferError("bad-argument", f"`{name}` takes a whole number as `k`, the diagonal", [("k", "this one")])
    return k


@function("eye")
def eye(cx: Surface, n_rows: Size, n_cols: Size = None, k: Static = 0, dtype: DTypeArg = None) -> Value:
    """A matrix with 1 on its k-th diagonal and 0 elsewhere."""
    rows = size_of(n_rows, "eye", "n_rows")
    columns = rows if plain(n_cols) is None else size_of(n_cols, "eye", "n_cols")
    offset = _offset(k, "eye")
    g = cx.graph
    i = broadcast_along(g.emit(OPS["iota"], (), (rows, I64)), (rows, columns), (0,))
    j = broadcast_along(g.emit(OPS["iota"], (), (columns, I64)), (rows, columns), (1,))
    return emit_cast(OPS["equal"](i + offset if offset else i, j), dtype_of(dtype, "eye") or cx.default_float)


@function("identity")
def identity(cx: Surface, n: Size, dtype: DTypeArg = None) -> Value:
    """The identity matrix."""
    return eye(cx, n, None, 0, dtype)


@function("linspace")
def linspace(cx: Surface, start: Arg, stop: Arg, num: Size = 50, dtype: DTypeArg = None, endpoint: Flag = True) -> Value:
    """So many numbers at equal distances from `start` to `stop`, which may be computed; `stop` is the last one unless `endpoint` is false."""
    n = size_of(num, "linspace", "num")
    d = dtype_of(dtype, "linspace")
    cx.graph.need(n, 0, "a size is never negative", "bad-argument")
    gaps = n - 1 if plain(endpoint) else n
    a, b = cx.promote((start, stop), "linspace", floating=True)
    for v, argument in ((a, "start"), (b, "stop")):
        if v.rank:
            raise InferError("rank-mismatch", f"`linspace` goes from a scalar to a scalar, not {v.type}", [(argument, f"this is {v.type}")])
    counts = cx.graph.emit(OPS["iota"], (), (n, a.dtype))
    divisor = dim_value(cx, gaps, a.dtype) if not isinstance(gaps, int) else cx.literal(Literal("int", max(gaps, 1)), a.dtype)
    if not isinstance(gaps, int):
        divisor = OPS["maximum"](divisor, cx.literal(Literal("int", 1), a.dtype))
    step = (b - a) / divisor
    made = counts * broadcast_along(step, counts.shape, ()) + broadcast_along(a, counts.shape, ())
    if plain(endpoint) and not (isinstance(n, int) and n < 2):
        # The last one is `stop` itself, not what rounding makes of it.
        last = cx.literal(Literal("int", gaps), a.dtype) if isinstance(gaps, int) else dim_value(cx, gaps, a.dtype)
        positive = (counts >= broadcast_along(last, counts.shape, ())) & (counts > 0)
        made = OPS["where"](positive, broadcast_along(b, counts.shape, ()), made)
    if d is not None and d.kind == "int":
        made = OPS["floor"](made)
    return made if d is None else emit_cast(made, d)


@function("logspace")
def logspace(cx: Surface, start: Arg, stop: Arg, num: Size = 50, base: Arg = 10.0, dtype: DTypeArg = None, endpoint: Flag = True) -> Value:
    """Powers of a base whose exponents are at equal distances."""
    exponents = linspace(cx, start, stop, num, None, endpoint)
    made = cx.elementwise("power", (base if isinstance(base, Value | Literal) else Literal.of(base), exponents), True)
    d = dtype_of(dtype, "logspace")
    return made if d is None else emit_cast(made, d)


@function("empty")
def empty(cx: Surface, shape: Shape, dtype: DTypeArg = None) -> Value:
    """As `zeros`: nothing is left undefined."""
    return zeros(cx, shape, dtype)


@function("tri")
def tri(cx: Surface, n_rows: Size, n_cols: Size = None, k: Static = 0, dtype: DTypeArg = None) -> Value:
    """A matrix with 1 on and below its k-th diagonal and 0 above."""
    rows = size_of(n_rows, "tri", "n_rows")
    columns = rows if plain(n_cols) is None else size_of(n_cols, "tri", "n_cols")
    g = cx.graph
    i = broadcast_along(g.emit(OPS["iota"], (), (rows, I64)), (rows, columns), (0,))
    j = broadcast_along(g.emit(OPS["iota"], (), (columns, I64)), (rows, columns), (1,))
    return emit_cast(i + _offset(k, "tri") >= j, dtype_of(dtype, "tri") or cx.default_float)
