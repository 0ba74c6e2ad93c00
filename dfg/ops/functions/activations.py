"""The activations that are one primitive: `relu`, `softplus`. The others are formulas, in `dfg/std/prelude/activations.dfg`."""

from __future__ import annotations

from typing import Any

from dfg.ir import Value
from dfg.ops.base import OPS
from dfg.ops.functions.expr import Expr
from dfg.ops.surface import Arg, Literal, OptionalArg, Surface, function


@function("relu")
def relu(cx: Surface, x: Arg) -> Value:
    """x where it is positive, else 0, elementwise. Its gradient at 0 is 0."""
    return OPS["relu"](cx.promote((x,), "relu", floating=True)[0])


def _plain_one(x: Any) -> bool:
    """Whether an argument is the number 1."""
    value = x.value if isinstance(x, Literal) else x
    return isinstance(value, int | float) and value == 1


@function("softplus")
def softplus(cx: Surface, x: Arg, beta: Arg = 1, threshold: OptionalArg = None) -> Value:
    """log(1 + exp(beta x)) / beta without overflow, elementwise; x itself where beta x is above `threshold`."""
    (e,) = Expr.floating(cx, x, name="softplus")
    scaled = e if _plain_one(beta) else e * Expr(cx, beta)
    made = Expr(cx, OPS["softplus"](scaled.v))
    made = made if _plain_one(beta) else made / Expr(cx, beta)
    return made.v if threshold is None else (scaled > threshold).where(e, made).v
