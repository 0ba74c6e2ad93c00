"""Arithmetic on what is known while compiling, and applying an elementwise function to things.

Literals meet by kind, whole numbers exactly (no 64-bit wrap that nobody wrote); a `Known` has a dtype and computes in it, as a run would; sizes follow
the rules of `dfg.dims`, and a comparison of sizes is static where the facts decide it. A floating `Known` keeps the graph value that computes it, so that
a program of numbers alone is still a graph.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from dfg.dims import Dim, DimError, DimLike, dim_max, dim_min
from dfg.frontend import syntax as s
from dfg.frontend.lowering.engine import Lowering
from dfg.frontend.lowering.limits import MAX_LEAVES, MAX_STATIC
from dfg.frontend.lowering.scopes import Scope
from dfg.frontend.lowering.things import (
    POISON,
    Known,
    ListThing,
    Record,
    Shape,
    Thing,
    build,
    describe,
    is_static,
    known,
    leaves,
    structure,
)
from dfg.ir import MAX_AXES, Value
from dfg.ops.surface import FUNCTIONS, Literal
from dfg.source import Span
from dfg.types import F32, I64, KIND_ORDER, DType, from_numpy, promote

WHOLE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "maximum": max,
    "minimum": min,
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}
"""What is exact on whole numbers."""
MAX_BITS: Final = 4096
_QUICK: Final = frozenset({Value, Literal})


def scalar_int(thing: Thing) -> bool:
    return isinstance(thing, Literal | Known) and type(thing.value) is int


def fold(lo: Lowering, name: str, args: Sequence[Thing], at: Span) -> Thing | None:
    """The static value of a function of static things, or None where it is not known while compiling."""
    if not args or not all(is_static(a) for a in args):
        return None
    values = [a.value for a in args]
    literal = all(isinstance(a, Literal) for a in args)
    if any(isinstance(v, Dim) for v in values):
        made = fold_sizes(lo, name, args, at)
        return None if made is None else known(made)
    if all(type(v) is int for v in values):
        made = fold_whole(lo, name, values, at)
        if made is not None:
            if literal:
                return Literal.of(made)
            dtypes = [a.dtype for a in args if isinstance(a, Known)]
            if isinstance(made, bool):
                return known(made)
            dtype = promote(*dtypes)
            return Known(int(np.array([made & 0xFFFFFFFFFFFFFFFF], np.uint64).astype(np.int64).astype(dtype.np)[0]), dtype)
    f = FUNCTIONS[name].fold
    if f is None or literal:
        return None  # a call folds literals itself
    dtype = join(lo, args)
    with np.errstate(all="ignore"):
        try:
            arrays = [np.asarray(a.to(dtype) if isinstance(a, Literal) else v, dtype.np) for a, v in zip(args, values, strict=True)]
            if (dtype.kind == "int" and name in ("divide", "exp", "log", "sqrt", "tanh", "sin", "cos")) or (name == "power" and dtype.kind == "int" and np.any(arrays[1] < 0)):
                arrays = [a.astype(lo.cx.default_float.np) for a in arrays]
            array = np.asarray(f(*arrays))
        except (ArithmeticError, ValueError, TypeError, OverflowError):
            return None
    result = from_numpy(array.dtype)
    return None if result is None else Known(array.item() if array.ndim == 0 else array, result)


def join(lo: Lowering, args: Sequence[Thing]) -> DType:
    """The dtype that static things promote to; literals by kind."""
    best: DType | None = None
    for a in args:
        if isinstance(a, Known):
            best = a.dtype if best is None else promote(best, a.dtype)
    for a in args:
        if isinstance(a, Literal) and (best is None or KIND_ORDER[a.kind] > KIND_ORDER[best.kind]):
            default = lo.cx.default(a.kind)
            best = default if best is None else promote(best, default)
    assert best is not None
    return best


def fold_whole(lo: Lowering, name: str, values: Sequence[int], at: Span) -> Any:
    """Whole numbers, exactly."""
    if name == "negative":
        return -values[0]
    if name in ("power", "pow") and len(values) == 2:
        x, y = values
        if y < 0:
            return None
        if y * max(1, abs(x).bit_length()) > MAX_BITS:
            lo.fail("literal-overflow", "this power has more than 1,000 digits", at, help="write a float: `2.0 ** 5000`")
        return x**y
    f = WHOLE.get(name)
    if f is None or len(values) != 2:
        return None
    if name in ("floor_divide", "remainder") and values[1] == 0:
        lo.fail("bad-argument", "a whole number is divided by 0", at)
    return f(*values)


def fold_sizes(lo: Lowering, name: str, args: Sequence[Thing], at: Span) -> DimLike | bool | None:
    """Arithmetic and comparisons of sizes."""
    values = [a.value for a in args]
    if not all(isinstance(v, Dim) or type(v) is int for v in values) or any(isinstance(a, Known) and a.dtype is not I64 for a in args):
        return None
    if name == "negative":
        return normal(lo, -values[0])
    if len(values) != 2:
        return None
    a, b = values
    facts = lo.graph.facts
    try:
        if name == "add":
            return normal(lo, a + b)
        if name == "subtract":
            return normal(lo, a - b)
        if name == "multiply":
            return normal(lo, a * b)
        if name in ("floor_divide", "remainder"):
            if b == 0:
                lo.fail("bad-argument", "a size is divided by 0", at)
            return normal(lo, a // b if name == "floor_divide" else a % b)
        if name == "power" and isinstance(b, int) and 0 <= b <= 16:
            total: DimLike = 1
            for _ in range(b):
                total = total * a
            return normal(lo, total)
        if name == "maximum":
            return normal(lo, dim_max(a, b))
        if name == "minimum":
            return normal(lo, dim_min(a, b))
    except DimError as e:
        lo.fail("bad-argument", f"a size that cannot be handled: {e}", at)
    if name in ("equal", "not_equal"):
        same = True if a == b else facts.equal(a, b)
        return None if same is None else same if name == "equal" else not same
    if name in ("greater_equal", "less"):
        holds = facts.at_least(a, b)
        return None if holds is None else holds if name == "greater_equal" else not holds
    if name in ("less_equal", "greater"):
        holds = facts.at_least(b, a)
        return None if holds is None else holds if name == "less_equal" else not holds
    return None


def normal(lo: Lowering, d: DimLike) -> DimLike:
    return lo.graph.facts.normal(d)


def check_static(lo: Lowering, shape: Sequence[int], node: s.Node) -> None:
    """Refuse an array that NumPy cannot have, or that would fill the memory while compiling."""
    if len(shape) > MAX_AXES:
        lo.fail("rank-mismatch", f"a tensor has at most {MAX_AXES} axes, and this one would have {len(shape)}", node)
    if math.prod(shape) > MAX_STATIC:
        lo.fail("too-large", f"an array that is written out has at most {MAX_STATIC:,} elements, and this one {math.prod(shape):,}", node)


def counted_record(lo: Lowering, fields: dict[str, Thing], node: s.Node) -> Record:
    """A record that knows how many leaves it has: each may be in it often, so they are refused before they are listed."""
    count = sum(thing.count or len(leaves(thing)) if isinstance(thing, Record) else 1 for thing in fields.values())
    if count > MAX_LEAVES:
        lo.fail("too-large", f"a record has at most {MAX_LEAVES:,} leaves, and this one {count:,}", node, help="many alike are one tensor with a leading axis")
    return Record(fields, count)


def join_array(lo: Lowering, items: Sequence[Thing], made: ListThing, node: s.Node) -> Thing:
    """One level of brackets as an array."""
    if not items:
        return Literal("float", np.zeros((0,)))
    if any(item is POISON for item in items):
        from dfg.frontend.lowering.engine import Failed

        raise Failed
    nodes = made.nodes if len(made.nodes) == len(items) else (node,) * len(items)
    if any(isinstance(item, Record) for item in items):
        return leafwise(lo, list(items), list(nodes), node.span, lambda row: join_array(lo, row, made, node))
    shapes = {tuple(item.shape) for item in items if is_static(item)}
    if all(is_static(item) and not isinstance(item.value, Dim) for item in items):
        if len(shapes) > 1:
            one, other = sorted(shapes, key=len)[:2]
            lo.fail(
                "shape-mismatch",
                "the elements of an array have one shape",
                node,
                help=f"here are elements of shape {list(one)} and of shape {list(other)}" if one else f"here numbers stand beside arrays of shape {list(other)}",
            )
        shape = (len(items), *next(iter(shapes)))
        check_static(lo, shape, node)
        if all(isinstance(item, Literal) for item in items):
            kind = max((item.kind for item in items), key=lambda k: KIND_ORDER[k])
            values = [item.value for item in items]
            if kind == "int" and any(type(v) is int and not -(2**63) <= v < 2**63 for v in values):
                lo.fail("literal-overflow", "a whole number of an array has at most 64 bits", node)
            array: np.ndarray = np.array(values, {"bool": np.bool_, "int": np.int64, "float": np.float64}[kind])
            exact = np.array([item.to(F32) for item in items], np.float64) if kind == "float" else array
            return Literal(kind, array, None, exact if np.any(exact != array) else None)
        if all(isinstance(item, Literal) or item.node is None for item in items):
            dtype = join(lo, items)
            return Known(np.array([np.asarray(item.to(dtype) if isinstance(item, Literal) else item.value, dtype.np) for item in items]), dtype)
    operands = [lo.operand(item, n) for item, n in zip(items, nodes, strict=True)]
    return lo.emit("stack", [operands], node.span, node, list(zip(nodes, items, strict=True)))


def leafwise(
    lo: Lowering, things: Sequence[Thing], nodes: Sequence[s.Node | None], at: Span, f: Callable[[list[Thing]], Thing]
) -> Thing:
    """`f` on each row of leaves of records of one structure; what is no record goes to every leaf."""
    records = [t for t in things if isinstance(t, Record)]
    first = records[0]
    paths = [path for path, _ in leaves(first)]
    wanted = structure(first)
    tables: list[dict[tuple[str, ...], Thing] | None] = []
    for thing, node in zip(things, nodes, strict=True):
        if not isinstance(thing, Record):
            tables.append(None)
            continue
        if structure(thing) != wanted:
            mine, others = {".".join(p) for p in structure(thing)}, {".".join(p) for p in wanted}
            odd = sorted(mine ^ others)
            lo.fail(
                "structure-mismatch",
                f"records of different fields meet: `{odd[0]}` is only in one of them" if odd else "records of different fields meet",
                node if node is not None else at,
                help="operations on records go leaf by leaf, so both need the same fields",
            )
        tables.append(dict(leaves(thing)))
    rows = []
    for path in paths:
        row = [thing if table is None else table[path] for thing, table in zip(things, tables, strict=True)]
        rows.append((path, f(row)))
    return build(rows)


def apply(
    lo: Lowering, name: str, things: Sequence[Thing], nodes: Sequence[s.Node], at: Span, whole: s.Node, scope: Scope | None
) -> Thing:
    """An elementwise function of things: leaf by leaf on records, static on statics, else an op."""
    if len(things) == 2 and (name in WHOLE or name == "divide"):
        kinds = {type(t) for t in things}
        if Value in kinds and kinds <= _QUICK:
            operands = [lo.operand(t, n) for t, n in zip(things, nodes, strict=True)]
            return lo.emit(name, operands, at, whole, list(zip(nodes, things, strict=True)), scope, bound=True)
    if any(isinstance(t, Record) for t in things):
        return leafwise(lo, things, nodes, at, lambda row: apply(lo, name, row, nodes, at, whole, scope))
    if any(type(t) is Shape for t in things) and name in ("equal", "not_equal"):
        verdict = compare_shapes(lo, things, name, whole)
        if verdict is not None:
            return verdict
    things = [lo.array(t, n) if isinstance(t, ListThing) else t for t, n in zip(things, nodes, strict=True)]
    if any(isinstance(t, Record) for t in things):
        return apply(lo, name, things, nodes, at, whole, scope)
    made = fold(lo, name, things, at)
    if made is not None and not (isinstance(made, Known) and made.dtype.floating):
        return made
    operands = [lo.operand(t, n, f"`{name}` takes tensors") for t, n in zip(things, nodes, strict=True)]
    value = lo.emit(name, operands, at, whole, list(zip(nodes, things, strict=True)), scope)
    if isinstance(made, Known) and isinstance(value, Value) and made.dtype is value.dtype and made.shape == value.shape:
        return Known(made.value, made.dtype, None, value)
    if isinstance(value, Literal) and len(things) == 1 and name == "negative" and value.text is None and things[0].text and not value.shape:
        text = things[0].text
        return Literal(value.kind, value.value, text[1:] if text.startswith("-") else f"-{text}")
    return value


def compare_shapes(lo: Lowering, things: Sequence[Thing], name: str, whole: s.Node) -> Thing | None:
    """Whether two shapes are one, as a whole; None if one side is no list of sizes."""
    rows: list[list[Any]] = []
    for t in things:
        if not isinstance(t, ListThing):
            return None
        rows.append([item.value if is_static(item) else None for item in t.items])
    verdict: bool | None = len(rows[0]) == len(rows[1])
    if verdict:
        for a, b in zip(*rows, strict=True):
            if not isinstance(a, int | Dim) or not isinstance(b, int | Dim):
                return None
            same = True if a == b else lo.graph.facts.equal(a, b)
            if same is False:
                verdict = False
                break
            if same is None:
                verdict = None
    if verdict is None:  # open until sizes arrive: all of the comparisons of sizes
        columns = [apply(lo, "equal", [known(a), known(b)], [whole, whole], whole.span, whole, None) for a, b in zip(*rows, strict=True)]
        total = lo.emit("all", [lo.array(ListThing(tuple(columns)), whole)], whole.span, whole)
        return total if name == "equal" else lo.emit("logical_not", [total], whole.span, whole)
    return known(verdict if name == "equal" else not verdict)


# --- reading static arguments -------------------------------------------------------------------------------------------------------


def plain_static(lo: Lowering, thing: Thing, node: s.Node, why: str, scope: Scope | None = None) -> Any:
    """A static argument as Python values: numbers, dims, tuples, words, dtypes, none. A run-time value is an error that says what made it one."""
    if isinstance(thing, ListThing):
        nodes = thing.nodes if len(thing.nodes) == len(thing.items) else (node,) * len(thing.items)
        return [plain_static(lo, item, n, why, scope) for item, n in zip(thing.items, nodes, strict=True)]
    if isinstance(thing, Literal):
        return thing.value.tolist() if isinstance(thing.value, np.ndarray) else thing.value
    if isinstance(thing, Known):
        return thing.value.tolist() if isinstance(thing.value, np.ndarray) else thing.value
    if isinstance(thing, Value):
        not_static(lo, thing, node, why, scope)
    if thing is None or isinstance(thing, str | DType):
        return thing
    lo.fail("wrong-type", f"{why} is known while compiling, and this is {describe(thing)}", node)


def not_static(lo: Lowering, value: Value, node: s.Node, why: str, scope: Scope | None) -> Any:
    """Tell that a run-time value stands where a static one is needed, with what made it one."""
    from dfg.diagnostics import Label

    graph = value.graph
    labels: list[Label] = []
    for v in reversed(graph.live([value])):
        if v.op.name in ("input", "param", "state"):
            span = graph.spans.get(v.index)
            if span is not None:
                labels.append(Label(span, f"`{v.attrs[0]}` is {'an' if v.op.name == 'input' else 'a'} {v.op.name}, known only while running"))
            break
        if v.op.name == "arg":
            labels.append(Label(node.span, "this changes from step to step of a loop"))
            break
    lo.fail(
        "not-static",
        f"{why} is known while compiling, and this is a run-time value of {value.type}",
        node,
        labels,
        help="bind it without `const`: a name may hold what is known only while running" if why == "a constant"
        else "sizes are whole numbers: they are divided by `//`" if value.dtype.floating and any(v.op.name == "dim" for v in graph.live([value])) and not labels
        else "a size that changes from run to run is a dim: declare it in the type of an input",
    )


def static_int(lo: Lowering, thing: Thing, node: s.Node, why: str, scope: Scope | None = None) -> DimLike:
    """A whole number or a size."""
    plain = plain_static(lo, thing, node, why, scope)
    if isinstance(plain, bool) or not isinstance(plain, int | Dim):
        lo.fail("bad-argument", f"{why} is a whole number or a size, not {describe(thing)}", node)
    return plain
