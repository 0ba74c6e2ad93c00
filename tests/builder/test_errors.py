"""What is wrong is told at the user's Python line: the exact columns, and where the operands were made."""

from __future__ import annotations

import ast
import linecache
import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from builder_run import refused

import dfg.frontend.builder as b
from dfg.diagnostics import Diagnostic, UserError
from dfg.diagnostics.codes import CODES
from dfg.frontend.builder.places import Place, anatomy, here, variable

CELLS = 0


def diagnosed(text: str, filename: str | None = None) -> tuple[str, Diagnostic]:
    """Run a text as a notebook runs a cell, and give what it is refused with; `dfg` and `np` are known in it."""
    global CELLS
    CELLS += 1
    text = textwrap.dedent(text).strip("\n") + "\n"
    name = filename or f"<cell-{CELLS}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)

    class Names:
        def __getattr__(self, key: str) -> Any:
            return b.names()[key]

    scope: dict[str, Any] = {"dfg": Names(), "np": np, "__name__": f"cell_{CELLS}"}
    try:
        exec(compile(text, name, "exec"), scope)
    except UserError as e:
        return text, e.diagnostics[0]
    raise AssertionError("it is not refused")


CASES = [
    # (program, code, marked text, labelled texts)
    ('x = dfg.input("x", "f64[n, 20]")\nw = dfg.param("w", "f64[30]", 0.1)\nh = np.tanh(x * w + 1)\n', "shape-mismatch", "*",
     ['dfg.input("x", "f64[n, 20]")', 'dfg.param("w", "f64[30]", 0.1)', "x * w"]),
    ('x = dfg.input("x", "f64[3]")\ny = (x +\n     np.ones(4))\n', "shape-mismatch", "+", ['dfg.input("x", "f64[3]")', "np.ones(4)", "x +\n     np.ones(4)"]),
    ('é = dfg.input("é", "f64[3]"); ŷ = é - [1, 2]\n', "shape-mismatch", "-", ['dfg.input("é", "f64[3]")', "[1, 2]", "é - [1, 2]"]),
    ('x = dfg.input("x", "f64[3]")\ny = dfg.sum(x, axis=2)\n', "bad-argument", "2", []),
    ('x = dfg.input("x", "f64[3]")\ny = np.sum(x, 2)\n', "bad-argument", "2", []),
    ('x = dfg.input("x", "f64[3]")\ny = dfg.sum(x, axes=0)\n', "surplus-argument", "0", []),
    ('x = dfg.input("x", "f64[3]")\nif x[0] > 0:\n    pass\n', "not-static", "x[0] > 0", []),
    ('x = dfg.input("x", "f64[3]")\na, c, d = x\n', "not-static", "a, c, d", ['dfg.input("x", "f64[3]")']),
    ('x = dfg.input("x", "f64[3]")\nx[0] = 1\n', "pythonic-assignment", "x[0]", ['dfg.input("x", "f64[3]")']),
    ('x = dfg.input("x", "f64[3]")\ny = x[4]\n', "out-of-bounds", "4", ['dfg.input("x", "f64[3]")']),
    ('x = dfg.input("x", "f64[3]")\ny = x[x > 0]\n', "wrong-dtype", "x[x > 0]", ["x > 0"]),
    ('x = dfg.input("x", "f64[3]")\ny = float(x.sum())\n', "not-static", "float(x.sum())", ["x.sum()"]),
    ('x = dfg.input("x", "f64[3]")\nu = 2 * x\nl = dfg.sum(u)\ng = dfg.grad(l, u)\n', "unpinned-target", "u", ["2 * x"]),
    ('x = dfg.input("x", "f64[3]")\ng = dfg.grad(2 * x, x)\n', "not-scalar-loss", "2 * x", []),
    ('k = dfg.input("k", "i64")\nx = dfg.input("x", "f64")\ng = dfg.grad(x * k, k)\n', "integer-target", "k", ['dfg.input("k", "i64")']),
    ('x = dfg.input("x", "f64[n")\n', "bad-argument", '"f64[n"', []),
    ('w = dfg.param("w", "f64[3]", np.ones(4))\n', "shape-mismatch", 'dfg.param("w", "f64[3]", np.ones(4))', ["np.ones(4)"]),
    ('x = dfg.input("x", "f64[n]")\ny = np.exp(x)\ndfg.dim("n", at_least=2)\n', "late-fact", 'dfg.dim("n", at_least=2)', ["np.exp(x)"]),
    ('a = dfg.input("x", "f64[3]")\nc = dfg.input("x", "f64[4]")\ny = a[0] + c[0]\n', "duplicate-name", 'dfg.input("x", "f64[4]")',
     ['dfg.input("x", "f64[3]")', "a[0] + c[0]"]),
    ('kept = []\nxs = dfg.input("xs", "f64[3]")\n_ = dfg.scan(lambda h, x: (h + x, kept.append(h + x)), 0.0, xs)\ny = kept[0] + 1\n', "escaped-value",
     "kept[0] + 1", ["h + x"]),
    ('xs = dfg.input("xs", "f64[3]")\n_ = dfg.scan(lambda h, x: h + x, 0.0, xs)\n', "arity", "dfg.scan(lambda h, x: h + x, 0.0, xs)", []),
    ('x = dfg.input("x", "f64[3]")\ny = x.summ()\n', "unknown-field", "x.summ", []),
    ('x = dfg.input("x", "f64[3]")\ny = dfg.reshape(x, (4,))\n', "shape-mismatch", "dfg.reshape(x, (4,))", ['dfg.input("x", "f64[3]")']),
    ('x = dfg.input("x", "u8[3]")\ny = x + 300\n', "literal-overflow", "x + 300", []),
    ('x = dfg.input("x", "f64[3]")\ny = x ^ 2\n', "pythonic-power", "x ^ 2", ['dfg.input("x", "f64[3]")']),
    ('@dfg.function("x: f64[n], q: f64")\ndef f(x, w):\n    return x\n', "unknown-name", 'dfg.function("x: f64[n], q: f64")', []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "primary", "labels"), CASES, ids=[f"{k}-{c[1]}" for k, c in enumerate(CASES)])
def test_marks(text: str, code: str, primary: str, labels: list[str]) -> None:
    source, d = diagnosed(text)
    assert d.code == code
    assert d.span is not None and d.span.source.text == source and d.span.source.language == "python"
    assert d.span.text == primary
    assert sorted(label.span.text for label in d.labels) == sorted(labels)
    assert str(UserError(d)).count("\n") >= 3


@pytest.mark.parametrize("name", [n for n, c in CODES.items() if n in ("unpinned-target", "late-fact", "escaped-value")])
def test_the_examples_of_the_codes(name: str) -> None:
    entry = CODES[name]
    start = 'w, xs = dfg.param("w", "f64", 0.5), dfg.input("xs", "f64[3]")\n' + (
        "" if name == "late-fact" else 'x = dfg.input("x", "f64[3]")\n'
    )
    _, d = diagnosed(start + entry.failing)
    assert d.code == name
    with pytest.raises(AssertionError, match="not refused"):
        diagnosed(start + entry.repaired)


def test_the_rendering() -> None:
    _, d = diagnosed(CASES[0][0], "model.py")
    assert str(UserError(d)) == textwrap.dedent("""\
        error[shape-mismatch]: cannot broadcast f64[n, 20] with f64[30]
          --> model.py:3:15
           |
         1 | x = dfg.input("x", "f64[n, 20]")
           |     ---------------------------- `x` is f64[n, 20]: axis 1 is 20
         2 | w = dfg.param("w", "f64[30]", 0.1)
           |     ------------------------------ `w` is f64[30]: axis 0 is 30
         3 | h = np.tanh(x * w + 1)
           |             --^-- these two axes are aligned, and neither is 1""")


def test_a_dim_line_is_proposed_as_a_call() -> None:
    text = 'x = dfg.input("x", "f64[n]")\ny = dfg.input("y", "f64[m]")\nz = x + y\n'
    _, d = diagnosed(text)
    assert d.code == "dim-unproved" and d.help is not None and 'dfg.dim("n", equals="m")' in d.help
    with pytest.raises(AssertionError, match="not refused"):
        diagnosed('dfg.dim("n", equals="m")\n' + text)


@pytest.mark.parametrize(
    ("line", "repaired"),
    [
        ("x[0] = 1", "x = x.at[0].set(1)"),
        ("x[1:3] += y * 2", "x = x.at[1:3].add(y * 2)"),
        ("x[i] -= 1", "x = x.at[i].subtract(1)"),
        ("x[0] *= 2", "x = x.at[0].set(x[0] * 2)"),
    ],
)
def test_assignments_have_a_fix(line: str, repaired: str) -> None:
    start = 'x = dfg.input("x", "f64[4]")\ny = dfg.input("y", "f64[2]")\ni = np.array([0, 1])\n'
    source, d = diagnosed(start + line + "\n")
    assert d.fix is not None
    assert d.fix.apply(source) == start + repaired + "\n"
    with pytest.raises(AssertionError, match="not refused"):
        diagnosed(d.fix.apply(source))


def test_the_fix_of_an_unpinned_target() -> None:
    source, d = diagnosed('x = dfg.input("x", "f64[3]")\nu = 2 * x\nl = dfg.sum(u)\ng = dfg.grad(l, u)\n')
    assert d.fix is not None and "u = dfg.pin(2 * x)" in d.fix.apply(source)
    with pytest.raises(AssertionError, match="not refused"):
        diagnosed(d.fix.apply(source))


def test_without_a_text_the_line_is_told() -> None:
    def run() -> None:
        exec(compile("x = 1\ny = dfg.input('x', 'f64[3]') + np.ones(4)\n", "<stdin>", "exec"), {"dfg": b, "np": np})

    d = refused(run)
    assert d.span is None and d.notes == ("at line 2 of <stdin>, whose text is not available",)
    assert "Traceback" not in str(UserError(d))


def test_errors_in_helper_functions_point_into_them() -> None:
    _, d = diagnosed("""
    def layer(x, w):
        return np.tanh(x @ w)
    x = dfg.input("x", "f64[n, 3]")
    y = layer(layer(x, np.ones((3, 4))), np.ones((5, 2)))
    """)
    assert d.span is not None and d.span.text == "x @ w"
    assert [label.span.text for label in d.labels] == ["np.tanh(x @ w)", "w"]


def test_hasattr_and_copy_of_tensors() -> None:
    import copy

    x = b.input("x", "f64[3]")
    assert not hasattr(x, "exp") and hasattr(x, "sum") and not hasattr(x, "__len_hint__")
    assert copy.copy(x) is x and copy.deepcopy([x])[0] is x
    assert {x: 1}[x] == 1


def test_places_know_variables_and_parts() -> None:
    def two() -> tuple[Place | None, Place | None]:
        found = here()
        return found, found

    first = here()
    left, _ = two()
    assert variable(first) == "first"
    assert isinstance(left, Place) and left.text == "here()" and variable(left) == "found"
    parts = anatomy(Place(test_places_know_variables_and_parts.__code__, 0))
    assert parts.operands == ()


@pytest.fixture(autouse=True)
def _fresh_cells() -> Iterator[None]:
    yield
    for name in [n for n in linecache.cache if n.startswith("<cell-") or n == "model.py"]:
        del linecache.cache[name]


def test_every_code_is_in_the_table() -> None:
    from pathlib import Path

    folder = Path(b.__file__).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) in ("Bad", "refuse", "error")
                and isinstance(node.args[0], ast.Constant)
            ):
                assert node.args[0].value in CODES, (path, node.lineno)
