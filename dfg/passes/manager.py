"""Running passes: the only place that times, verifies, pauses the garbage collector and dumps.

>>> from dfg.ir import Graph
>>> run_pipeline(Graph(), PIPELINE).values
[]
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from dfg.ir import Graph, Stage, verify
from dfg.passes.cleanup import Cleanup
from dfg.passes.differentiate import Differentiate
from dfg.passes.stabilise import Stabilise


class Pass(Protocol):
    """A pure, deterministic function of a graph; one that changes nothing returns its argument."""

    def run(self, graph: Graph) -> Graph: ...


PIPELINE: Final[tuple[Pass, ...]] = (Stabilise(), Differentiate(), Cleanup())
"""From what a program says to a graph that can be planned."""


@dataclass(slots=True)
class Report:
    """What a pipeline did: seconds and number of values after each pass, and how often each rule fired."""

    seconds: dict[str, float] = field(default_factory=dict)
    values: dict[str, int] = field(default_factory=dict)
    fired: dict[str, int] = field(default_factory=dict)


def run_pipeline(
    graph: Graph,
    passes: Sequence[Pass],
    report: Report | None = None,
    dump: Callable[[str, Graph], None] | None = None,
    stage: Stage = "source",
) -> Graph:
    """The graph after all passes; `stage` is that of the given one. With `DFG_VERIFY=1` every result is verified."""
    check = os.environ.get("DFG_VERIFY") == "1"
    paused = gc.isenabled()
    gc.disable()
    try:
        if check:
            verify(graph, stage)
        for p in passes:
            name = type(p).__name__.lower()
            start = time.perf_counter()
            after = p.run(graph)
            if isinstance(p, Differentiate):
                stage = "differentiated"
            if report is not None:
                report.seconds[name] = time.perf_counter() - start
                report.values[name] = len(after)
                if after is not graph:
                    for rule, count in after.fired.items():
                        report.fired[rule] = report.fired.get(rule, 0) + count
            if check:
                verify(after, stage)
            if dump is not None:
                dump(name, after)
            graph = after
    finally:
        if paused:
            gc.enable()
    return graph


def dump_to(folder: Path, text: Callable[[Graph], str]) -> Callable[[str, Graph], None]:
    """A dumper that writes `1-stabilise.dfg` ... into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0

    def dump(name: str, graph: Graph) -> None:
        nonlocal count
        count += 1
        (folder / f"{count}-{name}.dfg").write_text(text(graph), encoding="utf-8")

    return dump
