"""A first guess, from nothing but times: which kinds of event are followed, unusually soon, by which calls.

Theory of operation. The calls of an edge are taken for a self-exciting (Hawkes) process: each earlier event excites a
call after a gap drawn from a density of its kind of source, over a constant background of calls that nothing excites.
Expectation maximisation (stochastic declustering without parametric form, Marsan and Lengline 2008) finds the densities
and, for each call, how probable each earlier event is as its trigger. No labels and no call graph are needed: a
coincidence is spread evenly over log time, a reaction is not. With a hundred requests in flight dozens of events come
before each call and the maximum is approached slowly: there, learning goes on, in longer steps.

Calls are considered one by one here; that a request answers once, and makes so many calls, is for the sampler.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate

from traceaudit.correlation.inference.gaps import BINS, bin_of, smoothed
from traceaudit.correlation.inference.matching import Option, matched
from traceaudit.correlation.inference.timeline import NEVER, Stimulus, Timeline

ROUNDS, MOST_ROUNDS = 8, 60
"""Rounds of expectation maximisation, the least and the most."""

UNSETTLED, ENOUGH = 0.005, 0.0003
"""It goes on after the least where a round still improves the log likelihood by this much a call, as many again and
then until a round improves it by less than the second. To go on elsewhere does harm: recent events are rightly
preferred at first.
"""

HASTE = 0.7
"""Each round that it goes on moves this much further than it would by itself."""

COINCIDENCES = 5.0
"""So many calls are excited by a kind of event by chance: what explains no more than that dies out (the prior of
Figueiredo and Jain 2002 for mixtures of unknown size). Else coincidences are shared among kinds for hundreds of rounds.
"""

NONE = 1e-9
"""Less than this is nothing."""

SAMPLE = 1200
"""Calls the densities are learned from; spread evenly over those before which a request came. A minute of pollers'
calls, with no request near, teaches nothing.
"""

NEGLIGIBLE = 1e-5
"""Triggers less probable than this are not considered any further."""

FEWEST_LEFT = 0.01
"""The share of requests in flight at an age is not taken for less than this."""

type _Histograms = Mapping[int, list[float]]
"""Per source and edge (``source * edges + edge``), how often each gap."""

type Trigger = tuple[int, float]
"""A reference (request, or ``~call``) and its probability of being what the call reacted to."""


class Triggering:
    """Per (source, edge) how often and how soon the one excites the other, and per edge the background rate."""

    def __init__(self, timeline: Timeline, stimuli: list[list[Stimulus]], late: bool) -> None:
        self.timeline = timeline
        self._sources = 2 * (len(timeline.words.routes) + len(timeline.words.edges))
        tick, routes = timeline.tick_ns, len(timeline.words.routes)
        self._coded = [
            [
                (source, bin_of(gap, tick), 1.0 / (gap + tick), reference)
                for source, gap, reference in found
                if late or not routes <= source < 2 * routes or not any(other < routes for other, _, _ in found)
            ]
            for found in stimuli
        ]
        self._frame = [
            call for call, coded in enumerate(self._coded) if any(source < 2 * routes for source, *_ in coded)
        ]
        """The calls before which a request came."""
        self._events = self._event_counts()
        flat = [1.0 / BINS] * BINS
        self.rates: dict[int, list[float]] = {}
        self._flat = flat
        self._most = timeline.most_uncaused()
        self.background = {
            edge: min(self._most[edge], 0.1 * timeline.edge.count(edge) / timeline.span_ns)
            for edge in set(timeline.edge)
        }
        self._learn()

    def triggers(self) -> list[tuple[list[Trigger], float]]:
        """For each call its likely triggers, rivals considered, and the probability that nothing excited it."""
        timeline, edges, events = self.timeline, len(self.timeline.words.edges), self._events
        options: list[list[Option]] = []
        idle: list[float] = []
        references: list[list[int]] = []
        numbers: dict[tuple[int, int, int], int] = {}
        for call, coded in enumerate(self._coded):
            edge = timeline.edge[call]
            weights, total = self._weights(call)
            kept = [entry for entry in zip(coded, weights, strict=True) if entry[1] > NEGLIGIBLE * total]
            idle.append(self.background[edge])
            references.append([reference for (_, _, _, reference), _ in kept])
            options.append([])
            for (source, _, _, reference), weight in kept:
                number = numbers.setdefault((source, reference, edge), len(numbers))
                explained, _ = self._explained.get(source * edges + edge, (0.0, ()))  # Rare ones were not sampled.
                children = explained / max(1, events[source])
                options[call].append((number, weight, 1.0 - children))
        return [
            (list(zip(known, shares, strict=True)), rest)
            for known, (shares, rest) in zip(references, matched(options, idle), strict=True)
        ]

    def late_share(self) -> float:
        """The share of calls, of those before which a request came, that look excited by a response."""
        routes, edges = len(self.timeline.words.routes), len(self.timeline.words.edges)
        late = sum(count for key, (count, _) in self._explained.items() if routes <= key // edges < 2 * routes)
        return late / max(1, len(self._frame))

    def kernels(self) -> dict[tuple[int, int], tuple[float, list[float]]]:
        """Per (source, edge): how many calls it explains, and the density of their gaps."""
        return {divmod(key, len(self.timeline.words.edges)): value for key, value in self._explained.items()}

    def _weights(self, call: int) -> tuple[list[float], float]:
        edge, edges, rates, flat = self.timeline.edge[call], len(self.timeline.words.edges), self.rates, self._flat
        weights = [
            rates.get(source * edges + edge, flat)[position] * inverse
            for source, position, inverse, _ in self._coded[call]
        ]
        return weights, sum(weights) + self.background[edge]

    def _learn(self) -> None:
        timeline, edges = self.timeline, len(self.timeline.words.edges)
        step = max(1, len(self._frame) // SAMPLE)
        sample = self._frame[::step]
        alone = Counter(timeline.edge)
        alone.subtract(timeline.edge[call] for call in self._frame)
        events, at_risk, everyone = self._events, self._at_risk(), [1.0] * BINS
        before: _Histograms = {}
        likelihood = -math.inf
        for turn in range(MOST_ROUNDS):
            gained, idle, reached = self._expected(sample)
            gain = (reached - likelihood) / max(1, len(sample))
            if (turn == ROUNDS and gain < UNSETTLED) or (turn > 2 * ROUNDS and gain < ENOUGH):
                break
            likelihood, hastened = reached, turn >= ROUNDS
            if hastened:
                gained = before = self._hastened(gained, before)
            chance = COINCIDENCES if hastened else 0.0
            shown = {key: (histogram, sum(histogram)) for key, histogram in gained.items()}
            kept = {key: max(0.0, 1.0 - chance / max(count, NONE)) for key, (_, count) in shown.items()}
            self._explained = {
                key: (step * count * kept[key], smoothed([kept[key] * each for each in histogram]))
                for key, (histogram, count) in shown.items()
            }
            self.rates = {
                key: [
                    value * count / (max(1, events[key // edges]) * share)
                    for value, share in zip(density, at_risk.get(key // edges, everyone), strict=True)
                ]
                for key, (count, density) in self._explained.items()
            }
            self.background = {
                edge: min(self._most[edge], (step * idle[edge] + alone[edge] + 0.5) / timeline.span_ns)
                for edge in self.background
            }

    def _expected(self, sample: Sequence[int]) -> tuple[_Histograms, dict[int, float], float]:
        """By what is believed so far: per kind the gaps of the calls it excited, per edge how many nothing excited, and
        the log likelihood of the sample.
        """
        gained: defaultdict[int, list[float]] = defaultdict(lambda: [0.0] * BINS)
        idle: defaultdict[int, float] = defaultdict(float)
        edges, likelihood = len(self.timeline.words.edges), 0.0
        for call in sample:
            edge = self.timeline.edge[call]
            weights, total = self._weights(call)
            likelihood += math.log(total)
            for (source, position, _, _), weight in zip(self._coded[call], weights, strict=True):
                gained[source * edges + edge][position] += weight / total
            idle[edge] += self.background[edge] / total
        return gained, idle, likelihood

    def _hastened(self, gained: _Histograms, before: _Histograms) -> _Histograms:
        """The same, gone further where it was going since the turn before; each edge keeps the calls it had in all.

        Where many events come before a call, each turn moves little (over-relaxed EM, Salakhutdinov and Roweis 2003).
        """
        edges = len(self.timeline.words.edges)
        further = {
            key: [
                now * (now / then) ** HASTE if min(now, then) > NONE else now
                for now, then in zip(histogram, before.get(key, histogram), strict=True)
            ]
            for key, histogram in gained.items()
        }
        wanted: defaultdict[int, float] = defaultdict(float)
        reached: defaultdict[int, float] = defaultdict(float)
        for key, histogram in gained.items():
            wanted[key % edges] += sum(histogram)
            reached[key % edges] += sum(further[key])
        scale = {edge: wanted[edge] / max(NONE, reached[edge]) for edge in wanted}
        return {key: [scale[key % edges] * each for each in histogram] for key, histogram in further.items()}

    def _at_risk(self) -> dict[int, list[float]]:
        """Per route the share of requests still in flight at each age.

        Requests that make no call are answered and gone; those that are still there are the likelier to make one.
        """
        timeline = self.timeline
        gone: defaultdict[int, list[float]] = defaultdict(lambda: [0.0] * BINS)
        for route, start, end in zip(timeline.route, timeline.start, timeline.end, strict=True):
            if end != NEVER:
                gone[route][bin_of(max(0, end - start), timeline.tick_ns)] += 1.0
        shares: dict[int, list[float]] = {}
        for route, counts in gone.items():
            total = timeline.route.count(route)
            left = [1.0 - before / total for before in accumulate(counts, initial=0.0)][:BINS]
            shares[route] = [max(FEWEST_LEFT, share) for share in left]
        return shares

    def _event_counts(self) -> list[int]:
        """Per source how many of its events a call may have followed: none does where no request is near."""
        timeline = self.timeline
        routes, edges = len(timeline.words.routes), len(timeline.words.edges)
        events = {(source, reference) for call in self._frame for source, _, _, reference in self._coded[call]}
        for request, route in enumerate(timeline.route):
            events |= {(route, request), (routes + route, request)}
        for call, (edge, idle) in enumerate(zip(timeline.edge, timeline.idle, strict=True)):
            if not idle:
                events |= {(2 * routes + edge, ~call), (2 * routes + edges + edge, ~call)}
        counts = Counter(source for source, _ in events)
        return [counts[source] for source in range(self._sources)]
