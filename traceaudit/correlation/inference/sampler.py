"""Explains all calls of a window together: a Markov chain over assignments of calls to requests.

Theory of operation. A state of the chain says for every call which request caused it, or that nothing did. Its weight
is the exponential of the requests' scores (:mod:`.behaviour`) and of the rates of uncaused calls. A move picks a call
and a rival request, the owner of an event the call may have reacted to or the owner of a neighbouring call of the same
edge, and then either hands over the call, swaps it for the neighbour, or swaps all or some edges' calls from that
moment on: calls hang together in chains, and a chain that is wrong from some point on is only put right as a whole.

Each move's proposal depends only on what lies before the cut, which the move leaves alone, so forward and backward
proposals are known exactly and the Metropolis rule keeps detailed balance.

Probabilities are not read off the share of time spent in a state but from the acceptance probability of every proposal,
taken or not (Frenkel's waste recycling): a rival of one in a million is seen as that after a few visits.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from random import Random

from traceaudit.correlation.inference.behaviour import Behaviour, Configuration
from traceaudit.correlation.inference.proposals import Proposals
from traceaudit.correlation.inference.timeline import UNCAUSED, UNDECIDED, Timeline

HOPELESS = -60.0
"""Moves whose log acceptance is below this are not computed to the end."""

NEGLIGIBLE = -9.0
"""A deal whose log acceptance is below this casts no doubt on the calls it would have moved."""

MOST_DEALT = 16
"""Calls of two requests that are dealt anew together; more are left to the other moves."""

MOST_IMPROVED = 24
"""The same, with those that nothing caused, where a deal is kept only if it is better."""

LEAST = 1e-4
"""Proposals always give a request at least this much, so that no state is a dead end."""


class Chain:
    """One Markov chain: the current explanation, and how to improve or sample it."""

    def __init__(self, timeline: Timeline, behaviour: Behaviour, proposals: Proposals, seed: int) -> None:
        self.timeline = timeline
        self.behaviour = behaviour
        self.proposals = proposals
        self.undecided = [call for call, label in enumerate(timeline.label) if label == UNDECIDED]
        self.sharpness = 1.0
        """Scores count to this degree; below one, a model that is not quite right is believed less."""
        self.owner: list[int] = []
        self.calls: list[Configuration] = []
        self._scores: list[float] = []
        self.epoch = 0
        """Goes up when scores change."""
        self._memory: list[dict[Configuration, float]] = []
        self._extensions: list[dict[tuple[Configuration, int], float]] = []
        self._random = Random(seed)  # noqa: S311 - a simulation, not a secret

    def start(self, owner: Sequence[int]) -> None:
        """Begins at an explanation."""
        self.owner = list(owner)
        lists: list[list[int]] = [[] for _ in self.timeline.requests]
        for call, request in enumerate(self.owner):
            if request >= 0:
                lists[request].append(call)
        self.calls = [tuple(calls) for calls in lists]
        self.relearned()

    def move_to(self, owner: Sequence[int]) -> None:
        """Goes over to another explanation, keeping what is remembered of scores."""
        lists: list[list[int]] = [[] for _ in self.timeline.requests]
        for call, request in enumerate(owner):
            if request >= 0:
                lists[request].append(call)
        for request, calls in enumerate(lists):
            self.calls[request] = tuple(calls)
            self._scores[request] = self._score(request, self.calls[request])
        self.owner = list(owner)

    def score_of(self, request: int) -> float:
        """The log score of a request's explanation."""
        return self._scores[request]

    def uncaused_score(self, calls: Iterable[int]) -> float:
        """The log score of those of the calls that nothing caused."""
        edge = self.timeline.edge
        return sum(self.behaviour.uncaused(edge[call]) for call in calls if self.owner[call] == UNCAUSED)

    def score_with(self, request: int, calls: Configuration) -> float:
        """The log score that a request's explanation would have."""
        return self._score(request, calls)

    def give(self, request: int, calls: Configuration, score: float) -> None:
        """Makes these a request's calls; whoever had them is given others."""
        self.calls[request], self._scores[request] = calls, score
        for call in calls:
            self.owner[call] = request

    def chance(self) -> float:
        """A random number from 0 to 1, evenly spread."""
        return self._random.random()

    def score(self) -> float:
        """The log score of the whole explanation."""
        return sum(self._scores) + self.uncaused_score(range(len(self.owner)))

    def repair(self, share: float, times: int) -> None:
        """Works on the worst explained requests of each route, and on calls that nothing caused."""
        label = self.timeline.label
        for turn in range(times):
            requests = self._worst(share)
            if turn % 4 == 0:
                self.improve(requests)
            calls = [call for call in self.undecided if self.owner[call] == UNCAUSED]
            calls += [call for request in requests for call in self.calls[request] if label[call] == UNDECIDED]
            self.sweep(calls, None)

    def _worst(self, share: float) -> list[int]:
        by_route: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
        for request, score in enumerate(self._scores):
            by_route[self.timeline.route[request]].append((score, request))
        return [
            request for ranked in by_route.values() for _, request in sorted(ranked)[: int(share * len(ranked)) + 1]
        ]

    def relearned(self) -> None:
        """Forgets scores, because the behaviour they came from has changed."""
        self._memory = [{} for _ in self.timeline.requests]
        self.epoch += 1
        self._extensions = [{} for _ in self.timeline.requests]
        self._scores = [self._score(request, calls) for request, calls in enumerate(self.calls)]

    def sweep(self, calls: Sequence[int], seen: list[dict[int, float]] | None) -> None:
        """Reconsiders each call once; ``seen`` collects the weight of every owner considered for it."""
        uniform = self._random.random
        for call in calls:
            if uniform() < 0.5:
                self._rehang(call, seen)
            else:
                self._trade(call, seen)

    def resplit(self, requests: Iterable[int]) -> set[int]:
        """Deals the calls of each request and of one beside it anew between the two.

        The calls are dealt one by one in time order, each with the odds that the behaviour gives it so far; the
        Metropolis rule then weighs the whole against how likely the old and the new deal were. Returns the calls that
        changed hands or might well have.
        """
        shaken: set[int] = set()
        timeline, uniform = self.timeline, self._random.random
        for request in requests:
            near: Sequence[int] = self.proposals.started[request]
            if not near or uniform() < 0.3:
                low = bisect_left(timeline.call_start, timeline.start[request])
                near = range(low, bisect_right(timeline.call_start, timeline.end[request]))
            if near:
                rival = self.owner[near[int(uniform() * len(near))]]
                if rival not in {UNCAUSED, request}:
                    shaken.update(self._deal(request, rival, near))
        return shaken

    def _deal(self, first: int, second: int, near: Sequence[int]) -> Sequence[int]:
        held, others = self.calls[first], self.calls[second]
        pool = sorted(held + others)
        if len(pool) > MOST_DEALT:
            return ()
        hands, odds = self._dealt(first, second, pool, None)
        if hands[0] == held:
            return ()
        scores = self._score(first, hands[0]), self._score(second, hands[1])
        _, old_odds = self._dealt(first, second, pool, held)
        before = sum(call in near for call in others)
        after = sum(call in near for call in hands[1])
        if not after or old_odds == -math.inf:
            return ()
        gain = (
            self.sharpness * (sum(scores) - self._scores[first] - self._scores[second])
            + old_odds
            - odds
            + math.log(after / before)
        )
        changed = tuple(set(held) ^ set(hands[0])) if gain > NEGLIGIBLE else ()
        if gain < 0.0 and self._random.random() >= math.exp(max(-700.0, gain)):
            return changed
        self.give(first, hands[0], scores[0])
        self.give(second, hands[1], scores[1])
        return changed

    def improve(self, requests: Iterable[int]) -> None:
        """Deals the calls of each request and one beside it, and those near that nothing caused, anew, and keeps what
        scores better.

        This is no sampling: what is hardly ever dealt back is refused by the Metropolis rule, however good it is.
        """
        timeline, owner = self.timeline, self.owner
        for request in requests:
            near = range(
                bisect_left(timeline.call_start, timeline.start[request]),
                bisect_right(timeline.call_start, timeline.end[request]),
            )
            idle = [call for call in near if owner[call] == UNCAUSED and timeline.label[call] == UNDECIDED]
            if rivals := sorted({owner[call] for call in near} - {UNCAUSED, request}):
                self._improve((request, rivals[int(self._random.random() * len(rivals))]), idle)
            elif idle:
                self._improve((request,), idle)

    def _improve(self, players: Sequence[int], idle: Sequence[int]) -> None:
        """Deals the calls of some requests, and these that nothing caused, anew among all of them and nobody."""
        timeline, uncaused = self.timeline, self.behaviour.uncaused
        pool = sorted(chain(idle, *(self.calls[request] for request in players)))
        if len(pool) > MOST_IMPROVED:
            return
        hands: list[Configuration] = [() for _ in players]
        nobodys: list[int] = []
        for call in pool:
            if timeline.label[call] != UNDECIDED:
                hands[players.index(timeline.label[call])] += (call,)
                continue
            gains = [
                *(self._extension(request, hand, call) for request, hand in zip(players, hands, strict=True)),
                uncaused(timeline.edge[call]),
            ]
            most = max(gains)
            weights = [math.exp(max(-700.0, gain - most)) for gain in gains]
            chosen = self._random.choices(range(len(gains)), weights)[0]
            if chosen == len(players):
                nobodys.append(call)
            else:
                hands[chosen] += (call,)
        scores = [self._score(request, hand) for request, hand in zip(players, hands, strict=True)]
        before = sum(self._scores[request] for request in players) + self.uncaused_score(idle)
        if sum(scores) + sum(uncaused(timeline.edge[call]) for call in nobodys) > before:
            for call in nobodys:
                self.owner[call] = UNCAUSED
            for request, hand, score in zip(players, hands, scores, strict=True):
                self.give(request, hand, score)

    def _dealt(
        self, first: int, second: int, pool: Sequence[int], held: Configuration | None
    ) -> tuple[tuple[Configuration, Configuration], float]:
        """A random deal and the log of its probability; with ``held``, the probability of that deal."""
        mine: Configuration = ()
        theirs: Configuration = ()
        odds = 0.0
        label = self.timeline.label
        for call in pool:
            to_first = self._extension(first, mine, call)
            to_second = self._extension(second, theirs, call)
            if label[call] != UNDECIDED:
                share = 1.0 if label[call] == first else 0.0
            elif to_first == -math.inf:
                share = 0.0
            else:
                share = 1.0 / (1.0 + math.exp(min(700.0, to_second - to_first)))
            chosen = self._random.random() < share if held is None else call in held
            probability = share if chosen else 1.0 - share
            odds += math.log(probability) if probability > 0.0 else -math.inf
            if chosen:
                mine += (call,)
            else:
                theirs += (call,)
        return (mine, theirs), odds

    def _extension(self, request: int, calls: Configuration, call: int) -> float:
        memory = self._extensions[request]
        known = memory.get((calls, call))
        if known is None:
            known = memory[calls, call] = self.behaviour.extension(self.timeline, request, calls, call)
        return known

    def _rehang(self, call: int, seen: list[dict[int, float]] | None) -> None:
        """Hands the call, and perhaps what follows it, to the owner of an event it may have reacted to."""
        proposals, owner, uniform = self.proposals, self.owner, self._random.random
        events, weights, cumulative = proposals.events[call], proposals.weights[call], proposals.cumulative[call]
        picked = events[bisect_left(cumulative, uniform() * cumulative[-1])]
        mine = owner[call]
        rival = UNCAUSED if picked is None else picked if picked >= 0 else owner[~picked]
        if rival == mine:
            if seen is not None:
                seen[call][mine] = seen[call].get(mine, 0.0) + 1.0
            return
        other = None
        if mine >= 0 and rival >= 0 and uniform() < 0.7:
            other = self._counterpart(call, rival)
        given, taken = self._extent(call, other, mine, rival)
        if other is not None and (other not in taken or self._counterpart_after(call, mine, given, taken) != other):
            given = taken = ()
        forward = backward = LEAST
        for event, weight in zip(events, weights, strict=True):
            holder = UNCAUSED if event is None else event if event >= 0 else owner[~event]
            if holder == rival:
                forward += weight
            if event is not None and event < 0:
                holder = rival if ~event in given else mine if ~event in taken else holder
            if holder == mine:
                backward += weight
        self._consider(call, mine, rival, (given, taken), backward / forward, seen=seen)

    def _counterpart(self, call: int, rival: int) -> int | None:
        """The rival's call of the same edge that started nearest in turn."""
        edge = self.timeline.edge
        alike = [(abs(other - call), other) for other in self.calls[rival] if edge[other] == edge[call]]
        return min(alike)[1] if alike else None

    def _counterpart_after(self, call: int, mine: int, given: Configuration, taken: Configuration) -> int | None:
        """The same for the way back: what the call would be swapped for once the trade is made."""
        edge = self.timeline.edge
        held = [other for other in self.calls[mine] if other not in given]
        alike = [(abs(other - call), other) for other in (*held, *taken) if edge[other] == edge[call]]
        return min(alike)[1] if alike else None

    def _trade(self, call: int, seen: list[dict[int, float]] | None) -> None:
        """Swaps the call with a neighbour of its edge, alone or with what follows."""
        near = self.proposals.neighbours[call]
        uniform = self._random.random
        mine = self.owner[call]
        other, rival = call, mine
        if near:
            other = near[int(uniform() * len(near))]
            rival = self.owner[other]
            if len(near) != len(self.proposals.neighbours[other]) and uniform() > len(near) / len(
                self.proposals.neighbours[other]
            ):
                rival = mine
        if not near or rival == mine:
            if seen is not None:
                seen[call][mine] = seen[call].get(mine, 0.0) + 1.0
            return
        self._consider(call, mine, rival, self._extent(call, other, mine, rival), 1.0, seen=seen)

    def _extent(self, call: int, other: int | None, mine: int, rival: int) -> tuple[Configuration, Configuration]:
        """What is handed over and what is taken back: the call alone, its branch, or everything from then on."""
        choice = self._random.random()
        if choice < 0.4:
            return (call,), () if other is None else (other,)
        if choice < 0.7 or mine < 0 or rival < 0:
            return self._branch(call, mine, rival), () if other is None else self._branch(other, rival, mine)
        return self._tails(call if other is None else min(call, other), mine, rival)

    def _branch(self, call: int, holder: int, rival: int) -> Configuration:
        """The call and those of its holder that probably followed from it; none if that could not be undone."""
        owner, following = self.owner, self.proposals.following[call]
        if any(owner[later] == rival for later in following):
            return ()
        return (call, *[later for later in following if owner[later] == holder])

    def _tails(self, cut: int, mine: int, rival: int) -> tuple[Configuration, Configuration]:
        """The calls of two requests from a cut on; half the time only those of some edges."""
        first, second = self.calls[mine], self.calls[rival]
        head, tail = first[bisect_left(first, cut) :], second[bisect_left(second, cut) :]
        choice = self._random.random()
        if choice < 0.4:
            return head, tail
        if choice < 0.7:
            edge = self.timeline.edge
            chosen = self._random.getrandbits(len(self.timeline.words.edges)) | (1 << edge[cut])
            return (
                tuple([call for call in head if chosen >> edge[call] & 1]),
                tuple([call for call in tail if chosen >> edge[call] & 1]),
            )
        bits = self._random.getrandbits
        return (
            tuple([call for call in head if call == cut or bits(1)]),
            tuple([call for call in tail if call == cut or bits(1)]),
        )

    def _consider(
        self,
        call: int,
        mine: int,
        rival: int,
        traded: tuple[Configuration, Configuration],
        balance: float,
        *,
        seen: list[dict[int, float]] | None,
    ) -> None:
        given, taken = traded
        if not given:  # A move that could not be undone is not made.
            if seen is not None:
                seen[call][mine] = seen[call].get(mine, 0.0) + 1.0
            return
        chance = 0.0
        after_mine: tuple[Configuration, float] = (), 0.0
        after_rival = after_mine
        label = self.timeline.label
        if all(label[moved] == UNDECIDED for moved in given + taken):
            after_mine = self._traded(mine, given, taken)
            gain = math.log(balance) + self.sharpness * after_mine[1]
            if gain > HOPELESS:
                after_rival = self._traded(rival, taken, given)
                gain += self.sharpness * after_rival[1]
            chance = 0.0 if gain < HOPELESS else math.exp(min(0.0, gain))
        if seen is not None:
            row = seen[call]
            moving = chance if call in given else 0.0
            row[mine] = row.get(mine, 0.0) + 1.0 - moving
            row[rival] = row.get(rival, 0.0) + moving
        if chance == 0.0 or (chance < 1.0 and self._random.random() >= chance):
            return
        for request, calls, (after, gained) in ((mine, taken, after_mine), (rival, given, after_rival)):
            for moved in calls:
                self.owner[moved] = request
            if request >= 0:
                self.calls[request] = after
                self._scores[request] += gained

    def _traded(self, request: int, given: Configuration, taken: Configuration) -> tuple[Configuration, float]:
        """A request's calls after a trade and what that gains it in log score; -1 stands for what nothing caused."""
        if request < 0:
            uncaused, edge = self.behaviour.uncaused, self.timeline.edge
            return (), sum(uncaused(edge[call]) for call in taken) - sum(uncaused(edge[call]) for call in given)
        after = _exchange(self.calls[request], given, taken)
        return after, self._score(request, after) - self._scores[request]

    def _score(self, request: int, calls: Configuration) -> float:
        memory = self._memory[request]
        known = memory.get(calls)
        if known is None:
            known = memory[calls] = self.behaviour.score(self.timeline, request, calls)
        return known


def _exchange(calls: Configuration, away: Configuration, added: Configuration) -> Configuration:
    if not away:
        return tuple(sorted(calls + added))
    return tuple(sorted([call for call in calls if call not in away] + list(added)))
