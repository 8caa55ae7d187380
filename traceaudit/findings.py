"""Groups what rules found on single calls into findings: one a rule and call edge, with its occurrences as evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count

from traceaudit.exchange import Confidence, Severity
from traceaudit.rules import Rule, Violation

WORTH_SAYING = 0.5
"""Below this an accusation is more likely wrong than right, and is not made at all."""

REGARDLESS = 0.999
"""From this share of the candidates on, an accusation does not lean on which of them it was."""

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

    @property
    def inbound_routes(self) -> frozenset[str]:
        """Each of those that ``inbound_route`` names."""
        return frozenset(self.inbound_route.split(SEVERAL))


@dataclass(frozen=True, slots=True)
class Accusation:
    """One rule broken by one call; the ids are ``None`` where it is about what was not seen (the rules CP).

    ``probability`` is summed over the candidates that would each make it true. ``given_caused`` is the same share of
    the candidates other than none, and ``kind`` (of time) is set when the rest leans on the rate of uncaused calls.
    ``alone`` is what times say, beside that rate, of nothing having caused it. ``anyway`` is what ``given_caused`` is
    when nobody asks times which of the candidates it was. ``contradicted``: it may be the call of a request that
    nobody has seen come; then so may all its like.
    """

    rule: Rule
    violation: Violation
    outbound_id: str | None
    inbound_id: str | None
    at_ns: int
    probability: float
    given_caused: float
    kind: int | None
    alone: float = 0.0
    anyway: float = 1.0
    contradicted: bool = False

    @property
    def strength(self) -> float:
        """What makes one of a kind clearer than another."""
        return self.given_caused * (1 - self.alone)


@dataclass(slots=True)
class _Tally:
    """Occurrences that stay: how many, when, the strongest of each kind of time and the likeliest of all."""

    occurrences: int = 0
    first_ns: int = 0
    last_ns: int = 0
    contradicted: int = 0
    regardless: int = 0
    """Of them, those that are true whichever of the candidates caused the call, or that no times were asked about."""
    clearest: dict[int | None, Accusation] = field(default_factory=dict)
    best: Accusation | None = None

    def add(self, accusation: Accusation) -> None:
        """Counts one."""
        self._span(accusation.at_ns, accusation.at_ns)
        self.occurrences += 1
        self.contradicted += accusation.contradicted
        self.regardless += accusation.anyway >= REGARDLESS
        self._weigh(accusation)

    def take(self, other: _Tally) -> None:
        """Counts all that another has counted."""
        if other.occurrences:
            self._span(other.first_ns, other.last_ns)
            self.occurrences += other.occurrences
            self.contradicted += other.contradicted
            self.regardless += other.regardless
        for accusation in (*other.clearest.values(), *([other.best] if other.best else [])):
            self._weigh(accusation)

    def copy(self) -> _Tally:
        """An independent copy."""
        return replace(self, clearest=dict(self.clearest))

    def _span(self, first_ns: int, last_ns: int) -> None:
        self.first_ns = min(self.first_ns, first_ns) if self.occurrences else first_ns
        self.last_ns = max(self.last_ns, last_ns) if self.occurrences else last_ns

    def _weigh(self, accusation: Accusation) -> None:
        best = self.clearest.get(accusation.kind)
        if best is None or accusation.strength > best.strength:
            self.clearest[accusation.kind] = accusation
        if self.best is None or accusation.probability > self.best.probability:
            self.best = accusation


@dataclass(slots=True)
class Finding:
    """One broken rule on one call edge; the example is its clearest occurrence.

    An occurrence is *open* while it may still be taken back, by a second look at whose call it was.
    """

    id: int
    edge: Edge
    rule: Rule
    severity: Severity
    example: Accusation
    probability: float
    into: Finding | None = None
    """The finding that it was merged into; ``None``: it stands for itself."""
    _all: _Tally = field(default_factory=_Tally)
    _settled: _Tally = field(default_factory=_Tally)
    _open: dict[str, Accusation] = field(default_factory=dict)
    _stale: bool = False
    _doubted: bool = False

    @property
    def confidence(self) -> Confidence:
        """The class of the probability."""
        return Confidence.of(self.probability)

    @property
    def standing(self) -> Finding:
        """What it has become: itself, or what it was merged into."""
        finding = self
        while finding.into is not None:
            finding = finding.into
        return finding

    @property
    def occurrences(self) -> int:
        """How many there are."""
        return self._settled.occurrences + len(self._open)

    @property
    def uncontradicted(self) -> int:
        """Those of them that no request can have made which nobody has seen come."""
        return self.occurrences - self._counted().contradicted

    @property
    def first_ns(self) -> int:
        """When the first was."""
        return self._counted().first_ns

    @property
    def last_ns(self) -> int:
        """When the last was."""
        return self._counted().last_ns

    @property
    def leans_on_times(self) -> bool:
        """Whether it is true only if times have told whose calls these were."""
        return self.occurrences > 0 and not self._counted().regardless

    @property
    def clearest(self) -> dict[int | None, Accusation]:
        """The strongest accusation of each kind of time: what is re-weighed when more is known of uncaused calls."""
        return self._counted().clearest

    def add(self, accusation: Accusation, *, open_: bool = False) -> None:
        """Counts an occurrence."""
        if open_ and accusation.outbound_id is not None:
            self._open[accusation.outbound_id] = accusation
        else:
            self._settled.add(accusation)
        if not self._stale:
            self._all.add(accusation)
        if accusation.probability > self.probability:
            self.probability, self.example = accusation.probability, accusation

    def keep(self, outbound_id: str) -> None:
        """An open occurrence stays for good."""
        accusation = self._open.pop(outbound_id, None)
        if accusation is not None:
            self._settled.add(accusation)

    def remove(self, outbound_id: str) -> None:
        """Takes an open occurrence back."""
        if self._open.pop(outbound_id, None) is not None:
            self._stale = self._doubted = True

    def did_not_occur(self) -> None:
        """It is about what was not there: it has no occurrence."""
        self._settled.occurrences = 0

    def take(self, other: Finding) -> None:
        """Adds another finding of the same rule, whose edge turned out to be the same."""
        self.gather(other)
        if other.probability > self.probability:
            self.probability, self.example = other.probability, other.example

    def gather(self, other: Finding) -> None:
        """Counts the occurrences of one that says less; its own probability and example stand."""
        self._settled.take(other._settled)
        self._open |= other._open
        self._stale = True
        other.into = self

    def recount(self) -> None:
        """Finds the probability and the example anew, where something was taken back."""
        if self._doubted and (best := self._counted().best) is not None:
            self.probability, self.example = best.probability, best
        self._doubted = False

    def _counted(self) -> _Tally:
        if self._stale:
            self._all = self._settled.copy()
            for accusation in self._open.values():
                self._all.add(accusation)
            self._stale = False
        return self._all


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

    def add(self, edge: Edge, accusation: Accusation, *, open_: bool = False) -> Finding:
        """Counts an occurrence, ``open_`` if it may be taken back; the finding it belongs to."""
        key = (accusation.rule.code, edge.id)
        finding = self._findings.get(key)
        if finding is None:
            severity = self.severity(accusation.rule)
            number, probability = next(self._ids), accusation.probability
            finding = Finding(number, edge, accusation.rule, severity, accusation, probability)
            self._findings[key] = finding
        finding.add(accusation, open_=open_)
        return finding

    def drop(self, finding: Finding) -> None:
        """Takes a finding back that has no occurrence any more."""
        self._findings.pop((finding.rule.code, finding.edge.id), None)

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
        """Takes back what is more likely wrong than right by now, and merges what says nothing of its own; the findings
        that were taken back.
        """
        doubtful = {key: each for key, each in self._findings.items() if each.probability < WORTH_SAYING}
        for key in doubtful:
            del self._findings[key]
        self._leave_to_surer()
        return list(doubtful.values())

    def _leave_to_surer(self) -> None:
        """Leaves what is said of several routes to what is said as surely of some of them, occurrences and all.

        "One of these two drops it" adds nothing to "this one drops it", and would read like a second fault.
        """
        by_call: defaultdict[tuple[str, str, str], list[Finding]] = defaultdict(list)
        for finding in self._findings.values():
            edge = finding.edge
            by_call[finding.rule.code, edge.outbound_authority, edge.outbound_route].append(finding)
        for alike in by_call.values():
            alike.sort(key=lambda each: len(each.edge.inbound_routes))
            for finding in alike:
                surer = [each for each in alike if each.into is None and _implies(each, finding)]
                if surer:
                    best = max(surer, key=lambda each: each.occurrences)
                    best.gather(finding)
                    self.drop(finding)
                    self.merged_findings[finding.id] = best.id

    def severity(self, rule: Rule) -> Severity:
        """A rule's severity: as configured, else its own, a step lower when its family is not required."""
        configured = self._severities.get(rule.code)
        if configured is not None:
            return configured
        if rule.family is not None and rule.family not in self._require:
            return rule.severity.lowered()
        return rule.severity


def _implies(one: Finding, other: Finding) -> bool:
    """Whether the first says of some of the other's routes, as surely, what the other says of one of them all."""
    surest = list(Confidence)
    as_sure = surest.index(one.confidence) <= surest.index(other.confidence)
    return as_sure and one.edge.inbound_routes < other.edge.inbound_routes


def _ends(merged: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """From each id to the end of its chain: what was merged may have been merged again."""
    for old in merged:
        new = old
        while new in merged:
            new = merged[new]
        yield old, new
