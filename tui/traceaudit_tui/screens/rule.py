"""A rule's page: what it means, how a mesh reacts, what usually causes it in Go, and the fix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Markdown
from textual.widgets.markdown import MarkdownFence

from traceaudit.rules import find
from traceaudit.safe import safe
from traceaudit_tui.screens.searched_box import SearchedBox
from traceaudit_tui.widgets.pager import Pager


def page_of(code: str) -> str:
    """A rule's page as Markdown; a code that this version does not know has none."""
    try:
        rule = find(code)
    except KeyError:
        return f"This version of traceaudit has no page for `{safe(code, 20).replace('`', '')}`."
    return f"# {rule.code} {rule.slug}\n\n{rule.page}"


class Code(MarkdownFence):
    """Code that keeps what is marked in it: Textual's own takes its text anew whenever a style may have changed."""

    _dark: bool | None = None

    def notify_style_update(self) -> None:
        """Anew when it has turned light or dark."""
        dark, self._dark = self._dark, self.app.current_theme.dark
        if dark != self._dark:
            super().notify_style_update()
        else:
            super(MarkdownFence, self).notify_style_update()


class Page(Markdown):
    """A rule's text."""

    BLOCKS = {**Markdown.BLOCKS, "fence": Code, "code_block": Code}  # noqa: RUF012 -- Textual types it so


class RulePage(Pager):
    """The page, to be scrolled."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._code = self._shown = ""
        self._markdown = Page()

    def compose(self) -> Iterable[Page]:
        """The text."""
        yield self._markdown

    def show(self, code: str) -> None:
        """Another rule's page; where it is hidden, it is not made until it is seen."""
        self._code = code
        self._fill()

    def on_resize(self) -> None:
        """It may have come into view."""
        self._fill()

    def _fill(self) -> None:
        if self.size.width and self._code != self._shown:
            self._shown = self._code
            self._markdown.update(page_of(self._code))
            self.scroll_home(animate=False)


class RuleScreen(SearchedBox):
    """The page over everything else."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,r,q,backspace", "close", "Back", id="rule.back", key_display="esc"),
    ]

    def __init__(self, code: str) -> None:
        super().__init__()
        self._code = code

    def body(self) -> Iterable[Widget]:
        """The page."""
        yield RulePage()

    def on_mount(self) -> None:
        """Fills it."""
        page = self.query_one(RulePage)
        page.show(self._code)
        page.focus()
