"""The most frequent calls of all: they go on with what their request brought, all of it, and with nothing else.

Theory of operation. Whoever copies its headers sends the very same; whoever takes part in the trace makes new span ids.
What is to be said of such a call depends on the formats alone: each goes on, no rule is broken, the cause is proven. It
is what :class:`traceaudit.audit.Audit` finds out on the long way, for a third of the cost; a test holds the two against
each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from traceaudit.correlation import Activity, Identifiers, Inbound
from traceaudit.correlation.correlator import SURVIVED
from traceaudit.exchange import Method, Outcome
from traceaudit.formats import Context, Format, Malformed
from traceaudit.outcomes import TRACE_HEADERS, Contexts, Judgement
from traceaudit.verdicts import Alike

_SHARE, _REST = round(SURVIVED, 6), round(1 - SURVIVED, 6)


@dataclass(slots=True)
class Echo:
    """A call that goes on with what one request brought. ``copied``: whether it has the request's span id, or one of
    its own; ``None``: it has none.
    """

    inbound: Inbound
    alike: Alike
    copied: bool | None


def echo_of(sent: Contexts, identifiers: Identifiers, activity: Activity) -> Echo | None:
    """What a call that is made now echoes; ``None``: it has to be looked at more closely."""
    inbound = identifiers.sole(sent)
    if inbound is None or not activity.may_cause(inbound) or len(inbound.contexts) != len(sent):
        return None
    trace_id = None
    outcomes: list[tuple[Format, Outcome]] = []
    for format_, now in sent.items():
        was = inbound.contexts.get(format_)
        if not (isinstance(now, Context) and isinstance(was, Context)):
            return None
        if format_ in TRACE_HEADERS:
            if trace_id not in (None, now.trace_id):
                return None
            trace_id = now.trace_id
        outcome = _outcome(was, now)
        if outcome is None:
            return None
        outcomes.append((format_, outcome))
    return Echo(inbound, *_said(tuple(outcomes)))


def _outcome(was: Context, now: Context) -> Outcome | None:
    """What became of a format; ``None``: it has to be looked at more closely."""
    if now.format in TRACE_HEADERS:
        if now.trace_id is None or not (was is now or _goes_on(was, now)) or isinstance(now.tracestate, Malformed):
            return None
        return Outcome.FORWARDED if was.span_id == now.span_id else Outcome.CONTINUED
    if now.format is Format.REQUEST_ID:
        return Outcome.FORWARDED if was.trace_id == now.trace_id else None
    if now.format is Format.BAGGAGE:
        return Outcome.FORWARDED if was.extra == now.extra else Outcome.CONTINUED
    return None


def _goes_on(was: Context, now: Context) -> bool:
    """Whether a context goes on with another of its format, and nothing of that is lost or changed but the span id."""
    state = was.tracestate
    return (
        was.trace_id == now.trace_id
        and was.sampled == now.sampled
        and was.debug == now.debug
        and (was.parent_span_id == now.parent_span_id or was.span_id != now.span_id)
        and (state is None or state == now.tracestate)
    )


@lru_cache(maxsize=1024)
def _said(outcomes: tuple[tuple[Format, Outcome], ...]) -> tuple[Alike, bool | None]:
    """What is said of a call of which this became, and whether it has the span id of its request."""
    of = dict(outcomes)
    judgements = tuple(Judgement(format_, of[format_]) for format_ in Format if format_ in of)
    named = [format_.value for format_ in of if format_ is not Format.BAGGAGE]
    method = Method.REQUEST_ID if named == [Format.REQUEST_ID.value] else Method.TRACE_ID
    # Every one of these has a span id; the first tells what the service does with them.
    spans = [of[format_] for format_ in TRACE_HEADERS if format_ in of]
    copied = spans[0] is Outcome.FORWARDED if spans else None
    return Alike(judgements, method, {"formats": named, "carried_by": 1}, _SHARE, _REST), copied
