"""Every view and every key of it, by keyboard and by mouse, from the smallest terminal to the widest."""

from __future__ import annotations

from pathlib import Path

import pytest
import sample
from driving import app_of, lines, press, settle, text, toasts
from textual.pilot import Pilot

from traceaudit_tui.app import Inspector
from traceaudit_tui.screens.call import CallScreen
from traceaudit_tui.screens.coverage import CoverageScreen
from traceaudit_tui.screens.exchanges import ExchangesScreen, RequestsScreen, UncausedScreen
from traceaudit_tui.screens.finding import FindingScreen
from traceaudit_tui.screens.findings import FindingsScreen
from traceaudit_tui.screens.help import HelpScreen
from traceaudit_tui.screens.matrix import MatrixScreen
from traceaudit_tui.screens.rule import RuleScreen
from traceaudit_tui.screens.waterfall import WaterfallScreen
from traceaudit_tui.widgets.outcome_grid import OutcomeGrid
from traceaudit_tui.widgets.row_list import RowList
from traceaudit_tui.widgets.run_strip import ViewTabs

WIDE = (120, 40)
VIEWS = {
    "1": MatrixScreen,
    "2": FindingsScreen,
    "3": RequestsScreen,
    "4": ExchangesScreen,
    "5": UncausedScreen,
    "6": CoverageScreen,
}


def rows(pilot: Pilot[None]) -> RowList:
    return pilot.app.screen.query_one(RowList)


def finding(pilot: Pilot[None]) -> FindingScreen:
    screen = pilot.app.screen
    assert isinstance(screen, FindingScreen)
    return screen


async def test_each_view_has_its_key_and_escape_leads_home(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=WIDE) as pilot:
        await settle(pilot)
        for key, screen in VIEWS.items():
            await press(pilot, key)
            assert isinstance(pilot.app.screen, screen)
        await press(pilot, "escape")
        assert isinstance(pilot.app.screen, MatrixScreen)
        await press(pilot, "escape")
        assert isinstance(pilot.app.screen, MatrixScreen)


async def test_a_view_s_key_leads_to_its_bottom_from_whatever_is_above(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "2", "enter", "w", "2")
        assert isinstance(pilot.app.screen, FindingsScreen)


async def test_a_click_on_a_tab_goes_there(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=WIDE) as pilot:
        await settle(pilot)
        tabs = next(line for line in lines(pilot) if "1 Matrix" in line)
        for key, screen in VIEWS.items():
            await pilot.click(ViewTabs, offset=(tabs.index(f"{key} {screen.MODE.capitalize()}"), 0))
            await settle(pilot)
            assert isinstance(pilot.app.screen, screen)


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
async def test_quit(audit_db: Path, key: str) -> None:
    app = Inspector(audit_db)
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press(key)
        await pilot.pause()
        assert not app.is_running or app._exit
    assert (app.return_code or 0) == 0


@pytest.mark.parametrize(
    "keys", [["1"], ["2"], ["2", "enter"], ["3"], ["3", "enter"], ["4"], ["5"], ["5", "enter"], ["6"]]
)
async def test_help_explains_this_view_and_every_key_it_names_can_be_pressed(audit_db: Path, keys: list[str]) -> None:
    async with Inspector(audit_db).run_test(size=(100, 100)) as pilot:
        await settle(pilot)
        await press(pilot, *keys)
        screen = pilot.app.screen
        about = getattr(screen, "ABOUT", "").split(". ")[0]
        await press(pilot, "question_mark")
        assert isinstance(pilot.app.screen, HelpScreen)
        shown = text(pilot)
        assert about.split()[0] in shown
        for word in ("Quit", "Pause", "Help", "dropped", "ambiguous", "Back", "ctrl+p"):
            assert word in shown, word
        assert "Scroll" not in shown
        await press(pilot, "j", "k", "G", "g", "question_mark")
        assert screen is pilot.app.screen
        for close in ("escape", "q"):
            await press(pilot, "question_mark", close)
            assert screen is pilot.app.screen


async def test_light_and_dark(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test() as pilot:
        await settle(pilot)
        assert app_of(pilot).current_theme.dark
        await press(pilot, "t")
        assert not app_of(pilot).current_theme.dark
        await press(pilot, "t")
        assert app_of(pilot).current_theme.dark


async def test_the_command_palette_knows_the_views(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=WIDE) as pilot:
        await settle(pilot)
        await pilot.press("ctrl+p", *"uncau")
        await pilot.pause(0.3)
        await press(pilot, "enter")
        assert isinstance(pilot.app.screen, UncausedScreen)


# --- matrix ----------------------------------------------------------------------------------------------------------


async def test_the_matrix_shows_sign_word_share_and_count(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=(140, 40)) as pilot:
        await settle(pilot)
        line = next(line for line in lines(pilot) if "inventory GET /stock/{id}" in line)
        assert line.split()[-12:] == [
            "✘",
            "dropped",
            "100%",
            "12",
            "✘",
            "dropped",
            "100%",
            "12",
            "=",
            "forwarded",
            "100%",
            "12",
        ]


async def test_the_matrix_is_walked_by_keys_and_mouse(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=WIDE) as pilot:
        await settle(pilot)
        grid = pilot.app.screen.query_one(OutcomeGrid)
        table = (
            "j 1 0  down 2 0  k 1 0  up 0 0  l 0 1  right 0 2  right 0 2  h 0 1  left 0 0  end 0 2  home 0 0  G 3 0"
            "  g 0 0  pagedown 3 0  pageup 0 0  e 0 1  e 1 0  e 3 0  E 1 0  E 0 1  E 0 0  E 0 0  space 3 0"
        )
        walk = table.split()
        for key, row, column in zip(walk[::3], map(int, walk[1::3]), map(int, walk[2::3]), strict=True):
            await press(pilot, key)
            assert (row, column) == (grid.row, grid.column), key
        line = next(line for line in lines(pilot) if "POST /charge" in line)
        await pilot.click(OutcomeGrid, offset=(line.index("restarted" if "restarted" in line else "↻"), 2))
        await settle(pilot)
        assert (grid.row, grid.column) == (1, 0)
        assert "restarted on 12 calls" in text(pilot)
        await pilot.click(OutcomeGrid, offset=(line.index("↻"), 2))
        await settle(pilot)
        assert finding(pilot).finding.code == "TP011"


async def test_a_cell_with_several_findings_opens_their_list_and_back(audit_db: Path) -> None:
    shop = sample.Shop.__new__(sample.Shop)
    shop.db, shop.run_id, shop.edges = sample.Database(audit_db), 1, {}
    shop.finding("TP013", 1, [("s1", "i1")], "tracestate", "A second one.", "a", "b")
    shop.close()
    async with Inspector(audit_db).run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "enter")
        assert isinstance(pilot.app.screen, FindingsScreen)
        assert len(rows(pilot).keys) == 2
        await press(pilot, "enter", "escape", "escape")
        assert isinstance(pilot.app.screen, MatrixScreen)


async def test_a_clean_cell_says_so(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "j", "j", "enter")
        assert isinstance(pilot.app.screen, MatrixScreen)
        assert "No finding on these calls." in toasts(pilot)


# --- findings --------------------------------------------------------------------------------------------------------


async def test_findings_are_listed_the_gravest_and_most_frequent_first(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=(150, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "2")
        shown = [line for line in lines(pilot) if line.strip().startswith(("✘", "▲", "•", "▌")) and "→" in line]
        assert [next(word for word in line.split() if word[-3:].isdigit()) for line in shown] == [
            "TP001",
            "TP003",
            "TP011",
            "TP021",
            "WC004",
        ]
        first = " ".join(shown[0].split())
        for word in ("proven", "GET /checkout → inventory GET /stock/{id}", "12 10:00:44.254", "█"):
            assert word in first
        assert "✘ 3 errors, 1 warning, 1 note, 1 ambiguous" in text(pilot)


async def test_findings_are_walked_and_the_preview_follows(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "2")
        assert "expected a traceparent of trace" in text(pilot)
        await press(pilot, "e", "j")
        assert "observed trace" in text(pilot)
        await press(pilot, "E")
        assert "observed no B3 header" in text(pilot)
        await press(pilot, "G")
        assert "The route GET /health saw no request." in text(pilot)
        await press(pilot, "g", "enter")
        assert finding(pilot).finding.code == "TP001"


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({}, "empty: nothing has come"),
        ({"inbound": 3}, "inconclusive: 3 requests, but no outbound call was seen"),
        ({"inbound": 3, "outbound": 4}, "inconclusive: 4 calls, none surely linked to a request"),
        ({"inbound": 3, "outbound": 4, "linked": 2}, "nothing found in 2 of 4 calls; 2 not surely linked"),
        ({"inbound": 3, "outbound": 4, "linked": 4}, "✓ clean: nothing found in 4 linked calls"),
        ({"runs": 0}, "empty: nothing has come"),
    ],
)
async def test_no_findings_never_looks_like_all_is_well_unless_it_is(
    tmp_path: Path, counts: dict[str, int], words: str
) -> None:
    path = sample.build_quiet(tmp_path / "audit.db", **counts)
    async with Inspector(path).run_test(size=(100, 24)) as pilot:
        await settle(pilot)
        for key in VIEWS:
            await press(pilot, key)
            assert words in text(pilot)
            assert ("✓" in text(pilot)) == ("clean:" in words)


async def test_every_key_does_no_harm_where_there_is_nothing(tmp_path: Path) -> None:
    path = sample.build_quiet(tmp_path / "audit.db")
    async with Inspector(path).run_test(size=(100, 24)) as pilot:
        await settle(pilot)
        for key, screen in VIEWS.items():
            await press(pilot, key)
            await pilot.press(*"jkgGeEf", "enter", "space", "pageup", "home", "end", "left", "right")
            await settle(pilot)
            assert isinstance(pilot.app.screen, screen)
        assert "empty: nothing has come" in text(pilot)


# --- requests, exchanges, uncaused -----------------------------------------------------------------------------------


async def test_a_request_opens_as_a_waterfall(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "3", "e", "enter")
        assert isinstance(pilot.app.screen, WaterfallScreen)
        shown = lines(pilot)
        request = next(line for line in shown if "GET /checkout?cart=17" in line)
        stock = next(line for line in shown if "GET inventory/stock/17" in line)
        late = next(line for line in shown if "POST mail:2525/send" in line)
        assert "█" in request
        assert "▆" in stock
        assert stock.split()[0] == "✘"
        assert "╌" in late or "▸" in late
        assert "┆" in late
        assert stock.index("▆") > request.index("█")
        assert "0 to 48.0 ms" in text(pilot)


async def test_the_waterfall_is_walked_and_leads_on(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "3", "e", "enter")
        waterfall = pilot.app.screen
        assert "request i0" in text(pilot)
        await press(pilot, "f", "enter")
        assert waterfall is pilot.app.screen
        await press(pilot, "e")
        assert "finding TP001" in text(pilot)
        await press(pilot, "e")
        assert "finding TP011" in text(pilot)
        await press(pilot, "E", "f")
        assert finding(pilot).finding.code == "TP001"
        await press(pilot, "w")
        assert isinstance(pilot.app.screen, WaterfallScreen)
        assert "call s0" in text(pilot)
        await press(pilot, "escape", "escape", "enter")
        assert isinstance(pilot.app.screen, CallScreen)
        await press(pilot, "j", "G", "g", "v", "f")
        assert finding(pilot).finding.code == "TP001"
        await press(pilot, "escape", "w", "escape", "escape")
        assert waterfall is pilot.app.screen
        await press(pilot, "G", "e", "e")
        assert "No further finding in this request." in toasts(pilot)


async def test_a_request_that_never_ended_and_one_without_calls(tmp_path: Path) -> None:
    shop = sample.Shop(tmp_path / "audit.db")
    shop.run()
    shop.exchange("i1", "inbound", 0, None, "GET /slow", "GET /slow", [], status=None)
    shop.exchange("o1", "outbound", 5, 3, "GET /x", "GET /x", [], "up:80")
    shop.link("o1", "i1", "isolated", 1.0)
    shop.exchange("i2", "inbound", 9, 0, "GET /none", "GET /none", [])
    shop.close()
    async with Inspector(tmp_path / "audit.db").run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "3", "enter")
        assert "GET up/x" in text(pilot)
        await press(pilot, "escape", "j", "enter")
        assert "█" in text(pilot)


async def test_next_finding_walks_the_exchanges_in_their_order(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        seen = []
        for key in ("e", "e", "e", "E", "E", "E"):
            await press(pilot, key)
            seen.append(rows(pilot).cursor)
        assert seen == [seen[0], seen[1], seen[2], seen[1], seen[0], seen[0]]
        assert seen[0] < seen[1] < seen[2]
        assert "No further finding in this list." in toasts(pilot)


async def test_exchanges_open_by_their_direction(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "4", "enter")
        assert isinstance(pilot.app.screen, CallScreen)
        assert "no request is known to have caused it" in text(pilot)
        await press(pilot, "f", "w", "escape", "j", "enter")
        assert isinstance(pilot.app.screen, WaterfallScreen)
        await press(pilot, "escape", "f")
        assert "No finding is about this." in toasts(pilot)
        await press(pilot, "e", "f")
        assert isinstance(pilot.app.screen, FindingScreen)


async def test_uncaused_calls_are_listed_with_how_sure_that_is(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "5")
        assert text(pilot).count("GET config:7000/flags") == 2
        assert text(pilot).count("● 0.9999") == 2
        await press(pilot, "enter")
        assert "by isolated: no request caused it" in text(pilot)
        assert "idle s 41.5" in text(pilot)


# --- sizes -----------------------------------------------------------------------------------------------------------

SIZES = [(80, 24), (250, 80), (30, 8)]
PLACES = [["1"], ["2"], ["2", "enter"], ["3"], ["3", "e", "enter"], ["4"], ["4", "enter"], ["5"], ["2", "enter", "r"]]


@pytest.mark.parametrize("size", SIZES, ids=[f"{w}x{h}" for w, h in SIZES])
async def test_no_view_runs_over_its_terminal(audit_db: Path, size: tuple[int, int]) -> None:
    async with Inspector(audit_db).run_test(size=size) as pilot:
        await settle(pilot)
        for place in PLACES:
            await press(pilot, *place)
            strips = pilot.app.screen._compositor.render_strips()
            assert size[1] == len(strips)
            assert {size[0]} == {strip.cell_length for strip in strips}
            await press(pilot, "escape", "escape")


@pytest.mark.parametrize("place", PLACES, ids=["-".join(place) for place in PLACES])
async def test_at_80_columns_the_footer_is_whole(audit_db: Path, place: list[str]) -> None:
    async with Inspector(audit_db).run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, *place)
        assert "Quit" in lines(pilot)[-1] or isinstance(pilot.app.screen, RuleScreen)


async def test_a_terminal_that_changes_its_size_is_followed(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=(160, 50)) as pilot:
        await settle(pilot)
        for place in (["1"], ["2", "enter"], ["3", "e", "enter"], ["4"]):
            await press(pilot, *place)
            for size in ((80, 24), (160, 50)):
                await pilot.resize_terminal(*size)
                await settle(pilot)
                assert {size[0]} == {strip.cell_length for strip in pilot.app.screen._compositor.render_strips()}
            await press(pilot, "escape", "escape")
