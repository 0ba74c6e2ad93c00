"""Expressions: names, numbers, operators, attributes, brackets, indexing, functional update."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from dfg.diagnostics import Fix
from dfg.diagnostics.codes import nearest
from dfg.frontend import syntax as s
from dfg.frontend.lowering.calls import FORMS
from dfg.frontend.lowering.engine import Failed, Gen, Lowering, evaluates
from dfg.frontend.lowering.scopes import Scope, dotted_text
from dfg.frontend.lowering.statics import apply, counted_record, leafwise, static_int
from dfg.frontend.lowering.things import (
    POISON,
    Builtin,
    Known,
    ListThing,
    Module,
    Record,
    Shape,
    Thing,
    TupleThing,
    describe,
    is_static,
    is_tensor,
    known,
)
from dfg.frontend.lowering.unknown import LIBRARIES, unknown
from dfg.ir import Value
from dfg.ops.indexing import ELLIPSIS, NEWAXIS, Window, affine_difference, getitem, put
from dfg.ops.surface import FUNCTIONS, Literal
from dfg.types import BOOL, DTYPES, DType

BINARY: Final = {
    "+": "add",
    "-": "subtract",
    "*": "multiply",
    "/": "divide",
    "//": "floor_divide",
    "%": "remainder",
    "@": "matmul",
    "**": "power",
}
COMPARE: Final = {"<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal", "==": "equal", "!=": "not_equal"}


@evaluates(s.Number)
def number(lo: Lowering, node: s.Number, scope: Scope) -> Thing:
    if node.kind == "integer":
        return Literal("int", node.value, node.text)
    return Literal("float", node.value, node.text)


@evaluates(s.Bool)
def boolean(lo: Lowering, node: s.Bool, scope: Scope) -> Thing:
    return Literal("bool", node.value)


@evaluates(s.NoneLit)
def none(lo: Lowering, node: s.NoneLit, scope: Scope) -> Thing:
    return None


@evaluates(s.Text)
def text(lo: Lowering, node: s.Text, scope: Scope) -> Thing:
    return node.value


@evaluates(s.Name)
def name(lo: Lowering, node: s.Name, scope: Scope) -> Thing:
    found = scope.lookup(node.text)
    if found is not None:
        if found.thing is POISON:
            raise Failed
        return found.thing
    text = node.text
    if text in ("pi", "inf", "nan"):
        return Literal("float", getattr(math, text), text)
    if text in DTYPES:
        return DTYPES[text]
    group = scope.group(text)
    if group is not None:
        return group
    if text in FORMS or text in FUNCTIONS:
        return Builtin(text)
    if text == "params":
        return all_params(lo, node)
    return unknown(lo, node, scope, called=False)


def all_params(lo: Lowering, node: s.Node) -> Thing:
    """The record of all the program's parameters, all of which stand above."""
    if lo.later_params:
        later = next(iter(lo.later_params.values()))
        lo.fail(
            "use-before-binding",
            f"`params` holds every parameter, and `{later.text}` is declared below",
            node,
            help=f"move `param {later.text}` above this line",
        )
    if not lo.params:
        lo.fail("unknown-name", "`params` is the record of all parameters, and there are none", node)
    if any(p is POISON for p in lo.params.values()):
        raise Failed
    from dfg.frontend.lowering.things import build

    return build([(tuple(k.split(".")), v) for k, v in lo.params.items()])


# --- operators ------------------------------------------------------------------------------------------------------------------


@evaluates(s.Binary)
def binary(lo: Lowering, node: s.Binary, scope: Scope) -> Gen:
    """A chain that leans to the left (`a + b + c …`) is a loop over its spine."""
    spine: list[s.Binary] = [node]
    while isinstance(spine[-1].left, s.Binary):
        spine.append(spine[-1].left)
    left = yield spine[-1].left, scope
    left_node: s.Expr = spine[-1].left
    for current in reversed(spine):
        right = yield current.right, scope
        left = operate(lo, current, left, right, left_node, scope)
        left_node = current
    return left


def operate(lo: Lowering, node: s.Binary, left: Thing, right: Thing, left_node: s.Expr, scope: Scope) -> Thing:
    op = BINARY.get(node.op)
    things, nodes = [left, right], [left_node, node.right]
    at = s.Name(node.source, node.at, node.at + len(node.op), node.op).span
    if op is None:
        op = bitwise(lo, node, things)
    for thing, n in zip(things, nodes, strict=True):
        check_operand(lo, thing, n, node.op)
    if op == "matmul":
        operands = [lo.operand(t, n) for t, n in zip(things, nodes, strict=True)]
        pairs = list(zip(nodes, things, strict=True))
        return lo.emit("matmul", operands, at, node, pairs, scope, None, {"x": pairs[0], "y": pairs[1]})
    return apply(lo, op, things, nodes, at, node, scope)


def bitwise(lo: Lowering, node: s.Binary, things: Sequence[Thing]) -> str:
    logical = {"&": "logical_and", "|": "logical_or"}[node.op]
    whole = {"&": "bitwise_and", "|": "bitwise_or"}[node.op]
    kinds = [t.dtype.kind if isinstance(t, Value | Known) else t.kind if isinstance(t, Literal) else "" for t in things]
    return whole if "int" in kinds and whole in FUNCTIONS else logical


def check_operand(lo: Lowering, thing: Thing, node: s.Node, op: str) -> None:
    if is_tensor(thing) or isinstance(thing, Record):
        return
    if thing is None:
        lo.fail("wrong-type", f"`{op}` of `none`", node)
    what = describe(thing)
    help = None
    if what == "a function":
        help = "call it: a function is no value"
    elif what == "a tuple":
        help = "bind its parts first: `a, b = …`"
    lo.fail("wrong-type", f"`{op}` takes tensors, and this is {what}", node, help=help)


@evaluates(s.Compare)
def compare(lo: Lowering, node: s.Compare, scope: Scope) -> Gen:
    left = yield node.left, scope
    right = yield node.right, scope
    things, nodes = [left, right], [node.left, node.right]
    at = s.Name(node.source, node.at, node.at + len(node.op), node.op).span
    if node.op in ("==", "!=") and (left is None or right is None) and left is not POISON and right is not POISON:
        return known((left is right) == (node.op == "=="))  # whether an argument was given: a record or a function too
    if all(t is None or isinstance(t, str | DType) or is_static(t) or is_tensor(t) for t in things) and any(
        t is None or isinstance(t, str | DType) for t in things
    ):
        if node.op not in ("==", "!="):
            lo.fail("wrong-type", f"`{node.op}` compares numbers", at)
        words = isinstance(left, str) and isinstance(right, str)
        if not words and not (left is None or right is None) and not (isinstance(left, DType) and isinstance(right, DType)):
            lo.fail("wrong-type", f"{describe(left)} is not compared with {describe(right)}", at)
        same = left == right if words else left is right
        return known(same if node.op == "==" else not same)
    for thing, n in zip(things, nodes, strict=True):
        check_operand(lo, thing, n, node.op)
    return apply(lo, COMPARE[node.op], things, nodes, at, node, scope)


@evaluates(s.Logical)
def logical(lo: Lowering, node: s.Logical, scope: Scope) -> Gen:
    spine: list[s.Logical] = [node]
    while isinstance(spine[-1].left, s.Logical):
        spine.append(spine[-1].left)
    left = yield spine[-1].left, scope
    left_node: s.Expr = spine[-1].left
    for current in reversed(spine):
        right = yield current.right, scope
        for thing, n in ((left, left_node), (right, current.right)):
            check_truth(lo, thing, n, current.op, scope)
        at = s.Name(current.source, current.at, current.at + len(current.op), current.op).span
        left = apply(lo, f"logical_{current.op}", [left, right], [left_node, current.right], at, current, scope)
        left_node = current
    return left


def check_truth(lo: Lowering, thing: Thing, node: s.Node, op: str, scope: Scope) -> None:
    check_operand(lo, thing, node, op)
    dtype = thing.dtype if isinstance(thing, Value | Known) else None
    if (dtype is not None and dtype is not BOOL) or (isinstance(thing, Literal) and thing.kind != "bool"):
        origin = lo.origin(node, thing, "this is", scope) if isinstance(node, s.Name) else None
        lo.fail(
            "wrong-dtype",
            f"`{op}` takes bool, and this is {describe(thing)}",
            node,
            [origin] if origin is not None and origin.span != node.span else [],
            help="compare it (`x != 0`, `x > 0`), or convert it with `bool(x)`",
        )


@evaluates(s.Unary)
def unary(lo: Lowering, node: s.Unary, scope: Scope) -> Gen:
    thing = yield node.operand, scope
    at = s.Name(node.source, node.start, node.start + len(node.op), node.op).span
    if node.op == "not":
        check_truth(lo, thing, node.operand, "not", scope)
        return apply(lo, "logical_not", [thing], [node.operand], at, node, scope)
    check_operand(lo, thing, node.operand, node.op)
    return apply(lo, "negative" if node.op == "-" else "positive", [thing], [node.operand], at, node, scope)


# --- brackets --------------------------------------------------------------------------------------------------------------------


@evaluates(s.ListExpr)
def bracketed(lo: Lowering, node: s.ListExpr, scope: Scope) -> Gen:
    items = []
    for item in node.items:
        items.append((yield item, scope))
    return ListThing(tuple(items), node.items)


@evaluates(s.TupleExpr)
def tuple_(lo: Lowering, node: s.TupleExpr, scope: Scope) -> Gen:
    items = []
    for item in node.items:
        items.append((yield item, scope))
    return TupleThing(tuple(items))


@evaluates(s.RecordExpr)
def record(lo: Lowering, node: s.RecordExpr, scope: Scope) -> Gen:
    fields: dict[str, Thing] = {}
    for field in node.fields_:
        if field.name.text in fields:
            lo.fail("duplicate-name", f"the record has the field `{field.name.text}` twice", field.name)
        thing = yield field.value, scope
        if not (is_tensor(thing) or isinstance(thing, Record)):
            lo.fail("wrong-type", f"a field of a record holds a tensor or a record, not {describe(thing)}", field.value)
        fields[field.name.text] = lo.array(thing, field.value) if isinstance(thing, ListThing) else thing
    return counted_record(lo, fields, node)


# --- attributes ---------------------------------------------------------------------------------------------------------------------


@evaluates(s.Attribute)
def attribute(lo: Lowering, node: s.Attribute, scope: Scope) -> Gen:
    if scope.has_dotted():
        text = dotted_text(node)
        found = scope.lookup(text) if text is not None else None
        if found is not None:
            if found.thing is POISON:
                raise Failed
            return found.thing
    base = node.base
    if isinstance(base, s.Name) and base.text in LIBRARIES and scope.lookup(base.text) is None:
        plain = node.name.text
        exists = plain in FUNCTIONS or plain in FORMS or plain in ("pi", "inf", "nan")
        lo.fail(
            "unknown-name",
            f"there is no library `{base.text}`: functions are called by their name",
            node,
            help=f"write `{plain}`" if exists else "`dfg ops` lists them",
            fix=Fix(f"write `{plain}`", ((node.span, plain),)) if exists else None,
        )
    thing = yield base, scope
    return read_attribute(lo, node, thing, scope)


def read_attribute(lo: Lowering, node: s.Attribute, thing: Thing, scope: Scope) -> Thing:
    field = node.name.text
    if isinstance(thing, Record):
        if field in thing.fields:
            found = thing.fields[field]
            if found is POISON:
                raise Failed
            return found
        best = nearest(field, thing.fields)
        lo.fail(
            "unknown-field",
            f"the record has no field `{field}`",
            node.name,
            help=f"its fields are {', '.join(f'`{k}`' for k in thing.fields)}",
            fix=Fix(f"write `{best}`", ((node.name.span, best),)) if best else None,
        )
    if isinstance(thing, Module):
        bound = thing.scope.names.get(field)
        if bound is not None:
            if bound.thing is POISON:
                raise Failed
            return bound.thing
        best = nearest(field, thing.scope.names)
        lo.fail(
            "unknown-name",
            f"the module `{thing.name}` has no `{field}`",
            node.name,
            help=f"it has {', '.join(f'`{k}`' for k in thing.scope.names)}",
            fix=Fix(f"write `{best}`", ((node.name.span, best),)) if best else None,
        )
    if is_tensor(thing):
        if isinstance(thing, ListThing) and field in ("shape", "ndim", "size") and all(is_static(i) and not i.shape for i in thing.items):
            count = known(len(thing.items))  # of sizes and numbers, without making an array of them
            return Shape((count,)) if field == "shape" else known(1) if field == "ndim" else count
        if isinstance(thing, ListThing):
            thing = lo.array(thing, node.base)
            if isinstance(thing, Record):
                lo.fail("structure-mismatch", f"a list of records has no `.{field}`", node.name, help="take the field of one of its leaves")
        if field == "shape":
            return Shape(tuple(known(d) for d in thing.shape))
        if field == "ndim":
            return known(len(thing.shape))
        if field == "size":
            total: Any = 1
            for d in thing.shape:
                total = total * d
            return known(total)
        if field == "dtype":
            return thing.dtype if isinstance(thing, Value | Known) else lo.cx.default(thing.kind)
        if field in ("T", "mT"):
            value = lo.value(thing, node.base)
            if field == "T" and value.rank != 2:
                lo.fail(
                    "rank-mismatch",
                    f"`.T` is of rank 2, not of {value.type}",
                    node,
                    help="`.mT` exchanges the last two axes; `permute_dims(x, [...])` orders them",
                )
            return lo.emit("matrix_transpose", [value], node.name.span, node, [(node.base, thing)], scope, None, {"x": (node.base, thing)})
        if field in FUNCTIONS or field in FORMS:
            inner = node.base.span.text
            short = len(inner) < 60 and "\n" not in inner
            lo.fail(
                "unknown-field",
                f"a tensor has no `.{field}`: it is a function",
                node.name,
                help="a derivative is `grad(l, w)`" if field in FORMS else f"write `{field}({inner})`" if short else f"write `{field}(…)`",
            )
        lo.fail(
            "unknown-field",
            f"a tensor has no `.{field}`",
            node.name,
            help="it has `.shape`, `.ndim`, `.size`, `.dtype`, `.T` and `.mT`",
        )
    lo.fail("unknown-field", f"{describe(thing)} has no `.{field}`", node.name)


# --- indexing and functional update --------------------------------------------------------------------------------------------------


def index_items(lo: Lowering, indices: Sequence[s.IndexItem], scope: Scope, masks: bool = False) -> Gen:
    """What stands in brackets, for `getitem` and `put`, which takes masks."""
    items: list[Any] = []
    for item in indices:
        if isinstance(item, s.Dots):
            items.append(ELLIPSIS)
        elif isinstance(item, s.NewAxis):
            items.append(NEWAXIS)
        elif isinstance(item, s.Slice):
            bounds = []
            for part in (item.lower, item.upper, item.step):
                bounds.append(None if part is None else (yield part, scope))
            items.append(slice_item(lo, item, bounds, scope))
        else:
            thing = yield item, scope
            items.append(index_item(lo, item, thing, scope, masks))
    return items


def index_item(lo: Lowering, node: s.Node, thing: Thing, scope: Scope, masks: bool) -> Any:
    if isinstance(thing, ListThing):
        thing = lo.array(thing, node)
    if isinstance(thing, Literal | Known) and not thing.shape:
        kind = thing.kind if isinstance(thing, Literal) else thing.dtype.kind
        if kind == "int":
            return thing.value
        lo.fail("wrong-dtype", f"an index is a whole number, not {describe(thing)}", node)
    if isinstance(thing, str) or thing is None or isinstance(thing, Record):
        lo.fail("wrong-type", f"an index is a whole number or an array of them, not {describe(thing)}", node,
                help="a field of a record is read by its name: `p.w`" if isinstance(thing, str) else "a new axis is `newaxis`" if thing is None else None)
    operand = lo.operand(thing, node, "an index is a whole number, a slice or a tensor of whole numbers")
    if isinstance(operand, Literal):
        if operand.kind != "int":
            lo.fail("wrong-dtype", "an index is an array of whole numbers", node)
        return lo.guarded(lambda: lo.cx.value(operand), node)
    if operand.dtype is BOOL and masks:
        return operand
    if operand.dtype is BOOL:
        lo.fail(
            "wrong-dtype",
            "a mask does not index: how many it would select is not known while compiling",
            node,
            help="a mask selects through `where(mask, x, other)`",
        )
    if operand.dtype.kind != "int":
        lo.fail("wrong-dtype", f"an index is an array of whole numbers, not {operand.type}", node, help="`i64(…)` converts")
    return operand


def slice_item(lo: Lowering, node: s.Slice, bounds: list[Thing], scope: Scope) -> Any:
    nodes = [node.lower or node, node.upper or node, node.step or node]
    step = 1
    if bounds[2] is not None:
        plain = static_int(lo, bounds[2], nodes[2], "the step of a slice", scope)
        if not isinstance(plain, int) or plain == 0:
            lo.fail("bad-argument", "the step of a slice is a whole number other than 0", nodes[2])
        step = plain
    if not any(isinstance(b, Value) for b in bounds[:2]):
        lower, upper = [
            None if b is None else static_int(lo, b, n, "the bound of a slice", scope) for b, n in zip(bounds[:2], nodes, strict=False)
        ]
        return Window(lower, upper, step)
    for b, n in zip(bounds[:2], nodes, strict=False):
        if isinstance(b, Value) and b.shape:
            lo.fail("not-scalar-index", f"the bound of a slice is one whole number, not {b.type}", n, help="`x[idx]` picks by an array of indices")
        if isinstance(b, Value) and b.dtype.kind != "int":
            lo.fail("wrong-dtype", f"the bound of a slice is a whole number, not {b.type}", n)
    if bounds[0] is None or bounds[1] is None or step != 1:
        which = nodes[1] if bounds[0] is None else nodes[0]
        lo.fail(
            "not-static",
            "a slice with bounds computed while running has both, and step 1",
            which,
            help="write `x[k : k + size]`: where it begins may be computed, how long it is may not",
        )
    start, stop = (lo.value(b, n) for b, n in zip(bounds[:2], nodes, strict=False))
    size = affine_difference(stop, start)
    if size is None:
        lo.fail(
            "not-static",
            "how long this slice is depends on values that are known only while running",
            node,
            help="write `x[k : k + size]` with a static size: where it begins may be computed, how long it is may not",
        )
    return Window(start, None, 1, size)


@evaluates(s.Index)
def index(lo: Lowering, node: s.Index, scope: Scope) -> Gen:
    base = yield node.base, scope
    items = yield index_items(lo, node.indices, scope)
    return take(lo, node, base, items, scope)


def take(lo: Lowering, node: s.Index, base: Thing, items: list[Any], scope: Scope) -> Thing:
    if isinstance(base, Record):
        return leafwise(lo, [base], [node.base], node.span, lambda row: take(lo, node, row[0], items, scope))
    if isinstance(base, ListThing) and len(items) == 1:
        made = take_static(lo, node, base, items[0])
        if made is not None:
            return made
    if isinstance(base, ListThing):
        base = lo.array(base, node.base)
    if isinstance(base, TupleThing):
        lo.fail("wrong-type", "a tuple has no elements to index", node.base, help="bind its parts: `a, b = …`")
    if not is_tensor(base):
        what = describe(base)
        help = f"call it with parentheses: `{node.base.span.text}(…)`" if what == "a function" else None
        lo.fail("wrong-type", f"{what} cannot be indexed", node.base, help=help)
    if is_static(base) and base.shape and all(isinstance(i, int) for i in items) and len(items) <= len(base.shape):
        found = base.value
        for i, n in zip(items, base.shape, strict=False):
            if not -n <= i < n:
                break
            found = found[i]
        else:
            value = found.tolist() if not getattr(found, "shape", ()) else found
            if isinstance(base, Known):
                return Known(value, base.dtype)
            return Literal(base.kind, value, None, None if base.exact is None else base.exact[tuple(items)])
    value = lo.value(base, node.base)
    pairs = [(node.base, base), *[(n, i if isinstance(i, Value) else None) for n, i in zip(node.indices, items, strict=True)]]
    return lo.guarded(lambda: getitem(lo.cx, value, items), node, pairs, scope)


def take_static(lo: Lowering, node: s.Index, base: ListThing, item: Any) -> Thing | None:
    """An element or a part of a list while compiling, such as `x.shape[0]` or `x.shape[1:]`."""
    n = len(base.items)
    if isinstance(item, int):
        if not -n <= item < n:
            what = "dimensions" if isinstance(base, Shape) else "elements"
            lo.fail("out-of-bounds", f"index {item} of {n} {what}", node.indices[0])
        return base.items[item]
    if isinstance(item, Window) and item.size is None and all(b is None or isinstance(b, int) for b in (item.start, item.stop)):
        for b in (item.start, item.stop):
            if b is not None and not -n <= b <= n:
                lo.fail("out-of-bounds", f"a slice to {b} of {n} elements", node.indices[0])
        chosen = base.items[slice(item.start, item.stop, item.step)]
        return type(base)(chosen, base.nodes[slice(item.start, item.stop, item.step)] if base.nodes else ())
    return None


@evaluates(s.With)
def with_(lo: Lowering, node: s.With, scope: Scope) -> Gen:
    base = yield node.base, scope
    items = yield index_items(lo, node.indices, scope, masks=True)
    value = yield node.value, scope
    return replace(lo, node, base, items, value, scope)


def replace(lo: Lowering, node: s.With, base: Thing, items: list[Any], value: Thing, scope: Scope) -> Thing:
    if isinstance(base, Record):
        return leafwise(lo, [base, value], [node.base, node.value], node.span, lambda row: replace(lo, node, row[0], items, row[1], scope))
    target = lo.value(base, node.base)
    new = lo.operand(value, node.value)
    pairs = [(node.base, base), *[(n, i if isinstance(i, Value) else None) for n, i in zip(node.indices, items, strict=True)]]
    return lo.guarded(lambda: put(lo.cx, target, items, new, node.op == "+="), node, [*pairs, (node.value, value)], scope)
