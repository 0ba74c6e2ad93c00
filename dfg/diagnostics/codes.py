"""The table of diagnostic codes, and `explain`, which tells one of them as a page.

A code is a promise: it never changes its meaning. Each has a title, an explanation, and something that gives exactly this code beside the
same thing repaired; a test compiles and runs them, so the pages cannot rot. The entries are in `dfg.diagnostics.catalogue`, by subject: a
new code goes into one of the tables there.

>>> CODES["unknown-name"].title
'a name that nothing above it binds'
>>> nearest("thata", ["theta", "x"])
'theta'
"""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import fill

from dfg.diagnostics.catalogue import Code, builder, data, files, lowering, names, shapes, slips, syntax, values

__all__ = ["CODES", "Code", "explain", "nearest"]


def _table() -> dict[str, Code]:
    out: dict[str, Code] = {}
    for part in (builder.CODES, syntax.CODES, slips.CODES, names.CODES, lowering.CODES, shapes.CODES, values.CODES, data.CODES, files.CODES):
        for code, entry in part.items():
            if code in out:
                raise ValueError(f"the code {code} is in two tables")
            out[code] = entry
    return dict(sorted(out.items()))


CODES: dict[str, Code] = _table()


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `name` is most likely a slip of, or None: a few letters wrong, missing, surplus or swapped, or only case."""
    most = 0 if len(name) < 2 else 1 if len(name) < 6 else 2 if len(name) < 10 else 3
    best: tuple[int, int, str] | None = None
    for option in set(candidates):
        if option == name or abs(len(option) - len(name)) > most:
            continue
        slips = 0 if option.casefold() == name.casefold() else slips_between(name.casefold(), option.casefold(), most)
        rank = (slips, abs(len(option) - len(name)), option)
        if slips <= most and (best is None or rank < best):
            best = rank
    return best[2] if best is not None else None


def slips_between(a: str, b: str, most: int) -> int:
    """How many letters must be changed, put in, left out or swapped with their neighbour; more than `most` is given as `most + 1`."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        earlier, before, row = before, row, [i + 1]
        for j, y in enumerate(b):
            cost = min(before[j + 1] + 1, row[j] + 1, before[j] + (x != y))
            if i and j and x == b[j - 1] and y == a[i - 1]:
                cost = min(cost, earlier[j - 1] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)


def explain(code: str) -> str | None:
    """The page about a code, or None if there is no such code."""
    entry = CODES.get(code)
    if entry is None:
        return None
    parts = [f"{code}: {entry.title}", fill(entry.explanation, 100, break_long_words=False, break_on_hyphens=False)]
    failing = _indented(entry.failing)
    if entry.kind == "run":
        parts.append(f"With this program\n\n{failing}")
        parts.append(f"this fails:\n\n    {_command(entry.failing_run)}")
        parts.append(f"This is right:\n\n    {_command(entry.repaired_run)}")
    else:
        parts.append(f"This fails:\n\n{failing}")
        parts.append(f"This is right:\n\n{_indented(entry.repaired)}")
    return "\n\n".join(parts) + "\n"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.rstrip("\n").split("\n"))


def _command(arguments: Iterable[str]) -> str:
    words = (word if word.replace("-", "").replace("=", "").replace(".", "").isalnum() else f"'{word}'" for word in arguments)
    return " ".join(["dfg run program.dfg", *words])
