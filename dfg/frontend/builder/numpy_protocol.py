"""NumPy's functions on tensors: `np.exp(w * x)`, `np.sum(x, axis=0)`, `np.linalg.solve(a, b)`, `x.sum()`.

A NumPy function is found by any of the names that NumPy itself gives it (`np.concatenate` is `np.concat`, `np.arccos` is `np.acos`), so no table of
functions is kept here: what the language has under one of these names works. Arguments go by NumPy's signature to the parameters of the same name; NumPy's
leading parameters, whose names differ (`a`, `arr`, `m`), go to ours in order. An argument that we have no parameter for may only have the value
that NumPy takes by default.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final, NoReturn

import numpy as np

from dfg.diagnostics.codes import nearest
from dfg.frontend.builder.emit import refuse, surface
from dfg.frontend.builder.homes import Handle
from dfg.frontend.builder.numpy_composed import COMPOSED as COMPOSITIONS
from dfg.frontend.builder.numpy_composed import EXTREME, INITIAL, UFUNCS, _extreme
from dfg.frontend.builder.numpy_composed import OTHERWISE as MEANT_OTHERWISE
from dfg.ops.surface import FUNCTIONS, role

MODULES: Final = (np, np.linalg)
REDUCTIONS: Final = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logical_and": "all",
    "logical_or": "any",
    "logaddexp": "logsumexp",
}
ACCUMULATIONS: Final = {
    "add": "cumulative_sum",
    "multiply": "cumulative_prod",
    "maximum": "cumulative_max",
    "minimum": "cumulative_min",
    "logaddexp": "logcumsumexp",
}
SPELLINGS: Final = {
    "a_min": "min",
    "a_max": "max",
    "ddof": "correction",
    "decimals": "digits",
    "fill_value": "fill_value",
    "condlist": "condition",
}
"""Parameters that NumPy and the array API call differently."""
OLD_NAMES: Final = {
    "absolute": "abs",
    "fabs": "abs",
    "invert": "bitwise_invert",
    "conjugate": "positive",
    "rint": "round",
    "fix": "trunc",
    "around": "round",
    "amax": "max",
    "amin": "min",
    "cumsum": "cumulative_sum",
    "cumprod": "cumulative_prod",
}
"""NumPy's older names, where NumPy does not itself know the newer one for the same object and both mean the same."""
HARMLESS: Final = {"optimize", "kind"}
"""Arguments that choose a method and not a value."""
FLATTENING: Final = {"cumsum", "cumprod", "take", "repeat"}
"""NumPy functions that flatten their operand where they are given no axis."""
BOOLEAN: Final = {
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
    "bitwise_invert": "logical_not",
    "bitwise_xor": "not_equal",
    "logical_xor": "not_equal",
}


@cache
def _names() -> dict[int, list[str]]:
    """The names that NumPy gives each of its functions."""
    found: dict[int, list[str]] = {}
    for module in MODULES:
        for name in dir(module):
            if not name.startswith("_") and callable(f := getattr(module, name, None)) and not isinstance(f, type):
                found.setdefault(id(f), []).append(name)
    return found


def surface_name(func: Any) -> str | None:
    """The surface function for a NumPy function, or None."""
    own = getattr(func, "__name__", "")
    names = [own, *_names().get(id(func), [])]
    for name in (*names, *[OLD_NAMES[n] for n in names if n in OLD_NAMES]):
        if name in FUNCTIONS:
            return name
    if own.startswith("arc") and (short := f"a{own[3:]}") in FUNCTIONS:
        return short
    return None


def _title(func: Any) -> str:
    module = (getattr(func, "__module__", "") or "numpy").replace("numpy", "np", 1)
    return f"{module}.{getattr(func, '__name__', func)}"


def unsupported(func: Any) -> NoReturn:
    """There is no such function: name the nearest that there is."""
    name = getattr(func, "__name__", str(func))
    near = nearest(name, FUNCTIONS)
    advice = ADVICE.get(name) or (f"did you mean `dfg.{near}`?" if near else "compose it of the functions that `dfg ops` lists")
    refuse("unknown-op", f"`{_title(func)}` works on numbers, and has no counterpart for tensors of a program", help=advice)


ADVICE: Final = {
    "array": "`dfg.stack([a, b])` makes one tensor of several",
    "asarray": "a tensor is an array of the program already",
    "dot": "write `a @ b`",
    "isclose": "`dfg.abs(a - b) <= t` computes it",
    "copyto": "a tensor does not change: `dfg.where(p, new, old)` gives a new one",
    "put": "a tensor does not change: `x.at[i].set(v)` gives a new one",
    "nonzero": "the size of its result depends on the numbers: select with `dfg.where`",
    "unique": "the size of its result depends on the numbers, and sizes are known while compiling",
    "hstack": "`dfg.concat([a, b], axis=1)` joins tensors (axis 0 for vectors)",
    "vstack": "`dfg.concat([a, b], axis=0)` joins tensors (`dfg.stack` for vectors)",
    "vectorize": "`dfg.vmap` applies a function along an axis",
}
"""What to write in place of functions that have no counterpart."""


def ufunc(func: Any, method: str, inputs: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What `__array_ufunc__` gives."""
    name = func.__name__
    refuse_memory(f"np.{name}", kwargs)
    rest = {k: v for k, v in kwargs.items() if k not in ("out", "where", "order", "subok", "casting", "signature", "sig")}
    if method == "reduce" and name in REDUCTIONS and REDUCTIONS[name] in FUNCTIONS:
        rest = {k: v for k, v in rest.items() if not (k == "initial" and v is np._NoValue)}
        axis = rest.pop("axis", 0)  # where the functions reduce every axis, `ufunc.reduce` takes the first
        return surface(REDUCTIONS[name], inputs, {**rest, "axis": axis})
    if method == "accumulate" and ACCUMULATIONS.get(name) in FUNCTIONS:
        return surface(ACCUMULATIONS[name], inputs, {"axis": 0, **rest})
    if method == "__call__" and name in UFUNCS:
        return UFUNCS[name](*inputs)
    found = surface_name(func)
    if method == "outer" and found is not None and len(inputs) == 2:
        a, b = inputs
        return surface(found, [surface("reshape", [a, (*_shape(a), *[1] * _rank(b))]), b])
    if method != "__call__":
        refuse(
            "unknown-op",
            f"`np.{name}.{method}` works on numbers, and has no counterpart for tensors of a program",
            help=_reduction_help(name, method),
        )
    if all(_truth(x) for x in inputs):
        found = BOOLEAN.get(name) or BOOLEAN.get(found or "") or found
    if name == "square":
        found = found or "power"
        inputs = [*inputs, 2] if found == "power" else inputs
    if name == "reciprocal" and found is None:
        return surface("divide", [1, *inputs])
    if found is None:
        unsupported(func)
    if "dtype" in rest:
        d = rest.pop("dtype")
        return surface("astype", [surface(found, inputs, rest), d]) if d is not None else surface(found, inputs, rest)
    return surface(found, inputs, rest)


def _reduction_help(name: str, method: str) -> str | None:
    if method in ("at", "reduceat"):
        return "`x.at[i].add(v)` gives a new tensor"
    return None


def _truth(x: Any) -> bool:
    d = getattr(x, "dtype", None)
    return isinstance(x, bool) or getattr(d, "kind", "") in ("bool", "b")


def refuse_memory(title: str, kwargs: Mapping[str, Any]) -> None:
    """`out=` and `where=` write into memory, which a program has none of."""
    if kwargs.get("out") is not None:
        refuse(
            "surplus-argument",
            f"`{title}` of tensors takes no `out`: nothing is written into while a program is described",
            help="use the result; where it is stored is decided when the program is compiled",
        )
    where = kwargs.get("where", True)
    if where is not True and where is not np._NoValue:
        refuse(
            "surplus-argument",
            f"`{title}` of tensors takes no `where`",
            help="choose the elements: `dfg.where(p, f(x), x)`, or `dfg.sum(dfg.where(p, x, 0))`",
        )


# --- functions -------------------------------------------------------------------------------------------------------------------------


def function(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What `__array_function__` gives."""
    name = getattr(func, "__name__", "")
    if name in DIRECT:
        return DIRECT[name](*args, **kwargs)
    title = _title(func)
    refuse_memory(title, kwargs)
    if (initial := kwargs.get("initial", np._NoValue)) is not np._NoValue and initial is not None and (name in INITIAL or name in EXTREME):
        return (INITIAL[name] if name in INITIAL else _extreme(name))(*args, **kwargs)
    found = surface_name(func)
    if found is None or name in OTHERWISE:
        composed = OTHERWISE.get(name) or COMPOSED.get(name)
        if composed is None:
            unsupported(func)
        return composed(*args, **{k: v for k, v in kwargs.items() if k != "out"})
    try:
        signature = inspect.signature(func)
        bound = signature.bind(*args, **kwargs)
    except (TypeError, ValueError):
        return surface(found, args, kwargs)
    ours = FUNCTIONS[found].signature.parameters
    if "axis" in bound.arguments and bound.arguments["axis"] is None and "axis" in ours and ours["axis"].default is not None:
        bound.arguments["axis"] = 0  # an axis of None flattens, also where another axis is the default
        first = next(iter(bound.arguments))
        bound.arguments[first] = surface("reshape", [bound.arguments[first], (-1,)])
    if name in FLATTENING and bound.arguments.get("axis") is None and "axis" in ours:
        first = next(iter(bound.arguments))
        if _rank(bound.arguments[first]) != 1:
            bound.arguments[first] = surface("reshape", [bound.arguments[first], (-1,)])
        bound.arguments["axis"] = 0
    positional, named = translate(title, found, signature, bound)
    if found in ("trace", "diagonal") and getattr(np.linalg, name, None) is func:
        named |= {"axis1": -2, "axis2": -1}  # np.linalg's are of the last two axes, np's of the first two
    return surface(found, positional, named)


def translate(title: str, found: str, signature: inspect.Signature, bound: inspect.BoundArguments) -> tuple[list[Any], dict[str, Any]]:
    """Arguments under NumPy's names as arguments of ours."""
    ours = FUNCTIONS[found].signature.parameters
    variadic = next((p for p in ours.values() if p.kind is p.VAR_POSITIONAL), None)
    spare = [p for p in ours.values() if p.name not in signature.parameters and p.name not in SPELLINGS.values() and p is not variadic]
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for key, x in bound.arguments.items():
        p = signature.parameters[key]
        if p.kind is p.VAR_POSITIONAL:
            positional.extend(x)
            continue
        if p.kind is p.VAR_KEYWORD:
            named.update(x)
            continue
        if key in ours:
            named[key] = x
            continue
        other = SPELLINGS.get(key)
        if other in ours:
            if x is not np._NoValue:
                named[str(other)] = x
            continue
        if p.default is p.empty and spare:
            named[spare.pop(0).name] = x
            continue
        if key in HARMLESS or x is p.default or x is np._NoValue or (isinstance(x, str | bool | int) and x == p.default):
            continue
        if key == "out" or key == "where":
            refuse_memory(title, {key: x})
        near = [n for n, q in ours.items() if not role(q).startswith("operand")]
        refuse(
            "surplus-argument",
            f"`{title}` of tensors takes no `{key}`",
            help=f"it takes {', '.join(f'`{n}`' for n in near)}" if near else None,
        )
    # Positions where they are known, for messages that count operands
    lead: list[Any] = []
    for q in ours.values():
        if positional or q.name not in named or q.kind is q.VAR_POSITIONAL:
            break
        lead.append(named.pop(q.name))
    named = {k: v for k, v in named.items() if v is not np._NoValue}
    return [*lead, *positional], named


def method(name: str, x: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """`x.name(...)`, with the arguments of NumPy's method."""
    refuse_memory(f"x.{name}", kwargs)
    kwargs = {k: v for k, v in kwargs.items() if k not in ("out", "where")}
    parameters = list(FUNCTIONS[name].signature.parameters.values())
    if (
        len(args) > 1
        and len(parameters) == 2
        and role(parameters[1]) in ("shape", "static", "axes")
        and not any(isinstance(a, list | tuple) for a in args)
    ):
        args = [tuple(args)]  # `x.reshape(2, 3)`, `x.transpose(1, 0)`
    if name == "dot":
        return surface("matmul", [x, *args])
    return surface(
        name, [x, *args], {SPELLINGS.get(k, k) if k not in FUNCTIONS[name].signature.parameters else k: v for k, v in kwargs.items()}
    )


def _joined(axis_of: Callable[[int], int], least: int) -> Callable[..., Any]:
    def join(tup: Sequence[Any], **options: Any) -> Any:
        parts = [surface("reshape", [t, (1,) * (least - _rank(t)) + tuple(_shape(t))]) if _rank(t) < least else t for t in tup]
        return surface("concat", [parts], {"axis": axis_of(max(_rank(p) for p in parts))})

    return join


def _shape(x: Any) -> tuple[Any, ...]:
    return x.value.shape if isinstance(x, Handle) else np.shape(x)


def _rank(x: Any) -> int:
    return len(_shape(x))


def _size(x: Any, axis: Any = None) -> Any:
    return x.size if axis is None else x.shape[axis]


DIRECT: Final[dict[str, Callable[..., Any]]] = {
    "shape": lambda a: _shape(a),
    "ndim": lambda a: _rank(a),
    "size": _size,
    "copy": lambda a, **options: a,

    "iscomplexobj": lambda x: False,
    "isrealobj": lambda x: True,
}
"""Questions about a tensor that are answered at once."""
COMPOSED: Final[dict[str, Callable[..., Any]]] = {
    "dot": lambda a, b: surface("multiply", [a, b]) if not _rank(a) or not _rank(b) else surface("matmul", [a, b]),
    "ravel": lambda a, **options: surface("reshape", [a, (-1,)]),
    "hstack": _joined(lambda rank: 0 if rank == 1 else 1, 1),
    "vstack": _joined(lambda rank: 0, 2),
    "real": lambda val: val,
    "swapaxes": lambda a, axis1, axis2: surface("permute_dims", [a, _swapped(_rank(a), axis1, axis2)]),
    "atleast_1d": lambda *arys: arys[0] if _rank(arys[0]) else surface("reshape", [arys[0], (1,)]),
}
"""NumPy functions that are one call of another function."""


def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    if not compute_uv:
        return surface("svdvals", [a])
    rows, columns = _shape(a)[-2:]
    if full_matrices and rows != columns:
        refuse(
            "bad-argument",
            "`np.linalg.svd` completes its vectors to a basis, and these are not determined by the matrix",
            about=a,
            help="ask for the reduced form: `np.linalg.svd(x, full_matrices=False)`",
        )
    return surface("svd", [a])


def _lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """NumPy gives the solution, the sums of squared residuals (none unless there are more rows than columns), the rank and the singular values."""
    x = surface("lstsq", [a, b])
    rows, columns = _shape(a)[-2:]
    square = rows == columns or (isinstance(rows, int) and isinstance(columns, int) and rows < columns)
    gap = surface("subtract", [surface("matmul", [a, x]), b])
    sums = surface("sum", [surface("multiply", [gap, gap])], {"axis": 0, "keepdims": _rank(b) == 1})
    return x, surface("zeros", [(0,)]) if square else sums, surface("matrix_rank", [a]), surface("svdvals", [a])


OTHERWISE: Final[dict[str, Callable[..., Any]]] = {**COMPOSITIONS, **MEANT_OTHERWISE, "svd": _svd, "lstsq": _lstsq}
"""NumPy functions that are compositions, and those that mean something else than ours of the same name."""


def _swapped(rank: int, i: int, j: int) -> tuple[int, ...]:
    order = list(range(rank))
    order[i], order[j] = order[j], order[i]
    return tuple(order)
