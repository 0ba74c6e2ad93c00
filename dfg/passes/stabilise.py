"""Stabilising: forms that lose accuracy or overflow, rewritten before anything is differentiated, so that their gradients are stable too.

A rule fires when a value is emitted, on the form that it stands for, and gives a value that is equal in exact arithmetic: `log(1 + exp(x))` is `softplus(x)`, whose gradient is
`sigmoid(x)` and not inf / inf. Where the form itself is singular and the limit is not (`x * log(x)` at 0, the norm of a vector at 0) it gives the limit.

>>> from dfg.ops.base import OPS
>>> sorted(rule.__name__ for rule in STABLE.always[OPS["sqrt"]])
['root_of_square', 'root_of_squares']
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dfg.ir import Graph, Rule, Rules, Subgraph, Value
from dfg.ops.base import OPS, const_scalar
from dfg.ops.taylor import program
from dfg.passes.nested import Places, change_bodies, copied
from dfg.passes.rebuild import Handler, copy_values, rebuild

STABLE: Final = Rules()
"""The rules of each op."""
TELLING: Final[set[Any]] = set()
"""A graph without any of these ops has no form that a rule is for."""


@dataclass(frozen=True, slots=True)
class Stabilise:
    """Apply `STABLE` everywhere, in bodies too. Under another policy at kinks than our own nothing is rewritten: what others give there comes from the forms as they stand."""

    kinks: str = "dfg"

    def run(self, graph: Graph) -> Graph:
        if not STABLE.always or self.kinks != "dfg" or not _any_rule(graph):
            return graph
        inside = _InBodies()
        fresh, _ = rebuild(graph, STABLE, inside.handlers)
        return fresh if fresh.fired or inside.changed else graph


def _any_rule(graph: Graph) -> bool:
    """Whether a form may stand in a graph: if none of its telling ops does, it need not be copied."""
    pending = [graph]
    while pending:
        for v in pending.pop().values:
            if v.op in TELLING:
                return True
            if v.attrs:
                pending.extend([a.graph for a in v.attrs if isinstance(a, Subgraph)])
    return False


class _InBodies:
    """Handlers that stabilise the bodies of loops and branches, and number traces anew where these changed."""

    def __init__(self) -> None:
        self.places = Places()
        self.changed = False
        self.handlers: dict[Any, Handler] = {op: self._loop for op in OPS.values() if any(a.kind == "body" for a in op.attrs)}
        self.handlers[OPS["trace"]] = self.places.trace

    def _loop(self, g: Graph, v: Value, operands: tuple[Value, ...]) -> Value:
        return change_bodies(g, v, operands, self._body, self.places)

    def _body(self, body: Subgraph) -> tuple[Subgraph, dict[int, Value] | None]:
        if not _any_rule(body.graph):
            return body, None
        inside = _InBodies()
        inner = body.graph.like(STABLE)
        mapping = copy_values(inner, body.graph.values, inside.handlers)
        if not inner.fired and not inside.changed:
            return body, None
        self.changed = True
        return copied(body, inner, mapping), mapping


def stable(name: str, of: Sequence[str] = ()) -> Callable[[Rule], Rule]:
    """Register a rule for an op. `of`: where the op itself is a common one, ops of which one stands in every form that the rule is for."""

    def register(f: Rule) -> Rule:
        STABLE.always.setdefault(OPS[name], []).append(f)
        TELLING.update(OPS[n] for n in of or (name,))
        return f

    return register


def _either(v: Value, number: float) -> Value | None:
    """The other operand of a sum or product with a constant number."""
    a, b = v.operands
    if const_scalar(a) == number:
        return b
    return a if const_scalar(b) == number else None


def _is(v: Value, name: str) -> bool:
    return bool(v.op.name == name)


# --- logarithms ----------------------------------------------------------------------------------------------------------------------


@stable("log")
def log_of_exp(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """log(exp(x)) = x."""
    x = operands[0]
    return x.operands[0] if _is(x, "exp") else None


@stable("log")
def log_of_spread(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """The logarithm of what is only repeated or reshaped is taken before, where its form shows."""
    x = operands[0]
    if (_is(x, "broadcast") or _is(x, "reshape")) and const_scalar(x) is None:
        source = x.operands[0]
        if _telling(source):
            return g.emit(x.op, (OPS["log"](source),), x.attrs)
    return None


def _telling(v: Value) -> bool:
    """Whether the logarithm of a value has a stable form."""
    while _is(v, "broadcast") or _is(v, "reshape"):
        v = v.operands[0]
    if _is(v, "sum"):
        v = v.operands[0]
    return v.op.name in ("exp", "softmax", "sigmoid", "ndtr")


@stable("log")
def log_of_sum(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """log(sum(exp(x))) = logsumexp(x)."""
    x = operands[0]
    if _is(x, "sum") and _is(x.operands[0], "exp"):
        return OPS["logsumexp"](x.operands[0].operands[0], axes=x.attrs[0])
    return None


@stable("log")
def log_of_quotient(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """log(exp(x) / s) = x - log(s), hence log(softmax(x)) = x - logsumexp(x)."""
    x = operands[0]
    if _is(x, "divide") and _is(x.operands[0], "exp") and _telling(x.operands[1]):
        return x.operands[0].operands[0] - OPS["log"](x.operands[1])
    return None


@stable("log")
def log_of_one_plus(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """log(1 + exp(x)) = softplus(x); log(exp(x) + exp(y)) = logaddexp(x, y); log(1 + x) = log1p(x); log(1 - x) = log1p(-x)."""
    x = operands[0]
    if _is(x, "add"):
        a, b = x.operands
        if _is(a, "exp") and _is(b, "exp"):
            return OPS["logaddexp"](a.operands[0], b.operands[0])
        rest = _either(x, 1)
        return None if rest is None else OPS["log1p"](rest)
    if _is(x, "subtract") and const_scalar(x.operands[0]) == 1:
        return OPS["log1p"](-x.operands[1])
    return None


@stable("log1p")
def log1p_of(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """log1p(exp(x)) = softplus(x); log1p(-sigmoid(x)) = -softplus(x); log1p(expm1(x)) = x."""
    x = operands[0]
    if _is(x, "exp"):
        return OPS["softplus"](x.operands[0])
    if _is(x, "expm1"):
        return x.operands[0]
    if _is(x, "negative") and _is(x.operands[0], "sigmoid"):
        return -OPS["softplus"](x.operands[0].operands[0])
    return None


@stable("log")
def log_of_distribution(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """log(sigmoid(x)) = -softplus(-x); log(ndtr(x)) = log_ndtr(x)."""
    x = operands[0]
    if _is(x, "sigmoid"):
        return -OPS["softplus"](-x.operands[0])
    return OPS["log_ndtr"](x.operands[0]) if _is(x, "ndtr") else None


# --- products and powers ---------------------------------------------------------------------------------------------------------------


@stable("multiply", of=["log"])
def times_own_log(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """x * log(x) = xlogy(x, x), which is 0 at 0; also of -x and of c x."""
    for x, y in (operands, operands[::-1]):
        if not _is(y, "log"):
            continue
        inner = y.operands[0]
        if x is inner:
            return OPS["xlogy"](x, x)
        if _is(x, "negative") and x.operands[0] is inner:
            return -OPS["xlogy"](inner, inner)
        if _is(x, "multiply"):
            for c, z in (x.operands, x.operands[::-1]):
                if z is inner and const_scalar(c) is not None:
                    return c * OPS["xlogy"](inner, inner)
    return None


def _squared_norm(v: Value) -> Value | None:
    """The sum of squares whose root a value is, through reshapes and repetitions."""
    around: list[Value] = []
    while v.op.name in ("reshape", "broadcast"):
        around.append(v)
        v = v.operands[0]
    if not _is(v, "vector_norm"):
        return None
    x = v.operands[0]
    made = OPS["sum"](x * x, axes=v.attrs[0])
    for w in reversed(around):
        made = v.graph.emit(w.op, (made,), w.attrs)
    return made


@stable("multiply", of=["vector_norm", "sqrt", "power"])
def norm_times_itself(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """norm(x) * norm(x) = sum(x * x)."""
    a, b = operands
    return _squared_norm(a) if a is b else None


@stable("power")
def norm_squared(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """norm(x) ** 2 = sum(x * x)."""
    return _squared_norm(operands[0]) if const_scalar(operands[1]) == 2 else None


@stable("power")
def power_of_half(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """x ** 0.5 = sqrt(x), where that is a square or a sum of squares."""
    x, p = operands
    if const_scalar(p) == 0.5 and (_square_of(x) is not None or (_is(x, "sum") and _square_of(x.operands[0]) is not None)):
        return OPS["sqrt"](x)
    return None


def _square_of(v: Value) -> Value | None:
    """x, of x * x or x ** 2."""
    if not v.dtype.floating:
        return None
    if _is(v, "multiply") and v.operands[0] is v.operands[1]:
        return v.operands[0]
    if _is(v, "power") and const_scalar(v.operands[1]) == 2:
        return v.operands[0]
    return None


@stable("sqrt")
def root_of_square(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """sqrt(x * x) = |x|."""
    x = _square_of(operands[0])
    return None if x is None else OPS["abs"](x)


@stable("sqrt")
def root_of_squares(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """sqrt(sum(x * x)) = norm(x); sqrt(x * x + y * y) = hypot(x, y)."""
    v = operands[0]
    if _is(v, "sum") and (x := _square_of(v.operands[0])) is not None:
        return OPS["vector_norm"](x, axes=v.attrs[0])
    if _is(v, "add") and (a := _square_of(v.operands[0])) is not None and (b := _square_of(v.operands[1])) is not None:
        return OPS["hypot"](a, b)
    return None


# --- exponentials ----------------------------------------------------------------------------------------------------------------------


@stable("subtract", of=["exp"])
def exp_less_one(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """exp(x) - 1 = expm1(x); 1 - exp(x) = -expm1(x)."""
    a, b = operands
    if _is(a, "exp") and const_scalar(b) == 1:
        return OPS["expm1"](a.operands[0])
    if _is(b, "exp") and const_scalar(a) == 1:
        return -OPS["expm1"](b.operands[0])
    return None


@stable("divide", of=["exp"])
def logistic(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """1 / (1 + exp(x)) = sigmoid(-x); exp(x) / (1 + exp(x)) = sigmoid(x)."""
    a, b = operands
    if not _is(b, "add"):
        return None
    rest = _either(b, 1)
    if rest is None or not _is(rest, "exp"):
        return None
    x = rest.operands[0]
    if const_scalar(a) == 1:
        return OPS["sigmoid"](x.operands[0] if _is(x, "negative") else -x)
    return OPS["sigmoid"](x) if a is rest else None


# --- functions of matrices ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Scaled:
    """Eigenvectors or singular vectors as columns (or, turned, as rows), each times a function of the values; of what, and which of its parts."""

    source: Value
    factors: tuple[Value, ...]
    turned: bool
    part: int


def _scaled(v: Value) -> _Scaled | None:
    turns = 0
    found: list[tuple[Value, bool, int]] = []  # a factor, whether it runs along the last axis there, how often it is transposed above
    r = v.rank
    if r < 2:
        return None
    while not (_is(v, "part") and v.operands[0].op.name in ("eigh", "svd")):
        if _is(v, "permute") and v.attrs[0] == (*range(r - 2), r - 1, r - 2):
            turns += 1
            v = v.operands[0]
            continue
        step = _scaled_by_product(v) if _is(v, "multiply") else _scaled_by_contraction(v) if _is(v, "contract") else None
        if step is None or step[1].rank != r:
            return None
        found.append((step[0], step[2], turns))
        v = step[1]
    part = v.attrs[0]
    # The right singular vectors are rows.
    rows = part == 2
    if (part not in (0, 2) if _is(v.operands[0], "svd") else part != 1) or any(last != (((turns - above) % 2 == 0) != rows) for _, last, above in found):
        return None
    return _Scaled(v.operands[0], tuple(f for f, _, _ in found), (turns % 2 == 1) != rows, part)


def _scaled_by_product(v: Value) -> tuple[Value, Value, bool] | None:
    """The scale of the last axis or the one before, the rest, and whether it is the last."""
    r = v.rank
    for k in (0, 1):
        b = v.operands[k]
        if _is(b, "broadcast") and b.attrs[1] in ((*range(r - 1),), (*range(r - 2), r - 1)) and b.operands[0].rank == r - 1:
            return b.operands[0], v.operands[1 - k], b.attrs[1][-1] == r - 1
    return None


def _scaled_by_contraction(v: Value) -> tuple[Value, Value, bool] | None:
    """The same of V[.., i, j] f[.., j], as einsum writes it, and of V @ diag(f)."""
    a, b = v.operands
    inputs, result = v.attrs[0].split("->")
    first, second = inputs.split(",")
    for (x, lx), (y, ly) in (((a, first), (b, second)), ((b, second), (a, first))):
        if lx == result and len(ly) == len(lx) - 1 and ly[:-1] == lx[:-2] and ly[-1] in lx[-2:]:
            return y, x, ly[-1] == lx[-1]
        d = _diagonal(y)
        if d is None or len(result) != 2:
            continue
        if x is a and lx[0] == result[0] and ly == lx[1] + result[1]:
            return d, x, True
        if x is b and lx[1] == result[1] and ly == result[0] + lx[0]:
            return d, x, False
    return None


def _diagonal(v: Value) -> Value | None:
    """f where a value is diag(f)."""
    if not _is(v, "scatter") or v.rank != 2 or len(v.operands) != 4 or v.attrs[:2] != ((0, 1), 0):
        return None
    zeros, f, i, j = v.operands
    return f if const_scalar(zeros) == 0 and i is j and _is(i, "iota") and f.rank == 1 else None


@stable("contract", of=("eigh", "svd"))
def function_of_matrix(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """v diag(f(w)) v^T with w, v = eigh(x) is a function of x, whose derivatives exist also where eigenvalues are equal; so is u diag(f(s)) vh with u, s, vh = svd(x)."""
    inputs, result = attrs[0].split("->")
    first, second = inputs.split(",")
    r = len(result)
    if r < 2 or len(first) != r or len(second) != r:
        return None
    made = [_scaled(o) for o in operands]
    if made[0] is None or made[1] is None or made[0].source is not made[1].source or not (made[0].factors or made[1].factors):
        return None
    # The rows of each, in the order of the letters; eigenvalues are summed over.
    rows = [letters[:-2] + (letters[-1] if m.turned else letters[-2]) for letters, m in zip((first, second), made, strict=True) if m is not None]
    summed = [letters[-2] if m.turned else letters[-1] for letters, m in zip((first, second), made, strict=True) if m is not None]
    if summed[0] != summed[1] or rows[0][:-1] != rows[1][:-1] or sorted(result) != sorted(rows[0] + rows[1][-1]) or result[:-2] != rows[0][:-1]:
        return None
    source = made[0].source
    singular = _is(source, "svd")
    if singular and made[0].part == made[1].part:
        return None
    w = OPS["part"](source, index=1 if singular else 0)
    texts = [program(f, w) for f in (*made[0].factors, *made[1].factors)]
    if any(t is None for t in texts):
        return None
    whole = " ".join([str(texts[0]), *[f"{t} multiply" for t in texts[1:]]])
    if not singular:
        return OPS["spectral"](source.operands[0], f=whole)
    value = OPS["singular"](source.operands[0], f=whole)
    left = rows[0] if made[0].part == 0 else rows[1]
    return value if result[-2] == left[-1] else OPS["permute"](value, perm=(*range(r - 2), r - 1, r - 2))
