"""Run a program on data and print its outputs.

A VALUE is a literal (0.5, [1, 2]), a file (x.npy, data.npz:key, table.csv:column, picture.png, data_batch_1:images) or - for standard input.
Without --json the outputs are a table; with it they are {"outputs": {NAME: {"dtype", "shape", "value"}}}, where NaN and infinities
are the texts "nan", "inf" and "-inf".
"""

from __future__ import annotations

import argparse
import sys
from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dfg.cli.common import add_file, add_kinks, json_on_error, misuse, names, read_program, tell, write_json
from dfg.cli.results import check_results, read_targets, write_results
from dfg.diagnostics import Diagnostic, Label, UserError, error, warning
from dfg.source import normal

if TYPE_CHECKING:
    import numpy as np

    from dfg.api import Executable, Program
    from dfg.types import TensorType


def configure(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    parser.add_argument("--input", metavar="NAME=VALUE", action="append", default=[], help="feed one input; may be repeated")
    parser.add_argument("--inputs", metavar="DATA.npz", action="append", default=[], help="feed inputs by name from an .npz or .safetensors file")
    parser.add_argument("--out", metavar="[NAME=]FILE", action="append", default=[],
                        help="write the outputs, or one: .npz .npy .json .csv .safetensors, or a picture .png .jpg; may be repeated")
    parser.add_argument("--only", metavar="NAMES", help="compute only these outputs: y,z")
    parser.add_argument("--no-update", action="store_true", help="leave states and parameters as they are")
    parser.add_argument("--trace", metavar="NAMES", help="print these bound names too: u,v")
    parser.add_argument("--repeat", metavar="N", type=_count, default=1, help="run N times, with updates; the last outputs are printed")
    parser.add_argument("--load", metavar="FILE", help="take parameters and states from a checkpoint, before the first run")
    parser.add_argument("--save", metavar="FILE.safetensors", help="write parameters and states, after the last run")
    parser.add_argument("--plot", metavar="[NAMES=]FILE", action="append", default=[],
                        help="plot scalars over the runs of --repeat, as .svg or .png: loss.png plots `loss`; loss,accuracy=curve.svg")
    parser.add_argument("--backend", metavar="NAME", help="numpy (the default, or what DFG_BACKEND says)")
    parser.add_argument("--json", action="store_true", help="the outputs as JSON")
    parser.add_argument("--precision", metavar="N", type=_count, default=6, help="digits of the printed numbers (6)")
    add_kinks(parser)


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a whole number above 0")
    return value


def run(args: argparse.Namespace) -> int:
    try:
        return _run(args)
    except UserError as wrong:
        if args.json and not any(item.code == "misuse" for item in wrong.diagnostics):
            json_on_error(wrong)
        raise


def _run(args: argparse.Namespace) -> int:
    given = _split(args)
    program = read_program(args.file)
    only, traced = names(args.only), names(args.trace) or []
    if only == []:
        raise misuse("`--only` needs the name of an output")
    targets = read_targets(args.out, args.plot, args.save, args.repeat)
    plots = targets.plotted(program)
    whole = only if only is not None else list(program.outputs)  # what is asked for; the rest is for --trace and for files
    extra = [*traced, *targets.named(program)]
    if extra:
        program, only = _with_names(program, extra, only)
    from dfg.api import compile

    fn = compile(program, args.backend, outputs=only, update=not args.no_update, kinks=args.kinks)
    check_results(targets, plots, fn.outputs, whole)
    tell(program.warnings)
    feeds = _feeds(program, fn, given, args)
    if args.load is not None:
        fn.load(args.load)
    outputs, lines = _repeat(fn, feeds, args.repeat, [name for wanted in plots for name in wanted])
    wrong = write_results(targets, plots, fn, outputs, whole, lines)
    if args.json:
        if not wrong:
            from dfg.data import json_outputs

            write_json(json_outputs({name: outputs[name] for name in dict.fromkeys([*whole, *traced])}))
    else:
        written = {name for name, _ in targets.outs if name is not None}
        written |= set(whole) if any(name is None for name, _ in targets.outs) else set()
        shown = {name: outputs[name] for name in dict.fromkeys([*whole, *traced]) if name in traced or wrong or name not in written}
        from dfg.cli.table import table

        sys.stdout.write(table(shown, min(args.precision, 17)))  # no f64 has more digits that mean anything
        if not outputs and args.save is None:
            sys.stdout.write("nothing to show: the program has no output\n" if not program.outputs else "")
    if wrong:
        raise UserError(wrong)
    return 0


def _repeat(fn: Executable, feeds: Mapping[str, Any], times: int, plotted: list[str]) -> tuple[Mapping[str, np.ndarray], dict[str, array[float]]]:
    """The last outputs of so many runs, and the values of some scalars at each of them."""
    import warnings

    from dfg.cli.progress import Progress
    from dfg.cli.table import number

    lines = {name: array("d") for name in plotted}
    outputs: Mapping[str, np.ndarray] = {}
    scalars = [name for name, t in fn.outputs.items() if not t.shape][:3]
    with Progress(times) as progress, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # told below, with their place
        for k in range(times):
            outputs = fn(**feeds)
            for name, line in lines.items():
                line.append(float(outputs[name]))
            if progress.due():
                progress(k + 1, "  ".join(f"{name} {number(outputs[name].reshape(-1)[0], 4)}" for name in scalars))
    tell(getattr(fn.runtime, "warnings", ()))
    return outputs, lines


def _split(args: argparse.Namespace) -> dict[str, str]:
    """NAME=VALUE by name. That a name is given twice, or standard input asked for twice, is a misuse."""
    given: dict[str, str] = {}
    for text in args.input:
        name, equals, value = text.partition("=")
        name = normal(name.strip())
        if not equals or not name:
            raise misuse(f"`--input {text}` is not NAME=VALUE", "write `--input 'x=[1, 2]'`")
        if name in given:
            raise misuse(f"`--input {name}=...` is given twice")
        given[name] = value
    streams = [f"--input {name}=-" for name, value in given.items() if value.strip() == "-" or value.strip().startswith("-:")]
    streams += ["the program"] if args.file == "-" else []
    if len(streams) > 1:
        raise misuse(f"standard input can be read once, not for {' and '.join(streams)}", "put one of them into a file")
    return given


def _with_names(program: Program, traced: list[str], only: list[str] | None) -> tuple[Program, list[str]]:
    """The program with bound names as further outputs, and the outputs that are wanted then."""
    from dfg.cli.common import nearest_of
    from dfg.ir import Roots

    graph = program.graph
    outputs = dict(graph.roots.outputs)
    for name in traced:
        if name in outputs:
            continue
        if name not in graph.names:
            near = nearest_of(name, [*outputs, *graph.names])
            raise UserError(error("unknown-name", f"no value is called `{name}`", help=f"did you mean `{near}`?" if near else None))
        outputs[name] = graph.names[name]
    wanted = [*(only if only is not None else graph.roots.outputs), *traced]
    return program.with_roots(Roots(outputs, graph.roots.updates, graph.roots.initials)), list(dict.fromkeys(wanted))


def _feeds(program: Program, fn: Executable, given: dict[str, str], args: argparse.Namespace) -> dict[str, Any]:
    from dfg.data import read_inputs, read_value

    declared = program.inputs
    wanted = {name: (t.dtype.name, _shape(t)) for name, t in declared.items()}
    wrong: list[Diagnostic] = [_surplus(program, name) for name in given if name not in declared]
    feeds: dict[str, Any] = {}
    for path in args.inputs:
        arrays = read_inputs(path, wanted=wanted)
        strangers = [name for name in arrays if name not in declared]
        if strangers and not any(name in declared for name in arrays):
            raise UserError([_surplus(program, strangers[0])])
        if strangers:
            tell([warning("surplus-input", f"{path} also holds {', '.join(f'`{name}`' for name in strangers[:8])}"
                          f"{' ...' if len(strangers) > 8 else ''}, which is no input")])
        feeds.update({name: array for name, array in arrays.items() if name in declared})
    for name, text in given.items():
        if name in declared:
            try:
                feeds[name] = read_value(text, dtype=wanted[name][0], shape=wanted[name][1], name=name)
            except UserError as bad:
                wrong.extend(_declared_at(program, name, item) for item in bad.diagnostics)
    missing = [name for name in fn.required if name not in feeds and name not in given]
    if missing:
        wrong.append(_missing(program, fn, missing, feeds, given, args.file))
    if wrong:
        raise UserError(wrong)
    return feeds


def _shape(t: TensorType) -> tuple[int | None, ...]:
    return tuple(d if isinstance(d, int) else None for d in t.shape)


def _declared_at(program: Program, name: str, item: Diagnostic) -> Diagnostic:
    """The diagnostic with the declaration of the input beside it."""
    from dataclasses import replace

    span = program.declaration(name)
    if span is None:
        return item
    label = Label(span, f"`{name}` is declared as {program.inputs[name]}")
    return replace(item, labels=(*item.labels, label), span=item.span or None)


def _surplus(program: Program, name: str) -> Diagnostic:
    from dfg.cli.common import nearest_of

    kind = "parameter" if name in program.params else "state" if name in program.states else None
    if kind is not None:
        span = program.declaration(name)
        return error("surplus-input", f"`{name}` is a {kind}, not an input", span, help="`--load FILE` sets parameters and states")
    near = nearest_of(name, program.inputs)
    known = ", ".join(f"`{known}`" for known in program.inputs)
    return error("surplus-input", f"{program.name} has no input `{name}`",
                 help=f"did you mean `{near}`?" if near else f"its inputs are {known}" if known else "it has no input")


def _missing(program: Program, fn: Executable, missing: list[str], feeds: Mapping[str, Any], given: Mapping[str, str], file: str) -> Diagnostic:
    """What is needed, with types, and a command line to copy."""
    import shlex

    from dfg.cli.table import example

    types = program.inputs
    labels = [Label(span, f"`{name}` is {types[name]}") for name in missing if (span := program.declaration(name)) is not None]
    words = ["dfg", "run", file]
    sizes: dict[str, int] = {}
    for name, given_array in feeds.items():
        for d, size in zip(types[name].shape, getattr(given_array, "shape", ()), strict=False):
            sizes.setdefault(str(d), size)
    for name in fn.required:
        words += ["--input", f"{name}={given[name]}" if name in given else f"{name}={example(types[name], sizes)}"]
    listed = ", ".join(f"`{name}` : {types[name]}" for name in missing)
    return error("missing-input", f"the run needs {'an input' if len(missing) == 1 else f'{len(missing)} inputs'} that "
                 f"{'is' if len(missing) == 1 else 'are'} not given: {listed}", labels[0].span if labels else None, labels=labels,
                 help=f"for example: {shlex.join(words)}")
