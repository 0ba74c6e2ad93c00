"""NumPy's functions, methods and operators on tensors give what NumPy gives on arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from builder_run import refused, run

import dfg.frontend.builder as b
from dfg.diagnostics import UserError
from dfg.dims import Dim
from dfg.frontend.builder.numpy_protocol import surface_name
from dfg.ir import digest
from dfg.ops.surface import FUNCTIONS

X = np.random.default_rng(0).normal(size=(3, 4))
M = np.random.default_rng(1).normal(size=(4, 4)) + 4 * np.eye(4)

CASES: list[Callable[[Any, Any], Any]] = [
    lambda x, m: np.exp(x) + np.tanh(x) * np.sqrt(x * x) - np.sin(x) / np.cos(x),
    lambda x, m: np.sum(x, axis=0),
    lambda x, m: np.sum(x, 1, keepdims=True),
    lambda x, m: np.mean(x, axis=(0, 1)),
    lambda x, m: np.max(x, axis=-1) - np.min(x),
    lambda x, m: x.sum() + x.mean(axis=0) + x.max(),
    lambda x, m: np.where(x > 0, x, -x),
    lambda x, m: np.where((x > 0) & ~(x > 1), x, 0.0),
    lambda x, m: np.concatenate([x, m]),
    lambda x, m: np.concatenate((x.T, m), 1),
    lambda x, m: np.stack([x, x + 1], axis=1),
    lambda x, m: np.vstack([x, m]),
    lambda x, m: np.hstack([x.T, m]),
    lambda x, m: np.einsum("ij,kj->ik", x, m),
    lambda x, m: np.einsum("ij->j", x),
    lambda x, m: np.matmul(x, m),
    lambda x, m: np.dot(x, m) + x @ m,
    lambda x, m: np.linalg.solve(m, x.T),
    lambda x, m: np.linalg.qr(m)[1],
    lambda x, m: np.reshape(x, (2, -1)),
    lambda x, m: x.reshape(2, 6) + x.reshape((2, 6)) + x.ravel().reshape(2, 6),
    lambda x, m: np.transpose(x, (1, 0)),
    lambda x, m: x.transpose(1, 0) + x.transpose(),
    lambda x, m: np.swapaxes(m, 0, 1),
    lambda x, m: np.expand_dims(x, 1),
    lambda x, m: np.squeeze(np.expand_dims(x, 0)),
    lambda x, m: np.broadcast_to(x[0], (5, 4)),
    lambda x, m: np.flip(x, axis=0),
    lambda x, m: np.maximum(x, 0) + np.minimum(x, m[:3]),
    lambda x, m: np.power(np.exp(x), 1.5) + np.square(x) + np.reciprocal(np.exp(x)),
    lambda x, m: np.add.reduce(x) + np.maximum.reduce(x, axis=0),
    lambda x, m: np.multiply.outer(x[0], m[1]),
    lambda x, m: np.zeros_like(x) + np.ones_like(x) + np.full_like(x, 3),
    lambda x, m: np.argmax(x, axis=1) + np.argmin(x, axis=1),
    lambda x, m: np.any(x > 0, axis=0),
    lambda x, m: np.all(x > -9),
    lambda x, m: np.float32(2) * x + np.arange(4) - np.array([[1.0], [2.0], [3.0]]),
    lambda x, m: 2 / np.exp(x) + 1 - x - (3 - x) ** 2 + 2**x,
    lambda x, m: np.floor_divide(x, 0.3) + x % 0.3 - x // 2,
    lambda x, m: (x.astype(np.int64) // 3).astype(np.float64),
    lambda x, m: np.astype(x, np.float32),
    lambda x, m: x[1:, ::2] + x[:-1, 1:3],
    lambda x, m: x[..., np.newaxis, 0],
    lambda x, m: x[np.array([2, 0]), np.array([1, 1])],
    lambda x, m: x[[2, 0]],
    lambda x, m: -x + +x,
    lambda x, m: np.size(x) + np.ndim(x) + x * np.shape(x)[0],
]


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
@pytest.mark.parametrize("named", [False, True])
def test_same_as_numpy(case: Callable[[Any, Any], Any], named: bool) -> None:
    x, m = b.input("x", "f64[r, 4]" if named else "f64[3, 4]"), b.input("m", "f64[4, 4]")
    try:
        y = case(x, m)
    except UserError as e:
        # A size that has only a name may need a fact; nothing else may be refused
        assert named and e.diagnostics[0].code in ("dim-unproved", "shape-mismatch"), e
        return
    expected = case(X, M)
    got = run({"y": y}, x=X, m=M)["y"]
    assert got.shape == np.shape(expected)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_a_numpy_call_is_the_same_value() -> None:
    x = b.input("x", "f64[n]")
    for name in ("exp", "log", "sqrt", "tanh", "sin", "cos"):
        assert getattr(np, name)(x).value is b.function_named(name)(x).value
    assert np.add(x, 1).value is (x + 1).value is b.function_named("add")(x, 1).value


def test_literals_have_a_kind_and_arrays_a_dtype() -> None:
    x = b.input("x", "f32[n]")
    k = b.input("k", "i32[n]")
    assert (x * 2).dtype.name == (x * 2.5).dtype.name == (x + [1.5]).dtype.name == "f32"
    assert (x * np.float64(2)).dtype.name == (x * np.ones(1)).dtype.name == "f64"
    assert (k * 2).dtype.name == "i32" and (k * 2.5).dtype.name == "f64" and (k * np.int64(2)).dtype.name == "i64"
    with b.default_float("f32"), pytest.warns(b.DfgWarning, match="lossy-cast"):
        assert (k * 2.5).dtype.name == "f32"
    assert b.function_named("sqrt")(4) == 2.0


def test_sizes_are_values_where_tensors_are_wanted() -> None:
    x = b.input("x", "f64[n, m]")
    n, m = x.shape
    assert isinstance(n, Dim)
    y = run({"y": np.sum(x) / (n * m) + n - 2 * m, "z": b.function_named("zeros")([n, 2]), "s": x.sum(axis="n")}, x=X)
    np.testing.assert_allclose(y["y"], X.mean() + 3 - 8)
    assert y["z"].shape == (3, 2)
    np.testing.assert_allclose(y["s"], X.sum(axis=0))


def test_functional_update() -> None:
    x = b.input("x", "f64[3, 4]")
    idx = np.array([0, 2, 0])
    got = run({"a": x.at[0].set(7), "c": x.at[idx, 1].add([1, 2, 3]), "d": x.at[:, 1:3].subtract(1.0), "e": x.at[1].get()}, x=X)
    a, c, d = X.copy(), X.copy(), X.copy()
    a[0] = 7
    np.add.at(c, (idx, 1), [1, 2, 3])
    d[:, 1:3] -= 1
    for name, expected in (("a", a), ("c", c), ("d", d), ("e", X[1])):
        np.testing.assert_allclose(got[name], expected)


def test_a_window_with_a_computed_start() -> None:
    x, k = b.input("x", "f64[n]"), b.input("k", "i64")
    got = run({"y": x[k : k + 2], "z": x[k + 1 : k + 3]}, x=np.arange(6.0), k=2)
    np.testing.assert_allclose(got["y"], [2, 3])
    np.testing.assert_allclose(got["z"], [3, 4])
    assert refused(lambda: x[k:]).code == "not-static"
    assert refused(lambda: x[k : 2 * k]).code == "not-static"


def test_augmented_assignment_of_a_name_makes_a_new_tensor() -> None:
    x = b.input("x", "f64[3]")
    y = x
    y += 1
    y *= 2
    assert y is not x
    np.testing.assert_allclose(run({"y": y, "x": x}, x=[1, 2, 3])["y"], [4, 6, 8])


@pytest.mark.parametrize(
    ("f", "code", "words"),
    [
        (lambda x: np.add(x, 1, out=np.zeros(3)), "surplus-argument", "`out`"),
        (lambda x: np.sum(x, out=np.zeros(())), "surplus-argument", "`out`"),
        (lambda x: np.sum(x, where=np.array([True, False, True])), "surplus-argument", "`where`"),
        (lambda x: np.exp(x, where=np.array([True, False, True])), "surplus-argument", "`where`"),
        (lambda x: np.packbits(x), "unknown-op", "np.packbits"),
        (lambda x: np.nonzero(x), "not-static", "nonzero"),
        (lambda x: np.fft.fft(x), "unknown-op", "np.fft"),
        (lambda x: np.add.at(x, 0, 1), "unknown-op", "np.add.at"),
        (lambda x: np.sort(x, order="f"), "surplus-argument", "`order`"),
    ],
)
def test_what_has_no_counterpart_is_refused(f: Callable[[Any], Any], code: str, words: str) -> None:
    d = refused(lambda: f(b.input("x", "f64[3]")))
    assert d.code == code and words in d.message


def test_in_place_operations_of_arrays_are_refused() -> None:
    x = b.input("x", "f64[3]")
    array = np.zeros(3)

    def add() -> None:
        nonlocal array
        array += x

    assert refused(add).code == "surplus-argument"
    assert isinstance(array, np.ndarray)


def test_every_function_has_its_signature_and_documentation() -> None:
    functions = b.all_functions()
    assert set(functions) == set(FUNCTIONS)
    for name, f in functions.items():
        assert f.__name__ == name and f.__module__ == "dfg" and f.__doc__
        assert list(f.__signature__.parameters) == list(FUNCTIONS[name].signature.parameters)


def test_functions_are_found_by_any_of_numpys_names() -> None:
    for f in (
        np.concatenate,
        np.concat,
        np.transpose,
        np.permute_dims,
        np.power,
        np.pow,
        np.true_divide,
        np.divide,
        np.amax,
        np.max,
        np.mod,
    ):
        assert surface_name(f) in FUNCTIONS


def test_equal_programs_have_equal_digests_however_they_are_combined() -> None:
    def build(order: bool) -> str:
        p, q, r = b.input("p", "f64[n]"), b.input("q", "f64[n]"), b.input("r", "f64")
        if order:
            _ = r * 1
            _ = q + p
        left = p * r
        return digest(b.program({"y": left + q}).graph)

    assert build(False) == build(True)


def test_every_function_is_a_public_name() -> None:
    import dfg

    x = dfg.input("x", "f64[3]")
    assert dfg.std(x).shape == ()
    assert [n for n in FUNCTIONS if not callable(getattr(dfg, n)) or getattr(dfg, n).__name__ != n] == []
