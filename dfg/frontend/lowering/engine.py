"""The state of a lowering, and the machine that evaluates a tree without recursion.

Expressions are evaluated by generators, one for each kind of node, in the table `EVALUATORS`. Such a generator yields `(node, scope)`, or another
generator, and is sent what that gives; `Lowering.drive` keeps the stack. A syntax tree may thus be as deep as memory allows.

A *region* is the graph under construction: the program's, or the body of a loop or branch. A value of an outer region that a body uses becomes an
argument of the body at its first use (`Lowering.capture`). Everything wrong is added to the sink and raises `Failed`, which the statement catches:
its names become poison, and the statements after it are still checked.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from types import GeneratorType
from typing import Any, Final, NoReturn, Protocol, TypeAlias

import numpy as np

from dfg.diagnostics import Fix, Label, Sink, UserError, error, in_order, warning
from dfg.dims import Dim, DimError
from dfg.frontend import syntax as s
from dfg.frontend.lexer import MAX_ERRORS
from dfg.frontend.lowering.limits import MAX_BODIES, MAX_CALLS, MAX_DEPTH, MAX_FAILURES, MAX_VALUES
from dfg.frontend.lowering.regions import Region, weighing
from dfg.frontend.lowering.scopes import Binding, Scope, ScopeInfo, What
from dfg.frontend.lowering.things import (
    POISON,
    Closure,
    Known,
    ListThing,
    Record,
    Thing,
    TupleThing,
    describe,
    is_static,
    leaves,
    map_leaves,
)
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPS
from dfg.ops.leaf import make_pin
from dfg.ops.surface import FUNCTIONS, Literal, Surface
from dfg.ops.surface import call as call_surface
from dfg.source import Source, Span
from dfg.types import F64, I64, DType

Gen: TypeAlias = Generator[Any, Any, Thing]
Evaluator: TypeAlias = Callable[["Lowering", Any, Scope], Any]
EVALUATORS: Final[dict[type, Evaluator]] = {}



def evaluates(*kinds: type) -> Callable[[Evaluator], Evaluator]:
    """Declare the evaluator of some kinds of nodes: a function `(lowering, node, scope)` that gives a thing, or a generator that returns one."""

    def declare(f: Evaluator) -> Evaluator:
        for kind in kinds:
            EVALUATORS[kind] = f
        return f

    return declare


class Failed(Exception):
    """A statement cannot be lowered; the sink has been told why."""


class Loader(Protocol):
    """Where used files and arrays come from."""

    def source(self, path: str, asking: Source) -> Source:
        """The text of a file, by its path as written in `asking`. Raises `UserError`."""

    def module(self, name: str) -> Source | None:
        """The text of a module of the standard library, or None."""

    def array(self, path: str, asking: Source) -> np.ndarray:
        """The array of `load("table.npy")` or `load("file.npz:key")`. Raises `UserError`."""


@dataclass(slots=True)
class Frame:
    """A call that is being expanded."""

    closure: Closure
    span: Span
    path: str
    given: dict[str, s.Node]
    """Where its arguments stand, by parameter."""


FOLLOWING = frozenset({"unknown-name", "unknown-op", "dim-unbound", "use-before-binding", "unknown-field"})
"""What follows from a statement that is not there."""


@dataclass(slots=True)
class Lowering:
    """The lowering of one program."""

    sink: Sink
    load: Loader | None
    region: Region = field(init=False)
    scope: Scope = field(init=False)
    """The file's own scope."""
    infos: dict[int, ScopeInfo] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    expanded: set[int] = field(default_factory=set)
    """The functions that were called, by `id` of their definitions."""
    path: str = ""
    default_float: DType = F64
    order: int = 0
    calls: int = 0
    failures: int = 0
    bodies: int = 0
    """How many times the body of a loop or branch was gone through."""
    call_counts: dict[str, int] = field(default_factory=dict)
    modules: dict[str, Any] = field(default_factory=dict)
    loading: list[str] = field(default_factory=list)
    trees: list[s.File] = field(default_factory=list)
    """Keeps the trees alive, whose nodes' ids are keys."""
    params: dict[str, Thing] = field(default_factory=dict)
    later_params: dict[str, s.Name] = field(default_factory=dict)
    named_axes: dict[tuple[int, str], int] = field(default_factory=dict)
    """Which axis a dim's name meant, by the place of the name and the path of calls."""
    parsed: dict[int, tuple[s.File, tuple[Any, ...]]] = field(default_factory=dict)
    """The trees of used files, by the identity of their sources."""
    file: s.File | None = None
    refused: frozenset[str] = frozenset()
    """Words of statements with a syntax error: what they would have bound is not missed."""
    library: Any = None
    """The function of the prelude (`library.Definition`) whose body this is: then spans are the caller's, and what is wrong is an `InferError`."""
    quiet: int = 0
    """Above 0 while something is lowered only to learn its type: nothing is told."""

    # --- regions ---------------------------------------------------------------------------------------------------------------

    def surface_for(self, graph: Graph) -> Surface:
        if self.library is not None:
            outer = self.region.surface
            return Surface(graph, self.default_float, outer.warn, outer.within, self.call_counts)
        return Surface(graph, self.default_float, lambda code, message: self.warn(code, message, graph.cursor), None, self.call_counts)

    @property
    def graph(self) -> Graph:
        return self.region.graph

    @property
    def cx(self) -> Surface:
        return self.region.surface

    def open_region(self, node: s.Node) -> Region:
        """A new region inside the current one, for a body. The caller makes it current and puts the old one back."""
        if self.region.depth >= MAX_DEPTH:
            self.fail(
                "too-large", f"loops and branches nest at most {MAX_DEPTH} deep", node,
                help="of many cases, choose with `where`, or look the result up: `table[k]`",
            )  # fmt: skip
        self.bodies += 1
        if self.bodies > MAX_BODIES:
            self.fail(
                "too-large", f"the bodies of nested loops were gone through {MAX_BODIES:,} times to find the types of their carries", node,
                help="begin each carry with a tensor of its type: `carry h : f64[n] = 0`",
            )  # fmt: skip
        graph = self.graph.like()
        graph.call = self.graph.call
        if self.library is not None:
            graph.cursor = self.graph.cursor
        return Region(graph, self.surface_for(graph), self.region)

    def region_of(self, value: Value) -> Region | None:
        """The region, current or enclosing, whose graph has the value."""
        region: Region | None = self.region
        while region is not None and region.graph is not value.graph:
            region = region.parent
        return region

    def capture(self, value: Value) -> Value:
        """The value as one of the current region: itself, or the argument that stands for it."""
        if value.graph is self.region.graph:
            return value
        chain: list[Region] = []
        region: Region | None = self.region
        while region is not None and region.graph is not value.graph:
            chain.append(region)
            region = region.parent
        assert region is not None, "a value of a region that is closed"
        for inner in reversed(chain):
            if value.op.name in ("constant", "dim"):
                value = inner.graph.emit(value.op, (), value.attrs)
                continue
            found = inner.captures.get(value.index)
            if found is None:
                found = inner.captures[value.index] = (value, inner.argument(value.type))
            value = found[1]
        return value

    # --- the machine -----------------------------------------------------------------------------------------------------------

    def drive(self, request: Any) -> Thing:
        """Evaluate `(node, scope)` or a generator to its end."""
        stack: list[Any] = []
        value: Any = None
        failure: BaseException | None = None
        while True:
            if request is not None:
                try:
                    if type(request) is tuple:
                        node, scope = request
                        request = None
                        out = EVALUATORS[type(node)](self, node, scope)
                    else:
                        out, request = request, None
                    if type(out) is GeneratorType:
                        stack.append(out)
                        value = None
                    else:
                        value = out
                except Failed as e:
                    failure = e
            if not stack:
                if failure is not None:
                    raise failure
                return value
            try:
                if failure is not None:
                    thrown, failure = failure.with_traceback(None), None
                    request = stack[-1].throw(thrown)
                else:
                    request = stack[-1].send(value)
            except StopIteration as done:
                stack.pop()
                value = done.value
            except Failed as e:
                stack.pop()
                failure = e

    # --- telling ---------------------------------------------------------------------------------------------------------------

    def chain(self) -> list[Label]:
        """Where the calls were made that are being expanded, innermost first."""
        frames = self.frames[::-1]
        shown = frames if len(frames) <= 6 else [*frames[:4], *frames[-2:]]
        return [Label(f.span, f"`{f.closure.node.name.text}` is called here") for f in shown]

    def stand(self, node: s.Node) -> None:
        """What is emitted from here on belongs to a node; what the body of a library function emits, to its call."""
        if self.library is None:
            self.region.graph.cursor = Span(node.source, node.start, node.stop)

    def report(
        self, code: str, message: str, span: Span | None, labels: Sequence[Label] = (), help: str | None = None, fix: Fix | None = None
    ) -> None:
        if self.quiet:
            return
        if self.library is not None:
            from dfg.frontend.lowering.library import refused

            raise refused(self, code, message, [(span, "this one")], help)
        if code in FOLLOWING and span is not None and span.text in self.refused:
            return
        errors = 0
        for old in self.sink.items:
            errors += old.severity == "error"
            if old.code == code and old.span == span and (old.severity == "error"):
                return
        self.sink.add(error(code, message, span, labels=[*labels, *self.chain()], help=help, fix=fix))
        if errors + 1 >= MAX_ERRORS:
            raise UserError(in_order(self.sink.items))

    def fail(
        self,
        code: str,
        message: str,
        at: s.Node | Span | None,
        labels: Sequence[Label] = (),
        help: str | None = None,
        fix: Fix | None = None,
    ) -> NoReturn:
        """Tell what is wrong, and give the statement up."""
        self.report(code, message, at.span if isinstance(at, s.Node) else at, labels, help, fix)
        raise Failed

    def warn(self, code: str, message: str, at: s.Node | Span | None, labels: Sequence[Label] = (), help: str | None = None) -> None:
        if not self.quiet:
            span = at.span if isinstance(at, s.Node) else at
            if self.library is not None:
                self.region.surface.warn(code, message)
            elif not any(old.code == code and old.span == span for old in self.sink.items):
                self.sink.add(warning(code, message, span, labels=[*labels, *self.chain()], help=help))

    def origin(self, node: s.Node | None, thing: Thing, words: str, scope: Scope | None) -> Label | None:
        """A label for an operand: at its declaration if it is a name, else where it stands."""
        if node is None:
            return None
        extra = "" if words.startswith("this is") or words == "this one" else f": {words}"
        kind = describe(thing)
        if isinstance(node, s.Name) and scope is not None:
            binding = scope.lookup(node.text)
            if binding is not None and binding.span is not None:
                return Label(binding.span, f"`{node.text}` is {kind}{extra}")
        if words == "this one":
            return Label(node.span, words)
        return Label(node.span, f"this is {kind}{extra}")

    def refuse(
        self,
        e: InferError,
        at: Span,
        whole: s.Node | None = None,
        operands: Sequence[tuple[s.Node | None, Thing]] = (),
        named: dict[str, tuple[s.Node | None, Thing]] | None = None,
        scope: Scope | None = None,
    ) -> NoReturn:
        """Tell an `InferError`, with the spans of the operands that it marks."""
        named = named or {}
        if self.library is not None:
            raise self.passed_on(e, operands, named)
        labels: list[Label] = []
        primary = at
        shapes = e.code in ("shape-mismatch", "dim-unproved")
        for where, words in e.marks:
            node, thing = named.get(where, (None, None)) if isinstance(where, str) else (
                operands[where] if 0 <= where < len(operands) else (None, None)
            )
            if isinstance(where, str) and node is not None and words == "this one":
                primary = node.span
            label = self.origin(node, thing, words, scope)
            if label is not None and label not in labels and not (words == "this one" and label.span == primary):
                labels.append(label)
        if not labels and primary is at and e.code in ("wrong-dtype", "rank-mismatch", "shape-mismatch"):
            labels = [label for node, thing in operands[:3] if (label := self.origin(node, thing, "this is", scope)) is not None]
        if shapes and whole is not None and e.message.startswith("cannot broadcast"):
            labels.insert(0, Label(whole.span, "these two axes are aligned, and neither is 1"))
        if e.code == "literal-overflow" and not e.marks:
            # The number is what is wrong, and the tensors are what it does not fit.
            for node, thing in operands:
                if isinstance(thing, Literal) and node is not None:
                    primary = node.span
                elif isinstance(thing, Value) and (label := self.origin(node, thing, "this is", scope)) is not None:
                    labels.append(label)
        fix = None
        help = e.help
        if help is None and e.code == "shape-mismatch" and e.message.startswith("cannot broadcast"):
            help = weighing(operands)
        if e.dim_fact is not None:
            fix = self.fact_fix(e.dim_fact)
            help = help or f"if this always holds, say so: `{e.dim_fact}`; it is verified when sizes arrive"
        self.fail(e.code, e.message, primary, labels, help, fix)

    def passed_on(
        self, e: InferError, operands: Sequence[tuple[s.Node | None, Thing]], named: dict[str, tuple[s.Node | None, Thing]]
    ) -> InferError:
        """An `InferError` inside a library function as one of its call."""
        from dfg.frontend.lowering.library import refused

        marks: list[tuple[Span | None, str]] = []
        for where, words in e.marks:
            pair = named.get(where) if isinstance(where, str) else operands[where] if 0 <= where < len(operands) else None
            marks.append((pair[0].span if pair is not None and pair[0] is not None else None, words))
        return refused(self, e.code, e.message, marks, e.help, e.dim_fact)

    def fact_fix(self, line: str) -> Fix | None:
        """The edit that puts a `dim` line behind the declarations."""
        if self.file is None:
            return None
        source = self.file.source
        after: s.Node | None = None
        for statement in self.file.statements:
            if isinstance(statement, s.Input | s.DimFact):
                after = statement
        if after is None:
            return None
        text = source.text
        end = text.find("\n", after.stop)
        rest = text[after.stop : end if end >= 0 else len(text)].lstrip()
        if rest and not rest.startswith("#"):
            return None
        at = len(text) if end < 0 else end
        return Fix(f"add `{line}`", ((Span(source, at, at), f"\n{line}"),))

    # --- things and values -----------------------------------------------------------------------------------------------------

    def operand(self, thing: Thing, node: s.Node, what: str = "a tensor is wanted here") -> Value | Literal:
        """A thing as an operand of an op: a value of the current region, or a literal."""
        if isinstance(thing, Value):
            return self.capture(thing)
        if isinstance(thing, Literal):
            return thing
        if isinstance(thing, Known):
            return self.known_value(thing)
        if isinstance(thing, ListThing):
            return self.operand(self.array(thing, node), node, what)
        if thing is POISON:
            raise Failed
        if isinstance(thing, Record):
            self.fail("structure-mismatch", f"{what}, and this is a record", node, help="`total(r)` sums all its leaves; `r.name` reads one")
        self.fail("wrong-type", f"{what}, and this is {describe(thing)}", node)

    def value(self, thing: Thing, node: s.Node, what: str = "a tensor is wanted here") -> Value:
        """A thing as a value of the current region; literals get the default dtype of their kind."""
        made = self.operand(thing, node, what)
        if isinstance(made, Value):
            return made
        self.stand(node)
        try:
            return self.cx.value(made)
        except InferError as e:
            self.refuse(e, node.span)

    def known_value(self, k: Known) -> Value:
        if k.node is not None:
            return self.capture(k.node)
        if isinstance(k.value, Dim):
            return self.graph.emit(OPS["dim"], (), (k.value,))
        return self.cx.literal(Literal(k.dtype.kind, k.value, k.text), k.dtype)

    def array(self, made: ListThing, node: s.Node) -> Thing:
        """A list in brackets as an array: a literal of literals, static of statics, else stacked. Explicit stack: lists nest as deep as they like."""
        from dfg.frontend.lowering.statics import join_array

        done: list[list[Thing]] = [[]]
        work: list[tuple[ListThing, int]] = [(made, 0)]
        while work:
            current, position = work.pop()
            if position < len(current.items):
                work.append((current, position + 1))
                item = current.items[position]
                if isinstance(item, ListThing):
                    work.append((item, 0))
                    done.append([])
                else:
                    done[-1].append(item)
                continue
            joined = join_array(self, done.pop(), current, node)
            if not work:
                return joined
            done[-1].append(joined)
        raise AssertionError

    def settle(self, thing: Thing, node: s.Node) -> Thing:
        """What a name is bound to: literals get the default dtype of their kind, lists become arrays."""
        if isinstance(thing, Literal):
            dtype = self.cx.default(thing.kind)
            self.stand(node)
            if dtype is I64:
                try:
                    self.cx.literal(thing, dtype)
                except InferError as e:
                    self.refuse(e, node.span)
            value = thing.to(dtype)
            if isinstance(value, np.ndarray):
                value = value.astype(dtype.np)
            elif dtype.floating:
                value = dtype.np.type(value).item()
            return Known(value, dtype, thing.text)
        if type(thing) is ListThing:
            return self.settle(self.array(thing, node), node)
        if isinstance(thing, Record):
            return map_leaves(lambda leaf: self.settle(leaf, node), thing) if any(isinstance(v, ListThing) for _, v in leaves(thing)) else thing
        return thing

    def pinned(self, thing: Thing, node: s.Node) -> Thing:
        """A thing under an identity of its own, as a target of differentiation."""

        def one(leaf: Thing) -> Thing:
            if not (isinstance(leaf, Value) or is_static(leaf) or isinstance(leaf, ListThing)):
                return leaf
            value = self.value(leaf, node)
            return make_pin(value) if value.dtype.floating else leaf

        return map_leaves(one, thing)

    def bind(self, scope: Scope, name: s.Name, thing: Thing, what: What = "value", pin: bool = True, register: bool = True) -> Binding:
        """Bind a name in a scope: once; pinned where the scope differentiates by it; its values get the name."""
        self.check_free(scope, name)
        if thing is not POISON and what in ("value", "element", "argument", "carry", "index") and pin and name.text in scope.info.pins:
            thing = self.pinned(thing, name)
        self.order += 1
        binding = Binding(name.text, thing, name.span, what, self.order, describe(thing))
        scope.names[name.text] = binding
        if "." in name.text:
            scope.dotted = True
        if register:
            self.register(name.text, thing)
        return binding

    def check_free(self, scope: Scope, name: s.Name) -> None:
        old = scope.names.get(name.text)
        if old is None:
            return
        labels = [Label(old.span, f"`{name.text}` is bound here")] if old.span is not None else []
        kind = "a dim" if old.what == "dim" else "bound"
        # Which of the two a later line means nobody knows.
        scope.names[name.text] = Binding(old.name, POISON, old.span, old.what, old.order)
        self.fail(
            "duplicate-name",
            f"`{name.text}` is {kind} already" if old.what == "dim" else f"`{name.text}` is bound twice",
            name,
            labels,
            help=f"a size that is known while compiling is a constant: `const {name.text} = 3`" if old.what == "dim" and self.above(name, old)
            else "a name is bound once in a scope: give this value another name",
        )

    @staticmethod
    def above(name: s.Name, old: Binding) -> bool:
        """Whether a value's name stands above its use as a size, so that the value was meant."""
        return old.span is not None and old.span.source is name.source and name.start < old.span.start

    def register(self, name: str, thing: Thing) -> None:
        """Let the graph know what a name stands for."""
        if self.library is not None:
            return
        names = self.graph.names
        prefix = f"{self.path}." if self.path else ""
        for path, leaf in leaves(thing):
            if isinstance(leaf, Value) and leaf.graph is self.graph:
                names.setdefault(prefix + ".".join((name, *path)), leaf)
            elif isinstance(leaf, Known) and not self.path and self.region.parent is None:
                names.setdefault(".".join((name, *path)), self.known_value(leaf))

    def poison(self, scope: Scope, names: Sequence[s.Name]) -> None:
        """Bind the names of a statement that failed, so that only it is told about."""
        for name in names:
            if name.text != "_" and name.text in scope.carries:
                scope.stepped.add(name.text)
                self.order += 1
                scope.names[name.text] = Binding(name.text, POISON, name.span, "carry", self.order)
            elif name.text != "_" and name.text not in scope.names:
                self.order += 1
                scope.names[name.text] = Binding(name.text, POISON, name.span, "value", self.order)

    # --- surface functions -----------------------------------------------------------------------------------------------------

    def emit(
        self,
        name: str,
        args: Sequence[Any],
        at: Span,
        whole: s.Node,
        operands: Sequence[tuple[s.Node | None, Thing]] = (),
        scope: Scope | None = None,
        kwargs: dict[str, Any] | None = None,
        named: dict[str, tuple[s.Node | None, Thing]] | None = None,
        bound: bool = False,
    ) -> Any:
        """Call a surface function on converted arguments; what it refuses is told with the spans of the operands. `bound`: the arguments are known
        to be the function's parameters in order, and not all literals."""
        graph = self.region.graph
        self.stand(whole)
        try:
            made = FUNCTIONS[name].implementation(self.region.surface, *args) if bound else call_surface(self.cx, name, args, kwargs)
        except InferError as e:
            self.refuse(e, at, whole, operands, named, scope)
        except DimError as e:
            self.fail("bad-argument", f"a size that cannot be handled: {e}", at)
        if len(graph.values) > MAX_VALUES:
            self.check_limit(whole)
        return TupleThing(made) if type(made) is tuple else made

    def too_many_calls(self, node: s.Node) -> NoReturn:
        """The program is given up: every call that waits would expand further."""
        self.report(
            "too-large",
            f"the program expands to more than {MAX_CALLS:,} calls and steps of loops, and to {len(self.graph.values):,} values so far",
            node.span,
            help="only equal calls share an expansion; a `scan` holds its body once",
        )
        raise Failed if self.quiet else UserError(in_order(self.sink.items))

    def call_failed(self) -> None:
        """A call that fails may be one of very many that fail alike."""
        self.failures += 1
        if self.failures > MAX_FAILURES and not self.quiet and self.sink.errors:
            raise UserError(in_order(self.sink.items))

    def check_limit(self, node: s.Node) -> None:
        if len(self.graph.values) > MAX_VALUES:
            self.fail("too-large", f"the program expands to more than {MAX_VALUES:,} values", node, help="a `scan` holds its body once")

    def guarded(self, f: Callable[[], Any], node: s.Node, operands: Sequence[tuple[s.Node | None, Thing]] = (), scope: Scope | None = None) -> Any:
        """What `f` emits, with its `InferError` told at `node`."""
        self.stand(node)
        try:
            return f()
        except InferError as e:
            self.refuse(e, node.span, node, operands, None, scope)
        except DimError as e:
            self.fail("bad-argument", f"a size that cannot be handled: {e}", node)

    def elementwise(self, name: str) -> bool:
        """Whether a surface function acts element by element, hence leaf by leaf on records."""
        f = FUNCTIONS.get(name)
        return f is not None and f.elementwise
