"""The replay: what comes first at the same moment, and that the order of a log's lines is nobody's concern."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tests.builders import MS, START_NS, inbound, outbound, trace_headers
from traceaudit.audit import Audit
from traceaudit.capture.replay import BATCH, in_order, moments, replay
from traceaudit.coverage import Coverage, Expectation
from traceaudit.exchange import Exchange
from traceaudit.rules import RULES
from traceaudit.store.writer import AuditWriter

END_NS = START_NS + 60_000 * MS


def story(*exchanges: Exchange) -> list[str]:
    """What happens, as `+id` and `-id`."""
    return [("+" if begins else "-") + exchange.id for exchange, begins in moments(exchanges)]


def replayed(path: Path, exchanges: Sequence[Exchange], expected: Expectation | None = None) -> list[int]:
    """Audits into a file; the batches that were told of."""
    batches: list[int] = []
    audit = Audit()
    coverage = Coverage(audit.findings, RULES, expectation=expected) if expected else None
    writer = AuditWriter(path, started_ns=START_NS)
    ordered = in_order(exchanges)
    replay(ordered, audit, writer, started_ns=START_NS, ended_ns=END_NS, coverage=coverage, progress=batches.append)
    return batches


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


# --- the order of moments ---------------------------------------------------------------------------------------------

SAME_MOMENT = {
    "a request begins before a call does": ([outbound("o", 0, 9), inbound("i", 0, 20)], "+i +o -o -i"),
    "a call in a request's last moment finds it in flight": ([inbound("i", 0, 5), outbound("o", 5, 9)], "+i +o -i -o"),
    "a call ends before its request": ([inbound("i", 0, 5), outbound("o", 1, 4)], "+i +o -o -i"),
    "a request may begin as another ends": ([inbound("i1", 0, 5), inbound("i2", 5, 5)], "+i1 +i2 -i1 -i2"),
    "no time at all has a start before its end": ([inbound("i", 0, 0), outbound("o", 0, 0)], "+i +o -o -i"),
    "what never ended has no end": ([inbound("i", 0, None), outbound("o", 1, None)], "+i +o"),
    "what is alike goes by its id": ([inbound("i2", 0, 5), inbound("i1", 0, 5)], "+i1 +i2 -i1 -i2"),
}


@pytest.mark.parametrize(("exchanges", "expected"), SAME_MOMENT.values(), ids=list(SAME_MOMENT))
def test_at_the_same_moment(exchanges: list[Exchange], expected: str) -> None:
    assert story(*exchanges) == expected.split()


# --- the same exchanges, the same audit -------------------------------------------------------------------------------

ALL = (
    "select * from exchanges order by id",
    "select * from links order by outbound_id, rank",
    "select * from outcomes order by outbound_id, format",
    "select * from edges order by id",
    "select * from findings order by id",
    "select * from finding_occurrences order by finding_id, outbound_id",
)
REQUESTS = st.tuples(st.integers(0, 3), st.sampled_from(["GET /cart", "GET /checkout"]))
CALLS = st.tuples(st.integers(0, 3), st.sampled_from(["pricing", "stock"]), st.none() | st.integers(0, 3))


@examples(max_examples=25, deadline=None)
@given(st.lists(REQUESTS, min_size=1, max_size=4), st.lists(CALLS, max_size=5), st.data())
def test_the_order_of_the_lines_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    requests: list[tuple[int, str]],
    calls: list[tuple[int, str, int | None]],
    data: st.DataObject,
) -> None:
    """Times of a few values make for many that are the same, as those of logs that count in milliseconds."""
    exchanges = [
        inbound(f"i{number}", at, 5, request=route, headers=trace_headers(number))
        for number, (at, route) in enumerate(requests)
    ]
    exchanges += [
        outbound(f"o{number}", at, 2, authority=upstream, headers=[] if whose is None else trace_headers(whose))
        for number, (at, upstream, whose) in enumerate(calls)
    ]
    folder = tmp_path_factory.mktemp("order")
    replayed(folder / "a.db", exchanges)
    replayed(folder / "b.db", data.draw(st.permutations(exchanges)))
    for sql in ALL:
        assert rows(folder / "a.db", sql) == rows(folder / "b.db", sql), sql


# --- writing ----------------------------------------------------------------------------------------------------------


def test_long_logs_are_written_in_batches_with_calls_after_their_requests(tmp_path: Path) -> None:
    """The request is in the first transaction, the calls that link to it are in others."""
    calls = [outbound(f"o{number:04}", number, 1, headers=trace_headers(1)) for number in range(1, 2 * BATCH + 1)]
    request = inbound("i1", 0, 3 * BATCH, headers=trace_headers(1))
    assert replayed(tmp_path / "audit.db", [*calls, request]) == [BATCH, BATCH]
    assert rows(tmp_path / "audit.db", "select exchanges from runs") == [(2 * BATCH + 1,)]
    linked = "select count(*) from links where inbound_id = 'i1' and rank = 1"
    assert rows(tmp_path / "audit.db", linked) == [(2 * BATCH,)]
    assert rows(tmp_path / "audit.db", "pragma foreign_key_check") == []


def test_what_was_expected_and_not_there_is_told_at_the_end(tmp_path: Path) -> None:
    exchanges = [
        inbound("i1", headers=trace_headers(1)),
        outbound("o1", 1, authority="stock", headers=trace_headers(1)),
    ]
    expected = Expectation({"stock": "--route", "pricing": "--expect"}, ["GET /", "GET /cart"])
    replayed(tmp_path / "audit.db", exchanges, expected)
    found = "select code, outbound_authority, inbound_route from findings join edges on edges.id = edge_id order by 1"
    assert rows(tmp_path / "audit.db", found) == [("CP002", "pricing", ""), ("CP003", "", "GET /cart")]
