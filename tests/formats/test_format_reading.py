"""Reading a request's header fields: names in any case, lines in order, formats by themselves."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from traceaudit.formats import (
    FORMAT_OF_HEADER,
    HEADER_NAMES,
    Context,
    Fault,
    Format,
    Malformed,
    TraceState,
    read,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


def test_every_format_has_its_header_names_and_every_name_its_format() -> None:
    assert list(HEADER_NAMES) == list(Format)
    assert {name for names in HEADER_NAMES.values() for name in names} == set(FORMAT_OF_HEADER)
    assert all(name == name.lower() and name in HEADER_NAMES[FORMAT_OF_HEADER[name]] for name in FORMAT_OF_HEADER)
    assert HEADER_NAMES[Format.TRACEPARENT] == ("traceparent", "tracestate")


def test_a_request_without_trace_headers_has_no_format() -> None:
    assert read([]) == {}
    assert read([("Host", "inventory"), ("X-B3", "1"), ("trace-parent", TRACEPARENT)]) == {}


def test_every_format_is_read_in_one_pass_whatever_the_case_of_its_names() -> None:
    found = read(
        [
            ("TRACEPARENT", TRACEPARENT),
            ("B3", "0"),
            ("X-B3-TraceId", TRACE),
            ("x-B3-spanID", SPAN),
            ("X-Request-ID", "r1"),
            ("Baggage", "a=1"),
            ("Uber-Trace-Id", "1:2:0:1"),
            ("X-Datadog-Trace-Id", "1"),
            ("X-Datadog-Parent-Id", "2"),
            ("X-Cloud-Trace-Context", f"{TRACE}/1;o=1"),
            ("Grpc-Trace-Bin", "AAAAAAAAAAAAAAAAAAAAAAAB"),
            ("X-Ot-Span-Context", "opaque"),
            ("SW8", "no"),
            ("X-Amzn-Trace-Id", f"Root=1-{TRACE[:8]}-{TRACE[8:]}"),
        ]
    )
    assert set(found) == set(Format)
    assert all(context.format is format_ for format_, context in found.items())


def test_a_tracestate_without_a_traceparent_is_discarded() -> None:
    assert read([("tracestate", "foo=1")]) == {}


def test_tracestate_lines_are_combined_in_order_wherever_they_stand() -> None:
    found = read([("TraceState", "a=1"), ("traceparent", TRACEPARENT), ("x", "y"), ("tracestate", "b=2")])
    context = found[Format.TRACEPARENT]
    assert isinstance(context, Context)
    assert context.tracestate == TraceState((("a", "1"), ("b", "2")))


def test_baggage_lines_are_combined_in_order() -> None:
    found = read([("baggage", "a=1"), ("x", "y"), ("Baggage", "b=2")])
    assert found == {Format.BAGGAGE: Context(Format.BAGGAGE, None, extra=(("a", "1"), ("b", "2")))}


@pytest.mark.parametrize("header", [name for name in FORMAT_OF_HEADER if name not in {"tracestate", "baggage"}])
def test_a_header_that_is_sent_twice_is_a_duplicate_in_whatever_case(header: str) -> None:
    fault = read([(header, "1"), ("host", "a"), (header.title(), "1")])[FORMAT_OF_HEADER[header]]
    assert isinstance(fault, Malformed)
    assert (fault.header, fault.value, fault.position, fault.fault) == (header, "1,1", 2, Fault.DUPLICATED)


@pytest.mark.parametrize("header", [name for name in FORMAT_OF_HEADER if name != "tracestate"])
def test_a_header_without_a_value_is_empty(header: str) -> None:
    fault = read([(header, " \t")])[FORMAT_OF_HEADER[header]]
    assert isinstance(fault, Malformed)
    assert (fault.header, fault.fault) == (header, Fault.EMPTY)


def test_one_malformed_format_leaves_the_others_as_they_are() -> None:
    found = read([("traceparent", "nonsense"), ("b3", "0")])
    assert isinstance(found[Format.TRACEPARENT], Malformed)
    assert found[Format.B3] == Context(Format.B3, None, sampled=False)


def test_a_context_is_a_frozen_record_that_can_be_replaced_and_compared() -> None:
    context = Context(Format.B3, TRACE, SPAN, sampled=True)
    assert context == Context(format=Format.B3, trace_id=TRACE, span_id=SPAN, sampled=True)
    assert hash(context) == hash(dataclasses.replace(context))
    assert dataclasses.replace(context, span_id=None) == Context(Format.B3, TRACE, sampled=True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        context.span_id = None  # type: ignore[misc]  # that it cannot be set is the point


def test_the_formats_import_nothing_else_of_traceaudit() -> None:
    script = (
        "import sys, traceaudit.formats, traceaudit.formats.minting\n"
        "print([name for name in sys.modules if name.startswith('traceaudit.')"
        " and not name.startswith('traceaudit.formats')])"
    )
    completed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "[]"
