"""Every form of every op against its meaning in NumPy and SciPy; gradients against central differences of that meaning, second derivatives against those of the gradient."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from dfg.dims import DimLike, parse_dim
from tests.conformance import forms_layers, meaning, ops_adapter
from tests.conformance.forms import TABLE, Form, forms
from tests.conformance.forms_more import MORE

STEP = 1e-5
STATIC = {"getitem", "setitem", "median_lower", "unstack", "split", "chunk", "glu", "repeat"}
"""Ops that need to know sizes: how many parts there are, where a slice ends."""


def meant(op: str, inputs: dict[str, Any], attrs: dict[str, Any]) -> list[np.ndarray]:
    given = {k: v for k, v in inputs.items() if not (k[0] == "i" and k[1:].isdigit())}
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's of empty slices
        made = meaning.OPS[op](**given, **attrs)
    return [np.asarray(m) for m in (made if isinstance(made, tuple | list) else (made,))]


def same(got: np.ndarray, want: np.ndarray, loose: bool = False) -> None:
    assert got.shape == want.shape, f"shape {got.shape}, not {want.shape}"
    # A number beside f32 is of f32 here, and of f64 in some of SciPy's.
    narrow = got.dtype == np.float32 and want.dtype == np.float64 and loose
    assert (got.dtype == want.dtype) or narrow or (got.dtype.kind == want.dtype.kind == "i"), f"dtype {got.dtype}, not {want.dtype}"
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want)
        return
    finite = np.isfinite(want)
    scale = float(np.max(np.abs(want[finite]))) if finite.any() else 0.0
    tolerance = (1e-10 if want.dtype == got.dtype == np.float64 else 1e-5) * max(scale, 1e-6)
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance)


def part(inputs: dict[str, Any], name: str) -> np.ndarray:
    """An input, or an element of one that is a list."""
    name, _, k = name.partition(".")
    return np.asarray(inputs[name][int(k)] if k else inputs[name])


def check(op: str, form: Form, rng: np.random.Generator, symbolic: bool, twice: bool) -> None:
    inputs, attrs, smooth = form
    want = meant(op, inputs, attrs)
    cots = {i: rng.normal(size=o.shape) for i, o in enumerate(want) if o.dtype == np.float64} if smooth else None
    directions = {k: rng.normal(size=part(inputs, k).shape) for k in smooth} if cots else None

    def size(n: int) -> DimLike:
        return parse_dim(f"n{n}") if symbolic and n > 1 else n

    got = ops_adapter.run(op, inputs, attrs, cots, smooth if cots else [], directions, size)
    assert len(got["outs"]) == len(want)
    # A cotangent has the type of the value; the forms in f32 check values only.
    loose = any(np.asarray(x).dtype == np.float32 for v in inputs.values() for x in (v if isinstance(v, list) else [v]))
    for a, b in zip(got["outs"], want, strict=True):
        same(a, b, loose)
    if not cots or not directions:
        return

    def moved(t: float) -> dict[str, Any]:
        def shifted(k: str, v: Any) -> Any:
            if isinstance(v, list):
                return [shifted(f"{k}.{i}", x) for i, x in enumerate(v)]
            return v + t * directions[k] if k in smooth else v

        return {k: shifted(k, v) for k, v in inputs.items()}

    def value(t: float) -> float:
        outs = meant(op, moved(t), attrs)
        return sum(float(np.sum(c * outs[i])) for i, c in cots.items())

    numeric, rough = ((value(h) - value(-h)) / (2 * h) for h in (STEP, 2 * STEP))
    terms = np.concatenate([(got["grads"][k] * directions[k]).ravel() for k in smooth])
    scale = max(1e-2, abs(numeric), float(np.sum(np.abs(terms))))
    if abs(numeric - rough) < 1e-5 * scale:  # not across a kink
        assert abs(float(np.sum(terms)) - numeric) <= 1e-5 * scale, f"gradient {np.sum(terms)}, differences {numeric}"
        if not twice:
            return
        first = [ops_adapter.run(op, moved(t), attrs, cots, smooth, None)["grads"] for t in (STEP, -STEP)]
        for k in smooth:
            second = (first[0][k] - first[1][k]) / (2 * STEP)
            np.testing.assert_allclose(got["hv"][k], second, rtol=0, atol=2e-4 * max(1.0, float(np.max(np.abs(second), initial=0))))


@pytest.mark.parametrize("op", sorted(MORE))
def test_more_forms(op: str) -> None:
    """With fixed sizes; every third one twice differentiated."""
    rng = np.random.default_rng([20261123, *map(ord, op)])
    for number, form in enumerate(f for generator in MORE[op] for f in generator(op, rng)):
        inputs, attrs, _ = form
        shapes = {k: [np.shape(x) for x in v] if isinstance(v, list) else np.shape(v) for k, v in inputs.items()}
        try:
            check(op, form, rng, symbolic=False, twice=number % 6 == 0)
        except Exception as e:
            raise AssertionError(f"{op} of {shapes} with {attrs}: {e}") from e


def test_every_op_has_forms() -> None:
    assert {*TABLE, *MORE} == set(meaning.OPS) == set(ops_adapter.TABLE)
    assert forms_layers.__name__  # it fills the table


@pytest.mark.parametrize("op", sorted(TABLE))
def test_forms(op: str) -> None:
    rng = np.random.default_rng(sum(map(ord, op)))
    tried = 0
    for number, form in enumerate(forms(op, rng)):
        inputs, attrs, _ = form
        shapes = {k: np.shape(v) for k, v in inputs.items()}
        try:
            check(op, form, rng, symbolic=number % 2 == 1 and op not in STATIC, twice=number % 4 == 0)
        except Exception as e:
            raise AssertionError(f"{op} of {shapes} with {attrs}: {e}") from e
        tried += 1
    assert tried > 1
