"""Passive inference of services with habits that are hard to learn: few requests, repeats, retries, polls, meetings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from traceaudit.correlation.inference import Call, Candidate, Request, infer

MS = 1_000_000


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
