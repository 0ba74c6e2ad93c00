"""The `dim` lines of a graph: what the program declared of its sizes, as text and read back."""

from __future__ import annotations

from dfg.dims import DimLike, Facts
from dfg.source import Span


def fact_lines(facts: Facts) -> list[str]:
    """`dim` statements that declare the same names, facts and hints."""
    return []


def declare_fact(facts: Facts, left: DimLike, op: str | None, right: DimLike | None, span: Span) -> str | None:
    """Declare what a `dim` line says; gives what is wrong with it, or None."""
    return None
