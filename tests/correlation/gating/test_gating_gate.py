"""When the gate lets something go and what it claims, event by event."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from traceaudit.correlation.gating import Gate
from traceaudit.correlation.gating.habits import ENOUGH
from traceaudit.exchange import Gated

MS = 1_000_000
S = 1000 * MS


class Told:
    """A gate, and a clock that a test sets. Calls take 80 ms, everything the service does 1 ms."""

    def __init__(self) -> None:
        self.gate = Gate(20 * MS, 250 * MS)
        self.now = S
        self._count = 0

    def id(self) -> str:
        self._count += 1
        return f"#{self._count}"

    def begin(self, route: str = "GET /") -> str:
        id_ = self.id()
        self.gate.begin(id_, route, self.now)
        return id_

    def call(self, edge: str, named: str | None = None) -> tuple[str, Gated | None]:
        self.now += MS
        id_ = self.id()
        return id_, self.gate.call(id_, edge, self.now, named)

    def answer(self, call: str) -> None:
        self.now += 80 * MS
        self.gate.answer(call, self.now)

    def respond(self, request: str) -> None:
        self.now += MS
        self.gate.respond(request, self.now)

    def request(self, edges: Sequence[str], route: str = "GET /", *, named: bool = False) -> list[Gated | None]:
        """One whole request by itself; its calls are made one after another."""
        id_, claims = self.begin(route), []
        for edge in edges:
            call, claim = self.call(edge, id_ if named else None)
            claims.append(claim)
            self.answer(call)
        self.respond(id_)
        self.now += 300 * MS
        return claims

    def may_begin(self, route: str = "GET /", waited_ns: int = 0) -> bool:
        return self.gate.may_begin(route, self.now - waited_ns, self.now) is None

    def may_answer(self, call: str, waited_ns: int = 0) -> bool:
        return self.gate.may_answer(call, self.now - waited_ns, self.now) is None


@pytest.fixture
def told() -> Told:
    """A gate that knows requests which call a and then b; the first 16 it lets pass."""
    told = Told()
    for _ in range(16 + 2 * ENOUGH):
        told.request(["a", "b"])
    return told


def test_a_call_after_a_lone_stimulus_is_claimed_with_its_evidence(told: Told) -> None:
    request = told.begin()
    _, claim = told.call("a")
    assert claim is not None
    assert claim.inbound_id == request
    assert claim.doubt < 0.001
    assert claim.evidence["after"] == "the request"
    assert claim.evidence["gap_ms"] == 1.0
    assert claim.evidence["such_reactions"] == 2 * ENOUGH


def test_nothing_is_claimed_before_enough_was_seen() -> None:
    told = Told()
    claims = [claim for _ in range(ENOUGH) for claim in told.request(["a"])]
    assert claims == [None] * ENOUGH


def test_a_request_alone_is_never_held() -> None:
    told = Told()
    for _ in range(3):
        assert told.may_begin()
        told.request(["a"])


def test_an_answer_never_waits_for_its_own_request_alone(told: Told) -> None:
    told.begin()
    one, _ = told.call("a")
    assert told.may_answer(one)
    lone = Told()
    for _ in range(40):
        lone.gate.call(lone.id(), "z", lone.now)
    lone.begin()
    first, _ = lone.call("x")  # Of what it does next, nothing is known.
    assert lone.may_answer(first)


def test_nobody_waits_while_there_is_next_to_nothing_to_show() -> None:
    told = Told()
    for _ in range(10):
        told.request(["a", "b"])
    told.begin()
    assert told.may_begin()
    told.call("a")
    for _ in range(10):
        told.request(["a", "b"])
    told.begin()
    assert not told.may_begin()


def test_a_second_request_waits_until_the_first_has_made_its_call(told: Told) -> None:
    told.begin()
    assert not told.may_begin()
    told.call("a")
    assert told.may_begin()


def test_one_that_calls_something_else_does_not_wait(told: Told) -> None:
    for _ in range(ENOUGH):
        told.request(["c"], "GET /other")
    told.begin()
    assert told.may_begin("GET /other")
    assert not told.may_begin()


def test_nobody_waits_for_longer_than_the_budget(told: Told) -> None:
    told.begin()
    assert not told.may_begin(waited_ns=19 * MS)
    assert told.may_begin(waited_ns=20 * MS)


def test_an_answer_waits_for_what_would_be_mistaken_for_its_reaction(told: Told) -> None:
    told.begin()
    one, _ = told.call("a")
    told.begin()
    other, _ = told.call("a")
    told.now += 80 * MS
    told.gate.answer(one, told.now)
    assert not told.may_answer(other)
    told.call("b")
    assert told.may_answer(other)


def test_calls_that_two_may_have_made_are_nobodys_and_later_ones_of_the_two_too(told: Told) -> None:
    first, second = told.begin(), told.begin()
    (one, claim), (other, claim2) = told.call("a"), told.call("a")
    assert (claim, claim2) == (None, None)
    told.answer(one)
    assert told.call("b")[1] is None
    # The response names one of the two: the other's name is known again.
    told.respond(first)
    told.now += 10 * MS
    told.gate.answer(other, told.now)
    _, last = told.call("b")
    assert last is None or last.inbound_id == second


def test_an_edge_that_is_called_in_idle_times_is_not_claimed(told: Told) -> None:
    told.call("a")
    told.now += 10 * S
    for _ in range(20):
        assert told.request(["a", "b"])[0] is None


def test_a_call_that_nobody_was_about_to_make_puts_its_edge_under_suspicion(told: Told) -> None:
    told.begin()
    told.call("a")
    told.now += 40 * MS
    told.call("b")  # The request waits for its answer: somebody else called.
    told.now += 2 * S
    assert told.request(["a", "b"])[1] is None


def test_calls_that_say_whose_they_are_are_neither_claimed_nor_held_for() -> None:
    told = Told()
    for _ in range(70):
        assert told.request(["a", "b"], named=True) == [None, None]
    told.begin()
    assert told.may_begin()


def test_it_dozes_while_calls_say_whose_they_are_and_claims_again_once_it_was_woken(told: Told) -> None:
    for _ in range(70):
        told.request(["a", "b"], named=True)
    assert told.gate.dozes
    unseen = told.begin()
    assert told.call("a")[1] is None
    assert not told.gate.dozes
    assert told.call("b")[1] is None  # Whose request was followed by nobody.
    told.respond(unseen)
    told.now += 300 * MS
    assert all(told.request(["a", "b"]))


def test_a_reaction_that_usually_takes_longer_than_the_budget_is_not_waited_for() -> None:
    told = Told()
    for _ in range(ENOUGH):
        id_ = told.begin()
        told.now += 200 * MS
        call, _ = told.call("a")
        told.answer(call)
        told.respond(id_)
        told.now += 300 * MS
    told.begin()
    assert told.may_begin()


def test_what_it_does_not_know_is_harmless(told: Told) -> None:
    told.gate.respond("nobody", told.now)
    told.gate.answer("nothing", told.now)
    assert told.may_answer("nothing")
    told.call("a", named="nobody")


def test_memory_is_bounded_by_what_is_open(told: Told) -> None:
    for _ in range(300):
        told.request(["a", "b"])
    told.begin()  # What is over is forgotten when something happens.
    service = told.gate._service
    assert (len(service.tokens), len(service.open), len(service._owners), len(service._ended)) == (1, 1, 0, 0)


def test_a_call_that_nobody_can_have_made_puts_every_claim_in_doubt_for_as_long_as_requests_last(told: Told) -> None:
    told.call("a")  # Nobody is there: whoever makes it makes more.
    assert told.request(["a", "b"]) == [None, None]
    told.now += 500 * MS
    first, second = told.request(["a", "b"])
    assert first is None  # That edge stays suspect for a minute.
    assert second is not None


def test_a_response_that_does_not_wait_for_its_call_puts_every_claim_in_doubt(told: Told) -> None:
    before = told.begin()
    told.call("a")
    told.respond(before)
    assert told.request(["a", "b"]) == [None, None]
    told.now += 500 * MS
    assert None not in told.request(["a", "b"])


def test_what_is_answered_after_the_response_claims_nothing(told: Told) -> None:
    request = told.begin()
    first, claim = told.call("a")
    assert claim is not None
    told.respond(request)
    told.now += 1000 * MS
    told.answer(first)
    assert told.call("b")[1] is None


def test_a_second_call_of_a_kind_is_claimed_once_enough_had_two(told: Told) -> None:
    claims = []
    for _ in range(3 * ENOUGH):
        request = told.begin("GET /twice")
        calls = [told.call("a"), told.call("a")]
        for call, _ in calls:
            told.answer(call)
        told.respond(request)
        told.now += 300 * MS
        claims.append(calls[1][1])
    assert claims[:ENOUGH] == [None] * ENOUGH
    assert claims[-1] is not None
