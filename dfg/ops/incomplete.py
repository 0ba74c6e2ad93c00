"""The incomplete beta function, the inverses of the incomplete gamma and beta functions, and the quantiles of counts, as ops.

The inverses are what draws of the gamma family are made of: one counter for each element, and a gradient by the parameter that is the derivative of the very number
drawn (Note [Draws by inverse] in `functions/distributions.py`).

>>> import numpy as np
>>> from dfg.ops import get
>>> float(get("gammaincinv").evaluate(np, np.array(1.0), np.array(0.5)))
0.6931471805599453
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from dfg.ir import Value
from dfg.ops import special_beta
from dfg.ops.base import OPS, Attr, NoGradient, Op, RuleContext, Sampler, elementwise, full_like, uniform
from dfg.ops.elementwise import equal, exp, where
from dfg.ops.special import betaln, gammainc, gammaincc, gammaln, polygamma
from dfg.ops.special_gamma import in_double
from dfg.types import I64

Orders = tuple[int, int]


def _slope(a: Value, b: Value, x: Value, i: int, j: int) -> Value:
    """The derivative by a and b, of orders i and j, of the logarithm of x^(a-1) (1-x)^(b-1) / beta(a, b)."""
    n = i + j
    made = polygamma(a + b, n=n - 1)
    if j == 0:
        made = made - polygamma(a, n=n - 1)
    if i == 0:
        made = made - polygamma(b, n=n - 1)
    if n == 1:
        made = made + (OPS["log"](x) if i else OPS["log1p"](-x))
    return made


def _density(a: Value, b: Value, x: Value, orders: Orders) -> Value:
    """The derivative by a and b, of the given orders, of x^(a-1) (1-x)^(b-1) / beta(a, b): by the recurrence of the derivatives of an exponential."""
    made = {(0, 0): exp(OPS["xlogy"](a - 1, x) + OPS["xlog1py"](b - 1, -x) - betaln(a, b))}
    for i in range(orders[0] + 1):
        for j in range(orders[1] + 1):
            if i + j == 0:
                continue
            # d^(i, j) exp(L) = d^(i-1, j) (exp(L) L_a), or the like by b.
            by_a = i > 0
            p_most, q_most = (i - 1, j) if by_a else (i, j - 1)
            total: Value | None = None
            for p in range(p_most + 1):
                for q in range(q_most + 1):
                    weight = math.comb(p_most, p) * math.comb(q_most, q)
                    term = made[p, q] * _slope(a, b, x, i - p, j - q)
                    term = term if weight == 1 else term * weight
                    total = term if total is None else total + term
            assert total is not None
            made[i, j] = total
    return made[orders]


def _betainc_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    a, b, x = y.operands
    i, j = y.attrs
    return [
        ct * betainc(a, b, x, by_a=i + 1, by_b=j) if cx.need[0] else None,
        ct * betainc(a, b, x, by_a=i, by_b=j + 1) if cx.need[1] else None,
        ct * _density(a, b, x, (i, j)) if cx.need[2] else None,
    ]


betainc = elementwise(
    "betainc",
    "Regularised incomplete beta function of (a, b, x), or its derivative by a and b of the given orders, elementwise.",
    evaluate=lambda xp, a, b, x, *, by_a, by_b: in_double(special_beta.betainc_derivative(a, b, x, (by_a, by_b)), x.dtype),
    attrs=(Attr("by_a", "int"), Attr("by_b", "int")),
    settings=[(("by_a", i), ("by_b", j)) for i, j in ((0, 0), (1, 0), (0, 1))],
    vjp=_betainc_vjp,
    arity=3,
    samples=[(uniform(0.5, 3), uniform(0.5, 3), uniform(0.1, 0.9))],
    formula="integral of t ** (a - 1) (1 - t) ** (b - 1) from 0 to x, over beta(a, b)",
    cost=800,
    temporaries=400,
)


def _where_positive(p: Value, x: Value) -> Value:
    """`x`, and 0 where p is 0: there the inverse is 0 whatever the parameter."""
    return where(equal(p, full_like(p, 0)), full_like(x, 0), x)


def _gamma_density(a: Value, x: Value) -> Value:
    return exp(OPS["xlogy"](a - 1, x) - x - gammaln(a))


def _inverse_vjp(op: Callable[[], Op], sense: float) -> Any:
    def vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
        a, p = y.operands
        density = _gamma_density(a, y)
        result: list[Value | None] = [None, None]
        if cx.need[0]:
            slope = op()(a, y, order=1) / density
            result[0] = ct * _where_positive(p, -slope if sense > 0 else slope)
        if cx.need[1]:
            result[1] = ct / (density if sense > 0 else -density)
        return result

    return vjp


def _gamma_inverse(name: str, doc: str, f: Any, op: Callable[[], Op], sense: float, formula: str) -> Op:
    return elementwise(
        name,
        doc,
        evaluate=lambda xp, a, p: in_double(f(a, p), p.dtype),
        vjp=_inverse_vjp(op, sense),
        arity=2,
        samples=[(uniform(0.5, 3), uniform(0.1, 0.9)), (uniform(12, 15), uniform(0.1, 0.9))],
        formula=formula,
        cost=2000,
        temporaries=400,
    )


gammaincinv = _gamma_inverse(
    "gammaincinv",
    "Inverse in x of the regularised lower incomplete gamma function, of (a, p), elementwise. Iterates: about five evaluations of that function.",
    special_beta.gammaincinv,
    lambda: gammainc,
    1.0,
    "x with gammainc(a, x) = p",
)
gammainccinv = _gamma_inverse(
    "gammainccinv",
    "Inverse in x of the regularised upper incomplete gamma function, of (a, q), elementwise. Iterates: about five evaluations of that function.",
    special_beta.gammainccinv,
    lambda: gammaincc,
    -1.0,
    "x with gammaincc(a, x) = q",
)


def _betaincinv_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    a, b, p = y.operands
    density = _density(a, b, y, (0, 0))
    return [
        ct * _where_positive(p, -(betainc(a, b, y, by_a=1, by_b=0) / density)) if cx.need[0] else None,
        ct * _where_positive(p, -(betainc(a, b, y, by_a=0, by_b=1) / density)) if cx.need[1] else None,
        ct / density if cx.need[2] else None,
    ]


betaincinv = elementwise(
    "betaincinv",
    "Inverse in x of the regularised incomplete beta function, of (a, b, p), elementwise. Iterates: about six evaluations of that function.",
    evaluate=lambda xp, a, b, p: in_double(special_beta.betaincinv(a, b, p), p.dtype),
    vjp=_betaincinv_vjp,
    arity=3,
    samples=[(uniform(0.6, 3), uniform(0.6, 3), uniform(0.2, 0.8)), (uniform(12, 15), uniform(11, 14), uniform(0.1, 0.9))],
    formula="x with betainc(a, b, x) = p",
    cost=4000,
    temporaries=600,
)

_COUNT = NoGradient("a count does not vary smoothly")
poisson_quantile = elementwise(
    "poisson_quantile",
    "The least count of a Poisson distribution with more probability than u up to it, of (u, rate), elementwise; -1 for a rate that is none.",
    evaluate=lambda xp, u, rate: special_beta.poisson_quantile(u, rate),
    vjp=_COUNT,
    arity=2,
    result=I64,
    samples=[(uniform(0, 0.99), uniform(0, 40)), (uniform(0, 0.99), uniform(-1, 2))],
    formula="the least k with P(count <= k) > u",
    cost=800,
    temporaries=300,
)
binomial_quantile = elementwise(
    "binomial_quantile",
    "The least count of successes of n trials with more probability than u up to it, of (u, n, p), elementwise; -1 for parameters that are none.",
    evaluate=lambda xp, u, n, p: special_beta.binomial_quantile(u, n, p),
    vjp=_COUNT,
    arity=3,
    result=I64,
    samples=[(uniform(0, 0.99), Sampler(0, 30, integral=True), uniform(0, 1)), (uniform(0, 0.99), uniform(-1, 3), uniform(-0.2, 1.2))],
    formula="the least k with P(successes <= k) > u",
    cost=1600,
    temporaries=500,
)
