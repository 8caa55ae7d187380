"""What the queries give back: one frozen dataclass a kind of row. Texts are as sent, not yet safe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the audit. ``ended_ns`` None: going on, or killed."""

    id: int
    service: str
    started_ns: int | None
    ended_ns: int | None
    inbound: str = ""
    """Where requests are to be sent, as far as the settings say it."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A call edge: inbound route → outbound authority and route."""

    id: int
    inbound_route: str
    outbound_authority: str
    outbound_route: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. ``edge`` None: it is about no call (coverage)."""

    id: int
    code: str
    slug: str
    severity: str
    confidence: str
    probability: float
    header: str
    message: str
    expected: str
    observed: str
    occurrences: int
    first_ns: int | None
    last_ns: int | None
    location: str
    function: str
    inbound_id: str | None
    outbound_id: str | None
    edge: Edge | None

    @property
    def identity(self) -> tuple[str, int | None, str]:
        """What makes it the same finding after the audit has written its findings anew."""
        return (self.code, self.edge.id if self.edge else None, self.header)


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run saw. ``undecided`` calls have no link yet; ``uncaused`` ones have one that says so."""

    inbound: int = 0
    outbound: int = 0
    proven: int = 0
    probable: int = 0
    ambiguous: int = 0
    uncaused: int = 0

    @property
    def linked(self) -> int:
        """Outbound calls whose cause is known, with whatever confidence."""
        return self.proven + self.probable + self.ambiguous

    @property
    def undecided(self) -> int:
        """Outbound calls of which nothing is known yet."""
        return max(0, self.outbound - self.linked - self.uncaused)


@dataclass(frozen=True, slots=True)
class Summary:
    """A run at one moment: the ground of every screen's first lines. ``run`` None: the database holds no run yet."""

    run: Run | None = None
    runs: int = 0
    counts: Counts = field(default_factory=Counts)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange as a list shows it. ``key`` is its rowid; ``caused_by`` None: uncaused or not linked."""

    key: int
    id: str
    direction: str
    started_ns: int
    ended_ns: int | None
    method: str
    authority: str
    path: str
    route: str
    status: int | None
    error: str
    minted: tuple[str, ...]
    caused_by: str | None = None
    confidence: float | None = None
    calls: int = 0
    faults: str = ""
    response_started_ns: int | None = None
    http_version: str = ""
    connection_id: str = ""
    client_address: str = ""
    server_address: str = ""
    method_of_link: str = ""

    @property
    def duration_ns(self) -> int | None:
        """None: it has not ended."""
        return None if self.ended_ns is None else self.ended_ns - self.started_ns

    @property
    def outbound(self) -> bool:
        """Out of the service."""
        return self.direction == "outbound"


@dataclass(frozen=True, slots=True)
class Marks:
    """Notes, empty or not, by what they are on: exchanges by their keys, findings by their ids."""

    exchanges: Mapping[int, str] = field(default_factory=dict)
    findings: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible cause of a call, with the exchange, if there is one. ``evidence`` is JSON's types."""

    rank: int
    inbound_id: str | None
    inbound: Exchange | None
    method: str
    probability: float
    evidence: dict[str, object]


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one format on one call."""

    format: str
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One edge's count of each outcome of one format, the most frequent first."""

    edge: Edge
    format: str
    counts: tuple[tuple[str, int], ...]

    @property
    def total(self) -> int:
        """Calls judged."""
        return sum(count for _, count in self.counts)


@dataclass(frozen=True, slots=True)
class Bar:
    """One call in a request's waterfall. ``rank`` above 1: another request is the likelier cause."""

    call: Exchange
    rank: int
    method: str
    probability: float
    outcomes: tuple[Judged, ...]
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A route of the service, or an upstream that it calls. ``seen`` 0: never; ``bypass``: but not through the audit.

    ``failed`` exchanges have no answer or one of 500 and above; ``calls`` of a route are those that it caused.
    """

    direction: str
    name: str
    seen: int
    failed: int
    calls: int
    codes: tuple[str, ...]
    last_ns: int | None
    bypass: bool = False

    @property
    def identity(self) -> tuple[str, str]:
        """What it is, however often it has been seen."""
        return (self.direction, self.name)
