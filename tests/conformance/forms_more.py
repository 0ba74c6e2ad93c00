"""More forms of the ops: linear algebra, contractions, layers, losses and the rest, with every attribute that the meaning of an op takes.

`MORE[op]` are generators like those of `forms.TABLE`: each yields (inputs, attributes, the inputs that the op varies smoothly with). Samples are drawn, so that each seed
tries other numbers, sizes and combinations of attributes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.conformance.forms import Form, Rng, draw

MORE: dict[str, list[Callable[[str, Rng], Iterator[Form]]]] = {}
Generator = Callable[[str, Rng], Iterator[Form]]


def more(*names: str) -> Callable[[Generator], Generator]:
    def declare(f: Generator) -> Generator:
        for name in names:
            MORE.setdefault(name, []).append(f)
        return f

    return declare


def pick(rng: Rng, *choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def shape_of(rng: Rng, rank: int, low: int = 1, high: int = 4) -> tuple[int, ...]:
    return tuple(int(n) for n in rng.integers(low, high, rank))


def stretched(rng: Rng, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts to another: fewer leading axes, some of size 1."""
    return tuple(1 if rng.random() < 0.3 else n for n in shape)[int(rng.integers(0, len(shape) + 1)) :]


def single(inputs: dict[str, Any]) -> dict[str, Any]:
    """The floating inputs in f32."""

    def narrow(a: Any) -> Any:
        return a.astype(np.float32) if isinstance(a, np.ndarray) and a.dtype == np.float64 else a

    return {k: [narrow(x) for x in v] if isinstance(v, list) else narrow(v) for k, v in inputs.items()}


def both(inputs: dict[str, Any], attrs: dict[str, Any], smooth: list[str]) -> Iterator[Form]:
    """A form in f64 and, values only, in f32."""
    yield inputs, attrs, smooth
    yield single(inputs), attrs, []


# --- elementwise -----------------------------------------------------------------------------------------------------------------------


@more("add", "sub", "mul", "div", "pow", "maximum", "minimum", "atan2", "hypot", "fmod", "remainder", "xlogy", "xlog1py", "logaddexp", "logaddexp2", "copysign", "fmax", "fmin", "ldexp", "eq", "lt")
def with_numbers(op: str, rng: Rng) -> Iterator[Form]:
    flat = op in ("eq", "lt")
    for dtype in (np.float64, np.float32):
        x = draw(rng, shape_of(rng, int(rng.integers(0, 6))), 0.3, 3, dtype)
        smooth = [] if flat or dtype is np.float32 else ["x"]
        yield {"x": x}, {"y": np.float64(rng.uniform(0.5, 2)).item() if op not in ("xlogy", "xlog1py") or dtype is np.float64 else 2}, smooth
        yield {"y": x}, {"x": int(rng.integers(1, 4))}, [] if flat or dtype is np.float32 else ["y"]
    s = shape_of(rng, 5, 0, 3)
    yield {"x": draw(rng, s, 0.3, 3), "y": draw(rng, stretched(rng, s), 0.3, 3)}, {}, [] if flat else ["x", "y"]
    x = draw(rng, (3,), 0.3, 3)
    yield {"x": x[:, None].copy(), "y": x[None, :].copy()}, {}, []


@more("logical_and", "logical_or", "logical_xor", "logical_not")
def logic(op: str, rng: Rng) -> Iterator[Form]:
    for s in [(), (3,), (2, 0, 3), (2, 3, 1, 2)]:
        for dtype in (np.bool_, np.float64, np.int64, np.float32):
            x, y = (rng.integers(-1, 2, t).astype(dtype) for t in (s, stretched(rng, s)))
            yield ({"x": x} if op == "logical_not" else {"x": x, "y": y}), {}, []
    bad = np.array([np.nan, 0.0, -0.0, np.inf])
    yield ({"x": bad} if op == "logical_not" else {"x": bad, "y": bad[:, None].copy()}), {}, []


@more("where")
def choosing(op: str, rng: Rng) -> Iterator[Form]:
    for _ in range(6):
        s = shape_of(rng, int(rng.integers(0, 5)), 0, 4)
        inputs = {"cond": np.asarray(rng.random(stretched(rng, s)) < 0.5), "x": draw(rng, stretched(rng, s)), "y": draw(rng, s)}
        yield from both(inputs, {}, ["x", "y"])
        yield {"cond": inputs["cond"], "x": draw(rng, s)}, {"y": -1.5}, ["x"]
        yield {"cond": inputs["cond"], "y": draw(rng, s)}, {"x": 2}, ["y"]
    x = np.array([np.nan, np.inf, -0.0, 1.0])
    yield {"cond": np.array([True, False, True, False]), "x": x, "y": x[::-1].copy()}, {}, []


@more("masked_fill")
def filling(op: str, rng: Rng) -> Iterator[Form]:
    for value in (0, -2.5, math.inf, math.nan, True):
        s = shape_of(rng, int(rng.integers(0, 5)), 0, 4)
        x, mask = draw(rng, s), np.asarray(rng.random(stretched(rng, s)) < 0.5)
        yield from both({"x": x, "mask": mask}, {"value": value}, ["x"])
    yield {"x": draw(rng, (3,)), "mask": rng.random((2, 3)) < 0.5}, {"value": 1.0}, ["x"]
    yield {"x": draw(rng, (2, 3)), "mask": rng.random((2, 3)) < 0.5, "value": draw(rng, ())}, {}, ["x", "value"]
    yield {"x": rng.integers(0, 9, (3,)), "mask": rng.random(3) < 0.5}, {"value": 7}, []


@more("addcmul", "addcdiv")
def threefold(op: str, rng: Rng) -> Iterator[Form]:
    for value in (1, -0.5, 0, 2):
        s = shape_of(rng, int(rng.integers(0, 5)), 0, 4)
        shapes = [stretched(rng, s), s, stretched(rng, s)]
        rng.shuffle(shapes)
        yield from both({k: draw(rng, t, 0.5, 2) for k, t in zip("xyz", shapes, strict=True)}, {"value": value}, ["x", "y", "z"])


@more("gammainc")
def incomplete(op: str, rng: Rng) -> Iterator[Form]:
    for low, high in [(0.1, 2), (1, 20), (50, 80), (0.001, 0.1), (900, 1100)]:
        yield {"x": draw(rng, (3, 4), low, high), "y": draw(rng, (4,), low, high)}, {}, []
    yield {"x": draw(rng, (4,), 0.2, 9, np.float32), "y": draw(rng, (3, 1), 0.2, 9, np.float32)}, {}, []
    edge = np.array([0.0, 1.0, np.inf, np.nan, 1e-300, 1e5, 30.0])
    grid = np.array(list(itertools.product(edge, edge))).T
    yield {"x": grid[0].copy(), "y": grid[1].copy()}, {}, []


@more("lerp")
def between(op: str, rng: Rng) -> Iterator[Form]:
    for _ in range(4):
        s = shape_of(rng, int(rng.integers(0, 5)), 0, 4)
        inputs = {"x": draw(rng, stretched(rng, s)), "y": draw(rng, s)}
        yield from both(inputs, {"weight": pick(rng, 0, 0.25, 0.75, 1, -2.0)}, ["x", "y"])
        yield from both({**inputs, "weight": draw(rng, stretched(rng, s))}, {}, ["x", "y", "weight"])


@more("isclose")
def near(op: str, rng: Rng) -> Iterator[Form]:
    x = np.array([1.0, 1.0 + 1e-6, np.nan, np.inf, -np.inf, 0.0, 1e-9])
    for equal_nan, rtol, atol in itertools.product((False, True), (1e-5, 0, 0.5), (1e-8, 0.0, 1e-3)):
        yield {"x": x, "y": rng.permutation(x)}, {"equal_nan": equal_nan, "rtol": rtol, "atol": atol}, []


@more("clip")
def bounds(op: str, rng: Rng) -> Iterator[Form]:
    for _ in range(4):
        s = shape_of(rng, int(rng.integers(0, 5)), 0, 4)
        x = draw(rng, s)
        yield from both({"x": x, "lo": draw(rng, stretched(rng, s), -1, 0)}, {"hi": 0.5}, ["x", "lo"])
        yield from both({"x": x, "hi": draw(rng, stretched(rng, s), 0, 1)}, {"lo": None}, ["x", "hi"])
        yield {"x": draw(rng, stretched(rng, s)), "lo": draw(rng, s, -1, 1), "hi": draw(rng, s, -1, 1)}, {}, ["x", "lo", "hi"]
    yield {"x": np.array([np.nan, np.inf, -np.inf, -0.0])}, {"lo": -1, "hi": 1}, []


# --- reductions and order ----------------------------------------------------------------------------------------------------------------


@more("sum", "mean", "max", "min", "any", "all", "nansum", "prod", "logsumexp", "var", "std", "count_nonzero", "argmax", "argmin", "vector_norm")
def reducing(op: str, rng: Rng) -> Iterator[Form]:
    least = 1 if op in ("max", "min", "argmax", "argmin", "vector_norm", "logsumexp") else 0
    for _ in range(6):
        s = shape_of(rng, int(rng.integers(1, 6)), least, 4)
        several = op not in ("argmax", "argmin")
        axes = [int(a) - (len(s) if rng.random() < 0.5 else 0) for a in rng.permutation(len(s))[: int(rng.integers(0, len(s) + 1))]]
        axis = pick(rng, axes, axes, None) if several else pick(rng, None, int(rng.integers(-len(s), len(s))))
        attrs: dict[str, Any] = {"axis": axis}
        if op != "count_nonzero":
            attrs["keepdims"] = bool(rng.random() < 0.5)
        if op in ("var", "std"):
            attrs["correction"] = int(pick(rng, 0, 1))
        if op == "vector_norm":
            attrs["ord"] = pick(rng, 2, 1, math.inf, -math.inf, 0, 3, 0.5, 2.0, 4)
        gone = math.prod(s[a] for a in axis) if isinstance(axis, list) and axis else math.prod(s)
        flat = op in ("any", "all", "count_nonzero", "argmax", "argmin") or (op in ("var", "std") and gone < 3) or 0 in s
        if op == "logsumexp" and axis == []:
            continue
        yield from both({"x": draw(rng, s)}, attrs, [] if flat else ["x"])
    if op in ("sum", "mean", "max", "min", "nansum", "prod", "argmax", "argmin", "logsumexp"):
        for special in ([1.0, np.nan, 2.0], [np.inf, 1.0, -np.inf], [np.inf, np.inf, 1.0], [-np.inf, -np.inf, -np.inf], [-0.0, 0.0, -0.0], [5e-324, 1e-310, 0.0], [1000.0, 1000.0, -1000.0]):
            yield {"x": np.array(special)}, {"axis": 0}, []


@more("matrix_norm")
def norms_of_matrices(op: str, rng: Rng) -> Iterator[Form]:
    for ord_ in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        for lead in ((), (2,), (0,), (2, 1, 2)):
            m, n = shape_of(rng, 2, 2, 5)
            yield from both({"x": draw(rng, (*lead, m, n))}, {"ord": ord_, "keepdims": bool(rng.random() < 0.5)}, ["x"])


@more("trapezoid")
def areas(op: str, rng: Rng) -> Iterator[Form]:
    for _ in range(5):
        s = shape_of(rng, int(rng.integers(1, 5)), 1, 5)
        axis = int(rng.integers(-len(s), len(s)))
        yield from both({"y": draw(rng, s)}, {"axis": axis, "dx": float(pick(rng, 1, 0.3, -2))}, ["y"])
        yield from both({"y": draw(rng, s), "x": draw(rng, (s[axis],))}, {"axis": axis}, ["y", "x"])
        yield from both({"y": draw(rng, s), "x": draw(rng, s)}, {"axis": axis}, ["y", "x"])


@more("quantile")
def quantiles(op: str, rng: Rng) -> Iterator[Form]:
    for method in ("linear", "lower", "higher", "midpoint", "nearest"):
        for _ in range(3):
            s = shape_of(rng, int(rng.integers(0, 4)), 1, 5)
            axis = None if not s or rng.random() < 0.3 else int(rng.integers(-len(s), len(s)))
            attrs = {"q": pick(rng, 0.5, 0.3, 0.0, 1.0, [0.1, 0.9], [0.25]), "axis": axis, "keepdims": bool(rng.random() < 0.5), "interpolation": method}
            yield from both({"x": draw(rng, s)}, attrs, ["x"])
    yield {"x": draw(rng, (3, 5)), "q": np.array([0.0, 0.6, 1.0])}, {"axis": 1}, ["x"]


@more("median_lower", "sort", "argsort", "topk", "cumsum", "cumprod", "cummax", "logcumsumexp", "softmax", "log_softmax")
def ordered(op: str, rng: Rng) -> Iterator[Form]:
    for _ in range(5):
        s = shape_of(rng, int(rng.integers(0, 6)), 1, 5)
        axis = int(rng.integers(-len(s), len(s))) if s else pick(rng, 0, -1)
        attrs: dict[str, Any] = {"axis": axis}
        if op in ("sort", "argsort"):
            attrs["descending"] = bool(rng.random() < 0.5)
        if op == "topk":
            attrs |= {"k": int(rng.integers(1, s[axis] + 1)) if s else 1, "largest": bool(rng.random() < 0.5)}
        if op == "median_lower":
            attrs["keepdims"] = bool(rng.random() < 0.5)
            if rng.random() < 0.4:
                attrs = {}
        yield from both({"x": draw(rng, s)}, attrs, [] if op == "argsort" else ["x"])
        if op in ("sort", "argsort", "topk", "cumsum", "cumprod", "cummax"):
            yield {"x": rng.integers(-2, 3, s)}, attrs, []
            # Of descending order the meaning negates, which puts NaN last; ours is the reverse of ascending order.
            special = [1.0, np.inf, -np.inf, 0.0, -0.0] if op in ("argsort", "topk") else [1.0, np.inf, -np.inf, 0.0, -0.0, np.nan]
            yield {"x": np.asarray(rng.choice(special, s))}, attrs, []
    if op not in ("median_lower", "topk", "cummax", "logcumsumexp"):
        yield {"x": draw(rng, (2, 0, 3))}, {"axis": int(rng.integers(-3, 3))}, []


@more("diff")
def differences(op: str, rng: Rng) -> Iterator[Form]:
    for _ in range(8):
        s = shape_of(rng, int(rng.integers(1, 5)), 1, 5)
        axis = int(rng.integers(-len(s), len(s)))
        ends = {k: draw(rng, tuple(int(rng.integers(0, 3)) if i == axis % len(s) else d for i, d in enumerate(s))) for k in ("prepend", "append") if rng.random() < 0.5}
        yield from both({"x": draw(rng, s), **ends}, {"n": int(rng.integers(0, 4)), "axis": axis}, ["x", *ends])


@more("searchsorted")
def searching(op: str, rng: Rng) -> Iterator[Form]:
    for side in ("left", "right"):
        for lead in ((), (2,), (2, 3), (0, 2)):
            for n in (0, 1, 6):
                rows = np.sort(np.round(draw(rng, (*lead, n)) * 2), -1)
                for s in [(4,), (0,)] if lead else [(4,), (), (2, 3), (0,)]:
                    yield from both({"sorted_": rows, "values": np.asarray(np.round(draw(rng, (*lead, *s)) * 2))}, {"side": side}, [])


# --- linear algebra ----------------------------------------------------------------------------------------------------------------------

SUBSCRIPTS: list[tuple[str, list[tuple[int, ...]]]] = [
    ("ij,jk->ik", [(2, 3), (3, 4)]), ("ij,jk", [(2, 3), (3, 4)]), ("ba", [(2, 3)]), ("ii->i", [(3, 3)]), ("ii", [(3, 3)]), ("ii->", [(3, 3)]), ("iij->j", [(2, 2, 3)]),
    ("ij->ji", [(2, 3)]), ("ij->", [(2, 3)]), ("ij->j", [(2, 3)]), ("i,j->ij", [(2,), (3,)]), ("i,i->", [(3,), (3,)]), ("ij,ij->i", [(2, 3), (2, 3)]), ("bij,bjk->bik", [(2, 2, 3), (2, 3, 2)]),
    ("...ij,...jk->...ik", [(2, 2, 3), (3, 2)]), ("...i,...i", [(2, 1, 3), (4, 3)]), ("i...->...i", [(2, 3, 2)]), ("...->...", [(2, 3)]), ("ij,j,i->", [(2, 3), (3,), (2,)]),
    ("ij,kj,il->kl", [(2, 3), (4, 3), (2, 2)]), ("i,i,i->i", [(3,), (3,), (3,)]), (",i->i", [(), (3,)]), (",->", [(), ()]), ("ij, jk -> ik", [(2, 3), (3, 4)]), ("i,j,k->kji", [(2,), (3,), (2,)]),
    ("bn,anm,bm->ba", [(2, 3), (4, 3, 2), (2, 2)]), ("ij,ik->jk", [(0, 2), (0, 3)]), ("ij,jk->ik", [(2, 0), (0, 3)]), ("Ab,bC->AC", [(2, 3), (3, 2)]), ("iijj->ij", [(2, 2, 3, 3)]),
    ("ij,ij->ij", [(1, 3), (2, 3)]), ("i->", [(5,)]), ("abcd,ad->cb", [(2, 2, 3, 2), (2, 2)]), ("ii,ii->i", [(2, 2), (2, 2)]), ("i,ii->i", [(2,), (2, 2)]), ("a...b,b...->a...", [(2, 3, 2), (2, 3)]),
]  # fmt: skip


@more("einsum")
def sums_of_products(op: str, rng: Rng) -> Iterator[Form]:
    for subscripts, shapes in SUBSCRIPTS:
        yield from both({"xs": [draw(rng, s) for s in shapes]}, {"subscripts": subscripts}, [f"xs.{k}" for k in range(len(shapes))])


PRODUCTS: dict[str, list[tuple[tuple[int, ...], tuple[int, ...]]]] = {
    "matmul": [((2, 1, 2, 3), (4, 3, 2)), ((3,), (2, 3, 4)), ((2, 2, 3), (3,)), ((1, 1), (1, 1)), ((0, 3), (3, 2)), ((2, 0, 3), (3, 2))],
    "dot": [((), ()), ((2,), ()), ((2, 3, 4), (4,)), ((2, 3), (3,)), ((3,), (2, 3, 2)), ((2, 2, 3), (2, 3, 2)), ((0,), (0,))],
    "outer": [((2, 2), (3, 1)), ((0,), (3,)), ((), ())],
    "inner": [((), ()), ((3,), ()), ((3,), (3,)), ((2, 3), (3,)), ((2, 3), (4, 3)), ((2, 2, 3), (4, 3)), ((0,), (0,))],
    "kron": [((), ()), ((3,), (2, 2)), ((2, 1, 2), (2, 2, 1)), ((0,), (2,)), ((1, 2), (3,))],
    "vecdot": [((3,), (3,)), ((2, 3), (3,)), ((2, 1, 3), (4, 3)), ((2, 0), (2, 0))],
    "cross": [((3,), (3,)), ((2, 3), (3,)), ((2, 1, 3), (4, 3)), ((0, 3), (0, 3))],
    "linear": [((3,), (2, 3)), ((4, 3), (2, 3)), ((2, 1, 3), (4, 3)), ((0, 3), (2, 3))],
}


@more(*PRODUCTS)
def products(op: str, rng: Rng) -> Iterator[Form]:
    for s, t in PRODUCTS[op]:
        x, y = draw(rng, s), draw(rng, t)
        if op == "linear":
            yield from both({"x": x, "w": y}, {}, ["x", "w"])
            yield from both({"x": x, "w": y, "b": draw(rng, (t[0],))}, {}, ["x", "w", "b"])
        else:
            yield from both({"x": x, "y": y}, {}, ["x", "y"])
    if op in ("vecdot", "cross"):
        for axis in range(-3, 3):
            yield {"x": draw(rng, (3, 3, 3)), "y": draw(rng, (3, 3, 3))}, {"axis": axis}, ["x", "y"]


@more("multi_dot")
def chains(op: str, rng: Rng) -> Iterator[Form]:
    for count in (2, 3, 4, 5):
        for first, last in itertools.product((False, True), repeat=2):
            sizes = shape_of(rng, count + 1, 1, 5)
            xs = [draw(rng, (a, b), -1, 1) for a, b in itertools.pairwise(sizes)]
            xs[0] = xs[0][0] if first else xs[0]
            xs[-1] = xs[-1][:, 0].copy() if last else xs[-1]
            yield from both({"xs": xs}, {}, [f"xs.{k}" for k in range(count)])


@more("addmm")
def product_and_sum(op: str, rng: Rng) -> Iterator[Form]:
    for s in [(2, 4), (4,), (1, 4), (2, 1), ()]:
        attrs = {"alpha": pick(rng, 1, 0.6, 0, -2), "beta": pick(rng, 1, 0.2, 0, 3)}
        yield from both({"x": draw(rng, s), "y": draw(rng, (2, 3)), "z": draw(rng, (3, 4))}, attrs, ["x", "y", "z"])


def square(rng: Rng, lead: tuple[int, ...], n: int) -> np.ndarray:
    return draw(rng, (*lead, n, n), -1, 1) + 2 * np.eye(n)


LEADS: list[tuple[int, ...]] = [(), (2,), (0,), (2, 1, 2)]


@more("inv", "det", "logdet", "slogdet", "svdvals", "svd_fun", "cholesky", "eigvalsh", "eigh_fun", "qr_pos", "pinv", "matrix_exp", "matrix_power", "trace")
def matrices(op: str, rng: Rng) -> Iterator[Form]:
    for lead, n in itertools.product(LEADS, (1, 2, 3, 4)):
        if op == "trace" and lead:
            continue
        m = n + int(rng.integers(0, 3)) if op in ("svdvals", "svd_fun", "qr_pos", "pinv") else n
        x = square(rng, lead, n) if m == n else draw(rng, (*lead, m, n))
        if op in ("logdet", "cholesky"):
            x = np.eye(n) + x @ np.swapaxes(x, -1, -2)
        if op in ("svdvals", "svd_fun", "pinv") and rng.random() < 0.5:
            x = np.ascontiguousarray(np.swapaxes(x, -1, -2))
        if op == "matrix_exp":
            x = x * pick(rng, 0.01, 0.5, 3)
        attrs: dict[str, Any] = {"upper": bool(rng.random() < 0.5)} if op == "cholesky" else {"n": int(rng.integers(-3, 6))} if op == "matrix_power" else {}
        yield from both({"x": x}, attrs, ["x"])
    if op in ("inv", "det", "slogdet", "eigvalsh", "cholesky", "matrix_power", "matrix_exp"):
        yield {"x": np.zeros((2, 0, 0))}, {"n": 2} if op == "matrix_power" else {}, []
    if op == "det":
        yield {"x": np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])}, {}, ["x"]


@more("solve", "solve_triangular", "cholesky_solve", "lstsq")
def systems(op: str, rng: Rng) -> Iterator[Form]:
    for lead, n, k in itertools.product([(), (2,), (2, 2)], (1, 3), (1, 2)):
        m = n + 2 if op == "lstsq" else n
        x = draw(rng, (*lead, m, n)) if op == "lstsq" else square(rng, lead, n)
        if op == "cholesky_solve":
            x = np.linalg.cholesky(np.eye(n) + x @ np.swapaxes(x, -1, -2))
        options: list[dict[str, Any]] = [{}]
        if op == "solve_triangular":
            options = [{"upper": u, "left": left, "unitriangular": d} for u, left, d in itertools.product((False, True), repeat=3)]
        if op == "cholesky_solve":
            options = [{"upper": False}, {"upper": True}, {}]
        for attrs in options:
            right = (*lead, k, n) if not attrs.get("left", True) else (*lead, m, k)
            given = np.ascontiguousarray(np.swapaxes(x, -1, -2)) if attrs.get("upper") else x
            yield from both({"x": given, "b": draw(rng, right)}, attrs, ["x", "b"])
    x = square(rng, (), 3)
    if op == "solve":
        yield {"x": x, "b": draw(rng, (3,))}, {}, ["x", "b"]
        yield {"x": square(rng, (2,), 3), "b": draw(rng, (2, 3))}, {}, ["x", "b"]
        yield {"x": x, "b": draw(rng, (4, 3, 2))}, {}, ["x", "b"]
        yield {"x": square(rng, (2, 1), 3), "b": draw(rng, (4, 3, 2))}, {}, ["x", "b"]
        yield {"x": square(rng, (), 0), "b": draw(rng, (0, 2))}, {}, []
    if op == "solve_triangular":
        yield {"x": square(rng, (2, 1), 3), "b": draw(rng, (4, 3, 2))}, {"upper": True}, ["x", "b"]
        yield {"x": square(rng, (), 3), "b": draw(rng, (4, 2, 3))}, {"upper": False, "left": False}, ["x", "b"]
    if op == "lstsq":
        yield {"x": draw(rng, (5, 3)), "b": draw(rng, (5,))}, {}, ["x", "b"]


@more("tensordot")
def contractions(op: str, rng: Rng) -> Iterator[Form]:
    for s, t, axes in [((2, 3, 4), (4, 3), 1), ((2, 3, 4), (3, 4, 2), 2), ((2, 3, 4), (4, 2, 5), [[2, 0], [0, 1]]), ((2,), (3,), 0), ((), (3,), 0), ((2, 3), (3, 2), [[1, 0], [0, 1]]), ((2, 3), (2, 3), [[], []]), ((0, 2), (2, 3), 1)]:
        yield from both({"x": draw(rng, s), "y": draw(rng, t)}, {"axes": axes}, ["x", "y"])


@more("cdist")
def distances(op: str, rng: Rng) -> Iterator[Form]:
    for p in (0.5, 1.0, 1.5, 2.0, 3.0, 4, math.inf):
        lead = pick(rng, (), (2,), (2, 3))
        d = int(rng.integers(1, 4))
        yield from both({"x": draw(rng, (*lead, 3, d)), "y": draw(rng, (*stretched(rng, lead), int(rng.integers(1, 4)), d))}, {"p": p}, ["x", "y"])
    yield {"x": draw(rng, (3, 2)), "y": draw(rng, (0, 2))}, {}, []
    yield {"x": draw(rng, (3, 2)), "y": draw(rng, (2, 2))}, {}, ["x", "y"]
