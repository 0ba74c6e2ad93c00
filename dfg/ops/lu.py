"""Triangular factors of square matrices with partial pivoting: x[perm] = L U, and what is solved by them.

The gradient is that of S. Lutz and D. Walter (dA = P^T L^-T [tril(L^T dL, -1) + triu(dU U^T)] U^-T); the permutation is constant wherever it is defined.

>>> from dfg.ops import get
>>> [a.tolist() for a in get("lu").evaluate(np, np.array([[1.0, 2.0], [4.0, 2.0]]))]
[[1, 0], [[1.0, 0.0], [0.25, 1.0]], [[4.0, 2.0], [0.0, 1.5]]]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPS, Case, Op, Reject, RuleContext, define, full_like, project, tensor
from dfg.ops.elementwise import emit_cast, equal
from dfg.ops.linalg import WIDE, keep_triangle, matmul_last, one, transpose_last, widened
from dfg.ops.matrix import batched, column, identity, matrices, solve_triangular, square, systems
from dfg.ops.movement import broadcast_along
from dfg.ops.surface import Arg, Surface, function
from dfg.types import I64, TensorType, TupleType, Type

BLOCK = 32


def _lu(xp: Any, x: Any) -> tuple[Any, Any, Any]:
    n = x.shape[-1]
    count = int(np.prod(x.shape[:-2]))
    stack = x.reshape(count, n, n).astype(np.float64)
    order = np.tile(np.arange(n), (stack.shape[0], 1))
    with np.errstate(all="ignore"):
        for a, p in zip(stack, order, strict=True):
            _factor(a, p)
    made = stack.reshape(x.shape).astype(x.dtype, copy=False)
    order = order.astype(np.int64)
    return order.reshape(x.shape[:-1]), np.tril(made, -1) + np.eye(n, dtype=x.dtype), np.triu(made)


def _factor(a: Any, p: Any) -> None:
    """In place, by blocks of columns: the rest of the matrix is one product for each."""
    n = a.shape[0]
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
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
    square("lu", t, cx)
    return TupleType([TensorType(I64, t.shape[:-1]), t, t])


def _vjp(cx: RuleContext, cts: Any, y: Value) -> Sequence[Value | None]:
    perm, low, up = project(y)
    inner: Value | None = None
    if cts[1] is not None:
        inner = keep_triangle(matmul_last(transpose_last(low), cts[1]), lower=True, strict=True)
    if cts[2] is not None:
        right = keep_triangle(matmul_last(cts[2], transpose_last(up)), lower=False)
        inner = right if inner is None else inner + right
    if inner is None:
        return [None]
    left = solve_triangular(transpose_last(low), inner, lower=False, unit_diagonal=True)
    # NaN of a singular matrix, which has factors and no derivative: what `lu` takes fails nowhere, and a dead one stays without effect.
    made = matmul_last(left, transpose_last(OPS["inv_or_nan"](up)))
    # Rows go back where they came from.
    k = made.rank - 2
    return [OPS["scatter"](full_like(made, 0), made, perm, axes=(k,), batch=k, mode="set")]


def _samples(rng: np.random.Generator) -> list[Case]:
    shapes: list[tuple[int, ...]] = [(3, 3), (2, 2, 2), (1, 1), (0, 0), (2, 1, 3, 3)]
    return [Case((rng.normal(size=s)[..., ::-1, :] + 3 * np.eye(s[-1])[::-1],)) for s in shapes]


lu = define(
    Op(
        "lu",
        "Row order, unit lower and upper triangular factors of square matrices, with partial pivoting: x[perm] = L U. Factored in blocks by NumPy, several times slower than LAPACK.",
        _infer,
        _vjp,
        evaluate=_lu,
        axes=batched,
        workspace=lambda v: v.operands[0].type.size * WIDE * 3 + one(v.operands[0].type),
        cost=lambda v: v.operands[0].type.size * v.operands[0].shape[-1],
        samples=_samples,
        formula="x[perm] = L U",
        rejects=(Reject(("f64[2, 3]",), (), "shape-mismatch"), Reject(("i64[2, 2]",), (), "wrong-dtype")),
    )
)


@function("lu")
def lu_(cx: Surface, x: Arg) -> tuple[Value, Value, Value]:
    """A permutation, a unit lower and an upper triangular factor of square matrices: `p, l, u = lu(x)`, x = p @ l @ u."""
    v = matrices(cx, x, "lu")
    perm, low, up = project(lu(v))
    r = v.rank
    rows = broadcast_along(cx.graph.emit(OPS["iota"], (), (v.shape[-1], I64)), v.shape, (r - 2,))
    place = broadcast_along(perm, v.shape, (*range(r - 2), r - 1))
    return emit_cast(equal(rows, place), v.dtype), low, up


@function("lu_factor")
def lu_factor(cx: Surface, x: Arg) -> tuple[Value, Value]:
    """Both factors of square matrices in one, and the order of the rows: `f, perm = lu_factor(x)`, for `lu_solve(f, perm, b)`."""
    perm, low, up = project(lu(matrices(cx, x, "lu_factor")))
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
