"""NumPy functions that are compositions of others: `np.block(...)`, `np.piecewise(...)`, `np.tensorsolve(a, b)` on tensors.

Each has NumPy's parameters. They are written with NumPy's own functions, which come back to tensors through the protocol; what the language has as one function is not here.

>>> sorted(COMPOSED)[:3]
['angle', 'apply_along_axis', 'apply_over_axes']
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from dfg.frontend.builder.emit import refuse, surface
from dfg.frontend.builder.homes import Handle

Default = np._NoValue


def shape_of(x: Any) -> tuple[Any, ...]:
    return tuple(x.value.shape) if isinstance(x, Handle) else np.shape(x)


def rank_of(x: Any) -> int:
    return len(shape_of(x))


def _floating(x: Any) -> bool:
    return (x.value.dtype.floating) if isinstance(x, Handle) else np.asarray(x).dtype.kind == "f"


def _flat(x: Any) -> Any:
    return surface("reshape", [x, (-1,)])


def _same(x: Any, value: bool) -> Any:
    return surface("full_like", [x, value], {"dtype": "bool"})


# --- questions -------------------------------------------------------------------------------------------------------------------------


def _equal(a: Any, b: Any, nan: bool) -> Any:
    same = surface("equal", [a, b])
    return surface("logical_or", [same, surface("logical_and", [np.isnan(a), np.isnan(b)])]) if nan else same


def _array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    return np.all(_equal(a1, a2, equal_nan)) if shape_of(a1) == shape_of(a2) else False


def _array_equiv(a1: Any, a2: Any) -> Any:
    return np.all(_equal(a1, a2, False))


def _isin(element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None) -> Any:
    hit = surface("any", [surface("equal", [surface("expand_dims", [element, -1]), _flat(test_elements)])], {"axis": -1})
    return surface("logical_not", [hit]) if invert else hit


def _angle(z: Any, deg: bool = False) -> Any:
    return surface("where", [surface("signbit", [z]), 180.0 if deg else math.pi, surface("multiply", [surface("abs", [z]), 0.0])])


# --- arithmetic ------------------------------------------------------------------------------------------------------------------------


def _modf(x: Any) -> Any:
    whole = np.trunc(x)
    rest = surface("where", [np.isinf(x), 0.0, surface("subtract", [x, whole])])
    return surface("copysign", [rest, x]), whole


def _spacing(x: Any) -> Any:
    size = surface("abs", [x])
    return surface("copysign", [surface("subtract", [surface("nextafter", [size, math.inf]), size]), x])


UFUNCS: Final[dict[str, Callable[..., Any]]] = {
    "divmod": lambda x, y: (surface("floor_divide", [x, y]), surface("remainder", [x, y])),
    "modf": _modf,
    "spacing": _spacing,
}
"""NumPy's ufuncs that are no function of the language."""


def _without_nan(name: str, fill: float, flattens: bool) -> Callable[..., Any]:
    def f(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
        x = surface("where", [np.isnan(a), fill, a]) if _floating(a) else a
        if flattens:
            x = _flat(x) if axis is None and rank_of(x) != 1 else x
            return surface(name, [x], {"axis": 0 if axis is None else axis, "dtype": dtype})
        return surface(name, [x], {"axis": axis, "keepdims": keepdims is True})

    return f


def _unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: float = 2 * math.pi) -> Any:
    half = period / 2
    x = np.moveaxis(p, axis, -1)
    step = surface("diff", [x])
    turned = surface("subtract", [surface("remainder", [surface("add", [step, half]), period]), half])
    turned = surface("where", [surface("logical_and", [surface("equal", [turned, -half]), surface("greater", [step, 0])]), half, turned])
    jump = surface("where", [surface("less", [surface("abs", [step]), half if discont is None else discont]), 0.0, surface("subtract", [turned, step])])
    moved = surface("add", [x[..., 1:], surface("cumulative_sum", [jump], {"axis": -1})])
    return np.moveaxis(surface("concat", [[x[..., :1], moved]], {"axis": -1}), -1, axis)


# --- shapes ----------------------------------------------------------------------------------------------------------------------------


def _split_along(axis: int) -> Callable[..., Any]:
    def f(ary: Any, indices_or_sections: Any) -> Any:
        return np.split(ary, indices_or_sections, axis=0 if axis == 1 and rank_of(ary) == 1 else axis)

    return f


def _indices_from(name: str) -> Callable[..., Any]:
    def f(arr: Any, *args: Any, **options: Any) -> Any:
        rows, columns = (_known_size(arr, a, f"{name}_from") for a in (-2, -1))
        return getattr(np, name)(rows, *args, m=columns, **options) if name != "diag_indices" else np.diag_indices(rows)

    return f


def _apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    rank = rank_of(a)
    for axis in np.atleast_1d(axes).tolist():
        made = func(a, axis)
        a = made if rank_of(made) == rank else np.expand_dims(made, axis)
    return a


def _rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    n = rank_of(a)
    axis, start = axis % n, start + n if start < 0 else start
    return np.moveaxis(a, axis, start - 1 if axis < start else start)


def _atleast_3d(*arys: Any) -> Any:
    def one(x: Any) -> Any:
        s = shape_of(x)
        return x if len(s) > 2 else surface("reshape", [x, {0: (1, 1, 1), 1: (1, *s, 1), 2: (*s, 1)}[len(s)]])

    return one(arys[0]) if len(arys) == 1 else tuple(map(one, arys))


def _known_size(a: Any, axis: int, name: str) -> int:
    n = shape_of(a)[axis]
    if not isinstance(n, int):
        refuse("not-static", f"`np.{name}` of tensors cuts an axis of a known size, not {n}", about=a)
    return n


def _block(arrays: Any) -> Any:
    def depth(x: Any) -> int:
        return 1 + max(map(depth, x), default=0) if isinstance(x, list) else 0

    levels = depth(arrays)

    def leaves(x: Any) -> list[Any]:
        return [y for item in x for y in leaves(item)] if isinstance(x, list) else [x]

    rank = max(levels, *(rank_of(x) for x in leaves(arrays)))

    def join(x: Any, level: int) -> Any:
        if isinstance(x, list):
            return surface("concat", [[join(i, level + 1) for i in x]], {"axis": rank - levels + level})
        return surface("reshape", [x, (1,) * (rank - rank_of(x)) + tuple(shape_of(x))])

    return join(arrays, 0)


def _compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    if isinstance(condition, Handle):
        refuse("not-static", "how many elements a computed mask selects is not known while compiling", about=condition, help="choose element by element: `dfg.where(p, x, 0)`")
    x, axis = (_flat(a), 0) if axis is None else (a, axis)
    return surface("take", [x, np.flatnonzero(condition)], {"axis": axis})


def _resize(a: Any, new_shape: Any) -> Any:
    shape = tuple(new_shape) if isinstance(new_shape, tuple | list) else (new_shape,)
    flat = _flat(a)
    n = _known_size(flat, 0, "resize")
    return surface("take", [flat, np.resize(np.arange(n), shape)])


def _apply_along_axis(func1d: Any, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    from dfg.frontend.builder.loops import vmap  # it is built on this file's callers

    x = np.moveaxis(arr, axis, -1)
    lead = shape_of(x)[:-1]
    rows = surface("reshape", [x, (math.prod(lead), shape_of(x)[-1])]) if lead else x
    made = vmap(lambda row: func1d(row, *args, **kwargs))(rows) if lead else func1d(rows, *args, **kwargs)
    inner = shape_of(made)[1:] if lead else shape_of(made)
    made = surface("reshape", [made, (*lead, *inner)])
    order = [*range(axis % rank_of(arr)), *range(len(lead), len(lead) + len(inner)), *range(axis % rank_of(arr), len(lead))]
    return surface("permute_dims", [made, tuple(order)])


# --- choices and places ------------------------------------------------------------------------------------------------------------------


def _piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Any:
    conditions = list(condlist) if isinstance(condlist, list | tuple) else [condlist]
    values = [f(x, *args, **kw) if callable(f) else f for f in funclist]
    made = surface("zeros_like", [x]) if len(values) == len(conditions) else surface("where", [_same(x, True), values[-1], surface("zeros_like", [x])])
    for c, v in zip(conditions, values, strict=False):
        made = surface("where", [c, v, made])
    return surface("astype", [made, x.dtype])


def _choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    items = list(choices) if isinstance(choices, list | tuple) else list(surface("unstack", [choices]))
    if mode != "raise":
        a = surface("clip", [a, 0, len(items) - 1]) if mode == "clip" else surface("remainder", [a, len(items)])
    stacked = surface("stack", [list(surface("broadcast_arrays", [a, *items]))[1:]])
    shape = shape_of(stacked)[1:]
    place = surface("expand_dims", [surface("broadcast_to", [a, shape]), 0])
    return surface("squeeze", [surface("take_along_axis", [stacked, place], {"axis": 0})], {"axis": 0})


def _ravel_multi_index(multi_index: Sequence[Any], dims: Any, mode: str = "raise", order: str = "C") -> Any:
    total: Any = 0
    for i, n in zip(multi_index, dims, strict=True):
        total = surface("add", [surface("multiply", [total, n]), i])
    return total


def _unravel_index(indices: Any, shape: Any, order: str = "C") -> Any:
    made: list[Any] = []
    for n in reversed(tuple(shape) if isinstance(shape, tuple | list) else (shape,)):
        made.insert(0, surface("remainder", [indices, n]))
        indices = surface("floor_divide", [indices, n])
    return tuple(made)


# --- polynomials, the highest coefficient first --------------------------------------------------------------------------------------------


def _poly_sum(sign: int) -> Callable[..., Any]:
    def f(a1: Any, a2: Any) -> Any:
        n = max(_known_size(np.atleast_1d(a1), 0, "polyadd"), _known_size(np.atleast_1d(a2), 0, "polyadd"))
        a, b = (surface("pad", [np.atleast_1d(p), ((n - shape_of(np.atleast_1d(p))[0], 0),)]) for p in (a1, a2))
        return surface("add" if sign > 0 else "subtract", [a, b])

    return f


def _polyder(p: Any, m: int = 1) -> Any:
    for _ in range(m):
        n = _known_size(p, 0, "polyder")
        p = surface("multiply", [p[:-1], np.arange(n - 1, 0, -1, dtype=float)])
    return p


def _polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    for _ in range(m):
        n = _known_size(p, 0, "polyint")
        p = surface("pad", [surface("divide", [p, np.arange(n, 0, -1, dtype=float)]), ((0, 1),)], {"constant_values": 0.0 if k is None else k})
    return p


# --- linear algebra ------------------------------------------------------------------------------------------------------------------------


def _tensorinv(a: Any, ind: int = 2) -> Any:
    shape = shape_of(a)
    n = math.prod(shape[ind:])
    return surface("reshape", [surface("inv", [surface("reshape", [a, (n, n)])]), (*shape[ind:], *shape[:ind])])


def _tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    if axes is not None:
        a = np.moveaxis(a, axes, range(rank_of(a) - len(axes), rank_of(a)))
    inner = shape_of(a)[rank_of(b) :]
    n = math.prod(inner)
    return surface("reshape", [surface("solve", [surface("reshape", [a, (n, n)]), _flat(b)]), inner])


def _cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None, fweights: Any = None, aweights: Any = None, *, dtype: Any = None) -> Any:
    for word, given in (("y", y), ("fweights", fweights), ("aweights", aweights), ("dtype", dtype)):
        if given is not None:
            refuse("surplus-argument", f"`np.cov` of tensors takes no `{word}`", help="it takes `rowvar`, `bias` and `ddof`")
    x = np.atleast_2d(m)
    made = surface("cov", [x if rowvar or rank_of(m) < 2 else x.T], {"correction": ddof if ddof is not None else 1 - bias})
    return surface("reshape", [made, ()]) if rank_of(m) < 2 else made


def _gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    if edge_order != 1 or any(rank_of(v) for v in varargs):
        refuse("surplus-argument", "`np.gradient` of tensors takes equal distances and `edge_order` 1", about=f)
    axes = tuple(range(rank_of(f))) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    spacings = varargs * len(axes) if len(varargs) == 1 else varargs or (1.0,) * len(axes)
    made = tuple(surface("gradient", [f], {"spacing": s, "axis": a}) for s, a in zip(spacings, axes, strict=True))
    return made[0] if len(made) == 1 else made


def _with_initial(name: str, combined: str) -> Callable[..., Any]:
    def f(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = Default, initial: Any = Default, where: Any = Default) -> Any:
        options = {"dtype": dtype} if dtype is not None else {}
        made = surface(name, [a], {"axis": axis, "keepdims": keepdims is True, **options})
        return made if initial is Default or initial is None else surface(combined, [made, initial])

    return f


INITIAL: Final = {"sum": _with_initial("sum", "add"), "prod": _with_initial("prod", "multiply")}
EXTREME: Final = {"max": "maximum", "min": "minimum", "amax": "maximum", "amin": "minimum"}


def _extreme(name: str) -> Callable[..., Any]:
    def f(a: Any, axis: Any = None, out: Any = None, keepdims: Any = Default, initial: Any = Default, where: Any = Default) -> Any:
        made = surface(name[-3:], [a], {"axis": axis, "keepdims": keepdims is True})
        return made if initial is Default else surface(EXTREME[name], [made, initial])

    return f


COMPOSED: Final[dict[str, Callable[..., Any]]] = {
    "angle": _angle,
    "apply_along_axis": _apply_along_axis,
    "apply_over_axes": _apply_over_axes,
    "array_equal": _array_equal,
    "array_equiv": _array_equiv,
    "atleast_3d": _atleast_3d,
    "block": _block,
    "choose": _choose,
    "compress": _compress,
    "diag_indices_from": _indices_from("diag_indices"),
    "dsplit": _split_along(2),
    "extract": lambda condition, arr: _compress(np.ravel(condition), arr),
    "hsplit": _split_along(1),
    "imag": lambda val: surface("zeros_like", [val]),
    "iscomplex": lambda x: _same(x, False),
    "isin": _isin,
    "isreal": lambda x: _same(x, True),
    "nanargmax": _without_nan("argmax", -math.inf, False),
    "nanargmin": _without_nan("argmin", math.inf, False),
    "nancumprod": _without_nan("cumulative_prod", 1.0, True),
    "nancumsum": _without_nan("cumulative_sum", 0.0, True),
    "piecewise": _piecewise,
    "polyder": _polyder,
    "polyint": _polyint,
    "polysub": _poly_sum(-1),
    "ravel_multi_index": _ravel_multi_index,
    "real_if_close": lambda a, tol=100: a,
    "resize": _resize,
    "rollaxis": _rollaxis,
    "tensorinv": _tensorinv,
    "tensorsolve": _tensorsolve,
    "tril_indices_from": _indices_from("tril_indices"),
    "triu_indices_from": _indices_from("triu_indices"),
    "unravel_index": _unravel_index,
    "unwrap": _unwrap,
    "vsplit": _split_along(0),
}
"""By NumPy's name."""
OTHERWISE: Final[dict[str, Callable[..., Any]]] = {"cov": _cov, "gradient": _gradient}
"""What NumPy means otherwise than our function of the same name."""
