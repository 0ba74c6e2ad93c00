"""The entries of the table of codes, by subject.

`names` is about binding and calling, `shapes` about shapes, dims and indices, `values` about dtypes and gradients, `data` about runs,
files and the command line. `code(...)` makes an entry from triple-quoted texts as they stand in these modules.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent

from dfg.diagnostics.model import Severity


@dataclass(frozen=True, slots=True)
class Code:
    """What one code means; `failing` gives exactly it, `repaired` compiles (and runs, with `repaired_run`)."""

    title: str
    explanation: str
    failing: str
    repaired: str
    failing_run: tuple[str, ...] = ()
    repaired_run: tuple[str, ...] = ()
    severity: Severity = "error"

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
