"""Has requests reach the service at one moment, however long each took to come.

Theory of operation: a client's requests come one after the other, however they were sent; the proxy alone can see to it
that the service gets them together. What takes time is done before: a request has been read, recorded and given its
headers when its connection to the service opens. There it is held until as many are there as are to start together;
all that is left then is to write, one after another in one turn of the event loop. Only requests on connections of
their own can be held like this.
"""

from __future__ import annotations

import asyncio

from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from traceaudit.exchange import Direction
from traceaudit_addons.directions import Directions

PATIENCE_S = 5.0
"""How long those who are there wait for others, who may never come."""


class StartingLine:
    """The line; nobody is held unless somebody is awaited."""

    def __init__(self, directions: Directions, patience_s: float = PATIENCE_S) -> None:
        self._directions = directions
        self._patience_s = patience_s
        self._awaited = 0
        self._off = asyncio.Event()

    def hold(self, number: int) -> None:
        """So many requests are to start together; all that wait for others go."""
        self._off.set()
        self._awaited, self._off = number, asyncio.Event()

    async def server_connected(self, connection: ServerConnectionHookData) -> None:
        """A request is about to be written."""
        if not self._awaited or self._directions.side(connection.client) is Direction.OUTBOUND:
            return
        off = self._off
        self._awaited -= 1
        if not self._awaited:
            off.set()
            return
        try:
            async with asyncio.timeout(self._patience_s):
                await off.wait()
        except TimeoutError:
            if off is self._off:
                self._awaited = 0
            off.set()
