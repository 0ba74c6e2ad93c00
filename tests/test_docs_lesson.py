"""docs/lesson.md says what happens: its programs are written out, its commands and Python lines run in order, and what they print is compared.

`--update-golden` writes what the commands print into the page; read the difference.
"""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "lesson.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_block_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
                                 request: pytest.FixtureRequest) -> None:
    from dfg.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    page = PAGE.read_text(encoding="utf-8")
    names: dict[str, object] = {}
    counts = {"dfg": 0, "console": 0, "python": 0}

    def block(match: re.Match[str]) -> str:
        kind, body = match.group(1), match.group(2)
        assert kind in counts, f"a block of an unknown kind: {kind}"
        counts[kind] += 1
        if kind == "dfg":
            name = re.match(r"# (\w+\.dfg)\b", body)
            assert name is not None, f"a program without a name:\n{body}"
            Path(name.group(1)).write_text(body, encoding="utf-8")
            assert main(["fmt", "--check", name.group(1)]) == 0, f"{name.group(1)} is not formatted"
        elif kind == "console":
            told = []
            for line in re.findall(r"^\$ dfg (.+)$", body, re.MULTILINE):
                capsys.readouterr()
                main(shlex.split(line))
                said = capsys.readouterr()
                told.append(f"$ dfg {line}\n{said.out}{said.err}")
            return f"```console\n{''.join(told)}```"
        else:
            test = doctest.DocTestParser().get_doctest(body, names, "lesson.md", str(PAGE), 0)
            wrong: list[str] = []
            doctest.DocTestRunner(verbose=False).run(test, out=wrong.append, clear_globs=False)
            names.update(test.globs)
            assert not wrong, "".join(wrong)
        return match.group(0)

    new = BLOCK.sub(block, page)
    if request.config.getoption("--update-golden"):
        PAGE.write_text(new, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == new
    assert min(counts.values()) > 3
    assert "Traceback" not in new and "internal error" not in new


def test_the_figures_of_the_notebook_stand_in_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    printed = "\n".join(body for kind, body in BLOCK.findall(page) if kind == "console")
    for figure in ("9.487736", "89.3094", "89.66257", "179.3251", "sum(2 * (y - ystar) * y * x)", "error[integer-target]", "[6, -4, 6, -4, 6]"):
        assert figure in printed, figure


def test_links_and_pictures_are_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (PAGE.parent / target).exists(), target
