"""Which values share a piece of memory: decided once, at hint sizes, and right for every size.

A slot holds one value at a time and is as large as the largest value that it ever holds, for whatever sizes arrive: so what is decided here can never be
wrong, only more or less tight away from the hints. A value takes a free slot of its own size in symbols, else one of at most twice its size at the hints,
else a smaller one of at least half, which grows, else a new one.

    slots = Slots({"n": 4096})
    k = slots.take(TensorType(F64, (n,)))     # a slot
    slots.release(k)                          # the next value of about this size may have it
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping

from dfg.dims import DimLike, evaluate
from dfg.plan import ALIGNMENT, Slot
from dfg.types import TensorType

USUAL = 512
"""What a size is taken to be where nothing hints at it."""


class Hinted(dict[str, int]):
    """Sizes by name, with a usual one for names that nobody hinted at."""

    def __missing__(self, name: str) -> int:
        return USUAL


class Slots:
    """Hands out slots in the order of the steps."""

    def __init__(self, hints: Mapping[str, int]) -> None:
        self.hints = Hinted(hints)
        self.extents: list[DimLike] = []
        self._extent: dict[DimLike, int] = {}
        self._of_type: dict[TensorType, int] = {}
        self._of_object: dict[int, int] = {}
        """Extents by the identity of a type, which most values share; `_alive` keeps these types from being another one's identity."""
        self._alive: list[TensorType] = []
        self._bytes: list[int] = []
        self._holds: list[dict[int, None]] = []
        self._capacity: list[int] = []
        self._idle: list[bool] = []
        self._last: list[int] = []
        self._same: dict[int, list[int]] = {}
        """Free slots by the extent that they last held, and by capacity; an entry is stale unless the slot is idle and still has that key."""
        self._free: dict[int, list[int]] = {}
        self._capacities: list[int] = []

    def extent(self, t: TensorType) -> int:
        """The number of a type's size in bytes among the different ones."""
        k = self._of_object.get(id(t))
        if k is not None:
            return k
        k = self._of_type.get(t)
        if k is None:
            size = t.size * t.dtype.size
            k = self._extent.get(size)
            if k is None:
                k = self._extent[size] = len(self.extents)
                self.extents.append(size)
                self._bytes.append(max(evaluate(size, self.hints), 1))
            self._of_type[t] = k
        self._of_object[id(t)] = k
        self._alive.append(t)
        return k

    def bytes(self, t: TensorType) -> int:
        """Bytes at the hint sizes."""
        return self._bytes[self.extent(t)]

    def take(self, t: TensorType) -> int:
        """A slot for a value of this type."""
        e = self.extent(t)
        same = self._same.get(e)
        while same:
            slot = same.pop()
            if self._idle[slot] and self._last[slot] == e:
                self._idle[slot] = False
                return slot
        slot = self._fitting(self._bytes[e])
        if slot < 0:
            slot = len(self._capacity)
            self._capacity.append(self._bytes[e])
            self._holds.append({e: None})
            self._idle.append(False)
            self._last.append(e)
            return slot
        self._idle[slot] = False
        self._last[slot] = e
        self._holds[slot][e] = None
        self._capacity[slot] = max(self._capacity[slot], self._bytes[e])
        return slot

    def _fitting(self, size: int) -> int:
        """An idle slot of at most twice the size, else of at least half, else -1."""
        caps = self._capacities
        k = bisect_left(caps, size)
        for j in range(k, len(caps)):
            if caps[j] > max(2 * size, ALIGNMENT):
                break
            slot = self._pop(caps[j])
            if slot >= 0:
                return slot
        for j in range(k - 1, -1, -1):
            if caps[j] * 2 < size:
                break
            slot = self._pop(caps[j])
            if slot >= 0:
                return slot
        return -1

    def _pop(self, capacity: int) -> int:
        stack = self._free[capacity]
        while stack:
            slot = stack.pop()
            if self._idle[slot] and self._capacity[slot] == capacity:
                return slot
        return -1

    def release(self, slot: int) -> None:
        """The slot's value is dead."""
        self._idle[slot] = True
        capacity = self._capacity[slot]
        stack = self._free.get(capacity)
        if stack is None:
            stack = self._free[capacity] = []
            insort(self._capacities, capacity)
        stack.append(slot)
        e = self._last[slot]
        same = self._same.get(e)
        if same is None:
            self._same[e] = [slot]
        else:
            same.append(slot)

    def finish(self) -> list[Slot]:
        return [Slot(tuple(h)) for h in self._holds]
