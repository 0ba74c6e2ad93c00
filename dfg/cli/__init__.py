"""The command line: `dfg COMMAND ...`, one file per command, each thin over `dfg.api`.

Only the asked command's module is imported, and no command imports numpy before it has arrays to work on. Whatever is wrong is told on
standard error as diagnostics; results go to standard output. The exit code is 0 when all is well, 1 when the program or the data is wrong,
2 for a misuse of the command line, 3 for a bug of dfg, 130 after Ctrl-C, 141 when the reader of our output went away.

>>> main(["explain", "unknown-name"])
0
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from dfg.cli.common import COMMANDS, Parser, misuse, nearest_of, tell
from dfg.diagnostics import UserError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        # A terminal of another encoding shows what it can, and never makes us fail.
        with suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        try:
            code = _dispatch(words)
        finally:
            with suppress(ValueError):
                if sys.stdout is not None:
                    sys.stdout.flush()
        return code
    except UserError as wrong:
        tell(wrong.diagnostics)
        return 2 if any(item.code == "misuse" for item in wrong.diagnostics) else 1
    except SystemExit as end:  # argparse, after --help
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        tell_line("interrupted")
        return 130
    except BrokenPipeError:
        _silence()
        return 141
    except OSError as problem:
        if problem.filename is None and _stdout_is_broken():
            _silence()
        tell_line(f"error[cannot-write]: cannot write the results: {problem.strerror or problem}")
        return 1
    except MemoryError:
        tell_line("error[too-large]: there is not enough memory for this program with these inputs")
        return 1
    except Exception as bug:
        return _our_bug(bug, words)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        if len(words) > 1 and words[0] == "help":
            return _dispatch([words[1], "--help"])
        sys.stdout.write(_overview())
        return 0 if words else 2
    if words[0] in ("-V", "--version", "version"):
        from dfg import __version__

        sys.stdout.write(f"dfg {__version__}\n")
        return 0
    name = words[0]
    if name not in COMMANDS:
        near = nearest_of(name, COMMANDS)
        what = f"there is no option `{name}` here" if name.startswith("-") else f"there is no command `{name}`"
        raise misuse(what, f"did you mean `dfg {near}`?" if near else "`dfg --help` lists the commands")
    module = import_module(f"dfg.cli.{name.replace('-', '_')}")
    parser = Parser(prog=f"dfg {name}", description=module.__doc__)
    module.configure(parser)
    return int(module.run(parser.parse_args(words[1:])))


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {about}" for name, about in COMMANDS.items()]
    return ("usage: dfg COMMAND ...\n\nA declarative dataflow-graph compiler.\n\n" + "\n".join(lines)
            + "\n\n`dfg COMMAND --help` tells more. A FILE of `-` is standard input.\n"
            "Exit codes: 0 all is well, 1 the program or the data is wrong, 2 the command line is, 3 a bug of dfg.\n")


def tell_line(text: str) -> None:
    """A line on standard error, if there is one."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{text}\n")


def _stdout_is_broken() -> bool:
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        return True
    return False


def _silence() -> None:
    """Let what is still in the buffer of standard output go nowhere, so that the interpreter's own flush at the end says nothing."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _our_bug(bug: Exception, words: list[str]) -> int:
    from dfg import __version__
    from dfg.diagnostics import InternalError

    if os.environ.get("DFG_TRACEBACK") == "1":
        import traceback

        tell_line(traceback.format_exc().rstrip())
    shown = str(bug).split("\nThis is a bug of dfg.")[0] if isinstance(bug, InternalError) else f"{type(bug).__name__}: {bug}"
    import shlex

    tell_line(f"internal error: {shown}\n"
              f"This is a bug of dfg {__version__}, not of your program. Please report it, with the program and this command:\n"
              f"    DFG_TRACEBACK=1 dfg {shlex.join(words)}")
    return 3
