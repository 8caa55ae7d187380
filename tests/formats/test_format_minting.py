"""Minting: what a sidecar adds so that every wanted format is there and names one trace."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from format_strategies import header_lists
from hypothesis import given
from hypothesis import strategies as st

from traceaudit.formats import FORMAT_OF_HEADER, Context, Format, Malformed, read, same_trace
from traceaudit.formats.minting import ORIGINS, missing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SHORT = TRACE[16:]
SPAN = "00f067aa0ba902b7"
PARENT = "05e3ac9a4f6e3b90"
IDS = (Format.TRACEPARENT, Format.B3, Format.B3MULTI)
ALL = (*IDS, Format.REQUEST_ID)


def counting() -> Callable[[int], bytes]:
    """A source of octets that never repeats itself: 1, 2, 3, ..."""
    state = iter(range(1, 256))
    return lambda count: bytes(next(state) for _ in range(count))


def test_a_request_without_any_trace_gets_a_new_one_as_behind_a_gateway() -> None:
    trace_id, span_id, parent = "0102030405060708090a0b0c0d0e0f10", "1112131415161718", "191a1b1c1d1e1f20"
    assert missing([("host", "a")], ALL, counting()) == [
        ("traceparent", f"00-{trace_id}-{span_id}-01"),
        ("b3", f"{trace_id}-{span_id}-1-{parent}"),
        ("x-b3-traceid", trace_id),
        ("x-b3-spanid", span_id),
        ("x-b3-parentspanid", parent),
        ("x-b3-sampled", "1"),
        ("x-request-id", "21222324-2526-4728-a92a-2b2c2d2e2f30"),
    ]


@pytest.mark.parametrize(
    ("headers", "minted"),
    [
        ([("traceparent", f"00-{TRACE}-{SPAN}-00")],
         [("b3", f"{TRACE}-{SPAN}-0"), ("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-sampled", "0")]),
        ([("b3", f"{SHORT}-{SPAN}-d-{PARENT}")],
         [("traceparent", f"00-{SHORT:0>32}-{SPAN}-01"), ("x-b3-traceid", SHORT), ("x-b3-spanid", SPAN),
          ("x-b3-parentspanid", PARENT), ("x-b3-flags", "1")]),
        ([("X-B3-TraceId", SHORT), ("X-B3-SpanId", SPAN)],
         [("traceparent", f"00-{SHORT:0>32}-{SPAN}-01"), ("b3", f"{SHORT}-{SPAN}")]),
        ([("traceparent", f"00-{TRACE}-{SPAN}-01"), ("x-b3-traceid", SHORT), ("x-b3-spanid", SPAN)],
         [("b3", f"{TRACE}-{SPAN}-1")]),
        ([("uber-trace-id", f"{TRACE}:{SPAN}:{PARENT}:0"), ("b3", "0"), ("x-b3-sampled", "0")],
         [("traceparent", f"00-{TRACE}-{SPAN}-00")]),
        ([("x-datadog-trace-id", "1"), ("x-datadog-parent-id", "2"), ("x-b3-sampled", ""), ("b3", "")],
         [("traceparent", f"00-{1:032x}-{2:016x}-01")]),
        ([("x-cloud-trace-context", TRACE), ("x-b3-sampled", ""), ("b3", "")],
         [("traceparent", f"00-{TRACE}-0102030405060708-01")]),
    ],
)  # fmt: skip
def test_a_missing_format_is_derived_from_one_that_is_there(
    headers: list[tuple[str, str]], minted: list[tuple[str, str]]
) -> None:
    assert missing(headers, IDS, counting()) == minted


@pytest.mark.parametrize(("state", "flags"), [("0", "00"), ("1", "01"), ("d", "01")])
def test_a_decision_that_came_alone_holds_for_the_new_trace(state: str, flags: str) -> None:
    assert missing([("b3", state)], [Format.TRACEPARENT], counting()) == [
        ("traceparent", f"00-0102030405060708090a0b0c0d0e0f10-1112131415161718-{flags}")
    ]


def test_a_malformed_format_is_left_alone_and_derived_from_by_nobody() -> None:
    headers = [("traceparent", f"00-{TRACE}-{SPAN}"), ("b3", ""), ("x-request-id", "")]
    minted = missing(headers, ALL, counting())
    assert [name for name, _ in minted] == ["x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled"]
    assert TRACE not in dict(minted).values()


def test_only_what_is_wanted_and_what_a_sidecar_makes_is_minted() -> None:
    assert missing([], [], counting()) == []
    assert missing([], [Format.BAGGAGE, Format.SW8, Format.UBER], counting()) == []
    assert [name for name, _ in missing([], [Format.B3], counting())] == ["b3"]


def test_ids_are_never_all_zeros_even_when_the_random_bytes_are() -> None:
    assert all(isinstance(context, Context) for context in read(missing([], ALL, bytes)).values())


@given(header_lists(), st.sets(st.sampled_from(ALL)), st.randoms(use_true_random=False))
def test_afterwards_every_wanted_format_is_there_and_what_was_derived_names_one_trace(
    headers: list[tuple[str, str]], wanted: set[Format], random: object
) -> None:
    before = read(headers)
    minted = missing(headers, wanted, random.randbytes)  # type: ignore[attr-defined]  # hypothesis' type is private
    after = read([*headers, *minted])

    # untouched: every format that was there reads as it did, and no line of it was added
    assert {format_: after[format_] for format_ in before} == before
    added = {FORMAT_OF_HEADER[name] for name, _ in minted}
    assert added == wanted - set(before)
    assert not {name for name, _ in minted} & {name.lower() for name, _ in headers}

    minted_contexts = [after[format_] for format_ in added]
    assert not any(isinstance(context, Malformed) for context in minted_contexts)
    origins = [context for format_ in ORIGINS if isinstance(context := before.get(format_), Context)]
    origin = next((context for context in origins if context.trace_id), None)
    traces = [context for context in minted_contexts if isinstance(context, Context) and context.format in IDS]
    for context in traces:
        assert context.trace_id is not None
        assert same_trace(context.trace_id, (origin or traces[0]).trace_id or "")
        if origin and origin.span_id:
            assert context.span_id == origin.span_id
        if origin and origin.sampled is not None:
            assert context.sampled == origin.sampled
    if Format.REQUEST_ID in added:
        request_id = after[Format.REQUEST_ID]
        assert isinstance(request_id, Context)
        assert uuid.UUID(request_id.trace_id).version == 4
