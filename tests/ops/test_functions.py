"""Surface functions from programs: named sizes, defaults, draws, what is refused and how it is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dfg.api import compile as compile_program
from dfg.api import loads
from dfg.diagnostics import UserError


def run(text: str, **inputs: Any) -> dict[str, np.ndarray]:
    return compile_program(loads(text))(**inputs)


sc = pytest.importorskip("scipy.special")
X = np.array([0.5, -1.0, 2.0, 3.0])
P = np.abs(X)
EXPRESSIONS: list[tuple[str, Any]] = [
    ("roll(x, 1)", np.roll(X, 1)),
    ("roll(x, 7)", np.roll(X, 7)),
    ("roll(x, -n)", X),
    ('pad(x, [2, 5], mode="reflect")', np.pad(X, (2, 5), "reflect")),
    ('pad(x, [2, 9], mode="symmetric")', np.pad(X, (2, 9), "symmetric")),
    ('pad(x, 3, mode="wrap")', np.pad(X, 3, "wrap")),
    ('pad(x, [1, 2], mode="edge")', np.pad(X, (1, 2), "edge")),
    ("pad(x, [1, n], constant_values=7)", np.pad(X, (1, 4), constant_values=7)),
    ("tril(outer(x, x), k=-1)", np.tril(np.outer(X, X), -1)),
    ("diagonal(outer(x, x), offset=1)", np.diagonal(np.outer(X, X), 1)),
    ("diag(x, k=2)", np.diag(X, 2)),
    ("eye(n, k=1)", np.eye(4, k=1)),
    ("tile(x, 2)", np.tile(X, 2)),
    ("repeat(x, n)", np.repeat(X, 4)),
    ("kron(x, [1, 2])", np.kron(X, [1, 2])),
    ("linspace(0, 1, n)", np.linspace(0, 1, 4)),
    ("linspace(x[0], x[3], 3)", np.linspace(0.5, 3, 3)),
    ("sliding_window_view(x, 3)", np.lib.stride_tricks.sliding_window_view(X, 3)),
    ("var(x, correction=1)", np.var(X, ddof=1)),
    ("std(x)", np.std(X)),
    ("mean(x, dtype=f32)", np.mean(X, dtype=np.float32)),
    ("norm(x)", np.linalg.norm(X)),
    ("norm(x, 1)", 6.5),
    ('norm(outer(x, x), "fro")', np.linalg.norm(np.outer(X, X))),
    ("softmax(x, where=x > 0)", np.where(X > 0, np.exp(X) / np.exp(X[X > 0]).sum(), 0)),
    ("one_hot([2, 0], 3)", np.eye(3, dtype=np.int64)[[2, 0]]),
    ("take(x, [3, -1, 0])", X[[3, -1, 0]]),
    ("clip(x, min=0)", np.clip(X, 0, None)),
    ("clip([1, 5, 9], 2, 6)", np.clip([1, 5, 9], 2, 6)),
    ("round(x * 1.257, decimals=1)", np.round(X * 1.257, 1)),
    ("nan_to_num([1, inf, -inf, nan])", np.nan_to_num([1, np.inf, -np.inf, np.nan])),
    ("isclose(x, x + 1e-9)", np.ones(4, bool)),
    ("(5 & 3) | 8", 9),
    ("bitwise_xor(5, 1) + bitwise_left_shift(1, 4)", 20),
    ("ldexp(x, [1, -1, 2000, 0])", [1.0, -0.5, np.inf, 3.0]),
    ("heaviside(x, 1)", np.heaviside(X, 1)),
    ("nanmean([1, nan, 3])", 2.0),
    ("nanmax([1, nan, 3])", 3.0),
    ("nanstd([1, nan, 3])", 1.0),
    ("prod([2, 3, 4])", 24),
    ("count_nonzero(x > 0)", 3),
    ("cross([1, 0, 0], [0, 1, 0])", [0, 0, 1]),
    ("rot90(outer(x, x))", np.rot90(np.outer(X, X))),
    ("logspace(0, 2, 3)", [1, 10, 100]),
    ("linear_recurrence(x, x)", [0.5, -1.5, -1.0, 0.0]),
    ("huber_loss(x, 0)", np.mean(np.where(np.abs(X) <= 1, X * X / 2, np.abs(X) - 0.5))),
    ("cross_entropy(outer(x, x), [0, 1, 2, 3])", None),
    ("cbrt(x)", np.cbrt(X)),
    ("gcd([12,18],[8,27])", np.gcd([12, 18], [8, 27])),
    ("lcm(4,6)", 12),
    ("select([x<0,x>2],[x,x*x],7)", np.select([X < 0, X > 2], [X, X * X], 7)),
    ("erfcinv(abs(x)/4)", sc.erfcinv(P / 4)),
    ("rel_entr(x,abs(x)+1)", sc.rel_entr(X, P + 1)),
    ("exprel(x)", sc.exprel(X)),
    ("exprel([0,1e-7,1e-4])", sc.exprel([0, 1e-7, 1e-4])),
    ("binom(5,2)", 10),
    ("factorial([3,4])", [6, 24]),
    ("ptp(x)", 4.0),
    ("cov(reshape(x,[2,2]))", np.cov(X.reshape(2, 2))),
    ("corrcoef(reshape(x*x,[2,2])+eye(2))", np.corrcoef((X * X).reshape(2, 2) + np.eye(2))),
    ("bincount([1,1,3],minlength=5)", np.bincount([1, 1, 3], minlength=5)),
    ("interp([0,1.5,9,-1.0,2],[0,1,2.0],[5,6,9.0])", np.interp([0, 1.5, 9, -1, 2], [0, 1, 2], [5, 6, 9])),
    ("gradient(x)", np.gradient(X)),
    ("gradient(x,0.5)", np.gradient(X, 0.5)),
    ("polyval([1,2,3],x)", np.polyval([1, 2, 3], X)),
    ("append(x,[1,2.0])", np.append(X, [1, 2.0])),
    ("vdot(x,x)", X @ X),
    ("vander(x)", np.vander(X)),
    ("vander(x,3,increasing=true)", np.vander(X, 3, True)),
    ("softmin(x)", sc.softmax(-X)),
    ("threshold(x,0.6,9)", np.where(X > 0.6, X, 9)),
    ("hinge_loss(x,sign(x))", np.mean(np.maximum(0, 1 - P))),
    ("prelu(x,0.1)", np.where(X > 0, X, 0.1 * X)),
    ("poisson_nll_loss(x,abs(x))", np.mean(np.exp(X) - P * X)),
]


@pytest.mark.parametrize(("text", "want"), EXPRESSIONS, ids=[e[0] for e in EXPRESSIONS])
def test_with_named_and_with_given_sizes(text: str, want: Any) -> None:
    facts = "dim n == 4\n" if "cross_entropy" in text or "reshape" in text or "ldexp" in text or "x[3]" in text else "dim n >= 3\n"
    with np.errstate(all="ignore"):
        named = run(f"input x : f64[n]\n{facts}output y = {text}\noutput s = sum(x)\n", x=X)["y"]
        given = run(f"input x : f64[4]\nn = x.size\noutput y = {text}\noutput s = sum(x)\n".replace("n = x.size\n", "const n = 4\n"), x=X)[
            "y"
        ]
    np.testing.assert_allclose(named, given, rtol=1e-15)
    if want is not None:
        np.testing.assert_allclose(named, want, rtol=1e-12)


REFUSED: list[tuple[str, str, str]] = [
    ("roll(x, 1.5)", "bad-argument", "shift"),
    ("softmax(x, axis=2)", "bad-argument", "axis"),
    ("sum(outer(x, x), axis=[0, -2])", "bad-argument", "named twice"),
    ("take(x, [0.5])", "wrong-dtype", "integers"),
    ("take(x, x > 0)", "wrong-dtype", "integers"),
    ("split(x, 3)", "shape-mismatch", "equal parts"),
    ("reshape(x, [3, -1])", "", ""),
    ("moveaxis(outer(x, x), [0, 0], [0, 1])", "bad-argument", "named twice"),
    ('pad(x, [1, 1], mode="mirror")', "bad-argument", "mode"),
    ("pad(x, [[1, 1], [2, 2]])", "bad-argument", "for each of 1 axes"),
    ('mse_loss(x, x, reduction="max")', "bad-argument", "reduction"),
    ("cross_entropy(x, 0.5)", "", ""),
    ("one_hot(x, 3)", "wrong-dtype", "integers"),
    ("bitwise_and(x, 1)", "wrong-dtype", "u8"),
    ("logical_xor(x, x)", "wrong-dtype", "bool"),
    ("polygamma(-1, x)", "bad-argument", "`n`"),
    ("polygamma(0.5, x)", "bad-argument", "`n`"),
    ("repeat(x, -1)", "bad-argument", "repeat"),
    ("tile(x, [-1])", "bad-argument", "tile"),
    ("eye(-2)", "bad-argument", "negative"),
    ("cdist(x, x)", "rank-mismatch", "rows"),
    ("group_norm(outer(x, x), 3)", "shape-mismatch", "groups"),
    ("layer_norm(x, [3])", "shape-mismatch", "last axes"),
    ("cross(x, x)", "shape-mismatch", "3 elements"),
    ("glu(x[:3])", "shape-mismatch", "2 equal parts"),
    ("sliding_window_view(x, 5)", "out-of-bounds", "window"),
    ("uniform([3])", "missing-argument", "seed"),
    ("randint(3, 3, seed=1)", "bad-argument", "no whole number"),
    ("randint(0.5, 3, seed=1)", "wrong-dtype", "whole numbers"),
    ('matrix_norm(outer(x, x), ord="max")', "bad-argument", "ord"),
    ('gelu(x, approximate="fast")', "bad-argument", "approximate"),
    ("norm(outer(x, x), 3)", "bad-argument", "ord"),
    ("gather(x, 0, [[0]])", "rank-mismatch", "index"),
    ("batch_norm(outer(x, x))", "missing-argument", "running_mean"),
    ("nonzero(x)", "not-static", "size"),
    ("negative(x > 0)", "wrong-dtype", "bool"),
    ("abs(x > 0)", "wrong-dtype", "bool"),
]


@pytest.mark.parametrize(("text", "code", "words"), REFUSED, ids=[e[0] for e in REFUSED])
def test_refused(text: str, code: str, words: str) -> None:
    with pytest.raises(UserError) as e:
        compile_program(loads(f"input x : f64[4]\noutput y = {text}\n"))
    d = e.value.diagnostics[0]
    assert d.span is not None
    if code:
        assert d.code == code and words in d.message + (d.help or ""), d


def test_symbolic_splits_need_their_fact() -> None:
    with pytest.raises(UserError) as e:
        loads("input x : f64[n]\na, b = split(x, 2)\noutput a, b\n")
    assert e.value.diagnostics[0].code == "dim-unproved" and "n % 2 == 0" in str(e.value)
    made = run("input x : f64[n]\ndim n % 2 == 0\na, b = split(x, 2)\noutput a, b\n", x=X)
    np.testing.assert_array_equal(made["b"], X[2:])


def test_draws() -> None:
    text = (
        "state k : i64 = 3\noutput b = bernoulli(0.3, [50000], seed=k)\noutput i = randint(-3, 4, [70000], seed=[k, 1])\noutput p = permutation(100, seed=k)\n"
        "output e = exponential([50000], seed=k)\noutput c = categorical([[0, 1, 2.0], [9, 9, 9.0]], seed=k)\noutput q = permutation(100, seed=k)\nupdate k = k + 1\n"
    )
    fn = compile_program(loads(text))
    a = fn()
    assert abs(a["b"].mean() - 0.3) < 0.01 and a["b"].dtype == bool
    counts = np.bincount(a["i"] + 3)
    assert len(counts) == 7 and counts.min() > 9500 and a["i"].dtype == np.int64
    np.testing.assert_array_equal(np.sort(a["p"]), np.arange(100))
    np.testing.assert_array_equal(a["p"], a["q"])
    assert abs(a["e"].mean() - 1) < 0.02 and abs(a["e"].var() - 1) < 0.05 and a["e"].min() >= 0
    assert not np.array_equal(a["p"], fn()["p"])


def test_categorical_has_the_softmax_as_frequencies() -> None:
    made = run("output c = categorical(broadcast_to([0, 1, 2.0], [60000, 3]), seed=5)\n")["c"]
    want = np.exp([0, 1, 2.0]) / np.exp([0, 1, 2.0]).sum()
    np.testing.assert_allclose(np.bincount(made) / 60000, want, atol=0.01)


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [5, 60])
def test_products_with_zeros_at_three_orders(zeros: int, size: int) -> None:
    """Against the product of the others, two others, three others."""
    rng = np.random.default_rng(zeros)
    x = rng.uniform(0.8, 1.25, size)
    x[:zeros] = 0
    v = rng.normal(size=size)
    text = "input x, v : f64[n]\nl = prod(x)\ng = grad(l, x)\ns = sum(g * v)\nh = grad(s, x)\nr = sum(h * v)\noutput g, h\noutput t = grad(r, x)\n"
    made = run(text, x=x, v=v)
    # The coefficients in e1, e2, e3 of prod_k (x_k + v_k e1 + v_k e2 + ...) without one factor, by direct sums.
    for k in (0, 1, size - 1):
        rest, w = np.delete(x, k), np.delete(v, k)
        np.testing.assert_allclose(made["g"][k], np.prod(rest), rtol=1e-12)
        series = np.zeros(3)
        series[0] = 1
        for a, b in zip(rest, w, strict=True):
            series = np.array([series[0] * a, series[1] * a + series[0] * b, series[2] * a + series[1] * b])
        np.testing.assert_allclose(made["h"][k], series[1], rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose(made["t"][k], 2 * series[2], rtol=1e-11, atol=1e-13)


def test_a_long_recurrence_overflows_only_where_it_does_step_by_step() -> None:
    """By doubling, the products of coefficients overflow; from 0 the steps do not."""
    text = "input a, b : f64[n]\noutput y = linear_recurrence(a, b)\noutput z = linear_recurrence(a, b, reverse=true)\n"
    a, b = np.full(80, 1e200), np.zeros(80)
    np.testing.assert_array_equal(run(text, a=a, b=b)["y"], 0)
    rng = np.random.default_rng(1)
    a, b = rng.uniform(-1, 1, (2, 200))
    want = np.zeros(200)
    for t in range(200):
        want[t] = b[t] + a[t] * (want[t - 1] if t else 0)
    np.testing.assert_allclose(run(text, a=a, b=b)["y"], want, rtol=1e-12)
    np.testing.assert_allclose(run(text, a=a[::-1].copy(), b=b[::-1].copy())["z"][::-1], want, rtol=1e-12)
