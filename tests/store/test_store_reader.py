"""What is in an audit database is read back, whatever state it is in, as of one moment."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.builders import record
from tests.reports import shop
from traceaudit.store import opening
from traceaudit.store.reader import AuditReader, NotAnAuditError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return shop.build(tmp_path / "audit.db")


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def test_there_is_one_error_for_what_is_no_audit_database(tmp_path: Path) -> None:
    assert NotAnAuditError is opening.NotAnAuditError
    (tmp_path / "notes.txt").write_text("not a database")
    with pytest.raises(NotAnAuditError, match="is no SQLite file"):
        AuditReader(tmp_path / "notes.txt")
    with pytest.raises(FileNotFoundError, match="There is no file"):
        AuditReader(tmp_path / "nowhere.db")
    assert not (tmp_path / "nowhere.db").exists()


def test_a_run_and_its_totals(path: Path) -> None:
    with AuditReader(path) as reader:
        run = reader.run()
    assert run is not None
    assert (run.id, run.service, run.command, run.dropped, run.audit_errors) == (1, "shop", "run -- ./shop", 0, 0)
    assert (run.inbound, run.outbound, run.linked, run.uncaused, run.ambiguous) == (4, 8, 6, 1, 1)
    assert run.version
    assert run.settings == {}


def test_the_latest_run_unless_another_is_asked_for(path: Path) -> None:
    record(path, service="other")
    with AuditReader(path) as reader:
        assert [run.service for run in reader.runs()] == ["shop", "other"]
        latest, first = reader.run(), reader.run(1)
        assert reader.run(3) is None
        assert reader.findings(2) == []
    assert latest is not None
    assert first is not None
    assert (latest.service, first.service) == ("other", "shop")


def test_a_database_without_runs(tmp_path: Path) -> None:
    record(tmp_path / "audit.db")
    change(tmp_path / "audit.db", "delete from runs")
    with AuditReader(tmp_path / "audit.db") as reader:
        assert reader.run() is None
        assert reader.runs() == []


def test_findings_come_the_gravest_and_surest_first(path: Path) -> None:
    change(path, "update findings set severity = 'note' where code = 'TP016'")
    with AuditReader(path) as reader:
        found = [(each.severity, each.confidence, each.code) for each in reader.findings(1)]
    assert found == [
        ("error", "proven", "TP001"),
        ("error", "proven", "TP003"),
        ("error", "ambiguous", "TP001"),
        ("error", "ambiguous", "TP003"),
        ("error", "ambiguous", "TP004"),
        ("note", "proven", "TP016"),
    ]


def test_a_finding_without_a_call_edge_is_read_too(path: Path) -> None:
    change(
        path,
        "insert or ignore into rules values ('CP003', 'route-unexercised', 'note', '')",
        "insert into findings (run_id, code, severity, confidence) values (1, 'CP003', 'note', 'proven')",
    )
    with AuditReader(path) as reader:
        found = reader.findings(1)[-1]
    assert (found.code, found.inbound_route, found.outbound_authority, found.outbound_id) == ("CP003", "", "", None)


def test_a_calls_links_and_outcomes(path: Path) -> None:
    with AuditReader(path) as reader:
        chosen, nothing = reader.links("s0")
        outcomes = {each.format: each.outcome for each in reader.outcomes("s0")}
        assert reader.links("nobody") == []
    assert (chosen[0], chosen[1], chosen[3]) == ("i0", "request-id", {"formats": ["x-request-id"], "carried_by": 1})
    assert (nothing[0], nothing[3]) == (None, {})
    assert outcomes == {"b3multi": "dropped", "traceparent": "dropped", "x-request-id": "forwarded"}


def test_headers_say_what_was_redacted(path: Path) -> None:
    with AuditReader(path) as reader:
        rows = {row.name: (row.value, row.redacted) for row in reader.headers("i0")}
    assert rows["Authorization"] == ("", True)
    assert rows["Host"] == ("shop", False)


def test_calls_that_nobody_caused_the_most_frequent_first(path: Path) -> None:
    with AuditReader(path) as reader:
        assert reader.uncaused(1) == [("config:7000", "GET /flags", 1)]


def test_what_is_written_meanwhile_is_not_seen(path: Path) -> None:
    with AuditReader(path) as reader:
        before = reader.findings(1)
        change(path, "delete from finding_occurrences", "delete from findings")
        assert reader.findings(1) == before
    with AuditReader(path) as reader:
        assert reader.findings(1) == []


def test_nothing_can_be_written(path: Path) -> None:
    with AuditReader(path) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._db.execute("delete from findings")


def test_what_another_program_put_into_json_columns_is_no_error(path: Path) -> None:
    change(
        path,
        "update exchanges set minted = '[\"traceparent\", \"x-later\", [1]]' where id = 'i0'",
        "update exchanges set minted = 'nothing' where id = 'i1'",
        "update links set evidence = 'because' where outbound_id = 's0' and rank = 1",
        "update links set evidence = '[1, 2]' where outbound_id = 'p0' and rank = 1",
    )
    with AuditReader(path) as reader:
        exchanges = {each.id: each.minted for each in reader.exchanges()}
        evidence = [reader.links(id_)[0][3] for id_ in ("s0", "p0")]
    assert (exchanges["i0"], exchanges["i1"]) == (["traceparent"], [])
    assert evidence == [{"value": "because"}, {"value": [1, 2]}]
