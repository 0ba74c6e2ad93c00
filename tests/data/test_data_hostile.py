"""Hostile bytes in every format: one diagnostic each, nothing executed, nothing large allocated."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from data_checks import refused, same

from dfg.data import (
    CODES,
    load_params,
    read_inputs,
    read_value,
    write_image,
    write_outputs,
)
from dfg.diagnostics import UserError

# -- hostile bytes -------------------------------------------------------------------------------------------------------------------------


def npy(header: str, data: bytes = b"", version: int = 1) -> bytes:
    text = header.encode("latin1")
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2 if version == 1 else 4, "little") + text + data


def head(descr: str = "'<f8'", order: str = "False", shape: str = "(2,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "bad-file"),
        (b"\x93NUM", "bad-file"),
        (b"\x93NUMPY", "bad-file"),
        (b"\x93NUMPY\x01\x00", "bad-file"),
        (b"hello, world", "bad-file"),
        (b"\x89PNG\r\n\x1a\n", "bad-file"),
        (npy(head(), bytes(8)), "bad-file"),
        (npy(head(), bytes(24)), "bad-file"),
        (npy(head(shape="(1000000000000,)")), "too-large"),
        (npy(head(shape="(2305843009213693952, 4)")), "bad-file"),
        (npy(head(shape="(0, 9999999999999999999)")), "bad-file"),
        (npy(head(shape="(-1,)")), "bad-file"),
        (npy(head(shape="(" + "1," * 65 + ")"), bytes(8)), "bad-file"),
        (npy(head(shape="2")), "bad-file"),
        (npy(head(shape="(__import__('os'),)")), "bad-file"),
        (npy(head("'|O'")), "wrong-dtype"),
        (npy(head("'<U4'")), "wrong-dtype"),
        (npy(head("'<c16'")), "wrong-dtype"),
        (npy(head("'<M8[s]'")), "wrong-dtype"),
        (npy(head("[('a', '<f4')]")), "wrong-dtype"),
        (npy(head("'f4,f4'")), "bad-file"),
        (npy(head("'<f3'")), "bad-file"),
        (npy(head("'<f16'")), "wrong-dtype"),
        (npy(head("'|V8'")), "wrong-dtype"),
        (npy(head("'|b1'"), b"\x01\x02"), "bad-file"),
        (npy("{" * 9000), "bad-file"),
        (npy("((((" * 9000), "bad-file"),
        (npy(head()[:-3]), "bad-file"),
        (npy(head().replace("}", "'shape': (3,)}")), "bad-file"),
        (npy(head(order="1")), "bad-file"),
        (npy(head(), version=9), "bad-file"),
        (npy(head(), bytes(16), 2)[:12] + b"\xff\xff\xff\xff", "bad-file"),
        (npy("", b""), "bad-file"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + bytes(100), "bad-file"),
        (b"\x93NUMPY\x03\x00\x04\x00\x00\x00\xff\xff\xff\xff", "bad-file"),
    ],
)
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
    with zipfile.ZipFile(out, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a duplicate name, which is the point
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


def one(value: object = 1.0) -> bytes:
    out = io.BytesIO()
    np.save(out, np.array(value))
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "bad-file"),
        (b"PK\x03\x04", "bad-file"),
        (zipped(("a.npy", one()))[:-10], "bad-file"),
        (zipped(("a.npy", one()))[:40], "bad-file"),
        (zipped(("a.npy", one()), ("a.npy", one())), "duplicate-key"),
        (zipped(("a.npy", one()), ("a", one())), "duplicate-key"),
        (zipped(("a.txt", b"hello")), "bad-file"),
        (zipped(("a.npy", b"hello")), "bad-file"),
        (zipped(("a.npy", one() + b"\0")), "bad-file"),
        (zipped(("a.npy", npy(head(shape="(100000000000,)")))), "too-large"),
        (zipped(("a.npy", npy(head("'|O'")))), "wrong-dtype"),
        (zipped(("a.npy", one([1.0] * 99))).replace(np.float64(1).tobytes(), np.float64(2).tobytes(), 1), "bad-file"),
        (b"\x93NUMPY", "bad-file"),
        (zipped(("a.npy", one()), method=zipfile.ZIP_BZIP2), "bad-file"),
        (b"hello", "bad-file"),
    ],
    # A zip carries the time, so the bytes make no name for a test.
    ids=lambda x: x if isinstance(x, str) else "data",
)
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


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "bad-file"),
        (bytes(8), "bad-file"),
        (struct.pack("<Q", 1 << 60) + b"{}", "bad-file"),
        (tensors(b"[" * 100_000), "bad-file"),
        (tensors([]), "bad-file"),
        (tensors({"a": 1}), "bad-file"),
        (tensors({"a": entry(place=(0, 15))}), "bad-file"),
        (tensors({"a": entry(place=(16, 0))}), "bad-file"),
        (tensors({"a": entry(place=(-16, 0))}), "bad-file"),
        (tensors({"a": entry(place=(1, 17))}), "bad-file"),
        (tensors({"a": entry(shape=(-4,))}), "bad-file"),
        (tensors({"a": entry(shape=(10**30,))}), "bad-file"),
        (tensors({"a": entry(shape=(True, 4))}), "bad-file"),
        (tensors({"a": entry("C64")}), "wrong-dtype"),
        (tensors({"a": entry(shape=(10**12,), place=(0, 4 * 10**12))}), "too-large"),
        (tensors({"a": entry("F9")}), "wrong-dtype"),
        (tensors({"a": entry(), "b": entry()}), "bad-file"),
        (tensors(b'{"a": 1, "a": 2}'), "duplicate-key"),
        (tensors({"a": entry()}, bytes(15)), "bad-file"),
        (tensors({"a": entry("BOOL", (16,))}, b"\x02" * 16), "bad-file"),
        (tensors(b"\xff\xfe"), "bad-file"),
        (tensors(b"9" * 100_000), "bad-file"),
        (tensors({"a": entry(None)}), "bad-file"),
        (tensors({"a": entry(shape=None)}), "bad-file"),
    ],
)
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
        for _ in range(80):
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

RECURSIVE: dict[str, object] = {}
RECURSIVE["data"] = RECURSIVE

PICKLES = {
    "system": pickle.dumps({b"data": _Run()}, 2),
    "eval": pickle.dumps(_Eval(), 5),
    "eval-inside": pickle.dumps({b"data": np.zeros((1, 3072), "u1"), b"labels": [_Eval()]}, 4),
    "inst": b"\x80\x02(S'touch EXECUTED'\nios\nsystem\n.",
    "obj": put(b"(cos\nsystem\nX\x04\0\0\0echoo"),
    "newobj": put(b"cnumpy\nndarray\n)\x81"),
    "memo-bomb": b"\x80\x02Nr\xff\xff\xff\xff.",
    "long-binput": b"\x80\x02]r\x00\x00\x00\x7f.",
    "dup": put(b"]" + b"2" * 1000),
    "ext": put(b"\x82\x01"),
    "persid": put(b"Pabc\n"),
    "big-int": put(b"\x8b" + struct.pack("<i", 1 << 20) + b"\x7f" * (1 << 20)),
    "big-int-lie": put(b"\x8b\xff\xff\xff\x7f"),
    "text-int": put(b"I" + b"9" * 100_000 + b"\n"),
    "string-lie": put(b"T\xff\xff\xff\x7f"),
    "bytes8-lie": b"\x80\x04\x8e" + b"\xff" * 8 + b".",
    "frame-lie": b"\x80\x04\x95" + b"\xff" * 8 + b".",
    "nested-key": put(b"}" + b"(" + NESTED + b"Nu"),
    "nested": put(NESTED),
    "deep-list": put(b"]" * 10_000 + b"a" * 9_999),
    "deep-tuple": put(b")" + b"\x85" * 10_000),
    "recursive": pickle.dumps(RECURSIVE, 2),
    "no-stop": b"\x80\x02}",
    "empty": b"\x80\x02",
    "stack": put(b"a"),
    "marks": put(b"(" * 1000),
    "unmarked": put(b"u"),
    "scalar": pickle.dumps(1, 2),
    "list": pickle.dumps([1], 2),
    "no-data": pickle.dumps({b"labels": [1]}, 2),
    "data-text": pickle.dumps({b"data": b"abc", b"labels": []}, 2),
    "object-array": pickle.dumps({b"data": np.array([None]), b"labels": []}, 2),
    "wide": pickle.dumps({b"data": np.zeros((2, 3071), "u1"), b"labels": [1, 2]}, 2),
    "floats": pickle.dumps({b"data": np.zeros((2, 3072)), b"labels": [1, 2]}, 2),
    "labels": pickle.dumps({b"data": np.zeros((2, 3072), "u1"), b"labels": [1]}, 2),
    "label-kind": pickle.dumps({b"data": np.zeros((1, 3072), "u1"), b"labels": [1.5]}, 2),
    "label-size": pickle.dumps({b"data": np.zeros((1, 3072), "u1"), b"labels": [2**70]}, 2),
    "twice": put(b"}(X\x01\0\0\0aNX\x01\0\0\0aNu"),
    "int-key": pickle.dumps({1: 2}, 2),
    "set": pickle.dumps({1, 2}, 4),
    "protocol-0": pickle.dumps({}, 0),
    "array": pickle.dumps(np.zeros(3), 2),
    "memo-missing": put(b"hA"),
    "global": put(b"cnumpy\nload\n"),
    "global-sub": put(b"cnumpy.os\nsystem\n"),
    "stack-global": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "stack-global-kind": b"\x80\x04NN\x93.",
    "reduce-data": put(b"NNR"),
    "build-data": put(b"}}b"),
    "bad-utf8": put(b"X\x01\0\0\0\xff"),
    "unknown-op": put(b"\xfe"),
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

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "bad-file"),
        (b"hello", "bad-file"),
        (png(2**31 - 1, 2**31 - 1), "too-large"),
        (png(100_000, 100_000), "too-large"),
        (png(0, 5), "bad-file"),
        (png(5, 5), "bad-file"),
        (png(5, 5)[:40], "bad-file"),
        (one(), "bad-file"),
        (png(1, 1, depth=16, data=bytes(7)), "bad-file"),
        (png(1, 1, 6, data=b"\0\1\2\3\4"), "bad-file"),
        (b"\xff\xd8\xff\xe0" + bytes(30), "bad-file"),
        (b"GIF89a" + bytes(30), "bad-file"),
    ],
)
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
    for array in (
        np.full((4, 4), 1.01),
        np.full((4, 4), -0.01),
        np.full((4, 4), np.nan),
        np.zeros((4, 4), np.int64),
        np.zeros((4, 4, 2)),
        np.zeros(4),
        np.zeros((0, 4)),
        np.zeros((1, 4, 4, 3)),
        np.zeros((2, 2), complex),
    ):
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
