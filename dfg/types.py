"""Data types, tensor types, promotion and broadcasting.

Promotion is one lattice by dtype alone, never by rank: ``bool < u8 < i32 < i64 < f16 | bf16 < f32 < f64``; ``f16`` and ``bf16`` meet
in ``f32``. Broadcasting is NumPy's, decided while compiling: only missing leading axes and axes of *literal* size 1 stretch.

>>> promote(F32, I64).name
'f32'
>>> str(TensorType(F64, (3, 1)))
'f64[3, 1]'
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal

import numpy as np

from dfg.dims import Dim, DimLike, Facts

Kind = Literal["bool", "int", "float"]
KIND_ORDER: Final[dict[str, int]] = {"bool": 0, "int": 1, "float": 2}


CONVERT: Final[list[Callable[[Any, DType], Any]]] = []
"""What calling a dtype does; set by the builder."""


@dataclass(frozen=True, slots=True, eq=False)
class DType:
    """One element type. `level` is its place in the promotion lattice."""

    name: str
    kind: Kind
    bits: int
    level: int

    @property
    def np(self) -> np.dtype:
        """NumPy's dtype of the same elements."""
        return _NUMPY[self.name]

    @property
    def size(self) -> int:
        """Bytes of one element."""
        return max(1, self.bits // 8)

    @property
    def floating(self) -> bool:
        return self.kind == "float"

    def __call__(self, x: Any) -> Any:
        """`f32(x)`: a builder's tensor converted, as in the language."""
        if not CONVERT:
            raise TypeError(f"the dtype {self.name} converts tensors of a program under construction")
        return CONVERT[-1](x, self)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> str | tuple[object, ...]:
        return (dtype, (self.name,))


BOOL: Final = DType("bool", "bool", 8, 0)
U8: Final = DType("u8", "int", 8, 1)
I32: Final = DType("i32", "int", 32, 2)
I64: Final = DType("i64", "int", 64, 3)
F16: Final = DType("f16", "float", 16, 4)
BF16: Final = DType("bf16", "float", 16, 4)
F32: Final = DType("f32", "float", 32, 5)
F64: Final = DType("f64", "float", 64, 6)
DTYPES: Final[dict[str, DType]] = {t.name: t for t in (BOOL, U8, I32, I64, F32, F64)}
"""The dtypes of the language, by name; f16 and bf16 join with the GPU backend."""
FLOATING: Final = (F32, F64)
INTEGRAL: Final = (U8, I32, I64)
NUMERIC: Final = (U8, I32, I64, F32, F64)
ANY: Final = (BOOL, U8, I32, I64, F32, F64)
_NUMPY: Final = {
    "bool": np.dtype(np.bool_),
    "u8": np.dtype(np.uint8),
    "i32": np.dtype(np.int32),
    "i64": np.dtype(np.int64),
    "f16": np.dtype(np.float16),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
}
_BY_NUMPY: Final = {(v.kind, v.itemsize): DTYPES[k] for k, v in _NUMPY.items() if k in DTYPES}


def dtype(name: str) -> DType:
    """The dtype called `name`; KeyError if there is none."""
    return DTYPES[name]


def rounds_once(text: str, value: float) -> float:
    """The number to round to a dtype narrower than f64 in place of `value`, which is `text` rounded to f64: rounding `value` again would be wrong where it
    lies exactly between two narrower numbers and `text` does not. There it is the next f64 towards `text`. A text that is no number is left alone."""
    if not value or not math.isfinite(value) or int.from_bytes(struct.pack("<d", value), "little") & 0xFFFFFFF:
        return value  # no number of up to 25 bits, so it lies between no two numbers of 24
    try:
        exact = Decimal(text)
    except InvalidOperation:
        return value
    here = Decimal(value)
    return value if exact == here else math.nextafter(value, math.inf if exact > here else -math.inf)


def from_numpy(given: np.dtype) -> DType | None:
    """The dtype of NumPy's `given`, or None where the language has none."""
    return _BY_NUMPY.get((given.kind, given.itemsize))


def promote(first: DType, *others: DType) -> DType:
    """The least dtype that all meet in."""
    best = first
    for other in others:
        if other is best:
            continue
        if other.level == best.level:
            best = F32
        elif other.level > best.level:
            best = other
    return best


def lossless(source: DType, target: DType) -> bool:
    """Whether every value of `source` is exactly a value of `target`."""
    if source is target or source.kind == "bool":
        return True
    if source.kind == "int" and target.kind == "int":
        return source.bits < target.bits
    if source.kind == "int" and target.kind == "float":
        return source.bits < {"f64": 54, "f32": 25, "f16": 12, "bf16": 9}[target.name]
    return target.kind == "float" and source.kind == "float" and source.bits < target.bits


class TensorType:
    """A dtype and a shape; sizes are integers or symbolic dims in normal form."""

    __slots__ = ("_hash", "dtype", "shape")

    def __init__(self, dtype: DType, shape: tuple[DimLike, ...] = ()) -> None:
        self.dtype = dtype
        self.shape = shape
        self._hash = hash((dtype.name, shape))

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> DimLike:
        """The number of elements."""
        total: DimLike = 1
        for d in self.shape:
            total = total * d
        return total

    def with_dtype(self, dtype: DType) -> TensorType:
        return self if dtype is self.dtype else TensorType(dtype, self.shape)

    def with_shape(self, shape: tuple[DimLike, ...]) -> TensorType:
        return TensorType(self.dtype, shape)

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, TensorType) and self._hash == other._hash and self.dtype is other.dtype and self.shape == other.shape
        )

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return f"{self.dtype.name}[{', '.join(map(str, self.shape))}]" if self.shape else self.dtype.name

    def __repr__(self) -> str:
        return f"TensorType({self})"


class TupleType:
    """The type of an op with several results."""

    __slots__ = ("_hash", "items")

    def __init__(self, items: Sequence[TensorType]) -> None:
        self.items = tuple(items)
        self._hash = hash(self.items)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, TupleType) and self.items == other.items)

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.items))})"

    def __repr__(self) -> str:
        return f"TupleType{self}"


Type = TensorType | TupleType


@dataclass(frozen=True, slots=True)
class BroadcastConflict(Exception):
    """Two axes that are aligned, cannot be proved equal, and are neither 1. `proved` tells that they are certainly different."""

    left: int
    right: int
    left_axis: int
    right_axis: int
    left_size: DimLike
    right_size: DimLike
    proved: bool


def broadcast_shapes(shapes: Sequence[tuple[DimLike, ...]], facts: Facts) -> tuple[DimLike, ...]:
    """NumPy's broadcast of shapes; raises `BroadcastConflict` naming the two operands and axes that do not meet."""
    first = shapes[0]
    if all(s == first for s in shapes):
        return first
    rank = max(len(s) for s in shapes)
    result: list[DimLike] = []
    for k in range(rank):
        size: DimLike = 1
        owner, owner_axis = 0, 0
        for number, shape in enumerate(shapes):
            axis = k - (rank - len(shape))
            if axis < 0:
                continue
            d = shape[axis]
            if d == size or d == 1:
                continue
            if size == 1:
                size, owner, owner_axis = d, number, axis
                continue
            equal = facts.equal(d, size)
            if equal is not True:
                raise BroadcastConflict(owner, number, owner_axis, axis, size, d, equal is False)
        result.append(size)
    return tuple(result)


def concrete(shape: Sequence[DimLike]) -> bool:
    """Whether all sizes are integers."""
    return not any(isinstance(d, Dim) for d in shape)
