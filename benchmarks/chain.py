"""x <- sin(x) * c + x, as often as asked; l = sum(x) and its gradient, from an empty graph to a plan that is ready to be called. Each size in a fresh process."""

from __future__ import annotations

import json
import resource
import sys
import time

from benchmarks.harness import Report, calibration, fresh

TARGETS = {10_000: 0.15, 100_000: 1.5}

def measure(report: Report, size: str) -> None:
    sizes = {"quick": [1_000], "usual": [1_000, 10_000, 100_000], "full": [1_000, 10_000, 100_000, 1_000_000]}[size]
    rows = []
    for n in sizes:
        tries = [fresh("benchmarks.chain", str(n)) for _ in range(3 if n < 1_000_000 else 1)]
        best = min(tries, key=lambda t: t["total"])
        rows.append(
            [f"{n:,}", best["build"], best["passes"], best["plan"], best["total"], best["total"] / best["calibration"],
             best["total"] / n * 1e6, best["first call"], best["megabytes"], TARGETS.get(n, "")]
        )
    report.table(
        "CPU seconds to a ready plan",
        ["operations", "build", "passes", "plan and code", "total", "in loops", "us each", "first call", "MB", "target"],
        rows,
    )
    report.note(
        "The least of three processes. `in loops`: the total in units of the calibration loop of `benchmarks/harness.py`. The targets' machine is estimated to "
        "do a loop in 12 ms (from the seconds that building a graph of 10^5 plain nodes took on both), so that they are 12.5 and 125 loops. The collector of garbage runs "
        "while the graph is built, as it does for a user."
    )


def one(n: int) -> None:
    import numpy as np

    import dfg
    from dfg.ir import Graph
    from dfg.ops.base import OPS
    from dfg.ops.calculus import emit_grad
    from dfg.types import F64, TensorType

    dfg.compile(dfg.loads("input x : f64[2]\nl = sum(sin(x))\noutput g = grad(l, x)"))(x=[1.0, 2.0])  # imports

    before = min(calibration() for _ in range(3))
    clock = time.process_time
    times = [clock()]
    graph = Graph()
    x = start = graph.emit(OPS["input"], (), ("x", TensorType(F64, (16,))))
    sin, weight = OPS["sin"], 3 / n  # so small that neither the values nor the slopes run away
    for _ in range(n // 3):
        x = sin(x) * weight + x
    loss = OPS["sum"](x, axes=(0,))
    (gradient,) = emit_grad(loss, [start])
    graph.roots.outputs.update(l=loss, dl_dx=gradient)
    times.append(clock())
    program = dfg.Program(graph)
    program.stage("clean")
    times.append(clock())
    fn = dfg.compile(program)
    times.append(clock())
    point = np.linspace(0, 1, 16)
    out = fn(x=point)
    times.append(clock())
    if n <= 10_000:
        want, slope = point.copy(), np.ones(16)
        for _ in range(n // 3):
            want, slope = np.sin(want) * weight + want, slope * (np.cos(want) * weight + 1)
        np.testing.assert_allclose(out["l"], want.sum(), rtol=1e-9)
        np.testing.assert_allclose(out["dl_dx"], slope, rtol=1e-6)
    steps = [b - a for a, b in zip(times, times[1:], strict=False)]
    names = ["build", "passes", "plan", "first call"]
    loop = (before + min(calibration() for _ in range(3))) / 2
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**dict(zip(names, steps, strict=True)), "total": sum(steps[:3]), "calibration": loop, "megabytes": int(peak)}))

if __name__ == "__main__":
    one(int(sys.argv[1]))
