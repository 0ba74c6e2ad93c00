"""Statistics and norms over axes: products, variances, log-sum-exps, norms, the reductions that leave NaN out, distances."""

from __future__ import annotations

import math
from typing import Any

from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.elementwise import emit_cast
from dfg.ops.functions.common import keep
from dfg.ops.functions.expr import Expr
from dfg.ops.reduce import SUMMED_AS
from dfg.ops.statistics import degrees
from dfg.ops.surface import (
    FUNCTIONS,
    Arg,
    Axis,
    AxisList,
    DTypeArg,
    Flag,
    Static,
    Surface,
    axis_number,
    axis_numbers,
    dtype_of,
    function,
    plain,
)


@function("prod")
def prod(cx: Surface, x: Arg, axis: AxisList = None, dtype: DTypeArg = None, keepdims: Flag = False) -> Value:
    """Product over axes (all of them by default). Products of bool, u8 and i32 are i64. The gradient is exact also where elements are 0."""
    v = cx.value(x)
    d = dtype_of(dtype, "prod")
    if d is not None:
        v = emit_cast(v, d)
    elif v.dtype in SUMMED_AS:
        v = cx.cast(v, SUMMED_AS[v.dtype], f"`prod` of {v.dtype}")
    axes = axis_numbers(axis, v.rank, "prod")
    return keep(v, OPS["prod"](v, axes=axes) if axes else v, axes, keepdims)


@function("linear_recurrence")
def linear_recurrence(cx: Surface, a: Arg, b: Arg, axis: Axis = -1, reverse: Flag = False) -> Value:
    """y[t] = a[t] * y[t - 1] + b[t] along an axis, from nothing; with `reverse` from the last element to the first."""
    p, q = cx.broadcast(cx.promote((a, b), "linear_recurrence", floating=True), "linear_recurrence")
    return OPS["linear_recurrence"](p, q, axis=axis_number(axis, p.rank, "linear_recurrence"), reverse=bool(plain(reverse)))


def _floating(cx: Surface, x: Arg, name: str, dtype: Any = None) -> Value:
    d = dtype_of(dtype, name)
    if d is not None:
        return emit_cast(cx.value(x), d)
    return cx.promote((x,), name, floating=True)[0]


def _number(x: Any, name: str, argument: str) -> float:
    k = plain(x)
    if isinstance(k, bool) or not isinstance(k, int | float):
        raise InferError("bad-argument", f"`{name}` takes a number known while compiling as `{argument}`", [(argument, "this one")])
    return float(k)


@function("var")
def var(cx: Surface, x: Arg, axis: AxisList = None, correction: Static = 0, keepdims: Flag = False) -> Value:
    """Variance over axes (all by default): the sum of squared differences from the mean over their number less `correction`."""
    e = Expr(cx, _floating(cx, x, "var"))
    axes = axis_numbers(axis, e.rank, "var")
    centred = e - e.mean(axes, True)
    total = Expr(cx, (centred * centred).v).sum(axes) if axes else centred * centred
    return keep(e.v, (total / Expr(cx, degrees(e.v, axes, _number(correction, "var", "correction")))).v, axes, keepdims)


@function("std")
def std(cx: Surface, x: Arg, axis: AxisList = None, correction: Static = 0, keepdims: Flag = False) -> Value:
    """Standard deviation over axes (all by default). Its gradient for equal elements is 0."""
    v = _floating(cx, x, "std")
    axes = axis_numbers(axis, v.rank, "std")
    return keep(v, OPS["std"](v, axes=axes, correction=_number(correction, "std", "correction")), axes, keepdims)


@function("logsumexp")
def logsumexp(cx: Surface, x: Arg, axis: AxisList = None, keepdims: Flag = False) -> Value:
    """log(sum(exp(x))) over axes (all by default) without overflow. Its gradient is the softmax."""
    v = _floating(cx, x, "logsumexp")
    axes = axis_numbers(axis, v.rank, "logsumexp")
    return keep(v, OPS["logsumexp"](v, axes=axes) if axes else v, axes, keepdims)


# --- norms ---------------------------------------------------------------------------------------------------------------------------


def _power_sum(e: Expr, p: float, axes: Any) -> Expr:
    """(sum |x| ** p) ** (1 / p) with gradient 0 at 0 where it is finite."""
    size = e.abs()
    if p <= 0:
        return (size**p).sum(axes) ** (1 / p)
    # Elements that are 0, and sums of such, are dead lanes: their powers are singular.
    total = size.eq(0).where(0.0, size**p).sum(axes)
    return total.eq(0).where(0.0, total ** (1 / p))


@function("vector_norm")
def vector_norm(cx: Surface, x: Arg, axis: AxisList = None, keepdims: Flag = False, ord: Static = 2) -> Value:
    """The norm of an order (2 by default; 1, inf, -inf, 0, any p) over axes (all by default). Its gradient at 0 is 0."""
    v = _floating(cx, x, "vector_norm")
    axes = axis_numbers(axis, v.rank, "vector_norm")
    p = _number(ord, "vector_norm", "ord")
    e = Expr(cx, v)
    if p == 2 or (not axes and p != 0):
        return keep(v, OPS["vector_norm"](v, axes=axes) if axes else OPS["abs"](v), axes, keepdims)
    if p == math.inf:
        made = e.abs().max(axes)
    elif p == -math.inf:
        made = e.abs().call("min", axis=axes)
    elif p == 0:
        made = (~e.eq(0)).call("astype", v.dtype).sum(axes) if axes else (~e.eq(0)).call("astype", v.dtype)
    elif p == 1:
        made = e.abs().sum(axes)
    else:
        made = _power_sum(e, p, axes)
    return keep(v, made.v, axes, keepdims)


@function("matrix_norm")
def matrix_norm(cx: Surface, x: Arg, keepdims: Flag = False, ord: Static = "fro") -> Value:
    """The norm of matrices in the last two axes: "fro", "nuc", 1, -1, 2, -2, inf or -inf."""
    v = _floating(cx, x, "matrix_norm")
    if v.rank < 2:
        raise InferError("rank-mismatch", f"`matrix_norm` takes matrices, not {v.type}", [("x", f"this is {v.type}")])
    axes = (v.rank - 2, v.rank - 1)
    kind = plain(ord)
    e = Expr(cx, v)
    if kind == "fro":
        made = OPS["vector_norm"](v, axes=axes)
    elif kind in (1, -1, math.inf, -math.inf) and not isinstance(kind, bool):
        sums = e.abs().sum(axes[0] if abs(kind) == 1 else axes[1])
        made = sums.call("max" if kind > 0 else "min", axis=-1).v
    elif kind in ("nuc", 2, -2) and "svdvals" in FUNCTIONS:
        values = e.call("svdvals")
        made = (values.sum(-1) if kind == "nuc" else values.call("max" if kind > 0 else "min", axis=-1)).v
    else:
        raise InferError(
            "bad-argument", f'`matrix_norm` takes "fro", "nuc", 1, -1, 2, -2, inf or -inf as `ord`, not {kind!r}', [("ord", "this one")]
        )
    return keep(v, made, axes, keepdims)


@function("cond")
def cond(cx: Surface, x: Arg, p: Static = None) -> Value:
    """The condition number of matrices: the ratio of the largest singular value to the smallest (2, or none), inf where that is 0; of the smallest to the largest (-2);
    or, for another order of `matrix_norm`, the norm times that of the inverse, which fails for a singular matrix."""
    v = _floating(cx, x, "cond")
    kind = plain(p)
    if kind in (None, 2, -2) and not isinstance(kind, bool):
        s = Expr(cx, Expr(cx, v).call("svdvals").v)
        large, small = s.call("max", axis=-1), s.call("min", axis=-1)
        return (small / large if kind == -2 else large / small).v
    return (Expr(cx, matrix_norm(cx, v, False, kind)) * Expr(cx, matrix_norm(cx, Expr(cx, v).call("inv").v, False, kind))).v


@function("norm")
def norm(cx: Surface, x: Arg, ord: Static = None, axis: AxisList = None, keepdims: Flag = False) -> Value:
    """As `np.linalg.norm`: of vectors over one axis, of matrices over two, of all elements without an axis. Its gradient at 0 is 0."""
    v = _floating(cx, x, "norm")
    kind = plain(ord)
    given = plain(axis)
    if given is None and (kind is None or v.rank == 1):
        return vector_norm(cx, v, None, keepdims, 2 if kind is None else kind)
    axes = (given if isinstance(given, tuple) else (given,)) if given is not None else tuple(range(v.rank))
    numbers = [axis_number(a, v.rank, "norm") for a in axes]
    if len(numbers) == 1 or (kind is None or kind == "fro"):
        return vector_norm(cx, v, tuple(numbers), keepdims, 2 if kind in (None, "fro") else kind)
    if len(numbers) != 2 or numbers[0] == numbers[1]:
        raise InferError("bad-argument", "`norm` is of vectors or matrices: over one axis or two", [("axis", "this one")])
    rest = [k for k in range(v.rank) if k not in numbers]
    turned = Expr(cx, v).call("permute_dims", (*rest, *numbers))
    return keep(v, matrix_norm(cx, turned.v, False, kind), sorted(numbers), keepdims)
