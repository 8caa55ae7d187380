"""The inspector: shows an audit database in a terminal, and follows the run that writes it.

Theory of operation: one read-only connection answers what a key press asks for. A timer asks SQLite whether anybody has
written (``PRAGMA data_version``); if so, a thread reads the run's summary on a connection of its own, and ``take``
gives it to the screen on top; the others catch up when they come back. How long a reading took sets how soon the next
may start, so that a database of a million exchanges is followed in leisure.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.worker import WorkerFailed

from traceaudit.exchange import Confidence, Severity
from traceaudit.safe import safe
from traceaudit.store.opening import NotAnAuditError, log_of
from traceaudit_tui.columns import USUAL
from traceaudit_tui.columns import read as read_columns
from traceaudit_tui.queries import Audit
from traceaudit_tui.rows import Finding, Marks, Summary
from traceaudit_tui.screens.base import AuditScreen
from traceaudit_tui.screens.coverage import CoverageScreen
from traceaudit_tui.screens.exchanges import ExchangesScreen, RequestsScreen, UncausedScreen
from traceaudit_tui.screens.filtering import FilteredScreen
from traceaudit_tui.screens.findings import FindingsScreen
from traceaudit_tui.screens.help import KEYS, HelpScreen, keys_of
from traceaudit_tui.screens.log import LogScreen
from traceaudit_tui.screens.matrix import MatrixScreen
from traceaudit_tui.signs import edge_text, name, severity_sign
from traceaudit_tui.themes import DARK, LIGHT
from traceaudit_tui.verdict import verdict
from traceaudit_tui.widgets.lines import cut_within
from traceaudit_tui.widgets.run_strip import VIEWS

POLL_S = 0.5  # a person sees new findings at once; asking costs microseconds
REST = 9  # times as long as a reading took, until the next: following costs a tenth of a core at most
SWITCH_S = 0.0001
"""How long a thread that reads may keep the others waiting. The screen hands over the interpreter's lock at each row
that it fetches: with Python's usual 5 ms a page of 64 rows takes a third of a second while a thread reads. It waits for
the end of what the thread does in one step, too (see ``PIECE`` in :mod:`traceaudit_tui.lists`)."""

HOME = "matrix"
ANNOUNCED_S = 6.0  # what nobody has asked for takes longer to be noticed than what a key says
SHORT_EDGE = 12  # cells of an edge that are said at least
TOAST_FRAME = 3  # cells that a toast takes beside its text

BAD_INPUT, WRONG_USE = 4, 2  # exit statuses; DESIGN 9


class Inspector(App[None]):
    """The app. Raises FileNotFoundError or NotAnAuditError, each with a sentence for people."""

    TITLE = "traceaudit"
    CSS_PATH = "inspector.tcss"
    NOTIFICATION_TIMEOUT = 3.0
    ENABLE_COMMAND_PALETTE = True
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "matrix": MatrixScreen,
        "findings": FindingsScreen,
        "requests": RequestsScreen,
        "exchanges": ExchangesScreen,
        "uncaused": UncausedScreen,
        "coverage": CoverageScreen,
    }
    DEFAULT_MODE = HOME
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (160, "-wide")]  # noqa: RUF012 -- Textual types it so
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]  # noqa: RUF012 -- as above
    BINDINGS: ClassVar[list[BindingType]] = [
        *[Binding(view.key, f"view('{view.mode}')", view.title, id=f"view.{view.mode}", show=False) for view in VIEWS],
        Binding("equals_sign", "pause", "Pause", id="app.pause", key_display="="),
        Binding("question_mark", "help", "Help", id="app.help", key_display="?"),
        Binding("q", "quit", "Quit", id="app.quit"),
        Binding("t", "turn_light", "Light or dark", id="app.theme", show=False),
        Binding("left_square_bracket", "run(-1)", "Previous run", id="run.previous", show=False),
        Binding("right_square_bracket", "run(1)", "Next run", id="run.next", show=False),
        Binding("L", "log", "What the run said", id="run.log", show=False),
        Binding("ctrl+q", "quit", "Quit", show=False, system=True),
    ]

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.audit = Audit.open(path)
        self.summary = Summary()
        self.paused = False
        self.stamp = 0
        """How often the database has been read; 0: not yet."""
        self.marks = Marks()
        self.columns = USUAL
        """Of the list of exchanges, by their names."""
        self.history: dict[str, list[str]] = {}
        """What has been typed, by the kind of question."""
        self.leaves_on_signals = False
        self.fault = ""
        """Why the app had to stop, as a sentence; empty: it had not."""
        self._run_id: int | None = None
        self._version = -1
        self._reading = False
        self._not_before = 0.0
        self._known: set[tuple[str, int | None, str]] = set()
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name

    # --- following ---------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Begins to follow."""
        if self.leaves_on_signals:
            # The terminal is put in order, which Python's own answer to these would not do.
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, self.exit, None, 128 + number)
        self.poll()
        self.set_interval(POLL_S, self.poll, name="follow")

    def on_unmount(self) -> None:
        """Gives the file back."""
        self.audit.close()

    def poll(self, *, at_once: bool = False) -> None:
        """Starts a reading if the database has been written to; ``at_once``: even if one has only just ended."""
        if self.paused or self._reading or (not at_once and time.monotonic() < self._not_before):
            return
        version = self.audit.data_version()
        if version != self._version:
            self._version = version
            self._reading = True
            self.run_worker(self._read(), group="read", exit_on_error=True)

    async def _read(self) -> None:
        def read() -> Summary:
            with self.audit.apart() as audit:
                return audit.summary(self._run_id)

        began = time.monotonic()
        try:
            summary = await asyncio.to_thread(read)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            self._version = -1  # somebody holds it; ask again
        else:
            self.take(summary)
        finally:
            self._reading = False
            self._not_before = time.monotonic() + REST * (time.monotonic() - began)

    def take(self, summary: Summary) -> None:
        """Shows another reading, and says what is new in it."""
        same_run = self.summary.run is not None and summary.run is not None and self.summary.run.id == summary.run.id
        new = [each for each in summary.findings if each.identity not in self._known]
        self._known |= {each.identity for each in new}
        if self.stamp and same_run:
            if new:
                self._announce(new)
            if self._has_ended(summary):
                self.notify(f"The run has ended: {verdict(summary).spoken}", timeout=ANNOUNCED_S, markup=False)
        elif not same_run:
            self._known = {each.identity for each in summary.findings}
        self.summary = summary
        if not self.stamp:
            gc.freeze()  # what is here now stays: else the collector looks at all of Textual within a key press
        self.stamp += 1
        self.read_marks()
        self._bring_up_to_date()

    def _has_ended(self, summary: Summary) -> bool:
        before, now = self.summary.run, summary.run
        return before is not None and now is not None and before.ended_ns is None and now.ended_ns is not None

    def read_marks(self) -> None:
        """Reads anew what has been marked."""
        self.marks = self.audit.marks()

    def _announce(self, findings: list[Finding]) -> None:
        gravest = findings[0]
        grave = gravest.severity == Severity.ERROR and gravest.confidence != Confidence.AMBIGUOUS
        title = "New finding" if len(findings) == 1 else f"{len(findings)} new findings"
        words = f"{title}: {severity_sign(gravest.severity).sign} {name(gravest.code)} {name(gravest.slug)} "
        more = f" and {len(findings) - 1} more" if len(findings) > 1 else ""
        room = self.size.width - len(words) - len(more) - TOAST_FRAME
        words += cut_within(edge_text(gravest.edge), max(SHORT_EDGE, room))
        self.notify(words + more, severity="error" if grave else "warning", timeout=ANNOUNCED_S, markup=False)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Says something in place of what was said before: a key that is held down must not fill the screen."""
        self.clear_notifications()
        super().notify(message, title=title, severity=severity, timeout=timeout, markup=markup)

    def _bring_up_to_date(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, AuditScreen) and screen.is_mounted:
                screen.follow()

    # --- what keys do ------------------------------------------------------------------------------------------------

    def action_view(self, mode: str) -> None:
        """To one of the main views; a second time: to the bottom of its stack."""
        if mode not in self.MODES or (len(self.screen_stack) > 1 and not isinstance(self.screen, AuditScreen)):
            return
        if mode == self.current_mode:
            while len(self.screen_stack) > 1:
                self.pop_screen()
        else:
            self.switch_mode(mode)

    def back(self) -> None:
        """To the screen below; from a main view, home."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        elif self.current_mode != HOME:
            self.switch_mode(HOME)

    def action_pause(self) -> None:
        """Stops following, or goes on."""
        self.paused = not self.paused
        self._bring_up_to_date()
        self.poll(at_once=True)

    def action_help(self) -> None:
        """Explains the view on top."""
        screen = self.screen
        if isinstance(screen, AuditScreen):
            title, filtered = screen.TITLE or screen.MODE.capitalize(), isinstance(screen, FilteredScreen)
            self.push_screen(HelpScreen(title, screen.ABOUT, keys_of(screen), filtered=filtered))

    def action_log(self) -> None:
        """What the service and the audit said, where `run --tui` has kept it."""
        path = log_of(self.audit.path)
        if isinstance(self.screen, LogScreen):
            return
        if not path.exists():
            self.notify(f"There is no {safe(path.name, 200)}: `traceaudit run --tui` writes one.", markup=False)
        else:
            self.push_screen(LogScreen(path))

    def action_turn_light(self) -> None:
        """From dark to light and back."""
        self.theme = DARK.name if not self.current_theme.dark else LIGHT.name

    def action_run(self, by: int) -> None:
        """To the next or previous run in the database."""
        runs = [run.id for run in self.audit.runs()]
        here = runs.index(self.summary.run.id) if self.summary.run and self.summary.run.id in runs else -1
        if not 0 <= here + by < len(runs):
            self.notify("There is no later run." if by > 0 else "There is no earlier run.", markup=False)
            return
        self.show_run(runs[here + by])

    def show_run(self, id: int) -> None:
        """Looks at a run; the latest one is followed to the next when that begins."""
        self._run_id = None if id == max(run.id for run in self.audit.runs()) else id
        self._version = -1
        self.poll(at_once=True)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The command palette: every view, whatever a key does just now, and Textual's own."""
        for view in VIEWS:
            yield SystemCommand(f"Go to {view.title}", f"key {view.key}", partial(self.action_view, view.mode))
        views = {f"view.{view.mode}" for view in VIEWS}
        named: dict[tuple[str, str], tuple[list[str], Callable[[], Any]]] = {}
        for active in screen.active_bindings.values():
            binding = active.binding
            if binding.id and binding.description and active.enabled and binding.id not in views:
                shown = KEYS.get(binding.key) or self.get_key_display(binding)
                perform = partial(self.run_action, binding.action, active.node)
                keys, _ = named.setdefault((binding.id, binding.description), ([], perform))
                if shown not in keys:
                    keys.append(shown)
        for (_, words), (keys, act) in named.items():
            yield SystemCommand(words, f"key {' or '.join(keys)}", act)
        yield from (each for each in super().get_system_commands(screen) if each.title != "Quit")

    # --- when the file goes bad --------------------------------------------------------------------------------------

    def _handle_exception(self, error: Exception) -> None:
        """Textual's last resort for errors; a database that goes bad ends in a sentence and not in a traceback."""
        cause = error.error if isinstance(error, WorkerFailed) else error
        if isinstance(cause, sqlite3.Error):
            self.fault = f"{safe(str(self.audit.path))} can no longer be read: {safe(str(cause))}."
            self.exit(return_code=BAD_INPUT)
        else:
            super()._handle_exception(error)


class FrontInspector(Inspector):
    """The inspector in front of the run that started it, which ends with it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "quit", "End the run", id="app.quit")]


def run(
    path: Path,
    keys: Mapping[str, str] | None = None,
    *,
    place: str = "",
    columns: Sequence[str] = (),
    columns_place: str = "",
    in_front: bool = False,
) -> int:
    """Shows the database until the user quits; the exit status. What is wrong is said on standard error.

    ``keys`` are other keys than the usual ones, by the id of what they do, and ``place`` says where they were read;
    ``columns`` are other ones than the usual for the list of exchanges, read at ``columns_place``. ``in_front``: of the
    run that started it.
    """
    from traceaudit_tui import keymap  # noqa: PLC0415 -- which knows every screen, and this app

    try:
        app = FrontInspector(path) if in_front else Inspector(path)
        app.set_keymap(keymap.read(keys or {}, place))
        if columns:
            app.columns = _columns(columns, columns_place)
    except ValueError as error:
        print(f"traceaudit: {error}", file=sys.stderr)
        return BAD_INPUT if isinstance(error, NotAnAuditError) else WRONG_USE
    except FileNotFoundError as error:
        print(f"traceaudit: {error}", file=sys.stderr)
        return WRONG_USE
    in_browser = "TEXTUAL_DRIVER" in os.environ  # textual-serve says so; it gives the app no terminal
    if not in_browser and not (sys.__stdin__ and sys.__stdin__.isatty() and sys.__stderr__ and sys.__stderr__.isatty()):
        print("traceaudit: the inspector needs a terminal; `traceaudit report` does not.", file=sys.stderr)
        return WRONG_USE
    app.leaves_on_signals = not in_browser
    sys.setswitchinterval(SWITCH_S)
    app.run()
    if app.fault:
        print(f"traceaudit: {app.fault}", file=sys.stderr)
    return app.return_code or 0


def _columns(names: Sequence[str], place: str) -> tuple[str, ...]:
    try:
        return read_columns(names)
    except ValueError as error:
        raise ValueError(f"columns in {safe(place, 200) or 'the configuration'}: {error}") from error
