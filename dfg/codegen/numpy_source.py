"""Plans as Python: straight-line NumPy calls that write into arrays which already exist.

Two forms of one rendering. `source_of` gives the text of a function for the whole plan, for plans of up to `STRAIGHT` steps and for `dfg emit`; compiling a line
costs 13 us, so longer plans run as a list of calls, each made from the text of its kind of step, compiled once (`dfg.codegen.numpy_calls`). Names in the text come from the
program where a name means one array; `s3` is slot 3. Text from a program reaches the code only as checked identifiers and in comments.

    def make(arrays, sizes, help):
        w, s0 = arrays[1], arrays[4]
        def run(x, y):
            np.multiply(x, w, s0)       # u = w * x
            np.exp(s0, y)               # y = exp(u)
        return run
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from dfg.dims import Dim, DimCode, DimLike
from dfg.ir import Const, Subgraph
from dfg.ops.base import OPS
from dfg.ops.indexed import add_rows
from dfg.plan import STATIC, Array, Branch, Carry, Loop, Plan, Step
from dfg.types import DType

STRAIGHT: Final = 2000
"""Up to so many steps a plan is one function."""
DEEP: Final = 12
"""At every so many nested loops one becomes a function."""

TEMPLATES: Final[dict[str, str]] = {
    "copy": "np.copyto({out}, {0})",
    "mask": "np.copyto({out}, {0})\nnp.negative({out}, {out})",
    "mask_not": "np.copyto({out}, {0})\nnp.subtract({out}, 1, {out})",
    "bit_and": "np.bitwise_and({0}, {1}, {out})",
    "bit_or": "np.bitwise_or({0}, {1}, {out})",
    "fill_reshaped": "np.copyto({out}.reshape({0}.shape), {0})",
    "matmul": "np.matmul({0}, {1}, {out})",
    "dot": "np.dot({0}, {1}, {out})",
    "vecdot": "np.vecdot({0}, {1}, {out})",
    "multiply": "np.multiply({0}, {1}, {out})",
    "square": "np.square({0}, {out})",
    "sqrt": "np.sqrt({0}, {out})",
    "cube": "np.multiply({0}, {0}, {out})\nnp.multiply({out}, {0}, {out})",
    "reciprocal": "np.reciprocal({0}, {out})",
    "check_index": "check_index({0}, {size}, {axis})",
    "wrap_index": "np.remainder({0}, {size}, {out})",
    "scale_index": "np.multiply({0}, {size}, {out})",
    "add_index": "np.add({0}, {1}, {out})",
    "scatter_set": "{out}[{1}] = {0}",
}


Write = Callable[[str, Step | None, int], None]
"""Takes a statement, the step that it belongs to, and its indentation."""


class Code(str):
    """Text of an expression, which also stands for itself where a tuple is formatted."""

    def __repr__(self) -> str:
        return str(self)


def check_index(index: np.ndarray, size: int, axis: int) -> None:
    """IndexError unless every element names a place of an axis."""
    if index.size:
        low, high = int(np.minimum.reduce(index, None)), int(np.maximum.reduce(index, None))
        if low < -size or high >= size:
            raise IndexError(f"index {low if low < -size else high} is outside axis {axis} of size {size}")


def reached(loop: Any, steps: int) -> None:
    """What happens where a `while` has taken as many steps as it may; a runtime puts its own in place."""


class Renderer:
    """Statements for steps. Subclasses say how an array, a size and an object of Python are written."""

    plan: Plan
    looping = 0
    """In how many loops the statements stand that are being written."""

    def array(self, index: int) -> str:
        raise NotImplementedError

    def dim(self, d: DimLike) -> str:
        raise NotImplementedError

    def object(self, x: Any, hint: str) -> str:
        raise NotImplementedError

    def attr(self, a: Any) -> Any:
        """An attribute as an `into` callable gets it: sizes as text, the rest as it is."""
        if isinstance(a, Dim):
            return Code(self.dim(a))
        return tuple([self.attr(x) for x in a]) if isinstance(a, tuple) else a

    def literal(self, a: Any) -> str:
        """An attribute as Python text."""
        if isinstance(a, Dim):
            return self.dim(a)
        if isinstance(a, tuple):
            return f"({', '.join(self.literal(x) for x in a)}{',' if len(a) == 1 else ''})"
        if isinstance(a, DType):
            return self.object(a, f"t_{a.name}")
        if isinstance(a, Const | Subgraph) or not isinstance(a, bool | int | float | str | type(None)):
            return self.object(a, "k")
        if isinstance(a, float):
            return f"float({str(a)!r})"
        return repr(a)

    def statements(self, s: Step) -> list[str]:
        """The statements of a step that is no loop."""
        operands = [self.array(o) for o in s.operands]
        outs = [self.array(o) if o >= 0 else "" for o in s.outs]
        kernel = s.kernel
        if kernel == "op" or kernel == "evaluate":
            return self._op(s, operands, outs)
        if kernel == "view":
            return [f"{outs[0]} = {self.view(s, operands[0])}"]
        if kernel == "take":
            return [f"{operands[0]}.take({operands[1]}, 0, {outs[0]}, {'wrap' if s.attrs[0] else 'clip'!r})"]
        if kernel == "scatter_add":
            return [f"add_rows({outs[0]}, {operands[1]}, {operands[0]})"]
        if kernel == "copy" and operands[0] == outs[0]:
            return []
        if kernel == "matmul" and self.looping and self._dots(s):
            # Half the time of `matmul` where matrices are small, as they are where a loop runs often.
            return [f"{operands[0]}.dot({operands[1]}, {outs[0]})"]
        more = dict(zip(("size", "axis"), [self.literal(a) for a in s.attrs], strict=False)) if kernel.endswith("_index") else {}
        return TEMPLATES[kernel].format(*operands, out=outs[0] if outs else "", **more).split("\n")

    def _dots(self, s: Step) -> bool:
        """Whether NumPy's `dot` takes the operands and the result of a product as they are."""
        arrays = self.plan.arrays
        out = arrays[s.outs[0]]
        while out.kind == "row":
            out = arrays[out.operands[0]]
        ranks = [arrays[a].type.rank for a in (*s.operands, *s.outs)]
        return out.kind in ("slot", "output") and max(ranks) == 2 and ranks[2] > 0 and out.type.dtype.floating

    def _op(self, s: Step, operands: list[str], outs: list[str]) -> list[str]:
        op = s.op
        if isinstance(op.into, str) and s.kernel == "op":
            made = [op.into.format(*operands, out=outs[0], **{a.name: self.attr(x) for a, x in zip(op.attrs, s.attrs, strict=True)})]
        elif op.into is not None and s.kernel == "op":
            given = op.into(outs[0], *operands, **{a.name: self.attr(x) for a, x in zip(op.attrs, s.attrs, strict=True)})
            made = [given] if isinstance(given, str) else list(given)
        else:
            words = ["np", *operands, *[f"{a.name}={self.literal(x)}" for a, x in zip(op.attrs, s.attrs, strict=True)]]
            call = f"{self.object(op.evaluate, f'op_{op.name}')}({', '.join(words)})"
            if len(outs) == 1:
                return [f"np.copyto({outs[0]}, {call})"]
            results = [f"r{k}_" for k in range(len(outs))]
            return [f"{', '.join(results)} = {call}", *[f"np.copyto({o}, {q})" for o, q in zip(outs, results, strict=True) if o]]
        # A copy onto itself is what is left of an in-place step.
        return [m for m in made if m != f"np.copyto({outs[0]}, {outs[0]})"]

    def view(self, s: Step, base: str) -> str:
        op, a = s.op, s.attrs
        if op is OPS["reshape"]:
            return f"{base}.reshape({self.literal(a[0])})"
        if op is OPS["permute"]:
            return f"{base}.transpose({self.literal(a[0])})"
        if op is OPS["flip"]:
            rank = self.plan.arrays[s.outs[0]].type.rank
            return f"{base}[{', '.join('::-1' if k in a[0] else ':' for k in range(rank))}]"
        if op is OPS["slice"]:
            parts = [self._window(*w) for w in zip(*a, strict=True)]
            return f"{base}[{', '.join(parts)}]" if parts else base
        words = [f"{x.name}={self.literal(y)}" for x, y in zip(op.attrs, a, strict=True)]
        return f"{self.object(op.evaluate, f'view_{op.name}')}({', '.join(['np', base, *words])})"

    def _window(self, start: DimLike, size: DimLike, stride: int) -> str:
        step = "" if stride == 1 else f":{stride}"
        return f"{self.literal(start)}:{self.literal(start + size * stride)}{step}"

    def row(self, a: Array, index: str) -> str:
        base = self.plan.arrays[a.operands[0]]
        # An element of a vector would be a number, not an array to write to.
        return f"{self.array(a.operands[0])}[{index}{', ...' if base.type.rank == 1 else ''}]"

    def loop(self, s: Step, write: Write, depth: int) -> None:
        """Write a loop step: its statements with their indentation."""
        loop = s.inner
        assert isinstance(loop, Loop)
        if loop.depth % DEEP == 0:
            # Python nests 20 loops in one function; what the loop makes, only the loop reads.
            write(f"def deep{loop.depth}_():", s, depth)
            self._loop(loop, s, write, depth + 1)
            write(f"deep{loop.depth}_()", s, depth)
        else:
            self._loop(loop, s, write, depth)

    def _loop(self, loop: Loop, s: Step, write: Write, depth: int) -> None:
        for c in loop.carries:
            if c.mode != "place":
                write(f"{self.array(c.current)} = {self.array(c.start)}", s, depth)
            if c.mode == "rotate":
                write(f"{self.array(c.spare)}, {self.other(c)} = {self.array(c.second[0])}, {self.array(c.second[1])}", s, depth)
        n = self.literal(loop.length)
        index = f"t{loop.depth}_"
        if loop.count >= 0:
            write(f"n{loop.depth}_ = min(int({self.array(loop.count)}), {n})", s, depth)
            n = f"n{loop.depth}_"
        write(f"for {index} in range({n}):" if not loop.reverse else f"for {index} in range({n} - 1, -1, -1):", s, depth)
        self.looping += 1
        for inner in loop.test:
            self.block(inner, write, depth + 1)
        if loop.flag >= 0:
            write(f"if not {self.array(loop.flag)}:", s, depth + 1)
            write("break", s, depth + 2)
        for k in loop.rows:
            write(f"{self.array(k)} = {self.row(self.plan.arrays[k], index)}", s, depth + 1)
        for inner in loop.body:
            self.block(inner, write, depth + 1)
        turns = [(c, self.array(c.current)) for c in loop.carries if c.mode != "place"]
        for c, current in turns:
            if c.mode == "follow":
                write(f"{current} = {self.array(c.new)}", s, depth + 1)
            else:
                spare, other = self.array(c.spare), self.other(c)
                write(f"{current}, {spare}, {other} = {spare}, {other}, {spare}", s, depth + 1)
        self.looping -= 1
        if not (loop.rows or loop.body or turns or loop.flag >= 0):
            write("pass", s, depth + 1)
        if loop.flag >= 0:
            write("else:", s, depth)
            write(f"reached({self.object(s.value, 'loop')}, {n})", s, depth + 1)
            if loop.taken >= 0 or loop.stacks:
                write(f"{index} = {n}", s, depth + 1)
                n = index
        if loop.taken >= 0:
            write(f"{self.array(loop.taken)}[...] = {n}", s, depth)
        for k in loop.stacks:
            write(f"{self.array(k)}[{n}:] = 0", s, depth)
        for c in loop.carries:
            if c.final >= 0:
                write(f"np.copyto({self.array(c.final)}, {self.array(c.current)})", s, depth)

    def branch(self, s: Step, write: Write, depth: int) -> None:
        assert isinstance(s.inner, Branch)
        write(f"if {self.array(s.inner.predicate)}:", s, depth)
        for k, steps in enumerate((s.inner.then, s.inner.other)):
            if k:
                write("else:", s, depth)
            said = len(steps)
            for inner in steps:
                self.block(inner, write, depth + 1)
            if not said or all(t.inner is None and t.kernel != "view" and not self.statements(t) for t in steps):
                write("pass", s, depth + 1)

    def other(self, c: Carry) -> str:
        return f"{self.array(c.spare)}_2"

    def block(self, s: Step, write: Write, depth: int) -> None:
        if isinstance(s.inner, Loop):
            self.loop(s, write, depth)
        elif s.inner is not None:
            self.branch(s, write, depth)
        else:
            for text in self.statements(s):
                write(text, s, depth)


# --- one function --------------------------------------------------------------------------------------------------------------------

_TAKEN: Final = frozenset(
    {"np", "arrays", "sizes", "help", "make", "run", "range", "float", "min", "max", "add_rows", "check_index", "commit", "partial", "reached", "setitem", "uninterrupted"}
)


def identifier(name: str, used: set[str]) -> str:
    """A Python name for a name of a program, not in `used`, to which it is added. NFKC, because Python reads names so."""
    base = re.sub(r"\W", "_", unicodedata.normalize("NFKC", name)) or "v"
    if not base.isidentifier():
        base = f"v_{base}"
    if not base.isidentifier():
        base = "v"
    if keyword.iskeyword(base) or base in _TAKEN:
        base += "_"
    made, k = base, 2
    while made in used:
        made, k = f"{base}_{k}", k + 1
    used.add(made)
    return made


class Names:
    """Readable names for the arrays of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.used: set[str] = set()
        self.of: dict[int, str] = {}
        for f in (*plan.inputs, *plan.kept.values(), *plan.outputs):
            if f.array not in self.of:
                self.of[f.array] = identifier(f.name, self.used)
        self.labels: dict[int, list[str]] = {}
        for label, v in plan.graph.names.items():
            self.labels.setdefault(v.index, []).append(label)
        self.writers: dict[int, set[int]] = {}
        for s in plan.walk():
            if s.value is not None and s.inner is None and s.value.graph is plan.graph:
                for o in s.outs:
                    self.writers.setdefault(o, set()).add(s.value.index)

    def __call__(self, index: int) -> str:
        made = self.of.get(index)
        if made is None:
            a = self.plan.arrays[index]
            writers = self.writers.get(index, set())
            label = next((self.labels[w][0] for w in writers if w in self.labels), None) if len(writers) == 1 else None
            stem = {"slot": f"s{a.slot}", "constant": "k", "computed": "c", "view": "v", "row": "row", "carry": "carry"}.get(a.kind, "a")
            made = self.of[index] = identifier(label or a.name or stem, self.used)
        return made

    def comment(self, s: Step) -> str:
        """What a step computes, in the program's words."""
        v = s.value
        if v is None:
            return ""
        span = v.graph.spans.get(v.index)
        if span is not None and span.source.language == "dfg":  # of a long expression no more than can be shown
            text = " ".join(span.source.text[span.start : min(span.stop, span.start + 1000)].split())
        else:
            text = v.op.name
        text = "".join(c if c.isprintable() else "?" for c in text)
        if len(text) > 60:
            text = text[:57] + "..."
        label = next(iter(self.labels.get(v.index, ())), None) if v.graph is self.plan.graph else None
        return f"{label} = {text}" if label and text != label else text


class Source(Renderer):
    """The text of one function, with the step that each line belongs to."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.names = Names(plan)
        self.scope: dict[str, Any] = {"np": np, "add_rows": add_rows, "check_index": check_index, "partial": partial, "reached": reached}
        self._objects: dict[int, str] = {}
        self._dims = DimCode(self._size, prefix="d")
        self._size_names: dict[str, str] = {}
        self.lines: list[str] = []
        self.owners: list[Step | None] = []
        self._static: dict[int, None] = {}

    def _size(self, name: str) -> str:
        found = self._size_names.get(name)
        if found is None:
            found = self._size_names[name] = identifier(name, self.names.used)
        return found

    def array(self, index: int) -> str:
        if self.plan.arrays[index].scope == STATIC:
            self._static[index] = None
        return self.names(index)

    def dim(self, d: DimLike) -> str:
        return self._dims.expr(d)

    def object(self, x: Any, hint: str) -> str:
        found = self._objects.get(id(x))
        if found is None:
            found = self._objects[id(x)] = identifier(hint, self.names.used)
            self.scope[found] = x
        return found

    def build(self) -> Source:
        body: list[tuple[str, Step | None]] = []
        said: set[int] = set()

        def write(text: str, s: Step | None, depth: int) -> None:
            note = ""
            if s is not None and s.value is not None and s.inner is None and s.kernel != "view" and id(s.value) not in said:
                said.add(id(s.value))
                note = self.names.comment(s)
            line = "    " * (depth + 2) + text
            body.append((f"{line:<56}  # {note}" if note else line, s))

        for s in self.plan.steps:
            self.block(s, write, 0)
        prepared = self._commit(write)
        io = [self.names(f.array) for f in (*self.plan.inputs, *self.plan.outputs)]
        arrays = [f"    {self.names(k)} = arrays[{k}]  # {self._note(self.plan.arrays[k])}" for k in self._static]
        head = ["def make(arrays, sizes, uninterrupted):"]
        head += [f"    {v} = sizes[{n!r}]" for n, v in self._size_names.items()]
        head += [f"    {line}" for line in self._dims.lines]
        head += arrays
        head += prepared
        head += ["", f"    def run({', '.join(io)}):"]
        tail = [] if body else ["        pass"]
        self.lines = [*head, *[t for t, _ in body], *tail, "", "    return run"]
        self.owners = [*[None] * len(head), *[s for _, s in body], *[None] * (len(tail) + 2)]
        return self

    def _note(self, a: Array) -> str:
        where = {"slot": f"slot {a.slot}", "computed": a.op.name if a.op is not None else "", "view": a.op.name if a.op is not None else ""}
        if a.kind == "constant":
            return f"{a.type} {_short(a.attrs[0].array)}"
        return f"{a.type}, {where.get(a.kind, a.kind)}"

    def _commit(self, write: Write) -> list[str]:
        """Write the call of the commit; where it does not depend on inputs it is prepared before, where the text returned goes."""
        steps = self.plan.commit
        if not steps:
            return []
        lines = []
        for s in steps:
            for k, text in enumerate(commit_texts(self, s)):
                lines.append(f"        {text + ',':<48}" + (f"  # {self.names.comment(s)}" if k == 0 and s.value is not None else ""))
        if fixed(self.plan, steps):
            write("commit()  # from here to the end nothing can stop", None, 0)
            return ["    commit = uninterrupted((", *lines, "    ))"]
        write("uninterrupted((", None, 0)
        for line in lines:
            write(line.strip(), None, 1)
        write("))()", None, 0)
        return []

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def compile(self, filename: str, more: dict[str, Any]) -> Callable[..., Any]:
        """The function `make`; `more` are names that it may use."""
        from collections import deque
        from operator import setitem

        scope = {**self.scope, "deque": deque, "setitem": setitem, **more}
        exec(compile(self.text, filename, "exec"), scope)
        make: Callable[..., Any] = scope["make"]
        return make


def commit_texts(r: Renderer, s: Step) -> list[str]:
    """A step of the commit as callables that run no Python: so that a signal cannot stop it half way."""
    if s.kernel == "copy":
        target, source = r.array(s.outs[0]), r.array(s.operands[0])
        return [f"partial(setitem, {target}, ..., {source})"] if target != source else []
    return [f"partial({name}, {rest[:-1]})" for name, rest in (t.split("(", 1) for t in r.statements(s))]


def fixed(plan: Plan, steps: Sequence[Step]) -> bool:
    """Whether the arrays of these steps are the same in every run with the same sizes."""
    return all([plan.arrays[a].scope == STATIC for s in steps for a in (*s.operands, *s.outs)])


def _short(a: np.ndarray) -> str:
    return repr(a.item()) if a.ndim == 0 else f"of {a.size} elements"


def source_of(plan: Plan) -> str:
    """The NumPy program of a plan, readable."""
    s = Source(plan).build()
    head = f"# {len(plan.steps)} steps, {len(plan.slots)} slots; arrays: what steps read and write, made once for given sizes\nimport numpy as np\n\n\n"
    return head + s.text
