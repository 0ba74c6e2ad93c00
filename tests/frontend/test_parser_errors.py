"""Errors of syntax: each slip with its code, place and repair; many in one file; whatever text, only diagnostics."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfg.diagnostics import Diagnostic, Sink
from dfg.diagnostics.catalogue.syntax import CODES as catalogue
from dfg.frontend import syntax, tables
from dfg.frontend.lexer import MAX_ERRORS, lex
from dfg.frontend.parser import parse
from dfg.source import Source

PROGRAMS = sorted((Path(__file__).parents[1] / "programs").glob("*.dfg"))

def errors(text: str) -> list[Diagnostic]:
    sink = Sink()
    parse(Source("a.dfg", text), sink)
    return sink.items


# text, code, what is pointed at, the repaired text (None: no fix)
SLIPS: list[tuple[str, str, str, str | None]] = [
    ("y = 2 ^ x\n", "pythonic-power", "^", "y = 2 ** x\n"),
    ("y = a && b\n", "pythonic-logic", "&&", "y = a and b\n"),
    ("y = a || b\n", "pythonic-logic", "||", "y = a or b\n"),
    ("y = !a\n", "pythonic-logic", "!", "y = not a\n"),
    ("y = !(a > b)\n", "pythonic-logic", "!", "y = not (a > b)\n"),
    ("y = a; z = b\n", "pythonic-semicolon", ";", "y = a\n z = b\n"),
    ("y = a;\n", "pythonic-semicolon", ";", "y = a\n"),
    ("y = x.sum()\n", "pythonic-method", "sum", "y = sum(x)\n"),
    ("y = x.sum(axis=0)\n", "pythonic-method", "sum", "y = sum(x, axis=0)\n"),
    ("y = (a + b).sum()\n", "pythonic-method", "sum", "y = sum(a + b)\n"),
    ("y = a if p else b\n", "pythonic-ternary", "if", "y = if p { a } else { b }\n"),
    ("y = f(a if p else b, 3)\n", "pythonic-ternary", "if", "y = f(if p { a } else { b }, 3)\n"),
    ("y = [a if p > 0 else b]\n", "pythonic-ternary", "if", "y = [if p > 0 { a } else { b }]\n"),
    ("y = lambda x: x + 1\n", "pythonic-lambda", "lambda", "def y(x) = x + 1\n"),
    ("y = map(lambda x: x, z)\n", "pythonic-lambda", "lambda", None),
    ("print(y)\n", "pythonic-print", "print(y)", "output y\n"),
    ("print(y + 1)\n", "pythonic-print", "print(y + 1)", "output printed = y + 1\n"),
    ("print y\n", "pythonic-print", "print", "output y\n"),
    ("import numpy as np\n", "pythonic-import", "import", "\n"),
    ("import layers\n", "pythonic-import", "import", "use \"layers.dfg\"\n"),
    ("from layers import linear\n", "pythonic-import", "from", "use \"layers.dfg\"\n"),
    ("y = if x = 1 { 2 } else { 3 }\n", "pythonic-equals", "=", "y = if x == 1 { 2 } else { 3 }\n"),
    ("z = while z = 1 max 3 carry z = 1 { z = 2 }\n", "pythonic-equals", "=", "z = while z == 1 max 3 carry z = 1 { z = 2 }\n"),
    ("y = where(x > 0 & y > 0, 1, 2)\n", "pythonic-precedence", "x > 0 & y > 0", "y = where(x > 0 and y > 0, 1, 2)\n"),
    ("y = a > 0 & b > 0 & c > 0\n", "pythonic-precedence", "a > 0 & b > 0 & c > 0", "y = a > 0 and b > 0 and c > 0\n"),
    ("y = a > 0 | b > 0\n", "pythonic-precedence", "a > 0 | b > 0", "y = a > 0 or b > 0\n"),
    ("y = a < b < c\n", "pythonic-chain", "a < b < c", "y = a < b and b < c\n"),
    ("y = not a < b < c\n", "pythonic-chain", "a < b < c", "y = not (a < b and b < c)\n"),
    ("y = True\n", "pythonic-constant", "True", "y = true\n"),
    ("def f(x): return x + 1\n", "pythonic-def", ":", "def f(x) = x + 1\n"),
    ("def f(x):\n    y = x + 1\n    return y\nz = f(3)\n", "pythonic-def", ":", "def f(x) {\n    y = x + 1\n    y\n}\nz = f(3)\n"),
    ("def f(x, y) -> f64:\n    return x\n", "pythonic-def", ":", "def f(x, y) -> f64 {\n    x\n}\n"),
    ("def f(x) {\n  y = x\n  return y\n}\n", "pythonic-return", "return", "def f(x) {\n  y = x\n  y\n}\n"),
    ("x += 1\n", "pythonic-augmented", "+=", "x_next = x + 1\n"),
    ("state s : f64 = 0\ns += 1\n", "pythonic-augmented", "+=", "state s : f64 = 0\nupdate s = s + 1\n"),
    ("x *= a + b\n", "pythonic-augmented", "*=", "x_next = x * (a + b)\n"),
    ("x[0] += 1\n", "pythonic-augmented", "+=", "x_next = x with [0] += 1\n"),
    ("x[0] = 1\n", "pythonic-assignment", "x[0]", "x_next = x with [0] = 1\n"),
    ("x[1:3] = 0\n", "pythonic-assignment", "x[1:3]", "x_next = x with [1:3] = 0\n"),
    ("y = a with [0] -= 1\n", "pythonic-augmented", "-=", "y = a with [0] += -(1)\n"),
    ("i++\n", "pythonic-augmented", "++", "i_next = i + 1\n"),
    ("y = if a { 1 } elif b { 2 } else { 3 }\n", "pythonic-elif", "elif", "y = if a { 1 } else if b { 2 } else { 3 }\n"),
    ("z = while z > 1 carry z = 1 { z = 2 }\n", "while-without-max", "while", "z = while z > 1 max 1000 carry z = 1 { z = 2 }\n"),
    ("z = while z > 1 { z = 2 }\n", "while-without-max", "while", None),
    ("s = for i in 0..4 { i }\n", "loop-without-carry", "for", None),
    ("for i in 0..4 { s = s + i }\n", "loop-without-carry", "for", None),
    ("if p { y = a } else { y = b }\n", "missing-result", "y = a", None),
    ("if p { y = a } else if q {\n  t = c\n  y = t\n} else { y = b }\n", "missing-result", "y = t", None),
    ("z = if p { y = a } else { y = b }\n", "missing-result", "y = a", None),
    ("s = scan v in x carry s = 0.0 {\n  continue\n  s = s + v\n}\n", "pythonic-word", "continue", None),
    ("def f(x) {\n  pass\n  x\n}\n", "pythonic-word", "pass", None),
    ("h = scan(f, h0, xs)\n", "syntax", "(", None),
    ("a, b = scan v in x carry (a, b) = (0, 1) { a, b = b, a }\n", "syntax", "(", None),
    ("y = x.detach()\n", "pythonic-method", "detach", "y = stop_gradient(x)\n"),
    ("output grad(y, x)\n", "unnamed-output", "grad(y, x)", "output dy_dx = grad(y, x)\n"),
    ("output 2 * x\n", "unnamed-output", "2 * x", "output result = 2 * x\n"),
    ("output y, sum(x)\n", "unnamed-output", "y, sum(x)", None),
    ("a, b = scan v in x carry p, q = 0, 1 { p, q = q, v }\n", "syntax", ",", None),
    ("y = x.view(3, 4)\n", "pythonic-method", "view", "y = reshape(x, [3, 4])\n"),
    ("y = x.item()\n", "pythonic-method", "item", None),
    ("s = for i in 0:4 carry s = 0 { s = s + i }\n", "pythonic-range", ":", "s = for i in 0..4 carry s = 0 { s = s + i }\n"),
    ("s = for i in range(4) carry s = 0 { s = s + i }\n", "pythonic-range", "range(4)", "s = for i in 0..4 carry s = 0 { s = s + i }\n"),
    ("y = conv(x, padding='same')\n", "pythonic-quotes", "'same'", "y = conv(x, padding=\"same\")\n"),
    ("y = f(x\n", "unclosed-bracket", "(", "y = f(x)\n"),
    ("y = f(x\nz = 3\n", "unclosed-bracket", "(", "y = f(x)\nz = 3\n"),
    ("y = f(x,\nz = 3\nw = 4\n", "unclosed-bracket", "(", "y = f(x,\nz = 3)\nw = 4\n"),
    ("y = [1, 2\nz = 3\n", "unclosed-bracket", "[", "y = [1, 2]\nz = 3\n"),
    ("y = f(x))\n", "extra-bracket", ")", "y = f(x)\n"),
    ("y = [1, 2)\n", "mismatched-bracket", ")", "y = [1, 2]\n"),
    ("y = (a + [1, 2)\n", "unclosed-bracket", "[", "y = (a + [1, 2])\n"),
    ("in = 3\n", "reserved-word", "in", "in_ = 3\n"),
    ("scan = 2\n", "reserved-word", "scan", "scan_ = 2\n"),
    ("state = 0\n", "reserved-word", "state", "state_ = 0\n"),
    ("param input : f64 = 1\n", "reserved-word", "input", "param input_ : f64 = 1\n"),
    ("def test(x) = x\n", "reserved-word", "test", "def test_(x) = x\n"),
    ("param w f64 = 1\n", "syntax", "f64", "param w : f64 = 1\n"),
    ("param w : f64 0.5\n", "syntax", "0.5", "param w : f64 = 0.5\n"),
    ("param w : f64\n", "missing-value", "", None),
    ("input x\n", "missing-type", "", None),
    ("input x f64[n]\n", "syntax", "f64", "input x : f64[n]\n"),
    ("y x\n", "syntax", "x", "y = x\n"),
    ("y = a b\n", "syntax", "b", None),
    ("y = f(a b)\n", "syntax", "b", "y = f(a, b)\n"),
    ("output y z\n", "syntax", "z", "output y, z\n"),
    ("y = 2x\n", "bad-number", "2x", "y = 2 * x\n"),
    ("y = a +\nb\nz = 3\n", "line-continues", "", "y = (a +\nb)\nz = 3\n"),
    ("y = a\n  + b\n", "line-continues", "+ b", None),
    ("y = \"abc\n", "unterminated-text", "\"abc", "y = \"abc\"\n"),
    ("y = 'abc\n", "unterminated-text", "'abc", "y = \"abc\"\n"),
    ("y = a \\ \n + b\n", "pythonic-backslash", "\\", None),
    ("y = a ≤ b\n", "bad-character", "≤", "y = a  <=  b\n"),
    ("y = a × b\n", "bad-character", "×", "y = a  *  b\n"),
    ("y = {1: 2}\n", "pythonic-dict", "{", None),
    ("y = p ? a : b\n", "pythonic-ternary", "?", "y = if p { a } else { b }\n"),
    ("dim n = 4\n", "pythonic-equals", "=", "dim n == 4\n"),
    ("a = b = c\n", "pythonic-chained-binding", "=", "b = c\na = b\n"),
    ("y = x is none\n", "pythonic-comparison", "is", "y = x == none\n"),
    ("y = x is not none\n", "pythonic-comparison", "is not", "y = x != none\n"),
    ("let x = 3\n", "pythonic-word", "let", "x = 3\n"),
    ("if x > 0:\n  y = 1\nelse:\n  y = 2\nz = 3\n", "pythonic-block", ":", None),
    ("y = if a { 1 }\n", "missing-else", "if", None),
    ("y = if a { 1 } else 2\n", "syntax", "2", None),
    ("else { 3 }\n", "missing-else", "else", None),
    ("y = a.b.\n", "syntax", "", None),
    ("(a, b) = f(x)\n", "bad-target", "(a, b)", "a, b = f(x)\n"),
    ("1 = x\n", "bad-target", "1", None),
    ("f(x) = 3\n", "bad-target", "f(x)", None),
    ("def f(x) x + 1\n", "syntax", "x", "def f(x) = x + 1\n"),
    ("def f(x) { }\n", "empty-block", "{ }", None),
    ("def f(x) { y = x }\n", "missing-result", "y = x", None),
    ("test foo { x = 3 }\n", "syntax", "foo", None),
    ("y = 007\n", "bad-number", "007", "y = 7\n"),
    ("y = 1_\n", "bad-number", "1_", "y = 1\n"),
    ("y = 0b11\n", "bad-number", "0b11", "y = 3\n"),
    ("y = 1j\n", "bad-number", "1j", None),
    ("\"\"\"doc\"\"\"\ny = 3\n", "pythonic-docstring", "\"\"\"doc\"\"\"", "# doc\ny = 3\n"),
    ("yield 3\n", "misplaced-statement", "yield 3", None),
    ("run 2\n", "misplaced-statement", "run 2", None),
    ("y = [x for x in y if x > 0]\n", "pythonic-ternary", "if", None),
    ("y = f(a=1, 2)\n", "argument-order", "2", None),
    ("y = sum(j, 2: x[j])\n", "syntax", ":", None),
    ("def f(x=1, y) = x\n", "argument-order", "y", None),
    ("a, b = 1, 2, 3\n", "count-mismatch", "a, b", None),
    ("f(x)\n", "unused-expression", "f(x)", "output result = f(x)\n"),
    ("def f(x) {\n  input y : f64\n  y\n}\n", "misplaced-statement", "input", None),
    ("def f(x) {\n  y = x\n  y\noutput z = 3\n", "unclosed-bracket", "{", "def f(x) {\n  y = x\n  y\n}\noutput z = 3\n"),
    ("y = x[0\n", "unclosed-bracket", "[", "y = x[0]\n"),
    ("y = 1 +* 2\n", "syntax", "*", "y = 1 + 2\n"),
    ("y = * 2\n", "syntax", "*", "y =  2\n"),
    ("y = f(,)\n", "syntax", ",", "y = f()\n"),
    ("y = f(a,,b)\n", "syntax", ",", "y = f(a,b)\n"),
    ("y = a not in b\n", "syntax", "not", None),
    ("@jit\n", "syntax", "@", None),
    ("class Foo:\n  x = 1\ny = 2\n", "pythonic-word", "class", None),
    ("\u0000\n", "bad-character", "\u0000", " \n"),
    ("input x : f64(3)\n", "syntax", "(", "input x : f64[3]\n"),
]


@pytest.mark.parametrize(("text", "code", "pointed", "repaired"), SLIPS, ids=[repr(row[0][:40]) for row in SLIPS])
def test_slips(text: str, code: str, pointed: str, repaired: str | None) -> None:
    (found,) = errors(text)
    assert found.code == code
    assert found.span is not None
    assert found.span.text == pointed
    assert (found.fix.apply(text) if found.fix else None) == repaired
    if repaired is not None:
        assert not errors(repaired)


@pytest.mark.parametrize("row", SLIPS, ids=[repr(row[0][:40]) for row in SLIPS])
def test_a_slip_hides_nothing_else(row: tuple[str, str, str, str | None]) -> None:
    text, _, _, repaired = row
    if "never closed" in errors(text)[0].message and repaired is None:
        return
    alone = errors(text)
    found = errors(f"a = 2 ^ b\n{text}c = 2 ^ b\n")
    assert [item.code for item in found] == ["pythonic-power", *(item.code for item in alone), "pythonic-power"]


@pytest.mark.parametrize("row", SLIPS, ids=[repr(row[0][:40]) for row in SLIPS])
def test_no_terminal_of_the_grammar_reaches_a_user(row: tuple[str, str, str, str | None]) -> None:
    names = set(tables.tables().states[0]) | {name for state in tables.tables().states for name in state}
    for item in errors(row[0]):
        said = " ".join([item.message, item.help or "", *(label.text for label in item.labels), item.fix.title if item.fix else ""])
        said = re.sub(r"`[^`]*`", "", said)
        assert not {word for word in re.findall(r"[A-Z_$]{2,}\w*", said) if word in names}, said
        assert "__" not in said


def test_all_errors_of_a_file_in_order() -> None:
    text = "\n".join([
        "input x : f64[n", "param w : f64", "y = 2 ^ x", "def f(a) {", "  b = a +", "  c = a.sum()", "  return c", "}",
        "z = f(x))", "test \"t\" {", "  y ~= ", "  x += 1", "}", "u = x if y else z", "output y z", "v = 'a'",
    ]) + "\n"
    found = errors(text)
    lines = [item.span.source.position(item.span.start)[0] for item in found if item.span]
    assert lines == sorted(lines)
    assert [(line, item.code) for line, item in zip(lines, found, strict=True)] == [
        (1, "unclosed-bracket"), (2, "missing-value"), (3, "pythonic-power"), (5, "line-continues"), (6, "pythonic-method"),
        (7, "pythonic-return"), (9, "extra-bracket"), (11, "syntax"), (12, "pythonic-augmented"), (14, "pythonic-ternary"),
        (15, "syntax"), (16, "pythonic-quotes"),
    ]


def test_modules_have_functions_and_values_have_not() -> None:
    assert not errors('use optim\nuse "a/layers.dfg"\nuse "b.dfg" as q\ny = optim.adam(x) + layers.f(x) + q.g.h(x)\n')
    assert [item.code for item in errors("y = x.f(x)\nz = f(x).g()\n")] == ["pythonic-method"] * 2


def test_too_many_errors() -> None:
    found = errors("y = 2 ^ x\n" * 2000)
    assert len(found) == MAX_ERRORS + 1
    assert found[-1].code == "too-many-errors"


@pytest.mark.parametrize("text", [
    "y = " + "x" * 3_000_000, "y = " + "9" * 3_000_000, "#" * 3_000_000, 'y = "' + "a" * 3_000_000, "^" * 3_000_000, ")" * 3_000_000,
    "$ " * 1_000_000, "'" * 1_000_000, "\n" * 1_000_000, " " * 3_000_000 + "y = 1", "y = 1;" * 200_000, "y = 3 3\n" * 50_000,
    "y = f(x\n" * 20_000, "y = {\n" * 20_000, "y = x.f()\n" * 20_000, "y = a < b < c\n" * 20_000,
], ids=lambda text: repr(text[:12]))
def test_hostile_texts_take_bounded_time(text: str) -> None:
    begin = time.perf_counter()
    errors(text)
    assert time.perf_counter() - begin < 120  # a quadratic pass over any of these takes minutes


def test_a_number_too_long() -> None:
    assert [item.code for item in errors("y = " + "9" * 5000 + "\n")] == ["bad-number"]
    assert [item.code for item in errors("y = " + "0x" + "f" * 5000 + "\n")] == ["bad-number"]
    assert [item.code for item in errors("y = 1" + "_000" * 5000 + "\n")] == ["bad-number"]


# Whatever text

SIGNS = [*tables.SIGNS, "\n", "\r\n", " ", "\t", ";", "'", '"', '"""', "\\", "^", "&&", "!", "?", "$", "#", "\0", "\ufeff", "≤", "é", "x", "1", "2x",
         "if ", "else ", "elif ", "for ", "in ", "scan ", "carry ", "while ", "max ", "with ", "def ", "return ", "lambda ", "input ",
         "param ",
         "state ", "yield ", "output ", "update ", "use ", "test ", "run ", "gradcheck ", "wrt ", "vjp", "within ", "import ", "group ", "True", "-="]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from([path.read_text("utf-8") for path in PROGRAMS]))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.sampled_from([0, 0, 1, 2, 10])))
        text = text[:start] + draw(st.sampled_from(["", *SIGNS])) + text[stop:]
    return text


def check_diagnostics(text: str) -> None:
    for item in errors(text):
        assert item.span is not None
        assert 0 <= item.span.start <= item.span.stop <= len(text)
        assert item.message
        if item.fix:
            for span, _ in item.fix.edits:
                assert 0 <= span.start <= span.stop <= len(text)
            item.fix.apply(text)


@settings(max_examples=300, deadline=None)
@given(mutated())
def test_mutated_programs_give_diagnostics(text: str) -> None:
    check_diagnostics(text)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.lists(st.sampled_from(SIGNS), max_size=60).map("".join), st.text(max_size=80)))
def test_any_text_gives_diagnostics(text: str) -> None:
    check_diagnostics(text)


@settings(max_examples=200, deadline=None)
@given(mutated())
def test_tokens_are_balanced_and_in_order(text: str) -> None:
    tokens = lex(Source("a.dfg", text), Sink())
    assert tokens.types[-1] == "$END"
    assert all(a <= b for a, b in zip(tokens.starts, tokens.starts[1:], strict=False))
    open_ = []
    pairs = {"RPAR": "LPAR", "RSQB": "LSQB", "RBRACE": "LBRACE"}
    for kind in tokens.types:
        if kind in pairs.values():
            open_.append(kind)
        elif kind in pairs:
            assert open_.pop() == pairs[kind]
    assert not open_


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PROGRAMS), st.data())
def test_one_wrong_statement_spoils_no_other(path: Path, data: st.DataObject) -> None:
    text = path.read_text("utf-8")
    sink = Sink()
    whole = parse(Source("a.dfg", text), sink)
    at = data.draw(st.sampled_from(whole.statements)).start
    wrongs = ["y = * 2\n", "y = a b c\n", "y = 1 +\n\n", "y = f(a,, b)\n", "output\n", "a.b. = 2\n", "y = x[1:2:3:4]\n"]
    wrong = data.draw(st.sampled_from(wrongs))
    sink = Sink()
    found = parse(Source("a.dfg", text[:at] + wrong + text[at:]), sink)
    assert sink.items
    kept = [item for item in found.statements if item.start < at or item.start >= at + len(wrong)]
    assert len(kept) == len(whole.statements)
    assert all(syntax.same(a, b) for a, b in zip(kept, whole.statements, strict=True))


@pytest.mark.parametrize("code", sorted(catalogue))
def test_the_pages_of_the_table(code: str) -> None:
    """What `dfg explain CODE` shows gives that code, and nothing when repaired."""
    entry = catalogue[code]
    if entry.kind == "program":
        assert {item.code for item in errors(entry.failing)} == {code}
        assert not errors(entry.repaired)
