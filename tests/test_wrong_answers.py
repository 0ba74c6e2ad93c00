"""One test for each rule behind which a wrong answer once stood: each goes through the public API and fails if its rule is broken."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memory import holds_its_declaration, resident
from numpy.lib.stride_tricks import as_strided

import dfg
from dfg.cli import main
from dfg.ir import Graph, Value
from dfg.ops.base import OPS
from dfg.passes.manager import PIPELINE
from dfg.passes.stabilise import STABLE

ROOT = Path(__file__).parent.parent


def run(text: str, **inputs: Any) -> dict[str, np.ndarray]:
    return dfg.compile(dfg.loads(text))(**inputs)


def again(program: dfg.Program) -> list[dfg.Program]:
    """The program, and what its two printings read back to."""
    return [program, dfg.loads(program.exact()), dfg.loads(str(program))]


# --- targets are names: pins -------------------------------------------------------------------------------------------------------


def test_a_parameter_is_a_name_whatever_the_caller_passed() -> None:
    """`grad(a * b, a)` is b; where both are one value, merging them would give 2 x."""
    out = run("""
        def g(a, b) = grad(a * b, a)
        def h(a, b) = grad(grad(a * a * b, a), b)
        input x : f64
        output once = g(x, x)
        output twice = h(x, x)
        output whole = grad(x * x, x)
    """, x=3.0)
    assert (float(out["once"]), float(out["twice"]), float(out["whole"])) == (3.0, 6.0, 6.0)


def test_an_equal_value_under_another_name_is_another_target() -> None:
    text = """
        input x : f64[n]
        u = x * x
        v = x * x
        l = sum(u + 3 * v)
        output l
        output a, b, c = grad(l, [u, v, x])
    """
    for program in again(dfg.loads(text)):
        out = dfg.compile(program)(x=[5.0])
        assert [float(out[name][0]) for name in ("a", "b", "c")] == [1.0, 3.0, 40.0]


# --- stabilising before differentiation ------------------------------------------------------------------------------------------------


def softplus_rule(g: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Value | None:
    """log(1 + exp x) = x + log(1 + exp(-x)) for x > 0: what a stabilising rule does, in its simplest form."""
    (total,) = operands
    for e in total.operands if total.op is OPS["add"] else ():
        if e.op is OPS["exp"] and e.operands[0].op is not OPS["negative"]:
            x = e.operands[0]
            small = OPS["exp"](OPS["negative"](OPS["maximum"](x, -x)))
            return OPS["maximum"](x, x * 0.0) + OPS["log"](small + 1.0)
    return None


@pytest.mark.parametrize("own", [False, True], ids=["as shipped", "with a rule that would match"])
def test_a_stabilising_rewrite_does_not_cut_a_target_off(own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """log(1 + u) with u = exp(x), differentiated by u, is 1 / (1 + u); as a function of x alone it would not depend on u."""
    if own:
        monkeypatch.setitem(STABLE.always, OPS["log"], [softplus_rule, *STABLE.always.get(OPS["log"], ())])
    program = dfg.loads("""
        input x : f64[n]
        u = exp(x)
        l = sum(log(1 + u))
        output l
        output dl_du, dl_dx = grad(l, [u, x])
    """)
    assert not program.warnings, "a target that was cut off is told as disconnected"
    x = np.array([-3.0, 0.0, 2.0])
    out = dfg.compile(program)(x=x)
    np.testing.assert_allclose(out["dl_du"], 1 / (1 + np.exp(x)), rtol=1e-12)
    np.testing.assert_allclose(out["dl_dx"], np.exp(x) / (1 + np.exp(x)), rtol=1e-12)
    if own:
        assert float(run("input x : f64[n]\noutput l = sum(log(1 + exp(x)))", x=[800.0])["l"]) == 800.0, "the rule fires where no target is"


# --- dead lanes ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "left_out",
    ["e[1:]", "e[idx]", "e[idx, newaxis]", "(e with [0] = 1.0)", "(e with [:1] = 1.0)", "where(x > 500, 2.0, e)", "flip(e)[:1]", "concat([e[1:], e[1:]])"],
)
@pytest.mark.parametrize("order", [1, 2])
def test_lanes_that_are_left_out_hide_what_is_singular_there(left_out: str, order: int) -> None:
    """exp(x[0]) = inf: `inf * 0` would be NaN; a mask that only starts at `where` leaves it in slices and gathers."""
    derivative = "d" if order == 1 else "grad(sum(d * d), x)"
    text = f"""
        input x : f64[2]
        e = exp(x)
        idx = [1]
        l = sum({left_out} ** 2)
        d = grad(l, x)
        output l
        output g = {derivative}
    """
    singular, harmless = run(text, x=[1000.0, 0.5]), run(text, x=[1.0, 0.5])
    assert np.isfinite(singular["g"]).all() and singular["g"][0] == 0.0
    assert singular["g"][1] == harmless["g"][1] != 0.0


@pytest.mark.parametrize("kept", ["e", "e[:1]", "e[[0]]", "where(x > 500, e, 2.0)", "(e with [1] = 1.0)"])
def test_a_nan_of_a_live_lane_still_shows(kept: str) -> None:
    out = run(f"input x : f64[2]\ne = exp(x) - exp(x)\nl = sum({kept})\noutput g = grad(l, x)", x=[1000.0, 0.5])
    assert np.isnan(out["g"][0])


# --- sizes ---------------------------------------------------------------------------------------------------------------------------


def test_the_order_of_operands_does_not_choose_the_type() -> None:
    """Two sizes that a declaration makes equal have one normal form, so `x + y` and `y + x` have one type and are one value."""
    def program(sum_of: str, declared: str) -> dfg.Program:
        return dfg.loads(f"input x : f64[n]\ninput y : f64[m]\n{declared}\noutput z = {sum_of}\noutput same = (x + y) - (y + x)\n")

    made = [program(s, d) for s in ("x + y", "y + x") for d in ("dim n == m", "dim m == n")]
    assert len({str(p.outputs["z"]) for p in made}) == 1
    for p in made:
        assert len([v for v in p.graph.values if v.op.name == "add"]) == 1
        assert dfg.compile(p)(x=[1.0, 2.0], y=[3.0, 5.0])["z"].tolist() == [4.0, 7.0]
        with pytest.raises(dfg.UserError, match="n"):
            dfg.compile(p)(x=[1.0, 2.0], y=[3.0])
    codes = []
    for s in ("x + y", "y + x"):
        with pytest.raises(dfg.UserError) as told:
            program(s, "")
        codes.append(told.value.diagnostics[0].code)
    assert len(set(codes)) == 1, "neither order is accepted without the declaration"


# --- text ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("literal", ["-2.0", "-0.0", "-2", "-1e-320", "-9223372036854775808", "-inf"])
def test_a_minus_before_a_number_is_part_of_the_number(literal: str) -> None:
    """-2.0 as neg(2.0) would be another graph, fold or not fold by chance, and `(-2.0) ** x` would become `-(2.0 ** x)`."""
    program = dfg.loads(f"input x : f64[n]\noutput y = x * {literal}\noutput p = ({literal}) ** x\n")
    values: list[bytes] = []
    for p in again(program):
        assert not any(v.op.name == "negative" for v in p.graph.values)
        assert any(v.op.name == "constant" and float(v.attrs[0].array) == float(literal) for v in p.graph.values)
        out = dfg.compile(p)(x=np.array([2.0, 3.0, 0.0]))
        values.append(out["y"].tobytes() + out["p"].tobytes())
    assert values[0] == values[1] == values[2]
    with np.errstate(all="ignore"):
        assert values[0] == (np.array([2.0, 3.0, 0.0]) * float(literal)).tobytes() + (np.float64(literal) ** np.array([2.0, 3.0, 0.0])).tobytes()
    assert float(run(f"input x : f64\noutput y = x - {literal.removeprefix('-')}", x=1.0)["y"]) == 1.0 - float(literal.removeprefix("-"))


# Decimals whose f64 lies exactly between two f32, and that do not themselves: just above and below 1 + 2**-24, at the edge of the f32 numbers, below the normal ones.
HALVES = [
    ("1.000000059604644775390625000000000001", 1 + Fraction(1, 2**23)),
    ("1.00000017881393432617187499999999999", 1 + Fraction(1, 2**23)),
    ("340282356779733661637539395458142568447.0", Fraction(2**128 - 2**104)),
    ("7.00649232162408535461864791644958065641e-46", Fraction(1, 2**149)),
    ("1152921573326323713", Fraction(2**60 + 2**37)),
]


@pytest.mark.parametrize(("text", "exact"), HALVES, ids=[t[:22] for t, _ in HALVES])
@pytest.mark.parametrize("sign", ["", "-"])
def test_a_written_number_is_rounded_once(text: str, exact: Fraction, sign: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Through f64 it would be rounded twice, wherever a program, a printed program or the command line writes it."""
    literal, want = sign + text, float(exact if not sign else -exact)
    with np.errstate(over="ignore"):
        assert want == float(np.float32(want)) and np.float32(float(literal)) != np.float32(want), "the case is one where a second rounding is wrong"
    program = dfg.loads(f"""
        default f32
        input x : f32[n]
        param p : f32 = {literal}
        const c = {literal}
        const d : f32 = {literal}
        def f(v : f32) = v * 1
        output met = x * {literal}
        output cast = f32({literal})
        output listed = x * [{literal}, 1.0, {literal}][:1]
        output picked = x * [0.5, {literal}][1]
        output filled = full([1], {literal})
        output constant = x * c
        output typed = x * d
        output passed = f({literal})
        output kept = p
    """)
    if "." in text:
        for read in again(program):
            out = dfg.compile(read)(x=np.ones(1, np.float32))
            assert {name: float(a.ravel()[0]) for name, a in out.items()} == dict.fromkeys(out, want)
            assert {a.dtype for a in out.values()} == {np.dtype(np.float32)}
    else:
        assert float(run(f"input x : f32\noutput y = x * {literal}", x=1)["y"]) == float(run(f"output y = f32({literal})")["y"]) == want
    path = tmp_path / "program.dfg"
    path.write_text("input y : f32\noutput y\n", encoding="utf-8")
    assert main(["run", str(path), "--input", f"y={literal}", "--json"]) == 0
    assert np.float32(json.loads(capsys.readouterr().out)["outputs"]["y"]["value"]) == np.float32(want)


# --- what a call allocates ---------------------------------------------------------------------------------------------------------------

SIDE = 700
N = SIDE * SIDE
SOURCES: dict[str, str] = {
    "gather": "output y = x[i]",
    "gather of rows": "output y = a[i[:300]]",
    "gather of columns": "output y = a[:, i[:300]]",
    "gather of pairs": "output y = a[i, i]",
    "gather by negative indices": "output y = x[-1 - i]",
    "gradient of a gather": "l = sum(x[i] ** 2)\noutput y = grad(l, x)",
    "replace": "output y = x with [i] = 2.0",
    "add at": "output y = x with [i] += x",
    "where": "output y = where(x > 0.5, x, -x)",
    "concat": "output y = concat([x, x])",
    "reductions": "output y = sum(x * x) + max(a) + sum(sum(a, axis=0))",
    "argmax across": "output y = argmax(a, axis=0)",
    "powers": "output y = x ** 2.5 + x ** 3",
    "product of transposed": "output y = a.T @ a",
    "casts": "output y = f32(x) + f32(1)",
    "flip": "output y = flip(a, axis=0) + a.T",
    "draws": "output y = x + normal([n], seed=1)",
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_call_allocates_its_outputs_and_declared_workspace(name: str) -> None:
    """`take` with `out=` copies unless its mode is not `raise`; `where` has no `out`; mixed dtypes are converted whole. NumPy's 64 kB buffers remain."""
    fn = dfg.compile(dfg.loads(f"input x : f64[n]\ninput a : f64[s, s]\ninput i : i64[n]\ndim s >= 300\ndim n >= 300\n{SOURCES[name]}\n"))
    rng = np.random.default_rng(0)
    given = {"x": rng.random(N), "a": rng.random((SIDE, SIDE)), "i": rng.integers(0, SIDE, N)}
    given = {k: v for k, v in given.items() if k in fn.inputs}
    holds_its_declaration(fn, given, loose=True, n=N, s=SIDE)


LAPACK = (
    "solve", "qr", "cholesky", "inv", "det", "slogdet", "cofactor", "cofactor_slope",
    "eigh", "eigvalsh", "svd", "svdvals", "pinv", "expm",
)
@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak of the resident memory is Linux's to tell")
@pytest.mark.parametrize("dtype", ["f64", "f32"])
@pytest.mark.parametrize("shape", ["900 900", "20 200 200", "40000 20", "20 40000"])
def test_the_workspace_of_lapack_is_declared(shape: str, dtype: str) -> None:
    """tracemalloc does not see LAPACK's copies (cholesky takes two arrays), so resident memory decides. What is declared holds NumPy's result too."""
    names = [name for name in LAPACK if name in OPS] if shape.split()[-1] == shape.split()[-2] else ["qr"]
    array = 8 * int(np.prod([int(n) for n in shape.split()]))
    wrong = {
        name: f"{measured / array:.2f} arrays, declared {declared / array:.2f}"
        for name, measured, declared in resident(dtype, shape, names)
        if abs(measured - declared) > 1_200_000 + measured / 20
    }
    assert not wrong


# --- bits ----------------------------------------------------------------------------------------------------------------------------------


def test_products_have_the_same_bits_whatever_our_threads() -> None:
    """Some of OpenBLAS's f32 products differ in bits between one and two BLAS threads: `threads=` is our pool's, and BLAS keeps its own."""
    text = "input a : f32[n, m]\ninput b : f32[m, n]\nc = tanh(a @ b)\nl = sum(c)\noutput c, l\noutput da, db = grad(l, [a, b])"
    rng = np.random.default_rng(1)
    made = [dfg.compile(dfg.loads(text), threads=t) for t in (1, 2, None)]
    for n, m in [(64, 65), (257, 300), (1, 500)]:
        a, b = rng.normal(size=(n, m)).astype(np.float32), rng.normal(size=(m, n)).astype(np.float32)
        bits = {b"".join(x.tobytes() for x in fn(a=a, b=b).values()) for fn in (*made, *reversed(made))}
        assert len(bits) == 1


def test_eight_threads_on_one_executable_give_the_serial_bits() -> None:
    fn = dfg.compile(dfg.loads("input x : f64[n, n]\ny = exp(x @ x)\noutput l = sum(sin(y + x) * cos(y - x))\noutput z = (y * x) @ y"))
    rng = np.random.default_rng(2)
    cases = [rng.normal(size=(n, n)) / n for n in (3, 50, 120) for _ in range(4)]
    want = [[a.tobytes() for a in fn(x=x).values()] for x in cases]
    wrong: list[object] = []
    barrier = threading.Barrier(8)

    def work(k: int) -> None:
        barrier.wait()
        try:
            for n in range(5 * len(cases)):
                j = (n + k) % len(cases)
                if [a.tobytes() for a in fn(x=cases[j]).values()] != want[j]:
                    wrong.append(j)
        except Exception as e:
            wrong.append(e)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong


# --- binding -------------------------------------------------------------------------------------------------------------------------------


def test_new_sizes_run_no_pass_and_compile_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A view costs NumPy 0.4 us, so sizes bind in a millisecond only while a plan of 2,000 steps has at most 2,500 arrays to make."""
    steps = 430
    lines = "".join(f"v{k + 1} = sin(v{k}) * 0.5 + v{k}\n" for k in range(steps))
    fn = dfg.compile(dfg.loads(f"input v0 : f64[n, m]\n{lines}l = sum(v{steps} * v{steps})\noutput l\noutput g = grad(l, v0)\n"))
    assert 1800 <= fn.plan.count <= 4000
    assert sum(a.scope < 0 for a in fn.plan.arrays) <= 2500 * fn.plan.count / 2000
    fn(v0=np.ones((2, 3)))
    monkeypatch.setattr("builtins.compile", forbidden)
    monkeypatch.setattr("builtins.exec", forbidden)
    monkeypatch.setattr("dfg.passes.manager.run_pipeline", forbidden)
    monkeypatch.setattr("dfg.passes.planner.compile_plan", forbidden)
    for one in PIPELINE:
        monkeypatch.setattr(type(one), "run", forbidden)
    monkeypatch.setattr(Graph, "emit", forbidden)
    rng = np.random.default_rng(3)
    shapes = {(0, 0), (1, 1), (0, 5), (1, 0), (7, 1)}
    while len(shapes) < 50:
        n, m = rng.integers(0, 40, 2)
        shapes.add((int(n), int(m)))
    for n, m in shapes:
        out = fn(v0=np.ones((n, m)))
        assert out["g"].shape == (n, m) and np.isfinite(out["l"])
    stats = fn.stats
    assert (stats.compiled, stats.bound, stats.arenas, stats.runs) == (1, 51, 51, 51)


def forbidden(*args: object, **kwargs: object) -> None:
    raise AssertionError("binding sizes must not do this")


ODD: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "an axis of one element": lambda a: as_strided(a, a.shape, [s if n != 1 else 12345 * a.itemsize for n, s in zip(a.shape, a.strides, strict=True)]),
    "the same, backwards": lambda a: as_strided(a, a.shape, [s if n != 1 else -8 * a.itemsize for n, s in zip(a.shape, a.strides, strict=True)]),
    "the same, not a multiple": lambda a: as_strided(a, a.shape, [s if n != 1 else 3 for n, s in zip(a.shape, a.strides, strict=True)]),
    "of an empty array": lambda a: as_strided(a, a.shape, [s if a.size else 7 * a.itemsize * (k + 1) for k, s in enumerate(a.strides)]),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("shape", [(1, 4), (4, 1), (1, 1), (0, 4), (4, 0), (1, 0)])
def test_strides_of_axes_of_extent_0_or_1_mean_nothing(odd: str, shape: tuple[int, int]) -> None:
    """NumPy gives such axes any stride, so nothing may be concluded from it: products, reshapes, in-place updates and outputs of the caller."""
    text = """
        input x : f64[n, m]
        state s : f64[n, m] = zeros([n, m])
        p = x @ x.T
        r = reshape(x.T, [n * m])
        y = exp(x) + x * 2
        l = sum(y * y) + sum(p)
        update s = s + x
        output p, r, y
        output q = x.T @ y
        output f = flip(x, axis=0)
        output g = grad(l, x)
        output old = s + 0
    """
    n, m = shape
    plain = np.arange(1.0, n * m + 1).reshape(n, m) / 8
    strange = ODD[odd](plain)
    assert strange.shape == plain.shape and np.array_equal(strange, plain)
    want, got = dfg.compile(dfg.loads(text)), dfg.compile(dfg.loads(text))
    got.bind(s=ODD[odd](np.zeros((n, m))))
    for _ in range(2):
        a, b = want(x=plain), got(x=strange)
        assert {k: v.tobytes() for k, v in a.items()} == {k: v.tobytes() for k, v in b.items()}
    assert np.array_equal(got.state["s"], 2 * plain)
    assert got.stats.converted == 0, "what NumPy calls contiguous is not copied"
    outs = tuple(ODD[odd](np.empty_like(v)) if v.ndim == 2 else np.empty_like(v) for v in a.values())
    got.raw(strange, out=outs)
    for (name, v), o in zip(want(x=plain).items(), outs, strict=True):
        assert np.array_equal(v, o), name


# --- draws ---------------------------------------------------------------------------------------------------------------------------------


def test_two_equal_draws_are_one_value() -> None:
    """A draw is a function of seed, shape and dtype: written twice it is one value and drawn once, also in the backward pass."""
    text = """
        input x : f64[n]
        input k : i64
        a = normal([n], seed=1)
        b = normal([n], seed=1)
        c = normal([n], seed=[k, 1])
        d = normal([n], seed=[k, 1])
        other = normal([n], seed=2)
        y = x * a + b + (x * c) * d + other
        l = sum(y * y)
        output l
        output g = grad(l, x)
        output same = a - b
        output also = c - d
        output apart = a - other
    """
    program = dfg.loads(text)
    fn = dfg.compile(program)
    out = fn(x=np.ones(100), k=7)
    assert not out["same"].any() and not out["also"].any() and out["apart"].all()
    drawn = [s for s in fn.plan.walk() if s.value is not None and s.op is not None and s.op.name == "normal"]
    static = [a for a in fn.plan.arrays if a.kind == "computed" and a.op.name == "normal"]
    assert len(drawn) + len(static) == 3
    assert out["g"].tobytes() == dfg.compile(dfg.loads(str(program)))(x=np.ones(100), k=7)["g"].tobytes()
    assert fn(x=np.ones(100), k=8)["l"] != out["l"]


