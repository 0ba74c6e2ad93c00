"""The oracle: a graph evaluated one op at a time with the ops' `evaluate`, with no planning, no sharing and no generated code.

Every backend and every pass is checked against this; constants are folded with it. It is slow and keeps every value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dfg.dims import Dim, evaluate
from dfg.ir import Graph, Value
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
        if v.op is scan:
            env[v.index] = _scan(v, operands, sizes, attrs[1], xp)
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


def _stack(steps: list[dict[int, Any]], index: int, like: Value, sizes: Mapping[str, int]) -> np.ndarray:
    if steps:
        return np.stack([np.asarray(e[index]) for e in steps])
    return np.zeros(_static(like.shape, sizes), like.dtype.np)


def _scan(v: Value, operands: list[Any], sizes: Mapping[str, int], length: int, xp: Any) -> _Loop:
    body, _, carries, xs, reverse = v.attrs
    state = list(operands[:carries])
    steps: list[dict[int, Any]] = [{} for _ in range(length)]
    everything = [w for w in body.graph.values if isinstance(w.type, TensorType)]
    for t in range(length - 1, -1, -1) if reverse else range(length):
        args = [*state, *[x[t] for x in operands[carries : carries + xs]], *operands[carries + xs :]]
        env = {a.index: xp.asarray(x) for a, x in zip(body.inputs, args, strict=True)}
        interpret(everything, env, sizes, xp)
        state = [env[o.index] for o in body.outputs[:carries]]
        steps[t] = env
    stacks: list[Any] = []
    for k, o in enumerate(body.outputs[carries:]):
        t_type = v.type.items[carries + k]
        stacks.append(
            np.stack([np.asarray(e[o.index]) for e in steps]) if steps else np.zeros(_static(t_type.shape, sizes), t_type.dtype.np)
        )
    return _Loop([*state, *stacks], steps)
