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

    window_requests: int = 1000
    """Requests that are learned from and decided together; more cost memory, fewer cost certainty."""
    late_ns: int = 5_000_000_000
    """How long after its response a request may still cause calls."""
    rounds: int = 8
    """Rounds of learning on the first window; later windows start from what was learned and need half."""
    visits: int = 120
    """How often each chain reconsiders a call that is in doubt."""
    chains: int = 2
    """Independent chains; where they disagree nothing is claimed."""
