"""Reads a filter's text into a tree of terms; which fields there are is not known here."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_LENGTH = 4_000  # characters; longer than any line that a person types, shorter than what a shell takes
MAX_TERMS = 100  # SQLite's own limit of an expression's depth is 1,000: https://www.sqlite.org/limits.html
MAX_DEPTH = 20  # parentheses within parentheses

_SPACE = re.compile(r"\s+")
_FIELD = re.compile(r"([A-Za-z][A-Za-z_-]*)(<=|>=|!=|:|=|<|>)")
_WORD = re.compile(r'[^\s()"]+')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class FilterError(ValueError):
    """A filter that means nothing: ``reason`` for people, and from where to where in the text it is wrong."""

    def __init__(self, reason: str, start: int, end: int) -> None:
        super().__init__(f"{reason} (at character {start + 1})")
        self.reason = reason
        self.start = start
        self.end = max(end, start + 1)


@dataclass(frozen=True, slots=True)
class Term:
    """``field op value``; a bare text has an empty field. ``quoted``: the value stood in quotes, and ``*`` does still
    stand for anything in it, but commas do not part it."""

    field: str
    op: str
    value: str
    quoted: bool
    start: int
    value_start: int
    end: int


@dataclass(frozen=True, slots=True)
class Not:
    """What does not hold."""

    node: Node


@dataclass(frozen=True, slots=True)
class All:
    """What holds together."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """Of which one holds."""

    nodes: tuple[Node, ...]


type Node = Term | Not | All | Any


def read(text: str) -> Node:
    """The tree of a filter's text; of an empty one ``All(())``, which everything fulfils. Raises FilterError."""
    if len(text) > MAX_LENGTH:
        raise FilterError(f"a filter has at most {MAX_LENGTH:,} characters", MAX_LENGTH, len(text))
    return _Reader(text).read()


class _Reader:
    """One pass over the text, from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._terms = 0

    def read(self) -> Node:
        node = self._alternatives(0)
        if self._at < len(self._text):  # only a closing parenthesis ends the alternatives early
            raise FilterError("there is no ( for this )", self._at, self._at + 1)
        return node

    def _alternatives(self, depth: int) -> Node:
        nodes = [self._together(depth)]
        while (start := self._keyword("or")) is not None:
            if nodes[-1] == All(()):
                raise FilterError('there is nothing before this "or"', start, self._at)
            nodes.append(self._together(depth))
            if nodes[-1] == All(()):
                raise FilterError('there is nothing after this "or"', start, start + 2)
        return nodes[0] if len(nodes) == 1 else Any(tuple(nodes))

    def _together(self, depth: int) -> Node:
        nodes: list[Node] = []
        while True:
            self._skip()
            if self._at == len(self._text) or self._text[self._at] == ")" or self._peek("or"):
                break
            if (start := self._keyword("and")) is not None:
                self._skip()
                if not nodes or self._at == len(self._text) or self._text[self._at] == ")" or self._peek("or"):
                    raise FilterError('"and" stands between two terms', start, start + 3)
                continue
            nodes.append(self._one(depth))
        return nodes[0] if len(nodes) == 1 else All(tuple(nodes))

    def _one(self, depth: int) -> Node:
        start = self._at
        if self._text[start] in "-!" or self._peek("not"):
            self._at += 1 if self._text[start] in "-!" else 3
            self._skip()
            if self._at == len(self._text) or self._text[self._at] == ")" or self._peek("or") or self._peek("and"):
                raise FilterError("there is nothing here to be turned round", start, self._at)
            if depth >= MAX_DEPTH:
                raise FilterError(f"more than {MAX_DEPTH} levels", start, start + 1)
            return Not(self._one(depth + 1))
        if self._text[start] == "(":
            return self._group(depth)
        return self._term()

    def _group(self, depth: int) -> Node:
        start = self._at
        if depth >= MAX_DEPTH:
            raise FilterError(f"more than {MAX_DEPTH} levels", start, start + 1)
        self._at += 1
        node = self._alternatives(depth + 1)
        if self._at == len(self._text):
            raise FilterError("there is no ) for this (", start, start + 1)
        self._at += 1
        if node == All(()):
            raise FilterError("there is nothing in these parentheses", start, self._at)
        return node

    def _term(self) -> Node:
        start = self._at
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise FilterError(f"a filter has at most {MAX_TERMS} terms", start, len(self._text))
        field, op = "", ":"
        named = _FIELD.match(self._text, start)
        if named:
            field, op = named[1].lower().replace("_", "-"), named[2]
            self._at = named.end()
        value_start = self._at
        value, quoted = self._value(start, field)
        return Term(field, op, value, quoted, start, value_start, self._at)

    def _value(self, start: int, field: str) -> tuple[str, bool]:
        if self._text.startswith('"', self._at):
            quoted = _QUOTED.match(self._text, self._at)
            if not quoted:
                raise FilterError("this quotation does not end", self._at, len(self._text))
            self._at = quoted.end()
            return _ESCAPE.sub(r"\1", quoted[1]), True
        word = _WORD.match(self._text, self._at)
        if not word:
            raise FilterError(f"{field} is compared with nothing", start, self._at)
        self._at = word.end()
        return word[0], False

    def _skip(self) -> None:
        space = _SPACE.match(self._text, self._at)
        if space:
            self._at = space.end()

    def _peek(self, word: str) -> bool:
        end = self._at + len(word)
        return self._text[self._at : end].lower() == word and (end == len(self._text) or self._text[end] in " \t\r\n()")

    def _keyword(self, word: str) -> int | None:
        """Where the word began, if it stood here; it is then behind us."""
        self._skip()
        if not self._peek(word):
            return None
        start = self._at
        self._at += len(word)
        return start
