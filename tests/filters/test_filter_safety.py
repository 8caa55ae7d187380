"""Whatever is typed as a filter is refused or becomes parameters: the SQL is ours, and it only reads."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reports import shop
from traceaudit.filters import FIELDS, FilterError, Where, parse

NOW_NS = 1_772_445_600_000_000_000

HOSTILE = [
    "'; drop table exchanges; --",
    '"; drop table exchanges; --"',
    "path:' or 1=1 --",
    "code:TP001' or '1'='1",
    "path:\\' union select * from headers --",
    'path:"\\" union select value from headers --"',
    "status:1 or 1=1",
    "status>=1;attach/**/'/tmp/x'as/**/y",
    "header:x=?",
    "path:?1",
    "path::name",
    "note:%' escape '%",
    "id:\x00'; drop table exchanges",
    "path:\ud800'",
    "since:5m') or (1=1",
    "outcome:traceparent=dropped') or (1=1",
    "path:" + "*a" * 10,
]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path: Path = shop.build(tmp_path_factory.mktemp("filters") / "audit.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        allowed = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION}
        functions = {"coalesce", "like", "lower", "count"}

        def judge(action: int, _: str | None, name: str | None, *__: str | None) -> int:
            fine = action in allowed and (action != sqlite3.SQLITE_FUNCTION or name in functions)
            return sqlite3.SQLITE_OK if fine else sqlite3.SQLITE_DENY

        connection.set_authorizer(judge)
        yield connection


def counts(db: sqlite3.Connection, text: str) -> tuple[int, int] | None:
    """How many exchanges and findings are meant; None: the filter was refused."""
    try:
        filter_ = parse(text)
    except FilterError:
        return None
    in_all = []
    for where, table in (
        (filter_.exchanges(NOW_NS), "exchanges"),
        (filter_.findings(NOW_NS), "findings left join edges on edges.id = findings.edge_id"),
    ):
        assert isinstance(where, Where)
        (count,) = db.execute(f"select count(*) from {table} where {where.sql}", where.parameters).fetchone()
        if "\x00" not in text and text.isprintable():
            assert db.execute(f"select count(*) from {table} where {where.shown()}").fetchone() == (count,)
        in_all.append(count)
    return in_all[0], in_all[1]


@pytest.mark.parametrize("text", HOSTILE, ids=repr)
def test_hostile_filters_are_refused_or_mean_text(db: sqlite3.Connection, text: str) -> None:
    assert counts(db, text) in (None, (0, 0))


values = st.text(min_size=1, max_size=30).filter(lambda text: "*" not in text)
names = st.sampled_from([*FIELDS, "x", "select"])
operators = st.sampled_from([":", "=", "!=", "<", "<=", ">", ">="])
quoted = values.map(lambda text: '"' + re.sub(r'(["\\])', r"\\\1", text) + '"')
terms = st.one_of(
    values, quoted, st.builds(str.__add__, st.builds(str.__add__, names, operators), st.one_of(values, quoted))
)
glue = st.sampled_from([" ", " or ", " and ", " -", " (", ") ", "", " not "])
filters = st.lists(st.one_of(terms, glue), max_size=12).map("".join)


@given(st.one_of(st.text(max_size=200), filters))
def test_any_text_is_refused_with_a_place_or_runs(db: sqlite3.Connection, text: str) -> None:
    try:
        parse(text)
    except FilterError as error:
        assert 0 <= error.start < error.end <= max(len(text), error.start + 1)
        assert error.reason
    counts(db, text)


TEXT_FIELDS = ["path", "route", "upstream", "id", "note", "cause", "trace", "header", "response-header"]


@given(st.sampled_from(TEXT_FIELDS), values, values)
def test_the_sql_does_not_depend_on_what_was_typed(field: str, one: str, other: str) -> None:
    def sql(value: str) -> tuple[str, str]:
        shown = '"' + re.sub(r'(["\\])', r"\\\1", value.replace("=", "")) + 'x"'
        filter_ = parse(f"{field}:{shown}")
        return filter_.exchanges(0).sql, filter_.findings(0).sql

    assert sql(one) == sql(other)


@given(values)
def test_a_text_finds_itself_and_nothing_else(value: str) -> None:
    """``%``, ``_``, quotes and backslashes stand for themselves."""
    storable = value.encode("utf-8", "backslashreplace").decode()
    where = parse('path="' + re.sub(r'(["\\])', r"\\\1", value) + '"').exchanges(0)
    with closing(sqlite3.connect(":memory:")) as memory:
        memory.execute("create table exchanges (path text)")
        memory.executemany("insert into exchanges values (?)", [(storable,), (storable + "x",), ("y" + storable,)])
        found = memory.execute(f"select path from exchanges where {where.sql}", where.parameters).fetchall()
    # SQLite's LIKE reads a text as far as its first NUL: https://www.sqlite.org/nulinstr.html
    assert (storable,) in found
    assert "\x00" in value or found == [(storable,)]
