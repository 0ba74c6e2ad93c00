"""Where values come from (inputs, parameters, states, arguments of bodies, sizes, counters) and what only names or projects them (`pin`, `part`, `trace`)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from dfg.dims import DimLike
from dfg.ir import Graph, InferError, Subgraph, Value
from dfg.ops.base import OPAQUE, Attr, Axes, Case, NoGradient, Op, RuleContext, define, tensor
from dfg.types import I64, NUMERIC, TensorType, TupleType, Type


def _declared(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = attrs[1]
    assert isinstance(t, TensorType)
    return t


def _leaf(name: str, doc: str) -> Op:
    return define(
        Op(
            name,
            doc,
            _declared,
            NoGradient("it depends on nothing"),
            attrs=(Attr("name", "text"), Attr("type", "type")),
            arity=0,
            leaf=True,
            axes=lambda v: (),
        )
    )


input_op = _leaf("input", "A tensor that is fed at every run.")
param_op = _leaf("param", "A learnable tensor, kept between runs.")
state_op = _leaf("state", "A tensor kept between runs, not learnable.")
arg = define(
    Op(
        "arg",
        "An input of the body of a loop or branch.",
        _declared,
        NoGradient("it depends on nothing"),
        attrs=(Attr("position", "int"), Attr("type", "type")),
        arity=0,
        leaf=True,
        axes=lambda v: (),
    )
)
dim_op = define(
    Op(
        "dim",
        "A size as a scalar i64.",
        lambda cx, o, a: TensorType(I64),
        NoGradient("a size is an integer"),
        attrs=(Attr("size", "dim"),),
        arity=0,
        evaluate=lambda xp, *, size: xp.asarray(size, dtype=np.int64),
        into="{out}[...] = {size}",
        axes=lambda v: (),
        samples=lambda rng: [Case((), (("size", 5),))],
    )
)


def _iota_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    size, dtype = attrs
    if dtype not in NUMERIC:
        raise InferError("wrong-dtype", f"`arange` counts in a numeric dtype, not {dtype}")
    cx.need(size, 0, "a size is never negative", "bad-argument")
    return TensorType(dtype, (size,))


iota = define(
    Op(
        "iota",
        "The numbers 0, 1, 2 ... below a size.",
        _iota_infer,
        NoGradient("it depends on nothing"),
        attrs=(Attr("size", "dim"), Attr("dtype", "dtype")),
        arity=0,
        evaluate=lambda xp, *, size, dtype: xp.arange(size, dtype=dtype.np),
        axes=lambda v: (),
        samples=lambda rng: [Case((), (("size", n), ("dtype", I64))) for n in (0, 4)],
    )
)

_serial = itertools.count(1)


def _same_type(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    return tensor(operands[0])


def _identity_axes(v: Value) -> Axes:
    return (tuple(range(v.rank)),)


pin = define(
    Op(
        "pin",
        "The same value under an identity of its own, as a target of differentiation: never merged with another, opaque to rewrites.",
        _same_type,
        lambda cx, ct, y: (ct,),
        attrs=(Attr("serial", "int"),),
        evaluate=lambda xp, x, *, serial: x,
        into="np.copyto({out}, {0})",
        axes=_identity_axes,
        linear=(True,),
        elementwise=True,
        view=True,
        unique=True,
        marker=True,
        cost=lambda v: 0,
        samples=lambda rng: [Case((rng.normal(size=3),), (("serial", 1),))],
    )
)


def make_pin(v: Value) -> Value:
    """A new pin of `v`: no two are one value, also where some of the graph were read from text with their serial numbers."""
    before = len(v.graph)
    while True:
        made = pin(v, serial=next(_serial))
        if len(v.graph) > before:
            return made


def _part_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    t = operands[0].type
    if not isinstance(t, TupleType) or not 0 <= attrs[0] < len(t.items):
        raise InferError("bad-argument", f"there is no result {attrs[0]} of {t}")
    return t.items[attrs[0]]


def _projected(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
    raise AssertionError("differentiation collects the cotangents of projections itself")


part = define(
    Op(
        "part",
        "One result of an op with several.",
        _part_infer,
        _projected,
        attrs=(Attr("index", "int"),),
        projects=True,
        view=True,
        evaluate=lambda xp, x, *, index: x[index],
        cost=lambda v: 0,
    )
)


def traced(loop: Value, index: int) -> Value:
    """The value of a body that a trace stacks; the values of several bodies are numbered through, the condition of a `while` left out."""
    bodies = [a for spec, a in zip(loop.op.attrs, loop.attrs, strict=True) if isinstance(a, Subgraph) and spec.name != "test"]
    for body in bodies:
        if 0 <= index < len(body.graph):
            return body.graph.values[index]
        index -= len(body.graph)
    raise InferError("bad-argument", "the body has no such value")


def _trace_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    loop = operands[0]
    t = traced(loop, attrs[0]).type
    if not isinstance(t, TensorType):
        raise InferError("bad-argument", "only tensors are traced")
    return TensorType(t.dtype, (loop.attr("length"), *t.shape)) if any(a.name == "length" for a in loop.op.attrs) else t


trace = define(
    Op(
        "trace",
        "The stack over the steps of a loop of one value of its body: what the backward pass keeps.",
        _trace_infer,
        _projected,
        attrs=(Attr("index", "int"),),
        projects=True,
        cost=lambda v: 0,
    )
)


def _inner_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    path, index, what = attrs
    loop = operands[0]
    lead: tuple[DimLike, ...] = ()
    for k in path:
        if any(a.name == "length" for a in loop.op.attrs):
            lead = (*lead, loop.attr("length"))
        loop = traced(loop, k)
    made = part.infer(cx, (loop,), (index,)) if what == "part" else trace.infer(cx, (loop,), (index,))
    if not isinstance(made, TensorType):
        raise InferError("bad-argument", "only tensors are traced")
    return made.with_shape((*lead, *made.shape))


inner_trace = define(
    Op(
        "inner_trace",
        "What a body would stack if it held one more value: a projection (`part` or `trace`) of the value that `path` leads to through bodies in bodies. Differentiation asks "
        "for it where a loop or branch stands in another one's body, and ends by giving the bodies these values.",
        _inner_infer,
        _projected,
        attrs=(Attr("path", "dims"), Attr("index", "int"), Attr("what", "text")),
        projects=True,
        cost=lambda v: 0,
    )
)


def project_inner(source: Value, path: Sequence[int], index: int, what: str) -> Value:
    """A projection of the value that a path leads to; of the value itself for an empty path."""
    if path:
        return source.graph.emit(inner_trace, (source,), (tuple(path), index, what))
    return source.graph.emit(part if what == "part" else trace, (source,), (index,))


def projection(v: Value) -> tuple[tuple[int, ...], int, str]:
    """What `project_inner` makes a projection of."""
    return v.attrs if v.op is inner_trace else ((), v.attrs[0], v.op.name)


def _draw_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    seed = tensor(operands[0])
    if seed.dtype is not I64 or seed.rank != 1:
        raise InferError(
            "wrong-dtype", f"a seed is an i64 or a list of them, not {seed}", [(0, f"this is {seed}")], help="`i64(…)` converts"
        )
    shape, dtype = attrs
    if not dtype.floating:
        raise InferError("wrong-dtype", f"a real draw is of a floating dtype, not {dtype}", help="`randint` draws integers")
    for d in shape:
        cx.need(d, 0, "a size is never negative", "bad-argument")
    return TensorType(dtype, shape)


# Note [Draws]. Element i of a draw is a function of (seed list, i) alone: the key is a chain of splitmix64 mixes over the seeds and their number,
# the bits of element i are mix(key + (i + 1) * golden) (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"). So equal seeds give equal
# numbers in every partition, and different lists start at unrelated places. Uniforms take the top 53 (f32: 24) bits; normals are Box-Muller of elements 2i and 2i+1.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def draw_bits(seeds: np.ndarray, count: int, start: int = 0) -> np.ndarray:
    """`count` 64-bit words of the stream of a seed list, from element `start`. See Note [Draws]."""
    with np.errstate(over="ignore"):
        key = _mix(np.array([seeds.size], np.uint64))
        for s in seeds.astype(np.int64).view(np.uint64):
            key = _mix((key ^ s) + _GOLDEN)
        return _mix(key + np.arange(start + 1, start + count + 1, dtype=np.uint64) * _GOLDEN)


def _uniform(xp: Any, seeds: Any, *, shape: tuple[int, ...], dtype: Any) -> Any:
    count = int(np.prod(shape, dtype=np.int64))
    bits = draw_bits(np.asarray(seeds), count)
    if dtype.name == "f32":
        return ((bits >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)).reshape(shape)
    return ((bits >> np.uint64(11)).astype(np.float64) * 2.0**-53).astype(dtype.np).reshape(shape)


def _normal(xp: Any, seeds: Any, *, shape: tuple[int, ...], dtype: Any) -> Any:
    count = int(np.prod(shape, dtype=np.int64))
    u = (draw_bits(np.asarray(seeds), 2 * count) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    radius = np.sqrt(-2.0 * np.log1p(-u[0::2]))
    return (radius * np.cos(2.0 * np.pi * u[1::2])).astype(dtype.np).reshape(shape)


def _draw(name: str, doc: str, evaluate: Any) -> Op:
    return define(
        Op(
            name,
            doc,
            _draw_infer,
            NoGradient("a draw does not depend on its seed smoothly"),
            attrs=(Attr("shape", "shape"), Attr("dtype", "dtype")),
            evaluate=evaluate,
            axes=lambda v: ((OPAQUE,),),
            workspace=lambda v: v.type.size * 40,
            samples=lambda rng: [
                Case((np.array([3, 4], np.int64),), (("shape", s), ("dtype", d))) for s in [(), (3, 2), (0,)] for d in NUMERIC[3:]
            ],
        )
    )


uniform_op = _draw("uniform", "Draws from the uniform distribution on [0, 1); equal seed, shape and dtype give equal numbers.", _uniform)
normal_op = _draw("normal", "Draws from the standard normal distribution; equal seed, shape and dtype give equal numbers.", _normal)
