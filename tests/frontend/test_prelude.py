"""Functions written in the language: what their parameters take is derived, what they refuse is told at the call, and an expansion that is copied is the body."""

from __future__ import annotations

import pytest

import dfg
from dfg.diagnostics import Sink, UserError
from dfg.frontend.lowering import library
from dfg.frontend.lowering.program import load_text
from dfg.frontend.parser import parse
from dfg.frontend.prelude import Composite, places_in
from dfg.ir import Graph
from dfg.ops.surface import FUNCTIONS, role
from dfg.source import Source
from dfg.tools.examples import example

COMPOSITES = sorted(name for name, f in FUNCTIONS.items() if isinstance(f, Composite))


def defined(text: str) -> Composite:
    return Composite(places_in("mine.dfg", text)[-1])


def needed(graph: Graph) -> list[object]:
    """What the outputs need, and what is said of it: calls, the reasons of casts, spellings of constants."""
    live = graph.live(list(graph.roots.outputs.values()))
    number = {v.index: k for k, v in enumerate(live)}
    tables = (graph.calls, graph.casts, graph.literals)
    return [(v.op.name, [number[o.index] for o in v.operands], v.attrs, str(v.type), *[t.get(v.index) for t in tables]) for v in live]


def problem(text: str) -> str:
    with pytest.raises(UserError) as told:
        dfg.loads(text)
    assert len(told.value.diagnostics) == 1
    return str(told.value)


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("def f(x, axis = 0) = sum(x, axis=axis)", "operand axes"),
        ("def f(x, y) = maximum(x, y)", "operand operand"),
        ("def f(x, k) = concat([x, x], axis=k)", "operand axis"),
        ("def f(x, n) { m = 2 * n\n reshape(x, [m, -1]) }", "operand static"),
        ("def f(x, n) = reshape(x, [n, -1])", "operand size"),
        ("def f(x, n) = zeros(n) + x", "operand shape"),
        ("def f(x, k) = x[k : k + 2]", "operand static"),
        ("def f(x, bias = none) = if bias == none { x } else { x + bias }", "operand operand or none"),
        ('def f(x, way = "up", flag = false) = if way == "up" and flag { x } else { -x }', "operand word flag"),
        ("def f(x, d) = astype(x, d)", "operand dtype"),
        ("def f(x, k) = i64(sum(x, axis=k))", "operand axes"),
        ("def f(parts) = vstack(parts)", "operands"),
        ("def f(x, seed) = x + normal(x.shape, seed=seed)", "operand operands"),
        ("def f(x, sizes) = if proved(x.shape[1:] == sizes) { x } else { -x }", "operand shape"),
        ("def f(x, sizes) = if x.shape[1:] == sizes { x } else { -x }", "operand shape"),
    ],
)
def test_what_parameters_take_is_derived_from_the_body(text: str, roles: str) -> None:
    made = " ".join(role(p) for p in defined(text).signature.parameters.values())
    assert made == roles


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(x) = x * sigmoid(x)", True),
        ("def f(x, a = 1.0) { t = floating(x)\n where(t > a, t, expm1(t)) }", True),
        ('def f(x, way = "up") = if way == "up" { relu6(x) } else { refuse("way", "no") }', True),
        ("def f(x) = x - max(x)", False),
        ("def f(x) = x @ x", False),
        ("def f(x) = x[0]", False),
        ("def f(x) = x * x.size", False),
        ("def f(x) = softmax(x)", False),
    ],
)
def test_whether_a_function_is_elementwise_is_derived_from_the_body(text: str, expected: bool) -> None:
    assert defined(text).elementwise is expected


def test_an_elementwise_composite_goes_leaf_by_leaf_and_another_does_not() -> None:
    program = dfg.loads("input x : f64[2]\nr = (a = x, b = (c = 2 * x))\nq = gelu(r)\noutput y = q.b.c\noutput z = gelu(2 * x)\n")
    outputs = program.graph.roots.outputs
    assert outputs["y"] is outputs["z"]
    assert "record" in problem("input x : f64[2]\nr = (a = x, b = x)\noutput y = softmax(r).a\n")


@pytest.mark.parametrize("name", COMPOSITES)
def test_a_copied_expansion_is_what_the_body_gives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = example(name)
    assert made is not None
    held = load_text(made.program, "<example>").graph
    types = {n: str(held.names[n].type) for n in made.operands}
    for text in (made.program, made.over(types)):
        try:
            copied = load_text(text, "<example>").graph
        except UserError:
            continue  # what must be known while compiling is no input
        again = load_text(text, "<example>").graph
        with monkeypatch.context() as m:
            m.setattr(library, "key_of", lambda *_: None)
            plain = load_text(text, "<example>").graph
        assert needed(copied) == needed(again) == needed(plain)
        assert list(copied.needs) == list(plain.needs)


def test_expansions_are_kept_apart_by_what_they_depend_on() -> None:
    text = "input x : f64[n, 3]\ninput y : f32[n, 3]\n"
    calls = ["softmax(x)", "softmax(y)", "softmax(x, axis=0)", "softmax(x.T)", "elu(x, 0.0)", "elu(x, -0.0)", "elu(x, 1.0)", "kl_div(x, x)",
             "kl_div(x, 2 * x)", "kl_div(log(x), x)"]  # fmt: skip
    together = load_text(text + "".join(f"output o{k} = {c}\n" for k, c in enumerate(calls)), "<t>").graph
    for k, c in enumerate(calls):
        alone = load_text(f"{text}output o{k} = {c}\n", "<t>").graph
        assert str(together.roots.outputs[f"o{k}"].type) == str(alone.roots.outputs[f"o{k}"].type)
    values = [v.index for v in together.roots.outputs.values()]
    assert len(set(values)) == len(values)


def test_two_calls_are_two_boxes() -> None:
    graph = load_text("input x : f64[3]\noutput y = softmax(softmax(x))\n", "<t>").graph
    assert {"softmax", "softmax_2"} <= set(graph.calls.values())


# --- what functions may ask and refuse ---------------------------------------------------------------------------------------------


def test_a_library_refuses_at_the_callers_argument() -> None:
    told = problem('input x : f64[3]\nloss = mse_loss(x, 2 * x, reduction="average")\noutput loss\n')
    assert "`mse_loss` takes \"mean\", \"sum\" or \"none\" as `reduction`" in told
    assert "prelude" not in told and 'reduction="average")\n   |                                     ^^^^^^^^^' in told


def test_an_error_in_the_body_is_one_of_the_call() -> None:
    told = problem("input a : f64[3]\ninput b : f64[4]\noutput y = huber_loss(a, b)\n")
    assert "prelude" not in told and "`a` is f64[3]: axis 0 is 3" in told and "`b` is f64[4]: axis 0 is 4" in told
    told = problem("input a : f64[3]\noutput y = nanmean(a, axis=2)\n")
    assert "`nanmean`: there is no axis 2" in told
    told = problem("input a : f64[c, 3]\noutput y = group_norm(a[newaxis], 2)\n")
    assert "dim c % 2 == 0" in told


def test_a_function_of_the_user_refuses_too() -> None:
    text = (
        'def scaled(x, way) {\n  if way == "up" { 2 * x } else if way == "down" { x / 2 } else { refuse("way", "takes \'up\' or \'down\', not {way}") }\n}\n'
        'input x : f64[3]\noutput y = scaled(x, "{}")\n'
    )
    assert dfg.loads(text.replace("{}", "up")).graph
    told = problem(text.replace("{}", "left"))
    assert 'takes "up" or "down", not "left"' in told and '"left")\n   |' in told
    assert "misplaced-statement" in problem('output y = refuse("x", "stands nowhere")\n')
    assert "no parameter `z`" in problem('def f(x) = refuse("z", "no")\noutput y = f(1.0)\n')


def test_refuse_may_name_a_code_and_mark_a_tensor() -> None:
    told = problem('def rows(x) = if x.ndim != 2 { refuse("x", "takes rows, not {x}", "rank-mismatch") } else { x }\ninput v : f64[3]\noutput y = rows(v)\n')
    assert "error[rank-mismatch]: `rows` takes rows, not f64[3]" in told


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("static(2)", True), ("static(x.shape)", True), ("static(x)", False), ("static(none)", True), ("static([1, 2 * n])", True),
        ("proved(n >= 2)", True), ("proved(n >= 3)", False), ("proved(n == n)", True), ("proved(n != m)", False), ("proved(x.shape == [n, 3])", True),
        ("proved(x.shape == [m, 3])", False), ("proved(x.shape[0] == 3)", False), ("proved(s == 0)", False), ("proved(0.0 == 0)", True),
        ('isdtype(x.dtype, "real floating")', True), ('isdtype(x.dtype, "integral")', False), ("isdtype(x.dtype, f64)", True),
        ('isdtype(x.dtype, "numeric")', True), ('isdtype((x > 0).dtype, "bool")', True), ("finfo(f32).eps > finfo(f64).eps", True),
    ],
)  # fmt: skip
def test_static_questions(condition: str, expected: bool) -> None:
    text = f"input x : f64[n, 3]\ninput w : f64[m]\ninput s : f64\ndim n >= 2\noutput y = if {condition} {{ 1 * x[0] }} else {{ 2 * x[0] }}\n"
    graph = load_text(text, "<t>").graph
    assert not any(v.op.name == "cond" for v in graph.values)
    factor = next(v for v in graph.values if v.op.name == "multiply")
    assert ("1" if expected else "2") in {graph.literals.get(o.index) for o in graph.live([factor])}


def test_floating_joins_dtypes() -> None:
    text = "input a : i32[3]\ninput b : f32[3]\ninput c : i64[3]\np, q, r = floating(a, b, 2)\noutput p, q, r\noutput s = floating(c)\noutput t = floating(b)\n"
    types = [str(v.type) for v in load_text(text, "<t>").graph.roots.outputs.values()]
    assert types == ["f32[3]", "f32[3]", "f32", "f64[3]", "f32[3]"]


def test_another_name_has_the_same_page() -> None:
    for name, target in (("swish", "silu"), ("attention", "scaled_dot_product_attention"), ("log_expit", "logsigmoid")):
        assert FUNCTIONS[name].doc == FUNCTIONS[target].doc and FUNCTIONS[name].signature == FUNCTIONS[target].signature
        assert FUNCTIONS[name].implementation is FUNCTIONS[target].implementation


def test_gradcheck_varies_what_a_test_binds() -> None:
    from dfg.api.testing import run_tests

    good = "def f(x) = sin(x)\ntest \"a\" {\n  x = [0.3, 0.4]\n  l = sum(f(x))\n  gradcheck l wrt x\n}\n"
    bad = good.replace("= sin(x)", "= sin(x) with vjp(ct) = (2 * ct * cos(x),)")
    for text, fine in ((good, True), (bad, False)):
        assert not _parsed(text)
        (result,) = run_tests(Source("t.dfg", text), None)
        assert result.ok is fine


def _parsed(text: str) -> list[object]:
    sink = Sink()
    parse(Source("t.dfg", text), sink)
    return list(sink.items)
