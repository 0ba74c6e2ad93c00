"""Text -> syntax tree: a loop over the LALR tables of `grammar/dfg.lark`, with recovery.

The loop keeps its own stacks, so nesting costs no Python recursion; nodes get their place from the tokens. At a token that the
grammar refuses, `recovery` is asked what the writer meant: it reports, and either edits the tokens of the statement, which is then
parsed again, or gives it up; parsing goes on behind it. So all the errors of a file come out of one run, in order.

>>> from dfg.diagnostics import Sink
>>> from dfg.source import Source
>>> sink = Sink()
>>> tree = parse(Source("a.dfg", "y = 2 ^ x\\nz = y &&\\nu = y.sum()\\n"), sink)
>>> [f"{d.span}: {d}" for d in sink.items][0]
'a.dfg:1:7: error[pythonic-power]: a power is written `**`'
>>> len(tree.statements), [d.code for d in sink.items]
(3, ['pythonic-power', 'pythonic-logic', 'line-continues', 'pythonic-method'])
"""

from __future__ import annotations

import gc
import os
import re
import stat
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from dfg.diagnostics import Diagnostic, Sink, error, in_order
from dfg.frontend import syntax
from dfg.frontend.build import Builder
from dfg.frontend.lexer import CLOSER, MAX_ERRORS, Tokens, lex
from dfg.frontend.tables import SPLICE, tables
from dfg.source import Source, Span

MAX_BYTES = 256 * 1024 * 1024


class Found(Sink):
    """Collects the errors of one parse: each once, and not more than anyone would read."""

    __slots__ = ("keys",)

    def __init__(self) -> None:
        super().__init__()
        self.keys: set[tuple[str, int, int]] = set()

    def add(self, diagnostic: Diagnostic) -> None:
        span = diagnostic.span
        key = (diagnostic.code, span.start, span.stop) if span else (diagnostic.code, -1, -1)
        if key not in self.keys and len(self.keys) <= MAX_ERRORS:
            self.keys.add(key)
            self.items.append(diagnostic)

    @property
    def full(self) -> bool:
        return len(self.items) >= MAX_ERRORS


def parse(source: Source, sink: Sink) -> syntax.File:
    """The tree of a file, as far as it could be parsed; everything wrong is added to the sink, in order."""
    found = Found()
    tree = _parse(source, found, False)
    _hand_over(found, sink, source)
    return tree


def parse_expression(source: Source, sink: Sink) -> syntax.Expr | None:
    """One expression alone (a value on the command line); None if it is wrong."""
    found = Found()
    tree = _parse(source, found, True)
    statements = tree.statements
    value: syntax.Expr | None = None
    if len(statements) == 1 and isinstance(statements[0], syntax.ExprStatement) and len(statements[0].values) == 1:
        value = statements[0].values[0]
    elif not found.items:
        found.add(error("syntax", "expected one expression", Span(source, 0, len(source.text))))
    _hand_over(found, sink, source)
    return None if found.items else value


def read_source(origin: str | os.PathLike[str] | bytes, sink: Sink, name: str | None = None) -> Source | None:
    """The source in a file, or in bytes that came from one (`name` then says which); None if it cannot be read as text."""
    if isinstance(origin, bytes):
        data, shown = origin, name or "<bytes>"
    else:
        shown = name or str(origin)
        try:
            # A named pipe that nobody writes would be waited for without end; the shell's own, below /dev, has its writer.
            if stat.S_ISFIFO(os.stat(origin).st_mode) and not shown.startswith(("/dev/", "/proc/")):
                sink.add(error("unreadable-file", f"{shown} is a pipe; a program is a regular file", help="for a stream, write `-` and send it to standard input"))
                return None
            with open(origin, "rb") as file:
                before = os.fstat(file.fileno())
                data = file.read(MAX_BYTES + 1)
                after = os.fstat(file.fileno())
            if stat.S_ISREG(after.st_mode) and len(data) <= MAX_BYTES and (
                (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size) or len(data) != after.st_size
            ):
                # Half of the old text and half of the new one is a third program, which nobody wrote.
                sink.add(error("unreadable-file", f"{shown} changed while it was read", help="read it again when it is written"))
                return None
        except (OSError, ValueError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
            sink.add(error("unreadable-file", f"cannot read {shown}: {reason.lower()}"))
            return None
    if len(data) > MAX_BYTES:
        sink.add(error("too-large", f"{shown} has more than {MAX_BYTES >> 20} MB", help="keep tables in .npz files"))
        return None
    try:
        return Source(shown, data.decode("utf-8-sig"))
    except UnicodeDecodeError as problem:
        at = problem.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        line = data.count(b"\n", 0, at) + 1
        byte = data[at] if at < len(data) else 0
        help_text = "save it as UTF-8"
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            help_text = "it looks like UTF-16: save it as UTF-8"
        begin = data.rfind(b"\n", 0, at) + 1
        readable = Source(shown, data.decode("utf-8", errors="replace"))
        place = len(data[:at].decode("utf-8", errors="replace"))
        sink.add(error("not-utf8", f"byte {at} of {shown} (0x{byte:02x}, in line {line}, byte {at - begin + 1} of it) is not UTF-8",
                       Span(readable, place, place + 1), help=help_text))
        return None


def _hand_over(found: Found, sink: Sink, source: Source) -> None:
    if not found.items:
        return
    named = {item.span.start for item in found.items if item.code != "syntax" and item.span is not None}
    swallowed = [item.span for item in found.items if item.code == "unterminated-text" and item.span is not None]
    for item in in_order(found.items):
        if item.code == "syntax" and item.span is not None and item.span.start in named:
            continue  # a slip that has a name says it better
        if item.code == "unclosed-bracket" and item.span is not None:
            at, closer = item.span.start, CLOSER[item.span.text]
            if any(at < text.start and closer in text.text for text in swallowed):
                continue  # what closes it is in a text that does not end
        sink.add(item)
    if found.full:
        at = len(source.text)
        sink.add(error("too-many-errors", f"more than {MAX_ERRORS} errors: the rest is not shown", Span(source, at, at)))


def _parse(source: Source, found: Found, nested: bool) -> syntax.File:
    with uncollected():
        return _parse_tokens(source, lex(source, found), found, nested)[0]


@contextmanager
def uncollected() -> Iterator[None]:
    """Without garbage collection: of hundreds of thousands of new nodes none is garbage, and looking takes a third of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _parse_tokens(source: Source, tokens: Tokens, found: Found, nested: bool) -> tuple[syntax.File, Tokens]:
    builder = Builder(source, found)
    builder.nested = nested
    tree = _Run(source, tokens, builder, found, nested).run()
    attach_docs(tree, source, tokens.comments)
    builder.finish(modules(tree))
    return tree, tokens


def parse_with_tokens(source: Source, sink: Sink) -> tuple[syntax.File, Tokens]:
    """The tree and the tokens that it was made from, words that are special only in their place told apart (for the formatter)."""
    found = Found()
    with uncollected():
        result = _parse_tokens(source, lex(source, found), found, False)
    _hand_over(found, sink, source)
    return result


def accepts_fixed(text: str, harmless: frozenset[str]) -> bool:
    """Whether a repaired statement parses (but for slips of its own that have their own fixes)."""
    found = Found()
    source = Source("", text)
    tokens = lex(source, found)
    builder = Builder(source, found)
    builder.nested = True
    _Run(source, tokens, builder, found, True, give_up=True).run()
    return all(item.code in harmless for item in found.items)


def modules(tree: syntax.File) -> frozenset[str]:
    """The names under which used files are known."""
    names: set[str] = set()
    for statement in tree.statements:
        if isinstance(statement, syntax.Use):
            if statement.alias is not None:
                names.add(statement.alias.text)
            elif statement.name is not None:
                names.add(statement.name.text)
            elif statement.path is not None:
                names.add(re.split(r"[/\\]", statement.path.value)[-1].removesuffix(".dfg"))
    return frozenset(names)


def attach_docs(tree: syntax.File, source: Source, comments: list[syntax.Comment]) -> None:
    """Give the file its comments, and each of its statements the comments directly above it."""
    tree.comments = tuple(comments)
    own = [comment for comment in comments if comment.own_line]
    if not own:
        return
    ends = [comment.stop for comment in own]
    text = source.text
    for statement in tree.statements:
        line = text.rfind("\n", 0, statement.start)
        lines: list[str] = []
        index = bisect_left(ends, statement.start) - 1
        while line > 0 and index >= 0:
            comment = own[index]
            if comment.stop != line and comment.stop != line - (text[line - 1] == "\r"):
                break
            if not comment.text.startswith(":"):
                lines.append(comment.text.removeprefix(" ").rstrip())
            line = text.rfind("\n", 0, comment.start)
            index -= 1
        if lines:
            statement.doc = "\n".join(reversed(lines))


@cache
def _plans() -> list[tuple[int, str, int, tuple[int, ...], str]]:
    """For each rule: size, origin, kind (0 pass one child on, 1 extend a list, 2 call), plan, method."""
    plans = []
    for rule in tables().rules:
        if rule.origin.startswith("_"):
            kind = 1
        elif rule.plan == (0,) and rule.size == 1 and (rule.expand or rule.name == "blank"):
            kind = 0
        elif (rule.expand and len(rule.plan) == 1 and 0 <= rule.plan[0] < SPLICE) or rule.name == "blank":
            kind = 3
        else:
            kind = 2
        plans.append((kind, rule.origin, rule.size, rule.plan, rule.name))
    return plans


def method_of(builder: Builder, name: str) -> Callable[..., Any]:
    """The method for a rule; it ends in an underscore where the rule has the name of a built-in."""
    method: Callable[..., Any] = getattr(builder, name, None) or getattr(builder, name + "_")
    return method


class _Run:
    """One parse: the stacks and the loop."""

    def __init__(self, source: Source, tokens: Tokens, builder: Builder, found: Found, nested: bool, give_up: bool = False) -> None:
        self.source = source
        self.tokens = tokens
        self.builder = builder
        self.found = found
        self.nested = nested
        self.give_up = give_up
        self.stack: list[int] = [tables().start]
        self.values: list[Any] = []
        self.begins: list[int] = []
        self.rounds = 0

    def run(self) -> syntax.File:
        known = tables()
        states, end_state = known.states, known.end
        builder = self.builder
        rules: list[tuple[int, str, int, tuple[int, ...], Callable[..., Any] | None]] = [
            (kind, origin, size, plan, method_of(builder, name) if kind == 2 else None) for kind, origin, size, plan, name in _plans()
        ]
        text = self.source.text
        tokens = self.tokens
        types, starts, stops, wide = tokens.types, tokens.starts, tokens.stops, tokens.wide
        stack, values, begins = self.stack, self.values, self.begins
        makers = {"NAME": builder.NAME, "NUMBER": builder.NUMBER, "STRING": builder.STRING}
        kept = {"OR", "AND", "NOT", "CMP", "TILDE", "BAR", "AMP", "PM", "MUL", "POW"}
        index = 0
        end = 0
        kind = types[0]
        state = stack[-1]
        while True:
            action = states[state].get(kind)
            if action is None:
                if state == end_state and kind == "$END":
                    tree = values[-1]
                    assert isinstance(tree, syntax.File)
                    return tree
                index = self.trouble(index)
                state, kind = stack[-1], types[index]
                end = stops[index - 1] if index else 0
            elif action >= 0:
                begin = starts[index]
                end = stops[index]
                maker = makers.get(kind)
                if maker is not None:
                    values.append(maker(begin, end))
                elif kind in kept:
                    values.append((wide[index] if index in wide else text[begin:end], begin))
                else:
                    values.append(None)
                begins.append(begin)
                stack.append(action)
                state = action
                index += 1
                kind = types[index]
            else:
                how, origin, size, plan, method = rules[-action - 1]
                if how == 0:
                    stack.pop()
                    state = states[stack[-1]][origin]
                    stack.append(state)
                    continue
                if size:
                    parts = values[-size:]
                    begin = begins[-size]
                    del values[-size:], stack[-size:], begins[-size:]
                else:
                    parts = []
                    begin = starts[index]
                if method is not None:
                    arguments: list[Any] = []
                    for item in plan:
                        if item < 0:
                            arguments.append(None)
                        elif item < SPLICE:
                            arguments.append(parts[item])
                        else:
                            arguments.extend(parts[item - SPLICE])
                    values.append(method(begin, end, *arguments))
                elif how == 3:
                    values.append(parts[plan[0]])
                elif plan[0] >= SPLICE:
                    grown = parts[plan[0] - SPLICE]
                    grown.extend([parts[item] for item in plan[1:]])
                    values.append(grown)
                else:
                    values.append([parts[item] for item in plan])
                begins.append(begin)
                state = states[stack[-1]][origin]
                stack.append(state)
                if kind == "$END" and state == end_state:
                    tree = values[-1]
                    assert isinstance(tree, syntax.File)
                    return tree

    def trouble(self, index: int) -> int:
        """A token that the grammar refuses: repair or give up its statement. Gives the token to go on with."""
        tokens, stack = self.tokens, self.stack
        types = tokens.types
        self.rounds += 1
        if types[index] in tables().special.values():  # a word that is special elsewhere
            types[index] = "NAME"
            return index
        row = tables().states[stack[-1]]
        if "lines" in row:  # at the very beginning of a file or block
            stack.append(row["lines"])
            self.values.append([])
            self.begins.append(tokens.starts[index])
        elif index and types[index - 1] == "_NL":
            self.end_line()  # the tables wait for a known token before they do so
        depth = len(stack) - 1
        while not in_lines(stack[depth]):
            depth -= 1
        if types[index] == "$END" or self.rounds > 4 * MAX_ERRORS:
            depth, index = 1, len(types) - 1  # give up what is left
        begin = index
        if depth < len(self.begins):
            begin = min(bisect_left(tokens.starts, self.begins[depth]), index)
            while begin < index and types[begin] == "_NL":
                begin += 1  # an empty place before the statement
        if self.found.full or self.give_up:
            if self.give_up:
                self.found.add(error("syntax", "refused", Span(self.source, tokens.starts[index], tokens.stops[index])))
            again, after = False, len(types) - 1
        else:
            from dfg.frontend.slips import Recovery  # not needed for a file without errors

            recovery = Recovery(self.source, tokens, self.found, stack, index, begin, stack[: depth + 1], accepts_fixed)
            again, after = recovery.recover()
        del stack[depth + 1 :], self.values[depth:], self.begins[depth:]
        if again:
            return begin
        if isinstance(self.values[-1], list):
            self.values[-1].append(None)  # a statement stood here
        if types[after] == "$END":
            del stack[2:], self.values[1:], self.begins[1:]
        elif types[after] == "RBRACE" and len(self.begins) <= 1:
            after += 1
        return after


    def end_line(self) -> None:
        """Add the statement that an `_NL` has just ended to its list, whatever token follows."""
        action = tables().states[self.stack[-1]].get("_NL", 0)
        if action >= 0:
            return
        rule = tables().rules[-action - 1]
        if rule.origin == "lines" and rule.size:
            lines = self.values[-rule.size]
            if rule.name == "line":
                lines = self.builder.line(0, 0, lines, self.values[-2])
            begin = self.begins[-rule.size]
            del self.stack[-rule.size :], self.values[-rule.size :], self.begins[-rule.size :]
            self.stack.append(tables().states[self.stack[-1]]["lines"])
            self.values.append(lines)
            self.begins.append(begin)


@cache
def _line_states() -> frozenset[int]:
    return frozenset(number for number, row in enumerate(tables().states) if "stmt" in row)


def in_lines(state: int) -> bool:
    """Whether a statement may begin in this state."""
    return state in _line_states()
