"""ADBench's two programs: the objective, every gradient block and the blocks of the Jacobian against the published data's golden values, and against hand-written gradients."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import dfg

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "adbench"
sys.path.insert(0, str(ROOT))

from benchmarks import adbench  # noqa: E402

PROGRAMS = {name: dfg.load(FOLDER / f"{name}.dfg") for name in ("gmm", "ba")}
FILES = sorted((FOLDER / "data").glob("*.txt"))
GOLDEN = sorted((FOLDER / "golden").glob("*.npz"))


def close(made: np.ndarray, want: np.ndarray) -> bool:
    """Within 1e-9 of the block's largest element."""
    return made.shape == want.shape and bool(np.max(np.abs(made - want)) <= 1e-9 * np.max(np.abs(want)))


def kind_of(path: Path) -> str:
    return path.stem[:3] if path.stem.startswith("gmm") else "ba"


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_golden_values(path: Path) -> None:
    made = dfg.compile(PROGRAMS[kind_of(path)])(**adbench.load(FOLDER / "data" / f"{path.stem}.txt"))
    with np.load(path) as archive:
        golden = dict(archive)
    if kind_of(path) == "gmm":
        blocks = {"objective": made["f"], "alphas": made["df_dalphas"], "means": made["df_dmeans"], "icf": made["df_dicf"]}
    else:
        e, j, gx, gw = made["e"], made["J"], made["dhalfsq_dX"], made["dhalfsq_dw"]
        blocks = {
            "err_head": e[:200], "err_sum": e.sum(0), "J_head": j[:200], "J_sum": j.sum(0), "halfsq": made["halfsq"], "g_cams": made["dhalfsq_dcams"],
            "g_X_head": gx[:200], "g_X_sum": gx.sum(0), "g_w_head": gw[:200], "g_w_sum": gw.sum(),
        }  # fmt: skip
    assert set(blocks) == set(golden)
    assert [name for name, block in blocks.items() if not close(np.asarray(block), golden[name])] == []


def test_there_are_golden_values_of_both() -> None:
    assert {kind_of(p) for p in GOLDEN} == {"gmm", "ba"} and len(GOLDEN) >= 5


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_gradients_by_hand(path: Path) -> None:
    inputs = adbench.load(path)
    made = dfg.compile(PROGRAMS[kind_of(path)])(**inputs)
    want = (adbench.mixture if kind_of(path) == "gmm" else adbench.bundle)(inputs)
    assert [name for name, w in want.items() if not close(np.asarray(made[name]), w)] == []


def test_different_cameras_and_a_camera_that_is_not_turned() -> None:
    """The shared files repeat one camera; here each differs, and one has no rotation, where the formula divides by its angle."""
    rng = np.random.default_rng(11)
    n, m, p = 4, 5, 13
    cams = rng.uniform(-0.5, 0.5, (n, 11)) + np.array([0, 0, 0, 0, 0, -6, 3, 0, 0, 0, 0])
    cams[2, :3] = 0
    inputs = {
        "cams": cams, "X": rng.uniform(-1, 1, (m, 3)), "w": rng.uniform(0.2, 1, p), "feats": rng.uniform(-1, 1, (p, 2)),
        "camera": np.arange(p) % n, "point": np.arange(p) % m,
    }  # fmt: skip
    fn = dfg.compile(PROGRAMS["ba"])
    made = fn(**inputs)
    assert all(np.isfinite(v).all() for v in made.values())
    for name in ("cams", "X", "w"):
        direction = rng.normal(size=inputs[name].shape)
        if name == "cams":
            direction[2, :3] = 0  # by steps around no rotation below
        up, down = ({**inputs, name: inputs[name] + h * direction} for h in (1e-6, -1e-6))
        numeric = (fn(**up)["halfsq"] - fn(**down)["halfsq"]) / 2e-6
        assert np.sum(made[f"dhalfsq_d{name}"] * direction) == pytest.approx(numeric, rel=1e-6)
    turned = np.zeros_like(cams)
    turned[2, :3] = rng.normal(size=3)
    up, down = ({**inputs, "cams": cams + h * turned} for h in (1e-5, -1e-5))
    numeric = (fn(**up)["halfsq"] - fn(**down)["halfsq"]) / 2e-5
    assert np.sum(made["dhalfsq_dcams"] * turned) == pytest.approx(numeric, rel=1e-5)
    others = np.array([0, 1, 3])
    whole = adbench.bundle({**inputs, "cams": np.where(np.arange(n)[:, None] == 2, cams + 1e-9, cams)})
    assert np.allclose(made["dhalfsq_dcams"][others], whole["dhalfsq_dcams"][others], rtol=1e-6)


def test_the_loader_writes_inputs_that_the_command_line_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json
    import subprocess

    from dfg.cli import main

    for kind, name, objective in (("gmm", "gmm_test", "f"), ("ba", "ba_test", "halfsq")):
        archive = tmp_path / f"{kind}.npz"
        subprocess.run([sys.executable, str(FOLDER / "load.py"), str(FOLDER / "data" / f"{name}.txt"), str(archive)], check=True)
        capsys.readouterr()
        assert main(["run", str(FOLDER / f"{kind}.dfg"), "--inputs", str(archive), "--only", objective, "--json"]) == 0
        said = json.loads(capsys.readouterr().out)["outputs"][objective]["value"]
        inputs = adbench.load(FOLDER / "data" / f"{name}.txt")
        want = (adbench.mixture if kind == "gmm" else adbench.bundle)(inputs)[objective]
        assert said == pytest.approx(float(want), rel=1e-12)
