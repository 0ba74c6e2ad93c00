"""From builder tensors to programs, and the hooks through which the builder reaches what lies above it: running traced functions, and pictures in notebooks.

>>> import dfg
>>> x = dfg.input("x", "f64[n]")
>>> float(dfg.compile({"l": dfg.sum(x * x)})(x=[3.0, 4.0])["l"])
25.0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from dfg.api.program import Program
from dfg.diagnostics import UserError, error
from dfg.frontend import builder as b
from dfg.passes.vmap import vectorise

_COMPILED: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def program_of(given: Any, updates: Any = ()) -> Program:
    """The program of a tensor, a mapping of names to tensors, a list of them, or a traced function."""
    if isinstance(given, b.Function):
        given = given.trace()
    if isinstance(given, b.Trace):
        return Program(given.graph, name=given.name)
    if isinstance(given, b.Program):
        return Program(given.graph)
    if not isinstance(given, b.Tensor | Mapping | list | tuple):
        raise UserError(
            error(
                "wrong-type",
                f"`compile` takes a program, a tensor or a mapping of names to tensors, not {type(given).__name__}",
                help="`dfg.load(path)` and `dfg.loads(text)` give programs",
            )
        )
    if isinstance(given, Mapping | list | tuple) and not given:
        raise UserError(error("bad-argument", "there is no output to compile"))
    return Program(b.program(given, updates).graph)


def program(outputs: Any, updates: Any = ()) -> Program:
    """The program with these outputs (name -> tensor) and updates (parameter or state -> its new value): `dfg.program({"l": l}, {w: w - 0.1 * dw})`."""
    return program_of(outputs, updates)


def run_trace(trace: Any, arrays: Mapping[str, Any]) -> Mapping[str, Any]:
    """Compile a traced function once, and run it."""
    from dfg.api.executable import compile

    fn = _COMPILED.get(trace)
    if fn is None:
        fn = _COMPILED[trace] = compile(program_of(trace))
    return fn(**{name: x for name, x in arrays.items() if name in fn.inputs})


def picture(tensor: Any) -> dict[str, str]:
    """A tensor's graph as SVG, for notebooks."""
    from dfg.viz.view import svg

    return {"image/svg+xml": svg(b.program(tensor).graph)}


@lru_cache(maxsize=1)
def public() -> dict[str, Any]:
    """The builder's public names, with the hooks set."""
    if run_trace not in b.RUN:
        b.RUN.append(run_trace)
        b.RENDER.append(picture)
        b.VECTORISE.append(vectorise)
    names: dict[str, Callable[..., Any] | Any] = {**b.names(), "program": program}
    return names
