"""Statements that stand in blocks as well as in files: bindings, indexed bindings, yields, groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dfg.diagnostics import Label
from dfg.dims import Dim
from dfg.frontend import syntax as s
from dfg.frontend.lowering.engine import Failed, Gen, Lowering
from dfg.frontend.lowering.scopes import Binding, Scope
from dfg.frontend.lowering.statics import plain_static
from dfg.frontend.lowering.things import POISON, Builtin, Closure, ListThing, Record, Thing, TupleThing, describe, is_tensor
from dfg.types import DType


def run_block(lo: Lowering, block: s.Block, scope: Scope) -> Gen:
    """The statements of a block, each checked even if one before it failed; gives the last expression (a tuple of several), or none."""
    failed = False
    result: Thing = None
    for statement in block.statements:
        try:
            if isinstance(statement, s.ExprStatement):
                result = yield expressions(lo, statement.values, scope)
            else:
                yield run_statement(lo, statement, scope)
        except Failed:
            failed = True
            lo.poison(scope, bound_names(statement))
    if failed:
        raise Failed
    return result


def expressions(lo: Lowering, values: Sequence[s.Expr], scope: Scope) -> Gen:
    if len(values) == 1:
        return (yield values[0], scope)
    items = []
    for value in values:
        items.append((yield value, scope))
    return TupleThing(tuple(items))


def bound_names(statement: s.Node) -> list[s.Name]:
    """The names that a statement binds."""
    if isinstance(statement, s.Binding):
        return list(statement.targets)
    if isinstance(statement, s.IndexedBinding):
        return [statement.target]
    if isinstance(statement, s.Input):
        return list(statement.names)
    if isinstance(statement, s.Output):
        return list(statement.names) if statement.values is not None else []
    if isinstance(statement, s.Param | s.State | s.Const | s.Def):
        return [statement.name]
    return []


def run_statement(lo: Lowering, statement: s.Node, scope: Scope) -> Gen:
    if isinstance(statement, s.Binding):
        yield binding(lo, statement, scope)
    elif isinstance(statement, s.IndexedBinding):
        from dfg.frontend.lowering.contractions import indexed_binding

        thing = yield indexed_binding(lo, statement, scope)
        assign(lo, scope, statement.target, thing, statement.value)
    elif isinstance(statement, s.Yield):
        thing = yield expressions(lo, statement.values, scope)
        if scope.yields is None:
            lo.fail("misplaced-statement", "`yield` stands in the body of a `scan` or `for`", statement)
        items = thing.items if isinstance(thing, TupleThing) else (thing,)
        scope.yields.extend(lo.array(item, statement) if isinstance(item, ListThing) else item for item in items)
    elif isinstance(statement, s.DimFact):
        yield local_fact(lo, statement, scope)
    elif isinstance(statement, s.Def):
        from dfg.frontend.lowering.modules import bind_function

        bind_function(lo, scope, statement)
    elif isinstance(statement, s.Group):
        for inner in statement.body.statements:
            if isinstance(inner, s.ExprStatement):
                lo.fail("unused-expression", "this value goes nowhere", inner)
            yield run_statement(lo, inner, scope)
    else:
        lo.fail("misplaced-statement", "this statement belongs at the file's top level", statement)
    return None


def local_fact(lo: Lowering, statement: s.DimFact, scope: Scope) -> Gen:
    """A `dim` line in a block: a demand on the sizes of this call. Inequalities that are not proved are verified when sizes arrive; an equality must follow from
    the file's own facts, since types are known by then."""
    if statement.op is None or statement.right is None:
        lo.fail("bad-argument", "a `dim` line in a function states a fact: `dim n >= 2`", statement)
    left_thing = yield statement.left, scope
    right_thing = yield statement.right, scope
    left = plain_static(lo, left_thing, statement.left, "a size", scope)
    right = plain_static(lo, right_thing, statement.right, "a size", scope)
    for size, node in ((left, statement.left), (right, statement.right)):
        if isinstance(size, bool) or not isinstance(size, int | Dim):
            lo.fail("wrong-type", "a `dim` line is about sizes", node)
    op = statement.op
    if op in ("==", "!="):
        equal = lo.graph.equal_sizes(left, right)
        if lo.library is not None and equal is not (op == "=="):
            from dfg.frontend.lowering.library import refused

            line = None if equal is False or op == "!=" else f"dim {left} {op} {right}"
            raise refused(lo, "dim-unproved" if line else "shape-mismatch", f"this call needs {left} {op} {right}", [(statement.left.span, "this one")], None, line)
        if equal is (op == "!="):
            lo.fail("shape-mismatch", f"this call needs {left} {op} {right}", statement)
        if equal is None:
            lo.fail("dim-unproved", f"this call needs {left} {op} {right}, which does not follow from the file", statement, help=f"add the line `dim {left} {op} {right}` to the file")
        return None
    low, high = (left, right) if op in (">=", ">") else (right, left)
    bound = high + 1 if op in (">", "<") else high
    lo.guarded(lambda: lo.graph.need(low, bound, f"this call needs {left} {op} {right}", "out-of-bounds"), statement)
    return None


def binding(lo: Lowering, node: s.Binding, scope: Scope) -> Gen:
    if node.type is not None:
        from dfg.frontend.lowering.types import fit_type, tensor_type

        wanted = yield tensor_type(lo, node.type, scope)
        thing = yield node.values[0], scope
        assign(lo, scope, node.targets[0], fit_type(lo, thing, wanted, node.values[0], node.type, scope), node.values[0])
        return None
    things = []
    for value in node.values:
        things.append((yield value, scope))
    for name, thing, value in match(lo, node.targets, node.values, things):
        assign(lo, scope, name, thing, value)
    return None


def match(
    lo: Lowering, targets: Sequence[s.Name], values: Sequence[s.Expr], things: Sequence[Thing]
) -> list[tuple[s.Name, Thing, s.Expr]]:
    """Names with what they are bound to; one value of several parts is taken apart."""
    if len(values) == len(targets) and not (len(values) == 1 and isinstance(things[0], TupleThing) and len(things[0].items) == 1):
        return list(zip(targets, things, values, strict=True))
    only = things[0]
    if len(values) > 1 or not isinstance(only, TupleThing):
        left = targets[0].span.to(targets[-1].span)
        names = f"{len(targets)} name{'s' * (len(targets) > 1)}"
        if len(values) > 1:
            lo.fail("arity", f"{names}, and {len(values)} values", left, [Label(values[0].span, "the first of them")], help="each name takes one value, and each value one name")
        wanted = ", ".join(t.text for t in targets[:4]) + (", …" if len(targets) > 4 else "")
        text = " ".join(values[0].span.text.split())
        help = f"give a value for each name: `{wanted} = …, …`"
        if isinstance(only, Record):
            help = f"read its fields one by one: `{text if len(text) < 30 else 'r'}.{next(iter(only.fields), 'a')}`"
        elif is_tensor(only) and not isinstance(only, ListThing) and only.shape and only.shape[0] == len(targets):
            help = f"`unstack({text if len(text) < 30 else 'x'})` gives its parts along the first axis"
        lo.fail("arity", f"{names}, and one value", left, [Label(values[0].span, f"this is {describe(only)}")], help=help)
    if len(only.items) != len(targets):
        lo.fail(
            "arity",
            f"{len(targets)} name{'s' * (len(targets) > 1)}, and {len(only.items)} values",
            targets[0].span.to(targets[-1].span),
            [Label(values[0].span, f"this gives {len(only.items)}")],
            help="`_` takes a value that is not wanted",
        )
    return [(name, item, values[0]) for name, item in zip(targets, only.items, strict=True)]


def assign(lo: Lowering, scope: Scope, name: s.Name, thing: Thing, value: s.Node) -> None:
    """Bind the target of a statement; a carry gets its value for the next step."""
    if name.text == "_":
        return
    check_storable(lo, name, thing, value)
    if name.text in scope.carries:
        if name.text in scope.stepped:
            lo.check_free(scope, name)
        scope.stepped.add(name.text)
        old = scope.names[name.text]
        if isinstance(thing, ListThing):
            thing = lo.array(thing, value)
        if name.text in scope.info.pins:
            thing = lo.pinned(thing, value)
        lo.order += 1
        scope.names[name.text] = Binding(name.text, thing, name.span, "carry", lo.order, old.type_text)
        return
    lo.bind(scope, name, lo.settle(thing, value))


def check_storable(lo: Lowering, name: s.Name, thing: Thing, value: s.Node) -> None:
    if isinstance(thing, TupleThing):
        lo.fail(
            "arity",
            f"1 name, and {len(thing.items)} values",
            name,
            [Label(value.span, f"this gives {len(thing.items)}")],
            help="a tuple is taken apart where it is made: `a, b = …`; a record `(w = …, b = …)` can be kept",
        )
    if thing is POISON:
        raise Failed
    if isinstance(thing, str | DType) or thing is None:
        what: Any = describe(thing)
        lo.fail("wrong-type", f"a name is bound to a tensor, a record or a function, not to {what}", value)
    if isinstance(thing, Builtin | Closure):
        return
