"""What holds for every input: nothing raises, valid values survive, and OpenTelemetry reads what we read."""

from __future__ import annotations

import time
from urllib.parse import unquote

import pytest
from format_strategies import ANY_TEXT, CANONICAL, TRACESTATES, Fields, damaged, header_lists, hex_ids
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage as otel_baggage
from opentelemetry import trace as otel
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from traceaudit.formats import (
    FORMAT_OF_HEADER,
    Context,
    Format,
    Malformed,
    TraceState,
    read,
    render,
    same_trace,
)

HEADER = st.sampled_from(sorted(FORMAT_OF_HEADER))


def assert_well_told(found: dict[Format, Context | Malformed]) -> None:
    for format_, result in found.items():
        assert result.format is format_
        faults = [result] if isinstance(result, Malformed) else [result.tracestate]
        for fault in faults:
            if isinstance(fault, Malformed):
                assert 0 <= fault.position <= len(fault.value)
                assert fault.header in FORMAT_OF_HEADER
                assert fault.clause.endswith(".")
                assert fault.reference.startswith("https://")


@given(HEADER, st.lists(ANY_TEXT, min_size=1, max_size=3))
def test_no_value_of_any_header_makes_its_parser_raise(header: str, values: list[str]) -> None:
    assert_well_told(read([("traceparent", "00"), *((header, value) for value in values)]))


@given(st.lists(st.tuples(st.one_of(HEADER, ANY_TEXT), ANY_TEXT), max_size=8))
def test_no_header_fields_make_read_raise(fields: Fields) -> None:
    assert_well_told(read(fields))


@given(st.one_of(damaged(), header_lists()))
def test_nearly_valid_header_fields_do_not_make_read_raise(fields: Fields) -> None:
    assert_well_told(read(fields))


@given(damaged())
def test_what_a_damaged_value_still_says_can_be_rendered_and_read_again(fields: Fields) -> None:
    for context in read(fields).values():
        if isinstance(context, Context) and not isinstance(context.tracestate, Malformed):
            again = read(render(context)).get(context.format)
            if context.tracestate == TraceState(()):
                # an empty list need not be sent
                assert isinstance(again, Context)
            else:
                assert again == context


@pytest.mark.parametrize("format_", Format)
@given(data=st.data())
def test_a_valid_value_is_rendered_as_it_was_read(format_: Format, data: st.DataObject) -> None:
    fields = data.draw(CANONICAL[format_.value])
    found = read(fields)
    assert list(found) == [format_]
    context = found[format_]
    assert isinstance(context, Context)
    assert render(context) == fields


@pytest.mark.parametrize("filler", [" ", "\t", "0", "-", "a", ";", "a=1,", "%3A", " 0"])
def test_a_long_value_takes_time_in_proportion_to_its_length(filler: str) -> None:
    """More than any server lets through; time in proportion to its square would be minutes."""
    long = filler * (200_000 // len(filler))
    started = time.process_time()
    for header in FORMAT_OF_HEADER:
        for value in (long, f"cc-{'1' * 32}-{'1' * 16}-01-{long}x", f"{long}\x00"):
            read([("traceparent", f"00-{'1' * 32}-{'1' * 16}-01"), (header, value)] if header == "tracestate"
                 else [(header, value)])  # fmt: skip
    assert time.process_time() - started < 20


# OpenTelemetry's propagators are the oracle for what is valid.

TRACECONTEXT, SINGLE, MULTI = TraceContextTextMapPropagator(), B3SingleFormat(), B3MultiFormat()
OF_FORMAT: dict[Format, TextMapPropagator] = {
    Format.TRACEPARENT: TRACECONTEXT,
    Format.B3: SINGLE,
    Format.B3MULTI: MULTI,
}


def otel_span(propagator: TextMapPropagator, fields: Fields) -> otel.SpanContext:
    carrier: dict[str, list[str]] = {}
    for name, value in fields:
        carrier.setdefault(name.lower(), []).append(value)
    return otel.get_current_span(propagator.extract(carrier)).get_span_context()


@st.composite
def span_contexts(draw: st.DrawFn) -> otel.SpanContext:
    return otel.SpanContext(
        trace_id=int(draw(hex_ids(32)), 16),
        span_id=int(draw(hex_ids(16)), 16),
        is_remote=True,
        trace_flags=otel.TraceFlags(draw(st.integers(0, 255))),
        trace_state=otel.TraceState.from_header([draw(TRACESTATES)]) if draw(st.booleans()) else None,
    )


@pytest.mark.parametrize("format_", OF_FORMAT)
@given(span=span_contexts())
def test_what_opentelemetry_renders_we_parse_alike_and_render_the_same(format_: Format, span: otel.SpanContext) -> None:
    carrier: dict[str, str] = {}
    OF_FORMAT[format_].inject(carrier, otel.set_span_in_context(otel.NonRecordingSpan(span)))
    context = read(list(carrier.items()))[format_]
    assert isinstance(context, Context)
    assert (context.trace_id, context.span_id) == (f"{span.trace_id:032x}", f"{span.span_id:016x}")
    assert context.sampled is bool(span.trace_flags & 1)
    assert context.debug is False
    if format_ is Format.TRACEPARENT:
        members = tuple(span.trace_state.items())
        assert (context.tracestate.members if isinstance(context.tracestate, TraceState) else ()) == members
    assert dict(render(context)) == carrier


@pytest.mark.parametrize("format_", OF_FORMAT)
@given(data=st.data())
def test_what_is_valid_to_us_and_names_a_trace_opentelemetry_extracts_alike(
    format_: Format, data: st.DataObject
) -> None:
    fields = data.draw(st.one_of(CANONICAL[format_.value], damaged(format_.value)))
    context = read(fields).get(format_)
    if not isinstance(context, Context) or context.trace_id is None:
        return
    # Header values reach OpenTelemetry as its server gives them: without outer whitespace.
    span = otel_span(OF_FORMAT[format_], [(name, value.strip(" \t")) for name, value in fields])
    assert span.is_valid
    assert same_trace(context.trace_id or "", f"{span.trace_id:032x}")
    assert context.span_id == f"{span.span_id:016x}"
    # OpenTelemetry has no deferred decision: single B3 counts it as sampled, the others as not.
    if context.sampled is not None:
        assert context.sampled is bool(span.trace_flags & 1)


@given(damaged("traceparent"))
def test_what_opentelemetry_takes_for_a_traceparent_is_one_to_us(fields: Fields) -> None:
    fields = [(name, value.strip(" \t")) for name, value in fields]
    span = otel_span(TRACECONTEXT, fields)
    # its pattern ends in `$`, which overlooks a line's end
    if not span.is_valid or "\n" in fields[0][1]:
        return
    context = read(fields)[Format.TRACEPARENT]
    assert isinstance(context, Context)
    assert (context.trace_id, context.span_id) == (f"{span.trace_id:032x}", f"{span.span_id:016x}")
    if span.trace_state:
        assert isinstance(context.tracestate, TraceState)
        assert dict(span.trace_state.items()) == dict(context.tracestate.members)


_TEXT = st.characters(codec="utf-8")


@given(st.dictionaries(st.text(_TEXT, min_size=1, max_size=10), st.text(_TEXT, max_size=20), min_size=1, max_size=8))
def test_baggage_that_opentelemetry_renders_we_parse_alike(entries: dict[str, str]) -> None:
    otel_context = None
    for key, value in entries.items():
        otel_context = otel_baggage.set_baggage(key, value, otel_context)
    carrier: dict[str, str] = {}
    W3CBaggagePropagator().inject(carrier, otel_context)
    context = read(list(carrier.items()))[Format.BAGGAGE]
    assert isinstance(context, Context)
    # it writes a space as "+", which is a plus sign to the specification
    decoded = {unquote(key.replace("+", " ")): unquote(value.replace("+", " ")) for key, value in context.extra}
    assert decoded == entries
    assert dict(render(context)) == carrier


@given(
    st.dictionaries(
        st.from_regex(r"[!#$&'*\-.^_`|~0-9A-Za-z]{1,8}", fullmatch=True),
        st.from_regex(r"[!#$&'()*\-./:<=>?@\[\]^_`{|}~0-9A-Za-z]{0,8}", fullmatch=True),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from([",", " , ", ",\t"]),
)
def test_valid_baggage_opentelemetry_extracts_alike(entries: dict[str, str], comma: str) -> None:
    """Without properties, which it takes for a part of the value, and without percent and plus signs."""
    value = comma.join(f"{key}={value}" for key, value in entries.items())
    context = read([("baggage", value)])[Format.BAGGAGE]
    assert isinstance(context, Context)
    extracted = otel_baggage.get_all(W3CBaggagePropagator().extract({"baggage": value}))
    assert dict(extracted) == dict(context.extra) == entries
