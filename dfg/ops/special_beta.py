"""NumPy implementations in f64 of the incomplete beta function with its derivatives by the parameters, the inverses of the incomplete gamma and beta functions, and
the quantiles of the Poisson and binomial distributions.

Methods: the continued fraction of the incomplete beta function (DLMF 8.17.22) from its far end, in jets for derivatives by a and b, with a prefactor that keeps its
digits for large arguments; the inverses by Newton's method on the logarithm of the smaller tail, kept inside a bracket; the quantiles by a Cornish-Fisher start and
steps of one along the distribution function.

>>> round(float(betainc(np.array(2.0), np.array(3.0), np.array(0.5))), 12)
0.6875
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dfg.ops.special_error import ndtri
from dfg.ops.special_gamma import _log1p_minus, _prefactor, betaln, gammainc_pair, gammaln, polygamma, stirling
from dfg.ops.special_jets import Jet

Array = np.ndarray


def _front(a: Array, b: Array, x: Array, y: Array) -> Array:
    """x ** a y ** b / beta(a, b), with y = 1 - x."""
    # Far from the mean the logarithms of the ratios are better taken apart.
    big = (a >= 10) & (b >= 10) & (x * (a + b) > 0.1 * a) & (y * (a + b) > 0.1 * b)
    p, q = np.where(big, a, 10.0), np.where(big, b, 10.0)
    slant = x * q - y * p
    rest = p * _log1p_minus(slant / p) + q * _log1p_minus(-slant / q) + stirling(p + q) - stirling(p) - stirling(q)
    large = np.exp(rest) * np.sqrt(p / (2 * np.pi) * (q / (p + q)))
    # log1p of the exact complement keeps digits where x is near 1 or y is.
    log_x = np.where(x < 0.5, np.log(x), np.log1p(-y))
    log_y = np.where(y < 0.5, np.log(y), np.log1p(-x))
    return np.asarray(np.where(big, large, np.exp(a * log_x + b * log_y - betaln(a, b))))


def _front_jet(a: Array, b: Array, x: Array, y: Array, orders: tuple[int, int]) -> Jet:
    log_x = np.where(x < 0.5, np.log(x), np.log1p(-y))
    log_y = np.where(y < 0.5, np.log(y), np.log1p(-x))
    c: dict[tuple[int, ...], Any] = {(0, 0): 0.0}
    for i in range(orders[0] + 1):
        for j in range(orders[1] + 1):
            n = i + j
            if n == 0:
                continue
            slope = polygamma(n - 1, a + b)
            if j == 0:
                slope = slope - polygamma(n - 1, a)
            if i == 0:
                slope = slope - polygamma(n - 1, b)
            if n == 1:
                slope = slope + (log_x if i else log_y)
            c[(i, j)] = slope / (math.factorial(i) * math.factorial(j))
    return Jet(orders, c).exp(_front(a, b, x, y))


def _fraction(a: Any, b: Any, x: Array, count: int) -> Any:
    """The continued fraction: with it the lower function is x^a y^b / (a B(a, b)) over what is given here. `a`, `b` may be jets."""
    h: Any = 1.0
    for n in range(count, 0, -1):
        m = n // 2
        # By partial fractions 1 / ((a + c)(a + c + 1)) is a difference, which is short as a jet.
        d = (b - m) * (x * m) * _gap(a, 2 * m - 1) if n % 2 == 0 else -((a + m) * (a + b + m)) * x * _gap(a, 2 * m)
        h = d / h + 1.0
    return h


def _gap(a: Any, c: int) -> Any:
    """1 / ((a + c)(a + c + 1))."""
    if not isinstance(a, Jet):
        return 1 / ((a + c) * (a + (c + 1)))
    # Of the variable number `k`: the coefficients of 1 / (a + c) - 1 / (a + c + 1), without cancellation of the first.
    zero = (0,) * len(a.orders)
    k = next((p for p in range(len(zero)) if tuple(int(q == p) for q in range(len(zero))) in a.c), 0)
    u, v = 1 / (a.c[zero] + c), 1 / (a.c[zero] + (c + 1))
    made, power, sign = {}, u * v, 1.0
    total = power
    for n in range(a.orders[k] + 1):
        made[tuple(n if q == k else 0 for q in range(len(zero)))] = sign * total
        # u^(n+1) - v^(n+1) = (u - v) (u^n + u^(n-1) v + ... + v^n)
        total, power, sign = total * u + power * v ** (n + 1), power, -sign
    return Jet(a.orders, made)


def _terms(a: Array, b: Array) -> int:
    return int(40 + 6 * math.sqrt(min(float(max(a.max(), b.max())), 1e8)))


def _groups(a: Array, b: Array) -> list[Array]:
    """Places whose fractions take about equally many terms."""
    key = np.floor(np.log2(np.maximum(np.maximum(a, b), 64.0)) / 2)
    return [np.flatnonzero(key == k) for k in np.unique(key)]


def _lower(a: Array, b: Array, x: Array, y: Array) -> Array:
    """The lower function where the fraction converges fast, x below its mean."""
    result = np.empty_like(a)
    for k in _groups(a, b):
        p, q, z = a[k], b[k], x[k]
        result[k] = _front(p, q, z, y[k]) / (p * _fraction(p, q, z, _terms(p, q)))
    return result


def betainc_pair(a: Array, b: Array, x: Array, y: Array | None = None) -> tuple[Array, Array]:
    """The regularised incomplete beta function of (a, b, x) and what it lacks to 1."""
    y = 1 - np.asarray(x, np.float64) if y is None else y
    a, b, x, y = np.broadcast_arrays(*[np.asarray(v, np.float64) for v in (a, b, x, y)])
    shape = a.shape
    a, b, x, y = a.ravel(), b.ravel(), x.ravel(), y.ravel()
    lower, upper = np.full(a.shape, np.nan), np.full(a.shape, np.nan)
    with np.errstate(all="ignore"):
        good = (a > 0) & (b > 0) & (x > 0) & (y > 0) & np.isfinite(a) & np.isfinite(b)
        left = good & (x <= (a + 1) / (a + b + 2))
        k = np.flatnonzero(left)
        if k.size:
            lower[k] = _lower(a[k], b[k], x[k], y[k])
            upper[k] = 1 - lower[k]
        k = np.flatnonzero(good & ~left)
        if k.size:
            upper[k] = _lower(b[k], a[k], y[k], x[k])
            lower[k] = 1 - upper[k]
        inside = (x >= 0) & (x <= 1)
        for where, low in (
            ((a > 0) & (b > 0) & (x == 0), 0.0),
            ((a > 0) & (b > 0) & (x == 1), 1.0),
            (((a == 0) & (b > 0) | (b == np.inf) & (a > 0) & np.isfinite(a)) & inside & (x > 0), 1.0),
            (((b == 0) & (a > 0) | (a == np.inf) & (b > 0) & np.isfinite(b)) & inside & (x < 1), 0.0),
        ):
            lower[where], upper[where] = low, 1 - low
    return lower.reshape(shape), upper.reshape(shape)


def betainc(a: Array, b: Array, x: Array) -> Array:
    return betainc_pair(a, b, x)[0]


def betainc_derivative(a: Array, b: Array, x: Array, orders: tuple[int, int]) -> Array:
    """The derivative of the regularised incomplete beta function by a and b, of the given orders."""
    if orders == (0, 0):
        return betainc(a, b, x)
    a, b, x = np.broadcast_arrays(*[np.asarray(v, np.float64) for v in (a, b, x)])
    shape = a.shape
    a, b, x = a.ravel(), b.ravel(), x.ravel()
    result = np.full(a.shape, np.nan)
    with np.errstate(all="ignore"):
        ends = (a > 0) & (b > 0) & ((x == 0) | (x == 1))
        result[ends] = 0.0
        good = (a > 0) & (b > 0) & (x > 0) & (x < 1) & np.isfinite(a) & np.isfinite(b)
        left = good & (x <= (a + 1) / (a + b + 2))
        for side, sign in ((left, 1.0), (good & ~left, -1.0)):
            places = np.flatnonzero(side)
            if not places.size:
                continue
            for group in _groups(a[places], b[places]):
                k = places[group]
                p, q, z, w = (a[k], b[k], x[k], 1 - x[k]) if sign > 0 else (b[k], a[k], 1 - x[k], x[k])
                turned = orders if sign > 0 else (orders[1], orders[0])
                first, second = Jet.variable(p, 0, turned), Jet.variable(q, 1, turned)
                made = _front_jet(p, q, z, w, turned) / (first * _fraction(first, second, z, _terms(p, q)))
                result[k] = sign * made.derivative()
    return result.reshape(shape)


# --- inverses ----------------------------------------------------------------------------------------------------------------------------


def _solve(start: Array, low: Array, high: Array, step: Callable[[Array, Array], tuple[Array, Array]], count: int) -> Array:
    """Roots by Newton's method within brackets. `step(x, places)` gives for elements at `places` whether the root lies above (> 0), and Newton's step."""
    x, low, high = start.copy(), low.copy(), high.copy()
    active = np.arange(count)
    for _ in range(200):
        at = x[active]
        sense, move = step(at, active)
        low[active] = np.where(sense > 0, at, low[active])
        high[active] = np.where(sense > 0, high[active], at)
        made = at + move
        outside = ~((made > low[active]) & (made < high[active]))
        below, above = low[active], high[active]
        # Outside the bracket: half way, geometrically where the ends are of different sizes.
        middle = np.where((below > 0) & (above > 4 * below) & np.isfinite(above), np.sqrt(below) * np.sqrt(above), np.where(np.isfinite(above), 0.5 * (below + above), 2 * at + 1))
        # A last step may touch the bracket's end by rounding.
        tiny = np.abs(move) <= 1e-8 * np.abs(at)
        made = np.where(sense == 0, at, np.where(outside & ~tiny, middle, made))
        x[active] = made
        # Newton's step squares the error: what moved by less than this is right to the last digit.
        still = (sense != 0) & (np.abs(made - at) > 1e-10 * np.abs(made)) & (above > below)
        active = active[still]
        if not active.size:
            break
    return x


def _gamma_start(a: Array, p: Array, q: Array) -> Array:
    z = np.where(p < 0.5, ndtri(np.maximum(p, 1e-300)), -ndtri(np.maximum(q, 1e-300)))
    c = 1 / (9 * a)
    wilson = a * np.maximum(1 - c + z * np.sqrt(c), 0.0) ** 3
    small = np.exp((np.log(p) + gammaln(a + 1)) / a)
    tail = -np.log(q) - gammaln(a) + (a - 1) * np.log(np.maximum(-np.log(q), 1.0))
    start = np.where((a < 1) | (wilson < 0.2 * a) & (p < 0.5), small, wilson)
    start = np.where((a < 1) & (start > 0.5 * (a + 1)), np.maximum(tail, 0.5), start)
    return np.asarray(np.where(np.isfinite(start) & (start > 0), start, 1e-300))


def gammaincinv_pair(a: Array, p: Array, q: Array) -> Array:
    """x with lower function p and upper function q = 1 - p."""
    a, p, q = np.broadcast_arrays(*[np.asarray(v, np.float64) for v in (a, p, q)])
    shape = a.shape
    a, p, q = a.ravel(), p.ravel(), q.ravel()
    result = np.full(a.shape, np.nan)
    with np.errstate(all="ignore"):
        legal = (a > 0) & np.isfinite(a)
        result[legal & (p == 0)] = 0.0
        result[legal & (q == 0)] = np.inf
        good = np.flatnonzero(legal & (p > 0) & (q > 0))
        if good.size:
            b, low_target, high_target = a[good], p[good], q[good]
            left = low_target <= 0.5

            def step(x: Array, k: Array) -> tuple[Array, Array]:
                lower, upper = gammainc_pair(b[k], x)
                # x times the density.
                slope = _prefactor(b[k], x) * b[k]
                miss = np.where(left[k], np.log(low_target[k]) - np.log(lower), np.log(upper) - np.log(high_target[k]))
                # In log x on the left, where the lower function is near a power of x; in x on the right, where the upper one is near an exponential.
                by_log = miss * lower / slope
                move = np.where(left[k], x * np.expm1(np.clip(by_log, -40, 40)), miss * upper * x / slope)
                return miss, np.where(np.isfinite(move), move, np.sign(miss) * np.inf)

            start = _gamma_start(b, low_target, high_target)
            result[good] = _solve(start, np.zeros(good.size), np.full(good.size, np.inf), step, good.size)
    return result.reshape(shape)


def gammaincinv(a: Array, p: Array) -> Array:
    p = np.asarray(p, np.float64)
    return gammaincinv_pair(a, p, 1 - p)


def gammainccinv(a: Array, q: Array) -> Array:
    q = np.asarray(q, np.float64)
    return gammaincinv_pair(a, 1 - q, q)


def betaincinv(a: Array, b: Array, p: Array) -> Array:
    """x with betainc(a, b, x) = p."""
    a, b, p = np.broadcast_arrays(*[np.asarray(v, np.float64) for v in (a, b, p)])
    shape = a.shape
    a, b, p = a.ravel(), b.ravel(), p.ravel()
    result = np.full(a.shape, np.nan)
    with np.errstate(all="ignore"):
        legal = (a > 0) & (b > 0) & np.isfinite(a) & np.isfinite(b)
        result[legal & (p == 0)], result[legal & (p == 1)] = 0.0, 1.0
        good = np.flatnonzero(legal & (p > 0) & (p < 1))
        if good.size:
            # Where the answer is above a half its complement is sought, so that it keeps its digits.
            half = betainc(a[good], b[good], np.full(good.size, 0.5))
            swap = half < p[good]
            u, w = np.where(swap, b[good], a[good]), np.where(swap, a[good], b[good])
            target, rest = np.where(swap, 1 - p[good], p[good]), np.where(swap, p[good], 1 - p[good])
            left = target <= 0.5

            def step(x: Array, k: Array) -> tuple[Array, Array]:
                lower, upper = betainc_pair(u[k], w[k], x)
                slope = _front(u[k], w[k], x, 1 - x) / (1 - x)
                miss = np.where(left[k], np.log(target[k]) - np.log(lower), np.log(upper) - np.log(rest[k]))
                by_log = miss * np.where(left[k], lower, upper) / slope
                move = x * np.expm1(np.clip(by_log, -40, 40))
                return miss, np.where(np.isfinite(move), move, np.sign(miss) * np.inf)

            start = np.exp((np.log(target) + np.log(u) + betaln(u, w)) / u)
            mean = u / (u + w)
            spread = np.sqrt(mean * (w / (u + w)) / (u + w + 1))
            normal = mean + spread * np.where(left, ndtri(np.maximum(target, 1e-300)), -ndtri(np.maximum(rest, 1e-300)))
            fine = (normal > 0.2 * mean) & (normal < 0.5) & (np.minimum(u, w) > 1)
            start = np.clip(np.where(fine, normal, start), 1e-300, 0.5)
            x = _solve(start, np.zeros(good.size), np.full(good.size, 0.5 + 1e-12), step, good.size)
            result[good] = np.where(swap, 1 - x, x)
    return result.reshape(shape)


# --- quantiles of counts -------------------------------------------------------------------------------------------------------------------


def _walk(k: Array, top: Array, u: Array, cdf: Callable[[Array, Array], Array]) -> Array:
    """The least count whose distribution function is above u, from a start near it."""
    active = np.arange(k.size)
    above = cdf(k, active) > u
    while active.size:
        at = k[active]
        up = ~above[active]
        beside = np.where(up, at + 1, at - 1)
        end = (beside < 0) | (beside > top[active])
        there = cdf(np.clip(beside, 0, top[active]), active) > u[active]
        # Up: go until it is above. Down: go while it still is.
        go = ~end & (up | there)
        k[active] = np.where(go, beside, at)
        above[active] = np.where(go, there, above[active])
        active = active[go & (up != there)]
    return k


def _start(mean: Array, deviation: Array, skew: Array, u: Array) -> Array:
    z = np.clip(ndtri(np.clip(u, 1e-300, 1 - 2.0**-53)), -40, 40)
    return np.floor(mean + deviation * z + skew * (z * z - 1) / 6)


def poisson_quantile(u: Array, rate: Array) -> Array:
    """The least k with P(count <= k) > u; -1 where the rate is no finite number of at least 0."""
    u, rate = np.broadcast_arrays(np.asarray(u, np.float64), np.asarray(rate, np.float64))
    shape = u.shape
    u, rate = u.ravel(), rate.ravel()
    result = np.full(u.shape, -1.0)
    with np.errstate(all="ignore"):
        result[rate == 0] = 0
        good = np.flatnonzero((rate > 0) & np.isfinite(rate) & (u >= 0) & (u < 1))
        m, v = rate[good], u[good]
        start = np.maximum(_start(m, np.sqrt(m), np.ones_like(m), v), 0)
        result[good] = _walk(start, np.full(good.size, np.inf), v, lambda k, i: gammainc_pair(k + 1, m[i])[1])
    return result.reshape(shape).astype(np.int64)


def binomial_quantile(u: Array, n: Array, p: Array) -> Array:
    """The least k with P(successes of n trials <= k) > u; -1 where n is no count or p no probability."""
    u, n, p = np.broadcast_arrays(*[np.asarray(x, np.float64) for x in (u, n, p)])
    shape = u.shape
    u, n, p = u.ravel(), n.ravel(), p.ravel()
    result = np.full(u.shape, -1.0)
    with np.errstate(all="ignore"):
        legal = (n >= 0) & np.isfinite(n) & (n == np.floor(n)) & (p >= 0) & (p <= 1) & (u >= 0) & (u < 1)
        result[legal & ((p == 0) | (n == 0))] = 0
        result[legal & (p == 1)] = n[legal & (p == 1)]
        good = np.flatnonzero(legal & (p > 0) & (p < 1) & (n > 0))
        m, c, v = n[good], p[good], u[good]
        start = np.clip(_start(m * c, np.sqrt(m * c * (1 - c)), 1 - 2 * c, v), 0, m)

        def cdf(k: Array, i: Array) -> Array:
            return np.where(k >= m[i], 1.0, betainc_pair(np.maximum(m[i] - k, 1), k + 1, 1 - c[i], c[i])[0])

        result[good] = _walk(start, m, v, cdf)
    return result.reshape(shape).astype(np.int64)
