"""One finding on the screen: both requests byte for byte, the evidence, the rule's page, and every key of the view."""

from __future__ import annotations

from pathlib import Path

import sample
from driving import lines, press, settle, text, toasts
from textual.pilot import Pilot

from traceaudit_tui.app import Inspector
from traceaudit_tui.screens.finding import FindingScreen
from traceaudit_tui.screens.rule import RuleScreen

WIDE = (120, 40)


def finding(pilot: Pilot[None]) -> FindingScreen:
    screen = pilot.app.screen
    assert isinstance(screen, FindingScreen)
    return screen


async def test_a_finding_shows_both_requests_byte_for_byte(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=(150, 90)) as pilot:
        await settle(pilot)
        await press(pilot, "2", "enter")
        shown = text(pilot)
        for word in (
            "✘ TP001 traceparent-dropped", "● proven 0.9996", "finding 1 of 6", "← 1 of 12 →", "shop/checkout.go:42",
            "into the service: GET /checkout?cart=17", "out of it: GET inventory/stock/17?w=2",
            "given by the audit: traceparent, b3multi", "= x-request-id forwarded",
            "not sent", "Authorization: not recorded",
            "X-Esc: \\x1b[2J\\x1b[31mred\\x1b[0m", "X-Bold: [bold]loud[/bold]", "A… (69,760 more)",
            "X-Nul: before\\x00after", "why this link is believed",
            "3 in flight · brought by 1 · uncaused per s 0.0004",
            "the call carries a request id that the request brought",
        ):  # fmt: skip
            assert word in shown, word


async def test_trace_headers_come_first_with_their_signs(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=(180, 60)) as pilot:
        await settle(pilot)
        await press(pilot, "2", "j", "j", "enter")
        shown = lines(pilot)
        start = next(i for i, line in enumerate(shown) if "trace headers" in line)
        signs = [line.strip()[0] + " " + line.split(":")[0].split()[-1] for line in shown[start + 1 :] if ": " in line][
            :4
        ]
        assert signs == ["≠ traceparent", "= tracestate", "= x-b3-traceid", "= x-b3-spanid"]


async def test_occurrences_are_walked_and_end(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "2", "enter")
        for key, expected in [("left", 0), ("right", 1), ("l", 2), ("h", 1), ("left", 0)]:
            await press(pilot, key)
            assert expected == finding(pilot).occurrence
        assert "This is the first occurrence." in toasts(pilot)
        await press(pilot, *["right"] * 12)
        assert "← 12 of 12 →" in text(pilot)
        assert "This is the last occurrence." in toasts(pilot)
        assert "out of it: GET inventory/stock/28?w=2" in text(pilot)


async def test_findings_are_walked_from_within_one(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "2", "enter")
        for key, code in [
            ("E", "TP001"),
            *[("e", c) for c in ("TP003", "TP011", "TP021", "WC004", "CP003", "CP003")],
            ("E", "WC004"),
        ]:
            await press(pilot, key)
            assert code == finding(pilot).finding.code
        assert "This is the last finding." in toasts(pilot)


async def test_a_finding_about_no_call_shows_what_there_is(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "2", "G", "enter", "w", "right", "left", "v")
        assert "The route GET /health saw no request." in text(pilot)
        assert "No request is known to have caused this call." in toasts(pilot)


async def test_the_candidates_of_an_ambiguous_link_are_all_shown(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=(140, 60)) as pilot:
        await settle(pilot)
        await press(pilot, "2", "j", "j", "j", "enter")
        shown = text(pilot)
        for word in (
            "○ ambiguous 0.81 by timing", "POST /orders", "call 40.0 ms after it, 28.0 ms after its end", "0.15",
            "0.04", "no request: a poller, a ticker, start-up", "error", "connection reset by peer", "\\x1b[31m[/]",
            "The call carries the context of another request [bold]\\x1b[31m.",
        ):  # fmt: skip
            assert word in shown, word


async def test_a_finding_s_page_scrolls_like_a_pager(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "2", "enter")
        page = pilot.app.screen.query_one("#case")
        assert page.has_focus
        for key, check in [
            ("j", lambda y: y == 1), ("down", lambda y: y == 2), ("k", lambda y: y == 1),
            ("G", lambda y: y == page.max_scroll_y),
            ("g", lambda y: y == 0), ("space", lambda y: y > 10), ("pageup", lambda y: y == 0),
            ("pagedown", lambda y: y > 10),
            ("home", lambda y: y == 0), ("end", lambda y: y == page.max_scroll_y),
            ("ctrl+b", lambda y: y < page.max_scroll_y),
        ]:  # fmt: skip
            await press(pilot, key)
            await pilot.wait_for_scheduled_animations()
            assert check(round(page.scroll_y)), (key, page.scroll_y)


async def test_whole_values_are_shown_on_demand(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "2", "enter")
        page = pilot.app.screen.query_one("#case")
        short = page.max_scroll_y
        await press(pilot, "v")
        assert page.max_scroll_y > short + 1000
        await press(pilot, "v")
        assert short == page.max_scroll_y


async def test_the_rule_s_page_is_beside_the_finding_or_over_it(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=(180, 50)) as pilot:
        await settle(pilot)
        await press(pilot, "2", "enter")
        assert "What usually causes it in Go" in text(pilot)
    async with Inspector(audit_db).run_test(size=(80, 50)) as pilot:
        await settle(pilot)
        await press(pilot, "2", "enter")
        assert "What usually causes it in Go" not in text(pilot)
        await press(pilot, "r")
        assert isinstance(pilot.app.screen, RuleScreen)
        assert "What usually causes it in Go" in text(pilot)
        await press(pilot, "j", "G", "g", "question_mark", "r")
        assert isinstance(pilot.app.screen, FindingScreen)


async def test_a_rule_of_another_version_has_no_page(audit_db: Path) -> None:
    db = sample.Database(audit_db)
    db.execute("insert into rules (code) values ('ZZ999')")
    db.execute("update findings set code = 'ZZ999', severity = 'fatal', confidence = 'sure' where id = 1")
    db.conn.commit()
    db.close()
    async with Inspector(audit_db).run_test(size=WIDE) as pilot:
        await settle(pilot)
        await press(pilot, "2", "G", "k", "enter", "r")
        assert "This version of traceaudit has no page for ZZ999" in text(pilot)


async def test_what_envoy_would_do_is_told(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=(120, 100)) as pilot:
        await settle(pilot)
        await press(pilot, "2", "enter")
        shown = text(pilot)
        assert "what Envoy does with it" in shown
        assert "↻ restarted by OpenTelemetry" in shown
        await press(pilot, "G", "escape", "G", "enter")
        assert "what Envoy does with it" not in text(pilot)
