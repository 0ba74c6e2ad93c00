"""Further functions that users of NumPy, SciPy and neural-network libraries expect, all made of others."""

from __future__ import annotations

import math

from dfg.dims import DimLike
from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.elementwise import emit_cast
from dfg.ops.functions.common import count_of, declare_binary, declare_unary
from dfg.ops.functions.expr import Expr, made
from dfg.ops.functions.indexed import index_of
from dfg.ops.functions.losses import reduced
from dfg.ops.functions.mathematics import whole_order
from dfg.ops.functions.shaping import whole, window
from dfg.ops.movement import emit_permute, emit_reshape
from dfg.ops.surface import (
    Arg,
    Args,
    Axis,
    AxisList,
    Flag,
    Literal,
    OptionalArg,
    Size,
    Static,
    Surface,
    Word,
    axis_number,
    function,
    plain,
    size_of,
)
from dfg.types import I64

# --- elementwise -----------------------------------------------------------------------------------------------------------------------

declare_unary("cbrt")
declare_binary("gcd")
declare_binary("lcm")


@function("float_power")
def float_power(cx: Surface, x: Arg, y: Arg) -> Value:
    """x to the power y in a floating dtype, elementwise."""
    return cx.elementwise("power", (x, y), True)


@function("rint")
def rint(cx: Surface, x: Arg) -> Value:
    """The nearest whole number, elementwise; halves go to the even one."""
    return made(cx, "round", [x])


@function("real", "conj")
def real(cx: Surface, x: Arg) -> Value:
    """The same number: every dtype is real."""
    return cx.value(x)


@function("select")
def select(cx: Surface, conditions: Args, choices: Args, default: Arg = 0) -> Value:
    """Of the first condition that holds the choice, else `default`, elementwise."""
    if len(conditions) != len(choices) or not conditions:
        raise InferError("bad-argument", "`select` takes a choice for each condition", [("choices", "this list")])
    result = Expr(cx, default)
    for c, v in reversed(list(zip(conditions, choices, strict=True))):
        result = Expr(cx, c).where(v, result)
    return result.v


@function("erfcinv")
def erfcinv(cx: Surface, x: Arg) -> Value:
    """Inverse of erfc, elementwise."""
    (e,) = Expr.floating(cx, x, name="erfcinv")
    return ((e / 2).call("ndtri") * -math.sqrt(0.5)).v


@function("rel_entr")
def rel_entr(cx: Surface, x: Arg, y: Arg) -> Value:
    """x log(x / y), 0 where x is 0, inf where a number is negative, elementwise."""
    a, b = Expr.floating(cx, x, y, name="rel_entr")
    live = (a > 0) & (b > 0)
    rest = (a.eq(0) & (b >= 0)).where(0.0, math.inf)
    return live.where(a * (a / b).log(), (a.call("isnan") | b.call("isnan")).where(math.nan, rest)).v


@function("exprel")
def exprel(cx: Surface, x: Arg) -> Value:
    """(exp(x) - 1) / x, 1 at 0, elementwise."""
    (e,) = Expr.floating(cx, x, name="exprel")
    half = e / 2
    # expm1(x) / x = exp(x / 2) sinh(x / 2) / (x / 2); near 0 by its series.
    near = e.abs() < 1e-5
    return near.where(1 + half + e * e / 6, e.call("expm1") / e).v


@function("binom", "comb")
def binom(cx: Surface, n: Arg, k: Arg) -> Value:
    """The binomial coefficient of real arguments, elementwise."""
    a, b = Expr.floating(cx, n, k, name="binom")
    return ((a + 1).call("gammaln") - (b + 1).call("gammaln") - (a - b + 1).call("gammaln")).exp().v


@function("factorial")
def factorial(cx: Surface, n: Arg) -> Value:
    """gamma(n + 1), elementwise."""
    (e,) = Expr.floating(cx, n, name="factorial")
    return (e + 1).call("gamma").v


# --- statistics ----------------------------------------------------------------------------------------------------------------------


@function("ptp")
def ptp(cx: Surface, x: Arg, axis: AxisList = None, keepdims: Flag = False) -> Value:
    """The largest element less the smallest, over axes."""
    e = Expr(cx, x)
    return (e.max(plain(axis), bool(plain(keepdims))) - e.call("min", axis=plain(axis), keepdims=keepdims)).v


@function("cov")
def cov(cx: Surface, x: Arg, correction: Static = 1) -> Value:
    """The covariance matrix of variables in rows, observations in columns."""
    (e,) = Expr.floating(cx, x, name="cov")
    if e.rank != 2:
        raise InferError("rank-mismatch", f"`cov` takes variables in rows, not {e.v.type}", [("x", f"this is {e.v.type}")])
    centred = e - e.mean(1, True)
    count = Expr(cx, e.shape[1]) - Expr(cx, plain(correction))
    return (centred.call("matmul", centred.call("matrix_transpose")) / count).v


@function("corrcoef")
def corrcoef(cx: Surface, x: Arg) -> Value:
    """The correlation matrix of variables in rows, observations in columns."""
    c = Expr(cx, cov(cx, x))
    deviations = c.call("diagonal").sqrt()
    return (c / deviations.call("outer", deviations)).v


@function("bincount")
def bincount(cx: Surface, x: Arg, weights: OptionalArg = None, minlength: Size = None) -> Value:
    """How often each number below `minlength` (which is needed) stands in x, or the sum of its weights."""
    i = index_of(cx, x, "bincount", "x")
    if plain(minlength) is None:
        raise InferError("missing-argument", "`bincount` needs `minlength`: how many numbers there are is known before running", help="bincount(x, minlength=10)")
    ones = cx.full(i.shape, Literal("int", 1), I64) if weights is None else cx.value(weights)
    zeros = cx.full((size_of(minlength, "bincount", "minlength"),), Literal("int", 0), ones.dtype)
    return OPS["scatter"](zeros, cx.stretch(ones, i.shape), i, axes=(0,), batch=0, mode="add")


@function("interp")
def interp(cx: Surface, x: Arg, xp: Arg, fp: Arg) -> Value:
    """Linear interpolation of the points (xp, fp), xp increasing, at x; constant outside. Differentiable by all three."""
    a, p, f = Expr.floating(cx, x, xp, fp, name="interp")
    if p.rank != 1 or f.rank != 1:
        raise InferError("rank-mismatch", "`interp` takes points as two vectors", [("xp", f"this is {p.v.type}"), ("fp", f"this is {f.v.type}")])
    count = p.shape[0]
    cx.graph.need(count, 1, "`interp` needs a point", "empty-axis", [("xp", f"this is {p.v.type}")])
    size = Expr(cx, count)
    right = p.call("searchsorted", a, side="right").call("clip", 1, (size - 1).call("maximum", 1))
    left = right - 1
    right = right.call("minimum", size - 1)
    x0, x1, f0, f1 = (e.call("take", i) for e, i in ((p, left), (p, right), (f, left), (f, right)))
    width = x1 - x0
    slope = width.eq(0).where(0.0, (f1 - f0) / width.eq(0).where(1.0, width))
    inside = f0 + slope * (a - x0)
    first, last = (e.call("take", i) for e, i in ((f, 0), (f, -1)))
    low, high = p.call("take", 0), p.call("take", -1)
    return a.call("isnan").where(a, (a <= low).where(first, (a >= high).where(last, inside))).v


@function("gradient")
def gradient(cx: Surface, x: Arg, spacing: Arg = 1.0, axis: Axis = -1) -> Value:
    """Differences along an axis: central inside, one-sided at both ends."""
    (e,) = Expr.floating(cx, x, name="gradient")
    k = axis_number(axis, e.rank, "gradient")
    n = e.shape[k]
    cx.graph.need(n, 2, "`gradient` needs two places", "empty-axis", [("x", f"axis {k} has size {n}")])
    v = e.v
    first = Expr(cx, window(v, k, 1, 1)) - Expr(cx, window(v, k, 0, 1))
    last = Expr(cx, window(v, k, n - 1, 1)) - Expr(cx, window(v, k, n - 2, 1))
    middle = (Expr(cx, window(v, k, 2, n - 2)) - Expr(cx, window(v, k, 0, n - 2))) / 2
    return (Expr(cx, OPS["concat"](first.v, middle.v, last.v, axis=k)) / Expr(cx, spacing)).v


@function("polyval")
def polyval(cx: Surface, p: Arg, x: Arg) -> Value:
    """The polynomial with coefficients p, the highest first, at x (Horner's rule)."""
    c, e = Expr.floating(cx, p, x, name="polyval")
    if c.rank != 1 or not isinstance(c.shape[0], int):
        raise InferError("rank-mismatch", f"`polyval` takes a vector of coefficients of a known number, not {c.v.type}", [("p", f"this is {c.v.type}")])
    total = e * 0
    for i in range(c.shape[0]):
        total = total * e + c.call("take", i)
    return total.v


# --- shapes --------------------------------------------------------------------------------------------------------------------------


@function("empty_like")
def empty_like(cx: Surface, x: Arg) -> Value:
    """As `zeros_like`: nothing is left undefined."""
    return made(cx, "zeros_like", [x])


@function("row_stack")
def row_stack(cx: Surface, arrays: Args) -> Value:
    """The tensors joined along axis 0, vectors as rows."""
    return made(cx, "vstack", [arrays])


@function("append")
def append(cx: Surface, x: Arg, values: Arg, axis: Axis = None) -> Value:
    """Two tensors joined along an axis, or flattened."""
    return made(cx, "concat", [[x, values]], {"axis": axis})


@function("vdot")
def vdot(cx: Surface, x: Arg, y: Arg) -> Value:
    """The sum of products of two tensors, flattened."""
    a, b = (emit_reshape(v, (count_of(v, range(v.rank)),)) for v in cx.promote((x, y), "vdot"))
    return made(cx, "matmul", [a, b])


@function("bmm")
def bmm(cx: Surface, x: Arg, y: Arg) -> Value:
    """Matrix products of two batches of matrices."""
    return made(cx, "matmul", [x, y])


@function("vander")
def vander(cx: Surface, x: Arg, n: Static = None, increasing: Flag = False) -> Value:
    """Powers of a vector as columns, the highest first unless `increasing`."""
    v = cx.value(x)
    if v.rank != 1:
        raise InferError("rank-mismatch", f"`vander` takes a vector, not {v.type}", [("x", f"this is {v.type}")])
    count = size_of(v.shape[0] if plain(n) is None else n, "vander", "n")
    powers = cx.graph.emit(OPS["iota"], (), (count, I64))
    if not plain(increasing):
        powers = OPS["flip"](powers, axes=(0,))
    return cx.elementwise("power", (emit_reshape(v, (v.shape[0], 1)), emit_cast(powers, v.dtype) if v.dtype.floating else powers))


@function("array_split")
def array_split(cx: Surface, x: Arg, sections: Static, axis: Axis = 0) -> tuple[Value, ...]:
    """So many parts along an axis, the first ones longer by one where it does not divide."""
    v = cx.value(x)
    k = axis_number(axis, v.rank, "array_split")
    n, parts = v.shape[k], whole(sections, "array_split", "sections")
    if not isinstance(n, int) or parts < 1:
        raise InferError("not-static" if parts > 0 else "bad-argument", f"`array_split` cuts an axis of a known size into parts, not axis {k} of {v.type}", [("x", f"axis {k} is {n}")])
    low, more = divmod(n, parts)
    result = []
    start = 0
    for i in range(parts):
        size = low + (i < more)
        result.append(window(v, k, start, size))
        start += size
    return tuple(result)


@function("pixel_shuffle")
def pixel_shuffle(cx: Surface, x: Arg, factor: Static) -> Value:
    """[..., c r^2, h, w] as [..., c, h r, w r]."""
    v = cx.value(x)
    r = whole_order(factor, "pixel_shuffle", "factor", 1)
    if v.rank < 3:
        raise InferError("rank-mismatch", f"`pixel_shuffle` takes [channels, height, width], not {v.type}", [("x", f"this is {v.type}")])
    *lead, c, h, w = v.shape
    channels: DimLike = c // (r * r)
    k = len(lead)
    parts = emit_reshape(v, (*lead, channels, r, r, h, w))
    turned = emit_permute(parts, [*range(k), k, k + 3, k + 1, k + 4, k + 2])
    return emit_reshape(turned, (*lead, channels, h * r, w * r))


# --- neural networks -----------------------------------------------------------------------------------------------------------------


@function("dropout")
def dropout(cx: Surface, x: Arg, p: Arg = 0.5, seed: Args = None) -> Value:
    """Each element 0 with probability p, else over 1 - p."""
    e, q = Expr.floating(cx, x, p, name="dropout")
    keep = Expr(cx, made(cx, "bernoulli", [(1 - q).v, e.shape], {"seed": seed}))
    return keep.where(e / (1 - q), 0.0).v


@function("prelu")
def prelu(cx: Surface, x: Arg, weight: Arg) -> Value:
    """x where it is positive, else weight * x; a vector of weights is over axis 1."""
    e, w = Expr.floating(cx, x, weight, name="prelu")
    if w.rank == 1 and e.rank > 1:
        w = w.reshape(*[w.shape[0] if k == 1 else 1 for k in range(e.rank)])
    return (e > 0).where(e, w * e).v


@function("threshold")
def threshold(cx: Surface, x: Arg, threshold: Arg, value: Arg) -> Value:
    """x where it is above a threshold, else `value`."""
    e = Expr(cx, x)
    return (e > threshold).where(e, value).v


@function("softmin")
def softmin(cx: Surface, x: Arg, axis: AxisList = -1) -> Value:
    """softmax(-x)."""
    return (-Expr.floating(cx, x, name="softmin")[0]).call("softmax", axis=plain(axis)).v


@function("soft_margin_loss")
def soft_margin_loss(cx: Surface, x: Arg, y: Arg, reduction: Word = "mean") -> Value:
    """log(1 + exp(-y x)) for targets y of 1 and -1."""
    a, b = Expr.floating(cx, x, y, name="soft_margin_loss")
    return reduced((-(b * a)).call("softplus"), reduction, "soft_margin_loss")


@function("hinge_loss")
def hinge_loss(cx: Surface, x: Arg, y: Arg, reduction: Word = "mean") -> Value:
    """max(0, 1 - y x) for targets y of 1 and -1."""
    a, b = Expr.floating(cx, x, y, name="hinge_loss")
    return reduced((1 - b * a).call("relu"), reduction, "hinge_loss")


@function("poisson_nll_loss")
def poisson_nll_loss(cx: Surface, x: Arg, y: Arg, log_input: Flag = True, reduction: Word = "mean", eps: Arg = 1e-8) -> Value:
    """exp(x) - y x, or x - y log(x + eps): minus the log-likelihood of counts y, without their factorials."""
    a, b = Expr.floating(cx, x, y, name="poisson_nll_loss")
    loss = a.exp() - b * a if plain(log_input) else a - b * (a + Expr(cx, eps)).log()
    return reduced(loss, reduction, "poisson_nll_loss")


@function("gaussian_nll_loss")
def gaussian_nll_loss(cx: Surface, x: Arg, y: Arg, variance: Arg, reduction: Word = "mean", eps: Arg = 1e-6) -> Value:
    """(log(v) + (x - y) ** 2 / v) / 2, v being the variance but at least eps."""
    a, b, v = Expr.floating(cx, x, y, variance, name="gaussian_nll_loss")
    v = v.call("maximum", eps)
    return reduced(0.5 * (v.log() + (a - b) ** 2 / v), reduction, "gaussian_nll_loss")


@function("triplet_margin_loss")
def triplet_margin_loss(cx: Surface, anchor: Arg, positive: Arg, negative: Arg, margin: Arg = 1.0, p: Static = 2.0, reduction: Word = "mean") -> Value:
    """max(0, |anchor - positive| - |anchor - negative| + margin) over the last axis."""
    a, b, c = Expr.floating(cx, anchor, positive, negative, name="triplet_margin_loss")
    near, far = ((a - o).call("vector_norm", axis=-1, ord=p) for o in (b, c))
    return reduced((near - far + Expr(cx, margin)).call("relu"), reduction, "triplet_margin_loss")


@function("index_select")
def index_select(cx: Surface, x: Arg, axis: Axis, index: Arg) -> Value:
    """Elements at indices along an axis."""
    return made(cx, "take", [x, index], {"axis": axis})

