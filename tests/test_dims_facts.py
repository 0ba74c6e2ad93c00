"""The table of facts: what it must prove, and that it never proves what some sizes refute."""

from __future__ import annotations

import functools
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfg.dims import DimError, DimLike, Facts, evaluate, explain_unequal, named, names, parse_dim, suggest_fact


def table(*lines: str, order: str = "") -> Facts:
    facts = Facts()
    for name in order.split():
        facts.declare_name(name)
    for line in lines:
        assert declare(facts, line) is None, line
    facts.freeze()
    return facts


def declare(facts: Facts, line: str) -> object:
    op = next(o for o in ("==", "!=", ">=", "<=", ">", "<") if o in line)
    left, right = line.split(op)
    return facts.declare(parse_dim(left), op, parse_dim(right), origin=line)


MUST_EQUAL = [
    ([], "n*(4*m)", "4*n*m"),
    (["n % 4 == 0"], "(n//4)*4", "n"),
    (["n % 4 == 0"], "n % 2", "0"),
    (["n % 4 == 0"], "(n + 3)//4", "n//4"),
    (["n % 4 == 0", "n % 6 == 0"], "n//12*12", "n"),
    (["n % 4 == 2"], "n % 2", "0"),
    (["n % 4 == 3"], "(n + 1)//4*4", "n + 1"),
    (["r*per_row == n"], "per_row*r", "n"),
    (["n == r*per_row"], "n//r", "per_row"),
    (["r*c == 2*n"], "r*c*k", "2*n*k"),
    (["n == m"], "n*m", "m*m"),
    (["n == m", "m == k"], "n - k", "0"),
    (["n == 3"], "n*m", "3*m"),
    (["n + m == 10", "n - m == 2"], "n", "6"),
    (["2*n == 3*m"], "4*n", "6*m"),
    (["2*n == 3*m"], "n % 3", "0"),
    (["2*n == 3*m"], "n//3*2", "m"),
    (["2*a*b == 3*c*d"], "4*a*b*k", "6*c*d*k"),
    (["a*b == c", "b*d == e"], "c*d", "a*e"),
    (["d % heads == 0"], "b*t*3*heads*(d//heads)", "b*t*3*d"),
    (["64 % heads == 0"], "b*t*3*heads*(64//heads)", "b*t*3*64"),
    (["d % heads == 0", "heads == 4"], "d//4*4", "d"),
    (["(n*m) % 4 == 0"], "n*m//4*4", "m*n"),
    (["(n + m) % 2 == 0"], "(n - m) % 2", "0"),
    (["(n + m) % 2 == 0"], "(n + m)//2*2", "n + m"),
    (["n//4 == m"], "4*m + n % 4", "n"),
    (["n >= 48"], "min(n, 48)", "48"),
    (["n >= 48"], "max(n, 48)", "n"),
    (["n <= 3", "n >= 3"], "n", "3"),
    (["n < k"], "n//k", "0"),
    (["n < k"], "n % k", "n"),
    (["n % 8 == 0"], "n//8*2", "n//4"),
    ([], "(n + 1)//2 + n//2", "n"),
    ([], "(n % 4) % 8", "n % 4"),
    ([], "(2*n + 1)//3 + n//3", "n - (n + 1)//3 + (n + 1)//3 - (n - (2*n + 1)//3 - n//3)"),
    ([], "(n - 1)//2 + 1 - (n + 1)//2", "0"),
    ([], "h + 2 - 2", "h"),
    ([], "(t - 1) + 1", "t"),
    (["h % 2 == 0"], "((h - 2)//2 + 1)*2", "h"),
    (["h % 4 == 0"], "h//2//2*2", "h//2"),
    (["h % p == 0", "w % p == 0"], "(h//p)*(w//p)*(p*p*c)", "h*w*c"),
    (["t % block == 0"], "t//block*block*c//c", "t"),
    (["heads*hd == 64"], "b*t*heads*hd", "64*b*t"),
    (["n == g*64"], "n//64", "g"),
    ([], "n//2 + (n - n//2)", "n"),
    ([], "n*4*m//m", "4*n"),
    ([], "min(n, m) + max(n, m)", "n + m"),
]


@pytest.mark.parametrize(("lines", "a", "b"), MUST_EQUAL)
def test_must_be_proved_equal(lines: list[str], a: str, b: str) -> None:
    facts = table(*lines)
    assert facts.equal(parse_dim(a), parse_dim(b)) is True


# Proved by residues, bounds or a combination of kept equations, which give no rewriting rule
NOT_BY_FORM = {"(n + 1)//2 + n//2", "(n % 4) % 8", "4*a*b*k"}
ONE_FORM = [c for c in MUST_EQUAL if c[1] not in NOT_BY_FORM and c[0] != ["n <= 3", "n >= 3"]]


@pytest.mark.parametrize(("lines", "a", "b"), ONE_FORM)
def test_equal_sizes_print_and_hash_alike(lines: list[str], a: str, b: str) -> None:
    facts = table(*lines)
    one, other = facts.normal(parse_dim(a)), facts.normal(parse_dim(b))
    assert one == other and hash(one) == hash(other) and str(one) == str(other)
    assert facts.normal(one) == one
    assert parse_dim(str(one)) == one
    assert all(name.isidentifier() for name in names(one))


@pytest.mark.parametrize(
    ("lines", "size", "printed"),
    [
        (["n == m"], "m + 1", "n + 1"),
        (["m == 2*n"], "m", "2*n"),
        (["n % 4 == 0"], "n//4*4 + n//4", "n + n//4"),
        (["n % 4 == 0"], "5 - n//4", "5 - n//4"),
        (["d % heads == 0"], "heads*(d//heads)", "d"),
        (["d % heads == 0"], "d//heads", "d//heads"),
    ],
)
def test_normal_text(lines: list[str], size: str, printed: str) -> None:
    assert str(table(*lines, order="n m").normal(parse_dim(size))) == printed


MUST_BE_AT_LEAST = [
    (["n >= 1"], "n - 1", "0"),
    ([], "n", "0"),
    ([], "n*m", "0"),
    (["n >= 2"], "n*n", "n + 2"),
    (["n >= 48"], "n", "20"),
    (["n > m"], "n", "m + 1"),
    (["n > m"], "n", "1"),
    (["n >= m", "m >= k"], "n", "k"),
    ([], "n", "4*(n//4)"),
    ([], "3", "n % 4"),
    ([], "n % 4", "0"),
    ([], "n % m", "0"),
    ([], "m - 1", "n % m"),
    ([], "n", "min(n, m)"),
    ([], "max(n, m)", "m"),
    ([], "n + m", "max(n, m)"),
    ([], "2*((n + 1)//2)", "n"),
    (["n >= 4"], "n//4", "1"),
    (["n >= 3", "m >= 3"], "min(n, m)", "2"),
    (["n % 4 == 0", "n >= 1"], "n//4", "1"),
    (["n % 4 == 0", "n >= 1"], "n", "4"),
    (["n == m + 1"], "n", "1"),
    (["n >= k"], "n*m", "k*m"),
    (["h >= 3", "w >= 3"], "(h - 3)//2*((w - 3)//2)", "0"),
    (["2*n >= 5"], "n", "3"),
    (["n*m >= 1"], "n*m*k", "k"),
    (["n <= 10"], "100", "n*n"),
    (["h >= 3"], "(h - 3)//2 + 1", "1"),
    (["h % 2 == 0", "h >= 1"], "h//2", "1"),
    (["i < n"], "n - i", "1"),
    (["t >= block", "block >= 1"], "t//block", "1"),
]


@pytest.mark.parametrize(("lines", "a", "b"), MUST_BE_AT_LEAST)
def test_must_be_proved_at_least(lines: list[str], a: str, b: str) -> None:
    assert table(*lines).at_least(parse_dim(a), parse_dim(b)) is True


def test_unknown_and_false() -> None:
    facts = table("n >= 2", "a != b")
    n, m = named("n"), named("m")
    assert facts.equal(n, m) is None and facts.equal(n, 3) is None
    assert facts.equal(n, n + 1) is False and facts.equal(n, 1) is False and facts.equal(2 * n, 2 * m + 1) is False
    assert facts.equal(named("a"), named("b")) is False
    assert facts.at_least(n, 3) is None and facts.at_least(1, n) is False and facts.at_least(m, n) is None


@pytest.mark.parametrize(
    ("lines", "bad", "against"),
    [
        ([], "3 == 4", []),
        ([], "2*n == 3", []),
        ([], "n % 4 == 5", []),
        ([], "n < 0", []),
        (["n >= 5"], "n <= 3", ["n >= 5"]),
        (["m >= 1", "n == 3"], "n == 4", ["n == 3"]),
        (["k >= 1", "n >= 5", "n == m"], "m < 5", ["n >= 5", "n == m"]),
        (["n % 4 == 0"], "n % 4 == 1", ["n % 4 == 0"]),
        (["n % 4 == 0"], "n == 6", ["n % 4 == 0"]),
        (["n % 4 == 1"], "n % 2 == 0", ["n % 4 == 1"]),
        (["n > m"], "m > n", ["n > m"]),
        (["n > m"], "m == n", ["n > m"]),
        (["n == m"], "n != m", ["n == m"]),
        (["n != m"], "n == m", ["n != m"]),
        (["n == m + 1"], "n == 0", ["n == m + 1"]),
    ],
)
def test_contradictions_name_the_facts_they_contradict(lines: list[str], bad: str, against: list[str]) -> None:
    facts = Facts()
    for line in lines:
        assert declare(facts, line) is None
    conflict = declare(facts, bad)
    assert conflict is not None
    assert [f.origin for f in conflict.against] == against  # type: ignore[attr-defined]
    assert "`" in conflict.message  # type: ignore[attr-defined]
    assert [f.origin for f in facts.declared] == lines
    facts.freeze()


def test_frozen_tables_take_nothing() -> None:
    facts = table("n >= 1")
    with pytest.raises(RuntimeError):
        facts.declare(named("n"), "==", 2)


def test_messages() -> None:
    n, m = named("n"), named("m")
    assert explain_unequal(3, 4) == "3 is not 4"
    assert explain_unequal(n, m) == "nothing says that `n` equals `m`"
    assert explain_unequal(n, n + 1) == "`n` is 1 less than `n + 1`"
    assert explain_unequal(2 * n, m) == "`2*n` and `m` differ by `2*n - m`, and nothing says that this is 0"
    assert explain_unequal(2 * n, 2 * m + 1) == "`2*n` never equals `2*m + 1`"
    assert suggest_fact(3, n) == "dim n == 3" and suggest_fact(n * m + 1, m) == "dim m == m*n + 1"


# Soundness: random facts and random questions against every assignment of small sizes.

POOL = ["n", "m", "k", "n//2", "n % 3", "m//3", "n//m", "k % m", "n*m", "min(n, m)", "max(m, k)", "1", "2", "3", "4"]
FACTS = [
    "n % 2 == 0",
    "m % 3 == 1",
    "n >= 2",
    "m >= 1",
    "k <= 4",
    "n == m",
    "n >= m",
    "k > m",
    "n == 2*k",
    "2*n == 3*m",
    "n*m == k",
    "k % m == 0",
    "n + m == 6",
    "n//2 == k",
    "(n + k) % 3 == 0",
    "n*k == m*m",
    "min(n, k) == m",
    "n*m % 4 == 0",
    "n != k",
    "m <= k + 1",
    "n*k >= 4",
    "n % m == 1",
]


def random_size(rng: random.Random) -> DimLike:
    d: DimLike = 0
    for _ in range(rng.randint(1, 3)):
        term: DimLike = rng.choice([-2, -1, 1, 1, 2, 3])
        for _ in range(rng.randint(1, 2)):
            term = term * parse_dim(rng.choice(POOL))
        d = d + term
    return d // rng.choice([2, 3, 4]) if rng.random() < 0.25 else d


GRID = [dict(zip("nmk", values, strict=True)) for values in itertools.product(range(9), repeat=3)]


def value(d: DimLike, sizes: dict[str, int]) -> int | None:
    try:
        return evaluate(d, sizes)
    except ZeroDivisionError:
        return None


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_no_proof_is_ever_wrong(seed: int) -> None:
    rng = random.Random(seed)
    facts = Facts()
    for name in rng.sample("nmk", 3):
        facts.declare_name(name)
    for line in rng.sample(FACTS, rng.randint(0, 3)):
        conflict = declare(facts, line)
        if conflict is not None:
            blamed = [f.origin for f in conflict.against] + [line]  # type: ignore[attr-defined]
            assert not [s for s in GRID if all(truth(str(b), s) for b in blamed)], f"{blamed} is satisfiable"
    facts.freeze()
    lines = [str(f.origin) for f in facts.declared]
    points = [s for s in GRID if all(truth(line, s) for line in lines)]
    for _ in range(6):
        a, b = random_size(rng), random_size(rng)
        try:
            plain = facts.normal(a)
            b = plain + rng.choice([0, 0, 1]) if rng.random() < 0.3 else b
            same, least = facts.equal(a, b), facts.at_least(a, b)
        except ZeroDivisionError:
            continue  # the facts say that a divisor is 0
        assert facts.normal(plain) == plain, (lines, str(a), str(plain), str(facts.normal(plain)))
        for sizes in points:
            x, y, z = value(a, sizes), value(b, sizes), value(plain, sizes)
            if x is None or y is None:
                continue
            assert z is None or z == x, (lines, str(a), str(plain), sizes)
            assert same is None or same == (x == y), (lines, str(a), str(b), sizes, same)
            assert least is None or least == (x >= y), (lines, str(a), str(b), sizes, least)


parsed = functools.cache(parse_dim)


def truth(line: str, sizes: dict[str, int]) -> bool:
    op = next(o for o in ("==", "!=", ">=", "<=", ">", "<") if o in line)
    left, right = (value(parsed(side), sizes) for side in line.split(op))
    if left is None or right is None:
        return False
    return {"==": left == right, "!=": left != right, ">=": left >= right, "<=": left <= right, ">": left > right, "<": left < right}[op]


def test_many_facts_stay_fast_and_limits_hold() -> None:
    facts = Facts()
    for i in range(120):
        assert facts.declare(named(f"n{i}"), "==", named(f"n{i + 1}")) is None
    facts.freeze()
    assert facts.normal(named("n120")) == named("n0")
    with pytest.raises(DimError):
        parse_dim("*".join(["(a + b + c + d + e)"] * 40))
