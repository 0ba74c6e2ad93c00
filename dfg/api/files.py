"""Exact text as files: constants of many elements go into an `.npz` archive beside the text.

>>> write_exact(program.graph, "model.ir.dfg")      # and model.ir.npz, if there are large constants
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dfg.ir import Graph

if TYPE_CHECKING:
    import numpy as np


def write_exact(graph: Graph, path: str | None) -> None:
    """Exact text to a file, or to standard output with every constant written out."""
    from dfg.text import exact

    if path is None or path == "-":
        sys.stdout.write(exact(graph))
        return
    from dfg.data import atomic_write, write_outputs

    arrays: dict[str, np.ndarray] = {}
    beside = Path(path).with_suffix(".npz")
    text = exact(graph, arrays, beside.name)
    if arrays:
        write_outputs(beside, arrays)
    with atomic_write(path) as stream:
        stream.write(text.encode("utf-8"))
