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
        (lambda x: np.sum(x, initial=3.0), "surplus-argument", "`initial`"),
        (lambda x: np.allclose(x, x), "unknown-op", "np.allclose"),
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


X2 = np.random.default_rng(0).normal(size=(3, 4))
ARRAYS = {"x": X2, "m": X2 @ X2.T + 3 * np.eye(3), "v": np.array([3.0, 1.0, 2.0]), "k": np.array([[1, 2, 3], [4, 5, 6]])}
NEVER_WRONG: list[Callable[[Any, Any, Any, Any], Any]] = [
    lambda x, m, v, k: np.clip(x, -0.5, 0.5),
    lambda x, m, v, k: np.clip(x, min=0),
    lambda x, m, v, k: x.clip(0, 1),
    lambda x, m, v, k: np.clip(x, a_min=None, a_max=0.2),
    lambda x, m, v, k: np.round(x),
    lambda x, m, v, k: np.round(x, 1),
    lambda x, m, v, k: np.around(x),
    lambda x, m, v, k: np.cumsum(x),
    lambda x, m, v, k: np.cumsum(x, axis=1),
    lambda x, m, v, k: np.cumprod(x, 0),
    lambda x, m, v, k: np.cumulative_sum(x, axis=1),
    lambda x, m, v, k: x.cumsum(axis=0),
    lambda x, m, v, k: np.add.accumulate(x),
    lambda x, m, v, k: np.diff(x),
    lambda x, m, v, k: np.diff(x, 2, axis=1),
    lambda x, m, v, k: np.sort(x),
    lambda x, m, v, k: np.sort(x, axis=0),
    lambda x, m, v, k: np.sort(x, axis=None),
    lambda x, m, v, k: np.argsort(v),
    lambda x, m, v, k: np.trapezoid(v),
    lambda x, m, v, k: np.median(x, axis=1),
    lambda x, m, v, k: np.quantile(x, 0.3),
    lambda x, m, v, k: np.percentile(x, 30),
    lambda x, m, v, k: np.nan_to_num(x),
    lambda x, m, v, k: np.hypot(x, x),
    lambda x, m, v, k: np.logaddexp(x, 1),
    lambda x, m, v, k: np.isfinite(x),
    lambda x, m, v, k: np.searchsorted(np.array([0.0, 1, 2]), v),
    lambda x, m, v, k: np.digitize(v, np.array([0.0, 1.5, 2.5])),
    lambda x, m, v, k: np.convolve(v, np.array([1.0, 2.0])),
    lambda x, m, v, k: np.correlate(v, np.array([1.0, 2.0])),
    lambda x, m, v, k: np.linalg.inv(m),
    lambda x, m, v, k: np.linalg.det(m),
    lambda x, m, v, k: np.linalg.cholesky(m),
    lambda x, m, v, k: np.linalg.eigh(m)[0],
    lambda x, m, v, k: np.linalg.slogdet(m)[1],
    lambda x, m, v, k: np.linalg.svd(x)[1],
    lambda x, m, v, k: np.abs(np.linalg.svd(x, full_matrices=False)[0]),
    lambda x, m, v, k: np.linalg.svd(x, compute_uv=False),
    lambda x, m, v, k: np.linalg.pinv(x),
    lambda x, m, v, k: np.linalg.lstsq(m, v)[0],
    lambda x, m, v, k: np.linalg.matrix_power(m, 3),
    lambda x, m, v, k: np.linalg.eigh(m).eigenvalues,
    lambda x, m, v, k: np.linalg.svd(x).S,
    lambda x, m, v, k: np.vecdot(x, x),
    lambda x, m, v, k: np.arctan2(x, 1 + x * x),
    lambda x, m, v, k: np.abs(x) + abs(x) + np.absolute(x) + np.fabs(x),
    lambda x, m, v, k: np.square(x),
    lambda x, m, v, k: np.reciprocal(x),
    lambda x, m, v, k: (k & 3) | 4,
    lambda x, m, v, k: k ^ 1,
    lambda x, m, v, k: ~k,
    lambda x, m, v, k: (k << 2) >> 1,
    lambda x, m, v, k: np.logical_xor(x > 0, x > 1),
    lambda x, m, v, k: np.bitwise_and(x > 0, x > -1),
    lambda x, m, v, k: (x > 0) ^ (x > 0.5),
    lambda x, m, v, k: np.isclose(x, x + 1e-9),
    lambda x, m, v, k: np.sign(x) + np.floor(x) + np.ceil(x) + np.trunc(x) + np.fix(x) + np.rint(x),
    lambda x, m, v, k: np.matvec(m, v),
    lambda x, m, v, k: np.outer(v, v),
    lambda x, m, v, k: np.trace(m),
    lambda x, m, v, k: np.var(x),
    lambda x, m, v, k: np.std(x, axis=0, ddof=1),
    lambda x, m, v, k: x.std(),
    lambda x, m, v, k: np.prod(x, axis=0),
    lambda x, m, v, k: np.take(x, [0, 2]),
    lambda x, m, v, k: np.take(x, [0, 2], axis=1),
    lambda x, m, v, k: np.repeat(x, 2),
    lambda x, m, v, k: np.tile(v, 2),
    lambda x, m, v, k: np.roll(x, 1),
    lambda x, m, v, k: np.roll(x, 1, axis=1),
    lambda x, m, v, k: np.linalg.norm(x),
    lambda x, m, v, k: np.linalg.norm(x, axis=1),
    lambda x, m, v, k: np.linalg.norm(v, 1),
    lambda x, m, v, k: np.tensordot(x, x, axes=([0], [0])),
    lambda x, m, v, k: np.tensordot(x, x),
    lambda x, m, v, k: np.moveaxis(x, 0, 1),
    lambda x, m, v, k: np.split(x, 2, axis=1)[1],
    lambda x, m, v, k: np.pad(x, 1),
    lambda x, m, v, k: np.tril(m) + np.triu(m, 1),
    lambda x, m, v, k: np.diag(m),
    lambda x, m, v, k: np.diagonal(m),
    lambda x, m, v, k: np.meshgrid(v, v)[0],
    lambda x, m, v, k: np.average(x),
    lambda x, m, v, k: np.ptp(x),
    lambda x, m, v, k: np.count_nonzero(x > 0),
    lambda x, m, v, k: np.divmod(x, 2)[1],
    lambda x, m, v, k: np.linspace(v[0], v[1], 3),
    lambda x, m, v, k: np.cross(v, v + 1),
    lambda x, m, v, k: np.kron(v, v),
    lambda x, m, v, k: np.dot(v, v) + v.dot(v),
    lambda x, m, v, k: np.float_power(v, 2),
    lambda x, m, v, k: np.cbrt(v),
    lambda x, m, v, k: np.floor(k),
    lambda x, m, v, k: k.mean(),
    lambda x, m, v, k: v**-2,
    lambda x, m, v, k: -k // 4 + (-k) % 4,
    lambda x, m, v, k: np.column_stack([v, v]),
    lambda x, m, v, k: np.unstack(x)[1],
    lambda x, m, v, k: np.atleast_2d(v),
    lambda x, m, v, k: np.trapezoid(v, dx=0.5),
    lambda x, m, v, k: np.interp(v, np.array([0.0, 5.0]), np.array([1.0, 2.0])),
    lambda x, m, v, k: np.nanmean(x),
    lambda x, m, v, k: np.flipud(x) + np.fliplr(x),
    lambda x, m, v, k: np.swapaxes(m, 0, 1),
    lambda x, m, v, k: np.where(x > 0, 1, 0),
    lambda x, m, v, k: np.broadcast_arrays(x, x[0])[1],
    lambda x, m, v, k: np.argmax(x),
    lambda x, m, v, k: np.max(x, axis=0, keepdims=True) - x.min(axis=1, keepdims=True),
    lambda x, m, v, k: np.logical_and(x > 0, x < 1),
    lambda x, m, v, k: np.einsum("i,i", v, v),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", NEVER_WRONG, ids=range(len(NEVER_WRONG)))
def test_numpys_number_or_a_refusal(case: Callable[..., Any]) -> None:
    """Whatever of NumPy the language has not (yet) is refused by its name; everything else is what NumPy gives."""
    tensors = [b.input("x", "f64[3, 4]"), b.input("m", "f64[3, 3]"), b.input("v", "f64[3]"), b.input("k", "i64[2, 3]")]
    with np.errstate(all="ignore"):
        expected = case(*ARRAYS.values())
        try:
            y = case(*tensors)
        except UserError as e:
            assert e.diagnostics[0].code in ("unknown-op", "unknown-field", "surplus-argument", "bad-argument"), e
            return
        got = run({"y": y}, **ARRAYS)["y"]
    assert np.shape(got) == np.shape(expected)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)
