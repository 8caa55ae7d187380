"""`traceparent`: what is valid, and where exactly the rest is wrong."""

from __future__ import annotations

import pytest

from traceaudit.formats import Context, Fault, Format, Malformed, TraceState, traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("value", "sampled", "extra"),
    [
        (f"00-{TRACE}-{SPAN}-00", False, {"version": "00", "flags": "00", "random": "no"}),
        (f"00-{TRACE}-{SPAN}-01", True, {"version": "00", "flags": "01", "random": "no"}),
        (f"00-{TRACE}-{SPAN}-02", False, {"version": "00", "flags": "02", "random": "yes"}),
        (f"00-{TRACE}-{SPAN}-03", True, {"version": "00", "flags": "03", "random": "yes"}),
        (f"00-{TRACE}-{SPAN}-ff", True, {"version": "00", "flags": "ff", "random": "yes"}),
        (f" \t00-{TRACE}-{SPAN}-01\t ", True, {"version": "00", "flags": "01", "random": "no"}),
        (f"01-{TRACE}-{SPAN}-03", True, {"version": "01", "flags": "03"}),
        (f"fe-{TRACE}-{SPAN}-00-", False, {"version": "fe", "flags": "00", "rest": "-"}),
        (
            f"cc-{TRACE}-{SPAN}-01-what the-future \t",
            True,
            {"version": "cc", "flags": "01", "rest": "-what the-future"},
        ),
    ],
)
def test_a_valid_value_is_read_in_full(value: str, sampled: bool, extra: dict[str, str]) -> None:
    context = traceparent.parse([value])
    assert context == Context(Format.TRACEPARENT, TRACE, SPAN, sampled=sampled, extra=tuple(extra.items()))


@pytest.mark.parametrize(
    ("value", "position", "clause"),
    [
        ("hello", 0, "The version consists of lower-case hex digits, and 'h' is none."),
        ("0", 1, "The version is 2 hex digits long, not 1."),
        ("00", 2, "The trace-id is missing."),
        ("00-", 3, "The trace-id is 32 hex digits long, not 0."),
        ("000-", 2, "The version is 2 hex digits long, not 3."),
        (f"ff-{TRACE}-{SPAN}-01", 0, "Version ff is forbidden."),
        (f"00-{TRACE[:-1]}G-{SPAN}-01", 34, "The trace-id consists of lower-case hex digits, and 'G' is none."),
        (f"00-{TRACE.upper()}-{SPAN}-01", 4, "The trace-id consists of lower-case hex digits, and 'B' is none."),
        (f"00-{TRACE[:-1]}-{SPAN}-01", 34, "The trace-id is 32 hex digits long, not 31."),
        (f"00-{TRACE}0-{SPAN}-01", 35, "The trace-id is 32 hex digits long, not 33."),
        (f"00-{'0' * 32}-{SPAN}-01", 3, "The trace-id may not be all zeros."),
        (f"00-{TRACE}", 35, "The parent-id is missing."),
        (f"00-{TRACE}-{'0' * 16}-01", 36, "The parent-id may not be all zeros."),
        (f"00-{TRACE}-{SPAN[:-1]}-01", 51, "The parent-id is 16 hex digits long, not 15."),
        (f"00-{TRACE}-{SPAN}", 52, "The trace-flags are missing."),
        (f"00-{TRACE}-{SPAN}-0", 54, "The trace-flags field is 2 hex digits long, not 1."),
        (f"00-{TRACE}-{SPAN}-0x", 54, "The trace-flags field consists of lower-case hex digits, and 'x' is none."),
        (f"00-{TRACE}-{SPAN}-01-", 55, "Nothing may follow the trace-flags in version 00."),
        (f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01", 55, "The trace-flags field is 2 hex digits long, not 5."),
        (f"  00-{TRACE}-{SPAN}-01x", 57, "The trace-flags field is 2 hex digits long, not 3."),
        (f"cc-{TRACE}-{SPAN}-01.x", 55, "What follows the trace-flags in a higher version begins with a dash."),
        (f"cc-{TRACE}-{SPAN}-1", 54, "The trace-flags field is 2 hex digits long, not 1."),
    ],
)
def test_a_malformed_value_is_wrong_at_its_first_wrong_character(value: str, position: int, clause: str) -> None:
    fault = traceparent.parse([value])
    assert isinstance(fault, Malformed)
    assert (fault.header, fault.value, fault.position, fault.clause) == ("traceparent", value, position, clause)
    assert fault.fault is Fault.INVALID
    assert fault.reference.startswith("https://www.w3.org/TR/trace-context-2/#")


@pytest.mark.parametrize("value", ["", " ", "\t"])
def test_a_header_without_a_value_is_empty(value: str) -> None:
    fault = traceparent.parse([value])
    assert isinstance(fault, Malformed)
    assert (fault.fault, fault.position) == (Fault.EMPTY, 0)


@pytest.mark.parametrize("other", [f"00-{TRACE}-{SPAN}-01", "", "nonsense"])
def test_two_lines_are_a_duplicate_even_when_they_are_equal(other: str) -> None:
    first = f"00-{TRACE}-{SPAN}-01"
    fault = traceparent.parse([first, other])
    assert isinstance(fault, Malformed)
    assert (fault.fault, fault.value, fault.position) == (Fault.DUPLICATED, f"{first},{other}", 56)


def test_a_malformed_tracestate_leaves_the_traceparent_valid() -> None:
    context = traceparent.parse([f"00-{TRACE}-{SPAN}-01"], ["foo=1", "FOO=2"])
    assert isinstance(context, Context)
    assert isinstance(context.tracestate, Malformed)
    assert (context.tracestate.header, context.tracestate.value, context.tracestate.position) == (
        "tracestate",
        "foo=1,FOO=2",
        6,
    )


def test_a_context_is_rendered_with_its_tracestate() -> None:
    fields = [("traceparent", f"00-{TRACE}-{SPAN}-03"), ("tracestate", "rojo=1,congo= 2")]
    context = traceparent.parse([fields[0][1]], [fields[1][1]])
    assert isinstance(context, Context)
    assert context.tracestate == TraceState((("rojo", "1"), ("congo", " 2")))
    assert traceparent.render(context) == fields


def test_a_context_of_another_format_is_rendered_as_version_00() -> None:
    context = Context(Format.TRACEPARENT, TRACE, SPAN, sampled=True)
    assert traceparent.render(context) == [("traceparent", f"00-{TRACE}-{SPAN}-01")]
