"""`grad`, `vjp`, `jvp` and the rest, `total`, `load`: the forms whose arguments are read as written.

A target is a name. By the time it is read its binding has been pinned (see `scopes.scan_scopes`), or it is a leaf: an input, a parameter, a state, an
argument of a body. The derivative is emitted in the region of the loss, so that a loss of the program may be differentiated inside a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dfg.diagnostics import Fix, Label
from dfg.diagnostics.codes import nearest
from dfg.frontend import syntax as s
from dfg.frontend.lowering.calls import Given, arguments, form
from dfg.frontend.lowering.engine import Failed, Gen, Lowering
from dfg.frontend.lowering.regions import Region
from dfg.frontend.lowering.scopes import DERIVATIVES, Scope, dotted_text
from dfg.frontend.lowering.things import POISON, Known, ListThing, Record, Thing, TupleThing, describe, is_tensor, leaves, rebuild
from dfg.ir import InferError, Value
from dfg.ops import calculus
from dfg.ops.base import NoGradient, project
from dfg.ops.surface import Literal
from dfg.types import TensorType

LEAVES = ("pin", "input", "param", "state", "arg")


def read_arguments(lo: Lowering, node: s.Call) -> dict[str, s.Expr]:
    """The arguments of a derivative by parameter, unevaluated."""
    assert isinstance(node.func, s.Name | s.Attribute)
    title = node.func.text if isinstance(node.func, s.Name) else node.func.name.text
    names = DERIVATIVES[title]
    shape = f"{title}({', '.join(names)})"
    result: dict[str, s.Expr] = {}
    for k, arg in enumerate(node.args):
        if k >= len(names):
            lo.fail("surplus-argument", f"`{title}` takes {len(names)} arguments, not {len(node.args)}", arg, help=f"it is called as {shape}")
        result[names[k]] = arg
    for kwarg in node.kwargs:
        text = kwarg.name.text
        if text not in names:
            best = nearest(text, names)
            fix = Fix(f"write `{best}`", ((kwarg.name.span, best),)) if best else None
            lo.fail("surplus-argument", f"`{title}` has no argument `{text}`", kwarg.name, help=f"it is called as {shape}", fix=fix)
        result[text] = kwarg.value
    for name in names:
        if name not in result:
            help = f"it is called as {shape}"
            if len(node.args) == 1 and name == names[1]:
                help += "; the target is a name, and the result a value: there is no function to call later"
            lo.fail("missing-argument", f"`{title}` needs the argument `{name}`", node, help=help)
    return result


class Target:
    """One target as written: a name with its thing (a tensor or a record)."""

    __slots__ = ("leaves", "node", "thing")

    def __init__(self, node: s.Node, thing: Thing, found: list[Value]) -> None:
        self.node = node
        self.thing = thing
        self.leaves = found


def read_targets(lo: Lowering, node: s.Expr, scope: Scope, title: str) -> Gen:
    """The targets: (list of Target, whether they were written as a list)."""
    listed = isinstance(node, s.ListExpr | s.TupleExpr)
    items = node.items if isinstance(node, s.ListExpr | s.TupleExpr) else (node,)
    if not items:
        lo.fail("bad-argument", f"`{title}` differentiates by at least one name", node)
    targets = []
    for item in items:
        text = dotted_text(item)
        if text is None:
            lo.fail(
                "grad-of-expression",
                "a derivative is by a name, and this is an expression",
                item,
                help="bind it first, and use the name in the loss: " + suggestion(item),
            )
        thing = yield item, scope
        targets.append(Target(item, thing, [check_target(lo, item, path, leaf, scope) for path, leaf in leaves(thing)]))
    return targets, listed


def suggestion(node: s.Node) -> str:
    text = " ".join(node.span.text.split())
    return f"`u = {text}`" if len(text) <= 60 else "`u = …`"


def check_target(lo: Lowering, node: s.Node, path: tuple[str, ...], leaf: Thing, scope: Scope) -> Value:
    shown = ".".join((node.span.text, *path))
    if leaf is POISON:
        raise Failed
    if not is_tensor(leaf):
        lo.fail("grad-of-expression", f"a derivative is by a tensor, and `{shown}` is {describe(leaf)}", node)
    dtype = leaf.dtype if isinstance(leaf, Value | Known) else lo.cx.default(leaf.kind) if isinstance(leaf, Literal) else None
    if dtype is not None and not dtype.floating:
        labels, fix = [], None
        root = node
        while isinstance(root, s.Attribute):
            root = root.base
        binding = scope.lookup(root.text) if isinstance(root, s.Name) else None
        if binding is None and path:
            binding = lo.scope.lookup(path[0])  # of `params`
            shown = ".".join(path)
        if binding is not None and binding.span is not None:
            labels.append(Label(binding.span, f"`{shown}` is {describe(leaf)}"))
            fix = dtype_fix(lo, binding.name, binding.span)
        what = binding.what if binding is not None else "value"
        lo.fail(
            "integer-target",
            f"cannot differentiate by `{shown}`, which is {describe(leaf)}: only floating-point values vary smoothly",
            node,
            labels,
            help=f"declare `{shown}` as {lo.default_float}" if fix is not None
            else "begin it with a floating-point number, such as `1.0`" if what in ("param", "state")
            else f"`{shown}` is a size" if what == "dim"
            else "a comparison, a count or an index has no derivative",
            fix=fix,
        )
    if not isinstance(leaf, Value):
        lo.fail("grad-of-expression", f"`{shown}` is a constant: a derivative is by an input, a parameter or a bound name", node)
    if leaf.op.name not in LEAVES:
        lo.fail(
            "grad-of-expression",
            f"`{shown}` is no name that was bound for itself",
            node,
            help=f"bind it first, and use the name in the loss: `u = {shown}`",
        )
    return leaf


def dtype_fix(lo: Lowering, name: str, span: Any) -> Fix | None:
    """The edit that declares a name with the default float."""
    for tree in lo.trees:
        for statement in tree.statements:
            named = statement.names if isinstance(statement, s.Input) else (statement.name,) if isinstance(statement, s.Param | s.State) else ()
            if any(n.text == name and n.span == span for n in named):
                declared = statement.type  # type: ignore[union-attr]
                if isinstance(declared, s.TensorType):
                    return Fix(f"declare it as {lo.default_float}", ((declared.dtype.span, lo.default_float.name),))
    return None


def read_loss(lo: Lowering, node: s.Expr, scope: Scope, title: str) -> Gen:
    """What is differentiated: a floating value, as yet of its own region."""
    thing = yield node, scope
    if not is_tensor(thing):
        what = describe(thing)
        help = f"call it first: `{title}(f(x), x)`" if what == "a function" else "`total(r)` sums the leaves of a record" if isinstance(thing, Record) else None
        lo.fail("wrong-type", f"`{title}` differentiates a value, and this is {what}", node, help=help)
    return thing if isinstance(thing, Value) else lo.value(thing, node)


def check_loss(lo: Lowering, value: Value, node: s.Expr, scope: Scope, title: str, scalar: bool) -> None:
    """What is differentiated is floating, and a scalar where it must be."""
    thing = value
    if not value.dtype.floating:
        lo.fail(
            "integer-loss",
            f"`{title}` differentiates a floating-point value, and this is {value.type}",
            node,
            [label for label in [lo.origin(node, thing, "this is", scope)] if label is not None and label.span != node.span],
            help="a comparison, a count or a rounding does not vary smoothly",
        )
    if scalar and value.shape:
        fix = None
        inner = node.span.text
        if isinstance(node, s.Name):
            fix = Fix("sum it", ((node.span, f"sum({inner})"),))
        lo.fail(
            "not-scalar-loss",
            f"`{title}` is of a scalar, and this is {value.type}",
            node,
            [label for label in [lo.origin(node, thing, "this is", scope)] if label is not None and label.span != node.span],
            help="sum it or take its mean; of a tensor there are `vjp(y, x, ct)` and `jacobian(y, x)`",
            fix=fix,
        )


def in_region_of(lo: Lowering, loss: Value, others: Sequence[Value], f: Callable[[Value, list[Value]], list[Value]]) -> list[Value]:
    """What `f` emits, in the region of the loss (where all others must be visible) or else in the current one."""
    region = lo.region_of(loss)
    assert region is not None
    at: Region | None = region
    graphs = []
    while at is not None:
        graphs.append(at.graph)
        at = at.parent
    reachable = all(any(o.graph is g for g in graphs) for o in others)
    old = lo.region
    if reachable:
        lo.region = region
    cursor, path = old.graph.cursor, old.graph.call
    try:
        lo.graph.cursor = cursor
        lo.graph.call = path
        return f(lo.capture(loss), [lo.capture(o) for o in others])
    finally:
        lo.region = old


def warn_disconnected(lo: Lowering, loss: Value, targets: Sequence[Target], title: str, loss_node: s.Node) -> None:
    """Warn of targets on which the loss does not depend by a path along which a derivative flows."""
    region = lo.region_of(loss)
    assert region is not None
    lowest = min((leaf.index for t in targets for leaf in t.leaves if leaf.graph is loss.graph), default=loss.index + 1)
    seen = {loss.index}
    stack = [loss]
    while stack:
        v = stack.pop()
        if isinstance(v.op.vjp, NoGradient) and not v.op.calculus:
            continue
        for o in v.operands:
            if o.index >= lowest and o.index not in seen:
                seen.add(o.index)
                stack.append(o)
    for t in targets:
        lost = []
        for leaf in t.leaves:
            if leaf.graph is loss.graph:
                met = leaf.index in seen
            else:  # of an outer region: it is captured, if the loss uses it at all
                found = region.captures.get(leaf.index)
                met = found is not None and found[1].index in {v.index for v in loss.graph.live([loss])}
            lost.append(not met)
        if all(lost) and lost:
            shown = t.node.span.text
            lo.warn(
                "disconnected-target",
                f"`{loss_node.span.text if len(loss_node.span.text) < 40 else 'the loss'}` does not depend on `{shown}`: this derivative is zero",
                t.node,
                help="the loss may use another name, or the way to it passes `stop_gradient`, a comparison or a rounding",
            )


def emit_at(lo: Lowering, node: s.Call, operands: Sequence[tuple[s.Node | None, Thing]], scope: Scope, f: Callable[[], list[Value]]) -> list[Value]:
    lo.stand(node)
    try:
        return f()
    except InferError as e:
        lo.refuse(e, node.func.span, node, operands, None, scope)


def shaped(targets: Sequence[Target], values: Sequence[Value], listed: bool) -> Thing:
    """Results in the structure of the targets."""
    rest = list(values)
    things = []
    for t in targets:
        mine, rest = rest[: len(t.leaves)], rest[len(t.leaves) :]
        things.append(rebuild(t.thing, mine))
    return TupleThing(tuple(things)) if listed else things[0]


@form("grad", "value_and_grad")
def grad(lo: Lowering, node: s.Call, scope: Scope) -> Gen:
    title = word(node)
    args = read_arguments(lo, node)
    loss = yield read_loss(lo, args["loss"], scope, title)
    targets, listed = yield read_targets(lo, args["wrt"], scope, title)
    check_loss(lo, loss, args["loss"], scope, title, scalar=True)
    warn_disconnected(lo, loss, targets, title, args["loss"])
    flat = [leaf for t in targets for leaf in t.leaves]
    made = emit_at(
        lo, node, [(args["loss"], loss)], scope, lambda: in_region_of(lo, loss, flat, lambda y, xs: calculus.emit_grad(y, xs))
    )
    result = shaped(targets, made, listed)
    if title == "grad":
        return result
    return TupleThing((loss, *result.items)) if listed else TupleThing((loss, result))


@form("vjp")
def vjp(lo: Lowering, node: s.Call, scope: Scope) -> Gen:
    args = read_arguments(lo, node)
    y = yield read_loss(lo, args["y"], scope, "vjp")
    targets, listed = yield read_targets(lo, args["x"], scope, "vjp")
    check_loss(lo, y, args["y"], scope, "vjp", scalar=False)
    thing = yield args["ct"], scope
    warn_disconnected(lo, y, targets, "vjp", args["y"])
    ct = like(lo, thing, y.type, args["ct"], "a cotangent", args["y"])
    flat = [leaf for t in targets for leaf in t.leaves]
    made = emit_at(
        lo,
        node,
        [(args["y"], y), (args["ct"], ct)],
        scope,
        lambda: in_region_of(lo, y, [ct, *flat], lambda v, xs: calculus.emit_vjp(v, xs[0], xs[1:])),
    )
    return shaped(targets, made, listed)


def like(lo: Lowering, thing: Thing, t: TensorType, node: s.Node, what: str, of: s.Node) -> Value:
    """A cotangent or tangent: literals and lists take the dtype of what they belong to; a scalar does not stretch."""
    if isinstance(thing, ListThing):
        thing = lo.array(thing, node)
    value: Value
    if isinstance(thing, Literal) or (isinstance(thing, Known) and thing.node is None):
        literal = thing if isinstance(thing, Literal) else Literal(thing.dtype.kind, thing.value, thing.text)
        value = lo.guarded(lambda: lo.cx.literal(literal, t.dtype), node)
    else:
        value = lo.value(thing, node)
    if value.dtype is not t.dtype and value.dtype.level < t.dtype.level:
        value = lo.cx.cast(value, t.dtype, f"{what} of {t.dtype}")
    same = value.dtype is t.dtype and len(value.shape) == len(t.shape)
    if same and value.shape != t.shape:
        same = all(lo.graph.equal_sizes(a, b) is True for a, b in zip(value.shape, t.shape, strict=True))
        if same:
            value = lo.guarded(lambda: lo.cx.stretch(value, t.shape), node)
    if not same:
        lo.fail(
            "shape-mismatch" if value.dtype is t.dtype else "wrong-dtype",
            f"{what} has the type of its value, {t}, and this is {value.type}",
            node,
            [Label(of.span, f"this is {t}")],
        )
    return value


def tangents(lo: Lowering, targets: Sequence[Target], thing: Thing, node: s.Expr, listed: bool) -> list[Value]:
    """The tangents of targets, in the same structure."""
    if listed:
        items = list(thing.items) if isinstance(thing, ListThing | TupleThing) else [thing]
        nodes: list[s.Node] = list(thing.nodes) if isinstance(thing, ListThing) and thing.nodes else [node] * len(items)
    else:
        items, nodes = [thing], [node]
    if len(items) != len(targets):
        lo.fail("arity", f"{len(targets)} targets, and {len(items)} tangents", node)
    result = []
    for t, item, n in zip(targets, items, nodes, strict=True):
        mine = leaves(item)
        if isinstance(t.thing, Record) != isinstance(item, Record) or len(mine) != len(t.leaves):
            lo.fail("structure-mismatch", "a tangent has the structure of its target", n)
        by_path = dict(mine)
        for (path, _), leaf in zip(leaves(t.thing), t.leaves, strict=True):
            if path not in by_path:
                lo.fail("structure-mismatch", f"the tangent has no `{'.'.join(path)}`", n)
            result.append(like(lo, by_path[path], leaf.type, n, "a tangent", t.node))
    return result


@form("jvp")
def jvp(lo: Lowering, node: s.Call, scope: Scope) -> Gen:
    args = read_arguments(lo, node)
    y = yield read_loss(lo, args["y"], scope, "jvp")
    targets, listed = yield read_targets(lo, args["x"], scope, "jvp")
    check_loss(lo, y, args["y"], scope, "jvp", scalar=False)
    thing = yield args["v"], scope
    warn_disconnected(lo, y, targets, "jvp", args["y"])
    flat = [leaf for t in targets for leaf in t.leaves]
    moves = tangents(lo, targets, thing, args["v"], listed)

    def emit(v: Value, others: list[Value]) -> list[Value]:
        return [v.graph.emit(calculus.jvp_op, (v, *others), (len(flat),))]

    made = emit_at(lo, node, [(args["y"], y)], scope, lambda: in_region_of(lo, y, [*flat, *moves], emit))
    return made[0]


@form("jacobian")
def jacobian(lo: Lowering, node: s.Call, scope: Scope) -> Gen:
    args = read_arguments(lo, node)
    y = yield read_loss(lo, args["y"], scope, "jacobian")
    targets, listed = yield read_targets(lo, args["x"], scope, "jacobian")
    check_loss(lo, y, args["y"], scope, "jacobian", scalar=False)
    warn_disconnected(lo, y, targets, "jacobian", args["y"])
    flat = [leaf for t in targets for leaf in t.leaves]
    made = emit_at(lo, node, [(args["y"], y)], scope, lambda: in_region_of(lo, y, flat, jacobians))
    return shaped(targets, made, listed)


def jacobians(y: Value, xs: list[Value]) -> list[Value]:
    return list(project(y.graph.emit(calculus.jacobian_op, (y, *xs), ())))


@form("hessian")
def hessian(lo: Lowering, node: s.Call, scope: Scope) -> Gen:
    args = read_arguments(lo, node)
    loss = yield read_loss(lo, args["loss"], scope, "hessian")
    targets, listed = yield read_targets(lo, args["x"], scope, "hessian")
    check_loss(lo, loss, args["loss"], scope, "hessian", scalar=True)
    only_one(lo, targets, listed, args["x"], "hessian")
    warn_disconnected(lo, loss, targets, "hessian", args["loss"])

    def emit(y: Value, xs: list[Value]) -> list[Value]:
        return jacobians(calculus.emit_grad(y, xs)[0], xs)

    made = emit_at(lo, node, [(args["loss"], loss)], scope, lambda: in_region_of(lo, loss, targets[0].leaves, emit))
    return made[0]


def only_one(lo: Lowering, targets: Sequence[Target], listed: bool, node: s.Node, title: str) -> None:
    if listed or len(targets[0].leaves) != 1 or isinstance(targets[0].thing, Record):
        lo.fail("bad-argument", f"`{title}` is by one tensor", node, help="mixed second derivatives: `jacobian(grad(l, a), b)`")


@form("hvp")
def hvp(lo: Lowering, node: s.Call, scope: Scope) -> Gen:
    args = read_arguments(lo, node)
    loss = yield read_loss(lo, args["loss"], scope, "hvp")
    targets, listed = yield read_targets(lo, args["x"], scope, "hvp")
    check_loss(lo, loss, args["loss"], scope, "hvp", scalar=True)
    thing = yield args["v"], scope
    warn_disconnected(lo, loss, targets, "hvp", args["loss"])
    moves = tangents(lo, targets, thing, args["v"], listed)
    flat = [leaf for t in targets for leaf in t.leaves]
    n = len(flat)

    def emit(y: Value, others: list[Value]) -> list[Value]:
        gradients = calculus.emit_grad(y, others[:n])
        return [y.graph.emit(calculus.jvp_op, (g, *others), (n,)) for g in gradients]

    made = emit_at(lo, node, [(args["loss"], loss)], scope, lambda: in_region_of(lo, loss, [*flat, *moves], emit))
    return shaped(targets, made, listed)


def word(node: s.Call) -> str:
    return node.func.text if isinstance(node.func, s.Name) else node.func.span.text


@form("total")
def total(lo: Lowering, node: s.Call, scope: Scope) -> Gen:
    """The sum of all elements of all leaves of a record (or of one tensor)."""
    given: list[Given] = yield arguments(lo, node, scope)
    if len(given) != 1 or given[0].keyword is not None:
        lo.fail("missing-argument" if not given else "surplus-argument", "`total` takes one record or tensor", node)
    result: Any = None
    for _, leaf in leaves(given[0].thing):
        operand = lo.operand(leaf, given[0].node)
        part = lo.emit("sum", [operand], node.func.span, node, [(given[0].node, leaf)], scope)
        result = part if result is None else lo.emit("add", [result, part], node.func.span, node)
    if result is None:
        lo.fail("bad-argument", "this record has no leaves", given[0].node)
    return result


@form("load")
def load(lo: Lowering, node: s.Call, scope: Scope) -> Gen:
    """`load("table.npy")`: an array from the file's folder tree, known while compiling."""
    from dfg.diagnostics import UserError
    from dfg.types import from_numpy

    given: list[Given] = yield arguments(lo, node, scope)
    if len(given) != 1 or not isinstance(given[0].thing, str):
        lo.fail("bad-argument", '`load` takes a path in double quotes: `load("table.npy")`', node)
    if lo.load is None:
        lo.fail("no-such-file", "this text has no folder to load from", node)
    try:
        array = lo.load.array(given[0].thing, node.source)
    except UserError as e:
        d = e.diagnostics[0]
        lo.fail(d.code, d.message, given[0].node, d.labels, d.help)
    dtype = from_numpy(array.dtype)
    if dtype is None:
        lo.fail("wrong-dtype", f"this array has NumPy's dtype {array.dtype}, which the language has not", given[0].node)
    return Known(array.item() if array.ndim == 0 else array.astype(dtype.np), dtype)

