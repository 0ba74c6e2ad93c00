"""Composite functions, which are written in the language itself (`softmax`, `conv2d`), as Python functions.

A call is lowered as the text frontend lowers it: `softmax(a0, axis=a1)`, with the Python arguments bound to these names. So both frontends give the same graph.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from dfg.diagnostics import Label, Sink, UserError, in_order
from dfg.dims import Dim
from dfg.frontend.builder.convert import Bad, Constant, Several, Sized, dims_used, handles_in, lower, operand
from dfg.frontend.builder.emit import bad, build, origin
from dfg.frontend.builder.homes import Handle
from dfg.frontend.builder.places import Place, here
from dfg.ir import Value
from dfg.ops.surface import Literal, Surface
from dfg.source import Source
from dfg.types import I64, DType

if TYPE_CHECKING:
    from dfg.frontend import syntax as s

_MADE: Final[dict[str, Callable[..., Any]]] = {}


def composite_names() -> list[str]:
    """The composite functions that need no `use`."""
    from dfg.frontend.lowering.modules import prelude_index

    return sorted(name for name in prelude_index() if not name.startswith("_"))


@cache
def _definition(name: str) -> s.Def | None:
    from dfg.frontend import syntax as s
    from dfg.frontend.lowering.modules import PRELUDE, parsed_std, prelude_index

    file = prelude_index().get(name)
    if file is None:
        return None
    tree, _ = parsed_std(f"std/prelude/{file}", (PRELUDE / file).read_text(encoding="utf-8"))
    return next((d for d in tree.statements if isinstance(d, s.Def) and d.name.text == name), None)


def composite(name: str) -> Callable[..., Any]:
    """The Python function for a composite; KeyError if there is none."""
    made = _MADE.get(name)
    if made is not None:
        return made
    definition = _definition(name)
    if definition is None:
        raise KeyError(name)

    def f(*args: Any, **kwargs: Any) -> Any:
        return apply(name, args, kwargs)

    f.__name__ = f.__qualname__ = name
    f.__module__ = "dfg"
    f.__doc__ = definition.doc or None
    parameters = [
        inspect.Parameter(
            p.name.text,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=inspect.Parameter.empty if p.default is None else _Default(p.default.span.text),
        )
        for p in definition.params
    ]
    f.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    _MADE[name] = f
    return f


class _Default:
    """A default as it is written in the language."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return {"none": "None", "true": "True", "false": "False"}.get(self.text, self.text)


def apply(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call a composite with Python arguments."""
    place = here()
    given = [*[(None, x) for x in args], *kwargs.items()]
    converted = [_static_or_operand(x, k, place) for k, (_, x) in enumerate(given)]
    words = [f"{key}=a{k}" if key is not None else f"a{k}" for k, (key, _) in enumerate(given)]
    text = f"r = {name}({', '.join(words)})\n"

    def emit(cx: Surface, of: Callable[[Handle], Value]) -> Any:
        return _lowered(name, text, [_thing(c, cx, of) for c in converted], cx, [x for _, x in given], place)

    return build(handles_in(converted), emit, names=dims_used(converted), place=place, call=[x for _, x in given])


def _static_or_operand(x: Any, position: int, place: Place | None) -> Any:
    if x is None or isinstance(x, str | DType):
        return x
    if isinstance(x, list | tuple) and all(isinstance(i, int | Dim | str) and not isinstance(i, bool) for i in x):
        return list(x)
    try:
        return operand(x)
    except Bad as e:
        raise UserError(bad(e, x, position, place)) from None


def _thing(x: Any, cx: Surface, of: Callable[[Handle], Value]) -> Any:
    """A converted argument as what names stand for in the lowering."""
    from dfg.frontend.lowering.things import Known, ListThing

    if isinstance(x, Handle):
        return of(x)
    if isinstance(x, Constant):
        return Known(x.array.item() if x.array.ndim == 0 else x.array, x.dtype)
    if isinstance(x, Sized):
        return Known(cx.graph.facts.normal(x.dim), I64)
    if isinstance(x, Dim):
        return Known(cx.graph.facts.normal(x), I64)
    if isinstance(x, list):
        return ListThing(tuple(_thing(i, cx, of) for i in x))
    if isinstance(x, Several):
        return ListThing(tuple(_thing(i, cx, of) for i in x.items))
    if isinstance(x, int) and not isinstance(x, bool):
        return Literal("int", x, str(x))
    return lower(x, cx, of)


def _lowered(name: str, text: str, things: Sequence[Any], cx: Surface, args: Sequence[Any], place: Place | None) -> Any:
    from dfg.frontend import syntax as s
    from dfg.frontend.lowering import control, derivatives, expressions, unrolled
    from dfg.frontend.lowering.engine import Failed, Lowering, Region
    from dfg.frontend.lowering.modules import StdLoader
    from dfg.frontend.lowering.scopes import Binding, Scope, scan_scopes
    from dfg.frontend.lowering.things import Known, TupleThing
    from dfg.frontend.parser import parse

    assert control and derivatives and expressions and unrolled  # importing them fills the tables of evaluators
    sink = Sink()
    source = Source(f"<{name}>", text)
    tree = parse(source, sink)
    lo = Lowering(sink, StdLoader())
    lo.default_float = cx.default_float
    lo.region = Region(cx.graph, cx)
    lo.infos.update(scan_scopes(tree))
    lo.trees.append(tree)
    lo.path = cx.graph.call
    scope = Scope(None, lo.infos[id(tree)])
    for k, thing in enumerate(things):
        lo.order += 1
        scope.names[f"a{k}"] = Binding(f"a{k}", thing, None, "value", lo.order)
    statement = tree.statements[0]
    assert isinstance(statement, s.Binding)
    cursor, before = cx.graph.cursor, len(cx.graph.values)
    try:
        made = lo.drive((statement.values[0], scope))
    except Failed:
        made = None
    finally:
        cx.graph.cursor = cursor
    if sink.errors:
        labels = [label for x in args if (label := origin(x, "")) is not None]
        found = []
        for d in in_order(sink.errors):
            own = d.span is not None and d.span.source is source
            kept = [label for label in d.labels if label.span.source is not source]
            if not own and d.span is not None:
                kept = [Label(d.span, "here"), *kept]
            found.append(replace(d, span=place, labels=(*kept, *labels), fix=None, chain=()))
        raise UserError(found)
    for index in range(before, len(cx.graph.values)):
        if place is not None and (span := cx.graph.spans.get(index)) is not None and span.source is source:
            cx.graph.spans[index] = place

    def plain(thing: Any) -> Any:
        if isinstance(thing, TupleThing):
            return tuple(plain(i) for i in thing.items)
        if isinstance(thing, Known):
            return lo.known_value(thing)
        return thing

    return plain(made)
