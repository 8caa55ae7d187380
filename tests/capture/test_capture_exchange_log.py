"""The exchange log: what a line may be, what is said of one that cannot be used, and that nothing raises."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import inbound, outbound, trace_headers
from traceaudit.capture import exchange_log
from traceaudit.capture.exchange_log import LONGEST_LINE, BadLine, RunTimes, read
from traceaudit.exchange import Direction, Exchange, Gated
from traceaudit.exports.jsonl import record
from traceaudit.formats.context import Format

LEAST: dict[str, Any] = {
    "id": "o1",
    "direction": "outbound",
    "started_ns": 1,
    "method": "GET",
    "authority": "inventory",
    "path": "/stock/17",
    "request_headers": [],
}
"""The keys that a line must have."""


def line(**changed: object) -> bytes:
    return json.dumps({**LEAST, **changed}).encode()


def without(key: str) -> bytes:
    return json.dumps({name: value for name, value in LEAST.items() if name != key}).encode()


def one(text: bytes) -> Exchange | RunTimes | BadLine:
    (found,) = read([text])
    return found


BAD: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"GET / HTTP/1.1\n", "not JSON at column 1: Expecting value"),
    "half a line": (b'{"id": "o1", "direct', "not JSON at column 14: Unterminated string starting at"),
    "two objects": (b"{} {}", "not JSON at column 4: Extra data"),
    "a number that JSON lacks": (b'{"started_ns": NaN}', "not JSON: NaN is no number"),
    "another, under a key that nobody reads": (b'{"took": -Infinity}', "not JSON: -Infinity is no number"),
    "not UTF-8": (b'{"id": "\xff"}', "not UTF-8 at byte 9"),
    "too deep": (b"[" * 200_000, "not an exchange: nested too deeply"),
    "too long": (b" " * (LONGEST_LINE + 1) + b"{}", "the line is longer than 16 MiB"),
    "a list": (b"[1, 2]", "not an exchange: a list instead of an object"),
    "a text": (b'"o1"', "not an exchange: a text instead of an object"),
    "a number": (b"17", "not an exchange: a number instead of an object"),
    "null": (b"null", "not an exchange: null instead of an object"),
    **{f"no {key}": (without(key), f"{key} is missing") for key in LEAST},
    "an id that is no text": (line(id=17), "id is a number instead of a text"),
    "an empty id": (line(id=""), "id is empty"),
    "a null id": (line(id=None), "id is null instead of a text"),
    "an empty method": (line(method=""), "method is empty"),
    "a direction of its own": (line(direction="in"), "direction is 'in' instead of inbound or outbound"),
    "a time with a fraction": (line(started_ns=1.5), "started_ns is a number instead of an integer"),
    "a time as a text": (line(started_ns="1"), "started_ns is a text instead of an integer"),
    "a time that is true": (line(started_ns=True), "started_ns is true or false instead of an integer"),
    "a time before the epoch": (line(started_ns=-1), "started_ns is out of range"),
    "a time beyond 64 bits": (line(started_ns=2**63), "started_ns is out of range"),
    "an end before the start": (line(started_ns=5, ended_ns=4), "ended_ns is before started_ns"),
    "a response before the request": (
        line(started_ns=5, response_started_ns=4, ended_ns=9),
        "response_started_ns is before started_ns",
    ),
    "a status as a text": (line(status="200"), "status is a text instead of an integer"),
    "an error that is an object": (line(error={}), "error is an object instead of a text"),
    "headers as an object": (
        line(request_headers={"a": "b"}),
        "request_headers is an object instead of a list of [name, value]",
    ),
    "a header of three": (
        line(request_headers=[["a", "b"], ["a", "b", "c"]]),
        "request_headers, number 2, is not [name, value]",
    ),
    "a header without value": (line(request_headers=[["a", None]]), "request_headers, number 1, is not [name, value]"),
    "a header as a text": (line(response_headers=["ab"]), "response_headers, number 1, is not [name, value]"),
    "gated as a text": (line(gated="i1"), "gated is a text instead of an object"),
    "gated by nobody": (line(gated={"doubt": 0}), "inbound_id is missing"),
    "gated without a doubt": (line(gated={"inbound_id": "i1"}), "gated.doubt is no probability"),
    "gated with too much doubt": (line(gated={"inbound_id": "i1", "doubt": 2}), "gated.doubt is no probability"),
    "gated by a list": (
        line(gated={"inbound_id": "i1", "doubt": 0, "evidence": []}),
        "gated.evidence is a list instead of an object",
    ),
    "gated for deep reasons": (
        line(gated={"inbound_id": "i1", "doubt": 0, "evidence": {"gap_ms": [1]}}),
        "gated.evidence.gap_ms is a list instead of a text or a number",
    ),
    "minted as a text": (line(minted="b3"), "minted is a text instead of a list of formats"),
    "a run that is a list": (b'{"run": []}', "run is a list instead of an object"),
    "a run without a start": (b'{"run": {}}', "started_ns is missing"),
}


@pytest.mark.parametrize(("text", "reason"), BAD.values(), ids=list(BAD))
def test_a_line_that_cannot_be_used_is_given_back_with_its_number_and_the_reason(text: bytes, reason: str) -> None:
    good = line(id="o2") + b"\n"
    first, bad, last = read([line(), text, good])
    assert bad == BadLine(2, reason)
    assert isinstance(first, Exchange)
    assert isinstance(last, Exchange)


def test_an_integer_of_thousands_of_digits_is_no_json() -> None:
    found = one(b'{"started_ns": ' + b"9" * 10_000 + b"}")
    assert isinstance(found, BadLine)
    assert found.reason.startswith("not JSON: ")


def test_the_required_keys_are_enough() -> None:
    assert one(line()) == Exchange(
        id="o1",
        direction=Direction.OUTBOUND,
        started_ns=1,
        method="GET",
        authority="inventory",
        path="/stock/17",
        request_headers=[],
    )


def test_null_stands_for_what_is_not_known() -> None:
    optional = set(record(inbound("i1"))) - set(LEAST)
    assert one(line(**dict.fromkeys(optional))) == one(line())


def test_unknown_keys_and_formats_are_passed_over() -> None:
    found = one(line(minted=["b3", "of-the-future", 17], note={"any": ["thing"]}))
    assert isinstance(found, Exchange)
    assert found.minted == [Format.B3]


def test_empty_lines_are_passed_over_and_counted() -> None:
    assert [each.number for each in read([b"\n", b"  \r\n", b"x\n", b"\n", b"y"]) if isinstance(each, BadLine)] == [
        3,
        5,
    ]


def test_a_byte_order_mark_is_passed_over_where_logs_were_put_together_too() -> None:
    mark = b"\xef\xbb\xbf"
    assert list(read([mark + line(), mark + line(id="o2")])) == [one(line()), one(line(id="o2"))]


def test_duplicates_their_order_and_empty_values_are_kept() -> None:
    headers = [["B3", "0"], ["b3", ""], ["B3", "0"]]
    found = one(line(request_headers=headers))
    assert isinstance(found, Exchange)
    assert found.request_headers == [("B3", "0"), ("b3", ""), ("B3", "0")]


def test_one_character_stands_for_one_byte_and_others_are_taken_for_their_utf_8() -> None:
    found = one(line(path="/caf\u00e9", request_headers=[["x-name", "\u20ac"], ["x-half", "\ud800"]]))
    assert isinstance(found, Exchange)
    assert found.path == "/caf\u00e9"
    assert found.request_headers[0] == ("x-name", "\u20ac".encode().decode("latin-1"))
    found.request_headers[1][1].encode("latin-1")


def test_the_first_line_of_an_exported_run_tells_its_times_and_is_an_exchange_too() -> None:
    times, exchange = read([line(run={"started_ns": 1, "ended_ns": 9, "service": "shop"})])
    assert times == RunTimes(1, 9, "shop")
    assert exchange == one(line())
    assert list(read([b'{"run": {"started_ns": 1}}'])) == [RunTimes(1, None, "")]


def test_what_is_written_reads_the_same() -> None:
    exchanges = [
        inbound("i1", headers=trace_headers(1), minted=[Format.B3MULTI, Format.REQUEST_ID]),
        replace(outbound("o9"), gated=Gated("i1", 0.0002, {"after": "the request", "gap_ms": 0.4})),
        outbound("o1", 1, None, headers=[("X", "\xff\x01"), ("x", "")], error="refused", request="POST /a?b=\xe9"),
        outbound("o2", 2, status=503, response_headers=[("retry-after", "1")]),
    ]
    assert list(read(json.dumps(record(each)).encode() for each in exchanges)) == exchanges


# --- properties -------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(max_codepoint=255), max_size=20)
names = texts.filter(bool)
times = st.integers(0, 2**62)
headers = st.lists(st.tuples(texts, texts), max_size=4)


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    started_ns = draw(times)
    later = st.none() | st.integers(started_ns, 2**63 - 1)
    optional = st.none() | texts
    return Exchange(
        id=draw(names),
        direction=draw(st.sampled_from(Direction)),
        started_ns=started_ns,
        method=draw(names),
        authority=draw(texts),
        path=draw(texts),
        request_headers=draw(headers),
        scheme=draw(texts),
        http_version=draw(texts),
        response_started_ns=draw(later),
        ended_ns=draw(later),
        status=draw(st.none() | st.integers(0, 999)),
        error=draw(optional),
        connection_id=draw(optional),
        client_address=draw(optional),
        server_address=draw(optional),
        response_headers=draw(headers),
        minted=draw(st.lists(st.sampled_from(Format), unique=True)),
        gated=draw(st.none() | st.builds(Gated, st.just("i1"), st.floats(0, 1), st.just({"gap_ms": 0.4}))),
    )


@given(exchanges())
def test_any_exchange_that_is_written_reads_the_same(exchange: Exchange) -> None:
    assert one(json.dumps(record(exchange)).encode()) == exchange


@given(st.lists(st.binary(max_size=60)))
def test_no_bytes_make_reading_raise(lines: list[bytes]) -> None:
    for each in read(lines):
        assert isinstance(each, BadLine), "random bytes are no exchange"
        assert each.reason


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = [*record(inbound("i1")), "run"]


@given(st.dictionaries(st.sampled_from(KEYS), values), st.sets(st.sampled_from(KEYS)))
def test_no_value_under_any_key_makes_reading_raise(changed: dict[str, object], gone: set[str]) -> None:
    known = {key: value for key, value in {**LEAST, **changed}.items() if key not in gone}
    for each in read([json.dumps(known).encode()]):
        assert isinstance(each, Exchange | BadLine | RunTimes)
        if isinstance(each, Exchange):
            json.dumps(record(each))
            assert one(json.dumps(record(each)).encode()) == each


# --- the two ways of reading a line -----------------------------------------------------------------------------------

ODD = st.sampled_from(
    [
        None,
        "",
        "é",
        "Ā",
        "ab",
        0,
        -1,
        2**63,
        True,
        False,
        1.5,
        [],
        {},
        [["a", "b"]],
        [["a"]],
        ["ab"],
        {"a": 1},
        [{"a": 1, "b": 2}],
    ]
)


CHANGES = st.dictionaries(st.sampled_from(KEYS), ODD, max_size=2)


@given(CHANGES, st.sets(st.sampled_from(KEYS), max_size=1))
def test_a_line_is_read_the_same_whether_or_not_it_looks_usual(changed: dict[str, object], gone: set[str]) -> None:
    exchange = outbound("o1", headers=trace_headers(1), response_headers=[("a", "b")], error="reset")
    whole = json.loads(json.dumps(record(exchange)))
    line = {key: value for key, value in {**whole, **changed}.items() if key not in gone}

    def outcome(reading: Callable[[dict[str, Any]], Exchange | None]) -> Exchange | str | None:
        try:
            return reading(line)
        except exchange_log._WrongError as wrong:
            return str(wrong)

    usual, expected = outcome(exchange_log._usual), outcome(exchange_log._exchange)
    assert usual in (expected, None)
    if not changed and not gone:
        assert usual == expected


def test_what_an_export_writes_looks_usual() -> None:
    exchanges = [inbound("i1", 0, None), outbound("o1", headers=trace_headers(1), error="reset")]
    assert [exchange_log._usual(json.loads(json.dumps(record(each)))) for each in exchanges] == exchanges
