"""Writes a run as an exchange log (DESIGN 8), from which the same findings can be had again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

from traceaudit.exchange import Exchange
from traceaudit.filters import Filter
from traceaudit.store.reader import AuditReader, Run


def lines(reader: AuditReader, run: Run, filter_: Filter | None = None) -> Iterator[str]:
    """One JSON object a line, in ASCII; the first tells from when to when the service was watched, too."""
    times: dict[str, object] = {"started_ns": run.started_ns, "ended_ns": run.ended_ns, "service": run.service}
    first: dict[str, object] | None = {"run": times}
    for exchange in reader.exchanges(run.id, filter_):
        yield json.dumps({**record(exchange), **(first or {})})
        first = None
    if first is not None:
        yield json.dumps(first)


def record(exchange: Exchange) -> dict[str, object]:
    """An exchange as the log has it."""
    found: dict[str, object] = {
        "id": exchange.id,
        "direction": exchange.direction.value,
        "started_ns": exchange.started_ns,
        "response_started_ns": exchange.response_started_ns,
        "ended_ns": exchange.ended_ns,
        "method": exchange.method,
        "scheme": exchange.scheme,
        "authority": exchange.authority,
        "path": exchange.path,
        "http_version": exchange.http_version,
        "status": exchange.status,
        "error": exchange.error,
        "connection_id": exchange.connection_id,
        "client_address": exchange.client_address,
        "server_address": exchange.server_address,
        "request_headers": exchange.request_headers,
        "response_headers": exchange.response_headers,
        "minted": [format_.value for format_ in exchange.minted],
    }
    if exchange.gated is not None:
        found["gated"] = asdict(exchange.gated)
    return found
