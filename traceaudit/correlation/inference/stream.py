"""Decides window after window, remembering what was learned; and does so for a recorded log.

Theory of operation. :mod:`traceaudit.correlation.windows` makes the windows from starts and ends. What a window asks is
answered for good: whatever may still happen is unlikely to bear on it. Calls that are decided come into later windows
as known ones while their request is there, and what was learned is carried over and counts half.

Nothing here reads a clock, so a recorded log gives the same answers as the live run did. What overflows is answered
with nothing, which means unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from traceaudit.correlation.inference.behaviour import Behaviour, Configuration
from traceaudit.correlation.inference.timeline import Timeline, Vocabulary
from traceaudit.correlation.inference.window import decide
from traceaudit.correlation.records import Call, Candidate, Request, Settings
from traceaudit.correlation.windows import Window, Windows

FEWEST = 8
"""Calls of an edge from which on times say something: the gaps of fewer are no habit, and one is as good as another."""

type Answers = dict[str, list[Candidate]]
"""Per call its candidates, the likeliest first; empty for a call that was given up, or of which too few were seen."""


class Decider:
    """Windows in, in their order; answers out."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._words = Vocabulary()
        self._behaviour = Behaviour(self._words)
        self._decided: dict[str, Call] = {}
        self._seen: Counter[str] = Counter()
        """Calls of each edge that were asked about so far."""

    def decide(self, window: Window) -> Answers:
        """The candidates of every call that the window asks about."""
        calls = dict(self._decided)
        for call in window.calls:
            before = self._decided.get(call.id)
            calls[call.id] = call if before is None else replace(before, ended_ns=call.ended_ns)
        timeline = Timeline(window.requests, calls.values(), self._words)
        decision = decide(timeline, self._behaviour, self.settings)
        answers: Answers = {}
        self._seen.update(call.edge for call in timeline.calls if call.id in window.asked)
        for number, call in enumerate(timeline.calls):
            if call.id not in window.asked:
                continue
            if self._seen[call.edge] < FEWEST:
                answers[call.id] = []
            else:
                answer = _candidates(timeline, self._behaviour, decision.explanation, number, decision.owners[number])
                answers[call.id] = answer
                self._decided[call.id] = replace(call, known=(answer[0].inbound_id,))
        self._behaviour.remember()
        there = {request.id for request in window.requests}
        self._decided = {
            id: call for id, call in self._decided.items() if call.known is not None and call.known[0] in there
        }
        return answers


class Stream:
    """Starts and ends in, in time order; answers out, each exactly once: windows and their decisions in one."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._windows = Windows(settings)
        self._decider = Decider(self._windows.settings)
        self._ready: Answers = {}

    def request_started(self, id: str, route: str, started_ns: int) -> None:
        """An inbound request came in."""
        self._windows.request_started(id, route, started_ns)
        self._decide()

    def request_ended(self, id: str, ended_ns: int) -> None:
        """Its response was sent; one that was let go already is ignored."""
        self._windows.request_ended(id, ended_ns)
        self._decide()

    def call_started(self, id: str, edge: str, started_ns: int, known: tuple[str | None] | None = None) -> None:
        """The service made a call; ``known`` as in :class:`~.records.Call`."""
        self._windows.call_started(Call(id, edge, started_ns, None, known), asked=True)
        self._decide()

    def call_ended(self, id: str, ended_ns: int) -> None:
        """A call was answered; one that was let go already is ignored."""
        self._windows.call_ended(id, ended_ns)
        self._decide()

    def take(self) -> Answers:
        """The answers that became final since the last time."""
        ready, self._ready = self._ready, {}
        return ready

    def finish(self) -> Answers:
        """Decides all that is pending; nothing more will come."""
        self._windows.finish()
        self._decide()
        return self.take()

    @property
    def pending(self) -> int:
        """How many exchanges are held in memory."""
        return self._windows.pending

    def _decide(self) -> None:
        while self._windows.ready:
            self._ready.update(self._decider.decide(self._windows.ready.popleft()))
        if self._windows.given_up:
            self._ready.update((id, []) for id in self._windows.given_up)
            self._windows.given_up.clear()


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
