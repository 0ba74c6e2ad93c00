"""What a test binds to an input, a parameter or a state may be computed from what it bound before."""

from __future__ import annotations

from dfg.api.testing import run_tests
from dfg.source import Source


def outcome(text: str) -> list[str]:
    return [str(d) for r in run_tests(Source("a.dfg", text)) for d in r.problems]


def test_an_input_made_from_an_input() -> None:
    text = (
        "input x : f64[n, d]\ninput y : f64[n]\ninput k : i64\nparam w : f64[d] = 0\nl = sum((x @ w - y) ** 2)\n"
        'test "made" {\n  x = normal([4, 2], seed=1)\n  k = 3\n  y = x @ [1.0, -2.0] + k\n  w = x[0] * 0 + [1.0, -2.0]\n  l ~= 4 * 9.0\n}\n'
    )
    assert outcome(text) == []


def test_a_condition_of_an_input() -> None:
    text = 'input x : f32[n, 2]\ninput y : bool[n]\nc = sum(y)\ntest "made" {\n  x = [[1, 0], [-1, 0], [2, 0]]\n  y = x[:, 0] > 0\n  c == 2\n}\n'
    assert outcome(text) == []


def test_what_the_file_computes_is_not_known_then() -> None:
    text = 'input x : f64[n]\ninput y : f64[n]\nz = 2 * x\noutput s = sum(y)\ntest "made" {\n  x = [1.0]\n  y = z\n  s == 2\n}\n'
    (told,) = outcome(text)
    assert "error[not-static]" in told
