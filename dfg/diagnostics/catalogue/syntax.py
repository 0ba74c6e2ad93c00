"""Codes about how a program is written. Those that begin with `pythonic` name a form of Python or C, and the form that dfg has for it."""

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
    "pythonic-power": code(
        "`^` for a power",
        "A power is written `**`.",
        """
        input x : f64[3]
        output y = x ^ 2
        """,
        """
        input x : f64[3]
        output y = x ** 2
        """,
    ),
    "pythonic-logic": code(
        "`&&`, `||` or `!`",
        "Conditions are joined with `and`, `or` and `not`, elementwise too.",
        """
        input x : f64[3]
        output y = x > 0 && x < 1
        """,
        """
        input x : f64[3]
        output y = x > 0 and x < 1
        """,
    ),
    "pythonic-precedence": code(
        "`&` or `|` between comparisons",
        "As in Python `&` binds tighter than a comparison, so `x > 0 & x < 1` means `x > (0 & x) < 1`. Write `and` or `or`.",
        """
        input x : f64[3]
        output y = x > 0 & x < 1
        """,
        """
        input x : f64[3]
        output y = x > 0 and x < 1
        """,
    ),
    "pythonic-chain": code(
        "comparisons in a chain",
        "A comparison has two sides; join two of them with `and`.",
        """
        input x : f64[3]
        output y = 0 < x < 1
        """,
        """
        input x : f64[3]
        output y = 0 < x and x < 1
        """,
    ),
    "pythonic-comparison": code(
        "a comparison written otherwise",
        "The comparisons are `==`, `!=`, `<`, `<=`, `>` and `>=`.",
        """
        input x : f64[3]
        output y = x <> 0
        """,
        """
        input x : f64[3]
        output y = x != 0
        """,
    ),
    "pythonic-equals": code(
        "`=` where a comparison is meant",
        "`=` binds a name; a comparison is `==`.",
        """
        input x : f64
        output y = if x = 0 { 1.0 } else { x }
        """,
        """
        input x : f64
        output y = if x == 0 { 1.0 } else { x }
        """,
    ),
    "pythonic-walrus": code(
        "`:=`",
        "A name is bound by `=`, in a statement of its own.",
        """
        input x : f64[3]
        y := 2 * x
        output y
        """,
        """
        input x : f64[3]
        y = 2 * x
        output y
        """,
    ),
    "pythonic-chained-binding": code(
        "`a = b = value`",
        "A statement has one `=`. Bind the second name to the first.",
        """
        input x : f64[3]
        a = b = 2 * x
        output a
        """,
        """
        input x : f64[3]
        b = 2 * x
        a = b
        output a
        """,
    ),
    "pythonic-assignment": code(
        "an assignment to elements",
        "Nothing is changed in place: `x with [0] = 1.0` is a new value that differs from `x` there.",
        """
        input x : f64[3]
        x[0] = 1.0
        output y = sum(x)
        """,
        """
        input x : f64[3]
        x1 = x with [0] = 1.0
        output y = sum(x1)
        """,
    ),
    "pythonic-augmented": code(
        "`+=` and its like",
        "Nothing is changed in place. A `state` changes by `update`, a carry by its line in the loop; everything else gets a new name.",
        """
        input x : f64
        state s : f64 = 0
        s += x
        output s
        """,
        """
        input x : f64
        state s : f64 = 0
        update s = s + x
        output s
        """,
    ),
    "pythonic-method": code(
        "a method call on a value",
        "Values have no methods: an op is called by its name. (`x.shape`, `x.T` and fields of records are no calls.)",
        """
        input x : f64[3]
        output y = x.sum()
        """,
        """
        input x : f64[3]
        output y = sum(x)
        """,
    ),
    "pythonic-ternary": code(
        "`y if p else z`",
        "`if p { y } else { z }` runs one branch; `where(p, y, z)` chooses element by element.",
        """
        input x : f64
        output y = x if x > 0 else 0.0
        """,
        """
        input x : f64
        output y = if x > 0 { x } else { 0.0 }
        """,
    ),
    "pythonic-elif": code(
        "`elif`",
        "It is written `else if`.",
        """
        input x : f64
        output y = if x > 1 { 1.0 } elif x > 0 { x } else { 0.0 }
        """,
        """
        input x : f64
        output y = if x > 1 { 1.0 } else if x > 0 { x } else { 0.0 }
        """,
    ),
    "pythonic-block": code(
        "a block after a colon",
        "Blocks stand in `{ }`, and a branch or a loop is an expression: `y = if p { a } else { b }`.",
        """
        input x : f64
        if x > 0:
          y = x
        output x
        """,
        """
        input x : f64
        y = if x > 0 { x } else { 0.0 }
        output y
        """,
    ),
    "pythonic-def": code(
        "a function with a colon",
        "A function is `def f(x) = value` or `def f(x) { ... }`, whose last line is the value.",
        """
        def f(x): return 2 * x
        output y = f(3.0)
        """,
        """
        def f(x) = 2 * x
        output y = f(3.0)
        """,
    ),
    "pythonic-lambda": code(
        "`lambda`",
        "Functions have names: define it above, and give its name.",
        """
        f = lambda x: 2 * x
        output y = 1.0
        """,
        """
        def f(x) = 2 * x
        output y = f(1.0)
        """,
    ),
    "pythonic-return": code(
        "`return`",
        "The last line of a function is its value.",
        """
        def f(x) {
          return 2 * x
        }
        output y = f(3.0)
        """,
        """
        def f(x) {
          2 * x
        }
        output y = f(3.0)
        """,
    ),
    "pythonic-print": code(
        "`print`",
        "A run shows its outputs: `output y`.",
        """
        input x : f64[3]
        y = 2 * x
        print(y)
        """,
        """
        input x : f64[3]
        y = 2 * x
        output y
        """,
    ),
    "pythonic-import": code(
        "`import`",
        'A file of functions is used by `use "layers.dfg" as layers`, the standard library by `use optim`; ops need no line at all.',
        """
        import numpy
        output y = 2.0
        """,
        """
        output y = 2.0
        """,
    ),
    "pythonic-range": code(
        "a range that is not written `0..10`",
        "A range has two dots; its end is excluded. `for i in 0..10` repeats, `arange(10)` is an array.",
        """
        input x : f64[4]
        output y = [x[i] for i in 0:4]
        """,
        """
        input x : f64[4]
        output y = [x[i] for i in 0..4]
        """,
    ),
    "pythonic-dict": code(
        "a dict or a set",
        "`{ }` holds a block; values are grouped by records, `(w = 1.0, b = 2.0)`.",
        """
        p = {w: 1.0}
        output y = 2.0
        """,
        """
        p = (w = 1.0, b = 2.0)
        output y = p.w
        """,
    ),
    "pythonic-constant": code(
        "`True`, `False` or `None`",
        "They are written `true`, `false` and `none`.",
        """
        input x : f64[2, 3]
        output y = sum(x, axis=0, keepdims=True)
        """,
        """
        input x : f64[2, 3]
        output y = sum(x, axis=0, keepdims=true)
        """,
    ),
    "pythonic-quotes": code(
        "a text between single quotes",
        "A text stands between double quotes.",
        """
        input a : f64[2, 3]
        output b = einsum('ij->ji', a)
        """,
        """
        input a : f64[2, 3]
        output b = einsum("ij->ji", a)
        """,
    ),
    "pythonic-docstring": code(
        "a docstring",
        "The comments directly above a declaration are its documentation.",
        '''
        def f(x) {
          """Twice x."""
          2 * x
        }
        output y = f(3.0)
        ''',
        """
        # Twice x.
        def f(x) = 2 * x
        output y = f(3.0)
        """,
    ),
    "pythonic-semicolon": code(
        "`;`",
        "A statement ends with its line.",
        """
        input x : f64[3]; y = 2 * x
        output y
        """,
        """
        input x : f64[3]
        y = 2 * x
        output y
        """,
    ),
    "pythonic-backslash": code(
        "a line continued by a backslash",
        "Inside brackets a statement goes on over lines by itself: put the expression in ( ).",
        """
        input x : f64[3]
        output y = 2 * x \\
          + 1
        """,
        """
        input x : f64[3]
        output y = (2 * x
          + 1)
        """,
    ),
    "pythonic-word": code(
        "a word of another language",
        "Bindings need no word before them; there is no `let`, `var`, `global`, `assert` or `class`.",
        """
        input x : f64[3]
        let y = 2 * x
        output y
        """,
        """
        input x : f64[3]
        y = 2 * x
        output y
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
