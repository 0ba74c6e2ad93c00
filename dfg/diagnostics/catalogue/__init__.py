"""The entries of the table of codes, by subject.

`syntax` is about how a program is written, `slips` about forms of Python and C, `names` about binding and calling, `shapes` about shapes, dims
and indices, `values` about dtypes and gradients, `data` about runs and the command line, `files` about reading and writing.

An entry is made by `code` (two programs), `run` (one program and two command lines) or `shown` (what no test can run: a damaged file,
a full disk). Texts are triple-quoted as they stand in these modules.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent
from typing import Literal

from dfg.diagnostics.model import Severity


@dataclass(frozen=True, slots=True)
class Code:
    """What one code means.

    Of a `program`, `failing` gives exactly this code and `repaired` compiles. Of a `run` both are the same program, and `dfg run FILE` fails
    with the arguments `failing_run` and not with `repaired_run`. What is only `shown` is for reading.
    """

    title: str
    explanation: str
    failing: str
    repaired: str
    failing_run: tuple[str, ...] = ()
    repaired_run: tuple[str, ...] = ()
    severity: Severity = "error"
    kind: Literal["program", "run", "shown"] = "program"


def code(title: str, explanation: str, failing: str, repaired: str, *, severity: Severity = "error") -> Code:
    """An entry with a failing and a repaired program."""
    return Code(title, _flowing(explanation), _program(failing), _program(repaired), severity=severity)


def run(title: str, explanation: str, program: str, failing: tuple[str, ...], repaired: tuple[str, ...]) -> Code:
    """An entry whose program is right: `failing` and `repaired` are what follows `dfg run FILE`."""
    text = _program(program)
    return Code(title, _flowing(explanation), text, text, failing, repaired, kind="run")


def shown(title: str, explanation: str, failing: str, repaired: str) -> Code:
    """An entry that a test cannot try."""
    return Code(title, _flowing(explanation), _program(failing), _program(repaired), kind="shown")


def _flowing(text: str) -> str:
    return " ".join(text.split())


def _program(text: str) -> str:
    return dedent(text).strip("\n") + "\n"
