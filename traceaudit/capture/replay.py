"""Feeds recorded exchanges to the audit in the order of time, as a live proxy would have done, and writes the run.

A recorded exchange has two moments, its start and its end. At the same nanosecond requests begin before calls begin,
and calls end before requests end, so that a call made in a request's last moment finds it in flight. What is alike in
that, too, goes by its id, so that the same exchanges have the same audit in whatever order their lines come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from traceaudit.audit import Audit
from traceaudit.coverage import Coverage
from traceaudit.exchange import Direction, Exchange
from traceaudit.store.writer import AuditWriter

BATCH = 1000
"""Exchanges a transaction: the cost of a commit is shared, and what is gathered stays small."""

_INBOUND_BEGINS, _OUTBOUND_BEGINS, _OUTBOUND_ENDS, _INBOUND_ENDS = range(4)


def in_order(exchanges: Iterable[Exchange]) -> list[Exchange]:
    """By their starts, and by their ids where those are the same: as an export writes them."""
    return sorted(exchanges, key=lambda each: (each.started_ns, each.id))


def moments(exchanges: Iterable[Exchange]) -> Iterator[tuple[Exchange, bool]]:
    """Every start (``True``) and end (``False``) in the order of time."""
    keyed: list[tuple[int, int, int, Exchange]] = []
    for position, each in enumerate(in_order(exchanges)):
        inbound = each.direction is Direction.INBOUND
        keyed.append((each.started_ns, _INBOUND_BEGINS if inbound else _OUTBOUND_BEGINS, position, each))
        if each.ended_ns is not None:
            keyed.append((each.ended_ns, _INBOUND_ENDS if inbound else _OUTBOUND_ENDS, position, each))
    keyed.sort(key=lambda moment: moment[:3])
    for _, kind, _, exchange in keyed:
        yield exchange, kind in (_INBOUND_BEGINS, _OUTBOUND_BEGINS)


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
    """Audits recorded exchanges and writes the run to its end. Raises what the writer raises.

    ``coverage``, of the audit's own findings, compares at the end what the settings name with what was there.
    ``progress`` hears of every batch how many exchanges were begun in it.
    """
    audit.advance(started_ns)
    for exchange, begins in moments(exchanges):
        if not begins:
            audit.end(exchange)
            continue
        writer.begin(exchange, audit.begin(exchange))
        if writer.waiting >= BATCH:
            if progress is not None:
                progress(writer.waiting)
            writer.commit()
    if coverage is not None:
        writer.commit()
        coverage.settle(*writer.seen(), ended_ns)
    writer.conclude(audit, ended_ns)
