"""What a propagation format's headers say once parsed: a context, or where exactly they are wrong.

Every format module gives ``parse``, ``render`` and, where a sidecar makes one, ``mint``. ``parse`` takes the values of
its own header lines, in the order they were sent, and never raises on any input: malformed input is data (to an auditor
it *is* the evidence). A context compares trace ids the way B3 demands it: 64 bits against 128 by the right half.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum


class Format(StrEnum):
    """One family of propagation headers; the values are the public names."""

    TRACEPARENT = "traceparent"
    B3 = "b3"
    B3MULTI = "b3multi"
    REQUEST_ID = "x-request-id"
    BAGGAGE = "baggage"
    UBER = "uber-trace-id"
    DATADOG = "x-datadog"
    CLOUD_TRACE = "x-cloud-trace-context"
    GRPC_TRACE = "grpc-trace-bin"
    OT_SPAN = "x-ot-span-context"
    SW8 = "sw8"
    AMZN = "x-amzn-trace-id"


class Fault(StrEnum):
    """The kind of a malformation, as far as rules tell kinds apart."""

    INVALID = "invalid"
    EMPTY = "empty"
    DUPLICATED = "duplicated"


@dataclass(frozen=True, slots=True)
class Malformed:
    """Headers that their specification does not allow.

    ``position`` is the index in ``value`` of the first character that is wrong (the length, when something is missing
    at the end). ``clause`` is a sentence that a person understands, ``reference`` the URL of the specification's
    section.
    """

    format: Format
    header: str
    value: str
    position: int
    clause: str
    reference: str
    fault: Fault = Fault.INVALID


@dataclass(frozen=True, slots=True)
class TraceState:
    """A valid ``tracestate``: its members in order, empty ones left out."""

    members: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, init=False)
class Context:
    """A valid set of one format's headers.

    ``trace_id``, ``span_id`` and ``parent_span_id`` are lower-case hex (decimal formats are converted); for
    ``x-request-id`` the id is in ``trace_id`` exactly as sent, and it never compares with a trace. ``None`` means the
    headers do not carry it (a B3 state alone has no ids). ``sampled`` ``None`` means that the decision is left to the
    receiver. ``extra`` holds what only this format knows (``version``, ``flags``, baggage members, ...), as text.
    """

    format: Format
    trace_id: str | None
    span_id: str | None = None
    parent_span_id: str | None = None
    sampled: bool | None = None
    debug: bool = False
    tracestate: TraceState | Malformed | None = None
    extra: tuple[tuple[str, str], ...] = ()

    def __init__(  # noqa: PLR0917  (a dataclass's fields are positional, too)
        self,
        format: Format,
        trace_id: str | None,
        span_id: str | None = None,
        parent_span_id: str | None = None,
        sampled: bool | None = None,
        debug: bool = False,
        tracestate: TraceState | Malformed | None = None,
        extra: tuple[tuple[str, str], ...] = (),
    ) -> None:
        # What a frozen dataclass writes for itself, through the slots: half the time, and every header pays it.
        _set_format(self, format)
        _set_trace_id(self, trace_id)
        _set_span_id(self, span_id)
        _set_parent_span_id(self, parent_span_id)
        _set_sampled(self, sampled)
        _set_debug(self, debug)
        _set_tracestate(self, tracestate)
        _set_extra(self, extra)


(
    _set_format,
    _set_trace_id,
    _set_span_id,
    _set_parent_span_id,
    _set_sampled,
    _set_debug,
    _set_tracestate,
    _set_extra,
) = (vars(Context)[field.name].__set__ for field in fields(Context))


def same_trace(left: str, right: str) -> bool:
    """Whether two hex trace ids name one trace: of different width, the right-most 64 bits decide.

    "128-bit trace ids are compatible with 64-bit ones: the higher bits are ignored by systems that know 64 bits only"
    https://github.com/openzipkin/b3-propagation#traceid-1
    """
    if left == right:
        return True
    if len(left) == len(right):
        return False
    return left[-16:].rjust(16, "0") == right[-16:].rjust(16, "0")
