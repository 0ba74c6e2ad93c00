"""Tables: what they mean, what is wrong in them and where, and that the fast reader and the slow one agree."""

from __future__ import annotations

import numpy as np
import pytest
from data_checks import DTYPES, Arr, refused, same
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dfg.data import (
    read_table,
    read_value,
    write_outputs,
)


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(1, 5), st.sampled_from(list(DTYPES)))
def test_tables_round_trip(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, rows: int, name: str) -> None:
    folder = tmp_path_factory.mktemp("r")
    column = data.draw(hnp.arrays(DTYPES[name], (rows,)))
    table = data.draw(hnp.arrays(DTYPES[name], (rows, 3)))
    write_outputs(folder / "t.csv", {"a b": column, "t": table, 'odd "name",': column})
    same(read_value("t.csv:a b", base=folder, dtype=name), column)
    same(read_value('t.csv:odd "name",', base=folder, dtype=name), column)
    for k in range(3):
        same(read_value(f"t.csv:t[{k}]", base=folder, dtype=name), np.ascontiguousarray(table[:, k]))
    write_outputs(folder / "u.csv", {"t": table})
    same(read_value("u.csv", base=folder, dtype=name, shape=(rows, 3)), table)


# -- tables --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "column", "dtype", "want"),
    [
        ("a,b\n1,2\n3,4\n", None, None, np.array([[1, 2], [3, 4]])),
        ("a,b\r\n1,2.5\r\n3,4", "b", None, np.array([2.5, 4])),
        ("1,2\n3,4", None, "f32", np.array([[1, 2], [3, 4]], np.float32)),
        ("a,b\n1,x\n3,y\n", "a", None, np.array([1, 3])),
        ("\ufeffa\n1\n", "a", None, np.array([1])),
        ('a,"b\nc"\n1,2\n', "b\nc", None, np.array([2])),
        ("a\n", "a", None, np.zeros(0)),
        ("a,b\n\n\n", None, "i32", np.zeros((0, 2), np.int32)),
        ("a\ntrue\nFalse\n", "a", None, np.array([True, False])),
        ("1,2\n3,4", "1", None, np.array([2, 4])),
        ("a,b\rx,1\ry,inf", "b", None, np.array([1, np.inf])),
        ("a\nnan\n-inf\n1e3", "a", "f64", np.array([np.nan, -np.inf, 1000])),
        (" a , b \n 1 , 2 \n", "b", None, np.array([2])),
        ('a\n"1"\n"2"\n', "a", None, np.array([1, 2])),
        ("5", None, None, np.array([[5]])),
        ("a\n1\n\n\n", "a", "u8", np.array([1], np.uint8)),
    ],
)
def test_tables(text: str, column: str | None, dtype: str | None, want: Arr) -> None:
    same(read_table(text.encode(), "t.csv", column, dtype), want)


@pytest.mark.parametrize(
    ("text", "column", "dtype", "code", "place"),
    [
        ("", None, None, "bad-table", ""),
        ("\n\n", None, None, "bad-table", ""),
        ("\n1,2\n", None, None, "bad-table", "t.csv:1"),
        ("a,b\n1,2\n3\n", None, None, "bad-table", "t.csv:3"),
        ("a,b\n1,2\n3,4,5\n", "a", None, "bad-table", "t.csv:3"),
        ("a,b\n1,2\n3,\n", None, None, "bad-table", "t.csv:3, cell 2"),
        ("a,b\n1,2\n3,four\n", "b", None, "bad-table", "t.csv:3, cell 2"),
        ("a\n1\n\n2\n", "a", None, "bad-table", "t.csv:3"),
        ("a,b\n1,2\n\n3,4\n", "a", None, "bad-table", "t.csv:3"),
        ("a;b\n1;2\n", "a", None, "bad-table", "t.csv:1, cell 1"),
        ("a,b\n1,2\n", "c", None, "missing-key", "`c`"),
        ("1,2\n", "2", None, "missing-key", "`2`"),
        ("a,a\n1,2\n", "a", None, "duplicate-key", "`a`"),
        ("a\n1.5\n", "a", "i64", "does-not-fit", "t.csv:2, cell 1"),
        ("a,b\n1,2\n1,300\n", "b", "u8", "does-not-fit", "t.csv:3, cell 2"),
        ("a\n1e400\n", "a", None, "does-not-fit", "t.csv:2"),
        ("a\n1e39\n", "a", "f32", "does-not-fit", "t.csv:2"),
        ("a\n1\n", "a", "bool", "does-not-fit", "t.csv:2"),
        ("a\n1_000\n", "a", None, "bad-table", "t.csv:2"),
        ("a\n0x10\n", "a", None, "bad-table", "t.csv:2"),
        ('a\n"1\n2\n', "a", None, "bad-table", "t.csv:2"),
        ("1,x\n2,3\n", None, None, "bad-table", "t.csv:1, cell 2"),
        ("1,,3\n", None, None, "bad-table", "cell 2"),
        ('a,b\n"x\ny",1\nz,w\n', "b", None, "bad-table", "t.csv:4, cell 2"),
        ("a\n1\0\n", "a", None, "bad-table", "t.csv:2"),
        ("a\n" + "9" * 5000 + "\n", "a", None, "bad-table", "t.csv:2"),
        ("a\n١\n", "a", None, "bad-table", "t.csv:2"),
        ("a\n9223372036854775808\n", "a", "i64", "does-not-fit", "t.csv:2"),
    ],
)
def test_bad_tables(text: str, column: str | None, dtype: str | None, code: str, place: str) -> None:
    diagnostic = refused(code, lambda: read_table(text.encode(), "t.csv", column, dtype))
    assert place in diagnostic.message


def test_a_bad_cell_is_shown_in_its_file() -> None:
    diagnostic = refused("bad-table", lambda: read_table(b"a,b\n1,2\n3,four\n", "t.csv", "b"))
    assert diagnostic.span is not None
    assert diagnostic.span.text == "four"
    assert diagnostic.span.source.position(diagnostic.span.start) == (3, 3)
    refused("bad-table", lambda: read_table(b"a,b\n1,\xff\n", "t.csv", "b"))
    assert "nan" in (refused("bad-table", lambda: read_table(b"a\n1\nNA\n", "t.csv", "a")).help or "")


cells = st.one_of(
    st.integers(-300, 300).map(str),
    st.floats().map(repr),
    st.floats(width=32).map(str),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(
        [
            "",
            " ",
            "true",
            "nan",
            "Infinity",
            "1e400",
            "+5",
            " 7 ",
            "1.",
            ".5",
            "x",
            "1_0",
            '"3"',
            "16777217",
            "0x1",
            "--1",
            "1e",
            "\x0b1",
            "1\u00a0",
        ]
    ),
)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.lists(cells, min_size=1, max_size=3), min_size=1, max_size=4),
    st.sampled_from([None, *DTYPES]),
    st.sampled_from([None, "a"]),
)
def test_the_fast_reader_agrees_with_the_slow_one(rows: list[list[str]], dtype: str | None, column: str | None) -> None:
    import dfg.data.csv as module

    data = ("a,b,c"[: 2 * len(rows[0]) - 1] + "\n" + "\n".join(map(",".join, rows))).encode()
    table = module._open_table(data, "t.csv")
    chosen = module._choose(table, column)
    fast = module._fast(table, chosen, dtype)
    if fast is not None:
        same(fast, module._slow(table, chosen, dtype))


def test_a_large_table_is_fast() -> None:
    import dfg.data.csv as module

    values = np.random.default_rng(0).normal(size=(20_000, 5))
    data = b"a,b,c,d,e\n" + "\n".join(",".join(map(repr, row)) for row in values.tolist()).encode()
    table = module._open_table(data, "t.csv")
    assert module._fast(table, None, "f64") is not None
    same(read_table(data, "t.csv", dtype="f64"), values)
    same(read_table(data, "t.csv", "c", "f32"), values[:, 2].astype(np.float32))
