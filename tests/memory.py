"""What memory a call takes, against what its plan declares: NumPy's arrays by tracemalloc, LAPACK's own by the resident peak of a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import dfg

ROOT = Path(__file__).parent.parent
BUFFERS = 3 * 65536
"""NumPy's buffers of an iteration, and Python's own objects."""


def traced(call: Callable[[], Any]) -> tuple[Any, int]:
    """What a call gives, and the peak of what NumPy allocated for it."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        out = call()
        return out, tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def holds_its_declaration(fn: dfg.Executable, given: dict[str, np.ndarray], *, loose: bool = False, **sizes: int) -> None:
    """A call allocates its outputs and the workspace that its ops declare, nothing else; and unless it is `loose`, that is not far more than it takes."""
    for _ in range(2):
        fn(**given)
    cost = fn.cost(**sizes)
    out, taken = traced(lambda: fn(**given))
    said = f"{(taken - cost.outputs) / cost.outputs:.2f} outputs taken, {cost.workspace / cost.outputs:.2f} declared"
    assert cost.outputs == sum(a.nbytes for a in out.values())
    assert cost.outputs <= taken <= cost.outputs + cost.workspace + BUFFERS, said
    assert loose or cost.workspace <= 2.5 * (taken - cost.outputs) + 4 * 65536, said


MEASURE = """
import sys
import numpy as np
from dfg.dims import evaluate
from dfg.ir import Graph
from dfg.ops.base import OPS
from dfg.types import DTYPES, TensorType

def resident(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))

def given(shape):
    a = np.random.default_rng(0).random(shape)
    if shape[-1] == shape[-2]:
        a = a @ a.swapaxes(-1, -2) / shape[-1] + np.eye(shape[-1])
    return [a.astype(dtype.np), *[np.ones(shape, dtype.np) for _ in range(count - 1)]]

dtype, shape, *names = DTYPES[sys.argv[1]], tuple(map(int, sys.argv[2].split())), *sys.argv[3:]
for word in names:
    name, _, more = word.partition("+")
    op = OPS[name]
    count = op.arity or 1 + int(more or 0)
    attrs = {a.name: {"strict": True, "rtol": None, "f": "w log", "lower": True, "unit_diagonal": False}[a.name] for a in op.attrs}
    op.evaluate(np, *given([n - 100 if n > 200 else n for n in shape]), **attrs)  # BLAS and LAPACK keep buffers of their own from their first call on
    g = Graph()
    value = op(*[g.emit(OPS["input"], (), (name, TensorType(dtype, shape))) for name in "abcd"[:count]], **attrs)
    big = given(shape)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = resident("VmRSS")
    out = op.evaluate(np, *big, **attrs)
    print(word, resident("VmHWM") - before, evaluate(op.workspace(value), {}))
    del out, big
"""


def resident(dtype: str, shape: str, names: Sequence[str]) -> list[tuple[str, int, int]]:
    """For each op, on a matrix or a stack of them (``spectral+1``: with one further operand), the peak of the memory that its evaluation takes and what it declares.
    It runs in a process of its own, which gives memory back to the system as soon as it is free."""
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", MEASURE, dtype, shape, *names], env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == list(names)
    return [(name, int(measured), int(declared)) for name, measured, declared in lines]
