"""What the tests of lowering share: run a program on the oracle, and collect what is wrong with one."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfg.codegen.interpret import interpret
from dfg.diagnostics import Diagnostic, UserError
from dfg.dims import Binder
from dfg.frontend.lowering import Loader, Lowered, load_text
from dfg.ir import verify
from dfg.passes.manager import PIPELINE, run_pipeline


def lowered(text: str, load: Loader | None = None) -> Lowered:
    made = load_text(text, "program.dfg", load)
    verify(made.graph, "source")
    return made


def run(text: str, load: Loader | None = None, kept: dict[str, Any] | None = None, updates: bool = False, **fed: Any) -> dict[str, np.ndarray]:
    """The outputs (and with `updates` the new values) of a program on the oracle; what is not fed has its default or initial value."""
    made = lowered(text, load)
    binder = Binder([(name, info.type.shape) for name, info in made.inputs.items()], made.graph.facts)
    arrays = {name: np.asarray(fed[name], info.type.dtype.np) for name, info in made.inputs.items() if name in fed}
    shapes = {name: arrays[name].shape if name in arrays else tuple(info.type.shape) for name, info in made.inputs.items()}
    sizes = binder.bind({k: tuple(int(d) for d in v) for k, v in shapes.items()}) if made.inputs else {}
    initial = interpret(list(made.graph.roots.initials.values()), {v.index: np.zeros(0) for v in []}, sizes) if not kept else []
    values = dict(zip(made.graph.roots.initials, initial, strict=False)) | dict(kept or {})
    for name, info in made.inputs.items():
        if name not in arrays:
            assert info.default is not None, f"no value for {name}"
            arrays[name] = interpret([info.default], {}, sizes)[0]
    graph = run_pipeline(made.graph, PIPELINE)
    env = {}
    for v in graph.values:
        if v.op.name == "input":
            env[v.index] = arrays[v.attrs[0]]
        elif v.op.name in ("param", "state"):
            env[v.index] = np.asarray(values[v.attrs[0]], v.dtype.np)
    table = dict(graph.roots.outputs)
    if updates:
        table |= {f"{k}'": v for k, v in graph.roots.updates.items()}
    result = dict(zip(table, interpret(list(table.values()), env, sizes), strict=True))
    for name, value in table.items():
        assert result[name].dtype == value.dtype.np, f"{name} is declared {value.type} and computed {result[name].dtype}"
    return result


def wrong(text: str, load: Loader | None = None) -> list[Diagnostic]:
    """Everything that is wrong with a program (none is an error of the test)."""
    try:
        load_text(text, "program.dfg", load)
    except UserError as e:
        return list(e.diagnostics)
    raise AssertionError("this program compiles")


def first_wrong(text: str, load: Loader | None = None) -> Diagnostic:
    return next(d for d in wrong(text, load) if d.severity == "error")
