"""A layered layout of our own: the floor under every other engine, and the fast one for thousands of boxes.

Ranks are longest paths (`picture.ranks`), each gradient on its partner's rank in a second column; the order in a rank comes from barycentre
sweeps over boxes and the dummies of long arrows; places across a rank come from pulling each box to the middle of its neighbours and
pooling those that would overlap (isotonic regression), so no two boxes ever overlap. Work is proportional to boxes and arrows: 10,000 take
well under a second. Nothing recurses.

Inside, `u` runs along the ranks and `v` across them; the end turns that into x and y.

>>> layout(Picture((Node("a", (Line("a"),)), Node("b", (Line("b"),))), (Edge("a", "b"),))).engine
'layered'
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from dfg.viz.layout import Curve, Layout, Point
from dfg.viz.picture import LONGEST, Edge, Line, Node, Picture, label_size, ranks, size_of

GAP_V, GAP_U, COLUMN_GAP = 22.0, 40.0, 46.0
SWEEPS = 8

__all__ = ["Edge", "Line", "Node", "Picture", "layout"]


@dataclass(slots=True)
class _Net:
    """Boxes and dummies of one column: rank, size across, neighbours on the rank before and after."""

    rank: list[int] = field(default_factory=list)
    extent: list[float] = field(default_factory=list)
    before: list[list[int]] = field(default_factory=list)
    after: list[list[int]] = field(default_factory=list)

    def add(self, rank: int, extent: float) -> int:
        self.rank.append(rank)
        self.extent.append(extent)
        self.before.append([])
        self.after.append([])
        return len(self.rank) - 1

    def link(self, low: int, high: int) -> None:
        self.after[low].append(high)
        self.before[high].append(low)


def layout(picture: Picture, notes: tuple[str, ...] = ()) -> Layout:
    """Place every box and arrow of a picture."""
    if not picture.nodes:
        return Layout("layered", 0.0, 0.0, {}, (None,) * len(picture.edges), notes)
    down = picture.down
    sizes = {node.id: size_of(node) for node in picture.nodes}
    along = {name: (h if down else w) for name, (w, h) in sizes.items()}
    across = {name: (w if down else h) for name, (w, h) in sizes.items()}
    rank = ranks(picture)
    both = {node.column for node in picture.nodes} == {"forward", "backward"}
    column = {node.id: (1 if both and node.column == "backward" else 0) for node in picture.nodes}
    nets = (_Net(), _Net())
    index = {node.id: nets[column[node.id]].add(rank[node.id], across[node.id]) for node in picture.nodes}
    chains: dict[int, list[int]] = {}
    for k, edge in enumerate(picture.edges):
        if column[edge.source] == column[edge.target]:
            chain = _chain(nets[column[edge.source]], index[edge.source], index[edge.target])
            if chain:
                chains[k] = chain
    places: list[list[float]] = []
    offset = 0.0
    for net in nets:
        place = _across(net) if net.rank else []
        if place:
            low = min(p - e / 2 for p, e in zip(place, net.extent, strict=True))
            high = max(p + e / 2 for p, e in zip(place, net.extent, strict=True))
            place = [p - low + offset for p in place]
            offset += high - low + COLUMN_GAP
        places.append(place)
    starts, extents = _along(picture, rank, along, down)
    centres = {
        node.id: (starts[rank[node.id]] + extents[rank[node.id]] / 2, places[column[node.id]][index[node.id]]) for node in picture.nodes
    }
    lanes = _lanes(rank, column, centres, across, starts, extents)
    curves: list[Curve | None] = []
    for k, edge in enumerate(picture.edges):
        place = places[column[edge.source]]
        if column[edge.source] != column[edge.target]:
            curves.append(_crossing(edge, centres, along, across, rank, lanes))
            continue
        of = nets[column[edge.source]].rank
        through = [(starts[of[d]], extents[of[d]], place[d]) for d in chains.get(k, ())]
        curves.append(_curve(edge, centres, along, across, rank, through))
    width = max(starts[r] + extents[r] for r in starts)
    height = max(offset - COLUMN_GAP, 0.0)
    if down:
        turned = {name: (v, u) for name, (u, v) in centres.items()}
        return Layout("layered", height, width, turned, tuple(_turned(curve) for curve in curves), notes)
    return Layout("layered", width, height, centres, tuple(curves), notes)


def _turned(curve: Curve | None) -> Curve | None:
    if curve is None:
        return None
    return Curve(tuple((v, u) for u, v in curve.points), (curve.label[1], curve.label[0]) if curve.label else None)


def _chain(net: _Net, source: int, target: int) -> list[int]:
    """Link two boxes of a column, through a dummy on each rank between; the dummies, from the source on."""
    low, high = (source, target) if net.rank[source] <= net.rank[target] else (target, source)
    span = net.rank[high] - net.rank[low]
    if span == 0 or span > LONGEST:
        return []
    dummies = [net.add(net.rank[low] + k, 6.0) for k in range(1, span)]
    stops = [low, *dummies, high]
    for a, b in pairwise(stops):
        net.link(a, b)
    return dummies if low == source else dummies[::-1]


def _across(net: _Net) -> list[float]:
    """The place across its rank of each box and dummy of a column."""
    top = max(net.rank)
    rows: list[list[int]] = [[] for _ in range(top + 1)]
    for k, r in enumerate(net.rank):
        rows[r].append(k)
    order = [0.0] * len(net.rank)
    for row in rows:
        for k, item in enumerate(row):
            order[item] = float(k)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        near = net.before if forward else net.after
        for row in rows if forward else rows[::-1]:
            if len(row) < 2:
                continue
            row.sort(key=lambda item: (_mean(order, near[item]) if near[item] else order[item]))
            for k, item in enumerate(row):
                order[item] = float(k)
    place = [0.0] * len(net.rank)
    for row in rows:
        at = 0.0
        for item in row:
            place[item] = at + net.extent[item] / 2
            at += net.extent[item] + GAP_V
        shift = (at - GAP_V) / 2
        for item in row:
            place[item] -= shift
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for row in rows if forward else rows[::-1]:
            if row:
                wanted = [_pull(place, net, i) for i in row]
                for item, value in zip(row, _apart(wanted, [net.extent[i] for i in row]), strict=True):
                    place[item] = value
    return place


def _pull(place: list[float], net: _Net, item: int) -> float:
    """Where its neighbours want a box: loose ends (an input with one reader) hardly count, so that the main line stays straight."""
    total = weights = 0.0
    for near in (net.before[item], net.after[item]):
        for k in near:
            weight = 1.0 if net.before[k] and net.after[k] else 0.05
            total += weight * place[k]
            weights += weight
    return total / weights if weights else place[item]


def _mean(values: list[float], which: list[int]) -> float:
    return sum(values[k] for k in which) / len(which)


def _apart(wanted: list[float], extents: list[float]) -> list[float]:
    """The places nearest to the wanted ones (least squares) that keep the order and the gaps: pooled adjacent violators."""
    gaps = [0.0]
    for a, b in pairwise(extents):
        gaps.append(gaps[-1] + (a + b) / 2 + GAP_V)
    pools: list[tuple[float, int]] = []
    for value, gap in zip(wanted, gaps, strict=True):
        mean, count = value - gap, 1
        while pools and pools[-1][0] > mean:
            other, many = pools.pop()
            mean, count = (mean * count + other * many) / (count + many), count + many
        pools.append((mean, count))
    flat = np.repeat([mean for mean, _ in pools], [count for _, count in pools])
    return [float(x) for x in flat + np.asarray(gaps)]


def _along(picture: Picture, rank: dict[str, int], along: dict[str, float], down: bool) -> tuple[dict[int, float], dict[int, float]]:
    """Start and extent of each rank; the gap before a rank has room for the labels of the arrows that enter it."""
    extents = dict.fromkeys(range(max(rank.values()) + 1), 0.0)
    for name, r in rank.items():
        extents[r] = max(extents[r], along[name])
    room = dict.fromkeys(extents, GAP_U)
    for edge in picture.edges:
        low, high = sorted((rank[edge.source], rank[edge.target]))
        if edge.label and high > low:
            width, height = label_size(edge.label)
            room[high] = max(room[high], (height if down else width) + 22.0)
    starts: dict[int, float] = {}
    at = 0.0
    for r in sorted(extents):
        at += room[r] if r else 0.0
        starts[r] = at
        at += extents[r]
    return starts, extents


def _curve(edge: Edge, centres: dict[str, Point], along: dict[str, float], across: dict[str, float], rank: dict[str, int],
           through: list[tuple[float, float, float]]) -> Curve:
    """The arrow as smooth pieces: side to side along the ranks, or within a rank from the facing edges."""
    (su, sv), (tu, tv) = centres[edge.source], centres[edge.target]
    if edge.source == edge.target:
        u, v, w, h = su, sv, along[edge.source] / 2, across[edge.source] / 2
        return Curve(((u - w / 3, v - h), (u - w / 2, v - h - 26), (u + w / 2, v - h - 26), (u + w / 3, v - h)), (u, v - h - 26))
    if rank[edge.source] == rank[edge.target]:
        sign = 1.0 if tv > sv else -1.0
        start = (su, sv + sign * across[edge.source] / 2)
        end = (tu, tv - sign * across[edge.target] / 2)
        middle = (start[1] + end[1]) / 2
        return Curve((start, (start[0], middle), (end[0], middle), end))
    sign = 1.0 if tu > su else -1.0
    points = [(su + sign * along[edge.source] / 2, sv)]
    for begin, extent, v in through:
        near, far = (begin, begin + extent) if sign > 0 else (begin + extent, begin)
        points += [(near, v), (far, v)]
    points.append((tu - sign * along[edge.target] / 2, tv))
    return _bend(points)


@dataclass(frozen=True, slots=True)
class _Lanes:
    """The free ways for arrows between the columns: `middle` runs between the columns, `before[r]` between rank r - 1 and rank r."""

    middle: float
    before: dict[int, float]
    facing: frozenset[str]
    """The boxes that no other box of their rank and column hides from the other column."""


def _lanes(rank: dict[str, int], column: dict[str, int], centres: dict[str, Point], across: dict[str, float],
           starts: dict[int, float], extents: dict[int, float]) -> _Lanes:
    nearest: dict[tuple[int, int], str] = {}
    edge_of = [float("-inf"), float("inf")]
    for name, (_, v) in centres.items():
        key = (column[name], rank[name])
        if column[name] == 0:
            edge_of[0] = max(edge_of[0], v + across[name] / 2)
            better = key not in nearest or v > centres[nearest[key]][1]
        else:
            edge_of[1] = min(edge_of[1], v - across[name] / 2)
            better = key not in nearest or v < centres[nearest[key]][1]
        if better:
            nearest[key] = name
    before = {r: (starts[r] + (starts[r - 1] + extents[r - 1] if r else starts[r] - GAP_U)) / 2 for r in starts}
    before[len(starts)] = starts[len(starts) - 1] + extents[len(starts) - 1] + GAP_U / 2
    return _Lanes((edge_of[0] + edge_of[1]) / 2, before, frozenset(nearest.values()))


def _crossing(edge: Edge, centres: dict[str, Point], along: dict[str, float], across: dict[str, float], rank: dict[str, int],
              lanes: _Lanes) -> Curve:
    """An arrow between the columns; a box hidden behind another is left, or entered, through the gap beside its rank."""
    (su, sv), (tu, tv) = centres[edge.source], centres[edge.target]
    sign = 1.0 if tv > sv else -1.0
    middle = lanes.middle
    ahead = rank[edge.target] > rank[edge.source]
    points: list[Point] = []
    if edge.source in lanes.facing:
        points = [(su, sv + sign * across[edge.source] / 2), (su, middle)]
        at = su
    else:
        at = lanes.before[rank[edge.source] + (1 if ahead else 0)]
        points = [(su + (1 if ahead else -1) * along[edge.source] / 2, sv), (at, sv), (at, sv), (at, sv + sign * across[edge.source] / 2)]
        edge_v = sv + sign * across[edge.source] / 2
        points += [(at, edge_v), (at, middle - sign * 12), (at, middle - sign * 12), (at, middle)]
    if edge.target in lanes.facing:
        return Curve((*points, (tu, middle), (tu, tv - sign * across[edge.target] / 2)))
    gap = lanes.before[rank[edge.target] + (0 if ahead else 1)]
    edge_v = tv - sign * across[edge.target] / 2
    side = tu + (-1 if ahead else 1) * along[edge.target] / 2
    return Curve((*points, (gap, middle), (gap, middle + sign * 12), *[(gap, edge_v)] * 3, (gap, tv), (gap, tv), (side, tv)))


def _bend(points: list[Point]) -> Curve:
    """A smooth curve through points, tangent along the ranks at each."""
    out = [points[0]]
    for a, b in pairwise(points):
        half = (a[0] + b[0]) / 2
        out += [(half, a[1]), (half, b[1]), b]
    return Curve(tuple(out), ((points[0][0] + points[1][0]) / 2, (points[0][1] + points[1][1]) / 2))
