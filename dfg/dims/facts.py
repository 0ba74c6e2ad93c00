"""The table of declared facts about sizes: `dim n == m`, `dim n % 4 == 0`, `dim n >= 2`.

Facts are collected while declarations are read, then the table is frozen: from there `normal` gives every size one form, so types that the
facts make equal print and hash alike. Nothing is assumed beyond the facts but that names are sizes (>= 0). Answers are three-valued:
True is proved, False is disproved, None is unknown.

    facts = Facts()
    facts.declare(n % 4, "==", 0)
    facts.freeze()
    facts.normal(n // 4 * 4)        # n
    facts.equal(n, m)               # None
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from dfg.dims.poly import FLOOR, MIN, Dim, DimError, DimLike, add, dim_min, dim_of, floordiv, is_hidden, mul, named, names, sub, terms_of
from dfg.dims.prove import Prover
from dfg.dims.system import Contradiction, System
from dfg.dims.walk import evaluate

HOLDS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One declared fact, as it was written; `origin` is whatever the declarer wants back (a span)."""

    lhs: DimLike
    op: str
    rhs: DimLike
    origin: object = None

    def __str__(self) -> str:
        return f"{self.lhs} {self.op} {self.rhs}"

    @property
    def at_least_zero(self) -> DimLike | None:
        """An inequality as a size >= 0; None for == and !=."""
        gap = sub(self.lhs, self.rhs) if self.op in (">=", ">") else sub(self.rhs, self.lhs)
        return None if self.op in ("==", "!=") else sub(gap, 1) if self.op in (">", "<") else gap

    def holds(self, sizes: Mapping[str, int]) -> bool:
        return HOLDS[self.op](evaluate(self.lhs, sizes), evaluate(self.rhs, sizes))


@dataclass(frozen=True, slots=True)
class DimConflict:
    """A fact that no sizes satisfy together with the facts `against` (a smallest such set, possibly empty). It was not added."""

    fact: Fact
    against: tuple[Fact, ...]

    @property
    def message(self) -> str:
        if not self.against:
            return f"no size satisfies `{self.fact}`"
        return f"`{self.fact}` contradicts " + " and ".join(f"`{f}`" for f in self.against)


class Facts:
    """See the module. `declare` returns a DimConflict instead of adding a fact that contradicts the others."""

    def __init__(self) -> None:
        self.declared: list[Fact] = []
        self.frozen = False
        self._system = System()
        self._prover: Prover | None = None
        self._normal: dict[Dim, DimLike] = {}
        self._equal: dict[tuple[DimLike, DimLike], bool | None] = {}
        self._least: dict[tuple[DimLike, DimLike], bool | None] = {}

    def declare_name(self, name: str) -> None:
        """Give a name its rank: of two equal names the one declared first stays."""
        self._must_be_open()
        self._system.declare(name)
        self._prover = None

    @property
    def ranked(self) -> list[str]:
        """The declared names by rank, the first one first."""
        return [name for name, _ in sorted(self._system.rank.items(), key=lambda item: item[1]) if name.isidentifier()]

    def declare(self, lhs: DimLike, op: str, rhs: DimLike, origin: object = None) -> DimConflict | None:
        self._must_be_open()
        if op not in HOLDS:
            raise ValueError(f"a fact compares sizes with {', '.join(HOLDS)}, not {op!r}")
        fact = Fact(lhs, op, rhs, origin)
        for name in (*_in_order(lhs), *_in_order(rhs)):
            self._system.declare(name)
        trial = self._system.copy()
        if not _consistent(trial, self.declared, fact):
            return DimConflict(fact, self._smallest_conflict(fact))
        self._system = trial
        self._prover = None
        self.declared.append(fact)
        return None

    def freeze(self) -> None:
        """No fact may be declared from here on, and `normal` keeps its answers."""
        if self.frozen:
            return
        try:
            trial = self._system.copy()
            trial.complete()
            self._system = trial
        except (Contradiction, DimError):
            pass  # completion only adds what follows; the declared rules stand
        self._prover = None
        self.frozen = True
        prover = self._proofs()
        self._system._refresh()
        self._system.simplify = lambda d: _by_bounds(d, prover)

    def normal(self, d: DimLike) -> DimLike:
        """The one form of d under the facts, in names that the user declared."""
        if isinstance(d, int):
            return d
        done = self._normal.get(d) if self.frozen else None
        if done is None:
            done = d
            for _ in range(4):  # a name that came back may be rewritten once more where divisors are themselves rewritten
                before, done = done, self._system.back(self._system.forward(done))
                if done == before or isinstance(done, int):
                    break
            if self.frozen:
                self._normal[d] = done
                if isinstance(done, Dim):
                    self._normal[done] = done
        return done

    def equal(self, a: DimLike, b: DimLike) -> bool | None:
        """True where a == b is proved, False where they differ whatever the sizes, None where it depends or is not known."""
        if a is b or a == b:
            return True
        if isinstance(a, int) and isinstance(b, int):
            return False
        if self.frozen and (a, b) in self._equal:
            return self._equal[a, b]
        gap = self._system.forward(sub(a, b))
        answer = gap == 0 if isinstance(gap, int) else self._equal_gap(gap)
        if self.frozen:
            self._equal[a, b] = self._equal[b, a] = answer
        return answer

    def _equal_gap(self, gap: Dim) -> bool | None:
        if self._system.vanishes(gap):
            return True
        constant = sum(c for m, c in gap.terms if not m)
        if constant % math.gcd(*(c for m, c in gap.terms if m)):
            return False
        prover = self._proofs()
        if prover.zero_by_residues(gap):
            return True
        if prover.nonneg(sub(gap, 1)) or prover.nonneg(sub(mul(gap, -1), 1)):
            return False
        if prover.nonneg(gap) and prover.nonneg(mul(gap, -1)):
            return True
        for fact in self.declared:
            if fact.op == "!=" and self._system.forward(sub(fact.lhs, fact.rhs)) in (gap, mul(gap, -1)):
                return False
        return None

    def at_least(self, a: DimLike, b: DimLike) -> bool | None:
        """True where a >= b is proved, False where a < b is proved, None otherwise."""
        if self.frozen and (a, b) in self._least:
            return self._least[a, b]
        gap = self._system.forward(sub(a, b))
        prover = self._proofs()
        answer = True if prover.nonneg(gap) else False if prover.nonneg(sub(mul(gap, -1), 1)) else None
        if self.frozen:
            self._least[a, b] = answer
        return answer

    def lower_bound(self, d: DimLike) -> int | None:
        """A constant that d is proved to reach at least, where signs and bounds of names give one."""
        moved = self._proofs().move(self._system.forward(d))
        if any(m and (c < 0 or not all(f.nonneg for f in m)) for m, c in terms_of(moved)):
            return None
        return sum(c for m, c in terms_of(moved) if not m)

    def first_failing(self, sizes: Mapping[str, int]) -> Fact | None:
        """The first declared fact that these sizes break."""
        return next((f for f in self.declared if not f.holds(sizes)), None)

    def _must_be_open(self) -> None:
        if self.frozen:
            raise RuntimeError("the facts about sizes are frozen: declare them before the first value is typed")

    def _proofs(self) -> Prover:
        if self._prover is None:
            self._prover = Prover(_inequalities(self._system, self.declared))
        return self._prover

    def _smallest_conflict(self, fact: Fact) -> tuple[Fact, ...]:
        """Facts that conflict with `fact` and no longer do if any of them is dropped."""
        blamed = list(self.declared)
        for f in self.declared:
            fewer = [g for g in blamed if g is not f]
            system = System(rank={n: r for n, r in self._system.rank.items() if not is_hidden(n)})
            before: list[Fact] = []
            for g in fewer:
                if not _consistent(system, before, g):
                    break
                before.append(g)
            else:
                if _consistent(system, before, fact):
                    continue
            blamed = fewer
        return tuple(blamed)


def _in_order(d: DimLike) -> Iterable[str]:
    return sorted(names(d))


def _inequalities(system: System, facts: Iterable[Fact]) -> list[DimLike]:
    """What is known to be >= 0, in the terms of the system: every name, and the declared inequalities."""
    sizes = [system.forward(named(n)) for n in system.rank if not is_hidden(n)]
    declared = [g for f in facts if (g := f.at_least_zero) is not None]
    return sizes + [system.forward(g) for g in declared + system.implied]


def _consistent(system: System, facts: list[Fact], fact: Fact) -> bool:
    """Add a fact to a system that holds `facts`; False where that is provably impossible."""
    try:
        if fact.op == "==":
            system.add_equation(sub(fact.lhs, fact.rhs))
        together = [*facts, fact]
        prover = Prover(_inequalities(system, together))
        if prover.impossible:
            return False
        # An equation can break any earlier inequality; an inequality need only be checked itself
        for f in together if fact.op == "==" else [fact, *(f for f in facts if f.op == "!=")]:
            gap = system.forward(sub(f.lhs, f.rhs))
            if f.op == "!=":
                if gap == 0 or (prover.nonneg(gap) and prover.nonneg(mul(gap, -1))):
                    return False
            elif f.op == "==":
                if prover.nonneg(sub(gap, 1)) or prover.nonneg(sub(mul(gap, -1), 1)):
                    return False
            elif (short := f.at_least_zero) is not None and prover.nonneg(sub(mul(system.forward(short), -1), 1)):
                return False
    except (Contradiction, ZeroDivisionError):
        return False
    return True


def _by_bounds(d: DimLike, prover: Prover) -> DimLike:
    """Simplify the atoms of d that bounds decide: min(n, 48) is 48 where n >= 48, n//k is 0 where n < k."""
    if isinstance(d, int):
        return d
    for f in dict.fromkeys(f for m, _ in d.terms for f in m):
        if f.kind == FLOOR:
            e, k = f.args
            if not (prover.nonneg(sub(sub(k, e), 1)) and prover.nonneg(e)):
                continue
            image: DimLike = 0
        elif f.kind == MIN:
            kept = list(f.args)
            for a in f.args:
                if any(b is not a and prover.nonneg(sub(a, b)) for b in kept):
                    kept = [b for b in kept if b is not a]
            if len(kept) == len(f.args):
                continue
            image = dim_min(*kept)
        else:
            continue
        total: DimLike = 0
        for m, c in terms_of(d):
            term: DimLike = c
            for g in m:
                term = mul(term, image if g is f else dim_of(g))
            total = add(total, term)
        d = total
    return d


def explain_unequal(a: DimLike, b: DimLike, facts: Facts | None = None) -> str:
    """Why a and b cannot be taken as equal, as a clause for a message: no full stop, sizes in backquotes."""
    known = facts if facts is not None else Facts()
    left, right = known.normal(a), known.normal(b)
    verdict, gap = known.equal(a, b), sub(left, right)
    if isinstance(left, int) and isinstance(right, int):
        return f"{left} is not {right}" if left != right else f"both are {left}"
    if verdict is True:
        return f"`{a}` and `{b}` are equal"
    said = [f"`{d}` is `{n}`" for d, n in ((a, left), (b, right)) if isinstance(d, Dim) and n != d]
    via = f" ({', '.join(said)})" if said else ""
    if isinstance(gap, int):
        return f"`{a}` is {abs(gap)} {'more' if gap > 0 else 'less'} than `{b}`{via}"
    if verdict is False:
        if known.at_least(a, add(b, 1)):
            return f"`{a}` is always more than `{b}`{via}"
        if known.at_least(b, add(a, 1)):
            return f"`{a}` is always less than `{b}`{via}"
        return f"`{a}` never equals `{b}`{via}"
    if all(isinstance(d, int) or d == named(str(d)) for d in (left, right)):
        return f"nothing says that `{a}` equals `{b}`{via}"
    return f"`{a}` and `{b}` differ by `{gap}`, and nothing says that this is 0{via}"


def suggest_fact(a: DimLike, b: DimLike) -> str:
    """The `dim` line that would state a == b, smaller and symbolic side first; `dim n % 2 == 0` for n == 2*(n//2)."""
    for whole, other in ((a, b), (b, a)):
        for _, k in terms_of(other) if isinstance(other, Dim) else ():
            if isinstance(k, int) and k > 1 and isinstance(whole, Dim) and mul(floordiv(whole, k), k) == other:
                return f"dim {whole if str(whole).isidentifier() else f'({whole})'} % {k} == 0"
    first, second = (b, a) if isinstance(a, int) or (isinstance(b, Dim) and len(b.terms) < len(a.terms)) else (a, b)
    return f"dim {first} == {second}"
