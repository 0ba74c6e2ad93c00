"""Binding sizes from shapes: what is bound, what is refused and with which words, and that it is fast."""

from __future__ import annotations

import random
import timeit

import pytest
from test_dims_facts import table

from dfg.dims import Binder, BindError, DimLike, evaluate, parse_dim


def binder(patterns: dict[str, str], *lines: str) -> Binder:
    return Binder([(name, tuple(parse_dim(d) for d in dims.split(",") if d.strip())) for name, dims in patterns.items()], table(*lines))


def failure(b: Binder, **shapes: tuple[int, ...]) -> BindError:
    with pytest.raises(BindError) as caught:
        b.bind(shapes)
    return caught.value


def test_bare_names_then_one_unknown() -> None:
    b = binder({"y": "2*n, k", "x": "n, 3", "s": "", "z": "n + m"})
    assert b.bind({"x": (5, 3), "y": (10, 7), "s": (), "z": (9,)}) == {"k": 7, "n": 5, "m": 4}
    assert b.bind_fast(((10, 7), (5, 3), (), (9,))) == (7, 5, 4) and b.names == ("k", "n", "m")
    assert b.where("n") == ("x", 0) and b.where("m") == ("z", 0) and not b.unbound


def test_sizes_come_from_facts_too() -> None:
    b = binder({"x": "n"}, "m == 2*n", "k*n == 12")
    assert b.bind({"x": (3,)}) == {"n": 3, "m": 6, "k": 4}
    assert failure(b, x=(5,)).kind == "fact"


def test_products_bind_where_the_factor_is_known() -> None:
    b = binder({"x": "n*m", "y": "n"})
    assert b.bind({"x": (12,), "y": (4,)}) == {"n": 4, "m": 3}
    assert failure(b, x=(0,), y=(0,)).kind == "undetermined"
    assert failure(b, x=(5,), y=(0,)).kind == "size"


def test_what_nothing_determines() -> None:
    assert binder({"x": "n//2"}).unbound == {"n"}
    assert binder({"x": "n + m"}).unbound == {"n", "m"}
    assert binder({"x": "n"}, "k >= 2").unbound == {"k"}


def test_refusals_say_everything() -> None:
    b = binder({"x": "n, 3", "y": "n", "z": "2*k", "w": "n//4"}, "n % 4 == 0", "n >= 4")
    assert b.bind({"x": (8, 3), "y": (8,), "z": (6,), "w": (2,)}) == {"n": 8, "k": 3}
    e = failure(b, x=(8, 3), y=(12,), z=(6,), w=(2,))
    assert (e.kind, e.input, e.axis, e.expected, e.want, e.got, e.other) == ("size", "y", 0, "n", 8, 12, ("x", 0))
    assert str(e) == "axis 0 of `y` has size 12, but `n` = 8 is expected, as axis 0 of `x` says"
    e = failure(b, x=(8, 4), y=(8,), z=(6,), w=(2,))
    assert (e.kind, e.input, e.axis, e.expected, e.want, e.got, e.other) == ("size", "x", 1, "3", 3, 4, None)
    assert str(e) == "axis 1 of `x` has size 4, but `3` is expected"
    e = failure(b, x=(8, 3), y=(8,), z=(7,), w=(2,))
    assert (e.kind, e.name, e.got) == ("indivisible", "k", 7)
    assert str(e) == "axis 0 of `z` has size 7, but no integer `k` gives `2*k` = 7"
    e = failure(b, x=(6, 3), y=(6,), z=(6,), w=(1,))
    assert (e.kind, e.fact.origin if e.fact else None, e.sizes, e.other) == ("fact", "n % 4 == 0", {"n": 6}, ("x", 0))
    assert str(e) == "`dim n % 4 == 0` does not hold when n = 6, as axis 0 of `x` says"
    e = failure(b, x=(0, 3), y=(0,), z=(6,), w=(0,))
    assert e.fact is not None and e.fact.origin == "n >= 4"
    e = failure(b, x=(8, 3), y=(8,), z=(6,), w=(3,))
    assert (e.kind, e.expected, e.want, e.got) == ("size", "n//4", 2, 3)
    e = failure(b, x=(8,), y=(8,), z=(6,), w=(2,))
    assert (e.kind, e.input, e.want, e.got) == ("rank", "x", 2, 1)
    e = failure(b, x=(8, 3), y=(8,), z=(6,))
    assert (e.kind, e.input) == ("missing", "w")


def test_negative_and_division() -> None:
    b = binder({"x": "n + 3"})
    assert b.bind({"x": (3,)}) == {"n": 0}
    assert failure(b, x=(2,)).kind == "negative"
    b = binder({"x": "n", "y": "m", "z": "n//m"})
    assert failure(b, x=(2,), y=(0,), z=(1,)).kind == "division"


def test_no_input_and_sizes_of_any_name() -> None:
    assert binder({}).bind({}) == {}
    b = binder({"s0_0": "ŷ, fail, shapes", "θ": "v0"})
    assert b.bind({"s0_0": (1, 2, 3), "θ": (4,)}) == {"ŷ": 1, "fail": 2, "shapes": 3, "v0": 4}


def test_random_patterns_bind_back_the_sizes_they_were_made_with() -> None:
    rng = random.Random(5)
    pool = ["n", "m", "k", "2*n", "n + m", "3*k - 1", "n*m", "(n + m)//2", "n % 3 + 1", "min(n, k)", "4", "k + 1 - 1"]
    bound = 0
    for _ in range(300):
        dims = [parse_dim(rng.choice(pool)) for _ in range(rng.randint(1, 5))]
        cut = rng.randint(0, len(dims))
        patterns: list[tuple[str, tuple[DimLike, ...]]] = [("a", tuple(dims[:cut])), ("b", tuple(dims[cut:]))]
        b = Binder(patterns, table())
        sizes = {name: rng.randint(1, 9) for name in "nmk"}
        shapes = {name: tuple(evaluate(d, sizes) for d in ds) for name, ds in patterns}
        got = b.bind(shapes)
        assert got == {name: sizes[name] for name in b.names}
        # Any one size changed is refused, unless every dim still has a consistent reading
        for name, shape in shapes.items():
            for axis in range(len(shape)):
                other = {**shapes, name: shape[:axis] + (shape[axis] + 1,) + shape[axis + 1 :]}
                try:
                    new = b.bind(other)
                except BindError:
                    continue
                if not b.unbound:
                    bound += 1
                    assert all(tuple(evaluate(d, new) for d in ds) == other[n] for n, ds in patterns)
    assert bound > 20


def test_a_call_costs_about_a_microsecond() -> None:
    b = binder({"x": "n", "y": "n"}, "n >= 1")
    shapes = ((100,), (100,))
    best = min(timeit.repeat(lambda: b.bind_fast(shapes), number=2000, repeat=7)) / 2000
    assert best < 5e-6  # measured 0.2 microseconds; the margin is for a busy machine
