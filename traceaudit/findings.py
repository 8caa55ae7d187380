"""Groups what rules found on single calls into findings: one a rule and call edge, with its occurrences as evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

from traceaudit.correlation import Phase
from traceaudit.exchange import Confidence, Severity
from traceaudit.rules import Rule, Violation

WORTH_SAYING = 0.5
"""Below this an accusation is more likely wrong than right, and is not made at all."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A call edge: inbound route → outbound authority and route. Where the candidates of a call are of several routes,
    ``inbound_route`` names them all, joined by `` | ``.
    """

    id: int
    inbound_route: str
    outbound_authority: str
    outbound_route: str


@dataclass(frozen=True, slots=True)
class Accusation:
    """One rule broken by one call.

    ``probability`` is summed over the candidates that would each make it true. ``given_caused`` is the same share of
    the candidates other than none, and ``phase`` is set when the rest leans on the rate of uncaused calls.
    """

    rule: Rule
    violation: Violation
    outbound_id: str
    inbound_id: str
    at_ns: int
    probability: float
    given_caused: float
    phase: Phase | None


@dataclass(slots=True)
class Finding:
    """One broken rule on one call edge; the example is its clearest occurrence."""

    id: int
    edge: Edge
    rule: Rule
    severity: Severity
    example: Accusation
    probability: float
    occurrences: int = 0
    first_ns: int = 0
    last_ns: int = 0
    clearest: dict[Phase | None, Accusation] = field(default_factory=dict)
    """The strongest accusation of each phase: what is re-weighed when more of the uncaused calls is known."""

    @property
    def confidence(self) -> Confidence:
        """The class of the probability."""
        return Confidence.of(self.probability)


class FindingsBook:
    """All findings of one run, by rule and edge."""

    def __init__(self, require: frozenset[str], severities: Mapping[str, Severity]) -> None:
        self._require = require
        self._severities = severities
        self._edges: dict[tuple[str, str, str], Edge] = {}
        self._findings: dict[tuple[str, int], Finding] = {}
        self._ids = count(1)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._findings.values())

    def __len__(self) -> int:
        return len(self._findings)

    def edge(self, inbound_route: str, authority: str, outbound_route: str) -> Edge:
        """The edge of these three, made when it is new; ids count from 1 in the order of their appearance."""
        key = (inbound_route, authority, outbound_route)
        edge = self._edges.get(key)
        if edge is None:
            edge = self._edges[key] = Edge(len(self._edges) + 1, *key)
        return edge

    def add(self, edge: Edge, accusation: Accusation) -> Finding:
        """Counts an occurrence; the finding it belongs to."""
        key = (accusation.rule.code, edge.id)
        finding = self._findings.get(key)
        if finding is None:
            finding = self._findings[key] = Finding(
                next(self._ids),
                edge,
                accusation.rule,
                self.severity(accusation.rule),
                accusation,
                accusation.probability,
                first_ns=accusation.at_ns,
            )
        finding.occurrences += 1
        finding.first_ns = min(finding.first_ns, accusation.at_ns)
        finding.last_ns = max(finding.last_ns, accusation.at_ns)
        best = finding.clearest.get(accusation.phase)
        if best is None or accusation.given_caused > best.given_caused:
            finding.clearest[accusation.phase] = accusation
        if accusation.probability > finding.probability:
            finding.probability, finding.example = accusation.probability, accusation
        return finding

    def withdraw(self) -> list[Finding]:
        """Takes back what is more likely wrong than right by now; the findings that were taken back."""
        doubtful = {key: each for key, each in self._findings.items() if each.probability < WORTH_SAYING}
        for key in doubtful:
            del self._findings[key]
        return list(doubtful.values())

    def severity(self, rule: Rule) -> Severity:
        """A rule's severity: as configured, else its own, a step lower when its family is not required."""
        configured = self._severities.get(rule.code)
        if configured is not None:
            return configured
        if rule.family is not None and rule.family not in self._require:
            return rule.severity.lowered()
        return rule.severity
