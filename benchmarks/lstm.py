"""An LSTM over many steps: time to compile, time of a call and memory of its value and gradient, against PyTorch and JAX.

The loss is the mean of the squares of all hidden states, its gradients those of the three weights; f32, and one process for each measurement. `compile` is what passes from
the source to the first result, less one later call. `torch` is `torch.nn.LSTM`, one operation with a gradient written by hand; `torch loop` is the same
formula as dfg's, step by step in Python; `jax` is `jax.lax.scan` under `jit`.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import Report, fresh, importable
from benchmarks.memory import resident

BATCH, WIDTH, UNITS = 16, 32, 64
TEXT = """
default f32
input x : f32[t, batch, width]
param wx : f32[width, 4 * n] = 0.1 * normal([width, 4 * n], seed=1)
param wh : f32[n, 4 * n] = 0.1 * normal([n, 4 * n], seed=2)
param b : f32[4 * n] = zeros([4 * n])
dim n == {units}
_, _, hs = scan x_t in x carry h = zeros([batch, n]), c = zeros([batch, n]) {{
  z = x_t @ wx + h @ wh + b
  c = sigmoid(z[:, n : 2 * n]) * c + sigmoid(z[:, :n]) * tanh(z[:, 2 * n : 3 * n])
  h = sigmoid(z[:, 3 * n :]) * tanh(c)
  yield h
}}
output l = mean(hs ** 2)
output dl_dwx, dl_dwh, dl_db = grad(l, [wx, wh, b])
"""
PEERS = {"dfg": None, "torch": "torch", "torch loop": "torch", "jax": "jax"}


def measure(report: Report, size: str) -> None:
    steps = (64,) if size == "quick" else (256, 1024, 4096)
    rounds = 1 if size == "quick" else 3
    peers = [name for name, module in PEERS.items() if module is None or importable(module) is not None]
    rows: list[list[object]] = []
    for t in steps:
        taken: dict[str, list[dict[str, float]]] = {p: [] for p in peers}
        for _ in range(rounds):
            for p in peers:
                taken[p].append(fresh("benchmarks.lstm", p, str(t)))
        losses = {p: taken[p][0]["loss"] for p in peers}
        if any(abs(v - losses["dfg"]) > 1e-4 * abs(losses["dfg"]) for v in losses.values()):
            raise SystemExit(f"the losses differ: {losses}")
        own = statistics.median(r["call"] for r in taken["dfg"])
        for p in peers:
            call = statistics.median(r["call"] for r in taken[p])
            rows.append([f"{t:,}", p, statistics.median(r["compile"] for r in taken[p]), call * 1e3, call / own, statistics.median(r["memory"] for r in taken[p]) / 1e6,
                         f"{taken[p][0]['plan'] / 1e6:.1f}" if "plan" in taken[p][0] else ""])  # fmt: skip
    report.table(
        f"value and gradient, batch {BATCH}, {WIDTH} to {UNITS} units, f32",
        ["steps", "", "compile s", "call ms", "ratio to dfg", "memory MB", "planned MB"],
        rows,
    )
    report.note(
        "Medians of three processes each, in turns. Memory is the peak of the resident memory during the first call of that length, above what was resident before it "
        "(after a call of four steps), so for JAX it holds the compiler's own memory too. One trace of one gate is "
        + ", ".join(f"{t * BATCH * UNITS * 4 / 1e6:.1f} MB at {t:,} steps" for t in steps)
        + "."
    )


def one(peer: str, t: int) -> None:
    rng = np.random.default_rng(0)
    small, x = (rng.standard_normal((k, BATCH, WIDTH)).astype(np.float32) for k in (4, t))
    weights = [(0.1 * rng.standard_normal(s)).astype(np.float32) for s in ((WIDTH, 4 * UNITS), (UNITS, 4 * UNITS))] + [np.zeros(4 * UNITS, np.float32)]
    make = {"dfg": by_dfg, "torch": by_torch, "torch loop": by_torch_loop, "jax": by_jax}[peer]
    make(weights)[0](small)  # imports, BLAS and thread pools, which no later program pays again
    start = time.perf_counter()
    call, plan = make(weights)
    if peer != "jax":  # JAX compiles for each length
        call(small)
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    before = resident("VmRSS")
    loss = call(x)
    first = time.perf_counter() - start
    memory = resident("VmHWM") - before
    times = []
    until = time.perf_counter() + 2
    while len(times) < 3 or (time.perf_counter() < until and len(times) < 50):
        begun = time.perf_counter()
        call(x)
        times.append(time.perf_counter() - begun)
    usual = statistics.median(times)
    made = {"loss": loss, "compile": max(first - usual, 0.0), "call": usual, "memory": memory}
    if plan is not None:
        made["plan"] = plan(t)
    print(json.dumps(made))


Made = tuple[Callable[[np.ndarray], float], Callable[[int], float] | None]


def by_dfg(weights: list[np.ndarray]) -> Made:
    import dfg

    fn = dfg.compile(dfg.loads(TEXT.format(units=UNITS)))
    for name, w in zip(("wx", "wh", "b"), weights, strict=True):
        fn.params[name] = w
    return lambda x: float(fn(x=x)["l"]), lambda t: fn.cost(t=t, batch=BATCH, width=WIDTH).peak


def by_torch(weights: list[np.ndarray]) -> Made:
    import torch

    lstm = torch.nn.LSTM(WIDTH, UNITS)
    wx, wh, b = weights
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(torch.from_numpy(wx.T.copy()))
        lstm.weight_hh_l0.copy_(torch.from_numpy(wh.T.copy()))
        lstm.bias_ih_l0.copy_(torch.from_numpy(b))
        lstm.bias_hh_l0.zero_()

    def call(x: np.ndarray) -> float:
        loss = lstm(torch.from_numpy(x))[0].square().mean()
        torch.autograd.grad(loss, [lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0])
        return float(loss.detach())

    return call, None


def by_torch_loop(weights: list[np.ndarray]) -> Made:
    import torch

    wx, wh, b = (torch.from_numpy(w.copy()).requires_grad_() for w in weights)

    def call(x: np.ndarray) -> float:
        h = c = torch.zeros(BATCH, UNITS)
        hs = []
        for x_t in torch.from_numpy(x):
            i, f, g, o = (x_t @ wx + h @ wh + b).split(UNITS, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            hs.append(h)
        loss = torch.stack(hs).square().mean()
        torch.autograd.grad(loss, [wx, wh, b])
        return float(loss.detach())

    return call, None


def by_jax(weights: list[np.ndarray]) -> Made:
    import jax
    import jax.numpy as jnp

    def objective(w: tuple[Any, ...], x: Any) -> Any:
        wx, wh, b = w

        def step(carry: Any, x_t: Any) -> Any:
            h, c = carry
            i, f, g, o = jnp.split(x_t @ wx + h @ wh + b, 4, 1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        start = jnp.zeros((BATCH, UNITS), jnp.float32)
        return jnp.mean(jax.lax.scan(step, (start, start), x)[1] ** 2)

    given = tuple(jnp.asarray(w) for w in weights)
    both = jax.jit(jax.value_and_grad(objective))

    def call(x: np.ndarray) -> float:
        loss, made = both(given, jnp.asarray(x))
        jax.block_until_ready(made)
        return float(loss)

    return call, None


if __name__ == "__main__":
    one(sys.argv[1], int(sys.argv[2]))
