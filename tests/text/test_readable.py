"""Readable text is a program whose values are those of the graph it was printed from, and it looks as one would write it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import agree, feed, graphs, grow, outcome

from dfg.diagnostics import UserError
from dfg.dims import named, names
from dfg.frontend.lowering import Lowered, load_text
from dfg.ir import Graph, Value
from dfg.ops.base import OPS, full, make_constant
from dfg.ops.surface import FUNCTIONS
from dfg.passes.cleanup import Cleanup
from dfg.passes.differentiate import Differentiate
from dfg.text import exact, readable
from dfg.text.convert import FORMS
from dfg.types import F32, F64, TensorType

PROGRAMS = Path(__file__).parent / "programs"
N = named("n")


def differentiated(graph: Graph) -> Graph:
    return Cleanup().run(Differentiate().run(graph))


def lowered(text: str) -> Graph:
    try:
        return load_text(text, "printed.dfg").graph
    except UserError as e:
        raise AssertionError(f"{e}\n{text}") from None


def same_values(graph: Graph, text: str, seed: int = 0, tolerance: float = 1e-5, **options: object) -> None:
    again = lowered(text)
    arrays, sizes = feed(graph, seed, **options)  # type: ignore[arg-type]
    more, _ = feed(again, seed, **options)  # type: ignore[arg-type]
    a, b = outcome(graph, arrays, sizes), outcome(again, {**more, **arrays}, sizes)
    assert agree(a, b, tolerance), f"{text}\n{exact(graph)}\n{a}\n{b}"
    assert list(again.roots.outputs) == list(graph.roots.outputs)


def printed(source: str) -> str:
    """What a program prints as."""
    program = load_text(source)
    return readable(program.graph, default_float=program.default_float)


def gradient(source: str, *outputs: str) -> str:
    """What the gradients of a program print as."""
    program = load_text(source)
    graph = program.graph
    for name in list(graph.roots.outputs):
        if outputs and name not in outputs:
            del graph.roots.outputs[name]
    return readable(differentiated(graph), source=graph, default_float=program.default_float)


# --- the law -----------------------------------------------------------------------------------------------------------------------


@given(graphs())
@settings(max_examples=60)
def test_generated_graphs(graph: Graph) -> None:
    same_values(graph, readable(graph))


@pytest.mark.parametrize("block", range(4))
def test_grown_graphs(block: int) -> None:
    for seed in range(block * 60, block * 60 + 60):
        rng = random.Random(seed)
        default = rng.choice([F64, F64, F32])
        graph = grow(rng, default_float=default, steps=rng.randint(3, 25))
        same_values(graph, readable(graph, default_float=rng.choice([default, None])), seed)


@pytest.mark.parametrize("block", range(4))
def test_grown_graphs_with_derivatives(block: int) -> None:
    for seed in range(block * 40, block * 40 + 40):
        graph = grow(random.Random(seed), calculus=True, steps=20)
        same_values(graph, readable(graph), seed)
        expanded = differentiated(graph)
        same_values(expanded, readable(expanded, source=graph), seed)


@pytest.mark.parametrize("path", sorted(PROGRAMS.glob("*.dfg")), ids=lambda p: p.stem)
def test_programs(path: Path) -> None:
    program = load_text(path.read_text(encoding="utf-8"), path.name)
    check_program(program)


def check_program(program: Lowered) -> None:
    graph = program.graph
    sizes = dict.fromkeys(set().union(*(names(d) for v in graph.values if isinstance(v.type, TensorType) for d in v.shape)), 4)
    defaults = {k: i.default for k, i in program.inputs.items() if i.default is not None}
    for made in (graph, differentiated(graph)):
        text = readable(made, source=graph, defaults=defaults, hints=program.hints, default_float=program.default_float)
        for seed in range(2):
            same_values(made, text, seed, 1e-6, special=False, sizes=sizes)
        again = load_text(text)
        assert {k for k, i in again.inputs.items() if i.default is not None} <= defaults.keys()


ACCEPTANCE = sorted((Path(__file__).parent.parent / "programs").glob("*.dfg"))


@pytest.mark.parametrize("path", ACCEPTANCE, ids=lambda p: p.stem)
def test_acceptance_programs(path: Path) -> None:
    import dfg.api as api

    try:
        program = api.load(path)
    except UserError as e:
        pytest.skip(f"does not load: {e.diagnostics[0]}")
    names_ = set().union(*(names(d) for v in program.graph.values if isinstance(v.type, TensorType) for d in v.shape))
    for graph in (program.graph, program.stage("clean")):
        text = program.text(graph=graph)
        again = lowered(text)
        if len(graph) > 1500:
            continue  # the oracle is slow
        for size in (4, 64):
            arrays, sizes = feed(graph, 0, special=False, sizes=dict.fromkeys(names_, size))
            more, _ = feed(again, 0, special=False, sizes=sizes)
            a, b = outcome(graph, arrays, sizes), outcome(again, {**more, **arrays}, sizes)
            assert agree(a, b, 1e-4), text
            if not isinstance(a, str):
                break  # a size that the program takes


# --- the form ----------------------------------------------------------------------------------------------------------------------

LESSON = """input x, ystar : f64[n]
param w : f64 = 0.5
param b : f64 = 2.0
u = w * x
v = u + b
y = exp(v)
l = sum((y - ystar) ** 2)
output y, l
output dl_dw, dl_db = grad(l, [w, b])
"""


def test_the_lessons_gradient_is_what_the_teacher_writes() -> None:
    assert gradient(LESSON, "dl_dw", "dl_db") == """input x, ystar : f64[n]
param w : f64 = 0.5
param b : f64 = 2.0
u = w * x
v = u + b
y = exp(v)
output dl_dw = sum(2 * (y - ystar) * y * x)
output dl_db = sum(2 * (y - ystar) * y)
"""


def test_a_printed_program_prints_as_itself() -> None:
    assert printed(printed(LESSON)) == printed(LESSON)
    for path in PROGRAMS.glob("*.dfg"):
        once = printed(printed(path.read_text(encoding="utf-8")))  # equal values that were two merge the first time
        assert printed(once) == once


@pytest.mark.parametrize(
    "line",
    [
        "output y = x - (x - 1)",
        "output y = (x + 1) * x / (x * 2)",
        "output y = -x ** 2",
        "output y = (-x) ** 2",
        "output y = x ** -x",
        "output y = 2 ** x",
        "output y = x ** x ** x",
        "output y = (x ** x) ** x",
        "output y = -(-x)",
        "output y = x - 2",
        "output y = x - 1e-3",
        "output y = x * 0.10",
        "output y = x > 0 and not (x > 1 or x < 2)",
        "output y = (x > 0) == (x < 1)",
        "output y = where(x > 0, x, 0)",
        "output y = where(x > 0, 2.5, 0.5)",
        "output y = x * -inf",
        "output y = x * k",
        "output y = f32(x)",
        "output y = i64(x) // 2",
        "output y = mean(a, axis=0)",
        "output y = a - max(a, axis=1, keepdims=true)",
        "output y = a / sum(a, axis=0)",
        "output y = sum(a, axis=[0, 2])",
        "output y = a.mT",
        "output y = a[0].T",
        "output y = a[0] @ x",
        "output y = a[0].T @ a[1]",
        "output y = a @ a.mT",
        'output y = einsum("abc,abd->cd", a, a)',
        "output y = a[1:, ::2]",
        "output y = a[0, :, 1:3]",
        "output y = x[k]",
        "output y = a[:, k]",
        "output y = x[:, newaxis] * x",
        "output y = a[..., newaxis]",
        "output y = x with [1:] = 0",
        "output y = (x with [k] += x[k]) * 2",
        "output y = concat([x, x])",
        "output y = stack([x, x], axis=1)",
        "output y = x * n",
        "output y = sum(x) / n",
        "output y = zeros([n])",
        "output y = full([n, 2], 2.5)",
        "output y = arange(n)",
        "output y = normal([n], seed=[1, 2])",
        "output y = x * [1.0, 2.0, 3.0, 4.0]",
        "output y = argmax(a, axis=1)",
        "output y = stop_gradient(x) * x",
        "output y = reshape(a, [16*n])",
    ],
)
def test_an_expression_prints_as_it_was_written(line: str) -> None:
    of_four = any(part in line for part in ("x * [", "@", "a[:, k", "x * k"))
    text = printed(f"input x : f64[{4 if of_four else 'n'}]\ninput a : f64[n, 4, 4]\ninput k : i64[4]\n{line}")
    assert text.rstrip("\n").split("\n")[-1] == line.replace("sum(x) / n", "mean(x)"), text


def graph_of(make: object) -> Graph:
    g = Graph()
    make(g)  # type: ignore[operator]
    return g


def leaf(g: Graph, name: str, *shape: object, dtype: object = F64, kind: str = "input") -> Value:
    v = g.emit(OPS[kind], (), (name, TensorType(dtype, shape)))  # type: ignore[arg-type]
    g.names[name] = v
    return v


def test_declared_names_that_hide_functions() -> None:
    g = Graph()
    x, z = leaf(g, "exp", N, 3), leaf(g, "concat", N, 3)
    leaf(g, "sum", N)
    leaf(g, "mean")
    g.roots.outputs.update({
        "a": OPS["exp"](OPS["sum"](x, axes=(0,))),
        "max": OPS["concat"](x, z, axis=1),
        "b": OPS["divide"](OPS["sum"](x, axes=(1,)), full(g, 3, TensorType(F64, (N,)))),
        "c": OPS["max"](x, axes=(1,)),
        "zeros": full(g, 0, TensorType(F64, (N, 2))),
    })
    g.names["where"] = OPS["where"](OPS["greater"](x, z), x, z)
    g.roots.outputs["d"] = OPS["tanh"](g.names["where"])
    same_values(g, readable(g))


def test_a_size_that_only_an_unused_input_binds() -> None:
    source = "input x, z : f64[n]\nstate s : f64 = 0.0\nl = sum(x)\noutput dx = grad(l, x)\nupdate s = 1.0\n"
    text = gradient(source)
    assert text == "input x, z : f64[n]\nstate s : f64 = 0.0\noutput dx = ones([n])\nupdate s = 1.0\n"


def test_initial_values_read_each_other() -> None:
    g = Graph()
    b = leaf(g, "b", 3, kind="param")
    a = leaf(g, "a", 3, kind="param")
    g.roots.initials["b"] = OPS["tanh"](a)
    g.roots.initials["a"] = full(g, 0.5, TensorType(F64, (3,)))
    g.roots.outputs["y"] = a + b
    text = readable(g)
    assert text == "param a : f64[3] = 0.5\nparam b : f64[3] = tanh(a)\noutput y = a + b\n"
    same_values(g, text)


def test_defaults_and_hints() -> None:
    source = "dim n ~ 4096\ninput x : f64[n]\ninput on : bool = true\ninput rate : f64 = 1e-3\noutput y = where(on, x * rate, x)\n"
    program = load_text(source)
    assert program.hints == {"n": 4096}
    text = readable(program.graph, defaults={k: i.default for k, i in program.inputs.items() if i.default is not None}, hints=program.hints)
    again = load_text(text)
    assert again.hints == {"n": 4096} and {k for k, i in again.inputs.items() if i.default is not None} == {"on", "rate"}
    assert "input rate : f64 = 1e-3" in text


def test_large_constants_go_into_a_file(tmp_path: Path) -> None:
    g = Graph()
    x = leaf(g, "x", 65)
    table = make_constant(g, np.linspace(0, 1, 65), F64)
    g.roots.outputs["y"] = x * table
    arrays: dict[str, np.ndarray] = {}
    text = readable(g, arrays, "t.npz")
    assert text == 'const c0 : f64[65] = load("t.npz:c0")\ninput x : f64[65]\noutput y = x * c0\n'
    assert list(arrays) == ["c0"]
    same_values(g, readable(g))


def test_shared_values_never_expand() -> None:
    g = Graph()
    v = leaf(g, "x", N)
    for _ in range(300):
        v = v * v
    g.roots.outputs["y"] = v
    text = readable(g)
    assert len(text) < 40_000 and max(map(len, text.split("\n"))) < 400
    same_values(g, text)


def test_a_deep_chain() -> None:
    g = Graph()
    v = leaf(g, "x", N)
    for k in range(20_000):
        v = OPS["tanh"](v) if k % 2 else v + v
    g.roots.outputs["y"] = v
    assert readable(g).endswith("\n")


def test_deeply_nested_loops() -> None:
    from dfg.ir import Subgraph

    inner: Subgraph | None = None
    for _ in range(90):
        h = Graph()
        a = h.emit(OPS["arg"], (), (0, TensorType(F64)))
        out = OPS["tanh"](a) if inner is None else h.emit(OPS["part"], (h.emit(OPS["scan"], (a,), (inner, 1, 1, 0, False)),), (0,))
        inner = Subgraph(h, (a,), (out,))
    g = Graph()
    x = leaf(g, "x")
    g.roots.outputs["y"] = g.emit(OPS["part"], (g.emit(OPS["scan"], (x,), (inner, 2, 1, 0, True)),), (0,))
    same_values(g, readable(g))


def test_every_op_has_a_form() -> None:
    """The samples of every op of the registry, printed and lowered again."""
    rng = np.random.default_rng(0)
    for op in OPS.values():
        for case in op.samples(rng)[:8] if op.samples else []:
            g = Graph()
            operands = []
            for k, array in enumerate(case.operands):
                dtype = {"b": "bool", "u": "u8", "i": f"i{8 * array.dtype.itemsize}", "f": f"f{8 * array.dtype.itemsize}"}[array.dtype.kind]
                from dfg.types import DTYPES

                operands.append(leaf(g, f"x{k}", *array.shape, dtype=DTYPES[dtype]))
            attrs = dict(case.attrs)
            made = g.emit(op, tuple(operands), tuple(attrs[a.name] for a in op.attrs))
            outs = [g.emit(OPS["part"], (made,), (k,)) for k in range(len(made.type.items))] if not isinstance(made.type, TensorType) else [made]
            g.roots.outputs.update({f"y{k}": o for k, o in enumerate(outs)})
            text = readable(g)
            arrays = {f"x{k}": a for k, a in enumerate(case.operands)}
            a, b = outcome(g, arrays, {}), outcome(lowered(text), arrays, {})
            assert agree(a, b, 1e-6), f"{op.name}\n{text}\n{a}\n{b}"


def test_an_op_without_a_form_prints_as_a_primitive() -> None:
    g = Graph()
    x = leaf(g, "x", N, 3)
    g.roots.outputs["y"] = OPS["sum"](OPS["flip"](x, axes=(1,)), axes=(0,))
    kept = {name: FORMS.pop(name) for name in ("sum", "flip")}
    functions = {name: FUNCTIONS.pop(name) for name in ("sum", "flip")}
    try:
        text = readable(g)
    finally:
        FORMS.update(kept)
        FUNCTIONS.update(functions)
    assert text == 'input x : f64[n, 3]\noutput y = primitive("sum", [primitive("flip", [x], [[1]])], [[0]])\n'
    same_values(g, text)


def test_a_function_that_does_something_else_is_not_taken_for_the_op() -> None:
    g = Graph()
    x = leaf(g, "x", N)
    g.roots.outputs["y"] = OPS["tanh"](x)
    kept = FUNCTIONS["tanh"]
    FUNCTIONS["tanh"] = FUNCTIONS["exp"]
    try:
        assert readable(g).endswith('primitive("tanh", [x])\n')
    finally:
        FUNCTIONS["tanh"] = kept


@pytest.mark.parametrize("source", [
    "input x : f64[n]\na, b, c = scan v in x carry a = 0.0 {\n  old = a\n  yield a\n  a = a + v\n  yield a\n}\noutput a, b, c\n",
    "input x : f64[n]\n_, b, c = scan v in x carry p = 1.0, q = 2.0 {\n  yield p, q\n  p, q = q, p + v\n}\noutput b, c\n".replace("_, b", "_, _, b"),
    "input x : f64[n]\nb = if x[0] > 0 { scan v in x carry s = 0.0 { s = s + v } } else { x[1] }\noutput b\n",
    "input x : f64[n]\nb, _ = while b < 9 max 5 carry b = x[0], k = 0 {\n  b = b + k\n  k = k + 1\n}\noutput b\n",
    "input x : f64[n]\ninput m, c : f64[2]\noutput a = x[:, newaxis] - m\noutput b = x[:, newaxis] - c\n",
    "input x : f64[n]\ninput m : f64[k, 2]\nxs = x[:, newaxis, newaxis]\noutput a = (xs - m) * xs\noutput b = where(xs > 0, m, xs)\n",
    "input x : f64[n, 3]\ninput m : f64[3]\nr = x[:, :1]\noutput a = r - m\noutput b = r * m\n",
])  # fmt: skip
def test_printing_what_was_printed_changes_nothing(source: str) -> None:
    """Names that the printer had to bind are names of the program when it is printed again."""
    text = printed(printed(source))
    assert printed(text) == text


def test_a_new_axis_that_stretches_prints_as_it_was_written() -> None:
    source = "input x : f64[n]\ninput m, c : f64[2]\noutput a = x[:, newaxis] - m\noutput b = x[:, newaxis] - c\n"
    assert printed(source) == source


@pytest.mark.parametrize("loop", [
    "r = scan v in x carry s : f64 = 0 { s = s + v }",
    "r = scan v in x carry s : f64[2] = 1.5 { s = s * v }",
    "r = scan v in x carry s : f64[2] = [1.5, -inf] { s = s * v }",
    "r = scan v in k carry s : i64 = 2 { s = s + v }",
    "r = scan v in k carry s : i64[2] = [1, 2] { s = s * v }",
    "r = while r < 3 max 10 carry r : f64 = 0 { r = r + x[0] }",
    "r, q = scan v in x carry r : f32 = 0, q : f64 = 1 {\n  r = r + v\n  q = q * v\n}",
    "r, q = while r < 3 max 10 carry r : f64 = 0, q = 0 {\n  r = r + x[q]\n  q = q + 1\n}",
    "r = for i in 0..3 carry r : f64 = 0 { r = r + x[i] }",
    "r = if k[0] > 0 { scan v in x carry s : f64 = 0 { s = s + v } } else { 1.0 }",
])  # fmt: skip
def test_the_type_of_a_carry_that_begins_as_a_literal(loop: str) -> None:
    """A literal has no dtype: printed again it would take that of what it meets."""
    graph = lowered(f"input x : f32[3]\ninput k : i32[3]\n{loop}\noutput r\n")
    again = lowered(readable(graph))
    assert again.roots.outputs["r"].type == graph.roots.outputs["r"].type
    same_values(graph, readable(graph), tolerance=1e-12)
    assert readable(again) == readable(graph)
