"""A call that carries what its request brought has the same verdict on the short way as on the long one."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import MS, START_NS, inbound, outbound, trace_headers
from traceaudit import formats
from traceaudit.audit import Audit, AuditSettings, Verdict
from traceaudit.capture.replay import in_order, moments_of
from traceaudit.correlation import Activity, Identifiers, Inbound
from traceaudit.echo import echo_of
from traceaudit.exchange import Exchange, Header
from traceaudit.formats import read

TRACE, OTHER = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"
SPAN = "00f067aa0ba902b7"
FIELDS: list[Header] = [
    ("Traceparent", f"00-{TRACE}-{SPAN}-01"),
    ("traceparent", f"00-{OTHER}-{SPAN}-00"),
    ("traceparent", "00-garbage"),
    ("tracestate", "rojo=1,congo=2"),
    ("tracestate", "=,"),
    ("b3", f"{TRACE}-{SPAN}-1"),
    ("b3", f"{TRACE[16:]}-{SPAN}-d"),
    ("b3", "0"),
    ("X-B3-TraceId", TRACE),
    ("X-B3-SpanId", SPAN),
    ("X-B3-Sampled", "1"),
    ("x-request-id", "0d4b2c1e-1f2a-4c3b-9d8e-7f6a5b4c3d2e"),
    ("x-request-id", "another"),
    ("baggage", "user=1"),
    ("uber-trace-id", f"{TRACE}:{SPAN}:0:1"),
    ("x-ot-span-context", f"{TRACE};{SPAN};0;cs"),
    ("sw8", "garbage"),
    ("Accept", "*/*"),
]
HEADERS = st.lists(st.sampled_from(FIELDS), max_size=5, unique=True) | st.integers(1, 3).map(trace_headers)
REQUESTS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([1, 4, 400]), HEADERS), min_size=1, max_size=4)
CALLS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 3) | HEADERS, st.sampled_from(["a", "b"])), max_size=6)


def audited(exchanges: list[Exchange], *, short: bool, infer: bool) -> tuple[list[Verdict | None], object]:
    """The verdicts, and what was learned. On the long way nothing that was read is known again."""
    audit = Audit(AuditSettings(infer=infer))
    verdicts: list[Verdict | None] = []
    for each, begins in moments_of(exchanges):
        if not short:
            formats._kept.cache_clear()
        if begins:
            verdicts.append(audit.begin(each))
        else:
            audit.end(each)
    audit.settle(START_NS + 60_000 * MS)
    learned = (audit.linked, audit._copied, audit._continued, audit._activity._caused, audit.findings.edges)
    counted = audit._activity.uncaused
    return verdicts, (learned, counted._identified, counted._calls, [*audit.findings])


@given(REQUESTS, CALLS, st.booleans())
def test_the_short_way_comes_to_what_the_long_way_comes_to(
    requests: list[tuple[int, int, list[Header]]], calls: list[tuple[int, int | list[Header], str]], infer: bool
) -> None:
    """Most calls send what one of the requests brought, which others may have brought, too."""
    exchanges = [inbound(f"i{n}", at, took, headers=headers) for n, (at, took, headers) in enumerate(requests)]
    for number, (at, sent, path) in enumerate(calls):
        headers = sent if isinstance(sent, list) else requests[sent % len(requests)][2]
        exchanges.append(outbound(f"o{number}", at, request=f"GET /{path}", headers=list(headers)))
    exchanges = in_order(exchanges)
    assert audited(exchanges, short=True, infer=infer) == audited(exchanges, short=False, infer=infer)


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
