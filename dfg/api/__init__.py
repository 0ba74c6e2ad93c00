"""What a user of the library meets, and the one place that knows every layer: from text to a `Program`, from a program to an `Executable`.

Nothing here imports numpy before a program has been parsed without an error, so that the command line tells a slip in 60 ms.

>>> program = loads("input x : f64[n]\\nparam w : f64 = 2\\nl = sum(w * x)\\noutput l\\n")
>>> list(compile(program.grad("l", ["w"]))(x=[1.0, 2.0]))
['l', 'dl_dw']
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dfg.api.loading import load, loads, read

if TYPE_CHECKING:
    from dfg.api.executable import Executable, compile
    from dfg.api.program import Program

__all__ = ["Executable", "Program", "compile", "load", "loads", "read"]


def __getattr__(name: str) -> Any:
    if name in ("Executable", "compile"):
        from dfg.api import executable

        return getattr(executable, name)
    if name == "Program":
        from dfg.api.program import Program

        return Program
    raise AttributeError(f"module 'dfg.api' has no attribute {name!r}")
