"""The samples of every op in other shapes: elementwise ones at ranks 0 to 4, the others with each lane of their `axes` empty, of one place, and longer. On each, the inferred type, the
gradients of both orders, the adjoint identity <ct, J v> = <J^T ct, v> and the symmetry of the second derivative hold as on the samples themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from dfg.ir import InferError
from dfg.ops.base import OPS, Case, NoGradient, Op
from dfg.tools.proof import build, cases_of, check_gradients, check_transposed, check_type, evaluate

SHAPES: list[tuple[int, ...]] = [(), (1,), (0,), (3, 1), (2, 0, 3), (1, 2, 3), (2, 1, 1, 2), (1, 0, 2, 1)]


def distinct(op: Op) -> list[Case]:
    """The samples; of an elementwise op, whose samples repeat shapes, the first full one of each dtype, setting and smoothness."""
    if not op.elementwise:
        return cases_of(op)
    made: dict[object, Case] = {}
    for case in cases_of(op):
        if all(np.size(o) for o in case.operands):
            made.setdefault((case.attrs, case.order, tuple(o.dtype for o in case.operands)), case)
    return list(made.values())


def resized(op: Op, case: Case) -> Iterator[Case]:
    if op.elementwise and case.operands:
        for s in SHAPES:
            yield dataclasses.replace(case, operands=tuple(np.resize(o, s) for o in case.operands))
    elif op.axes is not None and case.operands:
        _, _, y = build(op, case)
        lanes = op.axes(y)
        for r in sorted({a for axes in lanes for a in axes if isinstance(a, int)}):
            where = [axes.index(r) if r in axes else None for axes in lanes]
            sizes = {np.shape(o)[w] for o, w in zip(case.operands, where, strict=True) if w is not None}
            if len(sizes) != 1 or 0 in sizes:
                continue
            for n in (0, 1, 4):
                picked = np.arange(n) % sizes.copy().pop()
                yield dataclasses.replace(case, operands=tuple(o if w is None else np.take(o, picked, axis=w) for o, w in zip(case.operands, where, strict=True)))


def admitted(op: Op, case: Case) -> bool:
    """Whether the attributes of a sample go with other sizes: a shape to broadcast to does not."""
    try:
        with np.errstate(all="ignore"):
            build(op, case)
            evaluate(op, case)
    except (InferError, ValueError, IndexError):
        return False
    return True


NAMES = sorted(name for name, op in OPS.items() if op.samples is not None and not isinstance(op.vjp, NoGradient))


@pytest.mark.parametrize("name", NAMES)
def test_other_shapes(name: str) -> None:
    op = OPS[name]
    found = []
    with np.errstate(all="ignore"):
        for number, sample in enumerate(distinct(op)):
            for case in resized(op, sample):
                if admitted(op, case):
                    shapes = [np.shape(o) for o in case.operands]
                    # A difference quotient of one number has the rounding of that number.
                    checks = (check_type, check_transposed, check_gradients)[: 2 if op.elementwise and np.size(case.operands[0]) == 1 else 3]
                    found += [f"sample {number} as {shapes}: {t}" for check in checks for t in check(op, case)]
    assert found == []


def test_most_ops_are_tried_in_other_shapes() -> None:
    tried = {name for name in NAMES for sample in distinct(OPS[name]) for case in resized(OPS[name], sample) if admitted(OPS[name], case)}
    fixed = set(NAMES) - tried
    assert fixed <= FIXED, sorted(fixed - FIXED)


FIXED = {"broadcast"}
"""Ops whose attributes fix every size, or that have no lane."""
