"""OpenCensus' `grpc-trace-bin`: a trace id, a span id and options in a binary layout, base64 on the wire.

https://github.com/census-instrumentation/opencensus-specs/blob/master/encodings/BinaryEncoding.md
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence

from traceaudit.formats.context import Context, Format, Malformed
from traceaudit.formats.grammar import Flaw, bounds, line_fault, malformed

HEADER = "grpc-trace-bin"

_REFERENCE = "https://github.com/census-instrumentation/opencensus-specs/blob/master/encodings/BinaryEncoding.md"
_BASE64 = "https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests"

_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_VALID_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}").fullmatch

_VERSION = 0
# "Trace-id: optional, field_id = 0, len = 16", "Span-id: optional, field_id = 1, len = 8", "Trace-options: optional,
# field_id = 2, len = 1"; "Fields within a data type version can be serialized in any order".
# https://github.com/census-instrumentation/opencensus-specs/blob/master/encodings/BinaryEncoding.md#trace-context
_FIELDS = {0: ("trace id", 16), 1: ("span id", 8), 2: ("options", 1)}


def parse(values: Sequence[str]) -> Context | Malformed:
    """The context of the values of `grpc-trace-bin`; every field may be missing.

    ``sampled`` is true or left to the receiver, it is never false. ``extra`` holds ``options`` in hex, when there are
    some, and ``rest`` in hex, fields that are not known, likewise.
    """
    if fault := line_fault(Format.GRPC_TRACE, HEADER, values, _BASE64):
        return fault
    value = values[0]
    start, end = bounds(value)
    octets = decode(value[start:end])
    if octets is None:
        return malformed(Format.GRPC_TRACE, HEADER, value, (*base64_flaw(value, start, end), _BASE64))
    read = _read(octets)
    if isinstance(read, dict):
        # "1 recommends the request should be traced, 0 means the caller does not make a decision to trace and the
        # decision might be deferred"
        # https://github.com/census-instrumentation/opencensus-specs/blob/master/encodings/BinaryEncoding.md#trace-options
        sampled = True if read.get("options", b"\0")[0] & 1 else None
        trace_id, span_id = (read[name].hex() if name in read else None for name in ("trace id", "span id"))
        extra = tuple((name, part.hex()) for name in ("options", "rest") if (part := read.get(name)))
        return Context(Format.GRPC_TRACE, trace_id, span_id, sampled=sampled, extra=extra)
    at, clause = read
    # the character that holds the octet's first bit
    flaw: Flaw = (start + min(end - start, at * 8 // 6), clause, _REFERENCE)
    return malformed(Format.GRPC_TRACE, HEADER, value, flaw)


def render(context: Context) -> list[tuple[str, str]]:
    """The header field of a context, base64 without padding ("should emit un-padded values")."""
    known = dict(context.extra)
    options = known.get("options", None if context.sampled is None else f"{int(context.sampled):02x}")
    fields = (("00", context.trace_id), ("01", context.span_id), ("02", options))
    sent = "".join(f"{number}{value}" for number, value in fields if value is not None)
    octets = bytes.fromhex(f"00{sent}{known.get('rest', '')}")
    return [(HEADER, base64.b64encode(octets).decode("ascii").rstrip("="))]


def decode(text: str) -> bytes | None:
    """The octets of base64 with or without padding; ``None`` when it is none.

    "Implementations MUST accept padded and un-padded values and should emit un-padded values."
    https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
    """
    if _VALID_BASE64(text) is None:
        return None
    bare = text.rstrip("=")
    if len(bare) % 4 == 1 or (bare != text and len(text) % 4):
        return None
    return base64.b64decode(bare + "=" * (-len(bare) % 4))


def base64_flaw(value: str, start: int, end: int) -> tuple[int, str]:
    """The first wrong place of base64 between two positions, and why it is wrong."""
    bare = start + len(value[start:end].rstrip("="))
    for position in range(start, bare):
        if value[position] not in _ALPHABET:
            return position, f"Base64 consists of A-Z, a-z, 0-9, + and /; {value[position]!r} is none."
    if (bare - start) % 4 == 1:
        return bare, "Base64 of this length holds no whole octets: a character is missing or too many."
    return bare, "Base64 is padded to a multiple of four characters, or not at all."


def _read(octets: bytes) -> dict[str, bytes] | tuple[int, str]:
    """The fields by name, and the ``rest``; or the index of the first wrong octet, and why it is wrong."""
    if not octets or octets[0] != _VERSION:
        return 0, "The layout's version is 0."
    found: dict[str, bytes] = {}
    at = 1
    # "the deserialization will simply read the encoded input until the end of the input or until the first unknown
    # field_id. An unknown field id should not be considered a parse error."
    # https://github.com/census-instrumentation/opencensus-specs/blob/master/encodings/BinaryEncoding.md#deserialization-rules
    while at < len(octets) and octets[at] in _FIELDS:
        name, length = _FIELDS[octets[at]]
        part = octets[at + 1 : at + 1 + length]
        if len(part) < length:
            return len(octets), f"The field {name!r} is {length} octets long, not {len(part)}."
        if name != "options" and not any(part):
            # "All bytes 0 is considered invalid."
            # https://github.com/census-instrumentation/opencensus-specs/blob/master/encodings/BinaryEncoding.md#trace-id
            return at + 1, f"The {name} may not be all zeros."
        found[name] = part
        at += 1 + length
    return {**found, "rest": octets[at:]}
