"""A list over a run's exchanges, of any length, live, with a filter that shows what it finds while it looks on."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.widget import Widget

from traceaudit.filters import Where
from traceaudit_tui import columns
from traceaudit_tui.lists import EVERYTHING, STRETCHES
from traceaudit_tui.queries import Audit
from traceaudit_tui.rows import Exchange
from traceaudit_tui.screens.base import Subject
from traceaudit_tui.screens.call import CallScreen
from traceaudit_tui.screens.filtering import FilteredScreen
from traceaudit_tui.screens.opening_findings import first_finding, open_finding
from traceaudit_tui.screens.waterfall import WaterfallScreen
from traceaudit_tui.widgets.filter_line import FilterLine
from traceaudit_tui.widgets.note import Note
from traceaudit_tui.widgets.row_list import Cell, RowList

NEAR = 500  # rows up and down: what can be asked for within a key press
LONG = 50_000  # exchanges of a run: what takes longer to read than a key may take
QUICK_S = 0.25  # a stretch that took less is followed by one twice as long


class ExchangeList(FilteredScreen):
    """The list; what is new is added at its end. Subclasses say which exchanges, and the columns."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "step(1)", "Next finding", id="finding.next"),
        Binding("E", "step(-1)", "Previous finding", id="finding.previous", show=False),
        Binding("f", "finding", "Finding", id="call.finding"),
    ]
    DIRECTION: ClassVar[str | None] = None
    """Which exchanges; None: both directions."""
    COLUMNS: ClassVar[tuple[str, ...]]
    """What a row shows, by the names of ``columns.CHOICES``."""
    EMPTY: ClassVar[str]
    IN_STRETCHES: ClassVar[bool] = True
    """Whether a slow filter is asked for one stretch of time after another."""
    WITHIN: ClassVar[str] = ""
    """The filter that means what the list shows without one."""

    def __init__(self) -> None:
        super().__init__()
        self.chosen = self.COLUMNS
        self._run_id: int | None = None
        self._last = 0
        self._loading: int | None = None
        """The run whose list is being read as a whole; None: none is."""
        self._found: array[int] = array("q")
        self._faulty: frozenset[int] = frozenset()
        self._faulty_at = -1

    def body(self) -> Iterable[Widget]:
        """The filter and the list."""
        yield FilterLine()
        yield RowList(columns.columns(self.chosen), self._rows, id=self.MODE)
        yield Note()

    def on_mount(self) -> None:
        """It may begin with a filter."""
        self.query_one(FilterLine).show(self.filter, "…")

    def update_view(self) -> None:
        """Adds what is new; what is in view is read again, for links and ends come later than starts."""
        if self.filter is None:
            self._read()
        else:
            self._look(afresh=self._run_id is None)

    def filter_changed(self) -> None:
        """Looks through the whole run; without a filter, reads the whole list."""
        self._last = 0
        self.query_one(RowList).matches = ()
        if self.filter is None:
            self.workers.cancel_group(self, "look")
            self._found = array("q")
            self._read()
        else:
            self._look(afresh=True)

    def keys(
        self, audit: Audit, run_id: int, where: Where = EVERYTHING, between: tuple[int, int] | None = None
    ) -> array[int]:
        """The list, or as much of it as a filter means; asked by a thread."""
        return audit.exchange_keys(run_id, self.DIRECTION, where, between)

    def keys_after(self, audit: Audit, run_id: int, last: int) -> array[int] | None:
        """What came after a key; None: the list has to be read as a whole."""
        return audit.exchange_keys_after(run_id, last, self.DIRECTION)

    def lay_out(self, chosen: tuple[str, ...]) -> None:
        """Shows other columns."""
        self.chosen = chosen
        for rows in self.query(RowList):
            rows.lay_out(columns.columns(chosen))

    # --- reading -----------------------------------------------------------------------------------------------------

    @work(group="keys")
    async def _read(self) -> None:
        run = self.inspector.summary.run
        rows = self.query_one(RowList)
        rows.empty = self.EMPTY
        if run is None:
            rows.refresh()
            return
        if self._loading == run.id:
            return  # which asks for what is new when it has ended
        if self._last == 0 or run.id != self._run_id:
            await self._load(run.id)
            return
        known = self._last

        def read() -> array[int] | None:
            with self.inspector.audit.apart() as audit:
                return self.keys_after(audit, run.id, known)

        new = await asyncio.to_thread(read)
        if self.filter is not None:
            return  # which was set in the meantime
        if new is None:
            await self._load(run.id)
            return
        # Two readings may overlap: what the other has added is not added again.
        rows.extend(array("q", (key for key in new if key > self._last)))
        rows.forget()
        self._last = max(new, default=self._last)

    @property
    def _long(self) -> bool:
        counts = self.inspector.summary.counts
        return counts.inbound + counts.outbound > LONG

    async def _load(self, run_id: int) -> None:
        """Reads the whole list: at once, or where it is long one stretch of time after another.

        What is recorded in the meantime is added when that has ended.
        """
        rows, stamp = self.query_one(RowList), self.inspector.stamp
        long = self.IN_STRETCHES and self._long
        self._loading = run_id
        try:
            last = self.inspector.audit.last_key()
            if long:
                rows.show(array("q"))
            for between, _ in self._stretches(run_id) if long else [(None, 1.0)]:

                def read(between: tuple[int, int] | None = between, last: int = last) -> array[int]:
                    with self.inspector.audit.apart() as audit:
                        found = self.keys(audit, run_id, EVERYTHING, between)
                    if long and max(found, default=0) > last:
                        return array("q", (key for key in found if key <= last))
                    return found

                began = time.monotonic()
                keys = await asyncio.to_thread(read)
                self._took = time.monotonic() - began
                if self.filter is not None:
                    return  # as above
                if long:
                    rows.extend(keys)
                else:
                    rows.show(keys)
                    last = max(keys, default=0)
            self._run_id, self._last = run_id, last
        finally:
            self._loading = None
        if stamp != self.inspector.stamp:
            self._read()

    @work(exclusive=True, group="look")
    async def _look(self, *, afresh: bool) -> None:
        """Finds what the filter means. ``afresh`` shows what is found at once; else what was found before stays until
        all is known."""
        run, filter_ = self.inspector.summary.run, self.filter
        if run is None or filter_ is None:
            return
        rows, line = self.query_one(RowList), self.query_one(FilterLine)
        rows.empty, wanted = "Looking…", rows.key
        if afresh and not self.showing_all:
            rows.show(array("q"))
            self._found = rows.keys
        found: array[int] = self._found if afresh and not self.showing_all else array("q")
        where = filter_.exchanges(self.inspector.audit.latest_ns(run.id))
        self._run_id = run.id
        in_stretches = self.IN_STRETCHES and (filter_.slow or self._long)
        for between, share in self._stretches(run.id) if in_stretches else [(None, 1.0)]:

            def read(between: tuple[int, int] | None = between) -> array[int]:
                with self.inspector.audit.apart() as audit:
                    return self.keys(audit, run.id, where, between)

            began = time.monotonic()
            more = await asyncio.to_thread(read)
            self._took = time.monotonic() - began
            if found is rows.keys:
                rows.extend(more)
            else:
                found.extend(more)
            line.show(filter_, f"{len(found):,} so far, {share:.0%} looked through" if share < 1 else "")
        await self._show_found(found, wanted)

    def _stretches(self, run_id: int) -> Iterator[tuple[tuple[int, int], float]]:
        """Times from and to, the first ones short, and the share of the run up to there."""
        first, last = self.inspector.audit.span(run_id) or (0, 0)
        width = (last - first) // STRETCHES + 1
        start = first
        while start <= last:
            end = min(start + width, last + 1)
            yield (start, end), (end - first) / (last + 1 - first)
            start = end
            if self._took < QUICK_S:
                width *= 2

    _took = 0.0
    """Seconds that the last stretch took."""

    async def _show_found(self, found: array[int], wanted: int | None) -> None:
        rows, line, run_id = self.query_one(RowList), self.query_one(FilterLine), self._run_id
        rows.empty = "Nothing matches the filter."
        self._found = found

        def read() -> array[int]:
            with self.inspector.audit.apart() as audit:
                return self.keys(audit, run_id or 0)

        if self.showing_all:
            everything = await asyncio.to_thread(read)
            rows.matches = frozenset(found)
            rows.show(everything)
        elif found is not rows.keys:
            rows.show(found)
        elif rows.cursor == 0 and wanted is not None:
            rows.go_to(wanted)  # unless somebody has moved the cursor in the meantime
        rows.refresh()
        shown = ", all shown" if self.showing_all else ""
        line.show(self.filter, f"{len(found):,} found{shown}")

    def _rows(self, keys: Sequence[int]) -> Mapping[int, Sequence[Cell]]:
        audit = self.inspector.audit
        named = columns.headers_in(self.chosen)
        headers = audit.header_values(keys, named) if named else {}
        return {
            key: columns.cells(each, self.chosen, headers.get(key, {})) for key, each in audit.exchanges(keys).items()
        }

    # --- what keys do ------------------------------------------------------------------------------------------------

    def subject(self) -> Subject:
        """The exchange under the cursor."""
        key = self.query_one(RowList).key
        return None if key is None else self.inspector.audit.exchanges([key]).get(key)

    def marks_changed(self) -> None:
        """Shows the marks."""
        rows = self.query_one(RowList)
        rows.marked = self.inspector.marks.exchanges
        rows.refresh()
        self.on_row_list_moved()

    def listed_exchanges(self) -> array[int]:
        """What is listed, to be saved."""
        return self.query_one(RowList).keys[:]

    def command_words(self) -> list[str]:
        """The exchanges as an exchange log."""
        asked = self.filter.text if self.filter else ""
        within = f"{self.WITHIN} ({asked})" if self.WITHIN and " or " in asked.lower() else f"{self.WITHIN} {asked}"
        return ["export", "--where", within.strip()] if within.strip() else ["export"]

    def action_match(self, by: int) -> None:
        """The next or previous match."""
        rows = self.query_one(RowList)
        if self.filter is None:
            self.notify("There is no filter: press / for one.", markup=False)
        elif not self.showing_all:
            rows.action_move(by)
        else:
            self._to_next(frozenset(self._found), by, "No further match in this list.")

    def on_row_list_moved(self) -> None:
        """Shows the note on what is under the cursor."""
        self.query_one(Note).show(self.inspector.marks.exchanges.get(self.query_one(RowList).key or 0, ""))

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        """A request's waterfall, a call's headers."""
        exchange = self.inspector.audit.exchanges([event.key]).get(event.key)
        if exchange is not None:
            self.app.push_screen(CallScreen(exchange.id) if exchange.outbound else WaterfallScreen(exchange.id))

    def action_finding(self) -> None:
        """The finding about the exchange under the cursor."""
        exchange = self.subject()
        if not isinstance(exchange, Exchange):
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
        run, stamp, rows = self.inspector.summary.run, self.inspector.stamp, self.query_one(RowList)
        if run is None:
            return
        # What is near is found before all is known.
        here = rows.cursor
        near = rows.keys[here + 1 : here + 1 + NEAR] if by > 0 else rows.keys[max(0, here - NEAR) : here]
        if self._faulty_at != stamp and (faulty := self.inspector.audit.faulty_among(near)):
            self._to_next(faulty, by, "")
            return

        def read() -> frozenset[int]:
            with self.inspector.audit.apart() as audit:
                return frozenset(audit.faulty_keys(run.id))

        if self._faulty_at != stamp:
            self._faulty, self._faulty_at = await asyncio.to_thread(read), stamp
        self._to_next(self._faulty, by, "No further finding in this list.")

    def _to_next(self, wanted: frozenset[int], by: int, otherwise: str) -> None:
        rows = self.query_one(RowList)
        # By position in the list, which follows the time of the start and not the key.
        places = range(rows.cursor + 1, len(rows.keys)) if by > 0 else range(rows.cursor - 1, -1, -1)
        place = next((place for place in places if rows.keys[place] in wanted), None)
        if place is None:
            self.notify(otherwise, markup=False)
        else:
            rows.cursor = place
