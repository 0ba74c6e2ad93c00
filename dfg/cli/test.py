"""Run the tests in .dfg files, or in all .dfg files below folders, on every available backend.

The exit code is 0 if all pass, 1 if one fails or a file is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from dfg.cli.common import misuse, read_stdin, tell, write_json
from dfg.diagnostics import Diagnostic, UserError


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", metavar="FILE|DIR", nargs="+", help="a .dfg file, a folder, or - for standard input")
    parser.add_argument("--backend", action="append", help="only on this backend (again for several)")
    parser.add_argument("--match", metavar="TEXT", help="only tests whose title contains TEXT")
    parser.add_argument("--json", action="store_true", help="the results as JSON on standard output")
    parser.add_argument("--concise", action="store_true", help="one line for each failure")


def run(args: argparse.Namespace) -> int:
    from dfg.api.executable import BACKENDS
    from dfg.api.loading import read_file
    from dfg.api.testing import run_tests
    from dfg.diagnostics.render import as_json

    for name in args.backend or ():
        if name not in BACKENDS:
            raise misuse(f"there is no backend `{name}`", f"one of {', '.join(BACKENDS)}")
    rows: list[dict[str, object]] = []
    wrong: list[Diagnostic] = []
    passed = failed = 0
    for path in dfg_files(args.paths):
        found: list[Diagnostic] = []
        told: list[Diagnostic] = []
        count = good = 0
        try:
            source = read_stdin() if path == "-" else read_file(path)
            for result in run_tests(source, None if path == "-" else Path(path), args.backend):
                if args.match is not None and args.match not in result.title:
                    continue
                count += 1
                good += result.ok
                found += result.problems
                told += [w for w in result.warnings if w not in told]
                rows.append({"file": path, "title": result.title, "backend": result.backend, "ok": result.ok, "seconds": round(result.seconds, 6),
                             "diagnostics": as_json((*result.problems, *result.warnings))})
                if not result.ok and not args.json:
                    sys.stdout.write(f"{path}: FAILED {result.title!r} ({result.backend})\n")
        except UserError as problem:
            found += problem.diagnostics
            failed += 1
            rows.append({"file": path, "title": None, "backend": None, "ok": False, "seconds": 0.0, "diagnostics": as_json(problem.diagnostics)})
        passed += good
        failed += count - good
        wrong += found
        if not args.json:
            sys.stdout.flush()
            tell([*found, *told], concise=args.concise)
            if count:
                sys.stdout.write(f"{path}: {good} of {count} passed\n")
    if args.json:
        write_json({"passed": passed, "failed": failed, "results": rows})
    else:
        sys.stdout.write(f"{passed} passed, {failed} failed\n")
    return 1 if failed else 0



def dfg_files(paths: list[str]) -> list[str]:
    """The files that are meant: files as they are, of folders every .dfg file below, in order."""
    result: list[str] = []
    for path in paths:
        if not os.path.isdir(path):
            result.append(path)
            continue
        below = sorted(str(p) for p in Path(path).rglob("*.dfg") if p.is_file())
        if not below:
            raise misuse(f"there is no .dfg file in the folder `{path}`")
        result += below
    return list(dict.fromkeys(result))
