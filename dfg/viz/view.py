"""From a graph to a picture: `build` decides what stands in which box, `render` writes the file.

The forward pass is one column; the backward pass is a second one, each gradient on the rank of the forward value whose rule made it. Casts,
broadcasts and scalar constants are words on arrows and in boxes; gradients made by one rule are one expression, as on a blackboard; calls
and large graphs are folded (`dfg.viz.fold`), and the picture says how much it folds. `focus` shows the neighbourhood of one name.

>>> render(program.graph, None, "lesson.svg", view="both").engine
'wasi'
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from dfg.diagnostics import UserError, error
from dfg.ir import Graph, Value
from dfg.viz import words
from dfg.viz.draw import draw
from dfg.viz.engine import layout, svg_to_png, write_atomically
from dfg.viz.fold import Folding
from dfg.viz.fold import fold as fold_values
from dfg.viz.picture import Column, Direction, Edge, Group, Line, Node, Picture, Role, default_legend, to_dot
from dfg.viz.scene import Scene

VIEWS = ("forward", "backward", "both")
SUFFIXES = (".svg", ".png", ".dot")
Outputs = Mapping[str, Value] | Sequence[Value] | None


@dataclass(frozen=True, slots=True)
class Rendered:
    """What was written: where, placed by which engine, and what is worth telling (engines that failed, values that were folded)."""

    path: Path
    engine: str
    notes: tuple[str, ...] = ()


def render(graph: Graph, outputs: Outputs, path: str | Path, view: str = "forward", *, values: Mapping[int, object] | None = None,
           focus: str | None = None, depth: int = 2, fold: bool = True, max_nodes: int = 150, title: str = "",
           direction: Direction = "auto", engine: str = "auto", timeout: float = 30.0, scale: float = 2.0,
           marks: Mapping[int, str] | None = None) -> Rendered:
    """Draw a graph into a `.svg`, `.png` or `.dot` file, written in one piece or not at all."""
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(error("unknown-format", f"a picture cannot be written as `{target.name}`",
                              help=f"the name must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"))
    picture = build(graph, outputs, view, values=values, focus=focus, depth=depth, fold=fold, max_nodes=max_nodes, title=title,
                    direction=direction, marks=marks)
    if suffix == ".dot":
        write_atomically(target, to_dot(picture).encode("utf-8"))
        return Rendered(target, "none", picture.notes)
    placed = layout(picture, engine, timeout)
    drawn = draw(picture, placed)
    write_atomically(target, svg_to_png(drawn, scale) if suffix == ".png" else drawn.encode("utf-8"))
    return Rendered(target, placed.engine, (*picture.notes, *placed.notes))


def svg(graph: Graph, outputs: Outputs = None, view: str = "forward", *, values: Mapping[int, object] | None = None, engine: str = "auto",
        title: str = "", max_nodes: int = 150) -> str:
    """The SVG text of a graph, for notebooks."""
    picture = build(graph, outputs, view, values=values, title=title, max_nodes=max_nodes)
    return draw(picture, layout(picture, engine))


def build(graph: Graph, outputs: Outputs = None, view: str = "forward", *, values: Mapping[int, object] | None = None, focus: str | None = None,
          depth: int = 2, fold: bool = True, max_nodes: int = 150, title: str = "", direction: Direction = "auto",
          marks: Mapping[int, str] | None = None) -> Picture:
    """The picture of a graph. `values` gives arrays (or texts) by value index, to be shown in the boxes, `marks` a line about a value: where a plan keeps it, say."""
    if view not in VIEWS:
        raise UserError(error("unknown-view", f"there is no view `{view}`", help=f"one of {', '.join(VIEWS)}"))
    scene = Scene.of(graph, _roots(graph, outputs, view))
    shown = _shown(scene, view)
    notes: list[str] = []
    if view == "both" and not scene.derived:
        notes.append("this graph has no backward pass of its own")
    if focus is not None:
        near = _around(scene, shown, focus, depth)
        notes.append(f"{len(near)} of {len(shown)} values, at most {depth} {'arrow' if depth == 1 else 'arrows'} from {focus}")
        shown = near
    folding = fold_values(scene, shown, fold, max(8, max_nodes))
    picture = _Maker(scene, folding, view, values or {}, marks or {}).picture(title, direction)
    boxes = sum(1 for box, m in folding.members().items() if len(m) > 1 and box not in folding.expressions)
    if boxes:
        hidden = sum(len(m) for box, m in folding.members().items() if len(m) > 1 and box not in folding.expressions)
        notes.append(f"{hidden} of {len(shown)} values are folded into {boxes} {'box' if boxes == 1 else 'boxes'}")
    return Picture(picture.nodes, picture.edges, picture.groups, picture.legend, picture.title, picture.direction, tuple(notes))


def _roots(graph: Graph, outputs: Outputs, view: str) -> dict[str, Value]:
    """What is drawn with all that it is computed from: the outputs, and, since training has its gradients there, the updates with the backward pass."""
    if outputs is None:
        updates = {f"new {name}": v for name, v in graph.roots.updates.items()}
        roots = {**graph.roots.outputs, **updates} if view != "forward" else dict(graph.roots.outputs) or updates
    elif isinstance(outputs, Mapping):
        roots = dict(outputs)
    else:
        roots = {graph.label(v) or f"output {k + 1}": v for k, v in enumerate(outputs)}
    if not roots:
        raise UserError(error("nothing-to-draw", "the program has no output to draw", help="add a line such as `output y`"))
    return roots


def _shown(scene: Scene, view: str) -> list[int]:
    """The indices of the values that a view draws."""
    visible = [v.index for v in scene.visible()]
    if view == "forward":
        return [i for i in visible if i not in scene.backward]
    if view == "both":
        return visible
    if not scene.derived:
        raise UserError(error("no-gradient", "there is no gradient in this graph, so no backward pass to draw",
                              help="add a line such as `output dl_dw = grad(l, w)`"))
    wanted = {i for i in visible if i in scene.backward}
    read = {s for i in wanted for s, _ in scene.sources[i]}
    for i in read - wanted:  # where kept values come from is not shown here
        scene.sources[i] = []
    return [i for i in visible if i in wanted or i in read]


def _around(scene: Scene, shown: list[int], name: str, depth: int) -> list[int]:
    """The values at most `depth` arrows from the one called `name`, in either direction."""
    bound = scene.graph.names.get(name, scene.roots.get(name))
    if bound is None:
        bound = next((v for v in scene.live if name in (scene.label(v), scene.graph.hints.get(v.index))), None)
    inside = set(shown)
    center = scene.source_of(bound)[0].index if bound is not None else -1
    if center not in inside:
        known = sorted({scene.label(scene.graph.values[i]) for i in shown} - {""})
        close = get_close_matches(name, known, 3)
        raise UserError(error("unknown-name", f"no value of this picture is called `{name}`",
                              help=f"did you mean {' or '.join(f'`{c}`' for c in close)}?" if close else None))
    near: dict[int, list[int]] = {i: [] for i in shown}
    for i in shown:
        for source, _ in scene.sources[i]:
            if source in inside:
                near[i].append(source)
                near[source].append(i)
    found = {center}
    edge = [center]
    for _ in range(max(0, depth)):
        edge = [j for i in edge for j in near[i] if j not in found]
        found.update(edge)
    return [i for i in shown if i in found]


class _Maker:
    """Turns boxes of values into nodes, and what flows between them into edges."""

    def __init__(self, scene: Scene, folding: Folding, view: str, values: Mapping[int, object], marks: Mapping[int, str]) -> None:
        self.marks = marks
        self.scene = scene
        self.folding = folding
        self.values = values
        self.members = folding.members()
        self.two = view == "both"
        self.titles = scene.cotangents()

    def picture(self, title: str, direction: Direction) -> Picture:
        order = self._order()
        nodes = tuple(self._node(box) for box in order)
        edges = self._edges()
        groups = tuple(
            Group(f"{name} ({len(items)} values)", tuple(f"v{b}" for b in sorted({self.folding.box[i] for i in items})), len(items))
            for name, items in self.folding.frames.items()
        )
        return Picture(nodes, edges, groups, default_legend(nodes, edges), title, direction)

    def _order(self) -> list[int]:
        import networkx as nx

        quotient = nx.DiGraph()
        quotient.add_nodes_from(self.members)
        box = self.folding.box
        for i, b in box.items():
            for source, _ in self.scene.sources[i]:
                if source in box and box[source] != b:
                    quotient.add_edge(box[source], b)
        return list(nx.lexicographical_topological_sort(quotient, key=lambda b: self.members[b][0]))

    def _edges(self) -> tuple[Edge, ...]:
        box, scene = self.folding.box, self.scene
        found: dict[tuple[int, int], set[str]] = {}
        flows: Counter[tuple[int, int]] = Counter()
        for i, b in box.items():
            for source, said in scene.sources[i]:
                if source in box and box[source] != b:
                    found.setdefault((box[source], b), set()).add(self._told(said, box[source], b))
                    flows[box[source], b] += 1
        edges: list[Edge] = []
        for (a, b), ways in found.items():
            label = next(iter(ways)) if len(ways) == 1 else (f"{flows[a, b]} values" if flows[a, b] > 2 else " and ".join(sorted(ways - {""})))
            back = (a in scene.backward, b in scene.backward)
            edges.append(Edge(f"v{a}", f"v{b}", label, "gradient" if all(back) else ("uses" if back[1] else "data")))
        return tuple(edges)

    def _told(self, said: str, *ends: int) -> str:
        """What an arrow says: at a box of many values, which of them stretches or takes which result is inside of the box."""
        if any(len(self.members[end]) > 1 and end not in self.folding.expressions for end in ends):
            return "\n".join(line for line in said.split("\n") if not line.startswith(("to [", "result ")))
        return said

    def _node(self, box: int) -> Node:
        members = self.members[box]
        scene = self.scene
        v = scene.graph.values[box]
        column: Column = "backward" if self.two and box in scene.backward else "forward"
        partner = scene.partners.get(box)
        if partner is not None and partner not in self.folding.box:
            partner = None
        beside = f"v{self.folding.box[partner]}" if partner is not None and column == "backward" else None
        kept = any(i in scene.kept for i in members)
        output = any(i in scene.outputs for i in members)
        role: Role
        if len(members) > 1 and box not in self.folding.expressions:
            role = "gradient" if box in scene.derived else self._common_role(members)
            return Node(f"v{box}", self._fold_lines(box, members), role, column, None, beside, "", kept, output, True, self._fold_tooltip(members))
        if box in scene.derived and not words.bodies(v):
            lines, role = self._gradient_lines(v, set(members)), "gradient"
        elif output and box in scene.backward and not words.bodies(v):
            lines, role = self._gradient_lines(v, set(members)), "output"
        elif v.op.name in ("input", "param", "state"):
            lines, role = (Line(scene.label(v)), Line(str(v.type), "type")), v.op.name
        elif v.op.name == "constant":
            lines, role = self._constant_lines(v), "const"
        else:
            lines, role = self._op_lines(v), ("output" if output else ("fold" if words.bodies(v) else "op"))
            role = "gradient" if box in scene.derived else role
        if other := [name for name, root in scene.roots.items() if root is v and name != scene.label(v)]:
            lines = (*lines, Line("also " + ", ".join(other), "name"))
        if mark := self.marks.get(box):
            lines = (*lines, Line(mark, "note"))
        value = self.values.get(box)
        return Node(f"v{box}", lines, role, column, None, beside, "" if value is None else words.summary(value), kept, output,
                    bool(words.bodies(v)), self._tooltip(v, set(members)))

    def _common_role(self, members: list[int]) -> Role:
        """The role of folded leaves, if they have one role."""
        ops = {self.scene.graph.values[i].op.name for i in members}
        known: dict[str, Role] = {"input": "input", "param": "param", "state": "state", "constant": "const"}
        return known.get(ops.pop(), "fold") if len(ops) == 1 else "fold"

    def _op_lines(self, v: Value) -> tuple[Line, ...]:
        name = self.scene.label(v)
        typed = Line(f"{name} : {v.type}", "name") if name else Line(str(v.type), "type")
        title = f"→ {v.dtype}" if v.op.name == "cast" else words.title(v)
        return (Line(title), typed, *(Line(note, "note") for note in words.notes(v)))

    def _constant_lines(self, v: Value) -> tuple[Line, ...]:
        name = self.scene.label(v)
        array = v.attrs[0].array
        shown = words.literal(v) or words.summary(array)
        return (Line(name or shown), Line(str(v.type), "type"), *([Line(shown, "note")] if name else []))

    def _gradient_lines(self, v: Value, inside: set[int]) -> tuple[Line, ...]:
        written = words.expression(v, self._whole(inside), self._refer)
        name = self.scene.label(v) or self.titles.get(v.index, "")
        if not name:
            return (Line(written), Line(str(v.type), "type"))
        return (Line(name), *([Line(written, "name")] if written != name else []), Line(str(v.type), "type"))

    def _whole(self, inside: set[int]) -> set[int]:
        """The members of an expression and the hidden values between them."""
        whole = set(inside)
        for i in inside:
            stack = list(self.scene.graph.values[i].operands)
            while stack:
                o = stack.pop()
                if o.index in self.scene.hidden and o.op.name != "part" and o.index not in whole:
                    whole.add(o.index)
                    stack += o.operands
        return whole

    def _refer(self, v: Value) -> str:
        """How an operand is called inside an expression: its name, a short expression of named values, or a sign for what the arrow brings."""
        source, _ = self.scene.source_of(v)
        name = self.scene.label(source) or self.titles.get(source.index, "")
        if name:
            return name
        if source.index in self.scene.backward:
            return "∂"
        if source.op.name == "constant":
            return words.summary(source.attrs[0].array)
        operands = [self.scene.source_of(o)[0] for o in source.operands]
        if operands and all(self.scene.label(o) or words.literal(o) for o in operands) and not words.bodies(source):
            plain = words.expression(source, {source.index}, lambda o: self.scene.label(self.scene.source_of(o)[0]), 24)
            return f"({plain})" if " " in plain and not plain.endswith(")") else plain
        return f"{source.op.name if words.bodies(source) else words.symbol(source)}(…)"

    def _fold_lines(self, box: int, members: list[int]) -> tuple[Line, ...]:
        """Title, how many values, the user's names and the commonest ops."""
        values = [self.scene.graph.values[i] for i in members]
        names = [self.scene.label(v) for v in values if self.scene.label(v)]
        outputs = [self.scene.label(v) for v in values if v.index in self.scene.outputs]
        kinds = Counter(v.op.name for v in values)
        one = kinds.most_common(1)[0][0] if len(kinds) == 1 else ""
        title = self.folding.titles.get(box, "")
        listed = _listed(outputs or names)
        if not title:
            title = listed or ("gradients" if box in self.scene.derived else "operations")
            listed = ""
        what = {"input": "inputs", "param": "parameters", "state": "states", "constant": "constants"}.get(one, "values")
        out = [Line(title), Line(f"{len(members)} {what}", "name")]
        if listed and listed != title:
            out.append(Line(listed, "note"))
        if not one or what == "values":
            common = Counter(words.symbol(v) for v in values).most_common(3)
            out.append(Line(", ".join(f"{sign} ({count})" if count > 1 else sign for sign, count in common), "note"))
        return tuple(out)

    def _fold_tooltip(self, members: list[int]) -> str:
        values = [self.scene.graph.values[i] for i in members]
        lines = [f"{self.scene.label(v) or '·'} = {words.symbol(v)} : {v.type}" for v in values[:30]]
        return "; ".join(lines) + (f"; and {len(members) - 30} more" if len(members) > 30 else "")

    def _tooltip(self, v: Value, inside: set[int]) -> str:
        graph = self.scene.graph
        written = words.expression(v, self._whole(inside), self._refer, 400) if v.operands else v.op.name
        parts = [f"{self.scene.label(v) or self.titles.get(v.index, '') or f'v{v.index}'} = {written} : {v.type}"]
        if v.index in graph.origins:
            parts.append(f"made by {graph.origins[v.index].rule}")
        if v.index in graph.calls:
            parts.append(f"in the call {graph.calls[v.index]}")
        if v.index in graph.spans:
            parts.append(f"at {graph.spans[v.index]!r}")
        return ", ".join(parts)


def _listed(names: Sequence[str]) -> str:
    """`h1`, `a, b`, or `h1 … h40`."""
    if len(names) <= 3:
        return ", ".join(names)
    return f"{names[0]} … {names[-1]}"
