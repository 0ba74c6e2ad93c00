"""Reverse mode through `scan`: one loop that runs the other way over traces of the forward one.

Note [Residuals are projections]. The reverse body needs values of the forward body at each step. They are asked for as `trace(loop, k)`, the stack of
the body's value k: no second forward loop exists, the planner stores exactly the traces that are used, and the reverse loop's own derivative asks for more traces. Of a loop or branch inside the body it is a trace along a
path (`inner_trace`, `dfg.passes.nested`): the inner loop does not run again either.

Cotangents of carries are carries of the reverse loop, with a boolean carry beside one whose lanes are not all live. The cotangent of a capture is a sum over
steps: a carry, or, if each step contributes a contraction, one contraction of stacks after the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dfg.ir import Graph, Subgraph, Value, seal
from dfg.ops.base import OPS, full
from dfg.ops.branch import loop_parts
from dfg.ops.leaf import arg
from dfg.passes.cotangent import Cot, Projection, Pullback, settle
from dfg.passes.forward_copy import ForwardCopy
from dfg.passes.lifting import Lifting
from dfg.types import BOOL, TensorType


@dataclass(slots=True)
class _Seed:
    """A cotangent that enters at every step: its stack in the outer graph, its slice in the body."""

    stack: Value
    pred_stack: Value | None
    value: Value
    pred: Value | None


class ReverseLoop:
    """Differentiates loops for a `Pullback`."""

    def __init__(self, kinks: str) -> None:
        self.kinks = kinks

    def cond(self, y: Value, cts: dict[Projection, Cot], need: Sequence[bool]) -> list[Cot | None]:
        return reverse_cond(self, y, cts, need)

    def scan(self, y: Value, cts: dict[Projection, Cot], need: Sequence[bool]) -> list[Cot | None]:
        body, _, carries, *_ = loop_parts(y)
        active = _active(body, carries, need[: len(body.inputs)])
        preds = {
            i
            for i in range(carries)
            if active[i] and (cts.get(("part", i)) is None or cts[("part", i)].pred is not None)
        }
        while True:
            step = ReverseStep(self, y, cts, active, preds)
            more = {i for i in step.needs_pred if i not in preds}
            if not more:
                return step.finish()
            preds |= more


def _active(body: Subgraph, carries: int, need: Sequence[bool]) -> list[bool]:
    """Which arguments of the body carry cotangents: what is wanted, and the carries that depend on it."""
    active = [n and a.type.dtype.floating for n, a in zip(need, body.inputs, strict=True)]
    while True:
        depends = {a.index for a, on in zip(body.inputs, active, strict=True) if on}
        for v in body.graph.values:
            if any(o.index in depends for o in v.operands):
                depends.add(v.index)
        more = [
            i
            for i in range(carries)
            if not active[i] and body.inputs[i].type.dtype.floating and body.outputs[i].index in depends
        ]
        if not more:
            return active
        for i in more:
            active[i] = True


class ReverseStep:
    """One attempt at a reverse body, for a guess of which carries need a predicate."""

    def __init__(self, loop: ReverseLoop, y: Value, cts: dict[Projection, Cot], active: list[bool], preds: set[int]) -> None:
        self.y = y
        self.cts = cts
        self.active = active
        self.preds = preds
        self.body, self.length, self.carries, self.xs, self.reverse, self.count = loop_parts(y)
        self.copy = ForwardCopy(y, self.body, self.carries)
        self.graph = self.copy.graph
        self.args = self.copy.args
        self.mapping = self.copy.mapping
        self._position = len(self.args)
        self._seed()
        floating = [k for k, on in enumerate(active) if on]
        targets = [self.args[k] for k in floating]
        found = Pullback(self.graph, loop.kinks, loop).run(self.seeds, targets)
        self.found: dict[int, Cot | None] = dict(zip(floating, found, strict=True))
        self.needs_pred = [
            i for i in range(self.carries) if active[i] and ((c := self.found[i]) is None or c.pred is not None)
        ]

    def _arg(self, t: TensorType) -> Value:
        made = self.graph.emit(arg, (), (self._position, t))
        self._position += 1
        return made

    def _seed(self) -> None:
        self.seeds: list[tuple[Value, Cot]] = []
        self.carry_ct: dict[int, Value] = {}
        self.carry_pred: dict[int, Value] = {}
        for i in range(self.carries):
            if self.active[i]:
                t = self.body.inputs[i].type
                self.carry_ct[i] = self._arg(t)
                if i in self.preds:
                    self.carry_pred[i] = self._arg(t.with_dtype(BOOL))
                self.seeds.append((self.mapping[self.body.outputs[i].index], Cot(self.carry_ct[i], self.carry_pred.get(i))))
        self.stacked: list[_Seed] = []
        for (kind, k), c in sorted(self.cts.items(), key=lambda item: item[0]):
            if kind == "part" and k < self.carries:
                continue
            target = self.mapping[self.body.outputs[k].index] if kind == "part" else self.copy.seed((kind, k), 0)
            assert target is not None
            t = target.type
            pred = None if c.pred is None else self._arg(t.with_dtype(BOOL))
            seed = _Seed(settle(c), c.pred, self._arg(t), pred)
            self.stacked.append(seed)
            self.seeds.append((target, Cot(seed.value, pred)))

    # --- what the reverse body gives ------------------------------------------------------------------------------------------------

    def finish(self) -> list[Cot | None]:
        y, g = self.y, self.graph
        self.outputs: list[Value] = []
        self.yields: dict[int, int] = {}
        carry_args: list[Value] = []
        starts: list[Value] = []
        outer = y.graph
        where_ct: dict[int, int] = {}
        where_pred: dict[int, int] = {}
        for i in sorted(self.carry_ct):
            c = self.found[i]
            t = self.body.inputs[i].type
            where_ct[i] = len(carry_args)
            carry_args.append(self.carry_ct[i])
            self.outputs.append(full(g, 0, t) if c is None else settle(c))
            given = self.cts.get(("part", i))
            starts.append(full(outer, 0, t) if given is None else settle(given))
        for i in self._used_preds():
            c = self.found[i]
            t = self.body.inputs[i].type.with_dtype(BOOL)
            where_pred[i] = len(carry_args)
            carry_args.append(self.carry_pred[i])
            self.outputs.append(full(g, False, t) if c is None else full(g, True, t) if c.pred is None else c.pred)
            given = self.cts.get(("part", i))
            starts.append(full(outer, False, t) if given is None else full(outer, True, t) if given.pred is None else given.pred)
        sums: dict[int, tuple[int, int | None]] = {}
        found = {k: c for k in range(self.carries + self.xs, len(self.args)) if (c := self.found.get(k)) is not None}
        linear = {k: c.value for k, c in found.items() if c.pred is None}
        lifting = Lifting(self, linear.values())
        for k, c in found.items():
            if c.pred is None:
                continue
            t = self.body.inputs[k].type
            total, seen = self._arg(t), self._arg(t.with_dtype(BOOL))
            at = len(carry_args)
            carry_args += [total, seen]
            self.outputs += [total + settle(c), seen | c.pred]
            starts += [full(outer, 0, t), full(outer, False, seen.type)]
            sums[k] = (at, at + 1)
        added: dict[int, int] = {}
        for leaf in lifting.carried:
            total = self._arg(leaf.type)
            added[leaf.index] = len(carry_args)
            carry_args.append(total)
            self.outputs.append(total + leaf)
            starts.append(full(outer, 0, leaf.type))
        count = len(carry_args)
        slices: dict[int, tuple[Value, Value | None]] = {}
        batched: dict[int, Value] = {}
        for k in range(self.carries, self.carries + self.xs):
            c = self.found.get(k)
            if c is None:
                continue
            if c.pred is None and lifting.batch(c.value):
                batched[k] = c.value
                continue
            slices[k] = (settle(c), c.pred)
            self._yield(slices[k][0])
            if c.pred is not None:
                self._yield(c.pred)
        for v in lifting.stacks.values():
            if not self.copy.forward(v) or self.residual(v) is None:
                self._yield(v)
        results = self._emit(carry_args, starts, count)
        final: list[Cot | None] = [None] * len(y.operands)
        for i, at in where_ct.items():
            pred = results[where_pred[i]] if i in where_pred else None
            final[i] = Cot(results[at], pred)
        for k, (value, pred) in slices.items():
            final[k] = Cot(self.stack(value, results, count), None if pred is None else self.stack(pred, results, count))
        for k, (at, pred_at) in sums.items():
            final[k] = Cot(results[at], None if pred_at is None else results[pred_at])
        for k, product in batched.items():
            final[k] = Cot(lifting.product(product, results, count, True))
        totals = lifting.totals({i: results[at] for i, at in added.items()}, results, count)
        for k, value in linear.items():
            final[k] = Cot(totals[value.index])
        return final

    def _used_preds(self) -> list[int]:
        """Boolean carries that anything but the boolean carries themselves needs."""
        g = self.graph
        roots = [v for c in self.found.values() if c is not None for v in (settle(c),)]
        roots += [c.pred for k, c in self.found.items() if k >= self.carries and c is not None and c.pred is not None]
        used: set[int] = set()
        while True:
            live = {v.index for v in g.live(roots)}
            more = [i for i, p in self.carry_pred.items() if i not in used and (p.index in live or self._wanted_start(i))]
            if not more:
                return sorted(used)
            for i in more:
                used.add(i)
                c = self.found[i]
                if c is not None and c.pred is not None:
                    roots.append(c.pred)

    def _wanted_start(self, i: int) -> bool:
        # The cotangent of a carry's start leaves the loop, and its predicate with it, if something outside wants it.
        c = self.found[i]
        return self.y.operands[i].operands != () and not (c is not None and c.pred is None)

    def _yield(self, v: Value) -> None:
        if v.index not in self.yields:
            self.yields[v.index] = len(self.outputs)
            self.outputs.append(v)

    def per_step(self, v: Value) -> bool:
        """Whether a value of the body can be stacked with profit: it varies from step to step."""
        return not self.copy.forward(v) or not self._invariant(v)

    def _invariant(self, v: Value) -> bool:
        return self.copy.invariant(v, self.carries + self.xs)

    # --- residuals ------------------------------------------------------------------------------------------------------------------

    def residual(self, f: Value, views: bool = False) -> Value | None:
        """The stack of a forward value in the outer graph, or None if it is computed again."""
        y = self.y
        k = self.copy.place.get(f.index)
        if k is not None:
            if k < self.carries:
                return OPS["trace"](y, index=self.body.inputs[k].index)
            return y.operands[k] if k < self.carries + self.xs else None
        if self._invariant(f):
            return None
        stack = self.copy.traced(y, 0, f, views)
        if stack is not None and stack.op is OPS["trace"]:
            for n, o in enumerate(self.body.outputs[self.carries :]):
                if o.index == stack.attrs[0]:
                    return OPS["part"](y, index=self.carries + n)
        return stack

    def _emit(self, carry_args: list[Value], starts: list[Value], count: int) -> list[Value]:
        g, y = self.graph, self.y
        live = g.live(self.outputs)
        needed = self.copy.needed(live, self.outputs, self.residual)
        captured = {a.index: y.operands[k] for k, a in enumerate(self.args) if k >= self.carries + self.xs}
        inner = Graph(g.facts, g.rules)
        new: dict[int, Value] = {}
        inputs: list[Value] = []
        operands: list[Value] = list(starts)

        def take(old: Value, operand: Value | None) -> None:
            made = inner.emit(arg, (), (len(inputs), old.type))
            inputs.append(made)
            new[old.index] = made
            if operand is not None:
                operands.append(operand)

        for a in carry_args:
            take(a, None)
        begin = len(inputs)
        for index, stack in sorted(needed.items()):
            if stack is not None:
                take(g.values[index], stack)
        alive = {v.index for v in live}
        for seed in self.stacked:
            if seed.value.index in alive:
                take(seed.value, seed.stack)
            if seed.pred is not None and seed.pred.index in alive:
                assert seed.pred_stack is not None
                take(seed.pred, seed.pred_stack)
        xs = len(inputs) - begin
        for index in sorted(needed):
            if index in captured and index not in new:
                take(g.values[index], captured[index])
        again = {i for i, stack in needed.items() if stack is None}
        for v in live:
            if v.index in new or (self.copy.forward(v) and v.index not in again):
                continue
            made = inner.emit(v.op, tuple([new[o.index] for o in v.operands]), v.attrs)
            inner.copy_tables(v, made)
            new[v.index] = made
        sealed, _ = seal(inner, inputs, [new[o.index] for o in self.outputs])
        if self.count is not None:
            operands.append(self.count)
        op = OPS["scan" if self.count is None else "counted_scan"]
        loop = y.graph.emit(op, tuple(operands), (sealed, self.length, count, xs, not self.reverse))
        return [y.graph.emit(OPS["part"], (loop,), (k,)) for k in range(len(self.outputs))]

    def stack(self, v: Value, results: list[Value], count: int) -> Value:
        if v.index in self.yields:
            return results[self.yields[v.index]]
        stack = self.residual(v)
        assert stack is not None
        return stack


def reverse_cond(driver: ReverseLoop, y: Value, cts: dict[Projection, Cot], need: Sequence[bool]) -> list[Cot | None]:
    """Reverse mode through `cond`: a `cond` whose bodies pull back through the bodies, over traces of what the chosen one computed."""
    outer = y.graph
    p, *captures = y.operands
    sides = [_Side(driver, y, body, offset, cts, need[1:]) for body, offset in ((y.attrs[0], 0), (y.attrs[1], len(y.attrs[0].graph)))]
    result: list[Cot | None] = [None] * len(y.operands)
    wanted = [k for k in range(len(captures)) if any(side.found.get(k) is not None for side in sides)]
    if not wanted:
        return result
    masked = [k for k in wanted if any((c := side.found.get(k)) is None or c.pred is not None for side in sides)]
    for side in sides:
        g = side.copy.graph
        for k in wanted:
            c = side.found.get(k)
            side.outputs.append(full(g, 0, captures[k].type) if c is None else settle(c))
        for k in masked:
            c, t = side.found.get(k), captures[k].type.with_dtype(BOOL)
            side.outputs.append(full(g, False, t) if c is None else full(g, True, t) if c.pred is None else c.pred)
    operands: dict[int, Value] = {}
    for side in sides:
        for v in side.take():
            operands.setdefault(v.index, v)
    inputs = [operands[i] for i in sorted(operands)]
    bodies = tuple(side.seal(inputs) for side in sides)
    made = outer.emit(y.op, (p, *inputs), bodies)
    for n, k in enumerate(wanted):
        pred = OPS["part"](made, index=len(wanted) + masked.index(k)) if k in masked else None
        result[k + 1] = Cot(OPS["part"](made, index=n), pred)
    return result


class _Side:
    """One body of a `cond`, backwards."""

    def __init__(
        self, driver: ReverseLoop, y: Value, body: Subgraph, offset: int, cts: dict[Projection, Cot], need: Sequence[bool]
    ) -> None:
        self.y, self.body, self.offset = y, body, offset
        self.copy = ForwardCopy(y, body)
        g = self.copy.graph
        self.outputs: list[Value] = []
        self.entering: list[tuple[Value, Value]] = []
        """Arguments for cotangents and predicates, with what they stand for in the outer graph."""
        seeds: list[tuple[Value, Cot]] = []
        for (kind, k), c in sorted(cts.items(), key=lambda item: item[0]):
            target = self.copy.mapping[body.outputs[k].index] if kind == "part" else self.copy.seed((kind, k), offset)
            if target is not None:
                seeds.append((target, Cot(self._enter(settle(c)), None if c.pred is None else self._enter(c.pred))))
        floating = [k for k, on in enumerate(need) if on and body.inputs[k].type.dtype.floating]
        found = Pullback(g, driver.kinks, driver).run(seeds, [self.copy.args[k] for k in floating])
        self.found: dict[int, Cot | None] = dict(zip(floating, found, strict=True))

    def _enter(self, outside: Value) -> Value:
        made = self.copy.graph.emit(arg, (), (len(self.copy.args) + len(self.entering), outside.type))
        self.entering.append((made, outside))
        return made

    def _residual(self, f: Value, views: bool = False) -> Value | None:
        k = self.copy.place.get(f.index)
        if k is not None:
            return self.y.operands[k + 1]
        return self.copy.traced(self.y, self.offset, f, views)

    def take(self) -> list[Value]:
        """What the reverse body captures, as values of the outer graph."""
        self.live = self.copy.graph.live(self.outputs)
        self.needed = self.copy.needed(self.live, self.outputs, self._residual)
        alive = {v.index for v in self.live}
        self.inside = {i: v for i, v in self.needed.items() if v is not None}
        self.inside.update({a.index: outside for a, outside in self.entering if a.index in alive})
        return list(self.inside.values())

    def seal(self, inputs: Sequence[Value]) -> Subgraph:
        inner = Graph(self.copy.graph.facts, self.copy.graph.rules)
        args = [inner.emit(arg, (), (k, v.type)) for k, v in enumerate(inputs)]
        by_outside = {v.index: a for v, a in zip(inputs, args, strict=True)}
        new = {i: by_outside[outside.index] for i, outside in self.inside.items()}
        for v in self.live:
            if v.index in new or (self.copy.forward(v) and self.needed.get(v.index, v) is not None):
                continue
            made = inner.emit(v.op, tuple([new[o.index] for o in v.operands]), v.attrs)
            inner.copy_tables(v, made)
            new[v.index] = made
        return seal(inner, args, [new[o.index] for o in self.outputs])[0]
