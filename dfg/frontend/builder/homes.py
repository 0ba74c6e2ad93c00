"""Where builder tensors live: a *home* is a graph under construction that tensors point into.

Every input begins a graph of its own. When tensors of two homes are combined, the smaller graph is imported into the larger, and the smaller home forwards to
it: a tensor is a handle that survives this (union-find, by size, so that a value moves at most log n times). The body of a loop is a home in a *region*; a
tensor from outside that is used in it becomes an argument of the body at its first use. All emission holds one lock: a graph has one writer.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from dfg.diagnostics import Label, UserError, error
from dfg.frontend.builder.sizes import Declarations, facts_of, normal_attrs, union
from dfg.ir import Graph, Subgraph, Value, seal
from dfg.ops.leaf import arg
from dfg.source import Span
from dfg.types import TensorType

LOCK: Final = threading.RLock()
HOMES: Final[weakref.WeakSet[Home]] = weakref.WeakSet()
"""Every home that a live tensor points to."""
REGION: Final[ContextVar[Region | None]] = ContextVar("dfg region", default=None)
"""The body that is being traced in this thread or task."""
CALL: Final[ContextVar[str]] = ContextVar("dfg call path", default="")
_serial = itertools.count()


@dataclass(frozen=True, slots=True)
class Leaf:
    """A declared input, parameter or state: its kind, where it was declared, and for the others than inputs the index of the initial value."""

    kind: str
    index: int
    initial: int | None
    span: Span | None


class Home:
    """See the module. `serials` numbers values in the order of their making across all homes."""

    __slots__ = ("__weakref__", "declarations", "forward", "graph", "leaves", "made", "modules", "moved", "region", "serials", "used")

    def __init__(self, declarations: Declarations = (), region: Region | None = None) -> None:
        self.graph = Graph(facts_of(declarations))
        self.declarations = declarations
        self.region = region
        self.serials: list[int] = []
        self.made: dict[int, Span] = {}
        """Where a value that the user holds was made."""
        self.leaves: dict[str, Leaf] = {}
        self.used: set[str] = set()
        """The names of dims in its types."""
        self.modules: set[str] = set()
        self.forward: Home | None = None
        self.moved: list[int] = []
        HOMES.add(self)

    def stamp(self) -> None:
        """Number the values that were emitted since the last time."""
        missing = len(self.graph.values) - len(self.serials)
        if missing > 0:
            self.serials.extend(itertools.islice(_serial, missing))

    @property
    def only_leaves(self) -> bool:
        return all(v.op.leaf for v in self.graph.values)


class Handle:
    """A reference to a value of a home. Base of `Tensor`; the lock is held while it is resolved."""

    __slots__ = ("_home", "_index", "_place")

    def __init__(self, home: Home, index: int, place: Span | None = None) -> None:
        self._home = home
        self._index = index
        self._place = place
        """Where this handle was made: equal values are one value, and may be written in several places."""

    def _resolve(self) -> tuple[Home, int]:
        home, index = self._home, self._index
        if home.forward is None:
            return home, index
        while home.forward is not None:
            index = home.moved[index]
            home = home.forward
        self._home, self._index = home, index
        return home, index

    @property
    def value(self) -> Value:
        """The value of the graph that this stands for now."""
        with LOCK:
            home, index = self._resolve()
            return home.graph.values[index]


@dataclass(slots=True, eq=False)
class Region:
    """The body of a loop under construction. `captures` pairs tensors of the enclosing region with the arguments that stand for them."""

    parent: Region | None
    home: Home = field(init=False)
    args: list[Handle] = field(default_factory=list)
    captures: list[tuple[Handle, Handle]] = field(default_factory=list)
    closed: bool = False

    def current(self) -> Home:
        while self.home.forward is not None:
            self.home = self.home.forward
        return self.home

    def argument(self, type: TensorType) -> Handle:
        home = self.current()
        made = home.graph.emit(arg, (), (len(self.args), type))
        home.stamp()
        handle = Handle(home, made.index)
        self.args.append(handle)
        return handle

    def inside(self, other: Region | None) -> bool:
        """Whether this is `other` or a body within it."""
        at: Region | None = self
        while at is not None and at is not other:
            at = at.parent
        return at is other


def open_region(declarations: Declarations, parent: Region | None, names: Iterable[str]) -> Region:
    region = Region(parent)
    region.home = Home(declarations, region)
    region.home.used.update(names)
    return region


class Conflict(Exception):
    """Two declarations of one name that cannot be of one program."""

    def __init__(self, name: str, first: Leaf, second: Leaf, why: str) -> None:
        super().__init__(name)
        self.error = UserError(
            error(
                "duplicate-name",
                f"`{name}` is declared twice, {why}",
                second.span,
                labels=[Label(first.span, f"`{name}` is declared here first")]
                if first.span is not None and first.span != second.span
                else [],
                help="give one of them another name: a name stands for one thing in a program",
            )
        )


def _copy(source: Home, target: Home, indices: Sequence[int] | None = None) -> list[int]:
    """Emit the values of one home's graph in another's, under its facts; where each went."""
    old, new = source.graph, target.graph
    renew = source.declarations != target.declarations
    facts = new.facts
    moved: list[int] = []
    values = new.values
    before = (new.cursor, new.call)
    for v in old.values:
        attrs = v.attrs
        if renew and attrs:
            attrs = tuple([_body(a, new) if isinstance(a, Subgraph) else normal_attrs(a, facts) for a in attrs])
        new.cursor = old.spans.get(v.index)
        new.call = old.calls.get(v.index, "")
        made = new.emit(v.op, tuple([values[moved[o.index]] for o in v.operands]), attrs)
        new.copy_tables(v, made)
        moved.append(made.index)
        if made.index >= len(target.serials):
            target.serials.extend(source.serials[v.index] for _ in range(made.index + 1 - len(target.serials)))
        else:
            target.serials[made.index] = min(target.serials[made.index], source.serials[v.index])
    new.cursor, new.call = before
    for index, span in source.made.items():
        target.made.setdefault(moved[index], span)
    for name, leaf in source.leaves.items():
        there = Leaf(leaf.kind, moved[leaf.index], None if leaf.initial is None else moved[leaf.initial], leaf.span)
        target.leaves.setdefault(name, there)
    target.used |= source.used
    target.modules |= source.modules
    return moved


def _body(body: Subgraph, outer: Graph) -> Subgraph:
    """A subgraph with its sizes in the forms of another graph's facts."""
    inner = outer.like()
    places: dict[int, Value] = {}
    for v in body.graph.values:
        attrs = tuple([_body(a, outer) if isinstance(a, Subgraph) else normal_attrs(a, outer.facts) for a in v.attrs])
        places[v.index] = inner.emit(v.op, tuple(places[o.index] for o in v.operands), attrs)
        inner.copy_tables(v, places[v.index])
    return seal(inner, [places[i.index] for i in body.inputs], [places[o.index] for o in body.outputs])[0]


def _check_leaves(a: Home, b: Home) -> None:
    """No name may stand for two things. Raises `Conflict`."""
    small, large = (a, b) if len(a.leaves) <= len(b.leaves) else (b, a)
    for name, leaf in small.leaves.items():
        other = large.leaves.get(name)
        if other is None:
            continue
        first, second = (leaf, other) if small.serials[leaf.index] <= large.serials[other.index] else (other, leaf)
        if leaf.kind != other.kind:
            raise Conflict(name, first, second, f"as {_article(first.kind)} and as {_article(second.kind)}")
        p, q = small.graph.values[leaf.index].type, large.graph.values[other.index].type
        if p != q and small.declarations == large.declarations:
            raise Conflict(name, first, second, f"as {p if first is leaf else q} and as {q if first is leaf else p}")
        if (
            leaf.initial is not None
            and other.initial is not None
            and not _same(small.graph.values[leaf.initial], large.graph.values[other.initial])
        ):
            raise Conflict(name, first, second, "with different initial values")


def _article(kind: str) -> str:
    return {"input": "an input", "param": "a parameter", "state": "a state"}[kind]


def _same(a: Value, b: Value) -> bool:
    """Whether two values of different graphs are equal: op by op down to the leaves."""
    if a.graph is b.graph:
        return a is b
    known: set[tuple[int, int]] = set()
    pending = [(a, b)]
    while pending:
        v, w = pending.pop()
        if (v.index, w.index) in known:
            continue
        known.add((v.index, w.index))
        if v.op is not w.op or v.attrs != w.attrs or len(v.operands) != len(w.operands):
            return False
        pending.extend(zip(v.operands, w.operands, strict=True))
    return True


def merge(a: Home, b: Home) -> Home:
    """One home for the values of two of one region. Raises `Conflict` or `UserError`."""
    if a is b:
        return a
    _check_leaves(a, b)
    if len(a.graph.values) < len(b.graph.values):
        a, b = b, a
    a = under(a, union(a.declarations, b.declarations))
    _forward(b, a, _copy(b, a))
    return a


def under(home: Home, declarations: Declarations) -> Home:
    """The home, typed under more declarations."""
    if declarations == home.declarations:
        return home
    new = set().union(*[d.names for d in declarations if d not in home.declarations])
    if not new & home.used and set(home.declarations) <= set(declarations):
        home.graph.facts = facts_of(declarations)
        home.declarations = declarations
        return home
    fresh = Home(declarations, home.region)
    _forward(home, fresh, _copy(home, fresh))
    return fresh


def _forward(old: Home, new: Home, moved: list[int]) -> None:
    old.moved = moved
    old.forward = new
    HOMES.discard(old)
    old.graph = new.graph
    old.leaves, old.made, old.serials = {}, {}, []


def renew(module: str, names: Iterable[str], declarations: Iterable[Any]) -> None:
    """Type the live graphs of a module again that hold nothing but leaves and mention one of the names."""
    from dfg.frontend.builder.sizes import connected

    every = list(declarations)
    wanted = set(names)
    for home in list(HOMES):
        if home.forward is None and module in home.modules and home.used & wanted and home.only_leaves:
            mine = tuple(d for d in home.declarations if d.name not in wanted)
            fresh = Home(union(mine, connected(every, home.used)), home.region)
            _forward(home, fresh, _copy(home, fresh))


# --- values for tensors --------------------------------------------------------------------------------------------------------------


class Escaped(Exception):
    """A value of a loop's body is used where that body is not being traced."""

    def __init__(self, handle: Handle) -> None:
        super().__init__()
        self.handle = handle


def region_for(handles: Sequence[Handle]) -> Region | None:
    """The region that something made of these tensors belongs to: the one being traced, or the innermost that they come from."""
    best = REGION.get()
    if best is not None and best.closed:
        best = None
    for h in handles:
        r = h._resolve()[0].region
        if r is best or r is None:
            continue
        if r.closed:
            raise Escaped(h)
        if best is None or r.inside(best):
            best = r
        elif not best.inside(r):
            raise Escaped(h)
    return best


def region_of(loss: Handle, others: Sequence[Handle]) -> Region | None:
    """The region of a loss, if the others are visible there: a derivative of an outer value is an outer value. Else as `region_for`."""
    region = region_for([loss, *others])
    own = loss._resolve()[0].region
    at = own
    for h in others:
        r = h._resolve()[0].region
        if r is not None and (at is None or not at.inside(r)):
            return region
    return own


def gather(handles: Sequence[Handle], region: Region | None, declarations: Declarations) -> Home:
    """The home that values of these tensors are emitted in: theirs combined, or the region's."""
    if region is not None:
        body = region.current()
        for h in handles:
            declarations = union(declarations, h._resolve()[0].declarations)
        return under(body, union(body.declarations, declarations))
    home: Home | None = None
    for h in handles:
        other = h._resolve()[0]
        home = other if home is None else merge(home, other)
    if home is None:
        return Home(declarations)
    return under(home, union(home.declarations, declarations))


def value_in(handle: Handle, home: Home) -> Value:
    """The value of a tensor in a home: its own, or the argument of the body that stands for it."""
    there, index = handle._resolve()
    if there is home:
        return home.graph.values[index]
    region = home.region
    assert region is not None
    chain: list[Region] = []
    at: Region | None = region
    while at is not None and at is not there.region:
        chain.append(at)
        at = at.parent
    for inner in reversed(chain):
        handle = _capture(handle, inner)
    return handle.value


def _capture(handle: Handle, region: Region) -> Handle:
    there, index = handle._resolve()
    home = region.current()
    if there.declarations != home.declarations and not set(there.declarations) <= set(home.declarations):
        home = under(home, union(home.declarations, there.declarations))
    v = there.graph.values[index]
    if v.op.name in ("constant", "dim"):
        made = home.graph.emit(v.op, (), v.attrs)
        home.graph.copy_tables(v, made)
        home.stamp()
        return Handle(home, made.index)
    for outer, inner in region.captures:
        if outer._resolve() == (there, index):
            return inner
    inner = region.argument(v.type)
    home.made.setdefault(inner.value.index, there.made.get(index, there.graph.spans.get(index)))  # type: ignore[arg-type]
    home.used |= there.used
    region.captures.append((handle, inner))
    return inner
