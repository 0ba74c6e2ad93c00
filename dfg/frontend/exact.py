"""Exact text -> graph: what `dfg.text.exact` prints, read back to a graph of the same digest.

Each statement emits one value and nothing else: no promotion, no broadcast, no rewrite, no folding. A written type is compared with the inferred one. Text that
was changed by hand and does not hold together gets diagnostics; a statement that uses a broken one is passed over in silence, so that each error
shows once.

>>> from dfg.diagnostics import Sink
>>> from dfg.source import Source
>>> sink = Sink()
>>> read_exact(Source("a.dfg", "default exact\\ninput x : f64[n]\\nv1 : f64[n] = tanh(x)\\noutput y = v1\\n"), sink)
<Graph of 2 values; outputs y>
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dfg.diagnostics import Diagnostic, Label, Sink, UserError, error
from dfg.diagnostics.codes import nearest
from dfg.dims import DimError, DimLike, names, parse_dim
from dfg.frontend import syntax as s
from dfg.frontend.parser import parse
from dfg.ir import Const, Graph, InferError, Need, Subgraph, Value
from dfg.ops.base import OPS, Attr, Op
from dfg.source import Source
from dfg.text.facts import declare_fact
from dfg.text.words import RESERVED, elements
from dfg.types import DTYPES, DType, TensorType, TupleType, Type, rounds_once

if TYPE_CHECKING:
    from dfg.frontend.lowering.program import Lowered

Loader = Callable[[str], np.ndarray]
WRONG: Final = "bad-exact"
_ANONYMOUS: Final = re.compile(r"v_*(\d+)")
# What an op's `infer` may do with attributes that no emission would give it.
_MALFORMED: Final = (
    ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError, ArithmeticError, StopIteration,
)  # fmt: skip


class _Wrong(Exception):
    """A statement that cannot be read."""

    def __init__(self, diagnostic: Diagnostic | None) -> None:
        super().__init__(str(diagnostic))
        self.diagnostic = diagnostic
        """None where the reason has been reported already."""


def is_exact(tree: s.File) -> bool:
    """Whether a file says that it is exact text."""
    return bool(tree.statements) and isinstance(tree.statements[0], s.Default) and tree.statements[0].dtype.text == "exact"


def read_exact(source: Source, sink: Sink, load: Loader | None = None, tree: s.File | None = None) -> Graph:
    """The graph of exact text, as far as it could be read; what is wrong goes into the sink. `load` gives the array of a `load("FILE:KEY")`
    (otherwise files beside the source are read); `tree` is the parsed source, if there is one."""
    if tree is None:
        before = len(sink.errors)
        tree = parse(source, sink)
        if len(sink.errors) > before:
            return Graph()
    return _Reader(source, sink, load).run(tree)


def lower_exact(file: s.File, sink: Sink, load: Loader | None = None) -> Lowered:
    """Exact text as a lowered program: `load_text` and `dfg check` take it like any other."""
    from dfg.frontend.lowering.program import InputInfo, LeafInfo, Lowered

    graph = read_exact(file.source, sink, load, file)
    made = Lowered(graph, file=file)
    nowhere = file.span
    for v in graph.values:
        if v.op.leaf and v.op.name in ("input", "param", "state"):
            name, span = v.attrs[0], graph.spans.get(v.index, nowhere)
            if v.op.name == "input":
                made.inputs[name] = InputInfo(v.type, graph.roots.initials.get(name), span, "")
            else:
                (made.params if v.op.name == "param" else made.states)[name] = LeafInfo(v.type, span, "")
    sizes = dict.fromkeys(n for v in graph.values if isinstance(v.type, TensorType) for d in v.shape for n in sorted(names(d)))
    made.dims = tuple(sizes)
    return made


class _Scope:
    """One graph being read, and its values by name (None where the statement was wrong)."""

    __slots__ = ("graph", "inputs", "outputs", "values")

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.values: dict[str, Value | None] = {}
        self.inputs: tuple[Value, ...] | None = None
        self.outputs: tuple[Value, ...] = ()


class _Reader:
    def __init__(self, source: Source, sink: Sink, load: Loader | None) -> None:
        self.source = source
        self.sink = sink
        self.load = load or self.load_beside
        self.groups: dict[str, Subgraph | None] = {}
        self.top = _Scope(Graph())
        self.initials: list[tuple[str, s.Node]] = []
        self.types: dict[str, Type] = {}
        self.dims: dict[str, DimLike] = {}

    def run(self, tree: s.File) -> Graph:
        graph = self.top.graph
        if not is_exact(tree):
            self.sink.add(error(WRONG, "exact text begins with `default exact`", tree.span))
            return graph
        for fact in tree.statements:
            if isinstance(fact, s.DimFact):
                self.attempt(self.fact, fact)
        graph.facts.freeze()
        for statement in tree.statements[1:]:
            if not isinstance(statement, s.DimFact):
                self.attempt(self.statement, statement, self.top)
        for name, node in self.initials:
            self.attempt(self.root, "initial", name, node)
        graph.cursor = None
        return graph

    def attempt(self, f: Callable[..., None], *args: Any) -> None:
        try:
            f(*args)
        except _Wrong as w:
            if w.diagnostic is not None:
                self.sink.add(w.diagnostic)

    # --- statements

    def fact(self, node: s.DimFact) -> None:
        left = self.size(node.left)
        right = None if node.right is None else self.size(node.right)
        problem = declare_fact(self.top.graph.facts, left, node.op, right, node.span)
        if problem is not None:
            raise _Wrong(error("dim-contradiction", problem, node.span))

    def statement(self, node: s.Statement, scope: _Scope) -> None:
        if isinstance(node, s.Binding):
            self.binding(node, scope)
        elif scope is self.top and isinstance(node, s.Input | s.Param | s.State):
            self.declaration(node)
        elif scope is self.top and isinstance(node, s.Output | s.Update):
            self.export(node)
        elif scope is self.top and isinstance(node, s.Group):
            self.group(node)
        elif scope is not self.top and isinstance(node, s.Yield):
            scope.outputs = tuple([self.operand(v, scope) for v in node.values])
        else:
            raise self.wrong("this statement does not belong to exact text", node)

    def declaration(self, node: s.Input | s.Param | s.State) -> None:
        kind = type(node).__name__.lower()
        if node.type is None:
            raise self.wrong("a declaration of exact text has a type", node)
        t = self.type(node.type)
        if not isinstance(t, TensorType):
            raise self.wrong("a tensor is declared, not a tuple", node.type)
        for name in node.names if isinstance(node, s.Input) else (node.name,):
            self.bind(name, self.emit(OPS[kind], (), (name.text, t), node, self.top), self.top)
            self.top.graph.names[name.text] = self.top.values[name.text]  # type: ignore[assignment]
            if node.value is not None and not isinstance(node.value, s.NoneLit):
                self.initials.append((name.text, node.value))

    def export(self, node: s.Output | s.Update) -> None:
        kind = "output" if isinstance(node, s.Output) else "update"
        values = node.values if node.values is not None else node.names
        if len(values) != len(node.names):
            raise self.wrong("each name has one value", node)
        for name, value in zip(node.names, values, strict=True):
            self.root(kind, name.text, value)

    def root(self, kind: str, name: str, node: s.Node) -> None:
        roots = self.top.graph.roots
        table = {"output": roots.outputs, "update": roots.updates, "initial": roots.initials}.get(kind)
        if table is None:
            raise self.wrong(f"roots are output, update and initial, not `{kind}`", node)
        if name in table:
            raise self.wrong(f"`{name}` has two values", node, "duplicate-name")
        table[name] = self.operand(node, self.top)

    def group(self, node: s.Group) -> None:
        if node.title is None:
            raise self.wrong("a group has a name, such as `group \"b1\"`", node)
        name = node.title.value
        if name in self.groups:
            raise self.wrong(f"two groups are called `{name}`", node.title, "duplicate-name")
        self.groups[name] = None
        scope = _Scope(Graph(self.top.graph.facts))
        before = len(self.sink.errors)
        for inner in node.body.statements:
            self.attempt(self.statement, inner, scope)
        if len(self.sink.errors) > before:
            return
        scope.graph.cursor = None
        arguments = [v for v in scope.graph.values if v.op.name == "arg"]
        inputs = scope.inputs or tuple(sorted(arguments, key=lambda v: int(v.attrs[0])))
        if len(set(inputs)) != len(arguments) or any(v.op.name != "arg" for v in inputs):
            raise self.wrong("the inputs of a group are its values of op `arg`, each once", node)
        self.groups[name] = Subgraph(scope.graph, inputs, scope.outputs)

    def binding(self, node: s.Binding, scope: _Scope) -> None:
        if len(node.targets) != 1 or len(node.values) != 1:
            raise self.wrong("a statement of exact text binds one value", node)
        target, value = node.targets[0], node.values[0]
        if not isinstance(value, s.Call):
            self.alias(node, target, value, scope)
            return
        function = value.func.text if isinstance(value.func, s.Name) else ""
        if target.text == "_" and node.type is None:
            self.aside(function, value, scope)
            return
        scope.values.setdefault(target.text, None)  # an error below must not make every use of it another one
        made: Value | None = None
        try:
            written = None if node.type is None else self.type(node.type)
            op = self.op(function, value)
            operands, attrs = self.arguments(op, value, written, scope)
            made = self.emit(op, operands, attrs, node, scope)
            if op.name == "constant" and made.rank == 0 and value.args[0].span.text != elements(attrs[0].array):
                scope.graph.literals.setdefault(made.index, value.args[0].span.text)
            if written is not None and made.type != written:
                raise _Wrong(error("exact-type", f"`{op.name}` gives {made.type} here, not {written}", value.span,
                                   labels=[Label(node.type.span if node.type else node.span, "this type is written")]))
        finally:
            self.bind(target, made, scope)
        found = _ANONYMOUS.fullmatch(target.text)
        if found is None or int(found.group(1)) != made.index:
            scope.graph.names[target.text] = made

    def alias(self, node: s.Binding, target: s.Name, value: s.Node, scope: _Scope) -> None:
        if scope.values.get(target.text) is None:
            scope.values[target.text] = None
        if node.type is not None:
            raise self.wrong("the right side of a typed statement is an op, such as `add(v1, v2)`", value)
        made = self.operand(value, scope)
        self.bind(target, made, scope)
        scope.graph.names[target.text] = made

    def aside(self, function: str, node: s.Call, scope: _Scope) -> None:
        """`_ = need(…)`, `_ = inputs(…)`, `_ = root(…)`: what is no value."""
        args = node.args
        if function == "need" and len(args) == 3 and isinstance(args[2], s.Text):
            left, right = self.size(args[0]), self.size(args[1])
            scope.graph.needs.setdefault((left, right), Need(left, right, args[2].value, node.span))
        elif function == "inputs" and scope is not self.top:
            scope.inputs = tuple([self.operand(a, scope) for a in args])
        elif function == "root" and scope is self.top and len(args) == 3 and isinstance(args[0], s.Text) and isinstance(args[1], s.Text):
            self.root(args[0].value, args[1].value, args[2])
        else:
            raise self.wrong("`_` takes `need(size, size, \"why\")`, `inputs(…)` or `root(\"output\", \"name\", value)`", node)

    # --- values

    def bind(self, target: s.Name, value: Value | None, scope: _Scope) -> None:
        if scope.values.get(target.text) is not None:
            raise self.wrong(f"`{target.text}` is bound twice", target, "duplicate-name")
        scope.values[target.text] = value

    def operand(self, node: s.Node, scope: _Scope) -> Value:
        name = dotted(node)
        if name is None:
            raise self.wrong("an operand of exact text is a name", node)
        found = scope.values.get(name)
        if found is None:
            if name in scope.values:
                raise _Wrong(None)
            near = nearest(name, scope.values)
            raise _Wrong(error("unknown-name", f"no value above is called `{name}`", node.span, help=f"did you mean `{near}`?" if near else None))
        return found

    def op(self, name: str, node: s.Call) -> Op:
        plain = unreserved(name)
        op = OPS.get(plain)
        if op is None:
            near = nearest(plain, OPS)
            raise _Wrong(error("unknown-op", f"there is no op `{plain or node.func.span.text}`", node.func.span,
                               help=f"did you mean `{near}`?" if near else None))
        return op

    def arguments(self, op: Op, node: s.Call, written: Type | None, scope: _Scope) -> tuple[tuple[Value, ...], tuple[Any, ...]]:
        given = {unreserved(k.name.text): k.value for k in node.kwargs}
        if len(given) != len(node.kwargs) or node.over:
            raise self.wrong("an argument is given twice", node)
        args: Sequence[s.Node] = node.args
        attrs: list[Any] = []
        for spec in op.attrs:
            if spec.kind == "const":
                if len(args) != 1 or not isinstance(written, TensorType):
                    raise self.wrong("a constant has a type and one value", node)
                attrs.append(self.constant(args[0], written))
                args = ()
            elif spec.kind == "type":
                if not isinstance(written, TensorType):
                    raise self.wrong(f"`{op.name}` has the type that is written", node)
                attrs.append(written)
            elif spec.name in given:
                attrs.append(self.attribute(spec, given.pop(spec.name)))
            else:
                raise self.wrong(f"`{op.name}` needs `{spec.name}=`", node, "missing-argument")
        if given:
            name, extra = next(iter(given.items()))
            raise self.wrong(f"`{op.name}` has no attribute `{name}`", extra, "surplus-argument")
        operands = tuple([self.operand(a, scope) for a in args])
        if op.arity is not None and len(operands) != op.arity:
            raise self.wrong(f"`{op.name}` takes {op.arity} operands, not {len(operands)}", node, "arity")
        return operands, tuple(attrs)

    def emit(self, op: Op, operands: tuple[Value, ...], attrs: tuple[Any, ...], node: s.Node, scope: _Scope) -> Value:
        graph = scope.graph
        graph.cursor = node.span
        before = len(graph.values)
        try:
            made = graph.emit(op, operands, attrs)
        except InferError as e:
            raise _Wrong(error(e.code, e.message, node.span, help=e.help)) from None
        except (DimError, *_MALFORMED) as e:
            raise self.wrong(f"`{op.name}` cannot have these operands and attributes ({type(e).__name__})", node) from None
        if len(graph.values) == before:
            raise self.wrong(f"the same value stands above, in line {self.line(graph, made)}: in exact text each stands once", node)
        return made

    def line(self, graph: Graph, v: Value) -> int:
        span = graph.spans.get(v.index)
        return span.source.position(span.start)[0] if span is not None else 0

    # --- types, sizes, attributes

    def type(self, node: s.TypeExpr) -> Type:
        text = self.source.text[node.start : node.stop]
        found = self.types.get(text)
        if found is None:
            if isinstance(node, s.TensorType):
                found = self.tensor(node)
            else:
                items = []
                for item in node.items:
                    if not isinstance(item, s.TensorType):
                        raise self.wrong("a tuple holds tensors", item)
                    items.append(self.tensor(item))
                found = TupleType(items)
            self.types[text] = found
        return found

    def tensor(self, node: s.TensorType) -> TensorType:
        return TensorType(self.dtype(node.dtype), tuple([self.extent(d) for d in node.dims]))

    def dtype(self, node: s.Node) -> DType:
        found = DTYPES.get(node.text) if isinstance(node, s.Name) else None
        if found is None:
            raise self.wrong(f"a dtype is one of {', '.join(DTYPES)}", node, "unknown-dtype")
        return found

    def extent(self, node: s.Node) -> DimLike:
        d = self.size(node)
        if isinstance(d, int) and d < 0:
            raise self.wrong("a size is never negative", node)
        return d

    def size(self, node: s.Node) -> DimLike:
        text = self.source.text[node.start : node.stop]
        found = self.dims.get(text)
        if found is None:
            try:
                found = self.dims[text] = parse_dim(text)
            except (DimError, ArithmeticError, ValueError, RecursionError):
                raise self.wrong("this is no size: sizes are integers, names, + - * // %, min and max", node) from None
        return found

    def attribute(self, spec: Attr, node: s.Node) -> Any:
        if isinstance(node, s.NoneLit):
            return None
        kind = spec.kind
        if isinstance(node, s.ListExpr) and kind in ("int", "float", "bool", "text", "dim"):
            return tuple([self.attribute(spec, x) for x in node.items])  # one for each axis, operand or step
        if kind in ("shape", "per_axis"):
            read = self.extent if kind == "shape" else self.size
            return tuple([read(x) for x in self.items(node)])
        if kind in ("axes", "perm", "dims"):
            return tuple([self.integer(x) for x in self.items(node)])
        if kind in ("axis", "int", "batch"):
            return self.integer(node)
        if kind == "dim":
            return self.size(node)
        if kind == "bool" and isinstance(node, s.Bool):
            return node.value
        if kind == "float":
            value = self.element(node, np.dtype(np.float64))
            return float(value[0])
        if kind == "dtype":
            return self.dtype(node)
        if kind == "text" and isinstance(node, s.Text):
            return node.value
        if kind == "body" and isinstance(node, s.Text):
            if node.value not in self.groups:
                raise self.wrong(f"no group above is called `{node.value}`", node, "unknown-name")
            body = self.groups[node.value]
            if body is None:
                raise _Wrong(None)
            return body
        raise self.wrong(f"`{spec.name}` is not of this kind", node)

    def items(self, node: s.Node) -> tuple[s.Expr, ...]:
        if not isinstance(node, s.ListExpr):
            raise self.wrong("this attribute is a list", node)
        return node.items

    def integer(self, node: s.Node) -> int:
        d = self.size(node)
        if not isinstance(d, int):
            raise self.wrong("this is not an integer", node)
        return d

    # --- constants

    def constant(self, node: s.Node, t: TensorType) -> Const:
        if not all(isinstance(d, int) for d in t.shape):
            raise self.wrong("the shape of a constant is known", node)
        shape = tuple([d for d in t.shape if isinstance(d, int)])
        if isinstance(node, s.Call) and isinstance(node.func, s.Name) and node.func.text == "load":
            array = self.loaded(node)
            if array.shape != shape or array.dtype != t.dtype.np:
                raise self.wrong(f"the file holds {array.dtype.name} of shape {list(array.shape)}, not {t}", node)
            return Const(array)
        cells: list[s.Node] = [node]
        if 0 in shape:
            if not isinstance(node, s.ListExpr) or node.items:
                raise self.wrong(f"a constant of {t} has no elements: it is `[]`", node)
            cells = []
        else:
            for size in shape:
                below: list[s.Node] = []
                for cell in cells:
                    if not isinstance(cell, s.ListExpr) or len(cell.items) != size:
                        raise self.wrong(f"this does not have the shape of {t}", cell)
                    below.extend(cell.items)
                cells = below
        dtype = t.dtype.np
        made = np.empty(len(cells), dtype)
        for k, cell in enumerate(cells):
            made[k : k + 1] = self.element(cell, dtype)
        return Const(made.reshape(shape))

    def element(self, node: s.Node, dtype: np.dtype) -> np.ndarray:
        """One number as an array of one element (bits of a NaN survive in an array, not in a scalar's conversion)."""
        try:
            if dtype.kind == "b":
                if isinstance(node, s.Bool):
                    return np.array([node.value])
                raise self.wrong("this is not true or false", node)
            if isinstance(node, s.Call) and isinstance(node.func, s.Name) and node.func.text == "bits" and len(node.args) == 2:
                given = self.dtype(node.args[0]).np
                if given != dtype or dtype.kind != "f":
                    raise self.wrong(f"these bits are not of {dtype.name}", node)
                return np.array([self.integer_literal(node.args[1])], f"u{dtype.itemsize}").view(dtype)
            negative = isinstance(node, s.Unary) and node.op == "-"
            inner = node.operand if isinstance(node, s.Unary) and negative else node
            value: int | float
            if isinstance(inner, s.Number):
                value = inner.value
            elif isinstance(inner, s.Name) and inner.text in ("inf", "nan"):
                value = float(inner.text)
            else:
                raise self.wrong("this is no number", node)
            if dtype.kind in "iu" and isinstance(value, float):
                raise self.wrong(f"this is no integer, and the constant is of {dtype.name}", node)
            if dtype.kind in "iu":
                return np.array([-value if negative else value], dtype)
            with np.errstate(over="ignore"):
                wide = np.array([float(value) if dtype.itemsize == 8 else rounds_once(getattr(inner, "text", ""), float(value))], np.float64)
                return (np.negative(wide) if negative else wide).astype(dtype)
        except (OverflowError, ValueError):
            raise self.wrong(f"this number does not fit in {dtype.name}", node, "literal-overflow") from None

    def integer_literal(self, node: s.Node) -> int:
        if isinstance(node, s.Number) and isinstance(node.value, int):
            return node.value
        raise self.wrong("bits are an integer such as 0x7fc00001", node)

    def loaded(self, node: s.Call) -> np.ndarray:
        if len(node.args) != 1 or node.kwargs or not isinstance(node.args[0], s.Text):
            raise self.wrong('an array of a file is `load("constants.npz:c0")`', node)
        where = node.args[0].value
        try:
            return np.asarray(self.load(where))
        except UserError as e:
            raise _Wrong(replace(e.diagnostics[0], span=node.span)) from None
        except (OSError, KeyError, ValueError) as e:
            reason = "there is no such file" if isinstance(e, FileNotFoundError) else "there is no such key" if isinstance(e, KeyError) else str(e)
            code = "no-such-file" if isinstance(e, FileNotFoundError) else "unreadable-file"
            raise _Wrong(error(code, f"cannot load `{where}`: {reason}", node.span)) from None

    def load_beside(self, where: str) -> np.ndarray:
        """An array of an .npz file in the folder tree of the source; nothing else is opened, and nothing in it is run."""
        file, colon, key = where.rpartition(":")
        folder = Path(self.source.name).resolve().parent
        path = (folder / file).resolve()
        if not colon or not path.is_relative_to(folder) or path.suffix != ".npz":
            raise ValueError("it is not FILE.npz:KEY in the folder of this text")
        with np.load(path, allow_pickle=False) as archive:
            return np.asarray(archive[key])

    def wrong(self, message: str, node: s.Node, code: str = WRONG) -> _Wrong:
        return _Wrong(error(code, message, node.span))


def unreserved(name: str) -> str:
    """The name of an op or attribute that was printed with `_` behind it because it is a word of the grammar."""
    return name[:-1] if name.endswith("_") and name[:-1] in RESERVED else name


def dotted(node: s.Node) -> str | None:
    """The text of a name, dotted or not; None if the node is none."""
    parts: list[str] = []
    while isinstance(node, s.Attribute):
        parts.append(node.name.text)
        node = node.base
    if not isinstance(node, s.Name):
        return None
    return ".".join([node.text, *reversed(parts)]) if parts else node.text


