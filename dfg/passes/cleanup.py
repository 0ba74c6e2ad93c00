"""Cleanup after differentiation: pins and other markers are removed, rules fire over the whole graph, and what nothing needs is gone."""

from __future__ import annotations

from dataclasses import dataclass

from dfg.ir import Graph, Subgraph, Value
from dfg.ops.base import OPS, Op
from dfg.ops.leaf import pin
from dfg.passes.nested import Places, change_bodies, copied
from dfg.passes.rebuild import Handler, copy_values, declared, rebuild
from dfg.passes.rules import SIMPLIFY


@dataclass(frozen=True, slots=True)
class Cleanup:
    """Remove pins, simplify, drop what is dead. `final`: nothing will be differentiated any more, so what only derivatives see (`stop_gradient`, rules of
    one's own) goes too. Bodies keep their values' places, since traces refer to them, unless they hold markers."""

    final: bool = True

    def run(self, graph: Graph) -> Graph:
        cleaner = _Cleaner({op for op in OPS.values() if op.marker and (self.final or op is pin)}, {op for op in OPS.values() if op.lower is not None and self.final})
        simplified = graph.rules is SIMPLIFY
        if simplified and not cleaner.changes(graph) and len(graph.live([*graph.roots.values(), *declared(graph)])) == len(graph):
            return graph
        fresh, _ = rebuild(graph, SIMPLIFY, cleaner.handlers(), settled=simplified)
        return fresh


class _Cleaner:
    def __init__(self, markers: set[Op], lowered: set[Op]) -> None:
        self.markers = markers
        self.lowered = lowered
        self.places = Places()

    def changes(self, graph: Graph) -> bool:
        """Whether a value is not copied as it is."""
        markers = self.markers | self.lowered
        return any(v.op in markers or (v.attrs and any([type(a) is Subgraph and self._has_marker(a) for a in v.attrs])) for v in graph.values)

    def handlers(self) -> dict[object, Handler]:
        loops: dict[object, Handler] = {op: self._loop for op in OPS.values() if any(a.kind == "body" for a in op.attrs)}
        return {
            **dict.fromkeys(self.lowered, _lowered), **dict.fromkeys(self.markers, _first), OPS["trace"]: self.places.trace,
            **{op: h for op, h in loops.items() if op not in self.markers},
        }  # fmt: skip

    def _loop(self, g: Graph, v: Value, operands: tuple[Value, ...]) -> Value:
        return change_bodies(g, v, operands, self._without_markers, self.places)

    def _without_markers(self, body: Subgraph) -> tuple[Subgraph, dict[int, Value] | None]:
        if not self._has_marker(body):
            return body, None
        inner = body.graph.like()
        mapping = copy_values(inner, body.graph.values, self.handlers())
        return copied(body, inner, mapping), mapping

    def _has_marker(self, body: Subgraph) -> bool:
        pending = [body]
        while pending:
            b = pending.pop()
            for w in b.graph.values:
                if w.op in self.markers or w.op in self.lowered:
                    return True
                pending.extend(a for a in w.attrs if isinstance(a, Subgraph))
        return False


def _lowered(g: Graph, v: Value, operands: tuple[Value, ...]) -> Value:
    made = v.op.lower(g, operands, v.attrs) if v.op.lower is not None else None
    return g.emit(v.op, operands, v.attrs) if made is None else made


def _first(g: Graph, v: Value, operands: tuple[Value, ...]) -> Value:
    return operands[0]
