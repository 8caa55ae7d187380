"""Reads the recordings that `traceaudit analyze` is given, and gives their exchanges in the order of time.

Theory of operation. Lines come in any order, and a recording may be larger than memory. One exchange log that is nearly
in order (:mod:`traceaudit.capture.arrangement`) is read while it is audited. All else is read first, and put aside to
be sorted (:mod:`traceaudit.capture.spool`). Which way it went changes nothing in what comes out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import click

from traceaudit.capture import envoy_log, har
from traceaudit.capture.arrangement import Arranged, Arrangement, ChangedError, arrangement
from traceaudit.capture.exchange_log import BadLine, RunTimes, read
from traceaudit.capture.replay import BATCH
from traceaudit.capture.sources import HEAD, Source, recognise
from traceaudit.capture.spool import Spool
from traceaudit.commands.progress import progress
from traceaudit.commands.status import BadInputFailure, UsageFailure
from traceaudit.exchange import Direction, Exchange
from traceaudit.safe import safe

_SHOWN = 20
"""Bad lines that are told one by one; a file that is no log has as many as it has lines."""


type _Reader = Callable[[Iterable[bytes]], Iterator[Exchange | RunTimes | BadLine]]


class Recording:
    """What was read, or is read while it is audited; the times of the run; how many lines could not be used."""

    def __init__(self, *, streaming: bool) -> None:
        """``streaming``: of one log that is in order, the exchanges may be given before all of it was read."""
        self.times: list[RunTimes] = []
        self.bad = 0
        self.written: Callable[[str], bool] = lambda _: False
        """Whether an exchange of this id, which was given, is in the audit database or on its way there."""
        self._streaming = streaming
        self._spool = Spool()
        self._arranged: tuple[Path, Arrangement] | None = None
        self._direction: Direction | None = None
        self._files = 0

    @property
    def exchanges(self) -> int:
        """How many exchanges there are, or seem to be."""
        return self._arranged[1].exchanges if self._arranged else len(self._spool)

    def __contains__(self, id_: str) -> bool:
        """Whether an exchange of this id was read and put aside."""
        return id_ in self._spool

    def in_order(self) -> Iterator[Exchange]:
        """By their starts and ids. Raises what ends the command when the recording can no longer be read."""
        if self._arranged is None:
            yield from self._spool.in_order()
            return
        path, arranged = self._arranged
        try:
            yield from self._again(path, arranged)
        except ChangedError as error:
            raise UsageFailure(f"{path}: {error}; analyze a copy of it") from error
        except OSError as error:
            raise UsageFailure(f"{path} cannot be read: {error.strerror}") from error

    def tell_of_more(self) -> None:
        """Says how many lines could not be used beyond those that were told of."""
        if self.bad > _SHOWN:
            click.echo(f"… and {self.bad - _SHOWN:,} more lines that cannot be used", err=True)

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self, log: str, direction: Direction | None = None) -> None:
        """Reads one recording; `-` is standard input. ``direction``: where it does not say itself on which side."""
        shown = safe(log)
        self._direction = direction
        self._files += 1
        if log == "-":
            if sys.stdin is None:  # what Python makes of one that is closed
                raise UsageFailure("standard input is closed: name a file, or pipe a log in")
            self._recognise(sys.stdin.buffer, "standard input")
            return
        path = Path(log)
        try:
            with path.open("rb", buffering=HEAD) as file:
                if not (self._streaming and file.seekable() and self._arrange(path, file, shown)):
                    self._recognise(file, shown)
        except FileNotFoundError as error:
            raise UsageFailure(f"{log}: there is no such file") from error
        except OSError as error:
            raise UsageFailure(f"{log} cannot be read: {error.strerror or error}") from error

    def _arrange(self, path: Path, file: BinaryIO, name: str) -> bool:
        """Whether it is a log that is nearly in order; else it is at its beginning again."""
        if _source(file) is not Source.EXCHANGE_LOG:
            return False
        with progress(f"reading {name}") as step:
            arranged = arrangement(file, step=step)
        if arranged is None:
            file.seek(0)
            return False
        self.times += arranged.times
        self._arranged = path, arranged
        return True

    def _recognise(self, file: BinaryIO, name: str) -> None:
        """Reads what is there by its own reader."""
        # Exchanges without ids of their own are named by the file and their place in it.
        direction, prefix = self._direction, "" if self._files == 1 else f"{self._files}."
        match _source(file):
            case Source.EXCHANGE_LOG:
                self._take(file, name, read)
            case Source.ENVOY:
                self._take(file, name, lambda lines: envoy_log.read(lines, direction, prefix))
            case Source.HAR:
                if direction is None:
                    raise UsageFailure(
                        f"{name} is a HAR file, which does not say on which side of the service it was recorded: name "
                        "it with --as-inbound or --as-outbound"
                    )
                try:
                    self._keep(har.read(file.read(), direction, prefix), name)
                except har.NotHarError as error:
                    raise BadInputFailure(f"{name} is no HAR file: {error}") from error
            case Source.FLOWS:
                from traceaudit_addons import flow_file  # noqa: PLC0415  (imports mitmproxy: seconds)

                self._keep(flow_file.read(file, direction), name)

    def _keep(self, found: Iterable[Exchange | BadLine], name: str) -> None:
        """Takes the exchanges of a file that has no lines."""
        for number, each in enumerate(found, 1):
            if isinstance(each, BadLine):
                self._complain(name, each.number, each.reason)
            elif not self._spool.add(each):
                self._complain_of_twice(name, number, each)

    def _take(self, lines: Iterable[bytes], name: str, reader: _Reader) -> None:
        with progress(f"reading {name}") as step:
            for number, each in self._numbered(_stepping(lines, step), name, reader):
                if not self._spool.add(each):
                    self._complain_of_twice(name, number, each)

    def _numbered(self, lines: Iterable[bytes], name: str, reader: _Reader) -> Iterator[tuple[int, Exchange]]:
        """The exchanges with the numbers of their lines; complains of the others."""
        number = 0  # of the line that was read last: some give nothing, and an exported run's first gives two things

        def counted() -> Iterator[bytes]:
            nonlocal number
            for line in lines:
                number += 1
                yield line

        for each in reader(counted()):
            if isinstance(each, Exchange):
                yield number, each
            elif isinstance(each, BadLine):
                self._complain(name, each.number, each.reason)
            elif self._arranged is None:  # At a second look, the times are known.
                self.times.append(each)

    def _again(self, path: Path, arranged: Arrangement) -> Iterator[Exchange]:
        name = safe(str(path))
        on_its_way = Arranged(arranged)
        ids = _Ids()

        def fresh(found: Iterable[tuple[int, Exchange]]) -> Iterator[tuple[int, Exchange]]:
            for number, each in found:
                if ids.look_like(each.id) and (on_its_way.holds(each.id) or self.written(each.id)):
                    self._complain_of_twice(name, number, each)
                else:
                    yield number, each

        with path.open("rb", buffering=HEAD) as file:
            lines = islice(file, arranged.lines)
            yield from on_its_way.in_order(fresh(self._numbered(lines, name, read)))

    def _complain_of_twice(self, name: str, number: int, exchange: Exchange) -> None:
        self._complain(name, number, f"id {exchange.id!r} has been used before")

    def _complain(self, name: str, number: int, reason: str) -> None:
        self.bad += 1
        if self.bad <= _SHOWN:
            click.echo(f"{name}:{number}: {safe(reason)}", err=True)


class _Ids:
    """Tells ids that may have come before from those that have not; which it is, others have to say.

    One bit an id, of 16 MiB: of a million, one in a hundred has to be looked for in vain.
    """

    def __init__(self) -> None:
        self._bits = bytearray(2**24)  # Pages that nothing was written to take no memory.

    def look_like(self, id_: str) -> bool:
        """Whether this one or one that looks like it has come before."""
        place = hash(id_) & 0x7FFFFFF
        there = self._bits[place >> 3] & (1 << (place & 7))
        self._bits[place >> 3] |= 1 << (place & 7)
        return there != 0


def _source(file: BinaryIO) -> Source:
    return recognise(file.peek(HEAD) if isinstance(file, BufferedReader) else b"")


def _stepping(lines: Iterable[bytes], step: Callable[[int], None]) -> Iterator[bytes]:
    for number, line in enumerate(lines, 1):
        if number % BATCH == 0:
            step(BATCH)
        yield line
