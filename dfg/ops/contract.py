"""Contraction of two tensors: products summed over shared axes. Matmul, einsum and indexed statements all become it.

`subs` is an einsum text such as ``"bij,bjk->bik"`` in canonical letters. Every letter stands at most once in each operand, every letter of the
result is in an operand, and every other letter is in both (a letter of one operand alone is summed before).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dfg.dims import DimLike, suggest_fact
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import REDUCED, Attr, Axes, Case, Op, Reject, RuleContext, check_dtype, define, tensor
from dfg.types import NUMERIC, TensorType, Type

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def split_subs(subs: str) -> tuple[str, str, str]:
    operands, result = subs.split("->")
    a, b = operands.split(",")
    return a, b, result


def _infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    s, t = tensor(operands[0]), tensor(operands[1])
    check_dtype("contract", s, NUMERIC)
    if s.dtype is not t.dtype:
        raise InferError(
            "wrong-dtype",
            f"a contraction takes operands of one dtype, not {s.dtype} and {t.dtype}",
            [(0, f"this is {s}"), (1, f"this is {t}")],
        )
    a, b, result = split_subs(attrs[0])
    if len(a) != s.rank or len(b) != t.rank:
        raise InferError("rank-mismatch", f"`{attrs[0]}` does not fit {s} and {t}", [(0, f"this is {s}"), (1, f"this is {t}")])
    if any(len(set(x)) != len(x) for x in (a, b, result)) or not set(result) <= set(a) | set(b) or (set(a) ^ set(b)) - set(result):
        raise InferError("bad-argument", f"`{attrs[0]}` is not a contraction of two operands in canonical form")
    sizes: dict[str, tuple[DimLike, int]] = {letter: (d, k) for k, (letter, d) in enumerate(zip(a, s.shape, strict=True))}
    for k, (letter, d) in enumerate(zip(b, t.shape, strict=True)):
        if letter in sizes and (proved := cx.equal_sizes(sizes[letter][0], d)) is not True:
            other, axis = sizes[letter]
            fact = None if proved is False else suggest_fact(other, d)
            raise InferError(
                "shape-mismatch" if proved is False else "dim-unproved",
                f"cannot contract {s} with {t}: axis {axis} of the first and axis {k} of the second differ",
                [(0, f"axis {axis} is {other}"), (1, f"axis {k} is {d}")],
                dim_fact=fact,
            )
        sizes.setdefault(letter, (d, k))
    return TensorType(s.dtype, tuple(sizes[letter][0] for letter in result))


def _vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    a, b, result = split_subs(y.attrs[0])
    x, z = y.operands
    return [
        contract(ct, z, subs=canonical(f"{result},{b}->{a}")) if cx.need[0] else None,
        contract(x, ct, subs=canonical(f"{a},{result}->{b}")) if cx.need[1] else None,
    ]


def canonical(subs: str) -> str:
    """The same contraction in letters numbered by first appearance."""
    names: dict[str, str] = {}
    return "".join(c if c in ",->" else names.setdefault(c, LETTERS[len(names)]) for c in subs)


def _axes(v: Value) -> Axes:
    a, b, result = split_subs(v.attrs[0])
    return tuple(tuple(result.index(c) if c in result else REDUCED for c in letters) for letters in (a, b))


def _cost(v: Value) -> DimLike:
    a, _, result = split_subs(v.attrs[0])
    total: DimLike = 2
    for d in v.shape:
        total = total * d
    for c, d in zip(a, v.operands[0].shape, strict=True):
        if c not in result:
            total = total * d
    return total


def _evaluate(xp: Any, x: Any, z: Any, *, subs: str) -> Any:
    """Matmul over permuted, reshaped operands: batch letters first, then free, then summed."""
    a, b, result = split_subs(subs)
    batch = [c for c in result if c in a and c in b]
    left = [c for c in a if c not in b]
    right = [c for c in b if c not in a]
    summed = [c for c in a if c in b and c not in result]
    size = {**dict(zip(a, x.shape, strict=True)), **dict(zip(b, z.shape, strict=True))}

    def total(letters: Sequence[str]) -> int:
        return int(np.prod([size[c] for c in letters], dtype=np.int64))

    head = tuple(size[c] for c in batch)
    p = xp.transpose(x, [a.index(c) for c in (*batch, *left, *summed)]).reshape((*head, total(left), total(summed)))
    q = xp.transpose(z, [b.index(c) for c in (*batch, *summed, *right)]).reshape((*head, total(summed), total(right)))
    order = [*batch, *left, *right]
    return xp.transpose(xp.matmul(p, q).reshape([size[c] for c in order]), [order.index(c) for c in result])


_SAMPLES = [
    ("ab,bc->ac", (2, 3), (3, 4)),
    ("ab,b->a", (2, 3), (3,)),
    ("a,a->", (4,), (4,)),
    ("abc,acd->abd", (2, 3, 2), (2, 2, 3)),
    ("a,b->ab", (2,), (3,)),
    ("ab,cb->ca", (2, 3), (4, 3)),
    ("ab,bc->ac", (2, 0), (0, 3)),
    ("a,->a", (3,), ()),
    ("abc,bac->cb", (2, 3, 2), (3, 2, 2)),
]
contract = define(
    Op(
        "contract",
        "Products of two tensors' elements summed over shared axes, as `einsum` of two operands.",
        _infer,
        _vjp,
        attrs=(Attr("subs", "text"),),
        arity=2,
        evaluate=_evaluate,
        axes=_axes,
        cost=_cost,
        bilinear=True,
        formula="einsum(subs, x, y)",
        workspace=lambda v: (v.operands[0].type.size + v.operands[1].type.size + v.type.size) * v.dtype.size,
        samples=lambda rng: [Case((rng.normal(size=p), rng.normal(size=q)), (("subs", s),)) for s, p, q in _SAMPLES],
        rejects=(
            Reject(("f64[3, 2]", "f64[3, 2]"), (("subs", "ab,bc->ac"),), "shape-mismatch"),
            Reject(("f64[3]", "f64[3]"), (("subs", "ab,bc->ac"),), "rank-mismatch"),
        ),
    )
)
