"""`python -m benchmarks NAME ...`: run benchmarks, print their tables, and write them to `benchmarks/results/NAME.md`."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from benchmarks.harness import RESULTS, Report, machine

NAMES = {
    "chain": "value and gradient of a chain of operations, from an empty graph to a ready plan",
    "parse": "text to a tree, to a graph, and formatted",
    "lesson": "a call of the lesson, on one element and on many, against NumPy, PyTorch and JAX",
    "memory": "the peak of the resident memory of a fresh process against the plan's figure",
    "lstm": "value and gradient of an LSTM over 256, 1,024 and 4,096 steps, against PyTorch and JAX",
    "bind": "the first call with new sizes",
    "adbench": "gradients of ADBench's mixtures and bundle adjustments over their objectives, and against NumPy by hand",
}


def run(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="; ".join(f"{k}: {v}" for k, v in NAMES.items()) + "; all")
    parser.add_argument("--full", action="store_true", help="the largest sizes too (minutes, gigabytes)")
    parser.add_argument("--quick", action="store_true", help="small sizes only, and write nothing")
    given = parser.parse_args(words)
    names = list(NAMES) if given.names == ["all"] else given.names
    wrong = [n for n in names if n not in NAMES]
    if wrong or not names:
        parser.print_usage(sys.stderr)
        print("\n".join(f"  {k:8} {v}" for k, v in NAMES.items()), file=sys.stderr)
        return 2
    size = "quick" if given.quick else "full" if given.full else "usual"
    for name in names:
        report = Report(name, NAMES[name])
        import_module(f"benchmarks.{name}").measure(report, size)
        text = report.text(machine())
        print(text)
        if not given.quick:
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    return 0


sys.exit(run(sys.argv[1:]))
