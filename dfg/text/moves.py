"""How ops that move elements, and products, are written: `x[:, newaxis]`, `x.T`, `x[1:3, idx]`, `x with [idx] += v`, `x @ w`."""

from __future__ import annotations

from collections.abc import Sequence

from dfg.dims import Dim, DimLike
from dfg.ir import Value
from dfg.text.convert import Shape, Writer, dtyped, fit, form, opaque, size_text, sizes, typed
from dfg.text.term import Level, Picked, Term
from dfg.types import BOOL, I64

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
        picks = [str(t.picked.points[k]) if k in dropped else item for k, item in enumerate(t.picked.items)]
        return Term(index_text(Term(t.picked.base, Level.POST, None), picks), Level.POST, v.dtype, v.shape)
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
