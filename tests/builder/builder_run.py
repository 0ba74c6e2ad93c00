"""Running what was built, by the slow oracle: derivatives expanded, then one op at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import dfg.frontend.builder as b
from dfg.codegen.interpret import interpret
from dfg.diagnostics import Diagnostic, UserError
from dfg.dims import Dim
from dfg.ir import verify
from dfg.passes.manager import PIPELINE, run_pipeline


def run(outputs: Mapping[str, Any], **arrays: Any) -> dict[str, np.ndarray]:
    """The outputs of a program on arrays for its inputs; parameters and states have their initial values."""
    made = b.program(outputs)
    verify(made.graph, "source")
    graph = run_pipeline(made.graph, PIPELINE)
    env: dict[int, Any] = {}
    sizes: dict[str, int] = {}
    for name, t in made.inputs.items():
        for d, n in zip(t.shape, np.shape(arrays[name]), strict=True):
            if isinstance(d, Dim) and str(d).isidentifier():
                sizes[str(d)] = n
    for v in graph.values:
        if v.op.name == "input":
            env[v.index] = np.asarray(arrays[v.attrs[0]], v.dtype.np)
    for v in graph.values:
        if v.op.name in ("param", "state"):
            env[v.index] = interpret([graph.roots.initials[v.attrs[0]]], dict(env), sizes)[0]
    found = interpret(list(graph.roots.outputs.values()), env, sizes)
    return dict(zip(graph.roots.outputs, found, strict=True))


def refused(f: Any) -> Diagnostic:
    """The first diagnostic of what `f` is refused with."""
    try:
        f()
    except UserError as e:
        return e.diagnostics[0]
    raise AssertionError("it is not refused")
