"""How calls lie in requests: how long after a request's start a call begins, and how long before its response it ends.

Theory of operation. Most services answer once they have what they called for: a call lies within its request, and the
last one ends just before the response. Between a call and a request that has nothing to do with it, both gaps are what
chance makes of them. So each pair of a call and a request that was there when it began is marked with its two gaps, and
so are pairs in which the call is put at a random time, which shows what chance makes. Expectation maximisation learns,
per route and edge, how the marks of pairs that belong together are distributed; the ratio of the two says how well a
call lies in a request. Then calls compete for requests (:mod:`.matching`). Nothing of the order of calls is known here;
what comes of it is a beginning, which finds rare callers: :mod:`.triggering` looks only at what is before a call, and
one request in five that calls is lost to it among the other four.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate
from random import Random

from traceaudit.correlation.inference.gaps import BIN, BINS, bin_of, smoothed
from traceaudit.correlation.inference.matching import Option, matched
from traceaudit.correlation.inference.timeline import CONSIDERED, NEVER, Timeline

ROUNDS = 15

SAMPLE = 1200
"""Calls that are learned from; spread evenly over those that began while a request was there."""

MOVES, LEAST_MOVED = 2, 400
"""Random times at which each call is put to see what chance makes, and how many there are in all at the least."""

NEGLIGIBLE = 1e-4
"""Requests less probable than this are not considered any further."""

OUTLASTS = BINS
"""The second mark where the call ends after the response, or one of them was never seen to end."""

SEVERAL = 1.2
"""Calls of an edge per request of a route from which on a request is taken to make several of them."""

PRIOR = 10.0
"""So many pairs' worth of "no different from chance" is mixed into what is learned."""

type Key = tuple[int, int]
"""Route and edge."""

type Pair = tuple[int, Key, int, int]
"""A request, route and edge, and the two marks."""


class Nesting:
    """Per call the requests that it may lie in, and how probable each is."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._pairs = _pairs(timeline, zip(timeline.call_start, timeline.call_end, timeline.edge, strict=True))
        calls = Counter(edge for edge, pairs in zip(timeline.edge, self._pairs, strict=True) if pairs)
        most, busy_ns = timeline.most_uncaused(), timeline.span_ns - timeline.idle_ns
        self._most_idle = {
            edge: min(1.0, most[edge] * busy_ns / max(1, calls[edge])) for edge in range(len(timeline.words.edges))
        }
        self._idle = {edge: max(NEGLIGIBLE, 0.1 * share) for edge, share in self._most_idle.items()}
        """Per edge the share of calls that lie in nothing, though a request was there."""
        self._learn()

    def shares(self) -> list[dict[int, float]]:
        """For each call the probability of each request that it may lie in; what is left is that of none."""
        timeline, requests = self._timeline, Counter(self._timeline.route)
        options: list[list[Option]] = []
        kept: list[list[int]] = []
        slots: dict[tuple[int, int], int] = {}
        for call, (edge, pairs) in enumerate(zip(timeline.edge, self._pairs, strict=True)):
            weights = self._weights(pairs)
            least = NEGLIGIBLE * (sum(weights) + self._idle[edge])
            found: list[Option] = []
            for (request, key, _, _), weight in zip(pairs, weights, strict=True):
                if weight > least:
                    each = self._made[key] / requests[key[0]]
                    # For a request that makes several calls of an edge, they do not compete.
                    place, spare = ((request, ~call), 1.0) if each > SEVERAL else ((request, edge), 1.0 - each)
                    found.append((slots.setdefault(place, len(slots)), weight, spare))
            options.append(found)
            kept.append([pair[0] for pair, weight in zip(pairs, weights, strict=True) if weight > least])
        idle = [self._idle[edge] for edge in timeline.edge]
        return [
            dict(zip(those, shares, strict=True))
            for those, (shares, _) in zip(kept, matched(options, idle), strict=True)
        ]

    def _weights(self, pairs: Sequence[Pair]) -> list[float]:
        began, ended = self._began, self._ended
        return [began[key][first] * ended[key][second] for _, key, first, second in pairs]

    def _chance(self, sample: Sequence[int]) -> tuple[defaultdict[Key, list[float]], defaultdict[Key, list[float]]]:
        """The densities of both marks where calls come at random times at which a request is there."""
        timeline, random = self._timeline, Random(1)  # noqa: S311 - a simulation, not a secret
        moved: list[tuple[int, int, int]] = []
        busy = timeline.busy
        passed = list(accumulate((end - start for start, end in busy), initial=0))
        moves = max(MOVES, LEAST_MOVED // max(1, len(sample)))
        for call in sample:
            start, end = timeline.call_start[call], timeline.call_end[call]
            for _ in range(moves):
                into = random.randrange(max(1, passed[-1]))
                which = min(bisect_right(passed, into), len(busy)) - 1
                at = busy[which][0] + into - passed[which]
                moved.append((at, NEVER if end == NEVER else at + end - start, timeline.edge[call]))
        first, second = _histograms((pair, 1.0) for pairs in _pairs(timeline, sorted(moved)) for pair in pairs)
        flat = [1.0 / (BINS * BIN)] * BINS
        return (
            defaultdict(lambda: flat, {key: smoothed(histogram) for key, histogram in first.items()}),
            defaultdict(lambda: [*flat, 0.5], {key: _with_outlasting(histogram) for key, histogram in second.items()}),
        )

    def _learn(self) -> None:
        frame = [call for call, pairs in enumerate(self._pairs) if pairs]
        step = max(1, len(frame) // SAMPLE)
        numbers = frame[::step]
        sample = [self._pairs[call] for call in numbers]
        edges = [self._timeline.edge[call] for call in numbers]
        all_first, all_second = _histograms((pair, 1.0) for pairs in sample for pair in pairs)
        chance_first, chance_second = self._chance(numbers)
        self._began = {pair[1]: [1.0] * BINS for pairs in self._pairs for pair in pairs}
        """Per route and edge, what the first mark says for a pair: the share of such pairs that belong together, and
        how much more frequent the mark is among these than by chance.
        """
        self._ended = {key: [1.0] * (BINS + 1) for key in self._began}
        """The second mark's ratio."""
        self._made = dict.fromkeys(self._began, 0.0)
        """Calls in all."""
        for key, histogram in all_first.items():
            self._began[key] = _ratios(smoothed(histogram), chance_first[key], sum(histogram))
            self._ended[key] = _ratios(_with_outlasting(all_second[key]), chance_second[key], sum(histogram))
        for _ in range(ROUNDS):
            shares: list[tuple[Pair, float]] = []
            idle: defaultdict[int, list[float]] = defaultdict(list)
            for edge, pairs in zip(edges, sample, strict=True):
                weights = self._weights(pairs)
                total = sum(weights) + self._idle[edge]
                shares += [(pair, weight / total) for pair, weight in zip(pairs, weights, strict=True)]
                idle[edge].append(self._idle[edge] / total)
            first, second = _histograms(shares)
            for key, histogram in first.items():
                count = sum(histogram)
                rate = max(NEGLIGIBLE, count / sum(all_first[key]))
                self._made[key] = step * count
                ratios = _ratios(smoothed(histogram), chance_first[key], count)
                self._began[key] = [rate * ratio for ratio in ratios]
                self._ended[key] = _ratios(_with_outlasting(second[key]), chance_second[key], count)
            for edge, found in idle.items():
                self._idle[edge] = max(NEGLIGIBLE, min(self._most_idle[edge], sum(found) / len(found)))


def _pairs(timeline: Timeline, calls: Iterable[tuple[int, int, int]]) -> list[list[Pair]]:
    """Per call (start, end, edge; in the order of starts) the requests that were there when it began."""
    found: list[list[Pair]] = []
    flight: list[int] = []
    position, tick = 0, timeline.tick_ns
    starts, ends, routes = timeline.start, timeline.end, timeline.route
    for began, ended, edge in calls:
        while position < len(starts) and starts[position] <= began:
            flight.append(position)
            position += 1
        flight = [request for request in flight if ends[request] >= began]
        pairs: list[Pair] = []
        # The oldest, too: they are about to be answered, and in a queue it is their turn.
        for request in flight if len(flight) <= CONSIDERED else flight[: CONSIDERED // 2] + flight[-CONSIDERED // 2 :]:
            end = ends[request]
            last = OUTLASTS if ended > end or end == NEVER else bin_of(end - ended, tick)
            pairs.append((request, (routes[request], edge), bin_of(began - starts[request], tick), last))
        found.append(pairs)
    return found


def _histograms(
    weighed: Iterable[tuple[Pair, float]],
) -> tuple[dict[Key, list[float]], dict[Key, list[float]]]:
    """How often each mark comes, the first and the second."""
    first: defaultdict[Key, list[float]] = defaultdict(lambda: [0.0] * BINS)
    second: defaultdict[Key, list[float]] = defaultdict(lambda: [0.0] * (BINS + 1))
    for (_, key, began, ended), weight in weighed:
        first[key][began] += weight
        second[key][ended] += weight
    return first, second


def _with_outlasting(histogram: Sequence[float]) -> list[float]:
    """A density for the second mark, whose last value is a probability."""
    outlasting = (histogram[OUTLASTS] + 0.5) / (sum(histogram) + 1.0)
    return [*((1.0 - outlasting) * value for value in smoothed(histogram[:OUTLASTS])), outlasting]


def _ratios(own: Sequence[float], chance: Sequence[float], count: float) -> list[float]:
    """How much more frequent each mark is among so many pairs that belong together than among all."""
    lean = PRIOR / (PRIOR + count)
    return [(1.0 - lean) * share / usual + lean for share, usual in zip(own, chance, strict=True)]
