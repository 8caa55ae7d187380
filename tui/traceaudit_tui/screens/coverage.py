"""What has been exercised: the service's routes, the upstreams it called, and what the settings name and nobody saw."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.widget import Widget

from traceaudit.exchange import Direction
from traceaudit.filters import FilterError
from traceaudit.safe import safe
from traceaudit_tui.columns import codes_cell
from traceaudit_tui.copies import quoted
from traceaudit_tui.rows import Place
from traceaudit_tui.screens.exchanges import ExchangesScreen
from traceaudit_tui.screens.finding import FindingScreen
from traceaudit_tui.screens.searching import SearchedScreen
from traceaudit_tui.signs import ERROR, MUTED, NOTE, clock, name, short_authority, short_count
from traceaudit_tui.widgets.row_list import Cell, Column, RowList

LONGEST = 1_000  # characters of a name that are looked for


class CoverageScreen(SearchedScreen):
    """One line a route of the service, then one an upstream; what was never seen comes first."""

    MODE = "coverage"
    ABOUT = (
        "The routes of the service that were requested and the upstreams that it called. What the settings name and "
        "nobody has seen is marked ✘: nothing is known about it. A connection that went round the audit is marked !. "
        "Enter shows the exchanges, or the finding."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "step(1)", "Next gap", id="finding.next"),
        Binding("E", "step(-1)", "Previous gap", id="finding.previous", show=False),
    ]
    COLUMNS: ClassVar[list[Column]] = [
        Column("", 1),
        Column("", 8),
        Column("route or upstream", 24, flex=True),
        Column("seen", 6, right=True),
        Column("failed", 6, right=True),
        Column("calls", 6, right=True, from_width=80),
        Column("findings", 14, from_width=90),
        Column("last seen", 12, right=True, from_width=100),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._places: list[Place] = []

    def body(self) -> Iterable[Widget]:
        """The list."""
        yield RowList(self.COLUMNS, self._rows, empty="Reading…", id="coverage")

    def update_view(self) -> None:
        """Reads it anew; the cursor stays on its line."""
        self._read()

    @work(exclusive=True, group="coverage")
    async def _read(self) -> None:
        run = self.inspector.summary.run

        def read() -> list[Place]:
            with self.inspector.audit.apart() as audit:
                return audit.coverage(run.id) if run else []

        places = await asyncio.to_thread(read)
        rows, before = self.query_one(RowList), self.place
        self._places = places
        rows.empty = "Nothing has come through the proxy yet."
        same = next((i for i, each in enumerate(places) if before and each.identity == before.identity), None)
        rows.show(array("q", range(len(places))), key=same)

    @property
    def place(self) -> Place | None:
        """What is under the cursor; None: there is nothing."""
        key = self.query_one(RowList).key
        return self._places[key] if key is not None and key < len(self._places) else None

    def _rows(self, keys: Sequence[int]) -> Mapping[int, Sequence[Cell]]:
        return {key: self._row(self._places[key]) for key in keys if key < len(self._places)}

    def _row(self, place: Place) -> Sequence[Cell]:
        inbound = place.direction == Direction.INBOUND
        sign = ("·", MUTED) if place.seen else ("!", f"bold {ERROR}") if place.bypass else ("✘", f"bold {NOTE}")
        words = "" if place.seen else "  went round the audit" if place.bypass else "  never seen"
        shown = name(place.name) if inbound else name(short_authority(place.name))
        return [
            [sign],
            [("route" if inbound else "upstream", MUTED)],
            [(shown, "" if place.seen else "bold"), (words, sign[1])],
            [(short_count(place.seen), "bold" if place.seen else MUTED)],
            [(short_count(place.failed) if place.failed else "", ERROR)],
            [(short_count(place.calls) if inbound and place.seen else "", "" if place.calls else MUTED)],
            codes_cell(place.codes),
            [(clock(place.last_ns), MUTED)],
        ]

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        """The exchanges there, or the finding that says that there are none."""
        if event.key >= len(self._places):
            return
        place = self._places[event.key]
        if place.seen:
            self._open_exchanges(place)
            return
        found = next(
            (
                each
                for each in self.inspector.summary.findings
                if each.edge and place.name in (each.edge.inbound_route, each.edge.outbound_authority)
            ),
            None,
        )
        if found is None:
            self.notify("Nothing is known about it: it was never seen.", markup=False)
        else:
            self.app.push_screen(FindingScreen(found))

    def _open_exchanges(self, place: Place) -> None:
        # Of a name that fits into no filter, its beginning.
        value = quoted(place.name if len(place.name) <= LONGEST else place.name[:LONGEST] + "*")
        inbound = place.direction == Direction.INBOUND
        try:
            screen = ExchangesScreen(f"direction:inbound route={value}" if inbound else f"upstream={value}")
        except FilterError as error:
            self.notify(f"No filter can say this name: {safe(str(error))}.", severity="error", markup=False)
        else:
            self.app.push_screen(screen)

    def action_step(self, by: int) -> None:
        """To the next or previous line with a gap or a finding."""
        rows = self.query_one(RowList)
        places = range(rows.cursor + 1, len(self._places)) if by > 0 else range(rows.cursor - 1, -1, -1)
        gap = next((each for each in places if not self._places[each].seen or self._places[each].codes), None)
        if gap is None:
            self.notify("No further gap or finding.", markup=False)
        else:
            rows.cursor = gap

    def command_words(self) -> list[str]:
        """What of it are findings."""
        return ["report", "--where", "code:CP"]
