"""The inspector on the audit's own terminal: `run --tui` and `proxy --tui`.

Theory of operation. The inspector is a process of its own, which has the terminal to itself: what it draws costs the
proxy nothing, and if it falls over, the audit ends in order. While it is there, this process's standard output and
error lead to a file beside the database, by their descriptors, so that no line of the service, of the audit or of a
library tears the screen; a key shows the file. The audit is over when the inspector is left. The other way round, when
the service ends by itself, the inspector stays until its reader has seen enough. Whatever happens, the terminal is as
it was before: the inspector is told to end and, if it cannot, what it had changed is undone here.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import click

from traceaudit.commands import live
from traceaudit.commands.status import Status, UsageFailure
from traceaudit.commands.telling import say
from traceaudit.safe import safe
from traceaudit.store.opening import log_of
from traceaudit.supervisor import end_with_parent

_POLL_S = 0.05
_STOP_S = 5.0
"""How long the inspector may take to end in order."""

_UNDONE = "\x1b[<u\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?2004l\x1b[?1004l\x1b[?7h\x1b[?1049l\x1b[?25h\x1b[0m"
"""What a terminal's program switches on, switched off: keys, mouse, paste, focus, the other screen, the cursor."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def audited(plan: live.Plan) -> Status:
    """An audit with the inspector in front of it, and the findings when it has been left; the exit status."""
    if not (os.isatty(sys.stdin.fileno()) and os.isatty(sys.stderr.fileno())):
        raise UsageFailure("--tui needs a terminal; without one, `traceaudit tui` follows the database from another")
    front = Front(plan.settings.db)
    try:
        outcome = live.audit(plan, front.work)
        front.leave(at_once=outcome.signalled)
    finally:
        front.close()
    if not plan.quiet and front.opened:
        say(f"log       {safe(str(front.log))}: what the service and the audit said meanwhile")
    return front.failure or live.conclude(plan, outcome)


class Front:
    """The inspector as a process on this terminal; ``work`` is what the audit runs for."""

    def __init__(self, database: Path) -> None:
        self.log = log_of(database)
        self._database = database
        self._process: subprocess.Popen[bytes] | None = None
        self._kept: list[tuple[int, int]] = []
        """Descriptors that lead to the log, and where they led before."""
        self._attributes: list[Any] = []
        self._since: int | None = None
        """How long the log was when the audit began to end; None: it was not in front of that."""

    @property
    def opened(self) -> bool:
        """Whether it has been on the terminal."""
        return self._process is not None

    @property
    def failure(self) -> Status | None:
        """Why it could not show anything, which it has said itself; None: it could."""
        status = self._process.returncode if self._process else None
        return Status(status) if status in (Status.USAGE, Status.BAD_INPUT) else None

    async def work(self, stage: live.Stage) -> None:
        """Opens the inspector, and returns when it has been left."""
        self._open()
        say(f"inbound   http://{stage.inbound}: call this one")
        assert self._process is not None
        try:
            while self._process.poll() is None:  # noqa: ASYNC110  (a process sets no event, and may outlive this loop)
                await asyncio.sleep(_POLL_S)
        finally:
            if self._process.poll() is None:
                self._since = self.log.stat().st_size
            else:
                self.close()

    def leave(self, *, at_once: bool) -> None:
        """Waits until its reader has left it; ``at_once``, or when a signal comes: tells it to end."""
        process = self._process
        if process is None:
            return

        def on_signal(_: int, __: FrameType | None) -> None:
            process.terminate()

        before = [(number, signal.signal(number, on_signal)) for number in _SIGNALS]
        try:
            if at_once:
                self._end(process)
            process.wait()
        finally:
            for number, handler in before:
                signal.signal(number, handler)

    def close(self) -> None:
        """Ends it if it is still there, and gives the terminal back; how the audit ended is said there again."""
        if self._process is None or not self._kept:
            return
        self._end(self._process)
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, before in self._kept:
            os.dup2(before, descriptor)
            os.close(before)
        self._kept.clear()
        terminal = sys.stdin.fileno()
        with suppress(termios.error, OSError):  # it may be gone: a closed window
            if self._process.returncode:
                os.write(sys.stderr.fileno(), _UNDONE.encode())
            termios.tcsetattr(terminal, termios.TCSADRAIN, self._attributes)
            termios.tcflush(terminal, termios.TCIFLUSH)  # what the mouse has reported since
        if self._since is not None:
            with self.log.open("rb") as log:
                log.seek(self._since)
                click.echo(log.read(), nl=False, err=True)

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _open(self) -> None:
        self._attributes = termios.tcgetattr(sys.stdin.fileno())
        try:
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UsageFailure(
                f"{self.log} cannot be written: {error.strerror}; choose another place with --db"
            ) from error
        terminal = sys.stderr.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "traceaudit", "tui", str(self._database), "--in-front"],
            stdin=sys.stdin.fileno(),
            stdout=terminal,
            stderr=terminal,
            preexec_fn=end_with_parent(),  # noqa: PLW1509  (it calls one function of libc, loaded before)
        )
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            descriptor = stream.fileno()
            self._kept.append((descriptor, os.dup(descriptor)))
            os.dup2(log, descriptor)
        os.close(log)
