"""Names in functions that the file never calls.

A function is lowered where it is called, since only there its types are known; in one that nobody calls, what can be told without types is a name that means
nothing. Only such names are refused: a name that is bound anywhere in the function, or anywhere in the file, may be right.

    def f(x) = x + undefined      # error[unknown-name], though nothing calls `f`
"""

from __future__ import annotations

import contextlib

from dfg.frontend import syntax as s
from dfg.frontend.lowering.calls import FORMS
from dfg.frontend.lowering.engine import Failed, Lowering
from dfg.frontend.lowering.scopes import Scope
from dfg.frontend.lowering.unknown import unknown
from dfg.ops.surface import FUNCTIONS
from dfg.types import DTYPES

WORDS = frozenset({"pi", "inf", "nan", "params", "newaxis", "_"})


def check_uncalled(lo: Lowering, file: s.File, scope: Scope) -> None:
    """Report the unknown names of functions that were not expanded."""
    for statement in file.statements:
        if isinstance(statement, s.Def) and id(statement) not in lo.expanded:
            bound, reads = names_of(statement)
            for name, called in reads:
                if name.text not in bound and not means_something(lo, name.text, scope):
                    with contextlib.suppress(Failed):
                        unknown(lo, name, scope, called)


def means_something(lo: Lowering, text: str, scope: Scope) -> bool:
    return (
        text in WORDS or text in FUNCTIONS or text in FORMS or text in DTYPES or text in scope.info.names or scope.lookup(text) is not None
        or scope.group(text) is not None or any(known.startswith(f"{text}.") for known in scope.info.names)
    )  # fmt: skip


def names_of(root: s.Def) -> tuple[set[str], list[tuple[s.Name, bool]]]:
    """The names that a function binds, and those that it reads, in order: (name, whether it is called)."""
    bound: set[str] = {root.name.text}
    reads: list[tuple[s.Name, bool]] = []
    stack: list[s.Node] = list(reversed(s.children(root)))
    called: set[int] = set()
    while stack:
        node = stack.pop()
        if isinstance(node, s.Name):
            reads.append((node, id(node) in called))
            continue
        below = s.children(node)
        own: list[s.Name] = []
        if isinstance(node, s.TensorType):
            own = [name for name in s.walk(node) if isinstance(name, s.Name)]
            below = []
        elif isinstance(node, s.Attribute):
            below = [node.base]
        elif isinstance(node, s.Kwarg):
            below = [node.value]
        elif isinstance(node, s.Call):
            own = list(node.over)
            called.add(id(node.func))
        elif isinstance(node, s.FunParam | s.Carry | s.For | s.Build):
            own = [node.name]
        elif isinstance(node, s.Scan | s.Rule):
            own = list(node.names)
        elif isinstance(node, s.Binding):
            own = list(node.targets)
        elif isinstance(node, s.IndexedBinding):
            own = [node.target, *node.indices]
        bound.update(name.text for name in own)
        skip = {id(name) for name in own}
        stack.extend(child for child in reversed(below) if id(child) not in skip)
    bound.update(part for name in list(bound) for part in [name.partition(".")[0]])
    own_name = id(root.name)
    return bound, [read for read in reads if id(read[0]) != own_name]
