"""From a differentiated graph to a `Plan`: who lives where, what is a view of what, and the steps.

Here is what concerns a program as a whole: its inputs, parameters and states, outputs that share a value, initial values, and how updates are written. The values
themselves are planned by `dfg.passes.region`.

    plan = compile_plan(graph, outputs=["l", "dl_dw"], update=False)
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dfg.passes.loops
import dfg.passes.lowering  # noqa: F401 - both fill LOWERINGS
from dfg.diagnostics import UserError, error
from dfg.diagnostics.codes import nearest
from dfg.dims import Binder, Dim, DimLike, Facts, named, names
from dfg.ir import Graph, Value
from dfg.ops.leaf import input_op, param_op, state_op
from dfg.passes.commit import Tail, tail_of
from dfg.passes.region import Builder, Region
from dfg.passes.schedule import schedule
from dfg.plan import CALL, STATIC, Field, Plan, Step
from dfg.types import TupleType


def compile_plan(
    graph: Graph, outputs: Sequence[str] | None = None, update: bool = True, hints: Mapping[str, int] | None = None
) -> Plan:
    """The plan that computes the named outputs (all if None) of a differentiated graph, and its updates if wanted. `hints` are usual sizes."""
    roots = graph.roots
    chosen: dict[str, Value] = {}
    for name in roots.outputs if outputs is None else outputs:
        if name not in roots.outputs:
            close = nearest(name, roots.outputs)
            hint = f"did you mean `{close}`?" if close else f"its outputs are {', '.join(roots.outputs) or 'none'}"
            raise UserError(error("unknown-output", f"the program has no output `{name}`", help=hint))
        chosen[name] = roots.outputs[name]
    updates = dict(roots.updates) if update else {}
    paused = gc.isenabled()
    gc.disable()
    try:
        return _plan(graph, chosen, updates, hints or {}, _initial_plans(graph, hints or {}), whole=True)
    finally:
        if paused:
            gc.enable()


def _initial_plans(graph: Graph, hints: Mapping[str, int]) -> list[Plan]:
    """Plans for initial values, in levels: what depends on other parameters comes after them. One plan makes those that need the same sizes, so that what needs
    none can be made before any is known."""
    pending = dict(graph.roots.initials)
    depends: dict[str, set[str]] = {}
    for name, v in pending.items():
        depends[name] = {w.attrs[0] for w in graph.live([v]) if w.op in (param_op, state_op, input_op)} - {name}
    plans: list[Plan] = []
    while pending:
        ready = {n: v for n, v in pending.items() if not depends[n] & pending.keys()} or dict(pending)
        alike: dict[frozenset[str], dict[str, Value]] = {}
        for n, v in ready.items():
            alike.setdefault(frozenset(_sizes_of(graph.live([v]))), {})[n] = v
        plans += [_plan(graph, group, {}, hints, []) for group in alike.values()]
        for n in ready:
            del pending[n]
    return plans


def _plan(graph: Graph, chosen: Mapping[str, Value], updates: Mapping[str, Value], hints: Mapping[str, int], initials: Sequence[Plan],
          whole: bool = False) -> Plan:
    b = Builder(hints)
    roots = [*chosen.values(), *updates.values()]
    live = graph.live(roots)
    leaves = {v.attrs[0]: v for v in graph.values if v.op is param_op or v.op is state_op}
    split = tail_of(schedule(live, roots, b.slots.bytes), chosen, updates, leaves)
    r = Region(b, [*split.rest, *split.tail], 0)
    inputs: dict[str, tuple[Value, int]] = {}
    kept: dict[str, tuple[Value, int]] = {}
    for v in live:
        if v.op is input_op:
            r.arr[v.index] = b.array("input", v.type, CALL, name=v.attrs[0])
            inputs[v.attrs[0]] = (v, r.arr[v.index])
        elif v.op is param_op or v.op is state_op:
            kind = "param" if v.op is param_op else "state"
            r.arr[v.index] = b.array(kind, v.type, STATIC, name=v.attrs[0])
            kept[v.attrs[0]] = (v, r.arr[v.index])
    declared = {n: Field(n, v.type, 0 if v.op is param_op else 1, graph.spans.get(v.index)) for n, v in leaves.items()}
    for name in updates:
        if name not in kept:
            v = leaves[name]
            kept[name] = (v, b.array("param" if v.op is param_op else "state", v.type, STATIC, name=name))
    r.border = len(split.rest)
    r.analyse(roots)
    fields: list[Field] = []
    copies: list[tuple[Value, int]] = []
    for name, v in chosen.items():
        out = b.array("output", v.type, CALL, name=name)
        fields.append(Field(name, v.type, out, graph.spans.get(v.index), True))
        if r.root[v.index] == v.index and v.index not in r.arr and v.index not in r.fixed and v.index not in r.static:
            r.fixed[v.index] = out
        else:
            copies.append((v, out))
    for name, u in split.in_place.items():
        r.fixed[u.index] = kept[name][1]
    r.prepare()
    r.run(0, len(split.rest))
    for v, out in copies:
        r.emit("copy", (r.narrow(v, v.shape),), (out,), v)
    steps, commit = b.blocks[0], _commit(r, split, updates, kept)

    def field_of(name: str, v: Value, a: int) -> Field:
        return Field(name, v.type, a, graph.spans.get(v.index), a in b.relied)

    used = _sizes_of([*b.arrays, *[f[0] for f in (*inputs.values(), *kept.values())], *live])
    # What speaks of a size that nothing here has was needed by a value that this plan does not compute.
    needs = [need for need in graph.needs.values() if names(need.left) | names(need.right) <= used]
    spare = {v.attrs[0]: v for v in graph.values if whole and v.op is input_op and v.attrs[0] not in inputs}
    bound = [v.shape for v, _ in (*inputs.values(), *kept.values())]
    for name in size_givers(used, bound, {n: v.shape for n, v in spare.items()}, graph.facts):
        v = spare.pop(name)
        inputs[name] = (v, b.array("input", v.type, CALL, name=name))
    return Plan(
        graph,
        b.arrays,
        steps,
        commit,
        b.slots.finish(),
        b.slots.extents,
        [field_of(n, v, a) for n, (v, a) in sorted(inputs.items(), key=lambda item: item[1][0].index)],
        {n: field_of(n, v, a) for n, (v, a) in kept.items()},
        fields,
        tuple(sorted(used)),
        graph.facts,
        needs,
        list(b.workspaces),
        dict(hints),
        initials,
        bool(updates),
        declared,
        {n: Field(n, v.type, -1, graph.spans.get(v.index)) for n, v in spare.items() if any(names(d) & used for d in v.shape)},
    )


def size_givers(used: set[str], bound: Sequence[Sequence[DimLike]], spare: Mapping[str, Sequence[DimLike]], facts: Facts) -> list[str]:
    """The inputs that no step reads and that a run still needs: sizes come from them that the shapes in `bound` do not give.

    >>> size_givers({"n"}, [], {"x": (named("n"),), "y": (named("n"),)}, Facts([]))
    ['x']
    """
    rest = unbound(used, bound, facts)
    chosen: list[str] = []
    for name, shape in spare.items():
        if rest and rest & {n for d in shape for n in names(d) if d == named(n)}:
            chosen.append(name)
            rest = unbound(used, [*bound, *[spare[n] for n in chosen]], facts)
    if rest:
        # Not by one bare axis: from all of them, leave out those without which as much is known.
        chosen = list(spare)
        rest = unbound(used, [*bound, *spare.values()], facts)
        for name in reversed(list(spare)):
            fewer = [n for n in chosen if n != name]
            if unbound(used, [*bound, *[spare[n] for n in fewer]], facts) == rest:
                chosen = fewer
    return chosen


def _sizes_of(typed: Sequence[Any]) -> set[str]:
    """The names of sizes in types and attributes."""
    # Many values, few types: what is looked at twice is one object.
    types: dict[int, Any] = {id(x.type): x.type for x in typed}
    dims = {d for t in types.values() for part in (t.items if isinstance(t, TupleType) else (t,)) for d in part.shape}
    dims |= {d for x in typed if x.attrs for d in _dims(x.attrs)}
    return {n for d in dims for n in names(d)}


def unbound(used: set[str], shapes: Sequence[Sequence[DimLike]], facts: Facts) -> set[str]:
    """The sizes that arrays of these shapes leave open."""
    rest = used - {n for shape in shapes for d in shape for n in names(d) if d == named(n)}
    return rest - set(Binder([(str(k), tuple(shape)) for k, shape in enumerate(shapes)], facts).names) if rest else rest


def _dims(attrs: Any) -> Iterable[Dim]:
    pending = [attrs]
    while pending:
        a = pending.pop()
        if isinstance(a, Dim):
            yield a
        elif isinstance(a, tuple):
            pending.extend(a)


def _commit(r: Region, split: Tail, updates: Mapping[str, Value], kept: Mapping[str, tuple[Value, int]]) -> list[Step]:
    """The steps that write states and parameters: the tail, then copies."""
    b = r.b
    places = {w.index: name for name, (w, _) in kept.items()}
    tail = {v.index for v in split.tail}
    copies: list[tuple[Value, int, int]] = []
    for name, u in updates.items():
        if name in split.in_place or u.index in tail:
            continue
        base = r.root[u.index]
        if places.get(base) == name and r.strides[u.index] is None:
            continue
        if places.get(base) in updates:
            # The old value of a state that is itself written.
            held = b.slot_array(b.slots.take(u.type), u.type)
            r.emit("copy", (r.array(u),), (held,), u)
            copies.append((u, held, kept[name][1]))
        else:
            copies.append((u, r.narrow(u, u.shape), kept[name][1]))
    steps: list[Step] = []
    b.blocks[0] = steps
    r.run(len(split.rest))
    for name, u in updates.items():
        if u.index in tail and name not in split.in_place:
            copies.append((u, r.narrow(u, u.shape), kept[name][1]))
    for u, source, target in copies:
        r.emit("copy", (source,), (target,), u)
    return steps
