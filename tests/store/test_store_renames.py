"""What was written under a route that turned out to vary is found under its new name, and in one place."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from traceaudit.audit import Audit
from traceaudit.capture.replay import in_order, replay
from traceaudit.exchange import Direction, Exchange
from traceaudit.store.writer import AuditWriter

MS = 1_000_000
COUNT = 60


def exchanges() -> list[Exchange]:
    found = []
    for number in range(1, COUNT + 1):
        at = (60_000 + number * 100) * MS
        name = "".join(chr(ord("a") + int(digit)) for digit in f"{number:03d}")
        headers = [("traceparent", f"00-{number:032x}-{number:016x}-01")]
        found.append(
            Exchange(f"i{number}", Direction.INBOUND, at, "GET", "shop", f"/users/{name}", headers, ended_ns=at + 9)
        )
        found.append(
            Exchange(f"o{number}", Direction.OUTBOUND, at + 1, "GET", "db", f"/rows/{name}", [], ended_ns=at + 2)
        )
    return found


def test_edges_findings_outcomes_and_exchanges_follow_their_routes(tmp_path: Path) -> None:
    writer = AuditWriter(tmp_path / "audit.db", started_ns=0)
    for exchange in (batch := exchanges()):
        assert exchange.ended_ns
    replay(in_order(batch), Audit(), writer, started_ns=0, ended_ns=batch[-1].started_ns + 100 * MS)
    database = sqlite3.connect(tmp_path / "audit.db")

    def rows(sql: str) -> list[tuple[object, ...]]:
        return database.execute(sql).fetchall()

    assert rows("select inbound_route, outbound_authority, outbound_route from edges") == [
        ("GET /users/{name}", "db", "GET /rows/{name}")
    ]
    assert rows("select code, occurrences, edge_id from findings") == [("TP001", COUNT, 1)]
    assert rows("select count(*), count(distinct outbound_id) from finding_occurrences") == [(COUNT, COUNT)]
    assert rows("select distinct direction, route from exchanges order by 1") == [
        ("inbound", "GET /users/{name}"),
        ("outbound", "GET /rows/{name}"),
    ]
    assert rows("select format, outcome, count, share from propagation_matrix") == [
        ("traceparent", "dropped", COUNT, 1.0)
    ]
    assert rows("pragma foreign_key_check") == []
    database.close()
