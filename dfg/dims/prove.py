"""Proving that a size is never negative, from inequalities between sizes.

The proof is a sum: P is shown to be a nonnegative combination of known inequalities plus a polynomial without a negative sign, found by
a small bounded search. Every name is first moved to its lower bound (n = 2 + n'), floor(e / d) brings `d*f <= e <= d*f + d - 1`, a
minimum is split into its cases, and where integer divisions remain, names are split by their residues. `None` is never an answer
here: `nonneg` says True (proved) or False (not proved).

    Prover([n - 2]).nonneg(n*n - n)     # True: n = 2 + n', and n'*n' + 3*n' + 2 has no negative sign
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from dfg.dims.poly import (
    COUNT,
    FLOOR,
    MIN,
    NAME,
    Atom,
    Dim,
    DimError,
    DimLike,
    Monomial,
    add,
    dim_of,
    manifestly_nonneg,
    mono_key,
    mono_mul,
    mono_quotient,
    mul,
    named,
    names,
    sub,
)
from dfg.dims.walk import atoms_within, evaluate, rebuild

Poly: TypeAlias = dict[Monomial, int]

SEARCH_NODES: Final = 150
SEARCH_DEPTH: Final = 6
POINTS: Final = 12
_SAMPLES: Final = (0, 1, 7, 2, 30, 3, 5, 11)
CASES: Final = 24
ROUNDS: Final = 8


class Prover:
    """Answers `nonneg` under fixed inequalities, each a size known to be >= 0. Immutable but for its memo."""

    def __init__(self, known: Sequence[DimLike]) -> None:
        given = [g for g in known if isinstance(g, Dim)]
        self.lower, self.upper = _bounds(given)
        self._moved: dict[Atom, DimLike] = {}
        for x, bound in self.lower.items():
            if not x.nonneg:
                self._moved[x] = add(named(COUNT + x.name), bound)
            elif bound > 0:
                self._moved[x] = add(dim_of(x), bound)
        moved = [self.move(g) for g in given]
        # True where the inequalities contradict each other, as far as bounds show
        self.impossible = any(isinstance(g, int) and g < 0 for g in (*known, *moved)) or any(
            self.upper.get(x, bound) < bound for x, bound in self.lower.items()
        )
        self.known = tuple(dict.fromkeys(g for g in moved if isinstance(g, Dim) and not manifestly_nonneg(g)))
        self._memo: dict[DimLike, bool] = {}

    def move(self, d: DimLike) -> DimLike:
        """d with every name counted from its lower bound."""
        return rebuild(d, dict(self._moved)) if self._moved and isinstance(d, Dim) else d

    def nonneg(self, d: DimLike) -> bool:
        """True where d >= 0 is proved."""
        if isinstance(d, int):
            return d >= 0
        done = self._memo.get(d)
        if done is None:
            if len(self._memo) > 100_000:
                self._memo.clear()
            try:
                done = _by_cases(self.move(d), self.known, CASES)
            except DimError:
                done = False
            self._memo[d] = done
        return done

    def zero_by_residues(self, d: DimLike) -> bool:
        """True where d is 0 for every residue of the names that it divides by integers."""
        try:
            return _zero(self.move(d), CASES)
        except DimError:
            return False


def _bounds(known: Sequence[Dim]) -> tuple[dict[Atom, int], dict[Atom, int]]:
    """Constant bounds of names that the inequalities imply, by a few rounds of propagation."""
    lower = {x: 0 for g in known for m, _ in g.terms for x in m if x.kind == NAME and x.nonneg}
    upper: dict[Atom, int] = {}
    for _ in range(ROUNDS):
        changed = False
        for g in known:
            if any(len(m) > 1 or any(x.kind != NAME for x in m) for m, _ in g.terms):
                continue
            constant = sum(c for m, c in g.terms if not m)
            linear = [(m[0], c) for m, c in g.terms if m]
            for x, c in linear:
                # c*x >= -(constant + everything else at its most)
                most = constant
                for y, e in linear:
                    if y is not x:
                        limit = upper.get(y) if e > 0 else lower.get(y)
                        if limit is None:
                            break
                        most += e * limit
                else:
                    if c > 0:
                        bound = -(most // c)
                        if x not in lower or bound > lower[x]:
                            lower[x], changed = bound, True
                    else:
                        bound = most // -c
                        if x not in upper or bound < upper[x]:
                            upper[x], changed = bound, True
        if not changed:
            break
    return lower, upper


def _by_cases(d: DimLike, known: tuple[Dim, ...], cases: int) -> bool:
    if manifestly_nonneg(d):
        return True
    if isinstance(d, int):
        return False
    known = _related(d, known)
    if _refuted(d, known):
        return False
    split = next(iter(atoms_within(d, lambda f: f.kind == MIN)), None)
    if split is None:
        return _search(d, known) or _by_residues(d, known, cases)
    if cases < len(split.args):
        return False
    for a in split.args:
        under = tuple(g for b in split.args if isinstance(g := sub(b, a), Dim) and not manifestly_nonneg(g))
        if not _by_cases(rebuild(d, {split: a}), known + under, cases // len(split.args)):
            return False
    return True


def _residue_split(d: DimLike, cases: int) -> tuple[Atom, int] | None:
    """A name that d divides by integers, and the least common multiple of these."""
    periods: dict[Atom, int] = {}
    for f in atoms_within(d, lambda f: f.kind == FLOOR and isinstance(f.args[1], int)):
        k = f.args[1]
        assert isinstance(k, int)
        for x in atoms_within(f.args[0], lambda x: x.kind == NAME):
            periods[x] = math.lcm(periods.get(x, 1), k)
    if not periods:
        return None
    x = min(periods, key=lambda x: (periods[x], x.key))
    return (x, periods[x]) if periods[x] <= cases else None


def _residues(x: Atom, period: int) -> Iterator[dict[Atom, DimLike]]:
    # The count of whole periods may take the name of x itself: x = period*x + r, substituted at once.
    for r in range(period):
        yield {x: add(mul(dim_of(x), period), r)}


def _by_residues(d: DimLike, known: tuple[Dim, ...], cases: int) -> bool:
    split = _residue_split(d, cases)
    if split is None:
        return False
    for image in _residues(*split):
        moved = [rebuild(g, dict(image)) for g in known]
        if any(isinstance(g, int) and g < 0 for g in moved):
            continue  # no size has this residue
        under = tuple(g for g in moved if isinstance(g, Dim))
        case = rebuild(d, dict(image))
        if manifestly_nonneg(case):
            continue
        if isinstance(case, int) or not (_search(case, under) or _by_residues(case, under, cases // split[1])):
            return False
    return True


def _zero(d: DimLike, cases: int) -> bool:
    if isinstance(d, int):
        return d == 0
    split = _residue_split(d, cases)
    return split is not None and all(_zero(rebuild(d, image), cases // split[1]) for image in _residues(*split))


def _refuted(d: DimLike, known: Sequence[Dim]) -> bool:
    """True where some small sizes satisfy what is known and make d negative: then no proof need be sought."""
    if isinstance(d, int):
        return d < 0
    atoms = sorted({x for g in (d, *known) for x in atoms_within(g, lambda x: x.kind == NAME)}, key=lambda x: x.key)
    for i in range(POINTS):
        sizes = {x.name: _SAMPLES[(i * (j + 1) + j * j) % len(_SAMPLES)] if i > 3 else i * i for j, x in enumerate(atoms)}
        try:
            if evaluate(d, sizes) < 0 and all(evaluate(g, sizes) >= 0 for g in known):
                return True
        except ZeroDivisionError:
            continue
    return False


def _related(d: Dim, known: Sequence[Dim]) -> tuple[Dim, ...]:
    """The inequalities that share names with d, directly or through others."""
    reached, rest = set(names(d)), list(known)
    found: list[Dim] = []
    while True:
        near = [g for g in rest if not reached.isdisjoint(names(g))]
        if not near:
            return tuple(found)
        found += near
        rest = [g for g in rest if g not in near]
        reached.update(*(names(g) for g in near))


def _floor_facts(f: Atom, known: tuple[Dim, ...], inside: bool) -> list[Dim]:
    e, d = f.args
    facts: list[DimLike] = []
    if manifestly_nonneg(d):  # and not 0: a divisor
        product = mul(d, dim_of(f))
        facts += [sub(e, product), add(product, sub(sub(d, e), 1))]
        if not f.nonneg and not inside and isinstance(e, Dim) and _search(e, known, inside=True):
            facts.append(dim_of(f))
        gap = sub(e, d)
        if not inside and isinstance(d, Dim) and isinstance(gap, Dim) and (manifestly_nonneg(gap) or _search(gap, known, inside=True)):
            facts.append(sub(dim_of(f), 1))
    return [g for g in facts if isinstance(g, Dim)]


def _search(goal: Dim, known: tuple[Dim, ...], inside: bool = False) -> bool:
    """Bounded depth-first search for goal = sum of (positive number * monomial * known) + something without a negative sign.

    States are (scale, terms, depth): terms are scale times what is left of the goal, so all arithmetic is on integers. `inside` is set
    while the sign of a dividend is sought, which must not start such a search again.
    """
    known = _related(goal, known)
    if _refuted(goal, known):
        return False
    floors: dict[Atom, list[Dim]] = {}
    seen: set[frozenset[tuple[Monomial, int]]] = set()
    # Best first: fewest terms in the way, then shortest proof, then order of discovery
    queue: list[tuple[int, int, int, int, Poly]] = [(0, 0, 0, 1, dict(goal.terms))]
    made = 0
    while queue and made < SEARCH_NODES:
        _, depth, _, scale, p = heapq.heappop(queue)
        todo = _in_the_way(scale, p)
        if not todo:
            return True
        key = frozenset(p.items())
        if depth == SEARCH_DEPTH or key in seen:
            continue
        seen.add(key)
        for m in p:
            for x in m:
                if x.kind == FLOOR and x not in floors:
                    floors[x] = _floor_facts(x, known, inside)
        usable = [*known, *(g for x in floors for g in floors[x] if any(x in m for m in p))]
        # The term with the fewest ways to cancel it decides: with none, this state is dead
        best: list[tuple[Dim, Monomial, int]] | None = None
        for target in sorted(todo, key=mono_key):
            ways = list(_ways(p[target], target, usable))
            if best is None or len(ways) < len(best):
                best, chosen = ways, target
            if not best:
                break
        for g, over, c in best or []:
            made += 1
            grown, q = _cancel(scale, p, p[chosen], g, over, c)
            heapq.heappush(queue, (len(_in_the_way(grown, q)), depth + 1, made, grown, q))
    return False


def _in_the_way(scale: int, p: Poly) -> list[Monomial]:
    """The terms that keep p from being manifestly >= 0: negative ones, factors of unknown sign, at last a negative constant."""
    terms = [m for m, c in p.items() if m and (c < 0 or not all(x.nonneg for x in m))]
    # p / scale is an integer, and one above -1 is not negative
    return terms or ([()] if p.get((), 0) <= -scale else [])


def _ways(amount: int, target: Monomial, pool: Sequence[Dim]) -> Iterator[tuple[Dim, Monomial, int]]:
    """Every known inequality, with the monomial to multiply it by, that can cancel a term."""
    for g in pool:
        for m, c in g.terms:
            if (c < 0) == (amount < 0):
                over = mono_quotient(target, m)
                if over is not None and all(x.nonneg for x in over):
                    yield g, over, c


def _cancel(scale: int, p: Poly, amount: int, g: Dim, over: Monomial, c: int) -> tuple[int, Poly]:
    """p - (amount/c)*over*g, brought to integers."""
    shared = math.gcd(amount, c)
    grow, times = abs(c) // shared, abs(amount) // shared
    q = {m: v * grow for m, v in p.items()} if grow != 1 else dict(p)
    for m, v in g.terms:
        mk = mono_mul(m, over)
        left = q.get(mk, 0) - times * v
        if left:
            q[mk] = left
        else:
            q.pop(mk, None)
    return scale * grow, q


__all__ = ["Prover"]
