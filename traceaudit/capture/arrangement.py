"""Finds out whether a log is nearly in the order of time, so that it can be audited while it is read.

Theory of operation. A first look takes the starts from the bytes alone, without reading JSON, and keeps of each block
of lines the first and the last. From these follows, for the end of each block, how early the lines
behind it begin at the earliest: everything before that moment can be given on. An exported run is in order to the line;
a log that is written when exchanges end is off by a few. Where more would have to be held than :data:`HELD`, or a
start may be hidden, there is no arrangement, and the log has to be sorted.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from operator import attrgetter
from typing import BinaryIO, NamedTuple

from traceaudit.capture.exchange_log import RunTimes, read
from traceaudit.capture.replay import in_order
from traceaudit.exchange import Exchange

BLOCK = 512 * 1024
"""Bytes of a block; it ends with a line."""

HELD = 2 * 1024 * 1024
"""Bytes of lines that are held back at most."""

_STARTED = re.compile(rb'"started_ns"[ \t\r]*:[ \t\r]*(\d{1,4000})')
"""A number has more digits than its first 4,000 only where it is out of all range."""

_ESCAPED = re.compile(rb"\\u00(?:5[Ff]|6[145Ee]|7[234])")
"""A letter of `started_ns`, written in such a way that it is not seen."""

_STARTED_NS = attrgetter("started_ns")
_NEVER = 2**63
"""Later than every time there is: what follows the last line begins never."""


type Step = Callable[[int], None]


class ChangedError(OSError):
    """The log is no longer what it was at the first look."""


@dataclass(frozen=True, slots=True)
class Cut:
    """After so many lines, everything that begins before ``before_ns`` has been read."""

    lines: int
    before_ns: int


class _Block(NamedTuple):
    lines: int
    bytes: int
    first_ns: int
    last_ns: int


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


def arrangement(
    file: BinaryIO, *, block: int = BLOCK, held: int = HELD, step: Step | None = None
) -> Arrangement | None:
    """How a log may be read in the order of time; ``None``: not without sorting it.

    ``block`` and ``held`` are bytes; ``step`` hears of the lines of each block.
    """
    blocks: list[_Block] = []
    times: list[RunTimes] = []
    exchanges = 0
    while text := file.read(block):
        text += file.readline()
        starts = _starts(text)
        if starts is None:
            return None
        if b'"run"' in text:
            for line in text.split(b"\n"):
                if b'"run"' in line:
                    times += [each for each in read([line]) if isinstance(each, RunTimes)]
        lines = text.count(b"\n") + (not text.endswith(b"\n"))
        blocks.append(_Block(lines, len(text), min(starts, default=_NEVER), max(starts, default=-1)))
        exchanges += len(starts)
        if step is not None:
            step(lines)
    cuts = _cuts(blocks)
    return None if _most_held(blocks, cuts) > held else Arrangement(cuts, times, exchanges)


def _starts(text: bytes) -> list[int] | None:
    """Every number that may be the start of an exchange in these lines; ``None``: there may be more.

    A start is a whole number behind its key, and the key may be written with escapes, which are not looked for. One
    that is no exchange's (a run's, one in an object within) only makes the lines before it be held a little longer.
    """
    if _ESCAPED.search(text):
        return None
    return [int(number) for number in _STARTED.findall(text)]


def _cuts(blocks: list[_Block]) -> list[Cut]:
    lines = accumulate(block.lines for block in blocks)
    later = [_NEVER, *accumulate((block.first_ns for block in reversed(blocks[1:])), min)] if blocks else []
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
