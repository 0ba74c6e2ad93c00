'''Golden messages: Markdown files whose cases say what is wrong with a program, and what dfg must say about it.

A case is a heading, prose, and three fenced blocks:

    ## Two sizes of one axis

    The weights have 30 elements where the rows have 20.

    ```dfg
    input x : f64[3, 20]
    input w : f64[30]
    output h = x * w
    ```

    ```expect
    error shape-mismatch 3 `*`
    label 1 `x`
    label 2 `w`
    label 3 `x * w`
    fix none
    ```

    ```text
    error[shape-mismatch]: ...
    ```

The `expect` block is written by hand and never rewritten. For each diagnostic, in order, it has a line with severity, code, line number
and the text of the primary span (`nowhere` without one), then a line for each further label in the order of the text, then either
`fix none` or a line for each line that the fix puts in. Of a span over several lines the first is written, and `...`. A fix, applied,
must take its diagnostic away and bring no error: where it was the only error, the program compiles. The `text` block is the full
rendering; `--update-golden` rewrites it, and only where the expectations hold.
'''

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dfg.diagnostics import Diagnostic, UserError
from dfg.diagnostics.render import full
from dfg.source import Span

NAME = "program.dfg"
Check = Callable[[str], Sequence[Diagnostic]]


class Mismatch(Exception):
    """A case does not hold; the text is for the reader of the test's report."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its text, and where in the file the text starts and stops."""

    text: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Case:
    title: str
    line: int
    program: Block
    expect: Block
    rendered: Block


def check_program(text: str) -> list[Diagnostic]:
    """Everything that compiling `text` gives: errors, else warnings."""
    from dfg import api

    try:
        program = api.loads(text, name=NAME)
        api.compile(program)
    except UserError as wrong:
        return list(wrong.diagnostics)
    return list(program.warnings)


def read(text: str) -> list[Case]:
    """The cases of a file: each heading with exactly the three blocks, in their order, and no title twice."""
    heads = list(re.finditer(r"^## (.+)$", text, re.MULTILINE))
    cases: list[Case] = []
    for k, head in enumerate(heads):
        end = heads[k + 1].start() if k + 1 < len(heads) else len(text)
        blocks: list[tuple[str, Block]] = []
        for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text[head.end() : end], re.MULTILINE | re.DOTALL):
            start, stop = (head.end() + at for at in match.span(2))
            blocks.append((match[1], Block(match[2], start, stop)))
        if [kind for kind, _ in blocks] != ["dfg", "expect", "text"]:
            raise Mismatch(f"the case {head[1]!r} must have the blocks dfg, expect and text, in this order")
        if any(case.title == head[1] for case in cases):
            raise Mismatch(f"two cases are called {head[1]!r}")
        cases.append(Case(head[1], text.count("\n", 0, head.start()) + 1, *(block for _, block in blocks)))
    if not cases:
        raise Mismatch("a golden file without a case")
    return cases


def run(title: str, text: str, check: Check, update: bool) -> str:
    """Check the case `title` of a file; gives the file's text, with the rendering made anew if `update`."""
    case = next(case for case in read(text) if case.title == title)
    diagnostics = check(case.program.text)
    _same("what was expected by hand", case.expect.text, told(diagnostics))
    for item in diagnostics:
        if item.fix is not None and item.fix.edits:
            repaired = item.fix.apply(case.program.text)
            left = check(repaired)
            before, after = (sum(other.severity == "error" for other in of) for of in (diagnostics, left))
            if after > before - (item.severity == "error") or any((d.code, d.message) == (item.code, item.message) for d in left):
                raise Mismatch(f"the fix of {item.code} does not repair it: with\n\n{repaired}\n{full(left)}")
    rendered = full(diagnostics)
    if update:
        return text[: case.rendered.start] + rendered + text[case.rendered.stop :]
    _same("the rendering", case.rendered.text, rendered)
    return text


def told(diagnostics: Sequence[Diagnostic]) -> str:
    """Diagnostics in the words of an `expect` block."""
    lines: list[str] = []
    for item in diagnostics:
        lines.append(f"{item.severity} {item.code} {_at(item.span) if item.span is not None else 'nowhere'}")
        others = {label.span for label in item.labels if label.span != item.span}
        lines.extend(f"label {_at(span)}" for span in sorted(others, key=lambda span: (span.start, span.stop)))
        if item.fix is None or not item.fix.edits:
            lines.append("fix none")
        else:
            before = item.fix.edits[0][0].source.text
            lines.extend(_put_in(before, item.fix.apply(before)))
    return "".join(f"{line}\n" for line in lines)


def _at(span: Span) -> str:
    first, *rest = span.text.split("\n")
    return f"{span.source.position(span.start)[0]} `{first}{'...' if rest else ''}`"


def _put_in(before: str, after: str) -> list[str]:
    new = after.split("\n")
    matcher = difflib.SequenceMatcher(None, before.split("\n"), new, autojunk=False)
    rows = [row for tag, _, _, a, b in matcher.get_opcodes() if tag != "equal" for row in range(a, b)]
    return [f"fix {row + 1} `{new[row]}`" for row in rows] or ["fix removes lines"]


def _same(what: str, expected: str, got: str) -> None:
    if expected != got:
        lines = difflib.unified_diff(expected.splitlines(), got.splitlines(), "written", "given", lineterm="", n=10_000)
        raise Mismatch(f"{what} differs:\n\n" + "\n".join(lines))
