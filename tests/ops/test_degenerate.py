"""Eigenvalues and singular values that are equal: losses which do not depend on the choice of vectors have finite, right gradients at orders 1 and 2."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import dfg

Array = np.ndarray
RNG = np.random.default_rng(3)
Q = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
MATRICES = {"identity": np.eye(3), "two equal": (Q * np.array([0.5, 0.5, 2.0])) @ Q.T, "nearly equal": (Q * np.array([1.0, 1 + 1e-13, 1 - 1e-9])) @ Q.T, "apart": (Q * np.array([0.5, 0.8, 2.0])) @ Q.T}
FORMS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "scaled columns": ("(v * log(w)[newaxis, :]) @ v.T", np.log),
    "scaled columns of rank 1": ("v * exp(w) @ v.mT", np.exp),
    "diagonal": ("v @ diag(w ** 2.5) @ v.T", lambda w: w**2.5),
    "scaled rows": ("v @ (1 / (1 + w[:, newaxis]) * v.T)", lambda w: 1 / (1 + w)),
    "both sides": ("(v * sqrt(w)) @ (v * log(w)).T", lambda w: np.sqrt(w) * np.log(w)),
    "einsum": ('einsum("ij,j,kj->ik", v, tanh(w), v)', np.tanh),
    "sqrtm": ("sqrtm(x)", np.sqrt),
    "logm": ("logm(x)", np.log),
}


def applied(f: Callable[[Array], Array], x: Array) -> Array:
    w, v = np.linalg.eigh((x + x.T) / 2)
    return np.asarray((v * f(w)) @ v.T)


def slopes(f: Callable[[float], float]) -> tuple[float, float]:
    """f'(0) and f''(0) by central differences of fourth order."""
    h = 1e-3
    a, b, c, d, e = (f(k * h) for k in (-2, -1, 0, 1, 2))
    return (a - 8 * b + 8 * d - e) / (12 * h), (-a + 16 * b - 30 * c + 16 * d - e) / (12 * h * h)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("matrix", MATRICES)
def test_functions_through_eigenvectors(form: str, matrix: str) -> None:
    text, f = FORMS[form]
    head = "input x : f64[3, 3]\ninput c : f64[3, 3]\ninput d : f64[3, 3]\nw, v = eigh(x)\n"
    fn = dfg.compile(dfg.loads(f"{head}y = {text}\nl = sum(c * y) + sum(y ** 3)\ng = grad(l, x)\noutput y, g\noutput h = hvp(l, x, d)\n"))
    x, c, d = MATRICES[matrix], RNG.normal(size=(3, 3)), RNG.normal(size=(3, 3))
    out = fn(x=x, c=c, d=d)
    np.testing.assert_allclose(out["y"], applied(f, x), rtol=1e-12, atol=1e-13)

    def loss(t: float) -> float:
        y = applied(f, x + t * d)
        return float(np.sum(c * y) + np.sum(y**3))

    one, two = slopes(loss)
    assert abs(np.sum(out["g"] * d) - one) <= 1e-8 * (1 + abs(one))
    assert abs(np.sum(out["h"] * d) - two) <= 1e-6 * (1 + abs(two))


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("way", ["eigvalsh(x)", "w"])
def test_sums_over_eigenvalues(matrix: str, way: str) -> None:
    """Traces: the Hessian of tr(exp(x)) and of the squared Frobenius norm, which are known without eigenvalues."""
    head = "input x : f64[3, 3]\ninput d : f64[3, 3]\nw, v = eigh(x)\n"
    fn = dfg.compile(dfg.loads(f"{head}e = {way}\nl = sum(e ** 2)\nm = sum(exp(e))\noutput g = grad(l, x)\noutput h = hvp(l, x, d)\noutput k = hvp(m, x, d)\n"))
    x, d = MATRICES[matrix], RNG.normal(size=(3, 3))
    out = fn(x=x, d=d)
    np.testing.assert_allclose(out["g"], x + x.T, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(out["h"], d + d.T, rtol=1e-11, atol=1e-11)
    sym = (d + d.T) / 2
    h = 1e-5
    np.testing.assert_allclose(out["k"], (applied(np.exp, x + h * sym) - applied(np.exp, x - h * sym)) / (2 * h), atol=1e-8)


def polar(x: Array) -> Array:
    u, _, vh = np.linalg.svd(x)
    return np.asarray(u @ vh)


@pytest.mark.parametrize("x", [np.eye(3), Q, (Q * np.array([1.0, 1.0, 2.0])) @ Q.T, RNG.normal(size=(3, 3))], ids=["identity", "orthogonal", "two equal", "apart"])
def test_nuclear_norm_and_polar_factor(x: Array) -> None:
    head = "input x : f64[3, 3]\ninput d : f64[3, 3]\nl = sum(svdvals(x))\nu, s, vh = svd(x)\nm = sum(s)\np = sum((u @ vh) * d)\n"
    fn = dfg.compile(dfg.loads(f"{head}output a = grad(l, x)\noutput b = grad(m, x)\noutput h = hvp(l, x, d)\noutput k = hvp(m, x, d)\noutput q = grad(p, x)\n"))
    d = RNG.normal(size=(3, 3))
    out = fn(x=x, d=d)
    h = 1e-5
    slope = (polar(x + h * d) - polar(x - h * d)) / (2 * h)
    for name in ("a", "b"):
        np.testing.assert_allclose(out[name], polar(x), atol=1e-12)
    for name in ("h", "k", "q"):
        np.testing.assert_allclose(out[name], slope, atol=1e-8)


def rectangular(m: int, n: int, values: list[float]) -> Array:
    u, _, vh = np.linalg.svd(RNG.normal(size=(m, n)), full_matrices=False)
    return np.asarray((u * np.array(values)) @ vh)


RECTANGULAR = {
    "two equal": rectangular(3, 3, [2.0, 1.3, 1.3]),
    "tall, equal": rectangular(4, 2, [1.5, 1.5]),
    "very tall, equal": rectangular(9, 2, [1.5, 1.5]),
    "wide, a zero": rectangular(2, 3, [1.0, 0.0]),
    "very wide, two zeros": rectangular(2, 11, [0.0, 0.0]),
    "a rank of one": rectangular(4, 3, [2.0, 0.0, 0.0]),
    "apart": rectangular(3, 2, [2.0, 1.0]),
    "stacked": np.stack([np.eye(2, 3), np.zeros((2, 3)), rectangular(2, 3, [2.0, 2.0])]),
}
ODD: dict[str, Callable[[Array], Array]] = {"s ** 3 - s": lambda s: s**3 - s, "tanh(s)": np.tanh, "s / (1 + s * s)": lambda s: s / (1 + s * s)}


def of_values(f: Callable[[Array], Array], x: Array) -> Array:
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    return np.asarray((u * f(s)[..., None, :]) @ vh)


@pytest.mark.parametrize("matrix", RECTANGULAR)
@pytest.mark.parametrize("f", ODD)
@pytest.mark.parametrize("form", ["(u * (F)[..., newaxis, :]) @ vh", "u @ ((F)[..., :, newaxis] * vh)", "((vh.mT * (F)[..., newaxis, :]) @ u.mT).mT"])
def test_functions_of_singular_values(matrix: str, f: str, form: str) -> None:
    """Both derivatives of a function that is odd, hence smooth at equal singular values and at zeros."""
    x, g = RECTANGULAR[matrix], ODD[f]
    shape = "3, 2, 3" if x.ndim == 3 else f"{x.shape[0]}, {x.shape[1]}"
    head = "".join(f"input {name} : f64[{shape}]\n" for name in "xcde")
    fn = dfg.compile(dfg.loads(f"{head}u, s, vh = svd(x)\ny = {form.replace('F', f)}\nl = sum(y * c)\noutput y\noutput first = grad(l, x)\noutput second = hvp(l, x, d)\noutput third = sum(hvp(l, x, d) * e)\n"))
    c, d, e = (RNG.normal(size=x.shape) for _ in range(3))
    out = fn(x=x, c=c, d=d, e=e)
    np.testing.assert_allclose(out["y"], of_values(g, x), atol=1e-13)
    h = 1e-5
    np.testing.assert_allclose(np.sum(out["first"] * d), np.sum(c * (of_values(g, x + h * d) - of_values(g, x - h * d))) / (2 * h), atol=1e-7)
    h = 1e-3
    mixed = sum(a * b * np.sum(c * of_values(g, x + h * (a * d + b * e))) for a in (1, -1) for b in (1, -1)) / (4 * h * h)
    np.testing.assert_allclose(out["third"], mixed, atol=2e-4)


@pytest.mark.parametrize("matrix", RECTANGULAR)
@pytest.mark.parametrize("way", ["svdvals(x)", "s"])
def test_sums_over_singular_values(matrix: str, way: str) -> None:
    """sum(s ** 4) is tr((x^T x)^2), whose Hessian is known; sum(exp(s)) and sum(log(s)) are smooth where the values are equal and not 0."""
    x = RECTANGULAR[matrix]
    shape = "3, 2, 3" if x.ndim == 3 else f"{x.shape[0]}, {x.shape[1]}"
    head = f"input x : f64[{shape}]\ninput d : f64[{shape}]\nu, s, vh = svd(x)\nv = {way}\n"
    fn = dfg.compile(dfg.loads(f"{head}l = sum(v ** 4)\noutput g = grad(l, x)\noutput h = hvp(l, x, d)\noutput q = hvp(sum(v ** 2), x, d)\noutput k = hvp(sum(exp(v) + log(v)), x, d)\n"))
    d = RNG.normal(size=x.shape)
    out = fn(x=x, d=d)
    xt, dt = np.swapaxes(x, -1, -2), np.swapaxes(d, -1, -2)
    np.testing.assert_allclose(out["g"], 4 * x @ xt @ x, atol=1e-12)
    np.testing.assert_allclose(out["h"], 4 * (d @ xt @ x + x @ dt @ x + x @ xt @ d), atol=1e-11)
    np.testing.assert_allclose(out["q"], 2 * d, atol=1e-12)
    if (np.linalg.svd(x, compute_uv=False) > 0.1).all():
        h = 1e-5
        slope = (of_values(lambda s: np.exp(s) + 1 / s, x + h * d) - of_values(lambda s: np.exp(s) + 1 / s, x - h * d)) / (2 * h)
        np.testing.assert_allclose(out["k"], slope, atol=1e-7)
