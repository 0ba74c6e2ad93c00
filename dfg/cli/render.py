"""Draw a program, its backward pass, or both side by side: .svg, .png or .dot.

A program without a derivative is differentiated as `dfg grad` does when the backward pass is asked for.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Literal

from dfg.cli.common import add_file, add_kinks, misuse, read_program, tell

if TYPE_CHECKING:
    from dfg.api.program import StageName


def configure(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    parser.add_argument("picture", metavar="PICTURE", nargs="?", help="the file to write: .svg, .png or .dot")
    parser.add_argument("-o", "--out", metavar="PICTURE", help="the same, as an option")
    parser.add_argument("--view", choices=("forward", "backward", "both"), help="what to draw (both where there is a derivative, else forward)")
    parser.add_argument("--focus", metavar="NAME", help="only what is near one value")
    parser.add_argument("--depth", metavar="K", type=int, default=2, help="how many arrows away (2)")
    parser.add_argument("--stage", choices=("source", "stabilised", "differentiated", "clean", "planned"),
                        help="which of the compiler's graphs; planned: with the steps and the slots of memory")
    parser.add_argument("--input", metavar="NAME=VALUE", action="append", default=[], help="show the values of a run with this input; may be repeated")
    parser.add_argument("--inputs", metavar="DATA.npz", action="append", default=[], help="inputs by name from a file")
    parser.add_argument("--no-fold", action="store_true", help="do not fold calls into one box")
    parser.add_argument("--max-nodes", metavar="N", type=int, default=150, help="fold what has more boxes than this (150)")
    parser.add_argument("--engine", default="auto", help="the layout engine")
    parser.add_argument("--title", help="a title (the file's name)")
    add_kinks(parser)


def run(args: argparse.Namespace) -> int:
    target = args.out or args.picture
    if target is None:
        raise misuse("where to is missing", "write `dfg render model.dfg model.svg`")
    if args.out is not None and args.picture is not None:
        raise misuse(f"two pictures are named: `{args.picture}` and `{args.out}`")
    if args.depth < 0 or args.max_nodes < 1:
        raise misuse("`--depth` and `--max-nodes` are counts")
    program = read_program(args.file)
    # before differentiation there is one pass, in which `grad` is a box
    view = args.view or ("both" if program.derives() and args.stage not in ("source", "stabilised") else "forward")
    if view != "forward" and not program.derives():
        from dfg.api.gradient import with_gradients

        program = with_gradients(program, None, None)
    tell(program.warnings)
    stage: StageName | Literal["planned"] = args.stage or ("clean" if program.derives() else "source")
    options: dict[str, object] = {}
    if args.input or args.inputs:
        from dfg.api import compile
        from dfg.cli.run import _feeds, _split

        fn = compile(program, kinks=args.kinks)
        options["values"] = fn.values(program.stage("clean" if stage == "planned" else stage, args.kinks), _feeds(program, fn, _split(args), args))
    if args.title is not None:
        options["title"] = args.title
    made = program.render(target, view, stage=stage, kinks=args.kinks, focus=args.focus, depth=args.depth, fold=not args.no_fold,
                          max_nodes=args.max_nodes, engine=args.engine, **options)
    for note in made.notes:
        sys.stderr.write(f"{made.path}: {note}\n")
    return 0
