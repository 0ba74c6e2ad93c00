"""One block of readable text being written: what the values of its graph are called, when one is bound, and the lines so far.

A scope gives each value its term in order; a value that is long and used twice, or long at all, or named by the program, is bound on a line of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from dfg.ir import Graph, Value
from dfg.text import forms
from dfg.text.blocks import BLOCKS, TEST_LONG, Steps, Unfit
from dfg.text.calls import call_term, term_of
from dfg.text.convert import typed
from dfg.text.term import Level, Term, atom
from dfg.text.words import name_is_plain
from dfg.types import TensorType

if TYPE_CHECKING:
    from dfg.text.readable import Program

_USED = forms  # importing it fills the table of forms
LONG: Final = 100
"""A longer text is bound to a name."""
SHORT: Final = 24
"""A text of at most this length is repeated rather than bound."""
LARGE: Final = 64
"""A constant of more elements goes into a file, where there is one."""


class Scope:
    """One graph being written into one block: what its values are called, and the lines so far. A form's `Writer`."""

    def __init__(self, program: Program, graph: Graph, depth: int, taken: Iterable[str]) -> None:
        self.program = program
        self.graph = graph
        self.default_float = program.default_float
        self.terms: dict[int, Term] = {}
        self.bound: dict[int, str] = {}
        """The names of values that have one."""
        self.others: dict[int, str] = {}
        """A further name of the program for a value, where one is bound."""
        self.taken: set[str] = set(taken)
        self.lines: list[str] = []
        self.indent = "  " * depth
        self.depth = depth
        self.labels: dict[int, list[str]] = {}
        for name, v in graph.names.items():
            self.labels.setdefault(v.index, []).append(name)
        self.wanted: dict[int, list[str]] = {}
        self.projections: dict[int, list[Value]] = {}
        self.preset: dict[int, Term] = {}
        self.uses: list[int] = []
        self.counter = 0
        self.inline = False
        """Whether nothing may be bound: the head of a `while` has no place for it."""

    def inside(self, graph: Graph, depth: int, taken: Iterable[str]) -> Scope:
        """A scope for a body."""
        return Scope(self.program, graph, depth, {*taken, *self.program.dims})

    # --- what forms ask

    def use(self, function: str) -> str:
        self.program.used.add(function)
        return self.program.other_name(function) if function in self.program.wrapped else function

    @property
    def tries(self) -> dict[Any, bool]:
        return self.program.tries

    def is_plain(self, v: Value) -> bool:
        return v.index not in self.bound

    def named(self, v: Value) -> str:
        if v.index not in self.bound:
            if self.inline:
                raise Unfit
            self.bind(v)
        return self.bound[v.index]

    # --- names

    def fresh(self, hint: str | None = None) -> str:
        if hint is not None and self.free(hint):
            self.taken.add(hint)
            return hint
        while True:
            self.counter += 1
            name = f"t{self.counter}"
            if self.free(name):
                self.taken.add(name)
                return name

    def free(self, name: str) -> bool:
        return name_is_plain(name) and name not in self.taken and name not in self.program.reserved and name not in self.program.hidden

    def choose(self, v: Value) -> str:
        """The name that a value is bound to: the program's first for it if it can be had."""
        for name in self.labels.get(v.index, ()):
            if name_is_plain(name) and name not in self.taken and name not in self.program.hidden and self.may_bind(name, v):
                self.taken.add(name)
                return name
        for name in self.labels.get(v.index, ()):
            if name in self.program.hidden and self.free(f"{name}_"):
                self.taken.add(f"{name}_")
                return f"{name}_"
        return self.fresh(self.graph.hints.get(v.index))

    def may_bind(self, name: str, v: Value) -> bool:
        """Not the name of a size or of another output."""
        return name not in self.program.dims and (self.depth > 0 or self.graph.roots.outputs.get(name, v) is v)

    def bind(self, v: Value, term: Term | None = None) -> None:
        """Write `name = …` for a value now."""
        made = term or typed(self, v)
        name = self.choose(v)
        self.line(f"{name} = {made.text}")
        self.remember(v, name, made.static)

    def remember(self, v: Value, name: str, static: bool = False) -> None:
        self.bound[v.index] = name
        self.program.bound.add(name)
        self.terms[v.index] = atom(name, v.dtype, v.shape, static)

    def aliases(self, v: Value) -> None:
        """Further names of the program for a value that is bound; those of outputs are bound where they are exported."""
        for name in self.labels.get(v.index, ()):
            if self.depth == 0 and name in self.graph.roots.outputs:
                continue
            if name != self.bound.get(v.index) and name not in self.taken and name not in self.program.hidden and name_is_plain(name) and (
                    self.may_bind(name, v)):
                self.taken.add(name)
                self.program.bound.add(name)
                self.others[v.index] = name
                self.line(f"{name} = {self.bound[v.index]}")

    def line(self, text: str) -> None:
        self.lines.append(self.indent + text)

    # --- values

    def prepare(self, roots: Sequence[Value]) -> list[Value]:
        """The values that `roots` need; counts the places where each is written if it is written where it is used."""
        live = self.graph.live(roots)
        self.uses = [0] * len(self.graph.values)
        for r in roots:
            self.uses[r.index] += 1
        for v in reversed(live):
            if v.op.name in ("part", "trace"):
                self.projections.setdefault(v.operands[0].index, []).append(v)
            passes = self.uses[v.index] if self.transparent(v) else 1
            for o in v.operands:
                self.uses[o.index] += passes
        return live

    def transparent(self, v: Value) -> bool:
        """Whether a value is usually no text of its own."""
        return v.op.name == "broadcast" or (v.op.name == "cast" and v.index in self.graph.casts)

    def emit(self, v: Value) -> Steps:
        """Give a value its term, and a name if it needs one."""
        name = v.op.name
        if v.index in self.terms:
            pass
        elif v.index in self.preset:
            self.terms[v.index] = self.preset.pop(v.index)
        elif name in BLOCKS:
            yield from BLOCKS[name](self, v)
            if v.index not in self.terms:
                return
        elif name in ("vjp", "jacobian"):
            return  # written for each target where its part is used
        elif not isinstance(v.type, TensorType):
            self.several(v)
            return
        elif name == "constant" and self.program.arrays is not None and v.attrs[0].array.size > LARGE:
            self.program.load(v, self)
        elif name == "pin":
            self.terms[v.index] = typed(self, v.operands[0])
            self.bind(v, self.terms[v.index])
        else:
            self.terms[v.index] = term_of(self, v)
        if v.index not in self.bound and self.must_bind(v):
            term = self.terms[v.index]
            if v.index in self.labels or term.dtype is None:
                self.bind(v)
            else:  # a helper keeps the loose shape: it is stretched where it is used
                text_name = self.fresh(self.graph.hints.get(v.index))
                self.line(f"{text_name} = {term.text}")
                self.bound[v.index] = text_name
                self.program.bound.add(text_name)
                self.terms[v.index] = atom(text_name, term.dtype, term.shape, term.static)
        if v.index in self.bound:
            self.aliases(v)

    def must_bind(self, v: Value) -> bool:
        if v.index in self.wanted:
            return False  # an output binds it
        if self.inline:
            if len(self.terms[v.index].text) > TEST_LONG:
                raise Unfit
            return False
        if v.index in self.labels and v.op.name != "arg":
            return any(name_is_plain(name) for name in self.labels[v.index])
        term = self.terms[v.index]
        if term.level is Level.ATOM and len(term.text) <= SHORT:
            return False
        size = len(term.text)
        return size > LONG or (size > SHORT and self.uses[v.index] > 1)

    def several(self, v: Value) -> None:
        """An op with several results, by the call of its function: `q, r = qr(x)`."""
        text = call_term(self, v).text
        parts = {p.attrs[0]: p for p in self.projections.get(v.index, ()) if p.op.name == "part"}
        targets = []
        for k in range(len(v.type.items)):
            if k in parts:
                name = self.choose(parts[k])
                self.remember(parts[k], name)
                targets.append(name)
            else:
                targets.append("_")
        self.line(f"{', '.join(targets)} = {text}")


def drive(scope: Scope, v: Value) -> None:
    """Emit a value, and the bodies that it holds, whatever their depth. What a body raises reaches the form that holds it."""
    stack: list[Steps] = [scope.emit(v)]
    problem: BaseException | None = None
    while stack:
        try:
            inner = stack[-1].throw(problem) if problem is not None else next(stack[-1])
            problem = None
            stack.append(inner)
        except StopIteration:
            problem = None
            stack.pop()
        except Unfit as u:
            stack.pop()
            if not stack:
                raise
            problem = u
