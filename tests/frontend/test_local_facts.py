"""`dim` lines in functions: demands on the sizes of each call."""

from __future__ import annotations

import numpy as np
import pytest

import dfg

HALVES = """
def halves(x : f64[k]) {
  dim k >= 2
  dim k % 2 == 0
  x[:k // 2] + x[k // 2:]
}
input x : f64[n]
dim n % 2 == 0
output y = halves(x)
"""


def test_a_fact_in_a_function_is_checked_at_each_call() -> None:
    fn = dfg.compile(dfg.loads(HALVES))
    assert fn(x=np.arange(4.0))["y"].tolist() == [2.0, 4.0]
    with pytest.raises(dfg.UserError) as wrong:
        fn(x=np.zeros(0))
    assert wrong.value.diagnostics[0].code == "unmet-size"


def test_an_equality_that_does_not_follow_is_an_error_that_says_the_line() -> None:
    with pytest.raises(dfg.UserError) as wrong:
        dfg.loads(HALVES.replace("dim n % 2 == 0\n", ""))
    assert wrong.value.diagnostics[0].code == "dim-unproved"
    assert "dim" in (wrong.value.diagnostics[0].help or "")


def test_what_certainly_fails_is_told_while_compiling() -> None:
    with pytest.raises(dfg.UserError) as wrong:
        dfg.loads("def f(x : f64[k]) {\n  dim k > 3\n  sum(x)\n}\noutput y = f(ones([3], dtype=f64))\n")
    assert wrong.value.diagnostics[0].code == "out-of-bounds"
