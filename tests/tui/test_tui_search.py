"""`/`, `n` and `N` in the views that have no filter: the matrix, pages, short lists, the log."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import app_of, lines, press, settle, text, toasts
from sample import HOSTILE
from textual.pilot import Pilot
from textual.widgets import Input

from traceaudit_tui.app import Inspector
from traceaudit_tui.screens.finding import FindingScreen
from traceaudit_tui.screens.matrix import MatrixScreen
from traceaudit_tui.screens.searching import SearchedScreen
from traceaudit_tui.widgets.outcome_grid import OutcomeGrid
from traceaudit_tui.widgets.pager import Pager
from traceaudit_tui.widgets.row_list import RowList

SIZE = (100, 20)


async def search(pilot: Pilot[None], what: str) -> None:
    await press(pilot, "slash")
    pilot.app.screen.query_one(Input).value = what
    await settle(pilot)
    await press(pilot, "enter")


def cell(pilot: Pilot[None]) -> tuple[int, int]:
    grid = pilot.app.screen.query_one(OutcomeGrid)
    return (grid.row, grid.column)


async def test_the_matrix_finds_edges_and_words_of_cells_around_both_ends(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await search(pilot, "PAYMENT")
        assert "This is not to be found here." in toasts(pilot)
        await search(pilot, "payment")
        assert (row := cell(pilot)[0]) == 1
        await press(pilot, "n")
        assert cell(pilot)[0] == row
        await search(pilot, "dropped")
        seen = [cell(pilot)]
        while len(seen) < 2 or seen[-1] != seen[0]:
            await press(pilot, "n")
            seen.append(cell(pilot))
        assert len(set(seen)) == len(seen) - 1 > 2
        await press(pilot, "N")
        assert cell(pilot) == seen[-2]
        await press(pilot, "escape", "n")
        assert toasts(pilot)[-1] == "Nothing is looked for: press / for that."


async def test_a_page_marks_what_is_found_and_goes_there(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "2", "enter")
        page = pilot.app.screen.query_one("#case", Pager)
        await search(pilot, "candidate nobody wrote")
        # It is not on the page: the line stays and says so.
        assert "this is not on the page" in text(pilot)
        await press(pilot, "escape")
        await search(pilot, "in flight")
        assert page.scroll_y > 0
        assert any("in flight" in line for line in lines(pilot))
        place = page.scroll_y
        await search(pilot, "user-agent")
        assert page.scroll_y != place
        await press(pilot, "escape")
        assert isinstance(pilot.app.screen, FindingScreen)
        await press(pilot, "escape")
        assert not isinstance(pilot.app.screen, FindingScreen)


async def test_n_walks_the_places_of_a_page_and_begins_again(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "2", "enter")
        page = pilot.app.screen.query_one("#case", Pager)
        await search(pilot, "x-")
        seen = [page.scroll_y]
        for _ in range(40):
            await press(pilot, "n")
            if page.scroll_y == seen[0] and len(set(seen)) > 1:
                break
            seen.append(page.scroll_y)
        assert len(set(seen)) > 2
        assert page.scroll_y == seen[0]
        await press(pilot, "N")
        assert page.scroll_y != seen[0]


@pytest.mark.parametrize(
    ("keys", "needle", "found"),
    [
        (["3", "e", "enter"], "payment", "POST payment:8080/charge"),
        (["6"], "catalog", "catalog:9090"),
        (["6"], "GET /products", "GET /products/{id}"),
    ],
)
async def test_short_lists_go_to_the_row(audit_db: Path, keys: list[str], needle: str, found: str) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, *keys)
        await search(pilot, needle)
        rows = pilot.app.screen.query_one(RowList)
        assert found in next(line for line in lines(pilot) if line.startswith("▌"))
        here = rows.cursor
        await press(pilot, "n", "N")
        assert rows.cursor == here


async def test_the_log_is_searched_and_followed_on_its_last_line(audit_db: Path) -> None:
    log = audit_db.with_name("audit.db.log")
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "L")
        assert "There is no audit.db.log: `traceaudit run --tui` writes one." in toasts(pilot)
        log.write_text("".join(f"service │ line {n}\n" for n in range(300)) + "error     one \x1b[31mbad\n")
        await press(pilot, "L")
        rows = pilot.app.screen.query_one(RowList)
        assert rows.cursor == 300
        assert "error     one \\x1b[31mbad" in text(pilot)
        await search(pilot, "line 17")
        assert rows.cursor == 17
        await press(pilot, "n")
        assert rows.cursor == 170
        with log.open("a") as more:
            more.write("service │ new\nhalf a li")
        screen = pilot.app.screen
        screen._follow()  # type: ignore[attr-defined]  # what its timer does
        assert (len(rows.keys), rows.cursor) == (302, 170)
        await press(pilot, "G")
        with log.open("a") as more:
            more.write("ne\n")
        screen._follow()  # type: ignore[attr-defined]
        await settle(pilot)
        assert rows.cursor == 302
        assert "half a line" in text(pilot)
        assert "tail -F" in app_of(pilot).screen.command_text()  # type: ignore[attr-defined]
        await press(pilot, "escape", "escape")
        assert isinstance(pilot.app.screen, MatrixScreen)


async def test_what_is_looked_for_is_text_and_no_pattern(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=(120, 60)) as pilot:
        await settle(pilot)
        await press(pilot, "3", "j", "j", "enter", "down", "enter")
        assert isinstance(pilot.app.screen, SearchedScreen)
        for _, value in HOSTILE:
            await press(pilot, "slash")
            pilot.app.screen.query_one(Input).value = value[:200]
            await press(pilot, "enter", "escape")
        await press(pilot, "slash")
        pilot.app.screen.query_one(Input).value = "[bold](.*+?"
        await press(pilot, "enter")
        assert "this is not on the page" in text(pilot)
