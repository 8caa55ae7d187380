"""Makes traffic of an imaginary service with known truth, for the correlation benchmark and for stress tests.

Theory of operation. A service has a few routes; each route is a small programme drawn from the seed: stages one after
another, each of one or several parallel calls, some optional, some repeated, some retried when they fail, some answered
from a cache (then not made), some made after the response. Requests arrive as a Poisson process whose rate is set so
that the wanted number is in flight. Reactions take log-normal times; a share of them is slow. With a pool, calls of an
edge wait for a free connection, first come first served; with a busy processor, reactions queue for one worker. Pollers
and random background calls share edges with requests, or have their own.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random

from traceaudit.correlation.inference import Call, Request

MS = 1_000_000

type Action = Callable[[float], None]

type Times = tuple[float, float]
"""Median in nanoseconds and spread of a log-normal time."""


@dataclass
class Step:
    """One kind of call in a stage."""

    edge: str
    chance: float = 1.0
    repeats: int = 1
    retry: float = 0.0


@dataclass
class Route:
    name: str
    stages: list[list[Step]]
    late: list[Step] = field(default_factory=list)


@dataclass
class Shape:
    """What the imaginary service is like."""

    requests: int = 1000
    in_flight: float = 5.0
    routes: int = 2
    fan_out: int = 1
    optional: float = 0.2
    repeats: float = 0.0
    retries: float = 0.0
    late: float = 0.0
    uncaused: float = 0.0
    slow: float = 0.02
    pool: int = 0
    workers: int = 0
    shared_edges: bool = True
    meeting: bool = False
    """One request of each route belongs together with those of the others: the last of them makes the calls of all."""


SHAPES: dict[str, Shape] = {
    "chain": Shape(routes=1, optional=0.0),
    "optional": Shape(routes=3, optional=0.3),
    "fan-out": Shape(routes=1, fan_out=4, optional=0.0),
    "mixed": Shape(routes=3, fan_out=2, optional=0.2, repeats=0.2, retries=0.05),
    "late": Shape(routes=2, late=0.7),
    "polled": Shape(routes=2, uncaused=0.1),
    "pooled": Shape(routes=2, pool=4),
    "busy": Shape(routes=2, workers=1, slow=0.05),
    "meeting": Shape(routes=4, fan_out=2, optional=0.0, meeting=True),
}


@dataclass
class Traffic:
    requests: list[Request]
    calls: list[Call]
    truth: dict[str, str | None]


class _Service:
    """A discrete simulation: a heap of things to happen, each a time and what to do."""

    def __init__(self, shape: Shape, seed: int) -> None:
        self.shape = shape
        self.random = Random(f"{seed}")
        self.agenda: list[tuple[float, int, Action]] = []
        self.count = 0
        self.traffic = Traffic([], [], {})
        self.latency: defaultdict[str, Times] = defaultdict(lambda: self.times(2, 15, 0.8))
        self.reaction: defaultdict[str, Times] = defaultdict(lambda: self.times(0.05, 0.5, 0.7))
        self.free: dict[str, list[float]] = defaultdict(lambda: [0.0] * max(1, shape.pool))
        self.workers = [0.0] * max(1, shape.workers)
        self.routes = [self.route(number) for number in range(shape.routes)]
        if shape.meeting:
            self.routes = [replace(route, stages=self.routes[0].stages) for route in self.routes]
        self.missing: defaultdict[int, int] = defaultdict(lambda: shape.routes)
        """By meeting, how many have not come yet."""

    def times(self, least_ms: float, most_ms: float, spread: float) -> Times:
        """A median between two bounds, and a spread."""
        return self.random.uniform(least_ms, most_ms) * MS, self.random.uniform(0.3, spread)

    def route(self, number: int) -> Route:
        shape, random = self.shape, self.random
        owner = "" if shape.shared_edges else f"{number}"
        edges = [f"upstream{owner}{index}" for index in range(6)]
        stages = []
        for _ in range(random.randint(2, 3) if shape.fan_out == 1 else random.randint(1, 2)):
            chosen = random.sample(edges, shape.fan_out if shape.fan_out > 2 else random.randint(1, shape.fan_out))
            stages.append(
                [
                    Step(
                        f"{edge} GET /{edge[-1]}",
                        random.choice([0.5, 0.8]) if random.random() < shape.optional else 1.0,
                        random.randint(2, 3) if random.random() < shape.repeats else 1,
                        shape.retries,
                    )
                    for edge in chosen
                ]
            )
        late = [Step("audit POST /events", 0.9)] if random.random() < shape.late else []
        return Route(f"GET /route{number}", stages, late)

    def drawn(self, parameters: Times) -> float:
        median, spread = parameters
        value = median * math.exp(self.random.gauss(0.0, spread))
        return value * self.random.uniform(5, 30) if self.random.random() < self.shape.slow else value

    def at(self, time: float, action: Action) -> None:
        """Has something happen; what happens is told the time."""
        self.count += 1
        heapq.heappush(self.agenda, (time, self.count, action))

    def react(self, now: float, key: str, then: Action) -> None:
        """Has the service do something about what happens now, when it comes to it."""
        took = self.drawn(self.reaction[key])
        if not self.shape.workers:
            self.at(now + took, then)
            return
        worker = min(range(len(self.workers)), key=self.workers.__getitem__)
        self.workers[worker] = max(now, self.workers[worker]) + took
        self.at(self.workers[worker], then)

    def call(self, now: float, step: Step, cause: str | None, then: Action) -> None:
        """Makes a call, waits for its end, and perhaps tries again."""
        start, free = now, self.free[step.edge]
        slot = min(range(len(free)), key=free.__getitem__)
        if self.shape.pool:
            start = max(start, free[slot])
        end = start + self.drawn(self.latency[step.edge])
        free[slot] = end
        name = f"o{len(self.traffic.calls)}"
        self.traffic.calls.append(Call(name, step.edge, int(start), int(end)))
        self.traffic.truth[name] = cause
        if self.random.random() < step.retry:
            again = replace(step, retry=step.retry / 2)
            self.at(
                end, lambda time: self.react(time, f"retry {step.edge}", lambda t: self.call(t, again, cause, then))
            )
        else:
            self.at(end, then)

    def call_late(self, step: Step, cause: str, now: float) -> None:
        """Makes a call nobody waits for."""
        self.call(now, step, cause, lambda _: None)

    def meet(self, number: int, route: Route, began: float) -> None:
        """Runs one of several requests that belong together: it only says that it has come, or is the last."""
        self.react(began, f"{route.name} part", lambda now: self.part(number, route, began, now))

    def part(self, number: int, route: Route, began: float, now: float) -> None:
        meeting = number // len(self.routes)
        self.missing[meeting] -= 1
        self.serve(number, route if not self.missing[meeting] else replace(route, stages=[]), began, now)

    def serve(self, number: int, route: Route, began: float, now: float | None = None) -> None:
        """Runs a request's programme, from now on if it did something else before."""
        name = f"i{number}"

        def answer(now: float) -> None:
            self.traffic.requests.append(Request(name, route.name, int(began), int(now)))
            for step in route.late:
                if self.random.random() < step.chance:
                    self.react(now, f"{route.name} late", partial(self.call_late, step, name))

        def stage(position: int, now: float) -> None:
            if position == len(route.stages):
                self.react(now, f"{route.name} answer", answer)
                return
            steps = [step for step in route.stages[position] if self.random.random() < step.chance]
            waiting = len(steps)

            def finished(now: float) -> None:
                nonlocal waiting
                waiting -= 1
                if waiting <= 0:
                    stage(position + 1, now)

            def launch(index: int, now: float) -> None:
                repeat(steps[index], steps[index].repeats, now)
                if index + 1 < len(steps):
                    self.react(now, f"{route.name} {steps[index + 1].edge}", lambda t: launch(index + 1, t))

            def repeat(step: Step, left: int, now: float) -> None:
                more = lambda end: self.react(end, f"{step.edge} again", lambda t: repeat(step, left - 1, t))  # noqa: E731
                self.call(now, step, name, more if left > 1 else finished)

            if steps:
                self.react(now, f"{route.name} {steps[0].edge}", lambda t: launch(0, t))
            else:
                stage(position + 1, now)

        stage(0, began if now is None else now)

    def estimate(self) -> float:
        """How long a request takes, roughly."""
        total = 0.0
        for route in self.routes:
            for stage in route.stages:
                total += max(step.repeats * self.latency[step.edge][0] for step in stage) * 1.3 + 0.5 * MS
        return total / len(self.routes)

    def run(self) -> Traffic:
        gap = self.estimate() / self.shape.in_flight
        if self.shape.workers:  # A worker that cannot keep up would show nothing but its queue.
            reactions = sum(len(stage) + 1 for route in self.routes for stage in route.stages) / len(self.routes)
            gap = max(gap, reactions * 0.6 * MS / self.shape.workers)
        if self.shape.pool:
            slowest = max(
                self.latency[step.edge][0] for route in self.routes for stage in route.stages for step in stage
            )
            gap = max(gap, 2.0 * slowest / self.shape.pool)
        now = 1e9
        for number in range(self.shape.requests):
            if self.shape.meeting:
                route = self.routes[number % len(self.routes)]
                now += self.random.expovariate(1.0 / gap) if route is self.routes[0] else 0.0
                self.at(now + self.random.expovariate(1 / MS), partial(self.meet, number, route))
                continue
            now += self.random.expovariate(1.0 / gap)
            route = self.random.choice(self.routes)
            self.at(now, partial(self.serve, number, route))
        self.background(now)
        while self.agenda:
            time, _, action = heapq.heappop(self.agenda)
            action(time)
        return self.traffic

    def background(self, last: float) -> None:
        """Uncaused calls: half by a ticker on an edge of their own, half at random on one that requests use."""
        wanted = int(self.shape.uncaused * 3 * self.shape.requests)
        shared = self.routes[0].stages[0][0]
        watch = Step("config GET /watch")
        for tick in range(wanted // 2):
            moment = 1e9 + tick * (last - 1e9) / (wanted // 2) + self.random.gauss(0, 0.2 * MS)
            self.at(moment, lambda time: self.call(time, watch, None, lambda _: None))
            self.at(
                self.random.uniform(1e9, last),
                lambda time: self.call(time, replace(shared, retry=0.0), None, lambda _: None),
            )


def generate(shape: Shape, seed: int) -> Traffic:
    """Traffic of one service; the same for the same shape and seed."""
    return _Service(shape, seed).run()
