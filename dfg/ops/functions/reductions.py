"""Reductions over axes."""

from __future__ import annotations

from dfg.ir import Value
from dfg.ops.base import OPS
from dfg.ops.elementwise import emit_cast
from dfg.ops.functions.common import count_of, dim_value, doc_of, keep
from dfg.ops.movement import broadcast_along, emit_reshape, sum_over
from dfg.ops.reduce import SUMMED_AS
from dfg.ops.surface import Arg, Axis, AxisList, DTypeArg, Flag, Surface, axis_number, axis_numbers, dtype_of, function, plain
from dfg.types import BOOL


@function("sum")
def sum_(cx: Surface, x: Arg, axis: AxisList = None, dtype: DTypeArg = None, keepdims: Flag = False) -> Value:
    """Sum over axes (all of them by default). Sums of bool, u8 and i32 are i64."""
    v = cx.value(x)
    d = dtype_of(dtype, "sum")
    if d is not None:
        v = emit_cast(v, d)
    elif v.dtype in SUMMED_AS:
        v = cx.cast(v, SUMMED_AS[v.dtype], f"`sum` of {v.dtype}")
    axes = axis_numbers(axis, v.rank, "sum")
    return keep(v, OPS["sum"](v, axes=axes) if axes else v, axes, keepdims)


@function("mean")
def mean(cx: Surface, x: Arg, axis: AxisList = None, dtype: DTypeArg = None, keepdims: Flag = False) -> Value:
    """Arithmetic mean over axes (all of them by default); of integers it is the default float."""
    d = dtype_of(dtype, "mean")
    (v,) = cx.promote((x,), "mean", floating=True) if d is None or not d.floating else (emit_cast(cx.value(x), d),)
    axes = axis_numbers(axis, v.rank, "mean")
    total = sum_over(v, axes)
    count = dim_value(cx, count_of(v, axes), v.dtype)
    return keep(v, total / broadcast_along(count, total.shape, ()), axes, keepdims)


def _declare_extreme(name: str) -> None:
    def f(cx: Surface, x: Arg, axis: AxisList = None, keepdims: Flag = False) -> Value:
        v = cx.value(x)
        axes = axis_numbers(axis, v.rank, name)
        return keep(v, OPS[name](v, axes=axes) if axes else v, axes, keepdims)

    f.__doc__ = doc_of(name) + " All axes by default; an empty axis has none."
    function(name)(f)


_declare_extreme("max")
_declare_extreme("min")


def _declare_truth(name: str) -> None:
    def f(cx: Surface, x: Arg, axis: AxisList = None, keepdims: Flag = False) -> Value:
        v = emit_cast(cx.value(x), BOOL)
        axes = axis_numbers(axis, v.rank, name)
        return keep(v, OPS[name](v, axes=axes) if axes else v, axes, keepdims)

    f.__doc__ = doc_of(name) + " All axes by default."
    function(name)(f)


_declare_truth("any")
_declare_truth("all")


def _declare_place(name: str) -> None:
    def f(cx: Surface, x: Arg, axis: Axis = None, keepdims: Flag = False) -> Value:
        v = cx.value(x)
        if plain(axis) is None:
            flat = emit_reshape(v, (count_of(v, range(v.rank)),))
            return keep(v, OPS[name](flat, axis=0), range(v.rank), keepdims)
        k = axis_number(axis, v.rank, name)
        return keep(v, OPS[name](v, axis=k), (k,), keepdims)

    f.__doc__ = doc_of(name) + " Without an axis, in the flattened tensor."
    function(name)(f)


_declare_place("argmax")
_declare_place("argmin")
