"""Adding rows at indices is what NumPy's `add.at` does, to the bit, however arrays lie."""

from __future__ import annotations

import numpy as np
import pytest

from dfg.ops.indexed import CHUNK, add_rows


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "i4", "?"])
@pytest.mark.parametrize(("count", "rows", "rest"), [(0, 3, ()), (50, 7, ()), (50, 7, (3,)), (3 * CHUNK, 100, (1,)), (CHUNK, 5, (2, 3)), (4, 3, (2 * CHUNK,)), (6, 4, (0,))])
@pytest.mark.parametrize("lie", ["plain", "strided values", "broadcast values", "strided target", "matrix of indices"])
def test_rows_are_added_as_numpy_does(dtype: str, count: int, rows: int, rest: tuple[int, ...], lie: str) -> None:
    rng = np.random.default_rng(count)
    index = rng.integers(-rows, rows, count)
    values = (rng.normal(size=(count, *rest)) * 5).astype(dtype)
    target = (rng.normal(size=(rows, *rest)) * 5).astype(dtype)
    if lie == "strided values":
        values = np.repeat(values, 2, axis=0)[::2]
    elif lie == "broadcast values":
        values = np.broadcast_to(values[:1] if count else values, values.shape)
    elif lie == "strided target":
        target = np.repeat(target, 2, axis=0)[::2]
    elif lie == "matrix of indices" and count % 2 == 0:
        index, values = index.reshape(2, -1), values.reshape(2, count // 2, *rest)
    want = np.array(target)
    (np.logical_or if dtype == "?" else np.add).at(want, index, values)
    add_rows(target, index, values)
    np.testing.assert_array_equal(target, want)
