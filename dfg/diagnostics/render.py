"""How diagnostics look: `full` for people, `concise` for editors and `grep`, `as_json` for machines.

`full` gives, for each diagnostic, a head line, the place, the annotated source lines, then `= note:`, the chain of calls, `= help:` and
the fix as changed lines. It never shows a Python traceback, and its text depends on nothing but the diagnostics.

    error[unknown-name]: no value is called `yy`
      --> a.dfg:2:8
       |
     2 | output yy
       |        ^^
       = help: did you mean `y`?

A label with the span of the diagnostic itself gives the words of the primary underline. A label of `chain` is the place of a call, and its
text the name of the function called (a text with a space in it is shown as it stands). Labels, chain and edits may lie in several sources.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dfg.diagnostics.excerpt import Mark, excerpt, printable, rows, suggestion
from dfg.diagnostics.model import Diagnostic, Fix, Label, Severity
from dfg.source import Source, Span

CHAIN = 12
"""Calls of a chain that are shown; of a longer one the middle is left out."""

_COLOUR: dict[Severity, str] = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "note": "\x1b[1;36m"}
_BOLD, _DIM, _OFF = "\x1b[1m", "\x1b[34m", "\x1b[0m"


def full(diagnostics: Iterable[Diagnostic], *, color: bool = False) -> str:
    """Everything about each diagnostic, one block each, and a count at the end when there are several."""
    items = list(diagnostics)
    blocks = [_block(item, color) for item in items]
    if len(items) > 1:
        blocks.append(summary(items) + "\n")
    return "\n".join(blocks)


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """`2 errors, 1 warning`."""
    counts: dict[Severity, int] = {"error": 0, "warning": 0, "note": 0}
    for item in diagnostics:
        counts[item.severity] += 1
    return ", ".join(f"{count} {severity}{'s' if count != 1 else ''}" for severity, count in counts.items() if count)


def concise(diagnostics: Iterable[Diagnostic]) -> str:
    """One line each: `file:line:col: error[code]: message`."""
    out: list[str] = []
    for item in diagnostics:
        place = f"{where(item.span)}: " if item.span is not None else ""
        out.append(" ".join(f"{place}{item.severity}[{item.code}]: {printable(item.message)}".split("\n")) + "\n")
    return "".join(out)


def where(span: Span) -> str:
    """`file:line:col`."""
    row, column = span.source.position(span.start)
    return f"{printable(span.source.name)}:{row}:{column}"


def _block(item: Diagnostic, color: bool) -> str:
    marks = _marks(item)
    edits = _edits(item.fix)
    sources = list(marks)
    shown = [rows(marks[source])[-1] for source in sources]
    for source, changes in edits.items():
        # `+` lines count on from the edit, so their numbers may be the longest.
        shown.append(max(source.position(span.stop)[0] for span, _ in changes) + sum(text.count("\n") for _, text in changes))
    gutter = len(str(max(shown, default=1)))
    pad = " " * (gutter + 1)
    head = f"{item.severity}[{item.code}]: "
    out: list[str] = []
    for k, part in enumerate(printable(item.message).split("\n")):
        out.append(head + part if k == 0 else " " * len(head) + part)
    for source in sources:
        primary = item.span is not None and source is item.span.source
        anchor = item.span if primary and item.span is not None else min((mark.span for mark in marks[source]), key=lambda span: span.start)
        out.append(f"{pad}{'-->' if source is sources[0] else ':::'} {where(anchor)}")
        out.append(f"{pad} |")
        out.extend(excerpt(source, marks[source], gutter))
    for line in _chain(item.chain):
        out.append(f"{pad} = {line}")
    for note in item.notes:
        out.extend(_worded(pad, "note", note))
    if item.help is not None:
        out.extend(_worded(pad, "help", item.help))
    if item.fix is not None:
        if item.fix.title != item.help:
            out.extend(_worded(pad, "fix", item.fix.title))
        for source, changes in edits.items():
            if sources and source is not sources[0]:
                out.append(f"{pad}::: {where(changes[0][0])}")
            out.append(f"{pad} |")
            out.extend(suggestion(source, changes, gutter))
    return "\n".join(_painted(out, item.severity, gutter) if color else out) + "\n"


def _marks(item: Diagnostic) -> dict[Source, list[Mark]]:
    """What to underline, by source: the primary span's source first, the others as they come."""
    out: dict[Source, list[Mark]] = {}
    if item.span is not None:
        words = [label.text for label in item.labels if label.span == item.span and label.text]
        out[item.span.source] = [Mark(item.span, "\n".join(dict.fromkeys(words)), True)]
    for label in dict.fromkeys(item.labels):
        if label.span != item.span:
            out.setdefault(label.span.source, []).append(Mark(label.span, label.text, False))
    return out


def _edits(fix: Fix | None) -> dict[Source, list[tuple[Span, str]]]:
    out: dict[Source, list[tuple[Span, str]]] = {}
    for span, text in fix.edits if fix is not None else ():
        out.setdefault(span.source, []).append((span, text))
    return out


def _chain(chain: Sequence[Label]) -> list[str]:
    """One line a call, outermost first."""
    def said(label: Label) -> str:
        words = printable(label.text)
        return f"{words if ' ' in words else f'in the call of `{words}`'} at {where(label.span)}"

    if len(chain) <= CHAIN:
        return [said(label) for label in chain]
    half = CHAIN // 2
    return [*map(said, chain[:half]), f"... {len(chain) - 2 * half} more calls ...", *map(said, chain[-half:])]


def _worded(pad: str, kind: str, text: str) -> list[str]:
    first, *rest = printable(text).split("\n")
    head = f"{pad} = {kind}: "
    return [head + first, *(" " * len(head) + line for line in rest)]


def _painted(lines: list[str], severity: Severity, gutter: int) -> list[str]:
    """The same lines with colours: the head in its severity's, gutters dim, underlines bright."""
    strong = _COLOUR[severity]
    head, colon, message = lines[0].partition("]: ")
    out = [f"{strong}{head}]{_OFF}{_BOLD}: {message}{_OFF}" if colon else lines[0]]
    for line in lines[1:]:
        cut = gutter + 3
        side, rest = line[:cut], line[cut:]
        if side.endswith("|") and not side.strip(" |"):
            out.append(f"{_DIM}{side}{_OFF}{strong}{rest}{_OFF}" if rest else f"{_DIM}{side}{_OFF}")
        elif side.rstrip().endswith("+"):
            out.append(f"{_DIM}{side[:-1]}{_OFF}\x1b[32m+{rest}{_OFF}")
        elif side.rstrip().endswith("-") and side.strip()[:1].isdigit():
            out.append(f"{_DIM}{side[:-1]}{_OFF}\x1b[31m-{rest}{_OFF}")
        else:
            out.append(f"{_DIM}{side}{_OFF}{rest}")
    return out


def as_json(diagnostics: Iterable[Diagnostic]) -> list[dict[str, object]]:
    """A list that `json.dumps` takes: lines and columns from 1 in characters, `range` as a language server counts (see `lsp_range`)."""
    return [
        {
            "code": item.code,
            "severity": item.severity,
            "message": item.message,
            **(_span_json(item.span) if item.span is not None else dict.fromkeys(_PLACE)),
            "labels": [{**_span_json(label.span), "text": label.text} for label in item.labels],
            "notes": list(item.notes),
            "help": item.help,
            "fix": None if item.fix is None else {
                "title": item.fix.title,
                "edits": [{**_span_json(span), "text": text} for span, text in item.fix.edits],
            },
            "chain": [{**_span_json(label.span), "text": label.text} for label in item.chain],
        }
        for item in diagnostics
    ]


_PLACE = ("file", "line", "column", "end_line", "end_column", "range")


def _span_json(span: Span) -> dict[str, object]:
    row, column = span.source.position(span.start)
    end_row, end_column = span.source.position(span.stop)
    place = (span.source.name, row, column, end_row, end_column, lsp_range(span))
    return dict(zip(_PLACE, place, strict=True))


def lsp_range(span: Span) -> dict[str, dict[str, int]]:
    """The span as the language server protocol counts: lines from 0, UTF-16 code units from 0."""
    def point(offset: int) -> dict[str, int]:
        row, column = span.source.position(offset)
        begin = span.source.starts[row - 1]
        prefix = span.source.text[begin : begin + column - 1]
        return {"line": row - 1, "character": len(prefix) + sum(char > "\uffff" for char in prefix)}

    return {"start": point(span.start), "end": point(span.stop)}
