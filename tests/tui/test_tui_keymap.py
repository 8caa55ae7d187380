"""Keys are changed in the configuration; a wrong one is named before anything is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from driving import app_of, press, settle, text

from traceaudit_tui import keymap
from traceaudit_tui.app import Inspector, run
from traceaudit_tui.screens.exchanges import ExchangesScreen
from traceaudit_tui.widgets.row_list import RowList

ROOT = Path(__file__).parent.parent.parent


async def test_a_key_is_changed_and_the_usual_one_does_nothing(audit_db: Path) -> None:
    app = Inspector(audit_db)
    app.set_keymap(keymap.read({"list.down": "down, ctrl+n", "view.exchanges": "X", "filter.edit": "ctrl+s"}))
    async with app.run_test(size=(100, 60)) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        assert app_of(pilot).current_mode == "matrix"
        await press(pilot, "X")
        assert isinstance(pilot.app.screen, ExchangesScreen)
        rows = pilot.app.screen.query_one(RowList)
        for key, place in (("j", 0), ("ctrl+n", 1), ("down", 2), ("k", 1)):
            await press(pilot, key)
            assert rows.cursor == place
        assert "^s Filter" in text(pilot)
        await press(pilot, "question_mark")
        assert re.search(r"↓ \^n +Down", text(pilot))


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"list.don": "j"}, "there is no list.don: did you mean list.down?"),
        ({"list.down": "hyperspace"}, "list.down: 'hyperspace' is no key: write j, F, ctrl+n, f5 or pagedown"),
        ({"list.down": ""}, "list.down: '' is no key"),
        ({"\x1b[31m": "j"}, "there is no \\x1b[31m"),
    ],
)
def test_a_wrong_key_is_named_and_ends_with_2(
    audit_db: Path, keys: dict[str, str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(audit_db, keys) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            {"subject.mark": "j"},
            "keys in traceaudit.toml: j would be both page.down (Down) and subject.mark (Mark, or take the mark away)",
        ),
        ({"filter.edit": "ctrl+f"}, "ctrl+f would be both list.page_down (Page down) and filter.edit (Filter) in "),
        ({"app.pause": "p", "app.help": "p"}, "p would be both app.pause (Pause) and app.help (Help) in "),
        ({"app.pause": "/"}, "slash would be both search.edit (Search) and app.pause (Pause) in "),
        ({"copy.close": "x", "text.copy": "escape"}, "escape would be both text.close (Close) and text.copy (Copy) in"),
    ],
)
def test_a_key_with_two_meanings_in_one_view_is_refused(
    audit_db: Path, keys: dict[str, str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(audit_db, keys, place="traceaudit.toml") == 2
    assert words in capsys.readouterr().err


def test_keys_may_change_places_and_mean_different_things_in_different_views() -> None:
    assert keymap.read({"list.down": "k", "list.up": "j"})
    assert keymap.read({"finding.rule": "S", "filter.sql": "R"})
    assert keymap.collision({}) is None


def test_every_key_is_documented() -> None:
    page = (ROOT / "docs/inspector.md").read_text(encoding="utf-8")
    assert [id_ for id_ in keymap.bindings() if f"`{id_}`" not in page] == []


def test_the_configuration_on_the_page_is_right() -> None:
    page = (ROOT / "docs/inspector.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n\[keys\]\n(.*?)```", page, re.DOTALL)
    assert keymap.read(dict(re.findall(r'^"(.+?)" = "(.+?)"$', block, re.MULTILINE)))
