"""Generated cases for the functions of the array API standard: arrays of all dtypes and of ranks 0 to 5, empty axes among them, and many cases run as one program.

A `Cases` collects results of the builder beside those of NumPy; `settle` compiles and runs them all at once, which is what makes thousands of cases cheap.

    cases = Cases()
    cases.add("exp", lambda: xp.exp(xp.asarray(a)), lambda: np.exp(a))
    cases.settle()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import dfg_array_api as xp
import numpy as np

import dfg

BOOL, INTEGRAL, FLOATING = ["bool"], ["uint8", "int32", "int64"], ["float32", "float64"]
NUMERIC = INTEGRAL + FLOATING
ALL = BOOL + NUMERIC
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, np.inf, -np.inf, np.nan, 1e-40, -1e-310, 1e30, -1e30, 3e38]
WHOLE = [0, 1, 2, 3, 5, 7, 31, 100, 255, -1, -2, -7, -128, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63)]


class Cases:
    """Results of the builder and of NumPy, to be compared together. `exact`: signs of zeros count."""

    def __init__(self, exact: bool = False, loose: float = 1.0) -> None:
        self.found: list[tuple[str, Any, Any]] = []
        self.wrong: list[str] = []
        self.exact = exact
        self.loose = loose

    def add(self, label: str, made: Callable[[], Any], wanted: Callable[[], Any]) -> None:
        label = " ".join(label.split())
        try:
            with np.errstate(all="ignore"):
                want = wanted()
        except (OverflowError, ZeroDivisionError):
            return
        try:
            self._add(label, made(), want)
        except Exception as e:  # any error is a finding, told with its case
            self.wrong.append(f"{label}: {type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}")

    def _add(self, label: str, got: Any, want: Any) -> None:
        if isinstance(want, tuple | list):
            if not isinstance(got, tuple | list) or len(got) != len(want):
                self.wrong.append(f"{label}: {len(want)} results, not {got!r}")
                return
            for k, (g, w) in enumerate(zip(got, want, strict=True)):
                self._add(f"{label} [{k}]", g, w)
            return
        want = np.asarray(want)
        if not isinstance(got, xp.Array):
            self.wrong.append(f"{label}: not an array but {type(got).__name__}")
        elif got.shape != want.shape:
            self.wrong.append(f"{label}: shape {got.shape}, not {want.shape}")
        elif got.dtype.np != want.dtype:
            self.wrong.append(f"{label}: dtype {got.dtype}, not {want.dtype}")
        else:
            self.found.append((label, got, want))

    def settle(self) -> None:
        """Run all, and fail with what differs."""
        feeds: dict[str, np.ndarray] = {}
        for _, got, _ in self.found:
            feeds.update(got._feeds)
        if self.found:
            fn = dfg.compile({f"y{k}": got._tensor for k, (_, got, _) in enumerate(self.found)})
            with np.errstate(all="ignore"):
                made = fn(**{n: feeds[n] for n in fn.inputs})
            for k, (label, _, want) in enumerate(self.found):
                if (why := differs(np.asarray(made[f"y{k}"]), want, self.exact, self.loose)) is not None:
                    self.wrong.append(f"{label}: {why}")
        assert not self.wrong, f"{len(self.wrong)} of {len(self.found)} differ:\n" + "\n".join(self.wrong[:12])


def differs(got: np.ndarray, want: np.ndarray, exact: bool, loose: float) -> str | None:
    """Where two arrays of one dtype and shape are not the same to rounding, or None."""
    if want.dtype.kind != "f":
        bad = got != want
    else:
        with np.errstate(all="ignore"):
            tolerance = (1e-5 if want.dtype == np.float32 else 1e-10) * loose
            near = np.abs(got - want) <= tolerance * np.maximum(np.abs(want), 1.0 if not exact else float(np.finfo(want.dtype).tiny))
        bad = ~(near | (got == want) | (np.isnan(got) & np.isnan(want)))
        if exact:
            bad |= (got == 0) & (want == 0) & (np.signbit(got) != np.signbit(want))
    places = np.argwhere(bad)
    return None if not len(places) else f"at {tuple(map(int, places[0]))} got {got[tuple(places[0])]!r}, not {want[tuple(places[0])]!r}"


class Draw:
    """Shapes, arrays, axes and indices, drawn by a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def shape(self, least: int = 0, most: int = 5, smallest: int = 0, side: int = 3) -> tuple[int, ...]:
        rank = int(self.rng.integers(least, most + 1))
        sizes = [int(n) for n in self.rng.integers(1, side + 1, rank)]
        if smallest == 0 and rank and self.rng.random() < 0.2:
            sizes[int(self.rng.integers(rank))] = 0
        return tuple(sizes)

    def broadcastable(self, n: int = 2) -> list[tuple[int, ...]]:
        """Shapes that stretch to one."""
        full = self.shape(0, 4)
        made = []
        for _ in range(n):
            lead = int(self.rng.integers(0, len(full) + 1)) if self.rng.random() < 0.4 else 0
            made.append(tuple(1 if self.rng.random() < 0.25 else d for d in full[lead:]))
        return made

    def array(self, dtype: str, shape: tuple[int, ...], special: bool = True, low: float = -9, high: float = 9) -> np.ndarray:
        rng = self.rng
        if dtype == "bool":
            return np.asarray(rng.random(shape) < 0.5)
        if dtype in INTEGRAL:
            info = np.iinfo(dtype)
            made = rng.integers(max(int(low), info.min), int(high) + 1, shape)
            if special:
                fit = [w for w in WHOLE if info.min <= w <= info.max]
                made = np.where(rng.random(shape) < 0.3, rng.choice(fit, shape), made)
            return np.asarray(made).astype(dtype)
        made = rng.uniform(low, high, shape)
        if special:
            made = np.where(rng.random(shape) < 0.4, rng.choice(SPECIAL, shape), made)
        with np.errstate(all="ignore"):
            return np.asarray(made).astype(dtype)

    def axis(self, rank: int) -> int:
        return int(self.rng.integers(-rank, rank))

    def axes(self, rank: int, several: bool = True) -> Any:
        """None, one axis, or several, negative ones too."""
        kind = self.rng.random()
        if rank == 0 or kind < 0.25:
            return None
        if kind < 0.6 or not several:
            return self.axis(rank)
        chosen = self.rng.permutation(rank)[: int(self.rng.integers(0, rank + 1))]
        return tuple(int(k) - (rank if self.rng.random() < 0.5 else 0) for k in chosen)

    def one(self, items: Any) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def slice(self, n: int) -> slice:
        """A slice whose bounds lie in an axis, empty ones and ones that go backwards too."""
        ends: list[Any] = [None, None, *range(-n, n + 1)]
        step = self.one([None, 1, 1, 2, 3, -1, -2])
        start, stop = self.one(ends), self.one(ends)
        if step is not None and step < 0 and start == n:
            start = None
        return slice(start, stop, step)

    def key(self, shape: tuple[int, ...], arrays: bool = False) -> Any:
        """A basic index of an array, or one of whole numbers and arrays of them."""
        items: list[Any] = []
        used = int(self.rng.integers(0, len(shape) + 1)) if self.rng.random() < 0.5 else len(shape)
        dotted = used < len(shape) or self.rng.random() < 0.2
        at = int(self.rng.integers(0, used + 1))
        common = self.broadcastable(3) if arrays else []
        for k in range(used):
            axis = k if not dotted or k < at else k + len(shape) - used
            n = shape[axis]
            if arrays and n and self.rng.random() < 0.7:
                items.append(self.rng.integers(-n, n, self.one(common)))
            elif n and self.rng.random() < 0.35:
                items.append(int(self.rng.integers(-n, n)))
            else:
                items.append(self.slice(n))
        if dotted:
            items.insert(at, ...)
        for _ in range(int(self.rng.random() < 0.3)):
            items.insert(int(self.rng.integers(0, len(items) + 1)), None)
        return tuple(items) if len(items) != 1 or self.rng.random() < 0.5 else items[0]


def pairs(draw: Draw, dtypes: list[str], count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Two arrays whose shapes broadcast and whose dtypes promote within their kind."""
    kinds = [k for k in (BOOL, INTEGRAL, FLOATING) if any(d in dtypes for d in k)]
    for _ in range(count):
        kind = [d for d in draw.one(kinds) if d in dtypes]
        a, b = draw.broadcastable(2)
        yield draw.array(draw.one(kind), a), draw.array(draw.one(kind), b)


def given(x: Any) -> Any:
    """NumPy's arrays as arrays of the builder, in lists, indices and slices too."""
    if isinstance(x, np.ndarray | np.generic):
        return xp.asarray(x)
    return type(x)(map(given, x)) if isinstance(x, list | tuple) else x
