"""Looks for a text within a view that has no filter: a page, the matrix, a short list, a log.

Small letters stand for both; what is found on a page is marked, and `n` and `N` go from one place to the next, around
both ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from traceaudit_tui.screens.base import AuditScreen
from traceaudit_tui.signs import plural
from traceaudit_tui.widgets.lines import Lines
from traceaudit_tui.widgets.outcome_grid import OutcomeGrid
from traceaudit_tui.widgets.pager import Pager
from traceaudit_tui.widgets.prompt import Question
from traceaudit_tui.widgets.row_list import RowList

HINT = "a text to look for in this view · ↑ earlier · enter, esc"
ABOVE = 3  # lines of a page that are left above what was found


class SearchedScreen(AuditScreen):
    """A view in which can be searched; what it is made of says how."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", id="search.edit", key_display="/"),
        Binding("n", "found(1)", "Next place found", id="search.next", show=False),
        Binding("N", "found(-1)", "Previous place found", id="search.previous", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.needle = ""
        """What is looked for; empty: nothing."""
        self._at = -1

    def action_search(self) -> None:
        """Asks for a text."""
        self.ask(Question("search", "/", HINT, self._check, self.needle))

    def _check(self, text: str) -> tuple[bool, str]:
        if isinstance(self.focus_of_search, Pager):
            count = len(self._lines_with(text))
            return bool(count), f"in {plural(count, 'line')}" if count else "this is not on the page"
        return True, "goes to the next one"

    @property
    def focus_of_search(self) -> RowList | OutcomeGrid | Pager:
        """What is searched in: the view's list, its grid or its page."""
        return self.query(self.FOCUS).first()  # type: ignore[return-value]  # one of these three

    def answered(self, kind: str, text: str) -> None:
        """Goes to the first place from here on."""
        if kind != "search":
            super().answered(kind, text)
            return
        self._look_for(text)
        if text:
            self.action_found(1, here=True)

    def action_back(self) -> None:
        """What was found is no longer marked; then to the screen below."""
        if self.needle:
            self._look_for("")
        else:
            super().action_back()

    def _look_for(self, text: str) -> None:
        self.needle, self._at = text, -1
        for lines in self.query(Lines):
            if lines.needle != text and isinstance(lines.parent, Pager):
                lines.needle = text
                lines.refresh()

    def action_found(self, by: int, here: bool = False) -> None:
        """To the next or previous place; ``here`` looks where one is, too."""
        if not self.needle:
            self.notify("Nothing is looked for: press / for that.", markup=False)
            return
        searched = self.focus_of_search
        found = self._on_page(searched, by) if isinstance(searched, Pager) else searched.find(self.needle, by, here)
        if not found:
            self.notify("This is not to be found here.", markup=False)

    # --- on a page ---------------------------------------------------------------------------------------------------

    def _lines_with(self, needle: str) -> list[int]:
        """The lines of the page that hold a text, counted from its top."""
        places: list[int] = []
        for lines in self.query(Lines):
            if isinstance(lines.parent, Pager) and lines.display:
                places += [lines.virtual_region.y + each for each in lines.found(needle)]
        return sorted(places)

    def _on_page(self, page: VerticalScroll, by: int) -> bool:
        places = self._lines_with(self.needle)
        if not places:
            return False
        self._at = _next(places, self._at, by)
        page.scroll_to(y=max(0, self._at - ABOVE), animate=False)
        return True


def _next(places: Sequence[int], at: int, by: int) -> int:
    """The place after or before another one, around both ends."""
    ahead = [each for each in places if each > at] if by > 0 else [each for each in reversed(places) if each < at]
    return ahead[0] if ahead else places[0] if by > 0 else places[-1]
