"""NumPy implementations of gamma functions in f64: `gammaln`, `gamma`, `polygamma`, `betaln`, `gammainc`, `gammaincc`.

Methods: Chebyshev series between the zeros of ln gamma and around the root of digamma (`special_tables`), Stirling's series above 10 (Abramowitz and Stegun 6.1.41, 6.3.18),
the recurrences between, reflection below (6.1.17, 6.4.7); polygammas as Hurwitz zetas by Euler-Maclaurin summation (Johansson 2014, "Rigorous high-precision computation of
the Hurwitz zeta function"); the incomplete gamma function by its series and by Legendre's continued fraction (DLMF 8.11.4, 8.9.2), with a prefactor that keeps its digits
for large arguments (Temme 1979).

>>> float(gammaln(np.array(0.5)))
0.5723649429247001
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import Any, Final

import numpy as np

from dfg.ops import special_tables as tables

Array = np.ndarray

STIRLING: Final = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400, 43867 / 244188)
"""B_2k / (2k (2k - 1)), for k from 1."""
BERNOULLI: Final = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330, 854513 / 138)
HALF_LOG_TWO_PI: Final = 0.5 * math.log(2 * math.pi)


def chebyshev(c: tuple[float, ...], t: Array) -> Array:
    """c[0] + c[1] T_1(t) + ... by Clenshaw's recurrence."""
    b0 = np.zeros_like(t)
    b1 = np.zeros_like(t)
    twice = 2 * t
    for a in c[:0:-1]:
        b0, b1 = twice * b0 - b1 + a, b0
    return np.asarray(t * b0 - b1 + c[0])


def on_interval(c: tuple[float, ...], low: float, high: float, x: Array) -> Array:
    return chebyshev(c, (2 * x - (low + high)) / (high - low))


def stirling(x: Array) -> Array:
    """ln gamma(x) - ((x - 1/2) ln x - x + ln(2 pi) / 2), for x >= 10."""
    w = 1 / (x * x)
    total = np.zeros_like(x)
    for c in STIRLING[::-1]:
        total = total * w + c
    return np.asarray(total / x)


def sin_pi(x: Array) -> Array:
    """sin(pi x), exact at whole and half numbers."""
    r = np.remainder(x, 2.0)
    flip = np.where(r > 1, -1.0, 1.0)
    r = np.where(r > 1, r - 1, r)
    r = np.where(r > 0.5, 1 - r, r)
    return np.asarray(flip * np.sin(np.pi * r))


def gammaln(x: Array) -> Array:
    """ln |gamma(x)|."""
    x = np.asarray(x, np.float64)
    result = np.full(x.shape, np.nan)
    with np.errstate(all="ignore"):
        big = x >= 10
        if big.any():
            y = x[big]
            # (x - 1/2) ln x - x as x (ln x - 1) - ln(x) / 2 does not overflow before the result does.
            logs = np.log(y)
            result[big] = np.where(y < np.inf, y * (logs - 1) - 0.5 * logs + HALF_LOG_TWO_PI + np.where(y < 1e17, stirling(y), 0), np.inf)
        small = (x >= 0.5) & (x < 10)
        if small.any():
            result[small] = _gammaln_middle(x[small])
        tiny = (x > 0) & (x < 0.5)
        if tiny.any():
            y = x[tiny]
            result[tiny] = _gammaln_middle(y + 1) - np.log(y)
        below = x <= 0
        if below.any():
            y = x[below]
            s = np.abs(sin_pi(y))
            far = np.log(np.pi) - np.log(s) - gammaln(1 - y)
            # Between -0.5 and 0: ln gamma(1 + x) - ln |x| keeps its digits.
            near = gammaln(1 + np.maximum(y, -0.5)) - np.log(-y)
            result[below] = np.where((y == np.floor(y)), np.inf, np.where(y > -0.5, near, far))
            result[x == -np.inf] = -np.inf
    return result


def _gammaln_middle(x: Array) -> Array:
    """ln gamma for 0.5 <= x < 10."""
    factor = np.ones_like(x)
    y = x.copy()
    for _ in range(8):
        high = y > 3
        if not high.any():
            break
        y = np.where(high, y - 1, y)
        factor = np.where(high, factor * y, factor)
    return np.asarray(on_interval(tables.GAMMALN, 0.5, 3.0, y) * ((y - 1) * (y - 2)) + np.log(factor))


def _gammaln_next(a: Array) -> Array:
    """ln gamma(1 + a) for -0.5 <= a <= 2, to its last digits also where a is tiny."""
    return np.asarray(on_interval(tables.GAMMALN, 0.5, 3.0, 1 + a) * (a * (a - 1)))


def gamma(x: Array) -> Array:
    """The gamma function; NaN at negative whole numbers, infinite at 0 with its sign."""
    x = np.asarray(x, np.float64)
    result = np.full(x.shape, np.nan)
    with np.errstate(all="ignore"):
        up = x >= 0.5
        y = x[up]
        if y.size:
            result[up] = _gamma_positive(y)
        down = (x < 0.5) & (x != 0) & (x != np.floor(x)) & np.isfinite(x)
        y = x[down]
        if y.size:
            near = np.abs(y) < 0.5
            other = 1 - y
            s = sin_pi(y)
            # gamma(1 - y) overflows before the quotient vanishes.
            p = np.where(other < 140, np.pi / (s * _gamma_positive(np.minimum(other, 140))), np.pi / s * np.exp(-gammaln(other)))
            result[down] = np.where(near, _gamma_positive(np.where(near, y + 1, 1.0)) / y, p)
        result[x == 0] = 1 / x[x == 0]
        result[x == np.inf] = np.inf
    return result


def _gamma_positive(x: Array) -> Array:
    """For x >= 0.5: by recurrence from [1, 2] below 20, by Stirling's series above, with x ** (x - 1/2) taken in two halves."""
    y = np.minimum(x, 20.0)
    factor = np.ones_like(x)
    for _ in range(19):
        high = y > 2.5
        if not high.any():
            break
        y = np.where(high, y - 1, y)
        factor = np.where(high, factor * y, factor)
    low = np.exp(on_interval(tables.GAMMALN, 0.5, 3.0, y) * ((y - 1) * (y - 2))) * factor
    z = np.clip(x, 20.0, 172.0)
    half = np.power(z, 0.5 * z - 0.25)
    high_value = math.sqrt(2 * math.pi) * (half * np.exp(-z)) * half * np.exp(stirling(z))
    return np.asarray(np.where(x < 20, low, np.where(x > 171.7, np.inf, high_value)))


def digamma(x: Array) -> Array:
    """The logarithmic derivative of gamma; NaN at negative whole numbers."""
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        below = x < 0
        y = np.where(below, 1 - x, x)
        up = _digamma_positive(y)
        r = x - np.round(x)
        return np.asarray(
            np.where(below, np.where(r == 0, np.nan, up - np.pi / np.tan(np.pi * r)), np.where(x == 0, -np.copysign(np.inf, x), up))
        )


def _digamma_positive(x: Array) -> Array:
    total = np.zeros_like(x)
    y = np.minimum(x, 10.0)
    small = y < 1
    total = np.where(small, -1 / np.where(small, y, 1), total)
    y = np.where(small, y + 1, y)
    for _ in range(9):
        high = y > 2
        if not high.any():
            break
        y = np.where(high, y - 1, y)
        total = np.where(high, total + 1 / y, total)
    near = on_interval(tables.DIGAMMA, 1.0, 2.0, y) * ((y - tables.DIGAMMA_ROOT) - tables.DIGAMMA_ROOT_REST) + total
    z = np.maximum(x, 10.0)
    w = 1 / (z * z)
    tail = np.zeros_like(z)
    for k, b in reversed(list(enumerate(BERNOULLI[:9], 1))):
        tail = tail * w + b / (2 * k)
    far = np.log(z) - 0.5 / z - tail * w
    return np.asarray(np.where(np.isnan(x), x, np.where(x < 10, near, far)))


def hurwitz(s: int, q: Array) -> Array:
    """The sum over k >= 0 of (k + q) ** -s, for s >= 2 and q > 0."""
    steps = 12 + s // 4
    total = np.zeros_like(q)
    for k in range(steps):
        total += np.power(q + k, -float(s))
    a = q + steps
    power = np.power(a, -float(s))
    total = total + np.power(a, 1.0 - s) / (s - 1) + 0.5 * power
    term = power * s / a
    for k, b in enumerate(BERNOULLI, 1):
        total = total + b * term / math.factorial(2 * k)
        term = term * (s + 2 * k - 1) * (s + 2 * k) / (a * a)
    return total


def polygamma(n: int, x: Array) -> Array:
    """The n-th derivative of digamma."""
    if n == 0:
        return digamma(x)
    x = np.asarray(x, np.float64)
    sign = -1.0 if n % 2 == 0 else 1.0
    with np.errstate(all="ignore"):
        below = x < 0
        y = np.where(below, 1 - x, x)
        scale = float(math.factorial(n)) if n < 171 else math.inf
        up = np.where(y == np.inf, sign * 0.0, sign * scale * hurwitz(n + 1, np.where(y > 0, y, 1.0)))
        up = np.where(x == 0, sign * np.inf, np.where(np.isnan(x), np.nan, up))
        if not below.any():
            return np.asarray(up)
        # psi_n(1 - x) - (-1)^n psi_n(x) = (-1)^n pi (d/dx)^n cot(pi x), the derivatives being polynomials of the cotangent.
        r = x - np.round(x)
        safe = np.where(r == 0, 0.25, r)
        # By the sine of the complement it is exactly 0 half way between the poles.
        c = np.copysign(np.sin(np.pi * (0.5 - np.abs(safe))), safe) / np.abs(np.sin(np.pi * safe))
        c = np.clip(c, -1e300, 1e300)  # next to a pole: an infinity would meet the zeros among the coefficients
        poly = np.polynomial.Polynomial([0.0, 1.0])
        for _ in range(n):
            poly = -poly.deriv() * np.polynomial.Polynomial([1.0, 0.0, 1.0])
        parity = 1.0 if n % 2 == 0 else -1.0
        down = parity * up - np.pi ** (n + 1) * poly(c)
        return np.asarray(np.where(below, np.where((r == 0) | (x == -np.inf), sign * np.inf, down), up))


def betaln(a: Array, b: Array) -> Array:
    """ln |beta(a, b)|, without the cancellation of its three terms where one is large (Didonato and Morris 1992)."""
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    low, high = np.minimum(a, b), np.maximum(a, b)
    with np.errstate(all="ignore"):
        plain = gammaln(low) + (gammaln(high) - gammaln(low + high))
        far = (high >= 10) & (low + high >= 10) & (high < np.inf)
        h = np.where(far, high, 10.0)
        small = np.where(far, low, 1.0)
        rest = stirling(h) - stirling(h + small)
        # ln gamma(h) - ln gamma(h + small)
        drop = rest - (h + small - 0.5) * np.log1p(small / h) - small * (np.log(h) - 1)
        both = np.where(low >= 10, low, 10.0)
        c = (both / h) / (1 + both / h)
        large = stirling(both) + rest - 0.5 * np.log(h) + HALF_LOG_TWO_PI + (both - 0.5) * np.log(c) - h * np.log1p(both / h)
        result = np.where(far, np.where(low >= 10, large, gammaln(small) + drop), plain)
        # A pole of gamma: infinite, unless the sum is one too.
        pole = (low <= 0) & (low == np.floor(low)) & (low > -np.inf)
        result = np.where(pole, np.inf, result)
        result = np.where((high == np.inf) & ~pole, np.where(low > 0, -np.inf, np.where(low > -np.inf, np.inf, np.nan)), result)
        finite = pole & (high > 0) & (high == np.floor(high)) & (low + high <= 0)
        if finite.any():
            result = np.where(finite, betaln(np.where(finite, 1 - (low + high), 1.0), np.where(finite, high, 1.0)), result)
        return np.asarray(np.where(np.isnan(a) | np.isnan(b), np.nan, result))


def _log1p_minus(x: Array) -> Array:
    """log1p(x) - x, without cancellation for small x."""
    small = np.abs(x) < 0.3
    y = np.where(small, x, 0.0)
    r = y / (2 + y)
    r2 = r * r
    total = np.zeros_like(y)
    for k in range(15, 0, -1):
        total = total * r2 + 2.0 / (2 * k + 1)
    # log1p(y) = 2 (r + r^3/3 + ...), and 2 r - y = -r y
    series = r * r2 * total - r * y
    return np.asarray(np.where(small, series, np.log1p(x) - x))


# Note [Large a]. Where a is large and x near to it, series and fraction need a number of terms in proportion to the root of a. Temme's expansion (DLMF 8.12.7 to 8.12.12) is
# uniform there: half of an error function of eta sqrt(a / 2), with eta^2 / 2 = x / a - 1 - ln(x / a), and a remainder in powers of 1 / a and eta.


@cache
def _temme_coefficients(orders: int = 6, terms: int = 26) -> tuple[tuple[float, ...], ...]:
    """d[k][n] of the remainder, from exact fractions."""
    count = terms + 2 * orders + 3
    alpha = [Fraction(0), Fraction(1), Fraction(1, 3)]
    for n in range(3, count):
        alpha.append((alpha[n - 1] - sum(j * alpha[j] * alpha[n - j + 1] for j in range(2, n))) / (n + 1))
    stirlings = (Fraction(1), Fraction(1, 12), Fraction(1, 288), Fraction(-139, 51840), Fraction(-571, 2488320), Fraction(163879, 209018880))
    first = [Fraction(-1, 3), *[(n + 2) * alpha[n + 2] for n in range(1, count - 2)]]
    rows = [first]
    for k in range(1, orders):
        before = rows[-1]
        rows.append([(-1) ** k * stirlings[k] * first[n] + (n + 2) * before[n + 2] for n in range(len(before) - 2)])
    return tuple(tuple(float(d) for d in row[:terms]) for row in rows)


def _uniform(a: Array, x: Array) -> tuple[Array, Array]:
    """The lower and upper function for a >= 1000 and x within three tenths of it. See Note [Large a]."""
    from dfg.ops.special_error import erfc  # it is built on this file's series

    mu = (x - a) / a
    half_square = -_log1p_minus(mu)
    eta = np.copysign(np.sqrt(2 * half_square), mu)
    total = np.zeros_like(a)
    for row in reversed(_temme_coefficients()):
        inner = np.zeros_like(a)
        for d in reversed(row):
            inner = inner * eta + d
        total = total / a + inner
    rest = np.exp(-a * half_square) / (math.sqrt(2 * math.pi) * np.sqrt(a)) * total
    turned = eta * np.sqrt(a / 2)
    return np.asarray(0.5 * erfc(-turned) - rest), np.asarray(0.5 * erfc(turned) + rest)


def _prefactor(a: Array, x: Array) -> Array:
    """x ** a exp(-x) / gamma(a + 1)."""
    # Far below a the logarithm of x / a is better taken apart.
    big = (a >= 10) & (x > 0.1 * a)
    safe = np.where(big, a, 10.0)
    ratio = (x - safe) / safe
    growth = np.where(x < 0.5 * safe, np.log(x) - np.log(safe) - ratio, _log1p_minus(ratio))  # 1 + ratio would lose a small x
    large = np.exp(safe * growth - stirling(safe)) / np.sqrt(2 * np.pi * safe)
    small = np.where(big, 1.0, a)
    return np.asarray(np.where(big, large, np.exp(small * np.log(x) - x - gammaln(small + 1))))


def gammainc_pair(a: Array, x: Array) -> tuple[Array, Array]:
    """The regularised lower and upper incomplete gamma functions."""
    a, x = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(x, np.float64))
    shape = a.shape
    a, x = a.ravel(), x.ravel()
    lower, upper = np.full(a.shape, np.nan), np.full(a.shape, np.nan)
    with np.errstate(all="ignore"):
        good = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
        k = np.flatnonzero(good & (a >= 1000) & (np.abs(x - a) <= 0.3 * a))
        if k.size:
            lower[k], upper[k] = _uniform(a[k], x[k])
            good[k] = False
        series = good & ((x <= 1) | (x < a))
        k = np.flatnonzero(series)
        if k.size:
            lower[k] = _series(a[k], x[k])
            upper[k] = 1 - lower[k]
            # Where a and x are small the upper one is a small difference, which expm1 keeps.
            tiny = (a[k] < 1) & (x[k] <= 1)
            j = k[tiny]
            if j.size:
                upper[j] = _upper_small(a[j], x[j])
        k = np.flatnonzero(good & ~series)
        if k.size:
            upper[k] = _fraction(a[k], x[k])
            lower[k] = 1 - upper[k]
        for where, low in (
            ((a == 0) & (x > 0), 1.0),
            ((a > 0) & (x == 0), 0.0),
            ((a > 0) & np.isfinite(a) & (x == np.inf), 1.0),
            ((a == np.inf) & (x >= 0) & np.isfinite(x), 0.0),
        ):
            lower[where], upper[where] = low, 1 - low
    return lower.reshape(shape), upper.reshape(shape)


def _series(a: Array, x: Array) -> Array:
    result = np.empty_like(a)
    active = np.arange(a.size)
    total, term, n, z = np.ones_like(a), np.ones_like(a), a.copy(), x
    for _ in range(100_000):
        n = n + 1
        term = term * (z / n)
        total = total + term
        done = ~(term > total * 1e-17)
        if done.any():
            result[active[done]] = total[done]
            left = ~done
            active, total, term, n, z = active[left], total[left], term[left], n[left], z[left]
            if not active.size:
                break
    result[active] = total
    return np.asarray(np.minimum(_prefactor(a, x) * result, 1.0))


def _upper_small(a: Array, x: Array) -> Array:
    """1 - P for a < 1 and x <= 1: -expm1(a ln x - ln gamma(a + 1)) - x^a / gamma(a + 1) times the rest of the series (DLMF 8.7.1)."""
    total = np.zeros_like(a)
    term = np.ones_like(a)
    for n in range(1, 200):
        term = term * -x / n
        add = term / (a + n)
        total = total + add
        if np.all(np.abs(add) <= np.abs(total) * 1e-17):
            break
    head = a * np.log(x) - _gammaln_next(a)
    return np.asarray(-np.expm1(head) - np.exp(head) * a * total)


def _fraction(a: Array, x: Array) -> Array:
    """The upper function by Legendre's continued fraction, evaluated by the modified method of Lentz."""
    tiny = 1e-300
    result = np.empty_like(a)
    active = np.arange(a.size)
    p, b = a, x + 1 - a
    c = np.full_like(a, 1 / tiny)
    d = 1 / np.where(b == 0, tiny, b)
    h = d.copy()
    for i in range(1, 100_000):
        n = -i * (i - p)
        b = b + 2
        d = n * d + b
        d = np.where(np.abs(d) < tiny, tiny, d)
        c = b + n / c
        c = np.where(np.abs(c) < tiny, tiny, c)
        d = 1 / d
        step = d * c
        h = h * step
        # What has converged leaves: more steps would only gather rounding.
        done = ~(np.abs(step - 1) > 2e-16)
        if done.any():
            result[active[done]] = h[done]
            left = ~done
            active, p, b, c, d, h = active[left], p[left], b[left], c[left], d[left], h[left]
            if not active.size:
                break
    result[active] = h
    return np.asarray(np.minimum(_prefactor(a, x) * a * result, 1.0))


def in_double(f: Any, dtype: np.dtype) -> Any:
    """A result computed in f64 as the dtype that is asked for."""
    return np.asarray(f).astype(dtype, copy=False)


# Note [Jets]. Derivatives by a of the incomplete gamma functions are taken by truncated Taylor series in a: an array of coefficients, lowest first, in front of
# the elements. Series, fraction and prefactor are the same formulas in this arithmetic.


def _times(p: Array, q: Array) -> Array:
    return np.stack([sum(p[i] * q[k - i] for i in range(k + 1)) for k in range(len(p))])


def _inverse(p: Array) -> Array:
    made = [1 / p[0]]
    for k in range(1, len(p)):
        made.append(-made[0] * sum(p[i] * made[k - i] for i in range(1, k + 1)))
    return np.stack(made)


def _exponential(p: Array) -> Array:
    made = [np.exp(p[0])]
    for k in range(1, len(p)):
        made.append(sum(i * p[i] * made[k - i] for i in range(1, k + 1)) / k)
    return np.stack(made)


def _variable(a: Array, order: int) -> Array:
    made = np.zeros((order + 1, *a.shape))
    made[0] = a
    if order:
        made[1] = 1
    return made


def _prefactor_jet(a: Array, x: Array, order: int) -> Array:
    """x ** a exp(-x) / gamma(a + 1)."""
    logs = np.zeros((order + 1, *a.shape))
    if order:
        logs[1] = np.log(x) - digamma(a + 1)
    for k in range(2, order + 1):
        logs[k] = -polygamma(k - 1, a + 1) / math.factorial(k)
    return _exponential(logs) * _prefactor(a, x)


def gammainc_derivative(a: Array, x: Array, order: int, upper: bool) -> Array:
    """The derivative by a, of an order, of the lower or upper regularised incomplete gamma function. See Note [Jets]."""
    if order == 0:
        return gammainc_pair(a, x)[upper]
    a, x = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(x, np.float64))
    shape = a.shape
    a, x = a.ravel(), x.ravel()
    result = np.full(a.shape, np.nan)
    with np.errstate(all="ignore"):
        good = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
        result[(a > 0) & ((x == 0) | (x == np.inf))] = 0.0
        k = np.flatnonzero(good & (a > 1e5))
        if k.size:
            result[k] = math.factorial(order - 1) * _large_jet(a[k], x[k], order - 1)[order - 1] * (-1.0 if upper else 1.0)
            good[k] = False
        series = good & ((x <= 1) | (x < a))
        scale = float(math.factorial(order))
        k = np.flatnonzero(series)
        if k.size:
            result[k] = scale * _series_jet(a[k], x[k], order)[order] * (-1.0 if upper else 1.0)
        k = np.flatnonzero(good & ~series)
        if k.size:
            result[k] = scale * _fraction_jet(a[k], x[k], order)[order] * (1.0 if upper else -1.0)
    return result.reshape(shape)


def _large_jet(a: Array, x: Array, order: int) -> Array:
    """The derivative by a of the lower function where a is large: minus the density times how fast the quantile of x moves with a, which is 1 + z / (2 sqrt(a)) and further terms
    of the expansion of Cornish and Fisher. Series and fraction would need a number of terms in proportion to the root of a."""
    inverse = _inverse(_variable(a, order))
    u = inverse * x
    u[0] = np.clip((x - a) / a, -0.5, 0.5)  # beyond, the density is 0
    square = _times(u, u)
    moves = u / 2 - square / 6 + _times(square, u) / 12 + _times(inverse, u) / 12 + inverse / 6
    moves[0] += 1
    logs = np.zeros_like(u)
    for k in range(1, order + 1):
        # ln x - digamma(a), whose two parts cancel.
        logs[k] = np.where(np.abs(u[0]) < 0.5, np.log1p(u[0]), np.log(x) - np.log(a)) + 1 / (2 * a) + 1 / (12 * a * a) if k == 1 else -polygamma(k - 1, a) / math.factorial(k)
    density = _prefactor(a, x) * np.minimum(a / x, 1e300)
    return np.where(density > 0, -_times(_exponential(logs) * density, moves), 0.0)


def _series_jet(a: Array, x: Array, order: int) -> Array:
    term = _variable(np.ones_like(a), 0)
    term = np.concatenate([term, np.zeros((order, *a.shape))])
    total = term
    for n in range(1, 100_000):
        term = _times(term, _inverse(_variable(a + n, order))) * x
        total = total + term
        if np.all(np.abs(term) <= np.abs(total) * 1e-17):
            break
    return _times(_prefactor_jet(a, x, order), total)


def _fraction_jet(a: Array, x: Array, order: int) -> Array:
    """Legendre's fraction from its far end: as many terms as make the last of it vanish."""
    variable = _variable(a, order)
    count = int(60 + 30 * math.sqrt(float(a.max())) + 400 / math.sqrt(float(np.minimum(x, 400.0).min())))

    def denominator(i: int) -> Array:
        made = -variable
        made[0] += x + 2 * i + 1
        return made

    h = denominator(count)
    for i in range(count, 0, -1):
        top = variable * i
        top[0] -= i * i
        h = denominator(i - 1) + _times(top, _inverse(h))
    return _times(_times(_prefactor_jet(a, x, order), variable), _inverse(h))
