"""First in, first out, as far as the log bears it out: does the n-th request of a route make the n-th call of an edge?

Theory of operation. Where each request of a route makes one call of an edge, both can be numbered, and the difference
of the numbers says how many places a call is out of turn. A service with one thread never lets requests overtake each
other, whatever the delay; one with many does so as often as independent delays would. The differences are counted in
the explanations found, and counted again after every request has been given the delay of another one. The ratio of the
two is what the order says for or against an explanation; without a queue it is 1.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from random import Random

from traceaudit.correlation.inference.timeline import Timeline

FARTHEST = 6
"""Places out of turn are counted up to here."""

MOST = 3.0
"""The log ratio is held within this on both sides."""

PSEUDO = 10.0
"""So many requests' worth of "no different from chance" is mixed into both counts."""

ONE_TO_ONE = 0.02
"""Requests and calls may differ in number by this share for the numbering to mean anything."""

FEWEST = 100
"""Fewer requests than this show no habit."""

type Key = tuple[int, int]
"""Route and edge."""


class Order:
    """The learned log ratios, by places out of turn."""

    def __init__(self) -> None:
        self._ratios: dict[Key, list[float]] = {}

    def copy(self) -> Order:
        """An independent copy."""
        twin = Order()
        twin._ratios = dict(self._ratios)
        return twin

    def score(self, timeline: Timeline, request: int, calls: Sequence[int]) -> float:
        """What the order says for these being the calls of one request."""
        if not self._ratios:
            return 0.0
        route, turn, total = timeline.route[request], timeline.turn[request], 0.0
        for call in calls:
            ratios = self._ratios.get((route, timeline.edge[call]))
            if ratios is not None:
                total += ratios[_place(timeline.call_turn[call] - turn)]
        return total

    def learn(self, timeline: Timeline, explanations: Iterable[tuple[int, Sequence[int]]]) -> None:
        """Learns from pairs of request and its calls."""
        random = Random(1)  # noqa: S311 - a simulation, not a secret
        pairs: defaultdict[Key, list[tuple[int, int]]] = defaultdict(list)
        for request, calls in explanations:
            for call in calls:
                pairs[timeline.route[request], timeline.edge[call]].append((request, call))
        self._ratios = {}
        for (route, edge), found in pairs.items():
            requests, calls_made = timeline.route.count(route), timeline.edge.count(edge)
            if requests < FEWEST or abs(requests - calls_made) > ONE_TO_ONE * requests:
                continue
            seen, chance = [0.0] * (2 * FARTHEST + 1), [0.0] * (2 * FARTHEST + 1)
            for request, call in found:
                seen[_place(timeline.call_turn[call] - timeline.turn[request])] += 1.0
            delays = [timeline.call_start[call] - timeline.start[request] for request, call in found]
            mixed = sorted((timeline.start[request] + random.choice(delays), request) for request, _ in found)
            own = sorted(request for request, _ in found)
            places = {request: place for place, request in enumerate(own)}
            for place, (_, request) in enumerate(mixed):
                chance[_place(place - places[request])] += 1.0
            self._ratios[route, edge] = _ratios(seen, chance)


def _place(difference: int) -> int:
    return max(0, min(2 * FARTHEST, difference + FARTHEST))


def _ratios(seen: Sequence[float], chance: Sequence[float]) -> list[float]:
    total = sum(seen) + sum(chance)
    prior = [PSEUDO * (first + second + 1.0) / total for first, second in zip(seen, chance, strict=True)]
    return [
        max(-MOST, min(MOST, math.log((first + lean) / (second + lean))))
        for first, second, lean in zip(seen, chance, prior, strict=True)
    ]
