"""Groups what rules found on single calls into findings: one a rule and call edge, with its occurrences as evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

from traceaudit.exchange import Confidence, Severity
from traceaudit.rules import Rule, Violation

WORTH_SAYING = 0.5
"""Below this an accusation is more likely wrong than right, and is not made at all."""


SEVERAL = " | "
"""Joins the inbound routes of an edge whose calls may have been caused by requests of any of them."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A call edge: inbound route → outbound authority and route. Where the candidates of a call are of several routes,
    ``inbound_route`` names them all, joined by :data:`SEVERAL`.
    """

    id: int
    inbound_route: str
    outbound_authority: str
    outbound_route: str


@dataclass(frozen=True, slots=True)
class Accusation:
    """One rule broken by one call; the ids are ``None`` where it is about what was not seen (the rules CP).

    ``probability`` is summed over the candidates that would each make it true. ``given_caused`` is the same share of
    the candidates other than none, and ``kind`` (of time) is set when the rest leans on the rate of uncaused calls.
    """

    rule: Rule
    violation: Violation
    outbound_id: str | None
    inbound_id: str | None
    at_ns: int
    probability: float
    given_caused: float
    kind: int | None


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
    clearest: dict[int | None, Accusation] = field(default_factory=dict)
    """The strongest accusation of each kind of time: what is re-weighed when more of the uncaused calls is known."""

    @property
    def confidence(self) -> Confidence:
        """The class of the probability."""
        return Confidence.of(self.probability)

    def take(self, other: Finding) -> None:
        """Adds another finding of the same rule, whose edge turned out to be the same."""
        self.occurrences += other.occurrences
        self.first_ns = min(self.first_ns, other.first_ns)
        self.last_ns = max(self.last_ns, other.last_ns)
        for kind, accusation in other.clearest.items():
            best = self.clearest.get(kind)
            if best is None or accusation.given_caused > best.given_caused:
                self.clearest[kind] = accusation
        if other.probability > self.probability:
            self.probability, self.example = other.probability, other.example


class FindingsBook:
    """All findings of one run, by rule and edge."""

    def __init__(self, require: frozenset[str], severities: Mapping[str, Severity]) -> None:
        self._require = require
        self._severities = severities
        self._edges: dict[tuple[str, str, str], Edge] = {}
        self._findings: dict[tuple[str, int], Finding] = {}
        self._ids = count(1)
        self._edge_ids = count(1)
        self.merged_edges: dict[int, int] = {}
        """Edges that are no more, and those that they have become."""
        self.merged_findings: dict[int, int] = {}
        """Findings that are no more, and those that they have become."""

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._findings.values())

    def __len__(self) -> int:
        return len(self._findings)

    def edge(self, inbound_route: str, authority: str, outbound_route: str) -> Edge:
        """The edge of these three, made when it is new; ids count from 1 in the order of their appearance."""
        key = (inbound_route, authority, outbound_route)
        edge = self._edges.get(key)
        if edge is None:
            edge = self._edges[key] = Edge(next(self._edge_ids), *key)
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
        best = finding.clearest.get(accusation.kind)
        if best is None or accusation.given_caused > best.given_caused:
            finding.clearest[accusation.kind] = accusation
        if accusation.probability > finding.probability:
            finding.probability, finding.example = accusation.probability, accusation
        return finding

    @property
    def edges(self) -> list[Edge]:
        """Every edge there is, under its present name."""
        return list(self._edges.values())

    def edges_become(self) -> Iterator[tuple[int, int]]:
        """Every edge that is no more, and the one there is that it has become."""
        return _ends(self.merged_edges)

    def findings_become(self) -> Iterator[tuple[int, int]]:
        """Every finding that is no more, and the one that it has become."""
        return _ends(self.merged_findings)

    def rename(self, inbound: Callable[[str], str], outbound: Callable[[str, str], str]) -> None:
        """Puts edges together whose routes now have one name, and their findings; ``merged`` tells which."""
        edges, self._edges = list(self._edges.values()), {}
        for edge in edges:
            routes = sorted({inbound(route) for route in edge.inbound_route.split(SEVERAL)})
            key = (
                SEVERAL.join(routes),
                edge.outbound_authority,
                outbound(edge.outbound_authority, edge.outbound_route),
            )
            into = self._edges.setdefault(key, Edge(edge.id, *key))
            if into.id != edge.id:
                self.merged_edges[edge.id] = into.id
        findings, self._findings = list(self._findings.values()), {}
        by_id = {edge.id: edge for edge in self._edges.values()}
        for finding in findings:
            finding.edge = by_id[self.merged_edges.get(finding.edge.id, finding.edge.id)]
            into_finding = self._findings.setdefault((finding.rule.code, finding.edge.id), finding)
            if into_finding is not finding:
                into_finding.take(finding)
                self.merged_findings[finding.id] = into_finding.id

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


def _ends(merged: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """From each id to the end of its chain: what was merged may have been merged again."""
    for old in merged:
        new = old
        while new in merged:
            new = merged[new]
        yield old, new
