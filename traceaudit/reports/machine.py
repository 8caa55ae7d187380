"""The report for machines: one JSON object, whose keys stay what they are within a version.

``version``
    1. It changes when a key changes its meaning or goes; new keys may come at any time.
``verdict``
    ``findings`` when any finding is proven or probable, whatever its severity; else ``inconclusive`` when too little
    was seen to say that all is well; else ``ok``. ``sentences`` says it in words.
``run``
    ``id``, ``service``, ``command``, ``version`` (of traceaudit), ``started_ns``, ``ended_ns`` (null: not ended),
    ``inbound``, ``outbound``, ``linked``, ``uncaused``, ``ambiguous``, ``dropped_exchanges``, ``audit_errors``.
``findings``
    The gravest and surest first. Each has the columns of the table ``findings`` and of its call edge; ``edge``, the
    edge in words; ``example``, the exchanges it is shown on (``inbound``, ``outbound``; null: not known), each with its
    propagation headers as ``[name, value]`` in the order sent (redacted ones are left out); ``links``, the candidate
    causes of the example call, the chosen one first (``inbound_id`` null: nothing caused it); ``envoy``, what each
    tracer of Envoy does at the call (``joined``, ``restarted``, ``lost``, ``unsampled``, ``untested``).
``matrix``
    One object a call edge, format and outcome, with ``count`` and ``share`` (of the edge's calls in this format).
``uncaused``
    One object a route that was called without a request: ``authority``, ``route``, ``count``.

Times are nanoseconds since the epoch, probabilities 0 to 1. The text is ASCII: hostile values arrive as escapes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TextIO

from traceaudit import envoy
from traceaudit.commands.status import Status
from traceaudit.exchange import Exchange, Severity
from traceaudit.formats import FORMAT_OF_HEADER, read
from traceaudit.reports import verdict, words
from traceaudit.store.reader import AuditReader, FindingRow, HeaderRow, Run

VERSION = 1

_VERDICTS = {Status.OK: "ok", Status.FINDINGS: "findings", Status.INCONCLUSIVE: "inconclusive"}


def write(
    stream: TextIO,
    reader: AuditReader,
    run: Run,
    *,
    findings: Sequence[FindingRow] | None = None,
    indent: int | None = 2,
) -> None:
    """Writes the report of a run; ``findings`` are those to show, by default all."""
    shown = reader.findings(run.id) if findings is None else findings
    stream.write(f"{json.dumps(report(reader, run, shown), indent=indent, ensure_ascii=True)}\n")


def report(reader: AuditReader, run: Run, findings: Sequence[FindingRow]) -> dict[str, object]:
    """The object."""
    return {
        "version": VERSION,
        "verdict": _VERDICTS[verdict.verdict(run, findings, Severity.NOTE)],
        "sentences": verdict.sentences(run, findings),
        "run": _run(run),
        "findings": [_finding(reader, finding) for finding in findings],
        "matrix": [
            {
                "inbound_route": inbound_route,
                "outbound_authority": authority,
                "outbound_route": outbound_route,
                "format": format_,
                "outcome": outcome,
                "count": count,
                "share": round(share, 6),
            }
            for inbound_route, authority, outbound_route, format_, outcome, count, share in reader.matrix(run.id)
        ],
        "uncaused": [
            {"authority": authority, "route": route, "count": count}
            for authority, route, count in reader.uncaused(run.id)
        ],
    }


def _run(run: Run) -> dict[str, object]:
    return {
        "id": run.id,
        "service": run.service,
        "command": run.command,
        "version": run.version,
        "started_ns": run.started_ns,
        "ended_ns": run.ended_ns,
        "inbound": run.inbound,
        "outbound": run.outbound,
        "linked": run.linked,
        "uncaused": run.uncaused,
        "ambiguous": run.ambiguous,
        "dropped_exchanges": run.dropped,
        "audit_errors": run.audit_errors,
    }


def _finding(reader: AuditReader, finding: FindingRow) -> dict[str, object]:
    inbound = reader.exchange(finding.inbound_id) if finding.inbound_id else None
    outbound = reader.exchange(finding.outbound_id) if finding.outbound_id else None
    carried = _trace_headers(reader, inbound)
    sent = _trace_headers(reader, outbound)
    links = reader.links(outbound.id) if outbound else []
    return {
        **asdict(finding),
        "edge": words.edge_of(finding),
        "example": {"inbound": _exchange(inbound, carried), "outbound": _exchange(outbound, sent)},
        "links": [
            {"inbound_id": inbound_id, "method": method, "probability": probability, "rank": rank, "evidence": evidence}
            for rank, (inbound_id, method, probability, evidence) in enumerate(links, 1)
        ],
        "envoy": [
            {"tracer": each.tracer.value, "result": each.result.value, "reason": each.reason}
            for each in (envoy.verdicts(read(carried), read(sent), sent) if outbound else ())
        ],
    }


def _trace_headers(reader: AuditReader, exchange: Exchange | None) -> list[tuple[str, str]]:
    rows: list[HeaderRow] = reader.headers(exchange.id) if exchange else []
    return [(row.name, row.value) for row in rows if row.name.lower() in FORMAT_OF_HEADER and not row.redacted]


def _exchange(exchange: Exchange | None, headers: list[tuple[str, str]]) -> dict[str, object] | None:
    if exchange is None:
        return None
    return {
        "id": exchange.id,
        "started_ns": exchange.started_ns,
        "method": exchange.method,
        "authority": exchange.authority,
        "path": exchange.path,
        "status": exchange.status,
        "error": exchange.error,
        "minted": [each.value for each in exchange.minted],
        "headers": headers,
    }
