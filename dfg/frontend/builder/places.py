"""Where in the user's Python a value was made.

A `Place` is a span that costs two references when it is made, the code object and the offset of the instruction that was running, and is resolved only when
something is shown: the columns come from the code object's position table, the text from `linecache` (notebooks and doctests put their cells there). A
place whose text is not to be had (a REPL, `exec` of a string) still knows its line.

    place = here()                 # of the nearest frame that is not dfg's or NumPy's
    place.text                     # 'w * x'
    variable(place)                # 'u' for the line `u = w * x`: what the next instruction binds
    anatomy(place).operands        # the spans of `w` and `x`
"""

from __future__ import annotations

import ast
import dis
import linecache
import os
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from types import CodeType, FrameType
from typing import Any, Final

import numpy as np

from dfg.source import Source, Span

_OWN: Final = (
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep,
    os.path.dirname(os.path.abspath(np.__file__)) + os.sep,
)


def user_frame() -> FrameType | None:
    """The innermost running frame that is neither dfg's nor NumPy's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    return frame


def here() -> Place | None:
    """The place that the user's program is at."""
    frame = user_frame()
    return None if frame is None else Place(frame.f_code, frame.f_lasti)


def raised_at(e: BaseException) -> Place | None:
    """The innermost place of the user's program through which an exception came."""
    found = None
    at = e.__traceback__
    while at is not None:
        if not at.tb_frame.f_code.co_filename.startswith(_OWN):
            found = Place(at.tb_frame.f_code, at.tb_lasti)
        at = at.tb_next
    return found


def module_name() -> str:
    """The module of the user's code that is running; a dim's declaration holds in one module."""
    frame = user_frame()
    return "__main__" if frame is None else str(frame.f_globals.get("__name__", "__main__"))


class Place(Span):
    """A span of a Python text, resolved when it is asked for. `part` tells the results of one call with several apart."""

    __slots__ = ("_found", "code", "lasti", "part")
    code: CodeType
    lasti: int
    part: int | None
    _found: tuple[Source, int, int] | None

    def __init__(self, code: CodeType, lasti: int, part: int | None = None) -> None:
        put = object.__setattr__
        put(self, "code", code)
        put(self, "lasti", lasti)
        put(self, "part", part)
        put(self, "_found", None)

    def _resolve(self) -> tuple[Source, int, int]:
        found = self._found
        if found is None:
            found = _locate(self.code, self.lasti)
            object.__setattr__(self, "_found", found)
        return found

    @property
    def source(self) -> Source:
        return self._resolve()[0]

    @property
    def start(self) -> int:
        return self._resolve()[1]

    @property
    def stop(self) -> int:
        return self._resolve()[2]

    @property
    def known(self) -> bool:
        """Whether there is a text to point at."""
        return bool(self.source.text.strip())

    @property
    def line(self) -> int:
        positions = next(islice(self.code.co_positions(), self.lasti // 2, None), None)
        return (positions[0] if positions else None) or self.code.co_firstlineno

    def of(self, part: int) -> Place:
        """The same place, for one of several results."""
        return Place(self.code, self.lasti, part)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Place) and self.code is other.code and self.lasti == other.lasti:
            return True
        return isinstance(other, Span) and (self.source, self.start, self.stop) == (other.source, other.start, other.stop)

    def __hash__(self) -> int:
        return hash((self.source, self.start, self.stop))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Span, (self.source, self.start, self.stop))


_SOURCES: dict[str, Source] = {}


def _source(filename: str) -> Source | None:
    lines = linecache.getlines(filename)
    if not lines:
        return None
    text = "".join(lines)
    made = _SOURCES.get(filename)
    if made is None or made.text != text:
        made = _SOURCES[filename] = Source(_shown(filename), text, "python")
    return made


def _shown(filename: str) -> str:
    """A file under the working directory by its relative path, a notebook's cell by its number."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None and (name := getattr(shell.compile, "format_code_name", lambda f: None)(filename)):
        return " ".join(name)
    if os.path.isabs(filename):
        try:
            relative = os.path.relpath(filename)
        except (OSError, ValueError):
            return filename
        return filename if relative.startswith("..") else relative
    return filename


def _locate(code: CodeType, lasti: int) -> tuple[Source, int, int]:
    first, last, left, right = next(islice(code.co_positions(), lasti // 2, None), (None, None, None, None))
    line = first or code.co_firstlineno
    source = _source(code.co_filename)
    if source is None or line > len(source.starts):
        # No text: blank lines, so that the number of the line is still right.
        source = Source(_shown(code.co_filename), "\n" * (line - 1), "python")
        return source, line - 1, line - 1
    if first is None or last is None or left is None or right is None:
        text = source.line(line)
        begin = source.starts[line - 1] + len(text) - len(text.lstrip())
        return source, begin, begin + len(text.strip())
    return source, _offset(source, first, left), _offset(source, last, right)


def _offset(source: Source, line: int, column: int) -> int:
    """A character offset from a line and a column in UTF-8 bytes, as Python's compiler counts them."""
    text = source.line(line)
    return source.starts[line - 1] + (column if text.isascii() else len(text.encode()[:column].decode(errors="ignore")))


# --- what a result is bound to -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _stores(code: CodeType) -> dict[int, tuple[str, ...]]:
    """By the offset of an instruction, the variables that the instructions after it bind its result to."""
    result: dict[int, tuple[str, ...]] = {}
    listing = list(dis.get_instructions(code))
    for k, made in enumerate(listing):
        rest = listing[k + 1 : k + 2]
        if not rest or not rest[0].opname.startswith(("STORE_", "UNPACK_SEQUENCE")):
            continue
        count = 1
        if rest[0].opname == "UNPACK_SEQUENCE":
            count = int(rest[0].arg or 0)
            rest = listing[k + 2 : k + 2 + count]
        names: list[str] = []
        for store in rest:
            if store.opname in ("STORE_NAME", "STORE_GLOBAL", "STORE_DEREF", "STORE_FAST"):
                names.append(str(store.argval))
            elif store.opname.startswith("STORE_FAST"):  # two in one, in later versions of Python
                both = store.argval if isinstance(store.argval, tuple) else (store.argval,)
                names.extend(str(n) for n in (both if store.opname == "STORE_FAST_STORE_FAST" else both[:1]))
            else:
                break
        if len(names) >= count:
            # While a Python function is called, the offset is that of a cache behind the instruction
            for offset in range(made.offset, listing[k + 1].offset, 2):
                result[offset] = tuple(names[:count])
    return result


def variable(place: Span | None) -> str | None:
    """The variable that the user's line binds this result to, or None."""
    if not isinstance(place, Place):
        return None
    names = _stores(place.code).get(place.lasti)
    if names is None:
        return None
    if place.part is None:
        return names[0] if len(names) == 1 else None
    return names[place.part] if place.part < len(names) and len(names) > 1 else None


# --- what an expression consists of --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The parts of a marked expression: the operator's own span, those of its operands or arguments in order, and of keyword arguments."""

    operator: Span | None = None
    operands: tuple[Span, ...] = ()
    keywords: dict[str, Span] = field(default_factory=dict)


_SIGNS: Final[dict[type[ast.AST], str]] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**", ast.MatMult: "@",
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip


def anatomy(span: Span | None) -> Anatomy:
    """Read the expression at a span. Empty where the text is not one."""
    if span is None or not span.text.strip():
        return Anatomy()
    text = "(" + span.text + "\n)"
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Anatomy()
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)

    def at(line: int, column: int) -> int:
        # One less for the bracket put in front.
        return span.start + starts[line - 1] + len(lines[line - 1].encode()[:column].decode(errors="ignore")) - 1

    def of(part: ast.expr) -> Span:
        return Span(
            span.source, at(part.lineno, part.col_offset), at(part.end_lineno or part.lineno, part.end_col_offset or part.col_offset)
        )

    def between(left: ast.expr, right: ast.expr, op: ast.AST) -> Span | None:
        begin, end = of(left).stop, of(right).start
        between = span.source.text[begin:end]
        clean = "\n".join(line.partition("#")[0] + " " * (len(line) - len(line.partition("#")[0])) for line in between.split("\n"))
        sign = _SIGNS.get(type(op), "")
        k = clean.find(sign) if sign else -1
        return None if k < 0 else Span(span.source, begin + k, begin + k + len(sign))

    match node:
        case ast.BinOp(left=left, op=op, right=right):
            return Anatomy(between(left, right, op), (of(left), of(right)))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return Anatomy(between(left, right, op), (of(left), of(right)))
        case ast.UnaryOp(operand=operand):
            return Anatomy(None, (of(operand),))
        case ast.Subscript(value=value, slice=index):
            return Anatomy(None, (of(value), of(index)))
        case ast.Call(func=func, args=args, keywords=keywords):
            if any(isinstance(a, ast.Starred) for a in args):
                args = []
            return Anatomy(of(func), tuple(of(a) for a in args), {k.arg: of(k.value) for k in keywords if k.arg is not None})
    return Anatomy()


def statement(span: Span) -> ast.stmt | None:
    """The innermost statement of the text that the span lies in, with its own positions."""
    try:
        tree = _tree(span.source.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    line = span.source.position(span.start)[0]
    best: ast.stmt | None = None
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.stmt)
            and node.lineno <= line <= (node.end_lineno or node.lineno)
            and (best is None or node.lineno >= best.lineno)
        ):
            best = node
    return best


@lru_cache(maxsize=64)
def _tree(text: str) -> ast.Module:
    return ast.parse(text)


def span_of(source: Source, node: ast.expr | ast.stmt) -> Span:
    """The span of a node of `statement`'s tree."""
    last, right = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
    return Span(source, _offset(source, node.lineno, node.col_offset), _offset(source, last, right))
