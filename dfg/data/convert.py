"""An array from outside to the type that is wanted: the rule for dtypes and shapes of files.

NumPy's dtypes first become dfg's without loss (i8, i16 and u16 are i32, u32 is i64, f16 is f32, u64 is i64 where its values fit;
byte order, strides and Fortran order vanish). Then a wanted dtype may stand **above** the array's in `bool < u8 < i32 < i64 < f32 < f64`,
provided every value survives; anything else is `wrong-dtype`, which names both dtypes and the fix. A shape must be the wanted one: nothing
stretches. The result is C-contiguous, in native byte order, and the caller's own where `own` says so.

>>> fit(np.zeros((2, 3), np.uint8), dtype="f32", shape=(None, 3)).dtype
dtype('float32')
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dfg.data.common import NUMPY_OF, RANK, Array, Shape, refusal, shown, type_text
from dfg.diagnostics import UserError
from dfg.source import Span

_WIDER = {"int8": "int32", "int16": "int32", "uint16": "int32", "uint32": "int64", "float16": "float32"}
_DFG_OF = {numpy: name for name, numpy in NUMPY_OF.items()}
_REFUSED = {"O": "Python objects", "S": "byte strings", "U": "text", "V": "records or raw bytes", "M": "dates", "m": "time spans",
            "c": "complex numbers"}
_OF_MANTISSA = {"f32": 24, "f64": 53}


def dtype_name(array: Array) -> str:
    """dfg's name of an array's dtype, or NumPy's where dfg has none."""
    return _DFG_OF.get(array.dtype.name, array.dtype.name)


def refuse_dtype(dtype: np.dtype[np.generic], what: str) -> UserError:
    """An array of something other than booleans and numbers."""
    held = _REFUSED.get(dtype.kind)
    if dtype.kind == "V" and dtype.names:
        held = "records with the fields " + ", ".join(map(shown, dtype.names[:8]))
    fix = {"c": "save its real and imaginary parts as two arrays: `a.real`, `a.imag`", "O": "objects are never loaded (that would run "
           "code); save `a.astype(np.float64)`", "V": "save each field as an array of its own"}.get(dtype.kind,
                                                                                                 "save `a.astype(np.float64)`")
    return refusal("wrong-dtype", f"{what} holds {held or f'the dtype {dtype.name}'}, not booleans or numbers", help=fix)


def to_dfg(array: Array, what: str) -> Array:
    """The array in one of dfg's dtypes, C-contiguous, native; same values."""
    dtype = array.dtype
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise refuse_dtype(dtype, what)
    name = _WIDER.get(dtype.name, dtype.name)
    if name == "uint64":
        if array.size and int(array.max()) > 2**63 - 1:
            raise refusal("wrong-dtype", f"{what} holds uint64 values above {2**63 - 1}, which no dtype of dfg can hold",
                          help="save `a.astype(np.float64)`, or its low and high halves")
        name = "int64"
    return np.ascontiguousarray(array, dtype=name).reshape(array.shape)  # ascontiguousarray makes 0-d arrays 1-d


def fit(array: Array, *, dtype: str | None = None, shape: Shape | None = None, name: str = "", origin: str = "the value") -> Array:
    """`array` as the wanted type, or a diagnostic that says what differs and how to repair it."""
    found = to_dfg(array, origin)
    check_shape_of(found, dtype, shape, name, origin)
    return found if dtype is None else _cast(found, dtype, name, origin)


def _wanted(name: str) -> str:
    return f"`{shown(name)}` wants" if name else "wanted is"


def _cast(array: Array, dtype: str, name: str, origin: str) -> Array:
    held = dtype_name(array)
    if held == dtype:
        return array
    if RANK[dtype] < RANK[held]:
        here = type_text(held, array.shape)
        numpy = "bool_" if dtype == "bool" else NUMPY_OF[dtype]
        raise refusal("wrong-dtype", f"{_wanted(name)} {dtype}, but {origin} holds {held}",
                      help=f"save `a.astype(np.{numpy})`, or declare `{shown(name) or 'x'} : {here}`")
    with np.errstate(all="ignore"):
        cast = array.astype(NUMPY_OF[dtype])
    if held in ("i32", "i64") and dtype in _OF_MANTISSA:
        lost = _lost(array, cast, 1 << _OF_MANTISSA[dtype])
        if lost is not None:
            place = f" at [{', '.join(map(str, lost))}]" if lost else ""
            raise refusal("wrong-dtype", f"{_wanted(name)} {dtype}, but {origin} holds {held} and its value {array[lost]}{place} is "
                          f"not exact in {dtype}",
                          help=f"save `a.astype(np.{NUMPY_OF[dtype]})` if rounding is meant"
                          + (", or declare the input as f64" if dtype == "f32" else ""))
    return cast


def _lost(array: Array, cast: Array, bound: int) -> tuple[int, ...] | None:
    """The first place where an integer did not survive becoming a float."""
    if not array.size or (int(array.min()) >= -bound and int(array.max()) <= bound):
        return None
    with np.errstate(all="ignore"):
        # 2**63 is a float that no i64 equals; machines differ in what converting it back gives
        same = (cast.astype(np.int64) == array) & (cast < float(2**63))
    flat = np.flatnonzero(~same)
    return None if not flat.size else tuple(int(k) for k in np.unravel_index(int(flat[0]), array.shape))


def check_shape_of(array: Array, dtype: str | None, shape: Shape | None, name: str, origin: str, span: Span | None = None) -> None:
    """Refuse another shape than the wanted one, with the likeliest repair; `span` is where the array is written out, if it is."""
    if shape is None or matches(array.shape, shape):
        return
    raise refusal("wrong-shape", f"{_wanted(name)} {type_text(dtype or dtype_name(array), shape)}"
                  f"{'' if len(shape) else ' (a scalar)'}, but {origin} is {_shape_words(array)}", span,
                  help=_shape_help(array.shape, shape, span is not None))


def matches(found: Sequence[int], wanted: Shape) -> bool:
    return len(found) == len(wanted) and all(w is None or f == w for f, w in zip(found, wanted, strict=True))


def _shape_words(array: Array) -> str:
    return type_text(dtype_name(array), array.shape) + ("" if array.shape else " (a scalar)")


def _shape_help(found: Sequence[int], wanted: Shape, written: bool) -> str:
    if len(found) == len(wanted):
        if len(found) > 1 and matches(found[::-1], wanted):
            return "it has the shape of the transpose" + ("" if written else ": if that is meant, save `a.T`")
        axis = next(k for k, (f, w) in enumerate(zip(found, wanted, strict=True)) if w is not None and f != w)
        return f"axis {axis} has {found[axis]} elements where {wanted[axis]} are wanted"
    ones = [k for k, size in enumerate(found) if size == 1]
    if len(found) == len(wanted) + 1:
        for k in ones:
            if matches([*found[:k], *found[k + 1 :]], wanted):
                return f"axis {k} has size 1: " + ("remove a pair of brackets" if written else f"save `a.squeeze({k})`")
    if len(found) + 1 == len(wanted):
        for k, size in enumerate(wanted):
            if size in (None, 1) and matches([*found[:k], 1, *found[k:]], wanted):
                repair = f"write brackets around {'it' if k == 0 else 'each element'}" if written else f"save `np.expand_dims(a, {k})`"
                return f"if one element along axis {k} is meant, {repair}"
    return f"{len(wanted)} {'axis is' if len(wanted) == 1 else 'axes are'} wanted, {len(found)} given"
