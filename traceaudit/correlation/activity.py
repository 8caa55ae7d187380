"""Keeps what is in flight and how often calls happen in each phase, from which the rate of uncaused calls is learned.

Theory of operation. Time is in one of three phases: *busy* (a request is in flight), *tail* (none is, but one ended
less than the grace period ago, so late work may still go on) and *idle*. Calls that nothing caused do not care about
phases; caused ones never start in idle times. So the rate of a route's calls while idle is the rate of its uncaused
calls, and the share of uncaused ones among its busy calls is that rate over the busy rate::

    share = (n_idle + EPSILON) / (T_idle + T_busy / n_busy)  *  T_busy / n_busy

With no idle call ever seen, ``EPSILON`` of one stands in (few services call on their own), and the more idle time was
watched, the less it weighs. With no idle time watched at all the share is ``EPSILON``: not enough to accuse anybody.

A route that is called in idle times is most likely a poller's and nobody else's, and its calls fall into busy times by
chance now and then. So for such a route the share above counts only as far as more busy calls were seen than that
chance explains: ``ALONE`` is the prior that nothing but the poller calls it, and the number of calls is weighed under
both (Poisson's distribution against ``1 / ((n + 1) (n + 2))``, which expects nothing in particular).

Some pollers begin with the traffic (a client that is made on first use). The idle times before say nothing of them, so
what was seen since a route's first call must speak too: as often as it is called outside of a phase it is called inside
by chance, and if it never was outside, ``LATECOMER`` is the prior and the time outside weighs against it.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable
from enum import StrEnum

from traceaudit.correlation.identifiers import Inbound

EPSILON = 0.1
"""Idle calls that are supposed where none was seen: of routes like this, one in ten is called by nobody's request."""


LATECOMER = 0.02
"""Of routes like this, so many are called by something that began with the traffic and goes on by itself."""

_ALIKE = 3
"""Rates that differ by less than this factor may be the same, for the few calls there are."""

ALONE = 0.9
"""The prior that a route which is called in idle times is called by no request: what polls seldom also serves."""


class Phase(StrEnum):
    """What the service was doing."""

    BUSY = "busy"
    TAIL = "tail"
    IDLE = "idle"


class Activity:
    """What is in flight now, what ended a moment ago, and the counts of each phase."""

    def __init__(self, grace_ns: int) -> None:
        self.grace_ns = grace_ns
        self.in_flight: dict[str, Inbound] = {}
        self.ended: deque[Inbound] = deque()
        self._now_ns: int | None = None
        self._time_ns: dict[Phase, int] = dict.fromkeys(Phase, 0)
        self._calls: Counter[tuple[str, Phase]] = Counter()
        self._caused: dict[tuple[str, str, Phase], float] = {}
        self._first_ns: dict[str, dict[Phase, int]] = {}
        """The time of each phase when an edge was first called without an identifier."""

    def advance(self, now_ns: int) -> None:
        """Lets time pass: what ended longer than the grace period ago is no longer a candidate."""
        before = self._now_ns
        if before is None or now_ns <= before:
            self._now_ns = now_ns if before is None else before
            return
        if self.in_flight:
            self._time_ns[Phase.BUSY] += now_ns - before
        else:
            last = self.ended[-1].ended_ns if self.ended else None
            until = before if last is None else min(max(before, last + self.grace_ns), now_ns)
            self._time_ns[Phase.TAIL] += until - before
            self._time_ns[Phase.IDLE] += now_ns - until
        self._now_ns = now_ns
        while self.ended and (self.ended[0].ended_ns or 0) + self.grace_ns < now_ns:
            self.ended.popleft()

    def begin(self, inbound: Inbound) -> None:
        """An inbound request was delivered to the service."""
        self.in_flight[inbound.id] = inbound

    def end(self, inbound_id: str, at_ns: int) -> None:
        """An inbound request's response is over."""
        inbound = self.in_flight.pop(inbound_id, None)
        if inbound is not None:
            inbound.ended_ns = at_ns
            self.ended.append(inbound)

    @property
    def phase(self) -> Phase:
        """What the service is doing now."""
        if self.in_flight:
            return Phase.BUSY
        return Phase.TAIL if self.ended else Phase.IDLE

    def candidates(self) -> list[Inbound]:
        """The requests that may have caused a call made now: those in flight, then those that ended a moment ago."""
        return [*self.in_flight.values(), *self.ended]

    def count(self, edge: str) -> None:
        """A call on this edge (outbound authority and route) started now that carries no request's identifier.

        Those that carry one are caused, and say nothing of how often the others are not.
        """
        self._first_ns.setdefault(edge, dict(self._time_ns))
        self._calls[edge, self.phase] += 1

    def learn(self, edge: str, inbound: Inbound, share: float = 1.0) -> None:
        """A call on this edge was caused by a request of this route, with this probability."""
        key = (edge, inbound.route, Phase.BUSY if inbound.ended_ns is None else Phase.TAIL)
        self._caused[key] = self._caused.get(key, 0.0) + share

    def affinity(self, edge: str, inbound: Inbound) -> float:
        """How readily requests of this route cause calls on this edge in their present phase; a weight, not a share.

        Calls after the response are the exception until they have been seen: one to a hundred.
        """
        phase = Phase.BUSY if inbound.ended_ns is None else Phase.TAIL
        prior = 0.5 if phase is Phase.BUSY else 0.005
        return self._caused.get((edge, inbound.route, phase), 0.0) + prior

    def uncaused(self, edge: str, phase: Phase) -> float:
        """The probability that a call on this edge, made in this phase without an identifier, was caused by nothing."""
        if phase is Phase.IDLE:
            return 1.0
        calls = max(self._calls[edge, phase], 1)
        spacing = self._time_ns[phase] / calls
        watched = self._time_ns[Phase.IDLE] + spacing
        if not watched:
            return EPSILON
        share = (self._calls[edge, Phase.IDLE] + EPSILON) / watched * spacing
        others, other_ns, phase_ns = self._elsewhere(edge, phase)
        if others:
            share = min(1.0, max(share, others / (other_ns + spacing) * spacing))
            by_chance = ALONE * _poisson(calls, share * calls)
            caused_too = (1 - ALONE) / ((calls + 1) * (calls + 2))
            alone = by_chance / (by_chance + caused_too)
            return alone + (1 - alone) * share
        in_phase = phase_ns / (phase_ns + other_ns) if phase_ns else 1.0
        return min(1.0, max(share, LATECOMER * in_phase**calls))

    def _elsewhere(self, edge: str, phase: Phase) -> tuple[int, int, int]:
        """Since the first call on this edge: the calls outside of a phase, the time outside, and the time inside.

        What comes as often while requests are in flight as just after is not the requests' doing. But a route that is
        called far oftener in flight is called by them, and that says nothing of the calls after.
        """
        first = self._first_ns.get(edge, self._time_ns)
        since = {each: self._time_ns[each] - first[each] for each in Phase}
        outside = [Phase.IDLE]
        if phase is Phase.BUSY:
            outside.append(Phase.TAIL)
        elif self._calls[edge, Phase.BUSY] * since[phase] <= _ALIKE * self._calls[edge, phase] * since[Phase.BUSY]:
            outside.append(Phase.BUSY)
        return sum(self._calls[edge, each] for each in outside), sum(since[each] for each in outside), since[phase]

    def rename(self, edge: Callable[[str], str], route: Callable[[str], str]) -> None:
        """Puts together what was counted of edges and routes that now have one name."""
        calls: Counter[tuple[str, Phase]] = Counter()
        for (old, phase), count in self._calls.items():
            calls[edge(old), phase] += count
        self._calls = calls
        caused: dict[tuple[str, str, Phase], float] = {}
        for (old, old_route, phase), share in self._caused.items():
            key = (edge(old), route(old_route), phase)
            caused[key] = caused.get(key, 0.0) + share
        self._caused = caused
        first: dict[str, dict[Phase, int]] = {}
        for old, times in self._first_ns.items():
            known = first.setdefault(edge(old), times)
            if sum(times.values()) < sum(known.values()):
                first[edge(old)] = times
        self._first_ns = first

    def numbers(self, edge: str, phase: Phase) -> dict[str, object]:
        """The counts behind :meth:`uncaused`, for a person."""
        return {
            "idle_calls": self._calls[edge, Phase.IDLE],
            "idle_seconds": round(self._time_ns[Phase.IDLE] / 1e9, 3),
            "uncaused_share": round(self.uncaused(edge, phase), 6),
        }


def _poisson(count: int, expected: float) -> float:
    """The probability of so many where so many are expected."""
    return math.exp(count * math.log(expected) - expected - math.lgamma(count + 1)) if expected > 0 else 0.0
