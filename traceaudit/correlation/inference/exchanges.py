"""Has two requests exchange calls of the same edges, every way at once: the joint move that is never refused.

Theory of operation. Requests that overlap and make the same calls can share these out in a few ways, sixteen if each
makes four; a chain that moves one call at a time has to pass through worse ways to get from one good one to another,
and seldom does. So all are scored, and one is picked by its weight (a Gibbs step on a block). The pairs that are asked
depend on times alone, and so do the calls that change hands (those that either may have); each keeps its number of
calls of every edge, so that the ways are the same from each other.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import accumulate, combinations, product
from typing import NamedTuple

from traceaudit.correlation.inference.behaviour import Configuration
from traceaudit.correlation.inference.sampler import Chain
from traceaudit.correlation.inference.timeline import UNDECIDED

NEVER = 1e-9
"""So small a share is a rounding error, of what cannot be."""

LITTLE = 1e-4
"""A call whose probability is this near to 0 or 1, given all else, is in no doubt by that."""

MOST_WAYS = 100
"""Ways to share out the calls of two requests that are tried all together; where there are more, none is."""

type Pair = tuple[int, int]
"""Two requests."""


class _Ways(NamedTuple):
    """All ways for two requests to share out calls: both hands and their scores, and how probable each way is."""

    found: list[tuple[Configuration, Configuration, tuple[float, float]]]
    cumulative: list[float]
    shares: list[tuple[int, float]]
    """Per call how probable it is that the first has it."""
    doubtful: bool


NO_WAYS = _Ways([], [], [], False)


class Exchanges:
    """The exchanges of one chain; ways are remembered until its scores change."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._epoch = chain.epoch
        self._ways: dict[tuple[int, int, Configuration, Configuration], _Ways] = {}

    def among(self, seen: list[dict[int, float]] | None, *, contested: list[Pair] | None = None) -> list[Pair]:
        """Has pairs of requests exchange calls of the same edges, every way at once.

        All ways to share out what the two have, each keeping its number of calls of every edge, are scored, and one is
        picked by its weight: no way is ever refused, however many calls have to change hands together. The share of all
        ways that give a call to one of them is its probability, given all else. Returns the pairs whose calls were in
        doubt; ``contested`` are those to ask, each request and one that was there with it if ``None``.
        """
        if contested is None:
            chance, pairs = self._chain.chance, enumerate(self._chain.proposals.beside)
            contested = [(first, near[int(chance() * len(near))]) for first, near in pairs if near]
        if self._epoch != self._chain.epoch:
            self._ways, self._epoch = {}, self._chain.epoch
        return [pair for pair in contested if self._exchange(pair, seen)]

    def _exchange(self, pair: Pair, seen: list[dict[int, float]] | None) -> bool:
        chain, (first, second) = self._chain, pair
        key = (first, second, chain.calls[first], chain.calls[second])
        ways = self._ways.get(key)
        if ways is None:
            ways = self._ways[key] = self._all_ways(*key)
        if ways is NO_WAYS:
            return False
        mine, theirs, scores = ways.found[bisect_left(ways.cumulative, chain.chance())]
        chain.give(first, mine, scores[0])
        chain.give(second, theirs, scores[1])
        if seen is not None:
            for call, share in ways.shares:
                for owner, part in ((first, share), (second, 1.0 - share)):
                    if part > NEVER:
                        seen[call][owner] = seen[call].get(owner, 0.0) + part
        return ways.doubtful

    def _all_ways(self, first: int, second: int, held: Configuration, others: Configuration) -> _Ways:
        edge, label = self._chain.timeline.edge, self._chain.timeline.label
        may_have = self._chain.proposals.may_have
        by_edge: dict[int, tuple[list[int], list[int]]] = {}
        for side, calls in enumerate((held, others)):
            for call in calls:
                if label[call] == UNDECIDED and may_have(first, call) and may_have(second, call):
                    by_edge.setdefault(edge[call], ([], []))[side].append(call)
        shared = [pair for pair in by_edge.values() if pair[0] and pair[1]]
        if not shared or math.prod(math.comb(len(one) + len(two), len(one)) for one, two in shared) > MOST_WAYS:
            return NO_WAYS
        moving = {call for pair in shared for calls in pair for call in calls}
        fixed, fixed_others = set(held) - moving, set(others) - moving
        found: list[tuple[Configuration, Configuration, tuple[float, float]]] = []
        for chosen in product(*(combinations(one + two, len(one)) for one, two in shared)):
            hand = fixed.union(*chosen)
            after = tuple(sorted(hand))
            score = self._chain.score_with(first, after)
            if score > -math.inf:
                rest = tuple(sorted(fixed_others | (moving - hand)))
                if (other := self._chain.score_with(second, rest)) > -math.inf:
                    found.append((after, rest, (score, other)))
        best = max(sum(scores) for _, _, scores in found)
        weights = [math.exp(self._chain.sharpness * (sum(scores) - best)) for _, _, scores in found]
        total = sum(weights)
        shares = dict.fromkeys(sorted(moving), 0.0)
        for way, weight in zip(found, weights, strict=True):
            for call in way[0]:
                if call in shares:
                    shares[call] += weight / total
        cumulative = list(accumulate(weight / total for weight in weights))
        cumulative[-1] = 1.0
        doubtful = any(LITTLE < share < 1.0 - LITTLE for share in shares.values())
        return _Ways(found, cumulative, list(shares.items()), doubtful)
