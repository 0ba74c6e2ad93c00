"""Declared facts about sizes, in Python: `dfg.dim("n", at_least=2, multiple_of=4)`.

A dim's declaration holds in the module that makes it, as a `dim` line holds in its file, and declaring a name again replaces what was said before. A graph
takes over the declarations that its dims are connected to; they reach other modules with the graph. No size changes its form after something was typed by it,
so a declaration is refused while values that were computed with the name are in use; inputs alone are typed again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

from dfg.diagnostics import Label, UserError, error
from dfg.dims import Dim, DimError, DimLike, Facts, named, names, parse_dim
from dfg.source import Span
from dfg.types import TensorType, TupleType

_serial = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Declaration:
    """What one `dfg.dim` says. Ordered by `serial`."""

    serial: int
    name: str
    facts: tuple[tuple[DimLike, str, DimLike], ...]
    span: Span | None = None

    @property
    def names(self) -> frozenset[str]:
        return frozenset((self.name,)).union(*[names(side) for left, _, right in self.facts for side in (left, right)])


Declarations: TypeAlias = tuple[Declaration, ...]
_MODULES: Final[dict[str, dict[str, Declaration]]] = {}


def declared(module: str) -> dict[str, Declaration]:
    return _MODULES.setdefault(module, {})


def connected(declarations: Iterable[Declaration], wanted: Iterable[str]) -> Declarations:
    """The declarations that say something about some names, or about names that these bring in."""
    left = list(declarations)
    if not left:
        return ()
    reached = set(wanted)
    found: list[Declaration] = []
    while True:
        more = [d for d in left if d.names & reached]
        if not more:
            return tuple(sorted(found, key=lambda d: d.serial))
        found += more
        left = [d for d in left if d not in more]
        reached.update(*[d.names for d in more])


def union(a: Declarations, b: Declarations) -> Declarations:
    return a if a == b or not b else b if not a else tuple(sorted({d.serial: d for d in (*a, *b)}.values(), key=lambda d: d.serial))


@lru_cache(maxsize=4096)
def facts_of(declarations: Declarations) -> Facts:
    """The frozen table of facts of some declarations. Raises `UserError` where no sizes satisfy them."""
    facts = Facts()
    for d in declarations:
        for name in sorted(d.names, key=lambda n: (n == d.name, n)):
            facts.declare_name(name)
        for left, op, right in d.facts:
            conflict = facts.declare(left, op, right, d.span)
            if conflict is not None:
                labels = [Label(f.origin, f"`{f}` is declared here") for f in conflict.against if isinstance(f.origin, Span)]
                raise UserError(error("dim-contradiction", conflict.message, d.span, labels=labels))
    facts.freeze()
    return facts


def size(given: Any, what: str, span: Span | None) -> DimLike:
    """A size as a user writes it: an integer, a dim, or a text such as "2*n"."""
    if isinstance(given, bool) or not isinstance(given, int | str | Dim):
        index = getattr(given, "__index__", None)
        if index is None or isinstance(given, bool):
            raise UserError(error("bad-argument", f'{what} is an integer, a dim or a text such as "2*n", not {given!r}', span))
        return int(index())
    if isinstance(given, str):
        try:
            return parse_dim(given)
        except DimError as e:
            raise UserError(error("bad-argument", str(e), span)) from None
    return given if isinstance(given, Dim) else int(given)


def declaration(
    name: str,
    span: Span | None,
    at_least: Any = None,
    at_most: Any = None,
    multiple_of: Any = None,
    equals: Any = None,
    differs_from: Any = None,
) -> Declaration:
    """What the arguments of `dfg.dim` say."""
    d = named(name)
    facts: list[tuple[DimLike, str, DimLike]] = []
    if equals is not None:
        facts.append((d, "==", size(equals, "`equals`", span)))
    if multiple_of is not None:
        k = size(multiple_of, "`multiple_of`", span)
        if isinstance(k, int) and k < 1:
            raise UserError(error("bad-argument", f"a size is a multiple of a positive number, not of {k}", span))
        facts.append((d % k, "==", 0))
    for given, op, what in ((at_least, ">=", "`at_least`"), (at_most, "<=", "`at_most`"), (differs_from, "!=", "`differs_from`")):
        if given is not None:
            facts.append((d, op, size(given, what, span)))
    return Declaration(next(_serial), name, tuple(facts), span)


def normal_attrs(attrs: Any, facts: Facts) -> Any:
    """Attributes with their sizes in the normal form of some facts. Subgraphs are left as they are."""
    if isinstance(attrs, tuple):
        return tuple([normal_attrs(a, facts) for a in attrs])
    if isinstance(attrs, Dim):
        return facts.normal(attrs)
    if isinstance(attrs, TensorType):
        return normal_type(attrs, facts)
    return attrs


def normal_type(t: TensorType, facts: Facts) -> TensorType:
    return t if not any(isinstance(d, Dim) for d in t.shape) else t.with_shape(tuple(facts.normal(d) for d in t.shape))


def names_of(type: TensorType | TupleType) -> frozenset[str]:
    """The dims that a type mentions."""
    if isinstance(type, TupleType):
        return frozenset().union(*[names_of(t) for t in type.items])
    return frozenset().union(*[names(d) for d in type.shape if isinstance(d, Dim)])
