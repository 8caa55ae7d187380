"""Requests that come past the audit: what they do is not blamed on those that are known."""

from __future__ import annotations

import pytest

from tests.test_audit import History, ids
from traceaudit.exchange import Confidence, Method

ORDERS = 10


@pytest.fixture
def history() -> History:
    """Every ``/orders`` calls pricing and mail, and carries nothing; nothing else does."""
    history = History()
    for number in range(1, ORDERS + 1):
        at = 60_000 + 1000 * number
        history.request(at, f"i{number}", ids(number), "/orders")
        history.call(at + 10, [])
        history.call(at + 30, [], host="mail")
        history.response(at + 60, f"i{number}")
    return history


AT = 60_000 + 1000 * (ORDERS + 2)


def blamed(history: History, route: str) -> list[tuple[str, Confidence]]:
    history.audit.settle()
    return [
        (each.rule.code, each.confidence)
        for each in history.audit.findings
        if route in each.edge.inbound_route and each.confidence is not Confidence.AMBIGUOUS
    ]


def test_the_second_call_of_an_unseen_request_is_not_held_against_who_is_there(history: History) -> None:
    history.call(AT, [])  # Nobody is there who can have made it.
    history.request(AT + 10, "x1", ids(50), "/status")
    second = history.call(AT + 20, [], host="mail").links[0]
    history.response(AT + 30, "x1")
    assert (second.inbound_id, second.method) == ("x1", Method.ISOLATED)
    assert second.probability < 0.6
    assert 0.4 < float(str(second.evidence["unseen"])) < 0.5
    assert blamed(history, "/status") == []


def test_nor_are_several_of_them_together(history: History) -> None:
    for number, after in enumerate((0, 700, 2100, 2600, 4900)):
        at = AT + after
        history.call(at, [])
        history.request(at + 10, f"x{number}", ids(50 + number), "/status")
        history.call(at + 20, [], host="mail")
        history.response(at + 30, f"x{number}")
    assert blamed(history, "/status") == []


def test_without_that_the_call_is_held_against_them(history: History) -> None:
    """What the two tests above would be worth nothing without."""
    history.request(AT + 10, "x1", ids(50), "/status")
    history.call(AT + 20, [], host="mail")
    history.response(AT + 30, "x1")
    assert ("TP001", Confidence.PROVEN) in blamed(history, "/status")


def test_it_is_over_when_no_request_lasts_so_long(history: History) -> None:
    history.call(AT, [])
    later = AT + 60 + 250 + 1
    history.request(later, "x1", ids(50), "/orders")
    link = history.call(later + 10, [], host="mail").links[0]
    assert "unseen" not in link.evidence
    assert link.probability > 0.95


def test_what_calls_by_itself_contradicts_nothing() -> None:
    """A poller's edge is no request's, so its calls tell of none."""
    history = History()
    for number in range(1, 30):
        at = 1000 * number
        history.call(at, [], host="flags")
        history.request(at + 10, f"i{number}", ids(number))
        link = history.call(at + 20, []).links[0]
        assert "unseen" not in link.evidence
        history.response(at + 60, f"i{number}")
