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
# "Trace-id: field id 0, 16 bytes; Span-id: field id 1, 8 bytes; Trace-options: field id 2, 1 byte", in this order.
# https://github.com/census-instrumentation/opencensus-specs/blob/master/encodings/BinaryEncoding.md
_FIELDS = (("trace id", 0, 16), ("span id", 1, 8), ("options", 2, 1))


def parse(values: Sequence[str]) -> Context | Malformed:
    """The context of the values of `grpc-trace-bin`; ``sampled`` is ``None`` when there are no options.

    ``extra`` holds ``options`` in hex, when there are some, and ``rest`` in hex, fields of later versions, likewise.
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
        options, rest = read["options"], read["rest"]
        sampled = bool(options[0] & 1) if options else None
        extra = tuple((name, part.hex()) for name, part in (("options", options), ("rest", rest)) if part)
        return Context(
            Format.GRPC_TRACE, read["trace id"].hex(), read["span id"].hex(), None, sampled, False, None, extra
        )
    at, clause = read
    # the character that holds the octet's first bit
    flaw: Flaw = (start + min(end - start, at * 8 // 6), clause, _REFERENCE)
    return malformed(Format.GRPC_TRACE, HEADER, value, flaw)


def render(context: Context) -> list[tuple[str, str]]:
    """The header field of a context, base64 without padding ("SHOULD emit un-padded values")."""
    known = dict(context.extra)
    options = known.get("options", "" if context.sampled is None else f"{int(context.sampled):02x}")
    octets = bytes.fromhex(
        f"0000{context.trace_id}01{context.span_id}{f'02{options}' if options else ''}{known.get('rest', '')}"
    )
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
    found = {"options": b"", "rest": b""}
    at = 1
    for name, number, length in _FIELDS:
        if at >= len(octets) or octets[at] != number:
            # "If a field id is unknown, the rest of the value is ignored"; the ids are required to join a trace.
            if name != "options":
                return at, f"The {name} (field {number}) is missing."
            break
        part = octets[at + 1 : at + 1 + length]
        if len(part) < length:
            return len(octets), f"The {name} is {length} octets long, not {len(part)}."
        if name != "options" and not any(part):
            return at + 1, f"The {name} may not be all zeros."
        found[name] = part
        at += 1 + length
    found["rest"] = octets[at:]
    return found
