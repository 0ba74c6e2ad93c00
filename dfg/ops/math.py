"""Elementwise mathematics beyond arithmetic: the primitives that have a NumPy function of their own, or a rule that a composition could not state.

What can be written with these without loss of accuracy, speed or meaning at kinks is a surface function (`dfg.ops.functions`), not an op.

>>> from dfg.ops import get
>>> get("hypot").formula
'sqrt(x ** 2 + y ** 2)'
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from dfg.ir import Value
from dfg.ops.base import OPS, Attr, NoGradient, Op, RuleContext, at, elementwise, full_like, unary, uniform
from dfg.ops.elementwise import DISCRETE, PIECEWISE, equal, exp, log, sqrt, where
from dfg.types import BOOL, INTEGRAL, NUMERIC

LN2: Final = math.log(2.0)


def _zeros(v: Value) -> Value:
    return full_like(v, 0)


# --- magnitude and sign ------------------------------------------------------------------------------------------------------------


def _abs_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    x = y.operands[0]
    if cx.kinks == "jax":
        return [where(x >= 0, ct, -ct)]
    return [ct * sign(x)]


sign = unary(
    "sign",
    "-1, 0 or 1 by the sign of x, elementwise; NaN of NaN.",
    ufunc="sign",
    dtypes=NUMERIC,
    vjp=PIECEWISE,
    samples=[uniform(-2, 2), at(0.0, -0.0, np.inf, np.nan)],
    formula="x / |x|",
)
abs_op = elementwise(
    "abs",
    "Absolute value, elementwise. Its gradient at 0 is 0.",
    ufunc="absolute",
    dtypes=NUMERIC,
    vjp=_abs_vjp,
    arity=1,
    samples=[(uniform(0.1, 2),), (uniform(-2, -0.1),)],
    formula="|x|",
)


def _copysign(ct: Value, y: Value, a: Value, b: Value) -> Value:
    return ct * (sign(a) * copysign(full_like(a, 1), b))


copysign = elementwise(
    "copysign",
    "The magnitude of x with the sign of y, elementwise; the signs of zeros and NaN count.",
    ufunc="copysign",
    vjp=[_copysign, None],
    wrt=(0,),
    samples=[(uniform(0.1, 2), uniform(-2, -0.1)), (uniform(-2, -0.1), uniform(-2, -0.1))],
    formula="|x| sign(y)",
)
signbit = unary(
    "signbit",
    "Whether the sign bit of x is set, elementwise: true of -0.0.",
    ufunc="signbit",
    result=BOOL,
    vjp=DISCRETE,
    samples=[uniform(-1, 1), at(0.0, -0.0)],
)
isfinite = unary(
    "isfinite",
    "Whether x is neither infinite nor NaN, elementwise.",
    ufunc="isfinite",
    result=BOOL,
    vjp=DISCRETE,
    samples=[uniform(-1, 1), at(np.nan, np.inf, 0.0)],
)
isinf = unary(
    "isinf", "Whether x is infinite, elementwise.", ufunc="isinf", result=BOOL, vjp=DISCRETE, samples=[uniform(-1, 1), at(np.nan, -np.inf)]
)

# --- rounding ----------------------------------------------------------------------------------------------------------------------


def _rounding(name: str, ufunc: str, doc: str, formula: str) -> Op:
    return unary(name, doc, ufunc=ufunc, vjp=PIECEWISE, samples=[uniform(-3, 3), at(0.5, 1.5, -0.5, np.inf)], formula=formula)


floor = _rounding("floor", "floor", "The largest whole number that is not above x, elementwise.", "floor(x)")
ceil = _rounding("ceil", "ceil", "The smallest whole number that is not below x, elementwise.", "ceil(x)")
trunc = _rounding("trunc", "trunc", "x without its fraction, elementwise.", "trunc(x)")
round_op = _rounding("round", "rint", "The nearest whole number, elementwise; halves go to the even one.", "round(x)")
fmod = elementwise(
    "fmod",
    "Remainder of division towards zero, with the sign of x, elementwise. Integers: the remainder by 0 is 0.",
    ufunc="fmod",
    dtypes=NUMERIC,
    vjp=[lambda ct, y, a, b: ct, lambda ct, y, a, b: -ct * trunc(a / b)],
    linear=(True, False),
    samples=[(uniform(0.1, 0.9), uniform(1, 2)), (uniform(-2.4, -2.1), uniform(1.5, 2))],
    formula="x - trunc(x / y) * y",
    cost=4,
)
nextafter = elementwise(
    "nextafter",
    "The next floating number after x towards y, elementwise.",
    ufunc="nextafter",
    vjp=NoGradient("it differs from x by a rounding"),
    arity=2,
    samples=[(uniform(-1, 1), uniform(-1, 1))],
)

# --- exponentials and logarithms -----------------------------------------------------------------------------------------------------

exp2 = unary(
    "exp2", "2 to the power x, elementwise.", ufunc="exp2", vjp=lambda ct, y, x: ct * (y * LN2), samples=[uniform(-2, 2)], formula="2 ** x", cost=10
)
expm1 = unary(
    "expm1",
    "exp(x) - 1 without cancellation near 0, elementwise.",
    ufunc="expm1",
    vjp=lambda ct, y, x: ct * exp(x),
    samples=[uniform(-2, 2), at(0.0, 1e-9)],
    formula="e ** x - 1",
    cost=12,
)
log2 = unary(
    "log2", "Logarithm to base 2, elementwise.", ufunc="log2", vjp=lambda ct, y, x: ct / (x * LN2), samples=[uniform(0.3, 3)], formula="log2(x)", cost=10
)
log10 = unary(
    "log10",
    "Logarithm to base 10, elementwise.",
    ufunc="log10",
    vjp=lambda ct, y, x: ct / (x * math.log(10.0)),
    samples=[uniform(0.3, 3)],
    formula="log10(x)",
    cost=10,
)
log1p = unary(
    "log1p",
    "log(1 + x) without cancellation near 0, elementwise.",
    ufunc="log1p",
    vjp=lambda ct, y, x: ct / (1 + x),
    samples=[uniform(-0.5, 3), at(0.0, 1e-9)],
    formula="ln(1 + x)",
    cost=12,
)


def _share(a: Value, b: Value, y: Value, scale: float, kinks: str) -> Value:
    """exp(a - y) for y = log(exp(a) + exp(b)): the logistic function of the difference, also of infinite operands."""
    difference = a - b
    if kinks != "dfg":
        return sigmoid(difference * scale if scale != 1 else difference)
    level = equal(a, b) & isinf(a)
    difference = where(level, _zeros(a), difference)
    made = sigmoid(difference * scale if scale != 1 else difference)
    return where(equal(y, full_like(y, -np.inf)), _zeros(y), made)


def _logaddexp(scale: float) -> Any:
    def vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
        a, b = y.operands
        return [
            ct * _share(a, b, y, scale, cx.kinks) if cx.need[0] else None,
            ct * _share(b, a, y, scale, cx.kinks) if cx.need[1] else None,
        ]

    return vjp


logaddexp = elementwise(
    "logaddexp",
    "log(exp(x) + exp(y)) without overflow, elementwise.",
    ufunc="logaddexp",
    vjp=_logaddexp(1.0),
    arity=2,
    commutative=True,
    samples=[(uniform(-2, 2), uniform(-2, 2)), (at(1.0, -3.0), at(1.0, -3.0))],
    formula="ln(e ** x + e ** y)",
    cost=25,
)
logaddexp2 = elementwise(
    "logaddexp2",
    "log2(2 ** x + 2 ** y) without overflow, elementwise.",
    ufunc="logaddexp2",
    vjp=_logaddexp(LN2),
    arity=2,
    commutative=True,
    samples=[(uniform(-2, 2), uniform(-2, 2))],
    formula="log2(2 ** x + 2 ** y)",
    cost=25,
)

def _logistic(xp: Any, x: Any) -> Any:
    """By e ** x, not its reciprocal: that overflows where the result is subnormal. From 40 on the result is 1."""
    e = xp.exp(xp.minimum(x, 40))
    return e / (e + 1)


sigmoid = unary(
    "sigmoid",
    "The logistic function, elementwise.",
    evaluate=lambda xp, x: _logistic(xp, x),
    scalar=lambda s, x: _logistic(s, x),
    into=lambda out, x: [f"np.minimum({x}, 40, out={out})", f"np.exp({out}, {out})", f"np.divide({out}, {out} + 1, {out})"],
    shares=(0,),
    temporaries=8,
    vjp=lambda ct, y, x: ct * (y * (1 - y)),
    samples=[uniform(-3, 3), at(0.0, 20.0, -20.0)],
    formula="1 / (1 + e ** -x)",
    cost=14,
)
softplus = unary(
    "softplus",
    "log(1 + exp(x)) without overflow, elementwise.",
    evaluate=lambda xp, x: xp.logaddexp(x, 0),
    scalar=lambda s, x: s.logaddexp(x, 0),
    into="np.logaddexp({0}, 0, {out})",
    vjp=lambda ct, y, x: ct * sigmoid(x),
    samples=[uniform(-3, 3), at(0.0, 30.0, -30.0)],
    formula="ln(1 + e ** x)",
    cost=25,
)


def _xlogy(xp: Any, x: Any, y: Any) -> Any:
    return xp.where((x == 0) & ~xp.isnan(y), 0, x * xp.log(xp.where((x == 0) & ~xp.isnan(y), 1, y))).astype(x.dtype, copy=False)


def _xlog1py(xp: Any, x: Any, y: Any) -> Any:
    return xp.where((x == 0) & ~xp.isnan(y), 0, x * xp.log1p(xp.where((x == 0) & ~xp.isnan(y), 0, y))).astype(x.dtype, copy=False)


def _xlog_vjp(shift: float) -> Any:
    """d/dx is the logarithm; d/dy is x / (shift + y), and 0 where x is 0."""

    def vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
        a, b = y.operands
        result: list[Value | None] = [None, None]
        if cx.need[0]:
            result[0] = ct * (log1p(b) if shift else log(b))
        if cx.need[1]:
            slope = a / (shift + b) if shift else a / b
            if not shift and cx.kinks == "dfg" and (a is b or (a.op.name == "negative" and a.operands[0] is b)):
                # d/dy of the outer place of x log(x), also where x is 0 or infinite: the other place has the singular part.
                result[1] = ct if a is b else -ct
                return result
            result[1] = ct * (slope if cx.kinks != "dfg" else where(equal(a, _zeros(a)), _zeros(a), slope))
        return result

    return vjp


xlogy = elementwise(
    "xlogy",
    "x log(y), and 0 where x is 0 whatever y is (but NaN), elementwise.",
    evaluate=_xlogy,
    vjp=_xlog_vjp(0.0),
    arity=2,
    samples=[(uniform(0.2, 2), uniform(0.2, 2)), (uniform(-2, -0.2), uniform(0.2, 2)), (at(0.0, 0.0, 0.0, order=0), at(0.0, np.inf, np.nan))],
    formula="x ln(y)",
    cost=12,
    temporaries=40,
)
xlog1py = elementwise(
    "xlog1py",
    "x log(1 + y), and 0 where x is 0 whatever y is (but NaN), elementwise.",
    evaluate=_xlog1py,
    vjp=_xlog_vjp(1.0),
    arity=2,
    samples=[(uniform(0.2, 2), uniform(-0.5, 2)), (at(0.0, 0.0, order=0), at(-1.0, np.nan))],
    formula="x ln(1 + y)",
    cost=14,
    temporaries=40,
)

# --- trigonometric and hyperbolic ----------------------------------------------------------------------------------------------------


def _curve(name: str, ufunc: str, doc: str, formula: str, low: float, high: float, vjp: Any, cost: int = 15) -> Op:
    return unary(name, doc, ufunc=ufunc, vjp=vjp, samples=[uniform(low, high)], formula=formula, cost=cost)


tan = _curve("tan", "tan", "Tangent, elementwise; x in radians.", "tan(x)", -1.2, 1.2, lambda ct, y, x: ct * (1 + y * y))
asin = _curve("asin", "arcsin", "Inverse sine, elementwise.", "arcsin(x)", -0.8, 0.8, lambda ct, y, x: ct / sqrt((1 - x) * (1 + x)))
acos = _curve("acos", "arccos", "Inverse cosine, elementwise.", "arccos(x)", -0.8, 0.8, lambda ct, y, x: -ct / sqrt((1 - x) * (1 + x)))
atan = _curve("atan", "arctan", "Inverse tangent, elementwise.", "arctan(x)", -2, 2, lambda ct, y, x: ct / (1 + x * x))
sinh = _curve("sinh", "sinh", "Hyperbolic sine, elementwise.", "sinh(x)", -2, 2, lambda ct, y, x: ct * cosh(x))
cosh: Op = _curve("cosh", "cosh", "Hyperbolic cosine, elementwise.", "cosh(x)", -2, 2, lambda ct, y, x: ct * sinh(x))
asinh = _curve(
    "asinh", "arcsinh", "Inverse hyperbolic sine, elementwise.", "arcsinh(x)", -2, 2, lambda ct, y, x: ct / hypot(x, full_like(x, 1))
)
acosh = _curve(
    "acosh", "arccosh", "Inverse hyperbolic cosine, elementwise.", "arccosh(x)", 1.3, 3, lambda ct, y, x: ct / (sqrt(x - 1) * sqrt(x + 1))
)
atanh = _curve(
    "atanh", "arctanh", "Inverse hyperbolic tangent, elementwise.", "arctanh(x)", -0.8, 0.8, lambda ct, y, x: ct / ((1 - x) * (1 + x))
)


def _unit(part: Value, length: Value) -> Value:
    """part / length, and 0 where the length is 0: the smallest-norm subgradient of a length."""
    zero = _zeros(length)
    return where(equal(length, zero), zero, part / length)


def _hypot_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    return [ct * (_unit(o, y) if cx.kinks == "dfg" else o / y) if cx.need[k] else None for k, o in enumerate(y.operands)]


hypot: Op = elementwise(
    "hypot",
    "Length of the vector (x, y) without overflow, elementwise. Its gradient at (0, 0) is 0.",
    ufunc="hypot",
    vjp=_hypot_vjp,
    arity=2,
    commutative=True,
    samples=[(uniform(0.2, 2), uniform(-2, -0.2)), (uniform(-2, 2), uniform(0.5, 2))],
    formula="sqrt(x ** 2 + y ** 2)",
    cost=8,
)


def _atan2_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    a, b = y.operands
    length = hypot(a, b)
    return [ct * (b / length / length) if cx.need[0] else None, -ct * (a / length / length) if cx.need[1] else None]


atan2 = elementwise(
    "atan2",
    "Angle of the point (y, x) with the first axis, elementwise. Its gradient at (0, 0) is NaN.",
    ufunc="arctan2",
    vjp=_atan2_vjp,
    arity=2,
    samples=[(uniform(-2, 2), uniform(0.5, 2)), (uniform(0.5, 2), uniform(-2, -0.5))],
    formula="angle of (y, x)",
    cost=20,
)


def _sinc(xp: Any, x: Any, *, order: int) -> Any:
    """The derivative of sin(pi x) / (pi x): by its power series near 0, else by f_n = ((d/dz)^n sin z - n f_(n-1)) / z."""
    if order == 0:
        return xp.asarray(xp.sinc(x)).astype(x.dtype, copy=False)
    z = np.pi * xp.asarray(x, dtype=np.float64)
    near = xp.abs(z) < max(1.0, float(order))
    w = xp.where(near, z, 0.0)
    series = xp.zeros_like(w)
    for k in range((order + 1) // 2 + 24 + order, (order + 1) // 2 - 1, -1):
        m = 2 * k - order
        series = series + (-1) ** k * w**m / (math.factorial(m) * (2 * k + 1))
    far = xp.where(near, 1.0, z)
    f = xp.sin(far) / far
    for n in range(1, order + 1):
        f = (xp.sin(far + n * (np.pi / 2)) - n * f) / far
    return xp.asarray(np.pi**order * xp.where(near, series, f)).astype(x.dtype, copy=False)


sinc: Op = elementwise(
    "sinc",
    "sin(pi x) / (pi x), 1 at 0, or its derivative of an order, elementwise.",
    evaluate=_sinc,
    attrs=(Attr("order", "int"),),
    settings=[(("order", n),) for n in (0, 1, 3)],
    vjp=lambda cx, ct, y: [ct * sinc(y.operands[0], order=y.attrs[0] + 1)],
    arity=1,
    samples=[(uniform(-2, 2),), (at(0.0, 1e-6),)],
    formula="sin(pi x) / (pi x)",
    cost=20,
    temporaries=72,
)

cbrt = _curve("cbrt", "cbrt", "Cube root, elementwise.", "x ** (1 / 3)", 0.3, 3, lambda ct, y, x: ct / (3 * (y * y)))

# --- clipping ------------------------------------------------------------------------------------------------------------------------


def _clip_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    x, lo, hi = y.operands
    zero = _zeros(ct)
    below, over = x < lo, x > hi
    result: list[Value | None] = [None, None, None]
    if cx.need[0]:
        outside = (x <= lo) | (x >= hi) if cx.kinks == "dfg" else below | over
        inside = where(outside, zero, ct)
        if cx.kinks == "jax":
            inside = where(equal(x, lo) | equal(x, hi), 0.5 * inside, inside)
        result[0] = inside
    if cx.need[1]:
        result[1] = where(below & (lo <= hi), ct, zero)
    if cx.need[2]:
        result[2] = where(OPS["maximum"](x, lo) > hi, ct, zero)
    return result


clip = elementwise(
    "clip",
    "x raised to the lower bound and lowered to the upper one, elementwise. At a bound the gradient is 0.",
    evaluate=lambda xp, x, lo, hi: xp.minimum(xp.maximum(x, lo), hi),
    scalar=lambda s, x, lo, hi: s.minimum(s.maximum(x, lo), hi),
    into="np.clip({0}, {1}, {2}, {out})",
    dtypes=NUMERIC,
    vjp=_clip_vjp,
    arity=3,
    linear=(True, True, True),
    samples=[
        (uniform(-0.9, 0.9), uniform(-2, -1), uniform(1, 2)),
        (uniform(-3, -2.1), uniform(-2, -1), uniform(1, 2)),
        (uniform(2.1, 3), uniform(-2, -1), uniform(1, 2)),
        (uniform(-1, 1), uniform(1.1, 2), uniform(-3, -2)),
    ],
    formula="min(max(x, lo), hi)",
)
relu = unary(
    "relu",
    "x where it is positive, else 0, elementwise. Its gradient at 0 is 0.",
    evaluate=lambda xp, x: xp.maximum(x, 0),
    scalar=lambda s, x: s.maximum(x, 0),
    into="np.maximum({0}, 0, out={out})",
    vjp=lambda ct, y, x: where(x <= 0, _zeros(ct), ct),
    linear=True,
    samples=[uniform(0.1, 2), uniform(-2, -0.1), at(0.0, order=0)],
    formula="max(x, 0)",
)

# --- bits ----------------------------------------------------------------------------------------------------------------------------


def _bits(name: str, ufunc: str, doc: str, formula: str, arity: int = 2, commutative: bool = False) -> Op:
    return elementwise(
        name,
        doc,
        ufunc=ufunc,
        dtypes=INTEGRAL,
        vjp=DISCRETE,
        arity=arity,
        commutative=commutative,
        samples=[(uniform(-9, 9), uniform(0, 9))[:arity]],
        formula=formula,
    )


bitwise_and = _bits("bitwise_and", "bitwise_and", "Bits that are set in both, elementwise.", "x & y", commutative=True)
bitwise_or = _bits("bitwise_or", "bitwise_or", "Bits that are set in either, elementwise.", "x | y", commutative=True)
bitwise_xor = _bits("bitwise_xor", "bitwise_xor", "Bits that are set in one of both, elementwise.", "x xor y", commutative=True)
bitwise_invert = _bits("bitwise_invert", "invert", "All bits turned, elementwise.", "not x", arity=1)
bitwise_left_shift = _bits("bitwise_left_shift", "left_shift", "Bits moved up by y places, elementwise.", "x * 2 ** y")
bitwise_right_shift = _bits("bitwise_right_shift", "right_shift", "Bits moved down by y places, elementwise.", "floor(x / 2 ** y)")
gcd = _bits("gcd", "gcd", "Greatest common divisor, elementwise.", "gcd(x, y)", commutative=True)
lcm = _bits("lcm", "lcm", "Least common multiple, elementwise.", "lcm(x, y)", commutative=True)
