"""Taylor series and divided differences of elementwise functions in postfix notation, such as ``"w log 2.0 multiply"``: what functions of matrices are differentiated by.

>>> divided("w log", [np.array(1.0), np.array(1.0)])
array(1.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from dfg.ir import Value
from dfg.ops.base import OPS, const_scalar, full_like

Array = np.ndarray

# --- Taylor series: coefficients along the first axis, lowest first ------------------------------------------------------------------------


def _times(a: Array, b: Array) -> Array:
    return np.stack([sum(a[i] * b[k - i] for i in range(k + 1)) for k in range(len(a))])


def _over(a: Array, b: Array) -> Array:
    made: list[Array] = []
    for k in range(len(a)):
        made.append((a[k] - sum(b[i] * made[k - i] for i in range(1, k + 1))) / b[0])
    return np.stack(made)


def _integral(slope: Callable[[list[Array], int], Any], first: Array, n: int) -> Array:
    """A series from its value and from k times its k-th coefficient as a function of those before."""
    made = [first]
    for k in range(1, n):
        made.append(slope(made, k) / k)
    return np.stack(made)


def _exp(a: Array, first: Array | None = None) -> Array:
    return _integral(lambda m, k: sum(i * a[i] * m[k - i] for i in range(1, k + 1)), np.exp(a[0]) if first is None else first, len(a))


def _log(a: Array, first: Array | None = None) -> Array:
    return _integral(lambda m, k: (k * a[k] - sum(i * m[i] * a[k - i] for i in range(1, k))) / a[0], np.log(a[0]) if first is None else first, len(a))


def _power(a: Array, p: float, first: Array | None = None) -> Array:
    if float(p).is_integer() and 0 <= p <= 64:
        # By squaring: at 0 the recurrence would divide by it.
        made, base, n = _constant(a, 1.0), a, int(p)
        while n:
            made = _times(made, base) if n & 1 else made
            base = _times(base, base)
            n >>= 1
        return made
    return _integral(
        lambda m, k: sum((i * p - (k - i)) * a[i] * m[k - i] for i in range(1, k + 1)) / a[0], np.power(a[0], p) if first is None else first, len(a)
    )


def _constant(a: Array, value: float) -> Array:
    made = np.zeros_like(a)
    made[0] = value
    return made


def _sincos(a: Array) -> tuple[Array, Array]:
    s, c = [np.sin(a[0])], [np.cos(a[0])]
    for k in range(1, len(a)):
        s, c = (
            [*s, sum(i * a[i] * c[k - i] for i in range(1, k + 1)) / k],
            [*c, -sum(i * a[i] * s[k - i] for i in range(1, k + 1)) / k],
        )
    return np.stack(s), np.stack(c)


def _from_slope(a: Array, slope: Array, first: Array) -> Array:
    """A series g(a) from that of g'(a)."""
    return _integral(lambda m, k: sum(i * a[i] * slope[k - i] for i in range(1, k + 1)), first, len(a))


def _tanh(a: Array) -> Array:
    made = [np.tanh(a[0])]
    for k in range(1, len(a)):
        square_ = [sum(made[i] * made[j - i] for i in range(j + 1)) for j in range(k)]
        made.append(sum(i * a[i] * ((1.0 if k == i else 0.0) - square_[k - i]) for i in range(1, k + 1)) / k)
    return np.stack(made)


def _sigmoid(a: Array) -> Array:
    made = _tanh(a * 0.5) * 0.5
    made[0] = 1 / (1 + np.exp(-a[0]))
    return made


def _chosen(mask: Array, a: Array, b: Array) -> Array:
    return np.where(mask[None], a, b)


UNARY: Final[dict[str, Callable[[Array], Array]]] = {
    "negative": lambda a: -a,
    "exp": _exp,
    "expm1": lambda a: np.concatenate([np.expm1(a[:1]), _exp(a)[1:]]),
    "log": _log,
    "log1p": lambda a: _log(a + _constant(a, 1.0), np.log1p(a[0])),
    "sqrt": lambda a: _power(a, 0.5, np.sqrt(a[0])),
    "cbrt": lambda a: _power(a, 1 / 3, np.cbrt(a[0])),
    "sin": lambda a: _sincos(a)[0],
    "cos": lambda a: _sincos(a)[1],
    "sinh": lambda a: np.concatenate([np.sinh(a[:1]), ((_exp(a) - _exp(-a)) * 0.5)[1:]]),
    "cosh": lambda a: (_exp(a) + _exp(-a)) * 0.5,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "softplus": lambda a: _from_slope(a, _sigmoid(a), np.logaddexp(a[0], 0)),
    "abs": lambda a: a * np.sign(a[:1]),
    "relu": lambda a: _chosen(a[0] > 0, a, np.zeros_like(a)),
}
BINARY: Final[dict[str, Callable[[Array, Array], Array]]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": _times,
    "divide": _over,
    "maximum": lambda a, b: _chosen(a[0] >= b[0], a, b),
    "minimum": lambda a, b: _chosen(a[0] <= b[0], a, b),
}


def series(f: str, at: Array, order: int) -> Array:
    """The Taylor coefficients of f up to an order."""
    stack: list[Any] = []
    for word in f.split():
        if word == "w":
            made = np.zeros((order + 1, *at.shape))
            made[0] = at
            if order:
                made[1] = 1
            stack.append(made)
        elif word in UNARY:
            stack.append(UNARY[word](_full(stack.pop(), at, order)))
        elif word == "power":
            p, base = stack.pop(), stack.pop()
            stack.append(_power(_full(base, at, order), p) if isinstance(p, float) else _exp(_times(p, _log(_full(base, at, order)))))
        elif word in BINARY:
            b, a = stack.pop(), stack.pop()
            stack.append(BINARY[word](_full(a, at, order), _full(b, at, order)))
        else:
            stack.append(float(word))
    return _full(stack.pop(), at, order)


def _full(x: Any, at: Array, order: int) -> Array:
    if not isinstance(x, float):
        return np.asarray(x)
    made = np.zeros((order + 1, *at.shape))
    made[0] = x
    return made


def program(f: Value, w: Value) -> str | None:
    """The postfix notation of an elementwise function of `w` and constants; None if `f` is none of those."""
    texts: dict[int, str] = {w.index: "w"}
    pending = [f]
    size = 0
    while pending:
        v = pending[-1]
        if v.index in texts:
            pending.pop()
            continue
        c = const_scalar(v)
        if c is not None:
            texts[v.index] = repr(float(c))
            pending.pop()
            continue
        name = v.op.name
        if name == "reshape":
            # Axes of size 1 put in or out: elements stay in order.
            if v.operands[0].index in texts:
                texts[v.index] = texts[v.operands[0].index]
                pending.pop()
            else:
                pending.append(v.operands[0])
            continue
        if not (name in UNARY or name in BINARY or name == "power") or v.attrs:
            return None
        missing = [o for o in v.operands if o.index not in texts]
        if missing:
            pending.extend(missing)
            continue
        texts[v.index] = " ".join([*[texts[o.index] for o in v.operands], name])
        size += 1
        # The text of a value that is used twice is written twice.
        if size > 40 or len(texts[v.index]) > 2000:
            return None
        pending.pop()
    made = texts[f.index]
    return made if "w" in made.split() else None


def emit_program(f: str, w: Value) -> Value:
    """A function in postfix notation as ops."""
    stack: list[Value] = []
    for word in f.split():
        if word == "w":
            stack.append(w)
        elif word in UNARY:
            stack.append(OPS[word](stack.pop()))
        elif word in BINARY or word == "power":
            b, a = stack.pop(), stack.pop()
            stack.append(OPS[word](a, b))
        else:
            stack.append(full_like(w, float(word)))
    return stack.pop()


# --- divided differences ---------------------------------------------------------------------------------------------------------------------

TERMS: Final = 12


def divided(f: str, points: Sequence[Array]) -> Array:
    """f[w_0, ..., w_k] elementwise: where the points are close by the Taylor series around their mean, else by the recurrence over the widest gap."""
    k = len(points) - 1
    if k == 0:
        return np.asarray(series(f, points[0], 0)[0])
    w = np.sort(np.stack(np.broadcast_arrays(*points)), axis=0)
    spread = w[-1] - w[0]
    with np.errstate(all="ignore"):
        made = (divided(f, list(w[1:])) - divided(f, list(w[:-1]))) / np.where(spread == 0, 1, spread)
        near = spread <= 0.25 * np.maximum(np.abs(w[0]), 1.0)
        if near.any():
            here = w[:, near]
            centre = here.mean(axis=0)
            coefficients = series(f, centre, k + TERMS)[k:]
            # Complete homogeneous symmetric polynomials of the distances, by their generating function.
            h = np.zeros((TERMS + 1, centre.size))
            h[0] = 1
            for d in here - centre:
                for m in range(1, TERMS + 1):
                    h[m] += d * h[m - 1]
            terms = coefficients * h
            total = terms[::-1].sum(axis=0)
            fine = (np.abs(terms[-1]) + np.abs(terms[-2]) <= 1e-16 * np.abs(terms).max(axis=0)) | (spread[near] == 0)
            # Of equal points only the first term counts, whatever the others are.
            total = np.where(spread[near] == 0, coefficients[0], total)
            made[near] = np.where(fine, total, made[near])
    return np.asarray(made)
