"""Which keys there are, and how the configuration changes them: ``[keys]``, what keys do by its id, and the keys."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import Keys, _character_to_key

from traceaudit.safe import safe
from traceaudit_tui.app import Inspector
from traceaudit_tui.screens.base import AuditScreen
from traceaudit_tui.screens.choosing_columns import ColumnsScreen
from traceaudit_tui.screens.copying import CopyScreen
from traceaudit_tui.screens.help import HelpScreen
from traceaudit_tui.screens.reading import TextScreen
from traceaudit_tui.screens.rule import RuleScreen
from traceaudit_tui.screens.searched_box import SearchedBox
from traceaudit_tui.widgets.outcome_grid import OutcomeGrid
from traceaudit_tui.widgets.pager import Pager
from traceaudit_tui.widgets.row_list import RowList

BOXES: dict[str, list[type[Any]]] = {
    "a text": [TextScreen, SearchedBox, Pager],
    "a rule's page": [RuleScreen, SearchedBox, Pager],
    "help": [HelpScreen, SearchedBox, Pager],
    "the forms to copy": [CopyScreen],
    "the columns": [ColumnsScreen, RowList],
}
"""What stands over a view, and answers to keys by itself."""

_NAMED = {each.value for each in Keys if not each.value.startswith("<")}
_MODIFIERS = ("ctrl+", "shift+", "alt+", "super+", "meta+", "hyper+")


def bindings() -> dict[str, Binding]:
    """Every key that can be changed, by the id of what it does; where several screens share an id, the first."""
    found: dict[str, Binding] = {}
    for owner in _owners():
        for binding in vars(owner).get("BINDINGS", ()):
            if isinstance(binding, Binding) and binding.id:
                found.setdefault(binding.id, binding)
    return found


def _owners() -> Iterator[type[DOMNode]]:
    roots: list[type[Any]] = [Inspector, AuditScreen, RowList, OutcomeGrid, Pager]
    roots += [SearchedBox, CopyScreen, ColumnsScreen]
    for root in roots:
        yield root
        yield from _below(root)


def _below(owner: type[Any]) -> Iterator[type[Any]]:
    for each in owner.__subclasses__():
        yield each
        yield from _below(each)


def read(keys: Mapping[str, str], place: str = "") -> dict[str, str]:
    """The keymap that a configuration asks for, which was read at ``place``. Raises ValueError with what is wrong."""
    known = bindings()
    keymap: dict[str, str] = {}
    where = f"keys in {safe(place, 200)}" if place else "keys"
    for id_, text in keys.items():
        if id_ not in known:
            close = difflib.get_close_matches(id_, known, n=1)
            hint = f": did you mean {close[0]}?" if close else f"; there are {', '.join(sorted(known))}"
            raise ValueError(f"{where}: there is no {safe(id_, 60)}{hint}")
        # A comma parts keys, and is itself called comma.
        named = [key.strip() for key in text.split(",")]
        for key in named:
            if not _is_key(key):
                raise ValueError(
                    f"{where}: {safe(id_)}: {safe(key, 60)!r} is no key: write j, F, ctrl+n, f5 or pagedown"
                )
        keymap[id_] = ",".join(named)
    wrong = collision(keymap)
    if wrong is not None:
        raise ValueError(f"{where}: {wrong}")
    return keymap


def collision(keymap: Mapping[str, str]) -> str | None:
    """The first key that a keymap gives two meanings in one place, as a sentence; None: there is none."""
    for title, owners in _places():
        usual, asked = _meanings(owners, {}), _meanings(owners, keymap)
        for key, meanings in asked.items():
            # What shares a key as it is (a view's own meaning goes before the app's) may go on doing so.
            if len(meanings) > 1 and not meanings.keys() <= usual.get(key, {}).keys():
                both = " and ".join(f"{id_} ({words})" for id_, words in list(meanings.items())[:2])
                return f"{key} would be both {both} in {title}; give one of them another key"
    return None


def _meanings(owners: Sequence[type[DOMNode]], keymap: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What each key does in a place: ids and their words."""
    meanings: dict[str, dict[str, str]] = defaultdict(dict)
    for owner in owners:
        for binding in vars(owner).get("BINDINGS", ()):
            if isinstance(binding, Binding) and binding.id:
                for key in keymap.get(binding.id, binding.key).split(","):
                    name = _character_to_key(key) if len(key) == 1 else key
                    meanings[name].setdefault(binding.id, binding.description)
    return meanings


def _places() -> Iterator[tuple[str, list[type[DOMNode]]]]:
    """Every screen with its title, and what answers to keys there: what has the focus, the screen, the app."""
    for screen in _below(AuditScreen):
        if not _abstract(screen):
            yield screen.TITLE or screen.MODE.capitalize(), [screen.FOCUS, *_audit_screens(screen), Inspector]
    yield from BOXES.items()


def _abstract(screen: type[AuditScreen]) -> bool:
    return not screen.ABOUT


def _audit_screens(screen: type[AuditScreen]) -> list[type[DOMNode]]:
    return [each for each in screen.__mro__ if issubclass(each, AuditScreen)]


def _is_key(key: str) -> bool:
    bare = key
    while bare.startswith(_MODIFIERS):
        bare = bare.partition("+")[2]
    if len(bare) == 1:
        return bare.isprintable() and bare != " "
    return key in _NAMED or bare in _NAMED or bare in {_character_to_key(chr(code)) for code in range(0x21, 0x7F)}
