"""The lists of exchanges: everything, requests only, and the calls that nothing caused."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.widget import Widget

from traceaudit.exchange import Confidence, Direction
from traceaudit_tui.queries import Audit
from traceaudit_tui.rows import Exchange
from traceaudit_tui.screens.base import AuditScreen
from traceaudit_tui.screens.call import CallScreen
from traceaudit_tui.screens.opening_findings import first_finding, open_finding
from traceaudit_tui.screens.waterfall import WaterfallScreen
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
from traceaudit_tui.widgets.row_list import Cell, Column, RowList

TIME, REQUEST, STATUS, TOOK, FINDINGS = (
    Column("time", 12),
    Column("request", 20, flex=True),
    Column("status", 6, right=True),
    Column("took", 8, right=True),
    Column("findings", 14, from_width=90),
)

CODES = 2  # shown of an exchange's findings; of the others their number


class ExchangeList(AuditScreen):
    """A list over the exchanges of the run, of any length; what is new is added at the end."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "step(1)", "Next finding", id="finding.next"),
        Binding("E", "step(-1)", "Previous finding", id="finding.previous", show=False),
        Binding("f", "finding", "Finding", id="call.finding"),
    ]
    DIRECTION: ClassVar[str | None] = None
    """Which exchanges; None: both directions."""
    COLUMNS: ClassVar[list[Column]]
    EMPTY: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self._run_id: int | None = None
        self._last = 0
        self._faulty: frozenset[int] = frozenset()
        self._faulty_at = -1

    def body(self) -> Iterable[Widget]:
        """The list."""
        yield RowList(self.COLUMNS, self._rows, id=self.MODE)

    def update_view(self) -> None:
        """Adds what is new; what is in view is read again, for links and ends come later than starts."""
        self._read()

    def keys(self, audit: Audit, run_id: int) -> array[int]:
        """All of the list; asked by a thread."""
        return audit.exchange_keys(run_id, self.DIRECTION)

    def keys_after(self, audit: Audit, run_id: int, last: int) -> array[int] | None:
        """What came after a key; None: the list has to be read as a whole."""
        return audit.exchange_keys_after(run_id, last, self.DIRECTION)

    def cells(self, exchange: Exchange) -> Sequence[Cell]:
        """One row."""
        raise NotImplementedError

    @work(group="keys")
    async def _read(self) -> None:
        run = self.inspector.summary.run
        if run is None:
            self.query_one(RowList).empty = self.EMPTY
            self.query_one(RowList).refresh()
            return
        known = self._last if run.id == self._run_id else 0

        def read() -> tuple[array[int] | None, array[int]]:
            with self.inspector.audit.apart() as audit:
                new = self.keys_after(audit, run.id, known) if known else None
                return (None, self.keys(audit, run.id)) if new is None else (new, array("q"))

        new, everything = await asyncio.to_thread(read)
        rows = self.query_one(RowList)
        rows.empty = self.EMPTY
        if new is None:
            rows.show(everything)
        else:
            # Two readings may overlap: what the other has added is not added again.
            rows.extend(array("q", (key for key in new if key > self._last)))
            rows.forget()
        self._run_id = run.id
        self._last = max(rows.keys if new is None else new, default=self._last)

    def _rows(self, keys: Sequence[int]) -> Mapping[int, Sequence[Cell]]:
        return {key: self.cells(each) for key, each in self.inspector.audit.exchanges(keys).items()}

    def _here(self) -> Exchange | None:
        key = self.query_one(RowList).key
        return None if key is None else self.inspector.audit.exchanges([key]).get(key)

    def on_row_list_opened(self) -> None:
        """A request's waterfall, a call's headers."""
        exchange = self._here()
        if exchange is not None:
            self.app.push_screen(CallScreen(exchange.id) if exchange.outbound else WaterfallScreen(exchange.id))

    def action_finding(self) -> None:
        """The finding about the exchange under the cursor."""
        exchange = self._here()
        if exchange is None:
            return
        if exchange.outbound:
            open_finding(self, first_finding(self.inspector, exchange.id))
            return
        bars, _ = self.inspector.audit.waterfall(exchange.id)
        call = next((bar.call for bar in bars if bar.codes), None)
        open_finding(self, first_finding(self.inspector, call.id) if call else None)

    @work(exclusive=True, group="step")
    async def action_step(self, by: int) -> None:
        """To the next or previous exchange that a finding is about."""
        run, rows = self.inspector.summary.run, self.query_one(RowList)
        if run is None:
            return

        stamp = self.inspector.stamp

        def find() -> int | None:
            if self._faulty_at != stamp:
                with self.inspector.audit.apart() as audit:
                    self._faulty, self._faulty_at = frozenset(audit.faulty_keys(run.id)), stamp
            # By position in the list, which follows the time of the start and not the key.
            places = range(rows.cursor + 1, len(rows.keys)) if by > 0 else range(rows.cursor - 1, -1, -1)
            return next((place for place in places if rows.keys[place] in self._faulty), None)

        place = await asyncio.to_thread(find)
        if place is None:
            self.notify("No further finding in this list.", markup=False)
        else:
            rows.cursor = place


def _findings(exchange: Exchange) -> Cell:
    codes = exchange.faults.split()
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

    def keys(self, audit: Audit, run_id: int) -> array[int]:
        """The uncaused ones."""
        return audit.uncaused_keys(run_id)

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
