"""What was meant: names the slip behind a token that the grammar refuses, and repairs or gives up the statement.

Each `slip_...` method looks for one slip (a ternary, a Python body, `+=`, a missing `=`, ...) around the refused token. It reports in words
that a user knows, with a fix where one exists, and says how to go on: parse the statement again with edited tokens, or behind it. If none
applies, the error says what could stand there, and a single sign whose insertion makes the rest of the statement parse is proposed.
"""

from __future__ import annotations

import re
from bisect import bisect_left

from dfg.diagnostics import Fix, Label
from dfg.frontend.lexer import OPERAND_END
from dfg.frontend.recovery import (
    DECLARATIONS,
    DTYPE_WORDS,
    KINDS,
    LIBRARIES,
    NAME_FOLLOWS,
    OPERAND_START,
    OPERATORS,
    RESTART_LIMIT,
    Outcome,
    Trouble,
    statement_end,
)  # fmt: skip
from dfg.frontend.tables import tables
from dfg.source import Span

_GRADIENT = re.compile(r"grad\(\s*(\w+)\s*,\s*(\w+)\s*\)")


class Recovery(Trouble):
    """One method for each slip, tried in the order of `recover`."""

    def recover(self) -> Outcome:
        """Report, and say how to go on: (True, _) to parse the statement again, (False, n) to go on with token n."""
        for slip in (
            self.slip_stray_brace, self.slip_reserved, self.slip_assignment_to_word, self.slip_python_block, self.slip_import,
            self.slip_word, self.slip_ternary, self.slip_augmented, self.slip_equals, self.slip_scan, self.slip_while, self.slip_range,
            self.slip_else, self.slip_declaration, self.slip_unnamed_output, self.slip_carries, self.slip_arrow, self.slip_dim_chain, self.slip_open_line, self.slip_brace,
        ):  # fmt: skip
            outcome = slip()
            if outcome is not None:
                return outcome
        return self.unexpected()

    def slip_stray_brace(self) -> Outcome | None:
        """A `}` where a statement would begin, left over from something given up."""
        if self.kind == "RBRACE" and self.index == self.begin:
            return False, self.index + 1
        return None

    def is_reserved(self, index: int) -> bool:
        return self.types[index] in tables().reserved.values() and self.word(index).isidentifier()

    def slip_reserved(self) -> Outcome | None:
        """A reserved word where a name must stand."""
        if not self.is_reserved(self.index):
            return None
        after = self.types[self.index + 1]
        named = after in NAME_FOLLOWS or (self.before == "DEF" and after == "LPAR")
        if not named or self.kind in ("TRUE", "FALSE", "NONE") or "NAME" not in self.expected():
            return None
        if self.kind in ("AND", "OR", "ELSE", "IN") and after == "_NL" and self.before not in ("COMMA", *DECLARATIONS):
            return None
        return self.rename(self.index)

    def slip_assignment_to_word(self) -> Outcome | None:
        """`state = 0`: the statement begins with a reserved word that is meant as a name."""
        if self.index == self.begin + 1 and self.kind in ("EQUAL", "COLON", "COMMA", "DOT") and self.is_reserved(self.begin):
            if self.kind == "COLON" and self.types[self.begin] in ("ELSE", "WHILE"):
                return None
            return self.rename(self.begin)
        return None

    def rename(self, index: int) -> Outcome:
        word = self.word(index)
        span = self.span(index)
        self.report("reserved-word", f"`{word}` is a reserved word, not a name", span, fix=Fix(f"call it `{word}_`", ((span, f"{word}_"),)),
                    sure=True)
        return self.edit(index, index + 1, ("NAME", None))

    def slip_python_block(self) -> Outcome | None:
        """A colon and an indented body."""
        if self.kind != "COLON":
            return None
        first = self.types[self.begin]
        if first == "DEF" and self.before in ("RPAR", "RSQB", "NAME"):
            return self.python_def()
        line_word = first if first != "NAME" else self.word(self.begin)
        at = self.back(self.index, ("IF", "WHILE", "FOR", "ELSE"))
        if line_word in ("class", "try", "switch", "match") or (at >= 0 and self.types[self.index + 1] in ("_NL", "NAME", "YIELD", "IF")):
            self.report("pythonic-block", "a block stands in `{ }`, not after a colon", self.here(),
                        help="a branch or loop is an expression: `y = if p { a } else { b }`")
            return self.skip(self.body_end(self.tokens.stops[self.index], True))
        return None

    def indent(self, line: int) -> int:
        text = self.text
        at = line
        while at < len(text) and text[at] in " \t":
            at += 1
        return at - line

    def body_end(self, place: int, chain: bool = False) -> int:
        """Where the lines that are indented deeper than the statement end (with `chain`, `else` and `elif` lines belong to it)."""
        text = self.text
        own = text.rfind("\n", 0, self.tokens.starts[self.begin]) + 1
        depth = self.indent(own)
        at = text.find("\n", place)
        end = len(text) if at < 0 else at
        while at >= 0:
            line = at + 1
            at = text.find("\n", line)
            stop = len(text) if at < 0 else at
            content = text[line:stop].strip()
            if not content or content.startswith("#"):
                continue
            if self.indent(line) <= depth and not (chain and re.match(r"(else|elif|except|finally)\b", content)):
                break
            end = stop
        return end

    def python_def(self) -> Outcome:
        colon = self.span(self.index)
        line_end = self.text.find("\n", colon.stop)
        line_end = len(self.text) if line_end < 0 else line_end
        end = self.body_end(colon.stop)
        # One error says it all: the fix takes the `return`s of the body out too.
        self.sink.items[:] = [item for item in self.sink.items
                              if item.code != "pythonic-return" or item.span is None or not colon.stop <= item.span.start <= end]
        rest = self.text[colon.stop : line_end].split("#")[0].strip()
        message = "the body of a function stands after `=` or in `{ }`"
        if rest:
            found = re.match(r"\s*return\b[ \t]*", self.text[colon.stop : line_end])
            edits = ((Span(self.source, colon.start, colon.stop + (found.end() if found else 0)), " = " if found else " ="),)
            self.report("pythonic-def", message, colon, fix=Fix("write `=`", edits))
            return self.edit(self.index, self.index + 1, ("EQUAL", "="))
        if end <= line_end:
            self.report("pythonic-def", message, colon, help="write `def f(x) = value`")
            return self.skip()
        returns = [
            (Span(self.source, colon.stop + found.start(1), colon.stop + found.end(1)), "")
            for found in re.finditer(r"(?m)^[ \t]*(return[ \t]+)", self.text[colon.stop : end])
        ]
        self.report("pythonic-def", message, colon, help="the last line is the value; there is no `return`",
                    fix=Fix("write `{ }`", ((colon, " {"), *returns, (Span(self.source, end, end), "\n}"))), sure=True)
        close = bisect_left(self.tokens.starts, end)
        if close >= len(self.types) or not self.small or close - self.begin > RESTART_LIMIT:
            return self.skip(end)
        self.tokens.splice(close, close, [("_NL", end, end, None), ("RBRACE", end, end, None)])
        return self.edit(self.index, self.index + 1, ("LBRACE", "{"))

    def slip_import(self) -> Outcome | None:
        word = self.word(self.begin)
        if word not in ("import", "from") or self.types[self.begin] != "NAME" or self.index > self.begin + 3:
            return None
        name = self.word(self.begin + 1)
        whole = Span(self.source, self.tokens.starts[self.begin], self.tokens.starts[self.end])
        if name in LIBRARIES:
            fix = Fix("remove the line", ((whole, ""),))
            help_text = "every op is there without an import"
        else:
            alias = re.search(r"\bas[ \t]+(\w+)", whole.text)
            target = name if name.startswith('"') else f'"{name}.dfg"'
            fix = Fix(f"write `use {target}`", ((whole, f"use {target}" + (f" as {alias[1]}" if alias else "")),))
            help_text = "a file of functions is used by `use`"
        self.report("pythonic-import", f"there is no `{word}`", self.span(self.begin), help=help_text, fix=fix, sure=True)
        return self.skip()

    def slip_word(self) -> Outcome | None:
        """Words of other languages: `lambda`, `is`, `let`, `print x`, `class`."""
        last = self.word(self.index - 1) if self.index > self.begin else ""
        word = self.word(self.index)
        at = self.index if word == "lambda" and self.kind == "NAME" else self.index - 1 if last == "lambda" else -1
        if at >= 0:
            return self.python_lambda(at)
        if self.kind == "NAME" and word == "is" and self.before in OPERAND_END:
            negated = self.types[self.index + 1] == "NOT"
            right = "!=" if negated else "=="
            span = self.span(self.index, self.index + negated)
            self.report("pythonic-comparison", f"`{' '.join(span.text.split())}` is written `{right}`", span,
                        fix=Fix(f"write `{right}`", ((span, right),)), sure=True)
            return self.edit(self.index, self.index + 1 + negated, ("CMP", right))
        if self.index == self.begin + 1 and self.kind in ("NAME", "STRING", "NUMBER"):
            if last in ("let", "var", "val", "auto", "global", "nonlocal", "return", "assert", "del", "raise"):
                span = Span(self.source, self.tokens.starts[self.begin], self.tokens.starts[self.index])
                self.report("pythonic-word", f"there is no `{last}`", self.span(self.begin), fix=Fix(f"remove `{last}`", ((span, ""),)))
                return self.edit(self.begin, self.begin + 1)
            if last in ("print", "class"):
                whole = Span(self.source, self.tokens.starts[self.begin], self.tokens.starts[self.end])
                fix = None
                if last == "print" and self.end == self.begin + 2:
                    new = f"output {word}" if self.kind == "NAME" else f"output printed = {word}"
                    fix = Fix("make it an output", ((whole, new),))
                self.report(f"pythonic-{'print' if last == 'print' else 'word'}", f"there is no `{last}`", self.span(self.begin), fix=fix,
                            help="a run shows its outputs" if last == "print" else "values are grouped by records: (w = ..., b = ...)")
                return self.skip(self.body_end(self.tokens.stops[self.index])) if last == "class" else self.skip()
        return None

    def python_lambda(self, at: int) -> Outcome:
        colon = self.ahead(at, ("COLON",))
        if self.types[colon] == "COLON" and self.begin + 2 == at and self.types[self.begin + 1] == "EQUAL":
            head = Span(self.source, self.tokens.starts[self.begin], self.tokens.stops[colon])
            names = self.text[self.tokens.stops[at] : self.tokens.starts[colon]].strip()
            fix = Fix("write a function", ((head, f"def {self.word(self.begin)}({names}) ="),))
        else:
            fix = None
        self.report("pythonic-lambda", "there is no `lambda`", self.span(at), fix=fix,
                    help="define it above, `def f(x) = ...`, and use its name")
        return self.skip()

    def slip_ternary(self) -> Outcome | None:
        """`y if p else z`, and `p ? y : z`."""
        if self.kind == "QUESTION":
            first, middle, last = self.index, "QUESTION", "COLON"
        elif self.kind == "IF" and self.before in OPERAND_END:
            first, middle, last = self.index, "IF", "ELSE"
        else:
            return None
        start = self.operand_start(first)
        second = self.ahead(first + 1, (last,))
        message = "a choice is written `if p { y } else { z }`"
        if self.types[second] != last:
            if middle == "IF" and self.back(first, ("FOR",)) >= 0:
                message = "`[f(i) for i in 0..n]` takes no condition"
            self.report("pythonic-ternary", message, self.here(), help="`where(p, y, z)` chooses element by element")
            return self.skip()
        stop = self.ahead(second + 1, ("COMMA", "_NL", "COLON", "WITHIN"))
        parts = [
            self.text[self.tokens.starts[a] : self.tokens.stops[b - 1]]
            for a, b in ((start, first), (first + 1, second), (second + 1, stop))
            if b > a
        ]
        fix = None
        if len(parts) == 3:
            value, test, other = parts if middle == "IF" else (parts[1], parts[0], parts[2])
            whole = Span(self.source, self.tokens.starts[start], self.tokens.stops[stop - 1])
            fix = Fix("write it as a branch", ((whole, f"if {test} {{ {value} }} else {{ {other} }}"),))
        self.report("pythonic-ternary", message, self.here(), help="`where(p, y, z)` chooses element by element", fix=fix)
        return self.skip()

    def operand_start(self, index: int) -> int:
        """The first token of the expression that ends before `index`."""
        at = self.back(index, ("COMMA", "EQUAL", "LPAR", "LSQB", "LBRACE", "_NL", "COLON", "YIELD", "OUTPUT"))
        return self.begin if at < 0 else at + 1

    def slip_augmented(self) -> Outcome | None:
        """`x += 1`, `x++`."""
        sign = self.word(self.index)
        if self.kind == "_NL" and self.index - 2 > self.begin and self.word(self.index - 1) == self.word(self.index - 2) in ("+", "-"):
            name = self.text[self.tokens.starts[self.begin] : self.tokens.stops[self.index - 3]]
            first, value, op = self.index - 2, "1", self.word(self.index - 1)
        elif self.kind == "AUG" or sign == "+=":
            name = self.text[self.tokens.starts[self.begin] : self.tokens.stops[self.index - 1]] if self.index > self.begin else ""
            first, op = self.index, sign[:-1]
            value = self.text[self.tokens.stops[self.index] : self.tokens.starts[self.end]].split("#")[0].strip()
        else:
            return None
        if "WITH" in self.types[self.begin : self.index]:
            span = self.span(self.index)
            less = Fix("write `+= -(...)`", ((Span(self.source, span.start, self.tokens.stops[self.end - 1]), f"+= -({value})"),))
            self.report("pythonic-augmented", "`with` takes `=` or `+=`", span, fix=less if sign == "-=" else None)
            return self.skip()
        atom = re.fullmatch(r"[\w.]+|\(.*\)|\w+\([^()]*\)", value) is not None
        right = value if atom or op == "+" else f"({value})"
        element = re.fullmatch(r"\s*([\w.]+)\s*(\[.*\])\s*", name, re.DOTALL)
        plain = re.fullmatch(r"[\w.]+", name.strip()) is not None
        start, stop = self.tokens.starts[self.begin], self.tokens.stops[self.end - 1]
        fix = None
        if element and op in "+-":
            more = value if op == "+" else f"-({value})"
            fix = Fix("write `with`", ((Span(self.source, start, stop),
                                        f"{element[1]}_next = {element[1]} with {element[2]} += {more}"),))
        elif plain:
            kept = re.search(rf"(?m)^[ \t]*(?:state|param)[ \t]+{re.escape(name)}\b", self.text) is not None
            inside = len(self.base) > 2
            target = f"update {name}" if kept and not inside else name if inside else f"{name}_next"
            fix = Fix(f"write `{target} = {name} {op} ...`", ((Span(self.source, start, stop), f"{target} = {name} {op} {right}"),))
        self.report("pythonic-augmented", "nothing is changed in place", Span(self.source, self.tokens.starts[first],
                    self.tokens.stops[max(first, self.index - (self.kind == "_NL"))]), fix=fix,
                    help="a `state` changes by `update`, a carry by its line in the loop; everything else gets a new name")
        return self.skip()

    def slip_equals(self) -> Outcome | None:
        """`=` where `==` is meant, and `a = b = c`."""
        if self.kind != "EQUAL":
            return None
        expected = self.expected()
        head = self.back(self.index, ("IF", "WHILE", "LBRACE", "RBRACE", "LPAR", "LSQB", "EQUAL"))
        head_kind = self.types[head] if head >= 0 else ""
        if "CMP" in expected and (head_kind in ("IF", "WHILE", "LPAR", "LSQB") or self.types[self.begin] == "DIM"):
            span = self.span(self.index)
            fix = Fix("write `==`", ((span, "=="),))
            self.report("pythonic-equals", "`=` binds a name; a comparison is `==`", span, fix=fix, sure=True)
            return self.edit(self.index, self.index + 1, ("CMP", "=="))
        if head_kind == "EQUAL" and self.types[self.begin] == "NAME":
            value = self.text[self.tokens.stops[self.index] : self.tokens.stops[self.end - 1]].strip()
            middle = self.text[self.tokens.stops[head] : self.tokens.starts[self.index]].strip()
            first = self.text[self.tokens.starts[self.begin] : self.tokens.stops[head - 1]]
            whole = Span(self.source, self.tokens.starts[self.begin], self.tokens.stops[self.end - 1])
            fix = Fix("write two statements", ((whole, f"{middle} = {value}\n{first} = {middle}"),))
            self.report("pythonic-chained-binding", "a statement has one `=`", self.span(self.index), fix=fix)
            return self.skip()
        return None

    def slip_scan(self) -> Outcome | None:
        """`scan(f, start, xs)`, and `carry (a, b) = …`."""
        if self.kind != "LPAR" or self.before not in ("SCAN", "CARRY"):
            return None
        if self.before == "SCAN":
            self.report("syntax", "`scan` is no function: it names the elements and the carries of a loop", self.here(),
                        help="`h, hs = scan x_t in xs carry h = h0 { … }`, with `h = …` and `yield …` in the block")
        else:
            self.report("syntax", "each carry has its own start", self.here(), help="`carry a = 0.0, b = 1.0`")
        return self.skip()

    def slip_while(self) -> Outcome | None:
        """A loop without its `max` or its `carry`."""
        if self.kind not in ("CARRY", "LBRACE"):
            return None
        expected = self.expected()
        at = self.back(self.index, ("WHILE", "FOR"))
        if at < 0:
            return None
        place = self.tokens.stops[self.index - 1]
        if "MAX" in expected:
            fix = Fix("insert a bound", ((Span(self.source, place, place), " max 1000"),)) if self.kind == "CARRY" else None
            self.report("while-without-max", "a `while` needs a bound on its number of steps", self.span(at), sure=True, fix=fix,
                        help="`while TEST max 1000 carry z = START { ... }`")
            if self.kind == "CARRY":
                return self.edit(self.index, self.index, ("MAX", "max"), ("NUMBER", "1000"))
            return self.skip()
        if "CARRY" in expected and self.kind == "LBRACE":
            self.report("loop-without-carry", f"a `{self.word(at)}` loop carries a value from step to step", self.span(at),
                        help="say which, and from what: `carry s = START`")
            return self.skip()
        return None

    def slip_range(self) -> Outcome | None:
        """`for i in 0:10`."""
        dots = tables().signs[".."]
        if self.kind == "COLON" and dots in self.expected() and self.back(self.index, ("FOR",)) >= 0:
            span = self.span(self.index)
            self.report("pythonic-range", "a range is written `0..10`", span, fix=Fix("write `..`", ((span, ".."),)))
            return self.edit(self.index, self.index + 1, (dots, ".."))
        return None

    def slip_else(self) -> Outcome | None:
        """An `if` without `else`; an `else` without `if`."""
        if self.kind == "ELSE":
            if "IF" not in self.types[self.begin : self.index]:
                self.report("missing-else", "this `else` belongs to no `if`", self.here(), help="`y = if p { a } else { b }`")
                return self.skip(self.body_end(self.tokens.stops[self.index]) if self.types[self.index + 1] == "COLON" else None)
            return None
        if self.before == "RBRACE" and self.expected() == {"ELSE"}:
            at = self.back(self.index, ("IF",))
            self.report("missing-else", "an `if` gives a value, so it needs an `else`", self.span(at) if at >= 0 else self.here(),
                        help="`y = if p { a } else { b }`")
            return self.skip()
        return None

    def slip_declaration(self) -> Outcome | None:
        """A declaration without its type or value."""
        first = self.types[self.begin]
        word = self.word(self.begin)
        expected = self.expected()
        if self.kind == "LPAR" and self.before == "NAME" and self.types[self.index - 2] == "COLON" and "LSQB" in expected:
            close = self.ahead(self.index + 1, ())
            fix = Fix("write `[ ]`", ((self.span(self.index), "["), (self.span(close), "]")))
            self.report("syntax", "the shape of a type stands in `[ ]`", self.here(), fix=fix)
            return self.skip()
        if first == "INPUT" and "COLON" in expected and self.kind in ("_NL", "EQUAL"):
            self.report("missing-type", "an input needs its type", self.here(), help="for example `input x : f64[n]`")
            return self.skip()
        if first in ("PARAM", "STATE", "CONST") and "EQUAL" in expected and self.kind == "_NL" and self.before != first:
            help_text = f"for example `{word} w : f64[n] = 0.0`" if first != "CONST" else "for example `const k = 3`"
            self.report("missing-value", f"a {word} needs {'its' if first == 'CONST' else 'an initial'} value", self.here(), help=help_text)
            return self.skip()
        return None

    def slip_unnamed_output(self) -> Outcome | None:
        """`output sum(x)`: a value without a name."""
        types = self.types
        if types[self.begin] != "OUTPUT" or self.kind in ("_NL", "$END", "COMMA", "EQUAL", "NAME", "COLON") or "EQUAL" in types[self.begin : self.index]:
            return None
        first, whole = self.tokens.starts[self.begin + 1], self.text[self.tokens.starts[self.begin + 1] : self.tokens.stops[self.end - 1]]
        single = "COMMA" not in types[self.begin : self.index]
        made = _GRADIENT.fullmatch(whole)
        name = f"d{made[1]}_d{made[2]}" if made else "result"
        self.report("unnamed-output", "an output has a name", Span(self.source, first, self.tokens.stops[self.end - 1]),
                    help=None if single else "bind the value above: `result = …`, then `output …, result`",
                    fix=Fix("name it", ((Span(self.source, first, first), f"{name} = "),)) if single else None)
        return self.skip()

    def slip_carries(self) -> Outcome | None:
        """`carry a, b = 0, 1`: each carry has its own start."""
        if self.kind != "COMMA" or self.before != "NAME" or "CARRY" not in self.types[self.begin : self.index]:
            return None
        if self.types[self.index - 2] not in ("CARRY", "COMMA"):
            return None
        self.report("syntax", "each carry has its own start", self.here(), help="`carry a = 0, b = 1`")
        return self.skip()

    def slip_dim_chain(self) -> Outcome | None:
        """`dim 2 <= n <= 5`."""
        if self.types[self.begin] != "DIM" or self.kind != "CMP" or "CMP" not in self.types[self.begin : self.index]:
            return None
        first = self.types.index("CMP", self.begin)
        left, middle, right = (
            self.text[self.tokens.starts[a] : self.tokens.stops[b - 1]] for a, b in ((self.begin + 1, first), (first + 1, self.index), (self.index + 1, self.end))
        )
        whole = Span(self.source, self.tokens.starts[self.begin], self.tokens.stops[self.end - 1])
        new = f"dim {left} {self.word(first)} {middle}\ndim {middle} {self.word(self.index)} {right}"
        self.report("pythonic-chain", "comparisons do not chain", Span(self.source, self.tokens.starts[self.begin + 1], self.tokens.stops[self.end - 1]),
                    help="a `dim` line states one fact", fix=Fix("write two lines", ((whole, new),)))
        return self.skip()

    def slip_arrow(self) -> Outcome | None:
        """`def f(x) -> x + 1`: a value where the type of the result would stand."""
        arrow = tables().signs["->"]
        if self.types[self.begin] != "DEF" or arrow not in self.types[self.begin : self.index] or "EQUAL" in self.types[self.begin : self.index]:
            return None
        at = self.begin + self.types[self.begin : self.index].index(arrow)
        if self.word(at + 1) in DTYPE_WORDS:
            return None
        span = self.span(at)
        self.report("pythonic-def", "the value of a function stands after `=`; `->` says its type", span, fix=Fix("write `=`", ((span, "="),)))
        return self.edit(at, at + 1, ("EQUAL", "="))

    def slip_open_line(self) -> Outcome | None:
        """A line that ends after an operator."""
        if self.kind != "_NL" or self.before not in OPERATORS | {"COMMA"} or self.types[self.index + 1] not in OPERAND_START:
            return None
        equal = self.back(self.index, ("EQUAL",))
        follows = statement_end(self.types, self.index + 1, self.index + 1)
        start = (equal if equal >= 0 else self.begin - 1) + 1
        gap = Span(self.source, self.tokens.stops[self.index - 1], self.tokens.starts[self.index + 1])
        edits: tuple[tuple[Span, str], ...] = ((gap, " "),)
        title = "join the lines"
        if start < self.index and equal != self.index - 1:
            left, right = self.tokens.starts[start], self.tokens.stops[follows - 1]
            edits = (Span(self.source, left, left), "("), (Span(self.source, right, right), ")")
            title = "put it in ( )"
        end, self.end = self.end, follows
        good = (title != "join the lines" or "#" not in gap.text) and self.repairs(Fix(title, edits))
        self.end = end
        self.report("line-continues", f"the line ends after {self.shown(self.index - 1)}", self.here(), sure=True,
                    help="a line goes on in the next one only inside ( ) or [ ]", fix=Fix(title, edits) if good else None)
        return self.edit(self.index, self.index + 1) if good else self.skip()

    def slip_brace(self) -> Outcome | None:
        """A dict or set."""
        if self.kind == "LBRACE" and self.before in ("EQUAL", "COMMA", "LPAR", "LSQB") and "LPAR" in self.expected():
            self.report("pythonic-dict", "`{ }` holds a block; values are grouped by records", self.here(), help="`(w = 1.0, b = 2.0)`")
            return self.skip()
        return None

    # Anything else

    def unexpected(self) -> Outcome:
        """Say what could stand here; propose a sign whose insertion or removal makes the statement parse."""
        expected = self.expected()
        rest = [*self.types[self.index : self.end], "_NL"]
        head = self.types[self.begin : self.index]
        opener = self.back(self.index, ("LPAR", "LSQB"))
        labels = (Label(self.span(opener), "opened here"),) if opener >= 0 and self.before in OPERAND_END else ()
        after = f" after {self.shown(self.index - 1)}" if self.index > self.begin else ""
        message = f"expected {self.wanted(expected)}{after}, found {self.shown(self.index)}"
        place = self.tokens.stops[self.index - 1] if self.index else 0
        if self.kind in ("RPAR", "RSQB") and not self.word(self.index):
            return self.skip()  # no one wrote it: the error that put it here tells of the place
        if self.small and len(rest) + len(head) < RESTART_LIMIT:
            listing = opener >= 0 or (self.types[self.begin] in ("OUTPUT", "INPUT", "GRADCHECK") and "EQUAL" not in head)
            for kind in ("COMMA", "EQUAL", "COLON", "IN", "MUL"):
                if kind not in expected or (kind == "MUL" and (self.before != "NUMBER" or self.kind == "NUMBER")) or (kind == "COMMA" and not listing):
                    continue
                if not self.would_parse([*head, kind, *rest]):
                    continue
                sign = "*" if kind == "MUL" else tables().shown[kind]
                what = {"EQUAL": "`=` is missing", "COMMA": "`,` is missing", "COLON": "`:` is missing", "IN": "`in` is missing"}
                new = "," if kind == "COMMA" else f" {sign}" if self.text[place : place + 1].isspace() else f" {sign} "
                fix = Fix(f"insert `{sign}`", ((Span(self.source, place, place), new),))
                self.report("syntax", f"{what.get(kind, '`*` is missing')}{after}", self.here(), labels=labels, fix=fix)
                return self.edit(self.index, self.index, (kind, sign))
            signs = ("COMMA", "COLON", "EQUAL", "DOT", "MUL", "PM", "CMP", "TILDE")
            if self.kind in signs and head and self.would_parse([*head, *rest[1:]]):
                span = self.span(self.index)
                self.report("syntax", message, span, labels=labels, fix=Fix(f"remove {self.shown(self.index)}", ((span, ""),)))
                return self.edit(self.index, self.index + 1)
        self.report("syntax", message, self.here(), labels=labels)
        return self.skip()

    def wanted(self, expected: set[str]) -> str:
        """What could stand here, in words."""
        if not expected:
            return "nothing"
        shown = tables().shown
        if {"NAME", "NUMBER", "LPAR"} <= expected:
            return "a statement" if "PARAM" in expected else "an expression"
        if "CMP" in expected and "PM" in expected:
            words = [f"`{shown[kind]}`" for kind in ("RPAR", "RSQB", "LBRACE", "ELSE", "MAX", "WITHIN", "IN", "CARRY", "COMMA", "EQUAL")
                     if kind in expected]
            if "_NL" in expected:
                words = ["the end of the line"]
            return " or ".join([*words[:2], "an operator"]) if words else "an operator"
        expected = expected - {"WITH"} or expected
        words = sorted(KINDS.get(kind) or f"`{shown.get(kind, '')}`" for kind in expected if kind in KINDS or kind in shown)
        return " or ".join(words[:4]) if words else "something else"
