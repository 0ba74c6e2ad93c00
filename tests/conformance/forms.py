"""Many forms of each op: ranks 0 to 4, empty and size-1 axes, broadcasting, negative axes, keepdims, f32, integers, special values.

`forms(op, rng)` gives (inputs, attributes, the inputs that it varies smoothly with); empty for ops that have a few fixed forms in the corpus only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Form = tuple[dict[str, Any], dict[str, Any], list[str]]
SHAPES: list[tuple[int, ...]] = [(), (1,), (3,), (0,), (2, 3), (1, 3), (0, 2), (2, 3, 2), (1, 2, 1), (2, 1, 3, 2)]
SPECIAL = np.array([0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-308, 1e308, -1e308, 1e-20, -1e-20, 50, -50, 700, -700, 0.5, -0.5, 1.5, 2.5])
Rng = np.random.Generator
TABLE: dict[str, Callable[[str, Rng], Iterator[Form]]] = {}

UNARY: dict[str, tuple[float, float]] = {
    name: (low, high)
    for names, low, high in [
        ("abs relu softsign tanhshrink square expm1 exp exp2 neg nan_to_num sinh cosh tanh elu celu selu leaky_relu positive rad2deg isnan isfinite isinf signbit sign", -3, 3),
        ("sin cos atan asinh silu mish gelu sigmoid logsigmoid softplus hardsigmoid hardswish hardtanh relu6 erf ndtr frac floor ceil trunc round sinc deg2rad", -5, 5),
        ("log log2 log10 sqrt rsqrt entr reciprocal polygamma", 0.2, 4),
        ("asin acos atanh erfinv tan", -0.9, 0.9),
        ("logit ndtri", 0.05, 0.95),
        ("acosh", 1.2, 5),
        ("log1p", -0.9, 4),
        ("lgamma digamma", 0.2, 9),
        ("mvlgamma", 2.2, 9),
        ("erfc erfcx log_ndtr i0 i0e i1", -3, 5),
        ("softshrink hardshrink", -2, 2),
    ]
    for name in names.split()
}
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "round": [{}, {"decimals": 2}, {"decimals": -1}],
    "polygamma": [{"n": n} for n in (0, 1, 3)],
    "softplus": [{}, {"beta": 3, "threshold": 0.2}],
    "gelu": [{"approximate": "none"}, {"approximate": "tanh"}],
    "elu": [{}, {"alpha": 0.4}],
    "celu": [{}, {"alpha": 1.7}],
    "leaky_relu": [{"negative_slope": 0.3}],
    "hardtanh": [{}, {"min_val": -0.5, "max_val": 0.3}],
    "softshrink": [{}, {"lambd": 0.0}],
    "hardshrink": [{"lambd": 0.2}],
    "logit": [{}, {"eps": 0.1}],
    "nan_to_num": [{}, {"nan": 1.5, "posinf": 7.0, "neginf": -3.0}],
    "mvlgamma": [{"p": 1}, {"p": 3}],
}
# Where SciPy gives NaN or an infinity for what has a finite or infinite value.
NO_SPECIAL = {"i0", "i1", "lgamma", "mvlgamma", "logical_not"}
BINARY = (
    "add sub mul div floor_divide remainder fmod pow maximum minimum fmax fmin atan2 hypot logaddexp logaddexp2 copysign xlogy xlog1py heaviside eq ne lt le gt ge ldexp lerp isclose"
).split()
POSITIVE = {"pow", "xlogy", "xlog1py", "div", "fmod", "remainder", "floor_divide", "atan2"}
FLAT = {"heaviside", "floor_divide", "eq", "ne", "lt", "le", "gt", "ge", "isclose", "sign", "floor", "ceil", "trunc", "round", "isnan", "isfinite", "isinf", "signbit"}


def draw(rng: Rng, shape: tuple[int, ...], low: float = -2, high: float = 2, dtype: Any = np.float64) -> np.ndarray:
    return np.asarray(rng.uniform(low, high, shape)).astype(dtype)


def family(*names: str) -> Callable[[Callable[[str, Rng], Iterator[Form]]], Callable[[str, Rng], Iterator[Form]]]:
    def declare(f: Callable[[str, Rng], Iterator[Form]]) -> Callable[[str, Rng], Iterator[Form]]:
        for name in names:
            TABLE[name] = f
        return f

    return declare


@family(*UNARY)
def unary(op: str, rng: Rng) -> Iterator[Form]:
    low, high = UNARY[op]
    smooth = [] if op in FLAT else ["x"]
    for attrs in SETTINGS.get(op, [{}]):
        for s in SHAPES:
            yield {"x": draw(rng, s, low, high)}, attrs, smooth
        yield {"x": draw(rng, (3, 2), low, high, np.float32)}, attrs, []
        if op not in NO_SPECIAL:
            yield {"x": SPECIAL}, attrs, []


def two_shapes(rng: Rng) -> tuple[tuple[int, ...], tuple[int, ...]]:
    s = SHAPES[rng.integers(len(SHAPES))]
    t = tuple(1 if rng.random() < 0.3 else d for d in s)[rng.integers(0, len(s) + 1) :]
    return (s, t) if rng.random() < 0.5 else (t, s)


@family(*BINARY)
def binary(op: str, rng: Rng) -> Iterator[Form]:
    low, high = (0.3, 3) if op in POSITIVE else (-2, 2)
    attrs = {"weight": 0.3} if op == "lerp" else {}
    for k in range(8):
        s, t = two_shapes(rng)
        dtype = np.float32 if k == 7 else np.float64
        more = {"alpha": -1.5} if op in ("add", "sub") and k % 3 == 0 else {}
        smooth = [] if k == 7 or op in FLAT else ["x", "y"]
        yield {"x": draw(rng, s, low, high, dtype), "y": draw(rng, t, low, high, dtype)}, {**attrs, **more}, smooth
    if op in ("add", "sub", "mul", "floor_divide", "remainder", "fmod", "maximum", "minimum", "eq", "lt", "ge"):
        yield {"x": rng.integers(-5, 6, (2, 3)), "y": rng.integers(1, 5, (3,))}, {}, []
    if op not in ("lerp", "isclose"):
        grid = np.array(list(itertools.product(SPECIAL[:9], SPECIAL[:9]))).T
        yield {"x": grid[0].copy(), "y": grid[1].copy()}, {}, []


def axes_of(rank: int, rng: Rng, several: bool) -> Iterator[Any]:
    yield None
    yield from range(-rank, rank)
    for k in range(1, rank + 1) if several else ():
        for c in itertools.combinations(range(rank), k):
            yield [a - rank if rng.random() < 0.4 else a for a in c]


@family("sum", "mean", "max", "min", "any", "all", "nansum", "prod", "logsumexp", "var", "std", "vector_norm", "count_nonzero", "argmax", "argmin")
def reduction(op: str, rng: Rng) -> Iterator[Form]:
    for s in SHAPES:
        for axis in axes_of(len(s), rng, op not in ("argmax", "argmin")):
            gone = [s[i] for i in (range(len(s)) if axis is None else [axis] if isinstance(axis, int) else axis)]
            if 0 in gone and op in ("max", "min", "argmax", "argmin", "vector_norm"):
                continue
            if op == "logsumexp" and 0 in s:
                continue  # SciPy fails there
            x = draw(rng, s)
            if op == "nansum":
                x = np.where(rng.random(s) < 0.3, np.nan, x)
            attrs: dict[str, Any] = {"axis": axis}
            if op != "count_nonzero":
                attrs["keepdims"] = bool(rng.random() < 0.5)
            count = int(np.prod(gone))
            if op in ("var", "std"):
                attrs["correction"] = int(rng.integers(0, 2))
            if op == "vector_norm":
                attrs["ord"] = [2, 1, math.inf, -math.inf, 0, 3, 0.5, -1, 2.5][rng.integers(9)]
            flat = op in ("any", "all", "count_nonzero", "argmax", "argmin") or (op in ("var", "std") and count < 3) or 0 in gone
            yield {"x": x}, attrs, [] if flat else ["x"]
    if op in ("sum", "prod", "max", "min", "argmax", "count_nonzero"):
        for dtype in (np.int64, np.int32, np.bool_):
            yield {"x": rng.integers(0, 3, (2, 3)).astype(dtype)}, {"axis": 1}, []


@family("cumsum", "cumprod", "logcumsumexp", "cummax", "softmax", "log_softmax")
def along(op: str, rng: Rng) -> Iterator[Form]:
    for s in SHAPES:
        for axis in range(-len(s), len(s)) if s else [0]:
            if 0 not in s:
                yield {"x": draw(rng, s)}, {"axis": axis}, ["x"]


BOXES: list[tuple[int, ...]] = [(4,), (2, 3), (2, 3, 2)]


@family(
    "diff", "sort", "argsort", "topk", "quantile", "median_lower", "unstack", "split", "chunk", "roll", "repeat", "expand_dims", "sliding_window", "normalize", "flip", "glu",
    "take_along_axis", "gather", "scatter_add", "scatter_set", "take", "index_add",
)  # fmt: skip
def on_axis(op: str, rng: Rng) -> Iterator[Form]:
    for s in BOXES:
        for a in range(-len(s), len(s)):
            x = draw(rng, s)
            n = s[a]
            wide = tuple(4 if i == a % len(s) else d for i, d in enumerate(s))
            narrow = [max(1, d - 1) for d in s]
            match op:
                case "diff":
                    for k in (0, 1, 2):
                        yield {"x": x}, {"n": k, "axis": a}, ["x"]
                case "sort" | "argsort":
                    for down in (False, True):
                        yield {"x": x}, {"axis": a, "descending": down}, ["x"] if op == "sort" else []
                        yield {"x": np.round(x)}, {"axis": a, "descending": down}, []
                case "topk":
                    yield {"x": x}, {"k": 2, "axis": a, "largest": bool(rng.random() < 0.5)}, ["x"]
                case "quantile":
                    yield {"x": x}, {"q": 0.3, "axis": a}, ["x"]
                case "split":
                    for size in (1, 2, [1, n - 1]):
                        yield {"x": x}, {"size": size, "axis": a}, ["x"]
                case "chunk":
                    for k in (1, 2, 3):
                        yield {"x": x}, {"n": k, "axis": a}, ["x"]
                case "roll":
                    yield {"x": x}, {"shift": int(rng.integers(-5, 6)), "axis": a}, ["x"]
                    yield {"x": x}, {"shift": 3}, ["x"]
                case "repeat":
                    yield {"x": x}, {"repeats": 2, "axis": a}, ["x"]
                    yield {"x": x}, {"repeats": [int(v) for v in rng.integers(0, 3, n)], "axis": a}, ["x"]
                case "sliding_window":
                    yield {"x": x}, {"axis": a, "size": 2, "step": int(rng.integers(1, 3))}, ["x"]
                case "normalize":
                    yield {"x": x}, {"p": [1.0, 2.0, 3.0, math.inf][rng.integers(4)], "axis": a}, ["x"]
                case "flip":
                    yield {"x": x}, {"axis": [a]}, ["x"]
                case "glu":
                    if n % 2 == 0:
                        yield {"x": x}, {"axis": a}, ["x"]
                case "take_along_axis":
                    yield {"x": x, "index": rng.integers(-n, n, wide)}, {"axis": a}, ["x"]
                case "gather":
                    yield {"x": x, "index": rng.integers(0, n, wide)}, {"axis": a}, ["x"]
                    yield {"x": x, "index": rng.integers(0, n, narrow)}, {"axis": a}, ["x"]
                case "scatter_add":
                    yield {"x": x, "index": rng.integers(0, n, narrow), "src": draw(rng, s)}, {"axis": a}, ["x", "src"]
                case "scatter_set":
                    yield {"x": x, "index": np.argsort(rng.random(s), a), "src": draw(rng, s)}, {"axis": a}, ["x", "src"]
                case "take":
                    yield {"x": x, "index": rng.integers(-n, n, (2, 2))}, {"axis": a}, ["x"]
                case "index_add":
                    rows = tuple(3 if i == a % len(s) else d for i, d in enumerate(s))
                    yield {"x": x, "index": rng.integers(0, n, (3,)), "src": draw(rng, rows)}, {"axis": a, "alpha": -2}, ["x", "src"]
                case _:
                    yield {"x": x}, {"axis": a}, ["x"]


@family("tril", "triu", "diagonal", "diag", "diag_embed", "rot90", "trace")
def by_place(op: str, rng: Rng) -> Iterator[Form]:
    for s in [(3,), (2, 3), (3, 2), (0, 3), (2, 2, 3)]:
        x = draw(rng, s)
        for k in (-2, -1, 0, 1, 2):
            if op in ("tril", "triu") and len(s) > 1:
                yield {"x": x}, {"k": k}, ["x"]
            if op == "diagonal" and len(s) > 1 and abs(k) < 2:
                yield {"x": x}, {"offset": k, "axis1": -1, "axis2": -2}, ["x"]
            if op == "diag" and len(s) < 3:
                yield {"x": x}, {"k": k}, ["x"]
            if op == "diag_embed":
                yield {"x": x}, {"offset": k}, ["x"]
                yield {"x": x}, {"offset": k, "axis1": 0, "axis2": 1}, ["x"]
            if op == "rot90" and len(s) > 1:
                yield {"x": x}, {"k": k, "axes": [1, 0]}, ["x"]
        if op == "trace" and len(s) == 2:
            yield {"x": x}, {}, ["x"]


@family("pad", "tile", "clip", "tensordot", "kron", "outer", "dot", "matmul", "cdist", "cross_entropy", "nll_loss", "getitem", "setitem")
def others(op: str, rng: Rng) -> Iterator[Form]:
    match op:
        case "pad":
            for s in BOXES:
                for mode in ("constant", "reflect", "edge", "wrap"):
                    yield {"x": draw(rng, s)}, {"pad_width": [[int(rng.integers(0, 4)) for _ in "ab"] for _ in s], "mode": mode}, ["x"]
                yield {"x": draw(rng, s)}, {"pad_width": [[-1, 1]] + [[0, -1]] * (len(s) - 1), "mode": "constant", "value": 1.5}, ["x"]
        case "tile":
            for s in BOXES:
                for reps in ([], [2], [2, 1, 3], [0], [1, 2]):
                    yield {"x": draw(rng, s)}, {"reps": reps}, ["x"]
        case "clip":
            for lo, hi in [(-0.5, 0.5), (None, 0.5), (-0.5, None), (1.0, -1.0)]:
                yield {"x": draw(rng, (3, 4))}, {"lo": lo, "hi": hi}, ["x"]
            yield {"x": draw(rng, (3, 4)), "lo": draw(rng, (4,), -1, 0), "hi": draw(rng, (3, 1), 0, 1)}, {}, ["x", "lo", "hi"]
            yield {"x": rng.integers(-5, 5, (4,))}, {"lo": -2, "hi": 3}, []
        case "tensordot":
            for axes in (0, 1, [[0], [1]], [[0, 1], [1, 0]], [[-1], [-2]]):
                yield {"x": draw(rng, (2, 2)), "y": draw(rng, (2, 2))}, {"axes": axes}, ["x", "y"]
        case "kron" | "outer":
            for s, t in [((3,), (2,)), ((2, 3), (2,)), ((2, 2), (3, 2)), ((), (3,)), ((2, 1, 2), (2,))]:
                yield {"x": draw(rng, s), "y": draw(rng, t)}, {}, ["x", "y"]
        case "dot":
            for s, t in [((2, 3), (3, 2)), ((2, 3), (4, 3, 2)), ((3,), (3,)), ((), (3,))]:
                yield {"x": draw(rng, s), "y": draw(rng, t)}, {}, ["x", "y"]
        case "matmul":
            for s, t in [((2, 3), (3, 2)), ((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((4, 2, 3), (3, 2)), ((1, 2, 3), (4, 3, 2)), ((2, 0), (0, 3))]:
                yield {"x": draw(rng, s), "y": draw(rng, t)}, {}, ["x", "y"]
        case "cdist":
            for s, t in [((3, 2), (4, 2)), ((2, 3, 2), (2, 4, 2)), ((3, 2), (2, 4, 2)), ((0, 2), (4, 2))]:
                for p in (1.0, 2.0, 3.0, math.inf, 0.5):
                    yield {"x": draw(rng, s), "y": draw(rng, t)}, {"p": p}, ["x", "y"]
        case "cross_entropy" | "nll_loss":
            for s in [(5, 3), (4, 3, 2), (2, 3, 2, 2), (3,)]:
                classes = s[1] if len(s) > 1 else s[0]
                target = np.asarray(rng.integers(0, classes, (s[0], *s[2:]) if len(s) > 1 else ()))
                for reduction in ("mean", "sum", "none"):
                    inputs = {"x": draw(rng, s), "target": target}
                    yield inputs, {"reduction": reduction}, ["x"]
                    yield {**inputs, "weight": draw(rng, (classes,), 0.2, 1)}, {"reduction": reduction}, ["x"]
                    if len(s) > 1:
                        some = target.copy()
                        some.flat[0], some.flat[1] = 1, 0
                        yield {**inputs, "target": some}, {"reduction": reduction, "ignore_index": 1}, ["x"]
        case _:
            basic: list[list[Any]] = [
                [1], [slice(None, None, 2)], [slice(2, None, -1)], [None, 0], [Ellipsis, 1], [slice(0, 2), 1], [slice(-1, None)], [slice(5, 9)],
                [slice(None, None, -2), None, slice(1, 3)], [0, Ellipsis, None], [slice(3, 1)], [-1, -1],
            ]  # fmt: skip
            for index in basic:
                inputs = {"x": draw(rng, (3, 4))}
                yield (inputs if op == "getitem" else {**inputs, "src": draw(rng, ())}), {"index": index}, ["x"] if op == "getitem" else ["x", "src"]
            for make in (
                lambda i, j: [i], lambda i, j: [slice(None), i], lambda i, j: [i, j], lambda i, j: [i, slice(1, 3)], lambda i, j: [i, None, j],
                lambda i, j: [i, slice(None), j], lambda i, j: [slice(0, 2), i, j], lambda i, j: [Ellipsis, i], lambda i, j: [0, i], lambda i, j: [i, 1],
            ):  # fmt: skip
                index = make(rng.integers(-2, 2, (2, 2)), rng.integers(-2, 2, (2,)))
                inputs = {"x": draw(rng, (3, 3, 3))}
                inputs |= {f"i{k}": a for k, a in enumerate([a for a in index if isinstance(a, np.ndarray)])}
                if op == "getitem":
                    yield inputs, {"index": index}, ["x"]
                else:
                    shape = np.zeros((3, 3, 3))[tuple(index)].shape
                    yield {**inputs, "src": draw(rng, shape)}, {"index": index, "accumulate": True}, ["x", "src"]


def forms(op: str, rng: Rng) -> list[Form]:
    return list(TABLE[op](op, rng)) if op in TABLE else []
