"""Folding: which values share a box, so that a graph of thousands is a picture of at most `max_nodes` boxes.

A `Folding` maps each visible value to the representative of its box. Three folds, each only where it is wanted: small gradient expressions
made by one rule (one box, as on a blackboard); calls of functions, at the depth that says something; and, above the limit, bands of
levels with their connected parts, the gradients folded as their partners are. Boxes that would form a cycle are merged (condensation), so
the folded picture is a DAG again.

>>> fold(scene, [v.index for v in scene.visible()], calls=True, most=150).box[l.index] == l.index
True
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from dfg.viz import words
from dfg.viz.scene import LEAVES, Scene

READABLE = 14
"""A large graph becomes about so many forward boxes: what one sees at a glance, whatever the limit would allow."""
MIRROR = 8
"""With more gradient boxes than this each forward box gets one gradient box beside it: the second column mirrors the first."""
RECORD = 4
"""So many leaves of one record that the same boxes read become one box."""
MERGE = 4
"""So many values at most become one gradient expression."""


@dataclass(slots=True)
class Folding:
    """The box of each visible value (by the index of a representative), what a folded box is called, and what kind it is."""

    box: dict[int, int]
    titles: dict[int, str] = field(default_factory=dict)
    expressions: set[int] = field(default_factory=set)
    """Boxes that hold one gradient expression; the representative is its root."""
    frames: dict[str, list[int]] = field(default_factory=dict)
    """Calls that were not folded: their values are framed."""

    def members(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for index, box in self.box.items():
            found.setdefault(box, []).append(index)
        return found

    def join(self, members: Iterable[int], title: str) -> None:
        """Put all boxes of `members` into one."""
        boxes = {self.box[m] for m in members}
        if len(boxes) < 2:
            return
        head = min(boxes)
        for index, box in self.box.items():
            if box in boxes:
                self.box[index] = head
        self._retitle(boxes, head, title)

    def join_all(self, keys: dict[int, Hashable], titles: dict[Hashable, str]) -> None:
        """Join the boxes that have equal keys, in one pass."""
        groups: dict[Hashable, list[int]] = defaultdict(list)
        for index, key in keys.items():
            groups[key].append(self.box[index])
        moved: dict[int, int] = {}
        for key, boxes in groups.items():
            distinct = set(boxes)
            if len(distinct) > 1:
                head = min(distinct)
                moved.update(dict.fromkeys(distinct, head))
                self._retitle(distinct, head, titles.get(key, ""))
        for index, box in self.box.items():
            self.box[index] = moved.get(box, box)

    def _retitle(self, boxes: set[int], head: int, title: str) -> None:
        known = {self.titles.pop(b) for b in boxes if b in self.titles} - {""}
        self.titles[head] = title or (known.pop() if len(known) == 1 else "")
        self.expressions -= boxes


def fold(scene: Scene, shown: list[int], calls: bool, most: int) -> Folding:
    """Fold the visible values `shown` (indices in order)."""
    folding = Folding({i: i for i in shown})
    _expressions(scene, folding)
    if calls:
        _calls(scene, folding, most)
        _records(scene, folding)
        _mirror(scene, folding)
    else:
        for i in shown:
            path = scene.graph.calls.get(i, "")
            if path and i not in scene.backward:
                folding.frames.setdefault(path.split(".")[0], []).append(i)
    if len(set(folding.box.values())) > most:
        folding.frames.clear()
        _bands(scene, folding, most)
    _condense(scene, folding)
    return folding


def _expressions(scene: Scene, folding: Folding) -> None:
    """Values of one rule with a single reader in that rule become one expression, up to `MERGE` values; so does what only the rule of a
    broadcast or cast reads (`sum(∂l/∂u · x)` is one step to a reader of pictures, who sees no broadcast)."""
    origins = scene.graph.origins
    readers: dict[int, set[int]] = defaultdict(set)
    for i in folding.box:
        for source, _ in scene.sources[i]:
            readers[source].add(i)
    sizes: Counter[int] = Counter(folding.box.values())
    for i in sorted(folding.box, reverse=True):
        if i not in scene.backward or i in scene.outputs or scene.names.get(i) or len(readers[i]) != 1 or words.bodies(scene.graph.values[i]):
            continue
        (reader,) = readers[i]
        root = folding.box[reader]
        if i not in scene.derived:  # a step towards a new value
            if reader in scene.outputs and reader not in scene.derived and not scene.graph.calls.get(i) and sizes[root] < MERGE:
                folding.box[i] = root
                sizes[root] += sizes.pop(i, 1)
                folding.expressions.add(root)
            continue
        if reader not in scene.derived or sizes[root] >= MERGE:
            continue
        if scene.partners.get(reader) != scene.partners.get(i) and origins[reader].primal not in scene.hidden:
            continue
        folding.box[i] = root
        sizes[root] += sizes.pop(i, 1)
        folding.expressions.add(root)


def _calls(scene: Scene, folding: Folding, most: int) -> None:
    """Fold calls at the least depth at which at least three boxes of ops are left (a program that is one call is not one box)."""
    paths = {i: scene.graph.calls.get(scene.partners.get(i, i), "").split(".") for i in folding.box}
    paths = {i: path for i, path in paths.items() if path != [""] and scene.graph.values[i].op.name not in LEAVES}
    if not paths:
        return
    plain = {folding.box[i] for i in folding.box if i not in paths and scene.graph.values[i].op.name not in LEAVES and i not in scene.backward}
    deepest = max(len(path) for path in paths.values())
    for depth in range(1, deepest + 1):
        keys: dict[int, Hashable] = {}
        for i, path in paths.items():
            if depth <= len(path):
                keys[i] = (i in scene.backward, *path[:depth])
        forward = {key for key in keys.values() if isinstance(key, tuple) and not key[0]}
        rest = {folding.box[i] for i in paths if i not in keys and i not in scene.backward}
        if len(plain) + len(forward) + len(rest) >= 3 or (depth == deepest and len(folding.box) > most):
            titles: dict[Hashable, str] = {}
            for key in set(keys.values()):
                if isinstance(key, tuple):
                    # a function called on gradients, an optimiser say, is no gradient of that function
                    of = "gradient of " if key[0] and any(i in scene.derived for i, found in keys.items() if found == key) else ""
                    titles[key] = of + ".".join(str(part) for part in key[1:])
            folding.join_all(keys, titles)
            return


def _mirror(scene: Scene, folding: Folding) -> None:
    """Where the gradients are many, those beside one forward box become one box."""
    if len({box for i, box in folding.box.items() if i in scene.backward}) <= MIRROR:
        return
    keys: dict[int, Hashable] = {}
    titles: dict[Hashable, str] = {}
    for i in sorted(folding.box, reverse=True):  # the root of an expression decides for it
        partner = scene.partners.get(i)
        if partner is None or partner not in folding.box or scene.graph.values[partner].op.name in LEAVES:
            continue
        if i in scene.derived and i not in scene.outputs and folding.box[i] not in folding.titles:
            keys[folding.box[i]] = keys.get(folding.box[i], folding.box[partner])
    for box in set(keys.values()):
        if isinstance(box, int):
            v = scene.graph.values[box]
            titles[box] = f"gradient of {folding.titles.get(box) or scene.label(v) or words.symbol(v)}"
    folding.join_all(keys, titles)


def _records(scene: Scene, folding: Folding) -> None:
    """Parameters and states of one record that the same boxes read become one box with the record's name, and so do their gradients and new values."""
    readers: dict[int, set[int]] = defaultdict(set)
    for i, box in folding.box.items():
        for source, _ in scene.sources[i]:
            if i not in scene.backward:
                readers[source].add(box)
    groups: dict[tuple[str, str, frozenset[int]], list[int]] = defaultdict(list)
    for i in folding.box:
        v = scene.graph.values[i]
        record, dot, _ = scene.label(v).partition(".")
        if dot and v.op.name in ("param", "state"):
            groups[v.op.name, record, frozenset(readers[i])].append(i)
    for (_, record, _), members in groups.items():
        if len(members) >= RECORD:
            inside = set(members)
            beside = [i for i in folding.box if i in scene.derived and scene.partners.get(i) in inside]
            folding.join(members, record)
            if len(beside) > 1:
                folding.join(beside, f"gradients of {record}")
    read = {folding.box[s] for i, box in folding.box.items() for s, _ in scene.sources[i] if s in folding.box and folding.box[s] != box}
    named: dict[str, list[int]] = defaultdict(list)
    for name, v in scene.roots.items():
        record, dot, _ = name.partition(".")
        at = folding.box.get(v.index)
        if dot and at is not None and at not in folding.titles and at not in read and v.op.name not in LEAVES:
            named[record].append(v.index)
    for record, members in named.items():
        if len({folding.box[i] for i in members}) >= RECORD:
            folding.join(members, record)


def _bands(scene: Scene, folding: Folding, most: int) -> None:
    """Fold ops into bands of levels, each connected part of a band one box; leaves by role and by the box that reads them first; gradients as
    their partners, those of a leaf as the box that reads it, so that the two columns stay side by side."""
    values = scene.graph.values
    leaves = {i for i in folding.box if values[i].op.name in LEAVES or not any(source in folding.box for source, _ in scene.sources[i])}
    leaves = {i for i in leaves if i not in scene.backward}
    forward = [i for i in folding.box if i not in leaves and i not in scene.backward]
    partnered = {i: p for i in folding.box if (p := scene.partners.get(i)) is not None and p in folding.box and i not in leaves}
    loose = [i for i in folding.box if i in scene.backward and i not in partnered and i not in leaves]
    share = max(2, min(READABLE, most // 4))
    _band(scene, folding, forward, share)
    _band(scene, folding, loose, share)
    reader: dict[int, int] = {}
    for i in folding.box:  # forward values have lower indices than gradients, so a forward reader comes first
        for source, _ in scene.sources[i]:
            if source in leaves:
                reader[source] = min(reader.get(source, i), i)
    beside = {i: folding.box[reader[i]] if i in reader else -1 for i in leaves}
    folding.join_all({i: ("gradient", beside.get(p, folding.box[p])) for i, p in partnered.items()}, {})
    if len(leaves) > share:
        kind = {i: values[i].op.name if values[i].op.name in LEAVES else "value" for i in leaves}
        folding.join_all({i: (kind[i], beside[i]) for i in leaves}, {})
        if len({folding.box[i] for i in leaves}) > 3 * share:
            folding.join_all({i: kind[i] for i in leaves}, {})


def _band(scene: Scene, folding: Folding, items: list[int], most: int) -> None:
    """At most about `most` boxes: the largest number of bands whose connected parts are few enough; within a band the rest joins."""
    if len({folding.box[i] for i in items}) <= most:
        return
    within = set(items)
    level: dict[int, int] = {}
    for i in sorted(items):
        level[i] = max([level[s] + 1 for s, _ in scene.sources[i] if s in within], default=0)
    boxes: dict[int, int] = {}
    for i in items:  # a box folded before stands on the level of its last value
        boxes[folding.box[i]] = max(boxes.get(folding.box[i], 0), level[i])
    order = sorted(items, key=lambda i: (boxes[folding.box[i]], i))
    top = boxes[folding.box[order[-1]]] + 1
    levels = [boxes[folding.box[i]] for i in order]
    whole: dict[int, Hashable] = dict(zip(order, _cut(levels, top, min(most, top)), strict=True))
    best, bands = whole, min(most, top)
    while bands >= 1:
        band = dict(zip(order, _cut(levels, top, bands), strict=True))
        parts = _parts(scene, folding, band, within)
        count = len(set(parts.values()))
        if count <= most:  # independent strands side by side say more than bands, unless only a few boxes would be left
            best = parts if 2 * count >= len(set(whole.values())) else whole
            break
        bands = bands * 2 // 3
    folding.join_all(best, {})


def _cut(levels: list[int], top: int, bands: int) -> list[int]:
    """A band for each of the sorted levels, whole levels each, about equally many values in every band."""
    counts = Counter(levels)
    of: dict[int, int] = {}
    seen = 0
    for level in range(top):
        of[level] = min(bands - 1, seen * bands // max(1, len(levels)))
        seen += counts[level]
    return [of[level] for level in levels]


def _parts(scene: Scene, folding: Folding, band: dict[int, int], within: set[int]) -> dict[int, Hashable]:
    """The connected part of its band that each value is in (union-find)."""
    parent = {i: i for i in band}

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[int, int] = {}
    for i in band:
        other = first.setdefault(folding.box[i], i)
        parent[root(i)] = root(other)
        for source, _ in scene.sources[i]:
            if source in within and band.get(source) == band[i]:
                parent[root(i)] = root(source)
    return {i: root(i) for i in band}


def _condense(scene: Scene, folding: Folding) -> None:
    """Merge boxes that reach each other, until the boxes form a DAG."""
    import networkx as nx

    quotient = nx.DiGraph()
    quotient.add_nodes_from(set(folding.box.values()))
    for i, box in folding.box.items():
        for source, _ in scene.sources[i]:
            if source in folding.box and folding.box[source] != box:
                quotient.add_edge(folding.box[source], box)
    sizes = Counter(folding.box.values())
    for part in nx.strongly_connected_components(quotient):
        if len(part) > 1:
            titled = [box for box in sorted(part) if folding.titles.get(box)]
            folding.join(part, folding.titles[max(titled, key=lambda box: sizes[box])] if titled else "")
