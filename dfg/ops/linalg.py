"""Linear algebra over the last two axes, with leading batch axes: `qr` (two results) and `solve` (which can fail)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from dfg.dims import DimLike, dim_max
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPAQUE, OPS, Axes, Case, Op, Reject, RuleContext, check_dtype, define, full, full_like, project, tensor
from dfg.ops.contract import LETTERS, canonical, contract
from dfg.ops.elementwise import where
from dfg.ops.movement import broadcast_along, permute
from dfg.types import F64, FLOATING, I64, TensorType, TupleType, Type

WIDE: Final = 8
"""Bytes of an element where NumPy computes: `numpy.linalg` converts f32 to f64 and back."""


def widened(*arrays: TensorType) -> DimLike:
    """Bytes of the copies that NumPy makes of operands which are not f64."""
    return sum((t.size * WIDE for t in arrays if t.dtype is not F64), start=0)


def one(t: TensorType) -> DimLike:
    """Bytes of one matrix of a stack, as LAPACK works on it."""
    return t.shape[-1] * t.shape[-2] * WIDE


def takes(arrays: tuple[float, float], matrices: tuple[float, float]) -> Callable[[Value], DimLike]:
    """A workspace of so many f64 arrays of the size of the first operand and of so many single matrices of its stack, for operands of f64 and of f32."""

    def workspace(v: Value) -> DimLike:
        x = v.operands[0].type
        k = 0 if x.dtype is F64 else 1
        return x.size * int(arrays[k] * WIDE) + x.shape[-1] * x.shape[-2] * int(matrices[k] * WIDE)

    return workspace


def transpose_last(x: Value) -> Value:
    """The last two axes exchanged."""
    order = [*range(x.rank - 2), x.rank - 1, x.rank - 2]
    return permute(x, perm=tuple(order))


def matmul_last(a: Value, b: Value) -> Value:
    """Matrix product over the last two axes of operands with equal leading axes."""
    k = a.rank - 2
    batch, i, j, m = LETTERS[:k], LETTERS[k], LETTERS[k + 1], LETTERS[k + 2]

    return contract(a, b, subs=canonical(f"{batch}{i}{j},{batch}{j}{m}->{batch}{i}{m}"))


def triangle(like: Value, lower: bool, strict: bool) -> Value:
    """A mask of the lower (or upper) triangle of the last two axes, without the diagonal if `strict`."""
    g = like.graph
    r = like.rank
    rows = broadcast_along(g.emit(OPS["iota"], (), (like.shape[-2], I64)), like.shape, (r - 2,))
    columns = broadcast_along(g.emit(OPS["iota"], (), (like.shape[-1], I64)), like.shape, (r - 1,))
    if lower:
        return rows > columns if strict else rows >= columns
    return rows < columns if strict else rows <= columns


def keep_triangle(x: Value, lower: bool, strict: bool = False) -> Value:
    return where(triangle(x, lower, strict), x, full_like(x, 0))


def _square(name: str, t: TensorType, cx: Graph, position: int = 0) -> None:
    check_dtype(name, t, FLOATING, position)
    if t.rank < 2 or cx.equal_sizes(t.shape[-1], t.shape[-2]) is not True:
        raise InferError("shape-mismatch", f"`{name}` takes square matrices, not {t}", [(position, f"this is {t}")])


def _solve_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    a, b = tensor(operands[0]), tensor(operands[1])
    _square("solve", a, cx)
    if b.dtype is not a.dtype:
        raise InferError("wrong-dtype", f"`solve` takes operands of one dtype, not {a.dtype} and {b.dtype}", [(1, f"this is {b}")])
    if b.rank != a.rank or any(cx.equal_sizes(p, q) is not True for p, q in zip(a.shape[:-1], b.shape[:-1], strict=True)):
        raise InferError(
            "shape-mismatch", f"`solve` takes a right-hand side with the rows of {a}, not {b}", [(0, f"this is {a}"), (1, f"this is {b}")]
        )
    return b


def _solve_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    w = solve(transpose_last(y.operands[0]), ct)
    return [-matmul_last(w, transpose_last(cx.result(y))) if cx.need[0] else None, w if cx.need[1] else None]


def _batched(v: Value) -> Axes:
    batch = tuple(range(v.operands[0].rank - 2))
    return tuple((*batch, OPAQUE, OPAQUE) for _ in v.operands)


def _solve_samples(rng: np.random.Generator) -> list[Case]:
    return [
        Case((rng.normal(size=s) + 3 * np.eye(s[-1]), rng.normal(size=(*s[:-1], k))))
        for s, k in [((3, 3), 2), ((2, 2, 2), 1), ((1, 1), 1), ((0, 0), 2)]
    ]


solve = define(
    Op(
        "solve",
        "The solution of a system of linear equations for each column of the right-hand side. A singular matrix fails.",
        _solve_infer,
        _solve_vjp,
        arity=2,
        evaluate=lambda xp, a, b: xp.linalg.solve(a, b),
        axes=lambda v: (_batched(v)[0], (*_batched(v)[0][:-1], v.rank - 1)),
        fails="singular",
        # NumPy's result, f64 copies of the operands, and LAPACK's copies of one matrix and its right-hand side.
        workspace=lambda v: v.type.size * WIDE + widened(*[o.type for o in v.operands]) + one(v.operands[0].type) + one(v.type),
        cost=lambda v: v.operands[0].type.size * v.operands[0].shape[-1] + 2 * v.type.size * v.shape[-2],
        samples=_solve_samples,
        formula="x with a @ x = b",
        rejects=(
            Reject(("f64[2, 3]", "f64[2, 1]"), (), "shape-mismatch"),
            Reject(("f64[2, 2]", "f64[3, 1]"), (), "shape-mismatch"),
            Reject(("i64[2, 2]", "i64[2, 1]"), (), "wrong-dtype"),
        ),
    )
)


def _qr_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    check_dtype("qr", t, FLOATING)
    if t.rank < 2:
        raise InferError("rank-mismatch", f"`qr` takes matrices, not {t}", [(0, f"this is {t}")])
    m, n = t.shape[-2:]
    k: DimLike
    if cx.facts.at_least(m, n):
        k = n
    elif cx.facts.at_least(n, m):
        k = m
    else:
        raise InferError(
            "dim-unproved", f"`qr` must know which axis of {t} is the longer", [(0, f"this is {t}")], dim_fact=f"dim {m} >= {n}"
        )
    return TupleType([TensorType(t.dtype, (*t.shape[:-1], k)), TensorType(t.dtype, (*t.shape[:-2], k, n))])


def _qr_vjp(cx: RuleContext, cts: Any, y: Value) -> Sequence[Value | None]:
    """Roberts and Roberts 2020, "QR and LQ decomposition matrix backpropagation algorithms": tall or square matrices directly, wide ones by their first
    square block [X | Y] with R = [U | V], V = Q^T Y."""
    a = y.operands[0]
    q, r = project(y)
    g = y.graph
    dq = cts[0] if cts[0] is not None else full(g, 0, q.type)
    dr = cts[1] if cts[1] is not None else full(g, 0, r.type)
    m, n = a.shape[-2:]
    if y.graph.facts.at_least(m, n):
        return [_qr_tall(q, r, dq, dr)]
    head = a.shape[:-2]
    ones = (1,) * a.rank
    zero = (0,) * (a.rank - 1)
    left_shape, right_shape = (*head, m, m), (*head, m, n - m)

    def split(x: Value) -> tuple[Value, Value]:
        return (
            OPS["slice"](x, starts=(*zero, 0), sizes=left_shape, strides=ones),
            OPS["slice"](x, starts=(*zero, m), sizes=right_shape, strides=ones),
        )

    _, tail = split(a)
    u, _ = split(r)
    du, dv = split(dr)
    left = _qr_tall(q, u, dq + matmul_last(tail, transpose_last(dv)), du)
    return [OPS["concat"](left, matmul_last(q, dv), axis=a.rank - 1)]


def _qr_tall(q: Value, r: Value, dq: Value, dr: Value) -> Value:
    m = matmul_last(r, transpose_last(dr)) - matmul_last(transpose_last(dq), q)
    symmetric = keep_triangle(m, lower=True) + transpose_last(keep_triangle(m, lower=True, strict=True))
    right = dq + matmul_last(q, symmetric)
    # NaN of dependent columns, where there is no derivative: a matrix that `qr` takes fails nowhere, and a dead one stays without effect.
    return matmul_last(right, transpose_last(OPS["inv_or_nan"](r)))


def _qr(xp: Any, x: Any) -> Any:
    q, r = xp.linalg.qr(x)
    return q, r


def _qr_workspace(v: Value) -> DimLike:
    """A copy of the operand and q, while LAPACK has copies of one matrix of each, or while r and its mask are made."""
    x = v.operands[0].type
    q, r = v.type.items
    factors = one(x) + one(q)
    triangle = r.size * (WIDE + 1) if x.dtype is F64 else r.size * (WIDE + r.dtype.size)
    return x.size * WIDE + q.size * WIDE + dim_max(factors, triangle)


qr = define(
    Op(
        "qr",
        "Orthogonal and upper triangular factors of matrices (reduced): x = q @ r.",
        _qr_infer,
        _qr_vjp,
        evaluate=_qr,
        axes=_batched,
        workspace=_qr_workspace,
        cost=lambda v: 2 * v.operands[0].type.size * v.operands[0].shape[-1],
        samples=lambda rng: [Case((rng.normal(size=s) + np.eye(s[-2], s[-1]),)) for s in [(3, 3), (4, 2), (2, 3), (2, 3, 2)]],
        formula="x = q r",
        rejects=(Reject(("f64[3]",), (), "rank-mismatch"), Reject(("i64[3, 3]",), (), "wrong-dtype")),
    )
)
