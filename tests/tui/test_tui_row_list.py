"""The virtual list: fetches only what is seen, and never moves the row a person is looking at."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from textual.app import App, ComposeResult

from traceaudit_tui.widgets.row_list import PAGE, Cell, Column, RowList

COLUMNS = [Column("n", 8, right=True), Column("name", 10, flex=True), Column("wide only", 9, from_width=100)]


class Listed(App[None]):
    def __init__(self, count: int) -> None:
        super().__init__()
        self.rows = RowList(COLUMNS, self.fetch, empty="Nothing here.")
        self.count = count
        self.fetched: list[int] = []
        self.opened: list[int] = []

    def compose(self) -> ComposeResult:
        yield self.rows

    def on_mount(self) -> None:
        self.rows.show(array("q", range(10, 10 + self.count)))

    def fetch(self, keys: Sequence[int]) -> Mapping[int, Sequence[Cell]]:
        self.fetched += keys
        return {key: [[(str(key), "")], [("row [bold]", "$text-error")], [("wide", "")]] for key in keys}

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        self.opened.append(event.key)

    def line(self, y: int) -> str:
        return self.rows.render_line(y).text.rstrip()


async def test_a_million_rows_are_opened_by_fetching_a_screenful() -> None:
    app = Listed(1_000_000)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("G")
        await pilot.pause()
        assert app.rows.key == 1_000_009
        assert "1000009" in app.line(23)
        assert len(app.fetched) <= 4 * PAGE


async def test_moving_stays_within_the_list_and_within_view() -> None:
    app = Listed(100)
    async with app.run_test(size=(80, 12)) as pilot:
        for keys, expected in [
            ("k", 10), ("j", 11), ("down", 12), ("up", 11), ("pagedown", 21), ("space", 31), ("pageup", 21),
            ("end", 109), ("j", 109), ("home", 10), ("G", 109), ("g", 10), ("ctrl+f", 20), ("ctrl+b", 10),
        ]:  # fmt: skip
            await pilot.press(keys)
            await pilot.pause()
            assert expected == app.rows.key, keys
            assert any(str(expected) in app.line(y) and "▌" in app.line(y) for y in range(1, 12)), keys


async def test_rows_that_arrive_before_the_cursor_do_not_move_it_on_the_screen() -> None:
    app = Listed(100)
    async with app.run_test(size=(80, 12)) as pilot:
        app.rows.go_to(60)
        await pilot.pause()
        y = next(y for y in range(1, 12) if "▌" in app.line(y))
        app.rows.show(array("q", [*range(1000, 1030), *range(10, 110)]))
        await pilot.pause()
        assert app.rows.key == 60
        assert "60" in app.line(y)
        assert "▌" in app.line(y)


async def test_rows_that_arrive_at_the_end_move_nothing() -> None:
    app = Listed(20)
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.press("G")
        before = [app.line(y) for y in range(12)]
        app.rows.extend(array("q", range(100, 200)))
        await pilot.pause()
        assert before == [app.line(y) for y in range(12)]
        await pilot.press("j")
        assert app.rows.key == 100


async def test_a_row_that_goes_away_leaves_the_cursor_where_it_was() -> None:
    app = Listed(20)
    async with app.run_test(size=(80, 12)) as pilot:
        app.rows.go_to(15)
        app.rows.show(array("q", [10, 11, 12]))
        await pilot.pause()
        assert app.rows.key == 12
        app.rows.show(array("q"))
        await pilot.pause()
        assert app.rows.key is None
        assert "Nothing here." in app.line(2)
        await pilot.press("enter", "j", "G", "pagedown")
        assert app.opened == []


async def test_a_click_puts_the_cursor_there_and_another_opens() -> None:
    app = Listed(20)
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.click(RowList, offset=(5, 4))
        assert (app.rows.key, app.opened) == (13, [])
        await pilot.click(RowList, offset=(5, 4))
        await pilot.click(RowList, offset=(5, 0))
        await pilot.pause()
        assert app.opened == [13]
        await pilot.press("enter")
        await pilot.pause()
        assert app.opened == [13, 13]


async def test_columns_follow_the_width_and_nothing_runs_over() -> None:
    for width in (20, 40, 80, 120, 250):
        app = Listed(3)
        async with app.run_test(size=(width, 8)) as pilot:
            await pilot.pause()
            assert ("wide only" in app.line(0)) == (width >= 100)
            for y in range(8):
                assert width == app.rows.render_line(y).cell_length


async def test_cells_are_never_markup() -> None:
    app = Listed(3)
    async with app.run_test(size=(80, 8)) as pilot:
        await pilot.pause()
        assert "row [bold]" in app.line(1)
