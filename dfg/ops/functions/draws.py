"""Draws: equal seed, shape and dtype give equal numbers."""

from __future__ import annotations

from typing import Any

from dfg.dims import DimLike
from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.elementwise import emit_cast
from dfg.ops.functions.common import count_of, dim_value, doc_of
from dfg.ops.functions.expr import Expr
from dfg.ops.movement import emit_reshape
from dfg.ops.surface import Arg, Args, DTypeArg, Literal, Shape, Size, Static, Surface, dtype_of, function, plain, shape_of, size_of
from dfg.types import F64, I64


def seed_value(cx: Surface, seed: Any, name: str) -> Value:
    """A seed, an integer or a list of them, as an i64 vector."""
    if seed is None:
        raise InferError(
            "missing-argument",
            f"`{name}` needs the argument `seed`",
            help="equal seeds give equal numbers: `seed=1`, or `seed=[step, 2]` of a state",
        )
    items = seed if isinstance(seed, list | tuple) else [seed]
    parts = []
    for item in items:
        v = item if isinstance(item, Value) else dim_value(cx, item) if not isinstance(item, Literal) else cx.value(item)
        if v.dtype.kind == "float":
            raise InferError(
                "wrong-dtype", f"a seed is an integer, not {v.dtype}", [("seed", f"this is {v.type}")], help="`i64(…)` converts"
            )
        v = emit_cast(v, I64)
        parts.append(emit_reshape(v, (count_of(v, range(v.rank)),)))
    return parts[0] if len(parts) == 1 else OPS["concat"](*parts, axis=0)


def _declare_draw(name: str) -> None:
    def f(cx: Surface, shape: Shape, seed: Args = None, dtype: DTypeArg = None) -> Value:
        v = seed_value(cx, seed, name)
        return OPS[name](v, shape=shape_of(shape, name), dtype=dtype_of(dtype, name) or cx.default_float)

    f.__doc__ = doc_of(name) + " `seed` is an integer or a list of them, constant or computed."
    function(name)(f)


_declare_draw("normal")
_declare_draw("uniform")


def _uniform(cx: Surface, shape: tuple[DimLike, ...], seed: Any, name: str) -> Expr:
    """Numbers in [0, 1) of 53 random bits, whatever the default float is."""
    return Expr(cx, OPS["uniform"](seed_value(cx, seed, name), shape=shape, dtype=F64))


@function("permutation")
def permutation(cx: Surface, n: Size, seed: Args = None) -> Value:
    """The numbers 0 .. n - 1 in a random order, as i64. `seed` is an integer or a list of them, constant or computed."""
    return _uniform(cx, (size_of(n, "permutation", "n"),), seed, "permutation").call("argsort").v


@function("randint")
def randint(cx: Surface, low: Static, high: Static, shape: Shape = (), seed: Args = None, dtype: DTypeArg = None) -> Value:
    """Random integers from `low` to below `high`, as i64 unless a dtype is given. `seed` is an integer or a list of them, constant or computed."""
    kind = dtype_of(dtype, "randint") or I64
    for bound, argument in ((low, "low"), (high, "high")):
        if isinstance(bound, list | tuple):
            raise InferError("bad-argument", f"`randint` takes one integer as `{argument}`", [(argument, "this one")], help="the shape is the third argument")
    a, b = (Expr(cx, plain(bound) if not isinstance(bound, Value) else bound) for bound in (low, high))
    for e, argument in ((a, "low"), (b, "high")):
        if e.v.dtype.kind == "float" or e.rank:
            raise InferError("wrong-dtype", f"`randint` takes an integer as `{argument}`, not {e.v.type}", [(argument, "this one")])
    unit = _uniform(cx, shape_of(shape, "randint"), seed, "randint")
    return emit_cast(((unit * (b - a)).call("floor") + a).v, kind)


@function("bernoulli")
def bernoulli(cx: Surface, p: Arg, shape: Shape = None, seed: Args = None) -> Value:
    """True with probability `p`, as bool, of a shape (that of `p` if none is given). `seed` is an integer or a list of them, constant or computed."""
    (chance,) = Expr.floating(cx, p, name="bernoulli")
    sizes = chance.shape if plain(shape) is None else shape_of(shape, "bernoulli")
    return (_uniform(cx, sizes, seed, "bernoulli") < chance).v
