"""Puts the propagation headers of two requests side by side: which belong together, and where they differ."""

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
    """One header on both sides; ``None``: not on this side."""

    carried: HeaderRow | None
    sent: HeaderRow | None
    format: Format

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
    """The propagation headers of both sides, those of one format together.

    The second of a duplicated header belongs to the second of the other side.
    """
    waiting: dict[str, deque[HeaderRow]] = defaultdict(deque)
    for row in sent:
        if row.name.lower() in FORMAT_OF_HEADER:
            waiting[row.name.lower()].append(row)
    found: list[Pair] = []
    for row in carried:
        header = row.name.lower()
        if header in FORMAT_OF_HEADER:
            found.append(Pair(row, waiting[header].popleft() if waiting[header] else None, FORMAT_OF_HEADER[header]))
    found += [Pair(None, row, FORMAT_OF_HEADER[header]) for header, rows in waiting.items() for row in rows]
    return sorted(found, key=lambda pair: _ORDER[pair.name.lower()])


def differing(value: str, other: str) -> list[tuple[str, bool]]:
    """A value in pieces, each with whether the other value has another one in its place.

    Values of the same build (``00-trace-span-01``) are compared part by part, others as a whole.
    """
    tokens, others = _TOKENS.findall(value), _TOKENS.findall(other)
    shape, other_shape = (["*" if token[0].isalnum() else token for token in each] for each in (tokens, others))
    if shape != other_shape:
        return [(value, value != other)]
    return [(token, token != twin) for token, twin in zip(tokens, others, strict=True)]
