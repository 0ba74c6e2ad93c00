"""Codes about names, calls and functions."""

from __future__ import annotations

from dfg.diagnostics.catalogue import Code, code

CODES: dict[str, Code] = {
    "unknown-name": code(
        "a name that nothing above it binds",
        """Every name is bound by an `input`, `param`, `state`, `const`, a dim of a type or a statement `name = value` before it is
        used. If one that is bound is spelled almost the same, the message proposes it.""",
        """
        input theta : f64
        output y = sin(thata)
        """,
        """
        input theta : f64
        output y = sin(theta)
        """,
    ),
    "unknown-op": code(
        "a call of something that is neither an op nor a function",
        """Ops have the names of the Python array API standard, then NumPy's, SciPy's and the usual neural-network names; `dfg ops`
        lists them. Functions are those that the file defines above the call, or of a module that it uses.""",
        """
        input x : f64[3]
        output y = tahn(x)
        """,
        """
        input x : f64[3]
        output y = tanh(x)
        """,
    ),
    "duplicate-name": code(
        "a name bound twice in one scope",
        """A name stands for one value, so a scope binds it once; nothing is overwritten. Give the second value a name of its own. Only
        a carry of `scan`, `while` or `for` is bound twice: at its head, and once in the body for the next step.""",
        """
        input x : f64
        y = x + 1
        y = y * 2
        output y
        """,
        """
        input x : f64
        y = x + 1
        z = y * 2
        output z
        """,
    ),
    "use-before-binding": code(
        "a name used above the line that binds it",
        """Statements read from top to bottom: a value may use only what stands above it. Move the binding up. (For a value of the last
        run use a `state`, for one of the last step a carry.)""",
        """
        input x : f64
        y = z + 1
        z = 2 * x
        output y
        """,
        """
        input x : f64
        z = 2 * x
        y = z + 1
        output y
        """,
    ),
    "not-callable": code(
        "a call of a name that holds a value",
        """Binding a name hides an op or a function of that name from there on, as in Python. Rename the binding, and the op is visible
        again.""",
        """
        input x : f64[3]
        sum = x[0] + x[1]
        output y = sum(x)
        """,
        """
        input x : f64[3]
        first = x[0] + x[1]
        output y = sum(x) - first
        """,
    ),
    "missing-argument": code(
        "a call without an argument that it needs",
        """The function or op has a parameter without a default, and the call gives it nothing. `dfg ops NAME` shows the parameters of an
        op.""",
        """
        input x : f64[6]
        output y = reshape(x)
        """,
        """
        input x : f64[6]
        output y = reshape(x, [2, 3])
        """,
    ),
    "surplus-argument": code(
        "a call with an argument that there is no parameter for",
        """More positional arguments than parameters, a keyword that is no parameter's name, or a parameter given twice.""",
        """
        input x : f64[2, 3]
        output y = sum(x, axes=0)
        """,
        """
        input x : f64[2, 3]
        output y = sum(x, axis=0)
        """,
    ),
    "bad-argument": code(
        "an argument whose value the op cannot take",
        """The argument is of the right kind, and its value is outside what the op is defined for: an axis that the operand has not, a
        mode that does not exist, sizes that do not multiply to the size of the operand.""",
        """
        input x : f64[2, 3]
        output y = sum(x, axis=2)
        """,
        """
        input x : f64[2, 3]
        output y = sum(x, axis=1)
        """,
    ),
    "arity": code(
        "a different number of things than are taken",
        """`a, b = f(x)` needs a call that returns exactly two values, and an `einsum` as many operands as its text names. `_` takes a value
        that is not wanted.""",
        """
        input x : f64[3]
        def three(x) = (x[0], x[1], x[2])
        a, b = three(x)
        output s = a + b
        """,
        """
        input x : f64[3]
        def three(x) = (x[0], x[1], x[2])
        a, b, _ = three(x)
        output s = a + b
        """,
    ),
    "wrong-type": code(
        "a tuple, a record or a function where a value is needed",
        """Ops take tensors. A tuple is returned and destructured (`q, r = qr(a)`), a record is read by its fields or acted on leaf by leaf, a
        function is called or handed on.""",
        """
        input a : f64[3, 3]
        output y = exp(qr(a))
        """,
        """
        input a : f64[3, 3]
        q, r = qr(a)
        output y = exp(q)
        """,
    ),
    "recursion": code(
        "a function that calls itself",
        """Functions are expanded at each call, so one that calls itself, also through others, would never end. Repetition is written
        with `scan`, `while ... max N` or `for`.""",
        """
        input x : f64
        def half(x) = half(x / 2)
        output y = half(x)
        """,
        """
        input x : f64
        def half(x) = x / 2
        y = for i in 0..3 carry s = x { s = half(s) }
        output y
        """,
    ),
    "unknown-field": code(
        "a field that the record has not",
        """`p.w` reads the field `w` of the record `p`. A record has exactly the fields that it was written with.""",
        """
        def init(n) = (w = ones([n]), b = 0.0)
        param p = init(3)
        output y = sum(p.weight)
        """,
        """
        def init(n) = (w = ones([n]), b = 0.0)
        param p = init(3)
        output y = sum(p.w)
        """,
    ),
    "duplicate-update": code(
        "two updates of one state or parameter",
        """Updates happen together, after the outputs, and all of them see the old values; two for one name would contradict each other.
        Combine them in one right-hand side.""",
        """
        state steps : i64 = 0
        update steps = steps + 1
        update steps = steps * 2
        output now = steps
        """,
        """
        state steps : i64 = 0
        update steps = (steps + 1) * 2
        output now = steps
        """,
    ),
    "bad-exact": code(
        "exact text that does not hold together",
        """Exact text, which begins with `default exact`, is what the compiler prints of a graph: every statement is one op on named values, with all its
        attributes and its type, and each value stands once. Print the graph anew (`dfg emit --target ir`), or write a program instead.""",
        """
        default exact
        input x : f64[n]
        y : f64[n] = multiply(x, 2.0)
        output y
        """,
        """
        input x : f64[n]
        y = x * 2.0
        output y
        """,
    ),
    "exact-type": code(
        "a type in exact text that is not the type of the value",
        """In exact text each type follows from the op, its operands and attributes; the written one is compared with it.""",
        """
        default exact
        input x : f64[n]
        y : f32[n] = tanh(x)
        output y
        """,
        """
        default exact
        input x : f64[n]
        y : f64[n] = tanh(x)
        output y
        """,
    ),
}
