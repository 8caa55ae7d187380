"""`traceaudit tui`: without a terminal it says so."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
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


def test_in_a_terminal_it_starts_and_leaves(tmp_path: Path) -> None:
    """What a test's pilot does differently from a terminal is not tested anywhere else."""
    path = shop.build(tmp_path / "audit.db")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    environment = {
        **os.environ,
        "TERM": "xterm-256color",
        "PYTHONPATH": os.pathsep.join(each for each in sys.path if each),
    }
    command = [sys.executable, "-m", "traceaudit", "tui", str(path)]
    seen = b""
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        for waited, key in ((b"Matrix", b"4"), (b"/flags", b"q")):
            while waited not in seen:
                assert select.select([ours], [], [], 60)[0], seen[-2000:]
                seen += os.read(ours, 65_536)
            os.write(ours, key)
        while select.select([ours], [], [], 60)[0]:
            try:
                seen += os.read(ours, 65_536)
            except OSError:  # Linux says so when the other side is closed
                break
        assert process.wait(60) == 0, seen[-2000:]
    os.close(ours)
    assert b"Traceback" not in seen
