"""Passive inference: small situations whose truth is plain, and properties that hold for any log."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traceaudit.correlation.inference import Call, Candidate, Request, Settings, Stream, infer
from traceaudit.correlation.inference.gaps import BIN, BINS, bin_of, quantiles, smoothed
from traceaudit.correlation.inference.matching import matched
from traceaudit.correlation.inference.stream import FEWEST, events

MS = 1_000_000
QUICK = Settings(rounds=3, visits=20)


def chain(number: int, at_ms: float, first: int = 5, second: int = 8) -> tuple[Request, list[Call]]:
    """A request that calls `a`, then `b`, each 0.2 ms after the event it reacts to."""
    start = int(at_ms * MS)
    a_end = start + MS // 5 + first * MS
    b_end = a_end + MS // 5 + second * MS
    calls = [
        Call(f"a{number}", "a", start + MS // 5, a_end),
        Call(f"b{number}", "b", a_end + MS // 5, b_end),
    ]
    return Request(f"i{number}", "GET /", start, b_end + MS // 5), calls


def traffic(spacing_ms: float, count: int, seed: int = 1) -> tuple[list[Request], list[Call]]:
    random = Random(seed)
    made = [
        chain(number, 1000 + number * spacing_ms, random.randint(3, 12), random.randint(3, 12))
        for number in range(count)
    ]
    return [request for request, _ in made], [call for _, calls in made for call in calls]


def chosen(answers: dict[str, list[Candidate]]) -> dict[str, str | None]:
    return {call: candidates[0].inbound_id for call, candidates in answers.items()}


def own(calls: list[Call]) -> dict[str, str]:
    return {call.id: f"i{call.id[1:]}" for call in calls}


@pytest.mark.parametrize(
    ("spacing_ms", "what"), [(50, "one at a time"), (7, "two or three at once"), (1.3, "a dozen at once")]
)
def test_calls_go_to_the_request_whose_habit_they_fit(spacing_ms: float, what: str) -> None:
    requests, calls = traffic(spacing_ms, 80)

    answers = infer(requests, calls)

    assert own(calls) == chosen(answers), what


def test_calls_one_request_at_a_time_are_nearly_certain() -> None:
    requests, calls = traffic(50, 80)

    answers = infer(requests, calls)

    assert min(candidates[0].probability for candidates in answers.values()) > 0.99


def test_calls_alike_in_everything_are_not_told_apart() -> None:
    """Two requests in the same nanosecond, two calls in the same nanosecond: no method can know."""
    requests, calls = traffic(50, 60)
    for number in (100, 101):
        request, more = chain(number, 9000)
        requests.append(request)
        calls += more

    answers = infer(requests, calls)

    for call in ("a100", "a101", "b100", "b101"):
        assert answers[call][0].probability < 0.8
        assert {candidate.inbound_id for candidate in answers[call][:2]} == {"i100", "i101"}


def test_calls_while_nothing_is_in_flight_are_uncaused() -> None:
    requests, calls = traffic(50, 60)
    pollers = [
        Call(f"p{number}", "config", (1040 + 100 * number) * MS, (1041 + 100 * number) * MS) for number in range(30)
    ]

    answers = chosen(infer(requests, [*calls, *pollers]))

    assert [answers[poller.id] for poller in pollers] == [None] * 30
    assert own(calls) == {call.id: answers[call.id] for call in calls}


def test_a_habit_of_calls_after_the_response_is_learned() -> None:
    requests, calls = traffic(50, 60)
    ends = [(request.id, request.ended_ns or 0) for request in requests]
    late = [Call(f"l{id[1:]}", "audit", end + MS // 3, end + 3 * MS) for id, end in ends]

    answers = chosen(infer(requests, [*calls, *late]))

    assert own(late) == {call.id: answers[call.id] for call in late}


@pytest.mark.parametrize(("spacing_ms", "after_ms", "least_right"), [(30, 2.0, 0.9), (7, 1.0, 0.7), (12, 0.5, 0.9)])
def test_late_calls_that_come_now_soon_and_now_not_are_not_taken_for_nobodys(
    spacing_ms: float, after_ms: float, least_right: float
) -> None:
    """How calls lie in requests says nothing of them, and there is always another request about."""
    random = Random(1)
    requests, calls = traffic(spacing_ms, 150)
    late = []
    for request in requests:
        start = (request.ended_ns or 0) + int(random.lognormvariate(0, 1) * after_ms * MS)
        late.append(Call(f"l{request.id[1:]}", "audit", start, start + 3 * MS))

    answers = infer(requests, [*calls, *late], QUICK)

    right = [answers[call.id][0].inbound_id == f"i{call.id[1:]}" for call in late]
    assert sum(right) / len(right) >= least_right
    assert not [
        call
        for call, is_right in zip(late, right, strict=True)
        if not is_right and answers[call.id][0].probability > 0.99
    ]


def test_a_known_cause_is_kept_and_taught() -> None:
    requests, calls = traffic(50, 20)
    calls[0] = Call("a0", "a", calls[0].started_ns, calls[0].ended_ns, known=("i0",))
    calls[1] = Call("b0", "b", calls[1].started_ns, calls[1].ended_ns, known=(None,))

    answers = infer(requests, calls, QUICK)

    assert [(candidate.inbound_id, candidate.probability) for candidate in answers["a0"]] == [("i0", 1.0)]
    assert [(candidate.inbound_id, candidate.probability) for candidate in answers["b0"]] == [(None, 1.0)]


@pytest.mark.parametrize(
    ("requests", "calls"),
    [
        ([], []),
        ([], [Call("o1", "a", 5)]),
        ([Request("i1", "GET /", 5)], []),
        ([Request("i1", "GET /", 5)], [Call("o1", "a", 5)]),
        ([Request("i1", "GET /", 5, 4)], [Call("o1", "a", 5, 3)]),
    ],
)
def test_scraps_of_logs_are_answered_too(requests: list[Request], calls: list[Call]) -> None:
    assert {call.id for call in calls} == infer(requests, calls, QUICK).keys()


def test_two_calls_with_one_id_are_a_wrong_call() -> None:
    with pytest.raises(ValueError, match="same id"):
        infer([], [Call("o1", "a", 5), Call("o1", "b", 6)])


def test_evidence_says_how_usual_the_gap_is() -> None:
    requests, calls = traffic(50, 60)

    evidence = infer(requests, calls)["b7"][0].evidence

    assert evidence["in_flight"] == 1
    assert evidence["reaction_ns"] == MS // 5
    assert evidence["usual_from_ns"] <= evidence["reaction_ns"] * 1.2
    assert evidence["reaction_ns"] <= evidence["usual_to_ns"] * 1.2


records = st.tuples(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 30), st.integers(0, 1)), max_size=8),
    st.lists(st.tuples(st.integers(0, 80), st.one_of(st.none(), st.integers(0, 9)), st.integers(0, 2)), max_size=14),
)


def built(
    rows: tuple[list[tuple[int, int, int]], list[tuple[int, int | None, int]]],
) -> tuple[list[Request], list[Call]]:
    requests = [
        Request(f"i{number}", f"GET /{route}", start * MS, (start + took) * MS)
        for number, (start, took, route) in enumerate(rows[0])
    ]
    calls = [
        Call(f"o{number}", f"e{edge}", start * MS, None if took is None else (start + took) * MS)
        for number, (start, took, edge) in enumerate(rows[1])
    ]
    return requests, calls


@settings(max_examples=40, deadline=None)
@given(records)
def test_probabilities_sum_to_one_and_causes_come_before_effects(
    rows: tuple[list[tuple[int, int, int]], list[tuple[int, int | None, int]]],
) -> None:
    requests, calls = built(rows)
    started = {request.id: request.started_ns for request in requests}

    answers = infer(requests, calls, QUICK)

    assert {call.id for call in calls} == answers.keys()
    for call in calls:
        candidates = answers[call.id]
        alike = sum(other.edge == call.edge for other in calls)
        assert bool(candidates) is (alike >= FEWEST)
        assert not candidates or sum(candidate.probability for candidate in candidates) == pytest.approx(1.0)
        assert len({candidate.inbound_id for candidate in candidates}) == len(candidates)
        for candidate in candidates:
            assert 0.0 <= candidate.probability <= 1.0
            assert candidate.inbound_id is None or started[candidate.inbound_id] <= call.started_ns


@settings(max_examples=15, deadline=None)
@given(records, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(
    rows: tuple[list[tuple[int, int, int]], list[tuple[int, int | None, int]]], random: Random
) -> None:
    requests, calls = built(rows)
    before = infer(requests, calls, QUICK)
    random.shuffle(requests)
    random.shuffle(calls)

    assert before == infer(requests, calls, QUICK)


def fed(stream: Stream, requests: list[Request], calls: list[Call]) -> tuple[dict[str, list[Candidate]], int]:
    """All answers, and the most that was ever held in memory."""
    answers: dict[str, list[Candidate]] = {}
    most = 0
    for time, kind, id, record in events(requests, calls):
        if isinstance(record, Request):
            stream.request_started(id, record.route, time) if kind == 0 else stream.request_ended(id, time)
        else:
            stream.call_started(id, record.edge, time) if kind == 1 else stream.call_ended(id, time)
        most = max(most, stream.pending)
        new = stream.take()
        assert not answers.keys() & new.keys()
        answers.update(new)
    answers.update(stream.finish())
    return answers, most


SMALL = Settings(window_requests=40, settle_ns=100 * MS, late_ns=100 * MS, rounds=3, visits=20)


def test_a_stream_says_what_the_batch_says() -> None:
    requests, calls = traffic(7, 150)

    answers, _ = fed(Stream(SMALL), requests, calls)

    assert infer(requests, calls, SMALL) == answers
    assert own(calls) == chosen(answers)


def test_a_stream_holds_what_is_open_and_not_what_has_passed() -> None:
    most = [fed(Stream(SMALL), *traffic(7, count))[1] for count in (120, 360)]

    assert most[1] <= most[0] * 1.2


def test_what_overflows_is_unknown_and_not_guessed() -> None:
    requests, calls = traffic(0.1, 200)
    tight = Settings(window_requests=1000, most_pending=100)

    answers, most = fed(Stream(tight), requests, calls)

    assert {call.id for call in calls} == answers.keys()
    assert [] in answers.values()
    assert most <= 101


def test_a_request_that_never_ends_holds_nothing_up() -> None:
    requests, calls = traffic(7, 150)
    forever = Request("i999", "GET /watch", 1, None)

    answers, _ = fed(Stream(SMALL), [forever, *requests], calls)

    assert own(calls) == chosen(answers)


def test_densities_sum_to_one_and_nothing_is_impossible() -> None:
    histogram = [0.0] * BINS
    histogram[bin_of(200_000, 1000)] = 500.0

    density = smoothed(histogram)

    assert sum(density) * BIN == pytest.approx(1.0, abs=0.01)
    assert min(density) > 0.0
    low, high = quantiles(density, 0.05, 0.95)
    assert low < 201_000 < high


def test_rivals_for_one_event_share_it() -> None:
    """Both calls would like event 1, but only the first has nothing else."""
    answers = matched([[(1, 1.0, 0.0)], [(1, 1.0, 0.0), (2, 0.5, 0.0)]], [1e-6, 1e-6])

    assert answers[0][0][0] > 0.9
    assert answers[1][0][1] > 0.9


def test_importing_it_is_cheap_and_pulls_in_no_edge() -> None:
    script = (
        "import sys, traceaudit.correlation.inference;"
        "print(*[m for m in ('mitmproxy', 'textual', 'numpy', 'sqlite3', 'asyncio') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ran.stdout.split() == []


def test_times_alone_prove_nothing_while_several_requests_are_in_flight() -> None:
    requests, calls = traffic(7, 80)
    flights = [(request.started_ns, request.ended_ns or 0) for request in requests]

    answers = infer(requests, calls)

    for call in calls:
        if sum(start <= call.started_ns <= end for start, end in flights) > 1:
            assert answers[call.id][0].probability < 0.999


def test_where_more_requests_are_there_than_are_looked_at_it_is_not_said_that_nothing_made_a_call() -> None:
    """Three hundred requests wait, each for seconds, and call once in that time: most callers are not the latest."""
    random = Random(1)
    requests, calls = [], []
    for number in range(600):
        arrived = number * 10 * MS
        at = arrived + int(random.uniform(1000, 2900) * MS)
        requests.append(Request(f"i{number:03}", "GET /", arrived, arrived + 3000 * MS))
        calls.append(Call(f"o{number:03}", "a", at, at + 20 * MS))

    answers = infer(requests, calls, QUICK)

    busy = [answers[call.id] for call in calls[200:400]]
    nothing = [each.probability for answer in busy for each in answer if each.inbound_id is None]
    assert max(nothing) < 0.1
