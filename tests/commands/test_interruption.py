"""Ctrl-C ends a command with 130, and not with 1, which means findings."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.live import environment


def test_an_interrupted_analysis_ends_with_130(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "traceaudit", "analyze", "-", "--db", "audit.db"],
        cwd=tmp_path, env=environment(tmp_path), stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write("no exchange\n" * 2)
    assert "standard input:1: not JSON" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
