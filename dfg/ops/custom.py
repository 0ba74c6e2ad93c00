"""A derivative of one's own: the value passes through, and its cotangent goes to the function's parameters by a rule.

Operands are the result that was computed, the parameters (those that get a cotangent first), then what the rule captures. The rule is a body: its arguments
are the parameters, the cotangent, the result, the captures; its outputs are one cotangent for each of the first `flows` parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPAQUE, Attr, Axes, Op, RuleContext, define, tensor
from dfg.types import Type


def _infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    rule, params, flows = attrs
    t = tensor(operands[0])
    given = [tensor(o) for o in operands[1 : 1 + params]]
    wanted = [*given, t, t, *[tensor(o) for o in operands[1 + params :]]]
    if [a.type for a in rule.inputs] != wanted:
        raise InferError("arity", "the rule takes the parameters, the cotangent, the result and what it captures")
    for k in range(flows):
        if rule.outputs[k].type != given[k]:
            raise InferError("shape-mismatch", f"a cotangent has the type of its parameter, {given[k]}, not {rule.outputs[k].type}")
    for key, need in rule.graph.needs.items():
        cx.needs.setdefault(key, need)
    return t


def _vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    rule, params, flows = y.attrs
    arguments = [*y.operands[1 : 1 + params], ct, y, *y.operands[1 + params :]]
    mapping = {a.index: v for a, v in zip(rule.inputs, arguments, strict=True)}
    for v in rule.graph.values:
        if v.index not in mapping:
            mapping[v.index] = y.graph.emit(v.op, tuple(mapping[o.index] for o in v.operands), v.attrs)
    result: list[Value | None] = [None] * len(y.operands)
    for k in range(flows):
        if cx.need[1 + k]:
            result[1 + k] = mapping[rule.outputs[k].index]
    return result


def _axes(v: Value) -> Axes:
    return (tuple(range(v.rank)), *[(OPAQUE,) * o.rank for o in v.operands[1:]])


custom = define(
    Op(
        "custom",
        "The same value, with a rule for its cotangent written in the program.",
        _infer,
        _vjp,
        attrs=(Attr("rule", "body"), Attr("params", "int"), Attr("flows", "int")),
        arity=None,
        evaluate=lambda xp, x, *rest, rule, params, flows: x,
        into="np.copyto({out}, {0})",
        marker=True,
        axes=_axes,
        cost=lambda v: 0,
    )
)
