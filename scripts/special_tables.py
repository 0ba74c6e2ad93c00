"""Make dfg/ops/special_tables.py: Chebyshev coefficients of the special functions, from values with 60 digits (needs mpmath).

    python scripts/special_tables.py > dfg/ops/special_tables.py

Every table is the Chebyshev interpolant of a smooth function on an interval (Clenshaw 1955; Broucke 1973), cut where the terms fall below 1e-18 of the largest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp

mp.mp.dps = 60


def coefficients(f: Callable[[Any], Any], n: int = 60) -> list[float]:
    """Coefficients c[0] + c[1] T_1 + ... of `f` on [-1, 1]."""
    nodes = [mp.cos(mp.pi * (k + mp.mpf(1) / 2) / n) for k in range(n)]
    values = [f(t) for t in nodes]
    made = [2 * sum(v * mp.cos(j * mp.pi * (k + mp.mpf(1) / 2) / n) for k, v in enumerate(values)) / n for j in range(n)]
    made[0] /= 2
    most = max(abs(c) for c in made)
    last = max(j for j, c in enumerate(made) if abs(c) > most * mp.mpf(10) ** -18)
    assert last < n - 3, "take more nodes"
    return [float(c) for c in made[: last + 1]]


def on(low: Any, high: Any, f: Callable[[Any], Any], n: int = 60) -> list[float]:
    """Coefficients on [low, high]."""
    low, high = mp.mpf(low), mp.mpf(high)
    return coefficients(lambda t: f((high - low) / 2 * t + (high + low) / 2), n)


def erfcx(x: Any) -> Any:
    return mp.exp(x * x) * mp.erfc(x)


def safe(f: Callable[[Any], Any], bad: Any, step: Any = mp.mpf("1e-25")) -> Callable[[Any], Any]:
    """`f` with a removable singularity filled."""
    return lambda x: (f(bad - step) + f(bad + step)) / 2 if abs(x - bad) < step else f(x)


def quotient(x: Any) -> Any:
    for root in (1, 2):
        if abs(x - root) < mp.mpf("1e-25"):
            x = root + mp.mpf("1e-25")
    return mp.loggamma(x) / ((x - 1) * (x - 2))


ROOT = mp.findroot(mp.digamma, mp.mpf("1.4616321449683623"))


def normal_tail(s: Any) -> Any:
    """-ndtri(p) / s for p = exp(-s^2)."""
    p = mp.exp(-s * s)
    start = mp.sqrt(2) * s - (mp.log(4 * mp.pi) + 2 * mp.log(s)) / (2 * mp.sqrt(2) * s) if s > 2 else mp.mpf(1)
    x = mp.findroot(lambda x: mp.log(mp.erfc(x / mp.sqrt(2)) / 2) + s * s, start)
    assert abs(mp.erfc(x / mp.sqrt(2)) / 2 / p - 1) < mp.mpf("1e-30")
    return x / s


def main() -> None:
    tables: dict[str, tuple[str, list[float]]] = {}
    tables["ERFCX"] = (
        "(1 + 2x) exp(x^2) erfc(x) for x >= 0, in t = (x - 3.75) / (x + 3.75) (the form of Shepherd and Laframboise 1981)",
        coefficients(lambda t: (lambda x: (1 + 2 * x) * erfcx(x) if x < 1e6 else 2 / mp.sqrt(mp.pi) * (1 + 1 / (2 * x)))(3.75 * (1 + t) / (1 - t)), 80),
    )
    tables["ERF"] = ("erf(x) / x for |x| <= 1, in 2 x^2 - 1", coefficients(lambda t: (lambda x: mp.erf(x) / x)(mp.sqrt((t + 1) / 2)), 40))
    tables["GAMMALN"] = ("ln gamma(x) / ((x - 1)(x - 2)) on [0.5, 3]", on("0.5", 3, quotient))
    tables["DIGAMMA"] = ("digamma(x) / (x - root) on [1, 2]", on(1, 2, lambda x: mp.digamma(x) / (x - ROOT)))
    tables["NDTRI"] = (
        "ndtri((1 + y) / 2) / y for |y| <= 0.85, in y^2 / 0.85^2 scaled to [-1, 1]",
        coefficients(lambda t: (lambda y: mp.sqrt(2) * mp.erfinv(y) / y)(mp.sqrt(mp.mpf("0.7225") * (t + 1) / 2)), 60),
    )
    for name, low, high in (("NEAR", "1.55", 3), ("MIDDLE", 3, 8), ("FAR", 8, 28)):
        tables[f"NDTRI_{name}"] = (f"-ndtri(exp(-s^2)) / s for s in [{low}, {high}]", on(low, high, normal_tail, 50))
    for k in (0, 1):
        tables[f"I{k}_NEAR"] = (
            f"exp(-x) I_{k}(x){' / x' if k else ''} on [0, 8]",
            on(0, 8, safe(lambda x, k=k: mp.exp(-x) * mp.besseli(k, x) / x**k, mp.mpf(0)), 70),
        )
        tables[f"I{k}_FAR"] = (
            f"sqrt(x) exp(-x) I_{k}(x) for x >= 8, in 16 / x - 1",
            coefficients(lambda t, k=k: (lambda x: mp.sqrt(x) * mp.exp(-x) * mp.besseli(k, x))(16 / (t + 1)), 60),
        )
    print('"""Chebyshev coefficients of special functions, made by scripts/special_tables.py from values with 60 digits. Not to be edited."""\n')
    print("from typing import Final\n")
    high = float(ROOT)
    print(f"DIGAMMA_ROOT: Final = {high!r}")
    print(f"DIGAMMA_ROOT_REST: Final = {float(ROOT - mp.mpf(high))!r}")
    print('"""The positive root of digamma as a sum of two numbers."""')
    for name, (words, c) in tables.items():
        print(f"{name}: Final = (")
        for x in c:
            print(f"    {x!r},")
        print(f')\n"""{words}."""')


if __name__ == "__main__":
    main()
