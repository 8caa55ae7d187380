"""Nothing that came over the wire reaches the terminal as anything but text: every view, toast, title and the SVG."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sample
from driving import app_of, look_again, press, settle, text
from textual.pilot import Pilot

from traceaudit_tui import columns
from traceaudit_tui.app import Inspector

EVIL = (
    "\x1b]0;owned\x07\x1b[31m\x9b31m\u202e\u200b[bold red]x[/] [/ [@click=app.quit]y[/] $error\x00\r\n\tz" + "L" * 5000
)
PLACES = [
    ["1"],
    ["2"],
    ["2", "enter"],
    ["3"],
    ["3", "enter"],
    ["4"],
    ["4", "G", "enter"],
    ["5"],
    ["5", "enter"],
    ["6"],
    ["6", "enter"],
    ["4", "y"],
    ["4", "dollar_sign"],
    ["2", "question_mark"],
    ["4", "c"],
    ["L"],
    ["2", "enter", "r"],
]


@pytest.fixture
def evil_db(tmp_path: Path) -> Path:
    """Every text that a database holds is hostile."""
    shop = sample.Shop(tmp_path / "audit.db")
    shop.run(service=EVIL)
    inbound = shop.exchange("i" + EVIL, "inbound", 0, 5, f"GET{EVIL} /{EVIL}", EVIL, [("X", EVIL), (EVIL, "1")], EVIL)
    call = shop.exchange(
        "o" + EVIL, "outbound", 1, 5, f"GET{EVIL} /{EVIL}", EVIL, [("traceparent", EVIL), (EVIL, EVIL)], EVIL,
        error=EVIL, minted=[EVIL],
    )  # fmt: skip
    other = shop.exchange("u" + EVIL, "outbound", 2, 5, "GET /u", "/u", [], EVIL)
    shop.link(call, inbound, EVIL, 0.6, **{EVIL: EVIL})
    shop.link(call, "i-gone" + EVIL, EVIL, 0.4, rank=2, list=[EVIL, {EVIL: EVIL}])
    shop.link(other, None, EVIL, 0.6)
    edge = shop.edge(EVIL, EVIL, EVIL)
    shop.outcomes(call, inbound, edge, **{"traceparent": "dropped", EVIL: EVIL})
    shop.db.execute("update outcomes set detail = ?", [EVIL])
    sample.RULES[EVIL] = (EVIL, EVIL)
    try:
        shop.insert("rules", [{"code": EVIL, "slug": EVIL, "severity": EVIL, "summary": EVIL}])
        shop.finding(EVIL, edge, [(call, inbound)], "traceparent", EVIL, EVIL, EVIL, location=EVIL)
    finally:
        del sample.RULES[EVIL]
    shop.db.conn.commit()
    shop.close()
    (tmp_path / "audit.db.log").write_text(f"service │ {EVIL}\nerror {EVIL}\n", encoding="utf-8")
    return tmp_path / "audit.db"


def check(pilot: Pilot[None]) -> None:
    screen = text(pilot)
    bad = {character for character in screen if not character.isprintable() and character != "\n"}
    assert set() == bad
    actions = {
        action
        for strip in pilot.app.screen._compositor.render_strips()
        for segment in strip
        if segment.style and (action := segment.style.meta.get("@click"))
    }
    assert "app.quit" not in actions
    svg = pilot.app.export_screenshot()
    assert set() == {character for character in svg if not character.isprintable() and character != "\n"} - {"\xa0"}


@pytest.mark.parametrize("size", [(80, 24), (180, 60)], ids=["small", "wide"])
async def test_hostile_text_goes_through_every_view_as_text(evil_db: Path, size: tuple[int, int]) -> None:
    async with Inspector(evil_db).run_test(size=size) as pilot:
        app_of(pilot).columns = tuple(columns.offered(()))
        await settle(pilot)
        for place in PLACES:
            await press(pilot, *place)
            check(pilot)
            assert "\\x1b" in text(pilot) or place[-1] == "r"
            await press(pilot, "escape", "escape")
    assert app_of(pilot).fault == ""


async def test_hostile_headers_go_through_a_finding_as_text(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=(120, 100)) as pilot:
        await settle(pilot)
        await press(pilot, "2", "enter")
        check(pilot)
        shown = text(pilot)
        assert "[bold]X-Name\\x1b[31m: a name may lie too" in shown
        assert "\\u202egnp.exe\\u2066x\\u2069" in shown
        await press(pilot, "v")
        check(pilot)


async def test_hostile_text_in_an_announcement_is_text(evil_db: Path) -> None:
    async with Inspector(evil_db).run_test(size=(120, 40), notifications=True) as pilot:
        await settle(pilot)
        db = sample.Database(evil_db)
        db.execute("update findings set header = 'b3'")
        db.conn.commit()
        db.close()
        await look_again(pilot)
        check(pilot)
        assert "New finding" in text(pilot)


async def test_what_reaches_the_terminal_holds_no_sequence_of_the_data(
    evil_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes that Textual writes, not only the screen that it composes."""
    written = io.StringIO()
    app = Inspector(evil_db)
    async with app.run_test(size=(120, 40)) as pilot:
        driver = app._driver
        assert driver is not None
        monkeypatch.setattr(driver, "write", written.write)
        monkeypatch.setattr(type(app), "is_headless", property(lambda _: False))
        await settle(pilot)
        for place in PLACES:
            await press(pilot, *place)
            app.screen._compositor_refresh()
            app._display(app.screen, app.screen._compositor.render_update(full=True))
        monkeypatch.undo()
    sent = written.getvalue().replace("\x1b]22;default\x07", "")  # Textual's own: the pointer's shape
    sent = re.sub(r"\x1b\]52;c;[0-9A-Za-z+/=]*\x07", "", sent)  # what is copied, which no terminal reads as anything
    assert "owned" in sent
    for sequence in ("\x1b]0;owned", "\x9b31m", "\x07", "\u202e", "\u200b"):
        assert sequence not in sent


def test_textual_is_imported_by_the_app_only_and_mitmproxy_by_nobody() -> None:
    code = (
        "import sys; import traceaudit_tui, traceaudit_tui.queries, traceaudit_tui.signs, traceaudit_tui.verdict;"
        "assert not {'textual', 'rich'} & set(sys.modules), 'too early';"
        "import traceaudit_tui.app; print(sorted({'textual', 'mitmproxy', 'traceaudit.audit', 'traceaudit.commands',"
        " 'traceaudit.capture', 'traceaudit.correlation'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert (result.stdout.strip(), result.stderr) == ("['textual']", "")
