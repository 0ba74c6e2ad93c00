"""The first call with new sizes against a call with sizes seen before: 50 random sizes, 0 and 1 among them."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np

import dfg
from benchmarks.harness import Report

LESSON = (Path(__file__).parent.parent / "examples" / "lesson.dfg").read_text(encoding="utf-8")


def chain(steps: int) -> str:
    lines = "".join(f"v{k + 1} = sin(v{k}) * 0.5 + v{k}\n" for k in range(steps))
    return f"input v0 : f64[n, m]\n{lines}l = sum(v{steps} * v{steps})\noutput l\noutput g = grad(l, v0)\n"


MLP = """
input x : f64[n, 20]
input y : f64[n, 3]
param w1 : f64[20, 30] = 0.1
param w2 : f64[30, 3] = 0.1
h = tanh(x @ w1)
l = sum((h @ w2 - y) ** 2)
output l
output d1, d2 = grad(l, [w1, w2])
"""


def measure(report: Report, size: str) -> None:
    rows = []
    for name, text in (("the lesson", LESSON), ("two layers", MLP), ("a chain of 840", chain(280)), ("a chain of 1,300", chain(430)), ("a chain of 13,000", chain(4_300))):
        fn = dfg.compile(dfg.loads(text))
        new: list[float] = []
        known: list[float] = []
        for n, m in shapes(50):
            given = {k: np.ones([d if isinstance(d, int) else n if str(d) == "n" else m for d in t.shape]) for k, t in fn.inputs.items()}
            for times in (new, known):
                start = time.process_time()
                fn(**given)
                times.append(time.process_time() - start)
        extra = [(a - b) * 1e3 for a, b in zip(new, known, strict=True)][1:]
        arrays = sum(a.scope < 0 for a in fn.plan.arrays)
        rows.append([name, fn.plan.count, arrays, statistics.median(extra), max(extra), statistics.median(known) * 1e6, fn.stats.compiled, fn.stats.bound])
        if fn.stats.compiled != 1 or fn.stats.bound != 50:
            raise SystemExit(f"50 sizes gave {fn.stats}")
    report.table("CPU milliseconds that new sizes take", ["", "steps", "arrays", "median", "most", "known sizes, us", "compiled", "bound"], rows)
    report.note("Target: under 1 ms to about 2,000 steps. `arrays`: NumPy arrays and views that are made for each new size.")


def shapes(count: int) -> list[tuple[int, int]]:
    rng = np.random.default_rng(0)
    made = {0: 3, 1: 1, 2: 0}
    while len(made) < count:
        made.setdefault(int(rng.integers(0, 200)), int(rng.integers(0, 10)))
    return list(made.items())
