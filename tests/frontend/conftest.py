"""Helpers for the tests of the frontend's text side."""

from __future__ import annotations

from pathlib import Path

import pytest

PROGRAMS = sorted((Path(__file__).parents[1] / "programs").glob("*.dfg"))


@pytest.fixture(params=PROGRAMS, ids=lambda path: path.stem)
def program(request: pytest.FixtureRequest) -> str:
    """The text of each acceptance program in turn."""
    path: Path = request.param
    return path.read_text("utf-8")
