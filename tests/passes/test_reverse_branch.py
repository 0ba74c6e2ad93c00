"""Derivatives of `cond` and `while` at orders 1 and 2."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dfg.codegen.interpret import interpret
from dfg.ir import Graph, Value, seal
from dfg.ops.base import OPS, full, project
from dfg.ops.calculus import emit_grad
from dfg.ops.leaf import arg
from dfg.passes.manager import PIPELINE, run_pipeline
from dfg.types import F64, TensorType

SCALAR = TensorType(F64)


def run(build: Callable[[Graph, Value], Value], x: float | np.ndarray, orders: int = 2) -> list[np.ndarray]:
    g = Graph()
    leaf = g.emit(OPS["input"], (), ("x", TensorType(F64, np.shape(x))))
    y = build(g, leaf)
    outs = [y]
    for _ in range(orders):
        loss = OPS["sum"](outs[-1], axes=tuple(range(outs[-1].rank))) if outs[-1].rank else outs[-1]
        outs.append(emit_grad(loss, [leaf])[0])
    g.roots.outputs.update({str(k): v for k, v in enumerate(outs)})
    clean = run_pipeline(g, PIPELINE)
    env = {v.index: np.asarray(x) for v in clean.values if v.op.name == "input"}
    with np.errstate(all="ignore"):
        return [np.asarray(a) for a in interpret(list(clean.roots.outputs.values()), env, {})]


def body(g: Graph, types: list[TensorType], f: Callable[..., list[Value]]) -> object:
    inner = g.like()
    args = [inner.emit(arg, (), (k, t)) for k, t in enumerate(types)]
    return seal(inner, args, f(*args))[0]


def newton(g: Graph, a: Value) -> Value:
    """The square root of a by Newton's iteration."""
    types = [SCALAR, SCALAR]
    test = body(g, types, lambda z, c: [OPS["maximum"](z * z - c, c - z * z) > 1e-12])
    step = body(g, types, lambda z, c: [0.5 * (z + c / z)])
    return project(g.emit(OPS["while"], (a, a), (test, step, 50, 1)))[0]


@pytest.mark.parametrize("a", [0.3, 2.0, 7.5])
def test_newton_root_differentiates_twice(a: float) -> None:
    z, dz, d2z, d3z = run(newton, a, 3)
    assert np.isclose(z, a**0.5, rtol=1e-12)
    assert np.isclose(dz, 0.5 * a**-0.5, rtol=1e-9)
    assert np.isclose(d2z, -0.25 * a**-1.5, rtol=1e-7)
    assert np.isclose(d3z, 0.375 * a**-2.5, rtol=1e-5)


def test_a_while_that_never_runs_is_its_start() -> None:
    def build(g: Graph, x: Value) -> Value:
        test = body(g, [SCALAR], lambda z: [z > 1e9])
        step = body(g, [SCALAR], lambda z: [z * z])
        return project(g.emit(OPS["while"], (x * 3.0,), (test, step, 5, 1)))[0]

    assert [float(v) for v in run(build, 2.0)] == [6.0, 3.0, 0.0]


def test_a_while_stops_at_its_most() -> None:
    def build(g: Graph, x: Value) -> Value:
        test = body(g, [SCALAR], lambda z: [z < 1e9])
        step = body(g, [SCALAR], lambda z: [z * 2.0])
        return project(g.emit(OPS["while"], (x,), (test, step, 3, 1)))[0]

    assert [float(v) for v in run(build, 2.0)] == [16.0, 8.0, 0.0]


def branches(g: Graph, x: Value) -> Value:
    """log(x)**2 * x where x > 0 as a whole, else a constant."""
    p = x > 0.0
    then = body(g, [SCALAR], lambda v: [OPS["log"](v) * OPS["log"](v) * v])
    other = body(g, [SCALAR], lambda v: [full(v.graph, 3.0, SCALAR)])
    return project(g.emit(OPS["cond"], (p, x), (then, other)))[0]


def test_only_the_chosen_branch_contributes() -> None:
    x = 2.5
    got = run(branches, x)
    want = [np.log(x) ** 2 * x, np.log(x) ** 2 + 2 * np.log(x), 2 * np.log(x) / x + 2 / x]
    np.testing.assert_allclose([float(v) for v in got], want, rtol=1e-12)
    assert [float(v) for v in run(branches, 0.0)] == [3.0, 0.0, 0.0]
    assert [float(v) for v in run(branches, -1.0)] == [3.0, 0.0, 0.0]


def test_a_singular_value_outside_a_branch_that_does_not_use_it_is_dead() -> None:
    def build(g: Graph, x: Value) -> Value:
        s = OPS["sqrt"](x)
        then = body(g, [SCALAR, SCALAR], lambda v, w: [v * v])
        other = body(g, [SCALAR, SCALAR], lambda v, w: [w * 2.0])
        return project(g.emit(OPS["cond"], (x > 0.0, s, x), (then, other)))[0]

    assert [float(v) for v in run(build, 0.0)] == [0.0, 2.0, 0.0]
    np.testing.assert_allclose([float(v) for v in run(build, 4.0)], [4.0, 1.0, 0.0], atol=1e-15)
