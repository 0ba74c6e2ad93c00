"""Regions: graphs under construction. The program's own, and one inside another for each body of a loop or branch.

>>> from dfg.ir import Graph
>>> g = Graph(); outer = Region(g, Surface(g)); Region(g.like(), outer.surface, outer).depth
1
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dfg.frontend import syntax as s
from dfg.frontend.lowering.things import Thing
from dfg.ir import Graph, Value
from dfg.ops.leaf import arg
from dfg.ops.surface import Surface
from dfg.types import TensorType


def weighing(operands: Sequence[tuple[s.Node | None, Thing]]) -> str | None:
    """What a vector beside a matrix was probably meant to be."""
    if len(operands) != 2:
        return None
    for (node, thing), (other_node, other) in (operands, operands[::-1]):
        if not (isinstance(node, s.Name) and isinstance(other_node, s.Name) and isinstance(thing, Value) and isinstance(other, Value)):
            return None
        if (thing.rank, other.rank) == (1, 2):
            return f"if `{node.text}` weighs the rows of `{other_node.text}`, give it {other.shape[1]} elements"
    return None


class Region:
    """A graph under construction. In a body, `args` are its arguments so far, and `captures` maps values of outer regions to them."""

    __slots__ = ("args", "called", "captures", "depth", "graph", "parent", "surface")

    def __init__(self, graph: Graph, surface: Surface, parent: Region | None = None) -> None:
        self.graph = graph
        self.surface = surface
        self.parent = parent
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.args: list[Value] = []
        self.captures: dict[int, tuple[Value, Value]] = {}
        self.called: dict[tuple[Any, ...], tuple[Thing, Any]] = {}
        """What calls gave, by the function and its arguments (kept alive beside it): equal calls are expanded once."""

    def argument(self, type: TensorType) -> Value:
        made = self.graph.emit(arg, (), (len(self.args), type))
        self.args.append(made)
        return made

    def operands(self) -> list[Value]:
        """What was captured, in the order of the arguments: values of the parent region."""
        return [outer for outer, _ in self.captures.values()]
