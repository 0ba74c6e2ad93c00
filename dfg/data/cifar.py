"""CIFAR batches, in both of their layouts.

*Binary*: rows of one label byte (CIFAR-100: a coarse and a fine one) and 3072 bytes of a 32 x 32 picture, channel by channel. *Python*: a
pickle. A pickle is a program; `pickle.load` runs it, and even a restricted loader can be made to exhaust memory. Here the opcodes are
walked by a small machine that imports and calls **nothing**: it keeps plain data, and stands-ins for the few NumPy objects that an array's
pickle names. Every other opcode or name is refused. Its work and memory are bounded by the file's size: each opcode stores at most what
it read, sharing makes no copies, and nothing walks a nested value.

>>> read_batch(data, "batch", "labels")
array([3, 1, 0])
"""

from __future__ import annotations

import pickletools
import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from dfg.data.common import Array, check_size, element_count, fill, listed, nearest, refusal, shown, take
from dfg.data.npz import bad_format
from dfg.diagnostics import UserError

PIXELS = 3072
MAX_PICKLE = 512 << 20
MAX_OPCODES = 20_000_000
PARTS = ("images", "labels", "coarse_labels")


def _pictures(rows: npt.NDArray[np.uint8]) -> Array:
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _part(part: str | None, what: str, parts: tuple[str, ...]) -> str:
    if part is None:
        return "images"
    if part not in parts:
        near = nearest(part, parts)
        raise refusal("missing-key", f"{what} has no part `{shown(part)}`",
                      help=f"did you mean `{near}`?" if near else f"it has {listed(parts)}")
    return part


def read_binary(stream: BinaryIO, size: int, what: str, part: str | None = None) -> Array:
    """`images` as uint8 [n, 32, 32, 3], `labels` (and CIFAR-100's `coarse_labels`) as int64 [n]."""
    check_size(size, what)
    if not size:
        raise refusal("bad-file", f"{what} is empty")
    marks = 1 if size % (PIXELS + 1) == 0 else 2
    row = PIXELS + marks
    if size % row:
        raise refusal("bad-file", f"{what} has {size} bytes, no whole number of CIFAR rows of {PIXELS + 1} bytes (or of {PIXELS + 2})",
                      help="it was cut off, or it is not a CIFAR binary batch")
    part = _part(part, what, PARTS[: marks + 1])
    data = np.empty((size // row, row), np.uint8)
    fill(stream, data, what)
    if part == "images":
        return _pictures(data[:, marks:])
    return data[:, 0 if part == "coarse_labels" else marks - 1].astype(np.int64)


@dataclass(frozen=True, slots=True)
class _Name:
    """A global that the pickle names; it is never imported."""

    module: str
    name: str


@dataclass(slots=True, eq=False)
class _Dtype:
    text: str
    order: str = "|"


@dataclass(slots=True, eq=False)
class _ArrayData:
    """An array before it is made: what the pickle says about it."""

    shape: object = None
    dtype: object = None
    fortran: object = False
    data: object = None


_MARK = object()
_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric", "numpy", "_codecs")
_NAMES = ("_reconstruct", "_frombuffer", "ndarray", "dtype", "encode")
_CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINSTRING", "SHORT_BINSTRING", "BINUNICODE",
                       "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"})
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    """Walks the opcodes; `run` gives the value that the pickle describes."""

    def __init__(self, data: bytes, what: str) -> None:
        self.data = data
        self.what = what
        self.stack: list[object] = []
        self.memo: dict[int, object] = {}
        self.encoded = 0  # bytes made by `encode`: the only operation that copies, so it has a budget

    def damaged(self, words: str) -> UserError:
        return refusal("bad-file", f"{self.what} is a damaged pickle: {words}")

    def unsafe(self, words: str) -> UserError:
        return refusal("unsafe-file", f"{self.what} is a pickle that {words}; only plain data and arrays of numbers are read",
                       help="if you trust the file, load it with Python and save the arrays with `np.savez`")

    def pop(self) -> object:
        if not self.stack or self.stack[-1] is _MARK:
            raise self.damaged("it takes from an empty stack")
        return self.stack.pop()

    def pop_to_mark(self) -> list[object]:
        for at in range(len(self.stack) - 1, -1, -1):
            if self.stack[at] is _MARK:
                found = self.stack[at + 1 :]
                del self.stack[at:]
                return found
        raise self.damaged("a mark is missing")

    def run(self) -> object:
        steps = 0
        try:
            for opcode, argument, _ in pickletools.genops(self.data):
                steps += 1
                if steps > MAX_OPCODES:
                    raise refusal("too-large", f"{self.what} is a pickle of more than {MAX_OPCODES} operations")
                if opcode.name == "STOP":
                    return self.pop()
                self.step(opcode.name, argument)
        except (ValueError, OverflowError, struct.error) as err:  # what genops raises on damaged bytes
            raise self.damaged(shown(err) or type(err).__name__) from None
        raise self.damaged("it has no end")

    def step(self, op: str, argument: object) -> None:
        stack = self.stack
        if op in _LITERALS:
            stack.append(argument)
        elif op in _CONSTANTS:
            stack.append(_CONSTANTS[op])
        elif op in ("PROTO", "FRAME"):
            pass
        elif op == "MARK":
            stack.append(_MARK)
        elif op in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            value = self.pop()
            stack.append(value)
            self.memo[len(self.memo) if op == "MEMOIZE" else int(argument)] = value  # type: ignore[call-overload]
        elif op in ("BINGET", "LONG_BINGET"):
            if argument not in self.memo:
                raise self.damaged("it takes what it never stored")
            stack.append(self.memo[argument])
        elif op == "EMPTY_LIST":
            stack.append([])
        elif op == "EMPTY_DICT":
            stack.append({})
        elif op == "LIST":
            stack.append(self.pop_to_mark())
        elif op == "TUPLE":
            stack.append(tuple(self.pop_to_mark()))
        elif op in _TUPLES:
            items = [self.pop() for _ in range(_TUPLES[op])]
            stack.append(tuple(reversed(items)))
        elif op in ("APPEND", "APPENDS"):
            items = [self.pop()] if op == "APPEND" else self.pop_to_mark()
            target = self.pop()
            if not isinstance(target, list):
                raise self.damaged("it appends to something that is not a list")
            target.extend(items)
            stack.append(target)
        elif op in ("SETITEM", "SETITEMS", "DICT"):
            self.set_items(op)
        elif op == "POP":
            self.pop()
        elif op == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            self.name(module, name)
        elif op == "STACK_GLOBAL":
            last, first = self.pop(), self.pop()
            self.name(first, last)
        elif op == "REDUCE":
            arguments, function = self.pop(), self.pop()
            stack.append(self.call(function, arguments))
        elif op == "BUILD":
            state, value = self.pop(), self.pop()
            self.build(value, state)
            stack.append(value)
        else:
            raise self.unsafe(f"uses the operation {op}")

    def set_items(self, op: str) -> None:
        if op == "SETITEM":
            value, key = self.pop(), self.pop()
            items = [key, value]
        else:
            items = self.pop_to_mark()
        target = {} if op == "DICT" else self.pop()
        if not isinstance(target, dict) or len(items) % 2:
            raise self.damaged("it sets items of something that is not a dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # other keys would have to be hashed, and hashing a nested tuple can take for ever
            if not isinstance(key, (str, bytes)):
                raise self.unsafe("has keys that are not text")
            text = key.decode("latin1") if isinstance(key, bytes) else key
            if text in target:
                raise refusal("duplicate-key", f"{self.what} holds two entries called `{shown(text)}`")
            target[text] = value
        self.stack.append(target)

    def name(self, module: object, name: object) -> None:
        if module not in _MODULES or name not in _NAMES:
            raise self.unsafe(f"asks for `{shown(f'{module}.{name}')}`" if isinstance(module, str) and isinstance(name, str)
                              else "asks for something without a name")
        self.stack.append(_Name(str(module), str(name)))

    def call(self, function: object, arguments: object) -> object:
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise self.unsafe("calls something that it computed")
        if function.name == "encode" and len(arguments) in (1, 2):
            text = arguments[0]
            if isinstance(text, str) and arguments[1:] in (("latin1",), ("latin-1",)):
                self.encoded += len(text)
                if self.encoded > len(self.data):
                    raise refusal("too-large", f"{self.what} is a pickle that unpacks to more than its own size")
                return text.encode("latin1")
        elif function.name == "_reconstruct":
            return _ArrayData()
        elif function.name == "_frombuffer" and len(arguments) == 4:
            return _ArrayData(arguments[2], arguments[1], arguments[3] == "F" if isinstance(arguments[3], str) else None, arguments[0])
        elif function.name == "dtype" and arguments and isinstance(arguments[0], (str, bytes)):
            text = arguments[0]
            return _Dtype(text.decode("latin1") if isinstance(text, bytes) else text)
        raise self.unsafe(f"calls `{function.module}.{function.name}` in an unknown way")

    def build(self, value: object, state: object) -> None:
        if isinstance(value, _Dtype) and isinstance(state, tuple) and len(state) >= 2 and isinstance(state[1], (str, bytes)):
            value.order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        elif isinstance(value, _ArrayData) and isinstance(state, tuple) and len(state) == 5:
            _, value.shape, value.dtype, value.fortran, value.data = state
        else:
            raise self.unsafe("gives a state to something that is not an array")


def _array(value: _ArrayData, what: str) -> Array:
    """The array that a pickle describes, made of its bytes."""
    shape, dtype, data = value.shape, value.dtype, value.data
    if isinstance(data, str):  # Python 2's strings arrive as text of single bytes
        try:
            data = data.encode("latin1")
        except UnicodeError:
            data = None
    if (isinstance(shape, tuple) and len(shape) <= 8 and all(type(size) is int and size >= 0 for size in shape)
            and isinstance(dtype, _Dtype) and isinstance(data, (bytes, bytearray)) and isinstance(value.fortran, int)
            and dtype.order in ("|", "<", ">", "=")):
        sizes = {"u1": 1, "i1": 1, "i2": 2, "u2": 2, "i4": 4, "u4": 4, "i8": 8}
        if dtype.text in sizes:
            order = "<" if dtype.order in ("|", "=") else dtype.order
            if element_count(shape) * sizes[dtype.text] == len(data):
                flat: Array = np.frombuffer(bytes(data), np.dtype(order + dtype.text))
                return flat.reshape(shape, order="F" if value.fortran else "C")
            raise refusal("bad-file", f"an array in {what} has the shape {shown(list(shape))}, but {len(data)} bytes")
        raise refusal("bad-file", f"an array in {what} has the dtype `{shown(dtype.text, 20)}`; CIFAR batches hold integers")
    raise refusal("bad-file", f"an array in {what} is damaged")


def _entry(batch: dict[str, object], names: tuple[str, ...], what: str) -> object:
    for name in names:
        if name in batch:
            return batch[name]
    raise refusal("missing-key", f"{what} is a pickle without the entry `{names[0]}`: it is not a CIFAR batch",
                  help=f"it holds {listed(batch)}" if batch else None)


def _labels(value: object, what: str) -> npt.NDArray[np.int64]:
    if isinstance(value, _ArrayData):
        array = _array(value, what)
        if array.ndim == 1:
            return array.astype(np.int64)
    elif isinstance(value, list) and all(type(label) is int and 0 <= label < 1 << 31 for label in value):
        return np.array(value, np.int64)
    raise refusal("bad-file", f"the labels in {what} are not a list of small whole numbers")


def read_batch(data: bytes, what: str, part: str | None = None) -> Array:
    """The same parts as `read_binary`, from the pickled layout."""
    if len(data) > MAX_PICKLE:
        raise refusal("too-large", f"{what} is a pickle of {len(data)} bytes; the most is {MAX_PICKLE}")
    if data[:1] != b"\x80":
        raise bad_format(what, "pickle", data[:16])
    batch = _Machine(data, what).run()
    if not isinstance(batch, dict):
        raise refusal("bad-file", f"{what} is a pickle of something else than a CIFAR batch, which is a dictionary")
    part = _part(part, what, PARTS if "coarse_labels" in batch else PARTS[:2])
    raw = _entry(batch, ("data",), what)
    if not isinstance(raw, _ArrayData):
        raise refusal("bad-file", f"the pictures in {what} are not an array")
    rows = _array(raw, what)
    if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != PIXELS:
        raise refusal("bad-file", f"the pictures in {what} are {rows.dtype} {list(rows.shape)}; a CIFAR batch has u8 [n, {PIXELS}]")
    labels = _labels(_entry(batch, ("coarse_labels",) if part == "coarse_labels" else ("labels", "fine_labels"), what), what)
    if len(labels) != len(rows):
        raise refusal("bad-file", f"{what} has {len(rows)} pictures, but {len(labels)} labels")
    return _pictures(np.ascontiguousarray(rows, np.uint8)) if part == "images" else labels


def read_batch_stream(stream: BinaryIO, size: int, what: str, part: str | None = None) -> Array:
    """`read_batch` from a stream, refusing what is too large before reading it."""
    check_size(size, what)
    if size > MAX_PICKLE:
        raise refusal("too-large", f"{what} is a pickle of {size} bytes; the most is {MAX_PICKLE}")
    return read_batch(take(stream, size, what), what, part)
