"""NumPy's own files: `.npy` arrays and `.npz` archives, read without NumPy's loader.

The header is matched by a small grammar (no `literal_eval`), the declared shape is compared with what the file holds before anything is
allocated, and an archive's members are compared with the limit by their declared sizes, so that a zip bomb is refused unread. Python
objects are never loaded.

>>> read_npz(stream, size, "data.npz", key="x")["x"].shape
(2, 3)
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np

from dfg.data.common import (
    FORMAT_NAMES,
    Array,
    check_bool,
    check_shape,
    check_size,
    fill,
    listed,
    nearest,
    refusal,
    shown,
    sniff,
    take,
    truncated,
)
from dfg.data.convert import refuse_dtype
from dfg.diagnostics import UserError

MAGIC = b"\x93NUMPY"
MAX_HEADER = 1 << 16
MAX_MEMBERS = 100_000
_ENTRY = re.compile(r"""\s*(['"])(descr|fortran_order|shape)\1\s*:\s*(?:(['"])([^'"]*)\3|(True|False)|\(([\d\s,L]*)\))\s*(,|(?=\}))""")
_DESCR = re.compile(r"([<>|=]?)([a-zA-Z?])(\d{0,9})(\[[A-Za-z]{1,2}\])?")


def bad_format(what: str, wanted: str, head: bytes) -> UserError:
    """A file whose bytes are not those of its format, with what they look like instead."""
    found = sniff(head)
    help = f"its first bytes are those of {FORMAT_NAMES[found]}" if found and found != wanted else None
    return refusal("bad-file", f"{what} is not {FORMAT_NAMES[wanted]}" if head else f"{what} is empty", help=help)


def _parse_header(text: str, what: str) -> tuple[str, bool, tuple[int, ...]]:
    body = text.strip()
    if re.search(r"['\"]descr['\"]\s*:\s*[\[(]", body):
        raise refusal("wrong-dtype", f"{what} holds records, not booleans or numbers", help="save each field as an array of its own")
    found: dict[str, tuple[str | None, str | None, str | None]] = {}
    at = 1
    while body[:1] == "{":
        match = _ENTRY.match(body, at)
        if match is None:
            break
        if match[2] in found:
            raise refusal("bad-file", f"the header of {what} says `{match[2]}` twice")
        found[match[2]] = (match[4], match[5], match[6])
        at = match.end()
    if body[:1] != "{" or body[at:].strip() != "}" or len(found) != 3:
        raise refusal("bad-file", f"the header of {what} is damaged: `{shown(body)}`")
    descr, order, sizes = found["descr"][0], found["fortran_order"][1], found["shape"][2]
    if descr is None or order is None or sizes is None:
        raise refusal("bad-file", f"the header of {what} is damaged: `{shown(body)}`")
    parts = [part.strip().removesuffix("L") for part in sizes.split(",")]  # `3L` was written by Python 2
    if parts and parts[-1] == "":
        parts.pop()
    if any(re.fullmatch(r"\d{1,19}", part) is None for part in parts):
        raise refusal("bad-file", f"the header of {what} declares the shape `({shown(sizes)})`")
    return descr, order == "True", tuple(int(part) for part in parts)


def _dtype(descr: str, what: str) -> np.dtype[np.generic]:
    match = _DESCR.fullmatch(descr)
    try:
        if match is None:
            raise TypeError
        dtype: np.dtype[np.generic] = np.dtype(descr)
    except (TypeError, ValueError):
        raise refusal("bad-file", f"the header of {what} declares an unknown dtype `{shown(descr)}`") from None
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise refuse_dtype(dtype, what)
    return dtype


def read_npy(stream: BinaryIO, size: int, what: str) -> Array:
    """The array of a `.npy` file of `size` bytes, in native byte order."""
    head = stream.read(min(8, max(size, 0)))
    if head[:6] != MAGIC:
        raise bad_format(what, "npy", head + stream.read(8))
    if len(head) < 8 or head[6] not in (1, 2, 3):
        raise refusal("bad-file", f"{what} is a .npy file of the unknown version {head[6] if len(head) > 6 else '?'}")
    width = 2 if head[6] == 1 else 4
    length = int.from_bytes(take(stream, width, what), "little")
    start = 8 + width + length
    if length > MAX_HEADER:
        raise refusal("bad-file", f"the header of {what} declares {length} bytes; the most is {MAX_HEADER}")
    header = take(stream, length, what).decode("latin1" if head[6] < 3 else "utf-8", "replace")
    descr, fortran, shape = _parse_header(header, what)
    dtype = _dtype(descr, what)
    wanted, held = check_shape(shape, dtype.itemsize, what), size - start
    if wanted > held:
        raise truncated(what, wanted, max(held, 0))
    if wanted < held:
        raise refusal("bad-file", f"{what} declares {wanted} bytes of data, but {held} follow: there is more than one array in it",
                      help="save several arrays with `np.savez`")
    array: Array = np.empty(shape[::-1] if fortran else shape, np.uint8 if dtype.kind == "b" else dtype)
    if wanted:
        fill(stream, array, what)
    if dtype.kind == "b":
        array = check_bool(array.view(np.uint8), what)
    elif not dtype.isnative:
        array = array.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return np.ascontiguousarray(array.T).reshape(shape) if fortran else array


@contextmanager
def _zip_errors(what: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError,
            UnicodeError, KeyError, IndexError) as err:
        raise refusal("bad-file", f"{what} is damaged: {shown(err) or type(err).__name__}") from None


def _members(archive: zipfile.ZipFile, what: str) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise refusal("too-large", f"{what} has {len(infos)} members; the most is {MAX_MEMBERS}")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        key = info.filename.removesuffix(".npy")
        if key in members:
            raise refusal("duplicate-key", f"{what} holds two arrays called `{shown(key)}`", help="save each array under a name of its own")
        members[key] = info
    return members


def _check_member(info: zipfile.ZipInfo, label: str) -> None:
    if info.flag_bits & 1:
        raise refusal("bad-file", f"{label} is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise refusal("bad-file", f"{label} is compressed by the method {info.compress_type}; .npz files are stored or deflated")
    if not info.filename.endswith(".npy"):
        raise refusal("bad-file", f"{label} is not a .npy array", help="make .npz files with `np.savez`")


def read_npz(stream: BinaryIO, size: int, what: str, key: str | None = None, prefer: str | None = None) -> dict[str, Array]:
    """The arrays of an archive by name: all of them; or the one called `key`; or (no key, `prefer` given) `prefer`'s or the only one."""
    check_size(size, what)
    with _zip_errors(what):
        head = stream.read(8)
        if sniff(head) != "npz":
            raise bad_format(what, "npz", head)
        stream.seek(0)
        with zipfile.ZipFile(stream) as archive:
            members = _members(archive, what)
            wanted = choose(list(members), key, prefer, what)
            check_size(sum(members[name].file_size for name in wanted), what)
            arrays: dict[str, Array] = {}
            for name in wanted:
                info, label = members[name], f"{what}:{shown(name)}"
                _check_member(info, label)
                with archive.open(info) as member:
                    arrays[name] = read_npy(member, info.file_size, label)  # type: ignore[arg-type]
                    member.read(1)  # reaching the end checks the CRC
            return arrays


def choose(names: list[str], key: str | None, prefer: str | None, what: str) -> list[str]:
    """Which names of a container are meant (see `read_npz`)."""
    if key is not None:
        for candidate in (key, key.removesuffix(".npy")):
            if candidate in names:
                return [candidate]
        near = nearest(key, names)
        raise refusal("missing-key", f"{what} holds no array called `{shown(key)}`",
                      help=f"did you mean `{shown(near)}`?" if near else f"it holds {listed(names)}" if names else "it holds no array")
    if prefer is None:
        return names
    if prefer in names:
        return [prefer]
    if len(names) != 1:
        none = f", none called `{shown(prefer)}`" if prefer else ""
        raise refusal("missing-key", f"{what} holds {len(names)} arrays{none}: which is meant?",
                      help=f"write `{what}:KEY`; it holds {listed(names)}" if names else None)
    return names
