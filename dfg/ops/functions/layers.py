"""Layers of neural networks that are formulas: normalising, linear, attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.functions.expr import Expr
from dfg.ops.movement import broadcast_along, emit_reshape
from dfg.ops.surface import Arg, Flag, OptionalArg, Shape, Static, Surface, function, plain, shape_of
from dfg.types import I64


def _scaled(e: Expr, weight: Any, bias: Any) -> Value:
    if weight is not None:
        e = e * Expr(e.cx, weight)
    return (e if bias is None else e + Expr(e.cx, bias)).v


def _standard(e: Expr, axes: Any, eps: Any) -> Expr:
    """(x - mean) / sqrt(var + eps) over axes."""
    centred = e - e.mean(axes, True)
    return centred / ((centred * centred).mean(axes, True) + Expr(e.cx, eps)).sqrt()


def _trailing(e: Expr, normalized_shape: Any, name: str) -> tuple[int, ...]:
    sizes = shape_of(normalized_shape, name, "normalized_shape")
    lead = e.rank - len(sizes)
    if lead < 0 or any(e.cx.graph.equal_sizes(p, q) is not True for p, q in zip(e.shape[lead:], sizes, strict=True)):
        raise InferError(
            "shape-mismatch",
            f"`{name}`: the last axes of {e.v.type} are not [{', '.join(map(str, sizes))}]",
            [("x", f"this is {e.v.type}"), ("normalized_shape", "this one")],
        )
    return tuple(range(lead, e.rank))


@function("layer_norm")
def layer_norm(cx: Surface, x: Arg, normalized_shape: Shape, weight: OptionalArg = None, bias: OptionalArg = None, eps: Arg = 1e-5) -> Value:
    """Centred and scaled to variance 1 over the last axes, whose sizes are given; then times `weight`, plus `bias`."""
    (e,) = Expr.floating(cx, x, name="layer_norm")
    return _scaled(_standard(e, _trailing(e, normalized_shape, "layer_norm"), eps), weight, bias)


@function("rms_norm")
def rms_norm(cx: Surface, x: Arg, normalized_shape: Shape, weight: OptionalArg = None, eps: OptionalArg = None) -> Value:
    """Over the root of the mean square of the last axes, whose sizes are given; `eps` is added to the mean square (the dtype's epsilon by default)."""
    (e,) = Expr.floating(cx, x, name="rms_norm")
    axes = _trailing(e, normalized_shape, "rms_norm")
    small = float(np.finfo(e.dtype.np).eps) if eps is None else eps
    return _scaled(e / ((e * e).mean(axes, True) + Expr(cx, small)).sqrt(), weight, None)


def _channel(e: Expr, v: Any) -> Expr | None:
    """A vector over axis 1."""
    if v is None:
        return None
    w = Expr(e.cx, v)
    return w.reshape(1, w.shape[0] if w.rank else 1, *([1] * (e.rank - 2)))


def _ranked(cx: Surface, x: Any, name: str, least: int) -> Expr:
    (e,) = Expr.floating(cx, x, name=name)
    if e.rank < least:
        raise InferError("rank-mismatch", f"`{name}` takes [batch, channels, ...], not {e.v.type}", [("x", f"this is {e.v.type}")])
    return e


@function("batch_norm")
def batch_norm(
    cx: Surface,
    x: Arg,
    running_mean: OptionalArg = None,
    running_var: OptionalArg = None,
    weight: OptionalArg = None,
    bias: OptionalArg = None,
    training: Flag = False,
    eps: Arg = 1e-5,
) -> Value:
    """Centred and scaled over all axes but 1, by the batch while training, else by the running mean and variance; then times `weight`, plus `bias`."""
    e = _ranked(cx, x, "batch_norm", 2)
    if plain(training):
        made = _standard(e, (0, *range(2, e.rank)), eps)
    else:
        mean, variance = _channel(e, running_mean), _channel(e, running_var)
        if mean is None or variance is None:
            raise InferError("missing-argument", "`batch_norm` needs `running_mean` and `running_var` unless it is training")
        made = (e - mean) / (variance + Expr(cx, eps)).sqrt()
    return _scaled(made, _channel(e, weight), _channel(e, bias))


@function("group_norm")
def group_norm(cx: Surface, x: Arg, num_groups: Static, weight: OptionalArg = None, bias: OptionalArg = None, eps: Arg = 1e-5) -> Value:
    """Centred and scaled over groups of channels (axis 1) and all later axes; then times `weight`, plus `bias`, by channel."""
    e = _ranked(cx, x, "group_norm", 2)
    groups = plain(num_groups)
    if not isinstance(groups, int) or isinstance(groups, bool) or groups < 1:
        raise InferError("bad-argument", "`group_norm` takes a number of groups", [("num_groups", "this one")])
    channels = e.shape[1]
    if cx.graph.equal_sizes(channels // groups * groups, channels) is not True:
        raise InferError(
            "shape-mismatch" if isinstance(channels, int) else "dim-unproved",
            f"{channels} channels do not make {groups} groups",
            [("x", f"this is {e.v.type}")],
            dim_fact=None if isinstance(channels, int) else f"dim {channels} % {groups} == 0",
        )
    parts = Expr(cx, emit_reshape(e.v, (e.shape[0], groups, channels // groups, *e.shape[2:])))
    made = _standard(parts, tuple(range(2, parts.rank)), eps)
    return _scaled(Expr(cx, emit_reshape(made.v, e.shape)), _channel(e, weight), _channel(e, bias))


@function("instance_norm")
def instance_norm(cx: Surface, x: Arg, weight: OptionalArg = None, bias: OptionalArg = None, eps: Arg = 1e-5) -> Value:
    """Centred and scaled over the axes after the channels (axis 1), for each example; then times `weight`, plus `bias`, by channel."""
    e = _ranked(cx, x, "instance_norm", 3)
    return _scaled(_standard(e, tuple(range(2, e.rank)), eps), _channel(e, weight), _channel(e, bias))


@function("linear")
def linear(cx: Surface, x: Arg, weight: Arg, bias: OptionalArg = None) -> Value:
    """x @ weight.T + bias."""
    w = Expr(cx, weight)
    w = w.call("matrix_transpose") if w.rank > 1 else w
    made = Expr(cx, x).call("matmul", w)
    return (made if bias is None else made + Expr(cx, bias)).v


@function("addmm")
def addmm(cx: Surface, x: Arg, y: Arg, z: Arg, beta: Arg = 1, alpha: Arg = 1) -> Value:
    """beta * x + alpha * (y @ z)."""
    return (Expr(cx, beta) * Expr(cx, x) + Expr(cx, alpha) * Expr(cx, y).call("matmul", z)).v


def _lower_triangle(cx: Surface, rows: Any, columns: Any) -> Value:
    g = cx.graph
    i = broadcast_along(g.emit(OPS["iota"], (), (rows, I64)), (rows, columns), (0,))
    j = broadcast_along(g.emit(OPS["iota"], (), (columns, I64)), (rows, columns), (1,))
    return i >= j


@function("scaled_dot_product_attention", "attention")
def scaled_dot_product_attention(
    cx: Surface, q: Arg, k: Arg, v: Arg, mask: OptionalArg = None, is_causal: Flag = False, scale: OptionalArg = None
) -> Value:
    """softmax(q k^T scale) v over the last two axes; `mask` is added, or says (bool) which keys take part; the scale is 1 / sqrt(size) by default."""
    a, b, c = Expr.floating(cx, q, k, v, name="attention")
    for x, argument in ((a, "q"), (b, "k"), (c, "v")):
        if x.v.rank < 2:
            raise InferError("rank-mismatch", f"`attention` works on the last two axes, and this is {x.v.type}", [(argument, f"this is {x.v.type}")])
    if scale is None:
        width = a.shape[-1]
        factor = Expr(cx, 1 / math.sqrt(width)) if isinstance(width, int) and width else 1 / Expr(cx, width).call("astype", a.dtype).sqrt()
    else:
        factor = Expr(cx, scale)
    scores = a.call("matmul", b.call("matrix_transpose")) * factor
    if plain(is_causal):
        mask = _lower_triangle(cx, scores.shape[-2], scores.shape[-1])
    if mask is not None:
        m = Expr(cx, mask)
        scores = m.where(scores, -math.inf) if m.dtype.kind == "bool" else scores + m
    return scores.call("softmax", axis=-1).call("matmul", c).v
