"""Traced functions, the array API's namespace, composites, and what a notebook shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builder_run import refused, run

import dfg
import dfg.frontend.builder as b
from dfg.ir import digest

assert dfg.function is b.function  # reading a public name sets the hooks


@b.function("x: f64[n], w: f64")
def loss(x: Any, w: Any) -> Any:
    """The sum of exponentials."""
    return np.sum(np.exp(w * x))


def test_the_program_of_a_function() -> None:
    assert loss.__name__ == "loss" and loss.__doc__ == "The sum of exponentials."
    trace = loss.trace()
    assert trace is loss.trace()
    assert list(trace.inputs) == ["x", "w"] and list(trace.outputs) == ["loss"]
    x, w = b.input("x", "f64[n]"), b.input("w", "f64")
    assert digest(trace.graph) == digest(b.program({"loss": np.sum(np.exp(w * x))}).graph)


def test_on_tensors_it_is_its_body() -> None:
    x, w = b.input("data", "f64[5]"), b.param("slope", "f64", 0.1)
    y = loss(x, w)
    got = run({"y": y, "g": b.grad(y, w)}, data=np.ones(5))
    np.testing.assert_allclose(got["y"], 5 * np.exp(0.1))
    np.testing.assert_allclose(got["g"], 5 * np.exp(0.1))
    graph = b.program({"y": y}).graph
    assert set(graph.calls.values()) == {"loss"}
    twice = b.program({"y": loss(x, w) + loss(x * 2, w)}).graph
    assert {"loss", "loss_2"} <= set(twice.calls.values())
    assert not any(v.op.name == "pin" for v in graph.values)


def test_on_arrays_it_runs() -> None:
    assert dfg.function is b.function
    np.testing.assert_allclose(loss(np.ones(3), 0.5), 3 * np.exp(0.5))
    np.testing.assert_allclose(loss(np.ones(4), w=0.5), 4 * np.exp(0.5))
    np.testing.assert_allclose(loss([1, 2], 1), np.e + np.e**2)


def test_parameters_are_targets_of_their_own() -> None:
    @b.function
    def g(p: Any, q: Any) -> Any:
        return b.grad(p * q, p)

    x = b.input("x", "f64")
    assert run({"y": g(x, x)}, x=3.0)["y"] == 3.0
    u = x * 2
    assert run({"y": g(u, u)}, x=3.0)["y"] == 6.0


def test_types_are_checked_and_dims_are_local() -> None:
    @b.function("x: f64[n], y: f64[n], k: f64[2*n]")
    def f(x: Any, y: Any, k: Any) -> Any:
        return x + y + k[: x.shape[0]]

    good = f(b.input("a", "f64[m]"), b.input("c", "f64[m]"), b.input("d", "f64[2*m]"))
    assert str(good.type) == "f64[m]"
    assert refused(lambda: f(b.input("a", "f64[3]"), b.input("c", "f64[4]"), b.input("d", "f64[6]"))).code == "shape-mismatch"
    assert refused(lambda: f(b.input("a", "f64[3]"), b.input("c", "f64[3]"), b.input("d", "f64[5]"))).code == "shape-mismatch"
    assert refused(lambda: f(b.input("a", "f32[3]"), b.input("c", "f64[3]"), b.input("d", "f64[6]"))).code == "wrong-dtype"
    assert refused(lambda: f(b.input("a", "f64[3]"))).code == "missing-argument"


def test_annotations_structures_and_other_arguments() -> None:
    @b.function
    def f(x: "f64[n]", scale: Any = 2, mode: str = "sum") -> Any:  # type: ignore[name-defined]  # noqa: F821, UP037
        y = x * scale
        return {"y": y, "total": y.sum() if mode == "sum" else y.mean()}

    assert set(f(np.ones(3))) == {"y", "total"}
    np.testing.assert_allclose(f(np.ones(3))["total"], 6)
    np.testing.assert_allclose(f(np.ones(3), mode="mean", scale=5)["total"], 5)
    pair = b.function("x: f64[n]")(lambda x: (x.sum(), [x, -x]))
    total, (plus, minus) = pair(np.arange(3.0))
    assert total == 3 and list(plus) == [0, 1, 2] and list(minus) == [0, -1, -2]


def test_the_namespace_of_the_standard() -> None:
    x = b.input("x", "f64[n, 3]")
    xp = x.__array_namespace__()
    assert xp is x.__array_namespace__(api_version="2023.12")
    assert refused(lambda: x.__array_namespace__(api_version="1999")).code == "bad-argument"

    def standardise(x: Any) -> Any:
        xp = x.__array_namespace__()
        centred = x - xp.mean(x, axis=0, keepdims=True)
        if xp.isdtype(x.dtype, "integral"):
            centred = xp.astype(centred, xp.float64)
        scale = xp.sqrt(xp.mean(xp.pow(centred, 2), axis=0))
        return xp.concat([centred / scale, xp.zeros_like(x)], axis=1) @ xp.ones((6,), dtype=x.dtype)

    X = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_allclose(run({"y": standardise(x)}, x=X)["y"], standardise(X), atol=1e-12)
    assert xp.float32 is b.names()["f32"] and xp.result_type(x, 1.0) is x.dtype and xp.can_cast(xp.float32, xp.float64)
    assert xp.finfo(x).eps == np.finfo(np.float64).eps and xp.pi == np.pi
    assert xp.asarray([1, 2]).dtype is xp.int64 and xp.asarray(x) is x
    assert str(xp.linalg.matmul(x, xp.matrix_transpose(x)).type) == "f64[n, n]"
    assert "sum" in dir(xp) and not hasattr(xp, "summ")
    info = xp.__array_namespace_info__()
    assert info.default_dtypes()["real floating"] is xp.float64 and "float32" in info.dtypes(kind="real floating")


def test_notebooks_get_a_picture() -> None:
    assert dfg.grad is b.grad
    y = np.exp(b.input("x", "f64[n]"))
    bundle = y._repr_mimebundle_()
    assert bundle["text/plain"] == "<Tensor y: f64[n] = exp(…)>"
    assert bundle["image/svg+xml"].lstrip().startswith("<") and "svg" in bundle["image/svg+xml"]
    assert y._repr_svg_() == bundle["image/svg+xml"]


def test_public_names() -> None:
    for name in "input param state const asarray dim grad vjp jvp jacobian hessian hvp vmap value_and_grad stop_gradient custom_vjp pin scan function".split():
        assert callable(getattr(dfg, name))
    assert dfg.sum is dfg.sum and "exp" in dir(dfg)
    with pytest.raises(AttributeError):
        _ = dfg.no_such_name


def test_compile_takes_tensors() -> None:
    x = dfg.input("x", "f64[n]")
    w = dfg.param("w", "f64", 2.0)
    l = dfg.sum(w * x**2)
    dw = dfg.grad(l, w)
    fn = dfg.compile({"l": l, "dl_dw": dw})
    got = fn(x=[1.0, 2.0])
    assert list(got) == ["l", "dl_dw"] and got["l"] == 10 and got["dl_dw"] == 5
    assert list(dfg.compile(l)(x=[1.0])) == ["l"]
    steps = dfg.compile(dfg.program({"l": l}, {w: w - 0.1 * dw}))
    assert [float(steps(x=[1.0, 2.0])["l"]) for _ in range(2)] == [10.0, 7.5]
    apart = dfg.input("z", "f64")
    assert dfg.compile({"a": l, "c": apart})(x=[1.0], z=3.0)["c"] == 3


def test_composites_are_lowered_as_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    from dfg.frontend import prelude
    from dfg.frontend.builder.functions import _MADE
    from dfg.frontend.builder.functions import function as named
    from dfg.frontend.lowering.program import load_text

    text = (
        "# Numbers that add up to 1.\ndef squash(z, axis = -1) {\n  t = exp(z - stop_gradient(max(z, axis=axis, keepdims=true)))\n"
        "  t / sum(t, axis=axis, keepdims=true)\n}\ndef both(a, c) = (a + c, a - c)\n"
    )
    for place in prelude.places_in("nn.dfg", text):
        monkeypatch.setitem(prelude.FUNCTIONS, place.name, prelude.Composite(place))
    try:
        squash = named("squash")
        assert squash.__doc__ is not None and "add up to 1" in squash.__doc__
        x = b.input("x", "f64[n, 3]")
        y = squash(x, axis=0)
        text = load_text("input x : f64[n, 3]\noutput y = squash(x, axis=0)\n").graph
        assert digest(b.program({"y": y}).graph) == digest(text)
        left, right = named("both")(x, [1, 2, 3])
        np.testing.assert_allclose(run({"l": left, "r": right}, x=np.zeros((2, 3)))["r"], [[-1, -2, -3]] * 2)
        d = refused(lambda: named("both")(x, np.ones(4)))
        assert d.code == "shape-mismatch" and d.span is not None and d.span.text.startswith("named(\"both\")")
    finally:
        for name in ("squash", "both"):
            _MADE.pop(name, None)
