"""Feeds the inference engine with starts and ends as they happen, and hands out answers that are final.

Theory of operation. What has been seen but not decided is *pending*. Once enough requests are pending, or the oldest
call has waited long enough, everything pending is decided together, and the answers of the calls that started before a
cut, a settling time ago, are final: whatever may still happen is unlikely to bear on them. What may still bear on later
calls stays: requests that are open or ended lately, with their decided calls as known ones. What was learned is carried
over and counts half.

The stream never reads a clock: time is the time of the events, so a recorded log fed in order gives the same answers as
the live one did. Memory is bounded by the window and what is open: an exchange that stays open longer than the longest
wait no longer holds anything up, and if more is pending than allowed, the oldest calls are given up: their answer is
empty, which means unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from traceaudit.correlation.inference.behaviour import Behaviour, Configuration
from traceaudit.correlation.inference.records import Call, Candidate, Request, Settings
from traceaudit.correlation.inference.timeline import Timeline, Vocabulary
from traceaudit.correlation.inference.window import decide

type Answers = dict[str, list[Candidate]]
"""Per call its candidates, the likeliest first; empty for a call that was given up."""


class Stream:
    """Starts and ends in, in time order; answers out, each exactly once."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._words = Vocabulary()
        self._behaviour = Behaviour(self._words)
        self._requests: dict[str, Request] = {}
        self._calls: dict[str, Call] = {}
        self._answered: set[str] = set()
        self._fresh = 0
        self._oldest_ns: int | None = None
        self._ready: Answers = {}

    def request_started(self, id: str, route: str, started_ns: int) -> None:
        """An inbound request came in."""
        self._requests[id] = Request(id, route, started_ns)
        self._fresh += 1
        self._tick(started_ns)

    def request_ended(self, id: str, ended_ns: int) -> None:
        """Its response was sent; one that was let go already is ignored."""
        if id in self._requests:
            self._requests[id] = replace(self._requests[id], ended_ns=ended_ns)
        self._tick(ended_ns)

    def call_started(self, id: str, edge: str, started_ns: int, known: tuple[str | None] | None = None) -> None:
        """The service made a call; ``known`` as in :class:`~.records.Call`."""
        self._calls[id] = Call(id, edge, started_ns, None, known)
        if self._oldest_ns is None:
            self._oldest_ns = started_ns
        self._tick(started_ns)

    def call_ended(self, id: str, ended_ns: int) -> None:
        """A call was answered; one that was let go already is ignored."""
        if id in self._calls:
            self._calls[id] = replace(self._calls[id], ended_ns=ended_ns)
        self._tick(ended_ns)

    def take(self) -> Answers:
        """The answers that became final since the last time."""
        ready, self._ready = self._ready, {}
        return ready

    def finish(self) -> Answers:
        """Decides all that is pending; nothing more will come."""
        self._decide(None)
        return self.take()

    @property
    def pending(self) -> int:
        """How many exchanges are held in memory."""
        return len(self._requests) + len(self._calls)

    def _tick(self, now_ns: int) -> None:
        """Decides when there is enough, or when the oldest has waited long enough."""
        settings = self.settings
        waited = self._oldest_ns is not None and now_ns - self._oldest_ns >= settings.patience_ns
        if self._fresh >= settings.window_requests or waited:
            self._decide(now_ns - settings.settle_ns)
        if self.pending > settings.most_pending:
            self._give_up(now_ns)

    def _decide(self, cut_ns: int | None) -> None:
        """Answers the calls that started before the cut; all of them if there is none."""
        timeline = Timeline(self._requests.values(), self._calls.values(), self._words)
        decision = decide(timeline, self._behaviour, self.settings)
        for number, call in enumerate(timeline.calls):
            if call.id in self._answered or (cut_ns is not None and call.started_ns >= cut_ns):
                continue
            answer = _candidates(timeline, self._behaviour, decision.explanation, number, decision.owners[number])
            self._ready[call.id] = answer
            self._answered.add(call.id)
            self._calls[call.id] = replace(call, known=(answer[0].inbound_id,))
        self._behaviour.remember()
        self._let_go(cut_ns)

    def _let_go(self, cut_ns: int | None) -> None:
        """Forgets the requests that no later call can belong to, and the answered calls that were theirs."""
        if cut_ns is None:
            self._requests, self._calls, self._answered = {}, {}, set()
        else:
            ended_ns, opened_ns = cut_ns - self.settings.late_ns, cut_ns - self.settings.longest_ns
            self._requests = {
                id: request
                for id, request in self._requests.items()
                if (request.started_ns > opened_ns if request.ended_ns is None else request.ended_ns > ended_ns)
            }
            self._calls = {
                id: call
                for id, call in self._calls.items()
                if id not in self._answered or (call.known is not None and call.known[0] in self._requests)
            }
            self._answered &= self._calls.keys()
        self._fresh = 0
        self._oldest_ns = min(
            (call.started_ns for id, call in self._calls.items() if id not in self._answered), default=None
        )

    def _give_up(self, now_ns: int) -> None:
        """Frees memory: decides nothing, answers everything but the latest with "unknown"."""
        keep_ns = now_ns - self.settings.settle_ns
        for id, call in list(self._calls.items()):
            if call.started_ns < keep_ns or len(self._calls) > self.settings.most_pending // 2:
                del self._calls[id]
                if id not in self._answered:
                    self._ready[id] = []
        self._answered &= self._calls.keys()
        while len(self._requests) > self.settings.most_pending // 2:
            del self._requests[next(iter(self._requests))]


def _candidates(
    timeline: Timeline, behaviour: Behaviour, explanation: list[Configuration], call: int, owners: dict[int, float]
) -> list[Candidate]:
    """The answer for one call, with the numbers that explain it."""
    now = timeline.call_start[call]
    flight = float(timeline.in_flight(now))
    answer = []
    for owner, probability in sorted(owners.items(), key=lambda item: (-item[1], item[0])):
        evidence = {"in_flight": flight}
        if owner >= 0 and probability > 0.001:
            evidence["since_request_ns"] = float(now - timeline.start[owner])
            reaction = behaviour.reaction(timeline, owner, explanation[owner], call)
            if reaction is not None:
                names = ("reaction_ns", "usual_from_ns", "usual_to_ns")
                evidence.update(zip(names, reaction, strict=True))
        answer.append(Candidate(None if owner < 0 else timeline.requests[owner].id, probability, evidence))
    return answer


def events(requests: Iterable[Request], calls: Iterable[Call]) -> list[tuple[int, int, str, Request | Call]]:
    """Starts and ends in time order: time, kind (0 and 1 starts, 2 and 3 ends), id, record; ties by kind and id."""
    found: list[tuple[int, int, str, Request | Call]] = []
    for request in requests:
        found.append((request.started_ns, 0, request.id, request))
        if request.ended_ns is not None:
            found.append((request.ended_ns, 3, request.id, request))
    for call in calls:
        found.append((call.started_ns, 1, call.id, call))
        if call.ended_ns is not None:
            found.append((call.ended_ns, 2, call.id, call))
    return sorted(found, key=lambda event: event[:3])
