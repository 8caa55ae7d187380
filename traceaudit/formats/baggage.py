"""W3C Baggage: members of a key, a value and properties, which the application hands from service to service.

https://www.w3.org/TR/baggage/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from traceaudit.formats.context import Context, Fault, Format, Malformed
from traceaudit.formats.grammar import HEX, OWS, Flaw, bounds, malformed

HEADER = "baggage"

_ANCHOR = "https://www.w3.org/TR/baggage/"
_REFERENCE = f"{_ANCHOR}#definition"

# token = 1*tchar, https://www.rfc-editor.org/rfc/rfc7230#section-3.2.6
_TOKEN_CHARACTERS = frozenset("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_KEY = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# baggage-octet = %x21 / %x23-2B / %x2D-3A / %x3C-5B / %x5D-7E, and
# "The percent code point (U+0025) MUST be percent-encoded." https://www.w3.org/TR/baggage/#value
_VALUE = r"(?:[!#$&-+\--:<-\[\]-~]|%[0-9A-Fa-f]{2})*"
_OCTETS = frozenset(chr(code) for code in range(0x21, 0x7F)) - frozenset('",;\\')

# list-member = key OWS "=" OWS value *( OWS ";" OWS property )
# property    = key OWS "=" OWS value / key OWS
_KEY_VALUE = re.compile(rf"[ \t]*({_KEY})[ \t]*=[ \t]*({_VALUE})[ \t]*")
_PROPERTY = re.compile(rf"[ \t]*({_KEY})[ \t]*(?:=[ \t]*({_VALUE})[ \t]*)?")
MOST_MEMBERS = 180
"""https://www.w3.org/TR/baggage/#definition"""


def parse(values: Sequence[str]) -> Context | Malformed:
    """The members of the values of all `baggage` lines, in the order sent; there are no ids.

    ``extra`` holds a pair for each member: the key, and the value still percent-encoded with its properties behind it,
    no whitespace around any of them (``alice;p=1;q``). A key that comes twice is kept twice.
    """
    # "Multiple baggage headers are allowed. Values can be combined in a single header according to RFC 7230."
    # https://www.w3.org/TR/baggage/#baggage-http-header-format
    combined = ",".join(values)
    members: list[tuple[str, str]] = []
    for text in combined.split(","):
        member, *properties = text.split(";")
        pair = _KEY_VALUE.fullmatch(member)
        if pair is None:
            return _fault(combined)
        value = pair[2]
        for property_ in properties:
            match = _PROPERTY.fullmatch(property_)
            if match is None:
                return _fault(combined)
            value += f";{match[1]}" if match[2] is None else f";{match[1]}={match[2]}"
        members.append((pair[1], value))
    if len(members) > MOST_MEMBERS:
        return _fault(combined)
    return Context(Format.BAGGAGE, None, extra=tuple(members))


def render(context: Context) -> list[tuple[str, str]]:
    """The header field of a context's members; none when there are none."""
    return [(HEADER, ",".join(f"{key}={value}" for key, value in context.extra))] if context.extra else []


def _fault(combined: str) -> Malformed:
    if not combined.strip(OWS):
        return Malformed(Format.BAGGAGE, HEADER, combined, 0, f"{HEADER} has no value.", _REFERENCE, fault=Fault.EMPTY)
    return malformed(Format.BAGGAGE, HEADER, combined, next(_flaws(combined)))


def _flaws(combined: str) -> Iterator[Flaw]:
    """What is wrong, from left to right."""
    # "baggage-string = list-member 0*179( OWS "," OWS list-member )" https://www.w3.org/TR/baggage/#definition
    start = 0
    for count, member in enumerate(combined.split(",")):
        if count == MOST_MEMBERS:
            yield start, "A baggage string has at most 180 members.", _REFERENCE
        begin = start
        for index, part in enumerate(member.split(";")):
            before, after = bounds(part)
            yield from _pair_flaws(combined, begin + before, begin + after, "property" if index else "member")
            begin += len(part) + 1
        start += len(member) + 1


def _pair_flaws(combined: str, start: int, end: int, name: str) -> Iterator[Flaw]:
    if start == end:
        yield start, f"An empty {name} is not allowed.", _REFERENCE
    equals = combined.find("=", start, end)
    key_end = len(combined[: end if equals < 0 else equals].rstrip(OWS))
    for position in range(start, key_end):
        if combined[position] not in _TOKEN_CHARACTERS:
            yield position, f"A key is a token, in which {combined[position]!r} is not allowed.", f"{_ANCHOR}#key"
    if key_end <= start:
        yield start, f"The key of a {name} is missing.", f"{_ANCHOR}#key"
    if equals < 0 and name == "member":
        # Only a property may be a key alone.
        yield end, "A member is a key, an equals sign and a value.", _REFERENCE
    begin = end if equals < 0 else equals + 1 + bounds(combined[equals + 1 : end])[0]
    for position in range(begin, end):
        if combined[position] not in _OCTETS:
            # "Any code points outside of the baggage-octet range MUST be percent-encoded."
            # https://www.w3.org/TR/baggage/#value
            clause = f"In a value, {combined[position]!r} must be percent-encoded."
            yield position, clause, f"{_ANCHOR}#value"
        digits = combined[position + 1 : min(end, position + 3)]
        if combined[position] == "%" and not (len(digits) == 2 and HEX.issuperset(digits)):
            yield position, "A percent sign that begins no %XX must itself be percent-encoded.", f"{_ANCHOR}#value"
