"""Google Cloud's `x-cloud-trace-context: TRACE_ID/SPAN_ID;o=OPTIONS`.

https://cloud.google.com/trace/docs/trace-context#legacy-http-header
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from traceaudit.formats.context import Context, Format, Malformed
from traceaudit.formats.grammar import DIGITS, MAX_UINT64, Flaw, bounds, decimal_flaw, hex_flaw, line_fault, malformed

HEADER = "x-cloud-trace-context"

_REFERENCE = "https://cloud.google.com/trace/docs/trace-context#legacy-http-header"

# A trace id of 32 hex digits, a span id that is an unsigned number of 64 bits in decimal, options of 0 or 1.
# https://cloud.google.com/trace/docs/trace-context#legacy-http-header
_VALID = re.compile(r"[ \t]*(?!0{32})([0-9A-Fa-f]{32})(?:/([0-9]{1,20}))?(?:;o=([0-9]{1,3}))?[ \t]*")


def parse(values: Sequence[str]) -> Context | Malformed:
    """The context of the values of `x-cloud-trace-context`; its span id, decimal there, becomes hex, 0 is none.

    ``extra`` holds ``span`` and ``options`` as sent, where they were.
    """
    match = _VALID.fullmatch(values[0]) if len(values) == 1 else None
    if match is None or (match[2] is not None and int(match[2]) > MAX_UINT64):
        fault = line_fault(Format.CLOUD_TRACE, HEADER, values, _REFERENCE)
        return fault or malformed(Format.CLOUD_TRACE, HEADER, values[0], _flaw(values[0]))
    trace_id, span, options = match.groups()
    span_id = f"{int(span):016x}" if span and span.strip("0") else None
    extra = tuple((name, value) for name, value in (("span", span), ("options", options)) if value is not None)
    sampled = None if options is None else bool(int(options) & 1)
    return Context(Format.CLOUD_TRACE, trace_id.lower(), span_id, sampled=sampled, extra=extra)


def render(context: Context) -> list[tuple[str, str]]:
    """The header field of a context."""
    known = dict(context.extra)
    span = known.get("span", None if context.span_id is None else str(int(context.span_id, 16)))
    options = known.get("options", None if context.sampled is None else str(int(context.sampled)))
    value = f"{context.trace_id}{'' if span is None else f'/{span}'}{'' if options is None else f';o={options}'}"
    return [(HEADER, value)]


def _flaw(value: str) -> Flaw:
    start, end = bounds(value)
    at = min((found for mark in "/;" if (found := value.find(mark, start, end)) >= 0), default=end)
    if wrong := hex_flaw(value, start, at, (32,), "trace id", any_case=True):
        return (*wrong, _REFERENCE)
    if value[at : at + 1] == "/":
        begin = at + 1
        at = value.find(";", begin, end)
        at = end if at < 0 else at
        if wrong := decimal_flaw(value, begin, at, "span id"):
            return (*wrong, _REFERENCE)
        if at - begin > 20:
            return begin, "The span id does not fit into 64 bits.", _REFERENCE
    for offset, expected in enumerate(";o="):
        if value[at + offset : min(end, at + offset + 1)] != expected:
            return at + offset, "The options are written ;o=1 or ;o=0.", _REFERENCE
    begin = at + len(";o=")
    digits = next((at for at in range(begin, end) if value[at] not in DIGITS), min(end, begin + 3))
    return digits, "The options are a number.", _REFERENCE
