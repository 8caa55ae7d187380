"""Decides the calls of one window: first guesses, rounds of learning, then chains that are asked for probabilities.

Theory of operation. Learning alternates between explaining the window with what is believed of the service and
believing what the explanation shows (:mod:`.witness`). Whether calls after the response are a habit of this service
cannot be told from single calls (while one request is served another's response is always near), so both beliefs are
tried where it matters, and the better total score wins.

A chain that has settled in a wrong explanation is as sure of itself as one that is right, and so is a model that was
learned from it. So there are two *witnesses*: each learns for itself, from a first guess of its own, and answers for
itself. The more they differ, the less is claimed. Where they agree they may still both be wrong in the same way; how
often they differ tells how far to trust either.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from traceaudit.correlation.inference.behaviour import Behaviour, Configuration
from traceaudit.correlation.inference.nesting import Nesting
from traceaudit.correlation.inference.timeline import CONSIDERED, UNCAUSED, UNDECIDED, Stimulus, Timeline
from traceaudit.correlation.inference.triggering import Triggering
from traceaudit.correlation.inference.witness import Beginning, Clues, Lying, Marginals, Witness, adopt
from traceaudit.correlation.records import Settings
from traceaudit.correlation.uncaused import regular

SETTLED = 0.9999
"""A call that is surer than this after a first look is not looked at again."""

FIRST = 0.6
"""The first witness, who has heard the second, weighs more where they differ."""

CEILING = 0.9989
"""No call is surer than this, but that of the only request in flight where calls after the response are no habit.

Times alone suggest; proof (0.999) under load takes an identifier, the gate or isolation.
"""

SHARPNESS = 0.8
"""Scores count to this degree when probabilities are asked for: outputs are scored as if they did not hang together but
by what the model knows, and so a little of what they say is said twice.
"""

BY_EDGE, BY_CALL = 2.0, 1.5
"""How much less witnesses are believed who differ, on an edge as a whole and on one call; see :func:`_sobered`."""

OPEN = 0.1
"""Where witnesses differ, this part of the difference is left open: it is as if nothing were known."""

MEETING_ROUTES, MEETING_SHARE = 3, 0.5
"""An edge on which requests *meet* is called by so many routes, and by each of them for fewer requests than this share:
one request of several makes the call, whichever came last. Requests are scored as if each decided for itself.
"""

LEAST_DOUBT = 0.001
"""What is in less doubt than this, for the weights of two opinions, is as if it were in this much."""

MUCH_UNCAUSED = 0.01
"""Where more than this share of an edge's calls is explained by nothing, one is sought that leaves less unexplained:
retries after a pause look much like calls that come by themselves.
"""

SHOWN_IDLE = 1.25
"""None is sought where these are at most so many times as many as idle times, at the least, let expect."""

MOSTLY, AS_LIKELY = 0.5, 0.5
"""Where more than this share of an edge's calls seems made by nothing, and neither idle times nor a clock show it, the
model has failed: how calls lie in requests is as likely to tell.
"""

SHOWN_PART = 0.5
"""Idle times show it where their rate is this part of it, or more."""

JITTER = 0.25
"""So far intervals between calls that a clock makes may differ from the usual one, as a part of it."""

LATE_SHARE = 0.01
"""Calls after the response are tried as a habit when this share of calls looks like it."""


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
    second = Witness(first.clues, first.before, 2, first.beginning).tried()
    second.converge(settings.rounds)
    adopt(first.chain, second.chain.owner)
    one, other = _asked(first, settings), _asked(second, settings)
    behaviour.become(first.behaviour)
    meeting = _meeting(timeline, first.chain.owner)
    owners = _joined(timeline, one, other, first.clues.lying, meeting, late=bool(first.behaviour.late))
    return Decision(owners, first.chain.calls)


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


def _learned(timeline: Timeline, behaviour: Behaviour, stimuli: list[list[Stimulus]], settings: Settings) -> Witness:
    """The witness with the better belief about calls after the response, taught by this window."""
    lying = Nesting(timeline).shares()
    witnesses: list[Witness] = []
    for late in (False, True) if behaviour.late is None else (behaviour.late,):
        triggering = Triggering(timeline, stimuli, late=late)
        if late and behaviour.late is None and triggering.late_share() <= LATE_SHARE:
            continue
        clues = Clues.of(timeline, triggering, lying)
        # How calls lie in requests tells nothing of those that are made after the response.
        guesses = [Beginning(by_triggers=True)] if late else [Beginning(by_triggers=way) for way in (True, False)]
        witnesses += [Witness(clues, behaviour.believing(late=late), 1, guess).tried() for guess in guesses]
    best = _best(witnesses)
    best.converge(settings.rounds)
    if not _much_uncaused(best):
        return best
    other = Witness(best.clues, best.before, 1, Beginning(by_triggers=False, held_down=True)).tried()
    other.converge(settings.rounds)
    return _best([best, other])


def _best(witnesses: Sequence[Witness]) -> Witness:
    """The one of which most sense could be made, once it has heard those that go by the same clues."""
    best = max(witnesses, key=Witness.worth)
    for other in witnesses:
        if other is not best and other.clues is best.clues:
            adopt(best.chain, other.chain.owner)
    return best


def _much_uncaused(witness: Witness) -> bool:
    """Whether more calls of some edge are explained by nothing, while requests were there, than idle times suggest."""
    timeline = witness.timeline
    busy_ns, calls, uncaused = timeline.span_ns - timeline.idle_ns, Counter[int](), Counter[int]()
    for edge, owner, label, idle in zip(timeline.edge, witness.chain.owner, timeline.label, timeline.idle, strict=True):
        if label == UNDECIDED and not idle:
            calls[edge] += 1
            uncaused[edge] += owner == UNCAUSED
    for edge, count in uncaused.items():
        idle_calls = timeline.idle_calls[edge]
        shown = max(0.0, idle_calls - 2.0 * math.sqrt(idle_calls)) / max(1, timeline.idle_ns) * busy_ns
        if count > max(MUCH_UNCAUSED * calls[edge], SHOWN_IDLE * shown):
            return True
    return False


def _asked(witness: Witness, settings: Settings) -> Marginals:
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
    timeline: Timeline, first: Marginals, second: Marginals, lying: Lying, meeting: Collection[int], *, late: bool
) -> Marginals:
    """What the two witnesses say together, with the odds brought down as far as they differ.

    Where requests meet, the kind of model is wrong, and how calls lie in requests has a say: the more, the more the
    witnesses differ, and the less it leaves open itself. So it has where the model has made nothing of an edge.
    """
    differ = [
        0.0 if label != UNDECIDED else 1.0 - sum(min(one.get(owner, 0.0), share) for owner, share in other.items())
        for label, one, other in zip(timeline.label, first, second, strict=True)
    ]
    apart = _by_edge(timeline, differ)
    open_ = _by_edge(timeline, [1.0 - max(each.values(), default=0.0) for each in lying])
    unexplained = _unexplained(timeline, [_mixed(one, other, FIRST) for one, other in zip(first, second, strict=True)])
    joined: Marginals = []
    for call, (one, other) in enumerate(zip(first, second, strict=True)):
        edge = timeline.edge[call]
        if timeline.label[call] != UNDECIDED:
            joined.append(dict(one))
            continue
        row = _sobered(_mixed(one, other, FIRST), apart[edge], differ[call])
        if edge in meeting or edge in unexplained:
            lies = {**lying[call], UNCAUSED: max(0.0, 1.0 - sum(lying[call].values()))}
            against, left = max(LEAST_DOUBT, apart[edge]), max(LEAST_DOUBT, open_[edge])
            row = _mixed(row, lies, AS_LIKELY if edge in unexplained else left**2 / (left**2 + against**2))
        doubt = OPEN * apart[edge]
        row = {owner: (1.0 - doubt) * share + doubt / len(row) for owner, share in row.items()}
        if late or not _alone(timeline, call, row):
            row = _capped(row)
        joined.append(_with_unconsidered(timeline, call, row))
    return joined


def _unexplained(timeline: Timeline, rows: Marginals) -> set[int]:
    """The edges most of whose calls seem made by nothing, though neither idle times nor a clock show it."""
    alone = _by_edge(timeline, [row.get(UNCAUSED, 0.0) for row in rows])
    found = set()
    for edge in (edge for edge, share in alone.items() if share > MOSTLY):
        times = [start for start, its in zip(timeline.call_start, timeline.edge, strict=True) if its == edge]
        intervals = [later - earlier for earlier, later in pairwise(times)]
        shown = timeline.idle_calls[edge] * timeline.span_ns > SHOWN_PART * alone[edge] * len(times) * timeline.idle_ns
        if not shown and not regular(intervals, JITTER):
            found.add(edge)
    return found


def _sobered(row: Mapping[int, float], apart: float, differ: float) -> dict[int, float]:
    """The same with every ratio of probabilities raised to a power below one, the lower, the more witnesses differ.

    A witness who errs does so in the calls that he finds hard, and hardly in those of which he is sure: on generated
    traffic, of what was said with a doubt of d, about d to such a power was wrong, be d a tenth or a thousandth.
    """
    power = 1.0 / (1.0 + BY_EDGE * math.sqrt(apart) + BY_CALL * differ)
    most = max(row.values())
    raised = {owner: (share / most) ** power for owner, share in row.items()}
    total = sum(raised.values())
    return {owner: share / total for owner, share in raised.items()}


def _alone(timeline: Timeline, call: int, row: Mapping[int, float]) -> bool:
    """Whether the likeliest owner is the only one there is: the one request in flight, or nobody while none is."""
    there = timeline.in_flight(timeline.call_start[call])
    likeliest = max(row, key=lambda owner: row[owner])
    return there == 0 if likeliest == UNCAUSED else there == 1


def _capped(row: dict[int, float]) -> dict[int, float]:
    """The same with nothing above the ceiling; what is cut off goes to the others."""
    likeliest = max(row, key=lambda owner: row[owner])
    spare = row[likeliest] - CEILING
    if spare <= 0.0 or len(row) < 2:
        return row
    return {owner: CEILING if owner == likeliest else share + spare / (len(row) - 1) for owner, share in row.items()}


def _with_unconsidered(timeline: Timeline, call: int, row: dict[int, float]) -> dict[int, float]:
    """Where more requests are in flight than are considered, what is left for nothing is theirs as well."""
    now = timeline.call_start[call]
    if timeline.in_flight(now) <= CONSIDERED:
        return row
    others = [other for other in timeline.there(now) if other not in row]
    share = row[UNCAUSED] / (1 + len(others))
    return {**row, **dict.fromkeys(others, share), UNCAUSED: share}


def _by_edge(timeline: Timeline, values: Sequence[float]) -> dict[int, float]:
    """Per edge the mean over the calls that are to be decided."""
    found: defaultdict[int, list[float]] = defaultdict(list)
    for edge, label, value in zip(timeline.edge, timeline.label, values, strict=True):
        if label == UNDECIDED:
            found[edge].append(value)
    return {edge: sum(each) / len(each) for edge, each in found.items()}


def _mixed(one: Mapping[int, float], other: Mapping[int, float], weight: float) -> dict[int, float]:
    """Both, and the possibility that nothing caused the call; ``weight`` is that of the one."""
    return {
        owner: weight * one.get(owner, 0.0) + (1.0 - weight) * other.get(owner, 0.0)
        for owner in sorted({*one, *other, UNCAUSED})
    }


def _shares(row: dict[int, float], label: int) -> dict[int, float]:
    total = sum(row.values())
    return {owner: weight / total for owner, weight in row.items() if weight > 0.0} if total else {label: 1.0}
