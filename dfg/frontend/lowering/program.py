"""A whole file: its sizes and facts first, then its statements from top to bottom.

All `dim` lines and the dims of declared types are collected before the first value is emitted, and the table of facts is frozen then (`collect_facts`):
no size changes its form later. Constants may stand in types, so they are evaluated for that in a graph that is thrown away.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dfg.diagnostics import Diagnostic, Fix, Label, Sink, UserError, in_order
from dfg.diagnostics.codes import nearest
from dfg.dims import Binder, Dim, DimLike, Facts, named, names
from dfg.frontend import syntax as s
from dfg.frontend.exact import is_exact, lower_exact
from dfg.frontend.lowering import control, derivatives, expressions, facts, unrolled
from dfg.frontend.lowering.blocks import bound_names, check_storable, match, run_statement
from dfg.frontend.lowering.blocks import expressions as several
from dfg.frontend.lowering.engine import Failed, Gen, Loader, Lowering
from dfg.frontend.lowering.modules import StdLoader, bind_function, use
from dfg.frontend.lowering.regions import Region
from dfg.frontend.lowering.scopes import Binding, Scope, ScopeInfo, scan_scopes
from dfg.frontend.lowering.statics import check_static, static_int
from dfg.frontend.lowering.things import (
    POISON,
    Known,
    ListThing,
    Record,
    Thing,
    TupleThing,
    describe,
    is_static,
    is_tensor,
    known,
    leaves,
    map_leaves,
    rebuild,
    structure,
)
from dfg.frontend.lowering.types import dtype_named, fit_type, open_fact, tensor_type
from dfg.frontend.lowering.uncalled import check_uncalled
from dfg.frontend.parser import uncollected
from dfg.ir import Graph, Value
from dfg.ops import functions
from dfg.ops.base import const_value
from dfg.ops.leaf import input_op, param_op, state_op
from dfg.ops.surface import Literal
from dfg.source import Source, Span
from dfg.types import F64, DType, TensorType

_USED = (control, derivatives, expressions, facts, functions, unrolled)  # importing them fills the tables


@dataclass(frozen=True, slots=True)
class InputInfo:
    """A declared input: its type, the value that it has when it is not fed, where it stands, and its documentation."""

    type: TensorType
    default: Value | None
    span: Span
    doc: str


@dataclass(frozen=True, slots=True)
class LeafInfo:
    """A parameter or state (a leaf of a record has its dotted name): its type, where it was declared, its documentation."""

    type: TensorType
    span: Span
    doc: str


@dataclass(slots=True)
class Lowered:
    """A program as a graph at the source stage, with its declarations."""

    graph: Graph
    inputs: dict[str, InputInfo] = field(default_factory=dict)
    params: dict[str, LeafInfo] = field(default_factory=dict)
    states: dict[str, LeafInfo] = field(default_factory=dict)
    consts: dict[str, Any] = field(default_factory=dict)
    tests: list[s.Test] = field(default_factory=list)
    docs: dict[str, str] = field(default_factory=dict)
    hints: dict[str, int] = field(default_factory=dict)
    """Usual sizes, from `dim n ~ 4096`."""
    dims: tuple[str, ...] = ()
    """The names of sizes, in the order in which they were met."""
    default_float: DType = F64
    warnings: tuple[Diagnostic, ...] = ()
    file: s.File | None = None


def lower(file: s.File, sink: Sink, load: Loader | None = None) -> Lowered:
    """The graph of a file. What is wrong is added to the sink; names that depend on it are left out of the result."""
    if is_exact(file):
        return lower_exact(file, sink, None if load is None else lambda where: load.array(where, file.source))
    lo = Lowering(sink, StdLoader() if load is None else load)
    if sink.errors:
        file, lo.refused = without_refused(file, sink)
    lo.file = file
    with uncollected():
        return lo.drive(lower_file(lo, file))


def without_refused(file: s.File, sink: Sink) -> tuple[s.File, frozenset[str]]:
    """The statements that the parser had nothing against, and the words of the others: so the rest of a file is checked in the same run."""
    places = [d.span.start for d in sink.errors if d.span is not None and d.span.source is file.source]
    kept = [t for t in file.statements if not any(t.start <= place <= t.stop for place in places)]
    text = file.source.text
    parts, at = [], 0
    for t in sorted(kept, key=lambda t: t.start):
        parts.append(text[at : t.start])
        at = max(at, t.stop)
    parts.append(text[at:])
    words = frozenset(re.findall(r"[^\W\d]\w*", "\n".join(parts)))
    return s.File(file.source, file.start, file.stop, tuple(kept), file.comments), words


def load_text(text: str, name: str = "<string>", load: Loader | None = None) -> Lowered:
    """The graph of a program's text. Raises `UserError` with everything that is wrong."""
    from dfg.frontend.parser import parse

    sink = Sink()
    file = parse(Source(name, text), sink)
    if sink.errors:
        raise UserError(in_order(sink.items))  # the lowering would only follow a wrong tree
    lowered = lower(file, sink, load)
    if sink.errors:
        raise UserError(in_order(sink.items))
    return lowered


def lower_file(lo: Lowering, file: s.File, sizes: Sequence[tuple[DimLike, int, Span]] = ()) -> Gen:
    """The statements of a file. `sizes` are further facts: what is fed in a test."""
    infos = scan_scopes(file)
    lo.infos.update(infos)
    lo.trees.append(file)
    for statement in file.statements:
        if isinstance(statement, s.Default):
            with contextlib.suppress(Failed):
                lo.default_float = default_dtype(lo, statement, file)
            break
    scratch = Graph()
    lo.region = Region(scratch, lo.surface_for(scratch))
    scope = lo.scope = Scope(None, infos[id(file)])
    facts, hints = yield collect_facts(lo, file, scope, sizes)
    graph = Graph(facts)
    lo.region = Region(graph, lo.surface_for(graph))
    lowered = Lowered(graph, default_float=lo.default_float, file=file)
    lowered.dims = tuple(b.name for b in scope.names.values())
    lowered.hints = hints
    lo.later_params = {statement.name.text: statement.name for statement in file.statements if isinstance(statement, s.Param)}
    exported: dict[str, s.Name] = {}
    for statement in file.statements:
        graph.cursor = statement.span
        try:
            yield declare(lo, lowered, statement, scope, exported)
        except Failed:
            lo.poison(scope, bound_names(statement))
        if isinstance(statement, s.Param):
            lo.later_params.pop(statement.name.text, None)
            if scope.names[statement.name.text].thing is POISON:
                lo.params[statement.name.text] = POISON
    graph.cursor = None
    check_uncalled(lo, file, scope)
    lowered.warnings = tuple(d for d in lo.sink.items if d.severity == "warning")
    return lowered


def default_dtype(lo: Lowering, node: s.Default, file: s.File) -> DType:
    dtype = dtype_named(lo, node.dtype)
    if not dtype.floating:
        lo.fail("bad-argument", f"the default of numbers is a floating dtype, not {dtype}", node.dtype)
    if node is not file.statements[0]:
        lo.fail("misplaced-statement", "`default` stands before everything else in a file", node)
    return dtype


# --- sizes and facts -----------------------------------------------------------------------------------------------------------------


def collect_facts(lo: Lowering, file: s.File, main: Scope, sizes: Sequence[tuple[DimLike, int, Span]] = ()) -> Gen:
    """The frozen facts of a file and the hints of its sizes; the names of sizes are bound in `main`."""
    facts = Facts()
    hints: dict[str, int] = {}
    early = Scope(None, ScopeInfo())
    first: dict[str, s.Name] = {}
    bound_by: list[DimLike] = []
    wanted: list[s.Name] = []
    lines: list[tuple[s.DimFact, DimLike, DimLike]] = []

    def meet(exprs: Sequence[s.Node]) -> list[s.Name]:
        met = []
        for expr in exprs:
            for node in s.walk(expr):
                if isinstance(node, s.Name) and early.lookup(node.text) is None:
                    lo.order += 1
                    early.names[node.text] = Binding(node.text, known(named(node.text)), node.span, "dim", lo.order)
                    first[node.text] = node
                    facts.declare_name(node.text)
                if isinstance(node, s.Name) and node.text in first:
                    met.append(node)
        return met

    for statement in file.statements:
        lo.quiet += 1
        try:
            if isinstance(statement, s.Use):
                yield use(lo, statement, early)
            elif isinstance(statement, s.Def):
                bind_function(lo, early, statement)
            elif isinstance(statement, s.Const):
                yield declare_const(lo, statement, early)
            elif isinstance(statement, s.Input | s.Param | s.State) and isinstance(statement.type, s.TensorType):
                met = meet(statement.type.dims)
                if isinstance(statement, s.Input):
                    for d in statement.type.dims:
                        thing = yield d, early
                        if is_static(thing) and isinstance(thing.value, Dim):
                            bound_by.append(thing.value)
                else:
                    wanted.extend(met)
            elif isinstance(statement, s.DimFact):
                sides = [side for side in (statement.left, statement.right) if side is not None]
                wanted.extend(meet(sides))
                values = []
                for side in sides:
                    thing = yield side, early
                    values.append(static_int(lo, thing, side, "a dimension", early))
                if len(values) == 2:
                    lines.append((statement, values[0], values[1]))
        except Failed:
            lo.poison(early, bound_names(statement))
        finally:
            lo.quiet -= 1
    lo.modules = {k: v for k, v in lo.modules.items() if k.startswith("prelude/")}
    for node, left, right in lines:
        assert node.op is not None
        if node.op == "~":
            hint(lo, node, left, right, hints)
            continue
        conflict = facts.declare(left, node.op, right, node.span)
        if conflict is not None:
            labels = [Label(f.origin, "and this") for f in conflict.against if isinstance(f.origin, Span)]
            lo.report("dim-contradiction", f"{conflict.message}", node.span, labels)
    for dim, number, span in sizes:
        conflict = facts.declare(dim, "==", number, span)
        if conflict is not None:
            lo.report("dim-contradiction", f"with this value {conflict.message}", span)
    facts.freeze()
    bound_later = {name.text: name for st in file.statements if isinstance(st, s.Binding | s.Output) for name in bound_names(st)}
    sized = unbound(lo, bound_by, facts, wanted, bound_later)
    for name, where in first.items():
        if name in bound_later and name not in sized:
            continue
        lo.order += 1
        main.names[name] = Binding(name, known(facts.normal(named(name))), where.span, "dim", lo.order)
    return facts, hints


def hint(lo: Lowering, node: s.DimFact, left: DimLike, right: DimLike, hints: dict[str, int]) -> None:
    """A usual size, `dim n ~ 4096`: of one name, a number, once."""
    name = next(iter(names(left)), "")
    if not name or left != named(name) or not isinstance(right, int):
        lo.report("bad-argument", "a hint gives one name its usual size", node.span, help="for example `dim n ~ 4096`; what always holds is stated by `==`")
    elif name in hints:
        lo.report("duplicate-name", f"`{name}` has two hints", node.span, help="its usual size is one number")
    else:
        hints[name] = right


def unbound(lo: Lowering, bound_by: Sequence[DimLike], facts: Facts, wanted: Sequence[s.Name], values: Mapping[str, s.Name]) -> set[str]:
    """Tell of dims that no input gives a size, `values` being the names that the file binds; those that have one."""
    binder = Binder([(str(k), (d,)) for k, d in enumerate(bound_by)], facts)
    have = set(binder.names)
    told: set[str] = set()
    for node in wanted:
        if node.text not in have and node.text not in told:
            told.add(node.text)
            value = values.get(node.text)
            if value is not None:
                lo.report("dim-unbound", f"`{node.text}` is a value, and this is a place for a size", node.span, [Label(value.span, f"`{node.text}` is bound here")],
                          help=f"`const {node.text} = …` is known while compiling; `dim` lines are about the sizes of inputs")
                continue
            best = nearest(node.text, have)
            lo.report(
                "dim-unbound",
                f"no input gives the dim `{node.text}` a size",
                node.span,
                help=f"did you mean `{best}`?" if best else f"a dim is bound by its bare use in the type of an input: `input x : f64[{node.text}]`",
                fix=Fix(f"write `{best}`", ((node.span, best),)) if best else None,
            )
    return have


# --- statements ----------------------------------------------------------------------------------------------------------------------


def declare(lo: Lowering, out: Lowered, node: s.Statement, scope: Scope, exported: dict[str, s.Name]) -> Gen:
    if isinstance(node, s.Input):
        yield declare_input(lo, out, node, scope)
    elif isinstance(node, s.Param | s.State):
        yield declare_kept(lo, out, node, scope)
    elif isinstance(node, s.Const):
        thing = yield declare_const(lo, node, scope)
        for path, leaf in leaves(thing):
            out.consts[".".join((node.name.text, *path))] = leaf.value
    elif isinstance(node, s.Output):
        yield declare_output(lo, out, node, scope, exported)
    elif isinstance(node, s.Update):
        yield declare_update(lo, out, node, scope)
    elif isinstance(node, s.Use):
        yield use(lo, node, scope)
    elif isinstance(node, s.Def):
        bind_function(lo, scope, node)
    elif isinstance(node, s.Test):
        out.tests.append(node)
    elif isinstance(node, s.DimFact | s.Default):
        pass
    elif isinstance(node, s.ExprStatement):
        pass  # the parser has told
    else:
        yield run_statement(lo, node, scope)
    doc = getattr(node, "doc", "")
    if doc:
        for name in bound_names(node):
            out.docs[name.text] = doc
    return None


def declare_input(lo: Lowering, out: Lowered, node: s.Input, scope: Scope) -> Gen:
    wanted = yield tensor_type(lo, node.type, scope)
    default: Value | None = None
    if node.value is not None:
        thing = yield node.value, scope
        made = fit_type(lo, thing, wanted, node.value, node.type, scope)
        independent(lo, made, node.value, ("input", "param", "state"), "the default of an input is known before a run")
        default = made
    for name in node.names:
        lo.graph.cursor = name.span
        value = lo.graph.emit(input_op, (), (name.text, wanted))
        lo.bind(scope, name, value, "input", pin=False)
        out.inputs[name.text] = InputInfo(wanted, default, name.span, node.doc)
    return None


def independent(lo: Lowering, value: Value, node: s.Node, kinds: tuple[str, ...], why: str) -> None:
    """Refuse a value that is computed from leaves of some kinds."""
    for v in lo.graph.live([value]):
        if v.op.name in kinds:
            span = lo.graph.spans.get(v.index)
            labels = [Label(span, f"`{v.attrs[0]}` is declared here")] if span is not None else []
            lo.fail("initial-value", f"{why}, and this one depends on the {v.op.name} `{v.attrs[0]}`", node, labels)


def declared_value(lo: Lowering, node: s.Param | s.State | s.Const, scope: Scope, kinds: str) -> Gen:
    """The value of a declaration, as its type has it if there is one."""
    lo.check_free(scope, node.name)
    wanted = None
    if node.type is not None:
        wanted = yield tensor_type(lo, node.type, scope)
    thing = yield node.value, scope
    if isinstance(thing, ListThing):
        thing = lo.array(thing, node.value)
    if not (is_tensor(thing) or isinstance(thing, Record)):
        check_storable(lo, node.name, thing, node.value)
        lo.fail("wrong-type", f"`{node.name.text}` holds {kinds}, not {describe(thing)}", node.value)
    return thing if wanted is None else fit_type(lo, thing, wanted, node.value, node.type or node.value, scope)


def declare_kept(lo: Lowering, out: Lowered, node: s.Param | s.State, scope: Scope) -> Gen:
    """A parameter or a state: a leaf (or a record of leaves), and its initial value."""
    op = param_op if isinstance(node, s.Param) else state_op
    table = out.params if isinstance(node, s.Param) else out.states
    thing = yield declared_value(lo, node, scope, "a tensor or a record")
    made = []
    for path, leaf in leaves(thing):
        initial = lo.value(leaf, node.value)
        independent(lo, initial, node.value, ("input",), f"the initial value of `{node.name.text}` is made before anything is fed")
        name = ".".join((node.name.text, *path))
        lo.graph.cursor = node.name.span
        made.append(lo.graph.emit(op, (), (name, initial.type)))
        lo.graph.roots.initials[name] = initial
        table[name] = LeafInfo(initial.type, node.name.span, node.doc)
    result = rebuild(thing, made)
    lo.bind(scope, node.name, result, "param" if op is param_op else "state", pin=False)
    if op is param_op:
        lo.params[node.name.text] = result
    return None


def declare_const(lo: Lowering, node: s.Const, scope: Scope) -> Gen:
    """A constant: static, an array too; without a type it stays without a dtype."""
    thing = yield declared_value(lo, node, scope, "a number, an array or a record")
    thing = map_leaves(lambda leaf: constant_leaf(lo, leaf, node.value, scope), thing)
    lo.bind(scope, node.name, thing, "const", register=False)
    return thing


def constant_leaf(lo: Lowering, leaf: Thing, node: s.Node, scope: Scope) -> Thing:
    """A leaf of a constant as a static thing: computed now."""
    if isinstance(leaf, ListThing):
        leaf = lo.array(leaf, node)
    if isinstance(leaf, Known) and leaf.node is not None:
        return Known(leaf.value, leaf.dtype, leaf.text)
    if not isinstance(leaf, Value):
        return leaf
    array = const_value(leaf) if not leaf.shape else None
    if array is None:
        from dfg.codegen.interpret import interpret

        for v in leaf.graph.live([leaf]):
            if isinstance(v.type, TensorType):
                check_static(lo, [d for d in v.type.shape if isinstance(d, int)], node)
        from dfg.frontend.lowering.statics import not_static

        live = lo.graph.live([leaf])
        if any(v.op.name in ("input", "param", "state", "arg") for v in live) or any(isinstance(d, Dim) for v in live if isinstance(v.type, TensorType) for d in v.shape):
            not_static(lo, leaf, node, "a constant", scope)
        if any(v.op.name == "dim" for v in live):
            lo.fail("not-static", "a constant is known while compiling, and this depends on a size that is not", node)
        try:
            with np.errstate(all="ignore"):
                array = np.asarray(interpret([leaf], {}, {})[0])
        except (KeyError, IndexError, ArithmeticError, np.linalg.LinAlgError) as e:
            lo.fail("not-static", f"this constant cannot be computed: {e}", node)
    return Known(array.item() if array.ndim == 0 else array, leaf.dtype)


def declare_output(lo: Lowering, out: Lowered, node: s.Output, scope: Scope, exported: dict[str, s.Name]) -> Gen:
    if node.values is not None:
        things = []
        for value in node.values:
            things.append((yield value, scope))
        pairs = match(lo, node.names, node.values, things)
        from dfg.frontend.lowering.blocks import assign

        for name, thing, value in pairs:
            assign(lo, scope, name, thing, value)
    failed = False
    for name in node.names:
        try:
            thing = yield read_name(name), scope
            export(lo, out, name, thing, exported)
        except Failed:
            failed = True
    if failed and node.values is None:
        raise Failed
    return None


def read_name(name: s.Name) -> s.Expr:
    """A name, dotted or not, as an expression that reads it."""
    parts = name.text.split(".")
    if len(parts) == 1:
        return name
    at = name.start
    node: s.Expr = s.Name(name.source, at, at + len(parts[0]), parts[0])
    for part in parts[1:]:
        at = name.source.text.find(part, node.stop) if len(name.source.text) > node.stop else node.stop
        node = s.Attribute(name.source, name.start, at + len(part), node, s.Name(name.source, at, at + len(part), part))
    return node


def export(lo: Lowering, out: Lowered, name: s.Name, thing: Thing, exported: dict[str, s.Name]) -> None:
    if name.text in exported:
        lo.fail("duplicate-name", f"`{name.text}` is an output twice", name, [Label(exported[name.text].span, "here first")])
    if not (is_tensor(thing) or isinstance(thing, Record)):
        lo.fail("wrong-type", f"an output is a tensor or a record, and `{name.text}` is {describe(thing)}", name)
    exported[name.text] = name
    for path, leaf in leaves(thing):
        lo.graph.roots.outputs[".".join((name.text, *path))] = lo.value(leaf, name)


def declare_update(lo: Lowering, out: Lowered, node: s.Update, scope: Scope) -> Gen:
    thing = yield several(lo, node.values, scope)
    things = list(thing.items) if len(node.values) > 1 else [thing]
    for name, new, value in match(lo, node.names, node.values, things):
        old = yield read_name(name), scope
        update(lo, out, name, old, new, value, scope)
    return None


def update(lo: Lowering, out: Lowered, name: s.Name, old: Thing, new: Thing, node: s.Expr, scope: Scope) -> None:
    targets = leaves(old)
    for path, leaf in targets:
        if not (isinstance(leaf, Value) and leaf.op in (param_op, state_op)):
            shown = ".".join((name.text, *path))
            binding = scope.lookup(name.text)
            labels = [Label(binding.span, f"`{name.text}` is bound here")] if binding is not None and binding.span is not None else []
            lo.fail("bad-update", f"only a parameter or a state is updated, and `{shown}` is neither", name, labels,
                    help="declare it as a `state` with an initial value")
    if isinstance(old, Record):
        if not isinstance(new, Record) or structure(old) != structure(new):
            lo.fail("structure-mismatch", f"an update of the record `{name.text}` has its fields, and this is {describe(new)}", node)
    elif isinstance(new, Record | TupleThing):
        lo.fail("structure-mismatch", f"`{name.text}` is a tensor, and this is {describe(new)}", node)
    values = dict(leaves(new))
    for path, leaf in targets:
        key = leaf.attrs[0]
        if key in lo.graph.roots.updates:
            lo.fail("duplicate-update", f"`{key}` is updated twice", name, help="both would see the old value: combine them in one right-hand side")
        lo.graph.roots.updates[key] = fitted_update(lo, values[path], leaf, node, scope)


def fitted_update(lo: Lowering, thing: Thing, leaf: Value, node: s.Node, scope: Scope) -> Value:
    name, t = leaf.attrs
    if isinstance(thing, ListThing):
        thing = lo.array(thing, node)
    value: Value
    if isinstance(thing, Literal):
        literal = thing
        value = lo.guarded(lambda: lo.cx.literal(literal, t.dtype if t.dtype.kind != "bool" or literal.kind == "bool" else lo.cx.default(literal.kind)), node)
    else:
        value = lo.value(thing, node, "the new value is a tensor")
        if value.dtype.kind == t.dtype.kind:
            value = lo.guarded(lambda: lo.cx.cast(value, t.dtype, f"update of `{name}`, which is {t.dtype}"), node)
        elif value.dtype.level < t.dtype.level:
            value = lo.guarded(lambda: lo.cx.cast(value, t.dtype, f"update of `{name}`"), node)
    span = lo.graph.spans.get(leaf.index)
    labels = [Label(span, f"`{name}` is {t}")] if span is not None else []
    if value.dtype is not t.dtype:
        lo.fail("wrong-dtype", f"`{name}` is {t}, and its update {value.type}", node, labels, help=f"convert it: `{t.dtype}(…)`")
    if value.shape != t.shape:
        same: Any = len(value.shape) == len(t.shape) and [lo.graph.equal_sizes(a, b) for a, b in zip(value.shape, t.shape, strict=True)]
        if not same or not all(same):
            fact = open_fact(lo, value.shape, t.shape) if same and False not in same else None
            lo.fail(
                "shape-mismatch" if fact is None else "dim-unproved",
                f"`{name}` is {t}, and its update {value.type}",
                node,
                labels,
                help="an update has the shape of what it replaces",
                fix=lo.fact_fix(fact) if fact else None,
            )
        value = lo.guarded(lambda: lo.cx.stretch(value, t.shape), node)
    return value

