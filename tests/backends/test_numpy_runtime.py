"""Running plans: sizes, conversions, errors, parameters and states, commit, threads."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from graphs import Body, Make, check, dims, loop, oracle, part_of, plan_of, same

from dfg.backends.numpy import NumpyRuntime
from dfg.codegen import numpy_source
from dfg.diagnostics import UserError
from dfg.diagnostics.codes import CODES
from dfg.dims import Facts, named
from dfg.ir import Graph, seal
from dfg.ops.base import OPS
from dfg.passes.planner import compile_plan
from dfg.source import Source, Span
from dfg.types import BOOL, F32, F64, I64, TensorType


def code_of(f: Callable[[], Any]) -> str:
    with pytest.raises(UserError) as caught:
        f()
    (first, *_) = caught.value.diagnostics
    assert first.code in CODES
    return first.code


def lesson(update: bool = False) -> Graph:
    m = Make()
    x, target = m.input("x", "n"), m.input("ystar", "n")
    w, b = m.param("w", value=0.5), m.param("b", value=2.0)
    y = m.f("exp", m.f("add", m.f("multiply", w, x), b))
    d = m.f("subtract", y, target)
    r = m.f("multiply", m.f("multiply", 2, d), y)
    dw, db = m.f("sum", m.f("multiply", r, x)), m.f("sum", r)
    step = {"w": m.f("subtract", w, m.f("multiply", 1e-3, dw)), "b": m.f("subtract", b, m.f("multiply", 1e-3, db))}
    return m.done({"l": m.f("sum", m.f("power", d, 2)), "dl_dw": dw, "dl_db": db}, step if update else {})


X, Y = np.array([0.5]), np.array([0.037371])


def test_the_lesson() -> None:
    out = NumpyRuntime(plan_of(lesson()))(x=X, ystar=Y)
    assert list(out) == ["l", "dl_dw", "dl_db"]
    assert [round(float(a), 4) for a in out.values()] == [89.3094, 89.6626, 179.3251]
    assert all(type(a) is np.ndarray and a.shape == () for a in out.values())


def test_outputs_are_fresh() -> None:
    runtime = NumpyRuntime(plan_of(lesson()))
    first = runtime(x=X, ystar=Y)
    kept = {n: a.copy() for n, a in first.items()}
    runtime(x=X + 1, ystar=Y)
    for n, a in first.items():
        np.testing.assert_array_equal(a, kept[n])


def test_raw_writes_into_the_callers_arrays() -> None:
    runtime = NumpyRuntime(plan_of(lesson()))
    outs = tuple(np.empty(()) for _ in range(3))
    for k in range(4):
        x = X + k
        assert runtime.raw(x, Y, out=outs) is not None
        want = runtime(x=x, ystar=Y)
        for a, b in zip(outs, want.values(), strict=True):
            np.testing.assert_array_equal(a, b)
        runtime.raw(x, Y, out=outs)
    assert runtime.stats.compiled == 1


def test_raw_into_strided_and_overlapping_arrays_is_right() -> None:
    m = Make()
    x = m.input("x", "n")
    y = m.f("exp", x)
    runtime = NumpyRuntime(plan_of(m.done({"y": y, "z": m.f("flip", m.f("sin", x), 0)})))
    given = np.linspace(0, 1, 6)
    both = np.zeros((6, 2))
    runtime.raw(given, out=(both[:, 0], both[:, 1]))
    np.testing.assert_allclose(both, np.stack([np.exp(given), np.sin(given)[::-1]], 1))
    inside = given.copy()
    runtime.raw(inside, out=(inside, np.empty(6)))
    np.testing.assert_allclose(inside, np.exp(given))


@pytest.mark.parametrize(
    "out",
    [(np.empty(3, "f4"),), (np.empty(4),), (np.broadcast_to(0.0, 3),), ([0, 0, 0],), (np.empty(3), np.empty(3))],
    ids=["dtype", "shape", "read-only", "list", "count"],
)
def test_raw_refuses_arrays_that_do_not_fit(out: tuple[Any, ...]) -> None:
    m = Make()
    runtime = NumpyRuntime(plan_of(m.done({"y": m.f("exp", m.input("x", "3"))})))
    assert code_of(lambda: runtime.raw(np.zeros(3), out=out)) == "bad-output"


# --- inputs ------------------------------------------------------------------------------------------------------------------------------


def test_wrong_inputs_are_told() -> None:
    runtime = NumpyRuntime(plan_of(lesson()), ["x", "ystar", "unused"])
    assert code_of(lambda: runtime(x=X)) == "missing-input"
    assert code_of(lambda: runtime(x=X, ystar=Y, ystra=Y)) == "surplus-input"
    assert code_of(lambda: runtime(x=X, ystar=Y, w=Y)) == "surplus-input"
    assert code_of(lambda: runtime(x=np.zeros((2, 2)), ystar=Y)) == "wrong-shape"
    assert code_of(lambda: runtime(x=np.zeros(2), ystar=Y)) == "wrong-shape"
    assert code_of(lambda: runtime(x=X.astype(complex), ystar=Y)) == "wrong-dtype"
    assert code_of(lambda: runtime(x=np.arange(2), ystar=np.zeros(2))) == "wrong-dtype"
    assert code_of(lambda: runtime(x=["a"], ystar=Y)) == "does-not-fit"
    assert code_of(lambda: runtime(x=[[1.0], [1.0, 2.0]], ystar=Y)) == "ragged-literal"
    runtime(x=X, ystar=Y, unused=3)
    with pytest.raises(UserError, match="did you mean `ystar`"):
        runtime(x=X, ystr=Y)
    with pytest.raises(UserError, match="`n` is 1 by axis 0 of `x`"):
        runtime(x=X, ystar=np.zeros(3))


def test_lossless_conversions_only() -> None:
    runtime = NumpyRuntime(plan_of(lesson()))
    want = runtime(x=X, ystar=Y)
    for x in ([0.5], (0.5,), np.array([0.5], np.float32), np.array([0.5], ">f8"), np.array([[0.5]])[0]):
        got = runtime(x=x, ystar=Y)
        np.testing.assert_array_equal(got["l"], want["l"])
    assert runtime(x=[1], ystar=[True])["l"].shape == ()
    assert runtime.stats.converted > 0


def test_written_integers_must_fit() -> None:
    m = Make()
    runtime = NumpyRuntime(plan_of(m.done({"y": m.f("add", m.input("k", "", OPS and I64), 1)})))
    assert runtime(k=5)["y"] == 6
    assert code_of(lambda: runtime(k=5.5)) == "does-not-fit"
    b = Make()
    flag = NumpyRuntime(plan_of(b.done({"y": b.f("logical_not", b.input("p", "", BOOL))})))
    assert flag(p=True)["y"].item() is False
    assert code_of(lambda: flag(p=1)) == "does-not-fit"


def test_sizes_from_arithmetic_in_shapes() -> None:
    m = Make()
    n = named("n")
    x = m.graph.emit(OPS["input"], (), ("x", TensorType(F64, (2 * n + 1,))))
    runtime = NumpyRuntime(plan_of(m.done({"y": m.f("exp", x)})))
    assert runtime(x=np.zeros(5))["y"].shape == (5,)
    assert code_of(lambda: runtime(x=np.zeros(4))) == "wrong-shape"


def test_facts_and_needs_are_verified_before_anything_runs() -> None:
    facts = Facts()
    facts.declare_name("n")
    facts.declare(named("n") % 2, "==", 0)
    facts.freeze()
    m = Make(facts)
    x = m.input("x", "n")
    s = m.state("s", value=0.0)
    window = OPS["slice"](x, starts=(2,), sizes=(2,), strides=(1,))
    runtime = NumpyRuntime(compile_plan(m.done({"y": window}, {"s": m.f("add", s, m.f("sum", window))})))
    assert runtime(x=np.arange(4.0))["y"].tolist() == [2.0, 3.0]
    before = runtime.state["s"].copy()
    assert code_of(lambda: runtime(x=np.arange(5.0))) == "unmet-size"
    assert code_of(lambda: runtime(x=np.arange(2.0))) == "unmet-size"
    np.testing.assert_array_equal(runtime.state["s"], before)


def test_fifty_sizes_bind_without_a_compilation() -> None:
    m = Make()
    x, y = m.input("x", "n m"), m.input("y", "m k")
    graph = m.done({"o": m.f("tanh", m.f("matmul", x, y)), "s": m.f("sum", m.f("exp", x), axis=0)})
    runtime = NumpyRuntime(plan_of(graph))
    rng = np.random.default_rng(0)
    for k in range(50):
        n, mm, kk = (int(s) for s in rng.integers(0, 2 if k % 3 == 0 else 9, 3))
        data = {"x": rng.normal(size=(n, mm)), "y": rng.normal(size=(mm, kk))}
        got = runtime.run(data)
        for name, want in oracle(graph, data).items():
            same(got[name], want, name)
    assert runtime.stats.compiled == 1
    assert runtime.stats.bound <= 50


def test_the_programs_own_failures_point_at_their_place() -> None:
    source = Source("p.dfg", "output y = x[i] + solve(a, b)\n")
    for form in ("function", "calls"):
        m = Make()
        m.graph.cursor = Span(source, 11, 15)
        taken = OPS["gather"](m.input("x", "n"), m.input("i", "k", I64), axes=(0,), batch=0)
        m.graph.cursor = Span(source, 18, 29)
        solved = OPS["solve"](m.input("a", "2 2"), m.input("b", "2 1"))
        m.graph.cursor = None
        plan = plan_of(m.done({"y": taken, "s": solved}))
        runtime = _forms(plan)[form]
        good = {"x": np.arange(3.0), "i": np.array([0, -3]), "a": np.eye(2), "b": np.ones((2, 1))}
        runtime.run(good)
        for change, code, text in (({"i": np.array([3])}, "out-of-bounds", "x[i]"), ({"a": np.ones((2, 2))}, "singular", "solve(a, b)")):
            with pytest.raises(UserError) as caught:
                runtime.run({**good, **change})
            (d,) = caught.value.diagnostics
            assert d.code == code and d.span is not None and d.span.text == text
        runtime.run(good)


def _forms(plan: Any) -> dict[str, NumpyRuntime]:
    result = {"function": NumpyRuntime(plan)}
    old, numpy_source.STRAIGHT = numpy_source.STRAIGHT, -1
    try:
        result["calls"] = NumpyRuntime(plan)
    finally:
        numpy_source.STRAIGHT = old
    return result


def test_no_warning_and_the_callers_error_state_stays() -> None:
    m = Make()
    x = m.input("x", "n")
    runtime = NumpyRuntime(plan_of(m.done({"y": m.f("log", x), "z": m.f("divide", x, x)})))
    with np.errstate(all="raise"):
        out = runtime(x=np.array([0.0, -1.0]))
        assert np.isneginf(out["y"][0]) and np.isnan(out["y"][1]) and np.isnan(out["z"][0])
        with pytest.raises(FloatingPointError):
            np.log(np.array([0.0]))


# --- parameters and states -------------------------------------------------------------------------------------------------------------


def test_training_steps_equal_the_oracle() -> None:
    graph = lesson(update=True)
    for runtime in _forms(compile_plan(graph)).values():
        kept = {"w": np.asarray(0.5), "b": np.asarray(2.0)}
        for _ in range(5):
            want = oracle(graph, {"x": X, "ystar": Y}, kept)
            got = runtime(x=X, ystar=Y)
            same(got["l"], want["l"])
            kept = {n: want[f"update {n}"] for n in kept}
            for n, a in kept.items():
                same(runtime.params[n], a, n)


def swapping() -> Graph:
    """Updates that read each other, keep, view and depend: a, b = b, a; c = flip(c); d = d; e = a + e."""
    m = Make()
    a, b, c, d, e = (m.state(n, "3", value=float(k)) for k, n in enumerate("abcde"))
    x = m.input("x", "3")
    return m.done({"y": m.f("add", a, x)}, {"a": b, "b": a, "c": m.f("flip", m.f("add", c, x), 0), "d": d, "e": m.f("add", m.f("multiply", a, 2), e)})


def test_all_right_sides_see_the_old_values() -> None:
    graph = swapping()
    for runtime in _forms(compile_plan(graph)).values():
        kept = {n: np.full(3, float(k)) for k, n in enumerate("abcde")}
        for k in range(4):
            x = np.arange(3.0) + k
            want = oracle(graph, {"x": x}, kept)
            got = runtime(x=x)
            same(got["y"], want["y"])
            kept = {n: want[f"update {n}"] for n in kept}
            for n, a in kept.items():
                same(runtime.state[n], a, n)


def test_an_update_of_one_kernel_is_made_in_place() -> None:
    m = Make()
    w, x = m.param("w", "n", value=1.0), m.input("x", "n")
    g = m.f("multiply", 0.1, m.f("exp", x))
    plan = compile_plan(m.done({"o": m.f("sum", m.f("multiply", w, x))}, {"w": m.f("subtract", w, g)}))
    assert [s.outs for s in plan.commit][-1] == (plan.kept["w"].array,)
    assert not any(s.kernel == "copy" for s in plan.commit)
    assert len(plan.slots) == 1


def test_adam_is_written_in_place_one_parameter_after_another() -> None:
    """Gradients live to the commit, as they must; the optimiser adds two temporaries for all parameters together."""
    m = Make()
    x = m.input("x", "n")
    updates, loss = {}, None
    for k in range(6):
        w, a, b = (m.state(f"{c}{k}", "n", value=0.5) for c in "wmv")
        g = m.f("exp", m.f("multiply", w, x))
        s = m.f("sum", g)
        loss = s if loss is None else m.f("add", loss, s)
        a2 = m.f("add", m.f("multiply", 0.9, a), m.f("multiply", 0.1, g))
        b2 = m.f("add", m.f("multiply", 0.99, b), m.f("multiply", 0.01, m.f("multiply", g, g)))
        w2 = m.f("subtract", w, m.f("divide", m.f("multiply", 0.01, m.f("divide", a2, 0.1)), m.f("add", m.f("sqrt", b2), 1e-8)))
        updates |= {f"w{k}": w2, f"m{k}": a2, f"v{k}": b2}
    graph = m.done({"l": loss}, updates)
    plan = compile_plan(graph)
    assert not any(s.kernel == "copy" for s in plan.commit)
    assert plan.memory({"n": 1000}).arena <= (6 + 3) * 8064
    for runtime in _forms(plan).values():
        kept = {n: np.full(5, 0.5) for n in updates}
        for k in range(3):
            want = oracle(graph, {"x": np.arange(5.0) / 5 - k}, kept)
            same(runtime(x=np.arange(5.0) / 5 - k)["l"], want["l"])
            kept = {n: want[f"update {n}"] for n in kept}
            for n, array in kept.items():
                same(runtime.state[n], array, n)


def test_updates_that_read_each_others_old_values_in_a_ring() -> None:
    m = Make()
    a, b, c = (m.state(n, "3", value=float(k + 1)) for k, n in enumerate("abc"))
    x = m.input("x")
    graph = m.done({"o": m.f("sum", a)}, {"a": m.f("add", m.f("multiply", a, b), x), "b": m.f("add", m.f("multiply", b, c), m.f("sin", a)), "c": m.f("subtract", c, a)})
    for runtime in _forms(compile_plan(graph)).values():
        kept = {n: np.full(3, float(k + 1)) for k, n in enumerate("abc")}
        for _ in range(3):
            want = oracle(graph, {"x": np.asarray(0.25)}, kept)
            runtime(x=0.25)
            kept = {n: want[f"update {n}"] for n in kept}
            for n, array in kept.items():
                same(runtime.state[n], array, n)


def test_initial_values_of_sizes_of_the_first_run() -> None:
    m = Make()
    x = m.input("x", "n")
    m.initials["w"] = m.f("full", (named("n"),), 2.0)
    w = m._leaf(OPS["param"], "w", "n", F64)
    m.initials["v"] = m.f("multiply", w, 3.0)
    v = m._leaf(OPS["state"], "v", "n", F64)
    runtime = NumpyRuntime(compile_plan(m.done({"y": m.f("add", v, x)}, {"v": m.f("add", v, w)})))
    assert code_of(lambda: runtime.params["w"]) == "dim-unbound"
    assert runtime(x=np.zeros(3))["y"].tolist() == [6.0] * 3
    assert runtime.state["v"].tolist() == [8.0] * 3
    assert code_of(lambda: runtime(x=np.zeros(4))) == "size-fixed"
    runtime.reset()
    assert runtime(x=np.zeros(4))["y"].tolist() == [6.0] * 4


def test_bind_shares_memory() -> None:
    for layout in ("plain", "strided"):
        runtime = NumpyRuntime(compile_plan(lesson(update=True)))
        store = np.zeros((2, 4))
        w = store[0, 1:2].reshape(()) if layout == "plain" else store[:, ::2][1, 1:].reshape(())
        w[...] = 0.5
        runtime.bind(w=w)
        runtime(x=X, ystar=Y)
        assert runtime.params["w"] is w and float(w) != 0.5
        w[...] = 0.25
        reference = NumpyRuntime(compile_plan(lesson(update=True)))
        reference.params["w"] = 0.25
        reference.params["b"] = runtime.params["b"]
        np.testing.assert_array_equal(runtime(x=X, ystar=Y)["l"], reference(x=X, ystar=Y)["l"])


def test_a_bound_array_of_any_strides_where_the_plan_wants_dense() -> None:
    m = Make()
    w, x = m.param("w", "2 3", value=1.0), m.input("x", "6")
    flat = m.f("reshape", w, (6,))
    runtime = NumpyRuntime(compile_plan(m.done({"o": m.f("multiply", flat, x)}, {"w": m.f("reshape", m.f("add", flat, x), (2, 3))})))
    assert runtime.plan.kept["w"].dense
    store = np.arange(12.0).reshape(3, 4)[:, ::2].T
    before = store.copy()
    runtime.bind(w=store)
    x_ = np.arange(6.0)
    np.testing.assert_array_equal(runtime(x=x_)["o"], before.reshape(-1) * x_)
    np.testing.assert_array_equal(store, before + x_.reshape(2, 3))
    store[...] = 0
    np.testing.assert_array_equal(runtime(x=x_)["o"], 0 * x_)


def test_bind_refuses() -> None:
    m = Make()
    w, v = m.param("w", "n", value=0.0), m.param("v", "n", value=0.0)
    runtime = NumpyRuntime(compile_plan(m.done({"o": m.f("sum", m.f("multiply", w, v)), "i": m.f("exp", m.input("x"))})))
    a = np.zeros(8)
    assert code_of(lambda: runtime.bind(w=np.zeros(3, np.float32))) == "wrong-dtype"
    assert code_of(lambda: runtime.bind(w=np.zeros((3, 1)))) == "wrong-shape"
    assert code_of(lambda: runtime.bind(w=np.broadcast_to(0.0, 3))) == "not-writable"
    assert code_of(lambda: runtime.bind(w=[0.0])) == "wrong-type"
    assert code_of(lambda: runtime.bind(w=a[:4], v=a[3:7])) == "overlap"
    assert code_of(lambda: runtime.bind(w=a[:3], v=a[3:7])) == "wrong-shape"
    assert code_of(lambda: runtime.bind(x=np.zeros(()))) == "surplus-input"
    assert code_of(lambda: runtime.bind(ww=np.zeros(3))) == "surplus-input"
    runtime.bind(w=a[:4], v=a[4:])
    assert code_of(lambda: runtime.bind(w=a[4:])) == "overlap"


# --- commit ------------------------------------------------------------------------------------------------------------------------------


def failing_last() -> Graph:
    """Three states whose updates are in place, copied and views, and a solve and an index that can fail after them in the text."""
    m = Make()
    s, t, u = m.state("s", "2", value=1.0), m.param("t", "2", value=2.0), m.state("u", "2", value=3.0)
    x = m.input("x", "2")
    first = m.f("add", s, x)
    updates = {"s": first, "t": m.f("multiply", m.f("sin", t), m.f("exp", x)), "u": m.f("flip", u, 0)}
    solved = OPS["solve"](m.input("a", "2 2"), m.f("reshape", x, (2, 1)))
    picked = OPS["gather"](x, m.input("i", "1", I64), axes=(0,), batch=0)
    return m.done({"y": solved, "z": picked}, updates)


GOOD = {"x": np.array([1.0, 2.0]), "a": np.eye(2), "i": np.array([1])}


@pytest.mark.parametrize("bad", [{"a": np.zeros((2, 2))}, {"i": np.array([2])}, {"i": np.array([-3])}])
def test_a_failing_run_changes_nothing(bad: dict[str, np.ndarray]) -> None:
    for runtime in _forms(compile_plan(failing_last())).values():
        runtime.run(GOOD)
        before = {n: a.copy() for n, a in {**runtime.params, **runtime.state}.items()}
        assert code_of(lambda runtime=runtime: runtime.run({**GOOD, **bad})) in ("singular", "out-of-bounds")
        for n, a in {**runtime.params, **runtime.state}.items():
            np.testing.assert_array_equal(a, before[n])
        runtime.run(GOOD)


def _interrupted_at(runtime: NumpyRuntime, line: int) -> bool:
    """Run with a KeyboardInterrupt at the n-th line event of generated or backend code. False if the run ended before."""
    seen = 0

    def trace(frame: Any, event: str, arg: Any) -> Any:
        nonlocal seen
        name = frame.f_code.co_filename
        if not (name.startswith("<dfg") or name.endswith(("backends/numpy.py", "backends/arena.py"))):
            return None
        if event == "line":
            seen += 1
            if seen == line:
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        runtime.run(GOOD)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.mark.parametrize("form", ["function", "calls"])
def test_an_interrupt_at_any_step_leaves_all_or_nothing(form: str) -> None:
    """Interrupts can only come where bytecode runs: at every line of all Python that a run executes."""
    graph = failing_last()
    line, after_commit = 1, 0
    while True:
        runtime = _forms(compile_plan(graph))[form]
        runtime.run(GOOD)
        before = {n: a.copy() for n, a in {**runtime.params, **runtime.state}.items()}
        hit = _interrupted_at(runtime, line)
        now = {**runtime.params, **runtime.state}
        changed = [n for n, a in now.items() if not np.array_equal(a, before[n])]
        assert len(changed) in (0, 2), (line, changed)  # `u` holds two equal elements, so that flipping it changes nothing
        after_commit += bool(changed)
        check_again = runtime.run(GOOD)
        assert set(check_again) == {"y", "z"}
        if not hit:
            break
        line += 1
    assert line > 10
    assert after_commit < line / 2


# --- threads -----------------------------------------------------------------------------------------------------------------------------


def test_eight_threads_give_the_serial_bits() -> None:
    m = Make()
    x = m.input("x", "t n")
    body = Body(m)
    h, row = body.arg(TensorType(F64, dims("n"))), body.arg(TensorType(F64, dims("n")))
    new = body.f("tanh", body.f("add", h, row))
    v, _ = loop(m, body, [m.f("sum", x, axis=0), x], [new, new], 1, 1, named("t"))
    graph = m.done({"h": part_of(v, 0), "s": m.f("sum", m.f("exp", part_of(v, 1)))})
    for runtime in _forms(plan_of(graph)).values():
        rng = np.random.default_rng(0)
        data = [rng.normal(size=(5 + k % 3, 40)) for k in range(8)]
        serial = [runtime(x=d) for d in data]
        wrong: list[str] = []

        def work(k: int, runtime: NumpyRuntime = runtime, data: list[np.ndarray] = data, serial: Any = serial, wrong: list[str] = wrong) -> None:
            for _ in range(60):
                got = runtime(x=data[k])
                wrong.extend(n for n, a in got.items() if a.tobytes() != serial[k][n].tobytes())

        threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not wrong


def test_updates_run_one_call_at_a_time() -> None:
    m = Make()
    s = m.state("s", "1000", value=0.0)
    runtime = NumpyRuntime(compile_plan(m.done({"o": m.f("sum", s)}, {"s": m.f("add", s, m.input("x"))})))
    threads = [threading.Thread(target=lambda: [runtime(x=1.0) for _ in range(50)]) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    np.testing.assert_array_equal(runtime.state["s"], np.full(1000, 400.0))


def test_unknown_outputs_are_told() -> None:
    assert code_of(lambda: compile_plan(lesson(), ["dl_wd"])) == "unknown-output"
    assert list(NumpyRuntime(compile_plan(lesson(), ["dl_db"], update=False))(x=X, ystar=Y)) == ["dl_db"]


def test_only_what_the_wanted_outputs_use_is_needed() -> None:
    m = Make()
    x, y = m.input("x", "n"), m.input("y", "n")
    graph = m.done({"a": m.f("exp", x), "b": m.f("exp", y)})
    assert list(NumpyRuntime(compile_plan(graph, ["a"]))(x=np.zeros(2))) == ["a"]


def test_f32_stays_f32() -> None:
    m = Make()
    x = m.input("x", "n", F32)
    check(m.done({"y": m.f("multiply", m.f("exp", x), 0.1)}), {"x": np.ones(3, np.float32)})


def test_a_while_that_reaches_its_limit_warns_once() -> None:
    m = Make()
    a = m.input("a")
    test, body = Body(m), Body(m)
    holds = test.f("less", test.arg(a.type), 10.0)
    twice = body.f("multiply", body.arg(a.type), 2.0)
    v = m.graph.emit(OPS["while"], (a,), (seal(test.graph, test.args, [holds])[0], seal(body.graph, body.args, [twice])[0], 3, 1))
    graph = m.done({"z": part_of(v, 0), "steps": part_of(v, 1)})
    for runtime in _forms(plan_of(graph)).values():
        assert runtime(a=5.0)["z"] == 10 and runtime(a=5.0)["steps"] == 1
        with pytest.warns(RuntimeWarning, match="after 3 steps") as said:
            assert runtime(a=1.0)["z"] == 8
        assert said[0].filename == __file__  # the caller's line, not one of ours nor of generated code
        assert runtime(a=1.0)["steps"] == 3
        assert [d.code for d in runtime.warnings] == ["while-limit"]
