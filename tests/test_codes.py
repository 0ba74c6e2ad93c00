"""The table of codes says the truth: a failing program gives exactly its code, a repaired one compiles, no code is missing."""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from golden_cases import check_program

from dfg.diagnostics.codes import CODES

RAISERS = frozenset({"error", "warning", "Diagnostic", "InferError", "Reject", "need", "refusal", "report", "replace", "slip"})
"""Functions and exceptions that take a code."""
ROOT = Path(__file__).parent.parent / "dfg"
COMPILED = [name for name, entry in CODES.items() if entry.kind == "program"]
# With CuPy installed its absence cannot be shown.
RUN = [name for name, entry in CODES.items() if entry.kind == "run" and not (name == "missing-extra" and find_spec("cupy"))]


@pytest.mark.parametrize("name", COMPILED)
def test_the_failing_program_gives_exactly_its_code(name: str) -> None:
    given = check_program(CODES[name].failing)
    assert {(item.severity, item.code) for item in given} == {(CODES[name].severity, name)}
    assert all(item.span is not None for item in given)


@pytest.mark.parametrize("name", COMPILED)
def test_the_repaired_program_compiles(name: str) -> None:
    assert [str(item) for item in check_program(CODES[name].repaired)] == []


@pytest.mark.parametrize("name", RUN)
def test_the_failing_run_gives_its_code(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dfg.cli import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.dfg").write_text(CODES[name].failing, encoding="utf-8")
    assert main(["run", "program.dfg", *CODES[name].failing_run]) == (2 if name == "misuse" else 1)
    assert f"error[{name}]" in capsys.readouterr().err
    assert main(["run", "program.dfg", *CODES[name].repaired_run]) == 0


def test_every_code_that_is_raised_is_in_the_table() -> None:
    raised: dict[str, str] = {}
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in RAISERS:
                for given in [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "code")]:
                    if isinstance(given, ast.Constant) and isinstance(given.value, str) and re.fullmatch(r"[a-z]+(-[a-z]+)+", given.value):
                        raised[given.value] = f"{path.relative_to(ROOT)}:{node.lineno}"
    assert len(raised) > 10
    assert {code: place for code, place in raised.items() if code not in CODES} == {}
