"""The command line itself: help, misuse, exit codes, what is imported, and streams that break."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dfg.cli import COMMANDS

ROOT = Path(__file__).parents[2]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
LESSON = str(ROOT / "examples" / "lesson.dfg")


def process(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "dfg", *words], capture_output=True, text=True, env=ENV, timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def test_help_names_every_command_and_each_has_its_own(dfg) -> None:
    overview = dfg("--help")
    assert overview.code == 0
    for name in COMMANDS:
        assert f"  {name} " in overview.out
        page = dfg(name, "--help")
        assert page.code == 0
        assert page.out.startswith(f"usage: dfg {name}")
        assert dfg("help", name).out == page.out


def test_without_a_command_the_help_is_shown_as_a_misuse(dfg) -> None:
    assert dfg().code == 2


def test_version(dfg) -> None:
    import dfg as package

    assert dfg("--version").out == f"dfg {package.__version__}\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("chekc", "a.dfg"), "did you mean `dfg check`?"),
        (("run", "a.dfg", "--inptu", "x=1"), "did you mean `--input`?"),
        (("run", "a.dfg", "--input"), "expected one argument"),
        (("run", "a.dfg", "--input", "x"), "is not NAME=VALUE"),
        (("run", "a.dfg", "--input", "x=1", "--input", "x=2"), "given twice"),
        (("run", "a.dfg", "--repeat", "0"), "`0` is not a whole number above 0"),
        (("run", "a.dfg", "--kinks", "numpy"), "invalid choice"),
        (("run", "-", "--input", "x=-"), "standard input can be read once"),
        (("run",), "the following arguments are required: FILE"),
        (("render", "a.dfg"), "where to is missing"),
        (("render", "a.dfg", "a.svg", "-o", "b.svg"), "two pictures are named"),
        (("explain", "shape-mismtach"), "did you mean `dfg explain shape-mismatch`?"),
        (("--verbose",), "there is no option `--verbose` here"),
        (("emit", "a.dfg", "--target", "numpy", "--stage", "clean"), "made of the plan"),
    ],
)
def test_a_misuse_is_one_diagnostic_and_exit_code_2(dfg, words: tuple[str, ...], says: str) -> None:
    Path("a.dfg").write_text("input x : f64\noutput y = 2 * x\n")
    ended = dfg(*words, stdin="")
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("error[misuse]: ")
    assert ended.err.count("error[") == 1
    assert says in ended.err


def test_explain_shows_a_failing_and_a_repaired_program(dfg) -> None:
    page = dfg("explain", "shape-mismatch")
    assert page.code == 0
    assert "This fails:" in page.out
    assert "This is right:" in page.out
    assert dfg("explain", "error[shape-mismatch]:").out == page.out
    every = dfg("explain")
    assert every.code == 0
    assert "shape-mismatch " in every.out


@pytest.mark.parametrize(
    ("path", "code", "says"),
    [
        ("lessn.dfg", "no-such-file", "did you mean `lesson.dfg`?"),
        ("lesson", "no-such-file", "did you mean `lesson.dfg`?"),
        ("nowhere/lesson.dfg", "no-such-file", "there is no folder `nowhere`"),
        ("folder", "unreadable-file", "did you mean `folder/inner.dfg`?"),
        ("latin.dfg", "not-utf8", "save it as UTF-8"),
        ("zero\0byte.dfg", "unreadable-file", "cannot read"),
    ],
)
@pytest.mark.parametrize("command", [("check",), ("run",), ("grad",), ("emit",), ("render", "--out", "a.svg")])
def test_a_file_that_cannot_be_read(dfg, command: tuple[str, ...], path: str, code: str, says: str) -> None:
    Path("lesson.dfg").write_text("input x : f64\noutput y = 2 * x\n")
    Path("folder").mkdir()
    Path("folder/inner.dfg").write_text("")
    Path("latin.dfg").write_bytes("# é\n".encode("latin-1"))
    ended = dfg(command[0], path, *command[1:])
    assert ended.code == 1
    assert f"error[{code}]" in ended.err
    assert says in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "words",
    [("--help",), ("--version",), ("explain", "shape-mismatch"), ("explain",), ("chekc",), ("run", "--help")],
)
def test_what_needs_no_array_imports_no_numpy(words: tuple[str, ...], tmp_path: Path) -> None:
    code = f"import sys; from dfg.cli import main; main({list(words)!r}); sys.exit(any(m in sys.modules for m in ('numpy', 'lark', 'networkx')))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=ENV, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    ended = subprocess.run(f"{sys.executable} -m dfg explain | head -n 1; exit ${{PIPESTATUS[0]}}", shell=True, executable="/bin/bash", env=ENV,
                           capture_output=True, text=True, timeout=60)
    assert ended.stderr == ""
    assert ended.returncode in (0, 141)  # 0 where everything fitted into the pipe


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_standard_output_that_cannot_be_written() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([sys.executable, "-m", "dfg", "explain"], stdout=full, stderr=subprocess.PIPE, env=ENV, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error[cannot-write]: ")
    assert "Traceback" not in ended.stderr


def test_control_c(tmp_path: Path) -> None:
    running = subprocess.Popen([sys.executable, "-m", "dfg", "check", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=ENV, text=True)
    time.sleep(1.0)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert said == "interrupted\n"


def test_our_bug_has_its_own_exit_code_and_says_how_to_report_it(dfg, monkeypatch: pytest.MonkeyPatch) -> None:
    from dfg.api import loading

    def broken(*_: object) -> None:
        raise ZeroDivisionError("in the middle of it")

    monkeypatch.setattr(loading, "program_of", broken)
    Path("a.dfg").write_text("input x : f64\noutput y = 2 * x\n")
    ended = dfg("check", "a.dfg")
    assert ended.code == 3
    assert "ZeroDivisionError: in the middle of it" in ended.err
    assert "This is a bug of dfg" in ended.err
    assert "DFG_TRACEBACK=1 dfg check a.dfg" in ended.err
    assert "Traceback" not in ended.err


def test_python_m_dfg() -> None:
    ended = process("check", "-", input="input x : f64\noutput y = x ^ 2\n")
    assert ended.returncode == 1
    assert "error[pythonic-power]" in ended.stderr


def test_check_gives_diagnostics_of_all_files_as_json(dfg) -> None:
    Path("a.dfg").write_text("input x : f64\noutput y = x ^ 2\n")
    Path("b.dfg").write_text("input x : f64\noutput y = x && x\n")
    ended = dfg("check", "a.dfg", "b.dfg", "--json")
    assert ended.code == 1
    told = json.loads(ended.out)
    assert [(item["file"], item["code"], item["line"], item["column"]) for item in told["diagnostics"]] == [
        ("a.dfg", "pythonic-power", 2, 14),
        ("b.dfg", "pythonic-logic", 2, 14),
    ]
    assert [(report["file"], report["ok"]) for report in told["files"]] == [("a.dfg", False), ("b.dfg", False)]
    concise = dfg("check", "a.dfg", "--concise")
    assert concise.err == "a.dfg:2:14: error[pythonic-power]: a power is written `**`\n"
