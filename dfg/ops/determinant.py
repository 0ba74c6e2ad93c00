"""Determinants: `det`, `slogdet`, and the cofactors that are their gradient, exact for singular matrices too.

With x = U S V^T the cofactor matrix is det(U) det(V) U diag(products of all singular values but one) V^T, which needs no inverse. Its derivative has the
products without two of them. Further derivatives have those without three and more (`cofactor_terms`):
so `det` has all its derivatives at any matrix.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from dfg.dims import DimLike
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import Case, Op, Reject, RuleContext, define, project, tensor
from dfg.ops.contract import LETTERS, canonical, contract
from dfg.ops.elementwise import log
from dfg.ops.linalg import one, takes, transpose_last, widened
from dfg.ops.matrix import batched, inv_or_nan, matrices, regular, scalars_along, square
from dfg.ops.surface import Arg, Surface, function
from dfg.types import TensorType, TupleType, Type


def trace_of_product(a: Value, b: Value) -> Value:
    """The sum of products of elements, matrix by matrix."""
    names = LETTERS[: a.rank]
    return contract(a, b, subs=canonical(f"{names},{names}->{names[:-2]}"))


def _lanes(v: Value) -> Any:
    return batched(v)


def svd_or_nan(xp: Any, x: Any) -> tuple[Any, Any, Any]:
    """The reduced singular value decomposition; NaN for a matrix that is not finite, where LAPACK would not end."""
    fine = xp.isfinite(x).all((-2, -1))
    if fine.all():
        u, s, vh = xp.linalg.svd(x, full_matrices=False)
        return u, s, vh
    u, s, vh = xp.linalg.svd(xp.where(fine[..., None, None], x, 0), full_matrices=False)
    for m in (u, s, vh):
        m[~fine] = np.nan
    return u, s, vh


def _without_one(xp: Any, s: Any) -> Any:
    """Products of all elements of the last axis but one, without dividing."""
    ones = xp.ones((*s.shape[:-1], 1), s.dtype)
    before = xp.cumprod(xp.concatenate([ones, s[..., :-1]], -1), -1) if s.shape[-1] else s
    after = xp.flip(xp.cumprod(xp.concatenate([ones, xp.flip(s, -1)[..., :-1]], -1), -1), -1) if s.shape[-1] else s
    return before * after


def _without_two(xp: Any, s: Any) -> Any:
    """Products of all elements of the last axis but two, for each pair; the diagonal is 0."""
    n = s.shape[-1]
    made = xp.zeros((*s.shape, n), s.dtype)
    one = xp.ones((*s.shape[:-1], 1), s.dtype)
    before = xp.cumprod(xp.concatenate([one, s], -1), -1)
    after = xp.flip(xp.cumprod(xp.concatenate([one, xp.flip(s, -1)], -1), -1), -1)
    for i in range(n - 1):
        between = xp.cumprod(xp.concatenate([one, s[..., i + 1 : -1]], -1), -1)
        made[..., i, i + 1 :] = before[..., i, None] * between * after[..., i + 2 :]
        made[..., i + 1 :, i] = made[..., i, i + 1 :]
    return made


def _turn(xp: Any, u: Any, vh: Any) -> Any:
    """det(U) det(V), which is 1 or -1."""
    return (xp.linalg.det(u) * xp.linalg.det(vh))[..., None, None].astype(u.dtype)


def _cofactor(xp: Any, x: Any) -> Any:
    u, s, vh = svd_or_nan(xp, x)
    return xp.round(_turn(xp, u, vh)) * ((u * _without_one(xp, s)[..., None, :]) @ vh)


def _cofactor_slope(xp: Any, x: Any, q: Any) -> Any:
    u, s, vh = svd_or_nan(xp, x)
    inner = xp.swapaxes(u, -1, -2) @ q @ xp.swapaxes(vh, -1, -2)
    pairs = _without_two(xp, s)
    made = -pairs * xp.swapaxes(inner, -1, -2)
    n = x.shape[-1]
    made[..., range(n), range(n)] = (pairs @ xp.diagonal(inner, axis1=-2, axis2=-1)[..., None])[..., 0]
    return xp.round(_turn(xp, u, vh)) * (u @ made @ vh)


def _matrix_infer(name: str, scalar: bool) -> Any:
    def infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
        t = tensor(operands[0])
        square(name, t, cx)
        for k, o in enumerate(operands[1:], 1):
            if o.type != t:
                raise InferError("shape-mismatch", f"`{name}` takes operands of one type, not {t} and {o.type}", [(0, f"this is {t}"), (k, f"this is {o.type}")])
        return t.with_shape(t.shape[:-2]) if scalar else t

    return infer


def _singular(rng: np.random.Generator, n: int, rank: int) -> np.ndarray:
    return np.asarray(rng.normal(size=(n, rank)) @ rng.normal(size=(rank, n)))


def _det_cases(rng: np.random.Generator) -> list[np.ndarray]:
    return [*[regular(rng, s) for s in [(3, 3), (2, 2, 2), (1, 1), (0, 0), (0, 2, 2)]], _singular(rng, 3, 2), _singular(rng, 3, 1), _singular(rng, 4, 2), np.zeros((2, 2))]


_REJECTS = (Reject(("f64[2, 3]",), (), "shape-mismatch"), Reject(("i64[2, 2]",), (), "wrong-dtype"))

det = define(
    Op(
        "det",
        "The determinant of square matrices. Its gradient, the cofactors, exists for singular ones too.",
        _matrix_infer("det", True),
        lambda cx, ct, y: [scalars_along(ct, y.operands[0]) * cofactor(y.operands[0])],
        evaluate=lambda xp, x: xp.linalg.det(x),
        axes=_lanes,
        # LAPACK's copy of one matrix.
        workspace=lambda v: widened(v.operands[0].type) + one(v.operands[0].type),
        cost=lambda v: v.operands[0].type.size * v.operands[0].shape[-1],
        samples=lambda rng: [Case((x,)) for x in _det_cases(rng)],
        formula="det(x)",
        rejects=_REJECTS,
    )
)

cofactor: Op = define(
    Op(
        "cofactor",
        "The cofactors of square matrices: det(x) times the transposed inverse, also where there is no inverse. Made from singular values.",
        _matrix_infer("cofactor", False),
        lambda cx, ct, y: [cofactor_slope(y.operands[0], ct)],
        evaluate=_cofactor,
        axes=_lanes,
        fails="singular",
        workspace=takes((4, 3), (4, 5.75)),
        cost=lambda v: 20 * v.type.size * v.shape[-1],
        samples=lambda rng: [Case((x,)) for x in _det_cases(rng)],
        formula="det(x) x^-T",
        rejects=_REJECTS,
    )
)


def _slope_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    x, q = y.operands
    return [cofactor_terms(x, q, ct) if cx.need[0] else None, cofactor_slope(x, ct) if cx.need[1] else None]


cofactor_slope: Op = define(
    Op(
        "cofactor_slope",
        "The gradient of sum(q * cofactor(x)) by x: the second derivative of the determinant in the direction q.",
        _matrix_infer("cofactor_slope", False),
        _slope_vjp,
        arity=2,
        evaluate=_cofactor_slope,
        axes=_lanes,
        fails="singular",
        workspace=takes((7, 3.25), (1, 5.5)),
        cost=lambda v: 26 * v.type.size * v.shape[-1],
        samples=lambda rng: [Case((regular(rng, s), rng.normal(size=s))) for s in [(3, 3), (2, 2, 2), (1, 1), (0, 0)]] + [Case((_singular(rng, 4, 2), rng.normal(size=(4, 4)))), Case((np.zeros((3, 3)), rng.normal(size=(3, 3))))],
        rejects=(Reject(("f64[2, 2]", "f64[3, 3]"), (), "shape-mismatch"), Reject(("i64[2, 2]", "i64[2, 2]"), (), "wrong-dtype")),
    )
)


def _without(xp: Any, s: Any, count: int) -> Any:
    """Products of all elements of the last axis but `count` different ones, for each choice in order; 0 where two are the same."""
    n = s.shape[-1]
    lead = s.shape[:-1]
    made = xp.ones((*lead, *[n] * count), s.dtype)
    places = np.indices([n] * count)
    for m in range(n):
        out = (places == m).any(0)
        made = made * xp.where(out, 1, s[..., m].reshape(*lead, *[1] * count))
    for a, b in itertools.combinations(range(count), 2):
        made = xp.where(places[a] == places[b], 0, made)
    return made


def _cofactor_terms(xp: Any, x: Any, *directions: Any) -> Any:
    """det(S + sum of t_m E_m) is a sum over permutations; of each the part that is linear in all directions, by the cycles of k + 1 places."""
    u, s, vh = svd_or_nan(xp, x)
    turned = [xp.swapaxes(u, -1, -2) @ e @ xp.swapaxes(vh, -1, -2) for e in directions]
    k = len(directions)
    weights = _without(xp, s, k + 1)
    letters = "abcdefgh"[: k + 1]
    made = xp.zeros_like(x)
    n = x.shape[-1]
    diagonal = xp.zeros(x.shape[:-1], x.dtype)
    for order in itertools.permutations(range(k + 1)):
        sign = (-1) ** sum(order[i] > order[j] for i in range(k + 1) for j in range(i + 1, k + 1))
        given = ["..." + letters, *["..." + (letters[m] + letters[order[m]] if order[m] != m else letters[m]) for m in range(k)]]
        parts = [turned[m] if order[m] != m else xp.diagonal(turned[m], axis1=-2, axis2=-1) for m in range(k)]
        fixed = order[k] == k
        result = "..." + (letters[k] if fixed else letters[k] + letters[order[k]])
        term = sign * xp.einsum(f"{','.join(given)}->{result}", weights, *parts)
        if fixed:
            diagonal = diagonal + term
        else:
            made = made + term
    made[..., range(n), range(n)] += diagonal
    return xp.round(_turn(xp, u, vh)) * (u @ made @ vh)


def _terms_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    x, *directions = y.operands
    result: list[Value | None] = [cofactor_terms(x, *directions, ct) if cx.need[0] else None]
    for k in range(len(directions)):
        result.append(cofactor_terms(x, *directions[:k], *directions[k + 1 :], ct) if cx.need[k + 1] else None)
    return result


def _table(v: Value) -> DimLike:
    """One number for each choice of places in order."""
    x = v.operands[0].type
    total: DimLike = x.size
    for _ in range(len(v.operands) - 2):
        total = total * x.shape[-1]
    return total


cofactor_terms: Op = define(
    Op(
        "cofactor_terms",
        "The gradient by x of the derivative of the determinant in two or more directions, exact for singular matrices too. Takes room for several n ** (k + 1) numbers for k directions.",
        _matrix_infer("cofactor_terms", False),
        _terms_vjp,
        arity=None,
        evaluate=_cofactor_terms,
        axes=_lanes,
        fails="singular",
        workspace=lambda v: _table(v) * 8 * (5 + len(v.operands)) + takes((8, 5), (10, 6))(v),
        cost=lambda v: _table(v) * (v.shape[-1] + 12),
        samples=lambda rng: [
            *[Case((x, rng.normal(size=x.shape), rng.normal(size=x.shape))) for x in (regular(rng, (3, 3)), regular(rng, (2, 2, 2)), regular(rng, (1, 1)), np.zeros((0, 0)))],
            *[Case((x, rng.normal(size=x.shape), rng.normal(size=x.shape))) for x in (_singular(rng, 4, 2), np.zeros((3, 3)))],
        ],
        rejects=(Reject(("f64[2, 2]", "f64[3, 3]"), (), "shape-mismatch"), Reject(("i64[2, 2]", "i64[2, 2]"), (), "wrong-dtype")),
    )
)


def _slogdet_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    square("slogdet", t, cx)
    return TupleType([TensorType(t.dtype, t.shape[:-2])] * 2)


def _slogdet_vjp(cx: RuleContext, cts: Any, y: Value) -> Sequence[Value | None]:
    if cts[1] is None:
        return [None]
    x = y.operands[0]
    return [scalars_along(cts[1], x) * transpose_last(inv_or_nan(x))]


slogdet = define(
    Op(
        "slogdet",
        "The sign of the determinant of square matrices and the logarithm of its absolute value.",
        _slogdet_infer,
        _slogdet_vjp,
        evaluate=lambda xp, x: tuple(xp.linalg.slogdet(x)),
        axes=_lanes,
        # LAPACK's copy of one matrix.
        workspace=lambda v: widened(v.operands[0].type) + one(v.operands[0].type),
        cost=lambda v: v.operands[0].type.size * v.operands[0].shape[-1],
        samples=lambda rng: [Case((regular(rng, s),)) for s in [(3, 3), (2, 2, 2), (1, 1), (0, 0)]] + [Case((-np.eye(3) + 0.1 * rng.normal(size=(3, 3)),))],
        formula="sign(det(x)), log(abs(det(x)))",
        rejects=_REJECTS,
    )
)


@function("det")
def det_(cx: Surface, x: Arg) -> Value:
    """The determinant of square matrices."""
    return det(matrices(cx, x, "det"))


@function("cofactor")
def cofactor_(cx: Surface, x: Arg) -> Value:
    """The cofactors of square matrices, the gradient of the determinant: det(x) times the transposed inverse, also where there is no inverse."""
    return cofactor(matrices(cx, x, "cofactor"))


@function("cofactor_slope")
def cofactor_slope_(cx: Surface, x: Arg, q: Arg) -> Value:
    """The gradient of `sum(q * cofactor(x))` by `x`."""
    a, b = cx.promote((x, q), "cofactor_slope", floating=True)
    return cofactor_slope(matrices(cx, a, "cofactor_slope"), cx.stretch(b, a.shape))


@function("slogdet")
def slogdet_(cx: Surface, x: Arg) -> tuple[Value, ...]:
    """The sign of the determinant and the logarithm of its absolute value: `sign, logabsdet = slogdet(x)`."""
    return project(slogdet(matrices(cx, x, "slogdet")))


@function("logdet")
def logdet(cx: Surface, x: Arg) -> Value:
    """The logarithm of the determinant: NaN where it is negative, -inf where it is 0."""
    sign, size = slogdet_(cx, x)
    made: Value = size + log(sign)
    return made


