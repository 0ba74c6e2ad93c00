"""Running the tests of a file: `test "..." { ... }` and `test error "..." { ... }`.

A test runs on every available backend. Checks before the first `run` see a run without updates; checks after one see what the new states give.

>>> from dfg.source import Source
>>> [r.ok for r in run_tests(Source("a.dfg", 'input x : f64[n]\\ny = 2 * x\\ntest "doubles" {\\n  x = [1, 2]\\n  y == [2, 4]\\n}\\n'))]
[True]
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dfg.api.executable import compile
from dfg.api.loading import Files
from dfg.api.program import Program, of_lowered
from dfg.diagnostics import Diagnostic, Sink, UserError, error
from dfg.source import Source

if TYPE_CHECKING:
    from dfg.frontend.lowering.testing import LoweredTest
    from dfg.frontend.syntax import Test

STEP = 1e-6
"""The step of a `gradcheck`'s central differences, relative to the largest element (in f32: 1e-2, since differences there lose half of the digits)."""


@dataclass(frozen=True, slots=True)
class TestResult:
    """What became of one test on one backend: `problems` is empty if it passed, `warnings` are what its runs warn of."""

    __test__ = False

    file: str
    title: str
    backend: str
    problems: tuple[Diagnostic, ...]
    seconds: float
    warnings: tuple[Diagnostic, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems


def available_backends() -> tuple[str, ...]:
    """The backends that can run here."""
    from dfg.api.executable import BACKENDS, _runtime

    found = []
    for name in BACKENDS:
        try:
            _runtime(name)
        except UserError:
            continue
        found.append(name)
    return tuple(found)


def run_tests(source: Source, path: Path | None = None, backends: Sequence[str] | None = None) -> list[TestResult]:
    """The results of every test of a file, in order. What is wrong with the file itself raises `UserError`."""
    from dfg.frontend.lowering.program import lower
    from dfg.frontend.parser import parse
    from dfg.frontend.syntax import Test

    sink = Sink()
    tree = parse(source, sink)
    sink.raise_errors()
    files = Files(source, path)
    tests = [node for node in tree.statements if isinstance(node, Test)]
    lower(tree, sink, files)
    sink.raise_errors()
    names = available_backends() if backends is None else tuple(backends)
    return [_run(tree, node, files, source, name) for node in tests for name in names]


def _run(tree: Any, node: Test, files: Files, source: Source, backend: str) -> TestResult:
    from dfg.frontend.lowering.testing import lower_test

    start = time.perf_counter()
    sink = Sink()
    problems: list[Diagnostic] = []
    told: list[Diagnostic] = []
    try:
        made = lower_test(tree, node, sink, files)
        sink.raise_errors()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # they are in the result, with their place
            problems = _check(made, backend, source, told)
    except UserError as wrong:
        problems = [d for d in wrong.diagnostics if d.severity == "error"]
    if node.error:
        problems = _expected(problems, node)
    return TestResult(source.name, node.title.value, backend, tuple(problems), time.perf_counter() - start, tuple(dict.fromkeys(told)))


def _expected(found: Sequence[Diagnostic], node: Test) -> list[Diagnostic]:
    wanted = node.title.value
    if any(wanted in d.code or wanted in d.message for d in found):
        return []
    if not found:
        return [error("test-failed", f"no error came, where one with {wanted!r} was expected", node.title.span)]
    return [error("test-failed", f"an error with {wanted!r} was expected, and another came: {found[0]}", node.title.span, help="a title is a code or a part of the message")]


def _check(made: LoweredTest, backend: str, source: Source, told: list[Diagnostic]) -> list[Diagnostic]:
    lowered = made.lowered
    program = of_lowered(lowered, source, None, None, Sink())
    fn = compile(program, backend, update=True)
    still = compile(program, backend, update=False)
    for name, array in made.kept.items():
        (fn.params if name in program.params else fn.state)[name] = array
    problems: list[Diagnostic] = []
    states = {**program.params, **program.states}
    for stage in range(len(made.runs) + 1):
        if stage:
            for _ in range(made.runs[stage - 1]):
                fn(**made.fed)
        values: Mapping[str, np.ndarray] = {}
        if any(c.after == stage for c in made.checks) or any(c.after == stage for c in made.gradchecks):
            for name in states:
                table, other = (fn.params, still.params) if name in program.params else (fn.state, still.state)
                if stage or name in made.kept:
                    other[name] = table[name]
            values = still(**made.fed)
        problems += _compare(made, stage, values)
        for g in made.gradchecks:
            if g.after == stage:
                problems += _gradcheck(program, still, made.fed, g.loss, g.targets, g.span)
    told += [*fn.runtime.warnings, *still.runtime.warnings]
    return problems


def _compare(made: LoweredTest, stage: int, values: Mapping[str, np.ndarray]) -> list[Diagnostic]:
    problems = []
    for c in made.checks:
        if c.after != stage:
            continue
        left = np.asarray(values[c.left])
        if c.kind == "true":
            if not left.all():
                where = np.argwhere(~left)
                at = f" at {where[0].tolist()} and in {len(where)} of {left.size} places" if left.ndim else ""
                problems.append(error("test-failed", f"this does not hold{at}", c.span))
            continue
        assert c.right is not None
        right = np.asarray(values[c.right])
        if left.shape != right.shape and left.ndim and right.ndim and np.broadcast_shapes(left.shape, right.shape) != left.shape:
            problems.append(error("test-failed", f"the shapes differ: {list(left.shape)} and {list(right.shape)}", c.span))
            continue
        a, b = np.broadcast_arrays(left.astype(np.float64), right.astype(np.float64))
        finite = np.abs(b[np.isfinite(b)])
        tolerance = c.tolerance if c.tolerance is not None else (1e-5 if c.narrow else 1e-9) * float(finite.max(initial=0.0))
        with np.errstate(invalid="ignore"):
            wrong = ~((np.abs(a - b) <= tolerance) | (a == b) | (np.isnan(a) & np.isnan(b)))
        if wrong.any():
            first = tuple(np.argwhere(wrong)[0])
            place = f" at {[int(k) for k in first]} and in {int(wrong.sum())} of {wrong.size} places" if a.ndim else ""
            problems.append(error("test-failed", f"{a[first]:.10g} is not {b[first]:.10g} within {tolerance:.3g}{place}", c.span))
    return problems


def _gradcheck(program: Program, fn: Any, fed: Mapping[str, np.ndarray], loss: str, targets: Sequence[str], span: Any) -> list[Diagnostic]:
    """The gradients of a loss against central differences in a random direction for each target."""
    from dfg.ops.calculus import emit_grad

    graph = program.graph
    leaves = {v.attrs[0]: v for v in graph.values if v.op.name in ("input", "param", "state")}
    value = graph.roots.outputs[loss]
    grads = emit_grad(value, [leaves[t] for t in targets])
    added = {f"gradient {t}": g for t, g in zip(targets, grads, strict=True)}
    checked = compile(program.with_roots(type(graph.roots)({loss: value, **added}, {}, graph.roots.initials)), update=False)
    for table, source in ((checked.params, fn.params), (checked.state, fn.state)):
        for name in table:
            table[name] = source[name]
    inputs = {k: np.asarray(v) for k, v in fed.items()}
    out = checked(**inputs)
    rng = np.random.default_rng(0)
    problems = []
    for t in targets:
        if t in program.inputs:
            base = inputs[t]
        else:
            base = np.array((checked.params if t in program.params else checked.state)[t])
        narrow = base.dtype == np.float32
        direction = rng.normal(size=base.shape)
        step = (1e-2 if narrow else STEP) * max(1.0, float(np.abs(base).max(initial=0.0)))
        sides = []
        for sign in (1, -1):
            moved = (base + sign * step * direction).astype(base.dtype)
            if t in program.inputs:
                sides.append(float(checked(**{**inputs, t: moved})[loss]))
            else:
                (checked.params if t in program.params else checked.state)[t] = moved
                sides.append(float(checked(**inputs)[loss]))
        if t not in program.inputs:
            (checked.params if t in program.params else checked.state)[t] = base
        numeric = (sides[0] - sides[1]) / (2 * step)
        gradient = np.asarray(out[f"gradient {t}"], np.float64)
        exact = float(np.sum(gradient * direction))
        scale = max(abs(numeric), float(np.sum(np.abs(gradient * direction))), 1e-6)
        if not abs(exact - numeric) <= (5e-2 if narrow else 1e-5) * scale:
            problems.append(error("test-failed", f"the gradient by `{t}` is {exact:.8g} in a direction, and differences give {numeric:.8g}", span))
    return problems
