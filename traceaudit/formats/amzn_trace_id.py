"""AWS X-Ray's `x-amzn-trace-id: Root=1-…;Parent=…;Sampled=…`.

https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from traceaudit.formats.context import Context, Format, Malformed
from traceaudit.formats.grammar import Flaw, bounds, field_end, hex_flaw, line_fault, malformed

HEADER = "x-amzn-trace-id"

_REFERENCE = "https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader"
_TRACE_ID = "https://docs.aws.amazon.com/xray/latest/devguide/xray-services-elb.html"

# "The version number, which is 1.", "The time of the original request in Unix epoch time using 8 hexadecimal digits.",
# "A globally unique 96-bit identifier for the trace in 24 hexadecimal digits."
# https://docs.aws.amazon.com/xray/latest/devguide/xray-services-elb.html
_ROOT = re.compile(r"1-([0-9A-Fa-f]{8})-([0-9A-Fa-f]{24})").fullmatch
_PARENT = re.compile(r"[0-9A-Fa-f]{16}").fullmatch
# With a question mark the decision is left to the receiver, and asked back in the response.
_DECISIONS = {"1": True, "0": False, "?": None}


def parse(values: Sequence[str]) -> Context | Malformed:
    """The context of the values of `x-amzn-trace-id`; the trace id is the root's time and its identifier, 32 digits.

    ``sampled`` is ``None`` without a decision, or when it is asked for (``Sampled=?``). ``extra`` holds all pairs as
    sent, in their order, the load balancer's ``Self`` and ``Lineage`` among them.
    """
    if fault := line_fault(Format.AMZN, HEADER, values, _REFERENCE):
        return fault
    value = values[0]
    start, end = bounds(value)
    pairs = _pairs(value, start, end)
    first = {key: text for key, text, _ in reversed(pairs)}
    root = _ROOT(first.get("Root", ""))
    parent = first.get("Parent")
    if root is None or (parent is not None and not _PARENT(parent)) or first.get("Sampled", "?") not in _DECISIONS:
        return malformed(Format.AMZN, HEADER, value, next(_flaws(value, pairs, end)))
    keys = [key for key, _, _ in pairs]
    if not root[2].strip("0") or not all(keys) or (parent is not None and not parent.strip("0")):
        return malformed(Format.AMZN, HEADER, value, next(_flaws(value, pairs, end)))
    return Context(
        Format.AMZN,
        (root[1] + root[2]).lower(),
        parent.lower() if parent else None,
        sampled=_DECISIONS[first.get("Sampled", "?")],
        extra=tuple((key, text) for key, text, _ in pairs),
    )


def render(context: Context) -> list[tuple[str, str]]:
    """The header field of a context: its pairs as sent, or root, parent and decision of one that was not."""
    pairs = context.extra
    if not pairs:
        trace_id = context.trace_id or ""
        sampled = None if context.sampled is None else str(int(context.sampled))
        parts = (("Root", f"1-{trace_id[:8]}-{trace_id[8:]}"), ("Parent", context.span_id), ("Sampled", sampled))
        pairs = tuple((key, text) for key, text in parts if text is not None)
    return [(HEADER, ";".join(f"{key}={text}" for key, text in pairs))]


def _pairs(value: str, start: int, end: int) -> list[tuple[str, str, int]]:
    """The pairs of a value: key, text and the text's position; an empty key for what is no pair."""
    found: list[tuple[str, str, int]] = []
    while start <= end:
        at = field_end(value, start, end, ";")
        before, after = bounds(value[start:at])
        if before < after:
            key, equals, text = value[start + before : start + after].partition("=")
            position = start + before + len(key) + 1 if equals else start + after
            found.append((key if equals else "", text, position))
        start = at + 1
    return found


def _flaws(value: str, pairs: list[tuple[str, str, int]], end: int) -> Iterator[Flaw]:
    seen: set[str] = set()
    for key, text, at in pairs:
        if key not in seen:
            yield from _pair_flaws(value, key, text, at)
        seen.add(key)
    yield end, "Root is missing: nothing names the trace.", _REFERENCE


def _pair_flaws(value: str, key: str, text: str, at: int) -> Iterator[Flaw]:
    stop = at + len(text)
    if not key:
        yield at, "Each part is a key, an equals sign and a value.", _REFERENCE
    if key == "Root":
        for offset, expected in enumerate("1-"):
            if text[offset : offset + 1] != expected:
                yield min(at + offset, stop), "A root begins with its version, 1, and a dash.", _TRACE_ID
        dash = field_end(value, at + 2, stop)
        if wrong := hex_flaw(value, at + 2, dash, (8,), "root's time", any_case=True, zero=True):
            yield (*wrong, _TRACE_ID)
        if dash == stop:
            yield stop, "The root's identifier is missing.", _TRACE_ID
        if wrong := hex_flaw(value, dash + 1, stop, (24,), "root's identifier", any_case=True):
            yield (*wrong, _TRACE_ID)
    if key == "Parent" and (wrong := hex_flaw(value, at, stop, (16,), "parent", any_case=True)):
        yield (*wrong, _REFERENCE)
    if key == "Sampled" and text not in _DECISIONS:
        yield at, "Sampled is 1, 0 or ?.", _REFERENCE
