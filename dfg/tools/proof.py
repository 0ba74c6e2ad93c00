"""Proof of an op's definition on its own samples: everything that a definition claims is checked against what its `evaluate` does.

`prove(op)` gives what is wrong, as texts; the tests run it over every op, and over mutants of every rule, which must be found. The checks: the inferred type is
the result's; every argument's gradient at orders 1 and 2 agrees with finite differences in a random direction, is the transpose of the forward derivative, and has a
symmetric derivative; `axes` by permuting and perturbing lanes; the traits
(linear, commutative, moves, elementwise); vectorising by `axes` agrees with evaluating lane by lane; what must be rejected is.

>>> from dfg.ops import get
>>> prove(get("tanh"))
[]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dfg.codegen.interpret import interpret
from dfg.dims import evaluate as evaluate_dim
from dfg.dims import parse_dim
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPS, Case, NoGradient, Op, full, make_constant, project
from dfg.ops.calculus import emit_vjp
from dfg.passes.differentiate import Differentiate
from dfg.passes.manager import PIPELINE, run_pipeline
from dfg.passes.vmap import batch_op
from dfg.types import DTYPES, TensorType, TupleType, from_numpy

SEED = 20261123
STEP = 1e-5


def cases_of(op: Op, seed: int = SEED) -> list[Case]:
    """The samples of an op, drawn anew from a seed; equal seeds give equal samples."""
    return [] if op.samples is None else op.samples(np.random.default_rng(seed))


def prove(op: Op, seed: int = SEED) -> list[str]:
    """Everything that is wrong with a definition; empty if nothing is."""
    found: list[str] = []
    checks: list[Callable[[Op, Case], list[str]]] = [check_type, check_gradients, check_transposed, check_axes, check_traits]
    with np.errstate(all="ignore"):
        for number, case in enumerate(cases_of(op, seed)):
            for check in checks:
                found += [f"{op.name}, sample {number}: {text}" for text in check(op, case)]
        found += check_vectorised(op, seed)
    return found + check_rejects(op)


def build(op: Op, case: Case) -> tuple[Graph, list[Value], Value]:
    """A graph with the op on inputs `x0`, `x1` ... of the sample's types."""
    g = Graph()
    leaves = []
    for k, a in enumerate(case.operands):
        d = from_numpy(np.asarray(a).dtype)
        assert d is not None
        leaves.append(g.emit(OPS["input"], (), (f"x{k}", TensorType(d, np.shape(a)))))
    return g, leaves, g.emit(op, tuple(leaves), op.pack(dict(case.attrs)))


def results_of(y: Value) -> list[Value]:
    return list(project(y)) if isinstance(y.type, TupleType) else [y]


def evaluate(op: Op, case: Case, operands: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
    """The arrays that the op gives for a sample."""
    assert op.evaluate is not None
    made = op.evaluate(np, *(case.operands if operands is None else operands), **dict(case.attrs))
    return [np.asarray(m) for m in made] if isinstance(made, tuple) else [np.asarray(made)]


def check_type(op: Op, case: Case) -> list[str]:
    """The inferred type is that of the arrays."""
    _, _, y = build(op, case)
    types = y.type.items if isinstance(y.type, TupleType) else [y.type]
    return [
        f"the type is inferred as {t}, and the result is {m.dtype}{list(m.shape)}"
        for t, m in zip(types, evaluate(op, case), strict=True)
        if t.shape != m.shape or t.dtype.np != m.dtype
    ]


# --- gradients ---------------------------------------------------------------------------------------------------------------------


def wanted(op: Op, case: Case) -> list[int]:
    """The operands to differentiate by."""
    if case.wrt is not None:
        return list(case.wrt)
    return [k for k, a in enumerate(case.operands) if np.asarray(a).dtype == np.float64]


def check_gradients(op: Op, case: Case) -> list[str]:
    """Each argument's gradient at orders 1 and 2 against central differences in a random direction."""
    found: list[str] = []
    places = wanted(op, case)
    if isinstance(op.vjp, NoGradient) or not places:
        return found
    rng = np.random.default_rng(SEED)
    first = _gradient_program(op, case, places)
    for order in range(1, min(case.order, 2) + 1):
        function = first if order == 1 else _order_two(op, case, places)
        scalar, gradients = function
        base = [np.asarray(a) for a in case.operands]
        grads = gradients(base)
        for n, k in enumerate(places):
            direction = rng.normal(size=base[k].shape)
            up = [a + STEP * direction if i == k else a for i, a in enumerate(base)]
            down = [a - STEP * direction if i == k else a for i, a in enumerate(base)]
            numeric = (scalar(up) - scalar(down)) / (2 * STEP)
            exact = float(np.sum(grads[n] * direction))
            scale = max(1e-3, abs(numeric), float(np.sum(np.abs(grads[n] * direction))))
            if not abs(exact - numeric) <= 2e-6 * scale:
                found.append(f"order {order}, argument {k}: the rule gives {exact:.10g} in a direction, differences {numeric:.10g}")
    return found


Scalar = Callable[[list[np.ndarray]], float]
Gradients = Callable[[list[np.ndarray]], list[np.ndarray]]


def _weighted(g: Graph, outs: Sequence[Value], rng: np.random.Generator) -> Value:
    """A random linear form of floating values."""
    total: Value | None = None
    for o in outs:
        if o.dtype.floating:
            term = o * make_constant(g, rng.normal(size=[evaluate_dim(d, {}) for d in o.shape]), o.dtype)
            term = OPS["sum"](term, axes=tuple(range(term.rank))) if term.rank else term
            total = term if total is None else total + term
    assert total is not None
    return total


def _gradient_program(op: Op, case: Case, places: Sequence[int], order: int = 1) -> tuple[Scalar, Gradients]:
    g, leaves, y = build(op, case)
    rng = np.random.default_rng(SEED + 1)
    form = _weighted(g, results_of(y), rng)
    targets = [leaves[k] for k in places]
    for _ in range(order - 1):
        form = _weighted(g, emit_vjp(form, full(g, 1, form.type), targets), rng)
    grads = emit_vjp(form, full(g, 1, form.type), targets)
    g.roots.outputs.update({"form": form, **{f"g{n}": v for n, v in enumerate(grads)}})
    clean = run_pipeline(g, (Differentiate(), *PIPELINE[2:]))
    by_name = {v.attrs[0]: v.index for v in clean.values if v.op.name == "input"}
    outputs = clean.roots.outputs

    def run(names: Sequence[str], arrays: list[np.ndarray]) -> list[np.ndarray]:
        env: dict[int, Any] = {by_name[f"x{k}"]: a for k, a in enumerate(arrays) if f"x{k}" in by_name}
        return [np.asarray(a) for a in interpret([outputs[n] for n in names], env, {})]

    return lambda arrays: float(run(["form"], arrays)[0]), lambda arrays: run([f"g{n}" for n in range(len(places))], arrays)


def _order_two(op: Op, case: Case, places: Sequence[int]) -> tuple[Scalar, Gradients]:
    return _gradient_program(op, case, places, 2)


def check_transposed(op: Op, case: Case) -> list[str]:
    """The forward derivative J and the rule's are transposes, <ct, J v> = <J^T ct, v>; and the second derivative is symmetric, <w, H v> = <H w, v>. Exact, but for rounding."""
    places = wanted(op, case)
    if isinstance(op.vjp, NoGradient) or not places or case.order < 1:
        return []
    g, leaves, y = build(op, case)
    rng = np.random.default_rng(SEED + 2)
    targets = [leaves[k] for k in places]

    def drawn(values: Sequence[Value]) -> list[Value]:
        return [make_constant(g, rng.normal(size=[evaluate_dim(d, {}) for d in v.shape]), v.dtype) for v in values]

    def product(left: Sequence[Value], right: Sequence[Value]) -> Value:
        terms = [a * b for a, b in zip(left, right, strict=True)]
        sums = [OPS["sum"](t, axes=tuple(range(t.rank))) if t.rank else t for t in terms]
        total = sums[0]
        for s in sums[1:]:
            total = total + s
        return total

    outs = [o for o in results_of(y) if o.dtype.floating]
    if not outs:
        return []
    cotangents, vs, ws = drawn(outs), drawn(targets), drawn(targets)
    form = product(cotangents, outs)
    grads = emit_vjp(form, full(g, 1, form.type), targets)
    tangents = [OPS["jvp"](o, *targets, *vs, targets=len(targets)) for o in outs]
    wanted_pairs = {"<ct, J v>": product(cotangents, tangents), "<J^T ct, v>": product(grads, vs)}
    if case.order >= 2:
        for name, first, second in (("<H v, w>", vs, ws), ("<H w, v>", ws, vs)):
            along = product(grads, first)
            wanted_pairs[name] = product(emit_vjp(along, full(g, 1, along.type), targets), second)
    g.roots.outputs.update(wanted_pairs)
    clean = run_pipeline(g, (Differentiate(), *PIPELINE[2:]))
    env: dict[int, Any] = {v.index: case.operands[int(v.attrs[0][1:])] for v in clean.values if v.op.name == "input"}
    made = [float(a) for a in interpret([clean.roots.outputs[k] for k in wanted_pairs], env, {})]
    names = list(wanted_pairs)
    found = []
    for k in range(0, len(made), 2):
        if not abs(made[k] - made[k + 1]) <= 1e-8 * max(1.0, abs(made[k])):
            found.append(f"{names[k]} is {made[k]:.12g} and {names[k + 1]} is {made[k + 1]:.12g}")
    return found


# --- axes and traits ---------------------------------------------------------------------------------------------------------------


def check_axes(op: Op, case: Case) -> list[str]:
    """Lanes: permuting every operand along a lane permutes the result, and a change in one place of a lane changes only that place."""
    if op.axes is None or op.evaluate is None or not case.operands:
        return []
    _, _, y = build(op, case)
    lanes = op.axes(y)
    found: list[str] = []
    if len(lanes) != len(case.operands) or any(len(a) != np.ndim(o) for a, o in zip(lanes, case.operands, strict=True)):
        return [f"`axes` gives {lanes} for operands of ranks {[np.ndim(o) for o in case.operands]}"]
    plain = evaluate(op, case)
    rng = np.random.default_rng(SEED)
    for r in sorted({a for axes in lanes for a in axes if isinstance(a, int)}):
        where = [axes.index(r) if r in axes else None for axes in lanes]
        size = next(np.shape(o)[w] for o, w in zip(case.operands, where, strict=True) if w is not None)
        if size < 2:
            continue
        order = np.roll(np.arange(size), 1)
        moved = [o if w is None else np.take(o, order, axis=w) for o, w in zip(case.operands, where, strict=True)]
        for p, m in zip(plain, evaluate(op, case, moved), strict=True):
            if not np.allclose(m, np.take(p, order, axis=r), rtol=1e-9, atol=1e-12, equal_nan=True):
                found.append(f"permuting along result axis {r} does not permute the result")
        for k, w in enumerate(where):
            o = case.operands[k]
            if w is None or o.dtype.kind != "f":
                continue
            changed = [np.array(x, copy=True) for x in case.operands]
            index = (slice(None),) * w + (0,)
            changed[k][index] += rng.uniform(0.01, 0.02, np.shape(changed[k][index]))
            for p, m in zip(plain, evaluate(op, case, changed), strict=True):
                rest = np.arange(1, size)
                if not np.array_equal(np.take(p, rest, axis=r), np.take(m, rest, axis=r), equal_nan=p.dtype.kind == "f") and not np.allclose(
                    np.take(p, rest, axis=r), np.take(m, rest, axis=r), rtol=1e-13, atol=0
                ):
                    found.append(f"a change of operand {k} in one place along axis {w} shows in other places of result axis {r}")
    return found


def check_traits(op: Op, case: Case) -> list[str]:
    """`linear`: a zero cotangent stays zero whatever the other operands hold; `commutative`: the operands may change places; `elementwise`: shapes agree."""
    found: list[str] = []
    if op.evaluate is None:
        return found
    plain = evaluate(op, case)
    if op.commutative and len(case.operands) == 2:
        for p, m in zip(plain, evaluate(op, case, case.operands[::-1]), strict=True):
            if not np.array_equal(p, m, equal_nan=p.dtype.kind == "f"):
                found.append("it is not commutative")
    if op.elementwise and any(np.shape(o) != plain[0].shape for o in case.operands):
        found.append("an elementwise op takes operands of the result's shape")
    if not isinstance(op.vjp, NoGradient) and any(flag is True for flag in op.linear):
        found += _check_zero_stays(op, case)
    return found


def _check_zero_stays(op: Op, case: Case) -> list[str]:
    places = [k for k in wanted(op, case) if (op.linear[min(k, len(op.linear) - 1)] is True)]
    if not places:
        return []
    poisoned = Case(tuple(np.full_like(o, np.inf) if np.asarray(o).dtype == np.float64 else o for o in case.operands), case.attrs)
    g, leaves, y = build(op, poisoned)
    outs = [o for o in results_of(y) if o.dtype.floating]
    if not outs:
        return []
    grads = emit_vjp(outs[0], full(g, 0, outs[0].type), [leaves[k] for k in places])
    g.roots.outputs.update({f"g{n}": v for n, v in enumerate(grads)})
    clean = run_pipeline(g, (Differentiate(),))
    env = {v.index: poisoned.operands[int(v.attrs[0][1:])] for v in clean.values if v.op.name == "input"}
    made = interpret(list(clean.roots.outputs.values()), env, {})
    return [f"a zero cotangent does not stay zero for operand {k}" for k, m in zip(places, made, strict=True) if not np.all(np.asarray(m) == 0)]


# --- vectorising and rejection -----------------------------------------------------------------------------------------------------


def check_vectorised(op: Op, seed: int = SEED) -> list[str]:
    """A batch of three samples by `axes` against the samples one by one."""
    found: list[str] = []
    rows = [cases_of(op, seed + n) for n in range(3)]
    for number, cases in enumerate(zip(*rows, strict=True)):
        if op.evaluate is None or not cases[0].operands or len({c.attrs for c in cases}) > 1:
            continue
        g, _, y = build(op, cases[0])
        batch = []
        stacks = []
        for k, o in enumerate(cases[0].operands):
            stack = np.stack([np.asarray(c.operands[k]) for c in cases])
            d = from_numpy(np.asarray(o).dtype)
            assert d is not None
            stacks.append(stack)
            batch.append(g.emit(OPS["input"], (), (f"b{k}", TensorType(d, stack.shape))))
        made = batch_op(g, y, batch, 3)
        arrays = interpret(list(made), {b.index: s for b, s in zip(batch, stacks, strict=True)}, {})
        want = [np.stack(parts) for parts in zip(*[evaluate(op, c) for c in cases], strict=True)]
        for a, w in zip(arrays, want, strict=True):
            if np.shape(a) != w.shape or not np.allclose(a, w, rtol=1e-10, atol=1e-12, equal_nan=True):
                found.append(f"{op.name}, sample {number}: vectorising gives another result than the samples one by one")
    return found


def parse_type(text: str) -> TensorType:
    """The type that a text such as `f64[n, 3]` names."""
    name, _, rest = text.partition("[")
    shape = tuple(parse_dim(part) for part in rest.rstrip("]").split(",") if part.strip())
    return TensorType(DTYPES[name], shape)


def check_rejects(op: Op) -> list[str]:
    """What must be refused is, with the code that is said."""
    found: list[str] = []
    for r in op.rejects:
        g = Graph()
        operands = tuple(g.emit(OPS["input"], (), (f"x{k}", parse_type(t))) for k, t in enumerate(r.operands))
        try:
            g.emit(op, operands, op.pack(dict(r.attrs)))
        except InferError as e:
            if e.code != r.code:
                found.append(f"{op.name} refuses {r.operands} {dict(r.attrs)} with {e.code}, not {r.code}")
        else:
            found.append(f"{op.name} takes {r.operands} {dict(r.attrs)}")
    return found
