"""Traffic whose calls carry nothing, its true causes, and audits of it with a second look."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from random import Random

from traceaudit.audit import Audit, AuditSettings
from traceaudit.capture.replay import in_order, replay
from traceaudit.exchange import Direction, Exchange, Header
from traceaudit.store.writer import AuditWriter

MS = 1_000_000
IDLE_MS = 60_000

LINKS = "select outbound_id, inbound_id, method, probability, rank, evidence from links order by outbound_id, rank"
OUTCOMES = """select outbound_id, inbound_id, format, outcome, probability, inbound_route, outbound_route
    from outcomes left join edges on edges.id = edge_id order by outbound_id, format"""
FINDINGS = """select code, confidence, probability, occurrences, first_ns, last_ns, inbound_route, outbound_route,
    outbound_id from findings join edges on edges.id = edge_id order by code, inbound_route, outbound_route"""
OCCURRENCES = """select finding_occurrences.outbound_id, code, inbound_route, finding_occurrences.probability
    from finding_occurrences join findings on findings.id = finding_id join edges on edges.id = edge_id
    order by 1, 2"""


def headers(number: int) -> list[Header]:
    return [("traceparent", f"00-{number:032x}-{number:016x}-01")]


def traffic(count: int, every_ms: float, *, forwarding: bool = False) -> tuple[list[Exchange], dict[str, str]]:
    """Two routes that call the same upstream, one sooner than the other; every call's true cause."""
    random = Random(7)
    exchanges, truth = [], {}
    for number in range(1, count + 1):
        route = random.choice(["/cart", "/checkout"])
        at = IDLE_MS + (number + random.random()) * every_ms
        think = random.uniform(2, 3) if route == "/cart" else random.uniform(12, 14)
        end = at + think + random.uniform(20, 24)
        ns = [int(moment * MS) for moment in (at, at + think, at + think + 18, end)]
        sent = headers(number) if forwarding else []
        exchanges += [
            Exchange(f"i{number}", Direction.INBOUND, ns[0], "GET", "shop", route, headers(number), ended_ns=ns[3]),
            Exchange(f"o{number}", Direction.OUTBOUND, ns[1], "GET", "pricing", "/quote", sent, ended_ns=ns[2]),
        ]
        truth[f"o{number}"] = f"i{number}"
    return exchanges, truth


def end_of(exchanges: Sequence[Exchange]) -> int:
    return max(each.ended_ns or each.started_ns for each in exchanges) + IDLE_MS * MS


def analyzed(path: Path, exchanges: Sequence[Exchange], *, infer: bool = True) -> Audit:
    """The audit of a recording, written to a database."""
    audit = Audit(AuditSettings(infer=infer))
    replay(in_order(exchanges), audit, AuditWriter(path, started_ns=0), started_ns=0, ended_ns=end_of(exchanges))
    return audit


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def chosen(path: Path) -> dict[str, tuple[str | None, float]]:
    """Per call its likeliest cause and how likely that is."""
    return {row[0]: (row[1], row[3]) for row in rows(path, LINKS) if row[4] == 1}  # type: ignore[misc]  # as the schema has it


def right(links: dict[str, tuple[str | None, float]], truth: dict[str, str]) -> float:
    return sum(links[id_][0] == truth[id_] for id_ in links) / len(links)
