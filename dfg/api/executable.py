"""`compile`: from a program to an `Executable`, and calling it.

An executable keeps the program's parameters and states between calls. A call takes inputs by name and gives a dictionary of fresh arrays in the
order of the outputs; whatever does not fit is a diagnostic, raised before anything has changed.

>>> from dfg.api import loads
>>> fn = compile(loads("input x : f64[n]\\nstate k : f64 = 0\\nupdate k = k + sum(x)\\noutput y = k * x\\n"))
>>> fn(x=[1, 2])["y"], float(fn.state["k"])
(array([0., 0.]), 3.0)
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dfg.api.arguments import as_array
from dfg.api.program import Program
from dfg.diagnostics import Label, UserError, error
from dfg.diagnostics.codes import nearest
from dfg.ir import Roots, Value

if TYPE_CHECKING:
    from dfg.plan import Plan
    from dfg.types import TensorType

Array = np.ndarray
BACKENDS = ("numpy", "llvm", "cupy")
EXTRAS = {"llvm": "llvmlite", "cupy": "cupy"}


def compile(
    program: Program | Mapping[str, Any] | Any,
    backend: str | None = None,
    outputs: Sequence[str] | None = None,
    update: bool = True,
    threads: int | None = None,
    memory_budget: int | None = None,
    *,
    kinks: str = "dfg",
) -> Executable:
    """An executable of a program, of a mapping of names to builder tensors, or of one tensor.

    `outputs` chooses among the outputs, `update=False` leaves states and parameters alone; `threads` and `memory_budget` (bytes) are limits for
    the backend; `kinks` is the policy for derivatives at kinks.
    """
    made = _program_of(program)
    name = backend or os.environ.get("DFG_BACKEND") or "numpy"
    runtime = _runtime(name)
    if outputs is not None:
        outputs = [outputs] if isinstance(outputs, str) else list(outputs)
    for what, limit in (("threads", threads), ("memory_budget", memory_budget)):
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
            raise UserError(error("bad-argument", f"`{what}` is a whole number above 0, not {limit!r}"))
    from dfg.passes.planner import compile_plan

    plan = compile_plan(made.stage("clean", kinks), outputs, update)
    return Executable(made, plan, runtime(plan), memory_budget)


def _program_of(given: Any) -> Program:
    if isinstance(given, Program):
        return given
    named = given if isinstance(given, Mapping) else None
    values: dict[str, Value] = {}
    for name, tensor in (named if named is not None else {"": given}).items():
        value = getattr(tensor, "value", tensor)
        if not isinstance(value, Value):
            raise UserError(error("wrong-type", f"`compile` takes a program, a tensor or a mapping of names to tensors, not {type(tensor).__name__}",
                                  help="`dfg.load(path)` and `dfg.loads(text)` give programs"))
        values[str(name) or value.graph.label(value) or "output"] = value
    if not values:
        raise UserError(error("bad-argument", "there is no output to compile"))
    graph = next(iter(values.values())).graph
    for name, value in values.items():
        if value.graph is not graph:
            raise UserError(error("bad-argument", f"`{name}` is of another graph than `{next(iter(values))}`",
                                  help="combine the tensors in one expression, or compile them apart"))
    return Program(graph).with_roots(Roots(values, graph.roots.updates, graph.roots.initials))


def _runtime(name: str) -> Any:
    """The class that runs plans on a backend."""
    from importlib import import_module
    from importlib.util import find_spec

    if name not in BACKENDS:
        near = nearest(name, BACKENDS)
        raise UserError(error("unknown-backend", f"there is no backend `{name}`",
                              help=f"did you mean `{near}`?" if near else f"one of {', '.join(BACKENDS)}"))
    package = EXTRAS.get(name)
    if package is not None and find_spec(package) is None:
        raise UserError(error("missing-extra", f"the backend `{name}` needs the package `{package}`, which is not installed",
                              help=f"pip install 'dfg[{name}]'"))
    if find_spec(f"dfg.backends.{name}") is None:
        raise UserError(error("unknown-backend", f"this version of dfg has no backend `{name}`", help="use numpy"))
    return import_module(f"dfg.backends.{name}").RUNTIME


class Executable:
    """A compiled program. `params` and `state` read and write what is kept between calls."""

    def __init__(self, program: Program, plan: Plan, runtime: Any, memory_budget: int | None = None) -> None:
        self.program = program
        self.plan = plan
        self.runtime = runtime
        self.memory_budget = memory_budget
        self.params: Kept = Kept(self, "parameter", program.params)
        self.state: Kept = Kept(self, "state", program.states)
