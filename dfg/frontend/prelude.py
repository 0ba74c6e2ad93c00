"""The prelude: functions that are written in the language (`dfg/std/prelude/*.dfg`) and called without `use`, as surface functions like any other.

Importing this module finds where each is defined, without parsing, and enters it into `FUNCTIONS`. What is asked of one (signature, documentation, value)
is read from its own lines when it is first asked for: a program that calls `softmax` parses `softmax`. A function of a file whose name begins with `_` is
for that file alone.

A definition that only passes its parameters on, and has no comment of its own, is another name of the function that it calls:

    def swish(x) = silu(x)

>>> FUNCTIONS["swish"].doc == FUNCTIONS["silu"].doc
True
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dfg.ops.functions  # noqa: F401 - fills the table that this one adds to
from dfg.ops.surface import FUNCTIONS, Function, Surface

if TYPE_CHECKING:
    from dfg.frontend.lowering.library import Definition

PRELUDE: Final = Path(__file__).resolve().parents[1] / "std" / "prelude"
_DEFINED: Final = re.compile(r"^def\s+(\w+)", re.MULTILINE)
_NEXT: Final = re.compile(r"^(?:def|test|const|use|default|#)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a function is defined: its file, and its lines there with the comments above them."""

    name: str
    file: str
    text: str


def places_in(file: str, text: str) -> list[Place]:
    """The functions that a file defines, in order."""
    found = []
    for match in _DEFINED.finditer(text):
        start = match.start()
        while start and text[: start - 1].rpartition("\n")[2].startswith("#"):
            start = text.rfind("\n", 0, start - 1) + 1
        after = _NEXT.search(text, match.end())
        found.append(Place(match[1], file, text[start : after.start() if after else len(text)]))
    return found


@cache
def places() -> dict[str, dict[str, Place]]:
    """The functions of each file of the prelude, those for the file alone included."""
    return {at.name: {p.name: p for p in places_in(at.name, at.read_text(encoding="utf-8"))} for at in sorted(PRELUDE.glob("*.dfg"))}


class Composite(Function):
    """A function of the prelude. Its attributes are those of a `Function`, read from its definition when they are first needed."""

    __slots__ = ("_definition", "_run", "place")
    place: Place
    _run: Callable[..., Any]
    _definition: Definition | None

    def __init__(self, place: Place) -> None:
        def run(cx: Surface, *args: Any, **kwargs: Any) -> Any:
            from dfg.frontend.lowering.library import expand

            return expand(self.definition, cx, args, kwargs)

        for key, value in {"name": place.name, "fold": None, "place": place, "_run": run, "_definition": None}.items():
            object.__setattr__(self, key, value)

    @property
    def definition(self) -> Definition:
        known = self._definition
        if known is None:
            from dfg.frontend.lowering.library import define

            known = define(self.place)
            object.__setattr__(self, "_definition", known)
        return known

    @property
    def _target(self) -> Function | None:
        """The function that this is another name of."""
        return FUNCTIONS[self.definition.alias] if self.definition.alias is not None else None

    @property
    def doc(self) -> str:
        return self._target.doc if self._target is not None else self.definition.node.doc

    @property
    def signature(self) -> inspect.Signature:
        return self._target.signature if self._target is not None else self.definition.signature

    @property
    def implementation(self) -> Callable[..., Any]:
        return self._target.implementation if self._target is not None else self._run

    @property
    def elementwise(self) -> bool:
        return self._target.elementwise if self._target is not None else self.definition.elementwise

    @property
    def family(self) -> str:
        return self.place.file.removesuffix(".dfg")

    def __repr__(self) -> str:
        return f"<{self.name} of the prelude>"


def enter() -> None:
    """Enter the functions of the prelude into the table of functions."""
    for found in places().values():
        for place in found.values():
            if not place.name.startswith("_"):
                if place.name in FUNCTIONS:
                    raise ValueError(f"the function `{place.name}` is declared twice")
                FUNCTIONS[place.name] = Composite(place)


enter()
