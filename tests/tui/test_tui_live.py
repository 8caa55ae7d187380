"""The inspector follows a run that is writing: without stealing the cursor, and not while it is paused."""

from __future__ import annotations

from pathlib import Path

import pytest
import sample
from driving import app_of, look_again, press, settle, text, toasts

from traceaudit_tui.app import Inspector
from traceaudit_tui.screens.exchanges import ExchangeList
from traceaudit_tui.screens.finding import FindingScreen
from traceaudit_tui.screens.findings import FindingsScreen
from traceaudit_tui.widgets.row_list import RowList


@pytest.fixture
def shop(tmp_path: Path) -> sample.Shop:
    shop = sample.Shop(tmp_path / "audit.db")
    shop.run()
    return shop


def path_of(shop: sample.Shop) -> Path:
    return Path(shop.db.execute("pragma database_list").fetchone()[2])


def drop(shop: sample.Shop, code: str, number: int, message: str = "gone") -> None:
    inbound, stock, _ = sample.checkout(shop, number, number * 1000.0)
    edge = shop.edge("GET /checkout", "inventory.default.svc:80", "GET /stock/{id}")
    shop.finding(code, edge, [(stock, inbound)], "traceparent", message, "one", "none")


async def test_an_empty_run_says_so_and_fills_by_itself(shop: sample.Shop) -> None:
    async with Inspector(path_of(shop)).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        assert "? empty: nothing has come through the proxy yet" in text(pilot)
        sample.checkout(shop, 1, 0)
        await look_again(pilot)
        assert "GET /checkout → inventory GET /stock/{id}" in text(pilot)
        assert "clean: nothing found in 2 linked calls" in text(pilot)


async def test_the_timer_looks_by_itself(shop: sample.Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traceaudit_tui.app.POLL_S", 0.01)
    async with Inspector(path_of(shop)).run_test() as pilot:
        await settle(pilot)
        stamp = app_of(pilot).stamp
        sample.checkout(shop, 1, 0)
        while app_of(pilot).stamp == stamp:
            await pilot.pause(0.01)
        await settle(pilot)
        assert app_of(pilot).summary.counts.inbound == 1


async def test_nothing_is_read_when_nothing_was_written(shop: sample.Shop) -> None:
    async with Inspector(path_of(shop)).run_test() as pilot:
        await settle(pilot)
        stamp = app_of(pilot).stamp
        await look_again(pilot)
        assert stamp == app_of(pilot).stamp


async def test_new_findings_are_announced_once_and_old_ones_are_not(shop: sample.Shop) -> None:
    drop(shop, "TP003", 1)
    async with Inspector(path_of(shop)).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        assert toasts(pilot) == []
        drop(shop, "TP001", 2)
        await look_again(pilot)
        expected = "New finding: ✘ TP001 traceparent-dropped GET /checkout → inventory GET /stock/{id}"
        assert [expected] == toasts(pilot)
        shop.db.execute("update findings set occurrences = occurrences + 1")
        shop.db.conn.commit()
        await look_again(pilot)
        assert [expected] == toasts(pilot)


async def test_several_new_findings_are_one_announcement(shop: sample.Shop) -> None:
    async with Inspector(path_of(shop)).run_test() as pilot:
        await settle(pilot)
        for number, code in enumerate(["TP001", "TP003", "TP011"]):
            drop(shop, code, number)
        await look_again(pilot)
        (toast,) = toasts(pilot)
        assert toast.startswith("3 new findings: ✘ TP001")
        assert toast.endswith("and 2 more")


async def test_the_cursor_stays_on_its_finding_when_graver_ones_arrive(shop: sample.Shop) -> None:
    drop(shop, "WC004", 1)
    drop(shop, "TP003", 2)
    async with Inspector(path_of(shop)).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "2", "G")
        screen = app_of(pilot).screen
        assert isinstance(screen, FindingsScreen)
        assert screen.finding is not None
        assert screen.finding.code == "WC004"
        for number, code in enumerate(["TP001", "TP011"], 3):
            drop(shop, code, number)
        await look_again(pilot)
        assert (len(app_of(pilot).summary.findings), screen.finding.code) == (4, "WC004")


async def test_the_cursor_stays_even_when_the_audit_writes_its_findings_anew(shop: sample.Shop) -> None:
    drop(shop, "TP001", 1)
    drop(shop, "TP003", 2)
    async with Inspector(path_of(shop)).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "2", "j")
        shop.db.execute("update finding_occurrences set finding_id = 100 - finding_id")
        shop.db.execute("update findings set id = 100 - id")
        shop.db.conn.commit()
        await look_again(pilot)
        screen = app_of(pilot).screen
        assert isinstance(screen, FindingsScreen)
        assert screen.finding is not None
        assert (screen.finding.code, screen.finding.id) == ("TP003", 98)


async def test_an_open_finding_stays_at_its_occurrence_and_counts_on(shop: sample.Shop) -> None:
    drop(shop, "TP001", 1)
    async with Inspector(path_of(shop)).run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "2", "enter")
        assert "← 1 of 1 →" in text(pilot)
        inbound, stock, _ = sample.checkout(shop, 0, 500)
        shop.insert(
            "finding_occurrences", [{"finding_id": 1, "outbound_id": stock, "inbound_id": inbound, "probability": 1}]
        )
        await look_again(pilot)
        screen = app_of(pilot).screen
        assert isinstance(screen, FindingScreen)
        assert "← 2 of 2 →" in text(pilot)
        assert "s1" in text(pilot)


async def test_a_finding_that_the_audit_takes_back_is_not_shown_as_if_it_stood(shop: sample.Shop) -> None:
    drop(shop, "TP001", 1)
    async with Inspector(path_of(shop)).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "2", "enter")
        shop.db.execute("delete from finding_occurrences")
        shop.db.execute("delete from findings")
        shop.db.conn.commit()
        await look_again(pilot)
        assert "no longer there" in text(pilot)
        await press(pilot, "e", "E", "right", "w", "escape")


async def test_paused_it_shows_nothing_new_until_it_is_let_go(shop: sample.Shop) -> None:
    async with Inspector(path_of(shop)).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        assert "● following" in text(pilot)
        await press(pilot, "equals_sign")
        assert "‖ paused" in text(pilot)
        drop(shop, "TP001", 1)
        await look_again(pilot)
        assert app_of(pilot).summary.findings == ()
        await press(pilot, "equals_sign")
        assert len(app_of(pilot).summary.findings) == 1
        assert "● following" in text(pilot)


@pytest.mark.parametrize(("key", "new"), [("3", 1), ("4", 3)])
async def test_lists_of_exchanges_grow_at_their_end(shop: sample.Shop, key: str, new: int) -> None:
    for number in range(40):
        sample.checkout(shop, number + 1, number * 100.0)
    async with Inspector(path_of(shop)).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, key, "j", "j")
        rows = pilot.app.screen.query_one(RowList)
        count, here, keys = len(rows.keys), rows.key, list(rows.keys)
        sample.checkout(shop, 99, 0)  # earlier than what is there: it is added at the end all the same
        await look_again(pilot)
        assert (count + new, here) == (len(rows.keys), rows.key)
        assert keys == list(rows.keys)[:count]
        await look_again(pilot)
        assert count + new == len(rows.keys)


async def test_a_link_that_is_decided_later_is_shown(shop: sample.Shop) -> None:
    shop.exchange("o1", "outbound", 1, 1, "GET /x", "GET /x", [("Host", "up")], "up:80")
    async with Inspector(path_of(shop)).run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        assert "undecided" in text(pilot)
        shop.link("o1", None, "isolated", 0.9999)
        await look_again(pilot)
        assert "undecided" not in text(pilot).replace("1 undecided", "")
        await press(pilot, "5")
        assert "GET up/x" in text(pilot)


async def test_a_screen_below_catches_up_when_it_comes_back(shop: sample.Shop) -> None:
    sample.checkout(shop, 1, 0)
    async with Inspector(path_of(shop)).run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "3", "2")
        sample.checkout(shop, 2, 100)
        await look_again(pilot)
        await press(pilot, "3")
        screen = pilot.app.screen
        assert isinstance(screen, ExchangeList)
        assert len(screen.query_one(RowList).keys) == 2


async def test_the_end_of_the_run_is_shown(shop: sample.Shop) -> None:
    async with Inspector(path_of(shop)).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        assert "not ended" in text(pilot)
        shop.end(sample.START_NS + 90 * 1000 * sample.MS)
        await look_again(pilot)
        assert "■ ended" in text(pilot)
        assert "1 m 30 s" in text(pilot)


async def test_a_new_run_is_followed_and_an_old_one_can_be_looked_at(shop: sample.Shop) -> None:
    drop(shop, "TP001", 1)
    async with Inspector(path_of(shop)).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "4", "2")
        shop.edges.clear()
        shop.run("cart")
        await look_again(pilot)
        assert "cart" in text(pilot)
        assert "run 2" in text(pilot)
        assert toasts(pilot) == []
        await press(pilot, "left_square_bracket")
        assert "run 1" in text(pilot)
        assert "TP001" in text(pilot)
        await press(pilot, "left_square_bracket")
        assert "There is no earlier run." in toasts(pilot)
        await press(pilot, "right_square_bracket", "right_square_bracket")
        assert "run 2" in text(pilot)
        await press(pilot, "4")
        assert list(pilot.app.screen.query_one(RowList).keys) == []


async def test_a_long_list_is_read_in_stretches_and_is_the_same(
    shop: sample.Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("traceaudit_tui.screens.exchange_list.LONG", 10)
    for number in range(20):
        sample.checkout(shop, number + 1, number * 100.0)
    async with Inspector(path_of(shop)).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        rows = pilot.app.screen.query_one(RowList)
        assert list(rows.keys) == list(app_of(pilot).audit.exchange_keys(1))
        assert len(rows.keys) == 60
        sample.checkout(shop, 99, 0)
        await look_again(pilot)
        assert len(rows.keys) == 63
        await press(pilot, "e")
        assert "No further finding in this list." in toasts(pilot)
