"""The VALUE of `--input NAME=VALUE`: a literal, a file or standard input, as an array of the wanted type.

    0.5   [1, 2]   true            a literal
    x.npy   x.npz:key   x.safetensors:key
    x.csv   x.csv:column           a table, or one column of it
    x.png   x.jpg                  uint8 [h, w, 3] or [h, w]
    x.bin   x.bin:labels           a CIFAR batch, also the pickled layout (`data_batch_1:labels`)
    -   -:key                      standard input: the text of a literal, or the bytes of one of the files above

What is a literal is read as one; `./0.5` is a file. The first colon after an existing file's name separates the key.

>>> read_value("[1, 2]", dtype="f32", shape=(None,))
array([1., 2.], dtype=float32)
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np

from dfg.data import cifar
from dfg.data.common import (
    Array,
    Shape,
    check_size,
    confine,
    exists,
    in_bytes,
    is_regular,
    listed,
    max_bytes,
    missing_file,
    nearest,
    opened,
    refusal,
    shown,
    sniff,
    take,
)
from dfg.data.convert import check_shape_of, fit
from dfg.data.csv import read_table
from dfg.data.images import read_image
from dfg.data.literal import MAX_TEXT, WORDS, is_scalar_literal, parse_literal
from dfg.data.npz import read_npy, read_npz
from dfg.data.params import read_safetensors
from dfg.source import Source, Span

SUFFIXES = {".npy": "npy", ".npz": "npz", ".csv": "csv", ".png": "image", ".jpg": "image", ".jpeg": "image", ".bin": "cifar",
            ".safetensors": "safetensors", ".pkl": "pickle", ".pickle": "pickle"}
_WITH_KEY = ("npz", "csv", "cifar", "safetensors", "pickle")
_LOOKS_LIKE_FILE = re.compile(r"[/\\]|\.(npy|npz|csv|png|jpe?g|bin|safetensors|pkl|pickle)(:|$)", re.IGNORECASE)

Stdin = BinaryIO | TextIO | bytes | str | None


def read_value(text: str, *, dtype: str | None = None, shape: Shape | None = None, stdin: Stdin = None, base: Path | None = None,
               name: str = "") -> Array:
    """The array that VALUE means, of the wanted dtype and shape where they are given; a diagnostic otherwise.

    `stdin` replaces the process's standard input, `base` the folder in which relative names are looked up, `name` is the input's.
    """
    value = text.strip()
    if value == "-" or value.startswith("-:"):
        return _read_stdin(value[2:] or None, stdin, dtype, shape, name)
    if not value or value[0] == "[" or is_scalar_literal(value):
        return _literal(text, dtype, shape, name)
    path = _split(value, base)[0]
    if exists(path) or _LOOKS_LIKE_FILE.search(value):
        return read_file(value, dtype=dtype, shape=shape, base=base, name=name)
    if re.match(r"[+-]?\s*\.?\d", value) or value.lower() in (*WORDS, "+inf", "-inf", "-nan", "-pi", "+pi"):
        return _literal(text, dtype, shape, name)
    near = missing_file(path).diagnostics[0].help
    word = nearest(value, WORDS)
    raise refusal("bad-literal", f"`{shown(value)}` is neither a literal nor a file", Span(Source(_origin(name), text), 0, len(text)),
                  help=near or (f"did you mean `{word}`?" if word else "a number, `true`, `false`, a list such as `[1, 2]`, or a file "
                                "such as `x.npy`"))


def read_file(text: str, *, dtype: str | None = None, shape: Shape | None = None, base: Path | None = None, name: str = "",
              confined: bool = False) -> Array:
    """The array of `FILE` or `FILE:key`; with `confined` the file must lie in the folder tree of `base`."""
    path, key = _split(text, base)
    if confined:
        path = confine(path, base or Path())
    with opened(path) as (stream, size):
        head = stream.read(16)
        stream.seek(0)
        form = SUFFIXES.get(path.suffix.lower()) or sniff(head)
        if form is None:
            near = nearest(path.suffix, SUFFIXES) if path.suffix else None
            raise refusal("unknown-format", f"`{shown(path)}` is in no format that is read here",
                          help=f"did you mean `{near}`?" if near else "files are " + listed(SUFFIXES))
        return _load(stream, size, form, shown(path, 200), key, dtype, shape, name)


def read_inputs(path: str | os.PathLike[str], *, wanted: Mapping[str, tuple[str | None, Shape | None]] | None = None,
                stdin: Stdin = None) -> dict[str, Array]:
    """All arrays of an .npz or .safetensors file (`-`: standard input) by name, in dfg's dtypes; those in `wanted` as the wanted types.

    Names that no input has are returned too: the caller knows the inputs and says what is wrong.
    """
    where = Path(path)
    what = shown(where, 200)
    with _stdin_stream(stdin) if what == "-" else opened(where) as (stream, size):
        what = "standard input" if what == "-" else what
        head = stream.read(16)
        stream.seek(0)
        form = SUFFIXES.get(where.suffix.lower()) or sniff(head)
        if form == "safetensors":
            found = read_safetensors(stream, size, what)
        elif form == "npz":
            found = read_npz(stream, size, what)
        else:
            raise refusal("unknown-format", f"{what} cannot bind inputs by name: that takes an .npz or .safetensors file",
                          help=f"for one input, write `--input NAME={shown(where, 200)}`")
    arrays: dict[str, Array] = {}
    for name, array in found.items():
        dtype, shape = (wanted or {}).get(name, (None, None))
        arrays[name] = fit(array, dtype=dtype, shape=shape, name=name, origin=f"{what}:{shown(name)}")
    return arrays


def _origin(name: str) -> str:
    return f"--input {shown(name)}" if name else "<literal>"


def _literal(text: str, dtype: str | None, shape: Shape | None, name: str) -> Array:
    literal = parse_literal(text, _origin(name))
    array = literal.to_array(dtype)
    check_shape_of(array, dtype, shape, name, "the literal", Span(literal.source, 0, len(text)))
    return array


def _split(value: str, base: Path | None) -> tuple[Path, str | None]:
    """The file and the key. A colon may stand in a file's name or in a key: the shortest prefix that is a file wins."""
    folder = base or Path()
    whole = folder / os.path.expanduser(value)
    if ":" not in value or is_regular(whole):
        return whole, None
    colons = [match.start() for match in re.finditer(":", value[:4096])]
    for at in colons[:64]:
        path = folder / os.path.expanduser(value[:at])
        if at and is_regular(path):
            return path, value[at + 1 :]
    for at in colons:
        if Path(value[:at]).suffix.lower() in SUFFIXES:
            return folder / os.path.expanduser(value[:at]), value[at + 1 :]
    head, _, key = value.rpartition(":")
    path = folder / os.path.expanduser(head)
    return (path, key) if head and exists(path) else (whole, None)


def _load(stream: BinaryIO, size: int, form: str, what: str, key: str | None, dtype: str | None, shape: Shape | None, name: str) -> Array:
    if key is not None and (form not in _WITH_KEY or not key):
        said = f"{what} holds one array, so `:{shown(key)}` names nothing in it" if key else f"after `{what}:` a key is missing"
        raise refusal("missing-key", said, help=f"write `{what}`")
    origin = what if key is None else f"{what}:{shown(key)}"
    if form == "csv":
        check_size(size, what)
        array = read_table(take(stream, size, what), what, key, dtype)
        check_shape_of(array, dtype, shape, name, origin)
        return array
    if form == "npy":
        found = read_npy(stream, size, what)
    elif form in ("npz", "safetensors"):
        read = read_npz if form == "npz" else read_safetensors
        ((only, found),) = read(stream, size, what, key, name).items()
        origin = f"{what}:{shown(only)}"
    elif form == "image":
        found = read_image(stream, size, what)
    else:
        found = (cifar.read_binary if form == "cifar" else cifar.read_batch_stream)(stream, size, what, key)
        if found.ndim == 1 and dtype in ("u8", "i32"):  # labels are small: the bytes of the file, not 64-bit numbers
            limits = np.iinfo(np.uint8 if dtype == "u8" else np.int32)
            if found.size == 0 or int(found.max()) <= limits.max:
                found = found.astype(limits.dtype)
    return fit(found, dtype=dtype, shape=shape, name=name, origin=origin)


def _stdin_bytes(stdin: Stdin) -> bytes:
    limit = max_bytes()
    if stdin is None:
        stdin = sys.stdin.buffer if sys.stdin is not None else b""
    if isinstance(stdin, (bytes, str)):
        data = stdin.encode("utf-8", "surrogatepass") if isinstance(stdin, str) else stdin
        pieces, total = [data], len(data)
    else:
        pieces, total = [], 0
        try:
            while total <= limit:
                piece = stdin.read(1 << 20)
                if not piece:
                    break
                raw = piece.encode("utf-8", "surrogatepass") if isinstance(piece, str) else piece
                pieces.append(raw)
                total += len(raw)
        except (OSError, ValueError) as err:  # ValueError: closed, or text that is no UTF-8
            raise refusal("cannot-read", f"cannot read standard input: {shown(err)}") from None
    if total > limit:
        raise refusal("too-large", f"standard input gives more than the limit of {in_bytes(limit)}",
                      help="set the environment variable DFG_MAX_BYTES to allow more")
    return b"".join(pieces)


@contextmanager
def _stdin_stream(stdin: Stdin) -> Iterator[tuple[BinaryIO, int]]:
    try:
        data = _stdin_bytes(stdin)
        yield io.BytesIO(data), len(data)
    except MemoryError:
        raise refusal("too-large", "standard input does not fit into memory") from None


def _read_stdin(key: str | None, stdin: Stdin, dtype: str | None, shape: Shape | None, name: str) -> Array:
    what = "standard input"
    with _stdin_stream(stdin) as (stream, size):
        form = sniff(stream.read(16))
        stream.seek(0)
        if form is not None:
            return _load(stream, size, form, what, key, dtype, shape, name)
        data = stream.read(MAX_TEXT + 1)
    if key is not None:
        raise refusal("missing-key", f"{what} holds no archive, so `:{shown(key)}` names nothing in it", help="write `-`")
    if len(data) > MAX_TEXT:
        raise refusal("too-large", f"{what} gives a literal of {size} bytes; the most is {MAX_TEXT}", help="send a .npy file instead")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise refusal("bad-file", f"{what} is neither text nor in a format that is read here",
                      help="send the text of a literal, or the bytes of a .npy or .npz file") from None
    literal = parse_literal(text, what)
    array = literal.to_array(dtype)
    check_shape_of(array, dtype, shape, name, what, Span(literal.source, 0, len(text)))
    return array
