"""Stabilising: forms that lose accuracy or overflow, rewritten before anything is differentiated, so that their gradients are stable too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dfg.ir import Graph, Rules, Subgraph, Value, seal
from dfg.ops.base import OPS
from dfg.passes.rebuild import copy_values, rebuild

STABLE: Final = Rules()
"""The rules of each op."""


@dataclass(frozen=True, slots=True)
class Stabilise:
    """Apply `STABLE` everywhere, in bodies too."""

    def run(self, graph: Graph) -> Graph:
        if not STABLE.always:
            return graph
        fresh, _ = rebuild(graph, STABLE, {op: _body for op in OPS.values() if any(a.kind == "body" for a in op.attrs)})
        return fresh


def _body(g: Graph, v: Value, operands: tuple[Value, ...]) -> Value:
    attrs = tuple(_stable_subgraph(a) if isinstance(a, Subgraph) else a for a in v.attrs)
    return g.emit(v.op, operands, attrs)


def _stable_subgraph(body: Subgraph) -> Subgraph:
    inner = body.graph.like(STABLE)
    mapping = copy_values(inner, body.graph.values, {op: _body for op in OPS.values() if any(a.kind == "body" for a in op.attrs)})
    sealed, _ = seal(inner, [mapping[i.index] for i in body.inputs], [mapping[o.index] for o in body.outputs])
    return sealed
