"""A witness: one belief about the service, the explanation of a window that it leads to, and how both are found.

Theory of operation. A witness begins at a guess, learns from it what the service does, explains the calls by what was
learned, learns again, and so on. Where it begins decides where it ends, so there are two guesses: by what is before a
call (:mod:`.triggering`) and how it lies in requests (:mod:`.nesting`) together, and by the latter alone, which is
better where few requests make calls. Either may begin by holding hardly any call for one that nothing caused: what is
explained by nothing teaches nothing of the requests, and so goes on being explained by nothing. Each is followed for
some rounds; :mod:`.window` keeps the one of which more sense could be made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from traceaudit.correlation.inference.behaviour import Behaviour, Configuration
from traceaudit.correlation.inference.exchanges import Exchanges, Pair
from traceaudit.correlation.inference.proposals import Proposals
from traceaudit.correlation.inference.sampler import Chain
from traceaudit.correlation.inference.timeline import UNCAUSED, UNDECIDED, Timeline
from traceaudit.correlation.inference.triggering import Trigger, Triggering

SUSPECT = 0.3
"""Share of the requests, worst score first, whose calls are reconsidered while learning."""

ENOUGH = 0.005
"""Learning has converged when a round improves the log score by less than this a call that came while a request was
there: the others are nobody's in any case.
"""

KEPT = 3
"""Explanations that are learned from, the latest ones: what a single one has by chance is not made a habit of."""

UNUSUAL_COST = 0.25
"""What each call after the response, and each that nothing caused, must gain in log score before that is believed to be
a habit: a little. Where it is none, hardly any is found; where it is one, the other belief may still explain many of
them by nothing, or by whoever is there.
"""

TRIED = 2
"""Rounds of learning before witnesses are compared, or convergence is asked about: how a guess looks before the first
says little of where it leads.
"""

HELD_DOWN = 3
"""Rounds of learning for which hardly any call is held for one that nothing caused, where witnesses begin with that."""

HARDLY_ANY = 0.001
"""Share of an edge's calls."""

UNLIKE = 0.01
"""What a request keeps of what its events say for it, though a call does not lie in it."""

type Marginals = list[dict[int, float]]
"""Per call the probability of each owner."""

type Lying = list[dict[int, float]]
"""Per call how probable it is that it lies in each of some requests (:mod:`.nesting`)."""


@dataclass(frozen=True, slots=True)
class Clues:
    """What is known of a window before anything is learned of the service as a whole."""

    timeline: Timeline
    triggering: Triggering
    triggers: list[tuple[list[Trigger], float]]
    lying: Lying
    proposals: Proposals

    @classmethod
    def of(cls, timeline: Timeline, triggering: Triggering, lying: Lying) -> Clues:
        """Puts them together."""
        triggers = triggering.triggers()
        return cls(timeline, triggering, triggers, lying, Proposals(timeline, triggers, lying))

    def guess(self, random: Random | None, *, by_triggers: bool) -> list[int]:
        """The likeliest owner of each call, or, given a source of chance, one picked by how likely it is."""
        timeline, owner = self.timeline, list[int]()
        for call, label in enumerate(timeline.label):
            hinted = timeline.hints.get(call, (UNDECIDED, 0.0))[0]
            if label != UNDECIDED:
                owner.append(label)
            elif hinted != UNDECIDED and timeline.start[hinted] <= timeline.call_start[call]:
                owner.append(hinted)
            else:
                weights = self._by_triggers(call, owner) if by_triggers else self._by_lying(call)
                if random is not None:
                    owner += random.choices(list(weights), list(weights.values()))
                else:
                    owner.append(max(weights, key=lambda who: weights[who]))
        return owner

    def _by_lying(self, call: int) -> dict[int, float]:
        return {**self.lying[call], UNCAUSED: max(1e-9, 1.0 - sum(self.lying[call].values()))}

    def _by_triggers(self, call: int, owner: Sequence[int]) -> dict[int, float]:
        likely, idle = self.triggers[call]
        lies, now, end = self._by_lying(call), self.timeline.call_start[call], self.timeline.end
        weights: defaultdict[int, float] = defaultdict(float)
        for reference, share in likely:
            weights[reference if reference >= 0 else owner[~reference]] += share
        weights[UNCAUSED] += idle + 1e-12
        # A call lies in no request that is over, late or not: there, it says as much as for nothing.
        left = lies[UNCAUSED]
        return {
            who: weight * ((left if who >= 0 and end[who] < now else lies.get(who, 0.0)) + UNLIKE)
            for who, weight in weights.items()
        }


class Beginning(NamedTuple):
    """Where a witness begins."""

    by_triggers: bool
    """Which of the two guesses it begins at."""
    held_down: bool = False
    """Whether it holds hardly any call for one that nothing caused at first."""


class Witness:
    """One belief about the service, and the explanation it leads to."""

    def __init__(self, clues: Clues, behaviour: Behaviour, seed: int, beginning: Beginning) -> None:
        self.clues = clues
        self.timeline = clues.timeline
        self.before = behaviour
        self.taught = 0
        self._worlds: list[tuple[list[Configuration], list[int]]] = []
        self._contested: set[Pair] = set()
        """Pairs of requests that may have each other's calls."""
        self.beginning = beginning
        self.chain = self._begun(seed)
        self.behaviour = self.chain.behaviour
        self._exchanges = Exchanges(self.chain)

    def _begun(self, seed: int) -> Chain:
        """A chain at one of the guesses, and what is learned from it."""
        triggering, belief = self.clues.triggering, self.before.believing(late=bool(self.before.late))
        if self.beginning.held_down:
            belief.most_uncaused_share = HARDLY_ANY
        belief.seed(triggering.kernels(), triggering.background)
        chain = Chain(self.timeline, belief, self.clues.proposals, seed)
        random = Random(seed) if seed > 1 else None  # noqa: S311 - no secret
        chain.start(self.clues.guess(random, by_triggers=self.beginning.by_triggers))
        belief.learn(self.timeline, [(chain.calls, chain.owner)])
        chain.relearned()
        return chain

    def tried(self) -> Witness:
        """Itself, after as many rounds as it takes to see where it leads."""
        self._rounds(HELD_DOWN if self.beginning.held_down else TRIED)
        self.behaviour.most_uncaused_share = 1.0
        return self

    def _rounds(self, count: int) -> None:
        """So many rounds of learning and explaining."""
        for _ in range(count):
            self._worlds = [(list(self.chain.calls), list(self.chain.owner)), *self._worlds[: KEPT - 1]]
            self.behaviour.learn(self.timeline, self._worlds)
            self.chain.relearned()
            if not self.taught:
                for _ in range(3):
                    self.chain.sweep(self.chain.undecided, None)
            self.exchange(None, every=True)
            self.exchange(None, every=False)
            self.chain.improve(range(len(self.timeline.requests)))
            self.chain.repair(SUSPECT, 10)
            self.taught += 1

    def exchange(self, seen: Marginals | None, *, every: bool) -> None:
        """Has pairs of requests exchange calls: one pair of every request, or those that were in doubt then."""
        if every:
            self._contested |= set(self._exchanges.among(seen))
        else:
            self._exchanges.among(seen, contested=sorted(self._contested))

    def converge(self, most: int) -> None:
        """Rounds until another one hardly improves the score, or the most allowed."""
        enough = ENOUGH * self.timeline.idle.count(False)
        score = self.chain.score()
        for _ in range(most):
            self._rounds(1)
            before, score = score, self.chain.score()
            if score - before < enough:
                return

    def settle(self) -> None:
        """Learns once more, from several explanations that are about as good as each other."""
        worlds = []
        for _ in range(4):
            for _ in range(2):
                self.chain.sweep(self.chain.undecided, None)
            self.exchange(None, every=False)
            worlds.append((list(self.chain.calls), list(self.chain.owner)))
        self.behaviour.learn(self.timeline, worlds)
        self.chain.relearned()

    def worth(self) -> float:
        """The log score of the explanation, less what it costs that nothing caused calls, or that they came late."""
        unusual = self.chain.owner.count(UNCAUSED)
        if self.behaviour.late:  # Where it is not believed, these have paid already.
            end, start = self.timeline.end, self.timeline.call_start
            owners = enumerate(self.chain.owner)
            unusual += sum(owner != UNCAUSED and end[owner] < start[call] for call, owner in owners)
        return self.chain.score() - UNUSUAL_COST * unusual


def adopt(chain: Chain, proposed: Sequence[int]) -> None:
    """Takes over from another explanation every group of requests that the chain finds better explained there."""
    other = Chain(chain.timeline, chain.behaviour, chain.proposals, 0)
    other.start(proposed)
    group: dict[int, int] = {}

    def leader(request: int) -> int:
        while group.setdefault(request, request) != request:
            group[request] = group[group[request]]
            request = group[request]
        return request

    differing: list[int] = []
    for call, (mine, others) in enumerate(zip(chain.owner, other.owner, strict=True)):
        if mine != others:
            differing.append(call)
            involved = [request for request in (mine, others) if request != UNCAUSED]
            group[leader(involved[0])] = leader(involved[-1])
    members: defaultdict[int, list[int]] = defaultdict(list)
    for call in differing:
        members[leader(max(chain.owner[call], other.owner[call]))].append(call)
    gains: defaultdict[int, float] = defaultdict(float)
    for request in list(group):
        gains[leader(request)] += other.score_of(request) - chain.score_of(request)
    owner = list(chain.owner)
    for head, calls in members.items():
        gain = gains[head] + other.uncaused_score(calls) - chain.uncaused_score(calls)
        if gain > 0.0:
            for call in calls:
                owner[call] = other.owner[call]
    chain.move_to(owner)
