"""Gather and scatter by integer arrays. Their vjps are each other, and move liveness predicates (adding booleans is or-ing)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dfg.dims import DimLike
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPAQUE, OPS, Attr, Axes, Case, Op, Reject, RuleContext, define, full, full_like, tensor
from dfg.ops.movement import broadcast_along, check_axes, emit_reshape, size_product
from dfg.types import BOOL, I64, TensorType, Type


def _indexed(
    cx: Graph, t: TensorType, indices: Sequence[Value], axes: Sequence[int], batch: int
) -> tuple[tuple[DimLike, ...], tuple[DimLike, ...]]:
    """The shape of the index arrays and the sizes of the axes that are not indexed."""
    check_axes(t, axes)
    if len(axes) != len(indices) or not axes:
        raise InferError("bad-argument", f"{len(indices)} index arrays for {len(axes)} axes")
    if any(a < batch for a in axes):
        raise InferError("bad-argument", "a batch axis is not indexed")
    shape = tensor(indices[0]).shape
    for k, i in enumerate(indices):
        u = tensor(i)
        if u.dtype is not I64:
            raise InferError(
                "wrong-dtype",
                f"an index is an integer array, not {u}",
                [(k + 1, f"this is {u}")],
                help="`i64(…)` converts; a mask selects through `where`",
            )
        if u.shape != shape or len(shape) < batch or any(cx.equal_sizes(shape[b], t.shape[b]) is not True for b in range(batch)):
            raise InferError("shape-mismatch", f"index arrays of {u.shape} and {shape} do not go together", [(k + 1, f"this is {u}")])
    return shape, tuple(d for k, d in enumerate(t.shape) if k >= batch and k not in axes)


def _gather_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    shape, rest = _indexed(cx, t, operands[1:], *attrs)
    return TensorType(t.dtype, (*shape, *rest))


def _gather_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    x, *indices = y.operands
    zeros = full(ct.graph, 0, x.type.with_dtype(ct.dtype))
    return [scatter(zeros, ct, *indices, axes=y.attrs[0], batch=y.attrs[1], mode="add"), *[None] * len(indices)]


def _check_bounds(indices: Sequence[np.ndarray], sizes: Sequence[int]) -> list[np.ndarray]:
    """Indices made non-negative; IndexError if one is outside its axis."""
    result = []
    for i, n in zip(indices, sizes, strict=True):
        i = np.asarray(i)
        if i.size:
            low, high = int(i.min()), int(i.max())
            if low < -n or high >= n:
                raise IndexError(f"index {low if low < -n else high} is outside an axis of size {n}")
            if low < 0:
                i = np.where(i < 0, i + n, i)
        result.append(i)
    return result


def _place(x_ndim: int, indices: Sequence[np.ndarray], axes: Sequence[int], batch: int) -> tuple[list[int], tuple[Any, ...]]:
    """The order of x's axes that puts batch and indexed ones first, and the index into it."""
    order = [*range(batch), *axes, *[k for k in range(batch, x_ndim) if k not in axes]]
    shape = indices[0].shape
    grids = [np.arange(shape[b]).reshape([-1 if k == b else 1 for k in range(len(shape))]) for b in range(batch)]
    return order, (*grids, *indices)


def _gather(xp: Any, x: Any, *indices: Any, axes: tuple[int, ...], batch: int) -> Any:
    indices_ = _check_bounds(indices, [x.shape[a] for a in axes])
    if len(axes) == 1 and batch == 0:
        result = (
            xp.take(x, indices_[0], axis=axes[0], mode="clip")
            if x.shape[axes[0]]
            else xp.zeros((*indices_[0].shape, *[n for k, n in enumerate(x.shape) if k != axes[0]]), x.dtype)
        )
        k = indices_[0].ndim
        return (
            xp.transpose(result, (*range(axes[0], axes[0] + k), *range(axes[0]), *range(axes[0] + k, result.ndim)))
            if x.shape[axes[0]]
            else result
        )
    order, index = _place(x.ndim, indices_, axes, batch)
    return xp.transpose(x, order)[index]


def _gather_axes(v: Value) -> Axes:
    x, *indices = v.operands
    axes, batch = v.attrs
    rest = [k for k in range(batch, x.rank) if k not in axes]
    k = indices[0].rank
    own = tuple(a if a < batch else OPAQUE if a in axes else k + rest.index(a) for a in range(x.rank))
    return (own, *[tuple(range(k)) for _ in indices])


def _index_samples(rng: np.random.Generator) -> list[tuple[np.ndarray, list[np.ndarray], tuple[int, ...], int]]:
    return [
        (rng.normal(size=4), [np.array([0, 2, 2, -1])], (0,), 0),
        (rng.normal(size=(3, 4)), [np.array([[1, 0], [2, 2]])], (1,), 0),
        (rng.normal(size=(3, 4, 2)), [np.array([0, 2, 0]), np.array([3, 1, 3])], (0, 1), 0),
        (rng.normal(size=(2, 4)), [np.array([[1, 1, 3], [0, 2, 2]])], (1,), 1),
        (rng.normal(size=(3, 2)), [np.zeros((0,), np.int64)], (0,), 0),
        (rng.normal(size=3), [np.array(1)], (0,), 0),
    ]


GATHER_ATTRS = (Attr("axes", "axes"), Attr("batch", "batch"))
gather = define(
    Op(
        "gather",
        "Elements at integer indices along `axes`; the first `batch` axes of operand and indices go together. The index axes come first in the result.",
        _gather_infer,
        _gather_vjp,
        attrs=GATHER_ATTRS,
        arity=None,
        evaluate=_gather,
        axes=_gather_axes,
        linear=(True,),
        moves=True,
        partial=True,
        fails="out-of-bounds",
        cost=lambda v: 0,
        samples=lambda rng: [Case((x, *i), (("axes", a), ("batch", b)), wrt=(0,)) for x, i, a, b in _index_samples(rng)],
        rejects=(Reject(("f64[3]", "f64[2]"), (("axes", (0,)), ("batch", 0)), "wrong-dtype"),),
    )
)


def _scatter_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t, u = tensor(operands[0]), tensor(operands[1])
    shape, rest = _indexed(cx, t, operands[2:], attrs[0], attrs[1])
    if u != TensorType(t.dtype, (*shape, *rest)):
        raise InferError(
            "shape-mismatch", f"{u} cannot be put at indices of shape {list(shape)} of {t}", [(0, f"this is {t}"), (1, f"this is {u}")]
        )
    return t


def _last_writer(y: Value) -> Value:
    """Whether each written element is the one that stays."""
    x, v, *indices = y.operands
    axes, batch, _ = y.attrs
    g = y.graph
    shape = indices[0].shape
    ids = emit_reshape(g.emit(OPS["iota"], (), (size_product(shape), I64)), shape)
    board = full(g, -1, TensorType(I64, tuple(d for k, d in enumerate(x.shape) if k < batch or k in axes)))
    places = {"axes": tuple(range(batch, batch + len(axes))), "batch": batch}
    board = scatter(board, ids, *indices, **places, mode="set")
    wins = OPS["equal"](gather(board, *indices, **places), ids)
    return broadcast_along(wins, v.shape, tuple(range(len(shape))))


def _scatter_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    _, v, *indices = y.operands
    axes, batch, mode = y.attrs
    result: list[Value | None] = [None, None, *[None] * len(indices)]
    places = {"axes": axes, "batch": batch}
    if cx.need[0]:
        result[0] = ct if mode == "add" else scatter(ct, full(ct.graph, 0, v.type.with_dtype(ct.dtype)), *indices, **places, mode="set")
    if cx.need[1]:
        taken = gather(ct, *indices, **places)
        if mode == "set":
            wins = _last_writer(y)
            taken = wins & taken if ct.dtype is BOOL else OPS["where"](wins, taken, full_like(taken, 0))
        result[1] = taken
    return result


CHUNK = 8192
"""So many elements are added at once: their places take no more than NumPy's own buffers."""


def add_rows(target: Any, index: Any, values: Any) -> None:
    """Add (of booleans: or) values to the rows of an array named by indices, row after row. NumPy's `add.at` is quick for a vector and places that are one vector,
    and ten times slower else: so rows are taken apart into the places of their elements, a piece at a time."""
    if not target.flags.c_contiguous or not index.size or not target.size:
        (np.logical_or if target.dtype == bool else np.add).at(target, index, values)
        return
    flat = target.reshape(-1)
    width = target.size // target.shape[0]
    if index.ndim != 1:
        values = values.reshape(index.size, *values.shape[index.ndim :])
        index = index.reshape(-1)
    within = np.arange(width)
    step = max(1, CHUNK // width)
    room = np.empty((min(step, index.size), width), np.int64) if width > 1 else index
    for k in range(0, index.size, step):
        rows = index[k : k + step]
        if width > 1 and np.minimum.reduce(rows) < 0:
            rows = np.where(rows < 0, rows + len(target), rows)
        if width > 1:
            places = room[: len(rows)]
            np.multiply(rows[:, None], width, places)
            places += within
            places = places.reshape(-1)
        else:
            places = rows
        part = values[k : k + step].reshape(-1)
        if target.dtype == bool:
            flat[places[part]] = True
        else:
            np.add.at(flat, places, part)


def _scatter(xp: Any, x: Any, v: Any, *indices: Any, axes: tuple[int, ...], batch: int, mode: str) -> Any:
    result = xp.array(x, copy=True)
    indices_ = _check_bounds(indices, [x.shape[a] for a in axes])
    order, index = _place(x.ndim, indices_, axes, batch)
    target = xp.transpose(result, order)
    if mode == "set":
        target[index] = v
    elif len(index) == 1 and order == sorted(order):
        add_rows(target, index[0], v)
    elif x.dtype == bool:
        np.logical_or.at(target, index, v)
    else:
        np.add.at(target, index, v)
    return result


def _scatter_axes(v: Value) -> Axes:
    x, u, *indices = v.operands
    axes, batch, _ = v.attrs
    k = indices[0].rank
    rest = [a for a in range(batch, x.rank) if a not in axes]
    own = tuple(OPAQUE if a in axes else a for a in range(x.rank))
    return (
        own,
        tuple(a if a < batch else OPAQUE if a < k else rest[a - k] for a in range(u.rank)),
        *[tuple(a if a < batch else OPAQUE for a in range(k)) for _ in indices],
    )


def _scatter_samples(rng: np.random.Generator) -> list[Case]:
    cases = []
    for x, i, axes, batch in _index_samples(rng):
        shape = (*i[0].shape, *[n for k, n in enumerate(x.shape) if k >= batch and k not in axes])
        cases += [
            Case((x, rng.normal(size=shape), *i), (("axes", axes), ("batch", batch), ("mode", m)), wrt=(0, 1)) for m in ("add", "set")
        ]
    return cases


scatter = define(
    Op(
        "scatter",
        "The first operand with the second put (the last of repeated indices wins) or added at integer indices along `axes`.",
        _scatter_infer,
        _scatter_vjp,
        attrs=(*GATHER_ATTRS, Attr("mode", "text")),
        arity=None,
        evaluate=_scatter,
        axes=_scatter_axes,
        linear=(True, True),
        moves=True,
        partial=True,
        fails="out-of-bounds",
        samples=_scatter_samples,
        rejects=(Reject(("f64[3]", "f64[3]", "i64[2]"), (("axes", (0,)), ("batch", 0), ("mode", "add")), "shape-mismatch"),),
    )
)
