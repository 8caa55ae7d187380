"""Something to be read that is longer than the screen: it scrolls by the keys of a pager."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll


class Pager(VerticalScroll, can_focus=True, inherit_bindings=False):
    """Scrolls by the keys of a pager; left and right are left to the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll_down", "Down", id="page.down", show=False),
        Binding("up,k", "scroll_up", "Up", id="page.up", show=False),
        Binding("home,g", "scroll_home", "Top", id="page.top", show=False),
        Binding("end,G", "scroll_end", "End", id="page.end", show=False),
        Binding("pagedown,ctrl+f,space", "page_down", "Page down", id="page.page_down", show=False),
        Binding("pageup,ctrl+b", "page_up", "Page up", id="page.page_up", show=False),
    ]
