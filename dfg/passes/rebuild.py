"""Copying a graph into a new one, value by value: what every pass that changes a graph is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dfg.dims import Dim
from dfg.ir import Graph, Origin, Roots, Rules, Value

Handler = Callable[[Graph, Value, tuple[Value, ...]], Value]
"""Gives the new value for an old one, from its new operands."""


def rebuild(
    graph: Graph,
    rules: Rules | None = None,
    handlers: Mapping[Any, Handler] | None = None,
    settled: bool = False,
    mapping: dict[int, Value] | None = None,
) -> tuple[Graph, dict[int, Value]]:
    """The part of a graph that its roots need, emitted again under `rules`; ops in `handlers` are replaced by what these give. Returns
    the new graph and where each old value went. `settled`: the graph was made under the same rules, so that a value whose operands are
    copied as they are needs none. `mapping`: a dict that handlers read, which is filled."""
    fresh = graph.like(rules)
    mapping = copy_values(fresh, graph.live([*graph.roots.values(), *declared(graph)]), handlers or {}, settled, mapping)
    fresh.roots = Roots(
        {k: mapping[v.index] for k, v in graph.roots.outputs.items()},
        {k: mapping[v.index] for k, v in graph.roots.updates.items()},
        {k: mapping[v.index] for k, v in graph.roots.initials.items()},
    )
    for name, v in graph.names.items():
        if v.index in mapping:
            fresh.names[name] = mapping[v.index]
    for i, hint in graph.hints.items():
        if i in mapping:
            fresh.hints.setdefault(mapping[i].index, hint)
    origins = fresh.origins
    for i, origin in graph.origins.items():
        made = mapping.get(i)
        if made is not None and made.index not in origins:
            primal = mapping.get(origin.primal)
            where = -1 if primal is None else primal.index
            origins[made.index] = origin if where == origin.primal else Origin(where, origin.rule)
    return fresh, mapping


def declared(graph: Graph) -> list[Value]:
    """Leaves that stay though nothing may read them: a state that is only written, a parameter with a value, an input whose shape tells sizes."""
    kept = {*graph.roots.initials, *graph.roots.updates}
    return [
        v for v in graph.values
        if v.op.leaf and (v.attrs[0] in kept if v.op.name in ("param", "state") else v.op.name == "input" and any(isinstance(d, Dim) for d in v.shape))
    ]


def copy_values(
    fresh: Graph, values: Sequence[Value], handlers: Mapping[Any, Handler], settled: bool = False, mapping: dict[int, Value] | None = None
) -> dict[int, Value]:
    """Emit values of another graph in a new one, in order, with their side tables; where each went. See `rebuild`."""
    if mapping is None:
        mapping = {}
    if not values:
        return mapping
    source = values[0].graph
    spans, calls = source.spans, source.calls
    # A value is plain if it and all it is made of were copied as they are.
    plain: set[Value] = set()
    emit = fresh.emit
    rules = fresh.rules
    for v in values:
        i = v.index
        op = v.op
        if spans:
            fresh.cursor = spans.get(i)
        if calls:
            fresh.call = calls.get(i, "")
        old = v.operands
        operands = tuple([mapping[o.index] for o in old])
        if op in handlers:
            fresh.rules = rules
            mapping[i] = handlers[op](fresh, v, operands)
        elif not settled:
            mapping[i] = emit(op, operands, v.attrs, v.type)
        else:
            same = plain.issuperset(old)
            fresh.rules = None if same else rules
            made = mapping[i] = emit(op, operands, v.attrs, v.type)
            if same or (made.op is op and all([a is b for a, b in zip(made.operands, operands, strict=False)])):
                plain.add(v)
    fresh.cursor = None
    fresh.call = ""
    fresh.rules = rules
    for table, other in ((fresh.literals, source.literals), (fresh.casts, source.casts)):
        for i, text in other.items():
            if i in mapping:
                table.setdefault(mapping[i].index, text)
    return mapping
