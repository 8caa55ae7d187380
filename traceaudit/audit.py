"""The audit: exchanges in; links, outcomes and findings out.

Theory of operation. :class:`Audit` does no I/O and reads no clock: a live proxy, a recorded log and a property test
drive the same object with the same calls, in the order of their times, and get the same answers. An inbound request is
remembered when it is delivered; an outbound call is decided when it starts, since only what was there by then can have
caused it. Its candidate causes share the probability; every rule is checked under each of them, and the shares of those
that break it are summed. So a call without any header is a sure drop when every request that may have made it had one.

A verdict leans on the rate of uncaused calls, which is learned as the run goes on. :meth:`Audit.settle` weighs the
findings anew by all that is known; links and outcomes keep what was known at their time.

Where presence leaves several candidates, all starts and ends together may tell them apart, some time later and
elsewhere: :attr:`Audit.looks` has the windows to be asked about, :meth:`Audit.revise` takes the answers and gives the
verdicts that replace the first ones. See :mod:`traceaudit.second_look`.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from traceaudit.correlation import Activity, Attribution, FrozenContexts, Identifiers, Inbound, attribute
from traceaudit.correlation.correlator import SURVIVED, UNCAUSED, alone_by_times, by_times
from traceaudit.correlation.records import Call as TimedCall
from traceaudit.correlation.records import Candidate
from traceaudit.correlation.telemetry import is_telemetry
from traceaudit.correlation.values import Values
from traceaudit.echo import Echo, echo_of
from traceaudit.exchange import Confidence, Direction, Exchange, Link, Method, Outcome, Severity
from traceaudit.findings import SEVERAL, Accusation, Finding, FindingsBook
from traceaudit.formats import Context, Format, Malformed, read
from traceaudit.judging import accusations
from traceaudit.outcomes import Contexts, judge
from traceaudit.routes import Routes, route_of
from traceaudit.rules import RULES, Call, Rule
from traceaudit.second_look import Held, Look, SecondLook
from traceaudit.verdicts import Decided, Echoed, Revision, Verdict, outcomes, went_on
from traceaudit.weighing import edge_key, settle

__all__ = ["DEFAULT_REQUIRE", "Audit", "AuditSettings", "Revision", "Verdict", "went_on"]

DEFAULT_REQUIRE = ("traceparent", "b3", "x-request-id")
_NO_LOOKS: deque[Look] = deque()

MOST_EDGES = 10_000
"""Routes of upstreams that are remembered; calls on more of them are unknown. A service calls dozens."""

GRACE_NS = 250_000_000
"""How long after its response a request's late work is waited for."""


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """What the core needs to know of the configuration."""

    require: frozenset[str] = frozenset(DEFAULT_REQUIRE)
    rules: tuple[Rule, ...] = RULES
    severities: Mapping[str, Severity] = field(default_factory=dict)
    grace_ns: int = GRACE_NS
    infer: bool = False
    """Whether calls are held for a second look; whoever says so takes :attr:`Audit.looks`."""


class Audit:
    """One run's audit; feed it :meth:`begin` and :meth:`end` in the order of time."""

    def __init__(self, settings: AuditSettings | None = None) -> None:
        self._settings = settings or AuditSettings()
        self._identifiers = Identifiers()
        self._activity = Activity(self._settings.grace_ns)
        self._frozen = FrozenContexts()
        self._routes = Routes()
        self._continued = 0
        self._copied = 0
        self._called: set[str] = set()
        """Upstreams' routes that were called."""
        self.findings = FindingsBook(self._settings.require, self._settings.severities)
        self._second: SecondLook | None = None
        if self._settings.infer:
            self._second = SecondLook(self._inbound_now, self._edge_now, self._activity.uncaused.share)
        self._values = Values()
        self._by_times: Counter[str] = Counter()
        self.linked = 0
        """Calls whose cause is known (a request, at 0.95 or more)."""

    def advance(self, now_ns: int) -> None:
        """Tells that the service was watched until now; idle time counts as evidence."""
        self._activity.advance(now_ns)

    def begin(self, exchange: Exchange) -> Verdict | None:
        """A request was delivered to the service, or a call left it; for a call, what was decided of it."""
        self._activity.advance(exchange.started_ns)
        contexts = read(exchange.request_headers)
        route = self._route(exchange)
        if exchange.direction is Direction.INBOUND:
            inbound = Inbound(exchange, contexts, route)
            self._identifiers.add(inbound)
            self._activity.begin(inbound)
            if self._second is not None:
                self._second.request(inbound)
            return None
        return self._decide(exchange, contexts, route)

    def end(self, exchange: Exchange) -> None:
        """An exchange is over, at its ``ended_ns``."""
        if exchange.ended_ns is None:
            return
        if exchange.direction is Direction.INBOUND:
            self._activity.advance(exchange.ended_ns)
            self._activity.end(exchange.id, exchange.ended_ns)
            if self._second is not None:
                self._second.request_ended(exchange.id, exchange.ended_ns)
        else:
            self._values.answered(exchange)
            if self._second is not None:
                self._second.call_ended(exchange.id, exchange.ended_ns)

    @property
    def looks(self) -> deque[Look]:
        """Windows whose times are to be asked, the oldest first; whoever takes one gives it to :meth:`revise`."""
        return self._second.looks if self._second is not None else _NO_LOOKS

    def finish(self) -> None:
        """Nothing more will come: :attr:`looks` has all that is still to be asked."""
        if self._second is not None:
            self._second.finish()

    def settle(self, now_ns: int | None = None) -> list[Finding]:
        """Weighs every finding anew by what is now known of uncaused calls; those that are taken back."""
        if now_ns is not None:
            self.advance(now_ns)
        if self._second is not None:
            self._second.give_up()
            self._keep()
        settle(self.findings, self._activity, self._by_times)
        return self.findings.withdraw()

    def carrier(self, exchange: Exchange) -> str | None:
        """The one request whose identifiers a call carries; ``None``: it carries none's, or several have them."""
        named = [
            self._identifiers.carriers(context)
            for context in read(exchange.request_headers).values()
            if isinstance(context, Context)
        ]
        ids = {id_ for carriers in named if len(carriers) == 1 for id_ in carriers}
        return ids.pop() if len(ids) == 1 else None

    def route_of(self, exchange: Exchange) -> str:
        """The route of an exchange by all that was learned."""
        route = route_of(exchange.method, exchange.path)
        return self.route_now(exchange.direction, exchange.authority, route)

    def route_now(self, direction: Direction, authority: str, route: str) -> str:
        """What a route is called by all that was learned since; given as :func:`traceaudit.routes.route_of` gave it."""
        return self._routes.refold(_scope(direction, authority), route)

    def _route(self, exchange: Exchange) -> str:
        """The route of an exchange; where it teaches that others vary too, everything is renamed."""
        version = self._routes.version
        scope = _scope(exchange.direction, exchange.authority)
        route = self._routes.route(scope, exchange.method, exchange.path)
        if self._routes.version != version:
            self._rename()
        return route

    def _rename(self) -> None:
        self._identifiers.rename(self._inbound_now)
        self._activity.rename(self._edge_now, self._inbound_now)
        self._called = {self._edge_now(key) for key in self._called}
        self.findings.rename(self._inbound_now, lambda *edge: self.route_now(Direction.OUTBOUND, *edge))

    def _inbound_now(self, route: str) -> str:
        return self.route_now(Direction.INBOUND, "", route)

    def _edge_now(self, key: str) -> str:
        authority, _, route = key.partition(" ")
        return edge_key(authority, self.route_now(Direction.OUTBOUND, authority, route))

    # --- one call -----------------------------------------------------------------------------------------------------

    def _decide(self, outbound: Exchange, sent: Contexts, route: str) -> Verdict:
        key = edge_key(outbound.authority, route)
        if key not in self._called:
            if len(self._called) >= MOST_EDGES:
                return self._unknown(outbound, key)
            self._called.add(key)
        telemetry = is_telemetry(outbound.method, outbound.path)
        if not telemetry and (echo := echo_of(sent, self._identifiers, self._activity)) is not None:
            return self._echoed(outbound, key, route, echo)
        if telemetry:
            attribution = UNCAUSED
        elif self._identifiers.forgot(sent):
            return self._unknown(outbound, key)  # It may be anybody's.
        else:
            valued = partial(self._values.match, outbound)
            attribution = attribute(key, sent, self._identifiers, self._activity, valued, gated=outbound.gated)
        participant = self._participant()
        calls = self._calls(attribution, outbound, sent, participant)
        frozen = self._is_frozen(key, calls, attribution)
        if frozen and attribution.stale:
            attribution = attribution.doubted()
            calls = self._calls(attribution, outbound, sent, participant)
        for cause in attribution.causes:
            if cause.inbound is not None:
                self._activity.learn(key, cause.inbound, cause.probability)
        self._tell_values(outbound, attribution)
        hold = self._second is not None and attribution.several_by_presence
        verdict = self._verdict(outbound, route, attribution, calls, frozen=frozen, open_=hold)
        if verdict.edge is not None:
            self.linked += sum(probability for _, probability in calls) >= 0.95
            self._watch_kind(calls[0][0])
        if self._second is not None:
            held = Held(outbound, sent, route, attribution, participant, verdict.accusations) if hold else None
            known, hint = _known(verdict.links[0]), _hint(attribution)
            timed = TimedCall(outbound.id, key, outbound.started_ns, None, known, hint)
            self._second.call(timed, held)
            self._keep()
        return verdict

    def _unknown(self, outbound: Exchange, key: str) -> Verdict:
        """What is said of a call of which nothing is known: nothing, and it is accused of nothing."""
        if self._second is not None:
            self._second.call(TimedCall(outbound.id, key, outbound.started_ns, None, None), None)
        return Verdict(outbound.id, Decided([], []), None, [])

    def _echoed(self, outbound: Exchange, key: str, route: str, echo: Echo) -> Verdict:
        """The verdict on a call that goes on with what its request brought: what the long way would come to."""
        inbound = echo.inbound
        self._activity.uncaused.count_identified(key)
        self._activity.learn(key, inbound, SURVIVED)
        edge = self.findings.edge(inbound.route, outbound.authority, route)
        self.linked += 1
        self._copied += echo.copied is True
        self._continued += echo.copied is False
        self._values.check(outbound, inbound, self._activity.candidates)
        self._values.made(outbound, inbound.id, SURVIVED)
        if self._second is not None:
            self._second.call(TimedCall(outbound.id, key, outbound.started_ns, None, (inbound.id,)), None)
            self._keep()
        return Verdict(outbound.id, Echoed(outbound.id, inbound.id, echo.alike), edge, [])

    def _tell_values(self, outbound: Exchange, attribution: Attribution) -> None:
        """Where an identifier has told the cause, a distinctive value should have told the same."""
        cause = attribution.causes[0]
        if cause.inbound is None:
            return
        self._values.made(outbound, cause.inbound.id, cause.probability)
        identified = attribution.method in (Method.TRACE_ID, Method.REQUEST_ID)
        if identified and Confidence.of(cause.probability) is Confidence.PROVEN:
            self._values.check(outbound, cause.inbound, self._activity.candidates)

    def _verdict(
        self,
        outbound: Exchange,
        route: str,
        attribution: Attribution,
        calls: list[tuple[Call, float]],
        *,
        frozen: bool = False,
        open_: bool = False,
        former: list[tuple[Finding, Accusation]] | None = None,
    ) -> Verdict:
        links = attribution.links(outbound.id)
        chosen = links[0]
        if chosen.inbound_id is None:
            return Verdict(outbound.id, Decided(links, []), None, [])
        likely = [cause.inbound for cause in attribution.causes if cause.probability >= 0.05 * chosen.probability]
        routes = sorted({self._inbound_now(inbound.route) for inbound in likely if inbound is not None})
        edge = self.findings.edge(SEVERAL.join(routes), outbound.authority, route)
        accused = accusations(self._settings.rules, calls, attribution, frozen=frozen, former=former)
        made = [(self.findings.add(edge, each, open_=open_), each) for each in accused]
        return Verdict(outbound.id, Decided(links, outcomes(calls)), edge, made)

    # --- once more ----------------------------------------------------------------------------------------------------

    def revise(self, look: Look, answers: Mapping[str, Sequence[Candidate]]) -> Iterator[Revision]:
        """The verdicts that replace the first ones, by what times say; one at a time, for there may be thousands.

        A call without an answer keeps its first verdict.
        """
        alone = _alone(look, answers)
        for id_, held in look.held.items():
            route = self.route_now(Direction.OUTBOUND, held.exchange.authority, held.route)
            if not answers.get(id_):
                self._keep_one(held)
                continue
            attribution = by_times(answers[id_], held.presence, look.inbounds, alone[id_])
            self._by_times[edge_key(held.exchange.authority, route)] += 1
            calls = self._calls(attribution, held.exchange, held.sent, held.participant, identified=False)
            former = [(finding.standing, each) for finding, each in held.accusations]
            verdict = self._verdict(held.exchange, route, attribution, calls, former=former)
            gone = []
            for finding, _ in former:
                finding.remove(id_)
                if not finding.occurrences:
                    self.findings.drop(finding)
                    gone.append(finding)
            yield Revision(verdict, held.accusations, gone)

    def _keep(self) -> None:
        assert self._second is not None
        for held in self._second.kept:
            self._keep_one(held)
        self._second.kept.clear()

    def _keep_one(self, held: Held) -> None:
        """What was decided at first stands."""
        for finding, _ in held.accusations:
            finding.standing.keep(held.exchange.id)

    def _calls(
        self,
        attribution: Attribution,
        outbound: Exchange,
        sent: Contexts,
        participant: bool | None,
        *,
        identified: bool = True,
    ) -> list[tuple[Call, float]]:
        """The call under each of its possible causes, and their shares.

        Under load there may be a thousand. A call that carries nothing of any of them looks the same for all that
        carried the same formats, so one speaks for those, with the shares of all.
        """
        causes = [cause for cause in attribution.causes if cause.inbound is not None and cause.probability > 1e-6]
        alike = attribution.kind is not None and all(
            isinstance(context, Context) and context.trace_id is not None for context in sent.values()
        )
        calls: dict[object, tuple[Call, float]] = {}
        for cause in causes:
            assert cause.inbound is not None
            key: object = cause.inbound.id
            if alike:
                key = frozenset((name, isinstance(each, Context)) for name, each in cause.inbound.contexts.items())
            if key in calls:
                call, share = calls[key]
                calls[key] = (call, share + cause.probability)
            else:
                owner_of = self._owner_of(cause.inbound) if identified else _nobody
                judgements = judge(cause.inbound.contexts, sent, owner_of)
                call = Call(cause.inbound.exchange, outbound, cause.inbound.contexts, sent, judgements, participant)
                calls[key] = (call, cause.probability)
        return sorted(calls.values(), key=lambda pair: -pair[1])

    def _owner_of(self, inbound: Inbound) -> Callable[[Context], str | None]:
        def owner_of(context: Context) -> str | None:
            carriers = self._identifiers.carriers(context)
            return None if inbound.id in carriers else next(iter(carriers), None)

        return owner_of

    def _watch_kind(self, call: Call) -> None:
        """Counts whether the service makes span ids of its own or copies those it got."""
        for format_ in (Format.TRACEPARENT, Format.B3, Format.B3MULTI):
            was, now = call.carried.get(format_), call.sent.get(format_)
            if isinstance(was, Malformed) or isinstance(now, Malformed) or was is None or now is None:
                continue
            if was.span_id is not None and was.trace_id == now.trace_id:
                if was.span_id == now.span_id:
                    self._copied += 1
                else:
                    self._continued += 1
                return

    def _participant(self) -> bool | None:
        if self._copied == self._continued:
            return None
        return self._continued > self._copied

    def _is_frozen(self, edge: str, calls: list[tuple[Call, float]], attribution: Attribution) -> bool:
        """Whether a context on this call has been seen on calls for other requests, too often for chance."""
        owner = attribution.causes[0].inbound if attribution.stale else None
        causes = [cause.inbound for cause in attribution.causes if cause.inbound is not None]
        requests = frozenset(inbound.id for inbound in causes if inbound is not owner)
        made_for = next((call for call, _ in calls if call.inbound.id in requests), None)
        if made_for is None or (len(requests) > 1 and not attribution.stale):
            return False
        foreign = {
            context.trace_id
            for format_, judged in made_for.judgements.items()
            if judged.outcome in (Outcome.RESTARTED, Outcome.LEAKED)
            and isinstance(context := made_for.sent.get(format_), Context)
            and context.trace_id is not None
        }
        seen = [self._frozen.see(edge, trace_id, requests) for trace_id in sorted(foreign)]  # each is to be counted
        return any(seen)


def _scope(direction: Direction, authority: str) -> str:
    """The requests of the service share their paths, whatever name they came to; upstreams each have their own."""
    return "" if direction is Direction.INBOUND else authority


def _alone(look: Look, answers: Mapping[str, Sequence[Candidate]]) -> dict[str, float]:
    """By call, the probability that nothing caused it."""
    alike: defaultdict[tuple[str, float], list[str]] = defaultdict(list)
    for call in look.window.calls:
        if call.id in look.held and answers.get(call.id):
            alike[call.edge, look.held[call.id].alone].append(call.id)
    return {
        id_: probability
        for (_, share), ids in alike.items()
        for id_, probability in zip(ids, alone_by_times([answers[id_] for id_ in ids], share), strict=True)
    }


def _known(chosen: Link) -> tuple[str | None] | None:
    """The cause of a call, where something stronger than times has told it."""
    weak = chosen.method in (Method.TIMING, Method.VALUE)
    proven = Confidence.of(chosen.probability) is Confidence.PROVEN and not weak
    return (chosen.inbound_id,) if proven else None


def _hint(attribution: Attribution) -> tuple[str, float] | None:
    """What a distinctive value says, for those who ask times."""
    match = attribution.match
    return None if match is None else (match.inbound.id, math.log(match.probability / (1 - match.probability)))


def _nobody(_: Context) -> None:
    """Whose a context is that was nobody's when it was sent."""
