"""W3C Trace Context: `tracestate`, vendors' members in an ordered list; it belongs to a `traceparent`.

https://w3c.github.io/trace-context/#tracestate-header (level 2 with the key grammar of 2026)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from traceaudit.formats.context import Format, Malformed, TraceState
from traceaudit.formats.grammar import OWS, Flaw, bounds, malformed

HEADER = "tracestate"

_SPECIFICATION = "https://w3c.github.io/trace-context/"

# key   = ( lcalpha / DIGIT ) 0*255 ( lcalpha / DIGIT / "_" / "-"/ "*" / "/" / "@" )
# value = 0*255(chr) nblk-chr, chr = %x20 / nblk-chr, nblk-chr = %x21-2B / %x2D-3C / %x3E-7E
# https://w3c.github.io/trace-context/#list-members
_MEMBER = re.compile(
    r"[ \t]*([a-z0-9][a-z0-9_\-*/@]{0,255})="
    r"([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])[ \t]*"
)
_KEY_START = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_KEY = _KEY_START | frozenset("_-*/@")
MOST_MEMBERS = 32
"""https://w3c.github.io/trace-context/#list"""
_LONGEST = 256


def parse(values: Sequence[str]) -> TraceState | Malformed:
    """The members of the values of all `tracestate` lines, in the order sent.

    No length is too long: 512 characters are what "Vendors SHOULD propagate at least". A key that comes twice is kept
    twice, since only adding it again is forbidden.
    """
    # "When receiving multiple tracestate header fields, they MUST be combined into a single header according to
    # RFC9110." https://w3c.github.io/trace-context/#tracestate-header-field-values
    combined = values[0] if len(values) == 1 else ",".join(values)
    members: list[tuple[str, str]] = []
    for text in combined.split(","):
        match = _MEMBER.fullmatch(text)
        if match is not None:
            members.append((match[1], match[2]))
        # "Empty and whitespace-only list members are allowed. Vendors MUST accept empty tracestate headers"
        # https://w3c.github.io/trace-context/#tracestate-header-field-values
        elif text.strip(OWS):
            return malformed(Format.TRACEPARENT, HEADER, combined, next(_flaws(combined)))
    if len(members) > MOST_MEMBERS:
        return malformed(Format.TRACEPARENT, HEADER, combined, next(_flaws(combined)))
    return TraceState(tuple(members))


def render(state: TraceState) -> list[tuple[str, str]]:
    """The header field of a list of members; none for an empty list ("SHOULD avoid sending them")."""
    if not state.members:
        return []
    return [(HEADER, ",".join(f"{key}={value}" for key, value in state.members))]


def _flaws(combined: str) -> Iterator[Flaw]:
    """What is wrong, from left to right."""
    start, members = 0, 0
    for text in combined.split(","):
        before, after = bounds(text)
        if before < after:
            members += 1
            if members > MOST_MEMBERS:
                # "There can be a maximum of 32 list-members in a list." Empty ones are not counted here: an empty
                # header line beside a full one must be accepted, too.
                # https://w3c.github.io/trace-context/#tracestate-header-field-values
                yield start + before, "A tracestate has at most 32 members.", f"{_SPECIFICATION}#list"
            yield from _member_flaws(combined, start + before, start + after)
        start += len(text) + 1


def _member_flaws(combined: str, start: int, end: int) -> Iterator[Flaw]:
    equals = combined.find("=", start, end)
    # "A key MUST begin with a lowercase letter or a digit and contain up to 256 characters including lowercase letters
    # (a-z), digits (0-9), underscores (_), dashes (-), asterisks (*), forward slashes (/), and at signs (@)."
    # https://w3c.github.io/trace-context/#key
    reference = f"{_SPECIFICATION}#key"
    key_end = end if equals < 0 else equals
    if key_end == start:
        yield start, "A member's key is missing.", reference
    if combined[start] not in _KEY_START:
        yield start, "A key begins with a lower-case letter or a digit.", reference
    for position in range(start, min(key_end, start + _LONGEST)):
        if combined[position] not in _KEY:
            yield position, f"A key consists of a-z, 0-9, _, -, *, / and @; {combined[position]!r} is none.", reference
    if key_end - start > _LONGEST:
        yield start + _LONGEST, "A key is at most 256 characters long.", reference
    if equals < 0:
        yield end, "A member is a key, an equals sign and a value.", f"{_SPECIFICATION}#list-members"
    # "The value is an opaque string containing up to 256 printable ASCII characters (i.e., the range 0x20 to 0x7E)
    # except comma (,) and (=). The string must end with a character which is not a space (0x20)."
    # https://w3c.github.io/trace-context/#value
    reference, begin = f"{_SPECIFICATION}#value", equals + 1
    if begin == end or not combined[begin:end].strip(OWS):
        yield begin, "A member's value may not be empty.", reference
    for position in range(begin, min(end, begin + _LONGEST)):
        if not " " <= combined[position] <= "~" or combined[position] == "=":
            clause = (
                f"A value consists of printable ASCII without comma and equals sign; {combined[position]!r} is none."
            )
            yield position, clause, reference
    if end - begin > _LONGEST:
        yield begin + _LONGEST, "A value is at most 256 characters long.", reference
