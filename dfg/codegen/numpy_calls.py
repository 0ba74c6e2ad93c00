"""Long plans as a list of calls: each step made from the text of its kind, compiled once, so that a plan of 100,000 steps compiles a few dozen functions.

    calls = calls_of(plan, owners, {})
    calls[0].function(*[arrays[k] for k in calls[0].arrays])
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from types import CodeType
from typing import Any, Final

import numpy as np

from dfg.codegen.numpy_source import Renderer, check_index, commit_texts, reached
from dfg.dims import DimLike
from dfg.ops.indexed import add_rows
from dfg.plan import Branch, Plan, Step


class _Canonical(Renderer):
    """A step with its arrays and sizes as parameters, so that equal kinds of steps share compiled code."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.arrays: dict[int, str] = {}
        self.dims: dict[DimLike, str] = {}
        self.objects: dict[str, Any] = {}
        self.local: set[int] = set()

    def array(self, index: int) -> str:
        found = self.arrays.get(index)
        if found is None:
            found = self.arrays[index] = f"a{len(self.arrays)}"
        return found

    def dim(self, d: DimLike) -> str:
        found = self.dims.get(d)
        if found is None:
            found = self.dims[d] = f"d{len(self.dims)}"
        return found

    def object(self, x: Any, hint: str) -> str:
        name = f"k{len(self.objects)}"
        self.objects[name] = x
        return name


class Call:
    """One compiled step: a function, the arrays it takes in order (by index), the sizes it takes, and the array that it makes, if it is a view."""

    __slots__ = ("arrays", "dims", "function", "made", "step")

    def __init__(self, function: Callable[..., Any], arrays: Sequence[int], dims: Sequence[DimLike], made: int, step: Step) -> None:
        self.function = function
        self.arrays = tuple(arrays)
        self.dims = tuple(dims)
        self.made = made
        self.step = step


_UFUNC: Final = re.compile(r"np\.(\w+)\(((?:a\d+)(?:, a\d+)*)\)")


@lru_cache(maxsize=4096)
def _code(text: str, filename: str) -> CodeType:
    return compile(text, filename, "exec")


def calls_of(plan: Plan, owners: dict[str, list[Step | None]], more: dict[str, Any]) -> list[Call]:
    """The steps of a long plan as calls. `owners` receives, by file name of generated code, the steps that its lines belong to."""
    made: dict[str, Callable[..., Any]] = {}
    result: list[Call] = []
    shapes: dict[Any, Any] = {}
    for s in plan.steps:
        if s.kernel == "op" and isinstance(s.op.into, str) and not s.attrs:
            # Most steps: their text depends only on which operands are one array, so it need not be rendered again.
            every = s.operands + s.outs
            key = (s.op, -1 if len({*every}) == len(every) else tuple([every.index(o) for o in every]))
            known = shapes.get(key)
            if known is not None:
                f, picks = known
                result.append(Call(f, every if picks is None else [every[k] for k in picks], (), -1, s))
                continue
        else:
            key = None
        call = _call(plan, s, made, owners, more)
        if call is None:
            continue
        if key is not None:
            every = s.operands + s.outs
            shapes[key] = (call.function, None if call.arrays == every else [every.index(a) for a in call.arrays])
        result.append(call)
    return result


def _call(
    plan: Plan, s: Step, made: dict[str, Callable[..., Any]], owners: dict[str, list[Step | None]], more: dict[str, Any]
) -> Call | None:
    r = _Canonical(plan)
    if s.inner is not None:
        return _block_call(plan, s, owners, more)
    if s.kernel == "view":
        base = r.array(s.operands[0])
        text = f"return {r.view(s, base)}"
        target = s.outs[0]
    else:
        lines = r.statements(s)
        if not lines:
            return None
        text, target = "\n    ".join(lines), -1
        whole = _UFUNC.fullmatch(text)
        if whole is not None and isinstance(ufunc := getattr(np, whole[1]), np.ufunc):
            back = {n: a for a, n in r.arrays.items()}
            return Call(ufunc, [back[n] for n in whole[2].split(", ")], (), -1, s)
    code = f"def step({', '.join([*r.arrays.values(), *r.dims.values()])}):\n    {text}\n"
    f = None if r.objects else made.get(code)
    if f is None:
        scope: dict[str, Any] = {"np": np, "add_rows": add_rows, "check_index": check_index, **r.objects}
        exec(_code(code, "<dfg step>"), scope)
        f = scope["step"]
        if not r.objects:
            made[code] = f
    return Call(f, list(r.arrays), list(r.dims), target, s)


def _block_call(plan: Plan, s: Step, owners: dict[str, list[Step | None]], more: dict[str, Any]) -> Call:
    """A loop or branch as one function of the arrays that it does not make itself."""
    r = _Canonical(plan)
    lines: list[str] = []
    whose: list[Step | None] = [None, None]

    def write(text: str, owner: Step | None, depth: int) -> None:
        lines.append("    " * (depth + 1) + text)
        whose.append(owner)

    r.block(s, write, 0)
    local: set[int] = set()
    pending: list[Step] = [s]
    while pending:
        t = pending.pop()
        if t.kernel == "view":
            local.add(t.outs[0])
        elif isinstance(t.inner, Branch):
            pending += [*t.inner.then, *t.inner.other]
        elif t.inner is not None:
            local |= {*t.inner.rows}
            for c in t.inner.carries:
                if c.mode != "place":
                    local |= {c.current, c.spare}
            pending += [*t.inner.test, *t.inner.body]
    arrays = {a: n for a, n in r.arrays.items() if a not in local}
    name = f"<dfg block {id(plan)} {len(owners)}>"
    owners[name] = whose
    scope: dict[str, Any] = {"np": np, "add_rows": add_rows, "check_index": check_index, "reached": reached, **more, **r.objects}
    exec(compile(f"def step({', '.join([*arrays.values(), *r.dims.values()])}):\n" + "\n".join(lines) + "\n", name, "exec"), scope)
    return Call(scope["step"], list(arrays), list(r.dims), -1, s)


def commit_of(plan: Plan) -> Call | None:
    """A function from arrays to the callables of the commit."""
    if not plan.commit:
        return None
    from operator import setitem

    r = _Canonical(plan)
    lines = [f"        {t},\n" for s in plan.commit for t in commit_texts(r, s)]
    scope: dict[str, Any] = {"np": np, "partial": partial, "setitem": setitem, **r.objects}
    exec(compile(f"def step({', '.join([*r.arrays.values(), *r.dims.values()])}):\n    return (\n{''.join(lines)}    )\n", "<dfg commit>", "exec"), scope)
    return Call(scope["step"], list(r.arrays), list(r.dims), -1, plan.commit[0])
