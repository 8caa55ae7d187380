"""A note that a person has made, below the list that it was made in."""

from __future__ import annotations

from textual.content import Content

from traceaudit.safe import safe
from traceaudit_tui.widgets.lines import Lines, wrapped


class Note(Lines):
    """Nothing where there is no note."""

    def __init__(self) -> None:
        super().__init__(classes="preview")
        self.display = False
        self._note = ""

    def show(self, note: str) -> None:
        """Another one; an empty one: none."""
        if note != self._note:
            self._note = note
            self.display = bool(note)
            self.changed()

    def lines(self, width: int) -> list[Content]:
        """As many as it takes."""
        return wrapped([("* ", "bold $text-warning"), (safe(self._note), "italic")], width)
