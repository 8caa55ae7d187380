"""Decides from message times alone which inbound request caused which outbound call, and how surely."""

from __future__ import annotations

from collections.abc import Iterable

from traceaudit.correlation.inference.behaviour import Behaviour
from traceaudit.correlation.inference.records import Call, Candidate, Request, Settings
from traceaudit.correlation.inference.timeline import Timeline, Vocabulary
from traceaudit.correlation.inference.window import decide

__all__ = ["Call", "Candidate", "Request", "Settings", "infer"]


def infer(requests: Iterable[Request], calls: Iterable[Call], settings: Settings | None = None) -> dict[str, list[Candidate]]:
    """For every call its candidate causes, the likeliest first."""
    words = Vocabulary()
    timeline = Timeline(requests, calls, words)
    found = decide(timeline, Behaviour(words), settings or Settings())
    return {
        call.id: [
            Candidate(None if owner < 0 else timeline.requests[owner].id, probability)
            for owner, probability in sorted(row.items(), key=lambda item: -item[1])
        ]
        for call, row in zip(timeline.calls, found, strict=True)
    }
