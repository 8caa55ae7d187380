"""LightStep's and old Envoys' `x-ot-span-context`: opaque, and read where it can be.

LightStep sends base64 of a protocol buffer, old Envoys sent `{trace};{span};{parent};{flags}` for Zipkin. Neither has a
specification, so no value that is there is called malformed.
https://github.com/lightstep/lightstep-tracer-common/blob/master/lightstep.proto (BinaryCarrier)
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from traceaudit.formats.context import Context, Format, Malformed
from traceaudit.formats.grammar import OWS, line_fault
from traceaudit.formats.grpc_trace import decode

HEADER = "x-ot-span-context"

_REFERENCE = "https://github.com/lightstep/lightstep-tracer-common/blob/master/lightstep.proto"

_ENVOY = re.compile(r"(?!0+;)([0-9a-f]{16}|[0-9a-f]{32});(?!0+;)([0-9a-f]{16});([0-9a-f]{16})?(?:;.*)?", re.DOTALL)

_BASIC_CONTEXT = 2  # BinaryCarrier.basic_ctx, a BasicTracerCarrier
_TRACE_ID, _SPAN_ID, _SAMPLED = 1, 2, 3  # fixed64, fixed64, bool
_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5


def parse(values: Sequence[str]) -> Context | Malformed:
    """The context of the values of `x-ot-span-context`: any one value that is not empty; ids where it names some.

    ``extra`` holds ``value``, the value as sent.
    """
    if fault := line_fault(Format.OT_SPAN, HEADER, values, _REFERENCE):
        return fault
    value = values[0].strip(OWS)
    extra = (("value", value),)
    if match := _ENVOY.fullmatch(value):
        parent = match[3] if match[3] and match[3].strip("0") else None
        return Context(Format.OT_SPAN, match[1], match[2], parent, extra=extra)
    carrier = _fields(decode(value) or b"").get(_BASIC_CONTEXT)
    context = _fields(carrier) if isinstance(carrier, bytes) else {}
    trace_id, span_id = context.get(_TRACE_ID), context.get(_SPAN_ID)
    if not (isinstance(trace_id, int) and isinstance(span_id, int) and trace_id and span_id):
        return Context(Format.OT_SPAN, None, extra=extra)
    # proto3 leaves a false field out
    sampled = bool(context.get(_SAMPLED, 0))
    return Context(Format.OT_SPAN, f"{trace_id:016x}", f"{span_id:016x}", sampled=sampled, extra=extra)


def render(context: Context) -> list[tuple[str, str]]:
    """The header field of a context, as it was sent; none when it was not read from one."""
    value = dict(context.extra).get("value")
    return [] if value is None else [(HEADER, value)]


def _fields(message: bytes) -> dict[int, int | bytes]:
    """The fields of a protocol buffer by number; none at all when it is no protocol buffer.

    https://protobuf.dev/programming-guides/encoding/
    """
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            found[number], at = _varint(message, at)
        elif wire_type == _LENGTH_DELIMITED:
            length, at = _varint(message, at)
            found[number] = message[at : at + length]
            at += length
        elif wire_type in {_FIXED64, _FIXED32}:
            width = 8 if wire_type == _FIXED64 else 4
            found[number] = int.from_bytes(message[at : at + width], "little")
            at += width
        else:
            return {}
    return found if at == len(message) else {}


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends: behind the message, when it is cut off."""
    number, shift = 0, 0
    # 64 bits are at most ten octets of seven.
    while shift < 70:
        if at >= len(message):
            return 0, len(message) + 1
        octet = message[at]
        number |= (octet & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if octet < 0x80:
            return number, at
    return 0, len(message) + 1
