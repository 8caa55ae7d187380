"""What the inference engine is given and what it answers: requests, calls and candidates.

All times are integer nanoseconds on one clock (the proxy's), so they may be compared and subtracted; none is read here.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """An inbound request. ``ended_ns`` ``None``: no response was seen."""

    id: str
    route: str
    started_ns: int
    ended_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """An outbound call; ``edge`` is its authority and route. ``ended_ns`` ``None``: it never ended.

    ``known`` is a tuple of one when something stronger than time (a surviving identifier, the gate) has already
    decided the cause: ``("i7",)``, or ``(None,)`` for a call that nothing caused. ``None`` is for the engine to decide.
    """

    id: str
    edge: str
    started_ns: int
    ended_ns: int | None = None
    known: tuple[str | None] | None = None
    hint: tuple[str, float] | None = None
    """A request for which something else than time speaks, and with which log odds."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible cause of a call. The candidates of a call, ``None`` (uncaused) among them, sum to 1.

    ``evidence`` holds the numbers a person is shown; see :func:`~traceaudit.correlation.inference.infer`.
    """

    inbound_id: str | None
    probability: float
    evidence: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """How much work is done, and what is held in memory."""

    window_requests: int = 1500
    """Requests that are learned from and decided together; more cost memory, fewer cost certainty."""
    window_calls: int = 6000
    """The same for calls."""
    patience_ns: int = 300_000_000_000
    """A call is decided after this long even if the window is not full."""
    settle_ns: int = 2_000_000_000
    """What comes later than this after a call's start no longer bears on it."""
    longest_ns: int = 600_000_000_000
    """A request open for longer than this causes nothing any more: a stream, a long poll, a lost end."""
    most_pending: int = 50_000
    """Exchanges held in memory; past this the oldest calls are given up."""
    late_ns: int = 5_000_000_000
    """How long after its response a request may still cause calls."""
    rounds: int = 30
    """The most rounds of learning on a window once it is clear whether calls after the response are a habit."""
    visits: int = 50
    """How often each witness reconsiders a call that is in doubt."""
    effort: int = 24
    """The most such reconsiderations per request, on average; the rest of the doubt stays."""
