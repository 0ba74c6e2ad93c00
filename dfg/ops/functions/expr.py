"""Formulas over operands, for composite functions: `Expr` has Python's operators and every surface function as a method, with promotion and broadcasting.

    x = Expr.of(cx, x)
    return (x * x.sigmoid()).v
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dfg.dims import Dim, DimLike
from dfg.ir import Value
from dfg.ops.functions.common import dim_value
from dfg.ops.surface import Literal, Surface, call
from dfg.types import DType


def operand(cx: Surface, x: Any) -> Any:
    """What a surface function takes: a value, a literal, or a size as a value."""
    if isinstance(x, Expr):
        return x.x
    if isinstance(x, Dim):
        return dim_value(cx, x)
    if isinstance(x, bool | int | float | np.number):
        return Literal.of(x)
    return x


def made(cx: Surface, name: str, args: list[Any], kwargs: dict[str, Any] | None = None) -> Value:
    """What a surface function of one result gives."""
    return cx.value(call(cx, name, args, kwargs))


class Expr:
    """An operand with operators."""

    __slots__ = ("cx", "x")

    def __init__(self, cx: Surface, x: Any) -> None:
        self.cx = cx
        self.x = operand(cx, x)

    @staticmethod
    def floating(cx: Surface, *xs: Any, name: str = "this function") -> tuple[Expr, ...]:
        """Operands promoted together to a floating dtype."""
        return tuple(Expr(cx, v) for v in cx.promote([operand(cx, x) for x in xs], name, floating=True))

    @property
    def v(self) -> Value:
        return self.cx.value(self.x)

    @property
    def dtype(self) -> DType:
        return self.v.dtype

    @property
    def shape(self) -> tuple[DimLike, ...]:
        return self.v.shape if isinstance(self.x, Value) else self.x.shape

    @property
    def rank(self) -> int:
        return len(self.shape)

    def call(self, name: str, *args: Any, **kwargs: Any) -> Expr:
        words = {k: operand(self.cx, v) if isinstance(v, Expr) else v for k, v in kwargs.items()}
        return Expr(self.cx, call(self.cx, name, [self.x, *[operand(self.cx, a) if not isinstance(a, list | tuple) else a for a in args]], words))

    def back(self, name: str, other: Any) -> Expr:
        return Expr(self.cx, call(self.cx, name, [operand(self.cx, other), self.x]))

    def __add__(self, o: Any) -> Expr:
        return self.call("add", o)

    def __radd__(self, o: Any) -> Expr:
        return self.back("add", o)

    def __sub__(self, o: Any) -> Expr:
        return self.call("subtract", o)

    def __rsub__(self, o: Any) -> Expr:
        return self.back("subtract", o)

    def __mul__(self, o: Any) -> Expr:
        return self.call("multiply", o)

    def __rmul__(self, o: Any) -> Expr:
        return self.back("multiply", o)

    def __truediv__(self, o: Any) -> Expr:
        return self.call("divide", o)

    def __rtruediv__(self, o: Any) -> Expr:
        return self.back("divide", o)

    def __pow__(self, o: Any) -> Expr:
        return self.call("power", o)

    def __neg__(self) -> Expr:
        return self.call("negative")

    def __and__(self, o: Any) -> Expr:
        return self.call("logical_and", o)

    def __or__(self, o: Any) -> Expr:
        return self.call("logical_or", o)

    def __invert__(self) -> Expr:
        return self.call("logical_not")

    def __lt__(self, o: Any) -> Expr:
        return self.call("less", o)

    def __le__(self, o: Any) -> Expr:
        return self.call("less_equal", o)

    def __gt__(self, o: Any) -> Expr:
        return self.call("greater", o)

    def __ge__(self, o: Any) -> Expr:
        return self.call("greater_equal", o)

    def eq(self, o: Any) -> Expr:
        return self.call("equal", o)

    def where(self, yes: Any, no: Any) -> Expr:
        """`yes` where this holds, else `no`."""
        return self.call("where", yes, no)

    def exp(self) -> Expr:
        return self.call("exp")

    def log(self) -> Expr:
        return self.call("log")

    def sqrt(self) -> Expr:
        return self.call("sqrt")

    def abs(self) -> Expr:
        return self.call("abs")

    def sum(self, axis: Any = None, keepdims: bool = False) -> Expr:
        return self.call("sum", axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Expr:
        return self.call("mean", axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Expr:
        return self.call("max", axis=axis, keepdims=keepdims)

    def reshape(self, *shape: DimLike) -> Expr:
        return self.call("reshape", shape)

    def stopped(self) -> Expr:
        return self.call("stop_gradient")
