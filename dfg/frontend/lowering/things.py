"""What a name can stand for while a program is lowered.

A *thing* is a graph value; or static: a `Literal` (a kind, no dtype yet), a `Known` (a dtype and a number, array or dim that is known while compiling); or
it exists only while compiling: a list in brackets, a tuple, a record, a function, a module, a dtype, a word, `none`.

Records are flattened to leaves with dotted paths and rebuilt from them; nothing here recurses, since a program decides how deep they nest.

>>> r = Record({"w": 1, "in": Record({"b": 2})})
>>> [(".".join(p), x) for p, x in leaves(r)]
[('w', 1), ('in.b', 2)]
>>> rebuild(r, [3, 4]).fields["in"].fields
{'b': 4}
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from dfg.dims import Dim
from dfg.frontend import syntax as s
from dfg.ir import Value
from dfg.ops.surface import Literal
from dfg.types import BOOL, I64, DType, from_numpy

if TYPE_CHECKING:
    from dfg.frontend.lowering.scopes import Scope

Thing: TypeAlias = Any
"""`Value | Literal | Known | ListThing | TupleThing | Record | Closure | Builtin | Module | DType | str | None`."""


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A static value with a dtype: a number, an array, or a size. `node` is the graph value that computes it, where there is one."""

    value: Any
    dtype: DType
    text: str | None = None
    node: Value | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return () if isinstance(self.value, Dim) else np.shape(self.value)


@dataclass(frozen=True, slots=True, eq=False)
class ListThing:
    """`[a, b]`: an array where a tensor is wanted, a list where an argument takes one. `nodes` are where its elements were written."""

    items: tuple[Thing, ...]
    nodes: tuple[s.Node, ...] = ()


class Shape(ListThing):
    """`x.shape`: a list that compares as a whole."""


@dataclass(frozen=True, slots=True, eq=False)
class TupleThing:
    items: tuple[Thing, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    fields: dict[str, Thing]
    count: int = 0
    """The number of its leaves, where it was counted."""


@dataclass(frozen=True, slots=True, eq=False)
class Closure:
    """A function of a file: it sees what its file bound above it (`limit`)."""

    node: s.Def
    scope: Scope
    limit: int


@dataclass(frozen=True, slots=True, eq=False)
class Builtin:
    """A surface function, or a form of the language such as `grad`."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    name: str
    scope: Scope = field(repr=False)


class _Poison:
    def __repr__(self) -> str:
        return "POISON"


POISON: Final = _Poison()
"""What a name stands for after its statement failed: whoever uses it fails in silence."""


def known(value: Any) -> Known:
    """A static value of the dtype that a Python number, a dim or a NumPy value has."""
    if isinstance(value, bool | np.bool_):
        return Known(bool(value), BOOL)
    if isinstance(value, int | Dim):
        return Known(value, I64)
    array = np.asarray(value)
    dtype = from_numpy(array.dtype)
    assert dtype is not None
    return Known(array.item() if array.ndim == 0 else array, dtype)


def is_static(thing: Thing) -> bool:
    return isinstance(thing, Literal | Known)


def is_tensor(thing: Thing) -> bool:
    """Whether a thing is a tensor or becomes one where a tensor is wanted."""
    return isinstance(thing, Value | Literal | Known | ListThing)


def leaves(thing: Thing) -> list[tuple[tuple[str, ...], Thing]]:
    """The leaves of a record with their paths, in order; any other thing is its own leaf, with the empty path."""
    if not isinstance(thing, Record):
        return [((), thing)]
    found: list[tuple[tuple[str, ...], Thing]] = []
    stack: list[tuple[tuple[str, ...], Thing]] = [((), thing)]
    while stack:
        path, top = stack.pop()
        if isinstance(top, Record):
            stack.extend([((*path, name), value) for name, value in reversed(top.fields.items())])
        else:
            found.append((path, top))
    return found


def build(pairs: Sequence[tuple[tuple[str, ...], Thing]]) -> Thing:
    """The record with these leaves; the one leaf itself if its path is empty."""
    if len(pairs) == 1 and not pairs[0][0]:
        return pairs[0][1]
    root: dict[str, Thing] = {}
    for path, value in pairs:
        fields = root
        for name in path[:-1]:
            inner = fields.get(name)
            if not isinstance(inner, Record):
                inner = fields[name] = Record({})
            fields = inner.fields
        fields[path[-1]] = value
    return Record(root)


def rebuild(like: Thing, values: Sequence[Thing]) -> Thing:
    """A thing of the structure of `like` with other leaves."""
    return build([(path, value) for (path, _), value in zip(leaves(like), values, strict=True)])


def map_leaves(f: Callable[[Thing], Thing], thing: Thing) -> Thing:
    return rebuild(thing, [f(leaf) for _, leaf in leaves(thing)]) if isinstance(thing, Record) else f(thing)


def structure(thing: Thing) -> tuple[tuple[str, ...], ...]:
    """The paths of the leaves: equal for equal structures, whatever the order of fields."""
    return tuple(sorted(path for path, _ in leaves(thing)))


def describe(thing: Thing) -> str:
    """What a thing is, in a few words."""
    if isinstance(thing, Value):
        return str(thing.type)
    if isinstance(thing, Known):
        return f"{thing.dtype}[{', '.join(map(str, thing.shape))}]" if thing.shape else str(thing.dtype)
    if isinstance(thing, Literal):
        if thing.shape:
            return f"an array of {len(thing.value)} numbers" if len(thing.shape) == 1 else f"an array of shape {list(thing.shape)}"
        return {"bool": "a truth value", "int": "a whole number", "float": "a number"}[thing.kind]
    if thing is None:
        return "`none`"
    if isinstance(thing, Record):
        paths = [f"`{'.'.join(path)}`" for path, _ in leaves(thing)]
        return f"a record of {', '.join(paths[:6])}{', …' if len(paths) > 6 else ''}"
    names = {ListThing: "a list", Shape: "a shape", TupleThing: "a tuple", Closure: "a function", Builtin: "a function"}
    names.update({Module: "a module", DType: "a dtype", str: "a text"})
    return names.get(type(thing), "something else")
