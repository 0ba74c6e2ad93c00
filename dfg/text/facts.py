"""The `dim` lines of a graph: what the program declared of its sizes, as text and read back."""

from __future__ import annotations

from dfg.dims import DimLike, Facts
from dfg.source import Span


def fact_lines(facts: Facts) -> list[str]:
    """`dim` statements that declare the same facts. Where one is an equality the names come first, by rank: of two equal names the first stays."""
    ranks = [f"dim {name}" for name in facts.ranked] if any(f.op == "==" for f in facts.declared) else []
    return ranks + [f"dim {f}" for f in facts.declared]


def declare_fact(facts: Facts, left: DimLike, op: str | None, right: DimLike | None, span: Span) -> str | None:
    """Declare what a `dim` line says; gives what is wrong with it, or None."""
    if op is None or right is None:
        if str(left).isidentifier():
            facts.declare_name(str(left))
            return None
        return "a `dim` line declares a name or compares sizes"
    if op == "~":
        return None
    conflict = facts.declare(left, op, right, span)
    return None if conflict is None else conflict.message
