"""Equations between sizes, oriented into rewriting rules.

A rule replaces a monomial by a size. `m == n` replaces the later name; `n % 4 == 0` replaces n by 4*q where q is a hidden parameter
that means n//4, so that n//4, n % 8 and (n + 3)//4 simplify by themselves; `d % heads == 0` replaces d by heads*q; `2*n == 3*m` becomes
n = 3*q, m = 2*q; `r*c == 2*n` replaces the product. What cannot be oriented is kept and used by `vanishes` only.

Invariants: right sides are fully rewritten; no left side occurs in a right side, not even inside a division. `forward` goes to hidden
parameters, `back` returns to names that the user knows, so `back(forward(d))` is one form for all sizes that the rules make equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from dfg.dims.poly import (
    COUNT,
    FLOOR,
    FREE,
    NAME,
    Atom,
    Dim,
    DimError,
    DimLike,
    Monomial,
    add,
    build,
    dim_of,
    divmod_poly,
    floordiv,
    is_hidden,
    make,
    manifestly_nonneg,
    mono_key,
    mono_mul,
    mono_quotient,
    mul,
    named,
    names,
    sub,
    terms_of,
)
from dfg.dims.walk import atoms_within

STEPS = 400


@dataclass(frozen=True, slots=True)
class Hidden:
    """A hidden parameter q: divisor*q == base and q == meaning, both said in names and older parameters."""

    param: Atom
    divisor: DimLike
    base: DimLike
    meaning: DimLike


class Contradiction(Exception):
    """An equation that no sizes satisfy."""


@dataclass(slots=True)
class System:
    rank: dict[str, tuple[int, int]] = field(default_factory=dict)  # later-declared names are replaced first
    rules: dict[Monomial, DimLike] = field(default_factory=dict)
    kept: list[Dim] = field(default_factory=list)
    hidden: list[Hidden] = field(default_factory=list)
    implied: list[DimLike] = field(default_factory=list)  # sizes that equations make >= 0: n % m == 1 needs m >= 2
    simplify: Callable[[DimLike], DimLike] | None = None  # by bounds, once the table is frozen
    _memo: dict[Atom, DimLike] = field(default_factory=dict)
    _products: list[Monomial] = field(default_factory=list)  # left sides that are no bare name

    def copy(self) -> System:
        twin = System(dict(self.rank), dict(self.rules), list(self.kept), list(self.hidden), list(self.implied))
        twin._products = list(self._products)
        return twin

    def declare(self, name: str) -> None:
        self.rank.setdefault(name, (len(self.rank), 0))

    # Rewriting

    def forward(self, d: DimLike) -> DimLike:
        """d rewritten by every rule until nothing applies."""
        for _ in range(STEPS):
            new = self._once(d)
            if new == d:
                return new
            d = new
        raise DimError("the facts about sizes rewrite each other without end")

    def _once(self, d: DimLike) -> DimLike:
        if isinstance(d, int):
            return d
        total: DimLike = 0
        plain: dict[Monomial, int] = {}
        for m, c in d.terms:
            images = [self._image(f) for f in m]
            if all(isinstance(i, Dim) and i.terms == (((f,), 1),) for f, i in zip(m, images, strict=True)):
                plain[m] = c
                continue
            product: DimLike = c
            for i in images:
                product = mul(product, i)
            total = add(total, product)
        return self._rewrite(add(total, make(plain)) if plain else total)

    def _image(self, f: Atom) -> DimLike:
        image = self._memo.get(f)
        if image is None:
            if f.kind == NAME:
                image = self.rules.get((f,), dim_of(f))
            else:
                image = build(f.kind, [self.forward(a) for a in f.args])
                if self.simplify is not None:
                    image = self.simplify(image)
            self._memo[f] = image
        return image

    def _rewrite(self, d: DimLike) -> DimLike:
        if not self._products:
            return d
        for _ in range(STEPS):
            tries = ((left, mono_quotient(m, left), m, c) for m, c in terms_of(d) for left in self._products)
            hit = next((found for found in tries if found[1] is not None), None)
            if hit is None:
                return d
            left, over, m, c = hit
            assert over is not None
            d = add(sub(d, make({m: c})), mul(make({over: c}), self.rules[left]))
        raise DimError("the facts about sizes rewrite each other without end")

    def back(self, d: DimLike) -> DimLike:
        """d with hidden parameters replaced by what they mean, in whole multiples of the names where possible."""
        for h in reversed(self.hidden):
            d = _reveal(d, h)
        return d

    # Solving

    def add_equation(self, d: DimLike) -> None:
        """Make d == 0 hold. Raises Contradiction where no sizes can. An equation too entangled to orient is kept."""
        before = self.copy()
        try:
            self._solve([d])
        except DimError:
            self.rules, self.kept, self.hidden, self.implied = before.rules, before.kept, before.hidden, before.implied
            self._refresh()
            p = self.forward(d)
            if isinstance(p, Dim):
                self.kept.append(_content_free(p))

    def _solve(self, work: list[DimLike]) -> None:
        for _ in range(STEPS):
            if not work:
                return
            p = self.forward(work.pop(0))
            if isinstance(p, int):
                if p:
                    raise Contradiction
                continue
            rule = self._orient(p)
            if rule is None:
                reduced = _content_free(p)
                if reduced not in self.kept:
                    self.kept.append(reduced)
                continue
            left, right, solved = rule
            if not solved:
                work.append(p)
            work += self._install(left, right)
        raise DimError("the facts about sizes are too entangled to solve")

    def complete(self) -> None:
        """Add what overlapping rules imply (a*b == c and b*d == e give c*d == a*e), so that the order of rewriting cannot matter."""
        for _ in range(3):
            found = False
            lefts = list(self._products)
            for i, one in enumerate(lefts[:12]):
                for other in lefts[i + 1 : 12]:
                    if one not in self.rules or other not in self.rules or not set(one) & set(other):
                        continue
                    shared = list(one)
                    extra = [f for f in other if f not in shared or shared.remove(f)]  # type: ignore[func-returns-value]
                    whole = mono_mul(one, tuple(extra))
                    by_one, by_other = mono_quotient(whole, one), mono_quotient(whole, other)
                    assert by_one is not None and by_other is not None
                    gap = self.forward(sub(mul(make({by_one: 1}), self.rules[one]), mul(make({by_other: 1}), self.rules[other])))
                    if isinstance(gap, Dim) and _content_free(gap) not in self.kept:
                        found = True
                        self.add_equation(gap)
            if not found:
                return

    def _install(self, left: Monomial, right: DimLike) -> list[DimLike]:
        """Add a rule; give the equations of older rules and kept equations that must be solved anew."""
        old = self.rules
        self.rules = {left: right}
        self._refresh()
        again: list[DimLike] = list(self.kept)
        self.kept = []
        settled: dict[Monomial, DimLike] = {}
        for k, v in old.items():
            side = make({k: 1})
            if self.forward(side) == side:
                settled[k] = self.forward(v)
            else:
                again.append(sub(side, v))
        self.rules = {**settled, left: right}
        self._refresh()
        return again

    def _refresh(self) -> None:
        self._memo = {}
        self._products = sorted((m for m in self.rules if len(m) != 1 or m[0].kind != NAME), key=mono_key)

    def _order(self, m: Monomial) -> tuple[Any, ...]:
        """A monomial order (graded lexicographic): a rule for a product rewrites its greatest monomial, so rewriting ends."""
        return (len(m), sorted((self._atom_order(f) for f in m), reverse=True))

    def _atom_order(self, f: Atom) -> tuple[Any, ...]:
        if f.kind == NAME:
            return (0, f.key) if is_hidden(f.name) else (1, self.rank.get(f.name, (len(self.rank), 0)), f.key)
        return (2, f.depth, f.key)

    def _leads(self, left: Monomial, right: DimLike) -> bool:
        """True where rewriting left to right surely ends: a bare name that is gone afterwards, or the greatest monomial."""
        if len(left) == 1 and left[0].kind == NAME:
            return left[0].name not in names(right)
        order = self._order(left)
        inside = [m for f in atoms_within(right) for a in f.args for m, _ in terms_of(a)]
        return all(self._order(m) < order for m, _ in terms_of(right)) and all(mono_quotient(m, left) is None for m in inside)

    def _rank(self, m: Monomial) -> tuple[int, tuple[int, int], str]:
        ranks = [self.rank.get(n, (len(self.rank), 0)) for f in m for n in f.names]
        return (len(m), max(ranks, default=(0, 0)), str(make({m: 1})))

    def _orient(self, p: Dim) -> tuple[Monomial, DimLike, bool] | None:
        """A rule that follows from p == 0, and whether it says all of p; None where there is none."""
        content = math.gcd(*(c for m, c in p.terms if m))
        constant = sum(c for m, c in p.terms if not m)
        if constant % content:
            raise Contradiction
        if content > 1:
            shrunk = make({m: c // content for m, c in p.terms})
            assert isinstance(shrunk, Dim)
            p = shrunk
        single = {m: c for m, c in p.terms if len(m) == 1 and m[0].kind == NAME and _alone(m, p)}
        units = [m for m, c in single.items() if abs(c) == 1]
        if units:
            left = max(units, key=self._rank)
            return left, self._isolate(p, left, single[left]), True
        for f in dict.fromkeys(m[0] for m, _ in p.terms if len(m) == 1 and m[0].kind == FLOOR):
            rule = self._divisible(p, f)
            if rule is not None:
                return *rule, False
        for left in sorted(single, key=self._rank, reverse=True):
            # c*x + rest == 0: rest is a multiple of c, which gives one of its names as c*q + something
            period = abs(single[left])
            rule = self._congruent(sub(p, make({left: single[left]})), period)
            if rule is not None:
                return *rule, False
        for product in sorted((m for m, c in p.terms if m and abs(c) == 1 and _alone(m, p)), key=self._order, reverse=True):
            right = self._isolate(p, product, dict(p.terms)[product])
            if self._leads(product, right):
                return product, right, True
        return None

    def _isolate(self, p: Dim, left: Monomial, sign: int) -> DimLike:
        rest = sub(p, make({left: sign}))
        return mul(rest, -sign)

    def _divisible(self, p: Dim, f: Atom) -> tuple[Monomial, DimLike] | None:
        """p says e % d == c, as e - d*floor(e/d) - c == 0 up to sign, for the atom f = floor(e/d)."""
        e, d = f.args
        times: DimLike = make({tuple(_drop(m, f)): c for m, c in p.terms if f in m})
        sign = next((s for s in (1, -1) if times == mul(d, -s)), None)
        if sign is None:
            return None
        rest = sub(p, mul(times, dim_of(f)))
        c = sub(e, mul(rest, sign))
        if not isinstance(c, int):
            return None
        if isinstance(d, int):
            if not 0 <= c < d:
                raise Contradiction
            return self._congruent(sub(e, c), d)
        if c < 0 and manifestly_nonneg(d):
            raise Contradiction
        if c > 0 and manifestly_nonneg(d):
            self.implied.append(sub(d, c + 1))
        if isinstance(e, int):
            return None
        for left in sorted((m for m, v in e.terms if m and abs(v) == 1 and _alone(m, e)), key=self._rank, reverse=True):
            if any(x in left for x in atoms_within(d)):
                continue
            unit = dict(e.terms)[left]
            base = sub(e, c)
            q = self._new(d, base, floordiv(base, d), left)
            right = mul(sub(mul(d, dim_of(q)), sub(base, make({left: unit}))), unit)
            if self._leads(left, right):
                return left, right
            self.hidden.pop()
        return None

    def _congruent(self, e: DimLike, period: int) -> tuple[Monomial, DimLike] | None:
        """e is a multiple of period: one monomial of e becomes period*q + something, q a new parameter."""
        reduced = divmod_poly(e, period)[1]
        if isinstance(reduced, int):
            if reduced:
                raise Contradiction
            return None
        content = math.gcd(period, *(c for m, c in reduced.terms if m))
        constant = sum(c for m, c in reduced.terms if not m)
        if constant % content:
            raise Contradiction
        period //= content
        if period == 1:
            return None
        terms = {m: c // content for m, c in reduced.terms}
        usable: list[Monomial] = [m for m, c in terms.items() if m and math.gcd(c, period) == 1 and _alone(m, reduced)]
        simple: list[Monomial] = sorted((m for m in usable if len(m) == 1 and m[0].kind == NAME), key=self._rank, reverse=True)
        for left in simple or sorted(usable, key=self._order, reverse=True):
            inverse = pow(terms[left], -1, period)
            offset = make({m: -c * inverse % period for m, c in terms.items() if m != left})
            x = make({left: 1})
            base = sub(x, offset)
            meaning = floordiv(x, period) if isinstance(offset, int) else floordiv(base, period)
            right = add(mul(dim_of(self._new(period, base, meaning, left)), period), offset)
            if self._leads(left, right):
                return left, right
            self.hidden.pop()
        return None

    def _new(self, divisor: DimLike, base: DimLike, meaning: DimLike, left: Monomial) -> Atom:
        kind = COUNT if manifestly_nonneg(meaning) else FREE
        name = f"{kind}{len(self.hidden):06}"
        self.rank[name] = (self._rank(left)[1][0], len(self.hidden) + 1)
        made = named(name)
        self.hidden.append(Hidden(made.terms[0][0][0], divisor, base, meaning))
        return self.hidden[-1].param

    # Questions

    def vanishes(self, d: DimLike) -> bool:
        """True where d == 0 follows: by rules, or as a rational combination of multiples of the kept equations."""
        p = self.forward(d)
        if isinstance(p, int) or not self.kept:
            return p == 0
        basis = _echelon([{m: Fraction(c) for m, c in k.terms} for k in self.kept])
        return not _reduce({m: Fraction(c) for m, c in p.terms}, basis)


def _drop(m: Monomial, f: Atom) -> Monomial:
    at = m.index(f)
    return m[:at] + m[at + 1 :]


def _alone(left: Monomial, p: Dim) -> bool:
    """True where `left` divides no other term of p and does not occur inside an atom of p."""
    if any(m != left and mono_quotient(m, left) is not None for m, _ in p.terms):
        return False
    inner = [a for f in atoms_within(p) for a in f.args]
    return all(mono_quotient(m, left) is None for a in inner for m, _ in terms_of(a))


def _content_free(p: Dim) -> Dim:
    content = math.gcd(*(c for _, c in p.terms)) * (1 if p.terms[0][1] > 0 else -1)
    made = make({m: c // content for m, c in p.terms})
    assert isinstance(made, Dim)
    return made


def _reveal(d: DimLike, h: Hidden) -> DimLike:
    name = h.param.name
    if isinstance(d, int) or name not in names(d):
        return d
    without: DimLike = 0
    times: dict[Monomial, int] = {}
    for m, c in d.terms:
        if h.param in m:
            times[_drop(m, h.param)] = c
            continue
        term: DimLike = c
        for f in m:
            inside = f.kind != NAME and name in f.names
            term = mul(term, build(f.kind, [_reveal(a, h) for a in f.args]) if inside else dim_of(f))
        without = add(without, term)
    factor = make(times)
    if isinstance(h.divisor, int):  # toward zero, so that -q stays -(n//4)
        whole = make({m: int(math.copysign(abs(c) // h.divisor, c)) for m, c in terms_of(factor)})
        left = sub(factor, mul(whole, h.divisor))
    else:
        whole, left = divmod_poly(factor, h.divisor)
    return add(without, add(mul(_reveal(whole, h), h.base), mul(_reveal(left, h), h.meaning)))


def _lead(p: dict[Monomial, Fraction]) -> Monomial:
    return min(p, key=mono_key)


def _reduce(p: dict[Monomial, Fraction], basis: list[dict[Monomial, Fraction]]) -> dict[Monomial, Fraction]:
    """The remainder of p after division by the basis over the rationals; empty where p is a combination of it."""
    done: dict[Monomial, Fraction] = {}
    p = dict(p)
    for _ in range(STEPS):
        if not p:
            return done
        m = _lead(p)
        for b in basis:
            over = mono_quotient(m, _lead(b))
            if over is not None:
                scale = p[m] / b[_lead(b)]
                for k, v in b.items():
                    mk = mono_mul(k, over)
                    p[mk] = p.get(mk, Fraction(0)) - scale * v
                    if not p[mk]:
                        del p[mk]
                break
        else:
            done[m] = p.pop(m)
    return {**done, **p}


def _echelon(polys: list[dict[Monomial, Fraction]]) -> list[dict[Monomial, Fraction]]:
    basis: list[dict[Monomial, Fraction]] = []
    for p in polys:
        r = _reduce(p, basis)
        if r:
            basis = [b for b in (_reduce(b, [r]) for b in basis) if b] + [r]
    return basis
