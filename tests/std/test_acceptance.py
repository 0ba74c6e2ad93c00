"""The acceptance programs of the language page: each is checked, its tests run, and its values compared with the same mathematics in NumPy and SciPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import signal, special

import dfg
from dfg.api.testing import run_tests
from dfg.source import Source

PROGRAMS = Path(__file__).parents[1] / "programs"
DATA = Path(__file__).parents[2] / "examples" / "data"
RUNNABLE = sorted(p.stem for p in PROGRAMS.glob("*.dfg") if p.stem != "rules")  # `rules` is a file for the parser alone, by its own words


def load(name: str) -> dfg.Program:
    return dfg.load(PROGRAMS / f"{name}.dfg")


@pytest.mark.parametrize("name", RUNNABLE)
def test_checks_and_passes_its_own_tests(name: str) -> None:
    path = PROGRAMS / f"{name}.dfg"
    strange = [w for w in load(name).check().warnings if w.code != "lossy-cast"]
    assert not strange, [str(w) for w in strange]
    results = run_tests(Source(str(path), path.read_text(encoding="utf-8")), path)
    assert all(r.ok for r in results), [str(d) for r in results for d in r.problems]
    assert bool(results) == ("\ntest " in path.read_text(encoding="utf-8"))


def gmm(alphas: Any, means: Any, q: Any, l: Any, x: Any, gamma: float, m: int) -> float:
    """The objective of the ADBench Gaussian mixture, with loops."""
    (n, d), k = x.shape, alphas.shape[0]
    inner = np.zeros((n, k))
    for j in range(k):
        Q = np.diag(np.exp(q[j]))
        at = 0
        for column in range(d):
            for row in range(column + 1, d):
                Q[row, column] = l[j, at]
                at += 1
        for i in range(n):
            inner[i, j] = alphas[j] + q[j].sum() - 0.5 * np.sum((Q @ (x[i] - means[j])) ** 2)
    nu = d + m + 1
    c = nu * d * (np.log(gamma) - 0.5 * np.log(2)) - special.multigammaln(0.5 * nu, d)
    prior = sum(gamma**2 / 2 * (np.sum(np.exp(2 * q[j])) + np.sum(l[j] ** 2)) - m * q[j].sum() for j in range(k)) - k * c
    return float(-n * d / 2 * np.log(2 * np.pi) + special.logsumexp(inner, axis=1).sum() - n * special.logsumexp(alphas) + prior)


@pytest.mark.parametrize(("n", "k", "d"), [(7, 3, 4), (5, 1, 1), (4, 2, 2)])
def test_gmm_is_the_objective_and_its_gradients(n: int, k: int, d: int) -> None:
    r = np.random.default_rng(n)
    sizes = {"alphas": (k,), "means": (k, d), "q": (k, d), "l": (k, d * (d - 1) // 2)}
    given = {name: r.normal(size=shape) for name, shape in sizes.items()}
    rest = {"x": r.normal(size=(n, d)), "gamma": 1.3, "m": 2}
    out = dfg.compile(load("gmm"))(**given, **rest)
    assert np.isclose(out["f"], gmm(**given, **rest), rtol=1e-12)
    for name, at in given.items():
        direction = r.normal(size=at.shape)
        sides = [gmm(**{**given, name: at + step * direction}, **rest) for step in (1e-5, -1e-5)]
        assert np.isclose(np.sum(out[f"d{name}"] * direction), (sides[0] - sides[1]) / 2e-5, rtol=1e-6, atol=1e-7)


def lenet(p: Any, x: np.ndarray) -> np.ndarray:
    def conv(x: np.ndarray, k: np.ndarray, padding: str) -> np.ndarray:
        return np.stack([np.stack([sum(signal.correlate(c, w, padding) for c, w in zip(image, one, strict=True)) for one in k]) for image in x])

    def pool(x: np.ndarray) -> np.ndarray:
        n, c, h, w = x.shape
        return x.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))

    a = pool(np.tanh(conv(x, p["k1"], "same")))
    h = pool(np.tanh(conv(a, p["k2"], "valid"))).reshape(len(x), -1)
    for name in ("f1", "f2"):
        h = np.tanh(h @ p[f"{name}.w"] + p[f"{name}.b"])
    return np.asarray(h @ p["f3.w"] + p["f3.b"])


def test_lenet_is_the_network_and_learns() -> None:
    r = np.random.default_rng(0)
    x, y = r.normal(size=(6, 1, 28, 28)).astype(np.float32), r.integers(0, 10, 6)
    fn = dfg.compile(load("lenet"))
    p = {name: np.array(fn.params[name], np.float64) for name in fn.params}
    logits = lenet(p, x.astype(np.float64))
    losses = [fn(x=x, y=y) for _ in range(8)]
    wanted = np.mean(special.logsumexp(logits, axis=1) - logits[np.arange(6), y])
    assert np.isclose(losses[0]["loss"], wanted, rtol=1e-5)
    assert losses[0]["accuracy"] == np.float32(np.mean(logits.argmax(axis=1) == y))
    assert losses[-1]["loss"] < 0.5 * losses[0]["loss"]
    assert int(fn.state["opt.t"]) == 8


def transformer_loss(p: Any, tokens: np.ndarray) -> float:
    def norm(g: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
        c = x - x.mean(-1, keepdims=True)
        return c / np.sqrt((c * c).mean(-1, keepdims=True) + 1e-5) * g + b

    batch, t = tokens.shape
    x = p["emb"][tokens] + p["pos"][:t]
    for i in range(10):
        leaf = {k.removeprefix("blocks."): v[i] for k, v in p.items() if k.startswith("blocks.")}
        s = norm(leaf["n1.g"], leaf["n1.b"], x) @ leaf["att.qkv.w"] + leaf["att.qkv.b"]
        q, k, v = (s.reshape(batch, t, 3, 4, 16)[:, :, j].transpose(0, 2, 1, 3) for j in range(3))
        a = np.where(np.tril(np.ones((t, t), bool)), q @ k.transpose(0, 1, 3, 2) / 4, -np.inf)
        mixed = special.softmax(a, axis=-1) @ v
        x = x + mixed.transpose(0, 2, 1, 3).reshape(batch, t, 64) @ leaf["att.out.w"] + leaf["att.out.b"]
        h = norm(leaf["n2.g"], leaf["n2.b"], x) @ leaf["up.w"] + leaf["up.b"]
        x = x + (h * special.ndtr(h)) @ leaf["down.w"] + leaf["down.b"]
    logits = (norm(p["last.g"], p["last.b"], x) @ p["emb"].T)[:, :-1]
    picked = np.take_along_axis(logits, tokens[:, 1:, None], -1)[..., 0]
    return float(np.mean(special.logsumexp(logits, axis=-1) - picked))


def test_transformer_of_ten_layers_is_one_scan_and_learns() -> None:
    tokens = np.random.default_rng(0).integers(0, 256, (2, 9))
    program = load("transformer")
    assert sum(v.op.name == "scan" for v in program.graph.values) == 1
    fn = dfg.compile(program)
    wanted = transformer_loss({name: np.array(fn.params[name], np.float64) for name in fn.params}, tokens)
    losses = [float(fn(tokens=tokens)["loss"]) for _ in range(3)]
    assert np.isclose(losses[0], wanted, rtol=2e-5)
    # One step of Adam from the old parameters: the second loss is that of the updated network.
    assert losses[2] < losses[1] < losses[0]
    again = transformer_loss({name: np.array(fn.params[name], np.float64) for name in fn.params}, tokens)
    assert np.isclose(float(fn(tokens=tokens)["loss"]), again, rtol=2e-5)


def test_transformer_says_that_a_text_is_too_long() -> None:
    with pytest.raises(dfg.UserError, match="1024"):
        dfg.compile(load("transformer"))(tokens=np.zeros((1, 1025), np.int64))


def test_dropout_schedule_batch_steps_through_epochs() -> None:
    r = np.random.default_rng(0)
    data, labels = r.normal(size=(100, 64)).astype(np.float32), r.integers(0, 10, 100)
    fn = dfg.compile(load("dropout_schedule_batch"))
    out = [fn(data=data, labels=labels) for _ in range(60)]
    for step, o in enumerate(out):
        assert np.isclose(o["lr"], 0.1 * min(1, (step + 1) / 100) * 0.5 * (1 + np.cos(np.pi * min(step, 1000) / 1000)), rtol=1e-5)
    assert np.mean([o["loss"] for o in out[-4:]]) < np.mean([o["loss"] for o in out[:4]])
    assert int(fn.state["step"]) == 60
    # Without training nothing is dropped and nothing is learnt: the loss is that of the plain network on the batch.
    still = {name: np.array(fn.params[name]) for name in ("w1", "w2")}
    quiet = fn(data=data, labels=labels, train=False)["loss"]
    assert all(np.array_equal(fn.params[name], still[name]) for name in still)
    epoch, k = 60 // 2, 60 % 2 * 45
    draws = dfg.compile(dfg.loads(f"output o = permutation(100, seed=[5, {epoch}])\n"))()["o"]
    pick = draws[k : k + 45]
    logits = np.maximum(data[pick] @ still["w1"], 0) @ still["w2"]
    assert np.isclose(quiet, np.mean(special.logsumexp(logits, axis=1) - logits[np.arange(45), labels[pick]]), rtol=1e-5)


def test_too_few_rows_for_a_batch() -> None:
    with pytest.raises(dfg.UserError, match="45"):
        dfg.compile(load("dropout_schedule_batch"))(data=np.zeros((44, 64), np.float32), labels=np.zeros(44, np.int64))


def test_penalty_is_that_of_the_critic_and_falls() -> None:
    r = np.random.default_rng(0)
    real, fake = r.normal(size=(2, 6, 3))
    fn = dfg.compile(load("penalty"))
    losses = [float(fn(real=real, fake=fake)["loss"]) for _ in range(30)]
    w1 = dfg.compile(dfg.loads("output w = normal([3, 32], seed=1) / sqrt(3)\noutput t = uniform([6, 1], seed=7)\n"))()
    w2 = np.full(32, 0.1)

    def critic(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.tanh(x @ w1["w"]) @ w2)

    mid = w1["t"] * real + (1 - w1["t"]) * fake
    slope = (w2 * (1 - np.tanh(mid @ w1["w"]) ** 2)) @ w1["w"].T
    wanted = critic(fake).mean() - critic(real).mean() + 10 * np.mean((np.linalg.norm(slope, axis=1) - 1) ** 2)
    assert np.isclose(losses[0], wanted, rtol=1e-12)
    assert losses[-1] < losses[0]


def test_cifar_images_become_a_grid() -> None:
    raw = np.fromfile(DATA / "cifar_format.bin", np.uint8).reshape(-1, 3073)[:, 1:].reshape(-1, 3, 32, 32)
    out = dfg.compile(load("lesson_cifar"))(images=np.ascontiguousarray(raw.transpose(0, 2, 3, 1)))
    wanted = np.zeros((3, 138, 410), np.float32)
    for k in range(48):
        row, column = 2 + 34 * (k // 12), 2 + 34 * (k % 12)
        wanted[:, row : row + 32, column : column + 32] = raw[k].astype(np.float32) / np.float32(255)
    assert np.array_equal(out["g1"], wanted)
    wanted[1:] = 0
    assert np.array_equal(out["g2"], wanted)
    assert out["lo"] == np.float32(raw.min()) / np.float32(255)
    assert out["hi"] == np.float32(raw.max()) / np.float32(255)


@pytest.mark.parametrize("a", [2.0, 1e-3, 7e5])
def test_newton_by_while_has_derivatives_of_order_two(a: float) -> None:
    out = dfg.compile(load("newton"))(a=a)
    assert np.isclose(out["z"], np.sqrt(a), rtol=1e-9)
    assert np.isclose(out["dz"], 0.5 / np.sqrt(a), rtol=1e-6)
    assert np.isclose(out["d2z"], -0.25 * a**-1.5, rtol=1e-5)


def test_printed_names_with_dots_are_names() -> None:
    x = np.random.default_rng(0).normal(size=(3, 784)).astype(np.float32)
    fn = dfg.compile(load("printed"))
    out = fn(x=x)
    assert float(out["l"]) == 0
    assert np.allclose(out["dl_dfc.w"], np.repeat(x.sum(axis=0)[:, None], 10, axis=1), atol=1e-5)
    assert np.allclose(fn.params["fc.w"], -0.1 * out["dl_dfc.w"], atol=1e-6)
