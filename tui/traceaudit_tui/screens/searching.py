"""Looks for a text within a view that has no filter: a page, the matrix, a short list, a log.

Small letters stand for both; what is found on a page is marked, and `n` and `N` go from one place to the next, around
both ends.
"""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from traceaudit_tui.screens.base import AuditScreen
from traceaudit_tui.screens.searched_box import HINT, KEYS, NOTHING, NOWHERE, on_page
from traceaudit_tui.widgets.outcome_grid import OutcomeGrid
from traceaudit_tui.widgets.page_search import PageSearch
from traceaudit_tui.widgets.pager import Pager
from traceaudit_tui.widgets.prompt import Question
from traceaudit_tui.widgets.row_list import RowList


class SearchedScreen(AuditScreen):
    """A view in which can be searched; what it is made of says how."""

    BINDINGS: ClassVar[list[BindingType]] = KEYS

    def __init__(self) -> None:
        super().__init__()
        self.needle = ""
        """What is looked for; empty: nothing."""
        self._page_search = PageSearch()

    def action_search(self) -> None:
        """Asks for a text."""
        self.ask(Question("search", "/", HINT, self._check, self.needle))

    def _check(self, text: str) -> tuple[bool, str]:
        if isinstance(self.focus_of_search, Pager):
            return on_page(self._page_search, self.focus_of_search, text)
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
        self.needle = text
        if isinstance(self.focus_of_search, Pager):
            self._page_search.look_for(self.focus_of_search, text)

    def action_found(self, by: int, here: bool = False) -> None:
        """To the next or previous place; ``here`` looks where one is, too."""
        if not self.needle:
            self.notify(NOTHING)
            return
        searched = self.focus_of_search
        if isinstance(searched, Pager):
            found = self._page_search.go(searched, by)
        else:
            found = searched.find(self.needle, by, here)
        if not found:
            self.notify(NOWHERE)
