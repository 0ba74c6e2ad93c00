"""Loops and branches: `scan`, `while` and `if`. What is unrolled stands in `unrolled.py`.

A body is lowered in a region of its own; what it uses of the outside becomes an operand. A carry has the type that the body gives it: the body is
traced with the type of the start, and again with the joined type, until nothing changes; a start that is a literal has no dtype yet, so its first
trace is with the literal itself. A trace that is not the last leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from dfg.diagnostics import Fix, Label
from dfg.dims import Dim, DimLike, suggest_fact
from dfg.frontend import syntax as s
from dfg.frontend.lowering.blocks import check_storable, run_block
from dfg.frontend.lowering.bodies import emit_cond, emit_scan, emit_while
from dfg.frontend.lowering.engine import Failed, Gen, Lowering, evaluates
from dfg.frontend.lowering.regions import Region
from dfg.frontend.lowering.scopes import Scope
from dfg.frontend.lowering.statics import plain_static
from dfg.frontend.lowering.things import (
    Known,
    ListThing,
    Record,
    Thing,
    TupleThing,
    describe,
    is_static,
    is_tensor,
    leaves,
    rebuild,
    structure,
)
from dfg.frontend.lowering.types import fit_type, tensor_type
from dfg.ir import Value
from dfg.ops.surface import Literal
from dfg.source import Span
from dfg.types import BOOL, BroadcastConflict, TensorType, broadcast_shapes, promote

ROUNDS = 6


@dataclass(slots=True)
class Start:
    """A carry: its name, what it begins as, and whether its type was written."""

    node: s.Carry
    thing: Thing
    fixed: bool
    types: list[TensorType | None]
    """For each leaf; None while it is a literal."""


@dataclass(slots=True)
class Traced:
    """A body as traced: the next carries and what is yielded, still as things."""

    region: Region
    scope: Scope
    carries: list[Thing]
    yields: list[Thing]


def read_carries(lo: Lowering, carries: Sequence[s.Carry], scope: Scope) -> Gen:
    starts: list[Start] = []
    for carry in carries:
        if any(carry.name.text == other.node.name.text for other in starts):
            lo.fail("duplicate-name", f"`{carry.name.text}` is carried twice", carry.name)
        thing = yield carry.value, scope
        if isinstance(thing, ListThing):
            thing = lo.array(thing, carry.value)
        if carry.type is not None:
            wanted = yield tensor_type(lo, carry.type, scope)
            thing = fit_type(lo, thing, wanted, carry.value, carry.type, scope)
        check_storable(lo, carry.name, thing, carry.value)
        if not (is_tensor(thing) or isinstance(thing, Record)):
            lo.fail("wrong-type", f"a carry is a tensor or a record, not {describe(thing)}", carry.value)
        starts.append(Start(carry, thing, carry.type is not None, [leaf_type(leaf) for _, leaf in leaves(thing)]))
    return starts


def leaf_type(leaf: Thing) -> TensorType | None:
    if isinstance(leaf, Value):
        return leaf.type
    if isinstance(leaf, Known):
        return TensorType(leaf.dtype, tuple(leaf.shape))
    return None


def elements(lo: Lowering, node: s.Scan, scope: Scope) -> Gen:
    """What a scan goes through: ((structure, leaves) for each, the number of steps)."""
    if len(node.names) != len(node.values):
        lo.fail(
            "arity",
            f"{len(node.names)} name{'s' * (len(node.names) > 1)} for {len(node.values)} tensor{'s' * (len(node.values) > 1)}",
            node.names[0].span.to(node.names[-1].span),
            help="`scan a, b in xs, ys` goes through both",
        )
    found: list[tuple[Thing, list[Value]]] = []
    length: DimLike | None = None
    first: s.Node | None = None
    for value in node.values:
        thing = yield value, scope
        if is_static(thing) and not thing.shape:
            count = " ".join(value.span.text.split())
            lo.fail(
                "rank-mismatch",
                "`scan` goes through the leading axis of a tensor, and this is a number",
                value,
                help="to count, go through `arange(n)`",
                fix=Fix(f"write `arange({count})`", ((value.span, f"arange({count})"),)) if len(count) < 40 else None,
            )
        values = [lo.value(leaf, value, "a `scan` goes through a tensor") for _, leaf in leaves(thing)]
        for v in values:
            if not v.rank:
                lo.fail("rank-mismatch", "`scan` goes through the leading axis of a tensor, and this is a scalar", value, scan_labels(lo, value, v, scope))
            if length is None:
                length, first = v.shape[0], value
                continue
            same = lo.graph.equal_sizes(length, v.shape[0])
            if same is not True:
                assert first is not None
                fact = None if same is False else suggest_fact(length, v.shape[0])
                lo.fail(
                    "shape-mismatch" if fact is None else "dim-unproved",
                    f"`scan` goes through {length} and {v.shape[0]} elements together",
                    value,
                    [Label(first.span, f"this has {length}"), Label(value.span, f"this has {v.shape[0]}")],
                    help=f"if this always holds, say so: `{fact}`" if fact else None,
                    fix=lo.fact_fix(fact) if fact else None,
                )
        found.append((thing, values))
    return found, length


def scan_labels(lo: Lowering, node: s.Node, v: Value, scope: Scope) -> list[Label]:
    label = lo.origin(node, v, "this is", scope)
    return [label] if label is not None and label.span != node.span else []


def trace(
    lo: Lowering, node: s.Scan | s.While, scope: Scope, starts: Sequence[Start], xs: Sequence[tuple[s.Name, Thing, list[Value]]]
) -> Gen:
    """One trace of a body with the types that the carries have so far. Carries without a type are the literals themselves."""
    region = lo.open_region(node)
    inner = Scope(scope, lo.infos[id(node)])
    outer, lo.region = lo.region, region
    try:
        for start in starts:
            parts: list[Thing] = []
            for t, (_, leaf) in zip(start.types, leaves(start.thing), strict=True):
                parts.append(leaf if t is None else region.argument(t))
            thing = rebuild(start.thing, parts)
            lo.bind(inner, start.node.name, thing, "carry")
        for name, like, values in xs:
            arguments = [region.argument(v.type.with_shape(v.shape[1:])) for v in values]
            if name.text != "_":
                lo.bind(inner, name, rebuild(like, arguments), "element")
        inner.carries = frozenset(start.node.name.text for start in starts)
        inner.yields = [] if isinstance(node, s.Scan) else None
        yield run_block(lo, node.body, inner)
        for start in starts:
            name = start.node.name
            if name.text not in inner.stepped:
                lo.fail(
                    "carry-unbound",
                    f"the carry `{name.text}` is not bound for the next step",
                    name,
                    [Label(node.body.span, "this body never binds it")] if node.body.span.stop - node.body.span.start < 200 else [],
                    help=f"bind it once in the body: `{name.text} = …`",
                )
        carried = [inner.names[start.node.name.text].thing for start in starts]
        return Traced(region, inner, carried, list(inner.yields or []))
    finally:
        lo.region = outer


def settled_body(
    lo: Lowering, node: s.Scan | s.While, scope: Scope, starts: list[Start], xs: Sequence[tuple[s.Name, Thing, list[Value]]]
) -> Gen:
    """The body traced with carries of the types that it gives them."""
    for _ in range(ROUNDS):
        told, counts, calls = len(lo.sink.items), dict(lo.call_counts), lo.calls
        weak = any(t is None for start in starts for t in start.types)
        made: Traced | None = None
        try:
            made = yield trace(lo, node, scope, starts, xs)
        except Failed:
            if not weak:
                raise
        joined = [default_types(lo, start) for start in starts] if made is None else [
            join_types(lo, start, thing, made) for start, thing in zip(starts, made.carries, strict=True)
        ]
        if made is not None and joined == [start.types for start in starts]:
            return made
        del lo.sink.items[told:]
        lo.call_counts, lo.calls = counts, calls
        for start, types in zip(starts, joined, strict=True):
            start.types = types
    lo.fail("carry-type", "the type of a carry changes with every step", starts[0].node.name, help="write its type: `carry x : f64[n] = …`")


def default_types(lo: Lowering, start: Start) -> list[TensorType | None]:
    return [
        TensorType(lo.cx.default(leaf.kind), tuple(leaf.shape)) if t is None else t
        for t, (_, leaf) in zip(start.types, leaves(start.thing), strict=True)
    ]


def join_types(lo: Lowering, start: Start, thing: Thing, made: Traced) -> list[TensorType | None]:
    """The types of a carry after a trace: of its start and of what the body gives, joined."""
    name = start.node.name.text
    binding = made.scope.names[name]
    where = binding.span if binding.span is not None else start.node.span
    if structure(thing) != structure(start.thing):
        lo.fail(
            "carry-type",
            f"the carry `{name}` begins as {describe(start.thing)} and becomes {describe(thing)}",
            where,
            [Label(start.node.span, "it begins here")],
        )
    after = dict(leaves(thing))
    result: list[TensorType | None] = []
    for t, (path, leaf) in zip(start.types, leaves(start.thing), strict=True):
        new = after[path]
        r = leaf_type(new)
        if r is None and isinstance(new, Literal):
            default = lo.cx.default(new.kind)
            shape: tuple[DimLike, ...] = tuple(new.shape)
            if t is not None:
                r = TensorType(t.dtype if promote(t.dtype, default) is t.dtype or t.dtype.kind == new.kind else default, shape)
            else:
                wide = lo.cx.join([leaf, new])
                r = TensorType(wide, shape)
        if r is None:
            lo.fail("carry-type", f"the carry `{name}` becomes {describe(new)}", where)
        if t is None:
            dtype = lo.cx.join([leaf, Literal({"bool": "bool", "int": "int", "float": "float"}[r.dtype.kind], 0)])  # type: ignore[arg-type]
            dtype = r.dtype if dtype.kind == r.dtype.kind else dtype
            t = TensorType(dtype, tuple(leaf.shape))
        if start.fixed:
            if (r.dtype is not t.dtype and promote(r.dtype, t.dtype) is not t.dtype) or not stretches(lo, r.shape, t.shape):
                mismatch(lo, start, t, r, where)
            result.append(t)
            continue
        try:
            shape = broadcast_shapes([r.shape, t.shape], lo.graph.facts)
        except BroadcastConflict:
            mismatch(lo, start, t, r, where)
        result.append(TensorType(promote(t.dtype, r.dtype), shape))
    return result


def stretches(lo: Lowering, shape: tuple[DimLike, ...], to: tuple[DimLike, ...]) -> bool:
    lead = len(to) - len(shape)
    return lead >= 0 and all(d == 1 or lo.graph.equal_sizes(d, to[lead + k]) is True for k, d in enumerate(shape))


def mismatch(lo: Lowering, start: Start, t: TensorType, r: TensorType, where: Span) -> NoReturn:
    lo.fail(
        "carry-type",
        f"the carry `{start.node.name.text}` begins as {t} and becomes {r}",
        where,
        [Label(start.node.span, f"it begins as {t}")],
        help="every step has a carry of one type: start with a tensor of the shape that the body gives",
    )


def carried_values(lo: Lowering, made: Traced, starts: Sequence[Start]) -> list[Value]:
    """The next carries as values of the body, of the settled types."""
    values: list[Value] = []
    for start, thing in zip(starts, made.carries, strict=True):
        after = dict(leaves(thing))
        binding = made.scope.names[start.node.name.text]
        at = s.Name(start.node.source, start.node.start, start.node.stop, start.node.name.text)
        if binding.span is not None:
            at = s.Name(binding.span.source, binding.span.start, binding.span.stop, start.node.name.text)
        for t, (path, _) in zip(start.types, leaves(start.thing), strict=True):
            assert t is not None
            values.append(converted(lo, after[path], t, at, "a carry"))
    return values


def start_values(lo: Lowering, starts: Sequence[Start]) -> list[Value]:
    values: list[Value] = []
    for start in starts:
        for t, (_, leaf) in zip(start.types, leaves(start.thing), strict=True):
            assert t is not None
            values.append(converted(lo, leaf, t, start.node.value, "the start of a carry"))
    return values


def converted(lo: Lowering, thing: Thing, t: TensorType, node: s.Node, what: str) -> Value:
    """A thing of a type that it converts and stretches to, in the current region."""
    if isinstance(thing, ListThing):
        thing = lo.array(thing, node)
    if isinstance(thing, Literal):
        literal = thing
        value = lo.guarded(lambda: lo.cx.literal(literal, t.dtype), node)
    else:
        value = lo.value(thing, node)
        value = lo.guarded(lambda: lo.cx.cast(value, t.dtype, f"{what} is {t.dtype}"), node)
    return lo.guarded(lambda: lo.cx.stretch(value, t.shape), node)


def results(parts: Sequence[Thing]) -> Thing:
    return parts[0] if len(parts) == 1 else TupleThing(tuple(parts))


@evaluates(s.Scan)
def scan(lo: Lowering, node: s.Scan, scope: Scope) -> Gen:
    found, length = yield elements(lo, node, scope)
    starts: list[Start] = yield read_carries(lo, node.carries, scope)
    xs = [(name, thing, values) for name, (thing, values) in zip(node.names, found, strict=True)]
    made: Traced = yield settled_body(lo, node, scope, starts, xs)
    yields = made.yields
    if not starts and not yields:
        lo.fail("missing-result", "this `scan` gives nothing", node, help="yield a value, or carry one: `scan x_t in x { yield f(x_t) }`")
    outer, lo.region = lo.region, made.region
    try:
        outputs = carried_values(lo, made, starts)
        for y in yields:
            if not (is_tensor(y) or isinstance(y, Record)):
                lo.fail("wrong-type", f"`yield` takes a tensor or a record, not {describe(y)}", node.body)
            outputs.extend(lo.value(leaf, node.body) for _, leaf in leaves(y))
    finally:
        lo.region = outer
    flat_xs = [v for _, _, values in xs for v in values]
    begun = start_values(lo, starts)
    parts = emit_scan(lo, node, made.region, outputs, begun, flat_xs, length)
    things: list[Thing] = []
    for like in [*[start.thing for start in starts], *yields]:
        n = len(leaves(like))
        things.append(rebuild(like, parts[:n]))
        parts = parts[n:]
    return results(things)


@evaluates(s.While)
def while_(lo: Lowering, node: s.While, scope: Scope) -> Gen:
    limit = yield node.limit, scope
    most = plain_static(lo, limit, node.limit, "the `max` of a `while`", scope)
    if isinstance(most, bool) or not isinstance(most, int | Dim) or (isinstance(most, int) and most < 0):
        lo.fail("bad-argument", "the `max` of a `while` is a whole number or a size", node.limit)
    starts: list[Start] = yield read_carries(lo, node.carries, scope)
    made: Traced = yield settled_body(lo, node, scope, starts, [])
    outer, lo.region = lo.region, made.region
    try:
        outputs = carried_values(lo, made, starts)
    finally:
        lo.region = outer
    region = lo.open_region(node)
    inner = Scope(scope, lo.infos[id(node)])
    lo.region = region
    try:
        for start in starts:
            arguments = [region.argument(t) for t in start.types if t is not None]
            lo.bind(inner, start.node.name, rebuild(start.thing, arguments), "carry", pin=False)
        thing = yield node.test, inner
        goes_on = truth(lo, thing, node.test, "while", inner)
        test = goes_on if isinstance(goes_on, Value) else lo.value(Literal("bool", goes_on), node.test)
    finally:
        lo.region = outer
    begun = start_values(lo, starts)
    parts = emit_while(lo, node, (region, test), (made.region, outputs), most, begun)
    things = []
    for start in starts:
        n = len(start.types)
        things.append(rebuild(start.thing, parts[:n]))
        parts = parts[n:]
    return results(things)


def truth(lo: Lowering, thing: Thing, node: s.Node, word: str, scope: Scope) -> bool | Value:
    """A condition: decided, or a scalar bool of the current region."""
    if isinstance(thing, ListThing):
        thing = lo.array(thing, node)
    shape = thing.shape if isinstance(thing, Value | Literal | Known) else ()
    if isinstance(thing, Literal | Known) and not shape and type(thing.value) is bool:
        return thing.value
    if not is_tensor(thing):
        lo.fail("wrong-type", f"the condition of `{word}` is one truth value, not {describe(thing)}", node)
    value = lo.value(thing, node)
    if value.dtype is not BOOL:
        lo.fail("wrong-dtype", f"the condition of `{word}` is a truth value, not {value.type}", node, help="compare it: `x != 0`, `x > 0`")
    if value.shape:
        lo.fail(
            "not-scalar-condition",
            f"the condition of `{word}` is one truth value, not {value.type}",
            node,
            help="element by element there is `where(p, a, b)`; whether all or any hold, `all(p)` and `any(p)`",
        )
    return value


@evaluates(s.If)
def if_(lo: Lowering, node: s.If, scope: Scope) -> Gen:
    """A condition that is decided while compiling chooses now; else both branches become bodies."""
    current: s.If = node
    while True:
        thing = yield current.test, scope
        decided = truth(lo, thing, current.test, "if", scope)
        if isinstance(decided, Value):
            break
        chosen = current.then if decided else current.otherwise
        if isinstance(chosen, s.If):
            current = chosen
            continue
        return (yield run_block(lo, chosen, Scope(scope, lo.infos[id(chosen)])))
    sides: list[tuple[Region, Thing]] = []
    outer = lo.region
    for block in (current.then, current.otherwise):
        region = lo.open_region(node)
        lo.region = region
        try:
            if isinstance(block, s.If):
                result = yield block, scope
            else:
                result = yield run_block(lo, block, Scope(scope, lo.infos[id(block)]))
            if isinstance(result, ListThing):
                result = lo.array(result, block)
            elif isinstance(result, TupleThing):
                result = TupleThing(tuple(lo.array(item, block) if isinstance(item, ListThing) else item for item in result.items))
        finally:
            lo.region = outer
        sides.append((region, result))
    return branches(lo, current, decided, sides)


def branches(lo: Lowering, node: s.If, decided: Value, sides: list[tuple[Region, Thing]]) -> Thing:
    """Both sides brought to one type, and the choice between them."""
    items = [list(r.items) if isinstance(r, TupleThing) else [r] for _, r in sides]
    if len(items[0]) != len(items[1]) or isinstance(sides[0][1], TupleThing) != isinstance(sides[1][1], TupleThing):
        lo.fail("branch-mismatch", f"one branch gives {counted(items[0])}, the other {counted(items[1])}", node.test, help="both branches give as many values, of the same types")
    nodes = [block.statements[-1] if isinstance(block, s.Block) and block.statements else block for block in (node.then, node.otherwise)]
    outputs: list[list[Value]] = [[], []]
    outer = lo.region
    for a, b in zip(*items, strict=True):
        for thing, n in ((a, nodes[0]), (b, nodes[1])):
            if not (is_tensor(thing) or isinstance(thing, Record)):
                lo.fail("wrong-type", f"a branch gives a tensor or a record, not {describe(thing)}", n)
        if structure(a) != structure(b):
            lo.fail("branch-mismatch", f"one branch gives {describe(a)}, the other {describe(b)}", node.test, branch_labels(nodes, [a, b]))
        rows = dict(leaves(b))
        for path, x in leaves(a):
            pair = [lo.array(t, n) if isinstance(t, ListThing) else t for t, n in zip((x, rows[path]), nodes, strict=True)]
            operands = [t if isinstance(t, Value | Literal) else Literal(t.dtype.kind, 0) for t in pair]
            known_dtypes = [t.dtype for t in pair if isinstance(t, Known | Value)]
            dtype = lo.cx.join([o for o in operands if isinstance(o, Value)] or operands)
            for d in known_dtypes:
                dtype = promote(dtype, d)
            if known_dtypes and any(isinstance(t, Literal) for t in pair):
                dtype = known_dtypes[0]
                for literal in pair:
                    if isinstance(literal, Literal) and {"bool": 0, "int": 1, "float": 2}[literal.kind] > {"bool": 0, "int": 1, "float": 2}[dtype.kind]:
                        dtype = promote(dtype, lo.cx.default(literal.kind))
            shapes = [tuple(t.shape) for t in pair]
            if len(shapes[0]) != len(shapes[1]) or any(lo.graph.equal_sizes(p, q) is not True for p, q in zip(*shapes, strict=True)):
                lo.fail(
                    "branch-mismatch",
                    f"one branch gives {describe(pair[0])}, the other {describe(pair[1])}",
                    node.test,
                    branch_labels(nodes, pair),
                    help="dtypes of branches promote, shapes never stretch: give both the same shape",
                )
            for k in (0, 1):
                lo.region = sides[k][0]
                try:
                    outputs[k].append(converted(lo, pair[k], TensorType(dtype, shapes[0]), nodes[k], "a branch"))
                finally:
                    lo.region = outer
    parts = emit_cond(lo, node, decided, [(region, out) for (region, _), out in zip(sides, outputs, strict=True)])
    things: list[Thing] = []
    for like in items[0]:
        count = len(leaves(like))
        things.append(rebuild(like, parts[:count]))
        parts = parts[count:]
    return TupleThing(tuple(things)) if isinstance(sides[0][1], TupleThing) else things[0]


def counted(items: Sequence[Thing]) -> str:
    return f"{len(items)} value{'s' * (len(items) != 1)}"


def branch_labels(nodes: Sequence[s.Node], things: Sequence[Thing]) -> list[Label]:
    return [Label(n.span, f"this is {describe(t)}") for n, t in zip(nodes, things, strict=True)]
