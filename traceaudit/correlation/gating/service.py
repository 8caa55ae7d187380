"""Follows the requests in the service from state to state, and says when it no longer knows one's.

Theory of operation. Every stimulus begins a reaction of its token; every output is taken by the one reaction it can be
of. Where several can have brought it, their tokens' names may be swapped from now on, if that is all that can be wrong
(see :mod:`traceaudit.correlation.gating.tokens`); else the tokens are doubtful until they respond: they may make any
call that requests of their route were seen to make, and nothing is learned from them. So that doubts do not breed
doubts, who must make a call is taken to have made it before all who only may; a call too many takes that back.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator

from traceaudit.correlation.gating.edges import MOST_EDGES
from traceaudit.correlation.gating.habits import RESPONSE, Habits, Occasion
from traceaudit.correlation.gating.tokens import Group, Reaction, Token
from traceaudit.correlation.gating.wakings import SOON, UNUSUAL, Wakings

_MS = 1_000_000

_LEAST_QUIET_NS = 1 * _MS
_QUIET_NS = 10 * _MS
"""How long the service must be quiet before anything is known of it; tried at 13 requests in flight."""

_ENOUGH_GAPS = 256
"""Gaps from which on the longest of a thousand is taken for the longest; before, it is doubled."""

_STRANGE = 0.05
"""The share of a route's responses up to which one that does not wait for a call is strange."""

_FEW_SEEN = 4
_USUAL = 0.9
"""The share of so many reactions up to which something that comes late may have been brought about otherwise."""

_UNKNOWN_DOUBT = 0.001
"""The least doubt that a request brings about which nothing is known, or whose state is not."""


class Service:
    """All that is in flight."""

    def __init__(self, habits: Habits, grace_ns: int) -> None:
        self._habits = habits
        self._grace_ns = grace_ns
        self.tokens: dict[Token, None] = {}
        self.open: dict[Token, None] = {}
        """Those with a reaction that may still make a call."""
        self.doubtful: dict[Token, None] = {}
        self.unseen: set[str] = set()
        """Requests in flight that nobody followed; what they do is not known."""
        self._names: dict[str, Group] = {}
        self._owners: dict[str, tuple[Token | None, str]] = {}
        self._called: dict[str, set[str]] = {}
        """The edges that requests of a route have called."""
        self._edges: set[str] = set()
        self._ended: deque[Token] = deque()
        self._unsettled: dict[str, int] = {}
        """Until when another call on an edge may show that the last was not whose it was taken for."""
        self._last: dict[str, tuple[Token, int]] = {}
        """Who was taken to have made the last call on an edge, and until when it would have made it."""
        self._wakings = Wakings()
        self._responses: Counter[str] = Counter()
        self._early: Counter[str] = Counter()
        """Those of a route's responses that came while a call was open."""

    # --- questions ----------------------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Requests that are not answered yet."""
        return sum(1 for token in self.tokens if token.responded_ns is None)

    @property
    def all_in_flight(self) -> int:
        """Those that nobody followed, too."""
        return len(self._names) + len(self.unseen)

    @property
    def sure(self) -> bool:
        """Whether it is known of every request what it may do."""
        return not self.unseen and all(each.prospect.sure for each in self.reactions())

    def reactions(self) -> Iterator[Reaction]:
        """Those that may still make a call, or belong to a token that may."""
        return (reaction for token in self.open for reaction in token.reactions)

    def knows(self, name: str) -> bool:
        """Whether a request is in flight and followed."""
        return name in self._names

    def asked(self, call_id: str) -> tuple[Token | None, str]:
        """Who waits for a call's answer, and its edge."""
        return self._owners.get(call_id, (None, ""))

    def occasion(self, token: Token, call_id: str) -> Occasion:
        """What a token is shown by the answer to its call."""
        return Occasion(token.route, token.calls[call_id], alone=not (token.calls.keys() - {call_id}))

    def about_to(self, edge: str, now_ns: int) -> list[tuple[Token, Reaction]]:
        """Who may well make such a call now."""
        return [
            (token, reaction)
            for token in self.open
            for reaction in token.reactions
            if reaction.expects(edge) and not self.is_over(reaction, now_ns)
        ]

    def likeliest(self, able: list[tuple[Token, Reaction]], edge: str) -> list[tuple[Token, Reaction]]:
        """Those of them who are taken to have made such a call: who must make one, before all who only may.

        The others are passed over. If one of them then does make a call, or one comes that nobody had to make, it
        was not so: all are in doubt. Until then nothing is claimed on that edge, nor of those who were taken to have
        made the call.
        """
        certain = [(token, each) for token, each in able if not token.doubtful and each.must_bring(edge)]
        if not certain or len(certain) == len(able):
            return able
        for token, reaction in certain:
            # By then it would have made another one.
            token.unsettled_until_ns = max(token.unsettled_until_ns, reaction.active_ns + self._longest_ns(reaction))
            if edge in self._edges:
                self._unsettled[edge] = max(self._unsettled.get(edge, 0), token.unsettled_until_ns)
        for _, reaction in able:
            if all(reaction is not each for _, each in certain):
                reaction.passed_over_for |= dict.fromkeys(token for token, _ in certain)
        return certain

    def late(self, edge: str, now_ns: int, *, beside: Token | None = None) -> float:
        """The probability that somebody makes such a call now, though nobody else is about to."""
        if now_ns < self._unsettled.get(edge, 0):
            return 1.0
        suspects = [*self.open, *(token for token in self.doubtful if token not in self.open)]
        return sum(self._chance(token, edge, now_ns) for token in suspects if token is not beside)

    def unheard_of(self, now_ns: int, *, beside: Token) -> float:
        """The probability that somebody who was never seen to make such a call now does so for the first time."""
        later = (
            self._habits.gaps.later(now_ns - each.active_ns)
            for token in self.tokens
            if token is not beside and token not in self.open and token.responded_ns is None
            for each in token.reactions
            if not each.outputs
        )
        return self._habits.novelty * sum(later) / max(1, len(self._edges))

    def _chance(self, token: Token, edge: str, now_ns: int) -> float:
        if edge in self._called.get(token.route, ()) and (token.doubtful or self._may_be_woken(token, now_ns)):
            return 1.0
        chance = 0.0
        for reaction in token.reactions:
            left = reaction.prospect
            since = now_ns - reaction.active_ns
            if not left.sure or token.doubtful:
                chance += max(_UNKNOWN_DOUBT, self._habits.gaps.later(since))
            elif edge in left.chances:
                chance += left.chances[edge] * reaction.habit.gaps.later(since)
        return chance

    def _may_be_woken(self, token: Token, now_ns: int) -> bool:
        """Whether it waits for nothing of its own, and may do so for what another will be shown."""
        if token.calls or token.responded_ns is not None:
            return False
        if self._wakings.waken(token.route):
            return True
        # One that should long have gone on may: until those of its route are known not to, or to go on all the same.
        if self._wakings.cleared(token.route):
            return False
        goes_on = self._wakings.goes_on(token.route)
        return any(
            self._is_overdue(each, now_ns) and not (goes_on and each.prospect.one_way) for each in token.reactions
        )

    def _is_overdue(self, reaction: Reaction, now_ns: int) -> bool:
        """Whether it should long have gone on, if nothing but its own work delays it."""
        gaps = reaction.habit.gaps
        # Where most wait, it is seldom done so soon.
        usual = min(gaps.quantile(0.5), 3 * gaps.quantile(0.1), 2 * self._habits.gaps.quantile(0.5))
        return now_ns - reaction.active_ns > UNUSUAL * usual

    def woken(self, token: Token, reaction: Reaction, output: str, now_ns: int) -> bool:
        """Whether an output seems to have been brought about by what another was shown; to be asked once for each."""
        habit = reaction.habit
        known = token.waited or (reaction.clean and not token.doubtful)
        if token.calls or not known or habit.seen < _FEW_SEEN:
            return False
        usual = habit.seen_with(output, reaction.outputs.count(output) + 1) >= _USUAL * habit.seen
        if not self._is_overdue(reaction, now_ns):
            return False
        if usual:
            self._wakings.went_on(token.route)
            return False
        return self._wakings.came_late(token, token.route, SOON * self._habits.gaps.quantile(0.5), now_ns)

    def _longest_ns(self, reaction: Reaction) -> int:
        """Twice as long as anything of its kind has taken."""
        return 2 * max(self.quiet_ns(reaction), reaction.habit.gaps.quantile(0.999))

    def is_over(self, reaction: Reaction, now_ns: int) -> bool:
        """Whether a reaction is taken for over; what is, stays so until something comes of it all the same."""
        if not reaction.quiet and reaction.may_be_over:
            reaction.quiet = now_ns - reaction.active_ns > self.quiet_ns(reaction)
        return reaction.quiet

    def quiet_ns(self, reaction: Reaction) -> int:
        """How long the service must be quiet for a reaction to be over, if what has come may be all."""
        gaps = reaction.habit.gaps
        if reaction.habit.known and gaps.count:
            longest = gaps.quantile(0.999)
            return max(_LEAST_QUIET_NS, longest if gaps.count > _ENOUGH_GAPS else 2 * longest)
        every = self._habits.gaps
        if every.count < 8:
            return _QUIET_NS
        return min(_QUIET_NS, max(2 * _LEAST_QUIET_NS, 3 * every.quantile(0.95)))

    # --- what it is shown ---------------------------------------------------------------------------------------------

    def begin(self, request_id: str, route: str, now_ns: int, held_ns: int) -> None:
        """A request is delivered."""
        group = Group({request_id})
        token = Token(route, group, now_ns)
        group.tokens[token] = None
        self._names[request_id] = group
        self.tokens[token] = None
        if self.unseen:
            self.doubt(token)
        self._react(token, Occasion(route, RESPONSE, alone=True), now_ns, held_ns)

    def answer(self, call_id: str, now_ns: int, held_ns: int) -> bool:
        """A call's answer is delivered; whether it was known whose."""
        token, _ = self._owners.pop(call_id, (None, ""))
        if token is None:
            return False
        occasion = self.occasion(token, call_id)
        del token.calls[call_id]
        if token not in self.tokens:
            return False
        self._settle(token)
        if token.pooled and any(
            not self._habits.get(occasion._replace(alone=alone)).prospect(()).silent for alone in (True, False)
        ):
            # Which of them was shown something matters, and is not known.
            for each in token.group.tokens:
                self.doubt(each, within=True)
        self._react(token, occasion, now_ns, held_ns)
        return True

    def _react(self, token: Token, occasion: Occasion, now_ns: int, held_ns: int) -> None:
        self._wakings.shown(token, now_ns)
        # Once a token's state is in doubt, so are all its reactions.
        sure = not token.doubtful
        habit = self._habits.get(occasion)
        clean, afterwards = sure and not token.pooled, token.responded_ns is not None
        reaction = Reaction(occasion, habit, now_ns, held_ns, clean=clean, sure=sure, afterwards=afterwards)
        token.reactions.append(reaction)
        if not reaction.prospect.silent:
            self.open[token] = None

    def _settle(self, token: Token) -> None:
        """The token's reactions up to now are over: they are learned from. One whose call will come was overtaken."""
        for reaction in token.reactions:
            if reaction.may_be_over:
                self._learn(reaction)
        token.reactions = [reaction for reaction in token.reactions if not reaction.may_be_over]
        if not token.reactions:
            self.open.pop(token, None)

    def _learn(self, reaction: Reaction) -> None:
        if not reaction.outputs and reaction.occasion.alone and not reaction.afterwards:
            return  # It cannot have done nothing; what it did was taken for another's.
        if reaction.clean:
            self._habits.learn(reaction.habit, reaction.outputs, reaction.gaps)

    # --- what it does -------------------------------------------------------------------------------------------------

    def made(self, token: Token, reaction: Reaction | None, call_id: str, edge: str, now_ns: int) -> None:
        """A token has made a call."""
        if edge in self._edges or len(self._edges) < MOST_EDGES:
            self._edges.add(edge)
            self._called.setdefault(token.route, set()).add(edge)
            if reaction is not None:
                self._last[edge] = token, reaction.active_ns + self._longest_ns(reaction)
        if reaction is not None:
            if reaction.passed_over_for:
                self._doubt_passed_over(token, reaction, now_ns)
            reaction.take(edge, now_ns)
            if token.silent:
                self.open.pop(token, None)
        token.waited = False
        token.calls[call_id] = edge
        self._owners[call_id] = (token, edge)

    def made_by_name(self, name: str, call_id: str, edge: str, now_ns: int) -> None:
        """A request has made a call that says so."""
        self._made_somehow(self._unmixed(self._names[name], name, edge), call_id, edge, now_ns)

    def made_by_one_of(self, able: list[tuple[Token, Reaction]], call_id: str, edge: str, now_ns: int) -> None:
        """Several can have made a call: one is taken to, and their names may be swapped from now on."""
        unknown = any(reaction.prospect.anything for _, reaction in able)
        alike = not unknown and len({token.state for token, _ in able}) == 1
        pooled = not unknown and not alike and len({token.state_after(reaction) for token, reaction in able}) == 1
        # Where it does not matter, the first that was shown something; else the last, whose it likely is.
        choose = min if alike or pooled else max
        taker, taken = choose(able, key=lambda pair: pair[1].active_ns)
        for token, reaction in able:
            reaction.clean = False
            token.pooled = token.pooled or pooled
            # Names of requests that were answered stay in the group: a call may be theirs. They are in flight no more.
            for name in token.group.names & self._names.keys():
                self._names[name] = taker.group
            taker.group.take(token.group)
            if not (alike or pooled):
                token.waited = (token.waited or not token.doubtful) and self._is_overdue(reaction, now_ns)
                self.doubt(token, within=True)
        self.made(taker, taken, call_id, edge, now_ns)

    def made_by_nobody(self, call_id: str, edge: str, now_ns: int) -> None:
        """A call came that nobody was about to make: it is whose it most likely is, if there is one such."""
        for each in self.open:
            for reaction in each.reactions:
                if reaction.passed_over_for:
                    self._doubt_passed_over(each, reaction, now_ns)
        last, until_ns = self._last.get(edge, (None, 0))
        if last is not None and last in self.tokens and now_ns < until_ns:
            self.doubt(last)  # This one may be its own, and the last that of whoever makes such a call seldom.
        # What may be the call of somebody of whom it is not known what they do is no habit of another's.
        clean = not self.unseen and not any(
            not self.is_over(reaction, now_ns) for each in self.doubtful for reaction in each.reactions
        )
        rare = self._only(each for each in self.open if self._may_rarely(each, edge, now_ns))
        if rare is not None:
            self._made_somehow(rare, call_id, edge, now_ns, clean=clean)
            return
        token = self._only(each for each in self.open if self._is_busy(each, edge, now_ns)) or self._only_recent(now_ns)
        if token is not None and not any(reaction.prospect.anything for reaction in token.reactions):
            self.doubt(token)  # Perhaps a call that was taken for its own was not.
        self._made_somehow(token, call_id, edge, now_ns, clean=clean)

    def _made_somehow(self, token: Token | None, call_id: str, edge: str, now_ns: int, *, clean: bool = True) -> None:
        """A call belongs to the reaction of its token that is likeliest to have brought it."""
        if token is None:
            self._owners[call_id] = (None, edge)
            return
        able = [each for each in token.reactions if each.may_bring(edge)]
        reaction = able[0] if able else token.reactions[-1] if token.reactions else None
        if reaction is not None:
            reaction.clean = reaction.clean and clean
        self.made(token, reaction, call_id, edge, now_ns)

    def _may_rarely(self, token: Token, edge: str, now_ns: int) -> bool:
        """Whether a token in a known state now and then makes such a call."""
        return not token.doubtful and any(
            each.prospect.sure and edge in each.prospect.chances and not self.is_over(each, now_ns)
            for each in token.reactions
        )

    def _is_busy(self, token: Token, edge: str, now_ns: int) -> bool:
        """Whether a token certainly goes on, and may do so otherwise than its like have done."""
        return edge in self._called.get(token.route, ()) and any(
            not each.may_be_over and now_ns - each.active_ns <= self.quiet_ns(each) for each in token.reactions
        )

    def _only_recent(self, now_ns: int) -> Token | None:
        """The one that was shown something last, if the others long were."""
        if len(self.tokens) == 1:
            return next(iter(self.tokens))
        quiet = max(_QUIET_NS, self._habits.gaps.quantile(0.999))
        return self._only(
            token
            for token in self.tokens
            if not token.doubtful and any(now_ns - each.active_ns <= quiet for each in token.reactions)
        )

    @staticmethod
    def _only(tokens: Iterable[Token]) -> Token | None:
        found = list(tokens)
        return found[0] if len(found) == 1 else None

    def doubt(self, token: Token, *, within: bool = False) -> None:
        """A token's state is not known from now on; ``within``: nor is what it is doing now."""
        self.doubtful[token] = None
        token.doubtful = True
        if within:
            for reaction in token.reactions:
                reaction.clean = reaction.sure = False

    def _doubt_passed_over(self, token: Token, reaction: Reaction, now_ns: int) -> None:
        """What a reaction was passed over for may have been its own doing."""
        unsettled = [each for each in reaction.passed_over_for if now_ns < each.unsettled_until_ns]
        for each in (token, *unsettled) if unsettled else ():
            if each in self.tokens:
                self.doubt(each, within=True)
        reaction.passed_over_for.clear()

    def respond(self, request_id: str, now_ns: int) -> tuple[int | None, bool]:
        """A request is answered, or broken off; how long it was in the service, where it was followed, and whether it
        can hardly have been: a call is open that its like would have waited for.
        """
        self.unseen.discard(request_id)
        group = self._names.get(request_id)
        token = self._unmixed(group, request_id, RESPONSE) if group is not None else None
        self._names.pop(request_id, None)
        if token is None:
            return None, False
        token.responded_ns = now_ns
        responses, early = self._responses[token.route], self._early[token.route]
        self._responses[token.route] += 1
        self._early[token.route] += bool(token.calls)
        strange = bool(token.calls) and early <= _STRANGE * responses
        able = [each for each in token.reactions if each.may_bring(RESPONSE)] or token.reactions
        if able:
            strange = self.woken(token, able[-1], RESPONSE, now_ns) or strange
            able[-1].take(RESPONSE, now_ns)
        if token.silent:
            self._forget(token)
        else:
            self._ended.append(token)
        return now_ns - token.begun_ns, strange

    def _unmixed(self, group: Group, name: str, output: str) -> Token | None:
        """The token that bears a name; the output that names it takes both out of their group."""
        tokens = [each for each in group.tokens if each.responded_ns is None] or list(group.tokens)
        if not tokens or len(group.names) == 1:
            return next(iter(tokens), None)
        pooled = output == RESPONSE and all(each.pooled and each not in self.open for each in tokens)
        if pooled:
            # Whose calls are answered is not known, and nothing but responses can follow.
            token = min(tokens, key=lambda each: len(each.calls))
        else:
            able = [each for each in tokens if any(reaction.may_bring(output) for reaction in each.reactions)]
            token = able[0] if able else tokens[0]
            if len({each.state for each in able}) != 1 or token.doubtful:
                # Which of them it was matters, and is not known.
                for each in (token, *group.tokens):
                    self.doubt(each, within=True)
        group.tokens.pop(token, None)
        group.names.discard(name)
        token.group = self._names[name] = Group({name}, {token: None})
        if pooled and (heir := next(iter(group.tokens), None)) is not None:
            self._owners |= {call_id: (heir, edge) for call_id, edge in token.calls.items()}
            heir.calls |= token.calls
            token.calls.clear()
        return token

    # --- the passing of time ------------------------------------------------------------------------------------------

    def advance(self, now_ns: int) -> None:
        """What has been over for longer than the grace period is forgotten."""
        while self._ended and (self._ended[0].responded_ns or 0) + self._grace_ns < now_ns:
            self._forget(self._ended.popleft())

    def _forget(self, token: Token) -> None:
        for reaction in token.reactions:
            self._learn(reaction)
        token.reactions.clear()
        self.open.pop(token, None)
        self.doubtful.pop(token, None)
        self.tokens.pop(token, None)
        token.group.tokens.pop(token, None)

    def lose_sight(self) -> None:
        """Nobody follows what is in flight any more."""
        self.unseen.update(self._names)
        for each in (self.tokens, self.open, self.doubtful, self._names, self._owners, self._ended):
            each.clear()
