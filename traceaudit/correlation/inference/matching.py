"""Lets the calls compete for their triggers: one event leads to at most one call of an edge.

Theory of operation. Calls and events form a bipartite graph whose edges weigh what :mod:`.triggering` says of each pair
alone. Sum-product belief propagation (the Bethe approximation of the permanent) passes messages both ways until each
call's share in an event takes into account how badly its rivals need that event. It is exact on trees and close on the
short cycles of overlapping requests. What it yields is a starting point and a source of proposals, never an answer.
"""

from __future__ import annotations

from collections import defaultdict

PASSES = 12

SPARE = 0.02
"""Least weight that an event leads to no call of the edge."""

type Option = tuple[int, float, float]
"""An event (numbered per kind of event and edge), the pair's weight, the event's weight of leading to nothing."""


def matched(options: list[list[Option]], idle: list[float]) -> list[tuple[list[float], float]]:
    """For each call the probability of each of its options, and that of being excited by nothing."""
    claims: defaultdict[int, dict[int, float]] = defaultdict(dict)
    spare: dict[int, float] = {}
    for call, found in enumerate(options):
        total = idle[call] + sum(weight for _, weight, _ in found)
        for event, weight, free in found:
            claims[event][call] = weight / total
            spare[event] = max(SPARE, free)
    offers: list[list[float]] = []
    for _ in range(PASSES):
        wanted = {event: spare[event] + sum(rivals.values()) for event, rivals in claims.items()}
        offers = [
            [weight / max(1e-12, wanted[event] - claims[event][call]) for event, weight, _ in found]
            for call, found in enumerate(options)
        ]
        for call, found in enumerate(options):
            total = idle[call] + sum(offers[call])
            for (event, weight, _), offer in zip(found, offers[call], strict=True):
                rest = max(1e-12 * total, total - offer)
                claims[event][call] = 0.5 * claims[event][call] + 0.5 * weight / rest
    answers = []
    for call, shares in enumerate(offers):
        total = idle[call] + sum(shares)
        answers.append(([share / total for share in shares], idle[call] / total))
    return answers
