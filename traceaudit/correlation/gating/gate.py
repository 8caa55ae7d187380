"""The gate: holds back what the service would see next while it is not settled what it does now.

Theory of operation. The proxy tells of every stimulus before it delivers it, and of every output of the service. A
stimulus may go when none of the reactions that are still open could make a call that might be taken for one of its own;
else it waits until they are complete, as their habits have it, or the service has been quiet for longer than it ever
is, or the budget is spent. A call that only one request can have made is that request's. Where the budget opened the
gate too early, or a reaction came late, two could have made it: then there is no claim, and less is known of the two.

Habits are learned while few requests are in the service, and states that got unknown are let die out: for that, new
requests are held for longer, at the start and then for a small share of the time.

The gate does no I/O and reads no clock: times are nanoseconds of any clock that does not go backwards.
"""

from __future__ import annotations

from collections import deque

from traceaudit.correlation.gating.edges import OPTIONAL, Edge, Edges
from traceaudit.correlation.gating.habits import ENOUGH, RESPONSE, Habits, Occasion
from traceaudit.correlation.gating.service import Service
from traceaudit.correlation.gating.tokens import Reaction, Token
from traceaudit.correlation.gating.worth import Work, Worth
from traceaudit.exchange import Gated

_MS = 1_000_000

DOUBT = 0.0005
"""The probability of another cause up to which a claim is made; beyond it, the times decide."""

_LATE = 0.0005
"""The probability of a late call from which one that nobody was about to make is no sign of calls by themselves."""

_UNUSUAL = 8
"""Times the usual gap after which a reaction is late: one in two hundred is, of those that vary by a factor of two."""

_LEARNING_NS = 2_000 * _MS
_LEARNING_HABIT_NS = 100 * _MS
_MOST_LEARNING_NS = 8_000 * _MS
"""How long, in all, stimuli may be held beyond the budget so that habits can be learned at once, and not by luck: at
the least, for each habit, and at the most.
"""

_LEARNING_SHARE = 50
"""One part in so many of the time may be spent on that later on."""

_LEARNING_EACH_NS = 1_000 * _MS
"""How long each may be held for that."""

_LEARNING_WITH = 3
"""Requests in the service beyond which no other is let in meanwhile: what few do can be told apart."""

_LOOK_NS = 20 * _MS
"""How soon it is looked again whether something that is held for learning may go."""

_LASTED = 64
"""Requests whose time in the service is remembered: as long may one be there that nobody has seen come."""

_CLEARING_FROM = 3
"""Requests in unknown states, if at least half of all are, from which on no other is let in until they have gone."""

MOST_HELD = 256
"""Stimuli that wait at once; beyond it the gate stands open."""


class Gate:
    """One service's gate. ``budget_ns``: how long a stimulus may be held; ``grace_ns``: how late calls may come."""

    def __init__(self, budget_ns: int, grace_ns: int) -> None:
        self.budget_ns = budget_ns
        self._grace_ns = grace_ns
        self._habits = Habits()
        self._service = Service(self._habits, grace_ns)
        self._edges = Edges()
        self._worth = Worth()
        self._first_ns: int | None = None
        self._told_ns = 0
        self._watched_ns = 0
        """How long it would have been noticed if somebody called who was not about to."""
        self._learned_from_ns = 0
        """How long it would have been noticed later on, by reactions that are not like the others."""
        self._sure = False
        self._learned_ns = self._learning_at_ns = 0
        self._clearing = False
        self._exhausted = False
        self._lasted: deque[int] = deque(maxlen=_LASTED)
        self._contradicted_until_ns = 0

    @property
    def work(self) -> Work:
        """What the gate has done so far."""
        return self._worth.work

    @property
    def in_flight(self) -> int:
        """Requests that were delivered and not answered yet, as far as the gate knows."""
        return self._service.all_in_flight

    @property
    def dozes(self) -> bool:
        """Whether calls have shown by themselves whose they are for so long that nobody is followed any more."""
        return self._edges.all_named

    def wake(self) -> None:
        """A call has come that does not show it; what the gate was not told of while it dozed, it does without."""
        self._edges.wake()

    # --- may it go? ---------------------------------------------------------------------------------------------------

    def may_begin(self, route: str, since_ns: int, now_ns: int) -> int | None:
        """Whether a request that has waited since then may be delivered.

        ``None``: now; else the time at which to ask again if nothing happens before.
        """
        return self._may(None, Occasion(route, RESPONSE, alone=True), since_ns, now_ns)

    def may_answer(self, call_id: str, since_ns: int, now_ns: int) -> int | None:
        """Whether the answer to a call may be delivered, likewise."""
        token, _ = self._service.asked(call_id)
        if token is None:
            return None
        return self._may(token, self._service.occasion(token, call_id), since_ns, now_ns)

    def _may(self, token: Token | None, occasion: Occasion, since_ns: int, now_ns: int) -> int | None:
        service = self._service
        if self._worth.resting(now_ns):
            return None
        if all(other is token for other in service.tokens):
            return None  # Where there is nobody else, it is nobody else's.
        prospect = self._habits.get(occasion).prospect(())
        learns = self._learns(now_ns) and now_ns < since_ns + _LEARNING_EACH_NS
        learning = learns and prospect.anything
        waits: list[int] = []
        if learns or not prospect.anything:
            for other in service.open:
                for reaction in other.reactions:
                    # An answer may go unless what its request still does, or the others do, is like what will follow.
                    matters = None if other is token or prospect.anything else prospect.usual
                    waits += self._held_by(reaction, matters, now_ns, learns=learns)
                    learning = learning or (learns and reaction.prospect.anything and not reaction.afterwards)
        if token is None and learns:
            clearing = self._is_clearing()
            if clearing or (learning and service.in_flight >= _LEARNING_WITH):
                learning = True
                waits = waits or [now_ns + _LOOK_NS]
        if not waits:
            return None
        if learning:
            self._learned_ns += min(now_ns - self._learning_at_ns, _LOOK_NS)
            self._learning_at_ns = now_ns
            return min(waits)
        # What was held for learning goes one by one afterwards, not all at once.
        spent = max(since_ns, self._learning_at_ns) + self.budget_ns
        return None if spent <= now_ns else min(*waits, spent)

    def _held_by(
        self, reaction: Reaction, matters: frozenset[str] | None, now_ns: int, *, learns: bool
    ) -> tuple[int, ...]:
        """Until when an open reaction keeps a stimulus from being delivered, if it does.

        ``matters`` has the edges that will be called once it is; ``None``: any may.
        """
        if self._service.is_over(reaction, now_ns):
            return ()
        left = reaction.prospect
        if left.anything:
            if not learns or reaction.afterwards:
                return ()
        else:
            gated = {edge for edge in left.usual if self._edges.need_gate(edge)}
            if not gated or (matters is not None and not gated & matters):
                return ()
        if reaction.may_be_over:
            return (reaction.active_ns + self._service.quiet_ns(reaction) + 1,)
        # It certainly goes on. One that usually takes longer than anybody may wait is not waited for.
        if reaction.habit.gaps.quantile(0.5) > self.budget_ns:
            return ()
        return (now_ns + self.budget_ns,)

    def _learns(self, now_ns: int) -> bool:
        """Whether stimuli are held so that what is not known can be learned."""
        refilled = (now_ns - (self._first_ns or now_ns)) // _LEARNING_SHARE
        left = self._learning_ns + refilled - self._learned_ns
        self._exhausted = left <= (_LEARNING_EACH_NS if self._exhausted else 0)
        return not self._edges.all_named and not self._exhausted

    @property
    def _learning_ns(self) -> int:
        return min(_MOST_LEARNING_NS, _LEARNING_NS + _LEARNING_HABIT_NS * len(self._habits))

    def _is_clearing(self) -> bool:
        """Whether requests in unknown states are waited for: while they are there, nothing can be shown."""
        doubtful = sum(1 for token in self._service.doubtful if token.responded_ns is None)
        enough = 1 if self._clearing else max(_CLEARING_FROM, self._service.in_flight // 2)
        self._clearing = doubtful >= enough
        return self._clearing

    # --- what the service sees, and does ------------------------------------------------------------------------------

    def begin(self, request_id: str, route: str, now_ns: int, held_ns: int = 0) -> None:
        """A request is delivered, after it was held so long."""
        self._advance(now_ns)
        if self._rests(now_ns):
            self._service.unseen.add(request_id)
            return
        self._worth.delivered(held_ns, self.budget_ns)
        self._service.begin(request_id, route, now_ns, held_ns)

    def answer(self, call_id: str, now_ns: int, held_ns: int = 0) -> None:
        """A call's answer is delivered after it was held so long, or the call has failed."""
        self._advance(now_ns)
        if self._service.answer(call_id, now_ns, held_ns):
            self._worth.delivered(held_ns, self.budget_ns)

    def call(self, call_id: str, edge: str, now_ns: int, named: str | None = None) -> Gated | None:
        """The service makes a call. ``named`` is the request whose identifiers it carries, and no other's."""
        self._advance(now_ns)
        known = self._edges.get(edge)
        if self._rests(now_ns):
            if named is None:
                self._edges.nameless(known)
                self._worth.passed()
            else:
                self._edges.named(known)
            return None
        if named is not None and self._service.knows(named):
            self._edges.named(known)
            self._service.made_by_name(named, call_id, edge, now_ns)
            return None
        self._edges.nameless(known)
        claim = self._caller(call_id, edge, known, now_ns)
        if named is None:
            self._worth.called(claimed=claim is not None, sure=self._sure)
        return claim

    def _caller(self, call_id: str, edge: str, known: Edge, now_ns: int) -> Gated | None:
        service = self._service
        able = service.likeliest(service.about_to(edge, now_ns), edge)
        if not able:
            self._learned_from_ns = 0  # It may have come by itself.
            known.idle = known.idle or not (service.tokens or service.unseen)
            if not service.unseen and service.late(edge, now_ns) < _LATE:
                if self._edges.contradicted_by(known, now_ns):
                    self._contradicted(now_ns)
                known.stray(now_ns)
            service.made_by_nobody(call_id, edge, now_ns)
            return None
        if len({token for token, _ in able}) > 1:
            service.made_by_one_of(able, call_id, edge, now_ns)
            return None
        token, reaction = able[0]
        occasion, left = reaction.occasion, reaction.prospect
        optional = left.chances.get(edge, 0.0) < OPTIONAL
        known.optional += optional
        if left.sure and now_ns - reaction.active_ns > _UNUSUAL * reaction.habit.gaps.quantile(0.5):
            known.made_late(occasion.route, occasion.answered, left.chances.get(edge, 0.0))
        by_itself = optional and known.is_polled
        if service.woken(token, reaction, edge, now_ns):
            self._contradicted(now_ns)
        claim = None if by_itself else self._claim(token, reaction, edge, known, now_ns)
        known.owed_ns += now_ns - reaction.active_ns
        if len(able) > 1:
            for _, each in able:
                each.clean = False
        service.made(token, reaction, call_id, edge, now_ns)
        return claim

    def _claim(self, token: Token, reaction: Reaction, edge: str, known: Edge, now_ns: int) -> Gated | None:
        """The claim that a token made this call; ``None``: others may have, or such calls come by themselves."""
        name = token.group.name
        if name is None or token.doubtful or self._service.unseen or now_ns < token.unsettled_until_ns:
            return None
        if reaction.habit.seen_with(edge, reaction.outputs.count(edge) + 1) < ENOUGH:
            return None
        if reaction.afterwards:
            return None  # What was answered after the response may have been another's call.
        if known.idle or now_ns < max(known.suspected_until_ns, self._contradicted_until_ns):
            return None
        gap = now_ns - reaction.active_ns
        others = self._service.late(edge, now_ns, beside=token)
        others += self._service.unheard_of(now_ns, beside=token)
        # A call that comes sooner than its like is the less likely one of them.
        watched_ns = self._watched_ns + (self._learned_from_ns if self._habits.one_way else 0)
        by_itself = known.by_itself(gap, watched_ns) / reaction.habit.gaps.likely(gap)
        if others + by_itself > DOUBT:
            return None
        evidence: dict[str, object] = {
            "in_flight": self._service.in_flight,
            "after": "the request" if reaction.occasion.answered == RESPONSE else reaction.occasion.answered,
            "held_ms": round(reaction.held_ns / _MS, 3),
            "gap_ms": round(gap / _MS, 3),
            "usual_gap_ms": round(reaction.habit.gaps.quantile(0.5) / _MS, 3),
            "longest_gap_ms": round(reaction.habit.gaps.quantile(0.999) / _MS, 3),
            "such_reactions": reaction.habit.seen,
            "others_may_have": round(others, 6),
            "by_itself_may_be": round(by_itself, 6),
        }
        return Gated(name, round(others + by_itself, 6), evidence)

    def respond(self, request_id: str, now_ns: int) -> None:
        """The service answers a request, or breaks it off."""
        self._advance(now_ns)
        in_service_ns, strange = self._service.respond(request_id, now_ns)
        if strange:
            self._contradicted(now_ns)
        if in_service_ns is not None:
            self._worth.responded(in_service_ns)
            self._lasted.append(in_service_ns)

    def _contradicted(self, now_ns: int) -> None:
        """Something happened that nobody who is known can have done: somebody else may be there.

        Whoever it is will make other calls, which may be taken for those of requests that are known.
        """
        self._contradicted_until_ns = now_ns + max(self._lasted, default=0) + self._grace_ns

    # --- the passing of time ------------------------------------------------------------------------------------------

    def _advance(self, now_ns: int) -> None:
        if self._first_ns is None:
            self._first_ns = self._told_ns = now_ns
        self._sure = self._service.sure
        if self._sure:
            self._watched_ns += now_ns - self._told_ns
        elif not (self._service.unseen or self._service.doubtful):
            self._learned_from_ns += now_ns - self._told_ns
        self._told_ns = now_ns
        self._service.advance(now_ns)

    def _rests(self, now_ns: int) -> bool:
        """Whether the gate rests or dozes; what is in flight when it begins to is lost sight of."""
        resting = self.dozes or self._edges.few_nameless or self._worth.resting(now_ns)
        if resting and self._service.tokens:
            self._service.lose_sight()
        if resting:
            # What it wakes up for would fail again if nothing could be learned.
            self._learned_ns = min(self._learned_ns, self._learning_ns - _LEARNING_EACH_NS)
        return resting
