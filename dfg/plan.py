"""The executable form of a graph: places for arrays, views of them, and steps in order. Backends run it; nothing here computes.

A `Plan` has `arrays` (what steps read and write), `steps`, and `slots`, the pieces of one block of memory that values share over time. Which
values share a slot was decided once, for every size; for given sizes only the extents of the slots, their offsets and the peak are computed.
Invariants: a step's operands are written before it; an array of kind `slot` may be overwritten as soon as no later step reads it; inputs are never
written; states and parameters are written only in `commit`, after everything that can fail.

    plan = compile_plan(graph, outputs=["l"], update=False)     # dfg.passes.planner
    print(plan)                                                 # every array and step, readable
    plan.memory({"n": 1000}).peak                               # bytes, known before anything runs
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np

from dfg.dims import Dim, DimLike, Facts, compile_dims, evaluate
from dfg.ir import Graph, Need, Value
from dfg.source import Span
from dfg.types import TensorType

Kind = Literal["input", "param", "state", "constant", "computed", "slot", "output", "view", "row", "carry"]
"""`input`, `output`: the caller's; `param`, `state`: kept between runs; `constant`: its elements are known; `computed`: from sizes and constants, once
for given sizes; `view`: the elements of another array seen otherwise; `row`: one step's part of a stack; `carry`: in a loop, now one array, now another."""

STATIC: Final = -1
"""The scope of arrays that are the same for every run with the same sizes."""
CALL: Final = 0
"""The scope of arrays that each run brings. Scopes above are the depth of the loop in which an array changes at every step."""
ALIGNMENT: Final = 64


class Array:
    """Something that steps read and write. Not a dataclass: there is one for most values, and these cost a third."""

    __slots__ = ("attrs", "index", "kind", "name", "op", "operands", "scope", "slot", "type", "value")

    def __init__(
        self,
        index: int,
        kind: Kind,
        type: TensorType,
        scope: int,
        name: str = "",
        slot: int = -1,
        op: Any = None,
        operands: tuple[int, ...] = (),
        attrs: tuple[Any, ...] = (),
    ) -> None:
        self.index = index
        self.kind: Kind = kind
        self.type = type
        self.scope = scope
        self.name = name
        self.slot = slot
        self.op = op
        self.operands = operands
        self.attrs = attrs

    def __repr__(self) -> str:
        return f"<a{self.index} {self.kind} {self.type} {self.name}>"


class Step:
    """One instruction: a kernel that reads arrays and writes arrays. `kernel` is `op` (the meaning is that of `op`), or a name of `KERNELS`.

    `inner` is the loop or branch that a step is; `value` is the graph's value that it computes or helps to compute, for names and diagnostics.
    """

    __slots__ = ("attrs", "inner", "kernel", "op", "operands", "outs", "value")

    def __init__(
        self,
        kernel: str,
        operands: tuple[int, ...],
        outs: tuple[int, ...],
        value: Value | None,
        op: Any = None,
        attrs: tuple[Any, ...] = (),
        inner: Loop | Branch | None = None,
    ) -> None:
        self.kernel = kernel
        self.operands = operands
        self.outs = outs
        self.value = value
        self.op = op
        self.attrs = attrs
        self.inner = inner

    def __repr__(self) -> str:
        return f"<{self.op.name if self.op is not None else self.kernel} {self.operands} -> {self.outs}>"


KERNELS: Final = {
    "op": "the op's own meaning, into the outs",
    "evaluate": "the same by the op's `evaluate`, which allocates",
    "view": "the out, a view whose base changes from run to run or step to step, is made",
    "copy": "the operand's elements, of equal shape up to axes of size 1 and broadcasting",
    "mask": "all bits of an integer where a condition holds, else none",
    "mask_not": "all bits where it does not hold",
    "bit_and": "bitwise and",
    "bit_or": "bitwise or",
    "fill_reshaped": "the operand's elements in order, into an out of another shape",
    "matmul": "NumPy's matmul; operands and out are matrices (or vectors) that BLAS takes as they are",
    "dot": "the sum of products of two vectors",
    "vecdot": "sums of products over the last axis",
    "multiply": "product with broadcasting",
    "square": "x * x",
    "sqrt": "square root",
    "cube": "x * x * x; the out is not x",
    "reciprocal": "1 / x",
    "check_index": "attrs (size, axis): fails unless every element lies in [-size, size)",
    "wrap_index": "attrs (size,): the remainder by an axis's size, which makes negative indices positive",
    "scale_index": "attrs (size,): the operand times a size",
    "add_index": "the sum of two index arrays",
    "take": "attrs (wrap,): rows of the first operand at the indices of the second, known to be inside (`wrap`: may be negative)",
    "scatter_set": "operands (values, indices): rows of the out replaced; of repeated indices the last wins",
    "scatter_add": "operands (values, indices): added to rows of the out",
    "write_window": "attrs (starts, sizes, strides): a window of the out is replaced by the operand",
    "loop": "see `Loop`",
    "branch": "see `Branch`",
}


class Carry:
    """How a loop carries one tensor. `current` is what the body reads.

    * `place`: one array, overwritten at each step, when nothing reads the old value after the new one is made.
    * `follow`: the new value is the row of a stack; `current` then means that row. `start` is read at the first step.
    * `rotate`: two arrays take turns: `spare` is written, then becomes `current`.
    """

    __slots__ = ("current", "final", "mode", "new", "second", "spare", "start")

    def __init__(self, mode: Literal["place", "follow", "rotate"], current: int, start: int) -> None:
        self.mode: Literal["place", "follow", "rotate"] = mode
        self.current = current
        self.start = start
        self.new = -1
        """follow: the row."""
        self.spare = -1
        """rotate: the register that the body writes."""
        self.second: tuple[int, int] = (-1, -1)
        """rotate: the two arrays."""
        self.final = -1
        """Where the last value goes, if it is wanted elsewhere."""


class Loop:
    """The body of a `loop` step: steps run `length` times; with `reverse` from the last to the first. `count` (a `counted_scan`) is an array that may
    say fewer, `test` (a `while`) computes `flag` before each step and ends the loop where it is false. Rows of `stacks` that were not reached become zero."""

    __slots__ = ("body", "carries", "count", "depth", "flag", "length", "reverse", "rows", "stacks", "taken", "test")

    def __init__(self, length: DimLike, reverse: bool, depth: int) -> None:
        self.length = length
        self.reverse = reverse
        self.depth = depth
        self.body: list[Step] = []
        self.carries: list[Carry] = []
        self.rows: list[int] = []
        """Arrays of kind `row` that each step begins with."""
        self.count = -1
        self.test: list[Step] = []
        self.flag = -1
        self.taken = -1
        """Where the number of steps goes, if it is wanted."""
        self.stacks: list[int] = []

    def blocks(self, sizes: Mapping[str, int]) -> list[tuple[list[Step], int]]:
        """The blocks of steps, and how often each runs at most."""
        times = evaluate(self.length, sizes)
        return [(self.test, times), (self.body, times)]


class Branch:
    """One of two blocks, by an array that holds one bool."""

    __slots__ = ("other", "predicate", "then")

    def __init__(self, predicate: int) -> None:
        self.predicate = predicate
        self.then: list[Step] = []
        self.other: list[Step] = []

    def blocks(self, sizes: Mapping[str, int]) -> list[tuple[list[Step], int]]:
        return [(self.then, 1), (self.other, 1)]


@dataclass(frozen=True, slots=True)
class Slot:
    """A piece of the arena: as large as the largest of these sizes in bytes (positions in `Plan.extents`)."""

    extents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A tensor that crosses the edge of a plan: its declaration and the array that holds it."""

    name: str
    type: TensorType
    array: int
    span: Span | None = None
    dense: bool = False
    """Whether the plan relies on its elements lying in C order."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes for given sizes. `peak` is what a first run takes above inputs, parameters and states."""

    arena: int
    outputs: int
    workspace: int
    static: int
    kept: int

    @property
    def peak(self) -> int:
        return self.arena + self.outputs + self.workspace + self.static


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """See the module."""

    graph: Graph
    arrays: Sequence[Array]
    steps: Sequence[Step]
    commit: Sequence[Step]
    """The last steps: elementwise kernels and copies, the only ones that write parameters and states."""
    slots: Sequence[Slot]
    extents: Sequence[DimLike]
    """The different sizes in bytes that slots hold, in symbols."""
    inputs: Sequence[Field]
    kept: Mapping[str, Field]
    """Parameters and states that steps read or that `commit` writes."""
    outputs: Sequence[Field]
    dims: tuple[str, ...]
    """Names of sizes that must be bound."""
    facts: Facts
    needs: Sequence[Need]
    workspaces: Sequence[DimLike]
    """Bytes that steps take beside their arrays, one entry for each different amount."""
    hints: Mapping[str, int]
    """The sizes at which choices were made."""
    initials: Sequence[Plan] = ()
    """Plans that make the first values of parameters and states, in order; outputs are named like these."""
    updates: bool = False
    declared: Mapping[str, Field] = field(default_factory=dict)
    """All parameters and states of the program."""
    spare: Mapping[str, Field] = field(default_factory=dict)
    """Inputs that no step reads; where one is given, its shape tells sizes too."""
    _cache: dict[str, Any] = field(default_factory=dict)

    def layout(self, sizes: Mapping[str, int]) -> tuple[np.ndarray, int]:
        """The offset of each slot, and the size of the arena, for given sizes: array arithmetic only."""
        table = self._cache.get("layout")
        if table is None:
            flat = [e for s in self.slots for e in s.extents]
            starts = np.cumsum([0, *[len(s.extents) for s in self.slots]])[:-1]
            table = self._cache["layout"] = (self._compiled("extents", self.extents), np.asarray(flat, np.int64), starts)
        compute, places, starts = table
        if not len(self.slots):
            return np.zeros(0, np.int64), 0
        extents = np.asarray(compute(sizes), np.int64)
        largest = np.maximum.reduceat(extents[places], starts)
        rounded = (largest + (ALIGNMENT - 1)) & -ALIGNMENT
        ends = np.cumsum(rounded)
        return ends - rounded, int(ends[-1])

    def _compiled(self, name: str, dims: Sequence[DimLike]) -> Callable[[Mapping[str, int]], list[int]]:
        made = self._cache.get(name)
        if made is None:
            made = self._cache[name] = compile_dims(list(dims))
        return made

    def memory(self, sizes: Mapping[str, int]) -> Memory:
        """What a run with these sizes takes, known before it."""

        def total(arrays: Iterable[Array]) -> int:
            return sum(evaluate(a.type.size, sizes) * a.type.dtype.size for a in arrays)

        return Memory(
            self.layout(sizes)[1],
            total(self.arrays[f.array] for f in self.outputs),
            max(self._compiled("workspaces", self.workspaces)(sizes), default=0) if self.workspaces else 0,
            total(a for a in self.arrays if a.kind in ("computed", "constant")),
            total(self.arrays[f.array] for f in self.kept.values()),
        )

    def walk(self) -> Iterator[Step]:
        """Every step, those inside loops after the loop, and those of the commit."""
        pending: list[Iterable[Step]] = [self.commit, self.steps]
        while pending:
            for s in pending.pop():
                yield s
                if s.inner is not None:
                    pending.extend([s.inner.test, s.inner.body] if isinstance(s.inner, Loop) else [s.inner.then, s.inner.other])

    @property
    def count(self) -> int:
        """The number of steps, loop bodies included."""
        n = self._cache.get("count")
        if n is None:
            n = self._cache["count"] = sum(1 for _ in self.walk())
        return int(n)

    def flops(self, sizes: Mapping[str, int]) -> int:
        """Floating-point operations of a run: those that the ops declare, one for each element where they declare none."""
        memo: dict[Any, int] = {}
        total = 0
        pending: list[tuple[Iterable[Step], int]] = [(self.steps, 1), (self.commit, 1)]
        seen: set[int] = set()
        while pending:
            steps, times = pending.pop()
            for s in steps:
                if s.inner is not None:
                    pending.extend((steps, times * n) for steps, n in s.inner.blocks(sizes))
                    continue
                v = s.value
                if v is None or s.kernel == "view" or id(v) in seen:
                    continue
                seen.add(id(v))
                cost = v.op.cost(v) if v.op.cost is not None else v.type.size if isinstance(v.type, TensorType) else 0
                if isinstance(cost, Dim):
                    if cost not in memo:
                        memo[cost] = evaluate(cost, sizes)
                    cost = memo[cost]
                total += cost * times
        return total

    def traffic(self, sizes: Mapping[str, int]) -> int:
        """Bytes that the steps read and write."""
        memo: dict[TensorType, int] = {}
        total = 0
        pending: list[tuple[Iterable[Step], int]] = [(self.steps, 1), (self.commit, 1)]
        while pending:
            steps, times = pending.pop()
            for s in steps:
                if s.inner is not None:
                    pending.extend((steps, times * n) for steps, n in s.inner.blocks(sizes))
                elif s.kernel != "view":
                    for a in (*s.operands, *s.outs):
                        t = self.arrays[a].type
                        size = memo.get(t)
                        if size is None:
                            size = memo[t] = evaluate(t.size, sizes) * t.dtype.size
                        total += size * times
        return total

    def __str__(self) -> str:
        lines: list[str] = []
        for a in self.arrays:
            where = {"slot": f"slot {a.slot}", "view": f"{_op_name(a)} of {_names(self, a.operands)}", "row": f"row of {_names(self, a.operands)}"}
            lines.append(f"{self.name(a.index)} : {a.type} = {where.get(a.kind, a.kind)}")
        self._list_steps(self.steps, 0, lines)
        if self.commit:
            lines.append("commit:")
            self._list_steps(self.commit, 1, lines)
        for k, s in enumerate(self.slots):
            lines.append(f"slot {k} : {' | '.join(str(self.extents[e]) for e in s.extents)} bytes")
        return "\n".join(lines) + "\n"

    def _list_steps(self, steps: Sequence[Step], depth: int, lines: list[str]) -> None:
        for s in steps:
            pad = "  " * depth
            if isinstance(s.inner, Loop):
                few = f", at most {self.name(s.inner.count)}" if s.inner.count >= 0 else ""
                lines.append(f"{pad}for {s.inner.length} steps{few}{' backwards' if s.inner.reverse else ''}:")
                self._list_steps(s.inner.test, depth + 1, lines)
                if s.inner.flag >= 0:
                    lines.append(f"{pad}  while {self.name(s.inner.flag)}")
                self._list_steps(s.inner.body, depth + 1, lines)
                continue
            if s.inner is not None:
                lines.append(f"{pad}if {self.name(s.inner.predicate)}:")
                self._list_steps(s.inner.then, depth + 1, lines)
                lines.append(f"{pad}else:")
                self._list_steps(s.inner.other, depth + 1, lines)
                continue
            head = s.op.name if s.op is not None and s.kernel in ("op", "view") else s.kernel
            attrs = f" {list(map(str, s.attrs))}" if s.attrs and s.kernel != "op" else ""
            outs = f"{_names(self, [o for o in s.outs if o >= 0])} = " if s.outs else ""
            lines.append(f"{pad}{outs}{head}({_names(self, s.operands)}){attrs}")

    def name(self, index: int) -> str:
        a = self.arrays[index]
        return a.name or f"{ {'slot': 's', 'view': 'v', 'constant': 'k', 'computed': 'c'}.get(a.kind, 'a') }{index}".replace(" ", "")


def _names(plan: Plan, indices: Sequence[int]) -> str:
    return ", ".join(plan.name(i) for i in indices)


def _op_name(a: Array) -> str:
    return str(a.op.name if a.op is not None else a.name)
