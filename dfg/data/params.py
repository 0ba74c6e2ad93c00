"""Named arrays in safetensors files: saved parameters.

The format is eight bytes of length, a JSON header (dtype, shape and byte range of each array) and the bytes; it holds numbers only and
runs nothing. Reading checks that the ranges lie in the file, do not overlap and have the size that their shapes say.

>>> save_params("w.safetensors", {"w": np.ones(3)}, {"step": "10"}); load_params("w.safetensors")["w"].shape
(3,)
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dfg.data.atomic import atomic_write, write_bytes
from dfg.data.common import Array, check_bool, check_shape, check_size, fill, listed, nearest, opened, refusal, shown, take, truncated
from dfg.data.convert import fit, to_dfg
from dfg.data.npz import bad_format, choose, read_npz

MAX_HEADER = 100_000_000
_DTYPES = {"BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32", "U64": "uint64",
           "I64": "int64", "F16": "float16", "F32": "float32", "F64": "float64"}
_NAMES = {numpy: name for name, numpy in _DTYPES.items()}
_METADATA = "__metadata__"


class _Twice(ValueError):
    pass


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        raise _Twice(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return found


def _header(stream: BinaryIO, size: int, what: str) -> tuple[dict[str, object], int]:
    check_size(size, what)
    head = stream.read(8)
    length = int.from_bytes(head, "little")
    if len(head) < 8 or length > MAX_HEADER or length > size - 8:
        raise bad_format(what, "safetensors", head + stream.read(8))
    try:
        header = json.loads(take(stream, length, what), object_pairs_hook=_pairs)
    except _Twice as err:
        raise refusal("duplicate-key", f"{what} holds two entries called `{shown(err)}`") from None
    except (ValueError, RecursionError):
        raise bad_format(what, "safetensors", head) from None
    if not isinstance(header, dict):
        raise bad_format(what, "safetensors", head)
    return header, 8 + length


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _entry(entry: object, what: str) -> tuple[str, tuple[int, ...], int, int]:
    if isinstance(entry, dict):
        name, shape, place = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
        if (isinstance(name, str) and isinstance(shape, list) and all(map(_is_size, shape)) and isinstance(place, list) and len(place) == 2
                and all(map(_is_size, place)) and place[0] <= place[1]):
            if name != "BF16" and name not in _DTYPES:
                raise refusal("wrong-dtype", f"{what} has the dtype {shown(name)}, which dfg does not read",
                              help="save it as F32 or F64")
            wanted = check_shape(shape, 2 if name == "BF16" else np.dtype(_DTYPES[name]).itemsize, what)
            if wanted != place[1] - place[0]:
                raise refusal("bad-file", f"{what} has a shape of {wanted} bytes, but a place of {place[1] - place[0]}")
            return name, tuple(shape), place[0], place[1]
    raise refusal("bad-file", f"the header of {what} is damaged")


def read_safetensors(stream: BinaryIO, size: int, what: str, key: str | None = None, prefer: str | None = None) -> dict[str, Array]:
    """The arrays of a file by name; `key` and `prefer` as for `read_npz`."""
    header, start = _header(stream, size, what)
    header.pop(_METADATA, None)
    entries = {name: _entry(entry, f"{what}:{shown(name)}") for name, entry in header.items()}
    at = 0
    for name, (_, _, begin, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if begin < at:
            raise refusal("bad-file", f"in {what} the bytes of `{shown(name)}` overlap another array's")
        at = end
    if at > size - start:
        raise truncated(what, at, size - start)
    arrays: dict[str, Array] = {}
    for name in choose(list(entries), key, prefer, what):
        dtype, shape, begin, _ = entries[name]
        stream.seek(start + begin)
        stored = {"BF16": "uint16", "BOOL": "uint8"}.get(dtype) or _DTYPES[dtype]
        array: Array = np.empty(shape, np.dtype(stored).newbyteorder("<"))
        if array.size:
            fill(stream, array, what)
        if dtype == "BF16":  # the upper half of an f32
            array = (array.astype(np.uint32) << 16).view(np.float32)
        elif dtype == "BOOL":
            array = check_bool(array.view(np.uint8), f"{what}:{shown(name)}")
        arrays[name] = array.astype(array.dtype.newbyteorder("="), copy=False)
    return arrays


def write_safetensors(stream: BinaryIO, arrays: Mapping[str, Array], meta: Mapping[str, str] | None = None) -> None:
    """Write arrays, the widest dtypes first so that each lies aligned, under a header in the order given."""
    stored: dict[str, Array] = {}
    for name, array in arrays.items():
        if name == _METADATA:
            raise refusal("cannot-write", f"an array cannot be called `{_METADATA}` in a safetensors file")
        native = to_dfg(np.asarray(array), f"`{shown(name)}`")
        stored[name] = native.astype(native.dtype.newbyteorder("<"), copy=False)
    order = sorted(stored, key=lambda name: (-stored[name].dtype.itemsize, name))
    place: dict[str, list[int]] = {}
    at = 0
    for name in order:
        place[name] = [at, at + stored[name].nbytes]
        at += stored[name].nbytes
    header: dict[str, object] = {_METADATA: {str(key): str(value) for key, value in meta.items()}} if meta else {}
    for name, array in stored.items():
        header[name] = {"dtype": _NAMES[array.dtype.name], "shape": list(array.shape), "data_offsets": place[name]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise refusal("too-large", f"the names and shapes of {len(stored)} arrays take {len(text)} bytes; the most is {MAX_HEADER}")
    stream.write(len(text).to_bytes(8, "little") + text)
    for name in order:
        write_bytes(stream, stored[name])


def save_params(path: str | os.PathLike[str], arrays: Mapping[str, Array], meta: Mapping[str, str] | None = None) -> None:
    """Save named arrays and a few words about them; the old file or the new one, never half."""
    with atomic_write(path) as stream:
        write_safetensors(stream, arrays, meta)


def load_params(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The arrays of a safetensors file, or of an .npz archive, in dfg's dtypes."""
    where = Path(path)
    with opened(where) as (stream, size):
        read = read_npz if where.suffix.lower() == ".npz" else read_safetensors
        return {name: to_dfg(array, f"{shown(where)}:{shown(name)}") for name, array in read(stream, size, shown(where)).items()}


def load_meta(path: str | os.PathLike[str]) -> dict[str, str]:
    """The words that `save_params` was given."""
    where = Path(path)
    with opened(where) as (stream, size):
        meta = _header(stream, size, shown(where))[0].get(_METADATA, {})
    if not isinstance(meta, dict) or not all(isinstance(value, str) for value in meta.values()):
        raise refusal("bad-file", f"the metadata of {shown(where)} is damaged")
    return meta


def match_params(wanted: Mapping[str, tuple[str, tuple[int | None, ...]]], found: Mapping[str, Array], origin: str) -> dict[str, Array]:
    """Parameters of a program from those of a checkpoint: every wanted one must be there, with its type; others are ignored."""
    missing = [name for name in wanted if name not in found]
    if missing:
        near = nearest(missing[0], [name for name in found if name not in wanted])
        raise refusal("missing-key", f"{origin} holds no value of {listed(missing)}",
                      help=f"did you mean `{shown(near)}`?" if near else f"it holds {listed(found)}" if found else "it holds no array")
    return {name: fit(found[name], dtype=dtype, shape=shape, name=name, origin=f"{origin}:{name}")
            for name, (dtype, shape) in wanted.items()}
