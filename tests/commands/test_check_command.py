"""`traceaudit check`: what it prints and what it ends with, for every state an audit can be in."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.builders import inbound, outbound, record, trace_headers
from tests.reports import shop
from traceaudit.commands import main

CLEAN = [inbound("i0", headers=trace_headers(0)), outbound("o0", 1, headers=trace_headers(0))]
FINDINGS = """\
error TP001 traceparent-dropped  GET /checkout → inventory GET /stock/{id}  proven  2×
error TP003 b3-dropped  GET /checkout → inventory GET /stock/{id}  proven  2×
error TP016 contexts-disagree  GET /checkout → payment:8080 POST /charge  proven  2×
unsure TP001 traceparent-dropped  GET /checkout → mail:2525 POST /send  ambiguous 0.9478  1×
unsure TP003 b3-dropped  GET /checkout → mail:2525 POST /send  ambiguous 0.9478  1×
unsure TP004 request-id-dropped  GET /checkout → mail:2525 POST /send  ambiguous 0.9478  1×
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return shop.build(tmp_path / "audit.db")


def check(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["check", *map(str, arguments)])


def test_a_line_a_finding_and_a_closing_line(database: Path) -> None:
    result = check(database)
    assert (result.exit_code, result.stderr) == (1, "")
    assert result.stdout == FINDINGS + "found 3 errors; 3 ambiguous findings not counted\n"


def test_quiet_prints_the_findings_alone(database: Path) -> None:
    result = check(database, "--quiet")
    assert (result.exit_code, result.stdout) == (1, FINDINGS)


def test_the_database_is_audit_db_unless_another_is_named(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(database.parent)
    assert check().stdout == check(database).stdout


@pytest.mark.parametrize(
    ("options", "expected", "status"),
    [
        (["--select", "TP003"], ["TP003", "TP003"], 1),
        (["--select", "TP00", "--ignore", "TP001,TP004"], ["TP003", "TP003"], 1),
        (["--ignore", "TP"], [], 0),
        (["--select", "TP", "--ignore", "TP0", "--select", "TP016"], ["TP016"], 1),
        (["--select", "WC"], [], 0),
        (["--select", "TP004"], ["TP004"], 0),
        (["--fail-on", "never", "--select", "TP016"], ["TP016"], 0),
    ],
)
def test_rules_are_selected_as_in_ruff(database: Path, options: list[str], expected: list[str], status: int) -> None:
    result = check(database, "--quiet", *options)
    assert [line.split()[1] for line in result.stdout.splitlines()] == expected
    assert result.exit_code == status


def test_fail_on_decides_from_which_severity_on_a_build_fails(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("update findings set severity = 'warning'")
    statuses = {each: check(database, "--fail-on", each).exit_code for each in ("error", "warning", "note", "never")}
    assert statuses == {"error": 0, "warning": 1, "note": 1, "never": 0}


def test_a_clean_run_ends_with_0(tmp_path: Path) -> None:
    record(tmp_path / "audit.db", CLEAN)
    result = check(tmp_path / "audit.db")
    assert (result.exit_code, result.stdout) == (0, "nothing found in 1 linked call\n")


def test_a_run_that_saw_no_call_ends_with_3_and_a_remedy(tmp_path: Path) -> None:
    record(tmp_path / "audit.db", [inbound("i0")])
    result = check(tmp_path / "audit.db")
    assert result.exit_code == 3
    assert result.stdout.startswith("inconclusive: no outbound call was seen, only 1 request: Go ignores HTTP_PROXY")


def test_a_run_that_saw_nothing_ends_with_3(tmp_path: Path) -> None:
    record(tmp_path / "audit.db")
    result = check(tmp_path / "audit.db")
    assert result.exit_code == 3
    assert result.stdout.startswith("inconclusive: nothing came through the proxy")


def test_a_database_without_runs_ends_with_3(tmp_path: Path) -> None:
    record(tmp_path / "audit.db")
    with closing(sqlite3.connect(tmp_path / "audit.db", isolation_level=None)) as db:
        db.execute("delete from runs")
    result = check(tmp_path / "audit.db")
    assert (result.exit_code, result.stdout) == (3, "inconclusive: no run has been recorded yet\n")


@pytest.mark.parametrize("lost", [{"dropped": 1}, {"errors": 1}])
def test_a_run_with_gaps_ends_with_3(tmp_path: Path, lost: dict[str, int]) -> None:
    record(tmp_path / "audit.db", CLEAN, **lost)  # type: ignore[arg-type]  # counts alone
    assert check(tmp_path / "audit.db").exit_code == 3


def test_the_latest_run_counts_and_an_earlier_one_can_be_named(database: Path) -> None:
    record(database, [inbound("i9", headers=trace_headers(0)), outbound("o9", 1, headers=trace_headers(0))])
    assert check(database).exit_code == 0
    assert check(database, "--run", "1").exit_code == 1


def test_an_unknown_run_ends_with_2(database: Path) -> None:
    result = check(database, "--run", "7")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no run 7 in" in result.stderr
    assert "there is run 1" in result.stderr


def test_a_missing_file_ends_with_2(tmp_path: Path) -> None:
    result = check(tmp_path / "nowhere.db")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "There is no file" in result.stderr
    assert "`traceaudit run`" in result.stderr


def test_a_text_file_ends_with_4(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database")
    result = check(tmp_path / "notes.txt")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "is no SQLite file" in result.stderr


def test_a_damaged_database_ends_with_4_and_no_traceback(database: Path) -> None:
    with closing(sqlite3.connect(database)) as db:
        page, size = db.execute(
            "select rootpage, page_size from sqlite_schema, pragma_page_size where name = 'findings'"
        ).fetchone()
    with database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    result = check(database)
    assert (result.exit_code, result.stdout) == (4, "")
    assert "audit.db can no longer be read" in result.stderr


@pytest.mark.parametrize("options", [["--select", "XX"], ["--ignore", "traceparent-dropped"], ["--fail-on", "fatal"]])
def test_a_wrong_option_ends_with_2(database: Path, options: list[str]) -> None:
    result = check(database, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr


def test_a_finding_of_a_rule_that_this_version_does_not_know_stays_unless_rules_are_selected(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("pragma foreign_keys = off")
        db.execute("update findings set code = 'CP001' where code = 'TP016'")
    assert "CP001" in check(database, "--ignore", "TP").stdout
    assert "CP001" not in check(database, "--select", "TP").stdout


def test_hostile_text_is_printed_escaped(tmp_path: Path) -> None:
    result = check(shop.build_hostile(tmp_path / "audit.db"))
    assert [char for char in result.stdout if not char.isprintable() and char != "\n"] == []
    assert "\\x1b[31mred" in result.stdout


def test_a_hostile_file_name_is_printed_escaped(tmp_path: Path) -> None:
    assert "\x1b" not in check(tmp_path / "\x1b]0;owned\x07.db").stderr


@pytest.mark.parametrize("command", ["check", "report", "rule", "tui"])
def test_help_has_examples(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert f"traceaudit {command}" in result.stdout


# --- in a process of its own -----------------------------------------------------------------------------------------

_ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "traceaudit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False, env={**_ENVIRONMENT, **environment})


def test_the_exit_status_reaches_the_shell(database: Path) -> None:
    result = run("check", database, PYTHONUTF8="1")
    assert (result.returncode, result.stderr) == (1, b"")
    assert result.stdout.decode().startswith(FINDINGS)


def test_a_stream_that_has_no_arrows_gets_question_marks(database: Path) -> None:
    for command in ("check", "report"):
        result = run(command, database, PYTHONIOENCODING="latin-1")
        assert result.stderr == b""
        assert b"GET /checkout ? inventory GET /stock/{id}" in result.stdout


IMPORTS = """
import json, sys
from click.testing import CliRunner
from traceaudit.commands import main
result = CliRunner().invoke(main, sys.argv[1:])
print(json.dumps([result.exit_code, sorted(name for name in sys.modules if "." not in name)]))
"""


@pytest.mark.parametrize(
    ("arguments", "status", "heavy"),
    [
        (["--help"], 0, {"mitmproxy", "textual", "rich", "sqlite_utils"}),
        (["check", "DB"], 1, {"mitmproxy", "textual", "rich", "sqlite_utils"}),
        (["check", "--help"], 0, {"mitmproxy", "textual", "rich", "sqlite_utils"}),
        (["report", "DB", "--format", "json"], 0, {"mitmproxy", "textual", "rich", "sqlite_utils"}),
        (["report", "DB"], 0, {"mitmproxy", "textual", "sqlite_utils"}),
        (["rule", "TP001"], 0, {"mitmproxy", "textual", "rich", "sqlite_utils"}),
        (["tui", "--help"], 0, {"mitmproxy", "textual", "rich", "sqlite_utils"}),
    ],
)
def test_commands_import_only_what_they_need(
    database: Path, arguments: list[str], status: int, heavy: set[str]
) -> None:
    """In a fresh interpreter: importing mitmproxy or Textual takes seconds."""
    arguments = [str(database) if each == "DB" else each for each in arguments]
    command = [sys.executable, "-c", IMPORTS, *arguments]
    result = subprocess.run(command, capture_output=True, timeout=60, check=True, env=_ENVIRONMENT)
    exit_code, modules = json.loads(result.stdout)
    assert (exit_code, heavy & set(modules)) == (status, set())
