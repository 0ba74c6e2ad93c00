"""Emitting from Python: arguments converted, homes combined, and everything that is refused told at the user's line.

`surface("exp", [x], {})` calls a surface function; `build(handles, f)` emits whatever `f` does with values. Both give tensors, and both raise `UserError`
with the columns of the user's expression as the primary span and the lines where the operands were made as labels.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np

from dfg.diagnostics import Diagnostic, Label, UserError, error
from dfg.dims import Dim, DimError
from dfg.frontend import prelude
from dfg.frontend.builder.convert import DEFAULT_FLOAT, Bad, Constant, argument, axis_by_name, dims_used, handles_in, lower, operand
from dfg.frontend.builder.homes import CALL, LOCK, Conflict, Escaped, Handle, Home, gather, region_for, region_of, value_in
from dfg.frontend.builder.places import Anatomy, Place, anatomy, here, module_name, user_frame, variable
from dfg.frontend.builder.sizes import Declarations, connected, declared
from dfg.ir import InferError, Value
from dfg.ops.surface import FUNCTIONS, Literal, Surface, call, role
from dfg.source import Span
from dfg.types import TensorType

if TYPE_CHECKING:
    from dfg.frontend.builder.tensor import Tensor


_FILLED: Final = prelude  # importing it fills the table of surface functions


class DfgWarning(UserWarning):
    """What dfg warns of: a conversion that may lose digits, a derivative that is zero everywhere."""


def tensor(home: Home, value: Value, place: Span | None) -> Tensor:
    from dfg.frontend.builder.tensor import Tensor

    if place is not None:
        home.made.setdefault(value.index, place)
    return Tensor(home, value.index, place)


def wrap(home: Home, made: Any, place: Place | None) -> Any:
    """What an emission gave, as the user gets it: tensors, lists and tuples of them, numbers."""
    if isinstance(made, Value):
        return tensor(home, made, place)
    if isinstance(made, Literal):
        if np.ndim(made.value):
            raise AssertionError("literal arrays are settled before")
        return made.value.item() if isinstance(made.value, np.generic | np.ndarray) else made.value
    if isinstance(made, list | tuple):
        return type(made)(wrap(home, m, place.of(k) if place is not None else None) for k, m in enumerate(made))
    return made


def build(
    handles: Sequence[Handle],
    f: Callable[[Surface, Callable[[Handle], Value]], Any],
    *,
    names: frozenset[str] = frozenset(),
    place: Place | None = None,
    call: Sequence[Any] = (),
    named: Mapping[str, Any] | None = None,
    within: Handle | None = None,
) -> Any:
    """Emit what `f(surface, value_of)` does, in the home of some tensors (combined). `names`: dims that are used beside theirs. `call` and `named`: the
    arguments as the user gave them, for labels. `within`: emit in the region of this tensor, if all others are visible there."""
    place = here() if place is None else place
    with LOCK:
        try:
            region = region_for(handles) if within is None else region_of(within, handles)
            declarations: Declarations = ()
            if names and (known := declared(module_name())):
                declarations = connected(known.values(), names)
            home = gather(handles, region, declarations)
        except Conflict as e:
            raise _at(e.error, place) from None
        except Escaped as e:
            raise UserError(escaped(e.handle, place)) from None
        home.used |= names
        graph = home.graph
        before = (graph.cursor, graph.call)
        graph.cursor, graph.call = place, CALL.get()
        cx = Surface(graph, DEFAULT_FLOAT.get(), lambda code, message: warn(code, message, place))
        try:
            made = f(cx, lambda h: value_in(h, home))
            if isinstance(made, Literal) and np.ndim(made.value):
                made = cx.value(made)
        except InferError as e:
            raise UserError(refusal(e, place, call, named or {})) from None
        except DimError as e:
            raise UserError(error("bad-argument", f"a size that cannot be handled: {e}", place)) from None
        except Escaped as e:
            raise UserError(escaped(e.handle, place)) from None
        finally:
            graph.cursor, graph.call = before
            home.stamp()
        return wrap(home, made, place)


def _at(e: UserError, place: Span | None) -> UserError:
    """An error about declarations, with the place where they met."""
    d = e.diagnostics[0]
    if place is None:
        return e
    if d.span is None:
        return UserError(replace(d, span=place))
    return UserError(d if d.span == place else d.with_label(place, "here the two are combined"))


def surface(name: str, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None, place: Place | None = None) -> Any:
    """Call a surface function with Python arguments."""
    place = here() if place is None else place
    kwargs = dict(kwargs or {})
    if name not in FUNCTIONS:
        refuse("unknown-op", f"there is no function `{name}`", place=place)
    signature = FUNCTIONS[name].signature
    converted: list[Any] = []
    named: dict[str, Any] = {}
    positional = [p for p in signature.parameters.values() if p.kind is not p.KEYWORD_ONLY]
    for k, x in enumerate(args):
        p = positional[min(k, len(positional) - 1)] if positional else None
        converted.append(_argument(x, p, k, place))
    for key, x in kwargs.items():
        named[key] = _argument(x, signature.parameters.get(key), key, place)
    # Axes may be named by a dim of the first operand
    for p_name, p in signature.parameters.items():
        if role(p) in ("axis", "axes"):
            _name_axes(name, p_name, list(signature.parameters).index(p_name), converted, named, args, kwargs, place)
    everything = [*converted, *named.values()]

    def emit(cx: Surface, value: Callable[[Handle], Value]) -> Any:
        return call(cx, name, [lower(x, cx, value) for x in converted], {k: lower(x, cx, value) for k, x in named.items()})

    made = build(
        handles_in(everything),
        emit,
        names=dims_used(everything),
        place=place,
        call=args,
        named={**_by_name(signature, args), **kwargs},
    )
    return RESULTS[name](*made) if name in RESULTS and isinstance(made, tuple) else made


RESULTS: Final[dict[str, Callable[..., Any]]] = {
    name: namedtuple(f"{name}_result", fields)
    for name, fields in {
        "eigh": "eigenvalues eigenvectors",
        "qr": "Q R",
        "slogdet": "sign logabsdet",
        "svd": "U S Vh",
    }.items()
}
"""The results of functions that give several, with the names that the array API standard gives them."""


def _argument(x: Any, p: inspect.Parameter | None, where: int | str, place: Place | None) -> Any:
    try:
        return x if p is None else argument(x, p, place)
    except Bad as e:
        raise UserError(bad(e, x, where, place)) from None


def _by_name(signature: inspect.Signature, args: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(signature.parameters, args, strict=False))


def _name_axes(
    name: str,
    axis: str,
    position: int,
    converted: list[Any],
    named: dict[str, Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    place: Place | None,
) -> None:
    given = named.get(axis) if axis in named else converted[position] if position < len(converted) else None
    if not isinstance(given, Dim | str) and not (isinstance(given, tuple) and any(isinstance(g, Dim | str) for g in given)):
        return
    first = converted[0] if converted else next(iter(named.values()))
    shape = first.value.shape if isinstance(first, Handle) else None
    try:
        found = axis_by_name(given, shape, name)
    except Bad as e:
        raise UserError(bad(e, given, axis if axis in named else position, place)) from None
    if axis in named:
        named[axis] = found
    else:
        converted[position] = found


# --- telling -------------------------------------------------------------------------------------------------------------------------


def bad(e: Bad, x: Any, where: int | str, place: Place | None) -> Diagnostic:
    """An argument that cannot be used, told at the argument."""
    parts = anatomy(place)
    span = argument_span(parts, where) or place
    labels = [label for label in [origin(x, "")] if label is not None] if isinstance(x, Handle) else []
    return error(e.code, e.message, span, labels=[label for label in labels if label.span != span], help=e.help)


def argument_span(parts: Anatomy, where: int | str) -> Span | None:
    if isinstance(where, str):
        return parts.keywords.get(where)
    return parts.operands[where] if where < len(parts.operands) else None


def label_of(h: Handle) -> str | None:
    """What the user calls a tensor: the name it is declared under, or the variable that it was first bound to."""
    home, index = h._resolve()
    v = home.graph.values[index]
    if v.op.leaf and v.op.name in ("input", "param", "state"):
        return str(v.attrs[0])
    return variable(h._place) or variable(home.made.get(index))


def origin(x: Any, words: str) -> Label | None:
    """A label for an operand, at the line where it was made."""
    if not isinstance(x, Handle):
        return None
    home, index = x._resolve()
    span = x._place or home.made.get(index)
    if span is None or (isinstance(span, Place) and not span.known):
        return None
    name = label_of(x)
    extra = "" if not words or words.startswith("this is") or words == "this one" else f": {words}"
    return Label(span, f"{f'`{name}`' if name else 'this'} is {home.graph.values[index].type}{extra}")


def refusal(e: InferError, place: Place | None, args: Sequence[Any], named: Mapping[str, Any]) -> Diagnostic:
    """An `InferError` as a diagnostic: the operator or argument at fault is marked, and where its operands come from is labelled."""
    parts = anatomy(place)
    flat = list(args[0]) if len(args) and isinstance(args[0], list | tuple) else list(args)
    shapes = e.code in ("shape-mismatch", "dim-unproved")
    primary: Span | None = place
    labels: list[Label] = []
    for where, words in e.marks:
        x = named.get(where) if isinstance(where, str) else flat[where] if where < len(flat) else None
        span = argument_span(parts, where)
        if isinstance(where, str) and span is None and where in named:
            # A positional argument that the rule calls by its name
            k = next((k for k, a in enumerate(args) if a is named[where]), None)
            span = None if k is None else argument_span(parts, k)
        label = origin(x, words)
        if label is None and span is not None and x is not None:
            label = Label(
                span, words if words == "this one" or ":" in words or words.startswith("this") else f"this is {_kind(x)}: {words}"
            )
        if words == "this one" and span is not None:
            primary = span
            continue
        if label is not None and label not in labels:
            labels.append(label)
    sign = parts.operator.text if parts.operator is not None and len(parts.operands) == 2 else "f"
    if shapes and place is not None and e.message.startswith("cannot broadcast") and not sign[-1].isalnum() and sign[-1] != ")":
        primary = parts.operator
        labels.append(Label(place, "these two axes are aligned, and neither is 1"))
    help = python_words(e.help)
    if e.dim_fact is not None:
        help = help or f"if this always holds, say so before the inputs: `{fact_call(e.dim_fact)}`; it is verified when sizes arrive"
    return located(
        error(
            e.code, python_words(e.message) or "", primary, labels=[x for x in labels if x.span != primary or len(labels) == 1], help=help
        )
    )


def located(d: Diagnostic) -> Diagnostic:
    """A diagnostic whose text is not to be had says at which line it is."""
    if isinstance(d.span, Place) and not d.span.known:
        return replace(d, span=None, notes=(*d.notes, f"at line {d.span.line} of {d.span.source.name}, whose text is not available"))
    return d


def _kind(x: Any) -> str:
    if isinstance(x, Handle):
        return str(x.value.type)
    try:
        made = operand(x)
    except Bad:
        return f"a {type(x).__name__}"
    return (
        str(TensorType(made.dtype, made.array.shape)) if isinstance(made, Constant) else f"the number {x}" if np.ndim(x) == 0 else "a list"
    )


def fact_call(line: str) -> str:
    """A `dim` line as a call of the builder."""
    match = re.fullmatch(r"dim (.+?) (==|>=|<=) (.+)", line)
    if match is None:
        return line
    left, op, right = match.groups()
    if not left.isidentifier() and right.isidentifier() and op == "==":
        left, right = right, left
    word = {"==": "equals", ">=": "at_least", "<=": "at_most"}[op]
    return f'dfg.dim("{left}", {word}={right})' if right.isdigit() else f'dfg.dim("{left}", {word}="{right}")'


_WORDS: Final[tuple[tuple[re.Pattern[str], Any], ...]] = (
    (re.compile(r"`(bool|u8|i32|i64|f16|bf16|f32|f64)\(…\)`"), r'`.astype("\1")`'),
    (re.compile(r"`and`, `or`, `not`"), "`&`, `|`, `~`"),
    (re.compile(r"`not x`"), "`~x`"),
    (re.compile(r"\bnone\b"), "None"),
    (re.compile(r"`(\w+)` takes bool"), lambda m: f"`{ {'and': '&', 'or': '|', 'not': '~'}.get(m[1], m[1]) }` takes bool"),
)


def python_words(text: str | None) -> str | None:
    """A message of the language in the words of Python."""
    if text is None:
        return None
    for pattern, new in _WORDS:
        text = pattern.sub(new, text)
    return text


def escaped(h: Handle, place: Span | None) -> Diagnostic:
    label = origin(h, "")
    return error(
        "escaped-value",
        "a value of a loop's body is used outside of it",
        place,
        labels=[Label(label.span, "it is made here, inside the body")] if label is not None else [],
        help="return it from the body: as the next carry, or as what is stacked",
    )


def refuse(code: str, message: str, *, help: str | None = None, about: Any = None, place: Span | None = None, words: str = "") -> NoReturn:
    """Raise a `UserError` at the user's line, with the origin of a tensor as a label."""
    at = here() if place is None else place
    label = origin(about, words)
    labels = [label] if label is not None and label.span != at else []
    raise UserError(located(error(code, message, at, labels=labels, help=help)))


def warn(code: str, message: str, place: Place | None) -> None:
    """Warn at the user's line."""
    frame = user_frame()
    text = f"{message} [{code}]"
    if frame is None:
        warnings.warn(text, DfgWarning, stacklevel=2)
    else:
        warnings.warn_explicit(text, DfgWarning, frame.f_code.co_filename, frame.f_lineno, frame.f_globals.get("__name__"))
