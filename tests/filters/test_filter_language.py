"""What a filter means: every field on exchanges and on findings, and what is said of one that means nothing."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.reports import shop
from traceaudit.commands import main
from traceaudit.filters import FIELDS, FilterError, parse
from traceaudit.filters.sql import pieces
from traceaudit.store.reader import AuditReader

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = shop.build(tmp_path_factory.mktemp("filters") / "audit.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("insert into marks (exchange_id, note, marked_ns) values ('s0', 'ask Ann', 1)")
        db.execute("insert into marks (finding_id, note, marked_ns) values (1, '', 1)")
        db.execute("update exchanges set status = 503, error = 'connection reset' where id = 'p1'")
        db.execute("update exchanges set ended_ns = null, status = null where id = 'u0'")
    return path


def exchanges(path: Path, text: str) -> str:
    with AuditReader(path) as reader:
        return " ".join(sorted(each.id for each in reader.exchanges(1, parse(text))))


def findings(path: Path, text: str) -> str:
    with AuditReader(path) as reader:
        return " ".join(str(each.id) for each in sorted(reader.findings(1, parse(text)), key=lambda each: each.id))


EVERYTHING = "c100 c101 i0 i1 i100 i101 m0 p0 p1 s0 s1 u0"

EXCHANGES = {
    "": EVERYTHING,
    "code:TP001": "i0 i1 m0 s0 s1",
    "code:TP016": "i0 i1 p0 p1",
    "rule:contexts-disagree": "i0 i1 p0 p1",
    "code:TP0": "i0 i1 m0 p0 p1 s0 s1",
    "code:TP003,TP016 direction:outbound": "m0 p0 p1 s0 s1",
    "severity>=error direction:outbound": "m0 p0 p1 s0 s1",
    "severity<error": "",
    "confidence:proven": "c100 c101 p0 p1 s0 s1",
    "confidence>=probable": "c100 c101 p0 p1 s0 s1",
    "confidence<probable": "m0",
    "confidence:ambiguous,probable": "m0",
    "probability<0.95": "m0",
    "occurrences>1 direction:outbound": "p0 p1 s0 s1",
    'edge:"* -> inventory*"': "i0 i1 s0 s1",
    'edge:"GET /checkout -> payment:8080 POST /charge"': "i0 i1 p0 p1",
    'edge:"GET /checkout → inventory GET /stock/{id}"': "i0 i1 s0 s1",
    "edge:inventory direction:outbound": "s0 s1",
    'edge:"/products -> "': "c100 c101 i100 i101",
    'route="GET /products/{id}"': "i100 i101",
    "route:/products": "i100 i101",
    "upstream:inventory": "s0 s1",
    "host:mail:2525": "m0",
    "upstream=inventory": "",
    "method:post": "m0 p0 p1",
    "path:/stock/17*": "s0",
    "path:stock": "s0 s1",
    "path=stock": "",
    "status:503": "p1",
    "status:5xx": "p1",
    "status>=500": "p1",
    "status>2xx": "p1",
    "status!=200": "p0 p1 u0",
    "-status:200": "p0 p1 u0",
    "took>50ms": "i0 i1",
    "took<=0.005s": "c100 c101 m0 p0 p1 s0 s1",
    "direction:inbound": "i0 i1 i100 i101",
    "header:traceparent": "c100 c101 i0 i1 i100 i101 p0 p1",
    "header:TraceParent -direction:inbound": "c100 c101 p0 p1",
    "header:x-b3-* direction:inbound": "i0 i1 i100 i101",
    "header:host=payment": "p0 p1",
    "header:host=pay": "p0 p1",
    "header=host=pay": "",
    "header:*=payment": "p0 p1",
    "response-header:server": "",
    "outcome:dropped": "m0 s0 s1",
    "outcome:traceparent=restarted": "p0 p1",
    "outcome:traceparent,b3multi=restarted,leaked": "p0 p1",
    "outcome:x-request-id=dropped": "m0",
    "link:isolated": "m0 u0",
    "cause:i0": "m0 p0 s0",
    "id:i1": "i1",
    "since:1d": EVERYTHING,
    "id:i1*": "i1 i100 i101",
    "id=i1*": "i1 i100 i101",
    "since:10:00:00.25": "c100 c101 i100 i101",
    "until:10:00:00.09": "u0",
    "since:2026-03-02T10:00:00.25Z": "c100 c101 i100 i101",
    "since:2026-03-03": "",
    "is:uncaused": "u0",
    "is:error": "p1",
    "is:open": "u0",
    "is:minted": "i0 i1",
    "is:late": "",
    "is:faulty,uncaused direction:outbound": "m0 p0 p1 s0 s1 u0",
    "is:marked": "s0",
    "note:Ann": "s0",
    "connection": "p1",
    '"connection reset"': "p1",
    "checkout": "i0 i1",
    "GET*flags*": "u0",
    "100%": "",
    "_": "",
    "id:i0 or id:i1": "i0 i1",
    'checkout and "cart=1"': "i1",
    "not (checkout or direction:outbound)": "i100 i101",
    "-(direction:outbound) -/products": "i0 i1",
    "status:201 or status:5xx method:POST": "p0 p1",
    "(status:201 or status:5xx) method:GET": "",
    "!direction:inbound status:200 OR u0": "c100 c101 m0 s0 s1 u0",
}


@pytest.mark.parametrize("text", EXCHANGES)
def test_the_exchanges_that_a_filter_means(path: Path, text: str) -> None:
    assert exchanges(path, text) == EXCHANGES[text]


def test_a_trace_is_found_in_any_header_that_carries_it(path: Path) -> None:
    with AuditReader(path) as reader:
        trace_id = dict(reader.exchanges(1, parse("id=i100")).__next__().request_headers)["traceparent"].split("-")[1]
    assert exchanges(path, f"trace:{trace_id}") == "c100 i100"


FINDINGS = {
    "": "1 2 3 4 5 6",
    "code:TP001": "1 4",
    "-code:TP001,TP003": "3 6",
    "code!=TP00": "3",
    "severity:error": "1 2 3 4 5 6",
    "severity>=warning confidence>=probable": "1 2 3",
    "confidence:ambiguous": "4 5 6",
    "probability>0.99": "1 2 3",
    "occurrences=1": "4 5 6",
    'edge:"* -> mail*"': "4 5 6",
    'edge:"checkout -> payment:8080 POST /charge"': "3",
    "upstream:inventory": "1 2",
    "route:/charge": "3",
    "header:traceparent": "1 3 4",
    "header:b3multi": "3",
    "header:trace": "",
    "header:host=payment": "3",
    "outcome:restarted": "3",
    "status:503": "3",
    "method:POST": "3 4 5 6",
    "cause:i1": "1 2 3",
    "id:s1": "1 2",
    "since:10m": "1 2 3 4 5 6",
    "until:10:00:00.12": "1 2 3",
    "since:10:00:00.21": "3",
    "is:marked": "1",
    "is:error": "3",
    "note:Ann": "",
    "inventory": "1 2",
    "x-request-id": "6",
}


@pytest.mark.parametrize("text", FINDINGS)
def test_the_findings_that_a_filter_means(path: Path, text: str) -> None:
    assert findings(path, text) == FINDINGS[text]


WRONG = {
    "cod:TP001": ("there is no field cod (did you mean code?)", "cod:"),
    "code:TP001 http://x": ("there is no field http; put a text in quotes", "http:"),
    "code:TP9": ("there is no rule TP9", "TP9"),
    "code:traceparent-droped": ("there is no rule traceparent-droped (did you mean traceparent-dropped?)", None),
    "code>TP001": ("code has no order: write : or = or !=", "code>"),
    "code:": ("code is compared with nothing", "code:"),
    'path:""': ("there is nothing between these quotation marks", '""'),
    "status:many": ("many is not a status: write 503 or 5xx", "many"),
    "status>5000": ("5000 is not a status: write 503 or 5xx", "5000"),
    "took>5": ("5 is not a duration: write 250ms, 1.5s, 5m, 2h or 1d", "5"),
    "took>999999999999999d": ("999999999999999d is too long", None),
    "since:yesterday": ("yesterday is not a time: write 5m, 10:00:44 or 2026-03-02T10:00", "yesterday"),
    "since:2026-02-30": ("2026-02-30 is not a time: day", "2026-02-30"),
    "since:25:00": ("25:00 is not a time: hour must be in 0..23", "25:00"),
    "probability>much": ("much is not a number", "much"),
    "outcome:droped": ("there is no droped (did you mean dropped?)", "droped"),
    "outcome:w3c=dropped": ("there is no w3c: there are traceparent,", None),
    "is:slow": ("there is no slow", "slow"),
    "severity>=error,note": ("there is no error,note", "error,note"),
    "path:" + "*" * 12: ("a text has at most 10 *", "*" * 12),
    "(a": ("there is no ) for this (", "("),
    "a)": ("there is no ( for this )", ")"),
    "a ()": ("there is nothing in these parentheses", "()"),
    "a or": ('there is nothing after this "or"', "or"),
    "or a": ('there is nothing before this "or"', "or"),
    "a and": ('"and" stands between two terms', "and"),
    "a -": ("there is nothing here to be turned round", "-"),
    'a "b': ("this quotation does not end", '"b'),
    "(" * 30 + "a" + ")" * 30: ("more than 20 levels", "("),
    "-" * 30 + "a": ("more than 20 levels", "-"),
    "a " * 101: ("a filter has at most 100 terms", None),
    "a" * 4001: ("a filter has at most 4,000 characters", "a"),
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:30])
def test_a_filter_that_means_nothing_is_told_where_it_is_wrong(text: str) -> None:
    reason, place = WRONG[text]
    with pytest.raises(FilterError) as wrong:
        parse(text)
    assert reason in wrong.value.reason
    assert str(wrong.value).endswith(f"(at character {wrong.value.start + 1})")
    if place is not None:
        assert place == text[wrong.value.start : wrong.value.end]


def test_every_field_s_example_means_something_of_both() -> None:
    for field in FIELDS.values():
        filter_ = parse(field.example)
        assert filter_.exchanges(0).sql
        assert filter_.findings(0).sql


def test_every_field_is_documented_with_its_example() -> None:
    page = (ROOT / "docs/filters.md").read_text(encoding="utf-8")
    for field in FIELDS.values():
        assert f"| `{field.name}` | {field.about} | `{field.example}` |" in page
    for text in re.findall(r"^    traceaudit .* --where '([^']+)'", page, re.MULTILINE):
        assert parse(text)


def test_a_text_is_parted_for_colouring() -> None:
    assert pieces('code:TP001 -path:"a b" text') == [
        ("code:", "field"),
        ("TP001", "value"),
        (" -", ""),
        ("path:", "field"),
        ('"a b"', "value"),
        (" ", ""),
        ("text", "text"),
    ]


# --- on the command line ----------------------------------------------------------------------------------------------


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def test_check_judges_what_the_filter_means_and_says_what_it_leaves_out(path: Path) -> None:
    done = run("check", path, "--quiet", "--where", "code:TP016")
    assert (done.exit_code, done.stdout.split()[1], done.stdout.count("\n")) == (1, "TP016", 1)
    assert done.stderr == "note: --where leaves out 5 findings\n"
    done = run("check", path, "--where", "upstream:catalog")
    assert (done.exit_code, "nothing found" in done.stdout) == (0, True)
    assert done.stderr == "note: --where leaves out 6 findings\n"


def test_report_shows_what_the_filter_means(path: Path) -> None:
    shown = run("report", path, "--where", 'edge:"* -> mail*"').stdout
    assert "TP004" in shown
    assert "TP016" not in shown


def test_export_writes_what_the_filter_means(path: Path) -> None:
    lines = run("export", path, "--where", "status:5xx").stdout.splitlines()
    assert len(lines) == 1
    assert '"id": "p1"' in lines[0]


@pytest.mark.parametrize("command", ["check", "report", "export"])
def test_a_wrong_filter_ends_with_2_and_its_place(path: Path, command: str) -> None:
    done = run(command, path, "--where", "status:200 egde:x")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "there is no field egde (did you mean edge?) (at character 12)\n  status:200 egde:x\n" in done.stderr
    assert done.stderr.endswith("             ^^^^^\n")


def test_a_hostile_filter_is_shown_as_text(path: Path) -> None:
    done = run("check", path, "--where", "is:\x1b]0;owned\x07")
    assert done.exit_code == 2
    assert "\x1b" not in done.stderr
