"""A box with a page over a view, in which can be searched as in the views: a rule, help, a text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widget import Widget

from traceaudit_tui.signs import plural
from traceaudit_tui.widgets.key_line import KeyLine
from traceaudit_tui.widgets.page_search import PageSearch
from traceaudit_tui.widgets.pager import Pager
from traceaudit_tui.widgets.prompt import Prompt, Question

if TYPE_CHECKING:
    from traceaudit_tui.app import Inspector

HINT = "a text to look for in this view"
NOTHING, NOWHERE = "Nothing is looked for: press / for that.", "This is not to be found here."
KEYS: list[BindingType] = [
    Binding("slash", "search", "Search", id="search.edit", key_display="/"),
    Binding("n", "found(1)", "Next place found", id="search.next", show=False),
    Binding("N", "found(-1)", "Previous place found", id="search.previous", show=False),
]


def on_page(search: PageSearch, page: Pager, text: str) -> tuple[bool, str]:
    """What is said of a text while it is typed."""
    count = len(search.lines_with(page, text))
    return bool(count), f"in {plural(count, 'line')}" if count else "this is not on the page"


class SearchedBox(ModalScreen[None]):
    """A box with a page over a view, in which can be searched. Subclasses give ``body``."""

    BINDINGS: ClassVar[list[BindingType]] = KEYS

    def __init__(self) -> None:
        super().__init__()
        self._page_search = PageSearch()

    def body(self) -> Iterable[Widget]:
        """The box with its page."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """The box, and the line to type in."""
        yield from self.body()
        yield Prompt(cast("Inspector", self.app).history)
        yield KeyLine()

    def action_search(self) -> None:
        """Asks for a text."""
        self.query_one(Prompt).ask(Question("search", "/", HINT, self._check, self._page_search.needle))

    def _check(self, text: str) -> tuple[bool, str]:
        return on_page(self._page_search, self.query_one(Pager), text)

    def on_prompt_answered(self, event: Prompt.Answered) -> None:
        """Goes to the first place."""
        page = self.query_one(Pager)
        page.focus()
        self._page_search.look_for(page, event.text)
        if event.text:
            self.action_found(1)

    def on_prompt_left(self) -> None:
        """Goes on reading."""
        self.query_one(Pager).focus()

    def action_found(self, by: int) -> None:
        """To the next or previous place."""
        if not self._page_search.needle:
            self.notify(NOTHING)
        elif not self._page_search.go(self.query_one(Pager), by):
            self.notify(NOWHERE)

    def action_close(self) -> None:
        """What was found is no longer marked; then away."""
        if self._page_search.needle:
            self._page_search.look_for(self.query_one(Pager), "")
        else:
            self.dismiss()
