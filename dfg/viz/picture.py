"""A drawing as data: boxes, arrows, frames and a legend, knowing nothing of graphs of values.

`dfg.viz.view` makes a `Picture` of a graph; `to_dot` writes it as DOT text; `dfg.viz.engine` places it; `dfg.viz.draw` draws it. So a
picture can be tested, folded and laid out by any engine without the compiler.

Invariants: the nodes stand in an order in which data flows (an edge against that order never decides a rank); a node of the backward
column names its `partner`, the forward node whose rank it shares, so that the two passes stand side by side and forward-to-gradient arrows
are short; the text of a program reaches DOT only through `quoted` (never as an id, a URL or markup).

>>> w = Node("w", (Line("w"), Line("f64", "type")), "param")
>>> u = Node("u", (Line("*"), Line("u : f64[n]", "name")), "op")
>>> print(to_dot(Picture((w, u), (Edge("w", "u"),))).splitlines()[0])
digraph picture {
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from dfg.viz import fonts

Role = Literal["input", "param", "state", "const", "op", "output", "gradient", "fold"]
LineStyle = Literal["title", "name", "type", "value", "note"]
EdgeRole = Literal["data", "gradient", "uses"]
Column = Literal["forward", "backward"]
Direction = Literal["auto", "right", "down"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a box, and what it says (which decides its size and colour)."""

    text: str
    style: LineStyle = "title"


@dataclass(frozen=True, slots=True)
class Node:
    """A box. `kept` marks a value that the backward pass reads, `folded` one that stands for many; `rank` forces a rank (counted from 0), None leaves it to the layout."""

    id: str
    lines: tuple[Line, ...]
    role: Role = "op"
    column: Column = "forward"
    rank: int | None = None
    partner: str | None = None
    values: str = ""
    kept: bool = False
    output: bool = False
    folded: bool = False
    tooltip: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow. `uses` is a forward value read by the backward pass."""

    source: str
    target: str
    label: str = ""
    role: EdgeRole = "data"


@dataclass(frozen=True, slots=True)
class Group:
    """A frame around nodes: the values of one call or loop. `count` is how many values it holds."""

    title: str
    nodes: tuple[str, ...]
    count: int = 0


@dataclass(frozen=True, slots=True)
class Picture:
    """What is to be drawn. `legend` lists (key, words), where a key is a role, `kept`, `output` or an edge's role."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()
    groups: tuple[Group, ...] = ()
    legend: tuple[tuple[str, str], ...] = ()
    title: str = ""
    direction: Direction = "auto"
    notes: tuple[str, ...] = ()

    @property
    def down(self) -> bool:
        """Whether it reads from top to bottom; `auto` reads to the right as long as that fits a slide."""
        if self.direction == "auto":
            return depth(self) > 9
        return self.direction == "down"


@dataclass(frozen=True, slots=True)
class Colours:
    """Fill, border and text of a role."""

    fill: str
    line: str
    text: str


COLOURS: dict[str, Colours] = {
    "input": Colours("#dbeafe", "#1d4ed8", "#172554"),
    "param": Colours("#dcfce7", "#15803d", "#052e16"),
    "state": Colours("#f3e8ff", "#7e22ce", "#3b0764"),
    "const": Colours("#f3f4f6", "#6b7280", "#1f2937"),
    "op": Colours("#ffffff", "#374151", "#111827"),
    "output": Colours("#fef3c7", "#b45309", "#451a03"),
    "gradient": Colours("#fee2e2", "#b91c1c", "#450a0a"),
    "fold": Colours("#e5e7eb", "#374151", "#111827"),
}
EDGE_COLOURS: dict[str, str] = {"data": "#374151", "gradient": "#b91c1c", "uses": "#9a8478"}
LEGEND_WORDS: dict[str, str] = {
    "input": "input",
    "param": "parameter",
    "state": "state",
    "const": "constant",
    "op": "operation",
    "output": "output",
    "gradient": "gradient",
    "fold": "folded values",
    "kept": "kept for the backward pass",
    "uses": "kept value read by the backward pass",
}
LINE_SIZES: dict[LineStyle, float] = {"title": 17.0, "name": 13.0, "type": 11.5, "value": 13.0, "note": 11.5}
LABEL_SIZE = 11.5
PAD_X, PAD_Y = 12.0, 7.0
MAX_LINE = 34
"""Longer lines are elided; the tooltip has the full text."""
LONGEST = 24
"""Arrows over more ranks than this are not led through a point on each rank: they are drawn straight, and large pictures stay fast."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """One line that any format can hold: line breaks become spaces, and what XML forbids becomes the replacement character."""
    return _CONTROL.sub("�", " ".join(text.split()) if any(c.isspace() and c != " " for c in text) else text)


def shown(text: str, limit: int = MAX_LINE) -> str:
    """The text as it stands in a box or on an arrow."""
    return fonts.elide(clean(text), limit)


def lines_of(node: Node) -> tuple[Line, ...]:
    """The lines of a box as drawn, its values last."""
    lines = tuple(Line(shown(line.text), line.style) for line in node.lines)
    return (*lines, Line(shown(node.values), "value")) if node.values else lines


def label_lines(label: str) -> tuple[str, ...]:
    """The lines of an arrow's label."""
    return tuple(shown(part, 26) for part in label.split("\n") if part.strip())[:4]


def line_height(style: LineStyle) -> float:
    return LINE_SIZES[style] * 1.24


@lru_cache(maxsize=20_000)
def size_of(node: Node) -> tuple[float, float]:
    """Width and height of a box in points: its text and a margin."""
    lines = lines_of(node)
    width = max((fonts.width(line.text, LINE_SIZES[line.style], line.style == "title") for line in lines), default=0.0)
    height = sum(line_height(line.style) for line in lines)
    border = 8.0 if node.kept else 0.0
    return max(46.0, width + 2 * PAD_X) + border, max(32.0, height + 2 * PAD_Y) + border


def label_size(label: str) -> tuple[float, float]:
    """Width and height of an arrow's label in points."""
    lines = label_lines(label)
    return max((fonts.width(line, LABEL_SIZE) for line in lines), default=0.0), LABEL_SIZE * 1.2 * len(lines)


def depth(picture: Picture) -> int:
    """How many ranks the forward column has (the backward one where there is no other)."""
    return max(ranks(picture).values(), default=-1) + 1


def ranks(picture: Picture) -> dict[str, int]:
    """The rank of each node: the longest path of data to it, sources pulled next to their first reader, gradients beside their partners."""
    place = {node.id: k for k, node in enumerate(picture.nodes)}
    both = {node.column for node in picture.nodes} == {"forward", "backward"}
    free = {node.id: not (both and node.column == "backward") for node in picture.nodes}
    into: dict[str, list[str]] = {}
    out: dict[str, list[str]] = {}
    for edge in picture.edges:
        if edge.source in place and edge.target in place and place[edge.source] < place[edge.target]:
            into.setdefault(edge.target, []).append(edge.source)
            out.setdefault(edge.source, []).append(edge.target)
    rank: dict[str, int] = {}
    for node in picture.nodes:
        if free[node.id]:
            before = [rank[s] for s in into.get(node.id, ()) if s in rank]
            rank[node.id] = node.rank if node.rank is not None else max(before, default=-1) + 1
    for node in reversed(picture.nodes):
        if free[node.id] and node.rank is None and not into.get(node.id):
            after = [rank[t] for t in out.get(node.id, ()) if free[t]]
            rank[node.id] = max(rank[node.id], min(after, default=1) - 1)
    last = max(rank.values(), default=0)
    for node in picture.nodes:
        if not free[node.id]:
            before = [rank[s] for s in into.get(node.id, ()) if s in rank and not free[s]]
            rank[node.id] = rank.get(node.partner or "", min(before, default=last))
    return rank


def default_legend(nodes: Iterable[Node], edges: Iterable[Edge]) -> tuple[tuple[str, str], ...]:
    """One entry for each role that occurs."""
    nodes = tuple(nodes)
    keys: list[str] = [role for role in COLOURS if any(node.role == role for node in nodes)]
    if any(node.kept for node in nodes):
        keys.append("kept")
    if any(edge.role == "uses" for edge in edges):
        keys.append("uses")
    return tuple((key, LEGEND_WORDS[key]) for key in keys)


def quoted(*lines: str) -> str:
    """Lines of user's text as a DOT label: no markup, no escape sequence (`\\N`, `\\l`) and no entity of them is interpreted.

    The result is the `graphviz` package's own kind of string, which it never takes for HTML; so it must not be made a plain `str` again.
    """
    import graphviz

    label: str = graphviz.nohtml("\\n".join(graphviz.escape(line.replace("&", "&amp;")) for line in lines))
    return label


def to_dot(picture: Picture) -> str:
    """The picture as DOT text, complete with colours, legend and tooltips: `dot -Tsvg` draws it as it is.

    Ids are generated (`n0`, `e0`), and each edge carries its own as `id`, which is how a layout finds its way back.
    """
    import graphviz

    ids = {node.id: f"n{k}" for k, node in enumerate(picture.nodes)}
    both = {node.column for node in picture.nodes} == {"forward", "backward"}
    graph = graphviz.Digraph("picture")
    header = [picture.title] if picture.title else []
    header += [" · ".join(words for _, words in picture.legend)] if picture.legend else []
    font = "Helvetica,Arial,Liberation Sans,sans-serif"
    down = picture.down
    labels = max((label_size(edge.label)[1 if down else 0] + 20 for edge in picture.edges if edge.label), default=0.0) if both else 0.0
    graph.attr("graph", rankdir="TB" if down else "LR", nodesep="0.3", ranksep=f"{max(0.45, labels / 72):.3f}", fontname=font, fontsize="14",
               labelloc="t", bgcolor="white", pad="0.2", label=quoted(*(shown(line, 160) for line in header)))
    graph.attr("node", shape="box", style="rounded,filled", fontname=font, fontsize="12", fixedsize="true", penwidth="1.3")
    graph.attr("edge", fontname=font, fontsize=f"{LABEL_SIZE:g}", arrowsize="0.7", color=EDGE_COLOURS["data"], fontcolor="#4b5563")

    frames = [] if both else [group for group in picture.groups if group.nodes]
    framed: dict[str, int] = {}
    for k, group in enumerate(frames):
        for name in group.nodes:
            framed.setdefault(name, k)
    for node in picture.nodes:
        if node.id not in framed:
            _add(graph, ids[node.id], node)
    for k, group in enumerate(frames):
        with graph.subgraph(name=f"cluster_{k}") as box:
            box.attr(label=quoted(shown(group.title)), style="rounded", color="#9ca3af", fontcolor="#4b5563", fontsize="12")
            for node in picture.nodes:
                if framed.get(node.id) == k:
                    _add(box, ids[node.id], node)
    ways = _columns(graph, picture, ids) if both else {}
    place = {node.id: k for k, node in enumerate(picture.nodes)}
    column = {node.id: node.column for node in picture.nodes}
    inner = {edge.target for edge in picture.edges}  # arrows from leaves pull less, so that the main line is straight
    for k, edge in enumerate(picture.edges):
        attributes = {"id": f"e{k}", "color": EDGE_COLOURS[edge.role]}
        if edge.label:  # a label takes a rank of its own, where no divider keeps the columns apart: so not in two columns
            attributes["xlabel" if both else "label"] = quoted(*label_lines(edge.label))
        if edge.source in inner:
            attributes["weight"] = "6"
        if edge.role == "uses":
            attributes.update(style="dashed", arrowsize="0.6")
        mirrored = both and "backward" in (column[edge.source], column[edge.target])
        if mirrored or place[edge.source] >= place[edge.target]:
            attributes["constraint"] = "false"
        stops = [ids[edge.source], *ways.get(k, ()), ids[edge.target]]
        for part, (a, b) in enumerate(pairwise(stops)):
            more = {"id": f"e{k}p{part}"} if len(stops) > 2 else {}
            if part < len(stops) - 2:
                more["arrowhead"] = "none"
            if part:
                attributes.pop("xlabel", None)
            graph.edge(a, b, **{**attributes, **more})
    return str(graph.source)


def _columns(graph: object, picture: Picture, ids: dict[str, str]) -> dict[int, list[str]]:
    """Both passes: one invisible divider for each rank, forward nodes before it and gradients after it, so that the columns never mix.

    A long gradient arrow goes through a point on each rank between (returned by the arrow's number), for Graphviz would lead it anywhere.
    """
    rank = ranks(picture)
    levels: dict[int, list[Node]] = {}
    for node in picture.nodes:
        levels.setdefault(rank[node.id], []).append(node)
    column = {node.id: node.column for node in picture.nodes}
    ways: dict[int, list[str]] = {}
    points: dict[int, list[str]] = {}
    for k, edge in enumerate(picture.edges):
        low, high = sorted((rank[edge.source], rank[edge.target]))
        if column[edge.source] == column[edge.target] == "backward" and 1 < high - low <= LONGEST:
            ways[k] = [f"p{k}r{r}" for r in range(low + 1, high)]
            for r, point in zip(range(low + 1, high), ways[k], strict=True):
                points.setdefault(r, []).append(point)
            if rank[edge.source] > rank[edge.target]:
                ways[k].reverse()
    previous = ""
    for level in sorted(levels):
        middle = f"m{level}"
        with graph.subgraph() as row:  # type: ignore[attr-defined]
            row.attr(rank="same")
            row.node(middle, label="", shape="point", width="0.02", height="0.02", style="invis")
            for node in levels[level]:
                pair = (middle, ids[node.id]) if node.column == "backward" else (ids[node.id], middle)
                row.edge(*pair, style="invis")
            for point in points.get(level, ()):
                row.node(point, label="", shape="point", width="0.01", height="0.01", style="invis")
                row.edge(middle, point, style="invis")
        if previous:
            graph.edge(previous, middle, style="invis", weight="100")  # type: ignore[attr-defined]
        previous = middle
    return ways


def _add(graph: object, name: str, node: Node) -> None:
    width, height = size_of(node)
    colours = COLOURS[node.role]
    attributes = {
        "label": quoted(*(line.text for line in lines_of(node))),
        "tooltip": quoted(clean(node.tooltip or " ".join(line.text for line in node.lines))),
        "width": f"{width / 72:.4f}",
        "height": f"{height / 72:.4f}",
        "fillcolor": colours.fill,
        "color": colours.line,
        "fontcolor": colours.text,
    }
    if node.kept:  # Graphviz draws the second border 4 points outside of the size it is given
        attributes.update(peripheries="2", width=f"{(width - 8) / 72:.4f}", height=f"{(height - 8) / 72:.4f}")
    if node.output:
        attributes["penwidth"] = "3"
    if node.folded:
        attributes["style"] = "filled"
    graph.node(name, **attributes)  # type: ignore[attr-defined]
