"""Plans bound to sizes for NumPy: arenas, the arrays in them, and generated code bound to these arrays.

An arena is one block of memory, aligned to 64 bytes, with every array and view that does not differ from run to run made once. `Code` compiles a plan once, whatever
the sizes; `Code.bind` gives the function of inputs and outputs for one arena.
"""

from __future__ import annotations

import contextvars
import itertools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import call
from typing import Any, Final

import numpy as np

from dfg.codegen import numpy_source
from dfg.codegen.numpy_calls import Call, calls_of, commit_of
from dfg.codegen.numpy_source import Source, fixed
from dfg.diagnostics import InternalError, UserError, error
from dfg.dims import Dim, compile_dims, evaluate
from dfg.plan import ALIGNMENT, STATIC, Plan, Step
from dfg.types import TensorType

_serial: Final = itertools.count()


def drain(steps: Sequence[Callable[[], Any]]) -> None:
    """Call all, from C: no bytecode runs between two, so no signal and no other thread's exception arrives there."""
    deque(map(call, steps), 0)


class Arena:
    """Everything that one run at a time needs for given sizes."""

    __slots__ = ("buffer", "enter", "run")

    def __init__(self, buffer: np.ndarray, run: Callable[..., None]) -> None:
        self.buffer = buffer
        self.run = run
        # A context of its own, in which NumPy's error state is set once: IEEE results, no warnings.
        context = contextvars.Context()
        context.run(np.seterr, all="ignore")
        self.enter = partial(context.run, run)


class Code:
    """A plan's generated code, shared by all arenas."""

    def __init__(self, plan: Plan, more: dict[str, Any] | None = None) -> None:
        self.plan = plan
        self.owners: dict[str, list[Step | None]] = {}
        self.make: Callable[..., Any] | None = None
        self.calls: list[Call] = []
        if plan.count <= numpy_source.STRAIGHT:
            source = Source(plan).build()
            name = f"<dfg plan {next(_serial)}>"
            self.owners[name] = [None, *source.owners]
            self.make = source.compile(name, more or {})
        else:
            self.calls = calls_of(plan, self.owners, more or {})
            self.commit = commit_of(plan)
            dims = {d: None for c in (*self.calls, *([self.commit] if self.commit else [])) for d in c.dims}
            self.dims = list(dims)
            self._values = compile_dims(self.dims)
            moving = {a.index for a in plan.arrays if a.scope != STATIC}
            self.fixed = [c.made < 0 and moving.isdisjoint(c.arrays) for c in self.calls]
            """Which calls have the same arrays in every run."""
        self.io = [f.array for f in (*plan.inputs, *plan.outputs)]

    def bind(self, arrays: list[Any], sizes: Mapping[str, int], uninterrupted: Callable[[Sequence[Any]], Callable[[], Any]]) -> Callable[..., None]:
        """The function of inputs and outputs for given arrays."""
        if self.make is not None:
            run: Callable[..., None] = self.make(arrays, sizes, uninterrupted)
            return run
        return self._bind_calls(arrays, sizes, uninterrupted)

    def _bind_calls(
        self, arrays: list[Any], sizes: Mapping[str, int], uninterrupted: Callable[[Sequence[Any]], Callable[[], Any]]
    ) -> Callable[..., None]:
        plan, io = self.plan, self.io
        values = dict(zip(self.dims, self._values(sizes), strict=True))
        env = arrays

        def bound(c: Call, fixed: bool) -> Callable[[], Any]:
            more = [values[d] for d in c.dims] if c.dims else ()
            if fixed:
                return partial(c.function, *[env[a] for a in c.arrays], *more)
            return partial(_late, env, c.function, c.arrays, more, c.made)

        steps = list(map(bound, self.calls, self.fixed))
        commit = self.commit
        ready: Callable[[], Any] | None = None

        def writes() -> Callable[[], Any]:
            assert commit is not None
            return uninterrupted(commit.function(*[env[a] for a in commit.arrays], *[values[d] for d in commit.dims]))

        if commit is not None and fixed(plan, plan.commit):
            ready = writes()
        calls = self.calls

        def run(*given: Any) -> None:
            try:
                for k, a in zip(io, given, strict=True):
                    env[k] = a
                step: Any = None
                try:
                    for step in steps:
                        step()
                except Exception as e:
                    e.dfg_step = calls[next(k for k, s in enumerate(steps) if s is step)].step  # type: ignore[attr-defined]
                    raise
                if ready is not None:
                    ready()
                elif commit is not None:
                    writes()()
            finally:
                # The caller's arrays are not kept alive.
                for k in io:
                    env[k] = None

        return run


def _late(env: list[Any], function: Callable[..., Any], arrays: Sequence[int], more: Sequence[int], made: int) -> None:
    """A step whose arrays differ from run to run."""
    result = function(*[env[a] for a in arrays], *more)
    if made >= 0:
        env[made] = result


def concrete(a: Any, sizes: Mapping[str, int]) -> Any:
    """An attribute with its sizes as numbers."""
    if isinstance(a, tuple):
        return tuple([concrete(x, sizes) for x in a])
    return evaluate(a, sizes) if isinstance(a, Dim) else a


class Shapes:
    """Shapes of types for given sizes, each computed once."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = sizes
        self._memo: dict[TensorType, tuple[int, ...]] = {}

    def __call__(self, t: TensorType) -> tuple[int, ...]:
        found = self._memo.get(t)
        if found is None:
            found = self._memo[t] = tuple([evaluate(d, self.sizes) for d in t.shape])
        return found


def oversized(plan: Plan, sizes: Mapping[str, int]) -> UserError:
    """What a run that cannot have its arrays is told: the largest of them, and where it is made."""
    most, largest = -1, None
    for a in plan.arrays:
        bytes = a.type.dtype.np.itemsize
        for d in a.type.shape:
            bytes *= evaluate(d, sizes)
        if bytes > most:
            most, largest = bytes, a
    given = ", ".join(f"{n} = {size}" for n, size in sizes.items())
    v = next((s.value for s in plan.steps if largest is not None and largest.index in s.outs), None)
    what = f"an array of {largest.type} takes {in_words(most)}" if largest is not None else "there is not enough memory"
    return UserError(error("too-large", f"this run{f' with {given}' if given else ''} does not fit into memory: {what}", v.graph.spans.get(v.index) if v is not None else None))


def in_words(size: int) -> str:
    """A number of bytes for people."""
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << power:
            return f"{size >> power:,} {unit}" if size >> power < 10**15 else f"more than 10^15 {unit}"
    return f"{size} bytes"


def block(size: int) -> np.ndarray:
    """Uninitialised bytes that begin at a multiple of 64."""
    try:
        raw = np.empty(size + ALIGNMENT, np.uint8)
    except (MemoryError, ValueError):
        raise UserError(error("too-large", f"this run needs {in_words(size)} for its values, more than there is memory")) from None
    skip = -raw.ctypes.data % ALIGNMENT
    return raw[skip : skip + size]


def materialise(plan: Plan, sizes: Mapping[str, int], kept: Mapping[str, np.ndarray]) -> tuple[np.ndarray, list[Any]]:
    """An arena, and all arrays of a plan that do not differ from run to run."""
    offsets, total = plan.layout(sizes)
    buffer = block(total)
    shapes = Shapes(sizes)
    arrays: list[Any] = [None] * len(plan.arrays)
    where = offsets.tolist()
    for a in plan.arrays:
        kind = a.kind
        if a.scope != STATIC:
            continue
        if kind == "slot":
            arrays[a.index] = np.ndarray(shapes(a.type), a.type.dtype.np, buffer, where[a.slot])
        elif kind == "constant":
            arrays[a.index] = a.attrs[0].array
        elif kind in ("param", "state"):
            arrays[a.index] = kept[a.name]
        else:
            operands = [arrays[o] for o in a.operands]
            attrs = {s.name: concrete(x, sizes) for s, x in zip(a.op.attrs, a.attrs, strict=True)}
            with np.errstate(all="ignore"):
                made = np.asarray(a.op.evaluate(np, *operands, **attrs))
            if kind == "view" and made.size and not np.may_share_memory(made, operands[0]):
                raise InternalError(f"{a!r} was planned as a view and is a copy", str(plan))
            arrays[a.index] = made
    return buffer, arrays
