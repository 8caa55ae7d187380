"""Has the times of a live run asked in a process of its own, and revises verdicts a few at a time between other things.

The process is started with the first window, so a run in which nothing is ambiguous never has it. It is nice to others
(the service that is audited is one of them), and if it fails, first verdicts stand.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable

from traceaudit.audit import Audit
from traceaudit.capture.inference import LENGTH, Answers, packed_window, unpacked_answers
from traceaudit.correlation.windows import Window
from traceaudit.second_look import Look
from traceaudit.store.writer import AuditWriter

_PORTION = 20
"""Verdicts that are revised before other things have their turn: a few milliseconds."""

PATIENCE_S = 30.0
"""How long the end of a run waits for the last windows; one takes some seconds."""


class Elsewhere:
    """Looks in another process. ``revised`` is called when something is to be written; ``failed`` hears of errors."""

    def __init__(
        self, audit: Audit, writer: AuditWriter, revised: Callable[[], None], failed: Callable[[str, Exception], None]
    ) -> None:
        self._audit = audit
        self._writer = writer
        self._revised = revised
        self._failed = failed
        self._process: Process | None = None
        self._broken = False
        self._working: asyncio.Task[None] | None = None

    def poke(self) -> None:
        """There may be something to look at."""
        if self._audit.looks and (self._working is None or self._working.done()):
            self._working = asyncio.get_running_loop().create_task(self._work())

    async def finish(self, enough: asyncio.Event, patience_s: float = PATIENCE_S) -> bool:
        """Looks at all there is until that is done, ``enough`` is set, or patience is over; whether it is done."""
        self._audit.finish()
        self.poke()
        try:
            if self._working is None or self._working.done():
                return True
            giving_up = asyncio.ensure_future(enough.wait())
            await asyncio.wait([self._working, giving_up], timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            giving_up.cancel()
            return self._working.done()
        finally:
            await self._end()

    async def _work(self) -> None:
        while self._audit.looks:
            look = self._audit.looks.popleft()
            answers: Answers = {}
            try:
                answers = await self._asked(look.window)
            except (OSError, EOFError, ValueError) as error:
                self._broken = True
                self._failed("causes could not be inferred from times, so they stay as they were first decided", error)
            try:
                await self._revise(look, answers)
            except Exception as error:
                self._failed("a call could not be judged again", error)

    async def _revise(self, look: Look, answers: Answers) -> None:
        for number, revision in enumerate(self._audit.revise(look, answers), 1):
            self._writer.revise(revision)
            if number % _PORTION == 0:
                self._revised()
                await asyncio.sleep(0)
        self._revised()

    async def _asked(self, window: Window) -> Answers:
        """What the process says; raises OSError, EOFError or ValueError where it does not."""
        if self._broken:
            return {}
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "traceaudit.capture.inference", stdin=PIPE, stdout=PIPE, start_new_session=True
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # In a thread, for it takes long enough to be noticed.
        self._process.stdin.write(await asyncio.to_thread(packed_window, window))
        await self._process.stdin.drain()
        (length,) = LENGTH.unpack(await self._process.stdout.readexactly(LENGTH.size))
        return await asyncio.to_thread(unpacked_answers, await self._process.stdout.readexactly(length))

    async def _end(self) -> None:
        if self._working is not None:
            self._working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._working
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()  # It holds nothing that anybody needs.
            await self._process.wait()
