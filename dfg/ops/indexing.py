"""Indexing and functional update, as NumPy places their axes: what `x[1:3, ::2]`, `x[idx]`, `x[..., newaxis]` and `x with [idx] += v` emit.

An item is a whole number or a size; a `Window` (a slice; its start may be a run-time scalar if its size is given); `ELLIPSIS`; `NEWAXIS`; or a value of integers.
Nothing is clipped in silence: what cannot be proved to lie inside its axis is a needed inequality, verified when sizes arrive, and indices computed while
running are checked while running.

Marks of errors: 0 is the tensor, k + 1 the item k; in `put` the last is the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from dfg.dims import Dim, DimLike, suggest_fact
from dfg.ir import InferError, Value
from dfg.ops.base import OPS, const_scalar, const_value
from dfg.ops.elementwise import emit_cast
from dfg.ops.movement import broadcast_along, emit_permute, emit_reshape
from dfg.ops.surface import Literal, Surface
from dfg.types import BOOL, I64, KIND_ORDER, TensorType, promote


class _Mark:
    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


ELLIPSIS: Final = _Mark("ELLIPSIS")
NEWAXIS: Final = _Mark("NEWAXIS")


@dataclass(frozen=True, slots=True)
class Window:
    """`start:stop:step`; with `size`, that many elements from a run-time `start`."""

    start: Any = None
    stop: Any = None
    step: int = 1
    size: DimLike | None = None


@dataclass(frozen=True, slots=True)
class _Axis:
    """A static window of one axis: forward, in steps of `stride`, then reversed if `flipped`."""

    start: DimLike
    size: DimLike
    stride: int = 1
    flipped: bool = False

    def whole(self, n: DimLike) -> bool:
        return self.start == 0 and self.size == n and self.stride == 1


def affine_difference(a: Value, b: Value) -> DimLike | None:
    """`a - b` of integer scalars where it is a size whatever they are (`k + 32` and `k`), else None."""
    total: DimLike = 0
    rest: dict[int, int] = {}
    budget = 10_000
    work: list[tuple[Value, DimLike]] = [(a, 1), (b, -1)]
    while work and budget:
        budget -= 1
        v, factor = work.pop()
        size = _size(v)
        if size is not None:
            total = total + factor * size
        elif v.op.name in ("add", "subtract"):
            work.append((v.operands[0], factor))
            work.append((v.operands[1], factor if v.op.name == "add" else -factor))
        elif v.op.name == "negative":
            work.append((v.operands[0], -factor))
        elif v.op.name == "cast" and v.operands[0].dtype.kind == "int" and v.dtype is I64:
            work.append((v.operands[0], factor))
        elif v.op.name == "multiply" and any(_size(o) is not None for o in v.operands):
            k = 0 if _size(v.operands[0]) is not None else 1
            scale = _size(v.operands[k])
            assert scale is not None
            work.append((v.operands[1 - k], factor * scale))
        else:
            rest[v.index] = rest.get(v.index, 0) + factor  # type: ignore[assignment]
    if work or any(f != 0 for f in rest.values()):
        return None
    return total


def _size(v: Value) -> DimLike | None:
    if v.op.name == "dim":
        return v.attrs[0]
    number = const_scalar(v)
    return number if type(number) is int else None


def _expand(t: TensorType, items: Sequence[Any]) -> list[tuple[Any, int]]:
    """Items with their positions, the ellipsis written out, one for each axis and new axis."""
    taken = sum(1 for i in items if i is not NEWAXIS and i is not ELLIPSIS)
    dots = [k for k, i in enumerate(items) if i is ELLIPSIS]
    if len(dots) > 1:
        raise InferError("bad-argument", "`...` stands once in an index", [(dots[1] + 1, "this one")])
    if taken > t.rank:
        raise InferError(
            "rank-mismatch",
            f"{taken} {'index' if taken == 1 else 'indices'} for {t}, which has {t.rank} {'axis' if t.rank == 1 else 'axes'}",
            [(0, f"this is {t}")],
        )
    where = dots[0] if dots else len(items)
    numbered = [(i, k) for k, i in enumerate(items)]
    filler = [(Window(), where)] * (t.rank - taken)
    return [*numbered[:where], *filler, *numbered[where + 1 :]]


def _from_end(bound: DimLike, n: DimLike) -> DimLike:
    return n + bound if isinstance(bound, int) and bound < 0 else bound


def _window(cx: Surface, w: Window, n: DimLike, axis: int, t: TensorType, item: int) -> _Axis:
    """A slice as a static window; out-of-bounds bounds are errors or needs."""
    marks: list[tuple[int | str, str]] = [(0, f"axis {axis} is {n}"), (item + 1, "this one")]

    def need(left: DimLike, right: DimLike, why: str) -> None:
        cx.graph.need(left, right, why, "out-of-bounds", marks, "a slice is not clipped: it must lie inside its axis")

    if w.step > 0:
        lower = 0 if w.start is None else _from_end(w.start, n)
        upper = n if w.stop is None else _from_end(w.stop, n)
        span = upper - lower
        need(lower, 0, f"a slice of axis {axis} of {t} starts at {lower}")
        if isinstance(span, int) and span < 0:  # known to be empty: both ends must still lie inside the axis
            need(n, lower, f"a slice of axis {axis} of {t} starts at {lower}, outside {n}")
            need(upper, 0, f"a slice of axis {axis} of {t} ends at {upper}")
            return _Axis(0, 0)
        need(n, upper, f"a slice of axis {axis} of {t} ends at {upper}, outside {n}")
        need(span, 0, f"a slice of axis {axis} of {t} goes from {lower} to {upper}")
        return _Axis(lower, span if w.step == 1 else (span + (w.step - 1)) // w.step, w.step)
    stride = -w.step
    first = n - 1 if w.start is None else _from_end(w.start, n)
    last = -1 if w.stop is None else _from_end(w.stop, n)
    span = first - last
    if w.start is not None:
        need(n, first + 1, f"a slice of axis {axis} of {t} starts at {first}, outside {n}")
    if isinstance(span, int) and span <= 0:
        need(n, last, f"a slice of axis {axis} of {t} ends at {last}, outside {n}")
        if w.start is not None:
            need(first, 0, f"a slice of axis {axis} of {t} starts at {first}")
        return _Axis(0, 0)
    need(last, -1, f"a slice of axis {axis} of {t} ends at {last}")
    need(span, 0, f"a slice of axis {axis} of {t} goes backwards from {first} to {last}")
    count = span if stride == 1 else (span + (stride - 1)) // stride
    return _Axis(first - (count - 1) * stride, count, stride, True)


def _point(cx: Surface, i: DimLike, n: DimLike, axis: int, t: TensorType, item: int) -> DimLike:
    place = _from_end(i, n)
    marks: list[tuple[int | str, str]] = [(0, f"axis {axis} is {n}"), (item + 1, "this one")]
    if isinstance(place, int) and isinstance(n, int) and not 0 <= place < n:
        raise InferError("out-of-bounds", f"index {i} is outside axis {axis} of {t}", marks, f"its indices go from {-n} to {n - 1}" if n else "it is empty")
    cx.graph.need(place, 0, f"index {i} of axis {axis} of {t}", "out-of-bounds", marks)
    cx.graph.need(n, place + 1, f"index {i} of axis {axis} of {t} of size {n}", "out-of-bounds", marks)
    return place


def _indices(v: Value, item: int) -> Value:
    if v.dtype is BOOL or v.dtype.floating:
        raise InferError(
            "wrong-dtype",
            f"an index is a whole number or an array of them, not {v.type}",
            [(item + 1, f"this is {v.type}")],
            help="a mask selects through `where`" if v.dtype is BOOL else "`i64(…)` converts",
        )
    return emit_cast(v, I64)


def _check_constant(v: Value, n: DimLike, axis: int, t: TensorType, item: int) -> None:
    array = const_value(v)
    if array is None or not array.size or isinstance(n, Dim):
        return
    low, high = int(array.min()), int(array.max())
    if low < -n or high >= n:
        bad = low if low < -n else high
        raise InferError(
            "out-of-bounds", f"index {bad} is outside axis {axis} of {t}", [(0, f"axis {axis} is {n}"), (item + 1, "this one")]
        )


def _rows(cx: Surface, w: Window, n: DimLike) -> Value:
    """The indices of a window with a run-time start. A negative start would count from the end: it is moved outside, where the check meets it."""
    assert isinstance(w.start, Value) and w.size is not None
    g = cx.graph
    g.need(w.size, 0, "a slice does not end before it starts", "out-of-bounds")
    g.need(n, w.size, f"a slice of {w.size} elements of an axis of {n}", "out-of-bounds")
    start = emit_cast(w.start, I64)
    outside = cx.literal(Literal("int", n), I64) if isinstance(n, int) else g.emit(OPS["dim"], (), (n,))
    zero = cx.literal(Literal("int", 0), I64)
    start = OPS["where"](OPS["less"](start, zero), outside, start)
    counts = g.emit(OPS["iota"], (), (w.size, I64))
    return counts + broadcast_along(start, counts.shape, ())


@dataclass(slots=True)
class _Plan:
    """An index taken apart: run-time windows by axis, static windows by axis, points and arrays by axis, and the layout of the result."""

    dynamic: dict[int, tuple[Window, int]]
    windows: list[_Axis]
    points: dict[int, DimLike]
    arrays: dict[int, tuple[Value, int]]
    layout: list[int | str | None]
    """An axis that is kept, ``"array"`` for one that arrays index, None for a new axis; in the order of the items. Points of a basic index are left out."""
    together: bool = True
    """Whether the indices that are arrays, or whole numbers beside arrays, stand next to each other: `...` parts them even where it stands for no axis."""


def _plan(cx: Surface, t: TensorType, items: Sequence[Any]) -> _Plan:
    expanded = _expand(t, items)
    has_arrays = any(isinstance(i, Value) for i, _ in expanded)
    places = [k for k, i in enumerate(items) if isinstance(i, Value | int | Dim)]
    plan = _Plan({}, [], {}, {}, [], not places or places[-1] - places[0] == len(places) - 1)
    axis = 0
    for i, k in expanded:
        if i is NEWAXIS:
            plan.layout.append(None)
            continue
        n = t.shape[axis]
        whole = _Axis(0, n)
        if isinstance(i, Window) and i.size is not None:
            plan.dynamic[axis] = (i, k)
            plan.windows.append(whole)
            plan.layout.append(axis)
        elif isinstance(i, Window):
            plan.windows.append(_window(cx, i, n, axis, t, k))
            plan.layout.append(axis)
        elif isinstance(i, Value):
            v = _indices(i, k)
            _check_constant(v, n, axis, t, k)
            plan.arrays[axis] = (v, k)
            plan.windows.append(whole)
            plan.layout.append("array")
        elif isinstance(i, int | Dim) and not isinstance(i, bool):
            place = _point(cx, i, n, axis, t, k)
            if has_arrays:
                number = cx.literal(Literal("int", place), I64) if isinstance(place, int) else cx.graph.emit(OPS["dim"], (), (place,))
                plan.arrays[axis] = (number, k)
                plan.windows.append(whole)
                plan.layout.append("array")
            else:
                plan.points[axis] = place
                plan.windows.append(_Axis(place, 1))
        else:
            raise InferError("bad-argument", "an index is a whole number, a slice, `...`, `newaxis` or an array of whole numbers", [(k + 1, "this one")])
        axis += 1
    return plan


def _slice(v: Value, windows: Sequence[_Axis]) -> Value:
    if not all(w.whole(n) for w, n in zip(windows, v.shape, strict=True)):
        v = OPS["slice"](
            v, starts=tuple(w.start for w in windows), sizes=tuple(w.size for w in windows), strides=tuple(w.stride for w in windows)
        )
    flips = tuple(k for k, w in enumerate(windows) if w.flipped)
    return OPS["flip"](v, axes=flips) if flips else v


def _gather_axis(v: Value, rows: Value, axis: int) -> Value:
    """`v` with one axis replaced by its elements at `rows` (rank 1)."""
    taken = OPS["gather"](v, rows, axes=(axis,), batch=0)
    return emit_permute(taken, [*range(1, axis + 1), 0, *range(axis + 1, v.rank)])


def _order(plan: _Plan, lead: int) -> list[int | None]:
    """For each axis of what an index with arrays gives, its place where the `lead` axes of the arrays come first and the kept ones follow; None for a new axis.
    The arrays' axes stand where the first of them does if all stand together, else in front."""
    order: list[int | None] = [] if plan.together else list(range(lead))
    placed = not plan.together
    position = lead
    for a in plan.layout:
        if a == "array":
            if not placed:
                order += range(lead)
                placed = True
        elif a is None:
            order.append(None)
        else:
            order.append(position)
            position += 1
    return order


def _arranged(v: Value, plan: _Plan) -> Value:
    """After a gather (index axes first, then kept axes): the axes where NumPy puts them, and new axes."""
    kept = [a for a in plan.layout if isinstance(a, int)]
    if "array" not in plan.layout:
        shape: list[DimLike] = []
        sizes = iter(v.shape)
        for a in plan.layout:
            shape.append(1 if a is None else next(sizes))
        return emit_reshape(v, tuple(shape))
    order = _order(plan, v.rank - len(kept))
    v = emit_permute(v, [k for k in order if k is not None])
    sizes = iter(v.shape)
    return emit_reshape(v, tuple(1 if k is None else next(sizes) for k in order))


def _index_values(cx: Surface, plan: _Plan) -> tuple[tuple[int, ...], list[Value]]:
    axes = tuple(sorted(plan.arrays))
    try:
        values = cx.broadcast([plan.arrays[a][0] for a in axes], "index")
    except InferError as e:
        marks = [(plan.arrays[axes[w]][1] + 1, text) if isinstance(w, int) else (w, text) for w, text in e.marks]
        raise InferError(e.code, f"index arrays do not go together: {e.message}", marks, e.help, e.dim_fact) from None
    return axes, values


def getitem(cx: Surface, x: Value, items: Sequence[Any]) -> Value:
    """`x[items]`."""
    plan = _plan(cx, x.type, items)
    v = x
    for axis, (w, _) in plan.dynamic.items():
        v = _gather_axis(v, _rows(cx, w, v.shape[axis]), axis)
        plan.windows[axis] = _Axis(0, v.shape[axis])
    v = _slice(v, plan.windows)
    if plan.points:
        v = emit_reshape(v, tuple(d for k, d in enumerate(v.shape) if k not in plan.points))
    if plan.arrays:
        axes, values = _index_values(cx, plan)
        v = OPS["gather"](v, *values, axes=axes, batch=0)
    return _arranged(v, plan)


def put(cx: Surface, x: Value, items: Sequence[Any], value: Any, add: bool) -> Value:
    """`x with [items] = value`, or `+=`: everything else as it was. Repeated indices: the last wins, or all add."""
    last = len(items) + 1
    new = _converted(cx, x, value, last, add)
    if isinstance(items[0] if items else None, Value) and items[0].dtype is BOOL and all(_is_rest(i) for i in items[1:]):
        return _put_where(cx, x, items[0], new, add, last)
    plan = _plan(cx, x.type, items)
    if plan.dynamic:
        axis, (w, k) = next(iter(plan.dynamic.items()))
        rows = _rows(cx, w, x.shape[axis])
        part = _gather_axis(x, rows, axis)
        inner = [Window() if item is w and position == k else item for position, item in enumerate(items)]
        part = put(cx, part, inner, new, add)
        front = emit_permute(part, [axis, *[a for a in range(x.rank) if a != axis]])
        return OPS["scatter"](x, front, rows, axes=(axis,), batch=0, mode="set")
    if not plan.arrays:
        return _put_window(x, plan, new, add, cx, last)
    axes, values = _index_values(cx, plan)
    lead = values[0].rank
    part = _slice(x, plan.windows)
    kept = [a for a in range(x.rank) if a not in axes]
    target = (*values[0].shape, *[part.shape[a] for a in kept])
    shaped = _shaped_like_result(cx, new, plan, target, lead, last)
    part = OPS["scatter"](part, shaped, *values, axes=axes, batch=0, mode="add" if add else "set")
    if all(w.whole(n) and not w.flipped for w, n in zip(plan.windows, x.shape, strict=True)):
        return part
    flips = tuple(k for k, w in enumerate(plan.windows) if w.flipped)
    if flips:
        part = OPS["flip"](part, axes=flips)
    return OPS["update"](x, part, starts=tuple(w.start for w in plan.windows), strides=tuple(w.stride for w in plan.windows))


def _is_rest(item: Any) -> bool:
    return item is ELLIPSIS or item == Window()


def _put_where(cx: Surface, x: Value, mask: Value, new: Value, add: bool, last: int) -> Value:
    """By a mask of the leading axes: a choice, so that the new elements must not depend on how many the mask has."""
    for k, d in enumerate(mask.shape):
        equal = cx.graph.equal_sizes(x.shape[k], d) if k < x.rank else False
        if equal is not True:
            raise InferError(
                "shape-mismatch" if equal is False else "dim-unproved",
                f"a mask has the shape of what it selects from: not {mask.type} for {x.type}",
                [(0, f"this is {x.type}"), (1, f"this is {mask.type}")],
                dim_fact=None if equal is False else f"dim {x.shape[k]} == {d}",
            )
    inner = x.shape[mask.rank :]
    if new.rank > len(inner) and new.shape[0] == 1:  # NumPy stretches an axis of size 1 to what the mask selects
        new = emit_reshape(new, new.shape[1:])
    if new.rank > len(inner):
        raise InferError(
            "not-static",
            f"{new.type} does not fit what a mask selects: how many elements these are is known only while running",
            [(last, f"this is {new.type}")],
            help="choose element by element: `where(mask, new, x)`",
        )
    new = cx.stretch(_stretched(cx, new, inner, last), x.shape)
    return OPS["where"](broadcast_along(mask, x.shape, tuple(range(mask.rank))), x + new if add else new, x)


def _converted(cx: Surface, x: Value, value: Any, last: int, add: bool) -> Value:
    if isinstance(value, Literal):
        if KIND_ORDER[value.kind] > KIND_ORDER[x.dtype.kind]:
            raise InferError(
                "wrong-dtype",
                f"a {'fraction' if value.kind == 'float' else 'number'} cannot be put into {x.type}",
                [(0, f"this is {x.type}"), (last, "this one")],
                help="convert the tensor first: `f64(x) with […] = …`",
            )
        return cx.literal(value, x.dtype)
    if promote(value.dtype, x.dtype) is not x.dtype:
        raise InferError(
            "wrong-dtype",
            f"{value.type} cannot be put into {x.type} without losing digits",
            [(0, f"this is {x.type}"), (last, f"this is {value.type}")],
            help=f"convert it: `{x.dtype}(…)`",
        )
    return cx.cast(value, x.dtype, f"put into {x.dtype}")


def _stretched(cx: Surface, new: Value, shape: tuple[DimLike, ...], last: int) -> Value:
    try:
        return cx.stretch(new, shape)
    except InferError:
        lead = len(shape) - new.rank
        fact = None
        if lead >= 0:
            open_pairs = [
                (d, shape[lead + k]) for k, d in enumerate(new.shape) if d != 1 and cx.graph.equal_sizes(d, shape[lead + k]) is None
            ]
            certain = [k for k, d in enumerate(new.shape) if d != 1 and cx.graph.equal_sizes(d, shape[lead + k]) is False]
            if open_pairs and not certain:
                fact = suggest_fact(open_pairs[0][0], open_pairs[0][1])
        text = ", ".join(map(str, shape))
        raise InferError(
            "shape-mismatch" if fact is None else "dim-unproved",
            f"{new.type} does not fit the [{text}] elements that are replaced",
            [(last, f"this is {new.type}")],
            None,
            fact,
        ) from None


def _put_window(x: Value, plan: _Plan, new: Value, add: bool, cx: Surface, last: int) -> Value:
    visible: list[DimLike] = []
    for a in plan.layout:
        visible.append(1 if a is None else plan.windows[a].size)  # type: ignore[index]
    sizes = tuple(w.size for w in plan.windows)
    new = emit_reshape(_stretched(cx, new, tuple(visible), last), sizes)
    flips = tuple(k for k, w in enumerate(plan.windows) if w.flipped)
    if flips:
        new = OPS["flip"](new, axes=flips)
    starts, strides = tuple(w.start for w in plan.windows), tuple(w.stride for w in plan.windows)
    if all(w.whole(n) for w, n in zip(plan.windows, x.shape, strict=True)):
        return x + new if add else new
    if add:
        new = OPS["slice"](x, starts=starts, sizes=sizes, strides=strides) + new
    return OPS["update"](x, new, starts=starts, strides=strides)


def _shaped_like_result(
    cx: Surface, new: Value, plan: _Plan, target: tuple[DimLike, ...], lead: int, last: int
) -> Value:
    """The new elements, which look like the result of the index, with the index axes first as `scatter` takes them."""
    order = _order(plan, lead)
    visible = tuple(1 if k is None else target[k] for k in order)
    new = _stretched(cx, new, visible, last)
    real = [k for k in order if k is not None]
    new = emit_reshape(new, tuple(target[k] for k in real))
    inverse = [0] * len(real)
    for at, k in enumerate(real):
        inverse[k] = at
    return emit_permute(new, inverse)
