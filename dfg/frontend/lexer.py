"""Text -> tokens: three parallel lists (terminal, start, stop), and the comments beside them.

Done here because a lexer says it better than a grammar: newlines (one `_NL` ends each statement, none inside `( )` or `[ ]`, none before
`else` or `carry`), words that are special only in their place, and brackets. Slips that one token shows (`^`, `&&`, `'text'`, `;`,
`True`, a look-alike such as the sign of multiplication) are reported and replaced by what was meant, so that parsing goes on and finds the
other errors of the file. Brackets always come out balanced: what is missing is reported at its opener and put in.

>>> from dfg.diagnostics import Sink
>>> from dfg.source import Source
>>> lex(Source("a.dfg", "y = f(a,\\n  b)"), Sink()).types
['NAME', 'EQUAL', 'NAME', 'LPAR', 'NAME', 'COMMA', 'NAME', 'RPAR', '_NL', '$END']
"""

from __future__ import annotations

import re
from functools import cache

from dfg.diagnostics import Diagnostic, Fix, Label, Sink, error
from dfg.frontend.syntax import Comment
from dfg.frontend.tables import tables
from dfg.source import Source, Span, normal

MAX_TOKENS = 10_000_000
MAX_ERRORS = 500
MAX_REWINDS = 40

TOP_WORDS = frozenset({"input", "param", "state", "const", "output", "update", "dim", "def", "use", "test", "default"})
OPERAND_END = frozenset({"NAME", "NUMBER", "STRING", "RPAR", "RSQB", "RBRACE", "TRUE", "FALSE", "NONE"})
CLOSER = {"(": ")", "[": "]", "{": "}"}
OPENER = {")": "(", "]": "[", "}": "{"}

LOOKALIKE = {
    "×": "*", "·": "*", "⋅": "*", "÷": "/", "−": "-", "–": "-", "≤": "<=", "≥": ">=", "≠": "!=", "¬": "not ", "∧": "and", "∨": "or",
    "（": "(", "）": ")", "，": ",", "：": ":", "＝": "=", "→": "->", "…": "...",
}  # fmt: skip
PYTHON_WORDS = {"True": "true", "False": "false", "None": "none"}
SLIP_WORDS = frozenset({*PYTHON_WORDS, "elif", "return"})

_BINDING = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*(?:[ \t]*,[ \t]*[^\W\d]\w*)*[ \t]*(?:=(?!=)|:[^=\n]*=(?!=))")
_TOP = re.compile(rf"(?:{'|'.join(sorted(TOP_WORDS))}|yield)[ \t]+[\w\"]")
_RETURN = re.compile(r"[ \t]+(?=[^\s=,:.)\]#])(?!==)")
_COMBINING = "\u0300-\u036f\u20d0-\u20ff"


@cache
def scanner() -> re.Pattern[str]:
    """One pattern for everything; the group that matched says what it is."""
    known = tables()
    # What is read of a number is never given back: a number of millions of digits takes no memory but its own.
    number = known.number.replace("#", "[#]").replace(r"\d+(_\d+)*", r"\d++(?:_\d++)*+")
    signs = "|".join(re.escape(sign) for sign in sorted(known.signs, key=lambda sign: (-len(sign), sign)))
    slips = r"\*\*=|//=|&&=?|\|\|=?|:=|=>|===|!==|<>|<-|[-*/%@&|^]=(?![=~])"
    return re.compile(
        rf"""[ \t\f\r]*(?:
          (?P<name>[^\W\d][\w{_COMBINING}]*)
        | (?P<number>{number})
        | (?P<triple>\"\"\"|''')
        | (?P<text>{known.text})
        | (?P<slip>{slips})
        | (?P<sign>{signs})
        | (?P<newline>\n(?:[ \t\f\r]*+\n)*+)
        | (?P<comment>[#][^\n]*)
        | (?P<other>[^ \t\f\r])
        )""",
        re.VERBOSE,
    )


class Tokens:
    """The tokens of a source; `wide` maps the few whose meaning differs from their text (a replaced slip) to what was meant."""

    __slots__ = ("comments", "starts", "stops", "types", "wide")

    def __init__(self) -> None:
        self.types: list[str] = []
        self.starts: list[int] = []
        self.stops: list[int] = []
        self.comments: list[Comment] = []
        self.wide: dict[int, str] = {}

    def splice(self, start: int, stop: int, new: list[tuple[str, int, int, str | None]]) -> None:
        """Replace the tokens `start <= i < stop` by others: (terminal, start, stop, what is meant or None)."""
        shift = len(new) - (stop - start)
        self.wide = {index + shift if index >= stop else index: meant for index, meant in self.wide.items() if not start <= index < stop}
        self.wide.update({start + at: meant for at, (_, _, _, meant) in enumerate(new) if meant is not None})
        self.types[start:stop] = [item[0] for item in new]
        self.starts[start:stop] = [item[1] for item in new]
        self.stops[start:stop] = [item[2] for item in new]


def lex(source: Source, sink: Sink) -> Tokens:
    """The tokens of a source: balanced, ending in `_NL $END`. What is wrong goes into the sink."""
    return _Lexer(source, sink).run()


def hopeless(text: str) -> bool:
    """Whether a text surely has too many tokens, told before reading all of it: without texts and comments no token holds two of the first signs, or
    more than three of the others."""
    if len(text) <= MAX_TOKENS or '"' in text or "#" in text:
        return False
    return sum(map(text.count, ",()[]{}+-")) + sum(map(text.count, "*/<>=.&|@")) // 3 > MAX_TOKENS


class _Lexer:
    def __init__(self, source: Source, sink: Sink) -> None:
        self.source = source
        self.text = source.text
        self.sink = sink
        self.out = Tokens()
        self.stack: list[tuple[str, int]] = []  # opener and the index of its token
        self.place = 0
        self.found: list[Diagnostic] = []
        self.rewinds = 0

    def run(self) -> Tokens:
        out, text = self.out, self.text
        if hopeless(text):
            self.too_long(0, 1)
            self.put("$END", len(text), len(text))
            for item in self.found:
                self.sink.add(item)
            return out
        self.scan()
        while self.stack and self.rewinds < MAX_REWINDS and len(out.types) < MAX_TOKENS:
            # Everything after an opener that nobody closes was read as its inside: close it where its line ends and read on from there.
            index = next((at for opener, at in self.stack if opener != "{"), -1)
            end = text.find("\n", out.starts[index]) if index >= 0 else -1
            if end < 0:
                break
            self.rewinds += 1
            self.rewind(end)
            while self.stack and self.stack[-1][1] >= index:
                self.unclosed(end)
            self.scan()
        self.close_all(len(text))
        if out.types and out.types[-1] != "_NL":
            self.put("_NL", len(text), len(text))
        self.put("$END", len(text), len(text))
        for index in [i for i, kind in enumerate(out.types) if kind in ("RUN", "GRADCHECK", "GROUP")]:
            self.settle_word(index)
        for item in self.found:
            self.sink.add(item)
        return out

    def settle_word(self, index: int) -> None:
        """`run`, `gradcheck` and `group` are names unless what must follow them does."""
        types = self.out.types
        before = types[index - 1] if index else "_NL"
        follows = {"RUN": ("NUMBER", "NAME"), "GRADCHECK": ("NAME",), "GROUP": ("LBRACE", "STRING")}[types[index]]
        if before not in ("_NL", "LBRACE") or types[index + 1] not in follows:
            types[index] = "NAME"

    def put(self, kind: str, start: int, stop: int, meant: str | None = None) -> None:
        out = self.out
        if meant is not None:
            out.wide[len(out.types)] = meant
        out.types.append(kind)
        out.starts.append(start)
        out.stops.append(stop)

    def span(self, start: int, stop: int) -> Span:
        return Span(self.source, start, stop)

    def report(self, item: Diagnostic) -> None:
        if len(self.found) < MAX_ERRORS:
            self.found.append(item)

    def rewind(self, place: int) -> None:
        """Forget the tokens that reach behind a place, the comments and errors that begin there, and read on from it."""
        out = self.out
        keep = len(out.types)
        while keep and (out.starts[keep - 1] >= place or out.stops[keep - 1] > place):
            keep -= 1
        del out.types[keep:], out.starts[keep:], out.stops[keep:]
        out.wide = {index: meant for index, meant in out.wide.items() if index < keep}
        while out.comments and out.comments[-1].start >= place:
            out.comments.pop()
        self.found = [item for item in self.found if item.span is not None and item.span.start < place]
        self.stack = []
        names = {tables().signs[sign]: sign for sign in CLOSER}
        for index, kind in enumerate(out.types):  # a bracket that was closed behind the place is open again
            if kind in names:
                self.stack.append((names[kind], index))
            elif kind in ("RPAR", "RSQB", "RBRACE"):
                self.stack.pop()
        self.place = place

    # The loop

    def scan(self) -> None:
        known = tables()
        reserved, special, signs = known.reserved, known.special, known.signs
        out, text = self.out, self.text
        types, starts, stops = out.types, out.starts, out.stops
        stack = self.stack
        fresh = False  # a newline inside brackets came just before
        place = self.place
        match = scanner().match
        while True:
            found = match(text, place)
            if found is None:
                break
            kind = found.lastgroup
            start, stop = found.span(kind or 0)
            place = stop
            if kind == "name":
                word = text[start:stop]
                if fresh:
                    fresh = False
                    self.begins_statement(start)
                terminal = reserved.get(word)
                if terminal is None:
                    terminal = special.get(word, "NAME")
                    if word in SLIP_WORDS or not word.isascii():
                        self.place = place
                        self.odd_word(word, start, stop)
                        place = self.place if len(self.found) < MAX_ERRORS else len(text)
                        continue
                elif (word == "else" or word == "carry") and types and types[-1] == "_NL":
                    del types[-1], starts[-1], stops[-1]
                elif stack and word in TOP_WORDS and (start == 0 or text[start - 1] == "\n") and _TOP.match(text, start):
                    self.close_all(start)
                types.append(terminal)
                starts.append(start)
                stops.append(stop)
            elif kind == "sign":
                sign = text[start:stop]
                fresh = False
                if sign in CLOSER:
                    stack.append((sign, len(types)))
                elif sign in OPENER and not self.closes(sign, start, stop):
                    if len(self.found) >= MAX_ERRORS:
                        break
                    continue
                types.append(signs[sign])
                starts.append(start)
                stops.append(stop)
            elif kind == "newline":
                if stack and stack[-1][0] != "{":
                    fresh = True
                elif types and types[-1] != "_NL":
                    types.append("_NL")
                    starts.append(start)
                    stops.append(stop)
            elif kind == "comment":
                line = text.rfind("\n", 0, start) + 1
                own = not text[line:start].strip(" \t\f\r\ufeff")
                out.comments.append(Comment(self.source, start, stop, text[start + 1 : stop].rstrip("\r"), own))
            elif kind == "number":
                fresh = False
                types.append("NUMBER")
                starts.append(start)
                stops.append(stop)
                if stop < len(text) and (text[stop].isalnum() or text[stop] == "_"):
                    place = self.stuck_number(start, stop)
                    if len(self.found) >= MAX_ERRORS:
                        break
            elif kind == "text":
                fresh = False
                types.append("STRING")
                starts.append(start)
                stops.append(stop)
            else:
                fresh = False
                self.place = place
                self.odd(kind or "other", start, stop)
                place = self.place if len(self.found) < MAX_ERRORS else len(text)
            if len(types) > MAX_TOKENS:
                self.too_long(start, stop)
                del types[:], starts[:], stops[:], stack[:]
                break
        self.place = len(text)

    def too_long(self, start: int, stop: int) -> None:
        self.report(error("too-large", f"the file has more than {MAX_TOKENS:,} words and signs", self.span(start, stop),
                          help="split it, and keep tables in .npz files: const w = load(\"table.npz:w\")"))

    def begins_statement(self, start: int) -> None:
        """Called for the first word of a line inside `(` or `[`: if it can only begin a statement, the bracket was never closed."""
        before = self.out.types[-1]
        if _TOP.match(self.text, start) or (before in OPERAND_END and _BINDING.match(self.text, start)):
            while self.stack and self.stack[-1][0] != "{":
                self.unclosed(start)
            self.put("_NL", self.out.stops[-1], self.out.stops[-1])

    # Brackets

    def unclosed(self, place: int) -> None:
        """Report the innermost open bracket and close it (at `place`)."""
        opener, index = self.stack.pop()
        out = self.out
        closer = CLOSER[opener]
        at = out.starts[index]
        before = out.stops[-1] if out.stops else 0
        place = min(place, len(self.text))
        if opener == "{":
            if out.types[-1] != "_NL":
                self.put("_NL", place, place)
            tail = "\n}\n" if place >= len(self.text) else "}\n"
            fix = Fix(f"insert `{closer}`", ((self.span(place, place), tail),))
        elif out.types[-1] in OPERAND_END or out.types[-1] == "COMMA" or len(out.types) - 1 == index:
            fix = Fix(f"insert `{closer}`", ((self.span(before, before), closer),))
        else:
            fix = None  # something is missing before it
        self.report(error("unclosed-bracket", f"`{opener}` is never closed", self.span(at, at + 1), help=f"put a `{closer}` where it ends",
                          fix=fix))
        where = max(before, place) if opener == "{" else before
        self.put(tables().signs[closer], where, where)

    def close_all(self, place: int) -> None:
        while self.stack:
            self.unclosed(place)
        if self.out.types and self.out.types[-1] != "_NL":
            self.put("_NL", place, place)

    def closes(self, sign: str, start: int, stop: int) -> bool:
        """Take a closing bracket off the stack; False if the sign was dealt with (dropped or replaced)."""
        stack = self.stack
        opener = OPENER[sign]
        if stack and stack[-1][0] == opener:
            stack.pop()
            if sign == "}" and self.out.types[-1] != "_NL":
                self.put("_NL", start, start)
            return True
        if any(item[0] == opener for item in stack[-64:]):
            while stack[-1][0] != opener:
                self.unclosed(start)
            return self.closes(sign, start, stop)
        if stack and stack[-1][0] != "{":
            other, index = stack.pop()
            at = self.out.starts[index]
            right = CLOSER[other]
            self.report(error("mismatched-bracket", f"`{other}` is closed by `{sign}`", self.span(start, stop),
                              labels=[Label(self.span(at, at + 1), "opened here")],
                              fix=Fix(f"write `{right}`", ((self.span(start, stop), right),))))
            self.put(tables().signs[right], start, stop)
            return False
        self.report(error("extra-bracket", f"this `{sign}` closes nothing", self.span(start, stop),
                          fix=Fix(f"remove `{sign}`", ((self.span(start, stop), ""),))))
        return False

    # Slips that one token shows

    def odd_word(self, word: str, start: int, stop: int) -> None:
        known = tables()
        span = self.span(start, stop)
        if word in PYTHON_WORDS:
            right = PYTHON_WORDS[word]
            self.report(error("pythonic-constant", f"`{word}` is written `{right}`", span, fix=Fix(f"write `{right}`", ((span, right),))))
            self.put(known.reserved[right], start, stop, right)
        elif word == "elif":
            types = self.out.types
            if types and types[-1] == "_NL":
                del types[-1], self.out.starts[-1], self.out.stops[-1]
            self.report(error("pythonic-elif", "`elif` is written `else if`", span, fix=Fix("write `else if`", ((span, "else if"),))))
            self.put("ELSE", start, start)
            self.put("IF", start, stop)
        elif word == "return":
            follows = _RETURN.match(self.text, stop)
            if follows is None or (self.out.types and self.out.types[-1] not in ("_NL", "LBRACE", "COLON")):
                self.put("NAME", start, stop)
                return
            self.report(error("pythonic-return", "there is no `return`: the last line of a block is its value", span,
                              fix=Fix("remove `return`", ((self.span(start, follows.end()), ""),))))
        elif normal(word).isidentifier():
            self.put(known.reserved.get(word, "NAME"), start, stop)
        else:
            bad = next(i for i in range(1, len(word) + 1) if not normal(word[:i]).isidentifier()) - 1
            self.report(error("bad-character", f"`{word[bad]}` cannot stand in a name", self.span(start + bad, start + bad + 1)))
            self.put("NAME", start, stop)

    def stuck_number(self, start: int, stop: int) -> int:
        """`2x`, `1j`, `1_`, `0b11`: a name sticks to a number. Gives the place to read on from."""
        text = self.text
        end = stop
        while end < len(text) and (text[end].isalnum() or text[end] == "_"):
            end += 1
        tail = text[stop:end]
        span = self.span(start, end)
        whole = text[start:end]
        if whole[:2] in ("0b", "0o", "0B", "0O"):
            try:
                value = int(whole, 0)
            except ValueError:
                value = 0
            item = error("bad-number", "numbers are decimal, or hexadecimal after `0x`", span,
                         fix=Fix(f"write `{value}`", ((span, str(value)),)))
        elif tail in ("j", "J"):
            item = error("bad-number", "there are no complex numbers", span, help="carry the real and imaginary parts as two values")
        elif tail[0] == "_" or tail[0].isdigit() or not tail.isidentifier():
            item = error("bad-number", f"`{whole}` is not a number", span, fix=Fix("write the digits alone", ((span, text[start:stop]),)))
        else:
            item = error("bad-number", f"`{whole}` is neither a number nor a name", span, help="a product needs its `*`",
                         fix=Fix(f"write `{text[start:stop]} * {tail}`", ((self.span(stop, stop), " * "),)))
            self.put("MUL", stop, stop, "*")
            end = stop
        self.report(item)
        return end

    def odd(self, kind: str, start: int, stop: int) -> None:
        text = self.text
        sign = text[start:stop]
        if kind == "triple":
            self.triple(sign, start, stop)
        elif kind == "slip":
            self.slip(sign, start, stop)
        elif sign == "^":
            self.replace("pythonic-power", "a power is written `**`", start, stop, "**", "POW")
        elif sign == "!":
            follows = text[stop : stop + 1]
            self.replace("pythonic-logic", "`!` is written `not`", start, stop, "not " if follows.strip() else "not", "NOT")
        elif sign == ";":
            self.semicolon(start, stop)
        elif sign == "'":
            self.single_quotes(start)
        elif sign == '"':
            end = self.before_closers(start, self.line_end(start))
            self.report(error("unterminated-text", "this text has no closing `\"` on its line", self.span(start, end),
                              fix=Fix("close it", ((self.span(end, end), '"'),))))
            self.put("STRING", start, end)
            self.place = end
        elif sign == "?":
            self.put("QUESTION", start, stop)
        elif sign == "\\":
            end = self.line_end(start)
            item = error("pythonic-backslash", "a line is continued inside brackets, not by a backslash", self.span(start, stop),
                         help="put the expression in ( )")
            if not text[stop:end].strip():
                self.place = end + 1
            self.report(item)
        elif sign in LOOKALIKE:
            self.lookalike(sign, start, stop)
        elif sign in "“”„‟″«»‘’`":
            end = start + 1
            while end < len(text) and text[end] not in "\n“”„‟″«»‘’`\"'":
                end += 1
            if end < len(text) and text[end] != "\n":
                span = self.span(start, end + 1)
                self.report(error("bad-character", "a text stands between straight double quotes", span,
                                  fix=Fix('write "..."', ((span, f'"{text[start + 1 : end]}"'),))))
                self.put("STRING", start, end + 1)
                self.place = end + 1
            else:
                self.unknown(start, stop)
        else:
            self.unknown(start, stop)

    def unknown(self, start: int, stop: int) -> None:
        """A run of characters that mean nothing: one error for all of it, and nothing in its place."""
        text = self.text
        end = stop
        while end < len(text) and text[end] == text[start]:
            end += 1
        self.place = end
        char = text[start]
        shown = char if char.isprintable() else f"U+{ord(char):04X}"
        what = "a NUL character: this is not a text file" if char == "\0" else f"`{shown}` has no meaning here"
        span = self.span(start, end)
        self.report(error("bad-character", what, span, fix=Fix("remove it", ((span, " "),))))

    def replace(self, code: str, message: str, start: int, stop: int, right: str, terminal: str) -> None:
        span = self.span(start, stop)
        self.report(error(code, message, span, fix=Fix(f"write `{right.strip()}`", ((span, right),))))
        self.put(terminal, start, stop, right.strip())

    def slip(self, sign: str, start: int, stop: int) -> None:
        signs, reserved = tables().signs, tables().reserved
        if sign in ("&&", "||"):
            word = "and" if sign == "&&" else "or"
            text = self.text
            right = (" " if text[start - 1 : start].strip() else "") + word + (" " if text[stop : stop + 1].strip() else "")
            self.replace("pythonic-logic", f"`{sign}` is written `{word}`", start, stop, right, reserved[word])
        elif sign in ("===", "!==", "<>"):
            right = "==" if sign == "===" else "!="
            self.replace("pythonic-comparison", f"`{sign}` is written `{right}`", start, stop, right, "CMP")
        elif sign == ":=":
            self.replace("pythonic-walrus", "a name is bound by `=`, in a statement of its own", start, stop, "=", signs["="])
        elif sign == "<-":
            self.put("CMP", start, start + 1)
            self.put("PM", start + 1, stop)
        elif sign == "=>":
            self.replace("pythonic-comparison", "`=>` is written `>=`", start, stop, ">=", "CMP")
        else:
            self.put("AUG", start, stop)

    def lookalike(self, sign: str, start: int, stop: int) -> None:
        right = LOOKALIKE[sign]
        known = tables()
        bare = right.strip()
        span = self.span(start, stop)
        self.report(error("bad-character", f"`{sign}` is written `{bare}`", span, fix=Fix(f"write `{bare}`", ((span, f" {bare} "),))))
        if bare in CLOSER:
            self.stack.append((bare, len(self.out.types)))
        elif bare in OPENER and not self.closes(bare, start, stop):
            return
        self.put(known.reserved.get(bare) or known.signs[bare], start, stop, bare)

    def semicolon(self, start: int, stop: int) -> None:
        end = self.line_end(start)
        rest = self.text[stop:end].strip()
        span = self.span(start, stop)
        if self.stack and self.stack[-1][0] != "{":
            self.replace("pythonic-semicolon", "`;` separates nothing here", start, stop, ",", "COMMA")
            return
        if not rest or rest[0] == "#":
            fix = Fix("remove `;`", ((span, ""),))
        else:
            fix = Fix("begin a new line", ((span, "\n"),))
        self.report(error("pythonic-semicolon", "a statement ends with its line; there is no `;`", span, fix=fix))
        if self.out.types and self.out.types[-1] != "_NL":
            self.put("_NL", start, stop)

    def before_closers(self, start: int, end: int) -> int:
        """Where a text that is not closed on its line is taken to end: before the brackets behind it that close open ones."""
        text = self.text
        for opener, _ in reversed(self.stack[-64:]):
            while end > start + 1 and text[end - 1] in " \t\r":
                end -= 1
            if opener == "{" or end <= start + 1 or text[end - 1] != CLOSER[opener]:
                break
            end -= 1
        return end

    def single_quotes(self, start: int) -> None:
        text = self.text
        end = self.line_end(start)
        close = text.find("'", start + 1, end)
        if close < 0:
            self.report(error("unterminated-text", "a text stands between double quotes, and this one is not closed", self.span(start, end),
                              fix=Fix('write "..."', ((self.span(start, start + 1), '"'), (self.span(end, end), '"')))))
            close = end - 1
        else:
            span = self.span(start, close + 1)
            inside = text[start + 1 : close].replace('"', "")
            self.report(error("pythonic-quotes", "a text stands between double quotes", span,
                              fix=Fix('write "..."', ((span, f'"{inside}"'),))))
        self.put("STRING", start, max(close + 1, start + 1))
        self.place = max(close + 1, start + 1)

    def triple(self, sign: str, start: int, stop: int) -> None:
        text = self.text
        close = text.find(sign, stop)
        end = close + 3 if close >= 0 else len(text)
        inside = text[stop : close if close >= 0 else len(text)].strip()
        comment = "\n".join(f"# {line.strip()}".rstrip() for line in inside.splitlines()) or "#"
        span = self.span(start, end)
        alone = not self.out.types or self.out.types[-1] in ("_NL", "LBRACE")
        self.report(error("pythonic-docstring", "documentation is written as `#` comments above a declaration", span,
                          fix=Fix("make it a comment", ((span, comment),)) if alone else None))
        if not alone:
            self.put("STRING", start, end)
        self.place = end

    def line_end(self, start: int) -> int:
        end = self.text.find("\n", start)
        end = len(self.text) if end < 0 else end
        return end - 1 if end > start and self.text[end - 1] == "\r" else end
