"""Random expressions give what NumPy gives, whatever the order in which inputs are combined; their gradients agree with differences."""

from __future__ import annotations

from typing import Any

import numpy as np
from builder_run import run
from hypothesis import given, settings
from hypothesis import strategies as st

import dfg.frontend.builder as b

UNARY = [
    np.exp,
    np.tanh,
    np.sin,
    np.cos,
    np.negative,
    lambda x: np.sqrt(x * x + 1),
    lambda x: x.T.T,
    lambda x: np.flip(x, axis=0),
    lambda x: x[::-1, 1:],
]
BINARY = [
    np.add,
    np.subtract,
    np.multiply,
    np.maximum,
    np.minimum,
    lambda x, y: x / (y * y + 1),
    lambda x, y: np.where(x > y, x, 2 * y),
    lambda x, y: np.concatenate([x, y], axis=1),
    lambda x, y: x @ y.T,
    lambda x, y: np.einsum("ij,ij->j", x, y),
    lambda x, y: np.stack([x, y])[0],
]
REDUCE = [
    lambda x: np.sum(x, axis=0, keepdims=True),
    lambda x: np.mean(x, axis=1, keepdims=True),
    lambda x: x.max(axis=0),
    lambda x: x.reshape(-1),
]


@st.composite
def programs(draw: Any) -> list[tuple[int, int, int, int]]:
    return draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=10))


def build(steps: list[tuple[int, int, int, int]], leaves: list[Any]) -> list[Any]:
    """The same program on tensors or arrays: steps that NumPy refuses are left out of both."""
    values = list(leaves)
    for kind, op, i, j in steps:
        x, y = values[i % len(values)], values[j % len(values)]
        table = (UNARY, BINARY, REDUCE)[kind]
        f = table[op % len(table)]
        values.append(f(x, y) if kind == 1 else f(x))
    return values


def usable(steps: list[tuple[int, int, int, int]], arrays: list[np.ndarray]) -> list[tuple[int, int, int, int]]:
    kept: list[tuple[int, int, int, int]] = []
    for step in steps:
        try:
            with np.errstate(all="ignore"):
                last = build([*kept, step], arrays)[-1]
        except (ValueError, IndexError):
            continue
        if np.ndim(last) == 2 and last.size and np.abs(last).max() < 1e6:
            kept.append(step)
    return kept


@given(programs(), st.integers(0, 5))
@settings(max_examples=60)
def test_random_expressions(steps: list[tuple[int, int, int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), rng.normal(size=(1, 3))]
    steps = usable(steps, arrays)
    inputs = [b.input(f"x{k}", f"f64[{a.shape[0]}, 3]") for k, a in enumerate(arrays)]
    made = build(steps, inputs)
    expected = build(steps, arrays)
    env = {f"x{k}": a for k, a in enumerate(arrays)}
    got = run({f"v{k}": v for k, v in enumerate(made)}, **env)
    for k, e in enumerate(expected):
        assert got[f"v{k}"].shape == e.shape and str(made[k].shape) == str(e.shape)
        np.testing.assert_allclose(got[f"v{k}"], e, rtol=1e-10, atol=1e-10)
    total = sum((v * 0.1).sum() for v in made[3:]) if steps else made[0].sum()
    gradient = run({"g": b.grad(total, inputs[0])}, **env)["g"]
    direction = rng.normal(size=(3, 3))
    with np.errstate(all="ignore"):
        sides = [
            sum((v * 0.1).sum() for v in build(steps, [arrays[0] + s * 1e-6 * direction, *arrays[1:]])[3:])
            if steps
            else (arrays[0] + s * 1e-6 * direction).sum()
            for s in (1, -1)
        ]
    slope = (sides[0] - sides[1]) / 2e-6
    assert np.isfinite(gradient).all()
    if abs(slope) < 1e4:
        np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=1e-3, atol=1e-3)
