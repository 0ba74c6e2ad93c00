"""The entries of the table of codes, by subject.

<<<<<<< HEAD
`names` is about binding and calling, `shapes` about shapes, dims and indices, `values` about dtypes and gradients, `data` about runs,
files and the command line. `code(...)` makes an entry from triple-quoted texts as they stand in these modules.
=======
`syntax` is about how a program is written, `slips` about forms of Python and C, `names` about binding and calling, `shapes` about shapes, dims
and indices, `values` about dtypes and gradients, `data` about runs and the command line, `files` about reading and writing.

An entry is made by `code` (two programs), `run` (one program and two command lines) or `shown` (what no test can run: a damaged file,
a full disk). Texts are triple-quoted as they stand in these modules.
>>>>>>> main
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent
<<<<<<< HEAD
=======
from typing import Literal
>>>>>>> main

from dfg.diagnostics.model import Severity


@dataclass(frozen=True, slots=True)
class Code:
<<<<<<< HEAD
    """What one code means; `failing` gives exactly it, `repaired` compiles (and runs, with `repaired_run`)."""
=======
    """What one code means.

    Of a `program`, `failing` gives exactly this code and `repaired` compiles. Of a `run` both are the same program, and `dfg run FILE` fails
    with the arguments `failing_run` and not with `repaired_run`. What is only `shown` is for reading.
    """
>>>>>>> main

    title: str
    explanation: str
    failing: str
    repaired: str
    failing_run: tuple[str, ...] = ()
    repaired_run: tuple[str, ...] = ()
    severity: Severity = "error"
<<<<<<< HEAD

    @property
    def at_run(self) -> bool:
        """The program is right, and the code comes from how it is run."""
        return self.failing == self.repaired


def code(title: str, explanation: str, failing: str, repaired: str | None = None, *, failing_run: tuple[str, ...] = (),
         repaired_run: tuple[str, ...] = (), severity: Severity = "error") -> Code:
    """An entry; without `repaired` the program is right and only the run is wrong."""
    program = dedent(failing).strip("\n") + "\n"
    better = program if repaired is None else dedent(repaired).strip("\n") + "\n"
    return Code(title, " ".join(explanation.split()), program, better, failing_run, repaired_run, severity)
=======
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
>>>>>>> main
