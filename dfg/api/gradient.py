"""`Program.grad`: a program with the gradients of a loss by named values as further outputs.

A program from text is lowered again with the line `output dl_dw = grad(l, w)` behind it, so that targets are names as the language has them: any
bound one, told apart from other names of equal values. A program that is only a graph (exact text, the builder) is copied, and a target that
is no leaf gets a pin at its place.

A derivative that the program has already is not added twice; where its name is taken by something else it becomes `dl_dw_2`.

>>> derived_name("l", "w", {}), derived_name("dl_dw", "w", {"dl_dw", "l", "w"})
('dl_dw', 'd2l_dw_dw')
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dfg.diagnostics import Diagnostic, Label, UserError, error
from dfg.diagnostics.codes import nearest
from dfg.ir import Graph, InferError, Roots, Value
from dfg.ops.base import const_scalar
from dfg.ops.calculus import emit_grad, vjp_op
from dfg.ops.leaf import make_pin, part
from dfg.passes.rebuild import copy_values
from dfg.source import Source, Span
from dfg.types import TensorType

if TYPE_CHECKING:
    from dfg.api.program import Program

_DERIVED = re.compile(r"d(\d*)(.+?)((?:_d.+)+)")
_LEAVES = ("input", "param", "state", "pin")


def differentiated(program: Program, loss: str, wrt: Sequence[str]) -> Program:
    """See the module."""
    if not wrt:
        raise UserError(error("bad-argument", f"nothing to differentiate `{loss}` by", help="name a parameter or an input"))
    for name in (loss, *wrt):
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise UserError(error("unknown-name", f"`{name}` is not a name", help="give the names of values of the program"))
    wrt = list(dict.fromkeys(wrt))
    if program.source is None or program.exact_text:
        return _by_graph(program, loss, wrt)
    return _by_text(program, program.source, loss, wrt)


def derived_name(loss: str, target: str, known: Collection[str]) -> str:
    """`dl_dw`; of a loss that is itself a derivative, one order more."""
    match = _DERIVED.fullmatch(loss)
    if match is not None and match[2] in known and all(part in known for part in match[3].split("_d")[1:]):
        return f"d{int(match[1] or 1) + 1}{match[2]}{match[3]}_d{target}"
    return f"d{loss}_d{target}"


def losses_of(program: Program) -> list[str]:
    """The names of what the program takes gradients of; without any, its scalar outputs of a floating dtype."""
    graph = program.graph
    labels = graph.labels()
    found: dict[str, None] = {}
    for v in graph.live(graph.roots.values()):
        if v.op is vjp_op and not v.operands[0].type.shape and const_scalar(v.operands[1]) == 1:
            found.update(dict.fromkeys(name for name in labels.get(v.operands[0].index, ())[:1] if "." not in name))
    if found:
        return list(found)
    return [name for name, t in program.outputs.items() if t.dtype.floating and not t.shape]


def targets_of(program: Program) -> list[str]:
    """The parameters that one can differentiate by; of a record its leaves."""
    return [name for name, t in program.params.items() if t.dtype.floating]


def with_gradients(program: Program, losses: Sequence[str] | None, wrt: Sequence[str] | None) -> Program:
    """The program with gradients of what is wanted, by default those that `losses_of` and `targets_of` find."""
    found = losses_of(program) if losses is None else list(losses)
    if losses is None and len(found) != 1 and not program.derives():
        shown = ", ".join(f"`{name}`" for name in found) or ", ".join(f"`{name}` : {t}" for name, t in program.outputs.items())
        raise UserError(error("misuse", f"{program.name} has {'several scalar outputs' if found else 'no scalar output of a floating dtype'}"
                              f"{f': {shown}' if shown else ''}", help=f"name the scalar to differentiate: --loss {found[0] if found else 'l'}"))
    targets = targets_of(program) if wrt is None else list(wrt)
    if not targets:
        floating = [name for name, t in program.inputs.items() if t.dtype.floating]
        raise UserError(error("misuse", f"{program.name} has no parameter to differentiate by",
                              help=f"name the targets: --wrt {','.join(floating) or 'x'}"))
    for loss in found:
        program = differentiated(program, loss, targets)
    return program


# --- from text ----------------------------------------------------------------------------------------------------------------------


def _by_text(program: Program, source: Source, loss: str, wrt: list[str]) -> Program:
    from dfg.api.loading import program_of

    known = set(program.graph.names)
    for name in (loss, *wrt):
        if name not in known and name != "params" and not any(k.startswith(name + ".") for k in known):
            _unknown(program, name)
    words = set(re.findall(r"[^\W\d]\w*", source.text))
    wanted: dict[str, str] = {}
    for target in wrt:
        name = derived_name(loss, target, known)
        wanted[_fresh(name.replace(".", "_"), words)] = name
        words.update(wanted)
    lines = "".join(f"output {bound} = grad({loss}, {target})\n" for bound, target in zip(wanted, wrt, strict=True))
    text = source.text if source.text.endswith("\n") else source.text + "\n"
    longer = Source(source.name, text + lines)
    try:
        made = program_of(longer, program.path, program.files)
    except UserError as wrong:
        raise UserError(_placed(item, program, source, loss) for item in wrong.diagnostics) from None
    graph = made.graph
    outputs: dict[str, Value] = {}
    for name, value in graph.roots.outputs.items():
        bound = name.partition(".")[0]
        if bound not in wanted:
            outputs[name] = value
            continue
        wish = wanted[bound] + name[len(bound) :]
        if wish in outputs and same_derivative(outputs[wish], value):
            graph.names.pop(name, None)
            continue
        outputs[_rename(graph, name, wish)] = value
    graph.roots = Roots(outputs, graph.roots.updates, graph.roots.initials)
    return made


def _rename(graph: Graph, name: str, wish: str) -> str:
    """Let what is bound to `name` be called `wish`, if nothing else is."""
    if name == wish or wish in graph.names:
        return name
    graph.names = {wish if k == name else k: v for k, v in graph.names.items()}
    return wish


def _fresh(name: str, words: Collection[str]) -> str:
    """`name`, or the first of `name_2`, `name_3` ... that nobody uses."""
    made, k = name, 1
    while made in words:
        k += 1
        made = f"{name}_{k}"
    return made


def _placed(item: Diagnostic, program: Program, source: Source, loss: str) -> Diagnostic:
    """A diagnostic about the added lines, told at lines that the user wrote."""
    end = len(source.text)

    def ours(span: Span | None) -> bool:
        return span is not None and span.start >= end and span.source.name == source.name

    def theirs(span: Span) -> Span:
        return Span(source, span.start, span.stop) if span.source.name == source.name else span

    labels = tuple(Label(theirs(label.span), label.text) for label in item.labels if not ours(label.span))
    span = item.span
    if ours(span):
        bound = program.graph.names.get(loss)
        span = labels[0].span if labels else program.graph.spans.get(bound.index) if bound is not None else None
    elif span is not None:
        span = theirs(span)
    fix = item.fix if item.fix is not None and not any(ours(at) for at, _ in item.fix.edits) else None
    return replace(item, span=span, labels=labels, fix=fix)


def _unknown(program: Program, name: str) -> None:
    near = nearest(name, program.graph.names)
    raise UserError(error("unknown-name", f"{program.name} has no value called `{name}`", help=f"did you mean `{near}`?" if near else None))


def same_derivative(a: Value, b: Value) -> bool:
    """Are two values certainly one: the same, or the same target's part of two derivatives of one value?"""
    if a is b:
        return True

    def of(v: Value) -> tuple[int, int, int] | None:
        if v.op is not part or v.operands[0].op is not vjp_op:
            return None
        y, ct, *targets = v.operands[0].operands
        return y.index, ct.index, targets[v.attrs[0]].index

    return of(a) is not None and of(a) == of(b)


# --- from a graph -------------------------------------------------------------------------------------------------------------------


def _by_graph(program: Program, loss: str, wrt: list[str]) -> Program:
    from dfg.api.program import Program

    old = program.graph
    bound = {**{v.attrs[0]: v for v in old.values if v.op.name in _LEAVES[:3]}, **old.roots.outputs, **old.names}
    for name in (loss, *wrt):
        if name not in bound:
            near = nearest(name, bound)
            raise UserError(error("unknown-name", f"{program.name} has no value called `{name}`", help=f"did you mean `{near}`?" if near else None))
    pinned = {bound[name].index for name in wrt if bound[name].op.name not in _LEAVES}
    graph, mapping = copied(old, pinned)
    value = mapping[bound[loss].index]
    targets = [mapping[bound[name].index] for name in wrt]
    try:
        made = emit_grad(value, targets)
    except InferError as wrong:
        at = old.spans.get(bound[loss].index)
        labels = [Label(span, words) for position, words in wrong.marks if isinstance(position, int)
                  for target in [bound[loss] if position < 2 else bound[wrt[position - 2]]]
                  if (span := old.spans.get(target.index)) is not None]
        raise UserError(error(wrong.code, wrong.message, at, labels=labels, help=wrong.help)) from None
    outputs = dict(graph.roots.outputs)
    known = set(bound)
    for name, cotangent in zip(wrt, made, strict=True):
        wish = derived_name(loss, name, known)
        if wish in outputs and same_derivative(outputs[wish], cotangent):
            continue
        final = _fresh(wish, set(graph.names) | set(outputs))
        outputs[final] = graph.names[final] = cotangent
    graph.roots = Roots(outputs, graph.roots.updates, graph.roots.initials)
    return Program(graph, name=program.name, files=program.files, warnings=program.told)


def copied(old: Graph, pinned: Collection[int] = ()) -> tuple[Graph, dict[int, Value]]:
    """A graph with all values of another, and where each went. A value in `pinned` is followed by a pin that stands for it from there on."""
    graph = old.like()

    def pinning(fresh: Graph, v: Value, operands: tuple[Value, ...]) -> Value:
        made = fresh.emit(v.op, operands, v.attrs)
        return make_pin(made) if v.index in pinned and isinstance(v.type, TensorType) else made

    mapping = copy_values(graph, old.values, {old.values[i].op: pinning for i in pinned})
    graph.roots = old.roots.map(lambda v: mapping[v.index])
    graph.names = {name: mapping[v.index] for name, v in old.names.items()}
    graph.hints = {mapping[i].index: hint for i, hint in old.hints.items()}
    graph.origins = {mapping[i].index: origin._replace(primal=mapping[origin.primal].index if origin.primal in mapping else -1)
                     for i, origin in old.origins.items()}
    return graph, mapping
