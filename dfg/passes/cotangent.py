"""Cotangents with liveness, and the pullback that carries them backwards through a graph.

Note [Liveness]. A cotangent is (value, predicate or None, clean). The predicate says which lanes reach the loss; None means all. Where it is not clean,
dead lanes of the value hold anything. `where(c, a, b)` sends (ct, m and c) to `a` and (ct, m and not c) to `b` and emits no select; ops that leave lanes
of an operand out (slice, gather, update) start a predicate the same way. Elementwise rules apply as they are and keep the predicate. Any other op *settles*
first (`where(m, ct, 0)`), applies its rule, and moves the predicate: movers by their own rule on booleans, others by their `axes`. In a contraction the
factor that multiplies the cotangent is selected by its own moved predicate. At accumulation equal predicates add, different ones settle, add and or; None wins.
At a target the cotangent settles. So a dead branch contributes nothing, however singular it is there, a NaN of a live lane still shows, and since the
result is made of `where` again, the next order is the same rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, Protocol

from dfg.dims import DimLike, Facts
from dfg.ir import Graph, Origin, Value
from dfg.ops.base import OPS, NoGradient, Op, RuleContext, const_scalar, full, full_like
from dfg.ops.elementwise import where
from dfg.ops.movement import broadcast_along, emit_permute
from dfg.types import BOOL, TensorType

Projection = tuple[str, Any]
"""Which projection of a value of tuple type: the op's name, and its attribute (all of them if there are several)."""


_MOST_WINDOWS: Final = 16
"""More windows than these are added: whether they meet is asked of each pair."""


class Cot:
    """A cotangent. See Note [Liveness]."""

    __slots__ = ("clean", "pred", "value")

    def __init__(self, value: Value, pred: Value | None = None, clean: bool = True) -> None:
        self.value = value
        self.pred = pred
        self.clean = clean


class Driver(Protocol):
    """What differentiates the bodies of loops and branches: `scan` and its kin get the cotangents of all projections."""

    def scan(self, y: Value, cts: dict[Projection, Cot], need: Sequence[bool]) -> list[Cot | None]: ...


def settle(c: Cot) -> Value:
    """The cotangent with zeros in its dead lanes."""
    if c.pred is None or c.clean:
        return c.value
    return where(c.pred, c.value, full_like(c.value, 0))


def accumulate(old: Cot | None, new: Cot) -> Cot:
    """The sum of two cotangents of one value."""
    if old is None:
        return new
    if old.pred is new.pred:
        return Cot(_joined(old.value, new.value), old.pred, old.clean and new.clean)
    total = _joined(settle(old), settle(new))
    if old.pred is None or new.pred is None:
        return Cot(total)
    return Cot(total, known(old.pred | new.pred))


def _joined(a: Value, b: Value) -> Value:
    """The sum of two cotangents. What slices of one value send back are windows in zeros: where no two windows meet they are put beside one another, not added, and
    windows that tile the value are joined."""
    first, second = _windows(a), _windows(b)
    if not first or not second or not all([_apart(a.graph.facts, v, w) for v in first for w in second]):
        return a + b
    for v in second:
        a = OPS["update"](a, v.operands[1], starts=v.attrs[0], strides=v.attrs[1])
    joined = _tiled(a, [*first, *second])
    return a if joined is None else joined


def _windows(v: Value) -> list[Value]:
    """The updates that put dense windows, none over another, into a tensor of zeros; none if a value is not made so."""
    found: list[Value] = []
    while v.op is OPS["update"] and len(found) < _MOST_WINDOWS and all([s == 1 for s in v.attrs[1]]):
        if not all([_apart(v.graph.facts, v, w) for w in found]):
            return []
        found.append(v)
        v = v.operands[0]
    return found if const_scalar(v) == 0 else []


def _apart(facts: Facts, v: Value, w: Value) -> bool:
    """Whether the windows of two updates certainly have no element in common."""
    for s, n, t, m in zip(v.attrs[0], v.operands[1].shape, w.attrs[0], w.operands[1].shape, strict=True):
        if facts.at_least(t, s + n) is True or facts.at_least(s, t + m) is True:
            return True
    return False


def _tiled(whole: Value, windows: Sequence[Value]) -> Value | None:
    """The windows joined along an axis, if that gives all of a tensor."""
    shape = whole.shape
    apart = [k for k in range(whole.rank) if any([w.attrs[0][k] != 0 or w.operands[1].shape[k] != shape[k] for w in windows])]
    if len(apart) != 1:
        return None
    (axis,) = apart
    rest = list(windows)
    at: DimLike = 0
    parts: list[Value] = []
    while rest:
        following = next((w for w in rest if w.attrs[0][axis] == at), None)
        if following is None:
            return None
        rest = [w for w in rest if w is not following]
        parts.append(following.operands[1])
        at = at + parts[-1].shape[axis]
    return OPS["concat"](*parts, axis=axis) if at == shape[axis] else None


def known(pred: Value | None) -> Value | None:
    """A predicate, or None if every lane is certainly live."""
    return None if pred is not None and const_scalar(pred) is True else pred


def move(v: Value, k: int, pred: Value) -> Value | None:
    """The predicate of operand `k` from that of (one) result of `v`, by the op's `axes`: live where any result element that it reaches is."""
    lanes: Sequence[int | str]
    operand = v.operands[k]
    axes = v.op.axes
    lanes = axes(v)[k] if axes is not None else ("opaque",) * operand.rank
    used = [a for a in lanes if isinstance(a, int) and a < pred.rank]
    gone = tuple(a for a in range(pred.rank) if a not in used)
    small = OPS["any"](pred, axes=gone) if gone else pred
    order = sorted(used)
    small = emit_permute(small, [order.index(a) for a in used])
    dims = tuple(i for i, a in enumerate(lanes) if isinstance(a, int) and a < pred.rank)
    shape = operand.shape
    if any(small.shape[n] != shape[d] for n, d in enumerate(dims)):
        return known(full(v.graph, True, TensorType(BOOL, shape)))
    return known(broadcast_along(small, shape, dims))


class Pullback:
    """Carries cotangents backwards through one graph, emitting into it."""

    def __init__(self, graph: Graph, kinks: str, driver: Driver) -> None:
        self.graph = graph
        self.kinks = kinks
        self.driver = driver
        self.primals: dict[int, int] = {}
        """Which value a value is the cotangent of, by index."""

    def run(self, seeds: Sequence[tuple[Value, Cot]], targets: Sequence[Value]) -> list[Cot | None]:
        """The cotangents of `targets` for cotangents of some values; None where nothing flows. Targets are independent: each is as though asked alone."""
        if not seeds or not targets:
            return [None] * len(targets)
        graph = self.graph
        values = graph.values
        low = min(t.index for t in targets)
        top = max(v.index for v, _ in seeds)
        if top < low:
            return [None] * len(targets)
        wanted = {t.index for t in targets}
        span = self._between(seeds, low, top, wanted)
        cts: dict[int, Cot] = {}
        tuples: dict[int, dict[Projection, Cot]] = {}
        for v, c in seeds:
            if v.index >= low and span[v.index - low]:
                cts[v.index] = accumulate(cts.get(v.index), c)
        found: dict[int, Cot] = {}
        saved = graph.origin, graph.cursor
        spans = graph.spans
        for i in range(top, low - 1, -1):
            if not span[i - low]:
                continue
            v = values[i]
            cot = cts.pop(i, None)
            if cot is not None:
                self.primals.setdefault(cot.value.index, i)
                if i in wanted:
                    found[i] = cot
            several = tuples.pop(i, None)
            if (cot is None and several is None) or not v.operands:
                continue
            op: Op = v.op
            operands = v.operands
            need = [o.index >= low and span[o.index - low] == 1 for o in operands]
            if True not in need:
                continue
            if op.projects:
                assert cot is not None
                into = tuples.setdefault(operands[0].index, {})
                key = (op.name, v.attrs[0] if len(v.attrs) == 1 else v.attrs)
                into[key] = accumulate(into.get(key), cot)
                continue
            graph.origin = Origin(i, op.name)
            graph.cursor = spans.get(i)
            if op.elementwise and several is None and cot.pred is None and op is not where and not op.liveness:  # type: ignore[union-attr]
                # What `_pull` does, without its questions: most values of most programs.
                made = op.vjp(RuleContext(need, self.kinks, self.driver), cot.value, v)  # type: ignore[operator, union-attr]
                for o, wanted_here, ct in zip(operands, need, made, strict=True):
                    if wanted_here and ct is not None:
                        old = cts.get(o.index)
                        cts[o.index] = Cot(ct) if old is None else accumulate(old, Cot(ct))
                continue
            for o, c2 in zip(operands, self._pull(v, op, cot, several, need), strict=True):
                if c2 is not None and o.index >= low and span[o.index - low]:
                    cts[o.index] = accumulate(cts.get(o.index), c2)
        graph.origin, graph.cursor = saved
        return [found.get(t.index) for t in targets]

    def _between(self, seeds: Sequence[tuple[Value, Cot]], low: int, top: int, wanted: set[int]) -> bytearray:
        """Marks (1) the values between targets and seeds: what a seed depends on and what depends on a target, smoothly."""
        values = self.graph.values
        mark = bytearray(top - low + 1)
        for v, _ in seeds:
            if v.index >= low:
                mark[v.index - low] = 2
        for i in range(top, low - 1, -1):
            if mark[i - low]:
                for o in values[i].operands:
                    if o.index >= low:
                        mark[o.index - low] = 2
        for i in range(low, top + 1):
            if mark[i - low] != 2:
                continue
            if i in wanted:
                mark[i - low] = 1
                continue
            v = values[i]
            flows = False
            if not isinstance(v.op.vjp, NoGradient) and (type(v.type) is not TensorType or v.type.dtype.floating):
                for o in v.operands:
                    if o.index >= low and mark[o.index - low] == 1:
                        flows = True
                        break
            mark[i - low] = 1 if flows else 0
        return mark

    def _pull(
        self, v: Value, op: Op, cot: Cot | None, several: dict[Projection, Cot] | None, need: Sequence[bool]
    ) -> Sequence[Cot | None]:
        """The cotangents of one value's operands."""
        cx = RuleContext(need, self.kinks, self.driver)
        rule = op.vjp
        assert not isinstance(rule, NoGradient)
        if op.liveness:
            cts = several if several is not None else {("", 0): cot}
            return rule(cx, cts, v)  # type: ignore[return-value]
        if several is not None:
            return self._pull_tuple(cx, v, op, several)
        assert cot is not None
        ct, pred, clean = cot.value, cot.pred, cot.clean
        if self.kinks != "dfg" and (op is where or op.partial):
            # The others have no liveness: a dead lane's zero is multiplied like any number.
            return [None if o is None else Cot(o) for o in rule(cx, ct, v)]
        if op is where:
            return self._pull_where(v, cot, need)
        if op.elementwise:
            outs = rule(cx, ct, v)
            if pred is None:
                return [None if o is None else Cot(o) for o in outs]
            return [None if o is None else Cot(o, pred, clean and stays_zero(v, k)) for k, o in enumerate(outs)]
        calm = settle(cot)
        if op.moves:
            outs = rule(cx, calm, v)
            if pred is None and not op.partial:
                return [None if o is None else Cot(o) for o in outs]
            start = pred if pred is not None else full(v.graph, True, TensorType(BOOL, v.shape))
            preds = rule(cx, start, v)
            return [None if o is None else Cot(o, known(p)) for o, p in zip(outs, preds, strict=True)]
        lives = op.lives(v, pred) if op.lives is not None else None
        if pred is None and (lives is None or all([p is None for p in lives])):
            return [None if o is None else Cot(o) for o in rule(cx, calm, v)]
        if lives is not None:
            preds = [p if p is None else known(p) for p in lives]
        else:
            assert pred is not None
            preds = [move(v, k, pred) if need[k] or op.bilinear else None for k in range(len(v.operands))]
        if op.bilinear:
            operands = tuple(
                o if p is None or not o.dtype.floating else where(p, o, full_like(o, 0)) for o, p in zip(v.operands, preds, strict=True)
            )
            outs = rule(cx, calm, Value(v.graph, op, operands, v.attrs, v.type, v.index))
        else:
            cx.live = pred
            outs = rule(cx, calm, v)
        return [None if o is None else Cot(o, p, p is None) for o, p in zip(outs, preds, strict=True)]

    def _pull_where(self, v: Value, cot: Cot, need: Sequence[bool]) -> Sequence[Cot | None]:
        condition = v.operands[0]
        result: list[Cot | None] = [None, None, None]
        for k in (1, 2):
            if need[k]:
                here = condition if k == 1 else ~condition
                pred = here if cot.pred is None else cot.pred & here
                dead = const_scalar(pred) is False
                result[k] = None if dead else Cot(cot.value, known(pred), known(pred) is None)
        return result

    def _pull_tuple(self, cx: RuleContext, v: Value, op: Op, several: dict[Projection, Cot]) -> Sequence[Cot | None]:
        rule: Any = op.vjp
        cots = [several.get(("part", k)) for k in range(len(v.type.items))]
        outs = rule(cx, [None if c is None else settle(c) for c in cots], v)
        result: list[Cot | None] = []
        for k, o in enumerate(outs):
            if o is None:
                result.append(None)
                continue
            pred: Value | None = None
            first = True
            for c in cots:
                if c is None:
                    continue
                p = None if c.pred is None else move(v, k, c.pred)
                pred = p if first else None if p is None or pred is None else known(p | pred)
                first = False
            result.append(Cot(o, pred, pred is None))
        return result


def stays_zero(v: Value, k: int) -> bool:
    """Whether a zero cotangent of an elementwise value gives an exact zero to operand `k`: the rule is linear with a finite factor."""
    linear = v.op.linear[k] if k < len(v.op.linear) else False
    if isinstance(linear, bool):
        return linear
    other = const_scalar(v.operands[1 - k])
    return other is not None and math.isfinite(other) and (linear == "factor" or other != 0)
