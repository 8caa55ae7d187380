"""The audit: exchanges in; links, outcomes and findings out.

Theory of operation. :class:`Audit` does no I/O and reads no clock: a live proxy, a recorded log and a property test
drive the same object with the same calls, in the order of their times, and get the same answers. An inbound request is
remembered when it is delivered; an outbound call is decided when it starts, since only what was there by then can have
caused it. Its candidate causes share the probability; every rule is checked under each of them, and the shares of those
that break it are summed. So a call without any header is a sure drop when every request that may have made it had one.

A verdict leans on the rate of uncaused calls, which is learned as the run goes on. :meth:`Audit.settle` weighs the
findings anew by all that is known; links and outcomes keep what was known at their time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from traceaudit.correlation import Activity, Attribution, FrozenContexts, Identifiers, Inbound, attribute
from traceaudit.correlation.correlator import LEAST_DOUBT, UNCAUSED
from traceaudit.correlation.frozen import OCCASIONS
from traceaudit.correlation.inference.records import Candidate
from traceaudit.correlation.telemetry import is_telemetry
from traceaudit.exchange import Direction, Exchange, Link, Outcome, Severity
from traceaudit.findings import SEVERAL, WORTH_SAYING, Accusation, Edge, Finding, FindingsBook
from traceaudit.formats import Context, Format, Malformed, read
from traceaudit.outcomes import TRACE_HEADERS, Contexts, Judgement, judge
from traceaudit.routes import Routes, route_of
from traceaudit.rules import RULES, Call, Rule, Violation, tp022_context_frozen

DEFAULT_REQUIRE = ("traceparent", "b3", "x-request-id")
_AS_IT_SHOULD = frozenset({Outcome.FORWARDED, Outcome.CONTINUED})

_APART = frozenset({Format.REQUEST_ID, Format.BAGGAGE})
"""Formats that name no trace, and so cannot disagree with one."""

_INSTEAD_OF_FROZEN = frozenset({"TP011", "TP021"})
"""What one call with a frozen context looks like by itself."""

GRACE_NS = 250_000_000
"""How long after its response a request's late work is waited for."""


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """What the core needs to know of the configuration."""

    require: frozenset[str] = frozenset(DEFAULT_REQUIRE)
    rules: tuple[Rule, ...] = RULES
    severities: Mapping[str, Severity] = field(default_factory=dict)
    grace_ns: int = GRACE_NS


@dataclass(frozen=True, slots=True)
class FormatOutcome:
    """What became of one format on a call: the likeliest outcome, its share, and the cause it is judged against."""

    judgement: Judgement
    inbound_id: str | None
    probability: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that was decided of one outbound call. ``edge`` is ``None`` when nothing is likely to have caused it."""

    outbound_id: str
    links: list[Link]
    outcomes: list[FormatOutcome]
    edge: Edge | None
    accusations: list[tuple[Finding, Accusation]]


class Audit:
    """One run's audit; feed it :meth:`begin` and :meth:`end` in the order of time."""

    def __init__(
        self, settings: AuditSettings | None = None, inferred: Mapping[str, Sequence[Candidate]] | None = None
    ) -> None:
        """``inferred`` has, by outbound id, what the times of a whole recording say of a call's cause."""
        self._settings = settings or AuditSettings()
        self._inferred = inferred or {}
        self._identifiers = Identifiers()
        self._activity = Activity(self._settings.grace_ns)
        self._frozen = FrozenContexts()
        self._routes = Routes()
        self._continued = 0
        self._copied = 0
        self.findings = FindingsBook(self._settings.require, self._settings.severities)
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
            return None
        return self._decide(exchange, contexts, route)

    def end(self, exchange: Exchange) -> None:
        """An exchange is over, at its ``ended_ns``."""
        if exchange.direction is Direction.INBOUND and exchange.ended_ns is not None:
            self._activity.advance(exchange.ended_ns)
            self._activity.end(exchange.id, exchange.ended_ns)

    def settle(self, now_ns: int | None = None) -> list[Finding]:
        """Weighs every finding anew by what is now known of uncaused calls; those that are taken back."""
        if now_ns is not None:
            self.advance(now_ns)
        for finding in self.findings:
            weighed = [(self.weighed(finding.edge, each), each) for each in finding.clearest.values()]
            probability, finding.example = max(weighed, key=lambda pair: pair[0])
            finding.probability = max(probability, self._any_of(finding))
            if None not in finding.clearest and not self._steady(finding.edge):
                finding.probability = min(finding.probability, 1 - LEAST_DOUBT)
        self._leave_to_frozen()
        return self.findings.withdraw()

    def _leave_to_frozen(self) -> None:
        """Takes back what a frozen context's first calls were accused of, before it could be known for one."""
        since = {each.edge.id: each.first_ns for each in self.findings if each.rule is tp022_context_frozen.RULE}
        for finding in self.findings:
            of_edge = since.get(finding.edge.id)
            if finding.rule.code not in _INSTEAD_OF_FROZEN or of_edge is None:
                continue
            if finding.last_ns < of_edge and finding.occurrences < OCCASIONS:
                finding.probability = 0.0

    def _steady(self, edge: Edge) -> bool:
        """Whether the calls on an edge come exactly as often as its requests."""
        key = _edge_key(edge.outbound_authority, edge.outbound_route)
        return self._activity.steady(key, edge.inbound_route.split(SEVERAL))

    def _any_of(self, finding: Finding) -> float:
        """The probability that at least one of a finding's calls was caused, and so the finding is true."""
        doubtful = [each for kind, each in finding.clearest.items() if kind is not None]
        if not doubtful:
            return 0.0
        key = _edge_key(finding.edge.outbound_authority, finding.edge.outbound_route)
        least = min(each.given_caused for each in doubtful)
        return least * (1 - self._activity.uncaused.all_by_themselves(key, finding.occurrences))

    def weighed(self, edge: Edge, accusation: Accusation) -> float:
        """The probability of an accusation by what is now known of uncaused calls on its edge."""
        if accusation.kind is None:
            return accusation.probability
        key = _edge_key(edge.outbound_authority, edge.outbound_route)
        return accusation.given_caused * (1 - self._activity.uncaused.share(key, accusation.kind))

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
        def inbound(route: str) -> str:
            return self.route_now(Direction.INBOUND, "", route)

        def edge(key: str) -> str:
            authority, _, route = key.partition(" ")
            return _edge_key(authority, self.route_now(Direction.OUTBOUND, authority, route))

        self._identifiers.rename(inbound)
        self._activity.rename(edge, inbound)
        self.findings.rename(inbound, lambda authority, route: self.route_now(Direction.OUTBOUND, authority, route))

    # --- one call -----------------------------------------------------------------------------------------------------

    def _decide(self, outbound: Exchange, sent: Contexts, route: str) -> Verdict:
        key = _edge_key(outbound.authority, route)
        inferred = self._inferred.get(outbound.id, ())
        if is_telemetry(outbound.method, outbound.path):
            attribution = UNCAUSED
        else:
            attribution = attribute(key, sent, self._identifiers, self._activity, inferred)
        calls = self._calls(attribution, outbound, sent)
        frozen = self._is_frozen(key, calls, attribution)
        if frozen and attribution.stale:
            attribution = attribution.doubted()
            calls = self._calls(attribution, outbound, sent)
        for cause in attribution.causes:
            if cause.inbound is not None:
                self._activity.learn(key, cause.inbound, cause.probability)
        links = attribution.links(outbound.id)
        chosen = links[0]
        edge = None
        if chosen.inbound_id is not None:
            likely = [cause.inbound for cause in attribution.causes if cause.probability >= 0.05 * chosen.probability]
            routes = sorted({inbound.route for inbound in likely if inbound is not None})
            edge = self.findings.edge(SEVERAL.join(routes), outbound.authority, route)
            caused = sum(probability for _, probability in calls)
            if caused >= 0.95:
                self.linked += 1
            self._watch_kind(calls[0][0])
        return Verdict(
            outbound.id,
            links,
            _outcomes(calls) if edge else [],
            edge,
            self._accusations(edge, calls, attribution, frozen) if edge else [],
        )

    def _calls(self, attribution: Attribution, outbound: Exchange, sent: Contexts) -> list[tuple[Call, float]]:
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
                calls[key] = (self._call(cause.inbound, outbound, sent), cause.probability)
        return sorted(calls.values(), key=lambda pair: -pair[1])

    def _call(self, inbound: Inbound, outbound: Exchange, sent: Contexts) -> Call:
        def owner_of(context: Context) -> str | None:
            carriers = self._identifiers.carriers(context)
            return None if inbound.id in carriers else next(iter(carriers), None)

        judgements = judge(inbound.contexts, sent, owner_of)
        return Call(inbound.exchange, outbound, inbound.contexts, sent, judgements, self._participant())

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

    def _broken(self, call: Call, frozen: bool) -> Iterator[tuple[Rule, Violation]]:
        """The rules that a call breaks if its cause is the one supposed."""
        if went_on(call):
            return
        for rule in self._settings.rules:
            if frozen and rule.code in _INSTEAD_OF_FROZEN:
                continue
            check = tp022_context_frozen.frozen if frozen and rule is tp022_context_frozen.RULE else rule.check
            if (violation := check(call)) is not None:
                yield rule, violation

    def _accusations(
        self, edge: Edge, calls: list[tuple[Call, float]], attribution: Attribution, frozen: bool
    ) -> list[tuple[Finding, Accusation]]:
        caused = sum(probability for _, probability in calls)
        broken: dict[str, tuple[Rule, Violation, Call, float]] = {}
        for call, probability in calls:
            for rule, violation in self._broken(call, frozen):
                _, said, likeliest, so_far = broken.get(rule.code, (rule, violation, call, 0.0))
                broken[rule.code] = (rule, said, likeliest, so_far + probability)
        found: list[tuple[Finding, Accusation]] = []
        for rule, violation, call, probability in broken.values():
            if probability >= WORTH_SAYING:
                accusation = Accusation(
                    rule,
                    violation,
                    call.outbound.id,
                    call.inbound.id,
                    call.outbound.started_ns,
                    probability,
                    probability / caused,
                    attribution.kind,
                )
                found.append((self.findings.add(edge, accusation), accusation))
        return found


def went_on(call: Call) -> bool:
    """Whether everything that the request brought went on as it should, and nothing else: no rule is broken by that.

    It is what most calls of most services look like, and spares them two dozen checks.
    """
    for judgement in call.judgements.values():
        if judgement.outcome not in _AS_IT_SHOULD or judgement.alterations:
            return False
    trace_id = None
    for format_, context in call.sent.items():
        if not isinstance(context, Context) or isinstance(context.tracestate, Malformed):
            return False
        was = call.carried.get(format_)
        if not isinstance(was, Context) or isinstance(was.tracestate, Malformed):
            return False
        if format_ in TRACE_HEADERS:
            if context.trace_id is None or trace_id not in (None, context.trace_id):
                return False
            trace_id = context.trace_id
        elif format_ not in _APART:
            return False
    return True


def _outcomes(calls: list[tuple[Call, float]]) -> list[FormatOutcome]:
    """Per format the outcome that the candidates' shares favour."""
    if len(calls) == 1:
        ((call, probability),) = calls
        share = round(probability, 6)
        return [FormatOutcome(judgement, call.inbound.id, share) for judgement in call.judgements.values()]
    shares: dict[Format, dict[Outcome, float]] = {}
    for call, probability in calls:
        for format_, judgement in call.judgements.items():
            by_outcome = shares.setdefault(format_, {})
            by_outcome[judgement.outcome] = by_outcome.get(judgement.outcome, 0.0) + probability
    found: list[FormatOutcome] = []
    for format_, by_outcome in shares.items():
        best = max(by_outcome, key=lambda outcome: by_outcome[outcome])
        call = next(call for call, _ in calls if (judged := call.judgements.get(format_)) and judged.outcome is best)
        found.append(FormatOutcome(call.judgements[format_], call.inbound.id, round(by_outcome[best], 6)))
    return found


def _scope(direction: Direction, authority: str) -> str:
    """The requests of the service share their paths, whatever name they came to; upstreams each have their own."""
    return "" if direction is Direction.INBOUND else authority


def _edge_key(authority: str, route: str) -> str:
    return f"{authority} {route}"
