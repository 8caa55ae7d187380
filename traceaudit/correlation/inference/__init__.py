"""Decides from message times alone which inbound request caused which outbound call, and how surely.

Theory of operation. Nothing is known of the service; everything is learned from the log. :mod:`.timeline` puts a window
of traffic into arrays, :mod:`.triggering` and :mod:`.matching` make a first guess at what follows what,
:mod:`.behaviour` (on :mod:`.gaps` and :mod:`.joins`) learns what the service does with a request and scores
explanations, :mod:`.sampler` finds and samples joint explanations, :mod:`.window` has two witnesses learn and answer,
and :mod:`.stream` does so window after window. There is no I/O, no clock, and nothing random that is not seeded.

Use :func:`infer` for a recorded log and :class:`Decider` beside live traffic; on the same events they say the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from traceaudit.correlation.inference.stream import Answers, Decider, Stream, events
from traceaudit.correlation.records import Call, Candidate, Request, Settings

__all__ = ["Answers", "Call", "Candidate", "Decider", "Request", "Settings", "Stream", "infer"]


def infer(requests: Iterable[Request], calls: Iterable[Call], settings: Settings | None = None) -> Answers:
    """For every call its candidate causes, the likeliest first, summing to 1; ``None`` among them is "uncaused".

    There are none for calls of an edge on which too few were seen to learn from (:data:`~.stream.FEWEST`).

    A candidate's evidence: ``in_flight`` requests at the time; ``since_request_ns``; and, where the service's habit is
    known, ``reaction_ns`` since the event the call followed, with the 5th and 95th percentile of such reactions
    (``usual_from_ns``, ``usual_to_ns``). Ids must be unique among requests and among calls (``ValueError``).
    """
    requests, calls = list(requests), list(calls)
    for noun, records in (("request", requests), ("call", calls)):
        if len({record.id for record in records}) < len(records):
            raise ValueError(f"two {noun}s have the same id")
    stream = Stream(settings)
    for time, kind, id, record in events(requests, calls):
        if kind == 0 and isinstance(record, Request):
            stream.request_started(id, record.route, time)
        elif kind == 1 and isinstance(record, Call):
            stream.call_started(id, record.edge, time, record.known)
        elif kind == 2:
            stream.call_ended(id, time)
        else:
            stream.request_ended(id, time)
    return stream.finish()
