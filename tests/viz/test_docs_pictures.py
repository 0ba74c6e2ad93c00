"""The pictures in docs/ are those that the examples give today: `python scripts/pictures.py` makes them anew."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_the_pictures_of_the_documentation_are_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "scripts" / "pictures.py"))["make"](tmp_path)
    capsys.readouterr()
    made = sorted(tmp_path.iterdir())
    assert len(made) == 12
    for path in made:
        kept = DOCS / path.name
        assert kept.exists(), f"docs/{path.name} is missing: run scripts/pictures.py"
        if path.suffix == ".svg":
            assert path.read_text() == kept.read_text(), f"docs/{path.name} is not current: run scripts/pictures.py"
        else:  # a processor may round a shade of an edge otherwise
            new, old = (np.asarray(Image.open(p).convert("RGB")).astype(int) for p in (path, kept))
            assert new.shape == old.shape, path.name
            assert np.abs(new - old).mean() < 0.5, f"docs/{path.name} is not current: run scripts/pictures.py"


def test_the_lesson_in_pictures_shows_its_figures() -> None:
    shown = (DOCS / "lesson_values.svg").read_text()
    for figure in ("[9.4877]", "89.3094", "89.6626", "179.3251", "∂l/∂v", "dl_dw", "sum(∂l/∂v · x)"):
        assert figure in shown, figure
    forward = (DOCS / "lesson_forward.svg").read_text()
    assert "dl_dw" not in forward
    for name in ("ystar", "exp", "** 2", "[9.4877]"):
        assert name in forward
    assert "new w1" in (DOCS / "mlp_digits.svg").read_text()
