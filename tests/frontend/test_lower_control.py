"""Loops, branches and derivatives together: gradients against differences, records through loops, what belongs to which region."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lowering_helper import lowered, run

GRADIENTS = [
    # A loss `l` of the inputs x : f64[3] and w : f64; what is differentiated is checked by differences.
    "l = sum(scan a in x carry h = w { h = h * a + w })",
    "hs, ys = scan a in x carry h = w {\n  h = sin(h * a)\n  yield h * w\n}\nl = hs + sum(ys ** 2)",
    "y = scan a in x { yield scan b in x carry s = a { s = s * b + w } }\nl = sum(y * y)",
    "l = if w > 0 { sum(x) * w } else { w }",
    "l = if w < 0 { sum(x) * w } else if x[0] > 5 { w } else { w ** 3 * x[1] }",
    "z = while z < 100 max 20 carry z = w { z = z * (1 + x[2] ** 2) + w }\nl = z",
    "z, c = while c < 3 max 9 carry z = w, c = 0 {\n  z = z * x[0] + sin(z)\n  c = c + 1\n}\nl = z",
    "l = for i in 0..3 carry s = w { s = s * x[i] + s ** 2 }",
    "p = (a = x, b = (c = w, d = x[0] * w))\nq = p * 2 + 1\nl = total(q * q)",
    "p = scan a in x carry p = (s = w, t = 0) { p = (s = p.s * a, t = p.t + p.s) }\nl = p.s + p.t ** 2",
    "def f(u) { v = u ** 2\n  v * grad(v * u, u) }\nl = f(w) + sum(x)",
    "y = scan a in x {\n  u = a * w\n  yield grad(u ** 3, u)\n}\nl = sum(y)",
    "g = grad(sum(x ** 3) * w, x)\nl = sum(g ** 2)",
    "rows = [x * i + w for i in 0..3]\nl = sum(rows ** 2)",
    "y[i, j] = x[i] * x[j] * w\nl = sum(i: y[i, i]) + sum(i, j: y[i, j] * i)",
    "y[i] = sum(k: x[i + k] * x[k]) + w\nl = sum(y ** 2)" if False else "y[i] = x[i + 1] * x[i] + w\nl = sum(y ** 2)",
    "y = x with [1:] = x[:2] * w\nl = sum(y ** 3)",
    "y = x[[2, 0, 0]] * w\nl = sum(y ** 2)",
    "def soft(z) = exp(z - stop_gradient(max(z)))\nl = sum(soft(x)) * w",
    "v, d = value_and_grad(sum(x ** 2) * w, w)\nl = v * d",
    "h = scan a in x carry h = w {\n  e = h * a\n  h = e + grad(e ** 2, h)\n}\nl = h",
]


@pytest.mark.parametrize("body", GRADIENTS)
def test_gradients_agree_with_differences(body: str) -> None:
    text = f"input x : f64[3]\ninput w : f64\n{body}\noutput l\noutput dx, dw = grad(l, [x, w])\n"
    x, w = np.array([0.7, -0.4, 1.3]), 0.9
    # `soft` hides a part of its derivative on purpose; the shift cancels only in a ratio
    got = run(text, x=x, w=w)
    plain = f"input x : f64[3]\ninput w : f64\n{body}\noutput l\n"

    def loss(x: np.ndarray, w: float) -> float:
        return float(run(plain, x=x, w=w)["l"])

    eps = 1e-6
    slope = (loss(x, w + eps) - loss(x, w - eps)) / (2 * eps)
    np.testing.assert_allclose(got["dw"], slope, rtol=1e-5, atol=1e-7)
    for k in range(3):
        if "stop_gradient" in body:
            break
        step = np.zeros(3)
        step[k] = eps
        slope = (loss(x + step, w) - loss(x - step, w)) / (2 * eps)
        np.testing.assert_allclose(got["dx"][k], slope, rtol=1e-5, atol=1e-7)


VALUES: list[tuple[str, dict[str, Any], Any]] = [
    ("input p : bool\ninput x : f64[2]\noutput y = if p { x } else { 2 * x }\n", {"p": True, "x": [1.0, 2]}, [1.0, 2]),
    ("input p : bool\ninput x : f64[2]\noutput y = if p { x } else { 2 * x }\n", {"p": False, "x": [1.0, 2]}, [2.0, 4]),
    ("input p : bool\noutput y = if p { 1 } else { 0.5 }\n", {"p": True}, 1.0),
    ("input p : bool\ninput k : i64\noutput y = if p { k } else { 0.5 }\n", {"p": True, "k": 3}, 3.0),
    ("input p : bool\nr = if p { (a = 1.0, b = [1, 2]) } else { (a = 2, b = [3, 4]) }\noutput y = r.a + sum(r.b)\n", {"p": False}, 9.0),
    ("input p : bool\na, b = if p { (1, 2) } else { (3, 4) }\noutput y = a * 10 + b\n", {"p": False}, 34),
    ("input a : f64\noutput y = while z * z - a > 1e-12 max 50 carry z = a { z = 0.5 * (z + a / z) }\n", {"a": 2.0}, np.sqrt(2)),
    ("input n0 : i64\noutput y = while k > 1 max 100 carry k = n0 { k = if k % 2 == 0 { k // 2 } else { 3 * k + 1 } }\n", {"n0": 7}, 1),
    ("input x : f64[n]\noutput y = scan a in x carry s = 0 { s = s + 1 }\n", {"x": [5.0, 6, 7]}, 3),
    ("input x : f32[n]\noutput y = scan a in x carry s = 0.0 { s = s + a }\n", {"x": [5.0, 6, 7]}, np.float32(18)),
    ("input x : f64[n]\noutput y = scan a in flip(x) carry s = 0 { s = 10 * s + a }\n", {"x": [1.0, 2, 3]}, 321.0),
    ("input x : f64[n, m]\noutput y = scan a in x carry s = 0 { s = s + a }\n", {"x": [[1.0, 2], [3, 4]]}, [4.0, 6]),
    ("input x : f64[n]\ny, _ = scan a in x carry s = 0, t = 0 {\n  s, t = t, a\n}\noutput y\n", {"x": [1.0, 2, 3]}, 2.0),
    ("input x : f64[n]\ni, y = scan a, i in x, arange(n) carry k = 0 {\n  k = i\n  yield a * i\n}\noutput y\n", {"x": [1.0, 2, 3]}, [0.0, 2, 6]),
    ("input x : f64[0]\noutput y = scan a in x { yield a }\n", {"x": np.zeros(0)}, np.zeros(0)),
    ("input x : f64[n]\ns, q = for i in 0..3 carry s = 0 {\n  s = s + i\n  yield s * 1.5\n}\noutput y = q + sum(x)\n", {"x": [0.0]}, [0.0, 1.5, 4.5]),
    ("def f(p) = p.a * p.b\ninput x : f64\noutput y = f((a = x, b = 3))\n", {"x": 2.0}, 6.0),
    ("def each(f, x) = scan a in x { yield f(a) }\ndef sq(x) = x * x\ninput x : f64[n]\noutput y = each(sq, x)\n", {"x": [2.0, 3]}, [4.0, 9]),
    ("def each(f, x) = f(x)\ninput x : f64\noutput y = each(exp, x)\n", {"x": 0.0}, 1.0),
    ("input x : f64[n]\nq = [x, 2 * x]\noutput y = q[1, 0]\n", {"x": [2.0, 3]}, 4.0),
    ("r = (a = [1.0, 2], b = [[1.0], [2]])\ns = r[0]\noutput y = s.a + sum(s.b)\n", {}, 2.0),
    ("r = [(a = 1.0 * i, b = [i, i]) for i in 0..3]\noutput y = sum(r.a) + sum(r.b)\n", {}, 9.0),
    ("input p : bool\nr = where(p, (a = 1.0), (a = 2.0))\noutput y = r.a\n", {"p": False}, 2.0),
    ("r = f32((a = [1.5, 2]))\noutput y = r.a\n", {}, np.float32([1.5, 2])),
    ("def f(x : f64[n], k : i64) -> f64[n] = x * k\ninput x : f64[m]\noutput y = f(x, 2)\n", {"x": [1.0, 2]}, [2.0, 4]),
    ("def f(x : f64[2 * h]) = x[:h] + x[h:]\ninput x : f64[6]\noutput y = f(x)\n", {"x": np.arange(6.0)}, [3.0, 5, 7]),
    ("def inner(x, n) = x * n\ndef outer(x, n = 3) = inner(x, n + 1)\ninput x : f64[n]\noutput y = outer(x)\n", {"x": [1.0]}, [4.0]),
    ("const a = [[1, 2], [3, 4]]\nconst b = sum(a) * 2\noutput y = zeros([b]) + a[1, 0]\n", {}, [3.0] * 20),
    ("input x : f64[n]\ndim n % 4 == 0\noutput y = sum(reshape(x, [n // 4, 4]), axis=0)\n", {"x": np.arange(8.0)}, [4.0, 6, 8, 10]),
    ("input x : f64[n]\ninput z : f64[m]\ndim n == m\noutput y = x + z\n", {"x": [1.0], "z": [2.0]}, [3.0]),
    ("input x : f64[4]\nys = for i in 0..3 { yield x[i] * i }\noutput y = ys\n", {"x": [1.0, 2, 3, 4]}, [0.0, 2, 6]),
    ("input x : f64[4]\na, b = for i in 0..2 {\n  t = x[i] + 1\n  yield t, i\n}\noutput y = a * 10 + b\n", {"x": [1.0, 2, 3, 4]}, [20.0, 31]),
    ("input x : f64[4]\nr = for i in 0..2 { yield (p = x[i], q = (s = [i, i + 1])) }\noutput y = r.p + r.q.s[1]\n", {"x": [1.0, 2, 3, 4]}, [2.0, 4]),
    ("input x : f64[n]\n_, h = scan v in x carry s = zeros([2]) with [0] = 1 {\n  s = s * v\n  yield s\n}\noutput y = h[-1]\n", {"x": [1.0, 2, 3]}, [6.0, 0]),
    ("input x : f64[3]\ns, _ = scan v in x carry s = ones([2]) with [0] += 1, t = x with [1] = 2 {\n  s = s * v\n  t = t + 1\n}\noutput y = s\n", {"x": [1.0, 2, 3]}, [12.0, 6]),
    ("input x : f64[n]\ndef f(v, act = none) = if act == none { v } else { act(v) }\noutput y = f(x) + f(x, abs)\n", {"x": [-1.0, 2]}, [0.0, 4]),
    ("input x : f64[n]\ndef f(v, p = none) = if none != p { v * p.w } else { v }\noutput y = f(x) + f(x, (w = 3.0, b = 1))\n", {"x": [-1.0, 2]}, [-4.0, 8]),
]


@pytest.mark.parametrize("text, fed, expected", VALUES, ids=[v[0] for v in VALUES])
def test_values(text: str, fed: dict[str, Any], expected: Any) -> None:
    got = run(text, **fed)["y"]
    want = np.asarray(expected)
    assert got.shape == want.shape and got.dtype.kind == want.dtype.kind
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_a_capture_that_is_not_used_is_no_operand() -> None:
    made = lowered("input x : f64[n]\ninput w : f64\ninput u : f64\ny = scan a in x { t = u * a\n yield a * w }\noutput y\n")
    (scan,) = [v for v in made.graph.values if v.op.name == "scan"]
    assert [o.attrs[0] for o in scan.operands] == ["x", "w"]


def test_a_name_shadows_in_a_block_only() -> None:
    got = run("input x : f64[2]\na = 5.0\ny = scan a in x { yield a }\noutput y\noutput b = a\n", x=[1.0, 2])
    assert got["b"] == 5


def test_equal_values_are_different_targets() -> None:
    got = run("input x : f64\na = 2 * x\nb = 2 * x\nl = a * b\noutput da, db, dx = grad(l, [a, b, x])\n", x=3.0)
    assert [float(v) for v in got.values()] == [6.0, 6.0, 24.0]


def test_a_loop_inside_a_function_inside_a_loop() -> None:
    text = (
        "def poly(c, t) = scan k in flip(c) carry s = 0 { s = s * t + k }\n"
        "input c : f64[n]\ninput ts : f64[m]\ny = scan t in ts {\n  v = poly(c, t)\n  yield v, grad(v, t)\n}\na, b = y\noutput a, b\n"
    ).replace("y = scan t", "a, b = scan t").replace("a, b = y\n", "")
    c, ts = np.array([1.0, 2, 3]), np.array([0.5, -1])
    got = run(text, c=c, ts=ts)
    np.testing.assert_allclose(got["a"], 1 + 2 * ts + 3 * ts**2)
    np.testing.assert_allclose(got["b"], 2 + 6 * ts)
