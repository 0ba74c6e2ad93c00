"""Wrong arguments of every function, made by rule from its example call: one diagnostic with a known code, never another exception."""

from __future__ import annotations

import inspect
import random
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

import dfg
from dfg.diagnostics import UserError
from dfg.diagnostics.codes import CODES
from dfg.frontend.lowering.program import load_text
from dfg.ops.surface import FUNCTIONS, role
from dfg.tools.examples import VALUES, example

HEAD = "input rv : f64[n0]\ninput rm : f64[n0, m0]\ninput rs : f64\ninput ri : i64\ndef fn(a) = a\nrec = (u = 1.0, v = 2.0)\n"
ANY = ['"odd"', "fn", "rec", "(1.0, 2.0)", "f64", "none", "nan", "inf", "-7", "1.5", "true", "0", "10**12", "2**70", "[]", "[[]]", "[1, [2]]", '["a"]', "[none]",
       "ri", "rs", "rv", "rm", "n0", "[0, 0]", "99", "[0, 99]", "[0.5]", "[true]", "[-3]", "zeros([0])", "zeros([2, 0, 3])", "[2**40, 2**40, 2**40]", "rv.shape",
       "[rec]", "[fn]"]  # fmt: skip
NEVER = {
    "axis": ['"odd"', "fn", "rec", "(1.0, 2.0)", "f64", "nan", "1.5", "true", "99", "-99", "[0.5]", "rv", "ri"],
    "axes": ['"odd"', "fn", "rec", "f64", "nan", "1.5", "true", "99", "[0, 99]", "[0.5]", "[true]", "rv", "ri"],
    "size": ['"odd"', "fn", "rec", "f64", "nan", "1.5", "true", "2**70", "rv", "ri"],
    "shape": ['"odd"', "fn", "rec", "f64", "nan", "1.5", "true", "2**70", "[-3]", "[0.5]", "[true]", "rv", "ri"],
    "flag": ['"odd"', "fn", "rec", "f64", "none", "1", "0.5", "[true]", "rv", "ri"],
    "word": ['"odd"', "fn", "rec", "f64", "1", "rv", "[1]"],
    "dtype": ['"odd"', "fn", "rec", "1", "0.5", "true", "[1]", "rv"],
    "operand": ['"odd"', "fn", "(1.0, 2.0)", "f64", '["a"]', "[fn]", "[none]"],
    "operands": ['"odd"', "fn", "f64", '["a"]', "[fn]", "[none]", "none"],
}
"""What no parameter of a role takes."""
ELSEWHERE: frozenset[str] = frozenset()
"""Of these only the refusals by role are tested here."""


def names() -> list[str]:
    return [n for n in FUNCTIONS if example(n) is not None]


def signature(name: str) -> inspect.Signature:
    return FUNCTIONS[name].signature


def split(text: str) -> list[str]:
    """Arguments at the top level of a call."""
    parts, depth, quoted = [""], 0, False
    for char in text:
        quoted ^= char == '"'
        depth += (char in "([") - (char in ")]") if not quoted else 0
        if char == "," and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts if part.strip()]


@cache
def parts(name: str) -> tuple[str, dict[str, str], str]:
    """The head of an example's program, its arguments by parameter, and its targets."""
    made = example(name)
    assert made is not None
    given: dict[str, str] = {}
    parameters = list(signature(name).parameters.values())
    for position, argument in enumerate(split(made.call[made.call.index("(") + 1 : -1])):
        match = re.match(r"(\w+)\s*=(?!=)\s*(.*)", argument)
        given[match[1] if match else parameters[min(position, len(parameters) - 1)].name] = match[2] if match else argument
    head = HEAD + "".join(f"{n} = {VALUES[n]}\n" for n in made.operands)
    return head, given, ", ".join(made.targets)


def program(name: str, changed: dict[str, str | None], extra: str = "") -> str:
    head, given, targets = parts(name)
    arguments = {**given, **changed}
    written = ", ".join([f"{k}={v}" for k, v in arguments.items() if v is not None] + ([extra] if extra else []))
    renamed = ", ".join(f"r{k}" for k in range(len(targets.split(", "))))
    return f"{head}{renamed} = {name}({written})\noutput {renamed}\n"


def variadic(name: str) -> bool:
    return any(p.kind is p.VAR_POSITIONAL for p in signature(name).parameters.values())


def refusals(name: str) -> Iterator[tuple[str, str, str]]:
    """(program, parameter, argument) that must be refused."""
    for p in signature(name).parameters.values():
        kind = role(p)
        for value in NEVER.get(kind, ()):
            if p.name == "seed" or (value == "none" and p.default is None) or (value in ("[true]", "1.5", "[0.5]") and kind == "operands"):
                continue
            if kind.startswith("operand") and name in ("where",):
                continue
            yield program(name, {p.name: value}), p.name, value


def refused(text: str) -> UserError | None:
    """What a program is refused with; nothing else may be raised."""
    try:
        load_text(text, "wrong.dfg")
    except UserError as e:
        wrong = [d for d in e.diagnostics if d.severity == "error"]
        assert wrong, text
        assert all(d.code in CODES for d in wrong), text
        assert all(d.message and d.span is not None for d in wrong), text
        return e
    return None


def test_every_function_refuses_what_no_argument_of_its_role_is() -> None:
    rng = random.Random(5)
    taken, unplaced = [], []
    for name in names():
        if variadic(name) or not example(name):
            continue
        cases = list(refusals(name))
        for text, parameter, value in rng.sample(cases, min(len(cases), 4)):
            e = refused(text)
            if e is None:
                taken.append((name, parameter, value))
                continue
            d = next(d for d in e.diagnostics if d.severity == "error")
            line = text[: text.index("\noutput")].rpartition("\n")[0].count("\n") + 2
            spans = [s for s in [d.span, *[label.span for label in d.labels]] if s is not None]
            told = f"`{name}`" in d.message or any(s.source.name == "wrong.dfg" and s.source.position(s.start)[0] == line for s in spans)
            if not told:
                unplaced.append((name, parameter, value, str(e)[:300]))
    assert not taken
    assert not unplaced


def test_whatever_argument_gives_a_program_or_a_diagnostic() -> None:
    rng = random.Random(7)
    every = [n for n in names() if n not in ELSEWHERE and not variadic(n)]
    count = 0
    for name in every:
        for p in rng.sample(list(signature(name).parameters.values()), min(1, len(signature(name).parameters))):
            for value in rng.sample(ANY, 4):
                refused(program(name, {p.name: value}))
                count += 1
    assert count > 1000


@pytest.mark.parametrize("seed", range(3))
def test_too_many_too_few_and_misspelt_arguments(seed: int) -> None:
    rng = random.Random(seed)
    for name in rng.sample([n for n in names() if not variadic(n)], 60):
        parameters = [p for p in signature(name).parameters.values() if p.name in parts(name)[1]]
        e = refused(program(name, {}, "axsi=0"))
        assert e is not None
        assert e.diagnostics[0].code == "surplus-argument", str(e)
        assert "axsi" in e.diagnostics[0].message
        if "axis" in signature(name).parameters:
            assert e.diagnostics[0].help == "did you mean `axis`?"
        required = [p for p in parameters if p.default is p.empty]
        if required:
            lacking = rng.choice(required).name
            e = refused(program(name, {lacking: None}))
            assert e is not None
            assert e.diagnostics[0].code == "missing-argument", (name, lacking, str(e))
            assert f"`{lacking}`" in e.diagnostics[0].message


BUILT: list[Any] = ["odd", len, {"a": 1}, object(), None, float("nan"), -7, 1.5, True, 10**12, 2**70, [], [[]], [1, [2]], ["a"], [None], np.float64, np.zeros((0,)), 99]


def test_the_builder_refuses_as_well() -> None:
    rng = random.Random(11)
    x = dfg.input("x", "f64[3, 4]")
    count = 0
    for name in rng.sample([n for n in FUNCTIONS if n not in ELSEWHERE], 150):
        f = getattr(dfg, name, None)
        if f is None or variadic(name):
            continue
        parameters = list(FUNCTIONS[name].signature.parameters.values())
        for p in rng.sample(parameters, min(2, len(parameters))):
            given = {q.name: x if role(q) == "operand" else [x, x] if role(q) == "operands" else 0 for q in parameters if q.default is q.empty}
            for value in rng.sample(BUILT, 4):
                try:
                    f(**{**given, p.name: value})
                except UserError as e:
                    assert e.diagnostics[0].code in CODES, (name, p.name, value)
                count += 1
    assert count > 400


@pytest.mark.parametrize(("call", "words"), [
    ("eye(3, k=0.5)", "whole number as `k`"),
    ("round(x, 400)", "from -300 to 300"),
    ("normal([3], seed=[])", "not an empty list"),
    ("astype(x, none)", "dtype"),
    ("multi_dot([])", "at least one tensor"),
    ("repeat(x, [10**12, 1, 1], axis=0)", "at most 50,000,000"),
    ("multigammaln(x, 10**9)", "at most 1,000"),
    ("sin(f64)", "`sin`"),
    ("sum(x, axis=2**70)", "too large as `axis`"),
    ("sum(x, keepdims=1)", "`true` or `false`"),
    ("zeros([2**61])", "than a computer can address"),
    ("x.T + zeros([" + "1, " * 40 + "1])", "at most 32 axes"),
])  # fmt: skip
def test_the_words_of_some(call: str, words: str) -> None:
    e = refused(f"input x : f64[3]\noutput y = {call}\n")
    assert e is not None
    if "T +" not in call:
        assert words in e.diagnostics[0].message


def test_differences_more_often_than_there_are_elements() -> None:
    made = load_text("input x : f64[3]\noutput y = diff(x, 10**9)\n", "a.dfg")
    assert made.graph.roots.outputs["y"].shape == (0,)
