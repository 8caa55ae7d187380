"""A call that goes on with what its request brought has the same verdict on the short way as on the long one."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import MS, START_NS, inbound, outbound, span_id, trace_headers
from traceaudit.audit import Audit, AuditSettings
from traceaudit.capture.replay import in_order, moments_of
from traceaudit.correlation import Activity, Identifiers, Inbound
from traceaudit.echo import echo_of
from traceaudit.exchange import Exchange, Header, Outcome
from traceaudit.formats import read
from traceaudit.outcomes import Contexts

TRACE, OTHER = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"
SPAN, OWN = "00f067aa0ba902b7", "b7ad6b7169203331"
FIELDS: list[Header] = [
    ("Traceparent", f"00-{TRACE}-{SPAN}-01"),
    ("traceparent", f"00-{OTHER}-{SPAN}-00"),
    ("traceparent", "00-garbage"),
    ("tracestate", "rojo=1,congo=2"),
    ("tracestate", "rojo=2"),
    ("tracestate", "=,"),
    ("b3", f"{TRACE}-{SPAN}-1"),
    ("b3", f"{TRACE[16:]}-{SPAN}-d"),
    ("b3", "0"),
    ("X-B3-TraceId", TRACE),
    ("X-B3-SpanId", SPAN),
    ("X-B3-ParentSpanId", TRACE[16:]),
    ("X-B3-Sampled", "1"),
    ("X-B3-Sampled", "0"),
    ("x-request-id", "0d4b2c1e-1f2a-4c3b-9d8e-7f6a5b4c3d2e"),
    ("x-request-id", "another"),
    ("baggage", "user=1"),
    ("baggage", "user=2"),
    ("uber-trace-id", f"{TRACE}:{SPAN}:0:1"),
    ("x-ot-span-context", f"{TRACE};{SPAN};0;cs"),
    ("sw8", "garbage"),
    ("Accept", "*/*"),
]
_SPANS = re.compile("|".join([SPAN, *map(span_id, range(1, 4))]))
HEADERS = st.lists(st.sampled_from(FIELDS), max_size=5, unique=True) | st.integers(1, 3).map(trace_headers)
REQUESTS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([1, 4, 400]), HEADERS), min_size=1, max_size=4)
SENT = st.tuples(st.integers(0, 3), st.sampled_from(["", "", "tra b3 x-b", "tra", "x-b"]), st.none() | HEADERS)
CALLS = st.lists(st.tuples(st.integers(0, 500), SENT | HEADERS, st.sampled_from(["a", "b"])), max_size=6)


class _Shortsighted(Identifiers):
    """Sees nothing at first sight."""

    def sole(self, sent: Contexts) -> Inbound | None:  # noqa: ARG002  (it does not look)
        return None


def continued(headers: list[Header], spans: str) -> list[Header]:
    """The same with span ids of its own in the formats that are named by their first letters."""
    return [(name, _SPANS.sub(OWN, value) if name.lower()[:3] in spans else value) for name, value in headers]


def audited(exchanges: list[Exchange], *, short: bool, infer: bool) -> tuple[list[object], object]:
    """The verdicts, and what was learned."""
    audit = Audit(AuditSettings(infer=infer))
    if not short:
        audit._identifiers = _Shortsighted()
    verdicts: list[object] = []
    for each, begins in moments_of(exchanges):
        if begins:
            said = audit.begin(each)
            verdicts.append(said and (said.outbound_id, said.links, said.outcomes, said.edge, said.accusations))
        else:
            audit.end(each)
    audit.settle(START_NS + 60_000 * MS)
    learned = (audit.linked, audit._copied, audit._continued, audit._activity._caused, audit.findings.edges)
    counted = audit._activity.uncaused
    return verdicts, (learned, counted._identified, counted._calls, [*audit.findings])


def going_on(
    requests: list[tuple[int, int, list[Header]]], which: int, spans: str, others: list[Header] | None
) -> list[Header]:
    """What a call sends that goes on with a request; ``others`` are in place of its headers of the same names."""
    replaced = {name.lower() for name, _ in others or ()}
    kept = [each for each in requests[which % len(requests)][2] if each[0].lower() not in replaced]
    return continued([*kept, *(others or ())], spans)


@given(REQUESTS, CALLS, st.booleans())
def test_the_short_way_comes_to_what_the_long_way_comes_to(
    requests: list[tuple[int, int, list[Header]]],
    calls: list[tuple[int, list[Header] | tuple[int, str, list[Header] | None], str]],
    infer: bool,
) -> None:
    """Most calls send what one of the requests brought, which others may have brought, too, or go on with it."""
    exchanges = [inbound(f"i{n}", at, took, headers=headers) for n, (at, took, headers) in enumerate(requests)]
    for number, (at, sent, path) in enumerate(calls):
        headers = sent if isinstance(sent, list) else going_on(requests, *sent)
        exchanges.append(outbound(f"o{number}", at, request=f"GET /{path}", headers=list(headers)))
    exchanges = in_order(exchanges)
    assert audited(exchanges, short=True, infer=infer) == audited(exchanges, short=False, infer=infer)


MULTI: list[Header] = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-sampled", "1")]
PARENT: Header = ("x-b3-parentspanid", TRACE[16:])
W3C: Header = ("traceparent", f"00-{TRACE}-{SPAN}-01")


@pytest.mark.parametrize(
    ("brought", "sent"),
    [
        ([W3C], [("traceparent", f"00-{TRACE}-{SPAN}-00")]),
        ([W3C], [("traceparent", f"00-{TRACE}-{OWN}-00")]),
        ([W3C], [("traceparent", f"00-{OTHER}-{SPAN}-01")]),
        ([W3C], [W3C, ("tracestate", "rojo=1")]),
        ([W3C, ("tracestate", "rojo=1")], [W3C]),
        ([W3C, ("tracestate", "rojo=1")], [W3C, ("tracestate", "rojo=2")]),
        ([W3C, ("tracestate", "rojo=1")], [W3C, ("tracestate", "=,")]),
        ([W3C, ("tracestate", "=,")], [W3C, ("tracestate", "=,")]),
        ([W3C, ("baggage", "user=1")], [W3C, ("baggage", "user=2")]),
        ([W3C, ("x-request-id", "a")], [W3C, ("x-request-id", "b")]),
        ([("b3", f"{TRACE}-{SPAN}-d")], [("b3", f"{TRACE}-{SPAN}-1")]),
        ([("b3", f"{TRACE}-{SPAN}-d")], [("b3", f"{TRACE}-{OWN}-1")]),
        ([("b3", f"{TRACE}-{SPAN}-1")], [("b3", f"{TRACE}-{SPAN}-0")]),
        ([("b3", f"{TRACE}-{SPAN}-1")], [("b3", f"{TRACE[16:]}-{SPAN}-1")]),
        ([("b3", "0")], [("b3", "1")]),
        ([*MULTI, PARENT], MULTI),
        (MULTI, [*MULTI, PARENT]),
        ([*MULTI, PARENT], [*MULTI[:1], ("x-b3-spanid", OWN), *MULTI[2:]]),
        ([W3C, *MULTI], [("traceparent", f"00-{TRACE}-{OWN}-01"), *MULTI]),
        ([W3C, *MULTI], [W3C, ("x-b3-traceid", OTHER), *MULTI[1:]]),
        ([W3C, ("b3", f"{OTHER}-{SPAN}-1")], [W3C, ("b3", f"{OTHER}-{SPAN}-1")]),
    ],
)
def test_what_differs_in_one_thing_comes_to_the_same_on_either_way(brought: list[Header], sent: list[Header]) -> None:
    exchanges = [inbound("i1", headers=brought), outbound("o1", 1, headers=sent)]
    assert audited(exchanges, short=True, infer=False) == audited(exchanges, short=False, infer=False)


def test_what_an_export_of_a_copying_service_holds_goes_the_short_way() -> None:
    """Whatever the case and order of the names."""
    identifiers, activity = Identifiers(), Activity(250 * MS)
    request = Inbound(inbound("i1", headers=trace_headers(1)), read(trace_headers(1)), "GET /")
    identifiers.add(request)
    echo = echo_of(read([(name.title(), value) for name, value in reversed(trace_headers(1))]), identifiers, activity)
    assert echo is not None
    assert echo.inbound is request
    identifiers.add(dataclasses.replace(request, exchange=inbound("i2")))
    assert echo_of(read(trace_headers(1)), identifiers, activity) is None


def test_a_call_with_span_ids_of_its_own_goes_the_short_way_too_and_one_that_lost_something_does_not() -> None:
    identifiers, activity = Identifiers(), Activity(250 * MS)
    brought: list[Header] = [("traceparent", f"00-{TRACE}-{SPAN}-01"), ("b3", f"{TRACE}-{SPAN}-1")]
    identifiers.add(Inbound(inbound("i1", headers=brought), read(brought), "GET /"))
    echo = echo_of(read(continued(brought, "tra b3")), identifiers, activity)
    assert echo is not None
    assert [each.outcome for each in echo.alike.judgements] == [
        Outcome.CONTINUED,
        Outcome.CONTINUED,
    ]
    assert echo.copied is False
    assert echo_of(read(brought[:1]), identifiers, activity) is None
    assert echo_of(read([brought[0], ("b3", f"{TRACE}-{OWN}-0")]), identifiers, activity) is None
