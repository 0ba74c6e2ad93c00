"""Loops over tensors, traced from Python functions: `scan` with carries, `vmap` along an axis.

    final, stacked = scan(lambda h, x: (tanh(x @ wx + h @ wh),) * 2, h0, xs)

The function is called with tensors that stand for one step, and what it returns is the body; tensors from outside that it uses become captures. Carries,
elements and results may be nested in tuples, lists and dictionaries. A carry's start is converted and broadcast to what the body makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dfg.diagnostics import Label, UserError, error
from dfg.dims import Dim, DimLike
from dfg.frontend.builder.convert import Bad, dims_used, handles_in, lower, operand
from dfg.frontend.builder.emit import bad, build, origin, surface, tensor
from dfg.frontend.builder.homes import LOCK, REGION, Handle, Region, open_region, region_for, value_in
from dfg.frontend.builder.places import Place, here
from dfg.frontend.builder.sizes import Declarations, size, union
from dfg.frontend.builder.tensor import Tensor
from dfg.ir import InferError, Value, seal
from dfg.ops.base import project
from dfg.ops.loop import scan as scan_op
from dfg.ops.surface import Literal, Surface
from dfg.types import TensorType, promote

ROUNDS: Final = 8
"""How often the types of carries may grow before they must stand still."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The structure of nested tuples, lists and dictionaries."""

    kind: str
    keys: tuple[Any, ...] = ()
    parts: tuple[Tree, ...] = ()


LEAF: Final = Tree("leaf")
EMPTY: Final = Tree("none")


def flatten(x: Any) -> tuple[list[Any], Tree]:
    """The leaves of a nested structure, and the structure."""
    if x is None:
        return [], EMPTY
    if isinstance(x, dict):
        pairs = [flatten(v) for v in x.values()]
        return [leaf for leaves, _ in pairs for leaf in leaves], Tree("dict", tuple(x), tuple(t for _, t in pairs))
    if isinstance(x, tuple) or (isinstance(x, list) and any(isinstance(i, Handle | tuple | list | dict) for i in x)):
        pairs = [flatten(v) for v in x]
        kind = "list" if isinstance(x, list) else "tuple"
        return [leaf for leaves, _ in pairs for leaf in leaves], Tree(
            kind, (type(x),) if hasattr(x, "_fields") else (), tuple(t for _, t in pairs)
        )
    return [x], LEAF


def unflatten(leaves: Sequence[Any], tree: Tree) -> Any:
    """The structure with other leaves."""
    rest = iter(leaves)

    def make(t: Tree) -> Any:
        if t is LEAF or t.kind == "leaf":
            return next(rest)
        if t.kind == "none":
            return None
        parts = [make(p) for p in t.parts]
        if t.kind == "dict":
            return dict(zip(t.keys, parts, strict=True))
        return parts if t.kind == "list" else t.keys[0](*parts) if t.keys else tuple(parts)

    return make(tree)


def shown(tree: Tree) -> str:
    """A structure as Python writes it."""
    match tree.kind:
        case "leaf":
            return "*"
        case "none":
            return "None"
        case "dict":
            return "{" + ", ".join(f"{k!r}: {shown(p)}" for k, p in zip(tree.keys, tree.parts, strict=True)) + "}"
        case "list":
            return "[" + ", ".join(map(shown, tree.parts)) + "]"
    return "(" + ", ".join(map(shown, tree.parts)) + ("," if len(tree.parts) == 1 else "") + ")"


def _operands(items: Sequence[Any], place: Place | None) -> list[Any]:
    made = []
    for x in items:
        try:
            made.append(operand(x))
        except Bad as e:
            raise UserError(bad(e, x, 1, place)) from None
    return made


def as_tensor(given: Any, place: Place | None, t: TensorType | None = None, what: str = "") -> Tensor:
    """A converted operand as a tensor: as it is, or converted and stretched to a type."""
    if isinstance(given, Tensor) and t is None:
        return given

    def emit(cx: Surface, of: Callable[[Handle], Value]) -> Value:
        v = lower(given, cx, of)
        if t is None:
            return cx.value(v)
        v = cx.literal(v, t.dtype) if isinstance(v, Literal) else cx.cast(v, t.dtype, what)
        return cx.stretch(v, t.shape)

    return build(handles_in([given]), emit, names=dims_used([given]), place=place)  # type: ignore[no-any-return]


def _tensors(items: Sequence[Any], place: Place | None) -> list[Tensor]:
    """Things gone through: tensors."""
    return [as_tensor(x, place) for x in _operands(items, place)]


def scan(f: Callable[[Any, Any], Any], init: Any, xs: Any = None, *, length: Any = None, reverse: bool = False) -> tuple[Any, Any]:
    """A loop over the leading axis of `xs`: `f(carry, x)` gives the next carry and what is stacked. Gives the last carry and the stacks. With `reverse` the
    steps go from the last to the first; stacks stay in the order of the axis. Without `xs` it makes `length` steps, with x None."""
    place = here()
    starts, carry_tree = flatten(init)
    given, xs_tree = flatten(xs)
    elements = _tensors(given, place)
    given_starts = _operands(starts, place)
    steps = _length(elements, length, place)
    types: list[TensorType | None] = [None] * len(given_starts)
    for _ in range(ROUNDS):
        begun = [
            as_tensor(x, place, t, f"the carry is {t.dtype}" if t is not None else "") for x, t in zip(given_starts, types, strict=True)
        ]
        region, outputs, y_tree, n_carries = _trace(f, begun, carry_tree, elements, xs_tree, place)
        now = [t.type for t in begun]
        wanted = [_grown(a, o.type, s, region, place) for a, o, s in zip(now, outputs[:n_carries], given_starts, strict=True)]
        if wanted == now:
            break
        types = list(wanted)
    else:
        raise UserError(
            error(
                "carry-type", f"a carry begins as {now[0]} and grows at every step", place, help="keep its shape the same from step to step"
            )
        )
    made = _emit(region, begun, elements, outputs, n_carries, steps, reverse, place)
    return unflatten(made[:n_carries], carry_tree), unflatten(made[n_carries:], y_tree)


def _length(elements: Sequence[Tensor], length: Any, place: Place | None) -> DimLike:
    if length is not None:
        return size(length, "`length`", place)
    if not elements:
        raise UserError(error("missing-argument", "`scan` needs something to go through, or a `length`", place))
    first = elements[0]
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
    return first.shape[0]


def _trace(
    f: Callable[[Any, Any], Any],
    carries: Sequence[Tensor],
    carry_tree: Tree,
    elements: Sequence[Tensor],
    xs_tree: Tree,
    place: Place | None,
) -> tuple[Region, list[Tensor], Tree, int]:
    """Call the function with tensors that stand for one step; its results in the body."""
    with LOCK:
        everything = [*carries, *elements]
        parent = region_for(everything)
        declarations: Declarations = ()
        used: set[str] = set()
        for h in everything:
            home = h._resolve()[0]
            declarations = union(declarations, home.declarations)
            used |= home.used
        region = open_region(declarations, parent, used)
        facts = region.home.graph.facts
        region.home.graph.cursor = place
        args: list[Tensor] = []
        for h, lead in [*[(c, 0) for c in carries], *[(x, 1) for x in elements]]:
            t = h.type
            t = t.with_shape(tuple(facts.normal(d) if isinstance(d, Dim) else d for d in t.shape[lead:]))
            made = region.argument(t)
            home, index = made._resolve()
            origin_home, origin_index = h._resolve()
            args.append(tensor(home, home.graph.values[index], origin_home.made.get(origin_index)))
        region.home.graph.cursor = None
    n = len(carries)
    token = REGION.set(region)
    try:
        result = f(unflatten(args[:n], carry_tree), unflatten(args[n:], xs_tree))
        if not isinstance(result, tuple) or len(result) != 2:
            raise UserError(
                error(
                    "arity",
                    f"the body of `scan` gives two things, (carry, stacked), and this gives {_what(result)}",
                    place,
                    help="return `(carry, None)` to stack nothing",
                )
            )
        carry, tree = flatten(result[0])
        if tree != carry_tree:
            raise UserError(
                error(
                    "structure-mismatch",
                    f"the carry begins as {shown(carry_tree)}, and the body gives {shown(tree)}",
                    place,
                    help="give the carries in their structure",
                )
            )
        ys, y_tree = flatten(result[1])
        outputs = [_inside(x, region, place) for x in (*carry, *ys)]
    finally:
        REGION.reset(token)
        region.closed = True
    return region, outputs, y_tree, n


def _what(x: Any) -> str:
    return f"{len(x)} things" if isinstance(x, tuple) else "one tensor" if isinstance(x, Handle) else f"a {type(x).__name__}"


def _inside(x: Any, region: Region, place: Place | None) -> Tensor:
    """A result of the function as a tensor of the body."""
    (given,) = _operands([x], place)
    with LOCK:
        home = region.current()
        if isinstance(given, Handle) and given._resolve()[0] is home:
            return given  # type: ignore[return-value]

        def emit(cx: Surface, of: Callable[[Handle], Value]) -> Value:
            return cx.value(lower(given, cx, of))

        return build(handles_in([given]), emit, names=dims_used([given]), place=place)  # type: ignore[no-any-return]


def _grown(start: TensorType, result: TensorType, given: Any, region: Region, place: Place | None) -> TensorType:
    """The type that a carry must have: its start, converted and broadcast to the body's result."""
    if start == result:
        return start
    d = result.dtype if isinstance(given, Literal) and _takes(given, result) else promote(start.dtype, result.dtype)
    facts = region.home.graph.facts
    lead = len(result.shape) - len(start.shape)
    fits = lead >= 0 and all(a == 1 or facts.equal(a, b) is True for a, b in zip(start.shape, result.shape[lead:], strict=True))
    if not fits or (d is not result.dtype and d is start.dtype and start.shape == result.shape):
        label = origin(given, "it begins here") if isinstance(given, Handle) else None
        raise UserError(
            error(
                "carry-type",
                f"a carry begins as {start} and becomes {result}",
                place,
                labels=[Label(label.span, f"it begins as {start}")] if label is not None else [],
                help=f'give the body\'s result the type of the start: `.astype("{start.dtype}")`'
                if fits
                else "a carry keeps its shape from step to step",
            )
        )
    return result.with_dtype(d)


def _takes(literal: Literal, t: TensorType) -> bool:
    order = ("bool", "int", "float")
    return order.index(literal.kind) <= order.index(t.dtype.kind)


def _emit(
    region: Region,
    starts: Sequence[Tensor],
    elements: Sequence[Tensor],
    outputs: Sequence[Tensor],
    carries: int,
    steps: DimLike,
    reverse: bool,
    place: Place | None,
) -> list[Tensor]:
    with LOCK:
        home = region.current()
        results = [value_in(o, home) for o in outputs]
        inputs = [h.value for h in region.args]
        captured = [outer for outer, _ in region.captures]

        def emit(cx: Surface, of: Callable[[Handle], Value]) -> list[Value]:
            graph = cx.graph
            n = graph.facts.normal(steps)
            for k, x in enumerate(elements):
                size = of(x).shape[0]
                if (same := graph.equal_sizes(size, n)) is not True:
                    raise InferError(
                        "shape-mismatch" if same is False else "dim-unproved",
                        f"`scan` goes through {n} steps, and this has {size}",
                        [(len(starts) + k, f"axis 0 is {size}"), (len(starts), f"axis 0 is {n}")],
                        dim_fact=None if same is False else f"dim {n} == {size}",
                    )
            body, _ = seal(home.graph, inputs, results)
            operands = [of(h) for h in (*starts, *elements, *captured)]
            made = graph.emit(scan_op, tuple(operands), (body, n, carries, len(elements), bool(reverse)))
            return list(project(made))

        return build([*starts, *elements, *captured], emit, place=place, call=[*starts, *elements, *captured])  # type: ignore[no-any-return]


VECTORISE: list[Callable[..., Any]] = []
"""Set by the layer that knows the passes: `f(values, batched, size) -> values` vectorises values over stand-ins; without it `vmap` is a loop."""


def vmap(f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """`f` for a batch: `vmap(f)(xs)` applies `f` to each element of the leading axis and stacks the results. `in_axes`: the axis of each argument, None for
    one that is the same for all; `out_axes`: where the new axis goes."""

    def batched(*args: Any) -> Any:
        place = here()
        axes = list(in_axes) if isinstance(in_axes, list | tuple) else [in_axes] * len(args)
        if len(axes) != len(args):
            raise UserError(error("arity", f"`vmap` is given {len(args)} arguments, and `in_axes` says {len(axes)}", place))
        trees: list[Tree] = []
        moved: list[Any] = []
        fixed: dict[int, Any] = {}
        for k, (x, axis) in enumerate(zip(args, axes, strict=True)):
            if axis is None:
                fixed[k] = x
                continue
            leaves, tree = flatten(x)
            trees.append(tree)
            moved.extend([_front(t, axis, place) for t in _tensors(leaves, place)])
        if not moved:
            raise UserError(error("missing-argument", "`vmap` needs an argument with a batch axis", place))

        def step(_: Any, parts: tuple[Any, ...]) -> tuple[Any, Any]:
            rest = iter(parts)
            mapped = iter([unflatten([next(rest) for _ in range(_count(t))], t) for t in trees])
            return None, f(*[fixed[k] if k in fixed else next(mapped) for k in range(len(args))])

        _, stacked = scan(step, None, tuple(moved))
        leaves, tree = flatten(stacked)
        return unflatten([_back(t, out_axes) for t in leaves], tree)

    batched.__name__ = getattr(f, "__name__", "f")
    batched.__doc__ = getattr(f, "__doc__", None)
    return batched


def _count(tree: Tree) -> int:
    return 1 if tree.kind == "leaf" else sum(_count(p) for p in tree.parts)


def _front(x: Tensor, axis: int, place: Place | None) -> Tensor:
    if not -x.ndim <= axis < x.ndim:
        raise UserError(error("bad-argument", f"`vmap`: there is no axis {axis} of {x.type}", place))
    k = axis % x.ndim
    return x if k == 0 else surface("permute_dims", [x, (k, *[a for a in range(x.ndim) if a != k])])


def _back(x: Tensor, axis: int) -> Tensor:
    k = axis % x.ndim
    return x if k == 0 else surface("permute_dims", [x, (*range(1, k + 1), 0, *range(k + 1, x.ndim))])
