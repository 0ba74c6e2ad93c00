"""Sorting and searching along an axis: `sort`, `argsort`, `searchsorted`, and what is made of them (`topk`, `kthvalue`, `bucketize`).

The gradient of what is sorted goes back by the permutation of the stable sort, so elements that tie keep their own cotangents. NaN counts as the
greatest number, as in NumPy: it stands last, and first where the order is descending. What has a size that depends on the numbers (`unique`) is refused.

>>> from dfg.ops import get
>>> get("argsort").evaluate(np, np.array([3.0, 1.0, 2.0, 1.0]), axis=0, descending=False)
array([1, 3, 2, 0])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dfg.dims import DimLike, suggest_fact
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPAQUE, OPS, Attr, Axes, Case, NoGradient, Op, Reject, RuleContext, check_dtype, define, full_like, tensor
from dfg.ops.elementwise import emit_cast
from dfg.ops.indexed import gather
from dfg.ops.movement import broadcast_along, check_axes, emit_permute, emit_reshape, inverse
from dfg.ops.surface import Arg, Axis, Flag, OptionalArg, Size, Static, Surface, Word, axis_number, function, plain, size_of
from dfg.types import ANY, I64, TensorType, Type

# --- helpers ---------------------------------------------------------------------------------------------------------------------


def take_along(x: Value, indices: Value, axis: int) -> Value:
    """Elements of `x` at indices (of its rank) along an axis, lane by lane: a gather whose other axes are batch axes."""
    order = [*[k for k in range(x.rank) if k != axis], axis]
    last = x.rank - 1
    taken = gather(emit_permute(x, order), emit_permute(indices, order), axes=(last,), batch=last)
    return emit_permute(taken, inverse(order))


def window_of(x: Value, axis: int, start: DimLike, size: DimLike) -> Value:
    """`size` elements from `start` along one axis."""
    if start == 0 and size == x.shape[axis]:
        return x
    starts = tuple(start if k == axis else 0 for k in range(x.rank))
    sizes = tuple(size if k == axis else d for k, d in enumerate(x.shape))
    return OPS["slice"](x, starts=starts, sizes=sizes, strides=(1,) * x.rank)


def axis_in(x: Value, axis: Any, name: str) -> tuple[Value, int]:
    """The operand and the number of the axis; a scalar is a row of one element (as in PyTorch), which the caller turns back by `like`."""
    if x.rank == 0:
        axis_number(axis, 1, name)
        return emit_reshape(x, (1,)), 0
    return x, axis_number(axis, x.rank, name)


def like(made: Value, x: Value) -> Value:
    """Turns back what `axis_in` did for a scalar."""
    return emit_reshape(made, ()) if x.rank == 0 and made.shape == (1,) else made


def flat_or_axis(cx: Surface, x: Any, axis: Any, name: str) -> tuple[Value, int]:
    """The operand and an axis of it; without one the flattened operand."""
    v = cx.value(x)
    if plain(axis) is None:
        return emit_reshape(v, (v.type.size,)), 0
    return axis_in(v, axis, name)


# --- sort and argsort --------------------------------------------------------------------------------------------------------------

ORDER_ATTRS = (Attr("axis", "axis"), Attr("descending", "bool"))


def one_axis(v: Value) -> Axes:
    """Axes of an op that works along `axis` and keeps the shape."""
    return tuple(tuple(OPAQUE if k == v.attrs[0] else k for k in range(o.rank)) for o in v.operands)


def _sort_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    check_axes(t, (attrs[0],))
    return t


def _argsort(xp: Any, x: Any, *, axis: int, descending: bool) -> Any:
    if not descending:
        return xp.argsort(x, axis=axis, kind="stable").astype(np.int64)
    # Stable and descending: the last of the reversed order comes first, and ties keep theirs.
    places = xp.argsort(xp.flip(x, axis), axis=axis, kind="stable")
    return x.shape[axis] - 1 - xp.flip(places, axis).astype(np.int64)


def _sort(xp: Any, x: Any, *, axis: int, descending: bool) -> Any:
    made = xp.sort(x, axis=axis)
    return xp.flip(made, axis) if descending else made


def _sort_into(out: str, x: str, *, axis: int, descending: bool) -> list[str]:
    return [f"np.copyto({out}, {x})", f"np.flip({out}, {axis}).sort({axis})" if descending else f"{out}.sort({axis})"]


def _inverse_places(places: Value, axis: int) -> Value:
    """The inverse of permutations along an axis, each written down in one go rather than sorted for."""
    order = [*[k for k in range(places.rank) if k != axis], axis]
    turned = emit_permute(places, order)
    last = places.rank - 1
    counts = broadcast_along(places.graph.emit(OPS["iota"], (), (places.shape[axis], I64)), turned.shape, (last,))
    made = OPS["scatter"](full_like(turned, 0), counts, turned, axes=(last,), batch=last, mode="set")
    return emit_permute(made, inverse(order))


def _sort_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    axis, descending = y.attrs
    places = argsort(y.operands[0], axis=axis, descending=descending)
    return [take_along(ct, _inverse_places(places, axis), axis)]


def _comparisons(v: Value) -> DimLike:
    size: DimLike = v.type.size
    return size * 8


def _order_samples(distinct: bool) -> Callable[[np.random.Generator], list[Case]]:
    def samples(rng: np.random.Generator) -> list[Case]:
        def draw(s: tuple[int, ...]) -> np.ndarray:
            # Well apart, so that a small step changes no order.
            return (rng.permutation(int(np.prod(s))) * 0.1).reshape(s)

        shapes = [((5,), 0), ((3, 4), 1), ((3, 4), 0), ((2, 3, 2), 1), ((1, 3), 0), ((0, 2), 0), ((2, 0), 0), ((2, 2, 2, 3), 3)]
        result = [Case((draw(s),), (("axis", a), ("descending", d))) for s, a in shapes for d in (False, True)]
        if not distinct:
            ties = np.array([2.0, 1.0, np.nan, 2.0, 1.0, np.inf])
            result += [Case((ties,), (("axis", 0), ("descending", d)), wrt=()) for d in (False, True)]
        for a in (rng.integers(0, 4, (3, 5)), rng.random(6) < 0.5, rng.integers(0, 9, 5).astype(np.uint8)):
            result.append(Case((a,), (("axis", a.ndim - 1), ("descending", True)), wrt=()))
        return result

    return samples


_BAD_AXIS = Reject(("f64[3]",), (("axis", 1), ("descending", False)), "bad-argument")

argsort = define(
    Op(
        "argsort",
        "The indices that sort along an axis, in the order of a stable sort: equal elements keep theirs.",
        lambda cx, operands, attrs: _sort_infer(cx, operands, attrs).with_dtype(I64),  # type: ignore[union-attr]
        NoGradient("a place is an integer"),
        attrs=ORDER_ATTRS,
        evaluate=_argsort,
        axes=one_axis,
        workspace=lambda v: v.type.size * 24 + v.operands[0].type.size * v.operands[0].dtype.size,
        cost=_comparisons,
        samples=_order_samples(False),
        rejects=(_BAD_AXIS,),
    )
)

sort = define(
    Op(
        "sort",
        "The elements in order along an axis; the gradient goes back by the permutation of the stable sort.",
        _sort_infer,
        _sort_vjp,
        attrs=ORDER_ATTRS,
        evaluate=_sort,
        into=_sort_into,
        axes=one_axis,
        linear=(True,),
        moves=True,
        # NumPy sorts lanes that are not contiguous in a buffer of one lane.
        workspace=lambda v: 0 if v.attrs[0] == v.rank - 1 else v.shape[v.attrs[0]] * v.dtype.size,
        cost=_comparisons,
        samples=_order_samples(True),
        rejects=(_BAD_AXIS,),
    )
)


@function("sort")
def sort_(cx: Surface, x: Arg, axis: Axis = -1, descending: Flag = False, stable: Flag = True) -> Value:
    """The elements in order along an axis (the last by default). NaN counts as the greatest. It is stable in any case."""
    v = cx.value(x)
    w, k = axis_in(v, axis, "sort")
    return like(sort(w, axis=k, descending=bool(plain(descending))), v)


@function("argsort")
def argsort_(cx: Surface, x: Arg, axis: Axis = -1, descending: Flag = False, stable: Flag = True) -> Value:
    """The indices that sort along an axis (the last by default), by a stable sort in any case: equal elements keep their order."""
    v = cx.value(x)
    w, k = axis_in(v, axis, "argsort")
    return like(argsort(w, axis=k, descending=bool(plain(descending))), v)


@function("topk")
def topk(cx: Surface, x: Arg, k: Size, axis: Axis = -1, largest: Flag = True) -> tuple[Value, ...]:
    """The `k` largest (or smallest) elements along an axis, in order, and their indices: `values, indices = topk(x, 3)`. Of elements that tie the first come first."""
    v = cx.value(x)
    w, a = axis_in(v, axis, "topk")
    count = size_of(k, "topk", "k")
    cx.graph.need(count, 0, "`topk` takes no negative number of elements", "bad-argument", [("k", "this one")])
    _within(cx, w, a, count, "topk", "k")
    places = window_of(argsort(w, axis=a, descending=bool(plain(largest))), a, 0, count)
    return like(take_along(w, places, a), v), like(places, v)


@function("kthvalue")
def kthvalue(cx: Surface, x: Arg, k: Size, axis: Axis = -1, keepdims: Flag = False) -> tuple[Value, ...]:
    """The k-th smallest element along an axis (the smallest is the first) and its index."""
    v = cx.value(x)
    w, a = axis_in(v, axis, "kthvalue")
    place = size_of(k, "kthvalue", "k")
    cx.graph.need(place, 1, "`kthvalue` counts from 1", "bad-argument", [("k", "this one")])
    _within(cx, w, a, place, "kthvalue", "k")
    places = window_of(argsort(w, axis=a, descending=False), a, place - 1, 1)
    both = take_along(w, places, a), places
    shape = tuple(1 if i == a else d for i, d in enumerate(w.shape)) if plain(keepdims) else tuple(d for i, d in enumerate(w.shape) if i != a)
    return tuple(emit_reshape(b, () if v.rank == 0 else shape) for b in both)


def _within(cx: Surface, x: Value, axis: int, count: DimLike, name: str, argument: str) -> None:
    cx.graph.need(
        x.shape[axis], count, f"`{name}` takes at most as many elements as the axis has", "bad-argument",
        [("x", f"axis {axis} of {x.type} has size {x.shape[axis]}"), (argument, "this one")],
    )  # fmt: skip


# --- searchsorted --------------------------------------------------------------------------------------------------------------------


def _search_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    s, t = tensor(operands[0]), tensor(operands[1])
    side, batch = attrs
    if side not in ("left", "right"):
        raise InferError("bad-argument", f'`searchsorted` takes "left" or "right" as `side`, not "{side}"', [("side", "this one")])
    check_dtype("searchsorted", s, ANY[1:])
    if s.dtype is not t.dtype:
        raise InferError("wrong-dtype", f"`searchsorted` takes operands of one dtype, not {s.dtype} and {t.dtype}", [(1, f"this is {t}")])
    if s.rank != batch + 1 or t.rank < batch:
        raise InferError(
            "rank-mismatch", f"`searchsorted` searches rows of sorted numbers: {s} does not go with {t}", [(0, f"this is {s}"), (1, f"this is {t}")]
        )
    for k in range(batch):
        if (proved := cx.equal_sizes(s.shape[k], t.shape[k])) is not True:
            raise InferError(
                "shape-mismatch" if proved is False else "dim-unproved",
                f"`searchsorted` searches row by row: axis {k} of {s} and of {t} differ",
                [(0, f"axis {k} is {s.shape[k]}"), (1, f"axis {k} is {t.shape[k]}")],
                dim_fact=None if proved is False else suggest_fact(s.shape[k], t.shape[k]),
            )
    return TensorType(I64, t.shape)


def _search(xp: Any, s: Any, t: Any, *, side: str, batch: int) -> Any:
    if not batch:
        return np.asarray(xp.searchsorted(s, t, side=side), np.int64)
    # Bisection of all rows at once: log2(n) steps over arrays of the result's shape.
    lead = s.shape[:batch]
    values = xp.reshape(t, (*lead, math.prod(t.shape[batch:])))  # not -1: an empty array does not tell
    low = xp.zeros(values.shape, np.int64)
    high = xp.full(values.shape, s.shape[-1], np.int64)
    last = max(s.shape[-1] - 1, 0)
    for _ in range(int(s.shape[-1]).bit_length()):
        middle = (low + high) // 2
        here = xp.take_along_axis(s, xp.minimum(middle, last), -1)
        right = _before(xp, here, values) if side == "left" else ~_before(xp, values, here)
        right &= low < high
        low = xp.where(right, middle + 1, low)
        high = xp.where(right, high, middle)
    return xp.reshape(low, t.shape)


def _before(xp: Any, a: Any, b: Any) -> Any:
    """a < b where NaN is the greatest number, as sorting has it."""
    made = a < b
    return made | (xp.isnan(b) & ~xp.isnan(a)) if a.dtype.kind == "f" else made


def _search_samples(rng: np.random.Generator) -> list[Case]:
    result = []
    for s, t, batch in [((5,), (4,), 0), ((5,), (2, 3), 0), ((0,), (2,), 0), ((2, 4), (2, 3), 1), ((2, 3, 4), (2, 3, 2), 2), ((3, 4), (3,), 1), ((2, 0), (2, 2), 1), ((0, 3), (0, 2), 1), ((0, 0), (0, 0), 1)]:
        a, b = np.sort(rng.integers(0, 5, s).astype(np.float64), -1), rng.integers(-1, 6, t).astype(np.float64)
        result += [Case((a, b), (("side", side), ("batch", batch)), wrt=()) for side in ("left", "right")]
    rows = np.array([[0.0, 1.0, np.nan, np.nan], [-np.inf, 0.0, 2.0, np.inf]])
    probes = np.array([[np.nan, 1.0], [np.nan, np.inf]])
    result += [Case((rows, probes), (("side", side), ("batch", 1)), wrt=()) for side in ("left", "right")]
    result.append(Case((np.sort(rng.integers(0, 9, 6)), rng.integers(0, 9, 4)), (("side", "left"), ("batch", 0)), wrt=()))
    return result


def _search_axes(v: Value) -> Axes:
    _, t = v.operands
    batch = v.attrs[1]
    return ((*range(batch), OPAQUE), tuple(range(t.rank)))


searchsorted = define(
    Op(
        "searchsorted",
        "Where each number would go in a sorted row so that it stays sorted: before equal elements (left) or after them (right).",
        _search_infer,
        NoGradient("a place is an integer"),
        attrs=(Attr("side", "text"), Attr("batch", "batch")),
        arity=2,
        evaluate=_search,
        axes=_search_axes,
        workspace=lambda v: v.type.size * 72 if v.attrs[1] else v.type.size * 8,
        cost=lambda v: v.type.size * 20,
        samples=_search_samples,
        rejects=(
            Reject(("f64[2, 3]", "f64[2]"), (("side", "left"), ("batch", 0)), "rank-mismatch"),
            Reject(("f64[2, 3]", "f64[3, 2]"), (("side", "left"), ("batch", 1)), "shape-mismatch"),
            Reject(("f64[3]", "i64[2]"), (("side", "left"), ("batch", 0)), "wrong-dtype"),
            Reject(("f64[3]", "f64[2]"), (("side", "middle"), ("batch", 0)), "bad-argument"),
        ),
    )
)


@function("searchsorted")
def searchsorted_(cx: Surface, x1: Arg, x2: Arg, side: Word = "left", sorter: OptionalArg = None, batch: Static = None) -> Value:
    """Where each number of `x2` would go in the sorted row `x1`. With leading axes (`batch` of them, all but the last of `x1` by default) row by row.
    `sorter` are indices that sort `x1`."""
    a, b = cx.promote((x1, x2), "searchsorted")
    if a.rank == 0:
        raise InferError("rank-mismatch", f"`searchsorted` searches sorted rows, not the scalar {a.type}", [("x1", f"this is {a.type}")])
    if sorter is not None:
        order = emit_cast(cx.value(sorter), I64)
        a = take_along(a, order, a.rank - 1)
    given = plain(batch)
    rows = a.rank - 1 if given is None else given
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 0:
        raise InferError("bad-argument", "`searchsorted` takes a number of axes as `batch`", [("batch", "this one")])
    if rows > b.rank:
        raise InferError("rank-mismatch", f"`searchsorted` searches row by row: {b.type} has no {rows} leading axes", [("x2", f"this is {b.type}")])
    return searchsorted(a, b, side=plain(side), batch=rows)


@function("bucketize")
def bucketize(cx: Surface, x: Arg, boundaries: Arg, right: Flag = False) -> Value:
    """The bucket of each number between ascending boundaries: a number on a boundary is in the bucket below it, with `right` in the one above (as in PyTorch)."""
    made: Value = searchsorted_(cx, boundaries, x, "right" if plain(right) else "left", None, 0)
    return made


@function("digitize")
def digitize(cx: Surface, x: Arg, bins: Arg, right: Flag = False) -> Value:
    """The bucket of each number between ascending bins: a number on a bin's edge is in the bucket above it, with `right` in the one below (as in NumPy)."""
    made: Value = searchsorted_(cx, bins, x, "left" if plain(right) else "right", None, 0)
    return made


# --- what has no static shape ----------------------------------------------------------------------------------------------------------


def _refuse(name: str, instead: str) -> None:
    def f(cx: Surface, x: Arg) -> Value:
        raise InferError(
            "not-static",
            f"the size of what `{name}` gives depends on the numbers and is not known while compiling",
            [("x", "of this")],
            help=instead,
        )

    f.__doc__ = f"Refused, since the size of its result depends on the numbers: {instead}."
    function(name)(f)


for _name in ("unique", "unique_values", "unique_counts", "unique_inverse", "unique_all"):
    _refuse(_name, "`sort` brings equal elements together, and comparing neighbours marks the first of each")
for _name in ("nonzero", "argwhere", "flatnonzero"):
    _refuse(_name, "select through `where`, or use the mask as numbers: `f64(x != 0)`")
