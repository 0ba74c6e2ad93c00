"""Convolution: one primitive over windows, `conv`, whose gradients are itself.

`conv` is a contraction whose operands have, behind the axes named by `subs` (as in `contract`), axes that slide over each other:

    y[.., t] = sum over shared letters and k of  x[.., t * stride + k * dilation - before] * w[.., k]

for t from 0 below `sizes`; x has `spread - 1` zeros put between its elements, and is zero outside. Each operand's cotangent is a sum of the same kind (the
windows, the strides and the two kinds of gaps change places), so orders of derivative need no other op, and sizes are exact without remainders.

Evaluated by matrix products over windows copied in pieces of bounded size (`PIECE` elements), never over all windows at once; an operand with gaps is taken
apart into its phases, so that a transposed convolution multiplies no zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

from dfg.dims import DimLike, dim_max, dim_min, suggest_fact
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPAQUE, OPS, REDUCED, Attr, Axes, Case, Op, Reject, RuleContext, check_dtype, define, full, tensor
from dfg.ops.contract import canonical, contract, split_subs
from dfg.ops.movement import broadcast_along, emit_permute
from dfg.ops.surface import Arg, Static, Surface, Word, function, plain, size_of
from dfg.types import BOOL, NUMERIC, TensorType, Type

PIECE = 1 << 21
"""Elements of windows that are copied at a time."""

CONV_ATTRS = tuple(Attr(n, "text" if n == "subs" else "int") for n in ("subs", "before", "sizes", "strides", "spread", "dilation"))
# These are one entry for each window axis; a batch axis in front changes none of them.


def _product(sizes: Sequence[DimLike]) -> DimLike:
    total: DimLike = 1
    for d in sizes:
        total = total * d
    return total


def _infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    x, w = tensor(operands[0]), tensor(operands[1])
    subs, before, sizes, strides, spread, dilation = attrs
    check_dtype("conv", x, NUMERIC)
    if x.dtype is not w.dtype:
        raise InferError("wrong-dtype", f"a convolution takes operands of one dtype, not {x.dtype} and {w.dtype}", [(0, f"this is {x}"), (1, f"this is {w}")])
    a, b, result = split_subs(subs)
    n = len(sizes)
    if len({len(before), n, len(strides), len(spread), len(dilation)}) > 1 or any(not isinstance(k, int) or k < 1 for k in (*strides, *spread, *dilation)):
        raise InferError("bad-argument", f"a convolution takes a stride, a dilation and the like, of at least 1, for each of {n} axes")
    if len(a) + n != x.rank or len(b) + n != w.rank:
        raise InferError("rank-mismatch", f"`{subs}` and {n} window axes do not fit {x} and {w}", [(0, f"this is {x}"), (1, f"this is {w}")])
    if any(len(set(t)) != len(t) for t in (a, b, result)) or not set(result) <= set(a) | set(b) or (set(a) ^ set(b)) - set(result):
        raise InferError("bad-argument", f"`{subs}` is not a contraction of two operands in canonical form")
    known: dict[str, tuple[DimLike, int]] = {letter: (d, k) for k, (letter, d) in enumerate(zip(a, x.shape, strict=False))}
    for k, (letter, d) in enumerate(zip(b, w.shape, strict=False)):
        if letter in known and (proved := cx.equal_sizes(known[letter][0], d)) is not True:
            other, axis = known[letter]
            raise InferError(
                "shape-mismatch" if proved is False else "dim-unproved",
                f"cannot convolve {x} with {w}: axis {axis} of the first and axis {k} of the second differ",
                [(0, f"axis {axis} is {other}"), (1, f"axis {k} is {d}")],
                dim_fact=None if proved is False else suggest_fact(other, d),
            )
        known.setdefault(letter, (d, k))
    for d in sizes:
        cx.need(d, 0, "a size is never negative", "bad-argument")
    return TensorType(x.dtype, (*[known[c][0] for c in result], *sizes))


def _vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    x, w = y.operands
    subs, before, _, strides, spread, dilation = y.attrs
    a, b, result = split_subs(subs)
    made: list[Value | None] = [None, None]
    if cx.need[0]:
        kernel = w.shape[len(b) :]
        turned = OPS["flip"](w, axes=tuple(range(len(b), w.rank)))
        made[0] = conv(
            ct,
            turned,
            subs=canonical(f"{result},{b}->{a}"),
            before=tuple((k - 1) * d - p for k, d, p in zip(kernel, dilation, before, strict=True)),
            sizes=x.shape[len(a) :],
            strides=spread,
            spread=strides,
            dilation=dilation,
        )
    if cx.need[1]:
        made[1] = conv(
            x,
            ct,
            subs=canonical(f"{a},{result}->{b}"),
            before=before,
            sizes=w.shape[len(b) :],
            strides=dilation,
            spread=spread,
            dilation=strides,
        )
    return made


# --- evaluation ----------------------------------------------------------------------------------------------------------------------


def _evaluate(
    xp: Any,
    x: Any,
    w: Any,
    *,
    subs: str,
    before: tuple[int, ...],
    sizes: tuple[int, ...],
    strides: tuple[int, ...],
    spread: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Any:
    a, b, result = split_subs(subs)
    known = {**dict(zip(a, x.shape, strict=False)), **dict(zip(b, w.shape, strict=False))}
    made = np.empty((*[known[c] for c in result], *sizes), x.dtype)
    # Where an axis has gaps and steps of 1, results of one phase meet only every `spread`-th element of the window.
    phased = [g if g > 1 and s == 1 and d == 1 else 1 for g, s, d in zip(spread, strides, dilation, strict=True)]
    lead = (slice(None),) * len(result)
    front = (slice(None),) * len(b)
    for phase in product(*[range(min(g, max(n, 1))) for g, n in zip(phased, sizes, strict=True)]):
        out = made[(*lead, *[slice(p, None, g) for p, g in zip(phase, phased, strict=True)])]
        starts = [(p0 - p) % g for p, p0, g in zip(phase, before, phased, strict=True)]
        part = w[(*front, *[slice(k, None, g) for k, g in zip(starts, phased, strict=True)])]
        shifted = tuple((p0 - p - k) // g for p0, p, k, g in zip(before, phase, starts, phased, strict=True))
        gaps = tuple(1 if f > 1 else g for f, g in zip(phased, spread, strict=True))
        _dense(x, part, out, (a, b, result), shifted, strides, gaps, dilation)
    return made


def _dense(
    x: np.ndarray,
    w: np.ndarray,
    out: np.ndarray,
    letters: tuple[str, str, str],
    before: Sequence[int],
    strides: Sequence[int],
    spread: Sequence[int],
    dilation: Sequence[int],
) -> None:
    """One convolution into `out`."""
    a, b, result = letters
    n = len(before)
    sizes, kernel = out.shape[len(result) :], w.shape[len(b) :]
    if out.size == 0 or x.size == 0 or w.size == 0:
        out[...] = 0
        return
    reach = [(t - 1) * s + (k - 1) * d + 1 for t, s, k, d in zip(sizes, strides, kernel, dilation, strict=True)]
    padded = _padded(x, len(a), before, reach, spread)
    if x.ndim == w.ndim == n == 1 and strides[0] == dilation[0] == 1:
        # Two signals: NumPy slides one over the other without copies of windows.
        out[...] = np.correlate(np.ascontiguousarray(padded), np.ascontiguousarray(w))
        return
    steps = padded.strides[len(a) :]
    windows = np.lib.stride_tricks.as_strided(
        padded,
        (*padded.shape[: len(a)], *sizes, *kernel),
        (*padded.strides[: len(a)], *[q * s for q, s in zip(steps, strides, strict=True)], *[q * d for q, d in zip(steps, dilation, strict=True)]),
        writeable=False,
    )
    places, taps = int(np.prod(sizes)), int(np.prod(kernel))
    rows = x.shape[0] if a else 1
    if windows.size // rows <= max(PIECE, padded.size):
        _by_pieces(windows, w, out, letters, n)
        return
    # Windows of one row alone would take too much: place by place over the shorter of the two.
    t, k = "0123456789"[:n], "ABCDEFGHIJ"[:n]
    if taps <= places:
        out[...] = 0
        for tap in np.ndindex(*kernel):
            out += _einsum(f"{a}{t},{b}->{result}{t}", windows[(..., *tap)], w[(..., *tap)])
    else:
        for place in np.ndindex(*sizes):
            out[(..., *place)] = _einsum(f"{a}{k},{b}{k}->{result}", windows[(*(slice(None),) * len(a), *place)], w)


def _einsum(subs: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    evaluate = contract.evaluate
    assert evaluate is not None
    return np.asarray(evaluate(np, x, w, subs=subs))


def _padded(x: Any, lead: int, before: Sequence[int], reach: Sequence[int], spread: Sequence[int]) -> Any:
    """The operand from `before` places ahead of its start, `reach` places long, with its gaps; a view where nothing is to be added."""
    if all(p <= 0 and g == 1 and r - p <= s for p, g, r, s in zip(before, spread, reach, x.shape[lead:], strict=True)):
        return x[(..., *[slice(-p, r - p) for p, r in zip(before, reach, strict=True)])]
    made: Any = np.zeros((*x.shape[:lead], *reach), x.dtype)
    target, source = [], []
    for p, r, g, s in zip(before, reach, spread, x.shape[lead:], strict=True):
        first = -(p // g) if p < 0 else 0  # the first element at a place that is not negative
        last = min(s, (r - 1 - p) // g + 1)
        first = min(first, max(last, 0))
        source.append(slice(first, max(last, first)))
        target.append(slice(p + first * g, p + first * g + max(last - first, 0) * g, g))
    if all(e.stop > e.start for e in source):
        made[(..., *target)] = x[(..., *source)]
    return made


def _pieces(rows: int, size: int) -> Iterator[slice]:
    """Runs of rows, each of at most `PIECE` elements."""
    step = max(1, PIECE // max(1, size // rows))
    for i in range(0, rows, step):
        yield slice(i, min(i + step, rows))


def _by_pieces(windows: np.ndarray, w: np.ndarray, out: np.ndarray, letters: tuple[str, str, str], n: int) -> None:
    """Matrix products over windows that are copied row by row of the first axis."""
    a, b, result = letters
    if not a:
        out[...] = _products(windows, w, letters, n)
        return
    c = a[0]
    started = False
    for run in _pieces(windows.shape[0], windows.size):
        part = w[tuple(run if d == c else slice(None) for d in b)]
        made = _products(windows[run], part, letters, n)
        if c in result:
            out[tuple(run if d == c else slice(None) for d in result)] = made
        elif started:
            out += made
        else:
            out[...] = made
            started = True


def _products(windows: np.ndarray, w: np.ndarray, letters: tuple[str, str, str], n: int) -> Any:
    """The convolution of a piece by one matmul."""
    a, b, result = letters
    batch = [c for c in a if c in b and c in result]
    left = [c for c in a if c not in b]
    right = [c for c in b if c not in a]
    summed = [c for c in a if c in b and c not in result]
    size = {**dict(zip(a, windows.shape, strict=False)), **dict(zip(b, w.shape, strict=False))}
    place = list(range(len(a), len(a) + n))
    tap = list(range(len(a) + n, len(a) + 2 * n))
    places, taps = windows.shape[len(a) : len(a) + n], windows.shape[len(a) + n :]

    def of(names: Sequence[str]) -> list[int]:
        return [a.index(c) for c in names]

    def total(names: Sequence[str], more: Sequence[int] = ()) -> int:
        return int(np.prod([*[size[c] for c in names], *more], dtype=np.int64))

    q = w.transpose([*[b.index(c) for c in (*batch, *right, *summed)], *range(len(b), len(b) + n)])
    q = q.reshape((*[size[c] for c in batch], total(right), total(summed, taps)))
    order = [c for c in result if c in batch or c in left]
    if int(np.prod(places)) >= int(np.prod(taps)) and [c for c in order if c in batch] == batch:
        # Many places: each row's windows as [taps, places], which the product leaves in the order of the result.
        p = windows.transpose([*of(order), *of(summed), *tap, *place])
        p = p.reshape((*[size[c] for c in order], total(summed, taps), total((), places)))
        q = q.reshape((*[size[c] if c in batch else 1 for c in order], total(right), total(summed, taps)))
        made = np.matmul(q, p).reshape((*[size[c] for c in order], *[size[c] for c in right], *places))
        names = [*order, *right]
        return made.transpose([*[names.index(c) for c in result], *range(len(names), len(names) + n)])
    p = windows.transpose([*of(batch), *of(left), *place, *of(summed), *tap])
    p = p.reshape((*[size[c] for c in batch], total(left, places), total(summed, taps)))
    made = np.matmul(q, np.swapaxes(p, -1, -2))
    names = [*batch, *right, *left]
    made = made.reshape((*[size[c] for c in names], *places))
    return made.transpose([*[names.index(c) for c in result], *range(len(names), len(names) + n)])


# --- liveness ----------------------------------------------------------------------------------------------------------------------------


def _lives(v: Value, pred: Value | None) -> Sequence[Value | None]:
    """An element of x is live if it lies in a window of a live place; strides may step over some, and so may a padding below zero."""
    subs, before, sizes, strides, spread, dilation = v.attrs
    a, b, result = split_subs(subs)
    x, w = v.operands
    window = w.shape[len(b) :]
    shape = x.shape[len(a) :]
    if pred is None and covers(shape, window, sizes, before, strides, spread, dilation):
        return [None, None]
    n = len(sizes)
    of_w = None if pred is None else _over(pred, [*[k for k, c in enumerate(result) if c not in b], *range(len(result), len(result) + n)])
    names_w = [c for c in result if c in b]
    if of_w is not None:
        of_w = broadcast_along(emit_permute(of_w, [names_w.index(c) for c in b if c in names_w]), w.shape, tuple(k for k, c in enumerate(b) if c in names_w))
    live = full(v.graph, True, TensorType(BOOL, tuple(sizes))) if pred is None else _over(pred, [k for k, c in enumerate(result) if c not in a])
    names = [] if pred is None else [c for c in result if c in a]
    lead = live.rank - n
    if all(g == 1 for g in spread):
        taps = broadcast_along(live, (*live.shape, *window), tuple(range(live.rank)))
        live = OPS["overlap_add"](taps, sizes=shape, before=before, strides=strides, dilation=dilation)
    else:
        # Between the gaps of a spread operand some of its elements may lie in no window; which ones is not worked out.
        live = broadcast_along(_over(live, list(range(lead, live.rank))), (*live.shape[:lead], *shape), tuple(range(lead)))
    order = [names.index(c) for c in a if c in names]
    live = emit_permute(live, [*order, *range(lead, lead + n)])
    dims = (*[k for k, c in enumerate(a) if c in names], *range(len(a), len(a) + n))
    return [broadcast_along(live, x.shape, dims), of_w]


def _over(pred: Value, axes: Sequence[int]) -> Value:
    return OPS["any"](pred, axes=tuple(axes)) if axes else pred


def covers(
    shape: Sequence[DimLike],
    window: Sequence[DimLike],
    sizes: Sequence[DimLike],
    before: Sequence[DimLike],
    strides: Sequence[int],
    spread: Sequence[int],
    dilation: Sequence[int],
) -> bool:
    """Whether every element certainly lies in a window."""
    for s, k, t, p, u, g, d in zip(shape, window, sizes, before, strides, spread, dilation, strict=True):
        if g != 1:
            continue
        if u == 1 and d == 1 and _reaches(t - 1 + k - p, s, p):
            continue
        if not (isinstance(s, int) and isinstance(k, int) and isinstance(t, int) and isinstance(p, int)) or t * k > PIECE:
            return False
        places = np.arange(t)[:, None] * u + np.arange(k) * d - p
        if len(np.unique(places[(places >= 0) & (places < s)])) < s:
            return False
    return True


def _reaches(end: DimLike, size: DimLike, before: DimLike) -> bool:
    """Whether windows one step apart go from the start of an axis or before it to its end or beyond it."""
    gap = end - size
    return isinstance(gap, int) and gap >= 0 and isinstance(before, int) and before >= 0


# --- the definition ------------------------------------------------------------------------------------------------------------------


def _axes(v: Value) -> Axes:
    a, b, result = split_subs(v.attrs[0])
    n = len(v.attrs[2])
    return tuple((*[result.index(c) if c in result else REDUCED for c in letters], *[OPAQUE] * n) for letters in (a, b))


def _taps(v: Value) -> DimLike:
    b = split_subs(v.attrs[0])[1]
    return _product(v.operands[1].shape[len(b) :])


def _cost(v: Value) -> DimLike:
    a, _, result = split_subs(v.attrs[0])
    size: DimLike = v.type.size
    return 2 * size * _taps(v) * _product([d for c, d in zip(a, v.operands[0].shape, strict=False) if c not in result])


def _workspace(v: Value) -> DimLike:
    """The padded operand, a piece of its windows, and products before they are in place."""
    x, w = v.operands
    a, b, _ = split_subs(v.attrs[0])
    strides, dilation = v.attrs[3], v.attrs[5]
    phased = [g if s == 1 and d == 1 else 1 for s, g, d in zip(strides, v.attrs[4], dilation, strict=True)]
    sizes = [(t + g - 1) // g for t, g in zip(v.attrs[2], phased, strict=True)]
    kernel = [(k + g - 1) // g for k, g in zip(w.shape[len(b) :], phased, strict=True)]
    lead = _product(x.shape[: len(a)])
    reach: DimLike = 1
    for t, s, k, d in zip(sizes, strides, kernel, dilation, strict=True):
        reach = reach * ((t - 1) * s + (k - 1) * d + 1)
    padded = dim_max(lead * reach, 0)
    windows = lead * _product(sizes) * _product(kernel)
    total: DimLike = padded + dim_min(windows, dim_max(PIECE, padded)) + w.type.size + 2 * v.type.size
    return total * v.dtype.size


_FORWARD = "ngc,goc->ngo"
# x, w, subs, before, sizes, strides, spread, dilation
_SAMPLES: list[tuple[tuple[int, ...], tuple[int, ...], str, tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = [
    ((5,), (3,), ",->", (0,), (3,), (1,), (1,), (1,)),
    ((4,), (3,), ",->", (2,), (6,), (1,), (1,), (1,)),
    ((2, 1, 2, 6), (1, 3, 2, 3), _FORWARD, (1,), (3,), (2,), (1,), (1,)),
    ((2, 2, 1, 7), (2, 2, 1, 2), _FORWARD, (0,), (5,), (1,), (1,), (2,)),
    ((1, 1, 2, 4, 5), (1, 2, 2, 2, 3), _FORWARD, (1, 0), (2, 3), (2, 1), (1, 1), (1, 1)),
    ((2, 1, 2, 3, 3), (1, 2, 2, 2, 2), _FORWARD, (1, 1), (6, 5), (1, 1), (2, 2), (1, 1)),
    ((2, 3), (2, 3), "a,a->a", (1,), (4,), (1,), (3,), (2,)),
    ((2, 4), (3, 2), "a,b->ab", (-1,), (2,), (1,), (1,), (1,)),
    ((3, 5), (3, 2), "a,a->", (0,), (2,), (2,), (1,), (3,)),
    ((2, 5), (2,), "a,->a", (1,), (5,), (1,), (1,), (1,)),
    ((0, 1, 2, 4), (1, 1, 2, 3), _FORWARD, (0,), (2,), (1,), (1,), (1,)),
    ((2, 3), (2, 0), "a,a->a", (0,), (2,), (1,), (1,), (1,)),
    ((2, 0), (2, 2), "a,a->a", (1,), (2,), (1,), (2,), (1,)),
    ((2, 3), (2, 2), "a,a->a", (4,), (9,), (1,), (2,), (1,)),
]


def _samples(rng: np.random.Generator) -> list[Case]:
    names = ("subs", "before", "sizes", "strides", "spread", "dilation")
    return [Case((rng.normal(size=r[0]), rng.normal(size=r[1])), tuple(zip(names, (canonical(r[2]), *r[3:]), strict=True))) for r in _SAMPLES]


_ATTRS: tuple[tuple[str, Any], ...] = (("subs", "ab,cb->ac"), ("before", (0,)), ("sizes", (2,)), ("strides", (1,)), ("spread", (1,)), ("dilation", (1,)))
conv = define(
    Op(
        "conv",
        "The sum of products of one operand's windows with the other, contracted by `subs`; transposed, dilated and grouped convolutions, and all their gradients.",
        _infer,
        _vjp,
        attrs=CONV_ATTRS,
        arity=2,
        evaluate=_evaluate,
        axes=_axes,
        lives=_lives,
        bilinear=True,
        workspace=_workspace,
        cost=_cost,
        samples=_samples,
        formula="y[t] = sum of x[t * stride + k * dilation - before] * w[k]",
        rejects=(
            Reject(("f64[2, 3, 4]", "f64[2, 2, 3]"), _ATTRS, "shape-mismatch"),
            Reject(("f64[3, 4]", "f64[2, 3, 3]"), _ATTRS, "rank-mismatch"),
            Reject(("f64[2, 3, 4]", "f32[2, 3, 3]"), _ATTRS, "wrong-dtype"),
            Reject(("bool[2, 3, 4]", "bool[2, 3, 3]"), _ATTRS, "wrong-dtype"),
            Reject(("f64[2, 3, 4]", "f64[2, 3, 3]"), (*_ATTRS[:3], ("strides", (0,)), *_ATTRS[4:]), "bad-argument"),
        ),
    )
)


@function("conv")
def conv_(cx: Surface, x: Arg, w: Arg, subs: Word, before: Static, sizes: Static, strides: Static = None, spread: Static = None, dilation: Static = None) -> Value:
    """The general convolution: `y[.., t] = sum of x[.., t * stride + k * dilation - before] * w[.., k]` for t below `sizes`, where `subs` names the axes before
    the window axes as in `einsum`, and `spread - 1` zeros stand between the elements of `x`."""
    a, b = cx.promote((x, w), "conv")
    n = len(_numbers(sizes, "conv", "sizes"))
    given = [_numbers(p, "conv", name) if plain(p) is not None else (1,) * n for p, name in ((strides, "strides"), (spread, "spread"), (dilation, "dilation"))]
    text = plain(subs)
    if not isinstance(text, str) or text.count(",") != 1 or text.count("->") != 1:
        raise InferError("bad-argument", '`conv` takes a text such as "nc,oc->no" as `subs`', [("subs", "this one")])
    return conv(
        a, b, subs=canonical(text), before=_numbers(before, "conv", "before"), sizes=_numbers(sizes, "conv", "sizes"), strides=given[0], spread=given[1], dilation=given[2]
    )  # fmt: skip


def _numbers(x: Any, name: str, argument: str) -> tuple[DimLike, ...]:
    given = plain(x)
    return tuple(size_of(d, name, argument) for d in (given if isinstance(given, tuple) else (given,)))
