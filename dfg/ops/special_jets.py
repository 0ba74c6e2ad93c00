"""Truncated power series of several variables with arrays as coefficients, for derivatives by the parameters of special functions.

A `Jet` maps a multi-index (i, j, ...) with i <= orders[0], j <= orders[1] ... to the coefficient of da^i db^j ...: the derivative over i! j!.
Only what a formula of sums, products and quotients needs is here.

>>> a = Jet.variable(np.array(3.0), 0, (2,))
>>> [float(c) for c in (1 / a).coefficients()]
[0.3333333333333333, -0.1111111111111111, 0.037037037037037035]
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

Array = np.ndarray
Index = tuple[int, ...]


def below(orders: Index) -> list[Index]:
    """All multi-indices up to `orders`, each after those that it is made of."""
    return sorted(itertools.product(*[range(n + 1) for n in orders]), key=sum)


class Jet:
    """A truncated power series; a coefficient that is missing is 0."""

    __slots__ = ("c", "orders")

    def __init__(self, orders: Index, c: dict[Index, Any]) -> None:
        self.orders = orders
        self.c = c

    @staticmethod
    def constant(x: Any, orders: Index) -> Jet:
        return Jet(orders, {(0,) * len(orders): x})

    @staticmethod
    def variable(x: Any, which: int, orders: Index) -> Jet:
        """The variable number `which` at x."""
        made = Jet.constant(x, orders)
        if orders[which]:
            made.c[tuple(int(k == which) for k in range(len(orders)))] = 1.0
        return made

    def coefficients(self) -> list[Any]:
        return [self.c.get(i, 0.0) for i in below(self.orders)]

    def derivative(self) -> Any:
        """The highest derivative that is kept."""
        return self.c.get(self.orders, 0.0) * math.prod(math.factorial(n) for n in self.orders)

    def _lift(self, o: Any) -> Jet:
        return o if isinstance(o, Jet) else Jet.constant(o, self.orders)

    def __add__(self, o: Any) -> Jet:
        other = self._lift(o)
        made = dict(self.c)
        for i, x in other.c.items():
            made[i] = made[i] + x if i in made else x
        return Jet(self.orders, made)

    __radd__ = __add__

    def __neg__(self) -> Jet:
        return Jet(self.orders, {i: -x for i, x in self.c.items()})

    def __sub__(self, o: Any) -> Jet:
        return self + -self._lift(o)

    def __rsub__(self, o: Any) -> Jet:
        return -self + o

    def __mul__(self, o: Any) -> Jet:
        if not isinstance(o, Jet):
            return Jet(self.orders, {i: x * o for i, x in self.c.items()})
        made: dict[Index, Any] = {}
        for i, x in self.c.items():
            for j, y in o.c.items():
                k = tuple(a + b for a, b in zip(i, j, strict=True))
                if all(a <= n for a, n in zip(k, self.orders, strict=True)):
                    made[k] = made[k] + x * y if k in made else x * y
        return Jet(self.orders, made)

    __rmul__ = __mul__

    def inverse(self) -> Jet:
        zero = (0,) * len(self.orders)
        first = 1 / self.c[zero]
        rest = Jet(self.orders, {i: x for i, x in self.c.items() if i != zero})
        made = Jet.constant(first, self.orders)
        # 1 / (c + r) = 1/c - (1/c) r (1 / (c + r)); each turn makes one more total order right.
        for _ in range(sum(self.orders)):
            made = Jet.constant(first, self.orders) - rest * made * first
        return made

    def __truediv__(self, o: Any) -> Jet:
        return self * o.inverse() if isinstance(o, Jet) else self * (1 / o)

    def __rtruediv__(self, o: Any) -> Jet:
        return self.inverse() * o

    def exp(self, first: Any = None) -> Jet:
        """The exponential; `first` is that of the leading coefficient where it is known better."""
        zero = (0,) * len(self.orders)
        head = np.exp(self.c[zero]) if first is None else first
        rest = Jet(self.orders, {i: x for i, x in self.c.items() if i != zero})
        total = power = Jet.constant(1.0, self.orders)
        for k in range(1, sum(self.orders) + 1):
            power = power * rest * (1 / k)
            total = total + power
        return total * head
