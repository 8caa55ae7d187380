"""What times say of a call's cause, put together with what presence had said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from traceaudit.correlation.correlator import Attribution, Cause, by_times
from traceaudit.correlation.identifiers import Inbound
from traceaudit.correlation.records import Candidate
from traceaudit.exchange import Direction, Exchange, Method


def inbound(id_: str) -> Inbound:
    return Inbound(Exchange(id_, Direction.INBOUND, 0, "GET", "shop", "/", []), {}, "GET /")


REQUESTS = {id_: inbound(id_) for id_ in ("busy", "over", "long-over")}
SHARES = {"busy": 0.9, "over": 0.06, "long-over": 0.03}
PRESENCE = Attribution(
    (*(Cause(REQUESTS[id_], share) for id_, share in SHARES.items()), Cause(None, 0.01)), Method.TIMING, {}, kind=1
)


def said(*candidates: Candidate, alone: float, presence: Attribution = PRESENCE) -> dict[str | None, float]:
    judged = by_times(candidates, presence, REQUESTS, alone)
    return {each.inbound and each.inbound.id: each.probability for each in judged.causes}


def test_where_times_name_no_request_those_who_were_there_keep_their_shares() -> None:
    """Inference finds that nothing made the call; the audit, which knows how rare that is, does not believe it all."""
    shares = said(Candidate(None, 1.0), alone=0.25)
    assert shares.pop(None) == pytest.approx(0.25)
    assert shares == pytest.approx({id_: 0.75 * share / 0.99 for id_, share in SHARES.items()})


def test_what_times_name_has_all_but_a_little_for_those_they_do_not() -> None:
    shares = said(Candidate("over", 1.0), alone=0.01)
    assert shares["over"] > 0.98
    assert shares["busy"] == pytest.approx(30 * shares["long-over"])
    assert sum(shares.values()) == pytest.approx(1)


def test_those_of_whom_presence_says_nothing_are_alike() -> None:
    nobody = replace(PRESENCE, causes=(Cause(None, 1.0), *(Cause(each, 0.0) for each in REQUESTS.values())))
    shares = said(Candidate(None, 1.0), alone=0.7, presence=nobody)
    assert shares == pytest.approx({None: 0.7, "busy": 0.1, "over": 0.1, "long-over": 0.1})


@pytest.mark.parametrize("alone", [0.0, 1.0])
def test_times_prove_neither_a_request_nor_that_there_is_none(alone: float) -> None:
    shares = said(Candidate("over", 1.0), alone=alone)
    assert max(shares.values()) < 0.999
    assert sum(shares.values()) == pytest.approx(1)
