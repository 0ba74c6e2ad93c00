"""How updates are written: the last steps of a run, which nothing can stop, and which of them write states and parameters in place.

The tail of a program are the elementwise kernels that only updates need: an optimiser's arithmetic. They run after everything that can fail, one update after
another, each as one call into NumPy without any bytecode between (see the backend's Note [Commit]); so a new value can go over the old one, with no copy and no memory
that lives until the end, as soon as nothing reads the old one any more. Every other new value is computed before, and copied at the end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from dfg.ir import Value
from dfg.ops.base import OPS, const_scalar
from dfg.ops.leaf import trace
from dfg.passes.region import BROADCAST, LOWERINGS
from dfg.types import TensorType

_KERNEL: Final = re.compile(r"np\.(\w+)\([^()]*\)")
_PURE: Final[dict[Any, bool]] = {}


@dataclass(slots=True)
class Tail:
    """The values before the tail and in it, in order, and the updates whose value is written in place."""

    rest: list[Value]
    tail: list[Value] = field(default_factory=list)
    in_place: dict[str, Value] = field(default_factory=dict)


def _one_kernel(v: Value) -> bool:
    """Whether a value is one call of a NumPy ufunc."""
    op = v.op
    if not op.elementwise or op.fails is not None or type(v.type) is not TensorType:
        return False
    if op is OPS["power"]:
        return v.dtype.floating and const_scalar(v.operands[1]) not in (1, 3)
    pure = _PURE.get(op)
    if pure is None:
        found = _KERNEL.fullmatch(op.into) if isinstance(op.into, str) and op not in LOWERINGS and not op.attrs else None
        pure = _PURE[op] = found is not None and isinstance(getattr(np, found[1], None), np.ufunc)
    return pure


def _plain_operand(o: Value) -> bool:
    """Whether NumPy reads an operand as it lies: no view of it must be made for the call."""
    if o.op is BROADCAST:
        u = o.operands[0]
        return not u.op.view and u.op is not trace and o.attrs[1] == tuple(range(o.rank - u.rank, o.rank))
    return not o.op.view and o.op is not trace


def _tensors(v: Value) -> int:
    """How many different tensors, not numbers or constants, an op reads."""
    return len({o.index for o in v.operands if not o.known and o.rank and not (o.op is BROADCAST and not o.operands[0].rank)})


def tail_of(order: Sequence[Value], outputs: Mapping[str, Value], updates: Mapping[str, Value], leaves: Mapping[str, Value]) -> Tail:
    """Split the values of a program. `leaves` are the states and parameters by name."""
    if not updates:
        return Tail(list(order))
    roots = {u.index for u in updates.values()}
    shown = {v.index for v in outputs.values()}
    old = {leaves[n].index for n in updates}
    uses: dict[int, int] = {}
    for v in order:
        for o in v.operands:
            uses[o.index] = uses.get(o.index, 0) + 1

    def only_for_updates(allowed: set[int] | None, reads: set[int]) -> set[int]:
        inside: set[int] = set()
        count: dict[int, int] = {}
        for v in reversed(order):
            i = v.index
            if i in shown or (allowed is not None and i not in allowed) or count.get(i, 0) != uses.get(i, 0) or not (uses.get(i) or i in roots):
                continue
            transparent = v.op is BROADCAST
            if not transparent and (not _one_kernel(v) or not all([_plain_operand(o) for o in v.operands])):
                continue
            if allowed is not None and not transparent and i not in reads and _tensors(v) > 1:
                # It would keep more alive than it makes, and no state wins by it.
                continue
            inside.add(i)
            for o in v.operands:
                count[o.index] = count.get(o.index, 0) + 1
        return inside

    first = only_for_updates(None, set())
    reads: set[int] = set()
    for v in order:
        if v.index in first and any([o.index in old or o.index in reads for o in v.operands]):
            reads.add(v.index)
    inside = only_for_updates(first, reads)
    tail: list[Value] = []
    done: set[int] = set()
    for u in updates.values():
        stack = [u] if u.index in inside else []
        while stack:
            v = stack[-1]
            lacking = [o for o in v.operands if o.index in inside and o.index not in done]
            if lacking and v.index not in done:
                stack.extend(reversed(lacking))
                continue
            stack.pop()
            if v.index not in done:
                done.add(v.index)
                tail.append(v)
    made = Tail([v for v in order if v.index not in done], tail)
    _choose(made, updates, leaves)
    return made


def _choose(made: Tail, updates: Mapping[str, Value], leaves: Mapping[str, Value]) -> None:
    """An update is in place where every other reader of the old value comes before it, and it reads the old value element by element."""
    place = {v.index: k for k, v in enumerate(made.tail)}
    last_reader: dict[int, list[int]] = {}
    for k, v in enumerate(made.tail):
        if v.op is BROADCAST:
            continue
        for o in v.operands:
            base = o.operands[0] if o.op is BROADCAST else o
            last_reader.setdefault(base.index, []).append(k)
    taken: set[int] = set()
    for name, u in updates.items():
        at = place.get(u.index)
        leaf = leaves[name]
        if at is None or u.index in taken or u.type != leaf.type or u.op is BROADCAST:
            continue
        stretched = any(o.op is BROADCAST and o.operands[0] is leaf for o in u.operands)
        if not stretched and all(j <= at for j in last_reader.get(leaf.index, ())):
            taken.add(u.index)
            made.in_place[name] = u
