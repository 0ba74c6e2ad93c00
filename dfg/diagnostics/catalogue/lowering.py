"""Codes about declarations, carries and indexed statements, told when a program becomes a graph."""

from __future__ import annotations

from dfg.diagnostics.catalogue import Code, code

CODES: dict[str, Code] = {
    "bad-index": code(
        "an index name where it means nothing",
        """In `z[i] = ...` and `sum(j: ...)` an index goes through subscripts, arithmetic, comparisons and elementwise functions; how far it goes is what its
        subscripts allow, so it must stand alone in one of them, or with a factor and a shift. Anything else is computed first, as a tensor.""",
        """
        input x : f64[4]
        z[i] = 2 * i
        output y = sum(x) + sum(z)
        """,
        """
        input x : f64[4]
        z[i] = x[i] * i
        output y = sum(x) + sum(z)
        """,
    ),
    "bad-update": code(
        "an update of something that is not kept",
        """Only a `param` or a `state` is kept from run to run, so only they are updated. A value within one run is bound once; an input is fed.""",
        """
        input x : f64
        y = 2 * x
        update y = y + 1
        output y
        """,
        """
        input x : f64
        state y : f64 = 0
        update y = y + 2 * x
        output now = y
        """,
    ),
    "carry-unbound": code(
        "a carry that its loop never binds again",
        """A carry is bound at the head of the loop and exactly once in the body, for the next step: that is all that it is for. A value that stays the same in
        every step is no carry: the body reads names of the outside as they are.""",
        """
        input x : f64[3]
        output y = scan a in x carry s = 0.0 { yield a + s }
        """,
        """
        input x : f64[3]
        s = 0.0
        output y = scan a in x { yield a + s }
        """,
    ),
    "initial-value": code(
        "an initial value that depends on what is fed",
        """Parameters, states and the defaults of inputs have their first values before anything is fed. They may use constants, sizes, draws and what is
        declared above them, and no input.""",
        """
        input x : f64
        state first : f64 = x
        output y = first + x
        """,
        """
        input x : f64
        state first : f64 = 0
        update first = x
        output y = first + x
        """,
    ),
}
