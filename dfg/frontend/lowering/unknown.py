"""Names that are bound nowhere: what may have been meant, and how it is written here.

`len`, `range`, `np.pi` and their like are named with the form that the language has; a name that is bound further down, or in a module that is used, is said to be there; all
others get the nearest name.
"""

from __future__ import annotations

from typing import Any, Final

from dfg.diagnostics import Fix
from dfg.diagnostics.codes import nearest
from dfg.frontend import syntax as s
from dfg.frontend.lowering.calls import FORMS
from dfg.frontend.lowering.engine import Lowering
from dfg.frontend.lowering.scopes import Scope
from dfg.frontend.lowering.things import Module, Thing
from dfg.frontend.recovery import PREFIXES
from dfg.ops.surface import FUNCTIONS
from dfg.types import DTYPES

LIBRARIES: Final = PREFIXES | {"F", "nn", "cp"}
SLIPS: Final[dict[str, str]] = {
    "len": "the length of an axis is `x.shape[0]`",
    "range": "count with `for i in 0..n`, `[f(i) for i in 0..n]`, or `arange(n)`",
    "print": "a run shows its outputs: `output NAME`",
    "float": "convert with `f64(x)` or `f32(x)`",
    "int": "convert with `i64(x)`",
    "float32": "the dtype is called `f32`",
    "float64": "the dtype is called `f64`",
    "double": "the dtype is called `f64`",
    "int64": "the dtype is called `i64`",
    "int32": "the dtype is called `i32`",
    "uint8": "the dtype is called `u8`",
    "rand": "a draw is `uniform([3], seed=1)`",
    "random": "a draw is `uniform([3], seed=1)`",
    "randn": "a draw is `normal([3], seed=1)`",
    "standard_normal": "a draw is `normal([3], seed=1)`",
    "shuffle": "`x[permutation(n, seed=1)]` is in another order",
    "str": "there are no texts to compute with",
    "list": "an array is written `[a, b]`",
    "array": "an array is written `[a, b]`",
    "asarray": "an array is written `[a, b]`",
    "tensor": "an array is written `[a, b]`",
    "tuple": "a tuple is written `(a, b)`",
    "dict": "a record is written `(w = …, b = …)`",
    "True": "the truth values are `true` and `false`",
    "False": "the truth values are `true` and `false`",
    "None": "nothing is written `none`",
    "map": "a map over an axis is `scan x_t in x { yield f(x_t) }`",
    "vmap": "a map over an axis is `scan x_t in x { yield f(x_t) }`",
    "zip": "`scan a, b in xs, ys` goes through both",
    "enumerate": "`scan i, x_t in arange(n), x` counts",
    "lambda": "a function is a `def`",
    "return": "the last line of a block is its result",
    "pass": "a block ends with the value that it gives",
    "break": "a loop that may end early is a `while … max N`; or carry whether it is over",
    "continue": "`if` gives the new carry or the old one: `s = if p { f(s) } else { s }`",
    "isinstance": "every type is known while compiling",
    "reduce": "a running value is a carry: `scan x_t in x carry s = 0.0 { s = s + x_t }`",
}
RENAMED: Final = {"float32": "f32", "float64": "f64", "double": "f64", "int64": "i64", "int32": "i32", "uint8": "u8", "True": "true", "False": "false"}
RENAMED.update({"None": "none", "int": "i64", "float": "f64"})


def unknown(lo: Lowering, node: s.Name, scope: Scope, called: bool) -> Thing:
    """Tell that a name is bound nowhere above, and what may have been meant."""
    text = node.text
    info: Any = scope.info
    while info is not None:
        later = info.names.get(text)
        if later is not None and later.start > node.start and later.source is node.source:
            from dfg.diagnostics import Label

            lo.fail(
                "use-before-binding",
                f"`{text}` is used above the line that binds it",
                node,
                [Label(later.span, f"`{text}` is bound here")],
                help="move the binding up; a value of the last run is a `state`, one of the last step a carry",
            )
        info = info.parent
    if text in SLIPS:
        fix = Fix(f"write `{RENAMED[text]}`", ((node.span, RENAMED[text]),)) if text in RENAMED else None
        lo.fail("unknown-op" if called else "unknown-name", f"there is no `{text}`", node, help=SLIPS[text], fix=fix)
    if text in LIBRARIES:
        lo.fail("unknown-name", f"there is no library `{text}`", node, help="functions are called by their name: `exp(x)`")
    modules = [b.name for b in scope.visible() if isinstance(b.thing, Module) and text in b.thing.scope.names]
    if modules:
        qualified = f"{modules[0]}.{text}"
        lo.fail("unknown-op" if called else "unknown-name", f"`{text}` is a name of the module `{modules[0]}`", node,
                help="names of a module stay qualified", fix=Fix(f"write `{qualified}`", ((node.span, qualified),)))
    candidates = [b.name for b in scope.visible()]
    functions = [*FUNCTIONS, *FORMS]
    best = nearest(text, [*functions, *candidates] if called else candidates) or nearest(text, [*functions, *DTYPES, "pi", "params"])
    fix = Fix(f"write `{best}`", ((node.span, best),)) if best is not None else None
    help = f"did you mean `{best}`?" if best is not None else None
    if called:
        lo.fail("unknown-op", f"there is no op or function `{text}`", node, help=help, fix=fix)
    inside = next((bound for found in lo.infos.values() if (bound := found.names.get(text)) is not None and bound.source is node.source), None)
    if inside is not None:
        from dfg.diagnostics import Label

        help = "what is bound in a block or function is known only there: let it give the value"
        lo.fail("unknown-name", f"no value is called `{text}` here", node, [Label(inside.span, f"this `{text}` is bound in a block")], help=help)
    lo.fail("unknown-name", f"no value is called `{text}`", node, help=help, fix=fix)
