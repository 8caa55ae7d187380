"""What Envoy's tracers make of a call, case by case, as its sources and its own tests have it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from traceaudit.envoy import Result, Tracer, Verdict, verdicts
from traceaudit.exchange import Header
from traceaudit.formats import read

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OTHER = "0af7651916cd43dd8448eb211c80319c"
SPAN = "00f067aa0ba902b7"

W3C = ("traceparent", f"00-{TRACE}-{SPAN}-01")
B3 = ("b3", f"{TRACE}-{SPAN}-1")
MULTI = [("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN), ("X-B3-Sampled", "1")]
DATADOG = [
    ("x-datadog-trace-id", str(int(TRACE[16:], 16))),
    ("x-datadog-parent-id", str(int(SPAN, 16))),
    ("x-datadog-sampling-priority", "1"),
]
SW8 = ("sw8", "1-VFJBQ0U=-U0VHTUVOVA==-3-U0VSVklDRQ==-SU5TVEFOQ0U=-RU5EUE9JTlQ=-QUREUkVTUw==")
UUID = ("x-request-id", "0b52b7f7-8a2d-4c1b-9c0e-3f2f1b7d6a55")
NOT_HEX = ("x-request-id", "web-1/Kx82ls-000017")
ALL = [W3C, B3, *MULTI, *DATADOG, SW8, UUID]

JOINED, RESTARTED, LOST = Result.JOINED, Result.RESTARTED, Result.LOST
UNSAMPLED, UNTESTED = Result.UNSAMPLED, Result.UNTESTED
Z, ZW, OT, DD, SW = Tracer


def results(carried: Sequence[Header], sent: Sequence[Header]) -> dict[Tracer, Result]:
    found = verdicts(read(list(carried)), read(list(sent)), list(sent))
    return {verdict.tracer: verdict.result for verdict in found}


def verdict(tracer: Tracer, carried: Sequence[Header], sent: Sequence[Header]) -> Verdict:
    return next(
        found for found in verdicts(read(list(carried)), read(list(sent)), list(sent)) if found.tracer is tracer
    )


@pytest.mark.parametrize(
    ("name", "carried", "sent", "expected"),
    [
        ("everything is copied", ALL, ALL, [JOINED, JOINED, JOINED, JOINED, JOINED]),
        ("nothing is", ALL, [], [RESTARTED, RESTARTED, RESTARTED, RESTARTED, RESTARTED]),
        ("nothing came", [], [], [UNTESTED, UNTESTED, UNTESTED, UNTESTED, UNTESTED]),
        ("W3C only", ALL, [W3C, UUID], [RESTARTED, JOINED, JOINED, JOINED, RESTARTED]),
        ("single B3 only", ALL, [B3, UUID], [JOINED, JOINED, RESTARTED, RESTARTED, RESTARTED]),
        ("multi B3 only", ALL, [*MULTI, UUID], [JOINED, JOINED, RESTARTED, RESTARTED, RESTARTED]),
        ("the request brought W3C alone", [W3C], [W3C], [UNTESTED, JOINED, JOINED, JOINED, UNTESTED]),
        (
            "a new trace in both families",
            [W3C, B3],
            [("traceparent", f"00-{OTHER}-{SPAN}-01"), ("b3", f"{OTHER}-{SPAN}-1")],
            [RESTARTED, RESTARTED, RESTARTED, RESTARTED, UNTESTED],
        ),
        (
            "families that disagree: each tracer believes its own",
            [W3C, B3],
            [("traceparent", f"00-{OTHER}-{SPAN}-01"), B3],
            [JOINED, JOINED, RESTARTED, RESTARTED, UNTESTED],
        ),
        (
            "not sampled",
            [W3C, B3],
            [("traceparent", f"00-{TRACE}-{SPAN}-00"), ("b3", f"{TRACE}-{SPAN}-0")],
            [UNSAMPLED, UNSAMPLED, UNSAMPLED, UNSAMPLED, UNTESTED],
        ),
        (
            "a broken single B3 wins over a good set",
            [B3, *MULTI],
            [("b3", "x"), *MULTI],
            [LOST, LOST, UNTESTED, UNTESTED, UNTESTED],
        ),
        (
            "a broken traceparent",
            [W3C, B3],
            [("traceparent", f"00-{TRACE}-{SPAN}-1")],
            [RESTARTED, RESTARTED, LOST, RESTARTED, UNTESTED],
        ),
        ("an empty traceparent", [W3C], [("traceparent", "")], [UNTESTED, RESTARTED, LOST, RESTARTED, UNTESTED]),
        (
            "an upper-case traceparent is read all the same",
            [W3C],
            [("traceparent", W3C[1].upper())],
            [UNTESTED, JOINED, JOINED, JOINED, UNTESTED],
        ),
        (
            "version ff passes in Envoy and not in Datadog's library",
            [W3C],
            [("traceparent", f"ff-{TRACE}-{SPAN}-01")],
            [UNTESTED, JOINED, JOINED, RESTARTED, UNTESTED],
        ),
        (
            "a longer later version is valid, and refused",
            [W3C],
            [("traceparent", f"01-{TRACE}-{SPAN}-01-more")],
            [UNTESTED, RESTARTED, LOST, JOINED, UNTESTED],
        ),
        (
            "ids of zeros",
            [W3C],
            [("traceparent", f"00-{'0' * 32}-{SPAN}-01")],
            [UNTESTED, RESTARTED, LOST, RESTARTED, UNTESTED],
        ),
        (
            "the first of two traceparents decides",
            [W3C],
            [W3C, ("traceparent", f"00-{OTHER}-{SPAN}-01")],
            [UNTESTED, JOINED, JOINED, JOINED, UNTESTED],
        ),
        (
            "a broken x-datadog-* is an error even beside a traceparent",
            [W3C, *DATADOG],
            [W3C, ("x-datadog-trace-id", ""), *DATADOG[1:]],
            [UNTESTED, JOINED, JOINED, RESTARTED, UNTESTED],
        ),
        (
            "the first of two of each decides",
            [SW8, *DATADOG],
            [SW8, SW8, *DATADOG, *DATADOG],
            [UNTESTED, UNTESTED, UNTESTED, JOINED, JOINED],
        ),
        ("a broken sw8", [SW8], [("sw8", "1-2-3")], [UNTESTED, UNTESTED, UNTESTED, UNTESTED, RESTARTED]),
        ("a state alone", [B3], [("b3", "0")], [UNSAMPLED, UNSAMPLED, UNTESTED, UNTESTED, UNTESTED]),
        ("a state that says yes", [B3], [("b3", "1")], [RESTARTED, RESTARTED, UNTESTED, UNTESTED, UNTESTED]),
        (
            "a state in b3 hides the traceparent from Zipkin with W3C",
            [B3, W3C],
            [("b3", "1"), W3C],
            [RESTARTED, RESTARTED, JOINED, JOINED, UNTESTED],
        ),
        (
            "a state in x-b3-sampled does not",
            [*MULTI, W3C],
            [MULTI[2], W3C],
            [RESTARTED, JOINED, JOINED, JOINED, UNTESTED],
        ),
        (
            "half of the trace id",
            [B3],
            [("b3", f"{TRACE[16:]}-{SPAN}-1")],
            [JOINED, JOINED, UNTESTED, UNTESTED, UNTESTED],
        ),
        (
            "half of the trace id in traceparent is another trace",
            [W3C],
            [("traceparent", f"00-{'0' * 16}{TRACE[16:]}-{SPAN}-01")],
            [UNTESTED, RESTARTED, RESTARTED, RESTARTED, UNTESTED],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_tracer_reads_a_call_in_its_own_way(
    name: str, carried: Sequence[Header], sent: Sequence[Header], expected: list[Result]
) -> None:
    assert results(carried, sent) == dict(zip(Tracer, expected, strict=True))


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([MULTI[0], MULTI[1]], JOINED),
        ([MULTI[0]], RESTARTED),
        ([*MULTI, ("x-b3-parentspanid", "")], JOINED),
        ([*MULTI, ("x-b3-parentspanid", "-")], LOST),
        ([MULTI[0], MULTI[1], ("x-b3-sampled", "true")], JOINED),
        ([MULTI[0], MULTI[1], ("x-b3-sampled", "")], UNSAMPLED),
        ([MULTI[0], ("x-b3-spanid", SPAN.lstrip("0"))], JOINED),
        ([("x-b3-traceid", TRACE.upper()), MULTI[1]], JOINED),
        ([("x-b3-traceid", f"{TRACE[:8]}-{TRACE[8:]}"), MULTI[1]], LOST),
        ([("x-b3-traceid", ""), MULTI[1]], LOST),
    ],
)
def test_zipkin_reads_ids_as_numbers_and_only_some_of_the_headers(sent: list[Header], expected: Result) -> None:
    assert verdict(Z, MULTI, sent).result is expected


def test_without_the_header_lines_a_malformed_set_counts_as_unreadable() -> None:
    sent = read([*MULTI, ("x-b3-parentspanid", "-")])
    assert next(found for found in verdicts(read(MULTI), sent) if found.tracer is Z).result is LOST


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([("b3", f"{TRACE}-{SPAN}"), UUID], JOINED),
        ([("b3", f"{TRACE}-{SPAN}"), NOT_HEX], UNSAMPLED),
        ([B3, NOT_HEX], JOINED),
        ([NOT_HEX], UNSAMPLED),
        ([UUID], RESTARTED),
        ([("x-request-id", "0123456789")], RESTARTED),
        ([("x-request-id", "0123")], UNSAMPLED),
    ],
)
def test_an_open_decision_is_made_from_the_request_id(sent: list[Header], expected: Result) -> None:
    assert verdict(Z, [B3, UUID], sent).result is expected


def test_opentelemetry_obeys_a_no_that_comes_from_the_request_id() -> None:
    found = verdict(OT, [W3C, UUID], [W3C, NOT_HEX])
    assert found.result is UNSAMPLED
    assert "envoyproxy/envoy#45830" in found.reason


def test_skywalking_does_not_read_the_sampling_field() -> None:
    assert verdict(SW, [SW8], [("sw8", f"0{SW8[1][1:]}")]).result is JOINED


def test_every_verdict_gives_its_reason_in_one_sentence() -> None:
    for sent in ([], ALL, [("b3", "x")], [W3C, NOT_HEX]):
        for found in verdicts(read(ALL), read(sent), sent):
            assert found.reason
            assert "\n" not in found.reason


def test_verdicts_come_in_the_order_of_the_tracers() -> None:
    assert [found.tracer for found in verdicts({}, {})] == list(Tracer)
