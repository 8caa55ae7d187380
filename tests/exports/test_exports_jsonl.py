"""The exported exchange log: every exchange, its own times on the first line, and nothing that was redacted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tests.builders import MS, START_NS, inbound, outbound, record, trace_headers
from traceaudit.capture.exchange_log import BadLine, RunTimes, read
from traceaudit.exchange import Exchange, Header
from traceaudit.exports import jsonl
from traceaudit.filters import parse
from traceaudit.formats.context import Format
from traceaudit.store.reader import REDACTED, AuditReader
from traceaudit.store.writer import SECRET_HEADERS


def lines(database: Path, run_id: int | None = None, where: str | None = None) -> list[str]:
    with AuditReader(database) as reader:
        run = reader.run(run_id)
        assert run is not None
        return list(jsonl.lines(reader, run, parse(where) if where else None))


def objects(database: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(database)]


def exported(database: Path) -> list[Exchange | RunTimes | BadLine]:
    return list(read(line.encode("ascii") for line in lines(database)))


EXCHANGES = [
    inbound("i1", 10, headers=trace_headers(1), minted=[Format.B3MULTI, Format.REQUEST_ID], request="GET /caf\xe9?a=b"),
    outbound("o1", 11, headers=[*trace_headers(1), ("X", "\xff\x01"), ("x", "")], response_headers=[("a", "b")]),
    outbound("o2", 12, None, error="refused", request="POST /"),
]


def test_what_was_recorded_is_what_is_exported_with_the_times_of_the_run(tmp_path: Path) -> None:
    record(tmp_path / "a.db", EXCHANGES, until_ms=5_000, service="shop")
    times, *exchanges = exported(tmp_path / "a.db")
    assert times == RunTimes(START_NS, START_NS + 5_000 * MS, "shop")
    assert exchanges == EXCHANGES


def test_the_times_of_the_run_stand_on_the_first_line_alone(tmp_path: Path) -> None:
    record(tmp_path / "a.db", EXCHANGES)
    assert ["run" in each for each in objects(tmp_path / "a.db")] == [True, False, False]


def test_a_run_without_exchanges_is_one_line(tmp_path: Path) -> None:
    record(tmp_path / "a.db", until_ms=5_000)
    assert exported(tmp_path / "a.db") == [RunTimes(START_NS, START_NS + 5_000 * MS, "shop")]


def test_one_run_of_several_is_exported(tmp_path: Path) -> None:
    first = record(tmp_path / "a.db", EXCHANGES[:1])
    second = record(tmp_path / "a.db", EXCHANGES[1:])
    assert [len(lines(tmp_path / "a.db", each)) for each in (first, second, None)] == [1, 2, 2]


def test_a_filter_that_means_nothing_leaves_the_times_of_the_run(tmp_path: Path) -> None:
    record(tmp_path / "a.db", EXCHANGES)
    (line,) = lines(tmp_path / "a.db", where="status>=500")
    assert set(json.loads(line)) == {"run"}


def test_values_that_never_reached_the_disk_are_exported_as_such(tmp_path: Path) -> None:
    secret: list[Header] = [("Authorization", "Bearer hunter2"), ("X-Session", "hunter2"), ("Accept", "*/*")]
    record(tmp_path / "a.db", [inbound("i1", headers=secret)], redact=["x-session"])
    (first,) = objects(tmp_path / "a.db")
    assert first["request_headers"] == [["Authorization", REDACTED], ["X-Session", REDACTED], ["Accept", "*/*"]]
    assert "hunter2" not in "".join(lines(tmp_path / "a.db"))


TEXTS = st.text(st.characters(max_codepoint=255), max_size=12)
NAMES = TEXTS.filter(lambda name: name.lower() not in SECRET_HEADERS)
HEADERS = st.lists(st.tuples(NAMES, TEXTS), max_size=3)


@examples(max_examples=40, deadline=None)
@given(method=TEXTS.filter(bool), path=TEXTS, authority=TEXTS, error=st.none() | TEXTS, sent=HEADERS, got=HEADERS)
def test_every_byte_survives(
    tmp_path_factory: pytest.TempPathFactory,
    *,
    method: str,
    path: str,
    authority: str,
    error: str | None,
    sent: list[Header],
    got: list[Header],
) -> None:
    exchange = inbound("i1", authority=authority, error=error, headers=sent, response_headers=got)
    exchange.method, exchange.path = method, path
    database = tmp_path_factory.mktemp("bytes") / "a.db"
    record(database, [exchange])
    assert exported(database)[1:] == [exchange]
