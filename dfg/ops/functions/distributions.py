"""Draws from distributions with parameters. `substream` gives independent streams of one seed, from which composites in the language draw.

Note [Draws by inverse]. A draw of the gamma family is the inverse of the distribution function at a uniform number. So every element takes one counter (rejection
takes an unknown number, and a backend whose logarithm differs in the last digit would accept other proposals and give wholly different numbers), and the gradient by the
parameter is the derivative of the very number drawn: the implicit reparametrisation gradient (Figurnov, Mohamed, Mnih 2018). Uniform numbers are f64 also for f32, so
that tails are not cut. It takes about 6 microseconds an element, where rejection takes a tenth of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dfg.dims import DimLike
from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.elementwise import emit_cast
from dfg.ops.functions.common import dim_value
from dfg.ops.functions.draws import seed_value
from dfg.ops.functions.expr import Expr
from dfg.ops.surface import Arg, Args, Literal, Size, Static, Surface, call, function, plain, shape_of, size_of
from dfg.types import F64, I64


@function("substream")
def substream(cx: Surface, seed: Args, n: Size) -> Value:
    """A seed of a stream of its own, for `seed=`: that of `seed`, an integer or a list of them, continued by the number `n`."""
    items = list(seed) if isinstance(seed, list | tuple) else [seed]
    size = size_of(n, "substream", "n")
    number = Literal("int", size) if isinstance(size, int) else size
    return seed_value(cx, [*items, number], "substream")


def _parameters(cx: Surface, name: str, operands: Sequence[Any], shape: Any) -> tuple[list[Value], Any]:
    """Parameters in f64, stretched to the shape of the draw (their own by default), and the dtype that the program works in."""
    values = cx.promote(operands, name, floating=True)
    dtype = values[0].dtype
    wide = [emit_cast(v, F64) for v in values]
    given = plain(shape)
    if given is None:
        return cx.broadcast(wide, name), dtype
    sizes = shape_of(given, name)
    try:
        return [cx.stretch(v, sizes) for v in wide], dtype
    except InferError as e:
        raise InferError(e.code, f"`{name}`: {e.message}", [("shape", "this one")], help=e.help) from None


def _uniform(cx: Surface, seed: Any, shape: tuple[DimLike, ...], name: str) -> Value:
    return OPS["uniform"](seed_value(cx, seed, name), shape=shape, dtype=F64)


@function("standard_gamma")
def standard_gamma(cx: Surface, alpha: Arg, shape: Static = None, seed: Args = None) -> Value:
    """Draws from the gamma distribution of shape parameter `alpha` (which stretches to `shape`, its own by default) and scale 1. The gradient by `alpha` is the
    derivative of the very numbers drawn. About 6 microseconds an element."""
    (a,), dtype = _parameters(cx, "standard_gamma", (alpha,), shape)
    return emit_cast(OPS["gammaincinv"](a, _uniform(cx, seed, a.shape, "standard_gamma")), dtype)


@function("log_gamma_draw")
def log_gamma_draw(cx: Surface, alpha: Arg, shape: Static = None, seed: Args = None) -> Value:
    """Logarithms of draws from the gamma distribution of shape parameter `alpha` and scale 1, which do not underflow where `alpha` is small."""
    (a,), dtype = _parameters(cx, "log_gamma_draw", (alpha,), shape)
    if seed is None:
        seed_value(cx, seed, "log_gamma_draw")
    first = Expr(cx, OPS["gammaincinv"](a + 1.0, _uniform(cx, substream(cx, seed, 0), a.shape, "log_gamma_draw")))
    second = Expr(cx, _uniform(cx, substream(cx, seed, 1), a.shape, "log_gamma_draw"))
    # gamma(a) is gamma(a + 1) times u ** (1 / a) in distribution (Marsaglia and Tsang 2000).
    return emit_cast((first.log() + (-second).call("log1p") / Expr(cx, a)).v, dtype)


@function("poisson")
def poisson(cx: Surface, rate: Arg, shape: Static = None, seed: Args = None) -> Value:
    """Counts (i64) from the Poisson distribution of mean `rate`, which stretches to `shape` (its own by default). A rate below 0 or NaN gives -1."""
    (m,), _ = _parameters(cx, "poisson", (rate,), shape)
    return OPS["poisson_quantile"](_uniform(cx, seed, m.shape, "poisson"), m)


@function("binomial")
def binomial(cx: Surface, n: Arg, p: Arg, shape: Static = None, seed: Args = None) -> Value:
    """Counts (i64) of successes of `n` trials of probability `p`, which stretch to `shape` (their own by default). Impossible parameters give -1."""
    (m, c), _ = _parameters(cx, "binomial", (n, p), shape)
    return OPS["binomial_quantile"](_uniform(cx, seed, m.shape, "binomial"), m, c)


@function("choice")
def choice(cx: Surface, a: Arg, shape: Static = (), replace: Static = True, p: Static = None, seed: Args = None) -> Value:
    """Draws from the elements of a vector, or from the whole numbers below an integer, with probabilities `p` (equal by default), with or without replacement.
    Without replacement the smallest of exponential numbers over the probabilities are chosen (Efraimidis and Spirakis 2006)."""
    size = plain(a) if not isinstance(a, Value) else None
    if p is not None and not isinstance(p, Value | Literal):
        if not isinstance(p, list | tuple) or not p or not all(isinstance(plain(q), int | float) for q in p):
            raise InferError("bad-argument", "`choice` takes a list of numbers as `p`", [("p", "this one")])
        p = Literal.of([plain(q) for q in p])
    sizes = shape_of(plain(shape), "choice")
    count: DimLike
    if isinstance(a, Value):
        if a.rank != 1:
            raise InferError("rank-mismatch", f"`choice` draws from a vector, not {a.type}", [("a", f"this is {a.type}")])
        count = a.shape[0]
    else:
        count = size_of(size, "choice", "a")
    total: DimLike = 1
    for d in sizes:
        total = total * d
    if plain(replace):
        if p is None:
            words: dict[str, Any] = {"shape": sizes, "seed": seed}
            high = Literal("int", count) if isinstance(count, int) else cx.graph.emit(OPS["dim"], (), (count,))
            places = cx.value(call(cx, "randint", [Literal("int", 0), high], words))
        else:
            # The last sum is 1 but for rounding: the uniform number is stretched to it.
            sums = call(cx, "cumsum", [emit_cast(cx.value(p), F64)])
            top = call(cx, "take", [sums, Literal("int", -1)])
            u = call(cx, "multiply", [_uniform(cx, seed, sizes, "choice"), top])
            places = cx.value(call(cx, "searchsorted", [sums, u], {"side": "right"}))
            last = call(cx, "subtract", [dim_value(cx, count), Literal("int", 1)])
            places = cx.value(call(cx, "minimum", [places, last]))
    else:
        cx.graph.need(count, total, "`choice` without replacement draws no more than there are", "out-of-bounds", [("shape", "this many")])
        noise = Expr(cx, _uniform(cx, seed, (count,), "choice"))
        keys = -(-noise).call("log1p")
        if p is not None:
            keys = keys / Expr(cx, emit_cast(cx.value(p), F64))
        ranks = Expr(cx, call(cx, "argsort", [keys.v]))
        places = ranks.call("take", Expr(cx, cx.graph.emit(OPS["iota"], (), (total, I64)))).reshape(*sizes).v
    return cx.value(call(cx, "take", [a, places], {"axis": 0})) if isinstance(a, Value) else places
