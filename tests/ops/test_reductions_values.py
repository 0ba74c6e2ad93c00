"""Reductions, statistics and running reductions against NumPy and SciPy: infinities, NaN, zeros of both signs, subnormals, empty and size-1 axes, several axes, `keepdims`."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import dfg

Maker = Callable[..., Any]
F: dict[str, Any] = {"f64": np.float64, "f32": np.float32}


def arrays(d: Any, empty: bool) -> Iterator[np.ndarray]:
    """Matrices and a tensor of rank 3: plain, with every special number in turn, of zeros of both signs, of one kind alone, with size-1 and empty axes."""
    rng = np.random.default_rng(0)
    info = np.finfo(d)
    plain = rng.normal(size=(3, 4)).astype(d)
    yield plain
    yield (rng.normal(size=(2, 1, 5)) * 10.0 ** rng.integers(-5, 5, (2, 1, 5))).astype(d)
    for special in (np.nan, np.inf, -np.inf, info.smallest_subnormal, info.max / 8, -0.0):
        x = plain.copy()
        x[1, 2] = special
        yield x
        yield np.full((2, 3), special, d)
    both = plain.copy()
    both[0, 1], both[0, 3], both[2, 0], both[2, 2] = np.inf, -np.inf, np.nan, np.inf
    yield both
    yield np.array([[0.0, -0.0, 0.0], [-0.0, -0.0, -0.0]], d)
    yield np.ones((1, 1), d)
    if empty:
        yield np.zeros((0, 3), d)
        yield np.zeros((2, 0), d)
        yield np.zeros((2, 0, 3), d)


def over(rank: int) -> Iterator[Any]:
    yield None
    for k in range(1, rank + 1):
        for axes in itertools.combinations(range(rank), k):
            yield axes[0] if k == 1 else axes
    yield -1


def differ(got: Any, want: Any, scale: Any = 0.0) -> bool:
    """Whether two arrays differ by more than rounding (of numbers as large as `scale`, where summands cancel)."""
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape or got.dtype.kind != want.dtype.kind:
        return True
    if got.dtype.kind != "f":
        return not np.array_equal(got, want)
    w = want.astype(np.float64)
    rough = 1e-10 if got.dtype == np.float64 else 1e-5
    with np.errstate(all="ignore"):
        near = (
            np.abs(got - w)
            <= rough * np.maximum(np.abs(w), np.where(np.isfinite(scale), scale, 0.0)) + 4 * np.finfo(got.dtype).smallest_subnormal
        )
        same = near | (got == want.astype(got.dtype)) | (np.isnan(got) & np.isnan(w))
        return not bool(np.all(same & ~((got == 0) & (w == 0) & (np.signbit(got) != np.signbit(w)) & (scale == 0))))


class Case:
    """One compiled program of many results, each with what NumPy gives."""

    def __init__(self, x: np.ndarray, d: str) -> None:
        self.x, self.wide = x, x.astype(np.float64)
        self.t = dfg.input("x", f"{d}[{', '.join(map(str, x.shape))}]")
        self.made: dict[str, Any] = {}
        self.want: dict[str, tuple[Any, str, Any]] = {}

    def add(self, words: str, made: Callable[[], Any], want: Callable[[], Any], scale: Any = 0.0) -> None:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = np.asarray(want())
        name = f"r{len(self.want)}"
        self.made[name], self.want[name] = made(), (value, words, scale)

    def told(self) -> list[str]:
        fn = dfg.compile(self.made)
        got = fn(x=self.x)
        return [
            f"{words} of {self.x.tolist()} is {np.asarray(got[n]).tolist()!r} {np.asarray(got[n]).dtype}, not {want.tolist()!r}"
            for n, (want, words, scale) in self.want.items()
            if differ(got[n], want, scale) or np.asarray(got[n]).dtype.kind == "f" and np.asarray(got[n]).dtype != self.x.dtype
        ]


def settle(cases: list[Case]) -> None:
    told = [line for c in cases for line in c.told()]
    assert not told, f"{len(told)} differ\n" + "\n".join(told[:20])


def logsumexp(x: np.ndarray, axis: Any, keepdims: bool) -> np.ndarray:
    top = np.max(x, axis=axis, keepdims=True)
    safe = np.where(np.isfinite(top), top, 0)
    return np.asarray(np.log(np.sum(np.exp(x - safe), axis=axis, keepdims=keepdims)) + (safe if keepdims else np.sum(safe, axis=axis)))


def empty_over(x: np.ndarray, axis: Any) -> bool:
    axes = range(x.ndim) if axis is None else np.atleast_1d(axis)
    return any(x.shape[a] == 0 for a in axes)


@pytest.mark.parametrize("d", F)
def test_reductions(d: str) -> None:
    cases = []
    for x in arrays(F[d], True):
        c = Case(x, d)
        size = np.abs(c.wide).sum() if x.size else 0.0
        for axis, keep in itertools.product(over(x.ndim), (False, True)):
            at = {"axis": axis, "keepdims": keep}
            none = empty_over(x, axis)
            c.add(f"sum {at}", lambda c=c, at=at: dfg.sum(c.t, **at), lambda c=c, at=at: c.wide.sum(**at).astype(F[d]), size)
            c.add(f"prod {at}", lambda c=c, at=at: dfg.prod(c.t, **at), lambda c=c, at=at, x=x: np.prod(x, **at))
            c.add(f"nansum {at}", lambda c=c, at=at: dfg.nansum(c.t, **at), lambda c=c, at=at: np.nansum(c.wide, **at).astype(F[d]), size)
            c.add(f"nanprod {at}", lambda c=c, at=at: dfg.nanprod(c.t, **at), lambda c=c, at=at, x=x: np.nanprod(x, **at))
            c.add(f"any {at}", lambda c=c, at=at: dfg.any(c.t, **at), lambda c=c, at=at, x=x: np.any(x, **at))
            c.add(f"all {at}", lambda c=c, at=at: dfg.all(c.t, **at), lambda c=c, at=at, x=x: np.all(x, **at))
            c.add(
                f"count_nonzero {at}",
                lambda c=c, at=at: dfg.count_nonzero(c.t, **at),
                lambda at=at, x=x: np.asarray(np.count_nonzero(x, **at)),
            )
            if none:
                continue
            for name in ("max", "min", "nanmax", "nanmin"):
                # Which of two zeros is the larger is open.
                c.add(
                    f"{name} {at}",
                    lambda c=c, at=at, f=getattr(dfg, name): f(c.t, **at),
                    lambda c=c, at=at, f=getattr(np, name), x=x: f(x, **at),
                    1e-300,
                )
            c.add(f"ptp {at}", lambda c=c, at=at: dfg.ptp(c.t, **at), lambda c=c, at=at, x=x: np.ptp(x, **at), 1e-300)
            c.add(f"mean {at}", lambda c=c, at=at: dfg.mean(c.t, **at), lambda c=c, at=at: c.wide.mean(**at), size)
            c.add(f"nanmean {at}", lambda c=c, at=at: dfg.nanmean(c.t, **at), lambda c=c, at=at: np.nanmean(c.wide, **at), size)
            c.add(f"logsumexp {at}", lambda c=c, at=at: dfg.logsumexp(c.t, **at), lambda c=c, at=at: logsumexp(c.wide, **at), 1.0)
            for correction in (0, 1):
                more = {**at, "correction": correction}
                for nan in ("", "nan"):

                    def variance(c: Case = c, at: Any = at, nan: str = nan, k: int = correction) -> Any:
                        f: Maker = getattr(np, nan + "var")
                        return f(c.wide, ddof=k, **at).astype(F[d])  # beyond the range of the dtype in NumPy's of f32 too

                    with np.errstate(all="ignore"):
                        top = np.max(np.abs(c.wide), initial=0, where=~np.isnan(c.wide))
                        square = top**2 * 1e-3
                    c.add(f"{nan}var {more}", lambda c=c, m=more, f=getattr(dfg, nan + "var"): f(c.t, **m), variance, square)
                    c.add(
                        f"{nan}std {more}",
                        lambda c=c, m=more, f=getattr(dfg, nan + "std"): f(c.t, **m),
                        lambda v=variance: np.sqrt(v()),
                        top * 1e-3,
                    )
        cases.append(c)
    settle(cases)


@pytest.mark.parametrize("d", F)
def test_places(d: str) -> None:
    cases = []
    for x in arrays(F[d], False):
        c = Case(x, d)
        for axis, keep in itertools.product((None, *range(x.ndim), -1), (False, True)):
            at = {"axis": axis, "keepdims": keep}
            for name in ("argmax", "argmin"):
                c.add(
                    f"{name} {at}",
                    lambda c=c, at=at, f=getattr(dfg, name): f(c.t, **at),
                    lambda c=c, at=at, f=getattr(np, name), x=x: f(x, **at),
                )
        for axis in range(x.ndim):
            for name in ("argsort", "sort"):
                more = {"stable": True} if name == "argsort" else {}
                c.add(
                    f"{name} {axis}",
                    lambda c=c, a=axis, f=getattr(dfg, name): f(c.t, axis=a),
                    lambda c=c, a=axis, f=getattr(np, name), m=more, x=x: f(x, axis=a, **m),
                    1e-300,
                )
            if not np.isnan(x).all(axis=axis).any():
                for name in ("nanargmax", "nanargmin"):
                    c.add(
                        f"{name} {axis}",
                        lambda c=c, a=axis, f=getattr(dfg, name): f(c.t, axis=a),
                        lambda c=c, a=axis, f=getattr(np, name), x=x: f(x, axis=a),
                    )
        cases.append(c)
    settle(cases)


@pytest.mark.parametrize("d", F)
def test_norms(d: str) -> None:
    cases = []
    for x in arrays(F[d], True):
        c = Case(x, d)
        for axis, keep in itertools.product(over(x.ndim), (False, True)):
            for order in (0, 1, 2, 3, 0.5, np.inf, -np.inf, -1):
                if empty_over(x, axis) and (np.isinf(order) or order < 0):
                    continue
                at = {"axis": axis, "keepdims": keep, "ord": order}

                def want(at: Any = at, x: Any = x) -> Any:
                    y = np.abs(x)
                    axes = tuple(range(x.ndim)) if at["axis"] is None else at["axis"]
                    p = at["ord"]
                    if np.isinf(p):
                        return (np.max if p > 0 else np.min)(y, axis=axes, keepdims=at["keepdims"])
                    if p == 0:
                        return np.sum(y != 0, axis=axes, keepdims=at["keepdims"]).astype(F[d])
                    return np.sum(y**p, axis=axes, keepdims=at["keepdims"]) ** (1 / p)

                c.add(f"vector_norm {at}", lambda c=c, at=at: dfg.vector_norm(c.t, **at), want)
        cases.append(c)
    settle(cases)


@pytest.mark.parametrize("d", F)
def test_running(d: str) -> None:
    cases = []
    for x in arrays(F[d], True):
        c = Case(x, d)
        size = np.abs(c.wide).sum() if x.size else 0.0
        for axis in (*range(x.ndim), -1):
            at = {"axis": axis}
            c.add(
                f"cumulative_sum {at}",
                lambda c=c, at=at: dfg.cumulative_sum(c.t, **at),
                lambda c=c, at=at: np.cumsum(c.wide, **at).astype(F[d]),
                size,
            )
            c.add(
                f"cumulative_sum initial {at}",
                lambda c=c, at=at: dfg.cumulative_sum(c.t, include_initial=True, **at),
                lambda c=c, at=at: np.cumulative_sum(c.wide, include_initial=True, **at).astype(F[d]),
                size,
            )
            c.add(f"cumulative_prod {at}", lambda c=c, at=at: dfg.cumulative_prod(c.t, **at), lambda c=c, at=at, x=x: np.cumprod(x, **at))
            c.add(f"cumprod {at}", lambda c=c, at=at: dfg.cumprod(c.t, **at), lambda c=c, at=at, x=x: np.cumprod(x, **at))
            c.add(
                f"nancumsum {at}",
                lambda c=c, at=at: dfg.nancumsum(c.t, **at),
                lambda c=c, at=at: np.nancumsum(c.wide, **at).astype(F[d]),
                size,
            )
            c.add(f"nancumprod {at}", lambda c=c, at=at: dfg.nancumprod(c.t, **at), lambda c=c, at=at, x=x: np.nancumprod(x, **at))
            c.add(
                f"logcumsumexp {at}",
                lambda c=c, at=at: dfg.logcumsumexp(c.t, **at),
                lambda c=c, at=at: np.logaddexp.accumulate(c.wide, **at),
                1.0,
            )
            for name, f in (("cumulative_max", np.maximum), ("cumulative_min", np.minimum)):
                c.add(
                    f"{name} {at}",
                    lambda c=c, at=at, g=getattr(dfg, name): g(c.t, **at),
                    lambda c=c, at=at, f=f, x=x: f.accumulate(x, **at),
                    1e-300,
                )
            if x.shape[axis] > 1:
                c.add(f"diff {at}", lambda c=c, at=at: dfg.diff(c.t, **at), lambda c=c, at=at, x=x: np.diff(x, **at))
        cases.append(c)
    settle(cases)


def quantile(f: Maker, x: np.ndarray, q: float, **at: Any) -> Any:
    """NumPy's, but beside an infinity, where it subtracts one from itself."""
    low, high, made = (f(x, q, method=m, **at) for m in ("lower", "higher", "linear"))
    return np.where(low == high, low, np.where(np.isfinite(low) & np.isfinite(high), made, low + high))


@pytest.mark.parametrize("d", F)
def test_quantiles(d: str) -> None:
    cases = []
    for x in arrays(F[d], False):
        c = Case(x, d)
        for axis, keep in itertools.product((*over(x.ndim),), (False, True)):
            at = {"axis": axis, "keepdims": keep}
            c.add(f"median {at}", lambda c=c, at=at: dfg.median(c.t, **at), lambda c=c, at=at: np.median(c.wide, **at), 1e-300)
            c.add(f"nanmedian {at}", lambda c=c, at=at: dfg.nanmedian(c.t, **at), lambda c=c, at=at: np.nanmedian(c.wide, **at), 1e-300)
            for q in (0.0, 0.3, 0.5, 1.0):
                c.add(
                    f"quantile {q} {at}",
                    lambda c=c, at=at, q=q: dfg.quantile(c.t, q, **at),
                    lambda c=c, at=at, q=q: quantile(np.quantile, c.wide, q, **at),
                    1e-300,
                )
                c.add(
                    f"nanquantile {q} {at}",
                    lambda c=c, at=at, q=q: dfg.nanquantile(c.t, q, **at),
                    lambda c=c, at=at, q=q: quantile(np.nanquantile, c.wide, q, **at),
                    1e-300,
                )
                c.add(
                    f"percentile {q} {at}",
                    lambda c=c, at=at, q=q: dfg.percentile(c.t, 100 * q, **at),
                    lambda c=c, at=at, q=q: quantile(np.quantile, c.wide, q, **at),
                    1e-300,
                )
        cases.append(c)
    settle(cases)


@pytest.mark.parametrize("d", F)
def test_of_pairs(d: str) -> None:
    cases = []
    for x in arrays(F[d], False):
        c = Case(x, d)
        if x.ndim == 2 and x.shape[1] > 1:
            with np.errstate(all="ignore"):
                top = np.max(np.abs(c.wide)) ** 2 * 1e-3
                apart = bool(np.all(np.ptp(c.wide, axis=1) > 0))
            c.add("cov", lambda c=c: dfg.cov(c.t), lambda c=c: np.cov(c.wide), top)
            if apart and top < 1e30:
                c.add("corrcoef", lambda c=c: dfg.corrcoef(c.t), lambda c=c: np.corrcoef(c.wide), 1.0)
        for axis in range(x.ndim):
            w = np.arange(1.0, x.shape[axis] + 1)
            c.add(
                f"average {axis}",
                lambda c=c, a=axis, w=w: dfg.average(c.t, axis=a, weights=w.astype(F[d])),
                lambda c=c, a=axis, w=w: np.average(c.wide, axis=a, weights=w),
                np.max(np.abs(c.wide)),
            )
        c.add("histogram", lambda c=c: dfg.histogram(c.t, 7, -1.5, 1.5), lambda x=x: np.histogram(x[np.isfinite(x)], 7, (-1.5, 1.5))[0])
        c.add("histc", lambda c=c: dfg.histc(c.t, 7, -1.0, 2.0), lambda x=x: np.histogram(x[np.isfinite(x)], 7, (-1.0, 2.0))[0])
        cases.append(c)
    settle(cases)


def test_histogram_beside_edges() -> None:
    """An element that rounding moves over an edge stays in NumPy's interval."""
    for bins, low, high in ((10, 0.0, 1.0), (7, -1.0, 1.0), (49, 0.1, 0.9), (3, 0.0, 0.3)):
        e = np.linspace(low, high, bins + 1)
        x = np.concatenate([e, np.nextafter(e, np.inf), np.nextafter(e, -np.inf)])
        c = Case(x, "f64")
        c.add(
            f"histogram {bins} {low} {high}",
            lambda b=bins, lo=low, hi=high, c=c: dfg.histogram(c.t, b, lo, hi),
            lambda b=bins, lo=low, hi=high, x=x: np.histogram(x, b, (lo, hi))[0],
        )
        settle([c])
