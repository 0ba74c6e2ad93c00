"""Proof of the ops that have no samples of their own: leaves, loops, branches, derivatives. Each is proved by programs that cannot do without it.

A program has inputs `x` (and others) and a scalar `l`. It must contain the op at the stage at which the op lives, compute the same at every stage (which says that a
derivative equals what it is expanded to), and its gradient by each input at orders 1 and 2 must agree with central differences in a random direction.

>>> prove_structure("cond")
[]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from dfg.codegen.interpret import interpret
from dfg.dims import evaluate
from dfg.ir import Graph, Subgraph
from dfg.passes.manager import PIPELINE, Report, run_pipeline
from dfg.tools.examples import lowered

STEP: Final = 1e-5
TOLERANCE: Final = 1e-6
PROGRAMS: Final[dict[str, tuple[str, ...]]] = {
    "input": ("input x : f64[3]\nl = sum(x ** 3)\n",),
    "constant": ("input x : f64[3]\nl = sum(exp(x * [0.5, -1.0, 2.0]))\n",),
    "arg": ("input x : f64[3]\ny = scan a in x { yield a ** 3 }\nl = sum(y)\n",),
    "part": ("input x : f64[2, 2]\nq, r = qr(x + [[3.0, 0.0], [1.0, 2.0]])\nl = sum(q ** 3) + sum(r ** 2)\n",),
    "scan": (
        "input x : f64[4]\ninput w : f64\nh, hs = scan a in x carry h = 0.1 { h = tanh(w * h + a)\nyield h * a }\nl = h ** 2 + sum(hs ** 3)\n",
        "input x : f64[4]\ninput w : f64\nh = scan a in flip(x) carry h = w { h = sin(h * a) + w }\nl = h ** 3\n",
    ),
    "cond": (
        "input x : f64[3]\ninput w : f64\ny = if sum(x) > 100 { x * w } else { exp(w * x) }\nl = sum(y ** 2)\n",
        "input x : f64[3]\ninput w : f64\ny = if sum(x) < 100 { x ** 3 * w } else { exp(w * x) }\nl = sum(y ** 2)\n",
    ),
    "while": (
        "input x : f64\ninput w : f64\nz = while abs(z) < 20 max 30 carry z = x { z = z * w + 1.5 }\nl = z ** 2\n",
        "input x : f64\ninput w : f64\nz = while abs(z) < 0 max 30 carry z = x * w { z = z * w }\nl = z ** 3\n",
    ),
    "inner_trace": (
        "input x : f64[3, 2]\ninput w : f64\nh = scan r in x carry h = 0.1 {\n  h = scan a in r carry h = h { h = tanh(w * h + a) }\n}\nl = h ** 2\n",
        "input x : f64[3]\ninput w : f64\nys = scan a in x { yield if a > 0.8 { sin(w * a) } else { while abs(z) < 2 max 9 carry z = a { z = z * (1 + w) } } }\nl = sum(ys ** 2)\n",
    ),
    "custom": ("def cube(a) = a ** 3 with vjp(ct) = (3 * ct * a ** 2)\ninput x : f64[3]\nl = sum(cube(x) ** 2)\n",),
    "vjp": ("input x : f64[3]\ny = sin(x) * x\nl = sum(vjp(y, x, [1.0, 2.0, 3.0]) ** 2)\n",),
    "jvp": ("input x : f64[3]\ny = sin(x) * x\nl = sum(jvp(y, x, [1.0, 2.0, 3.0]) ** 2)\n",),
    "jacobian": ("input x : f64[3]\ny = cumulative_sum(x ** 3)\nl = sum(jacobian(y, x) ** 2)\n",),
    "param": ("input x : f64[3]\nparam w : f64 = 0.5\nl = sum((w * x) ** 3)\n",),
    "state": ("input x : f64[3]\nstate s : f64 = 0.5\nl = sum((s * x) ** 3)\n",),
}
ALSO: Final = {"trace": "scan", "counted_scan": "while"}
"""Ops that differentiation makes: proved by the programs of another."""
STAGES: Final = ("source", "stabilised", "differentiated", "clean")


def programs_of(name: str) -> tuple[str, ...]:
    """The programs that prove an op; none if it has samples of its own."""
    return PROGRAMS.get(ALSO.get(name, name), ())


def prove_structure(name: str, seed: int = 20261123) -> list[str]:
    """Everything that is found wrong; empty if nothing is."""
    found: list[str] = []
    seen = False
    for number, text in enumerate(programs_of(name)):
        source = lowered(f"{text}output l\n").graph
        graphs = {STAGES[k]: run_pipeline(source, PIPELINE[:k]) for k in range(len(STAGES))}
        rng = np.random.default_rng(seed)
        feeds = {v.attrs[0]: rng.uniform(0.4, 1.2, [evaluate(d, {}) for d in v.shape]) for v in source.values if v.op.name in ("input", "param", "state")}
        base = value(graphs["clean"], feeds)
        if not any(v.op.calculus for v in source.values):
            for stage, graph in graphs.items():
                if not np.isclose(value(graph, feeds), base, rtol=1e-10, atol=1e-12):
                    found.append(f"program {number}: another value at the stage `{stage}`")
        seen = seen or any(name in ops_in(g) for g in graphs.values())
        targets = [v.attrs[0] for v in source.values if v.op.name in ("input", "param")]
        for order in (1, 2):
            report = Report()
            differentiated = gradient_graph(text, targets, order, report)
            seen = seen or name in ops_in(differentiated) or name in report.fired  # what is gone when differentiation ends is counted
            found += [f"program {number}, order {order}: {what}" for what in compare(differentiated, feeds, targets, rng)]
    if not seen:
        found.append("no program holds it")
    return [f"{name}, {text}" for text in found]


def gradient_graph(text: str, targets: list[str], order: int, report: Report | None = None) -> Graph:
    """The scalar to differentiate as `form`, and its gradients `d_...`: at order 2 the scalar is a combination of the first gradients."""
    lines = [text.rstrip("\n")]
    loss = "l"
    if order == 2:
        lines += [f"{', '.join(f'g_{t}' for t in targets)} = grad(l, [{', '.join(targets)}])"]
        lines += [f"form = {' + '.join(f'sum(sin(g_{t} + {k}))' for k, t in enumerate(targets))}"]
        loss = "form"
    lines += [f"output {loss}", f"output {', '.join(f'd_{t}' for t in targets)} = grad({loss}, [{', '.join(targets)}])", ""]
    return run_pipeline(lowered("\n".join(lines)).graph, PIPELINE, report)


def compare(graph: Graph, feeds: Mapping[str, np.ndarray], targets: list[str], rng: np.random.Generator) -> list[str]:
    """Each gradient against central differences of the first output."""
    names = list(graph.roots.outputs)
    found = []
    for t in targets:
        direction = rng.normal(size=feeds[t].shape)
        up = value(graph, {**feeds, t: feeds[t] + STEP * direction}, names[0])
        down = value(graph, {**feeds, t: feeds[t] - STEP * direction}, names[0])
        numeric = (up - down) / (2 * STEP)
        exact = float(np.sum(array(graph, feeds, f"d_{t}") * direction))
        if not abs(exact - numeric) <= TOLERANCE * max(1.0, abs(numeric)):
            found.append(f"the gradient by `{t}` is {exact:.10g} in a direction, differences give {numeric:.10g}")
    return found


def array(graph: Graph, feeds: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    env = {v.index: feeds[v.attrs[0]] for v in graph.values if v.op.leaf and v.op.name in ("input", "param", "state")}
    return np.asarray(interpret([graph.roots.outputs[name]], env, {})[0])


def value(graph: Graph, feeds: Mapping[str, np.ndarray], name: str = "l") -> float:
    if any(v.op.calculus for v in graph.values):
        return float("nan")
    return float(array(graph, feeds, name))


def ops_in(graph: Graph) -> set[str]:
    """The names of the ops of a graph and of its bodies."""
    return {v.op.name for g in graphs_of(graph) for v in g.values}


def graphs_of(graph: Graph) -> Iterator[Graph]:
    pending, known = [graph], set()
    while pending:
        g = pending.pop()
        if id(g) not in known:
            known.add(id(g))
            yield g
            pending += [a.graph for v in g.values for a in v.attrs if isinstance(a, Subgraph)]
