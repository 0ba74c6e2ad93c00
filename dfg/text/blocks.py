"""Loops, branches and rules of one's own as a program writes them: `scan`, `while`, `if`, `def … with vjp`.

What is projected of such a value besides its results (traces, which differentiation asks for) is yielded or given by a branch as well. What has no form of its own
is made of `scan` and `if`: a scan of which only the first steps run, a `while` of which every step is kept.

Each form is a generator that gives the generators of the bodies it holds, so that nesting costs no recursion; see `scope.drive`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dfg.ir import Graph, Subgraph, Value
from dfg.text.convert import filled, size_text, typed
from dfg.text.term import Level, Term, atom
from dfg.types import TensorType

if TYPE_CHECKING:
    from dfg.text.scope import Scope

Steps = Generator[Any, None, None]
IDENTIFIER: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
TEST_LONG: Final = 200
"""A longer condition of a `while` is not written in its head."""


class Unfit(Exception):
    """A condition that needs statements of its own."""


def captures(w: Scope, operands: Sequence[Value]) -> list[Term]:
    """What a body reads from outside: names (bound now if they were not), or numbers."""
    found = []
    for o in operands:
        t = w.terms[o.index]
        if t.level is not Level.ATOM or len(t.text) > 24:
            w.named(o)
            t = w.terms[o.index]
        found.append(t)
    return found


def words(terms: Sequence[Term]) -> set[str]:
    return {word for t in terms for word in IDENTIFIER.findall(t.text)}


def enter(w: Scope, graph: Graph, depth: int, taken: set[str], arguments: Sequence[tuple[Value, Term]]) -> Scope:
    """A scope for a body whose arguments are these terms."""
    inner = w.inside(graph, depth, taken | words([t for _, t in arguments]))
    for a, t in arguments:
        inner.terms[a.index] = t
        inner.bound[a.index] = t.text
        inner.labels.pop(a.index, None)
    return inner


def values(inner: Scope, roots: Sequence[Value]) -> Steps:
    for v in inner.prepare(roots):
        yield from inner.emit(v)


def zeros(w: Scope, t: TensorType) -> str:
    zero = Term("0", Level.ATOM, None, (), "int", True, np.zeros((), t.dtype.np))
    return filled(w, zero, t.shape, t.dtype).text


def step(inner: Scope, nexts: Sequence[Value], yielded: Sequence[Value], carried: Sequence[str]) -> None:
    """The end of a loop's body: the carries for the next step and what is yielded. A carry's name is its old value until its line, so what still needs the old
    one comes before."""
    if not carried:
        inner.line(f"yield {', '.join([typed(inner, y).text for y in yielded])}")
        return
    texts: list[str | None] = []
    for y in yielded:
        if any(y is n for n in nexts):
            texts.append(None)
            continue
        t = typed(inner, y)
        if t.text in carried and y.index in inner.others:
            t = atom(inner.others[y.index], y.dtype, y.shape)
        if t.level is not Level.ATOM or t.text in carried:
            name = inner.fresh()
            inner.line(f"{name} = {t.text}")
            t = atom(name, y.dtype, y.shape)
        texts.append(t.text)
    updates = []
    for k, n in enumerate(nexts):
        text = typed(inner, n).text
        if k and not set(carried[:k]).isdisjoint(IDENTIFIER.findall(text)):
            name = inner.fresh()
            inner.line(f"{name} = {text}")
            text = name
        updates.append(f"{carried[k]} = {text}")
    for u in updates:
        inner.line(u)
    if yielded:
        first = {id(n): carried[k] for k, n in reversed(list(enumerate(nexts)))}
        inner.line(f"yield {', '.join([t if t is not None else first[id(y)] for t, y in zip(texts, yielded, strict=True)])}")


def heads(w: Scope, inner: Scope, arguments: Sequence[Value], operands: Sequence[Value], carries: int) -> list[str]:
    """Names for the carries and elements of a loop, bound in its body."""
    names = []
    for k, a in enumerate(arguments):
        outer = w.terms[operands[k].index]
        hint = f"{outer.text}_t" if k >= carries and outer.level is Level.ATOM else None
        name = inner.choose(a) if a.index in inner.labels else inner.fresh(hint)
        inner.remember(a, name)
        names.append(name)
    return names


def through(w: Scope, operands: Sequence[Value], reverse: bool) -> list[str]:
    """The tensors that a loop goes through; backwards, flipped."""
    texts = [typed(w, o).text for o in operands]
    return [f"{w.use('flip')}({text}, axis=0)" for text in texts] if reverse else texts


def projected(w: Scope, v: Value) -> list[Value]:
    return sorted(w.projections.get(v.index, ()), key=lambda p: (p.op.name != "part", p.attrs[0]))


def results(w: Scope, v: Value, carries: int, stacks: Sequence[Value], reverse: bool) -> list[str]:
    """The targets of a loop: a name for each carry (`_` where it is not wanted), then for each stack."""
    finals = {p.attrs[0]: p for p in projected(w, v) if p.op.name == "part" and p.attrs[0] < carries}
    names = []
    for k in range(carries):
        if k in finals:
            names.append(w.choose(finals[k]))
            w.remember(finals[k], names[-1])
        else:
            names.append("_")
    for p in stacks:
        if reverse:
            names.append(w.fresh())
            w.preset[p.index] = Term(f"{w.use('flip')}({names[-1]}, axis=0)", Level.POST, p.dtype, p.shape)
        else:
            names.append(w.choose(p))
            w.remember(p, names[-1])
    return names


def begun(w: Scope, operands: Sequence[Value], body: Graph) -> list[tuple[str, str]]:
    """For each carry its type, where it must be told, and what it begins as. A start that is a literal has no dtype of its own, and takes that of what it meets in
    the body: its type is told where that may be another."""
    found = []
    for o in operands:
        t, written = typed(w, o), w.terms[o.index]
        literal = written.dtype is None and written.shape == o.shape and "(" not in t.text
        others = {v.type.dtype for v in body.values if isinstance(v.type, TensorType)} - {o.dtype}
        told = literal and any(d.kind == o.dtype.kind for d in others)
        found.append((f" : {o.type}" if told else "", t.at(Level.OR)))
    return found


def carried_text(names: Sequence[str], starts: Sequence[tuple[str, str]]) -> str:
    return " carry " + ", ".join([f"{n}{t} = {s}" for n, (t, s) in zip(names, starts, strict=True)]) if names else ""


def scan(w: Scope, v: Value) -> Steps:
    """`a, b = scan x_t in xs carry h = h0 { … }`."""
    body, length, carries, xs, reverse = v.attrs
    stacks = [p for p in projected(w, v) if not (p.op.name == "part" and p.attrs[0] < carries)]
    yielded = [body.outputs[p.attrs[0]] if p.op.name == "part" else body.graph.values[p.attrs[0]] for p in stacks]
    captured = captures(w, v.operands[carries + xs :])
    inner = enter(w, body.graph, w.depth + 1, set(), list(zip(body.inputs[carries + xs :], captured, strict=True)))
    starts = begun(w, v.operands[:carries], body.graph)
    along = through(w, v.operands[carries : carries + xs], reverse) or [f"{w.use('arange')}({size_text(w, length)})"]
    names = heads(w, inner, body.inputs[: carries + xs], v.operands, carries)
    elements = names[carries:] or [inner.fresh()]
    nexts = list(body.outputs[:carries])
    yield values(inner, [*nexts, *yielded])
    step(inner, nexts, yielded, names[:carries])
    targets = results(w, v, carries, stacks, reverse)
    w.line(f"{', '.join(targets)} = scan {', '.join(elements)} in {', '.join(along)}{carried_text(names[:carries], starts)} {{")
    w.lines += inner.lines
    w.line("}")
    finished(w, v)


def finished(w: Scope, v: Value) -> None:
    for p in w.projections.get(v.index, ()):
        if p.index in w.bound:
            w.aliases(p)


def cond(w: Scope, v: Value) -> Steps:
    """`a, b = if p { … } else { … }`. What only one branch computes is zeros in the other, which nothing reads."""
    then, other = v.attrs
    asked = projected(w, v)
    sides: tuple[list[Value | None], list[Value | None]] = ([], [])
    for p in asked:
        k = p.attrs[0]
        if p.op.name == "part":
            sides[0].append(then.outputs[k])
            sides[1].append(other.outputs[k])
        else:
            first = k < len(then.graph)
            sides[0].append(then.graph.values[k] if first else None)
            sides[1].append(None if first else other.graph.values[k - len(then.graph)])
    test = typed(w, v.operands[0]).text
    captured = captures(w, v.operands[1:])
    blocks = []
    for body, wanted in zip((then, other), sides, strict=True):
        inner = enter(w, body.graph, w.depth + 1, set(), list(zip(body.inputs, captured, strict=True)))
        yield values(inner, [x for x in wanted if x is not None])
        inner.line(", ".join([typed(inner, x).text if x is not None else zeros(inner, p.type) for x, p in zip(wanted, asked, strict=True)]))
        blocks.append(inner.lines)
    targets = []
    for p in asked:
        targets.append(w.choose(p))
        w.remember(p, targets[-1])
    w.line(f"{', '.join(targets)} = if {test} {{")
    w.lines += blocks[0]
    w.line("} else {")
    w.lines += blocks[1]
    w.line("}")
    finished(w, v)


def while_(w: Scope, v: Value) -> Steps:
    """`z = while test max n carry z = z0 { … }`, with a carry that counts if the number of steps is wanted."""
    test, body, length, carries = v.attrs
    asked = projected(w, v)
    counted = next((p for p in asked if p.op.name == "part" and p.attrs[0] == carries), None)
    captured = captures(w, v.operands[carries:])
    if any(p.op.name == "trace" for p in asked):
        yield from guarded(w, v, body, length, carries, 0, captured, False, test, counted)
        return
    starts = begun(w, v.operands[:carries], body.graph)
    inner = enter(w, body.graph, w.depth + 1, set(), list(zip(body.inputs[carries:], captured, strict=True)))
    names = heads(w, inner, body.inputs[:carries], v.operands, carries)
    outside = [atom(n, a.dtype, a.shape) for n, a in zip(names, test.inputs, strict=False)]
    head = enter(w, test.graph, 0, set(names), list(zip(test.inputs, [*outside, *captured], strict=True)))
    head.inline = True
    try:
        yield values(head, test.outputs)
        text = typed(head, test.outputs[0]).text
        if head.lines or len(text) > TEST_LONG:
            raise Unfit
    except Unfit:
        yield from guarded(w, v, body, length, carries, 0, captured, False, test, counted)
        return
    yield values(inner, body.outputs)
    if counted is not None:
        count = inner.fresh()
        inner.line(f"{count} = {count} + 1")
    step(inner, body.outputs, [], names)
    targets = results(w, v, carries, [], False)
    if counted is not None:
        names, starts = [*names, count], [*starts, ("", "0")]
        targets.append(w.choose(counted))
        w.remember(counted, targets[-1])
    w.line(f"{', '.join(targets)} = while {text} max {size_text(w, length)}{carried_text(names, starts)} {{")
    w.lines += inner.lines
    w.line("}")
    finished(w, v)


def counted_scan(w: Scope, v: Value) -> Steps:
    """A scan of which the first steps run: every step asks whether it is one of them."""
    body, length, carries, xs, reverse = v.attrs
    captured = captures(w, v.operands[carries + xs :])
    yield from guarded(w, v, body, length, carries, xs, captured[:-1], reverse, captured[-1], None)


def guarded(
    w: Scope,
    v: Value,
    body: Subgraph,
    length: Any,
    carries: int,
    xs: int,
    captured: Sequence[Term],
    reverse: bool,
    guard: Subgraph | Term,
    counted: Value | None,
) -> Steps:
    """A loop as a scan whose step does nothing where `guard` is false: a condition of the carries, or the number of steps. Rows of steps that do nothing are zero."""
    stacks = [p for p in projected(w, v) if p.op.name == "trace" or carries <= p.attrs[0] and p is not counted]
    yielded = [body.outputs[p.attrs[0]] if p.op.name == "part" else body.graph.values[p.attrs[0]] for p in stacks]
    rows = [y.type for y in yielded]
    starts = begun(w, v.operands[:carries], body.graph)
    along = through(w, v.operands[carries : carries + xs], reverse)
    counter = f"{w.use('arange')}({size_text(w, length)})"
    along.append(f"{w.use('flip')}({counter}, axis=0)" if reverse else counter)
    seen = words([*captured, *([guard] if isinstance(guard, Term) else [])])
    glue = w.inside(Graph(), w.depth + 1, seen)
    names = [glue.fresh() for _ in range(carries + xs + 1)]
    count = glue.fresh() if counted is not None else ""
    arguments = [atom(n, a.dtype, a.shape) for n, a in zip(names, body.inputs[: carries + xs], strict=False)]
    if isinstance(guard, Term):
        test = f"{names[-1]} < {guard.text}"
    else:
        head = enter(w, guard.graph, w.depth + 1, {*names, count}, list(zip(guard.inputs, [*arguments[:carries], *captured], strict=True)))
        yield values(head, guard.outputs)
        glue.lines += head.lines
        glue.taken |= head.taken
        test = glue.fresh()
        glue.line(f"{test} = {typed(head, guard.outputs[0]).text}")
    inner = enter(w, body.graph, w.depth + 2, set(glue.taken), list(zip(body.inputs, [*arguments, *captured], strict=True)))
    nexts = list(body.outputs[:carries])
    yield values(inner, [*nexts, *yielded])
    inner.line(", ".join([typed(inner, x).text for x in [*nexts, *yielded]]))
    new = [glue.fresh() for _ in [*nexts, *yielded]]
    glue.line(f"{', '.join(new)} = if {test} {{")
    glue.lines += inner.lines
    glue.line("} else {")
    glue.line("  " + ", ".join([*names[:carries], *[zeros(glue, t) for t in rows]]))
    glue.line("}")
    for k in range(carries):
        glue.line(f"{names[k]} = {new[k]}")
    if counted is not None:
        glue.line(f"{count} = {count} + {w.use('i64')}({test})")
    if yielded:
        glue.line(f"yield {', '.join(new[carries:])}")
    targets = results(w, v, carries, stacks, reverse)
    heads_, begins = names[:carries], starts
    if counted is not None:
        heads_, begins = [*heads_, count], [*begins, ("", "0")]
        targets.insert(carries, w.choose(counted))
        w.remember(counted, targets[carries])
    w.line(f"{', '.join(targets)} = scan {', '.join(names[carries:])} in {', '.join(along)}{carried_text(heads_, begins)} {{")
    w.lines += glue.lines
    w.line("}")
    finished(w, v)


def custom(w: Scope, v: Value) -> Steps:
    """`def rule(y0, a, b) = y0 with vjp(ct, y) { … }` above, and its call here. A parameter that is the value itself is not passed twice."""
    rule, params, flows = v.attrs
    program = w.program
    name = program.function_name()
    inner = w.inside(rule.graph, 1, {name})
    inner.labels = {i: [n.rpartition(".")[2] for n in found] for i, found in inner.labels.items()}
    given = [*range(params), *range(params + 2, len(rule.inputs))]
    """The inputs of the rule that are arguments of the call; between them stand the cotangent and the result."""
    same = next((k for k, o in zip(given, v.operands[1:], strict=True) if o is v.operands[0]), None)
    own = inner.fresh("value") if same is None else ""
    names = {}
    for k, a in enumerate(rule.inputs):
        hint = "ct" if k == params else "y" if k == params + 1 else None
        names[k] = inner.choose(a) if a.index in inner.labels else inner.fresh(hint)
        inner.remember(a, names[k])
    yield values(inner, rule.outputs)
    flowing = {k: typed(inner, o).text for k, o in enumerate(rule.outputs[:flows])}
    rest = [k for k in given if k != same]
    first = names[same] if same is not None else own
    cotangents = [flowing.get(same, "none") if same is not None else "none", *[flowing.get(k, "none") for k in rest]]
    inner.line(f"({', '.join(cotangents)})" if len(cotangents) > 1 else cotangents[0])
    head = f"def {name}({', '.join([first, *[names[k] for k in rest]])}) = {first} with vjp({names[params]}, {names[params + 1]}) {{"
    program.definitions += [head, *inner.lines, "}"]
    passed = [v.operands[0], *[o for k, o in zip(given, v.operands[1:], strict=True) if k != same]]
    w.terms[v.index] = Term(f"{name}({', '.join([typed(w, o).text for o in passed])})", Level.POST, v.dtype, v.shape)


BLOCKS: Final[dict[str, Callable[[Scope, Value], Steps]]] = {
    "scan": scan, "cond": cond, "while": while_, "counted_scan": counted_scan, "custom": custom,
}  # fmt: skip
