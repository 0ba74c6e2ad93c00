"""Exact text: every value of a graph as one statement, in value order, with its type and all attributes.

Reading it back (`dfg.frontend.exact.read_exact`) gives a graph of the same digest, whatever stage it is of. Nothing is implied: casts,
broadcasts, pins, projections and bodies of loops are all written. What is not part of a graph's identity is written where it is cheap
(names, the text of literals, needed inequalities, facts), or as `#:` comments that the reader skips (where a value comes from).

    default exact
    input x : f64[n]
    param w : f64 = v0
    v0 : f64 = constant(0.5)
    v3 : f64[n] = broadcast(w, shape=[n], dims=[])
    y : f64[n] = multiply(x, v3)
    group "b1" {
      h : f64 = arg(position=0)
      v1 : f64 = tanh(h)
      yield v1
    }
    v5 : (f64,) = scan_(v0, body="b1", length=n, carries=1, xs=0, reverse=false)
    output y

A value is called by its first name, else by its index: `v7` (`v_7` if a name of the program looks like that). An op or attribute whose name is a
word of the grammar has `_` behind it. The initial value of a parameter stands in its declaration even where it comes later. A constant of more than
64 elements goes into `arrays` if that is given, and prints as `load("constants.npz:c0")`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from dfg.diagnostics import InternalError
from dfg.dims import Dim
from dfg.ir import Const, Graph, Subgraph, Value
from dfg.text.facts import fact_lines
from dfg.text.words import RESERVED, elements, fits_quotes, name_is_plain, one_line, quoted, same_number, type_text
from dfg.types import DType, TupleType

LARGE = Const.LARGE
LEAVES = ("input", "param", "state")


def exact(graph: Graph, arrays: dict[str, np.ndarray] | None = None, file: str = "constants.npz") -> str:
    """The exact text of a graph. With `arrays`, constants of more than 64 elements are put there by key and print as `load("file:key")`."""
    return _Printer(graph, arrays, file).run()


def value_names(graph: Graph, taken: Iterable[str] = ()) -> tuple[dict[int, str], list[list[str]], list[tuple[str, Value]]]:
    """How the values of a graph are called: texts by index for those with a name, further names (to print behind the value of that index),
    and names that cannot be written. Reading the statements in order gives `graph.names` in its order."""
    values = graph.values
    called: dict[int, str] = {}
    used: set[str] = set(taken)
    later: list[list[str]] = [[] for _ in values]
    lost: list[tuple[str, Value]] = []
    reached = -1
    declared = {v.attrs[0]: v for v in values if v.op.name in LEAVES and v.op.leaf}
    for v in declared.values():
        if name_is_plain(v.attrs[0]):
            called[v.index] = v.attrs[0]
            used.add(v.attrs[0])
    for name, v in graph.names.items():
        if declared.get(name) is v and v.index in called:
            reached = max(reached, v.index)
        elif not name_is_plain(name) or name in used:
            lost.append((name, v))
        elif v.index > reached and v.index not in called:
            called[v.index] = name
            used.add(name)
            reached = v.index
        else:
            reached = max(reached, v.index)
            later[reached].append(name)
            used.add(name)
    return called, later, lost


def index_prefix(names: Iterable[str]) -> str:
    """What stands before the index of a value without a name: `v`, with as many `_` as no name of the program can be mistaken for it."""
    most = max([len(m.group(1)) for n in names if (m := re.fullmatch(r"v(_*)\d+", n))], default=-1)
    return "v" + "_" * (most + 1)


def is_declared(v: Value, called: dict[int, str]) -> bool:
    """Whether a value is a leaf that prints as a declaration."""
    return v.op.name in LEAVES and v.op.leaf and called.get(v.index) == v.attrs[0]


def op_text(name: str) -> str:
    return f"{name}_" if name in RESERVED else name


class _Printer:
    """One printing. Bodies print before the value that first holds them, inner ones first, each once; so nothing nests and nothing recurses."""

    def __init__(self, graph: Graph, arrays: dict[str, np.ndarray] | None, file: str) -> None:
        self.graph = graph
        self.arrays = arrays
        self.file = file
        self.lines: list[str] = ["default exact"]
        self.groups: dict[Subgraph, str] = {}

    def run(self) -> str:
        graph, lines = self.graph, self.lines
        lines += fact_lines(graph.facts)
        self.needs(graph, "")
        called, later, lost = value_names(graph)
        initials = graph.roots.initials
        declared = [v.attrs[0] for v in graph.values if is_declared(v, called)]
        inline = [name for name in declared if name in initials] == list(initials)
        text = self.statements(graph, "", called, later, lost, inline)
        for kind, table in (("output", graph.roots.outputs), ("update", graph.roots.updates)):
            plain = all(name_is_plain(name) for name in table)
            for name, v in table.items():
                if not plain:
                    lines.append(f'_ = root("{kind}", {_key(name)}, {text[v.index]})')
                elif kind == "output" and text[v.index] == name:
                    lines.append(f"output {name}")
                else:
                    lines.append(f"{kind} {name} = {text[v.index]}")
        if not inline:
            lines += [f'_ = root("initial", {_key(name)}, {text[v.index]})' for name, v in initials.items()]
        return "\n".join(lines) + "\n"

    def needs(self, graph: Graph, indent: str) -> None:
        self.lines += [f"{indent}_ = need({n.left}, {n.right}, {quoted(n.why)})" for n in graph.needs.values()]

    def statements(
        self, graph: Graph, indent: str, called: dict[int, str], later: list[list[str]], lost: list[tuple[str, Value]], inline: bool
    ) -> list[str]:
        """Print the values of a graph; gives what each is called."""
        prefix = index_prefix([*graph.names, *called.values()])
        text = [called.get(v.index) or f"{prefix}{v.index}" for v in graph.values]
        lines, names = self.lines, graph.names
        for v in graph.values:
            for a in v.attrs:
                if isinstance(a, Subgraph) and a not in self.groups:
                    self.bodies(a)
            if not indent and is_declared(v, called):
                lines.append(self.declaration(v, text, inline) + self.comment(graph, v))
            else:
                lines.append(indent + self.statement(v, text) + self.comment(graph, v))
            lines += [f"{indent}{name} = {text[names[name].index]}" for name in later[v.index]]
        lines += [f"{indent}#: {one_line(name)} = {text[v.index]}" for name, v in lost]
        return text

    def bodies(self, first: Subgraph) -> None:
        """Print a body, and before it those that it holds. (A body prints whole before the next begins: none is left half done.)"""
        stack = [first]
        while stack:
            body = stack[-1]
            inner = [a for v in body.graph.values for a in v.attrs if isinstance(a, Subgraph) and a not in self.groups]
            if inner and body not in self.groups:
                stack.extend(reversed(inner))
                continue
            stack.pop()
            if body not in self.groups:
                self.body(body)

    def body(self, body: Subgraph) -> None:
        name = self.groups[body] = f"b{len(self.groups) + 1}"
        lines = self.lines
        lines.append(f'group "{name}" {{')
        self.needs(body.graph, "  ")
        text = self.statements(body.graph, "  ", *value_names(body.graph), False)
        if [i.attrs[0] for i in body.inputs] != list(range(len(body.inputs))):
            lines.append(f"  _ = inputs({', '.join([text[i.index] for i in body.inputs])})")
        if body.outputs:
            lines.append(f"  yield {', '.join([text[o.index] for o in body.outputs])}")
        lines.append("}")

    def declaration(self, v: Value, text: list[str], inline: bool) -> str:
        name = v.attrs[0]
        initial = self.graph.roots.initials.get(name) if inline else None
        tail = f" = {text[initial.index]}" if initial is not None else "" if v.op.name == "input" else " = none"
        return f"{v.op.name} {name} : {v.type}{tail}"

    def statement(self, v: Value, text: list[str]) -> str:
        op = v.op
        parts = [text[o.index] for o in v.operands]
        for spec, value in zip(op.attrs, v.attrs, strict=True):
            if spec.kind == "const":
                parts.append(self.constant(v, value))
            elif spec.kind != "type":
                parts.append(f"{op_text(spec.name)}={self.attribute(value)}")
        typed = "" if isinstance(v.type, TupleType) and not v.type.items else f" : {type_text(v.type)}"
        return f"{text[v.index]}{typed} = {op_text(op.name)}({', '.join(parts)})"

    def constant(self, v: Value, value: Const) -> str:
        array = value.array
        if self.arrays is not None and array.size > LARGE:
            key = f"c{len(self.arrays)}"
            self.arrays[key] = array
            return f'load("{self.file}:{key}")'
        written = v.graph.literals.get(v.index)
        return written if written is not None and same_number(written, array) else elements(array)

    def attribute(self, value: Any) -> str:
        """An attribute's text. Nested lists are as deep as an op's definition makes them, never as a program does."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | Dim):
            return str(value)
        if value is None:
            return "none"
        if isinstance(value, float):
            return elements(np.asarray(value))
        if isinstance(value, DType):
            return value.name
        if isinstance(value, Subgraph):
            return f'"{self.groups[value]}"'
        if isinstance(value, str) and fits_quotes(value):
            return f'"{value}"'
        if isinstance(value, tuple):
            return f"[{', '.join([self.attribute(x) for x in value])}]"
        raise InternalError(f"the attribute {value!r} has no text")

    def comment(self, graph: Graph, v: Value) -> str:
        """Where a value comes from; lost on reading."""
        parts = []
        if v.index in graph.calls:
            parts.append(f"in {graph.calls[v.index]}")
        if v.index in graph.casts:
            parts.append(graph.casts[v.index])
        origin = graph.origins.get(v.index)
        if origin is not None:
            parts.append(origin.rule if origin.primal < 0 else f"{origin.rule} of value {origin.primal}")
        return f"  #: {one_line('; '.join(parts))}" if parts else ""


def _key(name: str) -> str:
    if not fits_quotes(name):
        raise InternalError(f"the root {name!r} has no text")
    return f'"{name}"'
