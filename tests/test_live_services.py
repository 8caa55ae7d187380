"""Real Go services under `traceaudit run`: the findings there must be, and no others; the same from the log."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import UPSTREAM_NAME, run, traceaudit
from tests.services import Service, running

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
CLIENT = {
    "traceparent": f"00-{TRACE}-{SPAN}-01",
    "tracestate": "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7",
    "b3": f"{TRACE}-{SPAN}-1",
    "x-b3-traceid": TRACE,
    "x-b3-spanid": SPAN,
    "x-b3-sampled": "1",
}
"""What a client sends that is in a trace; without it the sidecar mints. A request id is always minted."""

TIMES = 3

SERVICES: dict[str, tuple[str, tuple[str, ...], dict[str, str], dict[str, set[str]]]] = {
    # id: the service, its arguments, the client's headers, and the rules that each route breaks
    "net/http": ("nethttp", (), {}, {
        "/forward/17": set(),
        "/twice": set(),
        "/parallel": set(),
        "/late": set(),
        "/drop/17": {"TP001", "TP003", "TP004"},
        "/restart-late": {"TP011"},
        "/wrong/request-id": {"TP012"},
        "/wrong/request-id-text": {"TP012", "WC004"},
    }),
    "net/http in a trace": ("nethttp", (), CLIENT, {
        "/forward/17": set(),
        "/drop/17": {"TP001", "TP003", "TP004"},
        "/wrong/duplicate": {"WC005"},
        "/wrong/rename": {"TP001"},
        "/wrong/flags-zero": {"TP013"},
        "/wrong/tracestate-reversed": {"TP015"},
        "/wrong/tracestate-dropped": {"TP002"},
        "/wrong/new-trace-id": {"TP011"},
        "/wrong/id-cut": {"TP014"},
        "/wrong/upper-case": {"WC001"},
        "/wrong/empty": {"WC006"},
    }),
    "W3C participant": ("participant", (), CLIENT, {
        "/call/17": {"TP003"},
        "/twice": {"TP003"},
        "/late": {"TP003"},
    }),
    "otelhttp, W3C": ("otelhttp", ("-propagator", "w3c"), {}, {"/call/17": {"TP003", "TP004"}}),
    "otelhttp, b3": ("otelhttp", ("-propagator", "b3"), {}, {"/call/17": {"TP001", "TP004"}}),
    "otelhttp, x-b3-*": ("otelhttp", ("-propagator", "b3multi"), {}, {"/call/17": {"TP001", "TP004"}}),
    "otelhttp, no propagator": ("otelhttp", ("-propagator", "none"), {}, {"/call/17": {"TP001", "TP003", "TP004"}}),
    "zipkin-go": ("zipkin", (), {}, {"/call/17": {"TP001", "TP004"}}),
    "gin": ("gin", (), {}, {"/forward/17": set(), "/drop/17": {"TP001", "TP003", "TP004"}}),
}  # fmt: skip


@pytest.fixture(scope="module")
def upstream() -> Iterator[Service]:
    with running("upstream") as service:
        yield service


@pytest.mark.parametrize("id_", SERVICES)
def test_a_service_has_the_findings_of_its_table_and_no_others(id_: str, upstream: Service, tmp_path: Path) -> None:
    name, arguments, headers, routes = SERVICES[id_]
    with run(tmp_path, name, *arguments, upstream=upstream) as live:
        for path in routes:
            for _ in range(TIMES):
                assert live.get(path, headers) < 300
        late_calls = sum("late" in path for path in routes) * TIMES
        calls = sum({"/twice": 2, "/parallel": 3}.get(path, 1) for path in routes) * TIMES
        until_called(live.database, calls if late_calls else 0)
    assert found(live.database) == expected(routes)
    assert counts(live.database) == {"inbound": len(routes) * TIMES, "outbound": calls}
    assert "audit errors" not in live.said[-1]
    assert live.status == 0, live.said

    log, again = tmp_path / "log.jsonl", tmp_path / "again.db"
    traceaudit("export", live.database, "--format", "jsonl", "--output", log, cwd=tmp_path)
    traceaudit("analyze", log, "--db", again, cwd=tmp_path)
    assert rows(again) == rows(live.database)
    faulty = any(routes.values())
    errors = any(
        code not in ("TP002", "TP014", "TP015", "WC004", "WC006") for codes in routes.values() for code in codes
    )
    traceaudit("check", live.database, cwd=tmp_path, check=1 if faulty and errors else 0)


def expected(routes: dict[str, set[str]]) -> set[str]:
    findings = set()
    for path, codes in routes.items():
        route = path.replace("17", "{id}")
        calls = {"/twice": ["/first", "/second"], "/parallel": ["/one", "/two", "/three"]}.get(path, [""])
        findings |= {f"{code} GET {route} -> {UPSTREAM_NAME} GET {route}{call}" for code in codes for call in calls}
    return findings


def until_called(database: Path, calls: int) -> None:
    """Returns when so many calls have been answered: some come after the response."""
    connection = sqlite3.connect(database)
    try:
        sql = "select count(*) from exchanges where direction = 'outbound' and status is not null"
        while connection.execute(sql).fetchone()[0] < calls:
            pass
    finally:
        connection.close()


def found(database: Path) -> set[str]:
    return {f"{row[0]} {row[1]} -> {row[2]} {row[3]}" for row in rows(database)}


def rows(database: Path) -> list[tuple[object, ...]]:
    """Everything that a finding says, but for the numbers of its row and run."""
    connection = sqlite3.connect(database)
    try:
        return connection.execute(
            "select code, inbound_route, outbound_authority, outbound_route, severity, confidence, probability, header,"
            " message, expected, observed, inbound_id, outbound_id, occurrences, first_ns, last_ns"
            " from findings join edges on edges.id = findings.edge_id order by 1, 2, 3, 4"
        ).fetchall()
    finally:
        connection.close()


def counts(database: Path) -> dict[str, int]:
    connection = sqlite3.connect(database)
    try:
        return dict(connection.execute("select direction, count(*) from exchanges group by direction"))
    finally:
        connection.close()


def test_the_report_in_json_names_what_the_database_holds(upstream: Service, tmp_path: Path) -> None:
    with run(tmp_path, "nethttp", upstream=upstream) as live:
        live.get("/drop/17")
    report = json.loads(traceaudit("report", live.database, "--format", "json", cwd=tmp_path).stdout)
    assert [each["code"] for each in report["findings"]] == ["TP001", "TP003", "TP004"]
