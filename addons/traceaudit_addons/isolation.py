"""Admits one inbound request at a time, and the next when the last one's calls are done (`--isolate`).

Theory of operation: the request that holds the gate is in the service alone. When its response is over, the gate waits
until no call is open and none has begun for the grace period, and lets the next request in, in the order of arrival. A
request that waits longer than the limit is let in all the same: one that is called by the service itself would wait for
ever. The audit sees who is in flight and draws its own conclusions.
"""

from __future__ import annotations

import asyncio

from mitmproxy.http import HTTPFlow

from traceaudit.exchange import Direction
from traceaudit_addons.directions import Directions
from traceaudit_addons.open_calls import LIMIT_S, OpenCalls


class Isolation:
    """The gate. ``grace_s`` is how long late work is waited for."""

    def __init__(self, directions: Directions, grace_s: float, limit_s: float = LIMIT_S) -> None:
        self._directions = directions
        self._grace_s = grace_s
        self._limit_s = limit_s
        self._gate = asyncio.Lock()
        self._holder = ""
        self._calls = OpenCalls(directions)
        self._releases: set[asyncio.Task[None]] = set()

    async def requestheaders(self, flow: HTTPFlow) -> None:
        """Lets an inbound request wait for its turn."""
        if self._directions.direction(flow) is Direction.OUTBOUND:
            self._calls.requestheaders(flow)
            return
        try:
            async with asyncio.timeout(self._limit_s):
                await self._gate.acquire()
        except TimeoutError:
            return
        self._holder = flow.id

    def response(self, flow: HTTPFlow) -> None:
        """A response is over."""
        self._calls.response(flow)
        self._over(flow)

    def error(self, flow: HTTPFlow) -> None:
        """An exchange ended without a response."""
        self._calls.error(flow)
        self._over(flow)

    def _over(self, flow: HTTPFlow) -> None:
        if flow.id == self._holder:
            self._holder = ""
            release = asyncio.get_running_loop().create_task(self._release())
            self._releases.add(release)
            release.add_done_callback(self._releases.discard)

    async def _release(self) -> None:
        try:
            # A call that stays open must not close the gate for ever.
            await self._calls.quiet(self._grace_s, self._limit_s)
        finally:
            self._gate.release()
