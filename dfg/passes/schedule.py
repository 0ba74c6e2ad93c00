"""The order in which values are computed: creation order, or the order of need where that takes less memory at the hint sizes.

Both are topological. The peak of each is simulated from sizes and last uses alone; views and leaves weigh nothing. What is made from sizes and constants only is
computed just before its first use. Deterministic, and linear in the number of values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dfg.ir import Value
from dfg.types import TensorType

LARGE = 20_000
"""Above so many values creation order is taken without a comparison."""


def schedule(live: Sequence[Value], roots: Sequence[Value], weight: Callable[[TensorType], int]) -> list[Value]:
    """`live`, which is in creation order, in the order to compute in."""
    first = list(live)
    if not first or len(first) > LARGE:
        return first
    second = needed_first(first, roots)
    return second if peak(second, roots, weight) < peak(first, roots, weight) else first


def needed_first(live: Sequence[Value], roots: Sequence[Value]) -> list[Value]:
    """Depth first from the roots: a value is computed when something needs it."""
    inside = {v.index for v in live}
    done: set[int] = set()
    order: list[Value] = []
    for root in roots:
        stack = [(root, 0)]
        while stack:
            v, k = stack.pop()
            if k == 0 and v.index in done:
                continue
            operands = v.operands
            while k < len(operands) and (operands[k].index in done or operands[k].index not in inside):
                k += 1
            if k < len(operands):
                stack.append((v, k + 1))
                stack.append((operands[k], 0))
            elif v.index not in done:
                done.add(v.index)
                order.append(v)
    order.extend(v for v in live if v.index not in done)
    return order


def peak(order: Sequence[Value], roots: Sequence[Value], weight: Callable[[TensorType], int]) -> int:
    """Bytes that live at once, at most, when values are computed in this order and freed after their last use."""
    base: dict[int, int] = {}
    last: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for position, v in enumerate(order):
        own = v.index
        if v.op.view and v.operands:
            own = base.get(v.operands[0].index, v.operands[0].index)
        base[v.index] = own
        for o in v.operands:
            last[base.get(o.index, o.index)] = position
    for r in roots:
        last[base[r.index]] = len(order)
    ends: list[list[int]] = [[] for _ in range(len(order) + 1)]
    for own, position in last.items():
        ends[position].append(own)
    now = most = 0
    for position, v in enumerate(order):
        if base[v.index] == v.index and not v.op.leaf and type(v.type) is TensorType:
            dying = next((o for o in v.operands if v.op.elementwise and o.type == v.type and last.get(base[o.index]) == position), None)
            size = sizes[v.index] = weight(v.type)
            now += size
            most = max(most, now - (sizes.get(base[dying.index], 0) if dying is not None else 0))
        for own in ends[position]:
            now -= sizes.get(own, 0)
    return most
