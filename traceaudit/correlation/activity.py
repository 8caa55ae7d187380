"""Keeps what is in flight, what ended a moment ago, and how readily requests of a route cause calls on an edge."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from enum import StrEnum

from traceaudit.correlation.identifiers import Inbound
from traceaudit.correlation.uncaused import FRESH, FRESH_PART, IDLE, JUST_NS, TAIL, Uncaused, kind_of

UNSEEN = 0.9
"""The probability that a request is there which nobody has seen come, after a call that no other can have made."""

_LASTED = 64
"""Requests whose duration is remembered: so long may one be there that nobody has seen come."""


class Phase(StrEnum):
    """What the service was doing."""

    BUSY = "busy"
    TAIL = "tail"
    IDLE = "idle"


class Activity:
    """What is in flight now, what ended a moment ago, and the counts of each phase."""

    def __init__(self, grace_ns: int) -> None:
        self.grace_ns = grace_ns
        self._fresh_ns = int(grace_ns * FRESH_PART)
        self._just_ns = min(JUST_NS, self._fresh_ns)
        self.in_flight: dict[str, Inbound] = {}
        self.ended: deque[Inbound] = deque()
        self._now_ns: int | None = None
        self._caused: dict[tuple[str, str, Phase], float] = {}
        self.uncaused = Uncaused()
        self.requests: Counter[str] = Counter()
        """Requests by route."""
        self._lasted_ns: deque[int] = deque(maxlen=_LASTED)
        self._contradicted_until_ns = 0

    def advance(self, now_ns: int) -> None:
        """Lets time pass: what ended longer than the grace period ago is no longer a candidate."""
        before = self._now_ns
        if before is None or now_ns <= before:
            self._now_ns = now_ns if before is None else before
            return
        watch, number = self.uncaused.watch, len(self.in_flight)
        last = self.ended[-1].ended_ns if self.ended else None
        just = before if last is None else min(max(before, last + self._just_ns), now_ns)
        watch(kind_of(number, just=True), number, just - before)
        if number:
            watch(kind_of(number), number, now_ns - just)
        else:
            fresh = just if last is None else min(max(just, last + self._fresh_ns), now_ns)
            tail = fresh if last is None else min(max(fresh, last + self.grace_ns), now_ns)
            watch(FRESH, 0, fresh - just)
            watch(TAIL, 0, tail - fresh)
            watch(IDLE, 0, now_ns - tail)
        self._now_ns = now_ns
        while self.ended and (self.ended[0].ended_ns or 0) + self.grace_ns < now_ns:
            self.ended.popleft()

    def begin(self, inbound: Inbound) -> None:
        """An inbound request was delivered to the service."""
        self.in_flight[inbound.id] = inbound
        self.requests[inbound.route] += 1

    def end(self, inbound_id: str, at_ns: int) -> None:
        """An inbound request's response is over."""
        inbound = self.in_flight.pop(inbound_id, None)
        if inbound is not None:
            inbound.ended_ns = at_ns
            self.ended.append(inbound)
            self._lasted_ns.append(at_ns - inbound.exchange.started_ns)
            self.uncaused.answered(len(self.in_flight))

    @property
    def phase(self) -> Phase:
        """What the service is doing now."""
        if self.in_flight:
            return Phase.BUSY
        return Phase.TAIL if self.ended else Phase.IDLE

    def candidates(self) -> list[Inbound]:
        """The requests that may have caused a call made now: those in flight, then those that ended a moment ago."""
        return [*self.in_flight.values(), *self.ended]

    def may_cause(self, inbound: Inbound) -> bool:
        """Whether a request is one of those candidates, as long as it is known at all."""
        return inbound.ended_ns is None or inbound.ended_ns + self.grace_ns >= self.now_ns

    @property
    def now_ns(self) -> int:
        """The time to which things have advanced; 0 before the first."""
        return self._now_ns or 0

    @property
    def kind(self) -> int:
        """What kind of time it is, for the rate of uncaused calls."""
        since_ns = self.now_ns - (self.ended[-1].ended_ns or 0) if self.ended else None
        if since_ns is not None and since_ns <= self._just_ns:
            return kind_of(len(self.in_flight), just=True)
        if self.in_flight:
            return kind_of(len(self.in_flight))
        if since_ns is None:
            return IDLE
        return FRESH if since_ns <= self._fresh_ns else TAIL

    def watch_for_unseen(self, edge: str) -> None:
        """A call is made on an edge: if no request that is known can have made it, though such calls are caused by
        requests, there is one that came past the audit.

        It will make more calls, which look like those of the requests that are known; for as long as requests last,
        every claim is lowered by :attr:`unseen`.
        """
        if self.kind == IDLE and self.uncaused.is_caused(edge):
            self._contradicted_until_ns = self.now_ns + max(self._lasted_ns, default=0) + self.grace_ns

    @property
    def unseen(self) -> float:
        """The probability that a call made now is that of a request which nobody has seen come."""
        if self.now_ns >= self._contradicted_until_ns:
            return 0.0
        return UNSEEN / (1 + len(self.in_flight))

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

    def rename(self, edge: Callable[[str], str], route: Callable[[str], str]) -> None:
        """Puts together what was counted of edges and routes that now have one name."""
        self.uncaused.rename(edge)
        requests: Counter[str] = Counter()
        for old, count in self.requests.items():
            requests[route(old)] += count
        self.requests = requests
        caused: dict[tuple[str, str, Phase], float] = {}
        for (old, old_route, phase), share in self._caused.items():
            key = (edge(old), route(old_route), phase)
            caused[key] = caused.get(key, 0.0) + share
        self._caused = caused

    def steady(self, edge: str, routes: Iterable[str]) -> bool:
        """Whether each request of these routes has made the same number of calls on an edge, and nothing else any.

        What keeps time with the traffic (a ticker in step with a load generator, a batch that is sent when there is
        something in it) looks caused by presence alone, but seldom comes exactly so often.
        """
        return self.uncaused.comes_with(edge, sum(self.requests[route] for route in set(routes)))

    def numbers(self, edge: str) -> dict[str, object]:
        """What is known of calls on an edge that come by themselves, for a person."""
        return {
            "idle_calls": self.uncaused.idle_calls(edge),
            "idle_seconds": round(self.uncaused.time_ns[IDLE] / 1e9, 3),
            "uncaused_share": round(self.uncaused.share(edge, self.kind), 6),
        }
