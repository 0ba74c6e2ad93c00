"""Every program in the documentation is run (here, or by a page's own test): a block that carries tests passes them, and one that a text block follows prints that.

A text block is the output of `dfg run`, or lines of which each begins some line of what `dfg check` says of an erroneous program.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from dfg.api.testing import run_tests
from dfg.cli import main
from dfg.source import Source

HERE = Path(__file__).parent
OWN = {p.stem.removeprefix("test_docs_") for p in HERE.glob("test_docs_*.py")}
"""Pages with a test of their own, `test_docs_NAME.py`."""
DOCS = [p for p in sorted((HERE.parent / "docs").glob("*.md")) if p.stem not in OWN]


@dataclass(frozen=True, slots=True)
class Block:
    file: str
    line: int
    text: str
    printed: str | None


def blocks() -> list[Block]:
    found = []
    for path in DOCS:
        page = path.read_text(encoding="utf-8")
        for m in re.finditer(r"^```dfg\n(.*?)^```$(?:\n+```text\n(.*?)^```$)?", page, re.DOTALL | re.MULTILINE):
            found.append(Block(path.name, page[: m.start()].count("\n") + 1, m[1], m[2]))
    return found


BLOCKS = blocks()


def test_the_page_of_the_language_has_programs() -> None:
    assert sum(b.file == "language.md" for b in BLOCKS) >= 25
    opened = sum(len(re.findall(r"^```dfg", p.read_text(encoding="utf-8"), re.MULTILINE)) for p in DOCS)
    assert len(BLOCKS) == opened


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: f"{b.file}:{b.line}")
def test_a_block_does_what_the_page_says(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "program.dfg"
    path.write_text(block.text, encoding="utf-8")
    if block.printed is None:
        assert re.search(r'^test (error )?"', block.text, re.MULTILINE), "a block has tests, or what it prints behind it"
        results = run_tests(Source("program.dfg", block.text), path)
        assert results
        assert [(r.title, [str(d) for d in r.problems]) for r in results if not r.ok] == []
    elif block.printed.startswith("error["):
        assert main(["check", "program.dfg"]) == 1
        told = capsys.readouterr().err.splitlines()
        for line in block.printed.splitlines():
            assert any(t.startswith(line) for t in told), told
    else:
        assert main(["run", "program.dfg"]) == 0
        assert capsys.readouterr().out == block.printed
