"""Every error of a file is told in one run, those of statements that parse beside a statement that does not too."""

from __future__ import annotations

import pytest

import dfg


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("input x : f64[3]\ny = sum(x ^ 2)\noutput z = foo + y\n", ["pythonic-power", "unknown-name"]),
        ("input x : f64[3]\ninput w : f64[4]\noutput a = x + w\noutput b = (\n", ["shape-mismatch", "unclosed-bracket"]),
        ("h = tanh(x) +\noutput y = h * 2\n", ["syntax"]),
        ("input x : f64[n\noutput y = x + 1\noutput z = n * 2\n", ["unclosed-bracket"]),
        ("def f(a) { a $ 2 }\ninput x : f64\noutput y = f(x)\noutput z = g(x)\n", ["missing-result", "bad-character", "unknown-op"]),
    ],
)
def test_all_are_told_and_nothing_that_only_follows(text: str, codes: list[str]) -> None:
    with pytest.raises(dfg.UserError) as wrong:
        dfg.loads(text)
    told = [d.code for d in wrong.value.diagnostics]
    assert [c for c in told if c != "syntax" or c in codes] == codes
