"""Puts the headers of two requests side by side: which belong together, and where they differ."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from traceaudit.formats import FORMAT_OF_HEADER, HEADER_NAMES
from traceaudit.formats.context import Format
from traceaudit_tui.rows import HeaderLine

_TOKENS = re.compile(r"[0-9A-Za-z_.]+|[^0-9A-Za-z_.]")


class State(Enum):
    """How a header of the call compares with the request's."""

    SAME = "same"
    CHANGED = "changed"
    LOST = "lost"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class Pair:
    """One header on both sides; None: not on this side. ``format`` None: it propagates no context."""

    left: HeaderLine | None
    right: HeaderLine | None
    format: str | None

    @property
    def state(self) -> State:
        """Values decide; a name in another case is the same header. https://www.rfc-editor.org/rfc/rfc9110#section-5.1"""
        if self.left is None:
            return State.ADDED
        if self.right is None:
            return State.LOST
        return State.SAME if self.left.value == self.right.value else State.CHANGED


def pair(left: Sequence[HeaderLine], right: Sequence[HeaderLine]) -> list[Pair]:
    """All headers of both sides: those that propagate context first, then the rest, each in the order they were sent.

    The second of a duplicated header belongs to the second of the other side.
    """
    waiting: dict[str, deque[int]] = defaultdict(deque)
    for position, line in enumerate(right):
        waiting[line.name.lower()].append(position)
    pairs: list[Pair] = []
    for line in left:
        twins = waiting[line.name.lower()]
        pairs.append(Pair(line, right[twins.popleft()] if twins else None, format_of(line.name)))
    alone = sorted(position for positions in waiting.values() for position in positions)
    pairs += [Pair(None, right[position], format_of(right[position].name)) for position in alone]
    formats = list(dict.fromkeys(pair.format for pair in pairs if pair.format))
    return sorted(pairs, key=lambda pair: formats.index(pair.format) if pair.format else len(formats))


def format_of(name: str) -> str | None:
    """The propagation format that a header belongs to; None: none."""
    found = FORMAT_OF_HEADER.get(name.lower())
    return None if found is None else found.value


def concerns(headers: str, format_: str) -> bool:
    """Whether a finding about these headers (names of headers or formats, with commas) belongs in a format's cell.

    The two forms of B3 are one family to the rules: a finding about either stands in both cells.
    """
    named = {format_of(each) or each for each in headers.replace(" ", "").split(",")}
    family = {Format.B3.value, Format.B3MULTI.value}
    return format_ in named or (format_ in family and bool(named & family))


def headers_of(format_: str) -> list[str]:
    """The names that findings about a format's cell may have in their headers."""
    family = [Format.B3, Format.B3MULTI] if format_ in (Format.B3, Format.B3MULTI) else [format_]
    names = [name for each in family if each in Format for name in HEADER_NAMES[Format(each)]]
    return list(dict.fromkeys([*(str(each) for each in family), *names]))


def differing(value: str, other: str) -> list[tuple[str, bool]]:
    """A value in pieces, each with whether the other value has another one in its place.

    Values of the same build (``00-trace-span-01``) are compared part by part, others as a whole.
    """
    tokens, others = _TOKENS.findall(value), _TOKENS.findall(other)
    same_build = len(tokens) == len(others) and all(
        left == right
        for left, right in zip(tokens, others, strict=True)
        if not (left[0].isalnum() and right[0].isalnum())
    )
    if not same_build:
        return [(value, value != other)]
    pieces: list[tuple[str, bool]] = []
    for token, twin in zip(tokens, others, strict=True):
        differs = token != twin
        if pieces and pieces[-1][1] == differs:
            pieces[-1] = (pieces[-1][0] + token, differs)
        else:
            pieces.append((token, differs))
    return pieces
