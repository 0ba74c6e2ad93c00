"""Special functions under SciPy's names."""

from __future__ import annotations

import math

from dfg.dims import Dim
from dfg.ir import Value
from dfg.ops.base import OPS
from dfg.ops.functions.common import declare_binary, declare_unary, dim_value
from dfg.ops.functions.expr import Expr
from dfg.ops.functions.mathematics import whole_order
from dfg.ops.surface import Arg, Static, Surface, function

for _name in ("erf", "erfc", "erfcx", "erfinv", "erfcinv", "ndtr", "ndtri", "log_ndtr", "gamma"):
    declare_unary(_name)
declare_unary("gammaln", "lgamma")
declare_binary("betaln", floating=True)


@function("polygamma", elementwise=True)
def polygamma(cx: Surface, n: Static, x: Arg) -> Value:
    """The n-th derivative of digamma, elementwise; n is a whole number known while compiling."""
    (e,) = Expr.floating(cx, x, name="polygamma")
    return OPS["polygamma"](e.v, n=whole_order(n, "polygamma", "n"))


@function("digamma", "psi", elementwise=True)
def digamma(cx: Surface, x: Arg) -> Value:
    """The derivative of gammaln, elementwise."""
    (e,) = Expr.floating(cx, x, name="digamma")
    return OPS["polygamma"](e.v, n=0)


@function("multigammaln", "mvlgamma")
def multigammaln(cx: Surface, a: Arg, d: Static) -> Value:
    """Logarithm of the multivariate gamma function of dimension d, elementwise."""
    (e,) = Expr.floating(cx, a, name="multigammaln")
    if isinstance(d, Dim):  # a named size: the sum over i = 0 .. d - 1 is one over an axis
        steps = Expr(cx, cx.graph.emit(OPS["iota"], (), (d, e.dtype)))
        lanes = e.reshape(*e.shape, 1) - steps / 2
        size = Expr(cx, dim_value(cx, d, e.dtype))
        return (lanes.call("gammaln").sum(-1) + size * (size - 1) / 4 * math.log(math.pi)).v
    p = whole_order(d, "multigammaln", "d", 1)
    total = e.call("gammaln")
    for i in range(1, p):
        total = total + (e - i / 2).call("gammaln")
    return (total + p * (p - 1) / 4 * math.log(math.pi) if p > 1 else total).v


def _declare_incomplete(name: str) -> None:
    def f(cx: Surface, a: Arg, x: Arg, order: Static = 0) -> Value:
        p, q = cx.broadcast(cx.promote((a, x), name, floating=True), name)
        return OPS[name](p, q, order=whole_order(order, name, "order"))

    f.__doc__ = OPS[name].doc
    function(name, elementwise=True)(f)


_declare_incomplete("gammainc")
_declare_incomplete("gammaincc")


for _name in ("gammaincinv", "gammainccinv"):
    declare_binary(_name, floating=True)


@function("betainc")
def betainc(cx: Surface, a: Arg, b: Arg, x: Arg, by_a: Static = 0, by_b: Static = 0) -> Value:
    """Regularised incomplete beta function of (a, b, x), or its derivative by a and b of the given orders, elementwise."""
    values = cx.broadcast(cx.promote((a, b, x), "betainc", floating=True), "betainc")
    return OPS["betainc"](*values, by_a=whole_order(by_a, "betainc", "by_a"), by_b=whole_order(by_b, "betainc", "by_b"))


@function("betaincinv")
def betaincinv(cx: Surface, a: Arg, b: Arg, p: Arg) -> Value:
    """Inverse in x of the regularised incomplete beta function, elementwise: betainc(a, b, betaincinv(a, b, p)) is p."""
    return OPS["betaincinv"](*cx.broadcast(cx.promote((a, b, p), "betaincinv", floating=True), "betaincinv"))


def _declare_bessel(name: str, op: str, n: int) -> None:
    def f(cx: Surface, x: Arg) -> Value:
        (e,) = Expr.floating(cx, x, name=name)
        return OPS[op](e.v, v=n)

    f.__doc__ = f"Modified Bessel function of the first kind of order {n}{', times exp(-|x|)' if op == 'ive' else ''}, elementwise."
    function(name, elementwise=True)(f)


def _declare_order(name: str) -> None:
    def f(cx: Surface, v: Static, z: Arg) -> Value:
        (e,) = Expr.floating(cx, z, name=name)
        return OPS[name](e.v, v=whole_order(v, name, "v"))

    f.__doc__ = OPS[name].doc
    function(name, elementwise=True)(f)


for _short, _op, _n in (("i0", "iv", 0), ("i0e", "ive", 0), ("i1", "iv", 1), ("i1e", "ive", 1)):
    _declare_bessel(_short, _op, _n)
_declare_order("iv")
_declare_order("ive")

