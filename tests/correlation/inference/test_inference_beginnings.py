"""Where inference begins: how calls lie in requests, and that nobody is scored by what they taught themselves."""

from __future__ import annotations

from random import Random

import pytest

from traceaudit.correlation.inference import Call, Request
from traceaudit.correlation.inference.behaviour import Behaviour
from traceaudit.correlation.inference.nesting import Nesting
from traceaudit.correlation.inference.timeline import Timeline, Vocabulary

MS = 1_000_000


def timeline(requests: list[Request], calls: list[Call]) -> Timeline:
    return Timeline(requests, calls, Vocabulary())


def rare_callers(count: int, spacing_ms: float) -> Timeline:
    """One request in five makes a call, and is answered just after it; the others are answered sooner or later."""
    random = Random(1)
    requests, calls = [], []
    for number in range(count):
        start = int(number * spacing_ms * MS)
        if number % 5:
            requests.append(Request(f"i{number:04}", "GET /", start, start + int(random.uniform(1, 12) * MS)))
            continue
        began = start + int(random.uniform(2, 5) * MS)
        ended = began + int(random.uniform(1, 6) * MS)
        calls.append(Call(f"o{number:04}", "upstream GET /", began, ended))
        requests.append(Request(f"i{number:04}", "GET /", start, ended + int(random.uniform(0.2, 0.3) * MS)))
    return timeline(requests, calls)


def test_one_request_in_five_that_calls_is_found_by_when_it_is_answered() -> None:
    window = rare_callers(1000, spacing_ms=2)

    shares = Nesting(window).shares()

    right = [
        window.requests[max(each, key=lambda request: each[request])].id[1:] == call.id[1:]
        for call, each in zip(window.calls, shares, strict=True)
    ]
    assert sum(right) / len(right) > 0.9


def test_shares_are_probabilities_and_of_requests_that_were_there() -> None:
    window = rare_callers(300, spacing_ms=1)

    for call, each in enumerate(Nesting(window).shares()):
        assert 0.0 <= sum(each.values()) <= 1.0 + 1e-9
        for request in each:
            assert window.start[request] <= window.call_start[call] <= window.end[request]


def test_a_call_while_nothing_is_there_lies_in_nothing() -> None:
    window = timeline([Request("i1", "GET /", 0, MS)], [Call("o1", "a", 2 * MS, 3 * MS)])

    assert Nesting(window).shares() == [{}]


@pytest.mark.parametrize("ends", [None, 9 * MS])
def test_what_never_ended_may_lie_in_what_did_and_the_other_way_round(ends: int | None) -> None:
    window = timeline(
        [Request("i1", "GET /", 0, ends), Request("i2", "GET /", MS, None)], [Call("o1", "a", 2 * MS, None)]
    )

    (shares,) = Nesting(window).shares()

    assert set(shares) == {0, 1}


def test_a_request_is_not_scored_by_what_was_learned_from_itself() -> None:
    """One request is said to have made its call unusually late: that is as unusual as before it was said."""
    requests = [
        Request(f"i{number:03}", "GET /", number * 100 * MS, number * 100 * MS + 20 * MS) for number in range(80)
    ]
    calls = [Call(f"o{number:03}", "a", number * 100 * MS + MS, number * 100 * MS + 5 * MS) for number in range(80)]
    late = Call("o040", "a", 4000 * MS + 15 * MS, 4000 * MS + 19 * MS)
    window = timeline(requests, [late if call.id == "o040" else call for call in calls])
    own = [(number,) for number in range(80)]
    without = [() if number == 40 else (number,) for number in range(80)]
    taught, untaught = Behaviour(window.words), Behaviour(window.words)
    for behaviour, configurations in ((taught, own), (untaught, without)):
        behaviour.late = False
        behaviour.learn(window, [(configurations, list(range(80)))])

    assert taught.score(window, 40, (40,)) == pytest.approx(untaught.score(window, 40, (40,)))
    assert taught.score(window, 70, (70,)) != untaught.score(window, 70, (70,))
