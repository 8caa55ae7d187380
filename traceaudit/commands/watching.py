"""Watches the service's connections while an audit runs, and says at once what goes round it."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from traceaudit import listeners
from traceaudit.config import Settings
from traceaudit.connections import Processes, Watcher, listener_of
from traceaudit.coverage import Capture, Connection, Coverage, Expectation
from traceaudit.findings import Finding, FindingsBook
from traceaudit.listeners import Address
from traceaudit.protocols import named_in
from traceaudit.rules import select
from traceaudit.store.writer import AuditWriter

logger = logging.getLogger("traceaudit_addons")

_EVERY_S = 0.1
_SHARE = 50
"""A look that takes long is followed by a pause of so many times as long."""
_GAZE_S, _CREDIT_S = 0.015, 0.15
"""The most CPU that a close look takes, and what all of them may take beyond a 200th part of a core: the first ten
requests are looked after closely, however fast they come.
"""


def expectation(settings: Settings) -> Expectation:
    """What the settings name."""
    upstreams = {
        **dict.fromkeys(settings.routes, "--route"),
        **dict.fromkeys(settings.upstreams, "--upstream"),
        **dict.fromkeys(settings.expect, "--expect"),
    }
    leads = {listeners.address(text): name for name, text in settings.routes.items()}
    for name, text in settings.upstreams.items():
        target = listeners.upstream(name, text).target
        if target is not None:
            leads[target] = name
    return Expectation(upstreams, settings.known_routes, leads)


class Watch:
    """The watch over one run's coverage. ``say`` hears of each address once."""

    def __init__(
        self,
        settings: Settings,
        book: FindingsBook,
        writer: AuditWriter,
        now_ns: Callable[[], int],
        *,
        capture: Capture = Capture.ENV,
        listening: Sequence[Address],
        environment: Mapping[str, str],
        came_through: Callable[[Address], bool],
        say: Callable[[Finding], None] | None = None,
    ) -> None:
        self._coverage = Coverage(
            book,
            select(settings.select, settings.ignore),
            capture=capture,
            listening=listening,
            came_through=came_through,
            named=dict(named_in(environment)),
            expectation=expectation(settings),
        )
        self._capture = capture
        self._writer = writer
        self._now_ns = now_ns
        self._say = say
        self._said: set[int] = set()
        self._watcher: Watcher | None = None
        self._watching: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._stirred = asyncio.Event()
        self._credit_s = _CREDIT_S

    def stir(self) -> None:
        """A request has come in: the service is about to make calls."""
        self._stirred.set()

    def start(self, root: int | None, target: Address | None) -> None:
        """Begins to watch the service: a process that was started, or whoever listens where it should."""
        if sys.platform != "linux":
            return
        if root is None and target is not None:
            root = listener_of(target.port)
        if root is not None:
            self._watcher = Watcher(Processes([root]), looks=2 if self._capture is Capture.REDIRECT else 1)
            self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Looks once more, while the service still runs, and ends the watch."""
        if self._watching is None:
            return
        self._ending.set()
        await self._watching
        self._watching = None
        assert self._watcher is not None
        await self._look(self._watcher.look)

    def undecrypted(self, authority: str, why: str, remedy: str) -> None:
        """Takes a connection over TLS that passes unread."""
        self._tell(self._coverage.undecrypted(authority, why, remedy, self._now_ns()))

    def not_http(self, address: Address) -> None:
        """Takes a connection that passes unread because it is no HTTP."""
        self._coverage.not_http(address, self._now_ns())

    def settle(self, at_ns: int) -> None:
        """Adds what is known only at the end. Raises ``sqlite3.Error``."""
        self._writer.commit()
        if not self._writer.dropped:  # Else what was called or exercised may be among what was lost.
            self._coverage.settle(*self._writer.seen(), at_ns)
        self._writer.connected(self._coverage.others.values())

    async def _watch(self) -> None:
        assert self._watcher is not None
        watcher = self._watcher
        while not self._ending.is_set():
            took_s = await self._look(watcher.look)
            until = time.monotonic() + max(_EVERY_S, _SHARE * took_s)
            self._credit_s = min(_CREDIT_S, self._credit_s + max(_EVERY_S, _SHARE * took_s) / (4 * _SHARE))
            while await self._wait(until):
                self._credit_s -= await self._look(partial(watcher.gaze, min(_GAZE_S, self._credit_s)))

    async def _wait(self, until: float) -> bool:
        """Returns True when a request has come in that may be looked after closely, and False at a moment, or at the
        end.
        """
        self._stirred.clear()
        ends = [asyncio.ensure_future(self._ending.wait())]
        if self._capture is not Capture.REDIRECT and self._credit_s >= _GAZE_S:
            ends.append(asyncio.ensure_future(self._stirred.wait()))
        await asyncio.wait(ends, timeout=max(0.0, until - time.monotonic()), return_when=asyncio.FIRST_COMPLETED)
        for each in ends:
            each.cancel()
        return self._stirred.is_set() and len(ends) > 1 and not self._ending.is_set()

    async def _look(self, look: Callable[[], list[Connection]]) -> float:
        """Seconds of CPU that it took."""

        def timed() -> tuple[list[Connection], float]:
            began = time.thread_time()
            return look(), time.thread_time() - began

        try:
            connections, took_s = await asyncio.to_thread(timed)
            now_ns = self._now_ns()
            for each in connections:
                self._tell(self._coverage.see(each, now_ns))
        except Exception:
            self._writer.errors += 1
            logger.exception("the service's connections could not be looked at; the audit goes on")
            return _EVERY_S
        return took_s

    def _tell(self, finding: Finding | None) -> None:
        if finding is None:
            return
        self._writer.touch(finding)
        if self._say is not None and finding.id not in self._said:
            self._said.add(finding.id)
            self._say(finding)
