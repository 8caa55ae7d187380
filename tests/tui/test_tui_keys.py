"""What can be done with what one is looking at: mark, note, copy, save, and have it as a command."""

from __future__ import annotations

import csv
import json
import shlex
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from driving import app_of, lines, press, settle, text, toasts
from textual.pilot import Pilot
from textual.widgets import Input

from traceaudit.commands import main
from traceaudit.safe import safe
from traceaudit.store.reader import HeaderRow
from traceaudit_tui.app import Inspector
from traceaudit_tui.copies import curl, exchange_markdown, shell_word
from traceaudit_tui.rows import Exchange
from traceaudit_tui.screens.copying import CopyScreen
from traceaudit_tui.screens.finding import FindingScreen
from traceaudit_tui.screens.reading import TextScreen
from traceaudit_tui.widgets.row_list import RowList

SIZE = (120, 40)


def marks(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("select exchange_id, finding_id, note from marks order by id").fetchall()


async def answer(pilot: Pilot[None], key: str, what: str) -> None:
    await press(pilot, key)
    pilot.app.screen.query_one(Input).value = what
    await press(pilot, "enter")


# --- marks and notes --------------------------------------------------------------------------------------------------


async def test_a_mark_is_kept_and_taken_away(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4", "j", "j", "m")
        assert marks(audit_db) == [("c1000", None, "")]
        assert any(line.startswith("▌*") for line in lines(pilot))
        await press(pilot, "m")
        assert marks(audit_db) == []
        assert not any(line.startswith("▌*") for line in lines(pilot))


async def test_a_note_is_kept_shown_changed_and_emptied(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "2")
        await answer(pilot, "semicolon", "ask Ann")
        assert marks(audit_db) == [(None, 1, "ask Ann")]
        await press(pilot, "m")
        assert "It has a note: press ; and empty it first." in toasts(pilot)
        await press(pilot, "enter")
        assert "* ask Ann" in text(pilot)
        await press(pilot, "semicolon")
        assert pilot.app.screen.query_one(Input).value == "ask Ann"
        await press(pilot, "escape")
        await answer(pilot, "semicolon", "")
        assert marks(audit_db) == []
        assert "ask Ann" not in text(pilot)


async def test_a_call_s_note_is_shown_on_its_page_and_found_by_a_filter(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4", "j", "j", "enter")
        await answer(pilot, "semicolon", "odd")
        assert "* odd" in text(pilot)
        await press(pilot, "escape")
        await answer(pilot, "slash", "note:odd")
        assert "1 found" in text(pilot)
        assert "* odd" in text(pilot)


async def test_what_cannot_be_written_is_said(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        with closing(sqlite3.connect(audit_db, isolation_level=None)) as db:
            db.execute("create trigger no before insert on marks begin select raise(abort, 'no'); end")
        await press(pilot, "m")
        assert "The database cannot be written: no." in toasts(pilot)
        assert marks(audit_db) == []


async def test_a_hostile_note_is_text(audit_db: Path) -> None:
    with closing(sqlite3.connect(audit_db, isolation_level=None)) as db:
        db.execute("insert into marks (finding_id, note, marked_ns) values (1, ?, 1)", ["\x1b]0;x\x07[bold]"])
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "2", "enter")
        assert "* \\x1b]0;x\\x07[bold]" in text(pilot)
        await press(pilot, "semicolon")
        assert pilot.app.screen.query_one(Input).value == "]0;x[bold]"


@pytest.mark.parametrize("key", ["m", "semicolon", "y"])
async def test_where_there_is_nothing_it_is_said(audit_db: Path, key: str) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, key)
        assert toasts(pilot)[-1].startswith("There is nothing here to")


# --- copying ----------------------------------------------------------------------------------------------------------


async def test_a_form_is_chosen_by_its_letter_by_enter_or_by_mouse(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4", "j", "j", "y")
        assert isinstance(pilot.app.screen, CopyScreen)
        await press(pilot, "i")
        assert pilot.app.clipboard == "c1000"
        await press(pilot, "y", "down", "enter")
        assert pilot.app.clipboard.startswith("curl -i \\\n  -H 'traceparent: 00-")
        await press(pilot, "y", "escape", "y", "h")
        assert pilot.app.clipboard.startswith("Host: catalog\ntraceparent: 00-")
        await press(pilot, "2", "y", "m")
        assert pilot.app.clipboard.startswith(
            "**TP001 traceparent-dropped** (error, proven) `GET /checkout → inventory"
        )


HOSTILE = [
    "plain",
    "it's; rm -rf ~ `id` $(id) \\ \" ! *",
    "\x1b]0;owned\x07 a\nb\tc",
    "\x80\xff",
    "-o/etc/passwd",
    "caf\u00e9",
]


@pytest.mark.parametrize("value", HOSTILE, ids=repr)
def test_a_shell_reads_what_was_sent_and_nothing_else(value: str) -> None:
    word = shell_word(value)
    assert word.isprintable()
    said = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True).stdout
    assert said in (value.encode("latin-1"), value.encode())


def test_a_curl_command_leaves_out_what_was_not_recorded_and_what_curl_makes_itself() -> None:
    exchange = Exchange(1, "o1", "outbound", 0, 1, "POST", "pay:80", "/x?a='b'", "POST /x", 200, "", ())
    headers = [
        HeaderRow("Host", "pay"),
        HeaderRow("Authorization", "", redacted=True),
        HeaderRow("Content-Length", "5"),
        HeaderRow("X-Empty", ""),
        HeaderRow("X", "'; id #"),
    ]
    words = shlex.split(curl(exchange, headers).replace("\\\n", " "))
    assert words == ["curl", "-i", "-X", "POST", "-H", "X-Empty;", "-H", "X: '; id #", "http://pay:80/x?a='b'"]


def test_markdown_cannot_be_left() -> None:
    evil = "`` ``` </code><script>\n# x\x1b[31m"
    exchange = Exchange(1, evil, "outbound", 0, 1, "GET", evil, "/", "GET /", 200, "", ())
    page = exchange_markdown(exchange, [HeaderRow("X", evil)])
    fence = page.split("\n")[2]
    assert fence.startswith("````")
    assert page.count("\n" + fence[: fence.index("http")] + "\n") == 1
    assert "\x1b" not in page
    assert "\n# x" not in page


# --- saving -----------------------------------------------------------------------------------------------------------


async def test_a_list_is_saved_in_every_form(audit_db: Path, tmp_path: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        await answer(pilot, "slash", "id:i0 or id:m2000")
        for suffix in ("jsonl", "csv", "svg", "txt"):
            await answer(pilot, "x", str(tmp_path / f"out.{suffix}"))
            assert toasts(pilot)[-1].startswith(f"Saved to {tmp_path}")
        log = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
        assert [each["id"] for each in log] == ["i0", "m2000"]
        with (tmp_path / "out.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["id"] for row in rows] == ["i0", "m2000"]
        assert rows[1]["error"] == "connection reset by peer \\x1b[31m[/]"
        assert (tmp_path / "out.svg").read_text().startswith("<svg")
        assert "GET /checkout?cart=17" in (tmp_path / "out.txt").read_text()


async def test_findings_are_saved_as_markdown_and_csv(audit_db: Path, tmp_path: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "2")
        await answer(pilot, "x", str(tmp_path / "findings.md"))
        await answer(pilot, "x", str(tmp_path / "findings.csv"))
        assert (tmp_path / "findings.md").read_text().count("how to fix it") == 6
        assert (tmp_path / "findings.csv").read_text().count("\n") == 7
        await press(pilot, "enter")
        await answer(pilot, "x", str(tmp_path / "one.md"))
        assert (tmp_path / "one.md").read_text().count("how to fix it") == 1


async def test_a_spreadsheet_gets_no_formula(audit_db: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(audit_db, isolation_level=None)) as db:
        db.execute("update exchanges set method = '=1+1', path = '@x' where id = 'u0'")
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "5")
        await answer(pilot, "x", str(tmp_path / "out.csv"))
        assert ",'=1+1,config:7000,'@x," in (tmp_path / "out.csv").read_text()


async def test_a_file_is_never_overwritten_and_a_strange_name_is_refused_while_it_is_typed(
    audit_db: Path, tmp_path: Path
) -> None:
    (tmp_path / "there.csv").write_text("mine")
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        await answer(pilot, "x", str(tmp_path / "there.csv"))
        assert "✘ there is such a file already" in text(pilot)
        pilot.app.screen.query_one(Input).value = "out.exe"
        await press(pilot, "enter")
        assert "✘ its name has to end in .jsonl, .csv, .svg, .txt" in text(pilot)
        pilot.app.screen.query_one(Input).value = str(tmp_path / "nowhere" / "out.csv")
        await press(pilot, "enter")
        assert "cannot be written: No such file or directory." in toasts(pilot)[-1]
    assert (tmp_path / "there.csv").read_text() == "mine"


# --- the same on the command line -------------------------------------------------------------------------------------

VIEWS: list[tuple[list[str], str, list[str]]] = [
    (["1"], "report", ["GET /checkout"]),
    (["2"], "report", ["TP001", "CP003"]),
    (["2", "enter"], "report", ["TP001"]),
    (["1", "enter"], "report", ["TP001"]),
    (["3"], "export", ['"id": "i0"']),
    (["3", "enter"], "export", ['"id": "i1000"', '"id": "c1000"']),
    (["4"], "export", ['"id": "u0"']),
    (["4", "j", "j", "enter"], "export", ['"id": "c1000"']),
    (["5"], "export", ['"id": "u1"']),
]


@pytest.mark.parametrize(("keys", "command", "expected"), VIEWS, ids=[" ".join(each[0]) for each in VIEWS])
async def test_each_view_names_a_command_that_gives_the_same(
    audit_db: Path, keys: list[str], command: str, expected: list[str]
) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, *keys, "dollar_sign")
        screen = pilot.app.screen
        assert isinstance(screen, TextScreen)
        program, *words = shlex.split(screen.text)
        assert (program, words[0]) == ("traceaudit", command)
        done = CliRunner().invoke(main, words)
        assert done.exit_code in (0, 3), done.output
        for each in expected:
            assert each in done.stdout
        await press(pilot, "y")
        assert pilot.app.clipboard == screen.text


async def test_the_command_has_the_view_s_filter(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "3")
        await answer(pilot, "slash", 'id:i1 or path:"cart"')
        await press(pilot, "dollar_sign")
        screen = pilot.app.screen
        assert isinstance(screen, TextScreen)
        assert shlex.split(screen.text)[-1] == 'direction:inbound (id:i1 or path:"cart")'


# --- the command line within ------------------------------------------------------------------------------------------


async def test_a_command_is_judged_while_it_is_typed_and_performed(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "colon")
        pilot.app.screen.query_one(Input).value = "excanges"
        await settle(pilot)
        assert "✘ there is no excanges: did you mean exchanges?" in text(pilot)
        await press(pilot, "enter")
        assert app_of(pilot).current_mode == "matrix"
        pilot.app.screen.query_one(Input).value = "ex"
        await press(pilot, "enter")
        assert app_of(pilot).current_mode == "exchanges"
        rows = pilot.app.screen.query_one(RowList)
        await answer(pilot, "colon", "17")
        assert rows.cursor == 16
        await answer(pilot, "colon", "go 999999")
        assert "There are rows 1 to " in toasts(pilot)[-1]
        await answer(pilot, "colon", "filter is:uncaused")
        assert len(rows.keys) == 2
        await answer(pilot, "colon", "filter is:odd")
        assert "There is no odd" in toasts(pilot)[-1]
        await answer(pilot, "colon", "note from here")
        assert marks(audit_db) == [("u0", None, "from here")]
        await answer(pilot, "colon", "run 9")
        assert "There is no run 9: there are 1." in toasts(pilot)
        await answer(pilot, "colon", "pause now")
        assert "This takes nothing more." in toasts(pilot)
        await answer(pilot, "colon", "pause")
        assert app_of(pilot).paused
        await answer(pilot, "colon", "rule tp011")
        assert "TP011" in text(pilot)
        await press(pilot, "escape")
        await answer(pilot, "colon", "save")
        assert "To which file?" in toasts(pilot)
        await answer(pilot, "colon", "command")
        assert isinstance(pilot.app.screen, TextScreen)


async def test_hostile_text_in_a_command_is_text(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await answer(pilot, "colon", "run [bold]\\")
        assert toasts(pilot)[-1] == f"There is no run {safe('[bold]\\')}: there are 1."


async def test_the_palette_knows_what_each_key_does(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "2")
        commands = list(app_of(pilot).get_system_commands(pilot.app.screen))
        found = {command.title for command in commands}
        assert len(found) == len(commands)
        assert "key ↓ or j" in {command.help for command in commands}
        assert {"Filter", "Copy", "Note", "Next finding", "Go to Requests", "Save this view to a file"} <= found
        await pilot.press("ctrl+p", *"copy")
        await pilot.pause(0.3)
        await press(pilot, "enter")
        assert isinstance(pilot.app.screen, CopyScreen)


async def test_a_finding_is_marked_from_its_page_and_the_next_one_has_its_own(audit_db: Path) -> None:
    async with Inspector(audit_db).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "2", "enter")
        assert isinstance(pilot.app.screen, FindingScreen)
        await press(pilot, "m")
        assert "* marked" in text(pilot)
        await press(pilot, "e")
        assert "* marked" not in text(pilot)
        await press(pilot, "E")
        assert "* marked" in text(pilot)
