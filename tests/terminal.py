"""A program in a terminal of its own, as a person starts it: what it writes, what is typed, and what it leaves."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE_S = 60

ON = b"\x1b[?1049h"
"""A full-screen program begins: the terminal's other screen. https://invisible-island.net/xterm/ctlseqs/ctlseqs.html"""

OFF = b"\x1b[?1049l"


class Terminal:
    """``seen`` is everything that was written, escape sequences and all."""

    def __init__(self, command: Sequence[str | Path], cwd: Path, environment: Mapping[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (30, 100))
        self.before = termios.tcgetattr(theirs)
        self.seen = b""
        self.process = subprocess.Popen(
            [*map(str, command)],
            cwd=cwd,
            env={**environment, "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 -- nothing is started meanwhile
        )
        # It stays open here too, so that it can be asked what was left of it.
        self._theirs = theirs

    def until(self, *texts: bytes) -> None:
        """Until all of these have been written since it was last waited for."""
        start = len(self.seen)
        while not all(text in self.seen[start:] for text in texts):
            assert self._read(PATIENCE_S), f"{texts} did not appear: {self.seen[-3000:]!r}"

    def type(self, keys: bytes) -> None:
        """What a person types."""
        os.write(self._ours, keys)

    def wait(self) -> int:
        """Reads on until the program has ended, and all that it wrote has been read; the exit status."""
        while self.process.poll() is None:
            self._read(0.05)
        while self._read(0):
            pass
        return self.process.returncode

    @property
    def after(self) -> list[object]:
        """The terminal's attributes now."""
        return termios.tcgetattr(self._theirs)

    def close(self) -> None:
        """Ends the program and the terminal."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def _read(self, patience_s: float) -> bool:
        if not select.select([self._ours], [], [], patience_s)[0]:
            return False
        self.seen += os.read(self._ours, 65_536)
        return True


@contextmanager
def terminal(command: Sequence[str | Path], cwd: Path, environment: Mapping[str, str]) -> Iterator[Terminal]:
    """A program in a terminal, both gone after the block."""
    opened = Terminal(command, cwd, environment)
    try:
        yield opened
    finally:
        opened.close()
