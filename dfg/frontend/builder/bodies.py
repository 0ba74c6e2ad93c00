"""Bodies of loops and branches, traced by calling a Python function in a region of its own.

body = Body(types, handles)                   # arguments of these types; `handles` say where the body stands
result = body.run(lambda: f(*body.args))      # emission goes into the body meanwhile
outputs = [body.output(t) for t in leaves]
body.sealed(inputs, outputs, types)           # a subgraph; captures that it does not use are left out
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from dfg.diagnostics import UserError
from dfg.dims import Dim
from dfg.frontend.builder.convert import Bad, dims_used, handles_in, lower, operand
from dfg.frontend.builder.emit import bad, build, tensor
from dfg.frontend.builder.homes import LOCK, REGION, Handle, open_region, region_for, value_in
from dfg.frontend.builder.places import Place
from dfg.frontend.builder.sizes import Declarations, union
from dfg.frontend.builder.tensor import Tensor
from dfg.ir import Subgraph, Value
from dfg.ops.loop import numbered_body
from dfg.ops.surface import Literal, Surface
from dfg.source import Span
from dfg.types import TensorType

T = TypeVar("T")


class Body:
    """A body under construction. `args` are the tensors that stand for its arguments."""

    __slots__ = ("args", "place", "region")

    def __init__(
        self, types: Sequence[TensorType], handles: Sequence[Handle], place: Place | None, origins: Sequence[Span | None] = ()
    ) -> None:
        self.place = place
        with LOCK:
            parent = region_for(handles)
            declarations: Declarations = ()
            used: set[str] = set()
            for h in handles:
                home = h._resolve()[0]
                declarations = union(declarations, home.declarations)
                used |= home.used
            region = open_region(declarations, parent, used)
            graph = region.home.graph
            graph.cursor = place
            self.region = region
            self.args: list[Tensor] = []
            for k, t in enumerate(types):
                t = t.with_shape(tuple(graph.facts.normal(d) if isinstance(d, Dim) else d for d in t.shape))
                home, index = region.argument(t)._resolve()
                self.args.append(tensor(home, home.graph.values[index], origins[k] if k < len(origins) else None))
            graph.cursor = None

    def run(self, f: Callable[[], T]) -> T:
        """Call a function whose emission goes into the body."""
        token = REGION.set(self.region)
        try:
            return f()
        finally:
            REGION.reset(token)

    def output(self, x: Any, t: TensorType | None = None, what: str = "") -> Tensor:
        """A result as a tensor of the body, converted and stretched to a type if one is given."""
        return self.run(lambda: self._inside(x, t, what))

    def _inside(self, x: Any, t: TensorType | None, what: str) -> Tensor:
        (given,) = operands([x], self.place)
        if t is None and isinstance(given, Tensor) and given._resolve()[0] is self.region.current():
            return given
        return fitted_to(given, t, what, self.place)

    def close(self) -> None:
        """Nothing may be added from here on."""
        self.region.closed = True

    def values(self, outputs: Sequence[Handle]) -> list[Value]:
        home = self.region.current()
        return [value_in(o, home) for o in outputs]

    def captures(self, outputs: Sequence[Value]) -> list[tuple[Handle, Value]]:
        """The tensors from outside that outputs depend on, with the arguments that stand for them."""
        live = {v.index for v in self.region.current().graph.live(outputs)}
        return [(outer, inner.value) for outer, inner in self.region.captures if inner.value.index in live]

    def sealed(self, inputs: Sequence[Value | None], outputs: Sequence[Value], types: Sequence[TensorType]) -> Subgraph:
        """The subgraph that computes `outputs`, its arguments numbered in the order of `inputs`; None is an argument that it does not use."""
        return numbered_body(self.region.current().graph, inputs, outputs, types)


def operands(items: Sequence[Any], place: Place | None) -> list[Any]:
    """Converted operands; what is none is told."""
    made = []
    for x in items:
        try:
            made.append(operand(x))
        except Bad as e:
            raise UserError(bad(e, x, 1, place)) from None
    return made


def fitted_to(given: Any, t: TensorType | None, what: str, place: Place | None) -> Tensor:
    """A converted operand as a tensor, converted and stretched to a type if one is given."""

    def emit(cx: Surface, of: Callable[[Handle], Value]) -> Value:
        v = lower(given, cx, of)
        if t is None:
            return cx.value(v)
        v = cx.literal(v, t.dtype) if isinstance(v, Literal) else cx.cast(v, t.dtype, what)
        return cx.stretch(v, t.shape)

    return build(handles_in([given]), emit, names=dims_used([given]), place=place)


def shared(
    first: tuple[Body, Sequence[Value]], second: tuple[Body, Sequence[Value]], carries: int
) -> tuple[Subgraph, Subgraph, list[Handle]]:
    """Two bodies with the same arguments, their carries and then the captures of either; and those captures."""
    tables: list[dict[tuple[int, int], tuple[Handle, Value]]] = []
    for body, outputs in (first, second):
        table: dict[tuple[int, int], tuple[Handle, Value]] = {}
        for outer, inner in body.captures(outputs):
            home, index = outer._resolve()
            table[id(home), index] = (outer, inner)
        tables.append(table)
    merged = {key: pair for table in reversed(tables) for key, pair in table.items()}
    order = [*tables[0], *[key for key in tables[1] if key not in tables[0]]]
    made = []
    for (body, outputs), table in zip((first, second), tables, strict=True):
        inputs: list[Value | None] = [*[a.value for a in body.args[:carries]], *[table[key][1] if key in table else None for key in order]]
        types = [*[a.type for a in body.args[:carries]], *[merged[key][1].type for key in order]]
        made.append(body.sealed(inputs, outputs, types))
    return made[0], made[1], [merged[key][0] for key in order]
