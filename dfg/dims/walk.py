"""Walking sizes: substitution, evaluation, and the atoms inside. Recursion is over nested divisions, whose depth `poly` bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dfg.dims.poly import FLOOR, NAME, Atom, Dim, DimLike, Monomial, atom, build, dim_of, make, mul, names, terms_of


def rebuild(d: DimLike, images: dict[Atom, DimLike]) -> DimLike:
    """d with atoms replaced by their images; `images` is also the memo and gains an entry for every atom met."""
    if isinstance(d, int):
        return d
    total: dict[Monomial, int] = {}
    for m, c in d.terms:
        plain: list[Atom] = []
        product: DimLike = c
        for f in m:
            image = images.get(f)
            if image is None:
                image = dim_of(f) if f.kind == NAME else build(f.kind, [rebuild(a, images) for a in f.args])
                images[f] = image
            if isinstance(image, Dim) and len(image.terms) == 1 and image.terms[0] == ((f,), 1):
                plain.append(f)
            else:
                product = mul(product, image)
        if isinstance(product, int):
            key = tuple(plain)
            total[key] = total.get(key, 0) + product
        else:
            for k, v in mul(product, make({tuple(plain): 1})).terms if plain else product.terms:  # type: ignore[union-attr]
                total[k] = total.get(k, 0) + v
    return make(total)


def substitute(d: DimLike, values: Mapping[str, DimLike]) -> DimLike:
    """d with names replaced by sizes, all at once."""
    if isinstance(d, int) or names(d).isdisjoint(values):
        return d
    return rebuild(d, {atom(NAME, k, ()): v for k, v in values.items() if k in names(d)})


def evaluate(d: DimLike, sizes: Mapping[str, int]) -> int:
    """The value of d; ZeroDivisionError where a divisor is 0, KeyError where a name has no size."""
    if isinstance(d, int):
        return d
    memo: dict[Atom, int] = {}

    def value(x: DimLike) -> int:
        if isinstance(x, int):
            return x
        total = 0
        for m, c in x.terms:
            for f in m:
                v = memo.get(f)
                if v is None:
                    if f.kind == NAME:
                        v = sizes[f.name]
                    else:
                        parts = [value(a) for a in f.args]
                        v = parts[0] // parts[1] if f.kind == FLOOR else min(parts)
                    memo[f] = v
                c *= v
            total += c
        return total

    return value(d)


def atoms_within(d: DimLike, keep: Callable[[Atom], bool] = lambda f: True) -> list[Atom]:
    """Every atom in d, nested ones included, inner before outer, each once."""
    found: dict[Atom, None] = {}

    def walk(x: DimLike) -> None:
        for m, _ in terms_of(x):
            for f in m:
                if f not in found:
                    for a in f.args:
                        walk(a)
                    found[f] = None

    walk(d)
    return [f for f in found if keep(f)]
