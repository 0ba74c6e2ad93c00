"""Symbolic sizes in normal form: integer polynomials over names, floor(e / d) and min(...).

A size is a plain `int`, or a `Dim` where it depends on names; every operation gives an `int` as soon as the result is constant.
Invariants: a `Dim` is immutable, expanded, its terms are sorted and never constant alone; atoms are interned, so two atoms are
equal exactly when they are one object, and no comparison walks into them. Names are sizes: integers >= 0. A division says that its
divisor is not zero, and simplifying may drop that demand (`n*m//m` is `n`).

`e % d` has no atom of its own: it is `e - d*(e//d)`, so `4*(n//4) + n % 4` is `n` because polynomials cancel, and the printer
finds the `%` again; likewise max(a, b) is a + b - min(a, b), in general -min(-a, ..). Within floor(e / d) everything divisible is
pulled out (every coefficient lies in [0, d) for an integer d), common factors are cancelled and nested divisions merge; min is
flattened, shifted so that every coefficient is >= 0, and pruned.

    n = named("n")
    (n + 1) * (n - 1)      # n*n - 1
    (n * 4 + 7) // 4       # n + 1, because 7 // 4 is 1
"""

from __future__ import annotations

import math
import operator
import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

NAME: Final = 0
FLOOR: Final = 1
MIN: Final = 2

# Names that no text can say: parameters introduced while solving equations. FREE ones may be negative, COUNT ones are >= 0.
FREE: Final = "\0"
COUNT: Final = "\1"

# Limits that say so: expansion of adversarial text must not exhaust memory, and bounded depth makes recursion over atoms safe.
MAX_TERMS: Final = 2000
MAX_DEPTH: Final = 48
MAX_WEIGHT: Final = 20_000

Monomial: TypeAlias = "tuple[Atom, ...]"
Terms: TypeAlias = "tuple[tuple[Monomial, int], ...]"


class DimError(ValueError):
    """A size that cannot be handled: text that is no size, or an expression beyond the limits above."""


class Atom:
    """An indivisible factor: a name, floor(args[0] / args[1]) or min(args). Interned: compare with `is`."""

    __slots__ = ("__weakref__", "args", "depth", "key", "kind", "name", "names", "nonneg", "weight")

    kind: int
    name: str
    args: tuple[DimLike, ...]
    key: tuple[Any, ...]
    names: frozenset[str]
    nonneg: bool  # manifestly >= 0 because names are
    depth: int
    weight: int

    def __repr__(self) -> str:
        return f"Atom({dim_of(self)})"


_interned: weakref.WeakValueDictionary[Any, Atom] = weakref.WeakValueDictionary()
_intern_lock = threading.Lock()


def atom(kind: int, name: str, args: tuple[DimLike, ...]) -> Atom:
    """The one atom with these parts. Only the normalising constructors below may call it with a kind other than NAME."""
    ident = (kind, name, args)
    found = _interned.get(ident)
    if found is not None:
        return found
    made = Atom()
    made.kind, made.name, made.args = kind, name, args
    if kind == NAME:
        made.key, made.names, made.depth, made.weight = (0, name), frozenset((name,)), 0, 1
        made.nonneg = not name.startswith(FREE)
    else:
        made.key = (kind, tuple(_dim_key(a) for a in args))
        made.names = frozenset().union(*(names(a) for a in args))
        made.depth = 1 + max(f.depth for a in args if isinstance(a, Dim) for m, _ in a.terms for f in m)
        made.weight = 1 + sum(_weight(a) for a in args)
        if made.depth > MAX_DEPTH or made.weight > MAX_WEIGHT:
            raise DimError("this size nests too many divisions, minima or maxima")
        made.nonneg = all(manifestly_nonneg(a) for a in args)
    with _intern_lock:
        return _interned.setdefault(ident, made)


def _weight(d: DimLike) -> int:
    return 1 if isinstance(d, int) else sum(1 + sum(f.weight for f in m) for m, _ in d.terms)


_atom_key = operator.attrgetter("key")


def mono_key(m: Monomial) -> tuple[Any, ...]:
    """Sort key of a monomial: highest degree first, then by atoms; a monomial order (graded lexicographic, largest first)."""
    return (-len(m), tuple(f.key for f in m))


def _dim_key(d: DimLike) -> tuple[Any, ...]:
    return ((0, (), d),) if isinstance(d, int) else tuple((*mono_key(m), c) for m, c in d.terms)


def mono_mul(a: Monomial, b: Monomial) -> Monomial:
    if not a:
        return b
    return tuple(sorted(a + b, key=_atom_key)) if b else a


def mono_quotient(m: Monomial, by: Monomial) -> Monomial | None:
    """m / by where `by` divides m, else None."""
    if not by:
        return m
    if len(by) > len(m):
        return None
    rest = list(m)
    for f in by:
        if f not in rest:
            return None
        rest.remove(f)
    return tuple(rest)


class Dim:
    """A size that depends on names. Build with `named` and arithmetic; never equal to an int, has no order and no truth value."""

    __slots__ = ("_hash", "_names", "_text", "terms")

    terms: Terms
    _hash: int
    _names: frozenset[str] | None
    _text: str | None

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._hash = hash(terms)
        self._names = None
        self._text = None

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Dim) and self._hash == other._hash and self.terms == other.terms)

    def __hash__(self) -> int:
        return self._hash

    def __bool__(self) -> bool:
        raise TypeError(f"the size {self} has no truth value: compare with ==, or ask Facts.at_least")

    def __lt__(self, other: object) -> bool:
        raise TypeError(f"the size {self} has no order while compiling: ask Facts.at_least")

    __le__ = __gt__ = __ge__ = __lt__

    def __add__(self, other: DimLike) -> DimLike:
        return add(self, other) if isinstance(other, (int, Dim)) else NotImplemented

    __radd__ = __add__

    def __sub__(self, other: DimLike) -> DimLike:
        return add(self, mul(other, -1)) if isinstance(other, (int, Dim)) else NotImplemented

    def __rsub__(self, other: DimLike) -> DimLike:
        return add(mul(self, -1), other) if isinstance(other, (int, Dim)) else NotImplemented

    def __mul__(self, other: DimLike) -> DimLike:
        return mul(self, other) if isinstance(other, (int, Dim)) else NotImplemented

    __rmul__ = __mul__

    def __floordiv__(self, other: DimLike) -> DimLike:
        return floordiv(self, other) if isinstance(other, (int, Dim)) else NotImplemented

    def __rfloordiv__(self, other: DimLike) -> DimLike:
        return floordiv(other, self) if isinstance(other, (int, Dim)) else NotImplemented

    def __mod__(self, other: DimLike) -> DimLike:
        return mod(self, other) if isinstance(other, (int, Dim)) else NotImplemented

    def __rmod__(self, other: DimLike) -> DimLike:
        return mod(other, self) if isinstance(other, (int, Dim)) else NotImplemented

    def __neg__(self) -> DimLike:
        return mul(self, -1)

    def __pos__(self) -> DimLike:
        return self

    def __str__(self) -> str:
        if self._text is None:
            from dfg.dims.text import format_dim

            self._text = format_dim(self)
        return self._text

    def __repr__(self) -> str:
        return f"Dim({self})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Atoms are interned by identity, so a copy or an unpickled size is built anew through the constructors.
        return (_unpack, (_pack(self),))


DimLike: TypeAlias = "int | Dim"
_ZERO: DimLike = 0
_ONE: DimLike = 1


def _pack(d: DimLike) -> Any:
    if isinstance(d, int):
        return d
    return [(c, [f.name if f.kind == NAME else (f.kind, [_pack(a) for a in f.args]) for f in m]) for m, c in d.terms]


def _unpack(packed: Any) -> DimLike:
    if isinstance(packed, int):
        return packed
    total: DimLike = 0
    for c, factors in packed:
        term: DimLike = c
        for f in factors:
            term = mul(term, named(f) if isinstance(f, str) else build(f[0], [_unpack(a) for a in f[1]]))
        total = add(total, term)
    return total


def named(name: str) -> Dim:
    """The size called `name`."""
    return dim_of(atom(NAME, name, ()))


def is_hidden(name: str) -> bool:
    """True for the parameters that solving introduces, which no message and no result may show."""
    return name.startswith((FREE, COUNT))


def dim_of(f: Atom) -> Dim:
    return Dim((((f,), 1),))


def terms_of(d: DimLike) -> Terms:
    """The terms (monomial, coefficient) of a size, highest degree first; those of an int are one constant term or none."""
    if isinstance(d, int):
        return (((), d),) if d else ()
    return d.terms


def make(terms: Mapping[Monomial, int]) -> DimLike:
    """The size with these terms: zeros dropped, sorted, an int where nothing symbolic remains."""
    kept = [(m, c) for m, c in terms.items() if c]
    if not kept:
        return 0
    if len(kept) == 1:
        return Dim(tuple(kept)) if kept[0][0] else int(kept[0][1])
    if len(kept) > MAX_TERMS:
        raise DimError(f"this size has more than {MAX_TERMS} terms once expanded")
    kept.sort(key=lambda t: mono_key(t[0]))
    return Dim(tuple(kept))


def names(d: DimLike) -> frozenset[str]:
    """The names that a size depends on."""
    if isinstance(d, int):
        return frozenset()
    if d._names is None:
        d._names = frozenset().union(*(f.names for m, _ in d.terms for f in m))
    return d._names


def add(a: DimLike, b: DimLike) -> DimLike:
    if isinstance(b, int):
        if isinstance(a, int):
            return int(a + b)
        if not b:
            return a
    elif isinstance(a, int) and not a:
        return b
    total = dict(terms_of(a))
    for m, c in terms_of(b):
        total[m] = total.get(m, 0) + c
    return make(total)


def mul(a: DimLike, b: DimLike) -> DimLike:
    if isinstance(a, int):
        a, b = b, a
    if isinstance(b, int):
        if isinstance(a, int):
            return int(a * b)
        if b == 1:
            return a
        return Dim(tuple((m, c * b) for m, c in a.terms)) if b else 0
    assert isinstance(a, Dim)
    if len(a.terms) * len(b.terms) > 50 * MAX_TERMS:
        raise DimError(f"this size has more than {MAX_TERMS} terms once expanded")
    total: dict[Monomial, int] = {}
    for m, c in a.terms:
        for k, e in b.terms:
            mk = mono_mul(m, k)
            if len(mk) > MAX_DEPTH:
                raise DimError(f"this size has a product of more than {MAX_DEPTH} factors")
            total[mk] = total.get(mk, 0) + c * e
    return make(total)


def sub(a: DimLike, b: DimLike) -> DimLike:
    return add(a, mul(b, -1))


def manifestly_nonneg(d: DimLike) -> bool:
    """True where d >= 0 follows from signs alone: no negative coefficient, and every factor is a nonnegative atom."""
    if isinstance(d, int):
        return d >= 0
    return all(c > 0 and all(f.nonneg for f in m) for m, c in d.terms)


def divmod_poly(e: DimLike, d: DimLike) -> tuple[DimLike, DimLike]:
    """Polynomials q, r with e = q*d + r, r reduced by the leading term of d (leading coefficient > 0); unique, purely algebraic."""
    if isinstance(d, int):
        parts = terms_of(e)
        return make({m: c // d for m, c in parts}), make({m: c % d for m, c in parts})
    (lead, scale), rest = d.terms[0], d.terms[1:]
    pending, quotient, remainder = dict(terms_of(e)), dict[Monomial, int](), dict[Monomial, int]()
    while pending:
        m = min(pending, key=mono_key)
        c = pending.pop(m)
        over = mono_quotient(m, lead)
        times = c // scale if over is not None else 0
        if over is not None and times:
            c -= times * scale
            quotient[over] = quotient.get(over, 0) + times
            for k, v in rest:
                mk = mono_mul(k, over)
                pending[mk] = pending.get(mk, 0) - times * v
        if c:
            remainder[m] = c
    return make(quotient), make(remainder)


def _common_factor(polys: Iterable[DimLike]) -> Monomial:
    """The largest monomial that divides every term of every polynomial."""
    shared: list[Atom] | None = None
    for p in polys:
        for m, _ in terms_of(p):
            if shared is None:
                shared = list(m)
            else:
                left = list(m)
                kept = []
                for f in shared:
                    if f in left:
                        left.remove(f)
                        kept.append(f)
                shared = kept
            if not shared:
                return ()
    return tuple(shared or ())


def _strip(p: DimLike, factor: Monomial, content: int) -> DimLike:
    out: dict[Monomial, int] = {}
    for m, c in terms_of(p):
        over = mono_quotient(m, factor)
        assert over is not None
        out[over] = c // content
    return make(out)


def floordiv(e: DimLike, d: DimLike) -> DimLike:
    """floor(e / d) as Python's //, in normal form."""
    pulled: DimLike = 0
    while True:
        if isinstance(d, int):
            if d == 0:
                raise ZeroDivisionError("a size is divided by zero")
            if isinstance(e, int):
                return add(pulled, e // d)
            if d < 0:
                e, d = mul(e, -1), -d
        elif d.terms[0][1] < 0:
            e, d = mul(e, -1), mul(d, -1)
        whole, e = divmod_poly(e, d)
        pulled = add(pulled, whole)
        if isinstance(e, int) and (e == 0 or isinstance(d, int)):
            return pulled  # an int remainder of an int divisor lies in [0, d)
        if isinstance(d, int):
            # floor((g*x + c) / (g*k)) = floor((x + floor(c / g)) / k): the constant need not be divisible
            content = math.gcd(d, *(c for m, c in terms_of(e) if m))
            d //= content
            e = _strip(e, (), content)
        else:
            content = math.gcd(*(c for p in (e, d) for _, c in terms_of(p)))
            shared = _common_factor((e, d))
            e, d = _strip(e, shared, content), _strip(d, shared, content)
        positive = manifestly_nonneg(d)  # and not zero, being a divisor: d >= 1
        if positive and manifestly_nonneg(e) and manifestly_nonneg(sub(sub(d, e), 1)):
            return pulled
        if positive and manifestly_nonneg(sub(-1, e)) and (manifestly_nonneg(add(e, d)) or manifestly_nonneg(add(e, 1))):
            return sub(pulled, 1)
        if isinstance(e, int) or (isinstance(d, int) and d == 1):
            if isinstance(d, int):
                return add(pulled, e // d)
            break
        inner = next((m[0] for m, c in e.terms if c == 1 and len(m) == 1 and m[0].kind == FLOOR), None) if positive else None
        if inner is None:
            break
        # floor((floor(x / a) + p) / d) = floor((x + a*p) / (a*d)) for d > 0: removes one atom for smaller ones, hence terminates
        x, a = inner.args
        e, d = add(x, mul(a, sub(e, dim_of(inner)))), mul(a, d)
    return add(pulled, dim_of(atom(FLOOR, "", (e, d))))


def mod(e: DimLike, d: DimLike) -> DimLike:
    """e % d as Python's: e - d*floor(e / d)."""
    return sub(e, mul(d, floordiv(e, d)))


def build(kind: int, args: list[DimLike]) -> DimLike:
    return floordiv(args[0], args[1]) if kind == FLOOR else dim_min(*args)


def dim_max(*given: DimLike) -> DimLike:
    return mul(dim_min(*(mul(a, -1) for a in given)), -1)


def _flatten(d: DimLike) -> list[DimLike]:
    """min(c*min(a, b) + r, ..) is min(c*a + r, c*b + r, ..) for c >= 0; only one such term, or the list would multiply."""
    inner: list[tuple[Monomial, int, int]] = []
    for m, c in terms_of(d):
        at = next((i for i, f in enumerate(m) if f.kind == MIN), None)
        if c > 0 and at is not None and all(f.nonneg for i, f in enumerate(m) if i != at):
            inner.append((m, c, at))
    if len(inner) != 1:
        return [d]
    m, c, at = inner[0]
    times, rest = make({m[:at] + m[at + 1 :]: c}), sub(d, make({m: c}))
    return [add(mul(a, times), rest) for a in m[at].args]


def _prune(args: Iterable[DimLike]) -> list[DimLike]:
    """Drop each argument of a min that another one manifestly never exceeds."""
    kept: list[DimLike] = []
    for x in dict.fromkeys(args):
        if not any(manifestly_nonneg(sub(x, y)) for y in kept):
            kept = [y for y in kept if not manifestly_nonneg(sub(y, x))]
            kept.append(x)
    return kept


def dim_min(*given: DimLike) -> DimLike:
    args = _prune(given)
    if not args:
        raise DimError("min and max of sizes need an argument")
    shift, scale = _ZERO, _ONE
    while len(args) > 1:
        before = args
        # The least coefficient of each monomial moves in front: min(n + 1, m + 1) is min(n, m) + 1 whatever was added when
        tables = [dict(terms_of(x)) for x in args]
        least = make({m: min(t.get(m, 0) for t in tables) for m in dict.fromkeys(m for t in tables for m in t)})
        moved = [sub(x, least) for x in args]
        content = math.gcd(*(c for x in moved for _, c in terms_of(x)))
        shared = tuple(f for f in _common_factor(moved) if f.nonneg) if 0 not in moved else ()
        moved = [_strip(x, shared, content) for x in moved]
        shift, scale = add(shift, mul(scale, least)), mul(scale, make({shared: content}))
        args = _prune(x for a in moved for x in _flatten(a))
        if len(args) > 100:
            raise DimError("min or max of more than 100 sizes")
        if args == before:
            return add(shift, mul(scale, dim_of(atom(MIN, "", tuple(sorted(args, key=_dim_key))))))
    return add(shift, mul(scale, args[0]))
