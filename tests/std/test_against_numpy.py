"""Optimisers step by step against NumPy, and log-densities against SciPy on and outside of their support."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats as st

import dfg

Arrays = list[np.ndarray]
Rule = Callable[[Arrays, Arrays, Any, int], tuple[Arrays, Any]]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3))
Y = np.tanh(X @ np.array([1.0, -2, 0.5]))[:, None]
NAMES = ("w1", "b1", "w2", "b2")
START = [RNG.normal(size=(3, 5)) * 0.5, np.zeros(5), RNG.normal(size=(5, 1)) * 0.5, np.zeros(1)]
PROGRAM = """use optim
input x : f64[n, 3]
input y : f64[n, 1]
param w1 : f64[3, 5] = 0
param b1 : f64[5] = 0
param w2 : f64[5, 1] = 0
param b2 : f64[1] = 0
loss = mean((tanh(x @ w1 + b1) @ w2 + b2 - y) ** 2)
g = grad(loss, params)
state step : i64 = 0
update step = step + 1
output loss
"""


def slopes(p: Arrays) -> tuple[float, Arrays]:
    """The loss of a small network and its gradients, by hand."""
    w1, b1, w2, b2 = p
    h = np.tanh(X @ w1 + b1)
    r = h @ w2 + b2 - Y
    out = 2 * r / r.size
    inner = out @ w2.T * (1 - h * h)
    return float((r**2).mean()), [X.T @ inner, inner.sum(0), h.T @ out, out.sum(0)]


def each(f: Callable[..., Any], *tables: Any) -> Arrays:
    return [f(*row) for row in zip(*tables, strict=True)]


def sgd(p: Arrays, g: Arrays, s: Any, t: int) -> tuple[Arrays, Any]:
    return each(lambda a, d: a - 0.1 * d, p, g), s


def momentum(p: Arrays, g: Arrays, s: Any, t: int) -> tuple[Arrays, Any]:
    s = each(lambda v, d: 0.9 * v + d, s or [0] * 4, g)
    return each(lambda a, v: a - 0.1 * v, p, s), s


def nesterov(p: Arrays, g: Arrays, s: Any, t: int) -> tuple[Arrays, Any]:
    s = each(lambda v, d: 0.9 * v + d, s or [0] * 4, g)
    return each(lambda a, v, d: a - 0.1 * (d + 0.9 * v), p, s, g), s


def adagrad(p: Arrays, g: Arrays, s: Any, t: int) -> tuple[Arrays, Any]:
    s = each(lambda v, d: v + d * d, s or [0] * 4, g)
    return each(lambda a, v, d: a - 0.1 * d / (np.sqrt(v) + 1e-10), p, s, g), s


def rmsprop(p: Arrays, g: Arrays, s: Any, t: int) -> tuple[Arrays, Any]:
    s = each(lambda v, d: 0.99 * v + 0.01 * d * d, s or [0] * 4, g)
    return each(lambda a, v, d: a - 0.01 * d / (np.sqrt(v) + 1e-8), p, s, g), s


def adam(p: Arrays, g: Arrays, s: Any, t: int, decay: float = 0.0, ahead: bool = False) -> tuple[Arrays, Any]:
    m, v = s or ([0] * 4, [0] * 4)
    m = each(lambda a, d: 0.9 * a + 0.1 * d, m, g)
    v = each(lambda a, d: 0.999 * a + 0.001 * d * d, v, g)

    def step(a: Any, b: Any, c: Any, d: Any) -> Any:
        mean = 0.9 * b / (1 - 0.9 ** (t + 1)) + 0.1 * d / (1 - 0.9**t) if ahead else b / (1 - 0.9**t)
        return a - 0.01 * mean / (np.sqrt(c / (1 - 0.999**t)) + 1e-8) - 0.01 * decay * a

    return each(step, p, m, v, g), (m, v)


def adamax(p: Arrays, g: Arrays, s: Any, t: int) -> tuple[Arrays, Any]:
    m, v = s or ([0] * 4, [0] * 4)
    m = each(lambda a, d: 0.9 * a + 0.1 * d, m, g)
    v = each(lambda a, d: np.maximum(0.999 * a, np.abs(d) + 1e-8), v, g)
    return each(lambda a, b, c: a - 0.01 / (1 - 0.9**t) * b / c, p, m, v), (m, v)


def adadelta(p: Arrays, g: Arrays, s: Any, t: int) -> tuple[Arrays, Any]:
    v, d = s or ([0] * 4, [0] * 4)
    v = each(lambda a, b: 0.9 * a + 0.1 * b * b, v, g)
    steps = each(lambda a, b, c: np.sqrt(a + 1e-6) / np.sqrt(b + 1e-6) * c, d, v, g)
    return each(lambda a, b: a - b, p, steps), (v, each(lambda a, b: 0.9 * a + 0.1 * b * b, d, steps))


def lion(p: Arrays, g: Arrays, s: Any, t: int) -> tuple[Arrays, Any]:
    s = s or [0] * 4
    return each(lambda a, v, d: a - 0.01 * np.sign(0.9 * v + 0.1 * d), p, s, g), each(lambda v, d: 0.99 * v + 0.01 * d, s, g)


def clipped(p: Arrays, g: Arrays, s: Any, t: int) -> tuple[Arrays, Any]:
    length = np.sqrt(sum((d**2).sum() for d in g))
    rate = 0.5 * (0.5 * (1 + np.cos(np.pi * min((t - 1) / 20, 1)))) * min(1, 0.05 / length)
    return each(lambda a, d: a - rate * d, p, g), s


def lbfgs(p: Arrays, g: Arrays, s: Any, t: int) -> tuple[Arrays, Any]:
    pairs, last, slope = s or ([], None, None)
    x, y = (np.concatenate([a.ravel() for a in table]) for table in (p, g))
    if last is not None:
        d, e = x - last, y - slope
        if d @ e > 1e-10 * (e @ e):
            pairs = [*pairs, (d, e, 1 / (d @ e))][-5:]
    q = y.copy()
    kept = []
    for d, e, r in reversed(pairs):
        kept.append(r * (d @ q))
        q = q - kept[-1] * e
    if pairs:
        d, e, _ = pairs[-1]
        q = q * (d @ e) / (e @ e)
    for (d, e, r), k in zip(pairs, reversed(kept), strict=True):
        q = q + (k - r * (e @ q)) * d
    ends = np.cumsum([a.size for a in p])
    return each(lambda part, a: part.reshape(a.shape), np.split(x - 0.3 * q, ends[:-1]), p), (pairs, x, y)


def kept(name: str, arguments: str) -> str:
    return f"state s = optim.{name}_init(params)\nupdate params, s = optim.{name}(params, g, s, {arguments})\n"


OPTIMISERS: dict[str, tuple[str, Rule]] = {
    "sgd": ("update params = optim.sgd(params, g, lr=0.1)\n", sgd),
    "momentum": (kept("momentum", "lr=0.1"), momentum),
    "nesterov": (kept("nesterov", "lr=0.1"), nesterov),
    "adagrad": (kept("adagrad", "lr=0.1"), adagrad),
    "rmsprop": (kept("rmsprop", "lr=0.01"), rmsprop),
    "adam": (kept("adam", "lr=0.01"), adam),
    "adamw": (kept("adamw", "lr=0.01, decay=0.1"), lambda p, g, s, t: adam(p, g, s, t, decay=0.1)),
    "nadam": (kept("nadam", "lr=0.01"), lambda p, g, s, t: adam(p, g, s, t, ahead=True)),
    "adamax": (kept("adamax", "lr=0.01"), adamax),
    "adadelta": (kept("adadelta", "lr=1.0"), adadelta),
    "lion": (kept("lion", "lr=0.01"), lion),
    "lbfgs": (kept("lbfgs", "lr=0.3"), lbfgs),
    "clipped": ("update params = optim.sgd(params, optim.clip_norm(g, 0.05), lr=0.5 * optim.cosine(step, 20))\n", clipped),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_step_is_that_of_numpy_and_the_loss_falls(name: str) -> None:
    text, rule = OPTIMISERS[name]
    fn = dfg.compile(dfg.loads(PROGRAM + text))
    p, s = START, None
    for param, value in zip(NAMES, p, strict=True):
        fn.params[param] = value
    losses = []
    for t in range(1, 26):
        loss, g = slopes(p)
        losses.append(loss)
        np.testing.assert_allclose(fn(x=X, y=Y)["loss"], loss, rtol=1e-9)
        p, s = rule(p, g, s, t)
        for param, value in zip(NAMES, p, strict=True):
            np.testing.assert_allclose(fn.params[param], value, rtol=1e-9, atol=1e-9)
    assert losses[-1] < losses[0]


POINTS = np.array([-1.2, 0.3, 0.9, 2.5, 0.0, 1.0])
COUNTS = np.array([-1, 0, 1, 2, 5, 3, 7])
REAL = {
    "normal_logpdf(x, 0.4, 2.5)": st.norm(0.4, 2.5), "laplace_logpdf(x, 0.4, 2.5)": st.laplace(0.4, 2.5), "cauchy_logpdf(x, 0.4, 2.5)": st.cauchy(0.4, 2.5),
    "logistic_logpdf(x, 0.4, 2.5)": st.logistic(0.4, 2.5), "student_t_logpdf(x, 3.5, 0.4, 2.5)": st.t(3.5, 0.4, 2.5), "gumbel_logpdf(x, 0.4, 2.5)": st.gumbel_r(0.4, 2.5),
    "uniform_logpdf(x, 0.0, 2.0)": st.uniform(0, 2), "exponential_logpdf(x, 2.0)": st.expon(scale=0.5), "half_normal_logpdf(x, 2.5)": st.halfnorm(scale=2.5),
    "half_cauchy_logpdf(x, 2.5)": st.halfcauchy(scale=2.5), "lognormal_logpdf(x, 0.4, 2.5)": st.lognorm(2.5, scale=np.exp(0.4)),
    "inverse_gamma_logpdf(x, 2.5, 2.0)": st.invgamma(2.5, scale=2), "pareto_logpdf(x, 2.5, 0.7)": st.pareto(2.5, scale=0.7),
    "truncated_normal_logpdf(x, 0.0, 2.0, 0.4, 2.5)": st.truncnorm(-0.4 / 2.5, 1.6 / 2.5, loc=0.4, scale=2.5),
    **{f"gamma_logpdf(x, {a}, 2.0)": st.gamma(a, scale=0.5) for a in (0.5, 1.0, 2.5)},
    **{f"beta_logpdf(x, {a}, {b})": st.beta(a, b) for a in (0.5, 1.0, 2.5) for b in (0.5, 1.0, 2.5)},
    **{f"chi2_logpdf(x, {df})": st.chi2(df) for df in (1, 2, 3)}, **{f"weibull_logpdf(x, {c}, 2.0)": st.weibull_min(c, scale=2) for c in (0.5, 1.0, 1.5)},
}
DISCRETE = {
    "poisson_logpmf(k, 2.5)": st.poisson(2.5), "poisson_logpmf(k, 0.0)": st.poisson(0.0), "binomial_logpmf(k, 5, 0.2)": st.binom(5, 0.2),
    "geometric_logpmf(k, 0.2)": st.geom(0.2), "negative_binomial_logpmf(k, 2.5, 0.2)": st.nbinom(2.5, 0.2), "bernoulli_logpmf(k, 0.7)": st.bernoulli(1 / (1 + np.exp(-0.7))),
}


@pytest.mark.parametrize("call", [*REAL, *DISCRETE])
def test_densities_are_those_of_scipy_also_at_the_ends_of_the_support(call: str) -> None:
    name, data, kind = ("x", POINTS, "f64") if call in REAL else ("k", COUNTS, "i64")
    got = dfg.compile(dfg.loads(f"use stats\ninput {name} : {kind}[n]\noutput y = stats.{call}\n"))(**{name: data})["y"]
    wanted = REAL[call].logpdf(data) if call in REAL else DISCRETE[call].logpmf(data)
    np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-12)
