"""Knows which of the service's calls are open, and tells when it has gone quiet."""

from __future__ import annotations

import asyncio

from mitmproxy.http import HTTPFlow

from traceaudit.exchange import Direction
from traceaudit_addons.directions import Directions

LIMIT_S = 15.0
"""Istio's default for a request is no limit at all, Go's http.Client likewise; people give up sooner."""


class OpenCalls:
    """The calls that are open."""

    def __init__(self, directions: Directions) -> None:
        self._directions = directions
        self._open = 0
        self._changed = asyncio.Event()

    def requestheaders(self, flow: HTTPFlow) -> None:
        """A call begins."""
        if self._directions.direction(flow) is Direction.OUTBOUND:
            self._open += 1
            self._changed.set()

    def response(self, flow: HTTPFlow) -> None:
        """A call is over."""
        self._over(flow)

    def error(self, flow: HTTPFlow) -> None:
        """A call ended without a response."""
        self._over(flow)

    def _over(self, flow: HTTPFlow) -> None:
        if self._directions.direction(flow) is Direction.OUTBOUND:
            self._open = max(0, self._open - 1)
            self._changed.set()

    async def quiet(self, grace_s: float, limit_s: float = LIMIT_S) -> bool:
        """Returns when no call is open and none has begun or ended for the grace period; False: the limit was reached,
        by a call that stays open (a stream) or calls that do not end.
        """
        try:
            async with asyncio.timeout(limit_s):
                await self._quiet(grace_s)
        except TimeoutError:
            return False
        return True

    async def _quiet(self, grace_s: float) -> None:
        while True:
            self._changed.clear()
            try:
                async with asyncio.timeout(None if self._open else grace_s):
                    await self._changed.wait()
            except TimeoutError:
                return
