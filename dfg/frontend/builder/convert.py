"""What a Python argument stands for: an operand, a dtype, an axis, a shape, a static value.

Python numbers and lists of them are literals: they have a kind and take the dtype of the tensor that they meet. NumPy arrays *and NumPy scalars* are
constants of their own dtype, as everything with a dtype is. A dim is an i64 scalar where a tensor is wanted.

>>> operand(2), operand(np.float32(2))
(Literal(int, 2), Constant(f32))
>>> str(tensor_type("f32[2*n, 3]"))
'f32[2*n, 3]'
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from numbers import Real
from typing import Any, Final, NoReturn

import numpy as np

from dfg.diagnostics import UserError, error
from dfg.diagnostics.codes import nearest
from dfg.dims import Dim, DimLike, named, names
from dfg.frontend.builder.homes import Handle
from dfg.frontend.builder.sizes import normal_attrs, size
from dfg.ir import Value
from dfg.ops.base import OPS, make_constant
from dfg.ops.surface import Literal, LiteralKind, Surface, call, role
from dfg.source import Span
from dfg.types import DTYPES, F64, DType, TensorType, from_numpy

DEFAULT_FLOAT: Final[ContextVar[DType]] = ContextVar("dfg default float", default=F64)
NUMPY_NAMES: Final = {d.np.name: d for d in DTYPES.values()}
"""The dtypes by the names of NumPy and the array API: `float64`, `int32` ..."""


@contextmanager
def default_float(dtype: Any) -> Iterator[None]:
    """Within a `with` block, what a float literal becomes that meets no tensor: `with dfg.default_float("f32"):`."""
    d = dtype_of(dtype, None)
    if not d.floating:
        raise UserError(error("wrong-dtype", f"the default float is a floating dtype, not {d}"))
    token = DEFAULT_FLOAT.set(d)
    try:
        yield
    finally:
        DEFAULT_FLOAT.reset(token)


@dataclass(frozen=True, slots=True)
class Constant:
    """An array with a dtype."""

    array: np.ndarray
    dtype: DType

    def __repr__(self) -> str:
        return f"Constant({TensorType(self.dtype, self.array.shape)})"


@dataclass(frozen=True, slots=True)
class Sized:
    """A size where a tensor is wanted: an i64 scalar."""

    dim: Dim


@dataclass(frozen=True, slots=True)
class Several:
    """A list with tensors in it: stacked where one tensor is wanted."""

    items: tuple[Any, ...]


class Bad(Exception):
    """An argument is not what it should be; `at` is the argument, or the item of a list."""

    def __init__(self, code: str, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.help = code, message, help


def dtype_of(given: Any, span: Span | None) -> DType:
    """A dtype however a user names it: `"f32"`, `dfg.f32`, `np.float32`, `"float32"`, `float`. Raises `UserError`."""
    if isinstance(given, DType):
        return given
    if isinstance(given, str) and given in DTYPES:
        return DTYPES[given]
    try:
        found = from_numpy(np.dtype(given)) if given is not None else None
    except TypeError:
        found = None
    if found is None:
        near = nearest(given, [*DTYPES, *NUMPY_NAMES]) if isinstance(given, str) else None
        raise UserError(
            error(
                "unknown-dtype",
                f"there is no dtype `{getattr(given, '__name__', given)}`",
                span,
                help=f"did you mean `{near}`?" if near else f"the dtypes are {', '.join(DTYPES)}",
            )
        )
    return found


_TYPE: Final = re.compile(r"\s*([^\W\d]\w*)\s*(?:\[(.*)\]\s*)?", re.DOTALL)


def split_top(text: str, separator: str = ",") -> list[str]:
    """Split at separators that are in no brackets."""
    parts, depth, start = [], 0, 0
    for k, c in enumerate(text):
        depth += (c in "([{") - (c in ")]}")
        if c == separator and depth == 0:
            parts.append(text[start:k])
            start = k + 1
    parts.append(text[start:])
    return parts


def tensor_type(given: Any, span: Span | None = None, shape: Any = None) -> TensorType:
    """A type as a user writes it: `"f64[n, 3]"`, a `TensorType`, or a dtype with a shape. Raises `UserError`."""
    if isinstance(given, TensorType):
        return given
    sizes: Sequence[Any] = ()
    if isinstance(given, str) and "[" in given:
        match = _TYPE.fullmatch(given)
        if match is None:
            raise UserError(
                error("bad-argument", f'"{given}" is not a type', span, help='a type is a dtype and a shape: "f64[n, 3]", "i64"')
            )
        given, inner = match.groups()
        sizes = split_top(inner) if inner and inner.strip() else ()
    if isinstance(given, str):
        given = given.strip()
    d = dtype_of(given, span)
    if shape is not None:
        if sizes:
            raise UserError(error("surplus-argument", "the shape is given twice", span))
        sizes = (shape,) if isinstance(shape, int | str | Dim) else tuple(shape)
    made = tuple(size(s, "a size", span) for s in sizes)
    for s in made:
        if isinstance(s, int) and s < 0:
            raise UserError(error("bad-argument", f"a size is never negative, and this is {s}", span))
    return TensorType(d, made)


def named_dim(name: str, span: Span | None) -> Dim:
    if not isinstance(name, str) or not name.isidentifier():
        raise UserError(error("bad-argument", f"{name!r} is no name for a dim", span, help="a dim's name is an identifier, such as n"))
    return named(name)


# --- operands ------------------------------------------------------------------------------------------------------------------------


def operand(x: Any) -> Any:
    """An argument where a tensor is wanted: a `Handle`, `Literal`, `Constant`, `Sized` or `Several`. Raises `Bad`."""
    if isinstance(x, Handle | Literal):
        return x
    if isinstance(x, Dim):
        return Sized(x)
    if isinstance(x, np.generic | np.ndarray):
        return constant(x)
    if isinstance(x, bool):
        return Literal("bool", x, "true" if x else "false")
    if isinstance(x, int):
        return Literal("int", x, str(x))
    if isinstance(x, float):
        return Literal("float", x, repr(x))
    if isinstance(x, Real):
        return Literal("float", float(x), repr(float(x)))  # a Fraction, a Decimal
    if isinstance(x, list | tuple):
        return _listed(x)
    if hasattr(x, "__dlpack__") or hasattr(x, "__array__") or hasattr(x, "__array_interface__"):
        try:
            return constant(np.from_dlpack(x) if hasattr(x, "__dlpack__") else np.asarray(x))
        except (TypeError, ValueError, RuntimeError, BufferError) as e:
            raise Bad("wrong-type", f"a {type(x).__name__} cannot be read as an array: {e}") from None
    if callable(x):
        raise Bad(
            "wrong-type",
            f"a tensor is wanted here, and this is the function `{getattr(x, '__name__', x)}`",
            "call it: its result is a tensor",
        )
    raise Bad("wrong-type", f"a tensor is wanted here, and this is {_words(x)}")


def _words(x: Any) -> str:
    return "None" if x is None else f"the text {x!r}" if isinstance(x, str) else f"{'an' if type(x).__name__[:1] in 'aeiouAEIOU' else 'a'} {type(x).__name__}"


def constant(x: Any) -> Constant:
    """An array or NumPy scalar as a constant of its dtype. Raises `Bad`."""
    array = np.asarray(x)
    d = from_numpy(array.dtype)
    if d is None:
        wide = np.promote_types(array.dtype, np.int64).name if array.dtype.kind in "iu" and array.dtype.itemsize < 8 else None
        near = "`astype(np.int64)`" if wide else "`astype(np.float32)`" if array.dtype == np.float16 else None
        raise Bad("unknown-dtype", f"there is no dtype for NumPy's {array.dtype}", f"convert it first: {near}" if near else None)
    return Constant(array, d)


def _listed(items: Sequence[Any], depth: int = 0) -> Any:
    """A list as NumPy reads it: of numbers alone a literal array, else `Several`."""
    if depth > 32:
        raise Bad("wrong-type", "a list nested this deep is no array: tensors have at most 32 axes")
    made = [_listed(i, depth + 1) if isinstance(i, list | tuple) else operand(i) for i in items]
    if all(isinstance(m, Literal) for m in made):
        shapes = {m.shape for m in made}
        if len(shapes) > 1:
            raise Bad("ragged-literal", f"the elements of this list have different shapes: {', '.join(map(str, sorted(shapes)))}")
        kinds = {m.kind for m in made}
        kind: LiteralKind = "float" if "float" in kinds or not kinds else "int" if "int" in kinds else "bool"
        return Literal(kind, np.array([m.value for m in made], {"bool": bool, "int": None, "float": np.float64}[kind]))
    return Several(tuple(made))


def handles_in(things: Sequence[Any]) -> list[Handle]:
    """The tensors among converted arguments."""
    return [t for t in _flat(things) if isinstance(t, Handle)]


def dims_used(things: Sequence[Any]) -> frozenset[str]:
    """The names of the dims among converted arguments."""
    found: set[str] = set()
    for t in _flat(things):
        d = t.dim if isinstance(t, Sized) else t
        if isinstance(d, Dim):
            found |= names(d)
    return frozenset(found)


def _flat(things: Sequence[Any]) -> Iterator[Any]:
    pending = list(reversed(things))
    while pending:
        t = pending.pop()
        if isinstance(t, list | tuple):
            pending.extend(reversed(t))
        elif isinstance(t, Several):
            pending.extend(reversed(t.items))
        else:
            yield t


def lower(thing: Any, cx: Surface, value: Callable[[Handle], Value]) -> Any:
    """A converted argument as a surface function takes it."""
    if isinstance(thing, Handle):
        return value(thing)
    if isinstance(thing, Constant):
        return make_constant(cx.graph, thing.array, thing.dtype)
    if isinstance(thing, Sized):
        d = cx.graph.facts.normal(thing.dim)
        return Literal("int", d, str(d)) if isinstance(d, int) else cx.graph.emit(OPS["dim"], (), (d,))
    if isinstance(thing, Several):
        return call(cx, "stack", [[lower(i, cx, value) for i in thing.items]])
    if isinstance(thing, list):
        return [lower(i, cx, value) for i in thing]
    return normal_attrs(thing, cx.graph.facts)


# --- arguments by the role of their parameter ----------------------------------------------------------------------------------------


def argument(x: Any, parameter: inspect.Parameter, span: Span | None) -> Any:
    """An argument as its parameter wants it. Raises `Bad`, `UserError`."""
    kind = role(parameter)
    if kind == "operand":
        return operand(x)
    if kind == "operand or none":
        return None if x is None else operand(x)
    if kind == "operands":
        if isinstance(x, Handle) and parameter.name != "seed":
            raise Bad(
                "bad-argument",
                f"a list of tensors is wanted as `{parameter.name}`, and this is one tensor",
                "put them into a list: `[a, b]`",
            )
        if isinstance(x, np.ndarray) and x.ndim:
            return [operand(i) for i in x]
        return [operand(i) for i in x] if isinstance(x, list | tuple) else None if x is None else operand(x)
    if kind == "dtype":
        return None if x is None else dtype_of(x, span)
    return static(x, parameter.name)


def static(x: Any, name: str) -> Any:
    """A value that must be known while compiling. Raises `Bad`."""
    if isinstance(x, Handle):
        raise Bad("not-static", f"`{name}` must be known while compiling, and this is a tensor that is computed when the program runs")
    if isinstance(x, np.bool_):
        return bool(x)
    if isinstance(x, np.integer):
        return int(x)
    if isinstance(x, np.floating) and not isinstance(x, float):
        return float(x)
    if isinstance(x, np.ndarray):
        return static(x.tolist(), name)
    if isinstance(x, list | tuple | range):
        return tuple(static(i, name) for i in x)
    return x


def axis_by_name(x: Any, shape: Sequence[DimLike] | None, name: str) -> Any:
    """An axis given as a dim, or as the text of one, by its place in the operand's shape."""
    if isinstance(x, tuple):
        return tuple(axis_by_name(i, shape, name) for i in x)
    if isinstance(x, str):
        x = named(x) if x.isidentifier() else x
    if not isinstance(x, Dim):
        return x
    places = [k for k, d in enumerate(shape or ()) if d == x]
    if len(places) != 1:
        shown = f"[{', '.join(map(str, shape or ()))}]"
        raise Bad("bad-argument", f"`{name}`: {'no axis' if not places else 'more than one axis'} of {shown} is `{x}`")
    return places[0]


def fail(code: str, message: str, span: Span | None, help: str | None = None) -> NoReturn:
    raise UserError(error(code, message, span, help=help))
