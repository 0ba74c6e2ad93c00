<<<<<<< HEAD
"""Codes about runs: the data that arrives, files, and the command line."""

from __future__ import annotations

from dfg.diagnostics.catalogue import Code, code
=======
"""Codes about runs: the data that arrives, and the command line."""

from __future__ import annotations

from dfg.diagnostics.catalogue import Code, run
>>>>>>> main

_SUM = """
    input x : f64[3]
    output y = sum(x)
"""
<<<<<<< HEAD

CODES: dict[str, Code] = {
    "missing-input": code(
=======
_GIVEN = ("--input", "x=[1, 2, 3]")

CODES: dict[str, Code] = {
    "missing-input": run(
>>>>>>> main
        "a run without an input that it needs",
        """Every input that the wanted outputs and updates use must be fed, unless its declaration gives a default. `--only NAME` and
        `--no-update` want less.""",
        _SUM,
<<<<<<< HEAD
        failing_run=(),
        repaired_run=("--input", "x=[1, 2, 3]"),
    ),
    "surplus-input": code(
=======
        (),
        _GIVEN,
    ),
    "surplus-input": run(
>>>>>>> main
        "data for an input that the program has not",
        """The name given is no input of the program; if one is spelled almost the same, the message proposes it. Parameters and states are
        set by `bind` and by checkpoints, not fed.""",
        _SUM,
<<<<<<< HEAD
        failing_run=("--input", "x=[1, 2, 3]", "--input", "z=1"),
        repaired_run=("--input", "x=[1, 2, 3]"),
    ),
    "wrong-shape-input": code(
        "data of another shape than declared",
        """The value fed does not have the declared number of axes or the declared sizes, a dim gets two different sizes, or a size
        contradicts a `dim` line. The message says which axis, and which input gave a dim its size first.""",
        _SUM,
        failing_run=("--input", "x=[1, 2]"),
        repaired_run=("--input", "x=[1, 2, 3]"),
    ),
    "wrong-dtype-input": code(
        "data of a dtype that does not convert to the declared one",
        """Data is converted only where nothing can be lost: integers to floats, narrow to wide. Fractions do not become integers, nor
        numbers truth values; convert them before.""",
        """
        input k : i64[2]
        output y = sum(k)
        """,
        failing_run=("--input", "k=[0.5, 1]"),
        repaired_run=("--input", "k=[0, 1]"),
    ),
    "unreadable-input": code(
        "data that cannot be read",
        """A value is a literal (`0.5`, `[[1, 2], [3, 4]]`, `true`), `file.npy`, `file.npz:key`, `file.csv:column`, an image or a
        CIFAR batch. Files are only read: nothing in them is ever executed, and pickled objects are refused.""",
        _SUM,
        failing_run=("--input", "x=[1, 2,"),
        repaired_run=("--input", "x=[1, 2, 3]"),
    ),
    "file-not-found": code(
        "a file that is not there",
        """Paths on the command line are relative to where the command runs; those of `use` and `load` to the file that they stand in.""",
        _SUM,
        failing_run=("--input", "x=no_such_file.npy"),
        repaired_run=("--input", "x=[1, 2, 3]"),
    ),
    "unknown-output": code(
        "a wanted output that the program has not",
        """`--only` and `outputs=` choose among the outputs that the file declares with `output`.""",
        _SUM,
        failing_run=("--input", "x=[1, 2, 3]", "--only", "z"),
        repaired_run=("--input", "x=[1, 2, 3]", "--only", "y"),
    ),
    "outside-folder": code(
        "a path that leaves the folder of the file",
        """A `.dfg` file reads only files in its own folder and below it, so that a program from elsewhere can be run without fear.
        Copy the file into the folder.""",
        """
        use "../layers.dfg" as layers
        input x : f64
        output y = 2 * x
        """,
        """
        input x : f64
        output y = 2 * x
        """,
    ),
    "singular": code(
        "a matrix that has no inverse, or no such factor",
        """`inv` and `solve` need a matrix of full rank, `cholesky` a positive definite one; this one is not, as far as the
        arithmetic can tell. A small multiple of the identity added to it, or `lstsq`, is often what is meant.""",
=======
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
>>>>>>> main
        """
        input a : f64[2, 2]
        output y = solve(a, [1.0, 2.0])
        """,
<<<<<<< HEAD
        failing_run=("--input", "a=[[1, 2], [2, 4]]"),
        repaired_run=("--input", "a=[[1, 2], [2, 5]]"),
    ),
    "missing-extra": code(
        "a feature whose optional package is not installed",
        """The GPU, Dask and ONNX need packages that dfg does not install by itself. The message names the extra:
        `pip install 'dfg[NAME]'`.""",
        _SUM,
        failing_run=("--input", "x=[1, 2, 3]", "--backend", "cupy"),
        repaired_run=("--input", "x=[1, 2, 3]", "--backend", "numpy"),
    ),
    "misuse": code(
        "a command line that cannot be understood",
        """An option that does not exist, a value that is missing, two options that exclude each other. `dfg COMMAND --help` shows what
        there is. The exit code is 2.""",
        _SUM,
        failing_run=("--inptu", "x=[1, 2, 3]"),
        repaired_run=("--input", "x=[1, 2, 3]"),
=======
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
>>>>>>> main
    ),
}
