"""Annotated excerpts of a source: the lines that spans lie on, with underlines and words beneath.

`excerpt(annotations, ...)` takes the annotations of one source and gives the lines of the picture; `suggestion(...)` gives the
changed lines of a fix as `-` and `+` lines. What makes it more than string slicing: columns are those of a terminal (tabs expanded, wide
characters two columns, combining ones none), several annotations share a line, a span may cover many lines (the middle is
elided), long lines are cropped round what is marked, and characters that would steer a terminal are shown as `�`.

    7 | h = relu(x * w + b)
      |          --^-- these two axes are aligned, and neither is 1
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dfg.source import Source, Span

TAB = 4
WIDTH = 120
"""Columns of source text shown of one line."""
MARGIN = 12
"""Columns of context kept on either side when a line is cropped."""
SHOWN = 5
"""A span of more lines than this shows its first two and its last two."""
GAP = "..."
LONG = 1_000_000
"""Of lines with more characters the change is not shown, only told."""

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def char_width(char: str) -> int:
    """Terminal columns of one character: 2 for East Asian wide ones, 0 for combining ones and joiners."""
    if " " <= char < "\x7f":
        return 1
    if unicodedata.category(char) in ("Mn", "Me") or char in "\u200b\u200c\u200d\u2060\ufeff" or "\u1160" <= char <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def printable(text: str) -> str:
    """`text` without characters that would steer the terminal or reorder the line (newlines stay)."""
    return "".join(char if char == "\n" or _harmless(char) else "�" for char in text.expandtabs(TAB))


def _harmless(char: str) -> bool:
    return " " <= char < "\x7f" or (unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp") and char not in _BIDI)


@dataclass(frozen=True, slots=True)
class Mark:
    """A span to underline, with a text (may be empty); `primary` is drawn with `^`, others with `-`."""

    span: Span
    text: str
    primary: bool

    @property
    def char(self) -> str:
        return "^" if self.primary else "-"


class _Line:
    """One line laid out in terminal cells; `column(i)` is the column of character `i` of the line."""

    __slots__ = ("base", "cells", "columns")

    def __init__(self, text: str, focus: tuple[int, int]) -> None:
        # A line may have millions of characters: only the neighbourhood of the focus is laid out.
        self.base = max(0, min(focus[0], len(text)) - WIDTH) if len(text) > 8 * WIDTH else 0
        stop = len(text) if len(text) <= 8 * WIDTH else self.base + 8 * WIDTH
        cells: list[str] = []
        columns: list[int] = []
        for char in text[self.base : stop]:
            columns.append(len(cells))
            if char == "\t":
                cells.extend(" " * (TAB - len(cells) % TAB))
                continue
            if not _harmless(char):
                char = "�"
            width = char_width(char)
            if width == 0 and cells:
                # It joins the cell of its base, which for a wide character is the one before the filler.
                columns[-1] = len(cells) - 1
                at = len(cells) - 1
                while at > 0 and not cells[at]:
                    at -= 1
                cells[at] += char
            elif width == 0:
                cells.append("◌" + char)
            else:
                cells.append(char)
                if width == 2:
                    cells.append("")
        columns.append(len(cells))
        self.cells = cells
        self.columns = columns

    def column(self, index: int) -> int:
        return self.columns[min(max(index - self.base, 0), len(self.columns) - 1)]

    def extent(self, start: int, stop: int) -> tuple[int, int]:
        """The columns that characters `start <= i < stop` take; at least one."""
        first = self.column(start)
        return first, max(self.column(stop), first + 1)


@dataclass(frozen=True, slots=True)
class _View:
    """A line cropped to `[left, right)` columns; `at` maps a column of the line to one of the view."""

    text: str
    left: int
    right: int
    lead: int

    def at(self, column: int) -> int:
        return self.lead + min(max(column, self.left), self.right) - self.left


def _view(line: _Line, length: int, wanted: Sequence[tuple[int, int]], focus: tuple[int, int]) -> _View:
    """Crop a line of `length` characters so that the columns `wanted` are seen, the focus above all."""
    total = len(line.cells)
    whole = line.base == 0 and len(line.columns) == length + 1
    left, right = 0, total
    if total > WIDTH or not whole:
        first = min((a for a, _ in wanted), default=0)
        last = max((b for _, b in wanted), default=0)
        if last - first > WIDTH - 2 * MARGIN:
            first, last = focus
        left = 0 if last + MARGIN <= WIDTH else max(0, first - MARGIN)
        right = min(total, left + WIDTH)
        if right == total:
            left = max(0, total - WIDTH)
    cells = line.cells[left:right]
    if cells and not cells[0]:
        cells[0] = " "  # the left half of a wide character fell off
    if right < total and cells and not line.cells[right]:
        cells[-1] = " "
    before = GAP if left > 0 or line.base > 0 else ""
    after = GAP if right < total or line.base + len(line.columns) - 1 < length else ""
    return _View(before + "".join(cells) + after, left, right, len(before))


@dataclass(frozen=True, slots=True)
class _Single:
    """A mark within one line: character indices in the line."""

    start: int
    stop: int
    mark: Mark


@dataclass(frozen=True, slots=True)
class _Multi:
    """A mark over several lines: `first` and `last` row, the start's and the last character's index, and its slot in the margin."""

    first: int
    last: int
    start: int
    end: int
    slot: int
    mark: Mark


def _trimmed(span: Span) -> tuple[int, int]:
    """The span without white space at its end, so that a statement's newline does not make it two lines long."""
    text = span.source.text
    start = min(max(span.start, 0), len(text))
    stop = min(max(span.stop, start), len(text))
    while stop > start and text[stop - 1] in " \t\r\n":
        stop -= 1
    return start, stop


def _place(marks: Sequence[Mark]) -> tuple[dict[int, list[_Single]], list[_Multi]]:
    singles: dict[int, list[_Single]] = {}
    wide: list[tuple[int, int, int, int, Mark]] = []
    for mark in marks:
        start, stop = _trimmed(mark.span)
        row, column = mark.span.source.position(start)
        last, end = mark.span.source.position(max(start, stop - 1))
        if row == last:
            singles.setdefault(row, []).append(_Single(column - 1, column - 1 + max(stop - start, 1), mark))
        else:
            wide.append((row, last, column - 1, end - 1, mark))
    multis: list[_Multi] = []
    for row, last, start, end, mark in sorted(wide, key=lambda item: (item[0], -item[1])):
        taken = {other.slot for other in multis if other.last >= row}
        slot = next(k for k in range(len(taken) + 1) if k not in taken)
        multis.append(_Multi(row, last, start, end, slot, mark))
    return singles, multis


def rows(marks: Sequence[Mark]) -> list[int]:
    """The rows that an excerpt of these marks shows."""
    singles, multis = _place(marks)
    shown = set(singles)
    for multi in multis:
        if multi.last - multi.first < SHOWN:
            shown.update(range(multi.first, multi.last + 1))
        else:
            shown.update((multi.first, multi.first + 1, multi.last - 1, multi.last))
    ordered = sorted(shown)
    for a, b in pairwise(ordered):
        if b == a + 2 and any(multi.first <= a and b <= multi.last for multi in multis):
            shown.add(a + 1)  # `...` would take as much room as the line
    return sorted(shown)


def excerpt(source: Source, marks: Sequence[Mark], gutter: int) -> list[str]:
    """The annotated lines of `source`; `gutter` is the width of line numbers.

    Rows that are left out show as an empty gutter, or as `...` inside a span."""
    singles, multis = _place(marks)
    slots = 1 + max((multi.slot for multi in multis), default=-1)
    blank = " " * (gutter + 1) + " |"
    out: list[str] = []
    before: int | None = None
    for row in rows(marks):
        if before is not None and row > before + 1:
            inside = [multi for multi in multis if multi.first <= before and multi.last >= row]
            bars = _margin(slots, [multi.slot for multi in inside])
            out.append((f" {GAP:<{gutter + 3}}{bars}" if inside else blank).rstrip())
        before = row
        text = source.line(row)
        here = singles.get(row, [])
        starts = [multi for multi in multis if multi.first == row]
        ends = [multi for multi in multis if multi.last == row]
        points = [(s.start, s.stop) for s in here] + [(m.start, m.start + 1) for m in starts] + [(m.end, m.end + 1) for m in ends]
        chief = next(((s.start, s.stop) for s in here if s.mark.primary), points[0] if points else (0, 0))
        line = _Line(text, chief)
        view = _view(line, len(text), [line.extent(*p) for p in points], line.extent(*chief))
        open_slots = [multi.slot for multi in multis if multi.first < row <= multi.last]
        out.append(f" {row:>{gutter}} | {_margin(slots, open_slots)}{view.text}".rstrip())
        bars = _margin(slots, open_slots)
        placed = [(view.at(a), max(view.at(b), view.at(a) + 1), s.mark) for s in here for a, b in [line.extent(s.start, s.stop)]]
        out.extend(f"{blank} {bars}{under}".rstrip() for under in _underlines(placed))
        for multi in sorted(ends, key=lambda m: (m.end, m.slot)):
            reach = view.at(line.extent(multi.end, multi.end + 1)[1] - 1)
            words = _hung(multi.mark.text)
            arm = _arm(slots, open_slots, multi.slot, reach, multi.mark.char)
            open_slots = [slot for slot in open_slots if slot != multi.slot]
            out.append(f"{blank} {arm}{' ' + words[0] if words else ''}")
            indent = " " * (len(arm) - len(_margin(slots, open_slots)) + 1)
            out.extend(f"{blank} {_margin(slots, open_slots)}{indent}{word}" for word in words[1:])
        for multi in starts:
            out.append(f"{blank} {_arm(slots, open_slots, multi.slot, view.at(line.column(multi.start)), multi.mark.char, opens=True)}")
            open_slots.append(multi.slot)
    return out


def _margin(slots: int, taken: Iterable[int]) -> str:
    """The bars of the spans that run past a line, one column each, and a space."""
    if slots == 0:
        return ""
    bars = set(taken)
    return "".join("|" if slot in bars else " " for slot in range(slots)) + " "


def _arm(slots: int, taken: Iterable[int], slot: int, reach: int, char: str, opens: bool = False) -> str:
    """The line from the margin to the column where a span of several lines starts or ends."""
    margin = list(_margin(slots, taken))
    margin[slot] = " " if opens else "|"
    for k in range(slot + 1, slots + 1):
        if margin[k] == " ":
            margin[k] = "_"
    return "".join(margin) + "_" * reach + char


def _hung(text: str) -> list[str]:
    """The lines of a label's text."""
    return printable(text).split("\n") if text else []


def _underlines(placed: Sequence[tuple[int, int, Mark]]) -> list[str]:
    """The rows under one source line: the underlines, the rightmost label's words beside them, the others hung below on bars."""
    if not placed:
        return []
    end = max(stop for _, stop, _ in placed)
    row = [" "] * end
    # Wide marks first, so that `--^--` is a primary span within a label's; of equal ones the primary wins.
    for start, stop, mark in sorted(placed, key=lambda p: (p[0] - p[1], p[2].primary)):
        row[start:stop] = mark.char * (stop - start)
    worded = sorted((p for p in placed if p[2].text), key=lambda p: (p[1], p[0]))
    out = ["".join(row)]
    if worded and worded[-1][1] == end:
        words = _hung(worded.pop()[2].text)
        out[0] += " " + words[0]
        if len(words) > 1 and not worded:
            out.extend(" " * (end + 1) + word for word in words[1:])
        elif len(words) > 1:  # further lines would run into the bars below: keep it one line
            out[0] += "".join("; " + word for word in words[1:])
    hung = sorted(worded, key=lambda p: p[0])
    if hung:
        out.append(_bars(p[0] for p in hung))
    while hung:
        start, _, mark = hung.pop()
        left = _bars(p[0] for p in hung if p[0] != start)
        out.extend(f"{left:<{start}}{word}" for word in _hung(mark.text))
    return out


def _bars(columns: Iterable[int]) -> str:
    taken = set(columns)
    return "".join("|" if column in taken else " " for column in range(max(taken, default=-1) + 1))


def suggestion(source: Source, edits: Sequence[tuple[Span, str]], gutter: int) -> list[str]:
    """The lines that the edits of one source take away (`-`) and put in (`+`), with their line numbers before and after."""
    out: list[str] = []
    shift = 0
    for first, last, group in _clusters(source, edits):
        begin = source.starts[first - 1]
        end = source.starts[last] - 1 if last < len(source.starts) else len(source.text)
        if end - begin > LONG:  # a program on one line: its changed text helps nobody, and copies of it cost much
            continue
        new = source.text[begin:end]
        for span, replacement in reversed(group):
            new = new[: span.start - begin] + replacement + new[span.stop - begin :]
        old_lines = [source.line(row) for row in range(first, last + 1)]
        new_lines = [text.rstrip("\r") for text in new.split("\n")]
        added = len(new_lines) - len(old_lines)
        same = 0
        while same < min(len(old_lines), len(new_lines)) and old_lines[same] == new_lines[same]:
            same += 1
        tail = 0
        while tail < min(len(old_lines), len(new_lines)) - same and old_lines[-1 - tail] == new_lines[-1 - tail]:
            tail += 1
        gone = old_lines[same : len(old_lines) - tail]
        come = new_lines[same : len(new_lines) - tail]
        out.extend(f" {first + same + k:>{gutter}} - {_cropped(text, come)}".rstrip() for k, text in enumerate(gone))
        out.extend(f" {first + same + shift + k:>{gutter}} + {_cropped(text, gone)}".rstrip() for k, text in enumerate(come))
        shift += added
    return out


def _clusters(source: Source, edits: Sequence[tuple[Span, str]]) -> list[tuple[int, int, list[tuple[Span, str]]]]:
    """The edits in order, those on touching rows together, with the first and last row of each cluster."""
    clusters: list[tuple[int, int, list[tuple[Span, str]]]] = []
    for span, text in sorted(edits, key=lambda edit: (edit[0].start, edit[0].stop)):
        first, last = source.position(span.start)[0], source.position(span.stop)[0]
        if clusters and first <= clusters[-1][1] + 1:
            begin, end, group = clusters[-1]
            clusters[-1] = (begin, max(end, last), [*group, (span, text)])
        else:
            clusters.append((first, last, [(span, text)]))
    return clusters


def _common(text: str, other: str) -> int:
    """How many characters two texts begin alike; by halves, since a line may have a million."""
    low, high = 0, min(len(text), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if text[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _cropped(text: str, others: Sequence[str]) -> str:
    """A line of a suggestion, cropped round where it starts to differ from its counterpart."""
    other = others[0] if len(others) == 1 else ""
    at = _common(text, other)
    focus = (at, at + 1) if other else (0, 1)
    line = _Line(text, focus)
    columns = line.extent(*focus)
    return _view(line, len(text), [columns], columns).text
