"""A text over the screen, to be read and copied: a filter's SQL, a view's command."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from traceaudit.safe import safe
from traceaudit_tui.widgets.key_line import KeyLine
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


class TextScreen(ModalScreen[None]):
    """The text in a box."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,backspace", "dismiss", "Close", id="text.close", key_display="esc"),
        Binding("y", "copy", "Copy", id="text.copy"),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self.text = text

    def compose(self) -> ComposeResult:
        """The box."""
        with Vertical(classes="box") as box:
            box.border_title = self._title
            yield Pager(PlainText(self.text))
        yield KeyLine()

    def action_copy(self) -> None:
        """To the clipboard."""
        self.app.copy_to_clipboard(self.text)
        self.notify("Copied.", markup=False)
        self.dismiss()
