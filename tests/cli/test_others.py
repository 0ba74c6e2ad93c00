"""`dfg check`, `emit` and `render`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FED = ("--input", "x=[0.5]", "--input", "ystar=[0.037371]")
SIZES = "input x : f64[n]\ninput y : f64[m]\ndim n == m\ninput k : i32\noutput a = sum(x[:3]) * k\noutput b = x + y\n"


def test_check_of_programs_that_are_right(dfg, lesson: str) -> None:
    Path("a.dfg").write_text("output y = 1 + 1\n")
    ended = dfg("check", lesson, "a.dfg")
    assert ended.code == 0
    assert "error[" not in ended.err
    assert ended.out == f"{lesson}: ok (2 inputs, 2 parameters, 4 outputs)\na.dfg: ok (1 output)\n"
    told = json.loads(dfg("check", lesson, "--json").out)
    assert told["diagnostics"] == []
    assert told["files"][0]["inputs"] == {"x": "f64[n]", "ystar": "f64[n]"}
    assert told["files"][0]["params"] == {"w": "f64", "b": "f64"}
    assert told["files"][0]["outputs"] == {"y": "f64[n]", "l": "f64", "dl_dw": "f64", "dl_db": "f64"}


def test_one_wrong_file_does_not_hide_the_others(dfg, lesson: str) -> None:
    Path("a.dfg").write_text("input x : f64[3]\noutput y = x + ones([4])\n")
    ended = dfg("check", "a.dfg", "nowhere.dfg", lesson)
    assert ended.code == 1
    assert "error[shape-mismatch]" in ended.err
    assert "error[no-such-file]" in ended.err
    assert "ok" in ended.out


def test_asserts_lists_what_arriving_sizes_must_satisfy(dfg) -> None:
    Path("a.dfg").write_text(SIZES)
    ended = dfg("check", "a.dfg", "--asserts")
    assert ended.code == 0
    assert "dim n == m" in ended.out or "dim m == n" in ended.out
    assert "n >= 3" in ended.out
    assert "a.dfg:5:" in ended.out
    assert any("n >= 3" in item["text"] for item in json.loads(dfg("check", "a.dfg", "--asserts", "--json").out)["files"][0]["asserts"])


def test_casts_are_listed_and_refused_when_strict(dfg) -> None:
    Path("a.dfg").write_text(SIZES)
    ended = dfg("check", "a.dfg", "--casts")
    assert ended.code == 0
    assert "i32 -> f64" in ended.out
    strict = dfg("check", "a.dfg", "--strict")
    assert strict.code == 1
    assert "error[implicit-cast]" in strict.err
    assert "a.dfg:5:" in strict.err
    Path("b.dfg").write_text(SIZES.replace("* k", "* f64(k)"))
    assert dfg("check", "b.dfg", "--strict").code == 0


def test_warnings_are_shown_and_do_not_fail(dfg) -> None:
    Path("a.dfg").write_text("input x : f64\nparam w : f64 = 1\nl = x ** 2\noutput g = grad(l, w)\n")
    ended = dfg("check", "a.dfg")
    assert ended.code == 0
    assert ended.err.startswith("warning[disconnected-target]")
    assert ended.err.count("warning[") == 1
    assert json.loads(dfg("check", "a.dfg", "--json").out)["diagnostics"][0]["severity"] == "warning"


@pytest.mark.parametrize("stage", ["source", "stabilised", "differentiated", "clean"])
def test_exact_text_of_every_stage_reads_back_to_the_same_text(dfg, lesson: str, stage: str) -> None:
    text = dfg("emit", lesson, "--stage", stage).out
    assert text.startswith("default exact\n")
    Path("again.dfg").write_text(text)
    again = dfg("emit", "again.dfg").out
    # Where a value comes from is a comment, which the reader skips on purpose.
    assert again == "".join(f"{line.partition('  #: ')[0]}\n" for line in text.splitlines())
    assert dfg("run", "again.dfg", *FED).out == dfg("run", lesson, *FED).out


def test_large_constants_lie_beside_exact_text(dfg) -> None:
    import numpy as np

    np.save("t.npy", np.arange(100.0))
    Path("a.dfg").write_text('const t = load("t.npy")\ninput x : f64\noutput y = sum(t * x)\n')
    assert dfg("emit", "a.dfg", "-o", "ir.dfg").code == 0
    assert np.load("ir.npz").files
    assert dfg("run", "ir.dfg", "--input", "x=2").out == "y : f64 = 9900\n"
    assert len(Path("ir.dfg").read_text()) < 1000


def test_readable_text_runs(dfg, lesson: str) -> None:
    text = dfg("emit", lesson, "--target", "source", "--stage", "clean").out
    assert dfg("run", "-", *FED, stdin=text).out == dfg("run", lesson, *FED).out


def test_the_generated_numpy_is_shown(dfg, lesson: str) -> None:
    ended = dfg("emit", lesson, "--target", "numpy")
    assert ended.code == 0
    compile(ended.out, "generated.py", "exec")
    assert "np.exp(" in ended.out
    only = dfg("emit", lesson, "--target", "numpy", "--only", "y")
    assert "np.exp(" in only.out
    assert len(only.out) < len(ended.out)
    planned = dfg("emit", lesson, "--stage", "planned")
    assert planned.code == 0
    assert "slot 0" in planned.out


@pytest.mark.parametrize("view", ["forward", "backward", "both"])
@pytest.mark.parametrize("suffix", ["svg", "dot"])
def test_pictures_of_the_lesson(dfg, lesson: str, view: str, suffix: str) -> None:
    ended = dfg("render", lesson, f"a.{suffix}", "--view", view)
    assert (ended.code, ended.out) == (0, "")
    text = Path(f"a.{suffix}").read_text()
    assert ("dl_dw" in text) == (view != "forward")
    assert ("ystar" in text) == (view != "backward") or suffix == "svg" or view == "backward"


def test_a_picture_with_values(dfg, lesson: str) -> None:
    assert dfg("render", lesson, "-o", "a.svg", *FED).code == 0
    assert "89.66" in Path("a.svg").read_text()
    assert "error[missing-input]" in dfg("render", lesson, "-o", "b.svg", "--input", "x=[1]").err
    assert not Path("b.svg").exists()


def test_a_program_without_a_derivative_gets_one_for_its_backward_view(dfg) -> None:
    Path("a.dfg").write_text("input x : f64[n]\nparam w : f64 = 2\noutput l = sum(w * x)\n")
    assert dfg("render", "a.dfg", "a.dot", "--view", "both").code == 0
    assert "dl_dw" in Path("a.dot").read_text()
    assert dfg("render", "a.dfg", "b.dot").code == 0
    assert "dl_dw" not in Path("b.dot").read_text()


def test_focus_shows_the_neighbourhood(dfg, lesson: str) -> None:
    assert dfg("render", lesson, "a.dot", "--view", "forward", "--focus", "u", "--depth", 1).code == 0
    assert "exp" not in Path("a.dot").read_text()
    wrong = dfg("render", lesson, "a.dot", "--focus", "uu")
    assert wrong.code == 1
    assert "error[" in wrong.err


def test_a_picture_that_cannot_be_written(dfg, lesson: str) -> None:
    for place in ("a.jpg", "nowhere/a.svg", "a"):
        ended = dfg("render", lesson, place)
        assert ended.code == 1
        assert ended.err.count("error[") == 1
        assert "Traceback" not in ended.err


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.dfg")), ids=lambda path: path.name)
def test_every_example_is_right(dfg, path: Path) -> None:
    ended = dfg("check", path)
    assert ended.code == 0
    assert "error[" not in ended.err


def test_the_readmes_first_command() -> None:
    readme = (ROOT / "README.md").read_text()
    block = readme.split("```sh\n")[1].split("```")[0]
    assert "dfg run examples/lesson.dfg --input 'x=[0.5]' --input 'ystar=[0.037371]'" in block
    ended = subprocess.run([sys.executable, "-m", "dfg", "run", "examples/lesson.dfg", *FED], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.stdout in readme


def test_the_readmes_python_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    blocks = [part.split("```")[0] for part in (ROOT / "README.md").read_text().split("```python\n")[1:]]
    assert len(blocks) >= 2
    scope: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), scope)
    assert "dl_dx" in capsys.readouterr().out


ENDLESS = 'input a : f64\nz = while z < 100 max 5 carry z = 0.0 { z = z + a }\noutput z\ntest "it stops" {\n  a = 1\n  z == 5\n}\n'


def test_what_a_tests_runs_warn_of_is_told_with_its_place(dfg) -> None:
    Path("a.dfg").write_text(ENDLESS)
    ended = dfg("test", "a.dfg")
    assert ended.code == 0
    assert ended.err.count("warning[while-limit]") == 1
    assert "a.dfg:2:5" in ended.err
    assert "RuntimeWarning" not in ended.err
    (result,) = json.loads(dfg("test", "a.dfg", "--json").out)["results"]
    assert result["ok"]
    assert [d["code"] for d in result["diagnostics"]] == ["while-limit"]


def test_values_of_parameters_whose_sizes_come_with_the_data_are_drawn(dfg) -> None:
    Path("a.dfg").write_text("input x : f64[n, m]\nparam w : f64[m] = ones([m])\nstate s : f64[n] = arange(n)\nl = sum((x @ w) ** 2 + s)\noutput l\nupdate w = w - grad(l, w)\n")
    for view in ("forward", "backward", "both"):
        assert dfg("render", "a.dfg", f"{view}.svg", "--view", view).code == 0
        assert dfg("render", "a.dfg", f"{view}_values.svg", "--view", view, "--input", "x=[[1, 2], [3, 4]]").code == 0
    drawn = Path("both_values.svg").read_text()
    assert ">59<" in drawn  # 3 ** 2 + 7 ** 2 + 1
    assert ">[1, 1]<" in drawn
