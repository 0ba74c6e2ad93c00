"""NumPy implementations in f64 of exponential, sine and cosine integrals, Dawson's and Lambert's functions, the Hurwitz zeta function, Bessel functions J and K.

Methods: power series near 0 and continued fractions (modified Lentz) or asymptotic series far out (Abramowitz and Stegun 5.1, 5.2, 9.2); Dawson by Rybicki's sum of
Gaussians (1989); Lambert by Halley's method (Corless et al. 1996); zeta by Euler-Maclaurin summation in jets; J by backward recurrence (Miller) and Hankel's
series; K by the trapezoidal rule on its integral over cosh, which converges exponentially.

>>> round(float(expi(np.array(1.0))), 12)
1.895117816355
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from dfg.ops.special_gamma import BERNOULLI
from dfg.ops.special_jets import Jet

Array = np.ndarray
EULER: Final = 0.57721566490153286061


def _near_zero(x: Array, terms: int) -> Array:
    """The sum of x^k / (k k!) for k >= 1."""
    total, term = np.zeros_like(x), np.ones_like(x)
    for k in range(1, terms):
        term = term * (x / k)
        total = total + term / k
    return total


def _exp1_far(z: Any) -> Any:
    """exp(z) E1(z) by its continued fraction, for |z| > 1 away from the negative axis."""
    tiny = 1e-300
    b = z + 1
    c = np.full_like(b, 1 / tiny)
    d = 1 / b
    h = d
    for i in range(1, 200):
        a = -float(i * i)
        b = b + 2
        d = 1 / (a * d + b)
        c = b + a / c
        step = c * d
        h = h * step
        if np.all(np.abs(step - 1) < 1e-16):
            break
    return h


def exp1(x: Array) -> Array:
    """The integral of exp(-t) / t from x to infinity; NaN below 0."""
    x = np.asarray(x, np.float64)
    result = np.full(x.shape, np.nan)
    with np.errstate(all="ignore"):
        near = (x >= 0) & (x <= 1)
        result[near] = -EULER - np.log(x[near]) - _near_zero(-x[near], 22)
        far = (x > 1) & (x < 750)
        result[far] = np.exp(-x[far]) * _exp1_far(x[far])
        result[x >= 750] = 0.0
    return result


def expi(x: Array) -> Array:
    """The principal value of the integral of exp(t) / t from -infinity to x."""
    x = np.asarray(x, np.float64)
    result = np.full(x.shape, np.nan)
    with np.errstate(all="ignore"):
        below = x < 0
        result[below] = -exp1(-x[below])
        near = (x >= 0) & (x < 40)
        result[near] = EULER + np.log(x[near]) + _near_zero(x[near], 160)
        far = x >= 40
        y = x[far]
        total, term = np.ones_like(y), np.ones_like(y)
        for k in range(1, 41):
            term = term * (k / y)
            total = total + term
        # exp(y) / y without overflow of the first alone.
        result[far] = np.where(y > 750, np.inf, np.exp(y - np.log(y)) * total)
    return result


def sici(x: Array) -> tuple[Array, Array]:
    """The integral of sin(t) / t from 0 to x, and Euler's constant + ln |x| + the integral of (cos(t) - 1) / t; the latter is NaN below 0."""
    x = np.asarray(x, np.float64)
    size = np.abs(x)
    si, ci = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    with np.errstate(all="ignore"):
        near = size <= 4
        y = size[near]
        w = -y * y
        s, c, term = y.copy(), np.zeros_like(y), np.ones_like(y)
        for k in range(1, 22):
            term = term * w / ((2 * k - 1) * (2 * k))
            c = c + term / (2 * k)
            s = s + term * y / ((2 * k + 1) * (2 * k + 1))
        si[near], ci[near] = s, EULER + np.log(y) + c
        far = (size > 4) & np.isfinite(size)
        y = size[far]
        # E1(iy) = -ci(y) + i (si(y) - pi / 2)
        e = _exp1_far(1j * y) * (np.cos(y) - 1j * np.sin(y))
        si[far], ci[far] = np.pi / 2 + e.imag, -e.real
        si[np.isinf(size)], ci[np.isinf(size)] = np.pi / 2, 0.0
    return np.copysign(si, x), np.where(x < 0, np.nan, ci)


def dawsn(x: Array) -> Array:
    """exp(-x^2) times the integral of exp(t^2) from 0 to x."""
    x = np.asarray(x, np.float64)
    h = 0.2
    with np.errstate(all="ignore"):
        size = np.minimum(np.abs(x), 1e8)
        n0 = 2 * np.round(size / (2 * h))
        z = size - n0 * h
        total = np.zeros_like(size)
        for n in range(-33, 34, 2):
            total = total + np.exp(-((z - n * h) ** 2)) / (n + n0)
        w = size * size
        series, term = np.zeros_like(size), np.ones_like(size)
        for k in range(14):
            series = series + term
            term = term * (-2 * w / (2 * k + 3))
        far = 0.5 / np.abs(x)
        made = np.where(size < 0.3, series * size, np.where(np.abs(x) > 1e7, far, total / math.sqrt(math.pi)))
        return np.asarray(np.where(np.isnan(x), x, np.copysign(made, x)))


def lambertw(x: Array, branch: int) -> Array:
    """The real w with w exp(w) = x: at least -1 on branch 0, at most -1 on branch -1; NaN where there is none."""
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        legal = x >= -1 / math.e if branch == 0 else (x >= -1 / math.e) & (x <= 0)
        p = np.sqrt(np.maximum(2 * (math.e * x + 1), 0.0)) * (1 if branch == 0 else -1)
        beside = -1 + p * (1 + p * (-1 / 3 + p * (11 / 72 + p * (-43 / 540 + p * (769 / 17280)))))
        if branch == 0:
            logs = np.log(np.maximum(x, 1e-300))
            start = np.where(x < 0.3, np.where(x < -0.25, beside, x / (1 + x)), np.where(x < 3, np.log1p(x) * 0.8, logs - np.log(np.maximum(logs, 0.5))))
        else:
            logs = np.log(np.maximum(-x, 1e-300))
            start = np.where(x < -0.25, beside, logs - np.log(-logs))
        w = start
        for _ in range(12):
            # Newton's step on w + log(w) - log(x) where both are large, Halley's on w exp(w) - x else: neither overflows.
            big = np.abs(w) > 2 if branch != 0 else w > 2
            e = np.exp(np.where(big, 0.0, w))
            f = w * e - x
            halley = f / (e * (w + 1) - (w + 2) * f / (2 * w + 2))
            g = w + np.log(np.abs(w)) - np.log(np.abs(x))
            newton = g * w / (1 + w)
            step = np.where(big, newton, halley)
            w = np.where(np.isfinite(step), w - step, w)
        # So near to the branch point the difference from it is lost in the step.
        w = np.where(np.abs(p) < 1e-3, beside, w)
        w = np.where(x == 0, 0.0 if branch == 0 else -np.inf, np.where(np.isinf(x), x, w))
        return np.asarray(np.where(legal, w, np.nan))


def zeta_derivative(x: Array, q: Array, order: int) -> Array:
    """The derivative by x, of an order, of the sum of (k + q) ** -x over k >= 0, for x > 1."""
    x, q = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(q, np.float64))
    with np.errstate(all="ignore"):
        # Below q = 0 the first terms are powers of negative numbers, real for whole x only: left out as NaN, the poles as inf.
        good = (x > 1) & (q > 0)
        s = Jet.variable(np.where(good, x, 2.0), 0, (order,))
        safe = np.where(good, q, 1.0)

        def power(base: Array, exponent: Jet) -> Jet:
            logs = np.log(base)
            return (exponent * logs).exp(np.power(base, exponent.c[(0,)]))

        steps = 14
        total: Jet = Jet.constant(0.0, (order,))
        for k in range(steps):
            total = total + power(safe + k, -s)
        a = safe + steps
        head = power(a, -s)
        total = total + head * a / (s - 1) + head * 0.5
        term = head * s / a
        for k, b in enumerate(BERNOULLI, 1):
            total = total + term * (b / math.factorial(2 * k))
            term = term * (s + (2 * k - 1)) * (s + 2 * k) / (a * a)
        made = total.derivative() + np.zeros(x.shape)
        pole = np.inf * (1.0 if order % 2 == 0 else -1.0)
        ends = (x == 1) & (q > 0) | (x > 1) & (q == 0)
        # Far out the first term is all there is.
        return np.asarray(np.where(good, np.where(np.isfinite(made), made, np.where(safe > 1, 0.0, np.where(safe == 1, float(order == 0), made))), np.where(ends, pole, np.nan)))


# --- Bessel functions ----------------------------------------------------------------------------------------------------------------------


def _hankel(n: int, x: Array) -> Array:
    """J_n for n = 0, 1 and x >= 25 by Hankel's asymptotic series."""
    mu = 4.0 * n * n
    p, q, term = np.ones_like(x), np.zeros_like(x), np.ones_like(x)
    for k in range(1, 26):
        term = term * (mu - (2 * k - 1) ** 2) / (k * 8 * x)
        if k % 2:
            q = q + (term if k % 4 == 1 else -term)
        else:
            p = p + (-term if k % 4 == 2 else term)
    # cos(x - n pi / 2 - pi / 4) by sines and cosines of x itself keeps the phase.
    s, c = np.sin(x), np.cos(x)
    half = math.sqrt(0.5)
    cosine, sine = ((c + s) * half, (s - c) * half) if n == 0 else ((s - c) * half, -(s + c) * half)
    return np.asarray(np.sqrt(2 / np.pi / x) * (p * cosine - q * sine))


def jn(n: int, x: Array) -> Array:
    """The Bessel function of the first kind of a whole order of at least 0."""
    x = np.asarray(x, np.float64)
    size = np.abs(x)
    result = np.full(x.shape, np.nan)
    with np.errstate(all="ignore"):
        far = (size >= 25) & (size > n) & (size < np.inf)
        y = size[far]
        if y.size:
            low, high = _hankel(0, y), _hankel(1, y)
            for k in range(1, n):
                low, high = high, 2 * k / y * high - low
            result[far] = low if n == 0 else high
        near = (size < np.inf) & ~far
        y = size[near]
        if y.size:
            top = 2 * ((max(n, int(y.max())) + 60) // 2)
            # Downwards from far above the order; scaled so that nothing overflows.
            above, here = np.zeros_like(y), np.full_like(y, 1e-300)
            total, wanted = np.zeros_like(y), np.zeros_like(y)
            safe = np.where(y < 1e-3, 1.0, y)
            for k in range(top, 0, -1):
                above, here = here, 2 * k / safe * here - above
                if k - 1 == n:
                    wanted = here
                if (k - 1) % 2 == 0:
                    total = total + (here if k == 1 else 2 * here)
                big = np.abs(here) > 1e200
                if big.any():
                    scale = np.where(big, 1e-200, 1.0)
                    above, here, total, wanted = above * scale, here * scale, total * scale, wanted * scale
            half = 0.25 * y * y
            tiny = np.power(0.5 * y, n) / math.gamma(n + 1) * (1 - half / (n + 1) + half * half / (2 * (n + 1) * (n + 2))) if n < 170 else np.zeros_like(y)
            result[near] = np.where(y < 1e-3, tiny, wanted / total)
        result[np.isinf(size)] = 0.0
    return np.where((x < 0) & (n % 2 == 1), -result, result)


def kn(n: int, x: Array, scaled: bool) -> Array:
    """The modified Bessel function of the second kind of a whole order, times exp(x) if `scaled`; inf at 0, NaN below."""
    x = np.asarray(x, np.float64)
    result = np.full(x.shape, np.nan)
    with np.errstate(all="ignore"):
        middle = (x >= 1e-30) & (x < np.inf)
        y = x[middle]
        if y.size:
            # The integral of exp(-x (cosh t - 1)) cosh(n t) from 0 to where it vanishes.
            reach = np.zeros_like(y)
            for _ in range(4):
                reach = 2 * np.arcsinh(np.sqrt(0.5 * (50 + n * reach) / y))  # arccosh(1 + ...), also where that 1 would swallow the rest
            count = 400
            h = reach / count
            total = np.full_like(y, 0.5)
            root = np.sqrt(y)
            for k in range(1, count + 1):
                t = h * k
                rise = 2 * (np.sinh(0.5 * t) * root) ** 2
                total = total + 0.5 * (np.exp(n * t - rise) + np.exp(-n * t - rise))
            result[middle] = total * h * (1.0 if scaled else np.exp(-y))
        low = (x > 0) & (x < 1e-30)
        y = x[low]
        result[low] = -np.log(y / 2) - EULER if n == 0 else 0.5 * math.gamma(n) * np.power(2 / y, n)
        result[x == 0] = np.inf
        result[x == np.inf] = 0.0
    return result
