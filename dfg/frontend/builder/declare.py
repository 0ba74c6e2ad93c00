"""Declarations: inputs, parameters, states, constants, dims.

x = input("x", "f64[n]")
w = param("w", "f64[3]", 0.1)          # the initial value stretches to the type
n = dim("n", at_least=2)               # a size: in shapes, in arithmetic with sizes, as an i64 in expressions
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from dfg.diagnostics import Label, UserError, error
from dfg.dims import Dim
from dfg.frontend.builder import sizes
from dfg.frontend.builder.convert import Bad, dims_used, dtype_of, handles_in, lower, named_dim, operand, tensor_type
from dfg.frontend.builder.emit import argument_span, bad, build, tensor
from dfg.frontend.builder.homes import HOMES, LOCK, REGION, Handle, Home, Leaf, renew
from dfg.frontend.builder.places import Place, anatomy, here, module_name
from dfg.frontend.builder.tensor import Tensor
from dfg.ir import InferError, Value
from dfg.ops.elementwise import emit_cast
from dfg.ops.leaf import arg, input_op, param_op, state_op
from dfg.ops.surface import Literal, Surface
from dfg.types import DType, TensorType

_OPS = {"input": input_op, "param": param_op, "state": state_op}


def _check_name(name: Any, what: str, place: Place | None) -> str:
    if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
        raise UserError(error("bad-argument", f"{what} is called by an identifier, not {name!r}", place))
    return name


def _leaf(kind: str, name: str, t: TensorType, place: Place | None, value: Any = None) -> Tensor:
    """Declare a leaf, beside its initial value if it has one, else in a home of its own."""
    module = module_name()
    used = sizes.names_of(t)
    with LOCK:
        token = REGION.set(None)  # what is declared while a body is traced is declared outside of it
        try:
            if value is None:
                home, initial = Home(sizes.connected(sizes.declared(module).values(), used)), None
            else:
                home, initial = _initial(kind, name, t, value, place)
        finally:
            REGION.reset(token)
        if name in home.leaves:
            raise UserError(error("duplicate-name", f"`{name}` is declared by its own initial value", place))
        home.used |= used
        home.modules.add(module)
        graph = home.graph
        graph.cursor = place
        made = graph.emit(_OPS[kind], (), (name, sizes.normal_type(t, graph.facts)))
        graph.cursor = None
        home.stamp()
        home.leaves[name] = Leaf(kind, made.index, initial, place)
        return tensor(home, made, place)


def _initial(kind: str, name: str, t: TensorType, value: Any, place: Place | None) -> tuple[Home, int]:
    """The initial value of a parameter or state (the default of an input), fitted to its type."""
    what = f"the {'default' if kind == 'input' else 'initial value'} of `{name}`"
    try:
        given = operand(value)
    except Bad as e:
        raise UserError(bad(e, value, 2, place)) from None

    def emit(cx: Surface, of: Any) -> Value:
        return fitted(cx, lower(given, cx, of), sizes.normal_type(t, cx.graph.facts), what)

    made = build(handles_in([given]), emit, names=dims_used([given]) | sizes.names_of(t), place=place, call=[name, None, value])
    home, index = made._resolve()
    if home.made.get(index) is place:
        del home.made[index]  # the variable on this line is that of the leaf
    for v in home.graph.live([home.graph.values[index]]):
        if v.op in (input_op, arg) or (kind == "input" and v.op in (param_op, state_op)):
            span = home.graph.spans.get(v.index)
            cause = f"the {v.op.name} `{v.attrs[0]}`" if v.op is not arg else "an argument of the body"
            raise UserError(
                error(
                    "initial-value",
                    f"{what} is made before anything is fed, and this one depends on {cause}",
                    place,
                    labels=[Label(span, "it is declared here")] if span is not None else [],
                )
            )
    return home, index


def fitted(cx: Surface, x: Any, t: TensorType, what: str) -> Value:
    """A value or literal as one of a type: stretched to the shape, converted within its kind. Raises `InferError`."""
    if isinstance(x, Literal):
        if (x.kind == "float" and not t.dtype.floating) or (x.kind != "bool" and t.dtype.kind == "bool"):
            raise InferError("wrong-dtype", f"{what} is {t.dtype}, and this is a {'fraction' if x.kind == 'float' else 'number'}")
        v = cx.literal(x, t.dtype)
    else:
        v = x
        if v.dtype is not t.dtype:
            if v.dtype.level > t.dtype.level and v.dtype.kind != t.dtype.kind:
                raise InferError("wrong-dtype", f"{what} is {t.dtype}, and this is {v.type}", [(2, f"this is {v.type}")])
            v = cx.cast(v, t.dtype, f"{what} is {t.dtype}")
    try:
        return cx.stretch(v, t.shape)
    except InferError:
        raise InferError("shape-mismatch", f"{what} is {t}, and this is {v.type}", [(2, f"this is {v.type}")]) from None


def _type(given: Any, place: Place | None, shape: Any) -> TensorType:
    """A declared type; what is wrong is told at the argument."""
    try:
        return tensor_type(given, place, shape)
    except UserError as e:
        span = argument_span(anatomy(place), 1)
        if span is None:
            raise
        raise UserError(replace(e.diagnostics[0], span=span)) from None


def input(name: str, type: Any, shape: Any = None, *, default: Any = None) -> Tensor:
    """An input, fed at every run: `input("x", "f64[n, 3]")`, or with a dtype and a shape, `input("x", np.float64, (n, 3))`. With a default it is fed if
    given: `input("train", "bool", default=True)`."""
    place = here()
    return _leaf("input", _check_name(name, "an input", place), _type(type, place, shape), place, default)


def param(name: str, type: Any, value: Any = None, shape: Any = None) -> Any:
    """A learnable tensor, kept between runs: `param("w", "f64[3]", 0.5)`. Without a type it has that of its value: `param("w", np.zeros(3))`. A dictionary
    of values is a record: `param("p", {"w": np.zeros(3), "b": 0.0})` gives a dictionary of the parameters `p.w` and `p.b`."""
    return _kept("param", name, type, value, shape)


def state(name: str, type: Any, value: Any = None, shape: Any = None) -> Any:
    """A tensor kept between runs that is not learned: `state("steps", "i64", 0)`."""
    return _kept("state", name, type, value, shape)


def _kept(kind: str, name: str, type: Any, value: Any, shape: Any) -> Any:
    place = here()
    what = "a parameter" if kind == "param" else "a state"
    _check_name(name, what, place)
    if isinstance(type, dict):
        if value is not None:
            raise UserError(error("bad-argument", f"{what} that is a record takes its types from its values", place, help=f'`dfg.{kind}("{name}", {{"w": np.zeros(3)}})`'))
        if not type or not all(isinstance(k, str) and k.isidentifier() for k in type):
            raise UserError(error("bad-argument", f"a record has identifiers as its keys, not {', '.join(map(repr, type)) or 'none at all'}", place))
        return {k: _kept(kind, f"{name}.{k}", v, None, None) for k, v in type.items()}
    if value is None and isinstance(type, np.ndarray | np.generic | Handle | float | int | list) and not isinstance(type, DType):
        value, type = type, None
    if value is None:
        raise UserError(
            error("missing-argument", f"{what} has an initial value", place, help=f'give it one: `dfg.{kind}("{name}", {type!r}, 0.0)`')
        )
    if type is None:
        made = asarray(value)
        type = made.type
        value = made if isinstance(value, list | Handle) else value
    return _leaf(kind, name, _type(type, place, shape), place, value)


def asarray(value: Any, dtype: Any = None, *, device: Any = None, copy: Any = None) -> Tensor:
    """A tensor from numbers known now: a Python number takes the default dtype of its kind (or `dtype`), an array keeps its own. A tensor stays as it is; a
    list with tensors in it is stacked."""
    place = here()
    d = None if dtype is None else dtype_of(dtype, place)
    try:
        given = operand(value)
    except Bad as e:
        raise UserError(bad(e, value, 0, place)) from None
    if isinstance(given, Tensor) and (d is None or given.dtype is d):
        return given

    def emit(cx: Surface, of: Any) -> Value:
        x = lower(given, cx, of)
        if isinstance(x, Literal):
            return cx.literal(x, d) if d is not None and (d.floating or x.kind != "float") else _cast(cx.value(x), d)
        return _cast(x, d)

    return build(handles_in([given]), emit, names=dims_used([given]), place=place, call=[value])


def _cast(v: Value, d: DType | None) -> Value:
    return v if d is None else emit_cast(v, d)


const = asarray


def dim(
    name: str, *, at_least: Any = None, at_most: Any = None, multiple_of: Any = None, equals: Any = None, differs_from: Any = None
) -> Dim:
    """The size called `name`, and what is known of it: facts that shapes may rely on, verified when sizes arrive. Bounds are integers, dims or texts
    ("2*m"). Declaring a name again replaces what this module said of it; that is an error once something was computed with it."""
    place = here()
    named_dim(name, place)
    declared = sizes.declaration(name, place, at_least, at_most, multiple_of, equals, differs_from)
    module = module_name()
    table = sizes.declared(module)
    with LOCK:
        old = table.get(name)
        if (old.facts if old is not None else ()) == declared.facts:
            return named_dim(name, place)
        touched = declared.names if old is None else declared.names | old.names
        for home in list(HOMES):
            if home.forward is None and module in home.modules and home.used & touched and not home.only_leaves:
                _too_late(name, home, touched, place)
        fresh = {**table, name: declared}
        if not declared.facts:
            del fresh[name]
        sizes.facts_of(sizes.connected(fresh.values(), touched))
        table.clear()
        table.update(fresh)
        renew(module, touched, table.values())
    return named_dim(name, place)


def _too_late(name: str, home: Home, touched: frozenset[str], place: Place | None) -> NoReturn:
    labels: list[Label] = []
    for v in home.graph.values:
        if not v.op.leaf and (span := home.made.get(v.index) or home.graph.spans.get(v.index)) is not None:
            labels.append(Label(span, "this was computed before"))
            break
    used = sorted(touched & home.used)
    raise UserError(
        error(
            "late-fact",
            f"what is known of `{name}` must be said before anything is computed with `{'`, `'.join(used)}`",
            place,
            labels=labels,
            help="move this line up, before the first value whose shape has the name",
        )
    )
