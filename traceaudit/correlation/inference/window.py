"""Decides the calls of one window: first guesses, rounds of learning, then chains that are asked for probabilities.

Theory of operation. Learning alternates between explaining the window with what is believed of the service and
believing what the explanation shows. It starts from :mod:`.triggering`. Whether calls after the response are a habit of
this service cannot be told from single calls (while one request is served another's response is always near), so both
beliefs are tried where it matters, and the better total score wins.

A chain that has settled in a wrong explanation is as sure of itself as one that is right, and so is a model that was
learned from it. So there are two *witnesses*: each learns for itself, from a first guess of its own, and answers for
itself. Where they differ nothing is claimed. Where they agree they may still both be wrong in the same way; how often
they differ tells how far to trust that.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from traceaudit.correlation.inference.behaviour import Behaviour, Configuration
from traceaudit.correlation.inference.exchanges import Exchanges, Pair
from traceaudit.correlation.inference.proposals import Proposals
from traceaudit.correlation.inference.sampler import Chain
from traceaudit.correlation.inference.timeline import UNCAUSED, UNDECIDED, Stimulus, Timeline
from traceaudit.correlation.inference.triggering import Trigger, Triggering
from traceaudit.correlation.records import Settings

SUSPECT = 0.3
"""Share of the requests, worst score first, whose calls are reconsidered while learning."""

SETTLED = 0.9999
"""A call that is surer than this after a first look is not looked at again."""

FIRST = 0.6
"""The first witness, who has heard the second, weighs more where they differ."""

TRIED = 4
"""Rounds of learning before beliefs are compared, or convergence is asked about."""

ENOUGH = 0.005
"""Learning has converged when a round improves the log score by less than this a call."""

CEILING = 0.998
"""No call is surer than this while several requests are in flight, or where calls after the response are a habit.

On generated traffic of many shapes two in a thousand of the calls that both witnesses had put above 0.999 were wrong.
Times alone suggest; proof under load takes an identifier, the gate or isolation.
"""

SHARPNESS = 0.8
"""Scores count to this degree when probabilities are asked for: outputs are scored as if they did not hang together but
by what the model knows, and so a little of what they say is said twice.
"""

NEARBY, CONTAGION = 10, 0.05
"""So many calls before and after share in each other's doubt, to this degree."""

MEETING_ROUTES, MEETING_SHARE = 3, 0.5
"""An edge on which requests *meet* is called by so many routes, and by each of them for fewer requests than this share:
one request of several makes the call, whichever came last.
"""

MEETING_DOUBT, MEETING_SHARPNESS = 0.12, 0.5
"""The least doubt of calls on such an edge, and the degree to which shares count there. Requests are scored as if each
decided for itself whether it calls; where they do not, a service that gathers five parts before it goes on was wrong in
three of a hundred calls that were put above 0.99.
"""

LATE_SHARE = 0.01
"""Calls after the response are tried as a habit when this share of calls looks like it."""

LATE_COST = 3.0
"""What each call after the response must gain in log score before that is believed to be a habit."""

type Marginals = list[dict[int, float]]
"""Per call the probability of each owner."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is known of a window: every call's possible owners, and the best explanation as a whole."""

    owners: Marginals
    explanation: list[Configuration]


def decide(timeline: Timeline, behaviour: Behaviour, settings: Settings) -> Decision:
    """Learns the behaviour from the window, and says for each call how probable each owner is."""
    if not timeline.calls:
        return Decision([], [() for _ in timeline.requests])
    stimuli = timeline.stimuli(settings.late_ns)
    first = _learned(timeline, behaviour, stimuli, settings)
    second = _Witness(timeline, first.before, first.triggering, 2)
    second.rounds(TRIED)
    second.converge(settings.rounds)
    _adopt(first.chain, second.chain.owner)
    answers = [_asked(witness, settings) for witness in (first, second)]
    behaviour.become(first.behaviour)
    meeting = _meeting(timeline, first.chain.owner)
    return Decision(_joined(timeline, *answers, meeting=meeting, late=bool(first.behaviour.late)), first.chain.calls)


def _meeting(timeline: Timeline, owners: Sequence[int]) -> set[int]:
    """The edges on which requests meet, by an explanation of all calls."""
    requests = Counter(timeline.route)
    callers: defaultdict[int, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for edge, owner in zip(timeline.edge, owners, strict=True):
        if owner != UNCAUSED:
            callers[edge][timeline.route[owner]].add(owner)
    return {
        edge
        for edge, routes in callers.items()
        if sum(len(some) < MEETING_SHARE * requests[route] for route, some in routes.items()) >= MEETING_ROUTES
    }


def _learned(timeline: Timeline, behaviour: Behaviour, stimuli: list[list[Stimulus]], settings: Settings) -> _Witness:
    """The witness with the better belief about calls after the response, taught by this window."""
    if behaviour.late is not None:
        before = behaviour.believing(late=behaviour.late)
        witness = _Witness(timeline, before, Triggering(timeline, stimuli, late=behaviour.late), 1)
        witness.converge(settings.rounds)
        return witness
    late = Triggering(timeline, stimuli, late=True)
    usual = Triggering(timeline, stimuli, late=False)
    witnesses = [_Witness(timeline, behaviour.believing(late=False), usual, 1)]
    if late.late_share() > LATE_SHARE:
        witnesses.append(_Witness(timeline, behaviour.believing(late=True), late, 1))
    for witness in witnesses:
        witness.rounds(TRIED)
    best = max(witnesses, key=_Witness.worth)
    best.converge(settings.rounds)
    return best


def _asked(witness: _Witness, settings: Settings) -> Marginals:
    """The witness's probabilities; the effort goes where there is doubt."""
    chain, timeline = witness.chain, witness.timeline
    witness.settle()
    chain.sharpness = SHARPNESS
    found: Marginals = [{} for _ in timeline.calls]
    doubtful: set[int] = set()
    for turn in range(15):
        if turn % 5 == 0:
            doubtful |= chain.resplit(range(len(timeline.requests)))
        witness.exchange(found if turn >= 3 else None, every=turn < 10)
        chain.sweep(chain.undecided, found if turn >= 3 else None)
    doubtful |= {call for call, row in enumerate(found) if row and max(row.values()) < SETTLED * sum(row.values())}
    calls = sorted(doubtful.intersection(chain.undecided))
    rivals = sorted({owner for call in calls for owner in found[call] if owner != UNCAUSED})
    affordable = settings.effort * max(100, len(timeline.requests)) // max(1, len(calls))
    for visit in range(min(settings.visits, affordable)):
        if visit % 4 == 0:
            chain.resplit(rivals)
        witness.exchange(found, every=False)
        chain.sweep(calls, found)
    return [_shares(row, timeline.label[call]) for call, row in enumerate(found)]


def _joined(
    timeline: Timeline, first: Marginals, second: Marginals, *, meeting: Collection[int], late: bool
) -> Marginals:
    """The mean of two witnesses, less the chance that both are wrong in the same way.

    If each errs in a share d of its answers, and they err apart, they differ in about 2d and agree on an error in less
    than d squared; what they have in common (the data, the kind of model) makes it more, so their whole difference is
    squared. Errors come in groups: near calls they differ on, a share of that difference is added.
    """
    differ = [
        0.0 if label != UNDECIDED else 1.0 - sum(min(one.get(owner, 0.0), share) for owner, share in other.items())
        for label, one, other in zip(timeline.label, first, second, strict=True)
    ]
    sums = [0.0, *accumulate(differ)]
    asked: defaultdict[int, int] = defaultdict(int)
    total: defaultdict[int, float] = defaultdict(float)
    for edge, label, difference in zip(timeline.edge, timeline.label, differ, strict=True):
        asked[edge] += label == UNDECIDED
        total[edge] += difference
    joined: Marginals = []
    for call, (one, other) in enumerate(zip(first, second, strict=True)):
        edge = timeline.edge[call]
        if timeline.label[call] != UNDECIDED:
            joined.append(dict(one))
            continue
        row = {
            owner: FIRST * one.get(owner, 0.0) + (1.0 - FIRST) * other.get(owner, 0.0)
            for owner in sorted({*one, *other, UNCAUSED})
        }
        low, high = max(0, call - NEARBY), min(len(differ), call + NEARBY + 1)
        near = (sums[high] - sums[low]) / (high - low)
        doubt = min(1.0, (total[edge] / asked[edge]) ** 2 + CONTAGION * near)
        if late or timeline.in_flight(timeline.call_start[call]) > 1:
            doubt = max(doubt, 2.0 * (1.0 - CEILING))  # Half of it may go back to the likeliest of two.
        if edge in meeting:
            row, doubt = _flattened(row), max(doubt, MEETING_DOUBT)
        joined.append({owner: (1.0 - doubt) * share + doubt / len(row) for owner, share in row.items()})
    return joined


def _flattened(row: dict[int, float]) -> dict[int, float]:
    """Shares on an edge on which requests meet."""
    weights = {owner: math.pow(share, MEETING_SHARPNESS) for owner, share in row.items()}
    total = sum(weights.values())
    return {owner: weight / total for owner, weight in weights.items()}


class _Witness:
    """One belief about the service, and the explanation it leads to."""

    def __init__(self, timeline: Timeline, behaviour: Behaviour, triggering: Triggering, seed: int) -> None:
        self.timeline = timeline
        self.before = behaviour
        self.triggering = triggering
        self.taught = 0
        self.contested: set[Pair] = set()
        """Pairs of requests that may have each other's calls."""
        self.behaviour = behaviour.believing(late=bool(behaviour.late))
        self.behaviour.seed(triggering.kernels(), triggering.background)
        triggers = triggering.triggers()
        guess = first_guess(timeline, triggers, Random(seed) if seed > 1 else None)  # noqa: S311 - no secret
        self.chain = Chain(timeline, self.behaviour, Proposals(timeline, triggers), seed)
        self.chain.start(guess)
        self.exchanges = Exchanges(self.chain)

    def rounds(self, count: int) -> None:
        """So many rounds of learning and explaining."""
        for _ in range(count):
            self.behaviour.learn(self.timeline, [(self.chain.calls, self.chain.owner)])
            self.chain.relearned()
            if not self.taught:
                for _ in range(3):
                    self.chain.sweep(self.chain.undecided, None)
            self.exchange(None, every=True)
            self.exchange(None, every=False)
            self.chain.resplit(range(len(self.timeline.requests)))
            self.chain.repair(SUSPECT, 10)
            self.taught += 1

    def exchange(self, seen: Marginals | None, *, every: bool) -> None:
        """Has pairs of requests exchange calls: one pair of every request, or those that were in doubt then."""
        if every:
            self.contested |= set(self.exchanges.among(seen))
        else:
            self.exchanges.among(seen, contested=sorted(self.contested))

    def converge(self, most: int) -> None:
        """Rounds until another one hardly improves the score, or the most allowed."""
        enough = ENOUGH * len(self.timeline.calls)
        score = self.chain.score()
        for _ in range(most):
            self.rounds(1)
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
        """The log score of the explanation, less what calls after the response cost it: they are not the rule."""
        if not self.behaviour.late:
            return self.chain.score()  # It has paid already.
        end, start = self.timeline.end, self.timeline.call_start
        late = sum(owner != UNCAUSED and end[owner] < start[call] for call, owner in enumerate(self.chain.owner))
        return self.chain.score() - LATE_COST * late


def first_guess(
    timeline: Timeline, triggers: Sequence[tuple[list[Trigger], float]], random: Random | None
) -> list[int]:
    """Each call goes where its likeliest trigger went, or, given a source of chance, one picked by its probability."""
    owner: list[int] = []
    for call, (likely, idle) in enumerate(triggers):
        if timeline.label[call] != UNDECIDED:
            owner.append(timeline.label[call])
            continue
        if call in timeline.hints and timeline.start[timeline.hints[call][0]] <= timeline.call_start[call]:
            owner.append(timeline.hints[call][0])
            continue
        if random is not None and likely:
            reference, _ = random.choices(likely, [share + 1e-12 for _, share in likely])[0]
            weight = max(share for _, share in likely)
        else:
            reference, weight = max(likely, key=lambda trigger: trigger[1], default=(0, 0.0))
        owner.append(UNCAUSED if weight <= idle else reference if reference >= 0 else owner[~reference])
    return owner


def _adopt(chain: Chain, proposed: Sequence[int]) -> None:
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


def _shares(row: dict[int, float], label: int) -> dict[int, float]:
    total = sum(row.values())
    return {owner: weight / total for owner, weight in row.items() if weight > 0.0} if total else {label: 1.0}
