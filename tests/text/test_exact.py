"""Exact text reads back to an equal graph, at every stage, and text that is wrong gets diagnostics and nothing else."""

from __future__ import annotations

import random
import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import graphs

from dfg.diagnostics import Sink, UserError
from dfg.diagnostics.codes import CODES
from dfg.dims import Facts, named
from dfg.frontend.exact import read_exact
from dfg.frontend.tables import tables
from dfg.ir import Const, Graph, Roots, digest, verify
from dfg.ops.base import OPS, Op, make_constant
from dfg.source import Source
from dfg.text import exact
from dfg.text.words import RESERVED
from dfg.tools.proof import build, cases_of, results_of
from dfg.types import DTYPES, F32, F64, I64, TensorType


def read(text: str, **options: object) -> Graph:
    sink = Sink()
    graph = read_exact(Source("a.dfg", text), sink, **options)  # type: ignore[arg-type]
    assert not sink.items, "\n".join(f"{d.span}: {d}" for d in sink.items) + "\n" + text
    return graph


def round_trip(graph: Graph) -> Graph:
    text = exact(graph)
    again = read(text)
    assert digest(again) == digest(graph)
    assert exact(again) == re.sub(r"  #:[^\n]*", "", text) or list(again.names) != list(graph.names)
    return again


@given(graphs())
@settings(max_examples=120)
def test_source_graphs(graph: Graph) -> None:
    verify(round_trip(graph), "source")


@given(graphs(calculus=True))
@settings(max_examples=60)
def test_graphs_with_derivatives_and_their_expansion(graph: Graph) -> None:
    from dfg.passes.cleanup import Cleanup
    from dfg.passes.differentiate import Differentiate

    round_trip(graph)
    try:
        expanded = Differentiate().run(graph)
    except UserError:
        return
    round_trip(expanded)
    verify(round_trip(Cleanup().run(expanded)), "differentiated")


@given(st.sampled_from(sorted(DTYPES)), st.lists(st.binary(min_size=8, max_size=8), max_size=4), st.booleans())
def test_constants_of_every_dtype_and_any_bits(dtype: str, data: list[bytes], scalar: bool) -> None:
    d = DTYPES[dtype]
    raw = b"".join(x[: d.size] for x in data)
    array = np.frombuffer(raw, np.uint8).copy()
    array = array % 2 == 1 if d.name == "bool" else array.view(d.np)
    if scalar and array.size:
        array = array[0].reshape(())
    g = Graph()
    g.roots.outputs["c"] = g.emit(OPS["constant"], (), (Const(array),))
    assert round_trip(g).roots.outputs["c"].attrs[0] == Const(array)


@given(st.floats(width=32))
def test_f32_text_is_read_the_same_through_f64_and_directly(x: float) -> None:
    g = Graph()
    v = make_constant(g, x, F32)
    g.roots.outputs["c"] = v
    text = re.search(r"constant\((.*)\)", exact(g)).group(1)  # type: ignore[union-attr]
    if "bits" not in text:
        assert np.array_equal(np.float32(float(text)), np.float32(x), equal_nan=True)
    round_trip(g)


def test_the_form() -> None:
    g = Graph()
    n = named("n")
    x = g.emit(OPS["input"], (), ("x", TensorType(F64, (n,))))
    w = g.emit(OPS["param"], (), ("w", TensorType(F64)))
    start = make_constant(g, 2, F64)
    g.literals[start.index] = "2"
    g.roots.initials["w"] = start
    y = x * OPS["broadcast"](w, shape=(n,), dims=())
    total = OPS["sum"](y, axes=(0,))
    g.names.update({"x": x, "w": w, "fc.y": y, "again": y})
    g.roots.outputs.update({"total": total, "fc.y": y})
    g.roots.updates["w"] = total
    g.casts[total.index] = "a reason"
    assert exact(g) == """default exact
input x : f64[n]
param w : f64 = v2
v2 : f64 = constant(2)
v3 : f64[n] = broadcast(w, shape=[n], dims=[])
fc.y : f64[n] = multiply(x, v3)
again = fc.y
v5 : f64 = sum(fc.y, axes=[0])  #: a reason
output total = v5
output fc.y
update w = v5
"""
    back = round_trip(g)
    assert {k: v.index for k, v in back.names.items()} == {k: v.index for k, v in g.names.items()}
    assert back.literals == {2: "2"}


def test_names_that_look_like_indices_are_not_mistaken() -> None:
    g = Graph()
    x = g.emit(OPS["input"], (), ("v3", TensorType(F64)))
    a = OPS["tanh"](x)
    b = OPS["exp"](a)
    c = OPS["sin"](b)
    g.names.update({"v2": a, "v_1": c})
    g.roots.outputs["v0"] = b
    back = round_trip(g)
    assert back.names["v2"].index == a.index and back.names["v_1"].index == c.index


def test_roots_with_hostile_names_and_any_order() -> None:
    g = Graph()
    w = g.emit(OPS["param"], (), ("w", TensorType(F64)))
    s = g.emit(OPS["state"], (), ("s", TensorType(F64)))
    odd = g.emit(OPS["input"], (), ("my input", TensorType(F64)))
    word = g.emit(OPS["input"], (), ("scan", TensorType(F64)))
    total = w + s + odd + word
    g.roots.initials.update({"s": make_constant(g, 1.0, F64), "w": make_constant(g, 2.0, F64), "gone": make_constant(g, 3.0, F64)})
    g.roots.outputs.update({"my loss": total, "if": w})
    g.names.update({"a name": total, "input": s})
    round_trip(g)


def test_facts_and_needs() -> None:
    facts = Facts()
    n, m = named("n"), named("m")
    facts.declare_name("m")
    facts.declare(n, "==", m)
    facts.declare(n % 4, "==", 0)
    facts.declare(n, ">=", 8)
    facts.freeze()
    g = Graph(facts)
    x = g.emit(OPS["input"], (), ("x", TensorType(F64, (facts.normal(n), 3))))
    g.need(n, 48, 'a slice "ends" inside')
    g.roots.outputs["y"] = OPS["max"](x, axes=(0, 1))
    back = round_trip(g)
    assert list(back.needs) == list(g.needs)
    assert [str(f) for f in back.facts.declared] == [str(f) for f in facts.declared]
    assert back.facts.normal(n) == m and facts.normal(n) == m


def test_large_constants_go_beside(tmp_path: object) -> None:
    g = Graph()
    big = make_constant(g, np.arange(65.0), F64)
    small = make_constant(g, np.arange(64), I64)
    g.roots.outputs.update({"a": big, "b": small})
    arrays: dict[str, np.ndarray] = {}
    text = exact(g, arrays, "weights.npz")
    assert 'load("weights.npz:c0")' in text and list(arrays) == ["c0"]
    assert digest(read(text, load=lambda where: arrays[where.split(":")[1]])) == digest(g)
    np.savez(f"{tmp_path}/weights.npz", **arrays)
    sink = Sink()
    assert digest(read_exact(Source(f"{tmp_path}/a.dfg", text), sink)) == digest(g) and not sink.items
    for where in ("../weights.npz:c0", "weights.npz:c9", "none.npz:c0", "weights.npz", "/etc/passwd:x"):
        sink = Sink()
        read_exact(Source(f"{tmp_path}/a.dfg", text.replace("weights.npz:c0", where)), sink)
        assert [d.code for d in sink.items] in (["unreadable-file"], ["no-such-file"]), where


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("a : f64 = tahn(x)", "unknown-op"),
        ("a : f64 = tanh(xx)", "unknown-name"),
        ("a : f32[n] = tanh(x)", "exact-type"),
        ("a : f64[n] = add(x)", "arity"),
        ("a : f64 = sum(x)", "missing-argument"),
        ("a : f64 = sum(x, axes=[0], keepdims=true)", "surplus-argument"),
        ("a : f64 = sum(x, axes=[1])", "bad-argument"),
        ("a : f64 = sum(x, axes=[n])", "bad-exact"),
        ("a : f64 = sum(x, axes=0)", "bad-exact"),
        ("a : f64[n] = tanh(1.0)", "bad-exact"),
        ("a : f64[2] = constant([1.0])", "bad-exact"),
        ("a : f64 = constant(1.0, 2.0)", "bad-exact"),
        ("a : u8 = constant(256)", "literal-overflow"),
        ("a : i64 = constant(1.5)", "bad-exact"),
        ("a : bool = constant(1)", "bad-exact"),
        ("a : f64 = constant(bits(f32, 0x7fc00001))", "bad-exact"),
        ("a : f64 = constant(bits(f64, 0x17fc000010000000000))", "literal-overflow"),
        ("a : f64[-3] = constant([])", "bad-exact"),
        ("a : f65 = constant(1.0)", "unknown-dtype"),
        ("a : f64[n, n] = contract(x, x, subs=\"nonsense\")", "bad-exact"),
        ("a : f64[n // 0] = broadcast(x, shape=[n // 0], dims=[0])", "bad-exact"),
        ('a : (f64,) = scan_(x, body="b", length=n, carries=1, xs=0, reverse=false)', "unknown-name"),
        ("a = x\na = x", "duplicate-name"),
        ("a : f64[n] = tanh(x)\nb : f64[n] = tanh(x)", "bad-exact"),
        ("a : f64[n] = x", "bad-exact"),
        ("a = x + x", "bad-exact"),
        ("a, b = x, x", "bad-exact"),
        ("_ = why(x)", "bad-exact"),
        ('_ = root("outputs", "y", x)', "bad-exact"),
        ("output x\noutput x", "duplicate-name"),
        ("def f(x) = x", "bad-exact"),
        ('group "b" {\n  a : f64 = arg(position=0)\n  b : f64 = input_(name="q")\n  yield a\n}\ngroup "b" {\n  a : f64 = arg(position=0)\n  yield a\n}', "duplicate-name"),
        ("param w : f64 = nothing", "unknown-name"),
        ("dim n >= 4\ndim n < 4", "dim-contradiction"),
        ('a : f64 = constant(load("../secret.npz:c0"))', "unreadable-file"),
        ("a : f64[n] = part(x, index=0)", "bad-argument"),
        ("a : f64[n] = trace(x, index=0)", "bad-argument"),
    ],
)
def test_what_is_wrong_is_said_once(line: str, code: str) -> None:
    sink = Sink()
    read_exact(Source("a.dfg", f"default exact\ninput x : f64[n]\n{line}\nafter : f64[n] = exp(a)\nlater : f64[n] = exp(after)\n" if line.startswith("a :") else (
        f"default exact\ninput x : f64[n]\n{line}\n")), sink)
    assert [d.code for d in sink.items] == [code], [str(d) for d in sink.items]
    assert code in CODES
    assert all(d.span is not None for d in sink.items)


@given(graphs(steps=6), st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_mangled_text_gets_diagnostics_and_never_a_traceback(graph: Graph, rng: random.Random) -> None:
    text = exact(graph)
    tokens = re.findall(r"\w+|[^\w\s]|\s+", text)
    pieces = ["v1", "n", "0", "-1", "[", "]", "(", ")", "{", "}", ",", "=", ":", "f64", "1e999", "none", '"b1"', "arg", "true", "scan_", "\n", "x"]
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(tokens))
        match rng.randrange(4):
            case 0:
                del tokens[at]
            case 1:
                tokens.insert(at, rng.choice(pieces))
            case 2:
                tokens[at] = rng.choice(pieces)
            case _:
                other = rng.randrange(len(tokens))
                tokens[at], tokens[other] = tokens[other], tokens[at]
    sink = Sink()
    again = read_exact(Source("a.dfg", "".join(tokens)), sink)
    if not sink.errors:
        verify(again, "source")
    for d in sink.items:
        assert d.code in CODES


def test_a_hundred_thousand_values_in_seconds() -> None:
    g = Graph()
    x = g.emit(OPS["input"], (), ("x", TensorType(F64, (named("n"),))))
    v = OPS["tanh"](x)
    for k in range(100_000):
        v = v + x if k % 2 else OPS["tanh"](v)
    g.roots.outputs["y"] = v
    start = time.perf_counter()
    text = exact(g)
    assert time.perf_counter() - start < 60
    small = "\n".join(text.split("\n")[:20_000]) + "\n"
    assert len(read(small)) == 19_999


def test_deep_nesting_of_loops() -> None:
    from dfg.ir import Subgraph

    inner: Subgraph | None = None
    for _ in range(3000):
        h = Graph()
        a = h.emit(OPS["arg"], (), (0, TensorType(F64)))
        out = OPS["tanh"](a) if inner is None else h.emit(OPS["part"], (h.emit(OPS["scan"], (a,), (inner, 1, 1, 0, False)),), (0,))
        inner = Subgraph(h, (a,), (out,))
    g = Graph()
    x = g.emit(OPS["input"], (), ("x", TensorType(F64)))
    g.roots.outputs["y"] = g.emit(OPS["part"], (g.emit(OPS["scan"], (x,), (inner, 2, 1, 0, True)),), (0,))
    round_trip(g)


def test_reserved_words_are_those_of_the_grammar() -> None:
    assert frozenset(tables().reserved) == RESERVED


def test_a_program_of_exact_text_loads_like_any_other() -> None:
    from dfg.frontend.lowering import load_text

    source = load_text("input x : f64[n]\ninput on : bool = true\nparam w : f64 = 2\nl = sum(x * w)\noutput g = grad(l, w)\noutput y = where(on, l, 0)\n").graph
    program = load_text(exact(source))
    assert digest(program.graph) == digest(source)
    assert list(program.inputs) == ["x", "on"] and list(program.params) == ["w"] and program.dims == ("n",)
    with pytest.raises(UserError, match="unknown-op"):
        load_text("default exact\nx : f64 = nonsense()\n")


@pytest.mark.parametrize("op", [op for op in OPS.values() if op.samples is not None], ids=lambda op: op.name)
def test_every_op_with_every_form_of_its_attributes(op: Op) -> None:
    """Attributes are numbers, words, lists of either, and nothing: each is read as it was."""
    seen = set()
    for case in cases_of(op):
        if case.attrs in seen:
            continue
        seen.add(case.attrs)
        graph, _, y = build(op, case)
        graph.roots = Roots({f"y{k}": v for k, v in enumerate(results_of(y))}, {}, {})
        again = round_trip(graph)
        assert [v.attrs for v in again.values] == [v.attrs for v in graph.values]
