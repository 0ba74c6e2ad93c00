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
