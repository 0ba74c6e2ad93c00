"""Derivatives of `scan` against the same program unrolled, at orders 1 and 2, with carries, yields, captures and traces."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from dfg.codegen.interpret import interpret
from dfg.ir import Graph, Value, seal
from dfg.ops.base import OPS, project
from dfg.ops.calculus import emit_grad
from dfg.ops.functions.products import matmul
from dfg.ops.leaf import arg
from dfg.ops.surface import Surface
from dfg.passes.manager import PIPELINE, run_pipeline
from dfg.types import F64, TensorType

Body = Callable[[Surface, Sequence[Value], Sequence[Value], Sequence[Value]], tuple[list[Value], list[Value]]]
D = 3


def tensor(*shape: int) -> TensorType:
    return TensorType(F64, shape)


def rnn(cx: Surface, carry: Sequence[Value], xs: Sequence[Value], captures: Sequence[Value]) -> tuple[list[Value], list[Value]]:
    w, u, b = captures
    h = OPS["tanh"](matmul(cx, xs[0], w) + matmul(cx, carry[0], u) + b)
    return [h], [h]


def product(cx: Surface, carry: Sequence[Value], xs: Sequence[Value], captures: Sequence[Value]) -> tuple[list[Value], list[Value]]:
    w, _, b = captures
    return [carry[0] * xs[0] + b], [OPS["sin"](carry[0] * b) + matmul(cx, xs[0], w)]


def two_paths(cx: Surface, carry: Sequence[Value], xs: Sequence[Value], captures: Sequence[Value]) -> tuple[list[Value], list[Value]]:
    w, u, b = captures
    big = OPS["exp"](b) * carry[0]
    return [OPS["where"](xs[0] > 0.1, big * xs[0], carry[0])], [matmul(cx, big, matmul(cx, w, u)) * carry[0]]


def build(g: Graph, body: Body, steps: int, unrolled: bool, reverse: bool, use: str) -> list[Value]:
    cx = Surface(g)
    leaves = {n: g.emit(OPS["input"], (), (n, t)) for n, t in
              {"h0": tensor(D), "xs": tensor(steps, D), "w": tensor(D, D), "u": tensor(D, D), "b": tensor(D)}.items()}
    h0, xs, *captures = leaves.values()
    if unrolled:
        carry: list[Value] = [h0]
        ys: list[Value | None] = [None] * steps
        for t in reversed(range(steps)) if reverse else range(steps):
            row = OPS["reshape"](OPS["slice"](xs, starts=(t, 0), sizes=(1, D), strides=(1, 1)), shape=(D,))
            carry, (y,) = body(cx, carry, [row], captures)
            ys[t] = OPS["reshape"](y, shape=(1, D))
        final, stack = carry[0], OPS["concat"](*[y for y in ys if y is not None], axis=0)
    else:
        inner = g.like()
        args = [inner.emit(arg, (), (k, t)) for k, t in enumerate([tensor(D), tensor(D), tensor(D, D), tensor(D, D), tensor(D)])]
        nxt, yielded = body(Surface(inner), args[:1], args[1:2], args[2:])
        sub, _ = seal(inner, args, [*nxt, *yielded])
        final, stack = project(g.emit(OPS["scan"], (h0, xs, *captures), (sub, steps, 1, 1, reverse)))
    used = {"both": [final, stack], "final": [final], "stack": [stack]}[use]
    terms = [OPS["sum"](v * v * v, axes=tuple(range(v.rank))) for v in used]
    loss = terms[0] if len(terms) == 1 else terms[0] + terms[1]
    first = emit_grad(loss, list(leaves.values()))
    mixed = [OPS["sum"](d * d, axes=tuple(range(d.rank))) for d in first]
    total = mixed[0]
    for m in mixed[1:]:
        total = total + m
    return [loss, *first, *emit_grad(total, list(leaves.values()))]


def values(body: Body, steps: int, unrolled: bool, reverse: bool, use: str) -> list[np.ndarray]:
    g = Graph()
    g.roots.outputs.update({str(k): v for k, v in enumerate(build(g, body, steps, unrolled, reverse, use))})
    clean = run_pipeline(g, PIPELINE)
    rng = np.random.default_rng(4)
    arrays = {"h0": rng.normal(size=D), "xs": rng.normal(size=(steps, D)), "w": rng.normal(size=(D, D)), "u": rng.normal(size=(D, D)), "b": rng.normal(size=D)}
    env = {v.index: arrays[v.attrs[0]] for v in clean.values if v.op.name == "input"}
    return interpret(list(clean.roots.outputs.values()), env, {})


@pytest.mark.parametrize("use", ["both", "final", "stack"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("body", [rnn, product, two_paths])
def test_derivatives_equal_those_of_the_unrolled_program(body: Body, reverse: bool, use: str) -> None:
    for steps in (1, 4):
        got = values(body, steps, False, reverse, use)
        want = values(body, steps, True, reverse, use)
        for k, (a, b) in enumerate(zip(got, want, strict=True)):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11 * max(1.0, float(np.abs(b).max())), err_msg=str(k))


def test_no_second_forward_loop_exists() -> None:
    g = Graph()
    outs = build(g, rnn, 4, False, False, "both")
    g.roots.outputs.update({str(k): v for k, v in enumerate(outs[:6])})
    clean = run_pipeline(g, PIPELINE)
    loops = [v for v in clean.values if v.op.name == "scan"]
    assert [v.attr("reverse") for v in loops] == [False, True]
    assert any(v.op.name == "contract" and v.operands[0].rank == 2 for v in clean.live(clean.roots.values())), "the weights' gradients are lifted"
    empty = values(rnn, 0, False, False, "both")
    assert all(np.isfinite(a).all() for a in empty)
