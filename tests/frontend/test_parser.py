"""The parser: the acceptance programs, the shape of trees, precedence, depth, bytes, speed of growth."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import lark
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfg.diagnostics import Diagnostic, Sink
from dfg.frontend import syntax as s
from dfg.frontend import tables
from dfg.frontend.lexer import lex
from dfg.frontend.parser import modules, parse, parse_expression, read_source
from dfg.source import Source


def tree(text: str) -> s.File:
    sink = Sink()
    found = parse(Source("a.dfg", text), sink)
    assert not sink.items, [f"{item.span}: {item}" for item in sink.items]
    return found


def errors(text: str) -> list[Diagnostic]:
    sink = Sink()
    parse(Source("a.dfg", text), sink)
    return sink.items


def value(text: str) -> s.Expr:
    sink = Sink()
    found = parse_expression(Source("a.dfg", text), sink)
    assert found is not None, sink.items
    return found


def shape(node: s.Node | None) -> object:
    """A tree as nested tuples, for small trees."""
    if node is None:
        return None
    parts: list[object] = [type(node).__name__]
    for field in s.content(type(node)):
        item = getattr(node, field)
        if field in ("at", "doc", "comments"):
            continue
        parts.append(tuple(shape(x) for x in item) if isinstance(item, tuple) else shape(item) if isinstance(item, s.Node) else item)
    return tuple(parts)


# The grammar and the programs


def test_the_grammar_has_no_conflict() -> None:
    pytest.importorskip("interegular")
    lark.Lark(Path(tables.grammar_path()).read_text("utf-8"), parser="lalr", lexer="contextual", strict=True)


def test_every_program_parses(program: str) -> None:
    found = tree(program)
    assert len(found.statements) >= 4
    for node in s.walk(found):
        assert 0 <= node.start <= node.stop <= len(program)


def test_children_lie_inside_their_parents(program: str) -> None:
    for node in s.walk(tree(program)):
        for child in s.children(node):
            assert node.start <= child.start <= child.stop <= node.stop, (node, child)


def test_names_and_numbers_stand_where_they_say(program: str) -> None:
    for node in s.walk(tree(program)):
        if isinstance(node, s.Name):
            assert "".join(node.span.text.split()) == node.text
        elif isinstance(node, s.Number):
            assert node.span.text == node.text
        elif isinstance(node, (s.Binary, s.Compare, s.Logical)):
            assert node.source.text.startswith(node.op, node.at)


class LarkLexer(lark.lexer.Lexer):  # type: ignore[misc]
    """Our tokens for lark's own parser."""

    def __init__(self, conf: object) -> None:
        pass

    def lex(self, data: str):  # type: ignore[no-untyped-def]
        tokens = lex(Source("a.dfg", str(data)), Sink())
        kinds = list(tokens.types[:-1])
        for index, kind in enumerate(kinds):
            if kind in tables.tables().special.values() and not self.in_place(kind, kinds[:index]):
                kind = "NAME"
            yield lark.Token(kind, data[tokens.starts[index] : tokens.stops[index]])

    def in_place(self, kind: str, before: list[str]) -> bool:
        last = before[-1] if before else "_NL"
        return kind in ("RUN", "GRADCHECK", "GROUP") or last in ("NAME", "NUMBER", "RPAR", "RSQB", "STRING", "TEST", "WITH")


def test_our_loop_accepts_what_lark_accepts(program: str) -> None:
    grammar = Path(tables.grammar_path()).read_text("utf-8")
    parser = lark.Lark(grammar, parser="lalr", lexer=LarkLexer, propagate_positions=False)
    assert parser.parse(program).data == "start"


def test_every_sign_of_the_grammar_is_known_to_the_lexer() -> None:
    parser = lark.Lark(Path(tables.grammar_path()).read_text("utf-8"), parser="lalr")
    known = tables.tables()
    for terminal in parser.terminals:
        if terminal.pattern.type == "str":
            text = terminal.pattern.value
            assert text in known.signs or text in known.reserved or text in known.special, text
    words = "and or not true false none if else for in while scan carry yield with def use input param state const output update dim default test"
    assert set(known.reserved) == set(words.split())


def test_tables_come_from_the_cache_without_lark(tmp_path: Path) -> None:
    script = "import sys; from dfg.frontend.tables import tables; tables(); print('lark' in sys.modules)"
    root = Path(tables.__file__).parents[2]
    said = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root,
                       env={"DFG_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(root)}).stdout.strip()
        for _ in range(2)
    ]
    assert said == ["True", "False"]
    file = next(tmp_path.glob("grammar-*.json"))
    for damage in ("", "{", '{"of": 3}', "[]", file.read_text("utf-8").replace('"states"', '"stages"')):
        file.write_text(damage, "utf-8")
        again = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root,
                               env={"DFG_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(root)})
        assert again.stdout.strip() == "True", again.stderr


# Trees


def test_declarations() -> None:
    found = tree('input x, y : f32[n, 2*n - 1] = 0\nparam a.w = 1\nstate s : i64 = 0\nconst k = 2\noutput a, b = f(x)\nupdate s = s + 1\n'
                 'dim n >= 2\ndim n ~ 4096\ndim m\ndefault f32\nuse optim\nuse "a/b.dfg" as q\ngroup "g" { z = 1 }\ngroup { z = 1 }\n')
    kinds = [type(item).__name__ for item in found.statements]
    assert kinds == ["Input", "Param", "State", "Const", "Output", "Update", "DimFact", "DimFact", "DimFact", "Default", "Use", "Use",
                     "Group", "Group"]
    first = found.statements[0]
    assert isinstance(first, s.Input)
    assert [name.text for name in first.names] == ["x", "y"]
    assert isinstance(first.type, s.TensorType)
    assert [dim.span.text for dim in first.type.dims] == ["n", "2*n - 1"]
    assert isinstance(found.statements[1], s.Param)
    assert found.statements[1].name.text == "a.w"
    hint = found.statements[7]
    assert isinstance(hint, s.DimFact)
    assert (hint.op, hint.right.span.text if hint.right else None) == ("~", "4096")
    assert modules(found) == {"optim", "q"}


def test_functions_and_rules() -> None:
    found = tree("def f(x, a : f32[n] = 2, b=3) -> (f64[n], i64) { y = x\n y, 1 } with vjp(ct, y) = (ct, none, none)\n").statements[0]
    assert isinstance(found, s.Def)
    assert [(p.name.text, p.type is not None, p.default is not None) for p in found.params] == [
        ("x", False, False), ("a", True, True), ("b", False, True)]
    assert isinstance(found.result, s.TupleType)
    assert isinstance(found.body, s.Block)
    assert found.rule is not None
    assert [name.text for name in found.rule.names] == ["ct", "y"]


def test_loops_and_branches() -> None:
    found = value("scan a, b in xs, ys carry h : f64 = 0.0, k.i = 1 { h = h + a\n k.i = b\n yield h, a }")
    assert isinstance(found, s.Scan)
    assert [carry.name.text for carry in found.carries] == ["h", "k.i"]
    assert isinstance(found.body.statements[-1], s.Yield)
    branch = value("if p { a } else if q { b } else { c }")
    assert isinstance(branch, s.If)
    assert isinstance(branch.otherwise, s.If)
    loop = value("while z > 1 max 50 carry z = a { z = z / 2 }")
    assert isinstance(loop, s.While)
    assert loop.limit.span.text == "50"
    unrolled = value("for i in 0..n carry s = 0 { s = s + i }")
    assert isinstance(unrolled, s.For)
    assert unrolled.range.upper is not None


def test_calls_indices_records() -> None:
    one = ("Number", "1", "integer", 1)
    assert shape(value("f(a, k=1)")) == ("Call", ("Name", "f"), (("Name", "a"),), (("Kwarg", ("Name", "k"), one),), ())
    assert shape(value("sum(j, k: A)")) == ("Call", ("Name", "sum"), (("Name", "A"),), (), (("Name", "j"), ("Name", "k")))
    assert shape(value("x[1:, ..., newaxis, i]")) == (
        "Index", ("Name", "x"),
        (("Slice", ("Number", "1", "integer", 1), None, None), ("Dots",), ("NewAxis",), ("Name", "i")))
    assert shape(value("x[::2]")) == ("Index", ("Name", "x"), (("Slice", None, None, ("Number", "2", "integer", 2)),))
    assert shape(value("x[a::b]")) == ("Index", ("Name", "x"), (("Slice", ("Name", "a"), None, ("Name", "b")),))
    assert shape(value("(a,)")) == ("TupleExpr", (("Name", "a"),))
    assert shape(value("(a)")) == ("Name", "a")
    assert shape(value("[]")) == ("ListExpr", ())
    assert shape(value("(w = 1, b = 2,)"))[0] == "RecordExpr"  # type: ignore[index]
    assert shape(value("a with [0] = 1 with [1] += b"))[0] == "With"  # type: ignore[index]
    assert shape(value("p.w.b")) == ("Attribute", ("Attribute", ("Name", "p"), ("Name", "w")), ("Name", "b"))


def test_tests() -> None:
    lines = ["run 2", "run", "run = 3", "gradcheck l wrt a.b, c", "a ~= b within 1e-3", "a == b", "group = 1", "within = max"]
    found = tree('test error "x" { ' + "\n".join(lines) + "\n}\n").statements[0]
    assert isinstance(found, s.Test)
    assert found.error
    assert [type(item).__name__ for item in found.body.statements] == [
        "Run", "Run", "Binding", "GradCheck", "Check", "ExprStatement", "Binding", "Binding"]


@pytest.mark.parametrize("name", ["max", "as", "wrt", "within", "error", "run", "gradcheck", "group", "vjp", "inf", "params", "print", "θ", "ŷ"])
def test_special_words_are_names_elsewhere(name: str) -> None:
    found = tree(f"{name} = 1\ny = {name} + {name}(2, {name}={name})[{name}]\ndef f({name}) = {name}\noutput {name}, a.{name}\n")
    assert isinstance(found.statements[0], s.Binding)
    assert found.statements[0].targets[0].text == name


@pytest.mark.parametrize(("text", "kind", "number"), [
    ("2", "integer", 2), ("1_000", "integer", 1000), ("0.5", "float", 0.5), (".5", "float", 0.5), ("1e-3", "float", 1e-3), ("0x1f", "integer", 31),
    ("1.", "float", 1.0), ("0", "integer", 0), ("1E5", "float", 1e5), ("2.5_0e1", "float", 25.0), ("00", "integer", 0), ("1.e2", "float", 100.0),
])
def test_numbers(text: str, kind: str, number: float) -> None:
    found = value(text)
    assert isinstance(found, s.Number)
    assert (found.text, found.kind, found.value) == (text, kind, number)


def test_newlines() -> None:
    found = tree("y = f(a,\n\n  # why\n  b\n)\nz = if p {\n\n 1 }\n\n # then\n else { 2 }\r\n\tw = scan a in b\n  carry c = 1 { c = 2 }\n\f\nv = [\n]")
    assert [type(item).__name__ for item in found.statements] == ["Binding"] * 4
    inside = value("(if p { y = 1\n y } else { 2 })")
    assert isinstance(inside, s.If)
    assert len(inside.then.statements) == 2


def test_comments_and_documentation() -> None:
    found = tree("# file\n\n# one\n#two\ninput x : f64 # not me\n#: provenance\n# three\nparam w = 1\n\ny = 2\n# last")
    assert [item.doc for item in found.statements] == ["one\ntwo", "three", ""]
    assert [comment.text for comment in found.comments] == [" file", " one", "two", " not me", ": provenance", " three", " last"]
    assert [comment.own_line for comment in found.comments] == [True, True, True, False, True, True, True]
    assert tree("# dos\r\n# line\r\nx = 1\r\n").statements[0].doc == "dos\nline"


def test_unicode_names_are_normalised() -> None:
    found = tree("ﬁ = 1\ny = fi + y\u0302 + \u0177\n").statements
    assert isinstance(found[0], s.Binding)
    assert found[0].targets[0].text == "fi"
    assert isinstance(found[1], s.Binding)
    right = found[1].values[0]
    assert isinstance(right, s.Binary)
    assert isinstance(right.left, s.Binary)
    assert isinstance(right.right, s.Name)
    assert isinstance(right.left.right, s.Name)
    assert right.right.text == right.left.right.text


# Precedence, against Python

OPS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.MatMult: "@", ast.Pow: "**", ast.BitAnd: "&",
    ast.BitOr: "|", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.And: "and", ast.Or: "or",
    ast.USub: "-", ast.UAdd: "+", ast.Not: "not",
}


def python_shape(node: ast.AST) -> object:
    if isinstance(node, ast.BinOp):
        return (OPS[type(node.op)], python_shape(node.left), python_shape(node.right))
    if isinstance(node, ast.UnaryOp):
        return (OPS[type(node.op)], python_shape(node.operand))
    if isinstance(node, ast.Compare):
        return (OPS[type(node.ops[0])], python_shape(node.left), python_shape(node.comparators[0]))
    if isinstance(node, ast.BoolOp):
        found = python_shape(node.values[0])
        for item in node.values[1:]:
            found = (OPS[type(node.op)], found, python_shape(item))
        return found
    if isinstance(node, ast.Call):
        return ("call", python_shape(node.func), *map(python_shape, node.args))
    if isinstance(node, ast.Subscript):
        return ("index", python_shape(node.value), python_shape(node.slice))
    if isinstance(node, ast.Attribute):
        return ("attr", python_shape(node.value), node.attr)
    assert isinstance(node, ast.Name)
    return node.id


def our_shape(node: s.Node) -> object:
    if isinstance(node, (s.Binary, s.Compare, s.Logical)):
        return (node.op, our_shape(node.left), our_shape(node.right))
    if isinstance(node, s.Unary):
        return (node.op, our_shape(node.operand))
    if isinstance(node, s.Call):
        return ("call", our_shape(node.func), *map(our_shape, node.args))
    if isinstance(node, s.Index):
        return ("index", our_shape(node.base), *map(our_shape, node.indices))
    if isinstance(node, s.Attribute):
        return ("attr", our_shape(node.base), node.name.text)
    assert isinstance(node, s.Name)
    return node.text


BINARY = ["+", "-", "*", "/", "//", "%", "@", "**", "&", "|", "<", "<=", ">", "==", "!=", "and", "or"]
operand = st.sampled_from(["a", "b.c", "f(x)", "x[i]", "g(a, b)", "(a)"])
pieces = st.recursive(
    operand,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(BINARY), inner).map(lambda t: f"{t[0]} {t[1]} {t[2]}"),
        st.tuples(st.sampled_from(["-", "+", "not "]), inner).map(lambda t: f"{t[0]}{t[1]}"),
        inner.map(lambda t: f"({t})"),
        inner.map(lambda t: f"({t})[a].b"),
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(pieces)
def test_precedence_is_that_of_python(text: str) -> None:
    try:
        wanted = ast.parse(text, mode="eval").body
    except SyntaxError:  # `a + not b` is no expression there either
        assert any(item.code != "pythonic-chain" for item in errors(f"y = {text}\n"))
        return
    if any(isinstance(node, ast.Compare) and len(node.ops) > 1 for node in ast.walk(wanted)):
        assert {item.code for item in errors(f"y = {text}\n")} <= {"pythonic-chain", "pythonic-precedence"}
        return
    assert our_shape(value(text)) == python_shape(wanted)


# Depth and size


def test_deep_nesting() -> None:
    depth = 10_000
    for left, right in (("(", ")"), ("[", "]"), ("f(", ")"), ("-", ""), ("not ", ""), ("x[", "]"), ("if p { 1 } else { ", " }"), ("(a = ", ")")):
        found = tree(f"y = {left * depth}x{right * depth}\n")
        assert same_as_itself(found)
        assert len(repr(found.statements[0])) < 200
    tree("y = " + "x" + "[0]" * depth + ".b" * depth + "\n")
    tree("y = " + "if p { 1 } else " * depth + "{ 2 }\n")


def same_as_itself(found: s.File) -> bool:
    return s.same(found, found) and sum(1 for _ in s.walk(found)) >= 4


def test_a_long_chain() -> None:
    found = tree("y = " + " + ".join(f"x{i}" for i in range(100_000)) + "\n")
    assert sum(isinstance(node, s.Name) for node in s.walk(found)) == 100_001
    assert not errors("y = " + " ** ".join(["x"] * 20_000) + "\n")


def test_depth_is_no_problem_in_errors() -> None:
    assert [item.code for item in errors("y = " + "(" * 20_000 + "a b" + ")" * 20_000 + "\nz = 1 ^ 2\n")] == ["syntax", "pythonic-power"]


def test_same_sees_differences() -> None:
    assert s.same(tree("y = (a + b) * 2\n"), tree("y = (a  +\n b)*2 # c\n"))
    for other in ("y = a + b * 2\n", "y = (a + b) * 3\n", "y = (a + b) * 2.0\n", "y = (a - b) * 2\n", "z = (a + b) * 2\n", "y = (a + b) * true\n"):
        assert not s.same(tree("y = (a + b) * 2\n"), tree(other))


# Bytes


def read(data: bytes) -> tuple[Source | None, list[Diagnostic]]:
    sink = Sink()
    return read_source(data, sink, "a.dfg"), sink.items


def test_reading_bytes(tmp_path: Path) -> None:
    found, items = read(b"\xef\xbb\xbfx = 1\r\n")
    assert found is not None
    assert found.text == "x = 1\r\n"
    assert not items
    found, items = read(b"x = 1\ny = \xff2\n")
    assert found is None
    assert (items[0].code, items[0].span.source.position(items[0].span.start) if items[0].span else None) == ("not-utf8", (2, 5))
    assert "byte 10 " in items[0].message
    assert "0xff" in items[0].message
    assert read("x = 1\n".encode("utf-16"))[1][0].help == "it looks like UTF-16: save it as UTF-8"
    assert read(b"\xef\xbb\xbfab\xff")[1][0].message.startswith("byte 5 ")
    path = tmp_path / "p.dfg"
    path.write_bytes(b"x = 1\n")
    sink = Sink()
    assert read_source(path, sink) is not None
    assert read_source(tmp_path / "none.dfg", sink) is None
    assert read_source(tmp_path, sink) is None
    assert read_source("a\0b", sink) is None
    assert [item.code for item in sink.items] == ["unreadable-file"] * 3


def test_expressions_alone() -> None:
    assert isinstance(value("[1, 2]"), s.ListExpr)
    assert isinstance(value("-0.5"), s.Unary)
    for text in ("", "a = 1", "1, 2", "1\n2", "input x : f64", "(", "1 +", "yield 3", "#"):
        sink = Sink()
        assert parse_expression(Source("a", text), sink) is None
        assert sink.items, text
