"""Literals and the rules by which written numbers and arrays take a wanted type."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from data_checks import DTYPES, Arr, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dfg.data import CODES, fit, parse_literal, read_value
from dfg.diagnostics import UserError

ORDER = list(DTYPES)


@pytest.mark.parametrize(
    ("text", "dtype", "want"),
    [
        ("0.5", None, np.float64(0.5)),
        ("7", None, np.int64(7)),
        ("true", None, np.True_),
        ("-3", None, np.int64(-3)),
        ("+3", None, np.int64(3)),
        ("1_000", None, np.int64(1000)),
        ("0x1f", "u8", np.uint8(31)),
        (".5", "f32", np.float32(0.5)),
        ("1e-3", None, np.float64(1e-3)),
        ("1.", None, np.float64(1)),
        ("inf", None, np.float64(np.inf)),
        ("-inf", "f32", np.float32(-np.inf)),
        ("pi", None, np.float64(math.pi)),
        ("-0.0", None, np.float64(-0.0)),
        ("true", "f32", np.float32(1)),
        ("false", "i32", np.int32(0)),
        ("3", "f32", np.float32(3)),
        ("[1, 2]", None, np.array([1, 2])),
        ("[1, 2.5]", None, np.array([1, 2.5])),
        ("[true, 2]", None, np.array([1, 2])),
        ("[]", None, np.zeros(0)),
        ("[[], []]", "i32", np.zeros((2, 0), np.int32)),
        ("[[1, 2], [3, 4],]", "u8", np.array([[1, 2], [3, 4]], np.uint8)),
        (" [ 1 ,\n2 ] ", None, np.array([1, 2])),
        ("[[[1]]]", None, np.ones((1, 1, 1), np.int64)),
        ("-9223372036854775808", None, np.int64(-(2**63))),
        ("[-inf, 1]", "f64", np.array([-np.inf, 1])),
        ("007", None, np.int64(7)),
    ],
)
def test_values(text: str, dtype: str | None, want: Arr) -> None:
    found = read_value(text, dtype=dtype)
    assert found.dtype == want.dtype
    assert found.shape == want.shape
    assert found.tobytes() == want.tobytes()


def test_nan() -> None:
    assert np.isnan(read_value("[nan, -nan]", dtype="f32")).all()


@pytest.mark.parametrize(
    ("text", "code", "at", "help"),
    [
        ("[1, 2", "bad-literal", 5, "]"),
        ("[1 2]", "bad-literal", 3, None),
        ("[1,,2]", "bad-literal", 3, None),
        ("[,]", "bad-literal", 1, None),
        ("1 2", "bad-literal", 2, None),
        ("[1]]", "bad-literal", 3, None),
        ("2*3", "bad-literal", 1, "arithmetic"),
        ("[True]", "bad-literal", 1, "`true`"),
        ("True", "bad-literal", 0, "`true`"),
        ("[ture]", "bad-literal", 1, "true"),
        ("", "bad-literal", 0, None),
        ("   ", "bad-literal", 0, None),
        ("[1, [2]]", "ragged-literal", 4, None),
        ("[[1], 2]", "ragged-literal", 6, None),
        ("[[1, 2], [3]]", "ragged-literal", 9, None),
        ("[[], [[]]]", "ragged-literal", 5, None),
        ("[[1], []]", "ragged-literal", 6, None),
        ("1e400", "does-not-fit", 0, "inf"),
        ("9223372036854775808", "does-not-fit", 0, "f64"),
        ("[1, 2)", "bad-literal", 5, None),
        ("[1e]", "bad-literal", 1, None),
        ("[0x]", "bad-literal", 1, None),
        ("[1.2.3]", "bad-literal", 1, None),
        ("[--1]", "bad-literal", 1, None),
        ("[None]", "bad-literal", 1, None),
    ],
)
def test_what_is_no_literal(text: str, code: str, at: int, help: str | None) -> None:
    diagnostic = refused(code, lambda: read_value(text, name="x"))
    assert diagnostic.span is not None
    assert diagnostic.span.source.name == "--input x"
    assert diagnostic.span.start == at
    if help:
        assert help in (diagnostic.help or "")


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("0.5", "i64"),
        ("2.0", "i32"),
        ("256", "u8"),
        ("-1", "u8"),
        ("2147483648", "i32"),
        ("1", "bool"),
        ("1.0", "bool"),
        ("1e39", "f32"),
        ("inf", "i64"),
        ("nan", "u8"),
        ("1" + "0" * 400, "f64"),
    ],
)
def test_kinds_that_do_not_fit(text: str, dtype: str) -> None:
    diagnostic = refused("does-not-fit", lambda: read_value(f"[0, {text}]" if dtype != "bool" else f"[true, {text}]", dtype=dtype))
    assert diagnostic.help
    assert diagnostic.span is not None
    assert diagnostic.span.text == text
    refused("does-not-fit", lambda: read_value(text, dtype=dtype))


def test_no_depth_and_no_length_is_too_much() -> None:
    deep = "[" * 10_000 + "]" * 10_000
    assert "64" in refused("bad-literal", lambda: read_value(deep)).message
    refused("bad-literal", lambda: read_value("[" * 100_000))
    assert read_value("[" * 64 + "1" + "]" * 64).ndim == 64
    refused("bad-literal", lambda: read_value("9" * 5000))
    refused("bad-literal", lambda: read_value("0." + "9" * 5000))
    many = read_value("[" + "1," * 100_000 + "]", dtype="f32")
    assert many.shape == (100_000,)
    assert many.sum() == 100_000


def once(text: str) -> np.float32:
    """The nearest f32 of a decimal text, by exact arithmetic: the oracle."""
    true = Fraction(Decimal(text))
    guess = np.float32(float(text))
    near = [np.nextafter(guess, np.float32(-np.inf)), guess, np.nextafter(guess, np.float32(np.inf))]
    return min(near, key=lambda c: (abs(Fraction(float(c)) - true), int(c.view(np.uint32)) & 1))


@settings(max_examples=150, deadline=None)
@given(st.integers(0x00000001, 0x7F7FFFFE), st.integers(-3, 3), st.booleans())
def test_f32_rounds_once(bits: int, nudge: int, negative: bool) -> None:
    low, high = (Fraction(float(np.uint32(b).view(np.float32))) for b in (bits, bits + 1))
    middle = (low + high) / 2 + (high - low) * Fraction(nudge, 10**25)
    places = max(0, 60 - math.floor(math.log10(middle)))
    text = ("-" if negative else "") + f"{int(middle * 10 ** (places + 30))}e-{places + 30}"
    assert read_value(text, dtype="f32").view(np.uint32) == once(text).view(np.uint32)


def test_f32_rounding_at_the_edges() -> None:
    assert read_value("1.00000005960464477540", dtype="f32") == np.float32(1.0000001)
    assert read_value("1.00000005960464477539", dtype="f32") == np.float32(1)
    assert read_value("340282356779733661637539395458142568447", dtype="f32") == np.finfo(np.float32).max
    refused("does-not-fit", lambda: read_value("340282356779733661637539395458142568448", dtype="f32"))
    assert read_value("0." + "0" * 60 + "1", dtype="f32") == 0


nested = hnp.arrays(st.sampled_from(list(DTYPES.values())), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))


def text_of(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(text_of, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else repr(value)


@settings(max_examples=80, deadline=None)
@given(nested)
def test_any_array_as_a_literal(array: Arr) -> None:
    name = ORDER[list(DTYPES.values()).index(array.dtype.type)]
    shape = array.shape if array.size else None  # [] says nothing about the axes inside
    found = read_value(text_of(array.tolist()), dtype=name, shape=shape)
    assert found.dtype == array.dtype
    if array.size:
        np.testing.assert_array_equal(found, array)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="[],. 019e+-_xtruefalsinp\n\t\0é", max_size=30))
def test_any_text_is_a_literal_or_one_diagnostic(text: str) -> None:
    try:
        literal = parse_literal(text)
        literal.to_array(None)
    except UserError as err:
        assert len(err.diagnostics) == 1
        assert err.diagnostics[0].code in CODES


@pytest.mark.parametrize("held", ORDER)
@pytest.mark.parametrize("wanted", ORDER)
def test_arrays_convert_upwards_only(held: str, wanted: str) -> None:
    array = np.array([0, 1, 1], DTYPES[held])
    if ORDER.index(held) <= ORDER.index(wanted):
        found = fit(array, dtype=wanted)
        assert found.dtype == DTYPES[wanted]
        np.testing.assert_array_equal(found, array)
    else:
        diagnostic = refused("wrong-dtype", lambda: fit(array, dtype=wanted, name="x", origin="x.npy"))
        assert held in diagnostic.message
        assert wanted in diagnostic.message
        assert "astype" in (diagnostic.help or "")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.integers(-(2**63), 2**63 - 1),
            st.integers(-(2**25), 2**25),
            st.integers(2**53 - 3, 2**53 + 3),
            st.integers(2**63 - 1025, 2**63 - 1),
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["f32", "f64"]),
)
def test_integers_become_floats_only_exactly(values: list[int], dtype: str) -> None:
    array = np.array(values, np.int64)
    exact = [int(DTYPES[dtype](v)) == v for v in values]
    if all(exact):
        assert [int(v) for v in fit(array, dtype=dtype)] == values
    else:
        assert str(values[exact.index(False)]) in refused("wrong-dtype", lambda: fit(array, dtype=dtype)).message


@pytest.mark.parametrize(
    ("dtype", "becomes"),
    [("int8", "int32"), ("int16", "int32"), ("uint16", "int32"), ("uint32", "int64"), ("uint64", "int64"), ("float16", "float32")],
)
def test_dtypes_that_dfg_has_not(dtype: str, becomes: str) -> None:
    info = np.finfo(dtype) if dtype == "float16" else np.iinfo(dtype)
    array = np.array([info.min, 0, info.max if dtype != "uint64" else 2**63 - 1]).astype(dtype)
    found = fit(array)
    assert found.dtype == becomes
    assert [float(v) for v in found] == [float(v) for v in array]


@pytest.mark.parametrize(
    "array",
    [
        np.array([1 + 2j]),
        np.array(["a"]),
        np.array([b"a"]),
        np.array([None, {}], object),
        np.zeros(2, "f4,i4"),
        np.array(["2020-01-01"], "M8[D]"),
        np.array([1], "m8[s]"),
        np.zeros(2, "V3"),
        np.array([2**63], np.uint64),
        np.array([1], np.longdouble),
    ],
)
def test_dtypes_that_are_refused(array: Arr) -> None:
    assert refused("wrong-dtype", lambda: fit(array, name="x", origin="x.npy")).help


def test_layouts() -> None:
    base = np.arange(24, dtype=">i4").reshape(2, 3, 4)
    for array in (base, base.T, base[:, ::-1, ::2], np.asfortranarray(base), base[0, 0, 0], base[:0]):
        found = fit(array, dtype="i64")
        assert found.flags.c_contiguous
        assert found.dtype.isnative
        assert found.shape == array.shape
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("value", "shape", "literal", "file"),
    [
        (0.5, (1,), "around it", "expand_dims(a, 0)"),
        ([1, 2], (3,), "axis 0 has 2", "axis 0 has 2"),
        ([[1, 2]], (2, 1), "transpose", "a.T"),
        ([[1, 2]], (2,), "remove", "squeeze(0)"),
        ([1, 2], (None, 1), "each element", "expand_dims(a, 1)"),
        ([1, 2], (), "0 axes", "0 axes"),
        ([[1]], (None, None, None, 3), "4 axes", "4 axes"),
        ([[[2]]], (2,), "1 axis is", "1 axis is"),
    ],
)
def test_shapes(value: object, shape: tuple[int | None, ...], literal: str, file: str) -> None:
    diagnostic = refused("wrong-shape", lambda: read_value(text_of(value), shape=shape, name="x"))
    assert literal in (diagnostic.help or "")
    assert "`x`" in diagnostic.message
    assert diagnostic.span is not None
    assert file in (refused("wrong-shape", lambda: fit(np.array(value), shape=shape, name="x", origin="x.npy")).help or "")


def test_shapes_that_match() -> None:
    assert read_value("[[1, 2]]", shape=(None, 2)).shape == (1, 2)
    assert read_value("1", shape=()).shape == ()
    assert read_value("[[], []]", shape=(2, None)).shape == (2, 0)


def test_standard_input() -> None:
    import io

    for stdin in ("[1, 2]\n", b"[1, 2]\n", io.BytesIO(b"\xef\xbb\xbf[1, 2]"), io.StringIO("[1,2]")):
        np.testing.assert_array_equal(read_value("-", dtype="f32", stdin=stdin), [1, 2])
    out = io.BytesIO()
    np.save(out, np.arange(3.0))
    np.testing.assert_array_equal(read_value("-", stdin=out.getvalue()), [0, 1, 2])
    out = io.BytesIO()
    np.savez(out, a=np.arange(3.0), b=np.ones(2))
    np.testing.assert_array_equal(read_value("-:b", stdin=out.getvalue()), [1, 1])
    np.testing.assert_array_equal(read_value("-", stdin=out.getvalue(), name="a"), [0, 1, 2])
    assert "KEY" in (refused("missing-key", lambda: read_value("-", stdin=out.getvalue(), name="z")).help or "")
    refused("bad-literal", lambda: read_value("-", stdin=""))
    refused("bad-file", lambda: read_value("-", stdin=b"\xff\xfe\x00"))
    refused("missing-key", lambda: read_value("-:a", stdin="[1]"))
    refused("bad-literal", lambda: read_value("-", stdin="[1, 2"))


def test_standard_input_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless:
        read_bytes = 0

        def read(self, count: int) -> bytes:
            self.read_bytes += count
            return b"1" * count

    monkeypatch.setenv("DFG_MAX_BYTES", "4MiB")
    stream = Endless()
    refused("too-large", lambda: read_value("-", stdin=stream))  # type: ignore[arg-type]
    assert stream.read_bytes <= 6 << 20


def test_a_file_that_looks_like_a_literal(tmp_path: Path) -> None:
    np.save(tmp_path / "5", np.arange(2.0))
    (tmp_path / "5.npy").rename(tmp_path / "5")
    assert read_value("5", base=tmp_path) == 5
    np.testing.assert_array_equal(read_value("./5", base=tmp_path), [0, 1])


def test_words_near_a_literal_or_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", np.arange(2.0))
    assert "data.npy" in (refused("no-such-file", lambda: read_value("dat.npy", base=tmp_path)).help or "")
    assert "data.npy" in (refused("bad-literal", lambda: read_value("data_npy", base=tmp_path)).help or "")
    assert "`true`" in (refused("bad-literal", lambda: read_value("ture", base=tmp_path)).help or "")
    refused("no-such-file", lambda: read_value("no/such/folder/x.npy", base=tmp_path))
    refused("no-such-file", lambda: read_value("x.npz:a", base=tmp_path))
    refused("bad-literal", lambda: read_value("hello\x1b[31m", base=tmp_path))


@pytest.mark.parametrize("limit", ["x", "", "-1", "1e9"])
def test_a_bad_limit_is_said(limit: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    monkeypatch.setenv("DFG_MAX_BYTES", limit)
    refused("bad-limit", lambda: read_value("a.npy", base=tmp_path))
