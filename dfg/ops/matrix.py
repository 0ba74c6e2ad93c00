"""Matrices over the last two axes, with leading batch axes: `solve_triangular`, `inv`, `expm`, and products (`vecdot`, `multi_dot`, `matrix_power`).

Gradients: M. Giles 2008, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation"; the exponential's by its Frechet
derivative, which is a block of the exponential of a block triangular matrix (A. Al-Mohy and N. Higham 2009).

>>> from dfg.ops import get
>>> get("inv").evaluate(np, np.array([[2.0, 0.0], [0.0, 4.0]]))
array([[0.5 , 0.  ],
       [0.  , 0.25]])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dfg.dims import DimLike, dim_min, suggest_fact
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPAQUE, OPS, Attr, Axes, Case, Op, Reject, RuleContext, check_dtype, define, full_like, tensor
from dfg.ops.contract import LETTERS, canonical, contract
from dfg.ops.elementwise import equal, where
from dfg.ops.linalg import WIDE, keep_triangle, matmul_last, one, takes, transpose_last, widened
from dfg.ops.movement import broadcast_along, emit_reshape
from dfg.ops.surface import Arg, Args, Axis, Flag, Size, Static, Surface, axis_number, call, function, plain
from dfg.types import FLOATING, I64, TensorType, Type


def square(name: str, t: TensorType, cx: Graph) -> None:
    """Refuse what is no (batch of) square floating matrix."""
    check_dtype(name, t, FLOATING)
    proved = cx.equal_sizes(t.shape[-1], t.shape[-2]) if t.rank >= 2 else False
    if proved is not True:
        raise InferError(
            "shape-mismatch" if proved is False else "dim-unproved",
            f"`{name}` takes square matrices, not {t}",
            [(0, f"this is {t}")],
            dim_fact=None if proved is False else suggest_fact(t.shape[-2], t.shape[-1]),
        )


def batched(v: Value) -> Axes:
    """Axes of an op over the last two axes of its operands."""
    return tuple((*range(o.rank - 2), OPAQUE, OPAQUE) for o in v.operands)


def matrices(cx: Surface, x: Any, name: str, argument: str = "x") -> Value:
    """A floating operand of rank 2 or more."""
    (v,) = cx.promote((x,), name, floating=True)
    if v.rank < 2:
        raise InferError("rank-mismatch", f"`{name}` takes matrices, not {v.type}", [(argument, f"this is {v.type}")])
    return v


def identity(like: Value) -> Value:
    """The identity of the shape (and dtype) of a batch of square matrices."""
    g = like.graph
    n = like.shape[-1]
    places = g.emit(OPS["iota"], (), (n, I64))
    shape = (n, n)
    hit = equal(broadcast_along(places, shape, (0,)), broadcast_along(places, shape, (1,)))
    return broadcast_along(OPS["cast"](hit, dtype=like.dtype), like.shape, (like.rank - 2, like.rank - 1))


def scalars_along(v: Value, like: Value) -> Value:
    """One number for each matrix, repeated over the matrix."""
    return broadcast_along(v, like.shape, tuple(range(like.rank - 2)))


def columns_along(v: Value, like: Value) -> Value:
    """One number for each column, repeated down the rows."""
    return broadcast_along(v, like.shape, (*range(like.rank - 2), like.rank - 1))


def rows_along(v: Value, like: Value) -> Value:
    """One number for each row, repeated along it."""
    return broadcast_along(v, like.shape, tuple(range(like.rank - 1)))


# --- triangular systems --------------------------------------------------------------------------------------------------------------

BLOCK = 64


def _triangular_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    a, b = tensor(operands[0]), tensor(operands[1])
    square("solve_triangular", a, cx)
    if b.dtype is not a.dtype:
        raise InferError("wrong-dtype", f"`solve_triangular` takes operands of one dtype, not {a.dtype} and {b.dtype}", [(1, f"this is {b}")])
    if b.rank != a.rank or any(cx.equal_sizes(p, q) is not True for p, q in zip(a.shape[:-1], b.shape[:-1], strict=True)):
        raise InferError(
            "shape-mismatch",
            f"`solve_triangular` takes a right-hand side with the rows of {a}, not {b}",
            [(0, f"this is {a}"), (1, f"this is {b}")],
        )
    return b


def _triangular(xp: Any, a: Any, b: Any, *, lower: bool, unit_diagonal: bool) -> Any:
    """Substitution by blocks. A block is solved as an upper triangular one, where elimination has nothing to do and pivots nothing: a lower one is
    turned round first."""
    n = a.shape[-1]
    made = xp.array(b, copy=True)
    starts = range(0, n, BLOCK)
    for i in starts if lower else reversed(starts):
        j = min(i + BLOCK, n)
        rest = slice(0, i) if lower else slice(j, n)
        here = made[..., i:j, :]
        if rest.stop > rest.start:
            here -= xp.matmul(a[..., i:j, rest], made[..., rest, :])
        block = xp.tril(a[..., i:j, i:j]) if lower else xp.triu(a[..., i:j, i:j])
        if unit_diagonal:
            block[..., range(j - i), range(j - i)] = 1
        if lower:
            here[...] = xp.linalg.solve(block[..., ::-1, ::-1], here[..., ::-1, :])[..., ::-1, :]
        else:
            here[...] = xp.linalg.solve(block, here)
    return made


def _triangular_workspace(v: Value) -> DimLike:
    """The result, and for one block of rows its triangle, its right-hand side and NumPy's wide copies of both."""
    t = v.type
    rows: DimLike = dim_min(t.shape[-2], BLOCK)
    many: DimLike = 1
    for d in t.shape[:-2]:
        many = many * d
    blocks: DimLike = many * rows * (rows + t.shape[-1]) * (WIDE + t.dtype.size)
    size: DimLike = t.size
    total: DimLike = size * t.dtype.size + blocks
    return total


def _triangular_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    lower, unit = y.attrs
    w = solve_triangular(transpose_last(y.operands[0]), ct, lower=not lower, unit_diagonal=unit)
    of_matrix = keep_triangle(-matmul_last(w, transpose_last(cx.result(y))), lower, strict=unit) if cx.need[0] else None
    return [of_matrix, w if cx.need[1] else None]


def _triangular_samples(rng: np.random.Generator) -> list[Case]:
    result = []
    shapes = [((3, 3), 3), ((3, 3), 1), ((2, 2, 2), 2), ((1, 1), 2), ((0, 0), 2), ((2, 2), 0), ((2, 1, 3, 3), 2)]
    for s, k in shapes:
        for lower in (False, True):
            for unit in (False, True):
                a = rng.normal(size=s) + 3 * np.eye(s[-1])
                result.append(Case((a, rng.normal(size=(*s[:-1], k))), (("lower", lower), ("unit_diagonal", unit))))
    large = rng.normal(size=(150, 150)) / 150 + np.eye(150)
    result += [Case((large, rng.normal(size=(150, 2))), (("lower", low), ("unit_diagonal", False)), wrt=()) for low in (False, True)]
    return result


solve_triangular = define(
    Op(
        "solve_triangular",
        "The solution of triangular systems of linear equations for each column of the right-hand side; the other triangle is not read. A zero on the diagonal fails.",
        _triangular_infer,
        _triangular_vjp,
        attrs=(Attr("lower", "bool"), Attr("unit_diagonal", "bool")),
        arity=2,
        evaluate=_triangular,
        axes=lambda v: (batched(v)[0], (*batched(v)[0][:-1], v.rank - 1)),
        fails="singular",
        workspace=_triangular_workspace,
        cost=lambda v: v.type.size * v.shape[-2],
        samples=_triangular_samples,
        formula="x with a @ x = b",
        rejects=(
            Reject(("f64[2, 3]", "f64[2, 1]"), (("lower", True), ("unit_diagonal", False)), "shape-mismatch"),
            Reject(("f64[2, 2]", "f64[3, 1]"), (("lower", True), ("unit_diagonal", False)), "shape-mismatch"),
            Reject(("i64[2, 2]", "i64[2, 1]"), (("lower", True), ("unit_diagonal", False)), "wrong-dtype"),
        ),
    )
)


def systems(cx: Surface, a: Any, b: Any, name: str, names: tuple[str, str] = ("a", "b")) -> tuple[Value, Value, bool]:
    """The operands of a linear system with equal batch axes; a vector becomes a column, and True is told."""
    p, q = cx.promote((a, b), name, floating=True)
    if p.rank < 2:
        raise InferError("rank-mismatch", f"`{name}` takes matrices, not {p.type}", [(names[0], f"this is {p.type}")])
    if q.rank == 0:
        raise InferError("rank-mismatch", f"`{name}` takes a vector or matrices on the right, not {q.type}", [(names[1], f"this is {q.type}")])
    vector = q.rank == 1
    if vector:
        q = emit_reshape(q, (*q.shape, 1))
    lead_p, lead_q = p.shape[:-2], q.shape[:-2]
    if lead_p != lead_q:
        shapes = cx.broadcast([OPS["sum"](v, axes=(v.rank - 2, v.rank - 1)) for v in (p, q)], name)[0].shape
        p, q = cx.stretch(p, (*shapes, *p.shape[-2:])), cx.stretch(q, (*shapes, *q.shape[-2:]))
    return p, q, vector


def column(made: Value, vector: bool) -> Value:
    return emit_reshape(made, made.shape[:-1]) if vector else made


@function("solve_triangular")
def solve_triangular_(
    cx: Surface, a: Arg, b: Arg, trans: Static = 0, lower: Flag = False, unit_diagonal: Flag = False, left: Flag = True
) -> Value:
    """The solution of `a @ x = b` (with `trans=1` of `a.mT @ x = b`, with `left=false` of `x @ a = b`) for a triangular `a`, whose other triangle is not read."""
    word = plain(trans)
    if word not in (0, 1, "N", "T"):
        raise InferError("bad-argument", '`solve_triangular` takes 0 ("N") or 1 ("T") as `trans`', [("trans", "this one")])
    low, unit, turned = bool(plain(lower)), bool(plain(unit_diagonal)), word in (1, "T")
    if not plain(left):
        p, q = cx.promote((a, b), "solve_triangular", floating=True)
        if q.rank < 2:
            raise InferError("rank-mismatch", f"`solve_triangular` takes matrices with `left=false`, not {q.type}", [("b", f"this is {q.type}")])
        return transpose_last(solve_triangular_(cx, p, transpose_last(q), 0 if turned else 1, low, unit))
    p, q, vector = systems(cx, a, b, "solve_triangular")
    if turned:
        p, low = transpose_last(p), not low
    return column(solve_triangular(p, q, lower=low, unit_diagonal=unit), vector)


@function("cholesky_solve")
def cholesky_solve(cx: Surface, b: Arg, x: Arg, upper: Flag = False) -> Value:
    """The solution of `a @ y = b` from the Cholesky factor `x` of `a`: lower, or upper if asked for."""
    p, q, vector = systems(cx, x, b, "cholesky_solve", ("x", "b"))
    up = bool(plain(upper))
    first, second = (transpose_last(p), p) if up else (p, transpose_last(p))
    made = solve_triangular(first, q, lower=True, unit_diagonal=False)
    return column(solve_triangular(second, made, lower=False, unit_diagonal=False), vector)


# --- inverse -----------------------------------------------------------------------------------------------------------------------------


def square_infer(name: str) -> Any:
    """The inference of an op that makes a square matrix of one (or of each of a batch)."""

    def infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
        t = tensor(operands[0])
        square(name, t, cx)
        return t

    return infer


def _inv_or_nan(xp: Any, x: Any) -> Any:
    try:
        return xp.linalg.inv(x)
    except np.linalg.LinAlgError:
        # The same elimination finds which ones are singular.
        bad = xp.linalg.slogdet(x)[0] == 0
    made = xp.linalg.inv(xp.where(bad[..., None, None], xp.eye(x.shape[-1], dtype=x.dtype), x))
    made[bad] = np.nan
    return made


def _inv_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    t = transpose_last(y)
    return [-matmul_last(matmul_last(t, ct), t)]


def regular(rng: np.random.Generator, s: tuple[int, ...]) -> np.ndarray:
    """Well-conditioned matrices."""
    return np.asarray(rng.normal(size=s) + 3 * np.eye(s[-2], s[-1]))


def _inverse(name: str, doc: str, evaluate: Any, fails: str | None, more: Sequence[np.ndarray]) -> Op:
    return define(
        Op(
            name,
            doc,
            square_infer(name),
            _inv_vjp,
            evaluate=evaluate,
            axes=batched,
            fails=fails,
            # NumPy's result, and LAPACK's copy of one matrix and of its inverse.
            workspace=lambda v: v.type.size * WIDE + widened(v.type) + one(v.type) * 2,
            cost=lambda v: 2 * v.type.size * v.shape[-1],
            samples=lambda rng: [Case((regular(rng, s),)) for s in [(3, 3), (2, 2, 2), (1, 1), (0, 0), (0, 2, 2), (2, 1, 2, 2)]] + [Case((x,), wrt=()) for x in more],
            formula="x^-1",
            rejects=(Reject(("f64[2, 3]",), (), "shape-mismatch"), Reject(("i64[2, 2]",), (), "wrong-dtype")),
        )
    )


_HALF_SINGULAR = np.array([[[1.0, 2.0], [2.0, 4.0]], [[2.0, 0.0], [0.0, 4.0]]])
inv = _inverse("inv", "The inverse of square matrices. A singular one fails.", lambda xp, x: xp.linalg.inv(x), "singular", ())
inv_or_nan = _inverse("inv_or_nan", "The inverse of square matrices, NaN for a singular one.", _inv_or_nan, None, (_HALF_SINGULAR,))


@function("inv")
def inv_(cx: Surface, x: Arg) -> Value:
    """The inverse of square matrices. A singular one fails the run."""
    return inv(matrices(cx, x, "inv"))


@function("inv_or_nan")
def inv_or_nan_(cx: Surface, x: Arg) -> Value:
    """The inverse of square matrices, NaN for a singular one."""
    return inv_or_nan(matrices(cx, x, "inv_or_nan"))


@function("matrix_power")
def matrix_power(cx: Surface, x: Arg, n: Size) -> Value:
    """Square matrices to an integer power, by repeated squaring; a negative power is one of the inverse."""
    v = matrices(cx, x, "matrix_power")
    square("matrix_power", v.type, cx.graph)
    k = plain(n)
    if isinstance(k, bool) or not isinstance(k, int):
        raise InferError("bad-argument", "`matrix_power` takes an integer known while compiling as `n`", [("n", "this one")])
    if k == 0:
        return identity(v)
    base = inv(v) if k < 0 else v
    k = abs(k)
    made: Value | None = None
    while True:
        if k % 2:
            made = base if made is None else matmul_last(made, base)
        k //= 2
        if not k:
            assert made is not None
            return made
        base = matmul_last(base, base)


# --- exponential ---------------------------------------------------------------------------------------------------------------------------

_PADE = (64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0, 10559470521600.0,
         670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0)  # fmt: skip
_THETA = 5.371920351148152
"""Up to this 1-norm the diagonal Pade approximant of degree 13 is exact to double precision (Higham 2005)."""


def _expm(xp: Any, x: Any) -> Any:
    """Scaling and squaring (N. Higham 2005, "The scaling and squaring method for the matrix exponential revisited"), each matrix with its own scale."""
    n = x.shape[-1]
    if x.size == 0:
        return xp.zeros_like(x)
    norm = xp.abs(x).sum(-2).max(-1)
    fine = xp.isfinite(norm)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = xp.where(fine & (norm > _THETA), xp.ceil(xp.log2(norm / _THETA)), 0.0).astype(np.int64)
    a = xp.where(fine[..., None, None], x, 0)
    a = xp.ldexp(a, -steps[..., None, None]).astype(x.dtype)
    one = xp.eye(n, dtype=x.dtype)
    b = [x.dtype.type(c / _PADE[0]) for c in _PADE]
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a2 @ a4
    odd = a @ (a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * one)
    even = a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * one
    made = xp.linalg.solve(even - odd, even + odd)
    for k in range(int(steps.max())):
        made = xp.where((steps > k)[..., None, None], made @ made, made)
    return xp.where(fine[..., None, None], made, np.nan).astype(x.dtype)


def _expm_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    """The Frechet derivative at x^T in the direction ct: the upper right block of exp([[x^T, ct], [0, x^T]]). It is linear in ct, which is brought to the
    size of 1, so that a large cotangent does not spoil the scaling."""
    a = transpose_last(y.operands[0])
    r, n = a.rank, a.shape[-1]
    calm = OPS["stop_gradient"](ct)
    size = OPS["sum"](OPS["maximum"](calm, -calm), axes=(r - 2, r - 1))
    size = where((size > 0) & (size < np.inf), size, full_like(size, 1))
    scale = scalars_along(size, a)
    top = OPS["concat"](a, ct / scale, axis=r - 1)
    bottom = OPS["concat"](full_like(a, 0), a, axis=r - 1)
    made = expm(OPS["concat"](top, bottom, axis=r - 2))
    corner = OPS["slice"](made, starts=(*(0,) * (r - 1), n), sizes=a.shape, strides=(1,) * r)
    return [corner * scale]


expm = define(
    Op(
        "expm",
        "The exponential of square matrices, by scaling and squaring. An infinite or NaN matrix gives NaN.",
        square_infer("expm"),
        _expm_vjp,
        evaluate=_expm,
        axes=batched,
        # The systems of the approximant are regular, but NumPy can only be told by running it.
        fails="singular",
        workspace=takes((9, 7), (3, 2.5)),
        cost=lambda v: 20 * v.type.size * v.shape[-1],
        samples=lambda rng: [Case((rng.normal(size=s),)) for s in [(3, 3), (2, 2, 2), (1, 1), (0, 0)]]
        + [Case((np.array([[0.0, 6.0], [-6.0, 0.0]]),)), Case((rng.normal(size=(3, 2, 2)) * np.array([1e-9, 1.0, 9.0])[:, None, None],), wrt=())],
        formula="exp(x) = 1 + x + x @ x / 2 + ...",
        rejects=(Reject(("f64[2, 3]",), (), "shape-mismatch"), Reject(("i64[2, 2]",), (), "wrong-dtype")),
    )
)


@function("expm", "matrix_exp")
def expm_(cx: Surface, x: Arg) -> Value:
    """The exponential of square matrices."""
    return expm(matrices(cx, x, "expm"))


# --- products ----------------------------------------------------------------------------------------------------------------------------


@function("vecdot")
def vecdot(cx: Surface, x1: Arg, x2: Arg, axis: Axis = -1) -> Value:
    """Products of vectors along an axis, summed: sum(x1 * x2, axis), so axes broadcast, that one too."""
    a, b = cx.promote((x1, x2), "vecdot")
    for v, argument in ((a, "x1"), (b, "x2")):
        if v.rank == 0:
            raise InferError("rank-mismatch", f"`vecdot` takes vectors, not the scalar {v.type}", [(argument, f"this is {v.type}")])
    # As in the array API the axis counts from the end where the ranks differ.
    k = axis_number(axis, min(a.rank, b.rank) if a.rank != b.rank else a.rank, "vecdot")
    back = k - min(a.rank, b.rank)
    p, q = cx.broadcast((a, b), "vecdot")
    names = LETTERS[: p.rank]
    kept = names.replace(names[p.rank + back], "")
    return contract(p, q, subs=canonical(f"{names},{names}->{kept}"))


@function("matvec")
def matvec(cx: Surface, x1: Arg, x2: Arg) -> Value:
    """Matrices times vectors: over the last axis of both; leading axes broadcast."""
    a, b = cx.value(x1), cx.value(x2)
    if a.rank < 2 or b.rank < 1:
        raise InferError("rank-mismatch", f"`matvec` takes matrices and vectors, not {a.type} and {b.type}", [("x1", f"this is {a.type}")])
    made = call(cx, "matmul", [a, emit_reshape(b, (*b.shape, 1))])
    return emit_reshape(made, made.shape[:-1])


@function("vecmat")
def vecmat(cx: Surface, x1: Arg, x2: Arg) -> Value:
    """Vectors times matrices: over the last axis of the first and the second to last of the other; leading axes broadcast."""
    a, b = cx.value(x1), cx.value(x2)
    if a.rank < 1 or b.rank < 2:
        raise InferError("rank-mismatch", f"`vecmat` takes vectors and matrices, not {a.type} and {b.type}", [("x2", f"this is {b.type}")])
    made = call(cx, "matmul", [emit_reshape(a, (*a.shape[:-1], 1, a.shape[-1])), b])
    return emit_reshape(made, (*made.shape[:-2], made.shape[-1]))


@function("multi_dot")
def multi_dot(cx: Surface, arrays: Args) -> Value:
    """The product of two or more matrices in the cheapest order; the first and the last may be vectors. Named sizes are multiplied from the left."""
    values = cx.promote(arrays, "multi_dot")
    if len(values) < 2:
        raise InferError("bad-argument", "`multi_dot` takes at least two matrices", [("arrays", "this list")])
    for k, v in enumerate(values):
        if v.rank != 2 and not (v.rank == 1 and k in (0, len(values) - 1)):
            raise InferError(
                "rank-mismatch", f"`multi_dot` takes matrices (and vectors at the ends), not {v.type}", [(k, f"this is {v.type}"), ("arrays", "in this list")]
            )
    first, last = values[0].rank == 1, values[-1].rank == 1
    if first:
        values[0] = emit_reshape(values[0], (1, *values[0].shape))
    if last:
        values[-1] = emit_reshape(values[-1], (*values[-1].shape, 1))
    sizes = [v.shape[0] for v in values] + [values[-1].shape[1]]
    made = _in_order(cx, values, sizes)
    return emit_reshape(made, tuple(d for d, gone in zip(made.shape, (first, last), strict=True) if not gone))


def _in_order(cx: Surface, values: list[Value], sizes: list[DimLike]) -> Value:
    """The product by the cheapest bracketing (dynamic programming), where all sizes are numbers."""
    numbers = [d for d in sizes if isinstance(d, int)]
    if len(numbers) < len(sizes):
        made = values[0]
        for v in values[1:]:
            made = call(cx, "matmul", [made, v])
        return made
    n = len(values)
    cost = [[0.0 if i == j else math.inf for j in range(n)] for i in range(n)]
    split = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            for k in range(i, j):
                c = cost[i][k] + cost[k + 1][j] + numbers[i] * numbers[k + 1] * numbers[j + 1]
                if c < cost[i][j]:
                    cost[i][j], split[i][j] = c, k
    done: dict[tuple[int, int], Value] = {(i, i): v for i, v in enumerate(values)}
    pending = [(0, n - 1)]
    while pending:
        i, j = pending[-1]
        k = split[i][j]
        lacking = [p for p in ((i, k), (k + 1, j)) if p not in done]
        if lacking:
            pending += lacking
            continue
        pending.pop()
        if (i, j) not in done:
            done[i, j] = call(cx, "matmul", [done[i, k], done[k + 1, j]])
    return done[0, n - 1]


