"""What the correlation wrote down is said in words where they are known, and as it is where they are not, safely."""

from __future__ import annotations

import pytest

from traceaudit.reports.words import evidence_in_words, probability


@pytest.mark.parametrize(
    ("evidence", "phrases"),
    [
        ({"in_flight": 3, "carried_by": 1}, ["3 in flight", "brought by 1"]),
        ({"since_request_ns": 4_200_000.0}, ["4.2 ms after the request came"]),
        ({"held_ns": 1_500_000_000, "held_back": 4}, ["held 1.50 s", "held back 4"]),
        ({"settled": True, "note": None}, ["settled yes", "note unknown"]),
        ({"steps": ["request in", "answer in"]}, ["steps request in and answer in"]),
        ({"odd_ns": "soon"}, ["odd soon"]),
        ({"in_flight": float("nan"), "so_ns": float("inf")}, ["nan in flight", "so inf"]),
        ({"\x1b[31m_x": "\x1b]0;y\x07", "{0.__class__}": "{}"}, ["\\x1b[31m x \\x1b]0;y\\x07", "{0.  class  } {}"]),
        ({"in_flight": "{0}\u202e"}, ["{0}\\u202e in flight"]),
        ({}, []),
    ],
)
def test_evidence_in_words(evidence: dict[str, object], phrases: list[str]) -> None:
    assert evidence_in_words(evidence) == phrases


@pytest.mark.parametrize(
    ("number", "shown"),
    [(1.0, "1"), (0.57, "0.57"), (0.29, "0.29"), (0.99999, "0.9999"), (0.99995, "0.9999"), (0, "0")],
)
def test_a_probability_is_rounded_down_and_no_further(number: float, shown: str) -> None:
    assert probability(number) == shown
