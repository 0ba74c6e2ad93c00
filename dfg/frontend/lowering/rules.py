"""`def f(x) = … with vjp(ct) = …`: a rule of one's own for the derivative of a function.

The body computes the value as always; the op `custom` lets it pass and sends its cotangent to the parameters by the rule, which is a body of its own. What
else the function reads gets nothing: the rule gives one cotangent for each parameter, and for nothing else.
"""

from __future__ import annotations

from dfg.frontend import syntax as s
from dfg.frontend.lowering.blocks import run_block
from dfg.frontend.lowering.bodies import emit_loop
from dfg.frontend.lowering.control import converted
from dfg.frontend.lowering.engine import Gen, Lowering
from dfg.frontend.lowering.scopes import Scope
from dfg.frontend.lowering.things import Closure, ListThing, Record, Thing, TupleThing, describe, is_tensor, leaves, rebuild
from dfg.ir import Value
from dfg.ops.base import OPS
from dfg.ops.loop import numbered_body


def custom_rule(lo: Lowering, closure: Closure, scope: Scope, result: Thing, call: s.Call) -> Gen:
    definition = closure.node
    rule = definition.rule
    assert rule is not None
    title = definition.name.text
    if not is_tensor(result):
        lo.fail("wrong-type", f"a function with a rule gives one tensor, and `{title}` gives {describe(result)}", definition.name)
    y = lo.value(result, call)
    if not y.dtype.floating:
        lo.fail("wrong-dtype", f"a rule is for floating-point values, and `{title}` gives {y.type}", definition.name)
    params = [(p.name, scope.names[p.name.text].thing) for p in definition.params]
    table: dict[str, list[Value | None]] = {}
    for name, thing in params:
        mine: list[Value | None] = []
        for _, leaf in leaves(thing):
            leaf = lo.array(leaf, call) if isinstance(leaf, ListThing) else leaf
            mine.append(lo.capture(leaf) if isinstance(leaf, Value) else None)
        table[name.text] = mine
    region = lo.open_region(call)
    inner = Scope(closure.scope, lo.infos[id(rule)], closure.limit)
    outer, lo.region = lo.region, region
    try:
        arguments: list[tuple[Value, Value]] = []
        for name, thing in params:
            parts: list[Thing] = []
            for v, (_, leaf) in zip(table[name.text], leaves(thing), strict=True):
                if v is None:
                    parts.append(leaf)
                    continue
                arguments.append((v, region.argument(v.type)))
                parts.append(arguments[-1][1])
            lo.bind(inner, name, rebuild(thing, parts), "argument", register=False)
        ct, seen = region.argument(y.type), region.argument(y.type)
        lo.bind(inner, rule.names[0], ct, "value")
        if len(rule.names) > 1:
            lo.bind(inner, rule.names[1], seen, "value")
        if isinstance(rule.body, s.Block):
            given = yield run_block(lo, rule.body, inner)
        else:
            given = yield rule.body, inner
        cotangents = list(given.items) if isinstance(given, TupleThing) else [given]
        if len(cotangents) != len(params):
            lo.fail(
                "arity",
                f"the rule of `{title}` gives {len(cotangents)} cotangent{'s' * (len(cotangents) != 1)} for {len(params)} parameter{'s' * (len(params) != 1)}",
                rule,
                help="it gives one for each parameter, in a tuple; `none` where nothing flows",
            )
        flows: list[tuple[Value, Value, Value]] = []
        by_value = {v.index: a for v, a in arguments}
        for (name, thing), cotangent in zip(params, cotangents, strict=True):
            if cotangent is None:
                continue
            pieces = dict(leaves(cotangent))
            if isinstance(cotangent, Record) != isinstance(thing, Record) or len(pieces) != len(table[name.text]):
                lo.fail("structure-mismatch", f"the cotangent of `{name.text}` has its structure, {describe(thing)}", rule)
            for v, (path, _) in zip(table[name.text], leaves(thing), strict=True):
                if path not in pieces:
                    lo.fail("structure-mismatch", f"the cotangent of `{name.text}` has no `{'.'.join(path)}`", rule)
                if v is not None and v.dtype.floating:
                    flows.append((v, by_value[v.index], converted(lo, pieces[path], v.type, rule, "a cotangent")))
    finally:
        lo.region = outer
    first = [v for v, _, _ in flows]
    others = [(v, a) for v, a in arguments if not any(a is x for _, x, _ in flows)]
    captures = list(region.captures.values())
    inputs: list[Value | None] = [*[a for _, a, _ in flows], *[a for _, a in others], ct, seen, *[a for _, a in captures]]
    body = numbered_body(region.graph, inputs, [c for _, _, c in flows], [a.type for a in inputs if a is not None])
    operands = (y, *first, *[v for v, _ in others], *[v for v, _ in captures])
    made = emit_loop(lo, call, lambda: lo.graph.emit(OPS["custom"], operands, (body, len(first) + len(others), len(first))))
    return made[0]
