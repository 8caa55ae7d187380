"""What has been exercised, and what has not: routes, upstreams, and what the settings name."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from driving import app_of, lines, press, settle, text, toasts
from textual.pilot import Pilot

from traceaudit_tui.app import Inspector
from traceaudit_tui.screens.coverage import CoverageScreen
from traceaudit_tui.screens.exchanges import ExchangesScreen
from traceaudit_tui.screens.finding import FindingScreen
from traceaudit_tui.widgets.bypasses import Bypasses
from traceaudit_tui.widgets.row_list import RowList

SIZE = (120, 40)
SETTINGS = {
    "routes": {"inventory": "127.0.0.1:1", "reviews": "127.0.0.1:2"},
    "upstreams": {"payment": "9101:127.0.0.1:1"},
    "expect": ["mail", "ledger"],
    "known_routes": ["GET /products/{product}", "GET /health"],
}


def change(path: Path, sql: str, *parameters: object) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(sql, parameters)


@pytest.fixture
def configured(audit_db: Path) -> Path:
    change(audit_db, "update runs set settings = ?", json.dumps(SETTINGS))
    return audit_db


def shown(pilot: Pilot[None]) -> list[list[str]]:
    return [line.replace("▌", " ").split() for line in lines(pilot) if " route " in line or " upstream " in line][1:]


async def test_what_was_never_seen_comes_first_and_then_what_was(configured: Path) -> None:
    async with Inspector(configured).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "6")
        assert [" ".join(line[:5]) for line in shown(pilot)] == [
            "✘ route GET /health never",
            "✘ upstream reviews never seen",
            "✘ upstream ledger never seen",
            "· route GET /products/{id} 30",
            "· route GET /checkout 12",
            "· route POST /orders 3",
            "· upstream catalog:9090 30 10:00:49.391",
            "· upstream inventory 12 TP001",
            "· upstream payment:8080 12 TP011",
            "· upstream mail:2525 3 3",
            "· upstream config:7000 2 10:00:30.020",
        ]
        (checkout,) = (line for line in shown(pilot) if "/checkout" in line)
        assert checkout[4:] == ["12", "24", "TP001", "TP003", "+2", "10:00:44.250"]


async def test_a_line_opens_its_exchanges(configured: Path) -> None:
    async with Inspector(configured).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "6", *"jjjj", "enter")
        assert isinstance(pilot.app.screen, ExchangesScreen)
        rows = pilot.app.screen.query_one(RowList)
        assert len(rows.keys) == 12
        await press(pilot, "escape", "G", "enter")
        assert len(pilot.app.screen.query_one(RowList).keys) == 2
        await press(pilot, "escape")
        assert isinstance(pilot.app.screen, CoverageScreen)


async def test_what_went_round_the_audit_opens_its_finding(configured: Path) -> None:
    change(configured, "insert into edges values (90, 1, '', '10.0.0.9:80', '')")
    change(
        configured,
        "insert into findings (id, run_id, edge_id, code, slug, severity, confidence, probability, header, occurrences)"
        " values (90, 1, 90, 'CP001', 'upstream-bypasses-proxy', 'error', 'proven', 1, '', 1)",
    )
    async with Inspector(configured).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "6", *"jjj")
        assert "10.0.0.9:80  went round the audit" in text(pilot)
        await press(pilot, "enter")
        screen = pilot.app.screen
        assert isinstance(screen, FindingScreen)
        assert screen.finding.code == "CP001"
        assert "→ 10.0.0.9" in text(pilot)


async def test_what_went_round_the_audit_stands_below_the_uncaused_calls(configured: Path) -> None:
    async with Inspector(configured).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "5", "b")
        assert "round the audit" not in text(pilot)
        assert toasts(pilot) == ["No connection is known to have gone round the audit."]
    for number, authority in enumerate(["10.0.0.9:80", "\x1b[31mevil:1"]):
        change(configured, "insert into edges values (?, 1, '', ?, '')", 90 + number, authority)
        change(
            configured,
            "insert into findings (id, run_id, edge_id, code, slug, severity, confidence, probability, header,"
            " occurrences) values (?, 1, ?, 'CP001', 'upstream-bypasses-proxy', 'error', 'proven', 1, '', 3)",
            90 + number,
            90 + number,
        )
    async with Inspector(configured).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "5")
        assert "went round the audit: b shows why" in text(pilot)
        assert "! 10.0.0.9" in text(pilot)
        assert "! \\x1b[31mevil:1 3×" in text(pilot)
        await press(pilot, "b")
        assert isinstance(pilot.app.screen, FindingScreen)
        assert pilot.app.screen.finding.code == "CP001"
        await press(pilot, "escape")
        await pilot.click(Bypasses)
        await settle(pilot)
        assert isinstance(pilot.app.screen, FindingScreen)


async def test_gaps_and_findings_are_walked(configured: Path) -> None:
    async with Inspector(configured).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "6")
        rows = pilot.app.screen.query_one(RowList)
        walked = []
        for key in "eeeeEE":
            await press(pilot, key)
            walked.append(rows.cursor)
        assert walked == [1, 2, 4, 5, 4, 2]
        await press(pilot, "G", "e")
        assert "No further gap or finding." in toasts(pilot)
        await press(pilot, "g", "enter")
        assert "Nothing is known about it: it was never seen." in toasts(pilot)


@pytest.mark.parametrize("settings", ["", "no JSON", "[1]", '{"routes": 3, "known_routes": [1, null]}'])
async def test_settings_of_any_kind_do_no_harm(audit_db: Path, settings: str) -> None:
    change(audit_db, "update runs set settings = ?", settings)
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "6")
        assert len(shown(pilot)) == 8
        assert app_of(pilot).fault == ""
