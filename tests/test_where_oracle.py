"""`where` is NaN-safe: random programs against an oracle that scalarises them lane by lane.

The scalarised program has no vectors: a `where` by a constant condition is a choice made while building, a reduction is a chain of additions, a gather picks a
lane, a contraction is sums of products, and a scan is unrolled. There a dead branch does not exist, so nothing can leak from it. The vector program must give
the same first and second derivatives, non-finite ones included: none added, none hidden.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from dfg.codegen.interpret import interpret
from dfg.ir import Graph, Value, seal
from dfg.ops.base import OPS, NoGradient, full, make_constant, project
from dfg.ops.calculus import emit_grad
from dfg.ops.leaf import arg, make_pin
from dfg.ops.movement import broadcast_along
from dfg.passes.manager import PIPELINE, run_pipeline
from dfg.tools.proof import cases_of
from dfg.types import BOOL, F64, I64, TensorType

POINTS = [0.0, -1.0, 2.0, 0.5, 1e200]
N = 3
VECTOR = TensorType(F64, (N,))
Step = tuple[str, list[int], int, tuple[int, ...]]


def lanewise() -> dict[str, int]:
    """Every differentiable elementwise op of floating operands, with its number of operands: lane by lane it is itself."""
    found = {}
    for name, op in OPS.items():
        if op.elementwise and not isinstance(op.vjp, NoGradient) and op.samples is not None and name not in ("pin", "cast", "where"):
            cases = [c for c in cases_of(op) if c.order and c.operands and all(np.asarray(o).dtype == np.float64 for o in c.operands)]
            if cases:
                found[name] = len(cases[0].operands)
    return found


LANEWISE = lanewise()
MOVERS = ["flip", "shift", "cumsum", "cumprod", "prod", "permute", "linear_recurrence"]


SETTINGS = {name: list(dict.fromkeys(k.attrs for k in cases_of(OPS[name]) if k.order)) for name in LANEWISE}


def apply(name: str, c: int, operands: Sequence[Value]) -> Value:
    """An elementwise op with one of the settings that its samples have."""
    settings = SETTINGS[name]
    return operands[0].graph.emit(OPS[name], tuple(operands), OPS[name].pack(dict(settings[c % len(settings)])))


def make_program(r: random.Random, length: int = 8, wide: bool = False) -> list[Step]:
    if wide:
        return make_wide_program(r, length)
    kinds = ["log", "sqrt", "exp", "add", "multiply", "divide", "where", "where", "where", "sumbc", "gather", "slice", "update", "scatter", "contract", "scan", "maxbc", "concat", "power"]
    arity = {"where": 2, "add": 2, "multiply": 2, "divide": 2, "update": 2, "scatter": 2, "scan": 2, "concat": 2}
    steps: list[Step] = []
    for k in range(length):
        kind = r.choice(kinds)
        operands = [r.randrange(-1, k) if r.random() < 0.5 else max(-1, k - 1) for _ in range(arity.get(kind, 1))]
        steps.append((kind, operands, r.randrange(3), tuple(r.randrange(N) for _ in range(N))))
    return steps


def make_wide_program(r: random.Random, length: int) -> list[Step]:
    """Half the steps choose; the others draw from every elementwise op and from what moves or accumulates along the axis."""
    steps: list[Step] = []
    for k in range(length):
        kind = "where" if k % 2 or r.random() < 0.2 else r.choice([*LANEWISE, *LANEWISE, *MOVERS])
        operands = [r.randrange(-1, k) if r.random() < 0.5 else max(-1, k - 1) for _ in range(LANEWISE.get(kind, 2))]
        steps.append((kind, operands, r.randrange(3), tuple(r.randrange(N) for _ in range(N))))
    return steps


MATRIX = [[1.0, 2.0, 0.0], [0.5, -1.0, 3.0], [2.0, 0.0, 1.0]]


def vector(g: Graph, x: Value, conditions: Sequence[Value], steps: Sequence[Step], chosen: Sequence[Sequence[bool]]) -> Value:
    made: list[Value] = []

    def constant(values: object) -> Value:
        return make_constant(g, values, F64)

    for kind, operands, c, index in steps:
        a = [x if j < 0 else made[j] for j in operands]
        places = make_constant(g, list(index), I64)
        if kind == "where":
            y = OPS["where"](conditions[c], a[0], a[1])
        elif kind in MOVERS:
            y = moved(kind, a[0], a[1])
        elif kind in LANEWISE and kind not in PLAIN:
            y = apply(kind, c, a)
        elif kind in ("add", "multiply", "divide", "log", "sqrt", "exp"):
            y = OPS[kind](*a)
        elif kind == "power":
            y = a[0] ** float(c + 1)
        elif kind == "sumbc":
            y = broadcast_along(OPS["sum"](a[0], axes=(0,)), (N,), ())
        elif kind == "maxbc":
            y = broadcast_along(OPS["sum"](OPS["slice"](a[0], starts=(c,), sizes=(1,), strides=(1,)), axes=(0,)), (N,), ())
        elif kind == "gather":
            y = OPS["gather"](a[0], places, axes=(0,), batch=0)
        elif kind == "slice":
            y = OPS["concat"](OPS["slice"](a[0], starts=(1,), sizes=(2,), strides=(1,)), constant([7.0]), axis=0)
        elif kind == "update":
            y = OPS["update"](a[0], OPS["slice"](a[1], starts=(c,), sizes=(1,), strides=(1,)), starts=(2 - c,), strides=(1,))
        elif kind == "scatter":
            y = OPS["scatter"](a[0], a[1], places, axes=(0,), batch=0, mode="add" if c else "set")
        elif kind == "contract":
            y = OPS["contract"](constant(MATRIX), a[0], subs="ab,b->a")
        elif kind == "concat":
            y = OPS["slice"](OPS["concat"](a[0], a[1], axis=0), starts=(c,), sizes=(N,), strides=(1,))
        else:
            y = loop(g, a[0], a[1], conditions[c])
        made.append(y)
    return OPS["sum"](made[-1], axes=(0,))


PLAIN = ("add", "multiply", "divide", "log", "sqrt", "exp", "power")


def moved(kind: str, a: Value, b: Value) -> Value:
    match kind:
        case "linear_recurrence":
            return OPS[kind](a, b, axis=0, reverse=False)
        case "cumprod":
            return OPS[kind](a, axis=0)
        case "flip":
            return OPS["flip"](a, axes=(0,))
        case "shift":
            return OPS["shift"](a, axis=0, by=1)
        case "prod":
            return broadcast_along(OPS["prod"](a, axes=(0,)), (N,), ())
        case "permute":
            return OPS["permute"](a, perm=(0,))
        case _:
            return OPS[kind](a, axis=0, reverse=False)


def moved_lanes(kind: str, a: Sequence[Value], b: Sequence[Value], zero: Value) -> list[Value]:
    match kind:
        case "linear_recurrence":
            steps = [b[0]]
            for k in range(1, N):
                steps.append(a[k] * steps[-1] + b[k])
            return steps
        case "flip":
            return list(a[::-1])
        case "shift":
            return [zero, *a[:-1]]
        case "permute":
            return list(a)
        case _:
            made = [a[0]]
            for x in a[1:]:
                made.append(made[-1] + x if kind == "cumsum" else made[-1] * x)
            return [made[-1]] * N if kind == "prod" else made


def loop(g: Graph, start: Value, xs: Value, condition: Value) -> Value:
    """carry h = sum(start): h = where(c_t, sqrt(h) * x_t, h + x_t), yielding h."""
    scalar = TensorType(F64)
    inner = g.like()
    h, x, c = (inner.emit(arg, (), (k, t)) for k, t in enumerate((scalar, scalar, TensorType(BOOL))))
    h2 = OPS["where"](c, OPS["sqrt"](h) * x, h + x)
    body, _ = seal(inner, [h, x, c], [h2, h2])
    first = OPS["sum"](OPS["slice"](start, starts=(0,), sizes=(1,), strides=(1,)), axes=(0,))
    return project(g.emit(OPS["scan"], (first, xs, condition), (body, N, 1, 2, False)))[1]


def scalar(g: Graph, x: Sequence[Value], chosen: Sequence[Sequence[bool]], steps: Sequence[Step]) -> Value:
    made: list[list[Value]] = []

    def constant(value: float) -> Value:
        return make_constant(g, value, F64)

    def total(lanes: Sequence[Value]) -> Value:
        return lanes[0] + lanes[1] + lanes[2]

    for kind, operands, c, index in steps:
        a = [list(x) if j < 0 else made[j] for j in operands]
        if kind == "where":
            y = [a[0][i] if chosen[c][i] else a[1][i] for i in range(N)]
        elif kind in MOVERS:
            y = moved_lanes(kind, a[0], a[1], constant(0.0))
        elif kind in LANEWISE and kind not in PLAIN:
            y = [apply(kind, c, [o[i] for o in a]) for i in range(N)]
        elif kind in ("add", "multiply", "divide", "log", "sqrt", "exp"):
            y = [OPS[kind](*[o[i] for o in a]) for i in range(N)]
        elif kind == "power":
            y = [t ** float(c + 1) for t in a[0]]
        elif kind == "sumbc":
            y = [total(a[0])] * N
        elif kind == "maxbc":
            y = [a[0][c]] * N
        elif kind == "gather":
            y = [a[0][i] for i in index]
        elif kind == "slice":
            y = [a[0][1], a[0][2], constant(7.0)]
        elif kind == "update":
            y = list(a[0])
            y[2 - c] = a[1][c]
        elif kind == "scatter":
            y = list(a[0])
            for j, i in enumerate(index):
                y[i] = y[i] + a[1][j] if c else a[1][j]
        elif kind == "contract":
            y = [constant(row[0]) * a[0][0] + constant(row[1]) * a[0][1] + constant(row[2]) * a[0][2] for row in MATRIX]
        elif kind == "concat":
            y = [*a[0], *a[1]][c : c + N]
        else:
            h, y = a[0][0], []
            for t in range(N):
                h = OPS["sqrt"](h) * a[1][t] if chosen[c][t] else h + a[1][t]
                y.append(h)
        made.append(y)
    return total(made[-1])


def evaluate(build: Callable[[Graph], tuple[list[Value], list[Value]]], points: Sequence[float]) -> np.ndarray:
    g = Graph()
    _, gradients = build(g)
    g.roots.outputs.update({f"o{k}": v for k, v in enumerate(gradients)})
    # Stabilising finds other forms in the vector program than in its lanes, and gives finite results where they overflow: it has tests of its own.
    clean = run_pipeline(g, PIPELINE[1:])
    env: dict[int, object] = {}
    for v in clean.values:
        if v.op.name == "input":
            name = v.attrs[0]
            env[v.index] = np.array(points) if name == "x" else np.array(points[int(name[1:])])
    with np.errstate(all="ignore"):
        return np.concatenate([np.ravel(a) for a in interpret([clean.roots.outputs[k] for k in g.roots.outputs], env, {})])


def gradients_of(loss: Value, targets: list[Value]) -> list[Value]:
    first = emit_grad(loss, targets)
    total = None
    for d in first:
        part = OPS["sum"](d, axes=tuple(range(d.rank))) if d.rank else d
        total = part if total is None else total + part
    assert total is not None
    return [*first, *emit_grad(total, targets)]


def check(seed: int, wide: bool = False) -> None:
    r = random.Random(seed)
    steps = make_program(r, 6 if wide else 8, wide)
    chosen = [[r.random() < 0.5 for _ in range(N)] for _ in range(3)]
    points = [r.choice(POINTS) for _ in range(N)]

    def by_vector(g: Graph) -> tuple[list[Value], list[Value]]:
        x = g.emit(OPS["input"], (), ("x", VECTOR))
        conditions = [make_pin(make_constant(g, row, BOOL)) for row in chosen]
        return [x], gradients_of(vector(g, x, conditions, steps, chosen), [x])

    def by_scalar(g: Graph) -> tuple[list[Value], list[Value]]:
        xs = [g.emit(OPS["input"], (), (f"x{i}", TensorType(F64))) for i in range(N)]
        return xs, gradients_of(scalar(g, xs, chosen, steps), xs)

    got, want = evaluate(by_vector, points), evaluate(by_scalar, points)
    same = np.isclose(got, want, rtol=1e-9, equal_nan=True) | (got == want)
    # Products near the largest float may overflow in one order of the factors and not in the other.
    large = (np.abs(want) > 1e290) | (np.abs(got) > 1e290)
    assert (same | large).all(), f"seed {seed}: {steps} {chosen} {points}: {got} is not {want}"


@pytest.mark.parametrize("block", range(20))
def test_where_agrees_with_the_scalarised_program(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        check(seed)


@pytest.mark.parametrize("block", range(10))
def test_programs_of_every_elementwise_op(block: int) -> None:
    for seed in range(block * 60, block * 60 + 60):
        check(10_000 + seed, wide=True)


def test_the_programs_draw_from_every_elementwise_op() -> None:
    drawn = {kind for seed in range(600) for kind, *_ in make_program(random.Random(10_000 + seed), 6, True)}
    assert drawn == {*LANEWISE, *MOVERS, "where"}


def test_the_oracle_sees_a_wrong_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """If cotangents forget their predicates, random programs show it."""
    import dfg.passes.cotangent as cotangent

    monkeypatch.setattr(cotangent, "settle", lambda c: c.value)
    monkeypatch.setattr("dfg.passes.differentiate.settle", lambda c: c.value)
    with pytest.raises(AssertionError):
        for seed in range(300):
            check(seed)


def test_full_is_what_it_says() -> None:
    g = Graph()
    assert interpret([full(g, 2.0, VECTOR)], {}, {})[0].tolist() == [2.0] * N


def test_stabilising_adds_no_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the gradients of a program as it stands are finite, those of its stabilised form are."""
    original = run_pipeline
    for seed in range(300):
        r = random.Random(seed)
        steps = make_program(r)
        chosen = [[r.random() < 0.5 for _ in range(N)] for _ in range(3)]
        points = [r.choice(POINTS) for _ in range(N)]

        def build(g: Graph, steps: list[Step] = steps, chosen: list[list[bool]] = chosen) -> tuple[list[Value], list[Value]]:
            x = g.emit(OPS["input"], (), ("x", VECTOR))
            conditions = [make_pin(make_constant(g, row, BOOL)) for row in chosen]
            return [x], gradients_of(vector(g, x, conditions, steps, chosen), [x])

        plain = evaluate(build, points)
        with monkeypatch.context() as patch:
            patch.setitem(globals(), "run_pipeline", lambda g, passes: original(g, PIPELINE))
            stable = evaluate(build, points)
        assert not (np.isfinite(plain) & ~np.isfinite(stable)).any(), f"seed {seed}"
