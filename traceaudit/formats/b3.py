"""B3 in a single header: `b3: {TraceId}-{SpanId}-{SamplingState}-{ParentSpanId}`, or a sampling state alone.

https://github.com/openzipkin/b3-propagation#single-header
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from traceaudit.formats.context import Context, Format, Malformed
from traceaudit.formats.grammar import OWS, Flaw, bounds, field_end, hex_flaw, line_fault, malformed

HEADER = "b3"

_REFERENCE = "https://github.com/openzipkin/b3-propagation#single-header"

# "{TraceId}-{SpanId}-{SamplingState}-{ParentSpanId}, where the last two fields are optional"; the trace id is "the 32
# or 16 lower-hex character TraceId" https://github.com/openzipkin/b3-propagation#single-header
_VALID = re.compile(
    r"[ \t]*(?!0+-)([0-9a-f]{32}|[0-9a-f]{16})"
    r"-(?!0{16})([0-9a-f]{16})"
    r"(?:-([01d])(?:-([0-9a-f]{16}))?)?[ \t]*"
)
_STATES = {"0": (False, False), "1": (True, False), "d": (True, True), None: (None, False)}
_NO_PARENT = "0" * 16


def parse(values: Sequence[str]) -> Context | Malformed:
    """The context of the values of `b3`. A state alone has no ids; an all-zero parent is no parent."""
    match = _VALID.fullmatch(values[0]) if len(values) == 1 else None
    if match is not None:
        trace_id, span_id, state, parent = match.groups()
        sampled, debug = _STATES[state]
        return Context(Format.B3, trace_id, span_id, None if parent == _NO_PARENT else parent, sampled, debug)
    if fault := line_fault(Format.B3, HEADER, values, _REFERENCE):
        return fault
    value = values[0]
    # "Sampling state can also be sent on its own (with no identifiers)."
    # https://github.com/openzipkin/b3-propagation#sampling-state-2
    alone = value.strip(OWS)
    if alone in _STATES:
        sampled, debug = _STATES[alone]
        return Context(Format.B3, None, sampled=sampled, debug=debug)
    return malformed(Format.B3, HEADER, value, next(_flaws(value)))


def render(context: Context) -> list[tuple[str, str]]:
    """The header field of a context; none when it says nothing at all."""
    state = "d" if context.debug else None if context.sampled is None else "1" if context.sampled else "0"
    if context.trace_id is None or context.span_id is None:
        return [] if state is None else [(HEADER, state)]
    fields = [context.trace_id, context.span_id]
    if state is not None:
        fields.append(state)
        # There is no place for a parent span id behind a deferred decision.
        if context.parent_span_id is not None:
            fields.append(context.parent_span_id)
    return [(HEADER, "-".join(fields))]


def mint(origin: Context) -> list[tuple[str, str]]:
    """The `b3` that a sidecar adds for a trace that is known in another format, or new."""
    return render(origin)


def _flaws(value: str) -> Iterator[Flaw]:
    """What is wrong, from left to right."""
    start, end = bounds(value)
    if end - start == 1:
        yield start, "A sampling state alone is 0, 1 or d.", _REFERENCE
    # "Unless propagating only the Sampling State, the TraceId is required." And so is the span id.
    # https://github.com/openzipkin/b3-propagation#traceid-2
    at = field_end(value, start, end)
    if wrong := hex_flaw(value, start, at, (16, 32), "trace id"):
        yield (*wrong, _REFERENCE)
    if at == end:
        yield end, "The span id is missing.", _REFERENCE
    begin, at = at + 1, field_end(value, at + 1, end)
    if wrong := hex_flaw(value, begin, at, (16,), "span id"):
        yield (*wrong, _REFERENCE)
    # "Sampling State is encoded as a single hex character for all states except Defer."
    # https://github.com/openzipkin/b3-propagation#sampling-state-2
    begin, at = at + 1, field_end(value, at + 1, end)
    if begin >= at or value[begin] not in "01d":
        yield begin, "The sampling state in the third place is 0, 1 or d.", _REFERENCE
    if at > begin + 1:
        yield begin + 1, "The sampling state is one character.", _REFERENCE
    begin, at = at + 1, field_end(value, at + 1, end)
    # "When present, ParentSpanId is the 16 lower-hex characters in the final position of b3."
    # https://github.com/openzipkin/b3-propagation#parentspanid-2
    if wrong := hex_flaw(value, begin, at, (16,), "parent span id", zero=True):
        yield (*wrong, _REFERENCE)
    yield at, "Nothing may follow the parent span id.", _REFERENCE
