"""The special functions against SciPy over wide ranges, their special values, f32, and gradients of every order where SciPy has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dfg.api import compile as compile_program
from dfg.api import loads
from dfg.ops import special_bessel, special_beta, special_error, special_gamma, special_integrals

sc = pytest.importorskip("scipy.special")
RNG = np.random.default_rng(7)
WIDE = np.concatenate([RNG.uniform(-20, 20, 2000), np.exp(RNG.uniform(-50, 50, 2000)), RNG.uniform(0, 4, 2000)])
UP = np.abs(WIDE)
UNIT = np.concatenate([RNG.uniform(0, 1, 3000), np.exp(-RNG.uniform(0, 700, 2000)), 1 - np.exp(-RNG.uniform(0, 36, 1000))])

CASES: list[tuple[str, Callable[[Any], Any], Callable[[Any], Any], np.ndarray, float]] = [
    ("gammaln", special_gamma.gammaln, sc.gammaln, UP, 1e-13),
    ("gammaln below 0", special_gamma.gammaln, sc.gammaln, RNG.uniform(-30, 0, 2000), 1e-11),
    ("gamma", special_gamma.gamma, sc.gamma, RNG.uniform(-20, 171, 4000), 5e-13),
    ("digamma", special_gamma.digamma, sc.digamma, UP, 1e-14),
    ("digamma below 0", special_gamma.digamma, sc.digamma, RNG.uniform(-9.5, 0, 2000), 1e-10),
    *[(f"polygamma {n}", lambda x, n=n: special_gamma.polygamma(n, x), lambda x, n=n: sc.polygamma(n, x), UP, 1e-14) for n in (1, 2, 5, 9)],
    ("trigamma below 0", lambda x: special_gamma.polygamma(1, x), lambda x: sc.polygamma(1, x), RNG.uniform(-8, 0, 300), 1e-13),
    ("erf", special_error.erf, sc.erf, WIDE, 1e-14),
    ("erfc", special_error.erfc, sc.erfc, RNG.uniform(-20, 26, 4000), 5e-13),
    ("erfcx", special_error.erfcx, sc.erfcx, np.concatenate([UP, RNG.uniform(-20, 0, 1000)]), 1e-13),
    ("ndtr", special_error.ndtr, sc.ndtr, RNG.uniform(-37, 37, 4000), 1e-12),
    ("log_ndtr", special_error.log_ndtr, sc.log_ndtr, np.concatenate([RNG.uniform(-1e4, 0, 2000), RNG.uniform(-3, 30, 2000)]), 1e-12),
    ("ndtri", special_error.ndtri, sc.ndtri, UNIT, 1e-14),
    ("erfinv", special_error.erfinv, sc.erfinv, np.concatenate([UNIT, -UNIT]), 1e-14),
    ("i0", lambda x: special_bessel.bessel(0, x, False), sc.i0, RNG.uniform(-700, 700, 4000), 1e-14),
    ("i0e", lambda x: special_bessel.bessel(0, x, True), sc.i0e, WIDE, 1e-14),
    ("i1", lambda x: special_bessel.bessel(1, x, False), sc.i1, RNG.uniform(-700, 700, 4000), 1e-14),
    ("i1e", lambda x: special_bessel.bessel(1, x, True), sc.i1e, WIDE, 1e-14),
    *[(f"ive {n}", lambda x, n=n: special_bessel.bessel(n, x, True), lambda x, n=n: sc.ive(n, x), RNG.uniform(-90, 90, 2000), 1e-13) for n in (2, 3, 7)],
]


@pytest.mark.parametrize(("name", "ours", "theirs", "x", "tolerance"), CASES, ids=[c[0] for c in CASES])
def test_values(name: str, ours: Callable[[Any], Any], theirs: Callable[[Any], Any], x: np.ndarray, tolerance: float) -> None:
    with np.errstate(all="ignore"):
        want = theirs(x)
    # Beside a root the values are differences of larger ones.
    np.testing.assert_allclose(ours(x), want, rtol=tolerance, atol=1e-15 if "below" not in name else 1e-12)


SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, 2.0, -1.0, -2.0, 1e300, -1e300])


@pytest.mark.parametrize("name", ["gammaln", "gamma", "digamma", "erf", "erfc", "erfcx", "ndtr", "log_ndtr", "ndtri", "erfinv"])
def test_special_values(name: str) -> None:
    module = special_gamma if name in ("gammaln", "gamma", "digamma") else special_error
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(getattr(module, name)(SPECIAL), getattr(sc, name)(SPECIAL), rtol=1e-13)


def test_incomplete_gamma() -> None:
    a = np.exp(RNG.uniform(-6, 6, 3000))
    x = a * np.exp(RNG.normal(size=3000) * np.where(RNG.random(3000) < 0.5, 0.05, 1.0))
    lower, upper = special_gamma.gammainc_pair(a, x)
    np.testing.assert_allclose(lower, sc.gammainc(a, x), rtol=1e-11, atol=1e-290)
    np.testing.assert_allclose(upper, sc.gammaincc(a, x), rtol=1e-11, atol=1e-290)
    edges = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, np.inf], [0.0, 0.0], [-1.0, 1.0], [1.0, -1.0], [np.nan, 1.0], [2.0, np.nan]]).T
    np.testing.assert_allclose(special_gamma.gammainc_pair(*edges)[0], sc.gammainc(*edges))
    np.testing.assert_allclose(special_gamma.gammainc_pair(*edges)[1], sc.gammaincc(*edges))


def test_betaln_keeps_digits_for_large_arguments() -> None:
    """B(a, b) for a whole a is (a - 1)! / (b (b + 1) ... (b + a - 1))."""
    b = np.array([1e3, 1e6, 1e9, 1e12])
    want = np.log(2.0) - np.log(b) - np.log(b + 1) - np.log(b + 2)
    np.testing.assert_allclose(special_gamma.betaln(np.full(4, 3.0), b), want, rtol=1e-14)
    a, b = RNG.uniform(0.01, 30, (2, 2000))
    np.testing.assert_allclose(special_gamma.betaln(a, b), sc.betaln(a, b), rtol=1e-11, atol=1e-12)


NAMES = "erf erfc erfcx ndtr log_ndtr gammaln digamma i0 i0e i1 i1e sinc"


@pytest.mark.parametrize("name", NAMES.split())
def test_third_derivatives_are_those_of_differences(name: str) -> None:
    text = f"input x : f64[4]\nl = sum({name}(x))\ng = grad(l, x)\ns = sum(g)\nh = grad(s, x)\nr = sum(h)\noutput h\noutput t = grad(r, x)\n"
    fn = compile_program(loads(text))
    x = np.array([0.4, 0.9, 1.7, 3.1])
    step = 1e-4
    differences = (fn(x=x + step)["h"] - fn(x=x - step)["h"]) / (2 * step)
    np.testing.assert_allclose(fn(x=x)["t"], differences, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", [*NAMES.split()[:-1], "ndtri", "erfinv"])
def test_f32_stays_f32_and_is_rounded_once(name: str) -> None:
    fn = compile_program(loads(f"input x : f32[n]\noutput y = {name}(x)\n"))
    x = np.array([0.1, 0.5, 0.75], np.float32)
    made = fn(x=x)["y"]
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, getattr(sc, name)(x.astype(np.float64)).astype(np.float32))


def test_gradients_of_the_incomplete_gamma_function_by_both_arguments() -> None:
    text = "input a, x : f64[n]\nl = sum(gammainc(a, x))\noutput da, dx = grad(l, [a, x])\ng = grad(l, a)\ns = sum(g)\noutput daa = grad(s, a)\n"
    fn = compile_program(loads(text))
    a, x = np.array([0.5, 2.0, 9.0, 30.0]), np.array([0.3, 2.5, 12.0, 25.0])
    h = 1e-5
    made = fn(a=a, x=x)
    np.testing.assert_allclose(made["da"], (sc.gammainc(a + h, x) - sc.gammainc(a - h, x)) / (2 * h), rtol=1e-6)
    np.testing.assert_allclose(made["dx"], (sc.gammainc(a, x + h) - sc.gammainc(a, x - h)) / (2 * h), rtol=1e-6)
    np.testing.assert_allclose(made["daa"], (fn(a=a + h, x=x)["da"] - fn(a=a - h, x=x)["da"]) / (2 * h), rtol=1e-6)


def test_incomplete_beta_and_inverses() -> None:
    a, b = np.exp(RNG.uniform(-5, 8, (2, 3000)))
    x = np.clip(RNG.beta(np.maximum(a, 0.05), np.maximum(b, 0.05)), 1e-12, 1 - 1e-12)
    np.testing.assert_allclose(special_beta.betainc(a, b, x), sc.betainc(a, b, x), rtol=2e-12, atol=1e-290)
    edges = np.array([[2.0, 3.0, 0.0], [2.0, 3.0, 1.0], [2.0, 3.0, np.nan], [np.nan, 1.0, 0.5], [-1.0, 1.0, 0.5], [2.0, 3.0, 1.5]]).T
    np.testing.assert_allclose(special_beta.betainc(*edges), sc.betainc(*edges))
    a, p = np.exp(RNG.uniform(-4, 9, 3000)), np.where(RNG.random(3000) < 0.5, RNG.random(3000), np.exp(-RNG.uniform(0, 300, 3000)))
    want = sc.gammaincinv(a, p)
    np.testing.assert_allclose(special_beta.gammaincinv(a, p), want, rtol=1e-11, atol=1e-290)
    np.testing.assert_allclose(special_beta.gammainccinv(a, p), sc.gammainccinv(a, p), rtol=1e-11)
    a, b = np.exp(RNG.uniform(-3, 6, (2, 3000)))
    want = sc.betaincinv(a, b, p)
    fine = np.isfinite(want)  # SciPy gives up at some
    np.testing.assert_allclose(special_beta.betaincinv(a, b, p)[fine], want[fine], rtol=1e-10, atol=1e-290)
    assert np.isfinite(special_beta.betaincinv(a, b, p)).all()
    assert special_beta.gammaincinv(np.array(2.0), np.array([0.0, 1.0])).tolist() == [0.0, np.inf]


def test_derivatives_of_the_incomplete_beta_function_at_large_parameters() -> None:
    a, b = RNG.uniform(20, 200, (2, 200))
    x = a / (a + b) * RNG.uniform(0.9, 1.1, 200)
    h = 1e-4 * a
    slope = (sc.betainc(a + h, b, x) - sc.betainc(a - h, b, x)) / (2 * h)
    np.testing.assert_allclose(special_beta.betainc_derivative(a, b, x, (1, 0)), slope, rtol=1e-5, atol=1e-9)
    cross = (special_beta.betainc_derivative(a + h, b, x, (0, 1)) - special_beta.betainc_derivative(a - h, b, x, (0, 1))) / (2 * h)
    np.testing.assert_allclose(special_beta.betainc_derivative(a, b, x, (1, 1)), cross, rtol=1e-4, atol=1e-9)


def test_quantiles_of_counts() -> None:
    stats = pytest.importorskip("scipy.stats")
    u = RNG.random(4000)
    rate = np.exp(RNG.uniform(-3, 10, 4000))
    np.testing.assert_array_equal(special_beta.poisson_quantile(u, rate), stats.poisson.ppf(u, rate))
    n, p = RNG.integers(0, 2000, 4000).astype(float), RNG.random(4000)
    np.testing.assert_array_equal(special_beta.binomial_quantile(u, n, p), stats.binom.ppf(u, n, p))
    assert special_beta.poisson_quantile(np.array(0.5), np.array([-1.0, np.nan, 0.0])).tolist() == [-1, -1, 0]
    assert special_beta.binomial_quantile(np.array(0.5), np.array([2.5, 3.0, 3.0]), np.array([0.5, 1.0, 0.0])).tolist() == [-1, 3, 0]


MORE: list[tuple[str, Callable[[Any], Any], Callable[[Any], Any], np.ndarray]] = [
    ("expi", special_integrals.expi, sc.expi, np.concatenate([UP[UP > 1e-3], -UP])),
    ("exp1", special_integrals.exp1, sc.exp1, UP),
    ("si", lambda x: special_integrals.sici(x)[0], lambda x: sc.sici(x)[0], WIDE[np.abs(WIDE) < 1e5]),
    ("ci", lambda x: special_integrals.sici(x)[1], lambda x: sc.sici(x)[1], UP[UP < 1e5]),
    ("dawsn", special_integrals.dawsn, sc.dawsn, WIDE),
    ("lambertw", lambda x: special_integrals.lambertw(x, 0), lambda x: sc.lambertw(x).real, np.concatenate([UP, RNG.uniform(-0.36, 0, 500)])),
    ("lambertw -1", lambda x: special_integrals.lambertw(x, -1), lambda x: sc.lambertw(x, -1).real, -np.exp(-RNG.uniform(1.01, 600, 1000))),
    ("zeta", lambda x: special_integrals.zeta_derivative(x, np.array(1.0), 0), sc.zeta, 1 + np.exp(RNG.uniform(-5, 4, 500))),
    *[(f"j{n}", lambda x, n=n: special_integrals.jn(n, x), lambda x, n=n: sc.jv(n, x), RNG.uniform(-60, 60, 1000)) for n in (0, 1, 2, 7)],
    *[(f"k{n}", lambda x, n=n: special_integrals.kn(n, x, False), lambda x, n=n: sc.kn(n, x), np.exp(RNG.uniform(-20, 6, 1000))) for n in (0, 1, 4)],
]


@pytest.mark.parametrize(("name", "ours", "theirs", "x"), MORE, ids=[c[0] for c in MORE])
def test_integrals_and_bessel_functions(name: str, ours: Callable[[Any], Any], theirs: Callable[[Any], Any], x: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-12, atol=1e-14)
        # SciPy's `jv` has no limit at infinity, its `zeta` goes on below 1.
        special = np.array([2.0 if name == "zeta" else 0.0, {"j": 3.0, "l": -0.1}.get(name[0] if name != "lambertw" else "", np.inf), np.nan])
        np.testing.assert_allclose(ours(special), theirs(special), rtol=1e-12)
