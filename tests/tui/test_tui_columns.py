"""The columns of the list of exchanges are chosen, put in order, remembered and configured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from driving import app_of, lines, press, settle, text, toasts
from textual.pilot import Pilot
from textual.widgets import Input

from traceaudit_tui import columns
from traceaudit_tui.app import Inspector, run
from traceaudit_tui.screens.choosing_columns import ColumnsScreen

SIZE = (140, 45)


def titles(pilot: Pilot[None]) -> list[str]:
    """The first line of the list."""
    return next(line for line in lines(pilot) if line.startswith("  time")).split()


async def command(pilot: Pilot[None], words: str) -> None:
    await press(pilot, "colon")
    pilot.app.screen.query_one(Input).value = words
    await press(pilot, "enter")


async def test_columns_are_taken_left_moved_and_made_usual_again(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        assert titles(pilot) == ["time", "request", "status", "took", "cause", "findings"]
        await press(pilot, "c", "j", "space", "j", "j", "enter", "J", "escape")
        assert titles(pilot) == ["time", "request", "took", "cause", "findings"]
        await press(pilot, "c", "G", "enter", "K", "K", "escape")
        assert titles(pilot) == ["time", "request", "took", "user-agent", "cause", "findings"]
        assert re.search(r"ms +curl/8.7.1 ", text(pilot))
        # In another list of this session, too.
        await press(pilot, "j", "o")
        assert titles(pilot) == ["time", "request", "took", "user-agent", "cause", "findings"]
        await press(pilot, "c", "u", "c")
        assert not isinstance(pilot.app.screen, ColumnsScreen)
        assert titles(pilot) == ["time", "request", "status", "took", "cause", "findings"]


async def test_the_last_column_stays(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        await command(pilot, "columns time")
        await press(pilot, "c", "enter", "escape")
        assert titles(pilot) == ["time"]


async def test_a_command_names_columns_and_headers(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        await command(pilot, "columns time, id,link,Header:X-Request-Id")
        assert titles(pilot) == ["time", "id", "link", "x-request-id"]
        assert re.search(r"i0 +6f1c0c3e-8a51-4b9e-9a7d-1d5ebeef0000", text(pilot))
        await command(pilot, "columns")
        assert "request" in titles(pilot)
        await command(pilot, "columns tme")
        assert "There is no column tme: did you mean time?" in toasts(pilot)
        await press(pilot, "2")
        await command(pilot, "columns time")
        assert "Only the list of exchanges has columns to choose." in toasts(pilot)


@pytest.mark.parametrize("size", [(80, 24), (250, 80)])
async def test_every_column_at_once_breaks_nothing(audit_db: Path, size: tuple[int, int]) -> None:
    app = Inspector(audit_db)
    app.columns = tuple(columns.offered(()))
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await press(pilot, "4", "G")
        assert all(len(line) <= size[0] for line in lines(pilot))
        assert titles(pilot)[:2] == ["time", "date"]


async def test_hostile_headers_are_text_in_columns(audit_db: Path) -> None:
    app = Inspector(audit_db)
    app.columns = columns.read(["id", *(f"header:x-{each}" for each in ("esc", "osc", "c1", "bidi", "bold", "long"))])
    async with app.run_test(size=(250, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "4", "g", "j")
        shown = text(pilot)
        assert "\\x1b[2J" in shown
        assert "\\u202egnp" in shown
        assert "[bold]loud[/bold]" in shown
        assert all(line.isprintable() for line in lines(pilot))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "a list needs a column"),
        (["stats"], "there is no column stats: did you mean status?"),
        (["\x1b[31m"], "there is no column \\x1b[31m; there are time, "),
        (["header:"], "'header:' names no header"),
        (["header:a b"], "'header:a b' names no header"),
    ],
)
def test_a_wrong_column_is_named(names: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        columns.read(names)


def test_a_wrong_column_in_the_configuration_ends_with_2(audit_db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(audit_db, columns=["tiem"], columns_place="traceaudit.toml") == 2
    assert "columns in traceaudit.toml: there is no column tiem: did you mean time?" in capsys.readouterr().err


def test_the_columns_of_the_page_are_columns() -> None:
    page = (Path(__file__).parents[2] / "docs/inspector.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^columns = \[(.*)\]$", page, re.MULTILINE)
    assert columns.read(re.findall(r'"(.*?)"', line))


async def test_every_column_says_what_it_shows(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=(100, 60)) as pilot:
        await settle(pilot)
        await press(pilot, "4", "c")
        shown = text(pilot)
        assert all(column in shown and columns.about(column) in shown for column in columns.offered(()))
        assert app_of(pilot).columns == columns.USUAL
