"""Codes about shapes, dims, indices and what must be known while compiling."""

from __future__ import annotations

from dfg.diagnostics.catalogue import Code, code

CODES: dict[str, Code] = {
    "shape-mismatch": code(
        "shapes that do not fit together",
        """Elementwise operations align the axes of their operands from the last one back. Two aligned axes must have the same size, or one
        of them the literal size 1; the sizes here are known to differ. Products, `concat`, `where` and updates have the same rule for
        the axes that they align.""",
        """
        input x : f64[3, 20]
        input w : f64[30]
        output h = x * w
        """,
        """
        input x : f64[3, 20]
        input w : f64[20]
        output h = x * w
        """,
    ),
    "dim-unproved": code(
        "two sizes that may differ",
        """The operation needs two sizes to be equal, and nothing in the file says that they are: a named size is never assumed to be
        another one, or 1. If they are always equal, say so with a `dim` line, which is verified when sizes arrive, or use
        one name for both.""",
        """
        input x : f64[n]
        input y : f64[m]
        output z = x + y
        """,
        """
        input x : f64[n]
        input y : f64[m]
        dim n == m
        output z = x + y
        """,
    ),
    "dim-unbound": code(
        "a dim that no input gives a size",
        """A dim is bound by its bare use in the type of an input, or by a type with one unknown (`2*n`). This one stands in no such place,
        so no run could ever know it.""",
        """
        param w : f64[n] = 0.5
        output l = sum(w)
        """,
        """
        input x : f64[n]
        param w : f64[n] = 0.5
        output l = sum(w * x)
        """,
    ),
    "dim-contradiction": code(
        "facts about dims that cannot all be true",
        """The `dim` lines of a file are facts that inference uses. These leave no size at all.""",
        """
        input x : f64[n]
        dim n >= 4
        dim n == 3
        output y = sum(x)
        """,
        """
        input x : f64[n]
        dim n >= 3
        output y = sum(x)
        """,
    ),
    "rank-mismatch": code(
        "the wrong number of axes",
        """The operation needs an operand with another number of axes: more indices than axes, `.T` of something that is no matrix, `@`
        of a scalar, a bracketed array whose elements have different ranks.""",
        """
        input x : f64[3]
        output y = x[0, 1]
        """,
        """
        input x : f64[3, 2]
        output y = x[0, 1]
        """,
    ),
    "out-of-bounds": code(
        "an index or a slice outside its axis",
        """Indices run from 0 to size - 1, or from -size to -1, and a slice must lie within its axis: nothing is clipped in silence, as
        NumPy does. An index computed while running is checked while running.""",
        """
        input x : f64[3]
        output y = x[5]
        """,
        """
        input x : f64[3]
        output y = x[2]
        """,
    ),
    "empty-axis": code(
        "a reduction over an axis without elements",
        """`max`, `min` and the places of extremes have no value where there is nothing to choose from. For a size that is known only when
        data arrives, `dim n >= 1` says that it is never 0.""",
        """
        input x : f64[3]
        output y = max(x[2:2])
        """,
        """
        input x : f64[3]
        output y = max(x[1:2])
        """,
    ),
    "carry-type": code(
        "a carry that changes its type from step to step",
        """A carry has one dtype and shape in every step; its start is converted and broadcast to what the body gives, and no more than
        that.""",
        """
        input x : f64[3]
        y = scan t in x carry s = x { s = concat([s, x]) }
        output y
        """,
        """
        input x : f64[3]
        y = scan t in x carry s = x { s = s + t * x }
        output y
        """,
    ),
    "not-static": code(
        "a run-time value where one known while compiling is needed",
        """Shapes, axes, the bounds of `for` and of slices decide the types of the program, so they are made of literals, consts,
        dims and what is computed from these. The labels show what made this value a run-time one. A size that changes from run to
        run is a dim: declare it in the type of an input.""",
        """
        input k : i64
        output y = zeros([k])
        """,
        """
        input x : f64[k]
        output y = zeros([k]) + x
        """,
    ),
    "not-scalar-index": code(
        "a slice bound that is not a scalar",
        """`x[a : b]` takes one start and one stop. To pick elements by an array of indices write `x[idx]`.""",
        """
        input x : f64[8]
        input k : i64[2]
        output y = x[k : k + 2]
        """,
        """
        input x : f64[8]
        input k : i64
        output y = x[k : k + 2]
        """,
    ),
    "not-scalar-condition": code(
        "a condition of `if` or `while` that is not one truth value",
        """`if` and `while` choose once, so their condition is a scalar of dtype bool. To choose element by element use `where`; to ask
        whether all or any hold, `all` or `any`.""",
        """
        input x : f64[3]
        output y = if x > 0 { x } else { -x }
        """,
        """
        input x : f64[3]
        output y = where(x > 0, x, -x)
        """,
    ),
    "branch-mismatch": code(
        "branches of `if` with different shapes",
        """Both branches must have one type; dtypes are promoted, shapes are never broadcast.""",
        """
        input p : bool
        input x : f64[3]
        output y = if p { x } else { 0.0 }
        """,
        """
        input p : bool
        input x : f64[3]
        output y = if p { x } else { zeros_like(x) }
        """,
    ),
    "structure-mismatch": code(
        "records with different fields",
        """Arithmetic, `where`, `if`, carries and updates act on records leaf by leaf, so the records must have the same fields, nested in
        the same way. A scalar goes with every leaf.""",
        """
        def one() = (w = ones([3]), b = 0.0)
        def other() = (w = ones([3]), c = 0.0)
        param p = one()
        q = p + other()
        output y = total(q)
        """,
        """
        def one() = (w = ones([3]), b = 0.0)
        def other() = (w = ones([3]), b = 1.0)
        param p = one()
        q = p + other()
        output y = total(q)
        """,
    ),
}
