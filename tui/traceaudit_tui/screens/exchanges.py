"""The lists of exchanges: everything, requests only, and the calls that nothing caused."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import ClassVar

from traceaudit.exchange import Confidence, Direction
from traceaudit.filters import Where, parse
from traceaudit_tui.lists import EVERYTHING
from traceaudit_tui.queries import Audit
from traceaudit_tui.rows import Exchange
from traceaudit_tui.screens.exchange_list import ExchangeList
from traceaudit_tui.signs import (
    ACCENT,
    ERROR,
    MUTED,
    Part,
    clock,
    confidence_sign,
    duration,
    name,
    probability_text,
    request_text,
    short_count,
    status_part,
)
from traceaudit_tui.widgets.row_list import Cell, Column

TIME, REQUEST, STATUS, TOOK, FINDINGS = (
    Column("time", 12),
    Column("request", 20, flex=True),
    Column("status", 6, right=True),
    Column("took", 8, right=True),
    Column("findings", 14, from_width=90),
)

CODES = 2  # shown of an exchange's findings; of the others their number


def _findings(exchange: Exchange) -> Cell:
    return codes_cell(exchange.faults.split())


def codes_cell(codes: Sequence[str]) -> Cell:
    """The first findings by their codes, and how many more there are."""
    more = f" +{len(codes) - CODES}" if len(codes) > CODES else ""
    return [(name(" ".join(codes[:CODES])), f"bold {ERROR}"), (more, ERROR)]


def _time(exchange: Exchange) -> Cell:
    return [(clock(exchange.started_ns), MUTED)]


class RequestsScreen(ExchangeList):
    """What came in."""

    MODE = "requests"
    ABOUT = (
        "Every request that came into the service, in the order of its start. Enter shows it with the calls it caused."
    )
    DIRECTION = Direction.INBOUND.value
    COLUMNS: ClassVar[list[Column]] = [TIME, REQUEST, STATUS, TOOK, Column("calls", 5, right=True), FINDINGS]
    EMPTY = "No request has come in yet."
    WITHIN = "direction:inbound"

    def cells(self, exchange: Exchange) -> Sequence[Cell]:
        """One request."""
        return [
            _time(exchange),
            [(request_text(exchange), "")],
            [status_part(exchange)],
            [(duration(exchange.duration_ns), "")],
            [(short_count(exchange.calls), "bold" if exchange.calls else MUTED)],
            _findings(exchange),
        ]


class ExchangesScreen(ExchangeList):
    """Everything."""

    MODE = "exchanges"
    ABOUT = (
        "Every exchange, in and out of the service, in the order of its start. Enter shows a request with its calls, "
        "or a call beside the request that caused it."
    )
    COLUMNS: ClassVar[list[Column]] = [
        TIME,
        Column("", 3),
        REQUEST,
        STATUS,
        TOOK,
        Column("cause", 14, from_width=110),
        FINDINGS,
    ]
    EMPTY = "Nothing has come through the proxy yet."

    def __init__(self, filter_text: str = "") -> None:
        """``filter_text``: a filter to begin with."""
        super().__init__()
        if filter_text:
            self.filter = self.given = parse(filter_text)

    def cells(self, exchange: Exchange) -> Sequence[Cell]:
        """One exchange."""
        way: Part = ("out", ACCENT) if exchange.outbound else ("in", "$text-primary")
        return [
            _time(exchange),
            [way],
            [(request_text(exchange), "")],
            [status_part(exchange)],
            [(duration(exchange.duration_ns), "")],
            _cause(exchange),
            _findings(exchange),
        ]


class UncausedScreen(ExchangeList):
    """Calls that no request caused."""

    MODE = "uncaused"
    ABOUT = (
        "Calls that no request caused: pollers, tickers, start-up work. If one of these belongs to a request, the "
        "audit could not see it; enter shows the candidates."
    )
    COLUMNS: ClassVar[list[Column]] = [
        TIME,
        Column("call", 20, flex=True),
        STATUS,
        TOOK,
        Column("sure", 8, right=True),
    ]
    EMPTY = "No call without a cause has been seen."
    IN_STRETCHES = False
    WITHIN = "is:uncaused"

    def keys(
        self,
        audit: Audit,
        run_id: int,
        where: Where = EVERYTHING,
        between: tuple[int, int] | None = None,  # noqa: ARG002 -- as its base
    ) -> array[int]:
        """The uncaused ones."""
        return audit.uncaused_keys(run_id, where)

    def keys_after(self, audit: Audit, run_id: int, last: int) -> array[int] | None:  # noqa: ARG002 -- as its base
        """A link is decided after its call was recorded: the whole list is read again."""
        return None

    def cells(self, exchange: Exchange) -> Sequence[Cell]:
        """One call."""
        probability = exchange.confidence or 0.0
        sign = confidence_sign(Confidence.of(probability))
        return [
            _time(exchange),
            [(request_text(exchange), "")],
            [status_part(exchange)],
            [(duration(exchange.duration_ns), "")],
            [(f"{sign.sign} {probability_text(probability)}", sign.style)],
        ]


def _cause(exchange: Exchange) -> Cell:
    if not exchange.outbound:
        return [("", "")]
    if exchange.confidence is None:
        return [("undecided", MUTED)]
    if exchange.caused_by is None:
        return [("uncaused", MUTED)]
    sign = confidence_sign(Confidence.of(exchange.confidence))
    return [(f"{sign.sign} ", sign.style), (name(exchange.caused_by), "")]
