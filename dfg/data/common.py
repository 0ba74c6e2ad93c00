"""What every reader and writer here shares: limits, safe opening, and the wording of refusals.

Invariants: only regular files are opened (never a device, a FIFO or a folder, also not through a link); nothing is read before its
declared size was compared with the file's size and with the limit `DFG_MAX_BYTES` (8 GiB unless the environment says otherwise);
whatever goes wrong is one `UserError` with one diagnostic.

>>> shown("a\\nb")
'a\\\\nb'
"""

from __future__ import annotations

import difflib
import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from dfg.diagnostics import Label, UserError, error
from dfg.source import Span

Array = npt.NDArray[Any]
Shape = Sequence["int | None"]
"""A wanted shape: None where any size will do."""

NUMPY_OF = {"bool": "bool", "u8": "uint8", "i32": "int32", "i64": "int64", "f32": "float32", "f64": "float64"}
"""dfg's dtype names, in the order of promotion, and NumPy's."""
RANK = {name: k for k, name in enumerate(NUMPY_OF)}
MAX_AXES = 64
DEFAULT_MAX_BYTES = 8 << 30
CHUNK = 1 << 22


def refusal(code: str, message: str, span: Span | None = None, *, help: str | None = None, notes: Sequence[str] = (),
            labels: Sequence[Label] = ()) -> UserError:
    """The exception of one error diagnostic."""
    return UserError(error(code, message, span, help=help, notes=notes, labels=labels))


def shown(text: object, most: int = 80) -> str:
    """Text from outside as it may stand in a message: one line, no control characters, not long."""
    raw = str(text)
    cut = raw if len(raw) <= most else raw[: most - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode("ascii", "replace") for c in cut)


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like `word`, if one is like it at all."""
    by_lower: dict[str, str] = {}
    for candidate in candidates:
        by_lower.setdefault(candidate.lower(), candidate)
    found = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def listed(names: Iterable[str], most: int = 12) -> str:
    """`a`, `b`, `c` and so on, with the rest counted."""
    every = [f"`{shown(name, 40)}`" for name in names]
    rest = len(every) - most
    return ", ".join(every[:most]) + (f" and {rest} more" if rest > 0 else "")


def max_bytes() -> int:
    """The most bytes that one file, standard input or the arrays of one archive may take (`DFG_MAX_BYTES`)."""
    text = os.environ.get("DFG_MAX_BYTES")
    if text is None:
        return DEFAULT_MAX_BYTES
    match = re.fullmatch(r"\s*(\d{1,18})\s*([kmgt]?)(i?b)?\s*", text, re.IGNORECASE)
    if match is None:
        raise refusal("bad-limit", f"the environment variable DFG_MAX_BYTES is `{shown(text)}`, which is not a number of bytes",
                      help="write a whole number, such as 8589934592 or 8GiB")
    return int(match[1]) << (10 * " kmgt".index(match[2].lower() or " "))


def in_bytes(size: int) -> str:
    """A size for people: 1.5 GiB."""
    if size < 1024:
        return f"{size} bytes"
    value = float(min(size, 1 << 1000))
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 1024 or unit == "TiB":
            break
    return f"{value:.3g} {unit}" if value < 1e6 else f"more than 1e6 {unit}"


def check_size(size: int, what: str) -> None:
    """Refuse what is larger than the limit, before anything is allocated."""
    limit = max_bytes()
    if size > limit:
        raise refusal("too-large", f"{what} takes {in_bytes(size)}, more than the limit of {in_bytes(limit)}",
                      help="set the environment variable DFG_MAX_BYTES to allow more")


def element_count(shape: Sequence[int]) -> int:
    """The number of elements, exact for any size."""
    count = 1
    for size in shape:
        count *= size
    return count


def check_shape(shape: Sequence[int], itemsize: int, what: str) -> int:
    """The bytes that a declared shape takes, or a refusal if no array can have it or the limit forbids it."""
    if len(shape) > MAX_AXES:
        raise refusal("bad-file", f"{what} declares {len(shape)} axes; an array has at most {MAX_AXES}")
    # NumPy refuses an array whose non-empty axes alone overflow, also when another axis is empty
    if any(size < 0 for size in shape) or element_count([size for size in shape if size]) * itemsize >= 1 << 62:
        raise refusal("bad-file", f"{what} declares the shape {shown(list(shape))}, which no array can have")
    size = element_count(shape) * itemsize
    check_size(size, what)
    return size


def type_text(dtype: str | None, shape: Shape | None) -> str:
    """A wanted type as people write it: f32[?, 3]."""
    sizes = "" if shape is None or not len(shape) else "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"
    return f"{dtype or 'an array '}{sizes}".strip()


def is_regular(path: Path) -> bool:
    """Is there a regular file (also through a link)? Never raises."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def exists(path: Path) -> bool:
    """Is there anything under this name? Never raises."""
    try:
        os.stat(path)
    except (OSError, ValueError):
        return False
    return True


def _kind_of(mode: int) -> str:
    for test, name in ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
                       (stat.S_ISSOCK, "a socket")):
        if test(mode):
            return name
    return "not a regular file"


def missing_file(path: Path) -> UserError:
    """There is no such file: which name in its folder is meant?"""
    names: list[str] = []
    try:
        with os.scandir(path.parent) as entries:
            for entry in entries:
                names.append(entry.name)
                if len(names) >= 10_000:
                    break
        place = None
    except OSError:
        place = f"there is no folder `{shown(path.parent)}`"
    near = nearest(path.name, names)
    help = place or (f"did you mean `{shown(path.parent / near, 1000)}`?" if near else None)
    return refusal("no-such-file", f"there is no file `{shown(path)}`", help=help)


def os_refusal(err: OSError, path: Path, verb: str = "read") -> UserError:
    """What the operating system said, as a diagnostic."""
    if verb == "read" and isinstance(err, FileNotFoundError):
        return missing_file(path)
    said = {errno.EACCES: "permission denied", errno.EPERM: "permission denied", errno.ENOSPC: "no space is left on the disk",
            errno.EDQUOT: "the disk quota is used up", errno.EFBIG: "the file would be larger than allowed",
            errno.EROFS: "the file system is read-only"}.get(err.errno or 0) or err.strerror or shown(err) or type(err).__name__
    return refusal("cannot-write" if verb == "write" else "cannot-read", f"cannot {verb} `{shown(path)}`: {said}")


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """A regular file for reading and its size; whatever the system or memory refuses, then or later, is a diagnostic."""
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise refusal("cannot-read", f"`{shown(path)}` is {_kind_of(mode)}; only regular files are read",
                          help="for a stream, write `-` and send it to standard input" if not stat.S_ISDIR(mode) else None)
        # O_NONBLOCK: a FIFO that took the file's place meanwhile must not block; fstat then refuses it
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(fd, "rb") as stream:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise refusal("cannot-read", f"`{shown(path)}` is {_kind_of(status.st_mode)}; only regular files are read")
            yield stream, status.st_size
    except OSError as err:
        raise os_refusal(err, path) from None
    except MemoryError:
        raise refusal("too-large", f"`{shown(path)}` does not fit into memory") from None
    except ValueError as err:
        if "null byte" not in str(err):
            raise
        raise refusal("cannot-read", f"`{shown(path)}` is not a file name: it holds a zero byte") from None


def confine(path: Path, base: Path) -> Path:
    """The file that `path` really is, which must lie in the folder tree of `base` (links followed)."""
    real, root = Path(os.path.realpath(path)), Path(os.path.realpath(base))
    if not real.is_relative_to(root):
        raise refusal("outside-folder", f"`{shown(path)}` lies outside the folder `{shown(root)}`",
                      help="copy the file next to the program that reads it")
    return real


def truncated(what: str, wanted: int, found: int) -> UserError:
    """A file that ends too early."""
    return refusal("bad-file", f"{what} ends too early: {wanted} bytes are declared, {found} are there",
                   help="the file was cut off while it was written or copied; make it again")


def take(stream: BinaryIO, count: int, what: str) -> bytes:
    """Exactly `count` bytes."""
    data = stream.read(count)
    if len(data) != count:
        raise truncated(what, count, len(data))
    return data


def fill(stream: BinaryIO, array: Array, what: str) -> None:
    """Read a C-contiguous array's bytes from a stream, in pieces, so that nothing is held twice."""
    view: memoryview = array.reshape(-1).view(np.uint8).data
    at = 0
    while at < len(view):
        piece = stream.read(min(CHUNK, len(view) - at))
        if not piece:
            raise truncated(what, len(view), at)
        view[at : at + len(piece)] = piece
        at += len(piece)


def check_bool(raw: npt.NDArray[np.uint8], what: str) -> npt.NDArray[np.bool_]:
    """Bytes as booleans; a byte that is neither 0 nor 1 would make NumPy give different answers in different operations."""
    if raw.size and int(raw.max()) > 1:
        raise refusal("bad-file", f"{what} is declared bool, but holds bytes other than 0 and 1")
    return raw.view(np.bool_)


_MAGIC = ((b"\x93NUMPY", "npy"), (b"PK\x03\x04", "npz"), (b"PK\x05\x06", "npz"), (b"\x89PNG\r\n\x1a\n", "image"),
          (b"\xff\xd8\xff", "image"), *((bytes([0x80, version]), "pickle") for version in range(2, 6)))
FORMAT_NAMES = {"npy": "a NumPy .npy file", "npz": "an .npz archive", "image": "an image", "pickle": "a pickle", "csv": "a table",
                "cifar": "a CIFAR binary batch", "safetensors": "a safetensors file"}


def sniff(head: bytes) -> str | None:
    """The format that the first bytes tell, if they tell one."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if len(head) >= 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32:
        return "safetensors"
    return None
