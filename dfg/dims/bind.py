"""Binding sizes: from the shapes of real arrays to a size for every name, with everything verified.

A plan is made once from the declared shapes and the facts: bare names bind first, then a dim (or an equality among the facts) with one
unknown name solves for it, then every other dim and every fact is checked. The plan is compiled to straight-line Python, so that a
call costs about a microsecond; only when that finds something wrong is the plan walked again, slowly, to say exactly what.

    binder = Binder([("x", (named("n"), 3)), ("y", (2 * named("n"),))], facts)
    binder.bind({"x": (5, 3), "y": (10,)})      # {"n": 5}
    binder.bind_fast(((5, 3), (10,)))           # (5,), in the order of binder.names
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from dfg.dims.facts import Fact, Facts
from dfg.dims.poly import NAME, Dim, DimLike, make, named, names, sub, terms_of
from dfg.dims.text import DimCode, define
from dfg.dims.walk import evaluate

Place: TypeAlias = "tuple[str, int]"
_Fast: TypeAlias = "Callable[[tuple[tuple[int, ...], ...]], tuple[int, ...]]"


class BindError(Exception):
    """Shapes that do not fit. `kind` is one of

    missing       no shape is given for `input`
    rank          `input` has `got` axes, `want` are declared
    size          axis `axis` of `input` has size `got`; `expected` is `want`, as `other` (input, axis) says where a name came from there
    indivisible   `expected` = `got` has no integer solution for `name`
    negative      `expected` = `got` would make `name` negative
    undetermined  `expected` = `got` leaves `name` open, because its factor is 0
    division      `expected` (or the fact) divides by 0
    fact          `fact` does not hold; `other` says where its first name came from
    """

    def __init__(
        self,
        kind: str,
        *,
        input: str | None = None,
        axis: int | None = None,
        expected: str | None = None,
        want: int | None = None,
        got: int | None = None,
        name: str | None = None,
        other: Place | None = None,
        fact: Fact | None = None,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        self.kind, self.input, self.axis, self.expected = kind, input, axis, expected
        self.want, self.got, self.name, self.other, self.fact = want, got, name, other, fact
        self.sizes: dict[str, int] = dict(sizes or {})
        super().__init__(self._message())

    def _message(self) -> str:
        where = f"axis {self.axis} of `{self.input}` has size {self.got}"
        since = f", as axis {self.other[1]} of `{self.other[0]}` says" if self.other else ""
        sized = ", ".join(f"{n} = {v}" for n, v in self.sizes.items())
        match self.kind:
            case "missing":
                return f"no value is given for `{self.input}`"
            case "rank":
                return f"`{self.input}` has {self.got} axes, but {self.want} are declared"
            case "size":
                value = "" if self.expected == str(self.want) else f" = {self.want}"
                return f"{where}, but `{self.expected}`{value} is expected{since}"
            case "indivisible":
                return f"{where}, but no integer `{self.name}` gives `{self.expected}` = {self.got}"
            case "negative":
                return f"{where}, which as `{self.expected}` would make `{self.name}` negative"
            case "undetermined":
                return f"{where}, but `{self.expected}` does not determine `{self.name}` when {sized}"
            case "division":
                return f"`{self.expected}` divides by 0 when {sized}"
        return f"`dim {self.fact}` does not hold when {sized}{since}"


@dataclass(frozen=True, slots=True)
class _Step:
    """One line of the plan. `name` is what it binds (None: only checks), from dim = factor*name + rest; from a fact where `fact` is set."""

    dim: DimLike
    place: tuple[int, int] | None = None  # (index of the input, axis)
    name: str | None = None
    factor: DimLike = 1
    rest: DimLike = 0
    fact: Fact | None = None


class Binder:
    """See the module. `names` are the names that get a size, in binding order; `unbound` those that nothing determines."""

    def __init__(self, patterns: Sequence[tuple[str, tuple[DimLike, ...]]], facts: Facts) -> None:
        self.patterns = tuple((name, tuple(dims)) for name, dims in patterns)
        self.facts = tuple(facts.declared)
        self._where: dict[str, tuple[int, int]] = {}
        self._steps: list[_Step] = []
        self._plan()
        self.names: tuple[str, ...] = tuple(s.name for s in self._steps if s.name is not None)
        mentioned = [d for _, dims in self.patterns for d in dims] + [d for f in self.facts for d in (f.lhs, f.rhs)]
        self.unbound: frozenset[str] = frozenset().union(*(names(d) for d in mentioned)) - set(self.names)
        self.bind_fast = self._compile()

    def bind(self, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
        """Sizes by name, from shapes by input name. Raises BindError."""
        for name, _ in self.patterns:
            if name not in shapes:
                raise BindError("missing", input=name)
        return dict(zip(self.names, self.bind_fast(tuple(tuple(shapes[name]) for name, _ in self.patterns)), strict=True))

    def where(self, name: str) -> Place | None:
        """The input and axis that a name takes its size from; None where a fact gives it."""
        at = self._where.get(name)
        return None if at is None else (self.patterns[at[0]][0], at[1])

    def _plan(self) -> None:
        known: set[str] = set()
        todo: list[tuple[tuple[int, int] | None, DimLike, Fact | None]] = []
        for i, (_, dims) in enumerate(self.patterns):
            for axis, d in enumerate(dims):
                bare = _bare(d)
                if bare is not None and bare not in known:
                    known.add(bare)
                    self._where[bare] = (i, axis)
                    self._steps.append(_Step(d, (i, axis), bare))
                else:
                    todo.append(((i, axis), d, None))
        equations = [(None, sub(f.lhs, f.rhs), f) for f in self.facts if f.op == "=="]
        while True:
            # Dims before facts, and whole-number factors before factors that may turn out to be 0
            ways = [(t, w) for t in [*todo, *equations] if (w := _solvable(t[1], known)) is not None]
            if not ways:
                break
            (place, d, fact), (name, factor, rest) = min(ways, key=lambda way: not isinstance(way[1][1], int))
            known.add(name)
            self._steps.append(_Step(d, place, name, factor, rest, fact))
            if place is not None:
                self._where[name] = place
                todo = [t for t in todo if t[0] != place]
            else:
                equations = [e for e in equations if e[2] is not fact]
        for place, d, _ in todo:
            if names(d) <= known:
                self._steps.append(_Step(d, place))
        for f in self.facts:
            if names(f.lhs) | names(f.rhs) <= known:
                self._steps.append(_Step(sub(f.lhs, f.rhs), None, None, fact=f))

    def _compile(self) -> _Fast:
        variables: dict[str, str] = {}
        code = DimCode(variables.__getitem__)
        body = code.lines
        for step in self._steps:
            if step.name is None:
                if step.place is not None:
                    body.append(f"if {_slot(step.place)} != {code.expr(step.dim)}: fail(shapes)")
                elif step.fact is not None:
                    left, right = code.expr(step.fact.lhs), code.expr(step.fact.rhs)
                    body.append(f"if not {left} {step.fact.op} {right}: fail(shapes)")
                continue
            got = "0" if step.place is None else _slot(step.place)
            if step.factor == 1 and step.rest == 0 and step.place is not None:
                variables[step.name] = got
                continue
            rest, factor = code.expr(step.rest), code.expr(step.factor)
            made = variables[step.name] = f"v{len(variables)}"
            body.append(f"{made} = ({got} - ({rest}))//({factor})")
            body.append(f"if {made} < 0 or {made}*({factor}) + ({rest}) != {got}: fail(shapes)")
        result = "".join(f"{variables[n]}, " for n in self.names)
        unpack = ", ".join("(" + "".join(f"{_slot((i, a))}, " for a in range(len(dims))) + ")" for i, (_, dims) in enumerate(self.patterns))
        target = f"({unpack},) = shapes" if self.patterns else "() = shapes"
        lines = ["try:", f"    {target}", "except (ValueError, TypeError): fail(shapes)", "try:"]
        lines += [f"    {line}" for line in [*body, "pass"]]
        lines += ["except ZeroDivisionError: fail(shapes)", f"return ({result})"]
        made_function: _Fast = define("bind_fast", "shapes", lines, {"fail": self._fail})
        return made_function

    def _fail(self, shapes: Sequence[Sequence[int]]) -> NoReturn:
        """Walk the plan and raise for the first thing wrong."""
        if len(shapes) != len(self.patterns):
            raise ValueError(f"{len(self.patterns)} shapes are needed, {len(shapes)} given")
        for (name, dims), shape in zip(self.patterns, shapes, strict=True):
            if len(shape) != len(dims):
                raise BindError("rank", input=name, want=len(dims), got=len(shape))
        sizes: dict[str, int] = {}
        for step in self._steps:
            self._check(step, shapes, sizes)
        raise AssertionError("a plan failed that holds step by step")

    def _check(self, step: _Step, shapes: Sequence[Sequence[int]], sizes: dict[str, int]) -> None:
        i, axis = step.place if step.place is not None else (-1, -1)
        got = 0 if step.place is None else shapes[i][axis]
        of, at = (None, None) if step.place is None else (self.patterns[i][0], axis)
        said = str(step.fact) if step.fact is not None else str(step.dim)
        used = names(step.dim) if step.fact is None else names(step.fact.lhs) | names(step.fact.rhs)
        mine = {n: v for n, v in sizes.items() if n in used}
        other = next((w for n in self.names if n in mine and (w := self.where(n)) is not None), None)

        def fail(kind: str, want: int | None = None) -> NoReturn:
            raise BindError(
                kind, input=of, axis=at, expected=said, want=want, got=got, name=step.name, other=other, fact=step.fact, sizes=mine
            )

        try:
            if step.name is None:
                if step.fact is not None:
                    if not step.fact.holds(sizes):
                        fail("fact")
                elif (want := evaluate(step.dim, sizes)) != got:
                    fail("size", want)
                return
            factor, left = evaluate(step.factor, sizes), got - evaluate(step.rest, sizes)
        except ZeroDivisionError:
            fail("division")
        if factor == 0:
            fail("undetermined" if left == 0 else "size", got - left)
        if left % factor:
            fail("indivisible" if step.fact is None else "fact")
        if left // factor < 0:
            fail("negative" if step.fact is None else "fact")
        sizes[step.name] = left // factor


def _slot(place: tuple[int, int]) -> str:
    return f"s{place[0]}_{place[1]}"


def _bare(d: DimLike) -> str | None:
    if isinstance(d, Dim) and len(d.terms) == 1 and d.terms[0][1] == 1 and len(d.terms[0][0]) == 1 and d.terms[0][0][0].kind == NAME:
        return d.terms[0][0][0].name
    return None


def _solvable(d: DimLike, known: set[str]) -> tuple[str, DimLike, DimLike] | None:
    """(name, factor, rest) where d = factor*name + rest for the one name that is not known yet."""
    unknown = names(d) - known
    if len(unknown) != 1:
        return None
    (name,) = unknown
    (f,) = named(name).terms[0][0]
    factor = make({tuple(g for g in m if g is not f): c for m, c in terms_of(d) if m.count(f) == 1})
    rest = make({m: c for m, c in terms_of(d) if f not in m})
    if name in names(factor) or name in names(rest) or len(terms_of(factor)) + len(terms_of(rest)) != len(terms_of(d)):
        return None  # inside a division, or not linear
    return name, factor, rest
