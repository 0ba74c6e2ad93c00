"""`Tensor`: a handle of a graph value with the operators of Python and the protocols of NumPy.

Operators promote and broadcast as the language does, through the same surface functions. What needs a number while the program is only being described
(`bool`, `len`, iteration, `float`, `np.asarray`) is an error that says what to write instead.

    u = w * x                       # the same value as dfg.multiply(w, x), np.multiply(w, x), xp.multiply(w, x)
    x.at[1:3].set(0)                # a new tensor; x[1:3] = 0 is an error that says so
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np

from dfg.diagnostics import Fix, Label, UserError, error
from dfg.dims import Dim, DimLike
from dfg.frontend.builder.convert import Bad, Constant, Sized, dims_used, handles_in, lower, operand, static
from dfg.frontend.builder.emit import bad, build, located, refuse, surface
from dfg.frontend.builder.homes import Handle
from dfg.frontend.builder.places import here, span_of, statement
from dfg.ir import InferError, Value
from dfg.ops import indexing
from dfg.ops.surface import FUNCTIONS, Literal, Surface
from dfg.types import I64, DType, TensorType

if TYPE_CHECKING:
    from types import ModuleType

RENDER: list[Callable[[Tensor], dict[str, str]]] = []
"""What draws a tensor in a notebook, by MIME type; set by the layer that knows pictures."""


class MissingAttribute(UserError, AttributeError):
    """An attribute that a tensor does not have: a `UserError` that `hasattr` understands."""


class Tensor(Handle):
    """A tensor of a program under construction. Made by `dfg.input`, `dfg.param` and by computing with these."""

    __slots__ = ()
    __array_priority__ = 1000.0

    # --- what it is ------------------------------------------------------------------------------------------------------------

    @property
    def type(self) -> TensorType:
        return self.value.type  # type: ignore[no-any-return]

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def shape(self) -> tuple[DimLike, ...]:
        """The sizes: integers, and dims where they are known only when the program runs."""
        return self.type.shape

    @property
    def ndim(self) -> int:
        return self.type.rank

    @property
    def size(self) -> DimLike:
        """The number of elements."""
        return self.type.size

    @property
    def device(self) -> str:
        """Where it will be is the backend's business."""
        return "dfg"

    def to_device(self, device: str, /, *, stream: Any = None) -> Tensor:
        """The tensor itself: a program is moved to a device when it is compiled."""
        return self

    @property
    def T(self) -> Tensor:
        """The transpose of a matrix."""
        if self.ndim != 2:
            refuse(
                "rank-mismatch",
                f"`.T` is of a matrix, and this is {self.type}",
                about=self,
                help="`.mT` exchanges the last two axes, `dfg.permute_dims(x, axes)` any"
                if self.ndim > 2
                else "a vector has one axis: there is nothing to exchange",
            )
        return surface("matrix_transpose", [self])  # type: ignore[no-any-return]

    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged."""
        return surface("matrix_transpose", [self])  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        from dfg.frontend.builder.emit import label_of

        name = label_of(self)
        v = self.value
        return f"<Tensor {f'{name}: ' if name else ''}{v.type}{'' if v.op.leaf else f' = {v.op.name}(…)'}>"

    def __hash__(self) -> int:
        return id(self) >> 4

    def __copy__(self) -> Tensor:
        return self

    def __deepcopy__(self, memo: Any) -> Tensor:
        return self

    def __reduce__(self) -> NoReturn:
        refuse("wrong-type", "a tensor under construction cannot be pickled", help="save the program as text: `str(program)`")

    # --- attributes and methods by NumPy's names ---------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            if name in METHODS:
                return METHODS[name](self)
            if hasattr(np.ndarray, name) and name in FUNCTIONS:
                return _Method(self, name)
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        from dfg.diagnostics.codes import nearest

        known = [n for n in FUNCTIONS if hasattr(np.ndarray, n)] + ["shape", "dtype", "ndim", "size", "T", "mT", "at", *METHODS]
        near = nearest(name, known)
        help = f"write `dfg.{name}(x)`" if name in FUNCTIONS else f"did you mean `.{near}`?" if near else None
        raise MissingAttribute(located(error("unknown-field", f"a tensor has no `.{name}`", here(), help=help)))

    @property
    def at(self) -> At:
        """Functional update: `x.at[1:3].set(0)`, `x.at[idx].add(v)`."""
        return At(self)

    # --- arithmetic ----------------------------------------------------------------------------------------------------------------

    def __neg__(self) -> Any:
        return surface("negative", [self])

    def __pos__(self) -> Tensor:
        return self

    def __invert__(self) -> Any:
        return surface("bitwise_invert" if self.dtype.kind == "int" and "bitwise_invert" in FUNCTIONS else "logical_not", [self])

    def __abs__(self) -> Any:
        return surface("abs", [self])

    def __round__(self, digits: int | None = None) -> Any:
        if digits:
            refuse(
                "bad-argument",
                "`round` of a tensor rounds to whole numbers",
                help=f"scale it: `round(x * 10 ** {digits}) / 10 ** {digits}`",
            )
        return surface("round", [self])

    def __divmod__(self, other: Any) -> Any:
        return surface("floor_divide", [self, other]), surface("remainder", [self, other])

    def __eq__(self, other: object) -> Any:
        return _compare("equal", self, other)

    def __ne__(self, other: object) -> Any:
        return _compare("not_equal", self, other)

    def __getitem__(self, key: Any) -> Tensor:
        return get(self, key)

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        assigned(self)

    def __delitem__(self, key: Any) -> NoReturn:
        refuse(
            "pythonic-assignment",
            "a tensor does not change: no element can be deleted",
            about=self,
            help="join the parts that stay: `dfg.concat([x[:i], x[i + 1:]])`",
        )

    # --- what needs numbers ----------------------------------------------------------------------------------------------------------

    def __bool__(self) -> NoReturn:
        refuse(
            "not-static",
            "the truth of a tensor is not known while the program is described",
            about=self,
            help="choose element by element: `dfg.where(p, a, b)`; combine conditions with `&`, `|`, `~` instead of `and`, `or`, `not`, and write "
            "`(a < x) & (x < b)` for a chain",
        )

    def __len__(self) -> NoReturn:
        n = self.shape[0] if self.ndim else None
        refuse(
            "not-static",
            "a tensor under construction has no `len`" if n is not None else "a scalar has no length",
            about=self,
            help=f"its first size is `x.shape[0]`, here {n}" if n is not None else None,
        )

    def __iter__(self) -> NoReturn:
        refuse(
            "not-static",
            "a tensor cannot be iterated over, or unpacked, while the program is described",
            about=self,
            help="index it (`x[0]`, `x[1]`), compute on whole axes, or go through its leading axis with `dfg.scan(f, init, x)`",
        )

    def __contains__(self, item: Any) -> NoReturn:
        refuse(
            "not-static",
            "whether a tensor contains a number is not known while the program is described",
            about=self,
            help="`dfg.any(x == value)` computes it",
        )

    def _number(self, what: str) -> NoReturn:
        refuse(
            "not-static",
            f"{what} of a tensor is not known while the program is described",
            about=self,
            help='compile and run the program: `fn = dfg.compile({"y": y})`, then `fn(x=…)["y"]`',
        )

    def __float__(self) -> NoReturn:
        self._number("the number")

    def __int__(self) -> NoReturn:
        self._number("the number")

    def __index__(self) -> NoReturn:
        self._number("the number")

    def __complex__(self) -> NoReturn:
        self._number("the number")

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        refuse(
            "not-static",
            "the elements of a tensor are not known while the program is described, so NumPy cannot make an array of it",
            about=self,
            help='join tensors with `dfg.stack([a, b])`; for numbers, compile and run: `fn = dfg.compile({"y": y})`, then `fn(x=…)["y"]`',
        )

    def __dlpack__(self, **options: Any) -> NoReturn:
        self._number("the memory")

    # --- protocols ---------------------------------------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        from dfg.frontend.builder.numpy_protocol import ufunc as apply

        return apply(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        from dfg.frontend.builder.numpy_protocol import function as apply

        return apply(func, args, kwargs)

    def __array_namespace__(self, *, api_version: str | None = None) -> ModuleType:
        from dfg.frontend.builder.namespace import namespace

        return namespace(api_version)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        bundle = {"text/plain": repr(self)}
        for draw in RENDER:
            bundle.update(draw(self))
        return {k: v for k, v in bundle.items() if (not include or k in include) and not (exclude and k in exclude)}

    def _repr_svg_(self) -> str | None:
        return self._repr_mimebundle_().get("image/svg+xml")


def _compare(name: str, x: Tensor, other: object) -> Any:
    if other is None or isinstance(other, str):
        refuse(
            "wrong-type",
            f"a tensor is compared with {other!r}",
            about=x,
            help="`x is None` tells whether it is there" if other is None else None,
        )
    return surface(name, [x, other])


def _binary(name: str, whole: str | None = None) -> tuple[Callable[[Tensor, Any], Any], Callable[[Tensor, Any], Any]]:
    """An operator and its reflection. `whole` names the function of integers where it is another."""

    def pick(x: Tensor, other: Any) -> str:
        if whole is None or (
            x.dtype.kind == "bool" and (isinstance(other, bool) or getattr(getattr(other, "dtype", None), "kind", "") in ("bool", "b"))
        ):
            return name
        if whole in FUNCTIONS and x.dtype.kind != "float":
            return whole
        if name == "not_equal":
            refuse("pythonic-power", f"`^` is no power, and no operation on {x.type}", about=x, help="a power is written `**`")
        return name

    def forward(x: Tensor, other: Any) -> Any:
        return surface(pick(x, other), [x, other]) if _usable(other) else NotImplemented

    def backward(x: Tensor, other: Any) -> Any:
        return surface(pick(x, other), [other, x]) if _usable(other) else NotImplemented

    return forward, backward


def _usable(other: Any) -> bool:
    """Objects of a type that knows tensors better are left to it."""
    return isinstance(other, Handle | int | float | np.ndarray | np.generic | Dim | list | tuple) or not hasattr(other, "__radd__")


for _sign, _name, _whole in (
    ("add", "add", None),
    ("sub", "subtract", None),
    ("mul", "multiply", None),
    ("truediv", "divide", None),
    ("floordiv", "floor_divide", None),
    ("mod", "remainder", None),
    ("pow", "power", None),
    ("matmul", "matmul", None),
    ("and", "logical_and", "bitwise_and"),
    ("or", "logical_or", "bitwise_or"),
    ("xor", "not_equal", "bitwise_xor"),
    ("lshift", "bitwise_left_shift", None),
    ("rshift", "bitwise_right_shift", None),
):
    if _name in FUNCTIONS:
        _forward, _backward = _binary(_name, _whole)
        setattr(Tensor, f"__{_sign}__", _forward)
        setattr(Tensor, f"__r{_sign}__", _backward)
for _sign, _name in (("lt", "less"), ("le", "less_equal"), ("gt", "greater"), ("ge", "greater_equal")):
    setattr(Tensor, f"__{_sign}__", _binary(_name)[0])


class _Method:
    """A function under NumPy's name as a method: `x.sum(axis=0)`, `x.reshape(2, 3)`."""

    __slots__ = ("name", "tensor")

    def __init__(self, tensor: Tensor, name: str) -> None:
        self.tensor = tensor
        self.name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from dfg.frontend.builder.numpy_protocol import method

        return method(self.name, self.tensor, args, kwargs)

    def __repr__(self) -> str:
        return f"<method {self.name} of {self.tensor!r}>"


def _concrete(x: Tensor) -> Callable[..., NoReturn]:
    return lambda *args, **kwargs: x._number("the value")


METHODS: Final[dict[str, Callable[[Tensor], Any]]] = {
    "copy": lambda x: lambda *args, **kwargs: x,
    "flatten": lambda x: lambda *args, **kwargs: surface("reshape", [x, (-1,)]),
    "ravel": lambda x: lambda *args, **kwargs: surface("reshape", [x, (-1,)]),
    "item": _concrete,
    "tolist": _concrete,
    "tobytes": _concrete,
    "real": lambda x: x,
    "itemsize": lambda x: x.dtype.size,
    "nbytes": lambda x: x.size * x.dtype.size,
}
"""What arrays have beside functions of the same name."""


# --- indexing --------------------------------------------------------------------------------------------------------------------------


def _items(key: Any) -> list[Any]:
    """An index, taken apart; operands are converted. Raises `Bad`."""
    items: list[Any] = []
    for k in key if isinstance(key, tuple) else (key,):
        if k is None:
            items.append(indexing.NEWAXIS)
        elif k is Ellipsis:
            items.append(indexing.ELLIPSIS)
        elif isinstance(k, slice):
            items.append(slice(*[b if b is None or isinstance(b, Handle) else _bound(b) for b in (k.start, k.stop, k.step)]))
        elif isinstance(k, bool | np.bool_):
            raise Bad(
                "wrong-dtype", "an index is a whole number or an array of them, not a truth value", "a mask selects through `dfg.where`"
            )
        elif isinstance(k, int | np.integer):
            items.append(int(k))
        elif isinstance(k, Dim):
            items.append(k)
        elif isinstance(k, float | str):
            raise Bad("wrong-dtype", f"an index is a whole number, a slice or an array of whole numbers, not {k!r}")
        else:
            made = operand(k)
            items.append(Constant(np.asarray(made.value, np.int64), I64) if isinstance(made, Literal) and made.kind == "int" else made)
    return items


def _bound(b: Any) -> Any:
    made = static(b, "a bound of a slice")
    if isinstance(made, bool) or not isinstance(made, int | Dim):
        raise Bad("bad-argument", f"a bound of a slice is a whole number or a dim, not {made!r}")
    return made


def _lowered(items: Sequence[Any], cx: Surface, value: Callable[[Handle], Value]) -> list[Any]:
    return [_window(i, cx, value) if isinstance(i, slice) else _lowered_item(i, cx, value) for i in items]


def _lowered_item(i: Any, cx: Surface, value: Callable[[Handle], Value]) -> Any:
    made = lower(i, cx, value)
    return cx.value(made) if isinstance(made, Literal) else made


def _window(s: slice, cx: Surface, value: Callable[[Handle], Value]) -> indexing.Window:
    """A slice; where its start is computed, `stop - start` must be a size."""
    step = 1 if s.step is None else s.step
    if isinstance(step, Handle | Dim) or step == 0:
        raise InferError("bad-argument", "the step of a slice is a whole number that is not 0, known while compiling")
    if not isinstance(s.start, Handle) and not isinstance(s.stop, Handle):
        start, stop = (cx.graph.facts.normal(b) if isinstance(b, Dim) else b for b in (s.start, s.stop))
        return indexing.Window(start, stop, step)
    a, b = (_scalar(x, cx, value) for x in (s.start, s.stop))
    size = None if a is None or b is None else indexing.affine_difference(b, a)
    if size is None or step != 1:
        raise InferError(
            "not-static",
            "the size of this slice is not known while compiling" if size is None else "a slice with a computed start goes in steps of 1",
            help="write it as `x[k : k + 32]`: the same start, and a size that is known",
        )
    return indexing.Window(a, None, 1, size)


def _scalar(x: Any, cx: Surface, value: Callable[[Handle], Value]) -> Value | None:
    if x is None:
        return None
    v = value(x) if isinstance(x, Handle) else cx.value(lower(Sized(x) if isinstance(x, Dim) else Literal("int", x), cx, value))
    if v.shape or v.dtype.kind != "int":
        raise InferError("not-scalar-index", f"a bound of a slice is a scalar integer, not {v.type}")
    return v


def _index(
    x: Tensor, key: Any, emit: Callable[[Surface, Callable[[Handle], Value], list[Any]], Value], extra: Sequence[Any] = ()
) -> Tensor:
    place = here()
    try:
        items = _items(key)
    except Bad as e:
        raise UserError(bad(e, key, 1, place)) from None
    parts = [b for i in items for b in ((i.start, i.stop, i.step) if isinstance(i, slice) else (i,))]
    raw = list(key) if isinstance(key, tuple) else [key]
    return build(  # type: ignore[no-any-return]
        handles_in([x, *parts, *extra]),
        lambda cx, value: emit(cx, value, _lowered(items, cx, value)),
        names=dims_used([*parts, *extra]),
        place=place,
        call=[x, *raw, *extra],
    )


def get(x: Tensor, key: Any) -> Tensor:
    """`x[key]`."""
    return _index(x, key, lambda cx, value, items: indexing.getitem(cx, value(x), items))


class At:
    """`x.at`: an index here names the place of a functional update."""

    __slots__ = ("_tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def __getitem__(self, key: Any) -> Spot:
        return Spot(self._tensor, key)


class Spot:
    """`x.at[key]`."""

    __slots__ = ("_key", "_tensor")

    def __init__(self, tensor: Tensor, key: Any) -> None:
        self._tensor = tensor
        self._key = key

    def get(self) -> Tensor:
        """`x[key]`."""
        return get(self._tensor, self._key)

    def set(self, value: Any) -> Tensor:
        """A tensor with these elements replaced. Where an index stands twice the last one wins."""
        return self._put(value, False)

    def add(self, value: Any) -> Tensor:
        """A tensor with `value` added to these elements, once for each time that an index stands there."""
        return self._put(value, True)

    def subtract(self, value: Any) -> Tensor:
        """A tensor with `value` taken from these elements."""
        return self._put(surface("negative", [value]), True)

    def _put(self, value: Any, add: bool) -> Tensor:
        x = self._tensor
        try:
            new = operand(value)
        except Bad as e:
            raise UserError(bad(e, value, 0, here())) from None
        return _index(x, self._key, lambda cx, of, items: indexing.put(cx, of(x), items, lower(new, cx, of), add), [new])


def assigned(x: Tensor) -> NoReturn:
    """`x[i] = v`: an error with the functional form of what was written."""
    place = here()
    help = "write the functional form, which gives a new tensor: `x = x.at[i].set(v)`"
    fix: Fix | None = None
    if place is not None and place.known and (node := statement(place)) is not None:
        source = place.source
        target = (
            node.targets[0]
            if isinstance(node, ast.Assign) and len(node.targets) == 1
            else node.target
            if isinstance(node, ast.AugAssign)
            else None
        )
        if isinstance(target, ast.Subscript) and isinstance(node, ast.Assign | ast.AugAssign):
            base, index, value = (span_of(source, n).text for n in (target.value, target.slice, node.value))
            new: str | None = f"{base} = {base}.at[{index}].set({value})"
            if isinstance(node, ast.AugAssign):
                new = {
                    ast.Add: f"{base} = {base}.at[{index}].add({value})",
                    ast.Sub: f"{base} = {base}.at[{index}].subtract({value})",
                }.get(type(node.op), f"{base} = {base}.at[{index}].set({base}[{index}] {_SIGNS.get(type(node.op), '?')} {value})")
            help = f"write the functional form, which gives a new tensor: `{new}`"
            fix = Fix("write the functional form", ((span_of(source, node), new),)) if new else None
    labels: list[Label] = []
    from dfg.frontend.builder.emit import origin

    label = origin(x, "")
    if label is not None and label.span != place:
        labels.append(label)
    raise UserError(
        located(
            error(
                "pythonic-assignment", "a tensor does not change: its elements cannot be assigned", place, labels=labels, help=help, fix=fix
            )
        )
    )


_SIGNS: Final[dict[type[ast.operator], str]] = {
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.MatMult: "@",
}
