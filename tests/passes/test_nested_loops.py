"""Loops in loops: derivatives of generated programs against the same programs unrolled, one forward loop however much is asked of it, and what is stacked."""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np
import pytest
from nested_programs import looped, make_program, unrolled

from dfg.api import compile as compile_program
from dfg.api import loads
from dfg.backends.numpy import NumpyRuntime
from dfg.codegen.interpret import interpret
from dfg.ir import Graph, Subgraph, Value, verify
from dfg.ops.base import OPS
from dfg.ops.calculus import emit_grad
from dfg.passes.manager import PIPELINE, run_pipeline
from dfg.passes.planner import compile_plan
from dfg.plan import Loop

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


@pytest.mark.parametrize("seed", [*range(40), 20226])
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


# --- what stands in the graph ------------------------------------------------------------------------------------------------------------

NESTED = """
input xs : f64[n, 3]
input ws : f64[m, 3, 3]
param h0 : f64[3] = [0.1, 0.2, 0.3]
param b : f64[3] = 0.1
BODY
l = sum(h ** 2)
output l
ASK
"""
BODIES = {
    "scan in scan": "h = scan x in xs carry h = h0 {\n  g = scan w in ws carry g = h { g = tanh(g @ w + x * b) }\n  h = g\n}",
    "while in scan": "h = scan x in xs carry h = h0 {\n  g = while sum(g * g) < 9 max 4 carry g = h { g = g * 1.3 + sin(g * b) + x }\n  h = tanh(g)\n}",
    "cond in scan": "h = scan x in xs carry h = h0 { h = if x[0] > 0 { tanh(h * x + b) } else { sin(h) * b } }",
    "scan in cond": "h = if h0[0] > 0 { scan w in ws carry g = h0 { g = tanh(g @ w + b) } } else { h0 * b }",
    "scan in while": "h = while sum(h * h) < 9 max 5 carry h = h0 {\n  g = scan w in ws carry g = h { g = tanh(g @ w + b) }\n  h = h + 0.9 + g\n}",
    "three deep": "h = scan x in xs carry h = h0 {\n  h = scan w in ws carry g = h {\n    g = scan v in ws carry f = g { f = tanh(f @ v + x) + sin(g @ w) * b }\n  }\n}",
}  # fmt: skip
ASKS = {1: "output d = grad(l, [h0, b])", 2: "d, e = grad(l, [h0, b])\noutput s = grad(sum(d ** 2) + sum(e ** 2), [h0, b])"}


def compiled(body: str, order: int) -> Graph:
    ask = "output d, e = grad(l, [h0, b])" if order == 1 else ASKS[2].replace("output s =", "output s, t =")
    return loads(NESTED.replace("BODY", body).replace("ASK", ask)).stage("clean")


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", BODIES)
def test_one_forward_loop_remains(name: str, order: int) -> None:
    """Each loop of the program runs forwards once: at order 1 there are its reverse beside it, at order 2 two more."""
    source = loads(NESTED.replace("BODY", BODIES[name]).replace("ASK", "")).stage("clean")
    own = len(loops([source]))
    clean = compiled(BODIES[name], order)
    live = clean.live(clean.roots.values())
    assert sum(v.op.name in ("scan", "while", "cond", "counted_scan") for v in live) == 2 * order
    assert len(loops([clean])) == 2 * order * own
    assert not any(v.op is OPS["inner_trace"] for v in clean.values)


@pytest.mark.parametrize("name", ["scan in scan", "three deep"])
def test_no_capture_is_summed_by_a_carry_of_its_size_where_steps_add_contractions(name: str) -> None:
    text = BODIES[name].replace("x * b", "x @ u").replace("sin(g @ w) * b", "sin(g @ u)")
    source = NESTED.replace("BODY", text).replace("ASK", "output du = grad(l, u)").replace("param b", "param u : f64[3, 3] = normal([3, 3], seed=2)\nparam b")
    clean = loads(source.replace("f64[m,", "f64[4,")).stage("clean")
    carried = [v.type.items[k].shape for v in loops([clean]) for k in range(v.attr("carries"))]
    assert (3, 3) not in carried
    assert any(v.op.name == "contract" and v.shape == (3, 3) for v in clean.live(clean.roots.values()))


def test_a_loop_of_no_step_sends_nothing_back_to_an_infinite_capture() -> None:
    """0 * inf is no zero: a factor is taken out of the sum over steps only where there is one."""
    text = "input xs : f64[n]\nparam w : f64 = 1.0\nparam c : f64 = inf\nh = scan x in xs carry h = 0.5 { h = h + w * c * x }\noutput d = grad(h, w)\n"
    fn = compile_program(loads(text))
    assert fn(xs=np.zeros(0))["d"] == 0.0
    assert fn(xs=np.ones(1))["d"] == np.inf


def test_gradients_asked_one_by_one_go_back_through_a_loop_once() -> None:
    ask = "output d = grad(l, h0)\noutput e = grad(l, b)\noutput f = grad(l, ws)"
    clean = loads(NESTED.replace("BODY", BODIES["scan in scan"]).replace("ASK", ask)).stage("clean")
    assert len(loops([clean])) == 4


def test_a_texts_traces_survive_stabilising() -> None:
    """A differentiated program read from its exact text, with a form in a body that stabilising changes, gives what it gave."""
    body = "h = scan x in xs carry h = h0 {\n  g = scan w in ws carry g = h { g = tanh(g @ w + x * b) }\n  h = log(1 + exp(g)) * b\n}"
    program = loads(NESTED.replace("BODY", body).replace("ASK", "output d, e = grad(l, [h0, b])"))
    arrays = {"xs": np.random.default_rng(0).normal(size=(3, 3)), "ws": np.random.default_rng(1).normal(size=(4, 3, 3))}
    want = compile_program(program)(**arrays)
    plain = Graph()
    plain = run_pipeline(program.graph, PIPELINE[1:])
    again = run_pipeline(plain, PIPELINE)
    assert again is not plain
    got = NumpyRuntime(compile_plan(again)).run(arrays)
    for k, a in want.items():
        np.testing.assert_allclose(got[k], a, rtol=1e-12, atol=1e-14)


# --- what is stacked ---------------------------------------------------------------------------------------------------------------------

CELL = """
use nn
input xs : f64[t, 4, 32]
param p = nn.CELL_init(32, 32, seed=1)
last, hs = nn.recurrent(nn.CELL, p, xs, START)
output loss = mean(HS ** 2)
output dx, dh, db = grad(loss, [p.x, p.h, p.b])
"""


@pytest.mark.parametrize(("cell", "rows"), [("lstm", 7 + 4 + 1), ("gru", 5 + 6 + 1)])
def test_the_gradient_of_a_cell_takes_the_traces_it_needs(cell: str, rows: int) -> None:
    """An LSTM needs its four gates, tanh(c), the old c and h, and stacks the cotangents of z (4) for the weights; a GRU two gates, the new state, the old one and a third of h @ p.h, and
    the cotangents of both products (3 each). One row more is the cotangent of the states that are the result. All the rest is as large for any number of steps."""
    text = CELL.replace("CELL", cell).replace("START", "nn.lstm_state([4, 32])" if cell == "lstm" else "zeros([4, 32])").replace("HS", "hs.h" if cell == "lstm" else "hs")
    fn = compile_program(loads(text))
    peaks = [fn.cost(t=t).peak for t in (256, 1024, 4096)]
    unit = 4 * 32 * 8
    assert (peaks[1] - peaks[0]) / (768 * unit) == pytest.approx(rows, abs=0.01)
    assert (peaks[2] - peaks[1]) / (3072 * unit) == pytest.approx(rows, abs=0.01)


def test_compiling_a_long_loop_takes_as_long_as_a_short_one() -> None:
    """Structure does not depend on the number of steps."""
    sizes = []
    for steps in ("8", "4096", "t"):
        text = CELL.replace("CELL", "lstm").replace("START", "nn.lstm_state([4, 32])").replace("HS", "hs.h").replace("f64[t,", f"f64[{steps},")
        plan = compile_plan(loads(text).stage("clean"))
        sizes.append((plan.count, len(plan.arrays)))
    assert sizes[0] == sizes[1]
    assert abs(sizes[2][0] - sizes[0][0]) <= 2


def test_a_view_of_a_row_is_made_before_the_loop() -> None:
    """Each step's views of stacks are rows of views that were made once."""
    g = loads("input xs : f64[n, 4, 6]\ninput w : f64[6, 2]\nparam b : f64[4] = 0\nhs = scan x in xs { yield tanh(x[:, 0:2] + x.T[:4].T[:, 1:3] * 2) }\noutput l = sum(hs)\n").stage("clean")
    plan = compile_plan(g)
    (loop,) = [s.inner for s in plan.walk() if isinstance(s.inner, Loop)]
    assert not any(s.kernel == "view" for s in loop.body)


def test_a_convolutions_kernel_is_differentiated_through_a_loop() -> None:
    text = "input xs : f64[3, 1, 5]\nparam k : f64[1, 1, 3] = [[[0.2, -0.4, 0.7]]]\ny = scan x in xs { yield tanh(conv1d(x[newaxis], k)) }\noutput l = sum(y ** 2)\noutput d = grad(l, k)\n"
    fn = compile_program(loads(text))
    xs = np.random.default_rng(3).normal(size=(3, 1, 5))
    got = fn(xs=xs)["d"].ravel()
    k = np.array([0.2, -0.4, 0.7])

    def loss(k: np.ndarray) -> float:
        return float(sum(np.tanh(np.correlate(x, k, "valid")) @ np.tanh(np.correlate(x, k, "valid")) for x in xs[:, 0]))

    want = [(loss(k + e) - loss(k - e)) / 2e-6 for e in 1e-6 * np.eye(3)]
    np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("sizes", [(1, 1), (0, 3), (3, 0), (2, 3)])
@pytest.mark.parametrize("name", BODIES)
def test_any_number_of_steps(name: str, sizes: tuple[int, int]) -> None:
    """The gradient by the captured vector against differences, for loops of no step and of one."""
    fn = compile_program(loads(NESTED.replace("BODY", BODIES[name]).replace("ASK", "output e = grad(l, b)")))
    rng = np.random.default_rng(5)
    arrays = {"xs": rng.normal(size=(sizes[0], 3)), "ws": rng.normal(size=(sizes[1], 3, 3))}
    used = {f.name for f in fn.plan.inputs}
    arrays = {k: a for k, a in arrays.items() if k in used}
    base = np.array([0.1, 0.15, 0.05])
    fn.params["b"] = base
    got = fn(**arrays)["e"]
    for k in range(3):
        values = []
        for eps in (1e-6, -1e-6):
            fn.params["b"] = base + eps * np.eye(3)[k]
            values.append(float(fn(**arrays)["l"]))
        assert got[k] == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5, abs=1e-8)
