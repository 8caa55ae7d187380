"""The reports of a small shop, byte for byte, and what each of them promises beside that."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any, Literal

import pytest
from rich.console import Console

from tests.builders import inbound, outbound, record, request_id, trace_headers, traceparent
from tests.reports import shop
from tests.reports.goldens import assert_golden
from traceaudit.audit import Audit
from traceaudit.formats import HEADER_NAMES
from traceaudit.formats.context import Format
from traceaudit.reports import machine, matrix, text
from traceaudit.reports.layout import console_on
from traceaudit.store.reader import AuditReader, Run

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop.build(tmp_path_factory.mktemp("shop") / "audit.db")


def latest(reader: AuditReader) -> Run:
    run = reader.run()
    assert run is not None
    return run


def shown(path: Path, form: str = "text", *, width: int = 100, terminal: bool = False, no_color: bool = False) -> str:
    stream = io.StringIO()
    colours: Literal["standard"] | None = "standard" if terminal else None
    with AuditReader(path) as reader:
        console = Console(file=stream, width=width, force_terminal=terminal, no_color=no_color, color_system=colours)
        match form:
            case "text":
                text.write(console, reader, latest(reader))
            case "matrix":
                matrix.write(console, reader, latest(reader))
            case _:
                machine.write(stream, reader, latest(reader))
    return stream.getvalue()


def parsed(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(shown(path, "json"))
    return report


@pytest.mark.parametrize(("form", "name"), [("text", "shop.txt"), ("matrix", "matrix.txt"), ("json", "shop.json")])
def test_the_report_is_this(database: Path, form: str, name: str) -> None:
    assert_golden(name, shown(database, form))


def test_the_report_for_80_columns_is_this_and_fits(database: Path) -> None:
    plain = shown(database, width=80)
    assert_golden("shop-80.txt", plain)
    assert [line for line in plain.splitlines() if len(line) > 80] == []


def test_a_terminal_sees_the_same_words_in_colour(database: Path) -> None:
    coloured = shown(database, terminal=True)
    assert "\x1b[31m" in coloured
    assert ESCAPES.sub("", coloured) == shown(database)


def test_no_color_leaves_no_colour(database: Path) -> None:
    coloured = shown(database, terminal=True, no_color=True)
    assert not re.search(r"\x1b\[[0-9;]*(3|4|9)[0-9]m", coloured)


def test_a_pipe_gets_plain_lines_without_trailing_blanks_however_narrow_a_terminal_is() -> None:
    stream = io.StringIO()
    console = console_on(stream)
    assert (console.width, console.is_terminal) == (100, False)


@pytest.mark.parametrize("width", [1, 20, 40, 80, 100, 300])
def test_any_width_is_printed_and_no_line_ends_in_blanks(database: Path, width: int) -> None:
    lines = shown(database, width=width).splitlines()
    assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.parametrize("width", [80, 100, 140])
def test_ids_stay_whole(database: Path, width: int) -> None:
    plain = shown(database, width=width)
    for line in parsed(database)["findings"][0]["example"]["inbound"]["headers"]:
        for piece in line[1].split("-") if line[0] == "traceparent" else [line[1]]:
            assert piece in plain


def test_the_matrix_comes_before_the_findings_and_the_verdict_last(database: Path) -> None:
    plain = shown(database)
    assert (
        plain.index("call edge")
        < plain.index("error TP001")
        < plain.index("perhaps an error")
        < plain.index("Uncaused")
    )
    assert plain.splitlines()[-1].startswith("✘ found ")


def test_calls_that_nobody_caused_are_listed_and_not_accused(database: Path) -> None:
    report = parsed(database)
    assert report["uncaused"] == [{"authority": "config:7000", "route": "GET /flags", "count": 1}]
    accused = {finding["outbound_id"] for finding in report["findings"]}
    assert "u0" not in accused


def test_headers_that_were_minted_say_so(database: Path) -> None:
    plain = shown(database)
    assert "✘ traceparent*" in plain
    assert "= x-request-id " in plain
    assert "* (minted by traceaudit)" in plain


def test_a_tracestate_beside_a_minted_traceparent_was_the_clients(tmp_path: Path) -> None:
    headers = [traceparent(0), ("tracestate", "mesh=1"), ("x-request-id", request_id(0))]
    record(
        tmp_path / "audit.db",
        [
            inbound("i0", headers=headers, minted=[Format.TRACEPARENT]),
            outbound("o0", 1, headers=[("x-request-id", request_id(0))]),
        ],
    )
    plain = shown(tmp_path / "audit.db")
    assert "✘ traceparent* " in plain
    assert "✘ tracestate   " in plain


def test_one_call_with_several_findings_is_shown_once(database: Path) -> None:
    plain = shown(database)
    assert plain.count("went out: GET inventory/stock/17?w=2") == 1
    assert "(s0), shown above for TP001" in plain


def test_the_json_report_has_no_redacted_header_and_none_that_propagates_nothing(tmp_path: Path) -> None:
    record(
        tmp_path / "audit.db",
        [
            inbound("i0", headers=[("Authorization", "Basic x"), ("Host", "a"), *trace_headers(0), ("baggage", "k=v")]),
            outbound("o0", 1, headers=[traceparent(0), ("baggage", "k=v")]),
        ],
        redact=["baggage"],
    )
    finding = parsed(tmp_path / "audit.db")["findings"][0]
    names = [name for name, _ in finding["example"]["inbound"]["headers"]]
    assert names == ["traceparent", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-request-id"]
    assert set(names) <= {name for names in HEADER_NAMES.values() for name in names}
    assert "not recorded" in shown(tmp_path / "audit.db")


def test_the_json_report_says_what_envoy_would_do_and_why_the_link_is_believed(database: Path) -> None:
    finding = parsed(database)["findings"][0]
    assert [each["tracer"] for each in finding["envoy"]] == [
        "Zipkin",
        "Zipkin with W3C",
        "OpenTelemetry",
        "Datadog",
        "SkyWalking",
    ]
    assert finding["links"][0]["inbound_id"] == finding["inbound_id"]
    assert finding["links"][0]["method"] == "request-id"


def test_the_json_report_names_every_finding_that_the_core_made(database: Path) -> None:
    audit = Audit()
    events = [(each.started_ns, 0, each) for each in shop.exchanges()]
    events += [(each.ended_ns or 0, 1, each) for _, _, each in events]
    for _, ends, each in sorted(events, key=lambda event: event[:2]):
        if ends:
            audit.end(each)
        else:
            audit.begin(each)
    expected = sorted((each.rule.code, each.edge.outbound_authority, each.occurrences) for each in audit.findings)
    found = [(each["code"], each["outbound_authority"], each["occurrences"]) for each in parsed(database)["findings"]]
    assert expected == sorted(found)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop.build_hostile(tmp_path_factory.mktemp("hostile") / "audit.db")


@pytest.mark.parametrize("form", ["text", "matrix", "json"])
@pytest.mark.parametrize("terminal", [False, True])
def test_hostile_text_reaches_no_report_as_code(hostile: Path, form: str, terminal: bool) -> None:
    printed = ESCAPES.sub("", shown(hostile, form, terminal=terminal))
    assert [char for char in printed if not char.isprintable() and char != "\n"] == []
    assert printed.encode()  # no lone surrogates either
    assert "[bold]" in printed  # kept as text, not taken for markup


def test_hostile_text_is_ascii_in_the_json_report_and_comes_back_as_it_was(hostile: Path) -> None:
    printed = shown(hostile, "json")
    assert printed.isascii()
    [x_request_id] = [
        value
        for name, value in json.loads(printed)["findings"][0]["example"]["inbound"]["headers"]
        if name == "x-request-id"
    ]
    assert x_request_id == shop.HOSTILE.replace("\udc80", "\\udc80")  # SQLite keeps no surrogates


def test_a_long_value_is_cut_and_says_how_much_is_missing(hostile: Path) -> None:
    assert "more)" in shown(hostile)
    assert len(shown(hostile)) < 40_000


def test_text_that_is_no_utf8_in_the_database_crashes_no_report(tmp_path: Path) -> None:
    import sqlite3  # noqa: PLC0415

    path = shop.build(tmp_path / "audit.db")
    with sqlite3.connect(path) as db:
        db.execute("update findings set message = cast(x'41ff42' as text)")
        db.execute("update runs set service = cast(x'ff' as text)")
    db.close()
    assert "A\\udcffB" in shown(path)
    assert parsed(path)["run"]["service"] == "\udcff"
