"""Every function of the array API standard on the builder with evaluation on demand, against NumPy: values, dtypes and shapes."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import dfg_array_api as xp

import dfg

DTYPES = ["bool", "uint8", "int32", "int64", "float32", "float64"]
NUMERIC, FLOATING, INTEGRAL, REAL = DTYPES[1:], DTYPES[4:], DTYPES[1:4], DTYPES[1:]
SHAPES = [(), (3,), (2, 3), (0, 2), (2, 1, 2)]
PAIRS = [((3,), (3,)), ((2, 3), (3,)), ((), (2,)), ((2, 1), (1, 3)), ((0, 1), (1, 2))]

UNARY: dict[str, list[str]] = {
    **dict.fromkeys("ceil floor trunc round abs sign square positive".split(), NUMERIC),
    **dict.fromkeys("acos acosh asin asinh atan atanh cos cosh exp expm1 log log10 log1p log2 reciprocal sin sinh sqrt tan tanh signbit".split(), FLOATING),
    **dict.fromkeys("isfinite isinf isnan".split(), NUMERIC),
    "negative": NUMERIC,
    "logical_not": ["bool"],
    "bitwise_invert": ["bool", *INTEGRAL],
}
BINARY: dict[str, list[str]] = {
    **dict.fromkeys("add subtract multiply maximum minimum floor_divide remainder pow".split(), NUMERIC),
    **dict.fromkeys("atan2 copysign divide hypot logaddexp nextafter".split(), FLOATING),
    **dict.fromkeys("equal not_equal".split(), DTYPES),
    **dict.fromkeys("less less_equal greater greater_equal".split(), NUMERIC),
    **{name: ["bool"] for name in "logical_and logical_or logical_xor".split()},
    **{name: ["bool", *INTEGRAL] for name in "bitwise_and bitwise_or bitwise_xor".split()},
    **dict.fromkeys("bitwise_left_shift bitwise_right_shift".split(), INTEGRAL),
}
REDUCTIONS: dict[str, list[str]] = {
    **dict.fromkeys("sum prod".split(), DTYPES),
    **dict.fromkeys("max min".split(), NUMERIC),
    **dict.fromkeys("mean std var".split(), FLOATING),
    **dict.fromkeys("all any count_nonzero".split(), DTYPES),
}
NUMPY_NAMES = {"bitwise_invert": "invert", "bitwise_left_shift": "left_shift", "bitwise_right_shift": "right_shift", "cumulative_prod": "cumulative_prod"}


def draw(seed: int, shape: tuple[int, ...], dtype: str, low: float = 0.2, high: float = 3.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    return np.asarray(rng.integers(1, 5, shape) if dtype in INTEGRAL else rng.uniform(low, high, shape)).astype(dtype)


def numpy_function(name: str) -> Callable[..., Any]:
    return getattr(np, NUMPY_NAMES.get(name, name), None) or getattr(np.linalg, name)


def agrees(made: Any, want: Any) -> None:
    """Equal shapes and dtypes, and values to a few units of rounding."""
    if isinstance(want, tuple | list):
        assert len(made) == len(want)
        for m, w in zip(made, want, strict=True):
            agrees(m, w)
        return
    want = np.asarray(want)
    assert made.shape == want.shape
    assert made.dtype.np == want.dtype
    tolerance = 2e-6 if want.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(np.asarray(made), want, rtol=tolerance, atol=tolerance)


def both(name: str, *args: Any, home: Any = None, **kwargs: Any) -> None:
    """A function on arrays and on NumPy's."""

    def given(x: Any) -> Any:
        return xp.asarray(x) if isinstance(x, np.ndarray | np.generic) else [given(y) for y in x] if isinstance(x, list) and x and isinstance(x[0], np.ndarray) else x

    with np.errstate(all="ignore"):
        want = numpy_function(name)(*args, **kwargs)
    agrees(getattr(home or xp, name)(*map(given, args), **{k: given(v) for k, v in kwargs.items()}), want)


def table(functions: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(name, dtype) for name, dtypes in functions.items() for dtype in dtypes]


@pytest.mark.parametrize(("name", "dtype"), table(UNARY))
def test_elementwise_functions_of_one_array(name: str, dtype: str) -> None:
    low, high = {"acos": (-0.9, 0.9), "asin": (-0.9, 0.9), "atanh": (-0.9, 0.9), "acosh": (1.1, 3)}.get(name, (0.2, 3.0))
    for k, shape in enumerate(SHAPES):
        x = draw(k, shape, dtype, low, high)
        if name in ("ceil", "floor", "trunc", "round") and dtype in FLOATING:
            x = x * np.asarray(2.6, dtype) - np.asarray(4, dtype)
        both(name, np.asarray(x))


@pytest.mark.parametrize(("name", "dtype"), table(BINARY))
def test_elementwise_functions_of_two_arrays(name: str, dtype: str) -> None:
    for k, (a, b) in enumerate(PAIRS):
        both(name, draw(k, a, dtype), draw(k + 50, b, dtype))


@pytest.mark.parametrize(("name", "dtype"), table({n: d for n, d in BINARY.items() if n != "pow"}))
def test_special_values(name: str, dtype: str) -> None:
    if dtype not in FLOATING:
        return
    x = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.5, -2.5], dtype)
    both(name, x[:, None], x[None, :])


@pytest.mark.parametrize("name", [n for n, d in UNARY.items() if "float64" in d and n not in ("isfinite",)])
def test_special_values_of_one_array(name: str) -> None:
    both(name, np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.5, -2.5, 0.5, -0.5, 1e-300, -1e-300]))


@pytest.mark.parametrize(("name", "dtype"), table(REDUCTIONS))
def test_reductions(name: str, dtype: str) -> None:
    for k, shape in enumerate([(3,), (2, 3), (2, 1, 2), (2, 0, 3), ()]):
        axes: list[Any] = [None, *range(-len(shape), len(shape))] + ([(0, -1)] if len(shape) > 1 else [])
        for axis in axes:
            for keepdims in (False, True):
                x = draw(k, shape, dtype)
                reduced = range(len(shape)) if axis is None else np.atleast_1d(axis)
                if name in ("max", "min", "mean", "std", "var") and any(shape[a] == 0 for a in reduced):
                    continue
                if name in ("sum", "prod") and dtype == "uint8":
                    continue  # the standard gives an unsigned dtype, and the language i64
                both(name, x, axis=axis, keepdims=keepdims)


@pytest.mark.parametrize("correction", [0, 1, 0.5])
def test_correction(correction: float) -> None:
    for name in ("std", "var"):
        both(name, draw(1, (4, 3), "float64"), axis=0, correction=correction)


@pytest.mark.parametrize("dtype", NUMERIC)
def test_searching_and_sorting(dtype: str) -> None:
    x = draw(4, (3, 4), dtype)
    for axis in (None, 0, -1):
        for keepdims in (False, True):
            for name in ("argmax", "argmin"):
                both(name, x, axis=axis, keepdims=keepdims)
    for axis in (0, -1):
        agrees(xp.sort(xp.asarray(x), axis=axis, stable=True), np.sort(x, axis=axis))
        agrees(xp.sort(xp.asarray(x), axis=axis, descending=True), np.flip(np.sort(x, axis=axis), axis))
        agrees(xp.argsort(xp.asarray(x), axis=axis, stable=True), np.argsort(x, axis=axis, stable=True))
    order = np.sort(draw(5, (5,), dtype))
    for side in ("left", "right"):
        both("searchsorted", order, x[0], side=side)
    both("where", x > 2, x, x + x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_manipulation(dtype: str) -> None:
    x, y, z = draw(1, (2, 3), dtype), draw(2, (2, 3), dtype), draw(3, (1, 3, 1), dtype)
    both("broadcast_to", x, (4, 2, 3))
    both("broadcast_arrays", x, z[0].T)
    for axis in (0, 1, -1):
        both("concat", [x, y], axis=axis)
        both("stack", [x, y], axis=axis)
        both("expand_dims", x, axis=axis)
        both("flip", x, axis=axis)
        both("roll", x, 2, axis=axis)
        both("unstack", x, axis=axis)
        both("repeat", x, 2, axis=axis)
    agrees(xp.concat([xp.asarray(x), xp.asarray(z)], axis=None), np.concat([x, z], axis=None))
    both("flip", x)
    both("roll", x, (1, -1), axis=(0, 1))
    both("permute_dims", z, (2, 0, 1))
    both("moveaxis", z, 0, -1)
    both("reshape", x, (3, 2))
    both("reshape", x, (-1,), copy=True)
    both("squeeze", z, axis=(0, 2))
    both("tile", x, (2, 1, 2))
    both("take", x, np.array([2, 0]), axis=1)
    both("take_along_axis", x, np.array([[0, 2], [1, 1]]), axis=1)
    both("tril", x, k=-1)
    both("triu", x, k=1)
    both("matrix_transpose", x)
    agrees(xp.meshgrid(xp.asarray(x[0]), xp.asarray(y[:, 0]), indexing="ij"), np.meshgrid(x[0], y[:, 0], indexing="ij"))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32"])
def test_accumulation(dtype: str) -> None:
    x = draw(1, (2, 4), dtype)
    for axis in (0, -1):
        both("cumulative_sum", x, axis=axis)
        both("cumulative_prod", x, axis=axis)
        both("cumulative_sum", x, axis=axis, include_initial=True)
        both("diff", x, axis=axis)
    both("diff", x, axis=1, n=2, prepend=x[:, :1], append=x[:, :2])
    agrees(xp.sum(xp.asarray(x), dtype=xp.float64), np.sum(x, dtype=np.float64))
    agrees(xp.cumulative_prod(xp.asarray(x), axis=0, dtype=xp.float64), np.cumprod(x, axis=0, dtype=np.float64))
    both("clip", x, x[:1] * 0 + 2, x[:1] * 0 + 3)
    both("clip", x, 1, 3)


@pytest.mark.parametrize("dtype", FLOATING)
def test_linear_algebra(dtype: str) -> None:
    a, b, v = draw(1, (3, 3), dtype), draw(2, (3, 2), dtype), draw(3, (3,), dtype)
    a = a + 4 * np.eye(3, dtype=dtype)
    s = a @ a.T
    for name, args in {"matmul": (a, b), "tensordot": (a, b), "vecdot": (v, v), "matrix_transpose": (b,)}.items():
        both(name, *args, **({"axes": 1} if name == "tensordot" else {}))
    for name in ("det", "inv", "slogdet", "svdvals", "pinv", "matrix_rank", "trace", "diagonal", "matrix_norm"):
        made, want = getattr(xp.linalg, name)(xp.asarray(a)), getattr(np.linalg, name)(a)
        for m, w in zip(made, want, strict=True) if name == "slogdet" else [(made, want)]:
            np.testing.assert_allclose(np.asarray(m), w, rtol=1e-4 if dtype == "float32" else 1e-11)
    np.testing.assert_allclose(np.asarray(xp.linalg.eigvalsh(xp.asarray(s))), np.linalg.eigvalsh(s), rtol=1e-4 if dtype == "float32" else 1e-10)
    stack = draw(7, (2, 3, 4), dtype)
    agrees(xp.linalg.trace(xp.asarray(stack), offset=1), np.linalg.trace(stack, offset=1))
    agrees(xp.linalg.diagonal(xp.asarray(stack)), np.linalg.diagonal(stack))
    with pytest.raises(ValueError, match="reduced form"):
        xp.linalg.qr(xp.asarray(b), mode="complete")
    both("solve", a, b, home=xp.linalg)
    both("outer", v, v, home=xp.linalg)
    both("cross", v, v[::-1].copy(), home=xp.linalg)
    agrees(xp.linalg.cholesky(xp.asarray(s)), np.linalg.cholesky(s))
    agrees(xp.linalg.cholesky(xp.asarray(s), upper=True), np.linalg.cholesky(s).T)
    agrees(xp.linalg.matrix_power(xp.asarray(a / 4), 3), np.linalg.matrix_power(a / 4, 3))
    q, r = xp.linalg.qr(xp.asarray(b))
    np.testing.assert_allclose(np.asarray(q @ r), b, rtol=1e-4)
    u, w, vh = xp.linalg.svd(xp.asarray(b), full_matrices=False)
    np.testing.assert_allclose(np.asarray((u * w) @ vh), b, rtol=1e-4)
    w, e = xp.linalg.eigh(xp.asarray(s))
    np.testing.assert_allclose(np.asarray((e * w) @ e.mT), s, rtol=1e-4)
    for order in (1, 2, np.inf, -np.inf, 3):
        both("vector_norm", b, ord=order, axis=0, keepdims=True, home=xp.linalg)


@pytest.mark.parametrize("dtype", DTYPES)
def test_creation(dtype: str) -> None:
    d, x = getattr(xp, dtype), draw(1, (2, 3), dtype)
    for name in ("zeros", "ones", "empty"):
        made = getattr(xp, name)((2, 3), dtype=d)
        assert made.shape == (2, 3) and made.dtype == d
    agrees(xp.full((2,), 1, dtype=d), np.full((2,), 1, dtype=dtype))
    agrees(xp.eye(2, 3, k=1, dtype=d), np.eye(2, 3, k=1, dtype=dtype))
    for name in ("zeros_like", "ones_like"):
        both(name, x)
    agrees(xp.full_like(xp.asarray(x), 1), np.full_like(x, 1))
    if dtype != "bool":
        agrees(xp.arange(1, 7, 2, dtype=d), np.arange(1, 7, 2, dtype=dtype))
    if dtype in FLOATING:
        agrees(xp.linspace(0, 1, 5, dtype=d), np.linspace(0, 1, 5, dtype=dtype))
        agrees(xp.linspace(0, 1, 5, dtype=d, endpoint=False), np.linspace(0, 1, 5, dtype=dtype, endpoint=False))
    agrees(xp.astype(xp.asarray(x), xp.float64), x.astype(np.float64))
    assert xp.from_dlpack(np.ones(2)).dtype == xp.float64


@pytest.mark.parametrize("a", DTYPES)
@pytest.mark.parametrize("b", DTYPES)
def test_promotion(a: str, b: str) -> None:
    mixed = (a in FLOATING) != (b in FLOATING) or "bool" in (a, b)  # the standard leaves these open, or forbids them
    if a == b or not mixed:
        assert xp.result_type(getattr(xp, a), getattr(xp, b)).np == np.result_type(a, b)
        assert xp.can_cast(getattr(xp, a), getattr(xp, b)) == np.can_cast(a, b)
        if a != "bool":
            assert (xp.ones(1, dtype=getattr(xp, a)) + xp.ones(1, dtype=getattr(xp, b))).dtype.np == np.result_type(a, b)


def test_operators_and_python_numbers() -> None:
    x, y = draw(1, (2, 3), "float32"), draw(2, (3,), "int64")
    a, b = xp.asarray(x), xp.asarray(y)
    agrees(a + 1, x + np.float32(1))
    agrees(2 / a, np.float32(2) / x)
    agrees(1 - b, 1 - y)
    agrees(b % 2, y % 2)
    agrees(-a, -x)
    agrees(abs(-b), y)
    agrees(~(b > 2), ~(y > 2))
    agrees((b > 1) & (b < 4), (y > 1) & (y < 4))
    agrees(b << 1, y << 1)
    agrees(a @ a.T, x @ x.T)
    agrees(2**b, 2**y)
    c = xp.asarray(x)
    c += 1
    c[0, 1:] = 7.0
    want = x + np.float32(1)
    want[0, 1:] = 7
    agrees(c, want)
    agrees(a, x)
    with pytest.raises(ValueError):
        c += xp.ones((4, 2, 3), dtype=xp.float32)


def test_indexing() -> None:
    x = draw(1, (4, 3, 2), "float64")
    a = xp.asarray(x)
    for key in (0, -1, slice(1, 3), slice(None, None, -1), (0, 1, 1), (..., 0), (None, 1), (slice(3, 0, -2), ..., None), ()):
        agrees(a[key], x[key])
    agrees(a[xp.asarray([2, 0])], x[[2, 0]])
    with pytest.raises(IndexError):
        a[4]


def test_python_asks_for_numbers() -> None:
    a = xp.asarray([1.5, 2.0])
    assert float(a[0]) == 1.5 and int(xp.asarray(3)) == 3 and bool(xp.all(a > 1)) and len(a) == 2 and [10, 20][xp.asarray(1)] == 20
    with pytest.raises(TypeError):
        float(a)
    with pytest.raises(TypeError):
        hash(a)
    assert np.array_equal(np.asarray(xp.exp(a) * 0 + a), [1.5, 2.0])
    assert "Array(" in repr(a)


def test_inspection() -> None:
    info = xp.__array_namespace_info__()
    assert info.capabilities() == {"boolean indexing": False, "data-dependent shapes": False, "max dimensions": 32}
    assert set(info.dtypes(kind="integral")) == {"uint8", "int32", "int64"}
    assert info.default_dtypes()["real floating"] == xp.float64
    a = xp.asarray([1.0])
    assert a.__array_namespace__() is xp and xp.isdtype(a.dtype, "real floating") and not xp.isdtype(a.dtype, ("bool", "integral"))
    assert xp.finfo(xp.float32).bits == 32 and xp.iinfo(xp.uint8).max == 255
    assert (xp.pi, xp.e, xp.inf, xp.newaxis) == (np.pi, np.e, np.inf, None) and np.isnan(xp.nan)


STANDARD = """abs acos acosh add all any arange argmax argmin argsort asarray asin asinh astype atan atan2 atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or
bitwise_right_shift bitwise_xor broadcast_arrays broadcast_to can_cast ceil clip concat copysign cos cosh count_nonzero cumulative_prod cumulative_sum diff divide empty empty_like
equal exp expand_dims expm1 eye finfo flip floor floor_divide from_dlpack full full_like greater greater_equal hypot iinfo isdtype isfinite isinf isnan less less_equal linspace
log log10 log1p log2 logaddexp logical_and logical_not logical_or logical_xor matmul matrix_transpose max maximum mean meshgrid min minimum moveaxis multiply negative nextafter
not_equal ones ones_like permute_dims positive pow prod reciprocal remainder repeat reshape result_type roll round searchsorted sign signbit sin sinh sort sqrt square
squeeze stack std subtract sum take take_along_axis tan tanh tensordot tile tril triu trunc unstack var vecdot where zeros zeros_like nonzero unique_all unique_counts
unique_inverse unique_values""".split()
LINALG = """cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank matrix_transpose outer pinv qr slogdet solve svd svdvals tensordot trace vecdot
vector_norm""".split()


def test_every_name_of_the_standard_is_there() -> None:
    assert [n for n in STANDARD if not callable(getattr(xp, n))] == []
    assert [n for n in LINALG if not callable(getattr(xp.linalg, n))] == []
    for name in ("unique_values", "nonzero"):
        with pytest.raises((ValueError, TypeError), match=r"size|shape"):
            getattr(xp, name)(xp.asarray([1.0, 2.0]))


SIGNATURES = {
    "x, /": "abs acos acosh asin asinh atan atanh bitwise_invert ceil cos cosh exp expm1 floor isfinite isinf isnan log log10 log1p log2 logical_not matrix_transpose negative nonzero "
    "positive reciprocal round sign signbit sin sinh sqrt square tan tanh trunc unique_all unique_counts unique_inverse unique_values "
    "linalg.det linalg.eigh linalg.eigvalsh linalg.inv linalg.matrix_transpose linalg.slogdet linalg.svdvals",
    "x1, x2, /": "add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign divide equal floor_divide greater greater_equal hypot less less_equal "
    "logaddexp logical_and logical_or logical_xor matmul maximum minimum multiply nextafter not_equal pow remainder subtract linalg.matmul linalg.outer linalg.solve",
    "x, /, *, axis, keepdims": "all any argmax argmin count_nonzero max mean min",
    "start, /, stop, step, *, dtype, device": "arange",
    "x, /, *, axis, descending, stable": "argsort sort",
    "obj, /, *, dtype, device, copy": "asarray",
    "x, dtype, /, *, copy, device": "astype",
    "*arrays": "broadcast_arrays",
    "x, /, shape": "broadcast_to",
    "from_, to, /": "can_cast",
    "x, /, min, max": "clip",
    "arrays, /, *, axis": "concat stack",
    "x, /, *, axis, dtype, include_initial": "cumulative_prod cumulative_sum",
    "x, /, *, axis, n, prepend, append": "diff",
    "shape, *, dtype, device": "empty ones zeros",
    "x, /, *, dtype, device": "empty_like ones_like zeros_like",
    "x, /, *, axis": "expand_dims flip unstack",
    "x, /, axis": "squeeze",
    "n_rows, n_cols, /, *, k, dtype, device": "eye",
    "type, /": "finfo iinfo",
    "x, /, *, device, copy": "from_dlpack",
    "shape, fill_value, *, dtype, device": "full",
    "x, /, fill_value, *, dtype, device": "full_like",
    "dtype, kind": "isdtype",
    "start, stop, /, num, *, dtype, device, endpoint": "linspace",
    "*arrays, indexing": "meshgrid",
    "x, source, destination, /": "moveaxis",
    "x, /, axes": "permute_dims",
    "x, /, *, axis, dtype, keepdims": "prod sum",
    "x, repeats, /, *, axis": "repeat",
    "x, /, shape, *, copy": "reshape",
    "*arrays_and_dtypes": "result_type",
    "x, /, shift, *, axis": "roll",
    "x1, x2, /, *, side, sorter": "searchsorted",
    "x, /, *, axis, correction, keepdims": "std var",
    "x, indices, /, *, axis": "take take_along_axis",
    "x1, x2, /, *, axes": "tensordot linalg.tensordot",
    "x, repetitions, /": "tile",
    "x, /, *, k": "tril triu",
    "x1, x2, /, *, axis": "vecdot linalg.cross linalg.vecdot",
    "condition, x1, x2, /": "where",
    "x, /, *, upper": "linalg.cholesky",
    "x, /, *, offset": "linalg.diagonal",
    "x, /, *, keepdims, ord": "linalg.matrix_norm",
    "x, n, /": "linalg.matrix_power",
    "x, /, *, rtol": "linalg.matrix_rank linalg.pinv",
    "x, /, *, mode": "linalg.qr",
    "x, /, *, full_matrices": "linalg.svd",
    "x, /, *, offset, dtype": "linalg.trace",
    "x, /, *, axis, keepdims, ord": "linalg.vector_norm",
}
"""The parameters of the standard's functions, and the functions that have them."""


def test_signatures() -> None:
    """As the suite asks: positional parameters at their places, by their names where they may be named, and every keyword."""
    P = inspect.Parameter
    for text, names in SIGNATURES.items():
        stub = inspect.signature(eval(f"lambda {text}: 0")).parameters.values()
        for name in names.split():
            home, _, short = name.rpartition(".")
            own = inspect.signature(getattr(getattr(xp, home) if home else xp, short)).parameters
            positions = list(own.values())
            for k, p in enumerate(q for q in stub if q.kind is not P.KEYWORD_ONLY):
                assert k < len(positions), (name, p.name)
                if p.kind is P.POSITIONAL_ONLY:
                    assert positions[k].kind in (P.POSITIONAL_ONLY, P.POSITIONAL_OR_KEYWORD), (name, p.name)
                elif p.kind is P.POSITIONAL_OR_KEYWORD:
                    assert (positions[k].name, positions[k].kind) == (p.name, p.kind), (name, p.name)
                else:
                    assert positions[k].kind is p.kind, (name, p.name)
            for p in stub:
                if p.kind is P.KEYWORD_ONLY:
                    assert p.name in own and own[p.name].kind in (P.POSITIONAL_OR_KEYWORD, P.KEYWORD_ONLY), (name, p.name)


def test_devices_copies_and_limits() -> None:
    a = xp.asarray([1.0, 2.0], dtype=xp.float32)
    info = xp.__array_namespace_info__()
    assert info.devices() == [a.device] == [info.default_device()] and a.to_device(a.device) is a
    for f in (lambda: a.to_device("gpu"), lambda: xp.zeros(3, device="gpu"), lambda: xp.asarray([1], device="gpu"), lambda: xp.astype(a, xp.float64, device="gpu")):
        with pytest.raises((ValueError, dfg.UserError), match="device"):
            f()
    shared, own = xp.asarray(a, copy=False), xp.asarray(a, copy=True)
    a[0] = 7.0
    assert float(shared[0]) == 7 and float(own[0]) == 1
    for f in (lambda: xp.asarray(a, dtype=xp.float64, copy=False), lambda: xp.asarray([1.0], copy=False)):
        with pytest.raises(ValueError, match="cop"):
            f()
    with pytest.raises(OverflowError):
        xp.asarray([300], dtype=xp.uint8)
    for d, bits in ((xp.float32, 32), (xp.float64, 64)):
        limits, want = xp.finfo(d), np.finfo(d.np)
        assert limits.bits == bits and limits.dtype == d and all(type(getattr(limits, k)) is float and getattr(limits, k) == getattr(want, k) for k in ("eps", "max", "min", "smallest_normal"))
    for d in (xp.uint8, xp.int32, xp.int64):
        assert xp.iinfo(d).dtype == d and (xp.iinfo(d).min, xp.iinfo(d).max) == (np.iinfo(d.np).min, np.iinfo(d.np).max)
    assert xp.finfo(a).bits == 32 and np.array_equal(np.from_dlpack(a), [7, 2]) and a.__dlpack_device__()[0] == 1
    for kind in ("bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating", "numeric", ("bool", "integral")):
        for name, d in info.dtypes(kind=kind).items():
            assert getattr(xp, name) == d and xp.isdtype(d, kind)
    assert xp.broadcast_shapes((2, 1), (3,), ()) == (2, 3) and xp.result_type(xp.int32, 2.5) == xp.float64 and xp.result_type(xp.float32, 1, True) == xp.float32
    agrees(xp.repeat(a, xp.asarray([2, 3])), np.repeat(np.array([7, 2], np.float32), [2, 3]))


def test_every_skip_has_a_reason() -> None:
    reason = False
    for line in (Path(__file__).parent / "skips.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            reason = len(line) > 20
        elif not line:
            reason = False
        else:
            assert reason and line.startswith("array_api_tests/test_"), line
