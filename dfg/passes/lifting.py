"""What the reverse of a loop sums over its steps, taken out of it.

The cotangent of a capture is a sum over steps. Where each step adds a contraction of values that vary, the loop stacks these and one contraction after it sums over the steps as well:
the weights' gradient of a recurrent net is one matrix product. Where each step adds the sum of something that is stacked anyway, or that thing itself, it is one `sum` of the stack. What is linear
around such terms (sums of several, reshapes, windows in zeros ...) is done once, after the loop. Only what is left is a carry that adds. A cotangent of what a loop goes through that is
a contraction of stacks, or of one and a capture, is one contraction for all steps.

    Lifting(step, [concat(contract(x_t, dz_t), sum(dz_t))])     # after the loop: concat(contract(xs, dzs), sum(dzs))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from dfg.ir import Graph, Value
from dfg.ops.base import OPS, const_scalar, full
from dfg.ops.contract import LETTERS, canonical, split_subs

if TYPE_CHECKING:
    from dfg.passes.reverse_loop import ReverseStep

_SUM: Final = OPS["sum"]
_CONTRACT: Final = OPS["contract"]
_LINEAR: Final = frozenset(OPS[n] for n in ("add", "subtract", "negative", "reshape", "permute", "broadcast", "concat", "flip"))

_PRODUCTS: Final = frozenset((_CONTRACT, OPS["multiply"]))


class Lifting:
    """The terms of the sums over steps that some values of a reverse body are wanted for."""

    def __init__(self, step: ReverseStep, values: Iterable[Value]) -> None:
        self.step = step
        self.stacks: dict[int, Value] = {}
        """Values of the body whose stacks are wanted."""
        self.carried: list[Value] = []
        """Terms that a carry adds."""
        self.inner: dict[int, Value] = {}
        self.products: list[Value] = []
        self.reduced: list[Value] = []
        self.some = step.count is None and step.graph.facts.at_least(step.length, 1) is True
        """Whether there is certainly a step."""
        leaves = self._terms(values)
        rest: list[Value] = []
        for v in leaves:
            if v.op is _CONTRACT and all([step.per_step(o) for o in v.operands]):
                self.products.append(v)
                self.stacks.update((o.index, o) for o in v.operands)
            else:
                rest.append(v)
        for v in rest:
            if self.stacked(v.operands[0] if v.op is _SUM else v):
                self.reduced.append(v)
            else:
                self.carried.append(v)

    def _terms(self, values: Iterable[Value]) -> list[Value]:
        """What values are linear combinations of; `inner` gets what combines them."""
        leaves: dict[int, Value] = {}
        pending = list(values)
        while pending:
            v = pending.pop()
            if v.index in leaves or v.index in self.inner:
                continue
            operands = self._operands(v)
            if operands:
                self.inner[v.index] = v
                pending += operands
            else:
                leaves[v.index] = v
        return [leaves[i] for i in sorted(leaves)]

    def _operands(self, v: Value) -> Sequence[Value]:
        """The operands that a value is linear in, jointly; none if it is not or if it is one of the forward body."""
        if self.step.copy.forward(v) or not v.dtype.floating:
            return ()
        if v.op is OPS["update"] and const_scalar(v.operands[0]) == 0:
            return v.operands[1:]
        if v.op in _PRODUCTS:
            # A factor that no step changes waits until after the loop, unless the sums of the other one are larger; or there may be no step: 0 * inf is no zero.
            varying = [o for o in v.operands if self._capture(o) is None]
            small = self.some and len(varying) == 1 and v.graph.facts.at_least(v.type.size, varying[0].type.size) is True
            return varying if small and self.step.per_step(varying[0]) else ()
        return v.operands if v.op in _LINEAR and all([o.dtype is v.dtype and const_scalar(o) is None for o in v.operands]) else ()

    def stacked(self, v: Value) -> bool:
        """Whether a value of the body is stacked anyway: for a product, or because it is one of the forward loop, which this loop could not read otherwise."""
        return v.index in self.stacks or (self.step.copy.forward(v) and self.step.residual(v) is not None)

    def batch(self, v: Value) -> bool:
        """Whether a value wanted for each step is a contraction that is better done for all steps at once; asks for the stacks of its operands."""
        if v.op is not _CONTRACT or self.step.copy.forward(v):
            return False
        varying = [o for o in v.operands if self._capture(o) is None]
        if not varying:
            return False
        facts = v.graph.facts
        for o in varying:
            if not self.step.per_step(o) or not (self.stacked(o) or facts.at_least(v.type.size, o.type.size) is True):
                return False
        self.stacks.update((o.index, o) for o in varying)
        return True

    def _capture(self, v: Value) -> Value | None:
        k = self.step.copy.place.get(v.index)
        return self.step.y.operands[k] if k is not None and k >= self.step.carries + self.step.xs else None

    def product(self, v: Value, results: list[Value], count: int, keep: bool = False) -> Value:
        """One contraction over steps and what each step summed; or for each step, with `keep`."""
        a, b, result = split_subs(v.attrs[0])
        t = next(c for c in LETTERS if c not in v.attrs[0])
        sides: list[Value] = []
        subs: list[str] = []
        for o, letters in zip(v.operands, (a, b), strict=True):
            capture = self._capture(o) if keep else None
            sides.append(self.step.stack(o, results, count) if capture is None else capture)
            subs.append(letters if capture is not None else t + letters)
        return _CONTRACT(*sides, subs=canonical(f"{subs[0]},{subs[1]}->{t if keep else ''}{result}"))

    def totals(self, carried: Mapping[int, Value], results: list[Value], count: int) -> dict[int, Value]:
        """The sums over all steps of the values asked for and of all they are made of."""
        made = dict(carried)
        for v in self.products:
            made[v.index] = self.product(v, results, count)
        for v in self.reduced:
            axes = tuple([k + 1 for k in v.attrs[0]]) if v.op is _SUM else ()
            made[v.index] = _SUM(self.step.stack(v.operands[0] if v.op is _SUM else v, results, count), axes=(0, *axes))
        outer: Graph = self.step.y.graph
        for i in sorted(self.inner):
            v = self.inner[i]
            if v.op is OPS["update"]:
                zeros = v.operands[0]
                made[i] = outer.emit(v.op, (full(outer, 0, zeros.type), made[v.operands[1].index]), v.attrs)
            else:
                operands = [made[o.index] if v.op not in _PRODUCTS or (c := self._capture(o)) is None else c for o in v.operands]
                made[i] = outer.emit(v.op, tuple(operands), v.attrs)
        return made
