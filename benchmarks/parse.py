"""Long programs: to a tree, to a graph, and formatted. Each in a fresh process, with a program that has a bit of everything."""

from __future__ import annotations

import json
import sys
import time

from benchmarks.harness import Report, calibration, fresh


def program(lines: int) -> str:
    """A program of so many lines."""
    text = ["# a long program", "input x : f64[n, 20]", "param w : f64[20] = 0.1", "a0 = x * w"]
    kinds = [
        "a{k} = sin(a{j}) * 0.5 + a{j}  # one more",
        "a{k} = where(a{j} > 0, a{j}, -0.01 * a{j})",
        "a{k} = (a{j} - 1e-3) ** 2 / (1 + a{j} ** 2)",
        "a{k} = maximum(a{j}, w) - a{j}[:, ::1]",
        "# a remark of its own",
    ]
    last = 0
    for k in range(1, lines - len(text) - 1):
        kind = kinds[k % len(kinds)]
        text.append(kind.format(k=k, j=last))
        if not kind.startswith("#"):
            last = k
    return "\n".join([*text, f"l = sum(a{last})", "output l"]) + "\n"


def measure(report: Report, size: str) -> None:
    lines = 1_000 if size == "quick" else 10_000
    rows = []
    for what, n in (("parse", lines), ("load", lines), ("format", lines), ("format", lines * 10)):
        tries = [fresh("benchmarks.parse", what, str(n)) for _ in range(3)]
        best = min(tries, key=lambda t: t["seconds"])
        rows.append([f"{what} {n:,} lines", best["seconds"], best["seconds"] / best["calibration"], best["seconds"] / n * 1e6])
    report.table("CPU seconds", ["", "seconds", "in loops", "us a line"], rows)
    report.note("`parse` gives a tree; `load` parses and lowers to a typed graph. Imports and the grammar's cache are not counted: a first small program went before.")


def one(what: str, lines: int) -> None:
    import dfg
    from dfg.diagnostics import Sink
    from dfg.frontend.formatter import format_source
    from dfg.frontend.parser import parse
    from dfg.source import Source

    text = program(lines)
    small = program(20)

    def work(t: str) -> object:
        if what == "load":
            return dfg.loads(t)
        sink = Sink()
        made = parse(Source("a", t), sink) if what == "parse" else format_source(Source("a", t))
        sink.raise_errors()
        return made

    work(small)
    before = min(calibration() for _ in range(3))
    start = time.process_time()
    work(text)
    passed = time.process_time() - start
    print(json.dumps({"seconds": passed, "calibration": (before + min(calibration() for _ in range(3))) / 2}))


if __name__ == "__main__":
    one(sys.argv[1], int(sys.argv[2]))
