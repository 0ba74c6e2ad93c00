"""A file is written whole or not at all: kills, full disks, exceptions, links and permissions."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from data_checks import refused

import dfg
from dfg.data import atomic_write, read_inputs, save_params, write_image, write_outputs


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_an_exception_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")

    def write(problem: BaseException) -> None:
        with atomic_write(path) as stream:
            stream.write(b"new")
            raise problem

    for problem in (KeyError("x"), KeyboardInterrupt(), SystemExit(1), MemoryError()):
        with pytest.raises(type(problem)):
            write(problem)
        assert path.read_bytes() == b"old"
        assert names(tmp_path) == ["a.txt"]
    refused("cannot-write", lambda: write(OSError(28, "No space left on device")))
    assert names(tmp_path) == ["a.txt"]
    with atomic_write(path) as stream:
        stream.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.txt"]


def test_modes_and_links(tmp_path: Path) -> None:
    path, link = tmp_path / "a.npz", tmp_path / "link.npz"
    write_outputs(path, {"y": np.zeros(2)})
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask
    path.chmod(0o640)
    link.symlink_to(path)
    write_outputs(link, {"y": np.ones(2)})
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    np.testing.assert_array_equal(read_inputs(path)["y"], [1, 1])


def test_equal_results_are_equal_files(tmp_path: Path) -> None:
    values = {"y": np.arange(3.0), "z": np.eye(2, dtype=np.float32)}
    for suffix in (".npz", ".safetensors", ".json"):
        for name in ("a", "b"):
            write_outputs(tmp_path / (name + suffix), values)
            time.sleep(0.01)
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    y = {"y": np.zeros(3)}
    (tmp_path / "folder.npz").mkdir()
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "null.npz").symlink_to("/dev/null")
    before = names(tmp_path)
    for name in ("folder.npz", "pipe.npz", "null.npz", "none/y.npz", "a\0.npz", "folder.npz/", "x" * 300 + ".npz"):
        refused("cannot-write", lambda name=name: write_outputs(f"{tmp_path}/{name}", y))
    assert Path("/dev/null").is_char_device()
    for name in ("y.dat", "y", "y.npzz"):
        assert refused("unknown-format", lambda name=name: write_outputs(tmp_path / name, y)).help
    refused("cannot-write", lambda: write_outputs(tmp_path / "y.npy", {**y, "z": np.zeros(3)}))
    refused("cannot-write", lambda: write_outputs(tmp_path / "y.npy", {}))
    refused("cannot-write", lambda: write_outputs(tmp_path / "y.csv", {**y, "z": np.zeros(4)}))
    refused("cannot-write", lambda: write_outputs(tmp_path / "y.csv", {"z": np.zeros((2, 2, 2))}))
    refused("cannot-write", lambda: write_outputs(tmp_path / "y.csv", {}))
    refused("cannot-write", lambda: save_params(tmp_path / "y.safetensors", {"__metadata__": np.zeros(1)}))
    for suffix in (".npz", ".npy", ".json", ".csv", ".safetensors"):
        refused("wrong-dtype", lambda suffix=suffix: write_outputs(tmp_path / f"y{suffix}", {"y": np.array([1j])}))
    assert names(tmp_path) == before


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "permission" in refused("cannot-write", lambda: write_outputs(path, {"y": np.zeros(1)})).message
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".json", ".csv", ".safetensors", ".png"])
def test_a_full_disk(tmp_path: Path, suffix: str) -> None:
    """A limit on the size of files stops the write in the middle, as a full disk does."""
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    rng = np.random.default_rng(0)
    values = {"y": rng.random((300, 300, 3) if suffix == ".png" else 200_000)}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        diagnostic = refused("cannot-write", lambda: write_image(path, values["y"]) if suffix == ".png" else write_outputs(path, values))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert "larger" in diagnostic.message
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == [path.name]


def test_fsync_and_rename_that_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(b"old")

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for function in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, fails)
            assert "no space" in refused("cannot-write", lambda: write_outputs(path, {"y": np.zeros(3)})).message
        assert path.read_bytes() == b"old"
        assert names(tmp_path) == ["a.npy"]


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """kill -9 while a process writes the file again and again: whole versions only, each readable and of one writing."""
    path = tmp_path / "a.npz"
    write_outputs(path, {"y": np.full(1, -1)})
    code = textwrap.dedent("""
        import sys, numpy as np
        from dfg.data import write_outputs
        print("ready", flush=True)
        k = int(sys.argv[2])
        while True:
            k += 1
            write_outputs(sys.argv[1], {"y": np.full(300_000, k), "z": np.full(1000, k)})
    """)
    root = str(Path(dfg.__file__).parents[1])
    seen = []
    for trial in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(trial * 1_000_000)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": root},
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.02 + 0.013 * trial)
        child.kill()
        child.wait()
        child.stdout.close()
        found = read_inputs(path)
        assert len(np.unique(found["y"])) == 1
        if "z" in found:
            assert found["y"].shape == (300_000,)
            assert set(found["z"]) == {found["y"][0]}
        seen.append(int(found["y"][0]))
    assert max(seen) > 0, "no trial wrote anything: the test proves nothing"
