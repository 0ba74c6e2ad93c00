"""Functions written in the language against SciPy and NumPy on wide ranges, in f64 to 1e-10 and in f32 to 1e-5, in their operands' dtype; and their slopes at orders 1 and 2
against differences of the values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special as sp
from test_special_values import F, grid, settle, wide

import dfg

Of = Callable[..., Any]


def every(*xs: np.ndarray) -> np.ndarray:
    return np.ones(xs[0].shape, bool)


def least(x: np.ndarray) -> np.ndarray:
    return np.abs(x - np.round(x))


# Where SciPy's and NumPy's are right: SciPy's beta has eight digits where one argument is 1e5 times the other, and is 0 where a gamma function overflows.
def _apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    fine = (np.abs(a) < 170) & (np.abs(b) < 170) & (np.abs(a + b) < 170)
    return (
        fine
        & (np.minimum(np.abs(a), np.abs(b)) > 1e-3)
        & ((least(a) > 1e-6) & (least(b) > 1e-6) & (least(a + b) > 1e-6) | (a == np.round(a)) & (b == np.round(b)))
    )


def _middle(*xs: np.ndarray) -> np.ndarray:
    return np.all([np.isfinite(x) & ((x == 0) | (np.abs(x) > 1e-30)) & (np.abs(x) < 1e20) for x in xs], axis=0)


ONE: dict[str, tuple[Of, Of]] = {
    "factorial": (lambda x: sp.gamma(x + 1), every),
    "rgamma": (sp.rgamma, every),
    "loggamma": (sp.gammaln, lambda x: (np.abs(x - 1) > 1e-3) & (np.abs(x - 2) > 1e-3)),
    "cosm1": (sp.cosm1, lambda x: np.abs(x) < 700),
    "exprel": (sp.exprel, every),
    "entr": (sp.entr, every),
    "log_expit": (sp.log_expit, every),
    "silu": (lambda x: x * sp.expit(x), lambda x: x > -700),
    "gelu": (lambda x: x * sp.ndtr(x), every),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(x)), every),
    "softsign": (lambda x: x / (1 + np.abs(x)), every),
    "tanhshrink": (lambda x: x - np.tanh(x), lambda x: np.abs(x) > 0.1),
    "mish": (lambda x: x * np.tanh(np.logaddexp(0, x)), every),
    "fabs": (np.fabs, every),
    "fix": (np.fix, every),
    "angle": (np.angle, every),
    "isposinf": (np.isposinf, every),
    "isneginf": (np.isneginf, every),
    "degrees": (np.degrees, every),
    "radians": (np.radians, every),
    "exp10": (lambda x: 10.0**x, every),
    "sgn": (np.sign, every),
}
TWO: dict[str, tuple[Of, Of]] = {
    "beta": (sp.beta, _apart),
    "binom": (sp.binom, lambda n, k: _apart(n + 1, k + 1) & (n > -20) & (np.abs(k) > 1e-3)),
    "comb": (sp.comb, lambda n, k: (n < 170) & (np.minimum(np.abs(n - k), np.minimum(np.abs(n), np.abs(k))) > 1e-3)),
    "poch": (sp.poch, lambda x, m: _apart(x, m) & (np.abs(x) > 1e-3) & (m > -20) & (m < 20) & (least(x) > 1e-3)),
    "perm": (sp.perm, lambda n, k: (n < 170) & (np.minimum(np.abs(n - k), np.minimum(np.abs(n), np.abs(k))) > 1e-3)),
    "rel_entr": (sp.rel_entr, every),
    "huber": (sp.huber, every),
    "pseudo_huber": (sp.pseudo_huber, _middle),
    "boxcox": (sp.boxcox, lambda x, _: _middle(x, _)),
    "boxcox1p": (sp.boxcox1p, lambda x, n: _middle(x, n) & (np.abs(n * np.log1p(np.abs(x))) < 700)),
    "inv_boxcox": (sp.inv_boxcox, _middle),
    "inv_boxcox1p": (sp.inv_boxcox1p, _middle),
    "stdtr": (sp.stdtr, lambda v, t: _middle(v) & (v > 1e-3) & (v < 1e4) & ~np.isnan(t)),
    "chdtr": (sp.chdtr, lambda v, x: _middle(v, x) & (v > 0)),
    "chdtrc": (sp.chdtrc, lambda v, x: _middle(v, x) & (v > 0)),
    "pdtr": (sp.pdtr, lambda k, m: _middle(k, m) & (k < 1e9) & (k == np.floor(k)) & (m >= 0)),
}
THREE: dict[str, tuple[Of, Of]] = {
    "betaincc": (sp.betaincc, lambda *_: every(*_)),
    "gdtr": (lambda a, b, x: sp.gdtr(a, b, x * 50), every),
    "fdtr": (lambda a, b, x: sp.fdtr(a, b, x * 50), every),
    "bdtr": (lambda k, n, p: sp.bdtr(np.floor(k / 10), n.astype(np.int64), p), every),
}


def double(f: Of, *xs: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(f(*[x.astype(np.float64) for x in xs]))


def right(cases: dict[str, Any], d: str) -> None:
    for name, case in cases.items():
        assert str(case[0].dtype) in (d, "bool"), f"{name} of {d} is {case[0].dtype}"


@pytest.mark.parametrize("d", F)
def test_of_one(d: str) -> None:
    x = np.concatenate([grid(F[d]), wide(F[d])])
    t = dfg.input("x", f"{d}[{x.size}]")
    cases = {n: (getattr(dfg, n)(t), double(f, x) if n[:2] != "is" else f(x), (x,), double(counts, x)) for n, (f, counts) in ONE.items()}
    right(cases, d)
    settle(cases, {"x": x}, signs=False)


@pytest.mark.parametrize("d", F)
def test_of_two(d: str) -> None:
    g, rng = grid(F[d])[::3], np.random.default_rng(3)
    m, p = rng.uniform(-30, 30, 800), 10 ** rng.uniform(-4, 5, 800)
    a = np.concatenate([np.repeat(g, g.size), m, p, p, rng.integers(-12, 40, 600)]).astype(F[d])
    b = np.concatenate([np.tile(g, g.size), rng.permutation(m), rng.permutation(p), m, rng.integers(-12, 40, 600)]).astype(F[d])
    s, t = dfg.input("a", f"{d}[{a.size}]"), dfg.input("b", f"{d}[{a.size}]")
    cases = {n: (getattr(dfg, n)(s, t), double(f, a, b), (a, b), double(counts, a, b)) for n, (f, counts) in TWO.items()}
    right(cases, d)
    settle(cases, {"a": a, "b": b}, signs=False)


@pytest.mark.parametrize("d", F)
def test_of_three(d: str) -> None:
    n, rng = 3000, np.random.default_rng(4)
    a, b, x = 10 ** rng.uniform(-2, 3, n), 10 ** rng.uniform(-2, 3, n), rng.random(n)
    x[::3] = 10 ** rng.uniform(-9, 0, n // 3)
    x[1::7], x[2::7] = 0, 1
    a, b, x = (v.astype(F[d]) for v in (a, b, x))
    p, q, r = (dfg.input(w, f"{d}[{n}]") for w in "pqr")
    changed = {"gdtr": (p, q, r * 50), "fdtr": (p, q, r * 50), "bdtr": (dfg.floor(p / 10), dfg.floor(q), r)}
    cases = {}
    for name, (f, counts) in THREE.items():
        want = double(f, a, b, x)
        fine = double(counts, a, b, x) & (want > (1e-200 if d == "f64" else 1e-30))
        # The argument is rounded to f32.
        if d == "f32" and name in ("gdtr", "fdtr", "bdtr"):
            f50 = {"gdtr": sp.gdtr, "fdtr": sp.fdtr}.get(name)
            want = (
                double(f50, a, b, x * np.float32(50))
                if f50
                else double(lambda k, m, y: sp.bdtr(k, m.astype(np.int64), y), np.floor(a / np.float32(10)), b, x)
            )
        cases[name] = getattr(dfg, name)(*changed.get(name, (p, q, r))), want, (a, b, x), fine
    right(cases, d)
    settle(cases, {"p": a, "q": b, "r": x}, signs=False)


SLOPES = {
    **dict.fromkeys(
        "exprel entr cosm1 rgamma factorial gelu silu mish tanhshrink softsign log_expit sigmoid exp10".split(), ((-0.9, 2.5),)
    ),
    "erfcinv": ((0.2, 1.8),),
    "logit": ((0.1, 0.9),),
    "beta": ((0.3, 3), (0.2, 2.7)),
    "binom": ((0.2, 6), (-1.8, 4)),
    "poch": ((0.3, 4), (-0.2, 2)),
    "rel_entr": ((0.2, 3), (0.2, 3)),
    "pseudo_huber": ((0.2, 3), (-2, 2)),
    "boxcox": ((0.3, 3), (-0.5, 0.5)),
    "boxcox1p": ((-0.4, 3), (-0.5, 0.5)),
    "inv_boxcox": ((-0.8, 2), (-0.3, 0.3)),
    "inv_boxcox1p": ((-0.8, 2), (-0.3, 0.3)),
    "stdtr": ((0.7, 9), (-0.2, 0.2)),
    "chdtr": ((0.5, 5), (0.3, 6)),
    "fdtr": ((0.5, 5), (0.5, 5), (0.3, 6)),
    "betaincc": ((0.5, 5), (0.5, 5), (0.1, 0.9)),
    "gdtr": ((0.5, 3), (0.5, 3), (0.3, 3)),
}


def richardson(f: Callable[[np.ndarray], dict[str, np.ndarray]], x: np.ndarray, h: float = 2e-2) -> dict[str, np.ndarray]:
    """The derivatives of all results by central differences of five steps, extrapolated to step 0."""
    ends = [(f(x + h / 2**k), f(x - h / 2**k)) for k in range(5)]
    made = {}
    for name in ends[0][0]:
        rows = [(a[name] - b[name]) / (2 * h / 2**k) for k, (a, b) in enumerate(ends)]
        for order in range(1, 5):
            rows = [(4**order * b - a) / (4**order - 1) for a, b in zip(rows[:-1], rows[1:], strict=True)]
        made[name] = rows[0]
    return made


@pytest.mark.parametrize("name", SLOPES)
def test_slopes(name: str) -> None:
    """The first derivatives against differences of the values, the second ones against those of the first; the edges of series, zeros and whole numbers among the places."""
    rng, n = np.random.default_rng(6), 60 if len(SLOPES[name]) < 3 else 16
    xs = []
    for lo, hi in SLOPES[name]:
        x = rng.uniform(lo, hi, n)
        beside = np.array([v for v in (0.0, 1e-7, -1e-4, 0.3, -0.3, 0.2, 1.0, 2.0) if lo < v < hi])
        x[: beside.size] = rng.permutation(beside)
        xs.append(x)
    if name in ("entr", "softsign"):
        xs = [np.abs(xs[0]) + 0.1]
    ts = [dfg.input(w, f"f64[{n}]") for w in "xyz"[: len(xs)]]
    y = getattr(dfg, name)(*ts)
    first = dfg.grad(dfg.sum(y), ts)
    low = {"y": y, **{f"g{i}": g for i, g in enumerate(first)}}
    fn = dfg.compile(low)
    found = fn(**dict(zip("xyz", xs, strict=False)))
    second = dfg.compile({f"h{i}{j}": h for i, g in enumerate(first) for j, h in enumerate(dfg.grad(dfg.sum(g), ts))})(
        **dict(zip("xyz", xs, strict=False))
    )
    for j in range(len(xs)):

        def at(v: np.ndarray, j: int = j) -> dict[str, np.ndarray]:
            return {
                k: np.asarray(a) for k, a in fn(**{w: v if k == j else x for k, (w, x) in enumerate(zip("xyz", xs, strict=False))}).items()
            }

        want = richardson(at, xs[j])
        np.testing.assert_allclose(found[f"g{j}"], want["y"], rtol=1e-7, atol=1e-8 * np.max(np.abs(want["y"])), err_msg=f"{name} by {j}")
        for i in range(len(xs)):
            w = want[f"g{i}"]
            np.testing.assert_allclose(second[f"h{i}{j}"], w, rtol=1e-6, atol=1e-7 * np.max(np.abs(w)), err_msg=f"{name} by {i}, {j}")


@pytest.mark.parametrize("d", F)
def test_log_softmax_next_to_large_numbers(d: str) -> None:
    """Its digits are those of the differences, also in the losses made of it and in their gradients."""
    rng = np.random.default_rng(2)
    top = F[d](1e4 if d == "f32" else 1e12)
    x = (top + np.round(rng.uniform(-8, 8, (5, 6)) * 64) / 64).astype(F[d])  # exact differences
    z = x.astype(np.float64) - float(top)
    want = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
    labels = np.array([0, 5, 2, 3, 3])
    t = dfg.input("x", f"{d}[5, 6]")
    loss = dfg.cross_entropy(t, labels)
    made = dfg.compile(
        {
            "y": dfg.log_softmax(t),
            "l": loss,
            "n": dfg.nll_loss(dfg.log_softmax(t), labels),
            "g": dfg.grad(loss, t),
            "c": dfg.log_softmax(t.T, axis=0),
        }
    )(x=x)
    rough = 1e-5 if d == "f32" else 1e-12
    np.testing.assert_allclose(made["y"], want, rtol=rough)
    np.testing.assert_allclose(made["c"], want.T, rtol=rough)
    np.testing.assert_allclose([made["l"], made["n"]], -want[np.arange(5), labels].mean(), rtol=rough)
    np.testing.assert_allclose(made["g"], (np.exp(want) - np.eye(6)[labels]) / 5, rtol=rough, atol=rough / 10)
