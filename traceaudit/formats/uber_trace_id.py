"""Jaeger's `uber-trace-id: {trace-id}:{span-id}:{parent-span-id}:{flags}`.

https://www.jaegertracing.io/docs/1.22/client-libraries/#tracespan-identity
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from traceaudit.formats.context import Context, Format, Malformed
from traceaudit.formats.grammar import Flaw, bounds, field_end, hex_flaw, line_fault, malformed

HEADER = "uber-trace-id"

_REFERENCE = "https://www.jaegertracing.io/docs/1.22/client-libraries/#tracespan-identity"

# Some clients percent-encode the colons, as they do the values of baggage.
# https://github.com/jaegertracing/jaeger-client-go/blob/master/propagation.go (NewHTTPHeaderPropagator)
_VALID = re.compile(
    r"[ \t]*(?!0+(?::|%3[Aa]))([0-9A-Fa-f]{1,32})(:|%3[Aa])"
    r"(?!0+(?::|%3[Aa]))([0-9A-Fa-f]{1,16})(?::|%3[Aa])([0-9A-Fa-f]{1,16})(?::|%3[Aa])([0-9A-Fa-f]{1,2})[ \t]*"
)
_FIELDS = (("trace id", 32), ("span id", 16), ("parent span id", 16), ("flags field", 2))
_SAMPLED = 1
_DEBUG = 2


def parse(values: Sequence[str]) -> Context | Malformed:
    """The context of the values of `uber-trace-id`; ids are padded to 16 or 32 digits, a parent of 0 is no parent.

    ``extra`` holds ``flags`` as sent.
    """
    match = _VALID.fullmatch(values[0]) if len(values) == 1 else None
    if match is None:
        fault = line_fault(Format.UBER, HEADER, values, _REFERENCE)
        return fault or malformed(Format.UBER, HEADER, values[0], _flaw(values[0]))
    trace_id, _, span_id, parent, flags = match.groups()
    # "Receivers MUST accept hex-strings shorter than 32 characters and 0-pad them on the left"
    # https://www.jaegertracing.io/docs/1.22/client-libraries/#value
    width = 16 if len(trace_id) <= 16 else 32
    # "0 value is valid and means “root span” (when not ignored)"
    # https://www.jaegertracing.io/docs/1.22/client-libraries/#value
    root = not parent.strip("0")
    bits = int(flags, 16)
    # "Debug flag should only be set when the sampled flag is set"
    # https://www.jaegertracing.io/docs/1.22/client-libraries/#value
    sampled = bool(bits & _SAMPLED)
    return Context(
        Format.UBER,
        trace_id.lower().rjust(width, "0"),
        span_id.lower().rjust(16, "0"),
        None if root else parent.lower().rjust(16, "0"),
        sampled,
        sampled and bool(bits & _DEBUG),
        None,
        (("flags", flags),),
    )


def render(context: Context) -> list[tuple[str, str]]:
    """The header field of a context, its ids padded."""
    flags = dict(context.extra).get("flags") or str((_SAMPLED if context.sampled else 0) | (context.debug and _DEBUG))
    return [(HEADER, f"{context.trace_id}:{context.span_id}:{context.parent_span_id or '0'}:{flags}")]


def _flaw(value: str) -> Flaw:
    start, end = bounds(value)
    delimiter = ":"
    if ":" not in value and "%3a" in value.lower():
        delimiter = "%3A" if "%3A" in value else "%3a"
    at = start
    for index, (name, widest) in enumerate(_FIELDS):
        if index:
            if at == end:
                return end, f"The {name} is missing.", _REFERENCE
            at += len(delimiter)
        begin, at = at, field_end(value, at, end, delimiter)
        widths = tuple(range(1, widest + 1))
        # "Value of 0 is not valid", but for the parent span id and the flags.
        # https://www.jaegertracing.io/docs/1.22/client-libraries/#value
        if wrong := hex_flaw(value, begin, at, widths, name, any_case=True, zero=index > 1):
            return (*wrong, _REFERENCE)
    return at, "Nothing may follow the flags.", _REFERENCE
