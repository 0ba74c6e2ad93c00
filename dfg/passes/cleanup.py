"""Cleanup after differentiation: pins are removed, rules fire over the whole graph, and what nothing needs is gone."""

from __future__ import annotations

from dataclasses import dataclass

from dfg.ir import Graph, Subgraph, Value, seal
from dfg.ops.base import OPS
from dfg.ops.leaf import pin
from dfg.passes.rebuild import Handler, copy_values, rebuild
from dfg.passes.rules import SIMPLIFY


@dataclass(frozen=True, slots=True)
class Cleanup:
    """Remove pins, simplify, drop what is dead. Bodies keep their values' places, since traces refer to them, unless they hold pins."""

    def run(self, graph: Graph) -> Graph:
        fresh, _ = rebuild(graph, SIMPLIFY, _Cleaner().handlers(), settled=True)
        return fresh


class _Cleaner:
    def __init__(self) -> None:
        self.moved: dict[int, dict[int, Value]] = {}

    def handlers(self) -> dict[object, Handler]:
        loops: dict[object, Handler] = {op: self._loop for op in OPS.values() if any(a.kind == "body" for a in op.attrs)}
        return {pin: lambda g, v, operands: operands[0], OPS["trace"]: self._trace, **loops}

    def _loop(self, g: Graph, v: Value, operands: tuple[Value, ...]) -> Value:
        attrs = []
        for a in v.attrs:
            if isinstance(a, Subgraph) and _has_pin(a):
                a, self.moved[id(v)] = self._without_pins(a)
            attrs.append(a)
        return g.emit(v.op, operands, tuple(attrs))

    def _trace(self, g: Graph, v: Value, operands: tuple[Value, ...]) -> Value:
        moved = self.moved.get(id(v.operands[0]))
        index = v.attrs[0] if moved is None else moved[v.attrs[0]].index
        return g.emit(v.op, operands, (index,))

    def _without_pins(self, body: Subgraph) -> tuple[Subgraph, dict[int, Value]]:
        inner = body.graph.like()
        mapping = copy_values(inner, body.graph.values, self.handlers())
        # Every value stays: a trace may ask for any of them.
        sealed, where = seal(inner, [mapping[i.index] for i in body.inputs], [mapping[o.index] for o in body.outputs])
        if len(sealed.graph) != len(inner):
            sealed = Subgraph(inner, tuple(mapping[i.index] for i in body.inputs), tuple(mapping[o.index] for o in body.outputs))
            return sealed, mapping
        return sealed, {i: where[m.index] for i, m in mapping.items()}


def _has_pin(body: Subgraph) -> bool:
    pending = [body]
    while pending:
        b = pending.pop()
        for w in b.graph.values:
            if w.op is pin:
                return True
            pending.extend(a for a in w.attrs if isinstance(a, Subgraph))
    return False
