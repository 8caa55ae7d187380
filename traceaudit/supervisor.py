"""Starts the service under audit, waits until it listens, passes signals on, and leaves nothing of it behind.

Theory of operation: the service leads a process group of its own, so that a Ctrl-C reaches it once and through us, and
so that whatever it started can be ended with it. Its output is read line by line and handed on at once; the last lines
are kept for the message that says why it did not come up. On Linux the kernel ends the service if we are killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from traceaudit.listeners import Address
from traceaudit.open_files import given_limit
from traceaudit.safe import safe

_LAST_LINES = 12
_LONGEST_LINE = 64 * 1024
_POLL_S = 0.05
_STOP_S = 10.0
"""How long a service may take to end in order; Kubernetes gives 30 s, a developer does not."""

_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class ServiceFailedError(Exception):
    """The service did not come up; the message says what it said last."""


def shown(line: str) -> str:
    """A line of the service's output, its colours kept and every other control character escaped."""
    return "".join(
        part if _COLOUR.fullmatch(part) else safe(part.replace("\t", "    "), None) for part in _COLOUR.split(line)
    )


async def answers(address: Address) -> bool:
    """Whether somebody accepts connections at an address."""
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(address.host, address.port)
    except (OSError, TimeoutError, UnicodeError):  # The last: what no name can be.
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


class Service:
    """One service process and its group; make it with :meth:`start`."""

    def __init__(self, process: asyncio.subprocess.Process, command: Sequence[str], say: Callable[[str], None]) -> None:
        self._process = process
        self._command = command
        self._say = say
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        assert process.stdout is not None
        self._reading = asyncio.create_task(self._read(process.stdout))

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        environment: Mapping[str, str],
        say: Callable[[str], None],
        enter: Callable[[], None] | None = None,
    ) -> Service:
        """Starts a command; ``say`` gets every line of its output, and ``enter`` is called in the child before it
        becomes the service. Raises ServiceFailedError when it cannot be run.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                limit=_LONGEST_LINE,
                env=dict(environment),
                start_new_session=True,
                preexec_fn=_preparation(enter),
            )
        except subprocess.SubprocessError as error:
            raise ServiceFailedError(f"cannot start {command[0]}: its cgroup cannot be entered") from error
        except OSError as error:
            hint = "; is it built, and is its path right?" if isinstance(error, FileNotFoundError) else ""
            raise ServiceFailedError(f"cannot start {command[0]}: {error.strerror}{hint}") from error
        return cls(process, command, say)

    @property
    def pid(self) -> int:
        """The process id, which is its group's id too."""
        return self._process.pid

    async def wait(self) -> int:
        """Returns when the process has ended, its exit status (minus the signal that ended it)."""
        return await self._process.wait()

    async def wait_until_ready(self, address: Address, timeout_s: float, known_as: Address | None = None) -> None:
        """Returns when the service accepts connections. Raises ServiceFailedError when it does not come to that.

        ``known_as`` is what the message calls the address; ``None``: what it is.
        """
        written = known_as or address
        ended = asyncio.create_task(self.wait())
        try:
            async with asyncio.timeout(timeout_s):
                while not ended.done():
                    if await answers(address):
                        return
                    await asyncio.wait([ended], timeout=_POLL_S)
        except TimeoutError:
            reason = f"{self._command[0]} does not listen on {written} after {timeout_s:g} s"
            raise ServiceFailedError(self._with_last_lines(f"{reason}; is the port right?")) from None
        finally:
            ended.cancel()
        await self._drain()
        raise ServiceFailedError(
            self._with_last_lines(f"{self._command[0]} {self._how_it_ended()} before it listened on {written}")
        )

    async def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Ends the whole group, in order if it will and by force if it will not; the exit status."""
        self._send(with_signal)
        try:
            async with asyncio.timeout(_STOP_S):
                await self._process.wait()
        except TimeoutError:
            self._say(f"(still running {_STOP_S:g} s after {with_signal.name}: killed)")
            self._send(signal.SIGKILL)
        status = await self._process.wait()
        # Whatever it started and left behind goes with it.
        self._send(signal.SIGKILL)
        await self._drain()
        return status

    def kill(self) -> None:
        """Ends the whole group at once."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def _drain(self) -> None:
        """Reads what is left of the output; a grandchild that holds the pipe is not waited for."""
        await asyncio.wait([self._reading], timeout=1)
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading

    async def _read(self, output: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await output.readuntil(b"\n")
            except asyncio.IncompleteReadError as error:
                line = error.partial
            except asyncio.LimitOverrunError as error:
                line = await output.readexactly(error.consumed)
            if not line:
                return
            text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            self._last.append(text)
            self._say(shown(text))

    def _how_it_ended(self) -> str:
        status = self._process.returncode
        if status is not None and status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    def _with_last_lines(self, message: str) -> str:
        if not self._last:
            return f"{message}; it said nothing"
        return "\n".join([f"{message}; it said last:", *(f"    {line}" for line in self._last)])


def _preparation(enter: Callable[[], None] | None) -> Callable[[], None]:
    """What the child does before it becomes the service: on Linux, it asks to be ended when we are."""
    end_us = end_with_parent()

    def prepare() -> None:
        if enter is not None:
            enter()
        given_limit()
        end_us()

    return prepare


def end_with_parent() -> Callable[[], None]:
    """What a child calls before it becomes another program, so that on Linux SIGTERM reaches it when we are gone."""
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def ask() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask
