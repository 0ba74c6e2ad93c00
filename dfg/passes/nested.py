"""Loops in the bodies of loops: what the backward pass asks of them becomes values of the bodies.

While differentiation runs, what the reverse of an outer loop needs of an inner one is an `inner_trace` of the outer: a projection along a path of bodies. So one loop stays one value,
however much is asked of it and in however many steps. At the end each body asked gets the projections as further values, after all it had: `inner_trace(outer, (k,), j, "trace")` becomes
`trace(outer, n)`, where the body's value n is `trace(inner, j)` of its value k, the inner loop. Outputs stay what they were, and what no trace asks for is still not computed.

    h = scan x in xs carry h = h0 { h, _ = scan w in ws carry g = h { g = tanh(g @ w + x) } }     # grad asks for the stack over x of the stacks over w of g
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dfg.ir import Graph, Subgraph, Value
from dfg.ops.base import OPS
from dfg.ops.leaf import inner_trace, project_inner, trace
from dfg.passes.rebuild import Handler, copy_values, rebuild


class Places:
    """Where the values of bodies went that were copied: traces are numbered anew by it."""

    def __init__(self) -> None:
        self._moved: dict[Value, list[Mapping[int, Value] | None]] = {}

    def note(self, loop: Value, maps: Sequence[Mapping[int, Value] | None]) -> None:
        """The bodies of a loop, in the order of its attributes, were copied with these mappings (None: it is the same body)."""
        if any(m is not None for m in maps):
            self._moved[loop] = list(maps)

    def __call__(self, loop: Value, made: Value, index: int) -> int:
        """The number in `made` of the value that has `index` in `loop`."""
        maps = self._moved.get(loop)
        if maps is None:
            return index
        before = after = 0
        for (old, new), moved in zip(zip(numbered(loop), numbered(made), strict=True), maps[-len(numbered(loop)) :], strict=True):
            if index < before + len(old.graph):
                return after + (index - before if moved is None else moved[index - before].index)
            before, after = before + len(old.graph), after + len(new.graph)
        raise IndexError(index)

    def trace(self, g: Graph, v: Value, operands: tuple[Value, ...]) -> Value:
        """A handler for `trace`."""
        return g.emit(v.op, operands, (self(v.operands[0], operands[0], v.attrs[0]),))


def numbered(loop: Value) -> list[Subgraph]:
    """The bodies whose values traces number through: all but the condition of a `while`, which stands first."""
    return [a for spec, a in zip(loop.op.attrs, loop.attrs, strict=True) if isinstance(a, Subgraph) and spec.name != "test"]


def copied(body: Subgraph, graph: Graph, mapping: Mapping[int, Value]) -> Subgraph:
    """The body that a copy of its values is, with all of them: a trace may ask for any."""
    for name, v in body.graph.names.items():
        if v.index in mapping:
            graph.names.setdefault(name, mapping[v.index])
    return Subgraph(graph, tuple([mapping[i.index] for i in body.inputs]), tuple([mapping[o.index] for o in body.outputs]))


Change = Callable[[Subgraph], "tuple[Subgraph, Mapping[int, Value] | None]"]
"""Gives another body for one, and where its values went; None if it is the same."""


def change_bodies(g: Graph, v: Value, operands: tuple[Value, ...], change: Change, places: Places) -> Value:
    """A loop or branch with changed bodies."""
    attrs: list[Any] = []
    maps: list[Mapping[int, Value] | None] = []
    for a in v.attrs:
        if isinstance(a, Subgraph):
            a, moved = change(a)
            maps.append(moved)
        attrs.append(a)
    places.note(v, maps)
    return g.emit(v.op, operands, tuple(attrs))


def resolve(graph: Graph) -> Graph:
    """A differentiated graph without `inner_trace`; the argument if it has none."""
    if not _asks(graph.values):  # most graphs: without a walk from the roots
        return graph
    live = graph.live(graph.roots.values())
    if not _asks(live):
        return graph
    fresh, _ = rebuild(graph, graph.rules, _Resolver(live).handlers(), settled=True)
    fresh.fired["inner_trace"] = sum(v.op is inner_trace for v in live)
    return fresh


def resolve_body(body: Subgraph) -> Subgraph:
    """A body without `inner_trace`; the argument if it has none."""
    return _resolved(body)[0]


def _asks(values: Iterable[Value]) -> bool:
    pending = [values]
    while pending:
        for v in pending.pop():
            if v.op is inner_trace:
                return True
            pending.extend([a.graph.values for a in v.attrs if type(a) is Subgraph])
    return False


def _resolved(body: Subgraph, asked: Sequence[tuple[tuple[int, ...], int, str]] = ()) -> tuple[Subgraph, Mapping[int, Value] | None]:
    """A body with further values and no `inner_trace`: where its values went, and under negative keys, from -1 on, the further ones."""
    if not asked and not _asks(body.graph.values):
        return body, None
    longer = body.graph.like()
    first: dict[int, Value] = {}
    for v in body.graph.values:
        first[v.index] = longer.emit(v.op, tuple([first[o.index] for o in v.operands]), v.attrs, v.type)
        longer.copy_tables(v, first[v.index])
    for n, ((source, *path), index, what) in enumerate(asked):
        first[-1 - n] = project_inner(first[source], path, index, what)
    resolver = _Resolver(longer.values)
    fresh = longer.like()
    second = copy_values(fresh, longer.values, resolver.handlers())
    mapping = {k: second[v.index] for k, v in first.items()}
    return copied(body, fresh, mapping), mapping


class _Resolver:
    """Gives the loops among some values bodies that hold what is asked of them."""

    def __init__(self, values: Iterable[Value]) -> None:
        self.places = Places()
        self.asked: dict[Value, dict[Any, None]] = {}
        self.found: dict[tuple[Value, Any], tuple[int, Value]] = {}
        """For each thing asked of a loop: which of its bodies has it, and the value there."""
        for v in values:
            if v.op is inner_trace:
                self.asked.setdefault(v.operands[0], {})[v.attrs] = None

    def handlers(self) -> dict[Any, Handler]:
        loops: dict[Any, Handler] = {op: self._loop for op in OPS.values() if any(a.kind == "body" for a in op.attrs)}
        return {**loops, trace: self.places.trace, inner_trace: self._inner}

    def _loop(self, g: Graph, v: Value, operands: tuple[Value, ...]) -> Value:
        offsets: dict[int, int] = {}
        total = 0
        for n, body in enumerate(numbered(v)):
            offsets[n - len(numbered(v))] = total
            total += len(body.graph)
        attrs: list[Any] = []
        maps: list[Mapping[int, Value] | None] = []
        count = sum(isinstance(a, Subgraph) for a in v.attrs)
        for a in v.attrs:
            if isinstance(a, Subgraph):
                place = len(maps) - count
                offset = offsets.get(place)
                asked = [] if offset is None else [k for k in self.asked.get(v, ()) if offset <= k[0][0] < offset + len(a.graph)]
                a, moved = _resolved(a, [((path[0] - (offset or 0), *path[1:]), index, what) for path, index, what in asked])
                for n, key in enumerate(asked):
                    assert moved is not None
                    self.found[v, key] = (place, moved[-1 - n])
                maps.append(moved)
            attrs.append(a)
        self.places.note(v, maps)
        return g.emit(v.op, operands, tuple(attrs))

    def _inner(self, g: Graph, v: Value, operands: tuple[Value, ...]) -> Value:
        loop = operands[0]
        place, value = self.found[v.operands[0], v.attrs]
        before = sum(len(b.graph) for b in numbered(loop)[:place])
        return g.emit(trace, (loop,), (before + value.index,))
