"""From files and texts to programs, and what a program may read: files of its own folder tree, and the standard library.

A text is parsed before anything else is imported. A program that begins with `default exact` is read as exact text, every other is lowered.

>>> loads("input x : f64\\noutput y = 2 * x\\n").outputs
{'y': TensorType(f64)}
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from dfg.diagnostics import Sink, UserError, error
from dfg.source import Source

if TYPE_CHECKING:
    import numpy as np

    from dfg.api.program import Program


LONGEST_PATH = 4096


def load(path: str | os.PathLike[str]) -> Program:
    """The program in a `.dfg` file. Raises `UserError` with everything that is wrong with it."""
    return program_of(read_file(path), Path(path))


def loads(text: str, name: str = "<string>") -> Program:
    """The program in a text; files that it uses are looked up beside the file `name`, or in the current folder."""
    if not isinstance(text, str):
        raise UserError(error("wrong-type", f"a program is a text, not {type(text).__name__}", help="`dfg.load(path)` reads a file"))
    return program_of(Source(name, text))


def read(data: bytes, name: str) -> Program:
    """The program in the bytes of a file or stream."""
    from dfg.frontend.parser import read_source

    sink = Sink()
    source = read_source(data, sink, name)
    if source is None:
        raise UserError(sink.items)
    return program_of(source)


def read_file(path: str | os.PathLike[str]) -> Source:
    """The text of a file, or a diagnostic that proposes the nearest name."""
    from dfg.frontend.parser import read_source

    name = os.fspath(path)
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    if os.path.isdir(name):
        inside = _dfg_files(name)
        raise UserError(error("unreadable-file", f"`{name}` is a folder, not a program",
                              help=f"did you mean `{os.path.join(name, inside[0])}`?" if inside else "give the name of a .dfg file"))
    if "\0" not in name and not os.path.lexists(name):
        raise UserError(error("no-such-file", f"there is no file `{name}`", help=_near(name)))
    sink = Sink()
    source = read_source(name, sink)
    if source is None:
        raise UserError(sink.items)
    return source


def _dfg_files(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry, _ in zip(entries, range(10_000), strict=False) if entry.name.endswith(".dfg"))
    except OSError:
        return []


def _near(name: str) -> str | None:
    from dfg.diagnostics.codes import nearest

    folder, base = os.path.split(name)
    if folder and not os.path.isdir(folder):
        return f"there is no folder `{folder}`"
    candidates = _dfg_files(folder or ".")
    near = nearest(base, candidates) or (f"{base}.dfg" if f"{base}.dfg" in candidates else None)
    return f"did you mean `{os.path.join(folder, near)}`?" if near else None


def program_of(source: Source, path: Path | None = None, files: Files | None = None) -> Program:
    """Parse and lower a source. `files` are those of an earlier version of the same text."""
    from dfg.frontend.parser import parse

    sink = Sink()
    tree = parse(source, sink)
    from dfg.api.program import from_tree

    if files is None:
        files = Files(source, path)
    else:
        files.remember(source, files.folder)
    return from_tree(source, tree, sink, files, path)


class Files:
    """Where a program's `use` and `load` find their files: relative to the file that asks, and never outside the program's folder tree."""

    def __init__(self, main: Source, path: Path | None = None) -> None:
        self._folders: dict[int, Path] = {}
        self._known: dict[Path, Source] = {}
        self._kept: list[Source] = []
        given = path if path is not None else None if main.name.startswith("<") else Path(main.name)
        try:
            self.folder = Path.cwd() if given is None else given.absolute().parent
        except OSError:
            self.folder = Path()
        self.remember(main, self.folder)

    def remember(self, source: Source, folder: Path) -> None:
        """`source` lies in `folder`."""
        self._folders[id(source)] = folder
        self._kept.append(source)

    def source(self, path: str, asking: Source) -> Source:
        """The text of a file, by its path as written in `asking`."""
        real = self._real(path, asking)
        found = self._known.get(real)
        if found is None:
            found = self._known[real] = read_file(_shown(real))
            self.remember(found, real.parent)
        return found

    def module(self, name: str) -> Source | None:
        """The text of a module of the standard library, or None."""
        from dfg.frontend.lowering.modules import std_module

        return std_module(name)

    def array(self, path: str, asking: Source) -> np.ndarray:
        """The array of `load("table.npy")` or `load("file.npz:key")`."""
        from dfg.data import read_file as read_array

        file, colon, key = path.partition(":")
        return read_array(f"{self._real(file, asking)}{colon}{key}", base=self.folder, confined=True)

    def _real(self, path: str, asking: Source) -> Path:
        if len(path) > LONGEST_PATH:
            raise UserError(error("no-such-file", f"a path of {len(path):,} characters names no file", help=f"it begins with `{path[:40]}`"))
        root = Path(os.path.realpath(self.folder))
        real = Path(os.path.realpath(self._folders.get(id(asking), self.folder) / path)) if "\0" not in path else Path("/")
        if os.path.isabs(path) or not real.is_relative_to(root):
            raise UserError(error("outside-folder", f"`{path}` lies outside the program's folder",
                                  help="copy the file next to the program that reads it, and name it relative to that program"))
        return real


def _shown(path: Path) -> str:
    """A file as messages name it: relative to the current folder, if it lies there."""
    try:
        return str(path.relative_to(Path.cwd().resolve()))
    except (ValueError, OSError):
        return str(path)
