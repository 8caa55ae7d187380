"""The most frequent call of all: it carries exactly what its request brought, and nothing of anybody else's.

Theory of operation. What is to be said of such a call depends on the formats alone: each goes on, no rule is broken,
the cause is proven. It is what :class:`traceaudit.audit.Audit` finds out on the long way, for a third of the cost; a
test holds the two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from traceaudit.correlation import Activity, Identifiers, Inbound
from traceaudit.correlation.correlator import SURVIVED
from traceaudit.exchange import Link, Method, Outcome
from traceaudit.formats import Format, Malformed
from traceaudit.outcomes import TRACE_HEADERS, Contexts, Judgement
from traceaudit.verdicts import APART, FormatOutcome

_SHARE, _REST = round(SURVIVED, 6), round(1 - SURVIVED, 6)


@dataclass(frozen=True, slots=True)
class _Said:
    """What is said of every call that carries such formats."""

    judgements: tuple[Judgement, ...]
    method: Method
    evidence: dict[str, object]


@dataclass(slots=True)
class Echo:
    """A call that carries exactly what one request brought. ``copied``: 1 when a span id is among it, else 0."""

    inbound: Inbound
    copied: int
    _said: _Said

    def links(self, outbound_id: str) -> list[Link]:
        """The request, and what little is left for nothing."""
        said = self._said
        return [
            Link(outbound_id, self.inbound.id, said.method, _SHARE, 1, said.evidence),
            Link(outbound_id, None, said.method, _REST, 2),
        ]

    def outcomes(self) -> list[FormatOutcome]:
        """That every format went on as it was."""
        id_ = self.inbound.id
        return [FormatOutcome(judgement, id_, _SHARE) for judgement in self._said.judgements]


def echo_of(sent: Contexts, identifiers: Identifiers, activity: Activity) -> Echo | None:
    """What a call that is made now echoes; ``None``: it has to be looked at more closely."""
    inbound = identifiers.sole(sent)
    if inbound is None or not activity.may_cause(inbound):
        return None
    trace_id, copied = None, 0
    for format_, context in sent.items():
        if isinstance(context, Malformed) or isinstance(context.tracestate, Malformed):
            return None
        if format_ in TRACE_HEADERS:
            if context.trace_id is None or trace_id not in (None, context.trace_id):
                return None
            trace_id = context.trace_id
            if context.span_id is not None:
                copied = 1
        elif format_ not in APART:
            return None
    return Echo(inbound, copied, _said(tuple(sent)))


@lru_cache(maxsize=256)
def _said(formats: tuple[Format, ...]) -> _Said:
    judgements = tuple(Judgement(format_, Outcome.FORWARDED) for format_ in Format if format_ in formats)
    named = [format_.value for format_ in formats if format_ is not Format.BAGGAGE]
    method = Method.REQUEST_ID if named == [Format.REQUEST_ID.value] else Method.TRACE_ID
    return _Said(judgements, method, {"formats": named, "carried_by": 1})
