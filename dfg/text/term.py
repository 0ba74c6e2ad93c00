"""A piece of readable text and what it would be if a program wrote it: the *term* of a value.

A term may be looser than its value: of a smaller shape that stretches to the value's, of a dtype that promotion takes to the value's, or a literal
without a dtype. Wherever it is used, the printer checks with the rules of the language (`join`, broadcasting) that the result is the value's type, and
writes a conversion out where it is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np

from dfg.dims import DimLike
from dfg.text.words import number, same_number
from dfg.types import BOOL, F64, I64, KIND_ORDER, DType, promote


class Level(IntEnum):
    """How tightly a text binds: a place asks for a level, and looser text gets brackets."""

    WITH = 0
    OR = 1
    AND = 2
    NOT = 3
    COMPARE = 4
    SUM = 7
    PRODUCT = 8
    SIGN = 9
    POWER = 10
    POST = 11
    ATOM = 12


@dataclass(frozen=True, slots=True)
class Reduction:
    """An unnamed reduction, so that `keepdims` can still be added: the call's text up to its keywords, the axes, the operand's shape."""

    name: str
    operand: str
    axes: tuple[int, ...]
    shape: tuple[DimLike, ...]
    more: str = ""
    """Further arguments."""

    def text(self, keepdims: bool) -> str:
        axis = "" if len(self.axes) == len(self.shape) else f", axis={self.axes[0] if len(self.axes) == 1 else list(self.axes)}"
        return f"{self.name}({self.operand}{axis}{self.more}{', keepdims=true' if keepdims else ''})"


@dataclass(frozen=True, slots=True)
class Picked:
    """An unnamed slice, so that an axis of size 1 can still become a number: the tensor's text, the items, and where an axis of size 1 starts."""

    base: str
    items: tuple[str, ...]
    points: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Term:
    text: str
    level: Level
    dtype: DType | None
    """None for a literal, whose `kind` then counts."""
    shape: tuple[DimLike, ...] = ()
    kind: str = ""
    static: bool = False
    """Known while compiling (a literal, a size, or a name of one): an operation on such alone would be done by the compiler."""
    array: np.ndarray | None = None
    """The elements of a constant that is written out."""
    reduction: Reduction | None = None
    picked: Picked | None = None

    def at(self, level: Level) -> str:
        """The text, in brackets if it binds more loosely than the place asks for."""
        return self.text if self.level >= level else f"({self.text})"


def atom(text: str, dtype: DType | None, shape: tuple[DimLike, ...], static: bool = False) -> Term:
    return Term(text, Level.ATOM, dtype, shape, static=static)


def constant_term(array: np.ndarray, dtype: DType, written: str | None) -> Term:
    """A constant as a literal: as it was written, else shortest; a whole number of a float dtype as an integer, which meets it as well."""
    if array.ndim:
        return Term(elements_text(array), Level.ATOM, None, array.shape, dtype.kind, True, array)
    value = array[()]
    if written is not None and same_number(written, array):
        text = written
    elif dtype.floating and np.isfinite(value) and value == int(value) and abs(value) < 1e6 and not (value == 0 and np.signbit(value)):
        text = str(int(value))
    else:
        text = scalar_text(value)
    kind = "float" if dtype.floating and not whole_text(text) else "int" if dtype.kind != "bool" else "bool"
    return Term(text, Level.SIGN if text.startswith("-") else Level.ATOM, None, (), kind, True, array)


def scalar_text(value: Any) -> str:
    """A number as a program writes it; all NaN are one value there. The least i64 has no literal."""
    if value.dtype.kind == "f" and value != value:
        return "nan"
    if value.dtype.kind == "i" and value == np.iinfo(np.int64).min:
        return "(-9223372036854775807 - 1)"
    return number(value)


def elements_text(array: np.ndarray) -> str:
    texts = [scalar_text(x) for x in array.reshape(-1)]
    for size in reversed(array.shape):
        texts = [f"[{', '.join(texts[k : k + size])}]" for k in range(0, len(texts), size)] if size else ["[]"]
    return texts[0]


def whole_text(text: str) -> bool:
    """Whether a literal's text is that of a whole number."""
    return text.startswith("(") or text.lstrip("-").replace("_", "").isdigit()


def as_float(t: Term) -> Term:
    """A literal of a whole number, written so that its kind is float."""
    if t.kind != "int" or t.array is None or t.array.ndim or t.array.dtype.kind != "f":
        return t
    text = scalar_text(t.array[()])
    return replace(t, text=text, kind="float", level=Level.SIGN if text.startswith("-") else Level.ATOM)


def default_dtype(kind: str, default_float: DType) -> DType:
    return {"bool": BOOL, "int": I64, "float": default_float}[kind]


def join(terms: Sequence[Term], default_float: DType = F64, floating: bool = False) -> DType:
    """The dtype that the terms promote to, as in the language."""
    best: DType | None = None
    for t in terms:
        if t.dtype is not None:
            best = t.dtype if best is None else promote(best, t.dtype)
    for t in terms:
        if t.dtype is None and (best is None or KIND_ORDER[t.kind] > KIND_ORDER[best.kind]):
            default = default_dtype(t.kind, default_float)
            best = default if best is None else promote(best, default)
    assert best is not None
    return default_float if floating and not best.floating else best
