"""Weighs findings anew by all that is known when it is asked: of calls that nothing causes, and of how times err."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

from traceaudit.correlation import Activity
from traceaudit.correlation.correlator import LEAST_DOUBT
from traceaudit.correlation.frozen import OCCASIONS
from traceaudit.findings import WORTH_SAYING, Accusation, Edge, Finding
from traceaudit.rules import tp022_context_frozen

INSTEAD_OF_FROZEN = frozenset({"TP011", "TP021"})
"""What one call with a frozen context looks like by itself."""

WRONG = 0.005
"""Share of the calls that times give to a wrong request, however sure they are; measured: one to three in a thousand.
So many of an upstream's calls may turn up on the edge of a route that never makes them, and accuse it.
"""


def edge_key(authority: str, route: str) -> str:
    """What the correlation calls an outbound edge."""
    return f"{authority} {route}"


def settle(findings: Iterable[Finding], activity: Activity, timed: Counter[str]) -> None:
    """Gives every finding the probability that it has by what is now known; ``timed``: calls that times decided."""
    findings = list(findings)
    callers: defaultdict[str, set[str]] = defaultdict(set)
    for finding in findings:
        callers[_key(finding.edge)] |= finding.edge.inbound_routes
    for finding in findings:
        finding.recount()
        weighed = [(_weighed(activity, finding.edge, each), each) for each in finding.clearest.values()]
        probability, finding.example = max(weighed, key=lambda pair: pair[0])
        finding.probability = max(probability, _any_of(activity, finding))
        if None not in finding.clearest and not _steady(activity, finding.edge, callers[_key(finding.edge)]):
            finding.probability = min(finding.probability, 1 - LEAST_DOUBT)
        if finding.leans_on_times:
            strays = WRONG * timed[_key(finding.edge)]
            by_chance = 1 - _fewer(finding.occurrences, strays)
            finding.probability = min(finding.probability, max(WORTH_SAYING, 1 - by_chance))
    _leave_to_frozen(findings)


def _key(edge: Edge) -> str:
    return edge_key(edge.outbound_authority, edge.outbound_route)


def _steady(activity: Activity, edge: Edge, callers: Iterable[str]) -> bool:
    """Whether the calls on an edge come exactly as often as its requests, or as all that are known to make them."""
    key = _key(edge)
    return activity.steady(key, edge.inbound_routes) or activity.steady(key, callers)


def _any_of(activity: Activity, finding: Finding) -> float:
    """The probability that at least one of a finding's calls was caused, and so the finding is true."""
    doubtful = [each for kind, each in finding.clearest.items() if kind is not None and not each.contradicted]
    if not doubtful:
        return 0.0
    least = min(each.given_caused for each in doubtful)
    return least * (1 - activity.uncaused.all_by_themselves(_key(finding.edge), finding.uncontradicted))


def _weighed(activity: Activity, edge: Edge, accusation: Accusation) -> float:
    """The probability of an accusation by what is now known of uncaused calls on its edge."""
    if accusation.kind is None:
        return accusation.probability
    alone = max(accusation.alone, activity.uncaused.share(_key(edge), accusation.kind))
    return accusation.given_caused * (1 - alone)


def _fewer(number: int, mean: float) -> float:
    """The probability of fewer than ``number`` of what comes by chance, ``mean`` times on average (Poisson)."""
    if number > mean + 10 * math.sqrt(mean) + 20:
        return 1.0
    term = total = math.exp(-mean)
    for count in range(1, number):
        term *= mean / count
        total += term
    return min(1.0, total)


def _leave_to_frozen(findings: Iterable[Finding]) -> None:
    """Takes back what a frozen context's first calls were accused of, before it could be known for one."""
    since = {each.edge.id: each.first_ns for each in findings if each.rule is tp022_context_frozen.RULE}
    for finding in findings:
        of_edge = since.get(finding.edge.id)
        if finding.rule.code not in INSTEAD_OF_FROZEN or of_edge is None:
            continue
        if finding.last_ns < of_edge and finding.occurrences < OCCASIONS:
            finding.probability = 0.0
