"""What is told to a user when something is wrong.

A `Diagnostic` is a stable code, one terse sentence, a primary span, labelled spans (where both sides of a conflict come from), notes,
and a help line, with a `Fix` where one is known: edits that, applied, make the program compile. How it looks is decided in
`dfg.diagnostics.render`; the codes and their explanations are in `dfg.diagnostics.codes`.

The exceptions::

    DfgError
     +-- UserError       the program, the data or the request is wrong; carries diagnostics
     +-- InternalError   dfg is wrong; says how to report it

>>> raise UserError(error("unknown-name", "no value is called `yy`"))
Traceback (most recent call last):
...
dfg.diagnostics.model.UserError: error[unknown-name]: no value is called `yy`
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from dfg.source import Span

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Label:
    """A span with a few words about it."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """Edits that repair the program: each replaces a span (empty for an insertion) by a text."""

    title: str
    edits: tuple[tuple[Span, str], ...] = ()

    def apply(self, text: str) -> str:
        """The source text after the edits, which must be of one source and must not overlap."""
        for span, new in sorted(self.edits, key=lambda edit: edit[0].start, reverse=True):
            text = text[: span.start] + new + text[span.stop :]
        return text


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing to tell the user. `span` is None where there is no text to point at (a missing file, a call from Python without source)."""

    code: str
    message: str
    span: Span | None = None
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: str | None = None
    fix: Fix | None = None
    severity: Severity = "error"
    chain: tuple[Label, ...] = ()
    """The calls through which the place was reached, outermost first."""

    def with_label(self, span: Span | None, text: str) -> Diagnostic:
        return self if span is None else replace(self, labels=(*self.labels, Label(span, text)))

    def __str__(self) -> str:
        return f"{self.severity}[{self.code}]: {self.message}"


def error(
    code: str,
    message: str,
    span: Span | None = None,
    *,
    labels: Sequence[Label] = (),
    notes: Sequence[str] = (),
    help: str | None = None,
    fix: Fix | None = None,
) -> Diagnostic:
    """An error diagnostic; `code` must be in the table of `dfg.diagnostics.codes`."""
    return Diagnostic(code, message, span, tuple(labels), tuple(notes), help, fix)


def warning(
    code: str,
    message: str,
    span: Span | None = None,
    *,
    labels: Sequence[Label] = (),
    notes: Sequence[str] = (),
    help: str | None = None,
    fix: Fix | None = None,
) -> Diagnostic:
    """A warning diagnostic."""
    return Diagnostic(code, message, span, tuple(labels), tuple(notes), help, fix, "warning")


class DfgError(Exception):
    """The root of everything that dfg raises on purpose."""


class UserError(DfgError):
    """The program, the data or the request is wrong. `diagnostics` says what, where, and what to do."""

    def __init__(self, *diagnostics: Diagnostic | Iterable[Diagnostic]) -> None:
        flat: list[Diagnostic] = []
        for item in diagnostics:
            if isinstance(item, Diagnostic):
                flat.append(item)
            else:
                flat.extend(item)
        self.diagnostics: tuple[Diagnostic, ...] = tuple(flat)
        super().__init__(*self.diagnostics)

    def __str__(self) -> str:
        from dfg.diagnostics.render import full

        return full(self.diagnostics).rstrip("\n")


class InternalError(DfgError):
    """A bug of dfg itself; `context` is the graph text around it, for the report."""

    def __init__(self, message: str, context: str = "") -> None:
        self.context = context
        tail = f"\n{context}" if context else ""
        super().__init__(f"{message}{tail}\nThis is a bug of dfg. Please report it with the program and the text above.")


@dataclass(slots=True)
class Sink:
    """Collects the diagnostics of one run, so that all errors of a file are reported together."""

    items: list[Diagnostic] = field(default_factory=list)
    _known: set[Diagnostic] = field(default_factory=set)

    def add(self, diagnostic: Diagnostic) -> None:
        if len(self._known) != len(self.items):  # who tries something takes back what it told
            self._known = set(self.items)
        if diagnostic not in self._known:
            self._known.add(diagnostic)
            self.items.append(diagnostic)

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.items if d.severity == "error"]

    def raise_errors(self) -> None:
        """Raise a `UserError` with everything collected (in the order of the text) if there is an error among it."""
        if self.errors:
            raise UserError(in_order(self.items))


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Sorted by place; those without a place come first."""
    return sorted(diagnostics, key=lambda d: -1 if d.span is None else d.span.start)
