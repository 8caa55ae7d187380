"""What became of each propagation format on one outbound call, given the request that caused it; DESIGN 4.

Theory of operation: :func:`judge` compares two readings of headers, what the request carried and what the call sends,
format by format. It is pure and knows nothing of links: which request is the cause is a hypothesis of the caller's. A
change is only an alteration where the specification forbids it to this kind of service: whoever keeps the span id
copies headers and must copy them whole; whoever makes a new span id takes part in the trace and may change what is
its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from traceaudit.exchange import Outcome
from traceaudit.formats.context import Context, Format, Malformed, TraceState, same_trace

type Contexts = Mapping[Format, Context | Malformed]


class Alteration(StrEnum):
    """How a format was changed on a call that still names the same trace (several may apply)."""

    SAMPLING = "sampling"
    TRUNCATED = "truncated"
    TRACESTATE_DROPPED = "tracestate-dropped"
    TRACESTATE_DAMAGED = "tracestate-damaged"
    PARTLY_DROPPED = "partly-dropped"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome of one format. ``detail`` is for people: ``sampled 1 → 0``, ``x-b3-parentspanid lost``.

    ``owner_id`` names the inbound exchange whose context a leaked one is; ``None`` where that is not known.
    """

    format: Format
    outcome: Outcome
    alterations: frozenset[Alteration] = frozenset()
    detail: str = ""
    owner_id: str | None = None


type OwnerOf = Callable[[Context], str | None]
"""Given a context on a call, the id of the *other* inbound request that brought it; ``None``: no other did."""

TRACE_HEADERS = (Format.TRACEPARENT, Format.B3, Format.B3MULTI)
"""The formats that every tracer of a mesh can translate into each other: a trace id in one speaks for all."""

_SIBLING = {Format.B3: Format.B3MULTI, Format.B3MULTI: Format.B3}


def judge(carried: Contexts, sent: Contexts, owner_of: OwnerOf) -> dict[Format, Judgement]:
    """The judgement of every format that the request carried or the call sends."""
    judgements: dict[Format, Judgement] = {}
    for format_ in Format:
        if format_ in sent:
            judgements[format_] = _present(format_, carried, sent[format_], owner_of)
        elif format_ in carried:
            judgements[format_] = _missing(format_, carried[format_], sent)
    return judgements


def _missing(format_: Format, was: Context | Malformed, sent: Contexts) -> Judgement:
    if isinstance(was, Malformed):
        # "If the vendor failed to parse traceparent, it MUST NOT attempt to parse tracestate" and starts a new trace
        # https://www.w3.org/TR/trace-context-2/#a-traceparent-is-received
        return Judgement(format_, Outcome.ABSENT, detail="what came in was invalid, and is to be ignored")
    sibling = sent.get(_SIBLING[format_]) if format_ in _SIBLING else None
    if isinstance(sibling, Context):
        if was.trace_id is None:
            return Judgement(format_, Outcome.CONVERTED, detail=f"{sibling.format.value} carries the sampling state")
        if _goes_on(was.trace_id, sibling.trace_id):
            return Judgement(format_, Outcome.CONVERTED, detail=f"{sibling.format.value} carries the trace")
    if format_ is Format.REQUEST_ID:
        return Judgement(format_, Outcome.DROPPED)
    carrier = next((context for context in _traces(sent) if _goes_on(was.trace_id, context.trace_id)), None)
    detail = f"{carrier.format.value} still carries the trace" if carrier else ""
    return Judgement(format_, Outcome.DROPPED, detail=detail)


def _present(format_: Format, carried: Contexts, now: Context | Malformed, owner_of: OwnerOf) -> Judgement:
    if isinstance(now, Malformed):
        return Judgement(format_, Outcome.MALFORMED, detail=now.clause)
    was = carried.get(format_)
    if format_ is Format.BAGGAGE:
        kept = isinstance(was, Context) and was.extra == now.extra
        return Judgement(format_, Outcome.FORWARDED if kept else Outcome.CONTINUED)
    if format_ is Format.REQUEST_ID:
        return _request_id(was, now, owner_of)
    if now.trace_id is None:
        return _without_ids(format_, was, now)
    return _trace(format_, carried, now, owner_of)


def _trace(format_: Format, carried: Contexts, now: Context, owner_of: OwnerOf) -> Judgement:
    was = carried.get(format_)
    if (own := _own(was, carried, now)) is not None:
        return own
    if (owner := owner_of(now)) is not None:
        return Judgement(format_, Outcome.LEAKED, detail=f"the context of request {owner}", owner_id=owner)
    if isinstance(was, Context) and was.trace_id is None:
        return _begun(was, now)
    if _is_free(format_, carried):
        return Judgement(format_, Outcome.ABSENT, detail="the request brought none that is valid; a new one is right")
    return Judgement(format_, Outcome.RESTARTED)


def _own(was: Context | Malformed | None, carried: Contexts, now: Context) -> Judgement | None:
    """The judgement of a context whose trace the request brought, in whatever format; ``None``: it did not."""
    if isinstance(was, Context) and _goes_on(was.trace_id, now.trace_id):
        return _same_trace(was, now, carried)
    if (origin := _origin(carried, now)) is not None:
        return _translated(origin, now)
    if isinstance(was, Malformed) and now.trace_id is not None and now.trace_id in was.value.lower():
        # One of two lines, or written right: it is the request's own trace, however many others are in it.
        return Judgement(now.format, Outcome.ABSENT, detail="what came in was invalid, and was put right")
    return None


def _is_free(format_: Format, carried: Contexts) -> bool:
    """Whether a new trace is right in this format: what came in was invalid, or there was nothing to carry on.

    "If the vendor failed to parse traceparent, it [...] creates a new traceparent", whatever other formats say.
    https://www.w3.org/TR/trace-context-2/#a-traceparent-is-received
    A service that speaks B3 reads both of its forms, so an invalid one speaks for the other.
    """
    was = carried.get(format_)
    if was is None and format_ in _SIBLING:
        was = carried.get(_SIBLING[format_])
    if isinstance(was, Malformed):
        return True
    return carried.get(format_) is None and (format_ not in TRACE_HEADERS or not any(_traces(carried)))


def _origin(carried: Contexts, now: Context) -> Context | None:
    """The context in another format that this one goes on with; its sibling's before others."""
    sibling = _SIBLING.get(now.format)
    contexts = sorted(_traces(carried), key=lambda context: context.format is not sibling)
    return next((context for context in contexts if _goes_on(context.trace_id, now.trace_id)), None)


def _translated(origin: Context, now: Context) -> Judgement:
    """A context written anew from another format: what both can say has to be the same."""
    changes: list[tuple[Alteration, str]] = []
    copied = origin.span_id == now.span_id
    # Datadog's ids and LightStep's have 64 bits by themselves; what they leave out is not lost on the way.
    if now.format not in (Format.DATADOG, Format.OT_SPAN) and _is_cut(origin.trace_id, now.trace_id):
        changes.append((Alteration.TRUNCATED, _cut_detail(origin, now)))
    if _SIBLING.get(now.format) is origin.format:
        changed = origin.sampled != now.sampled and (copied or origin.sampled is not None)
    else:
        decided = origin.sampled is not None and now.sampled is not None
        changed = copied and decided and origin.sampled != now.sampled
    if changed:
        changes.append((Alteration.SAMPLING, _sampling_detail(origin, now)))
    detail = "; ".join([f"the trace of {origin.format.value}", *(said for _, said in changes)])
    if changes:
        return Judgement(now.format, Outcome.ALTERED, frozenset(kind for kind, _ in changes), detail)
    return Judgement(now.format, Outcome.CONTINUED, detail=detail)


def _begun(was: Context, now: Context) -> Judgement:
    """A trace that begins under a decision which came without ids.

    "It is also valid to send sampling state independently, such as a deny decision X-B3-Sampled: 0."
    https://github.com/openzipkin/b3-propagation#multiple-headers
    """
    if now.format in _SIBLING and was.sampled is not None and was.sampled != now.sampled:
        return _altered(now.format, Alteration.SAMPLING, _sampling_detail(was, now))
    return Judgement(now.format, Outcome.CONTINUED, detail="a trace begun under the decision that came")


def _request_id(was: Context | Malformed | None, now: Context, owner_of: OwnerOf) -> Judgement:
    # "Between what a service got and what it sends, the id must be byte-equal": Envoy joins its logs by it.
    if isinstance(was, Context) and was.trace_id == now.trace_id:
        return Judgement(now.format, Outcome.FORWARDED)
    if isinstance(was, Malformed) and now.trace_id is not None and now.trace_id in was.value:
        return Judgement(now.format, Outcome.ABSENT, detail="several came in, and one of them goes on")
    if (owner := owner_of(now)) is not None:
        return Judgement(now.format, Outcome.LEAKED, detail=f"the id of request {owner}", owner_id=owner)
    if not isinstance(was, Context):
        return Judgement(now.format, Outcome.ABSENT, detail="the request brought none; a new one is right")
    return Judgement(now.format, Outcome.RESTARTED)


def _without_ids(format_: Format, was: Context | Malformed | None, now: Context) -> Judgement:
    """A state alone (``b3: 0``), or a vendor's opaque value."""
    if isinstance(was, Context) and was.trace_id is not None:
        return Judgement(format_, Outcome.DROPPED, detail="the ids are gone, only the sampling state is left")
    if isinstance(was, Context) and format_ in _SIBLING and was.sampled is not None and was.sampled != now.sampled:
        return _altered(format_, Alteration.SAMPLING, _sampling_detail(was, now))
    same = isinstance(was, Context) and (was.sampled, was.debug, was.extra) == (now.sampled, now.debug, now.extra)
    return Judgement(format_, Outcome.FORWARDED if same else Outcome.CONTINUED)


def _same_trace(was: Context, now: Context, carried: Contexts) -> Judgement:
    copied = was.span_id == now.span_id
    changes = list(_changes(was, now, copied=copied and was.span_id is not None))
    if changes and not copied and now.sampled in _decisions(carried, now):
        # Where formats of one trace came with several decisions, no service can keep them all.
        changes = [(kind, detail) for kind, detail in changes if kind is not Alteration.SAMPLING]
    if changes:
        kinds = frozenset(kind for kind, _ in changes)
        return Judgement(now.format, Outcome.ALTERED, kinds, "; ".join(detail for _, detail in changes))
    return Judgement(now.format, Outcome.FORWARDED if copied else Outcome.CONTINUED)


def _decisions(carried: Contexts, now: Context) -> frozenset[bool | None]:
    """What the formats that name this trace say about sampling."""
    return frozenset(each.sampled for each in _traces(carried) if _goes_on(each.trace_id, now.trace_id))


def _altered(format_: Format, kind: Alteration, detail: str) -> Judgement:
    return Judgement(format_, Outcome.ALTERED, frozenset({kind}), detail)


def _changes(was: Context, now: Context, *, copied: bool) -> Iterator[tuple[Alteration, str]]:
    if _is_cut(was.trace_id, now.trace_id):
        yield Alteration.TRUNCATED, _cut_detail(was, now)
    yield from _sampling(was, now, copied=copied)
    if now.format is Format.B3MULTI and copied and was.parent_span_id and not now.parent_span_id:
        yield Alteration.PARTLY_DROPPED, "x-b3-parentspanid lost"
    if now.format is Format.TRACEPARENT:
        yield from _tracestate(was.tracestate, now.tracestate, copied=copied)


def _sampling(was: Context, now: Context, *, copied: bool) -> Iterator[tuple[Alteration, str]]:
    if now.format in (Format.SW8, Format.OT_SPAN):
        return
    if now.format not in _SIBLING and not copied:
        # "A vendor MAY change the sampled flag [...] The parent-id field MUST be set to a new value with the sampled
        # flag update." https://www.w3.org/TR/trace-context-2/#mutating-the-traceparent-field
        # So it is with the vendors' formats: `manual.keep` (Datadog) and `sampling.priority` (Jaeger) decide midway.
        return
    if was.sampled == now.sampled:
        if copied and was.debug and not now.debug and now.format in _SIBLING:
            kind = Alteration.PARTLY_DROPPED if now.format is Format.B3MULTI else Alteration.SAMPLING
            yield kind, "x-b3-flags lost" if now.format is Format.B3MULTI else "sampled d → 1"
        return
    if was.sampled is None and not copied:
        return  # The decision was left to the receiver, and a participant is one.
    if now.sampled is None and now.format is Format.B3MULTI:
        lost = "x-b3-flags" if was.debug else "x-b3-sampled"
        yield Alteration.PARTLY_DROPPED, f"{lost} lost"
        return
    yield Alteration.SAMPLING, _sampling_detail(was, now)


def _sampling_detail(was: Context, now: Context) -> str:
    return f"sampled {_decision(was.sampled)} → {_decision(now.sampled)}"


def _decision(sampled: bool | None) -> str:
    return "undecided" if sampled is None else str(int(sampled))


def _tracestate(
    was: TraceState | Malformed | None, now: TraceState | Malformed | None, *, copied: bool
) -> Iterator[tuple[Alteration, str]]:
    if not isinstance(was, TraceState) or not was.members or isinstance(now, Malformed):
        return  # Nothing valid came in, or what goes out is judged as malformed.
    if now is None or not now.members:
        yield Alteration.TRACESTATE_DROPPED, "tracestate lost"
    elif copied and was.members != now.members:
        # "If the parent-id is not changed, tracestate must not be changed either": a copy is whole.
        # https://www.w3.org/TR/trace-context-2/#mutating-the-tracestate-field
        yield Alteration.TRACESTATE_DAMAGED, "tracestate changed beside an unchanged traceparent"
    elif not _may_become(was.members, now.members):
        yield Alteration.TRACESTATE_DAMAGED, "tracestate members out of order"


type _Members = tuple[tuple[str, str], ...]


def _may_become(was: _Members, now: _Members) -> bool:
    """Whether a participant may turn the one list into the other.

    "Modified keys MUST be moved to the beginning (left) of the list"; the others keep their order.
    https://www.w3.org/TR/trace-context-2/#mutating-the-tracestate-field
    A participant that writes its own member anew may write the value it had, so that one more may have moved.
    """
    before = set(was)
    fresh = 0
    while fresh < len(now) and now[fresh] not in before:
        fresh += 1
    return _in_order(was, now[fresh:]) or _in_order(was, now[fresh + 1 :])


def _in_order(was: _Members, now: _Members) -> bool:
    rest = iter(was)
    return all(member in rest for member in now)


def _goes_on(was: str | None, now: str | None) -> bool:
    """Whether the trace id that came in is the one that goes out, in whatever width."""
    return was is not None and now is not None and (same_trace(was, now) or _is_cut(was, now))


def _is_cut(was: str | None, now: str | None) -> bool:
    """Whether the left half of a trace id is lost: left out, or made zero where the format has room for it."""
    if was is None or now is None or not was[:-16].strip("0") or now[:-16].strip("0"):
        return False
    return was[-16:] == now[-16:].rjust(16, "0")


def _cut_detail(was: Context, now: Context) -> str:
    before, after = len(was.trace_id or ""), len(now.trace_id or "")
    return f"trace id {before} → {after} hex digits" if before > after else "the left half of the trace id made zero"


def _traces(contexts: Contexts) -> Iterator[Context]:
    """The valid contexts that name a trace, the ones of the mesh's own formats only."""
    for format_ in TRACE_HEADERS:
        context = contexts.get(format_)
        if isinstance(context, Context) and context.trace_id is not None:
            yield context
