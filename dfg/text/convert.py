"""From a term to one that fits its place: of just the type of its value, or of types that promotion and broadcasting take there.

`Writer` is what a form sees of the scope that it prints into, `form` declares one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, Protocol

import numpy as np

from dfg.dims import Dim, DimLike
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPS, Op
from dfg.text.term import Level, Reduction, Term, as_float, default_dtype, join, scalar_text
from dfg.types import BOOL, I64, DType, TensorType, broadcast_shapes


class Writer(Protocol):
    """What a form may ask of the scope that it prints into."""

    graph: Graph
    default_float: DType
    terms: dict[int, Term]

    @property
    def tries(self) -> dict[Any, bool]:
        """What calls were found to emit."""

    def use(self, function: str) -> str:
        """The name of a function, noted as used: nothing that is bound may hide it."""

    def named(self, v: Value) -> str:
        """The name of a value, which is bound now if it was not."""

    def is_plain(self, v: Value) -> bool:
        """Whether a value is written out where it is used, under no name."""


Form = Callable[[Writer, Value], Term]
FORMS: Final[dict[str, Form]] = {}
"""How ops are written, by name."""
Shape = tuple[DimLike, ...]


def form(*names: str) -> Callable[[Form], Form]:
    def declare(f: Form) -> Form:
        for name in names:
            FORMS[name] = f
        return f

    return declare


def size_text(w: Writer, d: DimLike) -> str:
    """A size as an expression. (The least of sizes is the op `minimum` in a program; a size's own text calls it `min`.)"""
    text = str(d)
    if isinstance(d, Dim) and ("min(" in text or "max(" in text):
        text = text.replace("min(", f"{w.use('minimum')}(").replace("max(", f"{w.use('maximum')}(")
    return text


def sizes(w: Writer, shape: Sequence[DimLike]) -> str:
    return f"[{', '.join([size_text(w, d) for d in shape])}]"


def dtype_argument(w: Writer, dtype: DType, default: DType) -> str:
    return "" if dtype is default else f", dtype={w.use(dtype.name)}"


def dtyped(w: Writer, t: Term, dtype: DType) -> Term:
    """A term that has just this dtype: a literal only where its default is it, else converted."""
    if t.dtype is dtype:
        return t
    if t.dtype is None:
        if dtype.floating:
            t = as_float(t)
        if default_dtype(t.kind, w.default_float) is dtype:
            return Term(t.text, t.level, dtype, t.shape, static=True, array=t.array)
    return Term(f"{w.use(dtype.name)}({t.text})", Level.POST, dtype, t.shape, static=t.static, array=t.array)


def stretched(w: Writer, t: Term, shape: Shape, dtype: DType) -> Term:
    """A term of this shape and dtype."""
    if t.array is not None and t.array.ndim == 0 and shape:
        return filled(w, t, shape, dtype)
    t = dtyped(w, t, dtype)
    if t.shape == shape:
        return t
    return Term(f"{w.use('broadcast_to')}({t.text}, {sizes(w, shape)})", Level.POST, dtype, shape)


def filled(w: Writer, t: Term, shape: Shape, dtype: DType) -> Term:
    """A constant repeated to a shape: `zeros`, `ones` or `full`."""
    assert t.array is not None
    value = t.array[()]
    named = "" if dtype is w.default_float else f", dtype={w.use(dtype.name)}"
    if dtype is not BOOL and value == 0 and not np.signbit(np.float64(value)):
        return Term(f"{w.use('zeros')}({sizes(w, shape)}{named})", Level.POST, dtype, shape)
    if dtype is not BOOL and value == 1:
        return Term(f"{w.use('ones')}({sizes(w, shape)}{named})", Level.POST, dtype, shape)
    text = as_float(t).text if t.dtype is None and dtype.floating else scalar_text(value.astype(dtype.np))
    return Term(f"{w.use('full')}({sizes(w, shape)}, {text}{named if dtype not in (I64, BOOL) else ''})", Level.POST, dtype, shape)


def opaque(w: Writer, t: Term, dtype: DType) -> Term:
    """A term that the compiler does not compute with: for an op whose operands are all known while compiling."""
    if t.array is not None and t.array.ndim == 0:
        return filled(w, t, (), dtype)
    t = dtyped(w, t, dtype)
    return Term(f"{w.use('broadcast_to')}({t.text}, {sizes(w, t.shape)})", Level.POST, dtype, t.shape)


def typed(w: Writer, v: Value) -> Term:
    """A term of just the type of a value."""
    t = w.terms[v.index]
    if t.dtype is v.dtype and t.shape == v.shape:
        return t
    return stretched(w, t, v.shape, v.dtype)


def fit(w: Writer, terms: Sequence[Term], dtype: DType, floating: bool, folds: bool = True) -> list[Term]:
    """Terms that promote to `dtype`: conversions are written where promotion would not do it."""
    fitted = list(terms)
    if folds and all(t.static for t in fitted):
        fitted[0] = opaque(w, fitted[0], dtype)

    def done() -> bool:
        return join(fitted, w.default_float, floating) is dtype

    if done():
        return fitted
    if dtype.floating:
        fitted = [as_float(t) for t in fitted]
        if done():
            return fitted
    fitted = [t if t.dtype is None or t.dtype is dtype else dtyped(w, t, dtype) for t in fitted]
    if done():
        return fitted
    return [dtyped(w, t, dtype) for t in fitted]


def common(w: Writer, terms: Sequence[Term]) -> Shape:
    return broadcast_shapes([t.shape for t in terms], w.graph.facts)


@cache
def floats_only(op: Op) -> bool:
    """Whether an elementwise op refuses integers, so that its function converts them."""
    g = Graph()
    k = g.emit(OPS["input"], (), ("k", TensorType(I64)))
    try:
        op.infer(g, (k,) * (op.arity or 1), ())
    except InferError:
        return True
    return False


def operands(w: Writer, v: Value, folds: bool = True) -> list[Term]:
    """The operands of an elementwise op as terms that promote to their dtype and broadcast to a shape that stretches to the value's."""
    return fit(w, [w.terms[o.index] for o in v.operands], v.operands[0].dtype, floats_only(v.op), folds)


def reduced(w: Writer, v: Value, r: Reduction) -> Term:
    return Term(r.text(False), Level.POST, v.dtype, v.shape, reduction=r)
