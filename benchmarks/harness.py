"""Measuring: interleaved rounds, medians, ratios, a loop of plain Python to compare machines by, fresh processes, tables.

A machine that does other work at the same time stretches every figure; ratios of figures that were taken in turns within one run stay. Where a figure is
Python's own work, the table also gives it in units of `calibration`, a fixed loop of plain Python that is timed just before and just after.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent
PEERS = ("numpy", "torch", "jax")


@dataclass
class Report:
    """The tables of one benchmark."""

    name: str
    about: str
    blocks: list[str] = field(default_factory=list)

    def table(self, title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        cells = [[f"{c:.4g}" if isinstance(c, float) else str(c) for c in row] for row in rows]
        widths = [max(len(h), *(len(row[k]) for row in cells)) for k, h in enumerate(heads)]
        lines = [" | ".join(c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))) for row in (heads, *cells)]
        rule = " | ".join("-" * w if k == 0 else "-" * (w - 1) + ":" for k, w in enumerate(widths))
        self.blocks.append("\n".join([f"## {title}", "", f"| {lines[0]} |", f"| {rule} |", *[f"| {line} |" for line in lines[1:]]]))

    def note(self, text: str) -> None:
        self.blocks.append(text)

    def text(self, facts: str) -> str:
        return "\n\n".join([f"# {self.name}: {self.about}", facts, *self.blocks]) + "\n"


def machine() -> str:
    """What a reader needs to know of the machine: no names of hosts, no paths."""
    model = platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), model)
    except OSError:
        pass
    versions = [f"{p} {v}" for p in PEERS if (v := version(p)) is not None]
    load = f"load of the last minute {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    parts = [model, f"{os.cpu_count()} cores", f"Python {platform.python_version()}", *versions, load, time.strftime("%Y-%m-%d")]
    return "; ".join(p for p in parts if p)


def version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def calibration() -> float:
    """CPU seconds of a fixed loop that does what a compiler in Python does: tuples, dictionaries, small objects."""

    class Node:
        __slots__ = ("index", "key", "operands")

        def __init__(self, key: Any, operands: tuple[Any, ...], index: int) -> None:
            self.key = key
            self.operands = operands
            self.index = index

    start = time.process_time()
    table: dict[Any, Node] = {}
    nodes: list[Node] = []
    a: Node | None = None
    b: Node | None = None
    for k in range(20_000):
        operands = (a, b) if a is not None else ()
        key = ("op", k & 7, *[o.index for o in operands if o is not None], k)
        found = table.get(key)
        if found is None:
            found = table[key] = Node(key, operands, len(nodes))
            nodes.append(found)
        a, b = b, found
    return time.process_time() - start


def fresh(script: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Any:
    """The JSON that a function of a benchmark prints in a process of its own: `fresh("benchmarks.chain", ...)`."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    done = subprocess.run([sys.executable, "-m", script, *arguments], env=env, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{script} {' '.join(arguments)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def seconds(f: Callable[[], object], at_least: float = 0.02) -> float:
    """Seconds of one call, from as many calls as fill the time."""
    count = 1
    while True:
        start = time.perf_counter()
        for _ in range(count):
            f()
        passed = time.perf_counter() - start
        if passed >= at_least:
            return passed / count
        count = max(count * 2, int(count * at_least / max(passed, 1e-9)))


def in_turns(candidates: Mapping[str, Callable[[], object]], rounds: int = 9, at_least: float = 0.02) -> dict[str, tuple[float, float, float]]:
    """Each candidate once a round, in turns: the median and the least of its seconds, and the median of its ratios to the first candidate."""
    for f in candidates.values():
        f()
        f()
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, f in candidates.items():
            taken[name].append(seconds(f, at_least))
    first = next(iter(taken.values()))
    return {
        name: (statistics.median(t), min(t), statistics.median(x / y for x, y in zip(t, first, strict=True))) for name, t in taken.items()
    }


def importable(name: str) -> Any:
    """A peer, or None."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        return None
