"""Functions of singular values and all their derivatives: u diag(f(s)) v^T with x = u diag(s) v^T.

The derivatives of singular vectors among equal singular values do not exist, those of this function do. With a triangle of zeros on either side, x is the upper right
block of a symmetric matrix whose eigenvalues are s, -s and zeros; the same block of g applied to that matrix, where g is f for positive numbers and g(-w) = -g(w), is
the function above (Golub and Kahan 1965; Noferini 2017, "A formula for the Frechet derivative of a generalized matrix function"). So the derivatives are divided
differences of g, as of symmetric matrices (`spectral`); what is left of a column space that is not x's has eigenvalue 0. The k-th derivative is symmetric in its
directions and in what it is multiplied with: one family of ops closed under differentiation.

>>> from dfg.ops import get
>>> get("singular").evaluate(np, np.array([[0.0, 2.0]]), f="w w multiply").tolist()
[[0.0, 4.0]]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from dfg.dims import DimLike, dim_max
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import Attr, Case, Op, Reject, check_dtype, define, project, tensor
from dfg.ops.decompositions import shorter, svd
from dfg.ops.determinant import svd_or_nan
from dfg.ops.linalg import WIDE, matmul_last
from dfg.ops.matrix import batched, columns_along
from dfg.ops.spectral import along_directions, directional_vjp, infer_directions
from dfg.ops.taylor import BINARY, TERMS, UNARY, divided, emit_program, series
from dfg.types import FLOATING, Type

Array = np.ndarray

_ODD: Final = frozenset({"negative", "sin", "sinh", "tanh", "cbrt"})
_EVEN: Final = frozenset({"cos", "cosh", "abs"})


def is_odd(f: str) -> bool:
    """Whether the text of f shows that f(-w) = -f(w): then f is its own continuation to negative numbers, as smooth at 0 as it is written."""
    stack: list[int | None] = []  # 1: odd, 0: even, None: neither
    numbers: list[float | None] = []
    for word in f.split():
        number: float | None = None
        made: int | None
        if word == "w":
            made = 1
        elif word in UNARY:
            a, _ = stack.pop(), numbers.pop()
            made = 0 if a == 0 or (a == 1 and word in _EVEN) else 1 if a == 1 and word in _ODD else None
        elif word in BINARY or word == "power":
            b, p = stack.pop(), numbers.pop()
            a, _ = stack.pop(), numbers.pop()
            if word in ("multiply", "divide"):
                made = None if a is None or b is None else (a + b) % 2
            elif word == "power" and p is not None and p.is_integer() and a is not None:
                made = a * int(p % 2)
            elif word in ("add", "subtract"):
                made = a if a == b else None
            else:
                made = 0 if a == b == 0 else None
        else:
            made, number = 0, float(word)
        stack.append(made)
        numbers.append(number)
    return stack == [1]


def odd_divided(f: str, points: Sequence[Array], odd: bool) -> Array:
    """Divided differences of g, which is f for positive numbers and odd."""
    if odd:
        return divided(f, points)
    k = len(points) - 1
    w = np.sort(np.stack(np.broadcast_arrays(*points)), axis=0)
    made = np.zeros(w.shape[1:])
    above, below = w[0] > 0, w[-1] < 0
    made[above] = divided(f, list(w[:, above]))
    made[below] = divided(f, list(-w[:, below])) * (-1) ** (k + 1)
    mixed = ~(above | below)
    if k and mixed.any():
        here = w[:, mixed]
        spread = here[-1] - here[0]
        # At 0 itself an odd function has only odd derivatives; one that is not 0 there has none.
        with np.errstate(all="ignore"):
            terms = series(f, np.zeros(1), k)[:, 0]
        limit = terms[k] if k % 2 and np.isfinite(terms).all() and terms[0] == 0 else 0.0
        slope = (odd_divided(f, list(here[1:]), odd) - odd_divided(f, list(here[:-1]), odd)) / np.where(spread == 0, 1, spread)
        made[mixed] = np.where(spread == 0, limit, slope)
    return made


def _full_svd(xp: Any, x: Any) -> tuple[Any, Any, Any, Any]:
    """All left and right vectors, and which matrices are finite."""
    fine = xp.isfinite(x).all((-2, -1))
    u, s, vh = xp.linalg.svd(x if fine.all() else xp.where(fine[..., None, None], x, 0))
    # What rounding makes of zeros is 0: the function is smooth there, or its differences would only divide noise.
    if s.shape[-1]:
        s[s <= s[..., :1] * (float(np.finfo(np.float64).eps) * max(x.shape[-2:]))] = 0
    return u, s, vh, fine


def _singular(xp: Any, x: Any, *directions: Any, f: str) -> Any:
    dtype, k = x.dtype, len(directions)
    given = [a.astype(np.float64, copy=False) for a in (x, *directions)]
    if k == 0:
        u, s, vh = svd_or_nan(xp, given[0])
        with np.errstate(all="ignore"):
            return ((u * divided(f, [s])[..., None, :]) @ vh).astype(dtype, copy=False)
    wide = x.shape[-2] < x.shape[-1]
    if wide:
        given = [xp.swapaxes(a, -1, -2) for a in given]
    m, n = given[0].shape[-2:]
    basis = None
    if m > n * (k + 1):
        # Everything lies in the space of the columns of x and the directions.
        basis, r = xp.linalg.qr(xp.concatenate(given, -1))
        given, m = [r[..., i * n : (i + 1) * n] for i in range(k + 1)], n * (k + 1)
    u, s, vh, fine = _full_svd(xp, given[0])
    left, right = xp.swapaxes(u, -1, -2), xp.swapaxes(vh, -1, -2)
    half = math.sqrt(0.5)
    turned = []
    for e in given[1:]:
        e = left @ e @ right
        top, rest = e[..., :n, :], e[..., n:, :]
        flipped = xp.swapaxes(top, -1, -2)
        t = xp.zeros((*x.shape[:-2], m + n, m + n))
        t[..., :n, :n] = (top + flipped) * 0.5
        t[..., n : 2 * n, n : 2 * n] = t[..., :n, :n] * -1.0
        t[..., :n, n : 2 * n] = (flipped - top) * 0.5
        t[..., n : 2 * n, :n] = (top - flipped) * 0.5
        t[..., 2 * n :, :n] = rest * half
        t[..., 2 * n :, n : 2 * n] = rest * -half
        t[..., :n, 2 * n :] = xp.swapaxes(t[..., 2 * n :, :n], -1, -2)
        t[..., n : 2 * n, 2 * n :] = xp.swapaxes(t[..., 2 * n :, n : 2 * n], -1, -2)
        turned.append(t)
    w = xp.concatenate([s, -s, xp.zeros((*s.shape[:-1], m - n))], -1)
    total = along_directions(xp, w, turned, lambda points: odd_divided(f, points, is_odd(f)))
    # The upper right block: rows by the left vectors, columns by the right ones.
    columns = (total[..., :n] - total[..., n : 2 * n]) * half
    block = xp.concatenate([(columns[..., :n, :] + columns[..., n : 2 * n, :]) * half, columns[..., 2 * n :, :]], -2)
    made = u @ block @ vh
    if basis is not None:
        made = basis @ made
    if not fine.all():
        made[~fine] = np.nan
    return (xp.swapaxes(made, -1, -2) if wide else made).astype(dtype, copy=False)


# --- the op ------------------------------------------------------------------------------------------------------------------------------------


def _infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    check_dtype("singular", t, FLOATING)
    if t.rank < 2:
        raise InferError("rank-mismatch", f"`singular` takes matrices, not {t}", [(0, f"this is {t}")])
    return infer_directions(operands, str(attrs[0]))


def _lower(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """Without directions it is written by `svd`, which other uses of the same matrix share."""
    if len(operands) > 1:
        return None
    u, s, vh = project(svd(operands[0]))
    return matmul_last(u * columns_along(emit_program(attrs[0], s), u), vh)


def _sides(v: Value) -> tuple[DimLike, DimLike, DimLike]:
    """How many matrices there are, the shorter size, and the order of the symmetric matrix that is worked with: at most k + 2 times the shorter size."""
    x = v.operands[0].type
    k = len(v.operands) - 1
    short = shorter(v.graph, *x.shape[-2:])
    both = x.shape[-1] + x.shape[-2]
    many: DimLike = 1
    for d in x.shape[:-2]:
        many = many * d
    return many, short, both if x.shape[-1] == x.shape[-2] else shorter(v.graph, both, short * (k + 2))


def _cost(v: Value) -> DimLike:
    k = len(v.operands) - 1
    many, short, side = _sides(v)
    total = 20 * v.type.size * short
    if k:
        table = many * side * side
        for _ in range(k):
            table = table * side
        total = total + table * math.factorial(k) * 2
    return total


def _workspace(v: Value) -> DimLike:
    """The factors and LAPACK's; the directions turned; and the divided differences with their Taylor series."""
    x = v.operands[0].type
    k = len(v.operands) - 1
    many, _, side = _sides(v)
    factors = dim_max(svd.workspace(svd(v.operands[0])), 0) if svd.workspace is not None else 0
    if not k:
        return factors + x.size * WIDE
    table = many * side * side * WIDE
    square_ = table
    for _ in range(k - 1):
        table = table * side
    return factors + x.size * WIDE * (4 * k + 6) + square_ * (k + 4) + table * (2 * TERMS + 4 * k + 4)


def _with_values(rng: np.random.Generator, s: tuple[int, ...], values: Sequence[float]) -> Array:
    u, _, vh = np.linalg.svd(rng.normal(size=s), full_matrices=False)
    return np.asarray((u * np.asarray(values)) @ vh)


def _samples(rng: np.random.Generator) -> list[Case]:
    given: list[tuple[Array, str]] = [
        (_with_values(rng, (3, 3), [2.0, 0.7, 0.7]), "w log"),
        (_with_values(rng, (4, 2), [1.5, 1.5]), "w exp"),
        (_with_values(rng, (3, 4), [1.2, 0.0, 0.0]), "w tanh 2.0 multiply"),
        (np.zeros((2, 3)), "w sin"),
        (rng.normal(size=(2, 2, 3)), "w 3.0 power"),
        (rng.normal(size=(1, 1)), "w 2.0 power w add"),
        (np.zeros((0, 2)), "w exp"),
        (_with_values(rng, (7, 2), [1.0, 1.0]), "w sqrt"),
        (_with_values(rng, (2, 6), [2.0, 0.0]), "w 3.0 power w add"),
    ]
    cases = [Case((x, *[rng.normal(size=x.shape) for _ in range(k)]), (("f", f),)) for x, f in given for k in (0, 1)]
    x = _with_values(rng, (3, 2), [1.3, 1.3])
    return [*cases, Case((x, rng.normal(size=x.shape), rng.normal(size=x.shape)), (("f", "w log"),), order=1)]


singular: Op = define(
    Op(
        "singular",
        "A function f of the singular values of matrices, with their vectors; with directions as further operands its derivative in them, exact also where singular values are equal, "
        "and where they are 0 as far as f, continued as an odd function, is smooth there. f is in postfix notation, such as `w log`. "
        "The k-th derivative takes room for about 40 p ** (k + 1) numbers, where p is the sum of both sizes or, if less, k + 2 times the shorter one.",
        _infer,
        directional_vjp("singular"),
        attrs=(Attr("f", "text"),),
        arity=None,
        evaluate=_singular,
        axes=batched,
        fails="singular",
        workspace=_workspace,
        cost=_cost,
        samples=_samples,
        formula="u diag(f(s)) v^T where x = u diag(s) v^T",
        lower=_lower,
        rejects=(
            Reject(("f64[3]",), (("f", "w log"),), "rank-mismatch"),
            Reject(("i64[2, 2]",), (("f", "w log"),), "wrong-dtype"),
            Reject(("f64[2, 2]",), (("f", "w w"),), "bad-argument"),
            Reject(("f64[2, 3]", "f64[3, 2]"), (("f", "w"),), "shape-mismatch"),
        ),
    )
)
