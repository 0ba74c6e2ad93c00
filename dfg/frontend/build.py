"""Builds the syntax tree from the bottom up: one method for each rule (or alias) of the grammar, called by the parser as it reduces.

A method gets the start and stop of its text (parentheses around a first or last operand included) and the values of its parts. What the
grammar lets through to be refused in better words is refused here: the left side of `=`, chained comparisons, statements in
the wrong place, numbers of names and values.
"""

from __future__ import annotations

from typing import TypeAlias

from dfg.diagnostics import Fix, Label, Sink, error
from dfg.frontend import syntax as s
from dfg.frontend.recovery import PREFIXES
from dfg.source import Source, Span, normal

Op: TypeAlias = tuple[str, int]
BITWISE = {"&": "and", "|": "or"}


class Over(s.Node):
    """`j: summand` among the arguments of a call; only until the call is built."""

    name: s.Name
    value: s.Expr


class Builder:
    """The methods that the parser calls; `finish` reports what could only be judged at the end."""

    def __init__(self, source: Source, sink: Sink) -> None:
        self.source = source
        self.sink = sink
        self.chains: dict[int, list[s.Compare]] = {}
        self.calls: list[s.Call] = []
        self.nested = False
        self.broken: dict[int, s.Block] = {}  # blocks in which a statement was refused
        self.branching: dict[int, s.Expr] = {}  # branches and loops meant as statements: told at them, once

    def span(self, start: int, stop: int) -> Span:
        return Span(self.source, start, stop)

    # Tokens

    def NAME(self, start: int, stop: int) -> s.Name:
        return s.Name(self.source, start, stop, normal(self.source.text[start:stop]))

    def NUMBER(self, start: int, stop: int) -> s.Number:
        text = self.source.text[start:stop] or "1"  # an empty place: put in by recovery
        kind = "integer"
        value: int | float = 0
        if text[:2] in ("0x", "0X"):
            value = int(text, 16) if len(text) < 1000 else 0
            if len(text) >= 1000:
                self.sink.add(error("bad-number", f"a whole number of {len(text) - 2:,} digits", self.span(start, stop),
                                    help="whole numbers have at most 64 bits; write `1e300` for a large real number"))
        elif not text.replace("_", "").isdecimal():
            kind = "float"
            value = float(text)
        else:
            try:
                value = int(text)
            except ValueError:  # Python's limit on the digits of a whole number
                self.sink.add(error("bad-number", f"a whole number of {len(text):,} digits", self.span(start, stop),
                                    help="whole numbers have at most 64 bits; write `1e300` for a large real number"))
            if text[0] == "0" and text.strip("0_"):
                bare = text.lstrip("0_")
                self.sink.add(error("bad-number", "a whole number does not begin with 0", self.span(start, stop),
                                    fix=Fix(f"write `{bare}`", ((self.span(start, stop), bare),))))
        return s.Number(self.source, start, stop, text, kind, value)

    def STRING(self, start: int, stop: int) -> s.Text:
        text = self.source.text
        return s.Text(self.source, start, stop, text[start + 1 : stop - (text[stop - 1] in "\"'" and stop - start > 1)])

    # Files and blocks

    def no_lines(self, start: int, stop: int) -> list[s.Statement | None]:
        return []

    def line(self, start: int, stop: int, lines: list[s.Statement | None], statement: s.Statement | None) -> list[s.Statement | None]:
        lines.append(statement)  # None where a statement was refused
        return lines

    def start(self, start: int, stop: int, lines: list[s.Statement | None]) -> s.File:
        statements = tuple(statement for statement in lines if statement is not None)
        if not self.nested:
            for statement in statements:
                self.check_top(statement)
        return s.File(self.source, 0, len(self.source.text), statements)

    def block(self, start: int, stop: int, lines: list[s.Statement | None]) -> s.Block:
        if not lines:
            self.sink.add(error("empty-block", "this block holds nothing", self.span(start, stop),
                                help="a block ends with the expression that it gives"))
        statements = tuple(statement for statement in lines if statement is not None)
        for statement in statements:
            if isinstance(statement, _TOP_ONLY):
                word = _word(statement)
                at = Span(self.source, statement.start, statement.start + len(word))
                self.sink.add(error("misplaced-statement", f"`{word}` belongs at the file's top level, not in a block", at,
                                    help="a function sees what the file binds above it; what else it needs is an argument" if word == "def" else None))
        block = s.Block(self.source, start, stop, statements)
        if len(statements) < len(lines):
            self.broken[id(block)] = block
        return block

    def check_top(self, statement: s.Statement) -> None:
        if isinstance(statement, s.ExprStatement):
            self.unused(statement, True)
        elif isinstance(statement, s.Yield):
            self.misplaced(statement, "yield", "in the body of a `scan` or `for`", "in a branch stands the value: `yield if p { a } else { b }`")
        elif isinstance(statement, (s.Check, s.GradCheck, s.Run)):
            self.misplaced(statement, {s.Check: "~=", s.GradCheck: "gradcheck", s.Run: "run"}[type(statement)], "in a `test`")

    def misplaced(self, statement: s.Statement, word: str, where: str, help: str | None = None) -> None:
        self.sink.add(error("misplaced-statement", f"`{word}` stands {where}", statement.span, help=help))

    def unused(self, statement: s.ExprStatement, top: bool) -> None:
        """An expression whose value goes nowhere."""
        values = statement.values
        value = values[0]
        fix = None
        if id(value) in self.branching:
            return
        if isinstance(value, s.Name) and value.text in WORDS:
            self.sink.add(error("pythonic-word", f"there is no `{value.text}`", value.span, help=WORDS[value.text]))
            return
        if top and isinstance(value, s.Call) and isinstance(value.func, s.Name) and value.func.text == "print":
            names = [item.span.text for item in value.args]
            if len(value.args) == 1 and not value.kwargs:
                plain = isinstance(value.args[0], s.Name)
                fix = Fix("make it an output", ((statement.span, f"output {names[0]}" if plain else f"output printed = {names[0]}"),))
            self.sink.add(error("pythonic-print", "there is no `print`: a run shows its outputs", statement.span, fix=fix,
                                help="write `output NAME`, or `output NAME = VALUE`"))
            return
        if top:
            plain = len(values) == 1 and isinstance(value, (s.Name, s.Attribute))
            new = f"output {statement.span.text}" if plain else f"output result = {statement.span.text}"
            method = isinstance(value, s.Call) and isinstance(value.func, s.Attribute)
            fix = Fix("make it an output", ((statement.span, new),)) if len(values) == 1 and not method else None
        if self.source.text[statement.start] in "+-":
            self.sink.add(error("line-continues", "this line goes on from the one above", statement.span,
                                help="a line goes on in the next one only inside ( ) or [ ]"))
            return
        self.sink.add(error("unused-expression", "this value goes nowhere", statement.span, fix=fix,
                            help="bind it to a name (`y = ...`) or export it (`output y`)" if top else
                            "only the last line of a block is its result; bind the others to names"))

    def check_body(self, block: s.Block, gives: bool, what: str) -> None:
        """The statements of a block of code: a value stands last only, and must if the block gives one."""
        if id(block) in self.broken:
            return
        last = len(block.statements) - 1
        for index, statement in enumerate(block.statements):
            if isinstance(statement, s.ExprStatement):
                if index < last or not gives:
                    self.unused(statement, False)
            elif isinstance(statement, (s.Check, s.GradCheck, s.Run)) or (isinstance(statement, s.Yield) and what not in ("scan", "for")):
                self.check_top(statement)
        if gives and block.statements and not isinstance(block.statements[-1], (s.ExprStatement, s.Yield)):
            at = block.statements[-1]
            word = "function" if what == "def" else "branch" if what == "if" else "rule"
            self.sink.add(error("missing-result", f"this {word} gives nothing: its last line must be the value", at.span,
                                help=f"add a last line with the value that the {word} gives"))

    # Declarations

    def input_(self, start: int, stop: int, names: tuple[s.Name, ...], kind: s.TypeExpr, value: s.Expr | None) -> s.Input:
        return s.Input(self.source, start, stop, names, kind, value)

    def param(self, start: int, stop: int, name: s.Name, kind: s.TypeExpr | None, value: s.Expr) -> s.Param:
        return s.Param(self.source, start, stop, name, kind, value)

    def state(self, start: int, stop: int, name: s.Name, kind: s.TypeExpr | None, value: s.Expr) -> s.State:
        return s.State(self.source, start, stop, name, kind, value)

    def const(self, start: int, stop: int, name: s.Name, kind: s.TypeExpr | None, value: s.Expr) -> s.Const:
        return s.Const(self.source, start, stop, name, kind, value)

    def output(self, start: int, stop: int, names: tuple[s.Name, ...], values: tuple[s.Expr, ...] | None) -> s.Output:
        if values is not None:
            self.counts(names, values)
        return s.Output(self.source, start, stop, names, values)

    def update(self, start: int, stop: int, names: tuple[s.Name, ...], values: tuple[s.Expr, ...]) -> s.Update:
        self.counts(names, values)
        return s.Update(self.source, start, stop, names, values)

    def counts(self, names: tuple[s.Node, ...], values: tuple[s.Expr, ...]) -> None:
        if len(values) not in (1, len(names)):
            left, right = names[0].span.to(names[-1].span), values[0].span.to(values[-1].span)
            a, b = _count(len(names), "name"), _count(len(values), "value")
            self.sink.add(error("count-mismatch", f"{a} and {b}", left, labels=[Label(left, a), Label(right, b)]))

    def dim(self, start: int, stop: int, left: s.Expr, op: Op | None, right: s.Expr | None) -> s.DimFact:
        return s.DimFact(self.source, start, stop, left, op[0] if op else None, right)

    def default(self, start: int, stop: int, dtype: s.Name) -> s.Default:
        return s.Default(self.source, start, stop, dtype)

    def use_std(self, start: int, stop: int, name: s.Name, alias: s.Name | None) -> s.Use:
        return s.Use(self.source, start, stop, name, None, alias)

    def use_file(self, start: int, stop: int, path: s.Text, alias: s.Name | None) -> s.Use:
        return s.Use(self.source, start, stop, None, path, alias)

    def func(self, start: int, stop: int, name: s.Name, params: tuple[s.FunParam, ...] | None, result: s.TypeExpr | None,
             body: s.Expr | s.Block, rule: s.Rule | None) -> s.Def:
        if isinstance(body, s.Block):
            self.check_body(body, True, "def")
        return s.Def(self.source, start, stop, name, params or (), result, body, rule)

    def fparams(self, start: int, stop: int, *params: s.FunParam) -> tuple[s.FunParam, ...]:
        default = False
        for param in params:
            if param.default is not None:
                default = True
            elif default:
                self.sink.add(error("argument-order", f"parameter `{param.name.text}` without a default follows one with a default",
                                    param.span))
        return params

    def fparam(self, start: int, stop: int, name: s.Name, kind: s.TypeExpr | None, default: s.Expr | None) -> s.FunParam:
        return s.FunParam(self.source, start, stop, name, kind, default)

    def rule(self, start: int, stop: int, names: tuple[s.Name, ...], body: s.Expr | s.Block) -> s.Rule:
        if len(names) > 2:
            self.sink.add(error("count-mismatch", "a rule names the cotangent and, if it wants it, the result", names[2].span,
                                help="write `with vjp(ct)` or `with vjp(ct, y)`"))
        if isinstance(body, s.Block):
            self.check_body(body, True, "rule")
        return s.Rule(self.source, start, stop, names, body)

    def test(self, start: int, stop: int, title: s.Text, body: s.Block) -> s.Test:
        self.check_test(body)
        return s.Test(self.source, start, stop, title, False, body)

    def test_error(self, start: int, stop: int, title: s.Text, body: s.Block) -> s.Test:
        self.check_test(body)
        return s.Test(self.source, start, stop, title, True, body)

    def check_test(self, body: s.Block) -> None:
        for statement in body.statements:
            if isinstance(statement, s.Yield):
                self.check_top(statement)

    def group(self, start: int, stop: int, title: s.Text | None, body: s.Block) -> s.Group:
        return s.Group(self.source, start, stop, title, body)

    # Names and types

    def dnames(self, start: int, stop: int, *names: s.Name) -> tuple[s.Name, ...]:
        return names

    def dname(self, start: int, stop: int, *names: s.Name) -> s.Name:
        return s.Name(self.source, start, stop, ".".join(name.text for name in names))

    def type_(self, start: int, stop: int, dtype: s.Name, dims: tuple[s.Expr, ...] | None) -> s.TensorType:
        return s.TensorType(self.source, start, stop, dtype, dims or ())

    def dims(self, start: int, stop: int, *dims: s.Expr) -> tuple[s.Expr, ...]:
        return dims

    def tuple_type(self, start: int, stop: int, *items: s.TypeExpr) -> s.TupleType:
        return s.TupleType(self.source, start, stop, items)

    # Other statements

    def binding(self, start: int, stop: int, left: tuple[s.Expr, ...], values: tuple[s.Expr, ...]) -> s.Statement | None:
        if len(left) == 1 and isinstance(left[0], s.Index):
            return self.indexed(start, stop, left[0], values)
        targets = tuple(target for target in map(self.target, left) if target is not None)
        if len(targets) < len(left):
            return None
        self.counts(left, values)
        return s.Binding(self.source, start, stop, targets, values)

    def typed(self, start: int, stop: int, left: s.Expr, kind: s.TypeExpr, value: s.Expr) -> s.Statement | None:
        target = self.target(left)
        return None if target is None else s.Binding(self.source, start, stop, (target,), (value,), kind)

    def target(self, left: s.Expr) -> s.Name | None:
        """A name that stands left of `=`."""
        parts: list[str] = []
        node: s.Node = left
        while isinstance(node, s.Attribute):
            parts.append(node.name.text)
            node = node.base
        if isinstance(node, s.Name):
            return s.Name(self.source, left.start, left.stop, ".".join([node.text, *reversed(parts)])) if parts else node
        fix = None
        text = self.source.text[left.start + 1 : left.stop - 1].strip().rstrip(",")
        if isinstance(left, (s.TupleExpr, s.ListExpr)) and all(isinstance(item, s.Name) for item in left.items) and left.items:
            fix = Fix("write the names alone", ((left.span, text),))
        self.sink.add(error("bad-target", "only a name can be bound", left.span, fix=fix,
                            help="write `name = value`, `a, b = values`, or `z[i, j] = value` with index names"))
        return None

    def indexed(self, start: int, stop: int, left: s.Index, values: tuple[s.Expr, ...]) -> s.IndexedBinding | None:
        target = self.target(left.base)
        if target is None:
            return None
        names = [item for item in left.indices if isinstance(item, s.Name)]
        if len(names) < len(left.indices):
            inside = self.source.text[left.base.stop : left.stop].strip()
            value = self.source.text[values[0].start : stop]
            fixed = f"{target.text}_next = {target.text} with {inside} = {value}"
            fix = Fix(f"write `{target.text} with {inside} = ...`", ((self.span(start, stop), fixed),)) if len(values) == 1 else None
            self.sink.add(error("pythonic-assignment", "nothing is changed in place: a new value is made with `with`", left.span, fix=fix))
            return None
        seen: set[str] = set()
        for name in names:
            if name.text in seen:
                self.sink.add(error("bad-target", f"the index `{name.text}` stands twice on the left", name.span))
            seen.add(name.text)
        if len(values) > 1:
            self.counts((left,), values)
        return s.IndexedBinding(self.source, start, stop, target, tuple(names), values[0])

    def expr_stmt(self, start: int, stop: int, values: tuple[s.Expr, ...]) -> s.Statement:
        if len(values) == 1 and isinstance(values[0], s.Name) and values[0].text == "run":
            return s.Run(self.source, start, stop, None)
        return s.ExprStatement(self.source, start, stop, values)

    def yield_(self, start: int, stop: int, values: tuple[s.Expr, ...]) -> s.Yield:
        return s.Yield(self.source, start, stop, values)

    def check(self, start: int, stop: int, left: s.Expr, right: s.Expr, tolerance: s.Expr | None) -> s.Check:
        return s.Check(self.source, start, stop, left, right, tolerance)

    def gradcheck(self, start: int, stop: int, loss: s.Name, targets: tuple[s.Name, ...]) -> s.GradCheck:
        return s.GradCheck(self.source, start, stop, loss, targets)

    def run(self, start: int, stop: int, count: s.Expr) -> s.Run:
        return s.Run(self.source, start, stop, count)

    # Expressions

    def exprs(self, start: int, stop: int, *values: s.Expr) -> tuple[s.Expr, ...]:
        return values

    def put(self, start: int, stop: int, base: s.Expr, indices: tuple[s.IndexItem, ...], value: s.Expr) -> s.With:
        return s.With(self.source, start, stop, base, indices, "=", value)

    def add_at(self, start: int, stop: int, base: s.Expr, indices: tuple[s.IndexItem, ...], value: s.Expr) -> s.With:
        return s.With(self.source, start, stop, base, indices, "+=", value)

    def logical(self, start: int, stop: int, left: s.Expr, op: Op, right: s.Expr) -> s.Logical:
        return s.Logical(self.source, start, stop, op[0], left, right, op[1])

    def binary(self, start: int, stop: int, left: s.Expr, op: Op, right: s.Expr) -> s.Binary:
        return s.Binary(self.source, start, stop, op[0], left, right, op[1])

    def unary(self, start: int, stop: int, op: Op, operand: s.Expr) -> s.Unary:
        return s.Unary(self.source, start, stop, op[0], operand)

    def compare(self, start: int, stop: int, left: s.Expr, op: Op, right: s.Expr) -> s.Compare:
        node = s.Compare(self.source, start, stop, op[0], left, right, op[1])
        if isinstance(left, s.Compare) and left.start == start:  # a parenthesised left side begins after the parenthesis
            chain = self.chains.pop(id(left), None) or [left]
            chain.append(node)
            self.chains[id(node)] = chain
        return node

    def call(self, start: int, stop: int, func: s.Expr, args: list[s.Node] | None) -> s.Call:
        positional: list[s.Expr] = []
        named: list[s.Kwarg] = []
        over: tuple[s.Name, ...] = ()
        for arg in args or ():
            if isinstance(arg, s.Kwarg):
                named.append(arg)
            elif isinstance(arg, Over):
                indices = [item for item in positional if isinstance(item, s.Name)]
                if len(indices) < len(positional) or named or over or arg is not (args or [arg])[-1]:
                    self.sink.add(error("bad-indices", "index names stand first and one summand last: `sum(j, k: A[j, k])`", arg.span))
                over = (*indices, arg.name)
                positional = [arg.value]
            else:
                if named:
                    self.sink.add(error("argument-order", "an argument without a name follows one with a name", arg.span))
                positional.append(arg)  # type: ignore[arg-type]
        node = s.Call(self.source, start, stop, func, tuple(positional), tuple(named), over)
        if isinstance(func, s.Attribute):
            self.calls.append(node)
        return node

    def args(self, start: int, stop: int, *args: s.Node) -> list[s.Node]:
        return list(args)

    def kwarg(self, start: int, stop: int, name: s.Name, value: s.Expr) -> s.Kwarg:
        return s.Kwarg(self.source, start, stop, name, value)

    def over(self, start: int, stop: int, name: s.Name, value: s.Expr) -> Over:
        return Over(self.source, start, stop, name, value)

    def index(self, start: int, stop: int, base: s.Expr, indices: tuple[s.IndexItem, ...]) -> s.Index:
        return s.Index(self.source, start, stop, base, indices)

    def attribute(self, start: int, stop: int, base: s.Expr, name: s.Name) -> s.Attribute:
        return s.Attribute(self.source, start, stop, base, name)

    def indices(self, start: int, stop: int, *items: s.IndexItem) -> tuple[s.IndexItem, ...]:
        return tuple(s.NewAxis(item.source, item.start, item.stop) if isinstance(item, s.Name) and item.text == "newaxis" else item
                     for item in items)

    def dots(self, start: int, stop: int) -> s.Dots:
        return s.Dots(self.source, start, stop)

    def slice_(self, start: int, stop: int, lower: s.Expr | None, upper: s.Expr | None, step: s.Expr | None) -> s.Slice:
        return s.Slice(self.source, start, stop, lower, upper, step)

    def true(self, start: int, stop: int) -> s.Bool:
        return s.Bool(self.source, start, stop, True)

    def false(self, start: int, stop: int) -> s.Bool:
        return s.Bool(self.source, start, stop, False)

    def none(self, start: int, stop: int) -> s.NoneLit:
        return s.NoneLit(self.source, start, stop)

    def tuple_(self, start: int, stop: int, *items: s.Expr) -> s.TupleExpr:
        return s.TupleExpr(self.source, start, stop, items)

    def record(self, start: int, stop: int, *fields: s.Kwarg) -> s.RecordExpr:
        seen: set[str] = set()
        for field in fields:
            if field.name.text in seen:
                self.sink.add(error("repeated-field", f"the record already has a `{field.name.text}`", field.name.span))
            seen.add(field.name.text)
        return s.RecordExpr(self.source, start, stop, fields)

    def list_(self, start: int, stop: int, *items: s.Expr | None) -> s.ListExpr:
        return s.ListExpr(self.source, start, stop, tuple(item for item in items if item is not None))

    def build(self, start: int, stop: int, element: s.Expr, name: s.Name, over: s.Range) -> s.Build:
        return s.Build(self.source, start, stop, element, name, over)

    def range_(self, start: int, stop: int, lower: s.Expr, upper: s.Expr | None) -> s.Range:
        called = lower.func if upper is None and isinstance(lower, s.Call) and not lower.kwargs else None
        if isinstance(called, s.Name) and called.text == "range" and isinstance(lower, s.Call):
            ends = [item.span.text for item in lower.args]
            fix = Fix("write `..`", ((lower.span, "..".join(ends if len(ends) == 2 else ["0", *ends])),)) if 0 < len(ends) < 3 else None
            self.sink.add(error("pythonic-range", "a range is written `0..10`", lower.span, fix=fix))
        return s.Range(self.source, start, stop, lower, upper)

    def carries(self, start: int, stop: int, *carries: s.Carry) -> tuple[s.Carry, ...]:
        return carries

    def carry(self, start: int, stop: int, name: s.Name, kind: s.TypeExpr | None, value: s.Expr) -> s.Carry:
        return s.Carry(self.source, start, stop, name, kind, value)

    def scan(self, start: int, stop: int, names: tuple[s.Name, ...], values: tuple[s.Expr, ...], carries: tuple[s.Carry, ...] | None,
             body: s.Block) -> s.Scan:
        self.check_body(body, False, "scan")
        self.counts(names, values)
        return s.Scan(self.source, start, stop, names, values, carries or (), body)

    def while_(self, start: int, stop: int, test: s.Expr, limit: s.Expr, carries: tuple[s.Carry, ...], body: s.Block) -> s.While:
        self.check_body(body, False, "while")
        return s.While(self.source, start, stop, test, limit, carries, body)

    def for_(self, start: int, stop: int, name: s.Name, over: s.Range, carries: tuple[s.Carry, ...] | None, body: s.Block) -> s.For:
        if carries is None and id(body) not in self.broken and not any(isinstance(statement, s.Yield) for statement in body.statements):
            self.sink.add(error("loop-without-carry", "a `for` loop carries a value from step to step, or yields one", self.span(start, start + 3),
                                help="say which, and from what: `carry s = START`; `[f(i) for i in 0..n]` makes an array"))
            made = s.For(self.source, start, stop, name, over, (), body)
            self.branching[id(made)] = made
            return made
        self.check_body(body, False, "for")
        return s.For(self.source, start, stop, name, over, carries or (), body)

    def if_(self, start: int, stop: int, test: s.Expr, then: s.Block, otherwise: s.Block | s.If) -> s.If:
        made = s.If(self.source, start, stop, test, then, otherwise)
        blocks = [block for block in (then, otherwise) if isinstance(block, s.Block)]
        ends = [block.statements[-1] for block in blocks if block.statements and id(block) not in self.broken]
        if len(ends) == len(blocks) and all(isinstance(end, s.Binding) for end in ends) and (isinstance(otherwise, s.Block) or id(otherwise) in self.branching):
            self.branching[id(made)] = made
            if otherwise is blocks[-1]:
                name = ends[0].span.text.partition("=")[0].strip()
                self.sink.add(error("missing-result", "this branch binds a name, which is known only in it, and gives nothing", ends[0].span,
                                    help=f"an `if` is a value: `{name} = if … {{ a }} else {{ b }}`" if len(name) < 40 else "an `if` is a value"))
            return made
        for block in blocks:
            self.check_body(block, True, "if")
        return made

    # At the end

    def finish(self, modules: frozenset[str] | None) -> None:
        """Report chains of comparisons, and calls written as methods (if the names of the modules used are known)."""
        for chain in self.chains.values():
            self.report_chain(chain)
        if modules is None:
            return
        for call in self.calls:
            node: s.Node = call.func
            while isinstance(node, s.Attribute):
                node = node.base
            if not (isinstance(node, s.Name) and node.text in modules):
                self.report_method(call)

    def report_chain(self, chain: list[s.Compare]) -> None:
        text = self.source.text
        whole = chain[-1]
        edits: list[tuple[Span, str]] = []
        bitwise = ""
        for inner in chain[:-1]:
            middle = inner.right
            if isinstance(middle, s.Binary) and middle.op in BITWISE and middle.stop == inner.stop:
                edits.append((self.span(middle.at, middle.at + 1), BITWISE[middle.op]))
                bitwise = middle.op
            else:
                middle_text = text[inner.at + len(inner.op) : inner.stop].strip()
                edits.append((self.span(inner.stop, inner.stop), f" and {middle_text}"))
        if text[: whole.start].rstrip().endswith("not"):
            edits = [(self.span(whole.start, whole.start), "("), *edits, (self.span(whole.stop, whole.stop), ")")]
        if bitwise:
            right = BITWISE[bitwise]
            self.sink.add(error("pythonic-precedence", f"`{bitwise}` binds tighter than a comparison", whole.span,
                                help=f"`{right}` joins conditions, elementwise too", fix=Fix(f"write `{right}`", tuple(edits))))
        else:
            self.sink.add(error("pythonic-chain", "comparisons do not chain", whole.span, help="join two comparisons with `and`",
                                fix=Fix("write both comparisons", tuple(edits))))

    def report_method(self, call: s.Call) -> None:
        func = call.func
        assert isinstance(func, s.Attribute)
        text, name = self.source.text, func.name.text
        root = text[func.start : func.name.start].partition(".")[0].strip()
        if root in PREFIXES:
            self.sink.add(error("pythonic-method", f"there is no library `{root}`: a function is called by its name", func.span,
                                fix=Fix(f"write `{name}(...)`", ((func.span, name),))))
            return
        if name in FIELDS:
            place = self.span(func.name.stop, call.stop)
            self.sink.add(error("pythonic-method", f"`.{name}` is no method: it stands without `( )`", func.name.span,
                                fix=Fix("remove the call", ((place, ""),)) if not call.args and not call.kwargs else None))
            return
        if name in METHODS:
            self.sink.add(error("pythonic-method", f"values have no methods, and nothing is called `{name}`", func.name.span, help=METHODS[name]))
            return
        name = RENAMED.get(name, name)
        base = text[call.start : func.name.start].rstrip()[:-1].rstrip()  # with its parentheses, without the dot
        bare = base[1:-1] if isinstance(func.base, (s.Binary, s.Logical, s.Compare, s.Unary)) and base[:1] == "(" else base
        if call.stop - call.start > 2000:
            fix = None
        else:
            rest = text[func.name.stop : call.stop].lstrip()[1:].lstrip()
            if name in LISTED and len(call.args) > 1 and not call.kwargs:
                rest = f"[{rest[:-1].rstrip()}])"
            fix = Fix(f"write `{name}(...)`", ((call.span, f"{name}({bare}{', ' if rest != ')' else ''}{rest}"),))
        self.sink.add(error("pythonic-method", f"values have no methods: `.{func.name.text}(...)` is written `{name}(...)`", func.name.span, fix=fix))


FIELDS = frozenset({"T", "mT", "shape", "ndim", "size", "dtype"})
LISTED = frozenset({"reshape", "transpose", "permute", "permute_dims", "view", "broadcast_to", "expand", "tile"})
RENAMED = {"detach": "stop_gradient", "view": "reshape", "permute": "permute_dims"}
METHODS = {
    "backward": "derivatives are values: `dw = grad(l, w)`",
    "zero_grad": "gradients are values and pile up nowhere",
    "item": "a scalar is a value like any other",
    "append": "`concat([a, b])` joins; in a loop, `yield` stacks",
    "requires_grad_": "a derivative may be by any bound name",
}
"""Methods of other libraries for which there is no function."""
WORDS = {
    "break": "a loop that may end early is a `while … max N`; or carry whether it is over",
    "continue": "`if` gives the new carry or the old one: `s = if p { f(s) } else { s }`",
    "pass": "a block ends with the value that it gives",
}
_TOP_ONLY = (s.Input, s.Param, s.State, s.Const, s.Output, s.Update, s.Default, s.Use, s.Test)


def _word(statement: s.Statement) -> str:
    return "dim" if isinstance(statement, s.DimFact) else type(statement).__name__.lower()


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
