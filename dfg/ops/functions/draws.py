"""Draws: equal seed, shape and dtype give equal numbers."""

from __future__ import annotations

from typing import Any

from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.elementwise import emit_cast
from dfg.ops.functions.common import count_of, dim_value, doc_of
from dfg.ops.movement import emit_reshape
from dfg.ops.surface import Args, DTypeArg, Literal, Shape, Surface, dtype_of, function, shape_of
from dfg.types import I64


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

    f.__doc__ = doc_of(name) + " `seed` is an integer or a list of them, constant or computed."
    function(name)(f)


_declare_draw("normal")
_declare_draw("uniform")
