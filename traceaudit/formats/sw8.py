"""Apache SkyWalking's `sw8`: eight fields joined by dashes, the texts among them in base64.

https://skywalking.apache.org/docs/main/latest/en/api/x-process-propagation-headers-v3/
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from traceaudit.formats.context import Context, Format, Malformed
from traceaudit.formats.grammar import DIGITS, Flaw, bounds, field_end, line_fault, malformed
from traceaudit.formats.grpc_trace import base64_flaw, decode

HEADER = "sw8"

_REFERENCE = "https://skywalking.apache.org/docs/main/latest/en/api/x-process-propagation-headers-v3/"

# "8 fields split by -", "all string type values are in BASE64 encoding". Its limit of two kilobytes is a default, and
# those of the names are for people; neither is judged here.
# https://skywalking.apache.org/docs/main/latest/en/api/x-process-propagation-headers-v3/
_FIELDS = (
    ("sample", False),
    ("trace id", True),
    ("segment", True),
    ("span", False),
    ("service", True),
    ("instance", True),
    ("endpoint", True),
    ("target", True),
)
_LARGEST_SPAN = 2**31 - 1  # "an integer", of 32 bits in the protocol: SegmentReference.parentSpanId


def parse(values: Sequence[str]) -> Context | Malformed:
    """The context of the values of `sw8`.

    SkyWalking's ids are texts, not hex. ``trace_id`` is the decoded trace id, ``span_id`` the parent segment's id and
    the span's number in it, joined by a colon. ``extra`` holds the other fields, decoded: ``service``, ``instance``,
    ``endpoint`` and ``target``.
    """
    if fault := line_fault(Format.SW8, HEADER, values, _REFERENCE):
        return fault
    value = values[0]
    texts: dict[str, str] = {}
    start, end = bounds(value)
    at = start - 1
    for name, encoded in _FIELDS:
        if at == end:
            return malformed(Format.SW8, HEADER, value, (end, f"The field {name!r} is missing.", _REFERENCE))
        begin, at = at + 1, field_end(value, at + 1, end)
        text = _decoded(value[begin:at]) if encoded else value[begin:at]
        if text is None:
            return malformed(Format.SW8, HEADER, value, (*_encoding_flaw(value, begin, at), _REFERENCE))
        if flaw := _flaw(name, text, value, begin, at):
            return malformed(Format.SW8, HEADER, value, flaw)
        texts[name] = text
    if at != end:
        return malformed(Format.SW8, HEADER, value, (at, "Nothing may follow the target address.", _REFERENCE))
    return Context(
        Format.SW8,
        texts["trace id"],
        f"{texts['segment']}:{texts['span']}",
        sampled=texts["sample"] == "1",
        extra=tuple((name, texts[name]) for name in ("service", "instance", "endpoint", "target")),
    )


def render(context: Context) -> list[tuple[str, str]]:
    """The header field of a context, its base64 padded."""
    known = dict(context.extra)
    segment, _, span = (context.span_id or "").rpartition(":")
    texts = (known.get(name, "") for name in ("service", "instance", "endpoint", "target"))
    sample = "1" if context.sampled else "0"
    fields = (sample, _encoded(context.trace_id or ""), _encoded(segment), span, *map(_encoded, texts))
    return [(HEADER, "-".join(fields))]


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


def _decoded(field: str) -> str | None:
    """The text of a field in base64; ``None`` when it is no base64 or no UTF-8."""
    try:
        octets = decode(field)
        return None if octets is None else octets.decode()
    except UnicodeDecodeError:
        return None


def _encoding_flaw(value: str, begin: int, end: int) -> tuple[int, str]:
    if decode(value[begin:end]) is None:
        return base64_flaw(value, begin, end)
    return begin, "The field is not UTF-8 when decoded."


def _flaw(name: str, text: str, value: str, begin: int, end: int) -> Flaw | None:
    """What is wrong with a field's text, decoded where it has to be."""
    if name == "sample" and text not in {"0", "1"}:
        # "0 or 1. 0 means that the context exists, but it could (and most likely will) be ignored. 1 means this trace
        # needs to be sampled and sent to the backend."
        # https://skywalking.apache.org/docs/main/latest/en/api/x-process-propagation-headers-v3/#standard-header-item
        at = begin + 1 if text[:1] in {"0", "1"} and text else begin
        return at, "The sample field is 0 or 1.", _REFERENCE
    if name == "span":
        for position in range(begin, end):
            if value[position] not in DIGITS:
                return position, f"The parent span id is an integer, and {value[position]!r} is no digit.", _REFERENCE
        if begin == end or end - begin > 10 or int(text) > _LARGEST_SPAN:
            return begin, "The parent span id is an integer of 32 bits, beginning with 0.", _REFERENCE
    if name in {"trace id", "segment"} and not text:
        return begin, f"The {name} may not be empty.", _REFERENCE
    return None
