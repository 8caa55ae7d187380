"""W3C Trace Context: `traceparent`, with the `tracestate` that accompanies it.

https://www.w3.org/TR/trace-context-2/ (level 2)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from traceaudit.formats import tracestate as tracestates
from traceaudit.formats.context import Context, Format, Malformed, TraceState
from traceaudit.formats.grammar import OWS, Flaw, bounds, field_end, hex_flaw, line_fault, malformed

HEADER = "traceparent"

_SPECIFICATION = "https://www.w3.org/TR/trace-context-2/"
_VALUE = f"{_SPECIFICATION}#traceparent-header-field-values"
_VERSIONING = f"{_SPECIFICATION}#versioning-of-traceparent"

_VALID = re.compile(
    r"[ \t]*(?!ff)([0-9a-f]{2})"  # "Version ff is forbidden"
    r"-(?!0{32})([0-9a-f]{32})"  # "All zeroes forbidden"
    r"-(?!0{16})([0-9a-f]{16})"  # "All zeroes forbidden"
    r"-([0-9a-f]{2})"
    # The rest, for higher versions only: "the 2 characters are either at the end of the string or followed by a dash"
    r"(?:(-.*)|[ \t]*)",
    re.DOTALL,
)


def _described(flags: int) -> tuple[bool, tuple[tuple[str, str], ...]]:
    # "For example, both 01 and 03 represent that the trace has been sampled because the sampled flag is set"
    # https://www.w3.org/TR/trace-context-2/#trace-flags
    random = "yes" if flags & 2 else "no"
    return bool(flags & 1), (("version", "00"), ("flags", f"{flags:02x}"), ("random", random))


_FLAGS = {f"{flags:02x}": _described(flags) for flags in range(256)}


def parse(values: Sequence[str], tracestate: Sequence[str] = ()) -> Context | Malformed:
    """The context of the values of `traceparent` and of `tracestate`, each in the order sent.

    ``extra`` holds ``version``, ``flags``, for version 00 ``random`` (``yes`` or ``no``: the random trace id flag of
    level 2), and for higher versions ``rest``, what follows the flags, when something does.
    """
    match = _VALID.fullmatch(values[0]) if len(values) == 1 else None
    if match is None:
        return _fault(values)
    version, trace_id, span_id, flags, rest = match.groups()
    sampled, extra = _FLAGS[flags]
    if version != "00":
        # "Parse the sampled bit of flags [...] Vendors MUST NOT parse or assume anything about unknown fields"
        # https://www.w3.org/TR/trace-context-2/#versioning-of-traceparent
        extra = (("version", version), ("flags", flags), *((("rest", rest.rstrip(OWS)),) if rest else ()))
    elif rest is not None:
        return _fault(values)
    # "If the vendor failed to parse traceparent, it MUST NOT attempt to parse tracestate. Note that the opposite is not
    # true: failure to parse tracestate MUST NOT affect the parsing of traceparent."
    # https://www.w3.org/TR/trace-context-2/#tracestate-header
    state = tracestates.parse(tracestate) if tracestate else None
    return Context(Format.TRACEPARENT, trace_id, span_id, None, sampled, False, state, extra)


def render(context: Context) -> list[tuple[str, str]]:
    """The header fields of a context: `traceparent`, and `tracestate` when it has a valid one."""
    known = dict(context.extra)
    version = known.get("version", "00")
    flags = known.get("flags", "01" if context.sampled else "00")
    value = f"{version}-{context.trace_id}-{context.span_id}-{flags}{known.get('rest', '')}"
    state = context.tracestate
    return [(HEADER, value), *(tracestates.render(state) if isinstance(state, TraceState) else [])]


def mint(origin: Context) -> list[tuple[str, str]]:
    """The `traceparent` that a sidecar adds for a trace that is known in another format, or new.

    A 64-bit trace id is padded with zeros on the left. Where the origin leaves the sampling decision to its receiver,
    the sidecar is the receiver, and it samples. The random flag stays unset, as in the sidecars' own headers; level 2
    allows that for any trace id.
    """
    trace_id = (origin.trace_id or "").rjust(32, "0")
    return [(HEADER, f"00-{trace_id}-{origin.span_id}-{'00' if origin.sampled is False else '01'}")]


def _fault(values: Sequence[str]) -> Malformed:
    """What is wrong with the values, none of which may be valid on its own."""
    fault = line_fault(Format.TRACEPARENT, HEADER, values, _VALUE)
    return fault or malformed(Format.TRACEPARENT, HEADER, values[0], next(_flaws(values[0])))


def _flaws(value: str) -> Iterator[Flaw]:
    """What is wrong, from left to right."""
    start, end = bounds(value)
    # "When the version prefix cannot be parsed (it's not 2 hex characters followed by a dash (-)), the implementation
    # should restart the trace." https://www.w3.org/TR/trace-context-2/#versioning-of-traceparent
    at = field_end(value, start, end)
    if wrong := hex_flaw(value, start, at, (2,), "version", zero=True):
        yield (*wrong, f"{_SPECIFICATION}#version")
    version = value[start:at]
    if version == "ff":
        # "Version 255 ("ff") is invalid." https://www.w3.org/TR/trace-context-2/#version
        yield start, "Version ff is forbidden.", f"{_SPECIFICATION}#version"
    for name, width, anchor in (("trace-id", 32, "#trace-id"), ("parent-id", 16, "#parent-id")):
        # "If the trace-id value is invalid (for example if it contains non-allowed characters or all zeros), vendors
        # MUST ignore the entire header." https://www.w3.org/TR/trace-context-2/#trace-id
        # "Vendors MUST ignore the traceparent when the parent-id is invalid"
        # https://www.w3.org/TR/trace-context-2/#parent-id
        if at == end:
            yield end, f"The {name} is missing.", _VALUE
        begin, at = at + 1, field_end(value, at + 1, end)
        if wrong := hex_flaw(value, begin, at, (width,), name):
            yield (*wrong, _SPECIFICATION + anchor)
    if at == end:
        yield end, "The trace-flags are missing.", f"{_SPECIFICATION}#trace-flags"
    begin, at = at + 1, field_end(value, at + 1, end)
    wrong = hex_flaw(value, begin, at, (2,), "trace-flags field", zero=True)
    if wrong and (wrong[0] < begin + 2 or version == "00"):
        yield (*wrong, f"{_SPECIFICATION}#trace-flags")
    if version == "00":
        # "version-format = trace-id "-" parent-id "-" trace-flags", and nothing after it
        # https://www.w3.org/TR/trace-context-2/#version-format
        yield at, "Nothing may follow the trace-flags in version 00.", f"{_SPECIFICATION}#version-format"
    # "Vendors MUST check that the 2 characters are either at the end of the string or followed by a dash."
    # https://www.w3.org/TR/trace-context-2/#versioning-of-traceparent
    yield begin + 2, "What follows the trace-flags in a higher version begins with a dash.", _VERSIONING
