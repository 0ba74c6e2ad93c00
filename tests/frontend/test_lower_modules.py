"""Used files: names stay qualified, paths are relative to the file that asks, cycles and foreign statements are errors told where they stand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lowering_helper import run, wrong

from dfg.diagnostics import UserError, error
from dfg.source import Source


class Texts:
    """A loader of texts by path, relative to the folder of the text that asks."""

    def __init__(self, texts: dict[str, str], arrays: dict[str, np.ndarray] | None = None) -> None:
        self.sources = {path: Source(path, text) for path, text in texts.items()}
        self.arrays = arrays or {}

    def source(self, path: str, asking: Source) -> Source:
        full = (Path(asking.name).parent / path).as_posix()
        if full not in self.sources:
            raise UserError(error("no-such-file", f"there is no file `{path}`", None))
        return self.sources[full]

    def module(self, name: str) -> Source | None:
        return self.sources.get(f"std/{name}.dfg")

    def array(self, path: str, asking: Source) -> np.ndarray:
        return self.arrays[path]


def test_functions_and_constants_of_a_file() -> None:
    load = Texts({"lib/a.dfg": 'use "b.dfg"\nconst k = 3\ndef f(x) = b.g(x) * k\n', "lib/b.dfg": "def g(x) = x + 1\n"})
    assert run('use "lib/a.dfg" as a\ninput x : f64\noutput y = a.f(x) + a.k\n', load, x=2.0)["y"] == 12


def test_the_name_of_the_file_is_the_name_of_the_module() -> None:
    load = Texts({"layers.dfg": "def twice(x) = 2 * x\n"})
    assert run('use "layers.dfg"\ninput x : f64\noutput y = layers.twice(x)\n', load, x=2.0)["y"] == 4


def test_a_function_sees_its_own_file_and_not_its_callers() -> None:
    load = Texts({"a.dfg": "def f(x) = x + secret\n"})
    found = wrong('use "a.dfg"\nsecret = 3.0\ninput x : f64\noutput y = a.f(x)\n', load)
    assert [(d.code, d.span.source.name) for d in found if d.span] == [("unknown-name", "a.dfg")]
    assert [x.text for x in found[0].labels] == ["`f` is called here"]


def test_default_of_the_program_holds_in_what_it_uses() -> None:
    load = Texts({"a.dfg": "def f(x) = x * (1 / 3)\n"})
    assert run('default f32\nuse "a.dfg"\ninput x : i64\noutput y = a.f(x)\n', load, x=3)["y"].dtype == np.float32


def test_a_module_of_the_library() -> None:
    load = Texts({"std/optim.dfg": "def sgd(p, g, lr) = p - lr * g\n"})
    text = "use optim\nparam w : f64[2] = 1\nl = sum(w ** 2)\nupdate w = optim.sgd(w, grad(l, w), 0.1)\noutput l\n"
    np.testing.assert_allclose(run(text, load, updates=True)["w'"], [0.8, 0.8])


@pytest.mark.parametrize(
    ("text", "texts", "code", "at"),
    [
        ('use "a.dfg"\n', {"a.dfg": 'use "b.dfg"\n', "b.dfg": 'use "a.dfg"\n'}, "recursion", '"a.dfg"'),
        ('use "a.dfg"\n', {"a.dfg": "input x : f64\n"}, "misplaced-statement", "input x : f64"),
        ('use "a.dfg"\n', {"a.dfg": "y = 3\n"}, "misplaced-statement", "y = 3"),
        ('use "a.dfg"\noutput y = a.g(1.0)\n', {"a.dfg": "def f(x) = x\n"}, "unknown-name", "g"),
        ('use "a.dfg"\noutput y = a\n', {"a.dfg": "def f(x) = x\n"}, "wrong-type", None),
        ('use "c.dfg"\n', {}, "no-such-file", '"c.dfg"'),
        ("use optim\noutput y = optim.adam(1.0)\n", {}, "no-such-file", "optim"),
        ('use "a.dfg"\na = 3\n', {"a.dfg": "def f(x) = x\n"}, "duplicate-name", "a"),
    ],
)
def test_errors_of_modules(text: str, texts: dict[str, str], code: str, at: str | None) -> None:
    found = [d for d in wrong(text, Texts(texts)) if d.severity == "error"]
    assert [d.code for d in found] == [code]
    assert found[0].span is not None
    if at is not None:
        assert found[0].span.text == at


def test_arrays_are_constants() -> None:
    load = Texts({}, {"table.npy": np.array([[1, 2], [3, 4]], np.int64)})
    text = 'const table = load("table.npy")\ninput x : f64[table[0, 1]]\noutput y = table @ x\n'
    np.testing.assert_allclose(run(text, load, x=[1.0, 1.0])["y"], [3, 7])
