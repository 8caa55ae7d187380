"""Recordings larger than memory: sorted outside it or read as they are, they come out as if sorted within it."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import START_NS, inbound, outbound, trace_headers
from traceaudit.capture.arrangement import Arranged, Arrangement, ChangedError, arrangement
from traceaudit.capture.exchange_log import RunTimes, read
from traceaudit.capture.replay import in_order
from traceaudit.capture.spool import Spool
from traceaudit.exchange import Direction, Exchange
from traceaudit.exports import jsonl
from traceaudit.formats.context import Format

TEXTS = st.text(st.characters(max_codepoint=255), max_size=6)
HEADERS = st.lists(st.tuples(TEXTS, TEXTS), max_size=3)
OPTIONAL = st.none() | TEXTS
TIMES = st.none() | st.integers(5, 9)
EXCHANGES = st.lists(
    st.builds(
        Exchange,
        id=st.text(min_size=1, max_size=3),
        direction=st.sampled_from(Direction),
        started_ns=st.integers(0, 4),
        method=TEXTS,
        authority=TEXTS,
        path=TEXTS,
        request_headers=HEADERS,
        response_started_ns=TIMES,
        ended_ns=TIMES,
        status=st.none() | st.integers(0, 999),
        error=OPTIONAL,
        connection_id=OPTIONAL,
        client_address=OPTIONAL,
        server_address=OPTIONAL,
        response_headers=HEADERS,
        minted=st.lists(st.sampled_from(Format), max_size=2),
    ),
    unique_by=lambda each: each.id,
    max_size=8,
)


def lines_of(exchanges: Sequence[Exchange]) -> list[bytes]:
    return [json.dumps(jsonl.record(each)).encode() + b"\n" for each in exchanges]


def look(lines: Sequence[bytes], *, block: int = 1, held: int = 2**20) -> Arrangement | None:
    return arrangement(BytesIO(b"".join(line.rstrip(b"\n") + b"\n" for line in lines)), block=block, held=held)


def arranged(lines: Sequence[bytes], *, block: int = 1, held: int = 2**20) -> list[Exchange] | None:
    """The exchanges of a log as they are given while it is read; ``None``: it has to be sorted."""
    found = look(lines, block=block, held=held)
    if found is None:
        return None
    numbered = ((number, each) for number, line in enumerate(lines, 1) for each in read([line]))
    return list(Arranged(found).in_order((number, each) for number, each in numbered if isinstance(each, Exchange)))


# --- put aside --------------------------------------------------------------------------------------------------------


@given(EXCHANGES, st.sampled_from([0, 300, 1_000_000]))
def test_what_is_put_aside_comes_back_in_order_and_whole(exchanges: list[Exchange], room: int) -> None:
    spool = Spool(room)
    assert all(spool.add(each) for each in exchanges)
    assert not any(spool.add(each) for each in exchanges)
    assert len(spool) == len(exchanges)
    assert list(spool.in_order()) == in_order(exchanges)
    assert list(spool.in_order()) == in_order(exchanges)


@pytest.mark.parametrize("room", [0, 1_000_000])
def test_of_two_with_one_id_the_first_stays(room: int) -> None:
    spool = Spool(room)
    assert [spool.add(each) for each in (inbound("i1", 5), inbound("i1", 0), inbound("i2", 1))] == [True, False, True]
    assert [each.started_ns - START_NS for each in spool.in_order()] == [1_000_000, 5_000_000]


def test_no_header_is_in_the_file_as_it_came() -> None:
    spool = Spool(0)
    spool.add(inbound("i1", headers=[("Authorization", "Bearer swordfish")]))
    file = spool._file
    assert file is not None
    assert b"i1" in file.serialize()
    assert b"swordfish" not in file.serialize()
    assert b"Authorization" not in file.serialize()


# --- as it is read ----------------------------------------------------------------------------------------------------


@given(EXCHANGES, st.sampled_from([1, 400, 2_000]), st.sampled_from([0, 800, 2**20]))
def test_what_is_given_while_it_is_read_is_in_order_or_the_log_has_to_be_sorted(
    exchanges: list[Exchange], block: int, held: int
) -> None:
    """The log reader takes each character for a byte, so what it has read is what is compared."""
    lines = lines_of(exchanges)
    given_on = arranged(lines, block=block, held=held)
    expected = in_order(each for each in read(lines) if isinstance(each, Exchange))
    assert given_on in (expected, None)
    if held == 2**20 and not any(b"\\u00" in line for line in lines):
        assert given_on == expected


def test_of_a_log_that_is_nearly_in_order_little_is_held_back() -> None:
    near = [inbound(f"i{number:03}", number + random.Random(number).randrange(5)) for number in range(200)]
    assert arranged(lines_of(near), block=2_000, held=8_000) == in_order(near)
    assert arranged(lines_of([*near[1:], near[0]]), block=2_000, held=8_000) is None


LINE = lines_of([outbound("o1", 1, headers=trace_headers(1))])[0].strip()
AT = f'"started_ns": {START_NS + 1_000_000}'.encode()

UNSURE = {
    "a key that comes twice": LINE.replace(AT, AT + b', "started_ns": 5'),
    "a key that comes twice, the first without a number": LINE.replace(AT, b'"started_ns": null, ' + AT),
    "a key in an object within": LINE.replace(AT, AT + b', "other": {"started_ns": 5}'),
    "a time with space around its colon": LINE.replace(AT, b'"started_ns" \t:\r 5'),
    "a time of twenty digits": LINE.replace(AT, b'"started_ns": 12345678901234567890'),
    "a value that says so": LINE.replace(AT, AT + b', "other": ["started_ns", 1]'),
}


@pytest.mark.parametrize("line", UNSURE.values(), ids=list(UNSURE))
def test_whichever_start_counts_the_order_is_right(line: bytes) -> None:
    log = [LINE.replace(b'"o1"', b'"o0"'), line, LINE.replace(b'"o1"', b'"o3"')]
    assert arranged(log) == in_order(each for each in read(log) if isinstance(each, Exchange))


HIDDEN = {
    "beside another": LINE.replace(AT, AT + b', "\\u0073tarted_ns": 5'),
    "alone": LINE.replace(b'"started_ns"', b'"start\\u0065d_ns"'),
    "in capitals": LINE.replace(b'"started_ns"', b'"started\\u005Fns"'),
}


@pytest.mark.parametrize("line", HIDDEN.values(), ids=list(HIDDEN))
def test_a_key_that_is_written_with_escapes_is_not_missed(line: bytes) -> None:
    assert len([each for each in read([line]) if isinstance(each, Exchange)]) == 1
    assert look([LINE, line]) is None


OTHERS = {
    "an empty line": b"",
    "no JSON": b"swordfish",
    "no exchange": b"{}",
    "a line whose time is no whole number": LINE.replace(AT, b'"started_ns": 0.5'),
    "a line whose only start is in an object within": b'{"id": "o2", "other": {"started_ns": 7}}',
    "a text with quotes within": LINE.replace(b'"o1"', b'"\\"started_ns\\": 3"'),
}


@pytest.mark.parametrize("line", OTHERS.values(), ids=list(OTHERS))
def test_a_line_that_is_no_exchange_changes_nothing(line: bytes) -> None:
    log = [LINE, line, LINE.replace(b'"o1"', b'"o3"')]
    assert arranged(log) == in_order(each for each in read(log) if isinstance(each, Exchange))


def test_the_times_of_runs_are_found_wherever_they_stand() -> None:
    run = b'{"run": {"started_ns": 7, "ended_ns": 9, "service": "shop"}'
    found = look([LINE, run + b"}", run + b"," + LINE[1:]])
    assert found is not None
    assert found.times == [RunTimes(7, 9, "shop")] * 2
    assert found.lines == 3
    assert arranged([LINE, run + b"," + LINE[1:].replace(b'"o1"', b'"o0"')]) is not None


def test_a_log_that_is_another_at_the_second_look_is_noticed() -> None:
    found = look([LINE, LINE.replace(AT, b'"started_ns": 1' + b"0" * 18)])
    assert found is not None
    early = inbound("i1", 0)
    early.started_ns = 5
    with pytest.raises(ChangedError, match="has changed"):
        list(Arranged(found).in_order([(1, inbound("i0", 5)), (2, early)]))
    with pytest.raises(ChangedError, match="has changed"):
        list(Arranged(found).in_order([(3, inbound("i0", 5))]))


def test_an_empty_log_is_in_order() -> None:
    assert arranged([]) == []
