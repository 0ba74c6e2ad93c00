"""The composites for arrays, matrices, special functions and layers against NumPy and SciPy, and their gradients against differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dfg

sc = pytest.importorskip("scipy.special")
sl = pytest.importorskip("scipy.linalg")
Array = np.ndarray
RNG = np.random.default_rng(5)
X = RNG.normal(size=(4, 3))
P = RNG.uniform(0.2, 0.9, (4, 3))
Q = RNG.uniform(1.2, 3, (4, 3))
V = RNG.normal(size=5)
W = RNG.normal(size=5)
S = X.T @ X + np.eye(3)
SQUARE = RNG.normal(size=(4, 4))

# A call of x, y; their arrays; what it means; whether a gradient is checked.
CASES: dict[str, tuple[str, tuple[Array, ...], Callable[..., Any], bool]] = {
    "fix": ("fix(x)", (3 * X,), np.fix, False),
    "modf": ("modf(x)", (3 * X,), np.modf, True),
    "divmod": ("divmod(x, y)", (3 * X, Q), np.divmod, True),
    "frexp": ("frexp(x)", (X * np.exp(RNG.uniform(-300, 300, X.shape)),), np.frexp, False),
    "frexp of powers": ("frexp(x)", (np.ldexp(1.0, np.arange(-1074, 1024)),), np.frexp, False),
    "exp10": ("exp10(x)", (X,), lambda x: 10.0**x, True),
    "amax": ("amax(x, axis=1)", (X,), lambda x: x.max(1), True),
    "std_mean": ("std_mean(x, axis=0)", (X,), lambda x: (x.std(0, ddof=1), x.mean(0)), True),
    "var_mean": ("var_mean(x)", (X,), lambda x: (x.var(ddof=1), x.mean()), True),
    "nanargmax": ("nanargmax(x, axis=0)", (np.where(X > 1, np.nan, X),), lambda x: np.nanargmax(x, 0), False),
    "nancumsum": ("nancumsum(x, axis=0)", (np.where(X > 0.5, np.nan, X),), lambda x: np.nancumsum(x, 0), False),
    "nanpercentile": ("nanpercentile(x, 30.0)", (np.where(X > 1, np.nan, X),), lambda x: np.nanpercentile(x, 30), False),
    "partition": ("partition(x, 1)", (X,), np.sort, True),
    "unwrap": ("unwrap(x, axis=0)", (5 * X,), lambda x: np.unwrap(x, axis=0), True),
    "unwrap by period": ("unwrap(x, period=4.0)", (5 * X,), lambda x: np.unwrap(x, period=4), True),
    "histogram": ("histogram(x, 4, -1.0, 1.0)", (X,), lambda x: np.histogram(x, 4, (-1, 1))[0], False),
    "diagflat": ("diagflat(x)", (V,), np.diagflat, True),
    "geomspace": ("geomspace(x[0, 0], x[0, 1], 5)", (Q,), lambda x: np.geomspace(x[0, 0], x[0, 1], 5), True),
    "addr": ("addr(x, y[0], y[1, :3], beta=2.0, alpha=0.5)", (X[:3], X), lambda x, y: 2 * x + 0.5 * np.outer(y[0], y[1]), True),
    "baddbmm": ("baddbmm(x[newaxis], x.T[newaxis], y[newaxis])", (X[:3], X[:3]), lambda x, y: (x + x.T @ y)[None], True),
    "dist": ("dist(x, y, p=3.0)", (X, Q), lambda x, y: (np.abs(x - y) ** 3).sum() ** (1 / 3), True),
    "pdist": ("pdist(x)", (X,), lambda x: np.array([np.linalg.norm(x[i] - x[j]) for i in range(4) for j in range(i + 1, 4)]), True),
    "stdtr": ("stdtr(x, y)", (Q, X), sc.stdtr, True),
    "fdtr": ("fdtr(x, x + 1, y)", (Q, P), lambda x, y: sc.fdtr(x, x + 1, y), True),
    "chdtr": ("chdtr(x, y)", (Q, P), sc.chdtr, True),
    "gdtr": ("gdtr(x, y, x)", (Q, P), lambda x, y: sc.gdtr(x, y, x), True),
    "pdtr": ("pdtr(floor(x), y)", (5 * P, Q), lambda x, y: sc.pdtr(np.floor(x), y), False),
    "bdtr": ("bdtr(floor(x), 5.0, y)", (5 * P, P), lambda x, y: sc.bdtr(np.floor(x), 5, y), False),
    "betaincc": ("betaincc(x, y, 0.3)", (Q, Q), lambda x, y: sc.betaincc(x, y, 0.3), True),
    "rgamma": ("rgamma(x)", (Q,), sc.rgamma, True),
    "poch": ("poch(x, y)", (Q, Q), sc.poch, True),
    "boxcox": ("boxcox(x, y)", (Q, X), sc.boxcox, True),
    "inv_boxcox": ("inv_boxcox(x, y)", (P, P), sc.inv_boxcox, True),
    "boxcox1p": ("boxcox1p(x, y)", (P, X), sc.boxcox1p, True),
    "cosm1": ("cosm1(x)", (X * 1e-5,), sc.cosm1, False),
    "huber": ("huber(x, y)", (P, X), sc.huber, True),
    "pseudo_huber": ("pseudo_huber(x, y)", (P, X), sc.pseudo_huber, True),
    "toeplitz": ("toeplitz(x, y)", (V, W[:3]), sl.toeplitz, True),
    "hankel": ("hankel(x, y)", (V, np.concatenate([V[-1:], W])), sl.hankel, True),
    "circulant": ("circulant(x)", (V,), sl.circulant, True),
    "companion": ("companion(x)", (V,), sl.companion, True),
    "khatri_rao": ("khatri_rao(x, y)", (X, Q), sl.khatri_rao, True),
    "polar": ("polar(x)", (SQUARE,), sl.polar, True),
    "pinvh": ("pinvh(x)", (S,), sl.pinvh, True),
    "solve_sylvester": ("solve_sylvester(x, y, x @ y)", (S, S), lambda x, y: sl.solve_sylvester(x, y, x @ y), True),
    "cond_number": ("cond_number(x)", (SQUARE,), np.linalg.cond, True),
    "sqrtm": ("sqrtm(x)", (S,), lambda x: sl.sqrtm((x + x.T) / 2).real, True),
    "logm": ("logm(x)", (S,), lambda x: sl.logm((x + x.T) / 2).real, True),
    "lu": ("lu(x)", (SQUARE,), sl.lu, True),
    "polymul": ("polymul(x, y)", (V, W[:3]), np.polymul, True),
    "polyadd": ("polyadd(x, y)", (V, W[:3]), np.polyadd, True),
    "polyder": ("polyder(x)", (V,), np.polyder, True),
    "polyint": ("polyint(x, 2.0)", (V,), lambda x: np.polyint(x, k=2), True),
    "polyfit": ("polyfit(x, y, 2)", (V, W), lambda x, y: np.polyfit(x, y, 2), True),
    **{f"eval_{n}": (f"eval_{n}(5, x)", (P,), lambda x, n=n: getattr(sc, f"eval_{n}")(5, x), True) for n in ("chebyt", "chebyu", "legendre", "hermite", "hermitenorm", "laguerre")},
    **{n: (f"{n}(x)", (Q,), getattr(sc, n), True) for n in ("expi", "exp1", "dawsn", "j0", "j1", "k0", "k1", "k0e", "k1e", "zeta", "sici")},
    "jn": ("jn(3, x)", (5 * X,), lambda x: sc.jn(3, x), True),
    "kn": ("kn(3, x)", (Q,), lambda x: sc.kn(3, x), True),
    "lambertw": ("lambertw(x)", (Q,), lambda x: sc.lambertw(x).real, True),
    "lambertw -1": ("lambertw(x, -1)", (-P / 3,), lambda x: sc.lambertw(x, -1).real, True),
    "betainc": ("betainc(x, y, 0.3)", (Q, Q), lambda x, y: sc.betainc(x, y, 0.3), True),
    "betaincinv": ("betaincinv(x, y, 0.3)", (Q, Q), lambda x, y: sc.betaincinv(x, y, 0.3), True),
    "gammaincinv": ("gammaincinv(x, y)", (Q, P), sc.gammaincinv, True),
    "gammainccinv": ("gammainccinv(x, y)", (Q, P), sc.gammainccinv, True),
    **{n: (f"{n}(7)" + (" + 0 * x[0]"), (V,), lambda x, n=n: getattr(np, n)(7), False) for n in ("hanning", "hamming", "blackman", "bartlett")},
    "kaiser": ("kaiser(7, x[0])", (np.abs(V),), lambda x: np.kaiser(7, x[0]), True),
}


def outputs(call: str, arrays: tuple[Array, ...], count: int, gradient: bool) -> tuple[dict[str, Array], list[Array]]:
    names = "xy"[: len(arrays)]
    head = "".join(f"input {n} : {'f64' if a.dtype == np.float64 else 'f32'}{list(a.shape)}\n" for n, a in zip(names, arrays, strict=True))
    outs = ", ".join(f"r{k}" for k in range(count))
    text = f"{head}{outs} = {call}\noutput {outs}\n"
    weights = [np.random.default_rng(k).normal(size=64) for k in range(count)]
    if gradient:
        for k in range(count):
            text += f"input w{k} : f64[m{k}]\nc{k} = reshape(r{k}, [r{k}.size])\n"
        text += "l = " + " + ".join(f"sum(c{k} * w{k}[:c{k}.shape[0]])" for k in range(count)) + "\n"
        text += "".join(f"output g{n} = grad(l, {n})\noutput h{n} = hvp(l, {n}, cos({n}))\n" for n in names)
    fn = dfg.compile(dfg.loads(text))
    given = {**dict(zip(names, arrays, strict=True)), **({f"w{k}": w for k, w in enumerate(weights)} if gradient else {})}
    return dict(fn(**given)), weights


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name: str) -> None:
    call, arrays, meaning, gradient = CASES[name]

    def parts(*xs: Array) -> list[Array]:
        with np.errstate(all="ignore"):
            made = meaning(*xs)
        return [np.asarray(m) for m in made] if isinstance(made, tuple) else [np.asarray(made)]

    want = parts(*arrays)
    made, weights = outputs(call, arrays, len(want), gradient)
    for k, w in enumerate(want):
        assert made[f"r{k}"].shape == w.shape
        np.testing.assert_allclose(made[f"r{k}"], w, rtol=1e-10, atol=1e-12)
    if not gradient:
        return

    def loss(*xs: Array) -> float:
        return sum(float(np.sum(p.reshape(-1) * w[: p.size])) for p, w in zip(parts(*xs), weights, strict=True))

    h = 1e-4
    for k, n in enumerate("xy"[: len(arrays)]):
        d = np.cos(arrays[k])

        def along(t: float, k: int = k, d: Array = d) -> float:
            return loss(*[a + t * d if i == k else a for i, a in enumerate(arrays)])

        scale = abs(along(0)) + float(np.sum(np.abs(made[f"g{n}"] * d)))
        one = (along(-2 * h) - 8 * along(-h) + 8 * along(h) - along(2 * h)) / (12 * h)
        assert abs(np.sum(made[f"g{n}"] * d) - one) <= 1e-7 * (1 + scale), n
        # The second derivative along d is <d, H d>.
        wide = 2e-3
        two = (-along(2 * wide) + 16 * along(wide) - 30 * along(0) + 16 * along(-wide) - along(-2 * wide)) / (12 * wide * wide)
        assert abs(np.sum(made[f"h{n}"] * d) - two) <= 2e-5 * (1 + scale + abs(two)), n
