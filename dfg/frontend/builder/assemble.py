"""A program from tensors: one graph with roots, whose values stand in the order in which the user made them.

What the roots need is copied into a new graph, leaves and values by the time of their making, so the same lines give the same graph whatever was combined with
what first. Values are named as their Python variables are; pins that nothing differentiates by are dropped.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dfg.diagnostics import Label, UserError, error
from dfg.dims import Facts, names
from dfg.frontend.builder.convert import Bad, dims_used, handles_in, lower, operand
from dfg.frontend.builder.declare import asarray, fitted
from dfg.frontend.builder.emit import bad, build, origin
from dfg.frontend.builder.homes import LOCK, Handle, Home
from dfg.frontend.builder.places import Place, here, variable
from dfg.frontend.builder.sizes import names_of
from dfg.ir import Graph, InferError, Roots, Subgraph, Value
from dfg.ops.leaf import input_op, param_op, state_op
from dfg.ops.surface import FUNCTIONS, Literal, Surface
from dfg.source import Span
from dfg.types import TensorType

RESERVED = frozenset(
    [
        "and",
        "or",
        "not",
        "true",
        "false",
        "none",
        "if",
        "else",
        "for",
        "in",
        "while",
        "scan",
        "carry",
        "yield",
        "with",
        "def",
        "use",
        "input",
        "param",
        "state",
        "const",
        "output",
        "update",
        "dim",
        "default",
        "test",
        "pi",
        "inf",
        "nan",
    ]
)


@dataclass(slots=True)
class Program:
    """A graph at the source stage, with what is declared in it: name -> type, and where."""

    graph: Graph
    inputs: dict[str, TensorType] = field(default_factory=dict)
    params: dict[str, TensorType] = field(default_factory=dict)
    states: dict[str, TensorType] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)


def program(outputs: Any, updates: Mapping[Handle, Any] | Sequence[tuple[Handle, Any]] = ()) -> Program:
    """The program with these outputs (name -> tensor or number; a tensor alone is called after its variable), and these new values of parameters and states."""
    place = here()
    named = _named(outputs, place)
    pairs = list(_pairs(updates, place))
    with LOCK:
        tensors: dict[str, Handle] = {k: x if isinstance(x, Handle) else asarray(x) for k, x in named.items()}
        new: dict[str, Handle] = {}
        for target, x in pairs:
            name, t = _updated(target, place)
            if name in new:
                raise UserError(error("duplicate-update", f"`{name}` is updated twice", place, help="combine the two in one new value"))
            new[name] = _fitted_update(target, name, t, x, place)
        every = [*tensors.values(), *new.values()]
        if not every:
            return Program(Graph(Facts()))
        # Combine all homes, so that one graph holds everything
        build(every, lambda cx, of: [of(h) for h in every], place=place)
        home = every[0]._resolve()[0]
        if any(h._resolve()[0] is not home for h in every):
            escaping = next(h for h in every if h._resolve()[0] is not home)
            label = origin(escaping, "")
            raise UserError(
                error("escaped-value", "an output is a value of a loop's body", place, labels=[label] if label is not None else [])
            )
        return _extract(home, {k: h._resolve()[1] for k, h in tensors.items()}, {k: h._resolve()[1] for k, h in new.items()})


def _fitted_update(target: Handle, name: str, t: TensorType, x: Any, place: Place | None) -> Handle:
    try:
        given = operand(x)
    except Bad as e:
        raise UserError(bad(e, x, 1, place)) from None

    def emit(cx: Surface, of: Callable[[Handle], Value]) -> Value:
        v = fitted(cx, lower(given, cx, of), t, f"the update of `{name}`")
        if not isinstance(given, Literal) and of(given).shape != t.shape if isinstance(given, Handle) else False:
            raise InferError("shape-mismatch", f"`{name}` is {t}, and its update {of(given).type}", [(2, f"this is {of(given).type}")])
        return v

    return build([target, *handles_in([given])], emit, names=dims_used([given]), place=place, call=[target, None, x])


def _named(outputs: Any, place: Span | None) -> dict[str, Any]:
    if isinstance(outputs, Mapping):
        found = dict(_leaves(outputs))
    else:
        items = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
        found = {}
        for k, x in enumerate(items):
            name = (_label(x) if isinstance(x, Handle) else None) or (f"result_{k + 1}" if len(items) > 1 else "result")
            found[name if name not in found else f"{name}_{k + 1}"] = x
    for name in found:
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise UserError(error("bad-argument", f"an output is called by an identifier, not {name!r}", place))
    return found


def _leaves(outputs: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[Any, Any]]:
    """Names and values; those of a mapping within are called `outer.inner`."""
    for name, x in outputs.items():
        if isinstance(x, Mapping):
            yield from _leaves(x, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}" if prefix else name, x


def _pairs(updates: Any, place: Span | None) -> Iterator[tuple[Any, Any]]:
    """Targets and new values; a dictionary of parameters takes a dictionary of equal keys."""
    for target, x in updates.items() if isinstance(updates, Mapping) else updates:
        if not isinstance(target, Mapping):
            yield target, x
        elif not isinstance(x, Mapping) or x.keys() != target.keys():
            keys = ", ".join(map(str, target))
            raise UserError(error("structure-mismatch", f"a record is updated by one of the same keys, which are {keys}", place))
        else:
            yield from _pairs([(t, x[k]) for k, t in target.items()], place)


def _label(h: Handle) -> str | None:
    from dfg.frontend.builder.emit import label_of

    return label_of(h)


def _updated(target: Any, place: Span | None) -> tuple[str, TensorType]:
    v = target.value if isinstance(target, Handle) else None
    if v is None or v.op not in (param_op, state_op):
        label = origin(target, "")
        raise UserError(
            error(
                "bad-update",
                "only a parameter or a state is updated, and this is neither",
                place,
                labels=[label] if label is not None else [],
                help='declare it with an initial value: `dfg.state("s", "f64", 0.0)`',
            )
        )
    return v.attrs[0], v.type


def _extract(home: Home, outputs: dict[str, int], updates: dict[str, int]) -> Program:
    graph = home.graph
    values = graph.values
    wanted = {values[i].index for i in (*outputs.values(), *updates.values())}
    # Parameters and states bring their initial values along
    while True:
        live = graph.live([values[i] for i in wanted])
        kept = {v.attrs[0]: home.leaves[v.attrs[0]] for v in live if v.op in (input_op, param_op, state_op)}
        more = {leaf.initial for leaf in kept.values() if leaf.initial is not None} - wanted
        for name in updates:
            more |= {home.leaves[name].index} - wanted
        more |= _binding_inputs(home, live) - wanted
        if not more:
            break
        wanted |= more
    live.sort(key=lambda v: (home.serials[v.index], v.index))
    dropped = _idle_pins(live)
    fresh = Graph(_facts(home, live))
    moved: dict[int, Value] = {}
    result = Program(fresh)
    for v in live:
        if v.index in dropped:
            moved[v.index] = moved[v.operands[0].index]
            continue
        fresh.cursor, fresh.call = graph.spans.get(v.index), graph.calls.get(v.index, "")
        made = fresh.emit(v.op, tuple([moved[o.index] for o in v.operands]), v.attrs)
        fresh.copy_tables(v, made)
        moved[v.index] = made
        if v.op in (input_op, param_op, state_op):
            name = v.attrs[0]
            {input_op: result.inputs, param_op: result.params, state_op: result.states}[v.op][name] = made.type
            if (span := home.leaves[name].span) is not None:
                result.spans[name] = span
    fresh.cursor, fresh.call = None, ""
    fresh.roots = Roots(
        {k: moved[i] for k, i in outputs.items()},
        {k: moved[i] for k, i in updates.items()},
        {
            v.attrs[0]: moved[i]
            for v in live
            if v.op in (input_op, param_op, state_op) and (i := home.leaves[v.attrs[0]].initial) is not None
        },
    )
    _number_calls(fresh)
    _name(fresh, home, live, moved, outputs)
    return result


def _binding_inputs(home: Home, live: Iterable[Value]) -> set[int]:
    """Inputs that no value uses, but whose shapes give the sizes of some: `zeros_like(x)`."""
    used: set[str] = set()
    bound: set[str] = set()
    for v in live:
        used |= names_of(v.type) if v.op.name != "dim" else names(v.attrs[0])
        if v.op is input_op:
            bound |= names_of(v.type)
    found: set[int] = set()
    for leaf in home.leaves.values() if used - bound else ():
        mine = names_of(home.graph.values[leaf.index].type)
        if leaf.kind == "input" and mine & (used - bound):
            found.add(leaf.index)
            bound |= mine
    return found


def _idle_pins(live: Iterable[Value]) -> set[int]:
    """Pins that no derivative is by. A pin that a body captures may be a target there, and stays."""
    idle: set[int] = set()
    for v in live:
        if v.op.name == "pin":
            idle.add(v.index)
        elif v.op.calculus or any(isinstance(a, Subgraph) for a in v.attrs):
            idle.difference_update(o.index for o in v.operands)
    return idle


def _facts(home: Home, live: Iterable[Value]) -> Facts:
    """The declared facts that concern these values, in names that they mention; each can be verified when sizes arrive."""
    used: set[str] = set()
    for v in live:
        used |= names_of(v.type)
        if v.op.name == "dim":
            used |= names(v.attrs[0])
    old = home.graph.facts
    fresh = Facts()
    for name in sorted(used, key=lambda n: (min((d.serial for d in home.declarations if n in d.names), default=0), n)):
        fresh.declare_name(name)
    for d in home.declarations:
        if not d.names & used and not any(names(old.normal(side)) & used for left, _, right in d.facts for side in (left, right)):
            continue
        for left, op, right in d.facts:
            if not (names(left) | names(right)) <= used:
                left, right = old.normal(left), old.normal(right)
                if left == right or not names(left) | names(right):
                    continue
                unbound = sorted((names(left) | names(right)) - used)
                if unbound:
                    raise UserError(
                        error(
                            "dim-unbound",
                            f"no input gives the dim `{unbound[0]}` a size, and `{left} {op} {right}` is declared",
                            d.span,
                            labels=[] if d.span is None else [Label(d.span, "declared here")],
                            help="a dim is bound by its bare use in the type of an input",
                        )
                    )
            fresh.declare(left, op, right, d.span)
    fresh.freeze()
    return fresh


def _number_calls(graph: Graph) -> None:
    """Call paths as a reader counts calls: `f`, then `f_2`, each within its caller."""
    shown: dict[str, str] = {"": ""}
    counts: dict[str, int] = {}
    pending = [graph]
    while pending:
        g = pending.pop()
        for index in sorted(g.calls):
            path = g.calls[index]
            parts = path.split(".")
            for k in range(len(parts)):
                raw = ".".join(parts[: k + 1])
                if raw not in shown and "#" in parts[k]:
                    outer = shown[".".join(parts[:k])]
                    base = f"{outer}.{parts[k].partition('#')[0]}" if outer else parts[k].partition("#")[0]
                    counts[base] = counts.get(base, 0) + 1
                    shown[raw] = base if counts[base] == 1 else f"{base}_{counts[base]}"
                shown.setdefault(raw, raw)
            g.calls[index] = shown[path]
        pending.extend(a.graph for v in g.values for a in v.attrs if isinstance(a, Subgraph))


def _name(graph: Graph, home: Home, live: Sequence[Value], moved: Mapping[int, Value], outputs: Mapping[str, int]) -> None:
    """Names for values: leaves by theirs, outputs by theirs, others by the Python variable that they were first bound to."""
    taken = set(outputs) | {v.attrs[0] for v in live if v.op in (input_op, param_op, state_op)}
    first: dict[int, str] = {}
    for name, index in outputs.items():
        first.setdefault(index, name)
    named: set[int] = set()
    counts: dict[str, int] = {}
    for v in live:
        made = moved[v.index]
        if v.op in (input_op, param_op, state_op):
            graph.names[v.attrs[0]] = made
            named.add(made.index)
        if v.index in first:
            graph.names.setdefault(first[v.index], made)
            named.add(made.index)
        wish = variable(home.made.get(v.index))
        if wish is None or made.index in named or wish.startswith("_") or not isinstance(made.type, TensorType):
            continue
        path = graph.calls.get(made.index)
        if wish in RESERVED or wish in FUNCTIONS or keyword.iskeyword(wish):
            wish += "_"
        wish = f"{path}.{wish}" if path else wish
        name = wish
        while name in taken:
            counts[wish] = counts.get(wish, 1) + 1
            name = f"{wish}_{counts[wish]}"
        taken.add(name)
        named.add(made.index)
        graph.names[name] = made
    for name, index in outputs.items():
        graph.names.setdefault(name, moved[index])
