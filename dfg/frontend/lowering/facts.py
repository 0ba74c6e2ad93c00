"""What a function can ask about its arguments while it is lowered, and how it refuses one.

    def scaled(x, factor = 1) = if static(factor) and factor == 1 { x } else { x * factor }
    def reduced(x, reduction) = if reduction == "sum" { sum(x) } else { refuse("reduction", "takes \\"sum\\" as `reduction`") }

`static(x)`: whether it is known while compiling. `proved(c)`: whether a condition holds for certain; false also where that is open until sizes arrive.
`isdtype(x.dtype, "integral")` and `finfo(x.dtype).eps` are the array API's. `refuse("parameter", "words")` is an error of the call, marked at the caller's
argument; it stands in a branch that is chosen while compiling.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from dfg.diagnostics import Label
from dfg.diagnostics.codes import CODES
from dfg.dims import Dim
from dfg.frontend import syntax as s
from dfg.frontend.lowering.calls import Given, arguments, form
from dfg.frontend.lowering.engine import Failed, Gen, Lowering
from dfg.frontend.lowering.expressions import COMPARE
from dfg.frontend.lowering.scopes import Scope
from dfg.frontend.lowering.statics import fold
from dfg.frontend.lowering.things import POISON, Known, ListThing, Record, Thing, describe, is_static, known
from dfg.ir import Value
from dfg.ops.surface import FUNCTIONS, Literal, fold_literals
from dfg.types import DType

KINDS: Final = {
    "bool": frozenset(("bool",)),
    "integral": frozenset(("int",)),
    "real floating": frozenset(("float",)),
    "numeric": frozenset(("int", "float")),
}


def given_to(lo: Lowering, node: s.Call, scope: Scope, counts: tuple[int, ...], shown: str) -> Gen:
    """The arguments of a form, which are positional."""
    given: list[Given] = yield arguments(lo, node, scope)
    if len(given) not in counts or any(g.keyword is not None for g in given):
        lo.fail("missing-argument" if len(given) < counts[0] else "surplus-argument", f"it is called as {shown}", node)
    if any(g.thing is POISON for g in given):
        raise Failed
    return given


def settled(thing: Thing) -> bool:
    if isinstance(thing, ListThing):
        return all(settled(item) for item in thing.items)
    if isinstance(thing, Record):
        return all(settled(item) for item in thing.fields.values())
    return is_static(thing) or thing is None or isinstance(thing, str | DType)


@form("static")
def static(lo: Lowering, node: s.Call, scope: Scope) -> Gen:
    """Whether a value is known while compiling."""
    (g,) = yield given_to(lo, node, scope, (1,), "static(x)")
    return known(settled(g.thing))


@form("proved")
def proved(lo: Lowering, node: s.Call, scope: Scope) -> Gen:
    """Whether a condition holds whatever is run: false where it fails or is not known."""
    if len(node.args) == 1 and not node.kwargs and isinstance(node.args[0], s.Compare):
        compared = node.args[0]
        left = yield compared.left, scope
        right = yield compared.right, scope
        return known(decided(lo, compared, left, right) is True)
    (g,) = yield given_to(lo, node, scope, (1,), "proved(condition)")
    thing = g.thing
    return known(isinstance(thing, Literal | Known) and not isinstance(thing.value, Dim) and np.shape(thing.value) == () and bool(thing.value))


def decided(lo: Lowering, node: s.Compare, left: Thing, right: Thing) -> bool | None:
    """What a comparison gives, if it is known while compiling; nothing is emitted to find out."""
    if isinstance(left, ListThing) and isinstance(right, ListThing):
        if len(left.items) != len(right.items):
            return {"==": False, "!=": True}.get(node.op)
        verdicts = [decided(lo, s.Compare(node.source, node.start, node.stop, "==", node.left, node.right, node.at), a, b)
                    for a, b in zip(left.items, right.items, strict=True)]
        same = False if False in verdicts else None if None in verdicts else True
        return {"==": same, "!=": None if same is None else not same}.get(node.op)
    if not (settled(left) and settled(right)) or isinstance(left, ListThing | Record) or isinstance(right, ListThing | Record):
        return None
    if not (is_static(left) and is_static(right)):
        same = left == right if isinstance(left, str) and isinstance(right, str) else left is right
        return {"==": same, "!=": not same}.get(node.op)
    f = COMPARE[node.op]
    made = fold(lo, f, [left, right], node.span)
    if made is None and isinstance(left, Literal) and isinstance(right, Literal):
        own = FUNCTIONS[f].fold
        made = fold_literals(own, [left, right]) if own is not None else None
    return bool(made.value) if isinstance(made, Literal | Known) and np.shape(made.value) == () else None


@form("isdtype")
def isdtype(lo: Lowering, node: s.Call, scope: Scope) -> Gen:
    """Whether a dtype is of a kind: "bool", "integral", "real floating", "numeric", or a dtype itself."""
    (g, kind) = yield given_to(lo, node, scope, (2,), 'isdtype(x.dtype, "integral")')
    if not isinstance(g.thing, DType):
        lo.fail("wrong-type", f"`isdtype` takes a dtype, not {describe(g.thing)}", g.node, help="write `x.dtype`")
    if isinstance(kind.thing, DType):
        return known(g.thing is kind.thing)
    if not isinstance(kind.thing, str) or kind.thing not in KINDS:
        lo.fail("bad-argument", f"a kind of dtype is one of {', '.join(KINDS)}", kind.node)
    return known(g.thing.kind in KINDS[kind.thing])


@form("finfo")
def finfo(lo: Lowering, node: s.Call, scope: Scope) -> Gen:
    """The limits of a floating dtype: a record of `eps`, `max`, `min`, `smallest_normal`."""
    (g,) = yield given_to(lo, node, scope, (1,), "finfo(x.dtype)")
    if not isinstance(g.thing, DType) or not g.thing.floating:
        lo.fail("wrong-dtype", f"`finfo` takes a floating dtype, not {describe(g.thing)}", g.node, help="write `x.dtype`")
    limits = np.finfo(g.thing.np)
    return Record({name: Literal("float", float(getattr(limits, name))) for name in ("eps", "max", "min", "smallest_normal")})


_HOLE: Final = re.compile(r"\{(\w+)\}")
_QUOTED: Final = re.compile(r"(?<!\w)'(\w+)'")
"""A word of the language, which stands in double quotes; a text has no way to hold these."""


def written(thing: Thing) -> str:
    """A static thing as it would be written."""
    if isinstance(thing, ListThing):
        return f"[{', '.join(written(item) for item in thing.items)}]"
    if isinstance(thing, Literal | Known):
        return thing.text or str(thing.value)
    return "none" if thing is None else f'"{thing}"' if isinstance(thing, str) else str(thing)


@form("refuse")
def refuse(lo: Lowering, node: s.Call, scope: Scope) -> Gen:
    """An error of the call of the function that this stands in, at the argument named; `{x}` in the words is what `x` is, 'word' a word in double quotes."""
    given = yield given_to(lo, node, scope, (2, 3), 'refuse("parameter", "words")')
    for g in given:
        if not isinstance(g.thing, str):
            lo.fail("bad-argument", "`refuse` takes a parameter's name, words, and a code if it is not bad-argument, all in double quotes", g.node)
    name, words = given[0].thing, given[1].thing
    code = given[2].thing if len(given) > 2 else "bad-argument"
    if not lo.frames:
        lo.fail("misplaced-statement", "`refuse` stands in a function: it is the caller who is told", node)
    if code not in CODES:
        lo.fail("bad-argument", f"there is no code `{code}`", given[2].node)
    frame = lo.frames[-1]
    definition = frame.closure.node
    if name not in [p.name.text for p in definition.params]:
        lo.fail("bad-argument", f"`{definition.name.text}` has no parameter `{name}`", given[0].node)

    holes = [bound for word in _HOLE.findall(words) if (bound := scope.lookup(word)) is not None]

    def shown(match: re.Match[str]) -> str:
        found = scope.lookup(match[1])
        if found is None:
            return match[0]
        thing = found.thing
        return str(thing.type) if isinstance(thing, Value) else written(thing) if settled(thing) else describe(thing)

    told = _QUOTED.sub(r'"\1"', _HOLE.sub(shown, words))
    message = f"`{definition.name.text}` {told}"
    if lo.library is not None:
        from dfg.frontend.lowering.library import refused

        places = {p.name.text: p.name.span for p in definition.params}
        told_of = [b for b in holes if isinstance(b.thing, Value) and b.name in places and code != "bad-argument"]
        own = scope.lookup(name)
        first = f"this is {own.thing.type}" if own is not None and isinstance(own.thing, Value) and code != "bad-argument" else "this one"
        raise refused(lo, code, message, [(places[name], first), *[(places[b.name], f"this is {b.thing.type}") for b in told_of]])
    at = frame.given.get(name)
    labels = [Label(frame.span, f"`{definition.name.text}` is called here")] if at is not None else []
    frames = lo.frames
    lo.frames = frames[:-1]
    try:
        lo.report(code, message, at.span if at is not None else frame.span, labels if not frames[:-1] else [])
    finally:
        lo.frames = frames
    raise Failed


