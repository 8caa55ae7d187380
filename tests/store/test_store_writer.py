"""What a run writes is in the file, whole, private and referring to nothing that is not there."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.builders import MS, START_NS, feed, inbound, outbound, record, request_id, trace_headers, traceparent
from tests.reports import shop
from traceaudit.audit import Audit
from traceaudit.exchange import Exchange
from traceaudit.formats.context import Format
from traceaudit.store import writer as store_writer
from traceaudit.store.reader import AuditReader
from traceaudit.store.writer import AuditWriter, DuplicateExchangeError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def assert_whole(path: Path) -> None:
    assert query(path, "pragma foreign_key_check") == []
    assert query(path, "pragma integrity_check") == [("ok",)]


def pair(number: int, at_ms: float = 0) -> list[Exchange]:
    """A request and a call that forwards its request id and nothing else."""
    return [
        inbound(f"i{number}", at_ms, headers=trace_headers(number)),
        outbound(f"o{number}", at_ms + 1, authority="up:80", headers=[("x-request-id", request_id(number))]),
    ]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program's write lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        yield
        other.execute("rollback")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_writer, "BUSY_TIMEOUT_MS", 10)


# --- what is there afterwards ---------------------------------------------------------------------------------------


def test_exchanges_come_back_as_they_were(path: Path) -> None:
    request = inbound(
        "i0",
        request="GET /checkout?cart=17",
        headers=[("Host", "shop"), ("TraceParent", "a"), ("traceparent", " b\x00\xff"), ("X-Empty", "")],
        response_headers=[("Content-Type", "text/plain"), ("X-Two", "1"), ("x-two", "2")],
        minted=[Format.B3, Format.REQUEST_ID],
    )
    unanswered = outbound("o0", 1, None, request="POST /charge", authority="[::1]:80", error="connection refused")
    record(path, [request, unanswered])
    with AuditReader(path) as reader:
        assert list(reader.exchanges(1)) == [request, unanswered]
        assert reader.exchange("i0") == request
        assert reader.exchange("nobody") is None


def test_all_that_was_decided_refers_to_what_is_there(path: Path) -> None:
    record(path, shop.exchanges(), until_ms=500)
    assert_whole(path)
    counts = {table: query(path, f"select count(*) from {table}")[0][0] for table in ("links", "outcomes", "findings")}
    assert min(map(int, map(str, counts.values()))) > 0
    assert query(path, "select count(*) from findings where outbound_id is null or edge_id is null") == [(0,)]
    assert query(path, "select sum(occurrences) from findings") == query(
        path, "select count(*) from finding_occurrences"
    )


def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    previous = os.umask(0)
    try:
        writer = AuditWriter(path, started_ns=START_NS)
        writer.begin(inbound("i0"))
        writer.commit()
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
        writer.close(START_NS)
    finally:
        os.umask(previous)
    assert modes == {"audit.db": 0o600, "audit.db-wal": 0o600, "audit.db-shm": 0o600}


def test_one_whole_file_is_left_behind(path: Path) -> None:
    record(path, pair(0))
    assert [each.name for each in path.parent.iterdir()] == ["audit.db"]


def test_secrets_never_reach_the_disk(path: Path) -> None:
    secrets = [("AUTHORIZATION", "s3cret-1"), ("cookie", "s3cret-2"), ("X-Api-Key", "s3cret-3"), ("X-Mine", "s3cret-4")]
    writer = AuditWriter(path, started_ns=START_NS, redact=["x-mine"])
    writer.begin(inbound("i0", headers=secrets, response_headers=[("Set-Cookie", "s3cret-5")]))
    writer.commit()
    on_disk = b"".join(each.read_bytes() for each in path.parent.iterdir())
    writer.close(START_NS)
    assert b"s3cret" not in on_disk + path.read_bytes()
    with AuditReader(path) as reader:
        assert [(row.name, row.value, row.redacted) for row in reader.headers("i0")] == [
            (name, "", True) for name, _ in secrets
        ]
        exchange = reader.exchange("i0")
    assert exchange is not None
    assert exchange.response_headers == [("Set-Cookie", "[redacted]")]


def test_the_run_counts_what_it_wrote(path: Path) -> None:
    record(path, pair(0), dropped=3, errors=2, until_ms=7)
    assert query(
        path, "select started_ns, ended_ns, service, exchanges, dropped_exchanges, audit_errors from runs"
    ) == [(START_NS, START_NS + 7 * MS, "shop", 2, 3, 2)]


def test_the_views_are_for_people(path: Path) -> None:
    record(path, shop.exchanges(), until_ms=500)
    inventory = "outbound_authority like 'inventory%'"
    assert query(path, f"select format, outcome, count, share from propagation_matrix where {inventory}") == [
        ("b3multi", "dropped", 2, 1.0),
        ("traceparent", "dropped", 2, 1.0),
        ("x-request-id", "forwarded", 2, 1.0),
    ]
    assert query(path, "select id, started, route from uncaused_calls") == [
        ("u0", "2026-03-02T10:00:00.090000Z", "GET /flags")
    ]
    assert query(
        path, "select call_id, call_route from (select *, call_path as call_route from requests where id='i100')"
    )
    assert query(path, "select first_seen, last_seen from findings_for_people where code = 'TP016'") == [
        ("2026-03-02T10:00:00.118000Z", "2026-03-02T10:00:00.218000Z")
    ]


def test_shares_add_up_to_one_for_every_edge_and_format(path: Path) -> None:
    partly = outbound("o2", 101, authority="up:80", headers=[traceparent(1), ("x-request-id", request_id(1))])
    record(path, [*pair(0), pair(1, 100)[0], partly])
    sums = query(path, "select round(sum(share), 9) from propagation_matrix group by edge_id, format")
    assert set(sums) == {(1.0,)}
    assert (1, 0.5) in query(path, "select count, share from propagation_matrix where format = 'traceparent'")


def test_a_response_is_filled_in_later_and_its_headers_are_there_once(path: Path) -> None:
    writer = AuditWriter(path, started_ns=START_NS)
    exchange = inbound("i0", 0, None)
    writer.begin(exchange)
    writer.commit()
    exchange.status, exchange.response_started_ns = 200, START_NS + 5
    exchange.response_headers = [("Content-Length", "2")]
    writer.change(exchange)
    writer.commit()
    exchange.ended_ns = START_NS + 9
    exchange.response_headers = [("Content-Length", "2"), ("Trailer", "t")]
    writer.change(exchange)
    writer.commit()
    writer.close(START_NS + 10)
    with AuditReader(path) as reader:
        assert reader.exchange("i0") == exchange


def test_what_is_committed_is_seen_while_the_run_goes_on(path: Path) -> None:
    writer = AuditWriter(path, started_ns=START_NS)
    feed(Audit(), writer, pair(0))
    writer.errors = 1
    writer.commit()
    with AuditReader(path) as reader:
        run = reader.run()
    assert run is not None
    assert (run.ended_ns, run.inbound, run.outbound, run.linked, run.audit_errors) == (None, 1, 1, 1, 1)
    writer.close(START_NS)


def test_text_that_sqlite_cannot_hold_is_escaped(path: Path) -> None:
    surrogate = "/caf\udce9"
    record(
        path,
        [
            inbound("i\udc80", headers=[*trace_headers(0), ("baggage", "\ud800")], request=f"GET {surrogate}"),
            outbound("o\udc80", 1, request=f"GET {surrogate}", headers=[("x-request-id", request_id(0))]),
            inbound("i1", 100),
        ],
        service="\udcff",
    )
    assert_whole(path)
    assert query(path, "select id, path from exchanges where direction = 'outbound'") == [("o\\udc80", "/caf\\udce9")]
    assert query(path, "select inbound_id from links where rank = 1") == [("i\\udc80",)]
    assert query(path, "select count(*) from findings")[0] > (0,)


# --- several runs in one file ----------------------------------------------------------------------------------------


def test_a_second_run_leaves_the_first_as_it_was(path: Path) -> None:
    record(path, pair(0))
    before = query(path, "select * from findings"), query(path, "select * from edges")
    assert record(path, pair(1, 100)) == 2
    assert before == (
        query(path, "select * from findings where run_id=1"),
        query(path, "select * from edges where run_id=1"),
    )
    assert query(path, "select count(*) from findings where run_id = 2") == [(len(before[0]),)]
    assert_whole(path)


def test_two_runs_write_into_one_file_at_the_same_time(path: Path) -> None:
    first, second = (AuditWriter(path, started_ns=START_NS) for _ in range(2))
    for number in (0, 2):
        feed(Audit(), first, pair(number, number * 100))
        first.commit()
        feed(Audit(), second, pair(number + 1, number * 100))
        second.commit()
    first.close(START_NS)
    second.close(START_NS)
    assert_whole(path)
    runs = "select findings.run_id, edges.run_id, exchanges.run_id from findings join edges on edges.id = edge_id" \
        " join exchanges on exchanges.id = outbound_id"  # fmt: skip
    assert set(query(path, runs)) == {(1, 1, 1), (2, 2, 2)}


def test_an_id_that_comes_twice_in_a_batch_is_refused_at_once(path: Path) -> None:
    writer = AuditWriter(path, started_ns=START_NS)
    writer.begin(inbound("i0"))
    with pytest.raises(DuplicateExchangeError, match="i0"):
        writer.begin(inbound("i0", 5))
    writer.close(START_NS)
    assert query(path, "select count(*) from exchanges") == [(1,)]


def test_an_id_that_is_in_the_file_already_is_named(path: Path) -> None:
    record(path, pair(0))
    writer = AuditWriter(path, started_ns=START_NS)
    writer.begin(inbound("i7"))
    writer.begin(inbound("i0"))
    with pytest.raises(DuplicateExchangeError, match=r"^i0$"):
        writer.commit()
    assert writer.waiting == 2
    assert writer.discard() == 2
    writer.begin(inbound("i8"))
    writer.close(START_NS)
    assert query(path, "select id from exchanges where run_id = 2") == [("i8",)]
    assert query(path, "select exchanges, dropped_exchanges from runs where id = 2") == [(1, 2)]


# --- when it cannot write --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
def test_what_a_lock_held_up_is_kept_for_the_next_attempt(path: Path) -> None:
    writer = AuditWriter(path, started_ns=START_NS)
    audit = Audit()
    feed(audit, writer, pair(0))
    with locked(path):
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            writer.commit()
        feed(audit, writer, pair(1, 100))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            writer.commit()
        assert writer.waiting == 4
    writer.commit()
    assert (writer.waiting, writer.pending) == (0, False)
    writer.close(START_NS)
    assert query(path, "select id from exchanges order by id") == [("i0",), ("i1",), ("o0",), ("o1",)]
    assert query(path, "select distinct occurrences from findings") == [(2,)]
    assert_whole(path)


@pytest.mark.usefixtures("impatient")
def test_what_is_given_up_is_counted_and_nothing_refers_to_it(path: Path) -> None:
    writer = AuditWriter(path, started_ns=START_NS)
    audit = Audit()
    request, call = pair(0)
    late = outbound("o1", 2, authority="up:80", headers=[("x-request-id", request_id(0))])
    request.ended_ns = None
    feed(audit, writer, [request, call])
    with locked(path), pytest.raises(sqlite3.OperationalError, match="locked"):
        writer.commit()
    assert writer.discard() == 2
    feed(audit, writer, [late])
    writer.conclude(audit, START_NS + 100 * MS)
    assert_whole(path)
    assert query(path, "select id from exchanges") == [("o1",)]
    assert query(path, "select inbound_id from links where inbound_id is not null") == []
    assert query(path, "select distinct occurrences, inbound_id from findings") == [(2, None)]
    assert query(path, "select exchanges, dropped_exchanges from runs") == [(1, 2)]


@pytest.mark.usefixtures("impatient")
def test_a_run_that_cannot_be_closed_leaves_a_database_that_opens(path: Path) -> None:
    writer = AuditWriter(path, started_ns=START_NS)
    feed(Audit(), writer, pair(0))
    writer.commit()
    feed(Audit(), writer, pair(1, 100))
    with locked(path), pytest.raises(sqlite3.OperationalError, match="locked"):
        writer.close(START_NS)
    with AuditReader(path) as reader:
        run = reader.run()
    assert run is not None
    assert (run.inbound, run.outbound, run.ended_ns) == (1, 1, None)


def test_a_finding_that_was_taken_back_is_gone(path: Path) -> None:
    writer = AuditWriter(path, started_ns=START_NS)
    audit = Audit()
    feed(audit, writer, pair(0))
    writer.commit()
    withdrawn, *kept = audit.findings
    writer.withdraw(withdrawn)
    writer.close(START_NS)
    assert query(path, "select code from findings order by code") == [
        (code,) for code in sorted(f.rule.code for f in kept)
    ]
    assert_whole(path)


def test_a_file_that_is_no_database_is_not_touched(path: Path) -> None:
    path.write_text("id,method\n" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        AuditWriter(path, started_ns=START_NS)
    assert path.read_text() == "id,method\n" * 100
