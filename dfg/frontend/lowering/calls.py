"""Calls: of surface functions, whose arguments are converted by their roles; of functions of the file, expanded each time; of dtypes; of the forms of the language.

A call of a function gets a scope that sees what the function's file bound above it, and a path (`f`, the second call `f_2`, inside another `g.f`) under
which its local values are named. Literals stay literals as arguments; a parameter by which the body differentiates is pinned here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dfg.diagnostics import Fix, Label
from dfg.diagnostics.codes import nearest
from dfg.dims import Dim, names
from dfg.frontend import prelude as prelude  # fills the table of functions
from dfg.frontend import syntax as s
from dfg.frontend.lowering.engine import Failed, Frame, Gen, Lowering, evaluates
from dfg.frontend.lowering.limits import MAX_CALLS
from dfg.frontend.lowering.scopes import Scope
from dfg.frontend.lowering.statics import apply, leafwise, plain_static
from dfg.frontend.lowering.things import (
    POISON,
    Builtin,
    Closure,
    Known,
    ListThing,
    Record,
    Thing,
    TupleThing,
    describe,
    is_static,
    is_tensor,
)
from dfg.ir import Value
from dfg.ops.surface import FUNCTIONS, Literal, role
from dfg.source import Span
from dfg.types import DTYPES, DType

Form = Callable[[Lowering, s.Call, Scope], Gen]
OWN_NAMES: Final = 1000
"""So many calls are expanded whatever they are, since the values of each have names of their own; of more, equal ones share one expansion."""
FORMS: Final[dict[str, Form]] = {}
"""What is called like a function and is none: its arguments are read as written (`grad`, whose target is a name)."""


def form(*words: str) -> Callable[[Form], Form]:
    def declare(f: Form) -> Form:
        for word in words:
            FORMS[word] = f
        return f

    return declare


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """An argument of a call: what it is, where it stands, and its keyword."""

    thing: Thing
    node: s.Node
    keyword: s.Name | None = None


@evaluates(s.Call)
def call(lo: Lowering, node: s.Call, scope: Scope) -> Gen:
    if node.over:
        from dfg.frontend.lowering.contractions import reduce_over

        return (yield reduce_over(lo, node, scope))
    func = node.func
    if isinstance(func, s.Name):
        found = scope.lookup(func.text)
        if found is None:
            if func.text in FORMS:
                return (yield FORMS[func.text](lo, node, scope))
            if func.text in FUNCTIONS:
                return (yield call_builtin(lo, node, func.text, scope))
            target = DTYPES.get(func.text)
            if target is None:
                from dfg.frontend.lowering.unknown import unknown

                return unknown(lo, func, scope, called=True)
        else:
            target = found.thing
    else:
        target = yield func, scope
    if target is POISON:
        raise Failed
    if isinstance(target, Builtin):
        if target.name in FORMS:
            return (yield FORMS[target.name](lo, node, scope))
        return (yield call_builtin(lo, node, target.name, scope))
    if isinstance(target, Closure):
        given = yield arguments(lo, node, scope)
        return (yield expand(lo, target, given, node))
    if isinstance(target, DType):
        given = yield arguments(lo, node, scope)
        if len(given) != 1 or given[0].keyword is not None:
            lo.fail("missing-argument" if not given else "surplus-argument", f"`{target}(x)` converts one tensor", node)
        return convert(lo, target, given[0].thing, given[0].node, node, scope)
    labels = []
    text = func.span.text
    if isinstance(func, s.Name):
        found = scope.lookup(func.text)
        if found is not None and found.span is not None:
            labels.append(Label(found.span, f"`{func.text}` is bound here to {describe(target)}"))
    hidden = isinstance(func, s.Name) and (func.text in FUNCTIONS or func.text in FORMS or func.text in DTYPES)
    lo.fail(
        "not-callable",
        f"`{text}` is {describe(target)}, not a function" if len(text) < 40 else f"this is {describe(target)}, not a function",
        func,
        labels,
        help=f"binding `{text}` hides the function of that name from there on: rename the binding" if hidden else "a product is written with `*`",
    )


def arguments(lo: Lowering, node: s.Call, scope: Scope) -> Gen:
    """The arguments of a call, evaluated in order."""
    given: list[Given] = []
    for arg in node.args:
        given.append(Given((yield arg, scope), arg))
    for kwarg in node.kwargs:
        given.append(Given((yield kwarg.value, scope), kwarg.value, kwarg.name))
    return given


def convert(lo: Lowering, dtype: DType, thing: Thing, node: s.Node, whole: s.Node, scope: Scope | None) -> Thing:
    """`f32(x)`: a literal is rounded once, a record converts leaf by leaf."""
    if isinstance(thing, Record):
        return leafwise(lo, [thing], [node], whole.span, lambda row: convert(lo, dtype, row[0], node, whole, scope))
    if isinstance(thing, ListThing):
        thing = lo.array(thing, node)
    if is_static(thing) and isinstance(thing.value, Dim):
        if dtype.name == "i64":
            return thing
    elif is_static(thing) and not (isinstance(thing, Known) and thing.node is not None):
        if isinstance(thing, Literal) and thing.kind == "int" and dtype.kind == "int":
            lo.guarded(lambda: lo.cx.literal(thing, dtype), node)
        with np.errstate(all="ignore"):
            array = np.asarray(thing.to(dtype) if isinstance(thing, Literal) else thing.value).astype(dtype.np)
        text = thing.text if dtype.floating or (dtype.kind == "int" and getattr(thing, "kind", "") == "int") else None
        return Known(array.item() if array.ndim == 0 else array, dtype, text)
    operand = lo.operand(thing, node)
    return lo.emit("astype", [operand, dtype], node.span, whole, [(node, thing)], scope)


# --- surface functions ----------------------------------------------------------------------------------------------------------------


def call_builtin(lo: Lowering, node: s.Call, name: str, scope: Scope) -> Gen:
    given = yield arguments(lo, node, scope)
    return builtin(lo, node, name, given, scope)


def builtin(lo: Lowering, node: s.Call, name: str, given: Sequence[Given], scope: Scope) -> Thing:
    """A surface function on evaluated arguments."""
    function = FUNCTIONS[name]
    parameters = list(function.signature.parameters.values())
    by_name = {p.name: p for p in parameters}
    rows: list[tuple[inspect.Parameter | None, Given]] = []
    position = 0
    for g in given:
        if g.keyword is not None:
            rows.append((check_keyword(lo, name, g, by_name), g))
        elif position < len(parameters):
            rows.append((parameters[position], g))
            if parameters[position].kind is not inspect.Parameter.VAR_POSITIONAL:
                position += 1
        else:
            rows.append((None, g))
    records = [k for k, (p, g) in enumerate(rows) if isinstance(g.thing, Record)]
    if records and lo.elementwise(name):
        things = [g.thing for _, g in rows]
        nodes = [g.node for _, g in rows]

        def one(row: list[Thing]) -> Thing:
            return builtin(lo, node, name, [Given(t, g.node, g.keyword) for t, (_, g) in zip(row, rows, strict=True)], scope)

        return leafwise(lo, things, nodes, node.span, one)
    if name in ("stack", "concat", "concatenate") and rows and isinstance(rows[0][1].thing, ListThing):
        first = rows[0][1].thing
        if any(isinstance(item, Record) for item in first.items):

            def joined(row: list[Thing]) -> Thing:
                head = Given(ListThing(tuple(row), first.nodes), rows[0][1].node, rows[0][1].keyword)
                return builtin(lo, node, name, [head, *given[1:]], scope)

            return leafwise(lo, list(first.items), list(first.nodes), node.span, joined)
    if function.fold is not None and all(p is not None and role(p).startswith("operand") and g.keyword is None for p, g in rows) and len(rows) == len(parameters):
        for _, g in rows:
            if g.thing is None:
                break
        else:
            nodes_ = [g.node for _, g in rows]
            return apply(lo, name, [g.thing for _, g in rows], nodes_, node.func.span, node, scope)
    check_sizes_listed(lo, name, parameters, given)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    operands: list[tuple[s.Node | None, Thing]] = []
    named: dict[str, tuple[s.Node | None, Thing]] = {}
    listed = False
    rank_source = next((g for p, g in rows if p is not None and role(p).startswith("operand") and is_tensor(g.thing)), None)
    for p, g in rows:
        kind = role(p) if p is not None else "static"
        made = argument(lo, name, p, kind, g, scope, rank_source)
        if kind == "operands" and isinstance(g.thing, ListThing) and not listed:
            operands = list(zip(g.thing.nodes or (g.node,) * len(g.thing.items), g.thing.items, strict=True))
            listed = True
        elif not listed and (kind.startswith("operand") or any(q.kind is inspect.Parameter.VAR_POSITIONAL for q in parameters)):
            operands.append((g.node, g.thing))
        if p is not None:
            named.setdefault(p.name, (g.node, g.thing))
        if g.keyword is not None:
            kwargs[g.keyword.text] = made
        else:
            args.append(made)
    try:
        return lo.emit(name, args, node.func.span, node, operands, scope, kwargs, named)
    except TypeError:
        odd = next((g for p, g in rows if isinstance(g.thing, DType | str) and (p is None or role(p) in ("static", "size", "shape"))), None)
        if odd is None:
            raise
        lo.fail("bad-argument", f"`{name}` takes numbers here, and this is {describe(odd.thing)}", odd.node)


def check_sizes_listed(lo: Lowering, name: str, parameters: Sequence[inspect.Parameter], given: Sequence[Given]) -> None:
    """Refuse `zeros(2, 3)` and `ones((2, 3))`: sizes and axes are one argument, a list."""
    at = next((k for k, p in enumerate(parameters) if role(p) in ("shape", "axes")), None)
    if at is None:
        return
    word = "sizes" if role(parameters[at]) == "shape" else "axes"
    for g in given[at : at + 1]:
        if isinstance(g.thing, TupleThing):
            edits = ((Span(g.node.source, g.node.start, g.node.start + 1), "["), (Span(g.node.source, g.node.stop - 1, g.node.stop), "]"))
            plain = g.node.span.text.startswith("(") and g.node.span.text.endswith(")")
            lo.fail("wrong-type", f"the {word} of `{name}` are a list, and this is a tuple", g.node, help=f"`{name}(…, [a, b])`" if at else f"`{name}([a, b])`",
                    fix=Fix("write a list", edits) if plain else None)
    if at + 1 < len(parameters) and role(parameters[at + 1]) in ("axes", "axis", "shape", "size"):
        return  # two lists, as of `moveaxis`
    several = given[at:]
    follows = role(parameters[at + 1]) if at + 1 < len(parameters) else None
    if len(several) > 1 and follows in (None, "dtype", "flag", "word") and all(g.keyword is None and is_whole(g.thing) for g in several):
        first, last = several[0].node.span, several[-1].node.span
        edits = ((Span(first.source, first.start, first.start), "["), (Span(last.source, last.stop, last.stop), "]"))
        lo.fail("surplus-argument", f"the {word} of `{name}` are one argument, a list", first.to(last), fix=Fix("write a list", edits))


def is_whole(thing: Thing) -> bool:
    """A whole number that is known while compiling, or a size."""
    if isinstance(thing, Literal):
        return thing.kind == "int"
    return isinstance(thing, Known) and isinstance(thing.value, int | Dim) and not isinstance(thing.value, bool)


def check_keyword(lo: Lowering, name: str, g: Given, by_name: dict[str, inspect.Parameter]) -> inspect.Parameter:
    assert g.keyword is not None
    text = g.keyword.text
    found = by_name.get(text)
    if found is None:
        best = nearest(text, by_name) or {"dim": "axis", "keepdim": "keepdims", "axes": "axis" if "axis" in by_name else "axes"}.get(text)
        best = best if best in by_name else None
        lo.fail(
            "surplus-argument",
            f"`{name}` has no argument `{text}`",
            g.keyword,
            help=f"did you mean `{best}`?" if best else f"its arguments are {', '.join(f'`{k}`' for k in by_name)}",
            fix=Fix(f"write `{best}`", ((g.keyword.span, best),)) if best else None,
        )
    return found


def argument(
    lo: Lowering, name: str, p: inspect.Parameter | None, kind: str, g: Given, scope: Scope, rank_source: Given | None
) -> Any:
    """A thing as the argument that a role asks for."""
    thing = g.thing
    label = p.name if p is not None else ""
    why = f"`{label}` of `{name}`" if label else f"an argument of `{name}`"
    wanted = f"`{name}` takes a tensor{f' as `{label}`' if label else ''}"
    if kind.startswith("operand"):
        if kind == "operands":
            if isinstance(thing, ListThing):
                nodes = thing.nodes if len(thing.nodes) == len(thing.items) else (g.node,) * len(thing.items)
                if label == "seed":
                    return [lo.operand(item, n, f"`{name}` takes whole numbers as `seed`") for item, n in flat(thing, g.node)]
                return [lo.operand(item, n, f"`{name}` takes a list of tensors") for item, n in zip(thing.items, nodes, strict=True)]
            if label == "seed" or thing is None:
                return None if thing is None else lo.operand(thing, g.node, wanted)
            lo.fail("bad-argument", f"`{name}` takes a list of tensors: `{name}([a, b])`", g.node)
        if thing is None and (kind == "operand or none" or (p is not None and p.default is None)):
            return None
        return lo.operand(thing, g.node, wanted)
    if kind in ("axis", "axes"):
        return axis_argument(lo, name, label, thing, g, scope, rank_source)
    if kind == "dtype":
        if thing is None or isinstance(thing, DType):
            return thing
        lo.fail("bad-argument", f"{why} is a dtype such as `f64`, not {describe(thing)}", g.node)
    if kind == "flag":
        plain = plain_static(lo, thing, g.node, why, scope)
        if not isinstance(plain, bool):
            lo.fail("bad-argument", f"{why} is `true` or `false`", g.node)
        return plain
    if kind == "word":
        if not isinstance(thing, str):
            lo.fail("bad-argument", f"{why} is a text in double quotes, not {describe(thing)}", g.node)
        return thing
    plain = plain_static(lo, thing, g.node, why, scope)
    return tuple(plain) if isinstance(plain, list) and kind == "shape" else plain


def flat(made: ListThing, node: s.Node) -> list[tuple[Thing, s.Node]]:
    """The elements of nested lists, in order."""
    result: list[tuple[Thing, s.Node]] = []
    stack: list[tuple[Thing, s.Node]] = [(made, node)]
    while stack:
        top, where = stack.pop()
        if isinstance(top, ListThing):
            nodes = top.nodes if len(top.nodes) == len(top.items) else (where,) * len(top.items)
            stack.extend(reversed(list(zip(top.items, nodes, strict=True))))
        else:
            result.append((top, where))
    return result


def axis_argument(lo: Lowering, name: str, label: str, thing: Thing, g: Given, scope: Scope, rank_source: Given | None) -> Any:
    """Axis numbers; a dim's bare name is the axis of that size, where there is exactly one."""
    if isinstance(thing, ListThing):
        nodes = thing.nodes if len(thing.nodes) == len(thing.items) else (g.node,) * len(thing.items)
        return tuple(
            axis_argument(lo, name, label, item, Given(item, n), scope, rank_source)
            for item, n in zip(thing.items, nodes, strict=True)
        )
    bound = scope.lookup(g.node.text) if isinstance(g.node, s.Name) else None
    named_size = bound is not None and bound.what == "dim"  # its name, also where a fact says which number it is
    if isinstance(thing, Known) and (isinstance(thing.value, Dim) or named_size) and rank_source is not None:
        source = rank_source.thing
        shape = lo.array(source, rank_source.node).shape if isinstance(source, ListThing) else source.shape
        found = [k for k, d in enumerate(shape) if d == thing.value]
        key = (id(g.node), lo.path)
        if len(found) > 1 and (known := lo.named_axes.get(key)) in found:
            return known
        if len(found) == 1:
            lo.named_axes[key] = found[0]
        if len(found) != 1 or not (named_size or len(names(thing.value)) == 1):
            many = f"{len(found)} axes" if found else "no axis"
            lo.fail("bad-argument", f"`{name}`: {describe(source)} has {many} of size {thing.value}", g.node, help="give the number of the axis")
        return found[0]
    return plain_static(lo, thing, g.node, f"`{label}` of `{name}`", scope)


# --- functions of the file -----------------------------------------------------------------------------------------------------------


def bind_arguments(lo: Lowering, closure: Closure, given: Sequence[Given], node: s.Call) -> dict[str, Given | None]:
    """Arguments by parameter; None where the default is taken."""
    definition = closure.node
    params = definition.params
    title = definition.name.text
    shape = f"{title}({', '.join(p.name.text for p in params)})"
    labels = [Label(definition.name.span, f"`{title}` is defined here")]
    result: dict[str, Given | None] = {}
    position = 0
    for g in given:
        if g.keyword is None:
            if position >= len(params):
                count = sum(1 for x in given if x.keyword is None)
                lo.fail(
                    "surplus-argument",
                    f"`{title}` takes {len(params)} argument{'s' * (len(params) != 1)}, not {count}",
                    g.node,
                    labels,
                    help=f"it is called as {shape}",
                )
            result[params[position].name.text] = g
            position += 1
            continue
        text = g.keyword.text
        if text not in [p.name.text for p in params]:
            best = nearest(text, [p.name.text for p in params])
            lo.fail(
                "surplus-argument",
                f"`{title}` has no argument `{text}`",
                g.keyword,
                labels,
                help=f"did you mean `{best}`?" if best else f"it is called as {shape}",
                fix=Fix(f"write `{best}`", ((g.keyword.span, best),)) if best else None,
            )
        if text in result:
            lo.fail("surplus-argument", f"`{title}` is given `{text}` twice", g.keyword, labels)
        result[text] = g
    for p in params:
        if p.name.text not in result:
            if p.default is None:
                lo.fail("missing-argument", f"`{title}` needs the argument `{p.name.text}`", node, labels, help=f"it is called as {shape}")
            result[p.name.text] = None
    return result


def expand(lo: Lowering, closure: Closure, given: Sequence[Given], node: s.Call, body: Callable[[Scope], Gen] | None = None) -> Gen:
    """A call of a function: its body, once more, with its parameters bound. Another way to evaluate the body is `body`, which then knows the arguments that are
    no things of the language."""
    from dfg.frontend.lowering.blocks import run_block
    from dfg.frontend.lowering.types import check_annotations, check_result

    definition = closure.node
    lo.expanded.add(id(definition))
    title = definition.name.text
    if any(f.closure.node is definition for f in lo.frames):
        lo.fail(
            "recursion",
            f"`{title}` calls itself",
            node,
            [Label(definition.name.span, f"`{title}` is defined here")],
            help="repetition is written with `scan`, `while … max N` or `for`",
        )
    lo.calls += 1
    if lo.calls > MAX_CALLS:
        lo.too_many_calls(node)
    bound = bind_arguments(lo, closure, given, node)
    called = lo.region.called
    key_of_call = (id(definition), id(closure.scope), closure.limit, *[None if g is None else identity(g.thing) for g in bound.values()])
    if lo.calls > OWN_NAMES and (before := called.get(key_of_call)) is not None:
        lo.calls -= 1
        return before[0]
    outer, outer_call = lo.path, lo.graph.call
    key = f"{outer}.{title}" if outer else title
    count = lo.call_counts[key] = lo.call_counts.get(key, 0) + 1
    path = key if count == 1 else f"{key}_{count}"
    scope = Scope(closure.scope, lo.infos[id(definition)], closure.limit)
    graph = lo.graph
    lo.frames.append(Frame(closure, node.span, path, {k: g.node for k, g in bound.items() if g is not None}))
    lo.path = path
    graph.call = path
    try:
        for p in definition.params:
            g = bound[p.name.text]
            thing = g.thing if g is not None else (yield p.default, Scope(closure.scope, None, closure.limit))
            if body is None or is_thing(thing):
                lo.bind(scope, p.name, thing, "argument", register=False)
        if body is not None:
            return (yield body(scope))
        yield check_annotations(lo, definition, scope, {k: g.node for k, g in bound.items() if g is not None}, node)
        if isinstance(definition.body, s.Block):
            result = yield run_block(lo, definition.body, scope)
        else:
            result = yield definition.body, scope
        if definition.result is not None:
            result = yield check_result(lo, definition, scope, result)
        if definition.rule is not None:
            from dfg.frontend.lowering.rules import custom_rule

            result = yield custom_rule(lo, closure, scope, result, node)
    except Failed:
        lo.call_failed()
        raise
    finally:
        lo.frames.pop()
        lo.path = outer
        graph.call = outer_call
    lo.check_limit(node)
    called[key_of_call] = (result, (closure, [g.thing for g in bound.values() if g is not None]))
    return result


def identity(thing: Thing) -> Any:
    """A key that equal things share and unequal ones do not: values by their place in the graph, numbers by how they are written and by their bits."""
    kind = type(thing)
    if kind is Literal and isinstance(thing.value, bool | int | float):
        return (kind, thing.kind, repr(thing.value), thing.text)
    if kind is Known and isinstance(thing.value, bool | int | float | Dim):
        return (kind, thing.dtype.name, thing.value if isinstance(thing.value, Dim) else repr(thing.value), thing.text, id(thing.node))
    if kind is Builtin:
        return (kind, thing.name)
    if kind is Closure:
        return (kind, id(thing.node), id(thing.scope), thing.limit)
    return (kind, thing) if kind is str else (kind, id(thing))


def is_thing(thing: Any) -> bool:
    return plain_result(thing) or isinstance(thing, Closure | Builtin | DType | str) or thing is None or thing is POISON


def plain_result(thing: Thing) -> bool:
    return isinstance(thing, Value | Literal | Known | ListThing | TupleThing | Record)
