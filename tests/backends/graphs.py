"""Graphs for tests of backends: a small language around surface functions, random programs, and the comparison with the oracle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import dfg.ops.functions  # noqa: F401 - fills the table of surface functions
from dfg.backends.numpy import NumpyRuntime
from dfg.codegen.interpret import interpret
from dfg.dims import DimLike, Facts, named, names
from dfg.ir import Graph, Roots, Value, seal, verify
from dfg.ops.base import OPS
from dfg.ops.branch import cond, counted_scan, while_op
from dfg.ops.leaf import arg, input_op, param_op, part, state_op, trace
from dfg.ops.loop import scan
from dfg.ops.surface import Literal, Surface, call
from dfg.passes.planner import compile_plan
from dfg.plan import Plan
from dfg.types import F64, I64, DType, TensorType


def dims(text: str) -> tuple[DimLike, ...]:
    return tuple([int(w) if w.isdigit() else named(w) for w in text.split()])


class Make:
    """A graph being built: `m.f("add", x, 2)` calls a surface function, Python numbers are literals."""

    def __init__(self, facts: Facts | None = None) -> None:
        self.graph = Graph(facts)
        self.surface = Surface(self.graph)
        self.initials: dict[str, Value] = {}

    def input(self, name: str, shape: str = "", dtype: DType = F64) -> Value:
        return self._leaf(input_op, name, shape, dtype)

    def param(self, name: str, shape: str = "", dtype: DType = F64, value: Any = None) -> Value:
        return self._kept(param_op, name, shape, dtype, value)

    def state(self, name: str, shape: str = "", dtype: DType = F64, value: Any = None) -> Value:
        return self._kept(state_op, name, shape, dtype, value)

    def _kept(self, op: Any, name: str, shape: str, dtype: DType, value: Any) -> Value:
        v = self._leaf(op, name, shape, dtype)
        if value is not None:
            start = value if isinstance(value, Value) else self.surface.literal(Literal.of(value), dtype)
            self.initials[name] = start if start.shape == v.shape else self.surface.stretch(start, v.shape)
        return v

    def _leaf(self, op: Any, name: str, shape: str, dtype: DType) -> Value:
        v = self.graph.emit(op, (), (name, TensorType(dtype, dims(shape))))
        self.graph.names[name] = v
        return v

    def f(self, name: str, *args: Any, **kwargs: Any) -> Any:
        def static(a: Any) -> Any:
            return Literal.of(a) if isinstance(a, int | float | bool) and name not in SHAPED else a

        return call(self.surface, name, [static(a) for a in args], kwargs)

    def done(self, outputs: Mapping[str, Value], updates: Mapping[str, Value] | None = None) -> Graph:
        for name, v in outputs.items():
            self.graph.names.setdefault(name, v)
        self.graph.roots = Roots(dict(outputs), dict(updates or {}), dict(self.initials))
        verify(self.graph, "differentiated")
        return self.graph


SHAPED = {"reshape", "permute_dims", "broadcast_to", "sum", "max", "min", "flip", "expand_dims", "concat", "stack", "argmax", "zeros", "ones", "arange"}


class Body:
    """The body of a scan: arguments by kind, in the order that they were asked for."""

    def __init__(self, m: Make) -> None:
        self.inner = Make(m.graph.facts)
        self.graph = self.inner.graph
        self.f = self.inner.f
        self.args: list[Value] = []

    def arg(self, t: TensorType) -> Value:
        v = self.graph.emit(arg, (), (len(self.args), t))
        self.args.append(v)
        return v


def loop(m: Make, body: Body, operands: list[Value], outputs: list[Value], carries: int, xs: int, length: DimLike, reverse: bool = False) -> tuple[Value, dict[int, Value]]:
    """A scan of a body; the mapping gives body values as sealed, for traces."""
    sealed, mapping = seal(body.graph, body.args, outputs)
    v = m.graph.emit(scan, tuple(operands), (sealed, length, carries, xs, reverse))
    return v, mapping


def part_of(v: Value, k: int) -> Value:
    return v.graph.emit(part, (v,), (k,))


def trace_of(v: Value, body_value: Value) -> Value:
    return v.graph.emit(trace, (v,), (body_value.index,))


def oracle(graph: Graph, inputs: Mapping[str, np.ndarray], kept: Mapping[str, np.ndarray] | None = None, sizes: Mapping[str, int] | None = None) -> dict[str, np.ndarray]:
    """Outputs (and updates, as `update NAME`) by the slow interpreter."""
    env: dict[int, Any] = {}
    known: dict[str, int] = dict(sizes or {})
    for v in graph.values:
        if v.op.name in ("input", "param", "state"):
            given = {**inputs, **(kept or {})}.get(v.attrs[0])
            if given is not None:
                env[v.index] = np.array(given, v.dtype.np)
                for d, s in zip(v.shape, np.shape(given), strict=True):
                    if str(d) in names(d):
                        known[str(d)] = s
    roots = {**graph.roots.outputs, **{f"update {n}": v for n, v in graph.roots.updates.items()}}
    with np.errstate(all="ignore"):
        values = interpret(list(roots.values()), env, known)
    return dict(zip(roots, [np.asarray(v) for v in values], strict=True))


def same(got: np.ndarray, want: np.ndarray, what: str = "") -> None:
    assert got.dtype == want.dtype and got.shape == want.shape, (what, got.dtype, want.dtype, got.shape, want.shape)
    if got.dtype.kind == "f":
        tolerance = 1e-9 if got.dtype == np.float64 else 2e-4
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * (1 + np.max(np.abs(want[np.isfinite(want)]), initial=0)), err_msg=what)
    else:
        np.testing.assert_array_equal(got, want, err_msg=what)


def check(graph: Graph, inputs: Mapping[str, np.ndarray], runtime: NumpyRuntime | None = None, kept: Mapping[str, np.ndarray] | None = None) -> NumpyRuntime:
    """Run the plan twice (the arena is dirty the second time) and compare with the oracle; inputs must be untouched."""
    runtime = runtime or NumpyRuntime(plan_of(graph))
    want = oracle(graph, inputs, kept)
    before = {n: np.array(a) for n, a in inputs.items()}
    used = {f.name for f in runtime.plan.inputs}
    for _ in range(2):
        got = runtime.run({n: a for n, a in inputs.items() if n in used})
        for name, a in got.items():
            same(a, want[name], f"{name}\n{runtime.plan}")
        for n, a in inputs.items():
            np.testing.assert_array_equal(a, before[n])
    return runtime


def plan_of(graph: Graph, **more: Any) -> Plan:
    return compile_plan(graph, **{"update": False, **more})


UNARY = ["exp", "tanh", "sin", "cos", "negative", "sqrt", "log", "stop_gradient"]
BINARY = ["add", "subtract", "multiply", "divide", "maximum", "minimum", "less", "equal"]


class Random:
    """Random programs over f64 (and bool, i64) tensors with named and literal sizes."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.m = Make()
        self.pool: list[Value] = [
            self.m.input("x", "n m"),
            self.m.input("y", "n m"),
            self.m.input("z", "m"),
            self.m.input("s"),
            self.m.input("a", "n 3"),
            self.m.input("i", "k", I64),
        ]

    def pick(self, want: Any = lambda v: True) -> Value | None:
        options = [v for v in self.pool if want(v)]
        if self.rng.random() < 0.7:
            options = options[-6:]
        return options[int(self.rng.integers(len(options)))] if options else None

    def grow(self, count: int) -> None:
        from dfg.ir import InferError

        while len(self.pool) < count:
            try:
                v = self._step()
            except InferError:
                continue
            if v is not None and v.rank <= 4 and len(v.type.__str__()) < 40:
                self.pool.append(v)

    def _step(self) -> Value | None:
        f, rng = self.m.f, self.rng
        real = lambda v: v.dtype is F64  # noqa: E731
        kind = int(rng.integers(16))
        x = self.pick(real)
        assert x is not None
        if kind <= 2:
            name = str(rng.choice(UNARY))
            # The sine of a large number is mostly the rounding of that number.
            return f(name, f("tanh", x) if name in ("sin", "cos", "exp") else x)
        if kind <= 5:
            y = self.pick(real)
            name = str(rng.choice(BINARY[:6]))
            # No quotients by zeros: whether a sum of one product keeps the sign of a zero is nobody's promise.
            return f(name, x, f("add", f("multiply", y, y), 0.5) if name == "divide" else y)
        if kind == 6:
            c = f("less", x, self.pick(real))
            return f("where", c, self.pick(real), self.pick(real))
        if kind == 7 and x.rank:
            axis = tuple(sorted(rng.choice(x.rank, int(rng.integers(1, x.rank + 1)), replace=False).tolist()))
            return f("sum", x, axis=axis, keepdims=bool(rng.integers(2)))
        if kind == 8 and x.rank:
            return f("permute_dims", x, tuple(rng.permutation(x.rank).tolist()))
        if kind == 9 and x.rank:
            return f("flip", x, int(rng.integers(x.rank)))
        if kind == 10 and x.rank >= 2:
            k = int(rng.integers(x.rank - 1))
            return f("reshape", x, (*x.shape[:k], x.shape[k] * x.shape[k + 1], *x.shape[k + 2 :]))
        if kind == 11 and x.rank:
            y = self.pick(lambda v: v.dtype is F64 and v.rank == x.rank)
            return f("concat", [x, y], int(rng.integers(x.rank)))
        if kind in (12, 13):
            return self._contract(x)
        if kind == 14 and x.rank:
            return self._index(x)
        if kind == 15:
            return f("power", f("add", f("multiply", x, x), 0.5), float(rng.choice([2, 3, 0.5, 1, -1, 1.5])))
        return None

    def _contract(self, x: Value) -> Value | None:
        y = self.pick(lambda v: v.dtype is F64)
        assert y is not None
        letters = "abcdefgh"
        a = list(letters[: x.rank])
        b, fresh = [], list(letters[x.rank :])
        for d in y.shape:
            match = [c for c, e in zip(a, x.shape, strict=True) if e == d and c not in b]
            b.append(match[int(self.rng.integers(len(match)))] if match and self.rng.random() < 0.8 else fresh.pop(0))
        shared = [c for c in a if c in b]
        summed = [c for c in shared if self.rng.random() < 0.6]
        result = [c for c in dict.fromkeys([*a, *b]) if c not in summed]
        self.rng.shuffle(result)
        return self.m.f("einsum", f"{''.join(a)},{''.join(b)}->{''.join(result)}", x, y)

    def _index(self, x: Value) -> Value | None:
        axis = int(self.rng.integers(x.rank))
        size = x.shape[axis]
        i = self.m.f("arange", size)
        back = OPS["flip"](i, axes=(0,))
        taken = OPS["gather"](x, back, axes=(axis,), batch=0)
        kind = int(self.rng.integers(3))
        if kind == 0:
            return taken
        return OPS["scatter"](x, taken, back, axes=(axis,), batch=0, mode="add" if kind == 1 else "set")

    def finish(self) -> Graph:
        outputs = {f"o{k}": self.pool[-1 - k] for k in range(min(3, len(self.pool)))}
        pick = self.pick()
        assert pick is not None
        outputs["again"] = outputs["o0"]
        outputs["some"] = pick
        return self.m.done(outputs)

    def data(self, n: int, m: int, k: int, layout: int = 0) -> dict[str, np.ndarray]:
        rng = self.rng
        made = {"x": rng.normal(size=(n, m)), "y": rng.normal(size=(n, m)), "z": rng.normal(size=m), "s": np.asarray(rng.normal()), "a": rng.normal(size=(n, 3)), "i": rng.integers(0, 3, k)}
        if layout == 1:
            return {name: np.asfortranarray(a) if a.ndim else a for name, a in made.items()}
        if layout == 2:
            return {name: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a for name, a in made.items()}
        if layout == 3:
            return {name: a[::-1] if a.ndim else a for name, a in made.items()}
        return made


def random_loop(rng: np.random.Generator, m: Make, pool: list[Value], depth: int = 0) -> list[Value]:
    """A scan over rows of `[n, m]` tensors with carries of `[m]`: random bodies that also swap, keep, repeat and view carries, with traces and nesting."""
    rows = [v for v in pool if v.rank == 2 and v.dtype is F64 and v.shape == dims("n m")]
    vectors = [v for v in pool if v.rank == 1 and v.dtype is F64 and v.shape == dims("m")]
    scalars = [v for v in pool if v.rank == 0 and v.dtype is F64]

    def some(options: list[Value], k: int) -> list[Value]:
        return [options[int(rng.integers(len(options)))] for _ in range(k)]

    starts = some(vectors, int(rng.integers(0, 4))) + some(scalars, int(rng.integers(0, 2)))
    xs = some(rows, int(rng.integers(0 if starts else 1, 3)))
    captures = some(vectors, 1) + some(scalars, 1) + some(rows, 1)
    body = Body(m)
    row = TensorType(F64, dims("m"))
    inside = [body.arg(v.type) for v in starts] + [body.arg(row) for _ in xs] + [body.arg(v.type) for v in captures]
    values = list(inside)
    for _ in range(int(rng.integers(1, 12))):
        kind = int(rng.integers(8))
        real = [v for v in values if v.rank <= 1 and (v.rank == 0 or v.shape == dims("m"))]
        x, y = some(real, 2)
        if kind <= 2:
            values.append(body.f(str(rng.choice(["add", "multiply", "maximum"])), x, y))
        elif kind == 3:
            values.append(body.f("tanh", x))
        elif kind == 4 and x.rank:
            values.append(body.f("flip", x, 0))
        elif kind == 5 and x.rank:
            values.append(body.f("sum", x))
        elif kind == 6:
            values.append(body.f("where", body.f("less", x, y), x, y))
        elif kind == 4:
            values.extend(v for v in random_cond(rng, body.inner, values, depth + 1) if v.rank <= 1)
        elif kind == 7 and depth < 2 and rng.random() < 0.5:
            values.extend(v for v in random_loop(rng, body.inner, list(values), depth + 1) if v.rank <= 2)
    carried = []
    for a in starts:
        options = [v for v in values if v.type == a.type]
        carried.append(options[int(rng.integers(len(options)))] if rng.random() < 0.5 else options[-1])
    yields = some([v for v in values if v.rank <= 1], int(rng.integers(0, 3)))
    if not carried and not yields:
        yields = [values[-1]]
    if rng.random() < 0.4 and carried:
        yields.append(carried[0])
    reverse = bool(rng.integers(2))
    flavour = int(rng.integers(4))
    if flavour == 0 and starts and not xs:
        return _random_while(rng, m, body, starts, captures, carried, values)
    if flavour == 1:
        return _random_counted(rng, m, body, [*starts, *xs, *captures], [*carried, *yields], len(starts), len(xs), reverse, values)
    v, mapping = loop(m, body, [*starts, *xs, *captures], [*carried, *yields], len(starts), len(xs), named("n"), reverse)
    return _results(rng, v, values, mapping)


def _results(rng: np.random.Generator, v: Value, values: list[Value], *mappings: dict[int, Value], offsets: tuple[int, ...] = (0,)) -> list[Value]:
    """Some parts and traces of a loop or branch."""
    kept = [
        mapping[w.index].index + offset
        for mapping, offset in zip(mappings, offsets, strict=True)
        for w in values
        if w.index in mapping and w.rank <= 1 and isinstance(w.type, TensorType)
    ]
    picked = [kept[int(rng.integers(len(kept)))] for _ in range(int(rng.integers(0, 3)))] if kept else []
    traces = [v.graph.emit(trace, (v,), (k,)) for k in picked] if v.op is not cond else []
    return [*[part_of(v, k) for k in range(len(v.type.items)) if rng.random() < 0.8], *traces]


def _random_while(
    rng: np.random.Generator, m: Make, body: Body, starts: list[Value], captures: list[Value], carried: list[Value], values: list[Value]
) -> list[Value]:
    test = Body(m)
    inside = [test.arg(v.type) for v in (*starts, *captures)]
    x = inside[int(rng.integers(len(starts)))]
    holds = test.f("less", test.f("sum", x) if x.rank else x, float(rng.normal()) + 1)
    sealed_test, _ = seal(test.graph, test.args, [holds])
    sealed, mapping = seal(body.graph, body.args, carried)
    v = m.graph.emit(while_op, (*starts, *captures), (sealed_test, sealed, int(rng.integers(0, 4)), len(starts)))
    return _results(rng, v, values, mapping)


def _random_counted(
    rng: np.random.Generator, m: Make, body: Body, operands: list[Value], outputs: list[Value], carries: int, xs: int, reverse: bool, values: list[Value]
) -> list[Value]:
    sealed, mapping = seal(body.graph, body.args, outputs)
    count = m.surface.literal(Literal.of(int(rng.integers(0, 5))), I64)
    v = m.graph.emit(counted_scan, (*operands, count), (sealed, named("n"), carries, xs, reverse))
    return _results(rng, v, values, mapping)


def random_cond(rng: np.random.Generator, m: Make, pool: list[Value], depth: int = 0) -> list[Value]:
    """A branch on vectors and scalars."""
    vectors = [v for v in pool if v.rank <= 1 and v.dtype is F64 and v.shape in ((), dims("m"))]
    captures = [vectors[int(rng.integers(len(vectors)))] for _ in range(3)]
    bodies = []
    types = [captures[0].type, captures[1].type]
    for _ in range(2):
        body = Body(m)
        inside = [body.arg(v.type) for v in captures]
        values = list(inside)
        for _ in range(int(rng.integers(0, 5))):
            x, y = (values[int(rng.integers(len(values)))] for _ in range(2))
            values.append(body.f(str(rng.choice(["add", "multiply", "maximum"])), x, y))
            if x.rank and rng.random() < 0.3:
                values.append(body.f("flip", x, 0))
            if depth < 2 and rng.random() < 0.3:
                more = random_cond if rng.random() < 0.5 else random_loop
                if any(v.rank and v.shape == dims("m") for v in values) and (more is random_cond or any(not v.rank for v in values)):
                    try:
                        values.extend(v for v in more(rng, body.inner, values, depth + 1) if v.rank <= 1)
                    except (IndexError, ValueError):
                        pass
        outputs = []
        for t in types:
            options = [v for v in values if v.type == t]
            outputs.append(options[-1] if rng.random() < 0.7 else options[int(rng.integers(len(options)))])
        bodies.append(seal(body.graph, body.args, outputs)[0])
    x = captures[2]
    p = m.f("less", m.f("sum", x) if x.rank else x, 0.0)
    v = m.graph.emit(cond, (p, *captures), tuple(bodies))
    return _results(rng, v, [], {})
