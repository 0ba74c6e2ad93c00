"""The formatter: the tree stays, twice is once, comments and numbers stay, lines fit."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfg.diagnostics import Sink, UserError
from dfg.frontend import syntax
from dfg.frontend.formatter import WIDTH, format_source
from dfg.frontend.lexer import lex
from dfg.frontend.parser import parse
from dfg.source import Source

PROGRAMS = sorted((Path(__file__).parents[1] / "programs").glob("*.dfg"))


def formatted(text: str) -> str:
    return format_source(Source("a.dfg", text))


def check(text: str) -> str:
    """Format, and compare everything that must stay."""
    sink = Sink()
    before = parse(Source("a.dfg", text), sink)
    assert not sink.items
    new = formatted(text)
    after = parse(Source("a.dfg", new), sink)
    assert not sink.items, new
    assert syntax.same(before, after)
    assert [item.doc for item in before.statements] == [item.doc for item in after.statements]
    assert [c.text.rstrip() for c in before.comments] == [c.text.rstrip() for c in after.comments]
    numbers = [[node.text for node in syntax.walk(tree) if isinstance(node, syntax.Number)] for tree in (before, after)]
    assert numbers[0] == numbers[1]
    assert formatted(new) == new
    assert not any(line != line.rstrip() for line in new.split("\n"))
    assert "\n\n\n" not in new
    return new


def test_programs(program: str) -> None:
    new = check(program)
    for line in new.split("\n"):
        assert len(line.split("#")[0]) <= WIDTH


@pytest.mark.parametrize(("text", "wanted"), [
    ("", ""),
    ("\n\n# only\n\n\n\n# comments", "# only\n\n# comments\n"),
    ("x=1", "x = 1\n"),
    ("y=-a**-b+(-c)*not_d", "y = -a ** -b + (-c) * not_d\n"),
    ("y=not  a", "y = not a\n"),
    ("y=f( a,b , k = 1,)", "y = f(a, b, k=1,)\n"),
    ("y=(w=1,b = 2)", "y = (w = 1, b = 2)\n"),
    ("y=x[1 : 3,::2,:,i+1:,:n - 1,-1:,a:b:c]", "y = x[1:3, ::2, :, i + 1 :, : n - 1, -1:, a:b:c]\n"),
    ("y=x [..., newaxis] [0]", "y = x[..., newaxis][0]\n"),
    ("y=sum(j,k :A[ j,k ])", "y = sum(j, k: A[j, k])\n"),
    ("input x,y:f64[n,3]=0", "input x, y : f64[n, 3] = 0\n"),
    ("def f(x:f64[n]=1,b=2)->(f64,i64){x,b}", "def f(x : f64[n] = 1, b = 2) -> (f64, i64) { x, b }\n"),
    ("def f(x)=x with vjp( ct,y )=ct", "def f(x) = x with vjp(ct, y) = ct\n"),
    ("s=for i in 0 .. 4 carry s:f64=0{s=s+i}", "s = for i in 0..4 carry s : f64 = 0 { s = s + i }\n"),
    ("s=for i in 1. .. .5 carry s=0{s=s+i}", "s = for i in 1. .. .5 carry s = 0 { s = s + i }\n"),
    ("y=[ x for i in 0..n-1 ]", "y = [x for i in 0..n - 1]\n"),
    ("dim n~4096\ndim n%4==0", "dim n ~ 4096\ndim n % 4 == 0\n"),
    ("y=x with[0]+=v with [1:]=2", "y = x with [0] += v with [1:] = 2\n"),
    ("z=while a max 50 carry z=max( a,b ){z=z/2}", "z = while a max 50 carry z = max(a, b) { z = z / 2 }\n"),
    ("test   error \"x\"{run 2\na~=b within 1e-3\ngradcheck l wrt a . b,c}",
     'test error "x" {\n  run 2\n  a ~= b within 1e-3\n  gradcheck l wrt a.b, c\n}\n'),
    ("c=if p{a}\n\nelse if q{b}\nelse{c}", "c = if p { a } else if q { b } else { c }\n"),
    ("c=if p{\na}else{b}", "c = if p {\n  a\n} else { b }\n"),
    ("def f(x){\n\n\n# why\n\n\ny=x # here\n\n\ny\n\n}", "def f(x) {\n  # why\n\n  y = x  # here\n\n  y\n}\n"),
    ("def f(x) { # note\ny\n# end\n}\n# next\nz=1", "def f(x) {  # note\n  y\n  # end\n}\n# next\nz = 1\n"),
    ("y = f(a, # one\n# two\nb\n# three\n)", "y = f(\n  a,  # one\n  # two\n  b\n  # three\n)\n"),
    ("y = f(a # one\n, b)", "y = f(\n  a,  # one\n  b\n)\n"),
    ("y = if p { 1 } # one\n# two\nelse { 2 }", "y = if p {\n  1\n}  # one\n# two\nelse {\n  2\n}\n"),
    ("group \"g\" {y=1}", 'group "g" { y = 1 }\n'),
    ("x = 1\r\n\r\n\r\ny = 2 # c\r\n", "x = 1\n\ny = 2  # c\n"),
    ("y = 0x1F + 1_000 + .5e-3 + 1.", "y = 0x1F + 1_000 + .5e-3 + 1.\n"),
    ("run = group + max\nwithin = as", "run = group + max\nwithin = as\n"),
])
def test_style(text: str, wanted: str) -> None:
    assert check(text) == wanted


def test_long_lines() -> None:
    names = ", ".join(f"a_long_argument_{i}" for i in range(12))
    assert check(f"y = f({names})") == "y = f(\n" + "".join(f"  a_long_argument_{i}{',' if i < 11 else ''}\n" for i in range(12)) + ")\n"
    numbers = check("y = [" + ", ".join(str(i * 1000) for i in range(60)) + "]")
    assert max(map(len, numbers.split("\n"))) <= WIDTH
    assert numbers.count("\n") < 8
    total = check("y = (" + " + ".join(f"some_long_name_{i} * x" for i in range(12)) + ")")
    assert max(map(len, total.split("\n"))) <= WIDTH
    assert all(line.startswith("  + ") for line in total.split("\n")[2:-2])
    nested = check("y = outer(inner(" + ", ".join(f"value_{i} + 1" for i in range(10)) + "), other(" + names + "), axis=0)")
    assert max(map(len, nested.split("\n"))) <= WIDTH
    branch = check("y = if " + "p" * 50 + " { " + "a" * 30 + " } else { " + "b" * 30 + " }")
    assert branch == "y = if " + "p" * 50 + " {\n  " + "a" * 30 + "\n} else {\n  " + "b" * 30 + "\n}\n"
    check("y = " + "x" * 200 + " + " + "y" * 200)
    check("def f(" + ", ".join(f"p{i} : f64[n, m] = {i}" for i in range(10)) + ") = p0")


def test_deep_and_long() -> None:
    for text in ("y = " + "(" * 10_000 + "x" + ")" * 10_000, "y = " + "f(a, " * 3_000 + "x" + ")" * 3_000,
                 "y = (" + " + ".join(f"x{i}" for i in range(30_000)) + ")", "y = [" + ", ".join(map(str, range(30_000))) + "]",
                 "y = " + "if p { 1 } else { " * 2_000 + "2" + " }" * 2_000, "y = " + "if p { 1 } else " * 2_000 + "{ 2 }"):
        check(text)


def test_wrong_programs_are_refused() -> None:
    with pytest.raises(UserError) as caught:
        formatted("y = 2 ^ x\nz = (")
    assert [item.code for item in caught.value.diagnostics] == ["pythonic-power", "unclosed-bracket"]


def test_a_hundred_thousand_lines() -> None:
    lines = [f"h{k} = exp(h{k - 1}*0.5+b)-1.0  # step" if k % 2 else f"h{k}=sum(h{k - 1} ** 2,axis=1)" for k in range(1, 20_001)]
    begin = time.perf_counter()
    formatted("\n".join(lines))
    assert time.perf_counter() - begin < 120  # a fifth of them; a hundred thousand take some ten seconds on a quiet machine


# Scrambled spacing, and mutations that still parse


def scramble(text: str, rng: random.Random) -> str:
    """The same tokens and comments with other blanks, and newlines where they are blank."""
    tokens = lex(Source("a.dfg", text), Sink())
    types, starts, stops = tokens.types, tokens.starts, tokens.stops
    out: list[str] = []
    brackets: list[str] = []
    place = 0
    for index, kind in enumerate(types):
        gap = text[place : starts[index]]
        if kind in ("_NL", "$END") or "\n" in gap or "#" in gap:
            out.append(gap)
        else:
            choices = [" ", "  ", "\t"] if gap else ["", "", " "]
            if kind in ("MAX", "RUN", "GRADCHECK", "GROUP") or not gap:
                choices = [gap]
            if brackets and brackets[-1] != "LBRACE":
                choices += ["\n", "  # c\n", "\n # own\n\n"]
            out.append(rng.choice(choices) if rng.random() < 0.3 else gap)
        if kind in ("LPAR", "LSQB", "LBRACE"):
            brackets.append(kind)
        elif kind in ("RPAR", "RSQB", "RBRACE"):
            brackets.pop()
        out.append(text[starts[index] : stops[index]])
        place = stops[index]
    return "".join(out)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PROGRAMS), st.randoms(use_true_random=False))
def test_scrambled_programs(path: Path, rng: random.Random) -> None:
    text = path.read_text("utf-8")
    other = scramble(text, rng)
    sink = Sink()
    if not syntax.same(parse(Source("a", text), sink), parse(Source("a", other), sink)):
        return
    if not sink.items:
        check(other)


BITS = ["\n", "\n\n\n", " ", "# note\n", "  # note", "(", ")", "[", "]", "{", "}", "+ ", "-", ", ", "x", "1.5", " else ", "[1:2]", "not ",
        "..", ":", " if p { a } else { b } ", "f(a, b=1)", " with [0] = 1"]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(PROGRAMS), st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0, 0, 1, 3, 20]), st.sampled_from(BITS)), max_size=3))
def test_mutated_programs(path: Path, edits: list[tuple[float, int, str]]) -> None:
    text = path.read_text("utf-8")
    for where, size, new in edits:
        at = int(where * len(text))
        text = text[:at] + new + text[at + size :]
    sink = Sink()
    parse(Source("a", text), sink)
    if not sink.items:
        check(text)


names = st.sampled_from(["a", "bb", "some_long_name", "x.y", "1.5", "2", "-3", "true"])
expressions = st.recursive(
    names,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "*", "**", "and", "==", "&"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.lists(inner, min_size=1, max_size=8).map(lambda items: f"f({', '.join(items)})"),
        st.lists(inner, max_size=8).map(lambda items: f"[{', '.join(items)}]"),
        st.tuples(inner, inner).map(lambda t: f"if {t[0]} {{ {t[1]} }} else {{ {t[0]} }}"),
        st.tuples(inner, inner).map(lambda t: f"if {t[0]} {{\n q = {t[1]} # c\n q }} else {{ {t[0]} }}"),
        st.tuples(inner, inner).map(lambda t: f"({t[0]})[{t[1]}:, : {t[0]}]"),
        st.tuples(inner, inner).map(lambda t: f"g({t[0]}, # note\n k={t[1]})"),
        inner.map(lambda t: f"(scan a in {t} carry c = {t} {{ c = {t}\n yield c }})"),
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(expressions, min_size=1, max_size=3))
def test_generated_programs(values: list[str]) -> None:
    check("".join(f"y{i} = {value}\n" for i, value in enumerate(values)))
