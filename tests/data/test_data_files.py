"""Round trips of every format, and hostile files: one diagnostic each, nothing executed, nothing large allocated."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dfg.data import (
    CODES,
    json_outputs,
    load_meta,
    load_params,
    match_params,
    read_file,
    read_inputs,
    read_table,
    read_value,
    save_params,
    write_image,
    write_outputs,
)
from dfg.diagnostics import Diagnostic, UserError

SAMPLES = Path(__file__).parents[2] / "examples" / "data"
DTYPES = {"bool": np.bool_, "u8": np.uint8, "i32": np.int32, "i64": np.int64, "f32": np.float32, "f64": np.float64}


def refused(code: str | tuple[str, ...], call: Callable[[], object]) -> Diagnostic:
    with pytest.raises(UserError) as info:
        call()
    assert len(info.value.diagnostics) == 1
    diagnostic = info.value.diagnostics[0]
    assert diagnostic.code in ((code,) if isinstance(code, str) else code), diagnostic
    assert diagnostic.code in CODES
    assert all(c.isprintable() for c in diagnostic.message)
    return diagnostic


def same(found: np.ndarray, want: np.ndarray) -> None:
    assert found.dtype == want.dtype
    assert found.shape == want.shape
    assert np.array_equal(found, want, equal_nan=want.dtype.kind == "f")
    assert found.flags.c_contiguous


arrays = hnp.arrays(st.sampled_from(list(DTYPES.values())), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
named = st.dictionaries(st.from_regex(r"[a-zA-Zθŷ_][\w.]{0,8}", fullmatch=True), arrays, min_size=1, max_size=4)


# -- round trips ---------------------------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(named)
def test_archives_round_trip(tmp_path_factory: pytest.TempPathFactory, values: dict[str, np.ndarray]) -> None:
    folder = tmp_path_factory.mktemp("r")
    for suffix in (".npz", ".safetensors"):
        path = folder / f"a{suffix}"
        write_outputs(path, values)
        found = read_inputs(path)
        assert list(found) == list(values)
        for name, want in values.items():
            same(found[name], want)
            same(read_value(f"a{suffix}:{name}", base=folder), want)
    from safetensors.numpy import load_file

    theirs = load_file(folder / "a.safetensors")
    assert set(theirs) == set(values)
    with np.load(folder / "a.npz", allow_pickle=False) as loaded:
        for name, want in values.items():
            same(theirs[name], want)
            same(loaded[name], want)


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(st.one_of(hnp.boolean_dtypes(), hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(), hnp.floating_dtypes(sizes=(16, 32, 64))),
                  hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)), st.sampled_from(["C", "F", "stride"]), st.sampled_from([None, 1, 2, 3]))
def test_npy_files_of_numpy(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, order: str, version: int | None) -> None:
    if order == "F":
        array = np.asfortranarray(array)
    elif array.ndim:
        array = array[..., ::-1]
    path = tmp_path_factory.mktemp("r") / "a.npy"
    with open(path, "wb") as stream:
        np.lib.format.write_array(stream, array, version=(version, 0) if version else None, allow_pickle=False)
    try:
        found = read_value(str(path))
    except UserError as err:
        assert array.dtype.kind == "u"
        assert array.dtype.itemsize == 8
        assert err.diagnostics[0].code == "wrong-dtype"
        assert array.max() > 2**63 - 1
        return
    assert found.dtype in DTYPES.values()
    assert found.shape == array.shape
    assert np.array_equal(found, array, equal_nan=array.dtype.kind == "f")


@settings(max_examples=40, deadline=None)
@given(named)
def test_theirs_to_ours(tmp_path_factory: pytest.TempPathFactory, values: dict[str, np.ndarray]) -> None:
    from safetensors.numpy import save_file

    folder = tmp_path_factory.mktemp("r")
    save_file({name: np.ascontiguousarray(value) for name, value in values.items()}, folder / "a.safetensors", {"k": "v"})
    np.savez_compressed(folder / "a.npz", **{f"a_{name}": value for name, value in values.items()})
    mine, archive = load_params(folder / "a.safetensors"), read_inputs(folder / "a.npz")
    for name, want in values.items():
        same(mine[name], np.ascontiguousarray(want))
        same(archive[f"a_{name}"], want)
    assert load_meta(folder / "a.safetensors") == {"k": "v"}


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(1, 5), st.sampled_from(list(DTYPES)))
def test_tables_round_trip(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, rows: int, name: str) -> None:
    folder = tmp_path_factory.mktemp("r")
    column = data.draw(hnp.arrays(DTYPES[name], (rows,)))
    table = data.draw(hnp.arrays(DTYPES[name], (rows, 3)))
    write_outputs(folder / "t.csv", {"a b": column, "t": table, 'odd "name",': column})
    same(read_value("t.csv:a b", base=folder, dtype=name), column)
    same(read_value('t.csv:odd "name",', base=folder, dtype=name), column)
    for k in range(3):
        same(read_value(f"t.csv:t[{k}]", base=folder, dtype=name), np.ascontiguousarray(table[:, k]))
    write_outputs(folder / "u.csv", {"t": table})
    same(read_value("u.csv", base=folder, dtype=name, shape=(rows, 3)), table)


def test_json_is_json(tmp_path: Path) -> None:
    values = {"a": np.float32([[0.1, np.nan], [np.inf, -np.inf]]), "b": np.int64(2**60 + 1), "c": np.zeros((2, 0), bool), "d": np.float64(-0.0),
              "e": np.arange(24).reshape(2, 3, 4), "f": np.zeros((0, 3), np.uint8)}
    write_outputs(tmp_path / "r.json", values)

    def no_constants(text: str) -> float:
        raise AssertionError(text)

    found = json.loads((tmp_path / "r.json").read_text(), parse_constant=no_constants)
    assert found == json_outputs(values)
    assert found["outputs"]["a"] == {"dtype": "f32", "shape": [2, 2], "value": [[0.1, "nan"], ["inf", "-inf"]]}
    assert found["outputs"]["b"]["value"] == 2**60 + 1
    assert found["outputs"]["c"]["value"] == [[], []]
    assert str(found["outputs"]["d"]["value"]) == "-0.0"
    assert found["outputs"]["e"]["value"] == values["e"].tolist()
    assert found["outputs"]["f"] == {"dtype": "u8", "shape": [0, 3], "value": []}


def test_params(tmp_path: Path) -> None:
    values = {"p.w": np.ones((2, 3), np.float32), "p.b": np.arange(3)}
    save_params(tmp_path / "w.safetensors", values, {"epoch": "3"})
    found = load_params(tmp_path / "w.safetensors")
    assert load_meta(tmp_path / "w.safetensors") == {"epoch": "3"}
    for name, want in values.items():
        same(found[name], want)
    assert match_params({"p.w": ("f64", (2, None))}, found, "w")["p.w"].dtype == np.float64
    assert "p.b" in (refused("missing-key", lambda: match_params({"p.bb": ("i64", (3,))}, found, "w")).help or "")
    refused("wrong-shape", lambda: match_params({"p.w": ("f64", (3, 2))}, found, "w"))


def test_bfloat16(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}).encode()
    (tmp_path / "b.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<3H", 0x3F80, 0xC000, 0x7F80))
    same(read_value("b.safetensors", base=tmp_path), np.array([1, -2, np.inf], np.float32))


@settings(max_examples=25, deadline=None)
@given(hnp.arrays(np.uint8, st.one_of(st.tuples(st.integers(5, 9), st.integers(5, 9)), st.tuples(st.integers(5, 9), st.integers(5, 9), st.just(3)))))
def test_png_round_trip(tmp_path_factory: pytest.TempPathFactory, picture: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("r") / "p.png"
    assert "u8" in write_image(path, picture)
    same(read_value(str(path)), picture)
    write_image(path, picture / 255)
    same(read_value(str(path), dtype="f32"), picture.astype(np.float32))
    if picture.ndim == 3:
        assert "[3, h, w]" in write_image(path, picture.transpose(2, 0, 1))
        same(read_value(str(path)), picture)


def test_cifar_samples() -> None:
    images = read_value("cifar_format.bin", base=SAMPLES, dtype="u8", shape=(None, 32, 32, 3))
    labels = read_value("cifar_format.bin:labels", base=SAMPLES, shape=(96,))
    assert images.shape == (96, 32, 32, 3)
    assert labels.dtype == np.int64
    assert set(labels) == {0, 1, 2, 3}
    raw = np.fromfile(SAMPLES / "cifar_format.bin", np.uint8).reshape(-1, 3073)
    np.testing.assert_array_equal(images[5, 2, 7], raw[5, 1:].reshape(3, 32, 32)[:, 2, 7])
    np.testing.assert_array_equal(labels, raw[:, 0])
    same(read_value("cifar_format.bin:images", base=SAMPLES), images)
    same(read_value("cifar_format_batch", base=SAMPLES), images)
    same(read_value("cifar_format_batch:images", base=SAMPLES), images)
    same(read_value("cifar_format_batch:labels", base=SAMPLES), labels)
    for dtype in ("u8", "i32", "f32"):
        same(read_value("cifar_format_batch:labels", base=SAMPLES, dtype=dtype), labels.astype(DTYPES[dtype]))
    assert "labels" in (refused("missing-key", lambda: read_value("cifar_format.bin:label", base=SAMPLES)).help or "")
    refused("missing-key", lambda: read_value("cifar_format_batch:coarse_labels", base=SAMPLES))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("form", ["bytes-keys", "text-keys", "array-labels", "fortran", "hundred"])
def test_cifar_pickles_of_every_protocol(tmp_path: Path, protocol: int, form: str) -> None:
    rng = np.random.default_rng(protocol)
    rows, labels = rng.integers(0, 256, (4, 3072), np.uint8), [3, 0, 9, 1]
    batch: dict[object, object] = {b"batch_label": b"x", b"filenames": [b"a.png"] * 4, b"data": rows, b"labels": labels}
    if form == "text-keys":
        batch = {key.decode(): value for key, value in batch.items()}  # type: ignore[attr-defined]
    elif form == "array-labels":
        batch[b"labels"] = np.array(labels, ">i4" if protocol > 2 else "<i8")
    elif form == "fortran":
        batch[b"data"] = np.asfortranarray(rows)
    elif form == "hundred":
        batch[b"fine_labels"], batch[b"coarse_labels"] = batch.pop(b"labels"), [1, 1, 0, 2]
    (tmp_path / "batch").write_bytes(pickle.dumps(batch, protocol))
    found = read_value("batch", base=tmp_path)
    np.testing.assert_array_equal(found, rows.reshape(4, 3, 32, 32).transpose(0, 2, 3, 1))
    assert read_value("batch:labels", base=tmp_path).tolist() == labels
    if form == "hundred":
        assert read_value("batch:coarse_labels", base=tmp_path).tolist() == [1, 1, 0, 2]
        raw = np.concatenate([np.array([[1, 3], [1, 0], [0, 9], [2, 1]], np.uint8), rows], axis=1)
        (tmp_path / "c.bin").write_bytes(raw.tobytes())
        np.testing.assert_array_equal(read_value("c.bin", base=tmp_path), found)
        assert read_value("c.bin:labels", base=tmp_path).tolist() == labels
        assert read_value("c.bin:coarse_labels", base=tmp_path).tolist() == [1, 1, 0, 2]


# -- names, keys and places ----------------------------------------------------------------------------------------------------------------


def test_keys_and_colons(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{"x": np.arange(3.0), "y:z": np.ones(2)})
    (tmp_path / "b:c.npz").write_bytes((tmp_path / "a.npz").read_bytes())
    same(read_value("a.npz:y:z", base=tmp_path), np.ones(2))
    same(read_value("b:c.npz:x", base=tmp_path), np.arange(3.0))
    same(read_value("a.npz", base=tmp_path, name="x"), np.arange(3.0))
    assert "`x`" in (refused("missing-key", lambda: read_value("a.npz", base=tmp_path)).help or "")
    assert "y:z" in (refused("missing-key", lambda: read_value("a.npz:y:zz", base=tmp_path)).help or "")
    np.save(tmp_path / "s.npy", np.ones(1))
    refused("missing-key", lambda: read_value("s.npy:k", base=tmp_path))
    refused("missing-key", lambda: read_value("a.npz:", base=tmp_path))
    refused("unknown-format", lambda: read_inputs(tmp_path / "s.npy"))
    (tmp_path / "t.txt").write_text("1 2 3")
    refused("unknown-format", lambda: read_value("t.txt", base=tmp_path))
    (tmp_path / "e.npz").write_bytes(b"PK\x05\x06" + bytes(18))
    refused("missing-key", lambda: read_value("e.npz", base=tmp_path))
    assert read_inputs(tmp_path / "e.npz") == {}


def test_inputs_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3, dtype=np.uint8), other=np.ones(2))
    found = read_inputs(tmp_path / "a.npz", wanted={"x": ("f32", (None,)), "y": ("f64", None)})
    assert found["x"].dtype == np.float32
    assert set(found) == {"x", "other"}
    diagnostic = refused("wrong-dtype", lambda: read_inputs(tmp_path / "a.npz", wanted={"x": ("bool", None)}))
    assert "`x`" in diagnostic.message
    assert "u8" in diagnostic.message


def test_places_that_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder.npy").mkdir()
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "zero.npy").symlink_to("/dev/zero")
    (tmp_path / "loop.npy").symlink_to("loop.npy")
    (tmp_path / "empty.npy").write_bytes(b"")
    for name in ("folder", "pipe", "zero", "loop"):
        refused("cannot-read", lambda name=name: read_value(f"{name}.npy", base=tmp_path))
    refused("bad-file", lambda: read_value("empty.npy", base=tmp_path))
    refused(("cannot-read", "no-such-file"), lambda: read_value("a\0b.npy", base=tmp_path))
    refused("cannot-read", lambda: read_value("x" * 5000 + ".npy", base=tmp_path))
    np.save(tmp_path / "a.npy", np.ones(3))
    refused("cannot-read", lambda: read_value("a.npy/b.npy", base=tmp_path))

    def denied(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    assert "permission" in refused("cannot-read", lambda: read_value("a.npy", base=tmp_path)).message


def test_confined(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "out.npy", np.ones(3))
    np.save(tmp_path / "in" / "a.npy", np.ones(3))
    (tmp_path / "in" / "link.npy").symlink_to(tmp_path / "out.npy")
    same(read_file("a.npy", base=tmp_path / "in", confined=True), np.ones(3))
    for name in ("../out.npy", "link.npy", str(tmp_path / "out.npy"), "/etc/passwd", "../in2/x.npy"):
        refused("outside-folder", lambda name=name: read_file(name, base=tmp_path / "in", confined=True))


# -- hostile bytes -------------------------------------------------------------------------------------------------------------------------


def npy(header: str, data: bytes = b"", version: int = 1) -> bytes:
    text = header.encode("latin1")
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2 if version == 1 else 4, "little") + text + data


def head(descr: str = "'<f8'", order: str = "False", shape: str = "(2,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


@pytest.mark.parametrize(("data", "code"), [
    (b"", "bad-file"), (b"\x93NUM", "bad-file"), (b"\x93NUMPY", "bad-file"), (b"\x93NUMPY\x01\x00", "bad-file"), (b"hello, world", "bad-file"),
    (b"\x89PNG\r\n\x1a\n", "bad-file"), (npy(head(), bytes(8)), "bad-file"), (npy(head(), bytes(24)), "bad-file"),
    (npy(head(shape="(1000000000000,)")), "too-large"), (npy(head(shape="(2305843009213693952, 4)")), "bad-file"),
    (npy(head(shape="(0, 9999999999999999999)")), "bad-file"), (npy(head(shape="(-1,)")), "bad-file"), (npy(head(shape="(" + "1," * 65 + ")"), bytes(8)), "bad-file"),
    (npy(head(shape="2")), "bad-file"), (npy(head(shape="(__import__('os'),)")), "bad-file"), (npy(head("'|O'")), "wrong-dtype"),
    (npy(head("'<U4'")), "wrong-dtype"), (npy(head("'<c16'")), "wrong-dtype"), (npy(head("'<M8[s]'")), "wrong-dtype"),
    (npy(head("[('a', '<f4')]")), "wrong-dtype"), (npy(head("'f4,f4'")), "bad-file"), (npy(head("'<f3'")), "bad-file"), (npy(head("'<f16'")), "wrong-dtype"),
    (npy(head("'|V8'")), "wrong-dtype"), (npy(head("'|b1'"), b"\x01\x02"), "bad-file"), (npy("{" * 9000), "bad-file"), (npy("((((" * 9000), "bad-file"),
    (npy(head()[:-3]), "bad-file"), (npy(head().replace("}", "'shape': (3,)}")), "bad-file"), (npy(head(order="1")), "bad-file"),
    (npy(head(), version=9), "bad-file"), (npy(head(), bytes(16), 2)[:12] + b"\xff\xff\xff\xff", "bad-file"), (npy("", b""), "bad-file"),
    (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + bytes(100), "bad-file"), (b"\x93NUMPY\x03\x00\x04\x00\x00\x00\xff\xff\xff\xff", "bad-file"),
])
def test_hostile_npy(tmp_path: Path, data: bytes, code: str) -> None:
    (tmp_path / "a.npy").write_bytes(data)
    tracemalloc.start()
    refused(code, lambda: read_value("a.npy", base=tmp_path))
    refused(code if data[:6] == b"\x93NUMPY" else ("bad-literal", "bad-file"), lambda: read_value("-", stdin=data))
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_headers_that_are_fine(tmp_path: Path) -> None:
    for header in ("{'shape': (2L,), 'descr': '<f8', 'fortran_order': False}", '{"descr": "<f8", "fortran_order": False, "shape": (2,)}'):
        (tmp_path / "a.npy").write_bytes(npy(header, np.arange(2.0).tobytes()))
        same(read_value("a.npy", base=tmp_path), np.arange(2.0))


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


def one(value: object = 1.0) -> bytes:
    out = io.BytesIO()
    np.save(out, np.array(value))
    return out.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("data", "code"), [
    (b"", "bad-file"), (b"PK\x03\x04", "bad-file"), (zipped(("a.npy", one()))[:-10], "bad-file"), (zipped(("a.npy", one()))[:40], "bad-file"),
    (zipped(("a.npy", one()), ("a.npy", one())), "duplicate-key"), (zipped(("a.npy", one()), ("a", one())), "duplicate-key"),
    (zipped(("a.txt", b"hello")), "bad-file"), (zipped(("a.npy", b"hello")), "bad-file"), (zipped(("a.npy", one() + b"\0")), "bad-file"),
    (zipped(("a.npy", npy(head(shape="(100000000000,)")))), "too-large"), (zipped(("a.npy", npy(head("'|O'")))), "wrong-dtype"),
    (zipped(("a.npy", one([1.0] * 99))).replace(np.float64(1).tobytes(), np.float64(2).tobytes(), 1), "bad-file"), (b"\x93NUMPY", "bad-file"),
    (zipped(("a.npy", one()), method=zipfile.ZIP_BZIP2), "bad-file"), (b"hello", "bad-file"),
])
def test_hostile_npz(tmp_path: Path, data: bytes, code: str) -> None:
    (tmp_path / "a.npz").write_bytes(data)
    refused(code, lambda: read_value("a.npz", base=tmp_path))
    refused(code, lambda: read_inputs(tmp_path / "a.npz"))


def test_a_zip_bomb_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFG_MAX_BYTES", "8MiB")
    size = 64 << 20
    data = zipped(("a.npy", npy(head("'|u1'", shape=f"({size},)"), bytes(size))), ("b.npy", one()), method=zipfile.ZIP_DEFLATED)
    assert len(data) < 1 << 17
    (tmp_path / "a.npz").write_bytes(data)
    # the same with a directory that lies about the unpacked size
    at = data.index(b"PK\x01\x02")
    lie = data[: at + 24] + struct.pack("<I", 1 << 20) + data[at + 28 :]
    (tmp_path / "lie.npz").write_bytes(lie)
    tracemalloc.start()
    refused("too-large", lambda: read_value("a.npz:a", base=tmp_path))
    refused("too-large", lambda: read_inputs(tmp_path / "a.npz"))
    refused(("too-large", "bad-file"), lambda: read_value("lie.npz:a", base=tmp_path))
    assert read_value("a.npz:b", base=tmp_path) == 1
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def tensors(header: object, data: bytes = bytes(16)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype: object = "F32", shape: object = (4,), place: object = (0, 16)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": place}


@pytest.mark.parametrize(("data", "code"), [
    (b"", "bad-file"), (bytes(8), "bad-file"), (struct.pack("<Q", 1 << 60) + b"{}", "bad-file"), (tensors(b"[" * 100_000), "bad-file"), (tensors([]), "bad-file"),
    (tensors({"a": 1}), "bad-file"), (tensors({"a": entry(place=(0, 15))}), "bad-file"), (tensors({"a": entry(place=(16, 0))}), "bad-file"),
    (tensors({"a": entry(place=(-16, 0))}), "bad-file"), (tensors({"a": entry(place=(1, 17))}), "bad-file"), (tensors({"a": entry(shape=(-4,))}), "bad-file"),
    (tensors({"a": entry(shape=(10**30,))}), "bad-file"), (tensors({"a": entry(shape=(True, 4))}), "bad-file"), (tensors({"a": entry("C64")}), "wrong-dtype"),
    (tensors({"a": entry(shape=(10**12,), place=(0, 4 * 10**12))}), "too-large"), (tensors({"a": entry("F9")}), "wrong-dtype"),
    (tensors({"a": entry(), "b": entry()}), "bad-file"), (tensors(b'{"a": 1, "a": 2}'), "duplicate-key"), (tensors({"a": entry()}, bytes(15)), "bad-file"),
    (tensors({"a": entry("BOOL", (16,))}, b"\x02" * 16), "bad-file"), (tensors(b"\xff\xfe"), "bad-file"), (tensors(b"9" * 100_000), "bad-file"),
    (tensors({"a": entry(None)}), "bad-file"), (tensors({"a": entry(shape=None)}), "bad-file"),
])
def test_hostile_safetensors(tmp_path: Path, data: bytes, code: str) -> None:
    (tmp_path / "a.safetensors").write_bytes(data)
    refused(code, lambda: load_params(tmp_path / "a.safetensors"))
    refused(code, lambda: read_value("a.safetensors:a", base=tmp_path))


def test_every_cut_and_many_flips_are_refused_or_read(tmp_path: Path) -> None:
    """Damage anywhere gives an array or one diagnostic, never another exception."""
    write_image(tmp_path / "a.png", np.arange(75, dtype=np.uint8).reshape(5, 5, 3))
    write_image(tmp_path / "a.jpg", np.arange(75, dtype=np.uint8).reshape(5, 5, 3))
    values = {"a": np.arange(4.0), "b": np.ones((2, 2), bool)}
    write_outputs(tmp_path / "a.npz", values)
    write_outputs(tmp_path / "a.safetensors", values)
    np.savez_compressed(tmp_path / "c.npz", a=np.arange(40))
    np.save(tmp_path / "a.npy", np.arange(4.0))
    write_outputs(tmp_path / "a.csv", {"a": np.arange(3.0), "b": np.arange(3)})
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({b"data": np.zeros((1, 3072), np.uint8)[:, ::-1], b"labels": [1]}, 2))
    rng = random.Random(7)
    for path in sorted(tmp_path.glob("*.*")):
        data = path.read_bytes()
        bad = tmp_path / f"bad{path.suffix}"
        step = max(1, len(data) // 60)
        cuts = [data[:k] for k in range(0, len(data), step)]
        flips = []
        for _ in range(120):
            at = rng.randrange(min(len(data), 2500))
            flips.append(data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :])
        outcomes = set()
        for changed in cuts + flips:
            bad.write_bytes(changed)
            try:
                read_value(str(bad), name="a")
                outcomes.add("read")
            except UserError as err:
                assert len(err.diagnostics) == 1
                assert err.diagnostics[0].code in CODES
                outcomes.add("refused")
        assert "refused" in outcomes, path
        bad.unlink()


class _Run:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("touch EXECUTED",))


class _Eval:
    def __reduce__(self) -> tuple[object, ...]:
        return (eval, ("open('EXECUTED', 'w')",))


def put(*ops: bytes) -> bytes:
    return b"\x80\x02" + b"".join(ops) + b"."


NESTED = b"]q\x00" + b"".join(b"(" + b"h%c" % (k % 256) * 2 + b"tq%c" % ((k + 1) % 256) for k in range(200))

PICKLES = {
    "system": pickle.dumps({b"data": _Run()}, 2), "eval": pickle.dumps(_Eval(), 5), "eval-inside": pickle.dumps({b"data": np.zeros((1, 3072), "u1"), b"labels": [_Eval()]}, 4),
    "inst": b"\x80\x02(S'touch EXECUTED'\nios\nsystem\n.", "obj": put(b"(cos\nsystem\nX\x04\0\0\0echoo"), "newobj": put(b"cnumpy\nndarray\n)\x81"),
    "memo-bomb": b"\x80\x02Nr\xff\xff\xff\xff.", "long-binput": b"\x80\x02]r\x00\x00\x00\x7f.", "dup": put(b"]" + b"2" * 1000), "ext": put(b"\x82\x01"), "persid": put(b"Pabc\n"),
    "big-int": put(b"\x8b" + struct.pack("<i", 1 << 20) + b"\x7f" * (1 << 20)), "big-int-lie": put(b"\x8b\xff\xff\xff\x7f"), "text-int": put(b"I" + b"9" * 100_000 + b"\n"),
    "string-lie": put(b"T\xff\xff\xff\x7f"), "bytes8-lie": b"\x80\x04\x8e" + b"\xff" * 8 + b".", "frame-lie": b"\x80\x04\x95" + b"\xff" * 8 + b".",
    "nested-key": put(b"}" + b"(" + NESTED + b"Nu"), "nested": put(NESTED), "deep-list": put(b"]" * 10_000 + b"a" * 9_999), "deep-tuple": put(b")" + b"\x85" * 10_000),
    "recursive": pickle.dumps((lambda d: d.update(data=d) or d)({}), 2), "no-stop": b"\x80\x02}", "empty": b"\x80\x02", "stack": put(b"a"), "marks": put(b"(" * 1000), "unmarked": put(b"u"),
    "scalar": pickle.dumps(1, 2), "list": pickle.dumps([1], 2), "no-data": pickle.dumps({b"labels": [1]}, 2), "data-text": pickle.dumps({b"data": b"abc", b"labels": []}, 2),
    "object-array": pickle.dumps({b"data": np.array([None]), b"labels": []}, 2), "wide": pickle.dumps({b"data": np.zeros((2, 3071), "u1"), b"labels": [1, 2]}, 2),
    "floats": pickle.dumps({b"data": np.zeros((2, 3072)), b"labels": [1, 2]}, 2), "labels": pickle.dumps({b"data": np.zeros((2, 3072), "u1"), b"labels": [1]}, 2),
    "label-kind": pickle.dumps({b"data": np.zeros((1, 3072), "u1"), b"labels": [1.5]}, 2), "label-size": pickle.dumps({b"data": np.zeros((1, 3072), "u1"), b"labels": [2**70]}, 2),
    "twice": put(b"}(X\x01\0\0\0aNX\x01\0\0\0aNu"), "int-key": pickle.dumps({1: 2}, 2), "set": pickle.dumps({1, 2}, 4), "protocol-0": pickle.dumps({}, 0), "array": pickle.dumps(np.zeros(3), 2),
    "memo-missing": put(b"hA"), "global": put(b"cnumpy\nload\n"), "global-sub": put(b"cnumpy.os\nsystem\n"), "stack-global": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "stack-global-kind": b"\x80\x04NN\x93.", "reduce-data": put(b"NNR"), "build-data": put(b"}}b"), "bad-utf8": put(b"X\x01\0\0\0\xff"), "unknown-op": put(b"\xfe"),
}


@pytest.mark.parametrize("name", PICKLES)
def test_hostile_pickles(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("batch").write_bytes(PICKLES[name])
    tracemalloc.start()
    for text in ("./batch", "./batch:labels"):
        refused(("bad-file", "unsafe-file", "duplicate-key", "missing-key", "unknown-format"), lambda text=text: read_value(text))
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()
    assert not Path("EXECUTED").exists()


def test_a_pickle_cannot_unpack_to_more_than_itself(tmp_path: Path) -> None:
    """Encoding one long text a thousand times would make a gigabyte of a megabyte."""
    text = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20) + b"q\x00"
    encode = b"c_codecs\nencode\nq\x01X\x06\0\0\0latin1q\x02"
    (tmp_path / "batch").write_bytes(put(b"]", text, encode, b"h\x01h\x00h\x02\x86R" * 1000))
    tracemalloc.start()
    refused("too-large", lambda: read_value("batch", base=tmp_path))
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def png(width: int, height: int, kind: int = 2, depth: int = 8, data: bytes = b"") -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))


@pytest.mark.parametrize(("data", "code"), [
    (b"", "bad-file"), (b"hello", "bad-file"), (png(2**31 - 1, 2**31 - 1), "too-large"), (png(100_000, 100_000), "too-large"), (png(0, 5), "bad-file"),
    (png(5, 5), "bad-file"), (png(5, 5)[:40], "bad-file"), (one(), "bad-file"), (png(1, 1, depth=16, data=bytes(7)), "bad-file"),
    (png(1, 1, 6, data=b"\0\1\2\3\4"), "bad-file"), (b"\xff\xd8\xff\xe0" + bytes(30), "bad-file"), (b"GIF89a" + bytes(30), "bad-file"),
])
def test_hostile_images(tmp_path: Path, data: bytes, code: str) -> None:
    (tmp_path / "a.png").write_bytes(data)
    refused(code, lambda: read_value("a.png", base=tmp_path))


def test_image_modes(tmp_path: Path) -> None:
    from PIL import Image

    rgb = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    grey = rgb[..., 0].copy()
    for mode, want in (("RGBA", rgb), ("P", None), ("LA", grey), ("1", None)):
        Image.fromarray(rgb if mode in ("RGBA", "P") else grey).convert(mode).save(tmp_path / "a.png")
        found = read_value("a.png", base=tmp_path)
        assert found.dtype == np.uint8
        if want is not None:
            np.testing.assert_array_equal(found, want)
    deep = np.arange(16, dtype=np.uint16).reshape(4, 4) * 4000
    Image.fromarray(deep).save(tmp_path / "a.png")
    same(read_value("a.png", base=tmp_path), deep.astype(np.int32))
    Image.new("CMYK", (3, 3)).save(tmp_path / "a.jpg")
    refused("bad-file", lambda: read_value("a.jpg", base=tmp_path))
    write_image(tmp_path / "b.jpg", np.full((8, 8, 3), 0.5, np.float32))
    assert np.abs(read_value("b.jpg", base=tmp_path).astype(int) - 128).max() <= 2


def test_what_is_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for array in (np.full((4, 4), 1.01), np.full((4, 4), -0.01), np.full((4, 4), np.nan), np.zeros((4, 4), np.int64), np.zeros((4, 4, 2)), np.zeros(4),
                  np.zeros((0, 4)), np.zeros((1, 4, 4, 3)), np.zeros((2, 2), complex)):
        assert refused("bad-image", lambda array=array: write_image(path, array)).message
        assert not path.exists()
    refused("bad-image", lambda: write_image(tmp_path / "a.jpg", np.zeros((4, 4, 4))))
    refused("unknown-format", lambda: write_image(tmp_path / "a.gif", np.zeros((4, 4))))
    assert "false black" in write_image(path, np.eye(4, dtype=bool))
    np.testing.assert_array_equal(read_value(str(path)), np.eye(4) * 255)
    assert "[h, w, 4]" in write_image(path, np.ones((4, 4, 4)))


def test_pillow_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    write_image(tmp_path / "a.png", np.zeros((4, 4)))
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "dfg[images]" in (refused("missing-extra", lambda: read_value("a.png", base=tmp_path)).help or "")


@pytest.mark.parametrize("size", [1, 3072, 3073 * 2 + 1, 3074 * 3 - 1])
def test_binary_batches_of_a_wrong_size(tmp_path: Path, size: int) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(size))
    refused("bad-file", lambda: read_value("a.bin", base=tmp_path))


# -- tables --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "column", "dtype", "want"), [
    ("a,b\n1,2\n3,4\n", None, None, np.array([[1, 2], [3, 4]])), ("a,b\r\n1,2.5\r\n3,4", "b", None, np.array([2.5, 4])), ("1,2\n3,4", None, "f32", np.float32([[1, 2], [3, 4]])),
    ("a,b\n1,x\n3,y\n", "a", None, np.array([1, 3])), ("\ufeffa\n1\n", "a", None, np.array([1])), ('a,"b\nc"\n1,2\n', "b\nc", None, np.array([2])),
    ("a\n", "a", None, np.zeros(0)), ("a,b\n\n\n", None, "i32", np.zeros((0, 2), np.int32)), ("a\ntrue\nFalse\n", "a", None, np.array([True, False])),
    ("1,2\n3,4", "1", None, np.array([2, 4])), ("a,b\rx,1\ry,inf", "b", None, np.array([1, np.inf])), ("a\nnan\n-inf\n1e3", "a", "f64", np.array([np.nan, -np.inf, 1000])),
    (" a , b \n 1 , 2 \n", "b", None, np.array([2])), ('a\n"1"\n"2"\n', "a", None, np.array([1, 2])), ("5", None, None, np.array([[5]])), ("a\n1\n\n\n", "a", "u8", np.uint8([1])),
])
def test_tables(text: str, column: str | None, dtype: str | None, want: np.ndarray) -> None:
    same(read_table(text.encode(), "t.csv", column, dtype), want)


@pytest.mark.parametrize(("text", "column", "dtype", "code", "place"), [
    ("", None, None, "bad-table", ""), ("\n\n", None, None, "bad-table", ""), ("\n1,2\n", None, None, "bad-table", "t.csv:1"), ("a,b\n1,2\n3\n", None, None, "bad-table", "t.csv:3"),
    ("a,b\n1,2\n3,4,5\n", "a", None, "bad-table", "t.csv:3"), ("a,b\n1,2\n3,\n", None, None, "bad-table", "t.csv:3, cell 2"), ("a,b\n1,2\n3,four\n", "b", None, "bad-table", "t.csv:3, cell 2"),
    ("a\n1\n\n2\n", "a", None, "bad-table", "t.csv:3"), ("a,b\n1,2\n\n3,4\n", "a", None, "bad-table", "t.csv:3"), ("a;b\n1;2\n", "a", None, "bad-table", "t.csv:1, cell 1"),
    ("a,b\n1,2\n", "c", None, "missing-key", "`c`"), ("1,2\n", "2", None, "missing-key", "`2`"), ("a,a\n1,2\n", "a", None, "duplicate-key", "`a`"),
    ("a\n1.5\n", "a", "i64", "does-not-fit", "t.csv:2, cell 1"), ("a,b\n1,2\n1,300\n", "b", "u8", "does-not-fit", "t.csv:3, cell 2"), ("a\n1e400\n", "a", None, "does-not-fit", "t.csv:2"),
    ("a\n1e39\n", "a", "f32", "does-not-fit", "t.csv:2"), ("a\n1\n", "a", "bool", "does-not-fit", "t.csv:2"), ("a\n1_000\n", "a", None, "bad-table", "t.csv:2"),
    ("a\n0x10\n", "a", None, "bad-table", "t.csv:2"), ('a\n"1\n2\n', "a", None, "bad-table", "t.csv:2"), ("1,x\n2,3\n", None, None, "bad-table", "t.csv:1, cell 2"), ("1,,3\n", None, None, "bad-table", "cell 2"),
    ('a,b\n"x\ny",1\nz,w\n', "b", None, "bad-table", "t.csv:4, cell 2"), ("a\n1\0\n", "a", None, "bad-table", "t.csv:2"), ("a\n" + "9" * 5000 + "\n", "a", None, "bad-table", "t.csv:2"),
    ("a\n١\n", "a", None, "bad-table", "t.csv:2"), ("a\n9223372036854775808\n", "a", "i64", "does-not-fit", "t.csv:2"),
])
def test_bad_tables(text: str, column: str | None, dtype: str | None, code: str, place: str) -> None:
    diagnostic = refused(code, lambda: read_table(text.encode(), "t.csv", column, dtype))
    assert place in diagnostic.message


def test_a_bad_cell_is_shown_in_its_file() -> None:
    diagnostic = refused("bad-table", lambda: read_table(b"a,b\n1,2\n3,four\n", "t.csv", "b"))
    assert diagnostic.span is not None
    assert diagnostic.span.text == "four"
    assert diagnostic.span.source.position(diagnostic.span.start) == (3, 3)
    refused("bad-table", lambda: read_table(b"a,b\n1,\xff\n", "t.csv", "b"))
    assert "nan" in (refused("bad-table", lambda: read_table(b"a\n1\nNA\n", "t.csv", "a")).help or "")


cells = st.one_of(st.integers(-300, 300).map(str), st.floats().map(repr), st.floats(width=32).map(str), st.integers(-2**70, 2**70).map(str),
                  st.sampled_from(["", " ", "true", "nan", "Infinity", "1e400", "+5", " 7 ", "1.", ".5", "x", "1_0", '"3"', "16777217", "0x1", "--1", "1e", "\x0b1", "1\u00a0"]))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(cells, min_size=1, max_size=3), min_size=1, max_size=4), st.sampled_from([None, *DTYPES]), st.sampled_from([None, "a"]))
def test_the_fast_reader_agrees_with_the_slow_one(rows: list[list[str]], dtype: str | None, column: str | None) -> None:
    import dfg.data.csv as module

    data = ("a,b,c"[: 2 * len(rows[0]) - 1] + "\n" + "\n".join(map(",".join, rows))).encode()
    table = module._open_table(data, "t.csv")
    chosen = module._choose(table, column)
    fast = module._fast(table, chosen, dtype)
    if fast is not None:
        same(fast, module._slow(table, chosen, dtype))


def test_a_large_table_is_fast() -> None:
    import dfg.data.csv as module

    values = np.random.default_rng(0).normal(size=(20_000, 5))
    data = b"a,b,c,d,e\n" + "\n".join(",".join(map(repr, row)) for row in values.tolist()).encode()
    table = module._open_table(data, "t.csv")
    assert module._fast(table, None, "f64") is not None
    same(read_table(data, "t.csv", dtype="f64"), values)
    same(read_table(data, "t.csv", "c", "f32"), values[:, 2].astype(np.float32))
