"""Datadog's `x-datadog-*`: decimal ids, a sampling priority, an origin and tags.

https://docs.datadoghq.com/tracing/trace_collection/trace_context_propagation/#datadog-format
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from traceaudit.formats.context import Context, Fault, Format, Malformed
from traceaudit.formats.grammar import OWS, bounds, decimal_flaw, hex_flaw, line_fault, malformed

TRACE_ID = "x-datadog-trace-id"
PARENT_ID = "x-datadog-parent-id"
SAMPLING_PRIORITY = "x-datadog-sampling-priority"
ORIGIN = "x-datadog-origin"
TAGS = "x-datadog-tags"
HEADERS = (TRACE_ID, PARENT_ID, SAMPLING_PRIORITY, ORIGIN, TAGS)

_REFERENCE = "https://docs.datadoghq.com/tracing/trace_collection/trace_context_propagation/#datadog-format"
_WIDE_IDS = "https://docs.datadoghq.com/tracing/guide/span_and_trace_id_format/"
_PRIORITIES = "https://docs.datadoghq.com/tracing/trace_pipeline/ingestion_mechanisms/"

_HIGH_BITS = re.compile(r"(?:^|,)_dd\.p\.tid=([^,]*)")


def parse(lines: Mapping[str, Sequence[str]]) -> Context | Malformed:
    """The context of the values of the `x-datadog-*` headers by their lower-case names, each in the order sent.

    Other names are passed over. Ids become hex: 16 digits, or 32 when `x-datadog-tags` carries the higher half in
    `_dd.p.tid`. Without a trace id and a parent id there are no ids. ``extra`` holds ``priority``, ``origin`` and
    ``tags`` as sent.
    """
    if fault := _fault(lines):
        return fault
    sent = {name: lines[name][0].strip(OWS) for name in HEADERS if name in lines}
    sampled = int(sent[SAMPLING_PRIORITY]) > 0 if SAMPLING_PRIORITY in sent else None
    names = (("priority", SAMPLING_PRIORITY), ("origin", ORIGIN), ("tags", TAGS))
    extra = tuple((short, sent[name]) for short, name in names if name in sent)
    if TRACE_ID not in sent:
        return Context(Format.DATADOG, None, sampled=sampled, extra=extra)
    # The trace id's header carries the lower 64 bits; the higher are in the tag `_dd.p.tid`, in hex.
    # https://docs.datadoghq.com/tracing/guide/span_and_trace_id_format/
    high = _HIGH_BITS.search(sent.get(TAGS, ""))
    trace_id = (high[1] if high else "") + f"{int(sent[TRACE_ID]):016x}"
    parent = int(sent.get(PARENT_ID, "0"))
    return Context(Format.DATADOG, trace_id, f"{parent:016x}" if parent else None, sampled=sampled, extra=extra)


def render(context: Context) -> list[tuple[str, str]]:
    """The header fields of a context, in the order of `HEADERS`; the higher half of a wide id goes into the tags."""
    known = dict(context.extra)
    tags = known.get("tags")
    fields: list[tuple[str, str]] = []
    if context.trace_id is not None:
        fields.append((TRACE_ID, str(int(context.trace_id[-16:], 16))))
        fields.append((PARENT_ID, str(int(context.span_id or "0", 16))))
        high = context.trace_id[:-16]
        if high and (tags is None or not _HIGH_BITS.search(tags)):
            tags = f"_dd.p.tid={high}" if not tags else f"{tags},_dd.p.tid={high}"
    priority = known.get("priority", None if context.sampled is None else "1" if context.sampled else "0")
    fields += [
        (name, value)
        for name, value in ((SAMPLING_PRIORITY, priority), (ORIGIN, known.get("origin")), (TAGS, tags))
        if value is not None
    ]
    return fields


def _fault(lines: Mapping[str, Sequence[str]]) -> Malformed | None:
    """The first fault: of the lines' number, of empty ones, of their values in `HEADERS`' order, of missing ones."""
    present = [name for name in HEADERS if name in lines]
    faults = [fault for name in present if (fault := line_fault(Format.DATADOG, name, lines[name], _REFERENCE))]
    if faults:
        return max(faults, key=lambda fault: fault.fault is Fault.DUPLICATED)
    for name in present:
        value = lines[name][0]
        if flaw := _flaw(name, value):
            return malformed(Format.DATADOG, name, value, flaw)
    # Datadog's libraries join a trace by both ids; only a request from a synthetic test has no parent.
    # https://github.com/DataDog/dd-trace-cpp/blob/main/src/datadog/tracer.cpp (Tracer::extract_span)
    alone = (TRACE_ID in lines) + (PARENT_ID in lines) == 1
    if alone and not (TRACE_ID in lines and ORIGIN in lines):
        there, missing = (TRACE_ID, PARENT_ID) if TRACE_ID in lines else (PARENT_ID, TRACE_ID)
        return malformed(Format.DATADOG, missing, "", (0, f"{missing} is missing, and {there} is there.", _REFERENCE))
    return None


def _flaw(name: str, value: str) -> tuple[int, str, str] | None:
    start, end = bounds(value)
    if name in {TRACE_ID, PARENT_ID}:
        if wrong := decimal_flaw(value, start, end, name):
            return (*wrong, _REFERENCE)
        if name == TRACE_ID and not value[start:end].strip("0"):
            return start, "The trace id may not be zero.", _REFERENCE
    elif name == SAMPLING_PRIORITY:
        # -1 and 0 drop the trace, 1 and 2 keep it.
        # https://docs.datadoghq.com/tracing/trace_pipeline/ingestion_mechanisms/
        digits = start + 1 if value[start] == "-" else start
        if wrong := decimal_flaw(value, digits, end, "sampling priority"):
            return (*wrong, _PRIORITIES)
    elif name == TAGS and (high := _HIGH_BITS.search(value[start:end])):
        begin = start + high.start(1)
        if wrong := hex_flaw(value, begin, start + high.end(1), (16,), "higher half in _dd.p.tid", zero=True):
            return (*wrong, _WIDE_IDS)
    return None
