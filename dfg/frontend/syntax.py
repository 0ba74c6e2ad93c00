"""The syntax tree of a `.dfg` file: what the parser builds and lowering reads.

Nodes are plain slotted records, never changed once built. A node keeps its source and two offsets instead of a `Span` (a file has
hundreds of thousands of them); `node.span` makes the span. Nodes compare by identity and print in one line, so that neither
recurses; `same` compares two trees, `walk` visits one, `children` gives the nodes directly below, and none of them recurses: a tree
may be a hundred thousand levels deep (`x0 + x1 + ...` leans to the left).

Conventions: a sequence of nodes is a tuple; a name that is bound or declared is a `Name` whose text may be dotted (`fc.w`), while a dotted
name that is *read* is an `Attribute` over a `Name`; `at` is the offset of an operator. Parentheses leave no node; they widen nothing, so a
node's span never includes parentheses around it. `inf`, `nan` and `pi` are `Name`s (a program may hide them).

>>> from dfg.source import Source
>>> s = Source("a.dfg", "a + b")
>>> sum_ = Binary(s, 0, 5, "+", Name(s, 0, 1, "a"), Name(s, 4, 5, "b"), 2)
>>> sum_, [node.span.text for node in children(sum_)]
(<Binary 'a + b' at a.dfg:1:1>, ['a', 'b'])
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias, dataclass_transform

from dfg.source import Source, Span


@dataclass_transform(eq_default=False)
class _NodeType(type):
    """Makes slots and `__init__` from a class's annotations: what `dataclass(slots=True)` does, at a tenth of its import time."""

    fields: tuple[str, ...]

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _NodeType:
        own = tuple(namespace.get("__annotations__", {}))
        defaults = {field: namespace.pop(field) for field in own if field in namespace}
        namespace["__slots__"] = own
        cls = super().__new__(mcs, name, bases, namespace)
        parent = bases[0] if bases else None
        inherited: tuple[str, ...] = getattr(parent, "fields", ())
        cls.fields = inherited + own
        known: dict[str, Any] = {**getattr(parent, "_defaults", {}), **defaults}
        cls._defaults = known  # type: ignore[attr-defined]
        required = [field for field in cls.fields if field not in known]
        optional = [field for field in cls.fields if field in known]
        head = ", ".join(["self", *required, *(f"{field}=_defaults[{field!r}]" for field in optional)])
        body = "\n".join(f"    self.{field} = {field}" for field in cls.fields)
        scope: dict[str, Any] = {"_defaults": known}
        exec(f"def __init__({head}):\n{body}\n", scope)  # built from field names of this module only
        cls.__init__ = scope["__init__"]  # type: ignore[misc]
        return cls


class Node(metaclass=_NodeType):
    """Anything with a place in the text."""

    source: Source
    start: int
    stop: int

    @property
    def span(self) -> Span:
        return Span(self.source, self.start, self.stop)

    def __repr__(self) -> str:
        text = " ".join(self.source.text[self.start : min(self.stop, self.start + 60)].split())
        return f"<{type(self).__name__} {text!r} at {self.span!r}>"


class Comment(Node):
    """A `#` comment. `text` is what stands after the `#`; `own_line` says that nothing stands before it on its line."""

    text: str
    own_line: bool


# Expressions


class Name(Node):
    """A name; where it is bound or declared `text` may be dotted. Unicode is in normal form NFKC, as in Python."""

    text: str


class Number(Node):
    """A number. `text` is as written; `kind` is "integer" or "float"."""

    text: str
    kind: str
    value: int | float


class Text(Node):
    value: str


class Bool(Node):
    value: bool


class NoneLit(Node):
    """`none`."""


class Unary(Node):
    """`+x`, `-x`, `not x`: `op` is "+", "-" or "not"."""

    op: str
    operand: Expr


class Binary(Node):
    """`op` is one of `+ - * / // % @ ** & |`."""

    op: str
    left: Expr
    right: Expr
    at: int


class Compare(Node):
    """`op` is one of `< <= > >= == !=`; comparisons do not chain."""

    op: str
    left: Expr
    right: Expr
    at: int


class Logical(Node):
    """`op` is "and" or "or"."""

    op: str
    left: Expr
    right: Expr
    at: int


class Kwarg(Node):
    """`axis=0` in a call. Also a field of a record."""

    name: Name
    value: Expr


class Call(Node):
    """`func(args, kwargs)`; `over` holds the indices of `sum(j, k: A[j, k])`, whose summand is then the only positional argument."""

    func: Expr
    args: tuple[Expr, ...]
    kwargs: tuple[Kwarg, ...] = ()
    over: tuple[Name, ...] = ()


class Slice(Node):
    """`lower:upper:step` inside an index."""

    lower: Expr | None
    upper: Expr | None
    step: Expr | None


class Dots(Node):
    """`...` inside an index."""


class NewAxis(Node):
    """`newaxis` inside an index."""


class Index(Node):
    base: Expr
    indices: tuple[IndexItem, ...]


class Attribute(Node):
    """`base.name`: a leaf of a record, a name of a module, or `.T`, `.shape` ...; `name` is one plain name."""

    base: Expr
    name: Name


class TupleExpr(Node):
    """`(a, b)` and `(a,)`."""

    items: tuple[Expr, ...]


class RecordExpr(Node):
    """`(w = ..., b = ...)`."""

    fields_: tuple[Kwarg, ...]


class ListExpr(Node):
    """`[a, b]`, possibly empty."""

    items: tuple[Expr, ...]


class Range(Node):
    """`lower..upper` (upper excluded); with `upper` None the one expression that stood there (`for i in n`)."""

    lower: Expr
    upper: Expr | None


class Build(Node):
    """`[element for name in range]`."""

    element: Expr
    name: Name
    range: Range


class With(Node):
    """`base with [indices] = value`; `op` is "=" or "+="."""

    base: Expr
    indices: tuple[IndexItem, ...]
    op: str
    value: Expr


class Carry(Node):
    name: Name
    type: TypeExpr | None
    value: Expr


class Scan(Node):
    """`scan names in values carry carries { body }`."""

    names: tuple[Name, ...]
    values: tuple[Expr, ...]
    carries: tuple[Carry, ...]
    body: Block


class While(Node):
    test: Expr
    limit: Expr
    carries: tuple[Carry, ...]
    body: Block


class For(Node):
    name: Name
    range: Range
    carries: tuple[Carry, ...]
    body: Block


class If(Node):
    """`otherwise` is a block, or another `If` for `else if`."""

    test: Expr
    then: Block
    otherwise: Block | If


class Block(Node):
    """`{ statements }`; what it gives is its last statement, an `ExprStatement`, where it must give something."""

    statements: tuple[Statement, ...]


# Types


class TensorType(Node):
    """`f64` or `f32[n, 3]`; the dims are expressions."""

    dtype: Name
    dims: tuple[Expr, ...]


class TupleType(Node):
    items: tuple[TypeExpr, ...]


# Statements. `doc` holds the comments directly above a statement, without their `#`.


class Input(Node):
    names: tuple[Name, ...]
    type: TypeExpr
    value: Expr | None
    doc: str = ""


class Param(Node):
    name: Name
    type: TypeExpr | None
    value: Expr
    doc: str = ""


class State(Node):
    name: Name
    type: TypeExpr | None
    value: Expr
    doc: str = ""


class Const(Node):
    name: Name
    type: TypeExpr | None
    value: Expr
    doc: str = ""


class Output(Node):
    """`values` is None for `output y`, else one value for each name, or one that gives them all."""

    names: tuple[Name, ...]
    values: tuple[Expr, ...] | None
    doc: str = ""


class Update(Node):
    names: tuple[Name, ...]
    values: tuple[Expr, ...]
    doc: str = ""


class DimFact(Node):
    """`dim left op right`; `op` is a comparison, or "~" for a hint; op and right are None for a bare `dim n`."""

    left: Expr
    op: str | None
    right: Expr | None
    doc: str = ""


class Default(Node):
    dtype: Name
    doc: str = ""


class Use(Node):
    """`use optim`: `name` is set. `use "layers.dfg" as layers`: `path` is set, and `alias` if written."""

    name: Name | None
    path: Text | None
    alias: Name | None
    doc: str = ""


class FunParam(Node):
    name: Name
    type: TypeExpr | None
    default: Expr | None


class Rule(Node):
    """`with vjp(ct, y) = ...` of a function: the cotangent's name, and the result's if given."""

    names: tuple[Name, ...]
    body: Expr | Block


class Def(Node):
    """The body is an expression (after `=`) or a block."""

    name: Name
    params: tuple[FunParam, ...]
    result: TypeExpr | None
    body: Expr | Block
    rule: Rule | None
    doc: str = ""


class Test(Node):
    """`error` says that it is a `test error`: the title then matches a code or a part of a message."""

    __test__ = False  # not a test class for pytest

    title: Text
    error: bool
    body: Block
    doc: str = ""


class Group(Node):
    """`group { statements }` of exact text; `title` is the text between the two, if any."""

    title: Text | None
    body: Block
    doc: str = ""


class Binding(Node):
    """`targets = values`, or `target : type = value`. The counts differ where one value gives several results. `_` discards."""

    targets: tuple[Name, ...]
    values: tuple[Expr, ...]
    type: TypeExpr | None = None
    doc: str = ""


class IndexedBinding(Node):
    """`target[i, j] = value`: a contraction statement; the indices are plain, different names."""

    target: Name
    indices: tuple[Name, ...]
    value: Expr
    doc: str = ""


class ExprStatement(Node):
    """Expressions alone: the result of a block, or a condition of a test."""

    values: tuple[Expr, ...]
    doc: str = ""


class Yield(Node):
    values: tuple[Expr, ...]
    doc: str = ""


class Check(Node):
    """`left ~= right within tolerance`."""

    left: Expr
    right: Expr
    tolerance: Expr | None
    doc: str = ""


class GradCheck(Node):
    """`gradcheck loss wrt targets`."""

    loss: Name
    targets: tuple[Name, ...]
    doc: str = ""


class Run(Node):
    """`run 2`; a bare `run` has `count` None and means one run."""

    count: Expr | None
    doc: str = ""


class File(Node):
    """A whole file. `comments` are all of them, in order."""

    statements: tuple[Statement, ...]
    comments: tuple[Comment, ...] = ()


Expr: TypeAlias = (
    Name | Number | Text | Bool | NoneLit | Unary | Binary | Compare | Logical | Call | Index | Attribute
    | TupleExpr | RecordExpr | ListExpr | Build | With | Scan | While | For | If
)  # fmt: skip
IndexItem: TypeAlias = Expr | Slice | Dots | NewAxis
TypeExpr: TypeAlias = TensorType | TupleType
Statement: TypeAlias = (
    Input | Param | State | Const | Output | Update | DimFact | Default | Use | Def | Test | Group
    | Binding | IndexedBinding | ExprStatement | Yield | Check | GradCheck | Run
)  # fmt: skip

_PLACE = frozenset(Node.fields)
_content: dict[type, tuple[str, ...]] = {}


def content(kind: type[Node]) -> tuple[str, ...]:
    """The fields of a kind of node other than its place."""
    found = _content.get(kind)
    if found is None:
        found = _content[kind] = tuple(field for field in kind.fields if field not in _PLACE)
    return found


def children(node: Node) -> list[Node]:
    """The nodes directly below, in the order of the fields; comments are not among them."""
    if isinstance(node, File):
        return list(node.statements)
    below: list[Node] = []
    for field in content(type(node)):
        value = getattr(node, field)
        if isinstance(value, Node):
            below.append(value)
        elif isinstance(value, tuple):
            below.extend(value)
    return below


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, parents first."""
    stack = [node]
    while stack:
        top = stack.pop()
        yield top
        stack.extend(reversed(children(top)))


def same(a: Node, b: Node) -> bool:
    """Whether two trees are equal but for places, doc comments and the way names and numbers are spaced."""
    stack: list[tuple[Any, Any]] = [(a, b)]
    while stack:
        x, y = stack.pop()
        if isinstance(x, Node):
            if type(x) is not type(y):
                return False
            stack.extend((getattr(x, field), getattr(y, field)) for field in content(type(x)) if field not in _IGNORED)
        elif isinstance(x, tuple):
            if not isinstance(y, tuple) or len(x) != len(y):
                return False
            stack.extend(zip(x, y, strict=True))
        elif x != y or type(x) is not type(y):
            return False
    return True


_IGNORED = frozenset({"at", "doc", "comments"})
