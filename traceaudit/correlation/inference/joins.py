"""How far apart the last two answers of a request's parallel calls come, against what chance would make of it.

Theory of operation. Timing of starts says nothing of ends: how long an upstream takes is its own affair. Yet the ends
of one request's calls may hang together, because the upstreams wait for each other or share a load (in a fan-out whose
branches meet again downstream, exactly one branch takes long). The gap between the last two ends is counted in the
explanations found, and counted again after every call has been given the duration of another call of its edge. The
ratio of the two densities is what the ends say for or against a set of calls; independent upstreams give 1.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from random import Random

from traceaudit.correlation.inference.gaps import BIN, BINS, bin_of, smoothed
from traceaudit.correlation.inference.timeline import NEVER, Timeline

MOST = 2.5
"""The log ratio is held within this on both sides; it is an opinion beside the times of the starts."""

PSEUDO = 20.0
"""So many requests' worth of "no different from chance" is mixed into both counts."""

FEWEST = 100
"""Fewer requests than this teach nothing new once something is known."""

SHUFFLES = 3

type Key = tuple[int, int]
"""Route, and the edge whose call ended last."""


class Joins:
    """The learned log ratios."""

    def __init__(self) -> None:
        self._ratios: dict[Key, list[float]] = {}

    def copy(self) -> Joins:
        """An independent copy."""
        twin = Joins()
        twin._ratios = dict(self._ratios)
        return twin

    def score(self, timeline: Timeline, request: int, calls: Sequence[int]) -> float:
        """What the last two ends say for these being the calls of one request; 0 where nothing runs in parallel."""
        if len(calls) < 2 or not self._ratios:
            return 0.0
        found = _last_two([(timeline.call_end[call], timeline.call_start[call], timeline.edge[call]) for call in calls])
        if found is None:
            return 0.0
        edge, gap = found
        ratios = self._ratios.get((timeline.route[request], edge))
        return 0.0 if ratios is None else ratios[bin_of(gap, timeline.tick_ns)]

    def learn(self, timeline: Timeline, explanations: Iterable[tuple[int, Sequence[int]]]) -> None:
        """Learns from pairs of request and its calls; a handful of them is not worth forgetting the past for."""
        explanations = [(request, calls) for request, calls in explanations if len(calls) > 1]
        if len(explanations) < FEWEST and self._ratios:
            return
        random = Random(1)  # noqa: S311 - a simulation, not a secret
        durations: defaultdict[int, list[int]] = defaultdict(list)
        for call, end in enumerate(timeline.call_end):
            if end != NEVER:
                durations[timeline.edge[call]].append(end - timeline.call_start[call])
        seen: defaultdict[Key, list[float]] = defaultdict(lambda: [0.0] * BINS)
        chance: defaultdict[Key, list[float]] = defaultdict(lambda: [0.0] * BINS)
        for request, calls in explanations:
            ends = [(timeline.call_end[call], timeline.call_start[call], timeline.edge[call]) for call in calls]
            self._add(seen, timeline, request, ends, 1.0)
            for _ in range(SHUFFLES):
                mixed = [
                    (start + random.choice(durations[edge]) if durations[edge] else NEVER, start, edge)
                    for _, start, edge in ends
                ]
                self._add(chance, timeline, request, mixed, 1.0 / SHUFFLES)
        self._ratios = {key: _ratios(seen[key], chance[key]) for key in chance}

    def _add(
        self,
        counts: defaultdict[Key, list[float]],
        timeline: Timeline,
        request: int,
        ends: list[tuple[int, int, int]],
        weight: float,
    ) -> None:
        found = _last_two(ends)
        if found is not None:
            edge, gap = found
            counts[timeline.route[request], edge][bin_of(gap, timeline.tick_ns)] += weight


def _last_two(ends: list[tuple[int, int, int]]) -> tuple[int, int] | None:
    """The edge of the call that ended last and its lead over the one before, if the two ran side by side."""
    last = before = (-1, 0, 0)
    for end in ends:
        if end > last:
            last, before = end, last
        elif end > before:
            before = end
    if last[0] == NEVER or last[1] >= before[0]:
        return None
    return last[2], last[0] - before[0]


def _ratios(seen: Sequence[float], chance: Sequence[float]) -> list[float]:
    """Log of the ratio of two smoothed counts, both leaning on their sum where they are thin."""
    both = [(first + second) / 2 for first, second in zip(seen, chance, strict=True)]
    total = sum(both)
    if total <= 0.0:
        return [0.0] * BINS
    prior = [value * PSEUDO * BIN for value in smoothed(both)]
    smooth_seen = [value * sum(seen) * BIN for value in smoothed(seen)]
    smooth_chance = [value * sum(chance) * BIN for value in smoothed(chance)]
    return [
        max(-MOST, min(MOST, math.log((first + lean) / (second + lean))))
        for first, second, lean in zip(smooth_seen, smooth_chance, prior, strict=True)
    ]
