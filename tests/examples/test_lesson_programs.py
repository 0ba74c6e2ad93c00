"""The programs of the lesson and those that a course goes on with run, and their figures are those of a plain NumPy computation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import dfg

PROGRAMS = Path(__file__).parents[1] / "programs"


@pytest.mark.parametrize("name", ["lesson_autograd", "lesson_tensors", "lesson_cifar", "layers", "optim", "penalty"])
def test_their_own_tests_pass(run, name: str) -> None:
    ended = run("test", PROGRAMS / f"{name}.dfg")
    assert ended.code == 0, ended.out + ended.err


def test_the_lesson_accumulates_and_zeroes(run) -> None:
    fn = dfg.compile(dfg.load(PROGRAMS / "lesson_autograd.dfg"))
    fed = {"x": [0.5], "ystar": [0.037371]}
    first = fn(**fed)
    assert first["dw"] == pytest.approx(first["by_hand_w"], rel=1e-15)
    assert first["db"] == pytest.approx(first["by_hand_b"], rel=1e-15)
    fn(**fed)
    assert fn.state["gw"] == pytest.approx(179.3251, abs=1e-3)
    assert fn.state["gb"] == pytest.approx(358.6502, abs=1e-3)
    fn(**fed, zero=True)
    assert fn.state["gw"] == pytest.approx(89.6626, abs=1e-4)


def test_the_first_half_of_the_lesson() -> None:
    fn = dfg.compile(dfg.load(PROGRAMS / "lesson_tensors.dfg"))
    first, second = fn(), fn()
    assert (int(first["rows"]), bool(first["is35"])) == (5, True)
    assert first["resb"].dtype == np.float64 and first["resc"].dtype == np.float32
    assert np.array_equal(first["same"], first["resb"] == first["resc"].astype(np.float64))
    assert first["a3"].tolist() == [1, 1, 0, 5, 1]
    xr = first["resc"] - 1
    assert np.allclose(second["xt"] - first["xt"], xr.T, atol=1e-6)


def test_a_penalty_on_a_gradient_trains() -> None:
    """A derivative of a derivative, at each step."""
    fn = dfg.compile(dfg.load(PROGRAMS / "penalty.dfg"))
    rng = np.random.default_rng(1)
    real, fake = rng.normal(size=(64, 2)), rng.normal(size=(64, 2)) + 2
    losses = [float(fn(real=real, fake=fake)["loss"]) for _ in range(60)]
    assert losses[-1] < 0.8 * losses[0]

    def loss(w1: np.ndarray, w2: np.ndarray, t: np.ndarray) -> float:
        mid = t * real + (1 - t) * fake
        g = ((1 - np.tanh(mid @ w1) ** 2) * w2) @ w1.T
        return float((np.tanh(fake @ w1) @ w2).mean() - (np.tanh(real @ w1) @ w2).mean() + 10 * ((np.sqrt((g**2).sum(1)) - 1) ** 2).mean())

    fresh = dfg.compile(dfg.load(PROGRAMS / "penalty.dfg"))
    t = dfg.compile(dfg.loads("output t = uniform([64, 1], seed=7)\n"))()["t"]
    value = float(fresh(real=real, fake=fake)["loss"])
    start = dfg.compile(dfg.load(PROGRAMS / "penalty.dfg"), update=False)
    start(real=real, fake=fake)
    assert value == pytest.approx(loss(np.array(start.params["w1"]), np.array(start.params["w2"]), t), rel=1e-12)


def test_dropout_a_schedule_and_mini_batches() -> None:
    """Each epoch visits every example once; without `train` nothing is dropped and nothing learnt."""
    program = dfg.load(PROGRAMS / "dropout_schedule_batch.dfg")
    fn = dfg.compile(program)
    digits = np.load(Path(__file__).parents[2] / "examples" / "data" / "digits.npz")
    data, labels = (digits["pictures"][:450] / 16).astype(np.float32), digits["digits"][:450].astype(np.int64)
    out = [fn(data=data, labels=labels) for _ in range(200)]
    rates = [float(o["lr"]) for o in out]
    step = np.arange(200)
    assert rates == pytest.approx(list(0.1 * np.minimum(1, (step + 1) / 100) * 0.5 * (1 + np.cos(np.pi * step / 1000))), rel=1e-5)
    losses = np.array([float(o["loss"]) for o in out])
    assert losses[-20:].mean() < 0.5 * losses[:20].mean()
    kept = {name: np.array(value) for name, value in fn.params.items()}
    fn(data=data, labels=labels, train=False)
    assert all(np.array_equal(fn.params[name], value) for name, value in kept.items())
    assert int(fn.state["step"]) == 201
