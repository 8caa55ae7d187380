"""Envoy's `x-request-id`: one id for a request through all services, with the sampling reason packed into a UUID.

https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-request-id
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from traceaudit.formats.context import Context, Format, Malformed
from traceaudit.formats.grammar import OWS, line_fault

HEADER = "x-request-id"

_REFERENCE = "https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-request-id"

_UUID = re.compile(r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}").fullmatch

# The character at index 14, where a UUID v4 has its version: NO_TRACE '4', TRACE_SAMPLED '9', TRACE_FORCED 'a',
# TRACE_CLIENT 'b', looked at only when the id is 36 characters long.
# https://github.com/envoyproxy/envoy/blob/main/source/extensions/request_id/uuid/config.cc
_REASON_AT = 14
_LENGTH = 36
_REASONS = {"4": "none", "9": "sampled", "a": "service forced", "b": "client forced"}

_NO_UUID: tuple[tuple[str, str], ...] = (("uuid", "no"),)
_EXTRA = {
    (uuid, digit): (("uuid", "yes" if uuid else "no"), ("sampling", reason))
    for uuid in (True, False)
    for digit, reason in _REASONS.items()
}


def parse(values: Sequence[str]) -> Context | Malformed:
    """The context of the values of `x-request-id`: any one value that is not empty, as sent.

    ``extra`` holds ``uuid`` (``yes`` or ``no``: whether it has a UUID's shape, of any version) and ``sampling``,
    Envoy's reason, when it is 36 characters long and the character at index 14 names one: ``none``, ``sampled``,
    ``service forced`` or ``client forced``.
    """
    value = values[0].strip(OWS) if len(values) == 1 else ""
    if not value and (fault := line_fault(Format.REQUEST_ID, HEADER, values, _REFERENCE)):
        return fault
    extra = _NO_UUID
    if len(value) == _LENGTH:
        uuid = _UUID(value) is not None
        extra = _EXTRA.get((uuid, value[_REASON_AT])) or (("uuid", "yes" if uuid else "no"),)
    return Context(Format.REQUEST_ID, value, extra=extra)


def render(context: Context) -> list[tuple[str, str]]:
    """The header field of a context."""
    return [] if context.trace_id is None else [(HEADER, context.trace_id)]


def mint(random_bytes: Callable[[int], bytes]) -> list[tuple[str, str]]:
    """A new id, UUID v4, as a sidecar gives it to a request that has none.

    "version: 4 [...] variant: 10" https://www.rfc-editor.org/rfc/rfc9562#section-5.4
    """
    octets = bytearray(random_bytes(16))
    octets[6] = octets[6] & 0x0F | 0x40
    octets[8] = octets[8] & 0x3F | 0x80
    digits = octets.hex()
    return [(HEADER, "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])))]
