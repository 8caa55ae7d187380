"""What rules read off the wire: which headers belong to which format, and how a value is shown to a person.

Everything here is pure. Values are shown as they were sent, only shortened; making them safe for a terminal or a file
is the business of each report.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from traceaudit.exchange import Exchange
from traceaudit.formats import HEADER_NAMES
from traceaudit.formats.context import Context, Fault, Format, Malformed
from traceaudit.rules.rule import Call, Contexts, Violation

B3_FAMILY: tuple[Format, ...] = (Format.B3, Format.B3MULTI)

VENDORS: tuple[Format, ...] = (
    Format.UBER,
    Format.DATADOG,
    Format.CLOUD_TRACE,
    Format.GRPC_TRACE,
    Format.OT_SPAN,
    Format.SW8,
    Format.AMZN,
)

TRACE_FORMATS: tuple[Format, ...] = (Format.TRACEPARENT, *B3_FAMILY, *VENDORS)
"""The formats that name a trace: all but ``x-request-id`` (it never compares with a trace) and ``baggage``."""

_CLIPPED_TO = 160
"""Characters of a value that a message shows: a traceparent has 55, the longest valid b3 68."""


def header_names(format_: Format) -> tuple[str, ...]:
    """The header names of a format, lower case, the one that makes it first; ``tracestate`` speaks for itself."""
    return tuple(name for name in HEADER_NAMES[format_] if name != "tracestate")


def lines(exchange: Exchange, name: str) -> list[str]:
    """The values of one request header, a value a line as sent; header names compare without regard to case."""
    return [value for sent, value in exchange.request_headers if sent.lower() == name]


def combined(exchange: Exchange, name: str) -> str:
    """The lines of a header that may come in several, joined in order.

    "Multiple tracestate header fields MUST be handled as specified by RFC9110 Section 5.3 Field Order"
    https://www.w3.org/TR/trace-context-2/#tracestate-header-field-values
    """
    return ",".join(value.strip() for value in lines(exchange, name))


def clip(value: str) -> str:
    """A value short enough for a message."""
    return value if len(value) <= _CLIPPED_TO else f"{value[:_CLIPPED_TO]}…"


def shown(exchange: Exchange, format_: Format) -> str:
    """A format's headers on a request as a person reads them: ``b3 4bf9…-1``, ``x-b3-traceid …, x-b3-spanid …``."""
    found = [f"{name} {clip(value)}".rstrip() for name in header_names(format_) for value in lines(exchange, name)]
    return ", ".join(found) if found else f"no {header_names(format_)[0]}"


def listed(words: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def labels(formats: Iterable[Format]) -> str:
    """The public names of formats, as the header of a violation."""
    return ", ".join(format_.value for format_ in formats)


def valid(contexts: Contexts, format_: Format) -> Context | None:
    """The context of a format; ``None`` when it is absent or malformed."""
    found = contexts.get(format_)
    return found if isinstance(found, Context) else None


def malformed(contexts: Contexts, format_: Format) -> Malformed | None:
    """The malformation of a format; ``None`` when it is absent or valid."""
    found = contexts.get(format_)
    return found if isinstance(found, Malformed) else None


def carried_trace_id(call: Call, preferred: Format | None = None) -> str | None:
    """The trace id the request brought, in the preferred format if that has one; ``None``: it brought no trace."""
    order = TRACE_FORMATS if preferred is None else (preferred, *TRACE_FORMATS)
    for format_ in order:
        context = valid(call.carried, format_)
        if context is not None and context.trace_id is not None and format_ in TRACE_FORMATS:
            return context.trace_id
    return None


def expected(call: Call, format_: Format) -> str:
    """What the call should carry in a format, given what the request brought."""
    trace_id = carried_trace_id(call, format_)
    if format_ in TRACE_FORMATS and trace_id is not None:
        match format_:
            case Format.TRACEPARENT:
                return f"traceparent 00-{trace_id.rjust(32, '0')}-…"
            case Format.B3:
                return f"b3 {trace_id}-…"
            case Format.B3MULTI:
                return f"x-b3-traceid {trace_id}"
            case _:
                pass
    return shown(call.inbound, format_)


def because(call: Call, formats: Sequence[Format]) -> str:
    """What the judgements add for a person, in brackets; empty when they add nothing."""
    details = [judgement.detail for format_ in formats if (judgement := call.judgements.get(format_))]
    told = list(dict.fromkeys(detail for detail in details if detail))
    return f" ({'; '.join(told)})" if told else ""


def parts(value: str) -> list[str]:
    """What stands between the commas of a value, without the space around it; empty parts are left out.

    "A recipient MAY combine multiple field lines within a field section that have the same field name into one field
    line [...] by appending each subsequent field line value to the initial field line value in order, separated by a
    comma (",") and optional whitespace" https://www.rfc-editor.org/rfc/rfc9110#section-5.3
    """
    return [part for each in value.split(",") if (part := each.strip())]


def brought(call: Call, fault: Malformed) -> bool:
    """Whether the request brought the very same malformed value, its lines joined or not: then it is not of the
    service's making.
    """
    carried = malformed(call.carried, fault.format)
    return carried is not None and (carried.header, parts(carried.value)) == (fault.header, parts(fault.value))


def own_malformation(call: Call, formats: Sequence[Format]) -> Malformed | None:
    """The first malformed format on the call that the request did not bring so; not the empty and the duplicated,
    which have rules of their own.
    """
    for format_ in formats:
        fault = malformed(call.sent, format_)
        if (
            fault is not None
            and fault.fault is Fault.INVALID
            and not (brought(call, fault) or _as_it_came(call, fault))
        ):
            return fault
    return None


def own_faults(call: Call, kind: Fault) -> list[Malformed]:
    """The formats on the call with a fault of this kind that the request did not have in the same format."""
    found: list[Malformed] = []
    for format_ in Format:
        sent, carried = malformed(call.sent, format_), malformed(call.carried, format_)
        if sent is None or sent.fault is not kind or (carried is not None and carried.fault is kind):
            continue
        if not _as_it_came(call, sent):
            found.append(sent)
    return found


def _as_it_came(call: Call, fault: Malformed) -> bool:
    """Whether the header was copied from a request whose format was malformed, too.

    Of several faults of a format one is named, and what the call names need not be what the request names.
    """
    if malformed(call.carried, fault.format) is None:
        return False
    came = [value.strip(" \t") for value in lines(call.inbound, fault.header)]
    return bool(came) and came == [value.strip(" \t") for value in lines(call.outbound, fault.header)]


def malformation(call: Call, fault: Malformed) -> Violation:
    """The violation that a malformed header is. One without a value is missing where others of its set are there."""
    clause = fault.clause.rstrip(".")
    if fault.value:
        message = f"the call carries an invalid {fault.header}: {clip(fault.value)} ({clause})"
        observed = f"{fault.header} {clip(fault.value)}"
    else:
        message, observed = f"the call carries an incomplete context: {clause}", f"no {fault.header}"
    return Violation(fault.header, message, expected=_sound(call, fault), observed=observed)


def _sound(call: Call, fault: Malformed) -> str:
    if fault.format in call.carried and malformed(call.carried, fault.format) is None:
        return expected(call, fault.format)
    return f"a valid {fault.header}, or none"


def decided_elsewhere(_: Call) -> None:
    """The check of a rule that one call alone cannot break; the audit decides it."""
