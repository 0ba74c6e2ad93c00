"""Every example and every file of the standard library is checked, is in the one style, and passes the tests that it carries; every module is documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dfg
from dfg.api.testing import run_tests
from dfg.diagnostics import Sink
from dfg.frontend import syntax as s
from dfg.frontend.formatter import format_source
from dfg.frontend.parser import parse
from dfg.frontend.prelude import Composite, places
from dfg.ops.surface import FUNCTIONS
from dfg.source import Source

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.dfg"))
STD = sorted((ROOT / "dfg" / "std").rglob("*.dfg"))
CARRY_TESTS = {
    "gaussian_mixture", "gradient_penalty", "heat", "hyper_gradient", "kalman", "lenet", "lotka_volterra", "lstm", "newton", "transformer", "vae",
}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [*EXAMPLES, *STD], ids=name)
def test_passes_the_tests_that_it_carries(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    results = run_tests(Source(str(path), text), path)
    assert [(r.title, [str(d) for d in r.problems]) for r in results if not r.ok] == []
    assert results or (path.parent.name == "examples" and path.stem not in CARRY_TESTS), "no test in this file"
    assert len(results) % max(1, text.count("\ntest ")) == 0


@pytest.mark.parametrize("path", [*EXAMPLES, *STD], ids=name)
def test_is_in_the_one_style(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert format_source(Source(str(path), text)) == text


def test_the_examples_are_there() -> None:
    assert {p.stem for p in EXAMPLES} >= CARRY_TESTS


@pytest.mark.parametrize("path", [p for p in EXAMPLES if p.stem in CARRY_TESTS], ids=name)
def test_an_example_warns_of_nothing(path: Path) -> None:
    assert [str(w) for w in dfg.load(path).check().warnings] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=name)
def test_an_example_says_how_it_is_run(path: Path) -> None:
    head = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert head.startswith("# ")
    for command in re.findall(r"^#\s+dfg run (.*)$", head, re.MULTILINE):
        assert command.split()[0] == name(path)
        for file in re.findall(r"examples/data/[\w.]+", command):
            assert (ROOT / file).is_file()


@pytest.mark.parametrize("path", STD, ids=name)
def test_a_module_is_documented(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert len(max(lines, key=len)) <= 100


def test_a_function_of_the_prelude_is_one_like_any_other() -> None:
    """Each is found without parsing, is parsed alone as it is parsed in its file, and is documented and tested in its file."""
    for file, found in places().items():
        text = next(p for p in STD if p.name == file and p.parent.name == "prelude").read_text(encoding="utf-8")
        tests = text[text.index("\ntest ") :]
        whole = {d.name.text: d for d in parse(Source(file, text), Sink()).statements if isinstance(d, s.Def)}
        assert list(whole) == list(found)
        for word in found:
            if word.startswith("_"):
                assert word not in FUNCTIONS
                continue
            f = FUNCTIONS[word]
            assert isinstance(f, Composite) and f.doc
            assert f.definition.node.span.text == whole[word].span.text and f.definition.node.doc == whole[word].doc
            assert re.search(rf"\b{word}\(", tests), f"{word} is not tested in {file}"
            assert [p.name.text for p in whole[word].params] == list(f.signature.parameters)


def test_modules_can_be_used_together() -> None:
    names = [p.stem for p in STD if p.parent.name == "std"]
    assert {"nn", "optim", "init", "metrics", "image", "ode", "stats"} <= set(names)
    text = "".join(f"use {n}\n" for n in names) + "param layer = nn.linear_init(3, 2, seed=1)\noutput y = nn.linear(layer, ones([3]))\n"
    assert dfg.compile(dfg.loads(text))()["y"].shape == (2,)


@pytest.mark.parametrize("default", ["f32", "f64"])
def test_the_default_float_reaches_the_modules(default: str) -> None:
    """A network with every optimiser keeps the program's float, and nothing is converted with loss."""
    text = (
        f"default {default}\nuse nn\nuse optim\ninput x : {default}[n, 3]\nparam p = nn.mlp_init(3, 4, 2, seed=1)\n"
        "loss = mean(nn.mlp(p, x) ** 2)\ng = grad(loss, p)\nstate step : i64 = 0\nrate = 0.1 * optim.cosine(step, 100) * optim.warmup(step, 5)\n"
    )
    stateful = ("momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", "lion", "lbfgs")
    for k in stateful:
        text += f"state s_{k} = optim.{k}_init(p)\nq_{k}, t_{k} = optim.{k}(p, g, s_{k}, lr=rate)\noutput o_{k} = q_{k}.up.w\nupdate s_{k} = t_{k}\n"
    program = dfg.loads(text)
    assert [str(w) for w in program.check().warnings] == []
    out = dfg.compile(program)(x=[[1.0, 2.0, 3.0]])
    assert {v.dtype.name for v in out.values()} == {"float32" if default == "f32" else "float64"}
