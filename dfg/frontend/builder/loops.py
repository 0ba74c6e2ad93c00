"""Loops and branches over tensors, traced from Python functions: `scan`, `while_loop`, `cond`, and `vmap` along an axis.

    final, stacked = scan(lambda h, x: (tanh(x @ wx + h @ wh),) * 2, h0, xs)
    root = while_loop(lambda z: abs(z * z - a) > 1e-12, lambda z: 0.5 * (z + a / z), a, max=50)
    y = cond(p, lambda: f(x), lambda: g(x))          # only one of the two runs

A function is called with tensors that stand for one step, and what it returns is the body; tensors from outside that it uses become captures. Carries,
elements and results may be nested in tuples, lists and dictionaries. A carry's start is converted and broadcast to what the body makes of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final

from dfg.diagnostics import Label, UserError, error
from dfg.dims import DimLike, suggest_fact
from dfg.frontend.builder.bodies import Body, fitted_to, operands, shared
from dfg.frontend.builder.convert import DEFAULT_FLOAT
from dfg.frontend.builder.emit import build, origin, surface
from dfg.frontend.builder.homes import LOCK, Handle
from dfg.frontend.builder.places import Place, here
from dfg.frontend.builder.sizes import size
from dfg.frontend.builder.tensor import Tensor
from dfg.frontend.builder.trees import Tree, flatten, shown, unflatten
from dfg.ir import InferError, Value
from dfg.ops.base import OPS, project
from dfg.ops.leaf import make_pin
from dfg.ops.surface import Literal, Surface
from dfg.types import BOOL, I64, TensorType, promote

ROUNDS: Final = 8
"""How often the types of carries may grow before they must stand still."""


def _tensors(items: Sequence[Any], place: Place | None) -> list[Tensor]:
    """Things gone through: tensors."""
    return [x if isinstance(x, Tensor) else fitted_to(x, None, "", place) for x in operands(items, place)]


def scan(f: Callable[[Any, Any], Any], init: Any, xs: Any = None, *, length: Any = None, reverse: bool = False) -> tuple[Any, Any]:
    """A loop over the leading axis of `xs`: `f(carry, x)` gives the next carry and what is stacked. Gives the last carry and the stacks. With `reverse` the
    steps go from the last to the first; stacks stay in the order of the axis. Without `xs` it makes `length` steps, with x None. `f` is called until the types
    of the carries are settled, first with a number where a carry begins as one."""
    place = here()
    starts, tree = flatten(init)
    given, xs_tree = flatten(xs)
    elements = _tensors(given, place)
    steps = _length(elements, length, place)
    found: list[Any] = []

    def step(body: Body, carries: Sequence[Any], parts: Sequence[Tensor]) -> tuple[list[Any], list[Any]]:
        result = body.run(lambda: f(unflatten(carries, tree), unflatten(parts, xs_tree)))
        if not isinstance(result, tuple) or len(result) != 2:
            raise UserError(
                error(
                    "arity",
                    f"the body of `scan` gives two things, (carry, stacked), and this gives {_what(result)}",
                    place,
                    help="return `(carry, None)` to stack nothing",
                )
            )
        ys, y_tree = flatten(result[1])
        found[:] = [y_tree]
        return _same_structure(result[0], tree, place), ys

    begun, body, carried, ys = _settled(operands(starts, place), elements, step, place)
    n = len(begun)
    with LOCK:
        results = body.values([*carried, *ys])
        captures = body.captures(results)
        inputs = [a.value for a in body.args] + [inner for _, inner in captures]
        captured = [outer for outer, _ in captures]

        def emit(cx: Surface, of: Callable[[Handle], Value]) -> list[Value]:
            graph = cx.graph
            count = graph.facts.normal(steps)
            _check_steps(cx, [of(x) for x in elements], count, n)
            made = graph.emit(
                OPS["scan"],
                tuple(of(h) for h in (*begun, *elements, *captured)),
                (body.sealed(inputs, results, [v.type for v in inputs]), count, n, len(elements), bool(reverse)),
            )
            return list(project(made))

        every = [*begun, *elements, *captured]
        made = build(every, emit, place=place, call=every)
    return unflatten(made[:n], tree), unflatten(made[n:], found[0])


def _same_structure(result: Any, tree: Tree, place: Place | None) -> list[Any]:
    leaves, now = flatten(result)
    if now != tree:
        raise UserError(
            error(
                "structure-mismatch",
                f"the carry begins as {shown(tree)}, and the body gives {shown(now)}",
                place,
                help="give the carries in their structure",
            )
        )
    return leaves


Step = Callable[[Body, Sequence[Any], Sequence[Tensor]], tuple[list[Any], list[Any]]]


def _settled(
    starts: Sequence[Any], elements: Sequence[Tensor], step: Step, place: Place | None
) -> tuple[list[Tensor], Body, list[Tensor], list[Tensor]]:
    """Trace until carries end as they begin: the starts, the body, its next carries and its other results."""
    types = _first_types(starts, elements, step, place)
    for _ in range(ROUNDS):
        begun = [
            x if t is None and isinstance(x, Tensor) else fitted_to(x, t, "the carry becomes this in the body", place)
            for x, t in zip(starts, types, strict=True)
        ]
        shapes = [*[t.type for t in begun], *[x.type.with_shape(x.shape[1:]) for x in elements]]
        body = Body(shapes, [*begun, *elements], place, [h._place for h in (*begun, *elements)])
        try:
            carries, rest = step(body, body.args[: len(begun)], body.args[len(begun) :])
            carried = [body.output(x) if isinstance(x, Handle) else body.output(x, t.type) for x, t in zip(carries, begun, strict=True)]
            others = [body.output(x) for x in rest]
            wanted = [_grown(a.type, o.type, s, body, place) for a, o, s in zip(begun, carried, starts, strict=True)]
            carried = [body.output(o, t, "the carry is of this dtype") if o.type != t else o for o, t in zip(carried, wanted, strict=True)]
        finally:
            body.close()
        if wanted == [t.type for t in begun]:
            return begun, body, carried, others
        types = list(wanted)
    raise UserError(error("carry-type", "a carry grows at every step", place, help="keep its shape the same from step to step"))


def _first_types(starts: Sequence[Any], elements: Sequence[Tensor], step: Step, place: Place | None) -> list[TensorType | None]:
    """The types of carries that begin as numbers, from one step made with the numbers themselves: `0.0` takes the dtype that it meets. None: as it begins."""
    types: list[TensorType | None] = [None] * len(starts)
    if not any(isinstance(s, Literal) and not s.shape for s in starts):
        return types
    known = [s if isinstance(s, Literal) and not s.shape else fitted_to(s, None, "", place) for s in starts]
    tensors = [k for k in known if isinstance(k, Tensor)]
    body = Body([*[t.type for t in tensors], *[x.type.with_shape(x.shape[1:]) for x in elements]], [*tensors, *elements], place)
    rest = iter(body.args)
    carries = [k.value if isinstance(k, Literal) else next(rest) for k in known]
    try:
        after, _ = step(body, carries, list(rest))
        found = [body.output(x).type if isinstance(x, Handle) else None for x in after]
    except Exception:  # a function may need a tensor where a number stands; the default dtypes then decide
        return types
    finally:
        body.close()
    for k, (start, t) in enumerate(zip(known, found, strict=True)):
        if isinstance(start, Literal) and t is not None:
            types[k] = t if _takes(start, t) else t.with_dtype(DEFAULT_FLOAT.get() if start.kind == "float" else I64)
    return types


def _grown(start: TensorType, result: TensorType, given: Any, body: Body, place: Place | None) -> TensorType:
    """The type that a carry must have: its start, converted and broadcast to the body's result."""
    if start == result:
        return start
    d = result.dtype if isinstance(given, Literal) and _takes(given, result) else promote(start.dtype, result.dtype)
    facts = body.region.current().graph.facts
    lead = len(result.shape) - len(start.shape)
    if lead < 0 or not all(a == 1 or facts.equal(a, b) is True for a, b in zip(start.shape, result.shape[lead:], strict=True)):
        label = origin(given, "") if isinstance(given, Handle) else None
        raise UserError(
            error(
                "carry-type",
                f"a carry begins as {start} and becomes {result}",
                place,
                labels=[Label(label.span, f"it begins as {start}")] if label is not None else [],
                help="a carry keeps its shape from step to step",
            )
        )
    return result.with_dtype(d)


def _takes(literal: Literal, t: TensorType) -> bool:
    order = ("bool", "int", "float")
    return order.index(literal.kind) <= order.index(t.dtype.kind)


def _length(elements: Sequence[Tensor], length: Any, place: Place | None) -> DimLike:
    for x in elements:
        if not x.ndim:
            label = origin(x, "")
            raise UserError(
                error(
                    "rank-mismatch",
                    "`scan` goes through the leading axis of a tensor, and this is a scalar",
                    place,
                    labels=[label] if label is not None else [],
                )
            )
    if length is not None:
        return size(length, "`length`", place)
    if not elements:
        raise UserError(error("missing-argument", "`scan` needs something to go through, or a `length`", place))
    return elements[0].shape[0]


def _check_steps(cx: Surface, elements: Sequence[Value], count: DimLike, carries: int) -> None:
    for k, x in enumerate(elements):
        if (same := cx.graph.equal_sizes(x.shape[0], count)) is not True:
            raise InferError(
                "shape-mismatch" if same is False else "dim-unproved",
                f"`scan` makes {count} steps, and this has {x.shape[0]}",
                [(carries + k, f"axis 0 is {x.shape[0]}"), (carries, f"axis 0 is {elements[0].shape[0]}")],
                dim_fact=None if same is False else suggest_fact(count, x.shape[0]),
            )


def _what(x: Any) -> str:
    return f"{len(x)} things" if isinstance(x, tuple) else "one tensor" if isinstance(x, Handle) else f"a {type(x).__name__}"


# --- while, cond -----------------------------------------------------------------------------------------------------------------------


def while_loop(test: Callable[[Any], Any], body: Callable[[Any], Any], init: Any, *, max: Any) -> Any:
    """A body repeated while a condition of its carries holds, at most `max` times: `carry = body(carry)` while `test(carry)`."""
    place = here()
    starts, tree = flatten(init)
    most = size(max, "`max`", place)

    def step(inner: Body, carries: Sequence[Any], parts: Sequence[Tensor]) -> tuple[list[Any], list[Any]]:
        return _same_structure(inner.run(lambda: body(unflatten(carries, tree))), tree, place), []

    begun, traced, carried, _ = _settled(operands(starts, place), [], step, place)
    check = Body([t.type for t in begun], begun, place)
    try:
        goes_on = check.output(check.run(lambda: test(unflatten(check.args, tree))))
        _condition(goes_on, "while_loop", place)
    finally:
        check.close()
    n = len(begun)
    with LOCK:
        first, second, captured = shared((check, check.values([goes_on])), (traced, traced.values(carried)), n)

        def emit(cx: Surface, of: Callable[[Handle], Value]) -> list[Value]:
            made = cx.graph.emit(OPS["while"], tuple(of(h) for h in (*begun, *captured)), (first, second, cx.graph.facts.normal(most), n))
            return list(project(made))[:-1]

        made = build([*begun, *captured], emit, place=place, call=[*begun, *captured])
    return unflatten(made, tree)


def _condition(p: Tensor, title: str, place: Place | None) -> None:
    if p.dtype is BOOL and not p.ndim:
        return
    label = origin(p, "")
    raise UserError(
        error(
            "wrong-dtype" if p.dtype is not BOOL else "not-scalar-condition",
            f"the condition of `{title}` is one truth value, not {p.type}",
            place,
            labels=[label] if label is not None and label.span != place else [],
            help="compare it: `x != 0`, `x > 0`"
            if p.dtype is not BOOL
            else "element by element there is `dfg.where(p, a, b)`; `dfg.all(p)` and `dfg.any(p)` reduce",
        )
    )


def cond(predicate: Any, then: Callable[..., Any], otherwise: Callable[..., Any], *args: Any) -> Any:
    """`then(*args)` if a scalar condition holds, else `otherwise(*args)`; only one of the two runs. Branches give the same structure of the same shapes."""
    place = here()
    if isinstance(predicate, bool):
        return then(*args) if predicate else otherwise(*args)
    (p,) = _tensors([predicate], place)
    _condition(p, "cond", place)
    traced: list[tuple[Body, list[Tensor], Tree]] = []
    try:
        for f in (then, otherwise):
            body = Body([], [p], place)
            traced.append((body, [], Tree("none")))
            leaves, tree = flatten(body.run(lambda f=f: f(*args)))  # type: ignore[misc]
            traced[-1] = (body, [body.output(x) for x in leaves], tree)
        (first, a, tree), (second, b, other) = traced
        if tree != other:
            raise UserError(error("branch-mismatch", f"one branch gives {shown(tree)}, the other {shown(other)}", place))
        for k, (x, y) in enumerate(zip(a, b, strict=True)):
            graph = first.region.current().graph
            if x.ndim != y.ndim or any(graph.equal_sizes(m, n) is not True for m, n in zip(x.shape, y.shape, strict=True)):
                labels = [label for label in (origin(x, ""), origin(y, "")) if label is not None]
                raise UserError(
                    error(
                        "branch-mismatch",
                        f"one branch gives {x.type}, the other {y.type}",
                        place,
                        labels=labels,
                        help="branches are promoted, never broadcast",
                    )
                )
            t = x.type.with_dtype(promote(x.dtype, y.dtype))
            a[k], b[k] = first.output(x, t, "the branches promote"), second.output(y, t, "the branches promote")
    finally:
        for body, _, _ in traced:
            body.close()
    with LOCK:
        one, two, captured = shared((first, first.values(a)), (second, second.values(b)), 0)

        def emit(cx: Surface, of: Callable[[Handle], Value]) -> list[Value]:
            return list(project(cx.graph.emit(OPS["cond"], (of(p), *[of(h) for h in captured]), (one, two))))

        made = build([p, *captured], emit, place=place, call=[p, *captured])
    return unflatten(made, tree)


# --- vmap ------------------------------------------------------------------------------------------------------------------------------


VECTORISE: list[Callable[..., list[Value]]] = []
"""`vectorise(graph, roots, {index: batched value}, size)`, set by the layer that knows the passes; without it `vmap` is a loop."""


def vmap(f: Callable[..., Any], in_axes: Any = 0, out_axes: int = 0) -> Callable[..., Any]:
    """`f` for a batch: `vmap(f)(xs)` applies `f` to each element of the leading axis and stacks the results. `in_axes`: the axis of each argument, None for
    one that is the same for all; `out_axes`: where the new axis goes."""

    def batched(*args: Any) -> Any:
        place = here()
        axes = list(in_axes) if isinstance(in_axes, list | tuple) else [in_axes] * len(args)
        if len(axes) != len(args):
            raise UserError(error("arity", f"`vmap` is given {len(args)} arguments, and `in_axes` says {len(axes)}", place))
        parts: list[tuple[Tree, list[Tensor]] | None] = []
        for x, axis in zip(args, axes, strict=True):
            leaves, tree = flatten(x)
            parts.append(None if axis is None else (tree, [_front(t, axis, place) for t in _tensors(leaves, place)]))
        moved = [t for part in parts if part is not None for t in part[1]]
        if not moved:
            raise UserError(error("missing-argument", "`vmap` needs an argument with a batch axis", place))

        done = _vectorised(f, args, parts, place) if VECTORISE else None
        if done is not None:
            leaves, tree = done
            return unflatten([_back(t, out_axes, place) for t in leaves], tree)

        def step(_: Any, given: tuple[Any, ...]) -> tuple[Any, Any]:
            rest = iter(given)
            return None, f(
                *[x if part is None else unflatten([next(rest) for _ in part[1]], part[0]) for x, part in zip(args, parts, strict=True)]
            )

        _, stacked = scan(step, None, tuple(moved))
        leaves, tree = flatten(stacked)
        return unflatten([_back(t, out_axes, place) for t in leaves], tree)

    batched.__name__ = getattr(f, "__name__", "f")
    batched.__doc__ = getattr(f, "__doc__", None)
    return batched


Parts = Sequence[tuple[Tree, list[Tensor]] | None]


def _vectorised(f: Callable[..., Any], args: Sequence[Any], parts: Parts, place: Place | None) -> tuple[list[Tensor], Tree] | None:
    """`f` called once with tensors that stand for an element of the batch, and everything that depends on them computed for the whole batch. None where a
    Jacobian depends on them, or where sizes must be checked: then a loop does it."""
    batched = [t for part in parts if part is not None for t in part[1]]
    size = batched[0].shape[0]
    if any(not t.ndim or t.shape[0] != size for t in batched):
        return None

    def stand_ins(cx: Surface, of: Callable[[Handle], Value]) -> list[Value]:
        return [make_pin(cx.zeros(of(t).type.with_shape(of(t).shape[1:]))) for t in batched]

    with LOCK:
        made: list[Tensor] = build(batched, stand_ins, place=place)
    rest = iter(made)
    result = f(*[x if part is None else unflatten([next(rest) for _ in part[1]], part[0]) for x, part in zip(args, parts, strict=True)])
    leaves, tree = flatten(result)
    outputs = _tensors(leaves, place)

    def emit(cx: Surface, of: Callable[[Handle], Value]) -> list[Value] | None:
        roots = [of(t) for t in outputs]
        ours = {of(t).index for t in made}
        for v in cx.graph.live(roots):
            if any(o.index in ours for o in v.operands):
                ours.add(v.index)
                if v.op.name in ("jacobian", "trace"):
                    return None
        return VECTORISE[-1](cx.graph, roots, {of(s).index: of(t) for s, t in zip(made, batched, strict=True)}, of(batched[0]).shape[0])

    with LOCK:
        found = build([*outputs, *made, *batched], emit, place=place)
    return None if found is None else (found, tree)


def _front(x: Tensor, axis: int, place: Place | None) -> Tensor:
    k = _axis(x, axis, place)
    return x if k == 0 else surface("permute_dims", [x, (k, *[a for a in range(x.ndim) if a != k])], place=place)


def _back(x: Tensor, axis: int, place: Place | None) -> Tensor:
    k = _axis(x, axis, place)
    return x if k == 0 else surface("permute_dims", [x, (*range(1, k + 1), 0, *range(k + 1, x.ndim))], place=place)


def _axis(x: Tensor, axis: int, place: Place | None) -> int:
    if not -x.ndim <= axis < x.ndim:
        raise UserError(error("bad-argument", f"`vmap`: there is no axis {axis} of {x.type}", place))
    return axis % x.ndim


# --- a derivative of one's own -----------------------------------------------------------------------------------------------------------


def custom_vjp(f: Callable[..., Any], rule: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """A function with a rule of one's own for its derivative: `custom_vjp(f, rule)`, or `@custom_vjp(rule)` above `def f`. The rule is called with the cotangent,
    the result and the arguments, and gives one cotangent for each argument, None where nothing flows."""
    if rule is None:
        return lambda g: custom_vjp(g, f)
    backward = rule
    try:
        takes = inspect.signature(backward)
    except (TypeError, ValueError):  # a function that does not say
        takes = None

    def ruled(*args: Any) -> Any:
        place = here()
        (given,) = operands([f(*args)], place)
        y = given if isinstance(given, Tensor) else fitted_to(given, None, "", place)
        if not y.dtype.floating:
            raise UserError(error("wrong-dtype", f"a rule is for floating-point values, and this gives {y.type}", place))
        leaves = [flatten(x) for x in args]
        tensors = [x for own, _ in leaves for x in own if isinstance(x, Tensor)]
        body = Body([*[t.type for t in tensors], y.type, y.type], [*tensors, y], place)
        try:
            rest = iter(body.args)
            inner = [unflatten([next(rest) if isinstance(x, Tensor) else x for x in own], tree) for own, tree in leaves]
            ct, seen = body.args[-2:]
            try:
                if takes is not None:
                    takes.bind(ct, seen, *inner)
            except TypeError as e:
                raise UserError(
                    error("arity", f"the rule is called with the cotangent, the result and the {len(args)} argument{'s' * (len(args) != 1)}: {e}", place,
                          help="`def rule(ct, y, x): …` for a function of one argument")
                ) from None
            found = body.run(lambda: backward(ct, seen, *inner))
            cotangents = list(found) if isinstance(found, tuple | list) else [found]
            if len(cotangents) != len(args):
                raise UserError(
                    error(
                        "arity",
                        f"the rule gives {len(cotangents)} cotangent{'s' * (len(cotangents) != 1)} for {len(args)} argument{'s' * (len(args) != 1)}",
                        place,
                        help="it gives one for each argument, in a tuple; None where nothing flows",
                    )
                )
            flows: dict[int, Tensor] = {}
            position = 0
            for (own, _), c in zip(leaves, cotangents, strict=True):
                pieces = flatten(c)[0] if c is not None else [None] * len(own)
                if len(pieces) != len(own):
                    raise UserError(error("structure-mismatch", "a cotangent has the structure of its argument", place))
                for x, piece in zip(own, pieces, strict=True):
                    if isinstance(x, Tensor):
                        if piece is not None and x.dtype.floating:
                            flows[position] = body.output(piece, x.type, "a cotangent has the dtype of its argument")
                        position += 1
        finally:
            body.close()
        order = [*flows, *[k for k in range(len(tensors)) if k not in flows]]
        with LOCK:
            results = body.values(list(flows.values()))
            captures = body.captures(results)
            inputs = [*[body.args[k].value for k in order], ct.value, seen.value, *[v for _, v in captures]]
            outer = [tensors[k] for k in order] + [h for h, _ in captures]

            def emit(cx: Surface, of: Callable[[Handle], Value]) -> Value:
                subgraph = body.sealed(inputs, results, [v.type for v in inputs])
                return cx.graph.emit(OPS["custom"], (of(y), *[of(h) for h in outer]), (subgraph, len(tensors), len(flows)))

            return build([y, *outer], emit, place=place, call=[y, *outer])

    ruled.__name__ = getattr(f, "__name__", "f")
    ruled.__doc__ = getattr(f, "__doc__", None)
    return ruled
