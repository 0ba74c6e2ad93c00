"""Where `dfg run` writes: `--out`, `--plot` and `--save`, understood and checked before the run, written after it.

A file name that has no folder, an unknown suffix or two targets of one name would cost the work of a long run, so they are told first. After the run each
file is written whole or not at all, and one that fails (a full disk) does not keep the others from being written.

    [NAME=]FILE     the part before the first `=` is a name if it is one: `g1=grid.png`; `./a=b.npz` is a file
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dfg.cli.common import misuse, names, nearest_of
from dfg.diagnostics import Diagnostic, UserError, error

if TYPE_CHECKING:
    import numpy as np

    from dfg.api import Executable, Program
    from dfg.types import TensorType

IMAGES = (".png", ".jpg", ".jpeg")
_NAMED = re.compile(r"([^\W\d][\w.]*(?:\s*,\s*[^\W\d][\w.]*)*)\s*=")


@dataclass(frozen=True, slots=True)
class Targets:
    """The files of one command line. `outs` and `plots` pair names (None: all outputs; the file's own name) with files."""

    outs: tuple[tuple[str | None, str], ...]
    plots: tuple[tuple[tuple[str, ...] | None, str], ...]
    save: str | None

    def named(self, program: Program) -> list[str]:
        """The names whose values the run must give for these files, besides the wanted outputs."""
        return [name for name, _ in self.outs if name is not None] + [name for wanted in self.plotted(program) for name in wanted]

    def plotted(self, program: Program) -> list[tuple[str, ...]]:
        """The names of each plot."""
        return [wanted if wanted is not None else (_own_name(path, program),) for wanted, path in self.plots]


def read_targets(outs: Sequence[str], plots: Sequence[str], save: str | None, repeat: int) -> Targets:
    """The targets of a command line; what cannot be written, whatever the run gives, is told here."""
    from dfg.data import check_target
    from dfg.data.write import OUTPUT_SUFFIXES

    found = Targets(
        tuple((wanted[0] if wanted else None, path) for wanted, path in map(_split, outs)),
        tuple((tuple(wanted) if wanted else None, path) for wanted, path in map(_split, plots)),
        save,
    )
    for text, (wanted, _) in zip(outs, map(_split, outs), strict=True):
        if wanted and len(wanted) > 1:
            raise misuse(f"`--out {text}` names {len(wanted)} outputs for one file", f"use `--only {','.join(wanted)} --out FILE`")
    if plots and repeat < 2:
        raise misuse("a plot goes over repeated runs, but there is one run", "add `--repeat 100`")
    wrong: list[Diagnostic] = []
    seen: dict[str, str] = {}
    every: list[tuple[str, str, tuple[str, ...]]] = [("--out", path, (*OUTPUT_SUFFIXES, *IMAGES)) for _, path in found.outs]
    every += [("--plot", path, (".svg", ".png")) for _, path in found.plots]
    every += [("--save", save, (".safetensors", ".npz"))] if save is not None else []
    for option, path, suffixes in every:
        suffix = Path(path).suffix.lower()
        if suffix not in suffixes:
            near = nearest_of(suffix, suffixes) if suffix else None
            wrong.append(error("unknown-format", f"`{option} {path}`: {f'`{suffix}` is no format' if suffix else 'the suffix chooses the format, and there is none'}",
                               help=f"did you mean `{near}`?" if near else f"one of {', '.join(suffixes)}"))
            continue
        real = os.path.realpath(path)
        if real in seen:
            raise misuse(f"`{path}` is written twice: by `{seen[real]}` and by `{option}`")
        seen[real] = option
        try:
            check_target(path)
        except UserError as bad:
            wrong += bad.diagnostics
    if wrong:
        raise UserError(wrong)
    return found


def _split(text: str) -> tuple[list[str], str]:
    found = _NAMED.match(text)
    return (names(found.group(1)) or [], text[found.end() :].strip()) if found else ([], text)


def _own_name(path: str, program: Program) -> str:
    """What `--plot loss.png` plots: the value that the file is called after, else the only scalar output."""
    stem = Path(path).stem
    if stem in program.outputs or stem in program.graph.names:
        return stem
    scalars = [name for name, t in program.outputs.items() if not t.shape]
    if len(scalars) == 1:
        return scalars[0]
    raise UserError(error("unknown-name", f"`--plot {path}` does not say which value: no value is called `{stem}`, and there "
                          + (f"are {len(scalars)} scalar outputs" if scalars else "is no scalar output"),
                          help=f"write `--plot {scalars[0]}={path}`" if scalars else "plots are of scalars: `output loss = mean(...)`"))


def check_results(targets: Targets, plots: Sequence[tuple[str, ...]], types: Mapping[str, TensorType], whole: Sequence[str]) -> None:
    """What the types of the outputs say already, before anything runs. `whole` are the outputs that `--out FILE` writes."""
    for name, path in targets.outs:
        suffix = Path(path).suffix.lower()
        if name is None and len(whole) != 1 and suffix in (*IMAGES, ".npy"):
            what = "a .npy file" if suffix == ".npy" else "a picture"
            raise UserError(error("cannot-write", f"{what} holds one array, but there are {len(whole)} outputs",
                                  help=f"choose one: --only {whole[0]}, or --out {whole[0]}={path}" if whole else None))
    for name in dict.fromkeys(name for wanted in plots for name in wanted):
        if types[name].shape:
            scalars = [known for known, t in types.items() if not t.shape]
            raise UserError(error("wrong-shape", f"a plot is of scalars, but `{name}` is {types[name]}",
                                  help=f"plot `{scalars[0]}`" if scalars else f"plot a scalar of it, such as `mean({name})`"))


def write_results(targets: Targets, plots: Sequence[tuple[str, ...]], fn: Executable, outputs: Mapping[str, np.ndarray], whole: Sequence[str],
                  lines: Mapping[str, Sequence[float]]) -> list[Diagnostic]:
    """Write all files, the parameters first; what could not be written is returned."""
    from dfg.viz.plot import write_plot

    wrong: list[Diagnostic] = []

    def attempt(write: Callable[[], object]) -> None:
        try:
            write()
        except UserError as bad:
            wrong.extend(bad.diagnostics)

    if targets.save is not None:
        path = targets.save
        attempt(lambda: fn.save(path))
    for name, path in targets.outs:
        chosen = {key: outputs[key] for key in (whole if name is None else [name])}
        attempt(lambda path=path, chosen=chosen: _write(path, chosen))  # type: ignore[misc]
    for wanted, (_, path) in zip(plots, targets.plots, strict=True):
        attempt(lambda wanted=wanted, path=path: write_plot(path, {name: lines[name] for name in wanted}, Path(fn.program.name).name))  # type: ignore[misc]
    return wrong


def _write(path: str, outputs: Mapping[str, np.ndarray]) -> None:
    from dfg.data import write_image, write_outputs

    if Path(path).suffix.lower() in IMAGES:
        write_image(path, next(iter(outputs.values())))
    else:
        write_outputs(path, outputs)
