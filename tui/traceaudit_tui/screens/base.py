"""What every screen has: the run's lines on top, the keys below, a view that is brought up to date when need be, and
what can be done with the thing that one is looking at: mark it, note something, copy it, see its trace."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget

from traceaudit_tui import copies, marking
from traceaudit_tui.commands import command_question, perform
from traceaudit_tui.rows import Exchange, Finding
from traceaudit_tui.saving import file_question, save
from traceaudit_tui.screens.copying import CopyScreen, Form
from traceaudit_tui.screens.reading import TextScreen
from traceaudit_tui.widgets.key_line import KeyLine
from traceaudit_tui.widgets.prompt import Prompt, Question
from traceaudit_tui.widgets.row_list import RowList
from traceaudit_tui.widgets.run_strip import RunStrip, ViewTabs

if TYPE_CHECKING:
    from traceaudit_tui.app import Inspector

type Subject = Exchange | Finding | None
"""What one is looking at; None: nothing in particular."""


class AuditScreen(Screen[None]):
    """A view of the audit. Subclasses give ``body`` and ``update_view``."""

    MODE: ClassVar[str] = ""
    """The main view that it belongs to, by the name of its tab."""
    ABOUT: ClassVar[str] = ""
    """What help says of this view; empty: it is the base of others."""
    FOCUS: ClassVar[type[Widget]] = RowList
    """What has the focus in it."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "back", "Back", id="view.back", key_display="esc"),
        Binding("m", "mark", "Mark, or take the mark away", id="subject.mark", show=False),
        Binding("semicolon", "note", "Note", id="subject.note", show=False, key_display=";"),
        Binding("y", "copy", "Copy", id="subject.copy", show=False),
        Binding("o", "trace", "Others of the same trace", id="subject.trace", show=False),
        Binding("x", "save", "Save this view to a file", id="view.save", show=False),
        Binding("dollar_sign", "command", "The command for this view", id="view.command", show=False, key_display="$"),
        Binding("colon", "command_line", "Command line", id="view.command_line", show=False, key_display=":"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._stamp = -1
        # Textual parses all style sheets anew for a screen that has not seen the latest change of theme; this one comes
        # after it.
        self._css_update_count = self.app._css_update_count
        self._before: Widget | None = None
        """What had the focus before the prompt; None: nothing."""

    @property
    def inspector(self) -> Inspector:
        """The app, by its own type."""
        return cast("Inspector", self.app)

    def body(self) -> Iterable[Widget]:
        """What is between the run's lines and the keys."""
        raise NotImplementedError

    def update_view(self) -> None:
        """Shows what the database says now; called when it has changed and when the screen comes back."""
        raise NotImplementedError

    def subject(self) -> Subject:
        """What one is looking at."""
        return None

    def command_words(self) -> list[str]:
        """The command that gives the same on the command line, without the database and the run."""
        return ["report"]

    def listed_exchanges(self) -> array[int] | None:
        """The keys of what is listed, to be saved; None: the view lists no exchanges."""
        return None

    def listed_findings(self) -> list[Finding] | None:
        """The findings that are listed, to be saved; None: the view lists none."""
        return None

    def marks_changed(self) -> None:
        """Shows the marks as they are now."""

    def compose(self) -> ComposeResult:
        """Strip, body, footer."""
        yield RunStrip(self.MODE)
        yield from self.body()
        yield Prompt(self.inspector.history)
        yield KeyLine()

    def on_mount(self) -> None:
        """The first look."""
        self.follow()

    def on_screen_resume(self) -> None:
        """What changed while another screen was on top."""
        self.follow()

    def follow(self) -> None:
        """Brings the screen up to the app's last reading, if it is behind."""
        app = self.inspector
        strip = next(iter(self.query(RunStrip)), None)
        if strip is None:
            return  # Not composed yet, or already gone: a screen that is mounted or comes back looks again.
        strip.show(app.summary, paused=app.paused, read=app.stamp > 0)
        if app.stamp != self._stamp and app.stamp > 0:
            self._stamp = app.stamp
            self.query_one(Prompt).prepare()
            self.update_view()
            self.marks_changed()

    def on_view_tabs_chosen(self, event: ViewTabs.Chosen) -> None:
        """A click on a tab."""
        self.inspector.action_view(event.mode)

    def action_back(self) -> None:
        """To the screen below; from a main view, home."""
        self.inspector.back()

    # --- what is typed -----------------------------------------------------------------------------------------------

    def ask(self, question: Question) -> None:
        """Opens the prompt."""
        self._before = self.focused
        self.query_one(Prompt).ask(question)

    def on_prompt_answered(self, event: Prompt.Answered) -> None:
        """Does what was asked for."""
        self._focus_again()
        self.answered(event.kind, event.text)

    def on_prompt_left(self) -> None:
        """Goes on where one was."""
        self._focus_again()

    def _focus_again(self) -> None:
        if self._before is not None and self._before.is_attached:
            self._before.focus()

    def answered(self, kind: str, text: str) -> None:
        """What was typed: a note, a file's name or a command."""
        subject = self.subject()
        match kind:
            case "note" if subject is not None:
                marking.note(self, subject, text)
            case "save" if text:
                save(self, text)
            case "command" if text:
                perform(self, text)

    # --- what keys do ------------------------------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Marks what one is looking at, or takes the mark away."""
        subject = self.subject()
        if subject is None:
            self.notify("There is nothing here to be marked.", markup=False)
        else:
            marking.turn(self, subject)

    def action_note(self) -> None:
        """Asks for a note."""
        subject = self.subject()
        if subject is None:
            self.notify("There is nothing here to note something on.", markup=False)
            return
        note = marking.note_on(self.inspector, subject) or ""
        self.ask(Question("note", ";", "a note, kept in the database; empty: none", value=note))

    def action_copy(self) -> None:
        """Asks in which form to copy what one is looking at."""
        subject = self.subject()
        if subject is None:
            self.notify("There is nothing here to be copied.", markup=False)
        else:
            self.app.push_screen(CopyScreen(self._forms(subject)))

    def _forms(self, subject: Exchange | Finding) -> list[Form]:
        audit = self.inspector.audit
        forms: list[Form] = []
        exchange = audit.exchange(subject.outbound_id) if isinstance(subject, Finding) else subject
        if isinstance(subject, Finding):
            forms.append(Form("m", "Markdown", copies.finding_markdown(subject)))
        if exchange is not None:
            headers = audit.headers(exchange.id)
            if isinstance(subject, Exchange):
                forms.append(Form("m", "Markdown", copies.exchange_markdown(exchange, headers)))
            forms.append(Form("c", "curl", copies.curl(exchange, headers)))
            forms.append(Form("h", "headers", copies.header_lines(headers)))
            forms.append(Form("i", "id", exchange.id))
        return forms

    def action_trace(self) -> None:
        """The other exchanges of the same trace."""
        from traceaudit_tui.screens.trace import open_trace  # noqa: PLC0415 -- whose screen is one of these

        subject = self.subject()
        exchange_id = subject.outbound_id if isinstance(subject, Finding) else subject.id if subject else None
        open_trace(self, exchange_id)

    def action_save(self) -> None:
        """Asks for a file."""
        self.ask(file_question(self))

    def action_command(self) -> None:
        """Shows the command that gives the same."""
        self.app.push_screen(TextScreen("The same on the command line", self.command_text()))

    def command_text(self) -> str:
        """The command that gives the same on the command line."""
        command, *words = self.command_words()
        if command == "rule":
            return copies.command(["traceaudit", command, *words])
        summary = self.inspector.summary
        run = ["--run", str(summary.run.id)] if summary.run is not None and summary.runs > 1 else []
        return copies.command(["traceaudit", command, str(self.inspector.audit.path), *run, *words])

    def action_command_line(self) -> None:
        """Asks for a command."""
        self.ask(command_question())
