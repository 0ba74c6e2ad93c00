"""Functions of the prelude, as the calls of both frontends run them.

A call evaluates the body with the arguments that the frontend has converted, in the graph and under the cursor of the call: its values belong to the line of
the user. What the body refuses is an `InferError` of the call, with the user's arguments marked: an operand of the body is traced back to the parameters
that it comes from, and an inner function's name in a message becomes that of the function called.

What the parameters take is derived from what the body does with them (`roles`): a parameter that is passed on as `axis=` is an axis. So is whether
the function is elementwise: its body consists of elementwise functions.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final
from weakref import WeakKeyDictionary

from dfg.diagnostics import Sink
from dfg.dims import Dim, DimError, Facts
from dfg.frontend import syntax as s
from dfg.frontend.lowering import calls as _calls
from dfg.frontend.lowering import control, derivatives, expressions, unrolled
from dfg.frontend.lowering import facts as _facts
from dfg.frontend.lowering.blocks import run_block
from dfg.frontend.lowering.engine import Failed, Frame, Gen, Lowering
from dfg.frontend.lowering.regions import Region
from dfg.frontend.lowering.scopes import Binding, Scope, ScopeInfo, scan_scopes
from dfg.frontend.lowering.things import Closure, Known, ListThing, Thing, TupleThing
from dfg.frontend.prelude import Place, places
from dfg.ir import Graph, InferError, Need, Value
from dfg.ops.leaf import arg
from dfg.ops.surface import FUNCTIONS, Literal, Surface, role
from dfg.source import Source, Span
from dfg.types import DTYPES, I64, DType

_USED = (_calls, control, derivatives, expressions, _facts, unrolled)  # importing them fills the tables of evaluators


@dataclass(slots=True, eq=False)
class Definition:
    """A function of the prelude, parsed: what its file shows it, and what its parameters take."""

    node: s.Def
    infos: dict[int, ScopeInfo]
    scope: Scope
    signature: inspect.Signature
    elementwise: bool
    alias: str | None
    closure: Closure
    kinds: dict[str, str]
    """What each parameter takes."""
    made: dict[str, Thing]
    """Defaults that are plain literals, evaluated once."""
    templates: WeakKeyDictionary[Facts, dict[Any, Template]]
    """What calls with given types emit, while the facts live that it was derived from."""


def parsed(file: str, text: str) -> s.File:
    from dfg.frontend.parser import parse

    sink = Sink()
    tree = parse(Source(f"std/prelude/{file}", text), sink)
    sink.raise_errors()
    return tree


_PRIVATE: Final = re.compile(r"\b_[a-z]\w*(?=\()")


@cache
def private(file: str, names: frozenset[str]) -> tuple[Scope, dict[int, ScopeInfo]]:
    """The functions that a file of the prelude has for itself: those named, and what they call."""
    own = places()[file]
    pending, wanted = list(names), set()
    while pending:
        name = pending.pop()
        if name in own and name not in wanted:
            wanted.add(name)
            pending.extend(_PRIVATE.findall(own[name].text))
    tree = parsed(file, "".join(own[name].text for name in own if name in wanted))
    infos = scan_scopes(tree)
    scope = Scope(None, infos[id(tree)])
    defs = [d for d in tree.statements if isinstance(d, s.Def)]
    for order, d in enumerate(defs):
        scope.names[d.name.text] = Binding(d.name.text, Closure(d, scope, len(defs)), None, "function", order)
    return scope, infos


def define(place: Place) -> Definition:
    """The definition at a place. Helpers of its file are parsed only where one is called."""
    tree = parsed(place.file, place.text)
    node = next(d for d in tree.statements if isinstance(d, s.Def))
    infos = scan_scopes(tree)
    scope = Scope(None, infos[id(tree)])
    if names := frozenset(_PRIVATE.findall(place.text)):
        scope, more = private(place.file, names)
        infos = {**more, **infos}
    helpers = {name: b.thing.node for name, b in scope.names.items()}
    alias = alias_of(node)
    kinds = roles(node, helpers)
    parameters = [inspect.Parameter(p.name.text, _KIND, default=default(p.default), annotation=Annotated[Any, kinds[p.name.text]]) for p in node.params]
    return Definition(
        node, infos, scope, inspect.Signature(parameters), elementwise(node, helpers, kinds), alias, Closure(node, scope, len(helpers)), kinds, {}, WeakKeyDictionary()
    )


_KIND: Final = inspect.Parameter.POSITIONAL_OR_KEYWORD


class Written:
    """A default that is no plain literal, as it is written."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def default(node: s.Expr | None) -> Any:
    """The default of a parameter as a Python value, for signatures."""
    if node is None:
        return inspect.Parameter.empty
    if isinstance(node, s.Number | s.Text | s.Bool):
        return node.value
    if isinstance(node, s.NoneLit):
        return None
    if isinstance(node, s.Unary) and node.op == "-" and isinstance(node.operand, s.Number):
        return -node.operand.value
    return Written(node.span.text)


def alias_of(node: s.Def) -> str | None:
    """The function that a definition without a comment passes all its parameters on to, which are those of that function, in order and with its defaults."""
    body = node.body
    if node.doc or not isinstance(body, s.Call) or not isinstance(body.func, s.Name) or body.func.text not in FUNCTIONS:
        return None
    passed = [(None, a) for a in body.args] + [(k.name.text, k.value) for k in body.kwargs]
    wanted = [p.name.text for p in node.params]
    same = [isinstance(a, s.Name) and a.text == p and word in (None, p) for (word, a), p in zip(passed, wanted, strict=False)]
    if len(passed) != len(wanted) or not all(same):
        return None
    theirs = [(p.name, repr(p.default)) for p in FUNCTIONS[body.func.text].signature.parameters.values()]
    return body.func.text if theirs == [(p.name.text, repr(default(p.default))) for p in node.params] else None


# --- a call ----------------------------------------------------------------------------------------------------------------------------


def thing_of(x: Any) -> Thing:
    """A converted argument as what a name stands for."""
    if x is None or isinstance(x, Value | Literal | str | DType):
        return x
    if isinstance(x, Dim):
        return Known(x, I64)
    if isinstance(x, list | tuple):
        return ListThing(tuple([thing_of(i) for i in x]))
    return Literal.of(x)


def expand(d: Definition, cx: Surface, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What a call gives: a value, a literal, or a tuple of them. Raises `InferError`. See Note [Templates]."""
    leaves: list[Value] = []
    key = key_of([*args, *kwargs.values()], leaves)
    if key is None:
        return evaluate(d, cx, args, kwargs)
    facts = cx.graph.facts
    table = d.templates.setdefault(facts, {})
    full = (key, len(args), tuple(kwargs), cx.default_float, cx.within, len(facts.declared), facts.frozen)
    found = table.get(full)
    if found is None:
        if len(table) >= MOST_TEMPLATES:
            table.clear()
        found = table[full] = template(d, cx, args, kwargs, leaves)
    if found.pinned:
        return evaluate(d, cx, args, kwargs)
    return found.instance(cx, leaves, None if d.elementwise else d.node.name.text)


def evaluate(d: Definition, cx: Surface, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The body on its arguments, in the graph of the call."""
    lo = Lowering(Sink(), None, library=d, default_float=cx.default_float)
    lo.region = Region(cx.graph, cx)
    lo.infos, lo.call_counts, lo.path = d.infos, cx.calls, cx.graph.call
    outer = cx.within, cx.graph.call
    cx.within = cx.within or d.node.name.text
    try:
        result = lo.drive(body(lo, d, args, kwargs))
        return plain(lo, result, d.node)
    except DimError as e:
        raise InferError("bad-argument", f"a size that cannot be handled: {e}") from None
    except Failed:
        raise InferError("bad-argument", f"`{d.node.name.text}` cannot be called like this") from None
    finally:
        cx.within, cx.graph.call = outer


# Note [Templates]
# What a call emits depends on the types of its tensors and on its static arguments alone. So the body is evaluated once for each of these, in a graph of its own
# whose leaves stand for the tensors, and a call copies the values of that graph: 1,000 calls of `softmax` evaluate it once. What is not copied but evaluated
# each time: calls with constants, sizes or literal arrays among the arguments (a conversion of these warns by their value), and bodies that
# differentiate, since a pin has an identity.

MOST_TEMPLATES: Final = 256
"""Templates of one function and one set of facts; beyond it they are made anew."""


def key_of(args: Sequence[Any], leaves: list[Value]) -> Any:
    """What the expansion of a call depends on, its tensors being put into `leaves`, each once; None if it is not to be kept."""
    parts: list[Any] = []
    for x in args:
        kind = type(x)
        if kind is Value:
            if x.op.name in ("constant", "dim"):
                return None
            at = next((k for k, v in enumerate(leaves) if v is x), -1)
            if at < 0:
                at = len(leaves)
                leaves.append(x)
            parts.append((at, x.type))
        elif kind is Literal:
            if type(x.value) not in (int, float, bool):
                return None
            parts.append((x.kind, repr(x.value), x.text))
        elif kind is tuple or kind is list:
            inner = key_of(x, leaves)
            if inner is None:
                return None
            parts.append(("list", inner))
        elif kind in (int, float, bool, str):
            parts.append((kind, repr(x)))
        elif x is None or kind is DType or kind is Dim:
            parts.append(x)
        else:
            return None
    return tuple(parts)


@dataclass(slots=True, eq=False)
class Template:
    """The expansion of a call, in a graph of its own."""

    graph: Graph
    steps: tuple[tuple[Value, tuple[int, ...]], ...]
    """Its values that the result needs, but for the leaves, with the places of their operands, in order."""
    places: dict[int, int]
    result: Any
    warnings: tuple[tuple[str, str], ...]
    pinned: bool

    def instance(self, cx: Surface, leaves: Sequence[Value], title: str | None) -> Any:
        """The values of a call on these tensors."""
        graph, own = cx.graph, self.graph
        outer = graph.call
        if title is not None:
            path = f"{outer}.{title}" if outer else title
            count = cx.calls[path] = cx.calls.get(path, 0) + 1
            graph.call = path = path if count == 1 else f"{path}_{count}"
        made = list(leaves)
        calls, literals, casts = own.calls, own.literals, own.casts
        emit, inside = graph.emit, graph.call
        try:
            for v, operands in self.steps:
                if v.index in calls:
                    below = calls[v.index].partition(".")[2] if title is not None else calls[v.index]
                    graph.call = f"{inside}.{below}" if below and inside else below or inside
                else:
                    graph.call = inside
                new = emit(v.op, tuple([made[k] for k in operands]), v.attrs, v.type)
                made.append(new)
                if v.index in literals:
                    text, known = literals[v.index], graph.literals.get(new.index)
                    if known is None or len(text) < len(known):
                        graph.literals[new.index] = text
                if v.index in casts:
                    graph.casts.setdefault(new.index, casts[v.index])
        finally:
            graph.call = outer
        for sizes, need in own.needs.items():
            graph.needs.setdefault(sizes, Need(need.left, need.right, need.why, graph.cursor))
        for code, message in self.warnings:
            cx.warn(code, message)
        return self.mapped(self.result, made)

    def mapped(self, result: Any, made: Sequence[Value]) -> Any:
        if isinstance(result, tuple):
            return tuple([self.mapped(r, made) for r in result])
        return made[self.places[result.index]] if isinstance(result, Value) else result


def values_in(result: Any) -> Iterator[Value]:
    if isinstance(result, Value):
        yield result
    elif isinstance(result, tuple):
        for r in result:
            yield from values_in(r)


def template(d: Definition, cx: Surface, args: Sequence[Any], kwargs: Mapping[str, Any], leaves: Sequence[Value]) -> Template:
    """The expansion of a call with these arguments."""
    graph = Graph(cx.graph.facts)
    stand = {v.index: graph.emit(arg, (), (k, v.type)) for k, v in enumerate(leaves)}

    def inside(x: Any) -> Any:
        if isinstance(x, Value):
            return stand[x.index]
        return type(x)(inside(i) for i in x) if isinstance(x, list | tuple) else x

    warnings: list[tuple[str, str]] = []
    surface = Surface(graph, cx.default_float, lambda code, message: warnings.append((code, message)), cx.within)
    result = evaluate(d, surface, [inside(x) for x in args], {k: inside(x) for k, x in kwargs.items()})
    kept = [v for v in graph.live(list(values_in(result))) if v.op is not arg]
    places = {v.index: k for k, v in enumerate([*stand.values(), *kept])}
    steps = tuple([(v, tuple([places[o.index] for o in v.operands])) for v in kept])
    return Template(graph, steps, places, result, tuple(warnings), any(v.op.name == "pin" for v in graph.values))


def body(lo: Lowering, d: Definition, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Gen:
    from dfg.frontend.lowering.rules import custom_rule
    from dfg.frontend.lowering.types import check_annotations, check_result

    node = d.node
    title = node.name.text
    if not d.elementwise:  # one box in pictures, as any function of several steps
        outer = lo.path
        key = f"{outer}.{title}" if outer else title
        count = lo.call_counts[key] = lo.call_counts.get(key, 0) + 1
        lo.path = lo.graph.call = key if count == 1 else f"{key}_{count}"
    lo.frames.append(Frame(d.closure, node.name.span, lo.path, {}))
    scope = Scope(d.scope, d.infos[id(node)])
    for k, p in enumerate(node.params):
        name = p.name.text
        if k < len(args):
            thing = thing_of(args[k])
        elif name in kwargs:
            thing = thing_of(kwargs[name])
        elif name in d.made:
            thing = d.made[name]
        else:
            thing = yield p.default, d.scope
            if thing is None or isinstance(thing, Literal | str | DType):
                d.made[name] = thing
        if isinstance(thing, str) and d.kinds[name] in _STATIC and d.kinds[name] != "static":
            raise InferError("bad-argument", f"`{title}` takes an integer as `{name}`, not `{thing}`", [(name, "this one")])
        if name in scope.info.pins:
            thing = lo.pinned(thing, p.name)
        scope.names[name] = Binding(name, thing, None, "argument", k)
    lo.order = len(node.params)
    if any(p.type is not None for p in node.params):
        yield check_annotations(lo, node, scope, {p.name.text: p.name for p in node.params}, node)
    result = yield run_block(lo, node.body, scope) if isinstance(node.body, s.Block) else (node.body, scope)
    if node.result is not None:
        result = yield check_result(lo, node, scope, result)
    if node.rule is not None:
        result = yield custom_rule(lo, d.closure, scope, result, node)  # type: ignore[arg-type]  # it reads the span alone
    return result


def plain(lo: Lowering, thing: Thing, node: s.Node) -> Any:
    if isinstance(thing, TupleThing):
        return tuple([plain(lo, i, node) for i in thing.items])
    return lo.operand(thing, node)


# --- what is refused -------------------------------------------------------------------------------------------------------------------

_WORD: Final = re.compile(r"[^\W\d]\w*")
_OPERATORS: Final = frozenset(
    "add subtract multiply divide floor_divide remainder power negative matmul logical_and logical_or logical_not "
    "equal not_equal less less_equal greater greater_equal floating".split()
)


def refused(lo: Lowering, code: str, message: str, marks: Iterable[tuple[Span | None, str]], help: str | None = None, dim_fact: str | None = None) -> InferError:
    """What is wrong inside the body, as what is wrong with the call."""
    node = lo.library.node
    title = f"`{node.name.text}`"
    inner = {*_OPERATORS, *(w for f in lo.frames for w in _WORD.findall(f.closure.node.span.text))} - {p.name.text for p in node.params}

    def renamed(match: re.Match[str]) -> str:
        return title if match[1].startswith("_") or (match[1] in inner and match[1] in FUNCTIONS) else match[0]

    found: dict[str, str] = {}
    for span, words in marks:
        for name in origins(lo, span) if span is not None else ():
            found.setdefault(name, words)
    told = re.sub(r"`(\w+)`", renamed, message)
    if title not in told and not told.startswith("cannot broadcast"):
        told = f"{title}: {told}"
    return InferError(code, told, list(found.items()), help, dim_fact)


def origins(lo: Lowering, span: Span) -> list[str]:
    """The parameter of the function called that a piece of its body comes from: the first tensor, if there are several."""
    names = _WORD.findall(span.text)
    for frame in reversed(lo.frames[1:]):
        names = [w for p in traced(frame.closure.node, names) if p in frame.given for w in _WORD.findall(frame.given[p].span.text)]
    found = traced(lo.library.node, names)
    if len(found) > 1:
        found = [n for n in found if lo.library.kinds[n].startswith("operand")] or found
    return found[:1]


def traced(node: s.Def, names: Iterable[str]) -> list[str]:
    """The parameters of a function that names of its body depend on, in order."""
    made: dict[str, list[str]] = {}
    for b in s.walk(node):
        if isinstance(b, s.Binding):
            values: Sequence[s.Node] = b.values
            if len(values) == 1 < len(b.targets) and isinstance(values[0], s.Call) and len(values[0].args) == len(b.targets):
                values = values[0].args  # `a, b = floating(x, y)`
            for k, target in enumerate(b.targets):
                own = values[k : k + 1] if len(values) == len(b.targets) else values
                made.setdefault(target.text, []).extend(w for v in own for w in _WORD.findall(v.span.text))
    parameters = [p.name.text for p in node.params]
    reached: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in reached:
            reached.add(name)
            if name not in parameters:
                pending.extend(made.get(name, ()))
    return [p for p in parameters if p in reached]


# --- what parameters take --------------------------------------------------------------------------------------------------------------

_ORDER: Final = ("dtype", "word", "flag", "axis", "axes", "shape", "size", "static", "operands", "operand or none", "operand")
"""The roles, the one that says most first."""
_STATIC: Final = frozenset(("axes", "axis", "shape", "size", "static"))
_INSIDE: Final = {"shape": "size", "axes": "axis", "operands": "operand"}


def roles(node: s.Def, helpers: Mapping[str, s.Def], want: str = "operand") -> dict[str, str]:
    """What each parameter takes: what the functions take to which it is passed on, through names of the body and functions of the file. `want` is what the
    result is used as."""
    wants: dict[str, set[str]] = {p.name.text: set() for p in node.params}
    uses = _Uses(wants, helpers, {})
    while True:
        before = sum(map(len, wants.values()))
        uses.body(node.body, want)
        if sum(map(len, wants.values())) == before:
            break
    found: dict[str, str] = {}
    for p in node.params:
        kinds = wants[p.name.text]
        best = next((k for k in _ORDER if k in kinds), "operand")
        if isinstance(p.default, s.Text):
            best = "word"
        elif isinstance(p.default, s.Bool):
            best = "flag"
        elif best == "operand" and isinstance(p.default, s.NoneLit):
            best = "operand or none"
        elif best == "operand or none" and not isinstance(p.default, s.NoneLit):
            best = "operand"
        found[p.name.text] = best
    return found


@dataclass(slots=True)
class _Uses:
    """One pass over a body, noting what its names are used as."""

    wants: dict[str, set[str]]
    helpers: Mapping[str, s.Def]
    known: dict[tuple[str, str], dict[str, str]]
    """The roles of the helpers met so far, by what their results are used as."""

    def body(self, body: s.Node, want: str) -> None:
        pending: list[tuple[s.Node, str]] = [(body, want)]
        while pending:
            pending.extend(self.parts(*pending.pop()))

    def parts(self, node: s.Node, want: str) -> list[tuple[s.Node, str]]:
        if isinstance(node, s.Name):
            if want:
                self.wants.setdefault(node.text, set()).add(want)
            return []
        if isinstance(node, s.Block):
            found: list[tuple[s.Node, str]] = []
            for statement in node.statements:
                if isinstance(statement, s.ExprStatement):
                    found.extend((v, want) for v in statement.values)
                elif isinstance(statement, s.Binding):
                    for k, value in enumerate(statement.values):
                        targets = statement.targets if len(statement.values) == 1 else statement.targets[k : k + 1]
                        kinds = set().union(*[self.wants.get(t.text, set()) for t in targets])
                        found.extend((value, kind) for kind in kinds or {""})
                elif isinstance(statement, s.DimFact):
                    found.extend((child, "static") for child in s.children(statement))
                else:
                    found.extend((child, "operand") for child in s.children(statement))
            return found
        if isinstance(node, s.If):
            return [(node.test, ""), (node.then, want), (node.otherwise, want)]
        if isinstance(node, s.Call):
            return self.call(node, want)
        if isinstance(node, s.Unary | s.Binary):
            kind = "axis" if want == "axis" else "static" if want in _STATIC else want and "operand"
            return [(child, kind) for child in s.children(node)]
        if isinstance(node, s.Compare):
            if want:
                return [(node.left, "operand"), (node.right, "operand")]
            return [(node.left, self.beside(node.right)), (node.right, self.beside(node.left))]
        if isinstance(node, s.Logical):
            return [(node.left, want and "operand"), (node.right, want and "operand")]
        if isinstance(node, s.Attribute):
            return [(node.base, "")]
        if isinstance(node, s.Index):
            found = [(node.base, want if want in _STATIC else "operand")]
            for item in node.indices:
                if isinstance(item, s.Slice):
                    found.extend((bound, "static") for bound in (item.lower, item.upper, item.step) if bound is not None)
                elif not isinstance(item, s.Dots | s.NewAxis):
                    found.append((item, ""))
            return found
        if isinstance(node, s.ListExpr):
            return [(item, _INSIDE.get(want, want)) for item in node.items]
        if isinstance(node, s.Range):
            return [(child, "static") for child in s.children(node)]
        if isinstance(node, s.Build):
            return [(node.range, ""), (node.element, _INSIDE.get(want, want))]
        if isinstance(node, s.For):
            return [(node.range, ""), *[(c.value, "operand") for c in node.carries], (node.body, "operand")]
        return [(child, "operand") for child in s.children(node)]

    def beside(self, node: s.Node) -> str:
        """What is compared with an expression, in a test."""
        if isinstance(node, s.Index) and isinstance(node.base, s.Attribute) and node.base.name.text == "shape":
            return "shape" if isinstance(node.indices[0], s.Slice) else "size"
        if isinstance(node, s.Attribute) and node.name.text in ("shape", "ndim", "size"):
            return "shape" if node.name.text == "shape" else "size"
        return "word" if isinstance(node, s.Text) else ""

    def call(self, node: s.Call, want: str) -> list[tuple[s.Node, str]]:
        name = node.func.text if isinstance(node.func, s.Name) else ""
        if name in self.helpers:
            if (name, want) not in self.known:
                self.known[name, want] = roles(self.helpers[name], self.helpers, want)
            by_name = self.known[name, want]
            positional = list(by_name.values())
        elif name in FUNCTIONS:
            parameters = FUNCTIONS[name].signature.parameters
            by_name = {k: role(p) for k, p in parameters.items()}
            positional = list(by_name.values())
            if positional and list(parameters.values())[-1].kind is inspect.Parameter.VAR_POSITIONAL:
                positional.extend([positional[-1]] * len(node.args))
        else:
            kind = "operand" if name in DTYPES else ""
            return [(child, kind) for child in (*node.args, *[k.value for k in node.kwargs]) if kind or name in ("proved", "static")]
        found = [(a, kind) for a, kind in zip(node.args, positional, strict=False)]
        return [*found, *[(k.value, by_name.get(k.name.text, "")) for k in node.kwargs]]


def elementwise(node: s.Def, helpers: Mapping[str, s.Def], kinds: Mapping[str, str]) -> bool:
    """Whether a function acts element by element: its body consists of elementwise functions of its tensors. What chooses a branch is static, hence free."""
    if not any(k.startswith("operand") for k in kinds.values()):
        return False
    pending: list[s.Node] = [node.body]
    while pending:
        top = pending.pop()
        if isinstance(top, s.Name | s.Number | s.Bool | s.Text | s.NoneLit):
            continue
        if isinstance(top, s.If):
            pending.extend([top.then, top.otherwise])
        elif isinstance(top, s.For):  # unrolled; its bounds are static
            pending.extend([*[c.value for c in top.carries], top.body])
        elif isinstance(top, s.Block):
            if not all(isinstance(x, s.Binding | s.ExprStatement) for x in top.statements):
                return False
            pending.extend(v for x in top.statements for v in x.values)  # type: ignore[union-attr]
        elif isinstance(top, s.Unary | s.Compare | s.Logical) or (isinstance(top, s.Binary) and top.op != "@"):
            pending.extend(s.children(top))
        elif isinstance(top, s.Attribute):
            if top.name.text != "dtype" and not (isinstance(top.base, s.Call) and top.base.func.span.text == "finfo"):
                return False
        elif isinstance(top, s.Call) and isinstance(top.func, s.Name):
            name = top.func.text
            arguments = [*top.args, *[k.value for k in top.kwargs]]
            if name in helpers:
                if not elementwise(helpers[name], helpers, roles(helpers[name], helpers)):
                    return False
            elif name == "refuse":
                continue
            elif name not in DTYPES and not (name in FUNCTIONS and FUNCTIONS[name].elementwise):
                return False
            pending.extend(arguments)
        else:
            return False
    return True
