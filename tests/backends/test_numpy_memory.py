"""Memory: a warm call allocates its outputs and declared workspace, and the plan's figure is what a fresh process takes."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from graphs import Body, Make, dims, loop, part_of, plan_of, trace_of

from dfg.backends.numpy import NumpyRuntime
from dfg.dims import named
from dfg.ir import Graph
from dfg.ops.base import OPS
from dfg.passes.planner import compile_plan
from dfg.types import F64, I64, TensorType

BUFFERS = 4 * 66_000
"""NumPy's iteration buffers, and small objects."""


def chain() -> tuple[Graph, dict[str, np.ndarray]]:
    m = Make()
    x, w, c = m.input("x", "n 64"), m.input("w", "64 64"), m.input("c", "64")
    h = m.f("tanh", m.f("add", m.f("matmul", x, w), c))
    h2 = m.f("where", m.f("less", h, 0.0), m.f("multiply", h, 0.1), h)
    top = m.f("max", h2, axis=1, keepdims=True)
    e = m.f("exp", m.f("subtract", h2, top))
    p = m.f("divide", e, m.f("sum", e, axis=1, keepdims=True))
    dw = m.f("einsum", "ni,nj->ij", x, p)
    rng = np.random.default_rng(0)
    return m.done({"loss": m.f("sum", m.f("power", p, 2)), "dw": dw}), {"x": rng.normal(size=(4096, 64)), "w": rng.normal(size=(64, 64)), "c": rng.normal(size=64)}


def moving() -> tuple[Graph, dict[str, np.ndarray]]:
    m = Make()
    x, i = m.input("x", "n 32"), m.input("i", "k", I64)
    taken = OPS["gather"](x, i, axes=(0,), batch=0)
    added = OPS["scatter"](m.f("zeros", (named("n"), 32)), taken, i, axes=(0,), batch=0, mode="add")
    put = OPS["update"](added, m.f("multiply", taken, 2.0), starts=(0, 0), strides=(1, 1)) if False else added
    joined = m.f("concat", [put, x], 1)
    turned = m.f("permute_dims", joined, (1, 0))
    flat = m.f("reshape", turned, (64 * named("n"),))
    rng = np.random.default_rng(0)
    return m.done({"s": m.f("sum", flat), "m": m.f("max", turned, axis=1)}), {"x": rng.normal(size=(20_000, 32)), "i": rng.integers(0, 20_000, 5000)}


def recurrent() -> tuple[Graph, dict[str, np.ndarray]]:
    m = Make()
    x, h0, w = m.input("x", "t n"), m.input("h0", "n"), m.input("w", "n n")
    body = Body(m)
    h, row, ww = body.arg(h0.type), body.arg(TensorType(F64, dims("n"))), body.arg(w.type)
    inner = body.f("add", body.f("einsum", "i,ij->j", h, ww), row)
    new = body.f("tanh", inner)
    v, mapping = loop(m, body, [h0, x, w], [new, new], 1, 1, named("t"))
    rng = np.random.default_rng(0)
    outs = {"h": part_of(v, 0), "s": m.f("sum", m.f("multiply", part_of(v, 1), trace_of(v, mapping[inner.index])))}
    return m.done(outs), {"x": rng.normal(size=(300, 200)), "h0": rng.normal(size=200), "w": rng.normal(size=(200, 200)) * 0.1}


@pytest.mark.parametrize("make", [chain, moving, recurrent])
def test_a_warm_call_allocates_its_outputs_only(make: object) -> None:
    graph, data = make()  # type: ignore[operator]
    runtime = NumpyRuntime(plan_of(graph))
    runtime.run(data)
    runtime.run(data)
    sizes = {"n": 0, "t": 0, "k": 0} | {str(d): s for f in runtime.plan.inputs for d, s in zip(f.type.shape, data[f.name].shape, strict=True)}
    memory = runtime.plan.memory(sizes)
    tracemalloc.start()
    try:
        out = runtime.run(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(a.nbytes for a in out.values()) == memory.outputs
    assert peak <= memory.outputs + memory.workspace + BUFFERS
    assert memory.workspace == 0
    assert memory.arena > 10 * BUFFERS or make is recurrent


def test_the_first_call_takes_what_the_plan_says() -> None:
    graph, data = chain()
    runtime = NumpyRuntime(plan_of(graph))
    small = {"x": data["x"][:2], "w": data["w"], "c": data["c"]}
    runtime.run(small)
    memory = runtime.plan.memory({"n": 4096})
    tracemalloc.start()
    try:
        runtime.run(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert abs(peak - memory.peak) < BUFFERS


def test_residuals_share_memory_over_time() -> None:
    """A chain of a hundred elementwise ops forward and back takes the residuals and a few more, not two hundred."""
    m = Make()
    x = m.input("x", "n")
    values, v = [], x
    for _ in range(100):
        v = m.f("sin", v)
        values.append(v)
    for w in reversed(values):
        v = m.f("multiply", v, w)
    plan = compile_plan(m.done({"o": m.f("sum", v)}))
    assert plan.memory({"n": 1000}).arena <= 101 * 8064


def test_slots_fit_other_sizes_than_the_hints() -> None:
    m = Make()
    x, y = m.input("x", "n"), m.input("y", "m")
    a = m.f("sum", m.f("exp", m.f("sin", x)))
    b = m.f("sum", m.f("exp", m.f("sin", y)))
    graph = m.done({"o": m.f("add", a, b)})
    plan = compile_plan(graph, hints={"n": 1000, "m": 900})
    assert plan.memory({"n": 10, "m": 100_000}).arena < 810_000
    out = NumpyRuntime(plan)(x=np.ones(10), y=np.ones(100_000))
    np.testing.assert_allclose(out["o"], 100_010 * np.exp(np.sin(1.0)))


RSS = """
import resource, sys
sys.path.insert(0, {here!r})
import numpy as np
from graphs import Make, plan_of
from dfg.backends.numpy import NumpyRuntime
m = Make()
x, w = m.input("x", "n 100"), m.input("w", "100 100")
h = m.f("tanh", m.f("matmul", x, w))
e = m.f("exp", m.f("subtract", h, m.f("max", h, axis=1, keepdims=True)))
p = m.f("divide", e, m.f("sum", e, axis=1, keepdims=True))
graph = m.done({{"p": p, "dw": m.f("einsum", "ni,nj->ij", x, p), "g": m.f("multiply", p, m.f("subtract", 1.0, m.f("multiply", h, h)))}})
runtime = NumpyRuntime(plan_of(graph))
rng = np.random.default_rng(0)
w_ = rng.normal(size=(100, 100)) * 0.01
runtime.run({{"x": np.zeros((300, 100)), "w": w_}})
runtime.run({{"x": np.zeros((301, 100)), "w": w_}})
data = {{"x": rng.normal(size=({rows}, 100)), "w": w_}}
now = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024
before = now()
here = int(open("/proc/self/status").read().split("VmRSS:")[1].split()[0]) * 1024
out = runtime.run(data)
print(runtime.plan.memory({{"n": {rows}}}).peak, now() - here)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads resident memory from /proc")
def test_resident_peak_of_a_fresh_process_is_the_plans_figure() -> None:
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", RSS.format(here=str(here), rows=40_000)], capture_output=True, text=True, check=True, cwd=here.parent.parent,
        env={"PYTHONPATH": str(here.parent.parent), "OPENBLAS_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
    )
    planned, measured = map(int, done.stdout.split())
    assert planned > 90_000_000
    assert abs(planned - measured) < 1_000_000
