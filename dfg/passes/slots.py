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
        self._bytes: list[int] = []
        self._holds: list[dict[int, None]] = []
        self._capacity: list[int] = []
        self._free: list[tuple[int, int]] = []
        self._same: dict[int, list[int]] = {}
        """Free slots by the extent that they last held; an entry is stale where `_idle` says so."""
        self._idle: list[bool] = []
        self._last: list[int] = []

    def extent(self, t: TensorType) -> int:
        """The number of a type's size in bytes among the different ones."""
        k = self._of_type.get(t)
        if k is None:
            size = t.size * t.dtype.size
            k = self._extent.get(size)
            if k is None:
                k = self._extent[size] = len(self.extents)
                self.extents.append(size)
                self._bytes.append(max(evaluate(size, self.hints), 1))
            self._of_type[t] = k
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
                self._claim(slot, e)
                return slot
        size = self._bytes[e]
        k = bisect_left(self._free, (size, -1))
        slot = -1
        if k < len(self._free) and self._free[k][0] <= max(2 * size, ALIGNMENT):
            slot = self._free[k][1]
        elif k > 0 and self._free[k - 1][0] * 2 >= size:
            slot = self._free[k - 1][1]
        if slot < 0:
            slot = len(self._capacity)
            self._capacity.append(size)
            self._holds.append({e: None})
            self._idle.append(False)
            self._last.append(e)
            return slot
        self._claim(slot, e)
        return slot

    def _claim(self, slot: int, e: int) -> None:
        place = bisect_left(self._free, (self._capacity[slot], slot))
        self._free.pop(place)
        self._idle[slot] = False
        self._last[slot] = e
        self._holds[slot][e] = None
        self._capacity[slot] = max(self._capacity[slot], self._bytes[e])

    def hold(self, slot: int, t: TensorType) -> None:
        """Let a taken slot hold a value of another type in place."""
        e = self.extent(t)
        self._holds[slot][e] = None
        self._capacity[slot] = max(self._capacity[slot], self._bytes[e])
        self._last[slot] = e

    def release(self, slot: int) -> None:
        """The slot's value is dead."""
        self._idle[slot] = True
        insort(self._free, (self._capacity[slot], slot))
        self._same.setdefault(self._last[slot], []).append(slot)

    def finish(self) -> list[Slot]:
        return [Slot(tuple(h)) for h in self._holds]
