"""`traceaudit analyze`: what it prints and what it ends with, for every log and every file that it may be given."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import MS, START_NS, inbound, outbound, span_id, trace_headers, trace_id
from traceaudit.commands import main
from traceaudit.exchange import Exchange, Header
from traceaudit.exports import jsonl

CLEAN = [inbound("i0", headers=trace_headers(0)), outbound("o0", 1, headers=trace_headers(0))]
DROPPED = [inbound("i1", 100, headers=trace_headers(1)), outbound("o1", 101, headers=trace_headers(1)[-1:])]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory without settings, where the command is given."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def analyze(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["analyze", *map(str, arguments)], input=stdin)


def text_of(exchanges: Sequence[Exchange]) -> str:
    return "".join(f"{json.dumps(jsonl.record(each))}\n" for each in exchanges)


def log(path: Path, exchanges: Sequence[Exchange], *more: str) -> Path:
    path.write_text(text_of(exchanges) + "".join(f"{line}\n" for line in more), encoding="ascii")
    return path


def rows(database: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql).fetchall()


# --- exit statuses ----------------------------------------------------------------------------------------------------


def test_a_clean_log_ends_with_0_and_its_exchanges_are_in_the_database(home: Path) -> None:
    result = analyze(log(home / "a.jsonl", CLEAN), "--db", "new.db")
    assert (result.exit_code, result.stderr) == (0, "")
    assert rows(home / "new.db", "select id from exchanges order by id") == [("i0",), ("o0",)]


def test_findings_are_printed_and_fail_nothing_unless_that_is_asked_for(home: Path) -> None:
    path = log(home / "a.jsonl", DROPPED)
    result = analyze(path, "--db", "a.db")
    assert result.exit_code == 0
    assert "TP001" in result.stdout
    assert analyze(path, "--db", "b.db", "--fail-on", "error").exit_code == 1


def test_a_log_in_which_no_call_has_a_cause_is_inconclusive(home: Path) -> None:
    assert analyze(log(home / "a.jsonl", CLEAN[:1])).exit_code == 3


def test_an_empty_log_is_inconclusive(home: Path) -> None:
    assert analyze(log(home / "a.jsonl", [])).exit_code == 3


def test_a_run_that_was_killed_before_it_saw_anything_is_inconclusive(home: Path) -> None:
    result = analyze(log(home / "a.jsonl", [], json.dumps({"run": {"started_ns": START_NS, "ended_ns": None}})))
    assert result.exit_code == 3
    assert rows(home / "audit.db", "select started_ns, ended_ns from runs") == [(START_NS, START_NS)]


def test_a_log_that_is_not_there_is_wrong_usage(home: Path) -> None:
    result = analyze("nowhere.jsonl")
    assert result.exit_code == 2
    assert "nowhere.jsonl: there is no such file" in result.stderr
    assert not (home / "audit.db").exists()


def test_a_log_that_cannot_be_read_is_wrong_usage(home: Path) -> None:
    result = analyze(home)
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr


def test_without_a_log_the_usage_is_told(home: Path) -> None:
    assert analyze().exit_code == 2


def test_a_bad_line_is_told_with_its_number_and_the_rest_is_audited(home: Path) -> None:
    path = log(home / "a.jsonl", CLEAN, "", "{}", json.dumps(jsonl.record(DROPPED[0])))
    result = analyze(path)
    assert result.exit_code == 4
    assert f"{path}:4: started_ns is missing\n" in result.stderr
    assert rows(home / "audit.db", "select count(*) from exchanges") == [(3,)]


def test_lenient_takes_a_bad_line_for_nothing_worse_than_a_word(home: Path) -> None:
    result = analyze(log(home / "a.jsonl", CLEAN, "{}"), "--lenient")
    assert result.exit_code == 0
    assert "a.jsonl:3: started_ns is missing" in result.stderr


@pytest.mark.parametrize("options", [(), ("--lenient",)])
def test_a_file_that_is_no_log_at_all_is_bad_input_and_makes_no_database(home: Path, options: tuple[str, ...]) -> None:
    path = home / "a.jsonl"
    path.write_text("not a log\n" * 50, encoding="ascii")
    result = analyze(path, *options)
    assert result.exit_code == 4
    assert result.stderr.count("not JSON") == 20
    assert "… and 30 more lines that cannot be used" in result.stderr
    assert not (home / "audit.db").exists()


def test_an_id_that_comes_twice_is_told_with_the_number_of_its_line(home: Path) -> None:
    """Empty lines count, and the first line of an exported run tells two things and is one."""
    first = json.dumps({**jsonl.record(CLEAN[0]), "run": {"started_ns": 1}})
    path = home / "a.jsonl"
    path.write_text(f"{first}\n\n\n{text_of(CLEAN[1:])}{text_of(CLEAN[1:])}", encoding="ascii")
    result = analyze(path)
    assert result.exit_code == 4
    assert f"{path}:5: id 'o0' has been used before\n" in result.stderr
    assert rows(home / "audit.db", "select count(*) from exchanges") == [(2,)]


def test_the_same_log_is_not_audited_into_the_same_file_twice(home: Path) -> None:
    path = log(home / "a.jsonl", CLEAN)
    assert analyze(path).exit_code == 0
    result = analyze(path)
    assert result.exit_code == 2
    assert "audit.db has an exchange i0 already" in result.stderr
    assert rows(home / "audit.db", "select count(*) from runs") == [(1,)]


def test_another_log_becomes_another_run_of_the_same_file(home: Path) -> None:
    assert analyze(log(home / "a.jsonl", CLEAN)).exit_code == 0
    assert analyze(log(home / "b.jsonl", DROPPED)).exit_code == 0
    assert rows(home / "audit.db", "select id, exchanges from runs") == [(1, 2), (2, 2)]


def test_a_text_file_as_the_database_is_bad_input_and_stays_as_it_is(home: Path) -> None:
    notes = home / "notes.txt"
    notes.write_text("buy milk\n" * 100, encoding="ascii")
    result = analyze(log(home / "a.jsonl", CLEAN), "--db", notes)
    assert result.exit_code == 4
    assert notes.read_text(encoding="ascii") == "buy milk\n" * 100


def test_a_database_in_a_folder_that_is_not_there_is_wrong_usage(home: Path) -> None:
    assert analyze(log(home / "a.jsonl", CLEAN), "--db", home / "no" / "a.db").exit_code == 2


ALL = ("exchanges", "headers", "links", "outcomes", "edges", "findings", "finding_occurrences")


def test_in_whatever_order_the_lines_come_every_table_is_the_same(home: Path) -> None:
    """In order, a log is read while it is audited; in disorder, or with others, it is sorted first."""
    exchanges = [
        each
        for number in range(800)
        for each in (
            inbound(f"i{number}", number * 3, 5, headers=trace_headers(number)),
            outbound(f"o{number}", number * 3 + 1, 2, headers=trace_headers(number)[number % 4 :]),
        )
    ]
    shuffled = random.Random(1).sample(exchanges, len(exchanges))
    assert analyze(log(home / "a.jsonl", exchanges), "--db", "in-order.db").exit_code == 0
    assert analyze(log(home / "b.jsonl", shuffled), "--db", "shuffled.db").exit_code == 0
    assert analyze(log(home / "c.jsonl", exchanges[1::2]), home / "a.jsonl", "--db", "both.db").exit_code == 4
    assert analyze("-", "--db", "piped.db", stdin=text_of(exchanges).encode()).exit_code == 0
    for table in ALL:
        sql = f"select * from {table} order by 1, 2, 3"
        expected = rows(home / "in-order.db", sql)
        assert expected
        for other in ("shuffled.db", "both.db", "piped.db"):
            assert rows(home / other, sql) == expected, (table, other)
    sql = "select started_ns, ended_ns, exchanges from runs"
    assert rows(home / "in-order.db", sql) == rows(home / "shuffled.db", sql)


def test_an_id_that_comes_again_much_later_is_told_with_the_number_of_its_line(home: Path) -> None:
    """At once, after as many lines as are held back, and when all but the last moment are on the disk."""
    exchanges = [outbound(f"o{number}", number // 3) for number in range(3_000)]
    again = [exchanges[0], *exchanges, exchanges[1], exchanges[-1]]
    again.insert(1026, exchanges[1023])
    result = analyze(log(home / "a.jsonl", again))
    assert result.stderr.splitlines() == [
        f"{home}/a.jsonl:2: id 'o0' has been used before",
        f"{home}/a.jsonl:1027: id 'o1023' has been used before",
        f"{home}/a.jsonl:3003: id 'o1' has been used before",
        f"{home}/a.jsonl:3004: id 'o2999' has been used before",
    ]
    assert rows(home / "audit.db", "select count(*) from exchanges") == [(3_000,)]


# --- standard input and several logs ----------------------------------------------------------------------------------


def test_a_dash_is_standard_input(home: Path) -> None:
    result = analyze("-", stdin=text_of(CLEAN).encode())
    assert (result.exit_code, result.stderr) == (0, "")
    assert rows(home / "audit.db", "select count(*) from exchanges") == [(2,)]


def test_a_bad_line_of_standard_input_is_told_as_such(home: Path) -> None:
    result = analyze("-", stdin=b"\xff\n" + text_of(CLEAN).encode())
    assert result.exit_code == 4
    assert "standard input:1: not UTF-8" in result.stderr


def test_several_logs_are_one_run_with_a_call_in_one_and_its_request_in_another(home: Path) -> None:
    result = analyze(log(home / "out.jsonl", DROPPED[1:]), log(home / "in.jsonl", DROPPED[:1]), "--fail-on", "error")
    assert result.exit_code == 1
    assert rows(home / "audit.db", "select code, inbound_id from findings where code = 'TP001'") == [("TP001", "i1")]


def test_a_closed_standard_input_is_wrong_usage(home: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m traceaudit analyze - <&-"], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, b"Error: standard input is closed: name a file, or pipe a log in\n")


def test_hostile_text_in_a_reason_is_escaped(home: Path) -> None:
    bad = json.dumps({**jsonl.record(CLEAN[0]), "direction": "\x1b[2J"})
    result = analyze(log(home / "a.jsonl", CLEAN, bad))
    assert "\x1b" not in result.stderr
    assert result.exit_code == 4


# --- what the settings name -------------------------------------------------------------------------------------------


def test_an_upstream_and_a_route_that_are_not_in_the_recording_are_told_of(home: Path) -> None:
    path = log(home / "a.jsonl", CLEAN)
    (home / "traceaudit.toml").write_text('routes = { "shop.default" = "9001", stock = "9002" }', encoding="ascii")
    assert analyze(path, "--known-route", "GET /", "--known-route", "GET /cart").exit_code == 0
    assert rows(home / "audit.db", "select code, observed from findings order by code") == [
        ("CP002", "none"),
        ("CP003", "none"),
    ]
    edges = "select outbound_authority, inbound_route from edges where outbound_route = '' order by 1"
    assert rows(home / "audit.db", edges) == [("", "GET /cart"), ("stock", "")]


def test_an_expected_upstream_that_was_never_called_makes_it_inconclusive(home: Path) -> None:
    path = log(home / "a.jsonl", CLEAN)
    assert analyze(path, "--db", "a.db", "--expect", "shop.default").exit_code == 0
    assert analyze(path, "--db", "b.db", "--expect", "stock").exit_code == 3
    assert analyze(path, "--db", "c.db", "--expect", "stock", "--ignore", "CP").exit_code == 3
    assert rows(home / "c.db", "select count(*) from findings") == [(0,)]


# --- while it goes on -------------------------------------------------------------------------------------------------


def on_a_terminal(*arguments: str | Path, term: str = "xterm") -> tuple[int, str]:
    """The exit status and all that a terminal gets on standard error."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": term, "COLUMNS": "80"}
    with subprocess.Popen(
        [sys.executable, "-m", "traceaudit", "analyze", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=environment,
    ) as process:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # Linux ends a terminal that nobody has open any more with an error.
            while more := os.read(ours, 65_536):
                said += more
        os.close(ours)
        return process.wait(60), said.decode()


MANY = [inbound(f"i{number}", number, 0.5, headers=trace_headers(number)) for number in range(6_000)]


def test_a_terminal_is_shown_how_far_it_is_and_bad_lines_all_the_same(home: Path) -> None:
    path = log(home / "[red]a.jsonl", MANY, "{}")
    status, said = on_a_terminal(path.name)
    assert status == 4
    assert "reading [red]a.jsonl" in said
    assert "6000/6000" in said
    assert "[red]a.jsonl:6001: started_ns is missing" in said


@pytest.mark.parametrize(("exchanges", "term"), [(CLEAN, "xterm"), (MANY, "dumb")])
def test_what_is_short_and_a_terminal_that_cannot_be_drawn_on_are_spared_that(
    home: Path, exchanges: list[Exchange], term: str
) -> None:
    _, said = on_a_terminal(log(home / "a.jsonl", exchanges), term=term)
    assert said == ""


def test_what_is_interrupted_has_a_status_of_its_own(home: Path) -> None:
    """It is not 1, which says that there are findings."""
    # Whoever starts tests in the background may have told them to ignore the signal, and children inherit that.
    minding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{minding}; from traceaudit.commands import main; main()", "analyze", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write("no line of a log\n" * 2_000)
        assert process.stderr.readline().startswith("standard input:1: not JSON")  # It is at work, and waits for more.
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(60) == 130
    assert said.endswith("interrupted: audit.db has a part of the run at most\n")


# --- what is exported is audited alike --------------------------------------------------------------------------------


def edited(number: int) -> dict[str, list[Header]]:
    """A request's headers as a call may carry them."""
    traceparent, *b3, id_ = trace_headers(number)
    return {
        "kept": [traceparent, *b3, id_],
        "continued": [("traceparent", f"00-{trace_id(number)}-{span_id(number + 50)}-01"), *b3, id_],
        "dropped": [*b3, id_],
        "restarted": [("traceparent", f"00-{trace_id(number + 50)}-{span_id(1)}-01"), id_],
        "malformed": [("traceparent", traceparent[1].upper()), *b3, id_],
        "of another": [*trace_headers(number + 1)[:-1], id_],
        "none": [],
    }


CALLS = st.tuples(st.integers(0, 5), st.sampled_from([*edited(0)]))
ALIKE = (
    "select * from exchanges order by id",
    "select * from headers order by exchange_id, side, position",
    "select * from links order by outbound_id, rank",
    "select * from outcomes order by outbound_id, format",
    "select code, confidence, probability, message, outbound_id, occurrences from findings order by code, outbound_id",
)


@settings(max_examples=20, deadline=None)
@given(calls=st.lists(CALLS, min_size=1, max_size=12), apart_ms=st.integers(1, 400), idle_ms=st.integers(0, 10_000))
def test_an_exported_run_has_the_same_findings_when_it_is_audited_again(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[int, str]], apart_ms: int, idle_ms: int
) -> None:
    folder = tmp_path_factory.mktemp("again")
    exchanges = [
        inbound(f"i{number}", idle_ms + number * apart_ms, headers=trace_headers(number)) for number in range(6)
    ]
    for position, (number, how) in enumerate(calls):
        start_ms = idle_ms + number * apart_ms + position + 1
        exchanges.append(outbound(f"o{position}", start_ms, headers=edited(number)[how]))
    watched = json.dumps({"run": {"started_ns": START_NS, "ended_ns": START_NS + 20_000 * MS}})
    first, exported, second = folder / "first.db", folder / "exported.jsonl", folder / "second.db"
    assert analyze(log(folder / "log.jsonl", exchanges, watched), "--db", first).exit_code in {0, 3}
    export = CliRunner().invoke(main, ["export", str(first), "--output", str(exported)])
    assert export.exit_code == 0
    assert analyze(exported, "--db", second).exit_code in {0, 3}
    for sql in ALIKE:
        assert rows(second, sql) == rows(first, sql), sql
