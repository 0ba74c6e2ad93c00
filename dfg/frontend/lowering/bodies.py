"""From traced bodies to ops: sealing a region, and the ops `scan`, `cond` and `while`.

The arguments of a body are numbered as the operands of its op stand: carries, elements, captures. A capture that the body turns out not to use is left out;
the branches of a `cond`, and the test and body of a `while`, take the captures of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dfg.dims import DimLike
from dfg.frontend import syntax as s
from dfg.frontend.lowering.engine import Lowering
from dfg.frontend.lowering.regions import Region
from dfg.ir import InferError, Subgraph, Value
from dfg.ops.base import OPS, project
from dfg.ops.loop import numbered_body
from dfg.types import TupleType


def used_captures(region: Region, outputs: Sequence[Value]) -> dict[int, tuple[Value, Value]]:
    """The captures that outputs depend on: by index of the outer value, (outer, argument)."""
    live = {v.index for v in region.graph.live(outputs)}
    return {k: pair for k, pair in region.captures.items() if pair[1].index in live}


def emit_loop(lo: Lowering, node: s.Node, f: Any) -> list[Value]:
    lo.stand(node)
    try:
        made = f()
    except InferError as e:
        lo.refuse(e, node.span, node)
    lo.check_limit(node)
    return list(project(made)) if isinstance(made.type, TupleType) else [made]


def emit_scan(
    lo: Lowering, node: s.Node, region: Region, outputs: Sequence[Value], starts: Sequence[Value], xs: Sequence[Value], length: DimLike
) -> list[Value]:
    captures = used_captures(region, outputs)
    own = region.args[: len(starts) + len(xs)]
    inputs = [*own, *[a for _, a in captures.values()]]
    body = numbered_body(region.graph, inputs, outputs, [a.type for a in inputs])
    operands = (*starts, *xs, *[outer for outer, _ in captures.values()])
    return emit_loop(lo, node, lambda: lo.graph.emit(OPS["scan"], operands, (body, length, len(starts), len(xs), False)))


def shared(lo: Lowering, first: tuple[Region, Sequence[Value]], second: tuple[Region, Sequence[Value]], carries: int) -> tuple[Subgraph, Subgraph, list[Value]]:
    """Two bodies with the same arguments: their own carries, then the captures of either. Also those captures, as operands."""
    tables = [used_captures(region, outputs) for region, outputs in (first, second)]
    merged: dict[int, Value] = {k: pair[0] for table in tables for k, pair in table.items()}
    bodies = []
    for (region, outputs), table in zip((first, second), tables, strict=True):
        inputs: list[Value | None] = [*region.args[:carries], *[table[k][1] if k in table else None for k in merged]]
        types = [*[a.type for a in region.args[:carries]], *[v.type for v in merged.values()]]
        bodies.append(numbered_body(region.graph, inputs, outputs, types))
    return bodies[0], bodies[1], list(merged.values())


def emit_cond(lo: Lowering, node: s.If, predicate: Value, sides: Sequence[tuple[Region, Sequence[Value]]]) -> list[Value]:
    """`cond`: operands (predicate, captures…), attributes (then, other); the bodies take the captures, and give the same types."""
    then, otherwise, captures = shared(lo, sides[0], sides[1], 0)
    return emit_loop(lo, node, lambda: lo.graph.emit(OPS["cond"], (predicate, *captures), (then, otherwise)))


def emit_while(
    lo: Lowering, node: s.While, test: tuple[Region, Value], body: tuple[Region, Sequence[Value]], limit: DimLike, starts: Sequence[Value]
) -> list[Value]:
    """`while`: operands (starts…, captures…), attributes (test, body, length, carries); both bodies take the carries and the
    captures. The last result, the number of steps, is left out."""
    check, step, captures = shared(lo, (test[0], [test[1]]), body, len(starts))
    return emit_loop(lo, node, lambda: lo.graph.emit(OPS["while"], (*starts, *captures), (check, step, limit, len(starts))))[:-1]
