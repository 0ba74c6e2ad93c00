"""Codes that only programs built in Python can give. Their examples are Python, which the tests of the builder run."""

from __future__ import annotations

from dfg.diagnostics.catalogue import Code, shown

CODES: dict[str, Code] = {
    "unpinned-target": shown(
        "a derivative by a value without an identity of its own",
        """Equal values of a program are one value, so a computed value cannot be told from another that is computed alike. `dfg.pin` gives it an identity:
        values that are computed from the pinned one can be differentiated by it, as though it were an input. Inputs, parameters and states have
        one already.""",
        """
        u = w * x
        l = dfg.sum(u ** 2)
        du = dfg.grad(l, u)
        """,
        """
        u = dfg.pin(w * x)
        l = dfg.sum(u ** 2)
        du = dfg.grad(l, u)
        """,
    ),
    "late-fact": shown(
        "a fact about a size that comes too late",
        """What is known of a dim decides how shapes are written, and no shape changes once something was computed with it. Say what is known before the first
        computation; inputs alone may stand above it.""",
        """
        x = dfg.input("x", "f64[n]")
        y = dfg.exp(x)
        dfg.dim("n", at_least=2)
        """,
        """
        dfg.dim("n", at_least=2)
        x = dfg.input("x", "f64[n]")
        y = dfg.exp(x)
        """,
    ),
    "escaped-value": shown(
        "a value of a loop's body that is used outside of it",
        """The function that is given to `scan`, `while_loop`, `cond` or `vmap` is called with tensors that stand for every step. They mean nothing outside the
        body: what is wanted of them is returned, as the next carry or to be stacked.""",
        """
        kept = []
        dfg.scan(lambda h, x: (h + x, kept.append(h)), 0.0, xs)
        y = kept[-1] + 1
        """,
        """
        last, before = dfg.scan(lambda h, x: (h + x, h), 0.0, xs)
        y = before[0] + 1
        """,
    ),
    "missing-backend": shown(
        "numbers where nothing runs programs",
        """A traced function is given arrays, but only its graph can be made: the part of dfg that compiles and runs was not imported. `import dfg` imports it when it is
        first needed.""",
        """
        from dfg.frontend.builder import function
        """,
        """
        from dfg import function
        """,
    ),
}
