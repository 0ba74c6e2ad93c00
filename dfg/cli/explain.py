"""Tell what a diagnostic code means, with a failing and a repaired program."""

from __future__ import annotations

import argparse
import sys


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("code", nargs="?", help="a code such as shape-mismatch; without one, all codes are listed")


def run(args: argparse.Namespace) -> int:
    from dfg.cli.common import misuse, nearest_of
    from dfg.diagnostics.codes import CODES, explain

    if args.code is None:
        width = max(map(len, CODES))
        sys.stdout.write("".join(f"{code:{width}}  {entry.title}\n" for code, entry in CODES.items()))
        return 0
    # A code is often pasted with what stands around it: `error[shape-mismatch]:`.
    code = args.code.rstrip(":").removesuffix("]").rpartition("[")[2]
    page = explain(code)
    if page is None:
        near = nearest_of(code, CODES)
        raise misuse(f"there is no code `{code}`", f"did you mean `dfg explain {near}`?" if near else "`dfg explain` lists the codes")
    sys.stdout.write(page)
    return 0
