"""The tests of a file: what one feeds, and what must then hold.

What a test binds to an input, a parameter or a state is computed first; the sizes that follow are facts of a second lowering of the file, in which the rest of
the test is lowered as further statements. So a test may compare a result of named sizes with the numbers that it expects.

>>> from dfg.diagnostics import Sink
>>> from dfg.frontend.parser import parse
>>> from dfg.source import Source
>>> file = parse(Source("a.dfg", 'input x : f64[n]\\ny = 2 * x\\ntest "doubles" {\\n  x = [1, 2]\\n  y == [2, 4]\\n}\\n'), Sink())
>>> made = lower_test(file, file.statements[-1], Sink())
>>> made.fed["x"], [(c.kind, c.left) for c in made.checks]
(array([1., 2.]), [('true', 'check 1')])
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal as TypingLiteral

import numpy as np

from dfg.diagnostics import Label, Sink
from dfg.dims import DimLike
from dfg.frontend import syntax as s
from dfg.frontend.lowering.blocks import assign, run_statement
from dfg.frontend.lowering.engine import Failed, Gen, Loader, Lowering
from dfg.frontend.lowering.modules import StdLoader
from dfg.frontend.lowering.program import Lowered, lower_file, read_name
from dfg.frontend.lowering.scopes import Scope
from dfg.frontend.lowering.statics import plain_static
from dfg.frontend.lowering.things import Known, ListThing, Record, Thing, build, describe, is_tensor, leaves
from dfg.frontend.parser import uncollected
from dfg.ir import Value
from dfg.ops.leaf import input_op
from dfg.ops.surface import Literal
from dfg.source import Span
from dfg.types import BOOL, F32, KIND_ORDER, TensorType


@dataclass(frozen=True, slots=True)
class TestCheck:
    """What must hold: `left` (an output of the graph) is true everywhere, or close to `right`. `after` counts the `run` statements before it."""

    __test__ = False

    kind: TypingLiteral["true", "close"]
    left: str
    right: str | None
    tolerance: float | None
    """An absolute one; None means relative to the largest |right|: 1e-5 where f32 is involved, else 1e-9."""
    narrow: bool
    """Whether f32 is involved."""
    span: Span
    after: int


@dataclass(frozen=True, slots=True)
class TestGradCheck:
    """`gradcheck loss wrt targets`: `loss` is an output of the graph, the targets are inputs, parameters or states."""

    __test__ = False

    loss: str
    targets: tuple[str, ...]
    span: Span
    after: int


@dataclass(slots=True)
class LoweredTest:
    """A test: the program with the test's checks as its outputs, what is fed and kept, and what is run."""

    lowered: Lowered
    fed: dict[str, np.ndarray] = field(default_factory=dict)
    kept: dict[str, np.ndarray] = field(default_factory=dict)
    """Values of parameters and states in place of their initial ones."""
    checks: list[TestCheck] = field(default_factory=list)
    gradchecks: list[TestGradCheck] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)
    """How often each `run` statement runs the program with its updates."""


def lower_test(file: s.File, test: s.Test, sink: Sink, load: Loader | None = None) -> LoweredTest:
    """A test of a file, whose own errors are told elsewhere. What is wrong with the test is added to the sink."""
    loader = StdLoader() if load is None else load
    with uncollected():
        first = Lowering(Sink(), loader)
        first.file = file
        base: Lowered = first.drive(lower_file(first, file))
        known = len(first.sink.items)
        made = LoweredTest(base)
        first.drive(settings(first, made, test))
        told = first.sink.items[known:]
        sizes = fed_sizes(base, made, test)
        second = Lowering(Sink(), loader)
        second.file = file
        second.named_axes = first.named_axes  # here two named sizes may be one number
        made.lowered = second.drive(lower_file(second, file, sizes))
        own = [d for d in second.sink.items if d not in first.sink.items[:known]]
        before = len(second.sink.items)
        second.drive(statements(second, made, test))
        for d in [*told, *own, *second.sink.items[before:]]:
            sink.add(d)
    return made


def sets(lowered: Lowered, name: str) -> TensorType | None:
    """The type of the input, parameter or state that a name is, or None."""
    for table in (lowered.inputs, lowered.params, lowered.states):
        if name in table:
            return table[name].type
    return None


def settable(lowered: Lowered, name: str) -> dict[tuple[str, ...], str]:
    """The inputs, parameters and states that a name stands for, by their paths in it: itself, the leaves of a record, or all of `params`."""
    if sets(lowered, name) is not None:
        return {(): name}
    every = [k for table in (lowered.params, lowered.states) for k in table]
    found = {tuple(k[len(name) + 1 :].split(".")): k for k in every if k.startswith(f"{name}.")}
    return found or ({tuple(k.split(".")): k for k in lowered.params} if name == "params" else {})


def settings(lo: Lowering, made: LoweredTest, test: s.Test) -> Gen:
    """Compute what the test binds to inputs, parameters and states. Statements that need the sizes are silent here, and lowered later."""
    scope = Scope(lo.scope, lo.infos[id(test.body)])
    base = made.lowered
    for statement in test.body.statements:
        if not isinstance(statement, s.Binding):
            continue
        wanted = [settable(base, name.text) for name in statement.targets]
        quiet = not any(wanted)
        lo.quiet += quiet
        try:
            if quiet or len(statement.values) != len(statement.targets):
                yield run_statement(lo, statement, scope)
                continue
            for name, value, parts in zip(statement.targets, statement.values, wanted, strict=True):
                thing = yield value, scope
                if not parts:
                    assign(lo, scope, name, thing, value)
                    continue
                pieces = dict(leaves(thing))
                if pieces.keys() != parts.keys():
                    kept = Record(dict.fromkeys(parts.values()))
                    lo.fail("structure-mismatch", f"`{name.text}` is {describe(kept) if () not in parts else 'a tensor'}, and this is {describe(thing)}", value)
                told: list[tuple[tuple[str, ...], Thing]] = []
                for path, k in parts.items():
                    t = sets(base, k)
                    assert t is not None
                    array = constant_array(lo, pieces[path], t, value)
                    (made.fed if k in base.inputs else made.kept)[k] = array
                    told.append((path, Known(array.item() if array.ndim == 0 else array, t.dtype)))
                assign(lo, scope, name, build(told), value)  # later settings may read it
        except Failed:
            lo.poison(scope, [name for name, parts in zip(statement.targets, wanted, strict=True) if not parts])
        finally:
            lo.quiet -= quiet


def constant_array(lo: Lowering, thing: Thing, t: TensorType, node: s.Node) -> np.ndarray:
    """A value that depends on nothing that is fed, as an array of the declared dtype and rank."""
    from dfg.codegen.interpret import interpret
    from dfg.frontend.lowering.program import constant_leaf

    if not is_tensor(thing):
        lo.fail("wrong-type", f"a tensor is fed here, not {describe(thing)}", node)
    leaf = lo.array(thing, node) if isinstance(thing, ListThing) else thing
    kind = leaf.kind if isinstance(leaf, Literal) else leaf.dtype.kind
    if KIND_ORDER[kind] > KIND_ORDER[t.dtype.kind]:
        lo.fail("wrong-dtype", f"{describe(leaf)} is not {t}", node)
    if isinstance(leaf, Literal):
        literal = leaf
        value = lo.guarded(lambda: lo.cx.literal(literal, t.dtype), node)
    else:
        value = lo.value(leaf, node)
        if not t.shape or value.shape:
            constant_leaf(lo, value, node, lo.scope)
    array = np.asarray(interpret([value], {}, {})[0]).astype(t.dtype.np)
    if array.ndim != len(t.shape):
        if array.ndim == 0 and all(isinstance(d, int) for d in t.shape):
            return np.broadcast_to(array, t.shape).copy()  # type: ignore[arg-type]
        lo.fail("wrong-shape", f"{describe(leaf)} is not {t}", node, help=f"give it {len(t.shape)} axes")
    for k, (d, n) in enumerate(zip(t.shape, array.shape, strict=True)):
        if isinstance(d, int) and d != n:
            lo.fail("wrong-shape", f"axis {k} is {n}, and {t} is declared", node)
    return array


def fed_sizes(base: Lowered, made: LoweredTest, test: s.Test) -> list[tuple[DimLike, int, Span]]:
    """What the fed arrays say of the sizes."""
    spans = {
        name.text: name.span for statement in test.body.statements if isinstance(statement, s.Binding) for name in statement.targets
    }
    whole = {k: span for name, span in spans.items() for k in settable(base, name).values()}
    found: list[tuple[DimLike, int, Span]] = []
    for name, array in {**made.fed, **made.kept}.items():
        t = sets(base, name)
        assert t is not None
        found.extend((d, n, whole[name]) for d, n in zip(t.shape, array.shape, strict=True) if not isinstance(d, int))
    return found


def statements(lo: Lowering, made: LoweredTest, test: s.Test) -> Gen:
    """The rest of the test, in the file as it is with these sizes. Its checks become the outputs of the graph."""
    scope = Scope(lo.scope, lo.infos[id(test.body)])
    lowered = made.lowered
    lowered.graph.roots.outputs.clear()
    varied = {name.text for node in test.body.statements if isinstance(node, s.GradCheck) for name in node.targets}
    for statement in test.body.statements:
        lo.graph.cursor = statement.span
        names: list[s.Name] = []
        try:
            if isinstance(statement, s.Binding):
                names = [name for name in statement.targets if not settable(lowered, name.text)]
                if not names:
                    continue
                for name in names:
                    bound = lo.scope.lookup(name.text)
                    if bound is not None:
                        labels = [Label(bound.span, "it is bound here")] if bound.span is not None else []
                        lo.fail("duplicate-name", f"the file computes `{name.text}`: a test feeds inputs and checks what comes of them", name, labels)
                yield run_statement(lo, statement, scope)
                for name in names:
                    if name.text in varied:
                        vary(lo, made, name, scope)
            elif isinstance(statement, s.IndexedBinding):
                names = [statement.target]
                yield run_statement(lo, statement, scope)
            elif isinstance(statement, s.ExprStatement):
                for value in statement.values:
                    thing = yield value, scope
                    truth = lo.value(thing, value)
                    if truth.dtype is not BOOL:
                        lo.fail("wrong-dtype", f"what stands alone in a test is a condition, and this is {truth.type}", value, help="`a ~= b` compares numbers")
                    made.checks.append(TestCheck("true", add_output(made, truth), None, None, False, value.span, len(made.runs)))
            elif isinstance(statement, s.Check):
                yield close(lo, made, statement, scope)
            elif isinstance(statement, s.GradCheck):
                yield gradcheck(lo, made, statement, scope)
            elif isinstance(statement, s.Run):
                count = 1
                if statement.count is not None:
                    thing = yield statement.count, scope
                    plain = plain_static(lo, thing, statement.count, "the number of runs", scope)
                    if type(plain) is not int or plain < 0:
                        lo.fail("bad-argument", "the number of runs is a whole number", statement.count)
                    count = plain
                made.runs.append(count)
            else:
                lo.fail("misplaced-statement", "this statement has no place in a test", statement)
        except Failed:
            lo.poison(scope, names)


def vary(lo: Lowering, made: LoweredTest, name: s.Name, scope: Scope) -> None:
    """A name that the test binds, and by which it checks a gradient: an input of this test, which is fed what the name was bound to."""
    from dfg.frontend.lowering.program import InputInfo, constant_leaf

    found = scope.names[name.text]
    if not is_tensor(found.thing):
        return
    leaf = constant_leaf(lo, found.thing, name, scope)
    array = np.asarray(leaf.value, lo.value(leaf, name).dtype.np)
    t = TensorType(lo.value(leaf, name).dtype, array.shape)
    lo.stand(name)
    made.lowered.inputs[name.text] = InputInfo(t, None, name.span, "")
    made.fed[name.text] = array
    found.thing = lo.graph.emit(input_op, (), (name.text, t))


def add_output(made: LoweredTest, value: Value) -> str:
    outputs = made.lowered.graph.roots.outputs
    name = f"check {len(outputs) + 1}"
    outputs[name] = value
    return name


def close(lo: Lowering, made: LoweredTest, node: s.Check, scope: Scope) -> Gen:
    left_thing = yield node.left, scope
    right_thing = yield node.right, scope
    left, right = lo.value(left_thing, node.left), lo.value(right_thing, node.right)
    if left.shape and right.shape:
        lo.guarded(lambda: lo.cx.broadcast([left, right], "~="), node, [(node.left, left_thing), (node.right, right_thing)], scope)
    tolerance = None
    if node.tolerance is not None:
        thing = yield node.tolerance, scope
        plain = plain_static(lo, thing, node.tolerance, "a tolerance", scope)
        if isinstance(plain, bool) or not isinstance(plain, int | float) or not plain >= 0:
            lo.fail("bad-argument", "a tolerance is a number that is not negative", node.tolerance)
        tolerance = float(plain)
    narrow = left.dtype is F32 or right.dtype is F32
    made.checks.append(TestCheck("close", add_output(made, left), add_output(made, right), tolerance, narrow, node.span, len(made.runs)))


def gradcheck(lo: Lowering, made: LoweredTest, node: s.GradCheck, scope: Scope) -> Gen:
    thing = yield read_name(node.loss), scope
    loss = lo.value(thing, node.loss)
    if loss.shape or not loss.dtype.floating:
        lo.fail("not-scalar-loss", f"`gradcheck` is of a floating-point scalar, and this is {loss.type}", node.loss)
    targets: list[str] = []
    lowered = made.lowered
    for name in node.targets:
        parts = settable(lowered, name.text)
        if not parts:
            lo.fail("unknown-name", f"`gradcheck` varies inputs, parameters, states and constants that the test binds, and `{name.text}` is none", name)
        for k in parts.values():
            u = sets(lowered, k)
            assert u is not None
            if not u.dtype.floating:
                lo.fail("integer-target", f"`{k}` is {u}: only floating-point values vary smoothly", name)
            targets.append(k)
    made.gradchecks.append(TestGradCheck(add_output(made, loss), tuple(targets), node.span, len(made.runs)))
