"""Which values of a graph are drawn, which are words on an arrow, and which gradient belongs to which forward value.

A `Scene` is computed once for a picture and then only read. Hidden values are pins, unnamed broadcasts, casts and projections (they become
labels of the arrows through them) and scalar constants (they are written inside the op that uses them). A value belongs to the backward
pass if differentiation made it (it has an `Origin`) or if it is computed from such a value (an update, say); the first kind has a
partner, the forward value beside which it stands.

>>> Scene.of(graph, {"l": l}).label(l)
'l'
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from dfg.ir import Graph, Value
from dfg.viz import words

LEAVES = ("input", "param", "state", "arg")


@dataclass(slots=True)
class Scene:
    """The facts about the live values of a graph that a picture needs, by index."""

    graph: Graph
    roots: dict[str, Value]
    live: list[Value]
    names: dict[int, str]
    outputs: set[int]
    backward: set[int] = field(default_factory=set)
    """Made by differentiation, or computed from what it made."""
    derived: set[int] = field(default_factory=set)
    """Made by differentiation."""
    hidden: set[int] = field(default_factory=set)
    inlined: set[int] = field(default_factory=set)
    """Hidden, and nothing flows: scalar constants and what is made of them alone."""
    sources: dict[int, list[tuple[int, str]]] = field(default_factory=dict)
    """For a visible value: the visible values it reads, and the words on that arrow."""
    partners: dict[int, int] = field(default_factory=dict)
    kept: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, graph: Graph, roots: Mapping[str, Value]) -> Scene:
        labels = graph.labels()
        names = {index: found[0] for index, found in labels.items()}
        for name, value in roots.items():
            names.setdefault(value.index, name)
        scene = cls(graph, dict(roots), graph.live(roots.values()), names, {v.index for v in roots.values()})
        scene._classify()
        scene._hide()
        scene._connect()
        return scene

    def label(self, v: Value) -> str:
        """The user's name of a value, or an empty text."""
        if v.op.name in ("input", "param", "state"):
            return str(v.attrs[0])
        return self.names.get(v.index, "")

    def visible(self) -> list[Value]:
        return [v for v in self.live if v.index not in self.hidden]

    def _classify(self) -> None:
        origins = self.graph.origins
        for v in self.live:
            origin = origins.get(v.index)
            if origin is not None and origin.primal < v.index:  # a gradient that is a forward value stays that
                self.derived.add(v.index)
                self.backward.add(v.index)
            elif any(o.index in self.backward for o in v.operands):
                self.backward.add(v.index)

    def _hide(self) -> None:
        for v in self.live:
            i = v.index
            if i in self.outputs:
                continue
            if v.op.name == "pin":
                self.hidden.add(i)
                if i in self.names:  # the name of a pinned binding may be bound to the pin alone
                    self.names.setdefault(v.operands[0].index, self.names[i])
            elif words.literal(v) is not None:
                if i not in self.names or v.op.name in ("constant", "dim"):
                    self.hidden.add(i)
                    self.inlined.add(i)
            elif (v.op.name in ("broadcast", "cast") or v.op.projects) and i not in self.names:
                self.hidden.add(i)

    def source_of(self, v: Value) -> tuple[Value, str]:
        """The visible value behind hidden ones, and what these do on the way."""
        said: list[str] = []
        while v.index in self.hidden and v.operands:
            if v.op.name == "cast":
                said.append(f"{v.operands[0].dtype} → {v.dtype}")
            elif v.op.name == "broadcast":
                said.append(f"to [{', '.join(str(d) for d in v.shape)}]")
            elif v.op.projects:
                said.append(words.projection(v))
            v = v.operands[0]
        return v, "\n".join(reversed(said))

    def _connect(self) -> None:
        for v in self.live:
            if v.index in self.hidden:
                continue
            found: dict[tuple[int, str], None] = {}
            for o in v.operands:
                if o.index in self.inlined:
                    continue
                source, said = self.source_of(o)
                found[source.index, said] = None
                if v.index in self.derived and source.index not in self.backward and source.op.name not in ("constant", "param", "state"):
                    self.kept.add(source.index)
            self.sources[v.index] = list(found)
        for v in self.live:
            if v.index in self.derived and v.index not in self.hidden:
                partner = self._partner(v)
                if partner is not None:
                    self.partners[v.index] = partner

    def _partner(self, v: Value) -> int | None:
        """The forward value beside which a gradient stands: the one operand that varies of the value whose rule made it (it is that operand's
        cotangent), or that value itself if several vary; through gradients of gradients and hidden values."""
        origins = self.graph.origins
        seen: set[int] = set()
        at = v.index
        while at not in seen and at in origins and 0 <= origins[at].primal < len(self.graph.values):
            seen.add(at)
            at = origins[at].primal
        primal = self.graph.values[at]
        varying = [o for o in primal.operands if o.index not in self.inlined]
        forward, _ = self.source_of(varying[0] if len(varying) == 1 else primal)
        shown = forward.index in self.sources and forward.index not in self.backward
        return forward.index if shown else None

    def cotangents(self) -> dict[int, str]:
        """Titles such as `∂l/∂v` of the gradients that the program has no name for and differentiation knows."""
        titles: dict[int, str] = {}
        for index, hint in self.graph.hints.items():
            match = re.fullmatch(r"d(.+?)_d(.+)", hint)
            titles[index] = f"∂{match.group(1)}/∂{match.group(2)}" if match and match.group(1) in self.graph.names else hint
        return titles
