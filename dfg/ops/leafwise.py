"""Which surface functions act element by element: those go leaf by leaf on records, and may stand in indexed statements.

Nothing is listed by hand: a function is elementwise if it says so of itself (`Function.elementwise`: it folds literals, is the elementwise op of its name, or is
written in the language with a body of such functions), or if all that it emits for matrices of named sizes are elementwise ops (with constants, casts and scalars that are
stretched).

>>> import dfg.frontend.prelude
>>> acts_elementwise("gelu"), acts_elementwise("softmax")
(True, False)
"""

from __future__ import annotations

from functools import cache
from typing import Final

from dfg.dims import named
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPS
from dfg.ops.surface import FUNCTIONS, Surface, call, role
from dfg.types import BOOL, F64, I64, TensorType

SIZES: Final = (named("rows"), named("columns"))
PLAIN: Final = frozenset({"cast", "broadcast", "constant", "input", "stop_gradient"})


@cache
def acts_elementwise(name: str) -> bool:
    """Whether the result of a function at a place is its value on the arguments at that place."""
    f = FUNCTIONS.get(name)
    if f is None:
        return False
    if f.elementwise:
        return True
    required = [p for p in f.signature.parameters.values() if p.default is p.empty]
    if not required or any(role(p) != "operand" for p in required):
        return False
    return any(_emits_elementwise(name, len(required), dtype) for dtype in (F64, I64, BOOL))


def _emits_elementwise(name: str, count: int, dtype: object) -> bool:
    graph = Graph()
    operands = [graph.emit(OPS["input"], (), (f"x{k}", TensorType(dtype, SIZES))) for k in range(count)]  # type: ignore[arg-type]
    try:
        made = call(Surface(graph), name, operands)
    except (InferError, ArithmeticError, TypeError, ValueError, IndexError, KeyError):
        return False
    if not isinstance(made, Value) or made in set(operands) or not isinstance(made.type, TensorType) or made.shape != SIZES:
        return False
    return all(
        v.op.elementwise or (v.op.name in PLAIN and (v.op.name != "broadcast" or not v.operands[0].shape)) for v in graph.live([made])
    ) and set(operands) <= set(graph.live([made]))
