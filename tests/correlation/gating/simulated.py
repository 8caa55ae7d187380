"""A service in virtual time behind the gate, with upstreams and clients; it knows which request made which call."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from traceaudit.correlation.gating import Gate
from traceaudit.correlation.gating.gate import MOST_HELD

MS = 1_000_000
LEARNED_MS = 3000.0

type Plan = Callable[[random.Random], Iterator[object]]
"""A handler: yields milliseconds of its own work, an edge to call and wait for, edges to call at once, or what is done
with the world, the request's id and what goes on afterwards.
"""

type Step = Callable[[World, str, Callable[[], None]], None]


@dataclass
class Seen:
    """What came of it."""

    calls: int = 0
    claimed: int = 0
    wrong: int = 0
    waits: list[float] = field(default_factory=list)
    requests: int = 0
    ended_ms: float = 0.0

    def wait(self, share: float) -> float:
        """The wait, in ms, that this share of the stimuli did not exceed."""
        ordered = sorted(self.waits) or [0.0]
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class World:
    """Everything that happens, in order."""

    def __init__(
        self,
        routes: dict[str, Plan],
        *,
        clients: int,
        requests: int,
        seed: int,
        upstream_ms: float = 80.0,
        pollers: dict[str, float] | None = None,
        budget_ms: float = 20.0,
        gate: bool = True,
        arrivals: float | None = None,
        unseen: float | None = None,
    ) -> None:
        """``unseen``: so many requests a second come past the gate, once it has had time to learn."""
        self.random = random.Random(seed)
        self.gate = Gate(int(budget_ms * MS), 250 * MS)
        self.gated = gate
        self.budget = int(budget_ms * MS)
        self.routes = routes
        self.upstream_ms = upstream_ms
        self.left = requests
        self.now = 0
        self._wake = 0
        self.seen = Seen()
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._ids = itertools.count(1)
        self._waiting: list[tuple[Callable[[int, int], int | None], Callable[[int], None], int, int]] = []
        self._truth: dict[str, str] = {}
        if arrivals is None:
            for _ in range(clients):
                self.after(self.random.random() * 5, self._client)
        else:
            at = 0.0
            for _ in range(requests):
                at += self.random.expovariate(arrivals) * 1000
                self.after(at, self._client)
        self.closed = arrivals is None
        for edge, every in (pollers or {}).items():
            self.after(every * self.random.random(), lambda edge=edge, every=every: self._poll(edge, every))
        if unseen is not None:
            self.after(LEARNED_MS, lambda: self._unseen(unseen))

    def after(self, ms: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + max(0, int(ms * MS)), next(self._order), what))

    def run(self) -> Seen:
        while self._events and (self.left > 0 or self._truth):
            self.now, _, what = heapq.heappop(self._events)
            what()
        self.seen.ended_ms = self.now / MS
        return self.seen

    # --- the gate's keeper --------------------------------------------------------------------------------------------

    def _stimulus(self, may: Callable[[int, int], int | None], deliver: Callable[[int], None], order: int) -> None:
        if not self.gated:
            deliver(0)
            return
        self._waiting.append((may, deliver, self.now, order))
        # Answers first: what is in the service already comes to its end.
        self._waiting.sort(key=lambda each: each[3])
        self._look()

    def _look(self) -> None:
        position = 0
        wake: int | None = None
        while position < len(self._waiting):
            may, deliver, since, _ = self._waiting[position]
            until = may(since, self.now)
            if until is None or len(self._waiting) > MOST_HELD:
                del self._waiting[position]
                self.seen.waits.append((self.now - since) / MS)
                deliver(self.now - since)
            else:
                wake = until if wake is None else min(wake, until)
                position += 1
        if wake is not None and not self.now < self._wake <= wake:
            self._wake = wake
            heapq.heappush(self._events, (wake, next(self._order), self._look))

    # --- clients ------------------------------------------------------------------------------------------------------

    def _client(self) -> None:
        if self.left <= 0:
            return
        self.left -= 1
        route = self.random.choice(list(self.routes))
        id_ = f"i{next(self._ids)}"
        self._truth[id_] = route

        def deliver(held: int) -> None:
            self.gate.begin(id_, route, self.now, held)
            self._step(id_, self.routes[route](self.random))

        self._stimulus(lambda since, now: self.gate.may_begin(route, since, now), deliver, 1)

    # --- the service --------------------------------------------------------------------------------------------------

    def _step(self, id_: str, handler: Iterator[object]) -> None:
        try:
            what = next(handler)
        except StopIteration:
            if self._truth.pop(id_, None) is not None:
                self._respond(id_)
            return
        if isinstance(what, int | float):
            self.after(float(what), lambda: self._step(id_, handler))
        elif what == "respond":
            self._truth.pop(id_)
            self._respond(id_)
            self._step(id_, handler)
        elif callable(what):
            what(self, id_, lambda: self._step(id_, handler))
        elif isinstance(what, str):
            self.call(id_, what, lambda: self._step(id_, handler))
        else:
            branches = list(what)  # type: ignore[call-overload]
            left = [len(branches)]

            def done() -> None:
                left[0] -= 1
                if left[0] == 0:
                    self._step(id_, handler)

            for branch in branches:
                self._branch(id_, branch, done)

    def _branch(self, id_: str | None, branch: object, done: Callable[[], None]) -> None:
        if isinstance(branch, str):
            self.after(self.random.random() * 0.2, lambda: self.call(id_, branch, done))
            return
        steps = iter(branch)  # type: ignore[call-overload]

        def go_on() -> None:
            step = next(steps, None)
            if step is None:
                done()
            elif isinstance(step, str):
                self.call(id_, step, go_on)
            elif isinstance(step, tuple):  # The first of them is waited for.
                for number, edge in enumerate(step):
                    self._branch(id_, edge, go_on if number == 0 else lambda: None)
            else:
                self.after(step, go_on)

        go_on()

    def _respond(self, id_: str) -> None:
        self.gate.respond(id_, self.now)
        self.seen.requests += 1
        if self.gated:
            self._look()
        if self.closed:
            self.after(self.random.random() * 2, self._client)

    def call(self, id_: str | None, edge: str, answered: Callable[[], None]) -> None:
        call = f"o{next(self._ids)}"
        claim = self.gate.call(call, edge, self.now)
        self.seen.calls += 1
        if claim is not None:
            self.seen.claimed += 1
            self.seen.wrong += claim.inbound_id != id_
        if self.gated:
            self._look()

        def deliver(held: int) -> None:
            self.gate.answer(call, self.now, held)
            answered()

        def back() -> None:
            self._stimulus(lambda since, now: self.gate.may_answer(call, since, now), deliver, 0)

        self.after(self.upstream_ms * self.random.lognormvariate(0, 0.2), back)

    def _unseen(self, rate: float) -> None:
        self.after(self.random.expovariate(rate) * 1000, lambda: self._unseen(rate))
        self._branch(None, self.routes[self.random.choice(list(self.routes))](self.random), lambda: None)

    def _poll(self, edge: str, every: float) -> None:
        self.call(None, edge, lambda: None)
        self.after(every, lambda: self._poll(edge, every))


def work(median_ms: float = 0.4, spread: float = 0.8) -> Callable[[random.Random], float]:
    return lambda random: random.lognormvariate(0, spread) * median_ms


def sequence(*edges: str, median_ms: float = 0.4, spread: float = 0.8) -> Plan:
    """One call after another."""

    def plan(random: random.Random) -> Iterator[object]:
        own = work(median_ms, spread)
        for edge in edges:
            yield own(random)
            yield edge
        yield own(random)

    return plan


def parallel(*edges: str, median_ms: float = 0.4, spread: float = 0.8) -> Plan:
    """All at once."""

    def plan(random: random.Random) -> Iterator[object]:
        own = work(median_ms, spread)
        yield own(random)
        yield edges
        yield own(random)

    return plan


def optional(first: str, second: str, share: float) -> Plan:
    """The second call now and then."""

    def plan(random: random.Random) -> Iterator[object]:
        own = work()
        yield own(random)
        yield first
        yield own(random)
        if random.random() < share:
            yield second
            yield own(random)

    return plan


def looked_up(share: float) -> Plan:
    """A cache is asked now and then, before each of two calls."""

    def plan(random: random.Random) -> Iterator[object]:
        own = work()
        for edge in ("a", "b"):
            yield own(random)
            if random.random() < share:
                yield "cache"
                yield own(random)
            yield edge
        yield own(random)

    return plan


def late(*edges: str, after: str) -> Plan:
    """One more call once the response has gone."""

    def plan(random: random.Random) -> Iterator[object]:
        own = work()
        for edge in edges:
            yield own(random)
            yield edge
        yield "respond"
        yield own(random)
        yield after

    return plan


def pooled(connections: int) -> Plan:
    """Two calls, through a pool of connections that all requests share."""
    free = [connections]
    queue: deque[Callable[[], None]] = deque()

    def through_pool(edge: str) -> Step:
        def step(world: World, id_: str, go_on: Callable[[], None]) -> None:
            def begin() -> None:
                free[0] -= 1
                world.call(id_, edge, answered)

            def answered() -> None:
                free[0] += 1
                if queue:
                    world.after(0.05, queue.popleft())
                go_on()

            if free[0]:
                begin()
            else:
                queue.append(begin)

        return step

    def plan(random: random.Random) -> Iterator[object]:
        own = work()
        for edge in ("a", "b"):
            yield own(random)
            yield through_pool(edge)
        yield own(random)

    return plan


def before(step: Step, then: str) -> Plan:
    """Something with the world, and a call after it."""

    def plan(random: random.Random) -> Iterator[object]:
        own = work()
        yield own(random)
        yield step
        yield own(random)
        yield then
        yield own(random)

    return plan


def shared_flight(edge: str, then: str) -> Plan:
    """Requests that come while another's call is open wait for its answer instead of calling (singleflight)."""
    waiting: list[Callable[[], None]] | None = None

    def step(world: World, id_: str, go_on: Callable[[], None]) -> None:
        nonlocal waiting
        if waiting is not None:
            waiting.append(go_on)
            return
        waiting = [go_on]

        def answered() -> None:
            nonlocal waiting
            all_, waiting = waiting or [], None
            for each in all_:
                world.after(0.05, each)

        world.call(id_, edge, answered)

    return before(step, then)


def refreshed(edge: str, then: str, every_ms: float) -> Plan:
    """A cache whose first reader after a while has it refreshed in the background, and does not wait."""
    fresh_until = [0]

    def step(world: World, id_: str, go_on: Callable[[], None]) -> None:
        if world.now >= fresh_until[0]:
            fresh_until[0] = world.now + int(every_ms * MS)
            world.after(work()(world.random), lambda: world.call(id_, edge, lambda: None))
        go_on()

    return before(step, then)
