"""How views walk memory, in symbols: strides in elements, and whether a reshape or a matrix product can take a tensor as it lies.

Strides are None for a dense tensor (C order, all of its memory). A stride of an axis of literal size 1 means nothing and is never looked at. What is proved here
holds for every size, also 0 and 1.

    view_strides(permute of f64[n, m])     # (1, m)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from dfg.dims import Dim, DimLike
from dfg.ir import Value
from dfg.ops.base import OPS, Op
from dfg.ops.movement import reshape_groups

Strides = tuple[DimLike, ...]


def dense_strides(shape: Sequence[DimLike]) -> Strides:
    """The strides of a dense tensor."""
    result: list[DimLike] = [1] * len(shape)
    step: DimLike = 1
    for k in range(len(shape) - 1, -1, -1):
        result[k] = step
        step = step * shape[k]
    return tuple(result)


def is_dense(strides: Strides | None, shape: Sequence[DimLike]) -> bool:
    if strides is None:
        return True
    return all(d == 1 or s == t for d, s, t in zip(shape, strides, dense_strides(shape), strict=True))


def merged(sizes: Sequence[DimLike], strides: Sequence[DimLike]) -> DimLike | None:
    """The stride of neighbouring axes taken as one, 0 where all have size 1, or None where they do not lie in one row."""
    kept = [(d, s) for d, s in zip(sizes, strides, strict=True) if d != 1]
    if not kept:
        return 0
    for (_, s), (d, t) in zip(kept, kept[1:], strict=False):
        if s != d * t:
            return None
    return kept[-1][1]


def _broadcast(v: Value, s: Strides) -> Strides | None:
    result: list[DimLike] = [0] * v.rank
    for axis, d in enumerate(v.attrs[1]):
        result[d] = s[axis]
    return tuple(result)


def _slice(v: Value, s: Strides) -> Strides | None:
    return tuple(a * step for a, step in zip(s, v.attrs[2], strict=True))


def _flip(v: Value, s: Strides) -> Strides | None:
    return tuple(a * -1 if k in v.attrs[0] else a for k, a in enumerate(s))


def _reshape(v: Value, s: Strides) -> Strides | None:
    old, new = v.operands[0].shape, v.shape
    result: list[DimLike] = [0] * len(new)
    for a, b in reshape_groups(old, new):
        base = merged([old[k] for k in a], [s[k] for k in a])
        if base is None:
            return None
        step = base
        for k in reversed(b):
            result[k] = step
            step = step * new[k]
    return tuple(result)


_RULES: Final[dict[Op, Callable[[Value, Strides], Strides | None]]] = {
    OPS["broadcast"]: _broadcast,
    OPS["permute"]: lambda v, s: tuple(s[p] for p in v.attrs[0]),
    OPS["slice"]: _slice,
    OPS["flip"]: _flip,
    OPS["reshape"]: _reshape,
    OPS["pin"]: lambda v, s: s,
}


def can_view(v: Value) -> bool:
    """Whether the strides of this op's results are known."""
    return v.op in _RULES


def view_strides(v: Value, base: Strides | None) -> tuple[bool, Strides | None]:
    """Whether `v` is a view of its operand, whose strides are `base`, and its strides."""
    if base is None and (v.op is OPS["reshape"] or v.op is OPS["pin"]):
        return True, None
    o = v.operands[0]
    strides = _RULES[v.op](v, dense_strides(o.shape) if base is None else base)
    if strides is None:
        return False, None
    return True, strides


def plus(d: DimLike) -> bool:
    """Whether a stride is certainly no 0 and not negative where its axis has more than one element."""
    return d > 0 if isinstance(d, int) else isinstance(d, Dim) and all(c > 0 for _, c in d.terms)


def matrix(rows: DimLike | None, columns: DimLike | None, row_size: DimLike, column_size: DimLike) -> bool:
    """Whether BLAS takes a matrix with these strides as it is; a stride means nothing where its size is 1."""
    if rows is None or columns is None:
        return False
    one_row, one_column = row_size == 1, column_size == 1
    if one_row and one_column:
        return True
    if one_row:
        return plus(columns)
    if one_column:
        return plus(rows)
    return plus(rows) and plus(columns) and (rows == 1 or columns == 1)
