"""A text over the screen, to be read and copied: a filter's SQL, a view's command."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget

from traceaudit.safe import safe
from traceaudit_tui.screens.searched_box import SearchedBox
from traceaudit_tui.widgets.lines import Lines, folded
from traceaudit_tui.widgets.pager import Pager


class PlainText(Lines):
    """Every character of it, whatever words there are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def lines(self, width: int) -> list[Content]:
        """Its lines, folded."""
        return [line for each in self._text.split("\n") for line in folded([(printable(each), "")], width)]


def printable(text: str) -> str:
    """Text in which only what is not printable is escaped: a backslash is SQL's or a shell's."""
    return "".join(each if each.isprintable() else safe(each) for each in text)


class TextScreen(SearchedBox):
    """The text in a box."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,backspace", "close", "Close", id="text.close", key_display="esc"),
        Binding("y", "copy", "Copy", id="text.copy"),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self.text = text

    def body(self) -> Iterable[Widget]:
        """The box."""
        box = Vertical(Pager(PlainText(self.text)), classes="box")
        box.border_title = self._title
        yield box

    def action_copy(self) -> None:
        """To the clipboard."""
        self.app.copy_to_clipboard(self.text)
        self.notify("Copied.", markup=False)
        self.dismiss()
