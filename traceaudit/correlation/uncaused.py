"""Learns which calls come by themselves: pollers, tickers, watches, whatever no request has caused.

Theory of operation. Time is sorted by how many requests are in flight: none for long (*idle*), none but one ended a
moment ago (*tail*), one, two, and so on, and by whether a response has *just* been given. What comes by itself does
not care: its calls fall into each kind of time in proportion to its length. What requests cause comes in proportion to
how many there are, or right after responses. So the calls of a route, sorted the same way, tell how large a share of
them is uncaused; a minute without requests tells most, but two and twenty in flight tell too.

The share is weighed on a grid (:data:`_SHARES`), each with its likelihood and a prior. What comes by itself may have
done so all the time, may have begun with the route's first call (a client that is made on first use), or may pause
while there is no traffic; each is tried. Calls are not independent of each other, so likelihoods count less than half.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

IDLE, TAIL, FRESH = 0, 1, 2
"""Kinds of time without a request in flight: for long, since a while, since a moment (the grace period's first part).
The others follow by the number of requests, and by whether a response has just been given.
"""

JUST_NS = 1_500_000
"""So long a response has just been given. What a request leaves to be done after it begins then, mostly: that is how it
can be told from what comes by itself, where another request is always in flight.
"""

FRESH_PART = 0.2
"""The part of the grace period in which most late work begins; a goroutine that is started takes no time to start."""

_FIRST = 3

_LEVELS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_KINDS = _FIRST + 2 * (len(_LEVELS) + 1)

_SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0)
"""Shares of uncaused calls that are weighed: mostly a route is called by requests alone, or by none."""

_SOON, _RIGHT_AFTER = (0.2, 0.6, 0.2), (0.96, 0.03, 0.01)
"""How calls after a response spread over the time when it has just been given, that which is fresh, and the tail."""

_LATE = (
    (0.001, _SOON, 0.44), (0.05, _SOON, 0.14), (0.3, _SOON, 0.05), (0.9, _SOON, 0.05), (0.999, _SOON, 0.17),
    (0.999, _RIGHT_AFTER, 0.05), (0.6, _RIGHT_AFTER, 0.05), (0.3, _RIGHT_AFTER, 0.05),
)  # fmt: skip
"""Shares of a route's caused calls that come after the response, how these spread, and the priors. Of what is begun
with the response, half or more may be seen before that is over.
"""

ALONE, ALONE_CROWDED, ALONE_BESIDE = 0.05, 0.2, 0.9
"""Priors that a route is called by no request: with one in flight; with many, where more of what goes on is hidden; and
where nearly all other calls of the route carry an identifier, so that these few are of another kind.
"""

_BESIDE = 3
"""So many calls with an identifier to one without are nearly all."""

_BOTH = 0.02
"""Prior that a route is called by requests and by itself."""

_STRAY = 1e-4
"""Share of caused calls that start when no request is there: late work beyond the grace period."""

_TEMPER = 0.4
"""Calls of one request come together; so much of each counts as evidence of its own."""

_BATCHED = (0.25, 0.5)
"""Parts of its calls that come right after a response, by chance, where what calls is a batch: a timer sends it some
milliseconds after there is something in it.
"""

_VARIANTS = (0.65, 0.2, 0.13, 0.01, 0.01)
"""Priors: always, since the first call, only while there is traffic, and as a batch with each of those parts."""

_INTERVALS, _TICKS, _JITTER, _MOSTLY = 32, 6, 0.05, 0.8
"""A route is called by the clock when of its last intervals, six at least, four in five differ by five percent at most
from the usual one, and some calls came while there was no request.
"""

_ENOUGH = 3
"""Requests that must have made the same calls before that is more than chance."""

_HALF = 0.5
"""The share of uncaused calls up to which an edge is taken for one that requests call, if not they alone."""

_LOOK_AGAIN = 1.1
"""By this factor calls or time must grow before a route is weighed anew."""


def kind_of(in_flight: int, *, just: bool = False) -> int:
    """The kind of time with so many requests in flight, at least one unless a response has just been given."""
    return _FIRST + 2 * bisect_left(_LEVELS, in_flight) + just


def regular(intervals: Collection[int], jitter: float) -> bool:
    """Whether four in five of them differ by no more than this part from the usual one."""
    usual = sorted(intervals)[len(intervals) // 2] if intervals else 0
    return sum(abs(each - usual) <= jitter * usual for each in intervals) >= _MOSTLY * len(intervals)


def _parts(amounts: Collection[int]) -> list[float]:
    """What part of all each is; none is nothing, for a call takes a moment, too."""
    total = sum(amounts) + len(amounts)
    return [(amount + 1) / total for amount in amounts]


@dataclass(frozen=True, slots=True)
class _Weighed:
    """What was known of an edge after so many calls and so much time."""

    calls: int
    watched_ns: int
    by_kind: list[float]
    shares: dict[float, float]


class Uncaused:
    """Times and calls by kind; :meth:`share` is what they say of a call."""

    def __init__(self) -> None:
        self.time_ns = [0] * _KINDS
        self._requests_ns = [0] * _KINDS
        """Time in each kind, as often as requests were in flight."""
        self._answers = [0] * _KINDS
        """Responses by the kind of time that followed."""
        self._calls: dict[str, list[int]] = {}
        self._first: dict[str, list[int]] = {}
        self._identified: Counter[str] = Counter()
        self._weighed: dict[str, _Weighed] = {}
        self._last_ns: dict[str, int] = {}
        self._intervals: dict[str, deque[int]] = {}

    def watch(self, kind: int, in_flight: int, ns: int) -> None:
        """So much time has passed in this way."""
        self.time_ns[kind] += ns
        self._requests_ns[kind] += ns * in_flight

    def answered(self, in_flight: int) -> None:
        """A response was given, and so many other requests are still in flight."""
        self._answers[kind_of(in_flight, just=True)] += 1

    def count(self, edge: str, kind: int, now_ns: int) -> None:
        """A call without any request's identifier was made now."""
        intervals = self._intervals.setdefault(edge, deque(maxlen=_INTERVALS))
        if edge in self._last_ns:
            intervals.append(now_ns - self._last_ns[edge])
        self._last_ns[edge] = now_ns
        calls = self._calls.get(edge)
        if calls is None:
            calls = self._calls[edge] = [0] * _KINDS
            self._first[edge] = list(self.time_ns)
        calls[kind] += 1

    def count_identified(self, edge: str) -> None:
        """A call with an identifier was made: it is caused, and says how the others should look."""
        self._identified[edge] += 1

    def idle_calls(self, edge: str) -> int:
        """Calls that were made while no request was there."""
        return self._calls.get(edge, [0])[IDLE]

    def is_caused(self, edge: str) -> bool:
        """Whether calls on an edge without identifiers have been made by requests, as far as can be known."""
        calls = self._calls.get(edge)
        return calls is not None and sum(calls) >= _ENOUGH and self.share(edge, kind_of(1)) <= _HALF

    def comes_with(self, edge: str, requests: int) -> bool:
        """Whether so many requests have each made equally many calls (the last may not have made all), and none came
        while there was no request.
        """
        calls = self._calls.get(edge)
        if calls is None or calls[IDLE] or requests < _ENOUGH:
            return False
        number = sum(calls)
        each = -(-number // requests)
        return number > each * (requests - 1)

    def share(self, edge: str, kind: int) -> float:
        """The probability that a call without an identifier, made in this kind of time, was caused by nothing."""
        if kind == IDLE:
            return 1.0
        weighed = self._look(edge)
        if weighed is None:
            return ALONE_CROWDED
        return 1.0 if self._ticks(edge) else weighed.by_kind[kind]

    def _ticks(self, edge: str) -> bool:
        """Whether the calls on an edge come by the clock, whatever the requests do."""
        intervals = self._intervals[edge]
        if len(intervals) < _TICKS or self.idle_calls(edge) < _ENOUGH:
            return False
        return regular(intervals, _JITTER)

    def all_by_themselves(self, edge: str, number: int) -> float:
        """The probability that not one of so many calls on an edge, made while requests were there, was caused."""
        weighed = self._look(edge)
        if weighed is None:
            return ALONE_CROWDED
        if self._ticks(edge):
            return 1.0
        return sum(posterior * share**number for share, posterior in weighed.shares.items())

    def _look(self, edge: str) -> _Weighed | None:
        """What is known of an edge, weighed anew when there is enough to learn; ``None``: it was never called."""
        calls = self._calls.get(edge)
        if calls is None:
            return None
        number, watched_ns = sum(calls), sum(self.time_ns)
        weighed = self._weighed.get(edge)
        if weighed is None or max(number / weighed.calls, watched_ns / weighed.watched_ns) > _LOOK_AGAIN:
            weighed = self._weighed[edge] = _Weighed(number, max(watched_ns, 1), *self._weigh(edge, calls))
        return weighed

    def rename(self, edge: Callable[[str], str]) -> None:
        """Puts edges together that now have one name."""
        calls, first, self._weighed = self._calls, self._first, {}
        self._calls, self._first = {}, {}
        for old, counts in calls.items():
            new = edge(old)
            before = self._calls.get(new)
            self._calls[new] = counts if before is None else [a + b for a, b in zip(before, counts, strict=True)]
            self._first[new] = min(self._first.get(new, first[old]), first[old], key=sum)
        self._last_ns = {edge(old): last for old, last in self._last_ns.items()}
        self._intervals = {edge(old): intervals for old, intervals in self._intervals.items()}
        identified, self._identified = self._identified, Counter()
        for old, count in identified.items():
            self._identified[edge(old)] += count

    # --- the weighing -------------------------------------------------------------------------------------------------

    def _weigh(self, edge: str, calls: list[int]) -> tuple[list[float], dict[float, float]]:
        """The probability that a call is uncaused in each kind of time, and that of each share of uncaused calls."""
        there = [kind for kind, count in enumerate(calls) if count]
        uncaused, caused = list(self._by_itself(edge)), list(self._by_requests())
        scored: list[tuple[float, float, list[float], list[float]]] = []
        temper = max(_TEMPER, 1 / sum(calls))
        for share, share_prior in self._priors(edge, calls):
            for by_itself, variant_prior in uncaused:
                for by_requests, late_prior in caused:
                    mixed = [share * by_itself[kind] + (1 - share) * by_requests[kind] for kind in there]
                    if min(mixed) <= 0:
                        continue
                    likelihood = sum(calls[kind] * math.log(part) for kind, part in zip(there, mixed, strict=True))
                    prior = math.log(share_prior * variant_prior * late_prior)
                    scored.append((temper * likelihood + prior, share, by_itself, by_requests))
        if not scored:
            return [ALONE_CROWDED] * _KINDS, {1.0: ALONE_CROWDED}
        best = max(score for score, *_ in scored)
        weighed = [(math.exp(score - best), share, alone, due) for score, share, alone, due in scored]
        total = sum(weight for weight, *_ in weighed)
        shares = dict.fromkeys(_SHARES, 0.0)
        for weight, share, *_ in weighed:
            shares[share] += weight / total
        return [self._posterior(kind, weighed) for kind in range(_KINDS)], shares

    @staticmethod
    def _posterior(kind: int, weighed: list[tuple[float, float, list[float], list[float]]]) -> float:
        total = found = 0.0
        for weight, share, by_itself, by_requests in weighed:
            alone = share * by_itself[kind]
            either = alone + (1 - share) * by_requests[kind]
            if either > 0:
                total += weight
                found += weight * alone / either
        return found / total if total else 1.0

    def _priors(self, edge: str, calls: list[int]) -> Iterator[tuple[float, float]]:
        """Each share of uncaused calls with its prior."""
        number = sum(calls)
        crowded = sum(calls[kind_of(2) :]) / number
        alone = ALONE + (ALONE_CROWDED - ALONE) * crowded
        both = _BOTH
        if self._identified[edge] > _BESIDE * number:
            alone = ALONE_BESIDE
        between = len(_SHARES) - 2
        for share in _SHARES:
            yield share, 1 - alone - both if share == 0 else alone if share == 1 else both / between

    def _by_itself(self, edge: str) -> Iterator[tuple[list[float], float]]:
        """How calls that come by themselves spread over the kinds of time: as these are long."""
        always = self.time_ns
        since = [now - before for now, before in zip(always, self._first[edge], strict=True)]
        with_traffic = [0, *always[1:]]
        *spreads, paused = (_parts(times) for times in (always, since, with_traffic))
        after = _parts(self._answers)
        for just in (0.0, *_BATCHED):
            spreads.append([(1 - just) * part + just * soon for part, soon in zip(paused, after, strict=True)])
        yield from zip(spreads, _VARIANTS, strict=True)

    def _by_requests(self) -> Iterator[tuple[list[float], float]]:
        """How caused calls spread: as requests are in flight, but for those after the response."""
        busy, after = _parts(self._requests_ns), _parts(self._answers)
        for late, (just, fresh, tail), prior in _LATE:
            spread = [(1 - late - _STRAY) * part + late * just * soon for part, soon in zip(busy, after, strict=True)]
            spread[IDLE], spread[TAIL], spread[FRESH] = _STRAY, late * tail, late * fresh
            yield spread, prior
