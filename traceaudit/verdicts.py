"""What is decided of one outbound call, and what follows from the call as it would be under each of its causes."""

from __future__ import annotations

from dataclasses import dataclass

from traceaudit.exchange import Link, Method, Outcome
from traceaudit.findings import Accusation, Edge, Finding
from traceaudit.formats import Context, Format, Malformed
from traceaudit.outcomes import TRACE_HEADERS, Judgement
from traceaudit.rules import Call

_AS_IT_SHOULD = frozenset({Outcome.FORWARDED, Outcome.CONTINUED})

APART = frozenset({Format.REQUEST_ID, Format.BAGGAGE})
"""Formats that name no trace, and so cannot disagree with one."""


@dataclass(slots=True)
class Outcomes:
    """What became of formats on a call: the likeliest outcomes, their share, and the cause they are judged against."""

    judgements: tuple[Judgement, ...]
    inbound_id: str | None
    probability: float


@dataclass(slots=True)
class Decided:
    """What caused a call, and what became of its formats."""

    links: list[Link]
    outcomes: list[Outcomes]


@dataclass(frozen=True, slots=True, eq=False)
class Alike:
    """What is said of every call that is like this one but for the request that caused it."""

    judgements: tuple[Judgement, ...]
    method: Method
    evidence: dict[str, object]
    share: float
    """The probability that the request caused it; what is left, that nothing did, is ``rest``."""
    rest: float


@dataclass(slots=True)
class Echoed:
    """The same of a call that is like many others, whose links and outcomes are seldom asked for one by one."""

    outbound_id: str
    inbound_id: str
    alike: Alike

    @property
    def links(self) -> list[Link]:
        """The request, and what little is left for nothing."""
        said = self.alike
        return [
            Link(self.outbound_id, self.inbound_id, said.method, said.share, 1, said.evidence),
            Link(self.outbound_id, None, said.method, said.rest, 2),
        ]

    @property
    def outcomes(self) -> list[Outcomes]:
        """That every format went on."""
        return [Outcomes(self.alike.judgements, self.inbound_id, self.alike.share)]


@dataclass(slots=True)
class Verdict:
    """All that was decided of one outbound call. ``edge`` is ``None`` when nothing is likely to have caused it."""

    outbound_id: str
    decided: Decided | Echoed
    edge: Edge | None
    accusations: list[tuple[Finding, Accusation]]

    @property
    def links(self) -> list[Link]:
        """The candidate causes, the chosen one first."""
        return self.decided.links

    @property
    def outcomes(self) -> list[Outcomes]:
        """What became of each format."""
        return self.decided.outcomes


@dataclass(slots=True)
class Revision:
    """A verdict in place of the first one, whose ``former`` accusations are no more; nor are ``withdrawn`` findings."""

    verdict: Verdict
    former: list[tuple[Finding, Accusation]]
    withdrawn: list[Finding]


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
        elif format_ not in APART:
            return False
    return True


def outcomes(calls: list[tuple[Call, float]]) -> list[Outcomes]:
    """Per format the outcome that the candidates' shares favour."""
    if len(calls) == 1:
        ((call, probability),) = calls
        return [Outcomes(tuple(call.judgements.values()), call.inbound.id, round(probability, 6))]
    shares: dict[Format, dict[Outcome, float]] = {}
    for call, probability in calls:
        for format_, judgement in call.judgements.items():
            by_outcome = shares.setdefault(format_, {})
            by_outcome[judgement.outcome] = by_outcome.get(judgement.outcome, 0.0) + probability
    found: list[Outcomes] = []
    for format_, by_outcome in shares.items():
        best = max(by_outcome, key=lambda outcome: by_outcome[outcome])
        call = next(call for call, _ in calls if (judged := call.judgements.get(format_)) and judged.outcome is best)
        found.append(Outcomes((call.judgements[format_],), call.inbound.id, round(by_outcome[best], 6)))
    return found
