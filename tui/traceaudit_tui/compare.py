"""Which findings belong in which cell of the matrix, by the headers that they are about."""

from __future__ import annotations

from traceaudit.formats import HEADER_NAMES
from traceaudit.formats.context import Format
from traceaudit.reports.comparison import format_of


def concerns(headers: str, format_: str) -> bool:
    """Whether a finding about these headers (names of headers or formats, with commas) belongs in a format's cell.

    The two forms of B3 are one family to the rules: a finding about either stands in both cells.
    """
    named = {format_of(each) or each for each in headers.replace(" ", "").split(",")}
    family = {Format.B3.value, Format.B3MULTI.value}
    return format_ in named or (format_ in family and bool(named & family))


def headers_of(format_: str) -> list[str]:
    """The names that findings about a format's cell may have in their headers."""
    family = [Format.B3, Format.B3MULTI] if format_ in (Format.B3, Format.B3MULTI) else [format_]
    names = [name for each in family if each in Format for name in HEADER_NAMES[Format(each)]]
    return list(dict.fromkeys([*(str(each) for each in family), *names]))
