"""A `Program`: a graph at the source stage with what was declared, and the stages that the compiler makes of it.

A program is never changed: `grad` gives another one. Its stages (`source`, `stabilised`, `differentiated`, `clean`) are made when they are first
asked for, and kept.

>>> from dfg.api import loads
>>> program = loads("input x : f64[n]\\nparam w : f64 = 2\\noutput l = sum(w * x ** 2)\\n")
>>> program.inputs, program.params
({'x': TensorType(f64[n])}, {'w': TensorType(f64)})
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dfg.api.gradient import copied, differentiated
from dfg.diagnostics import Diagnostic, Sink, UserError, error, in_order
from dfg.ir import Graph, Roots, Subgraph, Value
from dfg.source import Source, Span, normal
from dfg.types import TensorType, lossless

if TYPE_CHECKING:
    import numpy as np

    from dfg.api.loading import Files
    from dfg.frontend.syntax import File
    from dfg.passes.manager import Report
    from dfg.viz.view import Rendered

StageName = Literal["source", "stabilised", "differentiated", "clean"]
STAGES: tuple[StageName, ...] = ("source", "stabilised", "differentiated", "clean")
KINKS = ("dfg", "torch", "jax")


@dataclass(frozen=True, slots=True)
class Checked:
    """What `Program.check` found besides errors: warnings, and (text, place) of what is verified when sizes arrive and of implicit conversions."""

    warnings: tuple[Diagnostic, ...]
    asserts: tuple[tuple[str, str], ...]
    casts: tuple[tuple[str, str], ...]


def from_tree(source: Source, tree: File, sink: Sink, files: Files, path: Path | None = None) -> Program:
    """The program of a parsed source; what is wrong raises."""
    from dfg.frontend.syntax import Default

    first = tree.statements[0] if tree.statements else None
    if isinstance(first, Default) and first.dtype.text == "exact":
        from dfg.frontend.exact import read_exact

        graph = read_exact(source, sink, lambda path: files.array(path, source), tree)
        sink.raise_errors()
        return Program(graph, name=source.name, source=source, files=files, path=path, warnings=sink.items, exact=True)
    from dfg.frontend.lowering.program import lower

    lowered = lower(tree, sink, files)
    sink.raise_errors()
    return of_lowered(lowered, source, files, path, sink)


def of_lowered(lowered: Any, source: Source, files: Files | None, path: Path | None, sink: Sink) -> Program:
    """The program of what the frontend lowered: inputs with a default are given it as an initial value."""
    defaults = {name: info.default for name, info in lowered.inputs.items() if info.default is not None}
    if defaults:
        graph, roots = lowered.graph, lowered.graph.roots
        given = {**roots.initials, **defaults}
        declared = [v.attrs[0] for v in graph.values if v.op.name in ("input", "param", "state")]
        graph.roots = Roots(roots.outputs, roots.updates, {name: given[name] for name in declared if name in given})
    return Program(lowered.graph, name=source.name, source=source, files=files, path=path, warnings=sink.items, lowered=lowered)


class Program:
    """A checked program. `graph` is its dataflow graph before differentiation; `str(program)` its readable text."""

    def __init__(self, graph: Graph, *, name: str = "<graph>", source: Source | None = None, files: Files | None = None,
                 path: Path | None = None, warnings: Iterable[Diagnostic] = (), lowered: Any = None, exact: bool = False) -> None:
        self.graph = graph
        self.name = name
        self.source = source
        self.files = files
        self.lowered = lowered
        self.exact_text = exact
        self.path = path
        self.told = tuple(warnings)
        """What the frontend warned of."""
        self._stages: dict[tuple[StageName, str], Graph] = {("source", kinks): graph for kinks in KINKS}
        self._late: dict[str, list[Diagnostic]] = {}

    # --- what it declares -------------------------------------------------------------------------------------------------------

    def _declared(self, kind: str) -> dict[str, Value]:
        return {v.attrs[0]: v for v in self.graph.values if v.op.name == kind}

    @property
    def inputs(self) -> dict[str, TensorType]:
        """The types of the inputs, by name."""
        return {name: v.type for name, v in self._declared("input").items()}

    @property
    def params(self) -> dict[str, TensorType]:
        """The types of the parameters, by name; a record's leaves are dotted names."""
        return {name: v.type for name, v in self._declared("param").items()}

    @property
    def states(self) -> dict[str, TensorType]:
        """The types of the states, by name."""
        return {name: v.type for name, v in self._declared("state").items()}

    @property
    def outputs(self) -> dict[str, TensorType]:
        """The types of the outputs, by name, in their order."""
        return {name: v.type for name, v in self.graph.roots.outputs.items()}

    def declaration(self, name: str) -> Span | None:
        """Where an input, parameter or state is declared."""
        for kind in ("input", "param", "state"):
            v = self._declared(kind).get(name)
            if v is not None:
                return self.graph.spans.get(v.index)
        return None

    @property
    def hints(self) -> dict[str, int]:
        """Usual sizes, from `dim n ~ 4096`."""
        return dict(self.lowered.hints) if self.lowered is not None else {}

    # --- stages -----------------------------------------------------------------------------------------------------------------

    def stage(self, name: StageName = "clean", kinks: str = "dfg", report: Report | None = None) -> Graph:
        """The graph after a stage: `source`, `stabilised`, `differentiated` or `clean`."""
        if name not in STAGES:
            raise UserError(error("bad-argument", f"there is no stage `{name}`", help=f"one of {', '.join(STAGES)}"))
        if kinks not in KINKS:
            raise UserError(error("bad-argument", f"there is no policy `{kinks}` for kinks", help=f"one of {', '.join(KINKS)}"))
        found = self._stages.get((name, kinks))
        if found is None or report is not None:
            from dfg.passes.differentiate import Differentiate
            from dfg.passes.manager import PIPELINE, Pass, run_pipeline
            from dfg.passes.stabilise import Stabilise

            sink = Sink()
            own: dict[type, Callable[[], Pass]] = {Stabilise: lambda: Stabilise(kinks), Differentiate: lambda: Differentiate(kinks, sink.add)}
            passes: list[Pass] = [own[type(p)]() if type(p) in own else p for p in PIPELINE]
            last = STAGES.index(name)
            # Without a report a stage goes on from the one before it.
            first = max((k for k in range(last) if report is None and (STAGES[k], kinks) in self._stages), default=0)
            begun = self._stages[STAGES[first], kinks] if first else self.graph
            found = run_pipeline(begun, passes[first:last], report, stage="differentiated" if first >= STAGES.index("differentiated") else "source")
            self._stages[name, kinks] = found
            if first < STAGES.index("differentiated") <= last:
                self._late.setdefault(kinks, sink.items)
        return found

    @property
    def warnings(self) -> list[Diagnostic]:
        """Everything doubtful that was found, in the order of the text: lossy conversions, derivatives that are zero everywhere."""
        if any(v.op.calculus or any(isinstance(a, Subgraph) for a in v.attrs) for v in self.graph.values):
            self.stage("clean")
        every = Sink()
        for item in self.told:
            every.add(item)
        for item in self._late.get("dfg", ()):
            # The frontend tells of targets that it sees to be unrelated, at the target itself.
            if not any(item.code == old.code and within(old.span, item.span) for old in self.told):
                every.add(item)
        return in_order(every.items)

    def check(self, *, strict: bool = False) -> Checked:
        """Everything that can be found without data. `strict` makes every implicit conversion an error."""
        casts = self._casts()
        if strict and casts:
            raise UserError(in_order(
                error("implicit-cast", f"implicit conversion: {text}", span, help=f"write `{target}(…)` where it is meant")
                for text, span, target in casts
            ))
        needs = [(f"{need.left} >= {need.right}: {need.why}", place(need.span)) for need in self.graph.needs.values()]
        facts = [(f"dim {fact}", place(fact.origin) if isinstance(fact.origin, Span) else "") for fact in self.graph.facts.declared]
        return Checked(tuple(self.warnings), (*facts, *needs), tuple((text, place(span)) for text, span, _ in casts))

    def _casts(self) -> list[tuple[str, Span | None, str]]:
        found: list[tuple[str, Span | None, str]] = []
        for index, reason in sorted(self.graph.casts.items()):
            v = self.graph.values[index]
            held, target = v.operands[0].type.dtype, v.type.dtype
            name = self.graph.label(v.operands[0])
            lossy = "" if lossless(held, target) else ", which may lose digits"
            found.append((f"{f'`{name}` : ' if name else ''}{held} -> {target}{lossy}: {reason}", self.graph.spans.get(index), target.name))
        return found

    # --- what can be made of it -------------------------------------------------------------------------------------------------

    def grad(self, loss: str, wrt: str | Sequence[str]) -> Program:
        """This program with the gradients of a scalar by the named values as outputs, called `dl_dw` for `l` and `w`."""
        return differentiated(self, normal(loss), [normal(name) for name in ([wrt] if isinstance(wrt, str) else wrt)])

    def with_roots(self, roots: Roots) -> Program:
        """The same graph with other outputs and updates."""
        graph, mapping = copied(self.graph)
        graph.roots = roots.map(lambda v: mapping[v.index])
        return Program(graph, name=self.name, source=self.source, files=self.files, path=self.path, warnings=self.told, exact=self.exact_text)

    def render(self, path: str | os.PathLike[str], view: str = "forward", *, stage: StageName | Literal["planned"] | None = None, kinks: str = "dfg",
               **options: Any) -> Rendered:
        """Draw it into a `.svg`, `.png` or `.dot` file: the `forward` pass, the `backward` pass, or `both`. The stage `planned` also says which step of the
        NumPy backend's plan computes a value and which slot of memory holds it."""
        from dfg.viz.view import render

        if stage is None:
            stage = "clean" if view != "forward" or self.derives() else "source"
        if stage == "planned":
            stage = "clean"
            options = {"marks": _plan_marks(self, kinks), **options}
        return render(self.stage(stage, kinks), None, os.fspath(path), view, **{"title": os.path.basename(self.name), **options})

    def derives(self) -> bool:
        """Does it hold a derivative?"""
        from dfg.passes.differentiate import has_calculus

        return any(has_calculus(v) for v in self.graph.values)

    def exact(self) -> str:
        """Its exact text: one op per statement, which reads back to an equal graph."""
        from dfg.text import exact

        return exact(self.graph)

    def text(self, kinks: str = "dfg", graph: Graph | None = None, arrays: dict[str, np.ndarray] | None = None, file: str = "constants.npz") -> str:
        """Its readable text; derivatives are expanded and simplified. With `graph`, that of a graph which was made from this program's. With `arrays`,
        constants of more than 64 elements go there by key, and print as `load("file:key")`."""
        from dfg.text import readable

        if graph is None:
            graph = self.stage("clean", kinks) if self.derives() else self.graph
        default = self.lowered.default_float if self.lowered is not None else None
        hints = self.lowered.hints if self.lowered is not None else None
        return readable(graph, arrays, file, source=self.graph, default_float=default, hints=hints)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Program {self.name}: inputs {', '.join(self.inputs) or 'none'}; outputs {', '.join(self.outputs) or 'none'}>"


def place(span: Span | None) -> str:
    """`file:line:column`, or nothing."""
    return "" if span is None else repr(span)


def within(inner: Span | None, outer: Span | None) -> bool:
    """Does a span lie in another?"""
    return inner is not None and outer is not None and inner.source is outer.source and outer.start <= inner.start and inner.stop <= outer.stop


def _plan_marks(program: Program, kinks: str) -> dict[int, str]:
    """For each value that a step of the plan computes: the number of the step, its slot, and whether it overwrites an operand."""
    from dfg.passes.planner import compile_plan

    plan = compile_plan(program.stage("clean", kinks), None, True, program.hints)
    marks: dict[int, str] = {}
    for k, step in enumerate((*plan.steps, *plan.commit)):
        if step.value is None or not step.outs:
            continue
        out = plan.arrays[step.outs[-1]]
        place = f"slot {out.slot}" if out.kind == "slot" else out.kind
        marks[step.value.index] = f"step {k + 1}: {place}{', in place' if step.outs[-1] in step.operands else ''}"
    return marks
