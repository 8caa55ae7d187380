"""Makes a large audit database: a shop's traffic, its calls linked and judged, some of them faulty.

    python benchmarks/tui_million_database.py million.db [--exchanges 1000000] [--occurrences 50000]

The rows are written directly, without the audit: what is measured is how they are read.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import batched
from pathlib import Path

from sqlite_utils import Database

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from traceaudit.rules import RULES
from traceaudit.store.schema import MIGRATIONS

START_NS = 1_772_445_600_000_000_000
MS = 1_000_000
BATCH = 20_000  # requests a transaction
FORMATS = ("traceparent", "b3multi", "x-request-id")
ROUTES = [
    ("GET", "/checkout", "GET /checkout"),
    ("GET", "/products/{}", "GET /products/{id}"),
    ("POST", "/orders", "POST /orders"),
    ("GET", "/search?q={}", "GET /search"),
    ("GET", "/account/{}", "GET /account/{id}"),
]
UPSTREAMS = [f"{name}.default.svc:80" for name in ("inventory", "pricing", "payment", "mail", "accounts", "catalog")]
FAULTY = (("TP001", "dropped"), ("TP011", "restarted"), ("TP013", "altered"), ("TP021", "leaked"))

type Rows = dict[str, list[tuple[object, ...]]]

INSERTS = {
    "exchanges": 18,
    "headers": 6,
    "links": 6,
    "outcomes": 7,
    "finding_occurrences": 4,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--exchanges", type=int, default=1_000_000)
    parser.add_argument("--occurrences", type=int, default=50_000)
    arguments = parser.parse_args()
    began = time.monotonic()
    build(arguments.path, arguments.exchanges, arguments.occurrences)
    size = arguments.path.stat().st_size / 1e6
    print(f"{arguments.path}: {size:,.0f} MB in {time.monotonic() - began:.0f} s")


def build(path: Path, exchanges: int, occurrences: int) -> None:
    """One run; every request makes one or two calls, and the last of them is faulty as often as is asked for."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        MIGRATIONS.apply(Database(db))
        db.execute("pragma synchronous = off")
        requests = exchanges * 2 // 5
        db.execute(
            "insert into runs values (1, ?, ?, 'run -- ./shop', 'shop', '0.1.0', '{}', ?, 0, 0)",
            (START_NS, START_NS + requests * 3 * MS, exchanges),
        )
        db.executemany(
            "insert into rules values (?, ?, ?, ?)", [(r.code, r.slug, r.severity, r.summary) for r in RULES]
        )
        edges = {}
        for route in ROUTES:
            for upstream in UPSTREAMS:
                edges[route[2], upstream] = len(edges) + 1
        db.executemany(
            "insert into edges values (?, 1, ?, ?, 'GET /items/{id}')",
            [(id_, route, upstream) for (route, upstream), id_ in edges.items()],
        )
        severities = {rule.code: (rule.slug, rule.severity.value) for rule in RULES}
        findings = {}
        for (route, upstream), edge in edges.items():
            for code, _ in FAULTY:
                findings[code, route, upstream] = len(findings) + 1
                db.execute(
                    "insert into findings values (?, 1, ?, ?, ?, ?, 'proven', 0.9999, 'traceparent', ?, 'a', 'b', null,"
                    " null, 0, null, null, null, null)",
                    (len(findings), edge, code, *severities[code], "the request brought one, the call has none"),
                )
        every = max(1, requests // occurrences)
        for batch in batched(rows(requests, every, edges, findings), BATCH):
            db.execute("begin")
            for table, width in INSERTS.items():
                marks = ", ".join("?" * width)
                db.executemany(f"insert into {table} values ({marks})", [row for each in batch for row in each[table]])
            db.execute("commit")
        db.execute(
            """update findings set (occurrences, outbound_id, inbound_id, first_ns, last_ns) =
            (select count(*), min(outbound_id), min(o.inbound_id), min(started_ns), max(started_ns)
             from finding_occurrences o join exchanges on exchanges.id = o.outbound_id
             where finding_id = findings.id)"""
        )
        db.execute("delete from findings where occurrences = 0")
        db.execute("pragma journal_mode = wal")


def rows(
    requests: int, every: int, edges: dict[tuple[str, str], int], findings: dict[tuple[str, str, str], int]
) -> Iterator[Rows]:
    """What one request after another adds to each table."""
    random_ = random.Random(17)
    for number in range(requests):
        added: Rows = {table: [] for table in INSERTS}
        method, path, route = ROUTES[number % len(ROUTES)]
        at = START_NS + number * 3 * MS
        trace, span = f"{random_.getrandbits(128):032x}", f"{random_.getrandbits(64):016x}"
        inbound = f"i{number}"
        ours = exchange(inbound, "inbound", at, 40, method, "shop:8080", path.format(number), route)
        added["exchanges"].append(ours)
        added["headers"] += headers(inbound, trace, span, number)
        for call in range(1 + number % 2):
            upstream = UPSTREAMS[(number // 3 + call) % len(UPSTREAMS)]
            id_ = f"o{number}-{call}"
            began = at + (2 + 10 * call) * MS
            theirs = exchange(id_, "outbound", began, 5, "GET", upstream, f"/items/{number}", "GET /items/{id}")
            added["exchanges"].append(theirs)
            fault = FAULTY[number // every % len(FAULTY)] if number % every == 0 and not call else None
            sent = headers(id_, trace, span, number)
            added["headers"] += sent[:2] if fault and fault[1] == "dropped" else sent
            added["links"].append((id_, inbound, "trace-id", 0.9999, 1, json.dumps({"carried_by": 1})))
            edge = edges[route, upstream]
            for format_ in FORMATS:
                outcome = fault[1] if fault and format_ == "traceparent" else "forwarded"
                added["outcomes"].append((id_, inbound, format_, outcome, 0.9999, None, edge))
            if fault:
                finding = findings[fault[0], route, upstream]
                added["finding_occurrences"].append((finding, id_, inbound, 0.9999))
        yield added


def exchange(  # noqa: PLR0917 -- a record of an exchange has that many fields
    id_: str, direction: str, at: int, took_ms: int, method: str, authority: str, path: str, route: str
) -> tuple[object, ...]:
    took = took_ms * MS
    row = (id_, 1, direction, at, at + took, at + took, method, "http", authority, path, route, 200, "HTTP/1.1")
    return (*row, f"c{at % 64}", "127.0.0.1:50412", None, None, "[]")


def headers(id_: str, trace: str, span: str, number: int) -> list[tuple[object, ...]]:
    named = (
        ("Host", "shop"),
        ("User-Agent", "Go-http-client/1.1"),
        ("Traceparent", f"00-{trace}-{span}-01"),
        ("X-B3-Traceid", trace),
        ("X-Request-Id", f"6f1c0c3e-8a51-4b9e-9a7d-{number:012x}"),
    )
    return [(id_, "request", position, name, value, 0) for position, (name, value) in enumerate(named)]


if __name__ == "__main__":
    main()
