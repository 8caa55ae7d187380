"""The lists of exchanges: everything, requests only, and the calls that nothing caused or that went round the audit."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from traceaudit.exchange import Direction
from traceaudit.filters import Where, parse
from traceaudit_tui.columns import USUAL
from traceaudit_tui.coverage import BYPASS
from traceaudit_tui.lists import EVERYTHING
from traceaudit_tui.queries import Audit
from traceaudit_tui.rows import Finding
from traceaudit_tui.screens.choosing_columns import ColumnsScreen
from traceaudit_tui.screens.exchange_list import ExchangeList
from traceaudit_tui.screens.finding import FindingScreen
from traceaudit_tui.widgets.bypasses import Bypasses


class RequestsScreen(ExchangeList):
    """What came in."""

    MODE = "requests"
    ABOUT = (
        "Every request that came into the service, in the order of its start. Enter shows it with the calls it caused."
    )
    DIRECTION = Direction.INBOUND.value
    COLUMNS = ("time", "request", "status", "took", "calls", "findings")
    EMPTY = "No request has come in yet."
    WITHIN = "direction:inbound"


class ExchangesScreen(ExchangeList):
    """Everything."""

    MODE = "exchanges"
    ABOUT = (
        "Every exchange, in and out of the service, in the order of its start. Enter shows a request with its calls, "
        "or a call beside the request that caused it; c chooses the columns."
    )
    BINDINGS: ClassVar[list[BindingType]] = [Binding("c", "columns", "Columns", id="list.columns")]
    COLUMNS = USUAL
    EMPTY = "Nothing has come through the proxy yet."

    def __init__(self, filter_text: str = "") -> None:
        """``filter_text``: a filter to begin with."""
        super().__init__()
        self.chosen = self.inspector.columns
        if filter_text:
            self.filter = self.given = parse(filter_text)

    def follow(self) -> None:
        """The columns may have been chosen in another list of exchanges."""
        self.choose_columns(self.inspector.columns)
        super().follow()

    def action_columns(self) -> None:
        """Asks for the columns."""
        self.app.push_screen(ColumnsScreen(self.chosen, self.choose_columns))

    def choose_columns(self, chosen: tuple[str, ...]) -> None:
        """Shows other columns, here and in every list of exchanges of this session."""
        self.inspector.columns = chosen
        if chosen != self.chosen:
            self.lay_out(chosen)


class UncausedScreen(ExchangeList):
    """Calls that no request caused, and below them what went round the audit."""

    MODE = "uncaused"
    ABOUT = (
        "Calls that no request caused: pollers, tickers, start-up work. If one of these belongs to a request, the "
        "audit could not see it; enter shows the candidates. Below them: where the service has connections that went "
        "round the audit (!), so that nothing is known about what it called there; b shows the first one's finding."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "bypass", "What went round the audit", id="bypass.open", show=False)
    ]
    COLUMNS = ("time", "request", "status", "took", "sure")
    EMPTY = "No call without a cause has been seen."
    IN_STRETCHES = False
    WITHIN = "is:uncaused"

    def body(self) -> Iterable[Widget]:
        """The list and what it does not hold."""
        yield from super().body()
        yield Bypasses()

    def update_view(self) -> None:
        """Both."""
        super().update_view()
        self.query_one(Bypasses).show(self._bypasses())

    def _bypasses(self) -> list[Finding]:
        return [each for each in self.inspector.summary.findings if each.code == BYPASS]

    def action_bypass(self) -> None:
        """The finding about what went round the audit."""
        found = self._bypasses()
        if not found:
            self.notify("No connection is known to have gone round the audit.")
        else:
            self.app.push_screen(FindingScreen(found[0]))

    def on_bypasses_clicked(self) -> None:
        """As its key."""
        self.action_bypass()

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
