"""The command line within the inspector (`:`): a word or two for what keys do, and for what no key does."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from traceaudit.filters import FilterError
from traceaudit.rules import find
from traceaudit.safe import safe
from traceaudit_tui import columns, marking
from traceaudit_tui.saving import save
from traceaudit_tui.widgets.prompt import Question
from traceaudit_tui.widgets.row_list import RowList
from traceaudit_tui.widgets.run_strip import VIEWS

if TYPE_CHECKING:
    from traceaudit_tui.screens.base import AuditScreen


@dataclass(frozen=True, slots=True)
class Command:
    """``words`` are its arguments in the help; empty: it takes none."""

    words: str
    about: str
    perform: Callable[[AuditScreen, str], str | None]
    """Does it; gives back why it cannot."""


def _filter(screen: AuditScreen, text: str) -> str | None:
    from traceaudit_tui.screens.filtering import FilteredScreen  # noqa: PLC0415 -- whose prompt leads here

    if not isinstance(screen, FilteredScreen):
        return "this view has no filter"
    try:
        screen.set_filter(text)
    except FilterError as error:
        return str(error)
    return None


def _go_to(screen: AuditScreen, text: str) -> str | None:
    rows = screen.query(RowList)
    if not rows:
        return "this view has no rows"
    if not text.isdecimal() or not text.isascii() or not 1 <= int(text[:18]) <= len(rows.first().keys):
        return f"there are rows 1 to {len(rows.first().keys):,}"
    rows.first().cursor = int(text) - 1
    return None


def _columns(screen: AuditScreen, text: str) -> str | None:
    from traceaudit_tui.screens.exchanges import ExchangesScreen  # noqa: PLC0415 -- whose prompt leads here

    if not isinstance(screen, ExchangesScreen):
        return "only the list of exchanges has columns to choose"
    screen.choose_columns(columns.read(text.split(",")) if text else columns.USUAL)
    return None


def _run(screen: AuditScreen, text: str) -> str | None:
    runs = [str(run.id) for run in screen.inspector.audit.runs()]
    if text not in runs:
        return f"there is no run {text}: there are {', '.join(runs[-20:])}"
    screen.inspector.show_run(int(text))
    return None


def _note(screen: AuditScreen, text: str) -> str | None:
    subject = screen.subject()
    if subject is None:
        return "there is nothing here to note something on"
    marking.note(screen, subject, text)
    return None


def _rule(screen: AuditScreen, text: str) -> str | None:
    from traceaudit_tui.screens.rule import RuleScreen  # noqa: PLC0415 -- Markdown, which most sessions never need

    try:
        code = find(text).code
    except KeyError as error:
        return str(error.args[0])
    screen.app.push_screen(RuleScreen(code))
    return None


def _save(screen: AuditScreen, text: str) -> str | None:
    if not text:
        return "to which file?"
    save(screen, text)
    return None


def _action(name: str) -> Callable[[AuditScreen, str], str | None]:
    def perform(screen: AuditScreen, text: str) -> str | None:
        if text:
            return "this takes nothing more"
        screen.call_later(screen.run_action, name)
        return None

    return perform


COMMANDS: Mapping[str, Command] = {
    "filter": Command("FILTER", "show only what it means; without one: everything", _filter),
    "go": Command("N", "to row N; `:N` does it too", _go_to),
    "columns": Command("NAMES", "the columns of Exchanges, with commas; without names: the usual ones", _columns),
    "run": Command("N", "look at run N of this database", _run),
    "note": Command("TEXT", "note something on what the cursor is on", _note),
    "rule": Command("CODE", "a rule's page", _rule),
    "save": Command("FILE", "save this view", _save),
    **{view.mode: Command("", f"go to {view.title}", _action(f"app.view('{view.mode}')")) for view in VIEWS},
    "sql": Command("", "the filter's SQL", _action("screen.sql")),
    "mark": Command("", "mark what the cursor is on", _action("screen.mark")),
    "copy": Command("", "copy what the cursor is on", _action("screen.copy")),
    "trace": Command("", "others of the same trace", _action("screen.trace")),
    "command": Command("", "the same on the command line", _action("screen.command")),
    "pause": Command("", "stop following, or go on", _action("app.pause")),
    "theme": Command("", "light or dark", _action("app.turn_light")),
    "help": Command("", "help for this view", _action("app.help")),
    "quit": Command("", "leave", _action("app.quit")),
}


def command_question() -> Question:
    """What asks for a command."""
    hint = " ".join(f"{name} {each.words}".strip() for name, each in COMMANDS.items() if each.words)
    return Question("command", ":", f"{hint} · tab completes", check, "", list(COMMANDS))


def understood(text: str) -> tuple[Command, str]:
    """A command and what comes after its name. Raises ValueError: there is none like that."""
    name, _, rest = text.strip().partition(" ")
    if name.isdecimal():
        return COMMANDS["go"], name
    fitting = [each for each in COMMANDS if each.startswith(name.lower())]
    if name.lower() in COMMANDS:
        fitting = [name.lower()]
    if len(fitting) != 1:
        close = fitting or difflib.get_close_matches(name.lower(), COMMANDS, n=1)
        raise ValueError(f"there is no {safe(name, 40)}" + (f": did you mean {' or '.join(close)}?" if close else ""))
    return COMMANDS[fitting[0]], rest.strip()


def check(text: str) -> tuple[bool, str]:
    """What a command would do."""
    try:
        command, _ = understood(text)
    except ValueError as error:
        return False, str(error)
    return True, command.about


def perform(screen: AuditScreen, text: str) -> None:
    """Does it, or says why not."""
    try:
        command, rest = understood(text)
        wrong = command.perform(screen, rest)
    except ValueError as error:
        wrong = str(error)
    if wrong:
        screen.notify(
            safe(wrong[0].upper() + wrong[1:]) + ("" if wrong.endswith("?") else "."), severity="error", markup=False
        )
