"""Distinctive values: which tokens count, whom they speak for, and how far they are trusted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import MS, START_NS, inbound, outbound, trace_headers
from tests.second_looks import rows
from traceaudit.audit import Audit, AuditSettings
from traceaudit.capture.replay import in_order, moments, replay
from traceaudit.correlation.values import BITS, MOST, bits
from traceaudit.exchange import Exchange, Method
from traceaudit.store.writer import AuditWriter
from traceaudit.verdicts import Verdict


@pytest.mark.parametrize(
    ("token", "counts"),
    [
        ("7f9c24e8", True),
        ("3d813cbb-47fb-32ba-91df-831e1593ac29", True),
        ("8845127790", True),
        ("u7Xk29pQz1", True),
        ("1234567", False),
        ("checkout", False),
        ("recommendations", False),
        ("productcatalogservice", False),
        ("v1beta1", False),
        ("2026-01-31", False),
    ],
)
def test_what_is_too_rare_for_chance_counts_and_words_do_not(token: str, counts: bool) -> None:
    assert (bits(token) >= BITS) is counts


def judged(*exchanges: Exchange) -> dict[str, Verdict]:
    audit, verdicts = Audit(), {}
    audit.advance(START_NS - 60_000 * MS)
    for exchange, begins in moments(exchanges):
        if not begins:
            audit.end(exchange)
        elif (verdict := audit.begin(exchange)) is not None:
            verdicts[exchange.id] = verdict
    return verdicts


def test_a_value_of_one_request_names_it_among_several() -> None:
    verdict = judged(
        inbound("i1", 0, request="GET /orders/8845127790"),
        inbound("i2", 1, request="GET /orders/5519073326"),
        outbound("o1", 5, request="GET /stock?order=5519073326"),
    )["o1"]
    chosen = verdict.links[0]
    assert (chosen.inbound_id, chosen.method) == ("i2", Method.VALUE)
    assert 0.7 < chosen.probability < MOST
    assert chosen.evidence["value"] == "5519073326"
    assert chosen.evidence["value_from"] == "path"
    assert sum(link.probability for link in verdict.links) == pytest.approx(1)


def test_what_stood_in_a_header_is_not_told() -> None:
    chosen = judged(
        inbound("i1", 0, headers=[("X-Session", "s3cr3t-7f9c24e8-0451")]),
        inbound("i2", 1, headers=[("X-Session", "other-55e1c90a-7718")]),
        outbound("o1", 5, headers=[("X-Session", "s3cr3t-7f9c24e8-0451")]),
    )["o1"].links[0]
    assert (chosen.inbound_id, chosen.method) == ("i1", Method.VALUE)
    assert "7f9c24e8" not in str(chosen.evidence)
    assert chosen.evidence["value_in"] == "x-session"


@pytest.mark.parametrize(
    "why, exchanges",
    [
        (
            "both brought it",
            [inbound("i1", 0, request="GET /a/5519073326"), inbound("i2", 1, request="GET /b/5519073326")],
        ),
        (
            "the service had it before",
            [
                inbound("i0", -500),
                inbound("i00", -499),
                outbound("o0", -490, request="GET /stock/5519073326"),
                inbound("i1", 0, request="GET /a/5519073326"),
                inbound("i2", 1),
            ],
        ),
        (
            "it is a trace id",
            [inbound("i1", 0, headers=[("uber-trace-id", "5519073326:5519073326:0:1")]), inbound("i2", 1)],
        ),
        ("it is a word", [inbound("i1", 0, request="GET /stock"), inbound("i2", 1)]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_one_requests_own_says_nothing(why: str, exchanges: list[Exchange]) -> None:
    verdict = judged(*exchanges, outbound("o1", 5, request="GET /stock/5519073326"))["o1"]
    assert verdict.links[0].method is Method.TIMING, why


def reserved(id: str, at: float, number: int, **more: object) -> Exchange:
    """A call whose answer brings a number that nobody had before."""
    location = ("Location", f"/reservations/{number}")
    return outbound(id, at, 2, request="POST /reservations", response_headers=[location], **more)


FIRST = [
    inbound("i0", -50, 100),
    inbound("i00", -49, 100),
    outbound("o0", -48, request="GET /"),
    inbound("i1", 0, headers=trace_headers(1)),
    inbound("i2", 1, headers=trace_headers(2)),
]
"""Among several, a call without identifiers has been seen, and two more requests have come."""


def test_what_an_upstream_answered_one_request_names_it_too() -> None:
    """The first call says whose it is, the second only asks for what the first was given."""
    chosen = judged(
        *FIRST,
        reserved("o1", 3, 8845127790, headers=trace_headers(1)),
        reserved("o2", 3, 5519073326, headers=trace_headers(2)),
        outbound("o3", 7, request="GET /reservations/5519073326"),
    )["o3"].links[0]
    assert (chosen.inbound_id, chosen.method) == ("i2", Method.VALUE)
    assert 0.7 < chosen.probability < MOST
    assert chosen.evidence["value_from"] == "location of the answer to o2"
    assert "value" not in chosen.evidence


def test_a_chain_of_values_is_as_sure_as_all_its_links_together() -> None:
    verdicts = judged(
        *FIRST[:3],
        inbound("i1", 0, request="GET /orders/8845127790"),
        inbound("i2", 1, request="GET /orders/5519073326"),
        outbound("o1", 3, 2, request="GET /x/5519073326", response_headers=[("X-Session", "u7Xk29pQz1")]),
        outbound("o2", 7, request="GET /y", headers=[("Session", "u7Xk29pQz1")]),
    )
    first, second = verdicts["o1"].links[0], verdicts["o2"].links[0]
    assert (first.inbound_id, second.inbound_id) == ("i2", "i2")
    assert second.probability < first.probability


@pytest.mark.parametrize(
    "why, exchanges",
    [
        ("it is not known whose call was answered", [reserved("o1", 3, 5519073326)]),
        (
            "both were answered it",
            [
                reserved("o1", 3, 5519073326, headers=trace_headers(1)),
                reserved("o2", 3, 5519073326, headers=trace_headers(2)),
            ],
        ),
        (
            "another, of whom nothing is known, was answered it",
            [reserved("o1", 3, 5519073326, headers=trace_headers(1)), reserved("o2", 3, 5519073326)],
        ),
        (
            "a call had it before",
            [
                outbound("o1", 2, request="GET /stock/5519073326"),
                reserved("o2", 3, 5519073326, headers=trace_headers(1)),
            ],
        ),
        (
            "another request brought it",
            [reserved("o1", 2.5, 5519073326, headers=trace_headers(1)), inbound("i3", 2, request="GET /z/5519073326")],
        ),
        (
            "it stands in a header that says nothing",
            [outbound("o1", 3, 2, headers=trace_headers(1), response_headers=[("Server", "box-5519073326")])],
        ),
        (
            "it is not answered yet",
            [reserved("o1", 3, 5519073326, headers=trace_headers(1)), outbound("o3", 4, request="GET /r/5519073326")],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_was_not_one_requests_answer_says_nothing(why: str, exchanges: list[Exchange]) -> None:
    asking = outbound("o9", 7, request="GET /reservations/5519073326")
    assert judged(*FIRST, *exchanges, asking)["o9"].links[0].method is Method.TIMING, why


def test_trust_falls_with_every_match_that_was_wrong() -> None:
    """Identifiers tell the cause; the number in the path is of the other request, every time."""
    exchanges: list[Exchange] = []
    for number in range(1, 200):
        at, path, mine = number * 100, f"GET /x/{8845127790 + number}", trace_headers(number + 1000)
        exchanges += [
            inbound(f"a{number}", at, request=path, headers=trace_headers(number)),
            inbound(f"b{number}", at + 1, headers=mine),
            outbound(f"o{number}", at + 5, request=path),
            outbound(f"p{number}", at + 6, request=path, headers=mine),
        ]
    verdicts = judged(*exchanges)
    first, last = (
        next(float(str(link.evidence["matches_right"])) for link in verdicts[id_].links if "value_in" in link.evidence)
        for id_ in ("o1", "o199")
    )
    assert last < first - 0.3


def test_a_value_is_weighed_with_the_times(tmp_path: Path) -> None:
    """Alike in everything else, the two calls are told apart by what they carry, and the second look keeps that."""
    exchanges = []
    for number in range(60):
        at, one, other = number * 100, 8845127790 + number, 5519073326 + number
        exchanges += [
            inbound(f"a{number}", at, request=f"GET /orders/{one}", headers=trace_headers(number + 1)),
            inbound(f"b{number}", at + 0.001, request=f"GET /orders/{other}", headers=trace_headers(number + 501)),
            outbound(f"p{number}", at + 5, request=f"GET /stock/{other}"),
            outbound(f"q{number}", at + 5.001, request=f"GET /stock/{one}"),
        ]
    audit = Audit(AuditSettings(infer=True))
    path = tmp_path / "audit.db"
    writer = AuditWriter(path, started_ns=START_NS - MS)
    replay(in_order(exchanges), audit, writer, started_ns=START_NS - MS, ended_ns=START_NS + 60_000 * MS)
    chosen = rows(path, "select outbound_id, inbound_id, method, probability, evidence from links where rank = 1")
    cause = {"p": "b", "q": "a"}
    right = [row for row in chosen if row[1] == cause[str(row[0])[0]] + str(row[0])[1:]]
    assert len(right) == len(chosen) == 120
    assert {row[2] for row in chosen} == {"value"}
    assert all("since_request_ns" in str(row[4]) and "value_in" in str(row[4]) for row in chosen)
    assert all(float(str(row[3])) < 0.999 for row in chosen)
