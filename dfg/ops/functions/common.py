"""What the surface functions share: declaring elementwise ones, keeping reduced axes, sizes as numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dfg.dims import DimLike
from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.elementwise import emit_cast
from dfg.ops.movement import emit_reshape
from dfg.ops.surface import Arg, Literal, Surface, function, plain
from dfg.types import BOOL, I64, DType


def doc_of(name: str) -> str:
    return OPS[name].doc


def declare_binary(
    name: str,
    *aliases: str,
    op: str | None = None,
    floating: bool = False,
    fold: Callable[..., Any] | None = None,
    default: str | None = None,
) -> None:
    """Declare an elementwise function of two operands that promote and broadcast."""
    target = op or name

    def f(cx: Surface, x: Arg, y: Arg) -> Value:
        if default is not None and all(
            (isinstance(v, Value) and v.dtype is BOOL) or (isinstance(v, Literal) and v.kind == "bool") for v in (x, y)
        ):
            raise InferError("wrong-dtype", f"`{name}` takes numbers, not bool", [("x", "this is bool")], help=default)
        return cx.elementwise(target, (x, y), floating)

    f.__doc__ = doc_of(target)
    function(name, *aliases, fold=fold, elementwise=OPS[target].elementwise)(f)


def declare_unary(name: str, *aliases: str, op: str | None = None, floating: bool = True, fold: Callable[..., Any] | None = None) -> None:
    """Declare an elementwise function of one operand; integers become the default float where the op is of floats."""
    target = op or name

    def f(cx: Surface, x: Arg) -> Value:
        return cx.elementwise(target, (x,), floating)

    f.__doc__ = doc_of(target)
    function(name, *aliases, fold=fold, elementwise=OPS[target].elementwise)(f)


_BOOL_HELP = "convert it first: `i64(…)`; or use `and`, `or`, `not`"


def keep(x: Value, reduced: Value, axes: Sequence[int], keepdims: Any) -> Value:
    """A reduction's result with the reduced axes kept at size 1 if asked for."""
    if not plain(keepdims):
        return reduced
    return emit_reshape(reduced, tuple(1 if k in axes else d for k, d in enumerate(x.shape)))


def count_of(v: Value, axes: Sequence[int]) -> DimLike:
    total: DimLike = 1
    for a in axes:
        total = total * v.shape[a]
    return total


def dim_value(cx: Surface, d: DimLike, dtype: DType = I64) -> Value:
    """A size as a scalar of a dtype: a constant where it is known."""
    if isinstance(d, int):
        return cx.literal(Literal("int", d), dtype)
    return emit_cast(cx.graph.emit(OPS["dim"], (), (d,)), dtype)
