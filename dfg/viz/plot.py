"""A line plot of a few numbers over repeated runs, as SVG text and from it as PNG.

Our own because it is small: plotting libraries cost half a second of import and megabytes, and one picture, values over runs, is what a
training loop needs. The looks are those of `dfg.viz.draw` (its font, its grey), every tick has its number, and the text is legible at the size at
which the file opens. Equal numbers give equal bytes.

Invariants: what is not finite is a gap in the line, and said below the plot; a million runs become two points for each column of pixels
(the least and the greatest), so no spike is lost and the file stays small.

>>> line_plot({"loss": [3.0, 2.0, 1.5]}, "lesson.dfg").startswith("<svg")
True
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

from dfg.diagnostics import UserError, error
from dfg.viz import fonts

__all__ = ["PLOT_SUFFIXES", "line_plot", "ticks", "write_plot"]

PLOT_SUFFIXES = (".svg", ".png")
WIDTH, HEIGHT = 820.0, 480.0
TICK_SIZE, LABEL_SIZE, TITLE_SIZE = 14.0, 16.0, 19.0
COLOURS = ("#1d4ed8", "#b45309", "#15803d", "#7e22ce", "#b91c1c", "#0e7490")
DARK, GREY, PALE = "#111827", "#4b5563", "#e5e7eb"


def write_plot(path: str | os.PathLike[str], series: Mapping[str, Sequence[float]], title: str = "", scale: float = 2.0) -> None:
    """Write the plot as `.svg` or `.png`, whole or not at all."""
    from dfg.viz.engine import svg_to_png, write_atomically

    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in PLOT_SUFFIXES:
        raise UserError(error("unknown-format", f"a plot cannot be written as `{target.name}`", help="the name must end in .svg or .png"))
    drawn = line_plot(series, title)
    write_atomically(target, svg_to_png(drawn, scale) if suffix == ".png" else drawn.encode("utf-8"))


def line_plot(series: Mapping[str, Sequence[float]], title: str = "") -> str:
    """The SVG text: a line for each name, over the numbers 1, 2, … of the runs."""
    runs = max((len(values) for values in series.values()), default=0)
    finite = [v for values in series.values() for v in values if math.isfinite(v)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    ys, y_texts = ticks(low, high)
    xs, x_texts = ticks(1.0, float(max(runs, 2)), whole=True)
    ys, y_texts = map(list, zip(*((y, text) for y, text in zip(ys, y_texts, strict=True) if math.isfinite(y)), strict=True))
    low, high = min(low, ys[0]), max(high, ys[-1])
    left = 30.0 + LABEL_SIZE + max(fonts.width(text, TICK_SIZE, False) for text in y_texts)
    top = 24.0 + (TITLE_SIZE * 1.6 if title else 0.0) + (26.0 if len(series) > 1 else 0.0)
    lost = {name: sum(1 for v in values if not math.isfinite(v)) for name, values in series.items()}
    notes = [f"{count} of {len(series[name])} values of {name} are not finite" for name, count in lost.items() if count]
    bottom = HEIGHT - 62.0 - 20.0 * len(notes)
    right = WIDTH - 26.0

    def x_at(run: float) -> float:
        return left + (run - 1) / max(runs - 1, 1) * (right - left)

    def y_at(value: float) -> float:
        # halves first: the difference of two doubles can be infinite, that of their halves cannot
        span = high / 2 - low / 2
        return bottom - (value / 2 - low / 2) / span * (bottom - top) if span > 0 else (top + bottom) / 2

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(WIDTH)}" height="{_n(HEIGHT)}" viewBox="0 0 {_n(WIDTH)} {_n(HEIGHT)}" '
           f'role="img" font-family="{fonts.STACK}">',
           f"<title>{escape(title or ', '.join(series))}</title>", f'<rect width="{_n(WIDTH)}" height="{_n(HEIGHT)}" fill="white"/>']
    if title:
        out.append(_text(title, WIDTH / 2, 16 + TITLE_SIZE, TITLE_SIZE, DARK, bold=True))
    for y, words in zip(ys, y_texts, strict=True):
        out.append(_line(left, y_at(y), right, y_at(y), PALE))
        out.append(_text(words, left - 8, y_at(y) + TICK_SIZE * 0.35, TICK_SIZE, GREY, "end"))
    for x, words in zip(xs, x_texts, strict=True):
        out.append(_line(x_at(x), bottom, x_at(x), bottom + 6, GREY))
        out.append(_text(words, x_at(x), bottom + 8 + TICK_SIZE, TICK_SIZE, GREY))
    out += [_line(left, bottom, right, bottom, GREY), _line(left, top, left, bottom, GREY)]
    out.append(_text("run", (left + right) / 2, bottom + 14 + TICK_SIZE + LABEL_SIZE, LABEL_SIZE, DARK))
    if len(series) == 1:
        name = next(iter(series))
        middle = (top + bottom) / 2
        out.append(f'<g transform="rotate(-90 {_n(LABEL_SIZE + 4)} {_n(middle)})">{_text(name, LABEL_SIZE + 4, middle, LABEL_SIZE, DARK)}</g>')
    else:
        at = left
        for k, name in enumerate(series):
            colour = COLOURS[k % len(COLOURS)]
            out.append(f'<path d="M{_n(at)} {_n(top - 18)}h26" stroke="{colour}" stroke-width="3" fill="none"/>')
            out.append(_text(name, at + 32, top - 13, LABEL_SIZE, DARK, "start"))
            at += 32 + fonts.width(name, LABEL_SIZE, False) + 26
    for k, values in enumerate(series.values()):
        out += _curve(values, x_at, y_at, COLOURS[k % len(COLOURS)], int(right - left))
    for k, note in enumerate(notes):
        out.append(_text(note, WIDTH / 2, HEIGHT - 8 - 20.0 * (len(notes) - 1 - k), TICK_SIZE, GREY))
    out.append("</svg>\n")
    return "\n".join(out)


def ticks(low: float, high: float, whole: bool = False) -> tuple[list[float], list[str]]:
    """Round numbers that cover `low..high` (of runs: that lie inside it), four to eight of them, and their texts."""
    if not high > low:  # one value: a range around it
        pad = abs(low) / 2 or 1.0
        low, high = max(low - pad, -sys.float_info.max), min(high + pad, sys.float_info.max)
    if not math.isfinite(high - low) or high - low < 1e-300:
        return [low, high], [f"{low:.3g}", f"{high:.3g}"]
    rough = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= rough * 0.999)
    if whole:
        step = max(1.0, float(round(step)))
        found = [1.0] + [k * step for k in range(1, int(high / step) + 1) if k * step > 1 + step / 2]
        return found, [f"{x:.0f}" for x in found]
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if last - first > 20 or abs(first) > 1e15:  # the numbers differ in their last digits only: steps cannot be told apart
        return [low, high], [repr(low), repr(high)]
    found = [k * step for k in range(first, last + 1)]
    digits = next((d for d in range(1, 18) if len({f"{x:.{d}g}" for x in found}) == len(found)
                   and all(abs(float(f"{x:.{d}g}") - x) <= step * 1e-6 for x in found)), 17)
    return found, [_short(x, digits) for x in found]


def _short(x: float, digits: int) -> str:
    text = f"{x:.{digits}g}" if x else "0"
    if "e" in text and 1e-4 <= abs(x) < 1e7:
        text = f"{x:.0f}" if abs(x) >= 1 else f"{x:.{digits + 4}f}".rstrip("0")
    mantissa, e, power = text.partition("e")
    return f"{mantissa}e{int(power)}" if e else text


def _curve(values: Sequence[float], x_at: Callable[[float], float], y_at: Callable[[float], float], colour: str, columns: int) -> list[str]:
    """The line, broken where a value is not finite; a value alone between gaps is a dot."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for run, value in _thinned(values, columns):
        if math.isfinite(value):
            pieces[-1].append((x_at(run), y_at(value)))
        elif pieces[-1]:
            pieces.append([])
    out: list[str] = []
    for piece in pieces:
        if len(piece) == 1:
            out.append(f'<circle cx="{_n(piece[0][0])}" cy="{_n(piece[0][1])}" r="3" fill="{colour}"/>')
        elif piece:
            way = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in piece)
            out.append(f'<path class="curve" d="{way}" fill="none" stroke="{colour}" stroke-width="2.4" stroke-linejoin="round"/>')
    return out


def _thinned(values: Sequence[float], columns: int) -> list[tuple[float, float]]:
    """(number of the run, value); of more than two for each column, the least and the greatest of it (a gap stays one)."""
    if len(values) <= 2 * columns:
        return [(k + 1.0, float(v)) for k, v in enumerate(values)]
    out: list[tuple[float, float]] = []
    for c in range(columns):
        first, last = c * len(values) // columns, (c + 1) * len(values) // columns
        here = [(k + 1.0, float(values[k])) for k in range(first, last)]
        bad = [item for item in here if not math.isfinite(item[1])]
        good = [item for item in here if math.isfinite(item[1])]
        chosen = {min(good, key=lambda item: item[1]), max(good, key=lambda item: item[1])} if good else set()
        out += sorted([*chosen, *bad[:1]])
    return out


def _n(value: float) -> str:
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _line(x: float, y: float, x2: float, y2: float, colour: str) -> str:
    return f'<path d="M{_n(x)} {_n(y)}L{_n(x2)} {_n(y2)}" stroke="{colour}" stroke-width="1.2" fill="none"/>'


def _text(text: str, x: float, y: float, size: float, colour: str, anchor: str = "middle", bold: bool = False) -> str:
    from dfg.viz.picture import shown

    weight = ' font-weight="bold"' if bold else ""
    return (f'<text xml:space="preserve" x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" text-anchor="{anchor}" fill="{colour}"{weight}>'
            f"{escape(shown(text, 90), quote=True)}</text>")
