"""Stabilising rewrites: each fires on its form, and value, gradient and second derivative are right where the form as written overflows, cancels or is singular."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dfg.api import compile as compile_program
from dfg.api import loads
from dfg.passes.manager import Report
from dfg.passes.stabilise import STABLE

INF = math.inf
E = math.exp(1)

# rule, form, x, value, gradient, second derivative (sums of rows), all of a vector x
CASES: list[tuple[str, str, list[float], float, list[float], list[float]]] = [
    ("log_of_exp", "sum(log(exp(x)))", [1000.0, -1000.0], 0.0, [1, 1], [0, 0]),
    ("log_of_sum", "log(sum(exp(x)))", [1000.0, 1000.0], 1000 + math.log(2), [0.5, 0.5], [0, 0]),
    ("log_of_sum", "sum(log(sum(exp(x), axis=0, keepdims=true)))", [-1000.0, -2000.0], -1000.0, [1, 0], [0, 0]),
    ("log_of_spread", "sum(log(sum(exp(x), axis=0, keepdims=true)))", [900.0, 0.0], 900.0, [1, 0], [0, 0]),
    ("log_of_quotient", "sum(log(softmax(x)))", [1000.0, 0.0], -1000.0, [-1, 1], [0, 0]),
    ("log_of_quotient", "sum(log(exp(x) / sum(exp(x))))", [1000.0, 0.0], -1000.0, [-1, 1], [0, 0]),
    ("log_of_one_plus", "sum(log(1 + exp(x)))", [1000.0, -1000.0], 1000.0, [1, 0], [0, 0]),
    ("log_of_one_plus", "sum(log(exp(x) + 1))", [0.0], math.log(2), [0.5], [0.25]),
    ("log_of_one_plus", "sum(log(exp(x) + exp(2 * x)))", [1000.0], 2000.0, [2], [0]),
    ("log_of_one_plus", "sum(log(1 + x))", [1e-18], 1e-18, [1], [-1]),
    ("log_of_one_plus", "sum(log(1 - x))", [1e-18], -1e-18, [-1], [-1]),
    ("log1p_of", "sum(log1p(exp(x)))", [1000.0], 1000.0, [1], [0]),
    ("log1p_of", "sum(log(1 - sigmoid(x)))", [1000.0], -1000.0, [-1], [0]),
    ("log1p_of", "sum(log1p(expm1(x)))", [-800.0], -800.0, [1], [0]),
    ("log_of_distribution", "sum(log(sigmoid(x)))", [-1000.0], -1000.0, [1], [0]),
    ("log_of_distribution", "sum(log(ndtr(x)))", [-40.0], -804.608442013753788, [40.0249688472072637], [-0.999377331621408611]),
    ("times_own_log", "sum(x * log(x))", [0.0, 1.0], 0.0, [-INF, 1], [INF, 1]),
    ("times_own_log", "sum(-x * log(x))", [0.0, 1.0], 0.0, [INF, -1], [-INF, -1]),
    ("times_own_log", "sum(2 * x * log(x))", [E], 2 * E, [4], [2 / E]),
    ("norm_squared", "norm(x) ** 2", [0.0, 0.0], 0.0, [0, 0], [2, 2]),
    ("norm_times_itself", "norm(x) * norm(x)", [0.0, 3.0], 9.0, [0, 6], [2, 2]),
    ("root_of_square", "sum(sqrt(x ** 2))", [0.0, -2.0], 2.0, [0, -1], [0, 0]),
    ("root_of_square", "sum(sqrt(x * x))", [0.0, 1e200], 1e200, [0, 1], [0, 0]),
    ("root_of_squares", "sqrt(sum(x ** 2))", [0.0, 0.0], 0.0, [0, 0], [0, 0]),
    ("root_of_squares", "sum(sqrt(x * x + (2 * x) ** 2))", [0.0], 0.0, [0], [0]),
    ("power_of_half", "sum(x ** 2) ** 0.5", [0.0, 0.0], 0.0, [0, 0], [0, 0]),
    ("exp_less_one", "sum(exp(x) - 1)", [1e-18], 1e-18, [1], [1]),
    ("exp_less_one", "sum(1 - exp(x))", [1e-18], -1e-18, [-1], [-1]),
    ("logistic", "sum(1 / (1 + exp(-x)))", [-1000.0, 1000.0], 1.0, [0, 0], [0, 0]),
    ("logistic", "sum(1 / (exp(x) + 1))", [1000.0], 0.0, [0], [0]),
    ("logistic", "sum(exp(x) / (1 + exp(x)))", [1000.0, 0.0], 1.5, [0, 0.25], [0, 0]),
]


@pytest.mark.parametrize(("rule", "form", "x", "value", "first", "second"), CASES, ids=[f"{c[0]}: {c[1]}" for c in CASES])
def test_value_and_gradients(rule: str, form: str, x: list[float], value: float, first: list[float], second: list[float]) -> None:
    text = f"input x : f64[{len(x)}]\nl = {form}\ng = grad(l, x)\ns = sum(g)\nh = grad(s, x)\noutput l, g, h\n"
    program = loads(text)
    report = Report()
    program.stage("stabilised", report=report)
    assert rule in report.fired
    made = compile_program(program)(x=x)
    np.testing.assert_allclose(made["l"], value, rtol=1e-12)
    np.testing.assert_allclose(made["g"], np.asarray(first, np.float64), rtol=1e-8, atol=1e-300)
    np.testing.assert_allclose(made["h"], np.asarray(second, np.float64), rtol=1e-7, atol=1e-12)


def test_every_rule_has_a_case() -> None:
    rules = {r.__name__ for table in STABLE.always.values() for r in table}
    assert rules == {c[0] for c in CASES} | {"function_of_matrix"}


def test_a_function_of_a_matrix_is_one_op() -> None:
    """At the identity the cotangents of eigenvalues and vectors alone do not hold the gradient of the logarithm."""
    program = loads("input x : f64[2, 2]\ninput c : f64[2, 2]\nw, v = eigh(x)\nl = sum(c * (v @ diag(log(w)) @ v.T))\noutput g = grad(l, x)\n")
    report = Report()
    program.stage("stabilised", report=report)
    assert "function_of_matrix" in report.fired
    made = compile_program(program)(x=np.eye(2), c=np.array([[1.0, 2.0], [0.0, 3.0]]))
    np.testing.assert_allclose(made["g"], [[1, 1], [1, 3]], rtol=1e-14)


@pytest.mark.parametrize("form", ["(v * log(w)) @ v", "(v.T * log(w)) @ v", "(v * w[::-1]) @ v.T", "(v * (w - max(w))) @ v.T", "(v * log(w)) @ u.T"])
def test_what_is_no_function_of_a_matrix_stays(form: str) -> None:
    program = loads(f"input x : f64[2, 2]\ninput z : f64[2, 2]\nw, v = eigh(x)\nq, u = eigh(z)\noutput y = {form}\n")
    report = Report()
    program.stage("stabilised", report=report)
    assert "function_of_matrix" not in report.fired
    x, z = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[3.0, 1.0], [1.0, 1.0]])
    w, v = np.linalg.eigh(x)
    _, u = np.linalg.eigh(z)
    meaning = {"(v * log(w)) @ v": (v * np.log(w)) @ v, "(v.T * log(w)) @ v": (v.T * np.log(w)) @ v, "(v * w[::-1]) @ v.T": (v * w[::-1]) @ v.T,
               "(v * (w - max(w))) @ v.T": (v * (w - w.max())) @ v.T, "(v * log(w)) @ u.T": (v * np.log(w)) @ u.T}
    np.testing.assert_allclose(compile_program(program)(x=x, z=z)["y"], meaning[form], rtol=1e-12)


def test_rules_fire_in_bodies_and_leave_other_policies_alone() -> None:
    text = "input x : f64[3]\ny = scan t in x { yield log(1 + exp(t)) }\nl = sum(y)\noutput l\noutput g = grad(l, x)\n"
    made = compile_program(loads(text))(x=[1000.0, 0.0, -1000.0])
    np.testing.assert_allclose(made["g"], [1, 0.5, 0])
    with np.errstate(all="ignore"):
        torch = compile_program(loads(text), kinks="torch")(x=[1000.0, 0.0, -1000.0])
    assert np.isnan(torch["g"][0])


def test_a_pinned_form_keeps_its_target() -> None:
    """log(1 + u) with u = exp(x), differentiated by u."""
    made = compile_program(loads("input x : f64\nu = exp(x)\nl = log(1 + u)\noutput g = grad(l, u)\n"))(x=0.0)
    assert made["g"] == 0.5
