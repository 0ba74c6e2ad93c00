"""Files that are damaged, hostile, huge or of the wrong kind, and disks that fill up: one diagnostic, nothing half-written, nothing executed."""

from __future__ import annotations

import io
import os
import pickle
import resource
import signal
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT / "examples" / "data"
SUM = "input x : f64[n]\noutput y = sum(x)\n"
IMAGES = "input images : u8[n, 32, 32, 3]\noutput y = sum(images)\n"
STEPS = "input x : f64[n]\nparam w : f64[n] = 1.0\nloss = sum((w - x) ** 2)\nupdate w = w - 0.1 * grad(loss, w)\noutput loss\noutput y = 2 * w\n"


def npy(dtype: str, shape: tuple[int, ...], data: bytes = b"") -> bytes:
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


class Bomb:
    """A pickle that would make a file if it were executed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch executed",)


def pickled_array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Bomb()], dtype=object), allow_pickle=True)
    return stream.getvalue()


def billion_laughs() -> bytes:
    """A pickle of a few bytes whose lists would hold 10^30 items."""
    nested: list[Any] = ["ha"] * 10
    for _ in range(30):
        nested = [nested] * 10
    return pickle.dumps({b"data": nested, b"labels": []}, protocol=2)


def zip_of(name: str, data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return stream.getvalue()


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(b"\0" * 100))
            + chunk(b"IEND", b""))


HOSTILE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "cut.npy": (SUM, lambda: npy("<f8", (100,), b"\0" * 80)),
    "cut_header.npy": (SUM, lambda: npy("<f8", (100,))[:30]),
    "empty.npy": (SUM, lambda: b""),
    "huge.npy": (SUM, lambda: npy("<f8", (10**15,))),
    "overflow.npy": (SUM, lambda: npy("<f8", (2**40, 2**40))),
    "negative.npy": (SUM, lambda: npy("<f8", (-5,))),
    "object.npy": (SUM, pickled_array),
    "text.npy": (SUM, lambda: npy("<U3", (1,), b"\0" * 12)),
    "complex.npy": (SUM, lambda: npy("<c16", (1,), b"\0" * 16)),
    "code_in_header.npy": (SUM, lambda: b"\x93NUMPY\x01\x00" + struct.pack("<H", 60) + b"__import__('os').system('touch executed')".ljust(59) + b"\n"),
    "wrong_rank.npy": (SUM, lambda: npy("<f8", (1, 1), b"\0" * 8)),
    "cut.npz:x": (SUM, lambda: zip_of("x.npy", npy("<f8", (4,), b"\0" * 32))[:60]),
    "object.npz:x": (SUM, lambda: zip_of("x.npy", pickled_array())),
    "bomb.npz:x": (SUM, lambda: zip_of("x.npy", npy("<f8", (10**12,), b"\0" * 10**6))),
    "outside.npz:x": (SUM, lambda: zip_of("../x.npy", npy("<f8", (4,), b"\0" * 32))),
    "hole.csv:x": (SUM, lambda: b"x,y\n1,2\n,3\n4,5\n"),
    "ragged.csv:x": (SUM, lambda: b"x,y\n1,2\n3\n"),
    "words.csv:x": (SUM, lambda: b"x\n1\ntwo\n"),
    "no_column.csv:z": (SUM, lambda: b"x\n1\n"),
    "latin.csv:x": (SUM, lambda: b"x\n\xff\xfe\n"),
    "cut.safetensors:x": (SUM, lambda: struct.pack("<Q", 10**12) + b"{}"),
    "lying.safetensors:x": (SUM, lambda: struct.pack("<Q", 60) + b'{"x":{"dtype":"F64","shape":[9],"data_offsets":[0,72]}}'.ljust(60)),
    "bomb.pkl": (IMAGES, lambda: pickle.dumps(Bomb())),
    "bomb_batch:images": (IMAGES, lambda: pickle.dumps({b"data": Bomb(), b"labels": [1]}, protocol=2)),
    "laughs_batch:images": (IMAGES, billion_laughs),
    "cut_batch:images": (IMAGES, lambda: (DATA / "cifar_format_batch").read_bytes()[:1000]),
    "cut.bin": (IMAGES, lambda: (DATA / "cifar_format.bin").read_bytes()[:5000]),
    "cut.png": (IMAGES, lambda: png(32, 32)[:60]),
    "huge.png": (IMAGES, lambda: png(2**31 - 1, 2**31 - 1)),
    "no.jpg": (IMAGES, lambda: b"\xff\xd8\xff\xe0 this is no picture"),
    "one.png": (IMAGES, lambda: png(4, 4)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_damaged_or_hostile_input_is_one_diagnostic(dfg, name: str) -> None:
    program, make = HOSTILE[name]
    Path("a.dfg").write_text(program)
    Path(name.partition(":")[0]).write_bytes(make())
    before = sorted(os.listdir())
    began = time.monotonic()
    ended = dfg("run", "a.dfg", "--input", f"{'x' if program is SUM else 'images'}={name}", "--out", "y.npz")
    assert time.monotonic() - began < 20
    assert ended.code == 1, (ended.out, ended.err)
    assert ended.out == ""
    assert ended.err.count("error[") == 1, ended.err
    assert name.partition(":")[0] in ended.err or "`x`" in ended.err or "`images`" in ended.err, ended.err
    assert "Traceback" not in ended.err and "internal error" not in ended.err
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("name", ["cut.npz:x", "object.npz:x", "bomb.npz:x", "cut.safetensors:x", "lying.safetensors:x"])
def test_a_damaged_checkpoint_or_archive_is_one_diagnostic(dfg, name: str) -> None:
    file = name.partition(":")[0]
    Path(file).write_bytes(HOSTILE[name][1]())
    Path("a.dfg").write_text("input x : f64[n] = [1.0]\nparam w : f64 = 1.0\noutput y = w * sum(x)\n")
    for option in ("--load", "--inputs"):
        ended = dfg("run", "a.dfg", option, file)
        assert ended.code == 1, (option, ended.out, ended.err)
        assert ended.out == ""
        assert ended.err.count("error[") == 1, ended.err
    assert not Path("executed").exists()


def test_a_hole_in_a_table_is_told_with_its_place(dfg) -> None:
    Path("a.dfg").write_text(SUM)
    Path("t.csv").write_text("x,y\n1,2\n,3\n4,5\n")
    ended = dfg("run", "a.dfg", "--input", "x=t.csv:x")
    assert "t.csv:3" in ended.err, ended.err


def test_a_surplus_name_in_an_archive_warns_and_a_typo_is_an_error(dfg) -> None:
    Path("a.dfg").write_text(SUM)
    np.savez("d.npz", x=np.ones(2), z=np.ones(2))
    ended = dfg("run", "a.dfg", "--inputs", "d.npz")
    assert (ended.code, ended.out) == (0, "y : f64 = 2\n")
    assert "warning[surplus-input]" in ended.err and "`z`" in ended.err
    np.savez("d.npz", X=np.ones(2))
    ended = dfg("run", "a.dfg", "--inputs", "d.npz")
    assert ended.code == 1
    assert "error[surplus-input]" in ended.err


@pytest.mark.parametrize("array", [np.array([1 + 2j]), np.array(["a"]), np.array([[1.0]]), np.array([2**53 + 1]), np.array(1.0)])
def test_an_array_of_another_type_is_refused(dfg, array: np.ndarray) -> None:
    Path("a.dfg").write_text(SUM)
    np.save("x.npy", array)
    ended = dfg("run", "a.dfg", "--input", "x=x.npy")
    assert ended.code == 1
    assert ended.err.count("error[") == 1
    assert "f64[n]" in ended.err or "x.npy" in ended.err


@pytest.mark.parametrize("words", [["--out", "no/y.npz"], ["--out", "y.docx"], ["--save", "w.pt"], ["--plot", "loss.gif"], ["--out", "y=folder"],
                                   ["--out", "y.png"], ["--plot", "y=y.png"], ["--plot", "lss=a.png"], ["--out", "lss=a.npy"]])
def test_a_file_that_cannot_be_written_is_told_before_the_run(dfg, words: list[str]) -> None:
    """Also when the program would run for hours."""
    Path("folder").mkdir()
    Path("a.dfg").write_text(STEPS)
    began = time.monotonic()
    ended = dfg("run", "a.dfg", "--input", "x=[1, 2]", "--repeat", 10**9, *words)
    assert time.monotonic() - began < 20
    assert ended.code == 1
    assert ended.err.count("error[") == 1, ended.err
    assert sorted(os.listdir()) == ["a.dfg", "folder"]


@pytest.mark.parametrize("words", [["--plot", "loss.png"], ["--out", "y.npz", "--out", "y=y.npz", "--repeat", "2"], ["--out", "y,loss=y.npz"]])
def test_a_command_line_that_contradicts_itself_is_a_misuse(dfg, words: list[str]) -> None:
    Path("a.dfg").write_text(STEPS)
    ended = dfg("run", "a.dfg", "--input", "x=[1, 2]", *words)
    assert ended.code == 2, ended.err
    assert os.listdir() == ["a.dfg"]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "dfg", *words]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}


@pytest.mark.parametrize("words", [["--out", "big.npz"], ["--out", "y=big.npy"], ["--out", "big.json"], ["--save", "big.safetensors"], ["--out", "y=big.csv"]])
@pytest.mark.parametrize("old", [b"old", None])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, words: list[str], old: bytes | None) -> None:
    """A limit on the size of files is a disk that is full after 100 kB."""
    (tmp_path / "a.dfg").write_text(STEPS)
    np.save(tmp_path / "x.npy", np.random.default_rng(1).normal(size=100_000))
    name = words[1].rpartition("=")[2]
    if old is not None:
        (tmp_path / name).write_bytes(old)

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(command("run", "a.dfg", "--input", "x=x.npy", "--repeat", "3", *words), cwd=tmp_path, capture_output=True, text=True,
                          timeout=120, env={**environment(), "PYTHONDONTWRITEBYTECODE": "1"}, preexec_fn=limit, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("error[cannot-write]") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "loss" in done.stdout, "the results of the run are still told"
    assert sorted(os.listdir(tmp_path)) == sorted(["a.dfg", "x.npy", *([name] if old is not None else [])])
    if old is not None:
        assert (tmp_path / name).read_bytes() == old


def test_one_file_that_fails_does_not_keep_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.dfg").write_text(STEPS)
    np.save(tmp_path / "x.npy", np.random.default_rng(1).normal(size=100_000))

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(command("run", "a.dfg", "--input", "x=x.npy", "--repeat", "9", "--save", "w.safetensors", "--out", "loss=loss.npy", "--plot", "loss.svg"),
                          cwd=tmp_path, capture_output=True, text=True, timeout=120, env={**environment(), "PYTHONDONTWRITEBYTECODE": "1"},
                          preexec_fn=limit, check=False)
    assert done.returncode == 1
    assert done.stderr.count("error[") == 1
    assert sorted(os.listdir(tmp_path)) == ["a.dfg", "loss.npy", "loss.svg", "x.npy"]
    assert np.load(tmp_path / "loss.npy").shape == ()


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    """Killed at ten moments around the writing, `--save` leaves a file that loads."""
    from dfg.data import load_params

    (tmp_path / "a.dfg").write_text(STEPS.replace("update w = w - 0.1 * grad(loss, w)", "update w = w + 1"))
    np.save(tmp_path / "x.npy", np.zeros(2_000_000))
    line = command("run", "a.dfg", "--input", "x=x.npy", "--save", "w.safetensors", "--out", "loss=loss.npy")
    began = time.monotonic()
    assert subprocess.run(line, cwd=tmp_path, capture_output=True, env=environment(), check=False).returncode == 0
    whole = time.monotonic() - began
    again = command("run", "a.dfg", "--input", "x=x.npy", "--load", "w.safetensors", "--save", "w.safetensors")
    seen = 2.0
    for k in range(10):
        child = subprocess.Popen(again, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
        time.sleep(whole * (0.4 + 0.08 * k))
        child.kill()
        child.wait()
        found = load_params(tmp_path / "w.safetensors")["w"]
        assert found.shape == (2_000_000,)
        assert found.min() == found.max()
        assert found[0] in (seen, seen + 1)
        seen = float(found[0])


def test_ctrl_c_ends_with_130_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.dfg").write_text(STEPS)
    child = subprocess.Popen(command("run", "a.dfg", "--input", "x=[1, 2]", "--repeat", "1000000000", "--save", "w.safetensors"), cwd=tmp_path,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    time.sleep(3)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert (out, err) == ("", "interrupted\n")
    assert os.listdir(tmp_path) == ["a.dfg"]


@pytest.mark.parametrize("words", [["check", "pipe.dfg"], ["fmt", "pipe.dfg"], ["check", "user.dfg"]])
def test_a_pipe_that_nobody_writes_is_refused(dfg, words: list[str]) -> None:
    os.mkfifo("pipe.dfg")
    Path("user.dfg").write_text('use "pipe.dfg" as a\noutput y = 1.0\n')
    ended = dfg(*words)
    assert ended.code == 1
    assert "error[unreadable-file]" in ended.err
    assert "is a pipe" in ended.err


def test_a_backend_that_is_not_there_is_a_misuse_also_without_tests(dfg) -> None:
    Path("a.dfg").write_text(SUM)
    assert dfg("test", "a.dfg", "--backend", "nump").code == 2


def test_the_example_of_a_missing_input_has_the_sizes_that_are_given(dfg) -> None:
    Path("a.dfg").write_text("input x : f64[n]\ninput y : f64[n, 2 * n]\noutput z = sum(x) + sum(y)\n")
    ended = dfg("run", "a.dfg", "--input", "x=[1]")
    assert "y=[[0.5, 0.5]]" in ended.err, ended.err
