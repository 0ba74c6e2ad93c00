"""The peak of the resident memory of a fresh process during its first large call, after small ones, against what the plan said before."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.harness import Report, fresh

LESSON = (Path(__file__).parent.parent / "examples" / "lesson.dfg").read_text(encoding="utf-8")
PROGRAMS: dict[str, tuple[str, int]] = {
    "the lesson": (LESSON, 4_200_000),
    "the lesson in f32": (LESSON.replace("f64", "f32"), 8_400_000),
    "a gather and its gradient": ("input x : f64[n]\ninput i : i64[n]\nl = sum(sin(x[i]) ** 2)\noutput l\noutput g = grad(l, x)", 4_000_000),
    "products": ("input a, b : f64[n, n]\nc = tanh(a @ b)\nl = sum(c * c)\noutput l\noutput da, db = grad(l, [a, b])", 1_500),
    "where and reductions": ("input a : f64[n, n]\nm = max(a, axis=1)\nl = sum(where(a > 0.5, log(a), a)) + sum(m)\ndim n >= 1\noutput l\noutput g = grad(l, a)", 2_500),
    "a state": ("input x : f64[n]\nstate s : f64[n] = zeros([n])\nupdate s = 0.9 * s + x * x\noutput y = x / (1 + s)", 4_000_000),
    "a loop": ("input x : f64[t, n]\nh, hs = scan x_t in x carry h = zeros([n]) { h = tanh(h + x_t)\nyield h }\nl = sum(hs)\noutput l\noutput g = grad(l, x)\ndim t == 20", 250_000),
    "solve": ("input a, b : f64[n, n]\noutput y = solve(a, b)", 1_800),
    "qr": ("input a : f64[n, n]\nq, r = qr(a)\noutput q, r", 1_500),
}


def measure(report: Report, size: str) -> None:
    rows = []
    for name, (text, n) in PROGRAMS.items():
        n = n // 20 if size == "quick" and n > 10_000 else n
        got = fresh("benchmarks.memory", text, str(n), environment={"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"})
        rows.append([name, f"{n:,}", *[f"{got[k] / 1e6:.2f}" for k in ("measured", "peak", "arena", "outputs", "workspace", "static")],
                     f"{(got['measured'] - got['peak']) / 1e6:+.2f}"])
    report.table("Megabytes above inputs, parameters and states", ["", "n", "measured", "plan", "arena", "outputs", "workspace", "static", "difference"], rows)
    report.note(
        "A plan says what a run may hold at once. Where outputs are written only after a workspace is free again (solve, qr) less is resident. "
        "OpenBLAS keeps a few megabytes of buffers of its own, which grow with its largest product."
    )


def one(text: str, n: int) -> None:
    import numpy as np

    import dfg

    fn = dfg.compile(dfg.loads(text))

    def given(n: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(0)
        made: dict[str, np.ndarray] = {}
        for name, t in fn.inputs.items():
            shape = tuple(d if isinstance(d, int) else 20 if str(d) == "t" else n for d in t.shape)
            if t.dtype.kind == "int":
                made[name] = rng.integers(0, n, shape)
                continue
            made[name] = rng.random(shape, np.float32 if t.dtype.name == "f32" else np.float64)
            if len(shape) == 2 and shape[0] == shape[1]:
                made[name][np.arange(n), np.arange(n)] += n
        return made

    square = any(t.rank == 2 for t in fn.inputs.values()) and n < 10_000
    fn(**given(n - 100 if square else 50))  # BLAS keeps buffers of its own from its first call on
    fn.reset()
    big = given(n)
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    before = resident("VmRSS")
    out = fn(**big)
    measured = resident("VmHWM") - before
    cost = fn.cost(n=n)
    assert cost.outputs == sum(a.nbytes for a in out.values())
    kept = 0 if not fn.plan.kept else cost.kept  # made by this first run
    print(json.dumps({"measured": measured - kept, **{k: getattr(cost, k) for k in ("peak", "arena", "outputs", "workspace", "static")}}))


def resident(key: str) -> int:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))


if __name__ == "__main__":
    one(sys.argv[1], int(sys.argv[2]))
