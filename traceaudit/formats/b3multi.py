"""B3 in several headers: `x-b3-traceid`, `x-b3-spanid`, `x-b3-parentspanid`, `x-b3-sampled` and `x-b3-flags`.

https://github.com/openzipkin/b3-propagation#multiple-headers
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from traceaudit.formats.context import Context, Fault, Format, Malformed
from traceaudit.formats.grammar import OWS, bounds, hex_flaw, line_fault, malformed

TRACE_ID = "x-b3-traceid"
SPAN_ID = "x-b3-spanid"
PARENT_SPAN_ID = "x-b3-parentspanid"
SAMPLED = "x-b3-sampled"
FLAGS = "x-b3-flags"
HEADERS = (TRACE_ID, SPAN_ID, PARENT_SPAN_ID, SAMPLED, FLAGS)

_REFERENCE = "https://github.com/openzipkin/b3-propagation#multiple-headers"

_VALID_TRACE_ID = re.compile(r"[ \t]*(?!0+[ \t]*$)([0-9a-f]{32}|[0-9a-f]{16})[ \t]*").fullmatch
_VALID_ID = re.compile(r"[ \t]*([0-9a-f]{16})[ \t]*").fullmatch
_ZERO = "0" * 16

_USUAL_TRACE_ID = re.compile(r"(?!0+$)(?:[0-9a-f]{32}|[0-9a-f]{16})").fullmatch
_USUAL_ID = re.compile(r"(?!0{16})[0-9a-f]{16}").fullmatch
_USUAL_DECISIONS = {None: None, "1": True, "0": False}
_ABSENT = (None,)

# "some tracers propagated X-B3-Sampled as true or false as opposed to 1 or 0. While you shouldn't encode X-B3-Sampled
# as true or false, a lenient implementation may accept them."
# https://github.com/openzipkin/b3-propagation#sampling-state-1
_DECISIONS = {"1": True, "0": False, "true": True, "false": False}


def parse(lines: Mapping[str, Sequence[str]]) -> Context | Malformed:
    """The context of the values of the `x-b3-*` headers by their lower-case names, each in the order sent.

    Other names are passed over. A sampling decision or a debug flag alone has no ids; an all-zero parent is no parent.
    ``extra`` holds ``flags`` when they were sent and are not the debug flag, and ``sampled`` when that was not sent as
    ``1`` or ``0``, or was sent beside the debug flag.
    """
    if (usual := _usual(lines)) is not None:
        return usual
    for values in map(lines.get, HEADERS):
        if values is not None and len(values) != 1:
            return _fault(lines)
    decision, ids = _decision(lines), _ids(lines)
    if decision is None or ids is None:
        return _fault(lines)
    sampled, debug, extra = decision
    trace_id, span_id, parent_span_id = ids
    return Context(Format.B3MULTI, trace_id, span_id, parent_span_id, sampled, debug, None, extra)


def _usual(lines: Mapping[str, Sequence[str]]) -> Context | None:
    """The context of a set of headers as tracers send it, without debug flag and whitespace; ``None`` of any other."""
    try:
        [trace_id], [span_id] = lines[TRACE_ID], lines[SPAN_ID]
        [parent], [sampled] = lines.get(PARENT_SPAN_ID, _ABSENT), lines.get(SAMPLED, _ABSENT)
    except (KeyError, ValueError):
        return None
    if (
        FLAGS not in lines
        and sampled in _USUAL_DECISIONS
        and _USUAL_TRACE_ID(trace_id)
        and _USUAL_ID(span_id)
        and (parent is None or _USUAL_ID(parent))
    ):
        return Context(Format.B3MULTI, trace_id, span_id, parent, _USUAL_DECISIONS[sampled])
    return None


def _decision(lines: Mapping[str, Sequence[str]]) -> tuple[bool | None, bool, tuple[tuple[str, str], ...]] | None:
    """The decision, whether it is debug, and what is to be kept as sent; ``None`` when it is malformed."""
    flags = sampled = None
    if FLAGS in lines:
        flags = lines[FLAGS][0].strip(OWS)
        if not flags:
            return None
    if SAMPLED in lines:
        sampled = lines[SAMPLED][0].strip(OWS)
        if sampled not in _DECISIONS:
            return None
    # "Debug is encoded as X-B3-Flags: 1. Absent or any other value can be ignored. Debug implies an accept decision"
    # https://github.com/openzipkin/b3-propagation#debug-flag
    if flags == "1":
        return True, True, () if sampled is None else (("sampled", sampled),)
    extra = () if flags is None else (("flags", flags),)
    if sampled is None:
        return None, False, extra
    return _DECISIONS[sampled], False, extra if len(sampled) == 1 else (*extra, ("sampled", sampled))


def _ids(lines: Mapping[str, Sequence[str]]) -> tuple[str | None, str | None, str | None] | None:
    """Trace id, span id and parent span id; ``None`` when one of them is malformed, or missing beside the others."""
    if TRACE_ID not in lines:
        # "It is also valid to send sampling state independently, such as a deny decision X-B3-Sampled: 0."
        # https://github.com/openzipkin/b3-propagation#multiple-headers
        return None if SPAN_ID in lines or PARENT_SPAN_ID in lines else (None, None, None)
    # "The X-B3-TraceId header is encoded as 32 or 16 lower-hex characters."
    # https://github.com/openzipkin/b3-propagation#traceid-1
    trace_id = _VALID_TRACE_ID(lines[TRACE_ID][0])
    # "Unless propagating only the Sampling State, the X-B3-SpanId header is required."
    # https://github.com/openzipkin/b3-propagation#spanid-1
    span_id = _VALID_ID(lines[SPAN_ID][0]) if SPAN_ID in lines else None
    if trace_id is None or span_id is None or span_id[1] == _ZERO:
        return None
    if PARENT_SPAN_ID not in lines:
        return trace_id[1], span_id[1], None
    parent = _VALID_ID(lines[PARENT_SPAN_ID][0])
    if parent is None:
        return None
    return trace_id[1], span_id[1], None if parent[1] == _ZERO else parent[1]


def render(context: Context) -> list[tuple[str, str]]:
    """The header fields of a context, in the order of `HEADERS`."""
    known = dict(context.extra)
    sampled = None if context.sampled is None or context.debug else "1" if context.sampled else "0"
    values = (
        context.trace_id,
        context.span_id,
        context.parent_span_id,
        known.get("sampled", sampled),
        "1" if context.debug else known.get("flags"),
    )
    return [(name, value) for name, value in zip(HEADERS, values, strict=True) if value is not None]


def mint(origin: Context) -> list[tuple[str, str]]:
    """The `x-b3-*` headers that apply, as a sidecar adds them for a trace that is known in another format, or new.

    "Debug implies an accept decision, so don't also send the X-B3-Sampled header."
    https://github.com/openzipkin/b3-propagation#debug-flag
    """
    return render(origin)


def _fault(lines: Mapping[str, Sequence[str]]) -> Malformed:
    """The first fault: of the lines' number, of empty ones, of their values in `HEADERS`' order, of missing ones."""
    present = [name for name in HEADERS if name in lines]
    # "An empty header (ex. X-B3-Sampled: ) or an arbitrary nonsense value (ex X-B3-ParentSpanId: -) are examples of
    # malformed data." https://github.com/openzipkin/b3-propagation#multiple-headers
    faults = [fault for name in present if (fault := line_fault(Format.B3MULTI, name, lines[name], _REFERENCE))]
    if faults:
        return max(faults, key=lambda fault: fault.fault is Fault.DUPLICATED)
    for name in present:
        value = lines[name][0]
        if flaw := _flaw(name, value):
            return malformed(Format.B3MULTI, name, value, (*flaw, _REFERENCE))
    missing = TRACE_ID if TRACE_ID not in lines else SPAN_ID
    clause = f"{missing} is missing, and {present[0]} is there: ids are sent together or not at all."
    return malformed(Format.B3MULTI, missing, "", (0, clause, _REFERENCE))


def _flaw(name: str, value: str) -> tuple[int, str] | None:
    start, end = bounds(value)
    if name == FLAGS:
        return None
    if name == SAMPLED:
        return None if value[start:end] in _DECISIONS else (start, "x-b3-sampled is 1 or 0.")
    widths = (16, 32) if name == TRACE_ID else (16,)
    return hex_flaw(value, start, end, widths, name, zero=name == PARENT_SPAN_ID)
