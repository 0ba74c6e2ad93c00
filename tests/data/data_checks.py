"""Shared by the tests of `dfg.data`: one refusal, equal arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from dfg.data import CODES
from dfg.diagnostics import Diagnostic, UserError

Arr = npt.NDArray[Any]
DTYPES: dict[str, type[np.generic]] = {
    "bool": np.bool_,
    "u8": np.uint8,
    "i32": np.int32,
    "i64": np.int64,
    "f32": np.float32,
    "f64": np.float64,
}


def refused(code: str | tuple[str, ...], call: Callable[..., object], *args: object) -> Diagnostic:
    """The one diagnostic with which a call is refused."""
    with pytest.raises(UserError) as info:
        call(*args)
    assert len(info.value.diagnostics) == 1
    diagnostic = info.value.diagnostics[0]
    assert diagnostic.code in ((code,) if isinstance(code, str) else code), diagnostic
    assert diagnostic.code in CODES
    assert all(c.isprintable() for c in diagnostic.message)
    return diagnostic


def same(found: Arr, want: Arr | np.generic) -> None:
    """Equal in dtype, shape and every element, and C-contiguous."""
    assert found.dtype == want.dtype
    assert found.shape == want.shape
    assert np.array_equal(found, want, equal_nan=want.dtype.kind == "f")
    assert found.flags.c_contiguous
