"""The nouns every part shares: exchanges in; links, outcomes and findings out.

Nothing here does I/O or reads a clock. Times are integer nanoseconds since the Unix epoch and their names end in
``_ns``; probabilities are floats from 0 to 1. Header names and values are text in which one character stands for one
byte (ISO 8859-1), so that whatever came over the wire is kept to the byte and can be written to SQLite and JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from traceaudit.formats.context import Format

type Header = tuple[str, str]
"""One header field as it was sent: name and value, neither folded nor joined."""


class Direction(StrEnum):
    """Seen from the service, as Istio says it."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


@dataclass(frozen=True, slots=True)
class Gated:
    """What the gate has seen of a call: the request that made it, the probability that it did not, what shows it.

    ``inbound_id`` is the request's exchange; ``evidence`` holds the numbers a person is shown, JSON types only.
    """

    inbound_id: str
    doubt: float
    evidence: dict[str, object]


@dataclass(slots=True)
class Exchange:
    """One HTTP request and its response (or error) as seen at the proxy; for gRPC, one call.

    It is filled in as the exchange goes on: ``response_started_ns`` and ``status`` stay ``None`` until response headers
    arrive, ``ended_ns`` stays ``None`` until the last byte (for ever, if it never ended).
    """

    id: str
    direction: Direction
    started_ns: int
    method: str
    authority: str
    path: str
    request_headers: list[Header]
    scheme: str = "http"
    http_version: str = "HTTP/1.1"
    response_started_ns: int | None = None
    ended_ns: int | None = None
    status: int | None = None
    error: str | None = None
    connection_id: str | None = None
    client_address: str | None = None
    server_address: str | None = None
    response_headers: list[Header] = field(default_factory=list)
    minted: list[Format] = field(default_factory=list)
    gated: Gated | None = None


class Method(StrEnum):
    """How a link was decided; DESIGN 5."""

    TRACE_ID = "trace-id"
    REQUEST_ID = "request-id"
    ISOLATED = "isolated"
    GATED = "gated"
    GOROUTINE = "goroutine"
    VALUE = "value"
    TIMING = "timing"


class Confidence(StrEnum):
    """The classes of a probability. Only proven and probable findings fail a build."""

    PROVEN = "proven"
    PROBABLE = "probable"
    AMBIGUOUS = "ambiguous"

    @classmethod
    def of(cls, probability: float) -> Confidence:
        """The class of a probability: proven from 0.999, probable from 0.95."""
        if probability >= 0.999:
            return cls.PROVEN
        if probability >= 0.95:
            return cls.PROBABLE
        return cls.AMBIGUOUS


@dataclass(slots=True)
class Link:
    """One candidate cause of an outbound exchange; the candidates of one call sum to 1.

    ``inbound_id`` ``None`` means that no inbound request caused it (a poller, a ticker, start-up work).
    ``rank`` 1 is the chosen candidate. ``evidence`` holds the numbers a person is shown, JSON types only.
    """

    outbound_id: str
    inbound_id: str | None
    method: Method
    probability: float
    rank: int
    evidence: dict[str, object] = field(default_factory=dict)


class Outcome(StrEnum):
    """What became of one format on one outbound call; DESIGN 4."""

    CONTINUED = "continued"
    FORWARDED = "forwarded"
    CONVERTED = "converted"
    ALTERED = "altered"
    RESTARTED = "restarted"
    LEAKED = "leaked"
    MALFORMED = "malformed"
    DROPPED = "dropped"
    ABSENT = "absent"


class Severity(StrEnum):
    """How much a finding matters; ordered by :attr:`rank`."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """0 for a note, 1 for a warning, 2 for an error."""
        return {"note": 0, "warning": 1, "error": 2}[self.value]

    def lowered(self) -> Severity:
        """One step less severe; a note stays a note."""
        return Severity.WARNING if self is Severity.ERROR else Severity.NOTE
