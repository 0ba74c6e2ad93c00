"""Codes about how a program is written: characters, brackets, blocks, declarations."""

from __future__ import annotations

from dfg.diagnostics.catalogue import Code, code, shown

_LEAST = """
    input x : f64[3]
    output y = 2 * x
"""

CODES: dict[str, Code] = {
    "syntax": code(
        "a text that is no statement",
        """The message says what was read last and what could have followed. `docs/` has the whole syntax; `grammar/dfg.lark` is exact.""",
        """
        input x : f64[3]
        output y = 2 * * x
        """,
        _LEAST,
    ),
    "bad-character": code(
        "a character that means nothing here",
        "Names, numbers and signs are those of Python. Signs that a word processor puts in (`×`, `−`, curly quotes) are told with the right one.",
        """
        input x : f64[3]
        output y = 2 × x
        """,
        _LEAST,
    ),
    "bad-number": code(
        "a number that is not written as one",
        """Numbers are decimal (`2`, `1_000`, `.5`, `1e-3`) or hexadecimal (`0x1f`). A product needs its `*`.""",
        """
        input x : f64[3]
        output y = 2x
        """,
        _LEAST,
    ),
    "unnamed-output": code(
        "an output without a name",
        "A result is known by its name, in files and in what a run gives: `output total = sum(x)` binds and exports.",
        """
        input x : f64[3]
        output sum(x)
        """,
        """
        input x : f64[3]
        output total = sum(x)
        """,
    ),
    "bad-target": code(
        "a binding of something that is not a name",
        "On the left of `=` stand names, or one name with index names: `z[i, j] = ...`.",
        """
        input x : f64[3]
        2 * y = x
        output x
        """,
        """
        input x : f64[3]
        y = x / 2
        output y
        """,
    ),
    "bad-indices": code(
        "index names and a summand in the wrong places",
        "A reduction over index names has the names, a colon, and one summand: `sum(j, k: A[j, k])`.",
        """
        input a : f64[2, 3]
        output s = sum(j: a[0, j], 2)
        """,
        """
        input a : f64[2, 3]
        output s = sum(j, k: a[j, k])
        """,
    ),
    "argument-order": code(
        "something without a name after something with one",
        "In a call, arguments without a name come first; in a `def`, parameters without a default.",
        """
        input x : f64[2, 3]
        output y = sum(axis=0, x)
        """,
        """
        input x : f64[2, 3]
        output y = sum(x, axis=0)
        """,
    ),
    "count-mismatch": code(
        "a different number of names and of written values",
        "`a, b = 1, 2` binds as many names as there are values. `_` takes a value that is not wanted.",
        """
        a, b = 1.0, 2.0, 3.0
        output s = a + b
        """,
        """
        a, b, _ = 1.0, 2.0, 3.0
        output s = a + b
        """,
    ),
    "repeated-field": code(
        "a record with one field twice",
        "Each field of a record has a name of its own.",
        """
        param p = (w = 1.0, w = 2.0)
        output y = total(p)
        """,
        """
        param p = (w = 1.0, b = 2.0)
        output y = total(p)
        """,
    ),
    "unclosed-bracket": code(
        "a bracket that is never closed",
        "The label shows where it was opened; the fix closes it at the end of its statement.",
        """
        input x : f64[3]
        output y = 2 * (x + 1
        """,
        """
        input x : f64[3]
        output y = 2 * (x + 1)
        """,
    ),
    "extra-bracket": code(
        "a closing bracket that closes nothing",
        "Remove it, or put in the opening one.",
        """
        input x : f64[3]
        output y = 2 * x)
        """,
        _LEAST,
    ),
    "mismatched-bracket": code(
        "a bracket closed by one of another kind",
        "`(` is closed by `)`, `[` by `]`, `{` by `}`.",
        """
        input x : f64[3]
        output y = sum(x]
        """,
        """
        input x : f64[3]
        output y = sum(x)
        """,
    ),
    "unterminated-text": code(
        "a text without its closing quote",
        'A text stands between double quotes on one line: `"bij,bjk->bik"`.',
        """
        use "layers.dfg
        """,
        _LEAST,
    ),
    "line-continues": code(
        "a statement that goes on after its end",
        "A newline ends a statement except inside ( ) or [ ] and before `else` or `carry`: put an expression over several lines in ( ).",
        """
        input x : f64[3]
        output y = 2 * x
          + 1
        """,
        """
        input x : f64[3]
        output y = (2 * x
          + 1)
        """,
    ),
    "reserved-word": code(
        "a word of the language as a name",
        "The words of the language cannot be names. One with a trailing `_` can.",
        """
        input in : f64[3]
        output y = 2.0
        """,
        """
        input in_ : f64[3]
        output y = 2 * in_
        """,
    ),
    "missing-type": code(
        "a declaration without its type",
        "An `input` says its dtype and shape: `input x : f64[n, 3]`. Params, states and consts may leave it to their initial value.",
        """
        input x
        output y = 2.0
        """,
        """
        input x : f64
        output y = 2 * x
        """,
    ),
    "missing-value": code(
        "a declaration without its value",
        "A `param`, `state` or `const` begins as something: `param w : f64 = 0.5`.",
        """
        param w : f64
        output y = 2.0
        """,
        """
        param w : f64 = 0.5
        output y = 2 * w
        """,
    ),
    "missing-else": code(
        "an `if` without `else`",
        "A branch is an expression, so it has a value either way.",
        """
        input x : f64
        output y = if x > 0 { x }
        """,
        """
        input x : f64
        output y = if x > 0 { x } else { 0.0 }
        """,
    ),
    "loop-without-carry": code(
        "a loop without a carry",
        "`while` and `for` hand a value from step to step: `for i in 0..4 carry s = 0.0 { s = s + x[i] }`.",
        """
        input x : f64[4]
        output y = for i in 0..4 { s = x[i] }
        """,
        """
        input x : f64[4]
        output y = for i in 0..4 carry s = 0.0 { s = s + x[i] }
        """,
    ),
    "while-without-max": code(
        "a `while` without its `max`",
        "`while` needs a static bound on its steps, so that its gradient has one: `while p max 50 carry z = a { ... }`.",
        """
        input a : f64
        output r = while abs(z * z - a) > 1e-12 carry z = a { z = 0.5 * (z + a / z) }
        """,
        """
        input a : f64
        output r = while abs(z * z - a) > 1e-12 max 50 carry z = a { z = 0.5 * (z + a / z) }
        """,
    ),
    "empty-block": code(
        "a block without anything in it",
        "A block ends with the expression that it gives.",
        """
        def f(x) { }
        input x : f64[3]
        output y = x
        """,
        """
        def f(x) { 2 * x }
        input x : f64[3]
        output y = f(x)
        """,
    ),
    "missing-result": code(
        "a block whose last line gives nothing",
        "The value of a function or a branch is the expression on its last line; there is no `return`.",
        """
        def f(x) {
          t = 2 * x
        }
        input x : f64[3]
        output y = x
        """,
        """
        def f(x) {
          t = 2 * x
          t
        }
        input x : f64[3]
        output y = f(x)
        """,
    ),
    "unused-expression": code(
        "an expression whose value goes nowhere",
        "Bind it to a name, or export it with `output`.",
        """
        input x : f64[3]
        2 * x
        output x
        """,
        """
        input x : f64[3]
        y = 2 * x
        output y
        """,
    ),
    "misplaced-statement": code(
        "a statement in a place where it has no meaning",
        "Declarations stand at the top of a file, not in blocks; `yield` in loops; checks in tests.",
        """
        def f(x) {
          input k : f64
          k * x
        }
        output y = 2.0
        """,
        """
        input k : f64
        def f(x) = k * x
        output y = f(2.0)
        """,
    ),
    "not-utf8": shown(
        "a file that is not UTF-8 text",
        "The message says which byte. An editor that asks for an encoding saves it rightly as UTF-8.",
        "iconv -t UTF-16 model.dfg > other.dfg; dfg check other.dfg",
        "dfg check model.dfg",
    ),
    "too-many-errors": shown(
        "more errors than are shown",
        "Repair the first ones; the rest often go with them.",
        "a file of another language: dfg check model.py",
        "dfg check model.dfg",
    ),
    "unreadable-file": shown(
        "a program that cannot be read",
        "The message has the operating system's reason. `-` reads the program from standard input.",
        "dfg check no_such_model.dfg",
        "dfg check model.dfg",
    ),
}
