"""An op as a call of the surface function of its name, or of `primitive`.

A call is printed only after it has been made on operands like these in an empty graph and has emitted just this op: a function that does something
else under the same name is never taken for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import is_
from typing import Any, cast

import numpy as np

from dfg.diagnostics import InternalError
from dfg.dims import Dim
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPS
from dfg.text.convert import FORMS, Shape, Writer, common, opaque, operands, reduced, size_text, typed
from dfg.text.term import Level, Reduction, Term, scalar_text
from dfg.types import DType, TensorType, broadcast_shapes


@dataclass(frozen=True, slots=True)
class Way:
    """How a surface function could give an op: what each parameter is, an operand's position, all operands, or a static argument."""

    name: str
    places: tuple[tuple[str, bool, int | None, Any], ...]
    """For each parameter that is given: its name, whether it stands by position, the operand, or else the static argument."""
    listed: bool = False

    def arguments(self, operands: Sequence[Any], static: Callable[[Any], Any]) -> tuple[list[Any], dict[str, Any]]:
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for name, positional, k, value in self.places:
            made = static(value) if k is None else list(operands) if self.listed else operands[k]
            if positional:
                args.append(made)
            else:
                kwargs[name] = made
        return args, kwargs


def calls(v: Value) -> list[Way]:
    """Calls that might give an op; `tried` tells which does."""
    from dfg.ops.surface import FUNCTIONS, role

    function = FUNCTIONS.get(v.op.name)
    if function is None:
        return []
    attributes = dict(zip([a.name for a in v.op.attrs], v.attrs, strict=True))
    found = []
    for extra in ({}, {"dtype": v.type.dtype} if isinstance(v.type, TensorType) else {}):
        given = {**attributes, **extra}
        places: list[tuple[str, bool, int | None, Any]] = []
        operand, skipped, listed = 0, False, False
        for p in function.signature.parameters.values():
            kind = role(p)
            if p.kind is p.VAR_POSITIONAL:
                return []
            key = p.name if p.name in given else {"axis": "axes", "axes": "axis"}.get(p.name, p.name)
            if kind == "operands":
                places.append((p.name, not skipped, 0, None))
                operand, listed = len(v.operands), True
            elif kind.startswith("operand") and operand < len(v.operands):
                places.append((p.name, not skipped, operand, None))
                operand += 1
            elif key in given and isinstance(given[key], int | float | str) and p.default == given[key]:
                given.pop(key)  # as it is by default
                skipped = True
            elif key in given:
                positional = not skipped and p.default is p.empty
                places.append((p.name, positional, None, given.pop(key)))
                skipped = skipped or not positional
            else:
                skipped = True
        if operand == len(v.operands) and not given:
            found.append(Way(v.op.name, tuple(places), listed))
    return found


def tried(w: Writer, v: Value, call: Way, terms: Sequence[Term] | None) -> bool:
    """Whether a call emits just this op: on operands of its types (`terms` None), or this op of this type on operands like these terms."""
    like = tuple([o.type for o in v.operands]) if terms is None else tuple([(t.dtype, t.shape, t.text if t.dtype is None else "") for t in terms])
    key = (v.op, v.attrs, call.places, terms is None, like)
    found = w.tries.get(key)
    if found is None:
        found = w.tries[key] = emits(v, call, terms)
    return found


def emits(v: Value, call: Way, terms: Sequence[Term] | None) -> bool:
    from dfg.ops.surface import Literal, Surface
    from dfg.ops.surface import call as call_function

    g = Graph(v.graph.facts)
    given: list[Any] = []
    for k, o in enumerate(v.operands):
        t = terms[k] if terms is not None else None
        if t is not None and t.dtype is None:
            assert t.array is not None
            given.append(Literal(cast(Any, t.kind), t.array.item() if t.array.ndim == 0 else t.array, t.text))
        else:
            given.append(g.emit(OPS["input"], (), (f"x{k}", o.type if t is None or t.dtype is None else TensorType(t.dtype, t.shape))))
    try:
        made = call_function(Surface(g), call.name, *call.arguments(given, lambda x: x))
    except InferError:
        return False
    if isinstance(made, tuple | list):
        made = made[0].operands[0] if made and made[0].op.name == "part" else None
    if not isinstance(made, Value) or made.op is not v.op or made.attrs != v.attrs:
        return False
    if terms is None:
        return made.type == v.type and len(made.operands) == len(given) and all(map(is_, made.operands, given))
    return bool(made.dtype is v.dtype and made.shape == broadcast_shapes([t.shape for t in terms], g.facts))


def call_term(w: Writer, v: Value) -> Term:
    """An op as a call of the surface function of its name if that gives it, else of `primitive`."""
    shape: Shape = v.shape if isinstance(v.type, TensorType) else ()
    dtype = v.dtype if isinstance(v.type, TensorType) else None
    for call in calls(v):
        if not tried(w, v, call, None):
            continue
        terms = [typed(w, o) for o in v.operands]
        if v.op.elementwise and isinstance(v.type, TensorType):
            loose = operands(w, v)
            if tried(w, v, call, loose):
                terms, shape = loose, common(w, loose)
            elif terms and all(t.static for t in terms):
                terms[0] = opaque(w, terms[0], v.operands[0].dtype)
        args, kwargs = call.arguments([t.text for t in terms], lambda x: static_text(w, x))
        texts = [f"[{', '.join(a)}]" if isinstance(a, list) else a for a in args]
        axes = dict(zip([a.name for a in v.op.attrs], v.attrs, strict=True)).get("axes")
        if axes and "axis" in kwargs and len(v.operands) == 1 and keeps(call.name):
            kwargs.pop("axis")
            more = "".join(f", {name}={text}" for name, text in kwargs.items())
            return reduced(w, v, Reduction(w.use(call.name), ", ".join(texts), axes, v.operands[0].shape, more))
        texts += [f"{name}={text if isinstance(text, str) else '[' + ', '.join(text) + ']'}" for name, text in kwargs.items()]
        return Term(f"{w.use(call.name)}({', '.join(texts)})", Level.POST, dtype, shape)
    if any(a.kind in ("body", "const", "type") for a in v.op.attrs):
        raise InternalError(f"the op `{v.op.name}` has no readable form")
    given = ", ".join([typed(w, o).text for o in v.operands])
    attrs = f", [{', '.join([static_text(w, a) for a in v.attrs])}]" if v.attrs else ""
    return Term(f'{w.use("primitive")}("{v.op.name}", [{given}]{attrs})', Level.POST, dtype, v.shape if dtype is not None else ())


def keeps(function: str) -> bool:
    from dfg.ops.surface import FUNCTIONS

    return "keepdims" in FUNCTIONS[function].signature.parameters


def static_text(w: Writer, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "none"
    if isinstance(value, DType):
        return w.use(value.name)
    if isinstance(value, int | Dim):
        return size_text(w, value)
    if isinstance(value, float):
        return scalar_text(np.float64(value))
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join([static_text(w, x) for x in value])}]"
    raise InternalError(f"the argument {value!r} has no text")


def term_of(w: Writer, v: Value) -> Term:
    """The term of a value whose operands have terms."""
    made = FORMS.get(v.op.name)
    return call_term(w, v) if made is None else made(w, v)
