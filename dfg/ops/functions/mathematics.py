"""Elementwise mathematics: the functions of one primitive, and those that are a formula of others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.functions.common import declare_binary, declare_unary
from dfg.ops.functions.expr import Expr
from dfg.ops.surface import Arg, Args, Literal, OptionalArg, Static, Surface, function, plain
from dfg.types import BOOL

_UNARY = "exp2 expm1 log2 log10 log1p tan sinh cosh"
for _name in _UNARY.split():
    declare_unary(_name, fold=getattr(np, _name))
for _name, _long in (("asin", "arcsin"), ("acos", "arccos"), ("atan", "arctan"), ("asinh", "arcsinh"), ("acosh", "arccosh"), ("atanh", "arctanh")):
    declare_unary(_name, _long, fold=getattr(np, _long))
declare_unary("sigmoid", "expit")
for _name, _aliases in (("atan2", ("arctan2",)), ("hypot", ()), ("copysign", ()), ("logaddexp", ()), ("logaddexp2", ()), ("nextafter", ())):
    declare_binary(_name, *_aliases, floating=True, fold=getattr(np, _aliases[0] if _aliases else _name))
declare_binary("fmod", fold=np.fmod, default="convert it first: `i64(…)`")
declare_unary("cbrt")
declare_binary("gcd")
declare_binary("lcm")
declare_binary("xlogy", floating=True)
declare_binary("xlog1py", floating=True)


def _numeric(cx: Surface, x: Arg, name: str) -> Value:
    v = cx.value(x)
    if v.dtype is BOOL:
        raise InferError("wrong-dtype", f"`{name}` takes numbers, not bool", [("x", "this is bool")], help="convert it first: `i64(…)`")
    return v


@function("abs", "absolute", fold=np.abs)
def abs_(cx: Surface, x: Arg) -> Value:
    """Absolute value, elementwise. Its gradient at 0 is 0."""
    return OPS["abs"](_numeric(cx, x, "abs"))


@function("sign", fold=np.sign)
def sign(cx: Surface, x: Arg) -> Value:
    """-1, 0 or 1 by the sign of x, elementwise; NaN of NaN."""
    return OPS["sign"](_numeric(cx, x, "sign"))


def _declare_rounding(name: str, fold: Any) -> None:
    def f(cx: Surface, x: Arg) -> Value:
        v = _numeric(cx, x, name)
        return OPS[name](v) if v.dtype.floating else v

    f.__doc__ = OPS[name].doc
    function(name, fold=fold)(f)


_declare_rounding("floor", np.floor)
_declare_rounding("ceil", np.ceil)
_declare_rounding("trunc", np.trunc)


MOST_DECIMALS = 300
"""Ten to a higher power is no floating-point number."""


@function("round", elementwise=True)
def round_(cx: Surface, x: Arg, decimals: Static = 0) -> Value:
    """The nearest number with so many decimals, elementwise; halves go to the even one."""
    v = _numeric(cx, x, "round")
    places = plain(decimals)
    if isinstance(places, bool) or not isinstance(places, int):
        raise InferError("bad-argument", "`round` takes a whole number as `decimals`", [("decimals", "this one")])
    if abs(places) > MOST_DECIMALS:
        raise InferError("bad-argument", f"`round` takes `decimals` from -{MOST_DECIMALS} to {MOST_DECIMALS}, not {places}", [("decimals", "this one")])
    if not v.dtype.floating:
        if places >= 0:
            return v
        scale = cx.literal(Literal("int", 10**-places), v.dtype)
        down = Expr(cx, v).call("astype", cx.default_float) / float(10**-places)
        return OPS["multiply"](down.call("round").call("astype", v.dtype).v, cx.stretch(scale, v.shape))
    if places == 0:
        return OPS["round"](v)
    scaled = Expr(cx, v)
    # As NumPy: up, to a whole number, down; the other way round for negative places.
    return ((scaled * 10.0**places).call("round") / 10.0**places).v if places > 0 else ((scaled / 10.0**-places).call("round") * 10.0**-places).v


@function("sinc", elementwise=True)
def sinc(cx: Surface, x: Arg, order: Static = 0) -> Value:
    """sin(pi x) / (pi x), 1 at 0, or its derivative of an order, elementwise."""
    (e,) = Expr.floating(cx, x, name="sinc")
    return OPS["sinc"](e.v, order=whole_order(order, "sinc", "order"))


MOST_ORDER = 1000
"""An order is a number of terms, or of steps of a recurrence, that are written out."""


def whole_order(n: Any, name: str, argument: str, least: int = 0) -> int:
    """A static whole number that is not below `least`."""
    k = plain(n)
    if isinstance(k, float) and k.is_integer():
        k = int(k)
    if isinstance(k, bool) or not isinstance(k, int) or k < least:
        raise InferError("bad-argument", f"`{name}` takes a whole number from {least} as `{argument}`", [(argument, "this one")])
    if k > MOST_ORDER:
        raise InferError("bad-argument", f"`{name}` takes at most {MOST_ORDER:,} as `{argument}`, not {k}", [(argument, "this one")])
    return k


# --- what kind of number -----------------------------------------------------------------------------------------------------------


def _declare_test(name: str, of_integers: bool) -> None:
    def f(cx: Surface, x: Arg) -> Value:
        v = cx.value(x)
        if v.dtype.floating:
            return OPS[name](v)
        return cx.full(v.shape, Literal("bool", of_integers), BOOL)

    f.__doc__ = OPS[name].doc
    function(name, elementwise=True)(f)


_declare_test("isnan", False)
_declare_test("isinf", False)
_declare_test("isfinite", True)


@function("signbit", elementwise=True)
def signbit(cx: Surface, x: Arg) -> Value:
    """Whether the sign bit of x is set, elementwise: true of -0.0."""
    v = _numeric(cx, x, "signbit")
    return OPS["signbit"](v) if v.dtype.floating else (Expr(cx, v) < 0).v


# --- compositions --------------------------------------------------------------------------------------------------------------------


@function("clip", "clamp", elementwise=True)
def clip(cx: Surface, x: Arg, min: OptionalArg = None, max: OptionalArg = None) -> Value:
    """x raised to `min` and lowered to `max`, elementwise and broadcast; a bound may be left out. At a bound the gradient is 0."""
    v = _numeric(cx, x, "clip")
    if min is None and max is None:
        return v
    (v, *bounds) = cx.promote([v, *[b for b in (min, max) if b is not None]], "clip")
    if v.dtype.floating:
        low, high = -math.inf, math.inf
    else:
        low, high = int(np.iinfo(v.dtype.np).min), int(np.iinfo(v.dtype.np).max)
    lo = bounds[0] if min is not None else cx.literal(Literal.of(low), v.dtype)
    hi = bounds[-1] if max is not None else cx.literal(Literal.of(high), v.dtype)
    return OPS["clip"](*cx.broadcast((v, lo, hi), "clip"))


@function("select")
def select(cx: Surface, conditions: Args, choices: Args, default: Arg = 0) -> Value:
    """Of the first condition that holds the choice, else `default`, elementwise."""
    if len(conditions) != len(choices) or not conditions:
        raise InferError("bad-argument", "`select` takes a choice for each condition", [("choices", "this list")])
    result = Expr(cx, default)
    for c, v in reversed(list(zip(conditions, choices, strict=True))):
        result = Expr(cx, c).where(v, result)
    return result.v


# --- logic and bits ------------------------------------------------------------------------------------------------------------------


@function("logical_xor", fold=np.logical_xor)
def logical_xor(cx: Surface, x: Arg, y: Arg) -> Value:
    """Whether one of two holds and not both, elementwise."""
    for v, argument in ((cx.value(x), "x"), (cx.value(y), "y")):
        if v.dtype is not BOOL:
            raise InferError("wrong-dtype", f"`xor` takes bool, not {v.dtype}", [(argument, f"this is {v.type}")], help="compare it: `x != 0`")
    return cx.elementwise("not_equal", (x, y))


def _declare_bits(name: str, logical: str | None, fold: Any, *aliases: str) -> None:
    def f(cx: Surface, x: Arg, y: Arg) -> Value:
        dtype = cx.join((x, y))
        if dtype is BOOL and logical is not None:
            return cx.elementwise(logical, (x, y))
        return cx.elementwise(name, (x, y))

    f.__doc__ = OPS[name].doc + (" Of bool, the logical function." if logical else "")
    function(name, *aliases, fold=fold)(f)


_declare_bits("bitwise_and", "logical_and", lambda a, b: np.bitwise_and(a, b))
_declare_bits("bitwise_or", "logical_or", lambda a, b: np.bitwise_or(a, b))
_declare_bits("bitwise_xor", "not_equal", lambda a, b: np.bitwise_xor(a, b))
_declare_bits("bitwise_left_shift", None, lambda a, b: np.left_shift(a, b), "left_shift")
_declare_bits("bitwise_right_shift", None, lambda a, b: np.right_shift(a, b), "right_shift")


@function("bitwise_invert", "invert", fold=lambda x: np.invert(x))
def bitwise_invert(cx: Surface, x: Arg) -> Value:
    """All bits turned, elementwise; of bool, logical not."""
    v = cx.value(x)
    return OPS["logical_not"](v) if v.dtype is BOOL else OPS["bitwise_invert"](v)
