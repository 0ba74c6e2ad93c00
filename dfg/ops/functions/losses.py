"""Losses under their neural-network names. `reduction` is "mean", "sum" or "none"."""

from __future__ import annotations

from typing import Any

from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.functions.expr import Expr
from dfg.ops.movement import emit_permute, emit_reshape
from dfg.ops.surface import Arg, Axis, Flag, Literal, OptionalArg, Static, Surface, Word, axis_number, function, plain
from dfg.types import I64


def reduced(e: Expr, reduction: Any, name: str, count: Expr | None = None) -> Value:
    """A loss summed, averaged (over `count` if given) or left as it is."""
    match plain(reduction):
        case "none":
            return e.v
        case "sum":
            return e.sum().v
        case "mean":
            return e.mean().v if count is None else (e.sum() / count).v
    raise InferError("bad-argument", f'`{name}` takes "mean", "sum" or "none" as `reduction`', [("reduction", "this one")])


def _pair(cx: Surface, x: Arg, y: Arg, name: str) -> tuple[Expr, Expr]:
    a, b = Expr.floating(cx, x, y, name=name)
    return a, b


def is_zero(x: Any) -> bool:
    """Whether an argument is the number 0."""
    value = x.value if isinstance(x, Literal) else x
    return isinstance(value, int | float) and value == 0


@function("mse_loss")
def mse_loss(cx: Surface, x: Arg, y: Arg, reduction: Word = "mean") -> Value:
    """The squared difference."""
    a, b = _pair(cx, x, y, "mse_loss")
    return reduced((a - b) ** 2, reduction, "mse_loss")


@function("l1_loss")
def l1_loss(cx: Surface, x: Arg, y: Arg, reduction: Word = "mean") -> Value:
    """The absolute difference."""
    a, b = _pair(cx, x, y, "l1_loss")
    return reduced((a - b).abs(), reduction, "l1_loss")


@function("huber_loss")
def huber_loss(cx: Surface, x: Arg, y: Arg, reduction: Word = "mean", delta: Arg = 1.0) -> Value:
    """Half the squared difference up to `delta`, linear beyond."""
    a, b = _pair(cx, x, y, "huber_loss")
    d, w = (a - b).abs(), Expr(cx, delta)
    return reduced((d <= w).where(0.5 * d * d, w * (d - 0.5 * w)), reduction, "huber_loss")


@function("smooth_l1_loss")
def smooth_l1_loss(cx: Surface, x: Arg, y: Arg, reduction: Word = "mean", beta: Arg = 1.0) -> Value:
    """The squared difference over 2 beta up to `beta`, less beta / 2 beyond; the absolute difference for beta 0."""
    a, b = _pair(cx, x, y, "smooth_l1_loss")
    d = (a - b).abs()
    if is_zero(beta):
        return reduced(d, reduction, "smooth_l1_loss")
    w = Expr(cx, beta)
    return reduced((d < w).where(0.5 * d * d / w, d - 0.5 * w), reduction, "smooth_l1_loss")


@function("kl_div")
def kl_div(cx: Surface, x: Arg, y: Arg, reduction: Word = "mean", log_target: Flag = False) -> Value:
    """The divergence of y from exp(x): y (log y - x); with `log_target`, y holds logarithms. "batchmean" divides the sum by the first size."""
    a, b = _pair(cx, x, y, "kl_div")
    made = b.exp() * (b - a) if plain(log_target) else b.call("xlogy", b) - b * a
    if plain(reduction) == "batchmean":
        return (made.sum() / Expr(cx, a.shape[0] if a.rank else 1)).v
    return reduced(made, reduction, "kl_div")


@function("bce_with_logits", "binary_cross_entropy_with_logits")
def bce_with_logits(
    cx: Surface, x: Arg, y: Arg, weight: OptionalArg = None, pos_weight: OptionalArg = None, reduction: Word = "mean"
) -> Value:
    """Binary cross-entropy of targets y and logits x, without overflow."""
    a, b = _pair(cx, x, y, "bce_with_logits")
    loss = (-a).call("softplus")
    if pos_weight is not None:
        loss = (1 + (Expr(cx, pos_weight) - 1) * b) * loss
    made = (1 - b) * a + loss
    return reduced(made if weight is None else made * Expr(cx, weight), reduction, "bce_with_logits")


@function("binary_cross_entropy")
def binary_cross_entropy(cx: Surface, x: Arg, y: Arg, weight: OptionalArg = None, reduction: Word = "mean") -> Value:
    """Binary cross-entropy of targets y and probabilities x; 0 where a probability of 0 or 1 is right."""
    a, b = _pair(cx, x, y, "binary_cross_entropy")
    made = -(b.call("xlogy", a) + (1 - b).call("xlog1py", -a))
    return reduced(made if weight is None else made * Expr(cx, weight), reduction, "binary_cross_entropy")


def _classes_last(e: Expr, axis: Any, name: str) -> tuple[Expr, int]:
    """Scores with the classes in the last axis, and where they were."""
    if e.rank == 0:
        raise InferError("rank-mismatch", f"`{name}` takes an axis of classes, not a scalar", [("x", f"this is {e.v.type}")])
    k = axis_number(axis, e.rank, name)
    return Expr(e.cx, emit_permute(e.v, [*[a for a in range(e.rank) if a != k], k])), k


def _nll(cx: Surface, logs: Expr, target: Any, weight: Any, reduction: Any, ignore_index: Any, name: str, axis: Any) -> Value:
    last, _ = _classes_last(logs, axis, name)
    t = cx.value(target)
    if t.dtype.kind != "int":
        raise InferError("wrong-dtype", f"`{name}` takes numbers of classes, integers, not {t.dtype}", [("target", f"this is {t.type}")])
    if t.rank != last.rank - 1 or any(cx.graph.equal_sizes(p, q) is not True for p, q in zip(t.shape, last.shape[:-1], strict=True)):
        raise InferError(
            "shape-mismatch",
            f"`{name}` takes one class for each row of {logs.v.type}, not {t.type}",
            [("x", f"this is {logs.v.type}"), ("target", f"this is {t.type}")],
        )
    number = Expr(cx, t).call("astype", I64)
    ignored = plain(ignore_index)
    live = None
    if ignored is not None:
        live = ~number.eq(int(ignored))
        number = live.where(number, 0)
    lead = last.rank - 1
    index = emit_reshape(number.v, (*number.shape, 1))
    taken = OPS["gather"](last.v, index, axes=(lead,), batch=lead)
    loss = -Expr(cx, emit_reshape(taken, taken.shape[:-1]))
    share = None
    if weight is not None:
        share = Expr(cx, OPS["gather"](cx.promote((weight, loss.v), name)[0], number.v, axes=(0,), batch=0))
    if live is not None:
        # An ignored row is a dead lane: however singular its scores are, it takes no part.
        loss = live.where(loss, 0.0)
        share = live.call("astype", loss.dtype) if share is None else live.where(share, 0.0)
    made = loss if weight is None or share is None else loss * share
    count = share.sum() if share is not None and plain(reduction) == "mean" else None
    return reduced(made, reduction, name, count)


@function("nll_loss")
def nll_loss(
    cx: Surface, x: Arg, target: Arg, weight: OptionalArg = None, reduction: Word = "mean", ignore_index: Static = None, axis: Axis = -1
) -> Value:
    """Minus the log-probability of the target class, along an axis of classes; weighted by class, and without targets that are `ignore_index`."""
    (logs,) = Expr.floating(cx, x, name="nll_loss")
    return _nll(cx, logs, target, weight, reduction, ignore_index, "nll_loss", axis)


@function("cross_entropy")
def cross_entropy(
    cx: Surface,
    x: Arg,
    target: Arg,
    weight: OptionalArg = None,
    reduction: Word = "mean",
    ignore_index: Static = None,
    axis: Axis = -1,
    label_smoothing: Arg = 0.0,
) -> Value:
    """Cross-entropy of logits and classes (integers), or probabilities (of the shape of the logits), along an axis of classes."""
    (e,) = Expr.floating(cx, x, name="cross_entropy")
    logs = e.call("log_softmax", axis=plain(axis))
    t = cx.value(target)
    if t.dtype.kind == "int" and is_zero(label_smoothing):
        return _nll(cx, logs, t, weight, reduction, ignore_index, "cross_entropy", axis)
    last, k = _classes_last(logs, axis, "cross_entropy")
    wanted = Expr(cx, t)
    if t.dtype.kind == "int":
        wanted = wanted.call("one_hot", last.shape[-1]).call("astype", e.dtype)
    elif t.rank != logs.rank:
        raise InferError(
            "shape-mismatch",
            f"`cross_entropy` takes probabilities of the shape of the logits, {e.v.type}, not {t.type}",
            [("target", f"this is {t.type}")],
        )
    else:
        wanted = Expr(cx, emit_permute(t, [*[a for a in range(t.rank) if a != k], k]))
    if not is_zero(label_smoothing):
        s = Expr(cx, label_smoothing)
        wanted = wanted * (1 - s) + s / Expr(cx, last.shape[-1])
    terms = wanted * last
    if weight is not None:
        terms = terms * Expr(cx, weight)
    return reduced(-terms.sum(-1), reduction, "cross_entropy")
