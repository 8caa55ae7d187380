"""Help for the view one is looking at: what it shows, its keys, and the signs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget

from traceaudit.filters import FIELDS
from traceaudit_tui.screens.searched_box import SearchedBox
from traceaudit_tui.signs import CONFIDENCES, MUTED, OUTCOMES, SEVERITIES, Part, Sign
from traceaudit_tui.widgets.lines import Lines, rule, wrapped
from traceaudit_tui.widgets.pager import Pager

KEY_WIDTH = 16
KEYS = {
    "escape": "esc",
    "enter": "enter",
    "right": "→",
    "left": "←",
    "up": "↑",
    "down": "↓",
    "question_mark": "?",
    "equals_sign": "=",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "slash": "/",
    "semicolon": ";",
    "colon": ":",
    "dollar_sign": "$",
    "pageup": "pgup",
    "pagedown": "pgdn",
}
"""How a key is written, where it differs from its name or from what the footer shows of its first key."""


FILTERS = (
    "Terms beside each other must all hold; or, not (or a minus) and parentheses do what they say. A term without a "
    "field is a text to look for. path:stock is somewhere in it, path=/stock/17 all of it, * stands for anything, "
    "quotes keep words together, and code:TP001,WC is one of several."
)


class HelpText(Lines):
    """The page itself."""

    def __init__(self, about: str, keys: Sequence[tuple[str, str]], *, filtered: bool) -> None:
        super().__init__()
        self._about = about
        self._keys = keys
        self._filtered = filtered

    def lines(self, width: int) -> list[Content]:
        """About, keys, the filter's language, signs."""
        lines = [*wrapped([(self._about, "")], width), Content(""), rule("keys", width)]
        for keys, words in self._keys:
            lines += _item([(keys, "bold $text-primary")], [(words, "")], width)
        if self._filtered:
            lines += [Content(""), rule("filter", width), *wrapped([(FILTERS, "")], width), Content("")]
            for field in FIELDS.values():
                words_ = [(f"{field.about}  ", ""), (field.example, MUTED)]
                lines += _item([(field.name, "bold $text-primary")], words_, width)
        for title, signs in (
            ("what became of a header", OUTCOMES.items()),
            ("findings", SEVERITIES.items()),
            ("confidence", CONFIDENCES.items()),
        ):
            lines += [Content(""), rule(title, width)]
            for word, sign in signs:
                lines += _item([(f"{sign.sign} {word}", sign.style)], [(_meaning(word, sign), "")], width)
        return lines


def _meaning(word: str, sign: Sign) -> str:
    return sign.meaning.removeprefix(f"{word}: ")


def _item(title: list[Part], words: list[Part], width: int) -> list[Content]:
    lines = wrapped(words, width, KEY_WIDTH)
    head = Content.assemble(*title)
    if head.cell_length >= KEY_WIDTH:
        return [head, *lines]
    head = Content.assemble(head, " " * (KEY_WIDTH - head.cell_length))
    return [Content.assemble(head, lines[0][KEY_WIDTH:]), *lines[1:]] if lines else [head]


def keys_of(screen: Screen[Any]) -> list[tuple[str, str]]:
    """What each key does on a screen just now: the view's own first, then the list's, then the app's."""
    nodes: list[object] = [screen, *screen.focus_chain, screen.app]
    actions: dict[tuple[int, str], list[str]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        # Textual's own (focus, copy) have no id; whoever needs those knows them.
        if binding.description and binding.id and active.enabled and active.node in nodes:
            keys = actions.setdefault((nodes.index(active.node), binding.description), [])
            shown = KEYS.get(binding.key) or screen.app.get_key_display(binding)
            if shown not in keys:
                keys.append(shown)
    listed = [(" ".join(keys), words) for (_, words), keys in sorted(actions.items(), key=lambda item: item[0][0])]
    return [*listed, ("ctrl+p", "Command palette: everything, themes, a screenshot")]


class HelpScreen(SearchedBox):
    """Over the screen it explains."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,backspace", "close", "Close", id="help.close", key_display="esc"),
    ]

    def __init__(self, title: str, about: str, keys: Iterable[tuple[str, str]], *, filtered: bool) -> None:
        """``filtered``: the view has a filter."""
        super().__init__()
        self._title = title
        self._text = HelpText(about, list(keys), filtered=filtered)

    def body(self) -> Iterable[Widget]:
        """A box in the middle."""
        box = Vertical(Pager(self._text), id="help")
        box.border_title = self._title
        yield box
