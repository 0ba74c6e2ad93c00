"""The words of printed text: numbers, sizes, types, names and comments, shared by the exact and the readable printing.

Numbers print shortest for round trip in their own dtype; where a NaN has unusual bits or a float no finite text, the bits are written.

>>> number(np.float32(0.1)), number(np.float64(-0.0)), number(np.array(float("nan"))[()])
('0.1', '-0.0', 'nan')
>>> name_is_plain("fc.w"), name_is_plain("input"), name_is_plain("2x")
(True, False, False)
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from dfg.dims import DimLike
from dfg.types import TupleType, Type, from_numpy, rounds_once

RESERVED: Final = frozenset(
    ["and", "or", "not", "true", "false", "none", "if", "else", "for", "in", "while", "scan", "carry", "yield", "with", "def", "use", "input", "param", "state", "const", "output", "update", "dim", "default", "test"]
)
"""Words that are never names (a test compares them with the grammar's)."""

_NAME: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
PLAIN_NUMBER: Final = re.compile(r"-?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")


def name_is_plain(name: str) -> bool:
    """Whether a (dotted) name can be written as it is."""
    return (
        _NAME.fullmatch(name) is not None
        and (name.isascii() or unicodedata.normalize("NFKC", name) == name)
        and RESERVED.isdisjoint(name.split("."))
    )


def number(x: Any) -> str:
    """The text of one element, a NumPy scalar: shortest for round trip."""
    kind = x.dtype.kind
    if kind == "b":
        return "true" if x else "false"
    if kind in "iu":
        return str(int(x))
    if x != x:  # NaN
        if x.tobytes() == x.dtype.type(np.nan).tobytes():
            return "nan"
        bits = int(np.asarray(x).view(f"u{x.dtype.itemsize}"))
        found = from_numpy(x.dtype)
        return f"bits({found or 'f16'}, {bits:#x})"
    if kind == "f" and x.dtype.itemsize == 8:
        return repr(float(x))
    text = str(x)
    # The shortest digits of a narrow float are read through f64 by some readers: where that rounds twice, f64's own digits are written.
    with np.errstate(over="ignore"):
        return text if x.dtype.type(float(text)) == x else repr(float(x))


def elements(array: np.ndarray) -> str:
    """An array as a number or nested brackets. An empty array is `[]`: its type says the shape."""
    if array.ndim == 0:
        return number(array[()])
    if array.size == 0:
        return "[]"
    texts = [number(x) for x in array.reshape(-1)]
    for size in reversed(array.shape):
        texts = [f"[{', '.join(texts[k : k + size])}]" for k in range(0, len(texts), size)]
    return texts[0]


def same_number(text: str, array: np.ndarray) -> bool:
    """Whether `text`, as a program wrote it, is exactly the scalar `array`."""
    if array.ndim or array.dtype.kind == "b" or PLAIN_NUMBER.fullmatch(text) is None:
        return False
    with np.errstate(over="ignore"):
        try:
            plain = text.replace("_", "")
            value = int(plain) if array.dtype.kind in "iu" else float(plain) if array.dtype.itemsize == 8 else rounds_once(plain, float(plain))
            made = np.asarray(value).astype(array.dtype) if array.dtype.kind == "f" else np.asarray(value, array.dtype)
        except (ValueError, OverflowError):
            return False
    return made.tobytes() == array.tobytes()


def sizes(shape: Iterable[DimLike]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def type_text(t: Type) -> str:
    """A type: `f64[n, 3]`, `(f64, f64[n])`, `(f64,)`."""
    if isinstance(t, TupleType):
        return f"({t.items[0]},)" if len(t.items) == 1 else str(t)
    return str(t)


def one_line(text: str) -> str:
    """Text fit for a comment."""
    return " ".join(text.split())


def quoted(text: str) -> str:
    """A text in quotes; the language has no escapes, so a quote or newline inside becomes what is nearest."""
    return '"' + one_line(text).replace('"', "'") + '"'


def fits_quotes(text: str) -> bool:
    return '"' not in text and "\n" not in text
