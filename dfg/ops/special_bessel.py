"""NumPy implementations of the modified Bessel functions of the first kind of whole order, scaled by exp(-|x|) or not.

Orders 0 and 1 by Chebyshev series below and above 8 (the intervals of Clenshaw 1962); higher orders by the power series for small arguments (DLMF 10.25.2), else by Miller's
backward recurrence (DLMF 10.74) scaled to order 0.

>>> float(bessel(0, np.array(1.0), False))
1.2660658777520084
"""

from __future__ import annotations

import math

import numpy as np

from dfg.ops import special_tables as tables
from dfg.ops.special_gamma import on_interval

Array = np.ndarray


def _first(k: int, a: Array) -> Array:
    """exp(-a) I_k(a) for k 0 or 1 and a >= 0."""
    near = on_interval((tables.I0_NEAR, tables.I1_NEAR)[k], 0.0, 8.0, np.minimum(a, 8.0)) * (a if k else 1.0)
    b = np.maximum(a, 8.0)
    far = on_interval((tables.I0_FAR, tables.I1_FAR)[k], 0.0, 2.0, 16 / b) / np.sqrt(b)
    return np.asarray(np.where(a < 8, near, far))


def _series(n: int, a: Array) -> Array:
    """exp(-a) I_n(a) by the power series, all of whose terms are positive."""
    q = 0.25 * a * a
    total = np.ones_like(a)
    term = np.ones_like(a)
    for k in range(1, 200):
        term = term * q / (k * (n + k))
        total = total + term
        if np.all(term <= total * 1e-17):
            break
    return np.asarray(np.exp(n * np.log(np.maximum(0.5 * a, 1e-300)) - math.lgamma(n + 1) - a) * total * (a > 0))


def _backward(n: int, a: Array) -> Array:
    """exp(-a) I_n(a) for a >= 4 by recurrence downwards from an order where the function is negligible."""
    most = float(a.max(initial=4.0))
    start = 2 * int(n + 20 + math.sqrt(40 * (n + most)))
    over = np.zeros_like(a)
    here = np.full_like(a, 1e-290)
    wanted = np.zeros_like(a)
    for m in range(start, 0, -1):
        over, here = here, over + (2 * m / a) * here
        if m - 1 == n:
            wanted = here
        large = np.abs(here) > 1e200
        if large.any():
            scale = np.where(large, 1e-200, 1.0)
            over, here, wanted = over * scale, here * scale, wanted * scale
    return np.asarray(wanted / here * _first(0, a))


def bessel(n: int, x: Array, scaled: bool) -> Array:
    """I_n(x), or exp(-|x|) I_n(x), for a whole n >= 0."""
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        a = np.abs(x)
        if n < 2:
            made = _first(n, a)
        else:
            finite = np.where(np.isfinite(a), a, 1.0)
            low = finite < 4
            made = np.zeros_like(a)
            made[low] = _series(n, finite[low])
            # Far out, upward recurrence loses nothing and needs no start.
            far = finite > 50.0 * n * n
            middle = ~low & ~far
            if middle.any():
                made[middle] = _backward(n, finite[middle])
            if far.any():
                b = finite[far]
                before, here = _first(0, b), _first(1, b)
                for m in range(1, n):
                    before, here = here, before - (2 * m / b) * here
                made[far] = here
            made = np.where(np.isinf(a), 0.0, np.where(np.isnan(a), np.nan, made))
        if not scaled:
            # exp(a) in two halves: it overflows before the product does.
            half = np.exp(0.5 * a)
            made = np.where(np.isinf(a), np.nan, made * half * half)  # as NumPy and SciPy have it: inf * 0
        return np.asarray(np.where(x < 0, -made, made) if n % 2 else made)
