"""How ops are written in a program: operators, literals, reductions with their axes, draws, derivatives.

A form takes the writer of a scope and a value whose operands have terms, and gives the value's term. Forms of ops that move elements are in
`dfg.text.moves`; an op without a form is a call (`dfg.text.calls`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from dfg.diagnostics import InternalError
from dfg.dims import DimLike
from dfg.ir import Value
from dfg.ops.base import const_scalar
from dfg.ops.reduce import SUMMED_AS
from dfg.text import moves
from dfg.text.convert import (
    Writer,
    common,
    dtype_argument,
    dtyped,
    filled,
    fit,
    form,
    opaque,
    operands,
    reduced,
    size_text,
    sizes,
    typed,
)
from dfg.text.term import Level, Reduction, Term, constant_term, elements_text, scalar_text
from dfg.types import BOOL, I64

_USED = moves  # importing it fills the table

OPERATORS: Final = {
    "add": ("+", Level.SUM),
    "subtract": ("-", Level.SUM),
    "multiply": ("*", Level.PRODUCT),
    "divide": ("/", Level.PRODUCT),
    "floor_divide": ("//", Level.PRODUCT),
    "remainder": ("%", Level.PRODUCT),
    "equal": ("==", Level.COMPARE),
    "not_equal": ("!=", Level.COMPARE),
    "less": ("<", Level.COMPARE),
    "less_equal": ("<=", Level.COMPARE),
    "greater": (">", Level.COMPARE),
    "greater_equal": (">=", Level.COMPARE),
    "logical_and": ("and", Level.AND),
    "logical_or": ("or", Level.OR),
}


# --- elementwise -------------------------------------------------------------------------------------------------------------------


@form(*OPERATORS)
def operator(w: Writer, v: Value) -> Term:
    sign, level = OPERATORS[v.op.name]
    mean = mean_of(w, v) if v.op.name == "divide" else None
    if mean is not None:
        return mean
    a, b = operands(w, v)
    shape = common(w, (a, b))
    if v.op.name == "add" and b.array is not None and b.dtype is None and b.text.startswith("-") and b.shape == () and _negatable(b):
        sign, b = "-", Term(b.text[1:], Level.ATOM, None, (), b.kind, True)
    right = Level(level + 1) if level is not Level.COMPARE else Level.SUM
    left = Level.SUM if level is Level.COMPARE else level
    if level is Level.SUM:
        right = Level.PRODUCT
    if level is Level.AND:
        right = Level.NOT
    if v.op.name in ("add", "multiply") and sign != "-" and b.level == level and a.level > level:
        a, b = b, a  # exact: both are commutative
    return Term(f"{a.at(left)} {sign} {b.at(right)}", level, v.dtype, shape)


def _negatable(t: Term) -> bool:
    return t.array is not None and t.array.dtype.kind in "fi" and t.text[1:2].isalnum()


@form("power")
def power(w: Writer, v: Value) -> Term:
    a, b = operands(w, v)
    if v.dtype.kind == "int" and b.static:
        b = opaque(w, b, v.dtype)  # an integer to a negative literal power is a float in the language
    return Term(f"{a.at(Level.POST)} ** {b.at(Level.SIGN)}", Level.POWER, v.dtype, common(w, (a, b)))


@form("negative")
def negative(w: Writer, v: Value) -> Term:
    (a,) = operands(w, v)
    return Term(f"-{a.at(Level.POWER)}", Level.SIGN, v.dtype, a.shape)


@form("logical_not")
def logical_not(w: Writer, v: Value) -> Term:
    (a,) = operands(w, v)
    return Term(f"not {a.at(Level.NOT)}", Level.NOT, v.dtype, a.shape)


@form("isnan")
def isnan(w: Writer, v: Value) -> Term:
    x = typed(w, v.operands[0])
    x = opaque(w, x, x.dtype or v.dtype) if x.static else x
    return Term(f"{x.at(Level.SUM)} != {x.at(Level.SUM)}", Level.COMPARE, BOOL, x.shape)


@form("where")
def where(w: Writer, v: Value) -> Term:
    c, a, b = (w.terms[o.index] for o in v.operands)
    a, b = fit(w, (a, b), v.dtype, False, folds=False)
    c = dtyped(w, c, BOOL)
    return Term(f"{w.use('where')}({c.text}, {a.text}, {b.text})", Level.POST, v.dtype, common(w, (c, a, b)))


@form("stop_gradient")
def stop_gradient(w: Writer, v: Value) -> Term:
    t = w.terms[v.operands[0].index]
    t = opaque(w, t, v.dtype) if t.static else dtyped(w, t, v.dtype)
    return Term(f"{w.use('stop_gradient')}({t.text})", Level.POST, v.dtype, t.shape)


@form("cast")
def cast(w: Writer, v: Value) -> Term:
    x = v.operands[0]
    t = w.terms[x.index]
    if v.index in w.graph.casts and t.dtype is not None:
        return t if t.dtype is x.dtype else dtyped(w, t, x.dtype)
    if t.dtype is not x.dtype:
        t = opaque(w, t, x.dtype) if t.static else dtyped(w, t, x.dtype)
    return Term(f"{w.use(v.dtype.name)}({t.text})", Level.POST, v.dtype, t.shape, static=t.static)


# --- leaves ------------------------------------------------------------------------------------------------------------------------


@form("constant")
def constant(w: Writer, v: Value) -> Term:
    array = v.attrs[0].array
    if array.size == 0:
        return filled(w, Term("0", Level.ATOM, None, (), "int", True, np.zeros((), array.dtype)), v.shape, v.dtype)
    t = constant_term(array, v.dtype, w.graph.literals.get(v.index))
    for word in ("nan", "inf"):
        if word in t.text:
            w.use(word)
    return t


def dim_text(w: Writer, d: DimLike) -> Term:
    text = size_text(w, d)
    level = Level.ATOM if text.isalnum() else Level.SUM if text.startswith("-") or " + " in text or " - " in text else Level.PRODUCT
    return Term(text, level, I64, static=True)


@form("dim")
def dim(w: Writer, v: Value) -> Term:
    return dim_text(w, v.attrs[0])


@form("iota")
def iota(w: Writer, v: Value) -> Term:
    size, dtype = v.attrs
    return Term(f"{w.use('arange')}({size_text(w, size)}{dtype_argument(w, dtype, I64)})", Level.POST, dtype, v.shape)


@form("normal", "uniform")
def draw(w: Writer, v: Value) -> Term:
    shape, dtype = v.attrs
    seed = v.operands[0]
    known = w.terms[seed.index].array
    if known is not None and known.size:
        text = elements_text(known) if known.size > 1 else scalar_text(known.reshape(-1)[0])
    elif seed.op.name == "concat" and w.is_plain(seed):
        text = f"[{', '.join([seed_item(w, o) for o in seed.operands])}]"
    else:
        text = seed_item(w, seed)
    return Term(f"{w.use(v.op.name)}({sizes(w, shape)}, seed={text}{dtype_argument(w, dtype, w.default_float)})", Level.POST, dtype, shape)


def seed_item(w: Writer, o: Value) -> str:
    """One item of a seed; a scalar is written as it is."""
    inner = o.operands[0] if o.op.name in ("reshape", "broadcast") and o.shape == (1,) and not o.operands[0].shape and w.is_plain(o) else o
    return typed(w, inner).text


# --- reductions --------------------------------------------------------------------------------------------------------------------


@form("sum", "max", "min", "any", "all")
def reduction(w: Writer, v: Value) -> Term:
    x, axes = v.operands[0], v.attrs[0]
    name = v.op.name
    if not axes:
        return w.terms[x.index]
    if name == "sum" and x.op.name == "cast" and x.index in w.graph.casts and x.operands[0].dtype in SUMMED_AS and w.is_plain(x) and x.dtype is I64:
        text = typed(w, x.operands[0]).text  # `sum` widens small integers itself
    else:
        text = typed(w, x).text
        if name == "sum" and x.dtype in SUMMED_AS:
            text += f", dtype={w.use(x.dtype.name)}"
    return reduced(w, v, Reduction(w.use(name), text, axes, x.shape))


def mean_of(w: Writer, v: Value) -> Term | None:
    """`sum(x) / n` over the number of elements is `mean(x)`."""
    total, count = v.operands
    if total.op.name != "sum" or not total.attrs[0] or not w.is_plain(total) or not v.dtype.floating:
        return None
    x, axes = total.operands[0], total.attrs[0]
    wanted: DimLike = 1
    for a in axes:
        wanted = wanted * x.shape[a]
    base = count
    while base.op.name in ("broadcast", "cast"):
        base = base.operands[0]
    if base.op.name == "dim":
        if base.attrs[0] != wanted or (base is not count and count.dtype is not v.dtype):
            return None
    elif const_scalar(count) != wanted:
        return None
    return reduced(w, v, Reduction(w.use("mean"), typed(w, x).text, axes, x.shape))


@form("argmax", "argmin")
def place(w: Writer, v: Value) -> Term:
    x = v.operands[0]
    axis = v.attrs[0]
    r = Reduction(w.use(v.op.name), typed(w, x).text, (axis,), x.shape)
    text = f"{r.name}({r.operand}, axis={axis})"
    return Term(text, Level.POST, v.dtype, v.shape, reduction=r if x.rank > 1 else None)


# --- derivatives -------------------------------------------------------------------------------------------------------------------


@form("jvp")
def jvp(w: Writer, v: Value) -> Term:
    n = v.attrs[0]
    y, xs, tangents = v.operands[0], v.operands[1 : 1 + n], v.operands[1 + n :]
    names, given = [w.named(x) for x in xs], [typed(w, t).text for t in tangents]
    both = f"{names[0]}, {given[0]}" if n == 1 else f"[{', '.join(names)}], [{', '.join(given)}]"
    return Term(f"{w.use('jvp')}({w.named(y)}, {both})", Level.POST, v.dtype, v.shape)


@form("part")
def part(w: Writer, v: Value) -> Term:
    made, k = v.operands[0], v.attrs[0]
    if made.op.name == "vjp":
        y, ct, target = made.operands[0], made.operands[1], made.operands[2 + k]
        if not y.shape and const_scalar(ct) == 1:
            return Term(f"{w.use('grad')}({w.named(y)}, {w.named(target)})", Level.POST, v.dtype, v.shape)
        return Term(f"{w.use('vjp')}({w.named(y)}, {w.named(target)}, {typed(w, ct).text})", Level.POST, v.dtype, v.shape)
    if made.op.name == "jacobian":
        return Term(f"{w.use('jacobian')}({w.named(made.operands[0])}, {w.named(made.operands[1 + k])})", Level.POST, v.dtype, v.shape)
    raise InternalError(f"the results of `{made.op.name}` have no names")
