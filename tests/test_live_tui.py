"""`traceaudit run --tui`: the audit and the inspector on one terminal, and what is left of it however they end."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.live import environment, traceaudit
from tests.services import LOOPBACK, free_port
from tests.terminal import OFF, ON, Terminal, terminal

SERVICE = """
import http.server, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print("TORN \\x1b[2J", self.path, flush=True)
        self.send_response(200)
        self.end_headers()
        if self.path == "/exit":
            self.wfile.flush()
            os._exit(7)

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class Run:
    """A run that is looked at."""

    def __init__(self, shown: Terminal, inbound: int, folder: Path) -> None:
        self.shown = shown
        self.inbound = inbound
        self.database = folder / "audit.db"
        self.log = folder / "audit.db.log"

    def get(self, path: str) -> None:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.inbound}{path}", timeout=30) as response:
            response.read()

    def on_the_screen(self) -> bytes:
        """What was written while the inspector had the terminal."""
        return self.shown.seen.partition(ON)[2].partition(OFF)[0]

    def afterwards(self) -> str:
        return self.shown.seen.rpartition(OFF)[2].decode()

    def ended(self) -> bool:
        with closing(sqlite3.connect(self.database)) as db:
            return db.execute("select ended_ns is not null from runs").fetchall() == [(1,)]


@contextmanager
def looked_at(folder: Path, *options: str) -> Iterator[Run]:
    script = folder / "service.py"
    script.write_text(SERVICE)
    inbound, port = free_port(), free_port()
    command = [sys.executable, "-m", "traceaudit", "run", "--tui", "--inbound", f"{inbound}:{port}", "--outbound", "0"]
    command += [*options, "--", sys.executable, str(script), str(port)]
    with terminal(command, folder, environment(folder)) as shown:
        shown.until(ON, b"Matrix")
        yield Run(shown, inbound, folder)


def inspector_of(run: Run) -> int:
    """The process id of the inspector, a child of the run's."""
    children = Path(f"/proc/{run.shown.process.pid}/task/{run.shown.process.pid}/children").read_text().split()
    return next(int(each) for each in children if b"--in-front" in Path(f"/proc/{each}/cmdline").read_bytes())


def test_leaving_the_inspector_ends_the_run_and_prints_the_findings(tmp_path: Path) -> None:
    with looked_at(tmp_path) as run:
        run.get("/orders/17")
        run.shown.until(b"1 request")
        run.shown.type(b"q")
        # A request and no call: too little was seen, as `run` without the inspector says.
        assert run.shown.wait() == 3, run.shown.seen
        assert run.shown.after == run.shown.before
    assert b"TORN" not in run.shown.seen
    assert "inconclusive" in run.afterwards()
    assert "audit.db.log" in run.afterwards()
    assert run.ended()
    assert "service │ TORN \\x1b[2J /orders/17\n" in run.log.read_text()
    assert stat.S_IMODE(run.log.stat().st_mode) == 0o600


def test_what_the_service_says_is_shown_by_a_key(tmp_path: Path) -> None:
    with looked_at(tmp_path) as run:
        run.get("/one")
        run.shown.type(b"L")
        run.shown.until(rb"TORN \x1b[2J /one".replace(b"\x1b", b"\\x1b"))
        run.get("/two")
        run.shown.until(b"/two")
        run.shown.type(b"q")
        run.shown.wait()


def test_a_run_that_saw_nothing_was_interrupted(tmp_path: Path) -> None:
    with looked_at(tmp_path, "--quiet") as run:
        run.shown.type(b"q")
        assert run.shown.wait() == 130


def test_when_the_service_ends_the_inspector_stays_and_says_so(tmp_path: Path) -> None:
    with looked_at(tmp_path) as run:
        run.get("/exit")
        run.shown.until(b"The run has ended")
        assert run.ended()
        assert OFF not in run.shown.seen
        run.shown.type(b"q")
        assert run.shown.wait() == 3
        assert run.shown.after == run.shown.before
    assert "the service ended by itself with status 7" in run.afterwards()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("first", ["", "/exit"])
def test_a_signal_ends_the_run_and_the_inspector(number: signal.Signals, first: str, tmp_path: Path) -> None:
    with looked_at(tmp_path) as run:
        if first:
            run.get(first)
            run.shown.until(b"The run has ended")
        else:
            run.get("/orders")
        run.shown.process.send_signal(number)
        assert run.shown.wait() == 3, run.shown.seen[-2000:]
        assert run.shown.after == run.shown.before
    assert "inconclusive" in run.afterwards()


def test_an_inspector_that_is_killed_leaves_a_terminal_in_order(tmp_path: Path) -> None:
    with looked_at(tmp_path) as run:
        run.get("/orders")
        os.kill(inspector_of(run), signal.SIGKILL)
        assert run.shown.wait() == 3
        assert run.shown.after == run.shown.before
    for off in (OFF, b"\x1b[?25h", b"\x1b[?1003l", b"\x1b[?2004l", b"\x1b[?1004l"):
        assert off in run.shown.seen
    assert "inconclusive" in run.afterwards()


def test_a_run_that_is_killed_takes_its_inspector_with_it(tmp_path: Path) -> None:
    with looked_at(tmp_path) as run:
        run.shown.process.kill()
        run.shown.until(OFF, b"\x1b[?25h")
        assert run.shown.wait() == -signal.SIGKILL


def test_wrong_keys_end_it_with_words(tmp_path: Path) -> None:
    (tmp_path / "traceaudit.toml").write_text('[keys]\n"list.dwn" = "j"\n')
    script = tmp_path / "service.py"
    script.write_text(SERVICE)
    port = free_port()
    command = [sys.executable, "-m", "traceaudit", "run", "--tui", "--inbound", f"0:{port}", "--outbound", "0"]
    with terminal([*command, "--", sys.executable, script, str(port)], tmp_path, environment(tmp_path)) as shown:
        assert shown.wait() == 2
        assert shown.after == shown.before
    assert b"did you mean list.down?" in shown.seen
    assert b"Traceback" not in shown.seen


def test_without_a_terminal_it_is_refused_before_anything_begins(tmp_path: Path) -> None:
    done = traceaudit("run", "--tui", "--inbound", "0:1", "--", "./none", cwd=tmp_path, check=2)
    assert "--tui needs a terminal" in done.stderr
    assert not (tmp_path / "audit.db").exists()


def test_the_findings_go_where_standard_output_goes(tmp_path: Path) -> None:
    """`traceaudit run --tui … > findings.txt`: the inspector is on the terminal all the same."""
    script = tmp_path / "service.py"
    script.write_text(SERVICE)
    port = free_port()
    command = [sys.executable, "-m", "traceaudit", "proxy", "--tui", "--inbound", f"0:{port}", "--outbound", "0"]
    line = subprocess.list2cmdline(command) + " > findings.txt"
    with terminal(["sh", "-c", line], tmp_path, environment(tmp_path)) as shown:
        shown.until(ON, b"Matrix")
        shown.type(b"q")
        assert shown.wait() == 130
    assert "inconclusive" in (tmp_path / "findings.txt").read_text()
