"""The body of a loop or branch, copied into the graph in which its reverse is made, and what of it is kept for the reverse.

The reverse reads values of the forward body as though they were there. Afterwards each is given its residual, a trace of the loop, or is computed again where that costs next to
nothing: constants, views, what depends on captures alone, one operation of values that are at hand. Of a value that is read in small windows only the windows are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dfg.dims import DimLike
from dfg.ir import Graph, Subgraph, Value
from dfg.ops.base import OPS
from dfg.ops.leaf import arg, project_inner, projection
from dfg.passes.cotangent import Projection
from dfg.types import TupleType


class ForwardCopy:
    """A body copied into a graph in which its reverse is made: what the reverse uses of it is found out afterwards."""

    def __init__(self, y: Value, body: Subgraph, carries: int = 0) -> None:
        self.carries = carries
        g = Graph(y.graph.facts, y.graph.rules)
        self.graph = g
        self.args = [g.emit(arg, (), (k, a.type)) for k, a in enumerate(body.inputs)]
        self.place = {a.index: k for k, a in enumerate(self.args)}
        self.mapping: dict[int, Value] = {a.index: self.args[k] for k, a in enumerate(body.inputs)}
        self.old: dict[int, int] = {}
        """The value of the body that a value here is."""
        for v in body.graph.values:
            made = self.mapping.get(v.index)
            if made is None:
                made = g.emit(v.op, tuple([self.mapping[o.index] for o in v.operands]), v.attrs)
                self.mapping[v.index] = made
            g.copy_tables(v, made)
            self.old.setdefault(made.index, v.index)
        self.size = len(g)
        """Values from this index on belong to the reverse."""

    def forward(self, v: Value) -> bool:
        """Whether a value is one of the body, or a projection of one: what the body holds, or would hold if it were asked for."""
        return v.index < self.size or (v.op.projects and v.operands[0].index < self.size)

    def traced(self, y: Value, offset: int, f: Value, views: bool = False) -> Value | None:
        """The trace of a forward value, or None if it is computed again. See Note [Residuals are projections]."""
        old = self.old.get(f.index)
        if old is None:
            source = self.old.get(f.operands[0].index) if f.op.projects else None
            if source is None:
                return None
            path, index, what = projection(f)
            return project_inner(y, (offset + source, *path), index, what)
        if not f.operands or (f.op.view and not f.op.projects and not views) or isinstance(f.type, TupleType):
            return None
        return OPS["trace"](y, index=offset + old)

    def seed(self, key: Projection, offset: int) -> Value | None:
        """The value here that a projection of the loop is the stack of; None if it is of another body."""
        what, k = key
        first = k[0][0] if what == "inner_trace" else k
        value = self.mapping.get(first - offset)
        if value is None or what != "inner_trace":
            return value
        (_, *path), index, last = k
        return project_inner(value, path, index, last)

    def invariant(self, v: Value, first: int) -> bool:
        """Whether a value depends on captures (arguments from `first` on) and constants alone."""
        variable = {a.index for a in self.args[:first]}
        return not any(w.index in variable for w in self.graph.live([v]))

    def needed(self, live: Sequence[Value], outputs: Sequence[Value], residual: Callable[..., Value | None]) -> dict[int, Value | None]:
        """The forward values that the reverse needs: each with its residual, or None if it is computed again."""
        needed: dict[int, Value | None] = {}
        asking: dict[int, list[Value | None]] = {}
        """Which value that is computed again asks for a value; None: the reverse itself."""

        def ask(values: Sequence[Value], by: Value | None) -> None:
            pending = [(v, by) for v in values]
            while pending:
                f, by = pending.pop()
                asking.setdefault(f.index, []).append(by)
                if f.index not in needed:
                    needed[f.index] = stack = residual(f)
                    if stack is None:
                        pending += [(o, f) for o in f.operands]

        ask([o for v in live if not self.forward(v) for o in v.operands if self.forward(o)], None)
        ask([o for o in outputs if self.forward(o)], None)
        for index in sorted(needed):
            f = self.graph.values[index]
            stack = needed[index]
            if stack is None or stack.op is OPS["part"] or not _cheap(f):
                continue
            # What is one operation of what is stacked is not stacked itself.
            if self._at_hand(f.operands, needed, residual):
                needed[index] = None
                ask(f.operands, f)
        for index in sorted(needed):
            stack, by = needed[index], asking[index]
            windows = {v.index: v for v in by if v is not None and v.op is OPS["slice"] and v.index in self.old}
            if stack is None or stack.op is OPS["part"] or any([v is None or v.index not in windows for v in by]):
                continue
            total: DimLike = 0
            for v in windows.values():
                total = total + v.type.size
            size = self.graph.values[index].type.size
            if total != size and self.graph.facts.at_least(size, total) is True:
                del needed[index]
                needed.update((v.index, residual(v, True)) for v in windows.values())
        return needed

    def _at_hand(self, values: Sequence[Value], needed: Mapping[int, Value | None], residual: Callable[..., Value | None]) -> bool:
        """Whether values can be computed without another trace."""
        pending = list(values)
        while pending:
            v = pending.pop()
            if v.index in needed:
                continue
            place = self.place.get(v.index)
            if place is not None:
                if place < self.carries:
                    return False
            elif residual(v) is not None:
                return False
            else:
                pending += v.operands
        return True


def _cheap(v: Value) -> bool:
    """Whether a value costs one operation for each element."""
    return v.op.elementwise and v.op.fails is None and bool(v.operands) and (v.op.cost is None or v.op.cost(v) == v.type.size)
