"""Where there is little room: what differs must not look alike, and what is said must not cover what it is about."""

from __future__ import annotations

import json
from array import array
from pathlib import Path

import pytest
import sample
from driving import lines, look_again, press, settle, text, toasts

from traceaudit_tui.app import Inspector
from traceaudit_tui.signs import edge_text
from traceaudit_tui.widgets.lines import cut_within
from traceaudit_tui.widgets.outcome_grid import OutcomeGrid
from traceaudit_tui.widgets.row_list import RowList

SIZE = (80, 24)
CALLS = [
    ("GET /recommendations/{customer}", "recommendations.default.svc:80", "GET /profile"),
    ("GET /recommendations/{customer}", "recommendations.default.svc:80", "GET /ranked"),
    ("POST /recommendations/{customer}", "recommendations.default.svc:80", "GET /profile"),
    ("", "config:7000", "GET /flags"),
]


@pytest.fixture
def long_edges(tmp_path: Path) -> Path:
    """Edges that no 80 columns hold."""
    shop = sample.Shop(tmp_path / "audit.db")
    shop.run()
    for number, (inbound, authority, outbound) in enumerate(CALLS):
        request = shop.exchange(f"i{number}", "inbound", number, 5, inbound or "GET /", inbound, [])
        call = shop.exchange(f"o{number}", "outbound", number, 2, outbound, outbound, [], authority)
        shop.link(call, request)
        edge = shop.edge(inbound, authority, outbound)
        formats = ("traceparent", "b3", "b3multi", "x_request_id")
        shop.outcomes(call, request, edge, **dict.fromkeys(formats, "forwarded"))
        if "profile" in outbound:
            shop.finding("TP012", edge, [(call, request)], "x-request-id", "gone", "one", "none")
    shop.close()
    return tmp_path / "audit.db"


async def test_edges_that_do_not_fit_stand_below_their_inbound_route(long_edges: Path) -> None:
    async with Inspector(long_edges).run_test(size=SIZE) as pilot:
        await settle(pilot)
        grid = pilot.app.screen.query_one(OutcomeGrid)
        shown = [line[:40].strip(" ▌›") for line in lines(pilot)]
        for inbound, outbound in (("GET", "profile"), ("GET", "ranked"), ("POST", "profile")):
            above = shown.index(f"{inbound} /recommendations/{{customer}}")
            assert any(outbound in line for line in shown[above + 1 : above + 3])
        assert len([line for line in shown if line.startswith("→") and "·" not in line]) == len(CALLS)
        # The mouse finds the row that it points at; a route's own line is its first call's.
        top = next(y for y, line in enumerate(lines(pilot)) if line.startswith("  call"))
        for y in range(1, len(CALLS) + 3):
            pointed = lines(pilot)[top + y][:40].strip(" ▌›")
            below = lines(pilot)[top + y + 1][:40].strip(" ▌›")
            # Never the same cell twice, which would open it.
            await pilot.click(OutcomeGrid, offset=(55 if y % 2 else 45, y))
            await settle(pilot)
            here = next(line for line in lines(pilot) if line.startswith("▌"))[:40].strip(" ▌›")
            assert here == (pointed if pointed.startswith("→") else below)
        assert grid.row == len(CALLS) - 1


async def test_a_wide_matrix_has_one_line_for_each_edge(long_edges: Path) -> None:
    async with Inspector(long_edges).run_test(size=(200, 24)) as pilot:
        await settle(pilot)
        grid = pilot.app.screen.query_one(OutcomeGrid)
        assert grid.virtual_size.height == len(grid.edges) + 1
        assert all(edge_text(edge) in text(pilot) for edge in grid.edges)


async def test_the_cursor_stays_in_view_with_the_route_above_it(long_edges: Path) -> None:
    async with Inspector(long_edges).run_test(size=(80, 13)) as pilot:
        await settle(pilot)
        for key in ("G", "g", "j", "j", "j", "k", "k", "pagedown", "pageup"):
            await press(pilot, key)
            grid = pilot.app.screen.query_one(OutcomeGrid)
            line = grid._line_of[grid.row] - grid.scroll_offset.y
            assert 0 <= line < grid.size.height - 1, key


async def test_findings_of_one_upstream_do_not_look_alike(long_edges: Path) -> None:
    async with Inspector(long_edges).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "2")
        shown = [line for line in lines(pilot) if "TP012" in line]
        assert all("GET /profile" in line or "/profile" in line for line in shown)
        assert len({line[4:] for line in shown}) == len(shown) == 2


@pytest.mark.parametrize(
    ("text_", "width", "expected"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "ab…ef"),
        ("abcdef", 4, "ab…f"),
        ("abcdef", 1, "…"),
        ("ab日本語ef", 6, "ab…ef"),
        ("", 3, ""),
    ],
)
def test_the_middle_of_what_does_not_fit_gives_way(text_: str, width: int, expected: str) -> None:
    assert expected == cut_within(text_, width)


async def test_what_a_key_says_is_said_once_and_on_the_last_line(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE, notifications=True) as pilot:
        await settle(pilot)
        before = lines(pilot)
        await press(pilot, "E", "E", "E")
        assert toasts(pilot) == ["No further fault in the matrix."]
        after = lines(pilot)
        assert before[:-1] == after[:-1]
        assert after[-1].endswith("No further fault in the matrix.")


async def test_an_announcement_fits_the_last_line(tmp_path: Path) -> None:
    shop = sample.Shop(tmp_path / "audit.db")
    shop.run()
    async with Inspector(tmp_path / "audit.db").run_test(size=SIZE, notifications=True) as pilot:
        await settle(pilot)
        inbound, stock, _ = sample.checkout(shop, 1, 0)
        for code in ("TP012", "TP004"):
            shop.finding(code, shop.edge(*CALLS[0]), [(stock, inbound)], "x-request-id", "gone", "one", "none")
        await look_again(pilot)
        (said,) = toasts(pilot)
        assert said.startswith("2 new findings: ✘ TP0")
        assert said.endswith("and 1 more")
        assert said in lines(pilot)[-1]
    shop.close()


async def test_where_something_is_typed_the_line_of_the_keys_names_no_others(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        for place in (["4", "slash"], ["2", "enter", "slash"], ["2", "question_mark", "slash"], ["4", "colon"]):
            await press(pilot, *place)
            assert lines(pilot)[-1].split("  ") == [" ↑ Earlier", "enter Take it", "tab Complete", "esc Leave it"]
            await press(pilot, "escape")
            assert "Take it" not in lines(pilot)[-1]
            await press(pilot, "escape", "escape")


@pytest.mark.parametrize("view", ["1", "3", "4"])
async def test_where_to_send_requests_is_read_on_the_smallest_screen(tmp_path: Path, view: str) -> None:
    shop = sample.Shop(tmp_path / "audit.db")
    shop.run()
    address = "127.0.0.1:25006"
    shop.db.table("runs").update(1, {"settings": json.dumps({"inbound": f"{address}:28080"})})
    shop.close()
    async with Inspector(tmp_path / "audit.db").run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, view)
        assert f"send requests to http://{address}" in lines(pilot)[1]
        assert all(f"send requests to http://{address}" in line for line in lines(pilot) if "Empty so far" in line)


async def test_why_there_is_nothing_is_wrapped_and_not_cut(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        rows = pilot.app.screen.query_one(RowList)
        rows.empty = "There is nothing here, " * 8 + "whatever one does."
        rows.show(array("q"))
        await settle(pilot)
        shown = " ".join(" ".join(lines(pilot)).split())
        assert rows.empty in shown
