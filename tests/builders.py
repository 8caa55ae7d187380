"""Exchanges in a line each, and audits recorded from them through the real core, with fixed ids and times."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from traceaudit.audit import Audit, AuditSettings
from traceaudit.exchange import Direction, Exchange, Header
from traceaudit.formats.context import Format
from traceaudit.store.writer import AuditWriter

START_NS = 1_772_445_600_000_000_000
"""2026-03-02T10:00:00Z"""
MS = 1_000_000


def trace_id(number: int) -> str:
    return f"{0x4BF92F3577B34DA6A3CE929D0E0E4736 + number * 0x1000001:032x}"


def span_id(number: int) -> str:
    return f"{0x00F067AA0BA902B7 + number * 0x10001:016x}"


def request_id(number: int) -> str:
    return f"6f1c0c3e-8a51-4b9e-9a7d-{0x1D5EBEEF0000 + number:012x}"


def traceparent(number: int, span: int | None = None, *, sampled: int = 1) -> Header:
    return ("traceparent", f"00-{trace_id(number)}-{span_id(number if span is None else span)}-{sampled:02x}")


def b3multi(number: int) -> list[Header]:
    return [("x-b3-traceid", trace_id(number)), ("x-b3-spanid", span_id(number)), ("x-b3-sampled", "1")]


def trace_headers(number: int) -> list[Header]:
    """What a mesh's sidecar gives to a request."""
    return [traceparent(number), *b3multi(number), ("x-request-id", request_id(number))]


def exchange(
    id: str,
    direction: str,
    start_ms: float = 0,
    took_ms: float | None = 5,
    *,
    request: str = "GET /",
    authority: str = "shop.default.svc:8080",
    headers: Sequence[Header] = (),
    response_headers: Sequence[Header] = (),
    status: int | None = 200,
    error: str | None = None,
    minted: Sequence[Format] = (),
) -> Exchange:
    """``request`` is method and path; ``took_ms`` None: it never ended."""
    method, path = request.split(" ", 1)
    started_ns = START_NS + round(start_ms * MS)
    ended_ns = None if took_ms is None else started_ns + round(took_ms * MS)
    return Exchange(
        id=id,
        direction=Direction(direction),
        started_ns=started_ns,
        response_started_ns=ended_ns,
        ended_ns=ended_ns,
        method=method,
        authority=authority,
        path=path,
        request_headers=list(headers),
        response_headers=list(response_headers),
        status=status if took_ms is not None else None,
        error=error,
        minted=list(minted),
        connection_id="c1",
    )


def inbound(id: str, start_ms: float = 0, took_ms: float | None = 20, **more: object) -> Exchange:
    return exchange(id, "inbound", start_ms, took_ms, **more)  # type: ignore[arg-type]  # as exchange() says


def outbound(id: str, start_ms: float = 0, took_ms: float | None = 5, **more: object) -> Exchange:
    return exchange(id, "outbound", start_ms, took_ms, **more)  # type: ignore[arg-type]  # as exchange() says


def feed(audit: Audit, writer: AuditWriter, exchanges: Iterable[Exchange]) -> None:
    """Every start and end, in the order of time; nothing is committed."""
    events = [(each.started_ns, 0, each) for each in exchanges]
    events += [(each.ended_ns, 1, each) for _, _, each in events if each.ended_ns is not None]
    for _, ends, each in sorted(events, key=lambda event: event[:2]):
        if ends:
            audit.end(each)
            writer.change(each)
        else:
            writer.begin(each, audit.begin(each))


def record(
    path: Path,
    exchanges: Iterable[Exchange] = (),
    *,
    until_ms: float = 60_000,
    settings: AuditSettings | None = None,
    service: str = "shop",
    command: str = "run -- ./shop",
    redact: Collection[str] = (),
    dropped: int = 0,
    errors: int = 0,
) -> int:
    """A whole run in an audit database; its id."""
    writer = AuditWriter(path, started_ns=START_NS, service=service, command=command, redact=redact)
    audit = Audit(settings)
    feed(audit, writer, exchanges)
    writer.dropped, writer.errors = dropped, errors
    writer.conclude(audit, START_NS + round(until_ms * MS))
    return writer.run_id
