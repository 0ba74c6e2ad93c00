"""The array API namespace of the builder with evaluation on demand, for the public array API test suite:

    ARRAY_API_TESTS_MODULE=dfg_array_api ARRAY_API_TESTS_VERSION=2024.12 PYTHONPATH=path/to/this/folder \\
        pytest array_api_tests --disable-data-dependent-shapes --skips-file path/to/skips.txt

An `Array` is a tensor of a program under construction, together with the numbers of the inputs that it depends on. Every function and operator is the builder's own: it adds to the
program. Only where Python needs a number (`float(x)`, `bool(x)`, `np.asarray(x)`) is the program compiled and run, and the result takes the place of the expression. What the
suite must leave out is in `skips.txt`, each with its reason.

>>> x = asarray([1.0, 2.0])
>>> float((x * x + 1)[1])
5.0
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

import dfg
from dfg.frontend.builder.namespace import namespace, on_device
from dfg.frontend.builder.tensor import Tensor
from dfg.types import DType, from_numpy

_XP = namespace()
_COUNT = itertools.count()
__array_api_version__ = _XP.__array_api_version__


class Array:
    """A tensor and the numbers of the inputs that it depends on."""

    __slots__ = ("_feeds", "_known", "_tensor")

    def __init__(self, tensor: Tensor, feeds: dict[str, np.ndarray], known: np.ndarray | None = None) -> None:
        self._tensor = tensor
        self._feeds = feeds
        self._known = known

    # --- numbers -------------------------------------------------------------------------------------------------------------------

    def _numbers(self) -> np.ndarray:
        """Compile and run what is described so far; from then on this array is an input with these numbers."""
        if self._known is None:
            fn = dfg.compile({"y": self._tensor})
            fresh = _given(np.asarray(fn(**{n: a for n, a in self._feeds.items() if n in fn.inputs})["y"]))
            self._tensor, self._feeds, self._known = fresh._tensor, fresh._feeds, fresh._known
        assert self._known is not None
        return self._known

    def _one(self) -> Any:
        if self.ndim:
            raise TypeError("only an array of no dimension is a Python number")
        return self._numbers().item()

    def __bool__(self) -> bool:
        return bool(self._one())

    def __int__(self) -> int:
        return int(self._one())

    def __float__(self) -> float:
        return float(self._one())

    def __complex__(self) -> complex:
        return complex(self._one())

    def __index__(self) -> int:
        if self.dtype.kind != "int":
            raise TypeError(f"an array of {self.dtype} is no index")
        return int(self._one())

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(self._numbers(), dtype=dtype)

    def __dlpack__(self, **options: Any) -> Any:
        return np.array(self._numbers()).__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return np.asarray(self._numbers()).__dlpack_device__()

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("a scalar has no length")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Array({np.array2string(self._numbers(), separator=', ')}, dtype={self.dtype})"

    # --- what it is ----------------------------------------------------------------------------------------------------------------

    @property
    def dtype(self) -> DType:
        return self._tensor.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(d) for d in self._tensor.shape)  # type: ignore[arg-type]

    @property
    def ndim(self) -> int:
        return self._tensor.ndim

    @property
    def size(self) -> int:
        return int(self._tensor.size)  # type: ignore[arg-type]

    @property
    def device(self) -> str:
        return self._tensor.device

    def to_device(self, device: str, /, *, stream: Any = None) -> Array:
        _applied(Tensor.to_device, self, device)
        return self

    @property
    def T(self) -> Array:
        return _wrapped(self._tensor.T, [self])

    @property
    def mT(self) -> Array:
        return _wrapped(self._tensor.mT, [self])

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        import sys

        namespace(api_version)  # an unknown version is an error
        return sys.modules[__name__]

    def __getitem__(self, key: Any) -> Array:
        return _applied(lambda x, k: x[k], self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, bool | int | float) and self.dtype.kind != "float" and type(value) is not bool:
            value = asarray(value, dtype=self.dtype)  # a number that does not fit is an error
        made = _applied(lambda x, k, v: x.at[k].set(v), self, key, value)
        self._tensor, self._feeds, self._known = made._tensor, made._feeds, None

    def __hash__(self) -> int:
        raise TypeError("an array has no hash")


def _given(a: np.ndarray) -> Array:
    """An array of numbers: an input of the program."""
    name = f"a{next(_COUNT)}"
    dtype = from_numpy(a.dtype)
    if dtype is None:
        raise TypeError(f"there is no dtype {a.dtype}")
    return Array(dfg.input(name, f"{dtype.name}[{', '.join(map(str, a.shape))}]" if a.ndim else dtype.name), {name: a}, a)


def _arrays(x: Any) -> list[Array]:
    if isinstance(x, Array):
        return [x]
    if isinstance(x, tuple | list):
        return [a for y in x for a in _arrays(y)]
    if isinstance(x, slice):
        return _arrays((x.start, x.stop, x.step))
    return []


def _inner(x: Any) -> Any:
    """What the builder takes for what the suite gives."""
    if isinstance(x, Array):
        return x._tensor
    if isinstance(x, tuple | list):
        return type(x)(map(_inner, x)) if type(x) in (tuple, list) else tuple(map(_inner, x))
    return x


def _wrapped(made: Any, given: list[Array]) -> Any:
    if isinstance(made, Tensor):
        return Array(made, {k: v for a in given for k, v in a._feeds.items()})
    if isinstance(made, tuple | list):
        items = [_wrapped(m, given) for m in made]
        return type(made)(*items) if hasattr(made, "_fields") else type(made)(items)
    return made


def _applied(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    given = [a for x in (*args, *kwargs.values()) for a in _arrays(x)]
    try:
        return _wrapped(f(*map(_inner, args), **{k: _inner(v) for k, v in kwargs.items()}), given)
    except dfg.UserError as e:
        # The standard asks for Python's own kinds of errors in places.
        raise _kinds(e)(str(e)) from e


def _kinds(e: dfg.UserError) -> type[Exception]:
    codes = {d.code for d in e.diagnostics}
    return TypeError if codes & {"wrong-dtype", "wrong-type"} else IndexError if codes & {"out-of-bounds"} else ValueError


def _operator(name: str) -> Callable[..., Any]:
    def f(self: Array, *others: Any) -> Any:
        if any(not isinstance(o, Array | bool | int | float) for o in others):
            return NotImplemented
        return _applied(getattr(Tensor, name), self, *others)

    f.__name__ = name
    return f


_SIGNS = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()
for _name in [*[f"__{p}{s}__" for s in _SIGNS for p in ("", "r")], *[f"__{s}__" for s in ("lt", "le", "gt", "ge", "eq", "ne", "abs", "neg", "pos", "invert")]]:
    setattr(Array, _name, _operator(_name))


def _in_place(name: str) -> Callable[[Array, Any], Array]:
    def f(self: Array, other: Any) -> Array:
        made = getattr(self, f"__{name}__")(other)
        if made is NotImplemented:
            return NotImplemented
        if made.shape != self.shape:
            raise ValueError("the result of an operator in place has the shape of its left side")
        made = _applied(_XP.astype, made, self.dtype)
        self._tensor, self._feeds, self._known = made._tensor, made._feeds, made._known
        return self

    f.__name__ = f"__i{name}__"
    return f


for _sign in _SIGNS:
    setattr(Array, f"__i{_sign}__", _in_place(_sign))


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: Any = None) -> Array:
    """Numbers, nested lists, NumPy arrays or arrays as an array. What changes a dtype, or comes from outside, is a copy."""
    on_device(device)
    if isinstance(obj, Array):
        same = dtype is None or dtype == obj.dtype
        if copy is False and not same:
            raise ValueError("another dtype needs a copy")
        if same and copy is not True:
            return obj
        made = obj if same else _applied(_XP.astype, obj, dtype)
        return Array(made._tensor, made._feeds, made._known)
    if copy is False:
        raise ValueError("what is no array of this namespace is copied")
    a = np.asarray(_plain(obj))
    if dtype is not None:
        if dtype.kind == "int" and a.dtype.kind in "iu" and a.size and not (np.iinfo(dtype.np).min <= a.min() and a.max() <= np.iinfo(dtype.np).max):
            raise OverflowError(f"a number does not fit in {dtype}")
        a = a.astype(dtype.np)
    return _given(np.array(a))


def repeat(x: Array, repeats: Any, /, *, axis: Any = None) -> Array:
    """Each element repeated; how often is evaluated where it is an array, since the size of the result depends on it."""
    times = np.asarray(repeats).tolist() if isinstance(repeats, Array) else repeats
    return _applied(_XP.repeat, x, tuple(times) if isinstance(times, list) else times, axis=axis)


def _plain(x: Any) -> Any:
    if isinstance(x, Array):
        return x._numbers()
    return [_plain(y) for y in x] if isinstance(x, list | tuple) else x


def from_dlpack(x: Any, /, *, device: Any = None, copy: Any = None) -> Array:
    return _given(np.array(np.from_dlpack(x)))


def _function(f: Callable[..., Any], name: str) -> Callable[..., Any]:
    def g(*args: Any, **kwargs: Any) -> Any:
        return _applied(f, *args, **kwargs)

    g.__name__, g.__doc__ = name, getattr(f, "__doc__", None)
    g.__wrapped__ = f  # type: ignore[attr-defined]
    return g


class _Linalg:
    """The extension `linalg`."""

    def __getattr__(self, name: str) -> Any:
        return _function(getattr(_XP.linalg, name), name)


linalg = _Linalg()


def __getattr__(name: str) -> Any:
    if name.startswith("__") and name not in ("__array_namespace_info__",):
        raise AttributeError(name)
    found = getattr(_XP, name)
    if isinstance(found, DType) or not callable(found):
        return found
    return _function(found, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(_XP)})
