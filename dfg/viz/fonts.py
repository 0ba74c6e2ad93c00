"""Widths of text in the font that dfg ships, and which characters it has.

A picture must be laid out before anything draws it, on machines that have no font: so the two font files in `fonts/` (Liberation Sans,
SIL Open Font License; the metrics of Arial and Helvetica) are read directly. Only the tables `cmap`, `hmtx`, `hhea` and `head` of our own
two files are parsed, never a file of the user's.

Invariant: `width` never underestimates a character that the font has; one that it has not (CJK, emoji) counts as one em, since
whichever font the viewer has will draw it about so wide.

>>> round(width("l = sum(d * d)", 12.0), 1)
71.7
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).with_name("fonts")
FAMILY = "Liberation Sans"
STACK = "Liberation Sans, Arimo, Arial, Helvetica, sans-serif"
"""What an SVG asks for: our font first, then fonts of equal metrics."""


@dataclass(frozen=True, slots=True)
class Font:
    """Advance widths in ems, by code point."""

    advances: dict[int, float]


def font_files() -> tuple[Path, ...]:
    """The font files shipped inside the package."""
    return (FOLDER / "LiberationSans-Regular.ttf", FOLDER / "LiberationSans-Bold.ttf")


@lru_cache(maxsize=2)
def font(bold: bool = False) -> Font:
    """The regular or the bold face, read once a process."""
    return _read(font_files()[1 if bold else 0].read_bytes())


def width(text: str, size: float, bold: bool = False) -> float:
    """The width of one line of text."""
    advances = font(bold).advances
    return size * sum(advances.get(ord(c), 0.0 if _combines(c) else 1.0) for c in text)


def missing(text: str) -> set[str]:
    """The characters of a text that the shipped font cannot draw."""
    advances = font(False).advances
    return {c for c in set(text) if ord(c) not in advances and not c.isspace()}


def elide(text: str, limit: int) -> str:
    """At most `limit` characters, the middle replaced by an ellipsis (both ends of a dotted name say something)."""
    if len(text) <= limit:
        return text
    head = (limit - 1) * 2 // 3
    tail = limit - 1 - head
    return text[:head] + "…" + (text[-tail:] if tail else "")


def _combines(character: str) -> bool:
    import unicodedata

    return unicodedata.combining(character) != 0 or unicodedata.category(character) in ("Mn", "Me", "Cf")


def _read(data: bytes) -> Font:
    count = struct.unpack_from(">H", data, 4)[0]
    tables: dict[bytes, int] = {}
    for k in range(count):
        tag, _, offset, _ = struct.unpack_from(">4sIII", data, 12 + 16 * k)
        tables[tag] = offset
    units = struct.unpack_from(">H", data, tables[b"head"] + 18)[0]
    metrics = struct.unpack_from(">H", data, tables[b"hhea"] + 34)[0]
    widths = [struct.unpack_from(">H", data, tables[b"hmtx"] + 4 * k)[0] / units for k in range(metrics)]
    glyphs = _code_points(data, tables[b"cmap"])
    return Font({point: widths[min(glyph, metrics - 1)] for point, glyph in glyphs.items()})


def _code_points(data: bytes, cmap: int) -> dict[int, int]:
    """Code point -> glyph from the Unicode subtable of format 4, which both our files have."""
    for k in range(struct.unpack_from(">H", data, cmap + 2)[0]):
        platform, encoding, offset = struct.unpack_from(">HHI", data, cmap + 4 + 8 * k)
        start = cmap + offset
        if (platform, encoding) == (3, 1) and struct.unpack_from(">H", data, start)[0] == 4:
            return _format4(data, start)
    raise ValueError("the font has no Unicode table of format 4")


def _format4(data: bytes, start: int) -> dict[int, int]:
    segments = struct.unpack_from(">H", data, start + 6)[0] // 2
    ends = start + 14
    starts = ends + 2 * segments + 2
    deltas = starts + 2 * segments
    offsets = deltas + 2 * segments
    found: dict[int, int] = {}
    for k in range(segments):
        last, first, delta, shift = (struct.unpack_from(">H", data, table + 2 * k)[0] for table in (ends, starts, deltas, offsets))
        for point in range(first, last + 1):
            if point == 0xFFFF:
                continue
            if shift == 0:
                glyph = (point + delta) & 0xFFFF
            else:
                glyph = struct.unpack_from(">H", data, offsets + 2 * k + shift + 2 * (point - first))[0]
                glyph = (glyph + delta) & 0xFFFF if glyph else 0
            if glyph:
                found[point] = glyph
    return found
