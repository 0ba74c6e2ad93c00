"""NumPy implementations of the error function and its kin in f64: `erf`, `erfc`, `erfcx`, `erfinv`, `ndtr`, `ndtri`, `log_ndtr`.

One Chebyshev series gives exp(x^2) erfc(x) for every x >= 0 (the form of Shepherd and Laframboise 1981); erfc follows by a product with exp(-x^2) whose square is taken in two parts,
erf near 0 by a series of its own, the inverses by series in the variable in which their tails are smooth, sqrt(-ln p) (as Wichura 1988, AS 241). See `special_tables`.

>>> float(erf(np.array(0.5)))
0.5204998778130465
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from dfg.ops import special_tables as tables
from dfg.ops.special_gamma import chebyshev, on_interval

Array = np.ndarray
ROOT_HALF: Final = math.sqrt(0.5)
ROOT_PI: Final = math.sqrt(math.pi)


def exp_square(x: Array, sign: float) -> Array:
    """exp(sign x^2), with x^2 = m^2 + (x - m)(x + m) for an m of few bits, so that the error of the square does not count."""
    y = np.minimum(np.abs(x), 64.0)
    m = np.round(y * 64) / 64
    made = np.exp(sign * m * m) * np.exp(sign * (y - m) * (y + m))
    return np.asarray(np.where(np.isnan(x), x, made))


def _scaled(x: Array) -> Array:
    """exp(x^2) erfc(x) for x >= 0."""
    t = (x - 3.75) / (x + 3.75)
    return np.asarray(np.where(x > 1e15, 1 / ROOT_PI / x, chebyshev(tables.ERFCX, np.where(x > 1e15, 1.0, t)) / (1 + 2 * x)))


def _erf_near(x: Array) -> Array:
    return x * chebyshev(tables.ERF, 2 * x * x - 1)


def erf(x: Array) -> Array:
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        a = np.abs(x)
        near = _erf_near(np.where(a <= 1, x, 0.0))
        far = np.copysign(1 - _scaled(np.minimum(a, 30.0)) * exp_square(np.minimum(a, 30.0), -1), x)
        return np.asarray(np.where(np.isnan(x), x, np.where(a <= 1, near, far)))


def erfc(x: Array) -> Array:
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        a = np.abs(x)
        tail = _scaled(np.minimum(a, 30.0)) * exp_square(np.minimum(a, 30.0), -1)
        far = np.where(x < 0, 2 - tail, tail)
        return np.asarray(np.where(np.isnan(x), x, np.where(a < 0.5, 1 - _erf_near(np.where(a < 0.5, x, 0.0)), far)))


def erfcx(x: Array) -> Array:
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        up = _scaled(np.abs(x))
        return np.asarray(np.where(np.isnan(x), x, np.where(x < 0, 2 * exp_square(np.minimum(x, 0.0), 1) - up, up)))


def erfcx_integral(n: int, x: Array) -> Array:
    """exp(x^2) i^n erfc(x), the n-fold integral of erfc from x on (DLMF 7.18). Upwards by the recurrence over n where x < 1; above, where that cancels, the ratios of
    neighbours come downwards from an order where their start does not count."""
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        low = np.minimum(x, 1.0)
        before, here = np.full(x.shape, 2 / ROOT_PI), erfcx(low)
        for k in range(1, n + 1):
            before, here = here, (0.5 * before - low * here) / k
        high = np.maximum(x, 1.0)
        ratio = np.zeros(x.shape)
        product = np.ones(x.shape)
        for k in range(n + 160, 0, -1):
            # With E the function: E_k / E_{k-1} = 1 / (2 x + 2 (k + 1) E_{k+1} / E_k).
            ratio = 1 / (2 * high + 2 * (k + 1) * ratio)
            if k <= n:
                product = product * ratio
        return np.asarray(np.where(np.isnan(x), x, np.where(x < 1, here, product * _scaled(high))))


def ndtr(x: Array) -> Array:
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        # erfc(-x / sqrt(2)) / 2 with the rounding of x / sqrt(2) taken back: its error is multiplied by x^2.
        z = -x * ROOT_HALF
        a = np.minimum(np.abs(x), 60.0)
        tail = 0.5 * _scaled(a * ROOT_HALF) * _normal_density(a)
        middle = 0.5 * erfc(z)
        return np.asarray(np.where(np.isnan(x), x, np.where(np.abs(x) < 1, middle, np.where(x < 0, tail, 1 - tail))))


def _normal_density(x: Array) -> Array:
    """exp(-x^2 / 2)."""
    m = np.round(x * 64) / 64
    return np.asarray(np.exp(-0.5 * m * m) * np.exp(-0.5 * (x - m) * (x + m)))


def log_ndtr(x: Array) -> Array:
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        down = np.log(0.5 * _scaled(np.where(x < -1, -x, 1.0) * ROOT_HALF)) - 0.5 * x * x
        up = np.log1p(-ndtr(-np.where(x < -1, 0.0, x)))
        return np.asarray(np.where(np.isnan(x), x, np.where(x < -1, np.where(x == -np.inf, -np.inf, down), up)))


def normal_hazard(x: Array) -> Array:
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        return np.asarray(np.where(x == np.inf, 0.0, math.sqrt(2 / math.pi) / erfcx(-x * ROOT_HALF)))


def _tail(p: Array) -> Array:
    """-ndtri(p) for 0 < p <= 0.08."""
    return _tail_of_log(-np.log(p))


def _tail_of_log(l: Array) -> Array:
    """-ndtri(exp(-l)) for l >= 2.5."""
    s = np.sqrt(l)
    return np.asarray(
        s
        * np.where(
            s < 3,
            on_interval(tables.NDTRI_NEAR, 1.55, 3.0, np.minimum(s, 3.0)),
            np.where(
                s < 8,
                on_interval(tables.NDTRI_MIDDLE, 3.0, 8.0, np.clip(s, 3.0, 8.0)),
                on_interval(tables.NDTRI_FAR, 8.0, 28.0, np.clip(s, 8.0, 28.0)),
            ),
        )
    )


def _centre(y: Array) -> Array:
    """ndtri((1 + y) / 2) for |y| <= 0.85."""
    return y * chebyshev(tables.NDTRI, 2 * y * y / 0.7225 - 1)


def ndtri(p: Array) -> Array:
    p = np.asarray(p, np.float64)
    with np.errstate(all="ignore"):
        y = 2 * p - 1
        small = np.minimum(p, 1 - p)
        tail = _tail(np.where((small > 0) & (small < 0.08), small, 0.05))
        made = np.where(np.abs(y) <= 0.85, _centre(np.clip(y, -0.85, 0.85)), np.where(p < 0.5, -tail, tail))
        made = np.where(p == 0, -np.inf, np.where(p == 1, np.inf, made))
        return np.asarray(np.where((p >= 0) & (p <= 1), made, np.nan))


def erfcinv(x: Array) -> Array:
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        small = np.minimum(x, 2 - x)
        # The logarithm of half of it: half of a subnormal number may not be one.
        tail = np.copysign(_tail_of_log(math.log(2) - np.log(np.where((small > 0) & (small < 0.16), small, 0.1))), 1 - x)
        made = np.where(np.abs(1 - x) <= 0.85, _centre(np.clip(1 - x, -0.85, 0.85)), tail) * ROOT_HALF
        made = np.where(x == 0, np.inf, np.where(x == 2, -np.inf, made))
        return np.asarray(np.where((x >= 0) & (x <= 2), made, np.nan))


def erfinv(y: Array) -> Array:
    y = np.asarray(y, np.float64)
    with np.errstate(all="ignore"):
        a = np.abs(y)
        p = 0.5 * (1 - a)
        tail = np.copysign(_tail(np.where((p > 0) & (p < 0.08), p, 0.05)), y)
        made = np.where(a <= 0.85, _centre(np.clip(y, -0.85, 0.85)), tail) * ROOT_HALF
        made = np.where(a == 1, np.copysign(np.inf, y), made)
        return np.asarray(np.where(a <= 1, made, np.nan))
