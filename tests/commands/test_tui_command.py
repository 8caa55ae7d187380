"""`traceaudit tui`: without a terminal it says so."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from tests.reports import shop
from traceaudit.commands import main


def test_without_a_terminal_it_ends_with_2_and_words(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["tui", str(shop.build(tmp_path / "audit.db"))])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "needs a terminal; `traceaudit report` does not" in result.stderr


def test_in_a_terminal_a_wrong_file_ends_as_everywhere(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database")
    assert _in_a_terminal(tmp_path / "notes.txt") == 4
    assert _in_a_terminal(tmp_path / "nowhere.db") == 2


def _in_a_terminal(path: Path) -> int:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    command = [sys.executable, "-m", "traceaudit", "tui", str(path)]
    try:
        return subprocess.run(
            command, stdin=theirs, stdout=theirs, stderr=theirs, timeout=60, check=False, env=environment
        ).returncode
    finally:
        os.close(ours)
        os.close(theirs)
