"""Tests of programs as they are lowered: what is fed, what is checked, and that sizes become known."""

from __future__ import annotations

import numpy as np
import pytest

from dfg.codegen.interpret import interpret
from dfg.diagnostics import Sink
from dfg.frontend.lowering.testing import LoweredTest, lower_test
from dfg.frontend.parser import parse
from dfg.frontend.syntax import Test
from dfg.passes.manager import PIPELINE, run_pipeline
from dfg.source import Source

LESSON = "input x, ystar : f64[n]\nparam w : f64 = 0.5\nstate s : i64 = 4\ny = w * x\nl = sum((y - ystar) ** 2)\noutput l\n"


def lower(text: str) -> tuple[LoweredTest, list[str]]:
    sink = Sink()
    file = parse(Source("program.dfg", text), sink)
    assert not sink.errors
    (test,) = [t for t in file.statements if isinstance(t, Test)]
    made = lower_test(file, test, sink)
    return made, [d.code for d in sink.items]


def values(made: LoweredTest) -> dict[str, np.ndarray]:
    graph = run_pipeline(made.lowered.graph, PIPELINE)
    initials = dict(zip(graph.roots.initials, interpret(list(graph.roots.initials.values()), {}, {}), strict=True))
    env = {v.index: {**initials, **made.fed, **made.kept}[v.attrs[0]] for v in graph.values if v.op.name in ("input", "param", "state") and v.attrs[0] in {**initials, **made.fed, **made.kept}}
    return dict(zip(graph.roots.outputs, interpret(list(graph.roots.outputs.values()), env, {}), strict=True))


def test_what_is_fed_and_checked() -> None:
    made, codes = lower(LESSON + 'test "a" {\n  x = [1, 2]\n  ystar = x * 0 + 1\n  w = 3\n  y == [3, 6]\n  l ~= 29 within 1e-6\n}\n'.replace("x * 0 + 1", "[1, 1]"))
    assert codes == []
    np.testing.assert_array_equal(made.fed["x"], [1.0, 2.0])
    assert made.fed["x"].dtype == np.float64 and made.kept["w"] == 3
    assert [(c.kind, c.tolerance, c.narrow, c.after) for c in made.checks] == [("true", None, False, 0), ("close", 1e-6, False, 0)]
    got = values(made)
    assert got["check 1"].all() and got["check 2"] == got["check 3"] == 29


def test_sizes_are_known_in_a_test() -> None:
    made, codes = lower(LESSON + 'test "a" {\n  x = zeros([3])\n  ystar = x2\n  d = y - [1, 2, 3]\n  d ~= [-1, -2, -3]\n}\n'.replace("  ystar = x2\n", ""))
    assert codes == []
    assert values(made)["check 1"].tolist() == [-1, -2, -3]


def test_runs_and_gradchecks() -> None:
    made, codes = lower(LESSON + 'test "a" {\n  x = [1.0]\n  ystar = [0.5]\n  s == 4\n  run 2\n  s == 6\n  gradcheck l wrt w, x\n}\n')
    assert codes == []
    assert made.runs == [2] and [c.after for c in made.checks] == [0, 1]
    assert [(g.targets, g.after) for g in made.gradchecks] == [(("w", "x"), 1)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("bad = zeros([3]) + zeros([4])", "shape-mismatch"),
        ("x = [[1.0]]", "wrong-shape"),
        ("s = 0.5", "wrong-dtype"),
        ("y = 3", "duplicate-name"),
        ("x = [1.0, 2]\nystar = [1.0]", "dim-contradiction"),
        ("x = [1.0, 2]\ny == [1, 2, 3]", "shape-mismatch"),
        ("x = [1.0]\ny", "wrong-dtype"),
        ("gradcheck y wrt w", "not-scalar-loss"),
        ("gradcheck l wrt y", "unknown-name"),
        ("gradcheck l wrt s", "integer-target"),
        ("l ~= oops", "unknown-name"),
    ],
)
def test_what_is_wrong_with_a_test(body: str, code: str) -> None:
    inner = "\n  ".join(body.split("\n"))
    assert lower(f'{LESSON}test "a" {{\n  {inner}\n}}\n')[1] == [code]


def test_the_programs_of_the_language_page() -> None:
    made, codes = lower('def f(x) = x\ninput x : f64[n]\nd[i] = x[i + 1] - x[i]\ntest "a" { x = [1.0, 2, 3, 4]\n  d == [1, 1, 1] }\n')
    assert codes == [] and values(made)["check 1"].all()


RECORDS = """input x : f64[n]
param p = (w = [1.0, 2.0], b = (c = 0.5, d = 1))
param q : f64 = 1.0
param e : f64[n] = 0.0
l = sum(p.w ** 2) * p.b.c * q + sum(e * x)
output l
"""


@pytest.mark.parametrize(("body", "kept"), [
    ("p = (b = (d = 2, c = 1.5), w = [3, 4])", {"p.w": [3.0, 4.0], "p.b.c": 1.5, "p.b.d": 2}),
    ("p = (w = zeros([2]), b = (c = 0, d = 1))\n  q = p.b.d + 1", {"p.w": [0.0, 0.0], "p.b.c": 0.0, "p.b.d": 1, "q": 2.0}),
    ("p.w = [3, 4]", {"p.w": [3.0, 4.0]}),
    ("params = (p = (w = [3, 4], b = (c = 1, d = 2)), q = 5, e = [7])", {"p.w": [3.0, 4.0], "p.b.c": 1.0, "p.b.d": 2, "q": 5.0, "e": [7.0]}),
])  # fmt: skip
def test_a_record_is_set_as_a_whole_or_by_its_leaves(body: str, kept: dict[str, object]) -> None:
    made, codes = lower(RECORDS + f'test "a" {{\n  x = [1.0]\n  {body}\n  l ~= 0 within 1e9\n  gradcheck l wrt p.w\n}}\n')
    assert codes == []
    assert {k: a.tolist() for k, a in made.kept.items()} == kept


@pytest.mark.parametrize(("body", "code"), [
    ("p = (w = [3, 4], b = 1)", "structure-mismatch"), ("p = 3", "structure-mismatch"), ("q = (a = 3)", "structure-mismatch"),
    ("p = (w = [3, 4, 5], b = (c = 1, d = 2))", "wrong-shape"), ("gradcheck l wrt p", "integer-target"),
    ("p = (w = [3, 4], b = (c = 1, d = 2.5))", "wrong-dtype"), ("l = 3", "duplicate-name"),
])  # fmt: skip
def test_a_record_of_other_leaves_does_not_fit(body: str, code: str) -> None:
    assert lower(RECORDS + f'test "a" {{\n  x = [1.0]\n  {body}\n}}\n')[1] == [code]


def test_gradcheck_by_a_record_is_by_its_leaves() -> None:
    made, codes = lower('param p = (w = [1.0, 2.0], b = (c = 0.5))\nparam q : f64 = 2\nl = sum(p.w) * p.b.c * q\ntest "a" {\n  gradcheck l wrt p\n  gradcheck l wrt params\n}\n')
    assert codes == []
    assert [g.targets for g in made.gradchecks] == [("p.w", "p.b.c"), ("p.w", "p.b.c", "q")]
