"""Running results along an axis: sums, products, extremes, log-sum-exp; and `shift`, `diff`, `trapezoid`.

`cumprod` is differentiated without dividing, so it is exact with any number of zeros and at any order: with S[k] = ct[k] + x[k+1] S[k+1], a linear
recurrence, the cotangent of x[k] is (the product before k) S[k].

>>> from dfg.ops import get
>>> get("cumsum").evaluate(np, np.array([1.0, 2.0, 4.0]), axis=0, reverse=True)
array([7., 6., 4.])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPS, Attr, Case, NoGradient, Op, Reject, RuleContext, check_dtype, define, full, full_like, tensor
from dfg.ops.elementwise import emit_cast, equal, exp, where
from dfg.ops.indexed import scatter
from dfg.ops.movement import broadcast_along, check_axes, emit_permute, emit_reshape, inverse
from dfg.ops.ordering import axis_in, flat_or_axis, like, one_axis, window_of
from dfg.ops.reduce import SUMMED_AS
from dfg.ops.statistics import linear_recurrence, reaching, running_lives
from dfg.ops.surface import Arg, Axis, DTypeArg, Flag, Literal, OptionalArg, Size, Surface, axis_number, dtype_of, function, plain
from dfg.types import ANY, BOOL, FLOATING, I64, NUMERIC, DType, TensorType, Type

AXIS = Attr("axis", "axis")
_SHAPES: list[tuple[tuple[int, ...], int]] = [((4,), 0), ((3, 4), 1), ((3, 4), 0), ((2, 3, 2), 1), ((1, 3), 0), ((0, 2), 0), ((2, 0), 0), ((2, 1, 2, 3), 3)]


def _infer(name: str, dtypes: Sequence[DType]) -> Callable[[Graph, tuple[Value, ...], tuple[Any, ...]], Type]:
    def infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
        t = tensor(operands[0])
        check_dtype(name, t, dtypes)
        check_axes(t, (attrs[0],))
        return t

    return infer


def _first(x: Value, axis: int) -> Value:
    """Marks the first place along an axis."""
    places = x.graph.emit(OPS["iota"], (), (x.shape[axis], I64))
    return broadcast_along(equal(places, full_like(places, 0)), x.shape, (axis,))


# --- shift -------------------------------------------------------------------------------------------------------------------------


def _shift_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    check_axes(t, (attrs[0],))
    return t


def _shift(xp: Any, x: Any, *, axis: int, by: int) -> Any:
    made = xp.zeros_like(x)
    n = x.shape[axis]
    k = min(abs(by), n)
    kept, left_out = slice(k, None), slice(None, n - k)
    target, source = (kept, left_out) if by >= 0 else (left_out, kept)
    lead = (slice(None),) * axis
    made[(*lead, target)] = x[(*lead, source)]
    return made


shift: Op = define(
    Op(
        "shift",
        "The elements moved `by` places along an axis; zeros come in, and what leaves is gone.",
        _shift_infer,
        lambda cx, ct, y: [shift(ct, axis=y.attrs[0], by=-y.attrs[1])],
        attrs=(AXIS, Attr("by", "int")),
        evaluate=_shift,
        axes=one_axis,
        linear=(True,),
        moves=True,
        partial=True,
        workspace=lambda v: v.type.size * v.dtype.size,
        cost=lambda v: 0,
        samples=lambda rng: [Case((rng.normal(size=s),), (("axis", a), ("by", b))) for s, a in _SHAPES for b in (1, -2)]
        + [Case((rng.random(4) < 0.5,), (("axis", 0), ("by", 1)), wrt=())],
        rejects=(Reject(("f64[3]",), (("axis", 1), ("by", 1)), "bad-argument"),),
    )
)


@function("shift")
def shift_(cx: Surface, x: Arg, axis: Axis = 0, by: Size = 1) -> Value:
    """The elements moved `by` places along an axis (backwards if negative); zeros come in, and what leaves is gone."""
    v = cx.value(x)
    places = plain(by)
    if isinstance(places, bool) or not isinstance(places, int):
        raise InferError("bad-argument", "`shift` takes an integer as `by`", [("by", "this one")])
    return shift(v, axis=axis_number(axis, v.rank, "shift"), by=places)


# --- sums ------------------------------------------------------------------------------------------------------------------------------


def _cumsum_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    axis, reverse = y.attrs
    # On a predicate adding is or-ing: the running maximum of booleans.
    if ct.dtype is BOOL:
        return [cumulative_max(ct, axis=axis, reverse=not reverse)]
    return [cumsum(ct, axis=axis, reverse=not reverse)]


def _directed(xp: Any, ufunc: Any, x: Any, axis: int, reverse: bool) -> Any:
    if reverse:
        return xp.flip(ufunc(xp.flip(x, axis)), axis)
    return ufunc(x)


def _cumsum(xp: Any, x: Any, *, axis: int, reverse: bool) -> Any:
    return _directed(xp, lambda a: xp.cumsum(a, axis=axis, dtype=x.dtype), x, axis, reverse)


def _running_into(ufunc: str) -> Callable[..., str]:
    def into(out: str, x: str, *, axis: int, reverse: bool) -> str:
        if reverse:
            x, out = f"np.flip({x}, {axis})", f"np.flip({out}, {axis})"
        return f"np.{ufunc}.accumulate({x}, {axis}, None, {out})"

    return into


cumsum = define(
    Op(
        "cumsum",
        "Running sums along an axis, from its start or (reverse) from its end.",
        _infer("cumsum", NUMERIC),
        _cumsum_vjp,
        attrs=(AXIS, Attr("reverse", "bool")),
        evaluate=_cumsum,
        into=_running_into("add"),
        axes=one_axis,
        linear=(True,),
        moves=True,
        samples=lambda rng: [Case((rng.normal(size=s),), (("axis", a), ("reverse", r))) for s, a in _SHAPES for r in (False, True)]
        + [Case((rng.integers(0, 9, (2, 3)),), (("axis", 1), ("reverse", False)), wrt=())],
        formula="y[k] = x[0] + ... + x[k]",
        rejects=(Reject(("f64[3]",), (("axis", 1), ("reverse", False)), "bad-argument"), Reject(("bool[3]",), (("axis", 0), ("reverse", False)), "wrong-dtype")),
    )
)


# --- products ----------------------------------------------------------------------------------------------------------------------------


def _cumprod_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    axis = y.attrs[0]
    x = y.operands[0]
    before = where(_first(y, axis), full_like(y, 1), shift(y, axis=axis, by=1))
    return [before * linear_recurrence(shift(reaching(cx, y, x), axis=axis, by=-1), ct, axis=axis, reverse=True)]


def _with_zeros(rng: np.random.Generator, s: tuple[int, ...], zeros: int) -> np.ndarray:
    x = rng.uniform(0.5, 1.5, s) * rng.choice([-1, 1], s)
    x.reshape(-1)[rng.permutation(x.size)[:zeros]] = 0
    return np.asarray(x)


cumprod = define(
    Op(
        "cumprod",
        "Running products along an axis. The gradient is exact with any number of zeros.",
        _infer("cumprod", NUMERIC),
        _cumprod_vjp,
        attrs=(AXIS,),
        evaluate=lambda xp, x, *, axis: xp.cumprod(x, axis=axis, dtype=x.dtype),
        into=lambda out, x, *, axis: f"np.multiply.accumulate({x}, {axis}, None, {out})",
        axes=one_axis,
        lives=running_lives,
        samples=lambda rng: [Case((_with_zeros(rng, s, z),), (("axis", a),)) for s, a in _SHAPES for z in (0, 2)]
        + [Case((rng.integers(0, 4, (2, 3)),), (("axis", 1),), wrt=())],
        formula="y[k] = x[0] * ... * x[k]",
        rejects=(Reject(("f64[3]",), (("axis", 1),), "bad-argument"), Reject(("bool[3]",), (("axis", 0),), "wrong-dtype")),
    )
)


# --- log-sum-exp ---------------------------------------------------------------------------------------------------------------------------


def _logcumsumexp_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    """With T[k] = ct[k] + exp(y[k] - y[k+1]) T[k+1] the cotangent is exp(x[k] - y[k]) T[k]: every exponent is at most 0."""
    axis = y.attrs[0]
    x = y.operands[0]

    def ratio(a: Value) -> Value:
        return where(equal(a, y), full_like(y, 1), exp(a - y))

    # Nothing comes before the first place, where exp(0 - y) could overflow.
    before = where(_first(y, axis), y, shift(y, axis=axis, by=1))
    total = linear_recurrence(shift(reaching(cx, y, ratio(before)), axis=axis, by=-1), ct, axis=axis, reverse=True)
    empty = equal(y, full_like(y, -np.inf))
    return [where(empty, full_like(y, 0), ratio(x)) * total]


logcumsumexp = define(
    Op(
        "logcumsumexp",
        "Logarithms of the running sums of exponentials along an axis, without overflow.",
        _infer("logcumsumexp", FLOATING),
        _logcumsumexp_vjp,
        attrs=(AXIS,),
        evaluate=lambda xp, x, *, axis: xp.logaddexp.accumulate(x, axis=axis),
        into=lambda out, x, *, axis: f"np.logaddexp.accumulate({x}, {axis}, None, {out})",
        axes=one_axis,
        lives=running_lives,
        cost=lambda v: v.type.size * 30,
        samples=lambda rng: [Case((rng.normal(size=s),), (("axis", a),)) for s, a in _SHAPES] + [Case((np.array([-800.0, 700.0, 710.0, 0.0]),), (("axis", 0),))],
        formula="y[k] = log(exp(x[0]) + ... + exp(x[k]))",
        rejects=(Reject(("f64[3]",), (("axis", 1),), "bad-argument"), Reject(("i64[3]",), (("axis", 0),), "wrong-dtype")),
    )
)


# --- extremes ------------------------------------------------------------------------------------------------------------------------------


def _running_place(xp: Any, x: Any, axis: int, reverse: bool, largest: bool) -> Any:
    """Where the running extreme is: the latest of those that tie; a NaN stays one."""
    if reverse:
        x = xp.flip(x, axis)
    best = (xp.maximum if largest else xp.minimum).accumulate(x, axis=axis)
    new = x == best
    if x.dtype.kind == "f":
        # Of NaNs the first one stays the place.
        broken = xp.isnan(best)
        new = (new & ~broken) | (xp.isnan(x) & ~_shift(xp, broken, axis=axis, by=1))
    shape = [1] * x.ndim
    shape[axis] = -1
    places = xp.where(new, xp.arange(x.shape[axis]).reshape(shape), 0)
    made = xp.maximum.accumulate(places, axis=axis).astype(np.int64)
    return xp.flip(x.shape[axis] - 1 - made, axis) if reverse else made


def _extreme_samples(rng: np.random.Generator) -> list[Case]:
    return [Case((rng.permutation(int(np.prod(s))).reshape(s) * 0.1,), (("axis", a), ("reverse", r))) for s, a in _SHAPES for r in (False, True)]


def _place_samples(rng: np.random.Generator) -> list[Case]:
    ties = np.array([1.0, 3.0, 3.0, np.nan, 5.0, np.nan])
    more = [ties, np.array([2, 2, 1, 3]), np.array([True, False, True])]
    return _extreme_samples(rng) + [Case((x,), (("axis", 0), ("reverse", r)), wrt=()) for x in more for r in (False, True)]


def _extreme(word: str, largest: bool) -> tuple[Op, Op]:
    """Define the running extreme and its place."""
    ufunc = "maximum" if largest else "minimum"
    place = define(
        Op(
            f"cumulative_arg{word}",
            f"Where the running {ufunc} along an axis is: the latest place of those that tie.",
            lambda cx, operands, attrs: _infer(f"cumulative_arg{word}", ANY)(cx, operands, attrs).with_dtype(I64),  # type: ignore[union-attr]
            NoGradient("a place is an integer"),
            attrs=(AXIS, Attr("reverse", "bool")),
            evaluate=lambda xp, x, *, axis, reverse: _running_place(xp, x, axis, reverse, largest),
            axes=one_axis,
            workspace=lambda v: v.type.size * 36,
            cost=lambda v: v.type.size * 4,
            samples=_place_samples,
            rejects=(Reject(("f64[3]",), (("axis", 1), ("reverse", False)), "bad-argument"),),
        )
    )

    def vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
        axis, reverse = y.attrs
        x = y.operands[0]
        places = place(x, axis=axis, reverse=reverse)
        return [put_along(ct, places, axis)]

    value = define(
        Op(
            f"cumulative_{word}",
            f"The running {ufunc} along an axis; of elements that tie the latest one gets the cotangent.",
            _infer(f"cumulative_{word}", ANY),
            vjp,
            attrs=(AXIS, Attr("reverse", "bool")),
            evaluate=lambda xp, x, *, axis, reverse: _directed(xp, lambda a: getattr(xp, ufunc).accumulate(a, axis=axis), x, axis, reverse),
            into=_running_into(ufunc),
            axes=one_axis,
            linear=(True,),
            moves=True,
            partial=True,
            samples=lambda rng: [*_extreme_samples(rng), Case((rng.random(5) < 0.5,), (("axis", 0), ("reverse", True)), wrt=())],
            formula=f"y[k] = {word}(x[0], ..., x[k])",
            rejects=(Reject(("f64[3]",), (("axis", 1), ("reverse", False)), "bad-argument"),),
        )
    )
    return value, place


def put_along(v: Value, indices: Value, axis: int) -> Value:
    """Zeros of the shape of `v` to which its elements are added at indices along an axis: the transpose of `take_along`."""
    order = [*[k for k in range(v.rank) if k != axis], axis]
    moved = emit_permute(v, order)
    zeros = full(v.graph, 0, TensorType(v.dtype, moved.shape))
    made = scatter(zeros, moved, emit_permute(indices, order), axes=(v.rank - 1,), batch=v.rank - 1, mode="add")
    return emit_permute(made, inverse(order))


cumulative_max, cumulative_argmax = _extreme("max", True)
cumulative_min, cumulative_argmin = _extreme("min", False)


# --- surface functions -------------------------------------------------------------------------------------------------------------------


def _summed(cx: Surface, v: Value, dtype: Any, name: str) -> Value:
    d = dtype_of(dtype, name)
    if d is not None:
        return emit_cast(v, d)
    return cx.cast(v, SUMMED_AS[v.dtype], f"`{name}` of {v.dtype}") if v.dtype in SUMMED_AS else v


@function("cumsum")
def cumsum_(cx: Surface, x: Arg, axis: Axis = None, dtype: DTypeArg = None, reverse: Flag = False) -> Value:
    """Running sums along an axis (of the flattened tensor without one), in reverse from its end. Sums of bool, u8 and i32 are i64."""
    v = cx.value(x)
    w, k = flat_or_axis(cx, v, axis, "cumsum")
    made = cumsum(_summed(cx, w, dtype, "cumsum"), axis=k, reverse=bool(plain(reverse)))
    return made if plain(axis) is None else like(made, v)


@function("cumprod")
def cumprod_(cx: Surface, x: Arg, axis: Axis = None, dtype: DTypeArg = None) -> Value:
    """Running products along an axis (of the flattened tensor without one). Products of bool, u8 and i32 are i64."""
    v = cx.value(x)
    w, k = flat_or_axis(cx, v, axis, "cumprod")
    made = cumprod(_summed(cx, w, dtype, "cumprod"), axis=k)
    return made if plain(axis) is None else like(made, v)


def _declare_array_api(name: str, op: Op, start: int) -> None:
    def f(cx: Surface, x: Arg, axis: Axis = None, dtype: DTypeArg = None, include_initial: Flag = False) -> Value:
        v = _summed(cx, cx.value(x), dtype, name)
        if v.rank == 0:
            raise InferError("rank-mismatch", f"`{name}` works along an axis, and {v.type} has none", [("x", f"this is {v.type}")])
        if plain(axis) is None and v.rank > 1:
            raise InferError("missing-argument", f"`{name}` needs the argument `axis` for {v.type}", [("x", f"this is {v.type}")])
        k = 0 if plain(axis) is None else axis_number(axis, v.rank, name)
        attrs: dict[str, Any] = {"axis": k, "reverse": False} if op is cumsum else {"axis": k}
        made = op(v, **attrs)
        if not plain(include_initial):
            return made
        head = full(cx.graph, start, made.type.with_shape(tuple(1 if a == k else d for a, d in enumerate(made.shape))))
        return OPS["concat"](head, made, axis=k)

    f.__doc__ = f"Running {'sums' if op is cumsum else 'products'} along an axis, after the {'0' if op is cumsum else '1'} they start from if `include_initial`."
    function(name)(f)


_declare_array_api("cumulative_sum", cumsum, 0)
_declare_array_api("cumulative_prod", cumprod, 1)


@function("logcumsumexp")
def logcumsumexp_(cx: Surface, x: Arg, axis: Axis = -1) -> Value:
    """Logarithms of the running sums of exponentials along an axis, without overflow."""
    (v,) = cx.promote((x,), "logcumsumexp", floating=True)
    w, k = axis_in(v, axis, "logcumsumexp")
    return like(logcumsumexp(w, axis=k), v)


def _declare_one(op: Op) -> None:
    def f(cx: Surface, x: Arg, axis: Axis = -1, reverse: Flag = False) -> Value:
        v = cx.value(x)
        w, k = axis_in(v, axis, op.name)
        return like(op(w, axis=k, reverse=bool(plain(reverse))), v)

    f.__doc__ = op.doc
    function(op.name)(f)


def _declare_extreme(word: str) -> None:
    value, place = OPS[f"cumulative_{word}"], OPS[f"cumulative_arg{word}"]

    _declare_one(value)
    _declare_one(place)

    def both(cx: Surface, x: Arg, axis: Axis = -1) -> tuple[Value, ...]:
        v = cx.value(x)
        w, k = axis_in(v, axis, f"cum{word}")
        return tuple(like(op(w, axis=k, reverse=False), v) for op in (value, place))

    both.__doc__ = f"The running {word}imum along an axis and where it is: `values, indices = cum{word}(x)`. Of elements that tie the latest one counts (as in PyTorch)."
    function(f"cum{word}")(both)


_declare_extreme("max")
_declare_extreme("min")


MOST_DIFFERENCES = 1000


@function("diff")
def diff(cx: Surface, x: Arg, n: Size = 1, axis: Axis = -1, prepend: OptionalArg = None, append: OptionalArg = None) -> Value:
    """Differences of neighbours along an axis, `n` times, after joining what is to be prepended or appended (a scalar counts as one place)."""
    given = [o for o in (prepend, x, append) if o is not None]
    values = cx.promote(given, "diff")
    v = values[0 if prepend is None else 1]
    if v.rank == 0:
        raise InferError("rank-mismatch", f"`diff` works along an axis, and {v.type} has none", [("x", f"this is {v.type}")])
    times = plain(n)
    if isinstance(times, bool) or not isinstance(times, int) or times < 0:
        raise InferError("bad-argument", "`diff` takes an integer of at least 0 as `n`", [("n", "this one")])
    k = axis_number(axis, v.rank, "diff")
    if times == 0:
        return v
    one = tuple(1 if a == k else d for a, d in enumerate(v.shape))
    joined = [broadcast_along(w, one, ()) if w.rank == 0 else w for w in values]
    made = OPS["concat"](*joined, axis=k) if len(joined) > 1 else v
    if times > MOST_DIFFERENCES and not isinstance(made.shape[k], int):
        raise InferError("bad-argument", f"`diff` along an axis of a named size is written out: it takes at most {MOST_DIFFERENCES:,} as `n`", [("n", "this one")])
    length = made.shape[k]
    for _ in range(min(times, max(1, length)) if isinstance(length, int) else times):
        size = made.shape[k]
        rest = size - 1 if size != 0 else 0
        later, earlier = window_of(made, k, 1 if size != 0 else 0, rest), window_of(made, k, 0, rest)
        made = OPS["not_equal"](later, earlier) if made.dtype is BOOL else later - earlier
    return made


@function("ediff1d")
def ediff1d(cx: Surface, x: Arg, to_end: OptionalArg = None, to_begin: OptionalArg = None) -> Value:
    """Differences of neighbours of the flattened tensor, between what is to stand before and after them."""
    v = cx.value(x)
    made = diff(cx, emit_reshape(v, (v.type.size,)))
    if made.dtype is BOOL:
        raise InferError("wrong-dtype", "`ediff1d` takes numbers, not bool", [("x", f"this is {v.type}")])
    parts = [emit_reshape(w, (w.type.size,)) for w in cx.promote([o for o in (to_begin, made, to_end) if o is not None], "ediff1d")]
    return OPS["concat"](*parts, axis=0) if len(parts) > 1 else parts[0]


def _panels(cx: Surface, y: Any, x: Any, dx: Any, axis: Any, name: str) -> tuple[Value, int]:
    """The areas between neighbouring points along an axis."""
    first: list[Any] = [y, dx if x is None else x]
    v, w = cx.promote(first, name, floating=True)
    if v.rank == 0:
        raise InferError("rank-mismatch", f"`{name}` works along an axis, and {v.type} has none", [("y", f"this is {v.type}")])
    k = axis_number(axis, v.rank, name)
    n = v.shape[k]
    cx.graph.need(n, 1, f"`{name}` takes at least one point", "empty-axis", [("y", f"axis {k} of {v.type} has size {n}")])
    pairs = window_of(v, k, 1, n - 1) + window_of(v, k, 0, n - 1)
    if x is None:
        width = w
    elif w.rank == 1:
        width = diff(cx, w)
        width = emit_reshape(width, tuple(width.shape[0] if a == k else 1 for a in range(v.rank)))
    else:
        width = diff(cx, w, axis=k - v.rank)
    pairs, width = cx.broadcast((pairs, width), name)
    return pairs * width * 0.5, k


@function("trapezoid")
def trapezoid(cx: Surface, y: Arg, x: OptionalArg = None, dx: Arg = Literal("float", 1.0), axis: Axis = -1) -> Value:
    """The integral along an axis by the trapezoidal rule, over points `x` or points `dx` apart."""
    v = cx.value(y)
    if v.rank and v.shape[axis_number(axis, v.rank, "trapezoid")] == 0:
        (v,) = cx.promote((y,), "trapezoid", floating=True)
        return OPS["sum"](v, axes=(axis_number(axis, v.rank, "trapezoid"),))
    areas, k = _panels(cx, y, x, dx, axis, "trapezoid")
    return OPS["sum"](areas, axes=(k,))


@function("cumulative_trapezoid")
def cumulative_trapezoid(
    cx: Surface, y: Arg, x: OptionalArg = None, dx: Arg = Literal("float", 1.0), axis: Axis = -1, initial: OptionalArg = None
) -> Value:
    """The running integral along an axis by the trapezoidal rule; `initial` stands before it if given."""
    areas, k = _panels(cx, y, x, dx, axis, "cumulative_trapezoid")
    made = cumsum(areas, axis=k, reverse=False)
    if initial is None:
        return made
    start = cx.literal(initial, made.dtype) if isinstance(initial, Literal) else emit_cast(initial, made.dtype)
    head = cx.stretch(start, tuple(1 if a == k else d for a, d in enumerate(made.shape)))
    return OPS["concat"](head, made, axis=k)
