"""What every test has: verification on after every pass, `--update-golden`, and the cases of `tests/golden/**/*.md`.

A case of such a file is an item of its own, run by `golden_cases.py`. `--update-golden` rewrites what was rendered, never what was
expected by hand, and refuses to run in several processes, which would write one file at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import golden_cases  # noqa: E402 - found through the line above, also when pytest imports this file from elsewhere

os.environ.setdefault("DFG_VERIFY", "1")


# A slow machine is no error, and a run of CI is the same run again tomorrow; `--hypothesis-profile explore` looks for new cases.
hypothesis.settings.register_profile("steady", deadline=None, derandomize=True)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the rendered parts of golden files, then read the difference")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--update-golden") and (config.getoption("numprocesses", None) or hasattr(config, "workerinput")):
        raise pytest.UsageError("--update-golden writes files: run it without -n")


class GoldenFile(pytest.File):
    def collect(self) -> Iterator[pytest.Item]:
        for case in golden_cases.read(self.path.read_text(encoding="utf-8")):
            yield GoldenItem.from_parent(self, name=case.title, case=case)


class GoldenItem(pytest.Item):
    def __init__(self, *, case: golden_cases.Case, **rest: object) -> None:
        super().__init__(**rest)  # type: ignore[arg-type]
        self.case = case

    def runtest(self) -> None:
        text = self.path.read_text(encoding="utf-8")
        update = bool(self.config.getoption("--update-golden"))
        new = golden_cases.run(self.case.title, text, golden_cases.check_program, update)
        if new != text:
            self.path.write_text(new, encoding="utf-8")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        if isinstance(excinfo.value, golden_cases.Mismatch):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.case.line - 1, self.case.title


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix == ".md" and HERE / "golden" in file_path.parents:
        return GoldenFile.from_parent(parent, path=file_path)
    return None


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden("viz/lesson.svg", text)`: `text` must be what that file under `tests/golden` holds."""
    def compare(name: str, text: str) -> None:
        path = HERE / "golden" / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        assert path.exists(), f"tests/golden/{name} does not exist: run pytest with --update-golden, and read it"
        with path.open(encoding="utf-8", newline="") as file:
            assert text == file.read()

    return compare
