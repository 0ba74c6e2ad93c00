"""Dead lanes of every op: where a result lane does not reach the loss, whatever its operands hold there, no derivative shows it, at orders 1 and 2.

For each sample of each op and each lane that its `axes` names, the first place of the lane is cut off by a `where` and poisoned with NaN and with infinity in every operand
that runs along it: the derivatives of the other places are as without the poison, those of the poisoned place are 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from dfg.codegen.interpret import interpret
from dfg.ir import Graph, Value
from dfg.ops.base import OPS, Case, NoGradient, Op, full, make_constant
from dfg.ops.calculus import emit_vjp
from dfg.passes.manager import PIPELINE, run_pipeline
from dfg.tools.proof import build, cases_of, results_of, wanted
from dfg.types import BOOL, F64, TensorType, from_numpy


def lanes_of(op: Op, case: Case) -> list[tuple[int, list[int | None]]]:
    """Result axes with at least two places, and where each operand runs along them."""
    if op.axes is None or op.liveness or not case.operands:
        return []
    _, _, y = build(op, case)
    axes = op.axes(y)
    found = []
    for r in sorted({a for lanes in axes for a in lanes if isinstance(a, int)}):
        where = [lanes.index(r) if r in lanes else None for lanes in axes]
        if all(np.shape(o)[w] >= 2 for o, w in zip(case.operands, where, strict=True) if w is not None):
            found.append((r, where))
    return found


def derivatives(op: Op, case: Case, places: Sequence[int], lane: int, order: int, runs: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
    """The derivatives by some operands of a random form of the live places of the result, for several operands."""
    g, leaves, y = build(op, case)
    rng = np.random.default_rng(5)
    form: Value | None = None
    for o in results_of(y):
        if not o.dtype.floating:
            continue
        shape = [int(d) for d in o.shape]
        mask = np.ones(shape, bool)
        mask[(slice(None),) * lane + (0,)] = False
        live = OPS["where"](make_constant(g, mask, BOOL), o, full(g, 0, o.type))
        term = OPS["sum"](live * make_constant(g, rng.normal(size=shape), o.dtype), axes=tuple(range(o.rank)))
        form = term if form is None else form + term
    assert form is not None
    targets = [leaves[k] for k in places]
    grads = emit_vjp(form, full(g, 1, form.type), targets)
    if order == 2:
        second: Value | None = None
        for d in grads:
            term = d * make_constant(g, rng.normal(size=[int(n) for n in d.shape]), d.dtype)
            term = OPS["sum"](term, axes=tuple(range(d.rank))) if d.rank else term
            second = term if second is None else second + term
        assert second is not None
        grads = emit_vjp(second, full(g, 1, second.type), targets)
    g.roots.outputs.update({f"g{n}": v for n, v in enumerate(grads)})
    clean = run_pipeline(g, PIPELINE)
    inputs = {v.attrs[0]: v.index for v in clean.values if v.op.name == "input"}
    results = []
    for arrays in runs:
        env: dict[int, Any] = {inputs[f"x{k}"]: a for k, a in enumerate(arrays) if f"x{k}" in inputs}
        results.append([np.asarray(a) for a in interpret(list(clean.roots.outputs.values()), env, {})])
    return results


def leaks(op: Op, case: Case, order: int) -> list[str]:
    found: list[str] = []
    places = wanted(op, case)
    if not places or case.order < order:
        return found
    for lane, where in lanes_of(op, case):
        runs = [[np.asarray(o) for o in case.operands]]
        for poison in (np.nan, np.inf):
            poisoned = [np.array(o, copy=True) for o in case.operands]
            for p, w in zip(poisoned, where, strict=True):
                if w is not None and p.dtype.kind == "f":
                    p[(slice(None),) * w + (0,)] = poison
            runs.append(poisoned)
        clean, *others = derivatives(op, case, places, lane, order, runs)
        for poison_name, made in zip(("NaN", "inf"), others, strict=True):
            for k, want, got in zip(places, clean, made, strict=True):
                w = where[k]
                want = np.array(want, copy=True)
                if w is not None:
                    want[(slice(None),) * w + (0,)] = 0
                if not np.allclose(got, want, rtol=1e-9, atol=1e-12):
                    found.append(f"order {order}, {poison_name} in a dead place of result axis {lane} shows in the derivative by operand {k}")
    return found


NAMES = sorted(name for name, op in OPS.items() if op.samples is not None and not isinstance(op.vjp, NoGradient))


@pytest.mark.parametrize("name", NAMES)
def test_dead_lanes_do_not_leak(name: str) -> None:
    op = OPS[name]
    with np.errstate(all="ignore"):
        found = [f"{name}, sample {n}: {text}" for n, case in enumerate(cases_of(op)) for order in (1, 2) for text in leaks(op, case, order)]
    assert found == []


# --- whole results and left-out places -------------------------------------------------------------------------------------------------


def gradients(op: Op, case: Case, places: Sequence[int], dead: bool, through: bool, runs: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
    """First and second derivatives of a random form of the results, for several operands. `dead`: all of it stands in the branch of a `where` that is not taken, which the
    graph does not know. `through`: the op is applied to logarithms of the operands."""
    g = Graph()
    leaves: list[Value] = []
    for k, a in enumerate(case.operands):
        d = from_numpy(np.asarray(a).dtype)
        assert d is not None
        leaves.append(g.emit(OPS["input"], (), (f"x{k}", TensorType(d, np.shape(a)))))
    taken = g.emit(OPS["input"], (), ("taken", TensorType(BOOL)))
    operands = [OPS["log"](v) if through and k in places else v for k, v in enumerate(leaves)]
    y = g.emit(op, tuple(operands), op.pack(dict(case.attrs)))
    rng = np.random.default_rng(7)

    def form_of(values: Sequence[Value]) -> Value:
        total = full(g, 0, TensorType(F64))
        for v in values:
            if v.dtype is F64:
                term = v * make_constant(g, rng.normal(size=[int(n) for n in v.shape]), F64)
                total = total + (OPS["sum"](term, axes=tuple(range(v.rank))) if v.rank else term)
        return total

    form = form_of(results_of(y))
    if dead:
        form = OPS["where"](taken, form, full(g, 0, form.type))
    targets = [leaves[k] for k in places]
    first = emit_vjp(form, full(g, 1, form.type), targets)
    second = emit_vjp(form_of(first), full(g, 1, form.type), targets) if case.order >= 2 else []
    g.roots.outputs.update({f"g{n}": v for n, v in enumerate([*first, *second])})
    clean = run_pipeline(g, PIPELINE)
    inputs = {v.attrs[0]: v.index for v in clean.values if v.op.name == "input"}
    results = []
    for arrays in runs:
        env: dict[int, Any] = {inputs[f"x{k}"]: a for k, a in enumerate(arrays) if f"x{k}" in inputs}
        if "taken" in inputs:
            env[inputs["taken"]] = np.array(False)
        results.append([np.asarray(a) for a in interpret(list(clean.roots.outputs.values()), env, {})])
    return results


def differentiable(op: Op) -> Iterator[tuple[int, Case, Sequence[int]]]:
    """The samples that have a derivative, with their numbers and the operands to differentiate by."""
    for number, case in enumerate(cases_of(op)):
        places = wanted(op, case)
        if places and case.order >= 1:
            yield number, case, places


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_result_that_is_not_taken_gives_nothing(name: str) -> None:
    """Whatever the operands hold, all places of theirs, first and second derivatives are 0."""
    op = OPS[name]
    found = []
    with np.errstate(all="ignore"):
        for number, case, places in differentiable(op):
            for poison in (np.nan, np.inf, 0.0):
                operands = [np.full_like(o, poison) if np.asarray(o).dtype == np.float64 else o for o in case.operands]
                try:
                    (made,) = gradients(op, case, places, True, False, [operands])
                except np.linalg.LinAlgError:
                    assert op.fails == "singular"  # a singular matrix is refused, wherever it stands
                    continue
                found += [f"{name}, sample {number}: {poison} shows in derivative {k}" for k, a in enumerate(made) if np.any(a != 0)]
    assert found == []


def left_out(op: Op, case: Case, places: Sequence[int]) -> dict[int, np.ndarray]:
    """Where an operand of an op that only moves elements reaches no result."""
    assert op.evaluate is not None

    def results(operands: Sequence[np.ndarray]) -> list[np.ndarray]:
        made = op.evaluate(np, *operands, **dict(case.attrs))  # type: ignore[misc]
        return [np.asarray(m) for m in (made if isinstance(made, tuple) else (made,))]

    plain = results(case.operands)
    masks = {}
    for k in places:
        mask = np.zeros(np.shape(case.operands[k]), bool)
        for index in np.ndindex(mask.shape):
            changed = [np.array(o, copy=True) for o in case.operands]
            mask[index] = True
            for large in (-1e6, 1e6):
                changed[k][index] = large
                mask[index] &= all(np.array_equal(a, b) for a, b in zip(plain, results(changed), strict=True))
        masks[k] = mask
    return masks


MOVING = [name for name in NAMES if OPS[name].moves]


@pytest.mark.parametrize("name", MOVING)
def test_left_out_places_do_not_leak(name: str) -> None:
    """What a slice, a gather, an update leaves out may be singular: its derivatives are 0, those of the rest as if it were not."""
    op = OPS[name]
    found = []
    with np.errstate(all="ignore"):
        for number, case, places in differentiable(op):
            masks = left_out(op, case, places)
            benign = [np.exp(o) if k in places else o for k, o in enumerate(case.operands)]
            singular = [np.where(masks[k], 0.0, o) if k in places else o for k, o in enumerate(benign)]
            want, got = gradients(op, case, places, False, True, [benign, singular])
            for k, (a, b) in enumerate(zip(want, got, strict=True)):
                if not np.allclose(np.where(masks[places[k % len(places)]], 0, a), b, rtol=1e-9, atol=1e-12):
                    found.append(f"{name}, sample {number}: derivative {k} is {b}, not {a}")
    assert found == []


def test_some_samples_leave_places_out() -> None:
    seen = {name for name in MOVING for case in cases_of(OPS[name]) if case.order and any(m.any() for m in left_out(OPS[name], case, wanted(OPS[name], case)).values())}
    assert {"slice", "gather", "update", "scatter", "shift", "windows"} <= seen


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "logcumsumexp", "linear_recurrence", "cumulative_max", "cumulative_min"])
@pytest.mark.parametrize("poison", [np.nan, np.inf, 0.0])
def test_what_follows_the_last_live_place_of_a_running_result_is_dead(name: str, poison: float) -> None:
    op = OPS[name]
    for case in cases_of(op):
        settings = dict(case.attrs)
        axis, reverse = settings["axis"], settings.get("reverse", False)
        shape = np.shape(case.operands[0])
        places = wanted(op, case)
        if not places or shape[axis] < 3:
            continue
        last = np.arange(shape[axis]).reshape([-1 if k == axis else 1 for k in range(len(shape))])
        dead = np.broadcast_to(last < 2 if reverse else last >= shape[axis] - 2, shape)
        g, leaves, y = build(op, case)
        weights = np.where(dead, 0.0, np.random.default_rng(3).normal(size=shape))
        live = OPS["where"](make_constant(g, ~dead, BOOL), y, full(g, 0, y.type)) * make_constant(g, weights, F64)
        form = OPS["sum"](live, axes=tuple(range(y.rank)))
        first = emit_vjp(form, full(g, 1, form.type), [leaves[k] for k in places])
        squares = [OPS["sum"](d * d, axes=tuple(range(d.rank))) for d in first]
        second = emit_vjp(squares[0], full(g, 1, form.type), [leaves[k] for k in places])
        g.roots.outputs.update({f"g{n}": v for n, v in enumerate([*first, *second])})
        clean = run_pipeline(g, PIPELINE)
        inputs = {v.attrs[0]: v.index for v in clean.values if v.op.name == "input"}
        made = []
        with np.errstate(all="ignore"):
            for operands in (case.operands, [np.where(dead, poison, o) for o in case.operands]):
                env: dict[int, Any] = {inputs[f"x{k}"]: a for k, a in enumerate(operands) if f"x{k}" in inputs}
                made.append([np.asarray(a) for a in interpret(list(clean.roots.outputs.values()), env, {})])
        for want, got in zip(*made, strict=True):
            np.testing.assert_allclose(got, np.where(dead, 0, want), rtol=1e-9, atol=1e-12)
