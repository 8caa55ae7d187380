"""Feeds recorded exchanges to the audit in the order of time, as a live proxy would have done, and writes the run.

A recorded exchange has two moments, its start and its end. At the same nanosecond requests begin before calls begin,
and calls end before requests end, so that a call made in a request's last moment finds it in flight. What is alike in
that, too, goes by its id, so that the same exchanges have the same audit in whatever order their lines come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from itertools import groupby
from operator import attrgetter

from traceaudit.audit import Audit
from traceaudit.capture.inference import Here
from traceaudit.coverage import Coverage
from traceaudit.exchange import Direction, Exchange
from traceaudit.store.writer import AuditWriter

BATCH = 1000
"""Exchanges a transaction: the cost of a commit is shared, and what is gathered stays small."""

_OUTBOUND_ENDS, _INBOUND_ENDS = range(2)
_PLACE = attrgetter("started_ns", "id")
_STARTED = attrgetter("started_ns")


def in_order(exchanges: Iterable[Exchange]) -> list[Exchange]:
    """By their starts, and by their ids where those are the same: as an export writes them."""
    return sorted(exchanges, key=_PLACE)


def moments(exchanges: Iterable[Exchange]) -> Iterator[tuple[Exchange, bool]]:
    """Every start (``True``) and end (``False``) in the order of time; of exchanges in any order."""
    return moments_of(in_order(exchanges))


def moments_of(ordered: Iterable[Exchange]) -> Iterator[tuple[Exchange, bool]]:
    """The same of exchanges that are :func:`in_order`. It holds those only that have not ended yet."""
    open_: list[tuple[int, int, int, Exchange]] = []
    position = 0
    for started_ns, alike in groupby(ordered, key=_STARTED):
        while open_ and open_[0][0] < started_ns:
            yield heappop(open_)[3], False
        calls: list[Exchange] = []
        for each in alike:
            position += 1
            inbound = each.direction is Direction.INBOUND
            if each.ended_ns is not None:
                heappush(open_, (each.ended_ns, _INBOUND_ENDS if inbound else _OUTBOUND_ENDS, position, each))
            if inbound:
                yield each, True
            else:
                calls.append(each)
        for each in calls:
            yield each, True
    while open_:
        yield heappop(open_)[3], False


def replay(
    exchanges: Iterable[Exchange],
    audit: Audit,
    writer: AuditWriter,
    *,
    started_ns: int,
    ended_ns: int,
    coverage: Coverage | None = None,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Audits recorded exchanges that are :func:`in_order` and writes the run to its end. Raises what the writer raises.

    ``ended_ns``: the run ended then, or with the last of them. ``coverage``, of the audit's own findings, compares at
    the end what the settings name with what was there. ``progress`` hears of every batch how many exchanges were begun
    in it.
    """
    audit.advance(started_ns)
    second = Here()
    for exchange, begins in moments_of(exchanges):
        if audit.looks:
            second.look(audit, writer)
        if not begins:
            audit.end(exchange)
            continue
        writer.begin(exchange, audit.begin(exchange))
        ended_ns = max(ended_ns, exchange.ended_ns or exchange.started_ns)
        if writer.waiting >= BATCH:
            if progress is not None:
                progress(writer.waiting)
            writer.commit()
    audit.finish()
    second.look(audit, writer)
    if coverage is not None:
        writer.commit()
        coverage.settle(*writer.seen(), ended_ns)
    writer.conclude(audit, ended_ns)
