"""`dfg ops`: the list, the pages, the proof; and that docs/ops.md is what the definitions say now."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfg.api import compile as compile_program
from dfg.api import loads
from dfg.ops.base import OPS, NoGradient
from dfg.ops.surface import FUNCTIONS
from dfg.tools import reference
from dfg.tools.examples import CALLS, example
from dfg.tools.proof import cases_of
from dfg.tools.structure import programs_of, prove_structure

Run = Callable[..., Any]
DOCUMENT = Path(__file__).parents[2] / "docs" / "ops.md"
REFUSED = {"unique", "unique_values", "unique_counts", "unique_inverse", "unique_all", "nonzero", "argwhere", "flatnonzero"}


def _numbers_apart(text: str) -> tuple[list[str], list[float]]:
    """Lines with the results of examples replaced, and the numbers in these: another BLAS may turn the sign of a vector of `qr`."""
    lines, numbers = [], []
    for line in text.splitlines():
        if match := re.match(r"    # (\w+ : [^=]*) = (.*)", line):
            numbers += [abs(float(n)) for n in re.findall(r"-?(?:\d[\d.]*(?:e[-+]?\d+)?|inf|nan)", match[2])]
            line = match[1]
        lines.append(line)
    return lines, numbers


def test_the_reference_page_is_current() -> None:
    made, known = _numbers_apart(reference.document()), _numbers_apart(DOCUMENT.read_text(encoding="utf-8"))
    assert made[0] == known[0], "run `dfg ops --markdown -o docs/ops.md`"
    assert len(made[1]) == len(known[1])
    assert all(a == pytest.approx(b, rel=1e-4, abs=1e-5, nan_ok=True) for a, b in zip(made[1], known[1], strict=True))


def test_every_function_is_in_one_family_once() -> None:
    listed = [name for names in reference.table().values() for name in names]
    assert len(listed) == len(set(listed))
    assert {a for name in listed for a in reference.aliases_of(name)} == set(reference.every_name()) >= set(FUNCTIONS)
    assert set(reference.table()) <= set(reference.FAMILIES.values())


def test_every_function_has_an_example_or_refuses_always() -> None:
    assert {name for name in reference.every_name() if example(name) is None} == REFUSED
    assert set(REFUSED) <= set(FUNCTIONS)


@pytest.mark.parametrize("name", sorted(set(CALLS) & set(FUNCTIONS)))
def test_examples_run(name: str) -> None:
    made = example(name)
    assert made is not None
    assert list(compile_program(loads(made.program))()) == list(made.targets)


def test_a_page_says_what_the_definition_says(dfg: Run) -> None:
    said = dfg("ops", "tanh").out
    assert OPS["tanh"].doc in said
    assert "ct * (1 - result * result)" in said
    why = OPS["floor"].vjp
    assert isinstance(why, NoGradient) and why.why in dfg("ops", "floor").out
    assert "--kinks jax" in dfg("ops", "abs").out
    assert "Fails with `" in dfg("ops", "cholesky").out
    assert "Workspace" in dfg("ops", "qr").out
    assert "Also called: clamp" in dfg("ops", "clip").out


def test_the_list_names_every_function(dfg: Run) -> None:
    words = set(dfg("ops").out.split())
    assert {n for names in reference.table().values() for n in names} <= words
    table = json.loads(dfg("ops", "--json").out)["families"]
    assert table == reference.table()
    page = json.loads(dfg("ops", "--json", "gelu").out)["functions"][0]
    assert page["signature"] == 'gelu(x, approximate="none")'


def test_an_unknown_name_is_answered_with_the_nearest(dfg: Run) -> None:
    for words in (("ops", "sofmax"), ("ops", "--check", "sofmax")):
        ended = dfg(*words)
        assert ended.code == 2 and "softmax" in ended.err


def test_check_proves_what_a_function_consists_of(dfg: Run) -> None:
    ended = dfg("ops", "--check", "gelu", "cond")
    assert ended.code == 0
    proved = [line.split()[0] for line in ended.out.splitlines() if line.rstrip().endswith("holds")]
    assert {"ndtr", "multiply", "cond"} <= set(proved)
    rows = json.loads(dfg("ops", "--check", "--json", "tanh").out)
    assert rows["wrong"] == 0 and rows["ops"][0]["op"] == "tanh" and rows["ops"][0]["proved_on"] > 0


def test_check_finds_a_wrong_rule(dfg: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    spoiled = dataclasses.replace(OPS["tanh"], vjp=lambda cx, ct, y: [ct * 1.01 * (1 - y * y)])
    monkeypatch.setitem(OPS, "tanh", spoiled)
    ended = dfg("ops", "--check", "tanh")
    assert ended.code == 1 and "order 1, argument 0" in ended.out


def test_no_op_is_exempt_from_the_proof() -> None:
    assert [name for name, op in OPS.items() if not (cases_of(op) or programs_of(name))] == []


@pytest.mark.parametrize("name", sorted(n for n, op in OPS.items() if op.samples is None))
def test_ops_without_samples_are_proved_by_programs(name: str) -> None:
    assert programs_of(name)
    assert prove_structure(name) == []


def test_the_proof_by_programs_finds_a_wrong_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    import dfg.tools.structure as structure

    monkeypatch.setitem(structure.PROGRAMS, "custom", ("def cube(a) = a ** 3 with vjp(ct) = (3.03 * ct * a ** 2)\ninput x : f64[3]\nl = sum(cube(x) ** 2)\n",))
    assert any("order 1" in text for text in prove_structure("custom"))
    monkeypatch.setitem(structure.PROGRAMS, "custom", ("input x : f64[3]\nl = sum(x)\n",))
    assert prove_structure("custom") == ["custom, no program holds it"]
