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
    Literal,
    Static,
    Surface,
    axis_number,
    axis_numbers,
    dtype_of,
    function,
    plain,
)
from dfg.types import BOOL, I64


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


@function("count_nonzero")
def count_nonzero(cx: Surface, x: Arg, axis: AxisList = None, keepdims: Flag = False) -> Value:
    """How many elements over axes are not 0 (or true)."""
    v = emit_cast(cx.value(x), BOOL)
    axes = axis_numbers(axis, v.rank, "count_nonzero")
    counts = emit_cast(v, I64)
    return keep(v, OPS["sum"](counts, axes=axes) if axes else counts, axes, keepdims)


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


# --- without NaN ---------------------------------------------------------------------------------------------------------------------


def _masked(cx: Surface, x: Arg, fill: float) -> tuple[Expr, Expr]:
    """x with NaN replaced, and where it is a number."""
    e = Expr(cx, x)
    if not e.dtype.floating:
        return e, Expr(cx, cx.full(e.shape, Literal("bool", True), BOOL))
    missing = e.call("isnan")
    return missing.where(fill, e), ~missing


@function("nansum")
def nansum(cx: Surface, x: Arg, axis: AxisList = None, keepdims: Flag = False) -> Value:
    """Sum over axes of what is not NaN; a NaN has gradient 0."""
    return _masked(cx, cx.value(x), 0.0)[0].sum(axis, keepdims).v


@function("nanprod")
def nanprod(cx: Surface, x: Arg, axis: AxisList = None, keepdims: Flag = False) -> Value:
    """Product over axes of what is not NaN."""
    return _masked(cx, cx.value(x), 1.0)[0].call("prod", axis=axis, keepdims=keepdims).v


def _nanmean(e: Expr, there: Expr, axis: Any, keepdims: bool) -> Expr:
    return e.sum(axis, keepdims) / there.call("astype", e.dtype).sum(axis, keepdims)


@function("nanmean")
def nanmean(cx: Surface, x: Arg, axis: AxisList = None, keepdims: Flag = False) -> Value:
    """Mean over axes of what is not NaN; NaN where nothing is left."""
    e, there = _masked(cx, _floating(cx, x, "nanmean"), 0.0)
    return _nanmean(e, there, axis, bool(plain(keepdims))).v


@function("nanvar")
def nanvar(cx: Surface, x: Arg, axis: AxisList = None, correction: Static = 0, keepdims: Flag = False) -> Value:
    """Variance over axes of what is not NaN."""
    e, there = _masked(cx, _floating(cx, x, "nanvar"), 0.0)
    centred = there.where(e - _nanmean(e, there, axis, True), 0.0)
    count = there.call("astype", e.dtype).sum(axis, keepdims) - _number(correction, "nanvar", "correction")
    return ((centred * centred).sum(axis, keepdims) / (count > 0).where(count, math.nan)).v


@function("nanstd")
def nanstd(cx: Surface, x: Arg, axis: AxisList = None, correction: Static = 0, keepdims: Flag = False) -> Value:
    """Standard deviation over axes of what is not NaN. Its gradient for equal elements is 0."""
    v = Expr(cx, nanvar(cx, x, axis, correction, keepdims))
    return v.eq(0).where(0.0, v.sqrt()).v


def _declare_nan_extreme(name: str, fill: float) -> None:
    def f(cx: Surface, x: Arg, axis: AxisList = None, keepdims: Flag = False) -> Value:
        v = cx.value(x)
        if not v.dtype.floating:
            return Expr(cx, v).call(name, axis=axis, keepdims=keepdims).v
        e, there = _masked(cx, v, fill)
        found = there.call("any", axis=axis, keepdims=keepdims)
        return found.where(e.call(name, axis=axis, keepdims=keepdims), math.nan).v

    f.__doc__ = f"The {'largest' if name == 'max' else 'smallest'} element over axes that is not NaN; NaN where there is none."
    function(f"nan{name}")(f)


_declare_nan_extreme("max", -math.inf)
_declare_nan_extreme("min", math.inf)

# --- normalising and distances ---------------------------------------------------------------------------------------------------------


@function("normalize")
def normalize(cx: Surface, x: Arg, p: Static = 2.0, axis: AxisList = 1, eps: Arg = 1e-12) -> Value:
    """x over its norm of order p along axes, or over `eps` if that is larger."""
    e = Expr(cx, _floating(cx, x, "normalize"))
    return (e / e.call("vector_norm", axis=axis, keepdims=True, ord=p).call("maximum", eps)).v


@function("cosine_similarity")
def cosine_similarity(cx: Surface, x: Arg, y: Arg, axis: Axis = 1, eps: Arg = 1e-8) -> Value:
    """The cosine of the angle of vectors along an axis, their norms being at least `eps`."""
    a, b = (Expr(cx, v) for v in cx.broadcast(cx.promote((x, y), "cosine_similarity", floating=True), "cosine_similarity"))
    if a.rank == 0:
        a, b = a.reshape(1), b.reshape(1)
    k = axis_number(axis, a.rank, "cosine_similarity")
    lengths = [e.call("vector_norm", axis=k, keepdims=True).call("maximum", eps) for e in (a, b)]
    return ((a / lengths[0]) * (b / lengths[1])).sum(k).v


@function("cdist")
def cdist(cx: Surface, x: Arg, y: Arg, p: Static = 2.0) -> Value:
    """Distances of order p between the rows of x and the rows of y: [..., i, j]. Materialises all differences. The gradient between equal rows is 0."""
    a, b = Expr.floating(cx, x, y, name="cdist")
    for e, argument in ((a, "x"), (b, "y")):
        if e.rank < 2:
            raise InferError("rank-mismatch", f"`cdist` takes rows of vectors, not {e.v.type}", [(argument, f"this is {e.v.type}")])
    rows = a.reshape(*a.shape[:-1], 1, a.shape[-1])
    columns = b.reshape(*b.shape[:-2], 1, *b.shape[-2:])
    return (rows - columns).call("vector_norm", axis=-1, ord=p).v


@function("pairwise_distance")
def pairwise_distance(cx: Surface, x: Arg, y: Arg, p: Static = 2.0, eps: Arg = 1e-6, keepdims: Flag = False) -> Value:
    """Distances of order p between vectors in the last axis, `eps` being added to each difference."""
    a, b = Expr.floating(cx, x, y, name="pairwise_distance")
    return (a - b + Expr(cx, eps)).call("vector_norm", axis=-1, ord=p, keepdims=keepdims).v


@function("average")
def average(cx: Surface, x: Arg, axis: AxisList = None, weights: Arg = None, keepdims: Flag = False) -> Value:
    """Mean over axes, weighted if weights (of the shape of x, or of the axis) are given."""
    e = Expr(cx, _floating(cx, x, "average"))
    if weights is None:
        return e.mean(axis, bool(plain(keepdims))).v
    w = Expr(cx, weights)
    if w.rank == 1 and e.rank != 1:
        k = axis_number(axis, e.rank, "average")
        w = w.reshape(*[w.shape[0] if a == k else 1 for a in range(e.rank)])
    w = Expr(cx, cx.broadcast((w.v, e.v), "average")[0])
    return ((e * w).sum(axis, keepdims) / w.sum(axis, keepdims)).v

