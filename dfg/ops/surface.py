"""The functions that a program calls, by their array API (then NumPy, SciPy, neural-network) names.

A surface function takes operands (graph values or literals) and static arguments, converts and broadcasts what may be converted implicitly, and emits ops.
The text frontend and the Python builder call the same functions; only here do literals get dtypes, dtypes promote and shapes broadcast.

A function is declared with its Python signature; annotations say what an argument may be:
`Operand` a tensor or literal · `Operands` a list of them · `Axis`, `AxisList`, `Size`, `Shape`, `Flag`, `Word`, `DTypeArg`, `Number` static values.

>>> from dfg.ir import Graph
>>> g = Graph(); cx = Surface(g)
>>> call(cx, "exp", [Literal("int", 0, "0")]).type
TensorType(f64)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final
from typing import Literal as TypingLiteral

import numpy as np

from dfg.dims import Dim, DimLike, suggest_fact
from dfg.ir import Graph, InferError, Value
from dfg.ops.base import OPS, full, make_constant, tensor
from dfg.ops.elementwise import cast
from dfg.ops.movement import broadcast_along, emit_reshape
from dfg.types import BOOL, F64, I64, KIND_ORDER, BroadcastConflict, DType, TensorType, broadcast_shapes, lossless, promote, rounds_once

LiteralKind = TypingLiteral["bool", "int", "float"]


class Literal:
    """A number, or an array of numbers, that has a kind and no dtype yet. `text` is how it was written, if it was; `exact` are an array's elements as they are
    to be rounded to a dtype narrower than f64, if these are others."""

    __slots__ = ("exact", "kind", "text", "value")

    def __init__(self, kind: LiteralKind, value: Any, text: str | None = None, exact: Any = None) -> None:
        self.kind: LiteralKind = kind
        self.value = value
        self.text = text
        self.exact = exact

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.value)

    @staticmethod
    def of(value: Any) -> Literal:
        """The literal of a Python or NumPy number or a nested list of numbers."""
        if isinstance(value, bool | np.bool_):
            return Literal("bool", bool(value))
        if isinstance(value, int | np.integer):
            return Literal("int", int(value))
        if isinstance(value, float | np.floating):
            return Literal("float", float(value))
        array = np.asarray(value)
        kinds: dict[str, LiteralKind] = {"b": "bool", "i": "int", "u": "int", "f": "float"}
        if array.dtype.kind not in kinds:
            raise InferError("wrong-dtype", f"{value!r} is neither a number nor an array of numbers")
        return Literal(kinds[array.dtype.kind], array)

    def to(self, dtype: DType) -> Any:
        """The elements to convert to a dtype, such that each is rounded once from the number that was written."""
        value = self.value
        if not dtype.floating or dtype.bits >= 64:
            return value
        if self.exact is not None:
            return self.exact
        if type(value) is int and abs(value) > 2**53:
            return rounds_once(str(value), float(value)) if abs(value) < 2**1023 else value
        return rounds_once(self.text, value) if type(value) is float and self.text is not None else value

    def __repr__(self) -> str:
        return f"Literal({self.kind}, {self.text or self.value})"


Operand = Value | Literal
Arg = Annotated[Any, "operand"]
Args = Annotated[Any, "operands"]
OptionalArg = Annotated[Any, "operand or none"]
Axis = Annotated[Any, "axis"]
AxisList = Annotated[Any, "axes"]
Size = Annotated[Any, "size"]
Shape = Annotated[Any, "shape"]
Flag = Annotated[bool, "flag"]
Word = Annotated[str, "word"]
DTypeArg = Annotated[Any, "dtype"]
Static = Annotated[Any, "static"]
"""Any static value: a number, a dim, a list of them, a word, none."""


@dataclass(slots=True)
class Surface:
    """Where surface functions emit, and the defaults of the program."""

    graph: Graph
    default_float: DType = F64
    warn: Callable[[str, str], None] = field(default=lambda code, message: None)
    within: str | None = None
    """The composite function that is being expanded, in whose name conversions are made."""
    calls: dict[str, int] = field(default_factory=dict)
    """How often each function was called, by its path: the second call of `f` is `f_2`."""

    def default(self, kind: str) -> DType:
        return {"bool": BOOL, "int": I64, "float": self.default_float}[kind]

    def value(self, x: Operand) -> Value:
        """A value as it is; a literal with the default dtype of its kind."""
        return x if isinstance(x, Value) else self.literal(x, self.default(x.kind))

    def literal(self, x: Literal, dtype: DType) -> Value:
        """A literal as a constant of a dtype of its kind or above; an integer that does not fit is an error."""
        value = x.value
        if dtype.kind == "int" and x.kind == "int":
            info = np.iinfo(dtype.np)
            array = np.asarray(value)
            low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
            if low < info.min or high > info.max:
                raise InferError(
                    "literal-overflow",
                    f"{shortened(low if low < info.min else high)} does not fit in {dtype}",
                    [],
                    help=f"{dtype} holds {info.min} to {info.max}; write a float or convert the tensor to a wider dtype",
                )
        with np.errstate(over="ignore"):
            made = make_constant(self.graph, x.to(dtype), dtype)
        if x.text is not None:
            known = self.graph.literals.get(made.index)
            if known is None or len(x.text) < len(known):  # equal constants are one value: of several spellings the shortest stays
                self.graph.literals[made.index] = x.text
        return made

    def cast(self, v: Value, dtype: DType, reason: str) -> Value:
        """An implicit conversion, with its reason in the graph."""
        if v.dtype is dtype:
            return v
        made = cast(v, dtype=dtype)
        self.graph.casts.setdefault(made.index, reason)
        # A size or a constant as a float is what everyone means by `sum(x) / n`; an i64 in f64 loses nothing below 2**53.
        if not lossless(v.dtype, dtype) and (v.dtype.kind != "int" or (dtype.bits < 64 and v.op.name not in ("dim", "constant"))):
            self.warn("lossy-cast", f"{v.dtype} is converted to {dtype}: {reason}")
        return made

    def join(self, operands: Sequence[Operand], at_least: DType | None = None) -> DType:
        """The dtype that operands promote to: tensors by the lattice, literals by their kind."""
        if not operands:
            raise InferError("bad-argument", "a tensor is wanted here, and this list is empty")
        tensors = [o.dtype for o in operands if isinstance(o, Value)]
        best = promote(*tensors) if tensors else None
        for o in operands:
            if isinstance(o, Literal) and (best is None or KIND_ORDER[o.kind] > KIND_ORDER[best.kind]):
                default = self.default(o.kind)
                best = default if best is None else promote(best, default)
        assert best is not None
        return best if at_least is None else promote(best, at_least)

    def promote(self, operands: Sequence[Operand], name: str, floating: bool = False) -> list[Value]:
        """Operands as values of one dtype (a floating one if asked for)."""
        if not operands:
            raise InferError("bad-argument", f"`{name}` takes at least one tensor, and this list is empty")
        dtype = self.join(operands)
        if floating and not dtype.floating:
            dtype = self.default_float
        name = self.within or name
        result = []
        for o in operands:
            if isinstance(o, Literal):
                result.append(self.literal(o, dtype))
            else:
                others = ", ".join(dict.fromkeys(str(p.dtype) for p in operands if isinstance(p, Value) and p.dtype is not o.dtype))
                result.append(self.cast(o, dtype, f"`{name}` of {o.dtype} and {others}" if others else f"`{name}` works in {dtype}"))
        return result

    def broadcast(self, values: Sequence[Value], name: str) -> list[Value]:
        """Values stretched to their common shape. Raises `InferError` naming the two axes that do not meet."""
        first = values[0].shape
        if all(v.shape == first for v in values):
            return list(values)
        try:
            shape = broadcast_shapes([v.shape for v in values], self.graph.facts)
        except BroadcastConflict as c:
            left, right = values[c.left], values[c.right]
            raise InferError(
                "shape-mismatch" if c.proved else "dim-unproved",
                f"cannot broadcast {left.type} with {right.type}",
                [(c.left, f"axis {c.left_axis} is {c.left_size}"), (c.right, f"axis {c.right_axis} is {c.right_size}")],
                help=None,
                dim_fact=None if c.proved else suggest_fact(c.left_size, c.right_size),
            ) from None
        return [self.stretch(v, shape) for v in values]

    def stretch(self, v: Value, shape: tuple[DimLike, ...]) -> Value:
        """A value repeated to a shape that it broadcasts to."""
        if v.shape == shape:
            return v
        lead = len(shape) - v.rank
        kept = [k for k, d in enumerate(v.shape) if lead < 0 or d != 1 or shape[lead + k] == 1]
        if lead < 0 or any(self.graph.equal_sizes(v.shape[k], shape[lead + k]) is not True for k in kept):
            raise InferError(
                "shape-mismatch", f"cannot broadcast {v.type} to shape [{', '.join(map(str, shape))}]", [(0, f"this is {v.type}")]
            )
        wanted = tuple(v.shape[k] for k in kept)
        narrow = v
        while narrow.shape != wanted and narrow.op.name == "reshape":
            narrow = narrow.operands[0]  # `x[:, newaxis]` stretches as `x` does
        narrow = emit_reshape(v, wanted) if narrow.shape != wanted else narrow
        return broadcast_along(narrow, shape, tuple(lead + k for k in kept))

    def elementwise(self, name: str, operands: Sequence[Operand], floating: bool = False) -> Value:
        """An elementwise op on promoted, broadcast operands."""
        values = self.broadcast(self.promote(operands, name, floating), name)
        return self.graph.emit(OPS[name], tuple(values), ())

    def full(self, shape: tuple[DimLike, ...], value: Literal, dtype: DType | None) -> Value:
        d = dtype or self.default(value.kind)
        for k in shape:
            self.graph.need(k, 0, "a size is never negative", "bad-argument")
        scalar = self.literal(value, d)
        return broadcast_along(scalar, shape, ()) if shape else scalar

    def zeros(self, t: TensorType) -> Value:
        return full(self.graph, 0, t)


@dataclass(frozen=True, slots=True)
class Function:
    """A surface function: its name, what it says of itself, its signature without the context, and its implementation. Those that are written in the
    language itself have the same attributes, read from their text when they are first asked for (`dfg.frontend.prelude.Composite`)."""

    name: str
    doc: str
    signature: inspect.Signature
    implementation: Callable[..., Any]
    fold: Callable[..., Any] | None = None
    """For elementwise functions: the value on Python numbers, with which literals stay literals."""
    elementwise: bool = False
    """Whether it acts element by element, hence leaf by leaf on records."""
    family: str = ""
    """The word of the module, or of the file of the prelude, that defines it."""


FUNCTIONS: Final[dict[str, Function]] = {}


def function(
    *names: str, fold: Callable[..., Any] | None = None, elementwise: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a surface function under its name and aliases. Its first parameter is the `Surface`. What folds literals is elementwise."""

    def declare(f: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(f, eval_str=True)
        parameters = list(signature.parameters.values())[1:]
        for name in names:
            if name in FUNCTIONS:
                raise ValueError(f"the function `{name}` is declared twice")
            FUNCTIONS[name] = Function(
                name,
                inspect.getdoc(f) or "",
                signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty),
                f,
                fold,
                elementwise or fold is not None or (name in OPS and OPS[name].elementwise),
                f.__module__.rpartition(".")[2],
            )
        return f

    return declare


def role(parameter: inspect.Parameter) -> str:
    """What an argument may be: the text of its annotation's tag (`operand`, `operands`, `axis` ...)."""
    metadata = getattr(parameter.annotation, "__metadata__", None)
    return str(metadata[0]) if metadata else "static"


def call(cx: Surface, name: str, args: Sequence[Any], kwargs: dict[str, Any] | None = None) -> Any:
    """Call a surface function. Raises `InferError` (codes `missing-argument`, `surplus-argument`, `bad-argument` ...)."""
    f = FUNCTIONS[name]
    kwargs = kwargs or {}
    try:
        bound = f.signature.bind(*args, **kwargs)
    except TypeError as e:
        names = [p.name for p in f.signature.parameters.values()]
        unknown = [k for k in kwargs if k not in names]
        if unknown:
            raise InferError(
                "surplus-argument",
                f"`{name}` has no argument `{unknown[0]}`",
                [(unknown[0], "this one")],
                help=f"its arguments are {', '.join(names)}",
            ) from None
        required = [p.name for p in f.signature.parameters.values() if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
        given = len(args)
        if "missing" in str(e):
            lacking = next((n for k, n in enumerate(required) if k >= given and n not in kwargs), required[-1] if required else "")
            raise InferError(
                "missing-argument", f"`{name}` needs the argument `{lacking}`", help=f"it is called as {name}({', '.join(names)})"
            ) from None
        raise InferError(
            "surplus-argument",
            f"`{name}` takes {len(names)} arguments, not {given + len(kwargs)}",
            help=f"it is called as {name}({', '.join(names)})",
        ) from None
    for parameter in f.signature.parameters.values():
        if parameter.name in bound.arguments:
            _check_argument(name, parameter, bound.arguments[parameter.name])
    if f.fold is not None and (folded := fold_literals(f.fold, [*bound.args, *bound.kwargs.values()])) is not None:
        return folded
    return f.implementation(cx, *bound.args, **bound.kwargs)


MOST: Final = 1 << 62
"""No size, axis or count of elements reaches this: a greater number would not fit the indices of NumPy either."""
_WANTED: Final = {
    "operand": "a tensor", "operand or none": "a tensor", "operands": "a list of tensors", "axis": "an axis", "axes": "axes", "size": "a whole number",
    "shape": "a list of sizes", "flag": "`true` or `false`", "word": "a text in double quotes", "dtype": "a dtype such as `f64`", "static": "a number known while compiling",
}  # fmt: skip


def _check_argument(name: str, parameter: inspect.Parameter, x: Any) -> None:
    """Refuse what no function could take for a parameter of this role, so that no implementation meets it."""
    kind = role(parameter)
    if x is None and (parameter.default is None or kind in ("operand or none", "static", "size", "axis", "axes")):
        return
    given = x if parameter.kind is parameter.VAR_POSITIONAL else (x,)
    if kind.startswith("operand"):
        for item in given:
            many = isinstance(item, list | tuple)
            listed = kind == "operands" and parameter.name != "seed" and parameter.kind is not parameter.VAR_POSITIONAL
            if not many and (listed or not isinstance(item, Value | Literal)):
                _unsuitable(name, parameter, kind, item)
            if many and (kind != "operands" or not all(isinstance(i, Value | Literal) for i in _flat(item))):
                _unsuitable(name, parameter, kind, item)
        return
    if kind in ("dtype", "word", "flag"):
        fits = {"dtype": DType, "word": str, "flag": bool}[kind]
        if not isinstance(plain(x), fits):
            _unsuitable(name, parameter, kind, x)
        return
    for item in _flat(given):
        k = plain(item)
        if isinstance(k, DType | Value) or (k is not None and not isinstance(k, bool | int | float | str | Dim | tuple)):
            _unsuitable(name, parameter, kind, item)
        if kind != "static" and isinstance(k, str):
            _unsuitable(name, parameter, kind, item)
        if isinstance(k, int) and abs(k) >= MOST:
            raise InferError("bad-argument", f"`{name}`: {shortened(k)} is too large as `{parameter.name}`", [(parameter.name, "this one")])


def shortened(k: int) -> str:
    """A whole number, and of a very long one about how large it is."""
    return str(k) if abs(k) < 10**30 else f"a number of about {k.bit_length() * 30103 // 100000 + 1:,} digits"


def _unsuitable(name: str, parameter: inspect.Parameter, kind: str, x: Any) -> None:
    raise InferError(
        "not-static" if isinstance(x, Value) else "bad-argument", f"`{name}` takes {_WANTED[kind]} as `{parameter.name}`, not {_shown(x)}", [(parameter.name, "this one")]
    )


def _flat(items: Iterable[Any]) -> Iterable[Any]:
    """The elements of nested lists, in order."""
    stack = [iter(items)]
    while stack:
        for item in stack[-1]:
            if isinstance(item, list | tuple):
                stack.append(iter(item))
                break
            yield item
        else:
            stack.pop()


def fold_literals(f: Callable[..., Any], args: Sequence[Any]) -> Literal | None:
    """A literal from literals, or None if an argument is a tensor or the result is no number."""
    if not args or not all(isinstance(a, Literal) for a in args):
        return None
    with np.errstate(all="ignore"):
        try:
            return Literal.of(f(*[a.value for a in args]))
        except (ArithmeticError, ValueError, TypeError):
            return None


# --- reading static arguments ------------------------------------------------------------------------------------------------------


def plain(x: Any) -> Any:
    """A static argument as Python values: literals become numbers, sequences tuples."""
    if isinstance(x, Literal):
        return (
            x.value.item()
            if isinstance(x.value, np.ndarray) and x.value.ndim == 0
            else (tuple(x.value.tolist()) if isinstance(x.value, np.ndarray) else x.value)
        )
    if isinstance(x, list | tuple):
        return tuple(plain(y) for y in x)
    return x


def axis_number(x: Any, rank: int, name: str, argument: str = "axis") -> int:
    """An axis from 0 for a given rank; negative ones count from the end."""
    k = plain(x)
    if isinstance(k, bool) or not isinstance(k, int):
        raise InferError("bad-argument", f"`{name}` takes an integer as `{argument}`, not {_shown(k)}", [(argument, "this one")])
    if not -rank <= k < rank:
        raise InferError(
            "bad-argument",
            f"`{name}`: there is no axis {k} of a tensor of rank {rank}",
            [(argument, "this one")],
            help=f"axes go from {-rank} to {rank - 1}" if rank else "a scalar has no axis",
        )
    return k % rank


def axis_numbers(x: Any, rank: int, name: str, argument: str = "axis") -> tuple[int, ...]:
    """Distinct axes in order; `none` means all."""
    given = plain(x)
    if given is None:
        return tuple(range(rank))
    items = given if isinstance(given, tuple) else (given,)
    numbers = [axis_number(k, rank, name, argument) for k in items]
    if len(set(numbers)) != len(numbers):
        raise InferError("bad-argument", f"`{name}`: an axis is named twice in {list(items)}", [(argument, "this one")])
    return tuple(sorted(numbers))


def size_of(x: Any, name: str, argument: str) -> DimLike:
    """A size: an integer or a dim."""
    d = plain(x)
    if isinstance(d, bool) or not isinstance(d, int | Dim):
        raise InferError("bad-argument", f"`{name}` takes an integer as `{argument}`, not {_shown(d)}", [(argument, "this one")])
    return d


def shape_of(x: Any, name: str, argument: str = "shape") -> tuple[DimLike, ...]:
    """A shape: a list of sizes, or one size."""
    given = plain(x)
    items = given if isinstance(given, tuple) else (given,)
    return tuple(size_of(d, name, argument) for d in items)


def dtype_of(x: Any, name: str, argument: str = "dtype") -> DType | None:
    if x is None or isinstance(x, DType):
        return x
    raise InferError("bad-argument", f"`{name}` takes a dtype such as f64 as `{argument}`, not {_shown(x)}", [(argument, "this one")])


def _shown(x: Any) -> str:
    """An unsuitable argument in a few words."""
    k = plain(x)
    if isinstance(k, Value):
        return f"a tensor of {k.type}"
    if isinstance(k, str):
        return f'the text "{k if len(k) <= 40 else k[:39] + "…"}"'
    if isinstance(k, DType):
        return f"the dtype `{k}`"
    if isinstance(k, list | tuple):
        return "a list" if k else "an empty list"
    if k is None or isinstance(k, bool):
        return f"`{str(k).lower()}`"
    if isinstance(k, int | float | Dim):
        return f"`{k}`"
    return f"a {type(k).__name__.lower().removesuffix('thing')}"


def tensors(cx: Surface, items: Iterable[Operand]) -> list[Value]:
    return [cx.value(i) for i in items]


def rank_of(x: Operand) -> int:
    return tensor(x).rank if isinstance(x, Value) else len(x.shape)
