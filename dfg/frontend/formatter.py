"""One style for `.dfg` text: `dfg fmt`.

The tokens are printed again with fixed spacing; comments, numbers and texts stay as written, parentheses and trailing commas too, so the
tree cannot change. Two spaces for each block; at most one blank line in a row, and none at the ends of a block; nothing is aligned. A block
of one statement that was written on one line stays on it while the line fits; a line longer than `WIDTH` is broken inside brackets: the
contents on a line of their own if they fit, numbers and names filled, other items one to a line.

What is chosen depends on the tokens, the comments and the newlines inside braces, and all of these are kept: formatting twice changes
nothing more.

>>> from dfg.source import Source
>>> print(format_source(Source("a.dfg", "input x:f64[ n ]\\ny=f( x,axis = 0 )[1:2]   # why\\ns=if p{ -1 }else{ 2*n }")), end="")
input x : f64[n]
y = f(x, axis=0)[1:2]  # why
s = if p { -1 } else { 2 * n }
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from dfg.diagnostics import Sink
from dfg.frontend import syntax
from dfg.frontend.lexer import OPERAND_END, Tokens
from dfg.frontend.parser import parse_with_tokens, uncollected
from dfg.source import Source

WIDTH = 100
INDENT = 2
MOST_INDENT = 40  # of a broken bracket, below its line
MOST_DEPTH = 60  # blocks deeper than this are not indented further
FILL_ITEM = 16

OTHER, OPEN, CLOSE, COMMA, OPERATOR, COMMENT = range(6)
RANK = {"or": 1, "and": 2, "CMP": 3, "|": 4, "&": 5, "+": 6, "-": 6, "*": 7, "/": 7, "//": 7, "%": 7, "@": 7, "**": 8}


@dataclass(slots=True)
class Piece:
    """A token or comment to print. `rank` orders binary operators: the lowest is where an expression is broken."""

    text: str
    space: bool
    kind: int
    rank: int = 0
    own_line: bool = False


def format_source(source: Source) -> str:
    """The text in the one style. A `UserError` if it does not parse."""
    sink = Sink()
    tree, tokens = parse_with_tokens(source, sink)
    sink.raise_errors()
    with uncollected():
        return _Formatter(source, tokens, tree).run()


class _Formatter:
    def __init__(self, source: Source, tokens: Tokens, tree: syntax.File) -> None:
        self.text = source.text
        self.tokens = tokens
        self.comments = tokens.comments
        self.comment_starts = [comment.start for comment in tokens.comments]
        self.wide_slices = {
            node.start
            for node in syntax.walk(tree)
            if isinstance(node, syntax.Slice) and not all(_plain(part) for part in (node.lower, node.upper, node.step))
        }
        self.match = self.brackets()
        self.inline = self.inline_blocks()
        self.out: list[str] = []
        self.line: list[Piece] = []
        self.depth = 0
        self.last_stop = 0
        self.fresh_block = True
        self.in_inline = 0
        self.opener_of = {last: first for first, last in self.match.items()}

    def brackets(self) -> dict[int, int]:
        """Opener -> closer, as token indices, for braces."""
        match: dict[int, int] = {}
        stack: list[int] = []
        for index, kind in enumerate(self.tokens.types):
            if kind == "LBRACE":
                stack.append(index)
            elif kind == "RBRACE":
                match[stack.pop()] = index
        return match

    def inline_blocks(self) -> set[int]:
        """The braces whose block was written on one line and has one statement; whether the line fits is seen later."""
        tokens, found = self.tokens, set()
        for first, last in self.match.items():
            if self.text.find("\n", tokens.starts[first], tokens.starts[last]) < 0:
                found.add(first)
        return found

    # Spaces

    def pieces(self) -> list[tuple[Piece, int]]:
        """A piece for each token but newlines, with its token index."""
        tokens, text = self.tokens, self.text
        types, starts, stops = tokens.types, tokens.starts, tokens.stops
        made: list[tuple[Piece, int]] = []
        context: list[list[int | str]] = []  # what kind of bracket, and where its current item starts
        before = before2 = ""
        glued = False  # nothing may come between the last token and this one
        for index, kind in enumerate(types):
            if kind in ("_NL", "$END"):
                before2, before, glued = before, kind, False
                continue
            word = text[starts[index] : stops[index]]
            inside = context[-1][0] if context else ""
            if context and context[-1][1] == -1:
                context[-1][1] = starts[index]
            space = not glued
            glued = False
            role, rank = OTHER, 0
            operand = before in OPERAND_END
            if kind in ("LPAR", "LSQB"):
                role = OPEN
                if operand or before == "VJP":
                    space = False
                if kind == "LPAR":
                    bracket = "def" if before2 in ("DEF",) else "call" if operand or before == "VJP" else "group"
                else:
                    bracket = "index" if operand or before == "WITH" else "list"
                context.append([bracket, -1])
                glued = True
            elif kind in ("RPAR", "RSQB"):
                role, space = CLOSE, False
                context.pop()
            elif kind == "LBRACE":
                context.append(["block", 0])
            elif kind == "RBRACE":
                context.pop()
            elif kind == "COMMA":
                role, space = COMMA, False
                if context:
                    context[-1][1] = -1
            elif kind == "DOT":
                space, glued = before == "NUMBER" and not text[starts[index - 1] : stops[index - 1]].startswith("0x"), True
            elif kind == "PM" and not operand:
                glued = True
            elif word == "..":
                after = text[starts[index + 1] : stops[index + 1]]
                apart = after.startswith(".") or text[: starts[index]].rstrip().endswith(".")
                space, glued = apart, not apart
            elif kind == "EQUAL":
                if inside == "call" and before == "NAME" and before2 in ("LPAR", "COMMA"):
                    space, glued = False, True
            elif kind == "COLON":
                if inside == "call" and before == "NAME" and before2 in ("LPAR", "COMMA"):
                    space = False
                elif inside == "index":
                    wide = context[-1][1] in self.wide_slices
                    space = before == "COMMA" or (wide and before not in ("LSQB", "COLON"))
                    glued = not wide or types[index + 1] == "COLON"
            elif kind in ("OR", "AND", "CMP", "BAR", "AMP", "PM", "MUL", "POW"):
                role, rank = OPERATOR, RANK["CMP" if kind == "CMP" else word]
            elif kind == "FOR" and inside == "list":
                role = OPERATOR
            made.append((Piece(word, space, role, rank), index))
            before2, before = before, kind
        return made

    # Statements and blocks

    def run(self) -> str:
        tokens = self.tokens
        types, starts, stops = tokens.types, tokens.starts, tokens.stops
        stream = self.pieces()
        widths = [0]
        for piece, _ in stream:
            widths.append(widths[-1] + len(piece.text) + piece.space)
        place_of = {index: at for at, (_, index) in enumerate(stream)}
        self.settle_inline(stream, widths, place_of)
        comments, at_comment = self.comments, 0
        for piece, index in stream:
            kind, start = types[index], starts[index]
            # Comments before this token
            while at_comment < len(comments) and comments[at_comment].start < start:
                self.comment(comments[at_comment])
                at_comment += 1
            ended = index > 0 and types[index - 1] == "_NL"
            closing = kind == "RBRACE"
            multi = closing and self.opener_of[index] not in self.inline
            if ended and not (closing and not multi) and not self.in_inline:
                self.flush()
            if closing:
                if multi:
                    self.flush()
                    self.depth -= 1
                    self.fresh_block = True  # no blank line before the brace
                else:
                    self.in_inline -= 1
            if not self.line:
                self.blank_lines(start)
                piece.space = False
            self.line.append(piece)
            self.last_stop = stops[index]
            self.fresh_block = False
            if kind == "LBRACE":
                if index in self.inline:
                    self.in_inline += 1
                else:
                    self.flush()
                    self.depth += 1
                    self.fresh_block = True
        self.flush()
        for comment in comments[at_comment:]:
            self.comment(comment)
        return "\n".join(self.out) + "\n" if self.out else ""

    def settle_inline(self, stream: list[tuple[Piece, int]], widths: list[int], place_of: dict[int, int]) -> None:
        """Take from `inline` the blocks of lines that do not fit, or that hold comments: outer blocks first, then lines inside them."""
        types = self.tokens.types
        work = [(0, len(stream), 0)]  # parts of the stream, and how deep they stand
        while work:
            at, stop, depth = work.pop()
            line, line_depth = at, depth
            pending: list[tuple[int, int]] = []
            while at <= stop:
                index = stream[at][1] if at < stop else -1
                kind = types[index] if at < stop else "RBRACE"
                closing = kind == "RBRACE"
                if closing or (index > 0 and types[index - 1] == "_NL") or (kind == "LBRACE" and index not in self.inline):
                    end = at + (kind == "LBRACE")
                    width = widths[end] - widths[line] + min(line_depth, MOST_DEPTH) * INDENT
                    if pending and (width > WIDTH or self.holds_comment(stream, line, end)):
                        for first, last in pending:
                            self.inline.discard(stream[first][1])
                            work.append((first + 1, last, line_depth + 1))
                    pending = []
                    depth += (kind == "LBRACE") - closing
                    line, line_depth = end, depth
                if kind == "LBRACE" and index in self.inline:
                    last = place_of[self.match[index]]
                    pending.append((at, last))
                    at = last
                at += 1

    def holds_comment(self, stream: list[tuple[Piece, int]], first: int, stop: int) -> bool:
        if stop - first < 2:
            return False
        begin, end = self.tokens.starts[stream[first][1]], self.tokens.starts[stream[stop - 1][1]]
        at = bisect_left(self.comment_starts, begin)
        return at < len(self.comment_starts) and self.comment_starts[at] < end

    def comment(self, comment: syntax.Comment) -> None:
        text = self.text[comment.start : comment.stop].rstrip()
        if comment.own_line:
            if self.line and self.statement_open(comment.start):
                self.line.append(Piece(text, True, COMMENT, own_line=True))
            else:
                self.flush()
                self.blank_lines(comment.start)
                self.out.append(" " * self.margin() + text)
        elif self.line:
            self.line.append(Piece(text, True, COMMENT))
            if not self.statement_open(comment.start):
                self.flush()
        elif self.out:
            self.out[-1] += "  " + text  # after the brace that opens or closes a block
        else:
            self.out.append(text)
        self.last_stop = comment.stop
        self.fresh_block = False

    def statement_open(self, place: int) -> bool:
        """Whether the statement that stands before a place goes on behind it."""
        tokens = self.tokens
        at = bisect_left(tokens.starts, place)
        return at < len(tokens.types) and tokens.types[at] not in ("_NL", "$END") and (at == 0 or tokens.types[at - 1] != "_NL")

    def blank_lines(self, start: int) -> None:
        """One blank line where there were some, but not at the ends of a block or file."""
        if self.out and not self.fresh_block and self.text.count("\n", self.last_stop, start) > 1 and self.out[-1]:
            self.out.append("")

    def margin(self) -> int:
        return min(self.depth, MOST_DEPTH) * INDENT

    def flush(self) -> None:
        """Print the line collected so far."""
        if self.line:
            self.out.append(_Layout(self.line, self.margin()).run())
            self.line = []


def _plain(node: syntax.Node | None) -> bool:
    if isinstance(node, syntax.Unary):
        node = node.operand
    return node is None or isinstance(node, (syntax.Name, syntax.Number))


class _Layout:
    """One logical line (a statement, or the part of one between two blocks), broken inside its brackets if it is too long."""

    def __init__(self, pieces: list[Piece], indent: int) -> None:
        self.pieces = _after_commas(pieces)
        self.indent = indent
        self.text: list[str] = []
        self.column = 0
        self.start_line(indent)

    def start_line(self, indent: int) -> None:
        indent = min(indent, self.indent + MOST_INDENT)
        if self.text:
            while self.text and self.text[-1].isspace():
                self.text.pop()
            self.text.append("\n")
        self.text.append(" " * indent)
        self.column = indent
        self.fresh = True

    def put(self, piece: Piece) -> None:
        if piece.kind == COMMENT:
            self.text.append(piece.text if self.fresh else "  " + piece.text)
        else:
            space = " " if piece.space and not self.fresh else ""
            self.text.append(space + piece.text)
            self.column += len(space) + len(piece.text)
        self.fresh = False

    def run(self) -> str:
        pieces = self.pieces
        widths = [0]
        for piece in pieces:
            widths.append(widths[-1] + (len(piece.text) + piece.space if piece.kind != COMMENT else 0))
        commented = any(piece.kind == COMMENT for piece in pieces)
        if not commented and self.indent + widths[-1] <= WIDTH:
            for piece in pieces:
                self.put(piece)
            return "".join(self.text)
        self.widths = widths
        self.measure()
        # Work to do, last first: (first piece, stop, indent, what): "pieces", "line" (begin a new line), "fill".
        work: list[tuple[int, int, int, str]] = [(0, len(pieces), self.indent, "pieces")]
        while work:
            first, stop, indent, what = work.pop()
            if what == "line":
                self.start_line(indent)
            elif what == "fill":
                if self.column + widths[stop] - widths[first] > WIDTH and not self.fresh:
                    self.start_line(indent)
                work.append((first, stop, indent, "pieces"))
            else:
                self.some(first, stop, indent, work)
        return "".join(self.text)

    def measure(self) -> None:
        """Matching brackets, groups that hold comments, and how far the text runs from each piece to the next place to break."""
        pieces, widths = self.pieces, self.widths
        count = len(pieces)
        self.match: dict[int, int] = {}
        stack: list[int] = []
        seen = [0]
        for at, piece in enumerate(pieces):
            seen.append(seen[-1] + (piece.kind == COMMENT))
            if piece.kind == OPEN:
                stack.append(at)
            elif piece.kind == CLOSE and stack:
                self.match[stack.pop()] = at
        self.seen = seen
        self.run_to = [widths[count]] * (count + 1)
        for at in range(count - 1, -1, -1):
            stops_here = pieces[at].kind in (COMMA, CLOSE) or (pieces[at].kind == OPEN and self.match.get(at, at + 1) > at + 1)
            self.run_to[at] = widths[at + 1] if stops_here else self.run_to[at + 1]

    def some(self, first: int, stop: int, indent: int, work: list[tuple[int, int, int, str]]) -> None:
        """Print pieces until a group must be broken; then the rest is put back as work."""
        pieces, widths = self.pieces, self.widths
        at = first
        while at < stop:
            piece = pieces[at]
            if piece.kind == COMMENT:
                if piece.own_line and not self.fresh:
                    self.start_line(indent)
                self.put(piece)
                if at + 1 < len(pieces):
                    self.start_line(indent)
                at += 1
                continue
            self.put(piece)
            at += 1
            close = self.match.get(at - 1, -1)
            if piece.kind != OPEN or close <= at:
                continue
            commented = self.seen[close] > self.seen[at]
            size = widths[close + 1] - widths[at]
            tail = self.run_to[close + 1] - widths[close + 1] if close + 1 < stop else 0
            over = self.column + size > WIDTH or (self.column + size + tail > WIDTH and indent + 1 + tail <= WIDTH)
            if not commented and not over:
                for inner in range(at, close + 1):
                    self.put(pieces[inner])
                at = close + 1
                continue
            deeper = indent + INDENT
            work.append((close, stop, indent, "pieces"))
            work.append((0, 0, indent, "line"))
            work.extend(reversed(self.contents(at, close, deeper, commented)))
            if not (pieces[at].kind == COMMENT and not pieces[at].own_line):
                self.start_line(deeper)
            return

    def contents(self, first: int, stop: int, indent: int, commented: bool) -> list[tuple[int, int, int, str]]:
        """The work for the inside of a broken group."""
        pieces, widths = self.pieces, self.widths
        if not commented and min(indent, self.indent + MOST_INDENT) + widths[stop] - widths[first] <= WIDTH:
            return [(first, stop, indent, "pieces")]
        cuts: list[int] = []
        lowest = 99
        at = first
        operators: list[tuple[int, int]] = []
        while at < stop:
            kind = pieces[at].kind
            if kind == COMMA:
                cuts.append(at + 1)
            elif kind == OPERATOR and at > first:
                operators.append((at, pieces[at].rank))
                lowest = min(lowest, pieces[at].rank)
            at = self.match[at] + 1 if kind == OPEN and at in self.match else at + 1
        parts: list[tuple[int, int]] = []
        if cuts:
            begin = first
            for cut in cuts:
                while cut < stop and pieces[cut].kind == COMMENT and not pieces[cut].own_line:
                    cut += 1
                if cut > begin:
                    parts.append((begin, cut))
                    begin = cut
            if begin < stop:
                parts.append((begin, stop))
            small = not commented and all(widths[b] - widths[a] <= FILL_ITEM and b - a <= 3 for a, b in parts)
        else:
            begin = first
            for cut, rank in operators:
                if rank == lowest:
                    parts.append((begin, cut))
                    begin = cut
            parts.append((begin, stop))
            small = not commented
        work: list[tuple[int, int, int, str]] = []
        for number, (a, b) in enumerate(parts):
            if number and not small and not self.ends_line(a - 1):
                work.append((0, 0, indent, "line"))
            work.append((a, b, indent, "fill" if small else "pieces"))
        return work

    def ends_line(self, at: int) -> bool:
        return self.pieces[at].kind == COMMENT


def _after_commas(pieces: list[Piece]) -> list[Piece]:
    """A comment that stands before a comma moves behind it."""
    if not any(piece.kind == COMMENT for piece in pieces):
        return pieces
    out: list[Piece] = []
    for piece in pieces:
        if piece.kind == COMMA:
            at = len(out)
            while at and out[at - 1].kind == COMMENT:
                at -= 1
            out.insert(at, piece)
        else:
            out.append(piece)
    return out
