"""Differentiation: `vjp`, `jvp` and `jacobian` ops expanded into ordinary graph, in creation order, inner first, in the bodies of loops too.

Since every expansion is ordinary graph again, any order of derivative is the same pass. It alone reads vjp rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dfg.diagnostics import Diagnostic, warning
from dfg.ir import Graph, Subgraph, Value, seal
from dfg.ops.base import OPS, bodies, const_scalar, full
from dfg.ops.calculus import jacobian_op, jvp_op, vjp_op
from dfg.ops.leaf import make_pin
from dfg.passes.cotangent import Cot, Pullback, settle
from dfg.passes.nested import resolve, resolve_body
from dfg.passes.rebuild import copy_values, rebuild
from dfg.passes.reverse_loop import ReverseLoop
from dfg.passes.rules import SIMPLIFY
from dfg.passes.vmap import batched_pullback


@dataclass(frozen=True, slots=True)
class Differentiate:
    """Expand every derivative. `kinks` is the policy at kinks: `dfg`, `torch` or `jax`; warnings about targets that a loss does not reach go to `warn`."""

    kinks: str = "dfg"
    warn: Callable[[Diagnostic], None] = field(default=lambda d: None)

    def run(self, graph: Graph) -> Graph:
        if not any(has_calculus(v) for v in graph.values):
            return graph
        expander = _Expander(self)
        mapping: dict[int, Value] = {}
        fresh, _ = rebuild(graph, SIMPLIFY, expander.handlers(graph.values, mapping), mapping=mapping)
        expander.name_cotangents(fresh)
        return resolve(fresh)


def has_calculus(v: Value) -> bool:
    """Whether a value is a derivative to be expanded, or holds one in a body."""
    pending = [v]
    while pending:
        w = pending.pop()
        if w.op.calculus:
            return True
        if w.attrs:
            for b in bodies(w):
                pending.extend(b.graph.values)
    return False


class _Expander:
    """Expands derivatives while a graph is copied. A derivative's results are a tuple in the source; here they are a list that `part` looks into."""

    def __init__(self, options: Differentiate) -> None:
        self.options = options
        self.results: dict[Value, list[Value]] = {}
        self.together: dict[tuple[Value, Value], list[Value]] = {}
        """The targets of all gradients of one value with one cotangent. They are found in one go: a loop between them is gone through backwards once."""
        self.pulled: dict[tuple[Value, Value], dict[Value, Cot | None]] = {}
        self.expanded: dict[int, tuple[Subgraph, Subgraph]] = {}
        self.cotangents: list[tuple[str, dict[int, int]]] = []
        """For each gradient of a named loss: which value is the cotangent of which."""

    def handlers(self, values: Sequence[Value], mapping: dict[int, Value]) -> dict[Any, Callable[[Graph, Value, tuple[Value, ...]], Value]]:
        """For the values of one graph; `mapping` is where they go."""
        for v in values:
            if v.op is vjp_op:
                self.together.setdefault((v.operands[0], v.operands[1]), []).extend(v.operands[2:])
        return {
            vjp_op: lambda g, v, operands: self._vjp(g, v, operands, mapping),
            jvp_op: self._jvp,
            jacobian_op: self._jacobian,
            OPS["part"]: self._part,
            **{op: self._body for op in OPS.values() if any(a.kind == "body" for a in op.attrs)},
        }

    def pullback(self, g: Graph) -> Pullback:
        return Pullback(g, self.options.kinks, ReverseLoop(self.options.kinks))

    def _part(self, g: Graph, v: Value, operands: tuple[Value, ...]) -> Value:
        source = v.operands[0]
        if source.op.calculus:
            return self.results[source][v.attrs[0]]
        return g.emit(v.op, operands, v.attrs)

    def _stand_in(self, v: Value, made: list[Value], operands: tuple[Value, ...]) -> Value:
        self.results[v] = made
        return operands[0]

    def _vjp(self, g: Graph, v: Value, operands: tuple[Value, ...], mapping: dict[int, Value]) -> Value:
        y, ct, *targets = operands
        pull = self.pullback(g)
        key = (v.operands[0], v.operands[1])
        found = self.pulled.get(key)
        if found is None:
            # What is made later than this gradient is nothing that its value depends on.
            all_targets = list(dict.fromkeys(t for t in self.together[key] if t.index < v.index and t.index in mapping))
            made = pull.run([(y, Cot(ct))], [mapping[t.index] for t in all_targets])
            found = self.pulled[key] = dict(zip(all_targets, made, strict=True))
        cots = [found.get(t) for t in v.operands[2:]]
        self._report(v, cots)
        if const_scalar(ct) == 1 and (names := v.graph.labels().get(v.operands[0].index)):
            self.cotangents.append((names[0], pull.primals))
        return self._stand_in(v, [full(g, 0, t.type) if c is None else settle(c) for t, c in zip(targets, cots, strict=True)], operands)

    def _report(self, v: Value, cots: Sequence[Cot | None]) -> None:
        labels = v.graph.labels()
        for t, c in zip(v.operands[2:], cots, strict=True):
            if c is None:
                name = labels.get(t.index) or labels.get(t.operands[0].index if t.operands else -1)
                shown = f"`{name[0]}`" if name else "a target"
                self.options.warn(
                    warning(
                        "disconnected-target",
                        f"the value does not depend smoothly on {shown}: the derivative is zero everywhere",
                        v.graph.spans.get(v.index),
                        help="differentiate by something that it is computed from, or remove this derivative",
                    )
                )

    def name_cotangents(self, g: Graph) -> None:
        """Let cotangents of named values print as `dl_dy` where they need a name."""
        named = g.labels()
        for loss, primals in self.cotangents:
            for index, primal in primals.items():
                if primal in named:
                    g.hints.setdefault(index, f"d{loss}_d{named[primal][0]}")

    def _jvp(self, g: Graph, v: Value, operands: tuple[Value, ...]) -> Value:
        """Forward mode as the transpose of reverse mode: the cotangent of a dummy cotangent u in <J^T u, tangents>."""
        n = v.attrs[0]
        y, targets, tangents = operands[0], list(operands[1 : 1 + n]), list(operands[1 + n :])
        u = make_pin(full(g, 0, y.type))
        pull = self.pullback(g)
        cots = pull.run([(y, Cot(u))], targets)
        seeds = [(settle(c), Cot(t)) for c, t in zip(cots, tangents, strict=True) if c is not None]
        (back,) = pull.run(seeds, [u]) if seeds else (None,)
        return full(g, 0, y.type) if back is None else settle(back)

    def _jacobian(self, g: Graph, v: Value, operands: tuple[Value, ...]) -> Value:
        y, *targets = operands
        return self._stand_in(v, batched_pullback(g, self.pullback(g), y, targets), operands)

    def _body(self, g: Graph, v: Value, operands: tuple[Value, ...]) -> Value:
        attrs = tuple(self.subgraph(a) if isinstance(a, Subgraph) else a for a in v.attrs)
        return g.emit(v.op, operands, attrs)

    def subgraph(self, body: Subgraph) -> Subgraph:
        """A body with its derivatives expanded; the same one if it has none."""
        if not any(has_calculus(w) for w in body.graph.values):
            return body
        found = self.expanded.get(id(body))
        if found is not None:
            return found[1]
        inner = body.graph.like(SIMPLIFY)
        mapping: dict[int, Value] = {}
        copy_values(inner, body.graph.values, self.handlers(body.graph.values, mapping), mapping=mapping)
        sealed, _ = seal(inner, [mapping[i.index] for i in body.inputs], [mapping[o.index] for o in body.outputs])
        made = resolve_body(sealed)
        self.expanded[id(body)] = (body, made)
        return made
