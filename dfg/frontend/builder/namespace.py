"""The array API standard's namespace of tensors: what `x.__array_namespace__()` gives.

It has the standard's names: functions (ours have them already), dtypes (`float64`), constants, `isdtype`, `astype`, `finfo`, `linalg`. Python code that was written for the
standard thus builds a program: `xp = x.__array_namespace__(); xp.sum(xp.exp(x), axis=0)`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, Final

import numpy as np

from dfg.diagnostics import UserError, error
from dfg.diagnostics.codes import nearest
from dfg.frontend.builder.convert import NUMPY_NAMES, dtype_of
from dfg.frontend.builder.declare import asarray
from dfg.frontend.builder.emit import surface
from dfg.frontend.builder.functions import function
from dfg.frontend.builder.homes import Handle
from dfg.frontend.builder.places import here
from dfg.ops.surface import FUNCTIONS
from dfg.types import DType, promote

VERSIONS: Final = ("2021.12", "2022.12", "2023.12", "2024.12")
LINALG: Final = [
    "matmul",
    "matrix_transpose",
    "solve",
    "qr",
    "cholesky",
    "inv",
    "det",
    "slogdet",
    "svd",
    "svdvals",
    "eigh",
    "eigvalsh",
    "pinv",
    "trace",
    "diagonal",
    "outer",
    "cross",
    "matrix_norm",
    "vector_norm",
    "vecdot",
    "tensordot",
    "matrix_power",
    "matrix_rank",
]
KINDS: Final[dict[str, Callable[[DType], bool]]] = {
    "bool": lambda d: d.kind == "bool",
    "signed integer": lambda d: d.kind == "int" and d.name != "u8",
    "unsigned integer": lambda d: d.name == "u8",
    "integral": lambda d: d.kind == "int",
    "real floating": lambda d: d.floating,
    "complex floating": lambda d: False,
    "numeric": lambda d: d.kind != "bool",
}


class Namespace(ModuleType):
    """A namespace whose missing names say what is nearest."""

    def __getattr__(self, name: str) -> Any:
        if name in FUNCTIONS:
            return function(name)
        near = nearest(name, FUNCTIONS) if not name.startswith("_") else None
        raise AttributeError(f"dfg's array namespace has no `{name}`" + (f": did you mean `{near}`?" if near else ""))

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *FUNCTIONS})


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind: `isdtype(x.dtype, "real floating")`."""
    d = dtype_of(dtype, here())
    if isinstance(kind, tuple):
        return any(isdtype(d, k) for k in kind)
    if isinstance(kind, str) and kind in KINDS:
        return KINDS[kind](d)
    return d is dtype_of(kind, here())


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """Conversion to a dtype."""
    on_device(device)
    return surface("astype", [x, dtype])


def result_type(*things: Any) -> DType:
    """The dtype that tensors, dtypes and numbers promote to."""
    kinds = {bool: "bool", int: "int", float: "float"}
    dtypes = [t.value.dtype if isinstance(t, Handle) else dtype_of(t, here()) for t in things if type(t) not in kinds]
    if not dtypes:
        raise UserError(error("missing-argument", "`result_type` needs a tensor or a dtype", here()))
    best = promote(*dtypes)
    for t in things:
        k = kinds.get(type(t))
        if k is not None and ("bool", "int", "float").index(k) > ("bool", "int", "float").index(best.kind):
            best = promote(best, dtype_of({"int": "i64", "float": "f64"}[k], None))
    return best


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether promotion can take one dtype to the other."""
    a = from_.value.dtype if isinstance(from_, Handle) else dtype_of(from_, here())
    b = dtype_of(to, here())
    return promote(a, b) is b


class _Info:
    def device(self) -> str:
        return DEVICE

    def capabilities(self) -> dict[str, Any]:
        return {"boolean indexing": False, "data-dependent shapes": False, "max dimensions": 32}

    def default_device(self) -> str:
        return DEVICE

    def default_dtypes(self, *, device: Any = None) -> dict[str, DType]:
        names = NUMPY_NAMES
        return {"real floating": names["float64"], "integral": names["int64"], "indexing": names["int64"]}

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, DType]:
        return {n: d for n, d in NUMPY_NAMES.items() if kind is None or isdtype(d, kind)}

    def devices(self) -> list[str]:
        return [DEVICE]


def _linalg_diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonals of the matrices in the last two axes."""
    return surface("diagonal", [x], {"offset": offset, "axis1": -2, "axis2": -1})


def _linalg_trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sums of the diagonals of the matrices in the last two axes."""
    return surface("sum", [_linalg_diagonal(x, offset=offset)], {"axis": -1, "dtype": None if dtype is None else dtype_of(dtype, here())})


def _reshape(x: Any, /, shape: Any, *, copy: bool | None = None) -> Any:
    """The elements in another shape; whether that copies is the backend's business."""
    return surface("reshape", [x, shape])


DEVICE: Final = "dfg"
"""The one device of tensors: where they will be is the backend's business."""


def _with_device(name: str) -> Any:
    """A function of creation with the standard's keyword `device`."""
    made = function(name)

    def f(*args: Any, device: Any = None, **kwargs: Any) -> Any:
        on_device(device)
        return made(*args, **kwargs)

    keyword = inspect.Parameter("device", inspect.Parameter.KEYWORD_ONLY, default=None)
    f.__name__, f.__qualname__, f.__doc__ = name, name, made.__doc__
    own = inspect.signature(made)
    f.__signature__ = own.replace(parameters=[*own.parameters.values(), keyword])  # type: ignore[attr-defined]
    return f


def on_device(device: Any) -> None:
    """There is one device; any other is an error."""
    if device is not None and device != DEVICE:
        raise UserError(
            error("bad-argument", f"there is no device {device!r}", here(), help=f'tensors of a program have the one device "{DEVICE}": a program is moved when it is compiled')
        )


@dataclass(frozen=True, slots=True)
class FloatInfo:
    """The limits of a floating dtype."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


@dataclass(frozen=True, slots=True)
class IntInfo:
    """The limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: DType


def finfo(type: Any, /) -> FloatInfo:
    """The limits of a floating dtype, or of a tensor's."""
    d = type.value.dtype if isinstance(type, Handle) else dtype_of(type, here())
    if not d.floating:
        raise UserError(error("wrong-dtype", f"`finfo` is of a floating dtype, not {d}", here(), help="`iinfo` is of integers"))
    i = np.finfo(d.np)
    return FloatInfo(d.bits, float(i.eps), float(i.max), float(i.min), float(i.smallest_normal), d)


def iinfo(type: Any, /) -> IntInfo:
    """The limits of an integer dtype, or of a tensor's."""
    d = type.value.dtype if isinstance(type, Handle) else dtype_of(type, here())
    if d.kind != "int":
        raise UserError(error("wrong-dtype", f"`iinfo` is of an integer dtype, not {d}", here(), help="`finfo` is of floating dtypes"))
    i = np.iinfo(d.np)
    return IntInfo(d.bits, int(i.max), int(i.min), d)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Any:
    """An array of any library as a constant of the program; a tensor as it is."""
    on_device(device)
    return asarray(x)


def broadcast_shapes(*shapes: Any) -> tuple[Any, ...]:
    """The shape that tensors of these shapes stretch to."""
    made: list[Any] = []
    for shape in shapes:
        sizes = list(shape) if isinstance(shape, tuple | list) else [shape]
        made = [1] * (len(sizes) - len(made)) + made
        for k, d in enumerate(sizes, len(made) - len(sizes)):
            if made[k] != d and 1 not in (made[k], d):
                raise UserError(error("shape-mismatch", f"shapes do not go together: {made[k]} and {d}", here()))
            made[k] = d if made[k] == 1 else made[k]
    return tuple(made)


@cache
def _module() -> Namespace:
    xp = Namespace("dfg.xp", __doc__)
    contents: dict[str, Any] = {
        **NUMPY_NAMES,
        "pi": math.pi,
        "e": math.e,
        "inf": math.inf,
        "nan": math.nan,
        "newaxis": None,
        "asarray": asarray,
        "isdtype": isdtype,
        "astype": astype,
        "result_type": result_type,
        "can_cast": can_cast,
        "broadcast_arrays": _broadcast_arrays,
        "broadcast_shapes": broadcast_shapes,
        "finfo": finfo,
        "iinfo": iinfo,
        "from_dlpack": from_dlpack,
        "reshape": _reshape,
        "empty": _with_device("zeros"),
        "empty_like": _with_device("zeros_like"),
        **{
            n: _with_device(n)
            for n in ("zeros", "ones", "full", "zeros_like", "ones_like", "full_like", "arange", "eye", "linspace")
            if n in FUNCTIONS
        },
        "__array_api_version__": VERSIONS[-1],
        "__array_namespace_info__": lambda: _Info(),
        "linalg": Namespace("dfg.xp.linalg"),
    }
    xp.__dict__.update(contents)
    xp.linalg.__dict__.update({n: function(n) for n in LINALG if n in FUNCTIONS})
    xp.linalg.__dict__.update({"trace": _linalg_trace, "diagonal": _linalg_diagonal})
    return xp


def _broadcast_arrays(*arrays: Any) -> list[Any]:
    """The tensors stretched to their common shape."""
    return list(surface("broadcast_arrays", arrays))


def namespace(version: str | None = None) -> Namespace:
    """The namespace, of a version of the standard."""
    if version is not None and version not in VERSIONS:
        raise UserError(
            error("bad-argument", f"the array API standard {version!r} is not known here", here(), help=f"known are {', '.join(VERSIONS)}")
        )
    return _module()
