"""Graphs that are combined, threads that build into one graph, facts about sizes, bodies."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from builder_run import refused, run

import dfg.frontend.builder as b
from dfg.dims import named
from dfg.frontend.builder.functions import function as f
from dfg.frontend.builder.homes import HOMES
from dfg.ir import verify


def test_handles_survive_being_imported() -> None:
    xs = [b.input(f"x{k}", "f64") for k in range(40)]
    totals = [x * k for k, x in enumerate(xs)]
    rng = np.random.default_rng(3)
    order = list(rng.permutation(40))
    joined = totals[order[0]]
    for k in order[1:]:
        joined = joined + totals[k]
    assert len({id(x._resolve()[0]) for x in [*xs, *totals, joined]}) == 1
    assert [x.value.attrs[0] for x in xs] == [f"x{k}" for k in range(40)]
    got = run({"y": joined, "t": totals[7]}, **{f"x{k}": 1.0 for k in range(40)})
    assert got["y"] == sum(range(40)) and got["t"] == 7


def test_the_smaller_is_imported() -> None:
    big = b.input("big", "f64")
    for _ in range(100):
        big = np.tanh(big)
    small = b.input("small", "f64")
    graph = big.value.graph
    both = small + big
    assert both.value.graph is graph is small.value.graph


def test_equal_values_of_two_graphs_become_one() -> None:
    def build() -> Any:
        return np.exp(b.input("x", "f64[n]") * 2)

    one, two = build(), build()
    assert one.value is not two.value
    assert (one - two).value.operands[0] is (one - two).value.operands[1]
    assert one.value is two.value


def test_parameters_of_one_name() -> None:
    w = b.param("w", "f64", 0.5)
    same = b.param("w", "f64", 0.5)
    assert (w + same).value.operands[0] is w.value
    assert refused(lambda: w + b.param("w", "f64", 0.6)).code == "duplicate-name"
    assert refused(lambda: w + b.state("w", "f64", 0.5)).code == "duplicate-name"
    assert refused(lambda: w + b.param("w", "f32", 0.5)).code == "duplicate-name"
    assert run({"w": w})["w"] == 0.5


def test_initial_values() -> None:
    n = 4
    w = b.param("w", np.arange(3.0))
    v = b.param("v", "f32[2, 3]", [1, 2, 3])
    r = b.param("r", "f64[n]", f("normal")([named("n")], seed=1))
    got = run({"w": w, "v": v, "r": r + b.input("x", "f64[n]")}, x=np.zeros(n))
    assert got["v"].dtype == np.float32
    np.testing.assert_array_equal(got["v"], [[1, 2, 3]] * 2)
    assert got["r"].shape == (4,)
    assert refused(lambda: b.param("p", "f64", b.input("x", "f64"))).code == "initial-value"
    assert refused(lambda: b.param("p", "i64", 0.5)).code == "wrong-dtype"


def test_threads_build_into_one_graph() -> None:
    base, shared = b.input("base", "f64[n]"), b.param("shared", "f64", 2.0)
    results: list[Any] = [None] * 6
    started = threading.Barrier(6)

    def work(k: int) -> None:
        started.wait()
        t = base
        for j in range(40):
            t = np.tanh(t * shared + (k + j))
            if j % 10 == 0:
                t = t + b.input(f"own{k}_{j}", "f64")
        results[k] = t.sum()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    total = results[0]
    for r in results[1:]:
        total = total + r
    made = b.program({f"r{k}": r for k, r in enumerate(results)} | {"total": total})
    verify(made.graph, "source")
    x = np.linspace(-1, 1, 5)
    arrays = {f"own{k}_{j}": k + j / 10 for k in range(6) for j in range(0, 40, 10)}
    got = run({f"r{k}": r for k, r in enumerate(results)}, base=x, **arrays)
    for k in range(6):
        t = x
        for j in range(40):
            t = np.tanh(t * 2.0 + (k + j))
            if j % 10 == 0:
                t = t + arrays[f"own{k}_{j}"]
        np.testing.assert_allclose(got[f"r{k}"], t.sum(), rtol=1e-12)


def test_a_long_chain_needs_no_recursion() -> None:
    t = b.input("x", "f64")
    for k in range(5000):
        t = t + k
    made = b.program({"y": t})
    assert len(made.graph) > 9999


# --- facts ---------------------------------------------------------------------------------------------------------------------------


def test_facts_decide_and_are_kept() -> None:
    n = b.dim("fa", at_least=2, multiple_of=4)
    x = b.input("x", "f64[fa]")
    made = b.program({"y": x[:2], "z": x.reshape((n // 4, 4))})
    assert made.graph.needs == {}
    assert sorted(str(fact) for fact in made.graph.facts.declared) == sorted(["fa % 4 == 0", "fa >= 2"])
    assert made.graph.facts.declared[0].origin is not None


def test_facts_may_follow_inputs_but_no_computation() -> None:
    x, y = b.input("x", "f64[fb]"), b.input("y", "f64[fc]")
    b.dim("fc", equals="fb")
    z = x + y
    assert str(z.type) == "f64[fb]"
    assert refused(lambda: b.dim("fb", at_least=1)).code == "late-fact"
    b.dim("fc", equals="fb")  # said already


def test_declaring_again_replaces() -> None:
    b.dim("fd", at_least=9)
    b.dim("fd", at_least=2)
    made = b.program({"y": b.input("x", "f64[fd]") + 1})
    assert [str(fact) for fact in made.graph.facts.declared] == ["fd >= 2"]


def test_facts_that_contradict() -> None:
    assert refused(lambda: b.dim("fe", at_least=5, at_most=3)).code == "dim-contradiction"
    made = b.program({"y": b.input("x", "f64[fe]") + 1})
    assert not made.graph.facts.declared


def test_facts_of_other_modules_do_not_reach() -> None:
    scope: dict[str, Any] = {"b": b, "__name__": "elsewhere"}
    exec("b.dim('fg', at_least=7)\nx = b.input('x', 'f64[fg]')", scope)
    here = b.program({"y": b.input("y", "f64[fg]") + 1})
    assert not here.graph.facts.declared
    # ... but they come along with a graph
    both = b.program({"y": b.input("y", "f64[fg]") + scope["x"]})
    assert [str(fact) for fact in both.graph.facts.declared] == ["fg >= 7"]


def test_graphs_under_different_facts_are_typed_again() -> None:
    scope: dict[str, Any] = {"b": b, "__name__": "elsewhere2"}
    exec("b.dim('fi', equals='fh')\nx = b.input('x', 'f64[fi]') * 2", scope)
    mine = np.exp(b.input("y", "f64[fi]")) + b.input("z", "f64[fh, 1]").sum()
    both = b.program({"y": mine + scope["x"]})
    verify(both.graph, "source")
    assert str(mine.type) == "f64[fh]"


def test_unused_graphs_are_forgotten() -> None:
    import gc

    gc.collect()
    before = len(HOMES)
    for k in range(20):
        _ = b.input(f"q{k}", "f64") * 2
    del _
    gc.collect()
    assert len(HOMES) <= before + 1


# --- bodies --------------------------------------------------------------------------------------------------------------------------


def test_scan_with_nested_structures_and_captures() -> None:
    x, w, k = b.input("x", "f64[t, 3]"), b.param("w", "f64[3]", 0.5), b.input("k", "f64")

    def step(carry: Any, x_t: Any) -> Any:
        s, count = carry
        s = s + (w * x_t).sum() * k
        return (s, count + 1), {"double": s * 2, "row": x_t}

    (s, count), ys = b.scan(step, (0.0, 0), x)
    X = np.arange(6.0).reshape(2, 3)
    got = run({"s": s, "n": count, "double": ys["double"], "row": ys["row"], "g": b.grad(s, w)}, x=X, k=2.0)
    np.testing.assert_allclose(got["s"], X.sum())
    assert got["n"] == 2 and got["n"].dtype == np.int64
    np.testing.assert_allclose(got["double"], 2 * np.cumsum(X.sum(axis=1)))
    np.testing.assert_allclose(got["row"], X)
    np.testing.assert_allclose(got["g"], 2 * X.sum(axis=0))


def test_nested_scans_reversed() -> None:
    x, k = b.input("x", "f64[t, 3]"), b.param("k", "f64", 2.0)

    def outer(c: Any, row: Any) -> Any:
        d, _ = b.scan(lambda d, e: (d + e * c * k, None), 0.0, row)
        return c + d, d

    last, ds = b.scan(outer, 1.0, x, reverse=True)
    X = np.arange(6.0).reshape(2, 3) / 10
    got = run({"last": last, "ds": ds, "g": b.grad(last, k)}, x=X)

    def by_hand(k: float) -> float:
        c = 1.0
        for row in X[::-1]:
            c = c + sum(e * c * k for e in row)
        return c

    np.testing.assert_allclose(got["last"], by_hand(2.0))
    np.testing.assert_allclose(got["g"], (by_hand(2 + 1e-6) - by_hand(2 - 1e-6)) / 2e-6, rtol=1e-6)


def test_carries_are_broadcast_and_converted() -> None:
    x = b.input("x", "f32[t, 3]")
    last, _ = b.scan(lambda h, x_t: (h + x_t, None), 0.0, x)
    assert str(last.type) == "f32[3]"
    assert refused(lambda: b.scan(lambda h, x_t: (f("stack")([h, h]), None), x[0], x)).code == "carry-type"
    assert refused(lambda: b.scan(lambda h, x_t: ((h, h), None), 0.0, x)).code == "structure-mismatch"
    assert refused(lambda: b.scan(lambda h, x_t: (h, None), 0.0, x[0, 0])).code == "rank-mismatch"
    y = b.input("y", "f32[5]")
    assert refused(lambda: b.scan(lambda h, xy: (h, xy[0]), 0.0, (x, y))).code == "dim-unproved"


def test_counting_without_elements() -> None:
    last, seen = b.scan(lambda c, _: (c * 2, c), 1.0, length=5)
    got = run({"last": last, "seen": seen})
    assert got["last"] == 32 and list(got["seen"]) == [1, 2, 4, 8, 16]
    assert refused(lambda: b.scan(lambda c, _: (c, c), 1.0)).code == "missing-argument"


def test_derivatives_inside_and_of_bodies() -> None:
    x, w = b.input("x", "f64[t, 3]"), b.param("w", "f64[3]", 0.5)
    per_row = b.vmap(lambda row: b.grad(((row * w).sum() - 1) ** 2, w))(x)
    outer_loss = (w**2).sum()
    inside, _ = b.scan(lambda c, row: (c + b.grad(outer_loss, w) * row, None), f("zeros")([3]), x)
    X = np.arange(6.0).reshape(2, 3)
    got = run({"per_row": per_row, "inside": inside}, x=X)
    np.testing.assert_allclose(got["per_row"], [2 * ((r * 0.5).sum() - 1) * r for r in X])
    np.testing.assert_allclose(got["inside"], X.sum(axis=0))


def test_while_and_cond() -> None:
    a, p = b.input("a", "f64"), b.input("p", "bool")
    root = b.while_loop(lambda z: (z * z - a) ** 2 > 1e-20, lambda z: 0.5 * (z + a / z), a, max=60)
    y = b.cond(p, lambda: np.exp(a), lambda: a * root)
    many = b.cond(a > 1, lambda q: (q, 1), lambda q: (q * 2, 2.5), a)
    got = run({"root": root, "y": y, "g": b.grad(root, a), "h": b.grad(y, a), "m": many[0], "k": many[1]}, a=2.0, p=False)
    np.testing.assert_allclose(got["root"], 2**0.5)
    np.testing.assert_allclose(got["g"], 0.5 / 2**0.5, rtol=1e-6)
    np.testing.assert_allclose(got["y"], 2**1.5)
    np.testing.assert_allclose(got["h"], 1.5 * 2**0.5, rtol=1e-6)
    assert got["m"] == 2 and got["k"] == 1.0
    assert b.cond(True, lambda: 1, lambda: 2) == 1
    assert refused(lambda: b.cond(a, lambda: a, lambda: a)).code == "wrong-dtype"
    assert refused(lambda: b.cond(p, lambda: a, lambda: (a, a))).code == "branch-mismatch"
    assert refused(lambda: b.cond(p, lambda: a, lambda: f("stack")([a, a]))).code == "branch-mismatch"


def test_a_rule_of_ones_own() -> None:
    @b.custom_vjp(lambda ct, y, x, most: (np.minimum(np.maximum(ct, -most), most) * 10, None))
    def clip_grad(x: Any, most: Any) -> Any:
        return x * 1

    x = b.input("x", "f64[3]")
    y = clip_grad(x, 2.0)
    got = run({"y": y, "g": b.grad((y * np.array([1.0, 5.0, -7.0])).sum(), x)}, x=[1, 2, 3])
    np.testing.assert_allclose(got["y"], [1, 2, 3])
    np.testing.assert_allclose(got["g"], [10, 20, -20])
    assert refused(lambda: b.custom_vjp(lambda x: x, lambda ct, y, x: (ct, ct))(x)).code == "arity"


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_vmap_along_axes(axis: int) -> None:
    a, v = b.input("a", "f64[2, 3, 3]"), b.input("v", "f64[3]")
    A = np.random.default_rng(0).normal(size=(2, 3, 3)) + 3 * np.eye(3)
    V = np.arange(3.0)
    got = run({"y": b.vmap(np.linalg.solve, in_axes=(0, None), out_axes=axis)(a, v)}, a=A, v=V)["y"]
    np.testing.assert_allclose(got, np.stack([np.linalg.solve(m, V) for m in A], axis=axis))


@pytest.mark.parametrize("hook", [True, False])
def test_vmap_vectorised_and_as_a_loop(hook: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from dfg.frontend.builder import loops
    from dfg.passes.vmap import vectorise

    monkeypatch.setattr(loops, "VECTORISE", [vectorise] if hook else [])
    x, w = b.input("x", "f64[5, 2, 3]"), b.param("w", "f64[3, 3]", np.random.default_rng(0).normal(size=(3, 3)))
    scale = b.input("scale", "f64[5]")
    bodies = [
        lambda m, s: np.tanh(m @ w) * s,
        lambda m, s: np.sum(m, axis=1) + s,
        lambda m, s: m[1, ::-1] * m[0],
        lambda m, s: np.concatenate([m, m * s], axis=1).max(axis=0),
        lambda m, s: m.at[0, 1].add(s),
        lambda m, s: np.where(m > s, m, -m).reshape(3, 2),
        lambda m, s: b.scan(lambda c, row: (c + row * s, c), m[0], m)[1],
        lambda m, s: np.stack([w[0], m[0]]),
        lambda m, s: m[np.array([1, 0, 1])],
    ]
    X, S = np.random.default_rng(1).normal(size=(5, 2, 3)), np.arange(5.0)
    outputs: dict[str, Any] = {}
    for k, body in enumerate(bodies):
        outputs[f"all{k}"] = b.vmap(body)(x, scale)
        for i in range(5):
            outputs[f"one{k}_{i}"] = body(x[i], scale[i])
    loss = (b.vmap(bodies[0])(x, scale) ** 2).sum()
    direct = sum((bodies[0](x[i], scale[i]) ** 2).sum() for i in range(5))
    got = run({**outputs, "g": b.grad(loss, w), "d": b.grad(direct, w)}, x=X, scale=S)
    for k in range(len(bodies)):
        np.testing.assert_allclose(got[f"all{k}"], np.stack([got[f"one{k}_{i}"] for i in range(5)]), rtol=1e-12)
    np.testing.assert_allclose(got["g"], got["d"], rtol=1e-10)
    assert any(v.op.name == "scan" for v in b.program({"y": b.vmap(bodies[0])(x, scale)}).graph.values) is not hook


@pytest.mark.parametrize("hook", [True, False])
def test_vmap_of_derivatives_is_one_pass_and_what_a_loop_gives(hook: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from dfg.frontend.builder import loops
    from dfg.passes.vmap import vectorise

    monkeypatch.setattr(loops, "VECTORISE", [vectorise] if hook else [])
    x, w, y = b.input("x", "f64[n, 3]"), b.input("w", "f64[3]"), b.input("y", "f64[n]")
    v = b.input("v", "f64[n, 3]")

    def shared(row: Any, target: Any) -> Any:
        l = (np.tanh((row * w).sum()) - target) ** 2
        return b.grad(l, w)

    def second(row: Any) -> Any:
        l = (row**4).sum()
        s = (b.grad(l, row) ** 2 * w).sum()
        return b.grad(s, row)

    def chained(row: Any) -> Any:  # one target is computed from another
        u = b.pin(row * 2)
        l = (u**2 * w).sum()
        return b.grad(l, [u, w, row])

    def forward(row: Any, along: Any) -> Any:
        l = (np.sin(row) * w).sum()
        return b.jvp(l, row, along), b.hvp(l, row, along), b.vjp(np.exp(row), row, along)

    def stable(t: Any) -> Any:
        l = np.log(1 + np.exp(t))
        return b.grad(l, t)

    def dead(row: Any) -> Any:
        l = np.where(row > 0, np.log(row), 0).sum()
        return b.grad(l, row)

    def independent(row: Any) -> Any:
        l = (w * w).sum()
        return b.grad(l, w) + row

    per_row = b.vmap(shared)(x, y)
    penalty = (per_row**2).sum()
    made = {
        "shared": per_row, "second": b.vmap(second)(x), "stable": b.vmap(b.vmap(stable))(x * 1000), "dead": b.vmap(dead)(x),
        "independent": b.vmap(independent)(x), "outer": b.grad(penalty, w),
        **{f"chained{k}": t for k, t in enumerate(b.vmap(chained)(x))}, **{f"forward{k}": t for k, t in enumerate(b.vmap(forward)(x, v))},
    }
    assert any(t.op.name == "scan" for t in b.program(made).graph.values) is not hook
    rng = np.random.default_rng(3)
    X, W, Y, V = rng.normal(size=(5, 3)), rng.normal(size=3), rng.normal(size=5), rng.normal(size=(5, 3))
    with np.errstate(over="ignore"):  # e ** 1000, in the sigmoid
        got = run(made, x=X, w=W, y=Y, v=V)
    t = np.tanh(X @ W)
    slope = 2 * (t - Y) * (1 - t * t)
    outer = (2 * slope * (X * X).sum(1) * (2 * (1 - t * t) ** 2 - 4 * (t - Y) * t * (1 - t * t))) @ X
    wanted = {
        "shared": slope[:, None] * X, "second": 96 * W * X**5, "stable": 1.0 * (X > 0), "dead": np.where(X > 0, 1 / X, 0), "independent": 2 * W + X, "outer": outer,
        "chained0": 4 * X * W, "chained1": 4 * X**2, "chained2": 8 * X * W,
        "forward0": (np.cos(X) * W * V).sum(1), "forward1": -np.sin(X) * W * V, "forward2": np.exp(X) * V,
    }
    assert float(np.abs(X).min()) > 0.01  # so that 1000 x is far from 0
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-9, atol=1e-4 if name == "stable" else 1e-12, err_msg=name)


def test_a_record_of_parameters_is_a_dictionary() -> None:
    x = b.input("x", "f64[n, 3]")
    p = b.param("p", {"w": np.ones((3, 2)), "inner": {"b": 0.5}})
    l = ((x @ p["w"] + p["inner"]["b"]) ** 2).mean()
    g = b.grad(l, p)
    assert list(g) == ["w", "inner"] and list(g["inner"]) == ["b"]
    value, again = b.value_and_grad(l, [p, (p["w"],)])
    assert list(again[0]) == ["w", "inner"] and again[1][0].shape == p["w"].shape
    moved = {"w": p["w"] - 0.1 * g["w"], "inner": {"b": p["inner"]["b"] - 0.1 * g["inner"]["b"]}}
    made = b.program({"l": value, "g": g}, [(p, moved)])
    assert list(made.graph.roots.outputs) == ["l", "g.w", "g.inner.b"]
    assert sorted(made.graph.roots.updates) == ["p.inner.b", "p.w"]
    got = run({"l": l, "g": g}, x=np.ones((2, 3)))
    np.testing.assert_allclose(got["g.w"], np.full((3, 2), 3.5))
    np.testing.assert_allclose(got["g.inner.b"], 7.0)
    assert refused(lambda: b.program({"l": l}, [(p, {"w": p["w"]})])).code == "structure-mismatch"
    assert refused(lambda: b.param("q", {})).code == "bad-argument"
    assert refused(lambda: b.param("q", {"no name": 1.0})).code == "bad-argument"
    assert refused(lambda: b.param("q", {"w": "f64"}, {"w": 1.0})).code == "bad-argument"


def test_a_rule_that_takes_other_arguments_is_told() -> None:
    x = b.input("x", "f64[n]")
    told = refused(lambda: b.custom_vjp(lambda x: x, lambda ct: ct)(x))
    assert told.code == "arity" and "too many positional arguments" in told.message


def test_sizes_that_numpy_cannot_take() -> None:
    @b.function("x: f64[n]")
    def f_of(x: Any) -> Any:
        return x + np.ones(x.shape[0])

    told = refused(lambda: f_of.trace())
    assert told.code == "not-static"
    assert told.span is not None and "np.ones" in told.span.text
    assert "dfg.ones" in (told.help or "")
