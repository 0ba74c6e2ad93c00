"""`scan`: a loop over leading axes, with carries, yields and captures.

Operands are the carries' starts, the tensors gone through, and the captures; the body's arguments come in the same order. The body's outputs are
the next carries, then what is yielded. The result is a tuple: final carries, then stacks of what was yielded; `trace` projects the stack of any value of
the body. With `reverse` the steps run from the last to the first, and stacks are still in the order of the axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dfg.dims import DimLike
from dfg.ir import Graph, InferError, Subgraph, Value
from dfg.ops.base import OPAQUE, Attr, Axes, Op, RuleContext, define, tensor
from dfg.ops.leaf import arg
from dfg.types import TensorType, TupleType, Type


def infer_loop(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    body, length, carries, xs, _ = attrs
    if len(operands) != len(body.inputs):
        raise InferError("arity", f"the body takes {len(body.inputs)} arguments, not {len(operands)}")
    for k, (o, a) in enumerate(zip(operands, body.inputs, strict=True)):
        t = tensor(o)
        if carries <= k < carries + xs:
            if t.rank == 0 or cx.equal_sizes(t.shape[0], length) is not True:
                raise InferError("shape-mismatch", f"`scan` goes through {length} steps, and this is {t}", [(k, f"this is {t}")])
            t = t.with_shape(t.shape[1:])
        if t != a.type:
            raise InferError("carry-type", f"the body takes {a.type} here, not {t}", [(k, f"this is {t}")])
    for k in range(carries):
        if body.outputs[k].type != body.inputs[k].type:
            raise InferError("carry-type", f"a carry begins as {body.inputs[k].type} and becomes {body.outputs[k].type}")
    for key, need in body.graph.needs.items():
        cx.needs.setdefault(key, need)
    stacks = [o.type.with_shape((length, *o.type.shape)) for o in body.outputs[carries:]]
    return TupleType([*[o.type for o in body.outputs[:carries]], *stacks])


def numbered_body(graph: Graph, inputs: Sequence[Value | None], outputs: Sequence[Value], types: Sequence[Type]) -> Subgraph:
    """The body that computes `outputs` of a traced graph, its arguments numbered in the order of `inputs` (of `types`); None is an argument that it does
    not use."""
    fresh = graph.like()
    mapping: dict[int, Value] = {}
    arguments: list[Value] = []
    for position, (v, t) in enumerate(zip(inputs, types, strict=True)):
        made = fresh.emit(arg, (), (position, t))
        arguments.append(made)
        if v is not None:
            mapping[v.index] = made
            fresh.copy_tables(v, made)
    for v in graph.live(outputs):
        if v.index not in mapping:
            mapping[v.index] = fresh.emit(v.op, tuple([mapping[o.index] for o in v.operands]), v.attrs)
            fresh.copy_tables(v, mapping[v.index])
    for name, value in graph.names.items():
        if value.index in mapping:
            fresh.names[name] = mapping[value.index]
    return Subgraph(fresh, tuple(arguments), tuple(mapping[o.index] for o in outputs))


def _vjp(cx: RuleContext, cts: Any, y: Value) -> Sequence[Value | None]:
    return cx.driver.scan(y, cts, cx.need)


def _axes(v: Value) -> Axes:
    return tuple((OPAQUE,) * o.rank for o in v.operands)


def body_cost(body: Subgraph) -> DimLike:
    """Floating-point operations of one run of a body."""
    total: DimLike = 0
    for w in body.graph.values:
        if w.op.cost is not None:
            total = total + w.op.cost(w)
        elif isinstance(w.type, TensorType):
            total = total + w.type.size
    return total


scan = define(
    Op(
        "scan",
        "A loop over leading axes with carries; what is yielded is stacked.",
        infer_loop,
        _vjp,
        attrs=(Attr("body", "body"), Attr("length", "dim"), Attr("carries", "int"), Attr("xs", "int"), Attr("reverse", "bool")),
        arity=None,
        axes=_axes,
        cost=lambda v: body_cost(v.attrs[0]) * v.attrs[1],
        liveness=True,
    )
)
