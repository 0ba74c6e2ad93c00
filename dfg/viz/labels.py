"""Where the words on arrows stand: on their own arrow, clear of boxes and of each other.

A layout engine keeps boxes apart, but words on an arrow between two columns, or beside an arrow within one rank, have no room of their own in it. So each
label tries the place that the engine gave, then places along its curve and beside it, and takes the first that touches nothing; where
all touch something it takes the one that hides least. Labels are placed in the order of the arrows: equal pictures give equal places.

Invariant: only `Curve.label` changes; boxes and curves stay as they were placed.

>>> clear(picture, layout(picture)).centres == layout(picture).centres
True
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import hypot

import numpy as np
from numpy.typing import NDArray

from dfg.viz.layout import Curve, Layout, Point
from dfg.viz.picture import Picture, label_size, size_of

PLACES = (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.18, 0.82)
"""Shares of the curve's length at which a label is tried, its middle first."""
AIR = 3.0
"""This much stays free between a label and what is around it."""
CROSSED = 30.0
"""Crossing another arrow counts as hiding so much of a box: less than a word of it."""
MANY = 300
"""With more labels than this nobody looks for crossings, and finding them would take seconds."""
_Boxes = NDArray[np.float64]


def clear(picture: Picture, placed: Layout) -> Layout:
    """The layout with every label at a place of its own."""
    wanted = [k for k, edge in enumerate(picture.edges) if edge.label and placed.curves[k] is not None]
    if not wanted:
        return placed
    taken: _Boxes = np.zeros((len(picture.nodes) + len(wanted), 4))
    for k, node in enumerate(picture.nodes):
        (x, y), (width, height) = placed.centres[node.id], size_of(node)
        taken[k] = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    count = len(picture.nodes)
    curves = list(placed.curves)
    lines = [(k, x, y) for k, curve in enumerate(curves) if curve is not None and len(wanted) <= MANY for x, y in walk(curve, 16)]
    line, points = np.array([k for k, _, _ in lines]), np.array([(x, y) for _, x, y in lines])
    for k in wanted:
        curve = curves[k]
        if curve is None:
            continue
        width, height = label_size(picture.edges[k].label)
        best: Point | None = None
        least = float("inf")
        for place in _places(curve, width, height):
            hidden = _overlap(taken[:count], place, width + 2 * AIR, height + 2 * AIR)
            if hidden < least and len(wanted) <= MANY:
                inside = (np.abs(points - place) < (width / 2 + AIR, height / 2 + AIR)).all(axis=1)
                hidden += CROSSED * len(np.unique(line[inside & (line != k)]))
            if hidden < least:
                best, least = place, hidden
            if hidden == 0:
                break
        if best is not None:
            taken[count] = (best[0] - width / 2, best[1] - height / 2, best[0] + width / 2, best[1] + height / 2)
            count += 1
            curves[k] = replace(curve, label=best)
    return replace(placed, curves=tuple(curves))


def _places(curve: Curve, width: float, height: float) -> list[Point]:
    """The engine's place, then places on the curve, then beside it."""
    way = walk(curve)
    found = [curve.label] if curve.label is not None else []
    on = [along(way, share) for share in PLACES]
    beside = [(x + dx * (width / 2 + 2 * AIR), y + dy * (height / 2 + 2 * AIR)) for x, y in on for dx, dy in ((1, 0), (-1, 0), (0, -1), (0, 1))]
    return [*found, *on, *beside]


def _overlap(boxes: _Boxes, place: Point, width: float, height: float) -> float:
    """The area of the boxes that a label at this place would cover."""
    x, y = place
    across = np.minimum(boxes[:, 2], x + width / 2) - np.maximum(boxes[:, 0], x - width / 2)
    down = np.minimum(boxes[:, 3], y + height / 2) - np.maximum(boxes[:, 1], y - height / 2)
    return float((np.maximum(across, 0.0) * np.maximum(down, 0.0)).sum())


def walk(curve: Curve, steps: int = 8) -> list[Point]:
    """Points along a curve, so many to each piece."""
    way: list[Point] = [curve.points[0]]
    for k in range(0, len(curve.points) - 1, 3):
        p, q, r, s = curve.points[k : k + 4]
        for step in range(1, steps + 1):
            t = step / steps
            a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
            way.append((a * p[0] + b * q[0] + c * r[0] + d * s[0], a * p[1] + b * q[1] + c * r[1] + d * s[1]))
    return way


def along(way: list[Point], share: float) -> Point:
    """The point at a share of the length of a way."""
    steps = [hypot(y[0] - x[0], y[1] - x[1]) for x, y in pairwise(way)]
    left = sum(steps) * share
    for (x, y), length in zip(pairwise(way), steps, strict=True):
        if length >= left > 0:
            return x[0] + (y[0] - x[0]) * left / length, x[1] + (y[1] - x[1]) * left / length
        left -= length
    return way[-1]
