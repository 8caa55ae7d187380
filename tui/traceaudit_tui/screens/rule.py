"""A rule's page: what it means, how a mesh reacts, what usually causes it in Go, and the fix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Markdown

from traceaudit.rules import find
from traceaudit.safe import safe
from traceaudit_tui.widgets.key_line import KeyLine
from traceaudit_tui.widgets.pager import Pager


def page_of(code: str) -> str:
    """A rule's page as Markdown; a code that this version does not know has none."""
    try:
        rule = find(code)
    except KeyError:
        return f"This version of traceaudit has no page for `{safe(code, 20).replace('`', '')}`."
    return f"# {rule.code} {rule.slug}\n\n{rule.page}"


class RulePage(Pager):
    """The page, to be scrolled."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._code = self._shown = ""
        self._markdown = Markdown()

    def compose(self) -> Iterable[Markdown]:
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


class RuleScreen(ModalScreen[None]):
    """The page over everything else."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,r,q,backspace", "dismiss", "Back", id="rule.back", key_display="esc"),
    ]

    def __init__(self, code: str) -> None:
        super().__init__()
        self._code = code

    def compose(self) -> ComposeResult:
        """The page."""
        yield RulePage()
        yield KeyLine()

    def on_mount(self) -> None:
        """Fills it."""
        page = self.query_one(RulePage)
        page.show(self._code)
        page.focus()
