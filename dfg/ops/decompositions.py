"""Factorisations of matrices over the last two axes, with leading batch axes: `cholesky`, `eigh`, `svd`, `pinv`, and what is made of them.

Gradients: `cholesky` I. Murray 2016, "Differentiation of the Cholesky decomposition"; `eigh` M. Giles 2008; `svd` J. Townsend 2016, "Differentiating the
singular value decomposition"; `pinv` G. Golub and V. Pereyra 1973. Where eigenvalues or singular values are equal, the vectors among themselves are free: as
M. Kasim and S. Vinko 2020 ("Derivatives of partial eigendecomposition of a real symmetric matrix for degenerate cases") have it, those pairs contribute nothing,
which is right for every loss that does not depend on that freedom through them.

`cholesky`, `eigh` and `eigvalsh` act on the symmetric part (x + x^T) / 2, so that a gradient is unique, and symmetric.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dfg.dims import DimLike, dim_max, dim_min, suggest_fact
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPS, Attr, Case, Op, Reject, RuleContext, check_dtype, define, full_like, project, tensor
from dfg.ops.determinant import svd_or_nan
from dfg.ops.elementwise import emit_cast, equal, greater, where
from dfg.ops.linalg import WIDE, keep_triangle, matmul_last, one, transpose_last, widened
from dfg.ops.matrix import batched, column, columns_along, identity, matrices, rows_along, solve_triangular, square, square_infer, systems
from dfg.ops.movement import broadcast_along
from dfg.ops.surface import Arg, Flag, Static, Surface, function, plain
from dfg.ops.taylor import program
from dfg.types import FLOATING, I64, TensorType, TupleType, Type

SYMMETRIC_REJECTS = (Reject(("f64[2, 3]",), (), "shape-mismatch"), Reject(("i64[2, 2]",), (), "wrong-dtype"))


def symmetric_part(x: Value) -> Value:
    return (x + transpose_last(x)) * 0.5


def _symmetric(xp: Any, x: Any) -> Any:
    return (x + xp.swapaxes(x, -1, -2)) * x.dtype.type(0.5)


# --- cholesky --------------------------------------------------------------------------------------------------------------------------


def _cholesky(xp: Any, x: Any) -> Any:
    try:
        return xp.linalg.cholesky(_symmetric(xp, x))
    except np.linalg.LinAlgError:
        raise np.linalg.LinAlgError("the matrix is not positive definite") from None


def _cholesky_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    """S = L^-T P(L^T ct) L^-1, where P keeps the lower triangle and half of the diagonal."""
    up = transpose_last(y)
    inner = matmul_last(up, ct)
    inner = (keep_triangle(inner, lower=True) + keep_triangle(inner, lower=True, strict=True)) * 0.5
    left = solve_triangular(up, inner, lower=False, unit_diagonal=False)
    made = transpose_last(solve_triangular(up, transpose_last(left), lower=False, unit_diagonal=False))
    return [symmetric_part(made)]


def _positive(rng: np.random.Generator, s: tuple[int, ...]) -> np.ndarray:
    a = rng.normal(size=s)
    return np.asarray(a @ np.swapaxes(a, -1, -2) + s[-1] * np.eye(s[-1]) + 0.2 * rng.normal(size=s))


cholesky = define(
    Op(
        "cholesky",
        "The lower triangular Cholesky factor of the symmetric part of matrices: (x + x^T) / 2 = L L^T. One that is not positive definite fails.",
        square_infer("cholesky"),
        _cholesky_vjp,
        evaluate=_cholesky,
        axes=batched,
        fails="singular",
        workspace=lambda v: v.type.size * (v.dtype.size + WIDE) + widened(v.type) + one(v.type),
        cost=lambda v: v.type.size * v.shape[-1],
        samples=lambda rng: [Case((_positive(rng, s),)) for s in [(3, 3), (2, 2, 2), (1, 1), (0, 0), (2, 1, 2, 2)]],
        formula="L with L L^T = (x + x^T) / 2",
        rejects=SYMMETRIC_REJECTS,
    )
)


@function("cholesky")
def cholesky_(cx: Surface, x: Arg, upper: Flag = False) -> Value:
    """The lower (or upper) triangular Cholesky factor of the symmetric part of matrices. One that is not positive definite fails the run."""
    made = cholesky(matrices(cx, x, "cholesky"))
    return transpose_last(made) if plain(upper) else made


# --- symmetric eigenvalues ---------------------------------------------------------------------------------------------------------------


def safe_reciprocal(x: Value) -> Value:
    """1 / x, and 0 where x is 0."""
    zero = equal(x, full_like(x, 0))
    return where(zero, full_like(x, 0), 1 / where(zero, full_like(x, 1), x))


def apart_reciprocal(gap: Value, w: Value) -> Value:
    """1 / gap, and 0 where it is no more than what rounding makes of equal ones among `w` (their axis is the last): there only noise would be divided."""
    size = OPS["sum"](OPS["abs"](w), axes=(w.rank - 1,)) * float(4 * np.finfo(w.dtype.np).eps)
    zero = OPS["less_equal"](OPS["abs"](gap), broadcast_along(size, gap.shape, tuple(range(w.rank - 1))))
    return where(zero, full_like(gap, 0), 1 / where(zero, full_like(gap, 1), gap))


def _eigh(xp: Any, x: Any) -> tuple[Any, Any]:
    s = _symmetric(xp, x)
    fine = xp.isfinite(s).all((-2, -1))
    if fine.all():
        w, v = xp.linalg.eigh(s)
        return w, v
    w, v = xp.linalg.eigh(xp.where(fine[..., None, None], s, 0))
    w[~fine] = np.nan
    v[~fine] = np.nan
    return w, v


def _eigvalsh(xp: Any, x: Any) -> Any:
    s = _symmetric(xp, x)
    fine = xp.isfinite(s).all((-2, -1))
    if fine.all():
        return xp.linalg.eigvalsh(s)
    w = xp.linalg.eigvalsh(xp.where(fine[..., None, None], s, 0))
    w[~fine] = np.nan
    return w


def _symmetric_bytes(v: Value, results: int) -> DimLike:
    """Bytes of the symmetric part, of its wide copy if it is not wide, and of some results of its size."""
    x: TensorType = v.operands[0].type
    return x.size * (x.dtype.size + WIDE * results) + widened(x)


def _eigh_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    square("eigh", t, cx)
    return TupleType([TensorType(t.dtype, t.shape[:-1]), t])


def _of_eigenvalues(x: Value, w: Value, v: Value, ct: Value) -> Value:
    """V diag(ct) V^T. Where ct is an elementwise function of the eigenvalues it is one of the matrix, whose derivatives exist at equal eigenvalues too."""
    f = program(ct, w)
    return OPS["spectral"](x, f=f) if f is not None else matmul_last(v * columns_along(ct, v), transpose_last(v))


def _eigh_vjp(cx: RuleContext, cts: Any, y: Value) -> Sequence[Value | None]:
    """V (diag(ct_w) + F * (V^T ct_V)) V^T with F[i, j] = 1 / (w[j] - w[i])."""
    w, v = project(y)
    parts = []
    if cts[0] is not None:
        parts.append(_of_eigenvalues(y.operands[0], w, v, cts[0]))
    if cts[1] is not None:
        gaps = columns_along(w, v) - rows_along(w, v)
        inner = apart_reciprocal(gaps, w) * matmul_last(transpose_last(v), cts[1])
        parts.append(matmul_last(matmul_last(v, inner), transpose_last(v)))
    if not parts:
        return [None]
    return [symmetric_part(parts[0] if len(parts) == 1 else parts[0] + parts[1])]


def _apart(rng: np.random.Generator, s: tuple[int, ...]) -> np.ndarray:
    """Matrices whose symmetric part has well separated eigenvalues."""
    q = np.linalg.qr(rng.normal(size=s))[0]
    w = np.arange(s[-1]) + 0.3 * rng.random(s[-1])
    a = 0.2 * rng.normal(size=s)
    return np.asarray((q * w) @ np.swapaxes(q, -1, -2) + a - np.swapaxes(a, -1, -2))


_EIGH_SHAPES: list[tuple[int, ...]] = [(3, 3), (2, 2, 2), (1, 1), (0, 0), (2, 1, 3, 3)]

eigh = define(
    Op(
        "eigh",
        "Eigenvalues, in ascending order, and orthonormal eigenvectors, as columns, of the symmetric part of matrices. A matrix that is not finite gives NaN.",
        _eigh_infer,
        _eigh_vjp,
        evaluate=_eigh,
        axes=batched,
        fails="singular",
        # The symmetric part, the vectors, and LAPACK's copy of one matrix with its workspace.
        workspace=lambda v: _symmetric_bytes(v, 1) + one(v.operands[0].type) * 3,
        cost=lambda v: 9 * v.operands[0].type.size * v.operands[0].shape[-1],
        samples=lambda rng: [Case((_apart(rng, s),)) for s in _EIGH_SHAPES],
        formula="(x + x^T) / 2 = v diag(w) v^T",
        rejects=SYMMETRIC_REJECTS,
    )
)


def _eigvalsh_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    square("eigvalsh", t, cx)
    return t.with_shape(t.shape[:-1])


def _eigvalsh_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    f = program(ct, y)
    if f is not None:
        return [OPS["spectral"](y.operands[0], f=f)]
    _, v = project(eigh(y.operands[0]))
    return [matmul_last(v * columns_along(ct, v), transpose_last(v))]


eigvalsh = define(
    Op(
        "eigvalsh",
        "Eigenvalues, in ascending order, of the symmetric part of matrices.",
        _eigvalsh_infer,
        _eigvalsh_vjp,
        evaluate=_eigvalsh,
        axes=batched,
        fails="singular",
        workspace=lambda v: _symmetric_bytes(v, 0) + one(v.operands[0].type),
        cost=lambda v: 2 * v.operands[0].type.size * v.operands[0].shape[-1],
        samples=lambda rng: [Case((_apart(rng, s),)) for s in _EIGH_SHAPES],
        formula="the w with det((x + x^T) / 2 - w) = 0",
        rejects=SYMMETRIC_REJECTS,
    )
)


@function("eigh")
def eigh_(cx: Surface, x: Arg) -> tuple[Value, ...]:
    """Eigenvalues, in ascending order, and eigenvectors (columns) of the symmetric part of matrices: `w, v = eigh(x)`."""
    return project(eigh(matrices(cx, x, "eigh")))


@function("eigvalsh")
def eigvalsh_(cx: Surface, x: Arg) -> Value:
    """Eigenvalues, in ascending order, of the symmetric part of matrices."""
    return eigvalsh(matrices(cx, x, "eigvalsh"))


# --- singular values ---------------------------------------------------------------------------------------------------------------------


def shorter(cx: Graph, m: DimLike, n: DimLike) -> DimLike:
    """The smaller of two sizes, by its name where it is known which one is."""
    if cx.facts.at_least(m, n):
        return n
    if cx.facts.at_least(n, m):
        return m
    return dim_min(m, n)


def _rectangular(name: str, t: TensorType) -> None:
    check_dtype(name, t, FLOATING)
    if t.rank < 2:
        raise InferError("rank-mismatch", f"`{name}` takes matrices, not {t}", [(0, f"this is {t}")])


def _svd_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    _rectangular("svd", t)
    m, n = t.shape[-2:]
    k, head = shorter(cx, m, n), t.shape[:-2]
    return TupleType([t.with_shape((*head, m, k)), t.with_shape((*head, k)), t.with_shape((*head, k, n))])


def _svd_bytes(x: TensorType, k: DimLike, square_: bool) -> DimLike:
    """NumPy's wide results, LAPACK's copies of one matrix and its factors, and its workspace: measured 2.7 and, for tall matrices, up to 4.3 squares."""
    m, n = x.shape[-2:]
    many: DimLike = 1
    for d in x.shape[:-2]:
        many = many * d
    factors = k * (m + n) * WIDE
    return many * factors + factors + one(x) + k * k * (22 if square_ else 35) + widened(x)


def _svd_workspace(v: Value) -> DimLike:
    x = v.operands[0].type
    return _svd_bytes(x, v.type.items[1].shape[-1], x.shape[-1] == x.shape[-2])


def _pinv_workspace(v: Value) -> DimLike:
    """A singular value decomposition, or its factors with the weighted one and the product."""
    x = v.operands[0].type
    m, n = x.shape[-2:]
    k = shorter(v.graph, m, n)
    many: DimLike = 1
    for d in x.shape[:-2]:
        many = many * d
    after = many * (k * (2 * m + n) + m * n) * x.dtype.size
    return dim_max(_svd_bytes(x, k, m == n), after)


def _svd_vjp(cx: RuleContext, cts: Any, y: Value) -> Sequence[Value | None]:
    """Townsend's equations 27 to 31."""
    u, s, vh = project(y)
    cu, cs, cv = cts
    facts = y.graph.facts
    m, n = y.operands[0].shape[-2:]
    k = s.shape[-1]
    sums: list[Value] = []  # what stands between u and vh
    made: list[Value] = []
    shape = (*s.shape[:-1], k, k)
    lead = tuple(range(s.rank - 1))
    rows, columns = broadcast_along(s, shape, (*lead, s.rank - 1)), broadcast_along(s, shape, (*lead, s.rank))
    f = program(cs, s) if cs is not None else None
    if f is not None:
        # Smooth also where singular values are equal.
        made.append(OPS["singular"](y.operands[0], f=f))
    elif cs is not None:
        sums.append(identity(rows) * broadcast_along(cs, shape, (*lead, s.rank)))
    inverse = safe_reciprocal(s)
    turns: list[Value] = []
    if cu is not None:
        inner = matmul_last(transpose_last(u), cu)
        turns.append(inner - transpose_last(inner))
        if facts.at_least(k, m) is not True:
            # What leaves the column space.
            outside = (cu - matmul_last(u, inner)) * columns_along(inverse, cu)
            made.append(matmul_last(outside, vh))
    if cv is not None:
        inner = matmul_last(vh, transpose_last(cv))
        turns.append(inner - transpose_last(inner))
        if facts.at_least(k, n) is not True:
            outside = (cv - matmul_last(transpose_last(inner), vh)) * rows_along(inverse, cv)
            made.append(matmul_last(u, outside))
    if turns:
        # With a, b of the two sides (a s_j + b s_i) / (s_j^2 - s_i^2) is half of (a + b) / (s_j - s_i) + (a - b) / (s_j + s_i): where values are equal, a loss
        # that does not depend on the choice of vectors has a + b = 0, and the rest is regular.
        a = turns[0]
        both, odd = (a + turns[1], a - turns[1]) if len(turns) > 1 else (a, a if cu is not None else -a)
        sums.append((both * apart_reciprocal(columns - rows, s) + odd * apart_reciprocal(columns + rows, s)) * 0.5)
    if sums:
        total = sums[0]
        for e in sums[1:]:
            total = total + e
        made.insert(0, matmul_last(matmul_last(u, total), vh))
    if not made:
        return [None]
    result = made[0]
    for e in made[1:]:
        result = result + e
    return [result]


def _spread(rng: np.random.Generator, s: tuple[int, ...]) -> np.ndarray:
    """Matrices with well separated singular values."""
    u, w, vh = np.linalg.svd(rng.normal(size=s), full_matrices=False)
    w = np.arange(w.shape[-1])[::-1] + 1 + 0.3 * rng.random(w.shape[-1])
    return np.asarray((u * w[..., None, :]) @ vh)


_SVD_SHAPES: list[tuple[int, ...]] = [(3, 3), (4, 2), (2, 3), (2, 3, 2), (1, 1), (0, 2), (2, 0), (2, 1, 2, 3)]
_SVD_REJECTS = (Reject(("f64[3]",), (), "rank-mismatch"), Reject(("i64[2, 2]",), (), "wrong-dtype"))

svd = define(
    Op(
        "svd",
        "The reduced singular value decomposition: x = u diag(s) vh, s in descending order. A matrix that is not finite gives NaN.",
        _svd_infer,
        _svd_vjp,
        evaluate=svd_or_nan,
        axes=batched,
        fails="singular",
        workspace=_svd_workspace,
        cost=lambda v: 20 * v.operands[0].type.size * v.type.items[1].shape[-1],
        samples=lambda rng: [Case((_spread(rng, s),)) for s in _SVD_SHAPES],
        formula="x = u diag(s) vh",
        rejects=_SVD_REJECTS,
    )
)


def _svdvals(xp: Any, x: Any) -> Any:
    fine = xp.isfinite(x).all((-2, -1))
    if fine.all():
        return xp.linalg.svd(x, compute_uv=False)
    s = xp.linalg.svd(xp.where(fine[..., None, None], x, 0), compute_uv=False)
    s[~fine] = np.nan
    return s


def _svdvals_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    _rectangular("svdvals", t)
    return t.with_shape((*t.shape[:-2], shorter(cx, *t.shape[-2:])))


def _svdvals_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    f = program(ct, y)
    if f is not None:
        return [OPS["singular"](y.operands[0], f=f)]
    u, _, vh = project(svd(y.operands[0]))
    return [matmul_last(u * columns_along(ct, u), vh)]


svdvals = define(
    Op(
        "svdvals",
        "The singular values of matrices, in descending order.",
        _svdvals_infer,
        _svdvals_vjp,
        evaluate=_svdvals,
        axes=batched,
        fails="singular",
        workspace=lambda v: widened(v.operands[0].type) + one(v.operands[0].type) + v.operands[0].type.size,
        cost=lambda v: 4 * v.operands[0].type.size * v.shape[-1],
        samples=lambda rng: [Case((_spread(rng, s),)) for s in _SVD_SHAPES],
        formula="the square roots of the eigenvalues of x^T x",
        rejects=_SVD_REJECTS,
    )
)


@function("svd")
def svd_(cx: Surface, x: Arg, full_matrices: Flag = False) -> tuple[Value, ...]:
    """The reduced singular value decomposition: `u, s, vh = svd(x)`, x = u diag(s) vh, s in descending order."""
    v = matrices(cx, x, "svd")
    if plain(full_matrices) and cx.graph.equal_sizes(v.shape[-1], v.shape[-2]) is not True:
        raise InferError(
            "bad-argument",
            f"`svd` gives the reduced form: the vectors that complete a basis for {v.type} are not determined and have no gradient",
            [("full_matrices", "this one")],
            help="leave `full_matrices` out",
        )
    return project(svd(v))


@function("svdvals")
def svdvals_(cx: Surface, x: Arg) -> Value:
    """The singular values of matrices, in descending order."""
    return svdvals(matrices(cx, x, "svdvals"))


# --- pseudo-inverse ------------------------------------------------------------------------------------------------------------------------


def _cutoff(dtype: np.dtype, longer: int, rtol: float | None) -> float:
    return longer * float(np.finfo(dtype).eps) if rtol is None else rtol


def _pinv(xp: Any, x: Any, *, rtol: float | None) -> Any:
    u, s, vh = svd_or_nan(xp, x)
    if not s.size:
        return xp.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)
    small = s <= _cutoff(x.dtype, max(x.shape[-2:]), rtol) * s[..., :1]
    weights = xp.where(small, 0, 1 / xp.where(small, 1, s)).astype(x.dtype)
    return xp.swapaxes(vh, -1, -2) @ (weights[..., None] * xp.swapaxes(u, -1, -2))


def _pinv_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    _rectangular("pinv", t)
    return t.with_shape((*t.shape[:-2], t.shape[-1], t.shape[-2]))


def _pinv_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    """The adjoint of dP = -P dA P + P P^T dA^T (1 - A P) + (1 - P A) dA^T P^T P, bracketed so that no matrix is larger than A."""
    a, p = y.operands[0], y
    pt, g = transpose_last(p), transpose_last(ct)
    first = matmul_last(matmul_last(pt, ct), pt)
    left = g - matmul_last(a, matmul_last(p, g))
    right = g - matmul_last(matmul_last(g, p), a)
    second = matmul_last(matmul_last(left, p), pt)
    third = matmul_last(pt, matmul_last(p, right))
    return [second + third - first]


pinv = define(
    Op(
        "pinv",
        "The Moore-Penrose inverse of matrices; singular values up to `rtol` of the largest count as 0. The gradient holds where the rank does not change.",
        _pinv_infer,
        _pinv_vjp,
        attrs=(Attr("rtol", "float"),),
        evaluate=_pinv,
        axes=batched,
        fails="singular",
        workspace=_pinv_workspace,
        cost=lambda v: 24 * v.operands[0].type.size * v.shape[-1],
        samples=lambda rng: [Case((_spread(rng, s),), (("rtol", r),)) for s, r in [((3, 3), None), ((4, 2), None), ((2, 3), 1e-9), ((2, 3, 2), None), ((0, 2), None), ((2, 0), None)]]
        + [Case((rng.normal(size=(4, 1)) @ rng.normal(size=(1, 3)),), (("rtol", 1e-6),), wrt=())],
        formula="x^+",
        rejects=(Reject(("f64[3]",), (("rtol", None),), "rank-mismatch"), Reject(("i64[2, 2]",), (("rtol", None),), "wrong-dtype")),
    )
)


def _tolerance(rtol: Any, name: str) -> float | None:
    given = plain(rtol)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not given >= 0:
        raise InferError("bad-argument", f"`{name}` takes a number of at least 0, known while compiling, as `rtol`", [("rtol", "this one")])
    return float(given)


@function("pinv")
def pinv_(cx: Surface, x: Arg, rtol: Static = None) -> Value:
    """The Moore-Penrose inverse of matrices. Singular values up to `rtol` times the largest count as 0; by default the larger size times the rounding unit (as
    `np.linalg.matrix_rank` and `lstsq` have it). Of a matrix that has not full rank the gradient is that among matrices of its rank: the inverse jumps to all others."""
    return pinv(matrices(cx, x, "pinv"), rtol=_tolerance(rtol, "pinv"))


@function("lstsq")
def lstsq(cx: Surface, a: Arg, b: Arg, rtol: Static = None) -> Value:
    """The `x` of least norm of those for which `a @ x` is nearest to `b` (a vector, or matrices whose columns are solved for): `pinv(a) @ b`, with `rtol` as there
    (NumPy's `rcond`). By `b` the gradient always holds; by an `a` that has not full rank it is that among matrices of its rank."""
    p, q, vector = systems(cx, a, b, "lstsq")
    if (proved := cx.graph.equal_sizes(p.shape[-2], q.shape[-2])) is not True:
        raise InferError(
            "shape-mismatch" if proved is False else "dim-unproved",
            f"`lstsq` takes a right-hand side with the rows of {p.type}, not {q.type}",
            [("a", f"this is {p.type}"), ("b", f"this is {q.type}")],
            dim_fact=None if proved is False else suggest_fact(p.shape[-2], q.shape[-2]),
        )
    return column(matmul_last(pinv(p, rtol=_tolerance(rtol, "lstsq")), q), vector)


@function("matrix_rank")
def matrix_rank(cx: Surface, x: Arg, rtol: Static = None) -> Value:
    """The number of singular values above `rtol` times the largest (by default the larger size times the rounding unit)."""
    v = matrices(cx, x, "matrix_rank")
    s = svdvals(v)
    given = _tolerance(rtol, "matrix_rank")
    k = s.rank - 1
    cx.graph.need(s.shape[-1], 1, "`matrix_rank` of an empty matrix has no largest singular value", "empty-axis", [("x", f"this is {v.type}")])
    largest = OPS["max"](s, axes=(k,))
    if given is None:
        m, n = (emit_cast(cx.graph.emit(OPS["dim"], (), (d,)), v.dtype) for d in v.shape[-2:])
        unit = OPS["maximum"](m, n) * float(np.finfo(v.dtype.np).eps)
        bound = largest * broadcast_along(unit, largest.shape, ())
    else:
        bound = largest * given
    return OPS["sum"](emit_cast(greater(s, broadcast_along(bound, s.shape, tuple(range(k)))), I64), axes=(k,))


