"""Print the compiler's form of a program, or the code it generates.

`--target ir` is exact text (one op per statement, read back to an equal graph), `source` readable text, `numpy` the generated NumPy code.
"""

from __future__ import annotations

import argparse

from dfg.cli.common import add_file, add_kinks, misuse, names, read_program, tell, write

STAGES = ("source", "stabilised", "differentiated", "clean", "planned")


def configure(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    parser.add_argument("--target", choices=("ir", "numpy", "source"), default="ir")
    parser.add_argument("--stage", choices=STAGES, help="which of the compiler's graphs (source)")
    parser.add_argument("--only", metavar="NAMES", help="the outputs that a plan is for: y,z")
    parser.add_argument("--no-update", action="store_true", help="a plan without updates")
    parser.add_argument("-o", "--out", metavar="FILE", help="write to a file")
    add_kinks(parser)


def run(args: argparse.Namespace) -> int:
    planned = args.target == "numpy" or args.stage == "planned"
    if args.target == "numpy" and args.stage not in (None, "planned"):
        raise misuse("`--target numpy` is made of the plan: it has no other stage")
    if args.target == "source" and planned:
        raise misuse("a plan is no program: `--stage planned` goes with `--target ir` or `--target numpy`")
    if not planned and (args.only is not None or args.no_update):
        raise misuse("`--only` and `--no-update` choose what a plan computes: they go with `--target numpy` or `--stage planned`")
    program = read_program(args.file)
    tell(program.warnings)
    if planned:
        from dfg.api import compile

        fn = compile(program, "numpy", outputs=names(args.only), update=not args.no_update, kinks=args.kinks)
        write(fn.source if args.target == "numpy" else str(fn.plan), args.out)
        return 0
    graph = program.stage(args.stage or "source", args.kinks)
    from dfg.api.files import write_exact, write_readable

    if args.target == "source":
        write_readable(program, args.out, args.kinks, graph)
    else:
        write_exact(graph, args.out)
    return 0
