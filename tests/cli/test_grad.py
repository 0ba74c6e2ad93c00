"""`dfg grad`: the text on the board, which runs and differentiates again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

FED = ("--input", "x=[0.5]", "--input", "ystar=[0.037371]")


def values(dfg, file: str, *words: str) -> dict[str, object]:
    ended = dfg("run", file, *words, "--json")
    assert ended.code == 0, ended.err
    return {name: one["value"] for name, one in json.loads(ended.out)["outputs"].items()}


def test_the_gradient_is_what_a_teacher_writes(dfg, lesson: str) -> None:
    ended = dfg("grad", lesson)
    assert ended.code == 0
    assert ended.err == ""
    assert "dl_dw = sum(2 * (y - ystar) * y * x)" in ended.out
    assert "dl_db = sum(2 * (y - ystar) * y)" in ended.out
    assert "grad(" not in ended.out


def test_it_runs_and_differentiates_again(dfg, lesson: str) -> None:
    Path("back.dfg").write_text(dfg("grad", lesson).out)
    assert values(dfg, "back.dfg", *FED) == values(dfg, lesson, *FED)
    again = dfg("grad", "back.dfg", "--loss", "dl_dw", "--wrt", "w", "-o", "second.dfg")
    assert (again.code, again.out) == (0, "")
    import numpy as np

    x, y, t = 0.5, np.exp(2.25), 0.037371
    assert values(dfg, "second.dfg", *FED)["d2l_dw_dw"] == pytest.approx(2 * x * x * y * (2 * y - t), rel=1e-12)


def test_targets_and_losses_are_chosen_by_name(dfg) -> None:
    Path("a.dfg").write_text(
        "input x : f64[n]\nparam w : f64 = 3\nparam c : f64 = 1\nparam k : i64 = 2\nu = w * x\nl = sum(u ** 2)\nm = mean(c * x)\noutput l, m\n"
    )
    ended = dfg("grad", "a.dfg", "--loss", "l", "--wrt", "w,u,x")
    assert ended.code == 0
    Path("b.dfg").write_text(ended.out)
    told = values(dfg, "b.dfg", "--input", "x=[1, 2]")
    assert (told["dl_dw"], told["dl_du"], told["dl_dx"]) == (30.0, [6.0, 12.0], [18.0, 36.0])
    several = dfg("grad", "a.dfg")
    assert several.code == 2
    assert "`l`, `m`" in several.err
    both = dfg("grad", "a.dfg", "--loss", "l,m", "--wrt", "c,w")
    assert both.code == 0
    assert "disconnected-target" in both.err
    Path("c.dfg").write_text(both.out)
    assert values(dfg, "c.dfg", "--input", "x=[1, 2]")["dm_dc"] == 1.5


def test_the_only_scalar_output_is_the_loss_and_integers_are_no_targets(dfg) -> None:
    Path("a.dfg").write_text("input x : f64[n]\nparam w : f64 = 3\nparam k : i64 = 2\noutput l = sum(w ** 2 * x)\noutput y = w * x\n")
    ended = dfg("grad", "a.dfg")
    assert ended.code == 0
    assert "dl_dw" in ended.out
    assert "dl_dk" not in ended.out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--wrt", "ww"), "unknown-name", "did you mean `w`?"),
        (("--loss", "ll"), "unknown-name", "did you mean `l`?"),
        (("--wrt", "k"), "integer-target", "declare"),
        (("--loss", "y"), "not-scalar-loss", "sum it"),
        (("--wrt", "w], [w"), "unknown-name", "is not a name"),
        (("--wrt", "2 * w"), "unknown-name", "is not a name"),
    ],
)
def test_a_derivative_that_cannot_be_is_told_at_lines_of_the_file(dfg, words: tuple[str, ...], code: str, says: str) -> None:
    text = "input x : f64[n]\nparam w : f64 = 3\nparam k : i64 = 2\ny = w * x\nl = sum(y)\noutput l\n"
    Path("a.dfg").write_text(text)
    ended = dfg("grad", "a.dfg", *words)
    assert ended.code == 1
    assert ended.out == ""
    assert f"error[{code}]" in ended.err, ended.err
    assert says in ended.err
    for line in range(7, 10):
        assert f"a.dfg:{line}" not in ended.err


def test_names_that_are_taken_are_left_alone(dfg) -> None:
    Path("a.dfg").write_text("input x : f64\nparam w : f64 = 3\ndl_dw = x + 1\noutput l = w * x * dl_dw\noutput dl_dw\n")
    Path("b.dfg").write_text(dfg("grad", "a.dfg", "--loss", "l").out)
    told = values(dfg, "b.dfg", "--input", "x=2")
    assert (told["dl_dw"], told["dl_dw_2"]) == (3.0, 6.0)


def test_a_program_without_parameters_asks_for_targets(dfg) -> None:
    Path("a.dfg").write_text("input x : f64[n]\noutput l = sum(x ** 2)\n")
    ended = dfg("grad", "a.dfg")
    assert ended.code == 2
    assert "--wrt x" in ended.err
    assert "dl_dx = 2 * x" in dfg("grad", "a.dfg", "--wrt", "x").out


def test_updates_states_and_defaults_stay(dfg) -> None:
    Path("a.dfg").write_text(
        "input x : f64\ninput on : bool = true\nparam w : f64 = 3\nstate k : i64 = 0\nupdate k = k + 1\n"
        "l = where(on, w * x, 0.0) ** 2\nupdate w = w - 0.1 * grad(l, w)\noutput l, k\n"
    )
    Path("b.dfg").write_text(dfg("grad", "a.dfg").out)
    for repeat in ("1", "3"):
        first = values(dfg, "a.dfg", "--input", "x=2", "--repeat", repeat)
        told = values(dfg, "b.dfg", "--input", "x=2", "--repeat", repeat)
        assert {name: told[name] for name in first} == first
    assert "dl_dw" in told


def test_kinks_follow_the_named_policy(dfg) -> None:
    Path("a.dfg").write_text("input x : f64[n]\nparam w : f64 = 0\noutput l = sum(maximum(w, x))\n")
    told = {}
    for policy in ("dfg", "torch", "jax"):
        Path("b.dfg").write_text(dfg("grad", "a.dfg", "--kinks", policy).out)
        told[policy] = values(dfg, "b.dfg", "--input", "x=[0, 1, -1]")["dl_dw"]
    assert told["torch"] == 1.5
    assert told["jax"] == 1.5


def test_exact_text_is_differentiated_too(dfg, lesson: str) -> None:
    exact = dfg("emit", lesson, "--only" if False else "--target", "ir", "--stage", "clean")
    Path("exact.dfg").write_text(exact.out)
    assert values(dfg, "exact.dfg", *FED) == values(dfg, lesson, *FED)
    Path("more.dfg").write_text(dfg("grad", "exact.dfg", "--loss", "l", "--wrt", "u,x").out)
    told = values(dfg, "more.dfg", *FED)
    assert told["dl_dx"] == [pytest.approx(0.5 * 179.32513024916253)]
    assert told["dl_du"] == [pytest.approx(179.32513024916253)]


def test_large_constants_stand_in_a_file_beside_the_printed_program(dfg) -> None:
    """On standard output, where nothing stands beside, they are written out."""
    Path("a.dfg").write_text(
        "input x : f64[100]\nparam w : f64 = 2\nconst t = normal([100], seed=1)\ny = w ** 3 * sum(t * x) + sum(arange(70) * [i for i in 0..70])\noutput y\n"
    )
    wanted = values(dfg, "a.dfg", "--input", f"x={[0.5] * 100}")
    for words, name in ((("grad", "a.dfg"), "g.dfg"), (("emit", "a.dfg", "--target", "source"), "s.dfg"), (("emit", "a.dfg"), "ir.dfg")):
        text = dfg(*words).out
        assert "load(" not in text
        ended = dfg(*words, "-o", name)
        assert (ended.code, ended.out, ended.err) == (0, "", "")
        kept = Path(name).read_text()
        assert "load(" in kept
        assert len(kept) < 1500 < len(text)
        assert values(dfg, name, "--input", f"x={[0.5] * 100}")["y"] == wanted["y"]
    assert dfg("grad", "g.dfg", "--loss", "dy_dw", "--wrt", "w", "-o", "gg.dfg").code == 0
    assert values(dfg, "gg.dfg", "--input", f"x={[0.5] * 100}")["d2y_dw_dw"] == pytest.approx(12 * sum_of_draws() * 0.5)


def sum_of_draws() -> float:
    import dfg as library

    return float(library.compile(library.loads("output s = sum(normal([100], seed=1))\n"))()["s"])
