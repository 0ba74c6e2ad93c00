"""The NumPy backend against the interpreter: random programs and loops, sizes 0 and 1, odd layouts, the list of calls as well as the one function."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Body, Make, Random, check, dims, loop, oracle, part_of, plan_of, random_cond, random_loop, same, trace_of

from dfg.backends.numpy import NumpyRuntime
from dfg.codegen import numpy_source
from dfg.codegen.numpy_source import source_of
from dfg.dims import named
from dfg.ir import Roots
from dfg.ops.base import OPS
from dfg.ops.calculus import emit_grad
from dfg.ops.leaf import make_pin
from dfg.ops.surface import Literal
from dfg.passes import lowering
from dfg.passes.manager import PIPELINE, run_pipeline
from dfg.passes.planner import compile_plan
from dfg.types import BOOL, F32, F64, I32, I64, U8, TensorType


@pytest.fixture(params=["function", "calls"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "calls":
        monkeypatch.setattr(numpy_source, "STRAIGHT", -1)
    return str(request.param)


@pytest.fixture(params=[0, 1 << 60], ids=["masks", "copies"])
def masked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(lowering, "MASKED", request.param)
    return int(request.param)


@pytest.mark.parametrize("seed", range(20))
def test_random_programs(seed: int, form: str, masked: int) -> None:
    r = Random(seed)
    r.grow(35)
    graph = r.finish()
    runtime = None
    for k, (n, m) in enumerate([(4, 5), (3, 3), (0, 2), (1, 1), (2, 0), (5, 1), (2, 7)]):
        runtime = check(graph, r.data(n, m, 2, k % 4), runtime)


@pytest.mark.filterwarnings("ignore:warning.while-limit")
@pytest.mark.parametrize("seed", range(25))
def test_random_loops_and_branches(seed: int, form: str, masked: int) -> None:
    rng = np.random.default_rng(seed)
    m = Make()
    pool = [m.input("x", "n m"), m.input("y", "n m"), m.input("z", "m"), m.input("w", "m"), m.input("s")]
    pool += [m.f("tanh", pool[2]), m.f("exp", pool[4]), m.f("sin", pool[0])]
    for _ in range(2):
        pool += random_loop(rng, m, pool)
        pool += random_cond(rng, m, pool)
    graph = m.done({f"o{k}": v for k, v in enumerate(pool[8:])})
    runtime = None
    for n, k in [(3, 2), (1, 1), (0, 3), (4, 0), (2, 3)]:
        data = {"x": rng.normal(size=(n, k)), "y": rng.normal(size=(n, k)), "z": rng.normal(size=k), "w": rng.normal(size=k), "s": np.asarray(rng.normal())}
        runtime = check(graph, data, runtime)


@pytest.mark.parametrize("name", sorted(n for n, op in OPS.items() if op.samples is not None and op.evaluate is not None and not op.calculus))
def test_every_sample_of_every_op(name: str) -> None:
    """Samples of the definitions, all results of an op as outputs; operands are inputs, so that no step may write them."""
    op = OPS[name]
    assert op.samples is not None
    for case in op.samples(np.random.default_rng(1)):
        m = Make()
        operands = [m.graph.emit(OPS["input"], (), (f"x{k}", TensorType(_dtype(a), a.shape))) for k, a in enumerate(case.operands)]
        v = m.graph.emit(op, tuple(operands), op.pack(dict(case.attrs)))
        outs = {"o": v} if isinstance(v.type, TensorType) else {f"o{k}": part_of(v, k) for k in range(len(v.type.items))}
        check(m.done(outs), {f"x{k}": a for k, a in enumerate(case.operands)})


def _dtype(a: np.ndarray) -> object:
    return {np.dtype(d.np): d for d in (BOOL, U8, I32, I64, F32, F64)}[a.dtype]


@pytest.mark.parametrize("subs", ["abc,acd->abd", "abc,acd->dab", "abcd,becd->abe", "abc,bac->cb", "ab,cb->ca", "abc,cbd->ad", "ab,ab->", "ab,cd->dbca", "abc,adc->bad", "a,ba->b", "abcd,acd->ab"])
@pytest.mark.parametrize("kind", ["plain", "permuted", "flipped", "broadcast", "integer"])
def test_contractions_of_views(subs: str, kind: str) -> None:
    rng = np.random.default_rng(len(subs))
    m = Make()
    left, right = subs.split("->")[0].split(",")
    dtype = I64 if kind == "integer" else F64
    values, data = [], {}
    for name, letters in (("x", left), ("y", right)):
        order = letters[::-1] if kind == "permuted" else letters
        if kind == "broadcast" and len(letters) > 1:
            order = letters[1:]
        v = m.input(name, " ".join(order), dtype)
        shape = [2 + "abcde".index(c) for c in order]
        data[name] = rng.integers(-3, 4, shape) if kind == "integer" else rng.normal(size=shape)
        if kind == "permuted":
            v = m.f("permute_dims", v, tuple(range(len(letters)))[::-1])
        if kind == "flipped":
            v = m.f("flip", v, 0)
        if kind == "broadcast" and len(letters) > 1:
            v = m.f("broadcast_to", v, tuple(named(c) for c in letters))
        values.append(v)
    out = m.f("einsum", subs, *values)
    if kind == "broadcast":
        m.input("size_" + left[0], left[0])
        data["size_" + left[0]] = np.zeros(2 + "abcde".index(left[0]))
        unused = m.graph.names["size_" + left[0]]
        also = {"u": m.f("sum", unused)}
        if right[0] != left[0] and len(right) > 1:
            extra = m.input("size_" + right[0], right[0])
            data["size_" + right[0]] = np.zeros(2 + "abcde".index(right[0]))
            also["w"] = m.f("sum", extra)
    else:
        also = {}
    check(m.done({"o": out, **also}), data)


def test_matmul_of_dense_operands_copies_nothing() -> None:
    """A product, its transposed operands and heads of attention are one matmul each over views."""
    m = Make()
    q, k = m.input("q", "b t h d"), m.input("k", "b t h d")
    scores = m.f("einsum", "bthd,bshd->bhts", q, k)
    mixed = m.f("einsum", "bhts,bshd->bthd", scores, k)
    plan = plan_of(m.done({"o": mixed}))
    assert [s.kernel for s in plan.steps if s.kernel != "view"] == ["matmul", "matmul"]
    assert len(plan.slots) == 1


def test_indices_wrap_and_are_checked_on_every_axis() -> None:
    m = Make()
    x, i, j = m.input("x", "n m 2"), m.input("i", "k", I64), m.input("j", "k", I64)
    taken = OPS["gather"](x, i, j, axes=(0, 1), batch=0)
    put = OPS["scatter"](x, taken, j, i, axes=(0, 1), batch=0, mode="set")
    second = OPS["gather"](x, i, axes=(1,), batch=0)
    graph = m.done({"a": taken, "b": put, "c": second})
    rng = np.random.default_rng(0)
    check(graph, {"x": rng.normal(size=(4, 4, 2)), "i": np.array([-4, 3, 0, -1]), "j": np.array([3, -4, 0, 0])})


def test_an_update_window_is_written_in_place_only_when_the_old_value_is_dead() -> None:
    m = Make()
    x, u = m.input("x", "n 4"), m.input("u", "n 2")
    y = m.f("exp", x)
    dead = OPS["update"](y, u, starts=(0, 1), strides=(1, 2))
    alive = OPS["update"](m.f("sin", x), m.f("cos", u), starts=(0, 0), strides=(1, 1))
    graph = m.done({"a": m.f("sum", dead), "b": m.f("sum", m.f("multiply", alive, y)), "c": alive})
    check(graph, {"x": np.random.default_rng(0).normal(size=(3, 4)), "u": np.ones((3, 2))})


def test_in_place_only_where_memory_is_walked_alike() -> None:
    m = Make()
    x = m.input("x", "n n")
    y = m.f("exp", x)
    graph = m.done({"o": m.f("add", y, m.f("flip", y, 0)), "p": m.f("subtract", m.f("permute_dims", m.f("tanh", y), (1, 0)), m.f("tanh", y))})
    check(graph, {"x": np.random.default_rng(0).normal(size=(5, 5))})


def test_where_takes_dying_operands_and_keeps_every_bit(masked: int) -> None:
    m = Make()
    x, y = m.input("x", "n"), m.input("y", "n")
    a, b = m.f("exp", x), m.f("exp", y)
    graph = m.done({"o": m.f("where", m.f("less", x, y), a, b), "p": m.f("where", m.f("less", a, b), m.f("tanh", a), b)})
    check(graph, {"x": np.random.default_rng(0).normal(size=9), "y": np.random.default_rng(1).normal(size=9)})


def test_a_carry_that_is_yielded_is_never_copied() -> None:
    m = Make()
    x, h0, w = m.input("x", "t n"), m.input("h0", "n"), m.input("w", "n n")
    body = Body(m)
    h, row, ww = body.arg(h0.type), body.arg(TensorType(F64, dims("n"))), body.arg(w.type)
    new = body.f("tanh", body.f("add", body.f("einsum", "i,ij->j", h, ww), row))
    v, mapping = loop(m, body, [h0, x, w], [new, new], 1, 1, named("t"))
    graph = m.done({"h": part_of(v, 0), "hs": part_of(v, 1), "old": trace_of(v, mapping[h.index])})
    plan = plan_of(graph)
    (step,) = [s for s in plan.steps if s.inner is not None]
    assert [c.mode for c in step.inner.carries] == ["follow"]
    rng = np.random.default_rng(0)
    check(graph, {"x": rng.normal(size=(6, 3)), "h0": rng.normal(size=3), "w": rng.normal(size=(3, 3))})


def test_only_traces_that_are_used_are_stored() -> None:
    m = Make()
    x = m.input("x", "t n")
    body = Body(m)
    row = body.arg(TensorType(F64, dims("n")))
    inner = body.f("exp", row)
    out = body.f("sum", inner)
    v, mapping = loop(m, body, [x], [out, inner], 0, 1, named("t"))
    plan = plan_of(m.done({"s": part_of(v, 0)}))
    assert not any(a.type.rank == 2 and a.kind in ("slot", "output") for a in plan.arrays)
    with_trace = plan_of(m.done({"s": part_of(v, 0), "t": trace_of(v, mapping[inner.index])}))
    assert sum(a.type.rank == 2 and a.kind == "output" for a in with_trace.arrays) == 1


def test_loops_nested_deeper_than_python_nests_blocks() -> None:
    m = Make()
    x = m.input("x", "n")

    def nest(outer: Make, value: object, depth: int) -> object:
        body = Body(outer)
        a = body.arg(x.type)
        inside = nest(body.inner, a, depth - 1) if depth else body.f("add", a, 1.0)
        v, _ = loop(outer, body, [value], [inside], 1, 0, 1)  # type: ignore[list-item]
        return part_of(v, 0)

    graph = m.done({"o": nest(m, x, 30)})  # type: ignore[dict-item]
    check(graph, {"x": np.arange(3.0)})


def test_what_depends_on_sizes_alone_is_computed_once() -> None:
    m = Make()
    x = m.input("x", "n")
    graph = m.done({"o": m.f("mean", x)})
    plan = plan_of(graph)
    assert [s.op.name for s in plan.steps] == ["sum", "divide"]
    check(graph, {"x": np.arange(4.0)})
    assert np.isnan(NumpyRuntime(plan).run({"x": np.zeros(0)})["o"])


def test_one_value_under_two_names_an_input_and_views_as_outputs_are_copied() -> None:
    m = Make()
    x, w = m.input("x", "n m"), m.param("w", "m", value=1.0)
    y = m.f("exp", x)
    graph = m.done({"a": y, "b": y, "c": x, "d": m.f("permute_dims", y, (1, 0)), "e": w, "f": m.f("flip", x, 0)})
    runtime = NumpyRuntime(plan_of(graph))
    given = np.random.default_rng(0).normal(size=(2, 3))
    out = runtime.run({"x": given})
    want = oracle(graph, {"x": given}, {"w": np.ones(3)})
    arrays = [given, runtime.params["w"], *out.values()]
    for name, a in out.items():
        same(a, want[name], name)
    for k, a in enumerate(arrays):
        for b in arrays[k + 1 :]:
            assert not np.shares_memory(a, b)


def test_the_source_names_what_the_program_names() -> None:
    m = Make()
    x = m.input("x", "n")
    weights = m.param("layer.w", value=2.0)
    y = m.f("exp", m.f("multiply", x, weights))
    text = source_of(plan_of(m.done({"lambda": m.f("sum", y), "np": y})))
    assert "layer_w" in text and "lambda_" in text and "np_" in text
    assert "np.exp(s0, np_)" in text


def test_integers_and_f32_keep_their_dtype() -> None:
    m = Make()
    a, b = m.input("a", "n", I32), m.input("b", "n", F32)
    u = m.input("u", "n", U8)
    graph = m.done({
        "s": OPS["sum"](a, axes=(0,)), "w": OPS["sum"](u, axes=(0,)), "t": m.f("sum", b), "m": m.f("multiply", b, 2.0), "k": m.f("add", a, 3),
        "p": m.f("power", u, 2), "mx": m.f("max", a), "d": m.f("einsum", "i,i->", a, a),
    })
    check(graph, {"a": np.array([2**30, 2**30, 2**30, 5], np.int32), "b": np.ones(4, np.float32) / 3, "u": np.array([200, 100, 3, 0], np.uint8)})


def test_literals_are_not_promoted_by_numpy() -> None:
    m = Make()
    b = m.input("b", "", F32)
    out = NumpyRuntime(plan_of(m.done({"o": m.f("multiply", b, Literal.of(1e-30))}))).run({"b": np.float32(1e-10)})
    assert out["o"].dtype == np.float32


@pytest.mark.parametrize("seed", range(40))
def test_random_updates(seed: int, form: str) -> None:
    """States that are updated from each other, from inputs and from random arithmetic, several runs in a row."""
    rng = np.random.default_rng(seed)
    m = Make()
    names = ["p", "q", "r", "s"]
    x, z = m.input("x", "n"), m.input("z")
    states = [m.state(n, "n") for n in names[:3]] + [m.state("s", "")]
    pool = [*states, x, z]
    for _ in range(int(rng.integers(2, 25))):
        a, b = (pool[int(rng.integers(max(0, len(pool) - 8), len(pool)))] for _ in range(2))
        kind = int(rng.integers(8))
        if kind <= 3:
            v = m.f(str(rng.choice(["add", "multiply", "subtract", "maximum"])), m.f("tanh", a) if kind == 3 else a, m.f("tanh", b) if kind else b)
        elif kind == 4:
            v = m.f("power", m.f("tanh", a), float(rng.choice([2, 3, 1])))
        elif kind == 5:
            v = m.f("flip", a, 0) if a.rank else m.f("sin", a)
        elif kind == 6:
            v = m.f("mean", a) if a.rank else m.f("cos", a)
        else:
            v = m.f("where", m.f("less", a, b), a, b)
        pool.append(v)
    updates = {}
    for n, s in zip(names, states, strict=True):
        options = [v for v in pool if v.type == s.type]
        if rng.random() < 0.85:
            updates[n] = options[int(rng.integers(max(0, len(options) - 5), len(options)))]
    if not updates:
        updates = {"s": m.f("add", states[3], 1.0)}
    graph = m.done({"o": pool[-1]} if rng.random() < 0.7 else {"o": pool[int(rng.integers(len(pool)))], "u": next(iter(updates.values()))}, updates)
    runtime = NumpyRuntime(compile_plan(graph))
    kept = {n: rng.normal(size=4 if n != "s" else ()) for n in names}
    runtime.bind(**{n: np.array(a) for n, a in kept.items()})
    for _ in range(3):
        data = {"x": rng.normal(size=4), "z": np.asarray(rng.normal())}
        want = oracle(graph, data, kept)
        used = {f.name for f in runtime.plan.inputs}
        got = runtime.run({n: a for n, a in data.items() if n in used})
        for name, a in got.items():
            same(a, want[name], f"{name}\n{runtime.plan}")
        kept = {n: want.get(f"update {n}", kept[n]) for n in names}
        for n in updates:
            same(runtime.state[n], kept[n], f"{n}\n{runtime.plan}")


@pytest.mark.filterwarnings("ignore:warning.while-limit")
@pytest.mark.parametrize("seed", range(12))
def test_gradients_of_random_loops_and_branches(seed: int, form: str) -> None:
    """What differentiation makes of loops: traces, reverse loops with many carries, loops that run fewer steps, branches."""
    rng = np.random.default_rng(seed)
    m = Make()
    leaves = [m.input("x", "n m"), m.input("z", "m"), m.input("s")]
    pins = [make_pin(v) for v in leaves]
    pool = [pins[0], m.input("y", "n m"), pins[1], m.input("w", "m"), pins[2]]
    pool += [m.f("tanh", pins[1]), m.f("exp", pins[2]), m.f("sin", pins[0])]
    for _ in range(2):
        pool += random_loop(rng, m, pool)
        pool += random_cond(rng, m, pool)
    loss = m.f("sum", pool[7])
    for v in pool[8:]:
        if v.dtype is F64:
            loss = m.f("add", loss, m.f("sum", m.f("tanh", v)) if v.rank else m.f("tanh", v))
    m.graph.roots = Roots({"l": loss, **{f"g{k}": g for k, g in enumerate(emit_grad(loss, pins))}})
    graph = run_pipeline(m.graph, PIPELINE)
    runtime = None
    for n, k in [(3, 2), (1, 1), (0, 3), (4, 0)]:
        data = {"x": rng.normal(size=(n, k)), "y": rng.normal(size=(n, k)), "z": rng.normal(size=k), "w": rng.normal(size=k), "s": np.asarray(rng.normal())}
        runtime = check(graph, data, runtime)


@pytest.mark.parametrize("dtype", [F32, F64, I32, I64, U8, BOOL])
def test_choices_keep_every_bit(dtype: object, masked: int) -> None:
    """NaNs with a payload, signed zeros and infinities come through, and what is not chosen leaves nothing."""
    m = Make()
    c = m.input("c", "n", BOOL)
    a, b = m.input("a", "n", dtype), m.input("b", "n", dtype)  # type: ignore[arg-type]
    zero = OPS["broadcast"](m.surface.literal(Literal.of(False), dtype), shape=a.shape, dims=())  # type: ignore[arg-type]
    where = OPS["where"]
    graph = m.done({"x": where(c, a, b), "y": where(c, a, zero), "z": where(c, zero, b)})
    raw = np.random.default_rng(0).integers(0, 2, 64).astype(np.uint8) if dtype is BOOL else np.random.default_rng(0).integers(0, 256, 512, np.uint8)
    values = raw.view(dtype.np)  # type: ignore[attr-defined]
    a_, b_ = values[:16].copy(), values[16:32].copy()
    if values.dtype.kind == "f":
        a_[:4], b_[:4] = [np.nan, -0.0, np.inf, -np.inf], [-0.0, np.nan, -np.inf, 1]
    c_ = np.arange(16) % 3 == 0
    out = NumpyRuntime(plan_of(graph)).run({"a": a_, "b": b_, "c": c_})
    for name, want in (("x", np.where(c_, a_, b_)), ("y", np.where(c_, a_, np.zeros_like(a_))), ("z", np.where(c_, np.zeros_like(a_), b_))):
        assert out[name].tobytes() == want.tobytes(), name
