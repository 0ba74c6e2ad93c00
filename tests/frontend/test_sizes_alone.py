"""Sizes that come from inputs of which nothing else is used, defaults of named sizes, and sizes that cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dfg

GIVERS = [
    ("input x : f64[{d}]\noutput y = n\n", ["x"]),
    ("input x : f64[{d}]\noutput y = zeros([n])\n", ["x"]),
    ("input x : f64[{d}]\ninput z : f64\noutput y = z * n\n", ["x", "z"]),
    ("input x : f64[{d}]\ninput z : f64[m]\noutput y = n + 0 * z\n", ["x", "z"]),
    ("input z : f64[2, 3]\ninput x : f64[3, {d}]\noutput y = n + sum(z)\n", ["z", "x"]),
]


@pytest.mark.parametrize(("text", "needed"), GIVERS)
@pytest.mark.parametrize(("d", "size"), [("n", 4), ("2*n", 8), ("n - 1", 3), ("n + 2", 6), ("n*n", None)])
def test_an_input_is_needed_for_its_size(text: str, needed: list[str], d: str, size: int | None) -> None:
    if size is None:
        d, size = "n", 4
    program = dfg.loads(text.format(d=d))
    for each in (program, dfg.loads(str(program)), dfg.loads(program.exact())):
        fn = dfg.compile(each)
        assert list(fn.inputs) == needed
        fed: dict[str, Any] = {name: np.ones([size if not isinstance(k, int) else k for k in t.shape]) for name, t in fn.inputs.items()}
        y = fn(**fed)["y"]
        assert (y.shape == (4,) and not y.any()) or np.all(y - (6 if "sum(z)" in text else 0) == 4)
        with pytest.raises(dfg.UserError) as lacking:
            fn(**{k: v for k, v in fed.items() if k != "x"})
        assert [e.code for e in lacking.value.diagnostics] == ["missing-input"]


def test_one_input_of_several_gives_a_size_and_the_first_that_gives_it_at_once() -> None:
    fn = dfg.compile(dfg.loads("input a : f64[2*n]\ninput b : f64[n]\ninput c : f64[n]\noutput y = n\n"))
    assert list(fn.inputs) == ["b"]
    fn = dfg.compile(dfg.loads("input a : f64[2*n]\ninput b : f64[n + m]\ninput c : f64[k]\noutput y = m\n"))
    assert list(fn.inputs) == ["a", "b"]
    assert fn(a=np.ones(4), b=np.ones(5))["y"] == 3


def test_a_size_that_a_parameter_fixes_asks_for_the_input_once() -> None:
    fn = dfg.compile(dfg.loads("input x : f64[n, 3]\nparam w : f64[n] = 0.5\noutput y = sum(w)\n"))
    with pytest.raises(dfg.UserError) as unknown:
        fn()
    assert unknown.value.diagnostics[0].code == "dim-unbound"
    assert "`x`" in (unknown.value.diagnostics[0].help or "")
    assert fn(x=np.ones((4, 3)))["y"] == 2
    assert fn()["y"] == 2


@pytest.mark.parametrize("default", ["1.0", "ones([n])", "full([n], 2.0) / 2", "zeros([n]) + 1"])
def test_a_default_has_the_sizes_of_what_is_fed(default: str) -> None:
    fn = dfg.compile(dfg.loads(f"input x : f64[n]\ninput m : f64[n] = {default}\nstate k : i64 = 0\noutput y = sum(x * m)\nupdate k = k + 1\n"))
    for size in (2, 5, 2, 0):
        assert fn(x=np.full(size, 3.0))["y"] == 3 * size
    assert fn(x=np.array([1.0, 2.0]), m=np.array([3.0, 4.0]))["y"] == 11


def test_what_needs_no_size_is_there_before_any_is_known() -> None:
    program = dfg.loads("input x : f64[n]\ninput m : f64[n] = 1.0\nparam w : f64[n] = 0.1\nstate k : i64 = 7\noutput y = sum(x * m * w)\noutput k\n")
    assert dfg.compile(program, outputs=["k"], update=False)()["k"] == 7
    fn = dfg.compile(program)
    assert fn.state["k"] == 7


@pytest.mark.parametrize(("declared", "size"), [("2*n", 3), ("3*n + 1", 6), ("n + 4", 2), ("n + 4", 0)])
def test_a_shape_that_no_size_has_is_told_at_the_input(declared: str, size: int) -> None:
    fn = dfg.compile(dfg.loads(f"input x : f64[{declared}]\noutput y = sum(x) + n\n"))
    with pytest.raises(dfg.UserError) as wrong:
        fn(x=np.ones(size))
    (only,) = wrong.value.diagnostics
    assert only.code == "wrong-shape" and only.span is not None and only.span.text == "x"


def test_inputs_without_a_use_stay_declared() -> None:
    program = dfg.loads("input x, z : f64[n]\ninput t : f64[n*n]\ninput c : f64[3]\nparam w : f64 = 2.0\nl = sum(w * x)\noutput l\n")
    gradient = program.grad("l", "w")
    for each in (gradient, dfg.loads(str(gradient))):
        assert list(each.inputs) == ["x", "z", "t", "c"]
        assert dfg.compile(each)(x=np.ones(2), z=np.ones(2), t=np.ones(4), c=np.ones(3))["dl_dw"] == 2


@pytest.mark.parametrize(
    ("statement", "kept"),
    [
        ("param w : f32[3, 2] = 0.01 * normal([3, 2], seed=1)", "w"),
        ("state w : f32[2] = ones([2], dtype=f64)", "w"),
        ("state w : i32[2] = arange(2)", "w"),
        ("state w : f64[2] = arange(2)", "w"),
    ],
)
def test_an_initial_value_takes_the_declared_dtype_within_its_kind(statement: str, kept: str) -> None:
    program = dfg.loads(f"{statement}\noutput {kept}\n")
    assert dfg.compile(program)()[kept].dtype == program.outputs[kept].dtype.np


@pytest.mark.parametrize("statement", ["param w : i64[2] = 0.5 * ones([2])", "state w : bool = 1 + 1", "state w : i64 = 0.5"])
def test_an_initial_value_of_a_higher_kind_is_refused(statement: str) -> None:
    with pytest.raises(dfg.UserError) as wrong:
        dfg.loads(f"{statement}\noutput w\n")
    assert [e.code for e in wrong.value.diagnostics] == ["wrong-dtype"]


def test_names_are_compared_as_python_compares_them() -> None:
    program = dfg.loads("input ŷ : f64[n]\nparam θ : f64 = 2\nﬁ = sum(θ * ŷ)\noutput ﬁ\n")
    parted = "y\u0302"
    assert dfg.compile(program, outputs=["ﬁ"])(**{parted: np.array([1.0, 2.0])})["fi"] == 6
    assert list(program.grad("ﬁ", [parted, "θ"]).outputs) == ["fi", "dfi_dŷ", "dfi_dθ"]
