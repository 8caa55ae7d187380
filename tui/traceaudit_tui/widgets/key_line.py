"""The line at the bottom: the keys that matter in the view on top. A click does what the key does.

Textual's own footer makes a widget for each key whenever the keys change, which takes longer than a list of a million
rows takes to be shown; this is one line of text.
"""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from traceaudit.safe import safe
from traceaudit_tui.signs import Part
from traceaudit_tui.widgets.lines import parts_length

GAP = "  "
NAMES = {"enter": "enter", "escape": "esc"}
LAST = ("app.help", "app.quit")
"""What stays where not everything fits: whoever knows these finds the rest."""


class KeyLine(Widget):
    """``enter Open  e Next finding  / Filter  ? Help  q Quit``: as many as fit."""

    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self._keys: list[tuple[str, str, str]] = []
        """The key that is pressed for a click, how it is written, and what it does."""

    def on_mount(self) -> None:
        """Hears of every change of the keys."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        ends: list[tuple[str, str, str]] = []
        keys: dict[str, tuple[str, str, str]] = {}
        typing = screen.focused if isinstance(screen.focused, Input) else None
        for active in screen.active_bindings.values():
            binding = active.binding
            if not binding.show or not active.enabled or (typing is not None and active.node is not typing):
                continue  # where something is typed, the other keys are letters
            shown = NAMES.get(binding.key) or self.app.get_key_display(binding)
            each = (binding.key, safe(shown, 20), safe(binding.description, 40))
            if binding.id in LAST:
                ends.append(each)
            else:
                keys.setdefault(binding.action, each)
        new = [*keys.values(), *ends]
        if new != self._keys:
            self._keys = new
            self.refresh()

    def _shown(self) -> list[tuple[str, list[Part]]]:
        """What fits: the last two always."""
        pieces: list[tuple[str, list[Part]]] = [
            (key, [(GAP[:1], ""), (shown, "bold $footer-key-foreground"), (f" {words}{GAP[:1]}", "$foreground")])
            for key, shown, words in self._keys
        ]
        room = self.size.width - sum(parts_length(parts) for _, parts in pieces[-len(LAST) :])
        fitting: list[tuple[str, list[Part]]] = []
        for each in pieces[: -len(LAST)]:
            room -= parts_length(each[1])
            if room < 0:
                break
            fitting.append(each)
        return [*fitting, *pieces[-len(LAST) :]]

    def render(self) -> Content:
        """All that fits."""
        return Content.assemble(*(part for _, parts in self._shown() for part in parts))

    def on_click(self, event: events.Click) -> None:
        """As the key under the pointer."""
        x = 0
        for key, parts in self._shown():
            x += parts_length(parts)
            if event.x < x:
                self.app.simulate_key(key)
                return
