"""The place where the grammar refuses a token: what is known there, and the ways to go on.

`Trouble` looks around in the statement, asks the automaton what could stand there, reports with fixes that were tried, and edits the tokens
so that the statement can be parsed again, or gives it up. What was meant is found out by `dfg.frontend.slips`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable

from dfg.diagnostics import Fix, Label, Sink, error
from dfg.frontend.lexer import Tokens
from dfg.frontend.tables import tables
from dfg.source import Source, Span

RESTART_LIMIT = 4000
HARMLESS = frozenset({
    "pythonic-power", "pythonic-logic", "pythonic-comparison", "pythonic-constant", "pythonic-quotes", "bad-character", "pythonic-method",
    "pythonic-precedence", "pythonic-chain", "pythonic-elif", "bad-number", "pythonic-return", "pythonic-assignment",
})  # fmt: skip
OPERAND_START = frozenset({"NAME", "NUMBER", "STRING", "LPAR", "LSQB", "TRUE", "FALSE", "NONE", "NOT", "PM", "SCAN", "WHILE", "FOR", "IF"})
OPERATORS = frozenset({"PM", "MUL", "POW", "CMP", "AND", "OR", "NOT", "BAR", "AMP", "EQUAL", "TILDE"})
NAME_FOLLOWS = frozenset({"EQUAL", "COMMA", "COLON", "RPAR", "RSQB", "DOT", "_NL", "PM", "MUL", "POW", "CMP", "RBRACE"})
KINDS = {"NAME": "a name", "NUMBER": "a number", "STRING": 'a text in "..."', "_NL": "the end of the line", "$END": "the end of the file"}
DECLARATIONS = frozenset({"PARAM", "STATE", "CONST", "INPUT", "OUTPUT", "UPDATE", "DIM", "DEFAULT", "USE", "DEF", "TEST"})
DTYPE_WORDS = frozenset({"bool", "u8", "i32", "i64", "f32", "f64"})
PREFIXES = frozenset({"np", "numpy", "torch", "math", "jnp", "jax", "tf", "scipy", "cupy"})
"""What stands before the names of functions in Python."""
LIBRARIES = frozenset({"numpy", "np", "torch", "jax", "math", "scipy", "tensorflow", "dfg", "cupy", "keras", "sys", "os"})

Outcome = tuple[bool, int]


class Trouble:
    """One refused token: `index`, in the statement that begins at token `begin`; `base` is the stack before that statement."""

    def __init__(self, source: Source, tokens: Tokens, sink: Sink, stack: list[int], index: int, begin: int, base: list[int],
                 accepts: Callable[[str, frozenset[str]], bool]) -> None:
        self.source = source
        self.text = source.text
        self.tokens = tokens
        self.types = tokens.types
        self.sink = sink
        self.stack = stack
        self.index = index
        self.begin = begin
        self.base = base
        self.accepts = accepts
        self.kind = self.types[index]
        self.before = self.types[index - 1] if index > begin else ""
        self.end = statement_end(self.types, begin, index)
        self.small = self.end - begin < RESTART_LIMIT
        if index - begin < RESTART_LIMIT:
            # The tables may have reduced on this token before refusing it: go back to what stood before, where more is still possible.
            earlier = list(base)
            if all(self.feed(earlier, kind) for kind in self.types[begin:index]):
                self.stack = earlier

    # Tokens

    def word(self, index: int) -> str:
        """The text of a token; empty outside the file."""
        if not 0 <= index < len(self.types):
            return ""
        return self.text[self.tokens.starts[index] : min(self.tokens.stops[index], self.tokens.starts[index] + 200)]

    def span(self, first: int, last: int | None = None) -> Span:
        last = first if last is None else last
        return Span(self.source, self.tokens.starts[first], self.tokens.stops[last])

    def here(self) -> Span:
        """The place to point at: the refused token; where it is a line's end, just after what stands before it."""
        if self.kind in ("_NL", "$END") or not self.word(self.index):
            at = self.tokens.stops[self.index - 1] if self.index else 0
            return Span(self.source, at, at)
        return self.span(self.index)

    def shown(self, index: int) -> str:
        kind = self.types[index]
        if kind in ("_NL", "$END"):
            return KINDS[kind]
        word = self.word(index)
        if kind == "NUMBER":
            return f"the number `{word}`"
        if kind == "STRING":
            return f"the text {word}" if len(word) < 40 else "a text"
        return f"`{word or self.tokens.wide.get(index) or tables().shown.get(kind, kind)}`"

    def back(self, index: int, stop_at: Iterable[str]) -> int:
        """The nearest token before `index`, at the same bracket depth or outside, of one of some kinds; -1 if none."""
        wanted = set(stop_at)
        depth = 0
        at = index - 1
        while at >= self.begin:
            kind = self.types[at]
            if kind in ("RPAR", "RSQB", "RBRACE"):
                depth += 1
            elif kind in ("LPAR", "LSQB", "LBRACE"):
                if depth == 0 and kind in wanted:
                    return at
                depth -= 1
                if depth < 0:
                    return -1
            elif depth == 0 and kind in wanted:
                return at
            at -= 1
        return -1

    def ahead(self, index: int, stop_at: Iterable[str]) -> int:
        """The nearest token at or after `index`, at the same bracket depth, of one of some kinds; the closing bracket or end otherwise."""
        wanted = set(stop_at)
        depth = 0
        at = index
        while at < self.end:
            kind = self.types[at]
            if depth == 0 and kind in wanted:
                return at
            if kind in ("LPAR", "LSQB", "LBRACE"):
                depth += 1
            elif kind in ("RPAR", "RSQB", "RBRACE"):
                if depth == 0:
                    return at
                depth -= 1
            at += 1
        return self.end

    # Reporting and going on

    def report(self, code: str, message: str, span: Span, *, help: str | None = None, fix: Fix | None = None,
               labels: tuple[Label, ...] = (), sure: bool = False) -> None:
        """Add an error; its fix is kept only if the statement parses with it (`sure`: known to)."""
        if fix is not None and not sure and not self.repairs(fix):
            fix = None
        self.sink.add(error(code, message, span, labels=labels, help=help, fix=fix))

    def repairs(self, fix: Fix) -> bool:
        if not self.small:
            return False
        start = min(self.tokens.starts[self.begin], *(span.start for span, _ in fix.edits))
        stop = max(self.tokens.starts[self.end], *(span.stop for span, _ in fix.edits))
        moved = tuple((Span(self.source, span.start - start, span.stop - start), new) for span, new in fix.edits)
        return self.accepts(Fix("", moved).apply(self.text[start:stop]), HARMLESS)

    def skip(self, place: int | None = None) -> Outcome:
        """Go on behind the statement, or at the first token at or after a place."""
        return False, self.end if place is None else max(bisect_left(self.tokens.starts, place), self.index)

    def edit(self, start: int, stop: int, *new: tuple[str, str | None]) -> Outcome:
        """Replace tokens and parse the statement again; too long a statement is given up instead."""
        if not self.small:
            return self.skip()
        tokens = self.tokens
        at = tokens.starts[start]
        until = tokens.stops[stop - 1] if stop > start else at
        if stop == start and start:
            at = until = tokens.stops[start - 1]
        tokens.splice(start, stop, [(kind, at, until, meant) for kind, meant in new])
        return True, self.begin

    # The automaton, without values

    def feed(self, stack: list[int], kind: str) -> bool:
        """Let a copy of the stack take one token; False if it is refused."""
        known = tables()
        states, rules = known.states, known.rules
        while True:
            action = states[stack[-1]].get(kind)
            if action is None:
                return kind == "$END" and stack[-1] == known.end
            if action >= 0:
                stack.append(action)
                return True
            rule = rules[-action - 1]
            if rule.size:
                del stack[-rule.size :]
            stack.append(states[stack[-1]][rule.origin])
            if kind == "$END" and stack[-1] == known.end:
                return True

    def expected(self) -> set[str]:
        """The terminals that could stand here."""
        tail = 400
        stack = self.stack[-tail:] if len(self.stack) > tail else self.stack
        kinds = [kind for kind in tables().states[stack[-1]] if kind.isupper() or kind[0] in "_$"]
        accepted = set()
        for kind in kinds:
            try:
                if self.feed(list(stack), kind):
                    accepted.add(kind)
            except IndexError:
                accepted.add(kind)  # the reductions go below the part of the stack that was copied
        return accepted

    def would_parse(self, types: list[str]) -> bool:
        """Whether the statement parses from its beginning with these terminals."""
        stack = list(self.base)
        special = set(tables().special.values())
        return all(self.feed(stack, kind) or (kind in special and self.feed(stack, "NAME")) for kind in types)


def statement_end(types: list[str], begin: int, index: int) -> int:
    """Where the statement that begins at `begin` and was refused at `index` ends: an `_NL`, a `}` that closes its block, or `$END`."""
    depth = 0
    at = begin
    last = len(types) - 1
    while at < last:
        kind = types[at]
        if kind in ("LPAR", "LSQB", "LBRACE"):
            depth += 1
        elif kind in ("RPAR", "RSQB", "RBRACE"):
            if depth == 0 and kind == "RBRACE" and at >= index:
                return at
            depth -= 1
        elif kind == "_NL" and depth <= 0 and at >= index:
            return at
        at += 1
    return last
