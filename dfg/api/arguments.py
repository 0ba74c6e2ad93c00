"""What a caller gives, as an array of a declared type.

Numbers and lists are literals: they take the declared dtype if it is of their kind or above. Arrays keep their dtype and are converted only where no value
can change; of another library they come through DLPack or NumPy's protocols, without a copy where that is possible.

>>> as_array([1, 2], F32, "x", (None,))
array([1., 2.], dtype=float32)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dfg.diagnostics import UserError, error
from dfg.types import BOOL, F32, F64, I64, KIND_ORDER, DType

__all__ = ["F32", "as_array"]

_LITERALS = (bool, int, float, list, tuple, range)


def as_array(value: Any, dtype: DType, name: str, shape: Sequence[int | None] | None = None) -> np.ndarray:
    """`value` as an array of a dtype; `shape` is the declared one, with None where any size will do."""
    if type(value) is np.ndarray and value.dtype is dtype.np:
        array = value
    elif isinstance(value, _LITERALS):
        array = _literal(value, dtype, name)
    else:
        array = _foreign(value, name)
        if array.dtype != dtype.np:
            from dfg.data import fit

            return fit(array, dtype=dtype.name, shape=shape, name=name, origin="the value given")
    if shape is not None and (array.ndim != len(shape) or any(want is not None and want != got for want, got in zip(shape, array.shape, strict=True))):
        from dfg.data import fit

        return fit(array, dtype=dtype.name, shape=shape, name=name, origin="the value given")
    return array


def _literal(value: Any, dtype: DType, name: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError, RecursionError) as wrong:
        raise UserError(error("ragged-literal", f"the value of `{name}` is no array: {str(wrong).splitlines()[0]}",
                              help="lists in a list have one length")) from None
    if array.size == 0 and array.dtype == np.float64:
        return array.astype(dtype.np)
    if array.dtype.kind not in "biuf":
        raise UserError(error("wrong-dtype", f"the value of `{name}` holds {array.dtype}, not booleans or numbers"))
    kind = {"b": BOOL, "f": F64}.get(array.dtype.kind, I64).kind
    if KIND_ORDER[kind] > KIND_ORDER[dtype.kind]:
        raise UserError(error("wrong-dtype", f"`{name}` wants {dtype}, but the value given is a {kind}",
                              help=f"convert it, or declare `{name}` as {'f64' if kind == 'float' else 'i64'}"))
    with np.errstate(all="ignore"):
        cast = array.astype(dtype.np)
        lost = cast != array if dtype.kind == "int" else np.isinf(cast) & np.isfinite(array) if dtype.kind == "float" else np.zeros((), bool)
    if np.any(lost):
        raise UserError(error("does-not-fit", f"{array[lost].reshape(-1)[0]} does not fit {dtype}, the dtype of `{name}`"))
    return cast


def _foreign(value: Any, name: str) -> np.ndarray:
    """An array or number of NumPy, or of a library that speaks DLPack or NumPy's protocols."""
    if isinstance(value, np.ndarray):
        return value.view(np.ndarray)
    if isinstance(value, np.generic):
        return np.asarray(value)
    try:
        if hasattr(value, "__dlpack__"):
            try:
                return np.from_dlpack(value)
            except (BufferError, TypeError, RuntimeError, ValueError, AttributeError):
                if not hasattr(value, "__array__"):
                    raise
        if hasattr(value, "__array__") or hasattr(value, "__array_interface__") or isinstance(value, memoryview | bytearray):
            return np.asarray(value)
    except Exception as wrong:
        raise UserError(error("wrong-type", f"the value of `{name}`, a {type(value).__name__}, gives no array: {wrong}",
                              help="copy it to the memory of the host, detached from other computations")) from None
    raise UserError(error("wrong-type", f"the value of `{name}` is a {type(value).__name__}, not an array", help="give a number, a list or an array"))
