"""Tensors made from numbers: zeros, ones, full, arange."""

from __future__ import annotations

import math

from dfg.dims import DimLike
from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.elementwise import emit_cast
from dfg.ops.functions.common import dim_value
from dfg.ops.movement import broadcast_along
from dfg.ops.surface import Arg, DTypeArg, Literal, Shape, Static, Surface, dtype_of, function, plain, shape_of
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
    function(name)(f)


_like("zeros_like", 0)
_like("ones_like", 1)


@function("full_like")
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
