"""A slip is one error, at its place, and its fix compiles."""

from __future__ import annotations

import pytest

import dfg
from dfg.diagnostics import Diagnostic

SLIPS = [
    # text, code, the text at the place, whether a fix compiles
    ("output y = zeros(2, 3)\n", "surplus-argument", "2, 3", True),
    ("input x : f64[2, 3]\noutput y = permute_dims(x, 1, 0)\n", "surplus-argument", "1, 0", True),
    ("input x : f64[n, m]\noutput y = reshape(x, m, n)\n", "surplus-argument", "m, n", True),
    ("output y = ones((2, 3))\n", "wrong-type", "(2, 3)", True),
    ("input x : f64[4]\noutput y = x.reshape(2, 2)\n", "pythonic-method", "reshape", True),
    ("input x : f64[2, 3]\noutput y = x.transpose(1, 0)\n", "pythonic-method", "transpose", True),
    ("input x : f64[2, 3]\noutput y = x.T()\n", "pythonic-method", "T", True),
    ("def f(x) -> x + 1\noutput y = f(1.0)\n", "pythonic-def", "->", True),
    ("dim 2 <= n <= 5\ninput x : f64[n]\noutput y = x\n", "pythonic-chain", "2 <= n <= 5", True),
    ("output y = 1.2.3\n", "syntax", ".3", False),
    ("output y = (1 +  # c\n", "unclosed-bracket", "(", False),
    ('input x : f64[n]\noutput y = sum(pad(x, [[1, 1]], mode="reflect))\n', "unterminated-text", '"reflect', True),
    ("input x : f16[n]\noutput y = x\n", "unknown-dtype", "f16", False),
    ("input x : f64[n]\noutput y = reshape(x, [n // 2, 2])\n", "dim-unproved", "reshape", True),
    ("input x : f64[n]\noutput y = [1.0, 2.0] + x\n", "dim-unproved", "+", True),
    ("dim n ~ 3\ndim n ~ 4\ninput x : f64[n]\noutput x\n", "duplicate-name", "dim n ~ 4", False),
    ("dim 2*n ~ 3\ninput x : f64[n]\noutput x\n", "bad-argument", "dim 2*n ~ 3", False),
    ("k = 3\ninput x : f64[n, k]\noutput y = x\n", "duplicate-name", "k", False),
    ("k = 3\nparam w : f64[n, k] = 0.0\ninput x : f64[n]\noutput y = x\n", "dim-unbound", "k", False),
    ("input x : f64[n]\ny = sum(x)\ndim y >= 2\noutput y\n", "dim-unbound", "y", False),
    ("input x : f64[n]\nn = -x\noutput y = n.q.v\n", "duplicate-name", "n", False),
    ("input x : f64\ny = x\ny = (a = x)\noutput z = y.a\n", "duplicate-name", "y", False),
    ("input x : f64[n / 2]\noutput y = x\n", "not-static", "n / 2", False),
    ("use nn\noutput y = linear_init(1, 2, 3)\n", "unknown-op", "linear_init", False),
    ("input x : f64[n]\ny[i] = x[j]\noutput y\n", "unknown-name", "j", False),
    ("output y = array([1, 2])\n", "unknown-op", "array", False),
    ("output y = rand(3)\n", "unknown-op", "rand", False),
    ('p = (a = 1.0)\noutput y = p["a"]\n', "wrong-type", '"a"', False),
    ("input x : f64[3]\noutput y = x[3]\n", "out-of-bounds", "x[3]", False),
]


def errors(text: str) -> list[Diagnostic]:
    with pytest.raises(dfg.UserError) as wrong:
        dfg.loads(text)
    return [d for d in wrong.value.diagnostics if d.severity == "error"]


@pytest.mark.parametrize(("text", "code", "place", "mended"), SLIPS, ids=[text.strip().splitlines()[-1][:40] for text, *_ in SLIPS])
def test_a_slip_is_one_error(text: str, code: str, place: str, mended: bool) -> None:
    (only,) = errors(text)
    assert only.code == code
    assert only.span is not None and only.span.text == place
    if mended:
        assert only.fix is not None
        dfg.loads(only.fix.apply(text))
    elif only.fix is not None and only.code != "unknown-op":
        dfg.loads(only.fix.apply(text))


def test_a_proposed_fact_names_the_size_first() -> None:
    (only,) = errors("input x : f64[n]\noutput y = [1.0, 2.0] + x\n")
    assert only.fix is not None and "dim n == 2" in only.fix.edits[0][1]
    (only,) = errors("input x : f64[n + 1]\noutput y = reshape(x, [(n + 1) // 2, 2])\n")
    assert only.fix is not None and "dim (n + 1) % 2 == 0" in only.fix.edits[0][1]
