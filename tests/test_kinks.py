"""The table of gradients at kinks and singular points, row by row: the values of our policy and of `--kinks torch` and `--kinks jax`, at first order, and ours at
second order where one exists. A kink that moves changes what users' optimisers do, so every cell is a test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from dfg.api import compile as compile_program
from dfg.api import loads

NAN, INF = math.nan, math.inf


@dataclass(frozen=True)
class Row:
    """A program with inputs `x`, and `y` where `targets` has it, whose `l` is differentiated; the gradients expected under each policy."""

    name: str
    declarations: str
    body: str
    inputs: dict[str, Any]
    dfg: dict[str, Any]
    torch: dict[str, Any]
    jax: dict[str, Any]
    value: Any = None
    second: dict[str, Any] | None = None


X = "input x : f64[n]\n"
XY = "input x, y : f64[n]\n"
ROWS = [
    Row("abs at 0", X, "l = sum(abs(x))", {"x": [0.0]}, {"x": [0]}, {"x": [0]}, {"x": [1]}, 0.0, {"x": [0]}),
    Row("relu at 0", X, "l = sum(relu(x))", {"x": [0.0]}, {"x": [0]}, {"x": [0]}, {"x": [0]}, 0.0, {"x": [0]}),
    Row("maximum, tie", XY, "l = sum(maximum(x, y))", {"x": [2.0], "y": [2.0]}, *[{"x": [0.5], "y": [0.5]}] * 3, 2.0),
    Row("minimum, tie", XY, "l = sum(minimum(x, y))", {"x": [2.0], "y": [2.0]}, *[{"x": [0.5], "y": [0.5]}] * 3, 2.0),
    Row("maximum with a constant, tie", X, "l = sum(maximum(x, 2))", {"x": [2.0]}, {"x": [0]}, {"x": [0.5]}, {"x": [0.5]}, 2.0),
    Row("maximum with an input that is no target, tie", XY, "l = sum(maximum(x, 3 * y))", {"x": [6.0], "y": [2.0]}, {"x": [0]}, {"x": [0.5]}, {"x": [0.5]}),
    Row("minimum with a constant, tie", X, "l = sum(minimum(x, 2))", {"x": [2.0]}, {"x": [0]}, {"x": [0.5]}, {"x": [0.5]}, 2.0),
    Row("clip at a bound", X, "l = sum(clip(x, -1, 1))", {"x": [-1.0, 1.0, 0.0]}, {"x": [0, 0, 1]}, {"x": [1, 1, 1]}, {"x": [0.5, 0.5, 1]}, 0.0),
    Row("max-reduce, tie", X, "l = max(x)", {"x": [3.0, 3.0, 1.0]}, *[{"x": [0.5, 0.5, 0]}] * 3, 3.0),
    Row("sqrt at 0", X, "l = sum(sqrt(x))", {"x": [0.0]}, *[{"x": [INF]}] * 3, 0.0),
    Row("norm at 0", X, "l = norm(x)", {"x": [0.0, 0.0]}, {"x": [0, 0]}, {"x": [0, 0]}, {"x": [NAN, NAN]}, 0.0),
    Row("norm ** 2 at 0", X, "l = norm(x) ** 2", {"x": [0.0, 0.0]}, {"x": [0, 0]}, {"x": [0, 0]}, {"x": [NAN, NAN]}, 0.0, {"x": [2, 2]}),
    Row("std of equal elements", X, "l = std(x)", {"x": [2.0, 2.0, 2.0]}, {"x": [0, 0, 0]}, {"x": [NAN] * 3}, {"x": [NAN] * 3}, 0.0),
    Row("x ** 0 at 0 by x", XY, "l = sum(x ** y)", {"x": [0.0], "y": [0.0]}, {"x": [0]}, {"x": [0]}, {"x": [NAN]}, 1.0),
    Row("0 ** y by y", XY, "l = sum(x ** y)", {"x": [0.0, 0.0], "y": [2.0, 0.0]}, *[{"y": [0, 0]}] * 3, 1.0),
    Row("0 ** y by y < 0", XY, "l = sum(x ** y)", {"x": [0.0], "y": [-1.0]}, {"y": [-INF]}, {"y": [-INF]}, {"y": [NAN]}, INF),
    Row("where(x > 0, log(x), 0) at 0", X, "l = sum(where(x > 0, log(x), 0))", {"x": [0.0]}, {"x": [0]}, {"x": [NAN]}, {"x": [NAN]}, 0.0, {"x": [0]}),
    Row("where(x > 0, sqrt(x), 0) at -1", X, "l = sum(where(x > 0, sqrt(x), 0))", {"x": [-1.0]}, {"x": [0]}, {"x": [NAN]}, {"x": [NAN]}, 0.0, {"x": [0]}),
    Row("where(x <= 10, exp(x), 1) at 1e10", X, "l = sum(where(x <= 10, exp(x), 1))", {"x": [1e10]}, {"x": [0]}, {"x": [NAN]}, {"x": [NAN]}, 1.0, {"x": [0]}),
    Row("where(c, log(x), 0), c true, x NaN", X, "l = sum(where(x == x or true, log(x), 0))", {"x": [NAN]}, *[{"x": [NAN]}] * 3, NAN),
    Row("where(x > 0, log(x), 0) at NaN", X, "l = sum(where(x > 0, log(x), 0))", {"x": [NAN]}, {"x": [0]}, {"x": [NAN]}, {"x": [NAN]}, 0.0),
    Row("sum(exp(x)[1:]) where exp(x[0]) is inf", "dim n >= 1\n" + X, "l = sum(exp(x)[1:])", {"x": [1e4, 0.0]}, {"x": [0, 1]}, {"x": [NAN, 1]}, {"x": [NAN, 1]}, 1.0, {"x": [0, 1]}),
    Row(
        "where(row, sum(log(x), 1), 0), dead rows singular",
        "input x : f64[m, n]\ninput row : bool[m]\n",
        "l = sum(where(row, sum(log(x), axis=1), 0))",
        {"x": [[1.0, 2.0], [0.0, 1.0]], "row": [True, False]},
        {"x": [[1, 0.5], [0, 0]]},
        {"x": [[1, 0.5], [NAN, 0]]},
        {"x": [[1, 0.5], [NAN, 0]]},
        math.log(2),
        {"x": [[-1, -0.25], [0, 0]]},
    ),
    Row("prod with one zero", X, "l = prod(x)", {"x": [2.0, 0.0, 3.0]}, *[{"x": [0, 6, 0]}] * 3, 0.0, {"x": [3, 5, 2]}),
    Row("prod with two zeros", X, "l = prod(x)", {"x": [0.0, 2.0, 0.0]}, *[{"x": [0, 0, 0]}] * 3, 0.0, {"x": [2, 0, 2]}),
    Row("sort, ties", "input x : f64[3]\n", "l = sum(sort(x) * [1, 2, 3])", {"x": [1.0, 1.0, 0.0]}, *[{"x": [2, 3, 1]}] * 3, 5.0),
    Row("floor and x", X, "l = sum(floor(x) * x)", {"x": [2.0]}, *[{"x": [2]}] * 3, 4.0),
    Row("logsumexp(-inf, 1)", X, "l = logsumexp(x)", {"x": [-INF, 1.0]}, *[{"x": [0, 1]}] * 3, 1.0),
    Row("logsumexp(-inf, -inf)", X, "l = logsumexp(x)", {"x": [-INF, -INF]}, {"x": [0, 0]}, {"x": [NAN, NAN]}, {"x": [NAN, NAN]}, -INF),
    Row("logsumexp(inf, 1)", X, "l = logsumexp(x)", {"x": [INF, 1.0]}, {"x": [1, 0]}, {"x": [NAN, 0]}, {"x": [NAN, 0]}, INF),
    Row("log(sum(exp(x))) of (-inf, -inf)", X, "l = log(sum(exp(x)))", {"x": [-INF, -INF]}, {"x": [0, 0]}, {"x": [NAN, NAN]}, {"x": [NAN, NAN]}, -INF),
    Row("softmax of [1000, 0]", "input x : f64[2]\n", "l = sum(softmax(x) * [1, 2])", {"x": [1000.0, 0.0]}, *[{"x": [0, 0]}] * 3, 1.0),
    Row("log(softmax(x)) of [1000, 0]", "input x : f64[2]\n", "l = sum(log(softmax(x)) * [0, 1])", {"x": [1000.0, 0.0]}, {"x": [-1, 1]}, {"x": [NAN, NAN]}, {"x": [NAN, NAN]}),
    Row("softmax of a row of -inf", "input x : f64[2]\n", "l = sum(softmax(x) * [1, 2])", {"x": [-INF, -INF]}, *[{"x": [NAN, NAN]}] * 3, NAN),
    Row(
        "softmax with a mask that leaves nothing",
        "input x : f64[m, n]\ninput mask : bool[m, n]\n",
        "l = sum(softmax(x, where=mask) ** 2)",
        {"x": [[1.0, 1.0], [INF, 5.0], [2.0, NAN]], "mask": [[True, True], [False, False], [True, False]]},
        {"x": [[0, 0], [0, 0], [0, 0]]},
        {},
        {},
        1.5,
    ),
    Row("atan2(0, 0)", XY, "l = sum(atan2(x, y))", {"x": [0.0], "y": [0.0]}, *[{"x": [NAN], "y": [NAN]}] * 3, 0.0),
    Row("x * log(x) at 0", X, "l = sum(x * log(x))", {"x": [0.0]}, {"x": [-INF]}, {"x": [NAN]}, {"x": [NAN]}, 0.0),
    Row("xlogy(x, x) at 0", X, "l = sum(xlogy(x, x))", {"x": [0.0]}, {"x": [-INF]}, {"x": [NAN]}, {"x": [NAN]}, 0.0),
    Row("log(1 + exp(x)) at 1000", X, "l = sum(log(1 + exp(x)))", {"x": [1000.0]}, {"x": [1]}, {"x": [NAN]}, {"x": [NAN]}, 1000.0, {"x": [0]}),
    Row("hypot(0, 0)", XY, "l = sum(hypot(x, y))", {"x": [0.0], "y": [0.0]}, {"x": [0], "y": [0]}, {"x": [NAN], "y": [NAN]}, {"x": [NAN], "y": [NAN]}, 0.0),
]


def gradients(row: Row, targets: Sequence[str], policy: str, second: bool = False) -> dict[str, np.ndarray]:
    """The value, and the gradients by some inputs (or those of the sums of the gradients)."""
    lines = [row.declarations + row.body]
    if second:
        lines += [f"g_{t} = grad(l, {t})\ns_{t} = sum(g_{t})\nd_{t} = grad(s_{t}, {t})" for t in targets]
    else:
        lines.append(f"{', '.join(f'd_{t}' for t in targets)} = grad(l, [{', '.join(targets)}])")
    lines.append(f"output l, {', '.join(f'd_{t}' for t in targets)}")
    fn = compile_program(loads("\n".join(lines) + "\n"), kinks=policy)
    return fn(**{k: v for k, v in row.inputs.items() if k in fn.inputs})


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.name)
@pytest.mark.parametrize("policy", ["dfg", "torch", "jax"])
def test_first_order(row: Row, policy: str) -> None:
    expected = getattr(row, policy)
    if not expected:
        return
    made = gradients(row, list(expected), policy)
    for name, want in expected.items():
        np.testing.assert_allclose(made[f"d_{name}"], np.asarray(want, np.float64), rtol=1e-12, atol=1e-300)
    if policy == "dfg" and row.value is not None:
        np.testing.assert_allclose(made["l"], row.value, rtol=1e-12)


@pytest.mark.parametrize("row", [r for r in ROWS if r.second is not None], ids=lambda r: r.name)
def test_second_order(row: Row) -> None:
    assert row.second is not None
    made = gradients(row, list(row.second), "dfg", second=True)
    for name, want in row.second.items():
        np.testing.assert_allclose(made[f"d_{name}"], np.asarray(want, np.float64), rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("f", ["floor(x)", "round(x)", "sign(x)", "ceil(x)", "trunc(x)", "f64(x > 0)", "f64(argmax(x))"])
def test_a_loss_that_is_flat_everywhere_draws_a_warning(f: str) -> None:
    program = loads(f"{X}l = sum({f})\noutput l\noutput d = grad(l, x)\n")
    assert [w.code for w in program.warnings] == ["disconnected-target"]
    np.testing.assert_array_equal(compile_program(program)(x=[1.5, 2.5])["d"], [0, 0])
