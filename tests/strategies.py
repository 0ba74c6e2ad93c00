"""Random well-typed graphs, for tests of anything that takes a graph: `graphs()`, with arrays to feed them from `feed`.

A graph is grown step by step with the surface functions that programs call (so promotion, broadcasting and literals occur as in programs), and with a few strict ops
that have no function. Sizes are symbolic (`n`, `m`, sums and products of them) or literal, 0 and 1 among them; dtypes are all there are; bodies of
loops are grown by the same steps. A step that the types refuse is skipped: what comes out is always a valid graph.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

import dfg.ops.functions  # noqa: F401 - fills the table of functions
from dfg.codegen.interpret import interpret
from dfg.dims import DimLike, evaluate, named
from dfg.ir import Graph, InferError, Value, seal
from dfg.ops.base import OPS, full, make_constant, project
from dfg.ops.calculus import emit_grad, emit_vjp
from dfg.ops.leaf import make_pin
from dfg.ops.surface import Literal, Surface, call
from dfg.types import ANY, BOOL, F32, F64, I32, I64, U8, DType, TensorType

N, M = named("n"), named("m")
SIZES: list[DimLike] = [N, M, 2, 3, 1, 4]
SPECIAL = [0.0, -0.0, 1.0, -1.0, float("inf"), float("-inf"), float("nan"), 0.5, 1e-310, 3e38]
UNARY = ["exp", "log", "sqrt", "tanh", "sin", "cos", "negative"]
BINARY = ["add", "subtract", "multiply", "divide", "floor_divide", "remainder", "maximum", "minimum", "power"]
COMPARE = ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]


class Grower:
    """One graph being grown; `pool` holds the tensors that later steps may use."""

    def __init__(self, rng: random.Random, default_float: DType, graph: Graph | None = None) -> None:
        self.rng = rng
        self.graph = Graph() if graph is None else graph
        self.cx = Surface(self.graph, default_float)
        self.pool: list[Value] = []

    def pick(self, *, where: Callable[[Value], bool] = lambda v: True) -> Value:
        options = [v for v in self.pool if where(v)]
        if not options:
            raise InferError("arity", "nothing of this kind is there yet")
        return options[-1 - self.rng.randint(0, min(len(options), 8) - 1)]

    def literal(self) -> Literal:
        text = self.rng.choice(["2", "0.5", "1", "3", "1e-3", "0", "-1", "7.25", "100", "0.1"])
        return Literal("float", float(text), text) if any(c in text for c in ".e") else Literal("int", int(text), text)

    def operand(self) -> Any:
        return self.literal() if self.rng.randint(0, 4) == 0 else self.pick()

    def one_of(self, options: list[Any]) -> Any:
        return self.rng.choice(options)

    def axis(self, v: Value) -> int:
        if v.rank == 0:
            raise InferError("rank-mismatch", "a scalar")
        return int(self.rng.randint(0, v.rank - 1))

    def axes(self, v: Value) -> list[int]:
        return sorted(self.rng.sample(range(v.rank), self.rng.randint(1, v.rank))) if v.rank else []

    def step(self) -> None:
        kinds = [self.unary, self.binary, self.binary, self.binary, self.compare, self.choose, self.reduce, self.shape, self.window, self.product,
                 self.cast, self.create, self.index, self.join, self.norm]
        try:
            made = self.one_of(kinds)()
        except InferError:
            return
        for v in made if isinstance(made, tuple | list) else [made]:
            if isinstance(v, Value) and isinstance(v.type, TensorType):
                self.pool.append(v)

    def f(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return call(self.cx, name, args, kwargs)

    def unary(self) -> Any:
        return self.f(self.one_of(UNARY), self.pick())

    def binary(self) -> Any:
        return self.f(self.one_of(BINARY), self.operand(), self.operand())

    def compare(self) -> Any:
        return self.f(self.one_of(COMPARE), self.operand(), self.operand())

    def choose(self) -> Any:
        truth = self.pick(where=lambda v: v.dtype is BOOL)
        kind = self.one_of(["where", "logical_and", "logical_not", "logical_or", "any", "all"])
        if kind == "where":
            return self.f("where", truth, self.operand(), self.operand())
        if kind == "logical_not":
            return self.f(kind, truth)
        if kind in ("any", "all"):
            return self.f(kind, truth, axis=self.axes(truth), keepdims=(self.rng.random() < 0.5))
        return self.f(kind, truth, self.pick(where=lambda v: v.dtype is BOOL))

    def reduce(self) -> Any:
        v = self.pick()
        name = self.one_of(["sum", "mean", "max", "min", "argmax", "argmin", "sum"])
        keepdims = (self.rng.random() < 0.5)
        if name.startswith("arg"):
            return self.f(name, v, axis=self.axis(v), keepdims=keepdims)
        return self.f(name, v, axis=self.one_of([None, self.axes(v)]), keepdims=keepdims)

    def shape(self) -> Any:
        v = self.pick()
        kind = self.one_of(["permute", "flatten", "expand", "squeeze", "broadcast", "flip", "broadcast_op", "stop"])
        if kind == "permute":
            return self.f("permute_dims", v, axes=tuple(self.rng.sample(range(v.rank), v.rank)))
        if kind == "flatten":
            return self.f("reshape", v, (-1,))
        if kind == "expand":
            return self.f("expand_dims", v, self.rng.randint(0, v.rank))
        if kind == "squeeze":
            return self.f("squeeze", v)
        if kind == "broadcast":
            return self.f("broadcast_to", v, (self.one_of(SIZES), *v.shape))
        if kind == "broadcast_op":
            at = self.rng.randint(0, v.rank)
            shape = (*v.shape[:at], self.one_of([*SIZES, 0]), *v.shape[at:])
            return OPS["broadcast"](v, shape=shape, dims=tuple(k for k in range(v.rank + 1) if k != at))
        if kind == "stop":
            return self.f("stop_gradient", v)
        return self.f("flip", v, axis=self.axes(v))

    def window(self) -> Any:
        v = self.pick(where=lambda v: v.rank > 0)
        axis = self.axis(v)
        size = v.shape[axis]
        cut = self.one_of([("low", 1, 0, 1), ("high", 0, 1, 1), ("all", 0, 0, 1), ("step", 0, 0, 2), ("one", 0, 0, 1)])
        if cut[0] == "one":
            start, n, stride = 0, 1, 1
        elif cut[0] == "step":
            start, n, stride = 0, (size + 1) // 2, 2
        else:
            start, n, stride = cut[1], size - cut[1] - cut[2], 1
        if isinstance(n, int) and n < 0:
            raise InferError("out-of-bounds", "too short")
        starts = tuple(start if k == axis else 0 for k in range(v.rank))
        strides = tuple(stride if k == axis else 1 for k in range(v.rank))
        sizes = tuple(n if k == axis else d for k, d in enumerate(v.shape))
        if (self.rng.random() < 0.5):
            made = OPS["slice"](v, starts=starts, sizes=sizes, strides=strides)
            return self.f("squeeze", made, axis=axis) if cut[0] == "one" else made
        patch = make_constant(self.graph, 1, v.dtype)
        patch = OPS["broadcast"](patch, shape=sizes, dims=())
        return OPS["update"](v, patch, starts=starts, strides=strides)

    def product(self) -> Any:
        a = self.pick(where=lambda v: v.rank > 0 and v.dtype is not BOOL)
        kind = self.one_of(["matmul", "outer", "inner", "gram"])
        if kind == "matmul":
            return self.f("matmul", a, self.pick(where=lambda v: v.rank > 0))
        letters = "abcdef"[: a.rank]
        if kind == "outer":
            b = self.pick(where=lambda v: v.dtype is not BOOL and v.rank <= 2)
            other = "uvw"[: b.rank]
            return self.f("einsum", f"{letters},{other}->{letters[::-1]}{other}", a, b)
        if kind == "inner":
            return self.f("einsum", f"{letters},{letters}->{letters[:1]}", a, a)
        last = letters[:-1] + "z"
        return self.f("einsum", f"{letters},{last}->{letters}z", a, a)

    def cast(self) -> Any:
        return self.f("astype", self.pick(), self.one_of(list(ANY)))

    def create(self) -> Any:
        kind = self.one_of(["arange", "zeros", "full", "array", "draw", "dim", "special"])
        if kind == "arange":
            return self.f("arange", self.one_of([N, 3, M + 1]))
        if kind == "zeros":
            return self.f(self.one_of(["zeros", "ones"]), (self.one_of(SIZES), 2), dtype=self.one_of([None, *ANY]))
        if kind == "full":
            return self.f("full", (self.one_of(SIZES),), self.literal())
        if kind == "array":
            return make_constant(self.graph, [self.rng.randint(0, 200) for _ in range(self.rng.randint(0, 4))], self.one_of(list(ANY)))
        if kind == "draw":
            return self.f(self.one_of(["normal", "uniform"]), (self.one_of(SIZES),), seed=[Literal("int", 3), Literal("int", 1)])
        if kind == "dim":
            return self.graph.emit(OPS["dim"], (), (self.one_of([N, M * N, N // 2 + 1]),))
        d = self.one_of([F32, F64, I64, I32, U8, BOOL])
        bits = bytes(self.rng.randrange(256) for _ in range(d.size))
        array = np.frombuffer(bits, np.uint8).copy().view(d.np) if d is not BOOL else np.array([bits[0] % 2 == 1])
        return make_constant(self.graph, self.one_of([array, array[0]]), d)

    def index(self) -> Any:
        v = self.pick(where=lambda v: v.rank > 0)
        axis = self.axis(v)
        size = v.shape[axis]
        if size == 0:
            raise InferError("out-of-bounds", "empty")
        places = self.f("remainder", self.pick(where=lambda i: i.dtype is I64 and i.rank <= 2), self.size_value(size))
        if (self.rng.random() < 0.5):
            return OPS["gather"](v, places, axes=(axis,), batch=0)
        rest = tuple(d for k, d in enumerate(v.shape) if k != axis)
        patch = OPS["broadcast"](make_constant(self.graph, 1, v.dtype), shape=(*places.shape, *rest), dims=()) if places.shape or rest else (
            make_constant(self.graph, 1, v.dtype))
        return OPS["scatter"](v, patch, places, axes=(axis,), batch=0, mode=self.one_of(["set", "add"]))

    def size_value(self, d: DimLike) -> Value:
        return make_constant(self.graph, d, I64) if isinstance(d, int) else self.graph.emit(OPS["dim"], (), (d,))

    def join(self) -> Any:
        v = self.pick()
        if (self.rng.random() < 0.5):
            return self.f("stack", [v, self.pick(where=lambda w: w.shape == v.shape)], axis=self.rng.randint(0, v.rank))
        return self.f("concat", [v, self.pick(where=lambda w: w.rank == v.rank)], axis=self.axis(v))

    def norm(self) -> Any:
        """A reduction with kept axes used by what it came from: as in normalising."""
        v = self.pick(where=lambda v: v.rank > 0 and v.dtype.floating)
        return self.f("subtract", v, self.f(self.one_of(["mean", "max", "sum"]), v, axis=self.axis(v), keepdims=True))

    def loop(self, depth: int = 1) -> None:
        """A scan: a carry, a tensor gone through, a capture; the body is grown by the same steps."""
        try:
            start = self.pick(where=lambda v: v.rank <= 2)
            x = self.pick(where=lambda v: v.rank > 0)
            capture = self.pick(where=lambda v: v.rank <= 2)
        except InferError:
            return
        body = Grower(self.rng, self.cx.default_float, Graph(self.graph.facts))
        types = [start.type, x.type.with_shape(x.shape[1:]), capture.type]
        arguments = [body.graph.emit(OPS["arg"], (), (k, t)) for k, t in enumerate(types)]
        body.pool = list(arguments)
        for _ in range(self.rng.randint(1, 5)):
            body.step()
        if depth and self.rng.randint(0, 3) == 0:
            body.loop(depth - 1)
        carried = [v for v in body.pool if v.type == start.type]
        out = [carried[-1 - self.rng.randint(0, min(len(carried), 3) - 1)], *body.pool[-self.rng.randint(1, 2) :]]
        for k, v in enumerate(body.pool):
            if self.rng.randint(0, 3) == 0:
                body.graph.names.setdefault(f"t{k}", v)
        sealed, _ = seal(body.graph, arguments, out)
        made = self.graph.emit(OPS["scan"], (start, x, capture), (sealed, x.shape[0], 1, 1, (self.rng.random() < 0.5)))
        self.pool.extend(project(made))
        if (self.rng.random() < 0.5):
            at = self.rng.randint(0, len(sealed.graph) - 1)
            if isinstance(sealed.graph.values[at].type, TensorType):
                self.pool.append(self.graph.emit(OPS["trace"], (made,), (at,)))


    def grown(self, types: list[Any], steps: int) -> tuple[Grower, list[Value]]:
        """A body with arguments of these types, grown by some steps."""
        body = Grower(self.rng, self.cx.default_float, Graph(self.graph.facts))
        arguments = [body.graph.emit(OPS["arg"], (), (k, t)) for k, t in enumerate(types)]
        body.pool = list(arguments)
        for _ in range(steps):
            body.step()
        return body, arguments

    def branch(self) -> None:
        """A `cond`: two bodies of the same captures with results of the same types."""
        try:
            test = self.f("any", self.pick(where=lambda v: v.dtype is BOOL))
            taken = [self.pick(), self.pick()]
        except InferError:
            return
        sides = [self.grown([v.type for v in taken], self.rng.randint(0, 4)) for _ in range(2)]
        wanted = [v.type for v in sides[0][0].pool[-self.rng.randint(1, 2) :]]
        bodies = []
        for body, arguments in sides:
            out = [next((v for v in reversed(body.pool) if v.type == t), None) for t in wanted]
            bodies.append(seal(body.graph, arguments, [full(body.graph, 1, t) if v is None else v for v, t in zip(out, wanted, strict=True)])[0])
        made = self.graph.emit(OPS["cond"], (test, *taken), tuple(bodies))
        self.pool.extend(project(made))

    def repeat(self) -> None:
        """A `while` of at most three steps."""
        try:
            start, taken = self.pick(where=lambda v: v.dtype is not BOOL), self.pick()
        except InferError:
            return
        head, arguments = self.grown([start.type, taken.type], 0)
        total = head.f("sum", head.f("astype", arguments[0], F64)) if start.rank else head.f("astype", arguments[0], F64)
        test, _ = seal(head.graph, arguments, [head.f("less", total, Literal("int", 30))])
        body, arguments = self.grown([start.type, taken.type], self.rng.randint(1, 4))
        out, _ = seal(body.graph, arguments, [next(v for v in reversed(body.pool) if v.type == start.type)])
        made = self.graph.emit(OPS["while"], (start, taken), (test, out, 3, 1))
        self.pool.extend(project(made))
        at = self.rng.randint(0, len(out.graph) - 1)
        if self.rng.random() < 0.3 and isinstance(out.graph.values[at].type, TensorType):
            self.pool.append(self.graph.emit(OPS["trace"], (made,), (at,)))


def graphs(**options: Any) -> st.SearchStrategy[Graph]:
    """Graphs as `grow` makes them, for Hypothesis."""
    return st.randoms(use_true_random=False).map(lambda rng: grow(rng, **options))


def grow(rng: random.Random, *, loops: bool = True, calculus: bool = False, steps: int = 16, default_float: DType = F64) -> Graph:
    """A well-typed graph with inputs, a parameter and a state, names, outputs and updates; with `calculus`, unexpanded derivatives by pins."""
    g = Grower(rng, default_float)
    for name, t in [
        ("x", TensorType(rng.choice([F64, F32]), (N, 3))),
        ("y", TensorType(rng.choice(list(ANY)), tuple(rng.choices(SIZES, k=rng.randint(0, 3))))),
        ("k", TensorType(I64, (M,))),
    ]:
        g.pool.append(g.graph.emit(OPS["input"], (), (name, t)))
        g.graph.names[name] = g.pool[-1]
    half = make_constant(g.graph, 0.5, F64)
    for kind, name in (("param", "w"), ("state", "s")):
        leaf = g.graph.emit(OPS[kind], (), (name, TensorType(F64)))
        g.pool.append(leaf)
        g.graph.names[name] = leaf
        g.graph.roots.initials[name] = half
    for k in range(rng.randint(2, steps)):
        if loops and rng.randint(0, 9) == 0:
            rng.choice([g.loop, g.branch, g.repeat])()
        elif calculus and rng.randint(0, 9) == 0:
            _differentiate(g)
        else:
            g.step()
        if rng.randint(0, 3) == 0:
            name = rng.choice([f"a{k}", f"f.t{k}", f"v{k}", f"t{k}", f"θ{k}", rng.choice(["sum", "where", "exp", "zeros", "f64"])])
            g.graph.names.setdefault(name, g.pool[-1])
    for k in range(rng.randint(1, 3)):
        out = g.pool[-1 - rng.randint(0, min(len(g.pool), 6) - 1)]
        g.graph.roots.outputs[f"out{k}"] = out
    g.graph.roots.outputs["last"] = g.pool[-1]
    scalars = [v for v in g.pool if v.type == TensorType(F64)]
    g.graph.roots.updates["s"] = scalars[-1]
    return g.graph


def _differentiate(g: Grower) -> None:
    targets = [v for v in g.pool if v.dtype.floating]
    if not targets:
        return
    target = make_pin(targets[-1 - g.rng.randint(0, min(len(targets), 4) - 1)])
    g.pool.append(target)
    for _ in range(g.rng.randint(1, 3)):
        g.step()
    try:
        loss = g.pick(where=lambda v: v.dtype.floating)
        if g.rng.random() < 0.5:
            g.pool.extend(emit_grad(g.f("sum", loss), [target]))
        else:
            g.pool.extend(emit_vjp(loss, loss, [target]))
    except InferError:
        return


def feed(graph: Graph, seed: int = 0, special: bool = True, sizes: dict[str, int] | None = None) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Arrays for the leaves of a graph by name (special values among them), and sizes for its dims."""
    rng = np.random.default_rng(seed)
    known = {"n": int(rng.integers(2, 5)), "m": int(rng.integers(2, 5))} if sizes is None else sizes
    arrays: dict[str, np.ndarray] = {}
    for v in graph.values:
        if v.op.leaf and v.op.name in ("input", "param", "state"):
            shape = tuple(evaluate(d, known) for d in v.shape)
            if v.dtype.kind == "float":
                a = rng.normal(size=shape) * 2
                if special and rng.random() < 0.5:
                    a = np.where(rng.random(shape) < 0.15, rng.choice(SPECIAL, shape), a)
            elif v.dtype is BOOL:
                a = rng.random(shape) < 0.5
            else:
                a = rng.integers(0, 9, shape)
            with np.errstate(all="ignore"):
                arrays[v.attrs[0]] = np.asarray(a).astype(v.dtype.np)
    return arrays, known


def outcome(graph: Graph, arrays: dict[str, np.ndarray], sizes: dict[str, int]) -> dict[str, np.ndarray] | str:
    """The outputs and updates of a graph by the oracle, or the name of the error that the run ends with."""
    if any(v.op.calculus for v in graph.values):
        from dfg.passes.differentiate import Differentiate

        graph = Differentiate().run(graph)
    env = {v.index: arrays[v.attrs[0]] for v in graph.values if v.op.leaf and v.op.name in ("input", "param", "state")}
    roots = {**graph.roots.outputs, **{f"update {k}": v for k, v in graph.roots.updates.items()}}
    for need in graph.needs.values():
        if evaluate(need.left, sizes) < evaluate(need.right, sizes):
            return "a needed inequality does not hold"
    with np.errstate(all="ignore"):
        try:
            values = interpret(list(roots.values()), env, sizes)
        except (IndexError, ValueError, np.linalg.LinAlgError) as e:
            return type(e).__name__
    return dict(zip(roots, [np.asarray(v) for v in values], strict=True))


def agree(a: dict[str, np.ndarray] | str, b: dict[str, np.ndarray] | str, tolerance: float = 0.0) -> bool:
    """Whether two outcomes are equal: dtypes, shapes, and values with NaN equal to NaN and -0.0 different from 0.0. With a tolerance floats may differ by so
    much of the largest (NumPy adds in another order where memory lies otherwise), and zeros have one sign."""
    if isinstance(a, str) or isinstance(b, str):
        return isinstance(a, str) and isinstance(b, str)
    return a.keys() == b.keys() and all(_same(a[k], b[k], tolerance) for k in a)


def _same(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind != "f":
        return np.array_equal(a, b)
    if not tolerance:
        return np.array_equal(a, b, equal_nan=True) and np.array_equal(np.signbit(a)[~np.isnan(a)], np.signbit(b)[~np.isnan(b)])
    finite = np.abs(a[np.isfinite(a)])
    scale = float(finite.max()) if finite.size else 1.0
    return np.allclose(a, b, rtol=tolerance, atol=tolerance * max(scale, 1e-30), equal_nan=True)


__all__ = ["Grower", "agree", "feed", "graphs", "grow", "outcome"]
