"""What a service does with a request, as learned: which calls, in which order, how soon, and when it answers.

Theory of operation. A request's history is a sequence of outputs: its calls as they start, its response, and, once it
has answered, that nothing more comes. Two things are learned per inbound route:

- *structure*: how probable each next output is, given how many calls of each edge there were, whether the response is
  out, and whether calls are still unanswered. Optional calls, repeats, fan-out, caches and late calls are all rows
  of this one table. Rare states lean on what follows the last output in general.
- *timing*: the gap before the output. Which event the service was reacting to is not known, so the density of an
  output's time is a mixture over the events it may have reacted to: the request's start, the last sibling's start, the
  last end of a call per edge, the response, a place in a pool that became free. Expectation maximisation finds the
  weights.

What little was seen of a route leans on what requests of the others do (:data:`LENT`).

A request's score is the log density of all its outputs (per nanosecond each). A call that nothing caused scores the log
of its edge's background rate in the same unit, so all explanations of a log can be compared.

Whoever is scored by what was learned from an explanation in which they have a call finds their having it usual. So the
requests are in two *halves* (:attr:`.Timeline.half`), and each is scored by what was learned from the other
(cross-fitting).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from traceaudit.correlation.inference.gaps import BIN, BINS, LOWEST, quantiles, smoothed
from traceaudit.correlation.inference.joins import Joins
from traceaudit.correlation.inference.order import Order
from traceaudit.correlation.inference.timeline import NEVER, UNCAUSED, Timeline, Vocabulary

FREED, JOINED, START, REPLIED = -2, -1, 0, 1
"""Sources, what an output may react to: these, then 2 + 2·edge (a call began) and 3 + 2·edge (a call ended).

``JOINED`` is the end of the last of several calls, when none is left running; ``FREED`` that of any call on the edge,
whoever made it, where a place in a pool of connections may have been waited for.
"""

ANSWER, NOTHING = 0, 1
"""Outputs: the response, "nothing more comes", then 2 + edge (a call on that edge)."""

MOST = 4
"""Calls of one edge are counted up to here; a loop of five looks like a loop of fifty."""

NONE = 1e-9
"""Fewer observations than this are none."""

LATE_COST = 5.0
"""What a call after the response costs in log score where such calls are not believed to be a habit."""

type Configuration = tuple[int, ...]
"""The calls of one request, ascending."""

type Kernel = tuple[float, list[float]]
"""Weight of a source for an output, and the density of the gap between them, per unit of log time."""

NO_KERNELS: dict[int, Kernel] = {}

ANY_ROUTE = -1
"""The route of all requests where routes are not told apart."""

LENT = 2.0
"""So many observations' worth of what requests of other routes do is taken for this route's own: with twenty routes,
most of what a log shows of one has been seen elsewhere before.
"""

type Step = tuple[int, int, int, bool, int, list[tuple[int, int]]]
"""One output: state and last output before it, the output, are calls unanswered, its time, (source, time) of events."""


@dataclass(slots=True)
class _Counts:
    """What learning adds up; weights, for past windows count less and less."""

    gaps: defaultdict[tuple[int, int, int], list[float]] = field(
        default_factory=lambda: defaultdict(lambda: [0.0] * BINS)
    )
    offered: defaultdict[tuple[int, int, int], float] = field(default_factory=lambda: defaultdict(float))
    after_state: defaultdict[tuple[int, int], dict[tuple[int, bool], float]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    after_output: defaultdict[tuple[int, int], dict[tuple[int, bool], float]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    uncaused: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    span_ns: float = 0.0

    def plus(self, *others: _Counts) -> _Counts:
        """All of them together."""
        together = _Counts()
        for each in (self, *others):
            together.add(each, 1.0)
        return together

    def of_all_routes(self) -> _Counts:
        """The gaps, and what came after which output, as if all requests were of :data:`ANY_ROUTE`."""
        together = _Counts()
        for (_, source, output), histogram in self.gaps.items():
            gaps = together.gaps[ANY_ROUTE, source, output]
            gaps[:] = [before + count for before, count in zip(gaps, histogram, strict=True)]
        for (_, source, output), count in self.offered.items():
            together.offered[ANY_ROUTE, source, output] += count
        for (_, last), cells in self.after_output.items():
            row = together.after_output[ANY_ROUTE, last]
            for cell, count in cells.items():
                row[cell] = row.get(cell, 0.0) + count
        return together

    def add(self, other: _Counts, weight: float) -> None:
        """Adds another's counts, weighed."""
        for gap_key, histogram in other.gaps.items():
            mine = self.gaps[gap_key]
            for position, count in enumerate(histogram):
                mine[position] += weight * count
        for key, count in other.offered.items():
            self.offered[key] += weight * count
        for edge, count in other.uncaused.items():
            self.uncaused[edge] += weight * count
        for table, more in ((self.after_state, other.after_state), (self.after_output, other.after_output)):
            for row, cells in more.items():
                for cell, count in cells.items():
                    table[row][cell] = table[row].get(cell, 0.0) + weight * count
        self.span_ns += weight * other.span_ns


@dataclass(slots=True)
class _Tables:
    """What one half of the requests is scored by."""

    counts: _Counts = field(default_factory=_Counts)
    """Of the other half, and of past windows."""
    everywhere: _Counts = field(default_factory=_Counts)
    """The same, of all routes together."""
    kernels: dict[tuple[int, int, int], Kernel] = field(default_factory=dict)
    """By route, source and output."""
    by_output: dict[tuple[int, int], dict[int, Kernel]] = field(default_factory=dict)
    """The same where scoring looks for them: by route and output, then by source."""
    structure: dict[tuple[int, int, int, int, bool], float] = field(default_factory=dict)
    """Log probabilities of outputs, as they are asked for."""

    def learn(self, counts: _Counts) -> None:
        """Makes the tables anew from what was counted."""
        self.counts, self.everywhere, self.structure = counts, counts.of_all_routes(), {}
        self.kernels = {}
        for key, histogram in counts.gaps.items():
            of_all = (ANY_ROUTE, *key[1:])
            others = self.everywhere.offered[of_all] - counts.offered[key]
            part, gaps = _part(others), histogram
            if part > 0.0:
                everyones = self.everywhere.gaps[of_all]
                gaps = [mine + part * (all_ - mine) for mine, all_ in zip(histogram, everyones, strict=True)]
            weight = sum(gaps) / (counts.offered[key] + part * others)
            self.kernels[key] = (max(1e-4, weight), smoothed(gaps))
        self.index()

    def index(self) -> None:
        """Puts kernels where scoring looks for them."""
        self.by_output = {}
        for (route, source, output), kernel in self.kernels.items():
            self.by_output.setdefault((route, output), {})[source] = kernel


class Behaviour:
    """The learned tables, the score they give, and how they are learned."""

    def __init__(self, words: Vocabulary) -> None:
        self.words = words
        self.background: dict[int, float] = {}
        self.most_uncaused_share = 1.0
        """No more than this share of an edge's calls is believed to be caused by nothing."""
        self.late: bool | None = None  # Are calls after the response a habit here? None: not yet decided.
        self.joins = Joins()
        self.order = Order()
        self._halves = (_Tables(), _Tables())
        self._past = _Counts()
        """What was learned in former windows."""
        self._counts = _Counts()
        """That, and what was learned in this one."""
        self._unseen: Kernel = (0.01, smoothed([0.0] * BINS))
        self._states: dict[tuple[tuple[int, int], ...], int] = {(): 0}
        self._contents: list[tuple[tuple[int, int], ...]] = [()]
        self._moves: dict[tuple[int, int], int] = {}

    def believing(self, *, late: bool) -> Behaviour:
        """An independent copy that holds calls after the response for a habit of the service, or not."""
        twin = Behaviour(self.words)
        twin.become(self)
        twin.late = late
        return twin

    def become(self, other: Behaviour) -> None:
        """Takes over what another has learned."""
        self.late = other.late
        self.background = dict(other.background)
        self.joins = other.joins.copy()
        self.order = other.order.copy()
        for mine, theirs in zip(self._halves, other._halves, strict=True):
            mine.counts, mine.everywhere = theirs.counts, theirs.everywhere
            mine.kernels, mine.structure = dict(theirs.kernels), {}
            mine.index()
        self._past, self._counts = other._past, other._counts
        self._states, self._contents, self._moves = other._states, other._contents, other._moves

    def seed(self, kernels: dict[tuple[int, int], Kernel], background: dict[int, float]) -> None:
        """Starts from the one-by-one guess of :class:`~.triggering.Triggering`, whose numbering of sources it knows."""
        routes, edges = len(self.words.routes), len(self.words.edges)
        totals: defaultdict[int, float] = defaultdict(float)
        for (_, edge), (count, _) in kernels.items():
            totals[edge] += count
        for half in self._halves:
            for (source, edge), (count, density) in kernels.items():
                kernel = (max(1e-4, count / max(1e-9, totals[edge])), density)
                if source < 2 * routes:
                    half.kernels.setdefault((source % routes, source // routes, 2 + edge), kernel)
                    continue
                ended, sibling = divmod(source - 2 * routes, edges)
                for route in range(routes):
                    half.kernels.setdefault((route, 2 + 2 * sibling + ended, 2 + edge), kernel)
            half.index()
        for edge, rate in background.items():
            self.background.setdefault(edge, rate)

    def score(self, timeline: Timeline, request: int, configuration: Configuration) -> float:
        """The log density of the request's outputs if exactly these calls are its own; -inf if they cannot be."""
        if configuration and timeline.call_start[configuration[0]] < timeline.start[request]:
            return -math.inf
        history = self._history(timeline, request, configuration)
        opinions = self.joins.score(timeline, request, configuration)
        opinions += self.order.score(timeline, request, configuration)
        if timeline.hints:
            opinions += sum(_hinted(timeline, request, call) for call in configuration)
        return self._scored(timeline, request, history) + opinions

    def extension(self, timeline: Timeline, request: int, configuration: Configuration, call: int) -> float:
        """The log density of the request's next output being this call, after those it has made so far."""
        if timeline.call_start[call] < timeline.start[request]:
            return -math.inf
        steps = self._history(timeline, request, (*configuration, call))
        last = [step for step in steps if step[2] > NOTHING][-1:]
        return self._scored(timeline, request, last) + _hinted(timeline, request, call)

    def _scored(self, timeline: Timeline, request: int, steps: list[Step]) -> float:
        route, tick, half = timeline.route[request], timeline.tick_ns, self._halves[timeline.half[request]]
        by_output, structure, unseen, log = half.by_output, half.structure, self._unseen, math.log
        total = 0.0
        for state, last, output, waiting, now, sources in steps:
            key = (route, state, last, output, waiting)
            known = structure.get(key)
            if known is None:
                known = structure[key] = self._structural(half, key)
            total += known
            if output == NOTHING:
                continue
            summed = weights = 0.0
            kernels = by_output.get((route, output), NO_KERNELS)
            for source, time in sources:
                weight, density = kernels.get(source, unseen)
                gap = now - time + tick
                position = int((log(gap) - LOWEST) / BIN)
                weights += weight
                summed += weight * density[position if position < BINS else BINS - 1] / gap
            total += log(summed / weights)
        return total

    def uncaused(self, edge: int) -> float:
        """The log rate (per nanosecond) of calls that nothing caused."""
        return math.log(self.background[edge])

    def learn(self, timeline: Timeline, worlds: Sequence[tuple[Sequence[Configuration], Sequence[int]]]) -> None:
        """Learns anew from explanations of the log, the best one first.

        Each gives every request's calls and every call's owner.
        """
        halves, weight = (_Counts(), _Counts()), 1.0 / len(worlds)
        explanations: list[tuple[int, Configuration]] = []
        for configurations, owners in worlds:
            for request, configuration in enumerate(configurations):
                self._count(timeline, request, configuration, halves[timeline.half[request]], weight)
                explanations.append((request, configuration))
            for call, owner in enumerate(owners):
                halves[0].uncaused[timeline.edge[call]] += weight * (owner == UNCAUSED)
        halves[0].span_ns = timeline.span_ns
        self._counts = self._past.plus(*halves)
        for tables, others in zip(self._halves, reversed(halves), strict=True):
            tables.learn(self._past.plus(others))
        self.joins.learn(timeline, explanations)
        self.order.learn(timeline, explanations[: len(timeline.requests)])
        most = timeline.most_uncaused()
        for edge, count in Counter(timeline.edge).items():
            allowed = min(most[edge], self.most_uncaused_share * (count + 0.5) / timeline.span_ns)
            self.background[edge] = min((self._counts.uncaused[edge] + 0.5) / self._counts.span_ns, allowed)

    def remember(self) -> None:
        """Ends a window: what was learned so far counts half in the next."""
        self._past = _Counts()
        self._past.add(self._counts, 0.5)

    def reaction(
        self, timeline: Timeline, request: int, configuration: Configuration, call: int
    ) -> tuple[float, float, float] | None:
        """The gap before a call of a request, and the 5th and 95th percentile of such gaps; None if never seen."""
        steps = [
            step
            for step in self._history(timeline, request, tuple(sorted({*configuration, call})))
            if step[2] == 2 + timeline.edge[call] and step[4] == timeline.call_start[call]
        ]
        kernels = self._halves[timeline.half[request]].kernels
        best: tuple[float, float, list[float]] | None = None
        for source, time in steps[-1][5] if steps else ():
            weight, density = kernels.get((timeline.route[request], source, steps[-1][2]), self._unseen)
            gap = timeline.call_start[call] - time + timeline.tick_ns
            share = weight * density[min(int((math.log(gap) - LOWEST) / BIN), BINS - 1)] / gap
            if best is None or share > best[0]:
                best = share, gap - timeline.tick_ns, density
        if best is None:
            return None
        low, high = quantiles(best[2], 0.05, 0.95)
        return best[1], max(0.0, low - timeline.tick_ns), max(0.0, high - timeline.tick_ns)

    def _count(
        self, timeline: Timeline, request: int, configuration: Configuration, counts: _Counts, amount: float
    ) -> None:
        route, tick, kernels = timeline.route[request], timeline.tick_ns, self._halves[timeline.half[request]].kernels
        for state, last, output, waiting, now, sources in self._history(timeline, request, configuration):
            for table, row in ((counts.after_state, (route, state)), (counts.after_output, (route, last))):
                cells = table[row]
                cells[output, waiting] = cells.get((output, waiting), 0.0) + amount
            if output == NOTHING:
                continue
            shares = []
            for source, time in sources:
                key = (route, source, output)
                weight, density = kernels.get(key, self._unseen)
                gap = now - time + tick
                position = min(int((math.log(gap) - LOWEST) / BIN), BINS - 1)
                shares.append((key, position, weight * density[position] / gap))
            total = sum(share for _, _, share in shares)
            for key, position, share in shares:
                counts.gaps[key][position] += amount * share / total
                counts.offered[key] += amount

    def _structural(self, tables: _Tables, key: tuple[int, int, int, int, bool]) -> float:
        """The log probability of an output in a state; see the theory of operation."""
        route, state, last, output, waiting = key
        cell, outcomes = (output, waiting), 2 * (2 + len(self.words.edges))
        general = tables.counts.after_output.get((route, last), {})
        everywhere = tables.everywhere.after_output.get((ANY_ROUTE, last), {})
        mine, count = sum(general.values()), general.get(cell, 0.0)
        others = sum(everywhere.values()) - mine
        part = _part(others)
        lent = part * (everywhere.get(cell, 0.0) - count)
        leaning = (count + lent + 1.0 / outcomes) / (mine + part * others + 1.0)
        special = tables.counts.after_state.get((route, state), {})
        cost = LATE_COST if not self.late and output > NOTHING and self._contents[state][:1] == ((-1, 1),) else 0.0
        return -cost + math.log((special.get(cell, 0.0) + leaning) / (sum(special.values()) + 1.0))

    def _history(self, timeline: Timeline, request: int, configuration: Configuration) -> list[Step]:
        """The request's outputs in the order they came."""
        start, end = timeline.start[request], timeline.end[request]
        call_start, call_end, edges, freed = timeline.call_start, timeline.call_end, timeline.edge, timeline.freed
        outputs = [(call_start[call], call) for call in configuration]
        if end < NEVER:
            outputs.insert(sum(now <= end for now, _ in outputs), (end, -1))
        steps: list[Step] = []
        state, last, replied = 0, -1, False
        began: tuple[int, int] | None = None
        ended: dict[int, int] = {}
        running: list[int] = []
        for now, call in outputs:
            sources = [(START, start)]
            if come := [other for other in running if call_end[other] <= now]:
                running = [other for other in running if call_end[other] > now]
                for other in come:
                    source = 3 + 2 * edges[other]
                    if call_end[other] > ended.get(source, -NEVER):
                        ended[source] = call_end[other]
            if ended:
                sources += ended.items()
                if not running and len(ended) > 1:
                    sources.append((JOINED, max(ended.values())))
            if began is not None:
                sources.append(began)
            if call < 0:
                steps.append((state, last, ANSWER, bool(running), now, sources))
                replied, last, state = True, ANSWER, self._next(state, -1)
                continue
            if replied:
                sources.append((REPLIED, end))
            edge, place = edges[call], freed[call]
            if place is not None and place > max(time for _, time in sources):
                sources.append((FREED, place))
            steps.append((state, last, 2 + edge, bool(running), now, sources))
            began, last, state = (2 + 2 * edge, now), 2 + edge, self._next(state, edge)
            running.append(call)
        if replied:
            steps.append((state, last, NOTHING, False, end, []))
        return steps

    def _next(self, state: int, edge: int) -> int:
        """The state after one more call on an edge, or after the response (-1)."""
        found = self._moves.get((state, edge))
        if found is None:
            counts = dict(self._contents[state])
            counts[edge] = min(MOST, counts.get(edge, 0) + 1)
            content = tuple(sorted(counts.items()))
            found = self._states.setdefault(content, len(self._contents))
            if found == len(self._contents):
                self._contents.append(content)
            self._moves[state, edge] = found
        return found


def _part(others: float) -> float:
    """The part of what was observed of other routes that is lent to one."""
    return LENT / max(LENT, others) if others > NONE else 0.0


def _hinted(timeline: Timeline, request: int, call: int) -> float:
    """The log odds that something else than time gives for the call being the request's."""
    hinted, odds = timeline.hints.get(call, (None, 0.0))
    return odds if hinted == request else 0.0
