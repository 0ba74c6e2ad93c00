"""What an op is: one definition that inference, differentiation, backends, printing, documentation and tests all read.

A definition says how operand types give a result type (`infer`), how a cotangent is pulled back (`vjp`, written with ops, hence
differentiable again), what the values are (`evaluate`, over an array namespace; `scalar` for elementwise ops, over a scalar namespace;
`into`, NumPy source that writes into a given array), which operand axis runs along which result axis (`axes`), traits, and samples from which all
generated tests come. Passes ask for properties; no pass keeps a list of op names.

>>> from dfg.ops import get
>>> get("tanh").doc
'Hyperbolic tangent, elementwise.'
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from dfg.diagnostics import InternalError
from dfg.dims import DimLike
from dfg.ir import Const, Graph, InferError, Subgraph, Value
from dfg.types import ANY, BOOL, F64, FLOATING, DType, TensorType, TupleType, Type

AttrKind = Literal[
    "axis", "axes", "perm", "shape", "dims", "per_axis", "dim", "int", "bool", "float", "text", "dtype", "const", "body", "type", "batch"
]
"""What an attribute means, for checking, printing and vectorising. `axis`, `axes`, `perm`: numbers of axes; `shape`: sizes of the result's axes; `dims`: result axes
of the operand's axes; `per_axis`: one entry for each axis of the first operand (its neutral entry is `Attr.neutral`); `batch`: a number of leading axes."""

REDUCED: Final = "reduced"
OPAQUE: Final = "opaque"
Axes = tuple[tuple[int | str, ...], ...]
"""For each operand, for each of its axes: the result axis that it runs along, or `REDUCED`, or `OPAQUE`."""


@dataclass(frozen=True, slots=True)
class Attr:
    """An attribute: its name, what it means, and for `per_axis` the entry that leaves an axis alone (``"size"`` stands for the axis's size)."""

    name: str
    kind: AttrKind
    neutral: int | str = 0


@dataclass(frozen=True, slots=True)
class NoGradient:
    """In place of a vjp rule: why nothing flows through this op."""

    why: str


@dataclass(frozen=True, slots=True)
class Case:
    """A sample: operand arrays, attributes by name, which operands are to be differentiated (None: every floating one), the highest order
    at which the gradient is smooth here, and what is special about it."""

    operands: tuple[np.ndarray, ...]
    attrs: tuple[tuple[str, Any], ...] = ()
    wrt: tuple[int, ...] | None = None
    order: int = 2
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Reject:
    """Operand types (as text) and attributes that must be refused, with the diagnostic's code."""

    operands: tuple[str, ...]
    attrs: tuple[tuple[str, Any], ...]
    code: str


class RuleContext:
    """What a vjp rule may ask: which operands are wanted, the policy at kinks, and (loops) how to differentiate a body."""

    __slots__ = ("driver", "kinks", "live", "need")

    def __init__(self, need: Sequence[bool], kinks: str = "dfg", driver: Any = None) -> None:
        self.need = need
        self.kinks = kinks
        self.driver = driver
        self.live: Value | None = None
        """Which lanes of the result reach the loss; None means all."""

    def result(self, y: Value) -> Value:
        """The result with 0 in its dead lanes, for rules that sum over products with it: there it may hold anything."""
        return y if self.live is None else OPS["where"](self.live, y, full_like(y, 0))


VjpRule = Callable[[RuleContext, Any, Value], Sequence[Value | None]]


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """The definition of one op. Compared by identity."""

    name: str
    doc: str
    infer: Callable[[Graph, tuple[Value, ...], tuple[Any, ...]], Type]
    vjp: VjpRule | NoGradient
    attrs: tuple[Attr, ...] = ()
    arity: int | None = 1
    """The number of operands; None if it varies."""
    evaluate: Callable[..., Any] | None = None
    scalar: Callable[..., Any] | None = None
    into: str | Callable[..., str | list[str]] | None = None
    axes: Callable[[Value], Axes] | None = None
    elementwise: bool = False
    """One result element from the operand elements at the same place; operands have equal shapes."""
    linear: tuple[bool | Literal["factor", "divisor"], ...] = ()
    """For which operands a zero cotangent stays exactly zero whatever the other operands hold; `factor`, `divisor`: if the other one is
    a finite constant that multiplies or divides."""
    moves: bool = False
    """The vjp only moves, drops, adds up or zero-fills elements; applied to booleans (adding is or-ing) it moves a liveness predicate."""
    lives: Callable[[Value, Value | None], Sequence[Value | None]] | None = None
    """Where `axes` are too coarse: for each operand, which elements reach the live elements of the result (None: all of them)."""
    bilinear: bool = False
    """Each operand's cotangent is a sum of products of the result's with the other operand: a contraction."""
    liveness: bool = False
    """Its vjp rule takes and gives cotangents with predicates (loops, branches)."""
    partial: bool = False
    """A mover that may leave lanes of an operand out: a predicate starts here."""
    commutative: bool = False
    shares: tuple[int, ...] | None = None
    """Operands in whose memory the result may be made. None: every operand of an elementwise op whose `into` is one statement, else none."""
    view: bool = False
    """NumPy can give the result as a view of the first operand."""
    fails: str | None = None
    """The code of the diagnostic with which a run may fail here."""
    workspace: Callable[[Value], DimLike] | None = None
    """Bytes that an evaluation needs beside its result."""
    cost: Callable[[Value], DimLike] | None = None
    """Floating-point operations; None means one for each result element."""
    unique: bool = False
    """Never merged with another (pins)."""
    calculus: bool = False
    """Expanded by differentiation."""
    marker: bool = False
    """Only differentiation sees it; afterwards its first operand stands for it."""
    projects: bool = False
    """May use a tuple."""
    leaf: bool = False
    known: bool = False
    """A constant."""
    repeats: bool = False
    """Only repeats its operand: of a constant it is one."""
    lower: Callable[[Graph, tuple[Value, ...], tuple[Any, ...]], Value | None] | None = None
    """How other ops give it once nothing will be differentiated any more; None: it stays."""
    samples: Callable[[np.random.Generator], list[Case]] | None = None
    rejects: tuple[Reject, ...] = ()
    formula: str = ""
    """The formula for the reference page."""

    def __call__(self, *operands: Value, **attrs: Any) -> Value:
        """Emit the op strictly: operands are values of one graph, attributes by name, nothing implicit."""
        if not operands:
            raise InternalError(f"`{self.name}` has no operand to take the graph from; use `graph.emit`")
        return operands[0].graph.emit(self, operands, self.pack(attrs))

    def pack(self, attrs: dict[str, Any]) -> tuple[Any, ...]:
        """The attributes as a tuple in the order of the definition."""
        if not self.attrs:
            return ()
        return tuple([attrs[a.name] for a in self.attrs])

    def __repr__(self) -> str:
        return f"<op {self.name}>"


OPS: Final[dict[str, Op]] = {}
"""Every op by its name."""


def define(op: Op) -> Op:
    """Put an op into the registry."""
    if op.name in OPS:
        raise InternalError(f"the op `{op.name}` is defined twice")
    OPS[op.name] = op
    return op


def get(name: str) -> Op:
    """The op called `name`; KeyError if there is none."""
    return OPS[name]


# --- what definitions share ----------------------------------------------------------------------------------------------------


def tensor(v: Value) -> TensorType:
    t = v.type
    if type(t) is not TensorType:
        raise InferError("wrong-type", "this op takes a tensor, not a tuple")
    return t


def check_dtype(name: str, t: TensorType, allowed: Sequence[DType], position: int = 0) -> None:
    if t.dtype not in allowed:
        names = ", ".join(d.name for d in allowed)
        raise InferError(
            "wrong-dtype",
            f"`{name}` takes {names}, not {t.dtype}",
            [(position, f"this is {t}")],
            help=None if t.dtype is not BOOL and allowed is not FLOATING else f"convert it first: `{allowed[-1].name}(…)`",
        )


def same_axes(v: Value) -> Axes:
    """Axes of an elementwise op: each operand axis runs along the same result axis."""
    lanes = tuple(range(v.rank))
    return tuple([lanes for _ in v.operands])


def infer_elementwise(
    name: str, dtypes: Sequence[DType], result: DType | None
) -> Callable[[Graph, tuple[Value, ...], tuple[Any, ...]], Type]:
    """Operands of one type (shape and dtype); the result has that type, or dtype `result`."""
    allowed = frozenset(dtypes)

    def infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
        t = operands[0].type
        for k, o in enumerate(operands):
            u = o.type
            if u is not t and u != t:
                raise InferError(
                    "shape-mismatch", f"`{name}` takes operands of one type, not {t} and {u}", [(0, f"this is {t}"), (k, f"this is {u}")]
                )
        if type(t) is not TensorType or t.dtype not in allowed:
            check_dtype(name, tensor(operands[0]), dtypes)
        return t if result is None else t.with_dtype(result)

    return infer


Fn = Callable[..., Value | None]


def elementwise_vjp(rules: Sequence[Fn | None]) -> VjpRule:
    """A vjp from one rule for each operand, `(ct, y, *operands) -> cotangent`; None where nothing flows."""

    def vjp(cx: RuleContext, ct: Value, y: Value) -> Sequence[Value | None]:
        need = cx.need
        return [f(ct, y, *y.operands) if f is not None and need[k] else None for k, f in enumerate(rules)]

    return vjp


def unary(
    name: str,
    doc: str,
    *,
    vjp: Fn | NoGradient,
    ufunc: str | None = None,
    evaluate: Callable[..., Any] | None = None,
    scalar: Callable[..., Any] | None = None,
    dtypes: Sequence[DType] = FLOATING,
    result: DType | None = None,
    linear: bool = False,
    samples: Sequence[Sampler] = (),
    formula: str = "",
    fails: str | None = None,
    into: str | Callable[..., str | list[str]] | None = None,
    cost: int = 1,
    rejects: Sequence[Reject] = (),
    marker: bool = False,
    shares: tuple[int, ...] | None = None,
    temporaries: int = 0,
) -> Op:
    """Define an elementwise op of one operand. `ufunc` names NumPy's function of the same meaning."""
    return elementwise(
        name,
        doc,
        vjp=[vjp] if not isinstance(vjp, NoGradient) else vjp,
        ufunc=ufunc,
        evaluate=evaluate,
        scalar=scalar,
        dtypes=dtypes,
        result=result,
        linear=(linear,),
        samples=[(s,) for s in samples],
        formula=formula,
        fails=fails,
        into=into,
        cost=cost,
        rejects=rejects,
        marker=marker,
        shares=shares,
        temporaries=temporaries,
    )


def elementwise(
    name: str,
    doc: str,
    *,
    vjp: Sequence[Fn | None] | VjpRule | NoGradient,
    ufunc: str | None = None,
    evaluate: Callable[..., Any] | None = None,
    scalar: Callable[..., Any] | None = None,
    dtypes: Sequence[DType] = FLOATING,
    result: DType | None = None,
    linear: tuple[bool | Literal["factor", "divisor"], ...] = (),
    commutative: bool = False,
    samples: Sequence[Sequence[Sampler]] = (),
    formula: str = "",
    fails: str | None = None,
    into: str | Callable[..., str | list[str]] | None = None,
    cost: int = 1,
    arity: int | None = None,
    rejects: Sequence[Reject] = (),
    marker: bool = False,
    attrs: tuple[Attr, ...] = (),
    settings: Sequence[tuple[tuple[str, Any], ...]] = ((),),
    shares: tuple[int, ...] | None = None,
    temporaries: int = 0,
    wrt: tuple[int, ...] | None = None,
) -> Op:
    """Define an elementwise op. Operands have one type; `samples` are rows of samplers, one for each operand, each tried with the attributes of every one of
    `settings`; `temporaries` is how many bytes an evaluation needs for each element beside its result; `wrt` are
    the operands by which it varies smoothly (all)."""
    n = arity or (len(vjp) if isinstance(vjp, list | tuple) else len(linear) or (len(samples[0]) if samples else 1))
    if evaluate is None:
        if ufunc is None:
            raise InternalError(f"`{name}` has no meaning")
        evaluate = _by_name(ufunc)
    if into is None and ufunc is not None:
        # By position is quicker; of `maximum` and `minimum` NumPy means to give a third operand another meaning.
        word = "out=" if ufunc in ("maximum", "minimum") else ""
        into = f"np.{ufunc}({', '.join(f'{{{k}}}' for k in range(n))}, {word}{{out}})"
    if scalar is None and ufunc is not None:
        scalar = _scalar_by_name(ufunc)
    rule: VjpRule | NoGradient
    if isinstance(vjp, NoGradient) or callable(vjp):
        rule = vjp
    else:
        rule = elementwise_vjp(list(vjp))
    bad = tuple(d for d in ANY if d not in dtypes)
    generated = tuple(Reject((f"{d.name}[3]",) * n, settings[0], "wrong-dtype") for d in bad[:1])
    return define(
        Op(
            name,
            doc,
            infer_elementwise(name, dtypes, result),
            rule,
            arity=n,
            evaluate=evaluate,
            scalar=scalar,
            into=into,
            axes=same_axes,
            elementwise=True,
            linear=linear or (False,) * n,
            commutative=commutative,
            fails=fails,
            cost=lambda v: v.type.size * cost,
            attrs=attrs,
            shares=shares,
            workspace=(lambda v: v.type.size * temporaries) if temporaries else None,
            samples=elementwise_samples(samples, dtypes, settings, wrt),
            rejects=(*generated, *rejects),
            formula=formula,
            marker=marker,
        )
    )


def _by_name(ufunc: str) -> Callable[..., Any]:
    def evaluate(xp: Any, *operands: Any) -> Any:
        return getattr(xp, ufunc)(*operands)

    return evaluate


def _scalar_by_name(ufunc: str) -> Callable[..., Any]:
    def scalar(s: Any, *operands: Any) -> Any:
        return getattr(s, ufunc)(*operands)

    return scalar


# --- samples -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sampler:
    """Numbers for one operand: uniform in an interval, or exact points (`points` are tried as they are, with `order` as the smoothness there)."""

    low: float = -2.0
    high: float = 2.0
    points: tuple[float, ...] = ()
    integral: bool = False
    order: int = 2

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> np.ndarray:
        if self.points:
            return np.asarray(np.resize(np.array(self.points), shape)).astype(dtype.np)
        if dtype.kind == "bool":
            return np.asarray(rng.random(shape) < 0.5)
        if dtype.kind == "int" or self.integral:
            low = 0 if dtype.name == "u8" else int(np.floor(self.low))
            return np.asarray(rng.integers(max(low, int(np.floor(self.low))), max(low, int(self.high)) + 1, shape)).astype(dtype.np)
        return np.asarray(rng.uniform(self.low, self.high, shape)).astype(dtype.np)


def uniform(low: float, high: float) -> Sampler:
    return Sampler(low, high)


def at(*points: float, order: int = 2) -> Sampler:
    return Sampler(points=tuple(points), order=order)


def elementwise_samples(
    rows: Sequence[Sequence[Sampler]],
    dtypes: Sequence[DType],
    settings: Sequence[tuple[tuple[str, Any], ...]] = ((),),
    wrt: tuple[int, ...] | None = None,
) -> Callable[[np.random.Generator], list[Case]]:
    """Samples of ranks 0 to 3 with empty and size-1 axes, in f64 where the op takes it, and one of each other dtype; all with each of the settings."""

    def samples(rng: np.random.Generator) -> list[Case]:
        cases: list[Case] = []
        main = F64 if F64 in dtypes else dtypes[-1]
        for row, attrs in [(r, a) for a in settings for r in rows]:
            exact = any(s.points for s in row)
            size = max([len(s.points) for s in row if s.points], default=0)
            for shape in [(size,)] if exact else [(), (3,), (2, 1), (0, 2), (2, 3, 2)]:
                cases.append(Case(tuple(s.draw(rng, shape, main) for s in row), attrs, wrt, order=min(s.order for s in row)))
            if not exact:
                for d in dtypes:
                    if d is not main:
                        cases.append(Case(tuple(s.draw(rng, (4,), d) for s in row), attrs, wrt=()))
        return cases

    return samples


# --- emitting in rules ---------------------------------------------------------------------------------------------------------


def _constant_infer(cx: Graph, operands: tuple[Value, ...], attrs: tuple[Any, ...]) -> Type:
    from dfg.types import from_numpy

    array = attrs[0].array
    d = from_numpy(array.dtype)
    if d is None:
        raise InferError("unknown-dtype", f"there is no dtype for NumPy's {array.dtype}")
    return TensorType(d, array.shape)


constant = define(
    Op(
        "constant",
        "A number or an array that is known while compiling.",
        _constant_infer,
        NoGradient("a constant does not vary"),
        attrs=(Attr("value", "const"),),
        arity=0,
        evaluate=lambda xp, *, value: value.array,
        known=True,
        leaf=True,
        axes=lambda v: (),
    )
)


def make_constant(g: Graph, value: object, d: DType) -> Value:
    """A constant of dtype `d`: a Python or NumPy number, or an array (copied, read-only)."""
    return g.emit(constant, (), (Const(np.asarray(value, dtype=d.np)),))


def const_value(v: Value) -> np.ndarray | None:
    """The elements of a constant (through broadcasts of it, unexpanded), or None if `v` is computed."""
    if not v.known:
        return None
    while v.operands:
        v = v.operands[0]
    return v.attrs[0].array


def const_scalar(v: Value) -> float | int | bool | None:
    """The number that every element of `v` is, if it is a constant scalar or a broadcast of one."""
    array = const_value(v)
    return array.item() if array is not None and array.ndim == 0 else None


def full(g: Graph, value: float, t: TensorType) -> Value:
    """A tensor of type `t` whose every element is `value`."""
    scalar = make_constant(g, value, t.dtype)
    return scalar if not t.shape else g.emit(OPS["broadcast"], (scalar,), (t.shape, ()))


def full_like(v: Value, value: float) -> Value:
    return full(v.graph, value, v.type)


def lift(x: Value | float | int | bool, like: Value) -> Value:
    """A Python number as a tensor of the type of `like`; a value as it is."""
    return x if isinstance(x, Value) else full(like.graph, x, like.type)


def project(v: Value) -> tuple[Value, ...]:
    """All results of a value of tuple type."""
    return tuple(v.graph.emit(OPS["part"], (v,), (i,)) for i in range(len(v.type.items)))


def is_tuple(v: Value) -> bool:
    return isinstance(v.type, TupleType)


def bodies(v: Value) -> list[Subgraph]:
    """The subgraphs that a value holds."""
    return [a for a in v.attrs if isinstance(a, Subgraph)]
