"""The filter in the inspector: typed, judged with every key, found, walked through, shown as SQL, taken away again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from driving import app_of, lines, look_again, press, settle, text, toasts
from textual.pilot import Pilot
from textual.widgets import Input

from traceaudit_tui.app import Inspector
from traceaudit_tui.screens.exchanges import ExchangesScreen
from traceaudit_tui.screens.filtering import FilteredScreen
from traceaudit_tui.screens.findings import FindingsScreen
from traceaudit_tui.screens.reading import TextScreen
from traceaudit_tui.widgets.filter_line import FilterLine
from traceaudit_tui.widgets.prompt import Prompt
from traceaudit_tui.widgets.row_list import RowList

SIZE = (120, 40)


async def type_in(pilot: Pilot[None], what: str) -> None:
    pilot.app.screen.query_one(Input).value += what
    await settle(pilot)


async def filter_by(pilot: Pilot[None], what: str) -> None:
    await press(pilot, "slash")
    pilot.app.screen.query_one(Input).value = what
    await press(pilot, "enter")


def prompt(pilot: Pilot[None]) -> Prompt:
    return pilot.app.screen.query_one(Prompt)


def ids(pilot: Pilot[None]) -> str:
    rows = pilot.app.screen.query_one(RowList)
    found = app_of(pilot).audit.exchanges(rows.keys)
    return " ".join(found[key].id for key in rows.keys)


@pytest.mark.parametrize(
    ("view", "what", "expected"),
    [
        ("4", "cause:i3", "s3 p3"),
        ("4", "code:TP021", "i2000 m2000 i2001 m2001 i2002 m2002"),
        ("4", "header:x-esc", "i0 s0"),
        ("4", "is:uncaused", "u0 u1"),
        ("3", "checkout -id:i0 until:10:00:09", "i1 i2"),
        ("5", "since:10:00:10", "u1"),
        ("4", "status:500", ""),
    ],
)
async def test_a_list_shows_what_its_filter_means(audit_db: Path, view: str, what: str, expected: str) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, view)
        everything = ids(pilot)
        await filter_by(pilot, what)
        assert ids(pilot) == expected
        count = len(expected.split())
        assert f"{count} found" in text(pilot)
        assert what in text(pilot)
        assert count or "Nothing matches the filter." in text(pilot)
        await press(pilot, "escape")
        assert ids(pilot) == everything
        assert not pilot.app.screen.query_one(FilterLine).display


async def test_a_filter_is_judged_with_every_key_and_a_wrong_one_is_not_taken(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4", "slash")
        line = pilot.app.screen.query_one(Input)
        await pilot.press(*"code:tp9")
        await settle(pilot)
        assert line.has_class("-bad")
        assert "✘ there is no rule tp9" in text(pilot)
        await press(pilot, "enter")
        assert prompt(pilot).asking == "filter"
        await pilot.press("backspace", *"001")
        await settle(pilot)
        assert line.has_class("-good")
        assert "✓ fine" in text(pilot)
        await press(pilot, "enter")
        assert prompt(pilot).asking == ""
        assert pilot.app.screen.query_one(RowList).has_focus


async def test_a_slow_filter_is_said_to_be(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4", "slash")
        await type_in(pilot, "header:traceparent")
        assert "may take a while" in text(pilot)


async def test_escape_leaves_the_prompt_and_keeps_the_filter(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        await filter_by(pilot, "is:uncaused")
        await press(pilot, "slash", "x", "escape")
        assert ids(pilot) == "u0 u1"
        screen = pilot.app.screen
        assert isinstance(screen, FilteredScreen)
        assert screen.filter is not None
        await press(pilot, "escape", "escape")
        assert screen.filter is None
        assert app_of(pilot).current_mode == "matrix"


async def test_what_was_typed_before_comes_back(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        for what in ("is:uncaused", "is:error", ""):
            await filter_by(pilot, what)
        await press(pilot, "slash")
        line = pilot.app.screen.query_one(Input)
        seen = []
        for key in ("up", "up", "up", "down", "down", "down"):
            await press(pilot, key)
            seen.append(line.value)
        assert seen == ["is:error", "is:uncaused", "is:uncaused", "is:error", "", ""]


async def test_a_field_is_completed(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4", "slash")
        await pilot.press(*"outc")
        await settle(pilot)
        await press(pilot, "tab")
        assert pilot.app.screen.query_one(Input).value == "outcome:"


async def test_what_is_pasted_becomes_one_line_of_printable_characters(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4", "slash")
        await type_in(pilot, "a\x1b]0;owned\x07\u202eb\u200b")
        assert pilot.app.screen.query_one(Input).value == "a]0;ownedb"


async def test_matches_are_walked_among_all(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        everything = ids(pilot)
        await filter_by(pilot, "cause:i3 or cause:i5")
        await press(pilot, "a")
        assert ids(pilot) == everything
        assert "4 found, all shown" in text(pilot)
        assert sum(line.startswith("›") for line in lines(pilot)) >= 1, text(pilot)
        rows = pilot.app.screen.query_one(RowList)
        seen = []
        await press(pilot, "g")
        for key in "nnnnnNN":
            await press(pilot, key)
            seen.append(app_of(pilot).audit.exchanges([rows.key or 0])[rows.key or 0].id)
        assert seen == ["s3", "p3", "s5", "p5", "p5", "s5", "p3"]
        assert "No further match in this list." in toasts(pilot)
        await press(pilot, "a")
        assert ids(pilot) == "s3 p3 s5 p5"
        await press(pilot, "g", "n", "n", "N")
        assert rows.cursor == 1


@pytest.mark.parametrize("view", ["2", "4"])
async def test_keys_of_a_filter_say_that_there_is_none(audit_db: Path, view: str) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, view)
        for key in "nNaS":
            pilot.app.clear_notifications()
            await press(pilot, key)
            assert toasts(pilot) == ["There is no filter: press / for one."]


@pytest.mark.parametrize(("view", "what"), [("4", 'path:"it\'s" status>=500'), ("2", "code:TP001 since:5m")])
async def test_the_sql_of_a_filter_is_shown_and_runs(audit_db: Path, view: str, what: str) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, view)
        await filter_by(pilot, what)
        await press(pilot, "S")
        screen = pilot.app.screen
        assert isinstance(screen, TextScreen)
        assert "escape '\\'" in screen.text or "findings" in screen.text
        with closing(sqlite3.connect(audit_db)) as db:
            assert len(db.execute(screen.text).fetchall()) == (1 if view == "2" else 0)
        await press(pilot, "y")
        assert screen.text == pilot.app.clipboard


async def test_findings_are_filtered_and_walked(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "2")
        screen = pilot.app.screen
        assert isinstance(screen, FindingsScreen)
        await filter_by(pilot, "confidence>=probable upstream:inventory")
        assert [each.code for each in screen.listed_findings()] == ["TP001", "TP003"]
        assert "2 of 6" in text(pilot)
        await press(pilot, "a", "G", "N", "N", "N")
        assert screen.finding is not None
        assert screen.finding.code == "TP001"
        await filter_by(pilot, "code:TP013")
        assert "None of 6 findings matches the filter." in text(pilot)


async def test_a_filter_is_followed_live(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        await filter_by(pilot, "is:uncaused")
        with closing(sqlite3.connect(audit_db, isolation_level=None)) as db:
            db.execute("update links set inbound_id = null where outbound_id = 'c1003'")
        await look_again(pilot)
        assert ids(pilot) == "u0 c1003 u1"


async def test_a_new_run_is_filtered_as_the_last_one(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        await filter_by(pilot, "is:uncaused")
        with closing(sqlite3.connect(audit_db, isolation_level=None)) as db:
            db.execute("insert into runs (id, started_ns, service, settings) values (2, 1, 'shop', '{}')")
        await look_again(pilot)
        assert ids(pilot) == ""


async def test_others_of_the_same_trace_are_shown(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "3", "o")
        screen = pilot.app.screen
        assert isinstance(screen, ExchangesScreen)
        assert ids(pilot) == "i1000 c1000"
        await filter_by(pilot, "id:i1000")
        assert ids(pilot) == "i1000"
        await press(pilot, "escape")
        assert ids(pilot) == "i1000 c1000"
        await press(pilot, "escape")
        assert app_of(pilot).current_mode == "requests"


async def test_an_exchange_without_identifiers_has_no_others(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "5", "o")
        assert "No trace id and no request id is in its headers." in toasts(pilot)


async def test_a_click_on_the_filter_lets_it_be_changed(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        await filter_by(pilot, "is:uncaused")
        await pilot.click(FilterLine)
        await settle(pilot)
        assert pilot.app.screen.query_one(Input).value == "is:uncaused"
