"""Used files, modules of the standard library.

Files are read by the loader that the caller gives (`dfg.api.loading.Files`); without one there is only the standard library.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from dfg.diagnostics import Sink, UserError, error
from dfg.diagnostics.codes import nearest
from dfg.frontend import syntax as s
from dfg.frontend.lowering.engine import Failed, Gen, Lowering
from dfg.frontend.lowering.scopes import Scope, scan_scopes
from dfg.frontend.lowering.things import POISON, Closure, Module
from dfg.source import Source

STD = Path(__file__).resolve().parents[2] / "std"


class StdLoader:
    """For a text without a folder: only the standard library."""

    def source(self, path: str, asking: Source) -> Source:
        raise UserError(error("no-such-file", f"there is no file `{path}`: this text has no folder", None))

    def module(self, name: str) -> Source | None:
        return std_module(name)

    def array(self, path: str, asking: Source) -> np.ndarray:
        raise UserError(error("no-such-file", f"there is no file `{path}`: this text has no folder", None))


def std_module(name: str) -> Source | None:
    at = STD / f"{name}.dfg"
    return Source(f"std/{name}.dfg", at.read_text(encoding="utf-8")) if name.isidentifier() and at.is_file() else None


def std_names() -> list[str]:
    return sorted(p.stem for p in STD.glob("*.dfg")) if STD.is_dir() else []


def parsed(lo: Lowering, source: Source) -> tuple[s.File, tuple[Any, ...]]:
    """A module's tree. The loader knows its sources by identity, so the tree keeps the one that it gave; the standard library is parsed once for all."""
    if source.name.startswith("std/"):
        return parsed_std(source.name, source.text)
    found = lo.parsed.get(id(source))
    if found is None:
        from dfg.frontend.parser import parse

        sink = Sink()
        found = lo.parsed[id(source)] = (parse(source, sink), tuple(sink.items))
    return found


@cache
def parsed_std(name: str, text: str) -> tuple[s.File, tuple[Any, ...]]:
    from dfg.frontend.parser import parse

    sink = Sink()
    return parse(Source(name, text), sink), tuple(sink.items)


def read_module(lo: Lowering, key: str, source: Source) -> Gen:
    """A module from its text: its functions and constants in a scope of its own."""
    from dfg.frontend.lowering.program import declare_const

    tree, problems = parsed(lo, source)
    for item in problems:
        if not lo.quiet:
            lo.sink.add(item)
    if any(item.severity == "error" for item in problems):
        raise Failed
    infos = scan_scopes(tree)
    lo.infos.update(infos)
    lo.trees.append(tree)
    scope = Scope(None, infos[id(tree)])
    module = Module(source.name.rpartition("/")[2].removesuffix(".dfg"), scope)
    lo.loading.append(key)
    frames, path = lo.frames, lo.path
    lo.frames, lo.path = [], ""
    try:
        for statement in tree.statements:
            try:
                if isinstance(statement, s.Def):
                    bind_function(lo, scope, statement)
                elif isinstance(statement, s.Const):
                    yield declare_const(lo, statement, scope)
                elif isinstance(statement, s.Use):
                    yield use(lo, statement, scope)
                elif not isinstance(statement, s.Default | s.Test):
                    lo.fail(
                        "misplaced-statement",
                        "a used file holds `def`, `const`, `use`, `default` and `test` only",
                        statement,
                        help="parameters come from a function `…_init` that gives a record of them",
                    )
            except Failed:
                from dfg.frontend.lowering.blocks import bound_names

                lo.poison(scope, bound_names(statement))
    finally:
        lo.loading.pop()
        lo.frames, lo.path = frames, path
    lo.modules[key] = module
    return module


def bind_function(lo: Lowering, scope: Scope, node: s.Def) -> None:
    lo.check_free(scope, node.name)
    lo.order += 1
    lo.bind(scope, node.name, Closure(node, scope, lo.order + 2), "function", pin=False, register=False)


def use(lo: Lowering, node: s.Use, scope: Scope) -> Gen:
    """`use optim`, `use "layers.dfg" as layers`: binds a module."""
    if node.path is not None:
        name = node.alias or s.Name(node.source, node.path.start, node.path.stop, PurePosixPath(node.path.value).stem)
    else:
        assert node.name is not None
        name = node.alias or node.name
    try:
        module = yield found_module(lo, node)
    except Failed:
        lo.poison(scope, [name])
        raise
    if not name.text.isidentifier():
        lo.fail("bad-argument", f"`{name.text}` is no name", node, help='give it one: `use "…" as layers`')
    if module is POISON:
        lo.poison(scope, [name])
        raise Failed
    lo.bind(scope, name, module, "module", pin=False, register=False)
    return None


def found_module(lo: Lowering, node: s.Use) -> Gen:
    at: s.Node = node.path or node.name or node
    if lo.load is None:
        lo.fail("no-such-file", "this text has no folder to load from", at)
    if node.path is not None:
        try:
            source = lo.load.source(node.path.value, node.source)
        except UserError as e:
            d = e.diagnostics[0]
            lo.fail(d.code, d.message, at, d.labels, d.help)
        key = f"file:{source.name}"
    else:
        assert node.name is not None
        made = lo.load.module(node.name.text)
        if made is None:
            best = nearest(node.name.text, std_names())
            lo.fail(
                "no-such-file",
                f"the standard library has no module `{node.name.text}`",
                at,
                help=f"did you mean `{best}`?" if best else f"it has {', '.join(std_names()) or 'none'}; a file is used by its path in double quotes",
            )
        source = made
        key = f"std:{node.name.text}"
    if key in lo.loading or (lo.file is not None and source.text == lo.file.source.text and source.name == lo.file.source.name):
        lo.fail("recursion", f"`{source.name}` uses itself", at, help="files use each other in one direction only")
    module = lo.modules.get(key)
    if module is None:
        module = yield read_module(lo, key, source)
    return module
