"""Codes about runs: the data that arrives, and the command line."""

from __future__ import annotations

from dfg.diagnostics.catalogue import Code, run, shown

_SUM = """
    input x : f64[3]
    output y = sum(x)
"""
_GIVEN = ("--input", "x=[1, 2, 3]")

CODES: dict[str, Code] = {
    "missing-input": run(
        "a run without an input that it needs",
        """Every input that the wanted outputs and updates use must be fed, unless its declaration gives a default. `--only NAME` and
        `--no-update` want less.""",
        _SUM,
        (),
        _GIVEN,
    ),
    "surplus-input": run(
        "data for an input that the program has not",
        """The name given is no input of the program; if one is spelled almost the same, the message proposes it. Parameters and states are
        set by `bind` and by checkpoints, not fed.""",
        _SUM,
        (*_GIVEN, "--input", "z=1"),
        _GIVEN,
    ),
    "wrong-shape": run(
        "data of another shape than declared",
        """The axes of a value are those that its declaration has; nothing is stretched, squeezed or transposed. A dim has one size in a run:
        the message says which input gave it first.""",
        _SUM,
        ("--input", "x=[1, 2]"),
        _GIVEN,
    ),
    "unmet-size": run(
        "sizes for which a declared fact or a needed inequality does not hold",
        """`dim` lines state facts about sizes, and operations need some (a slice must lie inside its axis); those that cannot be proved while
        compiling are checked when sizes arrive, before anything is computed. `dfg check --asserts` lists them.""",
        """
        input x : f64[n]
        dim n >= 3
        output y = sum(x[:3])
        """,
        ("--input", "x=[1, 2]"),
        ("--input", "x=[1, 2, 3]"),
    ),
    "size-fixed": shown(
        "another size than a parameter or state was made with",
        """A parameter or state whose shape has a dim is made at the first run, and keeps that size from then on. `reset()` forgets the
        values; the next run makes them anew.""",
        """
        # fn(x=zeros of [3]), then fn(x=zeros of [4])
        input x : f64[n]
        state seen : f64[n] = 0
        update seen = seen + x
        """,
        """
        # fn(x=zeros of [3]), then fn.reset(), then fn(x=zeros of [4])
        input x : f64[n]
        state seen : f64[n] = 0
        update seen = seen + x
        """,
    ),
    "bad-output": shown(
        "an array that an output cannot be written to",
        "`raw` writes into the arrays of the caller: one for each output, of exactly its dtype and shape, writable, each another array.",
        "# fn.raw(x, out=np.empty(3, 'f4'))\ninput x : f64[3]\noutput y = exp(x)",
        "# fn.raw(x, out=np.empty(3, 'f8'))\ninput x : f64[3]\noutput y = exp(x)",
    ),
    "unset": shown(
        "a parameter or state without a value",
        "It has no initial value and none was bound. `bind(w=array)` gives one that shares memory with the array, `params` sets a copy.",
        "# fn(x=x)\nparam w : f64[3]\ninput x : f64[3]\noutput y = sum(w * x)",
        "# fn.params['w'] = [1, 2, 3], then fn(x=x)\nparam w : f64[3]\ninput x : f64[3]\noutput y = sum(w * x)",
    ),
    "overlap": shown(
        "arrays of two parameters that share memory",
        "An update of one would change the other. `bind` takes arrays that do not overlap.",
        "# fn.bind(w=a[:3], v=a[2:5])\nparam w : f64[3] = 0\nparam v : f64[3] = 0\noutput y = sum(w * v)",
        "# fn.bind(w=a[:3], v=a[3:6])\nparam w : f64[3] = 0\nparam v : f64[3] = 0\noutput y = sum(w * v)",
    ),
    "not-writable": shown(
        "a read-only array bound to a parameter or state",
        "Updates write into the array that was bound. A copy of it is writable.",
        "# fn.bind(w=np.broadcast_to(0.0, 3))\nparam w : f64[3] = 0\noutput y = sum(w)",
        "# fn.bind(w=np.zeros(3))\nparam w : f64[3] = 0\noutput y = sum(w)",
    ),
    "while-limit": shown(
        "a `while` that took as many steps as it may",
        """The number after `max` bounds a `while`. Where a run reaches it the condition may still hold, and the result is what the last step gave. A
        larger bound costs nothing unless it is needed; the gradient keeps that many rows.""",
        "input a : f64\nz = while abs(z * z - a) > 1e-12 max 2 carry z = a { z = 0.5 * (z + a / z) }\noutput z",
        "input a : f64\nz = while abs(z * z - a) > 1e-12 max 50 carry z = a { z = 0.5 * (z + a / z) }\noutput z",
    ),
    "does-not-fit": run(
        "a written number that the wanted dtype cannot hold",
        """A written number takes the dtype of the input. An integer fits every number dtype in whose range it lies; a float fits f32 and
        f64; `true` and `false` fit all.""",
        """
        input k : u8[2]
        output y = sum(k)
        """,
        ("--input", "k=[1, 300]"),
        ("--input", "k=[1, 30]"),
    ),
    "bad-literal": run(
        "a value that is no literal",
        """A value given on the command line is a number, `true`, `false`, `inf`, `nan`, `pi`, or a list of these in brackets, or the name of
        a file. It is read, not computed: there is no arithmetic in it. `./0.5` names a file that looks like a number.""",
        _SUM,
        ("--input", "x=[1/2, 2, 3]"),
        ("--input", "x=[0.5, 2, 3]"),
    ),
    "ragged-literal": run(
        "a list whose elements differ in shape",
        "A list in brackets is an array, so its elements have one shape: lists of one length, or all numbers.",
        """
        input a : f64[n, m]
        output y = sum(a)
        """,
        ("--input", "a=[[1, 2], [3]]"),
        ("--input", "a=[[1, 2], [3, 4]]"),
    ),
    "no-such-file": run(
        "a file that is not there",
        "A value that is no literal is the name of a file, looked up in the current folder.",
        _SUM,
        ("--input", "x=no_such_file.npy"),
        _GIVEN,
    ),
    "unknown-output": run(
        "a wanted output that the program has not",
        "`--only` and `outputs=` choose among the outputs that the file declares with `output`.",
        _SUM,
        (*_GIVEN, "--only", "z"),
        (*_GIVEN, "--only", "y"),
    ),
    "singular": run(
        "a matrix that has no inverse, or no such factor",
        """`inv` and `solve` need a matrix of full rank, `cholesky` a positive definite one; this one is not, as far as the arithmetic can
        tell. A small multiple of the identity added to it, or `lstsq`, is often what is meant.""",
        """
        input a : f64[2, 2]
        output y = solve(a, [1.0, 2.0])
        """,
        ("--input", "a=[[1, 2], [2, 4]]"),
        ("--input", "a=[[1, 2], [2, 5]]"),
    ),
    "missing-extra": run(
        "a feature whose optional package is not installed",
        "The GPU, Dask and ONNX need packages that dfg does not install by itself. The message names the extra: `pip install 'dfg[NAME]'`.",
        _SUM,
        (*_GIVEN, "--backend", "cupy"),
        (*_GIVEN, "--backend", "numpy"),
    ),
    "misuse": run(
        "a command line that cannot be understood",
        """An option that does not exist, a value that is missing, two options that exclude each other. `dfg COMMAND --help` shows what there
        is. The exit code is 2.""",
        _SUM,
        ("--inptu", "x=[1, 2, 3]"),
        _GIVEN,
    ),
    "unknown-backend": run(
        "a backend that does not exist",
        "The message lists the backends. `numpy` is always there.",
        _SUM,
        (*_GIVEN, "--backend", "numpi"),
        (*_GIVEN, "--backend", "numpy"),
    ),
}
