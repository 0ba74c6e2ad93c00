"""Loops in loops: derivatives of generated programs against the same programs unrolled, one forward loop however much is asked of it, and what is stacked."""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np
import pytest
from nested_programs import looped, make_program, unrolled

from dfg.backends.numpy import NumpyRuntime
from dfg.codegen.interpret import interpret
from dfg.ir import Graph, Subgraph, Value, verify
from dfg.ops.base import OPS
from dfg.ops.calculus import emit_grad
from dfg.passes.manager import PIPELINE, run_pipeline
from dfg.passes.planner import compile_plan

pytestmark = pytest.mark.filterwarnings("ignore:.*while-limit:RuntimeWarning")


def derivatives(g: Graph, loss: Value, leaves: list[Value], order: int) -> Graph:
    """The loss and its derivatives: each order differentiates the sum of the squares of the one before."""
    outs = [loss]
    for _ in range(order):
        made = emit_grad(loss, leaves)
        outs += made
        total = None
        for d in made:
            term = OPS["sum"](d * d, axes=tuple(range(d.rank)))
            total = term if total is None else total + term
        assert total is not None
        loss = total
    g.roots.outputs.update({str(k): v for k, v in enumerate(outs)})
    clean = run_pipeline(g, PIPELINE)
    verify(clean, "differentiated")
    return clean


def evaluated(clean: Graph, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    env = {v.index: arrays[v.attrs[0]] for v in clean.values if v.op.name == "input"}
    with np.errstate(all="ignore"):
        return [np.asarray(a) for a in interpret(list(clean.roots.outputs.values()), env, {})]


def check(seed: int, depth: int, order: int) -> None:
    program = make_program(random.Random(seed), depth)
    rng = np.random.default_rng(seed)
    arrays = {"u": rng.normal(size=2), "v": rng.normal(size=2), "w": rng.normal(size=(2, 2)), "xs": rng.normal(size=(3, 2))}
    g, flat = Graph(), Graph()
    clean = derivatives(g, *looped(g, program), order)
    want = evaluated(derivatives(flat, *unrolled(flat, program, arrays), order), arrays)
    used = {v.attrs[0] for v in clean.live(clean.roots.values()) if v.op.name == "input"}
    runtime = NumpyRuntime(compile_plan(clean))
    with np.errstate(all="ignore"):
        ran = runtime.run({n: a for n, a in arrays.items() if n in used})
    for k, (a, b, c) in enumerate(zip(evaluated(clean, arrays), want, [ran[n] for n in clean.roots.outputs], strict=True)):
        scale = max(1.0, float(np.abs(b).max()))
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9 * scale, err_msg=f"seed {seed}, output {k}: loops against unrolled")
        np.testing.assert_allclose(c, a, rtol=1e-9, atol=1e-10 * scale, err_msg=f"seed {seed}, output {k}: the plan against the oracle")


@pytest.mark.parametrize("seed", range(40))
def test_loops_in_loops_differentiate_twice(seed: int) -> None:
    check(seed, 1 + seed % 3, 2)


@pytest.mark.parametrize("seed", range(100, 106))
def test_loops_in_loops_differentiate_three_times(seed: int) -> None:
    check(seed, 2, 3)


def loops(graphs: Iterable[Graph]) -> list[Value]:
    """All loops, those in bodies too."""
    pending = list(graphs)
    found: list[Value] = []
    while pending:
        for v in pending.pop().values:
            inner = [a.graph for a in v.attrs if isinstance(a, Subgraph)]
            if inner:
                found.append(v)
                pending += inner
    return found
