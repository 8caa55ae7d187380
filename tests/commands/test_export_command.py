"""`traceaudit export`: where it writes, what it ends with, and that it never harms the database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.builders import inbound, outbound, record, trace_headers
from traceaudit.commands import main

CALL = [inbound("i1", headers=trace_headers(1)), outbound("o1", 1, headers=trace_headers(1))]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory without settings, where the command is given."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def export(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


def ids(text: str) -> list[str]:
    return [json.loads(line)["id"] for line in text.splitlines()]


def test_the_latest_run_goes_to_standard_output(home: Path) -> None:
    record(home / "a.db", CALL)
    record(home / "a.db", [inbound("i2")])
    result = export("a.db")
    assert (result.exit_code, ids(result.stdout), result.stderr) == (0, ["i2"], "")
    assert ids(export("a.db", "--run", "1", "--format", "jsonl").stdout) == ["i1", "o1"]


def test_a_file_gets_what_standard_output_would(home: Path) -> None:
    record(home / "audit.db", CALL)
    result = export("--output", "run.jsonl")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    assert (home / "run.jsonl").read_text(encoding="ascii") == export().stdout


@pytest.mark.parametrize("name", ["a.db", "./a.db", "link.db", "hard.db"])
def test_the_database_is_not_written_over(home: Path, name: str) -> None:
    record(home / "a.db", CALL)
    (home / "link.db").symlink_to("a.db")
    os.link(home / "a.db", home / "hard.db")
    before = (home / "a.db").read_bytes()
    result = export("a.db", "--output", name)
    assert result.exit_code == 2
    assert "is the audit database itself: name another file" in result.stderr
    assert (home / "a.db").read_bytes() == before


def test_a_database_that_is_not_there_is_wrong_usage(home: Path) -> None:
    result = export("nowhere.db")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "There is no file nowhere.db." in result.stderr


def test_a_run_that_is_not_there_is_wrong_usage(home: Path) -> None:
    record(home / "a.db", CALL)
    result = export("a.db", "--run", "7")
    assert result.exit_code == 2
    assert "no run 7 in a.db: there is run 1" in result.stderr


def test_a_file_that_is_no_database_is_bad_input(home: Path) -> None:
    (home / "a.db").write_text("buy milk\n" * 100, encoding="ascii")
    assert export("a.db").exit_code == 4


def test_a_folder_that_is_not_there_is_wrong_usage(home: Path) -> None:
    record(home / "a.db", CALL)
    result = export("a.db", "--output", "no/run.jsonl")
    assert result.exit_code == 2
    assert "no/run.jsonl cannot be written: No such file or directory" in result.stderr


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "traceaudit", "export", *arguments]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk_is_told_of(home: Path) -> None:
    record(home / "a.db", CALL)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command("a.db"), stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "Error: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize("count", [1, 5_000])
def test_a_reader_that_has_seen_enough_ends_it_quietly(home: Path, count: int) -> None:
    """Whether what it would not read fits into a buffer or not."""
    record(home / "a.db", [inbound(f"i{number}", number) for number in range(count)])
    with subprocess.Popen(command("a.db"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert (process.wait(60), process.stderr.read()) == (0, b"")
