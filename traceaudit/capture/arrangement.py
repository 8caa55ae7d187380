"""Finds out whether a log is nearly in the order of time, so that it can be audited while it is read.

Theory of operation. A first look takes every line's start from its bytes alone, without reading it as JSON, and keeps
of each block of lines the first and the last start. From these follows, for the end of each block, how early the lines
behind it begin at the earliest: everything before that moment can be given on. An exported run is in order to the line;
a log that is written when exchanges end is off by a few. Where more would have to be held than :data:`HELD`, or a line
could be read in two ways, there is no arrangement, and the log has to be sorted.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from operator import attrgetter

from traceaudit.capture.exchange_log import RunTimes, read
from traceaudit.capture.replay import in_order
from traceaudit.exchange import Exchange

BLOCK_LINES = 512
BLOCK = 512 * 1024
"""Bytes from which on a block is full; one line may be larger."""

HELD = 2 * 1024 * 1024
"""Bytes of lines that are held back at most."""

_STARTED = re.compile(rb'"started_ns"[ \t]*:[ \t]*(\d{1,19})(?!\d)')
_ESCAPED = re.compile(rb"\\u00(?:5[Ff]|6[145Ee]|7[234])")
"""A letter of `started_ns`, written in such a way that it is not seen."""

_STARTED_NS = attrgetter("started_ns")
_NEVER = 2**63
"""Later than every time there is: what follows the last line begins never."""


class ChangedError(OSError):
    """The log is no longer what it was at the first look."""


@dataclass(frozen=True, slots=True)
class Cut:
    """After so many lines, everything that begins before ``before_ns`` has been read."""

    lines: int
    before_ns: int


@dataclass(slots=True)
class _Block:
    lines: int = 0
    bytes: int = 0
    first_ns: int = _NEVER
    last_ns: int = -1


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Where a log can be cut, and the times of runs that it tells."""

    cuts: list[Cut]
    times: list[RunTimes]
    exchanges: int
    """How many lines look like exchanges."""

    @property
    def lines(self) -> int:
        """How many lines there are."""
        return self.cuts[-1].lines if self.cuts else 0


def arrangement(lines: Iterable[bytes], *, block_lines: int = BLOCK_LINES, held: int = HELD) -> Arrangement | None:
    """How a log may be read in the order of time; ``None``: not without sorting it."""
    exchanges = 0
    blocks = [block := _Block()]
    times: list[RunTimes] = []
    for line in lines:
        if b'"run"' in line:
            read_ = list(read([line]))
            times += [each for each in read_ if isinstance(each, RunTimes)]
            started_ns = next((each.started_ns for each in read_ if isinstance(each, Exchange)), _NEVER)
        elif (seen_ns := _started_ns(line)) is not None:
            started_ns = seen_ns
        else:
            return None
        if block.bytes >= BLOCK or block.lines >= block_lines:
            blocks.append(block := _Block())
        block.lines += 1
        block.bytes += len(line)
        block.first_ns = min(block.first_ns, started_ns)
        if started_ns < _NEVER:
            exchanges += 1
            block.last_ns = max(block.last_ns, started_ns)
    cuts = _cuts(blocks)
    return None if _most_held(blocks, cuts) > held else Arrangement(cuts, times, exchanges)


def _started_ns(line: bytes) -> int | None:
    """The start of the exchange that a line tells, if it tells one; ``None``: that cannot be seen so easily.

    A key may be written with escapes, may come twice, may stand in an object within the line: one that is written
    plainly, and once, is the one that counts if any does.
    """
    if b"\\u00" in line and _ESCAPED.search(line):
        return None
    there = line.count(b'"started_ns"')
    if there == 0:
        return _NEVER  # No exchange, whatever else it is.
    found = _STARTED.search(line)
    return int(found[1]) if found is not None and there == 1 else None


def _cuts(blocks: list[_Block]) -> list[Cut]:
    lines = accumulate(block.lines for block in blocks)
    later = [_NEVER, *accumulate((block.first_ns for block in reversed(blocks[1:])), min)]
    return [Cut(*each) for each in zip(lines, reversed(later), strict=True)]


def _most_held(blocks: list[_Block], cuts: list[Cut]) -> int:
    """The most bytes of blocks that are not wholly given on after a cut; a block that is just being read left out."""
    most = 0
    held: list[_Block] = []
    for block, cut in zip(blocks, cuts, strict=True):
        held = [each for each in (*held, block) if each.last_ns >= cut.before_ns]
        most = max(most, sum(each.bytes for each in held))
    return most


class Arranged:
    """The exchanges of a log on their way from its lines to the order of time."""

    def __init__(self, arrangement: Arrangement) -> None:
        self._cuts = arrangement.cuts
        self._holding: list[Exchange] = []
        self._given: list[Exchange] = []

    def holds(self, id_: str) -> bool:
        """Whether an exchange of this id is on its way; what was given on last may not have arrived."""
        return any(each.id == id_ for each in (*self._holding, *self._given))

    def in_order(self, found: Iterable[tuple[int, Exchange]]) -> Iterator[Exchange]:
        """By their starts and ids, the exchanges of numbered lines; raises :class:`ChangedError`."""
        cuts, given_ns = iter(self._cuts), -1
        cut = next(cuts, None)
        for number, exchange in found:
            while cut is not None and number > cut.lines:
                yield from self._give(cut.before_ns)
                given_ns, cut = cut.before_ns, next(cuts, None)
            if cut is None or exchange.started_ns < given_ns:
                raise ChangedError("it has changed while it was read")
            self._holding.append(exchange)
        yield from self._give(_NEVER)

    def _give(self, before_ns: int) -> list[Exchange]:
        holding = in_order(self._holding)
        end = bisect_left(holding, before_ns, key=_STARTED_NS)
        given, self._holding = holding[:end], holding[end:]
        if given:
            self._given = given
        return given
