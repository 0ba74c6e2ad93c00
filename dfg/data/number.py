"""Written numbers (of a literal or a table) to an array: kinds, ranges and rounding.

A written number has a kind (bool < int < float) and no dtype. It takes a wanted dtype of its kind or above; an integer that does not
fit, or a float where an integer is wanted, is refused. A decimal text is rounded **once**, also to f32 (going through f64 would round
twice: 1.00000005960464477540 is nearer to 1.0000001 than to 1, yet its f64 lies exactly between them).

>>> pack([1, 2.5], ["1", "2.5"].__getitem__, "f32", stop)
array([1. , 2.5], dtype=float32)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from dfg.data.common import NUMPY_OF, Array, shown

Number = bool | int | float
KINDS = ("bool", "int", "float")
KIND_WORDS = {"bool": "a boolean", "int": "an integer", "float": "a float"}
KIND_OF = {"bool": "bool", "u8": "int", "i32": "int", "i64": "int", "f32": "float", "f64": "float"}
DEFAULT = {"bool": "bool", "int": "i64", "float": "f64"}
F32_EDGE = float(2**128)

Fail = Callable[[int, str, "str | None"], NoReturn]
"""Called with the place of the culprit among the values, the message and a help line; raises."""


def kind_of(value: Number) -> str:
    return "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "float"


def pack(values: Sequence[Number], text_of: Callable[[int], str], dtype: str | None, fail: Fail) -> Array:
    """The values as a flat array of the wanted dtype (None: the default of their kind; no values at all: f64)."""
    level = max((KINDS.index(kind_of(value)) for value in values), default=-1)
    if dtype is None:
        dtype = DEFAULT[KINDS[level]] if level >= 0 else "f64"
    wanted = KINDS.index(KIND_OF[dtype])
    if level > wanted:
        at = next(k for k, value in enumerate(values) if KINDS.index(kind_of(value)) > wanted)
        found = kind_of(values[at])
        fail(at, f"`{shown(text_of(at), 60)}` is {KIND_WORDS[found]}, but {dtype} is wanted", _kind_help(dtype, values[at]))
    if dtype == "bool":
        return np.array(values, dtype=np.bool_)
    if KIND_OF[dtype] == "int":
        info = np.iinfo(NUMPY_OF[dtype])
        for k, value in enumerate(values):
            if not info.min <= value <= info.max:
                wider = "as f64" if dtype == "i64" else "with a wider integer dtype, or as f64"
                fail(k, f"`{shown(text_of(k), 60)}` does not fit {dtype} ({info.min} to {info.max})", f"declare the input {wider}")
        return np.array(values, dtype=NUMPY_OF[dtype])
    return _floats(values, text_of, dtype, fail)


def _kind_help(dtype: str, value: Number) -> str | None:
    if dtype == "bool":
        return "write `true` or `false`"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"write `{int(value)}`, or declare the input with a float dtype"
    return "write a whole number, or declare the input with a float dtype"


def _floats(values: Sequence[Number], text_of: Callable[[int], str], dtype: str, fail: Fail) -> Array:
    exact = np.empty(len(values), np.float64)
    for k, value in enumerate(values):
        try:
            exact[k] = value
        except OverflowError:
            fail(k, f"`{shown(text_of(k), 60)}` does not fit {dtype}", "write `inf` if infinity is meant")
    result: Array = exact
    if dtype == "f32":
        result, ties = round_to_f32(exact)
        for k in ties.tolist():
            result[k] = _settle(exact[k], text_of(k), values[k])
    for k in np.flatnonzero(np.isinf(result)).tolist():
        if "inf" not in text_of(k).lower():
            fail(k, f"`{shown(text_of(k), 60)}` does not fit {dtype}", "write `inf` if infinity is meant")
    return result


def round_to_f32(exact: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """The values as f32, and the places where the f64 lies exactly between two f32: only there a second rounding can be wrong."""
    with np.errstate(over="ignore", invalid="ignore"):
        near = exact.astype(np.float32)
        back = np.clip(near.astype(np.float64), -F32_EDGE, F32_EDGE)
        toward = np.where(exact > back, np.float32(np.inf), np.float32(-np.inf))
        start = np.clip(near, -np.finfo(np.float32).max, np.finfo(np.float32).max)
        # from the infinity that stands for 2**128 the neighbour below is the largest f32 itself
        other = np.where(np.isinf(near), start, np.nextafter(near, toward)).astype(np.float64)
        other = np.clip(other, -F32_EDGE, F32_EDGE)
        ties = np.isfinite(exact) & (back != exact) & (np.abs(exact - back) == np.abs(other - exact))
    return near, np.flatnonzero(ties)


def _settle(exact: float, text: str, value: Number) -> np.float32:
    true = Fraction(value) if isinstance(value, int) else Fraction("".join(text.replace("_", "").split()))
    middle = Fraction(float(exact))
    if true == middle:
        with np.errstate(over="ignore"):
            return np.float32(exact)
    with np.errstate(over="ignore"):
        moved = np.nextafter(exact, np.inf if true > middle else -np.inf)
        return np.float32(moved)
