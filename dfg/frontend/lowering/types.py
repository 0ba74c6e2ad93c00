"""Declared types: reading them, fitting values to them, and the annotations of functions, whose dims are local to each call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dfg.diagnostics import Fix, Label
from dfg.diagnostics.codes import nearest
from dfg.dims import Dim, DimError, DimLike, suggest_fact
from dfg.frontend import syntax as s
from dfg.frontend.lowering.engine import Gen, Lowering
from dfg.frontend.lowering.scopes import Scope
from dfg.frontend.lowering.statics import static_int
from dfg.frontend.lowering.things import Known, ListThing, Record, Thing, TupleThing, describe, is_tensor, known
from dfg.ir import MAX_AXES, InferError, Value
from dfg.ops.surface import Literal
from dfg.types import DTYPES, KIND_ORDER, DType, TensorType, promote

OTHER_NAMES = {
    "float32": "f32",
    "float64": "f64",
    "float": "f64",
    "double": "f64",
    "int": "i64",
    "int64": "i64",
    "int32": "i32",
    "uint8": "u8",
    "boolean": "bool",
    "half": "f32",
    "real": "f64",
}


LATER = frozenset({"f16", "bf16", "c64", "c128"})
"""Dtypes of the language that this version does not have."""


def dtype_named(lo: Lowering, name: s.Name) -> DType:
    found = DTYPES.get(name.text)
    if found is None:
        later = name.text in LATER
        best = None if later else OTHER_NAMES.get(name.text) or nearest(name.text, DTYPES)
        lo.fail(
            "unknown-dtype",
            f"the dtype `{name.text}` is not there yet" if later else f"there is no dtype `{name.text}`",
            name,
            help=f"the dtypes are {', '.join(DTYPES)}",
            fix=Fix(f"write `{best}`", ((name.span, best),)) if best else None,
        )
    return found


def tensor_type(lo: Lowering, node: s.TypeExpr, scope: Scope) -> Gen:
    """A type as written, its dims evaluated in `scope`."""
    if isinstance(node, s.TupleType):
        lo.fail("wrong-type", "a tuple is no type of a name", node)
    dtype = dtype_named(lo, node.dtype)
    shape: list[DimLike] = []
    if len(node.dims) > MAX_AXES:
        lo.fail("rank-mismatch", f"a tensor has at most {MAX_AXES} axes, and this type has {len(node.dims)}", node)
    for d in node.dims:
        thing = yield d, scope
        shape.append(size(lo, thing, d, scope))
    return TensorType(dtype, tuple(shape))


def size(lo: Lowering, thing: Thing, node: s.Node, scope: Scope) -> DimLike:
    found = static_int(lo, thing, node, "a dimension", scope)
    if isinstance(found, int) and found < 0:
        lo.fail("bad-argument", f"a size is never negative, and this is {found}", node)
    return lo.graph.facts.normal(found)


def fit_type(lo: Lowering, thing: Thing, wanted: TensorType, node: s.Node, declared: s.Node, scope: Scope | None) -> Thing:
    """A value stretched to a declared type; dtypes convert where nothing is lost by kind (f64 to f32 warns, f64 to i64 is an error)."""
    if not is_tensor(thing):
        lo.value(thing, node)
    if isinstance(thing, ListThing):
        thing = lo.array(thing, node)
    if isinstance(thing, Literal):
        if KIND_ORDER[thing.kind] > KIND_ORDER[wanted.dtype.kind]:
            lo.fail(
                "wrong-dtype",
                f"{describe(thing)} is no {wanted.dtype}",
                node,
                [Label(declared.span, f"declared as {wanted}")],
                help=f"convert it: `{wanted.dtype}(…)`",
            )
        value = lo.guarded(lambda: lo.cx.literal(thing, wanted.dtype), node)
    else:
        value = lo.value(thing, node)
        if promote(value.dtype, wanted.dtype) is not wanted.dtype and value.dtype.kind != wanted.dtype.kind:
            lo.fail(
                "wrong-dtype",
                f"{value.type} is not {wanted}",
                node,
                [Label(declared.span, f"declared as {wanted}")],
                help=f"convert it: `{wanted.dtype}(…)`",
            )
        value = lo.guarded(lambda: lo.cx.cast(value, wanted.dtype, f"declared as {wanted.dtype}"), node)
    return stretch(lo, value, wanted, node, declared)


def stretch(lo: Lowering, value: Value, wanted: TensorType, node: s.Node, declared: s.Node) -> Value:
    lo.stand(node)
    try:
        return lo.cx.stretch(value, wanted.shape)
    except InferError:
        fact = open_fact(lo, value.shape, wanted.shape)
        lo.fail(
            "shape-mismatch" if fact is None else "dim-unproved",
            f"{value.type} does not stretch to {wanted}",
            node,
            [Label(declared.span, f"declared as {wanted}")],
            help=f"if this always holds, say so: `{fact}`" if fact else None,
            fix=lo.fact_fix(fact) if fact else None,
        )


def open_fact(lo: Lowering, given: tuple[DimLike, ...], wanted: tuple[DimLike, ...]) -> str | None:
    """The `dim` line that would make a shape stretch to another, if one equality is all that is missing."""
    lead = len(wanted) - len(given)
    if lead < 0:
        return None
    missing = []
    for k, d in enumerate(given):
        other = wanted[lead + k]
        if d != 1:
            same = lo.graph.equal_sizes(d, other)
            if same is False:
                return None
            if same is None:
                missing.append(suggest_fact(d, other))
    return missing[0] if missing else None


# --- annotations of functions --------------------------------------------------------------------------------------------------------


def check_annotations(lo: Lowering, definition: s.Def, scope: Scope, nodes: Mapping[str, s.Node], call: s.Node) -> Gen:
    """Check the arguments against the annotations; bare dims are bound to the sizes that they have in this call."""
    later: list[tuple[s.Expr, DimLike, s.FunParam, s.Node]] = []
    for p in definition.params:
        if p.type is None:
            continue
        node = nodes.get(p.name.text, call)
        if isinstance(p.type, s.TupleType):
            lo.fail("wrong-type", "a parameter is one tensor", p.type)
        binding = scope.names[p.name.text]
        dtype = dtype_named(lo, p.type.dtype)
        binding.thing = annotated(lo, binding.thing, dtype, p, node)
        shape = binding.thing.shape
        if len(shape) != len(p.type.dims):
            lo.fail(
                "rank-mismatch",
                f"`{definition.name.text}` takes `{p.name.text}` as {p.type.span.text}, not {describe(binding.thing)}",
                node,
                [Label(p.type.span, "declared here")],
            )
        for d, actual in zip(p.type.dims, shape, strict=True):
            if isinstance(d, s.Name) and local_dim(scope, d.text):
                bind_dim(lo, scope, d, actual)
            else:
                later.append((d, actual, p, node))
    for d, actual, p, node in later:
        unknown = [n for n in names_in(d) if local_dim(scope, n.text)]
        if unknown:
            solved = solve(lo, d, unknown, actual)
            if solved is None:
                lo.fail("dim-unbound", f"`{unknown[0].text}` stands nowhere alone in the types of `{definition.name.text}`", unknown[0])
            bind_dim(lo, scope, unknown[0], solved)
        thing = yield d, scope
        wanted = static_int(lo, thing, d, "a dimension", scope)
        same = lo.graph.equal_sizes(wanted, actual)
        if same is not True:
            fact = None if same is False else suggest_fact(wanted, actual)
            lo.fail(
                "shape-mismatch" if fact is None else "dim-unproved",
                f"`{definition.name.text}` takes `{p.name.text}` as {p.type.span.text if p.type else ''}, and {d.span.text} is {wanted}, not {actual}",
                node,
                [Label(d.span, f"this is {wanted} in this call")],
                help=f"if this always holds, say so: `{fact}`" if fact else None,
                fix=lo.fact_fix(fact) if fact else None,
            )
    return None


def annotated(lo: Lowering, thing: Thing, dtype: DType, p: s.FunParam, node: s.Node) -> Thing:
    assert p.type is not None
    if isinstance(thing, ListThing):
        thing = lo.array(thing, node)
    if isinstance(thing, Literal):
        if KIND_ORDER[thing.kind] <= KIND_ORDER[dtype.kind]:
            literal = thing
            value = lo.guarded(lambda: lo.cx.literal(literal, dtype), node)
            return Known(value.attrs[0].array.item() if not value.shape else value.attrs[0].array, dtype, literal.text)
    elif isinstance(thing, Value | Known) and thing.dtype is dtype:
        return thing
    if isinstance(thing, Record | TupleThing) or not is_tensor(thing):
        lo.fail("wrong-type", f"`{p.name.text}` is {p.type.span.text}, and this is {describe(thing)}", node, [Label(p.type.span, "declared here")])
    lo.fail(
        "wrong-dtype",
        f"`{p.name.text}` is {p.type.span.text}, and this is {describe(thing)}",
        node,
        [Label(p.type.span, "declared here")],
        help=f"convert it: `{dtype}(…)`",
    )


def local_dim(scope: Scope, name: str) -> bool:
    """Whether a name in an annotation is a dim of its own: bound neither in this call nor as a constant of the file."""
    found = scope.lookup(name)
    return found is None or (name not in scope.names and found.what != "const")


def bind_dim(lo: Lowering, scope: Scope, node: s.Name, actual: DimLike) -> None:
    lo.bind(scope, s.Name(node.source, node.start, node.stop, node.text), known(actual), "dim", pin=False, register=False)


def names_in(node: s.Node) -> list[s.Name]:
    return [n for n in s.walk(node) if isinstance(n, s.Name)]


def solve(lo: Lowering, expr: s.Expr, unknown: list[s.Name], actual: DimLike) -> DimLike | None:
    """The one unknown of `2*n`, `n + 1` and the like, from the size that the whole has."""
    if len({n.text for n in unknown}) != 1 or not isinstance(expr, s.Binary):
        return None
    pairs: list[tuple[Any, Any]] = [(expr.left, expr.right), (expr.right, expr.left)]
    for which, (side, other) in enumerate(pairs):
        if isinstance(side, s.Name) and isinstance(other, s.Number) and isinstance(other.value, int):
            k = other.value
            try:
                if expr.op == "+":
                    return actual - k
                if expr.op == "-" and which == 0:
                    return actual + k
                if expr.op == "*" and k and (isinstance(actual, Dim) or actual % k == 0):
                    quotient = actual // k
                    return quotient if lo.graph.equal_sizes(quotient * k, actual) is True else None
            except DimError:
                return None
    return None


def check_result(lo: Lowering, definition: s.Def, scope: Scope, result: Thing) -> Gen:
    """The result of a function against its annotation."""
    assert definition.result is not None
    body = definition.body.statements[-1] if isinstance(definition.body, s.Block) else definition.body
    wanted = definition.result.items if isinstance(definition.result, s.TupleType) else (definition.result,)
    given = list(result.items) if isinstance(result, TupleThing) else [result]
    if len(wanted) != len(given):
        lo.fail("arity", f"`{definition.name.text}` gives {len(wanted)} values by its type, and {len(given)} here", body)
    fitted = []
    for t, thing in zip(wanted, given, strict=True):
        declared = yield tensor_type(lo, t, scope)
        if isinstance(thing, Record):
            lo.fail("wrong-type", f"this is a record, not {declared}", body, [Label(t.span, "declared here")])
        value = fit_type(lo, thing, declared, body, t, scope)
        fitted.append(value)
    return TupleThing(tuple(fitted)) if isinstance(result, TupleThing) else fitted[0]


