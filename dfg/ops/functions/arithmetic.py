"""Elementwise arithmetic, comparison, logic, choice and conversion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.elementwise import emit_cast
from dfg.ops.functions.common import declare_binary, declare_unary, doc_of
from dfg.ops.surface import Arg, DTypeArg, Literal, Surface, dtype_of, function
from dfg.types import BOOL

_BOOL_HELP = "convert it first: `i64(…)`; or use `and`, `or`, `not`"
declare_binary("add", fold=np.add, default=_BOOL_HELP)
declare_binary("subtract", fold=np.subtract, default=_BOOL_HELP)
declare_binary("multiply", fold=np.multiply, default=_BOOL_HELP)
declare_binary("divide", floating=True, fold=np.divide)
declare_binary("floor_divide", fold=lambda a, b: np.floor_divide(a, b), default=_BOOL_HELP)
declare_binary("remainder", fold=np.remainder, default=_BOOL_HELP)
declare_binary("maximum", fold=np.maximum)
declare_binary("minimum", fold=np.minimum)
for _name, _f in (
    ("equal", np.equal),
    ("not_equal", np.not_equal),
    ("less", np.less),
    ("less_equal", np.less_equal),
    ("greater", np.greater),
    ("greater_equal", np.greater_equal),
):
    declare_binary(_name, fold=_f)
for _name, _aliases in (("exp", ()), ("log", ()), ("sqrt", ()), ("tanh", ()), ("sin", ()), ("cos", ())):
    declare_unary(_name, *_aliases, fold=getattr(np, _name))


def _fold_power(x: Any, y: Any) -> Any:
    if isinstance(x, int) and isinstance(y, int):
        return x**y if y >= 0 else float(x) ** y
    return np.power(np.asarray(x, np.float64) if np.any(np.asarray(y) < 0) else x, y)


@function("power", "pow", fold=_fold_power)
def power(cx: Surface, x: Arg, y: Arg) -> Value:
    """x to the power y, elementwise. An integer to a negative literal power is a float."""
    if isinstance(y, Literal) and y.kind == "int" and np.any(np.asarray(y.value) < 0) and cx.join([x]).kind == "int":
        return cx.elementwise("power", (x, Literal("float", y.value, y.text)), True)
    return cx.elementwise("power", (x, y))


@function("negative", fold=np.negative)
def negative(cx: Surface, x: Arg) -> Value:
    """The negative, elementwise; unsigned integers wrap."""
    v = cx.value(x)
    if v.dtype is BOOL:
        raise InferError("wrong-dtype", "a bool has no negative", [("x", "this is bool")], help="`not x` is the other truth value")
    return cx.elementwise("subtract", (Literal("int", 0), v)) if v.dtype.name == "u8" else OPS["negative"](v)


@function("positive", fold=lambda x: x)
def positive(cx: Surface, x: Arg) -> Value:
    """The same number."""
    return cx.value(x)


def _logical(name: str) -> None:
    def f(cx: Surface, x: Arg, y: Arg) -> Value:
        return cx.elementwise(name, _bools(cx, (x, y), name))

    f.__doc__ = doc_of(name)
    function(name, fold={"logical_and": lambda a, b: np.logical_and(a, b), "logical_or": lambda a, b: np.logical_or(a, b)}[name])(f)


def _bools(cx: Surface, operands: Sequence[Any], name: str) -> list[Value]:
    values = [cx.value(o) for o in operands]
    for v, argument in zip(values, ("x", "y"), strict=False):
        if v.dtype is not BOOL:
            raise InferError(
                "wrong-dtype",
                f"`{name.removeprefix('logical_')}` takes bool, not {v.dtype}",
                [(argument, f"this is {v.type}")],
                help="compare it: `x != 0`",
            )
    return values


_logical("logical_and")
_logical("logical_or")


@function("logical_not", fold=np.logical_not)
def logical_not(cx: Surface, x: Arg) -> Value:
    """Logical not, elementwise."""
    return OPS["logical_not"](_bools(cx, (x,), "logical_not")[0])


@function("where", elementwise=True)
def where(cx: Surface, condition: Arg, x: Arg, y: Arg) -> Value:
    """x where the condition holds, else y, elementwise, broadcast together. A branch that is not chosen contributes nothing to a gradient."""
    c = cx.value(condition)
    if c.dtype is not BOOL:
        raise InferError(
            "wrong-dtype",
            f"the condition of `where` is bool, not {c.dtype}",
            [("condition", f"this is {c.type}")],
            help="compare it: `x != 0`",
        )
    a, b = cx.promote((x, y), "where")
    return OPS["where"](*cx.broadcast((c, a, b), "where"))


@function("stop_gradient", elementwise=True)
def stop_gradient(cx: Surface, x: Arg) -> Value:
    """The same value, through which no gradient flows."""
    return OPS["stop_gradient"](cx.value(x))


@function("astype", elementwise=True)
def astype(cx: Surface, x: Arg, dtype: DTypeArg) -> Value:
    """Conversion to a dtype, elementwise; a literal is rounded once."""
    d = dtype_of(dtype, "astype")
    if d is None:
        raise InferError("bad-argument", "`astype` needs a dtype such as `f64` as `dtype`", [("dtype", "this one")])
    if isinstance(x, Literal) and (d.floating or x.kind != "float"):
        return cx.literal(x, d)
    return emit_cast(cx.value(x), d)


@function("floating", elementwise=True)
def floating(cx: Surface, *xs: Arg) -> Value | Literal | tuple[Value | Literal, ...]:
    """Tensors in one floating dtype: the one that they promote to, or the default float if that is none. Numbers beside tensors get that dtype too."""
    if all(isinstance(x, Literal) for x in xs):
        made: list[Value | Literal] = [
            x if x.kind == "float" else Literal("float", np.asarray(x.value, np.float64) if x.shape else float(x.value), x.text) for x in xs
        ]
    else:
        made = [*cx.promote(xs, "floating", floating=True)]
    return made[0] if len(made) == 1 else tuple(made)
