"""`primitive("name", [operands], [attributes])`: any op of the registry, strictly, by its name. Printed programs use it where no other function gives an op."""

from __future__ import annotations

from typing import Any

from dfg.ir import InferError, Value
from dfg.ops.base import OPS, project
from dfg.ops.surface import Args, Static, Surface, Word, function, plain
from dfg.types import TupleType

_MALFORMED = (ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError, ArithmeticError)


def deep(x: Any) -> Any:
    """A static argument with tuples for lists."""
    return tuple(deep(y) for y in x) if isinstance(x, list | tuple) else plain(x)


@function("primitive")
def primitive(cx: Surface, name: Word, operands: Args, attrs: Static = ()) -> Value | tuple[Value, ...]:
    """An op of the graph by its name, with operands of just the types that it takes and its attributes in order: nothing is promoted or broadcast."""
    op = OPS.get(name)
    if op is None or op.leaf or op.calculus or any(a.kind in ("body", "const", "type") for a in op.attrs):
        raise InferError("unknown-op", f"there is no primitive op `{name}`", [("name", "this one")])
    given = deep(attrs)
    if not isinstance(given, tuple) or len(given) != len(op.attrs):
        wanted = ", ".join(a.name for a in op.attrs)
        raise InferError("bad-argument", f"`{name}` has the attributes [{wanted}]", [("attrs", "this list")])
    values = tuple([cx.value(o) for o in operands])
    if op.arity is not None and len(values) != op.arity:
        raise InferError("arity", f"`{name}` takes {op.arity} operands, not {len(values)}", [("operands", "this list")])
    try:
        made = cx.graph.emit(op, values, given)
    except _MALFORMED as e:
        raise InferError("bad-argument", f"`{name}` cannot have these attributes ({type(e).__name__})", [("attrs", "this list")]) from None
    return project(made) if isinstance(made.type, TupleType) else made
