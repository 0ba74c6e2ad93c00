"""The surface functions of the primitive ops: what a program calls to get arithmetic, reductions, shapes, products and draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dfg.dims import DimLike
from dfg.ir import InferError, Value
from dfg.ops.base import OPS, project
from dfg.ops.contract import LETTERS, canonical
from dfg.ops.elementwise import emit_cast
from dfg.ops.movement import broadcast_along, emit_permute, emit_reshape, sum_over
from dfg.ops.reduce import SUMMED_AS
from dfg.ops.surface import (
    Arg,
    Args,
    Axis,
    AxisList,
    DTypeArg,
    Flag,
    Literal,
    Shape,
    Static,
    Surface,
    Word,
    axis_number,
    axis_numbers,
    dtype_of,
    function,
    plain,
    shape_of,
)
from dfg.types import BOOL, I64, DType

# --- elementwise -------------------------------------------------------------------------------------------------------------------


def _doc(name: str) -> str:
    return OPS[name].doc


def declare_binary(
    name: str,
    *aliases: str,
    op: str | None = None,
    floating: bool = False,
    fold: Callable[..., Any] | None = None,
    default: str | None = None,
) -> None:
    """Declare an elementwise function of two operands that promote and broadcast."""
    target = op or name

    def f(cx: Surface, x: Arg, y: Arg) -> Value:
        if default is not None and all(
            (isinstance(v, Value) and v.dtype is BOOL) or (isinstance(v, Literal) and v.kind == "bool") for v in (x, y)
        ):
            raise InferError("wrong-dtype", f"`{name}` takes numbers, not bool", [("x", "this is bool")], help=default)
        return cx.elementwise(target, (x, y), floating)

    f.__doc__ = _doc(target)
    function(name, *aliases, fold=fold)(f)


def declare_unary(name: str, *aliases: str, op: str | None = None, floating: bool = True, fold: Callable[..., Any] | None = None) -> None:
    """Declare an elementwise function of one operand; integers become the default float where the op is of floats."""
    target = op or name

    def f(cx: Surface, x: Arg) -> Value:
        return cx.elementwise(target, (x,), floating)

    f.__doc__ = _doc(target)
    function(name, *aliases, fold=fold)(f)


_BOOL_HELP = "convert it first: `i64(…)`; or use `and`, `or`, `not`"
declare_binary("add", fold=np.add, default=_BOOL_HELP)
declare_binary("subtract", fold=np.subtract, default=_BOOL_HELP)
declare_binary("multiply", fold=np.multiply, default=_BOOL_HELP)
declare_binary("divide", floating=True, fold=np.divide)
declare_binary("floor_divide", fold=lambda a, b: np.floor_divide(a, b), default=_BOOL_HELP)
declare_binary("remainder", fold=np.remainder, default=_BOOL_HELP)
declare_binary("maximum", fold=np.maximum)
declare_binary("minimum", fold=np.minimum)
for _name, _f in (
    ("equal", np.equal),
    ("not_equal", np.not_equal),
    ("less", np.less),
    ("less_equal", np.less_equal),
    ("greater", np.greater),
    ("greater_equal", np.greater_equal),
):
    declare_binary(_name, fold=_f)
for _name, _aliases in (("exp", ()), ("log", ()), ("sqrt", ()), ("tanh", ()), ("sin", ()), ("cos", ())):
    declare_unary(_name, *_aliases, fold=getattr(np, _name))


def _fold_power(x: Any, y: Any) -> Any:
    if isinstance(x, int) and isinstance(y, int):
        return x**y if y >= 0 else float(x) ** y
    return np.power(np.asarray(x, np.float64) if np.any(np.asarray(y) < 0) else x, y)


@function("power", "pow", fold=_fold_power)
def power(cx: Surface, x: Arg, y: Arg) -> Value:
    """x to the power y, elementwise. An integer to a negative literal power is a float."""
    if isinstance(y, Literal) and y.kind == "int" and np.any(np.asarray(y.value) < 0) and cx.join([x]).kind == "int":
        return cx.elementwise("power", (x, Literal("float", y.value, y.text)), True)
    return cx.elementwise("power", (x, y))


@function("negative", fold=np.negative)
def negative(cx: Surface, x: Arg) -> Value:
    """The negative, elementwise; unsigned integers wrap."""
    v = cx.value(x)
    if v.dtype is BOOL:
        raise InferError("wrong-dtype", "a bool has no negative", [("x", "this is bool")], help="`not x` is the other truth value")
    return cx.elementwise("subtract", (Literal("int", 0), v)) if v.dtype.name == "u8" else OPS["negative"](v)


@function("positive", fold=lambda x: x)
def positive(cx: Surface, x: Arg) -> Value:
    """The same number."""
    return cx.value(x)


def _logical(name: str) -> None:
    def f(cx: Surface, x: Arg, y: Arg) -> Value:
        return cx.elementwise(name, _bools(cx, (x, y), name))

    f.__doc__ = _doc(name)
    function(name, fold={"logical_and": lambda a, b: np.logical_and(a, b), "logical_or": lambda a, b: np.logical_or(a, b)}[name])(f)


def _bools(cx: Surface, operands: Sequence[Any], name: str) -> list[Value]:
    values = [cx.value(o) for o in operands]
    for v, argument in zip(values, ("x", "y"), strict=False):
        if v.dtype is not BOOL:
            raise InferError(
                "wrong-dtype",
                f"`{name.removeprefix('logical_')}` takes bool, not {v.dtype}",
                [(argument, f"this is {v.type}")],
                help="compare it: `x != 0`",
            )
    return values


_logical("logical_and")
_logical("logical_or")


@function("logical_not", fold=np.logical_not)
def logical_not(cx: Surface, x: Arg) -> Value:
    """Logical not, elementwise."""
    return OPS["logical_not"](_bools(cx, (x,), "logical_not")[0])


@function("where")
def where(cx: Surface, condition: Arg, x: Arg, y: Arg) -> Value:
    """x where the condition holds, else y, elementwise, broadcast together. A branch that is not chosen contributes nothing to a gradient."""
    c = cx.value(condition)
    if c.dtype is not BOOL:
        raise InferError(
            "wrong-dtype",
            f"the condition of `where` is bool, not {c.dtype}",
            [("condition", f"this is {c.type}")],
            help="compare it: `x != 0`",
        )
    a, b = cx.promote((x, y), "where")
    return OPS["where"](*cx.broadcast((c, a, b), "where"))


@function("stop_gradient")
def stop_gradient(cx: Surface, x: Arg) -> Value:
    """The same value, through which no gradient flows."""
    return OPS["stop_gradient"](cx.value(x))


@function("astype")
def astype(cx: Surface, x: Arg, dtype: DTypeArg) -> Value:
    """Conversion to a dtype, elementwise; a literal is rounded once."""
    d = dtype_of(dtype, "astype")
    assert d is not None
    if isinstance(x, Literal) and (d.floating or x.kind != "float"):
        return cx.literal(x, d)
    return emit_cast(cx.value(x), d)


# --- reductions ----------------------------------------------------------------------------------------------------------------------


def keep(x: Value, reduced: Value, axes: Sequence[int], keepdims: Any) -> Value:
    """A reduction's result with the reduced axes kept at size 1 if asked for."""
    if not plain(keepdims):
        return reduced
    return emit_reshape(reduced, tuple(1 if k in axes else d for k, d in enumerate(x.shape)))


@function("sum")
def sum_(cx: Surface, x: Arg, axis: AxisList = None, dtype: DTypeArg = None, keepdims: Flag = False) -> Value:
    """Sum over axes (all of them by default). Sums of bool, u8 and i32 are i64."""
    v = cx.value(x)
    d = dtype_of(dtype, "sum")
    if d is not None:
        v = emit_cast(v, d)
    elif v.dtype in SUMMED_AS:
        v = cx.cast(v, SUMMED_AS[v.dtype], f"`sum` of {v.dtype}")
    axes = axis_numbers(axis, v.rank, "sum")
    return keep(v, OPS["sum"](v, axes=axes) if axes else v, axes, keepdims)


def count_of(v: Value, axes: Sequence[int]) -> DimLike:
    total: DimLike = 1
    for a in axes:
        total = total * v.shape[a]
    return total


def dim_value(cx: Surface, d: DimLike, dtype: DType = I64) -> Value:
    """A size as a scalar of a dtype: a constant where it is known."""
    if isinstance(d, int):
        return cx.literal(Literal("int", d), dtype)
    return emit_cast(cx.graph.emit(OPS["dim"], (), (d,)), dtype)


@function("mean")
def mean(cx: Surface, x: Arg, axis: AxisList = None, keepdims: Flag = False) -> Value:
    """Arithmetic mean over axes (all of them by default); of integers it is the default float."""
    (v,) = cx.promote((x,), "mean", floating=True)
    axes = axis_numbers(axis, v.rank, "mean")
    total = sum_over(v, axes)
    count = dim_value(cx, count_of(v, axes), v.dtype)
    return keep(v, total / broadcast_along(count, total.shape, ()), axes, keepdims)


def _declare_extreme(name: str) -> None:
    def f(cx: Surface, x: Arg, axis: AxisList = None, keepdims: Flag = False) -> Value:
        v = cx.value(x)
        axes = axis_numbers(axis, v.rank, name)
        return keep(v, OPS[name](v, axes=axes) if axes else v, axes, keepdims)

    f.__doc__ = _doc(name) + " All axes by default; an empty axis has none."
    function(name)(f)


_declare_extreme("max")
_declare_extreme("min")


def _declare_truth(name: str) -> None:
    def f(cx: Surface, x: Arg, axis: AxisList = None, keepdims: Flag = False) -> Value:
        v = emit_cast(cx.value(x), BOOL)
        axes = axis_numbers(axis, v.rank, name)
        return keep(v, OPS[name](v, axes=axes) if axes else v, axes, keepdims)

    f.__doc__ = _doc(name) + " All axes by default."
    function(name)(f)


_declare_truth("any")
_declare_truth("all")


def _declare_place(name: str) -> None:
    def f(cx: Surface, x: Arg, axis: Axis = None, keepdims: Flag = False) -> Value:
        v = cx.value(x)
        if plain(axis) is None:
            flat = emit_reshape(v, (count_of(v, range(v.rank)),))
            return keep(v, OPS[name](flat, axis=0), range(v.rank), keepdims)
        k = axis_number(axis, v.rank, name)
        return keep(v, OPS[name](v, axis=k), (k,), keepdims)

    f.__doc__ = _doc(name) + " Without an axis, in the flattened tensor."
    function(name)(f)


_declare_place("argmax")
_declare_place("argmin")

# --- shapes --------------------------------------------------------------------------------------------------------------------------


@function("reshape")
def reshape(cx: Surface, x: Arg, shape: Shape) -> Value:
    """The same elements in the same order under another shape; one size may be -1."""
    v = cx.value(x)
    sizes = list(shape_of(shape, "reshape"))
    if -1 in sizes:
        k = sizes.index(-1)
        if sizes.count(-1) > 1:
            raise InferError("bad-argument", "`reshape` can work out one size, not two", [("shape", "this one")])
        rest: DimLike = 1
        for d in sizes[:k] + sizes[k + 1 :]:
            rest = rest * d
        total = count_of(v, range(v.rank))
        if rest == 0:
            raise InferError("bad-argument", "`reshape` cannot work out a size beside one that is 0", [("shape", "this one")])
        sizes[k] = total // rest
    return emit_reshape(v, tuple(sizes))


@function("permute_dims", "transpose")
def permute_dims(cx: Surface, x: Arg, axes: Static = None) -> Value:
    """The axes in another order; reversed by default."""
    v = cx.value(x)
    given = plain(axes)
    if given is None:
        return emit_permute(v, range(v.rank)[::-1])
    order = [axis_number(a, v.rank, "permute_dims", "axes") for a in (given if isinstance(given, tuple) else (given,))]
    if sorted(order) != list(range(v.rank)):
        raise InferError("bad-argument", f"`permute_dims` takes each of {v.rank} axes once, not {list(given)}", [("axes", "this one")])
    return emit_permute(v, order)


@function("matrix_transpose")
def matrix_transpose(cx: Surface, x: Arg) -> Value:
    """The last two axes exchanged."""
    v = cx.value(x)
    if v.rank < 2:
        raise InferError("rank-mismatch", f"`matrix_transpose` takes rank 2 or more, not {v.type}", [("x", f"this is {v.type}")])
    return emit_permute(v, [*range(v.rank - 2), v.rank - 1, v.rank - 2])


@function("broadcast_to")
def broadcast_to(cx: Surface, x: Arg, shape: Shape) -> Value:
    """Repeated to a shape, as broadcasting does."""
    return cx.stretch(cx.value(x), shape_of(shape, "broadcast_to"))


@function("concat", "concatenate")
def concat(cx: Surface, arrays: Args, axis: Axis = 0) -> Value:
    """The tensors joined along an axis that they have; with axis none they are flattened first."""
    if not arrays:
        raise InferError("bad-argument", "`concat` joins at least one tensor", [("arrays", "this list is empty")])
    values = cx.promote(arrays, "concat")
    if plain(axis) is None:
        values = [emit_reshape(v, (count_of(v, range(v.rank)),)) for v in values]
        axis = 0
    k = axis_number(axis, values[0].rank, "concat")
    return OPS["concat"](*values, axis=k) if len(values) > 1 else values[0]


@function("stack")
def stack(cx: Surface, arrays: Args, axis: Axis = 0) -> Value:
    """The tensors, of one shape, joined along a new axis."""
    if not arrays:
        raise InferError("bad-argument", "`stack` joins at least one tensor", [("arrays", "this list is empty")])
    values = cx.promote(arrays, "stack")
    first = values[0]
    for i, v in enumerate(values):
        if v.rank != first.rank or any(cx.graph.equal_sizes(a, b) is not True for a, b in zip(v.shape, first.shape, strict=True)):
            raise InferError(
                "shape-mismatch",
                f"elements of one shape are stacked, not {first.type} and {v.type}",
                [(0, f"this is {first.type}"), (i, f"this is {v.type}")],
            )
    k = axis_number(axis, first.rank + 1, "stack")
    shape = (*first.shape[:k], 1, *first.shape[k:])
    raised = [emit_reshape(v, shape) for v in values]
    return OPS["concat"](*raised, axis=k) if len(raised) > 1 else raised[0]


@function("expand_dims")
def expand_dims(cx: Surface, x: Arg, axis: Axis = 0) -> Value:
    """A new axis of size 1."""
    v = cx.value(x)
    k = axis_number(axis, v.rank + 1, "expand_dims")
    return emit_reshape(v, (*v.shape[:k], 1, *v.shape[k:]))


@function("squeeze")
def squeeze(cx: Surface, x: Arg, axis: AxisList = None) -> Value:
    """Without axes of size 1 (all of literal size 1 by default)."""
    v = cx.value(x)
    axes = tuple(k for k, d in enumerate(v.shape) if d == 1) if plain(axis) is None else axis_numbers(axis, v.rank, "squeeze")
    for k in axes:
        if v.shape[k] != 1:
            raise InferError(
                "bad-argument", f"`squeeze` drops axes of size 1, and axis {k} of {v.type} has size {v.shape[k]}", [("axis", "this one")]
            )
    return emit_reshape(v, tuple(d for k, d in enumerate(v.shape) if k not in axes))


@function("flip")
def flip(cx: Surface, x: Arg, axis: AxisList = None) -> Value:
    """The elements in reverse order along axes (all by default)."""
    v = cx.value(x)
    axes = axis_numbers(axis, v.rank, "flip")
    return OPS["flip"](v, axes=axes) if axes else v


# --- creation ------------------------------------------------------------------------------------------------------------------------


@function("zeros")
def zeros(cx: Surface, shape: Shape, dtype: DTypeArg = None) -> Value:
    """A tensor of zeros, of the default float unless a dtype is given."""
    return cx.full(shape_of(shape, "zeros"), Literal("float", 0.0, "0"), dtype_of(dtype, "zeros"))


@function("ones")
def ones(cx: Surface, shape: Shape, dtype: DTypeArg = None) -> Value:
    """A tensor of ones, of the default float unless a dtype is given."""
    return cx.full(shape_of(shape, "ones"), Literal("float", 1.0, "1"), dtype_of(dtype, "ones"))


@function("full")
def full(cx: Surface, shape: Shape, fill_value: Arg, dtype: DTypeArg = None) -> Value:
    """A tensor whose every element is `fill_value`."""
    d = dtype_of(dtype, "full")
    sizes = shape_of(shape, "full")
    if isinstance(fill_value, Literal):
        return cx.full(sizes, fill_value, d)
    v = fill_value if d is None else emit_cast(fill_value, d)
    return cx.stretch(v, sizes)


def _like(name: str, value: float) -> None:
    def f(cx: Surface, x: Arg, dtype: DTypeArg = None) -> Value:
        v = cx.value(x)
        return cx.full(v.shape, Literal("int", int(value), str(int(value))), dtype_of(dtype, name) or v.dtype)

    f.__doc__ = f"A tensor of {name.removesuffix('_like')} of the shape and dtype of `x`."
    function(name)(f)


_like("zeros_like", 0)
_like("ones_like", 1)


@function("full_like")
def full_like(cx: Surface, x: Arg, fill_value: Arg, dtype: DTypeArg = None) -> Value:
    """A tensor of the shape and dtype of `x` whose every element is `fill_value`."""
    v = cx.value(x)
    return full(cx, v.shape, fill_value, dtype_of(dtype, "full_like") or v.dtype)


@function("arange")
def arange(cx: Surface, start: Static, stop: Static = None, step: Static = 1, dtype: DTypeArg = None) -> Value:
    """The numbers from `start` (0 if one argument is given) below `stop` in steps. Bounds and steps are static."""
    a, b, s = plain(start), plain(stop), plain(step)
    if b is None:
        a, b = 0, a
    for k, argument in ((a, "start"), (b, "stop"), (s, "step")):
        if isinstance(k, Value) or k is None or isinstance(k, str | tuple | bool):
            raise InferError(
                "not-static" if isinstance(k, Value) else "bad-argument",
                f"`arange` takes numbers known while compiling as `{argument}`",
                [(argument, "this one")],
            )
    d = dtype_of(dtype, "arange")
    if any(isinstance(k, float) for k in (a, b, s)):
        if not all(isinstance(k, int | float) for k in (a, b, s)):
            raise InferError("bad-argument", "`arange` of a named size takes integers", [("step", "this one")])
        if s == 0:
            raise InferError("bad-argument", "`arange` takes a step that is not 0", [("step", "this one")])
        n = max(0, math.ceil((b - a) / s))
        kind = d or cx.default_float
        counts = cx.graph.emit(OPS["iota"], (), (n, kind))
        return (
            counts * float(s) + float(a)
            if kind.floating
            else emit_cast(cx.graph.emit(OPS["iota"], (), (n, cx.default_float)) * float(s) + float(a), kind)
        )
    if not isinstance(s, int) or s == 0:
        raise InferError("bad-argument", "`arange` takes an integer step that is not 0", [("step", "this one")])
    size: DimLike = (b - a + s - 1) // s if s > 0 else (a - b - s - 1) // -s
    if isinstance(size, int):
        size = max(0, size)
    counts = cx.graph.emit(OPS["iota"], (), (size, d or I64))
    if s != 1:
        counts = counts * s
    if a != 0:
        first = dim_value(cx, a, counts.dtype)
        counts = counts + broadcast_along(first, counts.shape, ())
    return counts


# --- products ------------------------------------------------------------------------------------------------------------------------


def contract_values(a: Value, b: Value, subs: str) -> Value:
    """A contraction by an einsum text; letters of one operand alone that the result lacks are summed first."""
    operands, result = subs.split("->")
    x, y = operands.split(",")
    for which, (letters, others) in enumerate(((x, y), (y, x))):
        lonely = tuple(k for k, c in enumerate(letters) if c not in others and c not in result)
        if lonely:
            kept = "".join(c for k, c in enumerate(letters) if k not in lonely)
            if which == 0:
                a, x = OPS["sum"](a, axes=lonely), kept
            else:
                b, y = OPS["sum"](b, axes=lonely), kept
    return OPS["contract"](a, b, subs=canonical(f"{x},{y}->{result}"))


@function("matmul")
def matmul(cx: Surface, x: Arg, y: Arg) -> Value:
    """Matrix product over the last axis of `x` and the second to last of `y` (the only one of a vector); leading axes broadcast."""
    a, b = cx.promote((x, y), "matmul")
    if a.dtype is BOOL:
        raise InferError("wrong-dtype", "`matmul` takes numbers, not bool", [("x", f"this is {a.type}")], help="convert it first: `i64(…)`")
    for v, argument in ((a, "x"), (b, "y")):
        if v.rank == 0:
            raise InferError(
                "rank-mismatch",
                f"`matmul` (`@`) takes vectors and matrices, not the scalar {v.type}",
                [(argument, f"this is {v.type}")],
                help="use `*`",
            )
    inner = cx.graph.equal_sizes(a.shape[-1], b.shape[-2] if b.rank > 1 else b.shape[0])
    if inner is not True:
        p, q = a.shape[-1], b.shape[-2] if b.rank > 1 else b.shape[0]
        raise InferError(
            "shape-mismatch" if inner is False else "dim-unproved",
            f"cannot multiply {a.type} by {b.type}: {p} columns meet {q} rows",
            [(0, f"axis {a.rank - 1} is {p}"), (1, f"axis {max(0, b.rank - 2)} is {q}")],
            dim_fact=None if inner is False else f"dim {p} == {q}",
        )
    lead = max(a.rank - 2, b.rank - 2, 0)
    letters, (i, j, k) = LETTERS[:lead], LETTERS[lead : lead + 3]
    subs, batch = [], ""
    values = [a, b]
    tails = [(i if a.rank > 1 else "") + j, j + (k if b.rank > 1 else "")]
    heads: list[str] = []
    for n, v in enumerate((a, b)):
        own = v.rank - len(tails[n])
        other = (b, a)[n]
        head = ""
        keepers = []
        for axis in range(own):
            letter = letters[lead - own + axis]
            opposite = axis - own + (other.rank - len(tails[1 - n]))
            stretched = v.shape[axis] == 1 and opposite >= 0 and other.shape[opposite] != 1
            if not stretched:
                head += letter
                keepers.append(v.shape[axis])
        values[n] = emit_reshape(v, (*keepers, *v.shape[own:]))
        heads.append(head)
        subs.append(head + tails[n])
    batch = "".join(c for c in letters if any(c in h for h in heads))
    return contract_values(values[0], values[1], f"{subs[0]},{subs[1]}->{batch}{i if a.rank > 1 else ''}{k if b.rank > 1 else ''}")


@function("einsum")
def einsum(cx: Surface, subscripts: Word, *operands: Arg) -> Value:
    """Products summed over indices, as `np.einsum`: `"ij,jk->ik"`; without `->` the result has the indices that stand once, in alphabetical order."""
    text = plain(subscripts)
    if not isinstance(text, str):
        raise InferError("bad-argument", '`einsum` takes its subscripts as a text such as "ij,jk->ik"', [("subscripts", "this one")])
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    values = cx.promote(operands, "einsum") if operands else []
    left, arrow, result = text.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(values):
        raise InferError("arity", f"`{text}` names {len(terms)} operands, and {len(values)} are given", [("subscripts", "this one")])
    if not all((c.isalpha() and c.isascii()) or c == "." for t in (*terms, result) for c in t):
        raise InferError("bad-argument", f"`{text}` has characters that are not letters", [("subscripts", "this one")])
    if values and values[0].dtype is BOOL:
        raise InferError("wrong-dtype", "`einsum` takes numbers, not bool", [(1, "this is bool")])
    terms, result = _ellipses(text, terms, result if arrow else None, values)
    for k, (term, v) in enumerate(zip(terms, values, strict=True)):
        if len(term) != v.rank:
            raise InferError("rank-mismatch", f"`{term}` names {len(term)} axes of {v.type}", [(k + 1, f"this is {v.type}")])
    if len(set(result)) != len(result) or not set(result) <= set("".join(terms)):
        raise InferError(
            "bad-argument",
            f"`{text}`: the result names each index at most once, and only indices of operands",
            [("subscripts", "this one")],
        )
    work = [_diagonal(cx, t, v) for t, v in zip(terms, values, strict=True)]
    sizes: dict[str, tuple[DimLike, int]] = {}
    for k, (term, v) in enumerate(work):
        for c, d in zip(term, v.shape, strict=True):
            if c in sizes and sizes[c][0] != 1 and d != 1 and (proved := cx.graph.equal_sizes(sizes[c][0], d)) is not True:
                raise InferError(
                    "shape-mismatch" if proved is False else "dim-unproved",
                    f"`{text}`: the index `{c}` has size {sizes[c][0]} and {d}",
                    [(sizes[c][1] + 1, f"`{c}` is {sizes[c][0]} here"), (k + 1, f"`{c}` is {d} here")],
                    dim_fact=None if proved is False else f"dim {sizes[c][0]} == {d}",
                )
            if c not in sizes or sizes[c][0] == 1:
                sizes[c] = (d, k)
    stretched = [_unit_axes_dropped(t, v, sizes) for t, v in work]
    term, value = stretched[0]
    for k in range(1, len(stretched)):
        other, nxt = stretched[k]
        later = set("".join(t for t, _ in stretched[k + 1 :])) | set(result)
        kept = (
            "".join(dict.fromkeys(c for c in term + other if c in later))
            if k < len(stretched) - 1
            else "".join(c for c in result if c in term + other)
        )
        value = contract_values(value, nxt, f"{term},{other}->{kept}")
        term = kept
    lonely = tuple(k for k, c in enumerate(term) if c not in result)
    value = sum_over(value, lonely)
    term = "".join(c for c in term if c in result)
    order = [c for c in result if c in term]
    value = emit_permute(value, [term.index(c) for c in order])
    shape = tuple(sizes[c][0] for c in result)
    return broadcast_along(value, shape, tuple(result.index(c) for c in order))


def _ellipses(text: str, terms: list[str], result: str | None, values: Sequence[Value]) -> tuple[list[str], str]:
    spare = [c for c in LETTERS[::-1] if c not in text]
    most = max([v.rank - len(t) + 3 for t, v in zip(terms, values, strict=True) if "..." in t], default=0)
    names = "".join(spare[: max(0, most)])[::-1]
    out = []
    for t, v in zip(terms, values, strict=True):
        if "..." in t:
            k = v.rank - len(t) + 3
            t = t.replace("...", names[len(names) - k :] if k > 0 else "")
        out.append(t)
    if any("." in t for t in out):
        raise InferError("bad-argument", f"`{text}`: dots stand only as `...`", [("subscripts", "this one")])
    if result is None:
        joined = "".join(out)
        result = names + "".join(sorted(c for c in set(joined) - set(names) if joined.count(c) == 1))
    return out, result.replace("...", names)


def _diagonal(cx: Surface, term: str, v: Value) -> tuple[str, Value]:
    """Repeated indices of one operand (`ii`) as a gather along the diagonal."""
    while len(set(term)) != len(term):
        c = next(c for c in term if term.count(c) > 1)
        i, j = [k for k, d in enumerate(term) if d == c][:2]
        if (proved := cx.graph.equal_sizes(v.shape[i], v.shape[j])) is not True:
            raise InferError(
                "shape-mismatch" if proved is False else "dim-unproved",
                f"the index `{c}` has size {v.shape[i]} and {v.shape[j]} in {v.type}",
                [],
                dim_fact=None if proved is False else f"dim {v.shape[i]} == {v.shape[j]}",
            )
        counts = cx.graph.emit(OPS["iota"], (), (v.shape[i], I64))
        v = OPS["gather"](v, counts, counts, axes=(i, j), batch=0)
        term = c + "".join(d for k, d in enumerate(term) if k not in (i, j))
    return term, v


def _unit_axes_dropped(term: str, v: Value, sizes: dict[str, tuple[DimLike, int]]) -> tuple[str, Value]:
    kept = [k for k, (c, d) in enumerate(zip(term, v.shape, strict=True)) if not (d == 1 and sizes[c][0] != 1)]
    return "".join(term[k] for k in kept), emit_reshape(v, tuple(v.shape[k] for k in kept))


# --- linear algebra, draws -------------------------------------------------------------------------------------------------------------


@function("solve")
def solve(cx: Surface, x1: Arg, x2: Arg) -> Value:
    """The solution of `x1 @ x = x2`; `x2` is a vector, or matrices whose columns are solved for. A singular matrix fails the run."""
    a, b = cx.promote((x1, x2), "solve", floating=True)
    if a.rank < 2:
        raise InferError("rank-mismatch", f"`solve` takes square matrices, not {a.type}", [(0, f"this is {a.type}")])
    vector = b.rank == 1
    if vector:
        b = emit_reshape(b, (*b.shape, 1))
    (lead_a, lead_b) = a.shape[:-2], b.shape[:-2]
    if lead_a != lead_b:
        shapes = cx.broadcast([OPS["sum"](v, axes=(v.rank - 2, v.rank - 1)) for v in (a, b)], "solve")[0].shape
        a, b = cx.stretch(a, (*shapes, *a.shape[-2:])), cx.stretch(b, (*shapes, *b.shape[-2:]))
    made = OPS["solve"](a, b)
    return emit_reshape(made, made.shape[:-1]) if vector else made


@function("qr")
def qr(cx: Surface, x: Arg) -> tuple[Value, ...]:
    """Orthogonal and upper triangular factors (reduced): `q, r = qr(x)`."""
    (v,) = cx.promote((x,), "qr", floating=True)
    return project(OPS["qr"](v))


def seed_value(cx: Surface, seed: Any, name: str) -> Value:
    """A seed, an integer or a list of them, as an i64 vector."""
    if seed is None:
        raise InferError(
            "missing-argument",
            f"`{name}` needs the argument `seed`",
            help="equal seeds give equal numbers: `seed=1`, or `seed=[step, 2]` of a state",
        )
    items = seed if isinstance(seed, list | tuple) else [seed]
    parts = []
    for item in items:
        v = item if isinstance(item, Value) else dim_value(cx, item) if not isinstance(item, Literal) else cx.value(item)
        if v.dtype.kind == "float":
            raise InferError(
                "wrong-dtype", f"a seed is an integer, not {v.dtype}", [("seed", f"this is {v.type}")], help="`i64(…)` converts"
            )
        v = emit_cast(v, I64)
        parts.append(emit_reshape(v, (count_of(v, range(v.rank)),)))
    return parts[0] if len(parts) == 1 else OPS["concat"](*parts, axis=0)


def _declare_draw(name: str) -> None:
    def f(cx: Surface, shape: Shape, seed: Args = None, dtype: DTypeArg = None) -> Value:
        v = seed_value(cx, seed, name)
        return OPS[name](v, shape=shape_of(shape, name), dtype=dtype_of(dtype, name) or cx.default_float)

    f.__doc__ = _doc(name) + " `seed` is an integer or a list of them, constant or computed."
    function(name)(f)


_declare_draw("normal")
_declare_draw("uniform")
