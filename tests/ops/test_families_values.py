"""Values of linear algebra, ordering, running results, convolution and pooling against NumPy, SciPy and direct loops; what is singular or tied; what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg

import dfg
import dfg.ops.convolution as convolution
import dfg.ops.functions
from dfg.codegen.interpret import interpret
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPS
from dfg.ops.contract import split_subs
from dfg.ops.surface import Literal, Surface, call
from dfg.passes.manager import PIPELINE, run_pipeline
from dfg.types import TensorType, from_numpy


def evaluated(name: str, *given: Any, **named: Any) -> Any:
    """A surface function on arrays."""
    g = Graph()
    env: dict[str, np.ndarray] = {}

    def leaf(a: Any) -> Any:
        if isinstance(a, list) and a and isinstance(a[0], np.ndarray):
            return [leaf(b) for b in a]
        if not isinstance(a, np.ndarray):
            return a
        d = from_numpy(a.dtype)
        assert d is not None
        key = f"x{len(env)}"
        env[key] = a
        return g.emit(OPS["input"], (), (key, TensorType(d, a.shape)))

    made = call(Surface(g), name, [leaf(a) for a in given], {k: leaf(a) for k, a in named.items()})
    several = isinstance(made, tuple)
    g.roots.outputs.update({str(k): v for k, v in enumerate(made if several else (made,))})
    clean = run_pipeline(g, PIPELINE)
    places = {v.attrs[0]: v.index for v in clean.values if v.op.name == "input"}
    with np.errstate(all="ignore"):
        arrays = interpret(list(clean.roots.outputs.values()), {places[k]: a for k, a in env.items() if k in places}, {})
    return tuple(arrays) if several else arrays[0]


def same(made: Any, want: Any, tolerance: float = 1e-11) -> None:
    made, want = np.asarray(made), np.asarray(want)
    assert (made.shape, made.dtype) == (want.shape, want.dtype)
    np.testing.assert_allclose(made, want, rtol=tolerance, atol=tolerance)


RNG = np.random.default_rng(5)
X = RNG.normal(size=(3, 5, 4))
WITH_NAN = X.copy()
WITH_NAN[0, 1, 2] = np.nan
TIED = RNG.integers(0, 4, (3, 5, 4)).astype(np.float64)
WHOLE = RNG.integers(0, 4, (3, 5, 4))
MATRICES = RNG.normal(size=(2, 4, 4))
REGULAR = MATRICES + 5 * np.eye(4)
SIDES = RNG.normal(size=(4, 3))
ARRAYS = pytest.mark.parametrize("x", [X, WITH_NAN, TIED, WHOLE], ids=["numbers", "nan", "ties", "integers"])
AXES = pytest.mark.parametrize("axis", [0, 1, -1])

# --- ordering ----------------------------------------------------------------------------------------------------------------------------


@ARRAYS
@AXES
@pytest.mark.parametrize("descending", [False, True])
def test_sorting(x: np.ndarray, axis: int, descending: bool) -> None:
    want = np.sort(x, axis)
    want = np.flip(want, axis) if descending else want
    same(evaluated("sort", x, axis=axis, descending=descending), want)
    places = evaluated("argsort", x, axis=axis, descending=descending)
    same(np.take_along_axis(x, places, axis), want)
    values, indices = evaluated("topk", x, 2, axis=axis, largest=descending)
    same(values, np.take(want, [0, 1], axis))
    same(indices, np.take(places, [0, 1], axis))
    # Stable: of neighbours that are equal the earlier one stands first.
    a, b = np.take(places, range(places.shape[axis] - 1), axis), np.take(places, range(1, places.shape[axis]), axis)
    tied = np.take_along_axis(x, a, axis) == np.take_along_axis(x, b, axis)
    assert (a < b)[tied].all()


def test_kthvalue_counts_from_one() -> None:
    values, indices = evaluated("kthvalue", X, 2, axis=1)
    same(values, np.sort(X, 1)[:, 1])
    same(indices, np.argsort(X, 1)[:, 1])


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side: str) -> None:
    row = np.sort(RNG.integers(0, 6, 7)).astype(np.float64)
    same(evaluated("searchsorted", row, TIED, side=side), np.searchsorted(row, TIED, side))  # type: ignore[call-overload]
    order = RNG.permutation(7)
    same(evaluated("searchsorted", row[order], TIED, side=side, sorter=np.argsort(row[order], kind="stable")), np.searchsorted(row, TIED, side))  # type: ignore[call-overload]
    rows, probes = np.sort(RNG.integers(0, 6, (3, 5, 6)), -1).astype(np.float64), RNG.integers(-1, 7, (3, 5, 4)).astype(np.float64)
    want = np.array([[np.searchsorted(r, p, side) for r, p in zip(a, b, strict=True)] for a, b in zip(rows, probes, strict=True)])  # type: ignore[call-overload]
    same(evaluated("searchsorted", rows, probes, side=side), want)
    same(evaluated("digitize", TIED, row, right=side == "right"), np.digitize(TIED, row, right=side == "right"))
    same(evaluated("bucketize", TIED, row, right=side == "right"), np.searchsorted(row, TIED, side))  # type: ignore[call-overload]


METHODS = ["linear", "hazen", "weibull", "median_unbiased", "normal_unbiased", "interpolated_inverted_cdf", "lower", "higher", "midpoint", "nearest"]


@ARRAYS
@pytest.mark.parametrize("method", METHODS)
def test_quantiles(x: np.ndarray, method: str) -> None:
    for axis in (None, 0, -1, (0, 2)):
        for q in (0.0, 0.5, 0.3, 1.0, [0.1, 0.25, 0.9]):
            for keepdims in (False, True):
                want = np.asarray(np.quantile(x, q, axis=axis, keepdims=keepdims, method=method), np.float64)  # type: ignore[call-overload]
                same(evaluated("quantile", x, Literal.of(q), axis=axis, keepdims=keepdims, method=method), want)
    same(evaluated("percentile", x, Literal.of(30), method=method), np.asarray(np.percentile(x, 30, method=method), np.float64))  # type: ignore[call-overload]


@ARRAYS
@pytest.mark.parametrize("axis", [None, 0, 1, (0, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_medians(x: np.ndarray, axis: Any, keepdims: bool) -> None:
    same(evaluated("median", x, axis=axis, keepdims=keepdims), np.asarray(np.median(x, axis=axis, keepdims=keepdims), np.float64))
    same(evaluated("nanmedian", x, axis=axis, keepdims=keepdims), np.asarray(np.nanmedian(x, axis=axis, keepdims=keepdims), np.float64))
    same(evaluated("nanquantile", x, Literal.of(0.3), axis=axis, keepdims=keepdims), np.asarray(np.nanquantile(x, 0.3, axis=axis, keepdims=keepdims), np.float64))


# --- running results ---------------------------------------------------------------------------------------------------------------------


@ARRAYS
@AXES
def test_running_results(x: np.ndarray, axis: int) -> None:
    same(evaluated("cumsum", x, axis=axis), np.cumsum(x, axis))
    same(evaluated("cumsum", x, axis=axis, reverse=True), np.flip(np.cumsum(np.flip(x, axis), axis), axis))
    same(evaluated("cumprod", x, axis=axis), np.cumprod(x, axis))
    for name, ufunc in (("cummax", np.maximum), ("cummin", np.minimum)):
        values, places = evaluated(name, x, axis=axis)
        same(values, ufunc.accumulate(x, axis))
        same(np.take_along_axis(x, places, axis), values)
    same(evaluated("cumulative_sum", x, axis=axis, include_initial=True), np.cumulative_sum(x, axis=axis, include_initial=True))
    same(evaluated("cumulative_prod", x, axis=axis, include_initial=True), np.cumulative_prod(x, axis=axis, include_initial=True))
    for n in range(3):
        same(evaluated("diff", x, n=n, axis=axis), np.diff(x, n, axis))
    if x.dtype.kind == "f":
        with np.errstate(all="ignore"):
            same(evaluated("logcumsumexp", x, axis=axis), np.logaddexp.accumulate(x, axis))
        joined = np.take(x, [0, 1], axis)
        same(evaluated("diff", x, axis=axis, prepend=joined, append=Literal.of(0.0)), np.diff(x, axis=axis, prepend=joined, append=0.0))
        points = RNG.normal(size=x.shape[axis])
        same(evaluated("trapezoid", x, points, axis=axis), np.trapezoid(x, points, axis=axis))
        same(evaluated("trapezoid", x, X, axis=axis), np.trapezoid(x, X, axis=axis))
        same(evaluated("trapezoid", x, dx=Literal.of(0.3), axis=axis), np.trapezoid(x, dx=0.3, axis=axis))
        same(evaluated("cumulative_trapezoid", x, axis=axis, initial=Literal.of(0)), scipy.integrate.cumulative_trapezoid(x, axis=axis, initial=0))


def test_without_an_axis_everything_is_one_row() -> None:
    same(evaluated("cumsum", X), np.cumsum(X))
    same(evaluated("cumprod", WHOLE.astype(np.int32)), np.cumprod(WHOLE))
    same(evaluated("ediff1d", WHOLE, to_begin=Literal.of(-1), to_end=Literal.of([8, 9])), np.ediff1d(WHOLE, to_begin=-1, to_end=np.array([8, 9])))


def gradient(text: str, **arrays: Any) -> np.ndarray:
    return np.asarray(dfg.compile(dfg.loads(text))(**arrays)["g"])


def test_running_products_of_zeros_have_exact_gradients() -> None:
    x = np.array([2.0, 0.0, 3.0, 0.0, 5.0])
    made = gradient("input x : f64[n]\noutput g = grad(sum(cumprod(x)), x)", x=x)
    want = [sum(np.prod(np.delete(x[: i + 1], k)) for i in range(k, 5)) for k in range(5)]
    np.testing.assert_array_equal(made, want)


def test_log_sums_of_infinities_have_the_gradients_of_logsumexp() -> None:
    text = "input x : f64[n]\nl = logcumsumexp(x)\noutput g = grad(l[1], x)"
    np.testing.assert_array_equal(gradient(text, x=[-np.inf, 1.0]), [0, 1])
    np.testing.assert_array_equal(gradient(text, x=[-np.inf, -np.inf]), [0, 0])
    np.testing.assert_array_equal(gradient(text, x=[np.inf, 1.0]), [1, 0])
    np.testing.assert_allclose(gradient(text, x=[1e4, 1e4]), [0.5, 0.5])


def test_ties_of_a_sort_keep_their_cotangents() -> None:
    made = gradient("input x : f64[n]\ny = sort(x)\noutput g = grad(y[0] + 10 * y[1] + 100 * y[2], x)", x=[1.0, 0.0, 1.0])
    np.testing.assert_array_equal(made, [10, 1, 100])


# --- dead lanes ------------------------------------------------------------------------------------------------------------------------------

LEFT_OUT = [
    "sum(sort(sqrt(x))[1:])",
    "sum(cumsum(sqrt(x), reverse=true)[1:])",
    "sum(cumulative_max(sqrt(x))[1:])",
    "sum(shift(sqrt(x), by=-1))",
    "sum(max_pool1d(sqrt(reshape(x, [1, n])), 2, stride=1))",
    "sum(windows(sqrt(x), [2], [2], [-1], [1], [1]))",
    "sum(conv(sqrt(x), ones([2]), \",->\", [-1], [2]))",
    "sum(conv1d(reshape(sqrt(x), [1, n]), ones([1, 1, 2]), stride=3, padding=0)[:, 1:])",
    "sum(avg_pool1d(reshape(sqrt(x), [1, n]), 2)[:, 1:])",
    "sum(conv1d(reshape(where(x > 0, sqrt(x), 0), [1, n]), ones([1, 1, 2])))",
    "quantile(sqrt(x), 0.9)",
]


@pytest.mark.parametrize("loss", LEFT_OUT)
def test_what_is_left_out_hides_what_is_singular_there(loss: str) -> None:
    for text in (f"g = grad({loss}, x)", f"d = grad({loss}, x)\ng = grad(sum(d[1:]), x)"):
        made = gradient(f"input x : f64[n]\ndim n >= 4\n{text}\noutput g", x=[0.0, 1.0, 2.0, 3.0, 4.0])
        assert made[0] == 0 and np.isfinite(made).all(), text


# --- linear algebra --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("trans", [0, 1, "N", "T"])
def test_triangular_systems(lower: bool, unit: bool, trans: Any) -> None:
    a = REGULAR.copy()
    a[:, *np.triu_indices(4, 1)[::-1] if not lower else np.triu_indices(4, 1)] = np.nan  # the other triangle is not read
    made = evaluated("solve_triangular", a, SIDES, trans=trans, lower=lower, unit_diagonal=unit)
    clean = np.nan_to_num(a)
    same(made, np.stack([scipy.linalg.solve_triangular(m, SIDES, trans=trans, lower=lower, unit_diagonal=unit) for m in clean]))
    right = evaluated("solve_triangular", clean[0], SIDES.T, trans=trans, lower=lower, unit_diagonal=unit, left=False)
    t = np.tril(clean[0]) if lower else np.triu(clean[0])
    if unit:
        np.fill_diagonal(t, 1)
    same(right @ (t.T if trans in (1, "T") else t), SIDES.T)


def test_matrix_functions() -> None:
    same(evaluated("inv", REGULAR), np.linalg.inv(REGULAR))
    same(evaluated("det", MATRICES), np.linalg.det(MATRICES))
    for n in (0, 1, 2, 7, -1, -3):
        same(evaluated("matrix_power", REGULAR, n) / 10.0**n, np.linalg.matrix_power(REGULAR, n) / 10.0**n)
    same(evaluated("logdet", np.stack([np.eye(2), np.diag([1.0, -1.0]), np.zeros((2, 2))])), np.array([0, np.nan, -np.inf]))
    same(evaluated("inv_or_nan", np.stack([np.eye(2), np.ones((2, 2))])), np.stack([np.eye(2), np.full((2, 2), np.nan)]))
    same(evaluated("vecdot", X, np.arange(4.0)), np.vecdot(X, np.arange(4.0)))
    same(evaluated("vecdot", X, X[:1], axis=1), np.vecdot(X, X[:1], axis=1))  # type: ignore[call-overload]
    same(evaluated("matvec", X, np.arange(4.0)), np.matvec(X, np.arange(4.0)))
    same(evaluated("vecmat", np.arange(5.0), X), np.vecmat(np.arange(5.0), X))
    chain = [RNG.normal(size=s) for s in ((3, 7), (7, 2), (2, 9), (9, 4))]
    same(evaluated("multi_dot", chain), np.linalg.multi_dot(chain))
    same(evaluated("multi_dot", [chain[0][0], *chain[1:-1], chain[-1][:, 0]]), np.linalg.multi_dot([chain[0][0], *chain[1:-1], chain[-1][:, 0]]))
    ranks = np.stack([np.eye(4), np.ones((4, 4)), np.zeros((4, 4))])
    same(evaluated("matrix_rank", ranks), np.linalg.matrix_rank(ranks))


@pytest.mark.parametrize("scale", [0.0, 1e-300, 1e-9, 1.0, 50.0, 1e3])
def test_exponentials_of_matrices(scale: float) -> None:
    with np.errstate(all="ignore"):
        want = np.stack([scipy.linalg.expm(m) for m in MATRICES * scale])
    made = evaluated("expm", MATRICES * scale)
    finite = np.isfinite(want).all((-2, -1))
    largest = np.abs(want[finite]).max((-2, -1), keepdims=True, initial=0)
    np.testing.assert_allclose(made[finite] / largest, want[finite] / largest, rtol=0, atol=1e-10 if scale < 1e3 else 1e-7)
    assert not np.isfinite(made[~finite]).all((-2, -1)).any()


def test_factors_and_least_squares() -> None:
    tall = RNG.normal(size=(6, 3))
    side = np.arange(6.0)
    same(evaluated("lstsq", tall, side), np.linalg.lstsq(tall, side)[0])
    same(evaluated("lstsq", tall.T, side[:3]), np.linalg.lstsq(tall.T, side[:3])[0])
    tall[:, 2] = tall[:, 0]
    same(evaluated("lstsq", tall, side), np.linalg.lstsq(tall, side)[0])
    for x in (X, np.arange(30.0).reshape(3, 5, 2)):
        same(evaluated("pinv", x), np.linalg.pinv(x, rtol=1e-14))
        u, s, vh = evaluated("svd", x)
        same((u * s[..., None, :]) @ vh, x)
        same(evaluated("svdvals", x), np.linalg.svd(x, compute_uv=False))
    w, v = evaluated("eigh", MATRICES)
    same((v * w[:, None, :]) @ v.mT, (MATRICES + MATRICES.mT) / 2)
    positive = MATRICES @ MATRICES.mT + np.eye(4)
    same(evaluated("cholesky", positive), np.linalg.cholesky(positive))
    same(evaluated("cholesky_solve", SIDES, np.linalg.cholesky(positive)), np.linalg.solve(positive, np.broadcast_to(SIDES, (2, 4, 3))))
    broken = evaluated("svdvals", WITH_NAN)
    assert np.isnan(broken[0]).all() and np.isfinite(broken[1:]).all()


def test_determinants_of_singular_matrices_have_both_derivatives() -> None:
    rng = np.random.default_rng(1)
    for rank in (0, 1, 2, 3):
        a = rng.normal(size=(4, rank)) @ rng.normal(size=(rank, 4))
        made = dfg.compile(dfg.loads("input x, d : f64[n, n]\ng = grad(det(x), x)\noutput g\noutput h = grad(sum(g * d), x)"))(x=a, d=np.eye(4)[::-1].copy())
        for i in range(4):
            for j in range(4):
                e = np.zeros((4, 4))
                e[i, j] = 1
                # The determinant is linear in one element.
                assert abs(made["g"][i, j] - (np.linalg.det(a + e) - np.linalg.det(a - e)) / 2) < 1e-10


def test_equal_eigenvalues_do_not_spoil_the_gradient_of_what_does_not_tell_them_apart() -> None:
    x = np.diag([2.0, 2.0, 5.0])
    np.testing.assert_allclose(gradient("input x : f64[n, n]\nw = eigvalsh(x)\noutput g = grad(sum(w * w), x)", x=x), 2 * x, atol=1e-12)
    # The projector on the space of the equal ones.
    text = "input x : f64[3, 3]\nw, v = eigh(x)\nu = v[:, :2]\np = u @ u.T\noutput g = grad(p[0, 2], x)"
    want = np.zeros((3, 3))
    want[0, 2] = want[2, 0] = 0.5 / (2 - 5)
    np.testing.assert_allclose(gradient(text, x=x), want, atol=1e-12)


@pytest.mark.parametrize(
    ("expression", "matrix"), [("cholesky(x)", [[1.0, 2.0], [2.0, 1.0]]), ("inv(x)", [[1.0, 2.0], [2.0, 4.0]]), ("solve_triangular(x, x)", [[1.0, 2.0], [2.0, 0.0]])]
)
def test_what_has_no_factor_fails_with_a_diagnostic(expression: str, matrix: Any) -> None:
    with pytest.raises(dfg.UserError) as e:
        dfg.compile(dfg.loads(f"input x : f64[2, 2]\noutput y = {expression}"))(x=matrix)
    assert e.value.diagnostics[0].code == "singular"


# --- windows -----------------------------------------------------------------------------------------------------------------------------------


def slowly(x: np.ndarray, w: np.ndarray, subs: str, before: Any, sizes: Any, strides: Any, spread: Any, dilation: Any) -> np.ndarray:
    a, b, result = split_subs(subs)
    s, k = x.shape[len(a) :], w.shape[len(b) :]
    known = {**dict(zip(a, x.shape, strict=False)), **dict(zip(b, w.shape, strict=False))}
    made = np.zeros([known[c] for c in result] + list(sizes))
    for t in np.ndindex(*sizes):
        for e in np.ndindex(*k):
            at = [p * q + i * d - f for p, q, i, d, f in zip(t, strides, e, dilation, before, strict=True)]
            if all(p % g == 0 and 0 <= p // g < m for p, g, m in zip(at, spread, s, strict=True)):
                made[(..., *t)] += np.einsum(subs, x[(..., *[p // g for p, g in zip(at, spread, strict=True)])], w[(..., *e)])
    return made


@pytest.fixture
def piece() -> Iterator[None]:
    saved = convolution.PIECE
    yield
    convolution.PIECE = saved


@pytest.mark.parametrize("seed", range(8))
def test_convolutions_of_all_kinds_by_all_ways(seed: int, piece: None) -> None:
    """Random roles of axes, strides, gaps and padding; pieces so small that every way of evaluating is taken."""
    rng = np.random.default_rng(seed)
    roles = ["ngc,goc->ngo", "ngo,goc->ngc", "ngc,ngo->goc", "a,b->ba", "ab,ba->", "a,a->a", ",->", "ab,cb->ca", "ab,ab->ba"]
    for count in range(60):
        convolution.PIECE = (1, 5, 40, 1 << 21)[count % 4]
        n = int(rng.integers(1, 3))
        subs = roles[int(rng.integers(len(roles)))]
        a, b, _ = split_subs(subs)
        known = {c: int(rng.integers(0 if rng.random() < 0.05 else 1, 4)) for c in sorted(set(a + b))}

        def some(low: int, high: int, rare: bool = False) -> tuple[int, ...]:
            return tuple(int(v) for v in rng.integers(0 if rare and rng.random() < 0.05 else low, high, n))  # noqa: B023

        x, w = rng.normal(size=[known[c] for c in a] + list(some(1, 7, True))), rng.normal(size=[known[c] for c in b] + list(some(1, 5, True)))
        given = {"before": some(-4, 6), "sizes": some(1, 8, True), "strides": some(1, 4), "spread": some(1, 4), "dilation": some(1, 4)}
        evaluate = OPS["conv"].evaluate
        assert evaluate is not None
        same(evaluate(np, x, w, subs=subs, **given), slowly(x, w, subs, **given))


def test_signals() -> None:
    for m in range(1, 6):
        for n in range(1, 6):
            a, v = RNG.normal(size=m), RNG.normal(size=n)
            for mode in ("full", "same", "valid"):
                same(evaluated("convolve", a, v, mode=mode), np.convolve(a, v, mode))
                same(evaluated("correlate", a, v, mode=mode), np.correlate(a, v, mode))
    same(evaluated("convolve", np.arange(4), np.array([1, 2, 3])), np.convolve(np.arange(4), [1, 2, 3]))


def pool_slowly(x: np.ndarray, k: int, s: int, p: int, d: int, f: Any) -> np.ndarray:
    h, w = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n in x.shape[-2:])
    made = np.empty((*x.shape[:-2], h, w))
    for i in range(h):
        for j in range(w):
            rows = [i * s + a * d - p for a in range(k)]
            columns = [j * s + b * d - p for b in range(k)]
            inside = [x[..., r, c] for r in rows for c in columns if 0 <= r < x.shape[-2] and 0 <= c < x.shape[-1]]
            made[..., i, j] = f(np.stack(inside), k * k)
    return made


def test_pools() -> None:
    x = np.round(RNG.normal(size=(2, 3, 7, 8)), 1)
    for k in (1, 2, 3, 4):
        for s in (1, 2, 3):
            for p in range(k // 2 + 1):
                same(evaluated("avg_pool2d", x, k, stride=s, padding=p), pool_slowly(x, k, s, p, 1, lambda v, n: v.sum(0) / n))
                same(evaluated("avg_pool2d", x, k, stride=s, padding=p, count_include_pad=False), pool_slowly(x, k, s, p, 1, lambda v, n: v.mean(0)))
                for d in (1, 2) if k < 4 else (1,):
                    same(evaluated("max_pool2d", x, k, stride=s, padding=p, dilation=d), pool_slowly(x, k, s, p, d, lambda v, n: v.max(0)))
    for o in (1, 3, 7, 9):
        spans = [[(i * n // o, -(-(i + 1) * n // o)) for i in range(o)] for n in (7, 8)]
        want = np.array([[[[m[a:b, c:d].mean() for c, d in spans[1]] for a, b in spans[0]] for m in image] for image in x])
        same(evaluated("adaptive_avg_pool2d", x, o), want)
        want = np.array([[[[m[a:b, c:d].max() for c, d in spans[1]] for a, b in spans[0]] for m in image] for image in x])
        same(evaluated("adaptive_max_pool2d", x, o), want)


def test_the_first_of_a_tie_wins_a_pool() -> None:
    made = gradient("input x : f64[1, 4]\noutput g = grad(sum(max_pool1d(x, 2)), x)", x=np.array([[1.0, 1.0, 0.0, 2.0]]))
    np.testing.assert_array_equal(made, [[1, 0, 0, 1]])
    images = np.zeros((1, 2, 2))
    made = gradient("input x : f64[1, 2, 2]\noutput g = grad(sum(max_pool2d(x, 2)), x)", x=images)
    np.testing.assert_array_equal(made, [[[1, 0], [0, 0]]])


def test_columns_of_windows_and_back() -> None:
    x = RNG.normal(size=(2, 3, 6, 5))
    columns = evaluated("im2col", x, (2, 3), stride=(1, 2), padding=(1, 0), dilation=(2, 1))
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
    view = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (-2, -1))[:, :, :, ::2, ::2]
    same(columns, np.ascontiguousarray(view.transpose(0, 1, 4, 5, 2, 3)).reshape(2, 18, -1))
    other = RNG.normal(size=columns.shape)
    back = evaluated("col2im", other, (6, 5), (2, 3), stride=(1, 2), padding=(1, 0), dilation=(2, 1))
    assert abs(np.sum(columns * other) - np.sum(x * back)) < 1e-10


def test_resizing() -> None:
    same(evaluated("interpolate", np.arange(4.0)[None, None], (7,), mode="linear", align_corners=True)[0, 0], np.linspace(0, 3, 7))
    same(evaluated("interpolate", np.arange(4.0)[None, None], (8,), mode="linear")[0, 0], np.array([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]))
    same(evaluated("interpolate", np.arange(4.0)[None, None], (6,))[0, 0], np.array([0.0, 0, 1, 2, 2, 3]))


# --- what is refused -------------------------------------------------------------------------------------------------------------------------


def refused(name: str, types: list[str], *static: Any, **named: Any) -> InferError:
    from dfg.tools.proof import parse_type

    g = Graph()
    leaves: list[Value] = [g.emit(OPS["input"], (), (f"x{k}", parse_type(t))) for k, t in enumerate(types)]
    with pytest.raises(InferError) as e:
        call(Surface(g), name, [*leaves, *static], named)
    return e.value


@pytest.mark.parametrize(
    ("name", "types", "named", "argument"),
    [
        ("sort", ["f64[3]"], {"axis": 1}, "axis"),
        ("topk", ["f64[3]"], {"k": 4}, "k"),
        ("topk", ["f64[3]"], {"k": -1}, "k"),
        ("quantile", ["f64[3]"], {"q": Literal.of(1.5)}, "q"),
        ("quantile", ["f64[3]"], {"q": Literal.of(0.5), "method": "best"}, "method"),
        ("searchsorted", ["f64[3]", "f64[3]"], {"side": "middle"}, "side"),
        ("cumsum", ["f64[3, 2]"], {"axis": 2}, "axis"),
        ("cumulative_sum", ["f64[3, 2]"], {}, "x"),
        ("diff", ["f64[3]"], {"n": -1}, "n"),
        ("inv", ["f64[3]"], {}, "x"),
        ("inv", ["f64[2, 3]"], {}, 0),
        ("matrix_power", ["f64[2, 2]"], {"n": Literal.of(0.5)}, "n"),
        ("svd", ["f64[2, 3]"], {"full_matrices": True}, "full_matrices"),
        ("pinv", ["f64[2, 3]"], {"rtol": Literal.of(-1.0)}, "rtol"),
        ("solve_triangular", ["f64[2, 2]", "f64[2]"], {"trans": 2}, "trans"),
        ("conv1d", ["f64[2, 3, 8]", "f64[4, 2, 3]"], {}, "weight"),
        ("conv1d", ["f64[2, 3, 8]", "f64[4, 3, 3]"], {"stride": 0}, "stride"),
        ("conv1d", ["f64[2, 3, 8]", "f64[4, 3, 3]"], {"padding": -1}, "padding"),
        ("conv1d", ["f64[2, 3, 8]", "f64[4, 3, 3]"], {"padding": "big"}, "padding"),
        ("conv1d", ["f64[2, 3, 8]", "f64[4, 1, 3]"], {"groups": 2}, "groups"),
        ("conv1d", ["f64[2, 3, 8]", "f64[4, 3, 9]"], {}, "x"),
        ("conv1d", ["f64[2, 3, 8]", "f64[4, 3, 3]", "f64[3]"], {}, "bias"),
        ("conv_transpose1d", ["f64[2, 3, 8]", "f64[3, 4, 3]"], {"output_padding": 1}, "output_padding"),
        ("max_pool2d", ["f64[8, 8]"], {"kernel_size": 3, "padding": 2}, "padding"),
        ("max_pool2d", ["f64[8]"], {"kernel_size": 3}, "x"),
        ("adaptive_avg_pool2d", ["f64[8, 8]"], {"output_size": 0}, "output_size"),
        ("convolve", ["f64[8]", "f64[3]"], {"mode": "most"}, "mode"),
        ("unique", ["f64[8]"], {}, "x"),
    ],
)
def test_bad_arguments_are_named(name: str, types: list[str], named: dict[str, Any], argument: Any) -> None:
    assert argument in [where for where, _ in refused(name, types, **named).marks]


def test_sizes_that_must_be_known_are_proposed() -> None:
    assert refused("convolve", ["f64[n]", "f64[m]"], mode="same").dim_fact == "dim n >= m"
    assert refused("inv", ["f64[n, m]"]).dim_fact == "dim n == m"
    assert refused("conv1d", ["f64[b, c, t]", "f64[4, d, 3]"]).dim_fact == "dim c == d"
    assert refused("conv1d", ["f64[b, c, t]", "f64[4, d, 3]"], groups=2).dim_fact == "dim c % 2 == 0"


# --- put together and taken apart, conditions, factors that are not square ----------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 3), (5, 2), (2, 5), (4, 1), (1, 4), (40, 33), (33, 40), (2, 3, 2), (2, 2, 3)])
def test_triangular_factors_of_any_shape(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(1).normal(size=shape)
    for made, want in zip(evaluated("lu", x), scipy.linalg.lu(x), strict=True):
        same(made, want)


@pytest.mark.parametrize("p", [None, 2, -2, "fro", "nuc", 1, -1, np.inf, -np.inf])
def test_condition_numbers(p: Any) -> None:
    x = np.random.default_rng(2).normal(size=(3, 4, 4))
    same(evaluated("cond", x, p), np.linalg.cond(x, p))


def test_condition_numbers_of_what_has_no_inverse() -> None:
    x = np.random.default_rng(2).normal(size=(2, 5, 3))
    same(evaluated("cond", x), np.linalg.cond(x))
    assert evaluated("cond", np.diag([1.0, 0.0])) == np.inf


def test_modes_of_orthogonal_factors() -> None:
    for shape in [(3, 3), (2, 4), (4, 2)]:
        x = np.random.default_rng(3).normal(size=shape)
        same(evaluated("qr", x, mode="r"), np.linalg.qr(x, mode="r"))
        if shape[0] <= shape[1]:
            for made, want in zip(evaluated("qr", x, mode="complete"), np.linalg.qr(x, mode="complete"), strict=True):
                same(made, want)
        else:
            with pytest.raises(InferError, match="complete"):
                evaluated("qr", x, mode="complete")


def test_blocks_along_a_diagonal() -> None:
    a, b, c = np.arange(6.0).reshape(2, 3), np.arange(3.0) + 1, np.zeros((0, 2))
    same(evaluated("block_diag", a, b, c, a.T), scipy.linalg.block_diag(a, b, c, a.T))


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("obj", [0, 2, -1, -3, [0], [0, 2], [1, 2], [2, 1, 1], [-1, 0], [0, 1, 2], []])
def test_elements_left_out(obj: Any, axis: int | None) -> None:
    x = np.arange(12.0).reshape(3, 4)
    same(evaluated("delete", x, obj, axis), np.delete(x, obj, axis))


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("obj", [0, 3, -1, [0, 2], [2, 0], [1, 1], [3]])
@pytest.mark.parametrize("kind", ["one", "row"])
def test_elements_put_in(obj: Any, axis: int | None, kind: str) -> None:
    x = np.arange(9.0).reshape(3, 3)
    count = len(obj) if isinstance(obj, list) else 1
    row = np.arange(count if axis is None else 3.0) + 100
    values = np.asarray(7.0) if kind == "one" else row if axis != 1 or not isinstance(obj, list) else (np.arange(count) + 100.0)
    if kind == "row" and axis == 0 and isinstance(obj, list):
        values = np.arange(3.0 * count).reshape(count, 3) + 100
    same(evaluated("insert", x, obj, values, axis), np.insert(x, obj, values, axis))


def test_places_outside_are_refused() -> None:
    x = np.arange(6.0).reshape(2, 3)
    for name, more in [("delete", (3, 1)), ("delete", (-3, 0)), ("delete", ([0, 2], 0)), ("insert", (4, 1.0, 1)), ("insert", (-3, 1.0, 0))]:
        given = [Literal("float", a, str(a)) if isinstance(a, float) else a for a in more]
        with pytest.raises(InferError):
            evaluated(name, x, *given)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_the_order_by_several_keys(axis: int) -> None:
    keys = [np.random.default_rng(k).integers(0, 3, (6, 7)).astype(float) for k in range(3)]
    for count in (1, 2, 3):
        same(evaluated("lexsort", keys[:count], axis), np.lexsort(keys[:count], axis))


@pytest.mark.parametrize("text", ["ij,jk,k->i", "i,j,ij->", "ij,jk,kl,lm->im", "a,b,c->abc", "bi,ij,bj->b", "ij,kl,jk->il", "ii,ij,j->i", "a,b->", "ij,jk,ki->"])
def test_products_of_several_in_any_order(text: str) -> None:
    rng = np.random.default_rng(4)
    sizes = {c: 2 + k for k, c in enumerate(sorted(set(text) - set(",->")))}
    given = [rng.normal(size=[sizes[c] for c in term]) for term in text.split("->")[0].split(",")]
    same(evaluated("einsum", text, *given), np.einsum(text, *given))
