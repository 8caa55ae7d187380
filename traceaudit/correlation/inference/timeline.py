"""One window of traffic in the form the arithmetic wants: indices and arrays, in time order.

Requests and calls are numbered in the order they started (ties by id, so that the order of the input never matters);
routes and edges are numbered once and for all by a :class:`Vocabulary` that outlives the window. For each call the
timeline lists the recent events the service may have been reacting to.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from traceaudit.correlation.records import Call, Request

NEVER = 1 << 62
"""The end of what never ended."""

UNCAUSED = -1
"""The owner of a call that nothing caused."""

UNDECIDED = -2
"""The label of a call that the engine is asked about."""

CONSIDERED = 64
"""Requests in flight that are looked at as the possible cause of a call; where there are more, it may be another."""

BLOCK, FEWEST_BLOCKS = 32, 4
"""So many requests in a row, or fewer, where there would be fewer such blocks, are in the same half."""

SEVERAL = 2
"""So many calls at once are the least that a limit is recognised by."""

type Stimulus = tuple[int, int, int]
"""What a call may react to: source code (:class:`Vocabulary`), gap in ns, reference (request, or ``~call``)."""


@dataclass(slots=True)
class Vocabulary:
    """Numbers for routes and edges, given once, in order of appearance."""

    routes: dict[str, int] = field(default_factory=dict)
    edges: dict[str, int] = field(default_factory=dict)

    def route(self, name: str) -> int:
        """The number of an inbound route."""
        return self.routes.setdefault(name, len(self.routes))

    def edge(self, name: str) -> int:
        """The number of an outbound edge."""
        return self.edges.setdefault(name, len(self.edges))


class Timeline:
    """Requests and calls of one window as parallel lists; index is identity."""

    def __init__(self, requests: Iterable[Request], calls: Iterable[Call], words: Vocabulary) -> None:
        self.requests = sorted(requests, key=lambda request: (request.started_ns, request.id))
        self.calls = sorted(calls, key=lambda call: (call.started_ns, call.id))
        self.words = words
        self.route = [words.route(request.route) for request in self.requests]
        self.start = [request.started_ns for request in self.requests]
        self.end = [
            NEVER if request.ended_ns is None else max(request.started_ns, request.ended_ns)
            for request in self.requests
        ]
        self._ends = sorted(self.end)
        self.edge = [words.edge(call.edge) for call in self.calls]
        self.call_start = [call.started_ns for call in self.calls]
        self.call_end = [NEVER if call.ended_ns is None else max(call.started_ns, call.ended_ns) for call in self.calls]
        numbers = {request.id: number for number, request in enumerate(self.requests)}
        self.label = [_label(call, numbers) for call in self.calls]
        self.hints = {
            number: (numbers[call.hint[0]], call.hint[1])
            for number, call in enumerate(self.calls)
            if call.hint is not None and call.hint[0] in numbers
        }
        """Calls for which something else than time speaks: the request, and with which log odds."""
        self.freed = self._freed()
        """Per call when the place was freed that it may have waited for: the last end of a call on its edge, where as
        many ran then as ever do. ``None``: it can have waited for none.
        """
        self.half = _halves(len(self.requests))
        """Which half of the requests, 0 or 1, each is in. They alternate in blocks: requests whose calls may have been
        swapped are in the same one, and both are there in a log of a dozen requests.
        """
        self.turn = _turns(self.route)
        self.call_turn = _turns(self.edge)
        self.tick_ns = float(max(1000, self._resolution()))
        finished = [time for time in (*self.end, *self.call_end) if time != NEVER]
        self.span_ns = max(1, max(finished + self.start + self.call_start, default=1) - self.first_ns)
        self.busy = self._busy()
        """The spans of time in which requests were in flight."""
        self.idle_ns = self.span_ns - sum(end - start for start, end in self.busy)
        self.idle = self._idle()
        """Whether each call began while none was."""
        idle_calls = Counter(edge for edge, idle in zip(self.edge, self.idle, strict=True) if idle)
        self.idle_calls = [idle_calls[edge] for edge in range(len(self.words.edges))]
        """Per edge how many did."""

    @property
    def first_ns(self) -> int:
        """When the window's first exchange started."""
        return min(self.start[:1] + self.call_start[:1], default=0)

    def most_uncaused(self) -> list[float]:
        """Per edge the highest plausible rate (per nanosecond) of uncaused calls: what idle times allow.

        A log without idle times allows everything.
        """
        return [(count + 2.0) / max(self.idle_ns, 1) for count in self.idle_calls]

    def _busy(self) -> list[tuple[int, int]]:
        last_ns = self.first_ns + self.span_ns
        spans: list[tuple[int, int]] = []
        for start, end in sorted(zip(self.start, self.end, strict=True)):
            if spans and start <= spans[-1][1]:
                spans[-1] = spans[-1][0], max(spans[-1][1], min(end, last_ns))
            else:
                spans.append((start, min(end, last_ns)))
        return spans

    def _idle(self) -> list[bool]:
        idle, position = [], -1
        for start in self.call_start:
            while position + 1 < len(self.busy) and self.busy[position + 1][0] <= start:
                position += 1
            idle.append(position < 0 or start > self.busy[position][1])
        return idle

    def _freed(self) -> list[int | None]:
        last: list[int | None] = [None] * len(self.calls)
        running, most = Counter[int](), Counter[int]()
        latest: dict[int, int] = {}
        at_once = [0] * len(self.calls)
        for time, kind, number in self._events():
            if kind == 2:
                edge = self.edge[number]
                running[edge] += 1
                most[edge] = max(most[edge], running[edge])
                at_once[number], last[number] = running[edge], latest.get(edge)
            elif kind in {1, 3}:
                edge = self.edge[number]
                running[edge] -= 1
                latest[edge] = time
        full = [count == most[edge] >= SEVERAL for count, edge in zip(at_once, self.edge, strict=True)]
        return [time if is_full else None for time, is_full in zip(last, full, strict=True)]

    def _resolution(self) -> int:
        """The clock's tick: what divides every time in the window, at most 20 ms."""
        first = self.first_ns
        times = (*self.start, *self.end, *self.call_start, *self.call_end)
        return min(20_000_000, math.gcd(*(time - first for time in times if time != NEVER)) or 1)

    def in_flight(self, now_ns: int) -> int:
        """How many requests are being served at a moment."""
        return bisect_right(self.start, now_ns) - bisect_left(self._ends, now_ns)

    def there(self, now_ns: int) -> list[int]:
        """The requests that are being served at a moment."""
        return [request for request in range(bisect_right(self.start, now_ns)) if self.end[request] >= now_ns]

    def stimuli(self, late_ns: int) -> list[list[Stimulus]]:
        """For each call the recent events it may be a reaction to, per source the most recent first.

        Sources are numbered: request start ``route``, response ``R + route``, sibling's start ``2R + edge``, sibling's
        end ``2R + E + edge``, for R routes and E edges known so far.
        """
        routes, edges = len(self.words.routes), len(self.words.edges)
        depth = self._depth()
        flight: dict[int, None] = {}
        recent: list[deque[tuple[int, int]]] = [deque(maxlen=depth) for _ in range(2 * routes + 2 * edges)]
        found: list[list[Stimulus]] = [[] for _ in self.calls]
        for time, kind, number in self._events():
            if kind == 0:
                flight[number] = None
            elif kind in {1, 3}:
                recent[2 * routes + edges + self.edge[number]].append((time, ~number))
            elif kind == 2:
                found[number] = self._recent(time, flight, recent, late_ns)
                recent[2 * routes + self.edge[number]].append((time, ~number))
            else:
                flight.pop(number, None)
                recent[routes + self.route[number]].append((time, number))
        return found

    def _depth(self) -> int:
        """How many events of one source are remembered: more when more is in flight."""
        served = sum(min(end, start + self.span_ns) - start for start, end in zip(self.start, self.end, strict=True))
        return max(6, min(24, 2 + int(served / max(1, self.span_ns - self.idle_ns) / 3)))

    def _events(self) -> list[tuple[int, int, int]]:
        """Everything that happened in time order; on a tie causes come before effects."""
        starts = self.call_start
        events = [(time, 0, number) for number, time in enumerate(self.start)]
        events += [(time, 2, number) for number, time in enumerate(starts)]
        events += [(time, 4, number) for number, time in enumerate(self.end) if time != NEVER]
        for number, time in enumerate(self.call_end):
            if time != NEVER:  # A call that ended in the tick it started in has not ended before it started.
                events.append((time, 3 if time <= starts[number] else 1, number))
        return sorted(events)

    def _recent(
        self, now: int, flight: dict[int, None], recent: Sequence[deque[tuple[int, int]]], late_ns: int
    ) -> list[Stimulus]:
        found = [
            (self.route[number], now - self.start[number], number) for number in islice(reversed(flight), CONSIDERED)
        ]
        horizon = now - late_ns
        for source, events in enumerate(recent):
            found += [(source, now - time, reference) for time, reference in reversed(events) if time >= horizon]
        return found


def _halves(requests: int) -> list[int]:
    block = min(BLOCK, -(-requests // FEWEST_BLOCKS))
    return [request // block % 2 for request in range(requests)]


def _turns(kinds: Sequence[int]) -> list[int]:
    """The place of each among those of its kind."""
    counts: dict[int, int] = {}
    turns = []
    for kind in kinds:
        turns.append(counts.get(kind, 0))
        counts[kind] = turns[-1] + 1
    return turns


def _label(call: Call, numbers: dict[str, int]) -> int:
    if call.known is None:
        return UNDECIDED
    (cause,) = call.known
    return UNCAUSED if cause is None else numbers.get(cause, UNCAUSED)
