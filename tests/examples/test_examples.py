"""The examples give the figures that they promise, by the commands that stand in them."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
DATA = EXAMPLES / "data"
PROGRAMS = sorted(EXAMPLES.glob("*.dfg"))
LESSON = {"l": 89.3094, "dl_dw": 89.6626, "dl_db": 179.3251}


def values(run: Any, *words: object) -> dict[str, np.ndarray]:
    ended = run("run", *words, "--json")
    assert ended.code == 0, ended.err
    return {name: np.array(told["value"], dtype={"bool": bool, "i64": int}.get(told["dtype"], float))
            for name, told in json.loads(ended.out)["outputs"].items()}


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_every_example_is_formatted_and_passes_its_own_tests(run, path: Path) -> None:
    ended = run("fmt", "--check", path)
    assert ended.code == 0, ended.err
    ended = run("test", path)
    assert ended.code == 0, ended.out + ended.err


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_the_commands_in_an_example_work(run, tmp_path: Path, path: Path) -> None:
    lines = re.findall(r"^#   (dfg .+)$", path.read_text(), re.MULTILINE)
    assert lines or path.stem == "lesson"
    for line in lines:
        words = shlex.split(line)[1:]
        for k, word in enumerate(words[:-1]):
            if word in ("--out", "--plot", "--save"):
                name, equals, file = words[k + 1].rpartition("=")
                words[k + 1] = f"{name}{equals}{tmp_path / file}"
        ended = run(*words)
        assert ended.code == 0, f"{line}\n{ended.err}"


def test_the_lesson_in_text_and_in_python_gives_the_figures_of_the_notebook(run) -> None:
    text = values(run, "examples/lesson.dfg", "--input", "x=[0.5]", "--input", "ystar=[0.037371]")
    assert text["y"] == pytest.approx([9.4877], abs=5e-5)
    for name, figure in LESSON.items():
        assert text[name] == pytest.approx(figure, abs=5e-5)
    module = runpy.run_path(str(EXAMPLES / "lesson.py"))
    built = module["fn"](x=[0.5], ystar=[0.037371])
    assert {name: value.tolist() for name, value in built.items()} == {name: value.tolist() for name, value in text.items()}
    done = subprocess.run([sys.executable, "examples/lesson.py"], cwd=ROOT, capture_output=True, text=True, timeout=120,
                          env={"PYTHONPATH": str(ROOT), "PATH": ""}, check=False)
    assert done.returncode == 0, done.stderr
    assert "output dl_dw = sum(2 * (y - ystar) * y * x)" in done.stdout


def test_the_network_reproduces_the_curve_of_pytorch(run, tmp_path: Path) -> None:
    """Every loss, the first gradient and the last parameters."""
    import dfg

    curve, start, digits = (dict(np.load(DATA / name)) for name in ("mlp_curve.npz", "mlp_start.npz", "digits.npz"))
    program = dfg.load(EXAMPLES / "mlp_digits.dfg")
    fn = dfg.compile(program)
    fn.load(DATA / "mlp_start.npz")
    for name, array in start.items():
        assert np.array_equal(fn.params[name], array)
    losses, moved = [], {}
    for k in range(50):
        losses.append(float(fn(**digits)["loss"]))
        if k == 0:
            moved = {name: (start[name] - fn.params[name]) / float(curve["lr"]) for name in start}
    assert losses == pytest.approx(curve["losses"].tolist(), rel=1e-9, abs=0)
    for name in start:
        np.testing.assert_allclose(moved[name], curve[f"grad0_{name}"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(fn.params[name], curve[f"final_{name}"], rtol=0, atol=1e-7)

    ended = values(run, "examples/mlp_digits.dfg", "--inputs", "examples/data/digits.npz", "--load", "examples/data/mlp_start.npz", "--repeat", 50,
                   "--save", tmp_path / "mlp.safetensors")
    assert ended["loss"] == pytest.approx(losses[-1], rel=1e-12)
    assert ended["accuracy"] == pytest.approx(0.88, abs=0.01)
    again = dfg.compile(program)
    again.load(tmp_path / "mlp.safetensors")
    for name in start:
        np.testing.assert_allclose(again.params[name], curve[f"final_{name}"], rtol=0, atol=1e-7)


@pytest.mark.parametrize("batch", ["cifar_format.bin", "cifar_format_batch"])
def test_images_become_two_pictures(run, tmp_path: Path, batch: str) -> None:
    """The pictures are those that a loop over the raw bytes gives."""
    from PIL import Image

    grid, red = tmp_path / "grid.png", tmp_path / "red.png"
    ended = run("run", "examples/images.dfg", "--input", f"images=examples/data/{batch}", "--out", f"grid={grid}", "--out", f"red={red}")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "least    : f32 = 0\ngreatest : f32 = 1\n"
    raw = np.frombuffer((DATA / "cifar_format.bin").read_bytes(), np.uint8).reshape(96, 3073)[:48, 1:].reshape(48, 3, 32, 32)
    expected = np.zeros((138, 410, 3), np.uint8)
    for k in range(48):
        top, left = 2 + 34 * (k // 12), 2 + 34 * (k % 12)
        expected[top : top + 32, left : left + 32] = raw[k].transpose(1, 2, 0)
    assert np.array_equal(np.asarray(Image.open(grid)), expected)
    expected[..., 1:] = 0
    assert np.array_equal(np.asarray(Image.open(red)), expected)


def test_dtypes_are_those_of_the_lattice(run) -> None:
    out = values(run, "examples/dtypes.dfg")
    ended = run("run", "examples/dtypes.dfg", "--json")
    types = {name: told["dtype"] for name, told in json.loads(ended.out)["outputs"].items()}
    assert types == {"resb": "f64", "resc": "f32", "same": "bool", "gap": "f64", "half": "f32", "thrice": "i64", "third": "f32"}
    assert (out["same"] == (out["resb"] == out["resc"].astype(np.float32))).all()
    assert not out["same"].all()
    assert 0 < out["gap"] < 1e-6
    casts = run("check", "--casts", "examples/dtypes.dfg").out
    assert casts.count("\n") >= 3
    assert "f32" in casts and "f64" in casts


def test_broadcast(run) -> None:
    out = values(run, "examples/broadcast.dfg")
    A, B = np.array([[1.0], [2], [3], [4]]), np.array([[5.0, -5, 5, -5, 5]])
    assert np.array_equal(out["C"], A + B)
    assert np.array_equal(out["distances"], [[0, 5, 10], [5, 0, 5], [10, 5, 0]])
    assert np.array_equal(out["dW"], [[3, 3], [7, 7], [11, 11]])
    assert np.array_equal(out["dbias"], [21, 21])
    shown = run("run", "examples/broadcast.dfg").out
    assert shown.startswith("C         : f64[4, 5] = [[6, -4, 6, -4, 6],\n"), shown


@pytest.mark.parametrize("runs", [1, 2, 5])
def test_updates_happen_between_the_runs(run, runs: int) -> None:
    out = values(run, "examples/updates.dfg", "--repeat", runs)
    xr = np.array([[1.0, 2, 3], [4, 5, 6]])
    assert np.array_equal(out["x"], 10 + (runs - 1) * xr)
    assert np.array_equal(out["filled"], np.full((2, 3), 7.0 if runs > 1 else 0.0))
    turned = np.array([[1, 2], [3, 4]])
    assert np.array_equal(out["turned"], turned if runs % 2 else turned.T)
    assert out["a"].tolist() == [1, 1, 1, 1, 1]
    assert out["c"].tolist() == [1, 1, 0, 5, 1]
    dw = 2 * (np.exp(0.5) - 2) * np.exp(0.5)
    assert out["dw"] == pytest.approx(dw, rel=1e-14)
    assert out["gw"] == pytest.approx((runs - 1) * dw, rel=1e-14)
    zeroed = values(run, "examples/updates.dfg", "--repeat", runs, "--input", "zero=true")
    assert zeroed["gw"] == pytest.approx(dw if runs > 1 else 0, rel=1e-14)


def test_linear_and_logistic_regression(run) -> None:
    out = values(run, "examples/linear_regression.dfg", "--repeat", 300)
    assert out["w"] == pytest.approx([2, -3], abs=1e-9)
    assert out["b"] == pytest.approx(1, abs=1e-9)
    out = values(run, "examples/logistic.dfg", "--inputs", "examples/data/breast_cancer.npz", "--repeat", 200)
    assert out["accuracy"] == pytest.approx(0.9877, abs=1e-4)
    assert out["loss"] < 0.07


def test_memory_is_shared_with_numpy_both_ways() -> None:
    told = runpy.run_path(str(EXAMPLES / "sharing.py"))["main"]()
    assert told == [
        "shared: True",
        "a[2] = 0 in NumPy, and the program sees a total of 4",
        "the program set b[3] = 5, and NumPy sees [1. 1. 0. 5. 1.]",
        "fn.state['b'][0] = 9, and NumPy sees [9. 1. 0. 5. 1.]",
        "outputs are fresh: changing one leaves the next alone, 16",
        "refused: `b` is declared as f64[5], and the array to bind is f32",
    ]


def test_the_data_have_credits() -> None:
    credits = (DATA / "README.md").read_text()
    for path in DATA.iterdir():
        assert path.name == "README.md" or f"`{path.name}`" in credits, f"{path.name} has no credits"
