"""Exponential, sine and cosine integrals, Dawson's and Lambert's functions, the Hurwitz zeta function, Bessel functions J and K, as ops with all derivatives.

>>> from dfg.ops import get
>>> float(get("lambertw").evaluate(np, np.array(0.0), branch=0))
0.0
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dfg.ir import InferError, Value
from dfg.ops import special_integrals
from dfg.ops.base import OPS, Attr, Op, RuleContext, Sampler, elementwise, uniform
from dfg.ops.elementwise import exp
from dfg.ops.math import sinc
from dfg.ops.special_gamma import in_double
from dfg.ops.surface import Arg, Literal, Static, Surface, function, plain


def _special(name: str, doc: str, f: Any, vjp: Any, samples: Sequence[Sampler], formula: str, **words: Any) -> Op:
    return elementwise(
        name,
        doc,
        evaluate=lambda xp, x, **attrs: in_double(f(x, **attrs), x.dtype),
        vjp=vjp,
        arity=1,
        samples=[(s,) for s in samples],
        formula=formula,
        cost=200,
        temporaries=120,
        **words,
    )


expi = _special(
    "expi",
    "Exponential integral Ei, elementwise; -inf at 0.",
    special_integrals.expi,
    [lambda ct, y, x: ct * (exp(x) / x)],
    [uniform(0.3, 4), uniform(-4, -0.3)],
    "integral of e ** t / t from -infinity to x",
)
exp1 = _special(
    "exp1",
    "Exponential integral E1, elementwise; NaN below 0.",
    special_integrals.exp1,
    [lambda ct, y, x: ct * (-exp(-x) / x)],
    [uniform(0.3, 4)],
    "integral of e ** -t / t from x to infinity",
)
sine_integral = _special(
    "sine_integral",
    "Sine integral, elementwise.",
    lambda x: special_integrals.sici(x)[0],
    [lambda ct, y, x: ct * sinc(x * (1 / np.pi), order=0)],
    [uniform(-3, 3), uniform(5, 9)],
    "integral of sin(t) / t from 0 to x",
)
cosine_integral = _special(
    "cosine_integral",
    "Cosine integral, elementwise; -inf at 0, NaN below.",
    lambda x: special_integrals.sici(x)[1],
    [lambda ct, y, x: ct * (OPS["cos"](x) / x)],
    [uniform(0.3, 3), uniform(5, 9)],
    "-integral of cos(t) / t from x to infinity",
)
dawsn = _special(
    "dawsn",
    "Dawson's integral, elementwise.",
    special_integrals.dawsn,
    [lambda ct, y, x: ct * (1 - 2 * x * y)],
    [uniform(-3, 3)],
    "e ** -x ** 2 * integral of e ** t ** 2 from 0 to x",
)
lambertw = _special(
    "lambertw",
    "The real w with w e ** w = x, elementwise: of branch 0 at least -1, of branch -1 at most -1; NaN where there is none.",
    special_integrals.lambertw,
    # exp(-w) / (1 + w) holds at 0 too, where w / (x (1 + w)) is 0 / 0.
    [lambda ct, y, x: ct * (exp(-y) / (1 + y))],
    [uniform(-0.3, -0.1)],
    "w with w e ** w = x",
    attrs=(Attr("branch", "int"),),
    settings=[(("branch", b),) for b in (0, -1)],
)


def _zeta_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    x, q = y.operands
    k = y.attrs[0]
    by_q: Value | None = None
    if cx.need[1]:
        # d/dq zeta(x, q) = -x zeta(x + 1, q), differentiated k times by x.
        by_q = -x * zeta(x + 1, q, order=k)
        if k:
            by_q = by_q - k * zeta(x + 1, q, order=k - 1)
    return [ct * zeta(x, q, order=k + 1) if cx.need[0] else None, ct * by_q if by_q is not None else None]


zeta = elementwise(
    "zeta",
    "Hurwitz zeta function of (x, q), or its derivative by x of an order, for x > 1 and q > 0, elementwise; NaN outside, inf at x = 1 and at q = 0.",
    evaluate=lambda xp, x, q, *, order: in_double(special_integrals.zeta_derivative(x, q, order), x.dtype),
    attrs=(Attr("order", "int"),),
    settings=[(("order", k),) for k in (0, 1)],
    vjp=_zeta_vjp,
    arity=2,
    samples=[(uniform(1.5, 5), uniform(0.5, 4))],
    formula="sum of (k + q) ** -x over k from 0",
    cost=500,
    temporaries=200,
)


def _jn_slope(n: int, x: Value) -> Value:
    return -jn(x, n=1) if n == 0 else 0.5 * (jn(x, n=n - 1) - jn(x, n=n + 1))


def _kn_mean(op: Op, n: int, x: Value) -> Value:
    return op(x, n=1) if n == 0 else 0.5 * (op(x, n=n - 1) + op(x, n=n + 1))


_ORDERS: dict[str, Any] = {"attrs": (Attr("n", "int"),), "settings": [(("n", n),) for n in (0, 1, 2)]}
jn: Op = _special(
    "jn",
    "Bessel function of the first kind of a whole order n, elementwise.",
    lambda x, *, n: special_integrals.jn(n, x),
    [lambda ct, y, x: ct * _jn_slope(y.attrs[0], x)],
    [uniform(0.2, 6), uniform(-30, -26)],
    "J_n(x)",
    **_ORDERS,
)
kn: Op = _special(
    "kn",
    "Modified Bessel function of the second kind of a whole order n, elementwise; inf at 0, NaN below.",
    lambda x, *, n: special_integrals.kn(n, x, False),
    [lambda ct, y, x: -ct * _kn_mean(kn, y.attrs[0], x)],
    [uniform(0.5, 3)],
    "K_n(x)",
    **_ORDERS,
)
kne: Op = _special(
    "kne",
    "e ** x times the modified Bessel function of the second kind of a whole order n, elementwise; inf at 0, NaN below.",
    lambda x, *, n: special_integrals.kn(n, x, True),
    [lambda ct, y, x: ct * (y - _kn_mean(kne, y.attrs[0], x))],
    [uniform(0.5, 3)],
    "e ** x * K_n(x)",
    **_ORDERS,
)

# --- surface functions -----------------------------------------------------------------------------------------------------------------


def _floating(cx: Surface, x: Arg, name: str) -> Value:
    (v,) = cx.promote((x,), name, floating=True)
    return v


def _declare(name: str, op: Op, attrs: dict[str, Any], doc: str) -> None:
    def f(cx: Surface, x: Arg) -> Value:
        return op(_floating(cx, x, name), **attrs)

    f.__doc__ = doc
    function(name, elementwise=True)(f)


for _op in (expi, exp1, dawsn):
    _declare(_op.name, _op, {}, _op.doc)
for _word, _op, _doc in (
    ("j", jn, "Bessel function of the first kind of order {}, elementwise."),
    ("k", kn, "Modified Bessel function of the second kind of order {}, elementwise."),
):
    for _n in (0, 1):
        _declare(f"{_word}{_n}", _op, {"n": _n}, _doc.format(_n))
for _n in (0, 1):
    _declare(f"k{_n}e", kne, {"n": _n}, f"e ** x times the modified Bessel function of the second kind of order {_n}, elementwise.")


def _declare_order(name: str, op: Op) -> None:
    def f(cx: Surface, n: Static, x: Arg) -> Value:
        order = plain(n)
        if isinstance(order, float) and order.is_integer():
            order = int(order)
        if isinstance(order, bool) or not isinstance(order, int) or order < 0:
            raise InferError("bad-argument", f"`{name}` takes a whole number of at least 0, known while compiling, as `n`", [("n", "this one")])
        return op(_floating(cx, x, name), n=order)

    f.__doc__ = op.doc
    function(name)(f)


_declare_order("jn", jn)
_declare_order("kn", kn)
_declare_order("kne", kne)


@function("sici")
def sici(cx: Surface, x: Arg) -> tuple[Value, Value]:
    """The sine and the cosine integral, elementwise: `si, ci = sici(x)`."""
    v = _floating(cx, x, "sici")
    return sine_integral(v), cosine_integral(v)


@function("lambertw", elementwise=True)
def lambertw_(cx: Surface, x: Arg, k: Static = 0) -> Value:
    """The real w with w e ** w = x, elementwise: of branch k = 0 at least -1, of branch -1 at most -1; NaN where there is none."""
    branch = plain(k)
    if branch not in (0, -1) or isinstance(branch, bool):
        raise InferError("bad-argument", "`lambertw` is real on the branches 0 and -1", [("k", "this one")])
    return lambertw(_floating(cx, x, "lambertw"), branch=int(branch))


@function("zeta")
def zeta_(cx: Surface, x: Arg, q: Arg = Literal("int", 1), order: Static = 0) -> Value:
    """Hurwitz zeta function of (x, q), Riemann's for q = 1, or its derivative by x of an order, for x > 1 and q > 0, elementwise."""
    k = plain(order)
    if isinstance(k, bool) or not isinstance(k, int) or k < 0:
        raise InferError("bad-argument", "`zeta` takes a whole number of at least 0, known while compiling, as `order`", [("order", "this one")])
    return zeta(*cx.broadcast(cx.promote((x, q), "zeta", floating=True), "zeta"), order=k)
