"""Functions on numbers that indices go through, functions inside of blocks, and which functions act element by element."""

from __future__ import annotations

import numpy as np
import pytest

import dfg
from dfg.ops.surface import FUNCTIONS, role

X = np.array([1.0, 2.0, 3.5, -0.5])
A = np.arange(12.0).reshape(3, 4) / 7

DEFINED = """
input x : f64[n]
input A : f64[m, n]
input idx : i64[q]
def square(v) = v * v
def distance(a, b) = square(a - b)
def kernel(a, b, scale = 1.0) = exp(-distance(a, b) / scale)
def kinked(a, b) {
  d = a - b
  half = 0.5
  where(d > 0, d * half, -d)
}
def at(k) = x[k] + k
def row(r) = sum(j: A[r, j] * x[j])
def hilbert(i, j) = 1 / (i + j + 1)
def apply(f, v) = f(v)
"""
FULL = X[:, None] - X


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("y[i, j] = distance(x[i], x[j])", FULL**2),
        ("y[i, j] = kernel(x[i], x[j])", np.exp(-(FULL**2))),
        ("y[i, j] = kernel(x[i], x[j], scale=0.5)", np.exp(-(FULL**2) / 0.5)),
        ("y[i, j] = kinked(x[i], x[j]) * 2", np.where(FULL > 0, FULL / 2, -FULL) * 2),
        ("y[k] = at(idx[k])", X[[2, 0, 2]] + [2, 0, 2]),
        ("y[i] = square(sum(j: A[i, j] * x[j])) + 0 * A[i, 0]", (A @ X) ** 2),
        ("y[i] = sum(j: kernel(x[i], x[j]))", np.exp(-(FULL**2)).sum(1)),
        ("y = max(i, j: distance(x[i], x[j]))", (FULL**2).max()),
        ("y[i] = sum(j: hilbert(i, j) * x[j]) + 0 * x[i]", np.array([[1 / (i + j + 1) for j in range(4)] for i in range(4)]) @ X),
        ("y[i] = apply(tanh, x[i])", np.tanh(X)),
        ("y[i] = clip(x[i], min=0.0, max=2.5)", np.clip(X, 0, 2.5)),
        ("y[i] = apply(square, x[i]) + x[0]", X**2 + X[0]),
    ],
)
def test_a_function_goes_through_indices(statement: str, expected: np.ndarray) -> None:
    program = dfg.loads(f"{DEFINED}{statement}\nl = sum(y * y)\noutput y, l\n")
    fed = {"x": X, "A": A, "idx": np.array([2, 0, 2])}
    for each in (program, dfg.loads(str(program)), dfg.loads(program.exact())):
        np.testing.assert_allclose(dfg.compile(each)(**fed)["y"], expected, atol=1e-12)
    got = dfg.compile(program.grad("l", "x"))(**fed)["dl_dx"]
    fn = dfg.compile(program)
    step = 1e-6 * np.eye(4)
    differences = [(fn(**{**fed, "x": X + e})["l"] - fn(**{**fed, "x": X - e})["l"]) / 2e-6 for e in step]
    np.testing.assert_allclose(got, differences, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("definition", "code"),
    [
        ("def f(v) = v @ v", "rank-mismatch"),
        ("def f(v) = f(v)", "recursion"),
        ("def f(v) = if v > 0 { v } else { 0 }", "bad-index"),
        ("def f(v : f64[k]) = v", "rank-mismatch"),
        ("def f(v, w) = v", "missing-argument"),
        ("def f(v) = (v, v)", "bad-index"),
        ("def f(v) {\n  a, b = v, v\n  a\n}", "bad-index"),
        ("def f(v) = v + undefined", "unknown-name"),
        ("def g(v) = v", "unknown-op"),
    ],
)
def test_what_a_function_of_indices_cannot_do_is_told_once(definition: str, code: str) -> None:
    with pytest.raises(dfg.UserError) as wrong:
        dfg.loads(f"{definition}\ninput x : f64[n]\ny[i] = f(x[i])\noutput y\n")
    assert [e.code for e in wrong.value.diagnostics] == [code]


def test_functions_in_blocks_see_the_block_and_hide_the_file() -> None:
    program = dfg.loads("""
input x : f64[n]
def outer(v) {
  local = 2 * v
  def inner(u) = u + local
  def sum(u) = u * 3
  sum(inner(v))
}
s, ys = scan v in x carry s = 0.0 {
  def by(u) = u * v
  yield by(s)
  s = s + by(2)
}
t = if s > 0 {
  def more(u) = u + 1
  more(s)
} else { 0 }
output a = outer(x)
output b = sum(x)
output s, ys, t
""")
    out = dfg.compile(program)(x=X)
    np.testing.assert_allclose(out["a"], 9 * X)
    assert out["b"] == X.sum() and out["s"] == 2 * X.sum() and out["t"] == out["s"] + 1
    np.testing.assert_allclose(out["ys"], 2 * np.concatenate([[0], np.cumsum(X)[:-1]]) * X)


def test_which_functions_act_element_by_element() -> None:
    """Those whose result at a place is their value on the arguments at that place: all of these go leaf by leaf on records, and through indices."""
    dfg.loads("output y = 1\n")  # functions are declared when they are first wanted
    unsorted = {"f64": np.array([0.7, 0.3, 0.9, 0.3]), "i64": np.array([4, 2, 5, 2]), "bool": np.array([True, False, True, True])}
    missing = []
    for name, f in list(FUNCTIONS.items()):
        required = [p for p in f.signature.parameters.values() if p.default is p.empty]
        if not required or len(required) > 3 or any(role(p) != "operand" for p in required):
            continue
        names = [f"a{k}" for k in range(len(required))]
        for dtype, values in unsorted.items():
            lines = [f"input {a} : {dtype}[n]" for a in names] + [f"output y = {name}({', '.join(names)})"]
            lines += [f"output y{k} = {name}({', '.join(f'{a}[{k}]' for a in names)})" for k in range(4)]
            try:
                out = dfg.compile(dfg.loads("\n".join(lines) + "\n"))(**{a: np.roll(values, k) for k, a in enumerate(names)})
            except dfg.UserError:
                continue
            single = [out[f"y{k}"] for k in range(4)]
            if out["y"].shape == (4,) and all(s.shape == () for s in single) and np.allclose(out["y"].astype(float), np.array(single, float), equal_nan=True):
                if not f.elementwise:
                    missing.append(name)
                break
            assert not f.elementwise or name in ("dim",), f"{name} of {dtype} is said to act element by element"
    identities = {"broadcast_arrays", "permute_dims", "squeeze", "transpose", "quantile", "nanquantile", "percentile", "nanpercentile", "prelu"}
    assert not set(missing) - identities
