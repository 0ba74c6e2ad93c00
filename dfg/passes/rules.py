"""Simplification rules, by op, that fire when a value is emitted.

Each rule keeps every value and every gradient, special values included: nothing here turns a select into a product, or `0 * x` into 0. A rule sees the
operands and attributes of the value that is about to be emitted and gives an equal value that exists or is simpler, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from dfg.dims import Dim
from dfg.ir import Graph, Rule, Rules, Value
from dfg.ops.base import OPS, Op, const_scalar, const_value, constant, full, make_constant
from dfg.ops.elementwise import emit_cast
from dfg.ops.leaf import dim_op
from dfg.ops.movement import broadcast_along
from dfg.types import BOOL, I64, TensorType, lossless

SIMPLIFY: Final = Rules()
"""The rules of each op, in the order in which they are tried."""


def rule(*names: str, constant: bool = False) -> Callable[[Rule], Rule]:
    """Register a rule for ops; `constant`: one that needs a constant operand."""

    def register(f: Rule) -> Rule:
        table = SIMPLIFY.constant if constant else SIMPLIFY.always
        for name in names:
            table.setdefault(OPS[name], []).append(f)
        return f

    return register


def _scalars(operands: Sequence[Value]) -> list[np.ndarray] | None:
    arrays = []
    for o in operands:
        a = const_value(o)
        if a is None or a.ndim:
            return None
        arrays.append(a)
    return arrays


def fold_elementwise(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...], op: Op) -> Value | None:
    """An elementwise op of constant scalars (or broadcasts of them) is a constant scalar."""
    arrays = _scalars(operands)
    if arrays is None or op.evaluate is None or op.unique:
        return None
    t = op.infer(g, operands, attrs)
    assert isinstance(t, TensorType)
    with np.errstate(all="ignore"):
        made = op.evaluate(np, *arrays, **{a.name: x for a, x in zip(op.attrs, attrs, strict=True)})
    scalar = make_constant(g, made, t.dtype)
    return broadcast_along(scalar, t.shape, ()) if t.shape else scalar


def _fold(op: Op) -> Rule:
    def fold_constants(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
        return fold_elementwise(g, operands, attrs, op)

    return fold_constants


for _op in list(OPS.values()):
    if _op.elementwise and not _op.unique and _op.name != "stop_gradient":
        SIMPLIFY.constant.setdefault(_op, []).append(_fold(_op))


@rule("multiply", constant=True)
def times_one(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """x * 1 = x; x * -1 = -x."""
    for k, o in enumerate(operands):
        c = const_scalar(o)
        if c == 1:
            return operands[1 - k]
        if c == -1 and o.dtype.floating:
            return OPS["negative"](operands[1 - k])
    return None


@rule("divide", constant=True)
def over_one(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """x / 1 = x."""
    return operands[0] if const_scalar(operands[1]) == 1 else None


@rule("subtract", constant=True)
def minus_zero(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """x - 0 = x (x + 0 is not x: it turns -0.0 into 0.0)."""
    c = const_scalar(operands[1])
    return operands[0] if c == 0 and not np.signbit(c) else None


@rule("power", constant=True)
def power_one(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """x ** 1 = x; x ** 0 = 1."""
    c = const_scalar(operands[1])
    if c == 1:
        return operands[0]
    return full(g, 1, operands[0].type) if c == 0 else None


@rule("negative", "logical_not")
def twice(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """--x = x; not not x = x."""
    x = operands[0]
    return x.operands[0] if x.op.name == ("logical_not" if x.dtype is BOOL else "negative") else None


@rule("add")
def add_negative(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """x + -y = x - y."""
    a, b = operands
    if b.op.name == "negative":
        return a - b.operands[0]
    return b - a.operands[0] if a.op.name == "negative" else None


@rule("subtract")
def subtract_negative(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """x - -y = x + y."""
    a, b = operands
    return a + b.operands[0] if b.op.name == "negative" else None


@rule("logical_and")
def and_known(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """p and p = p; p and true = p; p and false = false; p and (p and q) = p and q."""
    a, b = operands
    if a is b:
        return a
    for x, y in ((a, b), (b, a)):
        c = const_scalar(y)
        if c is not None:
            return x if c else y
        if y.op.name == "logical_and" and (y.operands[0] is x or y.operands[1] is x):
            return y
        if y.op.name == "logical_not" and y.operands[0] is x:
            return full(g, False, x.type)
    return None


@rule("logical_or")
def or_known(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """p or p = p; p or true = true; p or false = p; p or not p = true; p or (p and q) = p."""
    a, b = operands
    if a is b:
        return a
    for x, y in ((a, b), (b, a)):
        c = const_scalar(y)
        if c is not None:
            return y if c else x
        if y.op.name == "logical_not" and y.operands[0] is x:
            return full(g, True, x.type)
        if y.op.name == "logical_and" and (y.operands[0] is x or y.operands[1] is x):
            return x
        if y.op.name == "logical_or" and (y.operands[0] is x or y.operands[1] is x):
            return y
    return None


@rule("where")
def where_known(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """A known condition chooses; equal branches need none; a nested choice by the same condition is made; `not` exchanges."""
    c, a, b = operands
    known = const_scalar(c)
    if known is not None:
        return a if known else b
    if a is b:
        return a
    where = OPS["where"]
    if c.op.name == "logical_not":
        return where(c.operands[0], b, a)
    if a.op is where and a.operands[0] is c:
        return where(c, a.operands[1], b)
    if b.op is where and b.operands[0] is c:
        return where(c, a, b.operands[2])
    return None


@rule("cast")
def cast_known(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """A cast to the same dtype is nothing; a cast after a lossless one is one cast; a cast of a broadcast is a broadcast of the cast."""
    x = operands[0]
    d = attrs[0]
    if x.dtype is d:
        return x
    if x.op.name == "cast" and lossless(x.operands[0].dtype, x.dtype) and d is not BOOL:
        return emit_cast(x.operands[0], d)
    if x.op.name == "broadcast":
        return broadcast_along(emit_cast(x.operands[0], d), x.shape, x.attrs[1])
    return None


@rule("broadcast")
def broadcast_twice(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """A broadcast to the same shape is nothing; two are one."""
    x = operands[0]
    shape, dims = attrs
    if x.shape == shape:
        return x
    if x.op.name == "broadcast":
        return g.emit(OPS["broadcast"], x.operands, (shape, tuple(dims[d] for d in x.attrs[1])))
    return None


@rule("reshape")
def reshape_twice(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """A reshape to the same shape is nothing; two are one; a constant scalar repeated stays so."""
    x = operands[0]
    if x.shape == attrs[0]:
        return x
    if x.op.name == "reshape":
        return g.emit(OPS["reshape"], x.operands, attrs) if x.operands[0].shape != attrs[0] else x.operands[0]
    return _spread(g, x, attrs[0])


def _spread(g: Graph, x: Value, shape: tuple[Any, ...]) -> Value | None:
    """The same constant scalar at another shape, if that is what `x` is."""
    if const_scalar(x) is None:
        return None
    while x.op.name == "broadcast":
        x = x.operands[0]
    return broadcast_along(x, shape, ())


@rule("permute")
def permute_twice(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """The order as it is is nothing; two orders are one."""
    x = operands[0]
    perm = attrs[0]
    if perm == tuple(range(len(perm))):
        return x
    if x.op.name == "permute":
        inner = x.attrs[0]
        both = tuple(inner[p] for p in perm)
        return x.operands[0] if both == tuple(range(len(both))) else g.emit(OPS["permute"], x.operands, (both,))
    return _spread(g, x, tuple(x.shape[p] for p in perm))


@rule("slice")
def slice_known(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """All of it is itself; the window that an update has just written is what was written."""
    x = operands[0]
    starts, sizes, strides = attrs
    if sizes == x.shape and all(s == 0 for s in starts) and all(s == 1 for s in strides):
        return x
    if x.op.name == "update" and x.attrs[0] == starts and x.attrs[1] == strides and x.operands[1].shape == sizes:
        return x.operands[1]
    return _spread(g, x, sizes)


@rule("update")
def update_known(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """Writing all of it leaves what was written; writing the constant that is there changes nothing; a window written twice keeps the last."""
    x, v = operands
    if v.shape == x.shape:
        return v
    c, d = const_scalar(x), const_scalar(v)
    if c is not None and d is not None and np.array([c], x.dtype.np).tobytes() == np.array([d], x.dtype.np).tobytes():
        return x
    if x.op.name == "update" and x.attrs == attrs and x.operands[1].shape == v.shape:
        return g.emit(OPS["update"], (x.operands[0], v), attrs)
    return None


@rule("logical_or")
def join_windows(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """Two masks that are true in neighbouring windows are one mask of the joint window: slices that tile a tensor leave no lane out."""
    a, b = (_window(o) for o in operands)
    if a is None or b is None:
        return None
    apart = [k for k in range(len(a[0])) if a[0][k] != b[0][k] or a[1][k] != b[1][k]]
    if len(apart) != 1:
        return None
    k = apart[0]
    for (start, size), (other, more) in (((a[0][k], a[1][k]), (b[0][k], b[1][k])), ((b[0][k], b[1][k]), (a[0][k], a[1][k]))):
        if start + size == other:
            starts = tuple(start if i == k else s for i, s in enumerate(a[0]))
            sizes = tuple(size + more if i == k else s for i, s in enumerate(a[1]))
            whole = operands[0].type
            if sizes == whole.shape:
                return full(g, True, whole)
            inner = full(g, True, whole.with_shape(sizes))
            return g.emit(OPS["update"], (full(g, False, whole), inner), (starts, (1,) * whole.rank))
    return None


def _window(v: Value) -> tuple[tuple[Any, ...], tuple[Any, ...]] | None:
    """The window in which a mask is true, if it is false elsewhere."""
    if v.op.name != "update" or const_scalar(v.operands[0]) is not False or const_scalar(v.operands[1]) is not True:
        return None
    return (v.attrs[0], v.operands[1].shape) if all(s == 1 for s in v.attrs[1]) else None


@rule("sum", constant=True)
def sum_of_constant(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """A finite constant summed over axes is a product with their size."""
    x = operands[0]
    axes = attrs[0]
    c = const_scalar(x)
    if c is None or not np.isfinite(c) or x.op is constant:
        return None
    count: Any = 1
    for a in axes:
        count = count * x.shape[a]
    size = g.emit(dim_op, (), (count,)) if isinstance(count, Dim) else make_constant(g, count, I64)
    scalar = emit_cast(size, x.dtype) * make_constant(g, c, x.dtype)
    return broadcast_along(scalar, tuple(d for k, d in enumerate(x.shape) if k not in axes), ())


@rule("sum", "any", "all", "max", "min")
def nothing_reduced(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """No axes: itself."""
    return None if attrs[0] else operands[0]


@rule("any", "all", "max", "min", constant=True)
def constant_reduced(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """A constant over axes that are not empty is itself."""
    x = operands[0]
    if const_scalar(x) is None or any(g.facts.at_least(x.shape[a], 1) is not True for a in attrs[0]):
        return None
    return _spread(g, x, tuple(d for k, d in enumerate(x.shape) if k not in attrs[0]))


@rule("any")
def any_of_places(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """True was put at an index of each row: some element of each row is true. So of a row that loses one element to a gather all are live where its sum is."""
    (x,) = operands
    if x.op is not OPS["scatter"] or const_scalar(x.operands[1]) is not True:
        return None
    axes, batch = x.attrs[0], x.attrs[1]
    counts = [*x.operands[2].shape[batch:], *[x.shape[a] for a in attrs[0] if a not in axes]]
    if not set(axes) <= set(attrs[0]) or any(g.facts.at_least(n, 1) is not True for n in counts):
        return None
    return full(g, True, TensorType(BOOL, tuple(d for a, d in enumerate(x.shape) if a not in attrs[0])))


@rule("any", constant=True)
def any_of_false(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """Nothing false is true, however many."""
    x = operands[0]
    return _spread(g, x, tuple(d for k, d in enumerate(x.shape) if k not in attrs[0])) if const_scalar(x) is False else None


@rule("dim")
def known_size(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """A size that is an integer is a constant."""
    return make_constant(g, attrs[0], I64) if isinstance(attrs[0], int) else None


@rule("concat")
def concat_of_one(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """One operand is itself."""
    return operands[0] if len(operands) == 1 else None
