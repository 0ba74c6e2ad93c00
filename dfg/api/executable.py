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

from dfg.api.program import Program
from dfg.diagnostics import UserError, error
from dfg.diagnostics.codes import nearest
from dfg.ir import Graph, Roots, Value
from dfg.source import normal

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
    updates: Mapping[Any, Any] | Sequence[tuple[Any, Any]] = (),
) -> Executable:
    """An executable of a program, of a mapping of names to builder tensors, of one tensor, or of a traced function.

    `outputs` chooses among the outputs, `update=False` leaves states and parameters alone; `threads` and `memory_budget` (bytes) are limits for
    the backend; `kinks` is the policy for derivatives at kinks. Of builder tensors, `updates` gives the new values of parameters and states.
    """
    made = _program_of(program, updates)
    name = backend or os.environ.get("DFG_BACKEND") or "numpy"
    runtime = _runtime(name)
    if outputs is not None:
        outputs = [normal(name) for name in ([outputs] if isinstance(outputs, str) else outputs)]
    for what, limit in (("threads", threads), ("memory_budget", memory_budget)):
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
            raise UserError(error("bad-argument", f"`{what}` is a whole number above 0, not {limit!r}"))
    from dfg.frontend.parser import uncollected
    from dfg.passes.planner import compile_plan

    with uncollected():
        plan = compile_plan(made.stage("clean", kinks), outputs, update, made.hints)
        made_runtime = runtime(plan, tuple(made.inputs))
    if memory_budget is not None:
        made_runtime.memory_budget = memory_budget
    return Executable(made, plan, made_runtime)


def _program_of(given: Any, updates: Any) -> Program:
    if isinstance(given, Program):
        if len(updates):
            raise UserError(error("bad-argument", "a program has its updates already", help="`updates` goes with builder tensors"))
        return given
    from dfg.api import python

    if python.is_buildable(given) or len(updates):
        return python.program(given, updates)
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
    """A compiled program.

    `params` and `state` read and write what is kept between calls; `raw(x, y, out=(l, dw))` takes inputs by position, in the order of `inputs`, and writes
    into the caller's arrays.
    """

    def __init__(self, program: Program, plan: Plan, runtime: Any) -> None:
        self.program = program
        self.plan = plan
        self.runtime = runtime
        self.params: MutableMapping[str, Array] = Kept("parameter", runtime.params)
        self.state: MutableMapping[str, Array] = Kept("state", runtime.state)
        self.raw = runtime.raw

    def __call__(self, **inputs: Any) -> dict[str, Array]:
        """Run once: fresh arrays by the names of the outputs, in their order."""
        made: dict[str, Array]
        try:
            made = self.runtime.run(inputs)
        except UserError:
            usual = {normal(name): value for name, value in inputs.items()}
            if usual.keys() == inputs.keys():
                raise
            made = self.runtime.run(usual)  # the same letters, written another way: as in Python these are one name
        return made

    @property
    def inputs(self) -> dict[str, TensorType]:
        """The inputs that a call uses, in the order of `raw`."""
        return {field.name: field.type for field in self.plan.inputs}

    @property
    def required(self) -> list[str]:
        """Those of them that have no default."""
        return [name for name in self.inputs if name not in self.program.graph.roots.initials]

    @property
    def outputs(self) -> dict[str, TensorType]:
        """The types of the outputs, by name."""
        return {field.name: field.type for field in self.plan.outputs}

    def bind(self, **arrays: Array) -> None:
        """Let parameters and states live in the caller's arrays, whose memory is shared from now on."""
        self.runtime.bind(**arrays)

    def reset(self) -> None:
        """Make parameters and states anew at the next call."""
        self.runtime.reset()

    def cost(self, **sizes: int) -> Any:
        """Operations, bytes and peak memory of a call at given sizes: `fn.cost(n=1000).flops`."""
        return self.runtime.cost(**sizes)

    @property
    def stats(self) -> Any:
        """What was compiled, bound and run so far."""
        return self.runtime.stats

    @property
    def source(self) -> str:
        """The Python that the NumPy backend generates for the plan."""
        from dfg.codegen.numpy_source import source_of

        return source_of(self.plan)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters and states to a `.safetensors` file (or an `.npz` archive)."""
        from dfg.data import save_params, write_outputs

        arrays = {**self.params, **self.state}
        name = os.fspath(path)
        if name.endswith(".npz"):
            write_outputs(path, arrays)
        elif name.endswith(".safetensors"):
            save_params(path, arrays, {"program": self.program.name})
        else:
            raise UserError(error("unknown-format", f"parameters are written as .safetensors or .npz, not as `{name}`",
                                  help=f"write `{name}.safetensors`"))

    def load(self, path: str | os.PathLike[str]) -> None:
        """Take parameters, and the states that are there, from a file that `save` wrote. Nothing changes if one of them does not fit."""
        from dfg.data import load_params, match_params

        found = load_params(path)
        program = self.program
        wanted = {name: (t.dtype.name, tuple(d if isinstance(d, int) else None for d in t.shape))
                  for name, t in (*program.params.items(), *program.states.items()) if name in program.params or name in found}
        for name, array in match_params(wanted, found, os.fspath(path)).items():
            (self.params if name in program.params else self.state)[name] = array

    def values(self, graph: Graph, inputs: Mapping[str, Any]) -> dict[int, Array]:
        """The arrays of all values of a stage of the program for some inputs, by index: for pictures. Slow, and keeps every array."""
        from dfg.backends.base import as_declared
        from dfg.codegen.interpret import interpret

        env: dict[int, Any] = {}
        opaque: set[int] = set()
        roots: list[Value] = []
        run = self.runtime
        fields = {field.name: field for field in self.plan.inputs}
        given = {name: as_declared(fields[name], run.default(name, inputs) if name not in inputs else inputs[name]) for name in fields}
        sizes = run.sizes({name: array.shape for name, array in given.items()})
        for v in graph.live((*graph.roots.outputs.values(), *graph.roots.updates.values())):
            if v.op.name == "input":
                env[v.index] = given[v.attrs[0]]
            elif v.op.name in ("param", "state"):
                env[v.index] = run.kept_array(v.attrs[0], sizes)
            elif v.op.calculus or any(o.index in opaque for o in v.operands):
                opaque.add(v.index)
                continue
            roots.append(v)
        interpret(roots, env, sizes)
        return {i: array for i, array in env.items() if isinstance(array, Array)}

    def __repr__(self) -> str:
        return f"<Executable of {self.program.name}: inputs {', '.join(self.inputs) or 'none'}; outputs {', '.join(self.outputs) or 'none'}>"


class Kept(MutableMapping[str, Array]):
    """Parameters or states by name. Reading gives the array that is kept, writing copies elements into it."""

    def __init__(self, kind: str, arrays: MutableMapping[str, Array]) -> None:
        self._kind = kind
        self._arrays = arrays

    def _checked(self, name: str) -> str:
        if name not in self:
            near = nearest(name, self._arrays)
            known = ", ".join(f"`{one}`" for one in self._arrays)
            raise UserError(error("unknown-name", f"there is no {self._kind} `{name}`",
                                  help=f"did you mean `{near}`?" if near else f"there are {known}" if known else f"the program has no {self._kind}"))
        return name

    def __getitem__(self, name: str) -> Array:
        return self._arrays[self._checked(name)]

    def __setitem__(self, name: str, value: Any) -> None:
        self._arrays[self._checked(name)] = value

    def __delitem__(self, name: str) -> None:
        raise UserError(error("bad-argument", f"the {self._kind} `{self._checked(name)}` cannot be removed", help="`reset()` makes it anew"))

    def __contains__(self, name: object) -> bool:
        return name in list(self._arrays)

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return f"<{self._kind}s {', '.join(self._arrays) or 'none'}>"
