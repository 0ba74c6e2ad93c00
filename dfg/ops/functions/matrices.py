"""Matrices by place and products of shapes: triangles, diagonals, outer and tensor products, windows, grids."""

from __future__ import annotations

from dfg.dims import DimLike, dim_max, dim_min
from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.contract import LETTERS, canonical
from dfg.ops.functions.common import count_of
from dfg.ops.functions.expr import Expr
from dfg.ops.functions.products import contract_values
from dfg.ops.functions.shaping import at_least_rank, counts, roll_axis, whole
from dfg.ops.linalg import keep_triangle
from dfg.ops.movement import broadcast_along, emit_permute, emit_reshape
from dfg.ops.surface import Arg, Axis, AxisList, Literal, Static, Surface, Word, axis_number, axis_numbers, function, plain, shape_of

# --- triangles and diagonals -----------------------------------------------------------------------------------------------------------


def _triangle(cx: Surface, x: Arg, k: Static, lower: bool) -> Value:
    name = "tril" if lower else "triu"
    v = cx.value(x)
    if v.rank == 1:
        v = cx.stretch(v, (v.shape[0], v.shape[0]))
    if v.rank < 2:
        raise InferError("rank-mismatch", f"`{name}` takes matrices, not {v.type}", [("x", f"this is {v.type}")])
    offset = whole(k, name, "k")
    if offset == 0 and v.dtype.floating:
        return keep_triangle(v, lower)
    rows = broadcast_along(counts(cx, v.shape[-2]), v.shape, (v.rank - 2,))
    columns = broadcast_along(counts(cx, v.shape[-1]), v.shape, (v.rank - 1,))
    inside = rows + offset >= columns if lower else rows + offset <= columns
    zero = broadcast_along(cx.literal(Literal("bool", False) if v.dtype.kind == "bool" else Literal("int", 0), v.dtype), v.shape, ())
    return OPS["where"](inside, v, zero)


@function("tril")
def tril(cx: Surface, x: Arg, k: Static = 0) -> Value:
    """The lower triangle of matrices, up to the k-th diagonal above the main one; 0 elsewhere."""
    return _triangle(cx, x, k, True)


@function("triu")
def triu(cx: Surface, x: Arg, k: Static = 0) -> Value:
    """The upper triangle of matrices, from the k-th diagonal above the main one; 0 elsewhere."""
    return _triangle(cx, x, k, False)


def _diagonal_size(rows: DimLike, columns: DimLike, offset: int) -> DimLike:
    r = rows + min(offset, 0)
    c = columns - max(offset, 0)
    if isinstance(r, int) and isinstance(c, int):
        return max(0, min(r, c))
    if r == c:
        return r if offset == 0 else dim_max(r, 0)
    return dim_max(dim_min(r, c), 0)


@function("diagonal")
def diagonal(cx: Surface, x: Arg, offset: Static = 0, axis1: Axis = 0, axis2: Axis = 1) -> Value:
    """The diagonal of two axes, `offset` places above the main one, as the last axis."""
    v = cx.value(x)
    i, j = axis_number(axis1, v.rank, "diagonal", "axis1"), axis_number(axis2, v.rank, "diagonal", "axis2")
    if i == j:
        raise InferError("bad-argument", "`diagonal` takes two different axes", [("axis2", "this one")])
    k = whole(offset, "diagonal", "offset")
    n = counts(cx, _diagonal_size(v.shape[i], v.shape[j], k))
    first = n - min(k, 0) if k < 0 else n
    second = n + k if k > 0 else n
    pairs = sorted(((i, first), (j, second)), key=lambda p: p[0])
    taken = OPS["gather"](v, pairs[0][1], pairs[1][1], axes=(pairs[0][0], pairs[1][0]), batch=0)
    return emit_permute(taken, [*range(1, taken.rank), 0])


@function("diag_embed")
def diag_embed(cx: Surface, x: Arg, offset: Static = 0, axis1: Axis = -2, axis2: Axis = -1) -> Value:
    """Matrices with the last axis of x on a diagonal, 0 elsewhere, at two axes of the result."""
    v = cx.value(x)
    if v.rank == 0:
        raise InferError("rank-mismatch", "`diag_embed` takes vectors, not a scalar", [("x", f"this is {v.type}")])
    k = whole(offset, "diag_embed", "offset")
    i, j = axis_number(axis1, v.rank + 1, "diag_embed", "axis1"), axis_number(axis2, v.rank + 1, "diag_embed", "axis2")
    if i == j:
        raise InferError("bad-argument", "`diag_embed` takes two different axes", [("axis2", "this one")])
    n = v.shape[-1]
    side = n + abs(k)
    lead = v.rank - 1
    zeros = cx.full((*v.shape[:-1], side, side), Literal("bool", False) if v.dtype.kind == "bool" else Literal("int", 0), v.dtype)
    c = counts(cx, n)
    first = c + -k if k < 0 else c
    second = c + k if k > 0 else c
    # Places repeat for no two elements, so that adding is putting.
    spread = OPS["scatter"](
        zeros, emit_permute(v, [lead, *range(lead)]), first, second, axes=(lead, lead + 1), batch=0, mode="set" if v.dtype.kind == "bool" else "add"
    )
    order = [a for a in range(v.rank + 1) if a not in (lead, lead + 1)]
    for place, axis in sorted(((i, lead), (j, lead + 1))):
        order.insert(place, axis)
    return emit_permute(spread, order)


@function("diag")
def diag(cx: Surface, x: Arg, k: Static = 0) -> Value:
    """The matrix with a vector on its k-th diagonal, or that diagonal of a matrix."""
    v = cx.value(x)
    if v.rank == 1:
        return diag_embed(cx, v, k)
    if v.rank != 2:
        raise InferError("rank-mismatch", f"`diag` takes a vector or a matrix, not {v.type}", [("x", f"this is {v.type}")])
    return diagonal(cx, v, k)


# --- products of shapes --------------------------------------------------------------------------------------------------------------


@function("outer")
def outer(cx: Surface, x: Arg, y: Arg) -> Value:
    """Products of each element of x with each of y, both flattened."""
    a, b = (emit_reshape(v, (count_of(v, range(v.rank)),)) for v in cx.promote((x, y), "outer"))
    return OPS["contract"](a, b, subs="a,b->ab")


@function("inner")
def inner(cx: Surface, x: Arg, y: Arg) -> Value:
    """Sums of products over the last axes."""
    a, b = cx.promote((x, y), "inner")
    if a.rank == 0 or b.rank == 0:
        return (Expr(cx, a) * Expr(cx, b)).v
    return tensordot(cx, a, b, ((a.rank - 1,), (b.rank - 1,)))


@function("dot")
def dot(cx: Surface, x: Arg, y: Arg) -> Value:
    """As `np.dot`: the sum over the last axis of x and the second to last of y (the only one of a vector)."""
    a, b = cx.promote((x, y), "dot")
    if a.rank == 0 or b.rank == 0:
        return (Expr(cx, a) * Expr(cx, b)).v
    return tensordot(cx, a, b, ((a.rank - 1,), (max(b.rank - 2, 0),)))


@function("tensordot")
def tensordot(cx: Surface, x: Arg, y: Arg, axes: Static = 2) -> Value:
    """Sums of products over the last axes of x and the first of y (so many), or over the axes given for each."""
    a, b = cx.promote((x, y), "tensordot")
    given = plain(axes)
    if isinstance(given, int) and not isinstance(given, bool):
        if given < 0 or given > min(a.rank, b.rank):
            raise InferError("bad-argument", f"`tensordot` cannot sum {given} axes of {a.type} and {b.type}", [("axes", "this one")])
        left, right = tuple(range(a.rank - given, a.rank)), tuple(range(given))
    else:
        if not isinstance(given, tuple) or len(given) != 2:
            raise InferError("bad-argument", "`tensordot` takes a number of axes, or the axes of each operand", [("axes", "this one")])
        left, right = (g if isinstance(g, tuple) else (g,) for g in given)
    if len(left) != len(right):
        raise InferError("bad-argument", "`tensordot` takes as many axes of one operand as of the other", [("axes", "this one")])
    ia = [axis_number(k, a.rank, "tensordot", "axes") for k in left]
    ib = [axis_number(k, b.rank, "tensordot", "axes") for k in right]
    if len(set(ia)) != len(ia) or len(set(ib)) != len(ib):
        raise InferError("bad-argument", "`tensordot`: an axis is named twice", [("axes", "this one")])
    first = list(LETTERS[: a.rank])
    second = list(LETTERS[a.rank : a.rank + b.rank])
    for p, q in zip(ia, ib, strict=True):
        second[q] = first[p]
    free = [c for k, c in enumerate(first) if k not in ia] + [c for k, c in enumerate(second) if k not in ib]
    if a.dtype.kind == "bool":
        raise InferError("wrong-dtype", "`tensordot` takes numbers, not bool", [("x", f"this is {a.type}")])
    return contract_values(a, b, f"{''.join(first)},{''.join(second)}->{''.join(free)}")


@function("kron")
def kron(cx: Surface, x: Arg, y: Arg) -> Value:
    """The Kronecker product: blocks of y, each times an element of x."""
    a, b = cx.promote((x, y), "kron")
    rank = max(a.rank, b.rank)
    a, b = at_least_rank(cx, a, rank), at_least_rank(cx, b, rank)
    p, q = LETTERS[:rank], LETTERS[rank : 2 * rank]
    mixed = "".join(c + d for c, d in zip(p, q, strict=True))
    made = OPS["contract"](a, b, subs=canonical(f"{p},{q}->{mixed}")) if rank else OPS["multiply"](a, b)
    return emit_reshape(made, tuple(m * n for m, n in zip(a.shape, b.shape, strict=True)))


@function("cross")
def cross(cx: Surface, x: Arg, y: Arg, axis: Axis = -1) -> Value:
    """The cross product of vectors of three elements along an axis."""
    a, b = cx.broadcast(cx.promote((x, y), "cross"), "cross")
    if a.rank == 0:
        raise InferError("rank-mismatch", "`cross` takes vectors, not scalars", [("x", f"this is {a.type}")])
    k = axis_number(axis, a.rank, "cross")
    if a.shape[k] != 3:
        raise InferError("shape-mismatch", f"`cross` takes vectors of 3 elements, and axis {k} has {a.shape[k]}", [("x", f"this is {a.type}")])

    def turned(v: Value, by: int) -> Value:
        return roll_axis(cx, v, -by, k)

    return turned(a, 1) * turned(b, 2) - turned(a, 2) * turned(b, 1)


# --- windows -------------------------------------------------------------------------------------------------------------------------


@function("sliding_window_view")
def sliding_window_view(cx: Surface, x: Arg, window_shape: Static, axis: AxisList = None, step: Static = 1) -> Value:
    """All windows of a size along an axis (or of sizes along axes), every `step` places; the windows' own axes come last. It copies what overlaps."""
    v = cx.value(x)
    sizes = shape_of(window_shape, "sliding_window_view", "window_shape")
    given = plain(axis)
    axes = tuple(axis_number(a, v.rank, "sliding_window_view") for a in given) if isinstance(given, tuple) else axis_numbers(axis, v.rank, "sliding_window_view")
    if len(sizes) != len(axes):
        raise InferError("bad-argument", f"`sliding_window_view` takes {len(axes)} sizes", [("window_shape", "this one")])
    stride = whole(step, "sliding_window_view", "step")
    if stride < 1:
        raise InferError("bad-argument", "`sliding_window_view` takes a step above 0", [("step", "this one")])
    for k, size in zip(axes, sizes, strict=True):
        n = v.shape[k]
        cx.graph.need(size, 0, "a window is not negative", "bad-argument", [("window_shape", "this one")])
        cx.graph.need(n, size, f"a window fits into axis {k}", "out-of-bounds", [("window_shape", f"axis {k} has size {n}")])
        number = (n - size) // stride + 1
        last = v.rank - 1
        v = emit_permute(v, [*[a for a in range(v.rank) if a != k], k])
        v = OPS["windows"](v, window=(size,), sizes=(number,), before=(0,), strides=(stride,), dilation=(1,))
        v = emit_permute(v, [*range(k), last, *range(k, last), last + 1])
    return v


@function("meshgrid")
def meshgrid(cx: Surface, *arrays: Arg, indexing: Word = "xy") -> tuple[Value, ...]:
    """Coordinates of a grid from vectors: one tensor for each, with the axes in the order of the vectors ("ij"), or the first two exchanged ("xy")."""
    if len(arrays) == 1 and isinstance(arrays[0], list | tuple):
        arrays = tuple(arrays[0])
    kind = plain(indexing)
    if kind not in ("xy", "ij"):
        raise InferError("bad-argument", '`meshgrid` takes "xy" or "ij" as `indexing`', [("indexing", "this one")])
    values = [at_least_rank(cx, cx.value(a), 1) for a in arrays]
    for position, v in enumerate(values):
        if v.rank != 1:
            raise InferError("rank-mismatch", f"`meshgrid` takes vectors, not {v.type}", [(position, f"this is {v.type}")])
    order = list(range(len(values)))
    if kind == "xy" and len(values) > 1:
        order[0], order[1] = 1, 0
    shape = [v.shape[0] for v in values]
    if kind == "xy" and len(values) > 1:
        shape[0], shape[1] = shape[1], shape[0]
    return tuple(broadcast_along(v, tuple(shape), (order[k],)) for k, v in enumerate(values))

