"""Programs as files: constants of many elements go into an `.npz` archive beside the text.

>>> write_exact(program.graph, "model.ir.dfg")      # and model.ir.npz, if there are large constants
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dfg.ir import Graph

if TYPE_CHECKING:
    import numpy as np

    from dfg.api.program import Program


def write_exact(graph: Graph, path: str | None) -> None:
    """Exact text to a file, or to standard output with every constant written out."""
    from dfg.text import exact

    if path is None or path == "-":
        sys.stdout.write(exact(graph))
        return
    _write(path, lambda arrays, file: exact(graph, arrays, file))


def write_readable(program: Program, path: str | None, kinks: str = "dfg", graph: Graph | None = None) -> None:
    """Readable text to a file, or to standard output with every constant written out; see `Program.text`."""
    if path is None or path == "-":
        sys.stdout.write(program.text(kinks, graph))
        return
    _write(path, lambda arrays, file: program.text(kinks, graph, arrays, file))


def _write(path: str, print_to: Callable[[dict[str, np.ndarray], str], str]) -> None:
    from dfg.data import atomic_write, write_outputs

    arrays: dict[str, np.ndarray] = {}
    beside = Path(path).with_suffix(".npz")
    text = print_to(arrays, beside.name)
    if arrays:
        write_outputs(beside, arrays)
    with atomic_write(path) as stream:
        stream.write(text.encode("utf-8"))
