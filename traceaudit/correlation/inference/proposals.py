"""Which moves a chain tries: the events a call may have reacted to, its neighbours, and what hangs on it.

All of it is fixed by times alone and shared by the chains of a witness, so that a move and the move back are proposed
from the same lists.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate

from traceaudit.correlation.inference.timeline import UNDECIDED, Timeline
from traceaudit.correlation.inference.triggering import Trigger

NEIGHBOURS = 3
"""Swaps reach this many calls of the same edge ahead and back."""

BESIDE = 6
"""Requests exchange calls with this many that started before and after them."""

LONGEST_BRANCH = 12
"""A branch is followed over this many calls."""

MOST_EVENTS = 10
"""Events that are proposed for a call, the likeliest."""

LIKELY, MOST_AROUND = 0.01, 5
"""Requests are proposed for a call that lies in them this probably, whatever it reacted to, so many at most."""


class Proposals:
    """Per call the events it may have reacted to, and its neighbours on its edge; the same for all chains."""

    def __init__(
        self,
        timeline: Timeline,
        triggers: Sequence[tuple[list[Trigger], float]],
        lying: Sequence[Mapping[int, float]],
    ) -> None:
        self.events: list[list[int | None]] = []
        self.weights: list[list[float]] = []
        self.cumulative: list[list[float]] = []
        for call, (likely, idle) in enumerate(triggers):
            best = sorted(likely, key=lambda trigger: -trigger[1])[:MOST_EVENTS]
            there = {reference for reference, _ in best}
            around = [each for each in lying[call].items() if each[0] not in there and each[1] > LIKELY]
            best += sorted(around, key=lambda each: -each[1])[:MOST_AROUND]
            if call in timeline.hints:
                hinted = timeline.hints[call][0]
                best = [*(trigger for trigger in best if trigger[0] != hinted), (hinted, 0.5)]
            share = 0.02 / (len(best) + 1)
            self.events.append([reference for reference, _ in best] + [None])
            self.weights.append([math.sqrt(weight) + share for _, weight in best] + [math.sqrt(idle) + share])
            self.cumulative.append(list(accumulate(self.weights[-1])))
        self._lying = lying
        self._timeline = timeline
        self.neighbours = _neighbours(timeline)
        self.following = _following(triggers)
        self.beside = _beside(timeline)
        self.started: list[list[int]] = [[] for _ in timeline.requests]
        for call, (likely, _) in enumerate(triggers):
            for reference, weight in likely:
                if (
                    reference >= 0
                    and weight > 1e-3
                    and (not self.started[reference] or self.started[reference][-1] != call)
                ):
                    self.started[reference].append(call)

    def may_have(self, request: int, call: int) -> bool:
        """Whether it is worth asking if a request made a call: it lies in it not too badly, or came after it."""
        return request in self._lying[call] or self._timeline.end[request] < self._timeline.call_start[call]


def _beside(timeline: Timeline) -> list[tuple[int, ...]]:
    """Per request those that started just before and after it and were there when it was."""
    found: list[tuple[int, ...]] = []
    for request, (start, end) in enumerate(zip(timeline.start, timeline.end, strict=True)):
        before = range(max(0, request - BESIDE), request)
        after = range(request + 1, min(len(timeline.start), request + 1 + BESIDE))
        found.append(
            tuple(
                [other for other in before if timeline.end[other] >= start]
                + [other for other in after if timeline.start[other] <= end]
            )
        )
    return found


def _neighbours(timeline: Timeline) -> list[tuple[int, ...]]:
    """Per call the calls of its edge that started just before and after it and are still to be decided."""
    by_edge: dict[int, list[int]] = {}
    for call, edge in enumerate(timeline.edge):
        if timeline.label[call] == UNDECIDED:
            by_edge.setdefault(edge, []).append(call)
    found: list[tuple[int, ...]] = [()] * len(timeline.calls)
    for calls in by_edge.values():
        for position, call in enumerate(calls):
            found[call] = tuple(
                calls[max(0, position - NEIGHBOURS) : position] + calls[position + 1 : position + 1 + NEIGHBOURS]
            )
    return found


def _following(triggers: Sequence[tuple[list[Trigger], float]]) -> list[tuple[int, ...]]:
    """Per call the calls that probably followed from it, directly or not, by the likeliest trigger of each."""
    ancestors: list[tuple[int, ...]] = []
    following: list[list[int]] = [[] for _ in triggers]
    for call, (likely, _) in enumerate(triggers):
        reference, _ = max(likely, key=lambda trigger: trigger[1], default=(0, 0.0))
        ancestors.append(() if reference >= 0 else (*ancestors[~reference][-LONGEST_BRANCH:], ~reference))
        for ancestor in ancestors[-1]:
            following[ancestor].append(call)
    return [tuple(calls) for calls in following]
