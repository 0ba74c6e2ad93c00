"""What every command shares: the table of commands, a parser whose refusals are diagnostics, reading FILE, showing diagnostics.

>>> nearest_of("chekc", COMMANDS)
'check'
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from dfg.diagnostics import Diagnostic, UserError, error
from dfg.source import normal

if TYPE_CHECKING:
    from dfg.api import Program
    from dfg.source import Source

COMMANDS = {
    "check": "find everything wrong with programs, without running them",
    "run": "run a program on data",
    "grad": "print a program with its gradients, as a program",
    "render": "draw a program, its backward pass or both",
    "emit": "print the compiler's form of a program, or the code it generates",
    "test": "run the tests in files",
    "fmt": "write files in the one style",
    "explain": "tell what a diagnostic code means",
    "ops": "list the functions, print the page of one, prove their rules",
}
KINKS = ("dfg", "torch", "jax")


def misuse(message: str, help: str | None = None) -> UserError:
    """The command line cannot be understood: exit code 2."""
    return UserError(error("misuse", message, help=help))


def nearest_of(word: str, candidates: Iterable[str]) -> str | None:
    from dfg.diagnostics.codes import nearest

    return nearest(word, candidates)


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that raises what is wrong as a diagnostic and proposes the nearest option."""

    def __init__(self, **rest: str | None) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **rest)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        raise misuse(f"{self.prog}: {message}", f"`{self.prog} --help` shows what there is")

    def parse_args(self, args: Sequence[str] | None = None, namespace: None = None) -> argparse.Namespace:  # type: ignore[override]
        given = list(args or ())
        known = {option for action in self._actions for option in action.option_strings}
        for word in given:
            if word == "--":
                break
            option = word.split("=", 1)[0]
            if option.startswith("--") and option not in known:
                near = nearest_of(option, known)
                raise misuse(f"`{self.prog}` has no option `{option}`",
                             f"did you mean `{near}`?" if near else f"`{self.prog} --help` lists the options")
        # Intermixed: `dfg run --input x=1 model.dfg` and `dfg check a.dfg --json b.dfg` are both right.
        return self.parse_intermixed_args(given)


def add_file(parser: argparse.ArgumentParser, many: bool = False) -> None:
    """The argument FILE, or FILES."""
    if many:
        parser.add_argument("files", metavar="FILE", nargs="+", help="a .dfg file, or - for standard input")
    else:
        parser.add_argument("file", metavar="FILE", help="a .dfg file, or - for standard input")


def add_kinks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kinks", choices=KINKS, default="dfg", help="derivatives at kinks such as relu's 0: dfg's policy, torch's or jax's")


def read_program(path: str) -> Program:
    """The program of FILE."""
    from dfg import api

    if path == "-":
        return api.read(sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode(), "<stdin>")
    return api.load(path)


def names(text: str | None) -> list[str] | None:
    """`a,b,c` as a list, None as None."""
    return None if text is None else [normal(name) for name in (part.strip() for part in text.split(",")) if name]


def tell(diagnostics: Sequence[Diagnostic], *, concise: bool = False) -> None:
    """Diagnostics on standard error."""
    from dfg.diagnostics.render import concise as one_line
    from dfg.diagnostics.render import full

    if diagnostics:
        with suppress(ValueError, AttributeError, OSError):
            sys.stderr.write(one_line(diagnostics) if concise else full(diagnostics, color=coloured()))
            sys.stderr.flush()


def coloured() -> bool:
    """Is standard error a terminal that wants colours?"""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


def write(text: str, path: str | None = None) -> None:
    """A text to standard output, or to a file in one piece."""
    if path is None or path == "-":
        sys.stdout.write(text)
        return
    from dfg.data import atomic_write

    with atomic_write(path) as stream:
        stream.write(text.encode("utf-8"))


def write_json(value: object) -> None:
    import json

    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def json_on_error(wrong: UserError) -> None:
    """What `--json` prints when nothing could be computed: the diagnostics, for machines; people read standard error."""
    from dfg.diagnostics.render import as_json

    write_json({"diagnostics": as_json(wrong.diagnostics)})


def read_stdin() -> Source:
    """The text on standard input."""
    from dfg.diagnostics import Sink
    from dfg.frontend.parser import read_source

    sink = Sink()
    source = read_source(sys.stdin.buffer.read(), sink, "<stdin>")
    if source is None:
        raise UserError(sink.items)
    return source
