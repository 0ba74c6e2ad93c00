"""The public names: programs, executables, and that everything wrong is a `UserError`."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import dfg

LESSON = Path(__file__).parent.parent / "examples" / "lesson.dfg"
FED = {"x": [0.5], "ystar": [0.037371]}
COUNTER = "input x : f64[n]\nparam w : f64[2] = [1, 2]\nstate k : i64 = 0\nupdate k = k + 1\nupdate w = w + x[0]\noutput y = w[0] * x + w[1]\n"


def code_of(call: object, *arguments: object, **named: object) -> str:
    with pytest.raises(dfg.UserError) as caught:
        call(*arguments, **named)  # type: ignore[operator]
    assert len(caught.value.diagnostics) == 1
    return caught.value.diagnostics[0].code


def test_the_promise_of_the_design() -> None:
    program = dfg.load(LESSON)
    fn = dfg.compile(program)
    out = fn(**FED)
    assert list(out) == ["y", "l", "dl_dw", "dl_db"]
    assert out["l"] == pytest.approx(89.3094, abs=1e-4)
    assert out["dl_db"] == pytest.approx(179.3251, abs=1e-4)
    assert {name: str(t) for name, t in program.inputs.items()} == {"x": "f64[n]", "ystar": "f64[n]"}
    assert {name: str(t) for name, t in program.params.items()} == {"w": "f64", "b": "f64"}
    assert {name: str(t) for name, t in program.outputs.items()} == {"y": "f64[n]", "l": "f64", "dl_dw": "f64", "dl_db": "f64"}
    assert program.warnings == []
    assert "dl_dw = sum(2 * (y - ystar) * y * x)" in str(program)
    assert program.exact().startswith("default exact\n")
    assert "np.exp(" in fn.source


def test_importing_dfg_imports_nothing_heavy() -> None:
    code = "import sys, dfg; sys.exit(any(m in sys.modules for m in ('numpy', 'lark', 'networkx', 'argparse')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=LESSON.parents[1], timeout=60).returncode == 0
    assert {"compile", "load", "loads", "Program", "Executable", "UserError"} <= set(dir(dfg))
    with pytest.raises(AttributeError):
        dfg.nothing  # noqa: B018


def test_results_are_the_callers() -> None:
    fn = dfg.compile(dfg.loads("input x : f64[n]\noutput y = x\noutput z = 2 * x\n"))
    x = np.arange(3.0)
    first, second = fn(x=x), fn(x=x)
    first["y"][:] = 7
    assert x.tolist() == [0, 1, 2]
    assert second["y"].tolist() == [0, 1, 2]
    assert first["z"].tolist() == [0, 2, 4]


def test_parameters_and_states_are_kept_read_and_written() -> None:
    fn = dfg.compile(dfg.loads(COUNTER))
    assert (list(fn.params), list(fn.state)) == (["w"], ["k"])
    fn(x=[1.0])
    assert fn.params["w"].tolist() == [2, 3]
    assert fn.state["k"] == 1
    fn.params["w"] = [5, 6]
    fn.state["k"] = 10
    assert fn(x=[0.0])["y"].tolist() == [6]
    assert fn.state["k"] == 11
    fn.reset()
    assert fn(x=[0.0])["y"].tolist() == [2]
    assert code_of(fn.params.__getitem__, "v") == "unknown-name"
    assert code_of(fn.params.__setitem__, "k", 1) == "unknown-name"
    assert code_of(fn.params.__setitem__, "w", [1, 2, 3]) == "wrong-shape"
    assert code_of(fn.state.__setitem__, "k", 0.5) == "does-not-fit"
    assert code_of(fn.params.__delitem__, "w") == "bad-argument"


def test_two_executables_of_one_program_share_nothing() -> None:
    program = dfg.loads(COUNTER)
    one, other = dfg.compile(program), dfg.compile(program)
    one(x=[1.0])
    assert other(x=[0.0])["y"].tolist() == [2]


def test_bind_shares_memory_and_refuses_what_it_cannot_share() -> None:
    fn = dfg.compile(dfg.loads(COUNTER))
    w = np.array([1.0, 1.0])
    fn.bind(w=w)
    fn(x=[2.0])
    assert w.tolist() == [3, 3]
    w[:] = 0
    assert fn(x=[1.0])["y"].tolist() == [0]
    assert code_of(fn.bind, w=np.zeros(2, np.float32)) == "wrong-dtype"
    assert code_of(fn.bind, w=np.zeros(3)) == "wrong-shape"
    assert code_of(fn.bind, w=np.broadcast_to(0.0, (2,))) == "not-writable"
    assert code_of(fn.bind, x=np.zeros(2)) == "surplus-input"


def test_raw_writes_into_the_callers_arrays() -> None:
    fn = dfg.compile(dfg.load(LESSON), outputs=["l", "y"])
    l, y = np.zeros(()), np.zeros(1)
    for _ in range(3):
        fn.raw(np.array([0.5]), np.array([0.037371]), out=(l, y))
    assert l == fn(**FED)["l"]
    assert code_of(fn.raw, np.array([0.5]), np.array([0.037371]), out=(l, np.zeros(2))) == "bad-output"
    assert code_of(fn.raw, np.array([0.5])) == "missing-input"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"x": [1.0]}, "missing-input"),
        ({**FED, "z": 1}, "surplus-input"),
        ({**FED, "w": 1.0}, "surplus-input"),
        ({**FED, "x": 1.0}, "wrong-shape"),
        ({**FED, "x": [1.0, 2.0]}, "wrong-shape"),
        ({**FED, "x": [[1.0], [1.0, 2.0]]}, "ragged-literal"),
    ],
)
def test_arguments_that_do_not_fit(given: dict[str, object], code: str) -> None:
    assert code_of(dfg.compile(dfg.load(LESSON)), **given) == code


@pytest.mark.parametrize("wrong", ["text", None, object(), ["a"], {"a": 1}, np.array(["a"]), np.array([1 + 2j]), np.array([object()])])
def test_arguments_that_are_no_arrays(wrong: object) -> None:
    fn = dfg.compile(dfg.loads("input x : f64[n]\noutput y = x\n"))
    with pytest.raises(dfg.UserError):
        fn(x=wrong)


def test_lists_numbers_and_arrays_of_other_dtypes() -> None:
    fn = dfg.compile(dfg.loads("input x : f32[n]\ninput k : u8\noutput y = x * f32(k)\n"))
    assert fn(x=[1, 2], k=3)["y"].dtype == np.float32
    assert fn(x=np.array([1, 2], np.uint8), k=np.uint8(3))["y"].tolist() == [3, 6]
    assert code_of(fn, x=np.array([1.0, 2.0]), k=3) == "wrong-dtype"
    assert code_of(fn, x=[1.0], k=300) == "does-not-fit"
    assert code_of(fn, x=[1.0], k=0.5) == "does-not-fit"


def test_outputs_are_chosen_and_need_only_their_inputs() -> None:
    program = dfg.load(LESSON)
    assert list(dfg.compile(program, outputs="y")(x=[0.5])) == ["y"]
    assert list(dfg.compile(program, outputs=["l", "y"])(**FED)) == ["l", "y"]
    assert list(dfg.compile(program, outputs=["y"])(**FED)) == ["y"]  # an input that is declared may be fed
    assert code_of(dfg.compile, program, outputs=["ll"]) == "unknown-output"


def test_limits_and_backends() -> None:
    program = dfg.loads("input x : f64[n]\noutput y = sum(exp(x) * x)\n")
    fn = dfg.compile(program, memory_budget=100_000, threads=1)
    fn(x=np.zeros(10))
    assert code_of(fn, x=np.zeros(100_000)) == "too-large"
    assert fn(x=np.zeros(10))["y"] == 0
    for wrong in (0, -1, 1.5, True, "2"):
        assert code_of(dfg.compile, program, threads=wrong) == "bad-argument"
        assert code_of(dfg.compile, program, memory_budget=wrong) == "bad-argument"
    assert code_of(dfg.compile, program, "numpyy") == "unknown-backend"
    assert code_of(dfg.compile, program, kinks="numpy") == "bad-argument"


def test_the_environment_names_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFG_BACKEND", "nothing")
    assert code_of(dfg.compile, dfg.load(LESSON)) == "unknown-backend"
    dfg.compile(dfg.load(LESSON), "numpy")


@pytest.mark.parametrize("wrong", [None, 3, "text", {}, {"y": 1}])
def test_what_cannot_be_compiled(wrong: object) -> None:
    assert code_of(dfg.compile, wrong) in ("wrong-type", "bad-argument")


def test_values_of_a_graph_are_compiled_by_name() -> None:
    """What the builder's tensors hold: a `value`, of one graph."""
    graph = dfg.loads("input x : f64[n]\nu = 2 * x\nl = sum(u)\noutput l\n").graph
    fn = dfg.compile({"twice": graph.names["u"], "total": graph.names["l"]})
    assert {name: value.tolist() for name, value in fn(x=[1, 2]).items()} == {"twice": [2, 4], "total": 6}
    assert list(dfg.compile(graph.names["l"])(x=[1])) == ["l"]
    other = dfg.loads("input x : f64[n]\nu = 3 * x\noutput u\n").graph
    assert code_of(dfg.compile, {"a": graph.names["u"], "b": other.names["u"]}) == "bad-argument"


def test_cost_and_stats() -> None:
    fn = dfg.compile(dfg.load(LESSON))
    small, large = fn.cost(n=10), fn.cost(n=1000)
    assert 0 < small.peak < large.peak
    assert 0 < small.flops < large.flops
    assert code_of(fn.cost) == "dim-unbound"
    fn(**FED)
    fn(**FED)
    assert (fn.stats.runs, fn.stats.bound) == (2, 1)


def test_checkpoints(tmp_path: Path) -> None:
    fn = dfg.compile(dfg.loads(COUNTER))
    fn(x=[1.0])
    for name in ("k.safetensors", "k.npz"):
        fn.save(tmp_path / name)
        other = dfg.compile(dfg.loads(COUNTER))
        other.load(tmp_path / name)
        assert other.params["w"].tolist() == [2, 3]
        assert other.state["k"] == 1
    assert code_of(fn.save, tmp_path / "k.pkl") == "unknown-format"
    assert code_of(fn.load, tmp_path / "nothing.npz") == "no-such-file"


# --- derivatives ------------------------------------------------------------------------------------------------------------------------


def test_gradients_by_any_name() -> None:
    program = dfg.loads("input x : f64[n]\nparam w : f64 = 3\nu = w * x\nv = w * x\nl = sum(u * v)\noutput l\n")
    fn = dfg.compile(program.grad("l", ["w", "u", "v", "x"]))
    out = fn(x=[1, 2])
    assert list(out) == ["l", "dl_dw", "dl_du", "dl_dv", "dl_dx"]
    assert out["dl_dw"] == 30
    assert out["dl_du"].tolist() == [3, 6]  # another name of an equal value does not count
    assert out["dl_dv"].tolist() == [3, 6]
    assert out["dl_dx"].tolist() == [18, 36]
    assert list(program.outputs) == ["l"]


def test_gradients_of_gradients() -> None:
    program = dfg.loads("input x : f64\nl = x ** 4\noutput l\n")
    for _, name in ((1, "l"), (2, "dl_dx"), (3, "d2l_dx_dx")):
        program = program.grad(name, "x")
    out = dfg.compile(program)(x=2)
    assert {name: float(value) for name, value in out.items()} == {"l": 16, "dl_dx": 32, "d2l_dx_dx": 48, "d3l_dx_dx_dx": 48}


def test_gradients_by_records_and_by_all_parameters() -> None:
    text = "def make() = (w = ones([2]), b = 0.5)\ninput x : f64[2]\nparam p = make()\nparam c : f64 = 2\nl = c * sum(p.w * x) + p.b\noutput l\n"
    program = dfg.loads(text)
    by_record = dfg.compile(program.grad("l", ["p", "c"]))(x=[1, 2])
    assert {name: np.asarray(value).tolist() for name, value in by_record.items()} == {"l": 6.5, "dl_dp.w": [2, 4], "dl_dp.b": 1, "dl_dc": 3}
    leaves = dfg.compile(program.grad("l", list(program.params)))(x=[1, 2])
    assert sorted(leaves) == ["dl_dc", "dl_dp.b", "dl_dp.w", "l"]


def test_a_derivative_that_the_program_has_is_not_added_twice() -> None:
    program = dfg.load(LESSON)
    assert list(program.grad("l", ["w", "b"]).outputs) == ["y", "l", "dl_dw", "dl_db"]
    assert list(program.grad("l", ["b", "v"]).outputs) == ["y", "l", "dl_dw", "dl_db", "dl_dv"]


def test_gradients_of_programs_that_are_only_graphs() -> None:
    program = dfg.loads(dfg.loads("input x : f64[n]\nparam w : f64 = 3\nu = w * x\nl = sum(u ** 2)\noutput l\n").exact())
    out = dfg.compile(program.grad("l", ["w", "u"]))(x=[1, 2])
    assert out["dl_dw"] == 30
    assert out["dl_du"].tolist() == [6, 12]
    assert code_of(program.grad, "l", ["ww"]) == "unknown-name"
    assert code_of(program.grad, "u", ["w"]) == "not-scalar-loss"


@pytest.mark.parametrize(
    ("loss", "wrt", "code"),
    [
        ("ll", ["w"], "unknown-name"),
        ("l", ["ww"], "unknown-name"),
        ("l", [], "bad-argument"),
        ("u", ["w"], "not-scalar-loss"),
        ("l", ["k"], "integer-target"),
        ("l", ["w]) # "], "unknown-name"),
        ("l", [3], "unknown-name"),
        ("l", ["f"], "unknown-name"),
    ],
)
def test_a_derivative_that_cannot_be(loss: str, wrt: list[str], code: str) -> None:
    text = "input x : f64[n]\ninput k : i64\nparam w : f64 = 3\ndef f(a) = a\nu = f(w * x)\nl = sum(u ** 2)\noutput l\n"
    program = dfg.loads(text)
    with pytest.raises(dfg.UserError) as caught:
        program.grad(loss, wrt)
    (told,) = caught.value.diagnostics
    assert told.code == code
    spans = [told.span, *(label.span for label in told.labels)]
    assert all(span is None or span.stop <= len(text) for span in spans)


# --- programs ---------------------------------------------------------------------------------------------------------------------------


def test_every_error_of_a_text_is_in_the_exception() -> None:
    with pytest.raises(dfg.UserError) as caught:
        dfg.loads("input x : f64[3]\na = x + ones([4])\nb = sqqrt(x)\n", name="model.dfg")
    assert [item.code for item in caught.value.diagnostics] == ["shape-mismatch", "unknown-op"]
    assert "model.dfg:2:7" in str(caught.value)
    assert code_of(dfg.loads, b"input x : f64") == "wrong-type"
    assert code_of(dfg.load, "nowhere.dfg") == "no-such-file"


def test_stages_are_kept_and_checked() -> None:
    program = dfg.load(LESSON)
    assert program.stage("source") is program.graph
    assert program.stage("clean") is program.stage("clean")
    assert code_of(program.stage, "cleaned") == "bad-argument"


def test_pictures(tmp_path: Path) -> None:
    dfg.load(LESSON).render(tmp_path / "lesson.svg", view="both")
    assert "dl_dw" in (tmp_path / "lesson.svg").read_text()
    assert code_of(dfg.load(LESSON).render, tmp_path / "lesson.gif") == "unknown-format"


def test_a_text_may_be_deep_and_long() -> None:
    deep = "(" * 3000 + "x" + ")" * 3000
    long = " + ".join(["x"] * 3000)
    chain = "".join(f"a{k + 1} = a{k} + 1\n" for k in range(3000))
    program = dfg.loads(f"input x : f64\na0 = x\n{chain}output d = {deep}\noutput l = {long}\noutput a3000\n")
    out = dfg.compile(program)(x=1)
    assert [float(value) for value in out.values()] == [1, 3000, 3001]
    assert float(dfg.compile(program.grad("l", ["x"]))(x=1)["dl_dx"]) == 3000


def test_calls_from_several_threads() -> None:
    fn = dfg.compile(dfg.loads("input x : f64[n]\noutput y = sum(exp(x) - exp(x)) + x[0]\n"))
    wrong: list[object] = []

    def work(k: int) -> None:
        for _ in range(50):
            if fn(x=np.full(100, float(k)))["y"] != k:
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert wrong == []


# --- the builder ------------------------------------------------------------------------------------------------------------------------


def built_lesson() -> tuple[object, ...]:
    x, ystar = dfg.input("x", "f64[n]"), dfg.input("ystar", "f64[n]")
    w, b = dfg.param("w", "f64", 0.5), dfg.param("b", "f64", 2.0)
    y = np.exp(w * x + b)
    l = dfg.sum((y - ystar) ** 2)
    return w, b, l, *dfg.grad(l, [w, b])


def test_tensors_are_compiled_by_name() -> None:
    _w, _b, l, dw, _db = built_lesson()
    out = dfg.compile({"l": l, "dl_dw": dw})(**FED)
    assert list(out) == ["l", "dl_dw"]
    told = dfg.compile(dfg.load(LESSON))(**FED)
    assert (out["l"], out["dl_dw"]) == (told["l"], told["dl_dw"])
    assert dfg.compile(l)(**FED)["l"] == told["l"]
    assert "output dl_dw = sum(2 * (y - ystar) * y * x)" in str(dfg.program({"l": l, "dl_dw": dw}))


def test_tensors_with_updates_learn() -> None:
    w, b, l, dw, db = built_lesson()
    fn = dfg.compile({"l": l}, updates={w: w - 0.001 * dw, b: b - 0.001 * db})
    losses = [float(fn(**FED)["l"]) for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 3
    assert code_of(dfg.compile, dfg.load(LESSON), updates={w: w}) == "bad-argument"


def test_a_built_program_is_a_program() -> None:
    _w, _b, l, _dw, _db = built_lesson()
    program = dfg.program({"l": l})
    assert list(dfg.compile(program.grad("l", ["w", "x"]))(**FED)) == ["l", "dl_dw", "dl_dx"]
    again = dfg.loads(str(program))
    assert dfg.compile(again)(**FED)["l"] == dfg.compile(program)(**FED)["l"]


def test_traced_functions_run_on_arrays_and_compile() -> None:
    @dfg.function("x: f64[n], w: f64")
    def loss(x, w):  # type: ignore[no-untyped-def]
        return np.sum(np.exp(w * x))

    assert loss(np.ones(3), 0.0) == 3
    assert loss(np.ones(4), 0.0) == 4
    assert dfg.compile(loss)(x=np.ones(3), w=0.0) == {"loss": 3}


def test_a_tensor_draws_itself_for_a_notebook() -> None:
    *_, l, _dw, _ = built_lesson()
    assert l._repr_svg_().startswith("<svg") or "<svg" in l._repr_svg_()  # type: ignore[attr-defined]


def test_every_builder_name_is_public_and_hides_no_module() -> None:
    import pkgutil

    from dfg.api.python import builder_names

    modules = {module.name for module in pkgutil.iter_modules(dfg.__path__)}
    assert modules & set(builder_names()) == set()
    assert set(builder_names()) <= set(dir(dfg))
    assert dfg.tanh is builder_names()["tanh"]
    with pytest.raises(AttributeError, match="did you mean 'tanh'"):
        dfg.tahn  # noqa: B018


@pytest.mark.parametrize(("declared", "output", "fed", "want"), [
    ("input x : f64[n]", "zeros([n])", {"x": (3,)}, (3,)),
    ("input x : f64[n]\ninput y : f64[n, m]", "zeros([m])", {"y": (2, 5)}, (5,)),
    ("input x : f64[2 * k + 1]", "zeros([k])", {"x": (7,)}, (3,)),
    ("input x : f64[n]\ninput y : f64[n * m]", "zeros([m])", {"x": (2,), "y": (6,)}, (3,)),
    ("input x : f64[n]\ninput y : f64[m]\ndim m == n + 1", "zeros([n, m])", {"x": (2,)}, (2, 3)),
    ("input x : f64[n]", "jacobian(floor(x), x)", {"x": (2,)}, (2, 2)),
    ("input x : f64[n]\nl = sum(floor(x))", "grad(l, x)", {"x": (4,)}, (4,)),
], ids=lambda value: str(value).replace("\n", "; ") if isinstance(value, str) else None)  # fmt: skip
def test_sizes_come_from_inputs_that_nothing_reads(declared: str, output: str, fed: dict[str, tuple[int, ...]], want: tuple[int, ...]) -> None:
    program = dfg.loads(f"{declared}\noutput r = {output}\n")
    arrays = {name: np.ones(shape) for name, shape in fed.items()}
    exact = dfg.loads(dfg.loads(program.exact()).exact())
    clean = dfg.api.Program(program.stage("clean"))
    for made in (program, exact, clean, dfg.loads(clean.exact()), dfg.loads(str(program))):
        fn = dfg.compile(made)
        assert set(fn.inputs) == set(fed)
        result = fn(**arrays)["r"]
        assert result.shape == want
        assert not result.any()
        assert code_of(fn) == "missing-input"


def test_an_input_that_is_given_and_not_needed_says_how_large_a_parameter_begins() -> None:
    program = dfg.loads("input x : f64[n, d]\nparam w : f64[d] = 0.5\noutput s = sum(x @ w)\noutput k = sum(w)\n")
    fn = dfg.compile(program, outputs=["k"])
    assert list(fn.inputs) == []
    assert code_of(fn) == "dim-unbound"
    assert fn(x=np.ones((2, 4)))["k"] == 2.0
    assert fn()["k"] == 2.0
    other = dfg.compile(program, outputs=["k"])
    other.params["w"] = np.ones(3)
    assert other()["k"] == 3.0
