"""Where everything of a picture stands: what a layout engine gives and `dfg.viz.draw` takes.

Points are in the SVG's sense (x to the right, y down), in the same units as the sizes of `dfg.viz.picture`.

>>> Layout("by hand", 100.0, 50.0, {"a": (50.0, 25.0)}, ()).centres["a"]
(50.0, 25.0)
"""

from __future__ import annotations

from dataclasses import dataclass, field

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """An arrow: cubic Bézier points (1 + 3k of them) to the tip, and where its label is centred."""

    points: tuple[Point, ...]
    label: Point | None = None

    def __post_init__(self) -> None:
        if len(self.points) % 3 != 1:
            raise ValueError(f"a Bézier curve has 1 + 3k points, not {len(self.points)}")


@dataclass(frozen=True, slots=True)
class Layout:
    """Centres of boxes by node id, one curve for each edge (in the order of the picture's edges; None where the engine gave none)."""

    engine: str
    width: float
    height: float
    centres: dict[str, Point]
    curves: tuple[Curve | None, ...]
    notes: tuple[str, ...] = field(default=())
    """Which engines failed before this one, and why."""
