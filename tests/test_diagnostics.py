"""How diagnostics are shown: texts written by hand, as a reader should see them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from textwrap import dedent

import golden_cases
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfg.diagnostics import Diagnostic, Fix, Label, UserError, error, warning
from dfg.diagnostics.codes import CODES, explain, nearest, slips_between
from dfg.diagnostics.excerpt import WIDTH
from dfg.diagnostics.render import as_json, concise, full, lsp_range
from dfg.source import Source, Span


def at(source: Source, text: str, skip: int = 0) -> Span:
    """The span of `text` in `source`, after `skip` earlier ones."""
    start = -1
    for _ in range(skip + 1):
        start = source.text.index(text, start + 1)
    return Span(source, start, start + len(text))


def seen(given: str, wanted: str) -> None:
    assert given == dedent(wanted).lstrip("\n")


MODEL = Source("model.dfg", "# a model\ninput x : f32[n, 20]\nparam w : f32[30] = 0.1\nparam b : f32 = 0\n\n\nh = relu(x * w + b)\n")


def mismatch() -> Diagnostic:
    return error(
        "shape-mismatch",
        "cannot broadcast f32[n, 20] with f32[30]",
        at(MODEL, "*"),
        labels=[
            Label(at(MODEL, "x * w"), "these two axes are aligned, and neither is 1"),
            Label(Span(MODEL, 16, 17), "`x` is f32[n, 20]: axis 1 is 20"),
            Label(Span(MODEL, 37, 38), "`w` is f32[30]: axis 0 is 30"),
        ],
        help="if `w` weighs the rows of `x`, give it 20 elements",
    )


def test_the_message_of_the_language_page() -> None:
    seen(full([mismatch()]), """
        error[shape-mismatch]: cannot broadcast f32[n, 20] with f32[30]
          --> model.dfg:7:12
           |
         2 | input x : f32[n, 20]
           |       - `x` is f32[n, 20]: axis 1 is 20
         3 | param w : f32[30] = 0.1
           |       - `w` is f32[30]: axis 0 is 30
           |
         7 | h = relu(x * w + b)
           |          --^-- these two axes are aligned, and neither is 1
           = help: if `w` weighs the rows of `x`, give it 20 elements
        """)


def test_several_labels_on_a_line_hang_on_bars() -> None:
    source = Source("a.dfg", "y = p + q + r\n")
    item = error("arity", "too many", at(source, "p"), labels=[
        Label(at(source, "r"), "the last"), Label(at(source, "q"), "the middle\nof three"), Label(at(source, "p"), "the first")])
    seen(full([item]), """
        error[arity]: too many
          --> a.dfg:1:5
           |
         1 | y = p + q + r
           |     ^   -   - the last
           |     |   |
           |     |   the middle
           |     |   of three
           |     the first
        """)


def test_words_on_the_left_hang_where_the_rightmost_mark_has_none() -> None:
    source = Source("a.dfg", "y = p + q\n")
    seen(full([error("arity", "m", at(source, "q"), labels=[Label(at(source, "p"), "this one")])]), """
        error[arity]: m
          --> a.dfg:1:9
           |
         1 | y = p + q
           |     -   ^
           |     |
           |     this one
        """)


def test_a_span_of_several_lines() -> None:
    source = Source("a.dfg", "h = f(x,\n      y,\n      z)\noutput h\n")
    span = Span(source, 4, source.text.index("output"))
    seen(full([error("arity", "m", span, labels=[Label(span, "this call")])]), """
        error[arity]: m
          --> a.dfg:1:5
           |
         1 |   h = f(x,
           |  _____^
         2 | |       y,
         3 | |       z)
           | |________^ this call
        """)


def test_the_middle_of_a_long_span_is_left_out() -> None:
    source = Source("a.dfg", "b = [\n" + "".join(f"  {k},\n" for k in range(20)) + "]\n")
    span = Span(source, 4, len(source.text))
    seen(full([error("arity", "m", span, labels=[Label(at(source, "11"), "eleven"), Label(Span(source, 0, 1), "bound here")])]), """
        error[arity]: m
           --> a.dfg:1:5
            |
          1 |   b = [
            |   - bound here
            |  _____^
          2 | |   0,
         ...  |
         13 | |   11,
            | |   -- eleven
         ...  |
         21 | |   19,
         22 | | ]
            | |_^
        """)


def test_two_spans_of_several_lines_have_a_bar_each() -> None:
    source = Source("a.dfg", "y = f(g(a,\n  b),\n  c)\n")
    inner = Span(source, 6, source.text.index(",\n  c"))
    item = error("arity", "m", Span(source, 4, len(source.text)), labels=[Label(inner, "the inner call")])
    seen(full([item]), """
        error[arity]: m
          --> a.dfg:1:5
           |
         1 |    y = f(g(a,
           |  ______^
           | | _______-
         2 | ||   b),
           | ||____- the inner call
         3 | |    c)
           | |_____^
        """)


def test_tabs_wide_and_combining_characters_are_aligned() -> None:
    source = Source("a.dfg", "\ty = 変数 + q\u0302 + z\n")
    item = error("unknown-name", "m", at(source, "z"), labels=[Label(at(source, "変数"), "wide")])
    seen(full([item]), """
        error[unknown-name]: m
          --> a.dfg:1:16
           |
         1 |     y = 変数 + q\u0302 + z
           |         ----       ^
           |         |
           |         wide
        """)


def test_characters_that_steer_a_terminal_are_not_passed_on() -> None:
    source = Source("a\x1b[2J.dfg", "y = \"\x1b[31m\" + \u202ez\n")
    text = full([error("unknown-name", "no `\x1b[0m`", at(source, "z"), labels=[Label(at(source, "z"), "\x07here")], help="\x1b")])
    assert not set(text) & {"\x1b", "\x07", "\u202e"}
    seen(text, """
        error[unknown-name]: no `�[0m`
          --> a�[2J.dfg:1:16
           |
         1 | y = "�[31m" + �z
           |                ^ �here
           = help: �
        """)


def test_a_long_line_is_cropped_round_the_span() -> None:
    source = Source("a.dfg", "x = " + "a + " * 300 + "bad + " + "c + " * 300 + "d\n")
    lines = full([error("unknown-name", "m", at(source, "bad"), labels=[Label(at(source, "bad"), "here")])]).split("\n")
    assert lines[3].startswith(" 1 | ...") and lines[3].endswith("...")
    assert len(lines[3]) <= WIDTH + 12
    assert lines[4] == "   | " + " " * (lines[3].index("bad") - 5) + "^^^ here"


def test_marks_at_both_ends_of_a_long_line_do_not_hide_the_primary() -> None:
    source = Source("a.dfg", "first = " + "変 + " * 5000 + "bad\n")
    item = error("unknown-name", "m", at(source, "bad"), labels=[Label(at(source, "first"), "bound")])
    lines = full([item]).split("\n")
    assert lines[3].endswith("+ bad")
    assert "^^^" in lines[4] and len(lines[4]) < WIDTH + 20


def test_the_end_of_the_file_and_an_empty_file() -> None:
    source = Source("a.dfg", "y = (1 + 2\n")
    seen(full([error("arity", "`(` is never closed", Span(source, 11, 11), labels=[Label(Span(source, 4, 5), "opened here")])]), """
        error[arity]: `(` is never closed
          --> a.dfg:2:1
           |
         1 | y = (1 + 2
           |     - opened here
         2 |
           | ^
        """)
    empty = Source("b.dfg", "")
    seen(full([error("arity", "nothing", Span(empty, 0, 0))]), """
        error[arity]: nothing
          --> b.dfg:1:1
           |
         1 |
           | ^
        """)


def test_spans_in_two_sources_and_the_chain_of_calls() -> None:
    layers = Source("layers.dfg", "def linear(p, x) = x @ p\n")
    main = Source("main.dfg", "use \"layers.dfg\" as layers\ninput x : f64[3]\ninput p : f64[4]\ny = layers.linear(p, x)\n")
    item = replace(
        error("shape-mismatch", "cannot multiply f64[3] by f64[4]", at(layers, "@"), labels=[
            Label(Span(main, 33, 34), "`x` is f64[3]"), Label(Span(main, 50, 51), "`p` is f64[4]"), Label(at(layers, "x @ p"), "3 and 4")]),
        chain=(Label(at(main, "layers.linear"), "layers.linear"),),
        notes=("the last axis of the left operand\nmeets the first of the right",),
    )
    seen(full([item]), """
        error[shape-mismatch]: cannot multiply f64[3] by f64[4]
          --> layers.dfg:1:22
           |
         1 | def linear(p, x) = x @ p
           |                    --^-- 3 and 4
          ::: main.dfg:2:7
           |
         2 | input x : f64[3]
           |       - `x` is f64[3]
         3 | input p : f64[4]
           |       - `p` is f64[4]
           = in the call of `layers.linear` at main.dfg:4:5
           = note: the last axis of the left operand
                   meets the first of the right
        """)


def test_a_deep_chain_of_calls_is_shortened() -> None:
    source = Source("a.dfg", "y = f(x)\n")
    item = replace(error("recursion", "m"), chain=tuple(Label(at(source, "f"), f"f{k}") for k in range(1000)))
    lines = full([item]).split("\n")
    assert len(lines) == 15
    assert lines[1] == "   = in the call of `f0` at a.dfg:1:5"
    assert lines[7] == "   = ... 988 more calls ..."
    assert lines[13] == "   = in the call of `f999` at a.dfg:1:5"


def test_a_fix_shows_the_lines_that_change() -> None:
    source = Source("a.dfg", "input x : f64[n]\ninput y : f64[m]\nz = x ^ 2 + y\n")
    swap = error("arity", "`^` is no power", at(source, "^"), fix=Fix("write `**`", ((at(source, "^"), "**"),)))
    put = error("dim-unproved", "n may differ from m", at(source, "+"), help="say that they are equal",
                fix=Fix("say that they are equal", ((Span(source, 34, 34), "dim n == m\n"),)))
    seen(full([swap, put]), """
        error[arity]: `^` is no power
          --> a.dfg:3:7
           |
         3 | z = x ^ 2 + y
           |       ^
           = fix: write `**`
           |
         3 - z = x ^ 2 + y
         3 + z = x ** 2 + y

        error[dim-unproved]: n may differ from m
          --> a.dfg:3:11
           |
         3 | z = x ^ 2 + y
           |           ^
           = help: say that they are equal
           |
         3 + dim n == m

        2 errors
        """)


def test_edits_far_apart_and_removed_lines() -> None:
    text = "".join(f"v{k} = {k}\n" for k in range(1, 13))
    source = Source("a.dfg", text)
    edits = ((at(source, "v2 = 2\n"), ""), (at(source, "v11"), "w\nu"))
    seen(full([error("arity", "m", fix=Fix("do both", edits))]), """
        error[arity]: m
            = fix: do both
            |
          2 - v2 = 2
         11 - v11 = 11
         10 + w
         11 + u = 11
        """)
    assert Fix("do both", edits).apply(text).split("\n")[1:2] == ["v3 = 3"]


def test_nowhere_to_point_at() -> None:
    seen(full([error("file-not-found", "there is no file `a.dfg`", help="did you mean `b.dfg`?")]), """
        error[file-not-found]: there is no file `a.dfg`
           = help: did you mean `b.dfg`?
        """)


def test_the_count_at_the_end() -> None:
    one = error("arity", "m")
    assert full([]) == ""
    assert "1 error" not in full([one])
    assert full([one, one, warning("lossy-cast", "w")]).endswith("\n\n2 errors, 1 warning\n")
    assert full([warning("lossy-cast", "w")] * 2).endswith("\n2 warnings\n")


def test_carriage_returns_are_not_shown() -> None:
    source = Source("a.dfg", "x = 1\r\ny = z\r\n")
    item = error("unknown-name", "m", at(source, "z"), fix=Fix("f", ((at(source, "z"), "x"),)))
    assert "\r" not in full([item])
    seen(full([item]), """
        error[unknown-name]: m
          --> a.dfg:2:5
           |
         2 | y = z
           |     ^
           = fix: f
           |
         2 - y = z
         2 + y = x
        """)


def test_concise() -> None:
    assert concise([mismatch(), warning("misuse", "two\nlines")]) == (
        "model.dfg:7:12: error[shape-mismatch]: cannot broadcast f32[n, 20] with f32[30]\nwarning[misuse]: two lines\n")


def test_colour_only_when_asked_and_nothing_else_changes() -> None:
    item = replace(mismatch(), fix=Fix("f", ((at(MODEL, "30"), "20"),)))
    painted = full([item], color=True)
    assert "\x1b[" in painted and "\x1b" not in full([item])
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == full([item])


def test_json_has_places_for_people_and_for_language_servers() -> None:
    source = Source("a.dfg", "x = 1\n𝛼 = \"𝛽\" + zz\n")
    span = at(source, "zz")
    item = replace(error("unknown-name", "m", span, labels=[Label(at(source, "x"), "l")], notes=["n"], fix=Fix("f", ((span, "x"),))),
                   chain=(Label(at(source, "x"), "g"),))
    [told] = json.loads(json.dumps(as_json([item])))
    assert list(told) == ["code", "severity", "message", "file", "line", "column", "end_line", "end_column", "range",
                          "labels", "notes", "help", "fix", "chain"]
    assert (told["file"], told["line"], told["column"], told["end_line"], told["end_column"]) == ("a.dfg", 2, 11, 2, 13)
    assert told["range"] == {"start": {"line": 1, "character": 12}, "end": {"line": 1, "character": 14}}
    assert told["labels"][0]["text"] == "l" and told["labels"][0]["range"]["end"] == {"line": 0, "character": 1}
    assert told["fix"]["title"] == "f" and told["fix"]["edits"][0]["text"] == "x" and told["fix"]["edits"][0]["range"] == told["range"]
    assert told["notes"] == ["n"] and told["help"] is None and told["chain"][0]["text"] == "g"
    [bare] = as_json([error("misuse", "m")])
    assert bare["file"] is None and bare["range"] is None and bare["labels"] == []


def test_an_exception_reads_as_the_full_text() -> None:
    assert str(UserError(mismatch())) + "\n" == full([mismatch()])


PIECES = st.text(alphabet=st.sampled_from("ab \t\n\r変é\u0302𝛼\x1b"), max_size=40)
PLACES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12), st.sampled_from(["", "w", "two\nlines"])), min_size=1, max_size=5)


@given(text=PIECES, places=PLACES)
def test_any_text_and_any_spans_are_shown(text: str, places: list[tuple[int, int, str]]) -> None:
    source = Source("a.dfg", text)
    spans = [(Span(source, min(a, len(text)), min(a + n, len(text))), words) for a, n, words in places]
    labels = [Label(span, words) for span, words in spans]
    item = error("arity", "m", spans[0][0], labels=labels, fix=Fix("f", ((spans[-1][0], "new\ntext"),)))
    shown = full([item])
    assert "^" in shown and "\x1b" not in shown
    assert all(line == line.rstrip() for line in shown.split("\n"))
    for _, words in spans:
        assert all(word in shown for word in words.split())
    json.dumps(as_json([item]))
    for span, _ in spans:  # what a language server would cut out is what the span says
        lines = [line.encode("utf-16-le") for line in text.split("\n")]
        start, end = (lsp_range(span)[key] for key in ("start", "end"))
        flat = b"\n\0".join(lines)
        offsets = [sum(len(line) + 2 for line in lines[: point["line"]]) + 2 * point["character"] for point in (start, end)]
        assert flat[offsets[0] : offsets[1]].decode("utf-16-le") == span.text


def test_explain_tells_both_programs() -> None:
    seen(str(explain("unknown-name")), """
        unknown-name: a name that nothing above it binds

        Every name is bound by an `input`, `param`, `state`, `const`, a dim of a type or a statement `name =
        value` before it is used. If one that is bound is spelled almost the same, the message proposes it.

        This fails:

            input theta : f64
            output y = sin(thata)

        This is right:

            input theta : f64
            output y = sin(theta)
        """)
    assert explain("no-such-code") is None


def test_explain_tells_both_command_lines() -> None:
    seen(str(explain("missing-input")), """
        missing-input: a run without an input that it needs

        Every input that the wanted outputs and updates use must be fed, unless its declaration gives a
        default. `--only NAME` and `--no-update` want less.

        With this program

            input x : f64[3]
            output y = sum(x)

        this fails:

            dfg run program.dfg

        This is right:

            dfg run program.dfg --input 'x=[1, 2, 3]'
        """)


@pytest.mark.parametrize("name", CODES)
def test_every_entry_is_complete(name: str) -> None:
    entry = CODES[name]
    assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", name)
    assert entry.title and not entry.title.endswith(".")
    assert entry.explanation.endswith((".", ")", "`"))
    assert entry.failing.strip() and entry.repaired.strip()
    assert (entry.failing == entry.repaired) == (entry.kind == "run")
    assert (entry.failing_run != entry.repaired_run) == (entry.kind == "run")


@pytest.mark.parametrize(("name", "candidates", "wanted"), [
    ("thata", ["theta", "tanh"], "theta"),
    ("tahn", ["tan", "tanh", "atan"], "tanh"),
    ("Sin", ["sin", "sinh"], "sin"),
    ("softmx", ["softmax"], "softmax"),
    ("yy", ["y"], "y"),
    ("a", ["b"], None),
    ("loss", ["gain", "x"], None),
    ("x", ["x"], None),
    ("x", [], None),
])
def test_the_nearest_name(name: str, candidates: list[str], wanted: str | None) -> None:
    assert nearest(name, candidates) == wanted


@given(st.text("ab", max_size=6), st.text("ab", max_size=6))
def test_slips_are_counted_alike_both_ways(a: str, b: str) -> None:
    assert slips_between(a, b, 9) == slips_between(b, a, 9)
    assert (slips_between(a, b, 9) == 0) == (a == b)
    assert abs(len(a) - len(b)) <= slips_between(a, b, 9) <= max(len(a), len(b))
    assert slips_between(a, b, 2) == min(slips_between(a, b, 9), 3)


GOLDEN = """# Slips

## A caret

Not a power.

```dfg
x = 3 ^ 2
```

```expect
error unknown-op 1 `^`
label 1 `x`
fix 1 `x = 3 ** 2`
```

```text
stale
```
"""


def caret(repairs: str) -> Callable[[str], list[Diagnostic]]:
    """A stand-in for the compiler that knows one mistake, so that the runner itself can be seen to fail."""
    def check(text: str) -> list[Diagnostic]:
        source = Source("program.dfg", text)
        if "^" not in text:
            return []
        span = at(source, "^")
        fix = Fix("write a power", ((span, repairs),))
        return [error("unknown-op", "`^` is no power", span, labels=[Label(at(source, "x"), "bound")], fix=fix)]

    return check


def test_golden_renderings_are_rewritten_only_where_the_expectations_hold() -> None:
    with pytest.raises(golden_cases.Mismatch, match="the rendering differs"):
        golden_cases.run("A caret", GOLDEN, caret("**"), update=False)
    new = golden_cases.run("A caret", GOLDEN, caret("**"), update=True)
    assert new.startswith(GOLDEN[: GOLDEN.index("stale")]) and "1 + x = 3 ** 2" in new
    assert golden_cases.run("A caret", new, caret("**"), update=False) == new
    wrong = GOLDEN.replace("label 1 `x`\n", "")
    with pytest.raises(golden_cases.Mismatch, match="expected by hand"):
        golden_cases.run("A caret", wrong, caret("**"), update=True)


def test_golden_fixes_must_repair() -> None:
    text = GOLDEN.replace("3 ** 2`", "3 ^^ 2`")
    with pytest.raises(golden_cases.Mismatch, match="does not repair"):
        golden_cases.run("A caret", text, caret("^^"), update=True)


def test_golden_files_must_be_whole() -> None:
    with pytest.raises(golden_cases.Mismatch, match="must have the blocks"):
        golden_cases.read(GOLDEN.replace("```expect", "```expected"))
    with pytest.raises(golden_cases.Mismatch, match="two cases"):
        golden_cases.read(GOLDEN + GOLDEN)
    with pytest.raises(golden_cases.Mismatch, match="without a case"):
        golden_cases.read("# Nothing\n")
