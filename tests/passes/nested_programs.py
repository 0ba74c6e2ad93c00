"""Random programs of loops in loops, made twice: with loops, and unrolled for given inputs.

A program is data: statements that refer to what stands before them by random numbers. `Looped` makes `scan`, `while` and `cond` of it; `Unrolled` computes along the way,
so that it knows which branch is taken and how often a `while` runs, and makes straight-line code. Both have the same values, hence the same derivatives of any order.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dfg.ir import Graph, Value, seal
from dfg.ops.base import OPS, make_constant, project
from dfg.ops.leaf import arg
from dfg.types import BOOL, F64, TensorType, TupleType

D = 2
VECTOR = TensorType(F64, (D,))
MATRIX = TensorType(F64, (D, D))


def _row(w: Value, k: int) -> Value:
    return OPS["slice"](w, starts=(k, 0), sizes=(1, D), strides=(1, 1))


OPERATIONS: dict[str, Callable[..., Value]] = {
    "sin": lambda a, b, w: OPS["sin"](a),
    "add": lambda a, b, w: a + b,
    "multiply": lambda a, b, w: a * b * 0.7,
    "tanh": lambda a, b, w: OPS["tanh"](a) * b,
    "cell": lambda a, b, w: OPS["tanh"](OPS["contract"](w, a, subs="ab,b->a") + b),
    "dense": lambda a, b, w: OPS["contract"](a, w, subs="a,ab->b"),
    "where": lambda a, b, w: OPS["where"](a > 0.0, OPS["sqrt"](a), b * 0.5),
    "singular": lambda a, b, w: OPS["where"](b > 0.3, a, OPS["log"](0.2 + b * b)),
    "flip": lambda a, b, w: OPS["flip"](a, axes=(0,)) - b,
    "window": lambda a, b, w: OPS["concat"](OPS["slice"](a, starts=(1,), sizes=(1,), strides=(1,)), OPS["slice"](b, starts=(0,), sizes=(1,), strides=(1,)), axis=0),
    "transposed": lambda a, b, w: OPS["contract"](OPS["permute"](w, perm=(1, 0)), a, subs="ab,b->a") - OPS["contract"](w, b, subs="ab,b->a"),
    "rows": lambda a, b, w: OPS["concat"](*[OPS["contract"](_row(w, k), v, subs="ab,b->a") for k, v in enumerate((a, b))], axis=0),
    "added": lambda a, b, w: a * 0.5 + OPS["reshape"](_row(w, 1), shape=(D,)),
    "invariant": lambda a, b, w: OPS["contract"](OPS["sin"](w), a, subs="ab,b->a"),
}  # fmt: skip
Program = list[tuple[Any, ...]]


def numbers(r: random.Random, n: int) -> list[int]:
    return [r.randrange(1 << 20) for _ in range(n)]


def make_program(r: random.Random, depth: int, kinds: Sequence[str] = ("scan", "scan", "while", "cond")) -> Program:
    """Statements: some operations, and a loop or branch around such statements until the depth is used up."""
    made: Program = []
    for _ in range(r.randint(1, 2)):
        made.append(("op", r.choice(list(OPERATIONS)), *numbers(r, 2)))
    if depth:
        kind = r.choice(list(kinds))
        if kind == "scan":
            carries, yields = r.choice([(1, 1), (1, 0), (2, 1), (0, 1), (1, 2), (2, 2)])
            body = make_program(r, depth - 1, kinds)
            made.append(("scan", numbers(r, carries), r.choice([None, *numbers(r, 2)]), r.choice([0, 1, 2, 2, 3]), r.random() < 0.4, body,
                         recent(r, carries), recent(r, yields)))  # fmt: skip
        elif kind == "while":
            carries = r.choice([1, 2])
            made.append(("while", numbers(r, carries), r.choice([0, 1, 3, 4]), r.choice([0.5, 2.0, 40.0]), make_program(r, depth - 1, kinds), recent(r, carries)))
        else:
            outs = r.choice([1, 2])
            made.append(("cond", r.randrange(1 << 20), make_program(r, depth - 1, kinds), recent(r, outs), make_program(r, max(depth - 2, 0), kinds), recent(r, outs)))
    made.append(("op", r.choice(list(OPERATIONS)), -1, *numbers(r, 1)))
    if r.random() < 0.6:
        made.append(("total", r.randrange(1 << 20)))
    return made


def recent(r: random.Random, n: int) -> list[int]:
    """Numbers of which most refer to what was made last."""
    return [r.choice([-1, -1, -2, r.randrange(1 << 20)]) for _ in range(n)]


class Scope:
    """What statements may refer to."""

    def __init__(self, vectors: Sequence[Any], stacks: Sequence[tuple[Any, int]], w: Any) -> None:
        self.vectors = list(vectors)
        self.stacks = list(stacks)
        self.w = w

    def __getitem__(self, k: int) -> Any:
        return self.vectors[k % len(self.vectors)]


class Looped:
    """Statements as a graph with loops."""

    def __init__(self, g: Graph) -> None:
        self.g = g

    def run(self, program: Program, s: Scope) -> None:
        for kind, *rest in program:
            getattr(self, f"_{kind}")(s, *rest)

    def _op(self, s: Scope, name: str, i: int, j: int) -> None:
        s.vectors.append(OPERATIONS[name](s[i], s[j], s.w))

    def _total(self, s: Scope, k: int) -> None:
        if s.stacks:
            s.vectors.append(OPS["sum"](s.stacks[k % len(s.stacks)][0], axes=(0,)))

    def _region(self, s: Scope, own: int) -> tuple[Graph, list[Value], Scope, list[Value]]:
        """A body's graph, its arguments (`own` vectors, then captures of everything), the scope in it, and the captures."""
        captures = [*s.vectors, *[v for v, _ in s.stacks], s.w]
        inner = self.g.like()
        args = [inner.emit(arg, (), (k, t)) for k, t in enumerate([VECTOR] * own + [c.type for c in captures])]
        at = own + len(s.vectors)
        stacks = [(a, n) for a, (_, n) in zip(args[at:-1], s.stacks, strict=True)]
        return inner, args, Scope([*args[own:at], *args[:own]], stacks, args[-1]), captures

    def _scan(self, s: Scope, starts: list[int], xs: int | None, length: int, reverse: bool, body: Program, nexts: list[int], yields: list[int]) -> None:
        through = None if xs is None or not s.stacks else s.stacks[xs % len(s.stacks)]
        length = length if through is None else through[1]
        n = len(starts)
        inner, args, scope, captures = self._region(s, n + (through is not None))
        Looped(inner).run(body, scope)
        sealed, _ = seal(inner, args, [*[scope[k] for k in nexts], *[scope[k] for k in yields]])
        operands = (*[s[k] for k in starts], *([through[0]] if through else []), *captures)
        parts = project(self.g.emit(OPS["scan"], operands, (sealed, length, n, int(through is not None), reverse)))
        s.vectors += parts[:n]
        s.stacks += [(p, length) for p in parts[n:]]

    def _while(self, s: Scope, starts: list[int], most: int, bound: float, body: Program, nexts: list[int]) -> None:
        n = len(starts)
        inner, args, scope, captures = self._region(s, n)
        Looped(inner).run(body, scope)
        sealed, _ = seal(inner, args, [scope[k] for k in nexts])
        head = self.g.like()
        heads = [head.emit(arg, (), (k, a.type)) for k, a in enumerate(args)]
        test, _ = seal(head, heads, [OPS["sum"](heads[0] * heads[0], axes=(0,)) < bound])
        s.vectors += project(self.g.emit(OPS["while"], (*[s[k] for k in starts], *captures), (test, sealed, most, n)))[:n]

    def _cond(self, s: Scope, p: int, then: Program, outs: list[int], other: Program, others: list[int]) -> None:
        bodies = []
        for statements, results in ((then, outs), (other, others)):
            inner, args, scope, captures = self._region(s, 0)
            Looped(inner).run(statements, scope)
            bodies.append(seal(inner, args, [scope[k] for k in results])[0])
        test = OPS["sum"](s[p], axes=(0,)) > 0.0
        s.vectors += project(self.g.emit(OPS["cond"], (test, *captures), tuple(bodies)))


class Unrolled:
    """Statements as straight-line code; values are pairs of a graph's value and its array."""

    def __init__(self, g: Graph) -> None:
        self.g = g

    def run(self, program: Program, s: Scope) -> None:
        for kind, *rest in program:
            getattr(self, f"_{kind}")(s, *rest)

    def value(self, v: Value, *of: tuple[Value, np.ndarray]) -> tuple[Value, np.ndarray]:
        """A value that was made of others, with its array."""
        known = {o.index: a for o, a in of}

        def compute(x: Value) -> Any:
            if x.index not in known:
                assert x.op.evaluate is not None and not isinstance(x.type, TupleType)
                known[x.index] = np.asarray(x.op.evaluate(np, *[compute(o) for o in x.operands], **x.attributes))
            return known[x.index]

        with np.errstate(all="ignore"):
            return v, compute(v)

    def _op(self, s: Scope, name: str, i: int, j: int) -> None:
        a, b = s[i], s[j]
        s.vectors.append(self.value(OPERATIONS[name](a[0], b[0], s.w[0]), a, b, s.w))

    def _total(self, s: Scope, k: int) -> None:
        if not s.stacks:
            return
        rows, _ = s.stacks[k % len(s.stacks)]
        total = (make_constant(self.g, [0.0] * D, F64), np.zeros(D))
        for row in rows:
            total = (total[0] + row[0], total[1] + row[1])
        s.vectors.append(total)

    def _scan(self, s: Scope, starts: list[int], xs: int | None, length: int, reverse: bool, body: Program, nexts: list[int], yields: list[int]) -> None:
        through = None if xs is None or not s.stacks else s.stacks[xs % len(s.stacks)]
        length = length if through is None else through[1]
        carry = [s[k] for k in starts]
        stacks: list[list[Any]] = [[None] * length for _ in yields]
        for t in reversed(range(length)) if reverse else range(length):
            scope = Scope([*s.vectors, *carry, *([through[0][t]] if through else [])], s.stacks, s.w)
            self.run(body, scope)
            carry = [scope[k] for k in nexts]
            for stack, k in zip(stacks, yields, strict=True):
                stack[t] = scope[k]
        s.vectors += carry
        s.stacks += [(stack, length) for stack in stacks]

    def _while(self, s: Scope, starts: list[int], most: int, bound: float, body: Program, nexts: list[int]) -> None:
        carry = [s[k] for k in starts]
        count = 0
        while count < most and np.sum(carry[0][1] * carry[0][1]) < bound:
            scope = Scope([*s.vectors, *carry], s.stacks, s.w)
            self.run(body, scope)
            carry = [scope[k] for k in nexts]
            count += 1
        s.vectors += carry

    def _cond(self, s: Scope, p: int, then: Program, outs: list[int], other: Program, others: list[int]) -> None:
        statements, results = (then, outs) if np.sum(s[p][1]) > 0 else (other, others)
        scope = Scope(s.vectors, s.stacks, s.w)
        self.run(statements, scope)
        s.vectors += [scope[k] for k in results]


LEAVES = {"u": VECTOR, "v": VECTOR, "w": MATRIX, "xs": TensorType(F64, (3, D))}


def looped(g: Graph, program: Program) -> tuple[Value, list[Value]]:
    """The sum of the squares of what a program ends with, and its leaves."""
    leaves = [g.emit(OPS["input"], (), (n, t)) for n, t in LEAVES.items()]
    u, v, w, xs = leaves
    s = Scope([u, v], [(xs, 3)], w)
    Looped(g).run(program, s)
    return _loss(s.vectors[-3:]), leaves


def unrolled(g: Graph, program: Program, arrays: dict[str, np.ndarray]) -> tuple[Value, list[Value]]:
    leaves = [g.emit(OPS["input"], (), (n, t)) for n, t in LEAVES.items()]
    u, v, w, xs = leaves
    rows = []
    for t in range(3):
        row = OPS["reshape"](OPS["slice"](xs, starts=(t, 0), sizes=(1, D), strides=(1, 1)), shape=(D,))
        rows.append((row, arrays["xs"][t]))
    s = Scope([(u, arrays["u"]), (v, arrays["v"])], [(rows, 3)], (w, arrays["w"]))
    Unrolled(g).run(program, s)
    return _loss([x for x, _ in s.vectors[-3:]]), leaves


def _loss(values: Sequence[Value]) -> Value:
    terms = [OPS["sum"](x * x, axes=(0,)) for x in values]
    total = terms[0]
    for t in terms[1:]:
        total = total + t
    return total


__all__ = ["BOOL", "LEAVES", "looped", "make_program", "unrolled"]
