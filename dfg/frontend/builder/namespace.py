"""The array API standard's namespace of tensors: what `x.__array_namespace__()` gives.

It has the standard's names: functions (ours have them already), dtypes (`float64`), constants, `isdtype`, `astype`, `finfo`, `linalg`. Python code that was written for the
standard thus builds a program: `xp = x.__array_namespace__(); xp.sum(xp.exp(x), axis=0)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
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
        return "dfg"

    def capabilities(self) -> dict[str, Any]:
        return {"boolean indexing": False, "data-dependent shapes": False, "max dimensions": 32}

    def default_device(self) -> str:
        return "dfg"

    def default_dtypes(self, *, device: Any = None) -> dict[str, DType]:
        names = NUMPY_NAMES
        return {"real floating": names["float64"], "integral": names["int64"], "indexing": names["int64"]}

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, DType]:
        return {n: d for n, d in NUMPY_NAMES.items() if kind is None or isdtype(d, kind)}

    def devices(self) -> list[str]:
        return ["dfg"]


def _linalg_diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonals of the matrices in the last two axes."""
    return surface("diagonal", [x], {"offset": offset, "axis1": -2, "axis2": -1})


def _linalg_trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sums of the diagonals of the matrices in the last two axes."""
    return surface("sum", [_linalg_diagonal(x, offset=offset)], {"axis": -1, "dtype": None if dtype is None else dtype_of(dtype, here())})


def _reshape(x: Any, /, shape: Any, *, copy: bool | None = None) -> Any:
    """The elements in another shape; whether that copies is the backend's business."""
    return surface("reshape", [x, shape])


def _without_device(name: str) -> Any:
    made = function(name)

    def f(*args: Any, device: Any = None, **kwargs: Any) -> Any:
        return made(*args, **kwargs)

    f.__name__, f.__doc__ = name, made.__doc__
    return f


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
        "broadcast_arrays": lambda *arrays: _broadcast_arrays(arrays),
        "finfo": lambda d: np.finfo((d.value.dtype if isinstance(d, Handle) else dtype_of(d, here())).np),
        "iinfo": lambda d: np.iinfo((d.value.dtype if isinstance(d, Handle) else dtype_of(d, here())).np),
        "reshape": _reshape,
        "empty": _without_device("zeros"),
        "empty_like": _without_device("zeros_like"),
        **{
            n: _without_device(n)
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


def _broadcast_arrays(arrays: Any) -> list[Any]:
    shapes = [a.shape for a in arrays]
    rank = max(map(len, shapes), default=0)
    shape: list[Any] = [1] * rank
    for s in shapes:
        for k, d in enumerate(s):
            at = rank - len(s) + k
            if d != 1:
                shape[at] = d
    return [surface("broadcast_to", [a, tuple(shape)]) for a in arrays]


def namespace(version: str | None = None) -> Namespace:
    """The namespace, of a version of the standard."""
    if version is not None and version not in VERSIONS:
        raise UserError(
            error("bad-argument", f"the array API standard {version!r} is not known here", here(), help=f"known are {', '.join(VERSIONS)}")
        )
    return _module()
