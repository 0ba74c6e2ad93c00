"""Tables of comma-separated numbers.

A table is UTF-8 text; its first row is a header when a cell of it is no number, and then `file.csv:column` names a column (without a header
columns are counted from 0). Cells are written numbers with a kind (`true`, `7`, `0.5`, `inf`, `nan`), not values with a dtype:
they take the wanted dtype as a literal does. A hole, a row of another length and a cell that is no number are refused with file,
line and column.

The whole table goes through `np.loadtxt` where that can be trusted (no quotes, rows of one length, no blank lines); otherwise, and
to say what is wrong, through the slow reader, which defines the meaning.

>>> read_table(b"a,b\\n1,2\\n3,4\\n", "t.csv", column="b")
array([2, 4])
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from dfg.data.common import NUMPY_OF, Array, listed, nearest, refusal, shown
from dfg.data.number import Number, pack, round_to_f32
from dfg.diagnostics import UserError
from dfg.source import Source, Span

_INT = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)
_BOOLS = {"true": True, "false": False}
MAX_CELL = 4000
MAX_COLUMNS = 1_000_000
_SPAN_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class _Table:
    """A table's text: the header, and where the rows begin (offset in characters, number of the line)."""

    what: str
    text: str
    header: tuple[str, ...] | None
    start: int
    line: int
    columns: int


def is_number(cell: str) -> bool:
    cell = cell.strip()
    return _NUMBER.fullmatch(cell) is not None or cell.lower() in _BOOLS


def _refuse(what: str, text: str, line: int, column: int, message: str, help: str | None = None) -> UserError:
    """A diagnostic at a line and a cell, with a span where the text is small enough to be shown."""
    span = None
    if len(text) <= _SPAN_LIMIT:
        source = Source(what, text, "csv")
        if 1 <= line <= len(source.starts):
            begin = source.starts[line - 1]
            row = source.line(line)
            cells = row.split(",")
            if '"' not in row and 1 <= column <= len(cells):
                at = begin + sum(len(cell) + 1 for cell in cells[: column - 1])
                span = Span(source, at, at + len(cells[column - 1]))
            else:
                span = Span(source, begin, begin + len(row))
    return refusal("bad-table", f"{what}:{line}{f', cell {column}' if column else ''}: {message}", span, help=help)


def _decode(data: bytes, what: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = data.count(b"\n", 0, err.start) + 1
        raise refusal("bad-table", f"{what}:{line}: byte {err.start} is not UTF-8 text", help="save the table as UTF-8") from None
    zero = text.find("\0")
    if zero >= 0:
        raise refusal("bad-table", f"{what}:{text.count(chr(10), 0, zero) + 1}: a zero byte; this is not a text file")
    # one line ending, also that of old machines
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _rows(text: str) -> Any:
    return csv.reader(io.StringIO(text, newline="\n"), strict=True)


def _open_table(data: bytes, what: str) -> _Table:
    text = _decode(data, what)
    if not text.strip():
        raise refusal("bad-table", f"{what} is empty", help="a table has a header or at least one row")
    end = text.find("\n") if '"' not in text else -1
    rows = _rows(text if end < 0 else text[: end + 1])
    try:
        first = next(rows)
    except csv.Error as err:
        raise _refuse(what, text, 1, 0, _csv_words(err)) from None
    if not first or (len(first) == 1 and not first[0].strip()):
        raise _refuse(what, text, 1, 0, "the first line is empty", "begin with the header or the first row")
    if len(first) > MAX_COLUMNS:
        raise refusal("too-large", f"{what} has {len(first)} columns; the most is {MAX_COLUMNS}")
    if all(map(is_number, first)):
        return _Table(what, text, None, 0, 1, len(first))
    names = tuple(cell.strip() for cell in first)
    if len(names) == 1:
        for mark, word in ((";", "semicolons"), ("\t", "tabs")):
            if mark in names[0]:
                raise _refuse(what, text, 1, 1, f"the cells are separated by {word}", "separate them by commas")
    odd = next((k for k, cell in enumerate(first) if is_number(cell)), None)
    if odd is not None:
        bad = next(k for k, cell in enumerate(first) if not is_number(cell))
        if not names[bad]:
            raise _bad_cell(what, text, 1, bad + 1, first[bad])
        raise _refuse(what, text, 1, bad + 1, f"`{shown(names[bad], 40)}` is not a number, but `{shown(names[odd], 40)}` is: the first row "
                      "is neither a header nor a row of numbers", "give every column a name that is not a number, or correct the cell")
    # the header may span lines (a quoted newline): the reader counts them
    begin, lines = 0, rows.line_num
    for _ in range(lines):
        at = text.find("\n", begin)
        begin = len(text) if at < 0 else at + 1
    return _Table(what, text, names, begin, lines + 1, len(names))


def _csv_words(err: csv.Error) -> str:
    return f"damaged quotes ({shown(err)})"


def _bad_cell(what: str, text: str, line: int, column: int, cell: str) -> UserError:
    stripped = cell.strip()
    if not stripped:
        return _refuse(what, text, line, column, "the cell is empty", "write a number, or `nan` where none is known")
    help = None
    if ";" in stripped:
        help = "separate the cells by commas, and write decimals with a point"
    elif stripped.lower() in ("na", "n/a", "none", "null", "-"):
        help = "write `nan` where no number is known"
    elif re.fullmatch(r"[+-]?[\d_ ']+(\.\d+)?", stripped):
        help = "write the number without separators"
    elif len(stripped) > MAX_CELL:
        return _refuse(what, text, line, column, f"a cell of {len(stripped)} characters; the most is {MAX_CELL}")
    return _refuse(what, text, line, column, f"`{shown(stripped, 40)}` is not a number", help)


def _choose(table: _Table, column: str | None) -> int | None:
    if column is None:
        return None
    what, names = table.what, table.header
    if names is not None and column.strip() in names:
        if names.count(column.strip()) > 1:
            raise refusal("duplicate-key", f"{what} has {names.count(column.strip())} columns called `{shown(column)}`",
                          help="give each column a name of its own")
        return names.index(column.strip())
    if names is None:
        if re.fullmatch(r"\d{1,7}", column, re.ASCII) and int(column) < table.columns:
            return int(column)
        raise refusal("missing-key", f"{what} has no header, so there is no column `{shown(column)}`",
                      help=f"name a column by its number, 0 to {table.columns - 1}, or give the table a header")
    near = nearest(column, names)
    raise refusal("missing-key", f"{what} has no column `{shown(column)}`",
                  help=f"did you mean `{shown(near)}`?" if near else f"it has {listed(names)}")


def _even(table: _Table, body: bytes) -> bool:
    """Are all rows of the header's length, without blank lines and quotes? Vectorised."""
    if b'"' in body:
        return False
    raw = np.frombuffer(body, np.uint8)
    ends = np.flatnonzero(raw == 10)
    if not len(ends) or ends[-1] != len(raw) - 1:
        ends = np.append(ends, len(raw))
    lengths = np.diff(ends, prepend=-1)
    if int(lengths.min()) <= 1:
        return False
    commas = np.flatnonzero(raw == 44)
    return bool((np.diff(np.searchsorted(commas, ends), prepend=0) == table.columns - 1).all())


def _fast(table: _Table, chosen: int | None, dtype: str | None) -> Array | None:
    """The numbers by `np.loadtxt`, or None where only the slow reader can tell."""
    body = table.text[table.start :].rstrip("\n ").encode()
    if not body or not _even(table, body):
        return None
    kinds: list[type] = [np.int64] if dtype in ("u8", "i32", "i64") else [np.float64] if dtype in ("f32", "f64") else [np.int64, np.float64]
    if dtype == "bool":
        return None
    found: Array
    for kind in kinds:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found = np.loadtxt(io.TextIOWrapper(io.BytesIO(body), "utf-8", newline="\n"), dtype=kind, delimiter=",", comments=None,
                                   usecols=None if chosen is None else [chosen], ndmin=2)
        except (ValueError, OverflowError, Warning):
            continue
        if len(found) != body.count(b"\n") + 1:
            return None
        if kind is np.float64 and np.isinf(found).any():
            return None  # `inf`, or a number that does not fit
        if dtype in ("u8", "i32"):
            info = np.iinfo(NUMPY_OF[dtype])
            return found.astype(info.dtype) if found.min() >= info.min and found.max() <= info.max else None
        if dtype == "f32":
            near, ties = round_to_f32(found)
            return near if not len(ties) and not np.isinf(near).any() else None
        return found
    return None


def _slow(table: _Table, chosen: int | None, dtype: str | None) -> Array:
    what, text = table.what, table.text
    values: list[Number] = []
    texts: list[str] = []
    places: list[int] = []
    width = table.columns if chosen is None else 1
    reader = _rows(text[table.start :])
    line = table.line
    total = text.count("\n") + 1
    blank = 0
    while True:
        try:
            row = next(reader, None)
        except csv.Error as err:
            raise _refuse(what, text, min(line, total), 0, _csv_words(err)) from None
        if row is None:
            break
        if not row or (len(row) == 1 and not row[0].strip()):
            blank = blank or line
        elif blank:
            raise _refuse(what, text, blank, 0, "the line is empty", "write `nan` where no number is known, or remove the line")
        elif len(row) != table.columns:
            raise _refuse(what, text, line, 0, f"this row has {len(row)} cell{'s' * (len(row) != 1)}, the first has {table.columns}")
        else:
            for column in range(table.columns) if chosen is None else (chosen,):
                cell = row[column].strip()
                value = _value(cell)
                if value is None:
                    raise _bad_cell(what, text, line, column + 1, row[column])
                values.append(value)
                texts.append(cell)
            places.append(line)
        line = table.line + reader.line_num

    def fail(at: int, message: str, help: str | None) -> NoReturn:
        cell = at % width + 1 if chosen is None else chosen + 1
        refused = _refuse(what, text, places[at // width], cell, message, help).diagnostics[0]
        raise refusal("does-not-fit", refused.message, refused.span, help=help)

    flat = pack(values, texts.__getitem__, dtype, fail)
    return flat.reshape(len(places), width)


def _value(cell: str) -> Number | None:
    if len(cell) > MAX_CELL:
        return None
    if _INT.fullmatch(cell):
        return int(cell)
    if _NUMBER.fullmatch(cell):
        return float(cell)
    return _BOOLS.get(cell.lower())


def read_table(data: bytes, what: str, column: str | None = None, dtype: str | None = None) -> Array:
    """A column as a 1-d array, or (column None) the whole table as a 2-d array, of the wanted dtype or of the cells' kind."""
    table = _open_table(data, what)
    chosen = _choose(table, column)
    found = _fast(table, chosen, dtype)
    if found is None:
        found = _slow(table, chosen, dtype)
    return np.ascontiguousarray(found[:, 0] if chosen is not None else found)
