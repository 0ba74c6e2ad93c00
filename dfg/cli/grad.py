"""Print a program with its gradients, as a program: it runs, and can be differentiated again.

Without --loss, the losses are what the program takes gradients of already, else its only scalar output; without --wrt, all parameters.
"""

from __future__ import annotations

import argparse

from dfg.cli.common import add_file, add_kinks, misuse, names, read_program, tell


def configure(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    parser.add_argument("--loss", metavar="NAME", help="the scalar to differentiate")
    parser.add_argument("--wrt", metavar="NAMES", help="by what: w,b")
    parser.add_argument("-o", "--out", metavar="FILE", help="write the program to a file")
    add_kinks(parser)


def run(args: argparse.Namespace) -> int:
    program = read_program(args.file)
    from dfg.api.files import write_readable
    from dfg.api.gradient import with_gradients

    losses, wrt = names(args.loss), names(args.wrt)
    if losses == [] or wrt == []:
        raise misuse("`--loss` and `--wrt` need a name")
    derived = with_gradients(program, losses, wrt)
    derived.stage("clean", args.kinks)  # what is wrong comes before what is doubtful
    tell(derived.warnings)
    write_readable(derived, args.out, args.kinks)
    return 0
