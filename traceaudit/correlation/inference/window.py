"""Decides the calls of one window: a first guess, rounds of learning, then chains that are asked for probabilities.

Theory of operation. Learning alternates between explaining the window with what is believed of the service and
believing what the explanation shows. It starts from :mod:`.triggering`. Whether calls after the response are a habit of
this service cannot be told from single calls (while one request is served another's response is always near), so both
beliefs are tried where it matters, and the better total score wins.

The final answer comes from several chains. They start from explanations found independently; where one of them found a
clearly better explanation the other adopts it, where both are nearly as good each keeps its own, and the mean of the
two is uncertain exactly there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from traceaudit.correlation.inference.behaviour import Behaviour
from traceaudit.correlation.inference.records import Settings
from traceaudit.correlation.inference.sampler import Chain, Proposals
from traceaudit.correlation.inference.timeline import UNCAUSED, UNDECIDED, Timeline
from traceaudit.correlation.inference.triggering import Trigger, Triggering

SUSPECT = 0.3
"""Share of the requests, worst score first, whose calls are reconsidered while learning."""

SETTLED = 0.9999
"""A call that is surer than this after a first look is not looked at again."""

ADOPTED = 4.0
"""A chain adopts another's explanation of some requests when its log score is better by this much."""

LATE_SHARE = 0.01
"""Calls after the response are tried as a habit when this share of calls looks like it."""

LATE_COST = 3.0
"""What each call after the response must gain in log score before that is believed to be a habit."""

type Marginals = list[dict[int, float]]
"""Per call the probability of each owner."""


def decide(timeline: Timeline, behaviour: Behaviour, settings: Settings) -> Marginals:
    """Learns the behaviour from the window, and says for each call how probable each owner is."""
    if not timeline.calls:
        return []
    first, guess = _learned(timeline, behaviour, settings)
    chains = [first]
    for number in range(1, settings.chains):
        chain = Chain(timeline, behaviour, first.proposals, 1 + number)
        chain.start(guess)
        everyone = range(len(timeline.requests))
        for _ in range(3):
            chain.resplit(everyone)
            chain.sweep(chain.undecided, None)
            chain.repair(SUSPECT, 8)
        _adopt(first, chain, 0.0)
        chains.append(chain)
    for chain in chains[1:]:
        _adopt(chain, first, ADOPTED)
    found: Marginals = [{} for _ in timeline.calls]
    doubtful: set[int] = set()
    for chain in chains:
        for turn in range(15):
            if turn % 5 == 0:
                doubtful |= chain.resplit(range(len(timeline.requests)))
            chain.sweep(chain.undecided, found if turn >= 3 else None)
    _look_again(chains, found, doubtful, settings.visits)
    return [_shares(row, timeline.label[call]) for call, row in enumerate(found)]


def _look_again(chains: Sequence[Chain], found: Marginals, doubtful: set[int], visits: int) -> None:
    """Spends the effort where there is doubt."""
    doubtful |= {call for call, row in enumerate(found) if row and max(row.values()) < SETTLED * sum(row.values())}
    calls = sorted(doubtful.intersection(chains[0].undecided))
    rivals = sorted({owner for call in calls for owner in found[call] if owner != UNCAUSED})
    for chain in chains:
        for visit in range(visits):
            if visit % 4 == 0:
                chain.resplit(rivals)
            chain.sweep(calls, found)


def _learned(timeline: Timeline, behaviour: Behaviour, settings: Settings) -> tuple[Chain, list[int]]:
    """The behaviour taught by this window, a chain at a good explanation, and the first guess."""
    stimuli = timeline.stimuli(settings.late_ns)
    if behaviour.late is None:
        late = Triggering(timeline, stimuli, late=True)
        trials = [_Trial(timeline, behaviour.copy(), Triggering(timeline, stimuli, late=False))]
        if late.late_share() > LATE_SHARE:
            trials.append(_Trial(timeline, behaviour.copy(), late))
        for trial in trials:
            trial.rounds(4)
        best = max(trials, key=_Trial.worth)
        best.behaviour.late = best is not trials[0]
        best.rounds(settings.rounds - 4)
    else:
        best = _Trial(timeline, behaviour.copy(), Triggering(timeline, stimuli, late=behaviour.late))
        best.rounds(settings.rounds // 2)
    worlds = []
    for _ in range(4):
        for _ in range(2):
            best.chain.sweep(best.chain.undecided, None)
        worlds.append((list(best.chain.calls), list(best.chain.owner)))
    behaviour.become(best.behaviour)
    behaviour.learn(timeline, worlds)
    chain = Chain(timeline, behaviour, best.chain.proposals, 1)
    chain.start(best.chain.owner)
    return chain, best.guess


class _Trial:
    """One belief about the service, and the explanation it leads to."""

    def __init__(self, timeline: Timeline, behaviour: Behaviour, triggering: Triggering) -> None:
        self.timeline = timeline
        self.behaviour = behaviour
        behaviour.seed(triggering.kernels(), triggering.background)
        triggers = triggering.triggers()
        self.guess = first_guess(timeline, triggers)
        self.chain = Chain(timeline, behaviour, Proposals(timeline, triggers), 1)
        self.chain.start(self.guess)
        self._taught = False

    def worth(self) -> float:
        """The log score of the explanation, less what calls after the response cost it: they are not the rule."""
        end, start = self.timeline.end, self.timeline.call_start
        late = sum(owner != UNCAUSED and end[owner] < start[call] for call, owner in enumerate(self.chain.owner))
        return self.chain.score() - LATE_COST * late

    def rounds(self, count: int) -> None:
        """So many rounds of learning and explaining."""
        for _ in range(count):
            self.behaviour.learn(self.timeline, [(self.chain.calls, self.chain.owner)])
            self.chain.relearned()
            if not self._taught:
                self._taught = True
                for _ in range(3):
                    self.chain.sweep(self.chain.undecided, None)
            self.chain.resplit(range(len(self.timeline.requests)))
            self.chain.repair(SUSPECT, 10)


def first_guess(timeline: Timeline, triggers: Sequence[tuple[list[Trigger], float]]) -> list[int]:
    """Each call goes where its likeliest trigger went."""
    owner: list[int] = []
    for call, (likely, idle) in enumerate(triggers):
        if timeline.label[call] != UNDECIDED:
            owner.append(timeline.label[call])
            continue
        reference, weight = max(likely, key=lambda trigger: trigger[1], default=(0, 0.0))
        owner.append(UNCAUSED if weight <= idle else reference if reference >= 0 else owner[~reference])
    return owner


def _adopt(chain: Chain, other: Chain, margin: float) -> None:
    """Takes over from another chain the explanation of every group of requests that it explains better by a margin."""
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
        if gain > margin:
            for call in calls:
                owner[call] = other.owner[call]
    chain.move_to(owner)


def _shares(row: dict[int, float], label: int) -> dict[int, float]:
    total = sum(row.values())
    return {owner: weight / total for owner, weight in row.items()} if total else {label: 1.0}


