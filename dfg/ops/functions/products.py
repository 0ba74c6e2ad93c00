"""Products: matmul and einsum as contractions, linear systems."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from dfg.dims import DimLike, suggest_fact
from dfg.ir import InferError, Value
from dfg.ops.base import OPS, project
from dfg.ops.contract import LETTERS, canonical
from dfg.ops.movement import broadcast_along, emit_permute, emit_reshape, sum_over
from dfg.ops.surface import Arg, Surface, Word, function, plain
from dfg.types import BOOL, I64


def contract_values(a: Value, b: Value, subs: str) -> Value:
    """A contraction by an einsum text; letters of one operand alone that the result lacks are summed first."""
    operands, result = subs.split("->")
    x, y = operands.split(",")
    for which, (letters, others) in enumerate(((x, y), (y, x))):
        lonely = tuple(k for k, c in enumerate(letters) if c not in others and c not in result)
        if lonely:
            kept = "".join(c for k, c in enumerate(letters) if k not in lonely)
            if which == 0:
                a, x = OPS["sum"](a, axes=lonely), kept
            else:
                b, y = OPS["sum"](b, axes=lonely), kept
    return OPS["contract"](a, b, subs=canonical(f"{x},{y}->{result}"))


@function("matmul")
def matmul(cx: Surface, x: Arg, y: Arg) -> Value:
    """Matrix product over the last axis of `x` and the second to last of `y` (the only one of a vector); leading axes broadcast."""
    a, b = cx.promote((x, y), "matmul")
    if a.dtype is BOOL:
        raise InferError("wrong-dtype", "`matmul` takes numbers, not bool", [("x", f"this is {a.type}")], help="convert it first: `i64(…)`")
    for v, argument in ((a, "x"), (b, "y")):
        if v.rank == 0:
            raise InferError(
                "rank-mismatch",
                f"`matmul` (`@`) takes vectors and matrices, not the scalar {v.type}",
                [(argument, f"this is {v.type}")],
                help="use `*`",
            )
    inner = cx.graph.equal_sizes(a.shape[-1], b.shape[-2] if b.rank > 1 else b.shape[0])
    if inner is not True:
        p, q = a.shape[-1], b.shape[-2] if b.rank > 1 else b.shape[0]
        raise InferError(
            "shape-mismatch" if inner is False else "dim-unproved",
            f"cannot multiply {a.type} by {b.type}: {p} columns meet {q} rows",
            [(0, f"axis {a.rank - 1} is {p}"), (1, f"axis {max(0, b.rank - 2)} is {q}")],
            dim_fact=None if inner is False else suggest_fact(p, q),
        )
    lead = max(a.rank - 2, b.rank - 2, 0)
    letters, i, j, k = LETTERS[:lead], LETTERS[lead], LETTERS[lead + 1], LETTERS[lead + 2]
    subs, batch = [], ""
    values = [a, b]
    tails = [(i if a.rank > 1 else "") + j, j + (k if b.rank > 1 else "")]
    heads: list[str] = []
    for n, v in enumerate((a, b)):
        own = v.rank - len(tails[n])
        other = (b, a)[n]
        head = ""
        keepers = []
        for axis in range(own):
            letter = letters[lead - own + axis]
            opposite = axis - own + (other.rank - len(tails[1 - n]))
            stretched = v.shape[axis] == 1 and opposite >= 0 and other.shape[opposite] != 1
            if not stretched:
                head += letter
                keepers.append(v.shape[axis])
        values[n] = emit_reshape(v, (*keepers, *v.shape[own:]))
        heads.append(head)
        subs.append(head + tails[n])
    batch = "".join(c for c in letters if any(c in h for h in heads))
    return contract_values(values[0], values[1], f"{subs[0]},{subs[1]}->{batch}{i if a.rank > 1 else ''}{k if b.rank > 1 else ''}")


@function("einsum")
def einsum(cx: Surface, subscripts: Word, *operands: Arg) -> Value:
    """Products summed over indices, as `np.einsum`: `"ij,jk->ik"`; without `->` the result has the indices that stand once, in alphabetical order."""
    text = plain(subscripts)
    if not isinstance(text, str):
        raise InferError("bad-argument", '`einsum` takes its subscripts as a text such as "ij,jk->ik"', [("subscripts", "this one")])
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    values = cx.promote(operands, "einsum") if operands else []
    left, arrow, result = text.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(values):
        raise InferError("arity", f"`{text}` names {len(terms)} operands, and {len(values)} are given", [("subscripts", "this one")])
    if not all((c.isalpha() and c.isascii()) or c == "." for t in (*terms, result) for c in t):
        raise InferError("bad-argument", f"`{text}` has characters that are not letters", [("subscripts", "this one")])
    if values and values[0].dtype is BOOL:
        raise InferError("wrong-dtype", "`einsum` takes numbers, not bool", [(1, "this is bool")])
    terms, result = _ellipses(text, terms, result if arrow else None, values)
    for k, (term, v) in enumerate(zip(terms, values, strict=True)):
        if len(term) != v.rank:
            raise InferError("rank-mismatch", f"`{term}` names {len(term)} axes of {v.type}", [(k + 1, f"this is {v.type}")])
    if len(set(result)) != len(result) or not set(result) <= set("".join(terms)):
        raise InferError(
            "bad-argument",
            f"`{text}`: the result names each index at most once, and only indices of operands",
            [("subscripts", "this one")],
        )
    work = [_diagonal(cx, t, v) for t, v in zip(terms, values, strict=True)]
    sizes: dict[str, tuple[DimLike, int]] = {}
    for k, (term, v) in enumerate(work):
        for c, d in zip(term, v.shape, strict=True):
            if c in sizes and sizes[c][0] != 1 and d != 1 and (proved := cx.graph.equal_sizes(sizes[c][0], d)) is not True:
                raise InferError(
                    "shape-mismatch" if proved is False else "dim-unproved",
                    f"`{text}`: the index `{c}` has size {sizes[c][0]} and {d}",
                    [(sizes[c][1] + 1, f"`{c}` is {sizes[c][0]} here"), (k + 1, f"`{c}` is {d} here")],
                    dim_fact=None if proved is False else suggest_fact(sizes[c][0], d),
                )
            if c not in sizes or sizes[c][0] == 1:
                sizes[c] = (d, k)
    stretched = [_unit_axes_dropped(t, v, sizes) for t, v in work]
    while len(stretched) > 1:
        i, j = _next_pair([t for t, _ in stretched], result)
        (term, value), (other, second) = stretched[i], stretched[j]
        rest = [stretched[k] for k in range(len(stretched)) if k not in (i, j)]
        later = set("".join(t for t, _ in rest)) | set(result)
        kept = "".join(c for c in (dict.fromkeys(term + other) if rest else result) if c in later and c in term + other)
        stretched = [(kept, contract_values(value, second, f"{term},{other}->{kept}")), *rest]
    ((term, value),) = stretched
    lonely = tuple(k for k, c in enumerate(term) if c not in result)
    value = sum_over(value, lonely)
    term = "".join(c for c in term if c in result)
    order = [c for c in result if c in term]
    value = emit_permute(value, [term.index(c) for c in order])
    shape = tuple(sizes[c][0] for c in result)
    return broadcast_along(value, shape, tuple(result.index(c) for c in order))


def _next_pair(terms: Sequence[str], result: str) -> tuple[int, int]:
    """Which two operands to multiply first: those that run over the fewest indices and leave the fewest, whatever their sizes are; of several, the first."""
    best: tuple[int, int, int, int] | None = None
    for i, j in itertools.combinations(range(len(terms)), 2):
        both = set(terms[i]) | set(terms[j])
        later = set(result).union(*[terms[k] for k in range(len(terms)) if k not in (i, j)])
        found = (len(both), len(both & later), i, j)
        if best is None or found < best:
            best = found
    assert best is not None
    return best[2], best[3]


def _ellipses(text: str, terms: list[str], result: str | None, values: Sequence[Value]) -> tuple[list[str], str]:
    spare = [c for c in LETTERS[::-1] if c not in text]
    most = max([v.rank - len(t) + 3 for t, v in zip(terms, values, strict=True) if "..." in t], default=0)
    names = "".join(spare[: max(0, most)])[::-1]
    out = []
    for t, v in zip(terms, values, strict=True):
        if "..." in t:
            k = v.rank - len(t) + 3
            t = t.replace("...", names[len(names) - k :] if k > 0 else "")
        out.append(t)
    if any("." in t for t in out):
        raise InferError("bad-argument", f"`{text}`: dots stand only as `...`", [("subscripts", "this one")])
    if result is None:
        joined = "".join(out)
        result = names + "".join(sorted(c for c in set(joined) - set(names) if joined.count(c) == 1))
    return out, result.replace("...", names)


def _diagonal(cx: Surface, term: str, v: Value) -> tuple[str, Value]:
    """Repeated indices of one operand (`ii`) as a gather along the diagonal."""
    while len(set(term)) != len(term):
        c = next(c for c in term if term.count(c) > 1)
        i, j = [k for k, d in enumerate(term) if d == c][:2]
        if (proved := cx.graph.equal_sizes(v.shape[i], v.shape[j])) is not True:
            raise InferError(
                "shape-mismatch" if proved is False else "dim-unproved",
                f"the index `{c}` has size {v.shape[i]} and {v.shape[j]} in {v.type}",
                [],
                dim_fact=None if proved is False else suggest_fact(v.shape[i], v.shape[j]),
            )
        counts = cx.graph.emit(OPS["iota"], (), (v.shape[i], I64))
        v = OPS["gather"](v, counts, counts, axes=(i, j), batch=0)
        term = c + "".join(d for k, d in enumerate(term) if k not in (i, j))
    return term, v


def _unit_axes_dropped(term: str, v: Value, sizes: dict[str, tuple[DimLike, int]]) -> tuple[str, Value]:
    kept = [k for k, (c, d) in enumerate(zip(term, v.shape, strict=True)) if not (d == 1 and sizes[c][0] != 1)]
    return "".join(term[k] for k in kept), emit_reshape(v, tuple(v.shape[k] for k in kept))


@function("solve")
def solve(cx: Surface, x1: Arg, x2: Arg) -> Value:
    """The solution of `x1 @ x = x2`; `x2` is a vector, or matrices whose columns are solved for. A singular matrix fails the run."""
    a, b = cx.promote((x1, x2), "solve", floating=True)
    if a.rank < 2:
        raise InferError("rank-mismatch", f"`solve` takes square matrices, not {a.type}", [(0, f"this is {a.type}")])
    vector = b.rank == 1
    if vector:
        b = emit_reshape(b, (*b.shape, 1))
    (lead_a, lead_b) = a.shape[:-2], b.shape[:-2]
    if lead_a != lead_b:
        shapes = cx.broadcast([OPS["sum"](v, axes=(v.rank - 2, v.rank - 1)) for v in (a, b)], "solve")[0].shape
        a, b = cx.stretch(a, (*shapes, *a.shape[-2:])), cx.stretch(b, (*shapes, *b.shape[-2:]))
    made = OPS["solve"](a, b)
    return emit_reshape(made, made.shape[:-1]) if vector else made


@function("qr")
def qr(cx: Surface, x: Arg, mode: Word = "reduced") -> Value | tuple[Value, ...]:
    """Orthogonal and upper triangular factors: `q, r = qr(x)`; with `mode="r"` only `r`. The form is the reduced one, which is also the complete one of a matrix that
    is not tall; the vectors that would complete a basis of the columns of a tall one are not determined and have no gradient."""
    word = plain(mode)
    if word not in ("reduced", "complete", "r"):
        raise InferError("bad-argument", f'`qr` takes "reduced", "complete" or "r" as `mode`, not {word!r}', [("mode", "this one")])
    (v,) = cx.promote((x,), "qr", floating=True)
    made = project(OPS["qr"](v))
    if word == "complete" and cx.graph.equal_sizes(made[0].shape[-1], v.shape[-2]) is not True:
        raise InferError(
            "bad-argument",
            f"`qr` gives the reduced form of {v.type}, not the complete one: the vectors that complete a basis are not determined and have no gradient",
            [("mode", "this one")],
            help="leave `mode` out",
        )
    return made[1] if word == "r" else made
