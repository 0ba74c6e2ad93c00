"""Every elementwise function against NumPy and SciPy on wide ranges: zeros of both signs, subnormals, huge numbers, infinities, NaN, places next to poles; and whole
numbers at their limits, where they wrap. f64 to 1e-10 relative, f32 to 1e-5. Where SciPy itself is wrong, the case is left out and the reason stands in `SCIPY`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special as sp

import dfg
from dfg.ops.base import OPS

F: dict[str, Any] = {"f64": np.float64, "f32": np.float32}
I: dict[str, Any] = {"u8": np.uint8, "i32": np.int32, "i64": np.int64}


def grid(d: Any) -> np.ndarray:
    info = np.finfo(d)
    up = [0, info.smallest_subnormal, info.smallest_subnormal * 1000, info.tiny, info.tiny * 3, 1e-30, info.eps / 3, 1e-3, 0.1, 0.25, 1 / 3, 0.5, 0.75, 0.9, 1 - info.eps, 1, 1 + info.eps]
    far = [1.5, 2, 2.5, 3, np.pi, 4.5, 5, 7.3, 10, 20.5, 36, 40, 88, 89, 100, 171.5, 200, 500, 709, 710, 1000.5, 1e5, 2.0**31, 2.0**53, 2.0**63, 1e30, info.max / 2, info.max, np.inf]
    a = np.array(up + far, d)
    return np.concatenate([a, -a, np.array([np.nan], d)])


def wide(d: Any, n: int = 1500, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    info = np.finfo(d)
    x = np.concatenate([10.0 ** rng.uniform(np.log10(float(info.tiny)), np.log10(float(info.max)), n // 3), 10.0 ** rng.uniform(-4, 4, n // 3), rng.uniform(0, 30, n // 3)])
    near = np.round(rng.uniform(-40, 40, n // 10)) + rng.choice([-1, 1], n // 10) * 10.0 ** rng.uniform(-6, -1, n // 10)
    return np.concatenate([x * rng.choice([-1, 1], x.size), near]).astype(d)


def wrong(got: np.ndarray, want: np.ndarray, signs: bool = True) -> np.ndarray:
    """Which elements differ by more than rounding. `want` may have more digits than `got`."""
    if got.dtype.kind != "f":
        return np.asarray(got != want)
    info = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        w = want.astype(np.float64)
        near = np.abs(got - w) <= (1e-10 if got.dtype == np.float64 else 1e-5) * np.abs(w) + (4 * info.smallest_subnormal if signs else info.tiny)
        huge = np.isinf(got) & (np.abs(w) > float(info.max) * (1 - 1e-5))
        bad = ~(near | huge | (got == want.astype(got.dtype)) | (np.isnan(got) & np.isnan(w)))
    if signs:
        bad |= (got == 0) & (w == 0) & (np.signbit(got) != np.signbit(w))
    return bad


def settle(cases: dict[str, tuple[Any, np.ndarray, tuple[np.ndarray, ...], np.ndarray]], feeds: dict[str, np.ndarray], signs: bool = True) -> None:
    """Run all tensors as one program; each case is (tensor, wanted, operands to show, which elements count)."""
    fn = dfg.compile({name: c[0] for name, c in cases.items()})
    found = fn(**{n: feeds[n] for n in fn.inputs})
    told = []
    for name, (_, want, operands, counts) in cases.items():
        got = np.asarray(found[name])
        if got.dtype.kind != want.dtype.kind or got.shape != want.shape:
            told.append(f"{name}: {got.dtype}{got.shape}, not {want.dtype}{want.shape}")
            continue
        for k in np.flatnonzero(wrong(got, want, signs) & counts)[:3]:
            told.append(f"{name}({', '.join(repr(float(o[k])) for o in operands)}) is {got[k]!r}, not {want[k]!r}")
    assert not told, "\n".join(told)


ONE = "abs sign floor ceil trunc round exp exp2 expm1 log log2 log10 log1p sqrt cbrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh square reciprocal deg2rad rad2deg"
ONE += " isnan isinf isfinite signbit negative positive sinc nan_to_num rint"
TWO = "add subtract multiply divide floor_divide remainder fmod power atan2 hypot copysign nextafter logaddexp logaddexp2 maximum minimum fmax fmin heaviside float_power"
TWO += " equal not_equal less less_equal greater greater_equal"


@pytest.mark.parametrize("d", F)
def test_functions_of_numpy(d: str) -> None:
    x = np.concatenate([grid(F[d]), wide(F[d])])
    t = dfg.input("x", f"{d}[{x.size}]")
    every = np.ones(x.shape, bool)
    with np.errstate(all="ignore"):
        cases = {n: (getattr(dfg, n)(t), np.asarray(getattr(np, n)(x)), (x,), every) for n in ONE.split()}
        cases["relu"] = dfg.relu(t), np.maximum(x, 0), (x,), x != 0
        cases["softplus"] = dfg.softplus(t), np.logaddexp(x, 0), (x,), every
        cases["rsqrt"] = dfg.rsqrt(t), 1 / np.sqrt(x), (x,), every
    settle(cases, {"x": x})


@pytest.mark.parametrize("d", F)
def test_functions_of_numpy_of_two(d: str) -> None:
    g = grid(F[d])
    a, b = (np.concatenate([v.ravel(), *w]) for v, w in zip(np.meshgrid(g, g), ((wide(F[d], 600, 1), wide(F[d], 600, 2)), (wide(F[d], 600, 3), wide(F[d], 600, 2))), strict=True))
    s, t = dfg.input("a", f"{d}[{a.size}]"), dfg.input("b", f"{d}[{b.size}]")
    ties = (a == 0) & (b == 0)  # which of two zeros is the larger is open
    with np.errstate(all="ignore"):
        cases = {n: (getattr(dfg, n)(s, t), np.asarray(getattr(np, n)(a, b)), (a, b), ~ties if n in ("maximum", "minimum", "fmax", "fmin") else np.ones(a.shape, bool)) for n in TWO.split()}
    settle(cases, {"a": a, "b": b})


@pytest.mark.parametrize("d", F)
def test_a_constant_operand_is_an_operand(d: str) -> None:
    """Simplification keeps every value: x + 0, x * 1, x ** 2, 0 - x."""
    g = grid(F[d])
    t = dfg.input("x", f"{d}[{g.size}]")
    cases = {}
    with np.errstate(all="ignore"):
        for n in "add subtract multiply divide floor_divide remainder fmod power atan2 hypot copysign logaddexp xlogy".split():
            f: Callable[..., Any] = getattr(np, n, None) or (lambda p, q: sp.xlogy(p.astype(float), q.astype(float)))
            for k, c in enumerate([0.0, -0.0, 1.0, -1.0, 2.0, -2.0, -0.5, 3.0, 1 / 3, np.inf, -np.inf, np.nan]):
                whole = np.full_like(g, c)
                cases[f"{n}_x_{k}"] = getattr(dfg, n)(t, c), np.asarray(f(g, whole)), (g, whole), np.ones(g.shape, bool)
                cases[f"{n}_{k}_x"] = getattr(dfg, n)(c, t), np.asarray(f(whole, g)), (whole, g), np.ones(g.shape, bool)
    settle(cases, {"x": g})


def double(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *xs: np.asarray(f(*[x.astype(np.float64) for x in xs]))


SCIPY: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    **dict.fromkeys("erf erfcx expit ndtri erfinv i0e i1e gammaln log_ndtr".split(), lambda x: np.ones(x.shape, bool)),
    "erfc": lambda x: np.ones(x.shape, bool),
    "ndtr": lambda x: np.ones(x.shape, bool),
    # SciPy's are NaN at the infinities.
    **dict.fromkeys("i0 i1".split(), np.isfinite),
    "gamma": lambda x: np.ones(x.shape, bool),
    # Next to a pole SciPy adds to x before it takes the reciprocal, and loses the digits of the distance.
    "digamma": lambda x: (x > 0) | (np.abs(x - np.round(x)) > 1e-3) | ~np.isfinite(x),
    **dict.fromkeys("entr exprel erfcinv".split(), lambda x: np.ones(x.shape, bool)),
    **dict.fromkeys("logit dawsn expi exp1 k0 k0e".split(), lambda x: np.ones(x.shape, bool)),
    **dict.fromkeys("k1 k1e".split(), lambda x: np.abs(x) > 1e-300),  # where 1 / x overflows SciPy's are NaN
    "lambertw": lambda x: np.abs(x + np.exp(-1)) > 1e-6,
    # Far out SciPy reduces the angle with too few digits.
    **dict.fromkeys("j0 j1".split(), lambda x: np.abs(x) < 1e4),
}
"""SciPy's functions of one argument, and where they are right to 1e-10."""


@pytest.mark.parametrize("d", F)
def test_functions_of_scipy(d: str) -> None:
    x = np.concatenate([grid(F[d]), wide(F[d])])
    t = dfg.input("x", f"{d}[{x.size}]")
    cases = {}
    with np.errstate(all="ignore"):
        for n, counts in SCIPY.items():
            want = double(getattr(sp, n) if n != "lambertw" else lambda y: np.where(y < -np.exp(-1), np.nan, sp.lambertw(y).real))(x)
            relative = np.abs(np.float64(1) - np.abs(x)) > 1e-3 if n == "gammaln" else True  # SciPy's loses digits at its zeros
            relative = relative & (np.abs(x.astype(float) - 2) > 1e-3) if n == "gammaln" else relative
            cases[n] = getattr(dfg, n)(t), want, (x,), counts(x) & relative
        near = x[x > -20] if d == "f64" else x[(x > -20) & (x < 1e6)]
        u = dfg.input("u", f"{d}[{near.size}]")
        for order in (1, 2, 5):
            apart = (near > 0) | (np.abs(near - np.round(near)) > 1e-3)
            cases[f"polygamma_{order}"] = dfg.polygamma(order, u), double(lambda y, k=order: sp.polygamma(k, y))(near), (near,), apart
        every = np.ones(x.shape, bool)
        middle = (np.abs(x) < 700) & (np.abs(x) > 1e-6)  # SciPy's are NaN or 0 further out
        for order in (0, 1, 2, 5, 30):
            cases[f"iv_{order}"] = dfg.iv(order, t), double(lambda y, k=order: sp.iv(k, y))(x), (x,), middle
            cases[f"jn_{order}"] = dfg.jn(order, t), double(lambda y, k=order: sp.jn(k, y))(x), (x,), middle
            cases[f"kn_{order}"] = dfg.kn(order, t), double(lambda y, k=order: sp.kn(k, y))(x), (x,), every
            cases[f"ive_{order}"] = dfg.ive(order, t), double(lambda y, k=order: sp.ive(k, y))(x), (x,), middle
    settle(cases, {"x": x, "u": near}, signs=False)


@pytest.mark.parametrize("d", F)
def test_functions_of_scipy_of_two(d: str) -> None:
    g = grid(F[d])[::2]
    w1, w2 = wide(F[d], 600, 1), wide(F[d], 600, 2)
    a, b = (np.concatenate([v.ravel(), *w]) for v, w in zip(np.meshgrid(g, g), ((w1, np.abs(w1), w1), (w2, np.abs(w2), w1)), strict=True))
    s, t = dfg.input("a", f"{d}[{a.size}]"), dfg.input("b", f"{d}[{b.size}]")
    every = np.ones(a.shape, bool)
    normal = (np.minimum(np.abs(a), np.abs(b)) > 1e-30) & (np.maximum(np.abs(a), np.abs(b)).astype(float) < 1e300)  # SciPy's overflow to NaN
    with np.errstate(all="ignore"):
        cases = {n: (getattr(dfg, n)(s, t), double(getattr(sp, n))(a, b), (a, b), every) for n in ("xlogy", "xlog1py")}
        for n in ("gammainc", "gammaincc"):
            cases[n] = getattr(dfg, n)(s, t), double(getattr(sp, n))(a, b), (a, b), normal & (a > 0) & (b >= 0)
        # SciPy's expansion where one is 1e5 times the other has eight digits; next to 1 it loses those of the small result.
        apart = (np.minimum(a, b) > 0.01) & (np.maximum(a, b) < 1e4 * np.minimum(a, b)) & (np.abs(a - 1) > 1e-2) & (np.abs(b - 1) > 1e-2)
        cases["betaln"] = dfg.betaln(s, t), double(sp.betaln)(a, b), (a, b), normal & apart
    settle(cases, {"a": a, "b": b}, signs=False)


@pytest.mark.parametrize("d", F)
def test_functions_of_scipy_of_three(d: str) -> None:
    rng, n = np.random.default_rng(0), 1500
    a, b, x = 10.0 ** rng.uniform(-3, 4, n), 10.0 ** rng.uniform(-3, 4, n), rng.random(n)
    x[::3] = np.clip((a / (a + b))[::3] * rng.uniform(0.9, 1.1, x[::3].size), 0, 1)
    a, b, x = (v.astype(F[d]) for v in (a, b, x))
    s, t, u = (dfg.input(name, f"{d}[{n}]") for name in "abx")
    want = double(sp.betainc)(a, b, x)
    q, near = dfg.input("q", f"{d}[{n}]"), (1 + rng.exponential(3, n) + 1e-3).astype(F[d])
    v = dfg.input("v", f"{d}[{n}]")
    cases = {
        "betainc": (dfg.betainc(s, t, u), want, (a, b, x), (want > 1e-200) | (want == 0)),  # SciPy's tails have fewer digits
        "zeta": (dfg.zeta(v, q), double(sp.zeta)(near, x), (near, x), x > 1e-3),
    }
    inner = (x > 1e-3) & (x < 0.999) & (a > 0.05) & (b > 0.05) & (a < 1e3) & (b < 1e3)
    for name in ("gammaincinv", "gammainccinv"):
        cases[name] = getattr(dfg, name)(s, u), double(getattr(sp, name))(a, x), (a, x), inner
    cases["betaincinv"] = dfg.betaincinv(s, t, u), double(sp.betaincinv)(a, b, x), (a, b, x), inner
    settle(cases, {"a": a, "b": b, "x": x, "q": x, "v": near}, signs=False)


@pytest.mark.parametrize("d", F)
def test_subnormal_results(d: str) -> None:
    """The logistic function and the inverse of erfc keep what a reciprocal or a half of a subnormal number loses, with the sign of their zeros."""
    info = np.finfo(F[d])
    x = np.linspace(float(np.log(info.smallest_subnormal)) - 3, float(np.log(info.tiny)) + 3, 400).astype(F[d])
    with np.errstate(all="ignore"):
        p = np.concatenate([info.smallest_subnormal * np.arange(1, 300, dtype=F[d]), [-info.smallest_subnormal]]).astype(F[d])
        s, t = dfg.input("x", f"{d}[{x.size}]"), dfg.input("p", f"{d}[{p.size}]")
        wanted = np.exp(x.astype(np.longdouble)).astype(np.float64)
        far = np.log(p.astype(np.longdouble))  # log(erfc(y)) of the result gives it back
    found = dfg.compile({"s": dfg.sigmoid(s), "t": dfg.erfcinv(t)})(x=x, p=p)
    got = np.asarray(found["s"])
    assert np.all(np.abs(got - wanted) <= 2 * float(info.smallest_subnormal) + 1e-5 * wanted) and got[-1] > 0
    y = np.asarray(found["t"], np.float64)
    assert np.isnan(y[-1])
    back = np.log(sp.erfcx(y[:-1])) - y[:-1] ** 2
    np.testing.assert_allclose(back, far[:-1].astype(np.float64), rtol=1e-12 if d == "f64" else 1e-5)


def test_signs_of_zeros() -> None:
    x = np.array([0.0, -0.0, 1.0])
    t = dfg.input("x", "f64[3]")
    made = dfg.compile({"entr": dfg.entr(t)})(x=x)
    assert not np.any(np.signbit(made["entr"]))


def test_figures_at_far_places() -> None:
    """Exact values where a library loses digits or overflows: of 40 digits, rounded."""
    one = {
        "erfcx": [(1.7976931348623157e308, 3.1384087339854435e-309)],
        "polygamma_20": [(-1.5, -10709198259.124132), (-2.5, -9182070.204945626)],
        "polygamma_1": [(-5e-324, np.inf)],
        "polygamma_2": [(-5e-324, np.inf), (5e-324, -np.inf)],
        "gammaln": [(1 - 2.0**-52, 1.2816762426960008e-16), (1e305, 7.01288453363184e307)],
        "digamma": [(-1 + 2.0**-52, -4503599627370495.6)],
    }
    for name, rows in one.items():
        f = getattr(dfg, name) if "_" not in name else lambda x, n=int(name.split("_")[1]): dfg.polygamma(n, x)
        x = np.array([r[0] for r in rows])
        settle({name: (f(dfg.input("x", f"f64[{x.size}]")), np.array([r[1] for r in rows]), (x,), np.ones(x.shape, bool))}, {"x": x})
    rows = [(1e10, 1e10, 0.5000013298076014), (1e10, 1.0000001e10, 0.5039907222), (1e30, 1e30, 0.5), (1e308, 1e308, 0.5), (10.0, 1e-30, 2.7557319223985888e-307)]
    a, x = (np.array([r[k] for r in rows]) for k in (0, 1))
    p, q = dfg.input("a", f"f64[{a.size}]"), dfg.input("x", f"f64[{a.size}]")
    made = dfg.compile({"low": dfg.gammainc(p, q), "high": dfg.gammaincc(p, q)})(a=a, x=x)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(made["low"], sp.gammainc(a, x), rtol=1e-10)
        np.testing.assert_allclose(made["high"], sp.gammaincc(a, x), rtol=1e-10)
    pairs = [(0.0, 5.0, np.inf), (0.0, 0.0, np.inf), (2.0, np.inf, -np.inf), (-0.5, np.inf, np.inf), (-3.0, 2.0, np.log(1 / 6)), (-3.0, 5.0, np.inf), (-2.5, 1e10, sp.gammaln(-2.5) + 2.5 * np.log(1e10))]
    a, b = (np.array([r[k] for r in pairs]) for k in (0, 1))
    s, t = dfg.input("a", f"f64[{a.size}]"), dfg.input("b", f"f64[{a.size}]")
    made = dfg.compile({"x": dfg.betaln(s, t), "y": dfg.betaln(t, s)})(a=a, b=b)
    for name in "xy":
        np.testing.assert_allclose(made[name], [r[2] for r in pairs], rtol=1e-8)


def whole_grid(d: Any) -> np.ndarray:
    i = np.iinfo(d)
    near = [0, 1, 2, 3, 5, 7, 8, 31, 32, 33, 63, 64, 65, 100, 127, 128, 255, i.max, i.max - 1, i.max // 2, i.min, i.min + 1, -1, -2, -3, -5, -7, -31, -32, -64, -100, -128]
    return np.array(sorted({v for v in near if i.min <= v <= i.max}), d)


WHOLE_TWO = "add subtract multiply floor_divide remainder fmod maximum minimum bitwise_and bitwise_or bitwise_xor left_shift right_shift gcd lcm equal less greater_equal divide power"
WHOLE_ONE = "abs sign square negative invert floor ceil trunc round positive"


@pytest.mark.parametrize("d", I)
def test_whole_numbers(d: str) -> None:
    """They wrap, division floors and is 0 by 0, shifts by the width and beyond leave nothing, |least| is the least; as operands, as constants and folded."""
    g = whole_grid(I[d])
    a, b = (v.ravel() for v in np.meshgrid(g, g))
    s, t = dfg.input("a", f"{d}[{a.size}]"), dfg.input("b", f"{d}[{a.size}]")
    every = np.ones(a.shape, bool)
    cases = {}
    with np.errstate(all="ignore"):
        for n in WHOLE_TWO.split():
            f = getattr(np, n)
            fits = b >= 0 if n == "power" else every
            cases[n] = getattr(dfg, n)(s, t), np.asarray(f(a, np.where(fits, b, 0))), (a, b), fits
            for k, c in enumerate(g):
                full = np.full_like(a, c)
                if n != "power" or c >= 0:
                    cases[f"{n}_x_{k}"] = getattr(dfg, n)(s, int(c)), np.asarray(f(a, full)), (a, full), every
                if n != "power" or d == "u8":
                    cases[f"{n}_{k}_x"] = getattr(dfg, n)(int(c), s), np.asarray(f(full, a)), (full, a), every
        for n in WHOLE_ONE.split():
            cases[n] = getattr(dfg, n)(s), np.asarray(getattr(np, n)(a)), (a,), every
    settle(cases, {"a": a, "b": b})


def test_every_elementwise_op_is_here() -> None:
    here = {*ONE.split(), *TWO.split(), *WHOLE_TWO.split(), *WHOLE_ONE.split(), *SCIPY, "xlogy", "xlog1py", "betaln", "gammainc", "gammaincc", "polygamma", "iv", "ive", "jn", "kn", "betainc", "zeta", "gammaincinv", "gammainccinv", "betaincinv"}
    same = {"sigmoid": "expit", "kne": "kn", "bitwise_left_shift": "left_shift", "bitwise_right_shift": "right_shift", "bitwise_invert": "invert"}
    others = {"relu", "softplus", "clip", "where", "cast", "pin", "stop_gradient", "logical_and", "logical_or", "logical_not"}
    others |= {"erfcx_integral", "normal_hazard", "sine_integral", "cosine_integral", "poisson_quantile", "binomial_quantile"}  # no function of this form elsewhere
    assert [n for n, o in OPS.items() if o.elementwise and same.get(n, n) not in here and n not in others] == []
