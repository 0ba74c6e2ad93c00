"""The oracle: a graph evaluated one op at a time with the ops' `evaluate`, with no planning, no sharing and no generated code.

Every backend and every pass is checked against this; constants are folded with it. It is slow and keeps every value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dfg.dims import Dim, evaluate
from dfg.ir import Graph, Subgraph, Value
from dfg.ops.branch import cond, counted_scan, while_op
from dfg.ops.leaf import traced
from dfg.ops.loop import scan
from dfg.types import TensorType


@dataclass(slots=True)
class _Loop:
    """What a loop gave: its results, and the environments of its steps for traces."""

    parts: list[Any]
    steps: list[dict[int, Any]]


def interpret(roots: Sequence[Value], env: dict[int, Any], sizes: Mapping[str, int], xp: Any = np) -> list[Any]:
    """The arrays of `roots`. `env` gives the arrays of leaves by index, and receives every other; `sizes` the named sizes."""
    if not roots:
        return []
    graph: Graph = roots[0].graph
    for v in graph.live(roots):
        if v.index in env:
            continue
        attrs = [_static(a, sizes) for a in v.attrs]
        operands = [env[o.index] for o in v.operands]
        if v.op is scan or v.op is counted_scan:
            env[v.index] = _scan(v, operands, sizes, attrs[1], xp)
        elif v.op is while_op:
            env[v.index] = _while(v, operands, sizes, attrs[2], xp)
        elif v.op is cond:
            env[v.index] = _cond(v, operands, sizes, xp)
        elif v.op.name == "trace":
            env[v.index] = _stack(operands[0].steps, v.attrs[0], v, sizes)
        elif v.op.name == "part":
            made = operands[0]
            env[v.index] = (made.parts if isinstance(made, _Loop) else made)[v.attrs[0]]
        elif v.op.evaluate is None:
            raise KeyError(f"no array is given for {v!r}")
        else:
            made = v.op.evaluate(xp, *operands, **{s.name: a for s, a in zip(v.op.attrs, attrs, strict=True)})
            env[v.index] = made if isinstance(made, tuple) else xp.asarray(made)
    return [env[r.index] for r in roots]


def _static(a: Any, sizes: Mapping[str, int]) -> Any:
    if isinstance(a, tuple):
        return tuple([_static(x, sizes) for x in a])
    return evaluate(a, sizes) if isinstance(a, Dim) else a


def _stack(steps: list[dict[int, Any]], index: int, v: Value, sizes: Mapping[str, int]) -> Any:
    """A trace: the rows of the steps that ran, zeros for those that did not; of a `cond`, what the body that ran computed."""
    shape = _static(v.shape, sizes)
    if v.operands[0].op is cond:
        return steps[0].get(index, np.zeros(shape, v.dtype.np))
    t = traced(v.operands[0], index)
    blank = np.zeros(_static(t.shape, sizes), v.dtype.np)
    return np.stack([np.asarray(e.get(index, blank)) for e in steps]) if steps else np.zeros(shape, v.dtype.np)


def _run(body: Subgraph, args: Sequence[Any], sizes: Mapping[str, int], xp: Any) -> dict[int, Any]:
    """Every value of a body, by index."""
    env: dict[int, Any] = {a.index: xp.asarray(x) for a, x in zip(body.inputs, args, strict=True)}
    interpret([w for w in body.graph.values if isinstance(w.type, TensorType)], env, sizes, xp)
    return env


def _cond(v: Value, operands: list[Any], sizes: Mapping[str, int], xp: Any) -> _Loop:
    then, other = v.attrs
    body, offset = (then, 0) if operands[0] else (other, len(then.graph))
    env = _run(body, operands[1:], sizes, xp)
    return _Loop([env[o.index] for o in body.outputs], [{i + offset: a for i, a in env.items()}])


def _while(v: Value, operands: list[Any], sizes: Mapping[str, int], most: int, xp: Any) -> _Loop:
    test, body, _, carries = v.attrs
    state, captures = list(operands[:carries]), operands[carries:]
    steps: list[dict[int, Any]] = [{} for _ in range(most)]
    count = 0
    while count < most and _run(test, [*state, *captures], sizes, xp)[test.outputs[0].index]:
        steps[count] = _run(body, [*state, *captures], sizes, xp)
        state = [steps[count][o.index] for o in body.outputs]
        count += 1
    return _Loop([*state, np.asarray(count, np.int64)], steps)


def _scan(v: Value, operands: list[Any], sizes: Mapping[str, int], length: int, xp: Any) -> _Loop:
    body, _, carries, xs, reverse = v.attrs
    run = length
    if v.op is counted_scan:
        run = min(int(operands[-1]), length)
        operands = operands[:-1]
    state = list(operands[:carries])
    steps: list[dict[int, Any]] = [{} for _ in range(length)]
    for t in range(run - 1, -1, -1) if reverse else range(run):
        args = [*state, *[x[t] for x in operands[carries : carries + xs]], *operands[carries + xs :]]
        steps[t] = _run(body, args, sizes, xp)
        state = [steps[t][o.index] for o in body.outputs[:carries]]
    stacks: list[Any] = []
    for o, t_type in zip(body.outputs[carries:], v.type.items[carries:], strict=True):
        stack = np.zeros(_static(t_type.shape, sizes), t_type.dtype.np)
        for t, env in enumerate(steps[:run]):
            stack[t] = env[o.index]
        stacks.append(stack)
    return _Loop([*state, *stacks], steps)
