"""Makes the pictures of docs/, from the programs of examples/: `python scripts/pictures.py`. A test holds that they are current."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FED = ["--input", "x=[0.5]", "--input", "ystar=[0.037371]"]
LESSON, DIGITS = "examples/lesson.dfg", "examples/mlp_digits.dfg"
TRAINED = [DIGITS, "--inputs", "examples/data/digits.npz", "--load", "examples/data/mlp_start.npz", "--repeat", "50"]


def commands(folder: Path) -> list[list[str]]:
    """The command lines, which run in the repository's folder."""
    made: list[list[str]] = []
    for suffix in ("svg", "png"):
        made += [
            ["render", LESSON, str(folder / f"lesson.{suffix}")],
            ["render", LESSON, str(folder / f"lesson_forward.{suffix}"), "--view", "forward", *FED],
            ["render", LESSON, str(folder / f"lesson_values.{suffix}"), *FED],
            ["render", DIGITS, str(folder / f"mlp_digits.{suffix}")],
            ["run", *TRAINED, "--plot", f"loss={folder / f'mlp_loss.{suffix}'}"],
        ]
    images = ["run", "examples/images.dfg", "--input", "images=examples/data/cifar_format.bin"]
    return [*made, [*images, "--out", f"grid={folder / 'images_grid.png'}", "--out", f"red={folder / 'images_red.png'}"]]


def make(folder: Path) -> None:
    """Write them all; a command that fails ends the work."""
    from dfg.cli import main

    for words in commands(folder):
        if main(words) != 0:
            raise SystemExit(f"dfg {' '.join(words)} failed")


if __name__ == "__main__":
    import os

    os.chdir(ROOT)
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs")
