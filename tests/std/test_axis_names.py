"""An axis given by a dim's name: in files, functions, and tests, whose sizes are numbers that may coincide with each other or with a number of an axis."""

from __future__ import annotations

import pytest

from dfg.api.testing import run_tests
from dfg.source import Source

PROGRAM = """
input x : f64[batch, t]
def rows(y : f64[a, b]) = sum(y, axis=b)
output m = mean(x, axis=t)
output s = rows(x)
"""


@pytest.mark.parametrize(
    ("x", "m", "s"),
    [
        ("[[1.0, 3.0], [5.0, 7.0], [0.0, 1.0]]", "[2, 6, 0.5]", "[4, 12, 1]"),
        ("[[1.0, 3.0], [5.0, 7.0]]", "[2, 6]", "[4, 12]"),
        ("[[1.0], [2.0]]", "[1, 2]", "[1, 2]"),
        ("[[4.0]]", "[4]", "[4]"),
        ("[[1.0, 3.0]]", "[2]", "[4]"),
    ],
)
def test_in_a_test_of_any_size(x: str, m: str, s: str) -> None:
    text = f'{PROGRAM}test "means" {{\n  x = {x}\n  m == {m}\n  s == {s}\n}}\n'
    (result,) = run_tests(Source("a.dfg", text))
    assert result.ok, [str(d) for d in result.problems]


def test_a_size_that_two_axes_have_is_ambiguous() -> None:
    text = 'input x : f64[n, n]\ntest error "2 axes" { y = sum(x, axis=n) }\n'
    (result,) = run_tests(Source("a.dfg", text))
    assert result.ok, [str(d) for d in result.problems]


def test_a_size_that_a_fact_makes_a_number_is_still_a_name() -> None:
    text = 'input x : f64[n, k]\ndim k == 1\noutput m = sum(x, axis=k)\ntest "k" {\n  x = [[1.0], [2.0]]\n  m == [1, 2]\n}\n'
    (result,) = run_tests(Source("a.dfg", text))
    assert result.ok, [str(d) for d in result.problems]
