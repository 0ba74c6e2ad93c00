"""A program built in Python is the graph that its text gives: equal digests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dfg.frontend.builder as b
from dfg.frontend.builder.functions import function as f
from dfg.frontend.lowering.program import load_text
from dfg.ir import Graph, Roots, Value, digest, verify

PROGRAMS: list[tuple[str, str, Callable[[], Any]]] = []


def program(text: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Pair a text with the Python function that builds the same."""

    def declare(build: Callable[[], Any]) -> Callable[[], Any]:
        PROGRAMS.append((build.__name__, text, build))
        return build

    return declare


def canonical(graph: Graph) -> str:
    """A digest that does not depend on the order of independent values, nor on the serial numbers of pins."""
    fresh = Graph(graph.facts)
    done: dict[int, Value] = {}
    serials: dict[int, int] = {}
    roots = [v for table in (graph.roots.outputs, graph.roots.updates, graph.roots.initials) for _, v in sorted(table.items())]
    stack = list(reversed(roots))
    while stack:
        v = stack[-1]
        waiting = [o for o in v.operands if o.index not in done]
        if waiting:
            stack.extend(reversed(waiting))
            continue
        stack.pop()
        if v.index not in done:
            attrs = (serials.setdefault(v.attrs[0], len(serials)),) if v.op.name == "pin" else v.attrs
            done[v.index] = fresh.emit(v.op, tuple(done[o.index] for o in v.operands), attrs)
    fresh.roots = Roots(
        *[
            {k: done[v.index] for k, v in sorted(table.items())}
            for table in (graph.roots.outputs, graph.roots.updates, graph.roots.initials)
        ]
    )
    return digest(fresh)


@program("""
input x, ystar : f64[n]
param w : f64 = 0.5
param b : f64 = 2.0
u = w * x
v = u + b
y = exp(v)
l = sum((y - ystar) ** 2)
output y, l
output dl_dw, dl_db = grad(l, [w, b])
""")
def lesson() -> Any:
    x, ystar = b.input("x", "f64[n]"), b.input("ystar", "f64[n]")
    w, bias = b.param("w", "f64", 0.5), b.param("b", "f64", 2.0)
    y = np.exp(w * x + bias)
    l = f("sum")((y - ystar) ** 2)
    dw, db = b.grad(l, [w, bias])
    return {"y": y, "l": l, "dl_dw": dw, "dl_db": db}


@program("""
input x : f32[batch, 20]
param w1 : f32[20, 30] = 0.1
param b1 : f32[30] = 0
param w2 : f32[30] = 0.2
h = tanh(x @ w1 + b1)
p = h @ w2
output l = mean(p ** 2)
output g = grad(l, w1)
""")
def layers() -> Any:
    x = b.input("x", "f32[batch, 20]")
    w1, b1, w2 = b.param("w1", "f32[20, 30]", 0.1), b.param("b1", "f32[30]", 0), b.param("w2", np.float32, 0.2, shape=(30,))
    h = np.tanh(x @ w1 + b1)
    l = ((h @ w2) ** 2).mean()
    return {"l": l, "g": b.grad(l, w1)}


@program("""
input x : f64[n, m]
y = where(x > 0, x, 0.1 * x)
output s = sum(y, axis=0) / n
output t = x[1:, ::-1]
output z = x[:, newaxis, 0]
output e = einsum("ij,kj->ik", x, y)
output c = concat([x, y], axis=1)
output q = max(x, axis=1, keepdims=true)
output k = stack([x[0], x[-1]])
""")
def shapes() -> Any:
    x = b.input("x", "f64[n, m]")
    n = x.shape[0]
    y = np.where(x > 0, x, 0.1 * x)
    return {
        "s": np.sum(y, axis=0) / n,
        "t": x[1:, ::-1],
        "z": x[:, np.newaxis, 0],
        "e": np.einsum("ij,kj->ik", x, y),
        "c": np.concatenate([x, y], axis=1),
        "q": np.max(x, axis=1, keepdims=True),
        "k": np.stack([x[0], x[-1]]),
    }


@program("""
input x : f64[n]
input y : f64[m]
dim n == m
output z = x + y
""")
def facts() -> Any:
    b.dim("m", equals="n")
    return {"z": b.input("x", "f64[n]") + b.input("y", "f64[m]")}


@program("""
input x : f64[n]
input i : i64[k]
output a = x with [1:3] = 0
output c = x with [i] += 2
output d = x[i]
""")
def updates_in_place() -> Any:
    x, i = b.input("x", "f64[n]"), b.input("i", "i64[k]")
    return {"a": x.at[1:3].set(0), "c": x.at[i].add(2), "d": x[i]}


@program("""
input x : f64[n]
param w : f64 = 1.5
u = w * x
l = sum(u ** 3)
output a = grad(l, u)
output h = jacobian(u, w)
output v = hvp(l, w, 2)
output j = jvp(u, w, 1)
output p = vjp(u, w, x)
output s = hessian(l, x)
""")
def derivatives() -> Any:
    x, w = b.input("x", "f64[n]"), b.param("w", "f64", 1.5)
    u = b.pin(w * x)
    l = np.sum(u**3)
    return {
        "a": b.grad(l, u),
        "h": b.jacobian(u, w),
        "v": b.hvp(l, w, 2),
        "j": b.jvp(u, w, 1),
        "p": b.vjp(u, w, x),
        "s": b.hessian(l, x),
    }


@program("""
input x : f64[t, 3]
param w : f64[3, 3] = 0.1
h, hs = scan x_t in x carry h = zeros([3]) {
  h = tanh(x_t + h @ w)
  yield h
}
output l = sum(h) + sum(hs)
output g = grad(l, w)
""")
def recurrence() -> Any:
    x, w = b.input("x", "f64[t, 3]"), b.param("w", "f64[3, 3]", 0.1)

    def step(h: Any, x_t: Any) -> Any:
        h = np.tanh(x_t + h @ w)
        return h, h

    h, hs = b.scan(step, f("zeros")([3]), x)
    l = h.sum() + hs.sum()
    return {"l": l, "g": b.grad(l, w)}


@program("""
input x : f64[n, 3]
ys = scan row in x { yield sum(row * row) }
output ys
""")
def mapped() -> Any:
    x = b.input("x", "f64[n, 3]")
    return {"ys": b.scan(lambda _, row: (None, np.sum(row * row)), None, x)[1]}


@program("""
input a, c : bool[n]
input k : i64[n]
output p = (a and c) or not a
output q = k // 3 + k % 3 - 2 ** k
output r = f32(k) * 1.5
output s = k / 2
output t = bool(k)
""")
def dtypes() -> Any:
    a, c, k = b.input("a", "bool[n]"), b.input("c", "bool[n]"), b.input("k", np.int64, ["n"])
    return {"p": (a & c) | ~a, "q": k // 3 + k % 3 - 2**k, "r": k.astype("f32") * 1.5, "s": k / 2, "t": k.astype(bool)}


@pytest.mark.parametrize(("name", "text", "build"), PROGRAMS, ids=[p[0] for p in PROGRAMS])
def test_equal_graphs(name: str, text: str, build: Callable[[], Any]) -> None:
    made = b.program(build()).graph
    verify(made, "source")
    assert canonical(made) == canonical(load_text(text).graph)


def test_the_lesson_is_equal_value_by_value() -> None:
    """In the order of its lines, too."""
    assert digest(b.program(lesson()).graph) == digest(load_text(PROGRAMS[0][1]).graph)


def test_updates() -> None:
    text = """
    input x : f64[n]
    param w : f64[3] = 0.5
    state steps : i64 = 0
    l = sum(x) * sum(w ** 2)
    output l
    update w = w - 0.1 * grad(l, w)
    update steps = steps + 1
    """
    x, w, steps = b.input("x", "f64[n]"), b.param("w", "f64[3]", 0.5), b.state("steps", "i64", 0)
    l = x.sum() * (w**2).sum()
    made = b.program({"l": l}, {w: w - 0.1 * b.grad(l, w), steps: steps + 1}).graph
    assert canonical(made) == canonical(load_text(text).graph)


def test_names_are_those_of_variables() -> None:
    x = b.input("x", "f64[3]")
    hidden = x * 2
    for _ in range(2):
        hidden = np.tanh(hidden)
    first, second = f("qr")(f("reshape")(x, (3, 1)))
    graph = b.program({"out": hidden.sum() + first.sum() + second.sum()}).graph
    assert {"x", "hidden", "hidden_2", "hidden_3", "first", "second", "out"} <= set(graph.names)
    assert graph.names["hidden"].op.name == "multiply"
    assert graph.names["hidden_3"].op.name == "tanh"
