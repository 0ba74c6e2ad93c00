"""`cond`, one of two bodies, and `while`, a body repeated while a condition holds, at most a known number of times; and `counted_scan`, what a `while` is backwards.

`trace` projects a value of a body here too. For `cond` the values of both bodies are numbered through (those of the first, then those of the second), and the
trace of a body that did not run holds anything: only the same body of the reverse `cond` reads it. For `while` the stack has as many rows as the loop has at most,
and rows that were not reached are zero. The result of `while` is a tuple: the final carries, then the number of steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dfg.dims import DimLike
from dfg.ir import Graph, InferError, Subgraph, Value
from dfg.ops.base import OPAQUE, Attr, Axes, Op, RuleContext, define, tensor
from dfg.ops.leaf import part
from dfg.ops.loop import body_cost, infer_loop
from dfg.types import BOOL, I64, TensorType, TupleType, Type


def _all_opaque(v: Value) -> Axes:
    return tuple((OPAQUE,) * o.rank for o in v.operands)


def _inherit(cx: Graph, body: Subgraph) -> None:
    for key, need in body.graph.needs.items():
        cx.needs.setdefault(key, need)


def _cond_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    then, other = attrs
    p = tensor(operands[0])
    if p != TensorType(BOOL):
        raise InferError("not-scalar-condition", f"a condition is one bool, not {p}", [(0, f"this is {p}")], help="`where` chooses elementwise; `any`, `all` reduce")
    for body in (then, other):
        if len(body.inputs) != len(operands) - 1 or any(a.type != o.type for a, o in zip(body.inputs, operands[1:], strict=True)):
            raise InferError("branch-mismatch", "a branch takes what the other takes")
        _inherit(cx, body)
    types = [o.type for o in then.outputs]
    if types != [o.type for o in other.outputs]:
        raise InferError("branch-mismatch", f"the branches give {TupleType(types)} and {TupleType([o.type for o in other.outputs])}")
    return TupleType(types)


cond = define(Op(
    "cond", "What one of two bodies gives; only the chosen one runs.", _cond_infer, lambda cx, cts, y: cx.driver.cond(y, cts, cx.need),
    attrs=(Attr("then", "body"), Attr("other", "body")), arity=None, axes=_all_opaque, liveness=True,
    cost=lambda v: body_cost(v.attrs[0]) + body_cost(v.attrs[1])))


def _while_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    test, body, most, carries = attrs
    if len(test.outputs) != 1 or test.outputs[0].type != TensorType(BOOL):
        raise InferError("not-scalar-condition", f"the condition of `while` is one bool, not {TupleType([o.type for o in test.outputs])}")
    for b in (test, body):
        if len(b.inputs) != len(operands):
            raise InferError("arity", f"the body takes {len(b.inputs)} arguments, not {len(operands)}")
        for k, (o, a) in enumerate(zip(operands, b.inputs, strict=True)):
            if tensor(o) != a.type:
                raise InferError("carry-type", f"the body takes {a.type} here, not {o.type}", [(k, f"this is {o.type}")])
        _inherit(cx, b)
    if [o.type for o in body.outputs] != [a.type for a in body.inputs[:carries]]:
        raise InferError("carry-type", f"carries begin as {TupleType([a.type for a in body.inputs[:carries]])} and become {TupleType([o.type for o in body.outputs])}")
    cx.need(most, 0, "a number of steps is never negative", "bad-argument")
    return TupleType([*[o.type for o in body.outputs], TensorType(I64)])


def _loop_vjp(cx: RuleContext, cts: Any, y: Value) -> Sequence[Value | None]:
    return cx.driver.scan(y, cts, cx.need)


while_op = define(Op(
    "while", "A body repeated while a condition of its carries holds, at most `length` times; the last result is the number of steps.", _while_infer, _loop_vjp,
    attrs=(Attr("test", "body"), Attr("body", "body"), Attr("length", "dim"), Attr("carries", "int")), arity=None, axes=_all_opaque, liveness=True,
    cost=lambda v: (body_cost(v.attrs[0]) + body_cost(v.attrs[1])) * v.attrs[2]))


def _counted_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    if tensor(operands[-1]) != TensorType(I64):
        raise InferError("wrong-dtype", f"the number of steps is one i64, not {operands[-1].type}", [(len(operands) - 1, f"this is {operands[-1].type}")])
    return infer_loop(cx, operands[:-1], attrs)


counted_scan = define(Op(
    "counted_scan", "A `scan` of which only the first steps run, as many as the last operand says; rows of stacks that are not reached are zero.", _counted_infer, _loop_vjp,
    attrs=(Attr("body", "body"), Attr("length", "dim"), Attr("carries", "int"), Attr("xs", "int"), Attr("reverse", "bool")), arity=None, axes=_all_opaque,
    liveness=True, cost=lambda v: body_cost(v.attrs[0]) * v.attrs[1]))


def loop_parts(v: Value) -> tuple[Subgraph, DimLike, int, int, bool, Value | None]:
    """Of `scan`, `counted_scan` and `while`: body, length, carries, number of tensors gone through, direction, number of steps if it is computed."""
    if v.op is while_op:
        _, body, length, carries = v.attrs
        return body, length, carries, 0, False, part(v, index=carries)
    body, length, carries, xs, reverse = v.attrs
    return body, length, carries, xs, reverse, v.operands[-1] if v.op is counted_scan else None

