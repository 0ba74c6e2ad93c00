"""How each op is written in a program: operators, indexing, `with`, reductions with their axes, and calls.

A form takes the writer of a scope and a value whose operands have terms, and gives the value's term. An op without a form here prints as a call of the surface function
of its name, after that call has been tried on operands of the same types and found to emit just this op.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, Protocol

import numpy as np

from dfg.diagnostics import InternalError
from dfg.dims import Dim, DimLike
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPS, Op, const_scalar
from dfg.ops.reduce import SUMMED_AS
from dfg.text.term import Level, Picked, Reduction, Term, as_float, atom, constant_term, default_dtype, elements_text, join, scalar_text
from dfg.types import BOOL, I64, DType, TensorType, broadcast_shapes


class Writer(Protocol):
    """What a form may ask of the scope that it prints into."""

    graph: Graph
    default_float: DType
    terms: dict[int, Term]

    def use(self, function: str) -> str:
        """The name of a function, noted as used: nothing that is bound may hide it."""

    def named(self, v: Value) -> str:
        """The name of a value, which is bound now if it was not."""

    def is_plain(self, v: Value) -> bool:
        """Whether a value is written out where it is used, under no name."""



Form = Callable[[Writer, Value], Term]
FORMS: Final[dict[str, Form]] = {}
Shape = tuple[DimLike, ...]

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


def form(*names: str) -> Callable[[Form], Form]:
    def declare(f: Form) -> Form:
        for name in names:
            FORMS[name] = f
        return f

    return declare


# --- conversions -------------------------------------------------------------------------------------------------------------------


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


# --- elementwise -------------------------------------------------------------------------------------------------------------------


def operands(w: Writer, v: Value, folds: bool = True) -> list[Term]:
    """The operands of an elementwise op as terms that promote to their dtype and broadcast to a shape that stretches to the value's."""
    return fit(w, [w.terms[o.index] for o in v.operands], v.operands[0].dtype, floats_only(v.op), folds)


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


def size_text(w: Writer, d: DimLike) -> str:
    """A size as an expression. (The least of sizes is the op `minimum` in a program; a size's own text calls it `min`.)"""
    text = str(d)
    if isinstance(d, Dim) and ("min(" in text or "max(" in text):
        text = text.replace("min(", f"{w.use('minimum')}(").replace("max(", f"{w.use('maximum')}(")
    return text


def sizes(w: Writer, shape: Sequence[DimLike]) -> str:
    return f"[{', '.join([size_text(w, d) for d in shape])}]"


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


def dtype_argument(w: Writer, dtype: DType, default: DType) -> str:
    return "" if dtype is default else f", dtype={w.use(dtype.name)}"


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
    inner = o.operands[0] if o.op.name == "reshape" and o.shape == (1,) and not o.operands[0].shape and w.is_plain(o) else o
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


def reduced(w: Writer, v: Value, r: Reduction) -> Term:
    return Term(r.text(False), Level.POST, v.dtype, v.shape, reduction=r)


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


# --- shapes ------------------------------------------------------------------------------------------------------------------------


def indexed(w: Writer, x: Value) -> Term:
    """A tensor to be indexed: brackets behind brackets would pick from a list while compiling."""
    t = typed(w, x)
    return opaque(w, t, x.dtype) if t.static and t.shape else t


def index_text(base: Term, items: Sequence[str]) -> str:
    kept = list(items)
    while kept and kept[-1] == ":":
        kept.pop()
    return f"{base.at(Level.POST)}[{', '.join(kept)}]" if kept else base.text


@form("broadcast")
def broadcast(w: Writer, v: Value) -> Term:
    shape, dims = v.attrs
    x = v.operands[0]
    t = w.terms[x.index]
    rank = len(shape)
    kept = list(dims)[len(dims) - len(t.shape) :]  # where the axes of the term go
    if kept == list(range(rank - len(t.shape), rank)):
        return t
    if t.array is not None:
        t = dtyped(w, t, v.dtype)
    r = t.reduction
    if r is not None and len(r.shape) == rank and kept == [k for k in range(rank) if k not in r.axes] and w.is_plain(x):
        return Term(r.text(True), Level.POST, t.dtype, tuple(1 if k in r.axes else d for k, d in enumerate(r.shape)))
    if x.op.name == "reshape" and w.is_plain(x):
        u = x.operands[0]
        lead = rank - u.rank
        wide = [k for k, d in enumerate(u.shape) if d != 1]
        if lead >= 0 and tuple(u.shape[k] for k in wide) == x.shape and [lead + k for k in wide] == list(dims):
            return typed(w, u)
    start = kept[0]
    w.use("newaxis")
    items = [":" if k in kept else "newaxis" for k in range(start, rank)]
    axes = iter(t.shape)
    made = tuple(next(axes) if k in kept else 1 for k in range(start, rank))
    if items.count("newaxis") == 1 and items[-1] == "newaxis" and len(items) > 2:
        items = ["...", "newaxis"]
    return Term(f"{t.at(Level.POST)}[{', '.join(items)}]", Level.POST, t.dtype, made)


@form("reshape")
def reshape(w: Writer, v: Value) -> Term:
    x = v.operands[0]
    t = w.terms[x.index]
    plain = w.is_plain(x)
    r = t.reduction
    if plain and r is not None and t.dtype is v.dtype and v.shape == tuple(1 if k in r.axes else d for k, d in enumerate(r.shape)):
        return Term(r.text(True), Level.POST, t.dtype, v.shape) if len(r.axes) or r.shape else t
    dropped = units_dropped(x.shape, v.shape)
    if dropped is not None and plain and t.picked is not None and all(t.picked.points[k] is not None for k in dropped):
        items = [t.picked.points[k] if k in dropped else item for k, item in enumerate(t.picked.items)]
        base = Term(t.picked.base, Level.POST, None)
        return Term(index_text(base, [str(i) for i in items]), Level.POST, v.dtype, v.shape)
    base = typed(w, x)
    if dropped is not None:
        where = dropped[0] if len(dropped) == 1 else dropped
        return Term(f"{w.use('squeeze')}({base.text}, axis={where})", Level.POST, v.dtype, v.shape)
    added = units_dropped(v.shape, x.shape)
    if added is not None and x.shape:
        w.use("newaxis")
        items = ["newaxis" if k in added else ":" for k in range(v.rank)]
        if added == [v.rank - 1] and v.rank > 2:
            items = ["...", "newaxis"]
        return Term(index_text(base, items), Level.POST, v.dtype, v.shape)
    return Term(f"{w.use('reshape')}({base.text}, {sizes(w, v.shape)})", Level.POST, v.dtype, v.shape)


def units_dropped(old: Shape, new: Shape) -> list[int] | None:
    """Which axes of literal size 1 are missing in `new`; None if that is not the only difference."""
    dropped: list[int] = []
    k = 0
    for axis, d in enumerate(old):
        if k < len(new) and d == new[k]:
            k += 1
        elif d == 1:
            dropped.append(axis)
        else:
            return None
    return dropped if k == len(new) and dropped else None


@form("permute")
def permute(w: Writer, v: Value) -> Term:
    x = v.operands[0]
    perm = list(v.attrs[0])
    rank = v.rank
    base = typed(w, x)
    if rank == 2 and perm == [1, 0]:
        return Term(f"{base.at(Level.POST)}.T", Level.POST, v.dtype, v.shape)
    if rank > 2 and perm == [*range(rank - 2), rank - 1, rank - 2]:
        return Term(f"{base.at(Level.POST)}.mT", Level.POST, v.dtype, v.shape)
    if x.op.name == "gather" and w.is_plain(x) and (text := gathered_in_place(w, x, perm)) is not None:
        return Term(text, Level.POST, v.dtype, v.shape)
    return Term(f"{w.use('permute_dims')}({base.text}, {perm})", Level.POST, v.dtype, v.shape)


@form("flip")
def flip(w: Writer, v: Value) -> Term:
    axes = list(v.attrs[0])
    x = typed(w, v.operands[0])
    if not axes:
        return x
    where = "" if len(axes) == v.rank else f", axis={axes[0] if len(axes) == 1 else axes}"
    return Term(f"{w.use('flip')}({x.text}{where})", Level.POST, v.dtype, v.shape)


@form("concat")
def concat(w: Writer, v: Value) -> Term:
    axis = v.attrs[0]
    xs = v.operands
    if len(xs) > 1 and all(x.op.name == "reshape" and w.is_plain(x) and x.shape[axis] == 1 for x in xs):
        inner = [x.operands[0] for x in xs]
        if all(u.shape == (*v.shape[:axis], *v.shape[axis + 1 :]) for u in inner):
            texts = ", ".join([typed(w, u).text for u in inner])
            return Term(f"{w.use('stack')}([{texts}]{f', axis={axis}' if axis else ''})", Level.POST, v.dtype, v.shape)
    texts = ", ".join([typed(w, x).text for x in xs])
    return Term(f"{w.use('concat')}([{texts}]{f', axis={axis}' if axis else ''})", Level.POST, v.dtype, v.shape)


# --- windows and indices -----------------------------------------------------------------------------------------------------------


def window(w: Writer, shape: Shape, starts: Sequence[DimLike], counts: Sequence[DimLike], strides: Sequence[int]) -> tuple[list[str], list[str | None]]:
    """Items of an index for windows of axes, and for an axis of size 1 the number that picks it."""
    items: list[str] = []
    points: list[str | None] = []
    for n, start, size, stride in zip(shape, starts, counts, strides, strict=True):
        step = f":{stride}" if stride != 1 else ""
        # The last element's successor; where that leaves the steps as many as they are, the axis's end says it shorter.
        stop = start + (size - 1) * stride + 1 if size != 0 else start
        to_end = (n - start + stride - 1) // stride == size
        lower = "" if start == 0 else size_text(w, start)
        upper = "" if to_end else size_text(w, stop)
        items.append(f"{lower}:{upper}{step}")
        points.append(size_text(w, start) if size == 1 else None)
    return items, points


@form("slice")
def slice_(w: Writer, v: Value) -> Term:
    x = v.operands[0]
    base = indexed(w, x)
    items, points = window(w, x.shape, *v.attrs)
    if all(item == ":" for item in items):
        return base
    picked = Picked(base.at(Level.POST), tuple(items), tuple(points))
    return Term(index_text(base, items), Level.POST, v.dtype, v.shape, picked=picked)


@form("update")
def update(w: Writer, v: Value) -> Term:
    x, u = v.operands
    items, _ = window(w, x.shape, v.attrs[0], u.shape, v.attrs[1])
    return put(w, v, typed(w, x), items, "=", u, v.shape)


def put(w: Writer, v: Value, base: Term, items: Sequence[str], sign: str, u: Value, shape: Shape) -> Term:
    t = w.terms[u.index]
    if not (t.array is not None and t.array.ndim == 0 and t.dtype is None and (t.kind != "float" or v.dtype.floating)):
        t = typed(w, u)
    kept = list(items)
    while len(kept) > 1 and kept[-1] == ":":
        kept.pop()
    return Term(f"{base.at(Level.WITH)} with [{', '.join(kept) or '...'}] {sign} {t.at(Level.OR)}", Level.WITH, v.dtype, shape)


def fronted(w: Writer, x: Value, axes: Sequence[int], batch: int) -> tuple[Term, list[int]]:
    """A tensor with its batch axes first, then the indexed ones, and the order that does it."""
    order = [*range(batch), *axes, *[k for k in range(batch, x.rank) if k not in axes]]
    base = indexed(w, x)
    if order == list(range(x.rank)):
        return base, order
    shape = tuple(x.shape[k] for k in order)
    if order == [1, 0]:
        return Term(f"{base.at(Level.POST)}.T", Level.POST, x.dtype, shape), order
    return Term(f"{w.use('permute_dims')}({base.text}, {order})", Level.POST, x.dtype, shape), order


def index_items(w: Writer, x: Value, axes: Sequence[int], indices: Sequence[Value], batch: int) -> list[str]:
    """The index arrays; batch axes are counted along."""
    shape = indices[0].shape
    items = []
    for b in range(batch):
        counted = f"{w.use('arange')}({size_text(w, shape[b])})"
        tail = len(shape) - b - 1
        items.append(f"{counted}[{', '.join([':', *[w.use('newaxis')] * tail])}]" if tail else counted)
    return [*items, *[index_operand(w, i, x.shape[a]) for i, a in zip(indices, axes, strict=True)]]


def index_operand(w: Writer, i: Value, n: DimLike) -> str:
    """An index. One that is known while compiling is checked then, where this one is checked while running: if it is outside, it is hidden."""
    t = w.terms[i.index]
    if not t.static:
        return typed(w, i).text
    if t.array is not None:
        low, high = (int(t.array.min()), int(t.array.max())) if t.array.size else (0, 0)
        inside = isinstance(n, Dim) or -n <= low <= high < n or not t.array.size
    else:
        inside = False
    return typed(w, i).text if inside and t.shape == i.shape else opaque(w, typed(w, i), I64).text


@form("gather")
def gather(w: Writer, v: Value) -> Term:
    x, *indices = v.operands
    axes, batch = v.attrs
    if batch == 0 and len(axes) == 1 and indices[0].rank == 0:
        items = [":"] * axes[0] + index_items(w, x, axes, indices, 0)
        return Term(index_text(indexed(w, x), items), Level.POST, v.dtype, v.shape)
    base, _ = fronted(w, x, axes, batch)
    return Term(f"{base.at(Level.POST)}[{', '.join(index_items(w, x, axes, indices, batch))}]", Level.POST, v.dtype, v.shape)


def gathered_in_place(w: Writer, g: Value, perm: list[int]) -> str | None:
    """`x[:, idx]`: a gather whose index axes are moved to where the indexed axes were, as NumPy places them."""
    x, *indices = g.operands
    axes, batch = g.attrs
    if batch or list(axes) != list(range(axes[0], axes[0] + len(axes))):
        return None
    lead, k = axes[0], indices[0].rank
    if perm != [*range(k, k + lead), *range(k), *range(k + lead, g.rank)]:
        return None
    return f"{indexed(w, x).at(Level.POST)}[{', '.join([':'] * lead + index_items(w, x, axes, indices, 0))}]"


@form("scatter")
def scatter(w: Writer, v: Value) -> Term:
    x, u, *indices = v.operands
    axes, batch, mode = v.attrs
    base, order = fronted(w, x, axes, batch)
    items = index_items(w, x, axes, indices, batch)
    shape = tuple(x.shape[k] for k in order)
    if mode == "add" and v.dtype is BOOL:
        # Adding truth values is or-ing them: counted as whole numbers.
        counted = f"{w.use('i64')}({base.text}) with [{', '.join(items)}] += {w.use('i64')}({typed(w, u).text})"
        made = Term(f"{w.use('bool')}({counted})", Level.POST, BOOL, shape)
    else:
        made = put(w, v, base, items, "+=" if mode == "add" else "=", u, shape)
    if order == list(range(x.rank)):
        return made
    back = [order.index(k) for k in range(x.rank)]
    return Term(f"{w.use('permute_dims')}({made.text}, {back})", Level.POST, v.dtype, v.shape)


# --- products ----------------------------------------------------------------------------------------------------------------------


@form("contract")
def contract(w: Writer, v: Value) -> Term:
    """`@` where the contraction is a product of matrices or vectors (over equal leading axes), `einsum` otherwise."""
    subs = v.attrs[0]
    left, rest = subs.split(",")
    right, result = rest.split("->")
    fitted = fit(w, [shaped(w, o) for o in v.operands], v.dtype, False)
    a, b = ((left, fitted[0]), (right, fitted[1]))
    summed = [c for c in left if c in right and c not in result]
    lead = 0
    while lead < len(result) and left[lead : lead + 1] == right[lead : lead + 1] == result[lead]:
        lead += 1
    if len(summed) == 1:
        j = summed[0]
        for (x, s), (y, t) in ((a, b), (b, a)):
            head, tail_x, tail_y, tail = x[:lead], x[lead:], y[lead:], result[lead:]
            i, k = tail_x.replace(j, ""), tail_y.replace(j, "")
            if len(i) > 1 or len(k) > 1 or i + k != tail or (lead and (not i or not k)) or y[:lead] != head:
                continue
            one = s.at(Level.PRODUCT) if tail_x == i + j else f"{s.at(Level.POST)}.{'mT' if lead else 'T'}"
            two = t.at(Level.SIGN) if tail_y == j + k else f"{t.at(Level.POST)}.{'mT' if lead else 'T'}"
            return Term(f"{one} @ {two}", Level.PRODUCT, v.dtype, v.shape)
    return Term(f'{w.use("einsum")}("{subs}", {fitted[0].text}, {fitted[1].text})', Level.POST, v.dtype, v.shape)


def shaped(w: Writer, o: Value) -> Term:
    """A term of the shape of a value, and no literal; its dtype may be promoted."""
    t = w.terms[o.index]
    if t.dtype is None or t.static or t.shape != o.shape:
        return typed(w, o)
    return t


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


# --- everything else ---------------------------------------------------------------------------------------------------------------


def call_text(w: Writer, v: Value) -> str:
    """A call of the surface function of an op's name, after trying that it emits this op."""
    from dfg.ops.surface import FUNCTIONS

    function = FUNCTIONS.get(v.op.name)
    if function is None:
        raise InternalError(f"the op `{v.op.name}` has no readable form")
    parameters = list(function.signature.parameters.values())
    known = {p.name for p in parameters}
    keywords: dict[str, Any] = {}
    for spec, value in zip(v.op.attrs, v.attrs, strict=True):
        name = spec.name if spec.name in known else {"axes": "axis", "axis": "axes"}.get(spec.name, spec.name)
        keywords[name] = value
    listed = bool(parameters) and parameters[0].kind is not parameters[0].VAR_POSITIONAL and str(
        getattr(parameters[0].annotation, "__metadata__", ("",))[0]) == "operands"
    if not _emits(v, keywords, listed):
        raise InternalError(f"the op `{v.op.name}` has no readable form for {v!r}")
    if v.op.elementwise:
        terms = operands(w, v)
    else:
        terms = [typed(w, o) for o in v.operands]
    texts = [t.text for t in terms]
    inner = f"[{', '.join(texts)}]" if listed else ", ".join(texts)
    tail = "".join(f", {name}={static_text(w, value)}" for name, value in keywords.items())
    return f"{w.use(v.op.name)}({inner}{tail})"


def _emits(v: Value, keywords: dict[str, Any], listed: bool) -> bool:
    """Whether the surface function on operands of these types emits this op on them."""
    from dfg.ops.surface import Surface, call

    g = Graph(v.graph.facts)
    leaves = [g.emit(OPS["input"], (), (f"x{k}", o.type)) for k, o in enumerate(v.operands)]
    try:
        made = call(Surface(g), v.op.name, [leaves] if listed else leaves, keywords)
    except InferError:
        return False
    if isinstance(made, tuple | list):
        made = made[0].operands[0] if made and made[0].op.name == "part" else made
    return isinstance(made, Value) and made.op is v.op and made.attrs == v.attrs and made.operands == tuple(leaves)


def static_text(w: Writer, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "none"
    if isinstance(value, DType):
        return w.use(value.name)
    if isinstance(value, int | Dim):
        return str(value)
    if isinstance(value, float):
        return scalar_text(np.float64(value))
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join([static_text(w, x) for x in value])}]"
    raise InternalError(f"the argument {value!r} has no text")


def term_of(w: Writer, v: Value) -> Term:
    """The term of a value whose operands have terms."""
    made = FORMS.get(v.op.name)
    if made is not None:
        return made(w, v)
    if v.op.elementwise:
        shape = common(w, operands(w, v))
        return Term(call_text(w, v), Level.POST, v.dtype, shape)
    return Term(call_text(w, v), Level.POST, v.dtype, v.shape)


__all__ = ["FORMS", "OPERATORS", "Writer", "atom", "call_text", "dim_text", "fit", "stretched", "term_of", "typed"]
