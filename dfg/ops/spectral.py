"""Functions of symmetric matrices and all their derivatives: f(x) = v diag(f(w)) v^T with (x + x^T) / 2 = v diag(w) v^T.

The derivatives of eigenvectors among equal eigenvalues do not exist, those of f(x) do: with divided differences, which for equal arguments are derivatives of f
(Daleckii and Krein 1965; Higham, "Functions of Matrices", 2008, theorem 3.11). Since the k-th derivative in directions e_1 ... e_k is symmetric in the directions and in
what it is multiplied with, it is one family of ops closed under differentiation: operands are x and the directions, and a vjp takes one direction more.

f is elementwise, written in postfix notation: ``"w log 2.0 multiply"``. Its Taylor series are computed, not its symbolic derivatives.

>>> from dfg.ops import get
>>> get("spectral").evaluate(np, np.eye(2), np.array([[0.0, 1.0], [1.0, 0.0]]), f="w log")
array([[0., 1.],
       [1., 0.]])
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dfg.dims import DimLike
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPS, Attr, Case, Op, Reject, RuleContext, define, project, tensor
from dfg.ops.decompositions import _eigh, _symmetric, eigh
from dfg.ops.linalg import WIDE, matmul_last, one, transpose_last
from dfg.ops.matrix import batched, columns_along, matrices, square
from dfg.ops.surface import Arg, Surface, function
from dfg.ops.taylor import BINARY, TERMS, UNARY, divided, emit_program
from dfg.types import Type

Array = np.ndarray

def _spectral(xp: Any, x: Any, *directions: Any, f: str) -> Any:
    w, v = _eigh(xp, x.astype(np.float64, copy=False))
    vt = xp.swapaxes(v, -1, -2)
    k = len(directions)
    if k == 0:
        with np.errstate(all="ignore"):
            return ((v * divided(f, [w])[..., None, :]) @ vt).astype(x.dtype, copy=False)
    turned = [vt @ _symmetric(xp, e.astype(np.float64, copy=False)) @ v for e in directions]
    total = along_directions(xp, w, turned, lambda points: divided(f, points))
    return (v @ total @ vt).astype(x.dtype, copy=False)


def along_directions(xp: Any, w: Array, turned: Sequence[Array], differences: Callable[[Sequence[Array]], Array]) -> Any:
    """A derivative of a function of matrices with eigenvalues `w` along directions that are turned into their eigenvectors: divided differences times the directions,
    in every order of these."""
    k, n = len(turned), w.ndim - 1
    points = [w.reshape(*w.shape[:n], *[w.shape[n] if a == b else 1 for b in range(k + 1)]) for a in range(k + 1)]
    table = differences(points)
    letters = "abcdefghij"[: k + 1]
    subs = ",".join(["..." + letters, *["..." + letters[i : i + 2] for i in range(k)]]) + f"->...{letters[0]}{letters[k]}"
    return sum(xp.einsum(subs, table, *order) for order in itertools.permutations(turned))


# --- the op ------------------------------------------------------------------------------------------------------------------------------------


def well_formed(f: str) -> None:
    """Refuse what is no function in postfix notation."""
    depth = 0
    for word in f.split():
        depth += 1
        if word in BINARY or word == "power":
            depth -= 2
        elif word in UNARY:
            depth -= 1
        elif word != "w":
            try:
                float(word)
            except ValueError:
                depth = -1000
        if depth < 1:
            break
    if depth != 1:
        raise InferError("bad-argument", f"`{f}` is no function in postfix notation, such as `w log`", [("f", "this one")])


def _infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    square("spectral", tensor(operands[0]), cx)
    return infer_directions(operands, str(attrs[0]))


def infer_directions(operands: Sequence[Value], f: str) -> Type:
    """The type of a function of matrices or of its derivative along directions: that of the matrix, which each direction has too."""
    t = tensor(operands[0])
    for k, e in enumerate(operands[1:], 1):
        if tensor(e) != t:
            raise InferError("shape-mismatch", f"a direction has the type of the matrix, {t}, not {e.type}", [(k, f"this is {e.type}")])
    well_formed(f)
    return t


def directional_vjp(name: str) -> Callable[[RuleContext, Value, Value], Sequence[Value | None]]:
    """The rule of a family of ops in which the cotangent is one more direction: derivatives are symmetric in the directions and in what they are multiplied with."""

    def vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
        op = OPS[name]
        x, *directions = y.operands
        f = y.attrs[0]
        result: list[Value | None] = [op(x, *directions, ct, f=f) if cx.need[0] else None]
        for k in range(len(directions)):
            others = directions[:k] + directions[k + 1 :]
            result.append(op(x, *others, ct, f=f) if cx.need[k + 1] else None)
        return result

    return vjp


def _lower(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """Without directions it is written by `eigh`, which other uses of the same matrix share."""
    if len(operands) > 1:
        return None
    w, v = project(eigh(operands[0]))
    return matmul_last(v * columns_along(emit_program(attrs[0], w), v), transpose_last(v))


def _cost(v: Value) -> DimLike:
    x = v.operands[0].type
    k = len(v.operands) - 1
    total = 9 * x.size * x.shape[-1]
    for _ in range(k - 1):
        total = total * x.shape[-1]
    return total * max(1, math.factorial(k))


def _workspace(v: Value) -> DimLike:
    """Eigenvectors and what LAPACK takes; the directions turned; and the divided differences with their Taylor series."""
    x = v.operands[0].type
    k = len(v.operands) - 1
    if not k:
        return x.size * WIDE * 3 + one(x) * 3
    table = x.size * WIDE
    for _ in range(k - 1):
        table = table * x.shape[-1]
    return x.size * WIDE * (8 + 2 * k) + one(x) * 4 + table * (3 * TERMS + 4 * k + 16)


def _positive(rng: np.random.Generator, s: tuple[int, ...]) -> Array:
    a = rng.normal(size=s)
    return np.asarray(a @ np.swapaxes(a, -1, -2) + np.eye(s[-1]) + 0.1 * rng.normal(size=s))


def _samples(rng: np.random.Generator) -> list[Case]:
    q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    twice = (q * np.array([0.5, 0.5, 2.0])) @ q.T
    given: list[tuple[Array, str]] = [(np.eye(3), "w log"), (twice, "w sqrt"), (np.zeros((2, 2)), "w exp"), (np.eye(2), "w -1.5 power 2.0 w tanh multiply add")]
    given += [(_positive(rng, s), f) for s, f in [((3, 3), "w log"), ((2, 2, 2), "w sqrt"), ((1, 1), "w 3.0 power"), ((0, 0), "w exp"), ((2, 1, 2, 2), "1.0 w divide")]]
    cases = [Case((x, *[rng.normal(size=x.shape) for _ in range(k)]), (("f", f),)) for x, f in given for k in (0, 1)]
    return [*cases, Case((twice, rng.normal(size=(3, 3)), rng.normal(size=(3, 3))), (("f", "w log"),), order=1)]


spectral: Op = define(
    Op(
        "spectral",
        "A function f of the symmetric part of matrices, through their eigenvalues; with directions as further operands its derivative in them, exact also where eigenvalues are "
        "equal. f is in postfix notation, such as `w log`. The k-th derivative takes room for about 40 n ** (k + 1) numbers.",
        _infer,
        directional_vjp("spectral"),
        attrs=(Attr("f", "text"),),
        arity=None,
        evaluate=_spectral,
        axes=batched,
        fails="singular",
        workspace=_workspace,
        cost=_cost,
        samples=_samples,
        formula="v diag(f(w)) v^T where (x + x^T) / 2 = v diag(w) v^T",
        lower=_lower,
        rejects=(
            Reject(("f64[2, 3]",), (("f", "w log"),), "shape-mismatch"),
            Reject(("i64[2, 2]",), (("f", "w log"),), "wrong-dtype"),
            Reject(("f64[2, 2]",), (("f", "w w"),), "bad-argument"),
            Reject(("f64[2, 2]", "f64[3, 3]"), (("f", "w"),), "shape-mismatch"),
        ),
    )
)


@function("sqrtm")
def sqrtm(cx: Surface, x: Arg) -> Value:
    """The positive semi-definite square root of the symmetric part of matrices; NaN where an eigenvalue is negative. Differentiable also at equal eigenvalues."""
    return spectral(matrices(cx, x, "sqrtm"), f="w sqrt")


@function("logm")
def logm(cx: Surface, x: Arg) -> Value:
    """The logarithm of the symmetric part of matrices; NaN where an eigenvalue is negative. Differentiable also at equal eigenvalues."""
    return spectral(matrices(cx, x, "logm"), f="w log")
