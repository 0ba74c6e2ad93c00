"""Programs that expand, nest or grow without end are refused in bounded time, and hostile texts are too."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from dfg.api import load, loads
from dfg.cli import main
from dfg.diagnostics import Diagnostic, UserError
from dfg.frontend.lowering.program import load_text

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted((ROOT / "examples").rglob("*.dfg"))


def chain(body: str, base: str = "x * x", depth: int = 40) -> str:
    """Functions that call the one before, `f40(x)`."""
    lines = [f"def f0(x) = {base}"] + [f"def f{k}(x) {body.replace('F', f'f{k - 1}')}" for k in range(1, depth + 1)]
    return "\n".join([*lines, "input x : f64", f"output y = f{depth}(x)", ""])


def wrong(text: str) -> list[Diagnostic]:
    began = time.process_time()
    try:
        load_text(text, "a.dfg")
    except UserError as e:
        assert time.process_time() - began < 30
        return [d for d in e.diagnostics if d.severity == "error"]
    raise AssertionError("this program compiles")


@pytest.mark.parametrize("body", ["= F(x) + F(x)", "= F(x) + F(x + 1)", "{\n  a = F(x)\n  b = F(sin(x))\n  a * b\n}"])
def test_equal_calls_share_one_expansion(body: str) -> None:
    began = time.process_time()
    made = load_text(chain(body), "a.dfg")
    assert time.process_time() - began < 20
    assert len(made.graph) < 50_000


def test_equal_calls_give_what_each_call_gave() -> None:
    """Numbers are equal only if they are bit by bit, and dtypes count."""
    text = chain("= F(x) + F(x)", depth=12).replace("output y", "output a, b, c, d = 1 / f0(0.0), 1 / f0(-0.0), f0(2), f0(2.0)\noutput y")
    text = text.replace("def f0(x) = x * x", "def f0(x) = x * 1")
    made = loads(text)
    import dfg

    out = dfg.compile(made)(x=3.0)
    assert out["y"] == 3.0 * 2**12
    assert (out["a"], out["b"]) == (float("inf"), float("-inf"))
    assert (out["c"].dtype.name, out["d"].dtype.name) == ("int64", "float64")


@pytest.mark.parametrize("body", ["= F(2 * x) + F(3 * x)", "{\n  a = F(2 * x)\n  b = F(3 * x)\n  a * b\n}"])
@pytest.mark.parametrize("base", ["x * x", "x + nothing"])
def test_unequal_calls_are_refused_with_the_count(body: str, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfg.frontend.lowering.calls.MAX_CALLS", 5000)
    found = wrong(chain(body, base))
    assert len(found) == 1
    assert found[0].code == ("too-large" if base == "x * x" else "unknown-name")
    assert ("values so far" in found[0].message) is (base == "x * x")


def test_nested_unrolled_loops_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfg.frontend.lowering.unrolled.MAX_CALLS", 5000)
    text = "s = " + "for i in 0..100 carry s = 0.0 { s = " * 6 + "s + 1" + " }" * 6 + "\noutput s\n"
    assert [d.code for d in wrong(text)] == ["too-large"]


def doubled(first: str, again: str, depth: int = 60) -> str:
    return "\n".join([f"{first}", *[again.replace("NEW", f"a{k}").replace("OLD", f"a{k - 1}") for k in range(1, depth)], "output y = 1.0", ""])


@pytest.mark.parametrize(("text", "code"), [
    (doubled("a0 = (u = 1.0, v = 2.0)", "NEW = (u = OLD, v = OLD)"), "too-large"),
    ("const c = zeros([10**12])\noutput y = sum(c)\n", "too-large"),
    ("const c = arange(10**12)\noutput y = sum(c)\n", "too-large"),
    ("output y = zeros([10**12, 10**12])\n", "too-large"),
    ("y = [i for i in 0..1_000_000_000]\noutput y\n", "too-large"),
    ("output y = 10 ** 10 ** 10\n", "literal-overflow"),
    (f"output y = {'[' * 10_000}1.0{']' * 10_000}\n", "rank-mismatch"),
    (f"input x : f64\noutput y = {'[' * 10_000}x{']' * 10_000}\n", "rank-mismatch"),
    (f"input x : f64[{', '.join(['1'] * 40)}]\noutput y = sum(x)\n", "rank-mismatch"),
    (f"input x : f64[3]\ny = {'scan t in x carry s = x { s = ' * 300}x{' }' * 300}\noutput y\n", "too-large"),
    (f"input x : f64\ny = {'if x > 0 { ' * 300}x{' } else { 0.0 }' * 300}\noutput y\n", "too-large"),
    (f"input x : f64\ny = {''.join(f'if x > {k} {{ 1.0 }} else ' for k in range(300))}{{ 0.0 }}\noutput y\n", "too-large"),
    (f"input x : f64[3]\ny = {'[' * 100}x{' for i in 0..1]' * 100}\noutput y\n", "rank-mismatch"),
    (f"output y = 0x{'f' * 100_000}\n", "bad-number"),
    (f'use "{"a" * 100_000}" as a\n', "no-such-file"),
])  # fmt: skip
def test_what_has_no_end_is_refused(text: str, code: str) -> None:
    with pytest.raises(UserError) as e:
        loads(text)
    assert e.value.diagnostics[0].code == code
    assert len(str(e.value)) < 20_000


def test_constants_that_double_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfg.frontend.lowering.statics.MAX_STATIC", 100_000)
    assert wrong(doubled("const a0 = [1.0, 2.0]", "const NEW = [OLD, OLD]", 30))[0].code == "too-large"


def test_nested_loops_whose_carries_have_no_type_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfg.frontend.lowering.engine.MAX_BODIES", 1000)
    text = f"input x : f64[3]\ny = {'scan t in x carry s = 0 { s = ' * 40}t{' }' * 40}\noutput y\n"
    assert wrong(text)[0].code == "too-large"


def test_a_program_of_errors_is_given_up_and_in_order() -> None:
    found = wrong("\n".join(f"y{k} = zz{k}" for k in range(5000)) + "\n")
    assert len(found) == 500
    places = [d.span.start for d in found if d.span is not None]
    assert places == sorted(places)


@pytest.mark.parametrize("text", ["y = " + "1+" * 20_000_000 + "1\n", "y = " + "(" * 12_000_000 + "\n", "y = max(" + "1," * 11_000_000 + "1)\n"])
def test_a_line_of_many_megabytes_is_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(UserError) as e:
        loads(text)
    assert [d.code for d in e.value.diagnostics] == ["too-large"]
    assert time.process_time() - began < 10


def test_errors_on_one_long_line_are_shown_in_bounded_time() -> None:
    began = time.process_time()
    for text in ("@$%&" * 2_000_000, '"' * 8_000_000, "output y = " + "([{(" * 200_000, 'test "' + "a" * 8_000_000):
        with pytest.raises(UserError) as e:
            loads(text)
        assert len(str(e.value)) < 2_000_000
    assert time.process_time() - began < 40


def test_sizes_too_large_for_memory_are_told_with_their_place() -> None:
    import dfg

    for text, inputs in (("input x : f64[n]\ny = zeros([n, n, n, n, n, n, n])\noutput y\n", {"x": [0.0] * 1000}), ("output y = zeros([10**12])\n", {}),
                         ("input x : f64[3]\na0 = x\n" + "".join(f"a{k} = concat([a{k - 1}, a{k - 1}])\n" for k in range(1, 50)) + "output y = sum(a49)\n",
                          {"x": [1.0, 2.0, 3.0]})):  # fmt: skip
        fn = dfg.compile(loads(text))
        with pytest.raises(UserError) as e:
            fn(**inputs)
        assert e.value.diagnostics[0].code == "too-large"


# --- whatever tokens -----------------------------------------------------------------------------------------------------------------


def mutants(rng: random.Random, text: str, count: int) -> list[str]:
    """A program with tokens dropped, doubled, swapped and replaced."""
    import re

    tokens = re.findall(r"\s+|\w+|#.*|\"[^\"\n]*\"|[^\w\s]", text)
    made = []
    for _ in range(count):
        new = list(tokens)
        for _ in range(rng.randint(1, 3)):
            k = rng.randrange(len(new))
            what = rng.randrange(5)
            if what == 0:
                del new[k]
            elif what == 1:
                new.insert(k, new[k])
            elif what == 2:
                other = rng.randrange(len(new))
                new[k], new[other] = new[other], new[k]
            elif what == 3:
                new[k] = rng.choice(tokens)
            else:
                new[k] = rng.choice(["0", "-1", "1.5", "none", "true", "[]", "{", "}", "(", ")", "=", "carry", "scan", "grad", "\n", "params", '"x"', "n", "@", ".."])
            if not new:
                break
        made.append("".join(new))
    return made


def test_programs_with_wrong_tokens_compile_or_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(3)
    short = [p for p in PROGRAMS if p.stat().st_size < 3000]
    assert len(short) >= 5
    for path in short:
        monkeypatch.chdir(path.parent)
        for k, text in enumerate(mutants(rng, path.read_text("utf-8"), 6)):
            began = time.process_time()
            sink: list[Diagnostic] = []
            try:
                loads(text, name=str(path))
            except UserError as e:
                sink = list(e.diagnostics)
                assert str(e)
            own = [d.span.start for d in sink if d.span is not None and d.severity == "error" and d.span.source.text == text]
            assert own == sorted(own), text
            assert time.process_time() - began < 10, text
            file = tmp_path / "mutant.dfg"
            file.write_text(text, "utf-8")
            if k == 0:
                assert main(["fmt", "--diff", str(file)]) in (0, 1), text
                assert main(["run", str(file)]) in (0, 1), text
    assert "Traceback" not in capfd.readouterr().err


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.dfg"
    path.write_text("output y = 1\n", encoding="utf-8")
    ask, asked = os.fstat, []

    def somebody_writes(fd: int) -> os.stat_result:
        asked.append(fd)
        if len(asked) == 2:
            path.write_text("output y = 2\noutput z = 3\n", encoding="utf-8")
        return ask(fd)

    monkeypatch.setattr(os, "fstat", somebody_writes)
    with pytest.raises(UserError, match="changed while it was read"):
        load(path)
    assert list(load(path).graph.roots.outputs) == ["y", "z"]


def test_a_number_of_millions_of_digits_is_one_error() -> None:
    with pytest.raises(UserError) as caught:
        loads("output y = " + "1_" * 2_000_000 + "1\n")
    assert [d.code for d in caught.value.diagnostics] == ["bad-number"]
