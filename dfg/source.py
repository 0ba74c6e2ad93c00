"""Source texts and spans.

A `Source` is a named text (a `.dfg` file, standard input, or a user's Python file); a `Span` is a half-open range of character
offsets in one of them. Everything that can be wrong later carries a `Span`; lines and columns are computed only when something is
shown, so that keeping a span costs two integers.

>>> s = Source("a.dfg", "x = 1\\ny = x + 2\\n")
>>> Span(s, 10, 11).text
'x'
>>> s.position(10)
(2, 5)
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass


class Source:
    """A named text. `position` and `line` count lines and columns from 1; columns count characters, not bytes."""

    __slots__ = ("_line", "_starts", "language", "name", "text")

    def __init__(self, name: str, text: str, language: str = "dfg") -> None:
        self.name = name
        self.text = text
        self.language = language
        self._starts: list[int] | None = None
        self._line = (0, "")

    @property
    def starts(self) -> list[int]:
        """The offset at which each line begins."""
        if self._starts is None:
            starts = [0]
            find = self.text.find
            at = find("\n")
            while at >= 0:
                starts.append(at + 1)
                at = find("\n", at + 1)
            self._starts = starts
        return self._starts

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column (both from 1) of a character offset."""
        starts = self.starts
        row = bisect_right(starts, min(max(offset, 0), len(self.text))) - 1
        return row + 1, offset - starts[row] + 1

    def line(self, number: int) -> str:
        """The text of a line (from 1), without its newline."""
        if self._line[0] != number:  # a line may be the whole file, and have hundreds of errors
            starts = self.starts
            begin = starts[number - 1]
            end = starts[number] - 1 if number < len(starts) else len(self.text)
            self._line = (number, self.text[begin:end].rstrip("\r"))
        return self._line[1]

    def __repr__(self) -> str:
        return f"Source({self.name!r}, {len(self.text)} characters)"


@dataclass(frozen=True, slots=True)
class Span:
    """The characters `start <= i < stop` of a source."""

    source: Source
    start: int
    stop: int

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.stop]

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of `other` (of the same source)."""
        return Span(self.source, min(self.start, other.start), max(self.stop, other.stop))

    def __repr__(self) -> str:
        line, column = self.source.position(self.start)
        return f"{self.source.name}:{line}:{column}"


def normal(word: str) -> str:
    """A name as it is compared: normal form NFKC, as in Python."""
    if not isinstance(word, str) or word.isascii():
        return word
    import unicodedata

    return unicodedata.normalize("NFKC", word)
