"""Every surface function as a Python function, `dfg.exp`, with its signature and documentation."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from dfg.frontend import prelude
from dfg.frontend.builder.emit import surface
from dfg.ops.surface import FUNCTIONS

_MADE: Final[dict[str, Callable[..., Any]]] = {}
_FILLED = prelude  # importing it fills the table


def function(name: str) -> Callable[..., Any]:
    """The Python function for a surface function; KeyError if there is none."""
    made = _MADE.get(name)
    if made is None:
        source = FUNCTIONS[name]

        def f(*args: Any, **kwargs: Any) -> Any:
            return surface(name, args, kwargs)

        f.__name__ = f.__qualname__ = name
        f.__module__ = "dfg"
        f.__doc__ = source.doc
        plain = [p.replace(annotation=inspect.Parameter.empty) for p in source.signature.parameters.values()]
        f.__signature__ = inspect.Signature(plain)  # type: ignore[attr-defined]
        made = _MADE[name] = f
    return made


def all_functions() -> dict[str, Callable[..., Any]]:
    """Every surface function, by name."""
    return {name: function(name) for name in FUNCTIONS}
