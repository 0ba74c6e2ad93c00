"""Vectorising: ops with a batch axis put in front, derived from their `axes` and the kinds of their attributes, never written per op.

An op runs along a new leading axis if, with its attributes shifted by one axis, `axes` says that this axis is a lane of every operand and result axis 0. Where
it is not (an op over opaque axes only), the op runs in a `scan` over the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dfg.dims import DimLike
from dfg.ir import Graph, InferError, Value, seal
from dfg.ops.base import OPS, full, project
from dfg.ops.contract import LETTERS, canonical, split_subs
from dfg.ops.leaf import arg, make_pin
from dfg.ops.movement import broadcast_along, emit_reshape
from dfg.passes.cotangent import Cot, Pullback, settle
from dfg.types import I64, TensorType, TupleType


def vectorise(graph: Graph, roots: Sequence[Value], batched: dict[int, Value], size: DimLike) -> list[Value]:
    """`roots` for a batch of some values: `batched` gives, by index, values with a leading axis of `size` in place of ancestors of the roots. Every root
    gets the leading axis."""
    mapping = dict(batched)
    tuples: dict[int, tuple[Value, ...]] = {}
    for v in graph.live(roots):
        if v.index in mapping:
            continue
        if v.op.name == "part" and v.operands[0].index in tuples:
            mapping[v.index] = tuples[v.operands[0].index][v.attrs[0]]
            continue
        if not any(o.index in mapping or o.index in tuples for o in v.operands):
            continue
        if v.op.calculus:
            tuples[v.index] = _derivative(graph, v, batched, mapping, size)
            if not isinstance(v.type, TupleType):
                (mapping[v.index],) = tuples.pop(v.index)
            continue
        made = batch_op(graph, v, [mapping.get(o.index) for o in v.operands], size)
        if len(made) == 1 and not isinstance(v.type, TupleType):
            mapping[v.index] = made[0]
        else:
            tuples[v.index] = made
    return [mapping[r.index] if r.index in mapping else lead(r, size) for r in roots]


def _derivative(graph: Graph, v: Value, batched: dict[int, Value], mapping: dict[int, Value], size: DimLike) -> tuple[Value, ...]:
    """A `vjp` or `jvp` that is not expanded yet, for every element of the batch at once.

    A lane of the batched value depends on no other lane of its targets. So each target gets an identity of its own for the batch (one that is the same for all
    elements is repeated: each element has a derivative by its own copy), the value is computed from these, and the derivative of the one by
    the others is the derivative of every element.
    """
    vjp = v.op is OPS["vjp"]
    first = 2 if vjp else 1
    last = len(v.operands) if vjp else first + v.attrs[0]
    targets = v.operands[first:last]
    own: dict[int, Value] = {}
    for t in sorted(set(targets), key=lambda t: t.index):  # a later target may be computed from an earlier one
        own[t.index] = make_pin(vectorise(graph, [t], {**batched, **own}, size)[0])
    (y,) = vectorise(graph, v.operands[:1], {**batched, **own}, size)
    others = [mapping[o.index] if o.index in mapping else lead(o, size) for o in v.operands[1:first] + v.operands[last:]]
    pins = [own[t.index] for t in targets]
    made = graph.emit(v.op, (y, *others, *pins) if vjp else (y, *pins, *others), v.attrs)
    return project(made) if isinstance(made.type, TupleType) else (made,)


def lead(v: Value, size: DimLike) -> Value:
    """A value repeated along a new leading axis."""
    return broadcast_along(v, (size, *v.shape), tuple(range(1, v.rank + 1)))


def batch_op(graph: Graph, v: Value, given: Sequence[Value | None], size: DimLike) -> tuple[Value, ...]:
    """One op on operands some of which have a leading batch axis; all results have it."""
    operands = [b if b is not None else lead(o, size) for o, b in zip(v.operands, given, strict=True)]
    attrs = _shift(v, size)
    made: Value | None = None
    if attrs is not None:
        try:
            made = graph.emit(v.op, tuple(operands), attrs)
        except InferError:
            made = None
    if made is not None and _runs_along(made, operands):
        return project(made) if isinstance(made.type, TupleType) else (made,)
    return _loop(graph, v, operands, size)


def _runs_along(made: Value, operands: Sequence[Value]) -> bool:
    # A rule may have given a simpler value than the op itself: then it is right by the rule.
    if tuple(o.index for o in made.operands) != tuple(o.index for o in operands):
        return True
    axes = made.op.axes
    return axes is not None and all(lanes[:1] == (0,) for lanes in axes(made))


def _shift(v: Value, size: DimLike) -> tuple[Any, ...] | None:
    """The attributes for operands with one more leading axis, or None if that cannot be said."""
    out: list[Any] = []
    for spec, a in zip(v.op.attrs, v.attrs, strict=True):
        match spec.kind:
            case "axis" | "batch":
                out.append(a + 1)
            case "axes":
                out.append(tuple(k + 1 for k in a))
            case "perm" | "dims":
                out.append((0, *[k + 1 for k in a]))
            case "shape":
                out.append((size, *a))
            case "per_axis":
                out.append((size if spec.neutral == "size" else spec.neutral, *a))
            case "text" if spec.name == "subs":
                out.append(_batch_subs(a))
            case "body" | "type":
                return None
            case _:
                out.append(a)
    return tuple(out)


def _batch_subs(subs: str) -> str:
    a, b, result = split_subs(subs)
    t = next(c for c in LETTERS if c not in subs)
    return canonical(f"{t}{a},{t}{b}->{t}{result}")


def _loop(graph: Graph, v: Value, operands: Sequence[Value], size: DimLike) -> tuple[Value, ...]:
    """The op in a `scan` over the batch."""
    inner = graph.like()
    args = [inner.emit(arg, (), (k, o.type.with_shape(o.shape[1:]))) for k, o in enumerate(operands)]
    made = inner.emit(v.op, tuple(args), v.attrs)
    results = project(made) if isinstance(made.type, TupleType) else (made,)
    body, _ = seal(inner, args, results)
    loop = graph.emit(OPS["scan"], tuple(operands), (body, size, 0, len(operands), False))
    return project(loop)


def batched_pullback(g: Graph, pull: Pullback, y: Value, targets: Sequence[Value]) -> list[Value]:
    """Jacobians: the pullback of one cotangent, vectorised over the rows of the identity."""
    count: DimLike = y.type.size
    u = make_pin(full(g, 0, y.type))
    cots = pull.run([(y, Cot(u))], targets)
    rows = g.emit(OPS["iota"], (), (count, I64))
    square = TensorType(I64, (count, count))
    hit = OPS["equal"](broadcast_along(rows, square.shape, (0,)), broadcast_along(rows, square.shape, (1,)))
    identity = emit_reshape(OPS["cast"](hit, dtype=y.dtype), (count, *y.shape))
    found = [k for k, c in enumerate(cots) if c is not None]
    settled = [settle(c) for c in cots if c is not None]
    made = vectorise(g, settled, {u.index: identity}, count)
    result = [full(g, 0, t.type.with_shape((*y.shape, *t.shape))) for t in targets]
    for k, m in zip(found, made, strict=True):
        result[k] = emit_reshape(m, (*y.shape, *targets[k].shape))
    return result
