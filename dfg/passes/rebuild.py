"""Copying a graph into a new one, value by value: what every pass that changes a graph is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dfg.ir import Graph, Origin, Roots, Rule, Value

Handler = Callable[[Graph, Value, tuple[Value, ...]], Value]
"""Gives the new value for an old one, from its new operands."""


def rebuild(
    graph: Graph,
    rules: Mapping[Any, Sequence[Rule]] | None = None,
    handlers: Mapping[Any, Handler] | None = None,
    keep_names: bool = True,
) -> tuple[Graph, dict[int, Value]]:
    """The part of a graph that its roots need, emitted again under `rules`; ops in `handlers` are replaced by what these give. Returns the
    new graph and where each old value went."""
    fresh = graph.like(rules)
    mapping: dict[int, Value] = {}
    handlers = handlers or {}
    for v in graph.live(graph.roots.values()):
        mapping[v.index] = copy_value(fresh, v, mapping, handlers)
    fresh.roots = Roots(
        {k: mapping[v.index] for k, v in graph.roots.outputs.items()},
        {k: mapping[v.index] for k, v in graph.roots.updates.items()},
        {k: mapping[v.index] for k, v in graph.roots.initials.items()},
    )
    if keep_names:
        for name, v in graph.names.items():
            if v.index in mapping:
                fresh.names[name] = mapping[v.index]
    for i, hint in graph.hints.items():
        if i in mapping:
            fresh.hints.setdefault(mapping[i].index, hint)
    for i, origin in graph.origins.items():
        if i in mapping:
            primal = mapping.get(origin.primal)
            fresh.origins.setdefault(mapping[i].index, Origin(-1 if primal is None else primal.index, origin.rule))
    return fresh, mapping


def copy_value(fresh: Graph, v: Value, mapping: Mapping[int, Value], handlers: Mapping[Any, Handler]) -> Value:
    """Emit one value in a new graph, with its side tables."""
    operands = tuple([mapping[o.index] for o in v.operands])
    source = v.graph
    fresh.cursor = source.spans.get(v.index)
    fresh.call = source.calls.get(v.index, "")
    handler = handlers.get(v.op)
    made = fresh.emit(v.op, operands, v.attrs) if handler is None else handler(fresh, v, operands)
    fresh.cursor = None
    fresh.call = ""
    i, j = v.index, made.index
    if i in source.literals:
        fresh.literals.setdefault(j, source.literals[i])
    if i in source.casts:
        fresh.casts.setdefault(j, source.casts[i])
    return made
