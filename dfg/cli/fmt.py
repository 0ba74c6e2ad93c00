"""Write .dfg files in the one style, or with --check tell which are not in it. Comments and the text of numbers stay.

`-` reads standard input and writes standard output. A file with a syntax error is left as it is.
"""

from __future__ import annotations

import argparse
import difflib
import sys

from dfg.cli.common import read_stdin, tell
from dfg.cli.test import dfg_files
from dfg.diagnostics import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", metavar="FILE|DIR", nargs="+", help="a .dfg file, a folder, or - for standard input")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a file is not in the style")
    parser.add_argument("--diff", action="store_true", help="change nothing; show what would change")


def run(args: argparse.Namespace) -> int:
    from dfg.api.loading import read_file
    from dfg.frontend.formatter import format_source

    code = 0
    for path in dfg_files(args.paths):
        try:
            source = read_stdin() if path == "-" else read_file(path)
            new = format_source(source)
        except UserError as wrong:
            tell(wrong.diagnostics)
            code = 1
            continue
        same = new == source.text
        if args.diff and not same:
            sys.stdout.writelines(difflib.unified_diff(source.text.splitlines(True), new.splitlines(True), path, f"{path} (formatted)"))
        if args.check:
            if not same:
                sys.stdout.write(f"{path}: not in the style\n")
                code = 1
        elif path == "-" and not args.diff:
            sys.stdout.write(new)
        elif not same and not args.diff:
            from dfg.data import atomic_write

            with atomic_write(path) as stream:
                stream.write(new.encode("utf-8"))
            sys.stdout.write(f"{path}: formatted\n")
    return code

