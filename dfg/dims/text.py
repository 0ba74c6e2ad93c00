"""Sizes as text and as Python code: printing, parsing, and compiling many sizes into one fast function.

`parse_dim(str(d)) == d` for every size. The text is also valid Python over ints: `2*n + 1`, `(h + 1)//2`, `n % 4`, `min(n, 48)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from dfg.dims.poly import (
    FLOOR,
    NAME,
    Atom,
    Dim,
    DimError,
    DimLike,
    Monomial,
    add,
    dim_max,
    dim_min,
    dim_of,
    divmod_poly,
    floordiv,
    make,
    mod,
    mul,
    named,
    sub,
    terms_of,
)
from dfg.dims.walk import atoms_within


def format_dim(d: DimLike) -> str:
    """The text of a size."""
    if isinstance(d, int):
        return str(d)
    rest, found = _recover(d)
    parts = [(c, [_factor(f) for f in m]) for m, c in terms_of(rest)]
    extra = [(c, [*(_factor(f) for f in m), text]) for quotient, text in found for m, c in terms_of(quotient)]
    at = next((i for i, (_, factors) in enumerate(parts) if not factors), len(parts))
    parts[at:at] = extra
    first = next((i for i, (c, _) in enumerate(parts) if c > 0), 0)
    parts.insert(0, parts.pop(first))
    out = ""
    for i, (c, factors) in enumerate(parts):
        sign = ("-" if c < 0 else "") if i == 0 else (" - " if c < 0 else " + ")
        out += sign + _term(abs(c), factors, bare=sign != "-")
    return out


def _term(c: int, factors: list[str], bare: bool) -> str:
    if c == 1 and len(factors) == 1 and bare:
        return factors[0]  # `m - n//4`: // and % bind tighter than the sum around them
    wrapped = [f"({f})" if _loose(f) else f for f in factors]
    return "*".join(([str(c)] if c != 1 or not factors else []) + wrapped)


def _loose(text: str) -> bool:
    """True where a factor's text needs brackets inside a product: a division or remainder (calls and names do not)."""
    depth = 0
    for ch in text:
        depth += (ch == "(") - (ch == ")")
        if depth == 0 and ch in "/%":
            return True
    return False


def _factor(f: Atom) -> str:
    if f.kind == NAME:
        return f.name
    if f.kind == FLOOR:
        return f"{_operand(f.args[0])}//{_operand(f.args[1], right=True)}"
    return f"min({', '.join(str(a) for a in f.args)})"


def _operand(d: DimLike, right: bool = False) -> str:
    text = str(d)
    if isinstance(d, int):
        return text if d >= 0 else f"({text})"
    simple = " " not in text and not text.startswith("-") and (not right or not re.search(r"[*/]", text))
    return text if simple or _is_call(text) else f"({text})"


def _is_call(text: str) -> bool:
    if not text.startswith(("min(", "max(")):
        return False
    depth = 0
    for i, ch in enumerate(text):
        depth += (ch == "(") - (ch == ")")
        if ch == ")" and depth == 0:
            return i == len(text) - 1
    return False


def _recover(d: Dim) -> tuple[DimLike, list[tuple[DimLike, str]]]:
    """Find `e % k` in e - k*floor(e/k) and `max(a, b)` in a + b - min(a, b), which have no atoms of their own: whatever shortens
    the text. Gives what is left, and (factor, text) pairs."""
    rest: DimLike = d
    found: list[tuple[DimLike, str]] = []
    for f in dict.fromkeys(f for m, _ in d.terms for f in m if f.kind != NAME):
        with_f = make({tuple(g for g in m if g is not f): -c for m, c in terms_of(rest) if m.count(f) == 1})
        if f.kind == FLOOR:
            e, k = f.args
            quotient, remainder = divmod_poly(with_f, k)
            if remainder != 0:
                continue
            shorter, text = sub(rest, mul(quotient, sub(e, mul(k, dim_of(f))))), f"{_operand(e)} % {_operand(k, right=True)}"
        else:
            quotient = with_f
            if any(c < 0 for _, c in terms_of(quotient)):
                continue
            # -min(a, b) = max(s - a, s - b) - s, s the largest coefficients among the arguments
            tables = [dict(terms_of(a)) for a in f.args]
            top = make({m: max(t.get(m, 0) for t in tables) for m in dict.fromkeys(m for t in tables for m in t)})
            shorter = add(rest, mul(quotient, sub(dim_of(f), top)))
            text = f"max({', '.join(str(sub(top, a)) for a in reversed(f.args))})"
        if quotient != 0 and len(terms_of(shorter)) + len(terms_of(quotient)) < len(terms_of(rest)):
            rest = shorter
            found.append((quotient, text))
    return rest, found


_TOKEN: Final = re.compile(r"\s*(?:(\d[\d_]*)|([^\W\d]\w*(?:\.\w+)*)|(//|[-+*%(),]))")
_BINARY: Final[dict[str, tuple[int, Callable[[DimLike, DimLike], DimLike]]]] = {
    "+": (1, add),
    "-": (1, sub),
    "*": (2, mul),
    "//": (2, floordiv),
    "%": (2, mod),
}


def parse_dim(text: str) -> DimLike:
    """The size that `text` says: integers, names, + - * // %, brackets, min(..) and max(..). Raises DimError. No recursion."""
    values: list[DimLike] = []
    pending: list[tuple[str, int]] = []  # (operator or bracket, for calls: number of values before it)
    at, want_value = 0, True

    def fail(why: str) -> DimError:
        return DimError(f"{why} in the size {text.strip()!r}")

    def reduce(until: int) -> None:
        while pending and pending[-1][0] not in ("(", "min", "max"):
            op = pending[-1][0]
            level = 3 if op == "neg" else _BINARY[op][0]
            if level < until:
                return
            pending.pop()
            if op == "neg":
                values.append(mul(values.pop(), -1))
            else:
                right, left = values.pop(), values.pop()
                values.append(_BINARY[op][1](left, right))

    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise fail(f"unexpected {text[at:].strip()[0]!r}")
        number, name, op = match.groups()
        at = match.end()
        if number is not None or name is not None:
            if not want_value:
                raise fail(f"missing operator before {number or name!r}")
            if name in ("min", "max") and text[at:].lstrip().startswith("("):
                at = text.index("(", at) + 1
                pending.append((name, len(values)))
                continue
            values.append(int(number) if number is not None else named(name))
            want_value = False
        elif op == "(":
            if not want_value:
                raise fail("missing operator before '('")
            pending.append(("(", 0))
        elif want_value:
            if op == "-":
                pending.append(("neg", 0))
            elif op != "+":
                raise fail(f"missing operand before {op!r}")
        elif op in (")", ","):
            reduce(0)
            if not pending or (op == "," and pending[-1][0] == "("):
                raise fail(f"unexpected {op!r}")
            if op == ",":
                want_value = True
                continue
            bracket, base = pending.pop()
            if bracket != "(":
                args = values[base:]
                values[base:] = [(dim_min if bracket == "min" else dim_max)(*args)]
        else:
            reduce(_BINARY[op][0])
            pending.append((op, 0))
            want_value = True
    if want_value:
        raise fail("missing operand at the end")
    reduce(0)
    if pending:
        raise fail("missing ')'")
    return values[0]


class DimCode:
    """Generates straight-line Python for sizes; every atom becomes one local variable, computed once.

    `lines` are the statements so far; `expr(d)` gives an expression valid after them. Names are read from variables that
    `variable(name)` names, so text from a file never becomes code.
    """

    def __init__(self, variable: Callable[[str], str], prefix: str = "t") -> None:
        self.lines: list[str] = []
        self._variable = variable
        self._prefix = prefix
        self._made: dict[Atom, str] = {}

    def expr(self, d: DimLike) -> str:
        if isinstance(d, int):
            return str(d) if d >= 0 else f"({d})"
        for f in atoms_within(d, lambda f: f not in self._made):
            if f.kind == NAME:
                self._made[f] = self._variable(f.name)
                continue
            args = [self._sum(a) for a in f.args]
            code = f"({args[0]})//({args[1]})" if f.kind == FLOOR else f"min({', '.join(args)})"
            self._made[f] = self._assign(code)
        return self._sum(d)

    def _assign(self, code: str) -> str:
        name = f"{self._prefix}{len(self.lines)}"
        self.lines.append(f"{name} = {code}")
        return name

    def _sum(self, d: DimLike) -> str:
        if isinstance(d, int):
            return str(d)
        parts = [self._product(m, c) for m, c in d.terms]
        while len(parts) > 40:  # CPython's compiler recurses over a long sum
            parts = [self._assign(" + ".join(parts[:40])), *parts[40:]]
        return " + ".join(parts)

    def _product(self, m: Monomial, c: int) -> str:
        factors = [self._made[f] for f in m]
        return "*".join([f"({c})" if c < 0 else str(c), *factors] if c != 1 or not factors else factors)


def compile_dims(dims: Sequence[DimLike]) -> Callable[[Mapping[str, int]], list[int]]:
    """A generated function from sizes by name to the values of all `dims`, sharing common parts."""
    variables: dict[str, str] = {}
    code = DimCode(lambda name: variables.setdefault(name, f"v{len(variables)}"))
    results: dict[DimLike, str] = {}
    for d in dims:
        if d not in results:
            text = code.expr(d)
            results[d] = code._assign(text) if isinstance(d, Dim) and len(d.terms) > 1 else text
    reads = [f"{v} = sizes[{name!r}]" for name, v in variables.items()]
    chunks = [[results[d] for d in dims[i : i + 1000]] for i in range(0, len(dims), 1000)]
    body = [*reads, *code.lines, "return [" + ", ".join(x for chunk in chunks for x in chunk) + "]"]
    return define("compute", "sizes", body)


def define(name: str, params: str, body: Iterable[str], env: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """Compile generated statements into a function; builtins are limited to min and max."""
    scope: dict[str, Any] = {
        "__builtins__": {
            "min": min,
            "max": max,
            "ValueError": ValueError,
            "TypeError": TypeError,
            "ZeroDivisionError": ZeroDivisionError,
            "len": len,
        },
        **(env or {}),
    }
    source = f"def {name}({params}):\n" + "".join(f"    {line}\n" for line in body)
    exec(compile(source, f"<dims {name}>", "exec"), scope)
    made: Callable[..., Any] = scope[name]
    return made
