"""Every op's definition is proved on its samples, and the proof is tested by mutants of the rules, none of which may survive."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from dfg.ir import Value
from dfg.ops.base import OPS, NoGradient, Op, RuleContext
from dfg.tools.proof import cases_of, check_gradients, prove

# Ops without samples of their own are proved by what uses them.
UNSAMPLED = {"cond", "while", "counted_scan", "custom", "input", "param", "state", "arg", "constant", "part", "trace", "inner_trace", "vjp", "jvp", "jacobian", "scan"}


def test_every_op_has_samples_or_a_reason() -> None:
    assert {name for name, op in OPS.items() if op.samples is None} == UNSAMPLED


@pytest.mark.parametrize("name", sorted(set(OPS) - UNSAMPLED))
def test_definition_holds_on_its_samples(name: str) -> None:
    assert prove(OPS[name]) == []


def test_ops_without_gradient_say_why() -> None:
    reasons = {name: op.vjp.why for name, op in OPS.items() if isinstance(op.vjp, NoGradient)}
    assert all(reasons.values())


def mutants(op: Op) -> list[tuple[str, Op, Any]]:
    """The op with its vjp rule spoiled for one operand."""
    rule = op.vjp
    assert not isinstance(rule, NoGradient)
    places = sorted({k for c in cases_of(op) for k in ([*c.wrt] if c.wrt is not None else range(len(c.operands))) if c.operands[k].dtype == np.float64 and c.operands[k].size})
    result: list[tuple[str, Any]] = []

    def scaled(k: int) -> Any:
        def vjp(cx: RuleContext, ct: Any, y: Value) -> Sequence[Value | None]:
            outs = list(rule(cx, ct, y))
            # A moved predicate uses the same rule on booleans, which do not scale.
            if k < len(outs) and outs[k] is not None and outs[k].dtype.floating:
                outs[k] = outs[k] * 1.01
            return outs

        return vjp

    def dropped(k: int) -> Any:
        def vjp(cx: RuleContext, ct: Any, y: Value) -> Sequence[Value | None]:
            outs = list(rule(cx, ct, y))
            if k < len(outs):
                outs[k] = None
            return outs

        return vjp

    def swapped(i: int, j: int) -> Any:
        def vjp(cx: RuleContext, ct: Any, y: Value) -> Sequence[Value | None]:
            outs = list(rule(cx, ct, y))
            if j < len(outs) and outs[i] is not None and outs[j] is not None and outs[i].type == outs[j].type:
                outs[i], outs[j] = outs[j], outs[i]
            return outs

        return vjp

    for k in places:
        result += [(f"{op.name}: cotangent of {k} scaled", scaled(k)), (f"{op.name}: cotangent of {k} dropped", dropped(k))]
    # Swapping means something only where the two cotangents differ.
    if op.name not in ("add", "concat"):
        result += [(f"{op.name}: cotangents of {i} and {j} swapped", swapped(i, j)) for i in places for j in places
                   if i < j and any(len(c.operands) > j and c.operands[i].shape == c.operands[j].shape for c in cases_of(op))]
    return [(text, op, vjp) for text, vjp in result]


DIFFERENTIABLE = sorted(name for name, op in OPS.items() if op.samples is not None and not isinstance(op.vjp, NoGradient))


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_no_mutant_of_a_rule_survives(name: str) -> None:
    op = OPS[name]
    survivors = []
    for text, _, vjp in mutants(op):
        mutant = dataclasses.replace(op, vjp=vjp)
        first_order = [dataclasses.replace(c, order=1) for c in cases_of(op)]
        if not any(check_gradients(mutant, c) for c in first_order):
            survivors.append(text)
    assert survivors == []


def test_the_number_of_mutants_is_not_small() -> None:
    assert sum(len(mutants(OPS[name])) for name in DIFFERENTIABLE) >= 300
