"""`Tensor`: a handle of a graph value with the operators of Python and the protocols of NumPy.

Operators promote and broadcast as the language does, through the same surface functions. What needs a number while the program is only being described
(`bool`, `len`, iteration, `float`, `np.asarray`) is an error that says what to write instead.

    u = w * x                       # the same value as dfg.multiply(w, x), np.multiply(w, x), xp.multiply(w, x)
    x.at[1:3].set(0)                # a new tensor; x[1:3] = 0 is an error that says so
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np

from dfg.diagnostics import UserError, error
from dfg.dims import DimLike
from dfg.frontend.builder.emit import label_of, located, refuse, surface
from dfg.frontend.builder.homes import Handle
from dfg.frontend.builder.places import here
from dfg.ops.surface import FUNCTIONS
from dfg.types import DType, TensorType

if TYPE_CHECKING:
    from types import ModuleType

    from dfg.frontend.builder.subscripts import At

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
        return self.value.type

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
        from dfg.frontend.builder.namespace import on_device

        on_device(device)
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
        return surface("matrix_transpose", [self])

    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged."""
        return surface("matrix_transpose", [self])

    def __repr__(self) -> str:
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
        from dfg.frontend.builder.subscripts import At

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
        from dfg.frontend.builder.subscripts import get

        return get(self, key)

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        from dfg.frontend.builder.subscripts import assigned

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
        return surface(pick(x, other), [x, other])

    def backward(x: Tensor, other: Any) -> Any:
        return surface(pick(x, other), [other, x])

    return forward, backward


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
    "imag": lambda x: surface("zeros_like", [x]),
    "conjugate": lambda x: lambda: x,
    "compress": lambda x: lambda condition, axis=None: np.compress(condition, x, axis=axis),
    "choose": lambda x: lambda choices, mode="raise": np.choose(x, choices, mode=mode),
    "flat": lambda x: surface("reshape", [x, (-1,)]),
    "itemsize": lambda x: x.dtype.size,
    "nbytes": lambda x: x.size * x.dtype.size,
}
"""What arrays have beside functions of the same name."""
