"""The parse tables of `grammar/dfg.lark`, made by lark and kept in the user's cache.

lark reads the grammar and computes the LALR tables; importing it and doing so costs 0.2 s, more than all the rest of a `dfg check`. So
the tables are written once as JSON, beside the grammar's text that they were made from, and read in a few milliseconds afterwards without
importing lark. A cache that cannot be read or written is no error: lark is then asked each time. (JSON, not pickle: a cache file
must not be able to run code.)

    states[s][terminal]      n >= 0: shift, go to state n; n < 0: reduce by rules[-n - 1]
    states[s][nonterminal]   the state after that rule
"""

from __future__ import annotations

import json
import os
import re
import sys
import zlib
from functools import cache
from typing import Any, NamedTuple

FORMAT = "1"
SPLICE = 1 << 16
SIGNS = (
    "...", "->", "**", "//", "~=", "==", "!=", "<=", ">=", "+=", "..",
    "(", ")", "[", "]", "{", "}", ",", ":", ".", "~", "<", ">", "=", "*", "/", "%", "@", "+", "-", "|", "&",
)  # fmt: skip


class RuleInfo(NamedTuple):
    """`plan` says which children are arguments: an index, -1 for None, SPLICE + index for a list to be spliced in."""

    origin: str
    name: str
    size: int
    plan: tuple[int, ...]
    expand: bool


class Tables(NamedTuple):
    states: list[dict[str, int]]
    rules: list[RuleInfo]
    start: int
    end: int
    signs: dict[str, str]
    """The text of an operator or bracket -> its terminal."""
    reserved: dict[str, str]
    """Words that are never names -> their terminal."""
    special: dict[str, str]
    """Words that are names except in their place -> their terminal."""
    number: str
    text: str
    shown: dict[str, str]
    """Terminal -> how a user writes it; only for terminals with one spelling."""


def grammar_path() -> str:
    """`dfg/grammar/dfg.lark` of an installed package, `grammar/dfg.lark` of a checkout."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    inside = os.path.join(package, "grammar", "dfg.lark")
    return inside if os.path.isfile(inside) else os.path.join(os.path.dirname(package), "grammar", "dfg.lark")


def cache_dir() -> str:
    """The user's cache folder for dfg; `DFG_CACHE_DIR` overrides it."""
    given = os.environ.get("DFG_CACHE_DIR")
    if given:
        return given
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/AppData/Local")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "dfg")


@cache
def tables() -> Tables:
    """The tables, from the cache or from lark."""
    with open(grammar_path(), encoding="utf-8") as file:
        grammar = file.read()
    key = FORMAT + grammar
    place = os.path.join(cache_dir(), f"grammar-{zlib.crc32(key.encode()):08x}.json")
    try:
        with open(place, encoding="utf-8") as file:
            stored = json.load(file)
        if stored["of"] == key:
            return _unpack(stored["tables"])
    except (OSError, ValueError, LookupError, TypeError):
        pass  # no cache yet, or not one of ours
    packed = compute(grammar)
    try:
        import tempfile

        os.makedirs(os.path.dirname(place), exist_ok=True)
        handle, name = tempfile.mkstemp(dir=os.path.dirname(place), suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"of": key, "tables": packed}, file, separators=(",", ":"))
        os.replace(name, place)
    except OSError:
        pass  # read-only home: the next run computes them again
    return _unpack(packed)


def _unpack(packed: dict[str, Any]) -> Tables:
    rules = [RuleInfo(origin, name, size, tuple(plan), expand) for origin, name, size, plan, expand in packed["rules"]]
    rest = {field: packed[field] for field in Tables._fields if field != "rules"}
    return Tables(rules=rules, **rest)


def compute(grammar: str) -> dict[str, Any]:
    """Ask lark for the tables, as plain lists and dicts."""
    import lark

    parser = lark.Lark(grammar, parser="lalr", lexer="contextual")
    conf = parser.parse_interactive("").parser_state.parse_conf
    number_of = {state: index for index, state in enumerate(sorted(conf.states))}
    states: list[dict[str, int]] = [{} for _ in number_of]
    rules: dict[Any, int] = {}
    for state, actions in conf.states.items():
        row = states[number_of[state]]
        for symbol, (_, target) in actions.items():
            row[symbol] = number_of[target] if isinstance(target, int) else -rules.setdefault(target, len(rules)) - 1
    name_pattern = re.compile(next(t.pattern.to_regexp() for t in parser.terminals if t.name == "NAME"))
    ordered = sorted(parser.terminals, key=lambda t: (-t.priority, -t.pattern.max_width, t.name))
    words = {t.pattern.value: t.name for t in parser.terminals if t.pattern.type == "str" and t.pattern.value[0].isalpha()}
    signs: dict[str, str] = {}
    for sign in SIGNS:
        signs[sign] = next(t.name for t in ordered if re.fullmatch(t.pattern.to_regexp(), sign))
    special = {word: name for word, name in words.items() if name_pattern.fullmatch(word)}
    reserved = {word: name for word, name in words.items() if word not in special}
    patterns = {t.name: t.pattern.to_regexp() for t in parser.terminals}
    spelled: dict[str, list[str]] = {}
    for text, name in [*signs.items(), *words.items()]:
        spelled.setdefault(name, []).append(text)
    return {
        "states": states, "rules": [_rule(rule) for rule in rules],
        "start": number_of[conf.start_state], "end": number_of[conf.end_state],
        "signs": signs, "reserved": reserved, "special": special, "number": patterns["NUMBER"], "text": patterns["STRING"],
        "shown": {name: texts[0] for name, texts in spelled.items() if len(texts) == 1},
    }  # fmt: skip


def _rule(rule: Any) -> tuple[str, str, int, list[int], bool]:
    """What lark's own tree builder does with the children of a rule, as a plan."""
    size = len(rule.expansion)
    flags = rule.options.empty_indices
    before = [0] * (size + 1)
    at = 0
    for flag in flags:
        if flag:
            before[at] += 1
        else:
            at += 1
    plan: list[int] = []
    for index, symbol in enumerate(rule.expansion):
        plan.extend([-1] * before[index])
        if symbol.is_term:
            if not symbol.filter_out:
                plan.append(index)
        else:
            plan.append(index + SPLICE if symbol.name.startswith("_") else index)
    plan.extend([-1] * before[size])
    expand = bool(rule.options.expand1) and not rule.alias
    return str(rule.origin.name), str(rule.alias or rule.origin.name), size, plan, expand
