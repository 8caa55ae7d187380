"""Decides which inbound request caused an outbound call, and how sure that is; DESIGN 5.

A surviving identifier that one request brought decides. Where identifiers name several requests, or none survive, the
requests that may have caused the call share the probability that anything caused it, by how readily requests of their
route make such calls. What is left over is that nothing did: a poller, a ticker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from traceaudit.correlation.activity import Activity
from traceaudit.correlation.identifiers import Contexts, Identifiers, Inbound
from traceaudit.correlation.records import Candidate
from traceaudit.correlation.values import Match
from traceaudit.exchange import Gated, Link, Method
from traceaudit.formats import Context, Format

LATE = 0.94
"""The probability of a link by the identifier of a request that is long over while others are in flight: late work,
most likely, but a context that was kept from one request and sent with all looks the same. Below probable, therefore.
"""

FROZEN = 0.9
"""The probability that such a call is one of the others', once the context was seen with too many: a batch of late work
under steady load cannot be told from it. Not probable either.
"""

SURVIVED = 0.9999
"""The probability of a link by identifier: what is left is a client that repeats an id after the call."""

_DOUBT = 0.002
"""The share of the others who were there; of what inference is surest of, so much has been wrong."""

_SCARCE = 1e-4
"""What inference finds less probable than this is not taken for less."""

LEAST_DOUBT = 0.002
"""The least probability that nothing caused a call, where presence or times alone say that something did: what keeps
time with the traffic deceives both. Only calls that come exactly as often as requests do are surer.
"""

_SHOWN = 8
"""Candidates that are kept of one call; the others' share is added to none of them."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One candidate: a request, or nothing (``None``), and its share."""

    inbound: Inbound | None
    probability: float
    evidence: Mapping[str, object] = field(default_factory=dict)
    """What speaks for this one, beside what is said of the call as a whole."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """Every candidate of one call, the likeliest first; shares sum to 1.

    ``kind`` (of time) is set when the shares lean on the learned rate of uncaused calls, which may still change.
    """

    causes: tuple[Cause, ...]
    method: Method
    evidence: Mapping[str, object]
    kind: int | None = None
    match: Match | None = None
    """What a distinctive value has told."""
    unseen: float = 0.0
    """The probability that a request made it which nobody has seen come; a part of what nothing is said to have."""
    stale: bool = False
    """The identifiers are those of a request that is long over, and others may have made the call with them."""

    @property
    def alone(self) -> float:
        """The probability that nothing caused the call."""
        return sum(cause.probability for cause in self.causes if cause.inbound is None)

    @property
    def several_by_presence(self) -> bool:
        """Whether nothing but presence has spoken, and for more than one request."""
        return self.kind is not None and self.method is not Method.ISOLATED

    def doubted(self) -> Attribution:
        """The shares of a stale attribution once its context has been found frozen: likelier one of the others."""
        owner, *others = self.causes
        total = sum(cause.probability for cause in others) or 1.0
        causes = [Cause(each.inbound, FROZEN * each.probability / total) for each in others]
        return replace(self, causes=(*causes, Cause(owner.inbound, 1 - FROZEN)), stale=False)

    def links(self, outbound_id: str) -> list[Link]:
        """The candidates as links; rank 1 is the chosen one.

        Nothing is chosen only when that is likelier than all requests together: among many, each has a small share.
        """
        shown = [cause for cause in self.causes if cause.probability > 1e-6]
        nothing = [cause for cause in shown if cause.inbound is None]
        if sum(cause.probability for cause in nothing) < 0.5:
            shown = [cause for cause in shown if cause.inbound is not None][: _SHOWN - 1] + nothing
        shown = shown[:_SHOWN]
        return [
            Link(
                outbound_id,
                cause.inbound.id if cause.inbound else None,
                self.method,
                round(cause.probability, 6),
                rank,
                {**self.evidence, **cause.evidence} if rank == 1 else dict(cause.evidence),
            )
            for rank, cause in enumerate(shown, 1)
        ]


UNCAUSED = Attribution((Cause(None, 1.0),), Method.ISOLATED, {"telemetry": True})
"""An exporter's call: what it is shows that no request made it."""


def attribute(
    edge: str,
    sent: Contexts,
    identifiers: Identifiers,
    activity: Activity,
    valued: Callable[[Sequence[Inbound]], Match | None] = lambda _: None,
    *,
    gated: Gated | None = None,
) -> Attribution:
    """The candidates of a call that starts now on this edge, carrying these contexts.

    ``valued`` finds the one of several candidates that a distinctive value speaks for; ``gated`` is what the gate saw.
    """
    named = _named(sent, identifiers)
    if not named:
        # Counted in any case: a call that the gate has not seen through is no likelier to come by itself.
        activity.watch_for_unseen(edge)
        activity.uncaused.count(edge, activity.kind, activity.now_ns)
        if (seen := _by_gate(edge, gated, identifiers, activity)) is not None:
            return seen
        return _by_presence(edge, activity, valued)
    activity.uncaused.count_identified(edge)
    common = _common(list(named.values()))
    if not common:
        return _mixed(edge, named, activity)
    if len(common) > 1:
        common = _narrowed(sent, common)
    method = Method.REQUEST_ID if set(named) == {Format.REQUEST_ID} else Method.TRACE_ID
    evidence: dict[str, object] = {"formats": [format_.value for format_ in named], "carried_by": len(common)}
    if len(common) == 1:
        (inbound,) = common.values()
        if not activity.may_cause(inbound):
            identifiers.named(inbound)
            if present := activity.candidates():
                causes = _shared(edge, present, LATE, activity)
                stale = tuple(cause if cause.inbound else Cause(inbound, cause.probability) for cause in causes)
                return Attribution(stale, method, evidence | {"others_in_flight": len(present)}, stale=True)
        return Attribution((Cause(inbound, SURVIVED), Cause(None, 1 - SURVIVED)), method, evidence)
    live = [inbound for inbound in common.values() if inbound.ended_ns is None] or list(common.values())
    return Attribution(_shared(edge, live, 1 - SURVIVED, activity), method, evidence | {"in_flight": len(live)})


def _named(sent: Contexts, identifiers: Identifiers) -> dict[Format, dict[str, Inbound]]:
    """The requests that each format on the call names; formats that name none are left out."""
    named: dict[Format, dict[str, Inbound]] = {}
    for format_, context in sent.items():
        if isinstance(context, Context) and (carriers := identifiers.carriers(context)):
            named[format_] = carriers
    return named


def _common(sets: list[dict[str, Inbound]]) -> dict[str, Inbound]:
    first, *others = sorted(sets, key=len)
    return {id_: inbound for id_, inbound in first.items() if all(id_ in other for other in others)}


def _narrowed(sent: Contexts, common: dict[str, Inbound]) -> dict[str, Inbound]:
    """Those of several requests of one trace whose very span the call copies, if that tells them apart."""
    same_span = {
        id_: inbound
        for id_, inbound in common.items()
        if any(
            isinstance(now, Context)
            and now.span_id is not None
            and isinstance(was := inbound.contexts.get(format_), Context)
            and was.span_id == now.span_id
            for format_, now in sent.items()
        )
    }
    return same_span or common


def _mixed(edge: str, named: dict[Format, dict[str, Inbound]], activity: Activity) -> Attribution:
    """Identifiers of several requests on one call: each may be the cause, and whichever is, the others leaked."""
    union = {id_: inbound for carriers in named.values() for id_, inbound in carriers.items()}
    live = [inbound for inbound in union.values() if inbound.ended_ns is None] or list(union.values())
    evidence: dict[str, object] = {
        "identifiers_name": {format_.value: sorted(carriers)[:3] for format_, carriers in named.items()}
    }
    return Attribution(_shared(edge, live, 1 - SURVIVED, activity), Method.TRACE_ID, evidence)


def _by_gate(edge: str, gated: Gated | None, identifiers: Identifiers, activity: Activity) -> Attribution | None:
    """The request that the gate has seen to make the call; nothing is proven where such calls come in idle times."""
    inbound = identifiers.get(gated.inbound_id) if gated is not None else None
    if gated is None or inbound is None or activity.uncaused.idle_calls(edge) or activity.unseen:
        return None
    causes = (Cause(inbound, 1 - gated.doubt), Cause(None, gated.doubt))
    return Attribution(causes, Method.GATED, gated.evidence)


def _by_presence(edge: str, activity: Activity, valued: Callable[[Sequence[Inbound]], Match | None]) -> Attribution:
    """No identifier survived: whoever was there may have caused it, or nothing did."""
    kind = activity.kind
    candidates = activity.candidates()
    nothing = activity.uncaused.share(edge, kind)
    if not activity.steady(edge, (inbound.route for inbound in candidates)):
        nothing = max(nothing, LEAST_DOUBT)
    unseen = activity.unseen if candidates else 0.0
    nothing = max(nothing, unseen)
    method = Method.ISOLATED if len(candidates) <= 1 else Method.TIMING
    evidence: dict[str, object] = {
        "in_flight": len(activity.in_flight),
        "ended_recently": len(candidates) - len(activity.in_flight),
        **activity.numbers(edge),
    }
    if unseen:
        evidence["unseen"] = round(unseen, 6)
    causes = _shared(edge, candidates, nothing, activity)
    match = valued(candidates) if len(candidates) > 1 else None
    if match is not None:
        own, rest = (1 - nothing) * match.probability, (1 - nothing) * (1 - match.probability)
        others = [each for each in causes if each.inbound is not None and each.inbound is not match.inbound]
        total = sum(each.probability for each in others)
        causes = (
            Cause(match.inbound, own, match.evidence),
            *(Cause(each.inbound, rest * each.probability / total) for each in others),
            Cause(None, nothing),
        )
        causes = tuple(sorted(causes, key=lambda cause: -cause.probability))
        return Attribution(causes, Method.VALUE, evidence, kind, match=match, unseen=unseen)
    return Attribution(causes, method, evidence, kind, unseen=unseen)


def by_times(
    inferred: Sequence[Candidate], presence: Attribution, inbounds: Mapping[str, Inbound], alone: float
) -> Attribution:
    """The candidates as inferred from all starts and ends together.

    ``presence`` is what was decided when the call started; ``inbounds`` has the requests that inference was told of;
    ``alone`` is the probability that nothing caused the call.
    """
    known = [
        (inbounds[each.inbound_id], each) for each in inferred if each.inbound_id is not None and each.probability > 0
    ]
    total = sum(each.probability for _, each in known)
    named = {inbound.id for inbound, _ in known}
    others = [each for each in presence.causes if each.inbound and each.inbound.id not in named]
    # Times alone never prove: what inference is surest of has been wrong now and then, nothing among it.
    nothing = min(max(LEAST_DOUBT, alone, presence.unseen), 1 - LEAST_DOUBT) if known or others else 1.0
    doubt = 0.0 if not others else _DOUBT if known else 1.0
    causes = [
        Cause(inbound, (1 - nothing) * (1 - doubt) * each.probability / total, dict(each.evidence))
        for inbound, each in known
    ]
    # Of these, times have told nothing; presence has, unless it took the call for uncaused.
    present = sum(each.probability for each in others)
    parts = [each.probability / present if present else 1 / len(others) for each in others]
    causes += [Cause(each.inbound, (1 - nothing) * doubt * part) for each, part in zip(others, parts, strict=True)]
    ranked = tuple(sorted([*causes, Cause(None, nothing)], key=lambda cause: -cause.probability))
    match, best = presence.match, ranked[0].inbound
    if match is not None:
        ranked = tuple(
            replace(each, evidence={**each.evidence, **match.evidence}) if each.inbound is match.inbound else each
            for each in ranked
        )
    agreed = match is not None and best is match.inbound
    return replace(presence, causes=ranked, method=Method.VALUE if agreed else Method.TIMING)


def alone_by_times(answers: Sequence[Sequence[Candidate]], share: float) -> list[float]:
    """For calls of one edge the probabilities that nothing caused them, of which ``share`` is what is known of all.

    How much comes by itself is told by idle times and by how many requests are in flight, of which a window knows
    little. Which of the calls that may be, inference tells: by how much likelier it finds that of one than of most.
    """
    said = [_odds(sum(each.probability for each in answer if each.inbound_id is None)) for answer in answers]
    usual = _odds(sum(odds / (1 + odds) for odds in said) / max(1, len(said)))
    return [(odds := _odds(share) * each / usual) / (1 + odds) for each in said]


def _odds(probability: float) -> float:
    """Odds within bounds: nothing is ruled out, and nothing certain."""
    bounded = min(max(probability, _SCARCE), 1 - _SCARCE)
    return bounded / (1 - bounded)


def _shared(edge: str, candidates: Iterable[Inbound], nothing: float, activity: Activity) -> tuple[Cause, ...]:
    weights = [(inbound, activity.affinity(edge, inbound)) for inbound in candidates]
    total = sum(weight for _, weight in weights)
    causes = [Cause(inbound, (1 - nothing) * weight / total) for inbound, weight in weights]
    if not causes:
        return (Cause(None, 1.0),)
    return tuple(sorted([*causes, Cause(None, nothing)], key=lambda cause: -cause.probability))
