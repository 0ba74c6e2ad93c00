"""Derivatives as ops: what frontends emit and differentiation expands. Targets are pins or leaves; a gradient is a `vjp` with cotangent 1."""

from __future__ import annotations

from typing import Any

from dfg.ir import Graph, InferError, Value
from dfg.ops.base import Attr, NoGradient, Op, define, full, tensor
from dfg.types import TupleType, Type

EXPANDED = NoGradient("it is expanded before anything that contains it is differentiated")


def check_target(t: Value, position: int) -> None:
    u = tensor(t)
    if not u.dtype.floating:
        raise InferError(
            "integer-target",
            f"cannot differentiate by a tensor of {u.dtype}: only floating dtypes vary smoothly",
            [(position, f"this is {u}")],
            help="declare it with a floating dtype, such as f64",
        )


def _vjp_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    y, ct = tensor(operands[0]), tensor(operands[1])
    if not y.dtype.floating:
        raise InferError("wrong-dtype", f"cannot differentiate {y}: only floating dtypes vary smoothly", [(0, f"this is {y}")])
    if y != ct:
        raise InferError(
            "shape-mismatch", f"a cotangent has the type of its value, {y}, not {ct}", [(0, f"this is {y}"), (1, f"this is {ct}")]
        )
    for k, t in enumerate(operands[2:]):
        check_target(t, k + 2)
    return TupleType([tensor(t) for t in operands[2:]])


def _jvp_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    y = tensor(operands[0])
    if not y.dtype.floating:
        raise InferError("wrong-dtype", f"cannot differentiate {y}: only floating dtypes vary smoothly", [(0, f"this is {y}")])
    n = attrs[0]
    for k, (x, v) in enumerate(zip(operands[1 : 1 + n], operands[1 + n :], strict=True)):
        check_target(x, k + 1)
        if tensor(x) != tensor(v):
            raise InferError(
                "shape-mismatch",
                f"a tangent has the type of its target, {x.type}, not {v.type}",
                [(k + 1, f"this is {x.type}"), (k + 1 + n, f"this is {v.type}")],
            )
    return y


vjp_op = define(
    Op("vjp", "The cotangents of targets, for a cotangent of a value: (y, ct, *targets).", _vjp_infer, EXPANDED, arity=None, calculus=True)
)
jvp_op = define(
    Op(
        "jvp",
        "The tangent of a value, for tangents of targets: (y, *targets, *tangents).",
        _jvp_infer,
        EXPANDED,
        attrs=(Attr("targets", "int"),),
        arity=None,
        calculus=True,
    )
)


def _jacobian_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    y = tensor(operands[0])
    if not y.dtype.floating:
        raise InferError("wrong-dtype", f"cannot differentiate {y}: only floating dtypes vary smoothly", [(0, f"this is {y}")])
    for k, t in enumerate(operands[1:]):
        check_target(t, k + 1)
    return TupleType([tensor(t).with_shape((*y.shape, *tensor(t).shape)) for t in operands[1:]])


jacobian_op = define(
    Op(
        "jacobian",
        "The derivative of every element of a value by every element of targets: shape y.shape + x.shape.",
        _jacobian_infer,
        EXPANDED,
        arity=None,
        calculus=True,
    )
)


def emit_grad(loss: Value, targets: list[Value]) -> list[Value]:
    """The gradients of a scalar loss by targets, unexpanded. Raises `InferError` with code `not-scalar-loss`."""
    t = tensor(loss)
    if t.shape:
        raise InferError(
            "not-scalar-loss",
            f"a gradient is of a scalar, not of {t}",
            [(0, f"this is {t}")],
            help="sum it, or use `vjp` with a cotangent, or `jacobian`",
        )
    return emit_vjp(loss, full(loss.graph, 1, t) if t.dtype.floating else loss, targets)


def emit_vjp(y: Value, ct: Value, targets: list[Value]) -> list[Value]:
    """The cotangents of targets for a cotangent of `y`, unexpanded."""
    from dfg.ops.base import project

    return list(project(y.graph.emit(vjp_op, (y, ct, *targets), ())))
