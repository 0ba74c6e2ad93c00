"""What is written out while compiling: `for i in 0..n carry … { … }` and `[f(i) for i in 0..n]`.

The body is lowered once for each number, with the carries as they are by then: what is static stays static.

    powers = for i in 0..3 carry p = a { p = p * p }
    squares = for i in 0..4 { yield i * i }            # without a carry, the stack of what is yielded
"""

from __future__ import annotations

from dfg.diagnostics import Fix, Label
from dfg.frontend import syntax as s
from dfg.frontend.lowering.blocks import run_block
from dfg.frontend.lowering.control import Start, read_carries, results, stretches
from dfg.frontend.lowering.engine import Gen, Lowering, evaluates
from dfg.frontend.lowering.limits import MAX_CALLS
from dfg.frontend.lowering.scopes import Scope
from dfg.frontend.lowering.statics import join_array, plain_static
from dfg.frontend.lowering.things import ListThing, Record, Thing, describe, is_tensor, leaves, structure
from dfg.ir import Value
from dfg.ops.surface import Literal


def bounds(lo: Lowering, node: s.Range, scope: Scope) -> Gen:
    """The numbers that an unrolled loop goes through."""
    if node.upper is None:
        inner = " ".join(node.lower.span.text.split())
        thing = yield node.lower, scope
        if is_tensor(thing) and not (isinstance(thing, Literal) and not thing.shape) and (thing.shape or isinstance(thing, Value)):
            through = f"`scan x_t in {inner}`" if len(inner) < 40 else "`scan x_t in x`"
            help = f"{through} goes through the rows of a tensor" if thing.shape else "a loop over a size is a `scan`: `scan i in arange(n)`"
            lo.fail("bad-argument", f"`for` counts through a range such as `0..4`, and this is {describe(thing)}", node, help=help)
        lo.fail("bad-argument", "a range has two ends", node, help=f"write `0..{inner}`", fix=Fix(f"write `0..{inner}`", ((node.span, f"0..{inner}"),)))
    ends = []
    for part in (node.lower, node.upper):
        thing = yield part, scope
        plain = plain_static(lo, thing, part, "the end of a range", scope)
        if isinstance(plain, bool) or not isinstance(plain, int):
            if isinstance(plain, float | str) or plain is None or isinstance(plain, bool | list):
                lo.fail("bad-argument", f"the end of a range is a whole number, not {describe(thing)}", part)
            lo.fail(
                "not-static",
                f"a loop that is unrolled has a known number of steps, and this is the size {plain}",
                part,
                help=f"a loop over a size is a `scan`: `scan i in arange({plain})`",
            )
        ends.append(plain)
    lo.calls += max(0, ends[1] - ends[0])
    if lo.calls > MAX_CALLS:
        lo.too_many_calls(node)
    return range(ends[0], ends[1])


@evaluates(s.For)
def for_(lo: Lowering, node: s.For, scope: Scope) -> Gen:
    steps = yield bounds(lo, node.range, scope)
    starts: list[Start] = yield read_carries(lo, node.carries, scope)
    current = [start.thing for start in starts]
    rows: list[list[Thing]] = []
    for i in steps:
        inner = Scope(scope, lo.infos[id(node)])
        if node.name.text != "_":
            lo.bind(inner, node.name, Literal("int", i), "index", register=False)
        for start, thing in zip(starts, current, strict=True):
            lo.bind(inner, start.node.name, thing, "carry", register=False)
        inner.carries = frozenset(start.node.name.text for start in starts)
        inner.yields = []
        yield run_block(lo, node.body, inner)
        for start in starts:
            if start.node.name.text not in inner.stepped:
                lo.fail(
                    "carry-unbound",
                    f"the carry `{start.node.name.text}` is not bound for the next step",
                    start.node.name,
                    help=f"bind it once in the body: `{start.node.name.text} = …`",
                )
        after = [inner.names[start.node.name.text].thing for start in starts]
        for start, old, new in zip(starts, current, after, strict=True):
            same_carry(lo, start, old, new, inner, first=not rows)
        current = after
        rows.append(inner.yields)
        lo.check_limit(node)
    stacks = []
    for k in range(len(rows[0]) if rows else 0):
        column = [row[k] for row in rows]
        stacks.append(join_array(lo, column, ListThing(tuple(column)), node))
    if not current and not stacks:
        lo.fail("missing-result", "this loop gives nothing", node)
    return results([*current, *stacks])


def same_carry(lo: Lowering, start: Start, old: Thing, new: Thing, scope: Scope, first: bool) -> None:
    """Refuse a carry that changes from step to step; the start itself may stretch to what the first step gives."""
    name = start.node.name.text
    binding = scope.names[name]
    where = binding.span if binding.span is not None else start.node.span
    if structure(old) != structure(new):
        lo.fail(
            "carry-type", f"the carry `{name}` begins as {describe(old)} and becomes {describe(new)}", where, [Label(start.node.span, "it begins here")]
        )
    table = dict(leaves(new))
    for path, leaf in leaves(old):
        a, b = leaf, table[path]
        if not (is_tensor(a) and is_tensor(b)):
            continue
        lead = len(b.shape) - len(a.shape)
        fits = stretches(lo, tuple(a.shape), tuple(b.shape)) if first and not start.fixed else lead == 0 and stretches(lo, tuple(b.shape), tuple(a.shape))
        if not fits:
            lo.fail(
                "carry-type",
                f"the carry `{name}` is {describe(a)} before a step and {describe(b)} after it",
                where,
                [Label(start.node.span, f"it begins as {describe(start.thing)}")],
                help="a carry has one type in every step; a list of results is yielded: `yield x`",
            )


@evaluates(s.Build)
def build(lo: Lowering, node: s.Build, scope: Scope) -> Gen:
    steps = yield bounds(lo, node.range, scope)
    items: list[Thing] = []
    for i in steps:
        inner = Scope(scope, lo.infos[id(node)])
        lo.bind(inner, node.name, Literal("int", i), "index", register=False)
        items.append((yield node.element, inner))
        lo.check_limit(node)
    if not items:
        lo.fail("bad-argument", "this stacks nothing: the range is empty", node.range)
    for item in items:
        if not (is_tensor(item) or isinstance(item, Record)):
            lo.fail("wrong-type", f"tensors and records are stacked, not {describe(item)}", node.element)
    if any(isinstance(item, Record) for item in items):
        return join_array(lo, items, ListThing(tuple(items)), node.element)
    return ListThing(tuple(items), (node.element,) * len(items))


