"""Draws: equal seed, shape and dtype give equal numbers."""

from __future__ import annotations

from typing import Any

from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.elementwise import emit_cast
from dfg.ops.functions.common import count_of, dim_value, doc_of
from dfg.ops.movement import emit_reshape
from dfg.ops.surface import (
    Arg,
    Args,
    Axis,
    DTypeArg,
    Literal,
    Shape,
    Size,
    Static,
    Surface,
    axis_number,
    call,
    dtype_of,
    function,
    plain,
    shape_of,
    size_of,
)
from dfg.types import I64


def seed_value(cx: Surface, seed: Any, name: str) -> Value:
    """A seed, an integer or a list of them, as an i64 vector."""
    items = seed if isinstance(seed, list | tuple) else [seed]
    if any(item is None for item in items):
        raise InferError(
            "missing-argument",
            f"`{name}` needs the argument `seed`",
            help="equal seeds give equal numbers: `seed=1`, or `seed=[step, 2]` of a state",
        )
    if not items:
        raise InferError("bad-argument", f"`{name}` takes a seed of one number or more, not an empty list", [("seed", "this one")])
    parts = []
    for item in items:
        v = item if isinstance(item, Value) else dim_value(cx, item) if not isinstance(item, Literal) else cx.value(item)
        if v.dtype.kind == "float":
            raise InferError(
                "wrong-dtype", f"`{name}` takes an integer as `seed`, not {v.dtype}", [("seed", f"this is {v.type}")], help="`i64(…)` converts"
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


@function("random_bits")
def random_bits(cx: Surface, shape: Shape, seed: Args = None) -> Value:
    """Draws of i64 words, every bit of which is fair."""
    return OPS["random_bits"](seed_value(cx, seed, "random_bits"), shape=shape_of(shape, "random_bits"))


@function("bernoulli")
def bernoulli(cx: Surface, p: Arg, shape: Static = None, seed: Args = None) -> Value:
    """True with probability `p`, which stretches to `shape` (its own shape by default)."""
    given = plain(shape)
    (chance,) = cx.promote((p,), "bernoulli", floating=True)
    sizes = chance.shape if given is None else shape_of(given, "bernoulli")
    drawn = OPS["uniform"](seed_value(cx, seed, "bernoulli"), shape=sizes, dtype=chance.dtype)
    return drawn < cx.stretch(chance, sizes)


@function("randint")
def randint(cx: Surface, low: Arg, high: Arg, shape: Shape = (), seed: Args = None, dtype: DTypeArg = None) -> Value:
    """Whole numbers from `low` up to `high`, which is left out, each equally likely; of i64 unless a dtype is given."""
    for v, argument in ((low, "low"), (high, "high")):
        kind = v.kind if isinstance(v, Literal) else v.dtype.kind if isinstance(v, Value) else "int"
        if kind != "int":
            raise InferError("wrong-dtype", f"`randint` draws between whole numbers, not {kind}", [(argument, "this one")])
    if isinstance(low, Literal) and isinstance(high, Literal) and not low.shape and not high.shape and low.value >= high.value:
        raise InferError("bad-argument", f"`randint`: there is no whole number from {low.value} below {high.value}", [("high", "this one")])
    sizes = shape_of(shape, "randint")
    a, b = (cx.stretch(emit_cast(cx.value(v), I64), sizes) for v in (low, high))
    bits = OPS["random_bits"](seed_value(cx, seed, "randint"), shape=sizes)
    made = a + OPS["remainder"](bits, b - a)
    return emit_cast(made, dtype_of(dtype, "randint") or I64)


@function("permutation")
def permutation(cx: Surface, n: Size, seed: Args = None) -> Value:
    """The numbers below `n` in an order drawn from all orders."""
    size = size_of(n, "permutation", "n")
    bits = OPS["random_bits"](seed_value(cx, seed, "permutation"), shape=(size,))
    return cx.value(call(cx, "argsort", [bits]))


@function("shuffle")
def shuffle(cx: Surface, x: Arg, seed: Args = None, axis: Axis = 0) -> Value:
    """The elements of a tensor along an axis in an order drawn from all orders."""
    v = cx.value(x)
    k = axis_number(axis, v.rank, "shuffle")
    return cx.value(call(cx, "take", [v, permutation(cx, v.shape[k], seed)], {"axis": k}))


@function("exponential")
def exponential(cx: Surface, shape: Shape, seed: Args = None, dtype: DTypeArg = None) -> Value:
    """Draws from the exponential distribution of mean 1."""
    d = dtype_of(dtype, "exponential") or cx.default_float
    u = OPS["uniform"](seed_value(cx, seed, "exponential"), shape=shape_of(shape, "exponential"), dtype=d)
    return -OPS["log1p"](-u)


@function("gumbel")
def gumbel(cx: Surface, shape: Shape, seed: Args = None, dtype: DTypeArg = None) -> Value:
    """Draws from the standard Gumbel distribution."""
    return -OPS["log"](exponential(cx, shape, seed, dtype))


@function("categorical")
def categorical(cx: Surface, logits: Arg, axis: Axis = -1, seed: Args = None) -> Value:
    """Numbers of classes drawn with probabilities proportional to exp(logits) along an axis, one for each row."""
    (v,) = cx.promote((logits,), "categorical", floating=True)
    k = axis_number(axis, v.rank, "categorical")
    noise = gumbel(cx, v.shape, seed, v.dtype)
    return OPS["argmax"](v + noise, axis=k)
