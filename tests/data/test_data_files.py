"""Round trips of every format, and the names, keys and places of files."""

from __future__ import annotations

import json
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from data_checks import DTYPES, Arr, refused, same
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dfg.data import (
    json_outputs,
    load_meta,
    load_params,
    match_params,
    read_file,
    read_inputs,
    read_value,
    save_params,
    write_image,
    write_outputs,
)
from dfg.diagnostics import UserError

SAMPLES = Path(__file__).parents[2] / "examples" / "data"


arrays = hnp.arrays(st.sampled_from(list(DTYPES.values())), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
named = st.dictionaries(st.from_regex(r"[a-zA-Zθŷ_][\w.]{0,8}", fullmatch=True), arrays, min_size=1, max_size=4)


# -- round trips ---------------------------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(named)
def test_archives_round_trip(tmp_path_factory: pytest.TempPathFactory, values: dict[str, Arr]) -> None:
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
@given(
    hnp.arrays(
        st.one_of(hnp.boolean_dtypes(), hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(), hnp.floating_dtypes(sizes=(16, 32, 64))),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    st.sampled_from(["C", "F", "stride"]),
    st.sampled_from([None, 1, 2, 3]),
)
def test_npy_files_of_numpy(tmp_path_factory: pytest.TempPathFactory, array: Arr, order: str, version: int | None) -> None:
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
def test_theirs_to_ours(tmp_path_factory: pytest.TempPathFactory, values: dict[str, Arr]) -> None:
    from safetensors.numpy import save_file

    folder = tmp_path_factory.mktemp("r")
    save_file({name: np.ascontiguousarray(value) for name, value in values.items()}, folder / "a.safetensors", {"k": "v"})
    np.savez_compressed(folder / "a.npz", **{f"a_{name}": value for name, value in values.items()})  # type: ignore[arg-type]
    mine, archive = load_params(folder / "a.safetensors"), read_inputs(folder / "a.npz")
    for name, want in values.items():
        same(mine[name], np.ascontiguousarray(want))
        same(archive[f"a_{name}"], want)
    assert load_meta(folder / "a.safetensors") == {"k": "v"}


def test_json_is_json(tmp_path: Path) -> None:
    values: dict[str, Arr] = {
        "a": np.array([[0.1, np.nan], [np.inf, -np.inf]], np.float32),
        "b": np.array(2**60 + 1),
        "c": np.zeros((2, 0), bool),
        "d": np.array(-0.0),
        "e": np.arange(24).reshape(2, 3, 4),
        "f": np.zeros((0, 3), np.uint8),
    }
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
    values: dict[str, Arr] = {"p.w": np.ones((2, 3), np.float32), "p.b": np.arange(3)}
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
@given(
    hnp.arrays(
        np.uint8, st.one_of(st.tuples(st.integers(5, 9), st.integers(5, 9)), st.tuples(st.integers(5, 9), st.integers(5, 9), st.just(3)))
    )
)
def test_png_round_trip(tmp_path_factory: pytest.TempPathFactory, picture: Arr) -> None:
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
    np.savez(tmp_path / "a.npz", **{"x": np.arange(3.0), "y:z": np.ones(2)})  # type: ignore[arg-type]
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
    assert set(read_inputs("-", stdin=(tmp_path / "a.npz").read_bytes())) == {"x", "other"}
    refused("unknown-format", lambda: read_inputs("-", stdin="[1, 2]"))
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
