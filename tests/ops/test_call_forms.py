"""Forms of calls whose values NumPy or SciPy fix: found by comparing many generated calls of every function with them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

import dfg


def run(text: str, **inputs: object) -> np.ndarray:
    return np.asarray(dfg.compile(dfg.loads(text))(**inputs)["r"])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_derivatives_of_digamma_half_way_between_poles(n: int) -> None:
    """There the even derivatives of the cotangent are exactly 0, so that psi(n, x) = (-1)^n psi(n, 1 - x) up to the odd ones."""
    x = np.array([-745.5, -10.5, -0.5])
    made = run(f"input x : f64[3]\nr = polygamma({n}, x)\noutput r\n", x=x)
    want = special.polygamma(n, 1 - x)
    if n % 2:
        want = -want + {1: np.pi**2, 3: 2 * np.pi**4}[n]
    np.testing.assert_allclose(made, want, rtol=2e-9)
    if n == 2:
        assert abs(made[0] / run("input x : f64\nr = polygamma(2, x)\noutput r\n", x=746.5) - 1) < 1e-13


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_integrals_over_no_points(axis: int) -> None:
    y = np.ones((2, 0) if axis else (0, 2))
    made = run(f"input y : f64[{', '.join(map(str, y.shape))}]\nr = trapezoid(y, axis={axis})\noutput r\n", y=y)
    assert np.array_equal(made, np.trapezoid(y, axis=axis))


@pytest.mark.parametrize("q", ["0.25", "[0.1, 0.9]", "[[0, 0.5], [0.7, 1]]"])
@pytest.mark.parametrize("axis", [0, -1])
def test_several_quantiles(q: str, axis: int) -> None:
    x = np.random.default_rng(3).normal(size=(4, 5))
    made = run(f"input x : f64[4, 5]\nr = quantile(x, {q}, axis={axis})\noutput r\n", x=x)
    np.testing.assert_allclose(made, np.quantile(x, eval(q), axis=axis), rtol=1e-12)


def test_powers_at_equal_distances() -> None:
    np.testing.assert_allclose(run("r = logspace(0, 2, 5)\noutput r\n"), np.logspace(0, 2, 5), rtol=1e-14)
    np.testing.assert_allclose(run("r = logspace(0, 3, 4, base=2)\noutput r\n"), np.logspace(0, 3, 4, base=2), rtol=1e-14)


SHAPES = [((3,), (3,)), ((), (2, 3)), ((2, 1), (1, 3)), ((0,), (1,)), ((2, 0), (1,)), ((2, 1, 3), (4, 1)), ((1, 2, 1, 2), (2, 3, 1))]


@pytest.mark.parametrize("dtype", ["f64", "f32"])
@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "hypot", "atan2", "power", "remainder", "copysign", "logaddexp", "fmod", "floor_divide"])
def test_broadcast_operands_and_their_gradients(name: str, dtype: str) -> None:
    rng = np.random.default_rng(len(name))
    numpy_dtype = {"f64": np.float64, "f32": np.float32}[dtype]
    for a, b in SHAPES:
        x, y = (rng.uniform(0.5, 2, s).astype(numpy_dtype) for s in (a, b))
        texts = [f"{dtype}[{', '.join(map(str, s))}]" if s else dtype for s in (a, b)]
        text = f"input x : {texts[0]}\ninput y : {texts[1]}\nr = {name}(x, y)\nl = sum(r * r)\noutput r\n"
        wanted = {"atan2": np.arctan2}.get(name) or getattr(np, name)
        if name != "floor_divide":
            text += "output dx, dy = grad(l, [x, y])\n"
        made = dfg.compile(dfg.loads(text))(x=x, y=y)
        want = wanted(x, y)
        assert made["r"].dtype == numpy_dtype
        np.testing.assert_allclose(made["r"], want, rtol=1e-13 if dtype == "f64" else 2e-6)
        if dtype == "f32" or name == "floor_divide":
            continue
        for target, value in (("x", x), ("y", y)):
            direction = rng.normal(size=value.shape)
            given = {"x": x, "y": y}
            up, down = (np.sum(wanted(*{**given, target: value + h * direction}.values()) ** 2) for h in (1e-6, -1e-6))
            assert made[f"d{target}"].shape == value.shape
            assert np.sum(made[f"d{target}"] * direction) == pytest.approx((up - down) / 2e-6, rel=1e-6, abs=1e-7)
