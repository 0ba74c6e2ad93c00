"""Triangular factors of matrices with partial pivoting: x[perm] = L U, and what is solved by them.

The gradient is that of S. Lutz and D. Walter (dA = P^T L^-T [tril(L^T dL, -1) + triu(dU U^T)] U^-T); the permutation is constant wherever it is defined.

>>> from dfg.ops import get
>>> [a.tolist() for a in get("lu").evaluate(np, np.array([[1.0, 2.0], [4.0, 2.0]]))]
[[1, 0], [[1.0, 0.0], [0.25, 1.0]], [[4.0, 2.0], [0.0, 1.5]]]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dfg.dims import DimLike
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPS, Case, Op, Reject, RuleContext, check_dtype, define, full_like, project, tensor
from dfg.ops.elementwise import emit_cast, equal
from dfg.ops.linalg import WIDE, keep_triangle, matmul_last, one, transpose_last
from dfg.ops.matrix import batched, column, identity, matrices, solve_triangular, square, systems
from dfg.ops.movement import broadcast_along
from dfg.ops.surface import Arg, Surface, function
from dfg.types import FLOATING, I64, TensorType, TupleType, Type

BLOCK = 32


def _lu(xp: Any, x: Any) -> tuple[Any, Any, Any]:
    m, n = x.shape[-2:]
    k = min(m, n)
    count = int(np.prod(x.shape[:-2]))
    stack = x.reshape(count, m, n).astype(np.float64)
    order = np.tile(np.arange(m), (stack.shape[0], 1))
    with np.errstate(all="ignore"):
        for a, p in zip(stack, order, strict=True):
            _factor(a, p)
    made = stack.reshape(x.shape).astype(x.dtype, copy=False)
    order = order.astype(np.int64)
    return order.reshape(x.shape[:-1]), np.tril(made[..., :k], -1) + np.eye(m, k, dtype=x.dtype), np.triu(made[..., :k, :])


def _factor(a: Any, p: Any) -> None:
    """In place, by blocks of columns: the rest of the matrix is one product for each."""
    n = a.shape[1]
    most = min(a.shape)
    for start in range(0, most, BLOCK):
        stop = min(start + BLOCK, most)
        for k in range(start, stop):
            best = k + int(np.argmax(np.abs(a[k:, k])))
            if best != k:
                a[[k, best]] = a[[best, k]]
                p[[k, best]] = p[[best, k]]
            if a[k, k] != 0:
                a[k + 1 :, k] /= a[k, k]
            a[k + 1 :, k + 1 : stop] -= a[k + 1 :, k, None] * a[k, k + 1 : stop]
        if stop < n:
            for k in range(start + 1, stop):
                a[k, stop:] -= a[k, start:k] @ a[start:k, stop:]
            a[stop:, stop:] -= a[stop:, start:stop] @ a[start:stop, stop:]


def _infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    check_dtype("lu", t, FLOATING)
    if t.rank < 2:
        raise InferError("rank-mismatch", f"`lu` takes matrices, not {t}", [(0, f"this is {t}")])
    m, n = t.shape[-2:]
    if cx.facts.at_least(m, n):
        k = n
    elif cx.facts.at_least(n, m):
        k = m
    else:
        raise InferError("dim-unproved", f"`lu` must know which axis of {t} is the longer", [(0, f"this is {t}")], dim_fact=f"dim {m} >= {n}")
    return TupleType([TensorType(I64, t.shape[:-1]), t.with_shape((*t.shape[:-1], k)), t.with_shape((*t.shape[:-2], k, n))])


def _rows(x: Value, start: DimLike, size: DimLike) -> Value:
    return _window(x, x.rank - 2, start, size)


def _columns(x: Value, start: DimLike, size: DimLike) -> Value:
    return _window(x, x.rank - 1, start, size)


def _window(x: Value, axis: int, start: DimLike, size: DimLike) -> Value:
    starts = tuple(start if k == axis else 0 for k in range(x.rank))
    return OPS["slice"](x, starts=starts, sizes=tuple(size if k == axis else d for k, d in enumerate(x.shape)), strides=(1,) * x.rank)


def _vjp(cx: RuleContext, cts: Any, y: Value) -> Sequence[Value | None]:
    """With A = L U for the first square block, the rows below are L2 = A2 U^-1 and the columns beside U2 = L^-1 A2: what they add to the cotangents of L and U
    joins those of the block, and their own go back by the same factor."""
    perm, low, up = project(y)
    m, n = y.operands[0].shape[-2:]
    k = low.shape[-1]
    square_ = y.graph.equal_sizes(m, n) is True
    tall, wide = not square_ and k is n, not square_ and k is not n
    head, first = (_rows(low, 0, k) if tall else low), (_columns(up, 0, k) if wide else up)
    left_ct, right_ct = cts[1], cts[2]
    if left_ct is None and right_ct is None:
        return [None]
    inner: Value | None = None
    if left_ct is not None:
        inner = matmul_last(transpose_last(head), _rows(left_ct, 0, k) if tall else left_ct)
    if wide and right_ct is not None:
        beside = _columns(right_ct, k, n - k)
        taken = matmul_last(beside, transpose_last(_columns(up, k, n - k)))
        inner = -taken if inner is None else inner - taken
    total = None if inner is None else keep_triangle(inner, lower=True, strict=True)
    outer: Value | None = None
    if right_ct is not None:
        outer = matmul_last(_columns(right_ct, 0, k) if wide else right_ct, transpose_last(first))
    if tall and left_ct is not None:
        below = _rows(left_ct, k, m - k)
        taken = matmul_last(transpose_last(_rows(low, k, m - k)), below)
        outer = -taken if outer is None else outer - taken
    if outer is not None:
        kept = keep_triangle(outer, lower=False)
        total = kept if total is None else total + kept
    assert total is not None
    # NaN of a singular matrix, which has factors and no derivative: what `lu` takes fails nowhere, and a dead one stays without effect.
    inverse = transpose_last(OPS["inv_or_nan"](first))
    made = matmul_last(solve_triangular(transpose_last(head), total, lower=False, unit_diagonal=True), inverse)
    axis = made.rank - 2
    if tall:
        rest = matmul_last(_rows(left_ct, k, m - k), inverse) if left_ct is not None else full_like(_rows(low, k, m - k), 0)
        made = OPS["concat"](made, rest, axis=axis)
    elif wide:
        beside_ct = _columns(right_ct, k, n - k) if right_ct is not None else full_like(_columns(up, k, n - k), 0)
        rest = solve_triangular(transpose_last(head), beside_ct, lower=False, unit_diagonal=True)
        made = OPS["concat"](made, rest, axis=axis + 1)
    # Rows go back where they came from.
    return [OPS["scatter"](full_like(made, 0), made, perm, axes=(axis,), batch=axis, mode="set")]


def _samples(rng: np.random.Generator) -> list[Case]:
    shapes: list[tuple[int, ...]] = [(3, 3), (2, 2, 2), (1, 1), (0, 0), (2, 1, 3, 3)]
    shapes += [(4, 2), (2, 4), (2, 3, 2), (2, 2, 3), (0, 3), (3, 0), (1, 3), (3, 1)]
    return [Case((rng.normal(size=s)[..., ::-1, :] + 3 * np.eye(s[-2], s[-1])[::-1],)) for s in shapes]


lu = define(
    Op(
        "lu",
        "Row order, unit lower and upper triangular factors of matrices, with partial pivoting: x[perm] = L U. Factored in blocks by NumPy, several times slower than LAPACK.",
        _infer,
        _vjp,
        evaluate=_lu,
        axes=batched,
        workspace=lambda v: v.operands[0].type.size * WIDE * 3 + one(v.operands[0].type),
        cost=lambda v: v.operands[0].type.size * v.operands[0].shape[-1],
        samples=_samples,
        formula="x[perm] = L U",
        rejects=(Reject(("f64[2]",), (), "rank-mismatch"), Reject(("i64[2, 2]",), (), "wrong-dtype")),
    )
)


@function("lu")
def lu_(cx: Surface, x: Arg) -> tuple[Value, Value, Value]:
    """A permutation, a unit lower and an upper triangular (trapezoidal where x is not square) factor of matrices: `p, l, u = lu(x)`, x = p @ l @ u."""
    v = matrices(cx, x, "lu")
    perm, low, up = project(lu(v))
    r = v.rank
    shape = (*v.shape[:-1], v.shape[-2])
    rows = broadcast_along(cx.graph.emit(OPS["iota"], (), (v.shape[-2], I64)), shape, (r - 2,))
    place = broadcast_along(perm, shape, (*range(r - 2), r - 1))
    return emit_cast(equal(rows, place), v.dtype), low, up


@function("lu_factor")
def lu_factor(cx: Surface, x: Arg) -> tuple[Value, Value]:
    """Both factors of square matrices in one, and the order of the rows: `f, perm = lu_factor(x)`, for `lu_solve(f, perm, b)`."""
    v = matrices(cx, x, "lu_factor")
    square("lu_factor", v.type, cx.graph)
    perm, low, up = project(lu(v))
    return low - identity(low) + up, perm


@function("lu_solve")
def lu_solve(cx: Surface, f: Arg, perm: Arg, b: Arg) -> Value:
    """The solution of a @ x = b with `f, perm = lu_factor(a)`; `b` is a vector or matrices whose columns are solved for."""
    p, q, vector = systems(cx, f, b, "lu_solve")
    order = cx.value(perm)
    k = p.rank - 2
    if order.dtype is not I64 or order.rank != k + 1 or any(cx.graph.equal_sizes(s, t) is not True for s, t in zip(order.shape, p.shape[:-1], strict=True)):
        raise InferError("shape-mismatch", f"`lu_solve` takes the order of the rows of {p.type}, not {order.type}", [("perm", f"this is {order.type}")])
    moved = OPS["gather"](q, order, axes=(k,), batch=k)
    half = solve_triangular(keep_triangle(p, lower=True, strict=True) + identity(p), moved, lower=True, unit_diagonal=True)
    return column(solve_triangular(keep_triangle(p, lower=False), half, lower=False, unit_diagonal=False), vector)
