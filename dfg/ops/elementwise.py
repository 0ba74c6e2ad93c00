"""Elementwise arithmetic, comparison and logic: the primitives. Casts and broadcasts are explicit, so no rule here sums or converts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dfg.dims import DimLike
from dfg.ir import OPERATORS, Graph, InferError, Value
from dfg.ops.base import (
    OPS,
    Attr,
    Case,
    NoGradient,
    Op,
    Reject,
    RuleContext,
    at,
    const_scalar,
    define,
    elementwise,
    full_like,
    lift,
    same_axes,
    tensor,
    unary,
    uniform,
)
from dfg.types import ANY, BOOL, FLOATING, NUMERIC, DType, Type

PIECEWISE = NoGradient("it is constant wherever it is smooth")
DISCRETE = NoGradient("its result is not a real number that varies smoothly")

add = elementwise(
    "add",
    "Sum of two tensors, elementwise.",
    ufunc="add",
    dtypes=NUMERIC,
    linear=(True, True),
    commutative=True,
    vjp=[lambda ct, y, a, b: ct, lambda ct, y, a, b: ct],
    samples=[(uniform(-2, 2), uniform(-2, 2))],
    formula="x + y",
)
subtract = elementwise(
    "subtract",
    "Difference of two tensors, elementwise.",
    ufunc="subtract",
    dtypes=NUMERIC,
    linear=(True, True),
    vjp=[lambda ct, y, a, b: ct, lambda ct, y, a, b: -ct],
    samples=[(uniform(-2, 2), uniform(-2, 2))],
    formula="x - y",
)
multiply = elementwise(
    "multiply",
    "Product of two tensors, elementwise.",
    ufunc="multiply",
    dtypes=NUMERIC,
    linear=("factor", "factor"),
    commutative=True,
    vjp=[lambda ct, y, a, b: ct * b, lambda ct, y, a, b: ct * a],
    samples=[(uniform(-2, 2), uniform(-2, 2))],
    formula="x * y",
)
divide = elementwise(
    "divide",
    "Quotient of two floating tensors, elementwise.",
    ufunc="divide",
    dtypes=FLOATING,
    linear=("divisor", False),
    vjp=[lambda ct, y, a, b: ct / b, lambda ct, y, a, b: -ct * y / b],
    samples=[(uniform(-2, 2), uniform(0.5, 2)), (uniform(-2, 2), uniform(-2, -0.5))],
    formula="x / y",
    cost=4,
)
floor_divide = elementwise(
    "floor_divide",
    "Floor of the quotient, elementwise; integers floor as in NumPy, and an integer division by 0 gives 0.",
    ufunc="floor_divide",
    dtypes=NUMERIC,
    vjp=PIECEWISE,
    arity=2,
    samples=[(uniform(-9, 9), uniform(1, 4))],
    formula="floor(x / y)",
    cost=4,
)


def _floor_quotient(a: Value, b: Value) -> Value:
    return floor_divide(a, b)


remainder = elementwise(
    "remainder",
    "Remainder of floor division, with the sign of the divisor, elementwise.",
    ufunc="remainder",
    dtypes=NUMERIC,
    linear=(True, False),
    vjp=[lambda ct, y, a, b: ct, lambda ct, y, a, b: -ct * _floor_quotient(a, b)],
    samples=[(uniform(0.1, 0.9), uniform(1, 2)), (uniform(2.1, 2.4), uniform(1.5, 2))],
    formula="x - floor(x / y) * y",
    cost=4,
)
negative = unary(
    "negative",
    "The negative, elementwise.",
    ufunc="negative",
    dtypes=(*NUMERIC[1:],),
    linear=True,
    vjp=lambda ct, y, x: -ct,
    samples=[uniform(-2, 2)],
    formula="-x",
)


def _power_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    x, p = y.operands
    return [_power_base(cx.kinks, ct, x, p) if cx.need[0] else None, _power_exponent(cx.kinks, ct, y, x, p) if cx.need[1] else None]


def _power_base(kinks: str, ct: Value, x: Value, p: Value) -> Value:
    k = const_scalar(p)
    if k is not None:
        return full_like(ct, 0) if k == 0 else ct * (p * power(x, p - 1))
    if kinks == "jax":
        return ct * (p * power(x, p - 1))
    zero = full_like(p, 0)
    return ct * where(equal(p, zero) & equal(x, zero), zero, p * power(x, p - 1))


def _power_exponent(kinks: str, ct: Value, y: Value, x: Value, p: Value) -> Value:
    zero = full_like(x, 0)
    if kinks == "jax":
        return ct * (y * log(where(equal(x, zero), full_like(x, 1), x)))
    return ct * where(equal(x, zero) & (p >= 0), zero, y * log(x))


def _power(xp: Any, x: Any, p: Any) -> Any:
    """NumPy raises for integers to negative powers; here the fraction is dropped, as everywhere in integer arithmetic."""
    if x.dtype.kind == "f":
        return xp.power(x, p)
    below = p < 0
    if not xp.any(below):
        return xp.power(x, p)
    sign = xp.where(p % 2 == 0, 1, -1)
    return xp.where(below, xp.where(x == 1, 1, xp.where(x == -1, sign, 0)), xp.power(x, xp.where(below, 0, p))).astype(x.dtype)


power = elementwise(
    "power",
    "Power, elementwise. At x = 0: d/dx x**0 is 0, and d/dy 0**y is 0 for y >= 0. An integer to a negative power drops the fraction.",
    ufunc="power",
    evaluate=_power,
    dtypes=NUMERIC,
    vjp=_power_vjp,
    arity=2,
    samples=[(uniform(0.5, 2), uniform(-2, 2)), (uniform(0.2, 2), at(2.0, 3.0, 0.0))],
    formula="x ** y",
    cost=20,
)
exp = unary(
    "exp",
    "Exponential, elementwise.",
    ufunc="exp",
    vjp=lambda ct, y, x: ct * y,
    samples=[uniform(-2, 2), at(0.0, 30.0)],
    formula="e ** x",
    cost=10,
)
log = unary(
    "log", "Natural logarithm, elementwise.", ufunc="log", vjp=lambda ct, y, x: ct / x, samples=[uniform(0.3, 3)], formula="ln(x)", cost=10
)
sqrt = unary(
    "sqrt",
    "Square root, elementwise.",
    ufunc="sqrt",
    vjp=lambda ct, y, x: 0.5 * ct / y,
    samples=[uniform(0.3, 3)],
    formula="x ** 0.5",
    cost=4,
)
tanh = unary(
    "tanh",
    "Hyperbolic tangent, elementwise.",
    ufunc="tanh",
    vjp=lambda ct, y, x: ct * (1 - y * y),
    samples=[uniform(-2, 2), at(0.0, 3.0)],
    formula="tanh(x)",
    cost=15,
)
sin = unary(
    "sin",
    "Sine, elementwise; x in radians.",
    ufunc="sin",
    vjp=lambda ct, y, x: ct * cos(x),
    samples=[uniform(-3, 3)],
    formula="sin(x)",
    cost=15,
)
cos: Op = unary(
    "cos",
    "Cosine, elementwise; x in radians.",
    ufunc="cos",
    vjp=lambda ct, y, x: -ct * sin(x),
    samples=[uniform(-3, 3)],
    formula="cos(x)",
    cost=15,
)


def _extremum_vjp(wins: str) -> Any:
    """Half of the cotangent to each at a tie; none at a tie with an operand that does not vary (the smallest-norm subgradient)."""

    def vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
        a, b = y.operands
        result: list[Value | None] = [None, None]
        for k, (mine, other) in enumerate(((a, b), (b, a))):
            if cx.need[k]:
                tie = 0.5 * ct if cx.need[1 - k] or cx.kinks != "dfg" else full_like(ct, 0)
                ahead = OPS[wins](mine, other)
                result[k] = where(ahead, ct, where(equal(mine, other), tie, full_like(ct, 0)))
        return result

    return vjp


maximum = elementwise(
    "maximum",
    "The larger of two, elementwise; NaN if either is NaN. At a tie each gets half of the cotangent.",
    ufunc="maximum",
    dtypes=ANY,
    vjp=_extremum_vjp("greater"),
    arity=2,
    linear=(True, True),
    commutative=True,
    samples=[(uniform(-2, 0), uniform(0.1, 2)), (uniform(0.1, 2), uniform(-2, 0))],
    formula="max(x, y)",
)
minimum = elementwise(
    "minimum",
    "The smaller of two, elementwise; NaN if either is NaN. At a tie each gets half of the cotangent.",
    ufunc="minimum",
    dtypes=ANY,
    vjp=_extremum_vjp("less"),
    arity=2,
    linear=(True, True),
    commutative=True,
    samples=[(uniform(-2, 0), uniform(0.1, 2)), (uniform(0.1, 2), uniform(-2, 0))],
    formula="min(x, y)",
)


def _comparison(name: str, sign: str, commutative: bool = False) -> Op:
    return elementwise(
        name,
        f"Whether x {sign} y, elementwise.",
        ufunc=name,
        dtypes=ANY,
        result=BOOL,
        vjp=DISCRETE,
        arity=2,
        commutative=commutative,
        samples=[(uniform(-2, 2), uniform(-2, 2)), (at(0.0, 1.0, 2.0), at(1.0, 1.0, 1.0))],
        formula=f"x {sign} y",
    )


equal = _comparison("equal", "==", True)
not_equal = _comparison("not_equal", "!=", True)
less = _comparison("less", "<")
less_equal = _comparison("less_equal", "<=")
greater = _comparison("greater", ">")
greater_equal = _comparison("greater_equal", ">=")
logical_and = elementwise(
    "logical_and",
    "Logical and, elementwise.",
    ufunc="logical_and",
    dtypes=(BOOL,),
    vjp=DISCRETE,
    arity=2,
    commutative=True,
    samples=[(uniform(0, 1), uniform(0, 1))],
    formula="x and y",
)
logical_or = elementwise(
    "logical_or",
    "Logical or, elementwise.",
    ufunc="logical_or",
    dtypes=(BOOL,),
    vjp=DISCRETE,
    arity=2,
    commutative=True,
    samples=[(uniform(0, 1), uniform(0, 1))],
    formula="x or y",
)
logical_not = elementwise(
    "logical_not",
    "Logical not, elementwise.",
    ufunc="logical_not",
    dtypes=(BOOL,),
    vjp=DISCRETE,
    arity=1,
    samples=[(uniform(0, 1),)],
    formula="not x",
)
isnan = unary(
    "isnan", "Whether x is NaN, elementwise.", ufunc="isnan", result=BOOL, vjp=DISCRETE, samples=[uniform(-1, 1), at(np.nan, np.inf, 0.0)]
)


def _where_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    c, a, b = (tensor(o) for o in operands)
    if c.dtype is not BOOL:
        raise InferError(
            "wrong-dtype", f"the condition of `where` is bool, not {c.dtype}", [(0, f"this is {c}")], help="compare it: `x != 0`"
        )
    if a != b:
        raise InferError(
            "shape-mismatch", f"`where` chooses between operands of one type, not {a} and {b}", [(1, f"this is {a}"), (2, f"this is {b}")]
        )
    if c.shape != a.shape:
        raise InferError(
            "shape-mismatch",
            f"`where` takes a condition of the operands' shape, not {c} for {a}",
            [(0, f"this is {c}"), (1, f"this is {a}")],
        )
    return a


def _where_samples(rng: np.random.Generator) -> list[Case]:
    return [
        Case((np.asarray(rng.random(s) < 0.5), np.asarray(rng.normal(size=s)), np.asarray(rng.normal(size=s))))
        for s in [(), (4,), (2, 3), (0, 2)]
    ]


where: Op = define(
    Op(
        "where",
        "x where the condition holds, else y, elementwise. A branch that is not chosen contributes nothing to a gradient, however singular it is there.",
        _where_infer,
        lambda cx, ct, y: (
            None,
            where(y.operands[0], ct, full_like(ct, 0)) if cx.need[1] else None,
            where(y.operands[0], full_like(ct, 0), ct) if cx.need[2] else None,
        ),
        arity=3,
        evaluate=lambda xp, c, a, b: xp.where(c, a, b),
        scalar=lambda s, c, a, b: s.where(c, a, b),
        into=lambda out, c, a, b: [f"np.copyto({out}, {b})", f"np.copyto({out}, {a}, where={c})"],
        shares=(2,),
        axes=same_axes,
        elementwise=True,
        linear=(False, True, True),
        samples=_where_samples,
        rejects=(Reject(("f64[3]", "f64[3]", "f64[3]"), (), "wrong-dtype"), Reject(("bool[3]", "f64[3]", "f64[4]"), (), "shape-mismatch")),
        formula="x if c else y",
    )
)

stop_gradient = unary(
    "stop_gradient",
    "The same value, through which no gradient flows.",
    evaluate=lambda xp, x: x,
    scalar=lambda s, x: x,
    dtypes=ANY,
    vjp=NoGradient("stop_gradient stops it on purpose"),
    marker=True,
    samples=[uniform(-2, 2)],
    into="np.copyto({out}, {0})",
    cost=0,
)


def _cast_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    return tensor(operands[0]).with_dtype(attrs[0])


def _cast_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    x = y.operands[0]
    return [cast(ct, dtype=x.dtype) if x.dtype.floating and y.dtype.floating else None]


def _cast_samples(rng: np.random.Generator) -> list[Case]:
    f = np.asarray(rng.uniform(0, 9, (2, 3)))
    pairs: list[tuple[DType, DType]] = [(a, b) for a in ANY for b in ANY if a is not b]
    return [
        Case((f.astype(a.np),), (("dtype", b),), wrt=() if not (a.floating and b.floating) or "f32" in (a.name, b.name) else None)
        for a, b in pairs
    ]


cast = define(
    Op(
        "cast",
        "Conversion to another dtype, elementwise: floats to integers drop the fraction, anything to bool is `x != 0`.",
        _cast_infer,
        _cast_vjp,
        attrs=(Attr("dtype", "dtype"),),
        evaluate=lambda xp, x, *, dtype: x.astype(dtype.np),
        scalar=lambda s, x, *, dtype: s.cast(x, dtype),
        into="np.copyto({out}, {0}, casting='unsafe')",
        axes=same_axes,
        elementwise=True,
        linear=(True,),
        samples=_cast_samples,
    )
)


def emit_cast(v: Value, d: DType) -> Value:
    return v if v.dtype is d else cast(v, dtype=d)


def _operator(op: Op) -> Any:
    def apply(a: Value | float, b: Value | float) -> Value:
        if not isinstance(a, Value):
            assert isinstance(b, Value)
            return op(lift(a, b), b)
        return op(a, lift(b, a))

    return apply


for _name in (
    "add",
    "subtract",
    "multiply",
    "divide",
    "power",
    "logical_and",
    "logical_or",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
):
    OPERATORS[_name] = _operator(OPS[_name])
OPERATORS["negative"] = negative
OPERATORS["logical_not"] = logical_not


def size_value(g: Graph, d: DimLike, dtype: DType) -> Value:
    """A dimension as a scalar of a dtype."""
    return emit_cast(g.emit(OPS["dim"], (), (d,)), dtype)
