"""Asks in which form something is to be copied, and shows what that looks like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from traceaudit.safe import safe
from traceaudit_tui.signs import MUTED
from traceaudit_tui.widgets.key_line import KeyLine


@dataclass(frozen=True, slots=True)
class Form:
    """One form: the letter that chooses it, its name, and the text."""

    key: str
    name: str
    text: str


class CopyScreen(ModalScreen[None]):
    """The forms in a box; a letter or enter copies."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,backspace,y", "dismiss", "Close", id="copy.close", key_display="esc"),
    ]

    def __init__(self, forms: Sequence[Form]) -> None:
        super().__init__()
        self._forms = forms

    def compose(self) -> ComposeResult:
        """One line a form, with the beginning of its text."""
        with Vertical(classes="box") as box:
            box.border_title = "Copy"
            yield OptionList(
                *(
                    Option(
                        Content.assemble(
                            (f" {each.key} ", "bold $text-primary"),
                            f"{each.name:<12} ",
                            (safe(each.text.partition("\n")[0].removesuffix(" \\"), 120), MUTED),
                        )
                    )
                    for each in self._forms
                )
            )
        yield KeyLine()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Copies it."""
        self._copy(self._forms[event.option_index])

    def on_key(self, event: events.Key) -> None:
        """A form's letter."""
        form = next((each for each in self._forms if each.key == event.character), None)
        if form is not None:
            event.stop()
            self._copy(form)

    def _copy(self, form: Form) -> None:
        # A lone surrogate cannot be sent to a terminal.
        text = form.text.encode("utf-8", "backslashreplace").decode()
        self.app.copy_to_clipboard(text)
        self.app.notify(f"{form.name} copied.", markup=False)
        self.dismiss()
