"""`b3` in one header and in several: what is valid, and where exactly the rest is wrong."""

from __future__ import annotations

import pytest

from traceaudit.formats import Context, Fault, Format, Malformed, b3, b3multi

TRACE = "80f198ee56343ba864fe8b2a57d3eff7"
SHORT = "64fe8b2a57d3eff7"
SPAN = "e457b5a2e4d86bd1"
PARENT = "05e3ac9a4f6e3b90"
ZERO = "0" * 16

IDS = {"x-b3-traceid": TRACE, "x-b3-spanid": SPAN}


def lines(sent: dict[str, str]) -> dict[str, list[str]]:
    return {name: [value] for name, value in sent.items()}


@pytest.mark.parametrize(
    ("value", "context"),
    [
        (f"{TRACE}-{SPAN}", Context(Format.B3, TRACE, SPAN)),
        (f"{SHORT}-{SPAN}-1", Context(Format.B3, SHORT, SPAN, sampled=True)),
        (f" {TRACE}-{SPAN}-0\t", Context(Format.B3, TRACE, SPAN, sampled=False)),
        (f"{TRACE}-{SPAN}-d", Context(Format.B3, TRACE, SPAN, sampled=True, debug=True)),
        (f"{TRACE}-{SPAN}-1-{PARENT}", Context(Format.B3, TRACE, SPAN, PARENT, sampled=True)),
        (f"{TRACE}-{SPAN}-1-{ZERO}", Context(Format.B3, TRACE, SPAN, sampled=True)),
        ("0", Context(Format.B3, None, sampled=False)),
        ("1 ", Context(Format.B3, None, sampled=True)),
        ("d", Context(Format.B3, None, sampled=True, debug=True)),
    ],
)
def test_a_valid_single_header_is_read_in_full(value: str, context: Context) -> None:
    assert b3.parse([value]) == context


@pytest.mark.parametrize(
    ("value", "position", "clause"),
    [
        ("2", 0, "A sampling state alone is 0, 1 or d."),
        ("true", 0, "The trace id consists of lower-case hex digits, and 't' is none."),
        (TRACE, 32, "The span id is missing."),
        (f"{TRACE}-", 33, "The span id is 16 hex digits long, not 0."),
        (f"{TRACE[:20]}-{SPAN}", 20, "The trace id is 16 or 32 hex digits long, not 20."),
        (f"{TRACE}0-{SPAN}", 32, "The trace id is 16 or 32 hex digits long, not 33."),
        (f"{'0' * 32}-{SPAN}", 0, "The trace id may not be all zeros."),
        (f"{TRACE}-{SPAN.upper()}", 33, "The span id consists of lower-case hex digits, and 'E' is none."),
        (f"{TRACE}-{ZERO}-1", 33, "The span id may not be all zeros."),
        (f"{TRACE}-{SPAN}-", 50, "The sampling state in the third place is 0, 1 or d."),
        (f"{TRACE}-{SPAN}-true", 50, "The sampling state in the third place is 0, 1 or d."),
        (f"{TRACE}-{SPAN}-{PARENT}", 51, "The sampling state is one character."),
        (f"{TRACE}-{SPAN}-1-", 52, "The parent span id is 16 hex digits long, not 0."),
        (f"{TRACE}-{SPAN}-1--", 52, "The parent span id is 16 hex digits long, not 0."),
        (f"{TRACE}-{SPAN}-1-{PARENT}-", 68, "Nothing may follow the parent span id."),
        (f"  {TRACE}-{SPAN}-1-{PARENT}0", 70, "The parent span id is 16 hex digits long, not 17."),
    ],
)
def test_a_malformed_single_header_is_wrong_at_its_first_wrong_character(
    value: str, position: int, clause: str
) -> None:
    fault = b3.parse([value])
    assert isinstance(fault, Malformed)
    assert (fault.header, fault.value, fault.position, fault.clause) == ("b3", value, position, clause)


def test_a_single_header_may_be_neither_empty_nor_sent_twice() -> None:
    empty, twice = b3.parse([""]), b3.parse(["0", "0"])
    assert isinstance(empty, Malformed)
    assert empty.fault is Fault.EMPTY
    assert isinstance(twice, Malformed)
    assert (twice.fault, twice.value, twice.position) == (Fault.DUPLICATED, "0,0", 2)


@pytest.mark.parametrize(
    ("sent", "context"),
    [
        (IDS, Context(Format.B3MULTI, TRACE, SPAN)),
        ({**IDS, "x-b3-traceid": SHORT}, Context(Format.B3MULTI, SHORT, SPAN)),
        ({**IDS, "x-b3-sampled": "1"}, Context(Format.B3MULTI, TRACE, SPAN, sampled=True)),
        ({**IDS, "x-b3-sampled": " 0"}, Context(Format.B3MULTI, TRACE, SPAN, sampled=False)),
        (
            {**IDS, "x-b3-sampled": "true"},
            Context(Format.B3MULTI, TRACE, SPAN, sampled=True, extra=(("sampled", "true"),)),
        ),
        ({**IDS, "x-b3-parentspanid": PARENT}, Context(Format.B3MULTI, TRACE, SPAN, PARENT)),
        ({**IDS, "x-b3-parentspanid": ZERO}, Context(Format.B3MULTI, TRACE, SPAN)),
        ({**IDS, "x-b3-flags": "1"}, Context(Format.B3MULTI, TRACE, SPAN, sampled=True, debug=True)),
        (
            {**IDS, "x-b3-flags": "1", "x-b3-sampled": "0"},
            Context(Format.B3MULTI, TRACE, SPAN, sampled=True, debug=True, extra=(("sampled", "0"),)),
        ),
        (
            {**IDS, "x-b3-flags": "0", "x-b3-sampled": "1"},
            Context(Format.B3MULTI, TRACE, SPAN, sampled=True, extra=(("flags", "0"),)),
        ),
        ({"x-b3-sampled": "0"}, Context(Format.B3MULTI, None, sampled=False)),
        ({"x-b3-flags": "1"}, Context(Format.B3MULTI, None, sampled=True, debug=True)),
        ({"x-b3-flags": "7"}, Context(Format.B3MULTI, None, extra=(("flags", "7"),))),
    ],
)
def test_a_valid_set_of_headers_is_read_in_full(sent: dict[str, str], context: Context) -> None:
    assert b3multi.parse(lines(sent)) == context


@pytest.mark.parametrize(
    ("sent", "header", "position"),
    [
        ({"x-b3-traceid": TRACE}, "x-b3-spanid", 0),
        ({"x-b3-traceid": TRACE, "x-b3-sampled": "1"}, "x-b3-spanid", 0),
        ({"x-b3-spanid": SPAN}, "x-b3-traceid", 0),
        ({"x-b3-parentspanid": PARENT, "x-b3-sampled": "1"}, "x-b3-traceid", 0),
        ({**IDS, "x-b3-traceid": TRACE[:-1]}, "x-b3-traceid", 31),
        ({**IDS, "x-b3-traceid": f"{TRACE}-{SPAN}"}, "x-b3-traceid", 32),
        ({**IDS, "x-b3-traceid": "0" * 32}, "x-b3-traceid", 0),
        ({**IDS, "x-b3-spanid": ZERO}, "x-b3-spanid", 0),
        ({**IDS, "x-b3-spanid": f" {SPAN}0"}, "x-b3-spanid", 17),
        ({**IDS, "x-b3-parentspanid": "-"}, "x-b3-parentspanid", 0),
        ({**IDS, "x-b3-sampled": "d"}, "x-b3-sampled", 0),
        ({**IDS, "x-b3-sampled": " 2"}, "x-b3-sampled", 1),
    ],
)
def test_a_malformed_set_of_headers_names_the_header_and_its_first_wrong_character(
    sent: dict[str, str], header: str, position: int
) -> None:
    fault = b3multi.parse(lines(sent))
    assert isinstance(fault, Malformed)
    assert (fault.header, fault.value, fault.position) == (header, sent.get(header, ""), position)
    assert fault.fault is Fault.INVALID


@pytest.mark.parametrize("header", b3multi.HEADERS)
def test_any_empty_header_of_the_set_is_empty(header: str) -> None:
    fault = b3multi.parse(lines({**IDS, "x-b3-sampled": "nonsense", header: " "}))
    assert isinstance(fault, Malformed)
    assert (fault.header, fault.fault) == (header, Fault.EMPTY)


@pytest.mark.parametrize("header", b3multi.HEADERS)
def test_any_header_of_the_set_that_is_sent_twice_is_a_duplicate(header: str) -> None:
    fault = b3multi.parse({**lines({**IDS, "x-b3-parentspanid": ""}), header: ["1", "1"]})
    assert isinstance(fault, Malformed)
    assert (fault.header, fault.fault) == (header, Fault.DUPLICATED)


def test_a_deferred_decision_leaves_no_place_for_a_parent_in_the_single_header() -> None:
    assert b3.render(Context(Format.B3, TRACE, SPAN, PARENT)) == [("b3", f"{TRACE}-{SPAN}")]


def test_a_context_that_says_nothing_is_not_rendered() -> None:
    assert b3.render(Context(Format.B3, None)) == []
    assert b3multi.render(Context(Format.B3MULTI, None)) == []
