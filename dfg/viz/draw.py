"""A placed picture as SVG, whichever engine placed it: one look, plain shapes, no script, no style sheet, no link.

Everything is presentation attributes on paths and text, so that slides, editors and resvg show the same; each box is a `<g>` with its
tooltip as `<title>`, a class for its role and `data-id`, by which a page can find it. Equal pictures give equal bytes.

>>> draw(picture, layout(picture))[:4]
'<svg'
"""

from __future__ import annotations

from html import escape
from math import hypot

from dfg.viz import fonts
from dfg.viz.labels import along, clear, walk
from dfg.viz.layout import Curve, Layout, Point
from dfg.viz.picture import (
    COLOURS,
    EDGE_COLOURS,
    LABEL_SIZE,
    LINE_SIZES,
    Edge,
    Group,
    Node,
    Picture,
    clean,
    label_lines,
    label_size,
    line_height,
    lines_of,
    shown,
    size_of,
)

MARGIN = 16.0
TITLE_SIZE = 17.0
LEGEND_SIZE = 12.0
_LINE_COLOURS = {"type": "#4b5563", "value": "#1d4ed8", "note": "#4b5563"}


def draw(picture: Picture, placed: Layout) -> str:
    """The SVG text."""
    placed = clear(picture, placed)
    boxes = {node.id: _box(node, placed.centres[node.id]) for node in picture.nodes}
    left, top, right, bottom = _extent(picture, placed, boxes)
    title = shown(picture.title, 120)
    title_height = TITLE_SIZE * 1.8 if title else 0.0
    width = max(right - left, fonts.width(title, TITLE_SIZE, True), 120.0)
    rows = _legend_rows(picture, max(width, 420.0 if picture.legend else 0.0))
    width = max(width, *(sum(_entry_width(words) for _, words in row) for row in rows), 0.0) if rows else width
    notes = [shown(note, 160) for note in picture.notes]
    width = max([width, *(fonts.width(note, LEGEND_SIZE) for note in notes)])
    footer = (len(rows) + len(notes)) * LEGEND_SIZE * 1.9 + (18.0 if rows or notes else 0.0)
    total_width = width + 2 * MARGIN
    total_height = bottom - top + 2 * MARGIN + title_height + footer
    shift_x = MARGIN - left + (width - (right - left)) / 2
    shift_y = MARGIN - top + title_height
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(total_width)}" height="{_n(total_height)}" '
        f'viewBox="0 0 {_n(total_width)} {_n(total_height)}" role="img" font-family="{fonts.STACK}">',
        f"<title>{_x(picture.title or 'dataflow graph')}</title>",
        f"<desc>{len(picture.nodes)} boxes, {len(picture.edges)} arrows, placed by {_x(placed.engine)}</desc>",
        f'<rect width="{_n(total_width)}" height="{_n(total_height)}" fill="white"/>',
    ]
    if title:
        out.append(_text(title, total_width / 2, MARGIN + TITLE_SIZE, TITLE_SIZE, "#111827", bold=True))
    out.append(f'<g transform="translate({_n(shift_x)} {_n(shift_y)})">')
    frames = [(group, frame) for group in picture.groups if (frame := _frame_box(group, boxes)) is not None]
    out += [f'<g class="group">{_rect(*frame, 10.0, "#f9fafb", "#9ca3af", 1.0, dash="4 3")}</g>' for _, frame in frames]
    for k, edge in enumerate(picture.edges):
        curve = placed.curves[k]
        if curve is not None:
            out += _arrow(k, edge, curve)
    out += [item for node in picture.nodes for item in _node(node, boxes[node.id])]
    for k, edge in enumerate(picture.edges):
        curve = placed.curves[k]
        if curve is not None and edge.label:
            out += _label(edge, curve)
    out += [_text(shown(g.title), x + 8, y + 13, 11.5, "#4b5563", anchor="start", halo=True) for g, (x, y, _, _) in frames]
    out.append("</g>")
    y = total_height - MARGIN - footer + 18.0
    for row in rows:
        x = (total_width - sum(_entry_width(words) for _, words in row)) / 2
        for key, words in row:
            out += _entry(key, words, x, y)
            x += _entry_width(words)
        y += LEGEND_SIZE * 1.9
    for note in notes:
        out.append(_text(note, total_width / 2, y + LEGEND_SIZE, LEGEND_SIZE, "#4b5563"))
        y += LEGEND_SIZE * 1.9
    out.append("</svg>\n")
    return "\n".join(out)


Box = tuple[float, float, float, float]


def _box(node: Node, centre: Point) -> Box:
    width, height = size_of(node)
    return centre[0] - width / 2, centre[1] - height / 2, width, height


def _extent(picture: Picture, placed: Layout, boxes: dict[str, Box]) -> Box:
    """The bounds of all that is drawn inside the frame of title and legend."""
    xs: list[float] = []
    ys: list[float] = []
    for x, y, width, height in boxes.values():
        xs += (x, x + width)
        ys += (y, y + height)
    for edge, curve in zip(picture.edges, placed.curves, strict=True):
        if curve is None:
            continue
        xs += [p[0] for p in curve.points]
        ys += [p[1] for p in curve.points]
        if edge.label:
            x, y, width, height = _label_box(edge, curve)
            xs += (x, x + width)
            ys += (y, y + height)
    for group in picture.groups:
        frame = _frame_box(group, boxes)
        if frame is not None:
            xs += (frame[0], frame[0] + frame[2])
            ys += (frame[1], frame[1] + frame[3])
    if not xs:
        return 0.0, 0.0, 0.0, 0.0
    return min(xs), min(ys), max(xs), max(ys)


def _node(node: Node, box: Box) -> list[str]:
    x, y, width, height = box
    colours = COLOURS[node.role]
    radius = min(height / 2, 18.0) if node.role in ("input", "param", "state") else (3.0 if node.role == "const" else 8.0)
    stroke = 2.6 if node.output else 1.3
    classes = " ".join(["node", f"role-{node.role}", *(["kept"] if node.kept else []), *(["output"] if node.output else [])])
    tooltip = clean(node.tooltip) or " ".join(clean(line.text) for line in node.lines)
    out = [f'<g class="{classes}" data-id="{_x(clean(node.id))}"><title>{_x(tooltip)}</title>']
    if node.folded:
        out.append(_rect(x + 4, y + 4, width - 4, height - 4, radius, colours.fill, colours.line, stroke))
        width, height = width - 4, height - 4
    out.append(_rect(x, y, width, height, radius, colours.fill, colours.line, stroke))
    if node.kept:
        out.append(_rect(x + 4, y + 4, width - 8, height - 8, max(radius - 4, 1.0), "none", colours.line, 1.0))
    lines = lines_of(node)
    baseline = y + (height - sum(line_height(line.style) for line in lines)) / 2
    for line in lines:
        size = LINE_SIZES[line.style]
        colour = _LINE_COLOURS.get(line.style, colours.text)
        if line.style == "value" and node.role == "gradient":
            colour = colours.line
        out.append(_text(line.text, x + width / 2, baseline + size * 0.95, size, colour, bold=line.style == "title"))
        baseline += line_height(line.style)
    out.append("</g>")
    return out


def _arrow(k: int, edge: Edge, curve: Curve) -> list[str]:
    """The curve to the back of the head, and the head as a polygon (markers get lost in slide programs)."""
    colour = EDGE_COLOURS[edge.role]
    points = list(curve.points)
    tip = points[-1]
    tail = next((p for p in reversed(points) if hypot(p[0] - tip[0], p[1] - tip[1]) > 0.5), (tip[0] - 1.0, tip[1]))
    length = hypot(tip[0] - tail[0], tip[1] - tail[1])
    dx, dy = (tip[0] - tail[0]) / length, (tip[1] - tail[1]) / length
    long, half = (6.5, 2.8) if edge.role == "uses" else (8.5, 3.5)
    back = (tip[0] - dx * long, tip[1] - dy * long)
    if hypot(points[-2][0] - tip[0], points[-2][1] - tip[1]) < long:
        points[-2] = back
    points[-1] = back
    path = f"M{_p(points[0])}" + "".join(f"C{_p(points[i])} {_p(points[i + 1])} {_p(points[i + 2])}" for i in range(1, len(points), 3))
    dash = ' stroke-dasharray="5 3"' if edge.role == "uses" else ""
    head = [tip, (back[0] - dy * half, back[1] + dx * half), (back[0] + dy * half, back[1] - dx * half)]
    return [
        f'<g class="edge role-{edge.role}" id="e{k}"><path d="{path}" fill="none" stroke="{colour}" stroke-width="1.3"{dash}/>'
        f'<polygon points="{" ".join(_p(p) for p in head)}" fill="{colour}"/></g>'
    ]


def _label_box(edge: Edge, curve: Curve) -> Box:
    width, height = label_size(edge.label)
    x, y = curve.label if curve.label is not None else middle(curve)
    return x - width / 2, y - height / 2, width, height


def _label(edge: Edge, curve: Curve) -> list[str]:
    """The words on an arrow, on white, so that the line below them does not cross them out."""
    x, y, width, height = _label_box(edge, curve)
    out = [f'<rect x="{_n(x - 2)}" y="{_n(y)}" width="{_n(width + 4)}" height="{_n(height)}" fill="white" fill-opacity="0.85"/>']
    for line in label_lines(edge.label):
        y += LABEL_SIZE * 1.2
        out.append(_text(line, x + width / 2, y - LABEL_SIZE * 0.28, LABEL_SIZE, "#374151"))
    return out


def middle(curve: Curve) -> Point:
    """The point half way along a curve, by its length."""
    return along(walk(curve), 0.5)


def _frame_box(group: Group, boxes: dict[str, Box]) -> Box | None:
    """The frame of a group, or None where it would take in boxes of others."""
    members = [boxes[name] for name in group.nodes if name in boxes]
    if len(members) < 2:
        return None
    inside = set(group.nodes)
    left, top = min(b[0] for b in members) - 8, min(b[1] for b in members) - 20
    right, bottom = max(b[0] + b[2] for b in members) + 8, max(b[1] + b[3] for b in members) + 8
    for name, (x, y, width, height) in boxes.items():
        if name not in inside and x < right and x + width > left and y < bottom and y + height > top:
            return None
    return left, top, right - left, bottom - top


def _legend_rows(picture: Picture, width: float) -> list[list[tuple[str, str]]]:
    rows: list[list[tuple[str, str]]] = []
    room = 0.0
    for key, words in picture.legend:
        need = _entry_width(words)
        if not rows or need > room:
            rows.append([])
            room = width
        rows[-1].append((key, words))
        room -= need
    return rows


def _entry_width(words: str) -> float:
    return 24.0 + 6.0 + fonts.width(shown(words, 60), LEGEND_SIZE) + 18.0


def _entry(key: str, words: str, x: float, y: float) -> list[str]:
    """A swatch and its words."""
    if key == "uses":
        path = f"M{_n(x)} {_n(y + 7)}L{_n(x + 24)} {_n(y + 7)}"
        swatch = [f'<path d="{path}" stroke="{EDGE_COLOURS[key]}" stroke-width="1.5" stroke-dasharray="5 3"/>']
    elif key == "kept":
        swatch = [_rect(x, y, 24, 14, 4, "white", "#374151", 1.2), _rect(x + 3, y + 3, 18, 8, 2, "none", "#374151", 1.0)]
    else:
        colours = COLOURS.get(key, COLOURS["op"])
        swatch = [_rect(x, y, 24, 14, 7 if key in ("input", "param", "state") else 4, colours.fill, colours.line, 1.3)]
    return [*swatch, _text(shown(words, 60), x + 30, y + 11.5, LEGEND_SIZE, "#374151", anchor="start")]


def _rect(x: float, y: float, width: float, height: float, radius: float, fill: str, line: str, stroke: float, dash: str = "") -> str:
    extra = f' stroke-dasharray="{dash}"' if dash else ""
    return (f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" rx="{_n(radius)}" fill="{fill}" '
            f'stroke="{line}" stroke-width="{_n(stroke)}"{extra}/>')


def _text(text: str, x: float, y: float, size: float, colour: str, bold: bool = False, anchor: str = "middle", halo: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    edge = ' stroke="white" stroke-width="3" paint-order="stroke" stroke-linejoin="round"' if halo else ""
    place = f'x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" text-anchor="{anchor}"'
    return f'<text xml:space="preserve" {place} fill="{colour}"{weight}{edge}>{_x(text)}</text>'


def _x(text: str) -> str:
    return escape(clean(text), quote=True)


def _n(value: float) -> str:
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _p(point: Point) -> str:
    return f"{_n(point[0])} {_n(point[1])}"
