"""The line above a list that says what its filter is, how far it has been looked for, and how much was found."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from traceaudit.filters import Filter
from traceaudit.filters.sql import pieces
from traceaudit.safe import safe
from traceaudit_tui.signs import ACCENT, MUTED, Part
from traceaudit_tui.widgets.run_strip import spread

STYLES = {"field": "bold $text-primary", "value": "bold", "text": f"bold {ACCENT}"}


class FilterLine(Widget):
    """Hidden where there is no filter. A click lets it be changed."""

    ALLOW_SELECT = False

    class Clicked(Message):
        """It is to be changed."""

    def __init__(self) -> None:
        super().__init__()
        self.display = False
        self._filter: Filter | None = None
        self._found = ""

    def show(self, filter_: Filter | None, found: str) -> None:
        """Another filter, or more found; None: there is no filter."""
        self._filter, self._found = filter_, found
        self.display = filter_ is not None
        self.refresh()

    def render(self) -> Content:
        """``filter  code:TP001 status>=500        12 of 4,312``."""
        if self._filter is None:
            return Content()
        parts: list[Part] = [(" filter  ", MUTED)]
        parts += [(safe(text), STYLES.get(kind, "")) for text, kind in pieces(self._filter.text)]
        return spread(parts, [(self._found + " ", MUTED)], self.size.width)

    def on_click(self, event: events.Click) -> None:
        """To change it."""
        event.stop()
        self.post_message(self.Clicked())
