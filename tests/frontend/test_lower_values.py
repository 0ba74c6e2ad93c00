"""Programs against NumPy: what an expression means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lowering_helper import lowered, run

X = np.arange(24.0).reshape(2, 3, 4)
M = np.arange(12.0).reshape(3, 4) / 7
V = np.array([3.0, -1.0, 2.0, 0.5])
I = np.array([2, 0, 1, 1])

CASES: list[tuple[str, Any]] = [
    # operators and literals
    ("2 + 3 * 4", 14),
    ("2 ** 3 ** 2", 512),
    ("-2 ** 2", -4),
    ("7 // 2", 3),
    ("-7 // 2", -4),
    ("-7 % 3", 2),
    ("1 / 2", 0.5),
    ("0x1f + 1_000", 1031),
    ("2 * pi", 2 * np.pi),
    ("not (1 < 2)", False),
    ("1 < 2 and 2 < 1 or true", True),
    ("x + 1", X + 1),
    ("1 - x * 2", 1 - X * 2),
    ("x / v", X / V),
    ("m @ v", M @ V),
    ("v @ v", V @ V),
    ("m @ m.T", M @ M.T),
    ("x @ v", X @ V),
    ("x.mT", np.swapaxes(X, 1, 2)),
    ("x ** 2 - x", X**2 - X),
    ("v > 0 and v < 2.5", (V > 0) & (V < 2.5)),
    ("not (v > 0)", ~(V > 0)),
    ("where(v > 0, v, 0)", np.where(V > 0, V, 0)),
    ("i + 0.5", I + 0.5),
    ("i / 2", I / 2),
    ("i // 2", I // 2),
    ("f32(1) / 3 * 3 == 1.0", True),
    ("[1, 2.5, 3]", np.array([1, 2.5, 3])),
    ("[[1, 2], [3, 4]] @ [1, 1]", np.array([3, 7])),
    ("[v[0], v[1] + 1, 7]", np.array([3.0, 0.0, 7.0])),
    ("[[v[0], 0], [0, v[1]]]", np.array([[3.0, 0], [0, -1]])),
    ("[v, 2 * v]", np.stack([V, 2 * V])),
    ("sum(x)", X.sum()),
    ("sum(x, axis=1)", X.sum(1)),
    ("sum(x, axis=[0, 2], keepdims=true)", X.sum((0, 2), keepdims=True)),
    ("mean(x, axis=-1)", X.mean(-1)),
    ("max(v)", V.max()),
    ("sum(v > 0)", np.int64((V > 0).sum())),
    ("argmax(m, axis=1)", M.argmax(1)),
    ("reshape(x, [6, -1])", X.reshape(6, -1)),
    ("reshape(x, [x.size])", X.reshape(-1)),
    ("permute_dims(x, [2, 0, 1])", X.transpose(2, 0, 1)),
    ("concat([m, m], axis=1)", np.concatenate([M, M], 1)),
    ("stack([v, v + 1])", np.stack([V, V + 1])),
    ("zeros(x.shape[1:])", np.zeros((3, 4))),
    ("ones([2, x.shape[0]], dtype=i64)", np.ones((2, 2), np.int64)),
    ("x.shape[0] * x.ndim", np.int64(6)),
    ("x.shape == [2, 3, 4]", True),
    ("x.shape == [2, 3]", False),
    ("x.dtype == f64", True),
    ("arange(5)", np.arange(5)),
    ("arange(2, 9, 3)", np.arange(2, 9, 3)),
    ("i64(v)", V.astype(np.int64)),
    ("bool(v)", V.astype(bool)),
    ("f32(0.1)", np.float32(0.1)),
    ('einsum("abc,c->ba", x, v)', np.einsum("abc,c->ba", X, V)),
    # indexing
    ("x[0]", X[0]),
    ("x[-1, 1]", X[-1, 1]),
    ("x[1, 2, 3]", X[1, 2, 3]),
    ("x[:, 1:3]", X[:, 1:3]),
    ("x[:, :, 1:4:2]", X[:, :, 1:4:2]),
    ("x[..., 0]", X[..., 0]),
    ("x[:, ::-1]", X[:, ::-1]),
    ("v[3:0:-2]", V[3:0:-2]),
    ("v[::-1]", V[::-1]),
    ("v[-3:-1]", V[-3:-1]),
    ("x[newaxis, 0, ..., newaxis]", X[None, 0, ..., None]),
    ("v[i]", V[I]),
    ("v[[0, -1, 2]]", V[[0, -1, 2]]),
    ("x[0, i - 1]", X[0, I - 1]),
    ("m[i % 3, i]", M[I % 3, I]),
    ("x[:, i % 3]", X[:, I % 3]),
    ("x[i % 2, :, i]", X[I % 2, :, I]),
    ("x[0, :, i]", X[0, :, I]),
    ("x[:, 1, i]", X[:, 1, I]),
    ("x[:, i % 3, i]", X[:, I % 3, I]),
    ("x[:, newaxis, i % 3]", X[:, None, I % 3]),
    ("x[i % 2, newaxis, i % 3]", X[I % 2, None, I % 3]),
    ("m[:, [[0, 1], [2, 3]]]", M[:, [[0, 1], [2, 3]]]),
    ("m[k]", M[1]),
    ("m[:, k]", M[:, 1]),
    ("m[k, ::2]", M[1, ::2]),
    ("v[k : k + 2]", V[1:3]),
    ("x[:, k : k + 2, 2 * k : 2 * k + 1]", X[:, 1:3, 2:3]),
    ("[4, 5, 6][1]", 5),
    # functional update
    ("v with [1] = 9", np.array([3, 9, 2, 0.5])),
    ("v with [1:3] = [7, 8]", np.array([3, 7, 8, 0.5])),
    ("v with [::-1] = [1, 2, 3, 4]", np.array([4.0, 3, 2, 1])),
    ("v with [0:2] += 1", np.array([4, 0, 2, 0.5])),
    ("m with [:, 1] = 0", np.where(np.arange(4) == 1, 0, M)),
    ("v with [[0, 0, 1]] += 1", np.array([5, 0, 2, 0.5])),
    ("v with [[0, 0, 1]] = [7, 8, 9]", np.array([8, 9, 2, 0.5])),
    ("i with [k] = 40", np.array([2, 40, 1, 1])),
    ("v with [k : k + 2] = [5, 6]", np.array([3, 5, 6, 0.5])),
    ("v with [k : k + 2] += 1", np.array([3, 0, 3, 0.5])),
    # control
    ("if 1 < 2 { v } else { m }", V),
    ("for q in 0..4 carry s = 0.0 { s = s + v[q] }", V.sum()),
    ("[q * q for q in 0..4]", np.array([0, 1, 4, 9])),
    ("[v * q for q in 1..3]", np.stack([V, 2 * V])),
    ("scan a in v { yield a * 2 }", V * 2),
    ("scan a in v carry s = 0 { s = s + a }", V.sum()),
    ("scan a in m carry s = 0 { s = s + a }", M.sum(0)),
    ("scan t in arange(3) carry s = 1 { s = s * (t + 1) }", np.int64(6)),
    ("scan a, b in m, m { yield a @ b + v[0] }", (M * M).sum(1) + 3),
    ("scan a in m { yield scan c in a carry s = 0 { s = s + c * v[1] } }", -M.sum(1)),
    # indexed statements
    ("sum(j: v[j] * v[j])", V @ V),
    ("sum(p, q: m[p, q])", M.sum()),
    ("max(j: v[j] - 1)", V.max() - 1),
    ("sum(j: v[j] * j)", V @ np.arange(4)),
    ("sum(j: v[j] * 2 + 1)", (V * 2 + 1).sum()),
    ("sum(j: v[j]) / sum(j: v[j] ** 2)", V.sum() / (V**2).sum()),
    # functions as values
    ("sum(f32(v))", np.float32(4.5)),
    ("total((a = v, b = (c = m, d = 2.0)))", V.sum() + M.sum() + 2),
    ("(a = v, b = m).a", V),
    ("((a = v, b = m) * 2).b", 2 * M),
]


@pytest.mark.parametrize("expression, expected", CASES, ids=[c[0] for c in CASES])
def test_an_expression_means_what_numpy_says(expression: str, expected: Any) -> None:
    text = f"input x : f64[2, 3, 4]\ninput m : f64[3, 4]\ninput v : f64[4]\ninput i : i64[4]\ninput k : i64\noutput y = {expression}\n"
    got = run(text, x=X, m=M, v=V, i=I, k=1)["y"]
    want = np.asarray(expected)
    assert got.shape == want.shape
    assert got.dtype.kind == want.dtype.kind
    np.testing.assert_allclose(got, want, rtol=1e-6 if want.dtype == np.float32 else 1e-12)


SYMBOLIC = """
input x : f64[n, m]
input w : f64[m]
input k : i64
dim n >= 3
dim m % 2 == 0
dim m >= 2
"""
SYMBOLIC_CASES = [
    ("x @ w / n", lambda x, w, k: x @ w / x.shape[0]),
    ("sum(x, axis=n)", lambda x, w, k: x.sum(0)),
    ("x[:3]", lambda x, w, k: x[:3]),
    ("x[n - 2]", lambda x, w, k: x[-2]),
    ("x[1:, :-1]", lambda x, w, k: x[1:, :-1]),
    ("x[::-1]", lambda x, w, k: x[::-1]),
    ("x[:, ::2]", lambda x, w, k: x[:, ::2]),
    ("reshape(x, [n, m // 2, 2])", lambda x, w, k: x.reshape(x.shape[0], -1, 2)),
    ("zeros([n // 2]) + n", lambda x, w, k: np.zeros(x.shape[0] // 2) + x.shape[0]),
    ("x[k : k + 2]", lambda x, w, k: x[k : k + 2]),
    ("x with [:, 1:] = 0", lambda x, w, k: np.where(np.arange(x.shape[1]) >= 1, 0, x)),
    ("x with [k] += w", lambda x, w, k: x + (np.arange(x.shape[0]) == k)[:, None] * w),
    ("arange(n)[:, newaxis] + arange(m)", lambda x, w, k: np.arange(x.shape[0])[:, None] + np.arange(x.shape[1])),
    ("mean(x)", lambda x, w, k: x.mean()),
    ("scan r in x carry s = w { s = s + r * r  yield sum(s) }" if False else "scan r in x carry s = w { s = s + r * r }", lambda x, w, k: w + (x * x).sum(0)),
    ("if n > 2 { w } else { 0 * w }", lambda x, w, k: w),
    ("min(n, 2) * 1.0" if False else "minimum(n, 2) * 1.0", lambda x, w, k: 2.0),
    ("x.shape[0] * x.shape[1]", lambda x, w, k: x.size),
    ("x.size + 0", lambda x, w, k: x.size),
]


@pytest.mark.parametrize("expression, expected", SYMBOLIC_CASES, ids=[c[0] for c in SYMBOLIC_CASES])
@pytest.mark.parametrize("shape", [(3, 2), (5, 4)])
def test_named_sizes(expression: str, expected: Any, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=shape), rng.normal(size=shape[1])
    got = run(f"{SYMBOLIC}output y = {expression}\n", x=x, w=w, k=1)["y"]
    np.testing.assert_allclose(got, np.asarray(expected(x, w, 1)))


PROGRAMS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "input x, ystar : f64[n]\nparam w : f64 = 0.5\nparam b : f64 = 2.0\nu = w * x\nv = u + b\ny = exp(v)\nl = sum((y - ystar) ** 2)\n"
        "output y, l\noutput dl_dw, dl_db = grad(l, [w, b])\n",
        {"x": [0.5], "ystar": [0.037371]},
        {"y": [9.487735836358526], "l": 89.30942862, "dl_dw": 89.66260, "dl_db": 179.32520},
    ),
    ("const k = 3\ninput x : f64[2 * k]\noutput y = sum(x) * k\n", {"x": np.ones(6)}, {"y": 18.0}),
    ("def f(x, a = 2) = x * a\ninput x : f64\noutput y, z = (f(x), f(x, a=5))\n", {"x": 3.0}, {"y": 6.0, "z": 15.0}),
    ("def g(a, b) = grad(a * b, a)\ninput x : f64\noutput y = g(x, x)\n", {"x": 3.0}, {"y": 3.0}),
    ("def g(x) = grad(x ** 3, x)\ninput t : f64\noutput y = g(g(t))\n", {"t": 2.0}, {"y": 3 * 12.0**2}),
    ("input x : f64\ny = x ** 4\nd = grad(y, x)\noutput d, e = d, grad(d, x)\n" if False else "input x : f64\ny = x ** 4\nd = grad(y, x)\noutput d\noutput e = grad(d, x)\n", {"x": 2.0}, {"d": 32.0, "e": 48.0}),
    ("input x : f64\nu = x * 1\nw = x * 1\nl = u * w\noutput a = grad(l, u)\noutput b = grad(l, x)\n", {"x": 3.0}, {"a": 3.0, "b": 6.0}),
    ("input x : f64[3]\nl = sum(x ** 3)\noutput h = hessian(l, x)\noutput p = hvp(l, x, [1, 0, 2])\n", {"x": [1.0, 2.0, 3.0]}, {"h": np.diag([6.0, 12, 18]), "p": [6.0, 0, 36]}),
    ("input x : f64[2]\ny = [x[0] * x[1], x[0] ** 2]\noutput j = jacobian(y, x)\noutput f = jvp(y, x, [1, 0])\noutput b = vjp(y, x, [1, 0])\n", {"x": [2.0, 5.0]}, {"j": [[5.0, 2], [4, 0]], "f": [5.0, 4], "b": [5.0, 2]}),
    ("input x : f64\nl = x * x\nv, d = value_and_grad(l, x)\noutput v, d\n", {"x": 3.0}, {"v": 9.0, "d": 6.0}),
    ("def init(n) = (w = ones([n]), b = 0.0)\nparam p = init(3)\ninput x : f64[3]\nl = sum((x * p.w + p.b) ** 2)\noutput g = grad(l, p)\n", {"x": [1.0, 2, 3]}, {"g.w": [2.0, 8, 18], "g.b": 12.0}),
    ("param w : f64[2] = 1\nparam b : f64 = 2\nl = sum(w) * b\noutput g = grad(l, params)\n", {}, {"g.w": [2.0, 2], "g.b": 2.0}),
    ("input x : f64[4]\nz, s = scan a in x carry c = 0 {\n  c = c + a\n  yield c\n}\noutput z, s\noutput d = grad(z ** 2, x)\n", {"x": [1.0, 2, 3, 4]}, {"z": 10.0, "s": [1.0, 3, 6, 10], "d": [20.0] * 4}),
    ("input x : f64[3]\ninput w : f64\ny = scan a in x { l = (a * w) ** 2\n yield grad(l, a) }\noutput y\n", {"x": [1.0, 2, 3], "w": 2.0}, {"y": [8.0, 16, 24]}),
    ("input x : f64[3]\nl = sum(x ** 2)\ny = scan a in x { yield a * sum(grad(l, x)) }\noutput y\n", {"x": [1.0, 2, 3]}, {"y": [12.0, 24, 36]}),
    ("param blocks = [(w = ones([2]) * (i + 1), b = 0.5 * i) for i in 0..3]\ninput x : f64[2]\ny = scan p in blocks carry h = x { h = h * p.w + p.b }\noutput y\n", {"x": [1.0, 2]}, {"y": [6.0 + 0.5 * 3 + 1, 12 + 0.5 * 3 + 1]}),
    ("input x : f64[n]\nd[i] = x[i + 1] - x[i]\noutput d\n", {"x": [1.0, 4, 9, 16]}, {"d": [3.0, 5, 7]}),
    ("input x : f64[n]\ninput w : f64[m]\ny[i] = sum(k: x[i + k] * w[k])\noutput y\n", {"x": [1.0, 2, 3, 4], "w": [1.0, 10]}, {"y": [21.0, 32, 43]}),
    ("input a : f64[n, k]\ninput b : f64[k, m]\nc[i, j] = sum(t: a[i, t] * b[t, j])\noutput c\n", {"a": [[1.0, 2], [3, 4], [5, 6]], "b": [[1.0, 0], [2, 1]]}, {"c": [[5.0, 2], [11, 4], [17, 6]]}),
    ("input a : f64[n, n]\nt = sum(i: a[i, i])\nr[i] = a[i, i] * 2 + i\ns[j, i] = a[i, j]\nlow[i, j] = where(i < j, 0, a[i, j])\noutput t, r, s, low\n", {"a": [[1.0, 2], [3, 4]]}, {"t": 5.0, "r": [2.0, 9], "s": [[1.0, 3], [2, 4]], "low": [[1.0, 0], [3, 4]]}),
    ("input x : f64[n]\ninput p : i64[m]\ny[i] = x[p[i]]\nz[i] = x[p[i]] * p[i]\noutput y, z\n", {"x": [1.0, 2, 3], "p": [2, 0]}, {"y": [3.0, 1], "z": [6.0, 0]}),
    ("def f(x, most) = x with vjp(ct) = (clip(ct, -most, most), none)\ninput x : f64[3]\nl = sum(f(x, 1.0) * [5, 0.5, -7])\noutput g = grad(l, x)\n" if False else "def f(x, most) = x * 3 with vjp(ct) = (minimum(ct, most), none)\ninput x : f64[3]\ny = f(x, 1.0)\nl = sum(y * [5, 0.5, -7])\noutput y\noutput g = grad(l, x)\n", {"x": [1.0, 2, 3]}, {"y": [3.0, 6, 9], "g": [1.0, 0.5, -7]}),
    ("def lse(x) {\n m = max(x)\n m + log(sum(exp(x - m))) } with vjp(ct, y) { ct * exp(x - y) }\ninput x : f64[3]\ny = lse(x)\noutput y\noutput g = grad(y, x)\n", {"x": [0.0, 0, 0]}, {"y": np.log(3), "g": [1 / 3] * 3}),
    ("def rk(f, y, h) = y + h * f(y)\ndef field(y) = -y\ninput y : f64\noutput z = rk(field, y, 0.5)\n", {"y": 4.0}, {"z": 2.0}),
    ("def f(x : f64[b, t]) = sum(x) / (b * t)\ninput x : f64[n, 3]\noutput y = f(x)\n", {"x": np.ones((2, 3))}, {"y": 1.0}),
    ("default f32\ninput x : f32[2]\nc = 0.5\noutput y = x * c + 1 / 3\n", {"x": [1.0, 2]}, {"y": np.float32([0.8333333, 1.3333333])}),
    ("input fc.w : f64[2]\ninput fc.b : f64\noutput y = sum(fc.w) + fc.b\nl = fc.b * fc.b\noutput d = grad(l, fc.b)\n", {"fc.w": [1.0, 2], "fc.b": 3.0}, {"y": 6.0, "d": 6.0}),
    ("input train : bool = true\ninput s : f64 = 2\noutput y = where(train, s, 0)\n", {}, {"y": 2.0}),
    ("a = 2.0\nb = a * 3\nl = b * b\noutput g = grad(l, a)\n", {}, {"g": 36.0}),
    ("input x : f64[n]\ns, e = for i in 0..4 carry a = 0.0, b = 1.0 { a, b = b, a + b }\noutput s, e\noutput q = sum(x)\n", {"x": [1.0]}, {"s": 3.0, "e": 5.0, "q": 1.0}),
]


@pytest.mark.parametrize("text, fed, expected", PROGRAMS, ids=[str(k) for k in range(len(PROGRAMS))])
def test_programs(text: str, fed: dict[str, Any], expected: dict[str, Any]) -> None:
    got = run(text, **fed)
    assert list(got) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-5 if got[name].dtype == np.float32 else 1e-6)


def test_updates_see_the_old_values() -> None:
    text = "state a : i64 = 1\nstate b : i64 = 10\nupdate a = b\nupdate b = a + b\noutput now = a\n"
    got = run(text, updates=True)
    assert {k: int(v) for k, v in got.items()} == {"now": 1, "a'": 10, "b'": 11}


def test_an_optimiser_over_a_record() -> None:
    text = (
        "param p = (w = ones([2]), b = 0.5)\nstate m = zeros_like(params)\ninput x : f64[2]\nl = sum(x * p.w) * p.b\n"
        "def step(p, g, m) {\n  n = 0.9 * m + g\n  (p - 0.1 * n, n)\n}\nupdate params, m = step(params, grad(l, params), m)\noutput l\n"
    )
    text = text.replace("sum(x * p.w) * p.b", "sum(x * p.w) * p.b")
    got = run(text, x=[1.0, 2.0], updates=True)
    np.testing.assert_allclose(got["p.w'"], [1 - 0.05, 1 - 0.1])
    np.testing.assert_allclose(got["p.b'"], 0.5 - 0.3)
    np.testing.assert_allclose(got["m.p.w'"], [0.5, 1.0])


def test_names_of_calls() -> None:
    made = lowered("def f(x) {\n  t = x + 1\n  t * t\n}\ninput x : f64\noutput y = f(x) + f(f(x))\n")
    names = list(made.graph.names)
    assert {"f.t", "f_2.t", "f_3.t"} <= set(names)


def test_literals_keep_their_text() -> None:
    made = lowered("input x : f64\noutput y = x * 1e-3 + -2.50\n")
    assert {"1e-3", "-2.50"} <= set(made.graph.literals.values())


def test_documentation_and_hints() -> None:
    made = lowered("# the rows\ninput x : f64[n]\ndim n ~ 4096\n# how steep\nparam w : f64 = 1\noutput y = w * sum(x)\n")
    assert made.docs["w"].strip() == "how steep"
    assert made.hints == {"n": 4096}
    assert made.inputs["x"].doc.strip() == "the rows"


def test_a_chain_of_many_terms() -> None:
    terms = " + ".join(["x"] * 50_000)
    made = lowered(f"input x : f64\noutput y = {terms}\n")
    assert len(made.graph) == 50_000


def test_deep_nesting() -> None:
    n = 10_000
    made = lowered(f"input x : f64\noutput y = {'exp(' * n}x{')' * n}\noutput z = {'-(' * n}x{')' * n}\noutput w = {'[' * 32}x{']' * 32}\n")
    assert len(made.graph) > 2 * n
