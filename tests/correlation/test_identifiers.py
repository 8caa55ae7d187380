"""What is remembered of requests: those that are open, those that calls name, and of others that they were there."""

from __future__ import annotations

from tests.builders import MS, START_NS, inbound, outbound, trace_headers
from traceaudit.audit import Audit
from traceaudit.correlation import Identifiers, Inbound
from traceaudit.correlation.identifiers import MEMORY
from traceaudit.formats import read
from traceaudit.seen import Seen


def brought(number: int, *, ended: bool = True) -> Inbound:
    each = inbound(f"i{number}", number, headers=trace_headers(number))
    return Inbound(each, read(each.request_headers), "GET /", each.ended_ns if ended else None)


def test_what_is_in_flight_is_never_forgotten_and_of_the_others_the_oldest_is() -> None:
    identifiers = Identifiers(memory=3)
    for number in (1, 2):
        identifiers.add(brought(number, ended=False))
    for number in (3, 4, 5):
        identifiers.add(brought(number))
    assert [number for number in range(1, 6) if identifiers.get(f"i{number}")] == [1, 2, 5]
    assert identifiers.sole(read(trace_headers(3))) is None
    for number in range(6, 40):
        identifiers.add(brought(number, ended=False))
    assert all(identifiers.get(f"i{number}") for number in range(6, 40))


def test_what_calls_still_name_is_remembered() -> None:
    identifiers = Identifiers(memory=3)
    kept = brought(1)
    identifiers.add(kept)
    for number in range(2, 20):
        identifiers.named(kept)
        identifiers.add(brought(number))
    assert identifiers.get("i1") is kept
    assert identifiers.sole(read(trace_headers(1))) is kept


def test_of_what_is_forgotten_it_is_known_that_it_was_there() -> None:
    identifiers = Identifiers(memory=1)
    assert not identifiers.forgot(read(trace_headers(1)))
    for number in range(1, 50):
        identifiers.add(brought(number))
    assert all(identifiers.forgot(read(trace_headers(number))) for number in range(1, 49))
    assert all(identifiers.forgot(read(trace_headers(number)[-1:])) for number in range(1, 49))
    assert not any(identifiers.forgot(read(trace_headers(number))) for number in range(49, 99))
    assert not identifiers.forgot({})


def test_late_work_of_a_forgotten_request_is_unknown_and_accused_of_nothing() -> None:
    """It would look as if it had made up a trace."""
    audit = Audit()
    audit.advance(START_NS - 60_000 * MS)
    for number in range(1, MEMORY + 3):
        each = inbound(f"i{number}", number * 10, 5, headers=trace_headers(number))
        audit.begin(each)
        audit.end(each)
    audit.begin(inbound("last", MEMORY * 10 + 50, headers=trace_headers(MEMORY + 9)))
    for number, unknown in ((1, True), (2, True), (MEMORY + 20, False)):
        verdict = audit.begin(outbound(f"o{number}", MEMORY * 10 + 51, headers=trace_headers(number)))
        assert verdict is not None
        assert (not verdict.links, not verdict.outcomes, not verdict.accusations) == (unknown, unknown, unknown)
    assert {each.occurrences for each in audit.findings if each.rule.code == "TP011"} == {1}


def test_a_room_that_is_too_small_says_yes_too_often_and_never_no() -> None:
    seen = Seen(16)
    assert "first" not in seen
    assert not seen.add("first")
    assert seen.add("first")
    for number in range(1_000):
        seen.add(str(number))
    assert all(str(number) in seen for number in range(2_000))
    assert "first" in seen
