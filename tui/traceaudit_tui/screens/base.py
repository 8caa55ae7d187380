"""What every screen has: the run's lines on top, the keys below, and a view that is brought up to date when need be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer

from traceaudit_tui.widgets.run_strip import RunStrip, ViewTabs

if TYPE_CHECKING:
    from traceaudit_tui.app import Inspector


class AuditScreen(Screen[None]):
    """A view of the audit. Subclasses give ``body`` and ``update_view``."""

    MODE: ClassVar[str] = ""
    """The main view that it belongs to, by the name of its tab."""
    ABOUT: ClassVar[str] = ""
    """What help says of this view."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "back", "Back", id="view.back", key_display="esc"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._stamp = -1

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

    def compose(self) -> ComposeResult:
        """Strip, body, footer."""
        yield RunStrip(self.MODE)
        yield from self.body()
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """The first look."""
        self.follow()

    def on_screen_resume(self) -> None:
        """What changed while another screen was on top."""
        self.follow()

    def follow(self) -> None:
        """Brings the screen up to the app's last reading, if it is behind."""
        app = self.inspector
        self.query_one(RunStrip).show(app.summary, paused=app.paused, read=app.stamp > 0)
        if app.stamp != self._stamp and app.stamp > 0:
            self._stamp = app.stamp
            self.update_view()

    def on_view_tabs_chosen(self, event: ViewTabs.Chosen) -> None:
        """A click on a tab."""
        self.inspector.action_view(event.mode)

    def action_back(self) -> None:
        """To the screen below; from a main view, home."""
        self.inspector.back()
