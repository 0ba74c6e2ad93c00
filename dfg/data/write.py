"""Writing results in the format that the suffix of the file names.

Everything is checked before the file is touched, and goes through `atomic_write`: the old file or the new one, never half. Equal results
are equal files. What is written reads back to equal arrays, bit by bit (.json keeps NaN and infinities as strings).

>>> write_outputs("results.npz", {"y": np.ones(3)})
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dfg.data.atomic import atomic_write, write_bytes
from dfg.data.common import Array, listed, nearest, refusal, shown
from dfg.data.convert import dtype_name, to_dfg
from dfg.data.params import write_safetensors

OUTPUT_SUFFIXES = (".npz", ".npy", ".json", ".safetensors", ".csv")


def write_npy(stream: BinaryIO, array: Array) -> None:
    """One array as a .npy file (version 1.0, little-endian, C order)."""
    stored = array.astype(array.dtype.newbyteorder("<"), copy=False)
    np.lib.format.write_array_header_1_0(stream, {"descr": np.lib.format.dtype_to_descr(stored.dtype), "fortran_order": False,
                                                  "shape": stored.shape})
    write_bytes(stream, stored)


def _write_npz(stream: BinaryIO, arrays: Mapping[str, Array]) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            # the date is fixed, so that equal results are equal files
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                write_npy(member, array)  # type: ignore[arg-type]


def _scalars(array: Array) -> list[object]:
    """The elements as JSON can hold them: f32 by its shortest text, what is not finite by its name."""
    flat = array.reshape(-1)
    if flat.dtype == np.float32:
        values = [float(str(value)) for value in flat]
    else:
        values = flat.tolist()
    if flat.dtype.kind != "f" or bool(np.isfinite(flat).all()):
        return list(values)
    return [value if np.isfinite(value) else str(value) for value in values]


def json_value(array: Array) -> object:
    """Nested lists; `nan`, `inf` and `-inf`, which JSON has no numbers for, are strings."""
    level: list[object] = _scalars(array)
    if not array.shape:
        return level[0]
    for axis in range(array.ndim - 1, 0, -1):
        size = array.shape[axis]
        count = int(np.prod(array.shape[:axis], dtype=np.int64))
        level = [level[k * size : (k + 1) * size] for k in range(count)]
    return level


def json_outputs(outputs: Mapping[str, Array]) -> dict[str, object]:
    """`{"outputs": {NAME: {"dtype", "shape", "value"}}}`, as `dfg run --json` prints it."""
    arrays = _checked(outputs)
    return {"outputs": {name: {"dtype": dtype_name(a), "shape": list(a.shape), "value": json_value(a)} for name, a in arrays.items()}}


def _texts(array: Array) -> list[str]:
    if array.dtype.kind == "b":
        return ["true" if value else "false" for value in array.tolist()]
    if array.dtype == np.float32:
        return [str(value) for value in array]
    return [repr(value) for value in array.tolist()]


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n\r') else text


def _write_csv(stream: BinaryIO, arrays: Mapping[str, Array], path: Path) -> None:
    columns: dict[str, Array] = {}
    for name, array in arrays.items():
        if array.ndim > 2:
            raise refusal("cannot-write", f"`{shown(name)}` has {array.ndim} axes; a .csv table holds 1 axis (a column) or 2 (several)",
                          help=f"write `{shown(path.with_suffix('.npz'))}`")
        if array.ndim == 2:
            columns.update({f"{name}[{k}]": array[:, k] for k in range(array.shape[1])})
        else:
            columns[name] = array.reshape(-1)
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        first, other = next((a, b) for a in lengths for b in lengths if lengths[a] != lengths[b])
        raise refusal("cannot-write", f"a .csv table has columns of one length, but `{shown(first)}` has {lengths[first]} elements and "
                      f"`{shown(other)}` has {lengths[other]}",
                      help=f"write `{shown(path.with_suffix('.npz'))}`, or choose outputs of one length")
    if not columns:
        raise refusal("cannot-write", "a .csv table needs at least one column")
    stream.write((",".join(map(_cell, columns)) + "\n").encode())
    rows = next(iter(lengths.values()))
    for at in range(0, rows, 65536):
        texts = [_texts(column[at : at + 65536]) for column in columns.values()]
        stream.write("".join(",".join(row) + "\n" for row in zip(*texts, strict=True)).encode())


def _checked(outputs: Mapping[str, Array]) -> dict[str, Array]:
    return {name: to_dfg(np.asarray(array), f"`{shown(name)}`") for name, array in outputs.items()}


def write_outputs(path: str | os.PathLike[str], outputs: Mapping[str, Array]) -> None:
    """Write named results: .npz, .safetensors and .json hold all, .npy the only one, .csv columns of one length."""
    where = Path(path)
    suffix = where.suffix.lower()
    if suffix not in OUTPUT_SUFFIXES:
        near = nearest(suffix, OUTPUT_SUFFIXES) if suffix else None
        raise refusal("unknown-format", f"`{shown(where)}` has {f'the unknown suffix `{shown(suffix)}`' if suffix else 'no suffix'}: "
                      "the suffix chooses the format", help=f"did you mean `{near}`?" if near else "one of " + listed(OUTPUT_SUFFIXES))
    arrays = _checked(outputs)
    if suffix == ".npy" and len(arrays) != 1:
        raise refusal("cannot-write", f"a .npy file holds one array, but there are {len(arrays)} results",
                      help=f"write `{shown(where.with_suffix('.npz'))}`, or choose one output")
    with atomic_write(where) as stream:
        if suffix == ".npz":
            _write_npz(stream, arrays)
        elif suffix == ".npy":
            write_npy(stream, next(iter(arrays.values())))
        elif suffix == ".safetensors":
            write_safetensors(stream, arrays)
        elif suffix == ".json":
            stream.write(json.dumps(json_outputs(arrays), allow_nan=False, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        else:
            _write_csv(stream, arrays, where)
