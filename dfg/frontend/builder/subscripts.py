"""Indexing as NumPy does, and functional update: `x[1:3, ::2]`, `x[k : k + 32]` with a computed `k`, `x.at[idx].add(v)`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

import numpy as np

from dfg.diagnostics import Fix, UserError, error
from dfg.dims import Dim
from dfg.frontend.builder.convert import Bad, Constant, Sized, dims_used, handles_in, lower, operand, static
from dfg.frontend.builder.emit import bad, build, located, origin, surface
from dfg.frontend.builder.homes import Handle
from dfg.frontend.builder.places import here, span_of, statement
from dfg.frontend.builder.tensor import Tensor
from dfg.ir import InferError, Value
from dfg.ops import indexing
from dfg.ops.surface import Literal, Surface
from dfg.types import I64


def _items(key: Any) -> list[Any]:
    """An index, taken apart; operands are converted. Raises `Bad`."""
    items: list[Any] = []
    for k in key if isinstance(key, tuple) else (key,):
        if k is None:
            items.append(indexing.NEWAXIS)
        elif k is Ellipsis:
            items.append(indexing.ELLIPSIS)
        elif isinstance(k, slice):
            items.append(slice(*[b if b is None or isinstance(b, Handle) else _bound(b) for b in (k.start, k.stop, k.step)]))
        elif isinstance(k, bool | np.bool_):
            raise Bad(
                "wrong-dtype", "an index is a whole number or an array of them, not a truth value", "a mask selects through `dfg.where`"
            )
        elif isinstance(k, int | np.integer):
            items.append(int(k))
        elif isinstance(k, Dim):
            items.append(k)
        elif isinstance(k, float | str):
            raise Bad("wrong-dtype", f"an index is a whole number, a slice or an array of whole numbers, not {k!r}")
        else:
            made = operand(k)
            items.append(Constant(np.asarray(made.value, np.int64), I64) if isinstance(made, Literal) and made.kind == "int" else made)
    return items


def _bound(b: Any) -> Any:
    made = static(b, "a bound of a slice")
    if isinstance(made, bool) or not isinstance(made, int | Dim):
        raise Bad("bad-argument", f"a bound of a slice is a whole number or a dim, not {made!r}")
    return made


def _lowered(items: Sequence[Any], cx: Surface, value: Callable[[Handle], Value]) -> list[Any]:
    return [_window(i, cx, value) if isinstance(i, slice) else _lowered_item(i, cx, value) for i in items]


def _lowered_item(i: Any, cx: Surface, value: Callable[[Handle], Value]) -> Any:
    made = lower(i, cx, value)
    return cx.value(made) if isinstance(made, Literal) else made


def _window(s: slice, cx: Surface, value: Callable[[Handle], Value]) -> indexing.Window:
    """A slice; where its start is computed, `stop - start` must be a size."""
    step = 1 if s.step is None else s.step
    if isinstance(step, Handle | Dim) or step == 0:
        raise InferError("bad-argument", "the step of a slice is a whole number that is not 0, known while compiling")
    if not isinstance(s.start, Handle) and not isinstance(s.stop, Handle):
        start, stop = (cx.graph.facts.normal(b) if isinstance(b, Dim) else b for b in (s.start, s.stop))
        return indexing.Window(start, stop, step)
    a, b = (_scalar(x, cx, value) for x in (s.start, s.stop))
    size = None if a is None or b is None else indexing.affine_difference(b, a)
    if size is None or step != 1:
        raise InferError(
            "not-static",
            "the size of this slice is not known while compiling" if size is None else "a slice with a computed start goes in steps of 1",
            help="write it as `x[k : k + 32]`: the same start, and a size that is known",
        )
    return indexing.Window(a, None, 1, size)


def _scalar(x: Any, cx: Surface, value: Callable[[Handle], Value]) -> Value | None:
    if x is None:
        return None
    v = value(x) if isinstance(x, Handle) else cx.value(lower(Sized(x) if isinstance(x, Dim) else Literal("int", x), cx, value))
    if v.shape or v.dtype.kind != "int":
        raise InferError("not-scalar-index", f"a bound of a slice is a scalar integer, not {v.type}")
    return v


def _index(
    x: Tensor, key: Any, emit: Callable[[Surface, Callable[[Handle], Value], list[Any]], Value], extra: Sequence[Any] = ()
) -> Tensor:
    place = here()
    try:
        items = _items(key)
    except Bad as e:
        raise UserError(bad(e, key, 1, place)) from None
    parts = [b for i in items for b in ((i.start, i.stop, i.step) if isinstance(i, slice) else (i,))]
    raw = list(key) if isinstance(key, tuple) else [key]
    return build(
        handles_in([x, *parts, *extra]),
        lambda cx, value: emit(cx, value, _lowered(items, cx, value)),
        names=dims_used([*parts, *extra]),
        place=place,
        call=[x, *raw, *extra],
    )


def get(x: Tensor, key: Any) -> Tensor:
    """`x[key]`."""
    return _index(x, key, lambda cx, value, items: indexing.getitem(cx, value(x), items))


class At:
    """`x.at`: an index here names the place of a functional update."""

    __slots__ = ("_tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def __getitem__(self, key: Any) -> Spot:
        return Spot(self._tensor, key)


class Spot:
    """`x.at[key]`."""

    __slots__ = ("_key", "_tensor")

    def __init__(self, tensor: Tensor, key: Any) -> None:
        self._tensor = tensor
        self._key = key

    def get(self) -> Tensor:
        """`x[key]`."""
        return get(self._tensor, self._key)

    def set(self, value: Any) -> Tensor:
        """A tensor with these elements replaced. Where an index stands twice the last one wins."""
        return self._put(value, False)

    def add(self, value: Any) -> Tensor:
        """A tensor with `value` added to these elements, once for each time that an index stands there."""
        return self._put(value, True)

    def subtract(self, value: Any) -> Tensor:
        """A tensor with `value` taken from these elements."""
        return self._put(surface("negative", [value]), True)

    def _put(self, value: Any, add: bool) -> Tensor:
        x = self._tensor
        try:
            new = operand(value)
        except Bad as e:
            raise UserError(bad(e, value, 0, here())) from None
        return _index(x, self._key, lambda cx, of, items: indexing.put(cx, of(x), items, lower(new, cx, of), add), [new])


def assigned(x: Tensor) -> NoReturn:
    """`x[i] = v`: an error with the functional form of what was written."""
    place = here()
    help = "write the functional form, which gives a new tensor: `x = x.at[i].set(v)`"
    fix: Fix | None = None
    if place is not None and place.known and (node := statement(place)) is not None:
        source = place.source
        target = (
            node.targets[0]
            if isinstance(node, ast.Assign) and len(node.targets) == 1
            else node.target
            if isinstance(node, ast.AugAssign)
            else None
        )
        if isinstance(target, ast.Subscript) and isinstance(node, ast.Assign | ast.AugAssign):
            base, index, value = (span_of(source, n).text for n in (target.value, target.slice, node.value))
            new: str | None = f"{base} = {base}.at[{index}].set({value})"
            if isinstance(node, ast.AugAssign):
                new = {
                    ast.Add: f"{base} = {base}.at[{index}].add({value})",
                    ast.Sub: f"{base} = {base}.at[{index}].subtract({value})",
                }.get(type(node.op), f"{base} = {base}.at[{index}].set({base}[{index}] {_SIGNS.get(type(node.op), '?')} {value})")
            help = f"write the functional form, which gives a new tensor: `{new}`"
            fix = Fix("write the functional form", ((span_of(source, node), new),)) if new else None
    label = origin(x, "")
    labels = [label] if label is not None and label.span != place else []
    raise UserError(
        located(
            error(
                "pythonic-assignment", "a tensor does not change: its elements cannot be assigned", place, labels=labels, help=help, fix=fix
            )
        )
    )


_SIGNS: Final[dict[type[ast.operator], str]] = {
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.MatMult: "@",
}
