"""The oracle: a graph evaluated one op at a time with the ops' `evaluate`, with no planning, no sharing and no generated code.

Every backend and every pass is checked against this; constants are folded with it. It is slow and keeps every value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dfg.dims import Dim, evaluate
from dfg.ir import Graph, Value
from dfg.ops.loop import scan
from dfg.types import TensorType


def interpret(g: Graph, roots: Sequence[Value], env: dict[int, Any], sizes: dict[str, int], xp: Any = np) -> list[Any]:
    """The values of `roots` by evaluating every op once, in order: the oracle that nothing else shares. `env` gives arrays of leaves by index."""
    def static(a: Any) -> Any:
        if isinstance(a, tuple):
            return tuple(static(x) for x in a)
        return evaluate(a, sizes) if isinstance(a, Dim) else a

    for v in g.live(roots):
        if v.index in env:
            continue
        if v.op is scan:
            env[v.index] = _run_scan(v, [env[o.index] for o in v.operands], sizes, static(v.attrs[1]), xp)
        elif v.op.name == "trace":
            env[v.index] = env[v.operands[0].index][2][v.attrs[0]](v)
        elif v.op.name == "part":
            made = env[v.operands[0].index]
            env[v.index] = (made[0] + made[1])[v.attrs[0]] if v.operands[0].op is scan else made[v.attrs[0]]
        elif v.op.evaluate is None:
            raise KeyError(f"no array for {v!r}")
        else:
            made = v.op.evaluate(xp, *[env[o.index] for o in v.operands], **{s.name: static(a) for s, a in zip(v.op.attrs, v.attrs, strict=True)})
            env[v.index] = made if isinstance(made, tuple) else xp.asarray(made)
    return [env[r.index] for r in roots]


class _Traces(dict[int, Any]):
    """Stacks of body values, made from the environments of the steps when asked for."""

    def __init__(self, steps: list[dict[int, Any]], sizes: dict[str, int]) -> None:
        super().__init__()
        self.steps = steps
        self.sizes = sizes

    def __missing__(self, index: int) -> Any:
        def stack(v: Value) -> Any:
                    shape = [evaluate(d, self.sizes) if not isinstance(d, int) else d for d in v.shape]
            return np.stack([np.asarray(e[index]) for e in self.steps]) if self.steps else np.zeros(shape, v.dtype.np)

        return stack


def _run_scan(v: Value, operands: list[Any], sizes: dict[str, int], length: int, xp: Any) -> Any:
    body, _, carries, xs, reverse = v.attrs
    state = list(operands[:carries])
    steps: list[Any] = [None] * length
    yields: list[list[Any]] = [[None] * length for _ in body.outputs[carries:]]
    for t in range(length - 1, -1, -1) if reverse else range(length):
        args = [*state, *[x[t] for x in operands[carries:carries + xs]], *operands[carries + xs:]]
        env = {a.index: xp.asarray(x) for a, x in zip(body.inputs, args, strict=True)}
        out = interpret(body.graph, [*body.outputs, *[w for w in body.graph.values if isinstance(w.type, TensorType)]], env, sizes, xp)
        state = out[:carries]
        steps[t] = env
        for k, stack in enumerate(yields):
            stack[t] = out[carries + k]
    stacks = []
    for k, stack in enumerate(yields):
        o = body.outputs[carries + k]
        shape = [length, *[d if isinstance(d, int) else evaluate(d, sizes) for d in o.shape]]
        stacks.append(np.stack(stack).reshape(shape) if length else np.zeros(shape, o.dtype.np))
    return (state, stacks, _Traces(steps, sizes))
