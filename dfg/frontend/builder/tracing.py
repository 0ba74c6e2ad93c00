"""`@function`: a program traced from Python that was written for NumPy or the array API.

@function("x: f64[n], w: f64")
def loss(x, w):
    return np.sum(np.exp(w * x))

loss(xt, wt)              # with tensors: its body, in their program; the parameters are targets of their own
loss.trace().graph        # the program of its own, traced once for a signature
loss(np.ones(3), 0.5)     # with arrays: compiled and run, once a layer above says how (`RUN`)
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from dfg.diagnostics import Label, UserError, error
from dfg.dims import Dim, DimError, parse_dim
from dfg.frontend.builder.assemble import Program, program
from dfg.frontend.builder.calculus import pin
from dfg.frontend.builder.convert import Bad, operand, split_top, tensor_type
from dfg.frontend.builder.declare import asarray
from dfg.frontend.builder.declare import input as declare_input
from dfg.frontend.builder.emit import bad, origin
from dfg.frontend.builder.homes import CALL, REGION, Handle
from dfg.frontend.builder.places import Place, here, raised_at
from dfg.frontend.builder.tensor import Tensor
from dfg.frontend.builder.trees import Tree, flatten, unflatten
from dfg.source import Span
from dfg.types import DType, TensorType

RUN: list[Callable[[Trace, dict[str, Any]], Mapping[str, Any]]] = []
"""What compiles and runs a trace on arrays; set by the layer that knows backends."""


class Trace:
    """What a function gives on its declared inputs: tensors of a program."""

    __slots__ = ("_program", "compiled", "inputs", "name", "outputs", "tree")

    def __init__(self, name: str, inputs: dict[str, Tensor], outputs: dict[str, Any], tree: Tree) -> None:
        self.name = name
        self.inputs = inputs
        self.outputs = outputs
        self.tree = tree
        self._program: Program | None = None
        self.compiled: Any = None
        """What the layer above keeps to run it again."""

    @property
    def program(self) -> Program:
        """The program whose outputs are the function's results."""
        if self._program is None:
            self._program = program(self.outputs)
        return self._program

    @property
    def graph(self) -> Any:
        return self.program.graph

    def results(self, found: Mapping[str, Any]) -> Any:
        """Arrays by output name, in the structure that the function returns."""
        return unflatten([found[name] for name in self.outputs], self.tree)


class Function:
    """A Python function that is traced. See the module."""

    def __init__(self, f: Callable[..., Any], types: dict[str, TensorType | None], place: Place | None) -> None:
        functools.update_wrapper(self, f)
        self.f = f
        self.types = types
        self.place = place
        self.signature = inspect.signature(f)
        self._traces: dict[Any, Trace] = {}
        unknown = [n for n in types if n not in self.signature.parameters]
        if unknown and not any(p.kind is p.VAR_KEYWORD for p in self.signature.parameters.values()):
            raise UserError(
                error(
                    "unknown-name",
                    f"the signature declares `{unknown[0]}`, and `{f.__name__}` has no such parameter",
                    place,
                    help=f"its parameters are {', '.join(f'`{p}`' for p in self.signature.parameters)}",
                )
            )

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __repr__(self) -> str:
        return f"<dfg function {self.f.__name__}({', '.join(f'{k}: {t}' if t is not None else k for k, t in self.types.items())})>"

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any], place: Place | None) -> inspect.BoundArguments:
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as e:
            code = "missing-argument" if "missing" in str(e) else "surplus-argument"
            raise UserError(
                error(code, f"`{self.f.__name__}`: {e}", place, help=f"it is called as {self.f.__name__}{self.signature}")
            ) from None
        bound.apply_defaults()
        return bound

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        place = here()
        bound = self._bind(args, kwargs, place)
        leaves, _ = flatten(list(bound.arguments.values()))
        if any(isinstance(x, Handle) for x in leaves) or any(
            isinstance(x, Handle) for v in bound.arguments.values() for x in flatten(v)[0]
        ):
            return self._inline(bound, place)
        arrays: dict[str, Any] = {}
        for name, x in bound.arguments.items():
            if name in self.types and (t := self.types[name]) is not None:
                arrays[name] = np.asarray(x, t.dtype.np) if not hasattr(x, "dtype") else np.asarray(x)
            elif self._traced(name, x):
                arrays[name] = np.asarray(x)
        trace = self._trace(bound, arrays, place)
        if not RUN:
            raise UserError(
                error(
                    "missing-backend",
                    f"`{self.f.__name__}` is given arrays, and nothing here runs programs",
                    place,
                    help="import dfg, which does",
                )
            )
        return trace.results(RUN[-1](trace, arrays))

    def _traced(self, name: str, x: Any) -> bool:
        """Whether an argument is a tensor of the traced program: declared, or without any declaration an array or a float."""
        return name in self.types if self.types else isinstance(x, np.ndarray | np.generic | float) or hasattr(x, "__dlpack__")

    def trace(self, *args: Any, **kwargs: Any) -> Trace:
        """The function on inputs of its declared types (or of the types of given arrays), once for each signature and each set of other arguments."""
        place = here()
        given = dict(kwargs)
        if not args:
            given = {**{n: None for n in self.types if n not in kwargs}, **kwargs}
        bound = self._bind(args, given, place)
        arrays = {n: np.asarray(x) for n, x in bound.arguments.items() if x is not None and self._traced(n, x)}
        return self._trace(bound, arrays, place)

    @property
    def graph(self) -> Any:
        """The graph of the program that the function is on its declared inputs."""
        return self.trace().graph

    def _trace(self, bound: inspect.BoundArguments, arrays: dict[str, np.ndarray], place: Place | None) -> Trace:
        types: dict[str, TensorType] = {}
        for name in bound.arguments:
            t = self.types.get(name)
            if t is not None:
                types[name] = t
            elif name in arrays:
                a = arrays[name]
                types[name] = tensor_type(a.dtype, place, a.shape)
        rest = {n: x for n, x in bound.arguments.items() if n not in types}
        key = (tuple(types.items()), tuple((n, _frozen(x)) for n, x in rest.items()))
        found = self._traces.get(key)
        if found is not None:
            return found
        token, path = REGION.set(None), CALL.set("")
        try:
            inputs = {n: declare_input(n, t) for n, t in types.items()}
            result = self._call({**rest, **inputs}, bound)
        finally:
            REGION.reset(token)
            CALL.reset(path)
        outputs, tree = self._outputs(result)
        found = self._traces[key] = Trace(self.f.__name__, inputs, outputs, tree)
        return found

    def _call(self, arguments: Mapping[str, Any], bound: inspect.BoundArguments) -> Any:
        fresh = inspect.BoundArguments(bound.signature, OrderedDict(bound.arguments))
        fresh.arguments.update({n: arguments[n] for n in bound.arguments})
        try:
            return self.f(*fresh.args, **fresh.kwargs)
        except TypeError as e:
            if "'Dim(" not in str(e):
                raise
            raise UserError(
                error(
                    "not-static",
                    "NumPy makes arrays of sizes that are numbers, and this size is known when data arrives",
                    raised_at(e),
                    help="`dfg.ones(x.shape[0])` takes such a size, and so does every function of `dfg`; `np.ones_like(x)` needs none",
                )
            ) from None

    def _outputs(self, result: Any) -> tuple[dict[str, Any], Tree]:
        leaves, tree = flatten(result)
        if not leaves:
            raise UserError(
                error(
                    "missing-result",
                    f"`{self.f.__name__}` returns nothing",
                    self.place,
                    help="return a tensor, a tuple or a dictionary of them",
                )
            )
        title = self.f.__name__ if self.f.__name__.isidentifier() else "result"
        if (
            tree.kind == "dict"
            and all(p.kind == "leaf" for p in tree.parts)
            and all(isinstance(k, str) and k.isidentifier() for k in tree.keys)
        ):
            return dict(zip(tree.keys, leaves, strict=True)), tree
        return {title: leaves[0]} if len(leaves) == 1 else {f"{title}_{k + 1}": x for k, x in enumerate(leaves)}, tree

    def _inline(self, bound: inspect.BoundArguments, place: Place | None) -> Any:
        """The body in the program of the given tensors. Each parameter is a target of its own, whatever was passed."""
        sizes: dict[str, Any] = {}
        arguments: dict[str, Any] = {}
        for k, (name, x) in enumerate(bound.arguments.items()):
            t = self.types.get(name)
            if t is not None:
                x = self._checked(name, x, t, sizes, k, place)
            if isinstance(x, Tensor) and x.dtype.floating and x.value.op.name != "pin" and (t is not None or not self.types):
                x = pin(x)
            arguments[name] = x
        outer = CALL.get()
        title = f"{self.f.__name__}#{next(_CALLS)}"  # numbered anew when the program is put together
        token = CALL.set(f"{outer}.{title}" if outer else title)
        try:
            return self._call(arguments, bound)
        finally:
            CALL.reset(token)

    def _checked(self, name: str, x: Any, t: TensorType, sizes: dict[str, Any], position: int, place: Place | None) -> Any:
        """An argument as a tensor that fits the declared type; dims of the signature stand for the sizes that they meet in this call."""
        try:
            given = operand(x)
        except Bad as e:
            raise UserError(bad(e, x, position, place)) from None
        v = given if isinstance(given, Tensor) else asarray(x, t.dtype if not hasattr(x, "dtype") else None)
        have = v.type
        why = None
        if have.dtype is not t.dtype:
            why = f"it is {have.dtype}"
        elif len(have.shape) != len(t.shape):
            why = f"it has {len(have.shape)} axes"
        else:
            for axis, (wanted, size) in enumerate(zip(t.shape, have.shape, strict=True)):
                if isinstance(wanted, Dim) and str(wanted).isidentifier():
                    known = sizes.setdefault(str(wanted), size)
                elif isinstance(wanted, Dim):
                    try:
                        known = _evaluated(wanted, sizes)
                    except KeyError:
                        continue
                else:
                    known = wanted
                if known != size and v.value.graph.equal_sizes(known, size) is not True:
                    why = f"axis {axis} is {size}" + (f", and `{wanted}` is {known}" if isinstance(wanted, Dim) else "")
                    break
        if why is None:
            return v
        label = origin(v, "")
        labels = [label] if label is not None else []
        if isinstance(self.place, Span):
            labels.append(Label(self.place, f"`{name}` is declared as {t} here"))
        code = "wrong-dtype" if have.dtype is not t.dtype else "shape-mismatch"
        raise UserError(
            error(
                code,
                f"`{self.f.__name__}` takes `{name}` as {t}, and {why}",
                place,
                labels=labels,
                help=f'convert it: `.astype("{t.dtype}")`' if code == "wrong-dtype" else None,
            )
        )


_CALLS: Final = itertools.count(1)


def _evaluated(d: Dim, sizes: Mapping[str, Any]) -> Any:
    from dfg.dims import names, substitute

    missing = names(d) - set(sizes)
    if missing:
        raise KeyError(*missing)
    return substitute(d, sizes)


def _frozen(x: Any) -> Any:
    """Something to tell arguments of a trace apart by."""
    try:
        hash(x)
    except TypeError:
        return id(x)
    return (type(x), x)


def parse_signature(text: str, place: Place | None) -> dict[str, TensorType | None]:
    """`"x: f64[n], w: f64"`: names with their types."""
    types: dict[str, TensorType | None] = {}
    for part in split_top(text):
        if not part.strip():
            continue
        name, colon, rest = part.partition(":")
        name = name.strip()
        if not colon or not name.isidentifier():
            raise UserError(
                error(
                    "syntax",
                    f'"{part.strip()}" is no declaration of a parameter',
                    place,
                    help='write a name and a type: "x: f64[n], w: f64"',
                )
            )
        if name in types:
            raise UserError(error("duplicate-name", f"the signature declares `{name}` twice", place))
        types[name] = tensor_type(rest, place)
    return types


def function(signature: Any = None, /) -> Any:
    """Trace a Python function: `@function("x: f64[n], w: f64")`, or `@function` with the types as its annotations, or without any types at all: then it is
    traced for the types of the arrays that it is called with."""
    place = here()
    if isinstance(signature, str):
        types = parse_signature(signature, place)
        return lambda f: Function(f, types, place)
    if callable(signature):
        found: dict[str, TensorType | None] = {}
        for name, p in inspect.signature(signature).parameters.items():
            note = p.annotation
            if isinstance(note, TensorType | DType) or (isinstance(note, str) and _is_type(note)):
                found[name] = tensor_type(note.strip("'\" ") if isinstance(note, str) else note, place)
        return Function(signature, found, place)
    if signature is None:
        return function
    raise UserError(error("bad-argument", f"a signature is a text, not {signature!r}", place, help='`@dfg.function("x: f64[n], w: f64")`'))


def _is_type(note: str) -> bool:
    """Whether an annotation is a type of the language."""
    name, _, rest = note.strip("'\" ").partition("[")
    try:
        return name in ("bool", "u8", "i32", "i64", "f32", "f64") and all(
            parse_dim(d) is not None for d in split_top(rest.rstrip("] ")) if d.strip()
        )
    except DimError:
        return False
