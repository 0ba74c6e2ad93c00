"""How outputs are shown to people: one line each, `name : type = value`; of a large array a summary.

>>> import numpy as np
>>> print(table({"y": np.array([9.487735836]), "l": np.array(89.30939)}, 6), end="")
y : f64[1] = [9.48774]
l : f64    = 89.3094
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dfg.types import TensorType

NEWLINE = "\n"
INLINE = 16
"""An array with more elements is summarised."""
GRID, GRID_WIDTH = 100, 110
"""A matrix of at most so many elements is written out in rows, if they are no wider than this."""
LINE = 60
"""A matrix whose line is longer is written in rows."""
SHOWN = 4
"""Elements of it that are shown."""


def table(outputs: Mapping[str, np.ndarray], precision: int) -> str:
    """The lines of all outputs, aligned."""
    from dfg.types import from_numpy

    rows = []
    for name, value in outputs.items():
        array = np.asarray(value)
        dtype = from_numpy(array.dtype)
        shape = f"[{', '.join(map(str, array.shape))}]" if array.shape else ""
        rows.append((name, f"{dtype or array.dtype}{shape}", text(array, precision)))
    names = max((len(name) for name, _, _ in rows), default=0)
    types = max((len(type) for _, type, _ in rows), default=0)
    indent = "\n" + " " * (names + types + 6)
    return "".join(f"{name:{names}} : {type:{types}} = {value.replace(NEWLINE, indent)}\n" for name, type, value in rows)


def text(array: np.ndarray, precision: int) -> str:
    """The elements, or the first of them with what is worth knowing of all."""
    if array.size <= INLINE:
        line = _nested([number(x, precision) for x in array.reshape(-1)], array.shape)
        return line if len(line) <= LINE or array.ndim != 2 else _rows(array, precision) or line
    if array.ndim == 2 and array.size <= GRID and (rows := _rows(array, precision)):
        return rows
    flat = array.reshape(-1)
    first = ", ".join(number(x, precision) for x in flat[:SHOWN])
    if array.dtype.kind == "b":
        return f"[{first}, ...]  true at {int(np.count_nonzero(flat))} of {flat.size}"
    facts = []
    finite = flat[np.isfinite(flat)] if array.dtype.kind == "f" else flat
    if finite.size:
        with np.errstate(all="ignore"):
            mean = float(np.mean(finite, dtype=np.float64))
        facts.append(f"min {number(finite.min(), precision)}  mean {number(np.float64(mean), precision)}  max {number(finite.max(), precision)}")
    if array.dtype.kind == "f":
        for word, count in (("nan", np.isnan(flat)), ("inf", np.isinf(flat))):
            found = int(np.count_nonzero(count))
            if found:
                facts.append(f"{found} {word}")
    return f"[{first}, ...]  {'  '.join(facts)}"


def _rows(array: np.ndarray, precision: int) -> str:
    """A matrix as lines of columns that stand below each other; nothing where they would be too wide."""
    texts = [[number(x, precision) for x in row] for row in array]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    if sum(widths) + 2 * len(widths) > GRID_WIDTH:
        return ""
    lines = [", ".join(f"{text:>{width}}" for text, width in zip(row, widths, strict=True)) for row in texts]
    return "[[" + "],\n [".join(lines) + "]]"


def number(x: np.generic, precision: int) -> str:
    """`true`, `3`, `0.125`, `9.48774`: at most so many digits, and never more than the number has."""
    if isinstance(x, np.bool_):
        return "true" if x else "false"
    if isinstance(x, np.integer):
        return str(int(x))
    shown = f"{float(x):.{precision}g}"
    own = str(x)  # the shortest text that reads back
    return own.removesuffix(".0") if len(own.removesuffix(".0")) < len(shown) else shown


def _nested(texts: list[str], shape: tuple[int, ...]) -> str:
    if not shape:
        return texts[0]
    if not texts:
        return "[]"
    for size in reversed(shape):
        texts = [f"[{', '.join(texts[k : k + size])}]" for k in range(0, len(texts), size)]
    return texts[0]


def example(t: TensorType, sizes: Mapping[str, int]) -> str:
    """A value of a type, to show how one is written: a literal, or the name of a file where that would be long. A size that is not known is 2."""
    from dfg.dims import evaluate, names

    try:
        shape = [evaluate(d, {name: sizes.get(name, 2) for name in names(d)}) for d in t.shape]
    except ZeroDivisionError:
        return "data.npy"
    count = int(np.prod(shape, dtype=np.int64)) if shape else 1
    one = {"bool": "true", "int": "1", "float": "0.5"}[t.dtype.kind]
    return _nested([one] * count, tuple(shape)) if 0 < count <= 12 else "data.npy"
