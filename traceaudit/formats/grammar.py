"""Finds the first wrong character of a value: the slow, careful path behind every format's fast one.

A format recognises its valid values with one regular expression; only when that fails does it come here, to say where
and why. Positions are indices in the value as it was sent, outer whitespace included.
"""

from __future__ import annotations

from collections.abc import Sequence

from traceaudit.formats.context import Fault, Format, Malformed

OWS = " \t"
"""Optional whitespace, which is no part of a field's value: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.3"""

LOWER_HEX = frozenset("0123456789abcdef")
HEX = LOWER_HEX | frozenset("ABCDEF")
DIGITS = frozenset("0123456789")

MAX_UINT64 = 2**64 - 1

SINGLE_LINE = "https://www.rfc-editor.org/rfc/rfc9110#section-5.3"
FIELD_VALUE = "https://www.rfc-editor.org/rfc/rfc9110#section-5.5"

type Flaw = tuple[int, str, str]
"""Where a value is wrong: position, clause, reference."""


def bounds(value: str) -> tuple[int, int]:
    """Start and end of a field's value without its outer whitespace.

    "A field value does not include leading or trailing whitespace."
    https://www.rfc-editor.org/rfc/rfc9110#section-5.5
    """
    end = len(value.rstrip(OWS))
    return len(value[:end]) - len(value[:end].lstrip(OWS)), end


def malformed(format_: Format, header: str, value: str, flaw: Flaw) -> Malformed:
    """The malformation that a flaw in a header's value makes."""
    position, clause, reference = flaw
    return Malformed(format_, header, value, position, clause, reference)


def line_fault(format_: Format, header: str, values: Sequence[str], reference: str) -> Malformed | None:
    """The fault of a header that may be there once and not be empty; ``None`` when it has exactly one value.

    Several lines are judged by their number alone, equal ones too; ``value`` then holds them joined by commas, as an
    intermediary would fold them, and ``position`` is where the second begins.
    """
    if len(values) > 1:
        # "a sender MUST NOT generate multiple field lines with the same name in a message [...] unless that field's
        # definition allows multiple field line values to be recombined as a comma-separated list"
        # https://www.rfc-editor.org/rfc/rfc9110#section-5.3
        clause = f"{header} may be sent once, and it was sent {len(values)} times."
        return Malformed(
            format_, header, ",".join(values), len(values[0]) + 1, clause, SINGLE_LINE, fault=Fault.DUPLICATED
        )
    value = values[0] if values else ""
    if not value.strip(OWS):
        return Malformed(format_, header, value, 0, f"{header} has no value.", reference, fault=Fault.EMPTY)
    return None


def field_end(value: str, start: int, end: int, delimiter: str = "-") -> int:
    """Where the field that begins at ``start`` ends: at the next delimiter, or at ``end``."""
    found = value.find(delimiter, start, end)
    return end if found < 0 else found


def hex_flaw(
    value: str, start: int, end: int, widths: tuple[int, ...], name: str, *, any_case: bool = False, zero: bool = False
) -> tuple[int, str] | None:
    """The first wrong place of a hex field of one of some widths, in ascending order, and why it is wrong.

    ``zero`` says whether nothing but zeros is allowed, ``any_case`` whether upper-case digits are.
    """
    widest = widths[-1]
    allowed = HEX if any_case else LOWER_HEX
    for position in range(start, min(end, start + widest)):
        if value[position] not in allowed:
            case = "" if any_case else "lower-case "
            return position, f"The {name} consists of {case}hex digits, and {value[position]!r} is none."
    length = end - start
    if length not in widths:
        wanted = " or ".join(str(width) for width in widths) if len(widths) < 3 else f"{widths[0]} to {widest}"
        return min(end, start + widest), f"The {name} is {wanted} hex digits long, not {length}."
    if not zero and not value[start:end].strip("0"):
        return start, f"The {name} may not be all zeros."
    return None


def decimal_flaw(value: str, start: int, end: int, name: str) -> tuple[int, str] | None:
    """The first wrong place of an unsigned 64-bit number in decimal digits, and why it is wrong."""
    for position in range(start, end):
        if value[position] not in DIGITS:
            return position, f"The {name} is a decimal number, and {value[position]!r} is no digit."
    if start == end:
        return end, f"The {name} is missing."
    # 20 digits are the longest; the length is looked at first because int() refuses some thousands of digits
    if end - start > 20 or int(value[start:end]) > MAX_UINT64:
        return start, f"The {name} does not fit into 64 bits."
    return None
