"""The line at the bottom where something is typed: a filter, a command, a note, a file name. It says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from traceaudit_tui.signs import ERROR, GOOD, MUTED, Part

HISTORY = 100  # lines kept of each kind


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for. ``check`` says of a text what it would do, and whether that is all right."""

    kind: str
    sign: str
    hint: str
    check: Callable[[str], tuple[bool, str]] = lambda _: (True, "")
    value: str = ""
    words: Sequence[str] = field(default_factory=tuple)
    """What may be completed with →."""


class Line(Input):
    """The text itself; up and down walk through what was typed before."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Take it"),
        Binding("up", "earlier", "Earlier"),
        Binding("down", "later", "Later", show=False),
        Binding("tab", "complete", "Complete"),
        Binding("escape", "leave", "Leave it", key_display="esc"),
    ]

    def action_leave(self) -> None:
        """Without having asked for anything."""
        self.post_message(Prompt.Left())

    def action_earlier(self) -> None:
        """What was typed before."""
        self.post_message(Prompt.Recalled(-1))

    def action_later(self) -> None:
        """What was typed after that."""
        self.post_message(Prompt.Recalled(1))

    def action_complete(self) -> None:
        """Takes what is suggested."""
        self.action_cursor_right()

    def validate_value(self, value: str) -> str:
        """One line of printable characters, wherever it was pasted from."""
        return value if value.isprintable() else "".join(each for each in value if each.isprintable())


class Prompt(Vertical):
    """The line, and below it what it would do. Hidden until something is asked."""

    class Answered(Message):
        """Enter was pressed on a text that is all right."""

        def __init__(self, kind: str, text: str) -> None:
            super().__init__()
            self.kind = kind
            self.text = text

    class Left(Message):
        """It was left without an answer."""

    class Recalled(Message):
        """Another line of the history is wanted."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    def __init__(self, history: dict[str, list[str]]) -> None:
        super().__init__()
        self.display = False
        self._history = history
        self._place = 0
        self._question = Question("", "", "")
        self._sign = Static(classes="sign", markup=False)
        self._line = Line(compact=True, select_on_focus=False)
        self._says = Static(classes="says", markup=False)

    def compose(self) -> ComposeResult:
        """Sign and line, and what is said of it."""
        with Horizontal():
            yield self._sign
        yield self._says

    def prepare(self) -> None:
        """Mounts the line. Textual's Input asks for the app's screen when it is mounted, which at the app's start is
        not there yet; so this has to wait until the screen is shown."""
        if not self._line.is_attached:
            self.query_one(Horizontal).mount(self._line)

    def ask(self, question: Question) -> None:
        """Shows itself with another question."""
        self.prepare()
        self._question = question
        self._place = len(self._history.setdefault(question.kind, []))
        self._sign.update(Content(question.sign))
        self._line.suggester = SuggestFromList(question.words, case_sensitive=False) if question.words else None
        self._line.value = question.value
        self._line.cursor_position = len(self._line.value)
        self.display = True
        self._judge()
        self._line.focus()

    @property
    def asking(self) -> str:
        """The kind of its question; empty: it is hidden."""
        return self._question.kind if self.display else ""

    def close(self) -> None:
        """Hides itself."""
        self.display = False

    def on_input_changed(self, event: Input.Changed) -> None:
        """Says what it would do, with every key."""
        event.stop()
        self._judge()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Gives the answer, if it is one."""
        event.stop()
        text = self._line.value.strip()
        if not self._judge():
            return
        lines = self._history[self._question.kind]
        if text and (not lines or lines[-1] != text):
            lines.append(text)
            del lines[:-HISTORY]
        self.close()
        self.post_message(self.Answered(self._question.kind, text))

    def on_prompt_recalled(self, event: Recalled) -> None:
        """Walks through what was typed before."""
        event.stop()
        lines = self._history[self._question.kind]
        self._place = min(max(0, self._place + event.by), len(lines))
        self._line.value = lines[self._place] if self._place < len(lines) else ""
        self._line.cursor_position = len(self._line.value)

    def on_prompt_left(self) -> None:
        """Hides itself; the screen is told too."""
        self.close()

    def on_click(self, event: events.Click) -> None:
        """A click anywhere in it is one on the line."""
        event.stop()
        self._line.focus()

    def _judge(self) -> bool:
        text = self._line.value.strip()
        fine, words = self._question.check(text) if text else (True, "")
        self._line.set_class(bool(text) and fine, "-good")
        self._line.set_class(not fine, "-bad")
        said: Part = (
            (self._question.hint, MUTED) if not words else (("✓ " if fine else "✘ ") + words, GOOD if fine else ERROR)
        )
        self._says.update(Content.assemble(said))
        return fine
