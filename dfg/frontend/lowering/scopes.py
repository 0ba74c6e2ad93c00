"""Scopes: what is bound where, and the scan of a tree that tells, before anything is lowered, which bindings are targets of differentiation.

A name is bound once in a scope. A function sees what its file bound above it: its scope looks its parent up with a `limit`, the number of the
function's own binding.

>>> outer = Scope(None); outer.names["a"] = Binding("a", 1, None, "value", 0)
>>> Scope(outer).lookup("a").thing
1
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from dfg.frontend import syntax as s
from dfg.frontend.lowering.things import Record, Thing, build
from dfg.source import Span

What = Literal["input", "param", "state", "const", "dim", "value", "argument", "carry", "element", "function", "module", "index"]
DERIVATIVES: Final = {
    "grad": ("loss", "wrt"),
    "value_and_grad": ("loss", "wrt"),
    "vjp": ("y", "x", "ct"),
    "jvp": ("y", "x", "v"),
    "jacobian": ("y", "x"),
    "hessian": ("loss", "x"),
    "hvp": ("loss", "x", "v"),
}
"""The forms that differentiate, and their parameters; the second is the target."""


@dataclass(slots=True, eq=False)
class Binding:
    """A name: what it stands for, where it was bound, as what, and when."""

    name: str
    thing: Thing
    span: Span | None
    what: What
    order: int
    type_text: str = ""


@dataclass(slots=True, eq=False)
class ScopeInfo:
    """What the scan found of one scope: where its names are bound, and which of them are targets of a derivative."""

    parent: ScopeInfo | None = None
    names: dict[str, s.Node] = field(default_factory=dict)
    pins: set[str] = field(default_factory=set)


class Scope:
    """Names and what they stand for. `limit`: only what the parent bound before that number is seen."""

    __slots__ = ("carries", "dotted", "info", "limit", "names", "parent", "pending", "stepped", "yields")

    def __init__(self, parent: Scope | None, info: ScopeInfo | None = None, limit: int | None = None) -> None:
        self.parent = parent
        self.info = info if info is not None else ScopeInfo()
        self.limit = limit
        self.names: dict[str, Binding] = {}
        self.dotted = False
        self.carries: frozenset[str] = frozenset()
        """Names that the body binds once more, for the next step."""
        self.stepped: set[str] = set()
        """Those of them that have been."""
        self.yields: list[Thing] | None = None
        """What the body yields, where it may."""
        self.pending: bool = False

    def lookup(self, name: str) -> Binding | None:
        scope: Scope | None = self
        limit: int | None = None
        while scope is not None:
            found = scope.names.get(name)
            if found is not None and (limit is None or found.order < limit):
                return found
            limit = _least(limit, scope.limit)
            scope = scope.parent
        return None

    def visible(self) -> list[Binding]:
        """Everything that can be seen from here, nearest first."""
        scope: Scope | None = self
        limit: int | None = None
        result: list[Binding] = []
        while scope is not None:
            result.extend(b for b in scope.names.values() if limit is None or b.order < limit)
            limit = _least(limit, scope.limit)
            scope = scope.parent
        return result

    def has_dotted(self) -> bool:
        scope: Scope | None = self
        while scope is not None:
            if scope.dotted:
                return True
            scope = scope.parent
        return False

    def group(self, name: str) -> Record | None:
        """The record of everything bound as `name.…`, or None."""
        if not self.has_dotted():
            return None
        start = name + "."
        found: dict[str, Thing] = {}
        for b in self.visible():
            if b.name.startswith(start):
                found.setdefault(b.name, b.thing)
        if not found:
            return None
        made = build([(tuple(k[len(start) :].split(".")), v) for k, v in sorted(found.items())])
        return made if isinstance(made, Record) else None


def _least(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else min(a, b)


def dotted_text(node: s.Node) -> str | None:
    """`a.b.c` of names and attributes, or None for any other expression."""
    parts: list[str] = []
    while isinstance(node, s.Attribute):
        parts.append(node.name.text)
        node = node.base
    return ".".join([node.text, *reversed(parts)]) if isinstance(node, s.Name) else None


_LEAVES: Final = frozenset({s.Name, s.Number, s.Bool, s.Text, s.NoneLit, s.Dots, s.NewAxis})
_BINDING: Final = frozenset(
    {s.Def, s.Scan, s.While, s.For, s.Build, s.Block, s.Group, s.Test, s.Binding, s.Input, s.Output, s.Param, s.State, s.Const, s.IndexedBinding, s.Call}
)
"""Nodes that open a scope, bind names, or may name a target; all others are only gone through."""


def scan_scopes(root: s.Node) -> dict[int, ScopeInfo]:
    """The scopes of a tree (files, functions, rules, blocks, by `id` of their node), with the names that they bind and the targets among them."""
    infos: dict[int, ScopeInfo] = {id(root): ScopeInfo()}
    targets: list[tuple[ScopeInfo, s.Node]] = []
    stack: list[tuple[s.Node, ScopeInfo]] = [(child, infos[id(root)]) for child in reversed(s.children(root))]

    def enter(node: s.Node, parent: ScopeInfo, names: Iterable[s.Name]) -> ScopeInfo:
        made = infos[id(node)] = ScopeInfo(parent)
        for name in names:
            made.names.setdefault(name.text, name)
        return made

    def inside(body: s.Node, info: ScopeInfo) -> None:
        if isinstance(body, s.Block):
            infos[id(body)] = info
            stack.extend((child, info) for child in reversed(body.statements))
        else:
            stack.append((body, info))

    while stack:
        node, info = stack.pop()
        kind = type(node)
        if kind in _LEAVES:
            continue
        if kind is s.Binary:
            stack.append((node.right, info))  # type: ignore[attr-defined]
            stack.append((node.left, info))  # type: ignore[attr-defined]
            continue
        if kind not in _BINDING:
            stack.extend([(child, info) for child in reversed(s.children(node))])
            continue
        if isinstance(node, s.Def):
            info.names.setdefault(node.name.text, node.name)
            own = enter(node, info, [p.name for p in node.params])
            if node.rule is not None:
                inside(node.rule.body, enter(node.rule, own, node.rule.names))
            inside(node.body, own)
            stack.extend((p.default, info) for p in node.params if p.default is not None)
            continue
        if isinstance(node, s.Scan | s.While | s.For):
            if isinstance(node, s.Scan):
                names = list(node.names)
                stack.extend((v, info) for v in node.values)
            else:
                names = [node.name] if isinstance(node, s.For) else []
                stack.extend((v, info) for v in s.children(node) if isinstance(v, s.Range))
            stack.extend((c.value, info) for c in node.carries)
            own = enter(node, info, [*names, *[c.name for c in node.carries]])
            if isinstance(node, s.While):
                stack.append((node.test, own))
            inside(node.body, own)
            continue
        if isinstance(node, s.Build):
            own = enter(node, info, [node.name])
            stack.extend([(node.element, own), (node.range, info)])
            continue
        if isinstance(node, s.Block):
            inside(node, enter(node, info, []))
            continue
        if isinstance(node, s.Group):
            inside(node.body, info)
            continue
        if isinstance(node, s.Test):
            inside(node.body, enter(node, info, []))
            continue
        if isinstance(node, s.Binding):
            names = list(node.targets)
        elif isinstance(node, s.Input) or (isinstance(node, s.Output) and node.values is not None):
            names = list(node.names)
        elif isinstance(node, s.Param | s.State | s.Const):
            names = [node.name]
        elif isinstance(node, s.IndexedBinding):
            names = [node.target]
        else:
            names = []
            if isinstance(node, s.Call) and isinstance(node.func, s.Name) and node.func.text in DERIVATIVES:
                word = DERIVATIVES[node.func.text][1]
                targets.extend((info, k.value) for k in node.kwargs if k.name.text == word)
                if len(node.args) > 1:
                    targets.append((info, node.args[1]))
        for name in names:
            info.names.setdefault(name.text, name)
        stack.extend((child, info) for child in reversed(s.children(node)))
    while targets:
        info, node = targets.pop()
        if isinstance(node, s.ListExpr | s.TupleExpr):
            targets.extend((info, item) for item in node.items)
            continue
        text = dotted_text(node)
        if text is not None:
            _mark(info, text)
    return infos


def _mark(info: ScopeInfo, text: str) -> None:
    root = text.partition(".")[0]
    at: ScopeInfo | None = info
    while at is not None:
        for name in (text, root):
            if name in at.names:
                at.pins.add(name)
                return
        if any(name.startswith(text + ".") for name in at.names):
            at.pins.update(name for name in at.names if name.startswith(text + "."))
            return
        at = at.parent
