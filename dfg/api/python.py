"""The builder beside the rest: its public names, running traced functions, and pictures of tensors in notebooks.

Importing this module sets the builder's hooks, so that a function traced with `@dfg.function` runs on arrays.

>>> sorted(name for name in builder_names() if name in ("exp", "grad", "input"))
['exp', 'grad', 'input']
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from dfg.api.program import Program
from dfg.diagnostics import UserError
from dfg.frontend.builder import RENDER, RUN, VECTORISE, Function, Tensor, Trace, names
from dfg.frontend.builder import program as assemble
from dfg.passes.vmap import vectorise


@cache
def builder_names() -> dict[str, Any]:
    """What the builder offers as `dfg.NAME`."""
    return {**names(), "program": program}


def program(outputs: Any, updates: Mapping[Any, Any] | Sequence[tuple[Any, Any]] = ()) -> Program:
    """The program with these outputs (a mapping of names to tensors, or tensors that keep their names), and these new values of parameters and states."""
    if isinstance(outputs, Function):
        outputs = outputs.trace()
    made = outputs.program if isinstance(outputs, Trace) else assemble(outputs, updates)
    return Program(made.graph, name="<python>")


def is_buildable(given: Any) -> bool:
    """Is it a tensor of the builder, a traced function, or names with such tensors?"""
    if isinstance(given, Mapping):
        return any(isinstance(value, Tensor) or (isinstance(value, Mapping) and is_buildable(value)) for value in given.values())
    if isinstance(given, list | tuple):
        return any(isinstance(value, Tensor) for value in given)
    return isinstance(given, Tensor | Function | Trace)


def _run(trace: Trace, arrays: dict[str, Any]) -> Mapping[str, Any]:
    from dfg.api.executable import compile

    if trace.compiled is None:
        trace.compiled = compile(program(trace))
    needed = trace.compiled.inputs
    made: Mapping[str, Any] = trace.compiled(**{name: array for name, array in arrays.items() if name in needed})
    return made


def _draw(tensor: Tensor) -> dict[str, str]:
    from dfg.viz.view import svg

    try:
        return {"image/svg+xml": svg(program([tensor]).graph)}
    except UserError:
        return {}  # a picture is no reason to fail where a value is only shown


RUN[:] = [_run]
RENDER[:] = [_draw]
VECTORISE[:] = [vectorise]
