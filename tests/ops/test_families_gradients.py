"""Functions of linear algebra, ordering, running results, convolution and pooling in programs with named sizes: compiled, their gradients and Hessian-vector
products against central differences, and the printed gradient read back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dfg

STEP = 1e-5
SQUARE, TALL, ROWS = "f64[b, n, n]", "f64[m, n]", "f64[b, t]"
REGULAR = "regular"
IMAGE, SIGNAL = "f64[b, c, h, w]", "f64[b, c, t]"
SIZES = {"b": 2, "n": 3, "m": 5, "t": 6, "c": 2, "h": 5, "w": 6, "k": 2, "o": 4}

# A type (or types by name) and an expression; sizes are bound by the arrays.
PROGRAMS: list[tuple[str, dict[str, str], str]] = [
    ("cholesky", {"x": SQUARE}, "cholesky(x @ x.mT + 3 * matrix_power(x, 0))"),
    ("cholesky upper", {"x": SQUARE}, "cholesky(x @ x.mT + 3 * matrix_power(x, 0), upper=true)"),
    ("cholesky_solve", {"x": SQUARE, "r": "f64[b, n, k]"}, "cholesky_solve(r, x + 3 * matrix_power(x, 0))"),
    ("solve_triangular", {"x": SQUARE, "r": "f64[n, k]"}, "solve_triangular(x + 3 * matrix_power(x, 0), r, lower=true, trans=1)"),
    ("solve_triangular vector", {"x": "f64[n, n]", "r": "f64[n]"}, "solve_triangular(x + 3 * matrix_power(x, 0), r, unit_diagonal=true)"),
    ("solve_triangular right", {"x": SQUARE, "r": "f64[b, k, n]"}, "solve_triangular(x + 3 * matrix_power(x, 0), r, left=false)"),
    ("inv", {"x": SQUARE}, "inv(x + 3 * matrix_power(x, 0))"),
    ("det", {"x": SQUARE}, "det(x)"),
    ("slogdet", {"x": SQUARE}, "logdet(x @ x.mT + matrix_power(x, 0))"),
    ("eigvalsh", {"x": SQUARE}, "eigvalsh(x)"),
    ("pinv", {"x": TALL}, "dim m >= n: pinv(x)"),
    ("lstsq", {"x": TALL, "r": "f64[m]"}, "lstsq(x, r)"),
    ("svdvals", {"x": TALL}, "svdvals(x)"),
    ("matrix_power", {"x": SQUARE}, "matrix_power(x, 5)"),
    ("matrix_power inverse", {"x": SQUARE}, "matrix_power(x + 3 * matrix_power(x, 0), -2)"),
    ("expm", {"x": SQUARE}, "expm(x)"),
    ("vecdot", {"x": "f64[b, n]", "r": "f64[n]"}, "vecdot(x, r)"),
    ("matvec", {"x": SQUARE, "r": "f64[n]"}, "matvec(x, r)"),
    ("vecmat", {"x": SQUARE, "r": "f64[n]"}, "vecmat(r, x)"),
    ("multi_dot", {"x": TALL, "r": "f64[n, k]"}, "0.2 * multi_dot([x, r, r.T, x.T])"),
    ("sort", {"x": ROWS}, "sort(x, axis=0) * sort(x, descending=true)"),
    ("median", {"x": ROWS}, "median(x, axis=1)"),
    ("nanmedian", {"x": ROWS}, "nanmedian(x, axis=0)"),
    ("quantile", {"x": ROWS}, "quantile(x, [0.1, 0.6], axis=1)"),
    ("quantile computed", {"x": ROWS, "r": "f64"}, "quantile(x, 0.5 + 0.1 * tanh(r), method=\"hazen\")"),
    ("cumsum", {"x": ROWS}, "cumsum(x ** 2, axis=1)"),
    ("cumprod", {"x": ROWS}, "cumprod(x, axis=1)"),
    ("cumulative_sum", {"x": ROWS}, "cumulative_sum(x ** 2, axis=0, include_initial=true)"),
    ("logcumsumexp", {"x": ROWS}, "logcumsumexp(x)"),
    ("cumulative_max", {"x": ROWS}, "cumulative_max(x) * cumulative_min(x, axis=0, reverse=true)"),
    ("diff", {"x": ROWS}, "dim t >= 2: diff(x ** 2, n=2)"),
    ("trapezoid", {"x": ROWS, "r": "f64[t]"}, "trapezoid(x ** 2, r)"),
    ("cumulative_trapezoid", {"x": ROWS}, "cumulative_trapezoid(x ** 2, dx=0.5, initial=0)"),
    ("shift", {"x": ROWS}, "shift(x, axis=1, by=-2) * x"),
    ("conv1d", {"x": SIGNAL, "r": "f64[o, c, k]", "q": "f64[o]"}, "conv1d(x, r, q, stride=2, padding=1)"),
    ("conv2d", {"x": IMAGE, "r": "f64[o, c, k, 3]"}, 'conv2d(x, r, padding="same")'),
    ("conv2d groups", {"x": IMAGE, "r": "f64[2 * o, 1, 2, 2]"}, "dim c == 2: conv2d(x, r, stride=[2, 1], dilation=2, groups=2)"),
    ("conv_transpose2d", {"x": IMAGE, "r": "f64[c, o, 3, 2]"}, "conv_transpose2d(x, r, stride=2, padding=1, output_padding=1)"),
    ("conv_transpose1d", {"x": SIGNAL, "r": "f64[c, o, k]"}, "conv_transpose1d(x, r, stride=3)"),
    ("max_pool2d", {"x": IMAGE}, "max_pool2d(x, 3, stride=2, padding=1) ** 2"),
    ("max_pool1d", {"x": SIGNAL}, "max_pool1d(x, 2) ** 2"),
    ("avg_pool2d", {"x": IMAGE}, "avg_pool2d(x ** 2, 2, padding=1, count_include_pad=false)"),
    ("adaptive_avg_pool2d", {"x": IMAGE}, "adaptive_avg_pool2d(x ** 2, [2, 4])"),
    ("adaptive_max_pool1d", {"x": SIGNAL}, "adaptive_max_pool1d(x ** 2, 4)"),
    ("im2col", {"x": IMAGE}, "im2col(x ** 2, 2, stride=2)"),
    ("interpolate", {"x": IMAGE}, 'interpolate(x ** 2, [4, 9], mode="bilinear")'),
    ("convolve", {"x": "f64[t]", "r": "f64[k]"}, "convolve(x, r)"),
    ("correlate", {"x": "f64[t]", "r": "f64[k]"}, 'dim t >= k: correlate(x, r, mode="same")'),
]

# Statements that bind y.
STATEMENTS: list[tuple[str, dict[str, str], str]] = [
    ("eigh", {"x": SQUARE}, "w, v = eigh(x)\ny = (v * expand_dims(sin(w), axis=1)) @ v.mT"),
    ("svd", {"x": TALL}, "u, s, vh = svd(x)\ny = (u * s ** 3) @ vh"),
    ("svd wide", {"x": "f64[n, m]"}, "dim m >= n\nu, s, vh = svd(x)\ny = (u * s ** 3) @ vh"),
    ("topk", {"x": ROWS}, "values, indices = topk(x, 3)\ny = values ** 2"),
    ("kthvalue", {"x": ROWS}, "values, indices = kthvalue(x, 2, axis=1)\ny = values ** 2"),
    ("cummax", {"x": ROWS}, "values, indices = cummax(x, axis=1)\ny = values ** 2"),
]


def program(types: dict[str, str], body: str, tail: str) -> str:
    facts = ""
    if body.startswith("dim ") and ": " in body.split("\n")[0]:
        facts, body = body.split(": ", 1)
    if "y = " not in body:
        body = f"y = {body}"
    head = [f"input {name} : {t}" for name, t in types.items()]
    return "\n".join([*head, facts, body, tail]) + "\n"


def arrays_for(types: dict[str, str], seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)

    def shape(t: str) -> tuple[int, ...]:
        inner = t.partition("[")[2].rstrip("]")
        return tuple(eval(d, {}, SIZES) for d in inner.split(",")) if inner else ()

    return {name: np.asarray(rng.normal(size=shape(t))) for name, t in types.items()}


@pytest.mark.parametrize(("types", "body"), [(t, b) for _, t, b in PROGRAMS + STATEMENTS], ids=[n for n, _, _ in PROGRAMS + STATEMENTS])
def test_gradients_of_both_orders_and_their_text(types: dict[str, str], body: str) -> None:
    names = list(types)
    arrays = arrays_for(types, 7)
    weighted = "l = sum(sin(1.3 * y) + y)"
    second = "g = grad(l, x)\noutput l, g\nsecond = sum(sin(g))\noutput second"
    text = program(types, body, f"{weighted}\n{second}")
    outer = dfg.loads(text).grad("second", names)
    fn = dfg.compile(outer)
    plain = dfg.compile(dfg.loads(text))
    made: dict[str, Any] = dict(fn(**arrays))
    rng = np.random.default_rng(3)
    first = dict(dfg.compile(dfg.loads(program(types, body, f"{weighted}\noutput l")).grad("l", names))(**arrays))
    for name in names:
        direction = rng.normal(size=arrays[name].shape)
        up = dict(plain(**{**arrays, name: arrays[name] + STEP * direction}))
        down = dict(plain(**{**arrays, name: arrays[name] - STEP * direction}))
        for value, grads in (("l", first), ("second", made)):
            exact = float(np.sum(grads[f"d{value}_d{name}"] * direction))
            numeric = float(up[value] - down[value]) / (2 * STEP)
            size = max(1e-2, abs(numeric), float(np.sum(np.abs(grads[f"d{value}_d{name}"] * direction))))
            assert abs(exact - numeric) <= 3e-6 * size, (name, value, exact, numeric)
    again = dict(dfg.compile(dfg.loads(str(outer)))(**arrays))
    for key, value in made.items():
        np.testing.assert_allclose(again[key], value, rtol=1e-10, atol=1e-12)
