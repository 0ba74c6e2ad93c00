"""Which surface functions act element by element: those go leaf by leaf on records, and may stand in indexed statements.

Nothing is listed by hand where it can be seen: a function is elementwise if it folds literals, if it is the elementwise op of its name, or if all that it emits for
matrices of named sizes are elementwise ops (with constants, casts and scalars that are stretched).

>>> import dfg.ops.functions
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

FORMS: Final = frozenset({"astype", "clamp", "clip", "empty_like", "full_like", "ones_like", "stop_gradient", "zeros_like", "where", "real", "conj"})
"""Those that give their argument itself for some dtypes, take more than operands, or make a constant of its shape."""
SIZES: Final = (named("rows"), named("columns"))
PLAIN: Final = frozenset({"cast", "broadcast", "constant", "input", "stop_gradient"})


@cache
def acts_elementwise(name: str) -> bool:
    """Whether the result of a function at a place is its value on the arguments at that place."""
    f = FUNCTIONS.get(name)
    if f is None:
        return False
    if f.fold is not None or name in FORMS or (name in OPS and OPS[name].elementwise):
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
