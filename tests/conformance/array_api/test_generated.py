"""Every function of the array API standard on generated arrays, against NumPy: dtypes, shapes, values, special values and the forms of arguments that the public suite draws."""

from __future__ import annotations

import operator
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import dfg_array_api as xp
from generated import ALL, BOOL, FLOATING, INTEGRAL, NUMERIC, Cases, Draw, given, pairs

COUNT = 16
"""Cases of each kind; more find no more than this did at 100."""
UNARY: dict[str, list[str]] = {
    **dict.fromkeys("abs ceil floor negative positive round sign square trunc".split(), NUMERIC),
    **dict.fromkeys("isfinite isinf isnan".split(), NUMERIC),
    **dict.fromkeys("acos acosh asin asinh atan atanh cos cosh exp expm1 log log10 log1p log2 reciprocal signbit sin sinh sqrt tan tanh".split(), FLOATING),
    "bitwise_invert": BOOL + INTEGRAL,
    "logical_not": BOOL,
}
BINARY: dict[str, list[str]] = {
    **dict.fromkeys("add floor_divide multiply pow remainder subtract".split(), NUMERIC),
    **dict.fromkeys("atan2 copysign divide hypot logaddexp nextafter".split(), FLOATING),
    **dict.fromkeys("greater greater_equal less less_equal maximum minimum".split(), NUMERIC),
    **dict.fromkeys("equal not_equal".split(), ALL),
    **dict.fromkeys("bitwise_and bitwise_or bitwise_xor".split(), BOOL + INTEGRAL),
    **dict.fromkeys("bitwise_left_shift bitwise_right_shift".split(), INTEGRAL),
    **dict.fromkeys("logical_and logical_or logical_xor".split(), BOOL),
}
OPERATORS: dict[str, Any] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "pow": operator.pow,
    "bitwise_and": operator.and_,
    "bitwise_or": operator.or_,
    "bitwise_xor": operator.xor,
    "bitwise_left_shift": operator.lshift,
    "bitwise_right_shift": operator.rshift,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "equal": operator.eq,
    "not_equal": operator.ne,
}
IN_PLACE: dict[str, Any] = {
    "add": operator.iadd,
    "subtract": operator.isub,
    "multiply": operator.imul,
    "divide": operator.itruediv,
    "floor_divide": operator.ifloordiv,
    "remainder": operator.imod,
    "pow": operator.ipow,
    "bitwise_and": operator.iand,
    "bitwise_or": operator.ior,
    "bitwise_xor": operator.ixor,
    "bitwise_left_shift": operator.ilshift,
    "bitwise_right_shift": operator.irshift,
}
PREFIX = {"negative": operator.neg, "positive": operator.pos, "abs": operator.abs, "bitwise_invert": operator.invert}


def seed(*words: str) -> int:
    return sum(ord(c) * (k + 1) for k, c in enumerate("/".join(words)))


def defined(name: str, a: Any, b: Any) -> tuple[Any, Any]:
    """Operands for which the standard says what comes out: whole numbers are not raised to negative powers or shifted by them."""
    if name in ("pow", "bitwise_left_shift", "bitwise_right_shift") and not isinstance(b, float) and np.asarray(b).dtype.kind in "iu":
        b = np.asarray(np.abs(np.asarray(b)) % 70).astype(np.asarray(b).dtype) if isinstance(b, np.ndarray | np.generic) else abs(b) % 70
    return a, b


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_array(name: str) -> None:
    draw, cases = Draw(seed(name)), Cases(exact=True)
    for _ in range(COUNT):
        x = draw.array(draw.one(UNARY[name]), draw.shape())
        cases.add(f"{name}({x!r})", lambda x=x: getattr(xp, name)(given(x)), lambda x=x: getattr(np, name)(x))
        if name in PREFIX:
            cases.add(f"operator {name}({x!r})", lambda x=x: PREFIX[name](given(x)), lambda x=x: PREFIX[name](x))
    cases.settle()


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_arrays(name: str) -> None:
    draw, cases = Draw(seed(name)), Cases(exact=True)
    for x, y in pairs(draw, BINARY[name], COUNT):
        a, b = defined(name, x, y)
        cases.add(f"{name}({a!r}, {b!r})", lambda a=a, b=b: getattr(xp, name)(given(a), given(b)), lambda a=a, b=b: getattr(np, name)(a, b))
        if name in OPERATORS:
            f = OPERATORS[name]
            cases.add(f"operator {name}({a!r}, {b!r})", lambda a=a, b=b, f=f: f(given(a), given(b)), lambda a=a, b=b, f=f: f(a, b))
        if name in IN_PLACE and np.result_type(a, b) == a.dtype and np.broadcast_shapes(a.shape, b.shape) == a.shape:
            g, f = IN_PLACE[name], OPERATORS[name]
            cases.add(f"in place {name}({a!r}, {b!r})", lambda a=a, b=b, g=g: g(given(a), given(b)), lambda a=a, b=b, f=f: np.asarray(f(a, b)))
    cases.settle()


def number(draw: Draw, dtype: str) -> Any:
    """A Python number that may stand beside an array of a dtype."""
    if dtype == "bool":
        return bool(draw.rng.random() < 0.5)
    if dtype in INTEGRAL:
        return int(draw.rng.integers(0 if dtype == "uint8" else -9, 10))
    return draw.one([0.0, -0.0, 1, 2, -1, 0.5, 3.7, -2.5, float("inf"), float("-inf"), float("nan"), 1e-3, 1e10])


@pytest.mark.parametrize("name", BINARY)
def test_python_numbers_as_operands(name: str) -> None:
    draw, cases = Draw(seed(name, "number")), Cases(exact=True)
    function = getattr(np, name)
    for k in range(COUNT):
        dtype = BINARY[name][k % len(BINARY[name])]
        x = draw.array(dtype, draw.shape(0, 3))
        n = number(draw, dtype)
        forms = [getattr(xp, name)] + ([OPERATORS[name]] if name in OPERATORS else [])
        for f in forms:
            a, b = defined(name, x, n)
            cases.add(f"{name}({a!r}, {b!r})", lambda f=f, a=a, b=b: f(given(a), b), lambda a=a, b=b: function(a, np.asarray(b, a.dtype)))
            a, b = defined(name, n, x)
            cases.add(f"{name}({a!r}, {b!r})", lambda f=f, a=a, b=b: f(a, given(b)), lambda a=a, b=b: function(np.asarray(a, b.dtype), b))
    cases.settle()


REDUCTIONS: dict[str, list[str]] = {
    **dict.fromkeys("max min".split(), NUMERIC),
    **dict.fromkeys("sum prod".split(), [d for d in NUMERIC if d != "uint8"]),
    **dict.fromkeys("mean std var".split(), FLOATING),
    **dict.fromkeys("all any count_nonzero".split(), ALL),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name: str) -> None:
    draw, cases = Draw(seed(name)), Cases(loose=4)
    for _ in range(2 * COUNT):
        dtype = draw.one(REDUCTIONS[name])
        shape = draw.shape()
        axis, options = draw.axes(len(shape)), {}
        axes = range(len(shape)) if axis is None else np.atleast_1d(axis)
        if 0 in [shape[int(k)] for k in axes] and name in ("max", "min", "mean", "std", "var"):
            continue
        x = draw.array(dtype, shape, special=name not in ("std", "var", "mean", "sum", "prod") or draw.rng.random() < 0.3)
        if dtype in FLOATING and name in ("sum", "prod", "mean", "std", "var"):
            x = np.where(np.isfinite(x) & (np.abs(x) > 1e3), 2, x).astype(dtype)  # sums in another order may differ by what cancels
        if name in ("sum", "prod") and draw.rng.random() < 0.3:
            options["dtype"] = draw.one(["float32", "float64"] if dtype in FLOATING else ["int64", "float64"])
        if name in ("std", "var"):
            options["correction"] = draw.one([0, 0.0, 1, 0.5])
            if np.prod([shape[int(k)] for k in axes]) <= options["correction"]:
                continue
        keep = bool(draw.rng.random() < 0.5)
        words = {k: getattr(xp, v) if k == "dtype" else v for k, v in options.items()}
        cases.add(
            f"{name}({x!r}, axis={axis}, keepdims={keep}, {options})",
            lambda x=x, a=axis, k=keep, w=words: getattr(xp, name)(given(x), axis=a, keepdims=k, **w),
            lambda x=x, a=axis, k=keep, w=options: getattr(np, name)(x, axis=a, keepdims=k, **w),
        )
    cases.settle()


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_places_of_extremes(name: str) -> None:
    draw, cases = Draw(seed(name)), Cases()
    for _ in range(COUNT):
        x = draw.array(draw.one(NUMERIC), draw.shape(smallest=1))
        axis, keep = draw.axes(x.ndim, several=False), bool(draw.rng.random() < 0.5)
        cases.add(f"{name}({x!r}, {axis}, {keep})", lambda x=x, a=axis, k=keep: getattr(xp, name)(given(x), axis=a, keepdims=k), lambda x=x, a=axis, k=keep: getattr(np, name)(x, axis=a, keepdims=k))
    cases.settle()


def sorted_(x: np.ndarray, axis: int, descending: bool) -> np.ndarray:
    made = np.sort(x, axis=axis)
    return np.flip(made, axis) if descending else made


def order(x: np.ndarray, axis: int, descending: bool) -> np.ndarray:
    """The stable order; NaN is the largest."""
    if not descending:
        return np.argsort(x, axis=axis, stable=True)
    n = x.shape[axis]
    return np.flip(n - 1 - np.argsort(np.flip(x, axis), axis=axis, stable=True), axis)


def test_sorting() -> None:
    draw, cases = Draw(3), Cases()
    for _ in range(2 * COUNT):
        x = draw.array(draw.one(NUMERIC), draw.shape(1))
        axis, down = draw.axis(x.ndim), bool(draw.rng.random() < 0.5)
        x = np.where(np.isnan(x), 0, x).astype(x.dtype) if down else x
        cases.add(f"sort({x!r}, {axis}, {down})", lambda x=x, a=axis, d=down: xp.sort(given(x), axis=a, descending=d), lambda x=x, a=axis, d=down: sorted_(x, a, d))
        cases.add(f"argsort({x!r}, {axis}, {down})", lambda x=x, a=axis, d=down: xp.argsort(given(x), axis=a, descending=d, stable=True), lambda x=x, a=axis, d=down: order(x, a, d))
    cases.settle()


def test_searching() -> None:
    draw, cases = Draw(4), Cases()
    for _ in range(COUNT):
        dtype = draw.one(NUMERIC)
        x = np.sort(draw.array(dtype, (int(draw.rng.integers(0, 6)),)))
        v = draw.array(dtype, draw.shape(0, 3))
        x, v = (np.where(np.isnan(a), 1, a).astype(dtype) for a in (x, v))
        side, mixed = draw.one(["left", "right"]), draw.rng.permutation(x.size)
        shuffled, sorter = x[mixed], np.argsort(mixed)
        cases.add(f"searchsorted({x!r}, {v!r}, {side})", lambda x=x, v=v, s=side: xp.searchsorted(given(x), given(v), side=s), lambda x=x, v=v, s=side: np.searchsorted(x, v, side=s))
        cases.add(
            f"searchsorted({shuffled!r}, {v!r}, {side}, sorter={sorter})",
            lambda x=shuffled, v=v, s=side, o=sorter: xp.searchsorted(given(x), given(v), side=s, sorter=given(o)),
            lambda x=shuffled, v=v, s=side, o=sorter: np.searchsorted(x, v, side=s, sorter=o),
        )
        a, b, c = draw.broadcastable(3)
        p, y, z = draw.array("bool", a), draw.array(dtype, b), draw.array(dtype, c)
        cases.add(f"where({p!r}, {y!r}, {z!r})", lambda p=p, y=y, z=z: xp.where(given(p), given(y), given(z)), lambda p=p, y=y, z=z: np.where(p, y, z))
        n = number(draw, dtype)
        cases.add(f"where({p!r}, {y!r}, {n!r})", lambda p=p, y=y, n=n: xp.where(given(p), given(y), n), lambda p=p, y=y, n=n: np.where(p, y, np.asarray(n, y.dtype)))
    cases.settle()


def test_clipping() -> None:
    draw, cases = Draw(5), Cases(exact=False)
    for _ in range(2 * COUNT):
        dtype = draw.one(NUMERIC)
        a, b, c = draw.broadcastable(3)
        x = draw.array(dtype, np.broadcast_shapes(a, b, c))
        bounds: list[Any] = [draw.one((None, number(draw, dtype), draw.array(dtype, s, special=False))) for s in (b, c)]
        if any(isinstance(m, float) and m != m for m in bounds):
            continue
        low, high = bounds
        if low is not None and high is not None and not np.all(np.asarray(low) <= np.asarray(high)):
            continue
        want = [None if m is None else np.asarray(m, dtype) for m in bounds]
        cases.add(f"clip({x!r}, {low!r}, {high!r})", lambda x=x, m=(low, high): xp.clip(given(x), *given(m)), lambda x=x, w=want: x if w[0] is None and w[1] is None else np.clip(x, *w))
        cases.add(f"clip({x!r}, min={low!r}, max={high!r})", lambda x=x, m=(low, high): xp.clip(given(x), min=given(m[0]), max=given(m[1])), lambda x=x, w=want: x if w[0] is None and w[1] is None else np.clip(x, *w))
    cases.settle()


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
def test_accumulation(name: str) -> None:
    draw, cases = Draw(seed(name)), Cases(loose=10)
    for _ in range(COUNT):
        x = draw.array(draw.one([d for d in NUMERIC if d != "uint8"]), draw.shape(1), special=False, low=-3, high=3)
        axis: Any = draw.axis(x.ndim)
        if x.ndim == 1 and draw.rng.random() < 0.5:
            axis = None
        first = bool(draw.rng.random() < 0.5)
        cases.add(f"{name}({x!r}, {axis}, {first})", lambda x=x, a=axis, i=first: getattr(xp, name)(given(x), axis=a, include_initial=i), lambda x=x, a=axis, i=first: getattr(np, name)(x, axis=a, include_initial=i))
        cases.add(f"{name}({x!r}, f64)", lambda x=x, a=axis: getattr(xp, name)(given(x), axis=a, dtype=xp.float64), lambda x=x, a=axis: getattr(np, name)(x, axis=a, dtype=np.float64))
    cases.settle()


def test_differences() -> None:
    draw, cases = Draw(6), Cases()
    for _ in range(2 * COUNT):
        x = draw.array(draw.one(NUMERIC), draw.shape(1, 4), special=False)
        axis, n = draw.axis(x.ndim), draw.one([0, 1, 1, 2, 3])
        extra = {}
        for word in ("prepend", "append"):
            if draw.rng.random() < 0.4:
                shape = list(x.shape)
                shape[axis] = draw.one([0, 1, 2])
                extra[word] = draw.array(str(x.dtype), tuple(shape), special=False)
        if n and x.shape[axis] + sum(e.shape[axis] for e in extra.values()) < 1:
            continue
        cases.add(f"diff({x!r}, {axis}, {n}, {extra})", lambda x=x, a=axis, n=n, e=extra: xp.diff(given(x), axis=a, n=n, **{k: given(v) for k, v in e.items()}), lambda x=x, a=axis, n=n, e=extra: np.diff(x, axis=a, n=n, **e))
    cases.settle()


def test_indexing() -> None:
    draw, cases = Draw(7), Cases()
    for k in range(5 * COUNT):
        x = draw.array(draw.one(ALL), draw.shape(0, 4), special=False)
        key = draw.key(x.shape, arrays=k % 3 == 0)
        cases.add(f"{x!r}[{key}]", lambda x=x, k=key: given(x)[given(k)], lambda x=x, k=key: x[k])
    cases.settle()


def assigned(x: Any, key: Any, value: Any) -> Any:
    x[key] = value
    return x


def test_assignment() -> None:
    draw, cases = Draw(8), Cases()
    for _ in range(3 * COUNT):
        dtype = draw.one(ALL)
        x = draw.array(dtype, draw.shape(0, 4), special=False)
        key = draw.key(x.shape)
        part = x[key].shape
        cut = int(draw.rng.integers(0, len(part) + 1))
        value: Any = draw.array(dtype, draw.one([part, (), tuple(1 if draw.rng.random() < 0.3 else d for d in part[cut:])]), special=False)
        if draw.rng.random() < 0.3:
            value = number(draw, dtype)
        cases.add(f"{x!r}[{key}] = {value!r}", lambda x=x, k=key, v=value: assigned(given(x), given(k), given(v)), lambda x=x, k=key, v=value: assigned(x.copy(), k, v))
    cases.settle()


def test_assignment_by_a_mask() -> None:
    draw, cases = Draw(9), Cases()
    for _ in range(COUNT):
        dtype = draw.one(ALL)
        x = draw.array(dtype, draw.shape(0, 4), special=False)
        key = draw.array("bool", x.shape if draw.rng.random() < 0.7 else x.shape[: int(draw.rng.integers(0, x.ndim + 1))])
        value: Any = draw.one([number(draw, dtype), draw.array(dtype, (), special=False)])
        cases.add(f"{x!r}[{key!r}] = {value!r}", lambda x=x, k=key, v=value: assigned(given(x), given(k), given(v)), lambda x=x, k=key, v=value: assigned(x.copy(), k, v))
    cases.settle()


def test_joining_and_splitting() -> None:
    draw, cases = Draw(10), Cases()
    for k in range(2 * COUNT):
        kind = draw.one([BOOL, INTEGRAL, FLOATING])
        shape = draw.shape(1, 4)
        axis: Any = draw.axis(len(shape))
        xs = []
        for _ in range(int(draw.rng.integers(1, 4))):
            own = list(shape)
            own[axis] = int(draw.rng.integers(0, 4))
            xs.append(draw.array(draw.one(kind), tuple(own)))
        form = tuple if k % 2 else list
        cases.add(f"concat({xs!r}, {axis})", lambda xs=xs, a=axis, f=form: xp.concat(f(given(xs)), axis=a), lambda xs=xs, a=axis: np.concat(xs, axis=a))
        cases.add(f"concat({xs!r}, None)", lambda xs=xs, f=form: xp.concat(f(given(xs)), axis=None), lambda xs=xs: np.concat(xs, axis=None))
        ys = [draw.array(draw.one(kind), shape) for _ in xs]
        at = draw.axis(len(shape) + 1)
        cases.add(f"stack({ys!r}, {at})", lambda ys=ys, a=at, f=form: xp.stack(f(given(ys)), axis=a), lambda ys=ys, a=at: np.stack(ys, axis=a))
        cases.add(f"unstack({ys[0]!r}, {axis})", lambda y=ys[0], a=axis: xp.unstack(given(y), axis=a), lambda y=ys[0], a=axis: np.unstack(y, axis=a))
    cases.settle()


def squeezable(draw: Draw) -> tuple[tuple[int, ...], Any]:
    shape = tuple(draw.one([0, 1, 1, 1, 2, 3]) for _ in range(int(draw.rng.integers(1, 5))))
    ones = [k for k, d in enumerate(shape) if d == 1]
    chosen = tuple(int(k) - (len(shape) if draw.rng.random() < 0.5 else 0) for k in draw.rng.permutation(ones)[: int(draw.rng.integers(0, len(ones) + 1))])
    return shape, chosen[0] if len(chosen) == 1 and draw.rng.random() < 0.5 else chosen


def factors(draw: Draw, n: int) -> tuple[int, ...]:
    """A shape of so many elements, one size of which may be -1."""
    made: list[int] = []
    rest = n
    for _ in range(int(draw.rng.integers(0, 4))):
        f = draw.one([d for d in range(1, rest + 1) if rest % d == 0]) if rest else draw.one([0, 1, 2])
        made.append(f)
        rest = rest // f if f else 0
    made.append(rest)
    if n and draw.rng.random() < 0.4:
        made[int(draw.rng.integers(len(made)))] = -1
    if n == 0 and 0 not in made:
        made.append(0)
    return tuple(made)


def test_shapes() -> None:
    draw, cases = Draw(11), Cases()
    for _ in range(COUNT):
        x = draw.array(draw.one(ALL), draw.shape())
        rank = x.ndim
        new = factors(draw, x.size)
        cases.add(f"reshape({x!r}, {new})", lambda x=x, n=new: xp.reshape(given(x), n), lambda x=x, n=new: np.reshape(x, n))
        cases.add(f"reshape({x!r}, {new}, copy)", lambda x=x, n=new: xp.reshape(given(x), n, copy=True), lambda x=x, n=new: np.reshape(x, n))
        perm = tuple(int(k) - (rank if draw.rng.random() < 0.3 else 0) for k in draw.rng.permutation(rank))
        cases.add(f"permute_dims({x!r}, {perm})", lambda x=x, p=perm: xp.permute_dims(given(x), p), lambda x=x, p=perm: np.transpose(x, p))
        cases.add(f"permute_dims({x!r}, axes={perm})", lambda x=x, p=perm: xp.permute_dims(given(x), axes=p), lambda x=x, p=perm: np.transpose(x, p))
        at = draw.axis(rank + 1)
        cases.add(f"expand_dims({x!r}, {at})", lambda x=x, a=at: xp.expand_dims(given(x), axis=a), lambda x=x, a=at: np.expand_dims(x, a))
        axes = draw.axes(rank)
        cases.add(f"flip({x!r}, {axes})", lambda x=x, a=axes: xp.flip(given(x), axis=a), lambda x=x, a=axes: np.flip(x, a))
        moves: Any = int(draw.rng.integers(-5, 6)) if not isinstance(axes, tuple) else tuple(int(s) for s in draw.rng.integers(-5, 6, len(axes)))
        cases.add(f"roll({x!r}, {moves}, {axes})", lambda x=x, s=moves, a=axes: xp.roll(given(x), s, axis=a), lambda x=x, s=moves, a=axes: np.roll(x, s, a))
        if rank:
            i, j = draw.axis(rank), draw.axis(rank)
            cases.add(f"moveaxis({x!r}, {i}, {j})", lambda x=x, i=i, j=j: xp.moveaxis(given(x), i, j), lambda x=x, i=i, j=j: np.moveaxis(x, i, j))
            p, q = (tuple(int(k) for k in draw.rng.permutation(rank)[: max(1, rank - 1)]) for _ in range(2))
            cases.add(f"moveaxis({x!r}, {p}, {q})", lambda x=x, p=p, q=q: xp.moveaxis(given(x), p, q), lambda x=x, p=p, q=q: np.moveaxis(x, p, q))
        if rank >= 2:
            cases.add(f"matrix_transpose({x!r})", lambda x=x: xp.matrix_transpose(given(x)), lambda x=x: np.matrix_transpose(x))
            cases.add(f"mT({x!r})", lambda x=x: given(x).mT, lambda x=x: x.mT)
            k = int(draw.rng.integers(-4, 5))
            for name in ("tril", "triu"):
                cases.add(f"{name}({x!r}, {k})", lambda x=x, k=k, n=name: getattr(xp, n)(given(x), k=k), lambda x=x, k=k, n=name: getattr(np, n)(x, k=k))
        if rank == 2:
            cases.add(f"T({x!r})", lambda x=x: given(x).T, lambda x=x: x.T)
        shape, chosen = squeezable(draw)
        y = draw.array(str(x.dtype), shape)
        cases.add(f"squeeze({y!r}, {chosen})", lambda y=y, a=chosen: xp.squeeze(given(y), axis=a), lambda y=y, a=chosen: np.squeeze(y, a))
        reps = tuple(int(n) for n in draw.rng.integers(0, 3, int(draw.rng.integers(0, 5))))
        cases.add(f"tile({y!r}, {reps})", lambda y=y, r=reps: xp.tile(given(y), r), lambda y=y, r=reps: np.tile(y, r))
        along = draw.axes(y.ndim, several=False)
        times = int(draw.rng.integers(0, 4))
        cases.add(f"repeat({y!r}, {times}, {along})", lambda y=y, n=times, a=along: xp.repeat(given(y), n, axis=a), lambda y=y, n=times, a=along: np.repeat(y, n, axis=a))
        a, b = draw.broadcastable(2)
        v, w = draw.array(str(x.dtype), a), draw.array(draw.one(ALL), b)
        full = np.broadcast_shapes(a, b)
        cases.add(f"broadcast_to({v!r}, {full})", lambda v=v, s=full: xp.broadcast_to(given(v), s), lambda v=v, s=full: np.broadcast_to(v, s))
        cases.add(f"broadcast_arrays({v!r}, {w!r})", lambda v=v, w=w: xp.broadcast_arrays(given(v), given(w)), lambda v=v, w=w: np.broadcast_arrays(v, w))
    cases.settle()


def test_taking() -> None:
    draw, cases = Draw(12), Cases()
    for _ in range(2 * COUNT):
        x = draw.array(draw.one(ALL), draw.shape(1, 4, smallest=1))
        axis = draw.axis(x.ndim)
        index = draw.rng.integers(-x.shape[axis], x.shape[axis], int(draw.rng.integers(0, 4))).astype(draw.one(["int32", "int64"]))
        cases.add(f"take({x!r}, {index!r}, {axis})", lambda x=x, i=index, a=axis: xp.take(given(x), given(i), axis=a), lambda x=x, i=index, a=axis: np.take(x, i, a))
        if x.ndim == 1:
            cases.add(f"take({x!r}, {index!r})", lambda x=x, i=index: xp.take(given(x), given(i)), lambda x=x, i=index: np.take(x, i))
        shape = list(x.shape)
        shape[axis] = int(draw.rng.integers(0, 4))
        shape = [1 if k != axis % x.ndim and draw.rng.random() < 0.2 else d for k, d in enumerate(shape)]
        places = draw.rng.integers(-x.shape[axis], x.shape[axis], shape)
        cases.add(f"take_along_axis({x!r}, {places!r}, {axis})", lambda x=x, i=places, a=axis: xp.take_along_axis(given(x), given(i), axis=a), lambda x=x, i=places, a=axis: np.take_along_axis(x, i, a))
    cases.settle()


def test_creation() -> None:
    draw, cases = Draw(13), Cases()
    for _ in range(COUNT):
        dtype = draw.one(ALL)
        d, shape = getattr(xp, dtype), draw.shape()
        size: Any = draw.one([shape, shape, 3, 0])
        for name in ("zeros", "ones"):
            cases.add(f"{name}({size}, {dtype})", lambda s=size, d=d, n=name: getattr(xp, n)(s, dtype=d, device="dfg"), lambda s=size, d=dtype, n=name: getattr(np, n)(s, d))
            cases.add(f"{name}({size})", lambda s=size, n=name: getattr(xp, n)(s, dtype=None), lambda s=size, n=name: getattr(np, n)(s))
        n = number(draw, dtype)
        cases.add(f"full({size}, {n!r}, {dtype})", lambda s=size, n=n, d=d: xp.full(s, n, dtype=d), lambda s=size, n=n, d=dtype: np.full(s, n, d))
        cases.add(f"full({size}, {n!r})", lambda s=size, n=n: xp.full(s, n), lambda s=size, n=n: np.full(s, n))
        x, other = draw.array(dtype, shape), draw.one(ALL)
        if np.isfinite(x.astype(float)).all() or other in ("bool", *FLOATING):
            small = x if other in ("bool", *FLOATING) or dtype == "bool" else np.abs(x.astype(float) % 100).astype(dtype)
            cases.add(f"astype({small!r}, {other})", lambda x=small, o=other: xp.astype(given(x), getattr(xp, o)), lambda x=small, o=other: x.astype(o))
            cases.add(f"asarray({small!r}, {other})", lambda x=small, o=other: xp.asarray(given(x), dtype=getattr(xp, o), copy=True), lambda x=small, o=other: x.astype(o))
        for name in ("zeros_like", "ones_like"):
            cases.add(f"{name}({x!r})", lambda x=x, n=name: getattr(xp, n)(given(x)), lambda x=x, n=name: getattr(np, n)(x))
            cases.add(f"{name}({x!r}, {other})", lambda x=x, n=name, o=other: getattr(xp, n)(given(x), dtype=getattr(xp, o), device="dfg"), lambda x=x, n=name, o=other: getattr(np, n)(x, o))
        cases.add(f"full_like({x!r}, {n!r})", lambda x=x, n=n: xp.full_like(given(x), n), lambda x=x, n=n: np.full_like(x, n))
        rows, columns, k = (int(i) for i in (draw.rng.integers(0, 5), draw.rng.integers(0, 5), draw.rng.integers(-6, 7)))
        cases.add(f"eye({rows}, {columns}, {k}, {dtype})", lambda a=(rows, columns), k=k, d=d: xp.eye(*a, k=k, dtype=d), lambda a=(rows, columns), k=k, d=dtype: np.eye(*a, k=k, dtype=d))
        cases.add(f"eye({rows})", lambda n=rows: xp.eye(n), lambda n=rows: np.eye(n))
        vectors = [draw.array(dtype, (int(draw.rng.integers(0, 4)),)) for _ in range(int(draw.rng.integers(1, 4)))]
        for indexing in ("xy", "ij"):
            cases.add(f"meshgrid({vectors!r}, {indexing})", lambda v=vectors, i=indexing: xp.meshgrid(*given(v), indexing=i), lambda v=vectors, i=indexing: np.meshgrid(*v, indexing=i))
    cases.settle()


def test_ranges() -> None:
    draw, cases = Draw(14), Cases(loose=10)
    for _ in range(3 * COUNT):
        whole = draw.rng.random() < 0.6
        pick = (lambda a, b: int(draw.rng.integers(a, b))) if whole else (lambda a, b: float(np.round(draw.rng.uniform(a, b), 2)))
        start, stop, step = pick(-9, 9), pick(-9, 9), pick(1, 4) * draw.one([1, -1])
        for args in ((start,), (start, stop), (start, stop, step)):
            if abs(args[0]) < 1e-9 and len(args) == 1:
                continue
            cases.add(f"arange{args}", lambda a=args: xp.arange(*a), lambda a=args: np.arange(*a))
            dtype = draw.one(["float32", "float64"] if not whole else ["int32", "int64", "float32", "float64"])
            cases.add(f"arange{args}, {dtype}", lambda a=args, d=dtype: xp.arange(*a, dtype=getattr(xp, d)), lambda a=args, d=dtype: np.arange(*a, dtype=d))
        n, end = int(draw.rng.integers(0, 8)), bool(draw.rng.random() < 0.7)
        dtype = draw.one(FLOATING)
        a, b = float(draw.rng.uniform(-1e3, 1e3)), draw.one([start, float(draw.rng.uniform(-1e3, 1e3))])
        cases.add(f"linspace({a}, {b}, {n}, {dtype}, {end})", lambda a=a, b=b, n=n, d=dtype, e=end: xp.linspace(a, b, n, dtype=getattr(xp, d), endpoint=e), lambda a=a, b=b, n=n, d=dtype, e=end: np.linspace(a, b, n, dtype=d, endpoint=e))
        cases.add(f"linspace({start}, {stop}, num={n})", lambda a=start, b=stop, n=n: xp.linspace(a, b, num=n), lambda a=start, b=stop, n=n: np.linspace(a, b, num=n))
    cases.settle()


def test_products() -> None:
    draw, cases = Draw(15), Cases(loose=10)
    for _ in range(2 * COUNT):
        kind = draw.one([INTEGRAL, FLOATING])
        a, b = draw.one(kind), draw.one(kind)
        i, j, k = (int(n) for n in draw.rng.integers(0, 4, 3))
        lead = draw.broadcastable(2)
        left, right = draw.one([((j,), (j,)), ((*lead[0], i, j), (j,)), ((j,), (*lead[1], j, k)), ((*lead[0], i, j), (*lead[1], j, k))])
        x, y = draw.array(a, left, special=False), draw.array(b, right, special=False)
        for f, g in ((xp.matmul, np.matmul), (xp.linalg.matmul, np.matmul), (operator.matmul, np.matmul)):
            cases.add(f"matmul({x!r}, {y!r})", lambda x=x, y=y, f=f: f(given(x), given(y)), lambda x=x, y=y, g=g: g(x, y))
        shapes = draw.broadcastable(2)
        axis = -int(draw.rng.integers(1, min(map(len, shapes)) + 2))
        n = draw.one([0, 1, 3])
        u, v = (draw.array(d, (*s[: len(s) + axis + 1], n, *s[len(s) + axis + 1 :]), special=False) for s, d in zip(shapes, (a, b), strict=True))
        try:
            np.broadcast_shapes(u.shape, v.shape)
        except ValueError:
            continue
        for home in (xp, xp.linalg):
            cases.add(f"vecdot({u!r}, {v!r}, {axis})", lambda u=u, v=v, k=axis, h=home: h.vecdot(given(u), given(v), axis=k), lambda u=u, v=v, k=axis: np.linalg.vecdot(u, v, axis=k))
        s, t = draw.array(a, draw.shape(0, 3), special=False), None
        summed = int(draw.rng.integers(0, s.ndim + 1))
        tail = draw.shape(0, 2)
        t = draw.array(b, (*s.shape[s.ndim - summed :], *tail), special=False)
        for home in (xp, xp.linalg):
            cases.add(f"tensordot({s!r}, {t!r}, {summed})", lambda s=s, t=t, n=summed, h=home: h.tensordot(given(s), given(t), axes=n), lambda s=s, t=t, n=summed: np.tensordot(s, t, axes=n))
        first = [int(k) for k in draw.rng.permutation(s.ndim)[:summed]]
        second = list(range(summed))
        t2 = draw.array(b, (*[s.shape[k] for k in first], *tail), special=False)
        second = [k - t2.ndim if draw.rng.random() < 0.4 else k for k in second]
        cases.add(f"tensordot({s!r}, {t2!r}, ({first}, {second}))", lambda s=s, t=t2, p=first, q=second: xp.tensordot(given(s), given(t), axes=(p, q)), lambda s=s, t=t2, p=first, q=second: np.tensordot(s, t, axes=(p, q)))
    cases.settle()


def test_the_extension_linalg() -> None:
    draw, cases = Draw(16), Cases(loose=1e3)
    for _ in range(COUNT):
        dtype = draw.one(FLOATING)
        lead = draw.shape(0, 2, smallest=0)
        n, m = int(draw.rng.integers(1, 4)), int(draw.rng.integers(1, 4))
        a = draw.array(dtype, (*lead, n, n), special=False, low=-1, high=1) + (3 * np.eye(n)).astype(dtype)
        s = np.asarray(a @ np.swapaxes(a, -1, -2))
        b = draw.array(dtype, (*lead, n, m), special=False)
        v = draw.array(dtype, (n,), special=False)
        la, ls, lb = "a", "s", "b"
        for name in ("det", "inv", "slogdet"):
            cases.add(f"{name}({a!r})", lambda a=a, f=name: getattr(xp.linalg, f)(given(a)), lambda a=a, f=name: tuple(r) if isinstance(r := getattr(np.linalg, f)(a), tuple) else r)
        cases.add(f"solve({la})", lambda a=a, b=b: xp.linalg.solve(given(a), given(b)), lambda a=a, b=b: np.linalg.solve(a, b))
        cases.add(f"solve({a.shape}, {v.shape})", lambda a=a, v=v: xp.linalg.solve(given(a), given(v)), lambda a=a, v=v: np.linalg.solve(a, np.broadcast_to(v[:, None], (*a.shape[:-1], 1)))[..., 0])
        cases.add(f"cholesky({ls})", lambda s=s: xp.linalg.cholesky(given(s)), lambda s=s: np.linalg.cholesky(s))
        cases.add(f"cholesky({ls}, upper)", lambda s=s: xp.linalg.cholesky(given(s), upper=True), lambda s=s: np.swapaxes(np.linalg.cholesky(s), -1, -2))
        cases.add(f"eigvalsh({ls})", lambda s=s: xp.linalg.eigvalsh(given(s)), lambda s=s: np.linalg.eigvalsh(s))
        cases.add(f"eigh({ls})", lambda s=s: (e := xp.linalg.eigh(given(s))).eigenvectors * xp.expand_dims(e.eigenvalues, axis=-2) @ e.eigenvectors.mT, lambda s=s: s)
        cases.add(f"svdvals({lb})", lambda b=b: xp.linalg.svdvals(given(b)), lambda b=b: np.linalg.svd(b, compute_uv=False))
        cases.add(f"svd({lb})", lambda b=b: (w := xp.linalg.svd(given(b), full_matrices=False)).U * xp.expand_dims(w.S, axis=-2) @ w.Vh, lambda b=b: b)
        cases.add(f"qr({lb})", lambda b=b: (w := xp.linalg.qr(given(b))).Q @ w.R, lambda b=b: b)
        cases.add(f"qr({lb}, mode)", lambda b=b: xp.abs(xp.linalg.qr(given(b), mode="reduced").R), lambda b=b: np.abs(np.linalg.qr(b).R))
        cases.add(f"pinv({lb})", lambda b=b: xp.linalg.pinv(given(b)), lambda b=b: np.linalg.pinv(b))
        cases.add(f"pinv({la}, rtol)", lambda a=a: xp.linalg.pinv(given(a), rtol=1e-6), lambda a=a: np.linalg.pinv(a, rtol=1e-6))
        cases.add(f"matrix_rank({lb})", lambda b=b: xp.linalg.matrix_rank(given(b)), lambda b=b: np.asarray(np.linalg.matrix_rank(b)).astype(np.int64))
        cases.add(f"matrix_rank({lb}, rtol)", lambda b=b: xp.linalg.matrix_rank(given(b), rtol=0.5), lambda b=b: np.asarray(np.linalg.matrix_rank(b, rtol=0.5)).astype(np.int64))
        for power in (0, 1, 3, -2):
            cases.add(f"matrix_power({la}, {power})", lambda a=a, p=power: xp.linalg.matrix_power(given(a), p), lambda a=a, p=power: np.linalg.matrix_power(a, p))
        offset = int(draw.rng.integers(-4, 5))
        cases.add(f"diagonal({b!r}, {offset})", lambda b=b, k=offset: xp.linalg.diagonal(given(b), offset=k), lambda b=b, k=offset: np.linalg.diagonal(b, offset=k))
        cases.add(f"trace({b!r}, {offset})", lambda b=b, k=offset: xp.linalg.trace(given(b), offset=k), lambda b=b, k=offset: np.linalg.trace(b, offset=k))
        w = draw.array(draw.one(["int32", "int64"]), b.shape, special=False)
        cases.add(f"trace({w!r}, {offset})", lambda b=w, k=offset: xp.linalg.trace(given(b), offset=k), lambda b=w, k=offset: np.linalg.trace(b, offset=k))
        cases.add(f"trace({w!r}, dtype)", lambda b=w: xp.linalg.trace(given(b), dtype=xp.float64), lambda b=w: np.linalg.trace(b, dtype=np.float64))
        p, q = draw.array(dtype, (n,), special=False), draw.array(dtype, (m,), special=False)
        cases.add(f"outer({p!r}, {q!r})", lambda p=p, q=q: xp.linalg.outer(given(p), given(q)), lambda p=p, q=q: np.outer(p, q))
        axis = draw.one([-1, 0])
        c, d = (draw.array(dtype, (3, 2)[:: -1 if axis == -1 else 1], special=False) for _ in range(2))
        cases.add(f"cross({c!r}, {d!r}, {axis})", lambda c=c, d=d, k=axis: xp.linalg.cross(given(c), given(d), axis=k), lambda c=c, d=d, k=axis: np.linalg.cross(c, d, axis=k))
        for kind in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
            keep = bool(draw.rng.random() < 0.5)
            cases.add(f"matrix_norm({lb}, {kind}, {keep})", lambda b=b, o=kind, k=keep: xp.linalg.matrix_norm(given(b), ord=o, keepdims=k), lambda b=b, o=kind, k=keep: np.linalg.matrix_norm(b, ord=o, keepdims=k))
        for kind in (0, 1, 2, 3, 0.5, -1, np.inf, -np.inf):
            keep, axes = bool(draw.rng.random() < 0.5), draw.axes(b.ndim)
            if axes == () or (kind in (np.inf, -np.inf, -1) and b.size == 0):
                continue
            cases.add(f"vector_norm({b!r}, {kind}, {axes}, {keep})", lambda b=b, o=kind, k=keep, a=axes: xp.linalg.vector_norm(given(b), ord=o, keepdims=k, axis=a), lambda b=b, o=kind, k=keep, a=axes: np.linalg.vector_norm(b, ord=o, keepdims=k, axis=a))
    cases.settle()
