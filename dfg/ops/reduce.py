"""Reductions over axes. A reduced axis leaves the shape; `keepdims` of the surface functions is a reshape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dfg.ir import Graph, Value
from dfg.ops.base import REDUCED, Attr, Axes, Case, NoGradient, Op, Reject, RuleContext, VjpRule, check_dtype, define, full_like, tensor
from dfg.ops.elementwise import emit_cast, equal, where
from dfg.ops.movement import check_axes, expand_reduced
from dfg.types import ANY, BOOL, I32, I64, NUMERIC, U8, DType, TensorType, Type


def reduction(
    name: str,
    doc: str,
    ufunc: str,
    dtypes: Sequence[DType],
    vjp: VjpRule | NoGradient,
    *,
    empty: bool = True,
    linear: bool = False,
    moves: bool = False,
    formula: str = "",
    samples: Callable[[np.random.Generator], np.ndarray] | None = None,
) -> Op:
    """Define a reduction to the operand's dtype. `empty` tells whether an axis of size 0 has a result."""

    def infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
        t = tensor(operands[0])
        check_dtype(name, t, dtypes)
        axes = attrs[0]
        check_axes(t, axes)
        if not empty:
            for a in axes:
                cx.need(
                    t.shape[a], 1, f"`{name}` of an empty axis has no value", "empty-axis", [(0, f"axis {a} of {t} has size {t.shape[a]}")]
                )
        return TensorType(t.dtype, tuple(d for k, d in enumerate(t.shape) if k not in axes))

    def axes_of(v: Value) -> Axes:
        return reduced_axes(v.operands[0].rank, v.attrs[0])

    def cases(rng: np.random.Generator) -> list[Case]:
        draw = rng.normal
        shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
            ((4,), (0,)),
            ((2, 3), (0,)),
            ((2, 3), (0, 1)),
            ((2, 1, 3), (1, 2)),
            ((3,), ()),
        ]
        if empty:
            shapes += [((0, 2), (0,)), ((0, 2), (1,))]
        bools = dtypes == (BOOL,)
        result = [
            Case((draw(size=s) > 0 if bools else np.asarray(draw(size=s)),), (("axes", a),), wrt=() if bools else None) for s, a in shapes
        ]
        if I64 in dtypes:
            result.append(Case((rng.integers(0, 9, (2, 3)),), (("axes", (1,)),), wrt=()))
        return result

    return define(
        Op(
            name,
            doc,
            infer,
            vjp,
            attrs=(Attr("axes", "axes"),),
            evaluate=lambda xp, x, *, axes: getattr(xp, ufunc)(x, axis=axes, **_same(x, ufunc)),
            into=lambda out, x, *, axes: f"np.{_REDUCERS[ufunc]}.reduce({x}, {axes[0] if len(axes) == 1 else axes}, None, {out})",
            axes=axes_of,
            linear=(linear,),
            moves=moves,
            cost=lambda v: v.operands[0].type.size,
            samples=cases,
            formula=formula,
            rejects=(Reject(("f64[3]" if BOOL not in dtypes or len(dtypes) > 1 else "bool[3]",), (("axes", (1,)),), "bad-argument"),),
        )
    )


_REDUCERS = {"sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum", "any": "logical_or", "all": "logical_and"}
"""NumPy's functions for sums and the like are Python that ends in these; given an out, they work in its dtype."""


def _same(x: Any, ufunc: str) -> dict[str, Any]:
    # NumPy widens sums of small integers; the graph has cast before where that is wanted.
    return {"dtype": x.dtype} if ufunc in ("sum", "prod") else {}


def reduced_axes(rank: int, axes: Sequence[int]) -> Axes:
    """Axes of a reduction: kept axes are lanes."""
    result: list[int | str] = []
    lane = 0
    for k in range(rank):
        if k in axes:
            result.append(REDUCED)
        else:
            result.append(lane)
            lane += 1
    return (tuple(result),)


def _sum_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    return [expand_reduced(ct, y.operands[0].shape, y.attrs[0])]


def _extreme_vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    x = y.operands[0]
    axes = y.attrs[0]
    hit = equal(x, expand_reduced(y, x.shape, axes))
    count = sum_op(emit_cast(hit, x.dtype), axes=axes)
    share = expand_reduced(ct / count, x.shape, axes)
    return [where(hit, share, full_like(share, 0))]


sum_op = reduction("sum", "Sum over axes.", "sum", NUMERIC, _sum_vjp, linear=True, moves=True, formula="sum of x over axes")
max_op = reduction(
    "max", "Largest element over axes; elements that tie share the cotangent equally.", "max", ANY, _extreme_vjp, empty=False, linear=True
)
min_op = reduction(
    "min", "Smallest element over axes; elements that tie share the cotangent equally.", "min", ANY, _extreme_vjp, empty=False, linear=True
)
any_op = reduction(
    "any", "Whether any element over axes is true.", "any", (BOOL,), NoGradient("its result is not a real number that varies smoothly")
)
all_op = reduction(
    "all", "Whether all elements over axes are true.", "all", (BOOL,), NoGradient("its result is not a real number that varies smoothly")
)


def _arg_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = tensor(operands[0])
    axis = attrs[0]
    check_axes(t, (axis,))
    cx.need(
        t.shape[axis],
        1,
        "the place of an extreme element of an empty axis does not exist",
        "empty-axis",
        [(0, f"axis {axis} of {t} has size {t.shape[axis]}")],
    )
    return TensorType(I64, tuple(d for k, d in enumerate(t.shape) if k != axis))


def _arg_reduction(name: str, doc: str) -> Op:
    return define(
        Op(
            name,
            doc,
            _arg_infer,
            NoGradient("a place is an integer"),
            attrs=(Attr("axis", "axis"),),
            evaluate=lambda xp, x, *, axis: getattr(xp, name)(x, axis=axis),
            into=lambda out, x, *, axis: f"np.{name}({x}, axis={axis}, out={out})",
            axes=lambda v: reduced_axes(v.operands[0].rank, (v.attrs[0],)),
            cost=lambda v: v.operands[0].type.size,
            # NumPy copies the operand where the axis is not the last one.
            workspace=lambda v: 0 if v.attrs[0] == v.operands[0].rank - 1 else v.operands[0].type.size * v.operands[0].dtype.size,
            samples=lambda rng: [Case((rng.normal(size=s),), (("axis", a),)) for s, a in [((4,), 0), ((2, 3), 1), ((2, 3), 0)]],
            rejects=(Reject(("f64[3]",), (("axis", 1),), "bad-argument"),),
        )
    )


argmax_op = _arg_reduction("argmax", "Where the first largest element along an axis is.")
argmin_op = _arg_reduction("argmin", "Where the first smallest element along an axis is.")

SUMMED_AS = {BOOL: I64, U8: I64, I32: I64}
"""The dtypes that a sum widens, as NumPy does."""
