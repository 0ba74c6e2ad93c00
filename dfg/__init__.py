"""dfg: a declarative dataflow-graph compiler.

The public names, imported when they are first asked for, so that `import dfg` costs nothing and the command line starts fast.

>>> import dfg
>>> fn = dfg.compile(dfg.loads("input x : f64[n]\\noutput y = sum(x)\\n"))
>>> float(fn(x=[1.0, 2.0])["y"])
3.0
"""

from __future__ import annotations

from importlib import import_module
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
    elif name.startswith("_") or (value := _built().get(name)) is None:
        raise AttributeError(f"module 'dfg' has no attribute {name!r}")
    globals()[name] = value
    return value


def _built() -> dict[str, Any]:
    """The builder's names: declarations, derivatives, loops, and every function of the language."""
    found: dict[str, Any] = import_module("dfg.api.building").public()
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE, *_built()})
