"""Symbolic sizes: the normal form never changes a value, prints what it parses, and meets the identities that typing needs."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfg.dims import Dim, DimError, DimLike, compile_dims, dim_max, dim_min, evaluate, format_dim, named, names, parse_dim, substitute

n, m, k = named("n"), named("m"), named("k")

# A random expression as nested tuples, evaluated directly (the oracle) and through Dim.
Tree = Any


def trees(symbolic_divisor: bool = True) -> st.SearchStrategy[Tree]:
    leaves = st.one_of(st.integers(-7, 9), st.sampled_from(["n", "m", "k"]))

    def grow(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        divisors = st.one_of(st.sampled_from([-3, 2, 3, 4, 6]), inner) if symbolic_divisor else st.sampled_from([-3, 2, 3, 4, 6])
        return st.one_of(
            st.tuples(st.sampled_from("+-*"), inner, inner),
            st.tuples(st.sampled_from(["min", "max"]), inner, inner),
            st.tuples(st.sampled_from(["//", "%"]), inner, divisors),
        )

    return st.recursive(leaves, grow, max_leaves=9)


def apply(op: str, a: Any, b: Any) -> Any:
    if op in ("min", "max"):
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b) if op == "min" else max(a, b)
        return dim_min(a, b) if op == "min" else dim_max(a, b)
    return {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "//": lambda: a // b, "%": lambda: a % b}[op]()


def fold(tree: Tree, leaf: Any) -> Any:
    return apply(tree[0], fold(tree[1], leaf), fold(tree[2], leaf)) if isinstance(tree, tuple) else leaf(tree)


def symbolic(tree: Tree) -> DimLike:
    return fold(tree, lambda x: named(x) if isinstance(x, str) else x)


def concrete(tree: Tree, sizes: dict[str, int]) -> int:
    return fold(tree, lambda x: sizes[x] if isinstance(x, str) else x)


SIZES = st.fixed_dictionaries({name: st.integers(0, 13) for name in "nmk"})


@settings(max_examples=200, deadline=None)
@given(trees(), st.lists(SIZES, min_size=4, max_size=4))
def test_the_normal_form_keeps_every_value(tree: Tree, samples: list[dict[str, int]]) -> None:
    try:
        d = symbolic(tree)
    except ZeroDivisionError:
        return
    compute = compile_dims([d, d])
    for sizes in samples:
        try:
            want = concrete(tree, sizes)
        except ZeroDivisionError:
            continue
        assert evaluate(d, sizes) == want
        assert compute(sizes) == [want, want]
        part = substitute(d, {"n": sizes["n"]})
        assert "n" not in names(part)
        assert evaluate(part, sizes) == want


@settings(max_examples=150, deadline=None)
@given(trees())
def test_printing_and_parsing_round_trip(tree: Tree) -> None:
    try:
        d = symbolic(tree)
    except ZeroDivisionError:
        return
    assert parse_dim(format_dim(d)) == d
    assert pickle.loads(pickle.dumps(d)) == d
    assert copy.deepcopy(d) == d


@settings(max_examples=150, deadline=None)
@given(trees(), trees(), trees(), st.sampled_from([2, 3, 4, 6]))
def test_algebraic_laws_are_identities_of_the_normal_form(a: Tree, b: Tree, c: Tree, j: int) -> None:
    try:
        x, y, z = symbolic(a), symbolic(b), symbolic(c)
    except ZeroDivisionError:
        return
    assert (x + y) + z == x + (y + z)
    assert x * (y + z) == x * y + x * z
    assert x * y == y * x and hash(x * y) == hash(y * x)
    assert x - x == 0
    assert x // j * j + x % j == x
    assert (x * j + y) // j == x + y // j
    assert (x * j + y) % j == y % j
    if "//" not in str(a) and "%" not in str(a):
        assert x // 2 // j == x // (2 * j)
    assert dim_min(x, x + 3) == x and dim_max(x, x + 3) == x + 3
    assert dim_min(x, y) == dim_min(y, x)
    if not any(word in str((a, b, c)) for word in ("min", "max")):
        assert dim_min(x, dim_min(x, y)) == dim_min(x, y)
        assert dim_min(x, dim_min(y, z)) == dim_min(z, dim_min(x, y))
        assert dim_max(x, dim_max(y, z)) == dim_max(z, dim_max(x, y))
        assert dim_min(x + y, z + y) == dim_min(x, z) + y
        assert dim_min(x, y) + dim_max(x, y) == x + y


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("n*m//m", "n"),
        ("(n*m + m)//m", "n + 1"),
        ("(n*n - 1)//(n + 1)", "n - 1"),
        ("(n//4)*4 + n % 4", "n"),
        ("(n//m)*m + n % m", "n"),
        ("n//2//3", "n//6"),
        ("(n//m)//k", "n//(m*k)"),
        ("(5*n + 3)//4", "n + (n + 3)//4"),
        ("(h + 2 - 3)//2 + 1", "(h + 1)//2"),
        ("h + 2 - 2", "h"),
        ("(t - 1) + 1", "t"),
        ("4*n*m", "4*n*m"),
        ("n % 6 % 3", "n % 3"),
        ("(2*n) % 4", "2*(n % 2)"),
        ("(2*n + 1)//4", "n//2"),
        ("(n*m + n)//(n*k)", "(m + 1)//k"),
        ("(n % 4)//4", "0"),
        ("n//(n + 1)", "0"),
        ("(n*m - 1)//n", "m - 1"),
        ("min(n, n + m)", "n"),
        ("max(n, 0)", "n"),
        ("min(2*n, 2*m)", "2*min(n, m)"),
        ("min(n*k, m*k)", "k*min(n, m)"),
        ("max(min(n, 3), min(n, 3))", "min(n, 3)"),
        ("min(min(n, m) + 1, 4)", "min(n + 1, m + 1, 4)"),
        ("-(-n)", "n"),
        ("(-n)//-4", "n//4"),
    ],
)
def test_must_be_one_form(left: str, right: str) -> None:
    assert parse_dim(left) == parse_dim(right)


@pytest.mark.parametrize(
    "text",
    [
        "2*n + 1",
        "n - 1",
        "48 - n",
        "n % 4",
        "4*(n//4)",
        "(n + 3)//4",
        "n*n",
        "n*m//4",
        "(n - m)//k",
        "min(n, 48)",
        "max(n, m) - 1",
        "3*(n//4) + n % 4",
        "n//(m*k)",
        "-(n//4)",
        "m - n//4",
        "m*(n % 4)",
        "n % m",
        "n//m//(k + 1)",
        "-n",
        "f.t + θ_2",
        "min(n, m)//3",
    ],
)
def test_readable_text(text: str) -> None:
    d = parse_dim(text)
    assert parse_dim(str(d)) == d
    assert len(str(d)) <= len(text)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("1 + 2*n", "2*n + 1"),
        ("n - (n//4)*4", "n % 4"),
        ("m*n - 4*m*(n//4)", "m*(n % 4)"),
        ("d*(d - 1)//2", "(d*d + d)//2 - d"),
        ("-n + m", "m - n"),
        ("max(n, m, k) - 1", "max(k, m, n) - 1"),
        ("3*max(n, 5)", "3*max(n, 5)"),
        ("-min(n, 3)", "-min(n, 3)"),
    ],
)
def test_exact_text(text: str, printed: str) -> None:
    assert str(parse_dim(text)) == printed


@pytest.mark.parametrize("text", ["", "2 n", "n +", "(n", "n)", "n, m", "min()", "n / 2", "2 ** n", "(n, m)", "n $ m"])
def test_bad_text_is_a_dim_error(text: str) -> None:
    with pytest.raises(DimError):
        parse_dim(text)


def test_a_dim_is_no_int_and_has_no_truth() -> None:
    assert n - n == 0 and isinstance(n - n, int)
    assert n != 3 and named("n") == n and hash(named("n")) == hash(n)
    assert isinstance(n + 0, Dim)
    for bad in (lambda: bool(n), lambda: n < 3, lambda: n >= m):
        with pytest.raises(TypeError):
            bad()
    with pytest.raises(ZeroDivisionError):
        n // 0
    with pytest.raises(ZeroDivisionError):
        5 % (n - n)  # type: ignore[operator]


def test_expansion_has_limits_and_deep_brackets_work() -> None:
    assert parse_dim("(" * 20_000 + "n" + ")" * 20_000) == n
    wide: DimLike = sum((named(f"a{i}") for i in range(60)), 0)
    with pytest.raises(DimError):
        wide * wide * wide
    deep: DimLike = n
    with pytest.raises(DimError):
        for i in range(10_000):
            deep = (deep * 3 + named(f"b{i % 5}")) // 7


def test_compiled_dims_share_parts_and_take_many() -> None:
    dims = [n // 4 + i for i in range(3000)] + [7, dim_min(n, m)]
    assert compile_dims(dims)({"n": 9, "m": 5}) == [2 + i for i in range(3000)] + [7, 5]
