"""How numbers, times, edges and verdicts read, and how headers are paired: tables."""

from __future__ import annotations

import pytest

from traceaudit.reports.comparison import State, all_pairs, differing, format_of
from traceaudit.store.reader import HeaderRow
from traceaudit_tui.compare import concerns
from traceaudit_tui.rows import Counts, Edge, Finding, Run, Summary
from traceaudit_tui.signs import (
    CONFIDENCES,
    OUTCOMES,
    SEVERITIES,
    clock,
    day_and_clock,
    duration,
    edge_text,
    gravest,
    percent,
    probability_text,
    short_authority,
    short_count,
    sparkline,
)
from traceaudit_tui.verdict import tallies, verdict

MS = 1_000_000


@pytest.mark.parametrize(
    ("ns", "expected"),
    [
        (0, "0.0 ms"),
        (48 * MS, "48.0 ms"),
        (999 * MS, "999 ms"),
        (1_200 * MS, "1.20 s"),
        (192_000 * MS, "3 m 12 s"),
        (3_600_000 * MS * 25, "25 h 00 m"),
        (None, "…"),
    ],
)
def test_durations(ns: int | None, expected: str) -> None:
    assert expected == duration(ns)


def test_times_are_utc_whatever_the_machine_thinks() -> None:
    assert clock(1_772_445_600_254_000_000) == "10:00:00.254"
    assert day_and_clock(1_772_445_600_254_000_000) == "2026-03-02 10:00:00 UTC"
    assert clock(1) == "00:00:00.000"
    assert clock(-1) == "23:59:59.999"
    assert clock(2**63 - 1).startswith("23:47:16")
    assert clock(None) == ""


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0"), (999, "999"), (1_204, "1.2k"), (9_960, "9k"), (12_040, "12k"), (3_400_000, "3.4M"), (10**10, "10G")],
)
def test_short_counts_take_five_cells_at_most(number: int, expected: str) -> None:
    assert expected == short_count(number)
    assert len(expected) <= 5


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(0, 10, "0%"), (10, 10, "100%"), (1, 100_000, "1%"), (99_999, 100_000, "99%"), (1, 3, "33%"), (0, 0, "0%")],
)
def test_a_share_is_nothing_or_all_only_when_it_is(part: int, whole: int, expected: str) -> None:
    assert expected == percent(part, whole)


@pytest.mark.parametrize(
    ("probability", "expected"), [(1.0, "1"), (0.99999, "0.9999"), (0.81, "0.81"), (0.0, "0"), (0.9996, "0.9996")]
)
def test_a_probability_is_1_only_when_it_is(probability: float, expected: str) -> None:
    assert expected == probability_text(probability)


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        ("inventory.default.svc:80", "inventory"),
        ("inventory.default.svc.cluster.local:8080", "inventory:8080"),
        ("inventory", "inventory"),
        ("api.example.com:443", "api.example.com"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("10.1.2.3:8080", "10.1.2.3:8080"),
        ("[::1]:9090", "[::1]:9090"),
        ("localhost:7001", "localhost:7001"),
    ],
)
def test_an_upstream_is_called_by_its_name(authority: str, expected: str) -> None:
    assert expected in (short_authority(authority), short_authority(authority).removesuffix(":80"))


def test_an_edge_reads_from_left_to_right() -> None:
    edge = Edge(1, "GET /checkout", "inventory.default.svc:80", "GET /stock/{id}")
    assert edge_text(edge) == "GET /checkout → inventory GET /stock/{id}"
    assert edge_text(None) == "no call: coverage"


def test_no_two_signs_of_a_kind_are_the_same() -> None:
    for signs in (SEVERITIES, CONFIDENCES, OUTCOMES):
        assert len(signs) == len({sign.sign for sign in signs.values()})
        assert all(len(sign.sign) == 1 for sign in signs.values())


def test_what_matters_most_stands_for_a_mixed_cell() -> None:
    assert gravest(["forwarded", "dropped", "leaked"]) == "leaked"
    assert gravest(["forwarded", "absent", "continued"]) == "continued"
    assert gravest(["leaked", "evaporated"]) == "evaporated"


def test_a_sparkline_shows_what_happened_once() -> None:
    assert sparkline([0, 1, 1000]) == " ▁█"
    assert sparkline([]) == ""


# --- verdicts --------------------------------------------------------------------------------------------------------

RUN = Run(1, "shop", 0, None)


def a_finding(severity: str, confidence: str = "proven") -> Finding:
    return Finding(
        id=1, code="TP001", slug="traceparent-dropped", severity=severity, confidence=confidence, probability=1.0,
        header="traceparent", message="", expected="", observed="", occurrences=1, first_ns=0, last_ns=0, location="",
        function="", inbound_id=None, outbound_id=None, edge=None,
    )  # fmt: skip


VERDICTS = [
    ("no run at all", Summary(), "empty", "empty: nothing has come through the proxy yet"),
    ("a run, nothing seen", Summary(RUN), "empty", "empty: nothing has come through the proxy yet"),
    (
        "requests without calls",
        Summary(RUN, 1, Counts(inbound=1)),
        "inconclusive",
        "inconclusive: 1 request, but no outbound call was seen",
    ),
    (
        "calls without links",
        Summary(RUN, 1, Counts(inbound=5, outbound=7)),
        "inconclusive",
        "inconclusive: 7 calls, none surely linked to a request",
    ),
    (
        "only ambiguous links",
        Summary(RUN, 1, Counts(inbound=5, outbound=7, ambiguous=7)),
        "inconclusive",
        "inconclusive: 7 calls, none surely linked to a request",
    ),
    (
        "only uncaused calls",
        Summary(RUN, 1, Counts(inbound=5, outbound=7, uncaused=7)),
        "inconclusive",
        "inconclusive: 7 calls, none surely linked to a request",
    ),
    (
        "some calls undecided",
        Summary(RUN, 1, Counts(inbound=5, outbound=7, proven=3, uncaused=1)),
        "partly clean",
        "nothing found in 3 of 7 calls; 3 not surely linked",
    ),
    (
        "all linked",
        Summary(RUN, 1, Counts(inbound=5, outbound=7, proven=5, probable=1, uncaused=1)),
        "clean",
        "clean: nothing found in 6 linked calls",
    ),
    (
        "notes do not make it conclusive",
        Summary(RUN, 1, Counts(inbound=5), (a_finding("note"),)),
        "inconclusive",
        "inconclusive: 5 requests, but no outbound call was seen (1 note)",
    ),
    (
        "ambiguous findings accuse nobody",
        Summary(RUN, 1, Counts(inbound=5, outbound=7, proven=7), (a_finding("error", "ambiguous"),)),
        "notes",
        "1 ambiguous",
    ),
    (
        "warnings",
        Summary(RUN, 1, Counts(inbound=5, outbound=7, proven=7), (a_finding("warning"), a_finding("note"))),
        "warnings",
        "1 warning, 1 note",
    ),
    (
        "errors",
        Summary(RUN, 1, Counts(inbound=5, outbound=7, proven=7), (a_finding("error"), a_finding("error"))),
        "errors",
        "2 errors",
    ),
]


@pytest.mark.parametrize(
    ("summary", "word", "sentence"), [case[1:] for case in VERDICTS], ids=[case[0] for case in VERDICTS]
)
def test_silence_never_looks_like_all_is_well(summary: Summary, word: str, sentence: str) -> None:
    assert (word, sentence) == (verdict(summary).word, verdict(summary).sentence)
    assert (verdict(summary).sign == "✓") == (word == "clean")


def test_what_was_seen_is_told_in_three_lengths() -> None:
    counts = Counts(inbound=45, outbound=60, proven=54, ambiguous=3, uncaused=2)
    assert ["".join(part for part, _ in parts) for parts in tallies(Summary(RUN, 1, counts))] == [
        "45 requests, 60 calls: 54 proven, 3 ambiguous, 2 uncaused, 1 undecided",
        "45 requests, 60 calls, 57 linked",
        "45 requests, 60 calls",
    ]


# --- headers ---------------------------------------------------------------------------------------------------------


def test_trace_headers_come_first_and_pair_whatever_their_case() -> None:
    left = [HeaderRow("Host", "a"), HeaderRow("traceparent", "00-1"), HeaderRow("B3", "0")]
    right = [
        HeaderRow("b3", "1"),
        HeaderRow("Accept", "x"),
        HeaderRow("Traceparent", "00-1"),
        HeaderRow("host", "b"),
    ]
    assert [(p.carried and p.carried.name, p.sent and p.sent.name, p.state) for p in all_pairs(left, right)] == [
        ("traceparent", "Traceparent", State.SAME),
        ("B3", "b3", State.CHANGED),
        ("Host", "host", State.CHANGED),
        (None, "Accept", State.ADDED),
    ]


def test_a_duplicated_header_pairs_with_its_twin_and_the_rest_is_added() -> None:
    left = [HeaderRow("traceparent", "1")]
    right = [HeaderRow("traceparent", "1"), HeaderRow("traceparent", "2")]
    assert [p.state for p in all_pairs(left, right)] == [State.SAME, State.ADDED]
    assert [p.state for p in all_pairs(right, left)] == [State.SAME, State.DROPPED]


def test_equal_headers_that_stand_twice_are_not_mixed_up() -> None:
    line = HeaderRow("x", "1")
    assert [p.state for p in all_pairs([line, line], [line, line])] == [State.SAME, State.SAME]
    assert [p.state for p in all_pairs([line], [line, line])] == [State.SAME, State.ADDED]


@pytest.mark.parametrize(
    ("value", "other", "expected"),
    [
        ("00-aa-bb-01", "00-aa-cc-01", [("00-aa-", False), ("bb", True), ("-01", False)]),
        ("00-aa-bb-01", "00-aa-bb-01", [("00-aa-bb-01", False)]),
        ("00-aa-bb-01", "00-aa-bb", [("00-aa-bb-01", True)]),
        ("a=1,b=2", "a=1;b=2", [("a=1,b=2", True)]),
        ("1", "0", [("1", True)]),
        ("", "x", [("", True)]),
        ("", "", []),
    ],
)
def test_the_part_that_differs_is_found(value: str, other: str, expected: list[tuple[str, bool]]) -> None:
    assert expected == list(differing(value, other))


def test_formats_are_known_by_their_headers() -> None:
    assert format_of("TraceState") == "traceparent"
    assert format_of("X-B3-Sampled") == "b3multi"
    assert format_of("accept") is None


@pytest.mark.parametrize(
    ("headers", "format_", "expected"),
    [
        ("traceparent", "traceparent", True),
        ("tracestate", "traceparent", True),
        ("b3", "b3multi", True),
        ("x-b3-sampled, x-b3-flags", "b3", True),
        ("b3multi, traceparent", "traceparent", True),
        ("x-datadog", "x-datadog", True),
        ("x-datadog-trace-id", "x-datadog", True),
        ("x-request-id", "traceparent", False),
        ("", "traceparent", False),
    ],
)
def test_a_finding_stands_in_the_cells_of_its_headers(headers: str, format_: str, expected: bool) -> None:
    assert concerns(headers, format_) == expected
