"""Activations of neural networks, elementwise but for `softmax`, `log_softmax` and `glu`. All stable for large arguments, in their gradients too."""

from __future__ import annotations

import math

from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.functions.expr import Expr
from dfg.ops.functions.mathematics import plain_one
from dfg.ops.surface import Arg, Axis, AxisList, OptionalArg, Surface, Word, axis_number, axis_numbers, function, plain


def _one(cx: Surface, x: Arg, name: str) -> Expr:
    return Expr.floating(cx, x, name=name)[0]


@function("relu")
def relu(cx: Surface, x: Arg) -> Value:
    """x where it is positive, else 0, elementwise. Its gradient at 0 is 0."""
    return OPS["relu"](_one(cx, x, "relu").v)


@function("relu6")
def relu6(cx: Surface, x: Arg) -> Value:
    """min(max(x, 0), 6), elementwise."""
    return _one(cx, x, "relu6").call("clip", 0, 6).v


@function("leaky_relu")
def leaky_relu(cx: Surface, x: Arg, negative_slope: Arg = 0.01) -> Value:
    """x where it is positive, else negative_slope * x, elementwise."""
    e = _one(cx, x, "leaky_relu")
    return (e > 0).where(e, e * Expr(cx, negative_slope)).v


@function("elu")
def elu(cx: Surface, x: Arg, alpha: Arg = 1.0) -> Value:
    """x where it is positive, else alpha * (exp(x) - 1), elementwise."""
    e = _one(cx, x, "elu")
    below = e.call("expm1")
    return (e > 0).where(e, below if plain_one(alpha) else Expr(cx, alpha) * below).v


@function("celu")
def celu(cx: Surface, x: Arg, alpha: Arg = 1.0) -> Value:
    """x where it is positive, else alpha * (exp(x / alpha) - 1), elementwise."""
    e = _one(cx, x, "celu")
    if plain_one(alpha):
        return (e > 0).where(e, e.call("expm1")).v
    a = Expr(cx, alpha)
    return (e > 0).where(e, a * (e / a).call("expm1")).v


@function("selu")
def selu(cx: Surface, x: Arg) -> Value:
    """The self-normalising exponential unit, elementwise."""
    e = _one(cx, x, "selu")
    return (1.0507009873554805 * (e > 0).where(e, 1.6732632423543772 * e.call("expm1"))).v


@function("silu", "swish")
def silu(cx: Surface, x: Arg) -> Value:
    """x * sigmoid(x), elementwise."""
    e = _one(cx, x, "silu")
    return (e * e.call("sigmoid")).v


@function("gelu")
def gelu(cx: Surface, x: Arg, approximate: Word = "none") -> Value:
    """x * ndtr(x), elementwise; with approximate="tanh", its approximation by the hyperbolic tangent."""
    e = _one(cx, x, "gelu")
    match plain(approximate):
        case "none":
            return (e * e.call("ndtr")).v
        case "tanh":
            inner = math.sqrt(2 / math.pi) * (e + 0.044715 * e**3)
            return (0.5 * e * (1 + inner.call("tanh"))).v
    raise InferError("bad-argument", '`gelu` takes "none" or "tanh" as `approximate`', [("approximate", "this one")])


@function("softplus")
def softplus(cx: Surface, x: Arg, beta: Arg = 1, threshold: OptionalArg = None) -> Value:
    """log(1 + exp(beta x)) / beta without overflow, elementwise; x itself where beta x is above `threshold`."""
    e = _one(cx, x, "softplus")
    scaled = e if plain_one(beta) else e * Expr(cx, beta)
    made = Expr(cx, OPS["softplus"](scaled.v))
    made = made if plain_one(beta) else made / Expr(cx, beta)
    return made.v if threshold is None else (scaled > threshold).where(e, made).v


@function("logsigmoid", "log_sigmoid", "log_expit")
def logsigmoid(cx: Surface, x: Arg) -> Value:
    """log(sigmoid(x)) without underflow, elementwise."""
    return (-(-_one(cx, x, "logsigmoid")).call("softplus")).v


@function("hardtanh")
def hardtanh(cx: Surface, x: Arg, min_val: Arg = -1.0, max_val: Arg = 1.0) -> Value:
    """x clipped to [min_val, max_val], elementwise."""
    return _one(cx, x, "hardtanh").call("clip", min_val, max_val).v


@function("hardsigmoid")
def hardsigmoid(cx: Surface, x: Arg) -> Value:
    """x / 6 + 1 / 2 clipped to [0, 1], elementwise."""
    return (_one(cx, x, "hardsigmoid") / 6 + 0.5).call("clip", 0, 1).v


@function("hardswish")
def hardswish(cx: Surface, x: Arg) -> Value:
    """x * clip(x + 3, 0, 6) / 6, elementwise."""
    e = _one(cx, x, "hardswish")
    return (e * (e + 3).call("clip", 0, 6) / 6).v


@function("mish")
def mish(cx: Surface, x: Arg) -> Value:
    """x * tanh(softplus(x)), elementwise."""
    e = _one(cx, x, "mish")
    return (e * e.call("softplus").call("tanh")).v


@function("softsign")
def softsign(cx: Surface, x: Arg) -> Value:
    """x / (1 + |x|), elementwise."""
    e = _one(cx, x, "softsign")
    return (e / (1 + e.abs())).v


@function("tanhshrink")
def tanhshrink(cx: Surface, x: Arg) -> Value:
    """x - tanh(x), elementwise."""
    e = _one(cx, x, "tanhshrink")
    return (e - e.call("tanh")).v


@function("softshrink")
def softshrink(cx: Surface, x: Arg, lambd: Arg = 0.5) -> Value:
    """x moved towards 0 by lambd, 0 within it, elementwise."""
    e, w = _one(cx, x, "softshrink"), Expr(cx, lambd)
    return (e > w).where(e - w, (e < -w).where(e + w, e * 0)).v


@function("hardshrink")
def hardshrink(cx: Surface, x: Arg, lambd: Arg = 0.5) -> Value:
    """x where |x| is above lambd, else 0, elementwise."""
    e, w = _one(cx, x, "hardshrink"), Expr(cx, lambd)
    return (e.abs() > w).where(e, e * 0).v


@function("glu")
def glu(cx: Surface, x: Arg, axis: Axis = -1) -> Value:
    """The first half along an axis times the sigmoid of the second."""
    e = _one(cx, x, "glu")
    k = axis_number(axis, e.rank, "glu")
    n = e.shape[k]
    half = n // 2
    if cx.graph.equal_sizes(2 * half, n) is not True:
        raise InferError(
            "shape-mismatch" if isinstance(n, int) else "dim-unproved",
            f"`glu` halves an axis, and axis {k} of {e.v.type} has size {n}",
            [("x", f"axis {k} is {n}")],
            dim_fact=None if isinstance(n, int) else f"dim {n} % 2 == 0",
        )
    sizes = tuple(half if a == k else d for a, d in enumerate(e.shape))
    parts = [
        OPS["slice"](e.v, starts=tuple(s if a == k else 0 for a in range(e.rank)), sizes=sizes, strides=(1,) * e.rank) for s in (0, half)
    ]
    return (Expr(cx, parts[0]) * Expr(cx, parts[1]).call("sigmoid")).v


@function("softmax")
def softmax(cx: Surface, x: Arg, axis: AxisList = -1, where: OptionalArg = None) -> Value:
    """exp(x) over its sum along axes, without overflow. With a mask `where`, over its elements only, the others 0; a row without any is 0."""
    e = _one(cx, x, "softmax")
    if e.rank == 0:
        return (e * 0 + 1).v
    axes = axis_numbers(axis, e.rank, "softmax")
    if any(e.shape[k] == 0 for k in axes):
        return e.v
    if where is None:
        t = (e - e.max(axes, True).stopped()).exp()
        return (t / t.sum(axes, True)).v
    # As `where` in a kink: what is masked out takes no part, however large it is.
    e, mask = (Expr(cx, v) for v in cx.broadcast((e.v, cx.value(where)), "softmax"))
    top = mask.where(e, -math.inf).max(axes, True).stopped()
    top = top.call("isinf").where(0.0, top)
    t = mask.where((e - top).exp(), 0.0)
    total = t.sum(axes, True)
    return (mask & (total > 0)).where(t / total, 0.0).v


@function("log_softmax")
def log_softmax(cx: Surface, x: Arg, axis: AxisList = -1) -> Value:
    """log(softmax(x)) along axes, without overflow or underflow."""
    e = _one(cx, x, "log_softmax")
    if e.rank == 0:
        return (e * 0).v
    axes = axis_numbers(axis, e.rank, "log_softmax")
    return (e - e.call("logsumexp", axis=axes, keepdims=True)).v


