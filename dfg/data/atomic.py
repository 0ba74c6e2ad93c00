"""Writing a whole file or none.

`atomic_write` writes to a temporary file in the target's folder, makes it durable and renames it: a full disk, a kill at any moment or an
exception leave the old file or the new one, never half a file, and (unless the process was killed) no temporary file.

>>> with atomic_write("a.txt") as stream:
...     stream.write(b"whole")
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dfg.data.common import CHUNK, Array, missing_file, os_refusal, refusal, shown


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary stream whose bytes become the file at `path` when the block ends well, and vanish otherwise."""
    given = Path(path)
    try:
        target, mode = _target(given)
        fd, temporary = tempfile.mkstemp(prefix=f".{target.name[:60]}.", suffix=".tmp", dir=target.parent)
    except OSError as err:
        raise os_refusal(err, given, "write") from None
    except ValueError:
        raise refusal("cannot-write", f"`{shown(given)}` is not a file name: it holds a zero byte") from None
    try:
        with os.fdopen(fd, "wb") as stream:
            yield stream
            stream.flush()
            os.fchmod(stream.fileno(), mode if mode is not None else 0o666 & ~_umask())
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except OSError as err:
        _remove(temporary)
        raise os_refusal(err, given, "write") from None
    except BaseException:
        _remove(temporary)
        raise
    _sync_folder(target.parent)


def check_target(path: str | os.PathLike[str]) -> None:
    """Raise what `atomic_write` would raise at once: a folder that is not there, a name that is a folder's, no permission."""
    given = Path(path)
    try:
        target, _ = _target(given)
        if not os.access(target.parent, os.W_OK):
            raise refusal("cannot-write", f"cannot write `{shown(given)}`: permission denied")
    except OSError as err:
        raise os_refusal(err, given, "write") from None
    except ValueError:
        raise refusal("cannot-write", f"`{shown(given)}` is not a file name: it holds a zero byte") from None


def _target(given: Path) -> tuple[Path, int | None]:
    """The file that is replaced, and its mode if there is one."""
    target = Path(os.path.realpath(given))  # a link stays a link: the file behind it is replaced
    mode = None
    with suppress(FileNotFoundError):
        status = os.stat(target)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise refusal("cannot-write", f"cannot write `{shown(given)}`: it is {kind}")
        mode = stat.S_IMODE(status.st_mode)
        if not os.access(target, os.W_OK):  # renaming would pass over a file that its owner made read-only
            raise refusal("cannot-write", f"cannot write `{shown(given)}`: permission denied")
    if not target.parent.is_dir():
        raise refusal("cannot-write", f"cannot write `{shown(given)}`: there is no folder `{shown(given.parent)}`",
                      help=missing_file(target.parent).diagnostics[0].help)
    return target, mode


def _remove(temporary: str) -> None:
    with suppress(OSError):
        os.unlink(temporary)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Make the rename durable; file systems that cannot are not asked twice."""
    with suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def write_bytes(stream: BinaryIO, array: Array) -> None:
    """The bytes of an array in C order, in pieces (`tofile` hides why a write failed)."""
    if not array.size:
        return
    view: memoryview = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    for at in range(0, len(view), CHUNK):
        stream.write(view[at : at + CHUNK])
