"""Indexed statements `z[i, j] = sum(k: A[i, k] * B[k, j])`, and `sum(j: …)` and its like anywhere.

Such an expression is a number for each value of its indices. It is evaluated for all of them at once: a *lifted* value is a tensor whose axes stand for indices.
Elementwise functions align axes by index; products are kept as factors until they are summed, so that a sum of products is one contraction.

An index takes all the values for which every subscript fits: of `x[i]` those of the axis, of `x[i + 1] - x[i]` all but the last, of `x[i + k] * w[k]` those for which
no `k` leaves `x`. Subscripts that are linear in one index are slices, all others are gathers, whose indices are checked while running.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from dfg.diagnostics import Label
from dfg.dims import Dim, DimLike, dim_max, dim_min, suggest_fact
from dfg.frontend import syntax as s
from dfg.frontend.lowering.calls import Given, bind_arguments, check_keyword, convert, expand
from dfg.frontend.lowering.engine import Gen, Lowering
from dfg.frontend.lowering.scopes import Scope
from dfg.frontend.lowering.statics import apply
from dfg.frontend.lowering.things import Builtin, Closure, Known, ListThing, Thing, describe, is_static, is_tensor, known
from dfg.ir import Value
from dfg.ops.base import OPS
from dfg.ops.contract import LETTERS
from dfg.ops.elementwise import emit_cast
from dfg.ops.indexing import Window, getitem
from dfg.ops.movement import broadcast_along, emit_permute, emit_reshape
from dfg.ops.surface import FUNCTIONS, Literal
from dfg.types import BOOL, DTYPES, I64

REDUCTIONS = ("sum", "max", "min", "prod", "mean", "any", "all")
MAX_NESTING = 60


@dataclass(slots=True, eq=False)
class IndexVar:
    """An index of one statement or one reduction: what restricts it, and then its range."""

    node: s.Name
    target: bool
    bare: list[tuple[DimLike, s.Node]] = field(default_factory=list)
    low: DimLike | None = None
    high: DimLike | None = None

    @property
    def size(self) -> DimLike:
        assert self.low is not None and self.high is not None
        return self.high - self.low + 1


@dataclass(frozen=True, slots=True)
class Affine:
    """`sum of factors * index + shift`."""

    factors: tuple[tuple[IndexVar, int], ...]
    shift: DimLike


@dataclass(frozen=True, slots=True, eq=False)
class Lifted:
    """A number for each value of some indices: the product of tensors whose axes stand for them."""

    factors: tuple[tuple[Value, tuple[IndexVar, ...]], ...]

    @property
    def labels(self) -> tuple[IndexVar, ...]:
        return tuple(dict.fromkeys(x for _, labels in self.factors for x in labels))


Bound: TypeAlias = "IndexVar | Lifted"
"""What a name of an indexed expression is: an index, or a parameter of a function that is called on numbers of indices."""


@dataclass(slots=True)
class Statement:
    """What is known of one indexed expression before it is evaluated."""

    scope: Scope
    groups: dict[int, dict[str, IndexVar]] = field(default_factory=dict)
    """The indices that a node binds, by its id."""
    holding: set[int] = field(default_factory=set)
    """Nodes below which an index stands, by id."""
    bases: dict[int, Value] = field(default_factory=dict)
    subscripts: dict[int, list[Affine | None]] = field(default_factory=dict)


def indexed_binding(lo: Lowering, node: s.IndexedBinding, scope: Scope) -> Gen:
    """`z[i, j] = value`."""
    statement = Statement(scope)
    for name in node.indices:
        other = scope.lookup(name.text)
        if other is not None and other.what in ("element", "index") and other.span is not None:
            carried = node.target.text in scope.carries
            where = f"{node.target.text}[{', '.join(n.text for n in node.indices)}]"
            lo.warn(
                "hidden-index",
                f"`{where}` binds every element at once: its `{name.text}` hides that of the loop",
                name,
                [Label(other.span, f"this `{name.text}` is hidden")],
                help=f"one place: `{node.target.text} = {node.target.text} with [{name.text}] = …`" if carried else "call the index by another name",
            )
    targets = {name.text: IndexVar(name, True) for name in node.indices}
    yield prepare(lo, statement, node.value, targets)
    made = yield lift(lo, statement, node.value, targets)
    order = list(targets.values())
    lo.stand(node)
    if not isinstance(made, Lifted):
        made = Lifted(((lo.value(made, node.value), ()),))
    return materialize(lo, made, order, node.value)


def reduce_over(lo: Lowering, node: s.Call, scope: Scope) -> Gen:
    """`sum(j, k: …)` outside of an indexed statement."""
    statement = Statement(scope)
    yield prepare(lo, statement, node, {})
    made = yield lift(lo, statement, node, {})
    return materialize(lo, made, [], node) if isinstance(made, Lifted) else made


# --- what the indices range over -----------------------------------------------------------------------------------------------------


def prepare(lo: Lowering, statement: Statement, root: s.Expr, targets: Mapping[str, Bound]) -> Gen:
    """Find the indices and subscripts of an expression, and the range of each index."""
    visible: dict[int, Mapping[str, Bound]] = {}
    parents: dict[int, s.Node] = {}
    stack: list[tuple[s.Node, Mapping[str, Bound]]] = [(root, targets)]
    subscripts: list[s.Index] = []
    while stack:
        node, names = stack.pop()
        if isinstance(node, s.Call) and node.over:
            own = {name.text: IndexVar(name, False) for name in node.over}
            statement.groups[id(node)] = own
            names = {**names, **own}
        visible[id(node)] = names
        if isinstance(node, s.Name) and node.text in names:
            at: s.Node | None = node
            while at is not None and id(at) not in statement.holding:
                statement.holding.add(id(at))
                at = parents.get(id(at))
        if isinstance(node, s.Index):
            subscripts.append(node)
        below: list[s.Node] = s.children(node)
        if isinstance(node, s.Call):
            below = [*node.args, *node.kwargs, *([] if isinstance(node.func, s.Name) else [node.func])]
        elif isinstance(node, s.Attribute):
            below = [node.base]
        elif isinstance(node, s.Kwarg):
            below = [node.value]
        for child in below:
            parents[id(child)] = node
            stack.append((child, names))
    everything = [*[x for x in targets.values() if isinstance(x, IndexVar)], *[x for group in statement.groups.values() for x in group.values()]]
    several: list[tuple[Affine, DimLike]] = []
    for node in reversed(subscripts):
        if not any(id(item) in statement.holding for item in node.indices):
            continue
        if id(node.base) in statement.holding:
            lo.fail("bad-index", "what is indexed by an index does not depend on one itself", node.base, help="write all subscripts in one bracket: `A[i, j]`")
        base = yield node.base, statement.scope
        value = lo.value(base, node.base)
        statement.bases[id(node)] = value
        if len(node.indices) != value.rank or any(isinstance(i, s.Slice | s.Dots | s.NewAxis) for i in node.indices):
            lo.fail(
                "rank-mismatch",
                f"an indexed expression is a number for each index, and this is {value.type} with {len(node.indices)} subscript{'s' * (len(node.indices) != 1)}",
                node,
                help="give each axis a subscript",
            )
        forms: list[Affine | None] = []
        for item, n in zip(node.indices, value.shape, strict=True):
            assert not isinstance(item, s.Slice | s.Dots | s.NewAxis)
            form = yield affine(lo, statement, item, visible[id(node)], 0)
            forms.append(form)
            if form is None or not form.factors:
                continue
            if len(form.factors) > 1:
                several.append((form, n))
            elif isinstance(item, s.Name):
                form.factors[0][0].bare.append((n, item))
            else:
                restrict(form, n, {})
        statement.subscripts[id(node)] = forms
    for x in everything:
        bare_range(lo, x)
    for form, n in several:
        open_ones = [x for x, _ in form.factors if x.low is None] or [x for x, f in form.factors if x.target and abs(f) == 1]
        if open_ones:
            rest = {id(x): (x.low, x.high) for x, _ in form.factors if x is not open_ones[0]}
            if all(low is not None for low, _ in rest.values()):
                restrict(form, n, rest, open_ones[0])
    for x in everything:
        if x.low is None:
            for name in s.walk(root):
                if isinstance(name, s.Name) and name.text not in visible.get(id(name), {name.text: x}) and statement.scope.lookup(name.text) is None:
                    yield name, statement.scope  # an index that is bound nowhere is told of first
            lo.fail("bad-index", f"nothing says how far the index `{x.node.text}` goes: it stands alone in no subscript", x.node)
        lo.guarded(lambda x=x: lo.graph.need(x.size, 0, f"the index `{x.node.text}` has values", "out-of-bounds"), x.node)  # type: ignore[misc]
    return None


def bare_range(lo: Lowering, x: IndexVar) -> None:
    """Restrict an index by the axes that it indexes bare, which have one size."""
    for n, node in x.bare:
        first, where = x.bare[0]
        same = lo.graph.equal_sizes(first, n)
        if same is not True:
            fact = None if same is False else suggest_fact(first, n)
            lo.fail(
                "shape-mismatch" if fact is None else "dim-unproved",
                f"the index `{x.node.text}` goes along axes of size {first} and {n}",
                node,
                [Label(where.span, f"this axis is {first}"), Label(node.span, f"this axis is {n}")],
                help=f"if this always holds, say so: `{fact}`" if fact else None,
                fix=lo.fact_fix(fact) if fact else None,
            )
    if x.bare:
        tighten(x, 0, x.bare[0][0] - 1)


def tighten(x: IndexVar, low: DimLike, high: DimLike) -> None:
    x.low = low if x.low is None else dim_max(x.low, low)
    x.high = high if x.high is None else dim_min(x.high, high)


def restrict(form: Affine, n: DimLike, rest: dict[int, tuple[Any, Any]], which: IndexVar | None = None) -> None:
    """Restrict one index so that `0 <= form < n` whatever the others are."""
    x, factor = next((x, f) for x, f in form.factors if which is None or x is which)
    least: DimLike = form.shift
    most: DimLike = form.shift
    for other, f in form.factors:
        if other is not x:
            low, high = rest[id(other)]
            least = least + (low if f > 0 else high) * f
            most = most + (high if f > 0 else low) * f
    if factor > 0:
        tighten(x, -(least // factor) if factor > 1 else -least, (n - 1 - most) // factor if factor > 1 else n - 1 - most)
    else:
        k = -factor
        tighten(x, -((n - 1 - most) // k), least // k if k > 1 else least)


def affine(lo: Lowering, statement: Statement, node: s.Expr, names: Mapping[str, Bound], depth: int) -> Gen:
    """A subscript as a linear form of indices, or None."""
    if isinstance(node, s.Name) and isinstance(x := names.get(node.text), IndexVar):
        return Affine(((x, 1),), 0)
    if id(node) not in statement.holding:
        thing = yield node, statement.scope
        if is_static(thing) and not thing.shape and isinstance(thing.value, int | Dim) and not isinstance(thing.value, bool):
            return Affine((), thing.value)
        return None
    if depth > MAX_NESTING:
        return None
    if isinstance(node, s.Unary) and node.op in ("-", "+"):
        inner = yield affine(lo, statement, node.operand, names, depth + 1)
        return None if inner is None else scaled(inner, -1 if node.op == "-" else 1)
    if isinstance(node, s.Binary) and node.op in ("+", "-", "*"):
        left = yield affine(lo, statement, node.left, names, depth + 1)
        right = yield affine(lo, statement, node.right, names, depth + 1)
        if left is None or right is None:
            return None
        if node.op == "*":
            if not left.factors and isinstance(left.shift, int):
                return scaled(right, left.shift)
            if not right.factors and isinstance(right.shift, int):
                return scaled(left, right.shift)
            return None
        other = right if node.op == "+" else scaled(right, -1)
        total: dict[IndexVar, int] = dict(left.factors)
        for x, f in other.factors:
            total[x] = total.get(x, 0) + f
        return Affine(tuple((x, f) for x, f in total.items() if f), left.shift + other.shift)
    return None


def scaled(form: Affine, k: int) -> Affine:
    return Affine(tuple((x, f * k) for x, f in form.factors if f * k), form.shift * k)


# --- lifted evaluation ---------------------------------------------------------------------------------------------------------------


def lift(lo: Lowering, statement: Statement, node: s.Expr, names: Mapping[str, Bound]) -> Gen:
    """The value of an expression for all values of its indices: a `Lifted`, or an ordinary thing where none stands in it."""
    if isinstance(node, s.Call) and node.over:
        return (yield reduction(lo, statement, node, names))
    if id(node) not in statement.holding and not any(id(n) in statement.groups for n in s.walk(node)):
        thing = yield node, statement.scope
        if is_tensor(thing) and not isinstance(thing, Literal | Known):
            value = lo.value(thing, node)
            if value.rank:
                lo.fail("rank-mismatch", f"every axis is indexed in an indexed expression, and this is {value.type}", node, help="give each axis a subscript")
            return value
        return thing
    if isinstance(node, s.Name):
        found_index = names[node.text]
        return found_index if isinstance(found_index, Lifted) else counted(lo, found_index, node)
    if isinstance(node, s.Index):
        return (yield element(lo, statement, node, names))
    if isinstance(node, s.Binary):
        from dfg.frontend.lowering.expressions import BINARY, bitwise

        spine = [node]
        while isinstance(spine[-1].left, s.Binary):
            spine.append(spine[-1].left)
        left = yield lift(lo, statement, spine[-1].left, names)
        for current in reversed(spine):
            right = yield lift(lo, statement, current.right, names)
            if current.op == "@":
                lo.fail("rank-mismatch", "`@` multiplies tensors, and this is a number for each index", current, help="write the sum: `sum(k: A[i, k] * B[k, j])`")
            op = BINARY.get(current.op) or bitwise(lo, current, [])
            left = combine(lo, op, [left, right], [current.left, current.right], current)
        return left
    if isinstance(node, s.Compare):
        from dfg.frontend.lowering.expressions import COMPARE

        a = yield lift(lo, statement, node.left, names)
        b = yield lift(lo, statement, node.right, names)
        return combine(lo, COMPARE[node.op], [a, b], [node.left, node.right], node)
    if isinstance(node, s.Logical):
        a = yield lift(lo, statement, node.left, names)
        b = yield lift(lo, statement, node.right, names)
        return combine(lo, f"logical_{node.op}", [a, b], [node.left, node.right], node)
    if isinstance(node, s.Unary):
        a = yield lift(lo, statement, node.operand, names)
        return combine(lo, {"-": "negative", "+": "positive", "not": "logical_not"}[node.op], [a], [node.operand], node)
    if isinstance(node, s.Call) and isinstance(node.func, s.Name):
        found = statement.scope.lookup(node.func.text)
        title = found.thing.name if found is not None and isinstance(found.thing, Builtin) else node.func.text
        hidden = found is not None and not isinstance(found.thing, Builtin)
        dtype = DTYPES.get(node.func.text) if found is None else None
        if dtype is not None and len(node.args) == 1 and not node.kwargs:
            inner = yield lift(lo, statement, node.args[0], names)
            if not isinstance(inner, Lifted):
                return convert(lo, dtype, inner, node.args[0], node, statement.scope)
            v = single(lo, inner, node)
            return Lifted(((emit_cast(v, dtype), inner.labels),))
        if not hidden and lo.elementwise(title):
            things = []
            written = [*node.args, *[k.value for k in node.kwargs]]
            for arg in written:
                things.append((yield lift(lo, statement, arg, names)))
            return combine(lo, title, things, written, node, [k.name for k in node.kwargs])
    if isinstance(node, s.Call):
        from dfg.frontend.lowering.unknown import unknown

        closure = None if id(node.func) in statement.holding else (yield callee(lo, node.func, statement.scope))
        if isinstance(closure, Closure) and closure.node.rule is None:
            return (yield call(lo, statement, node, closure, names))
        if closure is None and isinstance(node.func, s.Name) and node.func.text not in FUNCTIONS and statement.scope.lookup(node.func.text) is None:
            return unknown(lo, node.func, statement.scope, called=True)
    if isinstance(node, s.If):
        lo.fail("bad-index", "an `if` takes one truth value, and here is one for each index", node, help="`where(p, y, z)` chooses element by element")
    lo.fail(
        "bad-index",
        "an index goes through subscripts, arithmetic, comparisons, elementwise functions, functions made of these, and `sum(k: …)`",
        node,
        help="compute the tensor first, then give its axes subscripts",
    )


def callee(lo: Lowering, func: s.Expr, scope: Scope) -> Gen:
    """The function of a file that a call means, or None."""
    if isinstance(func, s.Name):
        found = scope.lookup(func.text)
        thing = found.thing if found is not None else None
        return thing if isinstance(thing, Closure) else None
    return (yield func, scope) if isinstance(func, s.Attribute) else None


def call(lo: Lowering, statement: Statement, node: s.Call, closure: Closure, names: Mapping[str, Bound]) -> Gen:
    """A function of the file on numbers that indices go through: its body is evaluated for all of them at once, as the statement itself is."""
    given = []
    for arg, keyword in [*((a, None) for a in node.args), *((k.value, k.name) for k in node.kwargs)]:
        given.append(Given((yield lift(lo, statement, arg, names)), arg, keyword))
    own: dict[str, Bound] = {g_name: g.thing for g_name, g in bind_arguments(lo, closure, given, node).items() if g is not None and isinstance(g.thing, Lifted)}
    typed = next((p for p in closure.node.params if p.name.text in own and isinstance(p.type, s.TensorType) and p.type.dims), None) if own else None
    if typed is not None:
        lo.fail("rank-mismatch", f"`{typed.name.text}` is a tensor, and here it is given a number for each index", node, [Label(typed.span, "declared here")])

    def body(scope: Scope) -> Gen:
        inner = Statement(scope)
        statements = closure.node.body.statements if isinstance(closure.node.body, s.Block) else (closure.node.body,)
        made: Any = None
        for current in statements:
            value: s.Expr
            if isinstance(current, s.Binding | s.ExprStatement):
                if len(current.values) > 1 or (isinstance(current, s.Binding) and (len(current.targets) > 1 or current.type is not None)):
                    lo.fail("bad-index", "a function that indices go through binds one name at a time to a number", current)
                value = current.values[0]
            elif isinstance(closure.node.body, s.Block):
                lo.fail("bad-index", "a function that indices go through binds one name at a time to a number", current)
            else:
                value = closure.node.body
            yield prepare(lo, inner, value, own)
            made = yield lift(lo, inner, value, own)
            if isinstance(current, s.Binding):
                target = current.targets[0]
                lo.check_free(scope, target)
                if isinstance(made, Lifted):
                    own[target.text] = made
                else:
                    lo.bind(scope, target, lo.settle(made, value))
        return made

    return (yield expand(lo, closure, given, node, body))


def counted(lo: Lowering, x: IndexVar, node: s.Node) -> Lifted:
    """An index as a value: its numbers along its axis."""
    lo.stand(node)
    counts = lo.graph.emit(OPS["iota"], (), (x.size, I64))
    assert x.low is not None
    if x.low != 0:
        low = lo.known_value(known(x.low))
        counts = counts + broadcast_along(low, counts.shape, ())
    return Lifted(((counts, (x,)),))


def element(lo: Lowering, statement: Statement, node: s.Index, names: Mapping[str, Bound]) -> Gen:
    """`A[i, k + 1]`: slices where a subscript is linear in one index that no other subscript uses, else a gather."""
    if id(node) not in statement.bases:
        return (yield node, statement.scope)
    value = lo.capture(statement.bases[id(node)])
    forms = statement.subscripts[id(node)]
    used = [x for form in forms if form is not None for x, _ in form.factors]
    simple = all(form is not None and len(form.factors) <= 1 for form in forms) and len(set(used)) == len(used)
    if simple:
        items: list[Any] = []
        labels: list[IndexVar] = []
        for form in forms:
            assert form is not None
            if not form.factors:
                items.append(form.shift)
                continue
            x, f = form.factors[0]
            assert x.low is not None and x.high is not None
            labels.append(x)
            first, last = x.low * f + form.shift, x.high * f + form.shift
            if f > 0:
                items.append(Window(first, first + (x.size - 1) * f + 1, f))
            else:
                forward = Window(last, first + 1, -f)
                items.append(forward)
        flips = [k for k, x in enumerate(labels) if next(form.factors[0][1] for form in forms if form is not None and form.factors and form.factors[0][0] is x) < 0]
        made = lo.guarded(lambda: getitem(lo.cx, value, items), node, [(node.base, value)], statement.scope)
        if flips:
            made = OPS["flip"](made, axes=tuple(flips))
        made = lo.guarded(lambda: lo.cx.stretch(made, tuple(x.size for x in labels)) if made.shape != tuple(x.size for x in labels) else made, node)
        return Lifted(((made, tuple(labels)),))
    parts: list[Lifted | Thing] = []
    for item in node.indices:
        assert not isinstance(item, s.Slice | s.Dots | s.NewAxis)
        parts.append((yield lift(lo, statement, item, names)))
    union = list(dict.fromkeys(x for p in parts if isinstance(p, Lifted) for x in p.labels))
    indices = []
    for p, item in zip(parts, node.indices, strict=True):
        v = materialize(lo, p, union, item) if isinstance(p, Lifted) else lo.value(p, item)
        if v.dtype.kind != "int" or v.dtype is BOOL:
            lo.fail("wrong-dtype", f"a subscript is a whole number, not {v.dtype}", item, help="`i64(…)` converts")
        v = emit_cast(v, I64)
        indices.append(broadcast_along(v, tuple(x.size for x in union), ()) if not v.rank else v)
    made = lo.guarded(lambda: OPS["gather"](value, *indices, axes=tuple(range(value.rank)), batch=0), node)
    return Lifted(((made, tuple(union)),))


def combine(lo: Lowering, name: str, things: Sequence[Any], nodes: Sequence[s.Node], whole: s.Node, keywords: Sequence[s.Name] = ()) -> Any:
    """An elementwise function of lifted values, aligned by index; the last arguments have `keywords`. A product stays a list of factors."""
    if not any(isinstance(t, Lifted) for t in things) and not keywords:
        return apply(lo, name, list(things), nodes, whole.span, whole, None)
    if name == "multiply" and all(isinstance(t, Lifted) for t in things):
        return Lifted(tuple(f for t in things for f in t.factors))
    if name == "multiply" and not any(isinstance(t, Literal) for t in things):
        scalars = [((lo.value(t, n), ()),) if not isinstance(t, Lifted) else t.factors for t, n in zip(things, nodes, strict=True)]
        return Lifted(tuple(f for factors in scalars for f in factors))
    union = list(dict.fromkeys(x for t in things if isinstance(t, Lifted) for x in t.labels))
    operands: list[Any] = []
    for t, n in zip(things, nodes, strict=True):
        if isinstance(t, Lifted):
            operands.append(aligned(single(lo, t, n), t.labels, union))
        elif is_tensor(t):
            operands.append(lo.operand(t, n))
        elif isinstance(t, str) or t is None:
            operands.append(t)
        else:
            lo.fail("wrong-type", f"a number is wanted here, and this is {describe(t)}", n)
    by_name = {p.name: p for p in FUNCTIONS[name].signature.parameters.values()}
    for k in keywords:
        check_keyword(lo, name, Given(None, k, k), by_name)
    first = len(operands) - len(keywords)
    named = {k.text: t for k, t in zip(keywords, operands[first:], strict=True)}
    told = [(n, t) for n, t in zip(nodes, operands, strict=True) if isinstance(t, Value | Literal)]
    made = lo.emit(name, operands[:first], whole.span, whole, told, None, named)
    return Lifted(((made, tuple(union)),))


def aligned(v: Value, labels: Sequence[IndexVar], union: Sequence[IndexVar]) -> Value:
    """The axes in the order of `union`, with axes of size 1 for the indices that it lacks."""
    own = [x for x in union if x in labels]
    v = emit_permute(v, [list(labels).index(x) for x in own])
    sizes = dict(zip(own, v.shape, strict=True))
    return emit_reshape(v, tuple(sizes.get(x, 1) for x in union))


def einsum(lo: Lowering, made: Lifted, keep: Sequence[IndexVar], node: s.Node) -> Value:
    """The product of the factors summed over the indices that are not kept: one contraction."""
    letters = dict(zip(made.labels, LETTERS, strict=False))
    if len(made.labels) > len(LETTERS):
        lo.fail("bad-index", f"an expression has at most {len(LETTERS)} indices", node)
    terms = ",".join("".join(letters[x] for x in labels) for _, labels in made.factors)
    result = "".join(letters[x] for x in keep)
    result_value = lo.emit("einsum", [f"{terms}->{result}", *[v for v, _ in made.factors]], node.span, node)
    assert isinstance(result_value, Value)
    return result_value


def single(lo: Lowering, made: Lifted, node: s.Node) -> Value:
    """The product as one tensor, its axes in the order of the labels."""
    if len(made.factors) == 1:
        return made.factors[0][0]
    if any(v.dtype is BOOL for v, _ in made.factors):
        lo.fail("wrong-dtype", "`*` takes numbers, not bool", node, help="convert it first: `i64(…)`; or use `and`")
    return einsum(lo, made, made.labels, node)


def materialize(lo: Lowering, made: Lifted, order: Sequence[IndexVar], node: s.Node) -> Value:
    """A lifted value as a tensor with exactly these axes."""
    v = aligned(single(lo, made, node), made.labels, order)
    return lo.guarded(lambda: lo.cx.stretch(v, tuple(x.size for x in order)), node)


def reduction(lo: Lowering, statement: Statement, node: s.Call, names: Mapping[str, Bound]) -> Gen:
    """`sum(j, k: …)`."""
    func = node.func
    title = func.text if isinstance(func, s.Name) else func.span.text
    found = statement.scope.lookup(title) if isinstance(func, s.Name) else None
    if title not in REDUCTIONS or title not in FUNCTIONS or found is not None:
        lo.fail("bad-index", f"indices are reduced with {', '.join(f'`{r}`' for r in REDUCTIONS)}, not with `{title}`", func)
    if node.kwargs or len(node.args) != 1:
        lo.fail("surplus-argument", f"`{title}({node.over[0].text}: …)` takes the summand alone", node)
    own = statement.groups[id(node)]
    made = yield lift(lo, statement, node.args[0], {**names, **own})
    if isinstance(made, ListThing) or not (isinstance(made, Lifted) or is_tensor(made)):
        lo.fail("wrong-type", f"a number is wanted here, and this is {describe(made)}", node.args[0])
    if not isinstance(made, Lifted):
        made = Lifted(((lo.value(made, node.args[0]), ()),))
    labels = made.labels
    keep = [x for x in labels if x not in own.values()]
    contracted = title == "sum" and len(made.factors) > 1 and all(x in labels for x in own.values())
    if contracted and not any(v.dtype is BOOL for v, _ in made.factors):
        return Lifted(((einsum(lo, made, keep, node), tuple(keep)),))
    full_order = [*keep, *own.values()]
    v = materialize(lo, made, full_order, node.args[0])
    axes = tuple(range(len(keep), len(full_order)))
    reduced = lo.emit(title, [v, axes], func.span, node, [(node.args[0], v)])
    return Lifted(((reduced, tuple(keep)),))


