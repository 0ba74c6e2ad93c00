"""The reference of functions: one page for each, the table by family, and the whole as `docs/ops.md`. Everything is read from the definitions.

A page's text, signature and arguments are those of the surface function; its formula, what may fail, its workspace and why nothing flows back come from
the ops that its example consists of; the dtypes are found by trying each; its expansion and its gradient are the compiler's own readable text, under the three
policies at kinks where these differ. So a page cannot say what the compiler does not do.

>>> page("tanh").gradient
('output dx = ct * (1 - result * result)',)
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np

import dfg.ops.functions  # noqa: F401 - fills the table of functions
from dfg.codegen.interpret import interpret
from dfg.diagnostics import UserError
from dfg.dims import evaluate as evaluate_dim
from dfg.frontend.prelude import Composite
from dfg.ir import Graph, Value
from dfg.ops.base import OPS, NoGradient, Op
from dfg.ops.surface import FUNCTIONS, Function, Literal, role
from dfg.passes.differentiate import Differentiate
from dfg.passes.manager import PIPELINE, run_pipeline
from dfg.passes.stabilise import Stabilise
from dfg.tools.examples import Example, example, lowered
from dfg.types import DTYPES, DType, TensorType

FAMILIES: Final[dict[str, str]] = {
    "elementwise": "Arithmetic, comparisons and logic",
    "arithmetic": "Arithmetic, comparisons and logic",
    "mathematics": "Elementwise mathematics",
    "math": "Elementwise mathematics",
    "special": "Special functions",
    "incomplete": "Special functions",
    "creation": "Making tensors",
    "draws": "Random draws",
    "distributions": "Random draws",
    "shapes": "Shapes and arrangement",
    "shaping": "Shapes and arrangement",
    "editing": "Shapes and arrangement",
    "indexed": "Gather and scatter",
    "reductions": "Reductions and statistics",
    "statistics": "Reductions and statistics",
    "quantiles": "Reductions and statistics",
    "cumulative": "Along an axis",
    "ordering": "Sorting and searching",
    "products": "Products and linear systems",
    "matrix": "Products and linear systems",
    "matrices": "Matrices",
    "determinant": "Decompositions and determinants",
    "decompositions": "Decompositions and determinants",
    "lu": "Decompositions and determinants",
    "spectral": "Decompositions and determinants",
    "singular": "Decompositions and determinants",
    "signal": "Convolution and signals",
    "convolution": "Convolution and signals",
    "convolutions": "Convolution and signals",
    "windows": "Convolution and signals",
    "pooling": "Pooling and resampling",
    "activations": "Activations",
    "layers": "Normalisation and layers",
    "losses": "Losses and distances",
    "distances": "Losses and distances",
    "arrays": "Functions under further names",
    "vision": "Normalisation and layers",
    "sequences": "Normalisation and layers",
    "polynomials": "Polynomials",
    "primitive": "Only in printed programs",
}
"""The families, in their order, by the word of the module that defines a function (of an elementwise one: its op)."""
KINKS: Final[dict[str, str]] = {
    "abs": "At 0 the derivative is 0 (`--kinks jax`: 1).",
    "relu": "At 0 the derivative is 0, under every policy.",
    "maximum": "At a tie each gets half; against a constant, which is no target, 0 (`torch`, `jax`: half).",
    "minimum": "At a tie each gets half; against a constant, which is no target, 0 (`torch`, `jax`: half).",
    "clip": "At a bound the derivative is 0 (`torch`: 1, `jax`: 1/2).",
    "max": "Places that tie share the cotangent.",
    "min": "Places that tie share the cotangent.",
    "sqrt": "At 0 the derivative is infinite.",
    "vector_norm": "At 0 the gradient is 0 (`jax`: NaN).",
    "norm": "At 0 the gradient is 0 (`jax`: NaN).",
    "std": "Of equal numbers the gradient is 0 (`torch`, `jax`: NaN).",
    "power": "d/dx x**0 at 0 is 0; d/dy 0**y is 0 for y >= 0 and -inf below (`jax`: NaN at x = 0).",
    "where": "Lanes that are not chosen contribute nothing, however singular the other branch is there; a NaN in a chosen lane shows.",
    "prod": "Exact with any number of zeros, at every order.",
    "sort": "Ties keep their order: the gradient is the permutation of a stable sort.",
    "logsumexp": "Of nothing but -inf the value is -inf and the gradient 0; at inf it is 1 there (`torch`, `jax`: NaN).",
    "softmax": "A row of -inf is NaN.",
    "atan2": "At (0, 0) the gradient is NaN.",
    "hypot": "At (0, 0) the gradient is 0.",
    "xlogy": "At (0, 0) the value is 0; by x, the gradient is log(y).",
    "argsort": "The places are those of a stable sort.",
}
"""The policy at kinks and singular points in words, for functions that have one; the compiler's rules hold it, and tests hold both to it."""
ROLES: Final[dict[str, str]] = {
    "operand": "tensor",
    "operands": "list of tensors",
    "operand or none": "tensor or none",
    "axis": "axis",
    "axes": "axis, list of axes or none",
    "size": "size",
    "shape": "list of sizes",
    "flag": "true or false",
    "word": "word",
    "dtype": "dtype",
    "static": "static value",
}
MOST_LINES: Final = 10
MOST_CHARACTERS: Final = 800
"""The longest expansion or gradient that a page shows."""
NEVER_OP: Final = frozenset({"input", "param", "state", "arg", "constant", "dim", "part", "pin", "broadcast", "reshape", "permute", "cast", "iota"})
"""Ops that say nothing about a function that is made of them."""


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    role: str
    default: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """What is said of one function."""

    name: str
    aliases: tuple[str, ...]
    family: str
    signature: str
    doc: str
    arguments: tuple[Argument, ...]
    types: str
    formula: str
    definition: tuple[str, ...]
    """Of a function that is written in the language, its text."""
    expansion: tuple[str, ...]
    gradient: tuple[str, ...]
    notes: tuple[str, ...]
    example: str
    result: tuple[str, ...]
    ops: tuple[str, ...]


# --- the table ---------------------------------------------------------------------------------------------------------------------


@cache
def _op_modules() -> dict[int, str]:
    """For each op the word of the module that made it: the first, in the order of imports, that holds it."""
    import sys

    found: dict[int, str] = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("dfg.ops.") and module is not None:
            for thing in list(vars(module).values()):
                if isinstance(thing, Op):
                    found.setdefault(id(thing), name.split(".")[-1])
    return found


def family_of(name: str) -> str:
    """The title of a function's family."""
    f = FUNCTIONS[name]
    word = f.family
    if word == "common":
        op = OPS.get(name) or OPS.get(aliases_of(name)[0])
        word = _op_modules().get(id(op), "mathematics") if op is not None and (op.arity != 1 or "(" not in op.formula) else "mathematics"
        word = "special" if op is not None and _op_modules().get(id(op), "").startswith("special") else word
    return FAMILIES.get(word) or FAMILIES.get(word.split("_")[0], word)


@cache
def aliases_of(name: str) -> tuple[str, ...]:
    """Every name of the same function, the first one first."""
    f = FUNCTIONS[name]
    return tuple(n for n, g in FUNCTIONS.items() if g.implementation is f.implementation)


def every_name() -> list[str]:
    """The names of all functions, aliases included."""
    return list(FUNCTIONS)


def table() -> dict[str, list[str]]:
    """The functions of each family, each by its first name."""
    found: dict[str, list[str]] = {title: [] for title in dict.fromkeys(FAMILIES.values())}
    for name in every_name():
        if aliases_of(name)[0] == name:
            found.setdefault(family_of(name), []).append(name)
    return {title: sorted(names) for title, names in found.items() if names}


# --- a page ------------------------------------------------------------------------------------------------------------------------


def page(name: str) -> Page:
    """The page of a function; KeyError if there is none."""
    f = FUNCTIONS[name]
    doc, arguments = _from_function(f)
    shown = ", ".join(_shown_argument(a) for a in arguments)
    made = example(name)
    own = OPS.get(name)
    facts = _Facts(made)
    definition = _definition(f)
    refused = "" if made is not None else "always refused: the size of its result would depend on the numbers"
    return Page(
        name,
        tuple(a for a in aliases_of(name) if a != name),
        family_of(name),
        f"{name}({shown})",
        doc,
        arguments,
        facts.types() or refused,
        own.formula if own is not None else "",
        definition,
        facts.expansion(name) if not definition else (),
        facts.gradient(),
        (*facts.notes(name), *_kinks(name)),
        made.program if made is not None else "",
        facts.result(),
        facts.ops,
    )


def _from_function(f: Function) -> tuple[str, tuple[Argument, ...]]:
    made = []
    for p in f.signature.parameters.values():
        star = "*" if p.kind is inspect.Parameter.VAR_POSITIONAL else ""
        made.append(Argument(star + p.name, ROLES.get(role(p), role(p)), None if p.default is p.empty else _default(p.default)))
    return " ".join(f.doc.split()), tuple(made)


def _definition(f: Function) -> tuple[str, ...]:
    """The text of a function of the prelude, or of the one that it is another name of."""
    while isinstance(f, Composite) and f.definition.alias is not None:
        f = FUNCTIONS[f.definition.alias]
    return tuple(f.definition.node.span.text.splitlines()) if isinstance(f, Composite) else ()


def _default(x: Any) -> str:
    if isinstance(x, str):
        return f'"{x}"'
    if isinstance(x, bool) or x is None:
        return str(x).lower()
    return str(x.value if isinstance(x, Literal) else list(x) if isinstance(x, tuple) else x)


def _shown_argument(a: Argument) -> str:
    return a.name if a.default is None else f"{a.name}={a.default}"


def _kinks(name: str) -> tuple[str, ...]:
    said = next((KINKS[n] for n in aliases_of(name) if n in KINKS), None)
    return (f"Kinks: {said}",) if said is not None else ()


class _Facts:
    """What the compiler tells of a function's example."""

    def __init__(self, made: Example | None) -> None:
        self.example = made
        self.ops: tuple[str, ...] = ()
        self.inputs: dict[str, TensorType] = {}
        self.graph: Graph | None = None
        if made is None:
            return
        held = lowered(made.program)
        self.inputs = {n: held.graph.names[n].type for n in made.operands}
        # What must be known while compiling cannot be an input: of such a function the graph is that of the numbers.
        self.graph = self._graph({})
        if self.graph is None:
            self.inputs, self.graph = {}, held.graph
        reached = list(self.graph.live(list(self.graph.roots.outputs.values())))
        self.ops = tuple(dict.fromkeys(v.op.name for v in reached if v.op.name not in NEVER_OP))

    def _types(self, dtypes: dict[str, DType]) -> dict[str, str]:
        return {n: str(t.with_dtype(dtypes.get(n, t.dtype))) for n, t in self.inputs.items()}

    def _graph(self, dtypes: dict[str, DType]) -> Graph | None:
        assert self.example is not None
        try:
            return lowered(self.example.over(self._types(dtypes))).graph
        except UserError:
            return None

    def types(self) -> str:
        """Which dtypes the operands may have, and what the results are then."""
        if self.graph is None or not self.inputs:
            return ""
        main = next(iter(self.inputs.values())).dtype
        same = [n for n, t in self.inputs.items() if t.dtype is main]
        found: dict[tuple[str, ...], list[str]] = {}
        for d in DTYPES.values():
            g = self._graph(dict.fromkeys(same, d))
            if g is not None:
                results = tuple("the same" if v.type.dtype is d else v.type.dtype.name for v in g.roots.outputs.values())
                found.setdefault(results, []).append(d.name)
        parts = [f"{' '.join(ds)} → {', '.join(dict.fromkeys(r))}" for r, ds in found.items()]
        others = {n: t.dtype.name for n, t in self.inputs.items() if t.dtype is not main}
        return "; ".join(parts) + (f" (with {', '.join(f'{n} of {d}' for n, d in others.items())})" if others else "")

    def expansion(self, name: str) -> tuple[str, ...]:
        """The function in terms of others, if it is not a primitive itself."""
        if self.graph is None or self.ops in ((name,), ()) or name in OPS and set(self.ops) <= {name}:
            return ()
        return _statements(_clean(self.graph, "dfg"))

    def gradient(self) -> tuple[str, ...]:
        """The pulled back cotangent as text, or why there is none."""
        if self.graph is None:
            return ()
        floating = [n for n, t in self.inputs.items() if t.dtype.floating]
        results = [(n, v) for n, v in self.graph.roots.outputs.items() if v.type.dtype.floating]
        if floating and results:
            texts = {kinks: self._gradient_text(kinks, results[0], floating) for kinks in ("dfg", "torch", "jax")}
            lines = texts["dfg"]
            if lines:
                more = [
                    line
                    for kinks in ("torch", "jax")
                    if texts[kinks] != lines and len(texts[kinks]) <= 4 and not texts[kinks][0].startswith("#")
                    for line in (f"# with --kinks {kinks}", *texts[kinks])
                ]
                return (*lines, *more)
        why = [f"none: {why}" for why in dict.fromkeys(self._reasons())]
        if why:
            return tuple(why)
        return ("none: the results are no floats",) if not results else ("none: no operand is a float",)

    def _reasons(self) -> list[str]:
        return [OPS[n].vjp.why for n in self.ops if isinstance(OPS[n].vjp, NoGradient)]  # type: ignore[union-attr]

    def _gradient_text(self, kinks: str, result: tuple[str, Value], targets: Sequence[str]) -> tuple[str, ...]:
        assert self.example is not None
        name, value = result
        types = {**self._types({}), "ct": str(value.type)}
        marked = f"vjp({name}, [{', '.join(targets)}], ct)"
        outputs = ", ".join(f"d{n}" for n in targets)
        text = self.example.over(types).rsplit("output ", 1)[0] + f"output {outputs} = {marked}\n"
        try:
            graph = lowered(text).graph
        except UserError:
            return ()
        clean = _clean(graph, kinks)
        outs = clean.roots.outputs.values()
        if all(v.op.name in ("broadcast", "constant") and "ct" not in _leaves(clean, v) for v in outs) and self._reasons():
            return ()
        return _statements(clean, name)

    def notes(self, name: str) -> tuple[str, ...]:
        """What may fail, and what is materialised beside the result."""
        if self.graph is None:
            return ()
        said = [f"Fails with `{OPS[n].fails}`{'' if n == name else f' (in `{n}`)'}." for n in self.ops if OPS[n].fails is not None]
        reached = list(self.graph.live(list(self.graph.roots.outputs.values())))
        known = {"n": 1}
        size = {v.index: evaluate_dim(v.type.size, known) for v in reached if isinstance(v.type, TensorType)}
        largest = max([size[v.index] for v in reached if v.op.leaf and v.index in size] + [size.get(v.index, 1) for v in self.graph.roots.outputs.values()])
        wide = max((v for v in reached if v.index in size and not v.op.view and v.op.name not in ("broadcast", "constant")), key=lambda v: size[v.index], default=None)
        if wide is not None and size[wide.index] > max(2 * largest, 8):
            said.append(
                f"Materialises more than its result: the example holds {size[wide.index]} elements in `{wide.op.name}`, where operands and result have at most {largest}."
            )
        space = sum(evaluate_dim(v.op.workspace(v), known) for v in reached if v.op.workspace is not None)
        if space:
            results = sum(evaluate_dim(v.type.size, known) * v.type.dtype.size for v in self.graph.roots.outputs.values())
            often = f", {round(space / results)} times the result" if space > 2 * max(results, 1) else ""
            said.append(f"Workspace beside the result: {space} bytes in the example{often}.")
        return tuple(said)

    def result(self) -> tuple[str, ...]:
        """What the example gives, as lines."""
        if self.example is None:
            return ()
        clean = _clean(lowered(self.example.program).graph, "dfg")
        with np.errstate(all="ignore"):
            arrays = interpret(list(clean.roots.outputs.values()), {}, {})
        return tuple(f"{n} : {v.type} = {_numbers(np.asarray(a))}" for (n, v), a in zip(clean.roots.outputs.items(), arrays, strict=True))


def _leaves(graph: Graph, v: Value) -> set[str]:
    return {w.attrs[0] for w in graph.live([v]) if w.op.name == "input"}


def _clean(graph: Graph, kinks: str) -> Graph:
    return run_pipeline(graph, (Stabilise(kinks), Differentiate(kinks, lambda d: None), PIPELINE[2]))


def _statements(graph: Graph, keep: str | None = None) -> tuple[str, ...]:
    """The readable text of a graph without its declarations; a last line says how much is left out of a long one."""
    from dfg.text import readable

    lines = [line for line in readable(graph).splitlines() if line and not line.startswith(("input ", "param ", "#", "default "))]
    if len(lines) > MOST_LINES or sum(map(len, lines)) > MOST_CHARACTERS:
        ops = dict.fromkeys(v.op.name for v in graph.values if v.op.name not in NEVER_OP)
        return (f"# {len(lines)} statements, of {', '.join(ops)}",)
    return tuple(lines)


def _numbers(a: np.ndarray) -> str:
    """An array in brackets, with six digits."""
    if a.ndim:
        return f"[{', '.join(_numbers(row) for row in a)}]"
    if a.dtype.kind == "b":
        return str(bool(a)).lower()
    # Adding 0 turns a zero's sign, which may depend on the library that computed it, into a plain one.
    return str(int(a)) if a.dtype.kind in "iu" else f"{round(float(a), 6) + 0.0:.6g}"


# --- texts -------------------------------------------------------------------------------------------------------------------------


def page_text(p: Page) -> str:
    """A page for the terminal and, with the same words, for the reference."""
    lines = [f"{p.signature}", "", f"{p.doc}", ""]
    if p.aliases:
        lines += [f"Also called: {', '.join(p.aliases)}.", ""]
    if p.arguments:
        width = max(len(a.name) for a in p.arguments)
        lines += [f"    {a.name:{width}}  {a.role}{f', {a.default} if not given' if a.default is not None else ''}" for a in p.arguments] + [""]
    if p.types:
        lines += [f"Types: {p.types}", ""]
    if p.formula:
        lines += [f"Formula: {p.formula}", ""]
    if p.definition:
        lines += ["Definition, in the language:", "", *[f"    {line}" for line in p.definition], ""]
    if p.expansion:
        lines += ["In terms of others (of the example):", "", *[f"    {line}" for line in p.expansion], ""]
    if p.gradient and p.gradient[0].startswith("none: "):
        lines += [f"Gradient: {'; '.join(p.gradient)}", ""]
    elif p.gradient:
        lines += ["Gradient (of the example; `ct` is the cotangent of the first result):", "", *[f"    {line}" for line in p.gradient], ""]
    for note in p.notes:
        lines += [note, ""]
    if p.example:
        lines += ["Example:", "", *[f"    {line}" for line in p.example.splitlines()], "", *[f"    # {line}" for line in p.result], ""]
    return "\n".join(lines)


def table_text() -> str:
    """The functions by family, one line each."""
    blocks = []
    for title, names in table().items():
        width = max(map(len, names))
        rows = [f"  {n:{width}}  {_first_sentence(n)}" for n in names]
        blocks.append("\n".join([title, "", *rows, ""]))
    return "\n".join(blocks)


def _first_sentence(name: str) -> str:
    return " ".join(FUNCTIONS[name].doc.split()).split(". ")[0].rstrip(".")


def document() -> str:
    """`docs/ops.md`: the table and every page."""
    out = [
        "# Functions",
        "",
        "Generated by `dfg ops --markdown` from the definitions; `dfg ops NAME` prints one page, `dfg ops --check` proves every rule on your machine.",
        "",
    ]
    families = table()
    out += [f"* **{title}**: {', '.join(f'[{n}](#{n})' for n in names)}" for title, names in families.items()]
    out.append("")
    for title, names in families.items():
        out += [f"## {title}", ""]
        for n in names:
            out += [f"### {n}", "", "```text", page_text(page(n)).rstrip(), "```", ""]
    return "\n".join(out)


