"""Literals of `--input NAME=VALUE`: `0.5`, `true`, `-inf`, `[[1, 2], [3, 4]]`.

Numbers, words and brackets as in a `.dfg` program, nothing else: no names, no arithmetic, no evaluation. One loop over the tokens, so
depth costs nothing; limits on length, axes and digits. Lists must be rectangular, as `[...]` in the language.

>>> parse_literal("[[1, 2], [3, 4]]").shape
(2, 2)
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import NoReturn

from dfg.data.common import MAX_AXES, Array, nearest, refusal, shown
from dfg.data.number import Number, pack
from dfg.diagnostics import Label, UserError
from dfg.source import Source, Span

MAX_TEXT = 64 << 20
MAX_DIGITS = 4000
WORDS: dict[str, Number] = {"true": True, "false": False, "inf": math.inf, "nan": math.nan, "pi": math.pi}
_NUMBER = r"(?:0x[0-9a-fA-F]+|(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
_VALUE = rf"[+-]?\s*(?:{_NUMBER}|inf|nan|pi)|true|false"
_SCALAR = re.compile(_VALUE)
_TOKEN = re.compile(rf"\s*(?:([\[\],])|({_VALUE})(?![\w.]))")
_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[+-]?[\w.]+|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Literal:
    """The elements in order, where each stands in the text, and the shape."""

    source: Source
    values: list[Number]
    places: list[tuple[int, int]]
    shape: tuple[int, ...]

    def to_array(self, dtype: str | None) -> Array:
        """The array of the wanted dtype, or of the default of the literal's kind."""

        def fail(at: int, message: str, help: str | None) -> NoReturn:
            raise refusal("does-not-fit", message, Span(self.source, *self.places[at]), help=help)

        def text_of(at: int) -> str:
            start, stop = self.places[at]
            return self.source.text[start:stop]

        return pack(self.values, text_of, dtype, fail).reshape(self.shape)


def is_scalar_literal(text: str) -> bool:
    """Is the text one number or word?"""
    return _SCALAR.fullmatch(text.strip()) is not None


def parse_literal(text: str, name: str = "<literal>") -> Literal:
    """Parse a literal; anything else is one diagnostic that points at the place."""
    if len(text) > MAX_TEXT:
        raise refusal("too-large", f"{name} is a literal of {len(text)} characters; the most is {MAX_TEXT}",
                      help="save the array with `np.save` and give the file")
    source = Source(name, text)
    values: list[Number] = []
    places: list[tuple[int, int]] = []
    sizes: list[int | None] = []  # for each depth the length of a finished list there
    child: list[str] = []  # for each depth what its lists hold: "", "list" or "number"
    firsts: list[tuple[int, int]] = []  # for each depth the first finished list, for the message
    counts: list[int] = []  # the open lists: how many elements so far
    opens: list[int] = []
    expects_value, at = True, 0
    while not (not expects_value and not counts):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _unexpected(source, at, bool(opens), opens, expects_value)
        start, stop, mark = match.start(match.lastindex or 0), match.end(), match[1]
        if mark == "]" and counts:  # also after a comma: `[1, 2,]` is allowed, as in the language
            depth, count = len(counts) - 1, counts.pop()
            begin = opens.pop()
            if sizes[depth] is None:
                sizes[depth], firsts[depth] = count, (begin, stop)
            elif sizes[depth] != count:
                raise _ragged(source, (begin, stop), f"this list has {count} element{'s' * (count != 1)}", firsts[depth],
                              f"this one has {sizes[depth]}")
            expects_value = False
        elif mark == "," and counts and not expects_value:
            expects_value = True
        elif mark in (",", "]") or not expects_value:
            raise _unexpected(source, start, bool(opens), opens, expects_value)
        else:
            depth = len(counts)
            if depth:
                kind = "list" if mark else "number"
                if child[depth - 1] not in ("", kind):
                    first = firsts[depth] if mark is None else places[0]
                    raise _ragged(source, (start, stop), f"this is a {kind}", first, f"this is a {child[depth - 1]}")
                child[depth - 1] = kind
                counts[-1] += 1
            if mark:
                if depth == MAX_AXES:
                    raise refusal("bad-literal", f"the brackets nest deeper than {MAX_AXES}, the most axes that an array has",
                                  Span(source, start, stop))
                if depth == len(sizes):
                    sizes.append(None)
                    child.append("")
                    firsts.append((start, stop))
                counts.append(0)
                opens.append(start)
            else:
                values.append(_number(source, start, stop))
                places.append((start, stop))
                expects_value = False
        at = stop
    end = _SPACE.match(text, at)
    rest = end.end() if end else at
    if rest != len(text):
        raise _unexpected(source, rest, False, [], False)
    return Literal(source, values, places, tuple(size or 0 for size in sizes))


def _number(source: Source, start: int, stop: int) -> Number:
    text = source.text[start:stop]
    if text in WORDS:
        return WORDS[text]
    sign = -1 if text[0] == "-" else 1
    body = text.lstrip("+-").lstrip()
    if body in WORDS:
        return sign * WORDS[body]
    if len(body) > MAX_DIGITS:
        raise refusal("bad-literal", f"a number of {len(body)} characters; the most is {MAX_DIGITS}", Span(source, start, stop))
    body = body.replace("_", "")
    if body.startswith("0x"):
        return sign * int(body, 16)
    if body.isdigit():
        return sign * int(body)
    return sign * float(body)


def _ragged(source: Source, place: tuple[int, int], text: str, first: tuple[int, int], first_text: str) -> UserError:
    return refusal("ragged-literal", "the elements of a list must have one shape", Span(source, *place),
                   labels=(Label(Span(source, *first), first_text), Label(Span(source, *place), text)))


def _unexpected(source: Source, at: int, inside: bool, opens: list[int], expects_value: bool) -> UserError:
    text = source.text
    space = _SPACE.match(text, at)
    at = space.end() if space else at
    if at >= len(text):
        if inside:
            return refusal("bad-literal", "the literal ends inside a list", Span(source, len(text), len(text)), help="add `]`",
                           labels=(Label(Span(source, opens[-1], opens[-1] + 1), "opened here"),))
        return refusal("bad-literal", "nothing is given: a literal or a file is wanted", Span(source, 0, len(text)),
                       help="a number, `true`, `false`, a list such as `[1, 2]`, or a file such as `x.npy`")
    match = _WORD.match(text, at)
    stop = match.end() if match else at + 1
    word = text[at:stop]
    wanted = "a number" if expects_value else ("`,` or `]`" if inside else "the end of the literal")
    return refusal("bad-literal", f"`{shown(word, 40)}` stands where {wanted} is wanted", Span(source, at, stop), help=_slip(word, inside))


def _slip(word: str, inside: bool) -> str | None:
    if word.lower() in ("true", "false", "inf", "nan", "pi"):
        return f"write `{word.lower()}`"
    if word in ("*", "/", "+", "-", "(", "^", "%"):
        return "only literals are read here, no arithmetic: write the number itself"
    if word in ("]", ","):
        return None
    near = nearest(word, WORDS)
    if near:
        return f"did you mean `{near}`?"
    if inside:
        return "a list holds numbers, `true`, `false`, `inf`, `nan`, `pi` and lists"
    return None
