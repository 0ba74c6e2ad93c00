"""Ops that become several steps: contractions, indexing by arrays, updates of windows, powers, places of extremes.

A contraction is one `matmul` over views where the strides, in symbols, let BLAS take operands and result as they lie; only what does not is copied, into slots that
the plan counts. Indices are checked once, made non-negative, and combined into one index of rows, in slots too, so that NumPy allocates nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from dfg.dims import DimLike
from dfg.ir import Value
from dfg.ops.base import OPS, Attr, NoGradient, Op, const_scalar, const_value
from dfg.ops.contract import split_subs
from dfg.ops.movement import inverse
from dfg.passes.layout import Strides, dense_strides, matrix, merged, plus
from dfg.passes.region import LOWERINGS, Region
from dfg.types import I32, I64, DType, TensorType

MASKED = 8192
"""From so many bytes on, at the hint sizes, choices are made with masks."""

# --- contraction -------------------------------------------------------------------------------------------------------------------


class _Side:
    """One tensor of a contraction: its letters, their sizes, and how it lies."""

    __slots__ = ("letters", "strides")

    def __init__(self, letters: str, strides: Strides) -> None:
        self.letters = letters
        self.strides = dict(zip(letters, strides, strict=True))

    def fits(self, first: str, second: str, sizes: dict[str, DimLike]) -> bool:
        """Whether the two groups of letters are the axes of a matrix that BLAS takes."""
        a = merged([sizes[c] for c in first], [self.strides[c] for c in first])
        b = merged([sizes[c] for c in second], [self.strides[c] for c in second])
        if not first or not second:
            line = a if first else b
            group = first if first else second
            return line is not None and (plus(line) or all(sizes[c] == 1 for c in group) or not group)
        one_a, one_b = all(sizes[c] == 1 for c in first), all(sizes[c] == 1 for c in second)
        return matrix(a, b, 1 if one_a else 2, 1 if one_b else 2)


def _product(sizes: Sequence[DimLike]) -> DimLike:
    total: DimLike = 1
    for d in sizes:
        total = total * d
    return total


def _contract(r: Region, v: Value, p: int) -> None:
    a, b, res = split_subs(v.attrs[0])
    x, z = v.operands
    out = r.claim(v)
    sizes: dict[str, DimLike] = {**dict(zip(a, x.shape, strict=True)), **dict(zip(b, z.shape, strict=True))}
    batch = "".join(c for c in res if c in a and c in b)
    left = "".join(c for c in a if c not in b)
    right = "".join(c for c in b if c not in a)
    summed = "".join(c for c in a if c in b and c not in res)
    if not summed:
        r.emit("multiply", (_aligned(r, x, a, res), _aligned(r, z, b, res)), (out,), v)
        return
    sides = (_Side(a, r.strides_of(x)), _Side(b, r.strides_of(z)), _Side(res, dense_strides(v.shape)))
    weights = [r.b.slots.bytes(t) for t in (x.type, z.type, v.type)]
    choices = itertools.product(
        dict.fromkeys((left, "".join(c for c in res if c in left))),
        dict.fromkeys((right, "".join(c for c in res if c in right))),
        dict.fromkeys((summed, "".join(c for c in b if c in summed))),
    )
    best: tuple[int, tuple[str, str, str], tuple[bool, bool, bool]] | None = None
    for le, ri, su in choices:
        fit = (sides[0].fits(le, su, sizes), sides[1].fits(su, ri, sizes), sides[2].fits(le, ri, sizes))
        cost = sum(w for w, ok in zip(weights, fit, strict=True) if not ok)
        if best is None or cost < best[0]:
            best = (cost, (le, ri, su), fit)
        if not cost:
            break
    assert best is not None
    _, (left, right, summed), (fit_x, fit_z, fit_out) = best
    taken: list[int] = []

    def lying(value: Value, letters: str, order: str, fits: bool) -> int:
        """The operand with its axes in an order, copied where it must be."""
        if fits:
            at = r.array(value)
            _rely_on(r, value, at)
            return r.b.permuted(at, [letters.index(c) for c in order])
        t = value.type.with_shape(tuple([sizes[c] for c in order]))
        slot, held = r.temp(t)
        taken.append(slot)
        r.emit("copy", (r.b.permuted(r.array(value), [letters.index(c) for c in order]),), (held,), v)
        return held

    def grouped(array: int, *groups: str, unit: bool) -> int:
        """Each group of axes as one; with `unit` an empty group is an axis of size 1."""
        shape = [sizes[c] for c in batch] + [_product([sizes[c] for c in g]) for g in groups if g or unit]
        return r.b.view(array, OPS["reshape"], (tuple(shape),), r.b.arrays[array].type.with_shape(tuple(shape)), rely=False) if tuple(
            shape
        ) != r.b.arrays[array].type.shape else array

    px, pz = lying(x, a, batch + left + summed, fit_x), lying(z, b, batch + summed + right, fit_z)
    target = out
    if not fit_out:
        slot, target = r.temp(v.type.with_shape(tuple([sizes[c] for c in batch + left + right])))
        taken.append(slot)
        made = target
    else:
        made = r.b.permuted(out, [res.index(c) for c in batch + left + right])
    if not left and not right:
        r.emit("vecdot", (grouped(px, summed, unit=False), grouped(pz, summed, unit=False)), (made,), v)
    else:
        unit = bool(batch)
        operands = (grouped(px, left, summed, unit=unit), grouped(pz, summed, right, unit=unit))
        r.emit("matmul", operands, (grouped(made, left, right, unit=unit),), v)
    if not fit_out:
        r.emit("copy", (r.b.permuted(target, [(batch + left + right).index(c) for c in res]),), (out,), v)
    r.drop(taken)


def _rely_on(r: Region, value: Value, array: int) -> None:
    if value.rank > 0:
        r.b.rely(array)


def _aligned(r: Region, value: Value, letters: str, res: str) -> int:
    """An operand whose axes stand where the result has them, with size 1 where it has none."""
    order = [c for c in res if c in letters]
    at = r.b.permuted(r.array(value), [letters.index(c) for c in order])
    lead = next((k for k, c in enumerate(res) if c in letters), len(res))
    shape = tuple([r.b.arrays[at].type.shape[order.index(c)] if c in letters else 1 for c in res[lead:]])
    if shape == r.b.arrays[at].type.shape:
        return at
    return r.b.view(at, OPS["reshape"], (shape,), value.type.with_shape(shape), rely=False)


# --- indexing ------------------------------------------------------------------------------------------------------------------------


class _Rows:
    """A tensor as rows: batch and indexed axes in front, as one axis, then the rest."""

    def __init__(self, r: Region, x: Value, axes: Sequence[int], batch: int) -> None:
        self.lead = [*range(batch), *axes]
        self.rest = [k for k in range(x.rank) if k not in self.lead]
        self.order = [*self.lead, *self.rest]
        self.natural = self.order == list(range(x.rank))
        self.permuted = tuple([x.shape[k] for k in self.order])
        self.shape = (_product([x.shape[k] for k in self.lead]), *[x.shape[k] for k in self.rest])


def _indices(r: Region, v: Value, x: Value, indices: Sequence[Value], axes: Sequence[int], batch: int, taken: list[int]) -> tuple[int, bool]:
    """An array of row numbers for checked indices, and whether they may be negative."""
    for i, a in zip(indices, axes, strict=True):
        if not _counts(i, x.shape[a]) and (i.index, x.shape[a]) not in r.checked:
            r.checked.add((i.index, x.shape[a]))
            r.emit("check_index", (r.array(i),), (), v, (x.shape[a], a))
    first = indices[0]
    if len(indices) == 1 and not batch and r.strides[first.index] is None:
        at = r.array(first)
        r.b.rely(at)
        return at, True
    t = TensorType(I64, first.shape)
    slot, flat = r.temp(t)
    taken.append(slot)
    if len(indices) == 1 and not batch:
        r.emit("wrap_index", (r.array(first),), (flat,), v, (x.shape[axes[0]],))
        return flat, False
    slot, one = r.temp(t)
    taken.append(slot)
    current: int | None = None
    for n in range(batch):
        size = x.shape[n]
        shape: tuple[DimLike, ...] = (size, *[1] * (first.rank - n - 1))
        base = r.b.computed(OPS["iota"], (), (size, I64), TensorType(I64, (size,)))
        grid = r.b.view(base, OPS["reshape"], (shape,), TensorType(I64, shape), rely=False) if len(shape) > 1 else base
        if current is None:
            current = grid
        else:
            r.emit("scale_index", (current,), (flat,), v, (size,))
            r.emit("add_index", (flat, grid), (flat,), v)
            current = flat
    for i, a in zip(indices, axes, strict=True):
        size = x.shape[a]
        if _counts(i, size):
            at = r.narrow(i, i.shape)
        else:
            at = flat if current is None else one
            r.emit("wrap_index", (r.array(i),), (at,), v, (size,))
        if current is None:
            current = at
        else:
            r.emit("scale_index", (current,), (flat,), v, (size,))
            r.emit("add_index", (flat, at), (flat,), v)
            current = flat
    if current != flat:
        assert current is not None
        r.emit("copy", (current,), (flat,), v)
    return flat, False


def _counts(i: Value, size: DimLike) -> bool:
    """Whether an index array holds numbers that count the axis, so that they need no check."""
    while i.op in (OPS["broadcast"], OPS["reshape"], OPS["permute"], OPS["flip"], OPS["slice"]):
        i = i.operands[0]
    return i.op is OPS["iota"] and (i.attrs[0] == size or i.graph.facts.at_least(size, i.attrs[0]) is True)


def _gather(r: Region, v: Value, p: int) -> None:
    x, *indices = v.operands
    axes, batch = v.attrs
    rows = _Rows(r, x, axes, batch)
    out = r.claim(v)
    taken: list[int] = []
    if rows.natural and r.strides[x.index] is None:
        at = r.array(x)
        r.b.rely(at)
    else:
        slot, at = r.temp(x.type.with_shape(rows.permuted))
        taken.append(slot)
        r.emit("copy", (r.b.permuted(r.array(x), rows.order),), (at,), v)
    at = r.b.reshaped(at, rows.shape)
    index, wrap = _indices(r, v, x, indices, axes, batch, taken)
    r.emit("take", (at, index), (out,), v, (wrap,))
    r.drop(taken)


def _over(r: Region, v: Value, p: int) -> int:
    """A place for a value that begins as its first operand: that operand's own memory if it dies here and nothing else looks at it."""
    x = v.operands[0]
    if v.index not in r.fixed and r.may_take(v, 0, p, exclusive=True):
        return r.take_over(v, 0)
    source = r.narrow(x, v.shape)
    out = r.claim(v)
    r.emit("copy", (source,), (out,), v)
    return out


def _scatter(r: Region, v: Value, p: int) -> None:
    x, u, *indices = v.operands
    axes, batch, mode = v.attrs
    rows = _Rows(r, x, axes, batch)
    taken: list[int] = []
    values = r.array(u)
    if rows.natural:
        out = target = _over(r, v, p)
    else:
        out = r.claim(v)
        slot, target = r.temp(x.type.with_shape(rows.permuted))
        taken.append(slot)
        r.emit("copy", (r.b.permuted(r.array(x), rows.order),), (target,), v)
    index, _ = _indices(r, v, x, indices, axes, batch, taken)
    if mode == "add" and indices[0].rank > 1 and r.strides[u.index] is not None:
        # `add_rows` copies values that do not lie in one piece.
        r.b.workspaces[u.type.size * u.dtype.size] = None
    r.emit(f"scatter_{mode}", (values, index), (r.b.reshaped(target, rows.shape),), v)
    if not rows.natural:
        r.emit("copy", (r.b.permuted(target, inverse(rows.order)),), (out,), v)
    r.drop(taken)


def _update(r: Region, v: Value, p: int) -> None:
    u = v.operands[1]
    starts, strides = v.attrs
    source = r.narrow(u, u.shape)
    out = _over(r, v, p)
    window = r.b.view(out, OPS["slice"], (starts, u.shape, strides), u.type)
    r.emit("copy", (source,), (window,), v)


# --- arithmetic ------------------------------------------------------------------------------------------------------------------------


def _power(r: Region, v: Value, p: int) -> None:
    """Constant exponents that are cheaper as something else."""
    x, e = v.operands
    k = const_scalar(e)
    squares: dict[float, str] = {2: "square", 3: "cube"}
    kernel = squares.get(k) if k is not None else None
    if kernel is None and v.dtype.floating and k is not None:
        roots: dict[float, str] = {0.5: "sqrt", 1: "copy", -1: "reciprocal"}
        kernel = roots.get(k)
    if kernel is None and not v.dtype.floating and (k is None or k < 0):
        # NumPy raises where an exponent of integers is negative.
        operands = tuple([r.array(o) for o in v.operands])
        out = r.dest(v, p)
        r.b.workspaces[v.type.size * 3 * v.dtype.size] = None
        r.emit("evaluate", operands, (out,), v, v.attrs, v.op)
        return
    if kernel is None:
        r._plain(v, p)
        return
    source = r.narrow(x, v.shape)
    if kernel != "cube" and v.index not in r.fixed and r.may_take(v, 0, p):
        out = r.take_over(v, 0)
    else:
        out = r.claim(v)
    r.emit(kernel, (source,), (out,), v)


def _no_bits(v: Value) -> bool:
    """Whether every element of a value is the number that is all zero bits."""
    array = const_value(v)
    return array is not None and array.ndim == 0 and not any(array.tobytes())


_BITS = Op(
    "bits", "The same memory as integers.", lambda cx, o, a: o[0].type.with_dtype(a[0]), NoGradient("bits are no numbers"), attrs=(Attr("dtype", "dtype"),),
    evaluate=lambda xp, x, *, dtype: x.view(dtype.np), view=True,
)
"""No op of programs: a view that steps read."""


def _bits(r: Region, array: int, integer: DType) -> int:
    a = r.b.arrays[array]
    if a.type.dtype is integer:
        return array
    t = a.type.with_dtype(integer)
    return r.b.slot_array(a.slot, t) if a.kind == "slot" else r.b.view(array, _BITS, (integer,), t)


def _where(r: Region, v: Value, p: int) -> None:
    """A choice between large tensors is made with masks of bits: NumPy's masked copy branches at every element, which a mask that follows the data makes ten
    times as slow. Where one branch is zeros, that is one mask; small tensors are copied."""
    c, a, b = v.operands
    if v.dtype.size not in (4, 8) or r.b.slots.bytes(v.type) < MASKED:
        r._plain(v, p)
        return
    integer = I64 if v.dtype.size == 8 else I32
    t = v.type.with_dtype(integer)
    condition = r.narrow(c, v.shape)
    # Operand, kernel that makes its mask; the first may become the result.
    sides = [(1, "mask"), (2, "mask_not")]
    if _no_bits(b):
        sides = sides[:1]
    elif _no_bits(a):
        sides = sides[1:]
    elif r.may_take(v, 2, p, exclusive=True):
        sides.reverse()
    sources = [_bits(r, r.narrow(v.operands[k], v.shape), integer) for k, _ in sides]
    first = sides[0][0]
    taken: list[int] = []
    if v.index not in r.fixed and r.may_take(v, first, p, exclusive=True):
        out = _bits(r, r.take_over(v, first), integer)
        slot, mask = r.temp(t)
        taken.append(slot)
    else:
        out = _bits(r, r.claim(v), integer)
        mask = out
    r.emit(sides[0][1], (condition,), (mask,), v)
    r.emit("bit_and", (sources[0], mask), (out,), v)
    if len(sides) == 2:
        if mask == out:
            slot, mask = r.temp(t)
            taken.append(slot)
        r.emit(sides[1][1], (condition,), (mask,), v)
        r.emit("bit_and", (sources[1], mask), (mask,), v)
        r.emit("bit_or", (out, mask), (out,), v)
    r.drop(taken)


def _reshape(r: Region, v: Value, p: int) -> None:
    """A reshape that is no view."""
    source = r.array(v.operands[0])
    r.emit("fill_reshaped", (source,), (r.claim(v),), v)


def install() -> None:
    table: dict[str, Any] = {
        "contract": _contract,
        "gather": _gather,
        "scatter": _scatter,
        "update": _update,
        "power": _power,
        "reshape": _reshape,
        "where": _where,
    }
    for name, f in table.items():
        LOWERINGS[OPS[name]] = f


install()
