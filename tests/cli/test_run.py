"""`dfg run`: data in, outputs out, parameters kept, and what is said when data is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

FED = ("--input", "x=[0.5]", "--input", "ystar=[0.037371]")
COUNTER = """\
input x : f64[n]
param w : f64[2] = [1.0, 2.0]
state steps : i64 = 0
h = w[0] * x + w[1]
y = sum(h)
update steps = steps + 1
update w = w * 2
output y, steps
"""


def test_the_lesson_prints_its_figures(dfg, lesson: str) -> None:
    ended = dfg("run", lesson, *FED)
    assert ended.code == 0
    assert ended.err == ""
    assert ended.out == (
        "y     : f64[1] = [9.48774]\n"
        "l     : f64    = 89.3094\n"
        "dl_dw : f64    = 89.6626\n"
        "dl_db : f64    = 179.325\n"
    )
    assert "179.3251" in dfg("run", lesson, *FED, "--precision", 7).out


def test_json_is_exactly_the_outputs(dfg, lesson: str) -> None:
    ended = dfg("run", lesson, *FED, "--json")
    told = json.loads(ended.out)
    assert list(told) == ["outputs"]
    assert list(told["outputs"]) == ["y", "l", "dl_dw", "dl_db"]
    assert told["outputs"]["y"] == {"dtype": "f64", "shape": [1], "value": [pytest.approx(9.487735836358526, rel=1e-15)]}
    assert told["outputs"]["l"]["value"] == pytest.approx((np.exp(2.25) - 0.037371) ** 2, rel=1e-15)


def test_json_writes_what_has_no_number_as_text(dfg) -> None:
    Path("a.dfg").write_text("input x : f64[n]\noutput y = x / 0\noutput p = x > 0\n")
    told = json.loads(dfg("run", "a.dfg", "--input", "x=[1, -1, 0]", "--json").out)
    assert told["outputs"]["y"]["value"] == ["inf", "-inf", "nan"]
    assert told["outputs"]["p"] == {"dtype": "bool", "shape": [3], "value": [True, False, False]}


def test_a_missing_input_names_all_that_is_needed_and_a_command_that_works(dfg, lesson: str) -> None:
    import shlex

    ended = dfg("run", lesson, "--input", "x=[1.5, 2.5]")
    assert ended.code == 1
    assert ended.out == ""
    assert "error[missing-input]: the run needs an input that is not given: `ystar` : f64[n]" in ended.err
    line = next(line for line in ended.err.splitlines() if "for example: " in line).partition("for example: ")[2]
    assert "x=[1.5, 2.5]" in line
    assert dfg(*shlex.split(line)[1:]).code == 0
    assert "`x` : f64[n], `ystar` : f64[n]" in dfg("run", lesson).err


def test_everything_wrong_with_the_data_is_told_at_once(dfg, lesson: str) -> None:
    ended = dfg("run", lesson, "--input", "x=[1, two]", "--input", "ystr=[1]", "--input", "w=3")
    assert ended.code == 1
    assert "did you mean `ystar`?" in ended.err
    assert "`w` is a parameter, not an input" in ended.err
    assert "error[missing-input]" in ended.err
    assert ended.err.count("error[") == 4


@pytest.mark.parametrize(
    ("value", "code", "says"),
    [
        ("[[1]]", "wrong-shape", "f64[?]"),
        ("[1, [2]]", "ragged-literal", ""),
        ("nowhere.npy", "no-such-file", ""),
        ("x.npz:b", "missing-key", "a"),
        ("broken.npy", "bad-file", ""),
        ("folder.npy", "cannot-read", "a folder"),
        ("evil.pkl", "unsafe-file", ""),
        ("[1e999]", "does-not-fit", ""),
        ("", "bad-literal", ""),
    ],
)
def test_an_input_that_cannot_be_used(dfg, value: str, code: str, says: str) -> None:
    import pickle

    Path("a.dfg").write_text("input x : f64[n]\noutput y = sum(x)\n")
    np.savez("x.npz", a=np.ones(3))
    Path("broken.npy").write_bytes(b"\x93NUMPY\x01\x00")
    Path("folder.npy").mkdir()
    Path("evil.pkl").write_bytes(pickle.dumps(Path("x")))
    ended = dfg("run", "a.dfg", "--input", f"x={value}")
    assert ended.code == 1
    assert ended.out == ""
    assert f"error[{code}]" in ended.err, ended.err
    assert says in ended.err
    assert "Traceback" not in ended.err


def test_sizes_that_contradict_each_other(dfg, lesson: str) -> None:
    ended = dfg("run", lesson, "--input", "x=[1, 2]", "--input", "ystar=[1, 2, 3]")
    assert ended.code == 1
    assert "error[wrong-shape]" in ended.err
    assert "`n` is 2 by axis 0 of `x`" in ended.err


def test_inputs_from_an_archive_a_table_and_standard_input(dfg, lesson: str) -> None:
    np.savez("data.npz", x=np.array([0.5]), ystar=np.array([0.037371]), other=np.zeros(2))
    Path("data.csv").write_text("x,ystar\n0.5,0.037371\n")
    plain = dfg("run", lesson, *FED).out
    from_archive = dfg("run", lesson, "--inputs", "data.npz")
    assert from_archive.out == plain
    assert "`other`" in from_archive.err
    assert dfg("run", lesson, "--input", "x=data.csv:x", "--input", "ystar=data.csv:ystar").out == plain
    assert dfg("run", lesson, "--input", "x=-", "--input", "ystar=[0.037371]", stdin="[0.5]").out == plain
    assert dfg("run", "-", *FED, stdin=Path(lesson).read_text()).out == plain
    assert dfg("run", lesson, "--inputs", "data.npz", "--input", "x=[1.0]").out != plain


def test_an_archive_with_nothing_that_fits_is_an_error(dfg, lesson: str) -> None:
    np.savez("data.npz", xx=np.array([0.5]))
    ended = dfg("run", lesson, "--inputs", "data.npz")
    assert ended.code == 1
    assert "error[surplus-input]" in ended.err


def test_only_and_no_update_need_fewer_inputs(dfg) -> None:
    Path("a.dfg").write_text("input x : f64\ninput z : f64\nstate k : f64 = 0.0\nupdate k = k + z\noutput y = 2 * x\noutput q = z\n")
    ended = dfg("run", "a.dfg", "--only", "y", "--no-update", "--input", "x=3")
    assert (ended.code, ended.out) == (0, "y : f64 = 6\n")
    assert "`z` : f64" in dfg("run", "a.dfg", "--only", "y", "--input", "x=3").err
    wrong = dfg("run", "a.dfg", "--only", "yy", "--input", "x=3")
    assert wrong.code == 1
    assert "error[unknown-output]" in wrong.err


def test_an_input_with_a_default_need_not_be_fed(dfg) -> None:
    Path("a.dfg").write_text("input x : f64\ninput train : bool = true\noutput y = where(train, x, -x)\n")
    assert dfg("run", "a.dfg", "--input", "x=3").out == "y : f64 = 3\n"
    assert dfg("run", "a.dfg", "--input", "x=3", "--input", "train=false").out == "y : f64 = -3\n"


def test_repeat_keeps_states_and_parameters_between_the_runs(dfg) -> None:
    Path("a.dfg").write_text(COUNTER)
    first = json.loads(dfg("run", "a.dfg", "--input", "x=[1]", "--json").out)["outputs"]
    third = json.loads(dfg("run", "a.dfg", "--input", "x=[1]", "--json", "--repeat", 3).out)["outputs"]
    assert (first["steps"]["value"], first["y"]["value"]) == (0, 3.0)
    assert (third["steps"]["value"], third["y"]["value"]) == (2, 12.0)


def test_save_and_load_go_on_where_the_run_stopped(dfg) -> None:
    Path("a.dfg").write_text(COUNTER)
    assert dfg("run", "a.dfg", "--input", "x=[1]", "--repeat", 2, "--save", "k.safetensors").code == 0
    went_on = json.loads(dfg("run", "a.dfg", "--input", "x=[1]", "--json", "--load", "k.safetensors").out)["outputs"]
    assert (went_on["steps"]["value"], went_on["y"]["value"]) == (2, 12.0)
    np.savez("other.npz", v=np.ones(2))
    ended = dfg("run", "a.dfg", "--input", "x=[1]", "--load", "other.npz")
    assert ended.code == 1
    assert "error[missing-key]" in ended.err
    assert "error[unknown-format]" in dfg("run", "a.dfg", "--input", "x=[1]", "--save", "k.pickle").err


def test_trace_prints_names_that_are_no_outputs(dfg, lesson: str) -> None:
    ended = dfg("run", lesson, *FED, "--only", "l", "--trace", "u,v")
    assert ended.out == "l : f64    = 89.3094\nu : f64[1] = [0.25]\nv : f64[1] = [2.25]\n"
    wrong = dfg("run", lesson, *FED, "--trace", "vv")
    assert wrong.code == 1
    assert "did you mean `v`?" in wrong.err


@pytest.mark.parametrize("suffix", ["npz", "npy", "json", "csv", "safetensors"])
def test_outputs_go_to_a_file(dfg, lesson: str, suffix: str) -> None:
    ended = dfg("run", lesson, *FED, "--only", "y", "--out", f"results.{suffix}")
    assert (ended.code, ended.out) == (0, "")
    name = f"results.{suffix}"
    if suffix == "json":
        value = json.loads(Path(name).read_text())["outputs"]["y"]["value"]
    elif suffix == "csv":
        value = [float(Path(name).read_text().split("\n")[1])]
    else:
        value = dfg("run", "-", "--input", f"y={name}", "--json", stdin="input y : f64[n]\noutput z = y\n")
        value = json.loads(value.out)["outputs"]["z"]["value"]
    assert value == [9.487735836358526]


def test_a_single_output_can_be_a_picture(dfg) -> None:
    Path("a.dfg").write_text("input x : f64[3, 4]\noutput y = x / 2\noutput z = x\n")
    np.save("x.npy", np.linspace(0, 1, 12).reshape(3, 4))
    assert dfg("run", "a.dfg", "--input", "x=x.npy", "--only", "y", "--out", "y.png").code == 0
    assert Path("y.png").read_bytes().startswith(b"\x89PNG")
    ended = dfg("run", "a.dfg", "--input", "x=x.npy", "--out", "y.png")
    assert ended.code == 1
    assert "--only y" in ended.err


@pytest.mark.parametrize("place", ["nowhere/y.npz", "folder", "y.dat"])
def test_results_that_cannot_be_written(dfg, lesson: str, place: str) -> None:
    Path("folder").mkdir()
    ended = dfg("run", lesson, *FED, "--out", place)
    assert ended.code == 1
    assert ended.err.count("error[") == 1
    assert "Traceback" not in ended.err


def test_large_outputs_are_summarised(dfg) -> None:
    Path("a.dfg").write_text("input x : f64[n]\noutput y = x\noutput p = x > 10\noutput q = 1 / x\n")
    np.save("x.npy", np.arange(100.0))
    ended = dfg("run", "a.dfg", "--input", "x=x.npy")
    assert ended.out == (
        "y : f64[100]  = [0, 1, 2, 3, ...]  min 0  mean 49.5  max 99\n"
        "p : bool[100] = [false, false, false, false, ...]  true at 89 of 100\n"
        "q : f64[100]  = [inf, 1, 0.5, 0.333333, ...]  min 0.010101  mean 0.0522967  max 1  1 inf\n"
    )


def test_matrices_and_empty_arrays(dfg) -> None:
    Path("a.dfg").write_text("input x : f32[n, 2]\noutput y = 0.1 * x\n")
    assert dfg("run", "a.dfg", "--input", "x=[[1, 2], [3, 4]]").out == "y : f32[2, 2] = [[0.1, 0.2], [0.3, 0.4]]\n"
    np.save("x.npy", np.zeros((0, 2), np.float32))
    assert dfg("run", "a.dfg", "--input", "x=x.npy").out == "y : f32[0, 2] = []\n"


def test_a_failing_run_changes_nothing_and_says_where(dfg) -> None:
    Path("a.dfg").write_text("input x : f64[n]\ninput i : i64\nstate k : f64 = 0.0\nupdate k = k + 1\noutput y = x[i]\n")
    ended = dfg("run", "a.dfg", "--input", "x=[1, 2]", "--input", "i=2")
    assert ended.code == 1
    assert "error[out-of-bounds]" in ended.err
    assert "a.dfg:5" in ended.err


def test_json_of_a_failure_is_its_diagnostics(dfg, lesson: str) -> None:
    ended = dfg("run", lesson, "--json")
    assert ended.code == 1
    told = json.loads(ended.out)
    assert [item["code"] for item in told["diagnostics"]] == ["missing-input"]
    assert "error[missing-input]" in ended.err


def test_a_program_reads_files_of_its_own_folder_only(dfg) -> None:
    Path("sub").mkdir()
    Path("sub/layers.dfg").write_text("def double(x) = 2 * x\n")
    Path("secret.npy").write_bytes(b"")
    np.save("sub/table.npy", np.array([1.0, 2.0]))
    Path("sub/a.dfg").write_text('use "layers.dfg" as layers\nconst t = load("table.npy")\ninput x : f64\noutput y = layers.double(x) * t\n')
    assert dfg("run", "sub/a.dfg", "--input", "x=3").out == "y : f64[2] = [6, 12]\n"
    for path in ("../secret.npy", "/etc/passwd"):
        Path("sub/b.dfg").write_text(f'const t = load("{path}")\ninput x : f64\noutput y = x * t\n')
        ended = dfg("run", "sub/b.dfg", "--input", "x=3")
        assert ended.code == 1
        assert "error[outside-folder]" in ended.err
    Path("sub/link.npy").symlink_to("/etc/passwd")
    Path("sub/c.dfg").write_text('const t = load("link.npy")\ninput x : f64\noutput y = x * t\n')
    assert "error[outside-folder]" in dfg("run", "sub/c.dfg", "--input", "x=3").err


def test_linear_regression_finds_its_plane(dfg) -> None:
    ended = json.loads(dfg("run", EXAMPLES / "linear_regression.dfg", "--repeat", 300, "--json").out)["outputs"]
    assert ended["w"]["value"] == pytest.approx([2, -3], abs=1e-9)
    assert ended["b"]["value"] == pytest.approx(1, abs=1e-9)
    assert ended["loss"]["value"] < 1e-18


def test_logistic_regression_on_the_data_that_comes_with_it(dfg) -> None:
    ended = dfg("run", EXAMPLES / "logistic.dfg", "--inputs", EXAMPLES / "data/breast_cancer.npz", "--repeat", 200, "--json")
    outputs = json.loads(ended.out)["outputs"]
    assert outputs["accuracy"]["value"] > 0.98
    assert outputs["loss"]["value"] < 0.07
