"""Signals: `convolve` and `correlate` over all axes of two operands of one rank, by `conv`."""

from __future__ import annotations

from typing import Any

from dfg.dims import DimLike
from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.convolution import conv
from dfg.ops.surface import Arg, Surface, Word, function, plain

MODES = ("full", "same", "valid")


def _operands(cx: Surface, a: Any, v: Any, mode: Any, name: str, names: tuple[str, str]) -> tuple[Value, Value, str]:
    word = plain(mode)
    if word not in MODES:
        raise InferError("bad-argument", f'`{name}` takes "full", "same" or "valid" as `mode`, not "{word}"', [("mode", "this one")])
    p, q = cx.promote((a, v), name)
    if p.rank == 0 or p.rank != q.rank:
        raise InferError(
            "rank-mismatch", f"`{name}` takes two signals of one rank, not {p.type} and {q.type}", [(names[0], f"this is {p.type}"), (names[1], f"this is {q.type}")]
        )
    for k, d in enumerate((*p.shape, *q.shape)):
        cx.graph.need(d, 1, f"`{name}` takes signals that are not empty", "empty-axis", [(names[k // p.rank], f"this is {(p, q)[k // p.rank].type}")])
    return p, q, word


def _longer(cx: Surface, p: Value, q: Value, name: str, names: tuple[str, str]) -> bool:
    """Whether the first signal is the longer one, along every axis."""
    facts = cx.graph.facts
    if all(facts.at_least(m, n) for m, n in zip(p.shape, q.shape, strict=True)):
        return True
    if all(facts.at_least(n, m) for m, n in zip(p.shape, q.shape, strict=True)):
        return False
    pairs = list(zip(p.shape, q.shape, strict=True))
    m, n = next((m, n) for m, n in pairs if not facts.at_least(m, n))
    known = all(isinstance(d, int) for d in (*p.shape, *q.shape))
    raise InferError(
        "shape-mismatch" if known else "dim-unproved",
        f"`{name}` must know which of {p.type} and {q.type} is the longer along every axis",
        [(names[0], f"this is {p.type}"), (names[1], f"this is {q.type}")],
        help='`mode="full"` does not need it',
        dim_fact=None if known else f"dim {m} >= {n}",
    )


def _sliding(p: Value, q: Value, word: str) -> Value:
    """The products of the longer signal's windows with the other, as it is."""
    before: list[DimLike] = []
    sizes: list[DimLike] = []
    for m, n in zip(p.shape, q.shape, strict=True):
        before.append({"full": n - 1, "same": n // 2, "valid": 0}[word])
        sizes.append({"full": m + n - 1, "same": m, "valid": m - n + 1}[word])
    one = (1,) * p.rank
    return conv(p, q, subs=",->", before=tuple(before), sizes=tuple(sizes), strides=one, spread=one, dilation=one)


def _turned(v: Value) -> Value:
    return OPS["flip"](v, axes=tuple(range(v.rank)))


@function("convolve")
def convolve(cx: Surface, a: Arg, v: Arg, mode: Word = "full") -> Value:
    """The convolution of two signals of one rank: all places where they overlap ("full"), as many as the longer has ("same"), or those where the shorter lies
    within the longer ("valid"). Multiplies directly: the work is the product of the sizes."""
    names = ("a", "v")
    p, q, word = _operands(cx, a, v, mode, "convolve", names)
    if word != "full" and not _longer(cx, p, q, "convolve", names):
        p, q = q, p
    return _sliding(p, _turned(q), word)


@function("correlate")
def correlate(cx: Surface, a: Arg, v: Arg, mode: Word = "valid") -> Value:
    """The cross-correlation of two signals of one rank, the sum of a[n + k] v[n] for each shift k; modes as in `convolve`."""
    names = ("a", "v")
    p, q, word = _operands(cx, a, v, mode, "correlate", names)
    if word != "full" and not _longer(cx, p, q, "correlate", names):
        return _turned(_sliding(q, p, word))
    return _sliding(p, q, word)
