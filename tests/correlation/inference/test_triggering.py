"""The first guess: which kinds of event are followed by which calls, from times alone."""

from __future__ import annotations

from random import Random

from traceaudit.correlation.inference import Call, Request, Settings
from traceaudit.correlation.inference.timeline import Timeline, Vocabulary
from traceaudit.correlation.inference.triggering import Triggering

MS = 1_000_000


def test_with_a_hundred_in_flight_each_call_is_explained_by_the_kind_of_event_that_it_follows() -> None:
    """A dozen events of other kinds come between a call and what it follows: coincidences are many, and die out."""
    random = Random(3)
    requests, calls, now = [], [], 1000 * MS

    def about(milliseconds: float) -> int:
        return int(random.lognormvariate(0, 0.5) * milliseconds * MS)

    for number in range(600):
        now += int(random.expovariate(5) * MS)
        at = now
        for step, (edge, pause) in enumerate([("a", 0.05), ("b", 0.4), ("a", 0.05)]):
            at += about(pause)
            end = at + about(8)
            calls.append(Call(f"{number}.{step}", edge, at, end))
            at = end
        requests.append(Request(f"{number}", "GET /", now, at + about(0.1)))
    timeline = Timeline(requests, calls, Vocabulary())
    a, b = timeline.words.edge("a"), timeline.words.edge("b")
    begin, a_ended, b_ended = 0, 2 + 2 + a, 2 + 2 + b  # One route and two edges: see Timeline.stimuli.

    triggering = Triggering(timeline, timeline.stimuli(Settings().late_ns), late=False)
    explained = {key: count for key, (count, _) in triggering.kernels().items()}

    followed = {(begin, a), (a_ended, b), (b_ended, a)}
    assert min(explained[kind] for kind in followed) > 540
    assert max(count for kind, count in explained.items() if kind not in followed) < 30
