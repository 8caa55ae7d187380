"""Puts the headers of two requests side by side: which belong together, and where they differ."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from traceaudit.formats import FORMAT_OF_HEADER, HEADER_NAMES
from traceaudit.formats.context import Format
from traceaudit.store.reader import HeaderRow

_ORDER = {header: position for position, header in enumerate(name for names in HEADER_NAMES.values() for name in names)}
_TOKENS = re.compile(r"[0-9A-Za-z_.]+|[^0-9A-Za-z_.]")


class State(StrEnum):
    """How a header of the call compares with the request's."""

    SAME = "same"
    CHANGED = "changed"
    DROPPED = "dropped"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class Pair:
    """One header on both sides; ``None``: not on this side. ``format`` ``None``: it propagates no context."""

    carried: HeaderRow | None
    sent: HeaderRow | None
    format: Format | None

    @property
    def name(self) -> str:
        """As the request had it, or the call where the request had none."""
        row = self.carried or self.sent
        return row.name if row else ""

    @property
    def state(self) -> State:
        """Values decide; a name in another case is the same header. https://www.rfc-editor.org/rfc/rfc9110#section-5.1"""
        if self.carried is None:
            return State.ADDED
        if self.sent is None:
            return State.DROPPED
        return State.SAME if self.carried.value == self.sent.value else State.CHANGED


def pairs(carried: Sequence[HeaderRow], sent: Sequence[HeaderRow]) -> list[Pair]:
    """The propagation headers of both sides, those of one format together."""
    return [pair for pair in all_pairs(carried, sent) if pair.format is not None]


def all_pairs(carried: Sequence[HeaderRow], sent: Sequence[HeaderRow]) -> list[Pair]:
    """The headers of both sides: those that propagate context first, then the others as they were sent.

    The second of a duplicated header belongs to the second of the other side.
    """
    waiting: dict[str, deque[int]] = defaultdict(deque)
    for position, row in enumerate(sent):
        waiting[row.name.lower()].append(position)
    found: list[Pair] = []
    for row in carried:
        twins = waiting[row.name.lower()]
        found.append(Pair(row, sent[twins.popleft()] if twins else None, format_of(row.name)))
    alone = sorted(position for positions in waiting.values() for position in positions)
    found += [Pair(None, sent[position], format_of(sent[position].name)) for position in alone]
    return sorted(found, key=lambda pair: _ORDER.get(pair.name.lower(), len(_ORDER)))


def format_of(name: str) -> Format | None:
    """The propagation format that a header belongs to; ``None``: none."""
    return FORMAT_OF_HEADER.get(name.lower())


def differing(value: str, other: str) -> list[tuple[str, bool]]:
    """A value in pieces, each with whether the other value has another one in its place.

    Values of the same build (``00-trace-span-01``) are compared part by part, others as a whole.
    """
    tokens, others = _TOKENS.findall(value), _TOKENS.findall(other)
    shape, other_shape = (["*" if token[0].isalnum() else token for token in each] for each in (tokens, others))
    if shape != other_shape:
        return [(value, value != other)]
    pieces: list[tuple[str, bool]] = []
    for token, twin in zip(tokens, others, strict=True):
        if pieces and pieces[-1][1] == (token != twin):
            pieces[-1] = (pieces[-1][0] + token, token != twin)
        else:
            pieces.append((token, token != twin))
    return pieces
