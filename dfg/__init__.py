"""dfg: a declarative dataflow-graph compiler.

The public names, imported when they are first asked for, so that `import dfg` costs nothing and the command line starts fast. Names that are
not listed here are the builder's: `dfg.input`, `dfg.grad`, and every function of the language.

>>> import dfg
>>> fn = dfg.compile(dfg.loads("input x : f64[n]\\noutput y = sum(x)\\n"))
>>> float(fn(x=[1.0, 2.0])["y"])
3.0
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfg.api import Executable, Program, compile, load, loads
    from dfg.diagnostics import Diagnostic, InternalError, UserError

__version__ = "0.1.0"

_WHERE = {
    **dict.fromkeys(("Executable", "Program", "compile", "load", "loads"), "dfg.api"),
    **dict.fromkeys(("Diagnostic", "InternalError", "UserError"), "dfg.diagnostics"),
}

__all__ = ["Diagnostic", "Executable", "InternalError", "Program", "UserError", "__version__", "compile", "load", "loads"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        value = getattr(import_module(_WHERE[name]), name)
    elif name.startswith("_"):
        raise AttributeError(f"module 'dfg' has no attribute {name!r}")
    elif (spec := find_spec(f"dfg.{name}")) is not None and spec.origin is not None:  # `from dfg import api` asks here before it looks for a module;
        # a folder of data (`std`) is none
        return import_module(f"dfg.{name}")
    else:
        names = import_module("dfg.api.python").builder_names()
        if name not in names:
            near = import_module("dfg.diagnostics.codes").nearest(name, [*names, *_WHERE])
            raise AttributeError(f"module 'dfg' has no attribute {name!r}" + (f"; did you mean {near!r}?" if near else ""))
        value = names[name]
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE, *import_module("dfg.api.python").builder_names()})
