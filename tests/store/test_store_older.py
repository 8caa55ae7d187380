"""A database of another version is brought up to date, read as it is, or refused with words; never spoiled."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from tests.builders import inbound, outbound, record, trace_headers
from traceaudit.filters import parse
from traceaudit.store import opening
from traceaudit.store.opening import NotAnAuditError, open_audit
from traceaudit.store.reader import AuditReader
from traceaudit.store.schema import MIGRATIONS


def older(path: Path, *, without: str) -> Path:
    """As a version wrote it that knew only the migrations before this one."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        database = Database(connection)
        MIGRATIONS.apply(database, stop_before=without)
        connection.execute("insert into runs (started_ns, service, settings) values (1, 'shop', '{}')")
        connection.execute(
            "insert into exchanges (id, run_id, direction, started_ns, method, authority, path)"
            " values ('i1', 1, 'inbound', 1, 'GET', 'shop', '/')"
        )
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write what others may not, so that a mode of 0400 would not do."""
    monkeypatch.setattr(opening, "_writable", lambda _: False)


@pytest.mark.parametrize("without", ["views", "marks"])
def test_an_older_database_is_brought_up_to_date_and_keeps_what_it_holds(tmp_path: Path, without: str) -> None:
    path = older(tmp_path / "audit.db", without=without)
    with AuditReader(path) as reader:
        assert [each.id for each in reader.exchanges(1)] == ["i1"]
        assert reader.matrix(1) == []
        assert list(reader.exchanges(1, parse("is:marked"))) == []
    with closing(sqlite3.connect(path)) as db:
        assert MIGRATIONS.pending(Database(db)) == []


def test_one_without_marks_that_cannot_be_written_is_read_as_it_is(tmp_path: Path, unwritable: None) -> None:
    path = older(tmp_path / "audit.db", without="marks")
    before = digest(path)
    connection, access = open_audit(path)
    assert not access.marks
    assert connection.execute("select count(*) from marks").fetchone()[0] == 0
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("delete from exchanges")
    connection.close()
    assert digest(path) == before


def test_one_that_misses_more_and_cannot_be_written_is_refused(tmp_path: Path, unwritable: None) -> None:
    path = older(tmp_path / "audit.db", without="views")
    with pytest.raises(NotAnAuditError, match="older version of traceaudit and cannot be brought up to date, since it"):
        open_audit(path)


def test_one_that_cannot_be_brought_up_to_date_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = older(tmp_path / "audit.db", without="views")
    with closing(sqlite3.connect(path)) as db:
        db.execute("create table requests (somebody_else)")
    with pytest.raises(NotAnAuditError, match=r"cannot be brought up to date: .*requests.* already exists"):
        open_audit(path)


def test_one_of_a_newer_version_is_read_if_all_is_there_and_refused_if_not(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    record(path, [inbound("i0", headers=trace_headers(0)), outbound("o0", 1, headers=trace_headers(0))])
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("insert into _sqlite_migrations (migration_set, name) values ('traceaudit', 'of the future')")
    open_audit(path)[0].close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("drop table marks")
    with pytest.raises(NotAnAuditError, match="newer version of traceaudit, and this one misses marks in it"):
        open_audit(path)


def test_somebody_else_s_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("create table findings (id, what)")
    before = digest(path)
    with pytest.raises(NotAnAuditError, match="another version of traceaudit"):
        open_audit(path)
    assert digest(path) == before


def test_a_present_database_is_not_written_to_by_reading(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    record(path, [inbound("i0", headers=trace_headers(0))])
    before = digest(path)
    open_audit(path)[0].close()
    assert digest(path) == before


def test_a_finding_that_is_withdrawn_takes_its_mark_along(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    record(path, [inbound("i0"), outbound("o0", 1)])
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("pragma foreign_keys = on")
        db.execute("insert into findings (id, run_id, code) values (7, 1, 'TP001')")
        db.execute("insert into marks (finding_id, marked_ns) values (7, 1)")
        db.execute("insert into marks (exchange_id, marked_ns) values ('o0', 1)")
        db.execute("delete from findings")
        assert db.execute("select exchange_id from marks").fetchall() == [("o0",)]
        with pytest.raises(sqlite3.IntegrityError):
            db.execute("insert into marks (marked_ns) values (1)")
