"""The lesson's value and gradients: a call on one element, where Python is all that costs, and on many, where memory is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import dfg
from benchmarks.harness import Report, importable, in_turns

TEXT = """
input x, ystar : {dtype}[n]
param w : {dtype} = 0.5
param b : {dtype} = 0.1
y = exp(w * x + b)
l = sum((y - ystar) ** 2)
output l
output dl_dw, dl_db = grad(l, [w, b])
"""


def measure(report: Report, size: str) -> None:
    many = {"quick": 10**5, "usual": 10**7, "full": 10**7}[size]
    for dtype in ("float64", "float32"):
        compare(report, dtype, 1, 15)
        compare(report, dtype, many, 7)
    report.note(
        "The first line of a table is what ratios are taken to. `raw` writes to the caller's arrays. `NumPy by hand` is the formula as one writes it; `NumPy, planned` "
        "writes into arrays made once. Targets on one element: keywords 8 us, raw 6 us."
    )


def compare(report: Report, dtype: str, n: int, rounds: int) -> None:
    rng = np.random.default_rng(0)
    x, target = rng.uniform(-1, 1, n).astype(dtype), rng.uniform(0, 2, n).astype(dtype)
    fn = dfg.compile(dfg.loads(TEXT.format(dtype={"float64": "f64", "float32": "f32"}[dtype])))
    outs = tuple(np.zeros((), dtype) for _ in fn.outputs)
    made: dict[str, Callable[[], Any]] = {"NumPy by hand": by_hand(x, target), "NumPy, planned": planned(x, target)}
    made["dfg, keywords"] = lambda: tuple(fn(x=x, ystar=target).values())
    made["dfg, raw"] = lambda: fn.raw(x, target, out=outs)
    made.update(peers(x, target))
    want = [float(v) for v in made["NumPy by hand"]()]
    for name, f in made.items():
        got = [float(v) for v in f()]
        if not np.allclose(got, want, rtol=1e-9 if dtype == "float64" else 2e-3):
            raise SystemExit(f"{name} gives {got}, not {want}")
    unit, scale = ("us", 1e6) if n == 1 else ("ms", 1e3)
    rows = [[name, median * scale, least * scale, ratio] for name, (median, least, ratio) in in_turns(made, rounds).items()]
    report.table(f"{n:,} element{'s' if n > 1 else ''}, {dtype}", ["", f"median {unit}", f"least {unit}", "ratio"], rows)


def by_hand(x: np.ndarray, target: np.ndarray) -> Callable[[], Any]:
    w, b = x.dtype.type(0.5), x.dtype.type(0.1)

    def f() -> tuple[Any, ...]:
        y = np.exp(w * x + b)
        r = y - target
        slope = 2 * r * y
        return np.sum(r**2), np.sum(slope * x), np.sum(slope)

    return f


def planned(x: np.ndarray, target: np.ndarray) -> Callable[[], Any]:
    w, b = x.dtype.type(0.5), x.dtype.type(0.1)
    y, r = np.empty_like(x), np.empty_like(x)

    def f() -> tuple[Any, ...]:
        np.multiply(x, w, y)
        np.add(y, b, y)
        np.exp(y, y)
        np.subtract(y, target, r)
        loss = np.dot(r, r)
        np.multiply(r, y, r)
        return loss, 2 * np.dot(r, x), 2 * np.sum(r)

    return f


def peers(x: np.ndarray, target: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Those of PyTorch and JAX that are installed."""
    made: dict[str, Callable[[], Any]] = {}
    torch = importable("torch")
    if torch is not None:
        tx, ty = torch.from_numpy(x), torch.from_numpy(target)
        tw, tb = (torch.tensor(v, dtype=tx.dtype, requires_grad=True) for v in (0.5, 0.1))

        def eager() -> tuple[Any, ...]:
            loss = ((torch.exp(tw * tx + tb) - ty) ** 2).sum()
            return (loss.detach(), *torch.autograd.grad(loss, (tw, tb)))

        made["PyTorch, eager"] = eager
    jax = importable("jax")
    if jax is not None:
        jax.config.update("jax_enable_x64", True)
        jnp = jax.numpy
        value = jax.jit(jax.value_and_grad(lambda w, b, x, y: jnp.sum((jnp.exp(w * x + b) - y) ** 2), argnums=(0, 1)))
        given = [jnp.asarray(v, x.dtype) for v in (0.5, 0.1, x, target)]

        def jitted() -> tuple[Any, ...]:
            loss, (dw, db) = jax.block_until_ready(value(*given))
            return loss, dw, db

        made["JAX, jit"] = jitted
    return made
