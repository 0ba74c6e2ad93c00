"""Codes that name a form of Python or C, and the form that dfg has for it."""

from __future__ import annotations

from dfg.diagnostics.catalogue import Code, code

CODES: dict[str, Code] = {
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
}
