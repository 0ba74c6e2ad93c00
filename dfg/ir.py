"""The graph: interned values with types.

A `Graph` is an append-only list of `Value`s. Equal values are one value (same op, operands, canonical attributes), a value's operands
come before it, and its type is inferred when it is emitted: creation order is a topological order, so passes are loops, reverse mode is
the loop backwards, and nothing recurses. What is *not* part of a value's identity lives in side tables of the graph: spans, names,
literal texts, provenance, reasons of casts, needed inequalities.

Loops hold sealed `Subgraph`s, keyed by a digest. Ops are defined in `dfg.ops`; here an op is only something with a name, an `infer`
and a few properties (`Operation`), and the operators of `Value` dispatch through `OPERATORS`, which `dfg.ops` fills.

Note [Emission rules]: a graph may carry a table of rewrite rules by op. A rule sees the operands and attributes of a value that is about
to be emitted and returns an existing or simpler value instead, or None. Rules fire only here, so that differentiation emits simplified
values and no separate fixpoint is needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

import numpy as np

from dfg.diagnostics import InternalError
from dfg.dims import Dim, DimLike, Facts
from dfg.source import Span
from dfg.types import DType, TensorType, TupleType, Type

MAX_AXES: Final = 32
"""Axes of a tensor: what NumPy's iterators take in every version."""

if TYPE_CHECKING:
    import networkx as nx

Stage = Literal["source", "differentiated", "planned"]
OPERATORS: Final[dict[str, Callable[..., Value]]] = {}
"""What `+`, `*`, unary `-` ... of values do; filled by `dfg.ops`."""


class Operation(Protocol):
    """What the graph needs to know of an op; `dfg.ops.base.Op` is the definition."""

    @property
    def name(self) -> str: ...
    @property
    def attrs(self) -> tuple[Any, ...]: ...
    @property
    def unique(self) -> bool: ...
    @property
    def calculus(self) -> bool: ...
    @property
    def commutative(self) -> bool: ...
    @property
    def known(self) -> bool: ...
    @property
    def repeats(self) -> bool: ...
    @property
    def infer(self) -> Callable[[Graph, tuple[Value, ...], tuple[Any, ...]], Type]: ...


def _check_extent(t: TensorType) -> None:
    """Refuse what no array can be: more axes, or more elements, than NumPy counts."""
    if len(t.shape) > MAX_AXES:
        raise InferError("rank-mismatch", f"a tensor has at most {MAX_AXES} axes, and this one would have {len(t.shape)}")
    total = 1
    for d in t.shape:
        if d.__class__ is int:
            total *= d
    if total >> 59 and 0 not in t.shape:
        raise InferError("too-large", f"{t} has more elements than a computer can address")


class InferError(Exception):
    """A value that cannot be: raised by an op's `infer` (and by surface functions), made into a diagnostic by the frontend that knows the
    spans. `marks` are (operand position or argument name, a few words about it)."""

    def __init__(
        self, code: str, message: str, marks: Sequence[tuple[int | str, str]] = (), help: str | None = None, dim_fact: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.marks = tuple(marks)
        self.help = help
        self.dim_fact = dim_fact
        """A `dim` line (such as ``dim n == m``) that, added to the program, would make it right."""


class Value:
    """One value of a graph. Immutable; compared by identity. In rules, operators with another value or a Python number emit."""

    __slots__ = ("attrs", "graph", "index", "known", "op", "operands", "type")
    op: Any
    type: Any

    def __init__(
        self, graph: Graph, op: Operation, operands: tuple[Value, ...], attrs: tuple[Any, ...], type: Type, index: int, known: bool = False
    ) -> None:
        self.graph = graph
        self.op = op
        self.operands = operands
        self.attrs = attrs
        self.type = type
        self.index = index
        self.known = known
        """Whether it is a constant or a repetition of one."""

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def shape(self) -> tuple[DimLike, ...]:
        return self.type.shape

    @property
    def rank(self) -> int:
        return len(self.type.shape)

    def attr(self, name: str) -> Any:
        """The attribute called `name`."""
        for spec, value in zip(self.op.attrs, self.attrs, strict=True):
            if spec.name == name:
                return value
        raise KeyError(name)

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes by name."""
        return {spec.name: value for spec, value in zip(self.op.attrs, self.attrs, strict=True)}

    def __add__(self, other: Value | float) -> Value:
        return OPERATORS["add"](self, other)

    def __radd__(self, other: float) -> Value:
        return OPERATORS["add"](other, self)

    def __sub__(self, other: Value | float) -> Value:
        return OPERATORS["subtract"](self, other)

    def __rsub__(self, other: float) -> Value:
        return OPERATORS["subtract"](other, self)

    def __mul__(self, other: Value | float) -> Value:
        return OPERATORS["multiply"](self, other)

    def __rmul__(self, other: float) -> Value:
        return OPERATORS["multiply"](other, self)

    def __truediv__(self, other: Value | float) -> Value:
        return OPERATORS["divide"](self, other)

    def __rtruediv__(self, other: float) -> Value:
        return OPERATORS["divide"](other, self)

    def __pow__(self, other: Value | float) -> Value:
        return OPERATORS["power"](self, other)

    def __neg__(self) -> Value:
        return OPERATORS["negative"](self)

    def __and__(self, other: Value) -> Value:
        return OPERATORS["logical_and"](self, other)

    def __or__(self, other: Value) -> Value:
        return OPERATORS["logical_or"](self, other)

    def __invert__(self) -> Value:
        return OPERATORS["logical_not"](self)

    def __lt__(self, other: Value | float) -> Value:
        return OPERATORS["less"](self, other)

    def __le__(self, other: Value | float) -> Value:
        return OPERATORS["less_equal"](self, other)

    def __gt__(self, other: Value | float) -> Value:
        return OPERATORS["greater"](self, other)

    def __ge__(self, other: Value | float) -> Value:
        return OPERATORS["greater_equal"](self, other)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        raise TypeError("values are compared with `is`; an elementwise comparison is the op `equal`")

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise TypeError("the truth of a value is not known while compiling; use `where`")

    def __len__(self) -> int:
        raise TypeError("a value has no length while compiling; use `.shape`")

    def __iter__(self) -> Iterator[Value]:
        raise TypeError("a value cannot be iterated over while compiling")

    def __repr__(self) -> str:
        operands = ", ".join(f"v{o.index}" for o in self.operands)
        return f"<v{self.index} : {self.type} = {self.op.name}({operands})>"


class Const:
    """The elements of a constant: identity is dtype, shape and **bits**, so -0.0 and 0.0, 0 and False never meet. The array is read-only."""

    __slots__ = ("array", "key")
    LARGE = 64
    """Above so many elements the identity is a digest of the bytes."""

    def __init__(self, array: np.ndarray) -> None:
        array = np.array(array, order="C", copy=True)
        array.setflags(write=False)
        self.array = array
        data = array.tobytes()
        self.key: tuple[str, tuple[int, ...], bytes] = (
            array.dtype.str,
            array.shape,
            data if array.size <= self.LARGE else blake2b(data, digest_size=16).digest(),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Const) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"Const({self.array!r})"


class Origin(NamedTuple):
    """Where a value of a transformed graph comes from: the index of the primal in the same graph (or -1) and the rule that made it. A tuple: there is one
    for each step of a backward pass."""

    primal: int
    rule: str


@dataclass(frozen=True, slots=True)
class Need:
    """A needed inequality that could not be proved: `left >= right`; verified when sizes arrive."""

    left: DimLike
    right: DimLike
    why: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Roots:
    """What a graph is for: exported values, the new values of states and parameters, and the initial values of these, all by name."""

    outputs: dict[str, Value] = field(default_factory=dict)
    updates: dict[str, Value] = field(default_factory=dict)
    initials: dict[str, Value] = field(default_factory=dict)

    def values(self) -> list[Value]:
        return [*self.outputs.values(), *self.updates.values(), *self.initials.values()]

    def map(self, f: Callable[[Value], Value]) -> Roots:
        return Roots(
            {k: f(v) for k, v in self.outputs.items()},
            {k: f(v) for k, v in self.updates.items()},
            {k: f(v) for k, v in self.initials.items()},
        )


Rule = Callable[["Graph", tuple[Value, ...], tuple[Any, ...]], Value | None]


@dataclass(frozen=True, slots=True)
class Rules:
    """Emission rules by op: those tried always, and those tried only if an operand is a constant or a repetition of one."""

    always: dict[Any, list[Rule]] = field(default_factory=dict)
    constant: dict[Any, list[Rule]] = field(default_factory=dict)


class Graph:
    """An append-only graph of interned values, its roots, and the side tables."""

    def __init__(self, facts: Facts | None = None, rules: Rules | None = None) -> None:
        self.values: list[Value] = []
        self.facts = Facts() if facts is None else facts
        self.rules: Rules | None = rules
        self.fired: dict[str, int] = {}
        """How often each rule has replaced a value."""
        self.roots = Roots()
        self.names: dict[str, Value] = {}
        """What the program's names are bound to, in the order of the bindings."""
        self.spans: dict[int, Span] = {}
        self.origins: dict[int, Origin] = {}
        self.literals: dict[int, str] = {}
        """The text that a constant was written with."""
        self.casts: dict[int, str] = {}
        """Why an implicit cast is there."""
        self.calls: dict[int, str] = {}
        """The call path (`f`, `f_2.g`) that a value was made in."""
        self.hints: dict[int, str] = {}
        """A name to print for a value that no binding names, such as `dl_dv`."""
        self.needs: dict[tuple[DimLike, DimLike], Need] = {}
        self.cursor: Span | None = None
        """The span that values emitted now get."""
        self.origin: Origin | None = None
        """The provenance that values emitted now get."""
        self.call: str = ""
        self._table: dict[tuple[Any, ...], Value] = {}
        self._lock = threading.RLock()

    def emit(
        self, op: Operation, operands: tuple[Value, ...] = (), attrs: tuple[Any, ...] = (), type: Type | None = None
    ) -> Value:
        """The value of `op` on `operands`: an existing one if it is equal, else a new one with its inferred type. Raises `InferError`.
        `type` is given by passes that copy a value whose type they know."""
        count = len(operands)
        key: tuple[Any, ...]
        if count == 2:
            i, j = operands[0].index, operands[1].index
            key = (op, attrs, j, i) if i > j and op.commutative else (op, attrs, i, j)
        elif count == 1:
            key = (op, attrs, operands[0].index)
        else:
            key = (op, attrs, *[o.index for o in operands])
        found = self._table.get(key)
        if found is not None:
            return found
        with self._lock:
            rules = self.rules
            if rules is not None:
                table = rules.always.get(op)
                if table is not None and (better := self._first(table, operands, attrs)) is not None:
                    return better
                table = rules.constant.get(op)
                if table is not None and (not count or any([o.known for o in operands])) and (better := self._first(table, operands, attrs)) is not None:
                    return better
            for o in operands:
                if o.graph is not self:
                    raise InternalError(f"an operand of `{op.name}` belongs to another graph")
            if type is None:
                type = op.infer(self, operands, attrs)
                if isinstance(type, TensorType) and type.shape:
                    _check_extent(type)
            values = self.values
            index = len(values)
            known = operands[0].known if count == 1 and op.repeats else not count and op.known
            value = Value(self, op, operands, attrs, type, index, known)
            values.append(value)
            self._table[key] = value
            if self.cursor is not None:
                self.spans[index] = self.cursor
            if self.origin is not None:
                self.origins[index] = self.origin
            if self.call:
                self.calls[index] = self.call
            return value

    def _first(self, table: Sequence[Rule], operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
        """What the first rule that fires gives. See Note [Emission rules]."""
        for rule in table:
            better = rule(self, operands, attrs)
            if better is not None:
                name = rule.__name__
                self.fired[name] = self.fired.get(name, 0) + 1
                return better
        return None

    def need(
        self,
        left: DimLike,
        right: DimLike,
        why: str,
        code: str = "out-of-bounds",
        marks: Sequence[tuple[int | str, str]] = (),
        help: str | None = None,
    ) -> None:
        """State that `left >= right` is needed: nothing if proved, an `InferError` if certainly false, else listed and verified at binding."""
        proved = self.facts.at_least(left, right)
        if proved is False:
            told = isinstance(left, int) and isinstance(right, int) and code == "out-of-bounds"
            raise InferError(code, why if told else f"{why}: {left} is not at least {right}", marks, help)
        if proved is None and (left, right) not in self.needs:
            self.needs[left, right] = Need(left, right, why, self.cursor)

    def equal_sizes(self, left: DimLike, right: DimLike) -> bool | None:
        return True if left == right else self.facts.equal(left, right)

    def label(self, value: Value) -> str | None:
        """The first name that the value is bound to, or None."""
        for name, bound in self.names.items():
            if bound is value:
                return name
        return None

    def labels(self) -> dict[int, list[str]]:
        """The names of each named value, by index."""
        result: dict[int, list[str]] = {}
        for name, value in self.names.items():
            result.setdefault(value.index, []).append(name)
        return result

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"<Graph of {len(self.values)} values; outputs {', '.join(self.roots.outputs) or 'none'}>"

    def live(self, roots: Iterable[Value]) -> list[Value]:
        """The ancestors of `roots` and themselves, in creation order."""
        roots = list(roots)
        if not roots:
            return []
        top = max(r.index for r in roots)
        mark = bytearray(top + 1)
        for r in roots:
            mark[r.index] = 1
        values = self.values
        for i in range(top, -1, -1):
            if mark[i]:
                for o in values[i].operands:
                    mark[o.index] = 1
        return [values[i] for i in range(top + 1) if mark[i]]

    def users(self) -> list[list[Value]]:
        """The values that use each value, by index."""
        result: list[list[Value]] = [[] for _ in self.values]
        for v in self.values:
            for o in set(v.operands):
                result[o.index].append(v)
        return result

    def like(self, rules: Rules | None = None) -> Graph:
        """An empty graph with the same facts and needed inequalities."""
        g = Graph(self.facts, rules)
        g.needs.update(self.needs)
        return g

    def copy_tables(self, source: Value, target: Value) -> None:
        """Let `target` (of this graph) have the span, literal text, reasons and call path of `source`, a value of another graph, if it has none."""
        other, i, j = source.graph, source.index, target.index
        if i in other.spans:
            self.spans.setdefault(j, other.spans[i])
        if i in other.literals:
            self.literals.setdefault(j, other.literals[i])
        if i in other.casts:
            self.casts.setdefault(j, other.casts[i])
        if i in other.calls:
            self.calls.setdefault(j, other.calls[i])

    def to_networkx(self) -> nx.MultiDiGraph:
        """The graph for networkx: nodes are indices with `op`, `type`, `names`; edges run from operand to user with its `position`."""
        import networkx as nx

        labels = self.labels()
        result = nx.MultiDiGraph()
        for v in self.values:
            result.add_node(v.index, op=v.op.name, type=str(v.type), names=tuple(labels.get(v.index, ())))
        for v in self.values:
            for position, o in enumerate(v.operands):
                result.add_edge(o.index, v.index, position=position)
        return result


class Subgraph:
    """A sealed graph with inputs and outputs, the body of a loop or branch. Equal by digest; made by `seal`. Captures of the outer graph are
    operands of the op that holds the subgraph, so a body refers to nothing outside itself."""

    __slots__ = ("digest", "graph", "inputs", "outputs")

    def __init__(self, graph: Graph, inputs: tuple[Value, ...], outputs: tuple[Value, ...]) -> None:
        self.graph = graph
        self.inputs = inputs
        self.outputs = outputs
        h = blake2b(digest_size=16)
        for v in graph.values:
            h.update(f"{v.op.name}({','.join(str(o.index) for o in v.operands)}|{attrs_key(v.attrs)}|{v.type};".encode())
        h.update(f"->{','.join(str(o.index) for o in outputs)}".encode())
        self.digest = h.digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Subgraph) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<Subgraph of {len(self.graph)} values, {len(self.inputs)} in, {len(self.outputs)} out>"


def seal(graph: Graph, inputs: Sequence[Value], outputs: Sequence[Value]) -> tuple[Subgraph, dict[int, Value]]:
    """The subgraph that computes `outputs` from `inputs` (values of op `arg`), without values that nothing needs; and where each old value went."""
    fresh = graph.like()
    mapping: dict[int, Value] = {}
    keep = {v.index for v in graph.live([*inputs, *outputs])}
    for v in graph.values:
        if v.index in keep:
            new = fresh.emit(v.op, tuple(mapping[o.index] for o in v.operands), v.attrs)
            mapping[v.index] = new
            fresh.copy_tables(v, new)
            if v.index in graph.origins:
                fresh.origins.setdefault(new.index, graph.origins[v.index])
    for name, value in graph.names.items():
        if value.index in mapping:
            fresh.names[name] = mapping[value.index]
    return Subgraph(fresh, tuple(mapping[i.index] for i in inputs), tuple(mapping[o.index] for o in outputs)), mapping


def attrs_key(attrs: object) -> str:
    """A canonical text of attributes, for digests."""
    if isinstance(attrs, tuple):
        return f"({','.join(attrs_key(a) for a in attrs)})"
    if isinstance(attrs, Subgraph):
        return attrs.digest.hex()
    if isinstance(attrs, Const):
        return f"{attrs.key[0]}{attrs.key[1]}{attrs.key[2].hex()}"
    if isinstance(attrs, float):
        return attrs.hex()
    if isinstance(attrs, Dim):
        return f"<{attrs}>"
    return repr(attrs) if isinstance(attrs, str) else f"{type(attrs).__name__}:{attrs}"


def digest(graph: Graph) -> str:
    """A digest of the values and roots of a graph: equal for equal graphs, whatever their side tables hold."""
    h = blake2b(digest_size=16)
    for v in graph.values:
        h.update(f"{v.op.name}({','.join(str(o.index) for o in v.operands)}|{attrs_key(v.attrs)}|{v.type};".encode())
    for kind, table in (("o", graph.roots.outputs), ("u", graph.roots.updates), ("i", graph.roots.initials)):
        h.update("".join(f"{kind}{name}={v.index};" for name, v in table.items()).encode())
    return h.hexdigest()


def verify(graph: Graph, stage: Stage) -> None:
    """Check what holds at a stage: order, ownership, one value for equal values, types as inferred again, no calculus left after
    differentiation, tuples used by projections alone. Raises `InternalError`."""
    pending: list[Graph] = [graph]
    while pending:
        g = pending.pop()
        seen: set[tuple[Any, ...]] = set()
        for i, v in enumerate(g.values):
            if v.index != i or v.graph is not g:
                raise InternalError(f"{v!r} is out of place")
            key = (v.op, v.attrs, *[o.index for o in v.operands])
            if key in seen:
                raise InternalError(f"{v!r} stands twice")
            seen.add(key)
            for o in v.operands:
                if o.index >= i or g.values[o.index] is not o:
                    raise InternalError(f"{v!r} uses {o!r}, which is not before it in this graph")
                if isinstance(o.type, TupleType) and not getattr(v.op, "projects", False):
                    raise InternalError(f"{v!r} uses a tuple")
            if stage != "source" and v.op.calculus:
                raise InternalError(f"{v!r} is left after differentiation")
            if v.op.infer(g, v.operands, v.attrs) != v.type:
                raise InternalError(f"{v!r} is inferred to be {v.op.infer(g, v.operands, v.attrs)}")
            for a in v.attrs:
                if isinstance(a, Subgraph):
                    pending.append(a.graph)
        for r in g.roots.values():
            if g.values[r.index] is not r:
                raise InternalError(f"the root {r!r} is not of this graph")
