"""Says which header fields a sidecar adds to a request, so that every wanted format is there and names one trace.

What is there is never changed and never sent twice, and a format whose headers are malformed is left alone: the service
is to see what came in. A missing format is derived from a valid one; where there is none, a new trace begins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence

from traceaudit.formats import FORMAT_OF_HEADER, b3, b3multi, read, request_id, traceparent
from traceaudit.formats.context import Context, Format, Malformed

ORIGINS = (
    Format.TRACEPARENT,
    Format.B3,
    Format.B3MULTI,
    Format.UBER,
    Format.DATADOG,
    Format.CLOUD_TRACE,
    Format.GRPC_TRACE,
)
"""The formats another can be derived from, the preferred first.

Of B3, "The single-header variant takes precedence over the multiple header one when extracting fields."
https://github.com/openzipkin/b3-propagation#http-encodings
"""

_MINT: Mapping[Format, Callable[[Context], list[tuple[str, str]]]] = {
    Format.TRACEPARENT: traceparent.mint,
    Format.B3: b3.mint,
    Format.B3MULTI: b3multi.mint,
}

_TRACE_ID = re.compile(r"[0-9a-f]{16}(?:[0-9a-f]{16})?").fullmatch


def missing(
    headers: Sequence[tuple[str, str]], wanted: Collection[Format], random_bytes: Callable[[int], bytes]
) -> list[tuple[str, str]]:
    """The header fields, names in lower case, that a sidecar adds to a request's.

    A sidecar makes `traceparent`, `b3`, `x-b3-*` and `x-request-id`; what else is wanted is not minted.
    ``random_bytes`` gives so many random bytes (`os.urandom` does).
    """
    present = {format_ for name, _ in headers if (format_ := FORMAT_OF_HEADER.get(name.lower()))}
    found = read(headers)
    if Format.TRACEPARENT not in found:
        # A tracestate alone does not make the format present.
        present.discard(Format.TRACEPARENT)
    absent = [format_ for format_ in (*_MINT, Format.REQUEST_ID) if format_ in wanted and format_ not in present]
    minted: list[tuple[str, str]] = []
    if any(format_ in _MINT for format_ in absent):
        origin = _origin(found, random_bytes)
        for format_ in absent:
            if format_ in _MINT:
                minted += _MINT[format_](origin)
    if Format.REQUEST_ID in absent:
        minted += request_id.mint(random_bytes)
    return minted


def _origin(found: Mapping[Format, Context | Malformed], random_bytes: Callable[[int], bytes]) -> Context:
    """The trace that the minted headers name: the one the request carries, or a new one."""
    valid = [context for format_ in ORIGINS if isinstance(context := found.get(format_), Context)]
    for context in valid:
        if context.trace_id is not None and _TRACE_ID(context.trace_id) and context.trace_id.strip("0"):
            return Context(
                Format.B3,
                context.trace_id,
                context.span_id or _new_id(8, random_bytes),
                context.parent_span_id,
                context.sampled,
                context.debug,
            )
    # A decision that came without ids ("b3: 0") holds for the trace that begins here.
    decided = next((context for context in valid if context.sampled is not None), None)
    return Context(
        Format.B3,
        _new_id(16, random_bytes),
        _new_id(8, random_bytes),
        _new_id(8, random_bytes),
        True if decided is None else decided.sampled,
        decided is not None and decided.debug,
    )


def _new_id(octets: int, random_bytes: Callable[[int], bytes]) -> str:
    """A random id in lower-case hex, never all zeros, which every format forbids."""
    return (int.from_bytes(random_bytes(octets)) or 1).to_bytes(octets).hex()
