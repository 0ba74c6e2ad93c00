"""Special functions as ops: the error function and its kin, gamma functions, modified Bessel functions. Evaluated in f64 by `special_error`, `special_gamma`,
`special_bessel`, for f32 too; each derivative is another of them, so every order exists.

>>> from dfg.ops import get
>>> get("gammaln").doc
'Logarithm of the absolute value of the gamma function, elementwise.'
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dfg.ir import Value
from dfg.ops import special_bessel, special_error, special_gamma
from dfg.ops.base import OPS, Attr, Op, RuleContext, Sampler, at, elementwise, full_like, uniform
from dfg.ops.elementwise import exp, less, log, where
from dfg.ops.math import sign
from dfg.ops.special_gamma import in_double

ROOT_PI = math.sqrt(math.pi)
ROOT_TWO_PI = math.sqrt(2 * math.pi)


def _special(
    name: str,
    doc: str,
    f: Callable[..., np.ndarray],
    vjp: Any,
    samples: Sequence[Sequence[Sampler]],
    formula: str = "",
    commutative: bool = False,
    temporaries: int = 120,
) -> Op:
    return elementwise(
        name,
        doc,
        evaluate=lambda xp, *xs: in_double(f(*xs), xs[0].dtype),
        vjp=vjp,
        samples=samples,
        formula=formula,
        commutative=commutative,
        cost=80,
        temporaries=temporaries,
    )


# --- error functions -----------------------------------------------------------------------------------------------------------------

erf = _special(
    "erf",
    "Error function, elementwise.",
    special_error.erf,
    [lambda ct, y, x: ct * (exp(-(x * x)) * (2 / ROOT_PI))],
    [(uniform(-2, 2),), (at(0.0, 3.0),)],
    "2 / sqrt(pi) * integral of e ** -t ** 2 from 0 to x",
)
erfc = _special(
    "erfc",
    "1 - erf(x) without cancellation, elementwise.",
    special_error.erfc,
    [lambda ct, y, x: ct * (exp(-(x * x)) * (-2 / ROOT_PI))],
    [(uniform(-2, 2),), (at(0.0, 3.0),)],
    "1 - erf(x)",
)
erfcx = _special(
    "erfcx",
    "exp(x ** 2) erfc(x), elementwise.",
    special_error.erfcx,
    # 2 x y - 2 / sqrt(pi), which cancels where x is large.
    [lambda ct, y, x: ct * (-2 * erfcx_integral(x, n=1))],
    [(uniform(-1.5, 3),), (at(20.0, 400.0),)],
    "e ** x ** 2 * erfc(x)",
)
erfcx_integral: Op = elementwise(
    "erfcx_integral",
    "The n-fold integral of erfc from x to infinity times exp(x ** 2), elementwise: the derivatives of erfcx without cancellation.",
    evaluate=lambda xp, x, *, n: in_double(special_error.erfcx_integral(n, x), x.dtype),
    attrs=(Attr("n", "int"),),
    settings=[(("n", n),) for n in (0, 1, 2)],
    vjp=[lambda ct, y, x: ct * (-2 * (y.attrs[0] + 1) * erfcx_integral(x, n=y.attrs[0] + 1))],
    samples=[(uniform(-1.5, 3),), (at(20.0, 400.0),)],
    formula="e ** x ** 2 * integral of (t - x) ** n / n! * 2 / sqrt(pi) * e ** -t ** 2 from x to infinity",
    cost=200,
    temporaries=120,
)
erfinv = _special(
    "erfinv",
    "Inverse of the error function, elementwise.",
    special_error.erfinv,
    [lambda ct, y, x: ct * (exp(y * y) * (ROOT_PI / 2))],
    [(uniform(-0.9, 0.9),)],
    "y with erf(y) = x",
)
erfcinv = _special(
    "erfcinv",
    "Inverse of erfc, elementwise.",
    special_error.erfcinv,
    [lambda ct, y, x: ct * (exp(y * y) * (-ROOT_PI / 2))],
    [(uniform(0.1, 1.9),)],
    "y with erfc(y) = x",
)
ndtr = _special(
    "ndtr",
    "Distribution function of the standard normal distribution, elementwise.",
    special_error.ndtr,
    [lambda ct, y, x: ct * (exp(-0.5 * (x * x)) * (1 / ROOT_TWO_PI))],
    [(uniform(-2, 2),)],
    "(1 + erf(x / sqrt(2))) / 2",
)
ndtri = _special(
    "ndtri",
    "Quantile of the standard normal distribution, elementwise.",
    special_error.ndtri,
    [lambda ct, y, x: ct * (exp(0.5 * (y * y)) * ROOT_TWO_PI)],
    [(uniform(0.05, 0.95),)],
    "y with ndtr(y) = x",
)
log_ndtr = _special(
    "log_ndtr",
    "Logarithm of the normal distribution function without underflow, elementwise.",
    special_error.log_ndtr,
    [lambda ct, y, x: ct * normal_hazard(x)],
    [(uniform(-3, 2),), (at(-40.0, 30.0),)],
    "ln(ndtr(x))",
)


def _hazard_slope(x: Value, y: Value) -> Value:
    """x + y for y the hazard at x; far below 0 the two cancel, and a ratio of scaled integrals of erfc says what is left."""
    z = x * -math.sqrt(0.5)
    return where(less(x, full_like(x, 0)), math.sqrt(2) * (erfcx_integral(z, n=1) / erfcx(z)), x + y)


normal_hazard: Op = _special(
    "normal_hazard",
    "The normal density over the normal distribution function, which is the derivative of log_ndtr, elementwise.",
    special_error.normal_hazard,
    [lambda ct, y, x: -ct * (y * _hazard_slope(x, y))],
    [(uniform(-3, 2),), (at(-40.0, 30.0),)],
    "e ** (-x ** 2 / 2) / sqrt(2 pi) / ndtr(x)",
)

# --- gamma functions -----------------------------------------------------------------------------------------------------------------


def digamma(x: Value) -> Value:
    return polygamma(x, n=0)


gammaln = _special(
    "gammaln",
    "Logarithm of the absolute value of the gamma function, elementwise.",
    special_gamma.gammaln,
    [lambda ct, y, x: ct * digamma(x)],
    [(uniform(0.3, 4),), (uniform(-0.8, -0.2),)],
    "ln |gamma(x)|",
)
gamma = _special(
    "gamma",
    "The gamma function, elementwise.",
    special_gamma.gamma,
    [lambda ct, y, x: ct * (y * digamma(x))],
    [(uniform(0.5, 4),), (uniform(-0.8, -0.2),)],
    "integral of t ** (x - 1) e ** -t from 0 to infinity",
)
polygamma: Op = elementwise(
    "polygamma",
    "The n-th derivative of digamma, the logarithmic derivative of the gamma function, elementwise.",
    evaluate=lambda xp, x, *, n: in_double(special_gamma.polygamma(n, x), x.dtype),
    attrs=(Attr("n", "int"),),
    settings=[(("n", n),) for n in (0, 1, 2)],
    vjp=[lambda ct, y, x: ct * polygamma(x, n=y.attrs[0] + 1)],
    samples=[(uniform(0.5, 4),), (uniform(-0.7, -0.3),)],
    formula="(d/dx) ** (n + 1) ln gamma(x)",
    cost=80,
    temporaries=96,
)
betaln = _special(
    "betaln",
    "Logarithm of the absolute value of the beta function, elementwise.",
    special_gamma.betaln,
    [
        lambda ct, y, a, b: ct * (digamma(a) - digamma(a + b)),
        lambda ct, y, a, b: ct * (digamma(b) - digamma(a + b)),
    ],
    [(uniform(0.5, 4), uniform(0.5, 4)), (uniform(0.5, 4), uniform(12, 20))],
    "ln |gamma(a) gamma(b) / gamma(a + b)|",
    commutative=True,
    temporaries=160,
)


def _density(a: Value, x: Value, order: int) -> Value:
    """The derivative by `a`, of an order, of x ** (a - 1) exp(-x) / gamma(a): by the recurrence of the derivatives of an exponential."""
    # x ** 0 is 1 at 0 too.
    made = [exp(OPS["xlogy"](a - 1, x) - x - gammaln(a))]
    slopes = [log(x) - digamma(a), *[-polygamma(a, n=k) for k in range(1, order)]]
    for k in range(1, order + 1):
        total = made[k - 1] * slopes[0]
        for i in range(1, k):
            total = total + math.comb(k - 1, i) * (made[k - 1 - i] * slopes[i])
        made.append(total)
    return made[order]


def _gammainc_vjp(op: Callable[[], Op], sense: float) -> Any:
    def vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
        a, x = y.operands
        order = y.attrs[0]
        result: list[Value | None] = [None, None]
        if cx.need[0]:
            result[0] = ct * op()(a, x, order=order + 1)
        if cx.need[1]:
            slope = ct * _density(a, x, order)
            result[1] = slope if sense > 0 else -slope
        return result

    return vjp


def _incomplete(name: str, doc: str, upper: bool, formula: str) -> Op:
    def evaluate(xp: Any, a: Any, x: Any, *, order: int) -> Any:
        return in_double(special_gamma.gammainc_derivative(a, x, order, upper), x.dtype)

    return elementwise(
        name,
        doc,
        evaluate=evaluate,
        attrs=(Attr("order", "int"),),
        settings=[(("order", n),) for n in (0, 1)],
        vjp=_gammainc_vjp((lambda: gammaincc) if upper else (lambda: gammainc), -1.0 if upper else 1.0),
        arity=2,
        samples=[(uniform(0.5, 3), uniform(0.3, 1)), (uniform(0.5, 2), uniform(3, 6)), (uniform(12, 15), uniform(9, 18))],
        formula=formula,
        cost=400,
        temporaries=240,
    )


gammainc = _incomplete(
    "gammainc",
    "Regularised lower incomplete gamma function of (a, x), or its derivative by a of an order, elementwise.",
    False,
    "integral of t ** (a - 1) e ** -t from 0 to x, over gamma(a)",
)
gammaincc = _incomplete(
    "gammaincc",
    "Regularised upper incomplete gamma function of (a, x), or its derivative by a of an order, elementwise.",
    True,
    "integral of t ** (a - 1) e ** -t from x to infinity, over gamma(a)",
)

# --- Bessel functions ----------------------------------------------------------------------------------------------------------------


def _bessel_mean(op: Op, n: int, x: Value) -> Value:
    """The derivative of I_n: (I_(n-1) + I_(n+1)) / 2, and I_1 for n = 0."""
    return op(x, v=1) if n == 0 else 0.5 * (op(x, v=n - 1) + op(x, v=n + 1))


def _bessel(name: str, doc: str, scaled: bool, vjp: Any, formula: str) -> Op:
    return elementwise(
        name,
        doc,
        evaluate=lambda xp, x, *, v: in_double(special_bessel.bessel(v, x, scaled), x.dtype),
        attrs=(Attr("v", "int"),),
        settings=[(("v", n),) for n in (0, 1, 2)],
        vjp=vjp,
        samples=[(uniform(0.2, 3),), (uniform(-12, -6),)],
        formula=formula,
        cost=80,
        temporaries=96,
    )


iv: Op = _bessel(
    "iv",
    "Modified Bessel function of the first kind of a whole order v, elementwise.",
    False,
    [lambda ct, y, x: ct * _bessel_mean(iv, y.attrs[0], x)],
    "I_v(x)",
)
ive: Op = _bessel(
    "ive",
    "exp(-|x|) times the modified Bessel function of the first kind of a whole order v, elementwise.",
    True,
    [lambda ct, y, x: ct * (_bessel_mean(ive, y.attrs[0], x) - sign(x) * y)],
    "e ** -|x| * I_v(x)",
)

