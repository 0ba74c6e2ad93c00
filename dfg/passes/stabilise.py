"""Stabilising: forms that lose accuracy or overflow, rewritten before anything is differentiated, so that their gradients are stable too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from dfg.ir import Graph, Rule, Subgraph, Value, seal
from dfg.ops.base import OPS
from dfg.passes.rebuild import copy_value, rebuild

STABLE: Final[dict[Any, list[Rule]]] = {}
"""The rules of each op."""


@dataclass(frozen=True, slots=True)
class Stabilise:
    """Apply `STABLE` everywhere, in bodies too."""

    def run(self, graph: Graph) -> Graph:
        if not STABLE:
            return graph
        fresh, _ = rebuild(graph, STABLE, {op: _body for op in OPS.values() if any(a.kind == "body" for a in op.attrs)})
        return fresh


def _body(g: Graph, v: Value, operands: tuple[Value, ...]) -> Value:
    attrs = tuple(_stable_subgraph(a) if isinstance(a, Subgraph) else a for a in v.attrs)
    return g.emit(v.op, operands, attrs)


def _stable_subgraph(body: Subgraph) -> Subgraph:
    inner = body.graph.like(STABLE)
    mapping: dict[int, Value] = {}
    handlers = {op: _body for op in OPS.values() if any(a.kind == "body" for a in op.attrs)}
    for w in body.graph.values:
        mapping[w.index] = copy_value(inner, w, mapping, handlers)
    sealed, _ = seal(inner, [mapping[i.index] for i in body.inputs], [mapping[o.index] for o in body.outputs])
    return sealed
