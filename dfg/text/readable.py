"""Readable text: a graph as a program, as one would write it; it lowers to a graph with equal values.

Names of the program bind their values, in order; an unnamed value is written where it is used if it is used once or is short, and is bound to a
name of its own otherwise (the one that differentiation proposes, such as `dl_dv`, or `t1`). What broadcasting, promotion and literals leave
implicit in the language is left out. Long texts are cut by binding, so the whole is never longer than a few lines for each value, and nothing
recurses: not over deep graphs, nor over nested loops, whose bodies are written by generators that a loop drives.

    input x, ystar : f64[n]
    param w : f64 = 0.5
    param b : f64 = 2.0
    u = w * x
    v = u + b
    y = exp(v)
    output dl_dw = sum(2 * (y - ystar) * y * x)
    output dl_db = sum(2 * (y - ystar) * y)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dfg.diagnostics import InternalError
from dfg.dims import Dim
from dfg.dims import names as dim_names
from dfg.ir import Graph, Subgraph, Value
from dfg.text.convert import dtyped, sizes, typed
from dfg.text.scope import Scope, drive
from dfg.text.term import as_float
from dfg.text.words import name_is_plain
from dfg.types import DTYPES, F32, F64, DType, TensorType

LEAVES: Final = ("input", "param", "state")



def readable(
    graph: Graph,
    arrays: dict[str, np.ndarray] | None = None,
    file: str = "constants.npz",
    default_float: DType | None = None,
    source: Graph | None = None,
    defaults: Mapping[str, Value] | None = None,
    hints: Mapping[str, int] | None = None,
) -> str:
    """A program whose outputs, updates and initial values are those of the graph. With `arrays`, constants of more than 64 elements are put there
    by key and print as `load("file:key")`. The default float is f32 if the graph has no f64, unless it is given. `source` is the graph that this one
    was made from: passes drop an input that no value needs, but whose type binds a size, or a state that is only written; these are declared as in it.
    `defaults` are the values of inputs that are not fed, `hints` the usual sizes."""
    hidden: frozenset[str] = frozenset()
    wrapped: frozenset[str] = frozenset()
    while True:
        kept = dict(arrays) if arrays is not None else None
        printer = Program(graph, source or graph, kept, file, default_float or _default_float(graph), hidden)
        printer.defaults, printer.hints, printer.wrapped = defaults or {}, hints or {}, wrapped
        text = printer.run()
        # A name that the program binds hides a function that the text calls: it is bound under another name. A declared name stays, and
        # the function gets another name above it.
        declared, bound = printer.used & printer.fixed, printer.used & printer.bound
        if declared <= wrapped and bound <= hidden | printer.fixed:
            if arrays is not None and kept is not None:
                arrays.update(kept)
            return text
        wrapped |= declared
        hidden |= bound - printer.fixed


def _default_float(graph: Graph) -> DType:
    dtypes = {v.dtype for g in _graphs(graph) for v in g.values if isinstance(v.type, TensorType)}
    return F32 if F32 in dtypes and F64 not in dtypes else F64


@dataclass(frozen=True, slots=True)
class _Declaration:
    kind: str
    name: str
    type: TensorType


def _declared(v: Value) -> bool:
    return v.op.leaf and v.op.name in LEAVES


def _static(value: object) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _nothing(t: TensorType) -> str:
    return "false" if t.dtype.kind == "bool" else "0"


def _graphs(graph: Graph) -> list[Graph]:
    """A graph and the graphs of all bodies in it, each once."""
    found: dict[int, Graph] = {}
    pending = [graph]
    while pending:
        g = pending.pop()
        if id(g) not in found:
            found[id(g)] = g
            pending.extend(a.graph for v in g.values for a in v.attrs if isinstance(a, Subgraph))
    return list(found.values())


def _used_sizes(graph: Graph) -> set[str]:
    """The names of sizes that types and attributes mention."""
    found: set[str] = set()
    needed = {v.index for v in graph.live(graph.roots.values())}
    for g in _graphs(graph):
        for v in g.values:
            if g is graph and v.op.name == "input" and v.index not in needed:
                continue
            if isinstance(v.type, TensorType):
                for d in v.type.shape:
                    found |= dim_names(d)
            for a in v.attrs:
                if isinstance(a, Dim):
                    found |= dim_names(a)
                elif isinstance(a, tuple):
                    for d in a:
                        if isinstance(d, Dim):
                            found |= dim_names(d)
    return found


class Program:
    """One printing of a whole graph. `hidden` are names of the program that must not be bound, because they hide functions that the text calls."""

    def __init__(
        self, graph: Graph, source: Graph, arrays: dict[str, np.ndarray] | None, file: str, default_float: DType, hidden: frozenset[str]
    ) -> None:
        self.graph = graph
        self.source = source
        self.arrays = arrays
        self.file = file
        self.default_float = default_float
        self.hidden = hidden
        self.used: set[str] = set()
        self.bound: set[str] = set()
        self.fixed: set[str] = set()
        """The names of inputs, parameters, states and sizes."""
        self.dims: set[str] = set()
        self.reserved: set[str] = set()
        """The names that the program gives: helpers take others."""
        self.defaults: Mapping[str, Value] = {}
        self.hints: Mapping[str, int] = {}
        self.wrapped: frozenset[str] = frozenset()
        """Functions that a declared name hides."""
        self.tries: dict[Any, bool] = {}
        self.constants: list[str] = []
        self.definitions: list[str] = []

    def function_name(self) -> str:
        """A name for a function, which no value has."""
        k = sum(1 for line in self.definitions if line.startswith("def "))
        while True:
            k += 1
            name = f"rule{k}"
            if name not in self.reserved and name not in self.fixed:
                self.reserved.add(name)
                return name

    def other_name(self, function: str) -> str:
        name = f"{function}_"
        while name in self.reserved or name in self.fixed:
            name += "_"
        return name

    def wrappers(self) -> list[str]:
        """Definitions above everything, where no declaration hides what they call."""
        from dfg.ops.surface import FUNCTIONS

        lines = []
        for name in sorted(self.wrapped):
            function = FUNCTIONS.get(name)
            parameters = list(function.signature.parameters.values()) if function is not None else []
            if name in ("inf", "nan"):
                lines.append(f"const {self.other_name(name)} = {name}")
            elif name in DTYPES:
                lines.append(f"def {self.other_name(name)}(x) = {name}(x)")
            elif function is None or any(p.kind is p.VAR_POSITIONAL for p in parameters):
                raise InternalError(f"`{name}` is needed, and a declaration of that name hides it: rename the declaration")
            else:
                head = ", ".join([p.name if p.default is p.empty else f"{p.name} = {_static(p.default)}" for p in parameters])
                given = ", ".join([p.name if p.default is p.empty else f"{p.name}={p.name}" for p in parameters])
                lines.append(f"def {self.other_name(name)}({head}) = {name}({given})")
        return lines

    def default(self, name: str) -> str:
        """The value of an input that is not fed, written where it is declared."""
        value = self.defaults[name]
        printer = Program(value.graph, value.graph, None, self.file, self.default_float, self.hidden)
        top = Scope(printer, value.graph, 0, ())
        top.inline = True
        for u in top.prepare([value]):
            drive(top, u)
        self.used |= printer.used
        return printer.initial(top, value, value.type)

    def run(self) -> str:
        graph = self.graph
        roots = graph.roots
        # Passes keep inputs for the sizes in their types; one that tells nothing more than others is not declared again.
        needed = {v.index for v in graph.live(roots.values())} if self.source is not graph else range(len(graph))
        own = {v.attrs[0]: v for v in graph.values if _declared(v) and (v.op.name != "input" or v.index in needed)}
        leaves = self.declared(own)
        for d in leaves:
            for size in d.type.shape:
                self.dims |= dim_names(size)
        for g in _graphs(graph):
            self.reserved |= set(g.names)
        self.reserved |= {*roots.outputs, *self.dims}
        self.fixed = {*(d.name for d in leaves), *self.dims}
        top = Scope(self, graph, 0, self.fixed)
        lines = [f"default {self.default_float}"] if self.default_float is not F64 else []
        lines += self.wrappers()
        lines += [f"dim {name} ~ {size}" for name, size in self.hints.items() if name in self.dims]
        lines += [f"dim {f}" for f in graph.facts.declared if dim_names(f.lhs) | dim_names(f.rhs) <= self.dims]
        for name, v in own.items():
            top.remember(v, name)
            others = [n for n in top.labels.pop(v.index, ()) if n != name]
            if others:
                top.labels[v.index] = others
        live = top.prepare(roots.values())
        self.declare(top, [d for d in leaves if d.kind == "input" and d.name not in roots.initials])
        initial = {v.index for v in graph.live(roots.initials.values())}
        for d in self.learnable([d for d in leaves if d.kind != "input" or d.name in roots.initials], own):
            first = roots.initials.get(d.name)
            for u in graph.live([first]) if first is not None else ():
                drive(top, u)
            self.declare(top, [d])
        declared = len(top.lines)
        for v in own.values():
            top.aliases(v)
        outputs = self.exports(top, initial)
        for v in live:
            drive(top, v)
        self.finish(top, outputs)
        return "\n".join([*lines, *self.constants, *top.lines[:declared], *self.definitions, *top.lines[declared:]]) + "\n"

    def declared(self, own: dict[str, Value]) -> list[_Declaration]:
        """The declarations: the leaves of the graph, the inputs of its source (what fed the program feeds its gradient), the targets of updates, and what else of
        the source binds a size that is used."""
        roots = self.graph.roots
        source = {v.attrs[0]: v for v in self.source.values if _declared(v)} if self.source is not self.graph else own
        chosen = dict.fromkeys([*own, *[name for name, v in source.items() if v.op.name == "input"], *roots.updates])
        bound = {str(d) for name in chosen if name in own or name in source for d in {**source, **own}[name].shape}
        missing = _used_sizes(self.graph) - bound
        for name, v in source.items():
            binds = {str(d) for d in v.shape} & missing
            if binds and name not in chosen:
                chosen[name] = None
                missing -= binds
        rank = {name: k for k, name in enumerate(dict.fromkeys([*source, *own]))}
        made = []
        for name in sorted(chosen, key=lambda n: rank.get(n, len(rank))):
            leaf = own.get(name, source.get(name))
            value = leaf if leaf is not None else roots.initials.get(name, roots.updates.get(name))
            assert value is not None
            made.append(_Declaration(leaf.op.name if leaf is not None else "state", name, value.type))
        return made

    def learnable(self, todo: list[_Declaration], own: dict[str, Value]) -> list[_Declaration]:
        """Declarations with initial values, each behind those that its initial value reads."""
        initials = self.graph.roots.initials
        names = {d.name for d in todo}
        reads = {
            d.name: {v.attrs[0] for v in self.graph.live([initials[d.name]]) if _declared(v)} & names - {d.name}
            for d in todo
            if d.name in initials
        }
        done: list[_Declaration] = []
        placed: set[str] = set()
        while todo:
            ready = [d for d in todo if reads.get(d.name, set()) <= placed]
            if not ready:
                raise InternalError("initial values read each other")
            done += ready
            placed |= {d.name for d in ready}
            todo = [d for d in todo if d.name not in placed]
        return done

    def declare(self, top: Scope, todo: list[_Declaration]) -> None:
        """The lines of declarations; inputs of one type that stand together share one."""
        k = 0
        while k < len(todo):
            d = todo[k]
            first = self.graph.roots.initials.get(d.name)
            same = 1
            if first is not None:
                tail = f" = {self.initial(top, first, d.type)}"
            elif d.name in self.defaults:
                tail = f" = {self.default(d.name)}"
            elif d.kind != "input":
                tail = f" = {_nothing(d.type)}"
            else:
                tail = ""
                while k + same < len(todo) and todo[k + same].type == d.type and todo[k + same].name not in self.defaults:
                    same += 1
            shape = sizes(top, d.type.shape) if d.type.shape else ""
            top.line(f"{d.kind} {', '.join([x.name for x in todo[k : k + same]])} : {d.type.dtype}{shape}{tail}")
            k += same

    def initial(self, top: Scope, first: Value, declared: TensorType) -> str:
        """An initial value: it stretches to the declared shape, and a literal has the declared dtype."""
        t = top.terms[first.index]
        if t.dtype is None and t.array is not None and t.array.ndim == 0:
            return as_float(t).text
        return dtyped(top, t, declared.dtype).text if first.dtype is declared.dtype else typed(top, first).text

    def exports(self, top: Scope, initial: set[int]) -> list[tuple[str, Value]]:
        """The outputs; those that nothing else needs are written where they are exported."""
        outputs = list(self.graph.roots.outputs.items())
        count: dict[int, int] = {}
        for _, v in outputs:
            count[v.index] = count.get(v.index, 0) + 1
        plain = not any(name in self.hidden for name, _ in outputs)
        for name, v in outputs:
            own = top.labels.get(v.index, [])
            if plain and top.uses[v.index] == 1 and count[v.index] == 1 and own in ([], [name]) and v.index not in initial and v.index not in top.terms:
                top.wanted.setdefault(v.index, []).append(name)
        return outputs

    def finish(self, top: Scope, outputs: list[tuple[str, Value]]) -> None:
        """The outputs, in order, then the updates. An output that hides a function is exported when everything is computed."""
        if any(name in self.hidden for name, _ in outputs):
            for root in [*(v for _, v in outputs), *self.graph.roots.updates.values()]:
                if root.index not in top.bound:
                    top.bind(root)
        pending: list[str] = []
        ends: list[tuple[str, Value | None]] = [*outputs, ("", None)]
        for name, v in ends:
            if v is not None and not name_is_plain(name):
                raise InternalError(f"the output {name!r} cannot be written: rename it")
            if v is not None and top.bound.get(v.index) == name:
                pending.append(name)
                continue
            if pending:
                top.line(f"output {', '.join(pending)}")
                pending = []
            if v is not None:
                text = typed(top, v).text
                top.line(f"output {name} = {text}")
                self.bound.add(name)
                if v.index not in top.bound:
                    top.remember(v, name)
        for name, new in self.graph.roots.updates.items():
            top.line(f"update {name} = {typed(top, new).text}")

    def load(self, v: Value, scope: Scope) -> None:
        """A large constant, from a file beside the text."""
        assert self.arrays is not None
        array = v.attrs[0].array
        key = next((k for k, a in self.arrays.items() if a is array), None)
        if key is None:
            key = f"c{len(self.arrays)}"
            self.arrays[key] = array
        name = scope.fresh(key)
        self.constants.append(f'const {name} : {v.dtype}{_shape(scope, v)} = load("{self.file}:{key}")')
        scope.remember(v, name, True)


def _shape(scope: Any, v: Value) -> str:
    return sizes(scope, v.shape) if v.shape else ""
