"""Nested tuples, lists and dictionaries of tensors: taken apart into leaves, and put together again.

>>> flatten({"a": 1, "b": (2, None)})[0]
[1, 2]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from dfg.frontend.builder.homes import Handle


@dataclass(frozen=True, slots=True)
class Tree:
    """The structure of nested tuples, lists and dictionaries."""

    kind: str
    keys: tuple[Any, ...] = ()
    parts: tuple[Tree, ...] = ()


LEAF: Final = Tree("leaf")
EMPTY: Final = Tree("none")


def flatten(x: Any) -> tuple[list[Any], Tree]:
    """The leaves of a nested structure, and the structure."""
    if x is None:
        return [], EMPTY
    if isinstance(x, dict):
        pairs = [flatten(v) for v in x.values()]
        return [leaf for leaves, _ in pairs for leaf in leaves], Tree("dict", tuple(x), tuple(t for _, t in pairs))
    if isinstance(x, tuple) or (isinstance(x, list) and any(isinstance(i, Handle | tuple | list | dict) for i in x)):
        pairs = [flatten(v) for v in x]
        kind = "list" if isinstance(x, list) else "tuple"
        return [leaf for leaves, _ in pairs for leaf in leaves], Tree(
            kind, (type(x),) if hasattr(x, "_fields") else (), tuple(t for _, t in pairs)
        )
    return [x], LEAF


def unflatten(leaves: Sequence[Any], tree: Tree) -> Any:
    """The structure with other leaves."""
    rest = iter(leaves)

    def make(t: Tree) -> Any:
        if t is LEAF or t.kind == "leaf":
            return next(rest)
        if t.kind == "none":
            return None
        parts = [make(p) for p in t.parts]
        if t.kind == "dict":
            return dict(zip(t.keys, parts, strict=True))
        return parts if t.kind == "list" else t.keys[0](*parts) if t.keys else tuple(parts)

    return make(tree)


def shown(tree: Tree) -> str:
    """A structure as Python writes it."""
    match tree.kind:
        case "leaf":
            return "*"
        case "none":
            return "None"
        case "dict":
            return "{" + ", ".join(f"{k!r}: {shown(p)}" for k, p in zip(tree.keys, tree.parts, strict=True)) + "}"
        case "list":
            return "[" + ", ".join(map(shown, tree.parts)) + "]"
    return "(" + ", ".join(map(shown, tree.parts)) + ("," if len(tree.parts) == 1 else "") + ")"
