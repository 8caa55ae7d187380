"""Passive inference: small situations whose truth is plain, and properties that hold for any log."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
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


@pytest.mark.parametrize(("count", "spacing_ms"), [(12, 12), (12, 6), (30, 12), (30, 6), (60, 6)])
def test_of_a_dozen_requests_so_much_is_learned_that_most_of_their_calls_are_told_apart(
    count: int, spacing_ms: float
) -> None:
    answers: dict[str, list[Candidate]] = {}
    for seed in range(4):
        requests, calls = in_sequence(Random(seed), spacing_ms, count, lambda: [("a", 0.3), ("b", 0.3), ("c", 0.3)])
        answers |= {f"{call}.{seed}": answer for call, answer in infer(requests, calls).items()}

    said = sum(candidates[0].probability for candidates in answers.values()) / len(answers)
    assert share_right(answers) >= 0.95
    assert said >= 0.93
    assert wrongly_sure(answers) <= 0.01 * len(answers)


@pytest.mark.parametrize(
    ("edges", "spacing_ms", "least_right"), [("aba", 1.5, 0.95), ("abb", 2, 0.95), ("aaa", 3, 0.95), ("aba", 1, 0.8)]
)
def test_calls_that_come_again_in_a_request_are_told_apart(edges: str, spacing_ms: float, least_right: float) -> None:
    """Where learning begins decides where it ends: from one guess, all calls of one step are nobody's."""
    random = Random(1)

    answers = infer(*in_sequence(random, spacing_ms, 200, lambda: [(edge, 0.3) for edge in edges]))

    assert share_right(answers) >= least_right
    assert wrongly_sure(answers) <= 0.01 * len(answers)


@pytest.mark.parametrize("seed", [1, 3])
def test_what_is_polled_in_a_quiet_minute_does_not_hide_what_requests_do(seed: int) -> None:
    """Five polls to one call of a request, half of them on an edge that requests call; they go on under load."""
    random = Random(seed)
    requests, calls = in_sequence(
        random, 1, 300, lambda: [(edge, 0.3) for edge in ("abc" if random.random() < 0.5 else "bd")]
    )
    loaded = requests[0].started_ns, max(request.ended_ns or 0 for request in requests)

    def polls(count: int, start: int, end: int) -> list[Call]:
        times = (int(random.uniform(start, end)) for _ in range(count))
        return [Call(f"None.{at}.{number}", "ap"[number % 2], at, at + MS) for number, at in enumerate(times)]

    before = polls(4000, loaded[0] - 40_000 * MS, loaded[0] - 10 * MS)
    under_load = polls((loaded[1] - loaded[0]) // (10 * MS), *loaded)

    answers = infer(requests, [*before, *calls, *under_load])

    asked = {call.id: answers[call.id] for call in [*calls, *under_load]}
    assert share_right(asked) >= 0.98
    assert wrongly_sure(asked) <= 2


@pytest.mark.parametrize("seed", [11, 14])
def test_retries_after_a_pause_are_not_taken_for_calls_that_come_by_themselves(seed: int) -> None:
    """Nothing is ever idle here, so that any rate of calls by themselves would be possible."""
    random = Random(seed)

    def retried() -> list[tuple[str, float]]:
        again = next(count for count in range(100) if random.random() >= 0.25)
        return [("a", 0.3), *[("a", 5.0)] * again, ("b", 0.3)]

    answers = infer(*in_sequence(random, 3, 250, retried))

    assert share_right(answers) >= 0.95
    assert wrongly_sure(answers) <= 0.005 * len(answers)


@pytest.mark.parametrize("seed", [32, 37])
def test_retries_are_told_apart_where_their_endpoint_is_called_by_itself_too(seed: int) -> None:
    random = Random(seed)

    def again(edge: str) -> list[tuple[str, float]]:
        return [("a", 5.0)] * next(count for count in range(100) if edge != "a" or random.random() >= 0.2)

    def drawn() -> list[tuple[str, float]]:
        return [step for edge in random.choice(["ab", "ca"]) for step in [(edge, 0.3), *again(edge)]]

    requests, calls = in_sequence(random, 4, 300, drawn)
    first = {call.id.removesuffix(".0"): call.edge for call in calls if call.id.endswith(".0")}
    requests = [replace(request, route=f"GET /{first[request.id]}") for request in requests]
    span = requests[0].started_ns, max(request.ended_ns or 0 for request in requests)
    times = [int(random.uniform(*span)) for _ in range(45)]
    strays = [Call(f"None.{number}", "a", at, at + 8 * MS) for number, at in enumerate(times)]

    answers = infer(requests, [*calls, *strays])

    assert share_right(answers) >= 0.95
    assert wrongly_sure(answers) <= 0.01 * len(answers)


@pytest.mark.parametrize("spacing_ms", [4, 2])
def test_of_background_calls_that_start_some_time_later_it_is_not_said_that_nothing_made_them(
    spacing_ms: float,
) -> None:
    """One request in five starts one, which may begin when it is long answered: they look almost like nobody's."""
    random = Random(21)
    requests, calls = in_sequence(random, spacing_ms, 300, lambda: [("a", 0.3), ("b", 0.3)])
    for call in [call for call in calls if call.edge == "a" and random.random() < 0.2]:
        start = (call.ended_ns or 0) + int(random.lognormvariate(0, 0.5) * 6 * MS)
        calls.append(Call(f"{call.id.split('.')[0]}.r", "r", start, start + 12 * MS))

    answers = infer(requests, calls)

    assert wrongly_sure(answers) <= 0.005 * len(answers)


def in_sequence(
    random: Random, spacing_ms: float, count: int, drawn: Callable[[], list[tuple[str, float]]]
) -> tuple[list[Request], list[Call]]:
    """Requests and their calls, one after another; each has an edge and a pause in milliseconds before it."""
    requests, calls, now = [], [], 1000 * MS

    def about(milliseconds: float) -> int:
        return int(random.lognormvariate(0, 0.5) * milliseconds * MS)

    for number in range(count):
        now += int(random.expovariate(1 / spacing_ms) * MS)
        at = now
        for step, (edge, pause) in enumerate(drawn()):
            at += about(pause)
            end = at + about(8)
            calls.append(Call(f"{number}.{step}", edge, at, end))
            at = end
        requests.append(Request(f"{number}", "GET /", now, at + about(0.2)))
    return requests, calls


def share_right(answers: dict[str, list[Candidate]]) -> float:
    """The share of calls, named after their requests, whose likeliest cause is the right one."""
    right = [str(candidates[0].inbound_id) == call.split(".")[0] for call, candidates in answers.items()]
    return sum(right) / len(right)


def wrongly_sure(answers: dict[str, list[Candidate]]) -> int:
    """How many calls, named after their requests, have a wrong cause with 0.95 or more."""
    return sum(
        str(candidates[0].inbound_id) != call.split(".")[0] and candidates[0].probability >= 0.95
        for call, candidates in answers.items()
    )


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


def meeting(
    spread_ms: float, count: int = 200, seed: int = 1, every_ms: float = 40
) -> tuple[list[Request], list[Call], dict[str, str]]:
    """Three requests belong together; whichever comes last makes the call of all, and is answered after it."""
    random = Random(seed)
    requests, calls, truth = [], [], {}
    for number in range(count):
        starts = [number * int(every_ms * MS) + int(random.random() * spread_ms * MS) for _ in range(3)]
        at = max(starts) + int((1 + random.random()) * MS)
        calls.append(Call(f"o{number}", "POST /whole", at, at + 3 * MS))
        for part, start in zip("abc", starts, strict=True):
            last = start == max(starts)
            took = at + 3 * MS - start + (0.2 + 0.2 * random.random()) * MS if last else random.uniform(1, 6) * MS
            requests.append(Request(f"{part}{number}", f"POST /{part}", start, start + int(took)))
            if last:
                truth[f"o{number}"] = f"{part}{number}"
    return requests, calls, truth


@pytest.mark.parametrize(("spread_ms", "least_right"), [(15, 0.97), (3, 0.9), (1, 0.8)])
def test_where_requests_of_several_routes_meet_in_one_call_it_is_said_how_sure_that_is(
    spread_ms: float, least_right: float
) -> None:
    requests, calls, truth = meeting(spread_ms)

    answers = infer(requests, calls)

    right = [answers[call.id][0].inbound_id == truth[call.id] for call in calls]
    said = [answers[call.id][0].probability for call in calls]
    assert sum(right) / len(right) >= least_right
    assert abs(sum(said) - sum(right)) / len(calls) < 0.04
    assert not [call for call, is_right, sure in zip(calls, right, said, strict=True) if sure >= 0.99 and not is_right]


def test_of_a_few_meetings_it_is_not_said_that_nothing_made_their_calls() -> None:
    """How a dozen requests of three routes decide which of them calls is not learned; none was idle, so who knows?"""
    said = []
    for seed in range(8):
        requests, calls, _ = meeting(3, 20, seed, every_ms=6)
        said += [answer[0] for answer in infer(requests, calls).values() if answer[0].probability >= 0.95]

    assert sum(each.inbound_id is None for each in said) <= 0.02 * 8 * 20


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
