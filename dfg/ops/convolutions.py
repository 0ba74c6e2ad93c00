"""Convolutions as neural networks have them, over [batch, channels, sizes] with filters [filters, channels / groups, window]: `conv1d` to `conv3d` and their
transposes, made of `conv`; and what all functions over windows share (`per_axis`, `pads`, `windows_of`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dfg.dims import DimLike, suggest_fact
from dfg.ir import InferError, Value
from dfg.ops.base import OPS
from dfg.ops.contract import canonical
from dfg.ops.convolution import conv
from dfg.ops.movement import broadcast_along, emit_reshape
from dfg.ops.surface import Arg, OptionalArg, Size, Static, Surface, function, plain
from dfg.types import TensorType

# --- what windows over the last axes share -------------------------------------------------------------------------------------------------


def per_axis(x: Any, n: int, name: str, argument: str, least: int = 1) -> tuple[int, ...]:
    """An integer, or one for each of n axes."""
    given = plain(x)
    items = given if isinstance(given, tuple) else (given,) * n
    if len(items) == 1:
        items = items * n
    if len(items) != n or any(isinstance(k, bool) or not isinstance(k, int) for k in items):
        raise InferError("bad-argument", f"`{name}` takes an integer, or {n} of them, as `{argument}`", [(argument, "this one")])
    for k in items:
        if k < least:
            raise InferError("bad-argument", f"`{name}` takes `{argument}` of at least {least}, not {k}", [(argument, "this one")])
    return items


def pads(x: Any, n: int, name: str, reach: Sequence[DimLike]) -> list[tuple[DimLike, DimLike]]:
    """How much to pad before and after each axis: a number, one for each axis, a pair for each axis, "valid" (nothing) or "same" (so much that steps of 1 keep the size)."""
    given = plain(x)
    if given == "valid":
        return [(0, 0)] * n
    if given == "same":
        return [((r - 1) // 2, (r - 1) - (r - 1) // 2) for r in reach]
    if isinstance(given, str):
        raise InferError("bad-argument", f'`{name}` takes numbers, "same" or "valid" as `padding`, not "{given}"', [("padding", "this one")])
    if isinstance(given, tuple) and any(isinstance(p, tuple) for p in given):
        if len(given) != n or any(not isinstance(p, tuple) or len(p) != 2 for p in given):
            raise InferError("bad-argument", f"`{name}` takes a pair for each of {n} axes as `padding`", [("padding", "this one")])
        return [(a, b) for a, b in (per_axis(p, 2, name, "padding", 0) for p in given)]
    return [(p, p) for p in per_axis(given, n, name, "padding", 0)]


def windows_of(cx: Surface, name: str, size: DimLike, pad: tuple[DimLike, DimLike], reach: DimLike, stride: int, axis: int, t: TensorType) -> DimLike:
    """How many windows fit an axis: (size + padding - reach) // stride + 1."""
    room = size + pad[0] + pad[1]
    cx.graph.need(
        room,
        reach,
        f"`{name}`: the window of {reach} does not fit axis {axis}",
        "shape-mismatch",
        [("x", f"axis {axis} of {t} has size {size}"), (1, "this is larger")],
        help="pad, or take a smaller window",
    )
    return (room - reach) // stride + 1


# --- the functions ---------------------------------------------------------------------------------------------------------------------


def _groups_of(cx: Surface, groups: Any, name: str) -> int:
    g = plain(groups)
    if isinstance(g, bool) or not isinstance(g, int) or g < 1:
        raise InferError("bad-argument", f"`{name}` takes an integer of at least 1 as `groups`", [("groups", "this one")])
    return g


def _divided(cx: Surface, d: DimLike, g: int, name: str, what: str, argument: str, t: TensorType) -> DimLike:
    if g == 1:
        return d
    proved = cx.graph.equal_sizes(d // g * g, d)
    if proved is not True:
        raise InferError(
            "shape-mismatch" if proved is False else "dim-unproved",
            f"`{name}`: {d} {what} do not divide into {g} groups",
            [(argument, f"this is {t}"), ("groups", "by these")],
            dim_fact=None if proved is False else f"dim {d} % {g} == 0",
        )
    return d // g


def _operands(cx: Surface, name: str, n: int, x: Any, weight: Any, bias: Any) -> tuple[Value, Value, Value | None, bool]:
    """The operands with a batch axis; True if there was none."""
    values = cx.promote([x, weight] if bias is None else [x, weight, bias], name)
    v, w = values[:2]
    c = values[2] if bias is not None else None
    if v.rank not in (n + 1, n + 2):
        raise InferError(
            "rank-mismatch", f"`{name}` takes [batch, channels, {', '.join(['size'] * n)}], with or without the batch, not {v.type}", [("x", f"this is {v.type}")]
        )
    if w.rank != n + 2:
        raise InferError("rank-mismatch", f"`{name}` takes weights of rank {n + 2}, not {w.type}", [("weight", f"this is {w.type}")])
    single = v.rank == n + 1
    return (emit_reshape(v, (1, *v.shape)) if single else v), w, c, single


def _finish(cx: Surface, name: str, made: Value, channels: DimLike, bias: Value | None, single: bool) -> Value:
    """[n, g, o, sizes] as [n, g*o, sizes], with the bias."""
    shape = (made.shape[0], channels, *made.shape[3:])
    result = emit_reshape(made, shape)
    if bias is not None:
        if bias.rank != 1 or cx.graph.equal_sizes(bias.shape[0], channels) is not True:
            raise InferError("shape-mismatch", f"`{name}` takes a bias of {channels} numbers, one for each channel of its result, not {bias.type}", [("bias", f"this is {bias.type}")])
        result = result + broadcast_along(bias, shape, (1,))
    return emit_reshape(result, shape[1:]) if single else result


def _convolve(cx: Surface, name: str, n: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any) -> Value:
    v, w, c, single = _operands(cx, name, n, x, weight, bias)
    s, d, g = per_axis(stride, n, name, "stride"), per_axis(dilation, n, name, "dilation"), _groups_of(cx, groups, name)
    per_group = _divided(cx, v.shape[1], g, name, "channels", "x", v.type)
    outs = _divided(cx, w.shape[0], g, name, "filters", "weight", w.type)
    if (proved := cx.graph.equal_sizes(per_group, w.shape[1])) is not True:
        raise InferError(
            "shape-mismatch" if proved is False else "dim-unproved",
            f"`{name}`: filters of {w.shape[1]} channels do not fit {per_group} channels{' in each group' if g > 1 else ''}",
            [("x", f"this is {v.type}"), ("weight", f"axis 1 is {w.shape[1]}")],
            dim_fact=None if proved is False else suggest_fact(per_group, w.shape[1]),
        )
    reach = [(k - 1) * e + 1 for k, e in zip(w.shape[2:], d, strict=True)]
    pad = pads(padding, n, name, reach)
    sizes = tuple(windows_of(cx, name, v.shape[2 + i], pad[i], reach[i], s[i], 2 + i, v.type) for i in range(n))
    made = conv(
        emit_reshape(v, (v.shape[0], g, per_group, *v.shape[2:])),
        emit_reshape(w, (g, outs, *w.shape[1:])),
        subs=canonical("ngc,goc->ngo"),
        before=tuple(p for p, _ in pad),
        sizes=sizes,
        strides=s,
        spread=(1,) * n,
        dilation=d,
    )
    return _finish(cx, name, made, w.shape[0], c, single)


def _convolve_back(cx: Surface, name: str, n: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any, groups: Any, dilation: Any) -> Value:
    v, w, c, single = _operands(cx, name, n, x, weight, bias)
    s, d, g = per_axis(stride, n, name, "stride"), per_axis(dilation, n, name, "dilation"), _groups_of(cx, groups, name)
    extra = per_axis(output_padding, n, name, "output_padding", 0)
    for e, t, f in zip(extra, s, d, strict=True):
        if e >= max(t, f):
            raise InferError("bad-argument", f"`{name}` takes an `output_padding` below the stride or the dilation, not {e}", [("output_padding", "this one")])
    if (proved := cx.graph.equal_sizes(v.shape[1], w.shape[0])) is not True:
        raise InferError(
            "shape-mismatch" if proved is False else "dim-unproved",
            f"`{name}`: {w.shape[0]} filters do not fit {v.shape[1]} channels",
            [("x", f"this is {v.type}"), ("weight", f"axis 0 is {w.shape[0]}")],
            dim_fact=None if proved is False else suggest_fact(v.shape[1], w.shape[0]),
        )
    per_group = _divided(cx, v.shape[1], g, name, "channels", "x", v.type)
    reach = [(k - 1) * e + 1 for k, e in zip(w.shape[2:], d, strict=True)]
    pad = pads(padding, n, name, reach)
    sizes: list[DimLike] = []
    for i in range(n):
        h = v.shape[2 + i]
        size = (h - 1) * s[i] - pad[i][0] - pad[i][1] + reach[i] + extra[i]
        cx.graph.need(size, 0, f"`{name}`: the padding leaves nothing of axis {2 + i}", "shape-mismatch", [("x", f"this is {v.type}"), ("padding", "this one")])
        sizes.append(size)
    made = conv(
        emit_reshape(v, (v.shape[0], g, per_group, *v.shape[2:])),
        OPS["flip"](emit_reshape(w, (g, per_group, *w.shape[1:])), axes=tuple(range(3, 3 + n))),
        subs=canonical("ngc,gco->ngo"),
        before=tuple(r - 1 - p for r, (p, _) in zip(reach, pad, strict=True)),
        sizes=tuple(sizes),
        strides=(1,) * n,
        spread=s,
        dilation=d,
    )
    return _finish(cx, name, made, g * w.shape[1], c, single)


def _declare(n: int) -> None:
    name, back = f"conv{n}d", f"conv_transpose{n}d"
    shape = ", ".join(["size", "height, width", "depth, height, width"][n - 1 : n])

    def forward(
        cx: Surface, x: Arg, weight: Arg, bias: OptionalArg = None, stride: Size = 1, padding: Static = 0, dilation: Size = 1, groups: Size = 1
    ) -> Value:
        return _convolve(cx, name, n, x, weight, bias, stride, padding, dilation, groups)

    forward.__doc__ = (
        f"Cross-correlation of [batch, channels, {shape}] (the batch may be missing) with filters [filters, channels / groups, window]. `padding` is a number, one or a "
        'pair for each axis, "valid" (none) or "same"; the result has (size + padding - dilation * (window - 1) - 1) // stride + 1 places.'
    )
    function(name)(forward)

    def backward(
        cx: Surface,
        x: Arg,
        weight: Arg,
        bias: OptionalArg = None,
        stride: Size = 1,
        padding: Static = 0,
        output_padding: Size = 0,
        groups: Size = 1,
        dilation: Size = 1,
    ) -> Value:
        return _convolve_back(cx, back, n, x, weight, bias, stride, padding, output_padding, groups, dilation)

    backward.__doc__ = (
        f"The transpose of `{name}`: [batch, channels, {shape}] spread by filters [channels, filters / groups, window] over "
        "(size - 1) * stride - padding + dilation * (window - 1) + 1 + output_padding places."
    )
    function(back)(backward)


for _n in (1, 2, 3):
    _declare(_n)

