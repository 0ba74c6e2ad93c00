"""Line plots: every number at its place, round ticks, gaps, a million runs."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfg.diagnostics import UserError
from dfg.viz.plot import line_plot, ticks, write_plot


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def points(svg: str) -> list[list[tuple[float, float]]]:
    return [[tuple(map(float, p.split())) for p in re.sub("[ML]", ",", d).strip(",").split(",")] for d in re.findall(r'class="curve" d="([^"]*)"', svg)]


def test_numbers_stand_where_the_ticks_say() -> None:
    svg = line_plot({"loss": [4.0, 2.0, 1.0, 3.0]}, "a.dfg")
    assert {"a.dfg", "run", "loss", "1", "2", "3", "4"} <= set(texts(svg))
    (line,) = points(svg)
    xs, ys = [p[0] for p in line], [p[1] for p in line]
    assert np.allclose(np.diff(xs), xs[1] - xs[0], atol=0.02)
    heights = {float(t): float(y) for y, t in re.findall(r'y="([\d.]+)" font-size="14" text-anchor="end"[^>]*>([\d.]+)<', svg)}
    slope = (heights[4.0] - heights[1.0]) / 3
    for value, y in zip([4.0, 2.0, 1.0, 3.0], ys, strict=True):
        tick = heights[1.0] + slope * (value - 1.0) - 14 * 0.35
        assert y == pytest.approx(tick, abs=0.05)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=30), st.booleans())
def test_any_numbers_make_a_picture(values: list[float], two: bool) -> None:
    svg = line_plot({"a": values, **({"b<&>": values[::-1]} if two else {})}, "<t>")
    ET.fromstring(svg)
    assert "nan" not in svg.replace("are not finite", "") and "inf" not in svg.replace("finite", "")
    for line in points(svg):
        for x, y in line:
            assert 0 <= x <= 820 and 0 <= y <= 480
    bad = sum(not math.isfinite(v) for v in values)
    assert (f"{bad} of {len(values)} values of a are not finite" in svg) == (bad > 0)


@given(st.floats(-1e9, 1e9), st.floats(1e-9, 1e9))
def test_ticks_are_round_few_and_cover_the_range(low: float, span: float) -> None:
    high = low + span
    found, words = ticks(low, high)
    assert 2 <= len(found) <= 21
    assert len(set(words)) == len(words)
    if high > low and len(found) > 2:
        assert found[0] <= low + span * 1e-6 and found[-1] >= high - span * 1e-6


def test_gaps_spikes_and_many_runs() -> None:
    values = [1.0] * 1_000_000
    values[123_456] = 9.0
    svg = line_plot({"loss": values})
    assert len(svg) < 60_000
    (line,) = points(svg)
    assert min(p[1] for p in line) < 100, "the spike is drawn"
    svg = line_plot({"loss": [1.0, 2.0, math.nan, 3.0, math.inf, 4.0, 5.0]})
    assert [len(line) for line in points(svg)] == [2, 2]
    assert svg.count("<circle") == 1


def test_whole_or_not_at_all(tmp_path) -> None:
    write_plot(tmp_path / "a.png", {"loss": [1.0, 2.0]})
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError):
        write_plot(tmp_path / "a.gif", {"loss": [1.0]})
    with pytest.raises(UserError):
        write_plot(tmp_path / "no" / "a.svg", {"loss": [1.0]})
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
