"""Whole random words, from which draws of integers are made; see Note [Draws] in `leaf`."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPAQUE, Attr, Case, NoGradient, Op, Reject, define, tensor
from dfg.ops.leaf import draw_bits
from dfg.types import I64, TensorType, Type


def _infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    seed = tensor(operands[0])
    if seed.dtype is not I64 or seed.rank != 1:
        raise InferError("wrong-dtype", f"a seed is an i64 or a list of them, not {seed}", [(0, f"this is {seed}")], help="`i64(…)` converts")
    for d in attrs[0]:
        cx.need(d, 0, "a size is never negative", "bad-argument")
    return TensorType(I64, attrs[0])


def _evaluate(xp: Any, seeds: Any, *, shape: tuple[int, ...]) -> Any:
    return draw_bits(np.asarray(seeds), int(np.prod(shape, dtype=np.int64))).view(np.int64).reshape(shape)


random_bits = define(
    Op(
        "random_bits",
        "Draws of i64 words, every bit of which is fair; equal seed and shape give equal numbers.",
        _infer,
        NoGradient("a draw does not depend on its seed smoothly"),
        attrs=(Attr("shape", "shape"),),
        evaluate=_evaluate,
        axes=lambda v: ((OPAQUE,),),
        workspace=lambda v: v.type.size * 24,
        samples=lambda rng: [Case((np.array([3, 4], np.int64),), (("shape", s),)) for s in [(), (3, 2), (0,)]],
        rejects=(Reject(("f64[2]",), (("shape", (3,)),), "wrong-dtype"),),
    )
)
