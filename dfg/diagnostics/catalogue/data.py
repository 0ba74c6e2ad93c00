"""Codes about runs: the data that arrives, files, and the command line."""

from __future__ import annotations

from dfg.diagnostics.catalogue import Code, code

_SUM = """
    input x : f64[3]
    output y = sum(x)
"""

CODES: dict[str, Code] = {
    "missing-input": code(
        "a run without an input that it needs",
        """Every input that the wanted outputs and updates use must be fed, unless its declaration gives a default. `--only NAME` and
        `--no-update` want less.""",
        _SUM,
        failing_run=(),
        repaired_run=("--input", "x=[1, 2, 3]"),
    ),
    "surplus-input": code(
        "data for an input that the program has not",
        """The name given is no input of the program; if one is spelled almost the same, the message proposes it. Parameters and states are
        set by `bind` and by checkpoints, not fed.""",
        _SUM,
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
        """
        input a : f64[2, 2]
        output y = solve(a, [1.0, 2.0])
        """,
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
    ),
}
