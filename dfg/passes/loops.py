"""Loops: the body's plan, where stacks and carries live, and what is computed once before the first step.

Yields and traces are written directly into rows of their stacks, only those that are used. A carry takes the cheapest of three ways (`dfg.plan.Carry`): one
place that is overwritten, the row of a stack that is written anyway, or two places in turn. What depends on captures alone is computed before the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dfg.dims import DimLike
from dfg.ir import Subgraph, Value
from dfg.ops.base import OPS, bodies
from dfg.ops.branch import cond, counted_scan, while_op
from dfg.ops.leaf import trace, traced
from dfg.ops.loop import scan
from dfg.passes.region import FAR, LOWERINGS, Region, writable
from dfg.plan import Branch, Carry, Loop, Step
from dfg.types import TensorType

_LOOPS = (scan, counted_scan, while_op)


def loop_parts(v: Value) -> tuple[Subgraph, DimLike, int, int, bool]:
    """Of any loop: body, length at most, carries, number of tensors gone through, direction."""
    if v.op is while_op:
        return v.attrs[1], v.attrs[2], v.attrs[3], 0, False
    body, length, carries, xs, reverse = v.attrs
    return body, length, carries, xs, reverse


@dataclass(slots=True)
class _Wanted:
    """What of a loop is used: final carries, stacks of body values (yields and traces) with the values of the outer graph that they are."""

    finals: dict[int, Value] = field(default_factory=dict)
    stacks: list[tuple[Value, Value]] = field(default_factory=list)
    carries: list[int] = field(default_factory=list)
    live: list[Value] = field(default_factory=list)
    taken: Value | None = None
    """The number of steps of a `while`."""


def _wanted(r: Region, v: Value) -> _Wanted:
    body, _, carries, _, _ = loop_parts(v)
    w = _Wanted()
    for part in r.parts.get(v.index, ()):
        k = part.attrs[0]
        if part.op is trace:
            w.stacks.append((traced(v, k), part))
        elif k < carries:
            w.finals[k] = part
        elif v.op is while_op:
            w.taken = part
        else:
            w.stacks.append((body.outputs[k], part))
    active = set(w.finals)
    seeds = [b for b, _ in w.stacks]
    if v.op is while_op:
        # Every carry that the condition reads, and what it needs.
        test = v.attrs[0]
        read = {x.index for x in test.graph.live(test.outputs)}
        active |= {k for k in range(carries) if test.inputs[k].index in read}
    while True:
        w.live = body.graph.live([*seeds, *[body.outputs[k] for k in active]])
        inside = {x.index for x in w.live}
        more = {k for k in range(carries) if body.inputs[k].index in inside and k not in active}
        if not more:
            break
        active |= more
    w.carries = sorted(active)
    return w


def _fails(v: Value) -> bool:
    pending: list[Subgraph] = list(bodies(v))
    if v.op.fails is not None:
        return True
    while pending:
        for x in pending.pop().graph.values:
            if x.op.fails is not None:
                return True
            pending.extend(bodies(x))
    return False


class _LoopPlan:
    """The planning of one loop."""

    def __init__(self, r: Region, v: Value, p: int) -> None:
        self.r, self.v, self.p = r, v, p
        self.b = r.b
        self.body, self.length, self.carries, self.xs, reverse = loop_parts(v)
        self.depth = r.depth + 1
        self.loop = Loop(self.length, reverse, self.depth)
        self.b.loops[self.depth] = self.loop
        self.partial = v.op is not scan
        if v.op is counted_scan:
            self.loop.count = r.array(v.operands[-1])
        self.w = _wanted(r, v)
        self.held: list[int] = []
        """Slots that live as long as the loop."""

    def run(self) -> None:
        body, w, r = self.body, self.w, self.r
        args = {a.index: k for k, a in enumerate(body.inputs)}
        live = {x.index for x in w.live}
        same = {k for k in w.carries if body.outputs[k] is body.inputs[k]}
        for k in sorted(same):
            if k in w.finals:
                r.emit("copy", (r.narrow(self.v.operands[k], self.v.operands[k].shape),), (r.claim(w.finals[k]),), self.v)
        changing = [k for k in w.carries if k not in same]
        # What the body's arguments are; an invariant depends on captures alone.
        invariant: set[int] = set()
        for a, k in args.items():
            if a in live and (k >= self.carries + self.xs or k in same):
                invariant.add(a)
        for x in w.live:
            if x.index not in args and not _fails(x) and x.op not in _LOOPS and all(o.index in invariant for o in x.operands):
                invariant.add(x.index)
        before = [x for x in w.live if x.index in invariant and x.index not in args]
        after = [x for x in w.live if x.index not in invariant and x.index not in args]
        sub = self.sub = Region(self.b, [*before, *after], r.depth)
        self.split = sub.border = len(before)
        self.invariant = invariant
        for a, k in args.items():
            if a not in live and k not in changing:
                continue
            sub.root[a] = a
            o = self.v.operands[k]
            if a in invariant:
                sub.arr[a] = r.array(o)
                sub.strides[a] = r.strides[o.index]
                if r.root[o.index] in r.static:
                    sub.static.add(a)
            elif k >= self.carries:
                strides = r.strides[o.index]
                sub.strides[a] = None if strides is None else strides[1:]
                sub.arr[a] = self._row(r.array(o), body.inputs[k].type)
            else:
                sub.strides[a] = None
        sub.analyse([], [*[x for x, _ in w.stacks], *[body.outputs[k] for k in w.carries]])
        for root, last in sub.last.items():
            if sub.birth.get(root, FAR) < self.split <= last:
                sub.last[root] = FAR
        self._places(changing)
        sub.prepare()
        sub.run(0, self.split)
        for value, stack in self.whole:
            r.emit("copy", (sub.narrow(value, value.shape),), (stack,), self.v)
        if self.v.op is while_op:
            self._test(same)
        self.b.blocks.append(self.loop.body)
        sub.depth = self.depth
        for value, row in self.early:
            sub.emit("copy", (sub.array(value),), (row,), self.v)
        sub.run(self.split)
        for value, out in self.late:
            sub.emit("copy", (sub.narrow(value, value.shape),), (out,), self.v)
        self.b.blocks.pop()
        self._prune()
        if w.taken is not None:
            self.loop.taken = r.claim(w.taken)
        self.b.blocks[r.depth].append(Step("loop", (), (), self.v, self.v.op, inner=self.loop))
        sub.end()
        sub.drop(self.held)

    def _prune(self) -> None:
        """Make only the rows that a step reads or writes, or another row or view."""
        used: set[int] = set()
        pending = [self.loop.body, self.loop.test]
        for c in self.loop.carries:
            used |= {c.new, c.start, c.final, c.current}
        while pending:
            for s in pending.pop():
                used |= {*s.operands, *s.outs}
                if isinstance(s.inner, Loop):
                    pending += [s.inner.body, s.inner.test]
                    used |= {x for c in s.inner.carries for x in (c.start, c.new, c.final)} | {*s.inner.stacks, s.inner.count, s.inner.taken, s.inner.flag}
                    used |= {self.b.arrays[k].operands[0] for k in s.inner.rows}
                elif s.inner is not None:
                    pending += [s.inner.then, s.inner.other]
                    used.add(s.inner.predicate)
        kept: list[int] = []
        for k in reversed(self.loop.rows):
            if k in used:
                kept.append(k)
                used.update(self.b.arrays[k].operands)
        self.loop.rows = kept[::-1]

    def _test(self, same: set[int]) -> None:
        """The steps of a `while`'s condition, which reads what the body reads."""
        test, r = self.v.attrs[0], self.r
        inputs = {a.index: k for k, a in enumerate(test.inputs)}
        live = test.graph.live(test.outputs)
        sub = Region(self.b, [x for x in live if x.index not in inputs], self.depth)
        for x in live:
            if (k := inputs.get(x.index)) is None:
                continue
            sub.root[x.index] = x.index
            o = self.v.operands[k]
            if k >= self.carries or k in same:
                sub.arr[x.index] = r.array(o)
                sub.strides[x.index] = r.strides[o.index]
                if r.root[o.index] in r.static:
                    sub.static.add(x.index)
            else:
                sub.arr[x.index] = self.sub.arr[self.body.inputs[k].index]
                sub.strides[x.index] = None
        sub.analyse(test.outputs)
        sub.prepare()
        self.b.blocks.append(self.loop.test)
        sub.run()
        self.loop.flag = sub.array(test.outputs[0])
        self.b.blocks.pop()
        # The body may use the same slots: the condition is read before it runs.
        sub.end()

    def _row(self, stack: int, t: TensorType) -> int:
        return self.b.row(stack, t, self.loop)

    def _own(self, x: Value) -> bool:
        """Whether a body value is computed at each step, in a place of its own."""
        sub = self.sub
        return sub.root[x.index] == x.index and x.index in sub.birth and x.index not in self.invariant and x.index not in sub.static

    def _places(self, changing: list[int]) -> None:
        sub, r, body = self.sub, self.r, self.body
        self.whole: list[tuple[Value, int]] = []
        self.early: list[tuple[Value, int]] = []
        self.late: list[tuple[Value, int]] = []
        arguments = {body.inputs[k].index for k in changing}
        self.shifted: dict[int, tuple[int, int]] = {}
        lying = self._shift(changing)
        for value, stack_value in self.w.stacks:
            if stack_value.index in lying:
                continue
            stack = r.claim(stack_value)
            if self.partial:
                self.loop.stacks.append(stack)
            if value.index in self.invariant or value.index in sub.static:
                self.whole.append((value, stack))
                sub.last[sub.root[value.index]] = FAR
                continue
            row = self._row(stack, value.type)
            if self._own(value) and value.index not in sub.fixed:
                sub.fixed[value.index] = row
            elif sub.root[value.index] in arguments:
                self.early.append((value, row))
            else:
                self.late.append((value, row))
                sub.last[sub.root[value.index]] = FAR
        follow: set[int] = set()
        mine: set[int] = set()
        for k in changing:
            c = body.outputs[k]
            if not self._own(c) or c.index in mine:
                sub.last[sub.root[c.index]] = FAR
            else:
                mine.add(c.index)
                if c.index in sub.fixed:
                    follow.add(k)
        seen: set[int] = set()
        for k in changing:
            c = body.outputs[k]
            own = c.index in mine and c.index not in seen
            seen.add(c.index)
            if k in self.shifted:
                self._along(k, c, own)
            elif own and k in follow:
                self._follow(k, c)
            elif own and self._overwrites(body.inputs[k], c):
                self._place(k, c)
            else:
                self._rotate(k, c, own)

    def _shift(self, changing: Sequence[int]) -> set[int]:
        """Carries whose old values are stacked: the loop writes each new value where the next step's old one is wanted, in a stack of one row more that begins with the start. The
        stack of the new values is the same one without its first row."""
        r = self.r
        lying: set[int] = set()
        if self.partial:
            return lying  # rows that are not reached are zero
        for k in changing:
            a, c = self.body.inputs[k], self.body.outputs[k]
            olds = [v for x, v in self.w.stacks if x is a and v.index not in r.fixed]
            if not olds:
                continue
            t = a.type
            rows: DimLike = self.length + 1
            slot = r.b.slots.take(t.with_shape((rows, *t.shape)))
            buffer = r.b.slot_array(slot, t.with_shape((rows, *t.shape)))

            def window(start: DimLike, size: DimLike, t: TensorType = t, buffer: int = buffer) -> int:
                starts = (start, *[0] * t.rank)
                return r.b.view(buffer, OPS["slice"], (starts, (size, *t.shape), (1,) * (t.rank + 1)), t.with_shape((size, *t.shape)))

            begin, after = (self.length, 0) if self.loop.reverse else (0, 1)
            old, new = window(1 - after, self.length), window(after, self.length)
            news = [v for x, v in self.w.stacks if x is c and v.index not in r.fixed and v.index not in lying]
            for v, at in [*[(v, old) for v in olds], *[(v, new) for v in news]]:
                lying.add(v.index)
                r.arr[v.index] = at
                r.buffers[v.index] = slot
            self.shifted[k] = (r.b.reshaped(window(begin, 1), t.shape), self._row(new, t))
        return lying

    def _along(self, k: int, c: Value, own: bool) -> None:
        """A carry that walks along its stack. See `_shift`."""
        start, row = self.shifted[k]
        o = self.v.operands[k]
        self.r.emit("copy", (self.r.narrow(o, o.shape),), (start,), self.v)
        carry = self._register("follow", k, start)
        carry.new = row
        if own and c.index not in self.sub.fixed:
            self.sub.fixed[c.index] = row
        else:
            self.late.append((c, row))

    def _overwrites(self, a: Value, c: Value) -> bool:
        """Whether nothing reads the old carry once the new one is being made."""
        sub = self.sub
        last, made = sub.last.get(a.index, -1), sub.birth[c.index]
        if last < made:
            return True
        if last > made or not c.op.elementwise or c.op in LOWERINGS:
            return False
        places = [m for m, o in enumerate(c.operands) if sub.root[o.index] == a.index]
        return all(m in writable(c.op) and sub.strides[c.operands[m].index] is None and c.operands[m].type == c.type for m in places)

    def _start(self, k: int) -> int:
        """The carry's start as a dense array that the loop reads."""
        o = self.v.operands[k]
        at = self.r.array(o)
        if self.r.strides[o.index] is not None:
            slot, held = self.r.temp(o.type)
            self.held.append(slot)
            self.r.emit("copy", (at,), (held,), self.v)
            return held
        self.b.rely(at)
        return at

    def _slot(self, t: TensorType) -> int:
        slot, at = self.r.temp(t)
        self.held.append(slot)
        return at

    def _place(self, k: int, c: Value) -> None:
        r, o = self.r, self.v.operands[k]
        root = r.root[o.index]
        final = self.w.finals.get(k)
        free = (
            r.last.get(root) == self.p and root in r.slot and r.strides[o.index] is None and o.type == c.type
            and sum(r.root[x.index] == root for x in self.v.operands) == 1
        )
        if free and (final is None or final.index not in r.fixed):
            slot = r.slot.pop(root)
            at = self.b.slot_array(slot, c.type)
            if final is None:
                self.held.append(slot)
            else:
                r.slot[final.index] = slot
                r.arr[final.index] = at
        else:
            at = r.claim(final) if final is not None else self._slot(c.type)
            r.emit("copy", (r.narrow(o, o.shape),), (at,), self.v)
        self.sub.arr[self.body.inputs[k].index] = at
        self.sub.fixed[c.index] = at
        carry = Carry("place", at, at)
        self.loop.carries.append(carry)

    def _register(self, mode: str, k: int, start: int = -1) -> Carry:
        a = self.body.inputs[k]
        current = self.b.array("carry", a.type, self.depth, name="")
        self.sub.arr[a.index] = current
        carry = Carry("follow" if mode == "follow" else "rotate", current, self._start(k) if start < 0 else start)
        final = self.w.finals.get(k)
        if final is not None:
            carry.final = self.r.claim(final)
        self.loop.carries.append(carry)
        return carry

    def _follow(self, k: int, c: Value) -> None:
        self._register("follow", k).new = self.sub.fixed[c.index]

    def _rotate(self, k: int, c: Value, own: bool) -> None:
        carry = self._register("rotate", k)
        carry.spare = self.b.array("carry", c.type, self.depth, name="")
        carry.second = (self._slot(c.type), self._slot(c.type))
        if own:
            self.sub.fixed[c.index] = carry.spare
        else:
            self.late.append((c, carry.spare))


def _scan(r: Region, v: Value, p: int) -> None:
    if r.parts.get(v.index):
        _LoopPlan(r, v, p).run()


def _cond(r: Region, v: Value, p: int) -> None:
    """A branch: both blocks write what is wanted of the branch's results to the same places. The trace of a body that did not run holds anything."""
    parts = r.parts.get(v.index)
    if not parts:
        return
    branch = Branch(r.array(v.operands[0]))
    places = {w.index: r.claim(w) for w in parts}
    blocks = (branch.then, branch.other)
    offset = 0
    for body, block in zip(v.attrs, blocks, strict=True):
        wanted: list[tuple[Value, int]] = []
        for w in parts:
            k = w.attrs[0]
            if w.op is not trace:
                wanted.append((body.outputs[k], places[w.index]))
            elif offset <= k < offset + len(body.graph):
                wanted.append((body.graph.values[k - offset], places[w.index]))
        offset += len(body.graph)
        inputs = {a.index: k for k, a in enumerate(body.inputs)}
        live = body.graph.live([b for b, _ in wanted])
        sub = Region(r.b, [x for x in live if x.index not in inputs], r.depth + 1)
        for x in live:
            if (n := inputs.get(x.index)) is not None:
                o = v.operands[n + 1]
                sub.root[x.index] = x.index
                sub.arr[x.index] = r.array(o)
                sub.strides[x.index] = r.strides[o.index]
                if r.root[o.index] in r.static:
                    sub.static.add(x.index)
        sub.analyse([], [b for b, _ in wanted])
        copies: list[tuple[Value, int]] = []
        for value, place in wanted:
            i = value.index
            if sub.root[i] == i and i in sub.birth and i not in sub.static and i not in sub.fixed:
                sub.fixed[i] = place
            else:
                copies.append((value, place))
                sub.last[sub.root[i]] = FAR
        sub.prepare()
        r.b.blocks.append(block)
        sub.run()
        for value, place in copies:
            sub.emit("copy", (sub.narrow(value, value.shape),), (place,), v)
        r.b.blocks.pop()
        sub.end()
    r.b.blocks[r.depth].append(Step("branch", (), (), v, v.op, inner=branch))


for _op in (scan, counted_scan, while_op):
    LOWERINGS[_op] = _scan
LOWERINGS[cond] = _cond
