"""The words in a picture: symbols of ops, short expressions, and numbers as a teacher writes them.

>>> summary(np.array([89.30941234]))
'[89.3094]'
>>> summary(np.array([[1.0, np.nan], [2.0, 4.0]]))
'1 … 4, mean 2.3333, 1 NaN'
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dfg.ir import Const, Subgraph, Value

INFIX = {
    "add": "+", "subtract": "−", "multiply": "×", "divide": "/", "floor_divide": "//", "remainder": "%", "power": "**", "equal": "==",
    "not_equal": "!=", "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=", "logical_and": "and", "logical_or": "or",
}  # fmt: skip
"""What the language writes between two operands, in the signs of a blackboard."""
PREFIX = {"negative": "−", "logical_not": "not "}
_TIGHT = {"×": 2, "/": 2, "//": 2, "%": 2, "@": 2, "**": 3, "+": 1, "−": 1, "and": -1, "or": -2}
_SHOWN_ATTRIBUTES = ("axis", "axes", "perm", "int", "text", "bool")
_NEUTRAL = {"strides": 1, "spread": 1, "dilation": 1, "before": 0}
_IMPLIED = ("sizes", "subs")
"""Attributes of windows that say nothing: neutral ones, and those that the types tell already."""
HOLE = "·"
"""Stands for an operand that comes in by an arrow."""


def bodies(v: Value) -> list[Subgraph]:
    """The subgraphs that a value holds."""
    return [a for a in v.attrs if isinstance(a, Subgraph)]


def number(value: object) -> str:
    """A number with four decimals, a small or huge one in five significant digits."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        x = float(value)
        return f"{x:.4f}".rstrip("0").rstrip(".") if 1.0 <= abs(x) < 1e7 else format(x, ".5g")
    return str(value)


def summary(array: object, most: int = 4) -> str:
    """An array in a few words: the elements of a small one, else the range, the mean, and how many elements are not finite."""
    if isinstance(array, str):
        return array
    a = np.asarray(array)
    if a.ndim == 0:
        return number(a[()])
    if a.size == 0:
        return "empty"
    if a.size <= most and a.ndim <= 2:
        rows = [f"[{', '.join(number(x) for x in row)}]" for row in np.atleast_2d(a)]
        return rows[0] if a.ndim == 1 else f"[{', '.join(rows)}]"
    if bool((a == a.flat[0]).all()):
        return f"all {number(a.flat[0])}"
    if a.dtype == np.bool_:
        return f"{int(a.sum())} of {a.size} true"
    real = a.astype(np.float64)
    good = real[np.isfinite(real)]
    bad = [f"{count} {word}" for word, count in (("NaN", int(np.isnan(real).sum())), ("inf", int(np.isinf(real).sum()))) if count]
    range_ = [f"{number(good.min())} … {number(good.max())}", f"mean {number(good.mean())}"] if good.size else []
    return ", ".join(range_ + bad)


def literal(v: Value) -> str | None:
    """A scalar constant (through broadcasts and casts) as it was written, or None if `v` is none."""
    while v.op.name in ("broadcast", "cast"):
        v = v.operands[0]
    if v.op.name == "dim":
        text = str(v.attrs[0])
        return f"({text})" if " " in text or "*" in text else text
    if v.op.name != "constant" or not isinstance(v.attrs[0], Const) or v.attrs[0].array.ndim != 0:
        return None
    return v.graph.literals.get(v.index) or _shortest(v.attrs[0].array)


def _shortest(array: np.ndarray) -> str:
    item = array[()]
    if isinstance(item, np.floating):
        text = np.format_float_positional(item, trim="-", fractional=False) if 1e-5 <= abs(float(item)) < 1e7 or item == 0 else str(item)
        return text.replace("-", "−")
    return number(item)


def contraction(v: Value) -> str | None:
    """`@` if a contraction is a matrix product as written, None if it is another contraction (or no contraction)."""
    if v.op.name != "contract":
        return None
    operands, result = str(v.attrs[0]).split("->")
    a, b = operands.split(",")
    if a and b and a[-1] not in result and a[-1] in b:
        batch = len(set(a) & set(b)) - 1
        rest = b[batch] == a[-1] and result == a[:-1] + b[batch + 1 :]
        return "@" if rest and a[:batch] == b[:batch] else None
    return None


def symbol(v: Value) -> str:
    """The op as a title: `×`, `exp`, `@`, `scan × n`."""
    name = str(v.op.name)
    if bodies(v):
        try:
            return f"{name} × {v.attr('length')}"
        except KeyError:
            return name
    return contraction(v) or INFIX.get(name) or PREFIX.get(name, "").strip() or ("einsum" if name == "contract" else name.rstrip("_"))


def projection(v: Value) -> str:
    """What a projection takes from a loop or an op with several results."""
    k = int(v.attrs[0])
    inside = bodies(v.operands[0])
    if v.op.name == "trace" and inside:
        name = inside[0].graph.label(inside[0].graph.values[k])
        return f"{name} of every step" if name else "kept from every step"
    return f"result {k}"


def notes(v: Value) -> list[str]:
    """Attributes worth a line: axes that are not simply all of them, the letters of an einsum, the size of a loop's body."""
    out: list[str] = []
    if v.op.name == "contract":
        return [] if contraction(v) else [str(v.attrs[0])]
    inside = bodies(v)
    if inside:
        return [f"{len(inside[0].graph)} values a step" if len(inside) == 1 else " / ".join(f"{len(b.graph)} values" for b in inside)]
    if v.op.leaf or v.op.calculus or v.op.projects or v.op.unique:
        return []
    for spec, value in zip(v.op.attrs, v.attrs, strict=True):
        if spec.kind not in _SHOWN_ATTRIBUTES or value is None or value == ():
            continue
        if spec.name in _IMPLIED or (spec.name in _NEUTRAL and isinstance(value, tuple) and set(value) == {_NEUTRAL[spec.name]}):
            continue
        rank = len(getattr(v.operands[0].type, "shape", ())) if v.operands else 0
        if spec.kind == "axes" and isinstance(value, tuple) and len(value) == rank:
            continue
        if isinstance(value, tuple) and len(value) == 1:
            value = value[0]
        out.append(f"{'axis' if spec.name == 'axes' and isinstance(value, int) else spec.name}={value}".replace("'", ""))
    return out


def title(v: Value) -> str:
    """The op with its constant operands in place: `× 2`, `** 2`, `1 − ·`, `maximum(·, 0)`."""
    if v.op.projects:
        return projection(v)
    given = [literal(o) for o in v.operands]
    if v.op.name == "vjp" and len(given) > 1 and given[1] in ("1", "1.0"):
        return "grad"
    if not any(given) or bodies(v):
        return symbol(v)
    sign = contraction(v) or INFIX.get(v.op.name)
    if sign and len(given) == 2:
        left, right = given
        if left and not right and v.op.commutative:
            left, right = right, left
        return f"{left} {sign} {right or HOLE}" if left else f"{sign} {right}"
    if len(given) == 1:
        return str(given[0]) if v.op.name in ("broadcast", "cast") else f"{symbol(v)}({given[0]})"
    return f"{symbol(v)}({', '.join(g or HOLE for g in given)})"


def expression(root: Value, inside: set[int], refer: Callable[[Value], str], limit: int = 60) -> str:
    """The values `inside` (few) as one expression ending in `root`; what comes from elsewhere is named by `refer`."""
    texts: dict[int, tuple[str, int]] = {}
    stack = [root]
    while stack:
        v = stack[-1]
        if v.index in texts:
            stack.pop()
            continue
        known = literal(v) if v is not root else None
        if known or (v is not root and v.index not in inside):
            texts[v.index] = (known or refer(v), 9)
            stack.pop()
            continue
        waiting = [o for o in v.operands if o.index not in texts]
        if waiting:
            stack += waiting
            continue
        texts[v.index] = _written(v, [texts[o.index] for o in v.operands])
        stack.pop()
    text = texts[root.index][0]
    return text if len(text) <= limit else title(root)


def _written(v: Value, parts: list[tuple[str, int]]) -> tuple[str, int]:
    if v.op.name in ("broadcast", "cast") and len(parts) == 1:
        return parts[0]
    sign = contraction(v) or INFIX.get(v.op.name)
    if sign and len(parts) == 2:
        level = _TIGHT.get(sign, 0)
        left = f"({parts[0][0]})" if parts[0][1] < level else parts[0][0]
        right = f"({parts[1][0]})" if parts[1][1] <= level else parts[1][0]
        return f"{left} {HOLE if sign == '×' else sign} {right}", level
    if v.op.name in PREFIX and len(parts) == 1:
        return PREFIX[v.op.name] + (f"({parts[0][0]})" if parts[0][1] < 2 else parts[0][0]), 2
    if v.op.name == "contract":
        return f"einsum({v.attrs[0]}, {parts[0][0]}, {parts[1][0]})", 9
    if v.op.projects and len(parts) == 1:
        return f"{projection(v)} of {parts[0][0]}", 0
    extra = [] if bodies(v) else notes(v)
    return f"{symbol(v)}({', '.join([p[0] for p in parts] + extra)})", 9
