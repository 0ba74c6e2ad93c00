"""Codes about dtypes, literals and differentiation."""

from __future__ import annotations

from dfg.diagnostics.catalogue import Code, code, shown

CODES: dict[str, Code] = {
    "unknown-dtype": code(
        "a type whose dtype does not exist",
        """The dtypes are `bool`, `u8`, `i32`, `i64`, `f32` and `f64`; `f64` alone is a scalar, `f64[3]` has an axis.""",
        """
        input x : float[3]
        output y = sum(x)
        """,
        """
        input x : f64[3]
        output y = sum(x)
        """,
    ),
    "wrong-dtype": code(
        "an operand of a dtype that the operation does not take",
        """Each op says which dtypes it takes (`dfg ops NAME`): `and`, `or`, `not` take bool, an index is an integer, and numbers are never
        read as truth values. Write the comparison or the conversion that is meant.""",
        """
        input x : f64[3]
        output y = not x
        """,
        """
        input x : f64[3]
        output y = not (x > 0)
        """,
    ),
    "literal-overflow": code(
        "a number that its dtype cannot hold",
        """A literal that meets a tensor takes the tensor's dtype, and an integer must fit into it: nothing wraps that one can see in the
        text. Convert the tensor to a wider dtype first, or correct the number.""",
        """
        input x : u8[3]
        output y = x + 300
        """,
        """
        input x : u8[3]
        output y = i64(x) + 300
        """,
    ),
    "lossy-cast": code(
        "an implicit conversion that may lose digits",
        """Promotion goes by dtype alone, so `f32` with `i64` is `f32`, which cannot hold every `i64`. It is a warning; with `--strict` an
        error. `dfg check --casts` lists every implicit conversion. Writing the conversion says that it is meant.""",
        """
        input k : i64
        input x : f32[3]
        output y = x * k
        """,
        """
        input k : i64
        input x : f32[3]
        output y = x * f32(k)
        """,
        severity="warning",
    ),
    "not-scalar-loss": code(
        "a gradient of something that is not a scalar",
        """`grad(l, w)` is the derivative of one number. Sum or average the loss first. For a tensor, `vjp(y, w, ct)` weighs its
        elements by `ct`, and `jacobian(y, w)` gives all derivatives.""",
        """
        input x : f64[3]
        param w : f64 = 1.0
        output g = grad(w * x, w)
        """,
        """
        input x : f64[3]
        param w : f64 = 1.0
        output g = grad(sum(w * x), w)
        """,
    ),
    "integer-target": code(
        "a derivative by an integer or a truth value",
        """Only floating-point values can be varied by an arbitrarily small amount. Declare the target as `f32` or `f64`.""",
        """
        input k : i64
        l = 2.0 * k
        output g = grad(l, k)
        """,
        """
        input k : f64
        l = 2.0 * k
        output g = grad(l, k)
        """,
    ),
    "integer-loss": code(
        "a derivative of an integer or a truth value",
        """The loss must be a floating-point scalar: an integer does not change with its inputs by arbitrarily small amounts.""",
        """
        input x : f64[3]
        l = sum(x > 0)
        output g = grad(l, x)
        """,
        """
        input x : f64[3]
        l = sum(tanh(x))
        output g = grad(l, x)
        """,
    ),
    "grad-of-expression": code(
        "a derivative by an expression",
        """The target of a derivative is a name: the loss is differentiated as though that name were an input from its binding on. An
        expression that looks the same elsewhere is another value. Bind it first, and use the name in the loss.""",
        """
        input x : f64
        y = (2 * x) ** 2
        output g = grad(y, 2 * x)
        """,
        """
        input x : f64
        u = 2 * x
        y = u ** 2
        output g = grad(y, u)
        """,
    ),
    "disconnected-target": code(
        "a derivative by something that the loss does not depend on",
        """The derivative is zero everywhere, which is rarely meant: the loss may use another name, or the path to the target may
        go through `stop_gradient`, a comparison or a rounding. It is a warning, and the result is zeros.""",
        """
        input x : f64
        param w : f64 = 1.0
        l = x ** 2
        output g = grad(l, w)
        """,
        """
        input x : f64
        param w : f64 = 1.0
        l = w * x ** 2
        output g = grad(l, w)
        """,
        severity="warning",
    ),
    "hidden-index": code(
        "an indexed statement whose index hides a loop's",
        """`z[i] = …` binds a whole array: its index `i` runs over all places, in a loop over `i` as well. To change one place in each step, use the functional
        update `with`. If the whole array is meant, another name for the index says so. It is a warning.""",
        """
        input x : f64[n]
        s = scan i in arange(n) carry s = zeros([n]) { s[i] = 2 * x[i] }
        output s
        """,
        """
        input x : f64[n]
        s = scan i in arange(n) carry s = zeros([n]) { s = s with [i] = 2 * x[i] }
        output s
        """,
        severity="warning",
    ),
    "implicit-cast": shown(
        "an implicit conversion, where none is wanted",
        """With `dfg check --strict` every conversion must be written. `dfg check --casts` lists those that are not, with their reasons.""",
        """
        input k : i64
        input x : f64[3]
        output y = x * k
        """,
        """
        input k : i64
        input x : f64[3]
        output y = x * f64(k)
        """,
    ),
    "test-failed": shown(
        "a test of the file that does not hold",
        """`dfg test` computed both sides and they differ, a condition is not true everywhere, a gradient does not agree with differences, or an
        error that was expected did not come. The message gives the first place and how many there are.""",
        """
        test "a sum" { sum([1, 2]) == 4 }
        """,
        """
        test "a sum" { sum([1, 2]) == 3 }
        """,
    ),
}
