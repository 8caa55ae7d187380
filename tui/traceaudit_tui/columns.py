"""The columns that the list of exchanges may have: their names, what is in them, and which there are without a choice.

Any header of the request is a column too: ``header:traceparent``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from traceaudit.exchange import Confidence
from traceaudit.safe import safe
from traceaudit_tui.rows import Exchange
from traceaudit_tui.signs import (
    ACCENT,
    ERROR,
    MUTED,
    Part,
    clock,
    confidence_sign,
    day_and_clock,
    duration,
    name,
    probability_text,
    request_text,
    short_authority,
    short_count,
    status_part,
)
from traceaudit_tui.widgets.row_list import Cell, Column

CODES = 2  # shown of an exchange's findings; of the others their number
HEADER = "header:"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
"""A header's name. https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2"""


@dataclass(frozen=True, slots=True)
class Choice:
    """One column: how it is laid out, what is said of it where it is chosen, and its cell for an exchange."""

    column: Column
    about: str
    cell: Callable[[Exchange], Cell]


def _text(text: str, style: str = "") -> Cell:
    return [(name(text), style)]


def _way(exchange: Exchange) -> Cell:
    way: Part = ("out", ACCENT) if exchange.outbound else ("in", "$text-primary")
    return [way]


def _cause(exchange: Exchange) -> Cell:
    if not exchange.outbound:
        return [("", "")]
    if exchange.confidence is None:
        return [("undecided", MUTED)]
    if exchange.caused_by is None:
        return [("uncaused", MUTED)]
    sign = confidence_sign(Confidence.of(exchange.confidence))
    return [(f"{sign.sign} ", sign.style), (name(exchange.caused_by), "")]


def _sure(exchange: Exchange) -> Cell:
    if exchange.confidence is None:
        return [("", "")]
    sign = confidence_sign(Confidence.of(exchange.confidence))
    return [(f"{sign.sign} {probability_text(exchange.confidence)}", sign.style)]


def codes_cell(codes: Sequence[str]) -> Cell:
    """The first findings by their codes, and how many more there are."""
    more = f" +{len(codes) - CODES}" if len(codes) > CODES else ""
    return [(name(" ".join(codes[:CODES])), f"bold {ERROR}"), (more, ERROR)]


def _answered(exchange: Exchange) -> Cell:
    at = exchange.response_started_ns
    return [("" if at is None else duration(at - exchange.started_ns), "")]


def _calls(exchange: Exchange) -> Cell:
    shown = "" if exchange.outbound else short_count(exchange.calls)
    return [(shown, "bold" if exchange.calls else MUTED)]


CHOICES: Mapping[str, Choice] = {
    "time": Choice(Column("time", 12), "when it started, in UTC", lambda each: [(clock(each.started_ns), MUTED)]),
    "date": Choice(Column("date", 23), "the day and the time", lambda each: [(day_and_clock(each.started_ns), MUTED)]),
    "way": Choice(Column("", 3), "in or out of the service", _way),
    "request": Choice(
        Column("request", 20, flex=True), "method, upstream and path", lambda each: [(request_text(each), "")]
    ),
    "method": Choice(Column("method", 7), "GET, POST, …", lambda each: _text(each.method)),
    "host": Choice(Column("host", 16), "whom it was sent to", lambda each: _text(short_authority(each.authority))),
    "path": Choice(Column("path", 16, flex=True), "path and query", lambda each: _text(each.path)),
    "route": Choice(
        Column("route", 20, flex=True), "the path with its variable parts folded", lambda each: _text(each.route)
    ),
    "status": Choice(Column("status", 6, right=True), "the answer's status", lambda each: [status_part(each)]),
    "took": Choice(Column("took", 8, right=True), "until it ended", lambda each: [(duration(each.duration_ns), "")]),
    "answered": Choice(Column("answered", 8, right=True), "until the answer began", _answered),
    "cause": Choice(Column("cause", 14, from_width=110), "the request that caused a call", _cause),
    "sure": Choice(Column("sure", 8, right=True), "how sure that is", _sure),
    "link": Choice(Column("link", 10), "the method that says so", lambda each: _text(each.method_of_link, MUTED)),
    "calls": Choice(Column("calls", 5, right=True), "how many calls a request caused", _calls),
    "findings": Choice(
        Column("findings", 14, from_width=90), "findings about it", lambda each: codes_cell(each.faults.split())
    ),
    "minted": Choice(
        Column("given", 16), "headers that the audit gave it", lambda each: _text(", ".join(each.minted), ACCENT)
    ),
    "error": Choice(Column("error", 16, flex=True), "why there is no answer", lambda each: _text(each.error, ERROR)),
    "version": Choice(Column("version", 8), "of HTTP", lambda each: _text(each.http_version, MUTED)),
    "connection": Choice(Column("connection", 10), "which one it came by", lambda each: _text(each.connection_id)),
    "client": Choice(Column("client", 21), "the address that asked", lambda each: _text(each.client_address)),
    "server": Choice(Column("server", 21), "the address that answered", lambda each: _text(each.server_address)),
    "id": Choice(Column("id", 10), "its id in the database", lambda each: _text(each.id)),
}

USUAL: tuple[str, ...] = ("time", "way", "request", "status", "took", "cause", "findings")
OFFERED = ("traceparent", "tracestate", "b3", "x-b3-traceid", "x-request-id", "baggage", "user-agent")
"""Headers that are offered; others can be written."""


def offered(chosen: Sequence[str]) -> list[str]:
    """Every column by its name: the chosen ones first, in their order."""
    return list(dict.fromkeys([*chosen, *CHOICES, *(HEADER + each for each in OFFERED)]))


def about(column: str) -> str:
    """What is in a column."""
    if column.startswith(HEADER):
        return f"the request's {column.removeprefix(HEADER)}"
    return CHOICES[column].about


def read(names: Sequence[str]) -> tuple[str, ...]:
    """Names of columns, each once. Raises ValueError with what is wrong, for people."""
    wanted: list[str] = []
    for each in names:
        column = each.strip().lower()
        if column.startswith(HEADER):
            if not _TOKEN.fullmatch(column.removeprefix(HEADER)):
                raise ValueError(f"{safe(each, 60)!r} names no header")
        elif column not in CHOICES:
            close = difflib.get_close_matches(column, CHOICES, n=1)
            hint = f": did you mean {close[0]}?" if close else f"; there are {', '.join(CHOICES)} and header:NAME"
            raise ValueError(f"there is no column {safe(each, 60)}{hint}")
        wanted.append(column)
    if not wanted:
        raise ValueError("a list needs a column")
    return tuple(dict.fromkeys(wanted))


def columns(chosen: Sequence[str]) -> list[Column]:
    """How they are laid out. The usual ones leave some out where it is narrow; chosen ones stay while there is room."""
    laid: list[Column] = []
    usual = tuple(chosen) in (USUAL,)
    for each in chosen:
        if each.startswith(HEADER):
            laid.append(Column(safe(each.removeprefix(HEADER), 60), 16, flex=True))
            continue
        column = CHOICES[each].column
        laid.append(column if usual else replace(column, from_width=0))
    return laid


def headers_in(chosen: Sequence[str]) -> list[str]:
    """The headers among the columns, in lower case."""
    return [each.removeprefix(HEADER) for each in chosen if each.startswith(HEADER)]


def cells(exchange: Exchange, chosen: Sequence[str], headers: Mapping[str, str]) -> list[Cell]:
    """One row; ``headers`` are the request's, by their names in lower case."""
    return [
        _text(headers.get(each.removeprefix(HEADER), "")) if each.startswith(HEADER) else CHOICES[each].cell(exchange)
        for each in chosen
    ]
