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
from dfg.dims import Dim, names
from dfg.ir import Graph, Value
from dfg.ops.leaf import input_op, param_op, state_op
from dfg.passes.region import BROADCAST, FAR, LOWERINGS, Builder, Region
from dfg.passes.schedule import schedule
from dfg.plan import CALL, STATIC, Commit, Field, Plan, Step


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
        return _plan(graph, chosen, updates, hints or {}, _initial_plans(graph, hints or {}))
    finally:
        if paused:
            gc.enable()


def _initial_plans(graph: Graph, hints: Mapping[str, int]) -> list[Plan]:
    """Plans for initial values, in levels: what depends on other parameters comes after them."""
    pending = dict(graph.roots.initials)
    depends: dict[str, set[str]] = {}
    for name, v in pending.items():
        depends[name] = {w.attrs[0] for w in graph.live([v]) if w.op in (param_op, state_op, input_op)} - {name}
    plans: list[Plan] = []
    while pending:
        ready = {n: v for n, v in pending.items() if not depends[n] & pending.keys()} or dict(pending)
        plans.append(_plan(graph, ready, {}, hints, []))
        for n in ready:
            del pending[n]
    return plans


def _plan(graph: Graph, chosen: Mapping[str, Value], updates: Mapping[str, Value], hints: Mapping[str, int], initials: Sequence[Plan]) -> Plan:
    b = Builder(hints)
    roots = [*chosen.values(), *updates.values()]
    live = graph.live(roots)
    order = schedule(live, roots, b.slots.bytes)
    r = Region(b, order, 0)
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
    declared: dict[str, Field] = {}
    leaves: dict[str, Value] = {}
    for v in graph.values:
        if v.op is param_op or v.op is state_op:
            leaves[v.attrs[0]] = v
            declared[v.attrs[0]] = Field(v.attrs[0], v.type, 0 if v.op is param_op else 1, graph.spans.get(v.index))
    for name in updates:
        if name not in kept and name in leaves:
            v = leaves[name]
            kept[name] = (v, b.array("param" if v.op is param_op else "state", v.type, STATIC, name=name))
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
    in_place = _deferred(r, chosen, updates, kept)
    r.deferred = {v.index for v in in_place.values()}
    r.prepare()
    r.run()
    for v, out in copies:
        r.emit("copy", (r.narrow(v, v.shape),), (out,), v)
    commit = _commit(r, updates, kept, in_place)

    def field_of(name: str, v: Value, a: int) -> Field:
        return Field(name, v.type, a, graph.spans.get(v.index), a in b.relied)

    used: set[str] = set()
    for a in b.arrays:
        for d in (*a.type.shape, *_dims(a.attrs)):
            if isinstance(d, Dim):
                used |= names(d)
    for f in (*inputs.values(), *kept.values()):
        for d in f[0].shape:
            used |= names(d)
    for need in graph.needs.values():
        used |= names(need.left) | names(need.right)
    return Plan(
        graph,
        b.arrays,
        b.blocks[0],
        commit,
        b.slots.finish(),
        b.slots.extents,
        [field_of(n, v, a) for n, (v, a) in inputs.items()],
        {n: field_of(n, v, a) for n, (v, a) in kept.items()},
        fields,
        tuple(sorted(used)),
        graph.facts,
        list(graph.needs.values()),
        list(b.workspaces),
        dict(hints),
        initials,
        bool(updates),
        declared,
    )


def _dims(attrs: Any) -> Iterable[Dim]:
    pending = [attrs]
    while pending:
        a = pending.pop()
        if isinstance(a, Dim):
            yield a
        elif isinstance(a, tuple):
            pending.extend(a)


def _deferred(
    r: Region, chosen: Mapping[str, Value], updates: Mapping[str, Value], kept: Mapping[str, tuple[Value, int]]
) -> dict[str, Value]:
    """Updates whose last step writes the state itself, in the commit: one elementwise kernel whose operands are the state, constants, and at most one
    tensor that is kept for it, so that nothing is copied and no more memory lives."""
    users: dict[int, int] = {}
    result: dict[str, Value] = {}
    if not updates:
        return result
    for v in r.order:
        for o in v.operands:
            users[o.index] = users.get(o.index, 0) + 1
    wanted = [v.index for v in (*chosen.values(), *updates.values())]
    for name, u in updates.items():
        if (
            r.root[u.index] != u.index or u.index in r.static or u.index in r.arr or u.index in r.fixed
            or users.get(u.index, 0) or wanted.count(u.index) > 1 or not u.op.elementwise or u.op in LOWERINGS
            or not (isinstance(u.op.into, str) and u.op.into.startswith("np.") and u.op.into.count("(") == 1) or u.type != kept[name][0].type
        ):
            continue
        others = 0
        for o in u.operands:
            base = r.root[o.index]
            leaf = next((n for n, (w, _) in kept.items() if w.index == base), None)
            if leaf == name:
                if r.strides[o.index] is not None or o.type != u.type:
                    break
            elif leaf is not None:
                if leaf in updates:
                    break
            elif base in r.static:
                continue
            elif base in r.arr or base in r.fixed:
                break
            else:
                others += 1
        else:
            if others <= 1:
                result[name] = u
                for o in u.operands:
                    r.last[r.root[o.index]] = FAR
    return result


def _commit(
    r: Region, updates: Mapping[str, Value], kept: Mapping[str, tuple[Value, int]], in_place: Mapping[str, Value]
) -> list[Commit]:
    b = r.b
    places = {w.index: name for name, (w, _) in kept.items()}
    result: list[Commit] = []
    for name, u in updates.items():
        target = kept[name][1]
        if name in in_place:
            operands = tuple([r.narrow(o, u.shape) if o.op is BROADCAST else r.array(o) for o in u.operands])
            result.append(Commit(name, target, target, Step("op", operands, (target,), u, u.op, u.attrs)))
            continue
        base = r.root[u.index]
        if base in places:
            if places[base] == name and r.strides[u.index] is None:
                continue
            if places[base] in updates:
                slot = b.slots.take(u.type)
                held = b.slot_array(slot, u.type)
                r.emit("copy", (r.array(u),), (held,), u)
                result.append(Commit(name, target, held))
                continue
        result.append(Commit(name, target, r.narrow(u, u.shape)))
    # Those in place read nothing that another one writes, so any order is right; copies come last, in the order of the program.
    return sorted(result, key=lambda c: c.step is None)
